"""Altair charts that a notebook draws without a network: the renderer that `%load_ext calypso_nb` enables.

A chart is an output of HTML with its spec and a small script. What draws it takes 0.5 MB, so one output of a
notebook carries that for all: for any front end that runs scripts of HTML outputs, and for whoever opens the
saved notebook again. The spec is in the output under its own MIME type as well, for exports.

JupyterLab up to 4.6 draws specs of its own accord too, but with Vega-Lite 5.6, 0 pixels wide if they have the
width of their container, and then again and again without end.
"""

import json
from contextlib import ExitStack
from html import escape
from typing import TYPE_CHECKING, Any

import altair as alt

from calypso_nb.view.bundle import asset, packed_bundle, zipped_text
from calypso_nb.view.page import view_style
from calypso_nb.visible import visible

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, InteractiveShell

_NAME = "calypso_nb"
_ALTAIRS_OWN = "default"
_NOT_DRAWN = (
    "A chart, which a script draws. If it does not, trust this notebook, or restart its kernel and run all "
    "cells."
)
_undo = ExitStack()


class ChartRenderer:
    """What Altair calls with the spec of a chart that is shown."""

    def __init__(self) -> None:
        self._running: str | None = None
        self._carrier: str | None = None
        self._carried = False

    def __call__(self, spec: dict[str, Any], **_: Any) -> dict[str, Any]:
        words = _words(spec)
        parts = [
            f'<div class="calypso-output"><p dir="auto">{escape(words)}</p><p>{_NOT_DRAWN}</p>',
            f'<script type="text/plain">{zipped_text(json.dumps(spec))}</script></div>',
            *self._bundle_once(),
            f"<script>(() => {{{asset('chart_loader.js')}}})()</script>",
        ]
        kind = f"application/vnd.vegalite.{alt.SCHEMA_VERSION.partition('.')[0]}+json"
        return {kind: spec, "text/html": "\n".join(parts), "text/plain": words}

    def cell_begins(self, cell: "ExecutionInfo") -> None:
        """Let the bundle come again if the cell's output is, or may be, the one that carries it."""
        self._running = cell.cell_id
        if cell.cell_id is not None and self._carrier in (None, cell.cell_id):
            self._carried = False

    def _bundle_once(self) -> list[str]:
        if self._carried:
            return []
        self._carried, self._carrier = True, self._running
        script = f'<script type="text/plain" class="calypso-bundle">{packed_bundle()}</script>'
        return [f"<style>{view_style()}</style>", script]


def draw_charts_offline(shell: "InteractiveShell") -> None:
    """Enable our renderer, unless another than Altair's own default is chosen already."""
    renderer = ChartRenderer()
    alt.renderers.register(_NAME, renderer)
    if alt.renderers.active == _ALTAIRS_OWN:
        alt.renderers.enable(_NAME)
    shell.events.register("pre_run_cell", renderer.cell_begins)
    _undo.callback(shell.events.unregister, "pre_run_cell", renderer.cell_begins)


def stop_drawing_charts_offline() -> None:
    """Give Altair's own renderer back, unless another than ours has been chosen since."""
    _undo.close()
    if alt.renderers.active == _NAME:
        alt.renderers.enable(_ALTAIRS_OWN)


def _words(spec: dict[str, Any]) -> str:
    """Return what a chart says of itself, for viewers that don't draw it."""
    title = spec.get("title") or ""
    text = title.get("text") or "" if isinstance(title, dict) else title
    lines = text if isinstance(text, list) else [text]
    return visible(spec.get("description") or " ".join(map(str, lines)) or "Chart")
