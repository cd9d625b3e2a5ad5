"""The report that a user holds: the numbers of a workload, with all that they can be shown and saved as."""

from __future__ import annotations

import json
import math
import os
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from calypso_nb.audit.audit import Audit, audit_of, links_of, notes_of, past_notes
from calypso_nb.audit.seen import Past
from calypso_nb.errors import UsageError
from calypso_nb.flow.forecast import Forecast
from calypso_nb.flow.items import Selection
from calypso_nb.flow.measures import Flow
from calypso_nb.history.changes import micros_of
from calypso_nb.history.journeys import Journeys, journeys_in
from calypso_nb.history.memory import Memory
from calypso_nb.history.moments import moment_in
from calypso_nb.history.saved import from_document
from calypso_nb.history.signs import HABITS_SECONDS, Habits
from calypso_nb.settings import load_settings
from calypso_nb.snoozes import Snoozes
from calypso_nb.team import Snooze
from calypso_nb.text.console import to_console
from calypso_nb.text.csv import to_csv
from calypso_nb.text.json import to_json
from calypso_nb.text.markdown import to_markdown
from calypso_nb.visible import visible
from calypso_nb.workload.phrases import moment, or_unknown, readable_hours
from calypso_nb.workload.reporter import Reporter, Workload
from calypso_nb.workload.runs import read_runs

if TYPE_CHECKING:
    from calypso_nb.client import TinytaskClient

_ROWS = 10
_HEADS = ("task", "title", "status", "agent", "priority", "age")
_CELLS = ["id", "title", "status", "assigned_to", "priority", "age"]


