"""A report as Markdown that pastes into an issue or a chat, where a title is never more than text."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, cast

import pandas as pd

from calypso_nb.audit.audit import Audit
from calypso_nb.flow import sentences
from calypso_nb.flow.forecast import Forecast
from calypso_nb.flow.measures import Flow
from calypso_nb.history.difference import Difference
from calypso_nb.history.digest import Digest, Line
from calypso_nb.visible import visible
from calypso_nb.workload.phrases import UNKNOWN, held_since, moment, or_unknown, readable_hours, subject
from calypso_nb.workload.reporter import Workload

Row = dict[str, Any]
_RULE_COUNTS = ("broken", "likely", "kept", "not_checked")
_LONGEST = 300
_CHAT_LETTERS = 12_000
# What of a digest is the last to be left out where there is no room, and of how much there is at first.
_URGENT = ("asked", "failed")
_MOST_URGENT = 50


def to_markdown(data: Workload, most: int = 20) -> str:
    """Return the report as Markdown: numbers, attention, agents, queues and tasks, at most `most` of each.

    Text by agents stands in code spans, where no syntax, HTML, link or @mention counts.
    """
    lines = [
        "## Workload",
        f"{moment(data.generated_at)}, from {code(data.endpoint)}, {code(data.filters_text())}",
        ", ".join(f"**{tile.text}** {tile.label.lower()}" for tile in data.tiles()),
        *_section("Needs attention", data.attention, most, _attention_cells(data), data.attention_head()),
        *_section("Agents", data.agents[data.agents["open"] > 0], most, _agent_cells),
        *_section("Queues", data.queues, most, _queue_cells),
        *_section("Open tasks", data.tasks[data.tasks["is_open"]], most, _task_cells),
    ]
    return "\n\n".join(lines) + "\n"


def difference_to_markdown(change: Difference) -> str:
    """Return what changed as a Markdown table, a row per change."""
    before, after = change.before, change.after
    lines = [
        "## What changed",
        f"{moment(before['generated_at'])} to {moment(after['generated_at'])}, {code(after['endpoint'])}",
    ]
    if change.changes.empty:
        lines.append("Nothing.")
    else:
        lines += _table(change.changes, _change_cells)
    return "\n\n".join(lines) + "\n"


class _Cut(NamedTuple):
    """How many letters a digest shows of a title, of a name, and of what was said."""

    title: int
    agent: int
    text: int


_CUT = _Cut(title=200, agent=200, text=_LONGEST)
_CHAT_CUT = _Cut(title=80, agent=40, text=200)


def digest_to_markdown(digest: Digest, most: int = 20) -> str:
    """Return a digest as Markdown, a list per kind, at most `most` of each; questions first.

    Of each title there are the first 200 letters, of each text 300.
    """
    return _digest(digest, dict.fromkeys(digest.counts, most), _CUT)


def _digest(digest: Digest, most: Mapping[str, int], cut: _Cut) -> str:
    parts = ["## Digest", f"{code(digest.heading)}, {code(digest.server)}", f"**{digest.summary}**"]
    lines = digest.lines
    for kind, number in digest.counts.items():
        shown = [line for line in lines if line.what == kind][: most[kind]]
        parts.append(f"### {kind.capitalize()}: {number:,}")
        if shown:
            parts.append("\n".join(_told(line, cut) for line in shown))
        if number > len(shown):
            parts.append(f"… and {number - len(shown):,} more.")
    if digest.unknown:
        parts += ["### Not known", "\n".join(f"- {code(text)}" for text in digest.unknown)]
    return "\n\n".join(parts) + "\n"


# What a chat would obey even in a code span, and what it shows instead.
_TO_CHAT = str.maketrans({"<": "\u2039", ">": "\u203a", "@": "\uff20", "&": "\uff06"})


def digest_to_chat(digest: Digest, most: int = 10) -> str:
    """Return a digest as Markdown for a chat, in which no text by agents calls anybody or is a link.

    Of each title there are the first 80 letters, of each text 200. Of each kind there are as few as it takes
    for 12,000 letters, which most chats take; questions and failures are the last to be left out.
    """
    text = ""
    for urgent, others in _fewer(most):
        shown = {kind: urgent if kind in _URGENT else others for kind in digest.counts}
        text = _digest(digest, shown, _CHAT_CUT).translate(_TO_CHAT).replace("://", ":\u2044\u2044")
        if len(text) <= _CHAT_LETTERS:
            break
    return text


def _fewer(most: int) -> Iterator[tuple[int, int]]:
    """Yield how many of what is urgent, and of each other kind, fewer each time."""
    urgent = max(most, _MOST_URGENT)
    while most:
        yield urgent, most
        most //= 2
    while urgent:
        yield urgent, 0
        urgent -= max(urgent // 5, 1)
    yield 0, 0


def _told(line: Line, cut: _Cut) -> str:
    title, agent, text = map(_cut, (line.title, line.agent, line.text.replace("\n", " · ")), cut)
    said = f": {code(text)}" if text else ""
    return f"- Task {line.task_id} {code(title)}, {code(agent)}, {line.when}{said}"


def _cut(text: str | None, most: int) -> str:
    """Return the first letters of a text as they are shown: what is hidden is written out before."""
    shown = visible(text or "").strip()
    return f"{shown[:most]}…" if len(shown) > most else shown


def flow_to_markdown(flow: Flow) -> str:
    """Return what the charts of a flow say as a Markdown list."""
    said = (f"- {code(say(flow))}" for say in sentences.ALL)
    return "\n\n".join(["## Flow", code(sentences.about(flow)), "\n".join(said)]) + "\n"


def forecast_to_markdown(forecast: Forecast) -> str:
    """Return a forecast as a Markdown list, the answer first."""
    return "\n\n".join(["## Forecast", "\n".join(f"- {code(line)}" for line in forecast.lines)]) + "\n"


def audit_to_markdown(audit: Audit, most: int = 20) -> str:
    """Return an audit as Markdown: the broken rules, who breaks them, and at most `most` findings of each."""
    lines = [
        "## Audit",
        f"{moment(audit.generated_at)}, from {code(audit.endpoint)}",
        f"{audit.summary[0].upper()}{audit.summary[1:]}.",
    ]
    broken = audit.broken
    lines += _section("Broken rules", broken, len(broken), _rule_cells)
    if unkept := audit.unkept:
        lines += ["### Rules that nobody keeps", "\n".join(f"- {said}" for said in unkept.values())]
    for rule in cast(list[Row], broken[~broken["rule"].isin([*unkept])].to_dict("records")):
        found = audit.findings[audit.findings["rule"] == rule["rule"]]
        lines += _section(f"{rule['rule']}: {rule['text']}", found, most, _finding_cells)
    others = [f"- {state}: {', '.join(rules)}" for state, rules in audit.others.items()]
    if others:
        lines += ["### Other rules", "\n".join(others)]
    lines.append(f"TinyTask can't tell whether {'; '.join(audit.not_checkable)}.")
    return "\n\n".join(lines) + "\n"


def code(text: Any) -> str:
    """Return any text as one code span that can stand in a table; NA and blank text as a dash."""
    if pd.isna(text) or not str(text).strip():
        return UNKNOWN
    # Blanks at the ends, and at the ends only, would not survive a table.
    shown = visible(str(text)).strip()
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    # In a table a backslash before a pipe belongs to the pipe, so one that is text is doubled.
    escaped = re.sub(r"(?<!\\)(\\*+)\|", r"\1\1\\|", shown)
    return f"{fence}{pad}{escaped}{pad}{fence}"


def _attention_cells(data: Workload) -> Callable[[Row], Row]:
    return lambda task: {
        "Task": task["task_id"],
        "What": code(subject(task) or task["title"]),
        "Agent": code(task["agent"]),
        "Priority": task["priority"],
        "Holds up": task["holds_up"],
        "Why": ", ".join(task["reasons"]).replace("_", " "),
        "For": held_since(task, data.generated_at),
        "Evidence": code(task["evidence"]),
        "To do": task["to_do"],
    }


def _rule_cells(rule: Row) -> Row:
    heads = {"likely": "Of them likely"}
    counts = {heads.get(name, name.replace("_", " ").capitalize()): rule[name] for name in _RULE_COUNTS}
    return {"Rule": rule["rule"], "Asks for": rule["text"], **counts, "Manual": rule["source"]}


def _finding_cells(finding: Row) -> Row:
    return {
        "Task": finding["task"],
        "Agent": code(finding["agent"]),
        "Since": UNKNOWN if pd.isna(finding["since"]) else moment(finding["since"]),
        "Evidence": code(finding["evidence"]),
        "Certainty": finding["certainty"],
        "To do": finding["to_do"],
    }


def _agent_cells(agent: Row) -> Row:
    oldest = readable_hours(agent["oldest_age_hours"])
    return {"Agent": code(agent["agent"]), **_counts(agent), "Oldest": oldest}


def _queue_cells(queue: Row) -> Row:
    more = {"Blocked": queue["blocked"], "Unassigned": queue["unassigned"]}
    return {"Queue": code(queue["queue"]), **_counts(queue), **more}


def _task_cells(task: Row) -> Row:
    return {
        "Task": task["id"],
        "Title": code(task["title"]),
        "Status": task["status"],
        "Agent": code(task["assigned_to"]),
        "Priority": task["priority"],
        "Age": readable_hours(task["age_hours"]),
    }


def _change_cells(change: Row) -> Row:
    told = {name.title(): code(change[name]) for name in ("title", "field", "before", "after")}
    return {"Change": change["change"], "Task": change["task_id"], **told}


def _counts(row: Row) -> Row:
    return {name.title(): row[name] for name in ("open", "idle", "working")}


def _section(
    title: str, frame: pd.DataFrame, most: int, cells: Callable[[Row], Row], head: str = ""
) -> list[str]:
    if frame.empty and not head:
        return []
    shown = frame.head(max(most, 0))
    parts = [f"### {title}", *([head] if head else []), *([] if shown.empty else _table(shown, cells))]
    if len(frame) > len(shown):
        parts.append(f"… and {len(frame) - len(shown):,} more.")
    return parts


def _table(frame: pd.DataFrame, cells: Callable[[Row], Row]) -> list[str]:
    rows = [cells(row) for row in cast(list[Row], frame.to_dict("records"))]
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(map(or_unknown, row.values()) for row in rows)]
    return ["\n".join(f"| {' | '.join(line)} |" for line in lines)]
