"""The agents of the sample project at work on a TinyTask, by a clock that is set: no real time passes.

Their days have what real ones have: nights and weekends, too few hands in qa, work that is put aside, comes
back or is reopened, an agent that is silent for a week, parents that grow, and tasks that are let go of.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from typing import Any

from calypso_nb.embedded.database import Change, Record
from calypso_nb.embedded.sample import sample_titles, sample_words
from calypso_nb.embedded.store import TinytaskStore

# In microseconds, as are all times here: since 1970.
HOUR = 3_600_000_000
DAY = 24 * HOUR
_MILLISECOND = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# So many days before the beginning the team begins with an empty board.
_EARLIER = 4
_BEGUN_AT, _SUNDAY = 16, 6
# Between which days nobody touches the tasks of this agent, itself included.
_SILENT, _SILENT_FROM, _SILENT_TO = "backend-dev", 30, 37
# When something is let go of, by day.
_DROPS = {8: "archive_task", 17: "delete_task", 27: "archive_task", 41: "delete_task", 49: "archive_task"}
_CHAIN = 52

# How many hours of a busy day a task takes in each queue, and how many of 100 tasks come to it.
_WORK = {"product": 5.0, "dev": 8.0, "qa": 5.6, "docs": 10.0, "ops": 10.0}
_ARRIVING = {"product": 26, "dev": 46, "qa": 2, "docs": 12, "ops": 14}
_PRIORITIES = (30, 14, 14, 12, 8, 9, 4, 3, 3, 2, 1)
_NEXT = {"product": "dev", "dev": "qa", "qa": "dev"}
_HANDED_ON = {"product": 0.7, "dev": 1.0, "qa": 0.17}

# What somebody does, step after step; after each, in how many microseconds the next one is due.
_Steps = Iterator[int]


@dataclass(eq=False)
class _Task:
    """A task as the team sees it.

    - developer: who had it in dev
    - held: somebody has it in hand, or has put it aside
    - leaves: how many tasks were ever below it
    """

    id: int
    queue: str
    agent: str | None
    priority: int
    parent: _Task | None
    blocker: _Task | None
    developer: str | None = None
    held: bool = False
    done: bool = False
    leaves: int = 0

    @property
    def is_loose(self) -> bool:
        """Whether nobody has begun it and it belongs to no other."""
        return not (self.held or self.leaves or self.parent) and self.agent != _SILENT

    def is_ready(self, name: str, queues: list[str]) -> bool:
        """Return whether an agent of some queues can take it up."""
        waits = self.blocker is not None and not self.blocker.done
        mine = self.agent == name or (self.agent is None and self.queue in queues)
        return mine and not (self.held or self.leaves or waits)


class Team:
    """The agents of the sample project, and what they have made of their board up to `time`.

    - seed: the seed of everything that is drawn at random
    - begin: the beginning of day 0; days before that have passed already once it runs up to there
    """

    def __init__(self, seed: int, begin: int) -> None:
        self.time = begin - _EARLIER * DAY
        self.board: dict[int, Record] = {}  # All tasks, archived ones too, as the store would list them.
        self.changes: list[Change] = []  # What the store has told; whoever has read it empties it.
        self._begin = begin
        self._random = random.Random(seed)
        self._store = TinytaskStore(now=lambda: _EPOCH + timedelta(microseconds=self.time))
        self._store.listeners.append(self._hear)
        self._words = sample_words()
        self._titles = {queue: sample_titles(self._random, queue) for queue in self._words["queues"]}
        self._open: list[_Task] = []
        self._growing: list[tuple[_Task, Record]] = []
        self._due: list[tuple[int, int, str | None, _Steps]] = []
        self._numbers = count()
        for agent in (*self._words["agents"], self._words["multitasker"]):
            self._start(self._agent(agent), agent=agent)
        self._start(self._arrivals())
        for plan in self._words["epics"]:
            self._start(self._epic(plan), begin + plan["day"] * DAY)
        self._start(self._chain(), begin + _CHAIN * DAY)
        for day, tool in _DROPS.items():
            self._start(self._dropped(tool), begin + day * DAY)

    def run(self, until: int) -> None:
        """Do all that is due up to a time."""
        while self._due[0][0] <= until:
            time, _, agent, steps = heappop(self._due)
            if self._is_silent(agent, time):
                self._start(steps, self._begin + _SILENT_TO * DAY, agent)
                continue
            self.time = time
            pause = next(steps, None)
            if pause is not None:
                self._start(steps, time + pause // _MILLISECOND * _MILLISECOND, agent)
        self.time = until

    def _start(self, steps: _Steps, time: int | None = None, agent: str | None = None) -> None:
        heappush(self._due, (self.time if time is None else time, next(self._numbers), agent, steps))

    def _hear(self, changes: list[Change]) -> None:
        self.changes += changes
        for change in changes:
            if change.table == "tasks" and change.after is not None:
                self.board[change.id] = change.after
            elif change.table == "tasks":
                del self.board[change.id]

    # How fast they are

    def _is_silent(self, agent: str | None, time: int) -> bool:
        return agent == _SILENT and _SILENT_FROM * DAY <= time - self._begin < _SILENT_TO * DAY

    def _pace(self, time: int) -> float:
        """Return how much of an hour's work is done in one: less at night and at weekends.

        Its days are counted from a Sunday afternoon on which it began, whatever day that is by the calendar:
        so the same seed is the same story at any time.
        """
        days, hour = divmod((time - self._begin) // HOUR + _BEGUN_AT, 24)
        return (0.35 if (days + _SUNDAY) % 7 > 4 else 1.0) * (1.0 if 7 <= hour < 21 else 0.35)

    def _working(self, mean: float) -> int:
        """Draw how long something takes from now on that takes so many hours of a busy day on average."""
        left, time = self._random.gammavariate(1.5, mean / 1.5), self.time
        while left > (pace := self._pace(time)):
            left, time = left - pace, time + HOUR
        return time - self.time + int(left / pace * HOUR)

    # What agents do

    def _agent(self, name: str) -> _Steps:
        while True:
            task = self._next(name)
            if task is None:
                yield self._working(1)
            else:
                yield from self._work(task, name)
                self._hand_on(task, name)

    def _next(self, name: str) -> _Task | None:
        """Return what an agent takes up: the most urgent, now and then the oldest."""
        queues = self._words["agents"][name]["queues"]
        ready = [task for task in self._open if task.is_ready(name, queues)]
        if self._random.random() < 0.3:
            return min(ready, key=lambda task: task.id, default=None)
        return max(ready, key=lambda task: (task.priority, -task.id), default=None)

    def _work(self, task: _Task, name: str) -> _Steps:
        """Work on a task, with or without a pause."""
        hours, task.held, task.agent = _WORK[task.queue], True, name
        self._update(task, name, status="working", assigned_to=name)
        if self._random.random() < 0.2:
            hours /= 2
            yield self._working(hours)
            self._update(task, name, status="idle")
            yield self._working(3)
            self._update(task, name, status="working")
        yield self._working(hours)

    def _hand_on(self, task: _Task, name: str) -> None:
        """Finish a task, or hand it over to the next queue, or from qa back to where it comes from."""
        task.held = False
        if self._random.random() < 0.1:
            self._say(task, name, "comments", "complete")
        if self._random.random() >= _HANDED_ON.get(task.queue, 0):
            self._finish(task, name)
            return
        queue, back, developer = _NEXT[task.queue], task.queue == "qa", task.developer
        if task.queue == "dev":
            task.developer = name
        known = back and not self._is_silent(developer, self.time)
        task.agent = (developer if known else None) or self._someone(queue)
        if back or self._random.random() < 0.15:
            self._say(task, name, "bounces" if back else "handoffs")
        task.queue = queue
        self._update(task, name, status="idle", queue_name=queue, assigned_to=task.agent)

    def _finish(self, task: _Task, name: str) -> None:
        task.done = True
        self._open.remove(task)
        self._update(task, name, status="complete")
        if task.parent is None and (chance := self._random.random()) < 0.6:
            self._start(self._reopened(task, name) if chance < 0.04 else self._put_away(task, name))

    def _reopened(self, task: _Task, name: str) -> _Steps:
        yield self._random.randint(DAY, 5 * DAY)
        self._update(task, "product-owner", status="working")
        yield self._working(12)
        if self._random.random() < 0.7:
            self._update(task, name, status="complete")

    def _put_away(self, task: _Task, name: str) -> _Steps:
        yield self._random.randint(14 * DAY, 28 * DAY)
        self._do(name, "archive_task", id=task.id)

    # What comes to the board, and leaves it unfinished

    def _arrivals(self) -> _Steps:
        while True:
            yield self._random.randint(HOUR // 2, HOUR * 3 // 2)
            if self._random.random() < 0.55 * self._pace(self.time):
                self._arrive(next(filter(None, map(self._grown, self._growing)), None))

    def _grown(self, growing: tuple[_Task, Record]) -> _Task | None:
        """Return a parent if its plan and chance let it have another leaf."""
        epic, plan = growing
        ahead = sum(task.parent is epic for task in self._open)
        wanted = epic.leaves < plan["most"] and ahead < plan["ahead"]
        return epic if wanted and self._random.random() < plan["share"] else None

    def _epic(self, plan: Record) -> _Steps:
        """Plan a parent and its first leaves on a working day; others follow bit by bit."""
        while self._pace(self.time) < 1:
            yield HOUR
        epic = self._create(plan["title"], "product", "product-owner", plan["priority"], tags=["epic"])
        self._growing.append((epic, plan))
        for _ in range(plan["leaves"]):
            yield self._random.randint(HOUR // 180, HOUR // 12)
            self._arrive(epic)

    def _arrive(self, parent: _Task | None) -> None:
        draw = self._random
        [queue] = draw.choices([*_ARRIVING], [*_ARRIVING.values()])
        [priority] = draw.choices(range(11), _PRIORITIES)
        agent = self._someone(queue) if draw.random() < 0.85 else None
        tags = draw.sample(self._words["tags"][queue], draw.choice((0, 1, 1, 2)))
        tags += ["billing"] if draw.random() < 0.25 else []
        blocker = None
        if parent is not None:
            priority = draw.randint(parent.priority - 2, parent.priority + 2)
        elif draw.random() < 0.07:
            blocker = draw.choice([None, *(task for task in self._open if task.is_loose)])
        self._create(next(self._titles[queue]), queue, agent, priority, parent, blocker, tags)

    def _create(
        self,
        title: str,
        queue: str,
        agent: str | None,
        priority: int,
        parent: _Task | None = None,
        blocker: _Task | None = None,
        tags: list[str] | None = None,
    ) -> _Task:
        fields: Record = {"title": title, "queue_name": queue, "assigned_to": agent, "priority": priority}
        fields["parent_task_id"] = None if parent is None else parent.id
        fields["blocked_by_task_id"] = None if blocker is None else blocker.id
        author = self._random.choice(self._words["authors"])
        record = self._do(author, "create_task", created_by=author, tags=tags, **fields)
        task = _Task(record["id"], queue, agent, priority, parent, blocker)
        if parent is not None:
            parent.leaves += 1
        self._open.append(task)
        return task

    def _chain(self) -> _Steps:
        """Let two tasks wait for one that somebody has in hand and does not finish."""
        blocker = None
        for link in self._words["chain"]:
            yield self._random.randint(HOUR, 5 * HOUR)
            task = self._create(link["title"], link["queue"], link["agent"], 5, blocker=blocker)
            if blocker is None:
                task.held = True
                self._update(task, link["agent"], status="working")
            blocker = task

    def _dropped(self, tool: str) -> _Steps:
        """Let go of a task or two that nobody has begun and nobody waits for."""
        for _ in range(2 if tool == "archive_task" else 1):
            yield self._random.randint(HOUR, 9 * HOUR)
            awaited = [task.blocker for task in self._open]
            loose = [task for task in self._open if task.is_loose and task not in awaited]
            if loose:
                task = self._random.choice(loose)
                self._open.remove(task)
                self._do("product-owner", tool, id=task.id)

    def _someone(self, queue: str) -> str:
        """Draw who gets a task of a queue, by how much each has done in the sample project."""
        agents = self._words["agents"]
        names = [name for name in agents if queue in agents[name]["queues"]]
        names = [name for name in names if not self._is_silent(name, self.time)]
        [name] = self._random.choices(names, [agents[name]["complete"] for name in names])
        return str(name)

    def _update(self, task: _Task, by: str, **changes: Any) -> None:
        self._do(by, "update_task", id=task.id, **changes)

    def _say(self, task: _Task, by: str, *words: str) -> None:
        texts = self._words
        for word in words:
            texts = texts[word]
        text = self._random.choice([*texts]).format(agent=task.agent, pr=400 + task.id)
        self._do(by, "add_comment", task_id=task.id, content=text, created_by=by)

    def _do(self, by: str, tool: str, **arguments: Any) -> Any:
        with self._store.transaction(by):
            return getattr(self._store, tool)(**arguments)
