"""Altair charts of how work flows: one function per question, each usable by itself in a notebook cell.

What is certain is drawn solid, what is only possible is hatched, and what nobody recorded is left white.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from calypso_nb.flow import sentences
from calypso_nb.flow.columns import PERCENTS
from calypso_nb.flow.items import Bounds
from calypso_nb.flow.measures import EXPECTED_LEAST, EXPECTED_PERCENT, Flow
from calypso_nb.flow.sentences import EMPTY, count_range, hours_range, waiting_first
from calypso_nb.history.saved import plain_records
from calypso_nb.view.charts import LABEL, STATUS_COLORS
from calypso_nb.view.flow_tasks import (
    handed_on,
    in_progress,
    in_spans,
    lasting,
    of_group,
    passing,
    waiting_in,
)
from calypso_nb.view.marks import (
    HATCH,
    LIMIT,
    FlowChart,
    Rows,
    across,
    add_row,
    between,
    by_status,
    colored,
    counts,
    down,
    empty,
    left_out,
    limits,
    of,
    on,
    over_time,
    span_of,
    spans,
    stretches,
    task_of,
    text_or,
    tooltips,
    unit_of,
    whole,
    whole_numbers,
)
from calypso_nb.workload.phrases import UNKNOWN, moment

_CAME, _GONE = STATUS_COLORS["idle"], STATUS_COLORS["complete"]
_RETURN = "#c2410c"
_BANDS = {
    "not started": STATUS_COLORS["idle"],
    "in progress": STATUS_COLORS["working"],
    "withdrawn": "#b58fae",
    "finished": STATUS_COLORS["complete"],
}
# What is counted over time: its title and its colour.
_STATES = {
    "wip": ("WIP", "#5f8f7b"),
    "working": ("working", STATUS_COLORS["working"]),
    "idle": ("idle", STATUS_COLORS["idle"]),
}
_SHARES = {50: "half of them", 85: "85 %"}
_TALL, _PANEL, _BETWEEN = 260, 90, 28
_SIDE, _BINS = 130, 24  # Of the distribution of cycle times: its pixels, and its bars.
_MANY = 400  # So many points are drawn smaller.
_QUEUES = 12


def ageing_work(flow: Flow, most: int = 40) -> FlowChart:
    """Return the age of every task in progress, by queue, against the cycle times of finished tasks.

    - flow: the flow
    - most: how many tasks to draw, the oldest first; the subtitle says how many are left out

    Example: `ageing_work(history.flow(), most=20)`
    """
    sentence = sentences.about_ageing(flow)
    if sentence in EMPTY:
        return empty("Ageing work", flow, sentence)
    shown, marks = flow.ageing.head(most), flow.percentiles.iloc[0]
    compared = marks["tasks"] >= EXPECTED_LEAST
    unit, size = unit_of(np.nanmax([shown["work_item_age_most"].max(), marks["p95_most"] if compared else 0]))
    keys: list[str] = []
    against = [_percentile(keys, percent, marks, size) for percent in PERCENTS if compared]
    rows: Rows = []
    for queue, tasks in shown.groupby("queue", sort=False, dropna=False):
        add_row(keys, text_or(queue, "in no queue"), "h")
        for task in plain_records(tasks):
            told = task_of(task)
            rows.append(told | span_of(task, "work_item_age", size) | {"row": add_row(keys, told["label"])})
    x = across("least", f"age in {unit}; hatched: not certain")
    names = of(against).mark_text(align="left", dx=5, color=LIMIT, fontWeight="bold")
    told = {"label": "task", "agent": "agent", "queue": "queue", "status": "status", "range": "age"}
    drawn = [
        limits(against, x=on(x, "low"), x2="high:Q"),
        names.encode(x=on(x, "high"), y=down(keys), text="range:N"),
        spans(rows, x, keys, by_status(rows), told),
    ]
    sentence += left_out(len(flow.ageing) - len(shown), "younger task")
    return whole("Ageing work", flow, sentence, drawn)


def _percentile(keys: list[str], percent: int, marks: pd.Series, size: float) -> dict[str, Any]:
    """Return where a percentile of the cycle times is, in a row of its own."""
    low, high = marks[f"p{percent}_least"], marks[f"p{percent}_most"]
    key = add_row(keys, f"{percent} % of finished tasks took at most")
    return {"row": key, "low": low / size, "high": high / size, "range": hours_range(low, high)}


def cycle_times(flow: Flow, most: int = 1_000) -> FlowChart:
    """Return the cycle time of each finished task by when it was finished, and how they are distributed.

    - flow: the flow; what was finished before the time that it shows is left out
    - most: how many tasks to draw, those that were finished last; the distribution is of all

    Example: `cycle_times(history.flow(queue="dev"))`
    """
    return _durations(flow, "cycle time", sentences.about_cycle_times(flow), most)


def lead_times(flow: Flow, most: int = 1_000) -> FlowChart:
    """Return the lead time of each finished task by when it was finished, and how they are distributed.

    - flow, most: as `cycle_times` takes them

    Example: `lead_times(history.flow())`
    """
    return _durations(flow, "lead time", sentences.about_lead_times(flow), most)


def _durations(flow: Flow, measure: str, sentence: str, most: int) -> FlowChart:
    column, name = measure.replace(" ", "_"), f"{measure.capitalize()}s"
    tasks = _measured(flow, column)
    if tasks.empty:
        return empty(name, flow, sentence)
    marks = flow.percentiles.set_index("measure").loc[measure]
    low, high = float(marks["p85_least"]), float(marks["p85_most"])  # type: ignore[arg-type]
    text = f"{EXPECTED_PERCENT} %"
    if measure == "cycle time":
        low, high = flow.expectation.hours_least, flow.expectation.hours_most
    longest = float(np.nanmax([tasks[f"{column}_most"].max(), high]))
    unit, size = unit_of(longest)
    top = longest / size * 1.04 or 1
    y = alt.Y("least:Q", title=f"{measure} in {unit}", scale=alt.Scale(domain=[0, top], nice=False))
    line = {"low": low / size, "high": high / size, "range": hours_range(low, high), "text": text}
    against = [] if np.isnan(high) else [line]
    label = of(against).mark_text(align="left", baseline="bottom", dy=-3, color=LIMIT)
    place = alt.value(alt.ExprRef(f"width - {_SIDE - 4}"))
    drawn = [
        _finished(flow, tasks.sort_values("finished_not_after").tail(most), column, size, top, y),
        limits(against, y=on(y, "low"), y2="high:Q"),
        label.encode(x=place, y=on(y, "high"), text="text:N"),
        _distribution(tasks, column, size, top, y),
    ]
    sentence += left_out(len(tasks) - most, "earlier task")
    return whole(name, flow, sentence, drawn, height=_TALL, x="independent")


def _measured(flow: Flow, column: str) -> pd.DataFrame:
    """Return the tasks with a cycle or lead time that may have been finished in the time shown."""
    tasks = flow.tasks[flow.tasks[f"{column}_most"].notna()]
    return tasks[tasks["finished_not_after"] >= flow.since]


def _finished(flow: Flow, tasks: pd.DataFrame, column: str, size: float, top: float, y: alt.Y) -> Any:
    """Return a dot for an exact time, a ring for one that is known to be within it, else a hatched bar."""
    area, opacity, width = (42, 0.75, 5) if len(tasks) < _MANY else (14, 0.5, 3)
    within = 1.1 * np.sqrt(area) / _TALL * top
    rows = []
    for task in plain_records(tasks):
        told = task_of(task) | span_of(task, column, size)
        kind = "dot" if told["exact"] else "ring" if told["most"] - told["least"] < within else "bar"
        told |= {"kind": kind, "middle": (told["least"] + told["most"]) / 2}
        rows.append(told | {"at": task["finished_not_after"], "finished": between(task, "finished_")})
    right = alt.ExprRef(f"max(width - {_SIDE}, 1)")
    x = over_time(flow.since, flow.until, "at", "finished, at the latest (UTC)", right)
    told = {
        "label": "task",
        "agent": "agent",
        "queue": "queue",
        "finished": "finished",
        "range": column.replace("_", " "),
    }
    marks = of(rows).encode(x=x, color=alt.value(_GONE), tooltip=tooltips(told))
    dots, rings, bars = (
        marks.transform_filter(f"datum.kind === '{kind}'") for kind in ("dot", "ring", "bar")
    )
    bars = bars.mark_rule(strokeWidth=width, strokeDash=HATCH, opacity=opacity)
    return alt.layer(
        bars.encode(y=y, y2="most:Q"),
        dots.mark_circle(size=area, opacity=opacity).encode(y=on(y, "middle")),
        rings.mark_point(size=area, opacity=opacity).encode(y=on(y, "middle")),
    )


def _distribution(tasks: pd.DataFrame, column: str, size: float, top: float, y: alt.Y) -> Any:
    """Return how many times are certainly and possibly of each length, to the right of the tasks."""
    edges = np.linspace(0, top, _BINS + 1)
    lengths = Bounds(*(tasks[f"{column}_{end}"].to_numpy() / size for end in ("least", "most")))
    rows = [
        {"zero": 0, "middle": (low + high) / 2, "least": int(least), "most": int(most)}
        | {"tasks": count_range(least, most), "range": hours_range(low * size, high * size)}
        | {"ids": lasting(tasks, column, low * size, high * size)}
        for low, high, least, most in zip(edges[:-1], edges[1:], *lengths.counted_between(edges), strict=True)
    ]
    pixels = [alt.ExprRef(f"max(width - {_SIDE - 34}, 1)"), alt.ExprRef("width")]
    axis = whole_numbers(tickCount=2, orient="bottom", grid=False)
    x = alt.X("least:Q", title="tasks", scale=alt.Scale(range=pixels), axis=axis, stack=None)
    told = tooltips({"range": column.replace("_", " "), "tasks": "tasks"})
    bars = of(rows).encode(y=on(y, "middle"), color=alt.value(_GONE), tooltip=told)
    thick = _TALL / _BINS - 1
    return alt.layer(
        bars.mark_rule(strokeWidth=thick).encode(x=on(x, "zero"), x2="least:Q"),
        bars.mark_rule(strokeWidth=thick, strokeDash=HATCH).encode(x=x, x2="most:Q"),
    )


def throughput(flow: Flow) -> FlowChart:
    """Return how many tasks came and were finished in each bucket of time.

    - flow: the flow

    Example: `throughput(history.flow(bucket="1 d"))`
    """
    sentence = sentences.about_throughput(flow)
    if sentence in EMPTY:
        return empty("Throughput", flow, sentence)
    items, frame = flow.items, _buckets(flow.throughput)
    frame = frame.assign(
        came_ids=in_spans(items.tasks, items.created, frame),
        finished_ids=in_spans(items.tasks, items.finished, frame),
    )
    known = frame["known"]
    x = over_time(frame["from"].iloc[0], frame["to"].iloc[-1], "middle")
    y = alt.Y("finished_least:Q", title=f"tasks in {flow.bucket}", axis=whole_numbers())
    color = colored("what", {"finished": _GONE, "came": _CAME})
    told = tooltips({"span": "from", "done": "finished", "came": "came", "share": "recorded"})
    buckets = of(frame[known]).encode(tooltip=told, color=color)
    finished, came = (
        buckets.transform_calculate(what=f"'{what}'", ids=f"datum.{what}_ids")
        for what in ("finished", "came")
    )
    wide = alt.ExprRef(f"max(width * {0.84 / len(frame)}, 1)")
    last = frame[known & ~known.shift(-1, fill_value=False)]
    steps = pd.concat([frame[known].assign(at=frame["from"]), last.assign(at=last["to"])])
    line = of(steps[["at", "arrived_least", "stretch"]]).transform_calculate(what="'came'")
    line = line.mark_line(strokeWidth=2, interpolate="step-after")
    away = of(frame[~known]).mark_rect(opacity=0)  # White, but pointed at it says why.
    drawn = [
        away.encode(
            x=on(x, "from"), x2="to:T", tooltip=tooltips({"span": "not recorded", "share": "recorded"})
        ),
        alt.layer(
            finished.mark_bar().encode(x=on(x, "begin"), x2="end:T", y=y, y2=alt.datum(0)),
            finished.mark_rule(strokeWidth=wide, strokeDash=HATCH).encode(x=x, y=y, y2="finished_most:Q"),
            came.mark_rule(strokeWidth=4, strokeDash=HATCH).encode(
                x=x, y=on(y, "arrived_least"), y2="arrived_most:Q"
            ),
        ),
        line.encode(x=on(x, "at"), y=on(y, "arrived_least"), detail="stretch:N", color=color),
    ]
    return whole("Throughput", flow, sentence, drawn, height=_TALL)


def _buckets(frame: pd.DataFrame) -> pd.DataFrame:
    """Return buckets with whether they are known, where their bars begin and end, and what is told."""
    known, size = frame["recorded"] >= 0.5, frame["to"] - frame["from"]
    return frame.assign(
        known=known, stretch=(~known).cumsum(),
        begin=frame["from"] + size * 0.08, middle=frame["from"] + size / 2, end=frame["to"] - size * 0.08,
        span=[*map("{} to {}".format, map(moment, frame["from"]), map(moment, frame["to"]))],
        done=counts(frame, "finished"), came=counts(frame, "arrived"),
        share=(100 * frame["recorded"]).map("{:.0f} %".format),
    )  # fmt: skip


def work_by_state(flow: Flow) -> FlowChart:
    """Return how many tasks were in progress (WIP), and how many were working and idle, over time.

    - flow: the flow

    Example: `work_by_state(history.flow())`
    """
    sentence = sentences.about_states(flow)
    if sentence in EMPTY:
        return empty("Work by state", flow, sentence)
    frame = stretches(flow.states)
    frame = frame.assign(
        **{state: counts(frame, state) for state in _STATES}, ids=in_progress(flow, frame["at"])
    )
    moments = of(frame).encode(x=over_time(flow.since, flow.until, "at"))
    told = {"moment": "at"} | {state: title for state, (title, _) in _STATES.items()}
    panels = []
    for place, (status, (title, color)) in enumerate(_STATES.items()):
        top = place * (_PANEL + _BETWEEN)
        scale = alt.Scale(range=[top + _PANEL, top], domainMax=max(int(frame[f"{status}_most"].max()), 1))
        axis = whole_numbers(orient="left")
        y = alt.Y(f"{status}_least:Q", title=title, scale=scale, axis=axis, stack=None)
        # The stroke shows a moment alone between two gaps.
        solid = moments.mark_area(color=color, stroke=color, strokeWidth=1).encode(y=y, detail="stretch:N")
        hatched = moments.mark_rule(color=color, strokeWidth=1.3).encode(y=y, y2=f"{status}_most:Q")
        panels.append(alt.layer(solid, hatched))
    pointed = moments.mark_rule(opacity=0, strokeWidth=5).encode(tooltip=tooltips(told))
    height = len(_STATES) * (_PANEL + _BETWEEN) - _BETWEEN
    return whole("Work by state", flow, sentence, [*panels, pointed], height=height, y="independent")


def cumulative_flow(flow: Flow) -> FlowChart:
    """Return how many tasks had come, been started and been done by each moment: no projection.

    - flow: the flow

    Example: `cumulative_flow(history.flow())`
    """
    sentence = sentences.about_cumulative(flow)
    if sentence in EMPTY:
        return empty("Cumulative flow", flow, sentence)
    frame = stretches(flow.cumulative)
    lines = {"finished": "finished", "withdrawn": "done", "in progress": "entered", "not started": "arrived"}
    if (frame["done_most"] == frame["finished_most"]).all():
        del lines["withdrawn"]
    solid, possible = _bands(frame, lines)
    hues = {name: hue for name, hue in _BANDS.items() if name in lines}
    color, stroke = colored("band", hues), colored("band", hues, alt.Stroke, legend=None)
    x = over_time(flow.since, flow.until, "at")
    y = alt.Y("low:Q", title="tasks", axis=whole_numbers())
    told = tooltips({"moment": "at"} | {line: line for line in ("arrived", "entered", "done", "finished")})
    counted = frame.assign(
        **{line: counts(frame, line) for line in ("arrived", "entered", "done", "finished")},
        ids=in_progress(flow, frame["at"]),
    )
    drawn = [
        of(solid)
        .mark_area(opacity=0.9, strokeWidth=1)
        .encode(x=x, y=y, y2="high:Q", color=color, stroke=stroke, detail="stretch:N"),
        of(possible).mark_rule(strokeWidth=1.3).encode(x=x, y=y, y2="high:Q", color=color),
        of(counted).mark_rule(opacity=0, strokeWidth=5).encode(x=x, tooltip=told),
    ]
    return whole("Cumulative flow", flow, sentence, drawn, height=_TALL)


def _bands(frame: pd.DataFrame, lines: dict[str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what is certainly between each two lines, and where each line may run."""
    solid, possible, below = [], [], pd.Series(0, frame.index)
    for band, line in lines.items():
        least, most = frame[f"{line}_least"], frame[f"{line}_most"]
        part = frame[["at", "stretch"]].assign(band=band)
        solid.append(part.assign(low=below, high=np.maximum(least, below)))
        possible.append(part.assign(low=least, high=most)[least < most])
        below = most
    return pd.concat(solid), pd.concat(possible)


