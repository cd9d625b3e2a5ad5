"""The open work per queue, per tag, and per parent task.

A parent task is not work of its own: TinyTask rolls its status up from its subtasks. So columns named
`open`, `idle`, … count tasks, parents included, and add up to a report's totals; `open_leaves` and all of
`tree` count leaves, the tasks without subtasks, so that no work is counted twice.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from calypso_nb.frames import Column, conformed, records_to_frame

__all__ = ["QUEUE_COLUMNS", "TAG_COLUMNS", "TREE_COLUMNS", "leaves", "queues", "tags", "tree"]

_GROUP_COLUMNS: dict[str, Column] = {
    "open": Column("int64", "tasks", "idle or working, parents included"),
    "idle": Column("int64", "tasks", "idle, parents included"),
    "working": Column("int64", "tasks", "working: its WIP, parents included"),
    "complete": Column("int64", "tasks", "complete, parents included"),
    "blocked": Column("Int64", "tasks", "open and waiting for a task; NA where the server does not say"),
    "unassigned": Column("int64", "tasks", "open and nobody's"),
    "open_leaves": Column("Int64", "tasks", "open tasks without subtasks; NA where the server has none"),
    "oldest_age_hours": Column("float64", "hours", "time since creation of the oldest open task, exact"),
    "oldest_task_id": Column("Int64", "", "that task"),
}

QUEUE_COLUMNS: dict[str, Column] = {
    "queue": Column("str", "", "one row a queue, most open tasks first; NA for tasks in no queue"),
    **_GROUP_COLUMNS,
}

TAG_COLUMNS: dict[str, Column] = {
    "tag": Column(
        "str", "", "one row a tag, most open tasks first; NA for tasks without; a task counts in each"
    ),
    **_GROUP_COLUMNS,
}

TREE_COLUMNS: dict[str, Column] = {
    "id": Column("int64", "", "a task with subtasks, followed by those of its subtasks that have some"),
    "title": Column("str", "", "free text, written by an agent"),
    "status": Column("str", "", "idle, working or complete"),
    "assigned_to": Column("str", "", "agent, NA where unassigned"),
    "archived_at": Column("datetime64[us, UTC]", "UTC", "when it was archived, NA where it was not"),
    "parent_task_id": Column("Int64", "", "the task that this is a part of"),
    "level": Column("int64", "", "0 where nothing is above it"),
    "leaves": Column("int64", "tasks", "tasks at any depth below it that have no subtasks: the work in it"),
    "leaves_complete": Column("int64", "tasks", "those that are complete"),
    "leaves_working": Column("int64", "tasks", "those that are working"),
    "leaves_idle": Column("int64", "tasks", "those that are idle"),
    "progress": Column("float64", "", "share of its leaves that are complete, 0 to 1"),
}


def queues(tasks: pd.DataFrame, all_tasks: pd.DataFrame) -> pd.DataFrame:
    """Say what waits in each queue: a frame with the columns of `QUEUE_COLUMNS`, counted over `tasks`.

    Both have the columns of `TASK_COLUMNS`; `all_tasks`, all that was read, tells which tasks are leaves.
    A server without queues (v1) gives no row.
    Example: `queues(data.tasks, data.all_tasks).head()`
    """
    rows = _counted(tasks[_from_v2(tasks)], all_tasks)
    return _grouped(rows.assign(queue=rows["queue_name"]), "queue", QUEUE_COLUMNS)


def tags(tasks: pd.DataFrame, all_tasks: pd.DataFrame) -> pd.DataFrame:
    """Say what there is of each tag: a frame with the columns of `TAG_COLUMNS`, counted over `tasks`.

    Both have the columns of `TASK_COLUMNS`. A task with two tags counts in two rows, so rows don't add up.
    Example: `tags(data.tasks, data.all_tasks).query("tag == 'security'")`
    """
    rows = _counted(tasks, all_tasks)
    once = rows["tags"].map(lambda of_task: list(dict.fromkeys(of_task)))
    return _grouped(rows.assign(tag=once).explode("tag"), "tag", TAG_COLUMNS)


def leaves(tasks: pd.DataFrame, all_tasks: pd.DataFrame) -> pd.Series:
    """Say which of `tasks` have no subtask on the board that is not archived; NA where the server has none.

    Example: `data.tasks[leaves(data.tasks, data.all_tasks).fillna(True)]`
    """
    parents = all_tasks.loc[all_tasks["archived_at"].isna(), "parent_task_id"].dropna()
    return (~tasks["id"].isin(parents)).astype("boolean").where(_from_v2(tasks))


def tree(tasks: pd.DataFrame, all_tasks: pd.DataFrame) -> pd.DataFrame:
    """Say how far each parent task is, by its leaves: a frame with the columns of `TREE_COLUMNS`.

    Both have the columns of `TASK_COLUMNS`. Leaves are counted on the `all_tasks`, archived ones left out;
    shown are the parents that are among `tasks` or have one of them below.
    Example: `tree(data.tasks, data.all_tasks)[["title", "progress"]]`
    """
    parent_of = _parents(all_tasks)
    current = all_tasks[all_tasks["archived_at"].isna()]
    counts: dict[int, dict[str, int]] = {}
    lowest = current[leaves(current, all_tasks).fillna(False)]
    for task, status in zip(lowest["id"].tolist(), lowest["status"].tolist(), strict=True):
        for ancestor in _above(task, parent_of):
            below = counts.setdefault(ancestor, {"leaves": 0})
            below["leaves"] += 1
            below[f"leaves_{status}"] = below.get(f"leaves_{status}", 0) + 1
    ids = tasks["id"].tolist()
    shown = {above for task in ids for above in (task, *_above(task, parent_of))} & counts.keys()
    known = all_tasks[all_tasks["id"].isin(shown)].set_index("id", drop=False).to_dict("index")
    # A path of ids from the top down sorts each parent before what is below it.
    paths = {task: [*reversed(list(_above(task, parent_of))), task] for task in shown}
    records = [
        {
            "leaves_complete": 0,
            "leaves_working": 0,
            "leaves_idle": 0,
            **known.get(task, {"id": task}),
            **counts[task],
            "level": len(paths[task]) - 1,
            "progress": counts[task].get("leaves_complete", 0) / counts[task]["leaves"],
        }
        for task in sorted(shown, key=paths.__getitem__)
    ]
    return records_to_frame(records, TREE_COLUMNS)


def _from_v2(tasks: pd.DataFrame) -> pd.Series:
    """Whether a task comes from a server that has queues, subtasks and blocking, used or not."""
    return tasks["is_currently_blocked"].notna()


def _parents(all_tasks: pd.DataFrame) -> dict[int, int]:
    children = all_tasks[all_tasks["parent_task_id"].notna()]
    return dict(
        zip(children["id"].tolist(), children["parent_task_id"].astype("int64").tolist(), strict=True)
    )


def _above(task: int, parent_of: dict[int, int]) -> Iterator[int]:
    """The task's parent, its parent's parent and so on; a loop, which only a broken database has, ends."""
    seen = {task}
    while (parent := parent_of.get(task)) is not None and parent not in seen:
        seen.add(parent)
        yield parent
        task = parent


def _counted(tasks: pd.DataFrame, all_tasks: pd.DataFrame) -> pd.DataFrame:
    current = tasks[tasks["archived_at"].isna()]
    is_open = current["is_open"]
    return current.assign(
        open=is_open,
        idle=current["status"] == "idle",
        working=current["status"] == "working",
        complete=current["status"] == "complete",
        blocked=current["is_currently_blocked"].astype("Int64").where(is_open, 0),
        unassigned=is_open & current["assigned_to"].isna(),
        open_leaves=leaves(current, all_tasks).astype("Int64").where(is_open, 0),
        open_age=current["age_hours"].where(is_open),
    )


def _grouped(rows: pd.DataFrame, by: str, columns: dict[str, Column]) -> pd.DataFrame:
    grouped = rows.groupby(by, dropna=False)
    groups = grouped[["open", "idle", "working", "complete", "unassigned"]].sum()
    for name in ("blocked", "open_leaves"):
        # A sum over tasks of which one is unknown is unknown, not the sum of the rest.
        groups[name] = grouped[name].agg(lambda known: known.sum(skipna=False))
    groups["oldest_age_hours"] = grouped["open_age"].max()
    oldest_first = rows[rows["open_age"].notna()].sort_values(["open_age", "id"], ascending=[False, True])
    groups["oldest_task_id"] = oldest_first.groupby(by, dropna=False)["id"].first()
    return conformed(groups.reset_index().sort_values(["open", by], ascending=[False, True]), columns)
