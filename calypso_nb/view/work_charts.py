"""Charts of work that waits and work that runs: chains of blocked tasks, and work item age as a range."""

from __future__ import annotations

from typing import Any, cast

import altair as alt
import pandas as pd

from calypso_nb.workload.flow import flow
from calypso_nb.workload.phrases import readable_range

__all__ = ["blocking_chart", "work_item_age_chart"]

# Told apart with any kind of colour blindness; idle, working and complete as in the other charts.
_COLORS = {"idle": "#c48616", "working": "#276eb0", "complete": "#78828e", "never ends": "#c2410c"}
_INDENT, _ROW = 26, 20


def blocking_chart(blocking: pd.DataFrame, most: int = 80) -> alt.LayerChart | alt.Chart:
    """Who blocks whom, as a tree: a row a task, what waits for it below and to its right, worst first.

    `blocking` has the columns of `BLOCKING_COLUMNS`. The first `most` rows are drawn, and the subtitle says
    how many are not. What can never end, a circle or an archived task, has a colour of its own.
    Example: `blocking_chart(data.blocking)`
    """
    rows = _tree_rows(blocking)
    shown = rows[:most]
    if not shown:
        return _nothing("Who blocks whom", "No task is blocked")
    left_out = f"; {len(rows) - most} more rows are left out" if len(rows) > most else ""
    deepest = max(row["depth"] for row in shown)
    waiting = int(blocking["blocked_by_task_id"].notna().sum())
    subtitle = f"{waiting} tasks wait; each is under the task that it waits for{left_out}"
    x_scale = alt.Scale(domain=[0, deepest], range=[10, 10 + _INDENT * deepest], nice=False)
    y_scale = alt.Scale(domain=[-0.5, len(shown) - 0.5], reverse=True, nice=False)
    x, y = alt.X("depth:Q", scale=x_scale, axis=None), alt.Y("row:Q", scale=y_scale, axis=None)
    data = alt.InlineData(values=shown)
    links = alt.Chart(data).transform_filter("isValid(datum.above_row)")
    tooltip = [
        alt.Tooltip(f"{name}:N", title=title)
        for name, title in {
            "id": "task",
            "title": "title",
            "agent": "agent",
            "state": "status",
            "blocked_by": "waits for",
            "holds_up_directly": "holds up directly",
            "holds_up_in_all": "holds up in all",
        }.items()
    ]
    x_above = alt.X("above_depth:Q", scale=x_scale, axis=None)
    y_above = alt.Y("above_row:Q", scale=y_scale, axis=None)
    lines = links.mark_rule(color="#8b95a1", strokeWidth=1.2)
    down = lines.encode(x=x_above, y=y_above, y2="row:Q")
    across = lines.encode(x=x_above, x2="depth:Q", y=y)
    dots = (
        alt.Chart(data).mark_circle(size=90, opacity=1).encode(x=x, y=y, color=_by_state(), tooltip=tooltip)
    )
    labels = (
        alt.Chart(data)
        .mark_text(align="left", baseline="middle", dx=9, limit=620)
        .encode(x=x, y=y, text="label:N", tooltip=tooltip)
    )
    chart: alt.LayerChart = (
        alt.layer(down, across, dots, labels)
        .properties(width="container", height=_ROW * len(shown), title=_title("Who blocks whom", subtitle))
        .configure_view(stroke=None)
    )
    return chart


