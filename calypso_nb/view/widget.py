"""The widget that draws a workload in the browser: what Python and the browser share."""

from __future__ import annotations

from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets

from calypso_nb.view.bundle import asset, packed_bundle
from calypso_nb.view.page import view_style

__all__ = ["WorkloadView"]


class WorkloadView(anywidget.AnyWidget):
    """A `Workload` drawn and filtered in the browser: numbers, filters, charts and a task table.

    `payload` is what `view_payload` makes. `filter` holds the fields of `NO_FILTER`, shared with the browser
    both ways. `statuses` and `agents` are the ipywidgets for these two filters, a toggle button a status and
    one input, whose options `offered` names; without them the view makes controls of its own. `live` says
    that somebody answers its messages and keeps `news`; `every` is the time in seconds after which the
    browser asks for new data by itself, 0 for never.
    Example: `WorkloadView(payload=view_payload(data), filter={"statuses": ["idle"]})`
    """

    _esm = asset("widget_loader.js")
    _css = view_style()

    payload = traitlets.Dict().tag(sync=True)
    filter = traitlets.Dict().tag(sync=True)
    statuses = traitlets.List(traitlets.Instance(widgets.ToggleButton)).tag(
        sync=True, **widgets.widget_serialization
    )
    agents = traitlets.List(traitlets.Instance(widgets.SelectMultiple), maxlen=1).tag(
        sync=True, **widgets.widget_serialization
    )
    offered: traitlets.List[str | None] = traitlets.List().tag(sync=True)
    news = traitlets.Dict().tag(sync=True)
    every = traitlets.Float(0, min=0).tag(sync=True)
    live = traitlets.Bool(False).tag(sync=True)
    bundle = traitlets.Unicode().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(bundle=packed_bundle(), **traits)

    def __repr__(self) -> str:
        return f"<WorkloadView of {len(self.payload['rows']['id'])} tasks>"  # and not of all that they say
