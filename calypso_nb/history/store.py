"""The file of a history: one SQLite database in WAL mode, which others read while one recorder writes it."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

import orjson

from calypso_nb.errors import UsageError
from calypso_nb.history.changes import (
    CREATED,
    DELETED,
    FIELDS,
    FIRST_SEEN,
    SECOND,
    TIMES,
    Event,
    Record,
    micros,
    replayed,
    wire_time,
)

VERSION = 1
_APPLICATION = 0x43414C59  # "CALY"
# How long a recorder that says nothing is taken for alive, in seconds.
LEASE_SECONDS = 60.0

SCHEMA = """
CREATE TABLE server (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, epoch INTEGER NOT NULL, first_seen INTEGER NOT NULL,
    says_blocked INTEGER NOT NULL DEFAULT 0,
    UNIQUE (name, epoch)
);
-- A row for looks that found the same: its first look was between `began` and `until`, its last one between
-- `last` and `ended`. `pushed` says whether the server could push all the time since the observation before.
CREATE TABLE observation (
    id INTEGER PRIMARY KEY, server INTEGER NOT NULL REFERENCES server (id), source TEXT NOT NULL,
    began INTEGER NOT NULL, until INTEGER NOT NULL, last INTEGER NOT NULL, ended INTEGER NOT NULL,
    looks INTEGER NOT NULL DEFAULT 1, ok INTEGER NOT NULL, tasks INTEGER, pushed INTEGER NOT NULL, error TEXT,
    every INTEGER NOT NULL
);
CREATE INDEX observation_of ON observation (server, ok, id);
-- `observation` is the last one before it happened.
CREATE TABLE event (
    id INTEGER PRIMARY KEY, server INTEGER NOT NULL, task_id INTEGER NOT NULL, field TEXT NOT NULL, old, new,
    not_before INTEGER NOT NULL, not_after INTEGER NOT NULL, seen INTEGER NOT NULL, pushed INTEGER NOT NULL,
    by TEXT, observation INTEGER NOT NULL
);
CREATE INDEX event_of ON event (server, task_id, observation);
-- `observation` is the last one before it, NULL if it fits none; the payload goes once nothing late can come.
CREATE TABLE inbox (
    id INTEGER PRIMARY KEY, server INTEGER NOT NULL, key BLOB NOT NULL, task_id INTEGER, type TEXT NOT NULL,
    at INTEGER NOT NULL, payload TEXT, observation INTEGER, UNIQUE (server, key)
);
CREATE INDEX inbox_of ON inbox (server, task_id, observation);
CREATE INDEX inbox_at ON inbox (server, at);
CREATE TABLE state (
    server INTEGER NOT NULL, task_id INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (server, task_id)
) WITHOUT ROWID;
CREATE TABLE note (
    server INTEGER NOT NULL, comment_id INTEGER NOT NULL, task_id INTEGER NOT NULL, at INTEGER, by TEXT,
    text TEXT, gone INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (server, comment_id)
) WITHOUT ROWID;
CREATE TABLE recorder (
    name TEXT PRIMARY KEY, who TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL, expires REAL NOT NULL,
    how TEXT NOT NULL
);
"""
# What is no change by itself: that a task was edited is told by what was edited, and what a retention keeps
# of a task, as if it had been created then, is not when it was.
TOLD = f"AND field NOT IN ('updated_at', '{FIRST_SEEN}') AND (seen OR field <> '{CREATED}')"


class AlreadyRecordedError(UsageError):
    """Another recorder writes down that server in that file."""


class Holder(NamedTuple):
    """The one recorder of a server: its own name, its computer and process, and how soon it sees a change."""

    who: str
    host: str
    pid: int
    how: str


class HistoryStore:
    """One file of history; any thread may use it, and other processes may read it.

    - path: the file; it is made if it is to be written and is not there; None for one in memory
    - write: False to read only, which nothing that a recorder does holds up

    Raise UsageError if the file is not a history, is damaged, or is of another version, OSError if it can't
    be opened. What a full disk or the like refuses later is an OSError too, and leaves all as it was.
    """

    def __init__(self, path: str | os.PathLike[str] | None, *, write: bool = False) -> None:
        self.path = Path(path or ":memory:").expanduser()
        self._lock = threading.RLock()
        self._holds: dict[str, str] = {}  # Of which servers this is the recorder, and as whom.
        write = write or path is None
        if not write and not self.path.is_file():
            raise UsageError(f"no history at {self.path}: `calypso-nb record` makes one")
        with self._readable():
            mode = "rwc" if write else "ro"
            self._connection = sqlite3.connect(
                f"{self.path.resolve().as_uri()}?mode={mode}" if path is not None else ":memory:",
                uri=True,
                timeout=10,
                isolation_level=None,
                check_same_thread=False,
            )
        try:
            with self._readable():
                self._prepare(write)
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, write: bool) -> None:
        tables = self.scalar("SELECT count(*) FROM sqlite_master")
        if write and not tables:
            # Pages that a retention empties go back to the system.
            self._connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._connection.execute("PRAGMA journal_mode = WAL")
            with self.transaction():
                if not self.scalar("SELECT count(*) FROM sqlite_master"):  # Nobody was faster.
                    for statement in SCHEMA.split(";\n"):
                        self._connection.execute(statement)
                    self._connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                    self._connection.execute(f"PRAGMA user_version = {VERSION}")
        version = self.scalar("PRAGMA user_version")
        if self.scalar("PRAGMA application_id") != _APPLICATION:
            raise UsageError(
                f"{self.path} is not a history: it is another SQLite database; name another file"
            )
        if version != VERSION:
            raise UsageError(
                f"{self.path} is a history of version {version}, and this calypso_nb reads version "
                f"{VERSION}: use the calypso_nb that wrote it, or name another file"
            )
        # FULL: what was confirmed to a server survives a power cut too.
        self._connection.execute("PRAGMA synchronous = FULL")

    def close(self) -> None:
        """Close the file; closing it twice is fine."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError as error:
            if "closed" not in str(error):
                raise
            raise UsageError(f"the history {self.path} is closed: open it again") from error
        except (sqlite3.NotSupportedError, sqlite3.OperationalError) as error:
            raise OSError(f"{self.path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise UsageError(
                f"{self.path} is not a history, or is damaged ({error}): restore a copy, or name another file"
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all of the block or none of it; a transaction inside another joins it."""
        with self._lock, self._readable():
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # A full disk has ended it already.
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read the file as it is at one moment, whatever is written meanwhile."""
        with self._lock, self._readable():
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of one statement."""
        with self._lock, self._readable():
            return self._connection.execute(sql, values).fetchall()

    def scalar(self, sql: str, *values: Any) -> Any:
        """Return the first value of the first row, None if there is none."""
        found = self.rows(sql, *values)
        return found[0][0] if found else None

    def changed(self) -> int:
        """Return a number that is another one once somebody else has written to the file."""
        return int(self.scalar("PRAGMA data_version"))

    def known(self, server: int) -> int:
        """Return until when it is known how it is: until the last look, or a push since then."""
        # Each look ends after the one before; so asked, the index has it, however long has been recorded.
        last = "SELECT ended FROM observation WHERE server = ? AND ok = 1 ORDER BY id DESC LIMIT 1"
        looked: int = self.scalar(last, server) or 0
        pushed = self.rows("SELECT at FROM inbox WHERE +server = ? ORDER BY id DESC LIMIT 100", server)
        return max(looked, *(int(at) for (at,) in pushed), 0)

    # Who records

    def recorder(self, name: str) -> Holder | None:
        """Return who records a server in this file now, None if nobody does."""
        rows = self.rows("SELECT who, host, pid, how, expires FROM recorder WHERE name = ?", name)
        for *held, expires in rows:
            holder = Holder(*held)
            if expires > time.time() and not _ended(holder.host, holder.pid, socket.gethostname()):
                return holder
        return None

    def take(self, name: str, who: str, how: str) -> None:
        """Become the one recorder of a server in this file, or stay it.

        Raise AlreadyRecordedError, which says who is it, if that is somebody else.

        - who: a name that no other recorder has
        - how: how soon it sees a change, in words
        """
        host, pid = socket.gethostname(), os.getpid()
        with self.transaction():
            held = self.recorder(name)
            if held is not None and held.who != who:
                raise AlreadyRecordedError(
                    f"{name} is recorded in {self.path} already, by process {held.pid} on {held.host}: "
                    "stop that one, or name another file"
                )
            self._connection.execute(
                "REPLACE INTO recorder VALUES (?, ?, ?, ?, ?, ?)",
                (name, who, host, pid, time.time() + LEASE_SECONDS, how),
            )
            self._holds[name] = who

    def check(self, name: str) -> None:
        """Raise AlreadyRecordedError if whoever has become the recorder of a server isn't it any more."""
        who = self._holds.get(name)
        if who is not None and self.scalar("SELECT who FROM recorder WHERE name = ?", name) != who:
            raise AlreadyRecordedError(f"{name} is recorded in {self.path} by somebody else since a while")

    def leave(self, name: str, who: str) -> None:
        """Let another recorder begin at once."""
        self._holds.pop(name, None)
        with self.transaction():
            self._connection.execute("DELETE FROM recorder WHERE name = ? AND who = ?", (name, who))

    # What the recorder writes

    def server(self, name: str, now: int, *, anew: bool = False) -> int:
        """Return the newest epoch of a server, or begin one if it has none or `anew`."""
        with self.transaction():
            last = self.rows("SELECT id, epoch FROM server WHERE name = ? ORDER BY epoch DESC LIMIT 1", name)
            if last and not anew:
                return int(last[0][0])
            epoch = last[0][1] + 1 if last else 1
            return self._inserted(
                "INSERT INTO server (name, epoch, first_seen) VALUES (?, ?, ?)", name, epoch, now
            )

    def state(self, server: int) -> dict[int, Record]:
        """Return every task as it is known now."""
        rows = self.rows("SELECT task_id, record FROM state WHERE server = ?", server)
        return {task_id: _whole(orjson.loads(record)) for task_id, record in rows}

    def observe(self, server: int, began: int, ended: int, **about: Any) -> int:
        """Add an observation, and return its number.

        - about: its further columns: `source`, `every` (microseconds until the next look), and more
        """
        row = {"server": server, "began": began, "until": ended, "last": began, "ended": ended}
        row |= {"ok": True, "pushed": False} | about
        return self._inserted(
            f"INSERT INTO observation ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", *row.values()
        )

    def look_again(self, observation: int, last: int, ended: int, looks: int = 1) -> None:
        """Say of an observation that further looks found the same, the last one at that time."""
        self.write(
            "UPDATE observation SET last = ?, ended = ?, looks = looks + ? WHERE id = ?",
            last, ended, looks, observation,
        )  # fmt: skip

    def fail(self, server: int, at: int, error: str, **about: Any) -> None:
        """Note a look that failed; the same failure again widens the last one."""
        with self.transaction():
            newest = self.rows(
                "SELECT id, ok, error FROM observation WHERE server = ? ORDER BY id DESC LIMIT 1", server
            )
            if newest and newest[0][1:] == (0, error):
                self.look_again(newest[0][0], at, at)
            else:
                self.observe(server, at, at, ok=False, error=error, **about)

    def forget_events(self, server: int, task_id: int, first: int) -> None:
        """Let go of what happened to a task from an observation on, to write it down again."""
        self.write(
            "DELETE FROM event WHERE server = ? AND task_id = ? AND observation >= ?", server, task_id, first
        )

    def add_events(self, server: int, observation: int, events: Iterable[Event]) -> None:
        """Add what happened after an observation and before the next."""
        rows = [
            (
                server,
                event.task_id,
                event.field,
                packed(event.field, event.old),
                packed(event.field, event.new),
                *event[4:],
                observation,
            )
            for event in events
        ]
        with self._lock, self._readable():
            self._connection.executemany(
                "INSERT INTO event (server, task_id, field, old, new, not_before, not_after, seen, pushed,"
                f" by, observation) VALUES ({', '.join('?' * 11)})",
                rows,
            )

    def set_state(self, server: int, records: Iterable[tuple[int, Record | None]]) -> None:
        """Let these be the tasks as they are known now; None takes one away."""
        with self._lock, self._readable():
            for task_id, record in records:
                if record is None:
                    self.write("DELETE FROM state WHERE server = ? AND task_id = ?", server, task_id)
                else:
                    self.write("REPLACE INTO state VALUES (?, ?, ?)", server, task_id, _json(record))

    def record_before(self, server: int, task_id: int, observation: int) -> Record | None:
        """Return a task as an observation found it, by what had happened until then."""
        events = self.rows(
            "SELECT field, new FROM event WHERE server = ? AND task_id = ? AND observation < ?"
            " ORDER BY observation, id",
            server, task_id, observation,
        )  # fmt: skip
        return replayed([(field, unpacked(field, new)) for field, new in events])

    def note(self, server: int, comment: Record, at: int | None) -> int:
        """Keep a comment as it is now, or that it is gone; return 1 if that is news."""
        return self.write(
            "INSERT INTO note VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
            " SET text = coalesce(excluded.text, text), gone = excluded.gone"
            " WHERE text IS NOT coalesce(excluded.text, text) OR gone IS NOT excluded.gone",
            server, comment["id"], comment["task_id"], at, comment.get("created_by"), comment.get("content"),
            bool(comment.get("gone")),
        )  # fmt: skip

    def prune(self, server: int, before: int) -> int:
        """Forget what happened before a time, and return how many events that were.

        The tasks as they were then stay, as if each had been created so.
        """
        with self.transaction():
            gone = self.rows(
                "SELECT id FROM observation WHERE server = ? AND ok AND until < ? ORDER BY id DESC LIMIT 1",
                server, before,
            )  # fmt: skip
            if not gone:
                return 0
            [(keep,)] = gone
            number = int(
                self.scalar("SELECT count(*) FROM event WHERE server = ? AND observation < ?", server, keep)
            )
            if number:
                self._fold(server, keep)
            for table in ("inbox", "observation"):
                column = "id" if table == "observation" else "observation"
                self.write(f"DELETE FROM {table} WHERE server = ? AND {column} < ?", server, keep)
            self.write("DELETE FROM note WHERE server = ? AND at < ?", server, before)
            self.write(
                "DELETE FROM inbox WHERE server = ? AND observation IS NULL AND at < ?", server, before
            )
        with self._lock, self._readable():
            self._connection.execute("PRAGMA incremental_vacuum").fetchall()
        return number

    def prune_epochs(self, name: str, before: int) -> int:
        """Forget databases of a server that were replaced before a time; return how many events they had."""
        ended = self.rows(
            "SELECT id FROM server WHERE name = ? AND id < (SELECT max(id) FROM server WHERE name = ?) AND"
            " NOT EXISTS (SELECT 1 FROM observation WHERE observation.server = server.id AND ended >= ?)",
            name, name, before,
        )  # fmt: skip
        number = 0
        for (server,) in ended:
            number += self.write("DELETE FROM event WHERE server = ?", server)
            for table in ("inbox", "state", "note", "observation"):
                self.write(f"DELETE FROM {table} WHERE server = ?", server)
            self.write("DELETE FROM server WHERE id = ?", server)
        return number

    def _fold(self, server: int, keep: int) -> None:
        """Replace the events before an observation by one per task that is as it was then."""
        tasks = self._replayed(server, keep)
        at = self.scalar("SELECT began FROM observation WHERE id = ?", keep)
        self.write("DELETE FROM event WHERE server = ? AND observation < ?", server, keep)
        kept = [
            Event(task_id, CREATED, None, record, at, at, seen=False)
            for task_id, record in tasks.items()
            if record is not None
        ]
        self.add_events(server, keep - 1, kept)

    def fill_state(self, server: int) -> None:
        """Let the tasks be known as the events have left them."""
        self.set_state(server, self._replayed(server, 2**63 - 1).items())

    def _replayed(self, server: int, observation: int) -> dict[int, Record | None]:
        """Return each task as an observation found it, None if it was gone."""
        tasks: dict[int, Record | None] = {}
        rows = self.rows(
            "SELECT task_id, field, new FROM event WHERE server = ? AND observation < ?"
            " ORDER BY observation, id",
            server, observation,
        )  # fmt: skip
        for task_id, field, new in rows:
            tasks[task_id] = replayed([(field, unpacked(field, new))], tasks.get(task_id))
        return tasks

    def fill(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Add rows as another file had them, each after the number of its server."""
        names, places = ", ".join(("server", *columns)), ", ".join("?" * (len(columns) + 1))
        with self.transaction():
            self._connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({places})", rows)

    def write(self, sql: str, *values: Any) -> int:
        """Run one statement, and return how many rows it has changed."""
        with self._lock, self._readable():
            return self._connection.execute(sql, values).rowcount

    def _inserted(self, sql: str, *values: Any) -> int:
        with self._lock, self._readable():
            return int(self._connection.execute(sql, values).lastrowid or 0)


def packed(field: str, value: Any) -> Any:
    """Return a value of a field as the file keeps it: lists and tasks as JSON, times of v2 as seconds."""
    if isinstance(value, list | tuple | dict):
        return _json(value)
    if field in TIMES and value is not None:
        seconds = (micros(value) or 0) // SECOND
        return seconds if wire_time(seconds * SECOND) == value else value
    return value


def unpacked(field: str, value: Any) -> Any:
    """Return a value of a field as the wire has it."""
    if isinstance(value, str) and field in ("tags", CREATED, DELETED):
        with suppress(orjson.JSONDecodeError):
            known = orjson.loads(value)
            return _whole(known) if isinstance(known, dict) else known
    if isinstance(value, int) and field in TIMES:
        return wire_time(value * SECOND)
    return value


def _json(value: Any) -> str:
    """Return a list or a task as text; of a task without what is empty, which takes a third of the room."""
    if isinstance(value, dict):
        value = {name: held for name, held in value.items() if held is not None}
    return orjson.dumps(value).decode()


def _whole(task: Record) -> Record:
    return dict.fromkeys(FIELDS) | task


def _ended(host: str, pid: int, here: str) -> bool:
    """Return whether a process of this computer has certainly ended."""
    if host != here or os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
