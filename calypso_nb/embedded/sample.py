"""A believable project for demos and tests: a team of agents some weeks into building a billing product."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from itertools import cycle, islice
from operator import itemgetter
from typing import Any

import orjson

from calypso_nb.embedded.database import Record
from calypso_nb.embedded.store import TinytaskStore

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
    """Fill an empty store with sample tasks, their comments and their links.

    The same seed and moment give the same database.

    - seed: the seed of everything that is drawn at random.
    - now: the moment that all ages count back from; by default the store's own clock.
    - tasks: about how many tasks to make; the fixed scenes alone are about 50.

    Example: `fill_sample(TinytaskStore(), seed=1, tasks=100)`
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
    by_time = itemgetter("created_at")
    with store.transaction():
        store.insert_many(_record(random_, draft, ids, moment) for draft in drafts)
        store.insert_many(sorted(comments, key=by_time), "comments")
        store.insert_many(sorted(links, key=by_time), "links")


def demo_store(now: datetime | None = None) -> TinytaskStore:
    """Return a TinyTask in memory that is filled with the sample project.

    - now: the moment that all ages count back from; by default the present.

    Example: `demo_store().list_queues()`
    """
    store = TinytaskStore()
    fill_sample(store, now=now)
    return store


@cache
def sample_words() -> dict[str, Any]:
    """Return the words of the project: its agents, queues, fixed scenes, comments and links."""
    words: dict[str, Any] = orjson.loads(files(__package__).joinpath("sample_words.json").read_bytes())
    return words


def _scenes() -> list[_Draft]:
    """Return the fixed tasks: epics, blockers, and everything that needs somebody's attention."""
    drafts: dict[str, _Draft] = {}
    for scene in sample_words()["scenes"]:
        relatives = {name: drafts[scene[name]] for name in ("parent", "blocker") if name in scene}
        drafts[scene["title"]] = _Draft(**scene | relatives)
    return list(drafts.values())


def _drawn(random_: random.Random) -> Iterator[_Draft]:
    words = sample_words()
    team, multitasker = words["agents"], words["multitasker"]
    titles = {queue: sample_titles(random_, queue) for queue in words["queues"]}
    # Most have few things in hand, however much waits for them.
    hands = {name: 2 for name, agent in team.items() if agent["open"]} | {multitasker: 3}
    agents = {
        "complete": _deck(random_, {name: agent["complete"] for name, agent in team.items()}),
        "idle": _deck(random_, {name: agent["open"] for name, agent in team.items()}),
        "working": _deck(random_, hands),
    }
    waited_for: list[_Draft] = []
    for status in _deck(random_, _STATUS_WEIGHTS):
        agent = next(agents[status])
        queue = random_.choice(team[agent]["queues"])
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
            draft.handed_over_by = random_.choice([other for other in team if other != agent])
        yield draft


def sample_titles(random_: random.Random, queue: str) -> Iterator[str]:
    """Return titles of tasks of a queue in random order, again and again."""
    words = sample_words()["queues"][queue]
    titles = [
        f"{opening} {subject}{ending}"
        for opening in words["openings"]
        for subject in words["subjects"]
        for ending in words["endings"]
    ]
    random_.shuffle(titles)
    return cycle(titles)


def _deck(random_: random.Random, weights: dict[str, int]) -> Iterator[str]:
    """Return names in random order, in shares that hold for any seed."""
    cards = [name for name, weight in weights.items() for _ in range(weight)]
    random_.shuffle(cards)
    return cycle(cards)


def _ages(random_: random.Random, status: str) -> tuple[float, float]:
    """Draw a task's ages: complete work is spread over six weeks, open work is mostly recent."""
    if status == "complete":
        created = random_.uniform(1, 42 * _DAY)
        return created, max(0.1, created - min(random_.expovariate(1 / 60), created * 0.95))
    if status == "working":
        updated = random_.uniform(0.1, 20)
        return updated + random_.expovariate(1 / 40), updated
    created = min(random_.expovariate(1 / 120) + 0.1, 40 * _DAY)
    if random_.random() < 0.7:
        return created, created
    return created, created * random_.uniform(0.1, 0.9)


def _record(random_: random.Random, draft: _Draft, ids: dict[_Draft, int], moment: datetime) -> Record:
    words = sample_words()
    record: Record = {
        "id": ids[draft],
        "title": draft.title,
        "status": draft.status,
        "assigned_to": draft.agent,
        "previous_assigned_to": draft.handed_over_by,
        "created_by": (draft.parent and draft.parent.agent) or random_.choice(words["authors"]),
        "priority": draft.priority,
        "parent_task_id": draft.parent and ids[draft.parent],
        "queue_name": draft.queue,
        "blocked_by_task_id": draft.blocker and ids[draft.blocker],
        "created_at": _ago(moment, draft.created),
        "updated_at": _ago(moment, draft.updated),
    }
    if random_.random() < 0.7:
        record["description"] = random_.choice(words["descriptions"])
    tags = draft.tags or random_.sample(words["tags"][draft.queue], random_.choice([0, 1, 1, 2, 3]))
    if tags:
        record["tags"] = tags
    if draft.archived is not None:
        record["archived_at"] = _ago(moment, draft.archived)
    return record


def _ago(moment: datetime, hours: float) -> datetime:
    return moment - timedelta(hours=hours)


def _comments(random_: random.Random, draft: _Draft, id: int, moment: datetime) -> list[Record]:
    if draft.agent is None:
        return []
    words = sample_words()
    comments: list[tuple[str, str]] = []
    if draft.handed_over_by:
        handoff = random_.choice(words["handoffs"])
        comments.append((draft.handed_over_by, handoff.format(agent=draft.agent)))
    most = {"idle": 1, "working": 3, "complete": 3}[draft.status]
    texts = random_.sample(words["comments"][draft.status], random_.randint(0, most))
    comments += [(draft.agent, text.format(pr=400 + id)) for text in texts]
    times = sorted((random_.uniform(draft.updated, draft.created) for _ in comments), reverse=True)
    return [
        {"task_id": id, "content": text, "created_by": by, "created_at": at, "updated_at": at}
        for (by, text), at in zip(comments, (_ago(moment, hours) for hours in times), strict=True)
    ]


def _links(random_: random.Random, draft: _Draft, id: int, moment: datetime) -> list[Record]:
    if draft.agent is None or draft.status == "idle":
        return []
    chosen = random_.sample(sample_words()["links"][draft.queue], random_.choice([0, 0, 1, 1, 2]))
    return [
        {
            "task_id": id,
            "url": link["url"].format(id=id, pr=400 + id),
            "description": link["description"],
            "created_by": draft.agent,
            "created_at": _ago(moment, random_.uniform(draft.updated, draft.created)),
        }
        for link in chosen
    ]
