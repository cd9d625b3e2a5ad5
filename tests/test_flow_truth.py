"""Whatever happens on a simulated board, each true number lies within the bounds that are told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from calypso_nb import History
from calypso_nb.flow.columns import PERCENTS
from calypso_nb.flow.measures import Flow
from calypso_nb.frames import tasks_frame
from calypso_nb.history.changes import (
    CREATED,
    DELETED,
    FIRST_SEEN,
    SECOND,
    moment_of,
    record_of,
    wire_time,
)
from calypso_nb.history.journeys import Journeys, journeys_in
from calypso_nb.history.journeys import journeys_of as journeys_of_rows
from calypso_nb.history.store import packed
from tests.flow_truth import HOUR, PACES, Hidden, Team, Truth, percentile
from tests.test_history_truth import at_once, late_and_lossy
from tests.worlds import AGENTS, NAME, START, Delivery, Recorded, World, live

STATUSES = ("idle", "working", "complete")
SEEDS = st.integers(0, 10**9)


def lived(world: World, path: Path, source: str, arrivals: Delivery) -> Recorded:
    """Let a world live and be recorded, by looks alone or `pushed` too; nothing happens at the last look."""
    history = Recorded(world, path)
    history.store.write("PRAGMA synchronous = OFF")
    live(world, {source: history}, 24, arrivals)
    world.time += SECOND
    history.look(world.time, world.listing(), world.time + 1000)
    return history


def journeys_of(history: Recorded) -> Journeys:
    """What a history says of the tasks' journeys."""
    with closing(History(history.store.path, NAME)) as memory:
        return memory.journeys()


def of_some(journeys: Journeys, tasks: set[int]) -> Flow:
    """What some tasks come to."""
    flow = Flow(journeys)
    flow.items = flow.items.chosen(tasks)
    return flow


def times(frame: pd.DataFrame, name: str) -> Iterator[tuple[float, float]]:
    """Yield a column of times as microseconds; NaN for NA."""
    columns = [frame[f"{name}_not_{end}"] for end in ("before", "after")]
    whole = [column.astype("int64").astype("float64").where(column.notna()) for column in columns]
    return zip(*whole, strict=True)


def hours(frame: pd.DataFrame, name: str) -> Iterator[tuple[float, float]]:
    """Yield a column of hours as microseconds."""
    return zip(*(frame[f"{name}_{end}"] * HOUR for end in ("least", "most")), strict=True)


def inside(true: float | None, low: float, high: float, *about: object) -> None:
    """A number lies between two, and there is none if there is none."""
    if true is None:
        assert np.isnan(low), about
        assert np.isnan(high), about
    else:
        assert low - 1 <= true <= high + 1, (true, low, high, about)


