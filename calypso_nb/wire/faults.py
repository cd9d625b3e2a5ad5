"""Every foreign error on the way to a TinyTask, told as one `Fault`."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator

import httpx2
from mcp import MCPError
from mcp_types import INVALID_PARAMS, PARSE_ERROR
from pydantic import ValidationError

__all__ = ["NOT_CONNECTED", "NOT_DONE", "NO_ANSWER", "Fault", "fault_of", "words"]

# Codes of our own for what happened below MCP, in the range that JSON-RPC leaves to implementations.
NOT_DONE = -32081
NO_ANSWER = -32082

NOT_CONNECTED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


class Fault(Exception):
    """What went wrong on the way to the server: `sent` is False where it certainly did not do what was asked.

    `transient` says whether the same call may well succeed a moment later. `no` holds the server's own words
    where it did answer, and refused.
    """

    def __init__(self, reason: str, *, sent: bool, transient: bool = True, no: bool = False) -> None:
        super().__init__(reason)
        self.sent = sent
        self.transient = transient
        self.no = no


def fault_of(error: BaseException) -> Fault:
    """Say what an error of the SDK, of HTTP or of the network means for the call it ended.

    Example: `fault_of(httpx2.ConnectError("refused")).sent` is False
    """
    leaves = list(_leaves(error))
    for leaf in leaves:
        if isinstance(leaf, Fault):
            return leaf
    for leaf in leaves:
        if isinstance(leaf, NOT_CONNECTED):
            return Fault(words(leaf), sent=False)
    leaf = leaves[0]
    if isinstance(leaf, MCPError) and leaf.error.code != PARSE_ERROR:
        code = leaf.error.code
        return Fault(leaf.error.message, sent=code != NOT_DONE, no=code == INVALID_PARAMS)
    if isinstance(leaf, MCPError | ValidationError):
        return Fault("its answer is not one of TinyTask's", sent=True, transient=False)
    return Fault(words(leaf), sent=True)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def words(error: BaseException) -> str:
    """What an error means in the words of a report.

    Example: `words(TimeoutError())` is `"no answer in time"`
    """
    kind = {
        httpx2.ConnectTimeout: "no connection in time",
        httpx2.ReadTimeout: "no answer in time",
        httpx2.WriteTimeout: "the request could not be sent in time",
        TimeoutError: "no answer in time",
        StopAsyncIteration: "it hangs up at once",
    }.get(type(error))
    return kind or _cause(error) or str(error) or type(error).__name__


def _cause(error: BaseException | None) -> str | None:
    """What the system said below a library's own words: `connection refused`, `name or service not known`."""
    while error is not None:
        if isinstance(error, ssl.SSLError):  # Its number is not one of the system's.
            said = getattr(error, "verify_message", None) or error.reason or str(error)
            return f"TLS: {said.lower().replace('_', ' ')}"
        if isinstance(error, OSError) and error.errno is not None:
            # asyncio writes its own words into strerror; the numbers of the resolver are below 0.
            return (os.strerror(error.errno) if error.errno > 0 else str(error.strerror)).lower()
        error = error.__cause__ or error.__context__
    return None
