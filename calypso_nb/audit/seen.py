"""What the rules of the process are checked on: tasks, comments, links, and the way of each task if recorded.

Times are numbers of microseconds since 1970; a step of the past lies between two of them.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import pandas as pd

from calypso_nb.flow.measures import EXPECTED_LEAST, Flow
from calypso_nb.history.changes import SECOND, micros_of
from calypso_nb.history.journeys import Journeys
from calypso_nb.team import Role, Team
from calypso_nb.workload.reporter import Workload

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

DEVELOPMENT, CODE_REVIEW, QA, TESTING, BLOCKED, TRIAGE, BACKLOG = MANUAL_QUEUES = (
    *("ready-for-development", "ready-for-code-review", "ready-for-qa", "ready-for-testing"),
    *("blocked", "triage", "backlog"),
)
# A task in one of these has been handed over for somebody else to look at.
HANDOFF_QUEUES = (CODE_REVIEW, QA, TESTING)

_COLUMNS = {
    "id": "id",
    "title": "title",
    "description": "description",
    "status": "status",
    "agent": "assigned_to",
    "previous": "previous_assigned_to",
    "creator": "created_by",
    "priority": "priority",
    "tags": "tags",
    "parent": "parent_task_id",
    "queue": "queue_name",
    "blocker": "blocked_by_task_id",
    "blocked": "is_currently_blocked",
    "created": "created_at",
    "updated": "updated_at",
    "archived": "archived_at",
    "is_open": "is_open",
}


class Task(NamedTuple):
    """A task as it is now, with None for what is unknown; `_COLUMNS` names the column of each field."""

    id: int
    title: str
    description: str | None
    status: str
    agent: str | None
    previous: str | None
    creator: str | None
    priority: int | None
    tags: tuple[str, ...]
    parent: int | None
    queue: str | None
    blocker: int | None
    blocked: bool | None
    created: int | None
    updated: int | None
    archived: int | None
    is_open: bool

    @property
    def is_bug(self) -> bool:
        """Whether it is marked as a defect, by its title or by a tag."""
        return self.title.upper().startswith("BUG:") or "bug" in self.tags


class Note(NamedTuple):
    """A comment; `at` is None if its time is unknown."""

    task: int
    agent: str | None
    at: int | None
    text: str


class Link(NamedTuple):
    """A link of a task."""

    task: int
    agent: str | None
    url: str
    description: str


class Step(NamedTuple):
    """How a task was from some time on, which lies between `low` and `high`."""

    task: int
    low: float
    high: float
    seen: bool
    there: bool
    status: str
    agent: str | None
    queue: str | None
    parent: int | None
    blocker: int | None

    @property
    def exact(self) -> bool:
        """Whether it is known to a second when that was."""
        return self.high - self.low <= SECOND


class Move(NamedTuple):
    """Two steps of a task that follow each other."""

    before: Step
    after: Step

    @property
    def task(self) -> int:
        """The task that has moved."""
        return self.after.task

    @property
    def low(self) -> float:
        """When it moved, at the earliest."""
        return self.after.low

    @property
    def high(self) -> float:
        """When it moved, at the latest."""
        return self.after.high


class Change(NamedTuple):
    """One change of a field, as `events` of a history has it."""

    task: int
    field: str | None
    what: str
    before: str | None
    after: str | None
    by: str | None
    low: float
    high: float


class Notes:
    """The comments that were read.

    - notes: of any tasks, in any order
    - whole: the tasks of which all comments were read; None for all tasks
    - spans: from when to when all comments of all tasks are known
    - lossy: whether some of these may have been lost, as what a server pushes may be
    """

    def __init__(
        self,
        notes: Iterable[Note],
        whole: Iterable[int] | None = (),
        spans: Sequence[tuple[float, float]] = (),
        lossy: bool = False,
    ) -> None:
        self._whole = None if whole is None else frozenset(whole)
        self._spans, self._lossy = tuple(spans), lossy
        self._of: dict[int, list[Note]] = defaultdict(list)
        for note in sorted(notes, key=lambda note: note.at or 0):
            self._of[note.task].append(note)
        self._times = {task: [note.at or 0 for note in some] for task, some in self._of.items()}

    def __iter__(self) -> Iterator[Note]:
        return (note for some in self._of.values() for note in some)

    def known(self, task: int, low: float, high: float) -> bool:
        """Return whether all comments on a task between two times were read."""
        if self._whole is None or task in self._whole:
            return True
        return any(begin <= low and high <= end for begin, end in self._spans)

    def sure(self, task: int | None) -> bool:
        """Return whether what is known of a task's comments is certain."""
        return not self._lossy or self._whole is None or task in self._whole

    def of(self, task: int) -> Sequence[Note]:
        """Return what was read of a task, the oldest first."""
        return self._of.get(task, ())

    def between(self, task: int, low: float, high: float) -> list[Note]:
        """Return the comments on a task between two times; one without a time may be any of them."""
        times = self._times.get(task, [])
        inside = slice(bisect_left(times, max(low, 1)), bisect_right(times, high))
        return [*self.of(task)[: bisect_right(times, 0)], *self.of(task)[inside]]


