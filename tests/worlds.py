"""Simulated boards with a known truth: a store whose clock is the world's, and a recorder that watches it.

Nothing here waits: a world's time passes by being set, and pushes arrive when the world says so.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

from calypso_nb.embedded import TinytaskStore
from calypso_nb.embedded.server import respond_to
from calypso_nb.history.changes import SECOND, Event, Record, micros, moment_of, record_of
from calypso_nb.history.journal import Journal
from calypso_nb.history.pushes import Pushed, pushed
from calypso_nb.history.store import HistoryStore, unpacked

START = micros("2026-11-23T09:00:00Z") or 0
AGENTS = ("alice", "bob", "carol")
NAME = "http://simulated"


class World:
    """A board on which things happen by chance, and what is known of it for certain.

    - seed: the same world again
    - busy: the longest time between two changes, in seconds
    """

    def __init__(self, seed: int, busy: float = 40) -> None:
        self.random, self.busy = Random(seed), busy
        self.time = START
        self.store = TinytaskStore(now=lambda: moment_of(self.time))
        self.events: list[Pushed] = []  # What the server has said, in order.
        self.delivered: list[Pushed] = []  # What of it has come to whoever records.
        self.times: list[int] = [self.time]
        self.boards: list[dict[int, Record]] = [{}]

    def act(self) -> None:
        """Let somebody change something, a little later."""
        # In whole milliseconds, as a server's clock has them.
        self.time += int(self._pause() * 1000 + 1) * 1000
        tool, arguments = self._deed()
        respond_to(self.store, tool, arguments, self._say)
        self.times.append(self.time)
        self.boards.append(self.listing())

    def listing(self) -> dict[int, Record]:
        """Return all tasks as the server lists them now."""
        return {task["id"]: record_of(task) for task in self.store.list_tasks(include_archived=True)}

    def at(self, time: int) -> dict[int, Record]:
        """Return the board as it was at a time."""
        return self.boards[bisect_right(self.times, time) - 1]

    def held(self, task: int, field: str, time: int) -> int:
        """Return for how long a task held what it held at a time, in microseconds."""
        place = bisect_right(self.times, time) - 1
        value = self.boards[place].get(task, {}).get(field)
        begin, end = place, place + 1
        while begin and self.boards[begin - 1].get(task, {}).get(field) == value:
            begin -= 1
        while end < len(self.boards) and self.boards[end].get(task, {}).get(field) == value:
            end += 1
        return (self.times[end] if end < len(self.times) else self.time + SECOND) - self.times[begin]

    def hasty(self, task: int, begin: int, end: int) -> bool:
        """Return whether in a time a task changed, told by nobody, two seconds from another deed or less.

        TinyTask's own times tick in seconds: nothing tells the order of such changes and a look between.
        """
        begin, end = begin - 2 * SECOND, end + 2 * SECOND
        said = [event for event in self.delivered if event.task_id == task and begin <= event.at <= end]
        changes = {
            time for time, before, after in self.changes(begin, end) if before.get(task) != after.get(task)
        }
        untold = changes - {event.at for event in said if event.type != "comment-added"}
        return any(
            later - earlier < 2 * SECOND and {earlier, later} & untold
            for earlier, later in pairwise(sorted(changes | {event.at for event in said}))
        )

    def changed(self, task: int, time: int) -> int:
        """Return when a task changed last before a time."""
        places = range(bisect_right(self.times, time) - 1, 0, -1)
        changed = (at for at in places if self.boards[at].get(task) != self.boards[at - 1].get(task))
        return self.times[next(changed, 0)]

    def changes(self, begin: int, end: int) -> Iterator[tuple[int, dict[int, Record], dict[int, Record]]]:
        """Yield when something changed in a time, with the board before and after it."""
        for place in range(max(bisect_left(self.times, begin), 1), bisect_right(self.times, end)):
            yield self.times[place], self.boards[place - 1], self.boards[place]

    def _say(self, event: Record) -> None:
        known = pushed(event)
        assert known is not None
        self.events.append(known)

    def _pause(self) -> float:
        """Return for how many seconds nobody does anything."""
        wait = self.random.choice((0.002, 0.3, self.busy / 4, self.busy))
        return self.random.uniform(0.001, wait)

    def _deed(self) -> tuple[str, dict[str, Any]]:
        choose = self.random.choice
        tasks = [*self.boards[-1]]
        if not tasks or self.random.random() < 0.2:
            fields: dict[str, Any] = {"title": f"task {len(self.times)}", "created_by": choose(AGENTS)}
            fields |= {"assigned_to": choose(AGENTS), "queue_name": choose(("dev", "review"))}
            if tasks and self.random.random() < 0.4:
                fields["parent_task_id"] = choose(tasks)
            if tasks and self.random.random() < 0.3:
                fields["blocked_by_task_id"] = choose(tasks)
            return "create_task", fields
        task = choose(tasks)
        status = choose(("idle", "working", "working", "complete"))
        deeds: list[tuple[str, dict[str, Any]]] = [
            ("update_task", {"id": task, "status": status}),
            ("update_task", {"id": task, "status": status}),
            (
                "update_task",
                {"id": task, "assigned_to": choose(AGENTS), "priority": self.random.randint(0, 9)},
            ),
            ("update_task", {"id": task}),
            ("signup_for_task", {"agent_name": choose(AGENTS)}),
            (
                "move_task",
                {
                    "task_id": task,
                    "current_agent": self.boards[-1][task]["assigned_to"],
                    "new_agent": choose(AGENTS),
                    "comment": "yours",
                },
            ),
            ("add_comment", {"task_id": task, "content": "so far so good", "created_by": choose(AGENTS)}),
            ("move_task_to_queue", {"task_id": task, "new_queue_name": choose(("dev", "review", "qa"))}),
        ]
        rare: list[tuple[str, dict[str, Any]]] = [
            ("archive_task", {"id": task}),
            ("delete_task", {"id": task}),
            ("clear_queue", {"queue_name": "qa"}),
            ("remove_task_from_queue", {"task_id": task}),
        ]
        return choose(rare) if self.random.random() < 0.1 else choose(deeds)


class Recorded:
    """A history of a world: listings with the bounds that a real clock gives, and pushes that arrive."""

    def __init__(self, world: World, path: Path) -> None:
        self.world = world
        self.store = HistoryStore(path, write=True)
        self.journal = Journal(self.store, NAME, "listing", 30 * SECOND)
        self.shown: list[tuple[int, dict[int, Record]]] = []
        self.places: list[int] = []  # Of the boards of the world that were shown.
        self.heard = 0

    def look(self, began: int, listed: dict[int, Record], ended: int) -> None:
        """Write down a listing."""
        self.journal.see(({"id": number, **task} for number, task in listed.items()), began, ended)
        number = self.store.scalar("SELECT max(id) FROM observation WHERE ok")
        self.shown.append((number, listed))
        boards = self.world.boards
        self.places.append(next(place for place in reversed(range(len(boards))) if boards[place] == listed))

    def hear(self, events: list[Pushed]) -> None:
        """Write down events that have arrived."""
        self.heard += self.journal.hear(events)
        self.journal.tell()

    @property
    def server(self) -> int:
        """The number of the newest epoch."""
        assert self.journal.server is not None
        return self.journal.server

    def events(self) -> list[Event]:
        """Return what is written down, by task, in the order in which it happened."""
        rows = self.store.rows(
            "SELECT task_id, field, old, new, not_before, not_after, seen, pushed, by FROM event"
            " WHERE server = ? ORDER BY task_id, observation, id",
            self.server,
        )
        return [
            Event(task, field, unpacked(field, old), unpacked(field, new), *rest)
            for task, field, old, new, *rest in rows
        ]

    def looked(self) -> list[int]:
        """Return of each event the time of the look before it, in the same order."""
        rows = self.store.rows(
            "SELECT coalesce(last, 0) FROM event LEFT JOIN observation ON observation.id = event.observation"
            " WHERE event.server = ? ORDER BY task_id, observation, event.id",
            self.server,
        )
        return [last for (last,) in rows]


Delivery = Callable[[Random], float | None]


def live(world: World, histories: dict[str, Recorded], rounds: int, delivered: Delivery) -> None:
    """Let a world live and be recorded: by listings in each history, by pushes in that called `pushed`.

    - rounds: how many listings, with some changes before each
    - delivered: after how many seconds an event arrives, None for never; it may arrive twice
    """
    random = Random(world.random.random())
    waiting: list[tuple[int, Pushed]] = []
    said = 0
    away = 0
    for _ in range(rounds):
        for _ in range(random.randint(0, 3)):
            world.act()
        if world.time < away:
            continue
        began, listed, ended = _look(world, random)
        # What is said of one change waits in one queue: it comes together, or is dropped together.
        delays: dict[int, float | None] = {}
        for event in world.events[said:]:
            delay = delays.setdefault(event.at, delivered(random))
            if delay is not None and "pushed" in histories:
                world.delivered.append(event)
                waiting += [(event.at + int(delay * SECOND), event)] * random.choice((1, 1, 1, 2))
        said = len(world.events)
        due = sorted((one for one in waiting if one[0] <= world.time), key=lambda one: one[0])
        waiting = [one for one in waiting if one[0] > world.time]
        early = random.random() < 0.5  # Whether the pushes are written down before the listing or after it.
        if due and early and histories["pushed"].shown:
            histories["pushed"].hear([event for _, event in due])
            due = []
        for history in histories.values():
            history.look(began, listed, ended)
        if due:
            histories["pushed"].hear([event for _, event in due])
        if random.random() < 0.05:
            away = world.time + random.randint(60, 1800) * SECOND
            world.time += random.randint(1, 600) * SECOND
    world.time += 1800 * SECOND
    if "pushed" in histories:
        histories["pushed"].hear([event for _, event in sorted(waiting, key=lambda one: one[0])])
    began, listed, ended = _look(world, random)
    for history in histories.values():
        history.look(began, listed, ended)


def _look(world: World, random: Random) -> tuple[int, dict[int, Record], int]:
    """List all tasks while somebody may be at work, and return it with the times before and after."""
    world.time += 1000
    began = world.time - random.randint(0, SECOND)
    if random.random() < 0.3:
        world.act()
    listed = world.listing()
    if random.random() < 0.3:
        world.act()
    return began, listed, world.time + random.randint(0, SECOND)


Values = list[tuple[int, str, Any, bool]]


def values_at(history: Recorded, times: list[int]) -> Iterator[Values]:
    """Yield of each time the value of each field of each task, and whether it is certain.

    Of a task that a listing shows to have changed, nothing is certain from the look before up to the change.
    """
    events = [*zip(history.events(), history.looked(), strict=True)]
    until = dict(history.store.rows("SELECT id, until FROM observation"))
    seen = {task: until[number] for number, shown in reversed(history.shown) for task in shown}
    for time in times:
        yield [*_values_at(time, events, seen)]


def _values_at(
    time: int, events: list[tuple[Event, int]], seen: dict[int, int]
) -> Iterator[tuple[int, str, Any, bool]]:
    known: dict[int, Record] = {}
    doubtful = set()
    for event, looked in events:
        # Nor what a task was like that is gone, whoever said so.
        if looked <= time < event.not_after and not (event.pushed and event.field != "deleted"):
            alone = event.field == "blocked_by_task_id" and event.new is None
            doubtful.add((event.task_id, event.field) if alone else event.task_id)
        if event.not_after > time:
            continue
        if event.field == "created":
            known[event.task_id] = {**event.new, "there": True}
        elif event.task_id not in known:
            continue  # Within the second in which it was created.
        elif event.field == "deleted":
            known[event.task_id]["there"] = False
        elif event.field != "first seen":
            known[event.task_id][event.field] = event.new
    for task, record in known.items():
        for name, value in record.items():
            # A blocker may have been deleted before anybody saw the task, which changes nothing else of it.
            free = name == "blocked_by_task_id" and task in seen and time < seen[task]
            yield task, name, value, not {task, (task, name)} & doubtful and not free
