"""Flow metrics: each number as derived by hand, and what is true of a board inside what is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from calypso_nb import History, Recorder
from calypso_nb.errors import UsageError
from calypso_nb.flow import columns
from calypso_nb.flow.measures import Flow
from calypso_nb.frames import tasks_frame
from calypso_nb.history.changes import micros_of
from calypso_nb.history.journeys import Journeys, journeys_in, journeys_of
from calypso_nb.history.pushes import served
from calypso_nb.history.store import packed
from tests.scripted import END, minute, recorded
from tests.test_surface import dtypes, dtypes_of
from tests.watched import BY_HAND, MORNING, Board

pytestmark = pytest.mark.usefixtures("clean_environment")

# What nobody saw before the recording began is known by TinyTask's own times, to the second.
S = 1 / 60


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """The history of the scripted morning, of which the board has told each change."""
    path = tmp_path_factory.mktemp("exact") / "history.db"
    with recorded(path, [*range(10, END, 10)], pushed=True) as history:
        yield history


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """The history of the same morning by looks every ten minutes, without any from 50 to 90."""
    path = tmp_path_factory.mktemp("looked") / "history.db"
    with recorded(path, [10, 20, 30, 40, 50, 90, 100, 110, 120, 130], pushed=False) as history:
        yield history


@pytest.fixture(scope="module")
def flow(exact: History) -> Flow:
    """What the exact history comes to."""
    return exact.flow()


def minutes(frame: pd.DataFrame, *names: str) -> list[list[float | None]]:
    """Return the hours in some columns, at least and at most, as minutes; None for NA."""
    columns = [f"{name}_{end}" for name in names for end in ("least", "most")]
    return rows(frame[columns].mul(60).round(2))


def counts(frame: pd.DataFrame, *names: str) -> list[list[Any]]:
    """Return what some columns count, at least and at most."""
    return rows(frame[[f"{name}_{end}" for name in names for end in ("least", "most")]])


def rows(frame: pd.DataFrame) -> list[list[Any]]:
    """Return the rows of a frame; None for NA."""
    return frame.astype("object").where(frame.notna(), None).to_numpy().tolist()


def near(frame: pd.DataFrame, number: float) -> pd.Series:
    """Return the row whose moment is nearest to a minute."""
    return frame.loc[(frame["at"] - minute(number)).abs().idxmin()]


def two(*numbers: float) -> list[float]:
    """Return exact numbers as what is told of them, at least and at most."""
    return [round(number, 2) for number in numbers for _ in range(2)]


def between(*bounds: float) -> list[float]:
    """Return bounds as they are compared."""
    return [round(number, 2) for number in bounds]


# The scripted board, of which each change was told: derived by hand from tests/scripted.py


def test_when_each_task_was_started_and_finished(flow: Flow) -> None:
    """Subtasks count and their parent doesn't; an earlier finish of a reopened task is taken back."""
    tasks = flow.tasks.set_index("task_id")
    assert tasks.index.tolist() == [1, 2, 4, 5, 6, 7, 8, 9, 10]
    assert rows(tasks[["title", "status", "agent", "queue", "parent"]]) == [
        ["Old", "complete", "alice", "dev", None],
        ["Older", "complete", "bob", "dev", None],
        ["Api", "complete", "carol", "qa", 3],
        ["Docs", "complete", "bob", "dev", 3],
        ["Bug", "idle", "alice", "dev", None],
        ["Spike", "working", "bob", None, None],
        ["Chore", "complete", "bob", "dev", None],
        ["Hot", "working", "carol", "qa", None],
        ["Junk", "working", "alice", "dev", None],
    ]
    exact = {
        "created": {4: 5, 5: 10, 6: 20, 7: 55, 8: 100, 9: 110, 10: 120},
        # Api was at work three times, Docs twice, Hot twice: the first counts.
        "started": {4: 15, 5: 35, 7: 135, 9: 112, 10: 125},
        # Docs at 65 and 95, of which the last counts; Hot at 115, which was taken back.
        "finished": {1: 25, 4: 85, 5: 95, 8: 105},
        "withdrawn": {6: 50, 10: 130},
    }
    bounded = {
        "created": {1: (-60, -60 + S), 2: (-45, -45 + S)},
        # Since when is not known of what was at work, or complete, when it was first seen.
        "started": {1: (-60, -50 + S), 2: (-45, -30 + S), 8: (100, 105)},
        "finished": {2: (-45, -30 + S)},
        "withdrawn": {},
    }
    for name, times in exact.items():
        expected = {task: (time, time) for task, time in times.items()} | bounded[name]
        low, high = (tasks[f"{name}_not_{end}"].dropna() for end in ("before", "after"))
        assert low.to_dict() == {task: minute(first) for task, (first, _) in expected.items()}, name
        assert high.dt.round("s").to_dict() == {task: minute(last) for task, (_, last) in expected.items()}
    assert tasks.index[tasks["began_before"]].tolist() == [1, 2]
    assert tasks["reopened"].to_dict() == {1: 0, 2: 0, 4: 0, 5: 1, 6: 0, 7: 0, 8: 0, 9: 1, 10: 0}
    # From dev to qa, back to dev, to qa: sent back once.
    assert tasks["returned"].to_dict() == {1: 0, 2: 0, 4: 1, 5: 0, 6: 0, 7: 0, 8: 0, 9: 0, 10: 0}


