"""How long work takes, as far as a server without a history can tell: exact, a bound, or unknown.

TinyTask keeps no history, and any edit moves a task's `updated_at`. So only the time since creation is
exact. When a task was started or finished lies somewhere between its creation and its last edit. The
names are the Kanban Guide's: work in progress, work item age, cycle time; lead time runs from creation.
"""

from __future__ import annotations

import pandas as pd

from calypso_nb.frames import Column, conformed

__all__ = ["BOUND", "EXACT", "FLOW_COLUMNS", "UNKNOWN", "flow", "readable_hours", "readable_range"]

EXACT, BOUND, UNKNOWN = "exact", "bound", "unknown"

FLOW_COLUMNS: dict[str, Column] = {
    "id": Column("int64", "", "the task; one row a task that is not archived"),
    "title": Column("str", "", "free text, written by an agent"),
    "status": Column("str", "", "idle, working or complete"),
    "assigned_to": Column("str", "", "agent, NA where unassigned"),
    "age_hours": Column("float64", "hours", "since creation"),
    "age_known": Column("str", "", "exact or unknown"),
    "work_item_age_min_hours": Column("float64", "hours", "working tasks: in progress for at least this"),
    "work_item_age_max_hours": Column("float64", "hours", "working tasks: in progress for at most this"),
    "work_item_age_known": Column("str", "", "bound or unknown for a working task, NA for others"),
    "lead_time_max_hours": Column("float64", "hours", "complete tasks: creation to finish, at most"),
    "lead_time_known": Column("str", "", "bound or unknown for a complete task, NA for others"),
    "cycle_time_max_hours": Column("float64", "hours", "complete tasks: start to finish, at most"),
    "cycle_time_known": Column("str", "", "bound or unknown for a complete task, NA for others"),
}


def flow(tasks: pd.DataFrame) -> pd.DataFrame:
    """Say of each task's times what is known: a frame with the columns of `FLOW_COLUMNS`, in hours.

    `tasks` has the columns of `TASK_COLUMNS`, its ages measured at the moment of the report.
    Example: `flow(data.tasks)[["id", "work_item_age_min_hours", "work_item_age_max_hours"]]`
    """
    current = tasks[tasks["archived_at"].isna()]
    working, complete = current["status"] == "working", current["status"] == "complete"
    both = current["age_hours"].notna() & current["hours_since_update"].notna()
    longest = (current["updated_at"] - current["created_at"]).dt.total_seconds() / 3600
    known = pd.Series(BOUND, index=current.index).where(both, UNKNOWN)
    rows = current[["id", "title", "status", "assigned_to", "age_hours"]].assign(
        age_known=pd.Series(EXACT, index=current.index).where(current["age_hours"].notna(), UNKNOWN),
        work_item_age_min_hours=current["hours_since_update"].where(working & both),
        work_item_age_max_hours=current["age_hours"].where(working & both),
        work_item_age_known=known.where(working),
        lead_time_max_hours=longest.where(complete),
        lead_time_known=known.where(complete),
        cycle_time_max_hours=longest.where(complete),
        cycle_time_known=known.where(complete),
    )
    return conformed(rows, FLOW_COLUMNS)


def readable_hours(hours: float | None) -> str | None:
    """A time span in words, in the largest unit that keeps it readable; None where it is not known.

    Example: `readable_hours(295.2)` is `"12.3 d"`
    """
    if hours is None or pd.isna(hours):
        return None
    if hours < 1:
        return f"{max(hours, 0) * 60:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} d"


def readable_range(at_least: float | None, at_most: float | None) -> str | None:
    """A bound in words that nobody takes for a value, given in hours; None where nothing is known.

    Example: `readable_range(3, 31)` is `"3.0 h to 31.0 h"` and `readable_range(None, 5)` is `"≤ 5.0 h"`
    """
    low, high = readable_hours(at_least), readable_hours(at_most)
    if low is None:
        return None if high is None else f"≤ {high}"
    return f"≥ {low}" if high is None else f"{low} to {high}"
