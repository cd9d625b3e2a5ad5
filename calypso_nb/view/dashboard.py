"""The live dashboard: one view of numbers, filters, charts and tasks, read again when asked or by itself."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anywidget
import ipywidgets as widgets
import pandas as pd
import traitlets
from IPython.display import DisplayHandle, display

from calypso_nb.client.actions import can_act
from calypso_nb.client.calls import Details
from calypso_nb.errors import TinytaskConnectionError, UsageError
from calypso_nb.flow.measures import Flow, flow_now
from calypso_nb.frames import OPEN_STATUSES, STATUSES
from calypso_nb.history.digest import Digest
from calypso_nb.history.live import Live, Liveness
from calypso_nb.run_marks import RUNNING
from calypso_nb.settings import Endpoint
from calypso_nb.view.bundle import asset, packed, packed_bundle
from calypso_nb.view.delta import payload_change
from calypso_nb.view.page import BELOW, saved_bundle, view_style
from calypso_nb.view.payload import digest_payload, feed_payload, flow_payload, view_payload
from calypso_nb.view.rows import NO_FILTER, matching
from calypso_nb.view.task_dialog import (
    Done,
    changes_between,
    reason,
    refusal,
    respond,
    with_counts_of,
)
from calypso_nb.workload.phrases import UNASSIGNED
from calypso_nb.workload.reporter import Reporter, Workload

# Seconds between two looks of its recorder, between two updates of what an export shows, and of its flow.
_EVERY = 30.0
_SAVE_SECONDS = 10.0
_MEASURE_SECONDS = 600.0
# What some filters may hold, and that in words.
_KNOWN: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "statuses": (lambda value: value in STATUSES, f"any of {', '.join(STATUSES)}"),
    "blocked": (lambda value: value is None or isinstance(value, bool), "any of True, False and None"),
    "ids": (lambda value: type(value) is int, "numbers of tasks"),
}
# So many tasks are counted before they are shown, and so long a notebook's output waits for more.
_AT_ONCE = 500
_WAIT_SECONDS = 5.0
# How many digests back somebody may have seen, as more happened while they looked.
_LAST_DIGESTS = 8


class WorkloadView(anywidget.AnyWidget):
    """A `Workload` drawn and filtered in the browser.

    - packed: what `view_payload` returns, as it is when a browser asks for it, with its version
    - change: what differs in it from the version before
    - filter: the fields of `NO_FILTER`, shared with the browser both ways
    - statuses, agents: the ipywidgets of these two filters; without them the view makes its own controls
    - offered: the agent for each option of `agents`
    - live: whether a kernel responds to the view's messages
    - acts: whether it can change anything, which it can't in a database file
    - counts: whether the kernel counts comments and links of tasks that somebody looks at
    - news: what the kernel reports often: an error, progress, how live a history is
    - happened: what changed since the last reading, and what happened since somebody looked
    - every: seconds after which the browser asks for new data by itself, 0 for never
    """

    _esm = asset("widget_loader.js")
    _css = view_style()

    packed = traitlets.Bytes().tag(sync=True, to_json=lambda _, view: view._all_packed())
    change = traitlets.Bytes().tag(sync=True)
    filter = traitlets.Dict().tag(sync=True)
    statuses = traitlets.List(traitlets.Instance(widgets.ToggleButton)).tag(
        sync=True, **widgets.widget_serialization
    )
    agents = traitlets.List(traitlets.Instance(widgets.SelectMultiple), maxlen=1).tag(
        sync=True, **widgets.widget_serialization
    )
    offered: traitlets.List[str | None] = traitlets.List().tag(sync=True)
    counts = traitlets.Bool(False).tag(sync=True)
    news = traitlets.Dict().tag(sync=True)
    happened = traitlets.Dict().tag(sync=True)
    every = traitlets.Float(0, min=0).tag(sync=True)
    live = traitlets.Bool(False).tag(sync=True)
    acts = traitlets.Bool(True).tag(sync=True)
    bundle = traitlets.Unicode().tag(sync=True)

    def __init__(self, payload: dict[str, Any], **traits: Any) -> None:
        self._shown = 0, payload
        super().__init__(bundle=packed_bundle(), **traits)
        self.on_msg(self._asked)

    @property
    def payload(self) -> dict[str, Any]:
        """What is shown."""
        return self._shown[1]

    def show(self, payload: dict[str, Any]) -> bool:
        """Show something else, and return whether more has happened than that time has passed."""
        version, before = self._shown
        change = payload_change(before, payload)
        self._shown = version + 1, payload
        self.change = packed({"version": version + 1, **change})
        return not change["aged"]

    def _all_packed(self) -> bytes:
        version, payload = self._shown
        return packed({"version": version, "payload": payload})

    def _asked(self, _: object, message: Mapping[str, Any], __: object) -> None:
        """Send everything to a browser that has missed a change."""
        if message.get("ask") == "payload" and message["version"] != self._shown[0]:
            self.send_state("packed")

    def __repr__(self) -> str:
        return f"<WorkloadView of {len(self.payload['rows']['id'])} tasks>"  # and not of all that they say


class Dashboard(widgets.VBox):
    """A team's workload in one cell: numbers, filters, charts, tasks, and a supervisor's actions.

    Put `Dashboard(reporter)` in a cell; that's all. Filters work in the browser on what was read; *Refresh*,
    `refresh()` and the timer ask the server. `statuses` and `agents` are the ipywidgets of these two filters,
    to observe or link in Python; `filter` holds all filters.

    With a history, it records while it is open, and shows each change as soon as that is written down. While
    somebody else records that server in that file, it shows what they write. A line says how live it is, and
    since when the server is away. *Since you looked* is `history.digest()`, and *Seen* moves your mark.

    - reporter: where the data come from
    - status_filter, agent_filter: what the filters start with
    - details: count comments and links. On a server with more than 500 tasks, those of tasks in progress are
      counted once the rest is shown, and all others when their rows come in sight. A refresh by the timer
      counts only those of new tasks, of tasks in progress, and of those that ask something
    - every: seconds between refreshes by the timer, 0 for none; with a history between two looks at the
      server, by default 30, if it doesn't push
    - author: who signs comments and handoffs made here
    - history: the file to record in, made if it is not there
    - hub: `HOST:PORT` at which a TinyTask v2 tells each change as it happens; `hub_url` is what it needs

    Raise what `collect_workload_data` raises on the first read, and ValueError for what is not a reporter and
    for a hub without a history. With a history, raise what `Recorder` raises too.

    Example: `Dashboard(reporter, every=60)`
    """

    _ready = False
    _live: Live[Workload] | None = None

    def __init__(
        self,
        reporter: Reporter[Any],
        *,
        status_filter: Sequence[str] = OPEN_STATUSES,
        agent_filter: str | Sequence[str | None] | None = None,
        details: bool = True,
        every: float = 0,
        author: str = "supervisor",
        history: str | os.PathLike[str] | None = None,
        hub: str | None = None,
    ) -> None:
        if not isinstance(reporter, Reporter):
            given = type(reporter).__name__
            raise UsageError(
                f"Dashboard takes a WorkloadReporter, not a {given}: Dashboard(WorkloadReporter(…))"
            )
        if hub is not None and history is None:
            raise UsageError("what a hub is told goes into a history: Dashboard(reporter, history=…, hub=…)")
        self.reporter = reporter
        self.author = author
        self._details = details
        self._reading = threading.Lock()
        self._reader: int | None = None
        self._showing = threading.RLock()
        self._reporting = threading.Lock()
        self._callbacks: list[Callable[[pd.DataFrame], object]] = []
        self._saved = DisplayHandle()
        self._displayed = False
        self._saved_at, self._unsaved = 0.0, False
        self._saved_filter: dict[str, Any] | None = None
        self._measured: dict[str, Any] = {}
        self._measured_at = -_MEASURE_SECONDS
        self._beats = 0
        self._looked: dict[int, Digest] = {}  # The last digests that were shown, by their numbers.
        self._looked_shown: dict[str, Any] = {}
        self._counting: threading.Thread | None = None
        self._in_sight: set[int] = set()
        self._undoable: Done = {}
        self.data: Workload
        if history is not None:
            self._live = Live(reporter.client, reporter.makes, history, every=every or _EVERY, hub=hub)
            every = 0  # The timer would only ask for what is there already.
        try:
            self._begin(status_filter, agent_filter, every)
        except BaseException:
            if self._live is not None:
                self._live.close()
            raise

    def _begin(
        self,
        status_filter: Sequence[str],
        agent_filter: str | Sequence[str | None] | None,
        every: float,
    ) -> None:
        self.data = self._compared = self._first()
        self._counted_at = self.data.generated_at
        agents = [agent_filter] if isinstance(agent_filter, str) else list(agent_filter or ())
        self._start = {**NO_FILTER, "statuses": list(status_filter), "agents": agents}
        self.statuses = tuple(
            widgets.ToggleButton(status in status_filter, description=status, tooltip=f"Show {status} tasks")
            for status in STATUSES
        )
        self.agents = widgets.SelectMultiple(
            options=((UNASSIGNED, None),), rows=1, tooltip="Several with Ctrl"
        )
        self.view = WorkloadView(
            self._payload(),
            filter=self._start,
            counts=self._details,
            statuses=self.statuses,
            agents=[self.agents],
            every=every,
            live=True,
            acts=can_act(self.reporter.client),
            news={} if self._live is None else {"liveness": _plain(self._live.liveness)},
            happened=self._since(),
        )
        super().__init__([self.view])
        values = lambda options: [value for _, value in options]  # noqa: E731
        traitlets.dlink((self.agents, "options"), (self.view, "offered"), values)
        self._agents_link = self._linked(self.agents, self._chosen_agents, self._with_agents)
        for button in self.statuses:
            status = button.description
            self._linked(button, partial(self._is_chosen, status), partial(self._with_status, status))
        self._offer_agents(agents)
        self._ready = True
        self.view.on_msg(self._asked)
        self.view.observe(self._changed, names="filter")
        if self._live is not None:
            self._live.follow(self._follow)
        if self._details and not self._is_small(self.data):
            self._counting = threading.Thread(target=self._count_needed, name="calypso-nb-count", daemon=True)
            self._counting.start()

    @property
    def hub_url(self) -> str | None:
        """What the server needs as its `TINYTASK_SIGNALR_HUB_URL`; it holds a secret. None without a hub."""
        recorder = None if self._live is None else self._live.recorder
        return None if recorder is None else recorder.hub_url

    @property
    def filter(self) -> dict[str, Any]:
        """All filters, with the fields of `NO_FILTER`; assigning some of the fields keeps the others.

        - statuses, agents, queues, tags, ages: lists of values, of which a task has one; empty for any. None
          is a task without an agent or a queue
        - blocked: a list of any of True, False and None, which is unknown
        - ids: a list of numbers of tasks
        - priority: the lowest and the highest, None for no bound
        - search: a text in titles, agents, queues and tags, or `#7`

        Example: `dashboard.filter = {"agents": ["alice"], "priority": [5, None]}`
        """
        return {**NO_FILTER, **self.view.filter}

    @filter.setter
    def filter(self, change: Mapping[str, Any]) -> None:
        unknown = change.keys() - NO_FILTER.keys()
        if unknown:
            raise ValueError(f"unknown filter {min(unknown)!r}; the filters are {', '.join(NO_FILTER)}")
        for name, value in change.items():
            kind = str if name == "search" else list | tuple
            if not isinstance(value, kind) or (name == "priority" and len(value) != 2):
                raise UsageError(f"the filter {name!r} is like {NO_FILTER[name]!r}, not {value!r:.60}")
        for name, (known, words) in _KNOWN.items():
            if odd := [value for value in change.get(name, ()) if not known(value)]:
                raise UsageError(f"the filter {name!r} has {words}, not {odd[0]!r:.60}")
        filter = {**self.filter, **change}
        self._offer_agents(filter["agents"])
        self.view.filter = filter

    @property
    def selected(self) -> pd.DataFrame:
        """The tasks that the dashboard shows, as a frame.

        Example: `dashboard.selected.query("priority > 5")`
        """
        return matching(self.data.tasks, self.filter)

    @property
    def filtered(self) -> Workload:
        """What the dashboard shows, counted.

        Example: `dashboard.filtered.summary.total_open_tasks`
        """
        shown = self.filter
        return replace(
            self.data,
            tasks=self.selected,
            status_filter=tuple(shown["statuses"]) or None,
            agent_filter=tuple(shown["agents"]) or None,
        )

    @property
    def flow(self) -> Flow:
        """How work flows: from the dashboard's history, else as far as the tasks themselves tell it.

        Example: `dashboard.flow.percentiles`
        """
        return flow_now(self.data) if self._live is None else Flow(self._live.journeys())

    def on_change(self, callback: Callable[[pd.DataFrame], object]) -> None:
        """Call a function with `selected`, now and whenever a filter or a refresh changes it.

        - callback: a function that any thread may call; the dashboard shows what it raises

        Example: `dashboard.on_change(lambda tasks: print(len(tasks)))`
        """
        self._callbacks.append(callback)
        self._call(callback)

    def refresh(self) -> None:
        """Read all tasks again, after what is being read; a failure is shown and keeps the old numbers.

        With a history of its own, have its recorder look now.
        """
        self._refresh(recount=self._details)

    def close(self) -> None:
        """Remove the dashboard, stop its timer and its recording, and let another recorder begin at once."""
        if self._live is not None:
            if self._displayed and not sys.is_finalizing():
                self._measure_if_old()  # While there is a history to ask.
            self._live.close()
            if self._unsaved and not sys.is_finalizing():
                self._save()
            self._displayed = False
        if self._ready:  # ipywidgets closes one that could not be made, too.
            for widget in (self.view, self.agents, *self.statuses):
                widget.close()
        super().close()

    def __repr__(self) -> str:
        return f"<Dashboard of {self.data!r}>"

    def _ipython_display_(self, **kwargs: Any) -> None:
        """Show the widget and, hidden while it lives, what an exported or reopened notebook shows.

        They are two outputs, so that each refresh can update the second without drawing the first again.
        """
        live = self._repr_mimebundle_(**kwargs)
        display({**live, "text/html": BELOW}, raw=True)
        self._displayed = True
        if self._counting is not None:
            self._counting.join(_WAIT_SECONDS)
        self._saved.display(self._static(), raw=True)

    def _offer_agents(self, chosen: Sequence[str | None]) -> None:
        """Offer every agent in the data, plus chosen agents that have disappeared.

        What is on offer keeps its place, and new agents come last.
        """
        offered = self.view.offered
        named = {*self.data.tasks["assigned_to"].dropna(), *chosen} - set(offered)
        if not named:
            return
        new = sorted(named, key=str.lower)
        self._agents_link.unlink()  # New options clear the choice, which the filter must not follow.
        with self.agents.hold_sync():
            self.agents.options = (*self.agents.options, *zip(new, new, strict=True))
            self.agents.rows = min(len(self.agents.options), 12)
            self._agents_link.link()

    def _linked(self, widget: Any, shown: Callable[..., Any], chosen: Callable[..., Any]) -> traitlets.link:
        """Let the value of a widget follow the filter, and the filter what is chosen in the widget."""
        return traitlets.link((self.view, "filter"), (widget, "value"), transform=(shown, chosen))

    def _chosen_agents(self, filter: Mapping[str, Any]) -> list[str | None]:
        return [agent for agent in filter.get("agents", ()) if agent in self.view.offered]

    def _with_agents(self, agents: Sequence[str | None]) -> dict[str, Any]:
        before = [agent for agent in self.filter["agents"] if agent in agents]
        return {**self.filter, "agents": [*before, *(agent for agent in agents if agent not in before)]}

    def _is_chosen(self, status: str, filter: Mapping[str, Any]) -> bool:
        return status in filter.get("statuses", ())

    def _with_status(self, status: str, pressed: bool) -> dict[str, Any]:
        statuses = [other for other in self.filter["statuses"] if other != status]
        if pressed:
            statuses.append(status)
        return {**self.filter, "statuses": statuses}

    def _static(self) -> dict[str, Any]:
        self._measure_if_old()
        self._saved_filter = self.filter
        payload = {**self.view.payload, "filter": self._saved_filter, "flow": self._measured}
        return {**saved_bundle(self.data, payload), "text/plain": repr(self)}

    def _measure_if_old(self) -> None:
        if time.monotonic() - self._measured_at > _MEASURE_SECONDS:
            self._measure()

    def _measure(self) -> dict[str, Any]:
        """Measure the flow, and keep what its tab shows, which says of what moment it is."""
        self._measured, self._measured_at = flow_payload(self.flow), time.monotonic()
        return self._measured

    def _refresh(self, recount: bool, in_sight: Sequence[int] = (), timed: bool = False) -> None:
        # Who asks while something is read wants what is there now, which that may have missed.
        with self._reads_alone(wait=not timed) as alone:
            if not alone:
                return
            try:
                self._report(busy=True, done=0, total=0)
                self._in_sight = {*in_sight}
                self._read_and_show(recount)
                self._compared = self.data
            finally:
                self._report(busy=False, done=0, total=0)

    @contextmanager
    def _reads_alone(self, wait: bool = True) -> Iterator[bool]:
        """Let nobody else read the board meanwhile; False if somebody does, or who asks is called by that."""
        if self._reader == threading.get_ident() or not self._reading.acquire(blocking=wait):
            yield False
            return
        self._reader = threading.get_ident()
        try:
            yield True
        finally:
            self._reader = None
            self._reading.release()

    def _read_and_show(
        self, recount: bool, task: Mapping[str, Any] | None = None, *, ask: bool = True
    ) -> None:
        with self._showing:  # What is read last is shown last.
            try:
                self._show(self._read(recount, task) if ask else self._recorded())
            except Exception as error:  # Raised on a thread of its own it would be lost in the log.
                away = self.view.news.get("away") or datetime.now(UTC).isoformat()
                self._report(error=self._why(error), about="data", away=away)

    def _why(self, error: Exception) -> str:
        why = reason(error)
        if self._live is not None and isinstance(error, TinytaskConnectionError):
            return why.partition(". ")[0]  # The rest is how to begin, and this server has been there.
        return why

    def _first(self) -> Workload:
        """Read all tasks for the first time, and count what can be counted at once."""
        live, data = self._live, None
        if live is not None:
            live.commented()  # What has been said until now is counted with all else.
            if live.recorder is not None:
                data = live.read()  # It has just looked.
        if data is None:
            data = self._listed()
        if self._details and self._is_small(data):
            return self._counted(data, data, _ids(data))
        return data

    def _listed(self) -> Workload:
        data: Workload = self.reporter.collect_workload_data(
            status_filter="all", details=False, progress=False
        )
        return data

    def _is_small(self, data: Workload) -> bool:
        """Return whether all tasks can be counted at once; a file takes no request for each."""
        return len(data.tasks) <= _AT_ONCE or not Endpoint(data.endpoint).is_url

    def _count_needed(self) -> None:
        """Count what `attention` needs, once everything else is shown."""
        try:
            self._count(self._needed(self.data), self._advance)
        except Exception as error:
            self._report(error=self._why(error), about="counts")
        finally:
            self._report(done=0, total=0)

    def _needed(self, data: Workload) -> list[int]:
        """Return the tasks whose comments `attention` goes by: those in progress, and that have asked."""
        asking = self.data.needs.loc[self.data.needs["reason"] == "waiting_on_human", "task_id"].tolist()
        working = data.tasks.loc[data.tasks["status"] == "working", "id"].tolist()
        return sorted({*working, *asking} & {*_ids(data)})

    def _count(self, ids: Sequence[int], progress: bool | Callable[[int, int], None] = False) -> None:
        """Count comments and links of some tasks, and show them."""
        fresh = self._fresh(ids, progress)
        with self._showing:
            self._show_data(with_counts_of(self.data, self.data, fresh))

    def _fresh(
        self, ids: Sequence[int], progress: bool | Callable[[int, int], None] = False
    ) -> dict[int, Details]:
        client = self.reporter.client
        if not ids:
            return {}
        return dict(client.count_details(ids, progress, seconds=client.seconds_for(len(ids))))

    def _read(self, recount: bool, task: Mapping[str, Any] | None) -> Workload:
        """Read all tasks; without `recount` only the comments that may have news, `task` being known."""
        recorder = None if self._live is None else self._live.recorder
        if recorder is not None:
            recorder.look()
            return self._recorded(recount, task)
        data = self._listed()
        if recount or not self._details:
            self._counted_at = data.generated_at
        if not self._details:
            return data
        if recount:
            return self._counted(data, self.data, self._recounted(data), progress=self._advance)
        return self._counted(data, self.data, sorted({*self._new(data), *self._needed(data)}), task)

    def _recounted(self, data: Workload) -> list[int]:
        """Return the tasks that somebody who asks for new data gets counted: all, or what they see."""
        if self._is_small(data):
            return _ids(data)
        return sorted({*self._new(data), *self._needed(data), *(self._in_sight & {*_ids(data)})})

    def _recorded(self, recount: bool = False, task: Mapping[str, Any] | None = None) -> Workload:
        """Return all tasks as the history has them, without asking the server for more than counts."""
        assert self._live is not None
        commented, data = self._live.commented(), self._live.read()
        if recount or not self._details:
            self._counted_at = data.generated_at
        if not self._details:
            return data
        if recount:
            return self._counted(data, self.data, self._recounted(data), progress=self._advance)
        return self._counted(data, self.data, sorted({*self._new(data)} | (commented & {*_ids(data)})), task)

    def _new(self, data: Workload) -> list[int]:
        """Return the tasks whose comments are to be read: new ones, and those whose runs may have signed."""
        tasks = data.tasks[data.tasks["status"] == "working"]
        running = tasks.loc[tasks["tags"].map(lambda tags: RUNNING in tags).astype(bool), "id"]
        alive = self.data.tasks.loc[self.data.tasks["run_until"] > data.generated_at, "id"]
        new = {*_ids(data)} - {*_ids(self.data)}
        return sorted(new | {*running.tolist()} - {*alive.tolist()})

    def _counted(
        self,
        data: Workload,
        before: Workload,
        uncounted: list[int],
        task: Mapping[str, Any] | None = None,
        progress: bool | Callable[[int, int], None] = False,
    ) -> Workload:
        """Return tasks with counts of before, and of those that are not yet counted with new ones."""
        fresh = self._fresh(uncounted, progress)
        if task is not None and (details := Details.of(task)):
            fresh[task["id"]] = details
        return with_counts_of(data, before, fresh)

    def _advance(self, done: int, total: int) -> None:
        self._report(done=done, total=total)

    def _show(self, data: Workload) -> None:
        # What came one by one since somebody asked is told together, however fast it came.
        before = self.data if self._live is None else self._compared
        self.data = data
        self._offer_agents(self.filter["agents"])
        changes = changes_between(before, data)
        self._tell(since=before.generated_at.isoformat(), changes=changes, **self._since())
        self._report(error="", away=None)
        self._show_data(data)

    def _show_data(self, data: Workload) -> None:
        self.data = data
        changed = self.view.show(self._payload())
        self._changed()
        # What is only older needs no saving: a notebook would be changed by it.
        if self._displayed and (changed or self.filter != self._saved_filter):
            self._unsaved = True
        self._save_in_time()

    def _payload(self) -> dict[str, Any]:
        return view_payload(self.data, counted_at=self._counted_at) | {"filter": self._start}

    def _since(self) -> dict[str, Any]:
        """Return what happened since this person looked, for the news; nothing without a history."""
        if self._live is None:
            return {}
        try:
            digest = self._live.digest()
        except (OSError, UsageError) as error:  # No reason to show no tasks.
            return {"looked": {"error": reason(error)}}
        number = max(self._looked, default=0)
        shown = digest_payload(digest, number)
        if shown != self._looked_shown:
            number += 1
            shown = self._looked_shown = {**shown, "number": number}
        kept = [*({**self._looked, number: digest}).items()][-_LAST_DIGESTS:]
        self._looked = dict(kept)
        return {"looked": shown}

    def _seen(self, number: int) -> None:
        """Move the person's mark past a digest that was shown, and show what came since."""
        if number not in self._looked:
            raise UsageError("that is too long ago: look again")
        self._looked[number].seen()
        self._tell(**self._since())

    def _save_in_time(self) -> None:
        """Update what an export shows: it is large, so with a history not with each change."""
        if self._unsaved and (self._live is None or time.monotonic() - self._saved_at > _SAVE_SECONDS):
            self._save()

    def _save(self) -> None:
        self._saved_at, self._unsaved = time.monotonic(), False
        self._saved.update(self._static(), raw=True)

    def _follow(self, changed: bool) -> None:
        """Show what the history has, if it has changed, and how live it is."""
        assert self._live is not None
        if changed:
            self._read_and_show(recount=False, ask=False)
        self._save_in_time()
        self._beats += 1
        before, liveness = self.view.news["liveness"], _plain(self._live.liveness)
        self._report(liveness={**liveness, "beat": self._beats})
        if before["away"] and not liveness["away"] and self.view.news.get("about") == "data":
            self._report(error="")

    def _changed(self, _: Mapping[str, Any] | None = None) -> None:
        for callback in list(self._callbacks):
            self._call(callback)

    def _call(self, callback: Callable[[pd.DataFrame], object]) -> None:
        try:
            callback(self.selected)
        except Exception as error:
            name = getattr(callback, "__name__", "a callback")
            self._report(error=f"{name}: {type(error).__name__}: {error}", about="callback")

    def _report(self, **news: Any) -> None:
        with self._reporting:
            self.view.news = {**self.view.news, **news}

    def _tell(self, **happened: Any) -> None:
        with self._reporting:
            self.view.happened = {**self.view.happened, **happened}

    def _asked(self, _: object, message: Mapping[str, Any], __: object) -> None:
        if message["ask"] == "payload":
            return
        # On a thread of its own, so that the kernel and the filters stay usable meanwhile.
        threading.Thread(target=self._answer, args=(message,), name="calypso-nb-ask", daemon=True).start()

    def _answer(self, message: Mapping[str, Any]) -> None:
        if message["ask"] == "refresh":
            recount = self._details and not message.get("timed")
            self._refresh(recount, _numbers(message.get("ids", ())), timed=bool(message.get("timed")))
            return
        try:
            shown = self._response(message)
        except Exception as error:  # The dialog waits for a response, whatever went wrong.
            self.view.send({"request": message["request"], "error": refusal(error)})
            return
        self.view.send({"request": message["request"], "task": shown})
        if "told" in shown or "refused" in shown:  # Other tasks may have changed too, a parent's status say.
            with self._reads_alone():
                self._read_and_show(recount=False, task=shown if "id" in shown else None)

    def _response(self, message: Mapping[str, Any]) -> dict[str, Any]:
        match message["ask"]:
            case "seen":
                self._seen(message["number"])
            case "counts":
                self._count(_numbers(message["ids"]))
            case "snooze" | "wake":
                self._put_aside(message)
            case "flow":
                return self._measure()
            case "agent":
                return self._latest(message["agent"])
            case _:
                return respond(self.reporter.client, message, self.data, self.author, self._undoable)
        return {}

    def _latest(self, agent: str) -> dict[str, Any]:
        """Return what an agent did last, and what happened to its tasks; nothing without a history."""
        if self._live is None:
            return {"lines": []}
        tasks = self.data.tasks
        feed = self._live.latest(agent, _ids_of(tasks[tasks["assigned_to"] == agent]))
        return {"lines": feed_payload(feed)}

    def _put_aside(self, message: Mapping[str, Any]) -> None:
        """Snooze a line of the attention list, or wake it; a history keeps that for all who use it."""
        keeper = self.reporter if self._live is None else self._live
        if message["ask"] == "wake":
            keeper.wake(message["line"])
        else:
            until = datetime.fromisoformat(message["until"]) if message["until"] else None
            keeper.snooze(message["line"], until, message["why"], self.author)
        with self._showing:
            self._show_data(keeper.with_snoozes(self.data))


def _ids(data: Workload) -> list[int]:
    return _ids_of(data.tasks)


def _ids_of(tasks: pd.DataFrame) -> list[int]:
    ids: list[int] = tasks["id"].tolist()
    return ids


def _numbers(ids: Sequence[Any]) -> list[int]:
    """Return the tasks that a browser says are in sight."""
    return [int(number) for number in ids[:_AT_ONCE]]


def _plain(liveness: Liveness) -> dict[str, Any]:
    """Return what `browser/src/liveness.js` puts into words."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in liveness._asdict().items()
    }
