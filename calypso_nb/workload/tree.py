"""Parent tasks, and the leaves below them: the tasks without subtasks, which are the work."""

from collections import Counter
from collections.abc import Iterator

import pandas as pd

from calypso_nb.frames import Column, records_to_frame, task_columns

TREE_COLUMNS: dict[str, Column] = {
    "id": Column("int64", "", "a task with subtasks, followed by those of its subtasks that have some"),
    **task_columns("title", "status", "assigned_to", "archived_at", "parent_task_id"),
    "level": Column("int64", "", "0 if nothing is above it"),
    "leaves": Column("int64", "tasks", "tasks at any depth below it that have no subtasks: the work in it"),
    "leaves_complete": Column("int64", "tasks", "those that are complete, archived or not"),
    "leaves_working": Column("int64", "tasks", "those that are working"),
    "leaves_idle": Column("int64", "tasks", "those that are idle"),
    "progress": Column("float64", "", "share of its leaves that are complete, 0 to 1"),
}

_NO_LEAVES = {"leaves": 0, "leaves_complete": 0, "leaves_working": 0, "leaves_idle": 0}


def from_v2(tasks: pd.DataFrame) -> pd.Series:
    """Return whether each task comes from a server that has queues, subtasks and blocking, used or not."""
    return tasks["is_currently_blocked"].notna()


def leaves(tasks: pd.DataFrame, all_tasks: pd.DataFrame) -> pd.Series:
    """Return which of `tasks` have no subtask in `all_tasks` that is not archived; NA before TinyTask v2."""
    parents = all_tasks.loc[all_tasks["archived_at"].isna(), "parent_task_id"].dropna()
    return (~tasks["id"].isin(parents)).astype("boolean").where(from_v2(tasks))


def tree(tasks: pd.DataFrame, all_tasks: pd.DataFrame) -> pd.DataFrame:
    """Return how far each parent task is, by its leaves: a frame with the columns of `TREE_COLUMNS`.

    Leaves are counted in `all_tasks`. Of archived ones, those that are complete are work done, and the others
    are left out. Shown are the parents that are among `tasks` or have one of them below.
    """
    parent_of = _parents(all_tasks)
    work = all_tasks[all_tasks["archived_at"].isna() | (all_tasks["status"] == "complete")]
    counts: dict[int, Counter[str]] = {}
    lowest = work[~work["id"].isin(work["parent_task_id"].dropna()) & from_v2(work)]
    for task, status in zip(lowest["id"].tolist(), lowest["status"].tolist(), strict=True):
        for ancestor in _above(task, parent_of):
            below = counts.setdefault(ancestor, Counter(_NO_LEAVES))
            below["leaves"] += 1
            below[f"leaves_{status}"] += 1
    ids = tasks["id"].tolist()
    shown = {above for task in ids for above in (task, *_above(task, parent_of))} & counts.keys()
    known = all_tasks[all_tasks["id"].isin(shown)].set_index("id", drop=False).to_dict("index")
    # A path of ids from the top down sorts each parent before what is below it.
    paths = {task: [*reversed(list(_above(task, parent_of))), task] for task in shown}
    records = [
        {
            **known.get(task, {"id": task}),
            **counts[task],
            "level": len(paths[task]) - 1,
            "progress": counts[task]["leaves_complete"] / counts[task]["leaves"],
        }
        for task in sorted(shown, key=paths.__getitem__)
    ]
    return records_to_frame(records, TREE_COLUMNS)


def _parents(all_tasks: pd.DataFrame) -> dict[int, int]:
    children = all_tasks[all_tasks["parent_task_id"].notna()]
    parents = children["parent_task_id"].astype("int64")
    return dict(zip(children["id"].tolist(), parents.tolist(), strict=True))


def _above(task: int, parent_of: dict[int, int]) -> Iterator[int]:
    """The task's parent, its parent's parent and so on; a loop, which only a broken database has, ends."""
    seen = {task}
    while (parent := parent_of.get(task)) is not None and parent not in seen:
        seen.add(parent)
        yield parent
        task = parent
