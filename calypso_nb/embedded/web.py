"""TinyTask over HTTP: `/mcp` on either transport, `/health`, and the reading half of the REST twin."""

import asyncio
import errno
import http.client
import ipaddress
import socket
import sqlite3
import threading
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
)
from functools import partial
from hashlib import sha1
from typing import Any, Literal
from urllib.parse import urlsplit

import mcp_types as types
import orjson
import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.runner import serve_loop
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from calypso_nb.embedded.database import StoreError
from calypso_nb.embedded.push import Pusher
from calypso_nb.embedded.server import SCHEMAS, create_server
from calypso_nb.embedded.store import TinytaskStore
from calypso_nb.embedded.validation import check_arguments

Transport = Literal["http", "sse"]

_MAX_BODY_BYTES = 100 * 1024  # As Express reads no more.
# How many responses are made and sent at once, and how long one may wait for a client that doesn't read.
_AT_ONCE = 4
_AT_ANY_TIME = (("GET", "/mcp"), ("GET", "/health"))
PATIENCE_SECONDS = 5.0
_SLICE_BYTES = 256 * 1024
_START_SECONDS = 10.0
_STOP_SECONDS = 10.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def create_app(
    store: TinytaskStore,
    transport: Transport = "http",
    host: str = "127.0.0.1",
    allowed_hosts: Collection[str] = (),
    hub: str | None = None,
    group: str | None = None,
) -> Starlette:
    """Return a web application that responds as a TinyTask v2 does.

    - store: the tasks to serve.
    - transport: "http" for streamable HTTP, "sse" for MCP's older transport.
    - host: the address that it will be bound to. Requests that name another host than that, this machine or,
      if it is open to the network, any IP address are refused (421), and so are pages of other sites (403).
    - allowed_hosts: other names of this server, without ports; "*" allows all hosts and pages.
    - hub: the URL of a SignalR hub to push every change to, as TinyTask does.
    - group: the hub's group to push to; by default to all.
    """
    running: list[Callable[[], AbstractAsyncContextManager[None]]] = []
    pushed = None
    if hub is not None:
        pusher = Pusher(hub, group)
        running, pushed = [pusher.running], pusher.push
    server = create_server(store, pushed)
    if transport == "http":
        # TinyTask knows the initialize handshake only; clients of the newer protocol fall back to it.
        server.add_request_handler("server/discover", types.RequestParams, _refuse_discover)
        manager = StreamableHTTPSessionManager(server, stateless=True)
        endpoint: ASGIApp = StreamableHTTPASGIApp(manager)
        running.append(manager.run)
        health = {"status": "healthy", "transport": "streamable-http"}
    else:
        endpoint, health = SseEndpoint(server), {"status": "healthy"}

    routes = [Route("/mcp", endpoint), Route("/health", _json(health)), _rest(store)]
    hosts = [*LOOPBACK, *allowed_hosts] + ([] if host in LOOPBACK else [host, socket.gethostname()])
    middleware = [Middleware(_Guard, hosts, host not in LOOPBACK), Middleware(_Limits)]
    return Starlette(routes=routes, lifespan=partial(_running, running), middleware=middleware)


def serve(
    store: TinytaskStore,
    host: str = "127.0.0.1",
    port: int = 3000,
    transport: Transport = "http",
    on_ready: Callable[[str], object] = lambda url: None,
    allowed_hosts: Collection[str] = (),
    hub: str | None = None,
    group: str | None = None,
) -> None:
    """Serve a store until the process is interrupted; raise OSError if the port is not available.

    - host, port: the address to bind to; port 0 takes a free one.
    - transport: "http" for streamable HTTP, "sse" for MCP's older transport.
    - on_ready: called with the base URL once connections are accepted.
    - allowed_hosts: further names under which clients may reach it, "*" for any.
    - hub, group: the URL of a SignalR hub to push every change to, and the group there.
    """
    listener = _listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    on_ready(f"http://{shown}:{listener.getsockname()[1]}")
    _run(_uvicorn(create_app(store, transport, host, allowed_hosts, hub, group)), listener)


def running_server(
    store: TinytaskStore,
    transport: Transport = "http",
    port: int = 0,
    *,
    hub: str | None = None,
    group: str | None = None,
) -> AbstractContextManager[str]:
    """Serve a store from a background thread, and give the base URL once it responds.

    Leaving the block stops the server and cuts streams that are still open.

    - transport: "http" for streamable HTTP, "sse" for MCP's older transport.
    - port: the port on this machine; 0 takes a free one.
    - hub, group: the URL of a SignalR hub to push every change to, and the group there.

    Example: `with running_server(TinytaskStore()) as url: TinytaskClient(url).list_tasks()`
    """
    return running_app(create_app(store, transport, hub=hub, group=group), port)


@contextmanager
def running_app(app: Starlette, port: int = 0) -> Iterator[str]:
    """Do what `running_server` does, for any application that responds to `GET /health`."""
    listener = _listen("127.0.0.1", port)
    port = listener.getsockname()[1]
    server = _uvicorn(app)
    thread = threading.Thread(target=_run, args=(server, listener), name="tinytask-server", daemon=True)
    thread.start()
    try:
        _wait_for_health(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(_STOP_SECONDS)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as cause:
        if isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE:
            raise OSError(cause.errno, f"port {port} on {host} is already in use") from cause
        raise OSError(f"cannot listen on port {port} of {host}: {cause}") from cause
    # asyncio sets this only on sockets made with an explicit protocol; without it each response takes 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _uvicorn(app: Starlette) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",
        access_log=False,
        # An SSE stream never ends by itself, so waiting for it would only delay the end.
        timeout_graceful_shutdown=0,
    )
    return uvicorn.Server(config)


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    # Not Server.run(): it fails on Python 3.12 and later once nest-asyncio has patched asyncio.run.
    with listener, asyncio.Runner() as runner:
        runner.run(server.serve(sockets=[listener]))


