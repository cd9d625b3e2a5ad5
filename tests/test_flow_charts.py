"""Charts of flow: what they show, what they leave white, and what they never show as if it were known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
import vl_convert

from calypso_nb import charts
from calypso_nb.flow import sentences
from calypso_nb.flow.columns import THROUGHPUT_COLUMNS
from calypso_nb.flow.items import HOUR, Selection
from calypso_nb.flow.measures import Flow
from calypso_nb.history.changes import micros
from calypso_nb.history.journeys import Journeys
from calypso_nb.workload.phrases import UNKNOWN

BEGIN = float(micros("2026-11-02T00:00:00Z") or 0)
CHARTS = (
    charts.ageing_work,
    charts.cycle_times,
    charts.throughput,
    charts.work_by_state,
    charts.cumulative_flow,
    charts.net_flow,
    charts.time_in_queues,
    charts.handoffs,
)
NOTHING = {
    charts.ageing_work: sentences.NONE_IN_PROGRESS,
    charts.cycle_times: sentences.NO_TASKS,
    charts.throughput: sentences.NO_TASKS,
    charts.work_by_state: sentences.NO_TASKS,
    charts.cumulative_flow: sentences.NO_TASKS,
    charts.net_flow: sentences.NO_QUEUES,
    charts.time_in_queues: sentences.NO_QUEUES,
    charts.handoffs: sentences.NO_HANDOFFS,
}
HOSTILE = ("constructor", "__proto__", "(unassigned)", "a'b\"\\", "<b>&amp;", "datum.x", "x" * 500)

# What is known of a task: from which hour of the time to which it became what, with whom and in which queue.
Step = tuple[float, float, str, str | None, str | None]


def flow_of(
    tasks: list[list[Step]], hours: float = 24 * 7, gap: tuple[float, float] | None = None, **chosen: Any
) -> Flow:
    """Return the flow of tasks of which some steps are known, in so many hours."""
    rows = [
        (number, high, BEGIN + low * HOUR, BEGIN + high * HOUR, True, True, *told, None, ())
        for number, steps in enumerate(tasks, 1)
        for low, high, *told in steps
    ]
    columns = ["task_id", "known", "low", "high", "seen", "there"]
    columns += ["status", "assigned_to", "queue_name", "parent_task_id", "tags"]
    frame = pd.DataFrame(rows, columns=columns)
    for name in ("known", "low", "high"):
        frame[name] = frame[name].astype("float64")
    titles = {number: f"task {number}" for number in range(1, len(tasks) + 1)}
    gaps = np.array([[BEGIN + hour * HOUR for hour in gap]] if gap else []).reshape(-1, 2)
    return Flow(Journeys(frame, titles, BEGIN, BEGIN + hours * HOUR, gaps), selection=Selection(**chosen))


def task(created: float, started: float, finished: float | None = None, doubt: float = 0) -> list[Step]:
    """Return the steps of a task that alice works on in dev; its start is known within so many hours."""
    steps: list[Step] = [(created, created, "idle", "alice", "dev")]
    steps.append((started, started + doubt, "working", "alice", "dev"))
    return steps if finished is None else [*steps, (finished, finished, "complete", "alice", "dev")]


def drawn(chart: Any) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yield each mark of a chart with the rows that it is drawn from, before its filter."""
    whole = chart.to_dict()

    def below(spec: dict[str, Any], rows: list[dict[str, Any]]) -> Any:
        rows = whole["datasets"][spec["data"]["name"]] if "data" in spec else rows
        if "mark" in spec:
            yield spec, rows
        for layer in spec.get("layer", []):
            yield from below(layer, rows)

    yield from below(whole, [])


def rows_of(chart: Any, *fields: str) -> list[dict[str, Any]]:
    """Return the rows with some fields that a chart has."""
    found = [rows for _, rows in drawn(chart) if rows and all(field in rows[0] for field in fields)]
    return found[0] if found else []


