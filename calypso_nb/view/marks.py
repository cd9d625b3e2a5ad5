"""What the charts of flow are made of: rows, axes, and marks for what is certain and for what is possible.

What is certain is drawn solid, what is only possible is hatched, and what nobody recorded is left white.
Hatching is a rule of dashes as thick as a bar: unlike a gradient's, its stripes are as wide on every mark,
and the same on a canvas as in an SVG.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from textwrap import wrap
from typing import Any, cast

import altair as alt
import pandas as pd

from calypso_nb.flow.measures import Flow
from calypso_nb.flow.sentences import count_range, hours_range
from calypso_nb.history.saved import plain_records
from calypso_nb.view.charts import FIT, LABEL, STATUS_COLORS, nothing, titled
from calypso_nb.workload.phrases import UNASSIGNED, UNKNOWN, moment

FlowChart = alt.Chart | alt.LayerChart
Rows = list[dict[str, Any]]

BAR, HATCH = 11, [2, 2]
# A line to compare with: at least 3:1 on a white and on a dark page, and the colour of no status.
LIMIT = "#a855c7"
_STEP = 20
_LINE, _LINES = 120, 4  # A subtitle's letters in a line, as 700 pixels hold them, and its lines.
# How wide a label of a row may be: on a phone, half of it.
_ROOM = alt.ExprRef("containerSize()[0] < 500 ? 110 : 240")
_KIND = 6  # Where the key of a row has an h if it is a heading; then comes what is shown.
_WHOLE = "datum.value % 1 ? '' : datum.label"  # Half a task has no label.
_CLOCK = dict.fromkeys(("hours", "minutes", "seconds"), "%H:%M")
_CLOCK |= dict.fromkeys(("day", "date", "week", "month", "quarter"), "%b %d") | {"year": "%Y"}


def whole(
    name: str, flow: Flow | None, sentence: str, layers: Sequence[Any], height: Any = None, **independent: Any
) -> FlowChart:
    """Return a chart of layers, with a name and the sentence that says what it shows.

    - height: in pixels, by default so many for each row
    - independent: the scales that each layer has for itself, such as `y="independent"`
    """
    title = _named(name, flow)
    chart: Any = alt.layer(*layers, width="container", height=height or alt.Step(_STEP), autosize=FIT)
    if independent:
        chart = chart.resolve_scale(**independent)
    lines = wrap(sentence, _LINE, max_lines=_LINES, placeholder=" …")
    told: FlowChart = chart.properties(title=titled(title, lines), description=f"{title}: {sentence}")
    return told


def empty(name: str, flow: Flow | None, sentence: str) -> alt.Chart:
    """Return a chart of nothing, which says what is missing."""
    return nothing(_named(name, flow), sentence)


def _named(name: str, flow: Flow | None) -> str:
    chosen = flow is not None and any(value is not None for value in flow.selection)
    return f"{name}: {flow.selection}"[:LABEL] if flow and chosen else name


def left_out(count: int, what: str) -> str:
    """Return the end of a sentence that says how many are not drawn."""
    return f"; {count:,} {what}{' is' if count == 1 else 's are'} left out" if count > 0 else ""


# Data


def of(rows: Rows | pd.DataFrame) -> alt.Chart:
    """Return a chart of rows, as values and not as a frame, which Altair refuses above 5,000 rows."""
    values = plain_records(rows) if isinstance(rows, pd.DataFrame) else rows
    # Altair copies lists again and again while a chart is put together, and no tuple.
    return alt.Chart(alt.InlineData(values=cast(Any, tuple(values))))


def add_row(keys: list[str], label: str, kind: str = "-") -> str:
    """Add a row to draw on, and return its key; `kind` is h for a heading.

    A key starts with the row's number: no two are the same, and none is `constructor`, which things in the
    plain objects are called that Vega keeps its groups in.
    """
    keys.append(f"{len(keys):0{_KIND}}{kind}{label[:LABEL]}")
    return keys[-1]


def span_of(row: dict[str, Any], name: str, size: float) -> dict[str, Any]:
    """Return the bounds of a span in units of so many hours, and as text."""
    least, most = row[f"{name}_least"], row[f"{name}_most"]
    text = hours_range(least, most)
    exact = hours_range(least, least) == hours_range(most, most)
    return {"least": least / size, "most": most / size, "exact": exact, "range": text, "text": text}


def task_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return what is told of a task, and which it is, for a click on it."""
    told = {
        "task_id": row["task_id"],
        "label": f"#{row['task_id']} {row['title'] or ''}"[:LABEL],
        "status": row["status"],
    }
    return told | {"agent": text_or(row["agent"], UNASSIGNED), "queue": text_or(row["queue"], UNKNOWN)}


def text_or(text: Any, without: str) -> str:
    """Return a text, cut as a label is, or another if there is none."""
    return without if text is None or pd.isna(text) else str(text)[:LABEL]


def between(row: dict[str, Any], name: str, without: str = UNKNOWN) -> str:
    """Return in words between which moments something was."""
    low, high = row[f"{name}not_before"], row[f"{name}not_after"]
    if high is None:
        return without
    if low is None:
        return f"by {moment(high)}"
    return moment(high) if moment(low) == moment(high) else f"{moment(low)} to {moment(high)}"


