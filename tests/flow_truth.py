"""What is true of a simulated board's flow: slow and naive, from the board as it was after each change."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, pairwise
from math import ceil, pi, sin
from typing import Any, NamedTuple

from calypso_nb.history.changes import SECOND, Record, moment_of
from tests.worlds import AGENTS, START, Recorded, World

HOUR = 3600 * SECOND
# What of a task a flow is about.
TOLD = ("status", "assigned_to", "previous_assigned_to", "queue_name", "archived_at")


class Team(World):
    """A board on which tasks mostly go forward, at a pace of its own.

    - pace: one of `PACES`
    """

    def __init__(self, seed: int, pace: str) -> None:
        super().__init__(seed)
        self.pace = pace

    def _pause(self) -> float:
        since = (self.time - START) / HOUR
        random = self.random
        if self.pace == "bursty":
            return random.choice((4, 10, 30, 7200)) * random.uniform(1, 2)
        mean = {
            "stable": 600,
            "waves": 600 * (1.1 + sin(2 * pi * since / 8)),
            "weekends off": 7200,
            "drift": 60 * (1 + since / 2),
        }[self.pace]
        pause = 4 + random.expovariate(1 / mean)
        later = moment_of(self.time + int(pause * SECOND))
        if self.pace == "weekends off" and later.weekday() >= 5:
            pause += 2 * 24 * 3600
        return pause

    def _deed(self) -> tuple[str, dict[str, Any]]:
        random, board = self.random, self.boards[-1]
        open_ = [task for task, record in board.items() if record["archived_at"] is None]
        if not open_ or random.random() < 0.25:
            fields: dict[str, Any] = {"title": f"task {len(self.times)}", "created_by": "lead"}
            fields["assigned_to"] = random.choice((*AGENTS, None))
            fields["queue_name"] = random.choice(("dev", "dev", "qa", None))
            fields["tags"] = random.choice(([], ["api"], ["api", "docs"]))
            if open_ and random.random() < 0.2:
                fields["parent_task_id"] = random.choice(open_)
            return "create_task", fields
        task = random.choice([one for one in open_ if board[one]["status"] != "complete"] or open_)
        if random.random() < 0.1:
            task = random.choice(open_)
        who, queue = random.choice(AGENTS), random.choice(("dev", "qa", "blocked"))
        ways: dict[str, list[dict[str, Any]]] = {
            "idle": [
                {"status": "working"}, {"status": "working", "assigned_to": who}, {"status": "working"},
                {"status": "complete"}, {"assigned_to": who}, {"queue_name": queue}, {"priority": 3},
            ],
            "working": [
                {"status": "complete"}, {"status": "complete"}, {"status": "idle"}, {"assigned_to": who},
                {"status": "idle", "assigned_to": who, "queue_name": queue}, {"queue_name": queue}, {},
            ],
            "complete": [{"status": "idle"}, {"status": "working"}, {}],
        }  # fmt: skip
        if random.random() < 0.06:
            return random.choice(("archive_task", "delete_task")), {"id": task}
        return "update_task", {"id": task, **random.choice(ways[board[task]["status"]])}


PACES = ("stable", "bursty", "waves", "weekends off", "drift")


class Spell(NamedTuple):
    """How a task was between two times."""

    begin: int
    end: int
    record: Record

    @property
    def there(self) -> bool:
        return self.record["archived_at"] is None


class Truth:
    """All that is true of some tasks up to a time."""

    def __init__(self, world: World, tasks: list[int], end: int) -> None:
        self.end = end
        self.tasks = {task: [*self._spells(world, task)] for task in tasks}
        self.gone = {task: world.at(end).get(task) is None for task in tasks}

    def _spells(self, world: World, task: int) -> Iterator[Spell]:
        times = [*world.times, self.end]
        for place, board in enumerate(world.boards):
            if task in board and times[place] <= self.end:
                yield Spell(times[place], min(times[place + 1], self.end), board[task])

    def created(self, task: int) -> int:
        return self.tasks[task][0].begin

    def started(self, task: int) -> int | None:
        """When it was first working; who completes a task that was idle has worked on it before."""
        begun = min((one.begin for one in self.tasks[task] if one.record["status"] != "idle"), default=None)
        withdrawn = self.withdrawn(task)
        return None if begun is None or (withdrawn is not None and withdrawn < begun) else begun

    def finished(self, task: int) -> int | None:
        return self._since(task, lambda one: one.record["status"] == "complete")

    def withdrawn(self, task: int) -> int | None:
        if self.finished(task) is not None:
            return None
        archived = self._since(task, lambda one: not one.there)
        return self.tasks[task][-1].end if archived is None and self.gone[task] else archived

    def done(self, task: int) -> int | None:
        return self.finished(task) or self.withdrawn(task)

    def entered(self, task: int) -> int | None:
        return self.started(task) or self.withdrawn(task)

    def _since(self, task: int, holds: Any) -> int | None:
        since = None
        for spell in reversed(self.tasks[task]):
            if not holds(spell):
                break
            since = spell.begin
        return since

    def cycle(self, task: int) -> int | None:
        started, finished = self.started(task), self.finished(task)
        return None if started is None or finished is None else finished - started

    def lead(self, task: int) -> int | None:
        finished = self.finished(task)
        return None if finished is None else finished - self.created(task)

    def age(self, task: int) -> int | None:
        started = self.started(task)
        return None if started is None or self.done(task) is not None else self.end - started

    def by(self, what: str, time: int) -> int:
        """How many had been created, entered, done or finished by a time."""
        times = [getattr(self, what)(task) for task in self.tasks]
        return sum(one is not None and one <= time for one in times)

    def between(self, what: str, begin: int, end: int) -> int:
        """The same from one time up to another, which is not included."""
        return self.by(what, end - 1) - self.by(what, begin - 1)

    def wip(self, time: int) -> int:
        """How many were started and neither finished nor withdrawn."""
        begun = [task for task in self.tasks if (self.started(task) or self.end + 1) <= time]
        return sum((self.done(task) or self.end + 1) > time for task in begun)

    def state(self, status: str, time: int) -> int:
        """How many were in a state and on the board."""
        return sum(
            one.begin <= time < one.end and one.there and one.record["status"] == status
            for spells in self.tasks.values()
            for one in self._until_now(spells)
        )

    def _until_now(self, spells: list[Spell]) -> Iterator[Spell]:
        for one in spells:
            yield one._replace(end=self.end + 1) if one.end == self.end else one

    def time_in(self, field: str) -> dict[tuple[str | None, str], dict[int, int]]:
        """How long each task was idle and working with each agent or in each queue."""
        found: dict[tuple[str | None, str], dict[int, int]] = {}
        for task, spells in self.tasks.items():
            for one in spells:
                if one.there and one.record["status"] != "complete":
                    times = found.setdefault((one.record[field], one.record["status"]), {})
                    times[task] = times.get(task, 0) + one.end - one.begin
        return found

    def visits(self, task: int) -> list[tuple[str, int, int | None]]:
        """In which queues it was until it was finished, from when on, and until when if it has left."""
        finished = self.finished(task)
        stays: list[tuple[str | None, int, int]] = []
        for one in self.tasks[task]:
            if finished is None or one.begin < finished:
                stays.append((one.record["queue_name"] if one.there else None, one.begin, one.end))
        found = []
        for queue, group in groupby(stays, key=lambda stay: stay[0]):
            (_, begin, end), *more = group
            end = more[-1][2] if more else end
            ongoing = end == self.end and finished is None and not self.gone[task]
            if queue is not None:
                found.append((queue, begin, None if ongoing else end))
        return found


def percentile(values: list[int], percent: int) -> int:
    """The smallest value that so many per cent don't exceed."""
    return sorted(values)[max(ceil(percent * len(values) / 100), 1) - 1]


