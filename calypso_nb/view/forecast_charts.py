"""Altair charts of a forecast: its futures with the dates in them, and how often such forecasts have held."""

from __future__ import annotations

from math import ceil
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from calypso_nb.flow.columns import PERCENTS
from calypso_nb.flow.forecast import Forecast
from calypso_nb.view.charts import STATUS_COLORS
from calypso_nb.view.marks import (
    LIMIT,
    FlowChart,
    colored,
    empty,
    of,
    on,
    over_time,
    tooltips,
    whole,
    whole_numbers,
)

_FUTURE, _MISSED = STATUS_COLORS["working"], "#c2410c"
_TALL, _BINS, _TENTHS = 220, 40, 10


def forecast_dates(forecast: Forecast) -> FlowChart:
    """Return in how many futures the tasks are done when, or how many by the date, with 50, 85 and 95 %.

    The strong lines are corrected by how forecasts of the past have held, the thin ones are as drawn.

    - forecast: the forecast; without enough history the chart is empty and says so

    Example: `forecast_dates(history.forecast(progress=False))`
    """
    if not forecast.told or (forecast.by is None and forecast.dates["raw"].isna().all()):
        return empty("Forecast", None, forecast.answer)
    return _dates(forecast) if forecast.by is None else _numbers(forecast)


def forecast_record(forecast: Forecast) -> FlowChart:
    """Return where in their futures the outcomes of past forecasts fell: evenly, if the promises are true.

    - forecast: the forecast

    Example: `forecast_record(history.forecast(progress=False))`
    """
    record = forecast.record
    if record.empty:
        return empty("Record of the forecast", None, forecast.answer)
    tenths = (record["place"] * _TENTHS).astype("int64").clip(upper=_TENTHS - 1)
    rows, held = [], record["held"].to_numpy()
    for tenth in range(_TENTHS):
        kept, all_ = int((tenths[held] == tenth).sum()), int((tenths == tenth).sum())
        of_tenth = {"from": 10 * tenth, "to": 10 * (tenth + 1)}
        rows.append(of_tenth | {"low": 0, "high": kept, "n": kept, "held": "held at 85 %"})
        rows.append(of_tenth | {"low": kept, "high": all_, "n": all_ - kept, "held": "did not hold"})
    told = {"from": "from %", "to": "to %", "n": "forecasts", "held": "the promise"}
    bars = of([row for row in rows if row["n"]]).mark_bar(cornerRadius=1)
    x = alt.X(
        "from:Q", title="% of its futures that ended before what came", scale=alt.Scale(domain=[0, 100])
    )
    y = alt.Y("high:Q", title="forecasts", axis=whole_numbers())
    color = colored("held", {"held at 85 %": _FUTURE, "did not hold": _MISSED})
    even = of([{"n": len(record) / _TENTHS}]).mark_rule(color=LIMIT, strokeDash=[5, 3])
    sentence = f"{forecast.promise}; true promises would fill each tenth up to the dashed line"
    layers = [
        bars.encode(x=x, x2="to:Q", y=y, y2="low:Q", color=color, tooltip=tooltips(told)),
        even.encode(y=on(y, "n")),
    ]
    return whole("Record of the forecast", None, sentence, layers, height=_TALL)


def _dates(forecast: Forecast) -> FlowChart:
    ends, dates = forecast.raw[np.isfinite(forecast.raw)], forecast.dates
    shown = dates[["corrected", "raw"]].melt()["value"].dropna()
    # Up to a bit beyond the last date, so that a few late futures don't press the others together.
    until = max(shown.max(), forecast.now + pd.Timedelta(1, "h")) + (shown.max() - forecast.now) * 0.08
    size = pd.Timedelta(forecast.question.size, "us")
    span = max(ceil((until - forecast.now) / size), 1)
    every = ceil(span / _BINS)
    counted = np.histogram(ends, np.arange(0, span + 2 * every, every) + 1e-6)[0]
    edges = [forecast.now + size * every * step for step in range(len(counted) + 1)]
    rows = [
        {
            "from": begin.isoformat(),
            "to": min(end, until).isoformat(),
            "share": 100 * count / len(forecast.raw),
        }
        for begin, end, count in zip(edges, edges[1:], counted.tolist(), strict=False)
        if begin < until
    ]
    x = over_time(forecast.now, until, "from", "UTC")
    bars = of(rows).mark_bar(color=_FUTURE, opacity=0.75)
    told = {"from": "from", "to": "to", "share": "% of the futures"}
    y = alt.Y("share:Q", title="% of the futures")
    marks = _marks([(row.percent, row.corrected, row.raw) for row in dates.itertuples()])
    layers = [bars.encode(x=x, x2="to:T", y=y, y2=alt.datum(0), tooltip=tooltips(told)), *_lines(marks, x)]
    return whole("Forecast", None, forecast.answer, layers, height=_TALL)


def _numbers(forecast: Forecast) -> FlowChart:
    values, counts = np.unique(forecast.raw, return_counts=True)
    shares = 100 * counts / len(forecast.raw)
    rows = [{"n": n, "share": share} for n, share in zip(values.tolist(), shares.tolist(), strict=True)]
    scale = alt.Scale(domain=[-0.6, float(values.max()) + 0.6], nice=False)
    x = alt.X("n:Q", title="tasks done by then", scale=scale, axis=whole_numbers())
    bars = of(rows).mark_bar(color=_FUTURE, opacity=0.75, width={"band": 0.9} if len(rows) < _BINS else 4)
    marks = _marks([(row.percent, row.corrected, row.raw) for row in forecast.counts.itertuples()])
    y = alt.Y("share:Q", title="% of the futures")
    told = {"n": "tasks", "share": "% of the futures"}
    layers = [bars.encode(x=x, y=y, tooltip=tooltips(told)), *_lines(marks, x)]
    return whole("Forecast", None, forecast.answer, layers, height=_TALL)


def _marks(answers: list[tuple[Any, Any, Any]]) -> list[dict[str, Any]]:
    """Return a strong mark for each corrected answer, and a thin one for what was drawn instead."""
    marks = []
    for level, (percent, corrected, raw) in enumerate(answers):
        for kind, at in (("corrected", corrected), ("as drawn", raw)):
            if pd.isna(at) or (kind == "as drawn" and at == corrected):
                continue
            value = at.isoformat() if isinstance(at, pd.Timestamp) else int(at)
            marks.append({"at": value, "kind": kind, "label": f"{percent} %", "level": level})
    return marks


def _lines(marks: list[dict[str, Any]], x: alt.X) -> list[Any]:
    told = {"label": "certainty", "at": "by", "kind": "kind"}
    base = of(marks).encode(x=on(x, "at"), tooltip=tooltips(told))
    strong = base.transform_filter("datum.kind == 'corrected'")
    drawn = base.transform_filter("datum.kind != 'corrected'")
    # One below the other, as the dates may be the same.
    names = [
        strong.transform_filter(f"datum.level == {level}")
        .mark_text(align="left", dx=4, dy=2 + 13 * level, fontWeight="bold", color=LIMIT, baseline="top")
        .encode(text="label:N", y=alt.value(0))
        for level in range(len(PERCENTS))
    ]
    return [
        strong.mark_rule(color=LIMIT, strokeWidth=2.2),
        drawn.mark_rule(color=LIMIT, strokeWidth=1, strokeDash=[3, 3]),
        *names,
    ]
