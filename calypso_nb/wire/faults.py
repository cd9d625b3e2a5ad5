"""The only place that translates foreign errors: each becomes a `Fault`, the request sent or not sent."""

import os
import ssl
from collections.abc import Iterator

import anyio
import httpx2
from mcp import MCPError
from mcp_types import INVALID_PARAMS, PARSE_ERROR
from pydantic import ValidationError

from calypso_nb.visible import visible

# Codes of our own for what happened below MCP, in the range that JSON-RPC leaves to implementations.
NOT_SENT = -32081
SENT = -32082

_NOT_CONNECTED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_FOREIGN = (
    MCPError,
    ValidationError,  # The SDK's, for what is not MCP.
    httpx2.HTTPError,
    httpx2.InvalidURL,
    OSError,
    RuntimeError,  # The SDK's, for a protocol version or a structured content that it doesn't take.
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
)
_WORDS = {
    httpx2.ConnectTimeout: "no connection in time",
    httpx2.ReadTimeout: "no answer in time",
    httpx2.WriteTimeout: "the request could not be sent in time",
    TimeoutError: "no answer in time",
}


class Fault(Exception):
    """What went wrong on the way to the server.

    - sent: False if the server certainly did not do what was asked
    - transient: whether the same call may well succeed a moment later
    - refused: the server did answer, and the reason is its own words
    """

    def __init__(self, reason: str, *, sent: bool, transient: bool = True, refused: bool = False) -> None:
        super().__init__(reason)
        self.sent = sent
        self.transient = transient
        self.refused = refused


def fault_of(error: BaseException, *, sent: bool = True) -> Fault:
    """Return what an error of the SDK, of HTTP or of the network means for the call that it ended.

    - sent: whether the request may have been sent, as far as the caller knows

    Raise the error itself if it is not one of those: then it is a bug of ours.
    """
    leaves = list(_leaves(error))
    if not all(isinstance(leaf, (Fault, *_FOREIGN)) for leaf in leaves):
        raise error
    for kinds in (Fault, _NOT_CONNECTED, BaseException):
        leaf = next((leaf for leaf in leaves if isinstance(leaf, kinds)), None)
        if leaf is not None:
            return _translated(leaf, sent)
    raise error


def _translated(error: BaseException, sent: bool) -> Fault:
    if isinstance(error, Fault):
        error.sent = error.sent and sent
        return error
    if isinstance(error, _NOT_CONNECTED):
        return Fault(_words(error), sent=False)
    if isinstance(error, MCPError):
        error.error.message = visible(error.error.message)  # A traceback shows it below our own error.
    if isinstance(error, MCPError) and error.error.code != PARSE_ERROR:
        code, message = error.error.code, error.error.message
        return Fault(message, sent=sent and code != NOT_SENT, refused=code == INVALID_PARAMS)
    if isinstance(error, MCPError | ValidationError):
        return Fault("not a TinyTask server: its response is not MCP", sent=sent, transient=False)
    return Fault(_words(error), sent=sent)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _words(error: BaseException) -> str:
    return _WORDS.get(type(error)) or _cause(error) or str(error) or type(error).__name__


def _cause(error: BaseException | None) -> str | None:
    """Return what the system said below a library's own words: `connection refused`, `name not known`."""
    while error is not None:
        if isinstance(error, ssl.SSLError):  # Its number is not one of the system's.
            said = getattr(error, "verify_message", None) or error.reason or str(error)
            return f"TLS: {said.lower().replace('_', ' ')}"
        if isinstance(error, OSError) and error.errno is not None:
            # asyncio writes its own words into strerror; the numbers of the resolver are below 0.
            return (os.strerror(error.errno) if error.errno > 0 else str(error.strerror)).lower()
        error = error.__cause__ or error.__context__
    return None
