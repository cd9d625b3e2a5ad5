"""What changed between two reports, a row per change."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from calypso_nb.frames import Column, records_to_frame
from calypso_nb.history.saved import CONTEXT_FIELDS, HELD_FIELDS, about, all_records
from calypso_nb.workload.reporter import Workload

# Every word that the column `change` can hold, in the order of its rows.
CHANGES = (
    "new",
    "started",
    "finished",
    "put back",
    "reopened",
    "newly blocked",
    "unblocked",
    "reassigned",
    "reprioritised",
    "edited",
    "touched",
    "archived",
    "restored",
    "gone",
)

DIFFERENCE_COLUMNS: dict[str, Column] = {
    "change": Column("str", "", "one of `CHANGES`, a row for each; touched: only its last edit moved"),
    "task_id": Column("int64", "", "the task"),
    "title": Column("str", "", "its title now, or its last one if it is gone"),
    "agent": Column("str", "", "agent now, or the last one if it is gone; NA if unassigned"),
    "field": Column("str", "", "the field that changed, NA for a task that is new or gone"),
    "before": Column("str", "", "what the field held, NA if nothing"),
    "after": Column("str", "", "what it holds now, NA if nothing"),
}

_CHANGES_OF = {
    "assigned_to": "reassigned",
    "priority": "reprioritised",
    "is_currently_blocked": "newly blocked",
    "updated_at": "touched",
}

# The number of comments tells it already, and a run's signs are no change.
_TOLD_BY_COUNT = {
    "last_comment_at",
    "last_comment_by",
    "last_comment",
    "last_sign_at",
    "last_sign_by",
    "run_until",
}

Record = dict[str, Any]


@dataclass(frozen=True, repr=False)
class Difference:
    """What changed between two reports.

    - changes: a row per change, with the columns of `DIFFERENCE_COLUMNS`.
    - before, after: where, when and how either report was made, as values that JSON can carry.

    Example: `difference(data, reporter.collect_workload_data()).changes.query("change == 'finished'")`
    """

    changes: pd.DataFrame
    before: Record
    after: Record

    def __repr__(self) -> str:
        moments = f"{self.before['generated_at']} to {self.after['generated_at']}"
        return f"<Difference {len(self.changes)} changes from {moments}>"


def difference(first: Workload, second: Workload) -> Difference:
    """Report what changed from the first report to the second, among the tasks that either of them shows.

    A task that a filter no longer lets through is not gone: it is looked up in all that was read. Edits of
    its description, tags, queue, comments and links are not reported.
    Example: `difference(WorkloadData.from_json(data.to_json()), data).changes`
    """
    before = {record["id"]: record for record in all_records(first)}
    after = {record["id"]: record for record in all_records(second)}
    shown_before, shown_after = (set(report.tasks["id"].tolist()) for report in (first, second))
    both = shown_before & shown_after
    rows = [
        row
        for task in sorted(shown_before | shown_after)
        # Of a task that one of them leaves out, a saved report may have no more.
        for row in _rows(
            before.get(task),
            after.get(task),
            HELD_FIELDS if task in both else CONTEXT_FIELDS,
        )
    ]
    rows.sort(key=lambda row: CHANGES.index(row["change"]))
    return Difference(records_to_frame(rows, DIFFERENCE_COLUMNS), about(first), about(second))


def _rows(before: Record | None, after: Record | None, compared: Sequence[str]) -> Iterator[Record]:
    task = after or before
    if task is None:
        return
    about_task = {"task_id": task["id"], "title": task["title"], "agent": task["assigned_to"]}
    if before is None or after is None:
        yield {**about_task, "change": "new" if before is None else "gone"}
        return
    edits = {name: (before[name], after[name]) for name in compared if before[name] != after[name]}
    for change, name in _changes(edits):
        # Of a block, the task that is waited for says more than yes or no.
        was, now = before[name], after[name]
        if name == "is_currently_blocked":
            was = (was and before["blocked_by_task_id"]) or None
            now = (now and after["blocked_by_task_id"]) or None
        yield {**about_task, "change": change, "field": name, "before": _text(was), "after": _text(now)}


def _changes(edits: dict[str, tuple[Any, Any]]) -> Iterator[tuple[str, str]]:
    edits = {name: edit for name, edit in edits.items() if name not in _TOLD_BY_COUNT}
    # Comments and links are counted for shown tasks alone: a count that was not read is no edit.
    unread = {name for name in ("comment_count", "link_count") if None in edits.get(name, ())}
    told_by_another = set(unread)
    if len(edits.keys() - unread) > 1:
        told_by_another.add("updated_at")
    if "is_currently_blocked" in edits:
        told_by_another.add("blocked_by_task_id")
    if "assigned_to" in edits:
        told_by_another.add("previous_assigned_to")
    for name, (before, after) in edits.items():
        change = name_of(name, before, after)
        if change and name not in told_by_another:
            yield change, name


def name_of(name: str, before: Any, after: Any) -> str:
    """Return which of `CHANGES` a field's change is, an empty text if nothing has happened."""
    if name == "status":
        return _move(before, after)
    if name == "archived_at":
        return "restored" if after is None else "archived"
    if name == "is_currently_blocked" and not after:
        # From unknown to "not blocked" nothing has happened.
        return "unblocked" if before else ""
    return _CHANGES_OF.get(name, "edited")


def _move(before: str | None, after: str | None) -> str:
    if after == "complete":
        return "finished"
    if before == "complete":
        return "reopened"
    return "started" if after == "working" else "put back"


def _text(value: Any) -> str | None:
    if isinstance(value, list):
        return ", ".join(value) or None
    return None if value is None else str(value)
