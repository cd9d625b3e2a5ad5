"""What a recorder has written down, as DataFrames and as reports of how it was."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby, zip_longest
from operator import itemgetter
from pathlib import Path
from typing import Any, Generic, NamedTuple, Self

import pandas as pd

from calypso_nb.client.calls import BEGINS, Details, said_in
from calypso_nb.errors import UsageError
from calypso_nb.frames import TIME, Column, conformed, tasks_frame
from calypso_nb.history.changes import (
    CREATED,
    DELETED,
    FIRST_SEEN,
    SECOND,
    Record,
    blocked,
    micros,
    micros_of,
    moment_of,
)
from calypso_nb.history.difference import name_of
from calypso_nb.history.digest import Digest, Source, read_digest
from calypso_nb.history.journeys import FIELDS as JOURNEY_FIELDS
from calypso_nb.history.journeys import Journeys, journeys_of
from calypso_nb.history.lake import each_of, export_parquet, named, servers_of, store_of
from calypso_nb.history.moments import moment_in
from calypso_nb.history.signs import HABITS_SECONDS, Habits, pauses, usual_gaps
from calypso_nb.history.store import TOLD, HistoryStore, unpacked
from calypso_nb.settings import Endpoint, load_settings
from calypso_nb.snoozes import Snoozes
from calypso_nb.workload.phrases import moment as shown_moment
from calypso_nb.workload.reporter import Snoozing, W_co, report_of, with_counts

_BOUNDS: dict[str, Column] = {
    "not_before": Column(TIME, "UTC", "it happened then or later, by the server's clock"),
    "not_after": Column(TIME, "UTC", "it happened then or earlier"),
}
_OF_TASK: dict[str, Column] = {
    "task_id": Column("int64", "", "the task"),
    "title": Column("str", "", "its title at the end of what is known"),
}

EVENT_COLUMNS: dict[str, Column] = {
    **_BOUNDS,
    "exact": Column("bool", "", "the bounds are a second apart at most"),
    **_OF_TASK,
    "change": Column(
        "str", "", "what that was, one of `CHANGES` without newly blocked, unblocked and touched"
    ),
    "field": Column("str", "", "the field that changed, NA for a task that came or went"),
    "before": Column("str", "", "what it held, NA if nothing"),
    "after": Column("str", "", "what it holds from then on, NA if nothing"),
    "by": Column("str", "", "the agent who did it, NA if the server doesn't say so"),
    "source": Column(
        "str", "", "pushed by the server, listed, or unseen: passed through, and seen by nobody"
    ),
}

SPELL_COLUMNS: dict[str, Column] = {
    **_OF_TASK,
    "status": Column("str", "", "idle, working or complete"),
    "agent": Column("str", "", "who had it, NA if unassigned"),
    "queue": Column("str", "", "the queue that it was in, NA if in none"),
    "from_not_before": Column(TIME, "UTC", "it began then or later, NA if unknown"),
    "from_not_after": Column(TIME, "UTC", "it began then or earlier"),
    "to_not_before": Column(TIME, "UTC", "it ended then or later, NA while it goes on"),
    "to_not_after": Column(TIME, "UTC", "it ended then or earlier, NA while it goes on"),
    "hours_least": Column("float64", "hours", "how long it lasted at least, up to what is known"),
    "hours_most": Column("float64", "hours", "how long it lasted at most, NA if unknown"),
    "seen": Column("bool", "", "somebody saw it; else it was passed through, or lasted no time at all"),
}

COVERAGE_COLUMNS: dict[str, Column] = {
    "from": Column(TIME, "UTC", "from when on"),
    "to": Column(TIME, "UTC", "until when"),
    "hours": Column("float64", "hours", "how long that was"),
    "recorded": Column(
        "bool", "", "it was recorded; else it is a gap, in which times are known within it only"
    ),
    "looks": Column("int64", "looks", "how often all tasks were looked at"),
    "source": Column(
        "str", "", "listing or file, with `+ pushed` if a server pushed all the time; NA for a gap"
    ),
    "why": Column("str", "", "why it is a gap: what failed, or that nothing recorded"),
}

FEED_COLUMNS: dict[str, Column] = {
    **_BOUNDS,
    **_OF_TASK,
    "agent": Column("str", "", "who said or did it, NA if unknown"),
    "what": Column("str", "", "said, or the change as `events` has it"),
    "text": Column("str", "", "the comment, or what the field held before and after"),
}

SERVER_COLUMNS: dict[str, Column] = {
    "server": Column("str", "", "the server or file, without credentials"),
    "epoch": Column(
        "int64", "", "counts the databases that were behind it: numbers of tasks start anew with each"
    ),
    "from": Column(TIME, "UTC", "when recording began"),
    "to": Column(TIME, "UTC", "the last time that something was known"),
}

# Fields of a spell, and what makes a task come to the board and leave it.
_SPELL = ("status", "assigned_to", "queue_name")
_BOARD = (CREATED, DELETED, "archived_at")
# How far the clocks of a server and of this computer may be apart before a moment is said to be to come.
_CLOCKS = timedelta(minutes=2)


class Span(NamedTuple):
    """How well a time was recorded."""

    hours: float
    recorded_hours: float
    longest_gap_hours: float
    changes: int
    exact: int


class Memory(Snoozing, Generic[W_co]):
    """What happened on a server, as a recorder has written it down; `makes` is the class of its reports."""

    makes: type[W_co]

    def __init__(self, path: str | os.PathLike[str] | None = None, server: str | None = None) -> None:
        self.path = Path(load_settings().history if path is None else path).expanduser()
        self._asked = server
        self._demo = path == "demo"  # Made anew each time, so that nothing in it has been seen.
        self._store = _opened(path, self.path, server)
        self._habits: tuple[float, Habits] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.server} in {self.path}>"

    @classmethod
    def each(
        cls,
        folder: str | os.PathLike[str],
        function: Callable[[Self], pd.DataFrame],
        dask: str | None = None,
    ) -> pd.DataFrame:
        """Return what a function makes of the history of each server in a folder, with a column `server`.

        - folder: what `export` has written, of any number of servers
        - function: called with one history after the other, so that only one is in memory
        - dask: the address of a Dask cluster whose workers have the folder and do it; by default this process

        Example: `History.each(folder, lambda history: history.coverage)`
        """
        place = Path(folder).expanduser()
        return each_of(lambda server: cls(place, server), servers_of(place), function, dask)

    def export(self, folder: str | os.PathLike[str]) -> list[str]:
        """Write all servers of the file as Parquet, and return a line for each; `History(folder)` reads it.

        - folder: a folder, in which each server and each month gets its own; what it has of them is replaced

        All is of one moment, also while a recorder writes; if it fails, the folder is as it was.

        Example: `history.export(tmp_path / "lake")`
        """
        return export_parquet(self._store, folder)

    def close(self) -> None:
        """Close the file; any later question fails. Twice is fine.

        Example: `history.close()`
        """
        self._store.close()

    @property
    def servers(self) -> pd.DataFrame:
        """The servers in the file, each with its epochs: `frames.schema(SERVER_COLUMNS)` describes it."""
        rows = self._store.rows(
            "SELECT name, epoch, coalesce(min(began), first_seen), coalesce(max(ended), first_seen)"
            " FROM server LEFT JOIN observation ON observation.server = server.id AND ok"
            " GROUP BY server.id ORDER BY name, epoch"
        )
        return _framed(rows, SERVER_COLUMNS)

    @property
    def server(self) -> str:
        """The server that all else is about; UsageError if the file has several and none was named."""
        return self._which[1]

    @property
    def _which(self) -> tuple[int, str, bool]:
        rows = self._store.rows("SELECT max(id), name, says_blocked FROM server GROUP BY name ORDER BY name")
        names = [name for _, name, _ in rows]
        meant = names if self._asked is None else named(self._asked, names)
        if self._asked is not None and not meant:
            asked = Endpoint(self._asked).shown
            raise UsageError(f"{self.path} has nothing of {asked}, but of {', '.join(names) or 'none'}")
        found = [row for row in rows if row[1] in meant]
        if len(found) != 1:
            what = f"several servers: name one, History(path, server=...): {', '.join(meant)}"
            raise UsageError(f"{self.path} has {what if names else 'nothing yet'}")
        number, name, says_blocked = found[0]
        return int(number), str(name), bool(says_blocked)

    @property
    def snoozes(self) -> Snoozes:
        """What is snoozed on this server.

        Example: `history.snoozes.current()`
        """
        is_file = not self._demo and self.path.is_file()
        return Snoozes(self.server, self.path if is_file else None)

    # How it was

    def at(
        self,
        moment: datetime | str,
        status_filter: str | Iterable[str] | None = None,
        agent_filter: str | Iterable[str | None] | None = None,
    ) -> W_co:
        """Report how it was at a moment; comments and links are NA.

        - moment: an aware datetime, or words like `"yesterday 18:00"`, `"3h ago"` or `"2026-11-23 18:00"`, in
          local time
        - status_filter, agent_filter: as `collect_workload_data` takes them

        What was snoozed then is left out of `attention`, whatever is snoozed now.

        Warn of tasks that had certainly changed only later and may have changed before, and if the moment is
        after all that is known. Raise UsageError if it is before that, in the future, or not a moment.
        Example: `history.at("1 min ago").summary`
        """
        when = moment_in(moment)
        frame = self.tasks_at(when)
        report = report_of(self.makes, frame, when, self.server, status_filter, agent_filter)
        return replace(report, **self.habits()._asdict(), snoozes=self.snoozes.holding(when, past=True))

    def now(self, status_filter: str | Iterable[str] | None = "all") -> W_co:
        """Report how it is, as far as is known, without asking the server; by default all tasks.

        Example: `history.now().summary.total_open_tasks`
        """
        server, name, says_blocked = self._which
        with self._store.snapshot():
            records = self._store.state(server)
            known = self._store.known(server)
            notes = self._notes(server, known)
        frame = _tasks(records, notes, moment_of(known), says_blocked)
        report = report_of(self.makes, frame, moment_of(known), name, status_filter)
        return self.with_snoozes(replace(report, **self.habits()._asdict()))

    def tasks_at(self, when: datetime) -> pd.DataFrame:
        """Return all tasks as they were at a moment, archived ones included, with `frames.TASK_COLUMNS`.

        Example: `history.tasks_at(datetime.now(UTC)).id.is_unique`
        """
        server, _, says_blocked = self._which
        at = micros_of(when)
        with self._store.snapshot():
            # When a listing had come is known within a second or so; a server that can push is asked nothing.
            [(first, last)] = self._store.rows(
                "SELECT min(began), max(max(last, ended - ?)) FROM observation WHERE server = ? AND ok",
                2 * SECOND, server,
            )  # fmt: skip
            notes = self._notes(server, at)
            rows = self._store.rows(
                "SELECT task_id, field, new FROM event WHERE server = ? AND not_after <= ?"
                " ORDER BY observation, id",
                server, at,
            )  # fmt: skip
            # What a listing shows to have changed after the moment may have been anything since the last one.
            doubts = self._store.rows(
                "SELECT task_id, max(not_after) FROM event"
                " LEFT JOIN observation ON observation.id = event.observation"
                " WHERE event.server = ? AND not_after > ? AND coalesce(last, not_before) <= ?"
                f" AND (NOT event.pushed OR field = '{DELETED}') GROUP BY task_id",
                server, at, at,
            )  # fmt: skip
        if first is None or at < first:
            began = "nothing is recorded yet" if first is None else f"recording began at {_shown(first)}"
            raise UsageError(f"{_shown(at)} is not known: {began}")
        if when > max(datetime.now(UTC), moment_of(last)) + _CLOCKS:
            raise UsageError(f"{_shown(at)} is in the future; the last that is known is {_shown(last)}")
        if at > last:
            warnings.warn(f"nothing is known after {_shown(last)}: this is how it was then", stacklevel=3)
        records: dict[int, Record] = {}
        for task_id, field, new in rows:
            if field == CREATED:
                records[task_id] = unpacked(field, new)
            elif field == DELETED:
                records.pop(task_id, None)
            elif task_id in records and field != FIRST_SEEN:
                records[task_id][field] = unpacked(field, new)
        if doubts:
            some = ", ".join(f"#{task}" for task, _ in doubts[:5])
            more = f" and {len(doubts) - 5} more" if len(doubts) > 5 else ""
            until = _shown(max(until for _, until in doubts))
            them = "it" if len(doubts) == 1 else "them"
            warnings.warn(
                f"{some}{more} may have been different: somebody changed {them} up to {until}, and nobody "
                "looked in between",
                stacklevel=3,
            )
        return _tasks(records, notes, when, says_blocked)

    def _notes(self, server: int, at: int) -> list[tuple[Any, ...]]:
        """Return the comments that are known at a time, as `_tasks` takes them."""
        return self._store.rows(
            "SELECT task_id, comment_id, substr(text, 1, ?), by, at FROM note"
            " WHERE server = ? AND NOT gone AND at <= ? ORDER BY task_id",
            BEGINS, server, at,
        )  # fmt: skip

    # What happened

    @property
    def events(self) -> pd.DataFrame:
        """What happened, the oldest first: a row per change of a field, with `EVENT_COLUMNS`.

        That a task was edited is told by what was edited; that only `updated_at` moved is left out. Tasks
        that are older than what is kept are not new.
        """
        return self._happened()

    def _happened(self, condition: str = "", *values: Any) -> pd.DataFrame:
        rows = self._events(f"{TOLD} {condition}", *values)
        titles = self._titles()
        frame = pd.DataFrame(
            rows,
            columns=["task_id", "field", "old", "new", "not_before", "not_after", "seen", "pushed", "by"],
        )
        # From the rows: a column of numbers and nothing would be one of floats.
        moved = [
            "new" if field == CREATED else "gone" if field == DELETED else name_of(field, old, new)
            for _, field, old, new, *_ in rows
        ]
        whole = frame["field"].isin((CREATED, DELETED))
        source = (
            pd.Series("listed", frame.index)
            .mask(frame["pushed"] == 1, "pushed")
            .mask((frame["seen"] == 0) & ~whole, "unseen")
        )
        shown = pd.DataFrame(
            {
                "not_before": _times(frame["not_before"]),
                "not_after": _times(frame["not_after"]),
                "exact": frame["not_after"] - frame["not_before"] <= SECOND,
                "task_id": frame["task_id"],
                "title": frame["task_id"].map(titles),
                "change": moved,
                "field": frame["field"].mask(whole),
                "before": [_text(field, old) for _, field, old, *_ in rows],
                "after": [_text(field, new) for _, field, _, new, *_ in rows],
                "by": frame["by"],
                "source": source,
            }
        )
        return conformed(shown.sort_values("not_after", kind="stable"), EVENT_COLUMNS)

    @property
    def spells(self) -> pd.DataFrame:
        """Who had which task in which state and queue, from when to when, with `SPELL_COLUMNS`.

        A spell ends when one of the three changes, and when the task is archived or deleted.
        """
        server, _, _ = self._which
        known = self._store.scalar("SELECT max(ended) FROM observation WHERE server = ? AND ok", server) or 0
        fields = ", ".join(f"'{field}'" for field in (*_SPELL, *_BOARD))
        rows = self._events(f"AND field IN ({fields})", order="task_id, observation, id")
        titles = self._titles()
        spells = [
            (task, titles.get(task), *spell)
            for task, events in groupby(rows, key=lambda row: row[0])
            for spell in _spells(list(events), known)
        ]
        return _framed(spells, SPELL_COLUMNS)

    @property
    def coverage(self) -> pd.DataFrame:
        """When it was recorded and when not, in order of time, with `COVERAGE_COLUMNS`."""
        return _framed([*_coverage(self._observations())], COVERAGE_COLUMNS)

    @property
    def feed(self) -> pd.DataFrame:
        """What agents said and did, the oldest first, with `FEED_COLUMNS`.

        Comments are those that were pushed, read with the recorder's client or written with it, and all of a
        database file; one that is known to be deleted is left out. A time in whole seconds is one to the
        second; comments whose time is unknown come last.
        """
        return self._feed()

    def latest(self, agent: str, task_ids: Iterable[int], most: int = 20) -> pd.DataFrame:
        """Return what an agent did and what happened to some tasks, the newest first, with `FEED_COLUMNS`.

        - most: how many lines there are at most; what happened at an unknown time is left out

        Example: `history.latest("alice", [7, 12])`
        """
        of_it = "AND (by = ? OR task_id IN (SELECT value FROM json_each(?)))"
        feed = self._feed(of_it, agent, json.dumps([*task_ids]))
        return feed.dropna(subset="not_after").tail(most)[::-1]

    def _feed(self, condition: str = "", *values: Any) -> pd.DataFrame:
        server, _, _ = self._which
        notes = self._store.rows(
            "SELECT at, at + (at % ? = 0) * ?, task_id, by, text FROM note"
            f" WHERE server = ? AND NOT gone {condition}",
            SECOND, SECOND, server, *values,
        )  # fmt: skip
        titles = self._titles()
        said = pd.DataFrame(
            [(*bounds, task, titles.get(task), by, "said", text) for *bounds, task, by, text in notes],
            columns=[*FEED_COLUMNS],
        )
        for bound in _BOUNDS:
            said[bound] = _times(said[bound].astype("Int64"))
        events = self._happened(condition, *values)
        arrow = events["before"].fillna("\N{EN DASH}") + " → " + events["after"].fillna("\N{EN DASH}")
        did = events.assign(
            agent=events["by"], what=events["change"], text=arrow.mask(events["field"].isna())
        )
        both = pd.concat([conformed(said, FEED_COLUMNS), conformed(did, FEED_COLUMNS)])
        return conformed(both.sort_values("not_after", kind="stable"), FEED_COLUMNS)

    def journeys(self) -> Journeys:
        """Return the way of each task over the board, from which flow is measured.

        Example: `len(history.journeys().steps)`
        """
        server, _, _ = self._which
        with self._store.snapshot():
            rows = self._store.rows(
                "SELECT task_id, field, new, not_before, not_after, seen, pushed, observation FROM event"
                f" WHERE server = ? AND field IN ({', '.join('?' * len(JOURNEY_FIELDS))})"
                " ORDER BY task_id, observation, id",
                server, *JOURNEY_FIELDS,
            )  # fmt: skip
            looks = self._store.rows(
                "SELECT id, began, until, ended FROM observation WHERE server = ? AND ok ORDER BY id", server
            )
            spans = [*_coverage(self._observations())]
        return journeys_of(rows, looks, [span[:2] for span in spans if not span[3]])

    def habits(self) -> Habits:
        """Return how long each agent is silent now and then while it works, and when the whole team was.

        Of an agent's gaps between two signs, 95 % are shorter; one with too short a past is left out.

        Example: `history.habits().silent_after`
        """
        if self._habits is not None and time.monotonic() - self._habits[0] < HABITS_SECONDS:
            return self._habits[1]
        server, _, _ = self._which
        edits = self._store.rows(
            "SELECT DISTINCT task_id, not_after FROM event WHERE server = ? AND seen", server
        )
        comments = self._store.rows(
            "SELECT task_id, by, at FROM note WHERE server = ? AND by IS NOT NULL AND at IS NOT NULL", server
        )
        signs = {at for *_, at in edits} | {at for *_, at in comments}
        found = Habits(usual_gaps(self.journeys(), edits, comments), pauses(signs))
        self._habits = (time.monotonic(), found)
        return found

    def digest(self, since: datetime | str | None = None, person: str | None = None) -> Digest:
        """Return what happened since somebody last looked, questions first; `seen()` moves their mark.

        - since: a moment as `at` takes it, which leaves the mark alone; by default the person's last digest,
          and if they never had one, the last 24 hours
        - person: whose mark it is, by default `TINYTASK_AGENT`, then the name of the user

        What came to be known late is told when it comes, and nothing twice.
        Example: `history.digest().items`
        """
        server, name, _ = self._which
        return read_digest(Source(self._store, server, name, self.coverage, not self._demo), since, person)

    def recorded(self, since: datetime | str | None = None) -> Span:
        """Say how well the time since a moment was recorded, or all of it.

        - since: a moment as `at` takes it

        Example: `history.recorded().longest_gap_hours`
        """
        begin = 0 if since is None else micros_of(moment_in(since))
        spans = [span for span in _coverage(self._observations()) if span[1] > begin]
        hours = [(span[1] - max(span[0], begin)) / SECOND / 3600 for span in spans]
        gaps = [length for length, span in zip(hours, spans, strict=True) if not span[3]]
        bounds = [row[4:6] for row in self._events(f"{TOLD} AND seen") if row[5] >= begin]
        exact = sum(high - low <= SECOND for low, high in bounds)
        return Span(sum(hours), sum(hours) - sum(gaps), max(gaps, default=0.0), len(bounds), exact)

    def _events(
        self, condition: str = "", *values: Any, order: str = "not_after, observation, id"
    ) -> list[tuple[Any, ...]]:
        server, _, _ = self._which
        return self._store.rows(
            "SELECT task_id, field, old, new, not_before, not_after, seen, pushed, by FROM event"
            f" WHERE server = ? {condition} ORDER BY {order}",
            server, *values,
        )  # fmt: skip

    def _observations(self) -> list[tuple[Any, ...]]:
        server, _, _ = self._which
        return self._store.rows(
            "SELECT began, ended, looks, source, pushed, ok, error, every FROM observation WHERE server = ?"
            " ORDER BY id",
            server,
        )

    def _titles(self) -> dict[int, str]:
        """Return the last title of each task, that of a deleted one too."""
        titles: dict[int, str] = {}
        for task_id, field, _, new, *_ in self._events(
            "AND field IN ('created', 'title')", order="observation, id"
        ):
            titles[task_id] = unpacked(field, new)["title"] if field == CREATED else new
        return titles


def _opened(given: str | os.PathLike[str] | None, path: Path, server: str | None) -> HistoryStore:
    if given == "demo":  # A file of that name is ./demo, or a path as an object.
        from calypso_nb.history.sample import demo_past  # It needs a TinyTask, which nothing else here does.

        return demo_past()
    return store_of(path, server) if path.is_dir() else HistoryStore(path)


def _coverage(observations: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Yield the times that were recorded and the gaps between them, as rows of the coverage."""
    began = ended = looks = 0
    source, why = "", None
    for first, last, count, shows, pushed, ok, error, every in observations:
        if not ok:
            why = error
            if looks:  # Of a failure it is known until when it lasted only once a look goes well.
                yield _stretch(began, ended, looks, source)
                began, looks = ended, 0
            continue
        shows = f"{shows} + pushed" if pushed else shows
        # A look may take its time, and the next is due after it.
        late = bool(ended) and not pushed and first - ended > 2 * every + 5 * SECOND
        if looks and (late or shows != source):
            yield _stretch(began, ended, looks, source)
            began, looks = ended, 0
        if why is not None or late:
            if ended:
                yield _gap(ended, max(ended, first), why)  # A clock may have been set back.
            began = first
        elif not ended:
            began = first
        ended, looks, source, why = last, looks + count, shows, None
    if looks:
        yield _stretch(began, ended, looks, source)
    elif ended and why is not None:
        yield _gap(ended, max(last, ended), why)


