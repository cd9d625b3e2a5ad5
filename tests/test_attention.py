"""What needs attention: a board that holds each defect once, a clean one, and each threshold."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given

from calypso_nb.workload.attention import ATTENTION_COLUMNS, REASONS, Thresholds, attention
from tests.boards import NOW, ago, board_of, report_of, rows, task, without_v2

# Each defect with the agents and the tasks that it takes, and the task that it is about.
DEFECTS: dict[str, tuple[int, list[dict[str, Any]]]] = {
    "archived_blocker": (
        2,
        [task(1, archived=1, assigned_to="a"), task(2, assigned_to="b", blocked_by_task_id=1)],
    ),
    "blocking_cycle": (
        10,
        [
            task(10, assigned_to="c", blocked_by_task_id=11),
            task(11, assigned_to="c", blocked_by_task_id=12),
            task(12, assigned_to="c", blocked_by_task_id=10),
        ],
    ),
    "urgent_unassigned": (20, [task(20, assigned_to=None, priority=5, created=2)]),
    "working_unedited": (30, [task(30, assigned_to="d", status="working", created=90, updated=30)]),
    "nothing_working": (40, [task(40, assigned_to="e", created=3)]),
    "too_many_working": (
        50,
        [
            task(50, assigned_to="f", status="working", created=9, updated=4),
            task(51, assigned_to="f", status="working", created=9, updated=3),
        ],
    ),
    "parked": (
        61,
        [
            task(60, assigned_to="g", status="complete"),
            task(61, assigned_to=None, queue_name="on_hold", blocked_by_task_id=60),
        ],
    ),
    "complete_parent": (
        71,
        [task(70, assigned_to=None, status="complete"), task(71, assigned_to=None, parent_task_id=70)],
    ),
    "archived_parent": (
        81,
        [task(80, assigned_to=None, archived=1), task(81, assigned_to=None, parent_task_id=80)],
    ),
    "old_untouched": (90, [task(90, assigned_to=None, created=15 * 24, updated=8 * 24)]),
}

CLEAN = [
    task(1, status="working", updated=1),
    task(2, blocked_by_task_id=1),
    task(3, blocked_by_task_id=2, priority=9, assigned_to=None),
    task(4, assigned_to="bob", status="working", created=20, updated=5),
    task(5, assigned_to="bob", status="complete", archived=1),
    task(6, assigned_to="bob", queue_name="dev", blocked_by_task_id=5),
    task(7, assigned_to=None, queue_name="threshold", blocked_by_task_id=5),
    task(
        8, assigned_to="carol", status="working", created=99, updated=99
    ),  # a parent: rolled up, no work itself
    task(9, assigned_to="carol", status="working", created=99, updated=2, parent_task_id=8),
    task(10, assigned_to="carol", status="complete", parent_task_id=8),
    task(11, assigned_to="dave", created=0.5),
    task(12, assigned_to=None, priority=9, created=0.5),
    task(13, assigned_to=None, created=15 * 24, updated=24),
    task(14, assigned_to=None, created=15 * 24, blocked_by_task_id=1),
    task(15, assigned_to="erin", archived=1, created=900),
    task(16, assigned_to="frank", blocked_by_task_id=1),
]


def found(rows: list[dict[str, Any]], thresholds: Thresholds | None = None) -> list[tuple[str, int]]:
    board = board_of(rows)
    current = board[board["archived_at"].isna()]
    frame = attention(current, board, NOW, thresholds)
    return list(zip(frame["reason"], frame["task_id"], strict=True))


def test_a_board_with_each_defect_once_gives_each_reason_once() -> None:
    """No reason is missed, none is found twice, and each names its task."""
    every = [row for _, rows in DEFECTS.values() for row in rows]
    assert sorted(found(every)) == sorted((reason, task) for reason, (task, _) in DEFECTS.items())
    assert DEFECTS.keys() == REASONS.keys()


@pytest.mark.parametrize("reason", DEFECTS)
def test_a_defect_alone_gives_its_reason_alone(reason: str) -> None:
    """No defect is taken for another one as well."""
    number, rows = DEFECTS[reason]
    assert found(rows) == [(reason, number)]


def test_a_clean_board_needs_no_attention() -> None:
    """What only looks like a defect raises no alarm."""
    assert found(CLEAN) == []


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("archived_blocker", {"archived_blocker_hours": 1.01}),
        ("blocking_cycle", {"blocking_cycle_hours": 2.01}),
        ("urgent_unassigned", {"urgent_priority": 6}),
        ("urgent_unassigned", {"urgent_unassigned_hours": 2.01}),
        ("working_unedited", {"working_unedited_hours": 30.01}),
        ("too_many_working", {"most_working": 2}),
        ("nothing_working", {"nothing_working_hours": 3.01}),
        ("parked", {"parked_hours": 2.01}),
        ("parked", {"parked_queues": ("waiting",)}),
        ("parked", {"parked_queues": ()}),
        ("complete_parent", {"complete_parent_hours": 2.01}),
        ("archived_parent", {"archived_parent_hours": 1.01}),
        ("old_untouched", {"old_hours": 15 * 24 + 0.01}),
        ("old_untouched", {"untouched_hours": 8 * 24 + 0.01}),
    ],
)
def test_each_threshold_moves_its_reason(reason: str, change: dict[str, Any]) -> None:
    """Just beyond what the defect shows, its reason is gone."""
    assert found(DEFECTS[reason][1], Thresholds(**change)) == []


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("archived_blocker", {"archived_blocker_hours": 1}),
        ("blocking_cycle", {"blocking_cycle_hours": 2}),
        ("urgent_unassigned", {"urgent_priority": 5, "urgent_unassigned_hours": 2}),
        ("working_unedited", {"working_unedited_hours": 30}),
        ("nothing_working", {"nothing_working_hours": 3}),
        ("parked", {"parked_hours": 2, "parked_queues": ("HOLD",)}),
        ("complete_parent", {"complete_parent_hours": 2}),
        ("archived_parent", {"archived_parent_hours": 1}),
        ("old_untouched", {"old_hours": 15 * 24, "untouched_hours": 8 * 24}),
    ],
)
def test_a_threshold_counts_from_its_own_value_on(reason: str, change: dict[str, Any]) -> None:
    """Exactly at what the defect shows, its reason still holds."""
    assert found(DEFECTS[reason][1], Thresholds(**change)) == [(reason, DEFECTS[reason][0])]


def test_since_is_exact_only_where_nothing_could_have_happened_later() -> None:
    """An archiving after the last edit is exact, an edit after it makes a bound, else it is unknown."""
    board = board_of(
        [
            task(1, archived=1, created=9),
            task(2, created=9, blocked_by_task_id=1),
            task(3, created=9, updated=0.5, blocked_by_task_id=1),
            task(4, assigned_to="e", created=3),
        ]
    )
    rows = attention(board[board["archived_at"].isna()], board, NOW).set_index("task_id")
    assert (rows.loc[2, "since"], rows.loc[2, "since_known"]) == (pd.Timestamp(ago(1)), "exact")
    assert (rows.loc[3, "since"], rows.loc[3, "since_known"]) == (pd.Timestamp(ago(0.5)), "bound")
    assert pd.isna(rows.loc[4, "since"]) and rows.loc[4, "since_known"] == "unknown"


def test_several_working_tasks_hold_since_the_second_was_certainly_begun() -> None:
    """The last edit of the second oldest is a bound: from then on both were working."""
    board = board_of(DEFECTS["too_many_working"][1])
    [row] = attention(board, board, NOW).to_dict("records")
    assert (row["since"], row["since_known"]) == (pd.Timestamp(ago(3)), "bound")


def test_the_most_urgent_comes_first() -> None:
    """Urgency, then priority, then the longest."""
    every = [row for _, rows in DEFECTS.values() for row in rows]
    board = board_of(every)
    frame = attention(board, board, NOW)
    assert frame["urgency"].is_monotonic_decreasing
    assert frame["reason"].iloc[0] == "urgent_unassigned"


def test_a_filter_hides_rows_and_not_what_they_are_seen_by() -> None:
    """The archived blocker is not among the tasks, and what waits for it is found all the same."""
    data = report_of([*DEFECTS["archived_blocker"][1], *DEFECTS["working_unedited"][1]], agent_filter="b")
    assert data.attention["reason"].tolist() == ["archived_blocker"]


def test_a_cycle_is_shown_by_a_member_that_the_filter_lets_through() -> None:
    """Whoever has a task in the circle sees it."""
    rows = [
        task(1, assigned_to="a", blocked_by_task_id=3),
        task(2, assigned_to="b", blocked_by_task_id=1),
        task(3, assigned_to="c", blocked_by_task_id=2),
    ]
    for agent, number in (("a", 1), ("b", 2), ("c", 3)):
        assert report_of(rows, agent_filter=agent).attention["task_id"].tolist() == [number]


def test_what_a_v1_server_does_not_tell_is_no_reason() -> None:
    """Only reasons that need no queues, subtasks and blocking are left, and nothing fails."""
    board = without_v2(board_of(row for _, rows in DEFECTS.values() for row in rows))
    reasons = set(attention(board[board["archived_at"].isna()], board, NOW)["reason"])
    assert reasons <= {
        "urgent_unassigned",
        "working_unedited",
        "nothing_working",
        "too_many_working",
        "old_untouched",
    }
    assert "working_unedited" in reasons


def test_unknown_times_are_no_reason() -> None:
    """A task without times can be neither old nor silent."""
    board = board_of([*DEFECTS["working_unedited"][1], *DEFECTS["old_untouched"][1]])
    unknown = float("nan")
    never = board["archived_at"]
    blank = board.assign(created_at=never, updated_at=never, age_hours=unknown, hours_since_update=unknown)
    assert attention(blank, blank, NOW).empty


@given(rows())
def test_any_board_gives_the_columns_and_names_tasks_that_are_shown(rows: list[dict[str, Any]]) -> None:
    """Random boards, with circles of parents and blockers, raise nothing and name only shown tasks."""
    data = report_of(rows, status_filter=["idle", "working"])
    assert list(data.attention.columns) == list(ATTENTION_COLUMNS)
    assert set(data.attention["task_id"]) <= set(data.tasks["id"])
    assert set(data.attention["reason"]) <= REASONS.keys()
    assert data.attention["urgency"].is_monotonic_decreasing
