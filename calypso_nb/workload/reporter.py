"""The workload of an agent team as DataFrames: who has how much, of what priority, and how old."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Generic, Self, TypeVar

import pandas as pd

from calypso_nb.client.calls import Details
from calypso_nb.errors import UsageError
from calypso_nb.frames import OPEN_STATUSES, STATUSES, records_to_frame, task_columns
from calypso_nb.workload import counts
from calypso_nb.workload.attention import Thresholds, attention
from calypso_nb.workload.blocking import blocking
from calypso_nb.workload.flow import flow
from calypso_nb.workload.phrases import UNASSIGNED, did_you_mean
from calypso_nb.workload.tree import tree

if TYPE_CHECKING:
    from calypso_nb.client import TinytaskClient

T = TypeVar("T")
W_co = TypeVar("W_co", bound="Workload", covariant=True)


@dataclass(frozen=True, repr=False, eq=False)
class Workload:
    """One moment of a team's workload; every number in it can be counted by hand from its `tasks`.

    - tasks: the tasks of this report, with the columns of `TASK_COLUMNS`.
    - all_tasks: all that was read, archived tasks and those that the filters leave out included; what
      `attention`, `blocking`, `tree` and the leaves are seen on.
    - generated_at: when the tasks were listed, in UTC; every age is measured at this moment.
    - endpoint: the server, without its credentials.
    - status_filter, agent_filter: what `tasks` were narrowed to, `None` for all.
    - details: whether comments and links were counted.

    All else is counted when it is first asked for.
    Example: `data.tasks.query("priority > 2").sort_values("age_hours")`
    """

    tasks: pd.DataFrame
    all_tasks: pd.DataFrame
    generated_at: datetime
    endpoint: str
    status_filter: tuple[str, ...] | None = None
    agent_filter: tuple[str | None, ...] | None = None
    details: bool = False

    @cached_property
    def _counted(self) -> pd.DataFrame:
        return counts.counted(self.tasks, self.all_tasks)

    @cached_property
    def summary(self) -> counts.WorkloadSummary:
        """The numbers that matter, over all tasks of the report."""
        return counts.summary_of(
            self._counted, self.status_filter is None or "complete" in self.status_filter
        )

    @cached_property
    def agent_breakdown(self) -> dict[str, counts.AgentWorkload]:
        """What each agent has, by name, in the form of the JSON; tasks without one are `"unassigned"`.

        An agent really called that has the key `"'unassigned'"`. `agents` is the same as a DataFrame.
        """
        return counts.breakdown(self._counted)

    @cached_property
    def priority_distribution(self) -> counts.PriorityDistribution:
        """How many tasks have which priority, in the form of the JSON; `priorities` is a DataFrame."""
        return counts.priorities_of(self._counted)

    @cached_property
    def age_metrics(self) -> counts.AgeMetrics:
        """How old the tasks are, in the form of the JSON; `ages` is a DataFrame."""
        return counts.ages_of(self._counted)

    @cached_property
    def agents(self) -> pd.DataFrame:
        """What each agent has, most open tasks first, with the columns of `AGENT_COLUMNS`."""
        return counts.by_agent(self._counted)

    @cached_property
    def priorities(self) -> pd.DataFrame:
        """The tasks per priority, most urgent first, with the columns of `PRIORITY_COLUMNS`."""
        return counts.by_priority(self._counted)

    @cached_property
    def ages(self) -> pd.DataFrame:
        """The open tasks per time since creation, with the columns of `AGE_COLUMNS`."""
        return counts.by_age(self._counted)

    @cached_property
    def attention(self) -> pd.DataFrame:
        """What needs attention, most urgent first, by the usual thresholds: `ATTENTION_COLUMNS`."""
        return self.needing_attention(Thresholds())

    def needing_attention(self, thresholds: Thresholds) -> pd.DataFrame:
        """Return `attention` by thresholds of your own.

        Example: `data.needing_attention(Thresholds(working_unedited_hours=4))`
        """
        return attention(self.tasks, self.all_tasks, self.generated_at, thresholds)

    @cached_property
    def blocking(self) -> pd.DataFrame:
        """Who blocks whom, what holds up most first, with the columns of `BLOCKING_COLUMNS`."""
        return blocking(self.tasks, self.all_tasks)

    @cached_property
    def queues(self) -> pd.DataFrame:
        """What waits in each queue, with the columns of `QUEUE_COLUMNS`."""
        return counts.by_queue(self._counted)

    @cached_property
    def tags(self) -> pd.DataFrame:
        """What there is of each tag, with the columns of `TAG_COLUMNS`."""
        return counts.by_tag(self._counted)

    @cached_property
    def tree(self) -> pd.DataFrame:
        """How far each parent task is, by its leaves, with the columns of `TREE_COLUMNS`."""
        return tree(self.tasks, self.all_tasks)

    @cached_property
    def flow(self) -> pd.DataFrame:
        """What is known of each task's times, exact or as a bound, with the columns of `FLOW_COLUMNS`."""
        return flow(self.tasks)

    def select(
        self,
        status_filter: str | Iterable[str] | None = None,
        agent_filter: str | Iterable[str | None] | None = None,
    ) -> Self:
        """Return the same moment narrowed further, without asking the server.

        - status_filter: one status or several; `None` leaves this filter as it is.
        - agent_filter: one agent or several, of which `None` stands for unassigned tasks; `None` alone
          leaves this filter as it is.

        Warn if no task is an agent's that is named. Raise ValueError for a status that TinyTask doesn't have.
        Example: `data.select(status_filter=["idle"], agent_filter="alice").summary`
        """
        statuses, agents = _statuses(status_filter), _names(agent_filter)
        current = self.all_tasks[self.all_tasks["archived_at"].isna()]
        for problem in _unmatched(current, (), agents or ()):
            warnings.warn(problem, stacklevel=2)
        return replace(
            self,
            tasks=_narrowed(self.tasks, statuses, agents),
            status_filter=_both(self.status_filter, statuses),
            agent_filter=_both(self.agent_filter, agents),
        )

    def filters_text(self) -> str:
        """Return the filters in words, for a reader of the report."""
        return f"status: {_listed(self.status_filter)}; agent: {_listed(self.agent_filter)}"

    def tiles(self) -> list[counts.Tile]:
        """Return the numbers that matter as text, with their labels, in the order in which they are shown."""
        return counts.tiles(self.summary, len(self.attention))

    def __repr__(self) -> str:
        s = self.summary
        complete = "" if s.total_complete is None else f"{s.total_complete} complete, "
        return (
            f"<{type(self).__name__} {len(self.tasks)} tasks: {s.total_open_tasks} open "
            f"({s.total_idle} idle, {s.total_working} working), {complete}"
            f"{s.total_agents} agents; {self.generated_at:%Y-%m-%d %H:%M:%S} UTC "
            f"from {self.endpoint}; {self.filters_text()}>"
        )


