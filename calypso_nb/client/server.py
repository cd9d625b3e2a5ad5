"""A TinyTask server as a client's source: over HTTP, SSE, a process's stdin, or in this process."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import anyio
import orjson

from calypso_nb.client.calls import Counts, check_statuses
from calypso_nb.errors import TinytaskAPIError, TinytaskConnectionError
from calypso_nb.settings import Settings
from calypso_nb.wire import bridge
from calypso_nb.wire.connection import Connection
from calypso_nb.wire.transport import Target

# More requests in flight than this gain nothing: the client's one thread is the limit.
IN_FLIGHT = 8
CHUNK = 96
TWIN_CHUNK = 480
NO_LIMIT = 2**31 - 1


class WireSource:
    """Runs each question on the background loop, over one kept session."""

    def __init__(self, target: Target, name: str, settings: Settings) -> None:
        self.name = name
        self._settings = settings
        self._connection = Connection(target, name, settings)
        # Where the REST twin would be, until it turns out that there is none.
        self._twin = target if isinstance(target, str) else None
        weakref.finalize(self, bridge.run_soon, self._connection.abandon())

    def ask(self, tool: str, arguments: dict[str, Any], *, write: bool = False) -> dict[str, Any] | str:
        """What the server answers; a list of tasks is the same whatever the server's generation."""
        if tool != "list_tasks":
            return _decoded(bridge.run(self._connection.call, tool, arguments, write=write))
        several = isinstance(arguments.get("status"), list)
        # What takes statuses to exclude takes several to include: the second generation.
        if several and not bridge.run(self._connection.accepts, tool, "exclude_status"):
            return self._narrowed_here(arguments)
        if arguments.get("offset") and not arguments.get("limit"):
            # Without a limit the first generation's SQL is wrong.
            arguments = {**arguments, "limit": NO_LIMIT}
        return _decoded(bridge.run(self._connection.call, tool, arguments))

    def _narrowed_here(self, arguments: dict[str, Any]) -> dict[str, Any] | str:
        """Ask for all statuses, narrow and cut here: the first generation takes one status only."""
        check_statuses("list_tasks", arguments)
        asked = {name: arguments[name] for name in arguments.keys() - {"status", "limit", "offset"}}
        answer = _decoded(bridge.run(self._connection.call, "list_tasks", asked))
        if isinstance(answer, str) or not isinstance(answer.get("tasks"), list):
            return answer
        wanted = arguments["status"]
        # What is no task stays, to be told as such.
        tasks = [task for task in answer["tasks"] if type(task) is not dict or task.get("status") in wanted]
        start, limit = max(arguments.get("offset", 0), 0), arguments.get("limit", 0)
        return {"tasks": tasks[start : start + limit if limit > 0 else None]}

    def counts(self, task_ids: Sequence[int]) -> Iterator[Counts]:
        """Asks for each task, several at a time; an interrupt is heard between."""
        done = 0
        while done < len(task_ids):
            some = task_ids[done : done + (CHUNK if self._twin is None else TWIN_CHUNK)]
            yield bridge.run(self._count_some, some)
            done += len(some)

    def check(self) -> bool:
        """True where a TinyTask answers; TinytaskConnectionError says what does instead."""
        return bool(bridge.run(self._connection.tools))

    def close(self) -> None:
        """Leave the session."""
        bridge.run(self._connection.close)

    async def _count_some(self, task_ids: Sequence[int]) -> Counts:
        counts = await self._count_by_twin(task_ids)
        waiting = iter([task_id for task_id in task_ids if task_id not in counts])

        async def work() -> None:
            for task_id in waiting:
                counts[task_id] = await self._count_one(task_id)

        try:
            async with anyio.create_task_group() as tasks:
                for _ in range(min(IN_FLIGHT, len(task_ids))):
                    tasks.start_soon(work)
        except ExceptionGroup as group:
            first = group.exceptions[0]  # They all tell of the same server.
            raise first from first.__cause__
        return counts

    async def _count_by_twin(self, task_ids: Sequence[int]) -> Counts:
        """What the REST twin tells, several times as fast as MCP; the rest, or all, is left to MCP."""
        if self._twin is None:
            return {}
        from calypso_nb.wire.rest import read_tasks

        found = await read_tasks(self._twin, self._settings, task_ids)
        if not found:
            self._twin = None
        return {task_id: (len(task["comments"]), len(task["links"])) for task_id, task in found.items()}

    async def _count_one(self, task_id: int) -> tuple[int | None, int | None]:
        try:
            task = _decoded(await self._connection.call("get_task", {"id": task_id}))
        except TinytaskAPIError:
            return None, None  # It was deleted after the listing: its counts are unknown, not zero.
        notes = [task.get(name) for name in ("comments", "links")] if isinstance(task, dict) else []
        counts = [len(several) for several in notes if isinstance(several, list)]
        if len(counts) != 2:
            what = "got an answer without comments and links"
            raise TinytaskConnectionError(f"get_task {what} from {self.name}: that is no TinyTask")
        return counts[0], counts[1]


def _decoded(text: str) -> dict[str, Any] | str:
    """The JSON object that an answer is, or ends with after a sentence and a blank line, or the sentence."""
    # JSON has no blank line within, but the sentence can hold an agent's name, which can hold anything.
    for candidate in (text, text.rpartition("\n\n")[2]):
        try:
            answer = orjson.loads(candidate)
        except orjson.JSONDecodeError:
            continue
        if isinstance(answer, dict):
            return answer
    return text
