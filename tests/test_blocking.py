"""Chains of blocked tasks, queues, tags and parent tasks, counted against the store and by hand."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest
import vl_convert
from hypothesis import given

from calypso_nb.charts import blocking_chart, work_item_age_chart
from calypso_nb.embedded import TinytaskStore
from calypso_nb.frames import QUEUE_COLUMNS, TAG_COLUMNS, tasks_frame
from calypso_nb.workload.blocking import BLOCKING_COLUMNS, blocking, cycles
from calypso_nb.workload.counts import by_queue, by_tag, counted
from calypso_nb.workload.flow import FLOW_COLUMNS, flow
from calypso_nb.workload.phrases import readable_range
from calypso_nb.workload.tree import TREE_COLUMNS, tree
from tests.boards import NOW, board_of, report_of, rows, task, without_v2


def chain() -> pd.DataFrame:
    """1 holds up 2 and 3, 2 holds up 4; 10, 11 and 12 wait for each other, and 13 for 10."""
    blockers = {2: 1, 3: 1, 4: 2, 10: 11, 11: 12, 12: 10, 13: 10}
    return board_of(task(n, blocked_by_task_id=blockers.get(n)) for n in (1, 2, 3, 4, 10, 11, 12, 13, 20))


def by_id(frame: pd.DataFrame) -> dict[int, dict[str, Any]]:
    return {row["id"]: row for row in frame.to_dict("records")}


def test_a_root_holds_up_all_that_waits_behind_it() -> None:
    """Directly, in all, and the longest chain are counted for each task."""
    board = chain()
    found = by_id(blocking(board, board))
    counted = {
        n: (row["holds_up_directly"], row["holds_up_in_all"], row["longest_chain"])
        for n, row in found.items()
    }
    assert counted[1] == (2, 3, 2)
    assert counted[2] == (1, 1, 1)
    assert counted[4] == (0, 0, 0)
    assert {n: (found[n]["root_task_id"], found[n]["depth"]) for n in (1, 2, 3, 4)} == {
        1: (1, 0), 2: (1, 1), 3: (1, 1), 4: (1, 2)
    }  # fmt: skip
    assert 20 not in found


def test_the_first_root_is_the_task_that_frees_the_most() -> None:
    """The frame is sorted by what a task holds up in all."""
    board = chain()
    assert blocking(board, board).query("depth == 0")["id"].tolist() == [1]


def test_a_cycle_of_any_length_is_found_and_has_no_root() -> None:
    """Its members hold up all others of it and what waits behind; what is behind it has no root either."""
    board = chain()
    assert cycles(board) == [(10, 11, 12)]
    found = by_id(blocking(board, board))
    assert [found[n]["holds_up_in_all"] for n in (10, 11, 12, 13)] == [3, 3, 3, 0]
    assert all(pd.isna(found[n]["root_task_id"]) and pd.isna(found[n]["depth"]) for n in (10, 11, 12, 13))
    assert found[13]["cycle"] == ()


def test_a_long_cycle_and_a_long_chain_are_no_harder() -> None:
    """Neither recursion nor a square of the length is in the way."""
    count = 3000
    ring = board_of(task(n, blocked_by_task_id=n % count + 1) for n in range(1, count + 1))
    assert [len(cycle) for cycle in cycles(ring)] == [count]
    line = board_of(task(n, blocked_by_task_id=n - 1 if n > 1 else None) for n in range(1, count + 1))
    assert blocking(line, line)["longest_chain"].max() == count - 1


def test_complete_and_archived_tasks_wait_for_nothing() -> None:
    """A block is in force only for an open task and an unfinished blocker."""
    board = board_of(
        [
            task(1, status="complete"),
            task(2, blocked_by_task_id=1),
            task(3, status="complete", blocked_by_task_id=4),
            task(4),
            task(5, archived=1, blocked_by_task_id=4),
        ]
    )
    assert blocking(board, board).empty


def test_filters_narrow_the_rows_and_not_the_counts() -> None:
    """Shown are the filtered tasks with what they wait for, counted on the whole board."""
    board = chain()
    found = blocking(board[board["id"] == 4], board)
    assert found["id"].tolist() == [1, 2, 4]
    assert found["holds_up_in_all"].tolist() == [3, 1, 0]


def test_a_server_without_blocking_gives_no_rows_and_the_same_columns() -> None:
    """What is unknown is no block."""
    board = without_v2(chain())
    empty = blocking(board, board)
    assert empty.empty
    assert list(empty.columns) == list(BLOCKING_COLUMNS)
    assert by_queue(counted(board, board)).empty
    assert tree(board, board).empty
    assert by_tag(counted(board, board))["open_leaves"].isna().all()


@given(rows())
def test_blocking_agrees_with_a_walk_from_each_task(rows: list[dict[str, Any]]) -> None:
    """On random boards every count is what following the blocks one by one gives."""
    board = board_of(rows)
    open_tasks = board[board["is_open"] & board["is_currently_blocked"]]
    blocker_of = dict(zip(open_tasks["id"], open_tasks["blocked_by_task_id"], strict=True))
    held: dict[int, set[int]] = {}
    for start in blocker_of:
        seen: set[int] = set()
        following = blocker_of.get(start)
        while following is not None and following not in seen:
            seen.add(following)
            held.setdefault(following, set()).add(start)
            following = blocker_of.get(following)
    found = by_id(blocking(board, board))
    assert found.keys() == {*blocker_of, *blocker_of.values()}
    for number, row in found.items():
        assert row["holds_up_in_all"] == len(held.get(number, set()) - {number})
        assert row["holds_up_directly"] == list(blocker_of.values()).count(number)


def test_queues_and_tags_agree_with_sql(sample_store: TinytaskStore) -> None:
    """Each number is what a query on the store's own tables counts."""
    board = tasks_frame(sample_store.list_tasks(include_archived=True), NOW)
    current = board[board["archived_at"].isna()].reset_index(drop=True)
    counts = """
        count(*) FILTER (WHERE t.status <> 'complete'), count(*) FILTER (WHERE t.status = 'idle'),
        count(*) FILTER (WHERE t.status = 'working'), count(*) FILTER (WHERE t.status = 'complete'),
        count(*) FILTER (WHERE t.status <> 'complete' AND EXISTS (SELECT 1 FROM tasks b
            WHERE b.id = t.blocked_by_task_id AND b.status <> 'complete')),
        count(*) FILTER (WHERE t.status <> 'complete' AND t.assigned_to IS NULL),
        count(*) FILTER (WHERE t.status <> 'complete' AND NOT EXISTS (SELECT 1 FROM tasks c
            WHERE c.parent_task_id = t.id AND c.archived_at IS NULL)),
        min(t.created_at) FILTER (WHERE t.status <> 'complete')"""
    current_only = "WHERE t.archived_at IS NULL GROUP BY 1"
    names = ["open", "idle", "working", "complete", "blocked", "unassigned", "open_leaves"]
    for frame, key, sql in (
        (
            by_queue(counted(current, board)),
            "queue",
            f"SELECT t.queue_name, {counts} FROM tasks t {current_only}",
        ),
        (
            by_tag(counted(current, board)),
            "tag",
            f"SELECT e.value, {counts} FROM tasks t LEFT JOIN json_each(t.tags) e {current_only}",
        ),
    ):
        in_store = {row[0]: row[1:] for row in sample_store.connection.execute(sql)}
        assert len(in_store) == len(frame)
        for row in frame.to_dict("records"):
            *found, oldest = in_store[None if pd.isna(row[key]) else row[key]]
            assert [row[name] for name in names] == found, row[key]
            if oldest is not None:
                age = (pd.Timestamp(NOW) - pd.Timestamp(oldest, tz="UTC")).total_seconds() / 3600
                assert row["oldest_age_hours"] == pytest.approx(age)


