"""What happened since somebody looked: questions first, each thing once, and what is not known of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import orjson
import pandas as pd

from calypso_nb.errors import UsageError
from calypso_nb.frames import TIME, Column, conformed
from calypso_nb.history.changes import CREATED, DELETED, NEVER, SECOND, micros_of, moment_of
from calypso_nb.history.difference import difference
from calypso_nb.history.marks import Mark, Marks, Owner
from calypso_nb.history.moments import moment_in
from calypso_nb.history.steps import BLOCKER, KINDS, Change, Comment, Item, Reader, items_of
from calypso_nb.history.store import TOLD, HistoryStore, unpacked
from calypso_nb.settings import load_settings, login
from calypso_nb.team import Thresholds, load_team
from calypso_nb.workload.phrases import moment, readable_hours
from calypso_nb.workload.questions import Questions
from calypso_nb.workload.reporter import Workload

LAST = "last"
# Whoever has never looked is told of so much.
FIRST = timedelta(hours=24)
# For how long after a look what is pushed late can still change what was written down.
_LATE = 3600 * SECOND
# After how many intervals without a look it is missed, how long nobody wonders in any case, in microseconds,
# and how many gaps are named.
_MISSED = 3
_PATIENCE = 60 * SECOND
_GAPS = 3
# Words in the names of queues: from one that tests back to one that builds is a step back.
_TESTING = ("qa", "test", "review")
_BUILDING = ("dev",)

DIGEST_COLUMNS: dict[str, Column] = {
    "what": Column("str", "", "one of `KINDS`, in that order"),
    "task_id": Column("int64", "", "the task"),
    "title": Column("str", "", "its title at the end of what is known"),
    "agent": Column("str", "", "who has the task from then on, or wrote the comment; NA if nobody"),
    "by": Column("str", "", "who did it, NA if the server doesn't say so"),
    "not_before": Column(TIME, "UTC", "it began then or later, NA if unknown"),
    "not_after": Column(TIME, "UTC", "it had happened by then, NA if unknown"),
    "late": Column("bool", "", "it had happened before the digest before, and came to be known since"),
    "changes": Column("int64", "", "how many changes and comments that is"),
    "text": Column("str", "", "from what to what, or the comments; NA if there is no more to say"),
}
AGENT_COLUMNS: dict[str, Column] = {
    "agent": Column("str", "", "the agent, NA for tasks that nobody has"),
    **{
        kind.replace(" ", "_"): Column("int64", "things", f"how many things of the kind `{kind}`")
        for kind in KINDS
    },
}


class Line(NamedTuple):
    """One row of a digest in words, for every form in which it is shown; what agents wrote is as they did."""

    what: str
    task_id: int
    title: str | None
    agent: str | None
    when: str
    text: str


class Told(NamedTuple):
    """A change, or a comment, that a digest tells of.

    - task_id: the task
    - field: the field that changed, or `comment`
    - before, after: what it held, or the number of the comment and what it says
    - not_after: until when it had happened, in microseconds
    """

    task_id: int
    field: str
    before: Any
    after: Any
    not_after: int | None


@dataclass(frozen=True, repr=False, eq=False)
class Digest:
    """What happened in a time, as a person is told of it.

    - items: a row for each thing, with `DIGEST_COLUMNS`, questions first
    - since, until: from when to when; what was known late may be older
    - server: the server or file
    - person: whose digest it is, None between two reports
    - basis: what it tells: all since the person's `mark`, the `first` time a day, all since a `moment`, or
      what differs between two `reports`
    - unknown: what nobody can know of that time, a sentence each
    - silent: that one of them which says that nothing is recorded any more; None while it is
    - reads_comments: whether all comments of that time are known, and so all questions
    - told: each change and comment by itself
    - moves: how `seen` moves the mark

    Example: `history.digest().counts`
    """

    items: pd.DataFrame
    since: datetime
    until: datetime
    server: str
    person: str | None
    basis: Literal["mark", "first", "moment", "reports"]
    unknown: tuple[str, ...]
    told: tuple[Told, ...] = ()
    moves: tuple[tuple[Owner, Mark, bool], ...] = ()
    silent: str | None = None
    reads_comments: bool = True

    def __repr__(self) -> str:
        return f"<Digest of {self.server}: {self.summary}>"

    @property
    def counts(self) -> dict[str, int]:
        """How many things there are of each kind, in the order of `KINDS`.

        Example: `digest.counts.get("asked", 0)`
        """
        found = self.items["what"].value_counts()
        return {kind: int(found[kind]) for kind in KINDS if kind in found}

    @property
    def summary(self) -> str:
        """The counts in words, and whether there may be questions: `3 finished · questions not known`."""
        counts = [f"{number:,} {kind}" for kind, number in self.counts.items()] or ["nothing"]
        return " · ".join([*counts, *self.doubts])

    @property
    def doubts(self) -> tuple[str, ...]:
        """What the counts can't say, in a few words each, to stand beside them."""
        if self.reads_comments:
            return ()
        return ("other questions not known" if "asked" in self.counts else "questions not known",)

    @property
    def heading(self) -> str:
        """What it is about, in words: since when, and up to when."""
        since, until = moment(self.since), moment(self.until)
        if self.basis == "reports":
            return f"Between two reports: {since} to {until}"
        if self.basis == "first":
            return f"The last 24 hours, to {until}; {self.person} has not looked before"
        start = "Since" if self.basis == "moment" else f"Since {self.person} looked at"
        return f"{start} {since}, to {until}"

    @property
    def lines(self) -> list[Line]:
        """Each row of `items` in words."""
        names = ("what", "task_id", "title", "agent", "by", "not_before", "not_after", "late", "text")
        columns = ([None if pd.isna(cell) else cell for cell in self.items[name]] for name in names)
        return [_line(*row) for row in zip(*columns, strict=True)]

    @property
    def agents(self) -> pd.DataFrame:
        """How many things of each kind each agent has, with `AGENT_COLUMNS`, most questions first."""
        kinds = {kind: kind.replace(" ", "_") for kind in KINDS}
        counted = pd.crosstab(self.items["agent"].fillna(""), self.items["what"].map(kinds))
        counted = counted.reindex(columns=[*kinds.values()], fill_value=0)
        counted = counted.sort_values([*kinds.values()], ascending=False, kind="stable").reset_index()
        counted["agent"] = counted["agent"].where(counted["agent"] != "", None)
        return conformed(counted, AGENT_COLUMNS)

    def seen(self) -> None:
        """Move the person's read mark past all that this digest tells; it was read, or has been sent.

        Raise UsageError if it is not what is new since a mark, OSError if the mark can't be written.
        Example: `history.digest().seen()`
        """
        if self.basis in ("moment", "reports"):
            raise UsageError("only a digest since the last one moves the mark: history.digest().seen()")
        for owner, mark, anew in self.moves:
            Marks().move(owner, mark, anew=anew)