def hatched(chart: Any) -> list[dict[str, Any]]:
    """Return the hatched marks of a chart."""
    return [spec for spec, _ in drawn(chart) if "strokeDash" in spec["mark"]]


def subtitle(chart: Any) -> str:
    """Return what a chart says that it shows."""
    told = chart.to_dict()["title"]["subtitle"]
    return told if isinstance(told, str) else " ".join(told)


@pytest.fixture
def busy() -> Flow:
    """A week in which ten tasks are finished, three are in progress, and a night is not recorded."""
    finished = [task(hour, hour + 2, hour + 10, doubt=1) for hour in range(0, 100, 10)]
    handed: list[Step] = [
        (1, 1, "idle", "alice", "dev"),
        (20, 30, "working", "alice", "dev"),
        (40, 41, "idle", "bob", "review"),
        (60, 60, "working", "bob", "review"),
        (70, 70, "idle", "alice", "dev"),
    ]
    return flow_of([*finished, handed, task(5, 100, doubt=20), task(6, 160)], gap=(110, 130))


@pytest.mark.parametrize("chart", CHARTS)
def test_a_board_without_tasks_makes_a_chart_that_says_what_is_missing(chart: Any) -> None:
    """And no error, and no axes of nothing."""
    empty = chart(flow_of([]))
    assert subtitle(empty) == NOTHING[chart]
    vl_convert.vegalite_to_vega(empty.to_dict())


def test_what_is_missing_is_said_also_on_a_board_with_tasks() -> None:
    """A task that waits is not in progress, is not finished, and has not been handed over."""
    waiting = flow_of([[(1, 1, "idle", None, None)]])
    assert subtitle(charts.ageing_work(waiting)) == "No task is in progress"
    assert subtitle(charts.cycle_times(waiting)) == "Nothing was finished in this time: record longer"
    assert subtitle(charts.time_in_queues(waiting)) == "No task was in a queue"
    assert subtitle(charts.handoffs(waiting)) == "No task went from one agent to another"
    assert subtitle(charts.spells_chart(pd.DataFrame({"status": []}))) == "Nothing is known of these tasks"


@pytest.mark.parametrize("chart", CHARTS)
def test_vega_draws_each_chart_in_a_cell_and_in_an_svg(chart: Any, busy: Flow) -> None:
    """As wide as its cell, with a name, and a sentence that a screen reader reads too."""
    spec = chart(busy).to_dict()
    assert spec["width"] == "container" and spec["title"]["text"] and spec["description"]
    assert vl_convert.vegalite_to_vega(spec)
    svg = vl_convert.vegalite_to_svg(spec | {"width": 700})
    assert svg.startswith("<svg") and "NaN" not in svg and "undefined" not in svg


def test_a_few_finished_tasks_are_no_measure_of_age() -> None:
    """From 20 on they are, as for what is expected of a task."""
    for many in (1, 19, 20):
        done = [task(0, hour, hour + 2) for hour in range(1, many + 1)]
        chart = charts.ageing_work(flow_of([*done, task(0, 30)]))
        assert ("85 % of finished tasks" in json.dumps(chart.to_dict())) == (many == 20)
        assert ("fewer than 20, give nothing to compare" in subtitle(chart)) == (many < 20)


def test_the_bars_of_ageing_work_are_the_bounds_of_its_frame(busy: Flow) -> None:
    """The certain part is solid, up to `least`; the rest is hatched, up to `most`; the text says both."""
    chart = charts.ageing_work(busy)
    rows = {row["label"]: row for row in rows_of(chart, "label", "least")}
    for expected in busy.ageing.itertuples():
        row = rows[f"#{expected.task_id} {expected.title}"]
        assert (row["least"] * 24, row["most"] * 24) == pytest.approx(
            (expected.work_item_age_least, expected.work_item_age_most)
        )
        bounds = expected.work_item_age_least, expected.work_item_age_most
        assert row["range"] == sentences.hours_range(*bounds)
    [bar] = hatched(chart)
    assert bar["encoding"]["x"]["field"] == "least" and bar["encoding"]["x2"]["field"] == "most"
    assert next(iter(rows)) == "#11 task 11"


