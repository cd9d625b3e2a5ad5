"""A report for a terminal: in a narrow one, names and titles are cut, and numbers never."""

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from rich.bar import Bar
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from calypso_nb.history.difference import Difference
from calypso_nb.visible import visible
from calypso_nb.workload.phrases import held_since, moment, or_unknown, readable_hours, readable_range
from calypso_nb.workload.reporter import Workload

MOST_ROWS = 50
WIDE = 120
_LONGEST_WHY = 300
_AGENT_WIDTH = {True: 24, False: 14}

_STATUS_STYLES = {"idle": "yellow", "working": "blue", "complete": "bright_black"}
_AGENT_COUNTS = ("open", "idle", "working", "complete", "blocked")
_AGENT_AGES = {"mean age": "mean_age_hours", "oldest": "oldest_age_hours"}
_QUEUE_COUNTS = ("open", "idle", "working", "blocked", "unassigned")
# These columns hold names, which can be cut; so can what shares the room that the others leave.
_NAMES = ("agent", "recipe", "queue", "status", "change", "field")
_SHORTEST_NAME = 7
_SHORTEST_TEXT = 10
# What goes first if even its numbers have no room.
_SPARED = (
    *("mean age", "complete", "idle", "unassigned", "waits for", "working", "blocked", "in all", "prio"),
    *("status", "agent"),
)
_URGENCY = {3: ("!!!", "bold red"), 2: ("!!", "yellow"), 1: ("!", "")}


def to_console(data: Workload, width: int = 80, color: bool = False) -> str:
    """Return the report as text for a terminal with `width` columns, with ANSI colours if `color` is true.

    No title, name or tag can move the cursor, set a colour or hide: control characters are written out.
    """
    return _rendered(console_report(data, width), width, color)


def difference_to_console(change: Difference, width: int = 80, color: bool = False) -> str:
    """Return what changed as text for a terminal with `width` columns, a line per change."""
    before, after = change.before, change.after
    head = _plain(f"{moment(before['generated_at'])} to {moment(after['generated_at'])}, {after['endpoint']}")
    columns = ("change", ("task", "right"), "title", "field", "before", "after")
    table = _table(*columns, ratios={2: 2, 4: 1, 5: 1})
    for row in _records(change.changes):
        cells = (row["title"], row["field"], row["before"], row["after"])
        table.add_row(row["change"], str(row["task_id"]), *map(_plain, cells))
    body: RenderableType = _fitted(table, width)
    if change.changes.empty:
        body = Text("nothing changed")
    return _rendered(Group(_heading("What changed"), head, Text(), body), width, color)


def plan_to_console(plan: pd.DataFrame, width: int = 80) -> str:
    """Return a scheduler's plan as a table for a terminal: all that is run, and the first tasks that wait."""
    wide = width >= WIDE
    start = (("order", "right"), ("task", "right"))
    if wide:
        counts = (("prio", "right"), ("frees", "right"), ("failed", "right"))
        table = _table(*start, *counts, "agent", "recipe", "title", "why", ratios={7: 1, 8: 1})
    else:
        table = _table(*start, "agent", "recipe", "title and why", ratios={4: 1})
    table.columns[-1].no_wrap = False
    for column in table.columns:
        if column.header in ("agent", "recipe"):
            column.max_width = _AGENT_WIDTH[wide]
    shown = plan.head(int(plan["decision"].eq("run").sum()) + MOST_ROWS)
    for row in _records(shown):
        cells = ["wait" if pd.isna(row["order"]) else str(row["order"]), str(row["id"])]
        if wide:
            cells += [_number(row[name]) for name in ("priority", "frees", "failed")]
        who = (_plain(row["agent"]), _plain(row["recipe"]))
        title, why = _plain(row["title"]), _plain(row["why"][:_LONGEST_WHY])
        table.add_row(*cells, *who, *([title, why] if wide else [_above(title, why)]))
    parts: list[RenderableType] = [Text(), _fitted(table, width)]
    if len(plan) > len(shown):
        parts.append(Text(f"… and {len(plan) - len(shown):,} more wait"))
    return _rendered(Group(*parts), width) if len(plan) else ""