@dataclass(frozen=True, repr=False, eq=False)
class WorkloadData(Workload):
    """One moment of a team's workload, as a `WorkloadReporter` read it or `from_json` found it saved.

    Its numbers and frames are those of `Workload`: `summary`, `tasks`, `agents`, `priorities`, `ages`,
    `attention`, `blocking`, `queues`, `tags`, `tree` and `flow`. In a cell it shows the numbers and the
    first tasks; `Dashboard` is the interactive view.
    Example: `data.tasks.query("priority > 2").sort_values("age_hours")`
    """

    @cached_property
    def audit(self) -> Audit:
        """Which rules of the process are broken, as far as the tasks alone show it; `AUDIT.md` has the rules.

        What needs comments, links or a history is not checked: `reporter.audit()` reads comments and links,
        and `history.audit()` has what happened.
        """
        return audit_of(self, self.team)

    def to_html(
        self,
        path: str | os.PathLike[str],
        title: str = "Workload",
        flow: Flow | None = None,
        audit: Audit | None = None,
    ) -> Path:
        """Write the report as one interactive HTML page that needs no kernel and no network.

        - path: the file to write, with the folders that it needs; it appears whole or not at all.
        - title: the heading of the page.
        - flow: what the tab *Flow* shows, such as `history.flow()`; by default what the tasks themselves tell
        - audit: what is shown of it, such as `reporter.audit()`; by default what the tasks themselves tell

        Return the path. Raise OSError if the file can't be written.
        Example: `data.to_html("reports/today.html")`
        """
        from calypso_nb.view.page import write_report  # Altair takes a second to import.

        return write_report(self, path, title, flow, audit or self.audit)

    def to_json(self, indent: int | None = 2, *, context: bool = False) -> str:
        """Return the whole report as JSON, which `from_json` reads back.

        - indent: blanks per level, None for one line
        - context: include all of the tasks that the report leaves out, and not only what its numbers need

        Example: `Path("today.json").write_text(data.to_json())`
        """
        return to_json(self, indent, context=context)

    def to_markdown(self, most: int = 20) -> str:
        """Return the report as Markdown for an issue or a chat, with at most `most` rows in each table.

        Example: `print(data.to_markdown(most=10))`
        """
        return to_markdown(self, most)

    def to_csv(self) -> str:
        """Return the tasks as CSV for a spreadsheet, in which no text is taken for a formula.

        Example: `Path("tasks.csv").write_text(data.to_csv(), "utf-8-sig")`
        """
        return to_csv(self.tasks)

    def to_console(self, width: int = 80, color: bool = False) -> str:
        """Return the report as text for a terminal with `width` columns, in colour if you like.

        Example: `print(data.to_console(width=160))`
        """
        return to_console(self, width, color)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the report that `to_json` wrote, the same in every number.

        Of the tasks that it leaves out, `all_tasks` has what was written: descriptions and tags only with
        `to_json(context=True)`.

        Raise ValueError if the text is not JSON or not a report.
        Example: `WorkloadData.from_json(data.to_json()).summary == data.summary`
        """
        return from_document(json.loads(text), cls)

    def _repr_html_(self) -> str:
        source = f"{moment(self.generated_at)} from {self.endpoint}; {self.filters_text()}"
        counted = " · ".join(f"{tile.label} <b>{tile.text}</b>" for tile in self.tiles())
        open_first = self.tasks.sort_values("is_open", ascending=False, kind="stable").head(_ROWS)
        rows = open_first.assign(age=open_first["age_hours"].map(readable_hours))[_CELLS]
        body = "".join(_row("td", row) for row in rows.itertuples(index=False))
        more = ""
        if len(self.tasks) > _ROWS:
            more = f"<p>… and {len(self.tasks) - _ROWS:,} more; <code>Dashboard</code> shows all of them.</p>"
        return (
            f"<div><p>{_shown(source, 300)}</p><p>{counted}</p><table>"
            f"<thead>{_row('th', _HEADS)}</thead><tbody>{body}</tbody></table>{more}</div>"
        )


class History(Memory[WorkloadData]):
    """What happened on a server, as a recorder has written it down; only read, while it is written too.

    - path: the file, by default `TINYTASK_HISTORY`, then `history.db`; a folder that `export` has written; or
      `"demo"`: two months of a sample project up to now, made anew each time; the file is `"./demo"`
    - server: which server, if there are several; `servers` names them

    What happened at a known time has equal bounds, or a second between them; all else happened between them.
    If another database has been behind the server, all is about the newest one.

    Raise UsageError if the file is not a history, is damaged, or is of another version.
    Example: `history.events.query("change == 'finished'")`
    """

    makes = WorkloadData

    def flow(
        self,
        since: datetime | str | None = None,
        bucket: str | None = None,
        *,
        agent: str | None = None,
        queue: str | None = None,
        tag: str | None = None,
        parent: int | None = None,
    ) -> Flow:
        """Return how work flows: throughput, WIP, cycle time, work item age and more, each a frame.

        - since: from when on it is shown over time, as `at` takes it; by default all that is recorded
        - bucket: the span of a row of `throughput`, one of `1 h`, `6 h`, `1 d` and `1 w`
        - agent, queue, tag, parent: only tasks that these have, or had last

        Raise UsageError for a name that no task has.
        Example: `history.flow().throughput`
        """
        return _flow(self.journeys(), since, bucket, Selection(agent, queue, tag, parent))

    def forecast(
        self,
        *,
        tag: str | None = None,
        parent: int | None = None,
        by: datetime | str | None = None,
        trials: int = 10_000,
        seed: int = 0,
        workers: int | str | None = None,
        progress: bool | Callable[[int, int], None] = True,
    ) -> Forecast:
        """Say when the open tasks will be done, or how many by a moment, and how often that was right.

        - tag, parent: only tasks with this tag, or below this task. A queue or an agent can't be asked: what
          leaves them isn't done
        - by: a moment, as `at` takes it; asks how many will be done by then
        - trials, seed: how many futures are drawn, and from what; the same seed gives the same answer
        - workers: how many processes, or the address of a Dask cluster, check forecasts of the past
        - progress: show a progress bar if that takes long, or call `progress(done, total)`

        Raise UsageError if no such task is open.
        Example: `history.forecast(progress=False).answer`
        """
        until = None if by is None else moment_in(by)
        return Forecast(
            self.journeys(),
            Selection(tag=tag, parent=parent),
            until,
            trials=trials,
            seed=seed,
            workers=workers,
            progress=progress,
        )

    def audit(
        self,
        since: datetime | str | None = None,
        agent_filter: str | Iterable[str | None] | None = None,
    ) -> Audit:
        """Check the rules of the process: how it is, and what has happened; nothing is asked of a server.

        - since: from when on what happened is checked, as `at` takes it; by default all that is recorded
        - agent_filter: only tasks of these agents, as `collect_workload_data` takes them

        Comments are those that were recorded: all of a database file, and of a server those that it pushed or
        that somebody read. What would need others, or links, is not checked.

        Example: `history.audit().trend`
        """
        data = self.now().select(agent_filter=agent_filter)
        return audit_of(data, data.team, past_notes(self.feed, self.coverage), None, self._past(since))

    def _past(self, since: datetime | str | None) -> Past:
        begin = None if since is None else float(micros_of(moment_in(since)))
        return Past(self.journeys(), self.events, begin)


class WorkloadReporter(Reporter[WorkloadData]):
    """Reads the workload of a team from one TinyTask server.

    - tinytask_client: the client to read with
    - history: the file that `as_of` reads from, by default `TINYTASK_HISTORY`, then `history.db`

    Example: `WorkloadReporter(TinytaskClient("demo")).collect_workload_data().agents`
    """

    makes = WorkloadData

    def __init__(
        self, tinytask_client: TinytaskClient, history: str | os.PathLike[str] | None = None
    ) -> None:
        super().__init__(tinytask_client)
        self.history = history
        self._known: tuple[float, Habits] = (-math.inf, Habits())

    def flow(
        self,
        since: datetime | str | None = None,
        bucket: str | None = None,
        *,
        agent: str | None = None,
        queue: str | None = None,
        tag: str | None = None,
        parent: int | None = None,
    ) -> Flow:
        """Return how work flows, by the history if it has this server, else as far as its tasks tell it now.

        Without a history, only creation is exact; all else are bounds. The parameters are `History.flow`'s.

        Example: `reporter.flow().expectation`
        """
        history = self.recorded()
        if history is not None:
            with closing(history):
                return history.flow(since, bucket, agent=agent, queue=queue, tag=tag, parent=parent)
        tasks, when = self.client.snapshot(None)
        journeys = journeys_in(tasks, float(micros_of(when)))
        return _flow(journeys, since, bucket, Selection(agent, queue, tag, parent))

    def audit(
        self,
        data: WorkloadData | None = None,
        since: datetime | str | None = None,
        *,
        notes: bool = True,
        progress: bool | Callable[[int, int], None] = True,
    ) -> Audit:
        """Check the rules of the process, by the server, and by its history if there is one.

        - data: what to check, by default all tasks as they are now
        - since: from when on what happened is checked, as `history.at` takes it
        - notes: also read the comments and links of the tasks and of the archived ones, which takes a request
          per task; without, the rules that need them are checked by the history, or not
        - progress: show a progress bar if that takes long, or call `progress(done, total)`

        Example: `reporter.audit().findings`
        """
        data = self.collect_workload_data("all", details=False) if data is None else data
        history = self.recorded()
        if history is None:
            past = comments = None
        else:
            with closing(history):
                past, comments = history._past(since), past_notes(history.feed, history.coverage)
        links = None
        if notes:
            archived = data.all_tasks.loc[data.all_tasks["archived_at"].notna(), "id"]
            ids = [*data.tasks["id"].tolist(), *archived.tolist()]
            said, linked, whole = self.client.read_notes(ids, progress)
            comments, links = notes_of(said, whole), links_of(linked, [*whole])
        return audit_of(data, data.team, comments, links, past)

    def runs(
        self,
        since: datetime | str = "7 days ago",
        progress: bool | Callable[[int, int], None] = True,
    ) -> pd.DataFrame:
        """Return the runs of tasks by `run-agent`, wherever they are: what runs, and what came of what ran.

        They are read from what the schedulers wrote on the tasks, a request per task that was edited since.
        The columns are those of `RUN_COLUMNS`; `run_totals` sums them up.

        - since: leave out what gave its last sign before that, as `history.at` takes it
        - progress: show a progress bar if that takes long, or call `progress(done, total)`

        Example: `reporter.runs("1 day ago").query("outcome == 'failed'")`
        """
        return read_runs(self.client, lambda now: moment_in(since, now), progress)

    def recorded(self) -> History | None:
        """Return the history of this server; None if none was named and the usual file hasn't got it.

        Example: `reporter.recorded()`
        """
        usual = self.history is None
        if usual and not load_settings().history.expanduser().exists():
            return None
        history = self._opened()
        try:
            _ = history.server
        except UsageError:
            history.close()
            if usual:
                return None
            raise
        return history

    def _habits(self) -> dict[str, Any]:
        if time.monotonic() - self._known[0] > HABITS_SECONDS:
            self._known = (time.monotonic(), self._read_habits())
        return self._known[1]._asdict()

    def _read_habits(self) -> Habits:
        try:
            history = self.recorded()
            if history is None:
                return Habits()
            with closing(history):
                return history.habits()
        except (UsageError, OSError) as error:
            if self.history is not None:
                raise
            # Nobody has asked for that file, and the report is about the server.
            warnings.warn(f"how long agents are usually silent is not known: {error}", stacklevel=4)
            return Habits()

    @property
    def snoozes(self) -> Snoozes:
        """What is snoozed on this server: in its history, if there is one, and by yourself.

        Example: `reporter.snoozes.current()`
        """
        place = Path(load_settings().history if self.history is None else self.history).expanduser()
        history = self.recorded() if self.history != "demo" and not place.is_dir() else None
        if history is None:
            return Snoozes(self.client.endpoint)
        with closing(history):
            return history.snoozes

    def _holding(self, moment: datetime, *, past: bool) -> tuple[Snooze, ...]:
        try:
            return super()._holding(moment, past=past)
        except (UsageError, OSError) as error:  # Better to see too much than too little.
            warnings.warn(f"what is snoozed in the history is shown: {error}", stacklevel=4)
            return Snoozes(self.client.endpoint).holding(moment, past=past)

    def _opened(self) -> History:
        return History(self.history, None if self.history == "demo" else self.client.endpoint)

    def _read_past(self, moment: datetime | str) -> tuple[pd.DataFrame, datetime]:
        when = moment_in(moment)
        with closing(self._opened()) as history:
            return history.tasks_at(when), when

    def to_json(self, data: WorkloadData, indent: int | None = 2) -> str:
        """Return a report as JSON: another way to write `data.to_json(indent)`."""
        return data.to_json(indent)


def _flow(journeys: Journeys, since: datetime | str | None, bucket: str | None, selection: Selection) -> Flow:
    return Flow(journeys, None if since is None else moment_in(since), bucket, selection)


def _row(tag: str, cells: Iterable[Any]) -> str:
    start = f'<{tag} dir="auto" style="text-align: left">'
    return f"<tr>{''.join(f'{start}{_shown(cell)}</{tag}>' for cell in cells)}</tr>"


def _shown(value: Any, longest: int = 120) -> str:
    text = visible(or_unknown(value))
    if len(text) > longest:
        text = f"{text[: longest - 1]}…"
    return escape(text)
