"""TinyTask's SQLite tables, and access to them that is safe from any thread."""

import os
import sqlite3
import threading
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Literal, NamedTuple, Self

import orjson

Record = dict[str, Any]
Table = Literal["tasks", "comments", "links"]
_Row = tuple[Any, ...]

COLUMNS: dict[Table, tuple[str, ...]] = {
    "tasks": (
        "id", "title", "description", "status", "assigned_to", "previous_assigned_to", "created_by",
        "priority", "tags", "parent_task_id", "queue_name", "blocked_by_task_id",
        "created_at", "updated_at", "archived_at",
    ),
    "comments": ("id", "task_id", "content", "created_by", "created_at", "updated_at"),
    "links": ("id", "task_id", "url", "description", "created_by", "created_at"),
}  # fmt: skip


def _columns(
    table: Table, row: str, lacking: Collection[str] = (), *, stored_times: bool = False
) -> dict[str, str]:
    """Return an SQL expression per field of the wire.

    - row: the name of the row in the statement: its table, or OLD or NEW in a trigger
    """

    def expression(name: str) -> str:
        if name in lacking:
            return "NULL"
        column = f"{row}.{name}"
        if stored_times or not name.endswith("_at"):
            return column
        # SQLite writes the wire's timestamps far faster than Python would for 20,000 rows.
        time = f"nullif(rtrim(replace({column}, ' ', 'T'), 'Z'), '')"
        zone = f"CASE WHEN {column} GLOB '*:*[+-][0-9][0-9]:[0-9][0-9]' THEN '' ELSE 'Z' END"
        return f"{time} || {zone}"

    columns = {name: expression(name) for name in COLUMNS[table]}
    if table == "tasks":
        blocked = f"""EXISTS (SELECT 1 FROM tasks AS blocker
            WHERE blocker.id = {row}.blocked_by_task_id AND blocker.status <> 'complete')"""
        columns["is_currently_blocked"] = "NULL" if "blocked_by_task_id" in lacking else blocked
    return columns


def read(table: Table, lacking: Collection[str] = (), *, stored_times: bool = False) -> str:
    """Return the SELECT of the wire's fields of a table, NULL for the columns that it lacks.

    - stored_times: leave the times as they are stored
    """
    columns = _columns(table, table, lacking, stored_times=stored_times)
    return f"SELECT {', '.join(columns.values())} FROM {table} "


READ: dict[Table, str] = {table: read(table) for table in COLUMNS}
TASK_KEYS = (*COLUMNS["tasks"], "is_currently_blocked")
NOTED: tuple[Table, ...] = ("tasks", "comments")


class Change(NamedTuple):
    """One change of a task or a comment, as a store's listeners get it.

    A task that only becomes blocked or free changes as well, though nobody wrote to it.

    - table: "tasks" or "comments"
    - id: of the task or the comment
    - before, after: the fields as the wire has them; None before it is created, and after it is deleted
    - at: the store's time when it was written, to the microsecond
    - by: the agent that the call named, if it named one
    """

    table: Table
    id: int
    before: Record | None
    after: Record | None
    at: datetime
    by: str | None


Listener = Callable[[list[Change]], object]


