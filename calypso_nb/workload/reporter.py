"""The workload of an agent team as DataFrames: who has how much, of what priority, and how old."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar

import pandas as pd

from calypso_nb.client.calls import COUNTED, Details
from calypso_nb.errors import UsageError
from calypso_nb.frames import COMMENT_COLUMNS, OPEN_STATUSES, STATUSES, records_to_frame, task_columns
from calypso_nb.snoozes import DAY, Snoozes
from calypso_nb.team import Snooze, Team, Thresholds, load_team
from calypso_nb.workload import counts
from calypso_nb.workload.attention import Attention, attention
from calypso_nb.workload.blocking import blocking
from calypso_nb.workload.flow import flow
from calypso_nb.workload.phrases import UNASSIGNED, did_you_mean, readable_hours
from calypso_nb.workload.reasons import REASONS, Board
from calypso_nb.workload.runs import runs_in
from calypso_nb.workload.tree import tree

if TYPE_CHECKING:
    from calypso_nb.client import TinytaskClient
    from calypso_nb.snoozes import Line

# Comments of so many tasks are read within a second or so.
_FEW_TASKS = 500

T = TypeVar("T")
W = TypeVar("W", bound="Workload")
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
    - team: what the team has agreed on, by default what `load_team` reads; `attention` goes by it.
    - silent_after, pauses: how long an agent is silent now and then, in hours, and from when to when the
      whole team was, if that is recorded.
    - snoozes: what somebody has snoozed, besides what the team has agreed on; `snoozed` is what they hide.
    - run_notes: what schedulers have written on each task whose comments were read; `runs` is made of it.

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
    team: Team = field(default_factory=load_team)
    silent_after: Mapping[str, float] = field(default_factory=dict)
    pauses: tuple[tuple[datetime, datetime], ...] = ()
    snoozes: tuple[Snooze, ...] = ()
    run_notes: Mapping[int, Sequence[Mapping[str, Any]]] | None = None

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

    @property
    def attention(self) -> pd.DataFrame:
        """What needs attention, a line per task, agent or queue, with the columns of `ATTENTION_COLUMNS`."""
        return self._attention.lines

    @property
    def needs(self) -> pd.DataFrame:
        """The reasons behind `attention`, a row each, with the columns of `NEED_COLUMNS`."""
        return self._attention.needs

    @property
    def snoozed(self) -> pd.DataFrame:
        """What would be in `attention` but for a snooze, with the columns of `SNOOZED_COLUMNS`."""
        return self._attention.snoozed

    @property
    def paused_since(self) -> datetime | None:
        """Since when nobody has given a sign, if the team is taken to be paused; else None."""
        paused = self._board.paused_since
        return None if paused is None else paused.to_pydatetime()

    def attention_head(self) -> str:
        """Return in words how often each reason is there, what is snoozed or unread, and any pause.

        Example: `data.attention_head()`
        """
        counts = self.needs["reason"].value_counts()
        said = [f"{counts[name]} {name.replace('_', ' ')}" for name in REASONS if name in counts]
        if len(self.snoozed):
            said.append(f"{len(self.snoozed)} snoozed")
        unread = int(self.tasks.loc[self.tasks["is_open"], "last_sign_at"].isna().sum())
        if unread:
            said.append(f"comments of {unread:,} open task{'s' * (unread != 1)} not read")
        head = " · ".join(said)
        if self.paused_since is None:
            return head
        quiet = readable_hours((self.generated_at - self.paused_since).total_seconds() / 3600)
        paused = f"no sign from anybody for {quiet}: the team is taken to be paused"
        return f"{head} · {paused}" if head else paused

    @cached_property
    def _attention(self) -> Attention:
        return attention(self._board)

    @cached_property
    def _board(self) -> Board:
        shown, now = {*self.tasks["id"].tolist()}, pd.Timestamp(self.generated_at)
        usual = self.silent_after, self.pauses
        return Board(self.all_tasks, shown, now, self.team, *usual, self.snoozes)

    def needing_attention(self, thresholds: Thresholds) -> pd.DataFrame:
        """Return `attention` by thresholds of your own; supervisors that they don't name are the team's.

        Example: `data.needing_attention(Thresholds(silent_hours=4))`
        """
        if "supervisors" not in thresholds.model_fields_set:
            known = {"supervisors": self.team.thresholds.supervisors}
            thresholds = thresholds.model_copy(update=known)
        return replace(self, team=self.team.model_copy(update={"thresholds": thresholds})).attention

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
    def runs(self) -> pd.DataFrame:
        """The runs by `run-agent` of these tasks, going on and ended, with the columns of `RUN_COLUMNS`.

        Only tasks whose comments were read have them; `reporter.runs()` reads those of others too. Raise
        UsageError if no comments were read, as in a report of the past.
        """
        if self.run_notes is None:
            raise UsageError("comments were not read: collect_workload_data(details=True) reads them")
        notes = [note for task in self.tasks["id"].tolist() for note in self.run_notes.get(task, ())]
        return runs_in(records_to_frame(notes, COMMENT_COLUMNS), self.generated_at)

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


class Snoozing:
    """What can be snoozed by whoever reads a server, or its history."""

    @property
    def snoozes(self) -> Snoozes:
        """What is snoozed on this server.

        Example: `reporter.snoozes.current()`
        """
        raise NotImplementedError

    def snooze(
        self, line: Line, until: datetime | timedelta | None = DAY, why: str = "", by: str = ""
    ) -> None:
        """Snooze a line of `data.attention` until a moment, or until something new happens to it.

        - line: a row of `data.attention`, or a dict with its `about`, `facts`, and `task_id` (or `id`),
          `agent` or `queue`; what was snoozed of the same before stays so, until the same end
        - until: a moment with a time zone, a length of time from now, or None: only something new ends it
        - why, by: why, and who says so, by default `TINYTASK_AGENT`, then the name of your login

        What has another fact is back at once. It is kept in the history's file if there is one, for all who
        use that, else in your own folder. Raise UsageError if one of these is not valid or the file is
        damaged, OSError if it can't be written.
        Example: `reporter.snooze(data.attention.iloc[0], why="the vendor is on holiday")`
        """
        self.snoozes.snooze(line, until, why, by)

    def wake(self, line: Line) -> None:
        """End the snooze of a row of `data.snoozed`, or of a dict as `snooze` takes it.

        Raise UsageError if there is none or the file is damaged, OSError if it can't be written.
        Example: `reporter.snooze(data.attention.iloc[0]); reporter.wake(data.attention.iloc[0])`
        """
        self.snoozes.wake(line)

    def with_snoozes(self, data: W) -> W:
        """Return a report with what is snoozed by now, without asking the server.

        Example: `reporter.with_snoozes(data).snoozed`
        """
        return replace(data, snoozes=self.snoozes.holding(data.generated_at))


class Reporter(Snoozing, Generic[W_co]):
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
        details: bool | Literal["needed"] = True,
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
          that are counted; what was not read by then is NA, and a warning says so. `"needed"` reads those of
          all open tasks if they are few, else of tasks in progress, by which `attention` knows who is silent.
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
        report = replace(report, **self._habits(), snoozes=self._holding(moment, past=as_of is not None))
        if not details or as_of is not None:
            return report
        read = report.tasks
        if details == "needed":
            read = read[read["is_open"]]
            read = read if len(read) <= _FEW_TASKS else read[read["status"] == "working"]
        left = self.client.seconds_for(len(read)) - (time.monotonic() - start)
        found = self.client.count_details(read["id"].tolist(), progress, seconds=left)
        all_tasks = with_counts(all_tasks, found)
        current = all_tasks[all_tasks["archived_at"].isna()]
        tasks = _narrowed(current, report.status_filter, report.agent_filter)
        notes = {task: details.run_notes for task, details in found.items() if details.run_notes}
        return replace(report, tasks=tasks, all_tasks=all_tasks, details=details is True, run_notes=notes)

    @property
    def snoozes(self) -> Snoozes:
        """What is snoozed on this server.

        Example: `reporter.snoozes.current()`
        """
        return Snoozes(self.client.endpoint)

    def _holding(self, moment: datetime, *, past: bool) -> tuple[Snooze, ...]:
        """Return what a report is to leave out, at its moment."""
        return self.snoozes.holding(moment, past=past)

    def _habits(self) -> dict[str, Any]:
        """Return `silent_after` and `pauses` of a report, if the past is recorded."""
        return {}

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


def with_counts(tasks: pd.DataFrame, found: Mapping[int, Details], recorded: bool = False) -> pd.DataFrame:
    """Return the tasks with what was counted of them by task id; a task that is not there has NA.

    - recorded: comments are known from a history, which need not have all of them, so they are not counted
    """
    unknown = Details()
    details = [found.get(task_id, unknown) for task_id in tasks["id"].tolist()]
    rows = pd.DataFrame([one[: len(COUNTED)] for one in details], tasks.index, COUNTED, dtype="object")
    told = records_to_frame(rows, task_columns(*COUNTED))
    read = told["comment_count"].notna() | recorded
    edited = read & (told["last_sign_at"].isna() | (told["last_sign_at"] < tasks["updated_at"]))
    told["last_sign_at"] = told["last_sign_at"].mask(edited, tasks["updated_at"])
    told["last_sign_by"] = told["last_sign_by"].mask(edited)
    return tasks.assign(**told)