@given(rows())
def test_queues_and_the_tree_add_up(rows: list[dict[str, Any]]) -> None:
    """Queues add up to the totals, and each parent's leaves to their statuses; no leaf is counted twice."""
    data = report_of(rows)
    s = data.summary
    totals = (
        s.total_open_tasks,
        s.total_idle,
        s.total_working,
        s.total_complete,
        s.total_unassigned,
        s.total_blocked,
    )
    names = ["open", "idle", "working", "complete", "unassigned", "blocked"]
    assert tuple(data.queues[names].sum()) == totals
    parts = data.tree[["leaves_complete", "leaves_working", "leaves_idle"]].sum(axis=1)
    assert (parts == data.tree["leaves"]).all()
    assert data.tree["progress"].between(0, 1).all()


def test_a_parent_is_as_far_as_its_leaves() -> None:
    """Leaves at any depth count once, unfinished archived ones do not, and a parent itself is no work."""
    data = report_of(
        [
            task(1),
            task(2, parent_task_id=1),
            task(3, parent_task_id=2, status="complete"),
            task(4, parent_task_id=2, status="working"),
            task(5, parent_task_id=1, status="complete"),
            task(6, parent_task_id=1, archived=1),
        ]
    )
    told = {
        row["id"]: (row["level"], row["leaves"], row["leaves_complete"], row["progress"])
        for row in data.tree.to_dict("records")
    }
    assert told == {1: (0, 3, 2, pytest.approx(2 / 3)), 2: (1, 2, 1, 0.5)}