def _line(
    what: str,
    task_id: int,
    title: str | None,
    agent: str | None,
    by: str | None,
    low: datetime | None,
    high: datetime | None,
    late: bool,
    text: str | None,
) -> Line:
    more = [text or ""]
    if by is not None and by != agent:
        more.append(f"(by {by})")
    if late:
        more.append("(known late)")
    return Line(what, task_id, title, agent, _when(low, high), " ".join(part for part in more if part))


def _when(low: datetime | None, high: datetime | None) -> str:
    """Return when it happened, in UTC, never showing a bound as a time."""
    if high is None:
        return "\N{EN DASH}"
    known = low is not None and high - low <= timedelta(seconds=1)
    return f"{'' if known else '≤ '}{high.astimezone(UTC):%m-%d %H:%M}"


def digest_between(first: Workload, second: Workload) -> Digest:
    """Tell what differs between two reports, for want of a history; `unknown` says what that leaves out.

    Raise UsageError if the second is older than the first.
    Example: `digest_between(data, reporter.collect_workload_data()).items`
    """
    if second.generated_at < first.generated_at:
        raise UsageError(
            f"the second report, of {moment(second.generated_at)}, is older than the first, of "
            f"{moment(first.generated_at)}: swap them"
        )
    found = difference(first, second)
    low, high = first.generated_at, second.generated_at
    changes, comments = [], []
    thresholds = load_team().thresholds
    for row in found.changes.to_dict("records"):
        known: dict[str, Any] = {str(name): None if pd.isna(value) else value for name, value in row.items()}
        if known["field"] == "comment_count":
            more = int(known["after"] or 0) - int(known["before"] or 0)
            comments += [_uncounted(known, more, micros_of(high))] if more > 0 else []
        elif known["change"] != "touched" and known["field"] != "link_count":
            changes.append(_differing(known, micros_of(low), micros_of(high), thresholds))
    items = items_of(changes)
    titles: dict[int, str] = dict(zip(found.changes["task_id"], found.changes["title"], strict=True))
    items = [item._replace(title=titles.get(item.task_id)) for item in (*items, *comments)]
    items.sort(key=lambda item: KINDS.index(item.what))
    unknown = [
        "these are two reports and no history: who did it, when, and what happened in between is unknown",
        "what comments say is unknown, and so whether somebody asks",
    ]
    if first.endpoint != second.endpoint:
        unknown.append(f"the first report is from {first.endpoint}, the second from {second.endpoint}")
    told = tuple(Told(one.task_id, one.field, one.old, one.new, one.high) for one in changes)
    return Digest(
        _framed(items),
        low,
        high,
        second.endpoint,
        None,
        "reports",
        tuple(unknown),
        told,
        reads_comments=False,
    )


