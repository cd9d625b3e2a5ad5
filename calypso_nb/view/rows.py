"""What views show of each task, and the filter that chooses among them."""

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from calypso_nb.frames import age_buckets
from calypso_nb.workload.phrases import readable_hours

# An empty list lets everything through, None as an agent or a queue stands for tasks without, None as a
# bound of the priority for no bound. What is not open is not blocked.
NO_FILTER: Mapping[str, Any] = {
    "statuses": [],
    "agents": [],
    "queues": [],
    "tags": [],
    "ages": [],
    "blocked": [],
    "ids": [],
    "priority": [None, None],
    "search": "",
}


def task_rows(tasks: pd.DataFrame) -> pd.DataFrame:
    """Return one row per task that is not archived, in the order of `tasks`.

    Ages are hours (`age_hours`, `hours_since_update`) and the same in words (`age`, `last_edit`); NA is
    unknown.
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
            "tags": current["tags"],
            "blocked": current["is_currently_blocked"],
            "blocked_by": current["blocked_by_task_id"],
            "parent": current["parent_task_id"],
            "is_open": current["is_open"],
            "comments": current["comment_count"],
            "links": current["link_count"],
            "created_at": current["created_at"],
            "updated_at": current["updated_at"],
            "last_sign_at": current["last_sign_at"],
            "last_sign_by": current["last_sign_by"],
            "run_until": current["run_until"],
        }
    ).reset_index(drop=True)


def matching(tasks: pd.DataFrame, filter: Mapping[str, Any]) -> pd.DataFrame:
    """Return the tasks that pass a filter of the view; `browser/src/filter.js` does the same.

    - tasks: a frame with the columns of `TASK_COLUMNS`; archived tasks never pass
    - filter: any of the fields of `NO_FILTER`. `ages` holds names of `AGE_BUCKETS` and lets only open
      tasks through, `blocked` any of True, False and None, which is unknown; `search` is looked for in
      titles, agents, queues and tags, ignoring case, and `#7` is the task with that number.
    """
    chosen = {**NO_FILTER, **filter}
    keep = tasks["archived_at"].isna()
    for name, column in (("statuses", "status"), ("agents", "assigned_to"), ("queues", "queue_name")):
        if chosen[name]:
            keep &= _among(tasks[column], chosen[name])
    if chosen["tags"]:
        keep &= tasks["tags"].map(frozenset(chosen["tags"]).intersection).astype(bool)
    if chosen["ages"]:
        keep &= tasks["is_open"] & age_buckets(tasks).isin(chosen["ages"])
    low, high = chosen["priority"]
    if low is not None:
        keep &= (tasks["priority"] >= low).fillna(False).astype(bool)
    if high is not None:
        keep &= (tasks["priority"] <= high).fillna(False).astype(bool)
    if chosen["blocked"]:
        blocked = tasks["is_currently_blocked"].where(tasks["is_open"], False)
        keep &= _among(blocked.astype("object"), chosen["blocked"])
    if chosen["ids"]:
        keep &= tasks["id"].isin(chosen["ids"])
    text = str(chosen["search"]).strip(" ").lower()
    if text:
        keep &= _saying(tasks, text)
    return tasks[keep].reset_index(drop=True)


def _saying(tasks: pd.DataFrame, text: str) -> pd.Series:
    """Return which tasks have a text in what people look for them by, or the number that it names."""
    named = re.fullmatch(r"#([0-9]{1,15})", text)
    if named:
        return tasks["id"] == int(named[1])
    says = pd.Series(False, index=tasks.index)
    for name in ("title", "assigned_to", "queue_name"):
        says |= tasks[name].fillna("").map(lambda value: text in value.lower()).astype(bool)
    return says | tasks["tags"].map(lambda tags: any(text in str(tag).lower() for tag in tags)).astype(bool)


def _among(values: pd.Series, names: list[Any]) -> pd.Series:
    among = values.isin([name for name in names if name is not None])
    if None in names:
        among |= values.isna()
    return among
