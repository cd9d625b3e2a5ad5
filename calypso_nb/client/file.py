"""A TinyTask database file as a client's source: only read, whoever else writes, without a server or MCP."""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, TypeVar

import orjson

from calypso_nb.client.calls import Counts, check_statuses
from calypso_nb.errors import TinytaskAPIError, TinytaskConnectionError
from calypso_nb.records import Comment, Link, Task

T = TypeVar("T")
Record = dict[str, Any]
Table = Literal["tasks", "comments", "links"]

# How often a file is read again because a server was starting on it during the reading.
ATTEMPTS = 3

# What TinyTask v1 lacks: columns, and with them tools and arguments.
NEW_COLUMNS = {"parent_task_id", "queue_name", "blocked_by_task_id"}
_NEW_TOOLS = {"get_subtasks", "get_task_with_subtasks", "list_queues", "get_queue_stats", "get_queue_tasks"}
_NEW_ARGUMENTS = {*NEW_COLUMNS, "exclude_subtasks"}
_OPTIONAL = {*NEW_COLUMNS, "previous_assigned_to"}  # The oldest files of v1 lack that one too.

_MAGIC = b"SQLite format 3\0"
_COMPUTED = {"is_currently_blocked", "comments", "links", "subtasks"}
COLUMNS: dict[Table, list[str]] = {
    "tasks": [field.name for field in fields(Task) if field.name not in _COMPUTED],
    "comments": [field.name for field in fields(Comment)],
    "links": [field.name for field in fields(Link)],
}
_BLOCKED = """EXISTS (SELECT 1 FROM tasks AS blocker
    WHERE blocker.id = tasks.blocked_by_task_id AND blocker.status <> 'complete')"""
_ORDER = "ORDER BY priority DESC, created_at, id"
_FILTERS = {
    "assigned_to": "assigned_to = ?",
    "queue_name": "queue_name = ?",
    "parent_task_id": "parent_task_id = ?",
    "status": "status IN (SELECT value FROM json_each(?))",
    "exclude_status": "status NOT IN (SELECT value FROM json_each(?))",
}


class FileSource:
    """Opens the file for each question and closes it again: there is nothing to leave behind or to share."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path.expanduser()

    def ask(self, tool: str, arguments: dict[str, Any], *, write: bool = False) -> dict[str, Any]:
        """Return what a TinyTask over this file would respond."""
        if write:
            raise TinytaskAPIError(tool, f"{self.name} is a database file, opened read-only")

        def question(reader: _Reader) -> dict[str, Any]:
            unknown = sorted(_NEW_ARGUMENTS & arguments.keys())
            if reader.lacking & NEW_COLUMNS and (tool in _NEW_TOOLS or unknown):
                what = "such tool" if tool in _NEW_TOOLS else ", ".join(unknown)
                raise TinytaskAPIError(tool, f"{self.name} is a file of TinyTask v1, which has no {what}")
            check_statuses(tool, arguments)
            try:
                return _TOOLS[tool](reader, **arguments)
            except (_NotFound, OverflowError) as refusal:
                raise TinytaskAPIError(tool, str(refusal)) from refusal

        return self._read(question)

    def counts(self, task_ids: Sequence[int]) -> Iterator[Counts]:
        """Count the comments and links of all the tasks at once."""
        yield self._read(lambda reader: reader.counts(task_ids))

    def check(self) -> bool:
        """Return True if the file is a TinyTask database."""
        return self._read(lambda reader: True)

    def close(self) -> None:
        """Do nothing: no file is open between two questions."""

    def _read(self, question: Callable[[_Reader], T]) -> T:
        try:
            for _ in range(ATTEMPTS):
                with _no_collection(), closing(_Reader(self._path)) as reader:
                    answer = question(reader)
                    if not reader.disturbed():
                        return answer
        except OSError as error:
            raise self._unreadable(error.strerror or str(error)) from error
        except (_Unreadable, sqlite3.Error, orjson.JSONDecodeError) as error:
            raise self._unreadable(str(error)) from error
        raise self._unreadable("a server keeps starting and stopping on it")

    def _unreadable(self, reason: str) -> TinytaskConnectionError:
        return TinytaskConnectionError(f"no TinyTask database that can be read at {self.name}: {reason}")


class _NotFound(Exception):
    """There is no such record in the file."""


class _Unreadable(Exception):
    """The file is not a TinyTask database, or can't be read."""