class Hidden:
    """What of a world nobody could see who had only looks at it, and was told of some changes in time."""

    def __init__(self, world: World, history: Recorded) -> None:
        self.world = world
        self.told = {(event.task_id, event.not_after) for event in history.events() if event.pushed}
        self.spans = [*pairwise([-1, *history.places])]

    def of(self, task: int) -> set[str]:
        """Return what can't be known of a task: its `status`, or `who` had it then, or nothing."""
        found = set()
        for begin, end in self.spans:
            before = self.world.boards[begin].get(task) if begin >= 0 else None
            states = [before]
            times = []
            for place in range(begin + 1, end + 1):
                record = self.world.boards[place].get(task)
                if _told_of(record) != _told_of(states[-1]):
                    times.append(self.world.times[place])
                    states.append(record)
            if all((task, time) in self.told for time in times):
                continue
            if not _plain(states):
                found |= {"status", "who"}
            # When it was created tells the task itself, in which queue it was then does not.
            if before is None and {one["queue_name"] for one in states[1:-1] if one} - {
                None,
                _queue(states[-1]),
            }:
                found.add("who")
            if len(times) - (before is None) > 1:
                found.add("who")
            if any(later - earlier < 2 * SECOND for earlier, later in pairwise(times)):
                found |= {"status", "who"}
        return found


def _told_of(record: Record | None) -> tuple[Any, ...] | None:
    return None if record is None else tuple(record[name] for name in TOLD)


def _queue(record: Record | None) -> str | None:
    return None if record is None else record["queue_name"]


def _plain(states: list[Record | None]) -> bool:
    """Whether a task went from one state to another without any that nobody can guess."""
    present = [one for one in states if one is not None]
    if not present:
        return True
    status = [key for key, _ in groupby(one["status"] for one in present)]
    there = [key for key, _ in groupby(one["archived_at"] for one in present)]
    if states[-1] is None:  # Deleted: as it was seen last.
        return len(status) == 1
    # By a listing it was archived as it is listed, and not edited after that.
    archived = {one["status"] for one in present if one["archived_at"] is not None}
    edited = len(there) == 2 and len(archived) > 1
    return len(there) <= 2 and not edited and (len(status) <= 2 or status == ["idle", "working", "complete"])
