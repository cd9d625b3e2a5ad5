"""The only place that translates foreign errors: each becomes a `Fault`, the request sent or not sent."""

import os
import ssl
from collections.abc import Iterator

import aiohttp
import anyio

from calypso_nb.visible import visible

# A message of our own for what happened below MCP; the `Fault` itself goes with it, which no server can send.
BELOW_MCP = -32081

_NOT_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)
_WORDS = {
    aiohttp.ConnectionTimeoutError: "no connection in time",
    aiohttp.ServerDisconnectedError: "the connection was closed without a response",
    aiohttp.ClientPayloadError: "the response broke off",
    TimeoutError: "no answer in time",
}


class Fault(Exception):
    """What went wrong on the way to the server.

    - sent: False if the server certainly did not do what was asked
    - transient: whether the same call may well succeed a moment later
    - refused: the server did answer, and the reason is its own words
    - answered: something did answer, so there is no point in starting a server there
    - wait: for how many seconds it asks not to be asked again
    """

    def __init__(
        self,
        reason: str,
        *,
        sent: bool,
        transient: bool = True,
        refused: bool = False,
        answered: bool = False,
        wait: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.sent = sent
        self.transient = transient
        self.refused = refused
        self.answered = answered
        self.wait = wait


def fault_of(error: BaseException, *, sent: bool = True) -> Fault:
    """Return what an error of the SDK, of HTTP or of the network means for the call that it ended.

    - sent: whether the request may have been sent, as far as the caller knows

    Raise the error itself if it is not one of those: then it is a bug of ours.
    """
    # A report by HTTP alone need not load MCP, which takes 0.6 s.
    from mcp import MCPError
    from pydantic import ValidationError

    foreign = (
        Fault,
        MCPError,
        ValidationError,  # The SDK's, for what is not MCP.
        aiohttp.ClientError,
        OSError,
        RuntimeError,  # The SDK's, for a protocol version or a structured content that it doesn't take.
        anyio.BrokenResourceError,
        anyio.ClosedResourceError,
        anyio.EndOfStream,
    )
    leaves = list(_leaves(error))
    if not all(isinstance(leaf, foreign) for leaf in leaves):
        raise error
    ranks = (Fault, _NOT_CONNECTED, BaseException)  # What says most comes first.
    leaf = next(leaf for kinds in ranks for leaf in leaves if isinstance(leaf, kinds))
    if isinstance(leaf, MCPError):
        leaf.error.message = visible(leaf.error.message)  # A traceback shows it below our own error.
        return _of_mcp(leaf.error.code, leaf.error.message, leaf.error.data, sent)
    if isinstance(leaf, ValidationError):
        return Fault("not a TinyTask server: its response is not MCP", sent=sent, transient=False)
    if isinstance(leaf, Fault):
        leaf.sent = leaf.sent and sent
        return leaf
    answered = isinstance(leaf, aiohttp.ClientPayloadError)
    return Fault(_words(leaf), sent=sent and not isinstance(leaf, _NOT_CONNECTED), answered=answered)


def _of_mcp(code: int, message: str, data: object, sent: bool) -> Fault:
    from mcp_types import INVALID_PARAMS, PARSE_ERROR

    if isinstance(data, Fault):
        data.sent = data.sent and sent
        return data
    if code == PARSE_ERROR:
        return Fault("not a TinyTask server: its response is not MCP", sent=sent, transient=False)
    return Fault(message, sent=sent, refused=code == INVALID_PARAMS)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _words(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientHttpProxyError):  # Its own words show the password of the proxy.
        return f"the proxy refuses to connect (HTTP {error.status})"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return f"the proxy {error.host}:{error.port} can't be reached: {_cause(error)}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        # It may be the proxy's name, and not the server's.
        return f"{error.host}: {_cause(error)}"
    return _WORDS.get(type(error)) or _cause(error) or str(error) or type(error).__name__


def _cause(error: BaseException | None) -> str | None:
    """Return what the system said below a library's own words: `connection refused`, `name not known`."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        error = error.certificate_error
    elif isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    while error is not None:
        if isinstance(error, ssl.SSLError):  # Its number is not one of the system's.
            said = getattr(error, "verify_message", None) or error.reason or str(error)
            return f"TLS: {said.lower().replace('_', ' ')}"
        if isinstance(error, OSError) and error.errno is not None:
            # asyncio writes its own words into strerror; the numbers of the resolver are below 0.
            return (os.strerror(error.errno) if error.errno > 0 else str(error.strerror)).lower()
        error = error.__cause__ or error.__context__
    return None
