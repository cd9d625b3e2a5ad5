"""A TinyTask database file as a client's source: read-only, without a server and without MCP."""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import orjson

from calypso_nb.client.calls import Counts, check_statuses
from calypso_nb.client.database_file import NEW_IN_V2, ReadOnlyStore
from calypso_nb.embedded.database import StoreError
from calypso_nb.errors import TinytaskAPIError, TinytaskConnectionError

T = TypeVar("T")

# How often a file is read again because a server was starting on it during the reading.
ATTEMPTS = 3

# What each reading tool answers, in the words of the wire.
_READS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "get_task": ReadOnlyStore.get_task,
    "list_tasks": lambda store, **filters: {"tasks": store.list_tasks(**filters)},
    "get_my_queue": lambda store, agent_name: {"tasks": store.get_my_queue(agent_name)},
    "get_subtasks": lambda store, **asked: {"subtasks": store.get_subtasks(**asked)},
    "get_task_with_subtasks": ReadOnlyStore.get_task_with_subtasks,
    "list_queues": lambda store: {"queues": store.list_queues()},
    "get_queue_stats": ReadOnlyStore.get_queue_stats,
    "get_queue_tasks": lambda store, **filters: {"tasks": store.list_tasks(**filters)},
    "list_comments": lambda store, task_id: {"comments": store.list_comments(task_id)},
    "get_comment": ReadOnlyStore.get_comment,
    "list_links": lambda store, task_id: {"links": store.list_links(task_id)},
}
# What needs the columns that only the second generation has.
_NEW_TOOLS = {"get_subtasks", "get_task_with_subtasks", "list_queues", "get_queue_stats", "get_queue_tasks"}
_NEW_ARGUMENTS = {*NEW_IN_V2, "exclude_subtasks"}


class FileSource:
    """Opens the file for each question and closes it again: there is nothing to leave behind or to share."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path.expanduser()

    def ask(self, tool: str, arguments: dict[str, Any], *, write: bool = False) -> dict[str, Any]:
        """What a TinyTask over this file would answer."""
        if write:
            raise TinytaskAPIError(tool, f"{self.name} is a database file, opened read-only")

        def question(store: ReadOnlyStore) -> dict[str, Any]:
            unknown = sorted(_NEW_ARGUMENTS & arguments.keys())
            if store.lacking & set(NEW_IN_V2) and (tool in _NEW_TOOLS or unknown):
                what = ", ".join(unknown) if unknown and tool not in _NEW_TOOLS else "such tool"
                raise TinytaskAPIError(tool, f"{self.name} is a file of TinyTask v1, which has no {what}")
            check_statuses(tool, arguments)
            try:
                return _READS[tool](store, **arguments)
            except (StoreError, OverflowError) as refusal:
                raise TinytaskAPIError(tool, str(refusal)) from refusal

        return self._read(question)

    def counts(self, task_ids: Sequence[int]) -> Iterator[Counts]:
        """The counts of all tasks at once."""
        yield self._read(lambda store: store.count_notes(task_ids))

    def check(self) -> bool:
        """True where the file is a TinyTask database."""
        return self._read(lambda store: True)

    def close(self) -> None:
        """Nothing is left open between two questions."""

    def _read(self, question: Callable[[ReadOnlyStore], T]) -> T:
        try:
            for _ in range(ATTEMPTS):
                with _no_collection(), ReadOnlyStore(self._path) as store:
                    answer = question(store)
                    if not store.disturbed():
                        return answer
        except OSError as error:
            raise self._unreadable(error.strerror or str(error)) from error
        except (StoreError, sqlite3.Error, orjson.JSONDecodeError) as error:
            raise self._unreadable(str(error)) from error
        raise self._unreadable("a server keeps starting and stopping on it")

    def _unreadable(self, reason: str) -> TinytaskConnectionError:
        return TinytaskConnectionError(f"no TinyTask database that can be read at {self.name}: {reason}")


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
