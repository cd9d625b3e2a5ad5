"""Altair charts of task frames: one function per question, each usable by itself in a notebook cell.

The charts add up inside Vega-Lite. So the page and the dashboard filter rows, and every chart follows
without asking Python.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple, cast

import altair as alt
import pandas as pd

from calypso_nb.frames import AGE_BUCKETS, OPEN_STATUSES, STATUSES
from calypso_nb.history.saved import plain_records
from calypso_nb.view.rows import task_rows
from calypso_nb.workload.flow import flow
from calypso_nb.workload.phrases import UNASSIGNED, readable_range

Chart = alt.Chart | alt.LayerChart
Builder = Callable[..., Any]

# Told apart with any kind of colour blindness, and at least 3:1 on a white and on a dark page.
# Amber and red are for problems.
STATUS_COLORS = {"idle": "#64809e", "working": "#276eb0", "complete": "#8c9299"}
_STATE_COLORS = {**STATUS_COLORS, "never ends": "#c2410c"}

# Vega ignores tickMinStep for counts of 0 and 1: half a task has no label at least.
COUNT = alt.Axis(format="d", tickCount=6, labelExpr="datum.value % 1 ? '' : datum.label")
# Without `resize`, labels of rows that come later would be cut.
FIT = alt.AutoSizeParams(type="fit-x", contains="padding", resize=True)
_BY_STATUS = alt.Color("status:N", scale=alt.Scale(domain=list(STATUSES), range=list(STATUS_COLORS.values())))
_WITH_LEGEND = _BY_STATUS.legend(orient="top", title=None)
_BY_STATE = alt.Color(
    "state:N",
    scale=alt.Scale(domain=list(_STATE_COLORS), range=list(_STATE_COLORS.values())),
    legend=alt.Legend(orient="top", title=None),
)
_WITHOUT_LEGEND = _BY_STATUS.legend(None)  # the view has one legend for all its charts
# A row stands for `n` tasks: one in a chart of its own, and many in the view, which counts before it draws.
_TASKS = alt.Tooltip("sum(n):Q", title="tasks")
_RANK = f"indexof({list(STATUSES)}, datum.status)"
# An agent may be called "(unassigned)".
_WHO = (
    f"!isValid(datum.agent) ? '{UNASSIGNED}' : datum.agent == '{UNASSIGNED}' ? '“{UNASSIGNED}”' : datum.agent"
)

# Vega's stack keeps its groups in a plain JavaScript object, which has things called "constructor" already.
_KEY = f"'@' + ({_WHO})"
_SAID = "'tasks: ' + datum.sum_n + '; agent: ' + datum.who + '; status: ' + datum.status"

# What a label shows of a title: measuring 100 kB of text, letter by letter, would stop the browser.
LABEL = 240
_OLDEST = 15
_INDENT, _ROW = 26, 20
_TREE_TOOLTIP = {
    "id": "task",
    "title": "title",
    "agent": "agent",
    "state": "status",
    "blocked_by": "waits for",
    "holds_up_directly": "holds up directly",
    "holds_up_in_all": "holds up in all",
}

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
    """One chart of the shared view, without rows: the spec's data is `{"name": "tasks"}`.

    `browser/src/charts.js` makes its rows; `n` of a row is how many tasks it stands for.
    """

    id: str
    title: str
    description: str
    spec: dict[str, Any]


def load_per_agent(tasks: pd.DataFrame, statuses: Sequence[str] = OPEN_STATUSES) -> Chart:
    """Return a bar of tasks per agent, by status, most open work first; unassigned tasks share one bar.

    - tasks: a frame with the columns of `TASK_COLUMNS`
    - statuses: the statuses to count

    Example: `load_per_agent(data.tasks)`
    """
    return _of_rows("load", _load, tasks, statuses)


def backlog(tasks: pd.DataFrame) -> Chart:
    """Return bars of the tasks that came and of those that were finished, per day of the last 14, in UTC.

    A task was finished at its last edit or before: so finished tasks are at most these. Archived tasks are
    not counted.

    - tasks: a frame with the columns of `TASK_COLUMNS`; the last day is that on which they were read

    Example: `backlog(data.tasks)`
    """
    title, description, _ = _ABOUT["backlog"]
    rows = _per_day(tasks[tasks["archived_at"].isna()])
    if not rows:
        return nothing(title, "No task matches")
    chart = _backlog(alt.InlineData(values=cast(Any, rows)), _WITH_LEGEND)
    whole: Chart = chart.properties(title=titled(title, description), description=description)
    return whole


def priority_distribution(tasks: pd.DataFrame, statuses: Sequence[str] = OPEN_STATUSES) -> Chart:
    """Return a bar of tasks per priority in use, by status, most urgent first.

    - tasks: a frame with the columns of `TASK_COLUMNS`
    - statuses: the statuses to count

    Example: `priority_distribution(data.tasks)`
    """
    return _of_rows("priority", _priority, tasks, statuses)


def age_distribution(tasks: pd.DataFrame) -> Chart:
    """Return a bar of open tasks per bucket of `AGE_BUCKETS`, by status, empty buckets included.

    - tasks: a frame with the columns of `TASK_COLUMNS`. Age is the time since creation.

    Example: `age_distribution(data.tasks)`
    """
    unknown = bool(tasks.loc[tasks["is_open"], "age_hours"].isna().any())
    return _of_rows("age", partial(_age, with_unknown=unknown), tasks, OPEN_STATUSES)


def oldest_tasks(tasks: pd.DataFrame, n: int = _OLDEST) -> Chart:
    """Return a bar of age for each of the oldest open tasks.

    - tasks: a frame with the columns of `TASK_COLUMNS`. Age is the time since creation, in hours or days.
    - n: how many tasks to show

    Example: `oldest_tasks(data.tasks, n=10)`
    """
    return _of_rows("oldest", partial(_oldest, n=n), tasks, OPEN_STATUSES)


@cache
def chart_specs() -> tuple[ViewChart, ...]:
    """Return the charts of the shared view that follow its filter."""
    return _view_chart("backlog", _backlog), _view_chart("load", partial(_load, steady=True))


# Title, description, and the fields of a row that the chart needs.
_ABOUT = {
    "backlog": (
        "Backlog, 14 days",
        "Tasks that came and were finished per day (UTC), finished at most",
        "day what",
    ),
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


def _load(data: Any, color: alt.Color, steady: bool = False) -> Any:
    """Draw the load; if `steady`, rows say at which `place` an agent is and whether it is `dimmed`."""
    most_open_first = alt.EncodingSortField("open", op="sum", order="descending")
    order = alt.EncodingSortField("place", op="min") if steady else most_open_first
    most = alt.Scale(domainMax=alt.ExprRef("most"), nice=False) if steady else alt.Undefined
    unassigned = f"datum.value == '@{UNASSIGNED}'"
    italics = {"condition": {"test": unassigned, "value": "italic"}, "value": "normal"}
    names = alt.Axis(labelLimit=150, labelFontStyle=italics, labelExpr="slice(datum.value, 1)")
    faint = f"datum.dimmed ? 0.25 : datum.who == '{UNASSIGNED}' ? 0.55 : 1"
    bars = (
        _bars(data, color, height=alt.Step(22))
        .mark_bar(cornerRadius=1, description=alt.ExprRef(_SAID), fillOpacity=alt.ExprRef(faint))
        .transform_calculate(who=_WHO, key=_KEY, open="datum.is_open ? datum.n : 0")
        .encode(
            x=alt.X("sum(n):Q", title="tasks", axis=COUNT, scale=most),
            y=alt.Y("key:N", title=None, sort=order, axis=names),
            detail=["who:N", "dimmed:N"],
            tooltip=[alt.Tooltip("who:N", title="agent"), "status:N", _TASKS],
        )
    )
    return bars.add_params(alt.param("most", value=1)) if steady else bars


_CAME, _FINISHED = "new", "finished, at most"
_DAYS = 14


def _backlog(data: Any, _: alt.Color) -> Any:
    what = alt.Scale(domain=[_CAME, _FINISHED], range=[STATUS_COLORS["idle"], STATUS_COLORS["complete"]])
    beside = alt.Scale(domain=[_CAME, _FINISHED])
    days = alt.Axis(labelAngle=0, labelExpr="slice(datum.value, 8)", labelOverlap=True)
    said = "datum.what + ': ' + datum.sum_n + '; day: ' + datum.day"
    bound = f"datum.what == '{_FINISHED}'"
    return (
        alt.Chart(data, width="container", height=110, autosize=FIT)
        .mark_bar(
            cornerRadius=1,
            description=alt.ExprRef(said),
            # A bound has an outline and little in it.
            fillOpacity=alt.ExprRef(f"{bound} ? 0.3 : 1"),
            strokeDash=alt.ExprRef(f"{bound} ? [3, 2] : [1, 0]"),
        )
        .encode(
            x=alt.X("day:O", title=None, axis=days),
            xOffset=alt.XOffset("what:N", scale=beside),
            y=alt.Y("sum(n):Q", title="tasks", axis=COUNT),
            color=alt.Color("what:N", scale=what, legend=alt.Legend(orient="top", title=None)),
            stroke=alt.Stroke("what:N", scale=what, legend=None),
            tooltip=["day:O", "what:N", _TASKS],
        )
    )


def _per_day(tasks: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what came and what was finished on each day; `browser/src/charts.js` does the same."""
    read = (tasks["created_at"] + pd.to_timedelta(tasks["age_hours"], unit="h")).max()
    if pd.isna(read):
        return []
    days = pd.date_range(end=read.floor("D"), periods=_DAYS).strftime("%Y-%m-%d")
    times = {_CAME: tasks["created_at"], _FINISHED: tasks.loc[tasks["status"] == "complete", "updated_at"]}
    counts = {what: of.dt.strftime("%Y-%m-%d").value_counts() for what, of in times.items()}
    return [{"day": day, "what": what, "n": int(counts[what].get(day, 0))} for day in days for what in times]


