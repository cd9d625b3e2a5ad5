"""One self-contained HTML page from a workload: charts, filters and table, with no kernel and no network."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader

from calypso_nb.files import write_whole
from calypso_nb.frames import AGE_BUCKETS, OPEN_STATUSES
from calypso_nb.settings import Endpoint
from calypso_nb.view.bundle import asset, packed_bundle
from calypso_nb.view.charts import chart_specs
from calypso_nb.view.rows import UNASSIGNED, task_rows
from calypso_nb.view.sections import report_sections
from calypso_nb.view.selection import NO_FILTER
from calypso_nb.workload.counts import Tile
from calypso_nb.workload.reporter import Workload

__all__ = [
    "BELOW",
    "json_columns",
    "json_for_html",
    "page_of",
    "report_page",
    "view_html",
    "view_payload",
    "view_style",
    "write_report",
]

# What a live dashboard leaves in its own output where there is no kernel: the next output holds the rest.
BELOW = '<div class="calypso-below"></div>'
_FALLBACK_ROWS = 20
_UNKNOWN = "\N{EN DASH}"


def report_page(data: Workload, title: str = "Workload") -> str:
    """The workload as one interactive HTML page that needs no network, for anyone with a browser.

    It says which server, filters and UTC time the data are from. Its size is 0.7 MB and some 0.2 kB a task.

    Example: `report_page(reporter.collect_workload_data(), title="Team A")`
    """
    return page_of("report.html.j2", title=title, view=view_html(data, title))


def write_report(data: Workload, path: str | os.PathLike[str], title: str = "Workload") -> Path:
    """Write `report_page` to a file, with the folders that it needs, and return where it is.

    The file appears whole or not at all. Raises OSError where it cannot be written.

    Example: `write_report(data, "reports/today.html")`
    """
    return write_whole(report_page(data, title), path)


def view_html(data: Workload, title: str = "Workload", payload: Mapping[str, Any] | None = None) -> str:
    """The workload as a fragment for a notebook's output, which `CalypsoHTMLExporter` brings to life.

    Viewers without our script show its numbers and a small table of the most urgent open tasks. `payload` is
    what `view_payload` made of the same data, where somebody has it already.

    Example: `display(HTML(view_html(data)))`
    """
    payload = view_payload(data, title) if payload is None else payload
    rows = task_rows(data.tasks)
    urgent = rows[rows["is_open"]].sort_values(["priority", "age_hours"], ascending=False)
    shown = urgent.head(_FALLBACK_ROWS)[["id", "title", "status", "agent", "priority", "age"]]
    cells = json_columns(shown.assign(agent=shown["agent"].fillna(UNASSIGNED))).values()
    return (
        _templates()
        .get_template("view.html.j2")
        .render(
            data=data,
            source=_source(data),
            counted_at=payload["meta"]["counted_at"],
            payload=json_for_html(payload),
            numbers=_numbers(data),
            columns=("#", "title", "status", "agent", "priority", "age"),
            rows=[[_UNKNOWN if cell is None else cell for cell in row] for row in zip(*cells, strict=True)],
            left_out=len(rows) - len(shown),
        )
    )


def view_payload(
    data: Workload, title: str = "Workload", counted_at: datetime | None = None
) -> dict[str, Any]:
    """What `mount` of `assets/core.js` shows, as a dict that JSON can carry.

    `meta` says where the data are from, `rows` holds the columns of `task_rows`, `charts` the specs without
    rows, `ages` the names of age buckets in their order, `filter` what to show at first: open tasks, unless
    the report's own status filter asked for others. `counted_at` is when comments and links were counted,
    if not with all else.

    Example: `view_payload(data)["rows"]["title"]`
    """
    rows = task_rows(data.tasks)
    unknown_age = bool((rows["is_open"] & (rows["age_bucket"] == "unknown")).any())
    only_open = data.status_filter is None and bool(rows["is_open"].any()) and not bool(rows["is_open"].all())
    return {
        "meta": {
            "title": title,
            "endpoint": _source(data),
            "generated_at": data.generated_at.isoformat(),
            "filters": data.filters_text(),
            "counted_at": None
            if counted_at is None or counted_at == data.generated_at
            else counted_at.isoformat(),
        },
        "filter": {**NO_FILTER, "statuses": list(OPEN_STATUSES) if only_open else []},
        "ages": [*AGE_BUCKETS, "unknown"],
        "rows": json_columns(rows),
        **report_sections(data),
        "charts": [chart._asdict() for chart in chart_specs(unknown_age)],
    }


def json_for_html(value: Any) -> str:
    """JSON that may stand in a script element, whatever the text in it says.

    Example: `json_for_html({"title": "</script>"})`
    """
    text = json.dumps(value, allow_nan=False)  # U+2028 and the like are escaped as all that is not ASCII
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def page_of(template: str, scripts_allowed: bool = False, **parts: Any) -> str:
    """Render a whole page from a template that extends `page.html.j2`, with styles and script.

    Only our own script may run, found by its hash, and nothing may be fetched; `scripts_allowed` lets the
    page's other inline scripts run as well.

    Example: `page_of("notebook.html.j2", title="Today", body=body)`
    """
    script = asset("page_loader.js")
    ours = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    may_run = "'unsafe-inline' 'unsafe-eval'" if scripts_allowed else f"'sha256-{ours}'"
    policy = (
        f"default-src 'none'; script-src {may_run} blob:; style-src 'unsafe-inline'; img-src data: blob:; "
        "font-src data:; base-uri 'none'; form-action 'none'"
    )
    style = asset("page.css") + view_style()
    return (
        _templates()
        .get_template(template)
        .render(policy=policy, style=style, script=script, bundle=packed_bundle(), **parts)
    )


def json_columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """The columns of a frame as plain lists that JSON can carry; NA becomes None.

    Example: `json_columns(task_rows(data.tasks))["title"]`
    """
    plain = frame.astype("object")
    return {name: plain[name].where(frame[name].notna(), None).tolist() for name in frame.columns}


def view_style() -> str:
    """The style of the view.

    Example: `view_style()`
    """
    return asset("view.css") + asset("sections.css")


def _source(data: Workload) -> str:
    """What a reader is told of where the data are from: a file without the folders that it is in."""
    endpoint = data.endpoint
    return endpoint if Endpoint(endpoint).is_url else re.split(r"[/\\]", endpoint)[-1]


@cache
def _templates() -> Environment:
    return Environment(loader=PackageLoader("calypso_nb.view", "assets"), autoescape=True, trim_blocks=True)


def _numbers(data: Workload) -> list[Tile]:
    """The tiles of the view, which its script counts again whenever the filter changes."""
    return [tile for tile in data.tiles() if tile.name not in ("complete", "attention")]
