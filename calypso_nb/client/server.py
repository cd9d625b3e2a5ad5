"""What an endpoint names, and a TinyTask server as a source: over HTTP, SSE, stdio, or in this process."""

from __future__ import annotations

import os
import re
import shlex
import time
import warnings
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio

from calypso_nb.client.calls import CommentListener, Source, WholeTasks, decoded, is_whole, unexpected
from calypso_nb.errors import TinytaskAPIError, UsageError
from calypso_nb.settings import Endpoint, Settings
from calypso_nb.wire import bridge
from calypso_nb.wire.clock import ServerClock

if TYPE_CHECKING:
    from mcp.server import MCPServer, Server

    from calypso_nb.wire.connection import Connection
    from calypso_nb.wire.transport import Target

    AnyEndpoint: TypeAlias = str | os.PathLike[str] | Server[Any] | MCPServer

DATABASE_SUFFIXES = (".db", ".sqlite", ".sqlite3")
STDIO = "stdio:"
_DRIVE = re.compile(r"[A-Za-z]:[/\\]")

# More requests in flight than this gain nothing: the client's one thread is the limit.
IN_FLIGHT = 8
CHUNK = 96
REST_CHUNK = 480
NO_LIMIT = 2**31 - 1
# The filters of a listing that the twin is asked for too.
TWIN_FILTERS = {"status", "include_archived"}
# Less is not worth a word: ages are in hours.
OFFSET_SECONDS = 30


def source_of(endpoint: AnyEndpoint, settings: Settings) -> Source:
    """Return the source that an endpoint names, not yet opened, or raise ValueError."""
    if isinstance(endpoint, os.PathLike) or (isinstance(endpoint, str) and _is_path(endpoint)):
        from calypso_nb.client.file import FileSource

        return FileSource(Path(endpoint))
    if not isinstance(endpoint, str):
        if not hasattr(endpoint, "create_initialization_options") and not hasattr(endpoint, "list_tools"):
            raise ValueError(f"endpoint is a {type(endpoint).__name__}: give an address, or a server object")
        return ServerSource(endpoint, f"in-process {type(endpoint).__name__}", settings)
    if endpoint == "demo":
        from calypso_nb.embedded import create_server, demo_store

        return ServerSource(create_server(demo_store()), "demo", settings)
    if endpoint.startswith(STDIO):
        command = _command(endpoint)
        # Any of its arguments may be a password.
        more = " …" if len(command) > 1 else ""
        return ServerSource(command, STDIO + Path(command[0]).name + more, settings)
    address = Endpoint(endpoint)
    if address.has_query:  # The URL is logged, and goes to more than one place.
        raise UsageError("an endpoint has no query: give a key as a header, headers={...}")
    if address.is_url:
        return ServerSource(address, address.shown, settings)
    raise UsageError(
        f"{address.shown!r} is not a valid endpoint: give http://host:port, https://host:port or 'demo', "
        "stdio:COMMAND, the path of a TinyTask database, or a profile of TinyTask's command line"
    )


def _is_path(endpoint: str) -> bool:
    if endpoint.startswith(STDIO) or "://" in endpoint or endpoint == "demo":
        return False
    if Path(endpoint).expanduser().is_file():
        return True
    # As in user:password@host/x.db, an address without its http://; C:\x@y.db is none.
    has_password = ":" in endpoint.partition("@")[0] and "@" in endpoint and not _DRIVE.match(endpoint)
    return endpoint.lower().endswith(DATABASE_SUFFIXES) and not has_password


def _command(endpoint: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(endpoint.removeprefix(STDIO)))
    except ValueError as error:
        raise UsageError(f"endpoint {STDIO} with a command that can't be parsed: {error}") from None
    if not words or "=" in words[0]:
        raise UsageError(f"endpoint {STDIO} without a command after it; set variables in the environment")
    return words


