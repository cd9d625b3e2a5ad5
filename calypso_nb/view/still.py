"""A workload as HTML that stands still: what is seen where nothing draws the view, such as without a kernel.

Jupyter takes scripts and style sheets out of what it doesn't trust, so that all styles are the elements' own.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from html import escape
from typing import Any, cast

import pandas as pd

from calypso_nb.view.charts import STATUS_COLORS
from calypso_nb.view.rows import task_rows
from calypso_nb.visible import visible
from calypso_nb.workload.counts import Tile
from calypso_nb.workload.phrases import UNASSIGNED, held_since, or_unknown, subject
from calypso_nb.workload.reporter import Workload

_NEEDS, _AGENTS, _ROWS, _DAYS = 12, 12, 20, 14
_LONGEST = 200
_URGENCY = {
    3: ("!!!", "never ends on its own", "#d1442b"),
    2: ("!!", "stalled", "#b8720c"),
    1: ("!", "to tidy up", "#7d8998"),
}
_HEIGHT, _WIDTH = 56, 160
_LINE = "1px solid #9aa3ad"
_QUIET = "font-size: 12px"
_HEAD = "margin: 14px 0 4px; font-size: 15px; font-weight: 600"
# JupyterLab floats the terms of its lists.
_PLAIN = "float: none; width: auto; margin: 0; padding: 0"
_BOX = f"min-width: 92px; padding: 6px 10px; border: {_LINE}; border-radius: 8px"
_CELL = f"padding: 3px 14px 3px 0; border: 0; border-bottom: {_LINE}; text-align: left; vertical-align: top"


def still(data: Workload) -> str:
    """Return numbers, what needs attention, agents, the last days and the most urgent open tasks as HTML."""
    parts = [_numbers(data), _attention(data), _agents(data), _days(data), _tasks(data)]
    return "\n".join(part for part in parts if part)


def facts(data: Workload, meta: Mapping[str, Any]) -> str:
    """Return from where the data are, and of when."""
    counted_at = meta["counted_at"] or ""
    told = {
        "Server": meta["endpoint"],
        "Read at": f"{data.generated_at:%Y-%m-%d %H:%M:%S} UTC",
        "Comments and links counted at": counted_at and f"{counted_at[:10]} {counted_at[11:19]} UTC",
        "Filters of the report": data.filters_text(),
        "Tasks": f"{len(data.tasks):,}",
    }
    pairs = "\n".join(
        f'<div style="display: flex; gap: 6px"><dt style="{_PLAIN}; {_QUIET}; font-weight: 400">{name}</dt>'
        f'<dd style="{_PLAIN}">{_said(fact)}</dd></div>'
        for name, fact in told.items()
        if fact
    )
    style = "display: flex; flex-wrap: wrap; gap: 2px 22px; margin: 0 0 10px; font-size: 13px"
    return f'<dl class="facts" style="{style}">\n{pairs}\n</dl>'


def _numbers(data: Workload) -> str:
    # The view counts the others again whenever its filter changes.
    tiles = (tile for tile in data.tiles() if tile.name not in ("complete", "attention"))
    style = "display: flex; flex-wrap: wrap; gap: 8px; margin: 0"
    return f'<div class="calypso-numbers"><dl style="{style}">\n{joined(map(_tile, tiles))}\n</dl></div>'


def _tile(tile: Tile) -> str:
    name, label, value, note = map(escape, tile)
    small = note and f'<small style="{_QUIET}; font-weight: 400"> {note}</small>'
    return (
        f'<div data-number="{name}" style="{_BOX}">'
        f'<dt style="{_PLAIN}; {_QUIET}; font-weight: 400">{label}</dt>'
        f'<dd style="{_PLAIN}; font-size: 22px; font-weight: 600">{value}{small}</dd></div>'
    )


def _attention(data: Workload) -> str:
    lines = cast(list[dict[str, Any]], data.attention.head(_NEEDS).to_dict("records"))
    if not lines:
        return _section("Nothing needs attention", "")
    head = f'<p dir="auto" style="margin: 0 0 4px; {_QUIET}">{_said(data.attention_head(), 4 * _LONGEST)}</p>'
    table = _table((), (_need(line, data) for line in lines), len(data.attention), "lines")
    return _section(f"Needs attention: {len(data.attention):,}", head + table)


def _need(line: Mapping[str, Any], data: Workload) -> list[Any]:
    sign, words, color = _URGENCY[line["urgency"]]
    what = subject(line) or f"#{line['task_id']} {or_unknown(line['title'], '')}"
    priority = "" if pd.isna(line["priority"]) else f"P{line['priority']} · "
    why = f'<div style="{_QUIET}">{_said(line["evidence"], 2 * _LONGEST)} → {_said(line["to_do"])}</div>'
    mark = f'<b title="{words}" style="color: {color}">{sign}</b>'
    since = escape(priority + held_since(line, data.generated_at))
    return [mark, f"<b>{_said(what)}</b>{why}", f'<div style="white-space: nowrap">{since}</div>']


def _agents(data: Workload) -> str:
    agents = cast(list[dict[str, Any]], data.agents.head(_AGENTS).to_dict("records"))
    most = max((agent["open"] for agent in agents), default=0)
    if not most:
        return ""
    rows = ([_said(agent["agent"]), *_counts(agent), _bar(agent, most)] for agent in agents)
    table = _table(("agent", "working", "idle", "blocked", ""), rows, len(data.agents), "agents")
    return _section(f"Agents: {len(data.agents):,}", table)


def _counts(agent: Mapping[str, Any]) -> list[str]:
    return [or_unknown(agent[name]) for name in ("working", "idle", "blocked")]


def _bar(agent: Mapping[str, Any], most: int) -> str:
    return "".join(
        f'<span title="{agent[status]} {status}" style="display: inline-block; height: 12px; '
        f'width: {_WIDTH * agent[status] / most:.0f}px; background-color: {STATUS_COLORS[status]}"></span>'
        for status in ("working", "idle")
    )


def _days(data: Workload) -> str:
    tasks = data.tasks[data.tasks["archived_at"].isna()]
    new = tasks["created_at"].dt.date.value_counts()
    finished = tasks.loc[tasks["status"] == "complete", "updated_at"].dt.date.value_counts()
    days = [(data.generated_at - timedelta(days=back)).date() for back in reversed(range(_DAYS))]
    counted = [(day, int(new.get(day, 0)), int(finished.get(day, 0))) for day in days]
    _, came, ended = zip(*counted, strict=True)
    most = max(*came, *ended)
    if not most:
        return ""
    columns = "".join(_day(*day, most) for day in counted)
    style = f"display: flex; gap: 6px; align-items: flex-end; width: max-content; height: {_HEIGHT}px"
    chart = f'<div style="{style}; border-bottom: {_LINE}">{columns}</div>'
    return _section(f"Last {_DAYS} days: {sum(came):,} new, at most {sum(ended):,} finished", chart)


def _day(day: date, came: int, ended: int, most: int) -> str:
    bars = "".join(
        f'<div style="width: 10px; height: {_HEIGHT * count / most:.0f}px; background-color: {color}"></div>'
        for count, color in ((came, STATUS_COLORS["working"]), (ended, STATUS_COLORS["complete"]))
    )
    words = f"{day:%Y-%m-%d}: {came} new, at most {ended} finished"
    return f'<div title="{words}" style="display: flex; align-items: flex-end">{bars}</div>'


def _tasks(data: Workload) -> str:
    urgent = data.tasks[data.tasks["is_open"]].sort_values(["priority", "age_hours"], ascending=False)
    shown = task_rows(urgent.head(_ROWS))[["id", "title", "status", "agent", "priority", "age"]]
    shown = shown.assign(agent=shown["agent"].fillna(UNASSIGNED))
    rows = ([_said(or_unknown(cell)) for cell in cells] for cells in shown.itertuples(index=False))
    table = _table(
        ("#", "title", "status", "agent", "priority", "age"),
        rows,
        int(data.tasks["archived_at"].isna().sum()),
        "tasks",
    )
    return _section("Most urgent open tasks", table)


def _section(title: str, body: str) -> str:
    return f'<h3 style="{_HEAD}">{title}</h3>\n{body}'


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]], total: int, what: str) -> str:
    """Return a table of cells that are HTML, and how many of what is in all it leaves out."""
    body = [_row("td", row) for row in rows]
    head = f"<thead>{_row('th', heads)}</thead>" if heads else ""
    left = total - len(body)
    more = f'<p style="margin: 2px 0; {_QUIET}">… and {left:,} more {what}</p>' if left > 0 else ""
    style = "border-collapse: collapse; font-size: 13px"
    return f'<table style="{style}">\n{head}<tbody>\n{joined(body)}\n</tbody>\n</table>{more}'


def _row(tag: str, cells: Iterable[Any]) -> str:
    inner = "".join(f'<{tag} dir="auto" style="{_CELL}">{cell}</{tag}>' for cell in cells)
    return f"<tr>{inner}</tr>"


def _said(text: str, most: int = _LONGEST) -> str:
    """Return what somebody wrote as HTML, cut, with control characters seen."""
    return escape(visible(f"{text[:most]}…" if len(text) > most else text))


def joined(parts: Iterable[str]) -> str:
    """Return parts of HTML, a line each."""
    return "\n".join(parts)
