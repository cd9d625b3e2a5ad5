"""TinyTask v2's REST twin, for reading many tasks: several times as fast as over MCP.

It is never needed: whatever it doesn't return in time, MCP does.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias

import aiohttp
import anyio
import orjson

from calypso_nb.frames import STATUSES
from calypso_nb.settings import Endpoint, Settings
from calypso_nb.wire.clock import ServerClock
from calypso_nb.wire.faults import Fault
from calypso_nb.wire.http import JSON, asked_wait, http_session, server_sent_events

Record: TypeAlias = dict[str, Any]

IN_FLIGHT = 8
PROBES = 3
# Of the time that is left, so that MCP can still be asked in the rest of it.
_LISTING_SHARE = 0.5
_TASK_SHARE = 0.25
_FAILURES = (aiohttp.ClientError, OSError, TimeoutError, orjson.JSONDecodeError, Fault)


class RestTwin:
    """Reads tasks by REST; every method runs on the background loop.

    - there: False once it has turned out that the server has no such twin, or that it doesn't respond
    """

    def __init__(self, endpoint: Endpoint, settings: Settings, clock: ServerClock) -> None:
        self.there = True
        self._endpoint = endpoint
        self._settings = settings
        self._clock = clock
        # Of the last listing: its query, the tag that the server gave it, and the listing itself.
        self._last: tuple[dict[str, str], str, bytes] | None = None

    @property
    def tag(self) -> str | None:
        """What the server calls the last listing, None if it has no name for it."""
        return None if self._last is None else self._last[1]

    async def list_tasks(self, filters: Mapping[str, Any], seconds: float) -> list[Record] | None:
        """Return the tasks that pass the filters, or None if the twin did not list them in half of the time.

        A listing that has not changed since the last one is not sent again. None too if it lists nothing, or
        something else: another API may be at that address.

        - filters: any of `status`, one or several, and `include_archived`
        """
        query = {name: _in_query(value) for name, value in filters.items()}
        known = self._last if self._last is not None and self._last[0] == query else None
        headers = {} if known is None else {"If-None-Match": known[1]}
        # A server that accepts and says nothing is found out as soon as one that does not accept.
        connect = self._settings.connect_timeout
        silence = aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=connect)
        try:
            with anyio.fail_after(seconds * _LISTING_SHARE):
                async with http_session(self._endpoint, self._settings, self._clock) as http:
                    address = f"{self._endpoint.rest}/tasks"
                    response, body = await _got(http, address, params=query, headers=headers, timeout=silence)
                tag = response.headers.get("ETag")
                if known is not None and response.status == 304:
                    _, tag, body = known
                elif response.status != 200:
                    self.there = response.status not in (404, 405, 501)
                    return None
            records = orjson.loads(body)
        except (TimeoutError, orjson.JSONDecodeError):
            self.there = False
            return None
        except _FAILURES:
            return None
        if not isinstance(records, list) or not all(map(_is_task, records)):
            self.there = False
            return None
        self._last = None if tag is None else (query, tag, body)
        return records or None

    async def lists_all(self, filters: Mapping[str, Any], count: int, seconds: float) -> bool | None:
        """Return whether MCP lists no more than `count` tasks; None if that takes a session to find out.

        A stateless server answers a bare call, for which MCP's SDK, which takes 0.6 s to load, is not needed.
        """
        arguments = {**filters, "limit": 1, "offset": count}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
        body = call | {"params": {"name": "list_tasks", "arguments": arguments}}
        try:
            with anyio.fail_after(seconds * _TASK_SHARE):
                async with (
                    http_session(self._endpoint, self._settings, self._clock) as http,
                    http.post(self._endpoint.mcp, json=body, headers=JSON, allow_redirects=False) as response,
                ):
                    data = await _first_message(response)
            text = orjson.loads(data)["result"]["content"][0]["text"]
            return bool(orjson.loads(text)["count"] == 0)
        except (*_FAILURES, LookupError, TypeError):
            return None

    async def read_tasks(self, task_ids: Sequence[int], seconds: float) -> dict[int, Record]:
        """Return those of the tasks that the twin has, by id, with `comments` and `links`.

        Give up if none of the first three is there, or one takes a quarter of the time; leave out the rest,
        and what is not read when the time is over.
        """
        waiting = iter(task_ids)
        found: dict[int, Record] = {}
        each = seconds * _TASK_SHARE
        try:
            with anyio.move_on_after(seconds):
                async with http_session(self._endpoint, self._settings, self._clock) as http:
                    # The first responses tell whether the twin is there at all, before several requests are
                    # in flight; more than one, because a task may have been deleted since.
                    for task_id in islice(waiting, PROBES):
                        await self._read_some(http, iter([task_id]), each, found)
                        if found:
                            break
                    else:
                        self.there = False
                    async with anyio.create_task_group() as tasks:
                        for _ in range(IN_FLIGHT if self.there else 0):
                            tasks.start_soon(self._read_some, http, waiting, each, found)
        except Fault:  # A certificate or a proxy, which MCP reports.
            self.there = False
        return found

    async def _read_some(
        self, http: aiohttp.ClientSession, task_ids: Iterator[int], seconds: float, found: dict[int, Record]
    ) -> None:
        for task_id in task_ids:
            if not self.there:
                return
            try:
                address = f"{self._endpoint.rest}/tasks/{task_id}"
                response, body = await _got(http, address, seconds)
                if response.status == 404:  # It has been deleted since: for MCP to say.
                    continue
                task = orjson.loads(body) if response.status == 200 else None
            except _FAILURES as failure:
                self.there = self.there and not isinstance(failure, TimeoutError)
                return
            if not isinstance(task, dict) or task.get("id") != task_id:
                return
            if isinstance(task.get("comments"), list) and isinstance(task.get("links"), list):
                found[task_id] = task


async def _got(
    http: aiohttp.ClientSession, address: str, seconds: float | None = None, **options: Any
) -> tuple[aiohttp.ClientResponse, bytes]:
    """Return the response and its body; if it asks to wait and there is time for that, ask again then."""
    while True:
        with anyio.fail_after(seconds):
            async with http.get(address, allow_redirects=False, **options) as response:
                body = await response.read()
        wait = None if response.status == 200 else asked_wait(response)
        if wait is None or anyio.current_time() + wait >= anyio.current_effective_deadline():
            return response, body
        await anyio.sleep(wait)


def _is_task(record: Any) -> bool:
    return type(record) is dict and type(record.get("id")) is int and record.get("status") in STATUSES


async def _first_message(response: aiohttp.ClientResponse) -> bytes:
    if response.content_type != "text/event-stream":
        return await response.read()
    async for name, data in server_sent_events(response.content):
        if name == "message":
            return data
    return b""


def _in_query(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else ",".join(value)
