"""Read marks: what of a history somebody has been told, per person, server and database behind it.

A mark is by arrival and not by time, for what a server pushes late is news when it comes. What can't change
any more is marked by the number of an observation, all else by what it says.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from calypso_nb.errors import UsageError
from calypso_nb.team import state_folder

FILE = "marks.db"
VERSION = 1
_APPLICATION = 0x43414C4D  # "CALM"

_SCHEMA = (
    """CREATE TABLE mark (
    id INTEGER PRIMARY KEY, person TEXT NOT NULL, server TEXT NOT NULL, epoch INTEGER NOT NULL,
    at INTEGER NOT NULL, settled INTEGER NOT NULL, anchor INTEGER NOT NULL, anchor_began INTEGER NOT NULL,
    UNIQUE (person, server, epoch)
)""",
    # A change by what it says and until when it had happened, and how often that was told.
    """CREATE TABLE told_event (
    mark INTEGER NOT NULL, key BLOB NOT NULL, at INTEGER NOT NULL, number INTEGER NOT NULL,
    PRIMARY KEY (mark, key, at)
) WITHOUT ROWID""",
    """CREATE TABLE told_comment (
    mark INTEGER NOT NULL, comment_id INTEGER NOT NULL, text BLOB NOT NULL,
    PRIMARY KEY (mark, comment_id, text)
) WITHOUT ROWID""",
)


class Owner(NamedTuple):
    """Whose mark it is, and of what: a person, a server, and which of the databases behind it."""

    person: str
    server: str
    epoch: int


@dataclass(frozen=True)
class Mark:
    """What somebody has been told of one database.

    - at: until when it was known how it is
    - settled: the observation before which all is told, and nothing is written any more
    - anchor, anchor_began: the last observation then, by which the history is known again
    - events: of what came after `settled`: how often it was told, by what it says and when that was
    - done: what is settled by now, and need not be among `events` any more
    - comments: what each comment has said so far, by its number
    - since: what is older, and not among `events`, need not be remembered
    """

    at: int
    settled: int
    anchor: int
    anchor_began: int
    events: Counter[tuple[bytes, int]] = field(default_factory=Counter)
    done: frozenset[tuple[bytes, int]] = frozenset()
    comments: Mapping[int, set[bytes]] = field(default_factory=dict)
    since: int = 0


class Marks:
    """The read marks of this user, in one file; any number of processes may use it at once.

    - path: the file; by default `marks.db` in the folder of the user's own marks
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = state_folder() / FILE if path is None else path

    def read(self, owner: Owner) -> Mark | None:
        """Return a mark, None if there is none yet."""
        if not self.path.exists():
            return None
        with self._opened() as connection, _transaction(connection, "DEFERRED"):
            row = connection.execute(
                "SELECT id, at, settled, anchor, anchor_began FROM mark"
                " WHERE person = ? AND server = ? AND epoch = ?", owner
            ).fetchone()  # fmt: skip
            if row is None:
                return None
            number, at, settled, anchor, began = row
            events = connection.execute("SELECT key, at, number FROM told_event WHERE mark = ?", (number,))
            told = Counter({(key, at): times for key, at, times in events})
            comments: dict[int, set[bytes]] = {}
            for comment, text in connection.execute(
                "SELECT comment_id, text FROM told_comment WHERE mark = ?", (number,)
            ):
                comments.setdefault(comment, set()).add(text)
            return Mark(at, settled, anchor, began, events=told, comments=comments)

    def earlier(self, owner: Owner) -> Owner | None:
        """Return whose the newest mark is of the databases before that one, None if there is none."""
        if not self.path.exists():
            return None
        with self._opened() as connection:
            [(epoch,)] = connection.execute(
                "SELECT max(epoch) FROM mark WHERE person = ? AND server = ? AND epoch < ?", owner
            )
        return None if epoch is None else owner._replace(epoch=epoch)

    def move(self, owner: Owner, told: Mark, *, anew: bool = False) -> None:
        """Take in what somebody has been told, beside all that they had been told before.

        Whoever else has moved the mark meanwhile has told what they say: what either has told is told.

        - anew: it is another history of that server, whose numbers are others
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._opened() as connection, _transaction(connection, "IMMEDIATE"):
            if anew:
                self._forget(connection, owner)
            connection.execute(
                "INSERT INTO mark (person, server, epoch, at, settled, anchor, anchor_began)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET at = max(at, excluded.at),"
                " settled = max(settled, excluded.settled),"
                " anchor_began = iif(anchor < excluded.anchor, excluded.anchor_began, anchor_began),"
                " anchor = max(anchor, excluded.anchor)",
                (*owner, told.at, told.settled, told.anchor, told.anchor_began),
            )
            number = _number(connection, owner)
            connection.execute("DELETE FROM told_event WHERE mark = ? AND at < ?", (number, told.since))
            connection.executemany(
                "DELETE FROM told_event WHERE mark = ? AND key = ? AND at = ?",
                ((number, key, at) for key, at in told.done),
            )
            connection.executemany(
                "INSERT INTO told_event VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET number = max(number, excluded.number)",
                ((number, key, at, times) for (key, at), times in told.events.items()),
            )
            connection.executemany(
                "INSERT OR IGNORE INTO told_comment VALUES (?, ?, ?)",
                ((number, comment, text) for comment, texts in told.comments.items() for text in texts),
            )

    def _forget(self, connection: sqlite3.Connection, owner: Owner) -> None:
        number = _number(connection, owner)
        for table, column in (("told_event", "mark"), ("told_comment", "mark"), ("mark", "id")):
            connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (number,))

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as connection:
                self._prepare(connection)
                yield connection
        except sqlite3.OperationalError as error:
            raise OSError(f"{self.path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise UsageError(
                f"{self.path} does not hold read marks, or is damaged ({error}): delete it to begin anew"
            ) from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            with _transaction(connection, "IMMEDIATE"):
                if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    for statement in _SCHEMA:
                        connection.execute(statement)
                    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                    connection.execute(f"PRAGMA user_version = {VERSION}")
        found: Any = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in _PRAGMAS]
        if found != [_APPLICATION, VERSION]:
            raise UsageError(f"{self.path} does not hold read marks of this version: delete it to begin anew")


_PRAGMAS = ("application_id", "user_version")


def _number(connection: sqlite3.Connection, owner: Owner) -> int | None:
    row = connection.execute(
        "SELECT id FROM mark WHERE person = ? AND server = ? AND epoch = ?", owner
    ).fetchone()
    return None if row is None else int(row[0])


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