def _uncounted(row: Mapping[str, Any], more: int, high: int) -> Item:
    text = f"{more} comment{'s' if more > 1 else ''} more"
    return Item("commented", row["task_id"], row["agent"], None, None, high, False, more, text)


def _differing(row: Mapping[str, Any], low: int, high: int, thresholds: Thresholds) -> Change:
    name, old, new = row["field"], row["before"], row["after"]
    means = ""
    if name is None:
        name = CREATED if row["change"] == "new" else DELETED
    elif name == "tags":
        old, new = (value.split(", ") if value else [] for value in (old, new))
    elif name == "is_currently_blocked":
        name, means = "blocked_by_task_id", "blocked" if new is not None else ""
    elif name == "queue_name":
        means = _queue_means(old, new, {}, thresholds)
    return Change(row["task_id"], name, old, new, low, high, None, step=(0,), agent=row["agent"], means=means)


def reader_of(person: str | None, thresholds: Thresholds) -> Reader:
    """Return who is told, by name or else by the settings, and which comments are questions to them."""
    settings = load_settings()
    if person is not None:  # What a shell gives need not be UTF-8.
        person = person.encode("utf-8", "replace").decode()
    own = {person or settings.agent or login()}
    if person is None and settings.agent is None:
        own |= {*thresholds.supervisors, "calypso_nb"}  # So is signed what is written here.
    names = own | {*thresholds.supervisors} | ({settings.agent} if settings.agent else set())
    return Reader(
        person or settings.agent or login(),
        frozenset(own),
        Questions.of(names, thresholds.asking_words),
    )


class Source(NamedTuple):
    """A history to read: its file, the number and the name of its server, and when it was recorded.

    - keeps: whether a mark of it is worth keeping
    """

    store: HistoryStore
    server: int
    name: str
    coverage: pd.DataFrame
    keeps: bool = True