def test_how_long_each_task_took(flow: Flow) -> None:
    """What began before the recording has no cycle time; what nobody saw working may have taken no time."""
    tasks = flow.tasks.set_index("task_id")
    times = dict(zip(tasks.index, minutes(tasks, "cycle_time", "lead_time", "work_item_age"), strict=True))
    none = [None, None]
    assert times == {
        1: [*none, *between(85 - S, 85), *none],  # Created at -60, finished at 25.
        2: [*none, *between(0, 15 + S), *none],
        4: [*two(70, 80), *none],  # 85 - 15, 85 - 5.
        5: [*two(60, 85), *none],  # 95 - 35, 95 - 10.
        6: [*none, *none, *none],
        7: [*none, *none, *two(7)],  # 142 - 135.
        8: [*between(0, 5), *two(5), *none],
        9: [*none, *none, *two(30)],  # 142 - 112.
        10: [*none, *none, *none],
    }


def test_what_was_finished_per_hour(flow: Flow) -> None:
    """Hours that end with what is known, from -38, 22 and 82 on; the first was recorded from 0 on."""
    assert flow.bucket == "1 h"
    frame = flow.throughput
    assert frame["from"].dt.round("s").tolist() == [minute(number) for number in (-38, 22, 82)]
    assert frame["to"].dt.round("s").tolist() == [minute(number) for number in (22, 82, 142)]
    assert frame["recorded"].tolist() == pytest.approx([22 / 60, 1, 1])
    assert counts(frame, "arrived", "started", "finished", "withdrawn", "wip") == [
        # Older was started and finished from -45 to -30, which may be in it. In progress are Old and Api.
        [3, 3, 1, 2, 0, 1, 0, 0, 2, 2],
        # Spike came; Docs was started; Old was finished; Bug was archived. Api and Docs are in progress.
        [1, 1, 1, 1, 1, 1, 1, 1, 2, 2],
        # Chore, Hot, Junk and Spike were started; Api, Docs and Chore finished; Junk deleted.
        [3, 3, 4, 4, 3, 3, 1, 1, 2, 2],
    ]


def test_how_many_were_idle_and_at_work_at_any_moment(flow: Flow) -> None:
    """And on the board: what was archived, deleted or complete is neither."""
    expected = {
        3: (0, 1), 12: (2, 1), 22: (2, 2), 33: (3, 0), 42: (1, 2), 52: (1, 1), 57: (2, 1), 67: (1, 1),
        82: (2, 1), 93: (1, 1), 102: (2, 0), 117: (1, 0), 127: (1, 2), 132: (1, 1), 140: (0, 2),
    }  # fmt: skip
    found = {number: counts(near(flow.states, number).to_frame().T, "idle", "working") for number in expected}
    assert found == {number: [two(*numbers)] for number, numbers in expected.items()}
    assert flow.states["recorded"].all()


def test_how_many_had_come_and_gone_by_any_moment(flow: Flow) -> None:
    """Arrived, entered, done and finished, from which the lines of a cumulative flow diagram are drawn."""
    expected = {
        3: two(2, 2, 1, 1),
        42: two(5, 4, 2, 2),
        52: two(5, 5, 3, 2),  # Bug was archived: it is done, and it is not finished.
        67: two(6, 5, 3, 2),  # Docs is complete, and will be reopened.
        97: two(6, 5, 5, 4),
        102: [7, 7, 5, 6, 5, 5, 4, 4],  # Chore may have been started.
        117: two(8, 7, 6, 5),  # Hot is complete, and will be reopened.
        140: two(9, 9, 7, 5),
    }
    names = ("arrived", "entered", "done", "finished")
    found = {number: counts(near(flow.cumulative, number).to_frame().T, *names)[0] for number in expected}
    assert found == expected