def work_item_age_chart(tasks: pd.DataFrame, most: int = 30) -> alt.Chart:
    """How long work has been in progress: for each working task the range in which its work item age lies.

    `tasks` has the columns of `TASK_COLUMNS`. A bar runs from the time since the last edit to the time since
    creation: TinyTask does not say when in between a task was started. The `most` longest are drawn.
    Example: `work_item_age_chart(data.tasks)`
    """
    ages = flow(tasks).query("work_item_age_known == 'bound'")
    longest = ages.sort_values("work_item_age_max_hours", ascending=False).head(most)
    if longest.empty:
        return _nothing("Work item age", "No task is working")
    bounds = list(zip(longest["work_item_age_min_hours"], longest["work_item_age_max_hours"], strict=True))
    rows = [
        {
            "label": f"#{task} {title}",
            "from_days": max(low, 0) / 24,
            "to_days": max(high, 0) / 24,
            "range": readable_range(low, high),
            "agent": None if pd.isna(agent) else agent,
        }
        for task, title, agent, (low, high) in zip(
            longest["id"].tolist(), longest["title"], longest["assigned_to"], bounds, strict=True
        )
    ]
    subtitle = "Working tasks: in progress since some moment between creation and last edit"
    order = alt.EncodingSortField("to_days", order="descending")
    y = alt.Y("label:N", title=None, sort=order, axis=alt.Axis(labelLimit=260))
    tooltip = [alt.Tooltip("label:N", title="task"), "agent:N", alt.Tooltip("range:N", title="work item age")]
    bars = alt.Chart(alt.InlineData(values=rows)).mark_bar(
        height=9, cornerRadius=4, color=_COLORS["working"], opacity=0.75
    )
    chart: alt.Chart = bars.encode(
        x=alt.X("from_days:Q", title="days in progress, from at least to at most"),
        x2="to_days:Q",
        y=y,
        tooltip=tooltip,
    ).properties(width="container", height=alt.Step(_ROW), title=_title("Work item age", subtitle))
    return chart


def _tree_rows(blocking: pd.DataFrame) -> list[dict[str, Any]]:
    """One dict a task, each below the task that it waits for; a circle starts at its smallest id."""
    tasks: dict[int, dict[str, Any]] = {task["id"]: task for task in _records(blocking)}
    waiting: dict[int, list[int]] = {}
    tops = []
    for number, task in tasks.items():
        blocker = task["blocked_by_task_id"]
        # The smallest of a circle stands at the top, and waits for the one that is drawn furthest below it.
        if pd.isna(blocker) or int(blocker) not in tasks or number in task["cycle"][:1]:
            tops.append(number)
        else:
            waiting.setdefault(int(blocker), []).append(number)
    rows: list[dict[str, Any]] = []
    stack: list[tuple[int, dict[str, Any] | None]] = [(number, None) for number in reversed(tops)]
    while stack:
        number, above = stack.pop()
        row = _tree_row(tasks[number], len(rows), above)
        rows.append(row)
        stack.extend((below, row) for below in reversed(waiting.get(number, [])))
    return rows


def _tree_row(task: dict[str, Any], position: int, above: dict[str, Any] | None) -> dict[str, Any]:
    archived = pd.notna(task["archived_at"])
    never = bool(task["cycle"]) or (archived and task["holds_up_in_all"] > 0)
    blocker = None if pd.isna(task["blocked_by_task_id"]) else int(task["blocked_by_task_id"])
    agent = None if pd.isna(task["assigned_to"]) else task["assigned_to"]
    notes = [
        agent or "(unassigned)",
        *(["archived"] if archived else []),
        *([f"in a circle, waits for #{blocker}"] if task["cycle"] else []),
        *([f"holds up {task['holds_up_in_all']}"] if task["holds_up_in_all"] > 0 else []),
    ]
    title = "" if pd.isna(task["title"]) else str(task["title"])
    return {
        "row": position,
        "depth": 0 if above is None else above["depth"] + 1,
        "above_row": None if above is None else above["row"],
        "above_depth": None if above is None else above["depth"],
        "label": f"#{task['id']} {title if len(title) <= 70 else title[:69] + '…'} · {' · '.join(notes)}",
        "state": "never ends" if never else task["status"],
        "id": task["id"],
        "title": title,
        "agent": agent,
        "blocked_by": blocker,
        "holds_up_directly": task["holds_up_directly"],
        "holds_up_in_all": task["holds_up_in_all"],
    }


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return cast(list[dict[str, Any]], frame.to_dict("records"))


def _by_state() -> alt.Color:
    scale = alt.Scale(domain=list(_COLORS), range=list(_COLORS.values()))
    return alt.Color("state:N", scale=scale, legend=alt.Legend(orient="top", title=None))


def _title(title: str, subtitle: str) -> alt.TitleParams:
    return alt.TitleParams(title, subtitle=subtitle, anchor="start")


def _nothing(title: str, subtitle: str) -> alt.Chart:
    empty = alt.Chart(
        alt.InlineData(values=[{}]), width="container", height=40, title=_title(title, subtitle)
    )
    chart: alt.Chart = empty.mark_text(text="")
    return chart
