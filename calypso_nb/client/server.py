"""What an endpoint names, and a TinyTask server as a source: over HTTP, SSE, stdio, or in this process."""

from __future__ import annotations

import os
import shlex
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio

from calypso_nb.client.calls import Counts, Source, decoded, unexpected
from calypso_nb.errors import TinytaskAPIError, UsageError
from calypso_nb.settings import Endpoint, Settings
from calypso_nb.wire import bridge

if TYPE_CHECKING:
    from mcp.server import MCPServer, Server

    from calypso_nb.wire.transport import Target

    AnyEndpoint: TypeAlias = str | os.PathLike[str] | Server[Any] | MCPServer

DATABASE_SUFFIXES = (".db", ".sqlite", ".sqlite3")
STDIO = "stdio:"

# More requests in flight than this gain nothing: the client's one thread is the limit.
IN_FLIGHT = 8
CHUNK = 96
REST_CHUNK = 480
NO_LIMIT = 2**31 - 1


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
    return endpoint.lower().endswith(DATABASE_SUFFIXES) or Path(endpoint).expanduser().is_file()


def _command(endpoint: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(endpoint.removeprefix(STDIO)))
    except ValueError as error:
        raise UsageError(f"endpoint {STDIO} with a command that can't be parsed: {error}") from None
    if not words or "=" in words[0]:
        raise UsageError(f"endpoint {STDIO} without a command after it; set variables in the environment")
    return words


class ServerSource:
    """Asks over one kept session, on the background loop."""

    def __init__(self, target: Target, name: str, settings: Settings) -> None:
        from calypso_nb.wire.connection import Connection  # MCP takes 0.8 s to load; a file doesn't need it.

        self.name = name
        self._settings = settings
        self._connection = Connection(target, name, settings)
        # The REST twin's address, until it turns out that there is no such twin.
        self._twin = target if isinstance(target, Endpoint) else None
        weakref.finalize(self, bridge.run_soon, self._connection.abandon)

    def ask(self, tool: str, arguments: dict[str, Any], *, write: bool = False) -> dict[str, Any] | str:
        """Return what the server responds; a list of tasks is the same from v1 and v2."""
        if tool != "list_tasks":
            return decoded(bridge.run(self._connection.call, tool, arguments, write=write))
        several = isinstance(arguments.get("status"), list)
        # A server that takes statuses to exclude (v2) takes several to include too.
        if several and not bridge.run(self._connection.accepts, tool, "exclude_status"):
            return self._filtered_here(arguments)
        if arguments.get("offset") and not arguments.get("limit"):
            # Without a limit v1's SQL is wrong.
            arguments = {**arguments, "limit": NO_LIMIT}
        return decoded(bridge.run(self._connection.call, tool, arguments))

    def _filtered_here(self, arguments: dict[str, Any]) -> dict[str, Any] | str:
        """Ask for all statuses, then filter and cut here: v1 takes one status only."""
        asked = {name: arguments[name] for name in arguments.keys() - {"status", "limit", "offset"}}
        answer = decoded(bridge.run(self._connection.call, "list_tasks", asked))
        if isinstance(answer, str) or not isinstance(answer.get("tasks"), list):
            return answer
        statuses = arguments["status"]
        # What is not a task stays, for the check of the records.
        tasks = [task for task in answer["tasks"] if type(task) is not dict or task.get("status") in statuses]
        start, limit = max(arguments.get("offset", 0), 0), arguments.get("limit", 0)
        return {"tasks": tasks[start : start + limit if limit > 0 else None]}

    def counts(self, task_ids: Sequence[int]) -> Iterator[Counts]:
        """Ask for each task, several at a time; an interrupt takes effect in between."""
        while task_ids:
            size = CHUNK if self._twin is None else REST_CHUNK
            yield bridge.run(self._count_some, task_ids[:size])
            task_ids = task_ids[size:]

    def check(self) -> bool:
        """Return True if a TinyTask answers; TinytaskConnectionError says what does instead."""
        return bool(bridge.run(self._connection.tools))

    def close(self) -> None:
        """Leave the session."""
        bridge.run(self._connection.close)

    async def _count_some(self, task_ids: Sequence[int]) -> Counts:
        counts: Counts = {}
        if self._twin is not None:  # Several times as fast as MCP, which counts the rest, or all.
            from calypso_nb.wire.rest import read_tasks

            found = await read_tasks(self._twin, self._settings, task_ids)
            counts = {id: (len(task["comments"]), len(task["links"])) for id, task in found.items()}
            if not found:
                self._twin = None
        waiting = iter([task_id for task_id in task_ids if task_id not in counts])

        async def work() -> None:
            for task_id in waiting:
                counts[task_id] = await self._count_one(task_id)

        try:
            async with anyio.create_task_group() as tasks:
                for _ in range(min(IN_FLIGHT, len(task_ids))):
                    tasks.start_soon(work)
        except ExceptionGroup as group:
            first = group.exceptions[0]  # They are all about the same server.
            raise first from first.__cause__
        return counts

    async def _count_one(self, task_id: int) -> tuple[int | None, int | None]:
        try:
            task = decoded(await self._connection.call("get_task", {"id": task_id}))
        except TinytaskAPIError:
            return None, None  # It was deleted after the listing: its counts are unknown, not zero.
        if isinstance(task, dict):
            comments, links = task.get("comments"), task.get("links")
            if isinstance(comments, list) and isinstance(links, list):
                return len(comments), len(links)
        raise unexpected("get_task", self.name)