def test_percentiles_are_of_the_bounds(flow: Flow) -> None:
    """The k-th smallest of those at least, and of those at most; what is left out is told."""
    frame = flow.percentiles
    assert rows(frame[["measure", "tasks", "left_out"]]) == [
        ["cycle time", 3, 2],  # Old and Older began before the recording.
        ["lead time", 5, 0],
        ["work item age", 2, 0],
    ]
    assert minutes(frame, "p50", "p85", "p95") == [
        two(60, 70, 70),  # 0 to 5, 60, 70.
        two(80, 85, 85),  # 0 to 15, 5, 80, 85, 85.
        two(7, 30, 30),
    ]


def test_an_expectation_of_too_few_tasks_is_not_told(flow: Flow) -> None:
    """Of fewer than 20 with a cycle time."""
    told = flow.expectation
    assert pd.isna([told.hours_least, told.hours_most]).all()
    assert (told.percent, told.tasks, told.open) == (85, 3, 2)


def test_what_is_in_progress_by_age(flow: Flow) -> None:
    """The oldest first; none is older than half of the finished ones, which took up to 60."""
    frame = flow.ageing
    assert rows(frame[["task_id", "title", "status", "agent", "queue"]]) == [
        [9, "Hot", "working", "carol", "qa"],
        [7, "Spike", "working", "bob", None],
    ]
    assert minutes(frame, "work_item_age") == [two(30), two(7)]
    assert frame["older_than"].tolist() == frame["perhaps_older_than"].tolist() == [0, 0]


def test_how_long_each_agent_had_tasks(flow: Flow) -> None:
    """Idle and working; of what was edited before it was first seen nobody knows with whom it was."""
    frame = flow.time_in("agent")
    assert rows(frame[["group", "status", "tasks"]]) == [
        [None, "idle", 3], ["alice", "idle", 4], ["alice", "working", 3], ["bob", "idle", 3],
        ["bob", "working", 3], ["carol", "idle", 2], ["carol", "working", 2],
    ]  # fmt: skip
    assert minutes(frame, "total", "p50", "p85") == [
        # Spike for 80; Old for up to 10 and Older for up to 15.
        between(80, 105 + 2 * S, 0, 15 + S, 80, 80),
        # Old up to 10, Api 10 + 15, Bug 30, Junk 5.
        between(60, 70 + S, 5, 10 + S, 30, 30),
        # Old 75 to 85, Api 15 + 10, Junk 5.
        between(105 - S, 115, 25, 25, 75 - S, 85),
        # Older up to 15, Docs 25 + 10, Chore 5.
        between(40, 55 + S, 5, 15 + S, 35, 35),
        # Older up to 15, Docs 30 + 5, Spike 7.
        between(42, 57 + S, 7, 15 + S, 35, 35),
        # Api 10 + 5, Hot 2.
        two(17, 2, 15),
        # Api 5 + 10, Hot 3 + 24, but not while it was complete.
        two(42, 15, 27),
    ]


def test_how_long_tasks_were_in_each_queue(flow: Flow) -> None:
    """The same by queue, of which Spike has none."""
    frame = flow.time_in()
    assert rows(frame[["group", "status", "tasks"]]) == [
        [None, "idle", 3], [None, "working", 1], ["dev", "idle", 7], ["dev", "working", 5],
        ["qa", "idle", 2], ["qa", "working", 2],
    ]  # fmt: skip
    assert minutes(frame, "total", "p85") == [
        between(80, 105 + 2 * S, 80, 80),
        two(7, 7),
        # Old up to 10, Older up to 15, Api 25, Docs 35, Bug 30, Chore 5, Junk 5.
        between(100, 125 + 2 * S, 30, 30),
        # Old 75 to 85, Older up to 15, Api 25, Docs 35, Junk 5.
        between(140 - S, 165 + S, 75 - S, 85),
        two(17, 15),
        two(42, 27),
    ]


def test_who_handed_what_to_whom(flow: Flow) -> None:
    """Api went to carol twice, and came back once; who signs up for what nobody has gets no handoff."""
    assert rows(flow.handoffs) == [["alice", "carol", 2, 1, 0], ["carol", "alice", 1, 1, 1]]


def test_what_each_queue_does_to_the_work(flow: Flow) -> None:
    """A task that is finished and reopened in a queue has not left it."""
    frame = flow.stages
    assert rows(frame[["queue", "visits", "now", "passed_on", "sent_back"]]) == [
        # Old, Older, Api twice, Docs, Bug, Chore and Junk, of which Bug and Junk were withdrawn.
        ["dev", 8, 0, 6, 0],
        ["qa", 3, 1, 2, 1],  # Api twice, once sent back, and Hot, which is there.
    ]
    assert minutes(frame, "waited", "worked", "p85_wait") == [
        # Waits of 0 to 10, 0 to 15, 10, 15, 35, 30, 5 and 5.
        between(100, 125 + 2 * S, 140 - S, 165 + S, 30, 30),
        two(17, 42, 10),  # Those that are over waited 10 and 5.
    ]
    # In the time that is recorded: Old and Older came before.
    assert counts(frame, "arrived", "departed") == [two(6, 7), two(3, 2)]