def net_flow(flow: Flow, weeks: int = 4) -> FlowChart:
    """Return what came into each queue and what left it, per week, the busiest queues first.

    - flow: the flow
    - weeks: how many of the last weeks to draw

    Example: `net_flow(history.flow(), weeks=8)`
    """
    sentence = sentences.about_net_flow(flow)
    if sentence in EMPTY:
        return empty("Net flow", flow, sentence)
    recent = flow.net.groupby("queue", sort=False).head(weeks)
    moved = recent[["arrived_most", "departed_most"]].sum(axis=1).groupby(recent["queue"]).sum()
    queues = moved.sort_values(ascending=False, kind="stable").index
    keys: list[str] = []
    rows: Rows = []
    for queue in queues[:_QUEUES]:
        add_row(keys, queue, "h")
        passed = recent[recent["queue"] == queue]
        opened = zip(*passing(flow, queue, passed), strict=True)
        for week, ids in zip(plain_records(passed), opened, strict=True):
            part = " (in part)" if pd.Timestamp(week["from"]) < flow.since else ""
            row = add_row(keys, f"{week['from'][5:10]} to {week['to'][5:10]}{part}")
            rows += [told | {"ids": tasks} for told, tasks in zip(_passages(week, row), ids, strict=True)]
    sides = whole_numbers(tickCount=8, labelExpr="datum.value % 1 ? '' : format(abs(datum.value), 'd')")
    x = across("least", "tasks per week; hatched: not certain").axis(sides)
    told = {"queue": "queue", "week": "week", "came": "came", "left": "left", "text": "net"}
    bars = spans(rows, x, keys, colored("what", {"came": _CAME, "left": _GONE}), told)
    return whole("Net flow", flow, sentence + left_out(len(queues) - _QUEUES, "quieter queue"), [bars])


