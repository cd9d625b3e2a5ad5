"""A Gantt chart of who had which task in which state, and for how long."""

from __future__ import annotations

import pandas as pd

from calypso_nb.flow.sentences import EMPTY, about_spells, hours_range
from calypso_nb.history.saved import plain_records
from calypso_nb.view.charts import LABEL
from calypso_nb.view.marks import (
    BAR,
    FlowChart,
    add_row,
    between,
    by_status,
    down,
    empty,
    left_out,
    of,
    on,
    over_time,
    text_or,
    tooltips,
    whole,
)
from calypso_nb.workload.phrases import UNASSIGNED


def spells_chart(spells: pd.DataFrame, most: int = 40) -> FlowChart:
    """Return who had which task in which state, from when to when, as a Gantt chart with soft ends.

    - spells: rows of `history.spells`, of a task or of an agent
    - most: how many rows to draw, the first to begin; the subtitle says how many are left out

    Example: `spells_chart(history.spells.query("task_id == 7"))`
    """
    sentence = about_spells(spells)
    if sentence in EMPTY:
        return empty("Spells", None, sentence)
    ordered = _lanes(spells.sort_values("from_not_after", kind="stable"))
    lanes = list(dict.fromkeys(ordered["lane"]))
    keys: list[str] = []
    places = {lane: add_row(keys, lane) for lane in lanes[:most]}
    shown = ordered[ordered["lane"].isin(lanes[:most])]
    rows = [spell | {"row": places[spell["lane"]]} for spell in plain_records(shown)]
    told = {"task": "task", "who": "agent", "where": "queue", "status": "status"}
    told |= {"began": "began", "ended": "ended", "lasted": "lasted"}
    bars = of(rows).encode(y=down(keys), color=by_status(rows), tooltip=tooltips(told))
    x = over_time(shown["begin_least"].min(), shown["end_most"].max(), "begin_most")
    # Each third of the stripes for another end: what begins where something else ends leaves both to be seen.
    soft = [
        bars.transform_filter(condition)
        .mark_rule(strokeWidth=BAR, strokeDash=[2, 4], strokeDashOffset=offset)
        .encode(x=on(x, low), x2=f"{high}:T")
        for offset, condition, low, high in (
            (0, "datum.certain", "begin_least", "begin_most"),
            (2, "datum.certain", "end_least", "end_most"),
            (4, "!datum.certain", "begin_least", "end_most"),
        )
    ]
    solid = bars.transform_filter("datum.certain").mark_bar(height=BAR).encode(x=x, x2="end_least:T")
    return whole("Spells", None, sentence + left_out(len(lanes) - most, "row"), [solid, *soft])


def _lanes(spells: pd.DataFrame) -> pd.DataFrame:
    """Return spells with a lane to draw each in, and bounds of begin and end, unknown ones as wide as all."""
    known = spells["from_not_after"] + pd.to_timedelta(spells["hours_least"], "h").dt.as_unit("us")
    first = spells[["from_not_before", "from_not_after"]].min().min()
    rows = plain_records(spells)
    tasks = [f"#{row['task_id']} {row['title'] or ''}"[:LABEL] for row in rows]
    who = [text_or(row["agent"], UNASSIGNED) for row in rows]
    one_task, one_agent = (spells[name].nunique(dropna=False) == 1 for name in ("task_id", "agent"))
    both = [task.replace(" ", f" {agent}: ", 1) for task, agent in zip(tasks, who, strict=True)]
    lanes = tasks if one_agent else who if one_task else both
    bounded = spells.assign(
        begin_least=spells["from_not_before"].fillna(first), begin_most=spells["from_not_after"],
        end_least=spells["to_not_before"].fillna(known), end_most=spells["to_not_after"].fillna(known),
        lane=[*lanes], task=tasks, who=who, where=[text_or(row["queue"], "") for row in rows],
        began=[between(row, "from_") for row in rows], ended=[between(row, "to_", "goes on") for row in rows],
        lasted=[*map(hours_range, spells["hours_least"], spells["hours_most"])],
    )  # fmt: skip
    bounded = bounded.assign(certain=bounded["seen"] & (bounded["end_least"] > bounded["begin_most"]))
    return bounded.drop(columns=["title", "agent", "queue"])
