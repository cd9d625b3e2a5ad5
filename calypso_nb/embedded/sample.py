"""A believable project for demos and tests: a team of agents some weeks into building a billing product."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import cycle, islice
from typing import Any

from calypso_nb.embedded import sample_words as words
from calypso_nb.embedded.store import Record, TinytaskStore

_HOUR = 1.0
_DAY = 24.0
# How the drawn tasks split; the scenes add mostly unfinished ones.
_STATUS_WEIGHTS = {"complete": 49, "idle": 36, "working": 15}
_PRIORITY_WEIGHTS = {-1: 3, 0: 30, 1: 14, 2: 14, 3: 12, 4: 7, 5: 9, 6: 3, 7: 3, 8: 3, 9: 1, 10: 1}


@dataclass(eq=False)
class _Draft:
    """A task before it has an id; ages in hours before the sample's moment."""

    title: str
    queue: str
    agent: str | None
    status: str
    created: float
    updated: float
    priority: int = 0
    parent: "_Draft | None" = None
    blocker: "_Draft | None" = None
    archived: float | None = None
    handed_over_by: str | None = None
    tags: list[str] = field(default_factory=list)


def fill_sample(
    store: TinytaskStore, *, seed: int = 0, now: datetime | None = None, tasks: int = 300
) -> None:
    """Fill an empty store with about `tasks` tasks (the fixed scenes alone are about 50), with their notes.

    The same seed and moment give the same database; `now` is by default the store's own clock.
    """
    moment = now or store.now()
    random_ = random.Random(seed)
    drafts = _scenes()
    drafts += islice(_drawn(random_), max(0, tasks - len(drafts)))
    drafts.sort(key=lambda draft: -draft.created)
    ids = {draft: number for number, draft in enumerate(drafts, start=1)}
    comments, links = [], []
    for draft in drafts:
        comments += _comments(random_, draft, ids[draft], moment)
        links += _links(random_, draft, ids[draft], moment)
    with store.transaction():
        store.insert_many(_record(random_, draft, ids, moment) for draft in drafts)
        store.insert_many(sorted(comments, key=_by_time), "comments")
        store.insert_many(sorted(links, key=_by_time), "links")


def demo_store(now: datetime | None = None) -> TinytaskStore:
    """A TinyTask in memory with the sample in it."""
    store = TinytaskStore()
    fill_sample(store, now=now)
    return store


def _by_time(record: Mapping[str, Any]) -> datetime:
    at: datetime = record["created_at"]
    return at


def _scenes() -> list[_Draft]:
    return [
        *_epics(),
        *_blockers(),
        *(
            _Draft(title, queue, None, "idle", age * _HOUR, age * _HOUR, priority=priority)
            for title, queue, age, priority in words.URGENT_UNASSIGNED
        ),
        *(
            _Draft(title, queue, agent, "working", (silent + 4) * _DAY, silent * _DAY, priority=5)
            for title, queue, agent, silent in words.STUCK
        ),
        *(
            _Draft(title, queue, agent, "idle", age * _DAY, age * _DAY)
            for title, queue, agent, age in words.UNTOUCHED
        ),
        *(
            _Draft(title, "dev", words.MULTITASKER, "working", 30 + 9 * n, 1.5 + 3 * n, priority=4)
            for n, title in enumerate(words.JUGGLED)
        ),
        *(
            _Draft(title, queue, agent, status, (age + 5) * _DAY, age * _DAY, archived=(age - 1) * _DAY)
            for title, queue, agent, status, age in words.ARCHIVED
        ),
    ]


def _epics() -> Iterator[_Draft]:
    for title, queue, lead, age, stories in words.EPICS:
        epic = _Draft(title, queue, lead, "", age * _DAY, 0, priority=6, tags=["epic"])
        yield epic
        family = []
        for number, (story_title, agent, status, steps) in enumerate(stories, start=1):
            created = (age - 0.4 * number) * _DAY
            story = _Draft(story_title, queue, agent, status, created, created / 3, priority=4, parent=epic)
            family.append(story)
            yield story
            below = []
            for step_number, (step_title, step_status) in enumerate(steps, start=1):
                started = created - 2 * step_number
                ended = started if step_status == "idle" else started / (2 + step_number)
                step = _Draft(step_title, queue, agent, step_status, started, ended, priority=3, parent=story)
                below.append(step)
                yield step
            if below:
                _add_up(story, below)
        _add_up(epic, family)


def _add_up(parent: _Draft, children: list[_Draft]) -> None:
    """Give a parent what TinyTask's roll-up would have given it."""
    statuses = {child.status for child in children}
    parent.status = "complete" if statuses == {"complete"} else "working" if "working" in statuses else "idle"
    parent.updated = min(child.updated for child in children)


def _blockers() -> Iterator[_Draft]:
    for chain in words.BLOCKED_CHAINS:
        blocker = None
        for step, (title, queue, agent, status, archived) in enumerate(chain):
            created = (12 - 2 * step) * _DAY
            updated = created if status == "idle" else created - 1.5 * _DAY
            blocker = _Draft(
                title, queue, agent, status, created, updated, priority=5 + step, blocker=blocker
            )
            blocker.archived = 4 * _DAY if archived else None
            yield blocker