class Past:
    """What a history knows of the tasks.

    - journeys: the way of each task over the board
    - events: a row per change of a field, with `EVENT_COLUMNS`
    - since: only what has happened since then is checked
    """

    def __init__(self, journeys: Journeys, events: pd.DataFrame, since: float | None = None) -> None:
        self.journeys, self.events, self.since = journeys, events, since

    @cached_property
    def flow(self) -> Flow:
        """How work flows, all tasks together."""
        return Flow(self.journeys)

    @cached_property
    def steps(self) -> dict[int, list[Step]]:
        """The steps of each task that somebody saw, in order."""
        frame = self.journeys.steps
        names = ("task_id", "low", "high", "seen", "there", "status", "assigned_to", "queue_name")
        columns = [_values(frame[name]) for name in (*names, "parent_task_id", "blocked_by_task_id")]
        steps: dict[int, list[Step]] = defaultdict(list)
        for row in zip(*columns, strict=True):
            step = Step(*row)
            if step.seen:
                steps[step.task].append(step)
        return dict(steps)

    @cached_property
    def changes(self) -> list[Change]:
        """What has changed, the oldest first."""
        names = ("task_id", "field", "change", "before", "after", "by", "not_before", "not_after")
        rows = zip(*(_values(self.events[name]) for name in names), strict=True)
        return [change for row in rows if (change := Change(*row)).high >= (self.since or 0)]

    @cached_property
    def _pushed(self) -> dict[int, list[float]]:
        """When something of each task changed that the server itself told, in order."""
        told = self.events[self.events["source"] == "pushed"]
        found: dict[int, list[float]] = defaultdict(list)
        for task, time in zip(*(_values(told[name]) for name in ("task_id", "not_after")), strict=True):
            found[task].append(time)
        return {task: sorted(times) for task, times in found.items()}

    def watched(self, task: int, begin: float, end: float) -> bool:
        """Return whether all that happened to a task between two of its changes is known.

        The server has pushed both, to a second, and there was no gap. Two looks would hide what was undone
        in between.
        """
        gaps, times = self.journeys.gaps, self._pushed.get(task, [])
        if ((gaps[:, 0] < end) & (gaps[:, 1] > begin)).any():
            return False
        return all(
            bisect_left(times, moment - SECOND) < bisect_right(times, moment + SECOND)
            for moment in (begin, end)
        )

    @cached_property
    def usual_waits(self) -> dict[str, float]:
        """How long 85 % of the visits to a queue waited at most, of those with enough visits that ended."""
        stages = self.flow.stages
        enough = stages[stages["visits"] - stages["now"] >= EXPECTED_LEAST]
        return dict(zip(enough["queue"], (enough["p85_wait_most"] * HOUR).tolist(), strict=True))

    def status_between(self, task: int, low: float, high: float) -> str | None:
        """Return the status that a task had all the time between two times; None if that isn't certain."""
        steps = self.steps.get(task, [])
        before = [step for step in steps if step.high <= low]
        if not before or len(before) < sum(step.low <= high for step in steps):
            return None
        return before[-1].status


