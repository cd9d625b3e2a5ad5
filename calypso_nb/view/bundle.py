"""What a browser is sent, and how it is packed: data, styles, and the script that `make bundle` builds."""

import base64
import gzip
import json
from functools import cache
from importlib.resources import files
from typing import Any

# More takes twice as long, and saves a twentieth.
_LEVEL = 6


@cache
def asset(name: str) -> str:
    """Return the text of a file in `calypso_nb/view/assets`."""
    return files("calypso_nb.view").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def packed_bundle() -> str:
    """Return `assets/bundle.js` and its licences, packed: 0.5 MB for `browser/src/unpack.js`."""
    code = f"/*\n{asset('LICENSES.txt')}*/\n{asset('bundle.js')}"
    return zipped_text(code)


def zipped_text(text: str) -> str:
    """Return a text, gzipped, in base64."""
    return _base64(gzip.compress(text.encode(), mtime=0))


def packed(value: Any) -> bytes:
    """Return a value as JSON, gzipped.

    Raise ValueError for a number that JSON doesn't have.
    """
    return gzip.compress(json.dumps(value, allow_nan=False).encode(), _LEVEL, mtime=0)


def packed_text(value: Any) -> str:
    """Return what `packed` does in base64, of which nothing can end an element or a string of a page."""
    return _base64(packed(value))


def unpacked_text(text: str) -> Any:
    """Return the value that `packed_text` made a text of."""
    return json.loads(gzip.decompress(base64.b64decode(text)))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
