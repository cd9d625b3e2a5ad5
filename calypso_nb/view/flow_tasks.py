"""Which tasks a mark of a chart of flow counts, certainly or possibly: what a click on it opens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from calypso_nb.flow.items import Bounds
from calypso_nb.flow.measures import Flow
from calypso_nb.history.changes import micros_of

# More than a list that anybody reads.
MOST_OPENED = 200

Ids = list[int]


def some(tasks: Any) -> Ids:
    """Return the numbers of some tasks, each once and not too many."""
    return [*dict.fromkeys(int(task) for task in tasks)][:MOST_OPENED]


def in_spans(tasks: np.ndarray, times: Bounds, frame: pd.DataFrame) -> pd.Series:
    """Return per span of a frame, `from` and `to`, the tasks whose time may lie in it.

    - tasks: the task of each of the times
    """
    ends = zip(_micros(frame["from"]), _micros(frame["to"]), strict=True)
    found = [some(tasks[(times.low <= end) & (times.high >= begin)]) for begin, end in ends]
    return pd.Series(found, index=frame.index, dtype="object")


def in_progress(flow: Flow, moments: pd.Series) -> pd.Series:
    """Return the tasks that may have been in progress at each moment."""
    items = flow.items
    until = np.where(np.isnan(items.done.high), np.inf, items.done.high)
    found = [some(items.tasks[(items.started.low <= at) & (until > at)]) for at in _micros(moments)]
    return pd.Series(found, index=moments.index, dtype="object")


def lasting(tasks: pd.DataFrame, column: str, low: float, high: float) -> Ids:
    """Return the tasks whose cycle or lead time may lie between two numbers of hours."""
    found = (tasks[f"{column}_least"] <= high) & (tasks[f"{column}_most"] >= low)
    return some(tasks.loc[found, "task_id"])


def passing(flow: Flow, queue: str, weeks: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return the tasks that may have come into a queue and left it in each week."""
    items = flow.items
    visits = items.visits[items.visits["queue"] == queue]
    tasks = items.tasks[visits["item"].to_numpy()]
    came, left = items.bounds.of(visits["first"].to_numpy()), items.ends.of(visits["last"].to_numpy())
    return in_spans(tasks, came, weeks), in_spans(tasks, left, weeks)


def waiting_in(flow: Flow) -> dict[str, Ids]:
    """Return the tasks that are in each queue now."""
    items = flow.items
    staying = items.visits[np.isnan(items.ends.low[items.visits["last"]])]
    return {str(queue): some(items.tasks[places]) for queue, places in staying.groupby("queue")["item"]}


def handed_on(flow: Flow) -> dict[tuple[str, str], Ids]:
    """Return the tasks that went from one agent to another."""
    pairs = flow.handed.groupby(["from_agent", "to_agent"])["task"]
    return {(str(ends[0]), str(ends[1])): some(tasks) for ends, tasks in pairs}


def of_group(flow: Flow, group: str) -> dict[Any, Ids]:
    """Return the tasks of each agent or queue that are in progress or were measured; "" is none."""
    if group not in ("agent", "queue"):
        return {}
    tasks = flow.tasks
    counted = tasks[tasks["work_item_age_most"].notna() | tasks["cycle_time_most"].notna()]
    groups = counted.groupby(counted[group].fillna(""))["task_id"]
    return {name: some(numbers) for name, numbers in groups}


def _micros(times: pd.Series) -> Iterable[int]:
    return [micros_of(time) for time in times]
