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
    """Return `assets/bundle.js`, gzipped and in base64, for `browser/src/unpack.js`: 0.5 MB."""
    return base64.b64encode(gzip.compress(asset("bundle.js").encode(), mtime=0)).decode("ascii")
