"""A TinyTask database file as its reader sees it: never written to, whoever else does."""

import os
import sqlite3
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from calypso_nb.embedded.database import COLUMNS, READ, StoreError, Table, read
from calypso_nb.embedded.store import TinytaskStore

# What the first generation of TinyTask has not, and its oldest files have not.
NEW_IN_V2 = ("parent_task_id", "queue_name", "blocked_by_task_id")
_OPTIONAL = {*NEW_IN_V2, "previous_assigned_to"}
_MAGIC = b"SQLite format 3\0"


class ReadOnlyStore(TinytaskStore):
    """The tasks in a file of either generation, as they are at the moment of the first question.

    `lacking` names the columns that a file of the first generation has not; their values are None. Raises
    OSError where there is no such file, StoreError where it is no TinyTask database, sqlite3.Error where it
    cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.now = lambda: datetime.now(UTC)
        self._lock = threading.RLock()
        file_path = Path(path).resolve()  # SQLite's log lies beside the file that a link leads to.
        self._log = Path(f"{file_path}-wal")
        with file_path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise StoreError("it is not an SQLite database")
            versions = file.read(4)[2:]
        # In WAL mode any reader makes files beside the database, which its own server might then not be
        # allowed to open. While the log is empty all is in the database, and can be read as it stands.
        self._alone = versions == b"\2\2" and not self._logged()
        mode = "immutable=1" if self._alone else "mode=ro"
        self.connection = sqlite3.connect(
            f"{file_path.as_uri()}?{mode}",
            uri=True, check_same_thread=False, isolation_level=None,
        )  # fmt: skip
        try:
            self.connection.execute("BEGIN")
            self.lacking = self._check_tables()
        except sqlite3.OperationalError as error:
            self.connection.close()
            if self._logged():
                hint = f"to read {self._log.name} takes a directory that can be written to"
                raise StoreError(f"{error}: {hint}") from error
            raise
        except BaseException:
            self.connection.close()
            raise
        self._reads = {**READ, "tasks": read("tasks", self.lacking)}

    def disturbed(self) -> bool:
        """Whether somebody began to write to a file that was read as it stood: what was read may be wrong."""
        return self._alone and self._logged()

    def count_notes(self, task_ids: Sequence[int]) -> dict[int, tuple[int | None, int | None]]:
        """How many comments and links each task has, in two queries; None and None for an unknown one."""
        with self._lock:
            known = {row[0] for row in self.connection.execute("SELECT id FROM tasks")}
            comments, links = (
                dict(self.connection.execute(f"SELECT task_id, count(*) FROM {table} GROUP BY task_id"))
                for table in ("comments", "links")
            )
        return {
            task: (comments.get(task, 0), links.get(task, 0)) if task in known else (None, None)
            for task in task_ids
        }

    def _logged(self) -> bool:
        return self._log.exists() and self._log.stat().st_size > 0

    def _check_tables(self) -> frozenset[str]:
        lacking = frozenset(set(COLUMNS["tasks"]) - self._columns("tasks"))
        if not self._columns("tasks") or lacking - _OPTIONAL:
            raise StoreError("it is an SQLite database without TinyTask's tasks")
        notes: tuple[Table, ...] = ("comments", "links")
        for table in notes:
            if set(COLUMNS[table]) - self._columns(table):
                raise StoreError(f"it is an SQLite database without TinyTask's {table}")
        return lacking

    def _columns(self, table: Table) -> set[str]:
        return {row[1] for row in self.connection.execute(f"PRAGMA table_info({table})")}
