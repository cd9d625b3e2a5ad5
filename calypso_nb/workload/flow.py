"""How long work takes, as far as a server without a history can tell: exact, a bound, or unknown.

TinyTask keeps no history, and any edit moves a task's `updated_at`. So only the time since creation is
exact. When a task was started or finished lies somewhere between its creation and its last edit. The
names are the Kanban Guide's: work in progress, work item age, cycle time; lead time runs from creation.
"""

import pandas as pd

from calypso_nb.frames import Column, conformed, task_columns

EXACT, BOUND, NOT_KNOWN = "exact", "bound", "unknown"

FLOW_COLUMNS: dict[str, Column] = {
    "id": Column("int64", "", "the task; one row per task that is not archived"),
    **task_columns("title", "status", "assigned_to", "age_hours"),
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
    """Return what is known of each task's times, in hours: a frame with the columns of `FLOW_COLUMNS`.

    The ages of `tasks` are measured at the moment of the report.
    """
    current = tasks[tasks["archived_at"].isna()]
    working, complete = current["status"] == "working", current["status"] == "complete"
    both = current["age_hours"].notna() & current["hours_since_update"].notna()
    longest = (current["updated_at"] - current["created_at"]).dt.total_seconds() / 3600
    known = pd.Series(BOUND, index=current.index).where(both, NOT_KNOWN)
    rows = current[["id", "title", "status", "assigned_to", "age_hours"]].assign(
        age_known=pd.Series(EXACT, index=current.index).where(current["age_hours"].notna(), NOT_KNOWN),
        work_item_age_min_hours=current["hours_since_update"].where(working & both),
        work_item_age_max_hours=current["age_hours"].where(working & both),
        work_item_age_known=known.where(working),
        lead_time_max_hours=longest.where(complete),
        lead_time_known=known.where(complete),
        cycle_time_max_hours=longest.where(complete),
        cycle_time_known=known.where(complete),
    )
    return conformed(rows, FLOW_COLUMNS)