@pytest.mark.parametrize("pace", [*PACES, "wild"])
@given(seed=SEEDS)
@example(seed=259)  # In one second two looks saw one change each.
def test_truth_lies_within_the_bounds(pace: str, seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Of what a team did, at any pace, or of a board where anything happens several times a second.

    With looks alone, with pushes, and with pushes that get lost.
    """
    random = Random(seed)
    world = World(seed, busy=random.choice((1, 20, 200))) if pace == "wild" else Team(seed, pace)
    sources = [("listed", at_once), ("pushed", at_once), ("pushed", late_and_lossy)]
    source, arrivals = random.choice(sources[: 2 if pace == "wild" else 3])
    history = lived(world, tmp_path_factory.mktemp("team") / "history.db", source, arrivals)
    check(world, history)
    history.store.close()


def check(world: World, history: Recorded) -> None:
    """All figures of a history, of the tasks of which nothing was hidden that they need."""
    journeys = journeys_of(history)
    known = set(journeys.steps["task_id"])
    parents = {
        record["parent_task_id"] for board in world.boards for task, record in board.items() if task in known
    }
    check_lines(Flow(journeys))
    hidden = Hidden(world, history)
    sure = {task for task in known if "status" not in hidden.of(task)}
    leaves = sorted(sure - parents)
    flow, truth = of_some(journeys, sure), Truth(world, leaves, int(journeys.end))
    check_tasks(flow, truth, journeys.begin)
    check_counts(flow, truth)
    placed = {task for task in sure if "who" not in hidden.of(task)}
    leaves = sorted(placed - parents)
    check_places(of_some(journeys, placed), Truth(world, leaves, int(journeys.end)))


def check_tasks(flow: Flow, truth: Truth, begin: float) -> None:
    """When each was started and finished, how long it took, and the percentiles of that."""
    tasks = flow.tasks
    numbers = tasks["task_id"].tolist()
    assert numbers == [*truth.tasks]
    for name in ("created", "started", "finished", "withdrawn"):
        for task, (low, high) in zip(numbers, times(tasks, name), strict=True):
            inside(getattr(truth, name)(task), low, high, name, task)
    before = dict(zip(numbers, tasks["began_before"], strict=True))
    assert all(before[task] for task in numbers if (truth.started(task) or begin) < begin)
    spans: dict[str, list[float]] = {}
    for name, measure in (("cycle_time", "cycle"), ("lead_time", "lead"), ("work_item_age", "age")):
        for task, (low, high) in zip(numbers, hours(tasks, name), strict=True):
            true = None if measure == "cycle" and before[task] else getattr(truth, measure)(task)
            inside(true, low, high, name, task)
            spans.setdefault(name.replace("_", " "), []).extend([] if true is None else [true])
    for row in flow.percentiles.to_dict("records"):
        values = spans.get(row["measure"], [])
        assert row["tasks"] == len(values)
        for percent in PERCENTS:
            low, high = (row[f"p{percent}_{end}"] * HOUR for end in ("least", "most"))
            inside(percentile(values, percent) if values else None, low, high, row["measure"], percent)
    left = [task for task in numbers if before[task] and truth.finished(task) is not None]
    assert flow.percentiles["left_out"][0] == len(left)


def check_counts(flow: Flow, truth: Truth) -> None:
    """How many there were, at some moments and in each span of time."""
    for row in flow.throughput.to_dict("records"):
        begin, end = (moment.value // 1000 for moment in (row["from"], row["to"]))
        for name in ("arrived", "started", "finished", "withdrawn"):
            what = "created" if name == "arrived" else name
            true = truth.between(what, begin, end + (end >= flow.end - 1))
            assert row[f"{name}_least"] <= true <= row[f"{name}_most"], (name, row["from"])
        assert row["wip_least"] <= truth.wip(end) <= row["wip_most"], row["to"]
    for row in flow.cumulative.to_dict("records")[::20]:
        at = row["at"].value // 1000
        for name in ("arrived", "entered", "done", "finished"):
            true = truth.by("created" if name == "arrived" else name, at)
            assert row[f"{name}_least"] <= true <= row[f"{name}_most"], (name, row["at"])
    for row in flow.states.to_dict("records")[::20]:
        for status in ("idle", "working"):
            true = truth.state(status, row["at"].value // 1000)
            assert row[f"{status}_least"] <= true <= row[f"{status}_most"], (status, row["at"])


def check_places(flow: Flow, truth: Truth) -> None:
    """How long tasks were with whom and in which queue, and what came there and left."""
    for field, group in (("assigned_to", "agent"), ("queue_name", "queue")):
        true = truth.time_in(field)
        frame = flow.time_in(group)
        assert set(true) <= {
            (row.group if row.group == row.group else None, row.status) for row in frame.itertuples()
        }
        for row in frame.to_dict("records"):
            key = (None if pd.isna(row["group"]) else row["group"], row["status"])
            total = sum(true.get(key, {}).values())
            inside(total, row["total_least"] * HOUR, row["total_most"] * HOUR, key)
            assert len(true.get(key, {})) <= row["tasks"]
    visits = [visit for task in truth.tasks for visit in truth.visits(task)]
    for row in flow.net.to_dict("records"):
        begin, end = (moment.value // 1000 for moment in (row["from"], row["to"]))
        end += end >= flow.end - 1
        came = sum(queue == row["queue"] and begin <= at < end for queue, at, _ in visits)
        left = sum(queue == row["queue"] and at is not None and begin <= at < end for queue, _, at in visits)
        assert row["arrived_least"] <= came <= row["arrived_most"], row
        assert row["departed_least"] <= left <= row["departed_most"], row
        assert row["net_least"] <= came - left <= row["net_most"], row


# What holds of any history


def any_journeys(random: Random) -> Journeys:
    """Journeys of a random history: any changes, in any bounds, as if the clock were set at any time."""
    events: list[tuple[Any, ...]] = []
    for task in range(1, random.randint(2, 9)):
        record = record_of({"title": "", "status": random.choice(STATUSES), "created_at": wire_time(START)})
        record |= {"parent_task_id": random.choice((None, None, None, 1)), "tags": []}
        fields: list[tuple[str, Any]] = [(CREATED, packed(CREATED, record))]
        fields += random.choice(([], [(FIRST_SEEN, None)]))
        for _ in range(random.randint(0, 8)):
            fields.append(
                random.choice(
                    (
                        ("status", random.choice(STATUSES)),
                        ("status", random.choice(STATUSES)),
                        ("assigned_to", random.choice((*AGENTS, None))),
                        ("queue_name", random.choice(("dev", "qa", "blocked", None))),
                        ("archived_at", random.choice((None, START // SECOND))),
                        (DELETED, None),
                    )
                )
            )
        for field, new in fields:
            low = START + random.randint(0, 10) * random.choice((1, SECOND))
            high = low + random.choice((0, 0, random.randint(0, 5 * SECOND)))
            events.append((task, field, new, low, high, random.random() < 0.8, random.random() < 0.5, 0))
    looks = [(1, START + random.randint(0, SECOND), START + SECOND, START + 20 * SECOND)]
    return journeys_of_rows(events, looks, [])


@given(seed=SEEDS)
def test_no_line_of_a_cumulative_flow_diagram_falls_or_crosses_another(seed: int) -> None:
    """Of ten random histories each."""
    for number in range(10):
        check_lines(Flow(any_journeys(Random(seed * 10 + number))))


def check_lines(flow: Flow) -> None:
    """At least and at most: what has come is no less than what was entered, done, finished, at any moment."""
    for end in ("least", "most"):
        lines = [flow.cumulative[f"{name}_{end}"] for name in ("arrived", "entered", "done", "finished")]
        assert all(line.is_monotonic_increasing for line in lines)
        assert all((upper >= lower).all() for upper, lower in pairwise(lines))
    for frame in (flow.cumulative, flow.throughput, flow.states):
        for name in frame.columns[frame.columns.str.endswith("_least")]:
            least, most = frame[name], frame[name.replace("_least", "_most")]
            assert ((least <= most) | least.isna()).all(), name
            assert ((least >= 0) | least.isna()).all() or name == "net_least", name


# Without a recorder


@given(seed=SEEDS)
def test_truth_lies_within_what_the_tasks_themselves_tell(seed: int) -> None:
    """But for what idle tasks and former parents were before; when they were created is exact."""
    world = Team(seed, Random(seed).choice(PACES))
    for _ in range(120):
        world.act()
    board = world.listing()
    listed = [{"id": task, **record} for task, record in board.items()]
    Random(seed).shuffle(listed)
    world.time += SECOND
    flow = Flow(journeys_in(tasks_frame(listed, moment_of(world.time)), world.time))
    parents = {record["parent_task_id"] for record in board.values()}
    assert flow.tasks["task_id"].tolist() == sorted(board.keys() - parents)
    truth = Truth(world, [*board], world.time)
    # A parent whose subtasks are gone had their status, archived or not.
    been = {record["parent_task_id"] for past in world.boards for record in past.values()}
    told = {task for task in board if truth.started(task) is None or board[task]["status"] != "idle"} - been
    some, truth = of_some(flow.journeys, told), Truth(world, sorted(told - parents), world.time)
    check_tasks(some, truth, -np.inf)
    check_counts(some, truth)
    check_lines(flow)
    tasks = flow.tasks
    assert (tasks["created_not_after"] - tasks["created_not_before"]).max() <= pd.Timedelta(seconds=1)
    for name in ("started", "finished"):
        earliest = tasks[f"{name}_not_before"]
        assert (earliest.isna() | (earliest == tasks["created_not_before"])).all()
    assert set(tasks["cycle_time_least"].dropna()) <= {0}
    assert not tasks["began_before"].any()


# What was known when


@given(seed=SEEDS)
def test_what_was_known_is_not_changed_by_what_comes_to_be_known(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The journeys that were known at a time are those that a history then had."""
    world = Team(seed, Random(seed).choice(PACES))
    history = Recorded(world, tmp_path_factory.mktemp("known") / "history.db")
    then = []
    for _ in range(3):
        live(world, {"listed": history}, 8, at_once)
        world.time += 2 * SECOND
        then.append(journeys_of(history))
    for known in then:
        again = then[-1].known_at(known.end)
        steps = [one.steps.reset_index(drop=True).astype("object") for one in (again, known)]
        assert steps[0].fillna("").equals(steps[1].fillna(""))
        assert (again.begin, again.end) == (known.begin, known.end)
        if len(known.steps):
            pd.testing.assert_frame_equal(Flow(again).cumulative, Flow(known).cumulative)
    history.store.close()