def test_a_long_list_is_cut_and_says_so() -> None:
    """Of 50 tasks in progress the 40 oldest are shown."""
    chart = charts.ageing_work(flow_of([task(0, hour) for hour in range(1, 51)]))
    assert len(rows_of(chart, "label", "least")) == 40
    assert subtitle(chart).endswith("; 10 younger tasks are left out")


def test_a_cycle_time_is_a_dot_only_if_it_is_exact() -> None:
    """A range is a ring around all of it, or hatched."""
    chart = charts.cycle_times(flow_of([task(1, 2, 12), task(1, 2, 12, doubt=0.1), task(1, 2, 12, doubt=6)]))
    kinds = {row["label"]: (row["kind"], row["range"]) for row in rows_of(chart, "kind")}
    assert kinds == {
        "#1 task 1": ("dot", "10.0 h"),
        "#2 task 2": ("ring", "9.9 h to 10.0 h"),
        "#3 task 3": ("bar", "4.0 h to 10.0 h"),
    }
    counted = rows_of(chart, "tasks")
    assert sum(row["least"] for row in counted) < 3 <= sum(row["most"] for row in counted)


def test_cycle_times_say_what_they_lack() -> None:
    """Too few for an expectation, started before the recording, and a time too short for long ones."""
    few = flow_of([task(-5, -2, 10), task(1, 2, 22)], hours=24)
    assert sentences.about_cycle_times(few) == (
        "1 task was finished, in 20.0 h; fewer than 20 give no expectation; "
        "1 that may have been started before the recording is left out; "
        "long ones are missing: 24.0 h is too short a time to see them end"
    )
    many = flow_of([task(hour, hour + 1, hour + 3, doubt=1) for hour in range(40)])
    assert sentences.about_cycle_times(many) == (
        "85 % of the last 40 finished tasks were done within 1.0 h to 2.0 h"
    )


def test_throughput_shows_the_numbers_of_its_frame_and_nothing_of_what_was_not_recorded(busy: Flow) -> None:
    """Solid what is certain, hatched what is possible; a gap has no bar and no line."""
    chart, frame = charts.throughput(busy), busy.throughput
    known = frame[frame["recorded"] >= 0.5]
    assert 0 < len(known) < len(frame)
    [rows] = [rows for spec, rows in drawn(chart) if spec["mark"]["type"] == "bar"]
    counts = [name for name in THROUGHPUT_COLUMNS if name.endswith(("_least", "_most"))]
    assert [{name: row[name] for name in counts} for row in rows] == known[counts].to_dict("records")
    away = [rows for spec, rows in drawn(chart) if spec["mark"]["type"] == "rect"]
    assert [row["share"] for row in away[0]] == ["33 %", "0 %", "0 %", "33 %"]
    line = [rows for spec, rows in drawn(chart) if spec["mark"]["type"] == "line"]
    assert {row["at"] for row in line[0]} <= {*plain(known["from"]), *plain(known["to"])}
    assert len({row["stretch"] for row in line[0]}) == 2


@pytest.mark.parametrize(
    "chart, frame", [(charts.work_by_state, "states"), (charts.cumulative_flow, "cumulative")]
)
def test_what_was_not_recorded_is_left_white(chart: Any, frame: str, busy: Flow) -> None:
    """Neither an area nor a hatch nor a tooltip is there, and no area goes across."""
    recorded = getattr(busy, frame).query("recorded")["at"]
    for _, rows in drawn(chart(busy)):
        assert {row["at"] for row in rows} <= {*plain(recorded)}
        assert len({row["stretch"] for row in rows}) <= 2
    [areas] = [rows for spec, rows in drawn(chart(busy)) if spec["mark"]["type"] == "area"][:1]
    assert len({row["stretch"] for row in areas}) == 2


def plain(times: pd.Series) -> list[str]:
    """Return times as charts have them."""
    return [time.isoformat().replace("+00:00", "Z") for time in times]


