"""The numbers of a report, counted from its tasks: in all, per agent, per priority, per age."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from calypso_nb.frames import (
    AGE_BUCKETS,
    AGE_COLUMNS,
    AGENT_COLUMNS,
    PRIORITY_COLUMNS,
    STATUS_COUNTS,
    STATUSES,
    age_buckets,
    conformed,
)

__all__ = ["WorkloadSummary", "by_age", "by_agent", "by_priority", "summary_of"]


@dataclass(frozen=True)
class WorkloadSummary:
    """The numbers that matter, each counted over the tasks of one report; archived tasks are in none.

    Counts are tasks or agents, `oldest_open_hours` is hours since creation. None is unknown.
    Example: `data.summary.total_open_tasks`
    """

    total_open_tasks: int
    total_idle: int
    total_working: int
    total_complete: int
    total_unassigned: int
    total_blocked: int | None
    total_agents: int
    agents_with_work: int
    oldest_open_hours: float | None
    oldest_open_task: int | None


def summary_of(tasks: pd.DataFrame) -> WorkloadSummary:
    """Count the tasks of a report.

    Example: `summary_of(data.tasks).total_idle`
    """
    current = tasks[tasks["archived_at"].isna()]
    open_tasks = tasks[tasks["is_open"]]
    statuses = current["status"].value_counts()
    oldest = open_tasks.dropna(subset=["age_hours"]).nlargest(1, "age_hours")
    blocked = open_tasks["is_currently_blocked"]
    return WorkloadSummary(
        total_open_tasks=len(open_tasks),
        total_idle=int(statuses.get("idle", 0)),
        total_working=int(statuses.get("working", 0)),
        total_complete=int(statuses.get("complete", 0)),
        total_unassigned=int(open_tasks["assigned_to"].isna().sum()),
        total_blocked=None if blocked.isna().any() else int(blocked.sum()),
        total_agents=current["assigned_to"].nunique(),
        agents_with_work=open_tasks["assigned_to"].nunique(),
        oldest_open_hours=float(oldest["age_hours"].iloc[0]) if len(oldest) else None,
        oldest_open_task=int(oldest["id"].iloc[0]) if len(oldest) else None,
    )


def _flags(tasks: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """One row a task that is not archived: `columns`, and a 0/1 column for each count of `STATUS_COUNTS`."""
    current = tasks.loc[tasks["archived_at"].isna(), ["status", "is_open", *columns]]
    marks = {status: (current["status"] == status).astype("int64") for status in STATUSES}
    return current.assign(open=current["is_open"].astype("int64"), **marks)


def by_agent(tasks: pd.DataFrame) -> pd.DataFrame:
    """Count tasks per agent: a frame with the columns of `AGENT_COLUMNS`.

    Example: `by_agent(data.tasks)`
    """
    rows = _flags(tasks, "assigned_to", "is_currently_blocked", "priority", "age_hours")
    waiting = rows["is_currently_blocked"].astype("Int64").where(rows["is_open"], 0)
    rows = rows.assign(
        agent=rows["assigned_to"],
        blocked=waiting,
        open_priority=rows["priority"].astype("float64").where(rows["is_open"]),
        open_age=rows["age_hours"].where(rows["is_open"]),
    )
    grouped = rows.groupby("agent", sort=True)
    agents = grouped[["open", "idle", "working", "complete"]].sum()
    # A sum over tasks of which one is unknown is unknown, not the sum of the rest.
    agents["blocked"] = grouped["blocked"].sum().where(~rows["blocked"].isna().groupby(rows["agent"]).any())
    agents["mean_priority"] = grouped["open_priority"].mean()
    agents["mean_age_hours"] = grouped["open_age"].mean()
    agents["oldest_age_hours"] = grouped["open_age"].max()
    agents = agents.reset_index().sort_values(["open", "agent"], ascending=[False, True])
    return conformed(agents, AGENT_COLUMNS)


def by_priority(tasks: pd.DataFrame) -> pd.DataFrame:
    """Count tasks per priority: a frame with the columns of `PRIORITY_COLUMNS`.

    Example: `by_priority(data.tasks)`
    """
    counts = _flags(tasks, "priority").groupby("priority", dropna=False)[list(STATUS_COUNTS)].sum()
    return conformed(counts.reset_index().sort_values("priority", ascending=False), PRIORITY_COLUMNS)


def by_age(tasks: pd.DataFrame) -> pd.DataFrame:
    """Count open tasks per age: a frame with the columns of `AGE_COLUMNS`.

    Example: `by_age(data.tasks)`
    """
    rows = _flags(tasks, "age_hours")
    open_tasks = rows.loc[rows["is_open"]]
    edges = list(AGE_BUCKETS.values())
    counts = open_tasks.groupby(age_buckets(open_tasks))[["open", "idle", "working"]].sum()
    shown = [*AGE_BUCKETS, *(["unknown"] if "unknown" in counts.index else [])]
    ages = counts.reindex(shown, fill_value=0).rename_axis("age").reset_index()
    ages["from_hours"] = [0.0, *edges[:-1], *([np.nan] * (len(shown) - len(edges)))]
    ages["to_hours"] = [*edges, *([np.nan] * (len(shown) - len(edges)))]
    return conformed(ages, AGE_COLUMNS)
