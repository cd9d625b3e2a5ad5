"""Keep credentials and local paths out of what others read.

Each pattern takes time in proportion to the text, whatever the text is: what repeats is possessive or
bounded, and no match is tried again from inside a run that another try has gone through.
"""

import json
import os
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from html import escape
from itertools import accumulate, pairwise, zip_longest
from pathlib import Path
from urllib.parse import quote, unquote

_Instead = str | Callable[[re.Match[str]], str]

_HIDDEN = "\N{HORIZONTAL ELLIPSIS}"
_COLOUR = re.compile(r"(\x1b\[[0-?]*+[ -/]*+[@-~])")
_PART = r"[^\s/\\\x00-\x1f\"'<>|:;,&()\[\]{}]+"
# A path begins a word.
_START = r"(?<![\w.\-/\\])"
# What is left of a path is the name of its file, which says where in a program something happened.
_PATHS = re.compile(
    rf"{_START}(?:file://)?(?:"
    rf"(?:/home|/Users)(?:/{_PART})?|/root|~|/tmp|/var/(?:tmp|folders)|/private/(?:tmp|var)|/mnt|/opt|/srv"
    rf"|[A-Za-z]:\\(?:Users\\{_PART})?)(?P<inside>(?:[/\\]{_PART})*+)(?![\w])"
)
# A quotation mark as it is, in JSON that stands in a text, or in HTML.
_MARK = r"(?:\\*+[\"']|&(?:quot|apos|#0*+3[49]|#x0*+2[27]);)"
_PATTERNS: list[tuple[re.Pattern[str], _Instead]] = [
    (
        re.compile(r"\bfile:(?=/)(?P<inside>[^\s\"'<>]*+)", re.I),
        lambda found: f"{_HIDDEN}/{_last_part(found['inside'])}",
    ),
    # user:password@ in an address; the password may hold an @, and a slash too
    (re.compile(r"(?<=://)(?:[^\s/\"'<>]*@|[^\s/\"'<>:@]{1,200}+:(?!\d*+/)[^\s\"'<>@]{1,200}+@)"), ""),
    (re.compile(r"(?P<keep>\b(?:Bearer|Basic)\s++)[\w.~+/\-]{6,}+=*+", re.I), rf"\g<keep>{_HIDDEN}"),
    (
        re.compile(
            r"(?<![\w\-])(?P<keep>"
            r"(?=[\w\-]*?(?:(?P<count>token)|secret|passw|(?:api|access|private)[_\-]?key))"
            rf"[\w\-]++(?:{_MARK}\s*+:|\s*+[=:])\s*+{_MARK}?)"
            # Numbers of tokens are not secret.
            rf"(?!(?:None|null|True|False)\b|{_HIDDEN}|(?(count)[\d,.]++\b|(?!)))"
            r"(?:(?<=\")(?=\S)[^\"\n]{3,}[^\"\n\\](?=\\*\")|(?<=')(?=\S)[^'\n]{3,}[^'\n\\](?=\\*')"
            r"|[^\s\"'&,;<>)\]}]{4,}+)",
            re.I,
        ),
        rf"\g<keep>{_HIDDEN}",
    ),
    # What well-known services begin their keys with, and JSON web tokens
    (
        re.compile(r"\b(?:(?:sk|pk|gh[pousr]|github_pat|xox[abps])[-_][\w\-]{12,}+|AKIA[0-9A-Z]{16}\b)"),
        _HIDDEN,
    ),
    (
        re.compile(r"(?<![\w\-])(?P<keep>(?:(?!\beyJ)[\w\-])*+)eyJ[\w\-]{8,}+\.[\w\-]{8,}+\.[\w\-]++"),
        rf"\g<keep>{_HIDDEN}",
    ),
]
# Names of variables whose values are secret: whole words, or wherever in a name they stand.
_SECRET_NAME = re.compile(
    r"TOKEN|SECRET|WEBHOOK|PASSW|PASSPHRASE|CREDENTIAL|BEARER|CONNECTION_?STRING|TINYTASK_HEADERS|KEYS?(?:_|$)"
    r"|(?:^|_)(?:PASS|PW|PWD|AUTH|COOKIE|CREDS?|DSN|OTP|SALT|SIG|SIGNATURE)(?:_|$)",
    re.I,
)
_NO_SECRETS = ("PWD", "SSH_AUTH_SOCK")
# How the same text stands in HTML, JSON, Python and an address.
_WRITTEN: tuple[Callable[[str], str], ...] = (
    escape,
    lambda text: escape(text, quote=False),
    lambda text: escape(text).replace("&#x27;", "&#39;"),
    lambda text: escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
    lambda text: text.encode("ascii", "xmlcharrefreplace").decode(),
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    lambda text: repr(text)[1:-1],
    lambda text: repr(text + "\"'")[1:-4],
    lambda text: ascii(text)[1:-1],
    lambda text: quote(text, safe=""),
)
SHORTEST = 6  # letters of a secret, as a shorter one would be cut out of other words
# A longer secret is known by its first letters too, if it is cut off there, as in a frame.
_KNOWN_BY = 12


