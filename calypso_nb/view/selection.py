"""The filter of the view in Python: what each field of it lets through.

The same stands in `assets/filters.js` for the browser; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from calypso_nb.frames import age_buckets

__all__ = ["NO_FILTER", "matching"]

# An empty list lets everything through, None as an agent or a queue stands for tasks without, None as a
# bound of the priority for no bound.
NO_FILTER: Mapping[str, Any] = {
    "statuses": [],
    "agents": [],
    "queues": [],
    "tags": [],
    "ages": [],
    "priority": [None, None],
    "search": "",
}


def matching(tasks: pd.DataFrame, filter: Mapping[str, Any]) -> pd.DataFrame:
    """The tasks that pass a filter of the view, which may lack any of the fields of `NO_FILTER`.

    `tasks` has the columns of `TASK_COLUMNS`. Archived tasks never pass; `ages` holds names of
    `AGE_BUCKETS` and lets only open tasks through; `search` is looked for in titles, whatever the case.

    Example: `matching(data.tasks, {"agents": ["alice", None], "priority": [5, None]})`
    """
    wanted = {**NO_FILTER, **filter}
    keep = tasks["archived_at"].isna()
    for name, column in (("statuses", "status"), ("agents", "assigned_to"), ("queues", "queue_name")):
        if wanted[name]:
            keep &= _among(tasks[column], wanted[name])
    if wanted["tags"]:
        keep &= tasks["tags"].map(frozenset(wanted["tags"]).intersection).astype(bool)
    if wanted["ages"]:
        keep &= tasks["is_open"] & age_buckets(tasks).isin(wanted["ages"])
    low, high = wanted["priority"]
    if low is not None:
        keep &= (tasks["priority"] >= low).fillna(False).astype(bool)
    if high is not None:
        keep &= (tasks["priority"] <= high).fillna(False).astype(bool)
    text = str(wanted["search"]).strip(" ").lower()
    if text:
        keep &= tasks["title"].fillna("").map(lambda title: text in title.lower()).astype(bool)
    return tasks[keep].reset_index(drop=True)


def _among(values: pd.Series, wanted: list[str | None]) -> pd.Series:
    named = values.isin([name for name in wanted if name is not None])
    return named | values.isna() if None in wanted else named
