"""MCP over the standard input and output of a process that this one starts and ends."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from subprocess import DEVNULL
from typing import Any

import anyio
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from calypso_nb.wire.faults import Fault

__all__ = ["stdio_transport"]

# How long a process may take to end after its input has, and after it has been asked to.
GRACE_SECONDS = 1.0

_GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


@asynccontextmanager
async def stdio_transport(
    command: tuple[str, ...], lost: Callable[[Fault | None], None]
) -> AsyncIterator[tuple[MemoryObjectReceiveStream[Any], MemoryObjectSendStream[SessionMessage]]]:
    """Start a command, give the streams to talk MCP with it, and end it with all that it has started.

    `lost` is called when it ends by itself or turns out to be no MCP server. Its standard error is dropped.
    Raises Fault where it cannot be started. Unlike the SDK's own it tells at once what is no MCP server, and
    leaves no process behind when the interpreter ends.

    Example: `Client(stdio_transport(("tinytask", "--stdio"), lost))`
    """
    try:
        process = await anyio.open_process(command, stderr=DEVNULL, start_new_session=True)
    except OSError as error:
        reason = f"the command cannot be started ({error.strerror})"
        raise Fault(reason, sent=False, transient=False) from error
    try:
        async with _streams(process, lost) as streams:
            yield streams
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)


@asynccontextmanager
async def _streams(
    process: Process, lost: Callable[[Fault | None], None]
) -> AsyncIterator[tuple[MemoryObjectReceiveStream[Any], MemoryObjectSendStream[SessionMessage]]]:
    to_session, from_server = anyio.create_memory_object_stream[Any](0)
    to_server, from_session = anyio.create_memory_object_stream[SessionMessage](0)
    source, sink = process.stdout, process.stdin
    assert source is not None
    assert sink is not None

    async def receive() -> None:
        heard, why = False, "the command ended at once: run it in a terminal to see what it says"
        async for line in _lines(source):
            try:
                message = jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError:
                if heard:
                    continue  # Something in the server prints where it must not.
                why = "what the command prints is not MCP"
                break
            heard = True
            await to_session.send(SessionMessage(message))
        lost(None if heard else Fault(why, sent=False, transient=False))
        to_session.close()

    async def send() -> None:
        with suppress(*_GONE):
            async for item in from_session:
                text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                await sink.send(text.encode() + b"\n")
        to_session.close()

    async with anyio.create_task_group() as tasks, to_session, from_server, to_server, from_session:
        tasks.start_soon(receive)
        tasks.start_soon(send)
        yield from_server, to_server
        tasks.cancel_scope.cancel()


async def _lines(source: ByteReceiveStream) -> AsyncIterator[bytes]:
    parts: list[bytes] = []
    with suppress(*_GONE):
        async for chunk in source:
            *ended, rest = chunk.split(b"\n")
            for line in ended:
                yield b"".join([*parts, line])
                parts.clear()
            parts.append(rest)


async def _end(process: Process) -> None:
    """Close the process's input, wait, ask it to end, wait, and make it; it has ended afterwards."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with suppress(*_GONE):
            await process.stdin.aclose()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_drain, process.stdout)  # A full pipe would keep it from ending.
            await _ended(process)
            tasks.cancel_scope.cancel()
    finally:
        # Where this is cancelled as well, at the end of the interpreter, there is no time to wait.
        if process.returncode is None:
            _signal(process, signal.SIGKILL)


async def _ended(process: Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with anyio.move_on_after(GRACE_SECONDS):
            await process.wait()
            return
        _signal(process, number)
    with anyio.move_on_after(GRACE_SECONDS):
        await process.wait()


async def _drain(source: ByteReceiveStream) -> None:
    async for _ in _lines(source):
        pass


def _signal(process: Process, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)
        else:
            process.kill()
