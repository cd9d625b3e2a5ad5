"""What a history says is true: replay, bounds, order, and what a second source may change."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from calypso_nb.history.changes import SECOND, replayed
from tests.worlds import Recorded, World, live, values_at


def at_once(random: Random) -> float:
    """As pushes come while all is well."""
    return random.uniform(0.001, 0.5)


def late_and_lossy(random: Random) -> float | None:
    """Up to eight minutes late, or dropped."""
    return random.choice((0.01, 0.2, random.uniform(0, 480), random.uniform(0, 480), None))


ARRIVALS = {"at once": at_once, "late and lossy": late_and_lossy}


def lived(seed: int, arrivals: str, folder: Path) -> tuple[World, dict[str, Recorded]]:
    """A world that has been recorded twice: by listings alone, and with pushes."""
    world = World(seed, busy=Random(seed).choice((1, 20, 200)))
    histories = {name: Recorded(world, folder / f"{name}.db") for name in ("listed", "pushed")}
    live(world, histories, 60, ARRIVALS[arrivals])
    return world, histories


@example(seed=58, arrivals="late and lossy")
@example(seed=216, arrivals="late and lossy")
@example(seed=470, arrivals="late and lossy")
@example(seed=100036, arrivals="late and lossy")
@example(seed=766019, arrivals="late and lossy")
@example(seed=200233, arrivals="late and lossy")
@example(seed=300830, arrivals="late and lossy")
@example(seed=300870, arrivals="late and lossy")
@example(seed=500836, arrivals="late and lossy")
@example(seed=315, arrivals="at once")
@example(seed=486, arrivals="at once")
@example(seed=77012, arrivals="at once")
@example(seed=730985, arrivals="at once")
@given(seed=st.integers(0, 10**9), arrivals=st.sampled_from(sorted(ARRIVALS)))
def test_a_history_is_true(seed: int, arrivals: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Replay gives each listing, truth is within the bounds, order holds, and pushes only narrow."""
    world, histories = lived(seed, arrivals, tmp_path_factory.mktemp("world"))
    moments = [Random(seed).uniform(world.times[0], world.time) for _ in range(60)]
    moments += [time + offset for time in world.times for offset in (-1, 1)]
    for history in histories.values():
        check_replay(history)
        check_order(world, history)
        check_bounds(world, history)
        check_values(world, history, [int(moment) for moment in moments])
    check_narrower(world, *histories.values(), [int(moment) for moment in moments])
    for history in histories.values():
        history.store.close()


def check_replay(history: Recorded) -> None:
    """Replaying what happened before an observation gives exactly what it showed."""
    for number, shown in history.shown:
        rows = history.store.rows(
            "SELECT DISTINCT task_id FROM event WHERE server = ? AND observation < ?", history.server, number
        )
        replay = {task: history.store.record_before(history.server, task, number) for (task,) in rows}
        assert {task: record for task, record in replay.items() if record is not None} == shown
    assert history.journal.state == history.store.state(history.server) == history.shown[-1][1]


def check_order(world: World, history: Recorded) -> None:
    """Each change of a field begins where the last one ended, and no earlier."""
    last: dict[tuple[int, str], tuple[object, int, int]] = {}
    task, record = None, None
    for event in history.events():
        if event.task_id != task:
            task, record = event.task_id, None
        assert event.not_before <= event.not_after, event
        if event.field == "created":
            assert record is None
        else:
            assert record is not None, event
            before = record if event.field == "deleted" else record.get(event.field)
            assert event.old == before, event
        record = replayed([(event.field, event.new)], record)
        _, low, high = last.get((event.task_id, event.field), (None, 0, 0))
        if not world.hasty(event.task_id, low, event.not_after):
            assert low <= event.not_before, event
            assert high <= event.not_after, event
        last[event.task_id, event.field] = event.new, event.not_before, event.not_after


def check_bounds(world: World, history: Recorded) -> None:
    """Whatever somebody saw to have changed did so between the two times."""
    for event in history.events():
        if not event.seen:
            continue
        found = any(
            happened(event.field, event.new, before.get(event.task_id), after.get(event.task_id))
            for _, before, after in world.changes(event.not_before - 1, event.not_after + 1)
        )
        # What came and went within a second may have been between the two looks that it is taken from.
        short = any(
            event.task_id in after and world.held(event.task_id, event.field, time) < SECOND
            for time, before, after in world.changes(event.not_before - SECOND, event.not_after + SECOND)
            if event.field in before.get(event.task_id, {})
        )
        assert found or short or world.hasty(event.task_id, event.not_before, event.not_after), event


def happened(field: str, new: object, before: dict | None, after: dict | None) -> bool:
    """Whether a change of a task gave a field that value, or the task came or went."""
    if field in ("created", "deleted"):
        return (before is None, after is None) == ((True, False) if field == "created" else (False, True))
    if after is None:
        return False
    # Created by somebody and moved on: what nobody has seen in between has no time of its own.
    return after[field] == new and (before is None or before[field] != new)


def check_values(world: World, history: Recorded, moments: list[int]) -> None:
    """What is certain of a moment is how it was, but for what came and went within a second, untold."""
    [(begun, known)] = history.store.rows("SELECT min(ended), max(last) FROM observation WHERE ok")
    moments = [moment for moment in moments if begun <= moment <= known]
    for moment, values in zip(moments, values_at(history, moments), strict=True):
        board = world.at(moment)
        for task, field, value, certain in values:
            if not certain:
                continue
            if field == "there":
                assert (task in board) == value, (task, moment)
            elif task in board and board[task][field] != value:
                short = world.held(task, field, moment) < SECOND
                assert short or world.hasty(task, moment, moment), (task, field, moment)


def check_narrower(world: World, listed: Recorded, pushed: Recorded, moments: list[int]) -> None:
    """What is certain by listings alone is certain, and the same, with pushes.

    But for a change that nobody told, just before or after a push: a look meanwhile may be before the push.
    """
    by_both = (values_at(listed, moments), values_at(pushed, moments))
    for moment, by_listing, by_push in zip(moments, *by_both, strict=True):
        certain = {(task, name): value for task, name, value, sure in by_listing if sure}
        both = {(task, name): (value, sure) for task, name, value, sure in by_push}
        for key, value in certain.items():
            if key[1] != "there" and not certain.get((key[0], "there")):
                continue
            same = both[key] == (value, True)
            short = key[1] != "there" and world.held(*key, moment) < SECOND
            assert same or short or world.hasty(key[0], world.changed(key[0], moment), moment), (key, moment)
