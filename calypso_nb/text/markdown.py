"""A report as Markdown that pastes into an issue or a chat, where a title is never more than text."""

import re
from collections.abc import Callable
from typing import Any, cast

import pandas as pd

from calypso_nb.history.difference import Difference
from calypso_nb.visible import visible
from calypso_nb.workload.phrases import UNKNOWN, held_since, moment, or_unknown, readable_hours
from calypso_nb.workload.reporter import Workload

Row = dict[str, Any]


def to_markdown(data: Workload, most: int = 20) -> str:
    """Return the report as Markdown: numbers, attention, agents, queues and tasks, at most `most` of each.

    Text by agents stands in code spans, where no syntax, HTML, link or @mention counts.
    """
    lines = [
        "## Workload",
        f"{moment(data.generated_at)}, from {code(data.endpoint)}, {code(data.filters_text())}",
        ", ".join(f"**{tile.text}** {tile.label.lower()}" for tile in data.tiles()),
        *_section("Needs attention", data.attention, most, _attention_cells(data)),
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
        "Title": code(task["title"]),
        "Agent": code(task["agent"]),
        "Why": task["reason"].replace("_", " "),
        "For": held_since(task, data.generated_at),
        "Evidence": code(task["evidence"]),
        "To do": task["to_do"],
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


def _section(title: str, frame: pd.DataFrame, most: int, cells: Callable[[Row], Row]) -> list[str]:
    if frame.empty:
        return []
    shown = frame.head(max(most, 0))
    parts = [f"### {title}", *([] if shown.empty else _table(shown, cells))]
    if len(frame) > len(shown):
        parts.append(f"… and {len(frame) - len(shown):,} more.")
    return parts


def _table(frame: pd.DataFrame, cells: Callable[[Row], Row]) -> list[str]:
    rows = [cells(row) for row in cast(list[Row], frame.to_dict("records"))]
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(map(or_unknown, row.values()) for row in rows)]
    return ["\n".join(f"| {' | '.join(line)} |" for line in lines)]
