"""The JavaScript that charts and tables need, packed into one text that a document carries once."""

from __future__ import annotations

import base64
import gzip
import json
import os
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import platformdirs

__all__ = ["libraries"]


@cache
def libraries() -> str:
    """Vega and DataTables for `loadLibraries` of `assets/core.js`: JSON with `key`, `vega` and `datatables`.

    The libraries are ES modules, gzipped and in base64, together 0.64 MB; `key` names their versions. Making
    them takes some 2 s, so they are kept in the user's cache folder too, where that can be written.

    Example: `page = f'<script type="text/plain" id="calypso-libraries">{libraries()}</script>'`
    """
    key = f"vl-convert-{version('vl-convert-python')}-itables-{version('itables')}"
    kept = platformdirs.user_cache_path("calypso_nb") / f"{key}.json"
    with suppress(OSError, ValueError):
        text = kept.read_text(encoding="ascii")
        json.loads(text)
        return text
    text = _packed(key)
    with suppress(OSError):
        _keep(kept, text)
    return text


def _packed(key: str) -> str:
    import vl_convert

    vega = vl_convert.javascript_bundle("export { vegaEmbed };")
    datatables = files("itables").joinpath("html/dt_bundle.js").read_text(encoding="utf-8")
    return json.dumps({"key": key, "vega": _gzipped(vega), "datatables": _gzipped(datatables)})


def _gzipped(code: str) -> str:
    return base64.b64encode(gzip.compress(code.encode(), mtime=0)).decode("ascii")


def _keep(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="ascii")
    draft.replace(path)
