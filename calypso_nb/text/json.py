"""A report as JSON."""

import codecs
import json
from contextlib import suppress
from typing import Any

import orjson

from calypso_nb.history.difference import Difference
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
            "tasks": [
                task | known.get(task["id"], {}) | row
                for task, row in zip(held["tasks"], measured, strict=True)
            ],
            "context": held["context"],
        },
        indent,
    )


def difference_to_json(change: Difference) -> str:
    """Return the difference as JSON: its `changes`, and what was compared as `before` and `after`."""
    changes = plain_records(change.changes)
    return _dumped({"version": 1, "changes": changes, "before": change.before, "after": change.after})


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