def test_what_came_into_a_queue_and_left_it_per_week(flow: Flow) -> None:
    """Junk left dev by being deleted, Bug by being archived; Old and Older came before the recording."""
    frame = flow.net
    assert frame["queue"].tolist() == ["dev", "qa"]
    assert counts(frame, "arrived", "departed", "net") == [two(6, 7, -1), two(3, 2, 1)]


def test_the_figures_per_agent_queue_tag_and_parent(flow: Flow) -> None:
    """A task with two tags counts for both, one without any for none."""
    names = [
        "group",
        "tasks",
        "arrived_most",
        "finished_most",
        "wip_most",
        "measured",
        "first_pass",
        "passed",
    ]
    found = {group: flow.by(group) for group in ("agent", "queue", "tag", "parent")}
    assert {group: rows(frame[names]) for group, frame in found.items()} == {
        "agent": [
            ["bob", 4, 3, 2, 1, 2, 1, 2],  # Older, Docs (reopened), Spike, Chore.
            ["carol", 2, 2, 1, 1, 1, 0, 1],  # Api (sent back), Hot.
            ["alice", 3, 2, 1, 0, 0, 0, 0],  # Old, Bug, Junk.
        ],
        "queue": [
            [None, 1, 1, 0, 1, 0, 0, 0],
            ["qa", 2, 2, 1, 1, 1, 0, 1],
            ["dev", 6, 4, 3, 0, 2, 1, 2],
        ],
        "tag": [
            [None, 6, 4, 2, 2, 1, 1, 1],
            ["api", 2, 2, 2, 0, 2, 0, 2],
            ["bug", 1, 1, 0, 0, 0, 0, 0],
            ["docs", 1, 1, 1, 0, 1, 0, 1],
        ],
        "parent": [[None, 7, 5, 2, 2, 1, 1, 1], ["#3", 2, 2, 2, 0, 2, 0, 2]],
    }
    for frame in found.values():
        for name in ("arrived", "finished", "wip"):
            assert frame[f"{name}_least"].equals(frame[f"{name}_most"])
    # Docs 60 and Chore 0 to 5; Api 70; none of alice's began in the time that is recorded.
    assert minutes(found["agent"], "cycle_time_p50", "cycle_time_p85") == [
        [0, 5, 60, 60], two(70, 70), [None] * 4,
    ]  # fmt: skip


def test_littles_law_is_checked(flow: Flow) -> None:
    """WIP x time was 197 to 202 task minutes in 142; 4 were finished, and took 43.3 to 45 on average."""
    health = flow.health
    # Old 25, Api 70, Docs 60, Chore 0 to 5, Hot 30, Junk 5, Spike 7.
    assert (health.wip_least, health.wip_most) == pytest.approx((197 / 142, 202 / 142))
    # Old's time is not known, and it was finished: 4 x 130 / 3 to 4 x 135 / 3.
    expected = (4 * 130 / 3 / 142, 4 * 135 / 3 / 142)
    assert (health.expected_least, health.expected_most) == pytest.approx(expected)
    assert health.apart == pytest.approx((197 - 180) / 202)
    assert health.stable


def test_how_many_were_right_at_once(flow: Flow) -> None:
    """Chore; Api was sent back, Docs reopened, and of Old and Older nobody knows."""
    assert flow.first_pass == (1, 3)


# The same board, looked at every ten minutes, and by nobody from 50 to 90


def test_bounds_have_what_happened_between_two_looks(looked: History) -> None:
    """From the look before up to the task's last edit, which TinyTask tells to the second."""
    tasks = looked.flow().tasks.set_index("task_id")
    times = dict(zip(tasks.index, minutes(tasks, "cycle_time", "lead_time", "work_item_age"), strict=True))
    none = [None, None]
    assert times == {
        1: [*none, *between(80 - S, 85 + S), *none],  # Finished from 20 to 25, created at -60.
        2: [*none, *between(0, 15 + S), *none],
        # Started from 10 to 15, finished from 50 to 85: in the time without looks.
        4: [*between(35 - S, 75 + S, 45 - S, 80 + S), *none],
        5: [*between(55 - S, 65 + S, 80, 85 + S), *none],  # 30 to 35, 90 to 95.
        6: [*none, *none, *none],
        7: [*none, *none, *between(7 - S, 12)],  # 130 to 135.
        8: [*between(0, 5 + S, 0, 5 + S), *none],  # 100 to 105, and created at 100.
        9: [*none, *none, *between(24 - S, 32)],  # 110 to 118, as it was edited last.
        10: [*none, *none, *none],  # Nobody saw it at work before it was deleted.
    }


