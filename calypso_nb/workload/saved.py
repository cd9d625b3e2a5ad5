"""A report as plain JSON values and back: what it holds, from which everything else in it is counted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pandas as pd

from calypso_nb.frames import TASK_COLUMNS, tasks_frame
from calypso_nb.workload.reporter import WorkloadData, workload_of

__all__ = [
    "HELD_FIELDS",
    "about",
    "all_records",
    "assemble",
    "from_document",
    "plain_records",
    "to_document",
]

# What is measured at a report's own moment is counted again when it is read.
HELD_FIELDS = tuple(
    name for name in TASK_COLUMNS if name not in ("is_open", "age_hours", "hours_since_update")
)

Record = dict[str, Any]


def to_document(data: WorkloadData) -> Record:
    """All that a report holds, as values that JSON can carry; `from_document` makes the report of it again.

    `tasks` are those of the report, `context` what else was read, each with its `position` in the listing.
    Example: `to_document(data)["tasks"][0]["title"]`
    """
    shown = set(data.tasks["id"].tolist())
    records = all_records(data)
    context = [
        {"position": position, **record}
        for position, record in enumerate(records)
        if record["id"] not in shown
    ]
    return {
        **about(data),
        "tasks": [record for record in records if record["id"] in shown],
        "context": context,
    }


def from_document(document: Mapping[str, Any]) -> WorkloadData:
    """The report that `to_document` was given; keys that it did not write are passed over.

    Raises ValueError where the document is not a report.
    Example: `from_document(json.loads(text)).summary`
    """
    try:
        tasks = list(document["tasks"])
        placed = {record["position"]: record for record in document["context"]}
        rest = iter(tasks)
        records = [placed[n] if n in placed else next(rest) for n in range(len(placed) + len(tasks))]
        return assemble(document, records, [task["id"] for task in tasks])
    except (KeyError, TypeError, AttributeError, StopIteration, RuntimeError) as error:
        raise ValueError(f"not a saved report: {type(error).__name__} {error}") from error


def about(data: WorkloadData) -> Record:
    """Where, when and how a report was made, as values that JSON can carry.

    Example: `about(data)["generated_at"]`
    """
    return {
        "generated_at": _plain(pd.Timestamp(data.generated_at)),
        "endpoint": data.endpoint,
        "details": data.details,
        "filters": {
            "status": None if data.status_filter is None else list(data.status_filter),
            "agent": None if data.agent_filter is None else list(data.agent_filter),
        },
    }


def all_records(data: WorkloadData) -> list[Record]:
    """All that was read for a report, one dict a task with its `HELD_FIELDS`, in the listing's order.

    Example: `all_records(data)[0]["title"]`
    """
    return plain_records(data.all_tasks[list(HELD_FIELDS)])


def assemble(
    meta: Mapping[str, Any], records: Iterable[Mapping[str, Any]], shown: Iterable[int]
) -> WorkloadData:
    """Make a report of what `about` and `all_records` say, and the ids of the tasks that it shows.

    Example: `assemble(about(data), all_records(data), data.tasks["id"])`
    """
    moment = datetime.fromisoformat(meta["generated_at"])
    all_tasks = tasks_frame([{name: record[name] for name in HELD_FIELDS} for record in records], moment)
    tasks = all_tasks[all_tasks["id"].isin(set(shown))].reset_index(drop=True)
    status, agent = meta["filters"]["status"], meta["filters"]["agent"]
    return replace(
        workload_of(tasks, moment, meta["endpoint"], meta["details"], all_tasks),
        status_filter=None if status is None else tuple(status),
        agent_filter=None if agent is None else tuple(agent),
    )


def plain_records(frame: pd.DataFrame) -> list[Record]:
    """The rows of a frame as dicts that JSON can carry; NA and infinity become None, times ISO 8601.

    Example: `plain_records(data.agents)[0]["agent"]`
    """
    names = list(frame.columns)
    columns = [[_plain(value) for value in frame[name].astype("object").tolist()] for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    if value is None or pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, float) and math.isinf(value):
        return None
    return value
