"""The ways to reach a TinyTask: HTTP, SSE, a command, a server object.

Real servers speak Streamable HTTP or the older SSE at `{endpoint}/mcp`. Opening the wrong one hangs, so a
plain POST that takes some 10 ms finds out which it is.

Both are transports of our own, on the SDK's public protocol for that. The SDK's limit an event to 1 MiB, make
a text of every message for a debug line, tell an HTTP status as "an error response", and open a connection
per call.
"""

import logging
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Set
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urljoin, urlsplit, urlunsplit

import aiohttp
import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp import Client
from mcp.client import Transport
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.server import MCPServer, Server
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp_types import (
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCRequest,
    JSONRPCResponse,
    ListToolsResult,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

from calypso_nb.settings import Endpoint, Settings
from calypso_nb.wire.clock import ServerClock
from calypso_nb.wire.faults import BELOW_MCP, Fault, fault_of
from calypso_nb.wire.http import JSON, http_session, refusal, server_sent_events

# An address, the words of a command, or a server object.
Target: TypeAlias = Endpoint | tuple[str, ...] | Server[Any] | MCPServer
Tools: TypeAlias = dict[str, Set[str] | None]
Lost: TypeAlias = Callable[[Fault | None], None]
Streams: TypeAlias = tuple[MemoryObjectReceiveStream[Any], MemoryObjectSendStream[SessionMessage]]

_POST_SECONDS = 1.0
_ABOUT = {"name": "calypso_nb", "version": "0"}
_PARAMETERS = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": _ABOUT}
_HELLO = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": _PARAMETERS}
_SESSION = "Mcp-Session-Id"
_FROM_HTTP = (aiohttp.ClientError, OSError, TimeoutError)


@asynccontextmanager
async def open_session(
    target: Target, settings: Settings, clock: ServerClock, lost: Lost, sending: Callable[[], None]
) -> AsyncIterator[Client]:
    """Enter an MCP session with a server object, a command or a URL, over whichever transport works there.

    - clock: learns the server's time from its responses
    - lost: called when the other side has ended the session, with a Fault if that says why it never was one
    - sending: called before each message that goes out over SSE, as the end of the stream hides which have

    Raise Fault, or what `faults.fault_of` translates.
    """
    async with AsyncExitStack() as stack:
        server: Transport | Server[Any] | MCPServer
        mode = "legacy"
        if isinstance(target, Endpoint):
            http = await stack.enter_async_context(http_session(target, settings, clock))
            if await _speaks_sse(http, target.mcp):
                server = _sse_transport(http, target.mcp, lost, sending)
            else:
                server = _http_transport(http, target.mcp)
        elif isinstance(target, tuple):
            server = _stdio_transport(target, lost)
        else:
            server, mode = target, "auto"
        yield await stack.enter_async_context(Client(server, mode=mode, cache=None))


def tools_of(listing: ListToolsResult) -> Tools:
    """Return the tools by name, each with the names of its arguments if the server publishes them."""
    published = {tool.name: tool.input_schema.get("properties") for tool in listing.tools}
    # The schemas of v2 leave status out if several may be given.
    return {
        name: names and ({*names, "status"} if "exclude_status" in names else set(names))
        for name, names in published.items()
    }


async def _speaks_sse(http: aiohttp.ClientSession, url: str) -> bool:
    """Return True if TinyTask speaks SSE at `url`, False if Streamable HTTP; raise Fault if neither."""
    async with http.post(url, json=_HELLO, headers=JSON, allow_redirects=False) as response:
        if session := response.headers.get(_SESSION):  # It was opened for the question only.
            with suppress(*_FROM_HTTP):
                await http.delete(url, headers={_SESSION: session}, allow_redirects=False)
        if response.status == 200 and response.content_type == "text/event-stream":
            return False
        body = await response.read()
    if response.status == 200 and response.content_type == "application/json" and b'"jsonrpc"' in body:
        return False
    if response.status == 400 and b"Missing session ID" in body:
        return True
    if response.status == 200:
        raise _stranger(response, sent=False)
    fault = refusal(response, 0)
    fault.sent = False  # It was our question and not the call.
    if response.status < 500 and fault.wait is None and fault.transient:
        raise Fault(f"not a TinyTask server: {fault}", sent=False, transient=False)
    raise fault


@asynccontextmanager
async def _http_transport(http: aiohttp.ClientSession, url: str) -> AsyncIterator[Streams]:
    """MCP's Streamable HTTP: each message is a POST, and what it is answered with comes in the response.

    What a server would say unasked, in a stream of its own, is not listened to: TinyTask says nothing.
    """
    to_session, from_server = anyio.create_memory_object_stream[Any](0)
    to_server, from_session = anyio.create_memory_object_stream[SessionMessage](0)
    session: dict[str, str] = {}

    async def post(item: SessionMessage) -> None:
        message = item.message
        body = _encoded(message)
        given = item.metadata.headers if isinstance(item.metadata, ClientMessageMetadata) else None
        try:
            async with http.post(
                url, data=body, headers=JSON | session | (given or {}), allow_redirects=False
            ) as response:
                if opened := response.headers.get(_SESSION):
                    session[_SESSION] = opened
                reply = await _reply(response, len(body))
        except _FROM_HTTP as error:
            reply = _error(fault_of(error))
        if isinstance(message, JSONRPCRequest):
            reply.id = message.id
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # Nobody waits any more.
                await to_session.send(SessionMessage(reply))

    async with to_session, from_server, to_server, from_session, anyio.create_task_group() as tasks:

        async def send() -> None:
            async for item in from_session:
                tasks.start_soon(post, item)

        tasks.start_soon(send)
        yield from_server, to_server
        tasks.cancel_scope.cancel()
    if session:
        with suppress(*_FROM_HTTP), anyio.move_on_after(_POST_SECONDS):
            await http.delete(url, headers=session, allow_redirects=False)


async def _reply(response: aiohttp.ClientResponse, size: int) -> JSONRPCResponse | JSONRPCError:
    if response.status >= 300:
        return _error(refusal(response, size))
    try:
        if response.content_type == "text/event-stream":
            async for name, data in server_sent_events(response.content):
                reply = _decoded(data) if name == "message" else None
                if isinstance(reply, JSONRPCResponse | JSONRPCError):
                    return reply
        elif response.content_type == "application/json":
            reply = _decoded(await response.read())
            if isinstance(reply, JSONRPCResponse | JSONRPCError):
                return reply
        elif response.status == 200:
            return _error(_stranger(response, sent=True))
    except ValidationError as error:
        return _error(fault_of(error))
    return _error(Fault("it ended the response without a result", sent=True))


def _stranger(response: aiohttp.ClientResponse, *, sent: bool) -> Fault:
    kind = response.headers.get("Content-Type", "no content type")
    return Fault(f"not a TinyTask server: responded with {kind}", sent=sent, transient=False)


def _error(fault: Fault) -> JSONRPCError:
    error = ErrorData(code=BELOW_MCP, message=str(fault), data=fault)
    return JSONRPCError(jsonrpc="2.0", id=0, error=error)


def _encoded(message: JSONRPCMessage) -> bytes:
    return message.model_dump_json(by_alias=True, exclude_unset=True).encode()


def _decoded(body: bytes) -> JSONRPCMessage:
    return jsonrpc_message_adapter.validate_json(body, by_name=False)


@asynccontextmanager
async def _sse_transport(
    http: aiohttp.ClientSession, url: str, lost: Lost, sending: Callable[[], None]
) -> AsyncIterator[Streams]:
    """MCP's older SSE: one stream brings all that the server says, and each message is a POST."""
    to_session, from_server = anyio.create_memory_object_stream[Any](0)
    to_server, from_session = anyio.create_memory_object_stream[SessionMessage](0)
    posts: set[anyio.Event] = set()
    ended = False

    async def receive(events: AsyncIterator[tuple[str, bytes]]) -> None:
        nonlocal ended
        try:
            async for name, data in events:
                if name == "message":
                    await to_session.send(SessionMessage(_decoded(data)))
        except (*_FROM_HTTP, ValidationError):
            pass  # A broken stream ends like any other: by closing our side.
        finally:
            # A message that is being sent may yet turn out not to have left, which the session is to learn.
            with anyio.move_on_after(_POST_SECONDS):
                for done in list(posts):
                    await done.wait()
            ended = True
            lost(None)
            to_session.close()

    async def post(where: str, item: SessionMessage, done: anyio.Event) -> None:
        body = _encoded(item.message)
        try:
            try:
                async with http.post(where, data=body, headers=JSON, allow_redirects=False) as response:
                    failure = None
                    if response.status >= 300:
                        failure = _error(refusal(response, len(body)))
                    elif response.status == 200 and response.content_type == "text/html":
                        failure = _error(_stranger(response, sent=True))  # A gateway's login page.
            except _FROM_HTTP as error:
                failure = _error(fault_of(error))
            if failure is not None and isinstance(item.message, JSONRPCRequest):
                failure.id = item.message.id
                with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                    await to_session.send(SessionMessage(failure))
        finally:
            posts.discard(done)
            done.set()

    stream = http.get(url, headers={"Accept": "text/event-stream"}, allow_redirects=False)
    async with stream as response, to_session, from_server, to_server, from_session:
        if response.status != 200:
            raise refusal(response, 0)
        events = server_sent_events(response.content)
        _, announced = await anext(events, ("", b""))
        if not announced:
            raise Fault("it hangs up at once", sent=False)
        where = _announced(url, announced.decode(errors="replace"))
        async with anyio.create_task_group() as tasks:

            async def send() -> None:
                async for item in from_session:
                    if ended:
                        continue
                    sending()
                    posts.add(done := anyio.Event())
                    tasks.start_soon(post, where, item, done)

            tasks.start_soon(receive, events)
            tasks.start_soon(send)
            yield from_server, to_server
            tasks.cancel_scope.cancel()


def _announced(url: str, announced: str) -> str:
    """Return where an SSE server takes messages, behind the same gateway as its stream."""
    ours, where = urlsplit(url), urlsplit(urljoin(url, announced))
    if (where.scheme, where.netloc) != (ours.scheme, ours.netloc):
        raise Fault("it sends messages on to another host", sent=False, transient=False)
    # Behind `https://host/team` the server knows nothing of the prefix, and leaves it out.
    prefix = ours.path.removesuffix("/mcp")
    inside = where.path.startswith(f"{prefix}/")
    return urlunsplit(where if inside else where._replace(path=prefix + where.path))


# Its records would be tracebacks on the terminal of who has no logging, for what `lost` says in a line.
logging.getLogger("mcp.client.stdio").addHandler(logging.NullHandler())


@asynccontextmanager
async def _stdio_transport(command: tuple[str, ...], lost: Lost) -> AsyncIterator[tuple[Any, Any]]:
    """The SDK's transport to a command; it calls `lost` at once if that isn't an MCP server, or has ended."""
    parameters = StdioServerParameters(command=command[0], args=[*command[1:]], env=dict(os.environ))
    to_session, from_server = anyio.create_memory_object_stream[Any](0)

    async def receive(messages: AsyncIterable[SessionMessage | Exception]) -> None:
        heard, why = False, "the command ended at once: run it in a terminal to see what it says"
        async with to_session:
            async for message in messages:
                if not isinstance(message, Exception):
                    heard = True
                    await to_session.send(message)
                elif not heard:
                    why = "what the command prints is not MCP"
                    break
            lost(None if heard else Fault(why, sent=False, transient=False))

    async with AsyncExitStack() as stack:
        nowhere = stack.enter_context(Path(os.devnull).open("w"))  # noqa: SIM115
        try:
            messages, sink = await stack.enter_async_context(stdio_client(parameters, errlog=nowhere))
        except OSError as error:
            reason = f"the command can't be started: {error.strerror}"
            raise Fault(reason, sent=False, transient=False) from error
        stack.enter_context(from_server)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        tasks.start_soon(receive, messages)
        yield from_server, sink
        tasks.cancel_scope.cancel()
