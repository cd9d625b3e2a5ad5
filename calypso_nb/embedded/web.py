"""TinyTask over HTTP: `/mcp` on either transport, `/health`, and the reading half of the REST twin."""

import asyncio
import errno
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, closing, contextmanager
from functools import partial
from typing import Any, Literal

import mcp_types as types
import orjson
import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.runner import serve_loop
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from mcp.shared.exceptions import MCPError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from calypso_nb.embedded.database import StoreError
from calypso_nb.embedded.server import create_server
from calypso_nb.embedded.store import TaskFilters, TinytaskStore

Transport = Literal["http", "sse"]

_MAX_BODY_BYTES = 256 * 1024 * 1024
_START_SECONDS = 10.0
_STOP_SECONDS = 10.0
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def create_app(store: TinytaskStore, transport: Transport = "http", host: str = "127.0.0.1") -> Starlette:
    """Return a web application that responds as a TinyTask v2 does.

    - store: the tasks to serve.
    - transport: "http" for streamable HTTP, "sse" for MCP's older transport.
    - host: the address that it will be bound to. On a loopback address, requests that name another host
      or come from a page of another origin are refused (421, 403) on every route.
    """
    server = create_server(store)
    if transport == "http":
        # TinyTask knows the initialize handshake only; clients of the newer protocol fall back to it.
        server.add_request_handler("server/discover", types.RequestParams, _refuse_discover)
        manager = StreamableHTTPSessionManager(server, stateless=True, max_request_body_size=_MAX_BODY_BYTES)
        endpoint: ASGIApp = StreamableHTTPASGIApp(manager)
        lifespan: Lifespan[Starlette] | None = partial(_running, manager)
        health = {"status": "healthy", "transport": "streamable-http"}
    else:
        endpoint, lifespan, health = SseEndpoint(server), None, {"status": "healthy"}

    async def show_health(_: Request) -> Response:
        return _json(health)

    async def list_tasks(request: Request) -> Response:
        try:
            return _json(store.list_tasks(**_filters(request)))
        except (ValueError, OverflowError) as refusal:
            return _json({"error": str(refusal)}, 400)

    async def get_task(request: Request) -> Response:
        task_id = request.path_params["id"]
        try:
            return _json(store.get_task(task_id))
        except (StoreError, OverflowError):
            return _json({"error": f"Task {task_id} not found"}, 404)

    routes = [
        Route("/mcp", endpoint),
        Route("/health", show_health),
        Route("/api/v1/tasks", list_tasks),
        Route("/api/v1/tasks/{id:int}", get_task),
    ]
    middleware = []
    if host in ("::1", *_LOOPBACK):
        middleware.append(Middleware(_LoopbackOnly))
    return Starlette(routes=routes, lifespan=lifespan, middleware=middleware)


def serve(
    store: TinytaskStore,
    host: str = "127.0.0.1",
    port: int = 3000,
    transport: Transport = "http",
    on_ready: Callable[[str], object] = lambda url: None,
) -> None:
    """Serve a store until the process is interrupted; raise OSError if the port is not available.

    - host, port: the address to bind to; port 0 takes a free one.
    - transport: "http" for streamable HTTP, "sse" for MCP's older transport.
    - on_ready: called with the base URL once connections are accepted.
    """
    listener = _listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    on_ready(f"http://{shown}:{listener.getsockname()[1]}")
    _run(_uvicorn(create_app(store, transport, host)), listener)


def running_server(
    store: TinytaskStore, transport: Transport = "http", port: int = 0
) -> AbstractContextManager[str]:
    """Serve a store from a background thread, and give the base URL once it responds.

    Leaving the block stops the server and cuts streams that are still open.

    - transport: "http" for streamable HTTP, "sse" for MCP's older transport.
    - port: the port on this machine; 0 takes a free one.

    Example: `with running_server(TinytaskStore()) as url: TinytaskClient(url).list_tasks()`
    """
    return running_app(create_app(store, transport), port)


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


def _running(manager: StreamableHTTPSessionManager, _: Starlette) -> AbstractAsyncContextManager[None]:
    return manager.run()


async def _refuse_discover(_: ServerRequestContext[Any], __: types.RequestParams) -> types.DiscoverResult:
    raise MCPError(types.METHOD_NOT_FOUND, "Method not found")


class SseEndpoint:
    """MCP's older transport: GET opens a session's stream, POST with the session's id sends to it."""

    def __init__(self, server: Server[Any]) -> None:
        self._server = server
        self._transport = SseServerTransport("/mcp", max_request_body_size=_MAX_BODY_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "GET":
            async with self._transport.connect_sse(scope, receive, send) as (incoming, outgoing):
                await serve_loop(self._server, incoming, outgoing, lifespan_state={})
        elif "session_id" in Request(scope).query_params:
            await self._transport.handle_post_message(scope, receive, send)
        else:
            await _json({"error": "Missing session ID"}, 400)(scope, receive, send)


class _LoopbackOnly:
    """Keep the web's pages out of a server on this machine, by the SDK's own rules, on every route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        hosts = [host + port for host in _LOOPBACK for port in ("", ":*")]
        origins = [f"http://{host}" for host in hosts]
        self._rules = TransportSecurityMiddleware(
            TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = await self._rules.validate_request(Request(scope)) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


def _filters(request: Request) -> TaskFilters:
    query = request.query_params
    filters: TaskFilters = {"include_archived": query.get("include_archived") in ("true", "1")}
    if status := query.get("status"):
        filters["status"] = status.split(",")
    if assigned_to := query.get("assigned_to"):
        filters["assigned_to"] = assigned_to
    if queue_name := query.get("queue_name"):
        filters["queue_name"] = queue_name
    filters["limit"] = int(query.get("limit", 0))
    filters["offset"] = int(query.get("offset", 0))
    return filters
