"""The live dashboard: one view of numbers, filters, charts and tasks, read again when asked or by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import ipywidgets as widgets
import pandas as pd
from IPython.display import DisplayHandle, display

from calypso_nb.frames import OPEN_STATUSES, STATUSES
from calypso_nb.view.page import BELOW, view_html, view_payload
from calypso_nb.view.rows import UNASSIGNED
from calypso_nb.view.selection import NO_FILTER, in_order, matching
from calypso_nb.view.task_dialog import act, reason, task_details, told_changes, with_counts_of
from calypso_nb.view.widget import WorkloadView
from calypso_nb.workload.reporter import Reporter, Workload

__all__ = ["Dashboard"]


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
        reporter: Reporter[Workload],
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
        self._leads = False
        self.data = reporter.collect_workload_data(details=details, progress=False)
        self._counted_at = self.data.generated_at
        agents = [agent_filter] if isinstance(agent_filter, str) else list(agent_filter or ())
        self.statuses = tuple(
            widgets.ToggleButton(status in status_filter, description=status, tooltip=f"Show {status} tasks")
            for status in STATUSES
        )
        self.agents = widgets.SelectMultiple(
            options=((UNASSIGNED, None),), rows=1, tooltip="Several with Ctrl"
        )
        self.view = WorkloadView(
            payload=view_payload(self.data),
            filter={**NO_FILTER, "statuses": list(status_filter), "agents": agents},
            statuses=self.statuses,
            agents=[self.agents],
            every=every,
            live=True,
        )
        super().__init__([self.view])
        self._offer_agents()
        self.view.on_msg(self._asked)
        self.view.observe(self._changed, names="filter")
        for widget in (self.agents, *self.statuses):
            widget.observe(self._chosen, names="value")

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
        self._offer_agents()
        with self._leading():
            self.agents.value = self.filter["agents"]
            for button in self.statuses:
                button.value = button.description in self.filter["statuses"]

    @property
    def selected(self) -> pd.DataFrame:
        """The tasks that the dashboard shows now, as a frame.

        Example: `dashboard.selected.query("priority > 5")`
        """
        return matching(self.data.tasks, self.filter)

    @property
    def filtered(self) -> Workload:
        """What the dashboard shows now, counted.

        Example: `dashboard.filtered.summary.total_open_tasks`
        """
        shown = self.filter
        return replace(
            self.data,
            tasks=self.selected,
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

    def _offer_agents(self) -> None:
        """Let the agents of the data be chosen, and those that are chosen already although they have gone.

        What is on offer keeps its place, and new agents come last: a click that is on its way names a place.
        """
        chosen, offered = self.filter["agents"], self.agents.options
        named = {*self.data.tasks["assigned_to"].dropna(), *chosen} - {agent for _, agent in offered}
        if named:
            new = sorted(named, key=str.lower)
            with self._leading(), self.agents.hold_sync():  # New options alone would take the choice away.
                self.agents.options = (*offered, *zip(new, new, strict=True))
                self.agents.rows = min(len(self.agents.options), 12)
                self.agents.value = chosen

    @contextmanager
    def _leading(self) -> Iterator[None]:
        """Let the widgets be set from the filter, and not the filter from the widgets."""
        self._leads = True
        try:
            yield
        finally:
            self._leads = False

    def _chosen(self, change: Mapping[str, Any]) -> None:
        # What is clicked comes from the browser with the rest of its filter, which may be ahead of Python's.
        if self._leads or change["owner"]._property_lock:
            return
        pressed = {button.description for button in self.statuses if button.value}
        self.filter = {
            "statuses": in_order(pressed, self.filter["statuses"]),
            "agents": in_order(self.agents.value, self.filter["agents"]),
        }

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
            except Exception as error:  # Raised on a thread of its own it would be lost in the log.
                self._tell(error=reason(error), about="data")
        finally:
            self._reading.release()
            self._tell(busy=False, done=0, total=0)

    def _read(self, recount: bool, task: Mapping[str, Any] | None = None) -> Workload:
        """Read all tasks, but count only new ones' comments and links unless told to; `task` is known."""
        advance = lambda done, total: self._tell(done=done, total=total)  # noqa: E731
        data = self.reporter.collect_workload_data(details=recount, progress=advance)
        if recount or not self._details:
            self._counted_at = data.generated_at
            return data
        new = sorted({*data.tasks["id"].tolist()} - {*self.data.tasks["id"].tolist()})
        fresh = self.reporter.client.count_details(new, progress=False) if new else {}
        if task is not None:
            fresh[task["id"]] = (len(task["comments"]), len(task["links"]))
        return with_counts_of(data, self.data, fresh)

    def _show(self, data: Workload) -> None:
        before, self.data = self.data, data
        self._offer_agents()
        self.view.payload = view_payload(data, counted_at=self._counted_at)
        self._tell(error="", since=before.generated_at.isoformat(), changes=told_changes(before, data))
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
        except Exception as error:
            self.view.send({"request": message["request"], "error": reason(error, refused=True)})
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
                self._tell(error=reason(error), about="data")
