"""A report as JSON."""

import codecs
import json
from contextlib import suppress
from typing import Any

import orjson
import pandas as pd

from calypso_nb.audit.audit import Audit
from calypso_nb.flow import sentences
from calypso_nb.flow.forecast import Forecast
from calypso_nb.flow.measures import FRAMES, Flow
from calypso_nb.history.difference import Difference
from calypso_nb.history.digest import Digest
from calypso_nb.history.saved import about, plain_records, to_document
from calypso_nb.text.schema import SECTIONS
from calypso_nb.workload.reporter import Workload


def to_json(data: Workload, indent: int | None = 2, *, context: bool = False) -> str:
    """Return the whole report as JSON in ASCII, so that no title can mislead a terminal or a decoder.

    `WorkloadData.from_json` reads it back, and `report_schema` says what is in it.

    - context: tell all of the tasks that the report leaves out, and not only what its numbers need.
    """
    held = to_document(data, context)
    measured = plain_records(data.tasks[["id", "is_open", "age_hours", "hours_since_update"]].round(2))
    known = {row["id"]: row for row in plain_records(data.flow)}
    return _dumped(
        {
            "version": 2,
            **about(data),
            "summary": vars(data.summary),
            "agent_breakdown": {name: vars(of_agent) for name, of_agent in data.agent_breakdown.items()},
            "priority_distribution": vars(data.priority_distribution),
            "age_metrics": vars(data.age_metrics) | {"buckets": plain_records(data.ages)},
            **{name: plain_records(getattr(data, of)) for name, (of, _, _) in SECTIONS.items()},
            "team": held["team"],
            "silent_after": held["silent_after"],
            "pauses": held["pauses"],
            "snoozes": held["snoozes"],
            "tasks": [
                task | known.get(task["id"], {}) | row
                for task, row in zip(held["tasks"], measured, strict=True)
            ],
            "context": held["context"],
        },
        indent,
    )


def runs_to_json(runs: pd.DataFrame, totals: pd.DataFrame) -> str:
    """Return runs, with `RUN_COLUMNS`, and their totals as JSON."""
    return _dumped({"version": 1, "runs": plain_records(runs), "totals": plain_records(totals)})


def difference_to_json(change: Difference) -> str:
    """Return the difference as JSON: its `changes`, and what was compared as `before` and `after`."""
    changes = plain_records(change.changes)
    return _dumped({"version": 1, "changes": changes, "before": change.before, "after": change.after})


def digest_to_json(digest: Digest) -> str:
    """Return a digest as JSON, as `digest_schema` describes it."""
    return _dumped(digest_document(digest))


def digest_document(digest: Digest, most: int | None = None) -> dict[str, Any]:
    """Return a digest as values that JSON can carry.

    - most: how many items, and how many agents, by default all; the counts are of all in any case
    """
    return {
        "version": 1,
        "server": digest.server,
        "person": digest.person,
        "basis": digest.basis,
        "since": digest.since.isoformat().replace("+00:00", "Z"),
        "until": digest.until.isoformat().replace("+00:00", "Z"),
        "counts": digest.counts,
        "items": plain_records(digest.items.head(len(digest.items) if most is None else most)),
        "agents": plain_records(digest.agents.head(len(digest.items) if most is None else most)),
        "unknown": list(digest.unknown),
    }


def snoozes_to_json(snoozes: pd.DataFrame) -> str:
    """Return what is snoozed as JSON, a list with a row of `SNOOZE_COLUMNS` for each."""
    return _dumped({"version": 1, "snoozes": plain_records(snoozes)})


def flow_to_json(flow: Flow) -> str:
    """Return all frames of a flow as JSON, by their names in Python, with what they say in `sentences`."""
    frames = {name: getattr(flow, name) for name in FRAMES}
    frames |= {f"time_in_{group}": flow.time_in(group) for group in ("queue", "agent")}
    frames |= {f"by_{group}": flow.by(group) for group in ("agent", "queue", "tag", "parent")}
    return _dumped(
        {
            "version": 1,
            "since": flow.since.isoformat(),
            "until": flow.until.isoformat(),
            "recorded": flow.journeys.recorded,
            "about": sentences.about(flow),
            "sentences": [say(flow) for say in sentences.ALL],
            "expectation": _plain(flow.expectation._asdict()),
            "health": _plain({**flow.health._asdict(), "stable": flow.health.stable}),
            **{name: plain_records(frame) for name, frame in frames.items()},
        }
    )


def forecast_to_json(forecast: Forecast) -> str:
    """Return a forecast as JSON: its answer, the figures of it, and its record."""
    share, low, high = forecast.held
    answer = forecast.counts if forecast.by is not None else forecast.dates
    return _dumped(
        {
            "version": 1,
            "answer": forecast.answer,
            "lines": forecast.lines,
            "tasks": forecast.tasks.tolist(),
            "seed": forecast.seed,
            "trials": forecast.trials,
            "bucket": forecast.bucket,
            "told": forecast.told,
            "alarm": forecast.alarm or None,
            "never_share": _plain({"share": forecast.never_share})["share"],
            "held": _plain({"share": share, "low": low, "high": high, "independent": forecast.independent}),
            "forecast": plain_records(answer),
            "record": plain_records(forecast.record),
        }
    )


def audit_to_json(audit: Audit) -> str:
    """Return an audit as JSON: its frames, by their names in Python."""
    frames = {name: plain_records(getattr(audit, name)) for name in ("findings", "rules", "agents", "trend")}
    return _dumped(
        {
            "version": 1,
            "endpoint": audit.endpoint,
            "generated_at": audit.generated_at.isoformat(),
            "summary": audit.summary,
            **frames,
            "not_checkable": list(audit.not_checkable),
        }
    )


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return values with None for what is not known."""
    return {name: None if value != value else value for name, value in values.items()}


def _dumped(document: dict[str, Any], indent: int | None = 2) -> str:
    if indent in (None, 2):
        options = orjson.OPT_NON_STR_KEYS | (orjson.OPT_INDENT_2 if indent else 0)
        with suppress(TypeError):  # Half a character, which only Python's own encoder takes.
            text = orjson.dumps(document, option=options).decode()
            return text.encode("ascii", "calypso_nb.json").decode() + "\n"
    return json.dumps(document, indent=indent, allow_nan=False) + "\n"


def _escaped(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error("calypso_nb.json", _escaped)
