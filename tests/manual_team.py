"""A team that keeps its process manual to the letter for 45 days, by a clock of its own: no time passes.

It is what alarms and the audit are proved against: whatever they say of its board is false, but for the
defects that a test puts in.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count, cycle
from pathlib import Path
from typing import Any

import orjson

from calypso_nb import History
from calypso_nb.embedded import TinytaskStore
from calypso_nb.embedded.database import Change, Record
from calypso_nb.history.changes import Push, changes, micros_of, record_of
from calypso_nb.history.pushes import push_of, served
from calypso_nb.history.store import HistoryStore
from tests import manual_words as words

# In seconds, as are all lengths here.
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
# A Monday morning, while everybody works.
END = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
NAME = "manual team"

DEVELOPMENT, REVIEW, QA, TESTING = (
    "ready-for-development", "ready-for-code-review", "ready-for-qa", "ready-for-testing",
)  # fmt: skip
BLOCKED, BACKLOG, TRIAGE = "blocked", "backlog", "triage"
DOCUMENTATION, DEPLOYMENT, DESIGN = "ready-for-documentation", "ready-for-deployment", "ready-for-design"

DEVELOPERS = ("dev-1", "dev-2", "dev-3", "dev-4", "dev-5")
TESTERS = ("qa-1", "qa-2", "qa-3")
LEAD, REVIEWER, WRITER, OPERATOR, DESIGNER = "lead-1", "rev-1", "docs-1", "ops-1", "ux-1"
# Developers who do nothing: whoever puts a defect in lets it be theirs.
RESERVE = ("dev-7", "dev-8", "dev-9")
SERVES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(DEVELOPERS, (DEVELOPMENT,)),
    WRITER: (DOCUMENTATION,),
    OPERATOR: (DEPLOYMENT,),
    DESIGNER: (DESIGN,),
    **dict.fromkeys(TESTERS, (QA, TESTING)),
    REVIEWER: (REVIEW,),
    LEAD: (TRIAGE,),
}
# Developers with a queue of their own, and what comes to it.
KINDS = {WRITER: "docs", OPERATOR: "ops", DESIGNER: "design"}
QUEUES = {KINDS[name]: SERVES[name][0] for name in KINDS}

# How many tasks shall wait for each agent; the testers', the reviewer's and the lead's pauses see to it.
_AHEAD = {**dict.fromkeys(DEVELOPERS, 2), **dict.fromkeys(KINDS, 19), REVIEWER: 10, LEAD: 5}
_AHEAD |= dict.fromkeys(TESTERS, 8)
_BLOCKED_AHEAD, _PARENTS_AHEAD, _TRIAGE_AHEAD = 15, 6, 8
# How many hours the work takes on average.
_HOURS = {"feature": 4.2, "defect": 3.2, "decision": 1.5, "docs": 4.5, "ops": 4.5, "design": 5.0}
_LONG = 0.02  # So many of all features take more than a day.
_PRIORITIES = {1: 12, 2: 14, 3: 14, 4: 16, 5: 14, 6: 11, 7: 11, 8: 8}
_BACKLOG_PRIORITIES = {1: 16, 2: 16, 3: 17, 4: 18, 5: 13, 6: 9, 7: 7, 8: 4}
_BACKLOG_AT_FIRST, _BACKLOG_A_DAY, _SCHEDULED_A_DAY = 60, 2.35, 0.45
# A sequence such as a handoff takes less than this; none begins that the end would cut.
_ROOM = 4 * MINUTE

# What somebody does, step after step; after each, in how many seconds the next one is due.
Steps = Iterator[float]
Defect = Callable[["ManualTeam"], Steps]


@dataclass(eq=False)
class Task:
    """A task as the team sees it.

    - maker: who implements it; tester: who reported it, or verifies it
    - hours: how much work it is still
    - since: when it came to its queue
    - held: somebody has it in hand, or has put it aside
    - bounces: how often it was returned
    """

    id: int
    title: str
    kind: str
    priority: int
    queue: str
    agent: str | None
    since: datetime
    hours: float
    maker: str | None = None
    tester: str | None = None
    parent: Task | None = None
    children: list[Task] = field(default_factory=list)
    blocker: Task | None = None
    held: bool = False
    done: bool = False
    bounces: int = 0
    reviewed: bool = False
    linked: bool = False

    @property
    def urgent(self) -> bool:
        """Whether it is taken up within minutes."""
        return self.priority >= 9

    @property
    def waits(self) -> bool:
        """Whether another task has to be finished first."""
        return self.blocker is not None and not self.blocker.done


class ManualTeam:
    """The team and its board, up to `time`; the same seed gives the same.

    - seed: the seed of everything that is drawn at random
    - days: how many days it works, from an empty board
    - end: its last moment

    Example: `ManualTeam(seed=1).run().store.list_tasks()`
    """

    agents: tuple[Record, ...] = tuple(
        {"agentName": name, "agentType": kind, "maxConcurrency": 1}
        for kind, names in (
            ("dev", (*DEVELOPERS, *KINDS, *RESERVE)),
            ("qa", TESTERS),
            ("review", (REVIEWER,)),
            ("lead", (LEAD,)),
        )
        for name in names
    )

    def __init__(self, seed: int = 0, days: float = 45, *, end: datetime = END) -> None:
        self.begin, self.end = end - timedelta(days=days), end
        self.time = self.begin
        self.store = TinytaskStore(now=lambda: self.time)
        self.defects: dict[str, list[int]] = {}  # The tasks of each defect that was put in.
        self._random = random.Random(seed)
        self._titles = {kind: words.titles(kind, self._random) for kind in (*words.OPENINGS, "defect")}
        deck = [priority for priority, share in _BACKLOG_PRIORITIES.items() for _ in range(share)]
        self._random.shuffle(deck)  # So that the shares hold for any seed.
        self._backlog_priorities = cycle(deck)
        self._open: list[Task] = []  # But for those of the backlog.
        self._backlog: list[Task] = []
        self._triage: list[Task] = []
        self._calls: dict[str, list[Task]] = {name: [] for name in SERVES}
        self._due: list[tuple[datetime, int, str | None, Steps]] = []
        self._newest: dict[str, tuple[datetime, int, Steps]] = {}  # When each agent is due, and with what.
        self._numbers, self._requests = count(), count(1001)
        for name in SERVES:
            self._start(self._agent(name), self._random.uniform(1, 3) * HOUR, name)
        for steps in (self._plan(), self._fill_backlog(), self._fill_triage(), self._emergencies(),
                      self._tidy_backlog(), self._weigh()):  # fmt: skip
            self._start(steps, self._random.uniform(0, 300))

    def write_agents(self, path: Path) -> Path:
        """Write the agents as the scheduler's `agents.json`, and return where.

        Example: `team.write_agents(tmp_path / "agents.json")`
        """
        path.write_bytes(orjson.dumps(self.agents, option=orjson.OPT_INDENT_2))
        return path

    def put_in(self, names: Iterable[str] | None = None) -> ManualTeam:
        """Let defects of `DEFECTS` happen in the last days, by default all; `defects` says to which tasks.

        Example: `ManualTeam().put_in(["circle"]).run().defects["circle"]`
        """
        for name in DEFECTS if names is None else names:
            hours, defect = DEFECTS[name]
            self._start(defect(self), (self.end - self.time).total_seconds() - hours * HOUR)
        return self

    def run(self, until: datetime | None = None) -> ManualTeam:
        """Do all that is due up to a moment, by default the end.

        Example: `ManualTeam().run()`
        """
        until = self.end if until is None else until
        with self.store.transaction():
            while self._due[0][0] <= until:
                time, number, agent, steps = heappop(self._due)
                if agent is not None and self._newest[agent][1] != number:
                    continue  # It was called meanwhile, and has come earlier.
                self.time = time
                pause = next(steps, None)
                if pause is not None:
                    self._start(steps, pause, agent)
        self.time = until
        return self

    def history(self, path: Path) -> History:
        """Work up to the end, and return that as a history with exact events and all comments.

        Example: `with ManualTeam().history(tmp_path / "history.db") as history: history.events()`
        """
        heard: list[Change] = []
        self.store.listeners.append(heard.extend)
        with HistoryStore(path, write=True) as store, store.transaction():
            server = store.server(NAME, micros_of(self.time))
            store.write("UPDATE server SET says_blocked = 1 WHERE id = ?", server)
            state: dict[int, Record | None] = {}
            look = _look(store, server, self.time, 0, pushed=False)
            while self.time < self.end:
                since = self.time
                self.run(min(self.time + timedelta(days=1), self.end))
                _keep(store, server, look, heard, state, (since, self.time))
                look = _look(store, server, self.time, len(state), pushed=True)
                heard.clear()
        self.store.listeners.clear()
        return History(path)

    # The clock

    def _start(self, steps: Steps, pause: float = 0, agent: str | None = None) -> None:
        if agent is not None and any(not task.held for task in self._calls[agent]):
            pause = min(pause, 3 * MINUTE)
        due, number = self.time + timedelta(milliseconds=round(pause * 1000)), next(self._numbers)
        if agent is not None:
            self._newest[agent] = (due, number, steps)
        heappush(self._due, (due, number, agent, steps))

    def _call(self, task: Task) -> None:
        """Have the agent of an urgent task come within minutes, whatever it does."""
        assert task.agent is not None
        self._calls[task.agent].append(task)
        due, _, steps = self._newest[task.agent]
        soon = self._random.uniform(2, 5) * MINUTE
        if due > self.time + timedelta(seconds=soon):
            self._start(steps, soon, task.agent)

    def _room(self) -> Steps:
        """Wait for the end if it is near, so that it cuts nothing in two."""
        while 0 <= (left := (self.end - self.time).total_seconds()) < _ROOM:
            yield left + 1

    def _moment(self) -> float:
        return self._random.uniform(3, 9)

    # What agents do

    def _agent(self, name: str) -> Steps:
        while True:
            task = self._next(name)
            if task is None:
                yield self._random.uniform(5, 15) * MINUTE
            else:
                yield from self._do(task, name)
            yield self._pause(name)

    def _pause(self, name: str) -> float:
        if self._calls[name]:
            return MINUTE
        if name not in (*TESTERS, REVIEWER, LEAD):
            return self._random.uniform(10, 40) * MINUTE
        waiting, wanted = len(self._ready(name)), _AHEAD[name]
        longest = (15, 90, 200)[(waiting <= wanted) + (waiting < wanted * 0.6)]
        return self._random.uniform(longest / 3, longest) * MINUTE

    def _ready(self, name: str) -> list[Task]:
        """Return what an agent can take up."""
        queues = SERVES[name]
        return [task for task in self._open if task.agent == name and task.queue in queues
                and not (task.held or task.children or task.waits)]  # fmt: skip

    def _next(self, name: str) -> Task | None:
        """Return what an agent takes up: the urgent first, then what has waited longest for its priority."""

        def rank(task: Task) -> tuple[bool, datetime, int]:
            return not task.urgent, task.since - timedelta(hours=2 * task.priority), task.id

        ready = self._ready(name)
        if name == LEAD and len(ready) < _AHEAD[LEAD]:
            return None  # Triage is once in a while.
        return min(ready, key=rank, default=None)

    def _do(self, task: Task, name: str) -> Steps:
        if name in TESTERS:
            yield from self._verify(task, name)
        elif name == REVIEWER:
            yield from self._review(task, name)
        elif name == LEAD:
            yield from self._sort(task, name)
        else:
            yield from self._develop(task, name)

    def _begin(self, task: Task, name: str, text: str) -> Steps:
        """Set a task working, with a comment on it, and on the parent that all its agents read."""
        task.held = True  # Nothing else may begin with it while there is no room.
        yield from self._room()
        self._update(task, name, status="working")
        yield self._random.uniform(10, 60)
        self._say(task, name, text)
        if task.parent is not None:
            yield self._moment()
            self._say(task.parent, name, f"Hub: {name} is on #{task.id} now; shared names are in its branch.")

    def _work(self, task: Task, name: str, hours: float) -> Steps:
        """Work for so long, with a comment each half hour, pauses, and whatever is urgent in between."""
        left, whole = hours * HOUR, hours * HOUR
        while left > 1:
            before, stretch = self.time, min(left, self._random.uniform(23, 29.5) * MINUTE)
            yield stretch
            left -= (self.time - before).total_seconds()
            urgent = next((one for one in self._calls[name] if one is not task and not one.held), None)
            if urgent is not None and not task.urgent:
                yield from self._set_aside(task, name, f"#{urgent.id}, which is urgent")
                yield from self._do(urgent, name)
                yield from self._begin(task, name, f"Resumed: {name} is back after #{urgent.id}.")
            elif left > 1:
                share = 100 - round(100 * left / whole)
                self._say(task, name, self._random.choice(words.PROGRESS).format(share=share))
                yield from self._between(task, name, whole)

    def _between(self, task: Task, name: str, whole: float) -> Steps:
        """Ask something, or pause, now and then; what takes more than a day goes through."""
        chance = self._random.random()
        if chance < 0.0015 and self.time < self.end - timedelta(hours=1):
            asked = self._random.randrange(len(words.QUESTIONS))
            yield self._moment()
            self._say(task, name, words.QUESTIONS[asked])
            yield self._random.uniform(2, 8) * MINUTE
            self._say(task, "supervisor", words.ANSWERS[asked])
            yield self._moment()
            self._say(task, name, "Understood, that is what the branch does from now on.")
        elif chance > 0.97 and whole < DAY and not task.urgent:
            yield from self._set_aside(task, name, "a pause")
            yield self._random.uniform(30, 150) * MINUTE
            urgent = next((one for one in self._calls[name] if one is not task and not one.held), None)
            if urgent is not None:
                yield from self._do(urgent, name)
            yield from self._begin(task, name, f"Resumed: {name} goes on where the last comment ends.")

    def _set_aside(self, task: Task, name: str, why: str) -> Steps:
        yield from self._room()
        self._say(task, name, f"Set idle for {why}; the branch has all work so far.")
        yield self._moment()
        self._update(task, name, status="idle")

    def _develop(self, task: Task, name: str) -> Steps:
        yield from self._begin(task, name, f"Started: {name} takes this up on branch {self._branch(task)}.")
        halting = task.kind in ("feature", "defect") and not task.urgent and self._random.random() < 0.05
        blocker = self._blocker(task) if halting else None
        if blocker is not None:
            yield self._random.uniform(10, 25) * MINUTE
            yield from self._park(task, name, blocker)
            if task.waits:
                return
            self._say(task, name, "Progress: what this seemed to wait for is there, so that it goes on.")
        yield from self._work(task, name, task.hours)
        yield from self._room()
        if not task.linked:
            self._link(task, name, f"https://git.example.org/shop/pull/{next(self._requests)}",
                       f"Pull request of {self._branch(task)}")  # fmt: skip
            task.linked = True
            yield self._moment()
        reviewed = task.kind == "feature" and not task.urgent and self._random.random() < 0.8
        if task.kind == "defect":
            queue, to = TESTING, task.tester
        elif reviewed and not task.reviewed:
            queue, to = REVIEW, REVIEWER
        else:
            queue, to = QA, self._tester(task)
        text = f"Implementation complete, tested by all criteria. Branch: {self._branch(task)}. For {to}."
        yield from self._hand_over(task, name, queue, to, text)

    def _review(self, task: Task, name: str) -> Steps:
        yield from self._begin(task, name, f"Started: {name} reviews the pull request.")
        yield from self._work(task, name, self._hours(0.9))
        yield from self._room()
        if task.bounces < 2 and self._random.random() < 0.1:
            yield from self._return(task, name)
            return
        task.reviewed = True
        text = f"Review complete: approved, two remarks are resolved. Branch: {self._branch(task)}."
        yield from self._hand_over(task, name, QA, self._tester(task), text)

    def _verify(self, task: Task, name: str) -> Steps:
        yield from self._begin(task, name, f"Started: {name} verifies each acceptance criterion.")
        yield from self._work(task, name, self._hours(0.4 if task.urgent else 1.0))
        yield from self._room()
        if task.bounces < 3 and self._random.random() < (0.17, 0.3, 0.4)[task.bounces]:
            yield from self._return(task, name)
            if task.bounces == 3:
                yield from self._escalate(task, name)
        else:
            yield from self._close(task, name)

    def _sort(self, task: Task, name: str) -> Steps:
        """Triage: find out what is asked for, and give it to a developer."""
        yield from self._begin(task, name, f"Started: {name} checks what is asked for.")
        yield from self._work(task, name, self._random.uniform(0.3, 0.7))
        yield from self._room()
        self._triage.remove(task)
        task.maker = self._developer()
        text = f"Triaged: clear and worth doing. Branch: {self._branch(task)}, for {task.maker}."
        yield from self._hand_over(task, name, DEVELOPMENT, task.maker, text)

    # Handoffs

    def _hand_over(self, task: Task, name: str, queue: str, to: str | None, text: str) -> Steps:
        """Hand a task over: idle, a comment that says why, then the queue and the new assignee."""
        if name in SERVES and task in self._calls[name]:
            self._calls[name].remove(task)
        self._update(task, name, status="idle")
        yield self._moment()
        self._say(task, name, text)
        yield self._moment()
        self._move(task, name, queue, to)
        task.held = False

    def _return(self, task: Task, name: str) -> Steps:
        task.bounces += 1
        task.hours = self._hours(1.2)
        reason = self._random.choice(words.REASONS)
        yield from self._hand_over(task, name, QUEUES.get(task.kind, DEVELOPMENT), task.maker, reason)

    def _escalate(self, task: Task, name: str) -> Steps:
        """After three returns, have the coordinator decide, in a task of its own that is linked."""
        yield self._moment()
        self._say(task, name, f"ESCALATION: @{LEAD} this was returned {task.bounces} times by now.")
        yield self._random.uniform(20, 60)
        decision = self._create("decision", LEAD, 6, DEVELOPMENT, self._developer(), ["decision"])
        self._relate(task, decision, LEAD, "related")
        self._say(task, LEAD, f"Decided: {task.maker} goes on with a smaller scope, see #{decision.id}.")

    def _close(self, task: Task, name: str) -> Steps:
        """Complete a verified task, with its parent if it is the last, and let go on what waits for it."""
        self._say(task, name, "Verified: all acceptance criteria are met, the regression tests pass.")
        yield self._moment()
        if task.parent is not None and all(child.done for child in task.parent.children if child is not task):
            yield from self._close_parent(task.parent, task, name)
        if task in self._calls[name]:
            self._calls[name].remove(task)
        self._update(task, name, status="complete")
        for ended in (task, task.parent):
            if ended is not None and all(child.done or child is task for child in ended.children):
                ended.done = True
                self._open.remove(ended)
                if ended.parent is None:
                    self._start(self._archive(ended), self._random.uniform(3, 7) * DAY)
        for waiting in [one for one in self._open if one.blocker is task]:
            yield self._moment()
            self._say(waiting, name, f"Unblocked: #{task.id} is complete and verified, this can go on.")
            yield self._moment()
            self._move(waiting, name, DEVELOPMENT, waiting.agent)

    def _close_parent(self, parent: Task, last: Task, name: str) -> Steps:
        """Hand a parent off once its subtasks are done, but for the last look at the last of them."""
        owner = str(parent.maker)
        self._update(last, name, status="idle")
        yield self._moment()
        self._link(parent, owner, f"https://git.example.org/shop/pull/{next(self._requests)}",
                   f"Pull request of {self._branch(parent)}")  # fmt: skip
        text = f"Implementation complete in all subtasks. Branch: {self._branch(parent)}. For {name}."
        self._say(parent, owner, text)
        yield self._moment()
        self._move(parent, owner, QA, name)
        yield self._moment()
        yield from self._begin(last, name, f"Resumed: {name} looks at the whole of #{parent.id}.")
        yield self._random.uniform(20, 50)
        self._say(parent, name, f"Verified: the subtasks work together, #{last.id} was the last of them.")
        yield self._moment()

    def _archive(self, task: Task) -> Steps:
        """Archive a complete task some days later, the subtasks before their parent."""
        yield from self._room()
        for one in (*task.children, task):
            self._say(one, LEAD, "Archived: complete since days, released, and nothing is left to do.")
            yield self._moment()
            self._call_tool(LEAD, "archive_task", id=one.id)
            yield self._moment()

    # Dependencies

    def _blocker(self, task: Task) -> Task | None:
        """Return a task that another can wait for, so that there is no circle and no crowd."""
        awaited = [one.blocker for one in self._open if one.waits]
        able = [one for one in self._open if one is not task and one.queue in (DEVELOPMENT, QA, TESTING)
                and not (one.children or one.blocker or one.parent) and awaited.count(one) < 3
                and not (one.held and one.queue != DEVELOPMENT)]  # fmt: skip
        return self._random.choice(able) if able else None

    def _park(self, task: Task, name: str, blocker: Task) -> Steps:
        """Move a task to the queue of the blocked, with a comment on both."""
        yield from self._room()
        if blocker.done or blocker.waits:  # Meanwhile.
            return
        task.held, task.blocker = True, blocker  # From now on it is no blocker itself.
        self._update(task, name, status="idle")
        self._say(task, name, f"Blocked by #{blocker.id}: the interface that this needs is made there.")
        self._say(blocker, name, f"#{task.id} waits for this one.")
        self._relate(task, blocker, name, "blocks")
        self._update(task, name, blocked_by_task_id=blocker.id, queue_name=BLOCKED)
        task.queue, task.since, task.held = BLOCKED, self.time, False
        yield self._moment()

    def _relate(self, one: Task, other: Task, name: str, how: str) -> None:
        self._link(one, name, f"tasks/{other.id}", f"[{how}] {other.title}")
        self._link(other, name, f"tasks/{one.id}", f"[{how}] {one.title}")

    # What comes to the board

    def _plan(self) -> Steps:
        """See to it that there is work for everybody who makes something."""
        while True:
            yield self._random.uniform(4, 9) * MINUTE
            yield from self._room()
            short = [name for name in (*DEVELOPERS, *KINDS)
                     if len(self._ready(name)) < _AHEAD[name]]  # fmt: skip
            if short:
                yield from self._schedule(min(short, key=lambda name: len(self._ready(name)) - _AHEAD[name]))

    def _schedule(self, name: str) -> Steps:
        chance, kind = self._random.random(), KINDS.get(name, "feature")
        parents = sum(bool(task.children) for task in self._open)
        if kind == "feature" and chance < 0.07 and parents < _PARENTS_AHEAD:
            yield from self._break_down(name)
            return
        if kind == "feature" and chance < 0.8:
            task = self._defect(name, self._random.choice(TESTERS))
        else:
            task = self._create(kind, LEAD, self._priority(), QUEUES.get(kind, DEVELOPMENT), name)
        blocked = sum(task.queue == BLOCKED for task in self._open)
        if kind == "feature" and blocked < _BLOCKED_AHEAD and self._random.random() < 0.6:
            blocker = self._blocker(task)
            if blocker is not None:
                task.held = True
                yield self._random.uniform(10, 40)
                yield from self._park(task, LEAD, blocker)
                task.held = False

    def _break_down(self, owner: str) -> Steps:
        """Make a parent with two to five subtasks, and say how it is broken down."""
        parent = self._create("parent", LEAD, self._random.randint(4, 8), DEVELOPMENT, owner)
        parent.held = True  # Until its subtasks are there it could be taken for work.
        for name in self._random.sample(DEVELOPERS, self._random.randint(2, 5)):
            yield self._moment()
            self._create("feature", LEAD, parent.priority, DEVELOPMENT, name, parent=parent)
        yield self._moment()
        listed = ", ".join(f"#{child.id}" for child in parent.children)
        self._say(parent, LEAD, f"Broken down into {listed}, which can be worked on at the same time.")

    def _defect(self, name: str, tester: str, queue: str = DEVELOPMENT) -> Task:
        """Report a defect, sometimes as a regression of something that is linked."""
        origin = self._blocker(self._open[0]) if self._random.random() < 0.1 else None
        tags = ["bug", self._random.choice(words.COMPONENTS), *(["regression"] if origin else [])]
        task = self._create("defect", tester, self._priority(), queue, name, tags)
        task.tester = tester
        if origin is not None:
            self._relate(task, origin, tester, "related")
        return task

    def _fill_backlog(self) -> Steps:
        for _ in range(_BACKLOG_AT_FIRST):
            yield self._random.uniform(1, 12) * MINUTE
            self._to_backlog()
        while True:
            yield self._random.uniform(0.3, 1.7) * DAY / _BACKLOG_A_DAY
            self._to_backlog()

    def _to_backlog(self) -> None:
        self._backlog.append(self._create("feature", LEAD, next(self._backlog_priorities), BACKLOG, None))

    def _tidy_backlog(self) -> Steps:
        """Schedule something of the backlog, or cancel it, now and then."""
        yield 2 * DAY
        while True:
            yield self._random.uniform(0.3, 1.7) * DAY / _SCHEDULED_A_DAY
            yield from self._room()
            task = self._backlog.pop(self._random.randrange(len(self._backlog)))
            if self._random.random() < 0.2:
                self._say(task, LEAD, "Cancelled: obsolete, the new shop does this in another way.")
                yield self._moment()
                self._call_tool(LEAD, "archive_task", id=task.id)
                continue
            task.maker = self._developer()
            self._say(task, LEAD, f"Scheduled: for {task.maker}. Branch: {self._branch(task)}.")
            yield self._moment()
            self._move(task, LEAD, DEVELOPMENT, task.maker)
            self._open.append(task)

    def _fill_triage(self) -> Steps:
        while True:
            yield self._random.uniform(1, 5) * HOUR
            if len(self._triage) < _TRIAGE_AHEAD:
                author = self._random.choice((*TESTERS, "product-owner"))
                if author in TESTERS:
                    self._triage.append(self._defect(LEAD, author, TRIAGE))
                else:
                    self._triage.append(self._create("feature", author, self._priority(), TRIAGE, LEAD))

    def _emergencies(self) -> Steps:
        """Let something urgent come in now and then, which a developer gets at once."""
        while True:
            yield self._random.uniform(0.5, 2.5) * DAY
            yield from self._room()
            free = [name for name in DEVELOPERS if not self._calls[name]]
            name, priority = self._random.choice(free), self._random.choice((9, 9, 10))
            self._call(self._create("feature", LEAD, priority, DEVELOPMENT, name))

    def _weigh(self) -> Steps:
        """Change the priority of what waits by one, with a comment that says why."""
        while True:
            yield self._random.uniform(0.5, 1.5) * DAY
            yield from self._room()
            name = self._random.choice(DEVELOPERS)
            able = [task for task in self._ready(name) if 1 < task.priority < 8]
            if able:
                task, step = self._random.choice(able), self._random.choice((-1, 1))
                task.priority += step
                way = "raised" if step > 0 else "lowered"
                self._say(task, LEAD, f"Priority {way} to {task.priority}, after the talk with the customer.")
                yield self._moment()
                self._update(task, LEAD, priority=task.priority)

    # What all of that has in common

    def _create(
        self,
        kind: str,
        author: str,
        priority: int,
        queue: str,
        agent: str | None,
        tags: list[str] | None = None,
        parent: Task | None = None,
    ) -> Task:
        title, hours = next(self._titles[kind]), self._hours(_HOURS.get(kind, 1))
        if kind == "feature" and self._random.random() < _LONG:
            hours = self._random.uniform(26, 34)
        if tags is None:
            tags = [self._random.choice(words.COMPONENTS)]
            tags += self._random.sample(words.MORE_TAGS, self._random.choice((0, 0, 1, 2)))
        record = self._call_tool(
            author, "create_task", title=title, created_by=author, description=words.description(kind, title),
            priority=1 if priority < 1 else min(priority, 10), queue_name=queue, assigned_to=agent, tags=tags,
            parent_task_id=None if parent is None else parent.id,
        )  # fmt: skip
        task = Task(record["id"], title, kind, priority, queue, agent, self.time, hours, agent, parent=parent)
        if parent is not None:
            parent.children.append(task)
        if queue != BACKLOG:
            self._open.append(task)
        return task

    def _move(self, task: Task, name: str, queue: str, to: str | None) -> None:
        """Give a task to a queue and an agent, at once."""
        self._update(task, name, queue_name=queue, assigned_to=to)
        task.queue, task.agent, task.since = queue, to, self.time
        if task.urgent:
            self._call(task)

    def _update(self, task: Task, by: str, **changes: Any) -> None:
        self._call_tool(by, "update_task", id=task.id, **changes)

    def _say(self, task: Task, by: str, text: str) -> None:
        self.store.add_comment(task.id, text, by)

    def _link(self, task: Task, by: str, url: str, description: str) -> None:
        self._call_tool(by, "add_link", task_id=task.id, url=url, description=description, created_by=by)

    def _call_tool(self, by: str, tool: str, **arguments: Any) -> Any:
        with self.store.transaction(by):
            return getattr(self.store, tool)(**arguments)

    def _hours(self, mean: float) -> float:
        return max(0.6, self._random.gammavariate(4, mean / 4))

    def _priority(self) -> int:
        [priority] = self._random.choices([*_PRIORITIES], [*_PRIORITIES.values()])
        return priority

    def _developer(self) -> str:
        return min(DEVELOPERS, key=lambda name: (len(self._ready(name)), name))

    def _tester(self, task: Task) -> str:
        """Return who verifies a task: whoever did so before, or who has the least to do."""
        if task.tester is None:
            task.tester = min(TESTERS, key=lambda name: (len(self._ready(name)), name))
        return task.tester

    def _branch(self, task: Task) -> str:
        return f"{'fix' if task.kind == 'defect' else 'feature'}/{task.id}"


# --- The history ------------------------------------------------------------------------------------------

# What a journal makes of the same is the same, event by event, but it takes several times as long: it has to
# be ready for what is told late, twice or never.


def _look(store: HistoryStore, server: int, at: datetime, tasks: int, *, pushed: bool) -> int:
    """Write down that somebody has looked at the whole board, and return the number of that."""
    time, day = micros_of(at), int(DAY * 1e6)
    return store.observe(server, time, time, source="listing", every=day, tasks=tasks, pushed=pushed)


def _keep(
    store: HistoryStore,
    server: int,
    look: int,
    heard: Iterable[Change],
    state: dict[int, Record | None],
    between: tuple[datetime, datetime],
) -> None:
    """Write down what the store has told after a look: each change at its time, and all comments."""
    told: dict[int, list[Push]] = {}
    new: dict[int, Record | None] = {}
    for change in heard:
        if change.table == "tasks":
            [event] = served([change])
            told.setdefault(change.id, []).append(push_of(event))
            new[change.id] = None if change.after is None else record_of(change.after)
        elif change.after is not None:
            store.note(server, change.after, micros_of(change.at))
    since, until = map(micros_of, between)
    for task, pushes in told.items():
        events = changes(task, state.get(task), pushes, new[task], since, until, True)
        store.add_events(server, look, events)
    store.set_state(server, new.items())
    state.update(new)


# --- Defects ----------------------------------------------------------------------------------------------

_SILENT, _OTHER, _RUNNER = RESERVE


class _Hand:
    """Does by hand, with the store's own tools, what goes wrong; nobody of the team touches those tasks."""

    def __init__(self, team: ManualTeam, name: str) -> None:
        self._store = team.store
        self.ids = team.defects[name] = []

    def make(self, title: str, agent: str | None, priority: int, *, about: bool = True, **fields: Any) -> int:
        """Create a task; `about` says whether the defect is about it."""
        fields = {"queue_name": DEVELOPMENT, "tags": ["api"]} | fields
        text = words.description("feature", title)
        with self._store.transaction(LEAD):
            task = self._store.create_task(
                title, LEAD, description=text, assigned_to=agent, priority=priority, **fields
            )
        number = int(task["id"])
        if about:
            self.ids.append(number)
        return number

    def set(self, task: int, by: str, **changes: Any) -> None:
        """Update a task."""
        with self._store.transaction(by):
            self._store.update_task(task, **changes)

    def say(self, task: int, by: str, text: str) -> int:
        """Comment on a task, and return the comment's number."""
        return int(self._store.add_comment(task, text, by)["id"])

    def begin(self, task: int, agent: str) -> Steps:
        """Begin with a task as the manual says."""
        self.set(task, agent, status="working")
        yield 20
        self.say(task, agent, f"Started: {agent} takes this up on branch feature/{task}.")

    def wait(self, task: int, blocker: int) -> Steps:
        """Let a task wait for another, with a comment on both."""
        self.say(task, LEAD, f"Blocked by #{blocker}: the interface that this needs is made there.")
        self.say(blocker, LEAD, f"#{task} waits for this one.")
        with self._store.transaction(LEAD):
            self._store.add_link(task, f"tasks/{blocker}", "[blocks] what this waits for", LEAD)
            self._store.add_link(blocker, f"tasks/{task}", "[blocks] what waits for this", LEAD)
        self.set(task, LEAD, blocked_by_task_id=blocker, queue_name=BLOCKED)
        yield 10


