"""A report for a terminal: in a narrow one, names and titles are cut, and numbers never."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from rich.bar import Bar
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from calypso_nb.audit.audit import LIKELY, Audit
from calypso_nb.flow import sentences
from calypso_nb.flow.columns import PERCENTS
from calypso_nb.flow.forecast import Forecast
from calypso_nb.flow.measures import Flow
from calypso_nb.flow.sentences import count_range, hours_range
from calypso_nb.history.difference import Difference
from calypso_nb.history.digest import Digest, Line
from calypso_nb.snoozes import named
from calypso_nb.visible import visible
from calypso_nb.workload.phrases import (
    UNASSIGNED,
    UNKNOWN,
    held_since,
    moment,
    or_unknown,
    readable_hours,
    readable_range,
    subject,
)
from calypso_nb.workload.reporter import Workload
from calypso_nb.workload.runs import GOING_ON

MOST_ROWS = 50
_NEVER = "; !!! never ends by itself"
# So many lines of what needs attention.
_LINES = 10
_AGEING, _BUCKETS = 20, 14
_FINDINGS, _WEEKS = 5, {True: 8, False: 4}
WIDE = 120
_LONGEST_WHY = 300
_MOST_LINES = 6
_AGENT_WIDTH = {True: 24, False: 14}

_STATUS_STYLES = {"idle": "yellow", "working": "blue", "complete": "bright_black"}
_KIND_STYLES = {"asked": "bold red", "failed": "bold red", "bounced": "bold yellow", "blocked": "bold yellow"}
_AGENT_COUNTS = ("open", "idle", "working", "complete", "blocked")
_AGENT_AGES = {"mean age": "mean_age_hours", "oldest": "oldest_age_hours"}
_QUEUE_COUNTS = ("open", "idle", "working", "blocked", "unassigned")
# These columns hold names, which can be cut; so can what shares the room that the others leave.
_NAMES = ("agent", "by", "recipe", "queue", "status", "change", "field")
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


def digest_to_console(digest: Digest, width: int = 80, color: bool = False) -> str:
    """Return a digest as text for a terminal with `width` columns, a table per kind, questions first."""
    parts: list[RenderableType] = [
        _heading("Digest"),
        _plain(f"{digest.heading}, {digest.server}"),
        Text(digest.summary, "bold" if "asked" in digest.counts else ""),
    ]
    lines = digest.lines
    for kind, number in digest.counts.items():
        shown = [line for line in lines if line.what == kind][:MOST_ROWS]
        title = Text(f"{kind.capitalize()}: {number:,}", _KIND_STYLES.get(kind, "bold"))
        parts += [Text(), title, _fitted(_told(shown, width >= WIDE), width)]
        if number > len(shown):
            parts.append(Text(f"… and {number - len(shown):,} more", "bright_black"))
    if digest.unknown:
        parts += [Text(), _heading("Not known"), *(_plain(f"- {text}") for text in digest.unknown)]
    return _rendered(Group(*parts), width, color)


def _told(lines: Sequence[Line], wide: bool) -> Table:
    columns = ("when (UTC)", ("task", "right"), "agent")
    heads = ("title", "what") if wide else ("title and what",)
    table = _table(*columns, *heads, ratios={3: 2, 4: 3} if wide else {3: 1})
    table.columns[-1].no_wrap = False
    table.columns[2].max_width = _AGENT_WIDTH[wide]
    for line in lines:
        title, text = _plain(line.title), _shortened(line.text)
        told = [title, text] if wide else [_above(title, text) if line.text else title]
        table.add_row(line.when, str(line.task_id), _plain(line.agent), *told)
    return table


def _shortened(text: str) -> Text:
    """Return what agents wrote as lines of a cell, a few of each."""
    lines = [line for line in text.split("\n") if line.strip()]
    shown = [f"{line[:_LONGEST_WHY]}…" if len(line) > _LONGEST_WHY else line for line in lines[:_MOST_LINES]]
    if len(lines) > len(shown):
        shown.append(f"… and {len(lines) - len(shown):,} more lines")
    return Text("\n".join(map(visible, shown)))


def snoozes_to_console(snoozes: pd.DataFrame, width: int = 80, color: bool = False) -> str:
    """Return what is snoozed, with `SNOOZE_COLUMNS`, as text for a terminal."""
    table = _table(("task", "right"), "until (UTC)", "by", "what, why", ratios={3: 1})
    for row in _records(snoozes):
        is_task = row["about"] == "task"
        what = or_unknown(row["title"]) if is_task else named(row["about"], row["name"])
        _add_snooze(table, row["name"] if is_task else "", row, what)
    sections = [(f"Snoozed: {len(snoozes)}", table, len(snoozes))]
    return _rendered(Group(*[*_sections(sections, width)][1:]), width, color)


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


def runs_to_console(runs: pd.DataFrame, totals: pd.DataFrame, width: int = 80, color: bool = False) -> str:
    """Return runs, with `RUN_COLUMNS`, and their totals as text for a terminal: first what goes on."""
    going_on = runs["outcome"].isin(GOING_ON)
    sections = [
        (f"Going on: {going_on.sum():,}", _runs(runs[going_on]), int(going_on.sum())),
        (f"Ended: {(~going_on).sum():,}", _runs(runs[~going_on].head(MOST_ROWS)), int((~going_on).sum())),
        ("Agents and their recipes", _run_totals(totals), len(totals)),
    ]
    parts = [*_sections(sections, width)][1:]
    if used := _used(totals):
        parts += [Text(), _plain(used)]
    return _rendered(Group(*parts), width, color) if len(runs) else "no run has left a trace\n"


def _runs(runs: pd.DataFrame) -> Table:
    names = ("outcome", "agent", "recipe", "began (UTC)")
    table = _table(("task", "right"), *names, ("took", "right"), "why", ratios={6: 1})
    for row in _records(runs):
        began = UNKNOWN if pd.isna(row["started_at"]) else f"{row['started_at']:%m-%d %H:%M}"
        who = map(_plain, (row["agent"], row["recipe"]))
        again = f", try {row['attempt']}" if pd.notna(row["attempt"]) and row["attempt"] > 1 else ""
        told = _plain(f"{row['why']}{again}, on {row['host']}")
        table.add_row(str(row["id"]), row["outcome"], *who, began, _took(row["seconds"]), told)
    return table


def _took(seconds: float) -> str:
    if pd.isna(seconds):
        return UNKNOWN
    return f"{seconds:.0f} s" if seconds < _LAST_SECONDS else or_unknown(readable_hours(seconds / 3600))


def _run_totals(totals: pd.DataFrame) -> Table:
    counts = ("runs", "succeeded", "failed")
    table = _table("agent", "recipe", *((name, "right") for name in (*counts, "success", "minutes", "tries")))
    for row in _records(totals):
        rate = UNKNOWN if pd.isna(row["success_rate"]) else f"{row['success_rate']:.0%}"
        minutes = UNKNOWN if pd.isna(row["median_minutes"]) else f"{row['median_minutes']:.1f}"
        who = map(_plain, (row["agent"], row["recipe"]))
        numbers = (_number(row[name]) for name in counts)
        table.add_row(*who, *numbers, rate, minutes, f"{row['tries']:.1f}")
    return table


# From here on, how long a run took is told in minutes.
_LAST_SECONDS = 90
_USED = {
    "input_tokens": "{:,.0f} tokens in",
    "output_tokens": "{:,.0f} tokens out",
    "cost_usd": "{:,.2f} USD",
}


def _used(totals: pd.DataFrame) -> str:
    """Say what runs used, each sum with how many of them said it; empty if none did."""
    ended = totals["runs"].sum() - totals["going_on"].sum()
    sums = [
        f"{words.format(totals[name].sum())} by {told:,} of {ended:,} runs"
        for name, words in _USED.items()
        if (told := totals[f"told_{name}"].sum())
    ]
    return f"Used, as they said: {', '.join(sums)}." if sums else ""


def flow_to_console(flow: Flow, width: int = 80, color: bool = False) -> str:
    """Return how work flows as text for a terminal: what each chart says, and the frames behind it."""
    parts: list[RenderableType] = [_heading("Flow"), _plain(sentences.about(flow)), Text()]
    parts += [_plain(f"{say(flow)}.") for say in sentences.ALL]
    agents = flow.by("agent")
    sections = (
        ("How long it takes", _percentiles(flow.percentiles), len(flow.percentiles)),
        ("In progress, the longest first", _ageing(flow.ageing), len(flow.ageing)),
        (
            f"The last buckets of {flow.bucket}",
            _buckets(flow.throughput),
            min(len(flow.throughput), _BUCKETS),
        ),
        ("Queues, where tasks wait longest first", _stages(flow.stages), len(flow.stages)),
        ("Agents", _groups(agents), len(agents)),
    )
    return _rendered(Group(*parts, *_sections(sections, width)), width, color)


def forecast_to_console(forecast: Forecast, width: int = 80, color: bool = False) -> str:
    """Return a forecast as text for a terminal: the answer first, and how often such ones have held."""
    lines = forecast.lines
    return _rendered(Group(Text(visible(lines[0]), "bold"), *map(_plain, lines[1:])), width, color)


def audit_to_console(audit: Audit, width: int = 80, color: bool = False) -> str:
    """Return an audit as text for a terminal: the broken rules, who breaks them, and some findings."""
    wide = width >= WIDE
    broken = audit.broken
    agents = audit.by_agent[audit.by_agent["broken"] > 0]
    trend = audit.trend[audit.trend["rule"].isin(broken["rule"])]
    head = _plain(f"{moment(audit.generated_at)} from {audit.endpoint}")
    parts: list[RenderableType] = [_heading("Audit"), head, _plain(f"{audit.summary}.")]
    sections = [
        ("Broken rules", _broken_rules(broken), len(broken)),
        ("Agents, most findings first", _breakers(agents), len(agents)),
        ("Broken of checked, per week", _weeks(trend, _WEEKS[wide]), trend["rule"].nunique()),
    ]
    parts += _sections(sections if len(trend) else sections[:2], width)
    if unkept := audit.unkept:
        parts += [Text(), _heading("Rules that nobody keeps"), *map(_plain, unkept.values())]
    told = broken[~broken["rule"].isin([*unkept])]
    parts += _sections(_findings_by_rule(audit, told, wide), width)
    others = [f"{state}: {', '.join(rules)}" for state, rules in audit.others.items()]
    parts += [Text(), _heading("Other rules"), *map(_plain, others or ["none"])]
    parts += [Text(), _plain(f"TinyTask can't tell whether {'; '.join(audit.not_checkable)}.")]
    return _rendered(Group(*parts), width, color)


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
        (f"Needs attention: {len(data.attention)}{_NEVER}", _attention(data, wide), len(data.attention)),
        ("Agents", _counts(data.agents, "agent", of_agents, _AGENT_AGES), len(data.agents)),
        ("Priorities", _bars(data.priorities, "priority"), len(data.priorities)),
        ("Ages of open tasks, since creation", _bars(data.ages, "age"), len(open_ages)),
        ("Queues", _counts(queues, "queue", _QUEUE_COUNTS, {"oldest": "oldest_age_hours"}), len(queues)),
        ("Blocking", _blocking(holders, wide), len(holders)),
        ("Parent tasks, by their leaves", _tree(data), len(data.tree)),
        (f"Tasks: {len(data.tasks):,}", _tasks(data, wide), len(data.tasks)),
    ]
    if len(data.snoozed):
        sections.append((f"Snoozed: {len(data.snoozed)}", _snoozed(data), len(data.snoozed)))
    parts: list[RenderableType] = [
        _heading("Workload"),
        _plain(f"{moment(data.generated_at)} from {data.endpoint}"),
        _plain(data.filters_text()),
        *([Text(visible(head))] if (head := data.attention_head()) else []),
    ]
    return Group(*parts, *_sections(sections, width))


def _sections(sections: Iterable[tuple[str, Table, int]], width: int) -> Iterator[RenderableType]:
    """Yield tables under their titles, each with the number of rows that it would have in full."""
    for title, table, rows in sections:
        shown = _fitted(table, width) if table.show_header else table
        yield from (Text(), _heading(title), shown if rows else Text("none", "bright_black"))
        if rows > table.row_count:
            yield Text(f"… and {rows - table.row_count:,} more", "bright_black")


def _broken_rules(rules: pd.DataFrame) -> Table:
    counts = ("broken", "likely", "kept", "not checked")
    heads = ("of them likely" if name == "likely" else name for name in counts)
    table = _table("rule", *((name, "right") for name in heads), "asks for", ratios={5: 1})
    table.columns[5].no_wrap = False
    for row in _records(rules):
        numbers = (_number(row[name.replace(" ", "_")]) for name in counts)
        table.add_row(row["rule"], *numbers, _plain(row["text"]))
    return table


def _breakers(agents: pd.DataFrame) -> Table:
    table = _table("agent", ("broken", "right"), ("kept", "right"), "rules", ratios={3: 1})
    table.columns[3].no_wrap = False
    for row in _records(agents.head(MOST_ROWS)):
        name = _plain(or_unknown(row["agent"], "(nobody)"))
        table.add_row(name, _number(row["broken"]), _number(row["kept"]), row["rules"])
    return table


def _weeks(trend: pd.DataFrame, most: int) -> Table:
    weeks = sorted(trend["week"].unique())[-most:]
    table = _table("rule", *((week, "right") for week in weeks))
    for rule, rows in trend.groupby("rule", sort=False):
        told = {row["week"]: _share(row["broken"], row["checked"]) for row in _records(rows)}
        table.add_row(str(rule), *(told.get(week, UNKNOWN) for week in weeks))
    return table


def _share(part: Any, whole: Any) -> str:
    return UNKNOWN if pd.isna(whole) else f"{part:,} of {whole:,}"


def _findings_by_rule(audit: Audit, rules: pd.DataFrame, wide: bool) -> Iterator[tuple[str, Table, int]]:
    for rule in _records(rules):
        found = audit.findings[audit.findings["rule"] == rule["rule"]]
        table = _table(("task", "right"), "agent", "since (UTC)", "evidence", ratios={3: 1})
        table.columns[1].max_width = _AGENT_WIDTH[wide]
        table.columns[3].no_wrap = False
        for row in _records(found.head(_FINDINGS)):
            doubt = "likely: " if row["certainty"] == LIKELY else ""
            since = UNKNOWN if pd.isna(row["since"]) else f"{row['since']:%Y-%m-%d %H:%M}"
            evidence = _plain(f"{doubt}{row['evidence']}")
            table.add_row(or_unknown(row["task"]), _plain(row["agent"]), since, evidence)
        yield f"{rule['rule']} \N{RIGHTWARDS ARROW} {found['to_do'].iloc[0]}", table, len(found)


def _percentiles(measures: pd.DataFrame) -> Table:
    marks = tuple((f"{percent} %", "right") for percent in PERCENTS)
    table = _table("measure", ("tasks", "right"), *marks, ("left out", "right"))
    for row in _records(measures):
        spans = (_span(row, f"p{percent}") for percent in PERCENTS)
        table.add_row(row["measure"], _number(row["tasks"]), *spans, _number(row["left_out"]))
    return table


def _ageing(tasks: pd.DataFrame) -> Table:
    columns = (
        ("task", "right"),
        ("in progress", "right"),
        ("older than", "right"),
        "agent",
        "queue",
        "title",
    )
    table = _table(*columns, ratios={5: 1})
    for row in _records(tasks.head(_AGEING)):
        sure, perhaps = row["older_than"], row["perhaps_older_than"]
        older = UNKNOWN if pd.isna(sure) else f"{sure} %" if sure == perhaps else f"{sure} to {perhaps} %"
        cells = (_plain(row["agent"]), _plain(row["queue"]), _plain(row["title"]))
        table.add_row(str(row["task_id"]), _span(row, "work_item_age"), older, *cells)
    return table


def _buckets(buckets: pd.DataFrame) -> Table:
    names = ("arrived", "started", "finished", "withdrawn", "wip")
    table = _table("until (UTC)", *((name, "right") for name in names), ("recorded", "right"))
    for row in _records(buckets.tail(_BUCKETS)[::-1]):
        counts = (count_range(row[f"{name}_least"], row[f"{name}_most"]) for name in names)
        table.add_row(f"{row['to']:%Y-%m-%d %H:%M}", *counts, f"{100 * row['recorded']:.0f} %")
    return table


def _stages(stages: pd.DataFrame) -> Table:
    names = {"visits": "visits", "now": "now", "sent_back": "back"}
    table = _table("queue", *((name, "right") for name in (*names.values(), "waited", "85 %", "worked")))
    for row in _records(stages.head(MOST_ROWS)):
        spans = (_span(row, name) for name in ("waited", "p85_wait", "worked"))
        table.add_row(_plain(row["queue"]), *(_number(row[name]) for name in names), *spans)
    return table


def _groups(groups: pd.DataFrame) -> Table:
    counts = ("arrived", "finished", "wip")
    table = _table("agent", *((name, "right") for name in (*counts, "50 % took", "85 % took")))
    for row in _records(groups.head(MOST_ROWS)):
        told = (count_range(row[f"{name}_least"], row[f"{name}_most"]) for name in counts)
        spans = (_span(row, f"cycle_time_p{percent}") for percent in PERCENTS[:2])
        table.add_row(_plain(or_unknown(row["group"], UNASSIGNED)), *told, *spans)
    return table


def _span(row: Mapping[str, Any], name: str) -> str:
    return hours_range(row[f"{name}_least"], row[f"{name}_most"])


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
        numbers = (("task", "right"), ("holds up", "right"), ("priority", "right"))
        table = _table("", *numbers, "what", "agent", "for", "evidence", "to do", ratios={4: 4, 7: 6, 8: 3})
        table.columns[7].no_wrap = table.columns[8].no_wrap = False
        table.columns[5].max_width = 18
    else:
        table = _table("", ("task", "right"), "for", "what, evidence, to do", ratios={3: 1})
        table.columns[3].no_wrap = False
    for row in _records(data.attention.head(_LINES)):
        mark, style = _URGENCY[row["urgency"]]
        # What many have in common is about no task of them.
        start = (Text(mark, style), "" if row["about"] in ("team", "queue") else str(row["task_id"]))
        duration, what = held_since(row, data.generated_at), subject(row) or row["title"]
        if wide:
            counts = map(_number, (row["holds_up"], row["priority"]))
            told = (what, row["agent"], duration, row["evidence"], row["to_do"])
            table.add_row(*start, *counts, *map(_plain, told))
        else:
            held = f"holds up {row['holds_up']}; " if row["holds_up"] else ""
            why = _plain(f"{held}{row['evidence']} → {row['to_do']}")
            table.add_row(*start, duration, _above(_plain(what), why))
    return table


def _snoozed(data: Workload) -> Table:
    table = _table(("task", "right"), "until (UTC)", "by", "what, why", ratios={3: 1})
    for row in _records(data.snoozed.head(_LINES)):
        of = subject(row)
        what = f"{of}: {', '.join(row['reasons']).replace('_', ' ')}" if of else row["title"]
        _add_snooze(table, "" if of else str(row["task_id"]), row, what)
    return table


def _add_snooze(table: Table, task: str, row: Mapping[str, Any], what: str) -> None:
    table.columns[-1].no_wrap = False
    until = "something new" if pd.isna(row["until"]) else f"{row['until']:%Y-%m-%d %H:%M}"
    why = [] if pd.isna(row["why"]) else [_plain(row["why"][:_LONGEST_WHY])]
    table.add_row(task, until, _plain(row["by"]), _above(_plain(what), *why) if why else _plain(what))


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