def test_bounds_of_looks_have_what_a_server_would_have_told(looked: History, flow: Flow) -> None:
    """But for what came and went between two looks: Junk's work, and what Api and Docs were meanwhile."""
    seen = looked.flow()
    recorded = seen.states["recorded"]
    check = [
        (flow.throughput, seen.throughput, ("arrived", "finished", "withdrawn", "wip")),
        (flow.cumulative, seen.cumulative, ("arrived", "entered", "done", "finished")),
        (flow.states[recorded], seen.states[recorded], ("idle",)),
        (flow.percentiles, seen.percentiles, ("p50", "p85", "p95")),
    ]
    for exactly, bounded, names in check:
        for name in names:
            assert (bounded[f"{name}_least"] <= exactly[f"{name}_least"] + 1e-6).all(), name
            assert (bounded[f"{name}_most"] >= exactly[f"{name}_most"] - 1e-6).all(), name
    # In the hour from 22 to 82 Old may have been finished (20 to 25) and Api (50 to 85), which else is in
    # progress at 82, as Docs is.
    assert counts(seen.throughput, "finished", "wip")[1] == [0, 2, 1, 2]


def test_what_was_not_recorded_is_told(looked: History) -> None:
    """40 of the 60 minutes from 22 to 82, less those up to the look at 50."""
    flow = looked.flow()
    assert flow.throughput["recorded"].tolist() == pytest.approx([22 / 60, 28 / 60, 52 / 60])
    for number, told in ((49, True), (51, False), (89, False), (91, True)):
        assert near(flow.states, number)["recorded"] == told


# Some tasks, and some time


@pytest.mark.parametrize(
    ("chosen", "tasks"),
    [
        ({"agent": "alice"}, [1, 6, 10]),
        ({"queue": "qa"}, [4, 9]),
        ({"tag": "api"}, [4, 5]),
        ({"tag": "docs"}, [5]),
        ({"parent": 3}, [4, 5]),
        ({"parent": 3, "agent": "carol", "queue": "qa", "tag": "api"}, [4]),
        ({"agent": "bob", "queue": "qa"}, []),
    ],
)
def test_only_some_tasks(chosen: dict[str, Any], tasks: list[int], exact: History, flow: Flow) -> None:
    """Those that an agent, queue, tag or parent have, or had last: the same as in the flow of all."""
    some = exact.flow(**chosen)
    assert some.tasks["task_id"].tolist() == tasks
    pd.testing.assert_frame_equal(
        some.tasks, flow.tasks[flow.tasks["task_id"].isin(tasks)].reset_index(drop=True)
    )
    assert some.cumulative["arrived_most"].iloc[-1] == len(tasks)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"agent": "alicia"}, "no task of the agent 'alicia'; did you mean 'alice'"),
        ({"queue": "review"}, "no task of the queue 'review'"),
        ({"tag": "ap"}, "no task of the tag 'ap'; did you mean 'api'"),
        ({"parent": 8}, "#8: it has no subtasks"),
        ({"parent": 99}, "#99: it is not known"),
        ({"bucket": "1 y"}, "'1 y' is not a valid bucket: write 1 h, 6 h, 1 d, 1 w"),
        ({"since": minute(END + 1)}, "nothing is known after 2026-11-23 12:22:00 UTC"),
    ],
)
def test_what_matches_nothing_is_refused(asked: dict[str, Any], words: str, exact: History) -> None:
    """With what was meant, if that can be guessed."""
    with pytest.raises(UsageError, match=words):
        exact.flow(**asked)


def test_a_group_that_is_none_is_refused(flow: Flow) -> None:
    """With those that there are."""
    with pytest.raises(UsageError, match="'team' is not a valid group: write queue or agent"):
        flow.time_in("team")
    with pytest.raises(UsageError, match="'team' is not a valid group: write agent, queue, tag, parent"):
        flow.by("team")


def test_since_a_moment(exact: History) -> None:
    """Throughput and the lines begin there; how long tasks took is of all."""
    flow = exact.flow(since=minute(83))
    assert len(flow.throughput) == 1
    assert counts(flow.throughput, "arrived", "started", "finished", "withdrawn", "wip") == [
        two(3, 4, 3, 1, 2)
    ]
    assert flow.cumulative["at"].iloc[[0, -1]].dt.round("s").tolist() == [minute(83), minute(END)]
    assert flow.percentiles.equals(exact.flow().percentiles)
    # Api and Docs are both finished since.
    assert flow.by("parent").set_index("group").loc["#3", "finished_least"] == 2
    # Api 2, Docs 12, Chore 0 to 5, Hot 30, Junk 5 and Spike 7 of 59 minutes.
    assert (flow.health.wip_least, flow.health.wip_most) == pytest.approx((56 / 59, 61 / 59))