def _passages(week: dict[str, Any], row: str) -> Rows:
    """Return what came into a queue in a week, to the right of 0, and what left it, to the left."""
    came, left, net = (
        (week[f"{name}_least"], week[f"{name}_most"]) for name in ("arrived", "departed", "net")
    )
    low, high = (f"{bound:+,}" if bound else "0" for bound in net)
    told = {
        "row": row, "queue": text_or(week["queue"], ""),
        "week": f"{moment(week['from'])} to {moment(week['to'])}",
        "came": count_range(*came), "left": count_range(*left),
    }  # fmt: skip
    grown = low if low == high else f"{low} to {high}"
    return [
        told | {"what": "came", "least": came[0], "most": came[1], "text": grown},
        told | {"what": "left", "least": -left[0], "most": -left[1], "text": None},
    ]


def time_in_queues(flow: Flow) -> FlowChart:
    """Return how long tasks waited and were worked on in each queue, the bottleneck first.

    - flow: the flow

    Example: `time_in_queues(history.flow())`
    """
    sentence = sentences.about_queues(flow)
    if sentence in EMPTY:
        return empty("Time in queues", flow, sentence)
    stages = waiting_first(flow)
    shown = stages.head(_QUEUES)
    unit, size = unit_of(shown[["waited_most", "worked_most"]].max().max())
    keys: list[str] = []
    rows: Rows = []
    waits = map(hours_range, shown["p85_wait_least"], shown["p85_wait_most"])
    there = waiting_in(flow)
    for stage, wait in zip(plain_records(shown), waits, strict=True):
        add_row(keys, stage["queue"], "h")
        told = {
            "queue": text_or(stage["queue"], ""),
            "visits": stage["visits"],
            "now": stage["now"],
            "wait": wait,
            "ids": there.get(stage["queue"], []),
        }
        for name, status in (("waited", "idle"), ("worked", "working")):
            rows.append(told | span_of(stage, name, size) | {"row": add_row(keys, name), "status": status})
    told = {"queue": "queue", "status": "status", "range": "in all", "visits": "visits", "now": "in it now"}
    x = across("least", f"{unit}, all tasks together; hatched: not certain")
    bars = spans(rows, x, keys, by_status(rows), told | {"wait": "85 % of visits waited at most"})
    return whole("Time in queues", flow, sentence + left_out(len(stages) - _QUEUES, "queue"), [bars])