def console_report(data: Workload, width: int) -> Group:
    """Return the report as something that a rich console of that width prints, or shows live."""
    wide = width >= WIDE
    holders = data.blocking[data.blocking["holds_up_directly"] > 0]
    queues = data.queues.fillna({"queue": "(no queue)"})
    open_ages = data.ages[data.ages["open"] > 0]
    of_agents = [
        name for name in _AGENT_COUNTS if name != "complete" or data.summary.total_complete is not None
    ]
    sections = [
        ("Summary", _summary(data, width), 1),
        (f"Needs attention: {len(data.attention)}", _attention(data, wide), len(data.attention)),
        ("Agents", _counts(data.agents, "agent", of_agents, _AGENT_AGES), len(data.agents)),
        ("Priorities", _bars(data.priorities, "priority"), len(data.priorities)),
        ("Ages of open tasks, since creation", _bars(data.ages, "age"), len(open_ages)),
        ("Queues", _counts(queues, "queue", _QUEUE_COUNTS, {"oldest": "oldest_age_hours"}), len(queues)),
        ("Blocking", _blocking(holders, wide), len(holders)),
        ("Parent tasks, by their leaves", _tree(data), len(data.tree)),
        (f"Tasks: {len(data.tasks):,}", _tasks(data, wide), len(data.tasks)),
    ]
    parts: list[RenderableType] = [
        _heading("Workload"),
        _plain(f"{moment(data.generated_at)} from {data.endpoint}"),
        _plain(data.filters_text()),
    ]
    for title, table, rows in sections:
        shown = _fitted(table, width) if table.show_header else table
        parts += [Text(), _heading(title), shown if rows else Text("none", "bright_black")]
        if rows > table.row_count:
            parts.append(Text(f"… and {rows - table.row_count:,} more", "bright_black"))
    return Group(*parts)


def _summary(data: Workload, width: int) -> Table:
    tiles = [Text.assemble((tile.text, "bold"), " ", tile.label.lower()) for tile in data.tiles()]
    for columns in (5 if width >= WIDE else 3, 2, 1):
        table = Table(box=None, show_header=False, padding=(0, 3, 0, 0), pad_edge=False)
        for start in range(0, len(tiles), columns):
            table.add_row(*tiles[start : start + columns])
        widest = (max(tile.cell_len for tile in tiles[column::columns]) for column in range(columns))
        if sum(widest) + 3 * (columns - 1) <= width:
            break
    return table


def _attention(data: Workload, wide: bool) -> Table:
    if wide:
        columns = ("", ("task", "right"), "title", "agent", "for", "evidence", "to do")
        table = _table(*columns, ratios={2: 4, 5: 5, 6: 3})
        table.columns[5].no_wrap = table.columns[6].no_wrap = False
        table.columns[3].max_width = 18
    else:
        table = _table("", ("task", "right"), "for", "what, evidence, to do", ratios={3: 1})
        table.columns[3].no_wrap = False
    for row in _records(data.attention.head(MOST_ROWS)):
        mark, style = _URGENCY[row["urgency"]]
        start = (Text(mark, style), str(row["task_id"]))
        duration = held_since(row, data.generated_at)
        if wide:
            table.add_row(
                *start, *map(_plain, (row["title"], row["agent"], duration, row["evidence"], row["to_do"]))
            )
        else:
            what = _plain(f"{row['evidence']} → {row['to_do']}")
            table.add_row(*start, duration, _above(_plain(row["title"]), what))
    return table


def _bars(groups: pd.DataFrame, by: str) -> Table:
    names = ("open", "idle", "working")
    table = _table(*((name, "right") for name in (by, *names)), "", ratios={4: 1})
    most = max([1, *groups["open"]])
    for row in _records(groups):
        # A group without open tasks has no bar; the smallest bar is an eighth of a cell.
        bar = Bar(most, 0, row["open"], color="blue")
        table.add_row(_number(row[by]), *(_number(row[name]) for name in names), bar)
    return table


def _counts(groups: pd.DataFrame, by: str, names: Sequence[str], ages: Mapping[str, str]) -> Table:
    table = _table(by, *((name, "right") for name in (*names, *ages)))
    for row in _records(groups.head(MOST_ROWS)):
        hours = (_plain(readable_hours(row[column])) for column in ages.values())
        table.add_row(_plain(row[by]), *(_number(row[name]) for name in names), *hours)
    return table


def _blocking(holders: pd.DataFrame, wide: bool) -> Table:
    numbers = ((name, "right") for name in ("task", "waits for", "holds up", "in all"))
    table = _table(*numbers, "agent", "title", ratios={5: 1})
    table.columns[4].max_width = _AGENT_WIDTH[wide]
    for row in _records(holders.head(MOST_ROWS)):
        note = ""
        if row["cycle"]:
            note = "(circle) "
        elif pd.notna(row["archived_at"]):
            note = "(archived) "
        counts = map(_number, (row["blocked_by_task_id"], row["holds_up_directly"], row["holds_up_in_all"]))
        title = _plain(f"{note}{or_unknown(row['title'])}")
        table.add_row(str(row["id"]), *counts, _plain(row["assigned_to"]), title)
    return table


def _tree(data: Workload) -> Table:
    columns = (("task", "right"), ("done", "right"), "", ("working", "right"), ("idle", "right"), "title")
    table = _table(*columns, ratios={5: 1})
    table.columns[2].min_width = 10
    for row in _records(data.tree.head(MOST_ROWS)):
        done = f"{row['leaves_complete']}/{row['leaves']}"
        bar = Bar(row["leaves"], 0, row["leaves_complete"], width=10, color="green")
        title = _plain(row["title"])
        title.pad_left(2 * row["level"])
        table.add_row(
            str(row["id"]), done, bar, _number(row["leaves_working"]), _number(row["leaves_idle"]), title
        )
    return table