class ServerSource:
    """Asks over one kept session, on the background loop, or over the REST twin if that is faster."""

    def __init__(self, target: Target, name: str, settings: Settings) -> None:
        from calypso_nb.wire.rest import RestTwin

        self.name = name
        self._target = target
        self._settings = settings
        self.clock = ServerClock()
        self.listeners: list[CommentListener] = []
        self._twin = RestTwin(target, settings, self.clock) if isinstance(target, Endpoint) else None
        self._lists_archived: bool | None = None  # Whether the twin does; None is not known yet.
        self._complete: str | None = None  # The tag of the twin's listing that was last found to be all.
        self._told_offset = False

    @cached_property  # Used on the background loop only, so that no two threads make it.
    def _connection(self) -> Connection:
        from calypso_nb.wire.connection import Connection

        connection = Connection(self._target, self.name, self._settings, self.clock)
        weakref.finalize(self, bridge.run_soon, connection.abandon)
        return connection

    def now(self) -> datetime:
        """Return the server's time; warn once if this computer's clock is half a minute or more from it."""
        offset = self.clock.offset
        if abs(offset) >= OFFSET_SECONDS and not self._told_offset:
            self._told_offset = True
            direction = "behind" if offset > 0 else "ahead of"
            warnings.warn(
                f"this computer's clock is {abs(offset):,.0f} s {direction} the server's: "
                "ages are measured by the server's",
                stacklevel=2,
            )
        return self.clock.now()

    def ask(self, tool: str, arguments: dict[str, Any], *, write: bool = False) -> dict[str, Any] | str:
        """Return what the server responds; a list of tasks is the same from v1 and v2."""
        if tool == "list_tasks":
            return self._list_tasks(arguments)
        _load_mcp()
        answer = decoded(bridge.run(self._call, tool, arguments, write=write))
        self._tell([answer])
        return answer

    def listing(self, arguments: dict[str, Any]) -> None:
        """Return nothing: a server lists JSON objects."""

    def whole(self, task_ids: Sequence[int], seconds: float) -> Iterator[WholeTasks]:
        """Ask for each task, several at a time, with interrupts in between; one that is gone is None."""
        end = time.monotonic() + seconds
        while task_ids and (left := end - time.monotonic()) > 0:
            tasks: WholeTasks = {}
            size = CHUNK
            if self._twin is not None and self._twin.there:  # MCP reads the rest, or all.
                size = REST_CHUNK
                found = bridge.run(self._twin.read_tasks, task_ids[:size], left)
                tasks = {task_id: task for task_id, task in found.items() if is_whole(task)}
            if missing := [task_id for task_id in task_ids[:size] if task_id not in tasks]:
                _load_mcp()
                tasks |= bridge.run(self._read_over_mcp, missing, end - time.monotonic())
            self._tell(tasks.values())
            yield tasks
            task_ids = task_ids[size:]

    def written(self) -> None:
        """Say that only a listing shows what has changed."""

    def comments(self, since: str) -> tuple[list[dict[str, Any]], None]:
        """Return none: a server gives the comments of one task at a time."""
        return [], None

    def _tell(self, answers: Iterable[Any]) -> None:
        """Pass on the comments in answers: those of a task, or one that is an answer itself."""
        if not self.listeners:
            return
        lists = [answer.get("comments", [answer]) for answer in answers if isinstance(answer, dict)]
        found = [one for some in lists if isinstance(some, list) for one in some if _is_comment(one)]
        for listener in tuple(self.listeners) if found else ():
            # Who reads gets what was read, whatever becomes of those who listen.
            with suppress(Exception):
                listener(found)

    def check(self) -> bool:
        """Return True if a TinyTask answers; TinytaskConnectionError says what does instead."""
        _load_mcp()
        return bridge.run(self._check)

    def close(self) -> None:
        """Leave the session."""
        if "_connection" in vars(self):
            bridge.run(self._connection.close)

    async def _call(self, tool: str, arguments: dict[str, Any], *, write: bool) -> str:
        return await self._connection.call(tool, arguments, write=write)

    async def _check(self) -> bool:
        return bool(await self._connection.tools())

    def _list_tasks(self, arguments: dict[str, Any]) -> dict[str, Any] | str:
        if arguments.get("status") == []:
            del arguments["status"]  # None of them is all, as v2 has it.
        timeout, start = self._settings.timeout, time.monotonic()
        records, all_there = self._list_by_twin(arguments, timeout)
        if records is not None and all_there:
            return {"tasks": records}
        left = timeout - (time.monotonic() - start)
        _load_mcp()
        return bridge.run(self._list_over_mcp, arguments, records, left)

    def _list_by_twin(
        self, arguments: dict[str, Any], seconds: float
    ) -> tuple[list[dict[str, Any]] | None, bool]:
        """Return what the twin lists, if it does, and whether these are certainly all tasks."""
        archived = arguments.get("include_archived", False)
        twin = self._twin if arguments.keys() <= TWIN_FILTERS else None
        if twin is None or not twin.there or (archived and self._lists_archived is False):
            return None, False
        start = time.monotonic()
        records = bridge.run(twin.list_tasks, arguments, seconds)
        if records is None or not archived or self._lists_archived:
            return records, True
        # Nothing says whether the twin knows `include_archived`. If it ignores it, MCP lists more.
        if any(one.get("archived_at") for one in records):
            self._lists_archived = True
            return records, True
        if twin.tag is not None and twin.tag == self._complete:
            return records, True
        left = seconds - (time.monotonic() - start)
        confirmed = bridge.run(twin.lists_all, arguments, len(records), left)
        self._complete = twin.tag if confirmed else None
        if confirmed is False:
            self._lists_archived = False
            return None, False
        return records, bool(confirmed)

    async def _list_over_mcp(
        self, arguments: dict[str, Any], records: list[dict[str, Any]] | None, seconds: float
    ) -> dict[str, Any] | str:
        """List tasks, or confirm that the twin's records are all, within some seconds."""
        end = anyio.current_time() + seconds

        def left() -> float:
            return end - anyio.current_time()

        async def listed(**changes: Any) -> dict[str, Any] | str:
            asked = arguments | changes
            return decoded(await self._connection.call("list_tasks", asked, seconds=left()))

        if records is not None:
            if await listed(limit=1, offset=len(records)) == {"count": 0, "tasks": []}:
                return {"tasks": records}
            self._lists_archived = False
        # A server that takes statuses to exclude (v2) takes several to include too.
        several = isinstance(arguments.get("status"), list)
        if several and not await self._connection.accepts("list_tasks", "exclude_status", seconds=left()):
            statuses = arguments.pop("status")
            start, limit = max(arguments.pop("offset", 0), 0), arguments.pop("limit", 0)
            return _filtered(await listed(), statuses, start, limit)
        if arguments.get("offset") and not arguments.get("limit"):
            return await listed(limit=NO_LIMIT)  # Without a limit v1's SQL is wrong.
        return await listed()

    async def _read_over_mcp(self, task_ids: Sequence[int], seconds: float) -> WholeTasks:
        found: WholeTasks = {}
        waiting = iter(task_ids)

        async def work() -> None:
            for task_id in waiting:
                found[task_id] = await self._read_one(task_id)

        try:
            with anyio.move_on_after(seconds):
                async with anyio.create_task_group() as tasks:
                    for _ in range(min(IN_FLIGHT, len(task_ids))):
                        tasks.start_soon(work)
        except ExceptionGroup as group:
            first = group.exceptions[0]  # They are all about the same server.
            raise first from first.__cause__
        return found

    async def _read_one(self, task_id: int) -> dict[str, Any] | None:
        try:
            task = decoded(await self._connection.call("get_task", {"id": task_id}))
        except TinytaskAPIError:
            return None  # It was deleted after the listing: what it has is unknown, not nothing.
        if isinstance(task, str) or not is_whole(task):
            raise unexpected("get_task", self.name)
        return task


def _load_mcp() -> None:
    """Load what speaks MCP, in the caller's thread and time: the twin doesn't need it, and it takes 0.6 s."""
    import calypso_nb.wire.connection  # noqa: F401


def _is_comment(one: Any) -> bool:
    whole = isinstance(one, dict) and {type(one.get("id")), type(one.get("task_id"))} == {int}
    return whole and isinstance(one.get("content"), str)


def _filtered(
    listed: dict[str, Any] | str, statuses: list[str], start: int, limit: int
) -> dict[str, Any] | str:
    """Filter a listing of all statuses, and cut it, here: v1 takes one status only."""
    if isinstance(listed, str) or not isinstance(listed.get("tasks"), list):
        return listed
    # What is not a task stays, for the check of the records.
    tasks = [task for task in listed["tasks"] if type(task) is not dict or task.get("status") in statuses]
    return {"tasks": tasks[start : start + limit if limit > 0 else None]}
