"""A report as JSON."""

import json
from dataclasses import asdict
from typing import Any

from calypso_nb.history.difference import Difference
from calypso_nb.history.saved import about, plain_records, to_document
from calypso_nb.text.schema import SECTIONS
from calypso_nb.workload.reporter import Workload


def to_json(data: Workload, *, context: bool = False) -> str:
    """Return the whole report as JSON in ASCII, so that no title can mislead a terminal or a decoder.

    `WorkloadData.from_json` reads it back, and `report_schema` says what is in it.

    - context: tell all of the tasks that the report leaves out, and not only what its numbers need.
    """
    held = to_document(data, context)
    measured = plain_records(data.tasks[["id", "is_open", "age_hours", "hours_since_update"]])
    known = {row["id"]: row for row in plain_records(data.flow)}
    open_ages = data.tasks.loc[data.tasks["is_open"], "age_hours"].dropna()
    return _dumped(
        {
            "version": 1,
            **about(data),
            "summary": asdict(data.summary),
            **{name: plain_records(getattr(data, of)) for name, (of, _, _) in SECTIONS.items()},
            "age_metrics": {
                "oldest_open_hours": data.summary.oldest_open_hours,
                "oldest_open_task": data.summary.oldest_open_task,
                "mean_open_hours": None if open_ages.empty else float(open_ages.mean()),
                "median_open_hours": None if open_ages.empty else float(open_ages.median()),
                "buckets": plain_records(data.ages),
            },
            "tasks": [
                task | row | known.get(task["id"], {})
                for task, row in zip(held["tasks"], measured, strict=True)
            ],
            "context": held["context"],
        }
    )


def difference_to_json(change: Difference) -> str:
    """Return the difference as JSON: its `changes`, and what was compared as `before` and `after`."""
    changes = plain_records(change.changes)
    return _dumped({"version": 1, "changes": changes, "before": change.before, "after": change.after})


def _dumped(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, allow_nan=False) + "\n"
