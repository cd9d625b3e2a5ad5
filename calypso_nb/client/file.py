"""A TinyTask database file as a client's source: only read, whoever else writes, without a server or MCP."""

from __future__ import annotations

import gc
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pandas as pd

from calypso_nb.client.calls import CommentListener, WholeTasks
from calypso_nb.embedded.database import COLUMNS, TASK_KEYS, StoreError, Table, read
from calypso_nb.embedded.store import TinytaskStore
from calypso_nb.errors import TinytaskAPIError, TinytaskConnectionError
from calypso_nb.wire.clock import ServerClock

T = TypeVar("T")

# How often a file is read again because a server was starting on it during the reading.
ATTEMPTS = 3

# What TinyTask v1 lacks: columns, and with them tools and arguments.
NEW_COLUMNS = {"parent_task_id", "queue_name", "blocked_by_task_id"}
_NEW_TOOLS = {"get_subtasks", "get_task_with_subtasks", "list_queues", "get_queue_stats", "get_queue_tasks"}
_NEW_ARGUMENTS = {*NEW_COLUMNS, "exclude_subtasks"}
# So many tasks are asked for by number; of more, all are read.
_FEW = 500
_OPTIONAL = {*NEW_COLUMNS, "previous_assigned_to"}  # The oldest files of v1 lack that one too.

_MAGIC = b"SQLite format 3\0"


class FileSource:
    """Opens the file for each question and closes it again: there is nothing to leave behind or to share."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path.expanduser()
        self.clock = ServerClock()
        self.listeners: list[CommentListener] = []  # Told nothing: a look has all comments.

    def ask(self, tool: str, arguments: dict[str, Any], *, write: bool = False) -> dict[str, Any]:
        """Return what a TinyTask over this file would respond."""
        if write:
            raise TinytaskAPIError(tool, f"{self.name} is a database file, opened read-only")
        response = self._read(lambda reader: self._answer(reader, tool, arguments))
        if isinstance(response, dict):
            return response
        return {"tasks" if tool == "get_my_queue" else tool.rpartition("_")[2]: response}

    def listing(self, arguments: dict[str, Any]) -> pd.DataFrame:
        """Return the columns of `list_tasks` as they are stored: a frame of them needs no dict per task."""

        def question(reader: _Reader) -> pd.DataFrame:
            reader.raw = True
            frame: pd.DataFrame = self._answer(reader, "list_tasks", arguments)
            return frame

        return self._read(question)

    def _answer(self, reader: _Reader, tool: str, arguments: dict[str, Any]) -> Any:
        unknown = sorted(_NEW_ARGUMENTS & arguments.keys())
        if reader.lacking & NEW_COLUMNS and (tool in _NEW_TOOLS or unknown):
            what = "such tool" if tool in _NEW_TOOLS else ", ".join(unknown)
            raise TinytaskAPIError(tool, f"{self.name} is a file of TinyTask v1, which has no {what}")
        try:
            return getattr(reader, tool)(**arguments)
        except (StoreError, OverflowError) as refusal:
            raise TinytaskAPIError(tool, str(refusal)) from refusal

    def now(self) -> datetime:
        """Return the time by this computer's clock: whoever writes to the file is on the same one."""
        return datetime.now(UTC)

    def written(self) -> tuple[int, ...]:
        """Return numbers that are others once somebody has written to the file."""
        # Not SQLite's `data_version`: it takes a connection that stays open, and with it files beside the
        # database, which its own server might then not be allowed to open.
        numbers = []
        for path in (self._path, Path(f"{self._path.resolve()}-wal")):
            with suppress(FileNotFoundError):
                found = path.stat()
                numbers += [found.st_mtime_ns, found.st_size, found.st_ino]
        return tuple(numbers)

    def comments(self, since: str) -> tuple[list[dict[str, Any]], set[int]]:
        """Return the comments that were written or edited at a time of the wire or later, and all numbers."""
        return self._read(lambda reader: reader.comments(since))

    def whole(self, task_ids: Sequence[int], seconds: float) -> Iterator[WholeTasks]:
        """Read the comments and links of all the tasks at once; of the tasks themselves only these."""
        yield self._read(lambda reader: reader.whole(task_ids))

    def check(self) -> bool:
        """Return True if the file is a TinyTask database."""
        return self._read(lambda reader: True)

    def close(self) -> None:
        """Do nothing: no file is open between two questions."""

    def _read(self, question: Callable[[_Reader], T]) -> T:
        # The garbage collector would look through thousands of records, all new: a sixth of the time.
        collects = gc.isenabled()
        gc.disable()
        try:
            for _ in range(ATTEMPTS):
                with _Reader(self._path) as reader:
                    answer = question(reader)
                    if not reader.disturbed():
                        return answer
        except OSError as error:
            raise self._unreadable(error.strerror or str(error)) from error
        except (_Unreadable, sqlite3.Error) as error:
            raise self._unreadable(str(error)) from error
        finally:
            if collects:
                gc.enable()
        raise self._unreadable("a server keeps starting and stopping on it")

    def _unreadable(self, reason: str) -> TinytaskConnectionError:
        return TinytaskConnectionError(f"no TinyTask database that can be read at {self.name}: {reason}")