@pytest.mark.parametrize("archived", [0, 4, 8])
def test_a_parent_is_as_far_whether_what_is_done_is_archived_or_not(archived: int) -> None:
    """8 of 10 done are 80 %; a part that was archived unfinished is no work any more."""
    parts = [
        task(
            number,
            parent_task_id=1,
            status="complete" if number < 10 else "idle",
            **({"archived": 1} if number < 2 + archived else {}),
        )
        for number in range(2, 12)
    ]
    dropped = [task(12, parent_task_id=1, status="working", archived=1)]
    data = report_of([task(1), *parts, *dropped])
    [row] = data.tree.to_dict("records")
    assert (row["id"], row["leaves"], row["leaves_complete"], row["progress"]) == (1, 10, 8, 0.8)
    again = type(data).from_json(data.to_json()).tree
    assert again["progress"].tolist() == [0.8]


def test_a_time_is_exact_or_a_bound_or_unknown() -> None:
    """Work item age lies between last edit and creation, lead and cycle time are at most their span."""
    board = board_of(
        [
            task(1, created=50, updated=3, status="working"),
            task(2, created=30, updated=10, status="complete"),
            task(3),
        ]
    )
    found = by_id(flow(board))
    assert (found[1]["work_item_age_min_hours"], found[1]["work_item_age_max_hours"]) == (3, 50)
    assert found[1]["work_item_age_known"] == "bound"
    assert (found[2]["lead_time_max_hours"], found[2]["cycle_time_max_hours"]) == (20, 20)
    assert found[2]["lead_time_known"] == "bound"
    assert found[3]["age_known"] == "exact"
    assert pd.isna(found[3]["work_item_age_known"])
    blank = board.assign(updated_at=board["archived_at"], hours_since_update=float("nan"))
    assert by_id(flow(blank))[1]["work_item_age_known"] == "unknown"


def test_a_bound_never_reads_like_a_value() -> None:
    """In words it is a range, or has a sign before it."""
    assert readable_range(3, 50) == "3.0 h to 2.1 d"
    assert readable_range(None, 5) == "≤ 5.0 h"
    assert readable_range(5, None) == "≥ 5.0 h"


@pytest.mark.parametrize(
    ("function", "columns"),
    [(flow, FLOW_COLUMNS)],
)
def test_frames_have_their_columns_when_empty(function: Any, columns: Any) -> None:
    """An empty board gives the same columns and dtypes as a full one."""
    empty, full = board_of([]), chain()
    assert list(function(empty).columns) == list(columns)
    assert (function(empty).dtypes == function(full).dtypes).all()
    for of_both, names in (
        (blocking, BLOCKING_COLUMNS),
        (lambda *tasks: by_queue(counted(*tasks)), QUEUE_COLUMNS),
        (lambda *tasks: by_tag(counted(*tasks)), TAG_COLUMNS),
        (tree, TREE_COLUMNS),
    ):
        assert list(of_both(empty, empty).columns) == list(names)
        assert (of_both(empty, empty).dtypes == of_both(full, full).dtypes).all()


def rows_drawn(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """The values that the layers share, or none where there is nothing to draw."""
    return spec["datasets"][spec["data"]["name"]] if "layer" in spec else []


@pytest.mark.slow
@pytest.mark.parametrize("board", [chain(), board_of([])], ids=["chain", "empty"])
def test_the_charts_draw_and_hold_every_task_once(board: pd.DataFrame) -> None:
    """The specs are valid, render, and have a row for each task of a chain."""
    found = blocking(board, board)
    spec = blocking_chart(found).to_dict()
    assert vl_convert.vegalite_to_svg(json.dumps(spec)).startswith("<svg")
    drawn = [row["id"] for row in rows_drawn(spec)]
    assert sorted(drawn) == sorted(found["id"])
    working = board.assign(status="working")
    assert vl_convert.vegalite_to_svg(json.dumps(work_item_age_chart(working).to_dict())).startswith("<svg")