def _silent_root(team: ManualTeam) -> Steps:
    """Let an agent fall silent for two days at a task for which four others wait, in two chains."""
    hand = _Hand(team, "silent_root")
    root = hand.make("Add the shared event schema for all services", _SILENT, 7)
    for service, priority in (("orders", 6), ("billing", 3)):
        first = hand.make(f"Add the {service} events to the shared schema", _SILENT, priority, about=False)
        then = hand.make(f"Test the {service} events end to end", _SILENT, priority, about=False)
        yield from hand.wait(first, root)
        yield from hand.wait(then, first)
    yield from hand.begin(root, _SILENT)
    for share in range(10, 90, 10):
        yield 29 * MINUTE
        hand.say(root, _SILENT, f"Progress: {share} % done, the main path works and its tests pass.")


def _circle(team: ManualTeam) -> Steps:
    """Let three tasks wait for each other."""
    hand = _Hand(team, "circle")
    tasks = [hand.make(f"Add the {part} of the plan editor", _OTHER, priority)
             for part, priority in (("model", 2), ("view", 5), ("storage", 8))]  # fmt: skip
    for task, blocker in zip(tasks, [*tasks[1:], tasks[0]], strict=True):
        yield from hand.wait(task, blocker)


def _archived_blocker(team: ManualTeam) -> Steps:
    """Archive an unfinished task for which another waits; the defect is about the one that waits."""
    hand = _Hand(team, "archived_blocker")
    blocker = hand.make("Add the old gateway's error codes", _OTHER, 4, about=False)
    yield 30
    task = hand.make("Support the gateway's error codes in the shop", _OTHER, 4)
    yield from hand.wait(task, blocker)
    yield 2 * HOUR
    hand.say(blocker, LEAD, "Cancelled: obsolete, the old gateway is switched off.")
    yield 20
    with team.store.transaction(LEAD):
        team.store.archive_task(blocker)


