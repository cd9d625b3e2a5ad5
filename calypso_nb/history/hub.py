"""A SignalR hub, as small as TinyTask v2 needs: it pushes every change to one, and nobody else hosts any.

What is spoken stands in Microsoft's SignalR hub protocol: JSON records, each ended by U+001E.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import secrets
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import orjson
from aiohttp import WSMsgType, web

from calypso_nb.errors import UsageError
from calypso_nb.wire import bridge

END = "\x1e"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# TinyTask takes 100 kB in a request, but several can fill a task, and what is too long comes again for ever.
_MESSAGE_BYTES = 8 * 1024 * 1024
# Whoever sends so many records in a row that are none speaks something else.
_ODD_RECORDS = 1000
_CONNECTIONS = 64
_WEBSOCKETS = 8
# For the first request with the token, so that nobody without it takes up a place for long.
_FIRST_SECONDS = 2.0
# For a WebSocket, then a handshake; SignalR's own limit is 15 s.
_START_SECONDS = 10.0
_PING_SECONDS = 10.0
# SignalR calls a client gone after 30 s without a sign; TinyTask's sends one each 15 s.
_SILENCE_SECONDS = 60.0
_EVENT_TARGETS = ("BroadcastMessage", "SendToGroup")
# Within a string its quotes would have backslashes.
_INVOCATION = re.compile(r'"invocationId"\s*:\s*"([^"\\]{1,100})"')


class Hub:
    """Hosts a hub until it is stopped, on the background loop.

    - address: `HOST:PORT`; port 0 takes a free one
    - token: what a URL must hold to get in
    - receive: called with each event, in a thread; the server is told that its event is safe once it returns,
      and sends it again if it raises OSError or UsageError

    An event over which `receive` raises something else can't be kept, and neither can one that can't be read.
    It is confirmed all the same: the server would send it again for ever, and nothing else. `unkept` counts
    these, and each is a break in what is known of the server.
    """

    def __init__(self, address: str, token: str, receive: Callable[[Any], None]) -> None:
        self.host, self._port = _address(address)
        self._token, self._receive = token.encode(), receive
        self._negotiated: dict[str, None] = {}
        self.unkept = 0
        self._known: set[Any] = set()  # Those new connections that have shown the token.
        self._talking: dict[Any, web.WebSocketResponse] = {}
        self._since: dict[Any, float] = {}
        self._server: asyncio.Server | None = None
        self._runner: web.AppRunner | None = None

    @property
    def connected_since(self) -> float | None:
        """Since when a server has told all without a break, by `time.monotonic()`; None if none is there."""
        return min(self._since.values(), default=None)

    @property
    def url(self) -> str:
        """The URL for `TINYTASK_SIGNALR_HUB_URL`; it holds the token."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self._port}/hub/{self._token.decode()}"

    def start(self) -> None:
        """Accept connections; raise OSError if the port is not available."""
        bridge.run(self._start)

    def stop(self) -> None:
        """Close every connection at once."""
        bridge.run(self._stop)

    async def _start(self) -> None:
        app = web.Application(client_max_size=4096)
        app.router.add_post("/hub/{token}/negotiate", self._negotiate)
        app.router.add_get("/hub/{token}", self._talk)
        # A server keeps its queue for as long as a hub lingers.
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handle_signals=False, lingering_time=0
        )
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._accept, self.host, self._port)
        except OSError as error:
            await self._runner.cleanup()
            raise OSError(
                f"can't listen on {self.host}:{self._port} for the hub: {error.strerror}"
            ) from error
        self._port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        if self._server is None or self._runner is None:
            return
        self._server.close()
        for websocket in list(self._talking.values()):
            with suppress(OSError, RuntimeError, TimeoutError):
                await asyncio.wait_for(websocket.close(code=1001), 0.2)
        await self._runner.cleanup()
        self._server = None

    def _accept(self) -> asyncio.Protocol:
        """Take a connection, unless there are too many; one that asks for nothing has to go."""
        assert self._runner is not None
        server = self._runner.server
        assert server is not None
        if len(server.connections) >= _CONNECTIONS:
            return _Refusal()
        protocol = server()

        def close_unless_known() -> None:
            if protocol not in self._known:
                protocol.force_close()

        def close_unless_used() -> None:
            self._known.discard(protocol)
            if protocol not in self._talking:
                protocol.force_close()

        loop = asyncio.get_running_loop()
        loop.call_later(_START_SECONDS, close_unless_used)
        if _FIRST_SECONDS < _START_SECONDS:
            loop.call_later(_FIRST_SECONDS, close_unless_known)
        return protocol

    def _let_in(self, request: web.Request) -> None:
        given = request.match_info["token"].encode(errors="replace")
        if not hmac.compare_digest(given, self._token):
            raise web.HTTPNotFound
        self._known.add(request.protocol)

    async def _negotiate(self, request: web.Request) -> web.Response:
        self._let_in(request)
        token = secrets.token_urlsafe(16)
        self._negotiated[token] = None
        while len(self._negotiated) > _CONNECTIONS:
            del self._negotiated[next(iter(self._negotiated))]
        return web.json_response(
            {
                "negotiateVersion": 1,
                "connectionId": token,
                "connectionToken": token,
                "availableTransports": [{"transport": "WebSockets", "transferFormats": ["Text"]}],
            }
        )

    async def _talk(self, request: web.Request) -> web.StreamResponse:
        self._let_in(request)
        if request.query.get("id", "") not in self._negotiated:
            raise web.HTTPNotFound
        if len(self._talking) >= _WEBSOCKETS:
            raise web.HTTPServiceUnavailable
        del self._negotiated[request.query["id"]]
        websocket = web.WebSocketResponse(max_msg_size=_MESSAGE_BYTES, timeout=0.2, compress=False)
        await websocket.prepare(request)
        pinging: asyncio.Task[None] | None = None
        self._talking[request.protocol] = websocket
        try:
            records = _Records(websocket)
            hello = await asyncio.wait_for(records.next(), _START_SECONDS)
            if not isinstance(hello, dict) or hello.get("protocol") != "json" or hello.get("version") != 1:
                await _send(websocket, {"error": "this hub speaks version 1 of the protocol json"})
                return websocket
            await _send(websocket, {})
            self._since[request.protocol] = time.monotonic()
            pinging = asyncio.create_task(_ping(websocket))
            while (record := await asyncio.wait_for(records.next(), _SILENCE_SECONDS)) is not None:
                if isinstance(record, dict) and record.get("type") == 7:
                    break
                await self._respond(request.protocol, record)
        except (TimeoutError, ValueError, OSError, RuntimeError):
            pass  # It has gone, is silent, or speaks something else: it may come again.
        finally:
            del self._talking[request.protocol]
            self._since.pop(request.protocol, None)
            if pinging is not None:
                pinging.cancel()
            with suppress(OSError, RuntimeError, TimeoutError):
                await asyncio.wait_for(websocket.close(), 0.5)
        return websocket

    async def _respond(self, protocol: Any, record: Any) -> None:
        websocket = self._talking[protocol]
        if isinstance(record, _Unreadable) and record.invocation is not None:
            self._lose(protocol)
            await _send(websocket, {"type": 3, "invocationId": record.invocation, "result": None})
        if not isinstance(record, dict) or record.get("type") != 1:
            return
        target, arguments = record.get("target"), record.get("arguments")
        response = {"type": 3, "invocationId": record.get("invocationId"), "result": None}
        if target in _EVENT_TARGETS and isinstance(arguments, list) and arguments:
            try:
                # In a thread: a disk takes its time, and others wait on this loop.
                await asyncio.to_thread(self._receive, arguments[-1])
            except Exception as error:
                if not _is_of_the_event(error):
                    raise
                self._lose(protocol)
        elif target != "JoinGroup":
            del response["result"]
            response["error"] = "Unknown hub method"
        if record.get("invocationId") is not None:
            await _send(websocket, response)

    def _lose(self, protocol: Any) -> None:
        self.unkept += 1
        self._since[protocol] = time.monotonic()