class _Unreadable(Exception):
    """The file is not a TinyTask database, or can't be read."""


class _Reader(TinytaskStore):
    """The tasks in a file of either generation, as they are at the moment of the first question.

    `lacking` holds the columns that a file of TinyTask v1 doesn't have; their values are None. With `raw`,
    lists of tasks come as a frame of what is stored, only the tags decoded.
    """

    lacking: set[str]
    raw = False

    def _connect(self, path: str | os.PathLike[str]) -> sqlite3.Connection:
        path = Path(path).resolve()  # SQLite's log lies beside the file that a link leads to.
        self._log = Path(f"{path}-wal")
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise _Unreadable("it is not an SQLite database")
            versions = file.read(4)[2:]
        # In WAL mode any reader makes files beside the database, which its own server might then not be
        # allowed to open. While the log is empty all is in the database, and can be read as it stands.
        self._alone = versions == b"\2\2" and not self._logged()
        mode = "immutable=1" if self._alone else "mode=ro"
        return sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, isolation_level=None)

    def _prepare(self) -> None:
        try:
            self.connection.execute("BEGIN")
            self.lacking = self._check_tables()
        except sqlite3.OperationalError as error:
            if not self._logged():
                raise
            hint = f"to read {self._log.name} takes a directory that can be written to"
            raise _Unreadable(f"{error}: {hint}") from error
        self._reads = {table: read(table, self.lacking) for table in COLUMNS}

    def _check_tables(self) -> set[str]:
        lacking: set[str] = set()
        for table, columns in COLUMNS.items():
            there = {row[1] for row in self.connection.execute(f"PRAGMA table_info({table})")}
            lacking |= set(columns) - there
            if lacking - _OPTIONAL or not there:
                raise _Unreadable(f"it is an SQLite database without TinyTask's {table}")
        return lacking

    def _logged(self) -> bool:
        return self._log.exists() and self._log.stat().st_size > 0

    def disturbed(self) -> bool:
        """Return True if somebody began to write to a file that was read as it stood."""
        return self._alone and self._logged()

    def _select(self, table: Table, rest: str, values: Iterable[Any] = ()) -> Any:
        if not self.raw:
            return super()._select(table, rest, values)
        select = read(table, self.lacking, stored_times=True) + rest
        rows = self.connection.execute(select, tuple(values)).fetchall()
        frame = pd.DataFrame(rows, columns=list(TASK_KEYS), dtype="object")
        decoded = {text: self._tags(text) for text in frame["tags"].unique()}
        return frame.assign(tags=[decoded[text] for text in frame["tags"].tolist()])

    def _tags(self, stored: Any) -> Any:
        # What is no list of tags stays as it is: the frame's warning and the record's error show it.
        try:
            tags = orjson.loads(stored or "[]")
        except orjson.JSONDecodeError:
            return stored
        return tags if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags) else stored

    def comments(self, since: str) -> tuple[list[dict[str, Any]], set[int]]:
        """Return the comments that were written or edited at a time of the wire or later, and all numbers."""
        found: list[dict[str, Any]] = self._select("comments", "WHERE updated_at >= ? ORDER BY id", [since])
        return found, {number for (number,) in self.connection.execute("SELECT id FROM comments")}

    def whole(self, task_ids: Sequence[int]) -> WholeTasks:
        """Return the comments and links of tasks, all at once."""
        agents = dict(self.connection.execute("SELECT id, assigned_to FROM tasks"))
        found: WholeTasks = {
            task_id: {"id": task_id, "assigned_to": agents[task_id], "comments": [], "links": []}
            if task_id in agents
            else None
            for task_id in task_ids
        }
        few = len(task_ids) <= _FEW
        of = f"WHERE task_id IN ({', '.join('?' * len(task_ids))})" if few else ""
        for table in ("comments", "links"):
            for record in self._select(table, f"{of} ORDER BY id", task_ids if few else ()):
                if (task := found.get(record["task_id"])) is not None:
                    task[table].append(record)
        return found