def _priority(data: Any, color: alt.Color) -> Any:
    label = alt.Axis(labelAngle=0, labelExpr="isValid(datum.value) ? datum.label : 'none'", labelOverlap=True)
    no_wider = alt.ExprRef("min(bandwidth('x'), 60)")
    bars = _bars(data, color, height=190).mark_bar(cornerRadius=1, width=no_wider)
    return bars.encode(
        x=alt.X("priority:O", title="priority", sort="descending", axis=label),
        y=alt.Y("sum(n):Q", title="tasks", axis=COUNT),
        tooltip=["priority:O", "status:N", _TASKS],
    )


def _age(data: Any, color: alt.Color, with_unknown: bool) -> Any:
    in_order = alt.Scale(domain=[*AGE_BUCKETS, *(["unknown"] if with_unknown else [])])
    return (
        _bars(data, color, height=190)
        .transform_filter("datum.is_open")
        .encode(
            x=alt.X("age_bucket:O", title="age", sort=None, scale=in_order, axis=alt.Axis(labelAngle=0)),
            y=alt.Y("sum(n):Q", title="open tasks", axis=COUNT),
            tooltip=[alt.Tooltip("age_bucket:O", title="age"), "status:N", _TASKS.title("open tasks")],
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
        alt.layer(bars, ages, data=data, width="container", height=alt.Step(22), autosize=FIT)
        .transform_filter("datum.is_open && isValid(datum.age_hours)")
        .transform_window(position="row_number()", sort=[alt.SortField("age_hours", order="descending")])
        .transform_filter(f"datum.position <= {n}")
        .transform_calculate(label=f"'#' + datum.id + ' ' + slice(datum.title || '', 0, {LABEL})")
    )


def _bars(data: Any, color: alt.Color, height: Any) -> Any:
    return (
        alt.Chart(data, width="container", height=height, autosize=FIT)
        .mark_bar(cornerRadius=1)
        .transform_calculate(rank=_RANK)
        .encode(color=color, order=alt.Order("rank:Q"))
    )


def _of_rows(name: str, builder: Builder, tasks: pd.DataFrame, statuses: Sequence[str]) -> Chart:
    title, description, fields = _ABOUT[name]
    rows = task_rows(tasks[tasks["status"].isin(list(statuses))])[fields.split()].assign(n=1)
    if rows.empty:
        return nothing(title, "No task matches")
    # As values and not as a frame, which Altair refuses above 5,000 rows.
    chart = builder(alt.InlineData(values=cast(Any, plain_records(rows))), _WITH_LEGEND)
    whole: Chart = chart.properties(title=titled(title, description), description=description)
    return whole


def _view_chart(name: str, builder: Builder) -> ViewChart:
    title, description, _ = _ABOUT[name]
    chart = builder(alt.NamedData(name="tasks"), _WITHOUT_LEGEND)
    spec = chart.properties(description=f"{title}: {description}").to_dict()
    return ViewChart(name, title, description, spec)


def blocking_chart(blocking: pd.DataFrame, most: int = 80) -> alt.LayerChart | alt.Chart:
    """Return who blocks whom as a tree: what waits for a task stands below it and to its right, worst first.

    What can never end, a circle or an archived task, has a colour of its own.

    - blocking: a frame with the columns of `BLOCKING_COLUMNS`
    - most: how many rows to draw; the subtitle says how many are left out

    Example: `blocking_chart(data.blocking)`
    """
    rows = _tree_rows(blocking)
    shown = rows[:most]
    if not shown:
        return nothing("Who blocks whom", "No task is blocked")
    deepest = max(row["depth"] for row in shown)
    waiting = int(blocking["blocked_by_task_id"].notna().sum())
    subtitle = f"{waiting} tasks wait; each is under the task that it waits for"
    if len(rows) > most:
        subtitle += f"; {len(rows) - most} more rows are left out"
    x_scale = alt.Scale(domain=[0, deepest], range=[10, 10 + _INDENT * deepest], nice=False)
    y_scale = alt.Scale(domain=[-0.5, len(shown) - 0.5], reverse=True, nice=False)
    x, y = alt.X("depth:Q", scale=x_scale, axis=None), alt.Y("row:Q", scale=y_scale, axis=None)
    data = alt.InlineData(values=shown)
    tooltip = [alt.Tooltip(f"{name}:N", title=title) for name, title in _TREE_TOOLTIP.items()]
    links = alt.Chart(data).transform_filter("isValid(datum.above_row)")
    x_above = alt.X("above_depth:Q", scale=x_scale, axis=None)
    lines = links.mark_rule(color="#8b95a1", strokeWidth=1.2).encode(x=x_above)
    down = lines.encode(y=alt.Y("above_row:Q", scale=y_scale, axis=None), y2="row:Q")
    across = lines.encode(x2="depth:Q", y=y)
    points = alt.Chart(data).encode(x=x, y=y, tooltip=tooltip)
    dots = points.mark_circle(size=90, opacity=1).encode(color=_BY_STATE)
    labels = points.mark_text(align="left", baseline="middle", dx=9, limit=620).encode(text="label:N")
    chart: alt.LayerChart = (
        alt.layer(down, across, dots, labels)
        .properties(width="container", height=_ROW * len(shown), title=titled("Who blocks whom", subtitle))
        .configure_view(stroke=None)
    )
    return chart


def work_item_age_chart(tasks: pd.DataFrame, most: int = 30) -> alt.Chart:
    """Return for each working task the range in which its work item age lies.

    A bar runs from the time since the last edit to the time since creation: TinyTask does not say when in
    between a task was started.

    - tasks: a frame with the columns of `TASK_COLUMNS`
    - most: how many tasks to draw, those in progress longest first

    Example: `work_item_age_chart(data.tasks)`
    """
    ages = flow(tasks).query("work_item_age_known == 'bound'")
    longest = ages.sort_values("work_item_age_max_hours", ascending=False).head(most)
    if longest.empty:
        return nothing("Work item age", "No task is working")
    rows = [
        {
            "label": f"#{task['id']} {task['title']}",
            "from_days": max(task["work_item_age_min_hours"], 0) / 24,
            "to_days": max(task["work_item_age_max_hours"], 0) / 24,
            "range": readable_range(task["work_item_age_min_hours"], task["work_item_age_max_hours"]),
            "agent": task["assigned_to"],
        }
        for task in plain_records(longest)
    ]
    subtitle = "Working tasks: in progress since some moment between creation and last edit"
    if len(ages) > len(longest):
        subtitle += f"; the {len(longest)} longest of {len(ages):,}"
    order = alt.EncodingSortField("to_days", order="descending")
    y = alt.Y("label:N", title=None, sort=order, axis=alt.Axis(labelLimit=260))
    tooltip = [alt.Tooltip("label:N", title="task"), "agent:N", alt.Tooltip("range:N", title="work item age")]
    bars = alt.Chart(alt.InlineData(values=rows)).mark_bar(
        height=9, cornerRadius=4, color=STATUS_COLORS["working"], opacity=0.75
    )
    chart: alt.Chart = bars.encode(
        x=alt.X("from_days:Q", title="days in progress, from at least to at most"),
        x2="to_days:Q",
        y=y,
        tooltip=tooltip,
    ).properties(width="container", height=alt.Step(_ROW), title=titled("Work item age", subtitle))
    return chart


def blocking_rows(blocking: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `blocking_chart` in their order: `id`, `depth`, `holds_up`, `longest`, `state`.

    - blocking: a frame with the columns of `BLOCKING_COLUMNS`
    """
    rows = pd.DataFrame(_tree_rows(blocking), columns=["id", "depth", "holds_up_in_all", "state"])
    longest = blocking.set_index("id")["longest_chain"]
    return rows.rename(columns={"holds_up_in_all": "holds_up"}).assign(longest=rows["id"].map(longest))


def _tree_rows(blocking: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a dict per task, each below the task that it waits for; a circle starts at its smallest id."""
    tasks: dict[int, dict[str, Any]] = {task["id"]: task for task in plain_records(blocking)}
    waiting: dict[int, list[int]] = {}
    tops = []
    for number, task in tasks.items():
        blocker = task["blocked_by_task_id"]
        # The smallest of a circle stands at the top, and waits for the one that is drawn furthest below it.
        if blocker not in tasks or number in task["cycle"][:1]:
            tops.append(number)
        else:
            waiting.setdefault(blocker, []).append(number)
    rows: list[dict[str, Any]] = []
    stack = [(number, {"row": None, "depth": -1}) for number in reversed(tops)]
    while stack:
        number, above = stack.pop()
        row = _tree_row(tasks[number], len(rows), above)
        rows.append(row)
        stack.extend((below, row) for below in reversed(waiting.get(number, [])))
    return rows


def _tree_row(task: dict[str, Any], position: int, above: dict[str, Any]) -> dict[str, Any]:
    circled, archived = bool(task["cycle"]), pd.notna(task["archived_at"])
    holds_up = task["holds_up_in_all"]
    title, agent, blocker = (task[name] for name in ("title", "assigned_to", "blocked_by_task_id"))
    remarks = [
        (agent or UNASSIGNED, True),
        ("archived", archived),
        (f"in a circle, waits for #{blocker}", circled),
        (f"holds up {holds_up}", holds_up > 0),
    ]
    return {
        "row": position,
        "depth": above["depth"] + 1,
        "above_row": above["row"],
        "above_depth": above["depth"],
        "label": " · ".join(
            [f"#{task['id']} {_cut(title or '')}", *(text for text, is_so in remarks if is_so)]
        ),
        "state": "never ends" if circled or (archived and holds_up > 0) else task["status"],
        "id": task["id"],
        "title": title or "",
        "agent": agent,
        "blocked_by": blocker,
        "holds_up_directly": task["holds_up_directly"],
        "holds_up_in_all": holds_up,
    }


def _cut(title: str, most: int = 70) -> str:
    return title if len(title) <= most else title[: most - 1] + "…"


def titled(title: str, subtitle: str | list[str]) -> alt.TitleParams:
    return alt.TitleParams(title, subtitle=subtitle, anchor="start")


def nothing(title: str, subtitle: str) -> alt.Chart:
    empty = alt.Chart(alt.InlineData(values=[{}]), width="container", height=40).mark_text(text="")
    chart: alt.Chart = empty.properties(title=titled(title, subtitle), description=f"{title}: {subtitle}")
    return chart
