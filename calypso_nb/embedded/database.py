"""TinyTask's SQLite tables, and access to them that is safe from any thread."""

import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Literal, Self

import orjson

Record = dict[str, Any]
Table = Literal["tasks", "comments", "links"]

COLUMNS: dict[Table, tuple[str, ...]] = {
    "tasks": (
        "id", "title", "description", "status", "assigned_to", "previous_assigned_to", "created_by",
        "priority", "tags", "parent_task_id", "queue_name", "blocked_by_task_id",
        "created_at", "updated_at", "archived_at",
    ),
    "comments": ("id", "task_id", "content", "created_by", "created_at", "updated_at"),
    "links": ("id", "task_id", "url", "description", "created_by", "created_at"),
}  # fmt: skip

_BLOCKED = """EXISTS (SELECT 1 FROM tasks AS blocker
    WHERE blocker.id = tasks.blocked_by_task_id AND blocker.status <> 'complete')"""


def read(table: Table, lacking: Collection[str] = (), *, stored_times: bool = False) -> str:
    """Return the SELECT of the wire's fields of a table, NULL for the columns that it lacks.

    - stored_times: leave the times as they are stored
    """

    def expression(name: str) -> str:
        if name in lacking:
            return "NULL"
        if stored_times or not name.endswith("_at"):
            return name
        # SQLite writes the wire's timestamps far faster than Python would for 20,000 rows.
        time = f"nullif(rtrim(replace({name}, ' ', 'T'), 'Z'), '')"
        zone = f"CASE WHEN {name} GLOB '*:*[+-][0-9][0-9]:[0-9][0-9]' THEN '' ELSE 'Z' END"
        return f"{time} || {zone}"

    columns = [expression(name) for name in COLUMNS[table]]
    if table == "tasks":
        columns.append("NULL" if "blocked_by_task_id" in lacking else _BLOCKED)
    return f"SELECT {', '.join(columns)} FROM {table} "


READ: dict[Table, str] = {table: read(table) for table in COLUMNS}
TASK_KEYS = (*COLUMNS["tasks"], "is_currently_blocked")


class StoreError(ValueError):
    """A request that TinyTask's rules refuse, or a file that is not a TinyTask v2 database."""


def stored(value: Any) -> Any:
    """Return the SQLite form of a field: times as `YYYY-MM-DD HH:MM:SS` UTC, lists of tags as JSON text."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, list | tuple):
        return orjson.dumps(value).decode()
    return value


class Database:
    """TinyTask's tables in memory or in a file, with one lock around their one connection."""

    _reads = READ

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, now: Callable[[], datetime] | None = None
    ) -> None:
        self.now = now or (lambda: datetime.now(UTC))
        self._lock = threading.RLock()
        self.connection = self._connect(path or ":memory:")
        try:
            self._prepare()
        except BaseException:
            self.connection.close()
            raise

    def _connect(self, path: str | os.PathLike[str]) -> sqlite3.Connection:
        return sqlite3.connect(path, check_same_thread=False, isolation_level=None)

    def _prepare(self) -> None:
        existing = {row[1] for row in self.connection.execute("PRAGMA table_info(tasks)")}
        missing = [name for name in COLUMNS["tasks"] if existing and name not in existing]
        if missing:
            raise StoreError(f"not a TinyTask v2 database: its tasks have no {', '.join(missing)}")
        # FULL: what was confirmed survives a kill -9, and a power cut too.
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = FULL")
        self.connection.execute("PRAGMA foreign_keys = ON")
        schema = files(__package__).joinpath("schema.sql").read_text("utf-8")
        self.connection.executescript(schema)

    def close(self) -> None:
        """Close the database; closing it twice is fine."""
        with self._lock:
            self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all of the block or none of it; a transaction inside another joins it."""
        with self._lock:
            if self.connection.in_transaction:
                yield
                return
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:  # A full disk has ended it already.
                    self.connection.execute("ROLLBACK")
                raise

    def insert_many(self, rows: Iterable[Mapping[str, Any]], table: Table = "tasks") -> None:
        """Insert rows at full speed, for sample data and benchmarks; TinyTask's rules are not checked.

        - rows: any of the table's columns each; times are aware datetimes or stored text, tags a list.
        - table: tasks, comments or links.

        Example: `TinytaskStore().insert_many([{"title": "Write the changelog", "priority": 3}])`
        """
        defaults: Record = dict.fromkeys(COLUMNS[table]) | self._stamps(table)
        if table == "tasks":
            defaults |= {"status": "idle", "priority": 0}
        places = ", ".join("?" * len(defaults))
        with self.transaction():
            self.connection.executemany(
                f"INSERT INTO {table} ({', '.join(defaults)}) VALUES ({places})",
                (tuple(stored(row.get(name, default)) for name, default in defaults.items()) for row in rows),
            )

    def _stamps(self, table: Table) -> Record:
        now = stored(self.now())
        return {name: now for name in ("created_at", "updated_at") if name in COLUMNS[table]}

    def _insert(self, table: Table, fields: Mapping[str, Any]) -> int:
        fields = {**fields, **self._stamps(table)}
        names, places = ", ".join(fields), ", ".join("?" * len(fields))
        values = [stored(value) for value in fields.values()]
        cursor = self.connection.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", values)
        return int(cursor.lastrowid or 0)

    def _update(self, table: Table, id: float, fields: Mapping[str, Any]) -> None:
        unknown = set(fields) - set(COLUMNS[table])
        if unknown:
            raise TypeError(f"{table} have no field {', '.join(sorted(unknown))}")
        changes = ", ".join(f"{name} = ?" for name in fields)
        values = [stored(value) for value in fields.values()]
        self.connection.execute(f"UPDATE {table} SET {changes} WHERE id = ?", [*values, id])

    def _select(self, table: Table, rest: str, values: Iterable[Any] = ()) -> list[Record]:
        with self._lock:
            rows = self.connection.execute(self._reads[table] + rest, tuple(values)).fetchall()
        if table != "tasks":
            return [dict(zip(COLUMNS[table], row, strict=True)) for row in rows]
        records = [dict(zip(TASK_KEYS, row, strict=True)) for row in rows]
        for record in records:
            record["tags"] = self._tags(record["tags"])
            if record["is_currently_blocked"] is not None:
                record["is_currently_blocked"] = bool(record["is_currently_blocked"])
        return records

    def _tags(self, stored: Any) -> Any:
        return orjson.loads(stored or "[]")

    def _one(self, table: Table, id: float, what: str) -> Record:
        found = self._select(table, "WHERE id = ?", [id])
        if not found:
            raise StoreError(f"{what} not found: {id}")
        return found[0]

    def _scalar(self, sql: str, *values: Any) -> Any:
        with self._lock:
            row = self.connection.execute(sql, values).fetchone()
        return row[0] if row else None
