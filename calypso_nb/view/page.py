"""One self-contained HTML page from a workload: charts, filters and table, with no kernel and no network."""

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from secrets import token_hex
from typing import Any

from calypso_nb.files import write_whole
from calypso_nb.history.saved import plain_columns
from calypso_nb.view.bundle import asset, packed_bundle
from calypso_nb.view.charts import STATUS_COLORS
from calypso_nb.view.payload import view_payload
from calypso_nb.view.rows import task_rows
from calypso_nb.workload.counts import Tile
from calypso_nb.workload.phrases import UNASSIGNED, UNKNOWN
from calypso_nb.workload.reporter import Workload

# The form of an output that holds what `view_payload` returns: no text that a cell shows can have it.
VIEW = "application/vnd.calypso-nb.view+json"
# What a live dashboard leaves in its own output if there is no kernel: the next output holds the rest.
BELOW = '<div class="calypso-below"></div>'
_STATIC_ROWS = 20
_HOST = '<div class="calypso-view"'


def report_page(data: Workload, title: str = "Workload") -> str:
    """Return the workload as one interactive HTML page of 0.5 MB and some 0.3 kB per task.

    It needs no network, and says which server, filters and UTC time the data are from.
    """
    header = f'<header>\n<h1 dir="auto">{escape(title)}</h1>\n</header>'
    drawings = Drawings()
    view = drawings.view(view_bundle(data, title))
    return page_of(title, f'<main class="page">\n{header}\n{view}\n</main>', drawings)


def write_report(data: Workload, path: str | os.PathLike[str], title: str = "Workload") -> Path:
    """Write `report_page` to a file, whole or not at all, and return its path.

    - path: the file; missing folders are made

    Raise OSError if the file cannot be written.

    Example: `write_report(data, "reports/today.html")`
    """
    return write_whole(report_page(data, title), path)


class Drawings:
    """What the script of one page draws, and where: in elements whose ids no text on the page can know."""

    def __init__(self) -> None:
        self.mark = f"calypso-{token_hex(16)}"
        self._data: list[dict[str, Any]] = []

    def view(self, bundle: Mapping[str, Any]) -> str:
        """Return the HTML of what `view_bundle` returned, for the script to draw the view in."""
        return str(bundle["text/html"]).replace(_HOST, f"{_HOST} {self._id('view', bundle[VIEW])}", 1)

    def chart(self, spec: Mapping[str, Any]) -> str:
        """Return the HTML in which the script draws a spec of Vega or Vega-Lite."""
        return f'<figure class="plain-chart" {self._id("chart", spec)}></figure>'

    def script(self) -> str:
        """Return the element that holds what is to be drawn."""
        return f'<script type="application/json" id="{self.mark}-data">{json_for_html(self._data)}</script>'

    def _id(self, kind: str, data: Mapping[str, Any]) -> str:
        self._data.append({"kind": kind, "data": data})
        return f'id="{self.mark}-{len(self._data) - 1}"'


def view_bundle(
    data: Workload, title: str = "Workload", payload: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the workload as a notebook's output, which `CalypsoHTMLExporter` brings to life.

    Viewers without our script show the numbers and a small table of the most urgent open tasks.

    - payload: what `view_payload` made of the same data, if it is there already
    """
    payload = payload or view_payload(data, title)
    urgent = data.tasks[data.tasks["is_open"]].sort_values(["priority", "age_hours"], ascending=False)
    shown = task_rows(urgent.head(_STATIC_ROWS))[["id", "title", "status", "agent", "priority", "age"]]
    columns = plain_columns(shown.assign(agent=shown["agent"].fillna(UNASSIGNED)))
    # The view counts these again whenever its filter changes.
    numbers = (tile for tile in data.tiles() if tile.name not in ("complete", "attention"))
    heads = ("#", *list(columns)[1:])
    parts = [
        f'<div class="calypso-numbers"><dl>\n{_lines(map(_tile, numbers))}\n</dl></div>',
        f"<table>\n<thead>{_row('th', heads)}</thead>",
        f"<tbody>\n{_lines(_row('td', cells) for cells in zip(*columns.values(), strict=True))}\n</tbody>",
        "</table>",
    ]
    left_out = len(payload["rows"]["id"]) - len(shown)
    if left_out:
        parts.append(f"<p>… and {left_out:,} more tasks, which the interactive view shows.</p>")
    html = f"{_facts(data, payload['meta'])}\n{_HOST}>{_lines(parts)}\n</div>"
    return {"text/html": html, VIEW: payload}


def json_for_html(value: Any) -> str:
    """Return JSON that may stand in a script element, whatever the text in it says."""
    text = json.dumps(value, allow_nan=False)  # U+2028 and the like are escaped as all that is not ASCII
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def page_of(title: str, body: str, drawings: Drawings, scripts_allowed: bool = False) -> str:
    """Return a whole page, with styles and the script that draws in its body.

    Only our own script may run, known by its hash, and nothing may be fetched. It stands before the body, for
    an element that a text in there leaves open would take in what follows.

    - body: the HTML between the body's tags
    - drawings: what to draw, and where in the body
    - scripts_allowed: let the body's own inline scripts run as well
    """
    script = asset("page_loader.js")
    may_run = f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
    if scripts_allowed:
        may_run = "'unsafe-inline' 'unsafe-eval'"
    policy = (
        f"default-src 'none'; script-src {may_run} blob:; style-src 'unsafe-inline'; img-src data: blob:; "
        "font-src data:; base-uri 'none'; form-action 'none'"
    )
    return f"""<!DOCTYPE html>
<html lang="en" data-calypso="{drawings.mark}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{escape(title)}</title>
<style>{asset("page.css") + view_style()}</style>
<!--
{asset("LICENSES.txt")}-->
{drawings.script()}
<script type="text/plain" id="{drawings.mark}-bundle">{packed_bundle()}</script>
<script type="module">{script}</script>
</head>
<body>
{body}
</body>
</html>
"""


def view_style() -> str:
    """Return the style of the view, with the colours that its charts have."""
    colors = (
        f'.calypso-view [data-status="{name}"] {{ --status: {color}; }}'
        for name, color in STATUS_COLORS.items()
    )
    return _lines([*colors, asset("view.css")])


def _facts(data: Workload, meta: Mapping[str, Any]) -> str:
    counted_at = meta["counted_at"] or ""
    facts = {
        "Server": meta["endpoint"],
        "Read at": f"{data.generated_at:%Y-%m-%d %H:%M:%S} UTC",
        "Comments and links counted at": counted_at and f"{counted_at[:10]} {counted_at[11:19]} UTC",
        "Filters of the report": data.filters_text(),
        "Tasks": f"{len(data.tasks):,}",
    }
    lines = (f"<div><dt>{name}</dt><dd>{escape(fact)}</dd></div>" for name, fact in facts.items() if fact)
    return f'<dl class="facts">\n{_lines(lines)}\n</dl>'


def _tile(tile: Tile) -> str:
    name, label, value, note = map(escape, tile)
    small = note and f"<small>{note}</small>"
    return f'<div data-number="{name}"><dt>{label}</dt><dd>{value}{small}</dd></div>'


def _row(tag: str, cells: Iterable[Any]) -> str:
    texts = (UNKNOWN if cell is None else escape(str(cell)) for cell in cells)
    inner = "".join(f'<{tag} dir="auto" style="text-align: left">{text}</{tag}>' for text in texts)
    return f"<tr>{inner}</tr>"


def _lines(parts: Iterable[str]) -> str:
    return "\n".join(parts)
