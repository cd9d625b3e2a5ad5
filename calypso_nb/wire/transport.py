"""The ways to reach a TinyTask: HTTP, SSE, a command, a server object.

Real servers speak Streamable HTTP or the older SSE at `{endpoint}/mcp`. Opening the wrong one hangs in the
SDK, so a plain POST that takes some 10 ms finds out which it is.
"""

import logging
import os
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Callable, Set
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import httpx2
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp import Client
from mcp.client import Transport
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer, Server
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCRequest, ListToolsResult, jsonrpc_message_adapter
from pydantic import ValidationError

from calypso_nb.settings import Endpoint, Settings
from calypso_nb.wire.faults import NOT_SENT, SENT, Fault, fault_of

# An address, the words of a command, or a server object.
Target: TypeAlias = Endpoint | tuple[str, ...] | Server[Any] | MCPServer
Tools: TypeAlias = dict[str, Set[str] | None]
Lost: TypeAlias = Callable[[Fault | None], None]

_POST_SECONDS = 1.0
_ABOUT = {"name": "calypso_nb", "version": "0"}
_PARAMETERS = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": _ABOUT}
_HELLO = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": _PARAMETERS}


@asynccontextmanager
async def open_session(
    target: Target, settings: Settings, lost: Lost, sending: Callable[[], None]
) -> AsyncIterator[Client]:
    """Enter an MCP session with a server object, a command or a URL, over whichever transport works there.

    - lost: called when the other side has ended the session, with a Fault if that says why it never was one
    - sending: called before each message that goes out over SSE, as the end of the stream hides which have

    Raise Fault, or what `faults.fault_of` translates.
    """
    async with AsyncExitStack() as stack:
        server: Transport | Server[Any] | MCPServer
        mode = "legacy"
        if isinstance(target, Endpoint):
            http = httpx2.AsyncClient(
                headers=settings.secret_headers(target),
                timeout=httpx2.Timeout(settings.timeout, connect=settings.connect_timeout),
                transport=_FaultsAsAnswers(verify=_certificates()),
            )
            await stack.enter_async_context(http)
            if await _speaks_sse(http, target.mcp):
                server = _sse_transport(http, target.mcp, lost, sending)
            else:
                server = streamable_http_client(target.mcp, http_client=http, max_sse_event_size=None)
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


@cache
def _certificates() -> ssl.SSLContext:
    return httpx2.create_ssl_context()  # It takes 40 ms: more than all else that opening a session does.


class _FaultsAsAnswers(httpx2.AsyncHTTPTransport):
    """Answers a POST that fails with a JSON-RPC error: at an exception the SDK ends the whole session."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method != "POST" or request.extensions.get("hello"):
            return await super().handle_async_request(request)
        try:
            response = await super().handle_async_request(request)
        except httpx2.TransportError as error:
            return _rpc_error(fault_of(error))
        if response.status_code < 300:
            return response
        await response.aclose()
        # A refusal by HTTP says that the session has gone, or who is there now: connecting again tells which.
        status = response.status_code
        return _rpc_error(Fault(f"responded with HTTP {status}", sent=status >= 500))


def _rpc_error(fault: Fault) -> httpx2.Response:
    error = {"code": SENT if fault.sent else NOT_SENT, "message": str(fault)}
    return httpx2.Response(503, json={"jsonrpc": "2.0", "id": None, "error": error})


async def _speaks_sse(http: httpx2.AsyncClient, url: str) -> bool:
    """Return True if TinyTask speaks SSE at `url`, False if Streamable HTTP; raise Fault if neither."""
    accept = {"Accept": "application/json, text/event-stream"}
    async with http.stream("POST", url, json=_HELLO, headers=accept, extensions={"hello": True}) as response:
        kind = response.headers.get("content-type", "")
        if session := response.headers.get("mcp-session-id"):  # It was opened for the question only.
            with suppress(httpx2.HTTPError):
                await http.delete(url, headers={"mcp-session-id": session})
        if response.status_code == 200 and kind.startswith("text/event-stream"):
            return False
        body = await response.aread()
    if response.status_code == 200 and kind.startswith("application/json") and b'"jsonrpc"' in body:
        return False
    if response.status_code == 400 and b"Missing session ID" in body:
        return True
    if response.status_code in (401, 403):
        way_on = "set TINYTASK_TOKEN, or give token= or headers="
        reason = f"credentials required (HTTP {response.status_code}): {way_on}"
    elif response.status_code == 200:
        reason = f"not a TinyTask server: responded with {kind or 'no content type'}"
    else:
        reason = f"not a TinyTask server: responded with HTTP {response.status_code}"
    raise Fault(reason, sent=False, transient=response.status_code >= 500)


@asynccontextmanager
async def _sse_transport(
    http: httpx2.AsyncClient, url: str, lost: Lost, sending: Callable[[], None]
) -> AsyncIterator[tuple[MemoryObjectReceiveStream[Any], MemoryObjectSendStream[SessionMessage]]]:
    """MCP's SSE transport with no limit on an event's size: the SDK's own ends the connection at 1 MiB."""
    to_session, from_server = anyio.create_memory_object_stream[Any](0)
    to_server, from_session = anyio.create_memory_object_stream[SessionMessage](0)
    posts: set[anyio.Event] = set()
    ended = False
    # The stream is silent between answers; what waits for one has its own limit.
    patient = httpx2.Timeout(**{**http.timeout.as_dict(), "read": None})

    async def receive(events: AsyncIterator[httpx2.ServerSentEvent]) -> None:
        nonlocal ended
        try:
            async for event in events:
                if event.event == "message" and event.data:
                    message = jsonrpc_message_adapter.validate_json(event.data, by_name=False)
                    await to_session.send(SessionMessage(message))
        except (httpx2.HTTPError, httpx2.StreamError, ValidationError):
            pass  # A broken stream ends like any other: by closing our side.
        finally:
            # A message that is being sent may yet turn out not to have left, which the session is to learn.
            with anyio.move_on_after(_POST_SECONDS):
                for done in list(posts):
                    await done.wait()
            ended = True
            lost(None)
            to_session.close()

    async def post(where: httpx2.URL, item: SessionMessage, done: anyio.Event) -> None:
        body = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        try:
            answer = await http.post(where, content=body, headers={"Content-Type": "application/json"})
            if answer.status_code >= 400 and isinstance(item.message, JSONRPCRequest):
                refusal = JSONRPCError.model_validate_json(answer.content)
                refusal.id = item.message.id
                await to_session.send(SessionMessage(refusal))
        finally:
            posts.discard(done)
            done.set()

    async with (
        http.sse(url, timeout=patient, max_event_size=None) as source,
        anyio.create_task_group() as tasks,
        to_session, from_server, to_server, from_session,
    ):  # fmt: skip
        if source.response.status_code != 200:
            raise Fault(f"responded to an SSE client with HTTP {source.response.status_code}", sent=False)
        events = aiter(source)
        first = await anext(events, None)
        if first is None:
            raise Fault("it hangs up at once", sent=False)
        where = httpx2.URL(url).join(first.data)
        if where.netloc != httpx2.URL(url).netloc:
            raise Fault("it sends messages on to another host", sent=False, transient=False)

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
