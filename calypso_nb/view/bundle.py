"""The files that a browser is sent: styles, and the script that `make bundle` builds from `browser/`."""

import base64
import gzip
from functools import cache
from importlib.resources import files


@cache
def asset(name: str) -> str:
    """Return the text of a file in `calypso_nb/view/assets`."""
    return files("calypso_nb.view").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def packed_bundle() -> str:
    """Return `assets/bundle.js` and its licences, gzipped, in base64: 0.5 MB for `browser/src/unpack.js`."""
    code = f"/*\n{asset('LICENSES.txt')}*/\n{asset('bundle.js')}"
    return base64.b64encode(gzip.compress(code.encode(), mtime=0)).decode("ascii")
