"""The numbers of a report, counted from its tasks: in all, and per agent, priority, age, queue and tag.

A parent task is not work of its own: TinyTask rolls its status up from its subtasks. Columns named `open`,
`idle`, … count tasks, parents included, and add up to a report's totals; `open_leaves` counts the tasks
without subtasks, so that no work is counted twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import NamedTuple

import pandas as pd

from calypso_nb import frames
from calypso_nb.workload.phrases import UNKNOWN, or_unknown, readable_hours
from calypso_nb.workload.tree import from_v2, leaves

# What tasks without an agent are called where names are keys.
NOBODY = "unassigned"

_COUNTS = [name for name, column in frames.GROUP_COLUMNS.items() if column.unit == "tasks"]


@dataclass(frozen=True)
class WorkloadSummary:
    """The numbers that matter, each counted over the tasks of one report; archived tasks are in none.

    Task and agent counts; `agents_with_work` are the names of those with an open task, sorted;
    `oldest_open_hours` is hours since creation. `None` means unknown, for `total_complete` that the report's
    filter leaves complete tasks out.
    Example: `data.summary.total_open_tasks`
    """

    total_open_tasks: int
    total_idle: int
    total_working: int
    total_complete: int | None
    total_unassigned: int
    total_blocked: int | None
    total_agents: int
    agents_with_work: list[str]
    oldest_open_hours: float | None
    oldest_open_task: int | None


@dataclass(frozen=True)
class AgentWorkload:
    """What one agent has in a report, or nobody; ids in the report's order.

    Example: `data.agent_breakdown["unassigned"].idle_tasks`
    """

    agent_name: str
    total_tasks: int
    idle_tasks: int
    working_tasks: int
    task_ids: list[int]


@dataclass(frozen=True)
class PriorityDistribution:
    """How many tasks of a report have which priority; `None` without any.

    `by_priority` has the most urgent first, and `"unknown"` only if there are such.
    Example: `data.priority_distribution.average_priority`
    """

    by_priority: dict[int | str, int]
    highest_priority: int | None
    lowest_priority: int | None
    average_priority: float | None


@dataclass(frozen=True)
class AgeMetrics:
    """How old the tasks of a report are, in hours since creation; `None` without any.

    Example: `data.age_metrics.oldest_task_age_hours`
    """

    oldest_task_age_hours: float | None
    newest_task_age_hours: float | None
    average_task_age_hours: float | None
    median_task_age_hours: float | None
    oldest_task_id: int | None
    newest_task_id: int | None


class Tile(NamedTuple):
    """One number as it is shown: its name for a script, its label, its value as text, and a note or ""."""

    name: str
    label: str
    value: str
    note: str = ""

    @property
    def text(self) -> str:
        """The value with its note in parentheses."""
        return f"{self.value} ({self.note})" if self.note else self.value


def counted(tasks: pd.DataFrame, all_tasks: pd.DataFrame) -> pd.DataFrame:
    """Return the tasks that are not archived, with a column of 0, 1 or NA (unknown) for each count.

    `all_tasks`, all that was read, says which tasks are leaves.
    """
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
        open_priority=current["priority"].astype("float64").where(is_open),
    )


def summary_of(rows: pd.DataFrame, with_complete: bool) -> WorkloadSummary:
    """Count the rows of `counted` in all; `with_complete` says whether complete tasks could be among them."""
    counts = {name: rows[name].sum(skipna=False) for name in _COUNTS}
    oldest = rows.dropna(subset=["open_age"]).nlargest(1, "open_age")
    hours, number = next(zip(oldest["open_age"].tolist(), oldest["id"].tolist(), strict=True), (None, None))
    return WorkloadSummary(
        total_open_tasks=int(counts["open"]),
        total_idle=int(counts["idle"]),
        total_working=int(counts["working"]),
        total_complete=int(counts["complete"]) if with_complete else None,
        total_unassigned=int(counts["unassigned"]),
        total_blocked=None if pd.isna(counts["blocked"]) else int(counts["blocked"]),
        total_agents=rows["assigned_to"].nunique(),
        agents_with_work=sorted(rows.loc[rows["open"], "assigned_to"].dropna().unique()),
        oldest_open_hours=hours,
        oldest_open_task=number,
    )


def tiles(summary: WorkloadSummary, need_attention: int) -> list[Tile]:
    """Return the numbers of a report in the order, with the labels and the words that all its faces use."""
    s = summary
    oldest = ""
    if s.oldest_open_task is not None:
        oldest = f"#{s.oldest_open_task}"
    complete = [] if s.total_complete is None else [_count("complete", "Complete", s.total_complete)]
    return [
        _count("open", "Open", s.total_open_tasks),
        _count("idle", "Idle", s.total_idle),
        _count("working", "Working", s.total_working),
        *complete,
        _count("unassigned", "Unassigned", s.total_unassigned),
        _count("blocked", "Blocked", s.total_blocked),
        _count("agents", "Agents with work", len(s.agents_with_work)),
        _count("attention", "Need attention", need_attention),
        Tile("oldest", "Oldest open", or_unknown(readable_hours(s.oldest_open_hours)), oldest),
    ]


def _count(name: str, label: str, count: int | None) -> Tile:
    if count is None:
        return Tile(name, label, UNKNOWN, "unknown")
    return Tile(name, label, f"{count:,}")


def breakdown(rows: pd.DataFrame) -> dict[str, AgentWorkload]:
    """Count the rows of `counted` per agent's name, most tasks first; those without one are `unassigned`.

    An agent whose name is that very word gets quotes: its key is `'unassigned'`, and if another has the
    quotes in its name, that one gets two pairs.
    """
    found = {}
    for agent, tasks in rows.groupby("assigned_to", dropna=False, sort=False):
        nobody = pd.isna(agent)
        name = NOBODY if nobody else str(agent)
        key = name if nobody or name.strip("'") != NOBODY else f"'{name}'"
        found[key] = AgentWorkload(
            agent_name=name,
            total_tasks=len(tasks),
            idle_tasks=int(tasks["idle"].sum()),
            working_tasks=int(tasks["working"].sum()),
            task_ids=tasks["id"].tolist(),
        )
    by_load = sorted(found, key=lambda key: (key == NOBODY, -found[key].total_tasks, key))
    return {key: found[key] for key in by_load}


def priorities_of(rows: pd.DataFrame) -> PriorityDistribution:
    """Count the rows of `counted` per priority, and say between which they lie."""
    known = rows["priority"].dropna()
    counts = known.value_counts().sort_index(ascending=False)
    by_priority: dict[int | str, int] = dict(zip(counts.index.tolist(), counts.tolist(), strict=True))
    if len(known) < len(rows):
        by_priority["unknown"] = len(rows) - len(known)
    if known.empty:
        return PriorityDistribution(by_priority, None, None, None)
    levels = counts.index.tolist()
    return PriorityDistribution(by_priority, levels[0], levels[-1], round(float(known.mean()), 2))


def ages_of(rows: pd.DataFrame) -> AgeMetrics:
    """Say between which ages the rows of `counted` lie; of several as old the first is named."""
    known = rows.dropna(subset=["age_hours"])
    if known.empty:
        return AgeMetrics(None, None, None, None, None, None)
    ages, ids = known["age_hours"].tolist(), known["id"].tolist()
    oldest, newest = max(ages), min(ages)
    return AgeMetrics(
        oldest_task_age_hours=round(oldest, 2),
        newest_task_age_hours=round(newest, 2),
        average_task_age_hours=round(fmean(ages), 2),
        median_task_age_hours=round(median(ages), 2),
        oldest_task_id=ids[ages.index(oldest)],
        newest_task_id=ids[ages.index(newest)],
    )


def by_agent(rows: pd.DataFrame) -> pd.DataFrame:
    """Count the rows of `counted` per agent: a frame with the columns of `AGENT_COLUMNS`."""
    return _grouped(rows[rows["assigned_to"].notna()], "assigned_to", frames.AGENT_COLUMNS)


def by_priority(rows: pd.DataFrame) -> pd.DataFrame:
    """Count the rows of `counted` per priority: a frame with the columns of `PRIORITY_COLUMNS`."""
    counts = _grouped(rows, "priority", frames.PRIORITY_COLUMNS)
    return counts.sort_values("priority", ascending=False, ignore_index=True)


def by_age(rows: pd.DataFrame) -> pd.DataFrame:
    """Count the open ones of the rows of `counted` per age: a frame with the columns of `AGE_COLUMNS`."""
    names = ["open", "idle", "working"]
    open_rows = rows[rows["open"]]
    counts = open_rows.groupby(frames.age_buckets(open_rows))[names].sum()
    edges = [*frames.AGE_BUCKETS.values()]
    ages = pd.DataFrame({"from_hours": [0.0, *edges[:-1]], "to_hours": edges}, index=[*frames.AGE_BUCKETS])
    if "unknown" in counts.index:
        ages.loc["unknown"] = float("nan")
    ages[names] = counts.reindex(ages.index, fill_value=0)
    return frames.conformed(ages.rename_axis("age").reset_index(), frames.AGE_COLUMNS)


def by_queue(rows: pd.DataFrame) -> pd.DataFrame:
    """Count the rows of `counted` per queue: `QUEUE_COLUMNS`, without a row if the server has no queues."""
    return _grouped(rows[from_v2(rows)], "queue_name", frames.QUEUE_COLUMNS)


def by_tag(rows: pd.DataFrame) -> pd.DataFrame:
    """Count the rows of `counted` per tag, a task with two tags in two rows: `TAG_COLUMNS`."""
    once = rows["tags"].map(lambda of_task: list(dict.fromkeys(of_task)))
    return _grouped(rows.assign(tags=once).explode("tags"), "tags", frames.TAG_COLUMNS)


def _grouped(rows: pd.DataFrame, by: str, columns: Mapping[str, frames.Column]) -> pd.DataFrame:
    """Count the rows of `counted` per value of `by`, most open tasks first, with these columns.

    A sum over tasks of which one is unknown is unknown, not the sum of the rest.
    """
    groups = rows.groupby(by, dropna=False)
    known = groups[_COUNTS].count().eq(groups.size(), axis="index")
    found = groups[_COUNTS].sum().where(known)
    ages, priorities = groups["open_age"], groups["open_priority"]
    found = found.assign(
        mean_priority=priorities.mean(), mean_age_hours=ages.mean(), oldest_age_hours=ages.max()
    )
    aged = rows.dropna(subset=["open_age"]).sort_values(["open_age", "id"], ascending=[False, True])
    found["oldest_task_id"] = aged.groupby(by, dropna=False)["id"].first()
    named = found.rename_axis(next(iter(columns))).reset_index()
    return frames.conformed(named.sort_values(["open", named.columns[0]], ascending=[False, True]), columns)
