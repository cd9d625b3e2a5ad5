"""HTTP to one server: the session of its requests and what a refusal by HTTP means."""

import os
import ssl
import time
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp  # 1,700 tasks per second with 8 in flight; httpx2, which MCP's SDK uses, 720.

from calypso_nb.settings import Endpoint, Settings
from calypso_nb.wire.clock import ServerClock, header_time
from calypso_nb.wire.faults import Fault

# What TinyTask takes at most: the limit of Express for a body of JSON.
BODY_BYTES = 100 * 1024
# Shorter than the 5 s of Node, so that a write is rarely sent to a connection that is just being closed.
_KEPT_ALIVE_SECONDS = 3.0


def http_session(endpoint: Endpoint, settings: Settings, clock: ServerClock) -> aiohttp.ClientSession:
    """Return a session for requests to a server, by the proxy and the certificates of the environment.

    Only connecting has a time limit; whoever asks bounds the rest. Raise Fault if a certificate file or a
    proxy that the environment names can't be used.
    """
    proxy, certificates = route_to(endpoint.mcp)
    trace = aiohttp.TraceConfig()

    async def begin(_: object, context: SimpleNamespace, __: object) -> None:
        context.asked = time.monotonic()

    async def end(_: object, context: SimpleNamespace, done: aiohttp.TraceRequestEndParams) -> None:
        if "Age" not in done.response.headers:  # Out of a cache, `Date` is of long ago.
            clock.heard(done.response.headers.get("Date"), time.monotonic() - context.asked)

    trace.on_request_start.append(begin)
    trace.on_request_end.append(end)
    return aiohttp.ClientSession(
        headers=settings.secret_headers(endpoint),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_timeout),
        connector=aiohttp.TCPConnector(ssl=certificates, keepalive_timeout=_KEPT_ALIVE_SECONDS),
        # Not aiohttp's own `trust_env`: with it a password from ~/.netrc would replace our token.
        proxy=proxy,
        trace_configs=[trace],
    )


def route_to(url: str) -> tuple[str | None, bool | ssl.SSLContext]:
    """Return by which proxy of the environment to reach an address, None for none, and what to trust there.

    Raise Fault if a certificate file or a proxy that the environment names can't be used.
    """
    parts = urlsplit(url)
    # NO_PROXY has an address of IPv6 with brackets or without.
    past = proxy_bypass(parts.netloc) or proxy_bypass(parts.hostname or "")
    proxy = None if past else getproxies().get(parts.scheme)
    if proxy is not None and "://" not in proxy:
        proxy = f"http://{proxy}"
    if proxy is not None and not Endpoint(proxy).is_url:
        named = f"the proxy of {parts.scheme.upper()}_PROXY"
        raise _unusable(named, "its address must be like http://host:port")
    certificates = _certificates(*map(os.environ.get, _CERTIFICATES)) if parts.scheme == "https" else True
    return proxy, certificates


_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@cache
def _certificates(file: str | None, folder: str | None) -> ssl.SSLContext:
    for name, place in zip(_CERTIFICATES, (file, folder), strict=True):
        # OpenSSL takes several directories, with a colon between.
        if place and not any(Path(one).exists() for one in (place, *place.split(os.pathsep))):
            raise _unusable(f"{name}={place}", "there is nothing there")
    from httpx2 import create_ssl_context  # It finds the certificates of each system, and takes 40 ms.

    try:
        context = create_ssl_context()
        if folder:  # It leaves this one out if there is a file too.
            context.load_verify_locations(capath=folder)
        return context
    except (OSError, ssl.SSLError) as error:
        raise _unusable(f"the certificates in {file or folder or 'the system'}", str(error)) from error


def _unusable(what: str, why: str) -> Fault:
    return Fault(f"{what} can't be used: {why}", sent=False, transient=False)


def refusal(response: aiohttp.ClientResponse, size: int) -> Fault:
    """Return what a response by HTTP that is no result means for a request of `size` bytes.

    Whether the server did what was asked is unknown: a gateway may have let the request through. Only a body
    that TinyTask itself takes from nobody was certainly refused.
    """
    status, headers = response.status, response.headers
    code = f"HTTP {status}"
    wait = asked_wait(response)
    too_large = size > BODY_BYTES and status in (413, 500)
    transient = False
    if too_large:
        reason = f"the request is too large: {size / 1024:,.0f} kB, and TinyTask takes 100 kB ({code})"
    elif status == 413:
        reason = f"the request of {size / 1024:,.1f} kB is too large for the gateway before it ({code})"
    elif status in (401, 403):
        # In a header of one's own they may have been sent, and refused, all the same.
        sent = "Authorization" in response.request_info.headers
        how = "refused" if sent else "missing or refused"
        reason = f"credentials {how} ({code}): set TINYTASK_TOKEN, or give token= or headers="
    elif status == 407:
        reason = f"the proxy asks for credentials ({code}): HTTP_PROXY=http://user:password@host:port"
    elif 300 <= status < 400:
        elsewhere = Endpoint(headers.get("Location", "")).shown[:200] or "another address"
        reason = f"it redirects to {elsewhere} ({code}): give that address instead"
    else:
        transient = True
        if wait is not None:
            reason = f"it asks to wait {wait:,.0f} s ({code})"
        elif status in (502, 504):
            reason = f"the gateway before it can't reach it ({code})"
        else:
            reason = f"responded with {code}"
    return Fault(reason, sent=True, transient=transient, refused=too_large, answered=True, wait=wait)


def asked_wait(response: aiohttp.ClientResponse) -> float | None:
    """Return for how many seconds a response asks not to be asked again, if it does."""
    retry_after, date = response.headers.get("Retry-After"), response.headers.get("Date")
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.strip().isdigit() and len(retry_after) < 10:
        return float(retry_after)
    until = header_time(retry_after)
    return None if until is None else max(until - (header_time(date) or time.time()), 0.0)


# What a request to MCP says of its body, and of what it takes for an answer.
JSON = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


async def server_sent_events(content: aiohttp.StreamReader) -> AsyncIterator[tuple[str, bytes]]:
    """Yield the name and the data of each server-sent event, whatever its size."""
    name, data = "message", list[bytes]()
    async for line in _lines(content):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.strip().decode(errors="replace")
        elif not line:
            if data:
                yield name, b"\n".join(data)
            name, data = "message", []


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    pieces: list[bytes] = []
    async for chunk in content.iter_any():
        *ended, last = chunk.split(b"\n")
        for end in ended:
            line = b"".join([*pieces, end])
            pieces = []
            yield line.removesuffix(b"\r")
        pieces.append(last)