def _tasks(data: Workload, wide: bool) -> Table:
    more = ("queue", ("blocked by", "right"), ("in progress", "right")) if wide else ()
    columns = (("task", "right"), ("prio", "right"), "status", "agent", ("age", "right"), *more, "title")
    table = _table(*columns, ratios={len(columns) - 1: 1})
    table.columns[3].max_width = _AGENT_WIDTH[wide]
    # Open tasks first, in the server's order.
    shown = data.tasks.sort_values("is_open", ascending=False, kind="stable").head(MOST_ROWS)
    in_progress = data.flow.set_index("id")
    for row in _records(shown):
        status = _plain(row["status"])
        status.stylize(_STATUS_STYLES.get(row["status"], ""))
        cells: list[RenderableType] = [str(row["id"]), _number(row["priority"]), status]
        cells += [_plain(row["assigned_to"]), _plain(readable_hours(row["age_hours"]))]
        if wide:
            work = in_progress.loc[row["id"]]
            age = readable_range(work["work_item_age_min_hours"], work["work_item_age_max_hours"])
            waits = None
            if row["is_currently_blocked"] is True:
                waits = row["blocked_by_task_id"]
            cells += [_plain(row["queue_name"]), _number(waits), _plain(age)]
        table.add_row(*cells, _plain(row["title"]))
    return table


def _table(*columns: str | tuple[str, str], ratios: Mapping[int, int] | None = None) -> Table:
    """Return a table with these columns; those with ratios share the room that the others leave."""
    table = _empty(expand=bool(ratios))
    for column in columns:
        name, justify = (column, "left") if isinstance(column, str) else column
        overflow = "crop" if justify == "right" else "ellipsis"
        table.add_column(name, justify=justify, no_wrap=True, overflow=overflow)  # type: ignore[arg-type]
    for position, ratio in (ratios or {}).items():
        table.columns[position].ratio = ratio
    return table


def _fitted(table: Table, width: int) -> Table:
    """Return a table with widths: numbers get all that they need, before names and texts get what is left."""
    columns = table.columns
    for name in _SPARED:
        if sum(map(_least, columns)) + len(columns) - 1 <= width:
            break
        columns = [column for column in columns if column.header != name]
    between = len(columns) - 1
    whole = sum(_least(column) if _is_elastic(column) else _natural(column) for column in columns)
    gap = 2 if whole + 2 * between <= width else 1
    fixed = [column for column in columns if not column.ratio]
    room = width - gap * between - _SHORTEST_TEXT * (len(columns) - len(fixed))
    widths = {at: _natural(column) for at, column in enumerate(fixed)}
    # Names first; then the headings above numbers, but not the numbers.
    for elastic in (True, False):
        may = [at for at, column in enumerate(fixed) if _is_elastic(column) == elastic]
        while sum(widths.values()) > room and (wide := [at for at in may if widths[at] > _least(fixed[at])]):
            widths[max(wide, key=widths.__getitem__)] -= 1
    for at, column in enumerate(fixed):
        column.width = widths[at]
    fitted = _empty(*columns, expand=table.expand, gap=gap)
    fitted.rows.extend(table.rows)
    return fitted


def _empty(*columns: Column, expand: bool, gap: int = 2) -> Table:
    padding = (0, gap, 0, 0)
    return Table(
        *columns, expand=expand, box=None, pad_edge=False, padding=padding, header_style="bright_black"
    )


def _is_elastic(column: Column) -> bool:
    return bool(column.ratio) or column.header in _NAMES


def _natural(column: Column) -> int:
    return min(max(cell_len(str(column.header)), _filled(column)), column.max_width or 1000)


def _least(column: Column) -> int:
    """Return the least width that cuts no number."""
    if column.ratio:
        return _SHORTEST_TEXT
    return min(_natural(column), _SHORTEST_NAME) if column.header in _NAMES else _filled(column)


def _filled(column: Column) -> int:
    texts = (cell for cell in column.cells if isinstance(cell, str | Text))
    return max((cell_len(str(text)) for text in texts), default=0) or column.min_width or 1


def _heading(title: str) -> Text:
    return Text(title, "bold")


def _above(title: Text, more: Text) -> Group:
    """Return a title that is cut at the width of its cell, and below it a text that is not."""
    title.no_wrap, title.overflow = True, "ellipsis"
    return Group(title, more)


def _plain(value: Any) -> Text:
    return Text(visible(or_unknown(value)))


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else or_unknown(value)


def _records(frame: pd.DataFrame) -> Iterable[dict[str, Any]]:
    return frame.to_dict("records")  # type: ignore[return-value]


def _rendered(report: RenderableType, width: int, color: bool = False) -> str:
    target = io.StringIO()
    console = Console(
        file=target,
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        legacy_windows=False,
        markup=False,
        emoji=False,
        highlight=False,
    )
    console.print(report)
    # Padding is of no use at the end of a line.
    return "\n".join(line.rstrip() for line in target.getvalue().split("\n"))