def test_bands_of_the_cumulative_flow_leave_the_doubt_between_them_hatched(busy: Flow) -> None:
    """What may be above or below a line is in no solid band."""
    marks = {spec["mark"]["type"]: rows for spec, rows in reversed([*drawn(charts.cumulative_flow(busy))])}
    frame = busy.cumulative.query("recorded")
    progress = [row for row in marks["area"] if row["band"] == "in progress"]
    assert [row["high"] for row in progress] == [*np.maximum(frame["entered_least"], frame["done_most"])]
    assert [row["low"] for row in progress] == [*frame["done_most"]]
    doubtful = [(row["low"], row["high"]) for row in marks["rule"] if row["band"] == "in progress"]
    unsure = frame[frame["entered_least"] < frame["entered_most"]]
    assert doubtful == [*zip(unsure["entered_least"], unsure["entered_most"], strict=True)]


def test_net_flow_and_queues_show_the_numbers_of_their_frames(busy: Flow) -> None:
    """What left is to the left of 0."""
    last = busy.net.iloc[0]
    passages = rows_of(charts.net_flow(busy), "what")
    came, left = [row for row in passages if row["queue"] == last["queue"]][:2]
    assert (came["least"], came["most"]) == (last["arrived_least"], last["arrived_most"])
    assert (left["least"], left["most"]) == (-last["departed_least"], -last["departed_most"])
    rows = rows_of(charts.time_in_queues(busy), "visits")
    for row in rows:
        stage = busy.stages.set_index("queue").loc[row["queue"]]
        name = {"idle": "waited", "working": "worked"}[row["status"]]
        bounds = [stage[f"{name}_{end}"] for end in ("least", "most")]
        assert [row["least"] * 24, row["most"] * 24] == pytest.approx(bounds)
    assert rows[0]["queue"] == "dev"


def test_the_bottleneck_is_likely_if_another_queue_may_have_waited_longer() -> None:
    """A queue to put tasks aside in is none, however long tasks lie there."""

    def waits(queue: str, until: float, doubt: float) -> list[Step]:
        return [(0, 0, "idle", "a", queue), (until, until + doubt, "working", "a", queue)]

    sure = flow_of([waits("dev", 10, 1), waits("qa", 5, 1), waits("backlog", 90, 0)])
    told = sentences.about_queues(sure)
    assert told.startswith("The bottleneck is dev: there tasks waited longest, 10.0 h to 11.0 h")
    likely = flow_of([waits("dev", 10, 1), waits("qa", 5, 9)])
    assert sentences.about_queues(likely).startswith("The bottleneck is likely dev: ")


def test_handoffs_mark_what_came_back_and_leave_out_who_is_less_busy() -> None:
    """At 40 agents, 25 are readable."""
    back: list[Step] = [
        (0, 0, "idle", "alice", "dev"),
        (1, 1, "idle", "bob", "review"),
        (2, 2, "idle", "alice", "dev"),
    ]
    chart = charts.handoffs(flow_of([back]))
    cells = rows_of(chart, "handoffs")
    assert [(cell["from_agent"], cell["to_agent"], cell["returns"]) for cell in cells] == [
        ("alice", "bob", 0),
        ("bob", "alice", 1),
    ]
    assert "1 was back into a queue that the task had left" in subtitle(chart)
    chain: list[Step] = [(hour, hour, "idle", f"agent {hour}", "dev") for hour in range(40)]
    assert subtitle(charts.handoffs(flow_of([chain]))).endswith("15 less busy agents are left out")


def test_names_that_vega_could_stumble_over_are_only_text() -> None:
    """Each agent, queue and title is there once, as it is, and cut."""
    steps: list[list[Step]] = [
        [(0, 0, "idle", name, name), (1 + place, 1 + place, "working", HOSTILE[place - 1], name)]
        for place, name in enumerate(HOSTILE)
    ]
    flow = flow_of(steps)
    for chart in CHARTS:
        spec = chart(flow).to_dict() | {"width": 700}
        svg = vl_convert.vegalite_to_svg(spec)
        assert "x" * 241 not in json.dumps([spec.get("layer"), spec["datasets"]])
        if chart in (charts.time_in_queues, charts.handoffs):
            assert all(f">{name}</text>" in svg for name in HOSTILE[:3])
            assert "&lt;b&gt;&amp;amp;</text>" in svg