def counts(frame: pd.DataFrame, name: str) -> list[str]:
    """Return the counts of a frame as text."""
    return [*map(count_range, frame[f"{name}_least"], frame[f"{name}_most"])]


def stretches(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the moments that were recorded, with a number that changes after a gap."""
    told = frame.assign(stretch=(~frame["recorded"]).cumsum(), moment=[*map(moment, frame["at"])])
    return told[frame["recorded"]]


# Channels


def unit_of(hours: float) -> tuple[str, float]:
    """Return in which unit an axis is that goes to so many hours, and how many hours that has."""
    return ("days", 24) if hours > 48 else ("hours", 1) if hours > 2 else ("minutes", 1 / 60)


def down(keys: list[str], channel: Any = alt.Y, field: str = "row", **more: Any) -> Any:
    """Return an axis of rows, with their labels."""
    bold = {"condition": {"test": f"datum.value[{_KIND}] === 'h'", "value": "bold"}, "value": "normal"}
    axis: dict[str, Any] = {"title": None, "domain": False, "ticks": False, "labelLimit": _ROOM}
    axis |= {"labelFontWeight": bold, "labelExpr": f"slice(datum.value, {_KIND + 1})"} | more
    return channel(f"{field}:N", sort=None, scale=alt.Scale(domain=keys), axis=alt.Axis(**axis))


def across(field: str, title: str, **axis: Any) -> alt.X:
    """Return an axis of numbers, with room for a text to the right of the longest bar."""
    scale = alt.Scale(range=[0, alt.ExprRef("max(width - 110, 1)")], zero=True)
    options: dict[str, Any] = {"tickCount": 8} | axis
    return alt.X(f"{field}:Q", title=title, scale=scale, stack=None, axis=alt.Axis(**options))


def over_time(begin: Any, end: Any, field: str, title: str = "UTC", right: Any = None) -> alt.X:
    """Return an axis of time in UTC, which ends at a pixel if `right` is one."""
    # An hour at least: of one moment there is no scale.
    first, last = pd.Timestamp(begin), pd.Timestamp(end)
    ends = [first, max(last, first + timedelta(hours=1))]
    scale: dict[str, Any] = {"type": "utc", "domain": [time.isoformat() for time in ends], "nice": False}
    if right is not None:
        scale["range"] = [0, right]
    labels: dict[str, Any] = {"labelOverlap": True, "labelFlush": True, "labelSeparation": 12}
    axis = alt.Axis(format=_CLOCK, grid=False, tickCount=8, **labels)
    return alt.X(f"{field}:T", title=title, scale=alt.Scale(**scale), axis=axis)


def whole_numbers(**more: Any) -> alt.Axis:
    """Return an axis of counts."""
    options: dict[str, Any] = {"format": "d", "tickCount": 5, "labelExpr": _WHOLE} | more
    return alt.Axis(**options)


def on(channel: Any, field: str) -> Any:
    """Return the same channel, with the same scale and axis, of another field."""
    other = channel.copy()
    other.shorthand = f"{field}:{channel.shorthand[-1]}"
    return other


def colored(field: str, colors: dict[str, str], channel: Any = alt.Color, **more: Any) -> Any:
    """Return colours by the values of a field, with a legend."""
    scale = alt.Scale(domain=[*colors], range=[*colors.values()])
    return channel(f"{field}:N", **{"scale": scale, "legend": alt.Legend(orient="top", title=None)} | more)


def by_status(rows: Rows) -> Any:
    """Return the colours of the statuses that rows have."""
    there = {row["status"] for row in rows}
    return colored("status", {name: color for name, color in STATUS_COLORS.items() if name in there})


def tooltips(told: dict[str, str]) -> list[alt.Tooltip]:
    """Return what is told of a mark: of each field under which title."""
    return [alt.Tooltip(f"{field}:N", title=title) for field, title in told.items()]


# Marks


def spans(rows: Rows, x: alt.X, keys: list[str], color: Any, told: dict[str, str]) -> Any:
    """Return per row a solid bar from 0 to `least`, a hatched one from there to `most`, and a text beside."""
    base = of(rows).encode(y=down(keys), tooltip=tooltips(told))
    hatched = base.mark_rule(strokeWidth=BAR, strokeDash=HATCH)
    texts = base.transform_filter("isValid(datum.text)").mark_text(align="left", dx=5, fontSize=11)
    return alt.layer(
        base.mark_bar(height=BAR).encode(x=x, color=color),
        hatched.encode(x=x, x2="most:Q", color=color),
        texts.encode(x=on(x, "most"), text="text:N"),
    )


def limits(rows: Rows, **over: Any) -> alt.Chart:
    """Return a line for each limit; one that is not exact is a band."""
    line = of(rows).mark_rect(fill=LIMIT, fillOpacity=0.2, stroke=LIMIT, strokeWidth=1.3)
    bands: alt.Chart = line.encode(**over, tooltip=tooltips({"range": "cycle time"}))
    return bands