class Reporter(Generic[W_co]):
    """Reads the workload of a team from one TinyTask server; `makes` is the class of its reports."""

    makes: type[W_co]

    def __init__(self, tinytask_client: TinytaskClient) -> None:
        if not hasattr(tinytask_client, "list_task_records"):
            raise UsageError(
                f"a reporter reads from a client, not from {tinytask_client!r}: "
                f"{type(self).__name__}(TinytaskClient('demo'))"
            )
        self.client = tinytask_client

    def collect_workload_data(
        self,
        status_filter: str | Sequence[str] | None = None,
        agent_filter: str | Sequence[str | None] | None = None,
        details: bool = True,
        now: datetime | None = None,
        progress: bool | Callable[[int, int], None] = True,
        as_of: datetime | str | None = None,
    ) -> W_co:
        """Read all tasks in one listing, complete at any size, and report the open ones.

        - status_filter: one status or several; `None` for `["idle", "working"]`, `"all"` for every task
          that is not archived.
        - agent_filter: one agent or several, of which `None` stands for unassigned tasks; `None` alone
          for all.
        - details: also count comments and links, which takes a request per task; without, they are NA. The
          whole report takes the client's timeout at most, and as much again for each further thousand tasks
          that are counted; what was not read by then is NA, and a warning says so.
        - now: the moment at which ages are measured, an aware datetime; the current time by default.
        - progress: show a progress bar if counting takes long, or call `progress(done, total)`.
        - as_of: report how it was then, from the history instead of the server: an aware datetime, or like
          `"yesterday 18:00"`, in local time. Comments and links are NA.

        Warn if no task is an agent's that is named, or in a status that is. Raise TinytaskConnectionError if
        the server can't be reached or is not a TinyTask, TinytaskAPIError if it refuses, ValueError for a
        status that TinyTask doesn't have and for a `now` without a time zone.
        Example: `reporter.collect_workload_data(status_filter="all").summary`
        """
        start = time.monotonic()
        all_tasks, moment = self._read(now) if as_of is None else self._read_past(as_of)
        report = report_of(self.makes, all_tasks, moment, self.client.endpoint, status_filter, agent_filter)
        if not details or as_of is not None:
            return report
        left = self.client.seconds_for(len(report.tasks)) - (time.monotonic() - start)
        found = self.client.count_details(report.tasks["id"].tolist(), progress, seconds=left)
        all_tasks = with_counts(all_tasks, found)
        current = all_tasks[all_tasks["archived_at"].isna()]
        tasks = _narrowed(current, report.status_filter, report.agent_filter)
        return replace(report, tasks=tasks, all_tasks=all_tasks, details=True)

    def _read(self, now: datetime | None) -> tuple[pd.DataFrame, datetime]:
        return self.client.snapshot(now)

    def _read_past(self, moment: datetime | str) -> tuple[pd.DataFrame, datetime]:
        raise UsageError(f"a {type(self).__name__} has no history to read {moment!r} from")