def _wait_for_health(port: int) -> None:
    # The port listens already, so the request waits in its queue until the server takes it.
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_START_SECONDS)) as connection:
        connection.request("GET", "/health")
        connection.getresponse().read()


@asynccontextmanager
async def _running(
    parts: list[Callable[[], AbstractAsyncContextManager[None]]], _: Starlette
) -> AsyncIterator[None]:
    async with AsyncExitStack() as together:
        for part in parts:
            await together.enter_async_context(part())
        yield


async def _refuse_discover(_: ServerRequestContext[Any], __: types.RequestParams) -> types.DiscoverResult:
    raise MCPError(types.METHOD_NOT_FOUND, "Method not found")


class SseEndpoint:
    """MCP's older transport: GET opens a session's stream, POST with the session's id sends to it."""

    def __init__(self, server: Server[Any]) -> None:
        self._server = server
        self._transport = SseServerTransport("/mcp")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "GET":
            async with self._transport.connect_sse(scope, receive, send) as (incoming, outgoing):
                await serve_loop(self._server, incoming, outgoing, lifespan_state={})
        elif "session_id" in Request(scope).query_params:
            await self._transport.handle_post_message(scope, receive, send)
        else:
            await _json({"error": "Missing session ID"}, 400)(scope, receive, send)


class _Guard:
    """Serve only requests that name this server by one of its hosts, and no page of another site.

    - hosts: the names that it has; "*" stands for any.
    - numeric: whether it has any IP address too: a page that has its own name lead here has none.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], numeric: bool) -> None:
        self._app, self._hosts, self._numeric = app, {host.lower() for host in hosts}, numeric

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and "*" not in self._hosts:
            headers = Headers(scope=scope)
            host, origin = _hostname("//" + headers.get("host", "")), headers.get("origin")
            if host not in self._hosts and not (self._numeric and _is_address(host)):
                app = _json({"error": f"Host {host!r} is not allowed"}, 421)
            elif origin is not None and _hostname(origin) not in {host, *self._hosts}:
                app = _json({"error": f"Origin {origin!r} is not allowed"}, 403)
        await app(scope, receive, send)


class _Limits:
    """Refuse large requests as TinyTask does, and bound the memory that large responses take.

    Few responses are made at once, and each is sent no faster than it is read.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        messages: list[Message] = []
        size = 0
        while not messages or messages[-1].get("more_body"):
            messages.append(await receive())
            size += len(messages[-1].get("body", b""))
            if size > _MAX_BODY_BYTES:
                return await _json({"error": "request entity too large"}, 500)(scope, receive, send)

        async def receive_again() -> Message:
            return messages.pop(0) if messages else await receive()

        with ExitStack() as turn:
            if (scope["method"], scope["path"]) not in _AT_ANY_TIME:
                await self._free.acquire()
                turn.callback(self._free.release)

            async def send_in_slices(message: Message) -> None:
                rest = memoryview(message.get("body", b""))
                while rest:
                    # A client that stops reading must not keep the others waiting for ever.
                    late = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, turn.close)
                    part, rest = rest[:_SLICE_BYTES], rest[_SLICE_BYTES:]
                    await send({"type": message["type"], "body": part, "more_body": True})
                    late.cancel()
                    await asyncio.sleep(0)  # For the loop to notice a client that went away.
                await send({**message, "body": b""})

            await self._app(scope, receive_again, send_in_slices)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    return True


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json; charset=utf-8")


def _rest(store: TinytaskStore) -> Mount:
    """Return the reading half of the REST twin, for any page that the guard lets through."""

    async def read(request: Request) -> Response:
        tool = "get_task" if request.path_params else "list_tasks"
        accepted, issues = check_arguments(SCHEMAS[tool], _arguments(tool, request), strict=False)
        if issues:
            # Of one status or several, several is what a query gives.
            (issue, *_) = issues[0]["unionErrors"][-1]["issues"] if "unionErrors" in issues[0] else issues
            return _json({"error": f"{issue['path'][0]}: {issue['message']}"}, 400)
        try:
            value = getattr(store, tool)(**accepted)
        except StoreError:
            return _json({"error": f"Task {accepted['id']} not found"}, 404)
        except (sqlite3.Error, OverflowError) as error:  # Half a task as a limit, say.
            return _json({"error": str(error)}, 500)
        response = _json(value)
        digest = b64encode(sha1(response.body, usedforsecurity=False).digest()).decode()[:27]
        tag = f'W/"{len(response.body):x}-{digest}"'  # Express makes it so.
        known = {one.strip() for one in request.headers.get("if-none-match", "").split(",")}
        if known & {tag, "*"}:
            response = Response(status_code=304)
        response.headers["etag"] = tag
        return response

    cors = Middleware(CORSMiddleware, allow_origins=["*"], allow_headers=["*"])
    return Mount("/api/v1", routes=[Route("/tasks", read), Route("/tasks/{id}", read)], middleware=[cors])


def _arguments(tool: str, request: Request) -> dict[str, Any]:
    """Return a tool's arguments from a path and a query, in which empty ones are left out."""
    arguments: dict[str, Any] = {}
    for name, schema in SCHEMAS[tool]["properties"].items():
        if text := request.path_params.get(name) or request.query_params.get(name):
            several = schema.get("type", "array") == "array"
            arguments[name] = text.split(",") if several else text
            if schema.get("type") == "boolean":
                arguments[name] = {"true": True, "1": True, "false": False, "0": False}.get(text, text)
    return arguments