def cycle_times_by(flow: Flow, group: str = "agent", most: int = 40) -> FlowChart:
    """Return what 50 and 85 % of the tasks of each agent, queue, tag or parent took, and their WIP.

    - flow: the flow
    - group: `agent`, `queue`, `tag` or `parent`
    - most: how many to draw, those with most in progress first

    Example: `cycle_times_by(history.flow(), "tag")`
    """
    name, groups = f"Cycle times by {group}", flow.by(group)
    groups = groups[(groups["wip_most"] > 0) | (groups["measured"] > 0)]
    if groups.empty:
        return empty(name, flow, sentences.NO_TASKS if not len(flow.items) else sentences.NONE_MEASURED)
    shown = groups.head(most)
    unit, size = unit_of(float(shown["cycle_time_p85_most"].fillna(0).max()))
    keys: list[str] = []
    rows: Rows = []
    tasks = of_group(flow, group)
    for told in plain_records(shown):
        told["ids"] = tasks.get(told["group"] or "", [])
        told |= {"label": text_or(told["group"], f"without {group}"), "tasks": told["measured"]}
        told["wip"] = count_range(told["wip_least"], told["wip_most"])
        add_row(keys, told["label"], "h")
        for percent, share in _SHARES.items():
            unknown = {"least": 0, "most": 0, "range": UNKNOWN, "text": "no cycle time is known"}
            span = span_of(told, f"cycle_time_p{percent}", size) if told["measured"] else unknown
            rows.append(told | span | {"row": add_row(keys, f"{percent} %"), "share": share})
            if not told["measured"]:
                break
    x = across("least", f"cycle time in {unit}; hatched: not certain")
    told = {"label": group, "share": "of the tasks", "range": "took at most", "tasks": "tasks", "wip": "WIP"}
    hues = dict(zip(_SHARES.values(), (_CAME, _GONE), strict=True))
    sentence = sentences.about_groups(flow, group) + left_out(len(groups) - len(shown), group)
    return whole(name, flow, sentence, [spans(rows, x, keys, colored("share", hues), told)])