def _urgent_unassigned(team: ManualTeam) -> Steps:
    """Leave something urgent lying that anybody could begin."""
    _Hand(team, "urgent_unassigned").make("Fix the payment page that is down in production", None, 9)
    yield 0


def _working_unassigned(team: ManualTeam) -> Steps:
    """Take a task from its agent while it is at work, and give it to nobody."""
    hand = _Hand(team, "working_unassigned")
    task = hand.make("Remove the unused columns of the customer table", _OTHER, 3)
    yield from hand.begin(task, _OTHER)
    yield 20 * MINUTE
    hand.set(task, LEAD, assigned_to=None)


def _working_blocked(team: ManualTeam) -> Steps:
    """Work on a task, with all its comments, although it waits for another."""
    hand = _Hand(team, "working_blocked")
    task = hand.make("Add the retry button to the payment page", _OTHER, 5)
    blocker = hand.make("Add the retry endpoint to the payment service", _OTHER, 5, about=False)
    yield from hand.wait(task, blocker)
    yield from hand.begin(task, _OTHER)
    for number in count(1):
        yield 28 * MINUTE
        hand.say(task, _OTHER, f"Progress: step {number} of the button works against a stub.")


def _unanswered(team: ManualTeam) -> Steps:
    """Ask the supervisor something that nobody answers."""
    hand = _Hand(team, "unanswered")
    task = hand.make("Migrate the statements to the new layout", _RUNNER, 6)
    yield from hand.begin(task, _RUNNER)
    yield 25 * MINUTE
    hand.set(task, _RUNNER, status="idle")
    yield 20
    hand.say(task, _RUNNER, "ESCALATION: @supervisor both layouts contradict each other, which one holds?")