@dataclass(frozen=True)
class Seen:
    """All that a rule is checked on.

    - data: the report; what is among its tasks, or archived, is checked, on all that was read
    - team: the roles, limits, queues and words of the team
    - notes, links: what was read of them, None if nothing was
    - past: None without a history
    """

    data: Workload
    team: Team
    notes_read: Notes | None = None
    links_read: Mapping[int, Sequence[Link]] | None = None
    recorded: Past | None = None

    @property
    def notes(self) -> Notes:
        """The comments; a rule that needs them is not checked without."""
        return self.notes_read or Notes(())

    @property
    def links(self) -> Mapping[int, Sequence[Link]]:
        """The links of each task of which they were read."""
        return self.links_read or {}

    @property
    def past(self) -> Past:
        """What is recorded; a rule that needs it is not checked without."""
        assert self.recorded is not None
        return self.recorded

    def heard(self, number: int, low: float, high: float) -> bool:
        """Return whether all comments on a task between two times were read; none is older than the task."""
        task = self.tasks.get(number)
        begin = low if task is None or task.created is None else max(low, task.created)
        return self.notes.known(number, begin, min(high, self.now))

    @cached_property
    def now(self) -> float:
        """When the tasks were read."""
        return float(micros_of(self.data.generated_at))

    # Tasks

    @cached_property
    def tasks(self) -> dict[int, Task]:
        """All tasks that were read, by number."""
        frame = self.data.all_tasks
        # Of a task that a saved report leaves out, its title isn't known.
        columns = [
            _values(frame[name].fillna("") if name == "title" else frame[name]) for name in _COLUMNS.values()
        ]
        return {row[0]: Task(*row) for row in zip(*columns, strict=True)}

    @cached_property
    def shown(self) -> list[Task]:
        """The tasks of the report, and the archived ones of its agents."""
        ids = set(self.data.tasks["id"].tolist())
        return [
            task
            for task in self.tasks.values()
            if task.id in ids or (task.archived is not None and self.is_shown(task.agent))
        ]

    def is_shown(self, agent: str | None) -> bool:
        """Return whether the report is about an agent."""
        return self.data.agent_filter is None or agent in self.data.agent_filter

    @cached_property
    def shown_ids(self) -> frozenset[int]:
        """The numbers of the shown tasks."""
        return frozenset(task.id for task in self.shown)

    @cached_property
    def open(self) -> list[Task]:
        """The shown tasks that are open."""
        return [task for task in self.shown if task.is_open]

    @cached_property
    def work(self) -> list[Task]:
        """The open tasks that are work themselves: a parent's status is only rolled up."""
        return [task for task in self.open if task.id not in self.above]

    @cached_property
    def archived(self) -> list[Task]:
        """The archived tasks that are work themselves."""
        return [task for task in self.shown if task.archived is not None and task.id not in self.above]

    @cached_property
    def children(self) -> dict[int, list[Task]]:
        """The subtasks of each parent that are not archived."""
        found: dict[int, list[Task]] = defaultdict(list)
        for task in self.tasks.values():
            if task.parent is not None and task.archived is None:
                found[task.parent].append(task)
        return dict(found)

    @cached_property
    def above(self) -> frozenset[int]:
        """The tasks that have subtasks, archived or not."""
        return frozenset(task.parent for task in self.tasks.values() if task.parent is not None)

    @cached_property
    def parents(self) -> frozenset[int]:
        """The tasks that have subtasks, or ever had some that are known of."""
        found = {*self.above}
        if self.recorded is not None:
            found |= {*self.recorded.journeys.steps["parent_task_id"].dropna().astype("int64").tolist()}
        return frozenset(found)

    @cached_property
    def agents(self) -> frozenset[str]:
        """The names that are known to be agents'."""
        named = (name for task in self.tasks.values() for name in (task.agent, task.previous, task.creator))
        return frozenset(name for name in named if name)

    # The team

    @cached_property
    def role(self) -> Callable[[str | None], Role | None]:
        """Returns an agent's role; None if it has none, or is nobody."""
        return cache(lambda agent: None if agent is None else self.team.role(agent))

    @cached_property
    def has_roles(self) -> bool:
        """Whether the role of anybody on the board is known."""
        return any(self.role(agent) for agent in self.agents | {note.agent or "" for note in self.notes})

    @cached_property
    def _manual(self) -> dict[str, str]:
        return {self.team.audit.queues.get(name, name): name for name in MANUAL_QUEUES}

    def manual(self, queue: str | None) -> str | None:
        """Return what the manual calls a queue; None for a queue of the team's own, and for none."""
        return None if queue is None else self._manual.get(queue)

    @cached_property
    def has_queues(self) -> bool:
        """Whether any queue is one of the manual's."""
        queues = {task.queue for task in self.tasks.values()}
        if self.recorded is not None:
            queues |= {*self.recorded.journeys.steps["queue_name"].dropna().tolist()}
        return any(map(self.manual, queues))

    @cached_property
    def _parked(self) -> re.Pattern[str]:
        return word_pattern(self.team.thresholds.parked_queues, re.IGNORECASE)

    def is_parked(self, queue: str | None) -> bool:
        """Return whether a queue is one for blocked work."""
        return queue is not None and (self.manual(queue) == BLOCKED or bool(self._parked.search(queue)))

    # What happened

    @cached_property
    def moves(self) -> list[Move]:
        """What has happened to shown tasks that are work themselves, between two steps that were seen."""
        return [
            Move(before, after)
            for task, steps in self.past.steps.items()
            if task in self.shown_ids and task not in self.parents
            for before, after in pairwise(steps)
            if before.there and after.there and after.high >= (self.past.since or 0)
        ]

    @cached_property
    def completions(self) -> list[Move]:
        """The moves by which a task became complete."""
        return [
            move
            for move in self.moves
            if move.after.status == "complete" and move.before.status != "complete"
        ]

    @cached_property
    def queue_moves(self) -> list[Move]:
        """The moves from one queue to another, and into the first."""
        return [move for move in self.moves if move.after.queue not in (move.before.queue, None)]

    @cached_property
    def kickbacks(self) -> list[Move]:
        """The moves from a handoff queue back to development."""
        return [
            move
            for move in self.queue_moves
            if self.manual(move.before.queue) in HANDOFF_QUEUES
            and self.manual(move.after.queue) == DEVELOPMENT
        ]


def word_pattern(words: Iterable[str], flags: int = 0) -> re.Pattern[str]:
    """Return a pattern of whole words, for which an underscore is no letter."""
    any_of = "|".join(map(re.escape, words)) or "(?!)"
    return re.compile(rf"(?<![^\W_])(?:{any_of})(?![^\W_])", flags)


def _values(column: pd.Series) -> list[Any]:
    """Return a column's values as Python's own, times in microseconds, None for NA."""
    known = column.notna()
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.as_unit("us").astype("int64")
    if column.dtype == "float64" and column.name in ("parent_task_id", "blocked_by_task_id"):
        column = column.where(column == column.round()).astype("Int64")
        known = column.notna()
    if known.all():
        return column.tolist()
    return column.astype("object").where(known, None).tolist()
