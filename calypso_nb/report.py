"""The report that a user holds: the numbers of a workload, with all that they can be shown and saved as."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from calypso_nb.history.memory import Memory
from calypso_nb.history.moments import moment_in
from calypso_nb.history.saved import from_document
from calypso_nb.text.console import to_console
from calypso_nb.text.csv import to_csv
from calypso_nb.text.json import to_json
from calypso_nb.text.markdown import to_markdown
from calypso_nb.visible import visible
from calypso_nb.workload.phrases import moment, or_unknown, readable_hours
from calypso_nb.workload.reporter import Reporter, Workload

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

    def to_html(self, path: str | os.PathLike[str], title: str = "Workload") -> Path:
        """Write the report as one interactive HTML page that needs no kernel and no network.

        - path: the file to write, with the folders that it needs; it appears whole or not at all.
        - title: the heading of the page.

        Return the path. Raise OSError if the file can't be written.
        Example: `data.to_html("reports/today.html")`
        """
        from calypso_nb.view.page import write_report  # Altair takes a second to import.

        return write_report(self, path, title)

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

    - path: the file, by default `TINYTASK_HISTORY`, then `history.db`; or a folder that `export` has written
    - server: which server, if there are several; `servers` names them

    What happened at a known time has equal bounds, or a second between them; all else happened between them.
    If another database has been behind the server, all is about the newest one.

    Raise UsageError if the file is not a history, is damaged, or is of another version.
    Example: `history.events.query("change == 'finished'")`
    """

    makes = WorkloadData


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

    def _read_past(self, moment: datetime | str) -> tuple[pd.DataFrame, datetime]:
        when = moment_in(moment)
        history = History(self.history, self.client.endpoint)
        try:
            return history.tasks_at(when), when
        finally:
            history.close()

    def to_json(self, data: WorkloadData, indent: int | None = 2) -> str:
        """Return a report as JSON: another way to write `data.to_json(indent)`."""
        return data.to_json(indent)


def _row(tag: str, cells: Iterable[Any]) -> str:
    start = f'<{tag} dir="auto" style="text-align: left">'
    return f"<tr>{''.join(f'{start}{_shown(cell)}</{tag}>' for cell in cells)}</tr>"


def _shown(value: Any, longest: int = 120) -> str:
    text = visible(or_unknown(value))
    if len(text) > longest:
        text = f"{text[: longest - 1]}…"
    return escape(text)
