"""Task frames to Altair charts: one function a question, each usable by itself in a notebook cell.

The charts add up inside Vega-Lite. So the page and the dashboard filter rows, and every chart follows
without asking Python.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import altair as alt
import pandas as pd

from calypso_nb.frames import AGE_BUCKETS, OPEN_STATUSES, STATUSES
from calypso_nb.view.rows import UNASSIGNED, task_rows

__all__ = [
    "ViewChart",
    "age_distribution",
    "chart_specs",
    "load_per_agent",
    "oldest_tasks",
    "priority_distribution",
]

Chart = alt.Chart | alt.LayerChart
Builder = Callable[..., Any]

# Told apart with any kind of colour blindness, and at least 3:1 on a white and on a dark page.
_STATUS_COLORS = {"idle": "#c48616", "working": "#276eb0", "complete": "#78828e"}

# Vega ignores tickMinStep for counts of 0 and 1: half a task has no label at least.
_COUNT = alt.Axis(format="d", tickCount=6, labelExpr="datum.value % 1 ? '' : datum.label")
# Without `resize`, labels of rows that come later would be cut.
_FIT = alt.AutoSizeParams(type="fit-x", contains="padding", resize=True)
_BY_STATUS = alt.Color(
    "status:N", scale=alt.Scale(domain=list(STATUSES), range=list(_STATUS_COLORS.values()))
)
_WITH_LEGEND = _BY_STATUS.legend(orient="top", title=None)
_WITHOUT_LEGEND = _BY_STATUS.legend(None)  # the view has one legend for all its charts
# A row stands for `n` tasks: one in a chart of its own, and many in the view, which counts before it draws.
_TASKS = alt.Tooltip("sum(n):Q", title="tasks")
_RANK = f"indexof({list(STATUSES)}, datum.status)"
# An agent who is called "(unassigned)" is not nobody.
_WHO = (
    f"!isValid(datum.agent) ? '{UNASSIGNED}' : datum.agent == '{UNASSIGNED}' ? '“{UNASSIGNED}”' : datum.agent"
)

# What a label shows of a title: measuring 100 kB of text, letter by letter, would stop the browser.
_LABEL = 240
_OLDEST = 15

# Ticks at whole hours, days or weeks, at most about eight of them.
_LONGEST = "domain('x')[1]"
_AGE_STEP = (
    f"({_LONGEST} > 5376 ? 1344 : {_LONGEST} > 1344 ? 672 : {_LONGEST} > 336 ? 168 : {_LONGEST} > 120 ? 48"
    f" : {_LONGEST} > 48 ? 24 : {_LONGEST} > 24 ? 6 : {_LONGEST} > 8 ? 4 : {_LONGEST} > 2 ? 1 : 0.25)"
)
_AGE_LABEL = (
    f"{_LONGEST} > 48 ? format(datum.value / 24, '~r') + ' d'"
    f" : {_LONGEST} > 2 ? format(datum.value, '~r') + ' h' : format(datum.value * 60, '~r') + ' min'"
)


class ViewChart(NamedTuple):
    """One chart of the shared view: what it is called, the row fields that it needs, and its Vega-Lite spec.

    The spec's data is `{"name": "tasks"}`: rows come from the view, which groups them by `fields` and says in
    `n` how many tasks a row stands for, or gives the `top` oldest ones. `open_only` says that the chart
    leaves out complete tasks whatever the filter.
    """

    id: str
    title: str
    description: str
    fields: tuple[str, ...]
    open_only: bool
    top: int
    spec: dict[str, Any]


def load_per_agent(tasks: pd.DataFrame, statuses: Sequence[str] = OPEN_STATUSES) -> Chart:
    """Who has how much: a bar of tasks an agent, by status, most open work first; unassigned in one row.

    `tasks` has the columns of `TASK_COLUMNS`; only tasks with one of `statuses` are counted.

    Example: `load_per_agent(data.tasks)`
    """
    return _of_rows("load", _load, tasks, statuses)


def priority_distribution(tasks: pd.DataFrame, statuses: Sequence[str] = OPEN_STATUSES) -> Chart:
    """How urgent the work is: a bar of tasks a priority in use, by status, most urgent first.

    `tasks` has the columns of `TASK_COLUMNS`; only tasks with one of `statuses` are counted.

    Example: `priority_distribution(data.tasks)`
    """
    return _of_rows("priority", _priority, tasks, statuses)


def age_distribution(tasks: pd.DataFrame) -> Chart:
    """How old the open work is: a bar of open tasks a bucket of `AGE_BUCKETS`, by status, empty buckets too.

    `tasks` has the columns of `TASK_COLUMNS`. Age is the time since creation.

    Example: `age_distribution(data.tasks)`
    """
    unknown = bool(tasks.loc[tasks["is_open"], "age_hours"].isna().any())
    return _of_rows("age", partial(_age, with_unknown=unknown), tasks, OPEN_STATUSES)


def oldest_tasks(tasks: pd.DataFrame, n: int = _OLDEST) -> Chart:
    """What has waited longest: a bar of age for each of the `n` oldest open tasks.

    `tasks` has the columns of `TASK_COLUMNS`. Age is the time since creation, shown in hours or days.

    Example: `oldest_tasks(data.tasks, n=10)`
    """
    return _of_rows("oldest", partial(_oldest, n=n), tasks, OPEN_STATUSES)


@lru_cache(maxsize=2)
def chart_specs(with_unknown_age: bool = False) -> tuple[ViewChart, ...]:
    """The charts of the shared view, without rows; `with_unknown_age` adds a bucket for tasks of unknown age.

    Example: `[chart.title for chart in chart_specs()]`
    """
    return (
        _view_chart("load", _load),
        _view_chart("priority", _priority),
        _view_chart("age", partial(_age, with_unknown=with_unknown_age)),
        _view_chart("oldest", _oldest),
    )


# Title, description, and the fields of a row that the chart needs.
_ABOUT = {
    "load": ("Load per agent", "Tasks assigned to each agent, most open work first", "agent status is_open"),
    "priority": ("Tasks per priority", "A higher number is more urgent", "priority status"),
    "age": (
        "Age of open tasks",
        "Time since creation; complete tasks are not counted",
        "age_bucket status is_open",
    ),
    "oldest": (
        "Oldest open tasks",
        "The longest time since creation; complete tasks are not shown",
        "id title status agent priority queue age_hours age last_edit is_open",
    ),
}


def _load(data: Any, color: alt.Color) -> Any:
    most_open_first = alt.EncodingSortField("open", op="sum", order="descending")
    unassigned = f"datum.value == '{UNASSIGNED}'"
    italics = {"condition": {"test": unassigned, "value": "italic"}, "value": "normal"}
    names = alt.Axis(labelLimit=150, labelFontStyle=italics)
    return (
        _bars(data, color, height=alt.Step(22))
        .transform_calculate(who=_WHO, open="datum.is_open ? datum.n : 0")
        .encode(
            x=alt.X("sum(n):Q", title="tasks", axis=_COUNT),
            y=alt.Y("who:N", title=None, sort=most_open_first, axis=names),
            fillOpacity=alt.condition(f"datum.who == '{UNASSIGNED}'", alt.value(0.55), alt.value(1)),
            tooltip=[alt.Tooltip("who:N", title="agent"), "status:N", _TASKS],
        )
    )


def _priority(data: Any, color: alt.Color) -> Any:
    label = alt.Axis(labelAngle=0, labelExpr="isValid(datum.value) ? datum.label : 'none'", labelOverlap=True)
    no_wider = alt.ExprRef("min(bandwidth('x'), 60)")
    bars = _bars(data, color, height=190).mark_bar(cornerRadius=1, width=no_wider)
    return bars.encode(
        x=alt.X("priority:O", title="priority", sort="descending", axis=label),
        y=alt.Y("sum(n):Q", title="tasks", axis=_COUNT),
        tooltip=["priority:O", "status:N", _TASKS],
    )


def _age(data: Any, color: alt.Color, with_unknown: bool) -> Any:
    in_order = alt.Scale(domain=[*AGE_BUCKETS, *(["unknown"] if with_unknown else [])])
    return (
        _bars(data, color, height=190)
        .transform_filter("datum.is_open")
        .encode(
            x=alt.X("age_bucket:O", title="age", sort=None, scale=in_order, axis=alt.Axis(labelAngle=0)),
            y=alt.Y("sum(n):Q", title="open tasks", axis=_COUNT),
            tooltip=[
                alt.Tooltip("age_bucket:O", title="age"),
                "status:N",
                alt.Tooltip("sum(n):Q", title="open tasks"),
            ],
        )
    )


def _oldest(data: Any, color: alt.Color, n: int = _OLDEST) -> Any:
    oldest_first = alt.EncodingSortField("age_hours", order="descending")
    values = alt.ExprRef(f"sequence(0, {_LONGEST} * 1.001, {_AGE_STEP})")
    ticks = alt.Axis(values=values, labelExpr=_AGE_LABEL, labelOverlap=True, labelSeparation=8)
    room_for_the_age = alt.Scale(nice=False, zero=True, range=[0, alt.ExprRef("max(width - 52, 1)")])
    tooltip = [
        alt.Tooltip("label:N", title="task"),
        *(f"{field}:N" for field in ("age", "agent", "queue", "priority", "status")),
        alt.Tooltip("last_edit:N", title="last edit, ago"),
    ]
    tasks = alt.Chart().encode(
        x=alt.X("age_hours:Q", title="age", scale=room_for_the_age, axis=ticks, stack=None),
        y=alt.Y("label:N", title=None, sort=oldest_first, axis=alt.Axis(labelLimit=190)),
    )
    bars = tasks.mark_bar(cornerRadius=1).encode(color=color, tooltip=tooltip)
    ages = tasks.mark_text(align="left", dx=4).encode(text="age:N")
    return (
        alt.layer(bars, ages, data=data, width="container", height=alt.Step(22), autosize=_FIT)
        .transform_filter("datum.is_open && isValid(datum.age_hours)")
        .transform_window(position="row_number()", sort=[alt.SortField("age_hours", order="descending")])
        .transform_filter(f"datum.position <= {n}")
        .transform_calculate(label=f"'#' + datum.id + ' ' + slice(datum.title || '', 0, {_LABEL})")
    )


def _bars(data: Any, color: alt.Color, height: Any) -> Any:
    return (
        alt.Chart(data, width="container", height=height, autosize=_FIT)
        .mark_bar(cornerRadius=1)
        .transform_calculate(rank=_RANK)
        .encode(color=color, order=alt.Order("rank:Q"))
    )


def _of_rows(name: str, builder: Builder, tasks: pd.DataFrame, statuses: Sequence[str]) -> Chart:
    title, description, fields = _ABOUT[name]
    rows = task_rows(tasks[tasks["status"].isin(list(statuses))])[fields.split()].assign(n=1)
    if rows.empty:
        nothing = alt.Chart(alt.InlineData(values=[{}]), width="container", height=60)
        chart = nothing.mark_text(text="No task matches", fontSize=14)
    else:
        # As values and not as a frame, which Altair refuses above 5,000 rows.
        values: Any = rows.astype("object").where(rows.notna(), None).to_dict("records")
        chart = builder(alt.InlineData(values=values), _WITH_LEGEND)
    heading = alt.TitleParams(title, subtitle=description, anchor="start")
    titled: Chart = chart.properties(title=heading, description=description)
    return titled


def _view_chart(name: str, builder: Builder) -> ViewChart:
    title, description, fields = _ABOUT[name]
    open_only = name in ("age", "oldest")
    chart = builder(alt.NamedData(name="tasks"), _WITHOUT_LEGEND)
    spec = chart.properties(description=f"{title}: {description}").to_dict()
    top = _OLDEST if name == "oldest" else 0
    return ViewChart(name, title, description, tuple(fields.split()), open_only, top, spec)