def _triggers() -> str:
    """Return the SQL that notes every change of a row, be it by a tool, a roll-up or a cascade."""

    def note(table: Table, before: dict[str, str], after: dict[str, str], rest: str = "") -> str:
        return f"SELECT note('{table}', {', '.join([*before.values(), *after.values()])}){rest};\n"

    bodies: dict[str, str] = {}
    for table in NOTED:
        old, new = _columns(table, "OLD"), _columns(table, "NEW")
        none = dict.fromkeys(old, "NULL")
        bodies[f"AFTER INSERT ON {table}"] = note(table, none, new)
        bodies[f"AFTER UPDATE ON {table}"] = note(table, old, new)
        bodies[f"AFTER DELETE ON {table}"] = note(table, old, none)
    # Whether a task is blocked is up to another, which comes, goes, or changes its status.
    held = _columns("tasks", "tasks")
    turned = held | {"is_currently_blocked": f"NOT {held['is_currently_blocked']}"}
    freed = held | {"blocked_by_task_id": "NULL", "is_currently_blocked": "0"}
    waiting = " FROM tasks WHERE blocked_by_task_id ="
    bodies["AFTER INSERT ON tasks"] += note(
        "tasks", turned, held, f"{waiting} NEW.id AND NEW.status <> 'complete'"
    )
    bodies["AFTER UPDATE ON tasks"] += note(
        "tasks", turned, held, f"{waiting} NEW.id AND (NEW.status = 'complete') <> (OLD.status = 'complete')"
    )
    # Once the row is gone, nothing tells whether it blocked those whose reference SQLite then empties.
    bodies["BEFORE DELETE ON tasks"] = note("tasks", held, freed, f"{waiting} OLD.id")
    return "".join(
        f'CREATE TEMP TRIGGER "{event}" {event} BEGIN\n{body}END;\n' for event, body in bodies.items()
    )


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
    """TinyTask's tables in memory or in a file, with one lock around their one connection.

    After each outermost transaction that committed, each of `listeners` is called with all changes that it
    made to tasks and comments, in order: in the thread that wrote, before another thread can write.
    """

    _reads = READ

    def __init__(
        self, path: str | os.PathLike[str] | None = None, *, now: Callable[[], datetime] | None = None
    ) -> None:
        self.now = now or (lambda: datetime.now(UTC))
        self._lock = threading.RLock()
        self.listeners: list[Listener] = []
        self._failed: list[Listener] = []
        self._by: str | None = None
        self._has_triggers = False
        self._notes: list[tuple[Table, int, _Row, _Row, datetime, str | None]] = []
        self._noted: dict[tuple[Table, int], _Row] = {}
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
    def transaction(self, by: str | None = None) -> Iterator[None]:
        """Do all of the block or none of it; a transaction inside another joins it.

        - by: the agent that acts; by default the one of the transaction around it
        """
        with self._lock, self._acting(by):
            if self.connection.in_transaction:
                yield
                return
            if self.listeners and not self._has_triggers:
                self._add_triggers()
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                self._forget_notes()
                if self.connection.in_transaction:  # A full disk has ended it already.
                    self.connection.execute("ROLLBACK")
                raise
            self._notify()

    @contextmanager
    def _acting(self, by: str | None) -> Iterator[None]:
        outer = self._by
        self._by = by or outer
        try:
            yield
        finally:
            self._by = outer

    # What listeners are told; without any, no trigger is there to cost anything

    def _add_triggers(self) -> None:
        self.connection.create_function("note", -1, self._note)
        self.connection.executescript(_triggers())
        self._has_triggers = True

    def _note(self, table: Table, *values: Any) -> None:
        """Note a change of a row: SQLite calls it with all values before and all after, None for no row."""
        before, after = values[: len(values) // 2], values[len(values) // 2 :]
        id = before[0] if after[0] is None else after[0]
        before = self._noted.get((table, id), before)
        if before != after:
            self._noted[table, id] = after
            self._notes.append((table, id, before, after, self.now(), self._by))

    def _forget_notes(self) -> None:
        self._notes, self._noted = [], {}

    def _notify(self) -> None:
        notes = self._notes
        self._forget_notes()  # A listener may write, too.
        for listener in tuple(self.listeners) if notes else ():
            try:
                listener(
                    [
                        Change(table, id, self._wire(table, before), self._wire(table, after), at, by)
                        for table, id, before, after, at, by in notes
                    ]
                )
            except Exception as error:
                if listener not in self._failed:
                    self._failed.append(listener)
                    warnings.warn(f"a listener of the store failed: {error!r}", stacklevel=1)

    def _wire(self, table: Table, row: _Row) -> Record | None:
        return None if row[0] is None else self._records(table, [row])[0]

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
        return self._records(table, rows)

    def _records(self, table: Table, rows: Iterable[_Row]) -> list[Record]:
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

    def one(self, table: Table, id: float, what: str) -> Record:
        """Return a task, a comment or a link; raise StoreError if there is no such one.

        - what: what the error calls it
        """
        found = self._select(table, "WHERE id = ?", [id])
        if not found:
            raise StoreError(f"{what} not found: {id}")
        return found[0]

    def _scalar(self, sql: str, *values: Any) -> Any:
        with self._lock:
            row = self.connection.execute(sql, values).fetchone()
        return row[0] if row else None