def _retries_used_up(team: ManualTeam) -> Steps:
    """Let a task fail as often as it may."""
    hand = _Hand(team, "retries_used_up")
    task = hand.make("Update the licence headers of all sources", _RUNNER, 2)
    for failed in (1, 2, 3):
        yield 20 * MINUTE
        hand.set(task, _RUNNER, tags=["api", f"failed:{failed}"])
        hand.say(task, "calypso-nb run-agent", f"Run {failed:012x} failed: the recipe ended with status 1.")


def _run_lost(team: ManualTeam) -> Steps:
    """Let a run end without a word: its lease is dead, and the task is working for ever."""
    hand = _Hand(team, "run_lost")
    task = hand.make("Test the nightly import with last month's data", _RUNNER, 1)
    yield 5 * MINUTE
    lease = "Lease 5ca1ab1e0ff5 of 300 s, sign {}: build-host runs import for dev-9"
    comment = hand.say(task, "calypso-nb run-agent", lease.format(1))
    hand.set(task, _RUNNER, status="working", tags=["api", "run-agent"])
    for sign in range(2, 20):
        yield 75
        with team.store.transaction():
            team.store.update_comment(comment, lease.format(sign))


# What can go wrong: how many hours before the end it begins, and how.
DEFECTS: dict[str, tuple[float, Defect]] = {
    "silent_root": (52.2, _silent_root),
    "circle": (30, _circle),
    "archived_blocker": (20, _archived_blocker),
    "urgent_unassigned": (3, _urgent_unassigned),
    "working_unassigned": (6, _working_unassigned),
    "working_blocked": (7, _working_blocked),
    "unanswered": (5.5, _unanswered),
    "retries_used_up": (9, _retries_used_up),
    "run_lost": (8, _run_lost),
}
