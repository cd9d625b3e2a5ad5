"""One self-contained HTML page from a workload: charts, filters and table, with no kernel and no network."""

import base64
import hashlib
import os
from collections.abc import Mapping
from html import escape
from pathlib import Path
from secrets import token_hex
from typing import Any

from calypso_nb.audit.audit import Audit
from calypso_nb.files import write_whole
from calypso_nb.flow.measures import Flow, flow_now
from calypso_nb.view.bundle import asset, packed_bundle, packed_text
from calypso_nb.view.charts import STATUS_COLORS
from calypso_nb.view.payload import flow_payload, view_payload
from calypso_nb.view.still import facts, joined, still
from calypso_nb.workload.reporter import Workload

# The form of an output that holds what `view_payload` returns, as `packed_text` has it: no text that a cell
# shows can have this form.
VIEW = "application/vnd.calypso-nb.view+json"
# What a live dashboard leaves in its own output if there is no kernel: the next output holds the rest.
BELOW = '<div class="calypso-below"></div>'
# Beside a live dashboard its saved form is hidden, and so is, without one, what Jupyter says in place of a
# widget that no kernel knows: "Error displaying widget", or "Loading widget" for ever.
_SAVED_STYLE = """<style>
.jp-OutputArea-child:has(.calypso-live) ~ .jp-OutputArea-child:has(.calypso-saved) { display: none; }
.jp-OutputArea-child:has(> .lm-Panel):has(+ .jp-OutputArea-child .calypso-saved):not(:has(.calypso-live)) {
  display: none;
}
</style>"""
_ASLEEP = (
    '<p class="calypso-asleep">As it was saved. Run the cell to see how it is now, and to act. If this '
    "stays, the environment in which JupyterLab itself runs, which may be another than the kernel's, lacks "
    "anywidget: <code>pip install anywidget</code> there, and load this page again.</p>"
)
_HOST = '<div class="calypso-view"'


def report_page(
    data: Workload, title: str = "Workload", flow: Flow | None = None, audit: Audit | None = None
) -> str:
    """Return the workload as one interactive HTML page: 0.6 MB, and less than 0.1 kB per task.

    It needs no network, and says which server, filters and UTC time the data are from.

    - flow: how work flows, by default as far as the tasks themselves tell it
    - audit: which rules of the process are broken; left out by default
    """
    header = f'<header>\n<h1 dir="auto">{escape(title)}</h1>\n</header>'
    drawings = Drawings()
    payload = view_payload(data, title, flow=flow_payload(flow or flow_now(data)), audit=audit)
    view = drawings.view(view_bundle(data, title, payload))
    return page_of(title, f'<main class="page">\n{header}\n{view}\n</main>', drawings)


def write_report(
    data: Workload,
    path: str | os.PathLike[str],
    title: str = "Workload",
    flow: Flow | None = None,
    audit: Audit | None = None,
) -> Path:
    """Write `report_page` to a file, whole or not at all, and return its path.

    - path: the file; missing folders are made
    - flow, audit: as `report_page` takes them

    Raise OSError if the file cannot be written.

    Example: `write_report(data, "reports/today.html")`
    """
    return write_whole(report_page(data, title, flow, audit), path)


class Drawings:
    """What the script of one page draws, and where: in elements whose ids no text on the page can know."""

    def __init__(self) -> None:
        self.mark = f"calypso-{token_hex(16)}"
        self._data: list[str] = []

    def view(self, bundle: Mapping[str, Any]) -> str:
        """Return the HTML of what `view_bundle` returned, for the script to draw the view in."""
        host = f"{_HOST} {self._id('view', bundle[VIEW]['packed'])}"
        return str(bundle["text/html"]).replace(_HOST, host, 1)

    def chart(self, spec: Mapping[str, Any]) -> str:
        """Return the HTML in which the script draws a spec of Vega or Vega-Lite."""
        return f'<figure class="plain-chart" {self._id("chart", packed_text(spec))}></figure>'

    def script(self) -> str:
        """Return the element that holds what is to be drawn, a line each: its kind, and its data packed."""
        return f'<script type="text/plain" id="{self.mark}-data">{joined(self._data)}</script>'

    def _id(self, kind: str, packed: str) -> str:
        self._data.append(f"{kind} {packed}")
        return f'id="{self.mark}-{len(self._data) - 1}"'


def view_bundle(
    data: Workload, title: str = "Workload", payload: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the workload as a notebook's output, which `CalypsoHTMLExporter` brings to life.

    Viewers without our script show what `still` returns.

    - payload: what `view_payload` made of the same data, if it is there already
    """
    payload = payload or view_payload(data, title)
    html = f"{facts(data, payload['meta'])}\n{_HOST}>{still(data)}\n</div>"
    return {"text/html": html, VIEW: {"packed": packed_text(payload)}}


def saved_bundle(data: Workload, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a notebook keeps of a dashboard: as `view_bundle`, and hidden while the dashboard lives."""
    bundle = view_bundle(data, payload=payload)
    html = f'{_SAVED_STYLE}<div class="calypso-saved">{_ASLEEP}{bundle["text/html"]}</div>'
    return {**bundle, "text/html": html}


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
    return joined([*colors, asset("view.css")])