def report_of(
    makes: type[W_co],
    all_tasks: pd.DataFrame,
    moment: datetime,
    endpoint: str,
    status_filter: str | Iterable[str] | None = None,
    agent_filter: str | Iterable[str | None] | None = None,
) -> W_co:
    """Return the report of all tasks at one moment, by default of the open ones.

    Warn if no task is an agent's that is named, or in a status that is; raise ValueError for a status that
    TinyTask doesn't have.
    """
    statuses = OPEN_STATUSES if status_filter is None else _statuses(status_filter)
    agents = _names(agent_filter)
    current = all_tasks[all_tasks["archived_at"].isna()]
    for problem in _unmatched(current, () if status_filter is None else statuses or (), agents or ()):
        warnings.warn(problem, stacklevel=3)
    return makes(_narrowed(current, statuses, agents), all_tasks, moment, endpoint, statuses, agents)


def _statuses(names: str | Iterable[str] | None) -> tuple[str, ...] | None:
    statuses = _names(names)
    for status in statuses or ():
        if status not in (*STATUSES, "all"):
            hint = did_you_mean(str(status), STATUSES)
            raise UsageError(f"unknown status {status!r}: TinyTask has {', '.join(STATUSES)}{hint}")
    return None if statuses and "all" in statuses else statuses


def _unmatched(tasks: pd.DataFrame, statuses: Iterable[str], agents: Iterable[str | None]) -> Iterator[str]:
    """Say which agents have no task at all, whatever its status, and which statuses no task is in."""
    known = tasks["assigned_to"].dropna().unique()
    for agent in agents:
        if agent is not None and agent not in known:
            yield f"no task of an agent called {agent!r}{did_you_mean(agent, known)}"
    if statuses and not tasks["status"].isin([*statuses]).any():
        yield f"no task is {' or '.join(statuses)}"


def _names(names: str | Iterable[T] | None) -> tuple[T | str, ...] | None:
    if names is None:
        return None
    several = (names,) if isinstance(names, str) else tuple(names) if isinstance(names, Iterable) else None
    if several is None or not all(name is None or isinstance(name, str) for name in several):
        raise UsageError(f"a filter is a name or a list of names, not {names!r}")
    return several


def _listed(names: Iterable[str | None] | None) -> str:
    if names is None:
        return "all"
    return ", ".join(UNASSIGNED if name is None else name for name in names) or "none"


def _both(first: tuple[T, ...] | None, second: tuple[T, ...] | None) -> tuple[T, ...] | None:
    """What passes both filters, of which None lets everything through."""
    if first is None:
        return second
    if second is None:
        return first
    return tuple(item for item in second if item in first)


def _narrowed(
    tasks: pd.DataFrame, statuses: tuple[str, ...] | None, agents: tuple[str | None, ...] | None
) -> pd.DataFrame:
    keep = pd.Series(True, index=tasks.index)
    if statuses is not None:
        keep &= tasks["status"].isin(statuses)
    if agents is not None:
        named = [agent for agent in agents if agent is not None]
        keep &= tasks["assigned_to"].isin(named) | (tasks["assigned_to"].isna() & (None in agents))
    return tasks[keep].reset_index(drop=True)


def with_counts(tasks: pd.DataFrame, found: Mapping[int, Details]) -> pd.DataFrame:
    """Return the tasks with what was counted of them by task id; a task that is not there has NA."""
    unknown = Details()
    details = [found.get(task_id, unknown) for task_id in tasks["id"].tolist()]
    rows = pd.DataFrame(details, tasks.index, Details._fields, dtype="object")
    return tasks.assign(**records_to_frame(rows, task_columns(*Details._fields)))
