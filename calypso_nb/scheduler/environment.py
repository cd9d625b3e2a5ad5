"""What a run gets of its scheduler's environment, and what of the environment must not go out."""

import base64
import os
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from calypso_nb.redaction import redacted, secrets_of_environment
from calypso_nb.settings import own_secrets

_GIVEN = {
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR"),
    *("PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "XDG_CONFIG_HOME", "XDG_DATA_HOME"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
}
_GIVEN_PREFIXES = ("LC_", "TINYTASK_", "GOOSE_")

# Digits, small and capital letters and no path, a long hexadecimal number, or a key in a frame of dashes.
_SECRET_SHAPE = re.compile(
    r"\A(?:(?=[^\d]*\d)(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])(?![/~.])[\w+/=.:~-]{20,}\Z"
    r"|[\da-f]{32,}\Z|-----BEGIN )"
)
_NO_SECRETS = ("PATH", "HOME", "PWD", "OLDPWD", "TMPDIR")
_SHORTEST = 4
# What may stand within a credential that a terminal's panel has wrapped.
_WRAPPING = re.compile(r"[\s│|]")


def environment_of_run(names: Iterable[str] = ()) -> dict[str, str]:
    """Return what a run gets of this process's environment.

    - names: variables that it gets besides those that every program needs, and all TINYTASK_… and GOOSE_….
    """
    known = _GIVEN.union(names)
    return {
        name: value
        for name, value in os.environ.items()
        if name in known or name.upper() in _GIVEN or name.startswith(_GIVEN_PREFIXES)
    }


def without_secrets(text: str) -> str:
    """Return a text without local paths, and without what is secret in the environment or looks so."""
    secrets = {secret.strip() for secret in _secrets()}
    for secret in list(secrets):
        raw = secret.encode(errors="surrogateescape")
        secrets |= {repr(raw)[2:-1], quote_plus(raw), quote(raw)}
        secrets |= {code(raw).decode().rstrip("=") for code in (base64.b64encode, base64.urlsafe_b64encode)}
    long_enough = sorted((secret for secret in secrets if len(secret) >= _SHORTEST), key=len, reverse=True)
    return redacted(_without_wrapped(text, long_enough), long_enough)


def _secrets() -> Iterator[str]:
    yield from secrets_of_environment(_SHORTEST)
    for name, value in os.environ.items():
        if name not in _NO_SECRETS and _SECRET_SHAPE.search(value):
            yield value
    yield from own_secrets()


def _without_wrapped(text: str, secrets: Iterable[str]) -> str:
    """Return a text without those secrets that go on in another line, or have blanks within."""
    kept = [at for at, character in enumerate(text) if not _WRAPPING.match(character)]
    dense = "".join(text[at] for at in kept)
    hidden: set[int] = set()
    for secret in secrets:
        sought = _WRAPPING.sub("", secret)
        at = dense.find(sought) if len(sought) >= 2 * _SHORTEST else -1
        while at >= 0:
            hidden.update(kept[at : at + len(sought)])
            at = dense.find(sought, at + 1)
    return "".join(
        "" if at in hidden and at - 1 in hidden else "…" if at in hidden else character
        for at, character in enumerate(text)
    )