def _stretch(began: int, ended: int, looks: int, source: str) -> tuple[Any, ...]:
    return began, ended, (ended - began) / SECOND / 3600, True, looks, source, None


def _gap(began: int, ended: int, why: str | None) -> tuple[Any, ...]:
    return began, ended, (ended - began) / SECOND / 3600, False, 0, None, why or "nothing recorded"


def _spells(events: list[tuple[Any, ...]], known: int) -> Iterator[tuple[Any, ...]]:
    """Yield the spells of one task, as rows without the task."""
    now: dict[str, Any] = {}
    points = [*_points(events)]
    for (began, seen, changed), following in zip_longest(points, points[1:]):
        now |= changed
        if not now.get("there"):
            continue
        ended = (None, None) if following is None else following[0]
        low, high = (known, known) if following is None else following[0]
        least = max(low - began[1], 0) / SECOND / 3600
        most = None if began[0] is None else max(high - began[0], 0) / SECOND / 3600
        yield (
            now["status"], now["assigned_to"], now["queue_name"], *began, *ended, least, most, seen,
        )  # fmt: skip


def _points(events: list[tuple[Any, ...]]) -> Iterator[tuple[tuple[Any, int], bool, dict[str, Any]]]:
    """Yield when something of a spell has changed, and to what; changes with the same bounds are one."""
    held: tuple[tuple[Any, int], bool, dict[str, Any]] | None = None
    for _, field, _, new, low, high, seen, _, _ in events:
        changed = _changed(field, new)
        if field == CREATED and not seen:  # A retention has kept it; when it came to be so is not known.
            low, seen = micros(unpacked(field, new)["created_at"]), True
        if (
            held is not None
            and held[0] == (low, high)
            and seen
            and held[1]
            and not held[2].keys() & changed.keys()
        ):
            held[2].update(changed)
            continue
        if held is not None:
            yield held
        held = ((low, high), bool(seen), changed)
    if held is not None:
        yield held


