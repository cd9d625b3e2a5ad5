"""The ways to reach a TinyTask: HTTP, SSE, a process of our own, a server object.

Real servers speak Streamable HTTP or the older SSE at `{endpoint}/mcp`. Opening the wrong one hangs in the
SDK, so which one it is gets asked first, with a plain POST that takes some 10 ms.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Set
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any, TypeAlias
from urllib.parse import urljoin, urlsplit, urlunsplit

import anyio
import httpx2
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp import Client
from mcp.client import Transport
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer, Server
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCRequest, ListToolsResult, jsonrpc_message_adapter
from pydantic import ValidationError

from calypso_nb.settings import Settings
from calypso_nb.wire.faults import NO_ANSWER, NOT_CONNECTED, NOT_DONE, Fault, words
from calypso_nb.wire.stdio import stdio_transport

__all__ = ["Target", "Tools", "mcp_url", "open_session", "tools_of"]

# A URL, the words of a command, or a server object.
Target: TypeAlias = str | tuple[str, ...] | Server[Any] | MCPServer
Tools: TypeAlias = dict[str, Set[str] | None]
Lost: TypeAlias = Callable[[Fault | None], None]

_POST_SECONDS = 1.0
_HELLO = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "calypso_nb", "version": "0"},
    },
}


def mcp_url(endpoint: str) -> str:
    """The URL at which an endpoint speaks MCP, whether it is given with `/mcp` or without.

    Example: `mcp_url("http://localhost:3000")` is `"http://localhost:3000/mcp"`
    """
    parts = urlsplit(endpoint)
    path = parts.path.rstrip("/").removesuffix("/mcp") + "/mcp"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


@asynccontextmanager
async def open_session(
    target: Target, settings: Settings, lost: Lost, sending: Callable[[], None]
) -> AsyncIterator[Client]:
    """Enter an MCP session with a server object, a command or a URL, over whichever transport answers there.

    `lost` is called when the other side has ended the session, with a Fault where that says why it never was
    one. `sending` is called before each message that goes out over SSE, where the end of the stream hides
    which have. Raises Fault, or what `faults.fault_of` understands.

    Example: `async with open_session("http://localhost:3000/mcp", settings, lost, sending) as session: ...`
    """
    if isinstance(target, tuple):
        async with Client(stdio_transport(target, lost), mode="legacy", cache=None) as session:
            yield session
        return
    if not isinstance(target, str):
        async with Client(target, cache=None) as session:
            yield session
        return
    async with _http_client(settings, target) as http:
        # The SDK and the HTTP client log the URL, so it must hold neither a password nor a key.
        parts = urlsplit(target)
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
        if await _speaks_sse(http, url):
            transport: Transport = _sse_transport(http, url, lost, sending)
        else:
            transport = streamable_http_client(url, http_client=http, max_sse_event_size=None)
        async with Client(transport, mode="legacy", cache=None) as session:
            yield session


def tools_of(listing: ListToolsResult) -> Tools:
    """The tools by name, each with the names of its arguments where the server has published them.

    Example: `tools_of(await session.list_tools())["get_task"]`
    """
    published = {tool.name: tool.input_schema.get("properties") for tool in listing.tools}
    # The schemas of the second generation leave status out where several may be given.
    return {
        name: names and ({*names, "status"} if "exclude_status" in names else set(names))
        for name, names in published.items()
    }


def _http_client(settings: Settings, url: str) -> httpx2.AsyncClient:
    parts = urlsplit(url)
    return httpx2.AsyncClient(
        headers=settings.secret_headers(url),
        timeout=httpx2.Timeout(settings.timeout, connect=settings.connect_timeout),
        transport=_FaultsAsAnswers(parts.query, verify=_certificates()),
    )


@cache
def _certificates() -> ssl.SSLContext:
    return httpx2.create_ssl_context()  # It takes 40 ms: more than all else that opening a session does.


class _AddsQuery(httpx2.AsyncHTTPTransport):
    """Adds the endpoint's own query, which may be a key, to each request below the logging."""

    def __init__(self, query: str, *, verify: ssl.SSLContext) -> None:
        super().__init__(verify=verify)
        self._query = query.encode()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._query:
            query = b"&".join(part for part in (request.url.query, self._query) if part)
            request = httpx2.Request(
                request.method,
                request.url.copy_with(query=query),
                headers=request.headers,
                stream=request.stream,
                extensions=request.extensions,
            )
        return await super().handle_async_request(request)


class _FaultsAsAnswers(_AddsQuery):
    """Answers a POST that fails with a JSON-RPC error: at an exception the SDK ends the whole session."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method != "POST" or request.extensions.get("hello"):
            return await super().handle_async_request(request)
        try:
            response = await super().handle_async_request(request)
        except NOT_CONNECTED as error:
            return _rpc_error(NOT_DONE, words(error))
        except httpx2.TransportError as error:
            return _rpc_error(NO_ANSWER, words(error))
        if response.status_code < 300:
            return response
        await response.aclose()
        # A refusal by HTTP says that the session has gone, or who is there now: connecting again tells which.
        code = NO_ANSWER if response.status_code >= 500 else NOT_DONE
        return _rpc_error(code, f"it answers HTTP {response.status_code}")


def _rpc_error(code: int, message: str) -> httpx2.Response:
    error = {"code": code, "message": message}
    return httpx2.Response(503, json={"jsonrpc": "2.0", "id": None, "error": error})


async def _speaks_sse(http: httpx2.AsyncClient, url: str) -> bool:
    """Whether TinyTask speaks SSE (True) or Streamable HTTP (False) at `url`; raises Fault where neither."""
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
        wanted = "set TINYTASK_TOKEN, or give token= or headers="
        reason = f"it wants credentials (HTTP {response.status_code}): {wanted}"
    elif response.status_code == 200:
        reason = f"what answers there is not a TinyTask (it sends {kind or 'no content type'})"
    else:
        reason = f"what answers there is not a TinyTask (HTTP {response.status_code})"
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
        except (httpx2.HTTPError, httpx2.StreamError, httpx2.SSEError, ValidationError):
            pass  # A broken stream and one that has ended are told in the same way: by closing our side.
        finally:
            # A message that is being sent may yet turn out not to have left, which the session is to learn.
            with anyio.move_on_after(_POST_SECONDS):
                for done in list(posts):
                    await done.wait()
            ended = True
            lost(None)
            to_session.close()

    async def post(where: str, item: SessionMessage, done: anyio.Event) -> None:
        body = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        try:
            answer = await http.post(where, content=body, headers={"Content-Type": "application/json"})
            if answer.status_code >= 400 and isinstance(item.message, JSONRPCRequest):
                refusal = JSONRPCError.model_validate(answer.json())
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
            raise Fault(f"it answers HTTP {source.response.status_code} to an SSE client", sent=False)
        events = aiter(source)
        where = urljoin(url, (await anext(events)).data)
        if urlsplit(where).netloc != urlsplit(url).netloc:
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