def test_buckets_of_another_size(exact: History) -> None:
    """The last ends with what is known, and the first begins before the recording if need be."""
    frame = exact.flow(bucket="6 h").throughput
    assert counts(frame, "arrived", "finished") == [two(9, 5)]
    assert frame["recorded"].tolist() == pytest.approx([END / 360])
    assert len(exact.flow(since=minute(-60 * 24), bucket="1 h").throughput) == 27  # 1,582 minutes.


# Histories of little or nothing

FRAMES = {
    "tasks": columns.ITEM_COLUMNS,
    "ageing": columns.AGEING_COLUMNS,
    "percentiles": columns.PERCENTILE_COLUMNS,
    "throughput": columns.THROUGHPUT_COLUMNS,
    "states": columns.STATE_COLUMNS,
    "cumulative": columns.CUMULATIVE_COLUMNS,
    "net": columns.NET_COLUMNS,
    "handoffs": columns.HANDOFF_COLUMNS,
    "stages": columns.STAGE_COLUMNS,
    "time_in": columns.TIME_COLUMNS,
    "by": columns.GROUP_COLUMNS,
}


def frames(flow: Flow) -> dict[str, list[pd.DataFrame]]:
    """Return all frames of a flow."""
    found = {name: [getattr(flow, name)] for name in FRAMES if name not in ("time_in", "by")}
    found["time_in"] = [flow.time_in(group) for group in ("queue", "agent")]
    return found | {"by": [flow.by(group) for group in ("agent", "queue", "tag", "parent")]}


@pytest.mark.parametrize("number", [0, 1, 9])
def test_each_frame_has_the_documented_columns(number: int, board: Board, path: Path, flow: Flow) -> None:
    """With rows and without any, of a board that was looked at once too."""
    if number < 9:
        for _ in range(number):
            board.create_task("Design", created_by="lead")
        with Recorder(board, path, every=BY_HAND):
            flow = History(path).flow()
    assert len(flow.tasks) == number
    for name, some in frames(flow).items():
        for frame in some:
            assert dtypes_of(frame) == dtypes(FRAMES[name]), name
    assert pd.isna(flow.health.apart) == (number < 9)
    assert flow.first_pass == ((1, 3) if number == 9 else (0, 0))
    assert flow.expectation.open == (2 if number == 9 else 0)


def test_nothing_that_is_recorded_yet_is_said() -> None:
    """Rather than a board without tasks."""
    with pytest.raises(UsageError, match="nothing is recorded yet"):
        Flow(journeys_of([], [], []))


def test_a_board_without_a_history_has_no_flow_of_yesterday(board: Board) -> None:
    """Of no tasks too, and of tasks that a clock ahead has created; the order of the listing is no matter."""
    assert len(Flow(journeys_in(tasks_frame([], MORNING), micros_of(MORNING))).tasks) == 0
    board.create_task("Tests", created_by="lead", priority=1)
    board.create_task("Design", created_by="lead", assigned_to="alice", priority=9)
    board.wait(minutes=5)
    board.update_task(2, status="complete")
    listed = board.list_task_records(include_archived=True)
    assert [task["id"] for task in listed] == [2, 1]
    for hours in (1, -1):
        flow = Flow(journeys_in(tasks_frame(listed, MORNING), micros_of(MORNING + timedelta(hours=hours))))
        assert rows(flow.tasks[["task_id", "title", "status"]]) == [
            [1, "Tests", "idle"],
            [2, "Design", "complete"],
        ]
        for name in ("created", "started", "finished"):
            low, high = flow.tasks[f"{name}_not_before"], flow.tasks[f"{name}_not_after"]
            assert (low.isna() | (low <= high)).all()


# What a board may do


def test_what_is_below_a_subtask_is_below_its_parent(board: Board, path: Path) -> None:
    """Only the last of them is work."""
    with Recorder(board, path, every=BY_HAND) as recorder:
        board.create_task("Product", created_by="lead")
        board.create_task("Feature", created_by="lead", parent_task_id=1)
        board.create_task("Part", created_by="lead", parent_task_id=2)
        board.create_task("Other", created_by="lead")
        recorder.look()
    assert History(path).flow().tasks["task_id"].tolist() == [3, 4]
    assert History(path).flow(parent=1).tasks["task_id"].tolist() == [3]


