"""The live dashboard: one view of numbers, filters, charts and tasks, read again when asked or by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import anywidget
import ipywidgets as widgets
import pandas as pd
import traitlets
from IPython.display import DisplayHandle, display

from calypso_nb.difference import difference
from calypso_nb.errors import TinytaskAPIError, TinytaskClientError
from calypso_nb.export import BELOW, asset, view_html, view_payload, view_script, view_style
from calypso_nb.frames import OPEN_STATUSES, STATUSES
from calypso_nb.libraries import libraries
from calypso_nb.reporter import WorkloadData, WorkloadReporter, workload_of
from calypso_nb.rows import UNASSIGNED
from calypso_nb.selection import NO_FILTER, matching
from calypso_nb.supervision import act, task_details, with_counts_of

__all__ = ["Dashboard", "WorkloadView"]

_TOLD = ("new", "started", "finished", "reassigned")


class WorkloadView(anywidget.AnyWidget):
    """A `WorkloadData` drawn and filtered in the browser: numbers, filters, charts and a task table.

    `payload` is what `view_payload` makes. `filter` holds the fields of `NO_FILTER`, shared with the browser
    both ways. `statuses` and `agents` are the ipywidgets for these two filters, a toggle button a status and
    one input; where there are none, the view makes controls of its own. `live` says that somebody answers its
    messages and keeps `news`; `every` is the time in seconds after which the browser asks for new data by
    itself, 0 for never.
    Example: `WorkloadView(payload=view_payload(data), filter={"statuses": ["idle"]})`
    """

    _esm = view_script() + asset("hosted.js") + asset("widget.js")
    _css = view_style()

    payload = traitlets.Dict().tag(sync=True)
    filter = traitlets.Dict().tag(sync=True)
    statuses = traitlets.List(traitlets.Instance(widgets.ToggleButton)).tag(
        sync=True, **widgets.widget_serialization
    )
    agents = traitlets.List(traitlets.Instance(widgets.SelectMultiple), maxlen=1).tag(
        sync=True, **widgets.widget_serialization
    )
    news = traitlets.Dict().tag(sync=True)
    every = traitlets.Float(0, min=0).tag(sync=True)
    live = traitlets.Bool(False).tag(sync=True)
    libraries = traitlets.Unicode().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(libraries=libraries(), **traits)

    def __repr__(self) -> str:
        return f"<WorkloadView of {len(self.payload['rows']['id'])} tasks>"  # and not of all that they say


class Dashboard(widgets.VBox):
    """A team's workload in one cell: numbers, filters, charts, tasks, and what a supervisor does with them.

    `status_filter` and `agent_filter` are what the filters start with. A filter works in the browser on what
    was read; *Refresh*, `refresh()` and, if `every` is not 0, a timer of that many seconds ask the server.
    With `details`, comments and links are counted, at a refresh by the timer only those of new tasks.
    `statuses` and `agents` are the ipywidgets of these two filters, to be observed or linked in Python; all
    filters are in `filter`. `author` signs what is commented from here. Raises what `collect_workload_data`
    raises when first read.
    Example: `Dashboard(WorkloadReporter(TinytaskClient("demo")), every=60)`
    """

    def __init__(
        self,
        reporter: WorkloadReporter,
        *,
        status_filter: Sequence[str] = OPEN_STATUSES,
        agent_filter: str | Sequence[str | None] | None = None,
        details: bool = True,
        every: float = 0,
        author: str = "supervisor",
    ) -> None:
        self.reporter = reporter
        self.author = author
        self._details = details
        self._reading = threading.Lock()
        self._telling = threading.Lock()
        self._callbacks: list[Callable[[pd.DataFrame], object]] = []
        self._saved = DisplayHandle()
        self._displayed = False
        self.data = reporter.collect_workload_data(details=details, progress=False)
        agents = [agent_filter] if isinstance(agent_filter, str) else list(agent_filter or ())
        self.statuses = tuple(
            widgets.ToggleButton(description=status, value=status in status_filter) for status in STATUSES
        )
        self.agents = widgets.SelectMultiple()
        self._offer_agents(agents)
        self.view = WorkloadView(
            payload=view_payload(self.data),
            filter={**NO_FILTER, "statuses": list(status_filter), "agents": agents},
            statuses=self.statuses,
            agents=[self.agents],
            every=every,
            live=True,
        )
        super().__init__([self.view])
        self.view.on_msg(self._asked)
        self.view.observe(self._changed, names="filter")

    @property
    def filter(self) -> dict[str, Any]:
        """What the filters let through, with the fields of `NO_FILTER`; those that are assigned are changed.

        Example: `dashboard.filter = {"agents": ["alice"], "priority": [5, None]}`
        """
        return {**NO_FILTER, **self.view.filter}

    @filter.setter
    def filter(self, change: Mapping[str, Any]) -> None:
        unknown = change.keys() - NO_FILTER.keys()
        if unknown:
            raise ValueError(f"unknown filter {min(unknown)!r}: there are {', '.join(NO_FILTER)}")
        self.view.filter = {**self.filter, **change}

    @property
    def selected(self) -> pd.DataFrame:
        """The tasks that the dashboard shows now, as a frame.

        Example: `dashboard.selected.query("priority > 5")`
        """
        return matching(self.data.tasks, self.filter)

    @property
    def filtered(self) -> WorkloadData:
        """What the dashboard shows now, counted.

        Example: `dashboard.filtered.summary.total_open_tasks`
        """
        data, shown = self.data, self.filter
        counted = workload_of(self.selected, data.generated_at, data.endpoint, data.details, data.board)
        return replace(
            counted,
            status_filter=tuple(shown["statuses"]) or None,
            agent_filter=tuple(shown["agents"]) or None,
        )

    def on_change(self, callback: Callable[[pd.DataFrame], object]) -> None:
        """Call a function with `selected`, now and whenever a filter or a refresh changes it.

        It may be called in any thread. What it raises is shown in the dashboard.
        Example: `dashboard.on_change(lambda tasks: setattr(label, "value", f"{len(tasks)} tasks"))`
        """
        self._callbacks.append(callback)
        self._call(callback)

    def refresh(self) -> None:
        """Read all tasks from the server again; a failure shows in the dashboard and keeps the old numbers.

        A refresh that is asked for while another runs is not started.
        Example: `dashboard.refresh()`
        """
        self._refresh(recount=self._details)

    def close(self) -> None:
        """Take the dashboard away, and its timer with it.

        Example: `dashboard.close()`
        """
        for widget in (self.view, self.agents, *self.statuses):
            widget.close()
        super().close()

    def __repr__(self) -> str:
        return f"<Dashboard of {self.data!r}>"

    def _ipython_display_(self, **kwargs: Any) -> None:
        """Show the widget and, hidden while it lives, what an exported or reopened notebook shows of it.

        They are two outputs, so that the second can follow each refresh without drawing the first again.
        """
        live = self._repr_mimebundle_(**kwargs)
        display({**live, "text/html": BELOW}, raw=True)
        self._displayed = True
        self._saved.display(self._static(), raw=True)

    def _offer_agents(self, chosen: Sequence[str | None]) -> None:
        """Let the agents of the data be chosen, and those that are chosen already although they have gone."""
        named = {*self.data.tasks["assigned_to"].dropna(), *chosen} - {None}
        options = [*((agent, agent) for agent in sorted(named, key=str.lower)), (UNASSIGNED, None)]
        with self.agents.hold_sync():  # The browser would take new options alone for nothing chosen.
            self.agents.options = options
            self.agents.rows = min(len(options), 12)
            self.agents.index = [i for i, (_, agent) in enumerate(options) if agent in chosen]

    def _static(self) -> dict[str, str]:
        payload = {**self.view.payload, "filter": self.filter}
        html = view_html(self.data, payload=payload)
        return {"text/html": f'<div class="calypso-saved">{html}</div>', "text/plain": repr(self)}

    def _refresh(self, recount: bool) -> None:
        if not self._reading.acquire(blocking=False):
            return
        try:
            self._tell(busy=True, done=0, total=0)
            try:
                self._show(self._read(recount))
            except TinytaskClientError as error:
                self._tell(error=str(error), about="data")
            except Exception as error:  # Raised on a thread of its own it would be lost in the log.
                self._tell(error=f"{type(error).__name__}: {error}", about="data")
        finally:
            self._reading.release()
            self._tell(busy=False, done=0, total=0)

    def _read(self, recount: bool, task: Mapping[str, Any] | None = None) -> WorkloadData:
        """Read all tasks, but count only new ones' comments and links unless told to; `task` is known."""
        advance = lambda done, total: self._tell(done=done, total=total)  # noqa: E731
        data = self.reporter.collect_workload_data(details=recount, progress=advance)
        if recount or not self._details:
            return data
        new = sorted({*data.tasks["id"].tolist()} - {*self.data.tasks["id"].tolist()})
        fresh = self.reporter.client.count_details(new, progress=False) if new else {}
        if task is not None:
            fresh[task["id"]] = (len(task["comments"]), len(task["links"]))
        return with_counts_of(data, self.data, fresh)

    def _show(self, data: WorkloadData) -> None:
        before, self.data = self.data, data
        changes = difference(before, data).changes
        told = changes[changes["change"].isin(_TOLD)]
        columns = {"change": "change", "task_id": "id", "title": "title", "agent": "agent"}
        rows = told[list(columns)].rename(columns=columns).astype("object")
        self._offer_agents(self.filter["agents"])
        self.view.payload = view_payload(data)
        self._tell(
            error="",
            since=before.generated_at.isoformat(),
            changes=rows.where(rows.notna(), None).to_dict("records"),
        )
        self._changed()
        if self._displayed:
            self._saved.update(self._static(), raw=True)

    def _changed(self, _: Mapping[str, Any] | None = None) -> None:
        for callback in list(self._callbacks):
            self._call(callback)

    def _call(self, callback: Callable[[pd.DataFrame], object]) -> None:
        try:
            callback(self.selected)
        except Exception as error:
            name = getattr(callback, "__name__", "a callback")
            self._tell(error=f"{name}: {type(error).__name__}: {error}", about="callback")

    def _tell(self, **news: Any) -> None:
        with self._telling:
            self.view.news = {**self.view.news, **news}

    def _asked(self, _: object, message: Mapping[str, Any], __: object) -> None:
        # On a thread of its own, so that the kernel and the filters stay usable meanwhile.
        threading.Thread(target=self._answer, args=(message,), name="calypso-nb-ask", daemon=True).start()

    def _answer(self, message: Mapping[str, Any]) -> None:
        if message["ask"] == "refresh":
            self._refresh(recount=self._details and not message.get("timed"))
            return
        client, task_id = self.reporter.client, message["id"]
        try:
            if message["ask"] == "act":
                act(client, task_id, message["action"], message, self.author)
            task = task_details(client, task_id, self.data)
        except TinytaskAPIError as error:
            self.view.send({"request": message["request"], "error": error.reason})
        except Exception as error:
            said = (
                str(error) if isinstance(error, TinytaskClientError) else f"{type(error).__name__}: {error}"
            )
            self.view.send({"request": message["request"], "error": said})
        else:
            self.view.send({"request": message["request"], "task": task})
            if message["ask"] == "act":
                self._read_after(task)

    def _read_after(self, task: Mapping[str, Any]) -> None:
        """Show what an action changed, in other tasks too: a parent's status, a block that is gone."""
        with self._reading:
            try:
                self._show(self._read(recount=False, task=task))
            except Exception as error:
                self._tell(error=f"{type(error).__name__}: {error}", about="data")