def test_a_chart_of_some_tasks_is_titled_so() -> None:
    """Whoever sees it later knows that it is not all of the board."""
    chart = charts.ageing_work(flow_of([task(1, 2)], queue="dev"))
    assert chart.to_dict()["title"]["text"] == "Ageing work: queue dev"


def test_spells_have_soft_ends() -> None:
    """Solid while it certainly lasted, hatched while it may have; what goes on ends with what is known."""
    at = [pd.Timestamp("2026-11-02T00:00Z") + timedelta(hours=hour) for hour in range(10)]
    at = [*pd.Series(at).dt.as_unit("us")]
    spells = pd.DataFrame(
        {
            "task_id": [7, 7, 7], "title": ["ship"] * 3, "status": ["idle", "working", "complete"],
            "agent": ["alice", "alice", "bob"], "queue": ["dev", "dev", None],
            "from_not_before": [at[0], at[2], at[4]], "from_not_after": [at[1], at[3], at[5]],
            "to_not_before": [at[2], at[4], pd.NaT], "to_not_after": [at[3], at[5], pd.NaT],
            "hours_least": [1.0, 1.0, 4.0], "hours_most": [3.0, 3.0, 5.0], "seen": [True, False, True],
        }
    )  # fmt: skip
    chart = charts.spells_chart(spells)
    idle, unseen, last = rows_of(chart, "begin_least")
    assert (idle["begin_most"], idle["end_least"]) == ("2026-11-02T01:00:00Z", "2026-11-02T02:00:00Z")
    assert idle["certain"] and not unseen["certain"]
    assert (last["end_most"], last["ended"]) == ("2026-11-02T09:00:00Z", "goes on")
    assert [row["lane"] for row in (idle, last)] == ["alice", "bob"]  # Of one task, a row per agent.
    assert len(hatched(chart)) == 3
    assert subtitle(chart) == "1 task with 2 agents, working for 1.0 h to 3.0 h in all"
    vl_convert.vegalite_to_svg(chart.to_dict() | {"width": 700})


def test_a_sentence_never_says_a_bound_as_if_it_were_a_value() -> None:
    """One value if both read the same, two if not, and `at most` if the lower one is nothing."""
    ranges = [sentences.count_range(*bounds) for bounds in ((27, 27), (22, 27), (0, 27), (1000, 2000))]
    assert ranges == ["27", "22 to 27", "at most 27", "1,000 to 2,000"]
    hours = [(3, 31), (3.01, 3.02), (0, 5), (np.nan, 5), (5, np.nan), (np.nan, np.nan)]
    told = [sentences.hours_range(*bounds) for bounds in hours]
    assert told == ["3.0 h to 31.0 h", "3.0 h", "at most 5.0 h", "at most 5.0 h", "at least 5.0 h", UNKNOWN]


def test_throughput_says_what_the_backlog_does() -> None:
    """Only if it is certain: else that it may have grown or shrunk."""
    steady = [task(hour, hour, hour + 1) for hour in range(1, 11)]
    told = sentences.about_throughput(flow_of(steady))
    assert told == "In 7.0 d 10 tasks came and 10 were finished: the backlog stays as it is"
    growing = [*steady, *(task(hour, hour) for hour in range(20, 34))]
    told = sentences.about_throughput(flow_of(growing))
    assert told == "In 7.0 d 24 tasks came and 10 were finished: the backlog grows by 2.0 a day"
    before: list[Step] = [(-9, -8, "idle", None, None), (-3, 3, "complete", None, None)]
    told = sentences.about_throughput(flow_of([*growing[8:], *[before] * 14]))
    assert told == ("In 7.0 d 16 tasks came and 2 to 16 were finished: the backlog may have grown")