def handoffs(flow: Flow, most: int = 25) -> FlowChart:
    """Return how often tasks went from one agent to another, with what came back marked.

    - flow: the flow
    - most: how many agents to show, the busiest; the subtitle says how many are left out

    Example: `handoffs(history.flow())`
    """
    sentence = sentences.about_handoffs(flow)
    if sentence in EMPTY:
        return empty("Handoffs", flow, sentence)
    frame = flow.handoffs
    busy = pd.concat([frame.groupby(f"{end}_agent")["handoffs"].sum() for end in ("from", "to")])
    agents = busy.groupby(level=0).sum().sort_values(ascending=False, kind="stable").index
    keys: list[str] = []
    places = {agent: add_row(keys, agent) for agent in agents[:most]}
    opened = handed_on(flow)
    rows = [
        {name: pair[name] for name in ("handoffs", "tasks", "returns")}
        | {"ids": opened.get((pair["from_agent"], pair["to_agent"]), [])}
        | {"share": pair["returns"] / pair["handoffs"]}
        | {end: places[pair[f"{end}_agent"]] for end in ("from", "to")}
        | {f"{end}_agent": pair[f"{end}_agent"][:LABEL] for end in ("from", "to")}
        for pair in plain_records(frame)
        if pair["from_agent"] in places and pair["to_agent"] in places
    ]
    x = down(keys, alt.X, "to", title="to", orient="top", labelAngle=-50, labelLimit=110)
    y = down(keys, alt.Y, "from", title="from", labelLimit=160)
    told = {name: name for name in ("handoffs", "tasks", "returns")}
    cells = of(rows).encode(x=x, y=y, tooltip=tooltips({"from_agent": "from", "to_agent": "to"} | told))
    shade = alt.Opacity("handoffs:Q", scale=alt.Scale(domainMin=0, range=[0.12, 0.8]), legend=None)
    frames = alt.StrokeOpacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.15, 1]), legend=None)
    returned = cells.transform_filter("datum.returns > 0").mark_rect(
        filled=False, stroke=_RETURN, strokeWidth=2
    )
    drawn = [
        cells.mark_rect(color=STATUS_COLORS["working"]).encode(opacity=shade),
        returned.encode(strokeOpacity=frames),
        cells.mark_text(fontSize=11).encode(text="handoffs:Q"),
    ]
    sentence += "; the stronger a frame, the more came back" if frame["returns"].any() else ""
    return whole("Handoffs", flow, sentence + left_out(len(agents) - most, "less busy agent"), drawn)


# What the tab *Flow* shows, in this order; a page has no room for all that was ever finished.
_DRAWN = 300
FLOW_CHARTS: dict[str, Callable[[Flow], FlowChart]] = {
    "ageing": ageing_work,
    "throughput": throughput,
    "cycle-times": partial(cycle_times, most=_DRAWN),
    "lead-times": partial(lead_times, most=_DRAWN),
    "time-in-queues": time_in_queues,
    "states": work_by_state,
    "cumulative": cumulative_flow,
    "net-flow": net_flow,
    "agents": cycle_times_by,
    "handoffs": handoffs,
}
