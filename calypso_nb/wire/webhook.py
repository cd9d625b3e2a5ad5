"""Post a message to the one address that the settings name: its path is a secret, and no error shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
import tenacity

from calypso_nb.errors import UsageError
from calypso_nb.settings import Endpoint, Settings
from calypso_nb.wire import bridge
from calypso_nb.wire.faults import Fault, fault_of
from calypso_nb.wire.http import asked_wait, route_to

VARIABLE = "TINYTASK_DIGEST_WEBHOOK"
# How long a post may take, how often it is tried, and the waits in between at first and at most, in seconds.
SECONDS = 10.0
ATTEMPTS = 4
FIRST_WAIT = 1.0
LONGEST_WAIT = 30.0
_KEPT = "nothing is lost: the next digest has it all"


class WebhookError(OSError):
    """A message was not taken; the text says what to do, and nothing of the address but its host."""


def post(
    settings: Settings,
    message: Mapping[str, Any],
    *,
    seconds: float = SECONDS,
    attempts: int = ATTEMPTS,
    first_wait: float = FIRST_WAIT,
) -> None:
    """Send a message as JSON to the webhook of the settings.

    It is tried again if the connection fails and after HTTP 429 and 5xx, and not if it is refused. No
    redirect is followed, which would hand the secret in the address to somebody else.

    - seconds: how long each try may take
    - attempts: how often it is tried
    - first_wait: how long to wait before the second try, in seconds; before each further one twice as long

    Raise UsageError if none is set, or no address of HTTP, WebhookError if the message was not taken.
    """
    url = address(settings)
    body = orjson.dumps(message, option=orjson.OPT_NON_STR_KEYS)
    try:
        bridge.run(_posted, url, body, seconds, attempts, first_wait)
    except Fault as fault:
        shown = urlsplit(url)
        host = f"{shown.scheme}://{shown.netloc.rpartition('@')[2]}"
        raise WebhookError(f"the webhook at {host} did not take the digest: {fault}; {_KEPT}") from None


def address(settings: Settings) -> str:
    """Return the address of the webhook, in clear; raise UsageError if none is set that can be used."""
    if settings.digest_webhook is None:
        raise UsageError(f"no webhook is set: set {VARIABLE} to the URL that your chat gives you")
    url = settings.digest_webhook.get_secret_value().strip()
    if not Endpoint(url).is_url or any(letter.isspace() for letter in url):
        raise UsageError(f"{VARIABLE} is not a valid http:// or https:// URL")
    return url


async def _posted(url: str, body: bytes, seconds: float, attempts: int, first_wait: float) -> None:
    def wait(state: tenacity.RetryCallState) -> float:
        fault = state.outcome.exception() if state.outcome is not None else None
        asked = (fault.wait if isinstance(fault, Fault) else None) or 0.0
        backoff = tenacity.wait_exponential(multiplier=first_wait)(state)
        return min(max(backoff, asked), LONGEST_WAIT)

    await tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, Fault) and error.transient),
        stop=tenacity.stop_after_attempt(attempts),
        wait=wait,
        reraise=True,
    )(_posted_once, url, body, seconds)


async def _posted_once(url: str, body: bytes, seconds: float) -> None:
    proxy, certificates = route_to(url)
    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with (
            aiohttp.ClientSession(
                timeout=timeout, connector=aiohttp.TCPConnector(ssl=certificates), proxy=proxy
            ) as session,
            session.post(
                url, data=body, headers={"Content-Type": "application/json"}, allow_redirects=False
            ) as response,
        ):
            if not 200 <= response.status < 300:
                raise _refused(response)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # Not with the error itself below it: that has the address in it.
        raise _fault(error) from None


def _fault(error: Exception) -> Fault:
    if isinstance(error, aiohttp.InvalidURL | ValueError):
        return Fault(f"its address can't be used; correct {VARIABLE}", sent=False, transient=False)
    found = fault_of(error)
    return Fault(str(found), sent=found.sent)


def _refused(response: aiohttp.ClientResponse) -> Fault:
    status = response.status
    if 300 <= status < 400:
        why = f"it redirects elsewhere (HTTP {status}), which is not followed; correct {VARIABLE}"
    elif status == 429 or status >= 500:
        return Fault(f"it responded with HTTP {status}", sent=True, wait=asked_wait(response))
    elif status in (401, 403, 404, 410):
        why = f"it refuses (HTTP {status}): the address is wrong or was taken back; correct {VARIABLE}"
    else:
        why = f"it refuses (HTTP {status}): is {VARIABLE} a webhook that takes JSON with a text?"
    return Fault(why, sent=True, transient=False)