class _Unreadable(NamedTuple):
    """A record that is not JSON, or whose JSON nobody here can read, and the invocation it seems to be."""

    invocation: str | None


class _Records:
    """The records of a connection one by one, however they are cut into messages."""

    def __init__(self, websocket: web.WebSocketResponse) -> None:
        self._websocket = websocket
        self._text, self._at = "", 0
        self._odd = 0

    async def next(self) -> Any:
        """Return the next record, None at the end; ValueError says too long, or too many that are none."""
        text = await self._next_text()
        if text is None:
            return None
        record = _read(text)
        self._odd = 0 if isinstance(record, dict) else self._odd + 1
        if self._odd > _ODD_RECORDS:
            raise ValueError("too many records that are none")
        return {} if record is None else record

    async def _next_text(self) -> str | None:
        pieces, size = list[str](), 0
        while (end := self._text.find(END, self._at)) < 0:
            pieces.append(self._text[self._at :])
            size += len(pieces[-1])
            if size > _MESSAGE_BYTES:
                raise ValueError("a record without an end")
            message = await self._websocket.receive()
            if message.type is not WSMsgType.TEXT:
                return None
            self._text, self._at = message.data, 0
        pieces.append(self._text[self._at : end])
        self._at = end + 1
        return "".join(pieces)


def _read(text: str) -> Any:
    with suppress(ValueError):
        return orjson.loads(text)
    try:
        return json.loads(text)  # Half of a character, which Node writes, and what is nested deeply.
    except (ValueError, RecursionError):
        named = _INVOCATION.findall(text)
        return _Unreadable(named[-1] if named else None)


def _is_of_the_event(error: Exception) -> bool:
    """Return whether an event will fail so however often it comes, and not for the file or its disk."""
    if isinstance(error, UsageError):
        return isinstance(error.__cause__, sqlite3.IntegrityError | sqlite3.DataError)
    return not isinstance(error, OSError)


class _Refusal(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()


async def _ping(websocket: web.WebSocketResponse) -> None:
    with suppress(OSError, RuntimeError, TimeoutError):
        while True:
            await asyncio.sleep(_PING_SECONDS)
            await _send(websocket, {"type": 6})


async def _send(websocket: web.WebSocketResponse, record: Any) -> None:
    # Whoever doesn't read must not keep a task for ever.
    await asyncio.wait_for(websocket.send_str(json.dumps(record) + END), _START_SECONDS)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535 or not host:
        raise UsageError(f"{text!r} is not a valid address for a hub: give HOST:PORT, such as 127.0.0.1:3390")
    return host.strip("[]"), int(port)