def redacted(text: str, secrets: Iterable[str] = (), folders: Iterable[str | os.PathLike[str]] = ()) -> str:
    """Return a text without credentials, and with local paths cut to file names.

    - secrets: texts to cut out besides all that looks like a credential
    - folders: where local paths begin, besides homes, temporary folders and this Python
    """
    pieces = _Pieces(text)
    pieces.cut_secrets(secrets)
    for folder in {str(Path(folder).absolute()) for folder in (*folders, sys.prefix, Path.home())} - {"/"}:
        pieces.cut(re.compile(rf"{_START}{re.escape(folder)}(?=[/\\])"), "~")
        pieces.cut(re.compile(rf"{_START}{re.escape(folder)}(?![\w\-])"), _HIDDEN)
    pieces.cut(_PATHS, _shortened)
    for pattern, instead in _PATTERNS:
        pieces.cut(pattern, instead)
    return pieces.text


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return a text without certain secrets, however they are escaped in it, and otherwise as it is."""
    pieces = _Pieces(text)
    pieces.cut_secrets(secrets)
    return pieces.text


def secrets_of_environment(shortest: int = SHORTEST) -> list[str]:
    """Return the values of environment variables whose names mean a secret, longest first.

    Passwords in addresses, and the values in a variable that holds JSON, are among them.

    - shortest: how many letters a secret has at least
    """
    values = {
        value for name, value in os.environ.items() if _SECRET_NAME.search(name) and name not in _NO_SECRETS
    }
    inside = {part for value in values for part in re.findall(r'"([^"]+)"\s*[,}]', value)}
    for value in os.environ.values():
        written = re.findall(r"://[^\s/:@]*:([^\s/]+)@", value)
        inside |= {*written, *map(unquote, written)}
    return sorted((value for value in values | inside if len(value) >= shortest), key=len, reverse=True)


class _Pieces:
    """A text whose colours are set aside, for they may stand in the midst of a secret."""

    def __init__(self, text: str) -> None:
        pieces = _COLOUR.split(text)
        self._plain = "".join(pieces[::2])
        self._colours = pieces[1::2]
        self._places = list(accumulate(map(len, pieces[:-1:2])))

    @property
    def text(self) -> str:
        ends = [0, *self._places, len(self._plain)]
        between = [self._plain[start:end] for start, end in pairwise(ends)]
        return "".join(part for both in zip_longest(between, self._colours, fillvalue="") for part in both)

    def cut(self, pattern: re.Pattern[str], instead: _Instead) -> None:
        if not self._colours:
            self._plain = pattern.sub(instead, self._plain)
            return
        edits = []

        def replace(found: re.Match[str]) -> str:
            new = found.expand(instead) if isinstance(instead, str) else instead(found)
            edits.append((found.start(), found.end(), found.start() + len(new)))
            return new

        self._plain = pattern.sub(replace, self._plain)
        if edits:
            self._places = list(_moved(self._places, edits))

    def cut_secrets(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        for form in sorted(forms, key=len, reverse=True):
            if form in self._plain:
                self.cut(re.compile(re.escape(form)), _HIDDEN)
            self._cut_beginning(form)

    def _cut_beginning(self, form: str) -> None:
        beginning = form[:_KNOWN_BY]
        if len(beginning) == len(form) or beginning not in self._plain:
            return

        def instead(found: re.Match[str]) -> str:
            return _HIDDEN if form.startswith(found[1]) else found[0]

        more = min(len(form) - len(beginning), 500)
        self.cut(re.compile(rf"({re.escape(beginning)}.{{0,{more}}}?)(?:\.{{3}}|{_HIDDEN})"), instead)


@lru_cache(maxsize=256)
def _forms(secret: str) -> frozenset[str]:
    """Return the ways in which a secret may be written, twice over: HTML in JSON, say, or JSON in HTML."""
    once = {secret, *(write(secret) for write in _WRITTEN)}
    return frozenset(once | {write(text) for text in once for write in _WRITTEN}) - {""}


def _moved(places: Iterable[int], edits: Iterable[tuple[int, int, int]]) -> Iterator[int]:
    """Yield where places are after edits: each from a start to an end, its new text to a new end."""
    shift, ahead = 0, deque(edits)
    for place in places:
        while ahead and ahead[0][1] <= place:
            _, end, new_end = ahead.popleft()
            shift += new_end - end
        if ahead and ahead[0][0] < place:
            place = min(place, ahead[0][2])
        yield place + shift


def _shortened(found: re.Match[str]) -> str:
    inside = found["inside"]
    if not inside and found[0].endswith("~"):
        return found[0]  # "about", and not a home
    return f"{_HIDDEN}/{_last_part(inside)}" if inside else _HIDDEN


def _last_part(path: str) -> str:
    return re.split(r"[/\\]", path)[-1]
