"""What views show of each task: one row a task, with ages in words, for charts, tables and the filter."""

from __future__ import annotations

import pandas as pd

from calypso_nb.frames import age_buckets
from calypso_nb.workload.phrases import UNASSIGNED, readable_hours

__all__ = ["UNASSIGNED", "task_rows"]


def task_rows(tasks: pd.DataFrame) -> pd.DataFrame:
    """What charts and pages show of each task that is not archived, one row a task, in the order of `tasks`.

    Ages are hours (`age_hours`, `hours_since_update`) and the same in words (`age`, `last_edit`); times
    are ISO 8601 in UTC; NA is unknown.

    Example: `task_rows(data.tasks)[["agent", "age_bucket"]].value_counts()`
    """
    current = tasks[tasks["archived_at"].isna()]
    return pd.DataFrame(
        {
            "id": current["id"],
            "title": current["title"],
            "status": current["status"],
            "agent": current["assigned_to"],
            "priority": current["priority"],
            "age_hours": current["age_hours"],
            "age": current["age_hours"].map(readable_hours),
            "age_bucket": age_buckets(current),
            "hours_since_update": current["hours_since_update"],
            "last_edit": current["hours_since_update"].map(readable_hours),
            "queue": current["queue_name"],
            "tags": current["tags"].map(list),
            "blocked": current["is_currently_blocked"],
            "blocked_by": current["blocked_by_task_id"],
            "is_open": current["is_open"],
            "comments": current["comment_count"],
            "links": current["link_count"],
            "created_at": current["created_at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "updated_at": current["updated_at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    ).reset_index(drop=True)
