"""A gateway before a TinyTask: it lets requests through, answers as it likes, drips, and is a proxy too."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

_HOP = {"connection", "transfer-encoding", "content-encoding", "content-length", "host", "date", "server"}


@dataclass
class Rule:
    """What the gateway does with requests in whose line or body the words are, so many times."""

    words: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    through: bool = True  # Whether the server gets the request before.
    times: int = 1_000_000
    drip: bool = False  # Send the body, a space at a time, without an end.


class Gateway:
    """Rules that can be changed at any time, and what has been asked: `METHOD path`."""

    def __init__(self, target: str, prefix: str = "") -> None:
        self.target = target
        self.prefix = prefix
        self.url = ""
        self.rules: list[Rule] = []
        self.seen: list[str] = []
        self.date: str | None = None  # What it says instead of the server's time.

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        body = await request.read()
        line = f"{request.method} {request.path_qs}"
        self.seen.append(line)
        if not request.path.startswith(f"{self.prefix}/"):
            return web.Response(status=404)
        rule = next(
            (rule for rule in self.rules if rule.times and rule.words in f"{line}\n{body.decode('latin-1')}"),
            None,
        )
        if rule is None:
            return await self._forward(request, body)
        rule.times -= 1
        if rule.through:
            await self._forward(request, body, answer=False)
        if rule.drip:
            response = web.StreamResponse(status=rule.status, headers=rule.headers)
            await response.prepare(request)
            while True:
                await response.write(b" ")
                await asyncio.sleep(0.05)
        return web.Response(status=rule.status, headers=rule.headers, text=rule.body)

    async def _forward(self, request: web.Request, body: bytes, answer: bool = True) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        address = self.target + request.path_qs.removeprefix(self.prefix)
        async with (
            aiohttp.ClientSession(auto_decompress=False) as http,
            http.request(request.method, address, headers=headers, data=body, allow_redirects=False) as reply,
        ):
            if not answer:
                await reply.read()
                return web.Response()
            passed = {name: value for name, value in reply.headers.items() if name.lower() not in _HOP}
            dated = {"Date": self.date} if self.date else {}
            response = web.StreamResponse(status=reply.status, headers=passed | dated)
            await response.prepare(request)
            with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                async for chunk in reply.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
            return response


@contextmanager
def gateway(
    target: str, prefix: str = "", tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> Iterator[Gateway]:
    """A gateway in front of `target`, its `url` with the prefix, for the time of the block."""
    one = Gateway(target, prefix)

    async def start() -> Callable[[], object]:
        runner = web.ServerRunner(web.Server(one.handle, handler_cancellation=True), shutdown_timeout=0)
        await runner.setup()
        site = web.TCPSite(runner, host, 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        shown = f"[{host}]" if ":" in host else host
        one.url = f"{'https' if tls else 'http'}://{shown}:{port}{prefix}"
        return runner.cleanup

    with _loop() as run:
        cleanup = run(start())
        try:
            yield one
        finally:
            with contextlib.suppress(TimeoutError):  # What hangs on is cut off with the loop.
                run(asyncio.wait_for(cleanup(), 5))


@contextmanager
def tunnel() -> Iterator[tuple[str, list[str]]]:
    """A proxy that only knows CONNECT: its address, and where it has been asked to connect to."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, where = head.split()[:2]
        asked.append(f"{method} {where}")
        there = urlsplit(f"//{where}")
        back, forth = await asyncio.open_connection(there.hostname, there.port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_pump(reader, forth), _pump(back, writer))

    with _loop() as run:
        server = run(asyncio.start_server(serve, "127.0.0.1", 0))
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
        finally:
            server.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()


@contextmanager
def _loop() -> Iterator[Callable[..., object]]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(_end_tasks(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _end_tasks() -> None:
    """Cut off what is still open, so that nobody waits for it."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=5)
