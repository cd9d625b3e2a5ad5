"""Who blocks whom: chains of waiting tasks, what each task holds up, and circles that never end."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from calypso_nb.frames import Column, records_to_frame, task_columns

BLOCKING_COLUMNS: dict[str, Column] = {
    "id": Column("int64", "", "a task that waits or is waited for; what holds up most comes first"),
    **task_columns("title", "status", "assigned_to", "priority", "archived_at"),
    "blocked_by_task_id": Column("Int64", "", "the task that it waits for now, NA if it waits for none"),
    "root_task_id": Column("Int64", "", "where its chain starts, itself for a root; NA behind a cycle"),
    "depth": Column("Int64", "tasks", "how many must end before it can go on; NA behind a cycle"),
    "holds_up_directly": Column("int64", "tasks", "open tasks that wait for this one"),
    "holds_up_in_all": Column("int64", "tasks", "open tasks that wait for it, or for one that waits for it"),
    "longest_chain": Column("Int64", "tasks", "most that wait for it one behind the other; NA in a cycle"),
    "cycle": Column("object", "", "ids of the cycle it is in, each blocked by the next; empty if in none"),
}


def blocking(tasks: pd.DataFrame, all_tasks: pd.DataFrame) -> pd.DataFrame:
    """Return who blocks whom: a frame with the columns of `BLOCKING_COLUMNS`, one row per task of any chain.

    `all_tasks` is all that was read, archived tasks included, and everything is counted on it; shown are
    those of `tasks`, and what they wait for. Only open tasks wait. A server that doesn't report blocking
    gives no row.
    """
    blocker_of = waits(all_tasks)
    chains = _measured(blocker_of)
    shown = set(_with_blockers(set(tasks["id"].tolist()) & chains.directly.keys(), blocker_of))
    known: dict[Any, Any] = (
        all_tasks[all_tasks["id"].isin(shown)].set_index("id", drop=False).to_dict("index")
    )
    records: list[dict[str, Any]] = [
        {
            **known.get(task, {"id": task}),
            "blocked_by_task_id": blocker_of.get(task),
            "root_task_id": chains.root.get(task),
            "depth": chains.depth.get(task),
            "holds_up_directly": chains.directly[task],
            "holds_up_in_all": chains.in_all[task],
            "longest_chain": None if task in chains.cycle else chains.longest[task],
            "cycle": chains.cycle.get(task, ()),
        }
        for task in sorted(shown, key=lambda task: (-chains.in_all[task], chains.depth.get(task, 0), task))
    ]
    return records_to_frame(records, BLOCKING_COLUMNS)


def cycles(all_tasks: pd.DataFrame) -> list[tuple[int, ...]]:
    """Return the circles of tasks that wait for each other, of any length, each from its smallest id on.

    In each tuple a task is blocked by the next and the last by the first.
    """
    return sorted(set(_measured(waits(all_tasks)).cycle.values()))


def held_up(all_tasks: pd.DataFrame) -> Mapping[int, int]:
    """Return how many open tasks wait for a task, or for one that waits for it, by id; 0 for any other.

    Example: `held_up(data.all_tasks)[133]`
    """
    return _measured(waits(all_tasks)).in_all


def waits(all_tasks: pd.DataFrame) -> dict[int, int]:
    """Return the task that each blocked open task waits for, by id."""
    held = all_tasks[
        all_tasks["is_open"]
        & all_tasks["is_currently_blocked"].fillna(False)
        & all_tasks["blocked_by_task_id"].notna()
    ]
    return dict(zip(held["id"].tolist(), held["blocked_by_task_id"].astype("int64").tolist(), strict=True))


@dataclass
class _Chains:
    directly: dict[int, int]
    in_all: Counter[int] = field(default_factory=Counter)
    longest: Counter[int] = field(default_factory=Counter)
    root: dict[int, int] = field(default_factory=dict)
    depth: dict[int, int] = field(default_factory=dict)
    cycle: dict[int, tuple[int, ...]] = field(default_factory=dict)


def _measured(blocker_of: Mapping[int, int]) -> _Chains:
    """Count along the chains: a task waits for at most one other, so each ends at a root or in a cycle."""
    direct = Counter(blocker_of.values())
    chains = _Chains({task: direct[task] for task in {*blocker_of, *direct}})
    from_the_ends = _peeled(blocker_of, direct)
    for task in from_the_ends:
        blocker = blocker_of[task]
        chains.in_all[blocker] += 1 + chains.in_all[task]
        chains.longest[blocker] = max(chains.longest[blocker], 1 + chains.longest[task])
    for cycle in _cycles(blocker_of.keys() - set(from_the_ends), blocker_of):
        behind = sum(chains.in_all[task] for task in cycle)
        for task in cycle:
            chains.cycle[task] = cycle
            chains.in_all[task] = behind + len(cycle) - 1
    for task in direct.keys() - blocker_of.keys():
        chains.root[task], chains.depth[task] = task, 0
    for task in reversed(from_the_ends):
        if (blocker := blocker_of[task]) in chains.root:
            chains.root[task], chains.depth[task] = chains.root[blocker], chains.depth[blocker] + 1
    return chains


def _peeled(blocker_of: Mapping[int, int], direct: Counter[int]) -> list[int]:
    """The waiting tasks outside cycles, each before the task that it waits for."""
    behind = direct.copy()
    peeled = [task for task in blocker_of if not behind[task]]
    for task in peeled:
        blocker = blocker_of[task]
        behind[blocker] -= 1
        if not behind[blocker] and blocker in blocker_of:
            peeled.append(blocker)
    return peeled


def _cycles(members: set[int], blocker_of: Mapping[int, int]) -> Iterator[tuple[int, ...]]:
    while members:
        first = min(members)
        cycle = [first]
        while (following := blocker_of[cycle[-1]]) != first:
            cycle.append(following)
        members.difference_update(cycle)
        yield tuple(cycle)


def _with_blockers(tasks: set[int], blocker_of: Mapping[int, int]) -> Iterator[int]:
    seen: set[int] = set()
    for start in tasks:
        task: int | None = start
        while task is not None and task not in seen:
            seen.add(task)
            yield task
            task = blocker_of.get(task)
