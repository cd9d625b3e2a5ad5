"""The workload of an agent team as DataFrames: who has how much, of what priority, and how old."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd

from calypso_nb.frames import AGE_COLUMNS, AGENT_COLUMNS, PRIORITY_COLUMNS, STATUSES
from calypso_nb.workload.attention import Thresholds, attention
from calypso_nb.workload.blocking import blocking
from calypso_nb.workload.counts import WorkloadSummary, by_age, by_agent, by_priority, summary_of
from calypso_nb.workload.flow import flow
from calypso_nb.workload.groups import queues, tags, tree

if TYPE_CHECKING:
    from calypso_nb.client import TinytaskClient

T = TypeVar("T")

__all__ = [
    "AGENT_COLUMNS",
    "AGE_COLUMNS",
    "PRIORITY_COLUMNS",
    "WorkloadData",
    "WorkloadReporter",
    "WorkloadSummary",
]


@dataclass(frozen=True, repr=False, eq=False)
class WorkloadData:
    """One moment of a team's workload; every number in it can be counted by hand from its `tasks`.

    `tasks`, `agents`, `priorities` and `ages` are DataFrames with the columns of `TASK_COLUMNS`,
    `AGENT_COLUMNS`, `PRIORITY_COLUMNS` and `AGE_COLUMNS` (dtypes and units stand there), also when empty.
    `all_tasks` is all that was read, archived tasks and those that the filters leave out included: what
    `attention`, `blocking`, `tree` and the leaves are seen on. Those are counted when first asked for.
    `generated_at` is the UTC time of the listing and of every age, `endpoint` says which server without
    its credentials, `details` whether comments and links were counted.
    Example: `data.tasks.query("priority > 2").sort_values("age_hours")`
    """

    summary: WorkloadSummary
    tasks: pd.DataFrame
    all_tasks: pd.DataFrame
    agents: pd.DataFrame
    priorities: pd.DataFrame
    ages: pd.DataFrame
    generated_at: datetime
    endpoint: str
    status_filter: tuple[str, ...] | None = None
    agent_filter: tuple[str | None, ...] | None = None
    details: bool = False

    @cached_property
    def attention(self) -> pd.DataFrame:
        """What needs attention, most urgent first, by the usual thresholds: `ATTENTION_COLUMNS`.

        Example: `data.attention.query("urgency == 3")`
        """
        return self.needing_attention(Thresholds())

    def needing_attention(self, thresholds: Thresholds) -> pd.DataFrame:
        """`attention` with thresholds of your own.

        Example: `data.needing_attention(Thresholds(working_unedited_hours=4))`
        """
        return attention(self.tasks, self.all_tasks, self.generated_at, thresholds)

    @cached_property
    def blocking(self) -> pd.DataFrame:
        """Who blocks whom, what holds up most first, with the columns of `BLOCKING_COLUMNS`.

        Example: `data.blocking.query("depth == 0").head(1)`
        """
        return blocking(self.tasks, self.all_tasks)

    @cached_property
    def queues(self) -> pd.DataFrame:
        """What waits in each queue, with the columns of `QUEUE_COLUMNS`.

        Example: `data.queues.sort_values("oldest_age_hours")`
        """
        return queues(self.tasks, self.all_tasks)

    @cached_property
    def tags(self) -> pd.DataFrame:
        """What there is of each tag, with the columns of `TAG_COLUMNS`.

        Example: `data.tags.query("tag == 'security'")`
        """
        return tags(self.tasks, self.all_tasks)

    @cached_property
    def tree(self) -> pd.DataFrame:
        """How far each parent task is, by its leaves, with the columns of `TREE_COLUMNS`.

        Example: `data.tree[["title", "progress"]]`
        """
        return tree(self.tasks, self.all_tasks)

    @cached_property
    def flow(self) -> pd.DataFrame:
        """What is known of each task's times, exact or as a bound, with the columns of `FLOW_COLUMNS`.

        Example: `data.flow["work_item_age_max_hours"].max()`
        """
        return flow(self.tasks)

    def select(
        self,
        status_filter: str | Iterable[str] | None = None,
        agent_filter: str | Iterable[str | None] | None = None,
    ) -> WorkloadData:
        """The same moment narrowed further, without asking the server; None leaves a filter as it is.

        An agent of None stands for unassigned tasks. Raises ValueError for a status that TinyTask lacks.
        Example: `data.select(status_filter=["idle"], agent_filter="alice").summary`
        """
        statuses, agents = _statuses(status_filter), _agents(agent_filter)
        tasks = _narrowed(self.tasks, statuses, agents)
        return replace(
            workload_of(tasks, self.generated_at, self.endpoint, self.details, self.all_tasks),
            status_filter=_both(self.status_filter, statuses),
            agent_filter=_both(self.agent_filter, agents),
        )

    def filters_text(self) -> str:
        """The filters in words, for a reader of the report.

        Example: `"status: idle, working; agent: all"`
        """
        statuses = ", ".join(self.status_filter) if self.status_filter is not None else "all"
        agents = (
            ", ".join(agent if agent is not None else "(unassigned)" for agent in self.agent_filter)
            if self.agent_filter is not None
            else "all"
        )
        return f"status: {statuses or 'none'}; agent: {agents or 'none'}"

    def to_html(self, path: str | os.PathLike[str], title: str = "Workload") -> Path:
        """Write the report as one HTML page that needs no kernel and no network, and return where it is.

        The file appears whole or not at all. Raises OSError where it cannot be written.
        Example: `data.to_html("reports/today.html")`
        """
        from calypso_nb.view.page import write_report

        return write_report(self, path, title)

    def _repr_html_(self) -> str:
        from calypso_nb.view.page import view_html  # How a report looks is not for this module to know.

        return view_html(self)

    def __repr__(self) -> str:
        s = self.summary
        return (
            f"<WorkloadData {len(self.tasks)} tasks: {s.total_open_tasks} open "
            f"({s.total_idle} idle, {s.total_working} working), {s.total_complete} complete, "
            f"{s.total_agents} agents; {self.generated_at:%Y-%m-%d %H:%M:%S} UTC "
            f"from {self.endpoint}; {self.filters_text()}>"
        )


class WorkloadReporter:
    """Reads the workload of a team from one TinyTask server.

    Example: `WorkloadReporter(TinytaskClient("demo")).collect_workload_data().agents`
    """

    def __init__(self, client: TinytaskClient) -> None:
        self.client = client

    def collect_workload_data(
        self,
        status_filter: str | Sequence[str] | None = None,
        agent_filter: str | Sequence[str | None] | None = None,
        details: bool = True,
        now: datetime | None = None,
        progress: bool | Callable[[int, int], None] = True,
    ) -> WorkloadData:
        """Read all tasks in one listing, complete at any size, and count those that are not archived.

        `status_filter` and `agent_filter` take one name or several; an agent of None stands for unassigned
        tasks. `details` reads the comment and link counts as well, with a progress bar where that takes
        long and `progress` is left on, or with `progress(done, total)` called; without, they are NA. Ages
        are hours at `now`, an aware datetime (the current time by default). Raises TinytaskConnectionError
        where no answer comes or none of TinyTask's, TinytaskAPIError where the server refuses, ValueError for
        a status that TinyTask lacks and for a `now` without a time zone.
        Example: `reporter.collect_workload_data(status_filter=["idle", "working"]).summary`
        """
        statuses, agents = _statuses(status_filter), _agents(agent_filter)
        if now is not None and now.tzinfo is None:
            raise ValueError("now has no time zone: use datetime.now(UTC) or a datetime with tzinfo")
        records = self.client.list_task_records(include_archived=True)
        moment = (now if now is not None else datetime.now(UTC)).astimezone(UTC)
        all_tasks = self.client.frame_of(records, moment)
        tasks = _narrowed(all_tasks[all_tasks["archived_at"].isna()], statuses, agents)
        if details:
            counts = self.client.count_details(tasks["id"].tolist(), progress=progress)
            tasks, all_tasks = _with_counts(tasks, counts), _with_counts(all_tasks, counts)
        data = workload_of(tasks, moment, self.client.endpoint, details, all_tasks)
        return replace(data, status_filter=statuses, agent_filter=agents)


def workload_of(
    tasks: pd.DataFrame,
    generated_at: datetime,
    endpoint: str,
    details: bool,
    all_tasks: pd.DataFrame | None = None,
) -> WorkloadData:
    """Count a frame of tasks: the one place where the numbers of a report are made.

    `all_tasks` is all that was read, of which `tasks` are a part; without it they are all.
    Example: `workload_of(tasks_frame(records, now), now, "http://localhost:3000", details=False)`
    """
    return WorkloadData(
        summary=summary_of(tasks),
        tasks=tasks,
        all_tasks=tasks if all_tasks is None else all_tasks,
        agents=by_agent(tasks),
        priorities=by_priority(tasks),
        ages=by_age(tasks),
        generated_at=generated_at,
        endpoint=endpoint,
        details=details,
    )


def _statuses(wanted: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if wanted is None:
        return None
    statuses = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    unknown = [status for status in statuses if status not in STATUSES]
    if unknown:
        raise ValueError(f"unknown status {unknown[0]!r}: TinyTask has {', '.join(STATUSES)}")
    return statuses


def _agents(wanted: str | Iterable[str | None] | None) -> tuple[str | None, ...] | None:
    if wanted is None:
        return None
    return (wanted,) if isinstance(wanted, str) else tuple(wanted)


def _both(first: tuple[T, ...] | None, second: tuple[T, ...] | None) -> tuple[T, ...] | None:
    """What passes both filters, of which None lets everything through."""
    if first is None or second is None:
        return second if first is None else first
    return tuple(item for item in second if item in first)


def _narrowed(
    tasks: pd.DataFrame, statuses: tuple[str, ...] | None, agents: tuple[str | None, ...] | None
) -> pd.DataFrame:
    keep = np.ones(len(tasks), dtype=bool)
    if statuses is not None:
        keep &= tasks["status"].isin(statuses)
    if agents is not None:
        named = [agent for agent in agents if agent is not None]
        keep &= tasks["assigned_to"].isin(named) | (tasks["assigned_to"].isna() & (None in agents))
    return tasks[keep].reset_index(drop=True)


def _with_counts(tasks: pd.DataFrame, counts: dict[int, tuple[int | None, int | None]]) -> pd.DataFrame:
    pairs = [counts.get(task, (None, None)) for task in tasks["id"].tolist()]
    return tasks.assign(
        comment_count=pd.array([comments for comments, _ in pairs], dtype="Int64"),
        link_count=pd.array([links for _, links in pairs], dtype="Int64"),
    )
