"""How long the chains of blockers take that the tasks of a forecast wait for."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from calypso_nb.flow.items import Items


class Chains(NamedTuple):
    """The chains of blockers of some tasks: how long they take, or why one never ends.

    - spans: microseconds, a row for each task that waits, a column for each trial
    - length: how many tasks the longest chain has, 0 if nothing waits
    - never: why it never ends as it is, or an empty text
    """

    spans: np.ndarray
    length: int
    never: str


def chains_of(rng: np.random.Generator, team: Items, tasks: np.ndarray, trials: int) -> Chains:
    """Return how long the chains of blockers of some open tasks take.

    Each task of a chain takes a cycle time of the past, and one in progress one that is longer than it has
    been so already. A parent is done when its parts are.

    - team: all items, whose cycle times are drawn
    - tasks: the tasks that are asked about
    """
    last = team.journeys.steps.drop_duplicates("task_id", keep="last").set_index("task_id", drop=False)
    waits = _waits(last, tasks)
    nothing = Chains(np.zeros((0, trials)), 0, "")
    try:
        order = [*TopologicalSorter(waits).static_order()]
    except CycleError as circle:
        return nothing._replace(never=" waits for ".join(f"#{task}" for task in reversed(circle.args[1])))
    there = last["there"].to_dict()
    ages = dict(zip(team.tasks.tolist(), team.age.low.tolist(), strict=True))
    cycle = team.cycle
    known = ~np.isnan(cycle.high)
    cycles = np.sort(rng.uniform(cycle.low[known], cycle.high[known]))
    spans: dict[int, np.ndarray] = {}
    lengths: dict[int, int] = {}
    for task in order:
        if not there[task]:
            [one, *_] = [other for other, before in waits.items() if task in before] or [task]
            return nothing._replace(never=f"#{one} waits for #{task}, which is archived")
        before = waits.get(task, ())
        spans[task] = np.max([np.zeros(trials), *(spans[number] for number in before)], axis=0)
        lengths[task] = max((lengths[number] for number in before), default=0)
        if task in ages:  # A leaf, which takes its time; a parent has only its parts'.
            spans[task] = spans[task] + _remaining(rng, cycles, ages[task], trials)
            lengths[task] += 1
    waiting = [task for task in tasks.tolist() if task in spans]
    ends = np.stack([spans[task] for task in waiting]) if waiting else nothing.spans
    return Chains(ends, max(lengths.values(), default=0), "")


def _waits(last: pd.DataFrame, tasks: np.ndarray) -> dict[int, list[int]]:
    """Return for which open tasks each task waits, of those that wait and all that they wait for."""
    open_ = last[last["status"] != "complete"]
    blockers = _numbers(open_["blocked_by_task_id"], open_)
    parents = _numbers(open_["parent_task_id"], open_)
    parts: dict[int, list[int]] = {}
    for part, parent in parents.items():
        if open_.at[part, "there"]:
            parts.setdefault(parent, []).append(part)
    waits: dict[int, list[int]] = {}
    ahead = [task for task in tasks.tolist() if task in blockers]
    while ahead:
        task = ahead.pop()
        if task not in waits:
            blocker = [blockers[task]] if task in blockers else []
            waits[task] = [*blocker, *parts.get(task, [])]
            ahead += waits[task]
    return waits


def _numbers(values: pd.Series, open_: pd.DataFrame) -> dict[int, int]:
    known: Any = values[values.isin(open_.index)].astype("int64")
    return known.to_dict()  # type: ignore[no-any-return]


def _remaining(rng: np.random.Generator, cycles: np.ndarray, age: float, trials: int) -> np.ndarray:
    """Draw how long a task still takes; NaN is the age of one that is not in progress."""
    age = 0.0 if np.isnan(age) else age
    longer = cycles[cycles > age]
    return rng.choice(longer, trials) - age if len(longer) else np.zeros(trials)