def read_digest(source: Source, since: datetime | str | None, person: str | None) -> Digest:
    """Return what happened since a moment, or if that is None or `last`, since the person's mark."""
    thresholds = load_team().thresholds
    reader = reader_of(person, thresholds)
    with source.store.snapshot():
        news = _News(source, reader, thresholds)
        if since not in (None, LAST):
            news.add(source.server, since=micros_of(moment_in(since, moment_of(_now()))), basis="moment")
        else:
            news.add_all_since_mark()
        return news.digest()


@dataclass
class _News:
    """What is read for one digest."""

    source: Source
    reader: Reader
    thresholds: Thresholds
    items: list[Item] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    moves: list[tuple[Owner, Mark, bool]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    since: int | None = None
    basis: Literal["mark", "first", "moment"] = "mark"
    listed: bool = False

    def add_all_since_mark(self) -> None:
        """Add what is new to the person, also of a database that was behind the server before."""
        store, server = self.source.store, self.source.server
        epoch = store.scalar("SELECT epoch FROM server WHERE id = ?", server)
        owner, marks = Owner(self.reader.person, self.source.name, epoch), Marks()
        mark = marks.read(owner) if self.source.keeps else None
        if mark is not None:
            self._add_since(mark, owner, server)
            return
        before = marks.earlier(owner) if self.source.keeps else None
        earlier = None if before is None else marks.read(before)
        if before is None or earlier is None:
            self.add(server, since=_now() - FIRST // timedelta(microseconds=1), basis="first", owner=owner)
            return
        asked = "SELECT id FROM server WHERE name = ? AND epoch = ?"
        number = store.scalar(asked, before.server, before.epoch)
        if number is not None:
            self._add_since(earlier, before, number)
        self.add(server, since=earlier.at, owner=owner)
        self.unknown.append("another database is behind the server: numbers of tasks have begun anew")

    def _add_since(self, mark: Mark, owner: Owner, server: int) -> None:
        same = _is_same_history(self.source.store, server, mark)
        if same:
            self.add(server, mark=mark, owner=owner)
            return
        known = self.source.store.known(server)
        if known < mark.at:
            self.since = mark.at
            self.unknown.append(f"this history ends at {_shown(known)}, before the last digest")
            return
        self.add(server, since=mark.at, owner=owner, anew=True)
        self.unknown.append(
            "this is another history of the server than that of the last digest: what was known late, "
            "and happened before that, is not told"
        )

    def add(
        self,
        server: int,
        *,
        since: int | None = None,
        mark: Mark | None = None,
        owner: Owner | None = None,
        anew: bool = False,
        basis: Literal["mark", "first", "moment"] = "mark",
    ) -> None:
        """Add what one database tells since a time, or what somebody has not been told of."""
        store, last = self.source.store, None if mark is None else mark.at
        self.since = self.since if self.since is not None else last if mark is not None else since
        self.basis = basis
        notes = store.rows(
            "SELECT task_id, comment_id, at, by, text FROM note WHERE server = ? AND NOT gone"
            " ORDER BY at IS NULL, at, comment_id",
            server,
        )
        hashes = {number: _hash(text) for _, number, *_, text in notes}
        unread = ((self.reader.kind(comment), comment) for comment in _unread(notes, hashes, mark, since))
        comments = [(kind, comment) for kind, comment in unread if kind is not None]
        if mark is None:
            fresh, moved = _events(store, server, "AND not_after >= ?", since), set[tuple[bytes, int]]()
        else:
            fresh, moved = _untold(_events(store, server, "AND observation >= ?", mark.settled), mark.events)
        changes = _changes(store, server, fresh, self.thresholds, last)
        items = items_of(changes, comments)
        titles = _titles(store, server, {item.task_id for item in items})
        self.items += [item._replace(title=titles.get(item.task_id)) for item in items]
        self.listed = self.listed or any(not row.pushed for row in fresh)
        self._remember(comments, changes)
        if mark is not None and _is_pruned(store, server, mark):
            self.unknown.append("what was forgotten by its age (--keep) before anybody asked is not told")
        if owner is not None and self.source.keeps:
            self.moves.append((owner, _told_by_now(store, server, mark, hashes, moved), anew))

    def _remember(self, comments: Iterable[tuple[str, Comment]], changes: Iterable[Change]) -> None:
        self.told += [
            Told(one.task_id, one.field, one.old, one.new, one.high)
            for one in changes
            if one.field != BLOCKER
        ]
        self.told += [Told(one.task_id, "comment", one.number, one.text, one.at) for _, one in comments]

    def digest(self) -> Digest:
        """Return what was read."""
        since, known = self.since or 0, self.source.store.known(self.source.server)
        silent = _silent(self.source, known)
        # It ends with what is known, unless that ended before: then it is the time that was asked for.
        until = max(_now(), known, since) if silent is not None or since > known else known
        gap = () if silent is None else (silent,)
        unread = "listing" in _sources(self.source.coverage, since)
        return Digest(
            _framed(sorted(self.items, key=lambda item: KINDS.index(item.what))),
            moment_of(since),
            moment_of(until),
            self.source.name,
            self.reader.person,
            self.basis,
            (*gap, *self.unknown, *_not_known(self.source.coverage, since, unread, self.listed)),
            tuple(self.told),
            tuple(self.moves),
            silent,
            not unread,
        )


class _Row(NamedTuple):
    """An event as the file has it."""

    id: int
    task_id: int
    field: str
    old: Any
    new: Any
    low: int
    high: int
    seen: int
    pushed: int
    by: str | None
    observation: int

    @property
    def mark(self) -> tuple[bytes, int]:
        """What the change says, and until when it had happened.

        A task comes and goes but once, however much is known of it when that is written down again.
        """
        whole = self.field in (CREATED, DELETED)
        said = [self.task_id, self.field, *([] if whole else [self.old, self.new])]
        return blake2b(orjson.dumps(said), digest_size=8).digest(), NEVER if whole else self.high


class _End(NamedTuple):
    """How far a history goes: its last observation, and the one before which nothing changes any more."""

    anchor: int
    began: int
    until: int
    settled: int


def _end(store: HistoryStore, server: int) -> _End:
    """Return how far a history goes.

    What is settled follows from the moment of the last observation's first look, as its recorder decides it
    then: looks that find the same only widen it.
    """
    rows = store.rows(
        "SELECT id, began, until FROM observation WHERE server = ? AND ok ORDER BY id DESC LIMIT 1", server
    )
    if not rows:
        return _End(0, 0, 0, 0)
    [(anchor, began, until)] = rows
    settled = store.scalar(
        "SELECT max(id) FROM observation WHERE server = ? AND ok AND id < ? AND ended < ?",
        server, anchor, until - _LATE,
    )  # fmt: skip
    return _End(anchor, began, until, settled or 0)


def _told_by_now(
    store: HistoryStore,
    server: int,
    mark: Mark | None,
    hashes: Mapping[int, bytes],
    moved: Iterable[tuple[bytes, int]],
) -> Mark:
    """Return what somebody has been told of once they have been told of all that there is.

    - hashes: what each comment says
    - moved: what was told with another time than it has now
    """
    end = _end(store, server)
    before = mark or Mark(0, 0, 0, 0)
    settled = max(end.settled, before.settled)
    rows = _events(store, server, "AND observation >= ?", before.settled if mark else settled)
    told = Counter(row.mark for row in rows if row.observation >= settled)
    done = {row.mark for row in rows if row.observation < settled}.union(moved) - told.keys()
    comments = {
        number: {text} for number, text in hashes.items() if text not in before.comments.get(number, ())
    }
    at = max(store.known(server), before.at)
    return Mark(at, settled, end.anchor, end.began, told, frozenset(done), comments, end.until - _LATE)


def _is_same_history(store: HistoryStore, server: int, mark: Mark) -> bool:
    """Return whether it is the recording that a mark is about, though its begin may be forgotten."""
    began = store.scalar("SELECT began FROM observation WHERE id = ? AND server = ?", mark.anchor, server)
    return began == mark.anchor_began or not mark.anchor or _is_pruned(store, server, mark)


def _is_pruned(store: HistoryStore, server: int, mark: Mark) -> bool:
    """Return whether a retention has taken what happened since a mark, too."""
    [(first, began)] = store.rows("SELECT min(id), min(began) FROM observation WHERE server = ?", server)
    return first is not None and 0 < mark.anchor < first and mark.anchor_began <= began


def _events(store: HistoryStore, server: int, condition: str, value: int | None) -> list[_Row]:
    rows = store.rows(
        "SELECT id, task_id, field, old, new, not_before, not_after, seen, pushed, by, observation FROM event"
        f" WHERE server = ? {TOLD} {condition} ORDER BY observation, id",
        server, value,
    )  # fmt: skip
    return [_Row(*row) for row in rows]


def _untold(
    rows: Sequence[_Row], told: Counter[tuple[bytes, int]]
) -> tuple[list[_Row], set[tuple[bytes, int]]]:
    """Return what somebody has not been told of, and of what was told what has another time by now.

    What was written down again, with a time that is known better by now, is not new; what can't have happened
    yet by the time that was told is. Whatever happened last has the fewest to be, so it chooses first.
    """
    times: dict[bytes, list[int]] = defaultdict(list)
    for (key, at), number in sorted(told.items()):
        times[key] += [at] * number
    known, moved = set(), set()
    for row in sorted(rows, key=lambda row: -row.low) if times else ():
        key, high = row.mark
        may = [high] if high in times[key] else [at for at in times[key] if at >= row.low]
        if may:
            times[key].remove(may[0])
            known.add(row.id)
            if may[0] != high:
                moved.add((key, may[0]))
    return [row for row in rows if row.id not in known], moved


def _hash(text: str | None) -> bytes:
    return b"" if text is None else blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()


def _unread(
    notes: Iterable[Sequence[Any]], hashes: Mapping[int, bytes], mark: Mark | None, since: int | None
) -> Iterator[Comment]:
    for task_id, number, at, by, text in notes:
        if mark is None:
            if at is not None and since is not None and at + SECOND > since:
                yield Comment(task_id, number, at, by, text)
        elif hashes[number] not in mark.comments.get(number, ()):
            late = at is not None and at + SECOND <= mark.at
            yield Comment(task_id, number, at, by, text, number in mark.comments, late)


def _changes(
    store: HistoryStore, server: int, rows: Sequence[_Row], thresholds: Thresholds, last: int | None
) -> list[Change]:
    """Return events as changes: with whom the task was after each, and what that means for it."""
    if not rows:
        return []
    paths = _paths(store, server, rows, thresholds)
    blocked = _blocked(store, server, rows)
    changes = []
    for row in rows:
        agent, means = paths.get(row.id, (None, ""))
        old, new = (unpacked(row.field, value) for value in (row.old, row.new))
        step = (row.observation, row.high) if row.pushed else (row.observation,)
        if row.field == DELETED and isinstance(old, dict):
            agent = old.get("assigned_to")
        changes.append(
            Change(
                row.task_id, row.field, old, new, row.low, row.high, row.by, bool(row.seen), step, agent,
                "blocked" if row.id in blocked else means, last is not None and row.high <= last,
            )
        )  # fmt: skip
    return [*changes, *_held_up(store, server, changes)]


def _paths(
    store: HistoryStore, server: int, rows: Sequence[_Row], thresholds: Thresholds
) -> dict[int, tuple[str | None, str]]:
    """Return with whom each event has left its task, and whether that has put it back or aside."""
    tasks = orjson.dumps(sorted({row.task_id for row in rows})).decode()
    asked = {row.id for row in rows}
    past = store.rows(
        "SELECT task_id, id, field, new FROM event WHERE server = ? AND task_id IN"
        " (SELECT value FROM json_each(?)) ORDER BY task_id, observation, id",
        server, tasks,
    )  # fmt: skip
    found: dict[int, tuple[str | None, str]] = {}
    task, agent, queue, visits = None, None, None, dict[str, int]()
    for task_id, number, name, new in past:
        if task_id != task:
            task, agent, queue, visits = task_id, None, None, {}
        means = ""
        if name == CREATED:
            record = unpacked(name, new)
            agent, queue = record["assigned_to"], record["queue_name"]
        elif name == "assigned_to":
            agent = new
        elif name == "queue_name":
            means, queue = _queue_means(queue, new, visits, thresholds), new
        if queue is not None:
            visits.setdefault(queue, len(visits))
        if number in asked:
            found[number] = agent, means
    return found


def _queue_means(
    before: str | None, after: str | None, visits: Mapping[str, int], thresholds: Thresholds
) -> str:
    """Return `bounced` for a way back to a queue from one of a later stage, `blocked` for one aside.

    If the names of both say what is done there, they decide; else which the task was in first.
    """
    if after is None or after == before:
        return ""
    if _has(after, thresholds.parked_queues):
        return "blocked"
    aside = (*thresholds.parked_queues, *thresholds.backlog_queues)
    if before is None or _has(before, aside) or _has(after, aside):
        return ""
    stages = _stage(before), _stage(after)
    if None not in stages:
        return "bounced" if stages == ("testing", "building") else ""
    return "bounced" if after in visits and visits[after] < visits.get(before, 0) else ""


def _stage(queue: str) -> str | None:
    """Return what is done in a queue, by its name; None if that doesn't say."""
    if _has(queue, _TESTING):
        return "testing"
    return "building" if _has(queue, _BUILDING) else None


def _has(queue: str, words: Iterable[str]) -> bool:
    return any(word in queue.lower() for word in words)


def _blocked(store: HistoryStore, server: int, rows: Iterable[_Row]) -> set[int]:
    """Return the events by which a task came to wait for one that was there and not complete."""
    waits = [row for row in rows if row.field == "blocked_by_task_id" and row.new is not None]
    if not waits:
        return set()
    past: dict[int, list[tuple[int, str | None]]] = defaultdict(list)
    for task_id, name, new, high in store.rows(
        f"SELECT task_id, field, new, not_after FROM event WHERE server = ? AND field IN"
        f" ('status', '{CREATED}', '{DELETED}') AND task_id IN (SELECT value FROM json_each(?))"
        " ORDER BY observation, id",
        server, orjson.dumps(sorted({row.new for row in waits})).decode(),
    ):  # fmt: skip
        status = unpacked(name, new)["status"] if name == CREATED else None if name == DELETED else new
        past[task_id].append((high, status))
    found = set()
    for row in waits:
        known = [status for high, status in past[row.new] if high <= row.high]
        if known and known[-1] not in (None, "complete"):
            found.add(row.id)
    return found


def _held_up(store: HistoryStore, server: int, changes: Iterable[Change]) -> Iterator[Change]:
    """Yield which open tasks wait again, as the one that they wait for was reopened."""
    reopened = {
        change.task_id: change for change in changes if change.field == "status" and change.old == "complete"
    }
    if not reopened:
        return
    for task_id, text in store.rows(
        "SELECT task_id, record FROM state WHERE server = ?"
        " AND json_extract(record, '$.blocked_by_task_id') IN (SELECT value FROM json_each(?))",
        server, orjson.dumps([*reopened]).decode(),
    ):  # fmt: skip
        record = orjson.loads(text)
        change = reopened[record["blocked_by_task_id"]]
        now = store.scalar(
            "SELECT json_extract(record, '$.status') FROM state WHERE server = ? AND task_id = ?",
            server, change.task_id,
        )  # fmt: skip
        if record["status"] != "complete" and now != "complete":
            yield change._replace(
                task_id=task_id, field=BLOCKER, old=None, new=change.task_id, means="blocked",
                agent=record.get("assigned_to"),
            )  # fmt: skip


def _titles(store: HistoryStore, server: int, tasks: set[int]) -> dict[int, str]:
    """Return the last title of each task, that of a deleted one too."""
    asked = orjson.dumps(sorted(tasks)).decode()
    titles = dict(
        store.rows(
            "SELECT task_id, json_extract(record, '$.title') FROM state WHERE server = ?"
            " AND task_id IN (SELECT value FROM json_each(?))",
            server, asked,
        )
    )  # fmt: skip
    for task_id, name, value in store.rows(
        f"SELECT task_id, field, iif(field = '{DELETED}', old, new) FROM event WHERE server = ?"
        f" AND field IN ('{CREATED}', '{DELETED}', 'title') AND task_id IN (SELECT value FROM json_each(?))"
        " ORDER BY observation, id",
        server, orjson.dumps(sorted(tasks - titles.keys())).decode(),
    ):  # fmt: skip
        titles[task_id] = value if name == "title" else unpacked(name, value)["title"]
    return titles


def _framed(items: Sequence[Item]) -> pd.DataFrame:
    frame = pd.DataFrame(items, columns=Item._fields)
    for bound in ("not_before", "not_after"):
        stamps = pd.Series([getattr(item, bound) for item in items], dtype="Int64")
        frame[bound] = pd.to_datetime(stamps, unit="us", utc=True).dt.as_unit("us")
    return conformed(frame, DIGEST_COLUMNS)


def _silent(source: Source, known: int) -> str | None:
    """Return since when nothing is recorded, though it was due a few times; None if it is not overdue.

    Whoever can't read the server still records; why that fails is said in place of the question.
    """
    now = _now()
    every = source.store.scalar(
        "SELECT every FROM observation WHERE server = ? ORDER BY id DESC LIMIT 1", source.server
    )
    patience = max(_MISSED * (every or 0), _PATIENCE)
    if not known or now - known <= patience:
        return None
    why = "is `calypso-nb record` running?"
    for last in source.coverage.tail(1).to_dict("records"):
        if not last["recorded"] and now - micros_of(last["to"]) <= patience:
            why = last["why"]
    hours = readable_hours((now - known) / SECOND / 3600)
    return f"nothing is recorded since {_shown(known)} ({hours}): {why}"


def _sources(coverage: pd.DataFrame, since: int) -> set[str]:
    """Return how it was recorded since then, and if it was not, how it was before."""
    recorded = coverage[coverage["recorded"]]
    within = recorded[recorded["to"] > pd.Timestamp(moment_of(since))]
    return set((recorded.tail(1) if within.empty else within)["source"])


def _not_known(coverage: pd.DataFrame, since: int, unread: bool, listed: bool) -> Iterator[str]:
    """Yield what a recording leaves open of the time since then.

    - unread: comments are not
    - listed: some changes are only known by looks
    """
    within = coverage[coverage["to"] > pd.Timestamp(moment_of(since))]
    gaps = within[~within["recorded"]]
    for gap in gaps.tail(_GAPS).to_dict("records"):
        yield f"not recorded from {moment(gap['from'])} to {moment(gap['to'])}: {gap['why']}"
    if len(gaps) > _GAPS:
        yield f"{len(gaps) - _GAPS} earlier gaps, as `history.coverage` has them"
    if unread:
        yield "comments are known only as far as somebody has read them: a hub or the database file has all"
    if listed:
        yield "between two looks several changes of a field are one, and who did it is rarely known"


def _now() -> int:
    return micros_of(datetime.now(UTC))


def _shown(time: int) -> str:
    return moment(moment_of(time))
