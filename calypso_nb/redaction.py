"""Keep credentials and local paths out of what others read."""

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

_HIDDEN = "\N{HORIZONTAL ELLIPSIS}"
_PART = r"[^\s/\\\x00-\x1f\"'<>|:;,&()\[\]{}]+"
# A path begins a word; in a traceback the code of a colour may stand before it.
_START = r"(?P<colour>(?:\x1b\[[\d;]*m)+|(?<![\w.\-/\\]))"
# What is left of a path is the name of its file, which says where in a program something happened.
_PATHS = re.compile(
    rf"{_START}(?:file://)?(?:"
    rf"(?:/home|/Users)(?:/{_PART})?|/root|~|/tmp|/var/(?:tmp|folders)|/private/(?:tmp|var)|/mnt|/opt|/srv"
    rf"|[A-Za-z]:\\(?:Users\\{_PART})?)(?P<inside>(?:[/\\]{_PART})*)(?![\w])"
)
_PATTERNS = [
    (
        re.compile(r"\bfile:/[^\s\"'<>]*?(?P<keep>[/\\][^\s/\\\"'<>]*)(?=[\s\"'<>]|$)", re.I),
        rf"{_HIDDEN}\g<keep>",
    ),
    # user:password@ in an address
    (re.compile(r"(?P<keep>\b[a-z][a-z0-9+.\-]*://)[^\s/@\"'<>]+@", re.I), r"\g<keep>"),
    (re.compile(r"(?P<keep>\b(?:Bearer|Basic)\s+)[\w.~+/\-]{6,}=*", re.I), rf"\g<keep>{_HIDDEN}"),
    (
        re.compile(
            r"(?P<keep>\b[\w\-]*(?:token|secret|password|passwd|api[_\-]?key|access[_\-]?key)[\w\-]*"
            r"(?:[\"']\s*:|\s*[=:])\s*[\"']?)(?!None\b|null\b|True\b|False\b|[\d,.]+\b)[^\s\"'&,;<>)\]}]{4,}",
            re.I,
        ),
        rf"\g<keep>{_HIDDEN}",
    ),
    # What well-known services begin their keys with, and JSON web tokens
    (re.compile(r"\b(?:sk|pk|gh[pousr]|xox[abps])[-_][\w\-]{12,}|\bAKIA[0-9A-Z]{16}\b"), _HIDDEN),
    (re.compile(r"\beyJ[\w\-]{8,}\.[\w\-]{8,}\.[\w\-]+"), _HIDDEN),
]
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|TINYTASK_HEADERS", re.I)


def redacted(text: str, secrets: Iterable[str] = (), folders: Iterable[str | os.PathLike[str]] = ()) -> str:
    """Return a text without credentials, and with local paths cut to file names.

    - secrets: texts to cut out besides all that looks like a credential
    - folders: where local paths begin, besides homes, temporary folders and this Python
    """
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    for folder in {str(Path(folder).absolute()) for folder in (*folders, sys.prefix, Path.home())} - {"/"}:
        text = re.sub(rf"{_START}{re.escape(folder)}(?=[/\\])", r"\g<colour>~", text)
        text = re.sub(rf"{_START}{re.escape(folder)}(?![\w\-])", rf"\g<colour>{_HIDDEN}", text)
    text = _PATHS.sub(_cut, text)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def secrets_of_environment() -> list[str]:
    """Return the values of environment variables whose names mean a secret, longest first."""
    values = {value for name, value in os.environ.items() if _SECRET_NAME.search(name)}
    inside = {part for value in values for part in re.findall(r'"([^"]+)"\s*[,}]', value)}
    return sorted((value for value in values | inside if len(value) >= 6), key=len, reverse=True)


def _cut(found: re.Match[str]) -> str:
    inside = found["inside"]
    if not inside and found[0].endswith("~"):
        return found[0]  # "about", and not a home
    name = re.split(r"[/\\]", inside)[-1]
    return "/".join(filter(None, [f"{found['colour']}{_HIDDEN}", name]))