def test_a_tag_that_is_given_twice_counts_once(board: Board, path: Path) -> None:
    """As a task is one task."""
    with Recorder(board, path, every=BY_HAND) as recorder:
        board.create_task("Design", created_by="lead", tags=["api", "api"])
        recorder.look()
    assert rows(History(path).flow().by("tag")[["group", "tasks", "arrived_most"]]) == [["api", 1, 1]]


def test_what_a_task_was_before_it_was_first_seen_is_not_known(board: Board, path: Path) -> None:
    """Created in no queue and put into one: since when is as uncertain as any edit."""
    with Recorder(board, path, every=BY_HAND) as recorder:
        board.create_task("Design", created_by="lead")
        board.wait(minutes=30)
        board.update_task(1, queue_name="dev", assigned_to="alice")
        board.wait(minutes=10)
        recorder.look()
    for group in ("queue", "agent"):
        # Up to 30 minutes without, and 10 to 40 with one.
        found = minutes(History(path).flow().time_in(group), "total")
        assert found == [between(0, 30 + S), between(10 - S, 40)]


def test_a_task_that_is_edited_after_it_was_archived_is_not_started(board: Board, path: Path) -> None:
    """It was withdrawn, and is not in progress; nor does it leave the board twice."""
    with Recorder(board, path, every=BY_HAND) as recorder:
        board.store.listeners.append(lambda changes: recorder.hear(served(changes)))
        board.create_task("Design", created_by="lead")
        for do in (board.archive_task, lambda task: board.update_task(task, status="working")):
            board.wait(minutes=10)
            do(1)
        board.wait(minutes=10)
        recorder.look()
    flow = History(path).flow()
    assert flow.tasks["started_not_after"].isna().all()
    assert counts(flow.throughput, "started", "withdrawn", "wip") == [two(0, 1, 0)]
    assert counts(flow.cumulative.iloc[-1:], "arrived", "entered", "done", "finished") == [two(1, 1, 1, 0)]


def test_who_completes_a_task_at_once_has_worked_on_it(board: Board, path: Path) -> None:
    """The same of what a server tells and of what a listing shows, also if it is reopened."""
    for name in ("told", "listed"):
        with Board() as board, Recorder(board, path.with_name(name), every=BY_HAND) as recorder:
            if name == "told":
                board.store.listeners.append(lambda changes, to=recorder: to.hear(served(changes)))
            board.create_task("Design", created_by="lead")
            for status in ("complete", "idle", "working"):
                recorder.look()
                board.wait(minutes=10)
                board.update_task(1, status=status)
            recorder.look()
            [age] = minutes(History(path.with_name(name)).flow().tasks, "work_item_age")
            assert age == between(20, 30)


def test_what_a_retention_keeps_was_created_when_it_was(board: Board, path: Path) -> None:
    """What was forgotten is not known: how it was kept may be so since its creation."""
    with Recorder(board, path, every=BY_HAND, keep="30d") as recorder:
        board.create_task("Design", created_by="lead", assigned_to="alice", queue_name="dev")
        board.create_task("Tests", created_by="lead", assigned_to="bob")
        for days, status in ((10, "working"), (30, "working"), (5, "complete")):
            board.wait(minutes=60 * 24 * days)
            board.update_task(1, status=status)
            recorder.look()
        assert recorder.prune() > 0
        tasks = History(path).flow().tasks
    day = timedelta(days=1)
    assert tasks["created_not_before"].tolist() == [MORNING] * 2
    assert tasks["created_not_after"].tolist() == [MORNING + timedelta(seconds=1)] * 2
    assert tasks["began_before"].tolist() == [True, False]
    assert tasks["started_not_before"][0] == MORNING
    assert tasks["started_not_after"][0] >= MORNING + 10 * day
    assert tasks["cycle_time_most"].isna().all()
    # Finished from the look after 40 days to that after 45.
    assert minutes(tasks[:1], "lead_time")[0] == between(40 * 1440 - S, 45 * 1440)