def _drawn(random_: random.Random) -> Iterator[_Draft]:
    titles = {queue: _titles(random_, queue) for queue in words.QUEUES}
    shares = {name: unfinished for name, (_, unfinished, _) in words.AGENTS.items()}
    hands = {name: 3 if name == words.MULTITASKER else 2 for name, share in shares.items() if share}
    agents = {
        "complete": _deck(random_, {name: done for name, (done, _, _) in words.AGENTS.items()}),
        "idle": _deck(random_, shares),
        "working": _deck(random_, hands),  # most have few things in hand, however much waits for them
    }
    waited_for: list[_Draft] = []
    for status in _deck(random_, _STATUS_WEIGHTS):
        agent = next(agents[status])
        queue = random_.choice(words.AGENTS[agent][2])
        created, updated = _ages(random_, status)
        draft = _Draft(next(titles[queue]), queue, agent, status, created, updated)
        draft.priority = random_.choices(list(_PRIORITY_WEIGHTS), list(_PRIORITY_WEIGHTS.values()))[0]
        if waited_for and status == "idle" and random_.random() < 0.15:
            draft.blocker = random_.choice(waited_for)
        elif len(waited_for) < 40:
            waited_for.append(draft)
        if status == "idle" and random_.random() < 0.12:
            draft.agent = None
        elif random_.random() < 0.1:
            draft.handed_over_by = random_.choice([other for other in words.AGENTS if other != agent])
        yield draft


def _titles(random_: random.Random, queue: str) -> Iterator[str]:
    openings, subjects, endings = words.QUEUES[queue]
    titles = [f"{a} {b}{c}" for a in openings for b in subjects for c in endings]
    random_.shuffle(titles)
    return cycle(titles)


def _deck(random_: random.Random, weights: dict[str, int]) -> Iterator[str]:
    """Names in random order, in shares that hold for any seed."""
    cards = [name for name, weight in weights.items() for _ in range(weight)]
    random_.shuffle(cards)
    return cycle(cards)


def _ages(random_: random.Random, status: str) -> tuple[float, float]:
    """When a task was created and last updated: complete work over six weeks, open work mostly recent."""
    if status == "complete":
        created = random_.uniform(1, 42 * _DAY)
        return created, max(0.1, created - min(random_.expovariate(1 / 60), created * 0.95))
    if status == "working":
        updated = random_.uniform(0.1, 20)
        return updated + random_.expovariate(1 / 40), updated
    created = min(random_.expovariate(1 / 120) + 0.1, 40 * _DAY)
    return created, created if random_.random() < 0.7 else created * random_.uniform(0.1, 0.9)


def _record(random_: random.Random, draft: _Draft, ids: dict[_Draft, int], moment: datetime) -> Record:
    author = (draft.parent and draft.parent.agent) or random_.choice(words.AUTHORS)
    return {
        "id": ids[draft],
        "title": draft.title,
        "description": random_.choice(words.DESCRIPTIONS) if random_.random() < 0.7 else None,
        "status": draft.status,
        "assigned_to": draft.agent,
        "previous_assigned_to": draft.handed_over_by,
        "created_by": author,
        "priority": draft.priority,
        "tags": draft.tags
        or random_.sample(words.TAGS[draft.queue], random_.choice([0, 1, 1, 2, 3]))
        or None,
        "parent_task_id": draft.parent and ids[draft.parent],
        "queue_name": draft.queue,
        "blocked_by_task_id": draft.blocker and ids[draft.blocker],
        "created_at": _ago(moment, draft.created),
        "updated_at": _ago(moment, draft.updated),
        "archived_at": None if draft.archived is None else _ago(moment, draft.archived),
    }


def _ago(moment: datetime, hours: float) -> datetime:
    return moment - timedelta(hours=hours)


def _comments(random_: random.Random, draft: _Draft, id: int, moment: datetime) -> list[Record]:
    if draft.agent is None:
        return []
    notes: list[tuple[str, str]] = []
    if draft.handed_over_by:
        notes.append((draft.handed_over_by, random_.choice(words.HANDOFFS).format(agent=draft.agent)))
    most = {"idle": 1, "working": 3, "complete": 3}[draft.status]
    texts = random_.sample(words.NOTES[draft.status], random_.randint(0, most))
    notes += [(draft.agent, text.format(pr=400 + id)) for text in texts]
    times = sorted((random_.uniform(draft.updated, draft.created) for _ in notes), reverse=True)
    return [
        {"task_id": id, "content": text, "created_by": by, "created_at": at, "updated_at": at}
        for (by, text), at in zip(notes, (_ago(moment, hours) for hours in times), strict=True)
    ]


def _links(random_: random.Random, draft: _Draft, id: int, moment: datetime) -> list[Record]:
    if draft.agent is None or draft.status == "idle":
        return []
    chosen = random_.sample(words.LINKS[draft.queue], random_.choice([0, 0, 1, 1, 2]))
    return [
        {
            "task_id": id,
            "url": url.format(id=id, pr=400 + id),
            "description": description,
            "created_by": draft.agent,
            "created_at": _ago(moment, random_.uniform(draft.updated, draft.created)),
        }
        for url, description in chosen
    ]