def _changed(field: str, new: Any) -> dict[str, Any]:
    if field == CREATED:
        record = unpacked(field, new)
        return {name: record[name] for name in _SPELL} | {"there": record["archived_at"] is None}
    if field in _BOARD:
        return {"there": field == "archived_at" and new is None}
    return {field: new}


def _tasks(
    records: dict[int, Record], notes: Iterable[tuple[Any, ...]], when: datetime, says_blocked: bool
) -> pd.DataFrame:
    waits = dict(blocked(records)) if says_blocked else {}
    rows = [
        {"id": number, **record, "is_currently_blocked": waits.get(number)}
        for number, record in records.items()
    ]
    said = {
        task: Details(None, None, *said_in(map(_comment, comments), records[task]["assigned_to"]))
        for task, comments in groupby(notes, key=itemgetter(0))
        if task in records
    }
    frame = with_counts(tasks_frame(rows, when), said, recorded=True)
    return frame.sort_values(
        ["priority", "created_at", "id"], ascending=[False, True, True], kind="stable", ignore_index=True
    )


def _comment(note: tuple[Any, ...]) -> dict[str, Any]:
    _, number, text, by, at = note
    # When a lease was signed last is not recorded, so no run is taken for lost by its first sign.
    return {"id": number, "content": text, "created_by": by, "created_at": moment_of(at).isoformat()}


def _times(values: pd.Series) -> pd.Series:
    return pd.to_datetime(values, unit="us", utc=True).dt.as_unit("us")


def _framed(rows: list[tuple[Any, ...]], columns: dict[str, Column]) -> pd.DataFrame:
    """Return rows as the frame that a table of columns describes; times are in microseconds."""
    frame = pd.DataFrame(rows, columns=[*columns])
    for name, column in columns.items():
        if column.dtype == TIME:
            frame[name] = _times(frame[name])
    return conformed(frame, columns)


def _text(field: str, value: Any) -> str | None:
    value = unpacked(field, value)
    if value is None or field in (CREATED, DELETED):
        return None
    return ", ".join(map(str, value)) or None if isinstance(value, list) else str(value)


def _shown(time: int) -> str:
    return shown_moment(moment_of(time))