def test_another_database_is_another_board(path: Path) -> None:
    """Nothing of the first one counts in the flow of the second."""
    for number in (1, 2):
        with Board() as board:
            board.wait(minutes=60 * number)
            with Recorder(board, path, every=BY_HAND, name="team") as recorder:
                board.create_task(f"Design {number}", created_by="lead", assigned_to="alice")
                board.wait(minutes=5)
                recorder.look()
    tasks = History(path).flow().tasks
    assert tasks["title"].tolist() == ["Design 2"]
    assert tasks["created_not_before"].tolist() == [MORNING + timedelta(hours=2)]


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_that_is_set_widens_what_it_makes_uncertain(hours: int, board: Board, path: Path) -> None:
    """No line falls or crosses another, and nothing is finished before it was started."""
    with Recorder(board, path, every=BY_HAND) as recorder:
        board.store.listeners.append(lambda changes: recorder.hear(served(changes)))
        board.create_task("Design", created_by="lead")
        board.wait(minutes=30)
        board.update_task(1, status="working")
        recorder.look()
        board.set_clock(hours)
        board.wait(minutes=10)
        recorder.look()
        board.update_task(1, status="complete")
        board.wait(minutes=10)
        recorder.look()
    flow = History(path).flow()
    [task] = flow.tasks.to_dict("records")
    assert task["started_not_before"] <= task["finished_not_before"]
    assert task["started_not_after"] <= task["finished_not_after"]
    names = ("arrived", "entered", "done", "finished")
    for end in ("least", "most"):
        lines = flow.cumulative[[f"{name}_{end}" for name in names]].to_numpy()
        assert (lines[:, :-1] >= lines[:, 1:]).all()
        assert (lines[1:] >= lines[:-1]).all()
    assert lines[-1].tolist() == [1, 1, 1, 1]


def test_what_was_pushed_since_the_last_look_is_known(board: Board, path: Path) -> None:
    """Until then, and no earlier."""
    with Recorder(board, path, every=BY_HAND) as recorder:
        board.store.listeners.append(lambda changes: recorder.hear(served(changes)))
        board.create_task("Design", created_by="lead")
        board.wait(minutes=30)
        board.update_task(1, status="working")
        board.wait(minutes=30)
        board.update_task(1, status="complete")
        history = History(path)
        flow = history.flow()
        assert flow.until == MORNING + timedelta(minutes=60)
        assert counts(flow.throughput, "started", "finished", "wip") == [two(1, 1, 0)]
        then = Flow(history.journeys().known_at(micros_of(MORNING + timedelta(minutes=45))))
        assert minutes(then.tasks, "work_item_age") == [two(15)]
        assert then.tasks["finished_not_after"].isna().all()


# What is expected


def finished(spans: list[float], apart: float = 1) -> Journeys:
    """Journeys of tasks that took so many hours each, the next one finished so many hours later."""
    record = packed("created", {"title": "", "status": "idle", "assigned_to": None, "queue_name": None,
                                "parent_task_id": None, "tags": [], "blocked_by_task_id": None,
                                "archived_at": None})  # fmt: skip
    hour, begin = 3_600_000_000, micros_of(MORNING)
    told = []
    for task, span in enumerate(spans, 1):
        done = begin + int(task * apart * hour) + 10_000 * hour
        changes = [
            ("created", record, begin),
            ("status", "working", done - int(span * hour)),
            ("status", "complete", done),
        ]
        for field, new, at in changes:
            told.append((task, field, new, at, at, True, True, 0))
    end = begin + int(len(spans) * apart * hour) + 10_000 * hour
    # One in progress for 16 hours, and one for 17.
    for task, age in ((len(spans) + 1, 16), (len(spans) + 2, 17.5)):
        told += [(task, "created", record, begin, begin, True, True, 0)]
        told += [(task, "status", "working", end - int(age * hour), end - int(age * hour), True, True, 0)]
    return journeys_of(told, [(1, begin, begin, end)], [])


@pytest.mark.parametrize(
    ("spans", "apart", "tasks", "hours"),
    [
        ([*range(1, 20)], 1, 19, None),  # Too few.
        ([*range(1, 21)], 1, 20, 17),  # The 17th of 20.
        ([*range(1, 41)], 1, 40, 34),  # All within 30 days: the 34th of 40.
        ([100] * 20 + [*range(1, 31)], 48, 30, 26),  # 15 within 30 days: the 26th of the last 30.
    ],
)
def test_85_per_cent_of_the_last_tasks_took_no_longer(
    spans: list[float], apart: float, tasks: int, hours: float | None
) -> None:
    """Of the last 30, or of those of 30 days if they are more; and how many in progress are older."""
    told = Flow(finished(spans, apart)).expectation
    assert (told.tasks, told.open) == (tasks, 2)
    assert [told.hours_least, told.hours_most] == pytest.approx([hours or float("nan")] * 2, nan_ok=True)
    older = None if hours is None else 1 if hours == 17 else 0
    assert (told.older_least, told.older_most) == (older, older)


def test_what_is_certainly_older_than_most(flow: Flow) -> None:
    """Of 20 that took 1 to 20 hours, half took 10, 85 % 17 and 95 % 19."""
    frame = Flow(finished([*range(1, 21)])).ageing
    assert minutes(frame, "work_item_age") == [two(17.5 * 60), two(16 * 60)]
    assert frame["older_than"].tolist() == frame["perhaps_older_than"].tolist() == [85, 50]