class _Reader:
    """The tasks in a file of either generation, as they are at the moment of the first question.

    `lacking` holds the columns that a file of TinyTask v1 doesn't have; their values are None.
    """

    def __init__(self, path: Path) -> None:
        path = path.resolve()  # SQLite's log lies beside the file that a link leads to.
        self._log = Path(f"{path}-wal")
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise _Unreadable("it is not an SQLite database")
            versions = file.read(4)[2:]
        # In WAL mode any reader makes files beside the database, which its own server might then not be
        # allowed to open. While the log is empty all is in the database, and can be read as it stands.
        self._alone = versions == b"\2\2" and not self._logged()
        mode = "immutable=1" if self._alone else "mode=ro"
        self._connection = sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, isolation_level=None)
        try:
            self._connection.execute("BEGIN")
            self.lacking = self._check_tables()
        except sqlite3.OperationalError as error:
            self.close()
            if not self._logged():
                raise
            hint = f"to read {self._log.name} takes a directory that can be written to"
            raise _Unreadable(f"{error}: {hint}") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._connection.close()

    def disturbed(self) -> bool:
        """Return True if somebody began to write to a file that was read as it stood."""
        return self._alone and self._logged()

    def counts(self, task_ids: Sequence[int]) -> Counts:
        known = {task_id for (task_id,) in self._connection.execute("SELECT id FROM tasks")}
        comments, links = (
            dict(self._connection.execute(f"SELECT task_id, count(*) FROM {table} GROUP BY task_id"))
            for table in ("comments", "links")
        )
        counts: Counts = dict.fromkeys(task_ids, (None, None))
        return counts | {id: (comments.get(id, 0), links.get(id, 0)) for id in task_ids if id in known}

    def get_task(self, id: int) -> Record:
        return self._one("tasks", id) | self.list_comments(id) | self.list_links(id)

    def list_tasks(self, **filters: Any) -> list[Record]:
        conditions, values = ["TRUE"], []
        for name, condition in _FILTERS.items():
            if name in filters:
                value = filters[name]
                conditions.append(condition)
                if name.endswith("status"):
                    value = orjson.dumps([value] if isinstance(value, str) else value).decode()
                values.append(value)
        if filters.get("exclude_subtasks"):
            conditions.append("parent_task_id IS NULL")
        if not filters.get("include_archived"):
            conditions.append("archived_at IS NULL")
        page = [filters.get("limit") or -1, filters.get("offset") or 0]
        where = f"WHERE {' AND '.join(conditions)} {_ORDER} LIMIT ? OFFSET ?"
        return self._select("tasks", where, *values, *page)

    def get_my_queue(self, agent_name: str) -> Record:
        return {"tasks": self.list_tasks(assigned_to=agent_name, exclude_status=["complete"])}

    def get_subtasks(
        self, parent_task_id: int, recursive: bool = False, include_archived: bool = False
    ) -> list[Record]:
        """Return a task's children, each followed by its own if `recursive`."""
        found: list[Record] = []
        for child in self.list_tasks(parent_task_id=parent_task_id, include_archived=include_archived):
            found.append(child)
            if recursive:
                found += self.get_subtasks(child["id"], True, include_archived)
        return found

    def get_task_with_subtasks(self, task_id: int, recursive: bool = False) -> Record:
        task, subtasks = self._one("tasks", task_id), self.get_subtasks(task_id)
        if recursive:
            subtasks = [self.get_task_with_subtasks(child["id"], True) for child in subtasks]
        return task | {"subtasks": subtasks, "subtask_count": len(subtasks)}

    def list_queues(self) -> Record:
        rows = self._connection.execute(
            "SELECT DISTINCT queue_name FROM tasks"
            " WHERE queue_name IS NOT NULL AND archived_at IS NULL ORDER BY queue_name"
        )
        return {"queues": [name for (name,) in rows]}

    def get_queue_stats(self, queue_name: str) -> Record:
        tasks = self.list_tasks(queue_name=queue_name)
        statuses = [task["status"] for task in tasks]
        agents = [task["assigned_to"] for task in tasks if task["assigned_to"] is not None]
        return {
            "queue_name": queue_name,
            "total_tasks": len(tasks),
            "by_status": {status: statuses.count(status) for status in ("idle", "working", "complete")},
            "assigned": len(agents),
            "unassigned": len(tasks) - len(agents),
            "agents": sorted(set(agents)),
        }

    def get_comment(self, id: int) -> Record:
        return self._one("comments", id)

    def list_comments(self, task_id: int) -> Record:
        return {"comments": self._select("comments", "WHERE task_id = ? ORDER BY created_at, id", task_id)}

    def list_links(self, task_id: int) -> Record:
        return {"links": self._select("links", "WHERE task_id = ? ORDER BY created_at, id", task_id)}

    def _one(self, table: Table, id: int) -> Record:
        found = self._select(table, "WHERE id = ?", id)
        if not found:
            raise _NotFound(f"{table.removesuffix('s').capitalize()} not found: {id}")
        return found[0]

    def _select(self, table: Table, rest: str, *values: Any) -> list[Record]:
        names, expressions = [*COLUMNS[table]], [self._expression(name) for name in COLUMNS[table]]
        if table == "tasks":
            names.append("is_currently_blocked")
            expressions.append("NULL" if "blocked_by_task_id" in self.lacking else _BLOCKED)
        rows = self._connection.execute(f"SELECT {', '.join(expressions)} FROM {table} {rest}", values)
        records = [dict(zip(names, row, strict=True)) for row in rows.fetchall()]
        if table == "tasks":
            for record in records:
                tags, blocked = record["tags"], record["is_currently_blocked"]
                record["tags"] = orjson.loads(tags) if tags else []
                record["is_currently_blocked"] = None if blocked is None else bool(blocked)
        return records

    def _expression(self, name: str) -> str:
        if name in self.lacking:
            return "NULL"
        # SQLite writes the wire's timestamps far faster than Python would for 20,000 rows.
        return f"replace({name}, ' ', 'T') || 'Z'" if name.endswith("_at") else name

    def _logged(self) -> bool:
        return self._log.exists() and self._log.stat().st_size > 0

    def _check_tables(self) -> set[str]:
        lacking: set[str] = set()
        for table, columns in COLUMNS.items():
            there = {row[1] for row in self._connection.execute(f"PRAGMA table_info({table})")}
            lacking |= set(columns) - there
            if lacking - _OPTIONAL or not there:
                raise _Unreadable(f"it is an SQLite database without TinyTask's {table}")
        return lacking


_TOOLS: Mapping[str, Callable[..., Record]] = {
    "get_task": _Reader.get_task,
    "list_tasks": lambda reader, **filters: {"tasks": reader.list_tasks(**filters)},
    "get_my_queue": _Reader.get_my_queue,
    "get_subtasks": lambda reader, **filters: {"subtasks": reader.get_subtasks(**filters)},
    "get_task_with_subtasks": _Reader.get_task_with_subtasks,
    "list_queues": _Reader.list_queues,
    "get_queue_stats": _Reader.get_queue_stats,
    "get_queue_tasks": lambda reader, **filters: {"tasks": reader.list_tasks(**filters)},
    "list_comments": _Reader.list_comments,
    "get_comment": _Reader.get_comment,
    "list_links": _Reader.list_links,
}


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector from looking through thousands of new records, all of which stay."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
