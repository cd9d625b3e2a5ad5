"""What needs attention: a board that holds each defect once, a clean one, thresholds, lines and snoozes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

import pandas as pd
import pytest
from hypothesis import given

from calypso_nb import Thresholds, TinytaskClient, WorkloadData, WorkloadReporter
from calypso_nb.client.calls import Details
from calypso_nb.embedded import TinytaskStore, create_server
from calypso_nb.run_marks import AUTHOR
from calypso_nb.team import Snooze, Team
from calypso_nb.workload.attention import ATTENTION_COLUMNS, NEED_COLUMNS
from calypso_nb.workload.reasons import REASONS
from calypso_nb.workload.reporter import with_counts
from tests.boards import NOW, ago, board_of, report_of, rows, task, without_v2

Rows = list[dict[str, Any]]
SERVED = Team(serves={"a": "dev"})


def said(number: int, text: str, hours: float, by: str = "", signed: float | None = None) -> dict[str, Any]:
    """A comment on a task, so many hours ago; it was edited `signed` hours ago, if it was."""
    times = {"created_at": ago(hours), "updated_at": ago(hours if signed is None else signed)}
    return {"task_id": number, "content": text, "created_by": by or None, **times}


def lease(number: int, hours: float, signed: float, seconds: int = 60) -> dict[str, Any]:
    """The lease of a run that has given its last sign so many hours ago."""
    return said(number, f"Lease 0123456789ab of {seconds} s, sign 7: box runs default", hours, AUTHOR, signed)


def read(tasks: Rows, comments: Sequence[dict[str, Any]] = (), team: Team = SERVED) -> WorkloadData:
    """A report on open tasks, with their comments, by what a team has agreed on."""
    with TinytaskStore(now=lambda: NOW) as store:
        store.insert_many(tasks)
        store.insert_many(comments, "comments")
        with TinytaskClient(create_server(store)) as client:
            data = WorkloadReporter(client).collect_workload_data(now=NOW, progress=False)
    return replace(data, team=team)


def found(data: WorkloadData) -> list[tuple[str, int]]:
    return list(zip(data.needs["reason"], data.needs["task_id"], strict=True))


# Each defect: the task that it is about, the tasks that it takes, and their comments.
DEFECTS: dict[str, tuple[int, Rows, Rows]] = {
    "archived_blocker": (
        2,
        [task(1, archived=1, assigned_to="a"), task(2, assigned_to="b", blocked_by_task_id=1)],
        [],
    ),
    "blocking_cycle": (
        10,
        [
            task(10, assigned_to="c", blocked_by_task_id=11),
            task(11, assigned_to="c", blocked_by_task_id=12),
            task(12, assigned_to="c", blocked_by_task_id=10),
        ],
        [],
    ),
    "unserved_queue": (15, [task(15, assigned_to=None, queue_name="legal")], []),
    "urgent_unassigned": (20, [task(20, assigned_to=None, priority=9, created=2)], []),
    "waiting_on_human": (25, [task(25, assigned_to="h")], [said(25, "@supervisor: drop it?", 1, "h")]),
    "run_lost": (
        26,
        [task(26, assigned_to="i", status="working", tags=["run-agent"])],
        [lease(26, hours=2, signed=1)],
    ),
    "retries_used_up": (27, [task(27, assigned_to="j", tags=["failed:3"])], []),
    "working_unassigned": (28, [task(28, assigned_to=None, status="working")], []),
    "working_blocked": (
        29,
        [
            task(29, assigned_to="k", status="working", blocked_by_task_id=31),
            task(31, assigned_to=None, queue_name="dev"),
        ],
        [],
    ),
    "silent": (
        30,
        [task(30, assigned_to="d", status="working", created=90, updated=30)],
        [said(30, "any news?", 1, "lead")],
    ),
    "nothing_working": (
        40,
        [task(40, assigned_to="e", created=30), task(41, assigned_to="z", status="working", updated=1)],
        [],
    ),
    "too_many_working": (
        50,
        [
            task(50, assigned_to="f", status="working", created=9, updated=4),
            task(51, assigned_to="f", status="working", created=9, updated=3),
        ],
        [],
    ),
    "parked": (
        61,
        [
            task(60, assigned_to="g", status="complete"),
            task(61, queue_name="on_hold", blocked_by_task_id=60),
        ],
        [],
    ),
    "complete_parent": (
        71,
        [task(70, assigned_to=None, status="complete"), task(71, assigned_to=None, parent_task_id=70)],
        [],
    ),
    "archived_parent": (
        81,
        [task(80, assigned_to=None, archived=1), task(81, assigned_to=None, parent_task_id=80)],
        [],
    ),
    "old_untouched": (90, [task(90, assigned_to=None, created=15 * 24, updated=8 * 24)], []),
}
EVERY = [row for _, tasks, _ in DEFECTS.values() for row in tasks]
SAID = [row for _, _, comments in DEFECTS.values() for row in comments]

CLEAN = [
    task(1, status="working", updated=1),
    task(2, blocked_by_task_id=1),
    task(3, blocked_by_task_id=2, priority=9, assigned_to=None),
    task(4, assigned_to="bob", status="working", created=90, updated=80),
    task(5, assigned_to="bob", status="complete", archived=1),
    task(6, assigned_to="bob", queue_name="dev", blocked_by_task_id=5),
    task(7, assigned_to=None, queue_name="threshold", blocked_by_task_id=5, previous_assigned_to="bob"),
    # A parent: rolled up, and no work itself.
    task(8, assigned_to="carol", status="working", created=99, updated=99),
    task(9, assigned_to="carol", status="working", created=99, updated=2, parent_task_id=8),
    task(10, assigned_to="carol", status="complete", parent_task_id=8),
    task(11, assigned_to="dave", created=20, queue_name="dev"),
    task(12, assigned_to=None, priority=8, created=0.5),
    task(13, assigned_to=None, created=15 * 24, updated=24),
    task(14, assigned_to=None, created=15 * 24, blocked_by_task_id=1),
    task(15, assigned_to="erin", archived=1, created=900),
    task(16, assigned_to="frank", blocked_by_task_id=1),
    task(17, assigned_to=None, priority=10, queue_name="backlog", created=40),
    task(18, assigned_to="gil", status="working", created=90, updated=80, tags=["run-agent"]),
    task(19, assigned_to="gil", status="working", created=3, tags=["run-agent"]),
    task(20, assigned_to=None, tags=["failed:2"]),
]
CLEAN_SAID = [
    said(4, "half of it is done", 2, "bob"),
    said(4, "@supervisor which colour?", 3, "bob"),
    said(2, "BLOCKED: #1 has to be there first", 2, "alice"),
    said(6, "DECISION needed: red or blue?", 3, "bob"),
    said(6, "Red.", 2, "supervisor"),
    said(11, "the undecided DECISIONS of others", 2, "dave"),
    lease(18, hours=80, signed=0.005),
    lease(19, hours=3, signed=0.005),
]


def test_a_board_with_each_defect_once_gives_each_reason_once() -> None:
    """No reason is missed, none is found twice, and each names its task."""
    assert sorted(found(read(EVERY, SAID))) == sorted(
        (reason, task) for reason, (task, *_) in DEFECTS.items()
    )
    assert DEFECTS.keys() == REASONS.keys()


@pytest.mark.parametrize("reason", DEFECTS)
def test_a_defect_alone_gives_its_reason_alone(reason: str) -> None:
    """No defect is taken for another one as well."""
    number, tasks, comments = DEFECTS[reason]
    assert found(read(tasks, comments)) == [(reason, number)]


def test_a_clean_board_needs_no_attention() -> None:
    """What only looks like a defect raises no alarm."""
    data = read(CLEAN, CLEAN_SAID)
    assert data.needs[["reason", "task_id", "evidence"]].values.tolist() == []
    assert data.attention_head() == ""


def test_what_is_urgent_and_nobodys_is_flagged_at_once() -> None:
    """An outage doesn't wait for an hour."""
    assert found(read([task(1, assigned_to=None, priority=10, created=0.1)])) == [("urgent_unassigned", 1)]


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("archived_blocker", {"archived_blocker_hours": 1.01}),
        ("blocking_cycle", {"blocking_cycle_hours": 2.01}),
        ("unserved_queue", {"unserved_queue_hours": 2.01}),
        ("unserved_queue", {"backlog_queues": ("legal",)}),
        ("urgent_unassigned", {"urgent_priority": 10}),
        ("urgent_unassigned", {"urgent_unassigned_hours": 2.01}),
        ("waiting_on_human", {"waiting_on_human_hours": 1.01}),
        ("waiting_on_human", {"supervisors": ("lead",)}),
        ("run_lost", {"run_lost_hours": 1.0}),
        ("retries_used_up", {"retry_limit": 4}),
        ("working_unassigned", {"working_unassigned_hours": 2.01}),
        ("working_blocked", {"working_blocked_hours": 2.01}),
        ("silent", {"silent_hours": 30.01}),
        ("too_many_working", {"most_working": 2}),
        ("nothing_working", {"nothing_working_hours": 30.01}),
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
    _, tasks, comments = DEFECTS[reason]
    team = SERVED.model_copy(update={"thresholds": Thresholds(**change)})
    assert found(read(tasks, comments, team)) == []


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("archived_blocker", {"archived_blocker_hours": 1}),
        ("blocking_cycle", {"blocking_cycle_hours": 2}),
        ("unserved_queue", {"unserved_queue_hours": 2}),
        ("urgent_unassigned", {"urgent_priority": 9, "urgent_unassigned_hours": 2}),
        ("waiting_on_human", {"waiting_on_human_hours": 1}),
        ("run_lost", {"run_lost_hours": 0.98}),
        ("retries_used_up", {"retry_limit": 3, "retries_used_up_hours": 2}),
        ("working_unassigned", {"working_unassigned_hours": 2}),
        ("working_blocked", {"working_blocked_hours": 2}),
        ("silent", {"silent_hours": 30}),
        ("nothing_working", {"nothing_working_hours": 30}),
        ("parked", {"parked_hours": 2, "parked_queues": ("HOLD",)}),
        ("complete_parent", {"complete_parent_hours": 2}),
        ("archived_parent", {"archived_parent_hours": 1}),
        ("old_untouched", {"old_hours": 15 * 24, "untouched_hours": 8 * 24}),
    ],
)
def test_a_threshold_counts_from_its_own_value_on(reason: str, change: dict[str, Any]) -> None:
    """Exactly at what the defect shows, its reason still holds."""
    number, tasks, comments = DEFECTS[reason]
    team = SERVED.model_copy(update={"thresholds": Thresholds(**change)})
    assert found(read(tasks, comments, team)) == [(reason, number)]


# Signs of life


@pytest.mark.parametrize(
    ("comment", "by"),
    [(said(30, "on it", 2, "d"), "d"), (lease(30, hours=40, signed=2), AUTHOR)],
    ids=["comment by its agent", "sign of a run"],
)
def test_whoever_gives_a_sign_is_not_silent(comment: dict[str, Any], by: str) -> None:
    """Not edits alone are signs; the task says when the last one came, and from whom."""
    data = read(DEFECTS["silent"][1], [comment])
    assert "silent" not in dict(found(data))
    [row] = data.tasks.to_dict("records")
    assert (row["last_sign_at"], row["last_sign_by"]) == (pd.Timestamp(ago(2)), by)


def test_an_edit_is_a_sign_of_somebody_whose_name_nobody_knows() -> None:
    """It is the newest of all here; and where comments were not read, there is no sign to speak of."""
    data = read([task(1, status="working", created=9, updated=1)], [said(1, "begun", 5, "alice")])
    assert data.tasks["last_sign_at"].tolist() == [pd.Timestamp(ago(1))]
    assert data.tasks["last_sign_by"].isna().all()
    assert report_of([task(1)]).tasks["last_sign_at"].isna().all()


def test_the_limit_is_what_the_agent_is_used_to_if_that_is_known() -> None:
    """The evidence says whether it is a setting or the agent's own past."""
    data = read(*DEFECTS["silent"][1:])
    assert "(limit 24.0 h)" in data.needs["evidence"][0]
    used_to = replace(data, silent_after={"d": 20.0})
    assert "(95 % of the gaps of d are within 20.0 h)" in used_to.needs["evidence"][0]
    assert used_to.needs["since"].tolist() == [pd.Timestamp(ago(10))]
    assert replace(data, silent_after={"d": 31.0}).needs.empty


def test_a_pause_that_is_over_is_nobodys_silence() -> None:
    """Of 30 hours since the last sign the team was away for 20; a shorter silence of all is no pause."""
    data = replace(read(*DEFECTS["silent"][1:]), silent_after={"d": 9.0})
    away = replace(data, pauses=((ago(25), ago(5)),))
    assert away.needs["since"].tolist() == [pd.Timestamp(ago(1))]
    assert replace(away, silent_after={"d": 10.5}).needs.empty
    assert replace(data, pauses=((ago(25), ago(22)),)).needs["since"].tolist() == [pd.Timestamp(ago(21))]


def test_silence_without_comments_says_that_they_were_not_read() -> None:
    """An edit is all that is known then."""
    data = report_of(DEFECTS["silent"][1])
    assert data.needs["evidence"][0].endswith("; its comments were not read")


def test_a_team_that_is_paused_is_said_once_and_raises_no_alarm_by_its_silence() -> None:
    """Nobody has given a sign for 30 hours; only who had been silent for long before that is told."""
    tasks = [
        *(task(n, assigned_to=f"agent-{n}", status="working", created=90, updated=30) for n in range(1, 5)),
        task(5, assigned_to="late", status="working", created=90, updated=60),
        task(6, assigned_to="idler", created=90, updated=30),
    ]
    data = read(tasks)
    assert found(data) == [("silent", 5)]
    assert data.paused_since == ago(30)
    assert data.attention_head() == (
        "1 silent · no sign from anybody for 30.0 h: the team is taken to be paused"
    )


def test_the_silence_of_the_only_agent_at_work_is_no_pause() -> None:
    """With nobody else, a dead agent would look like a team that is at home."""
    data = read([task(1, status="working", created=90, updated=30)])
    assert found(data) == [("silent", 1)] and data.paused_since is None


def test_a_sign_counts_where_no_edit_is_known() -> None:
    """And what no clock can say is no lease, and no error."""
    board = board_of([task(1, status="working")])
    board["updated_at"] = board["updated_at"].mask(board["id"] == 1)
    signs = with_counts(board, {1: Details(1, 0, last_sign_at="2026-11-23T08:00:00Z", last_sign_by="alice")})
    assert signs[["last_sign_at", "last_sign_by"]].values.tolist() == [
        [pd.Timestamp("2026-11-23T08:00:00Z"), "alice"]
    ]


@pytest.mark.parametrize(
    ("signed", "seconds", "until"),
    [
        ("2026-11-23T08:00:00Z", 3600, "2026-11-23T09:00:00+00:00"),
        ("2026-11-23T08:00:00Z", 9999, None),
        ("9999-12-31T23:59:59Z", 3600, None),
        ("soon", 60, None),
    ],
)
def test_a_lease_that_cannot_be_holds_for_nothing(signed: str, seconds: int, until: str | None) -> None:
    """As the scheduler itself takes it: for an hour at most."""
    text = f"Lease 0123456789ab of {seconds} s, sign 7: box runs default"
    comment = {"id": 1, "content": text, "created_by": AUTHOR, "updated_at": signed}
    details = Details.of({"assigned_to": "a", "comments": [comment], "links": []})
    assert details is not None and details.run_until == until


# Limits, roles and questions


def test_an_agent_may_have_as_much_in_hand_as_the_team_says() -> None:
    """What one of two is allowed is an alarm at the other, and the advice keeps to the limit."""
    tasks = [task(n, assigned_to="ab"[n % 2], status="working", updated=1) for n in range(1, 7)]
    data = read(tasks, team=Team(limits={"a": 3, "b": 2}))
    assert data.attention[["agent", "to_do"]].values.tolist() == [["b", "set all but 2 idle"]]
    assert "b has 3 tasks in progress (limit 2): #1, #3, #5" in data.attention["evidence"][0]


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("Supervisor, may I?", True),
        ("@SUPERVISOR please look", True),
        ("ESCALATION: three bounces", True),
        ("BLOCKED by the missing key", True),
        ("DECISION: postgres or sqlite", True),
        ("unblocked, decision taken", False),
        ("DECISIONS were taken", False),
        ("mail supervisor@example.org", False),
        ("wrote to me@supervisor.example", False),
        ("@supervisor-bot did it", False),
        ("is it right, @supervisor?", True),
        ("", False),
    ],
)
def test_the_last_comment_asks_or_does_not(text: str, asks: bool) -> None:
    """By name, or by a word in capitals; a name in a sentence or an address is no question."""
    data = read([task(1, created=5)], [said(1, text or "-", 1, "alice")])
    assert (found(data) == [("waiting_on_human", 1)]) == asks


def test_a_question_is_answered_by_the_supervisor_alone() -> None:
    """A comment of another agent that asks too answers nothing; your own name is one of the supervisor's."""
    asked = said(1, "@supervisor: which?", 3, "alice")
    another = said(1, "DECISION: please", 2, "bob")
    assert found(read([task(1)], [asked, another])) == [("waiting_on_human", 1)]
    assert found(read([task(1)], [asked, said(1, "red", 2, "supervisor")])) == []
    me = Team(thresholds=Thresholds(supervisors=("supervisor", "ada")))
    assert found(read([task(1)], [asked, said(1, "DECISION: red", 2, "ada")], me)) == []


def test_a_run_is_lost_only_if_its_lease_was_read() -> None:
    """Without comments nobody knows; with a live lease nothing is wrong, and without any it is."""
    running = [task(1, status="working", tags=["run-agent"])]
    assert found(report_of(running)) == []
    assert found(read(running, [lease(1, hours=2, signed=0.01)])) == []
    assert found(read(running, [said(1, "begun", 1, "alice")])) == [("run_lost", 1)]


# Times


def test_since_is_when_the_reason_began_to_hold() -> None:
    """Not the last edit: the limit has passed by then, and an edit after the event makes it a bound."""
    tasks = [
        task(1, archived=1, created=9),
        task(2, created=9, blocked_by_task_id=1),
        task(3, created=9, updated=0.5, blocked_by_task_id=1),
        task(4, assigned_to="e", created=30),
        task(5, assigned_to=None, priority=9, created=3),
        task(6, assigned_to="f", status="working", created=90, updated=30),
        task(7, assigned_to=None, created=20 * 24, updated=8 * 24),
        task(8, assigned_to="g", status="working", created=1),
    ]
    needs = read(tasks).needs.set_index("task_id")
    known = {number: (ago(hours), exact) for number, hours, exact in [
        (2, 1, "exact"), (3, 0.5, "bound"), (5, 3, "exact"), (6, 6, "exact"), (7, 24, "exact"),
    ]}  # fmt: skip
    for number, (since, exact) in known.items():
        assert (needs.loc[number, "since"], needs.loc[number, "since_known"]) == (pd.Timestamp(since), exact)
    assert needs["since"].isna()[4] and needs.loc[4, "since_known"] == "unknown"


def test_several_working_tasks_hold_since_the_second_was_certainly_begun() -> None:
    """The last edit of the second oldest is a bound: from then on both were working."""
    [row] = read(DEFECTS["too_many_working"][1]).needs.to_dict("records")
    assert (row["since"], row["since_known"]) == (pd.Timestamp(ago(3)), "bound")


# Lines


def test_reasons_of_one_task_are_one_line() -> None:
    """With all of them, the most urgent first, what ends each, and the facts of all."""
    tasks = [task(1, archived=1), task(2, status="working", tags=["x"], created=40, blocked_by_task_id=1)]
    data = read(tasks)
    assert found(data) == [("archived_blocker", 2), ("working_blocked", 2), ("silent", 2)]
    [line] = data.attention.to_dict("records")
    assert line["reasons"] == ("archived_blocker", "working_blocked", "silent")
    assert (line["about"], line["urgency"], line["holds_up"]) == ("task", 3, 1)
    assert line["evidence"].count(";") == 2 and line["to_do"].count(";") == 2
    assert data.attention_head() == "1 archived blocker · 1 working blocked · 1 silent"


def test_what_is_silent_and_too_much_of_one_agent_is_one_line_about_the_agent() -> None:
    """It names the silent tasks, the one that holds up most first."""
    tasks = [
        *(task(n, assigned_to="a", status="working", created=99, updated=30 + n) for n in (1, 2, 3)),
        task(4, assigned_to=None, blocked_by_task_id=1),
        task(5, assigned_to="b", status="working", created=1),
    ]
    [line] = read(tasks).attention.to_dict("records")
    assert (line["about"], line["agent"], line["tasks"]) == ("agent", "a", (1, 2, 3))
    assert line["reasons"] == ("silent", "too_many_working") and line["holds_up"] == 1
    assert line["evidence"].startswith(
        "3 tasks in progress without a sign: #1 for 31.0 h, #3 for 33.0 h, #2 for 32.0 h; a has 3 tasks"
    )


def test_what_many_agents_do_is_one_line_about_the_team() -> None:
    """Three agents above their limit are three lines, four are a habit."""

    def working(agents: str) -> Rows:
        return [
            task(10 * i + n, assigned_to=agent, status="working", created=2)
            for i, agent in enumerate(agents, 1)
            for n in (1, 2)
        ]  # fmt: skip

    assert read(working("abc")).attention["about"].tolist() == ["agent"] * 3
    [line] = read(working("abcde")).attention.to_dict("records")
    assert (line["about"], line["evidence"]) == (
        "team",
        "5 agents have more in progress than their limit: a 2, b 2, c 2 and 2 more",
    )
    assert read(working("abcde")).needs["reason"].tolist() == ["too_many_working"] * 5


def test_old_work_is_a_line_per_backlog_queue_and_one_for_the_rest() -> None:
    """However much there is; of a queue that is worked on, one alone is its own line."""

    def old(number: int, **fields: Any) -> dict[str, Any]:
        return task(number, assigned_to=None, created=400 + number, **fields)

    tasks = [
        *(old(n, queue_name="backlog") for n in range(1, 104)),
        *(old(n, queue_name="team_icebox", priority=10) for n in (110, 111)),
        *(old(n, queue_name="dev", priority=n - 120) for n in (120, 121, 122)),
    ]
    lines = read(tasks).attention
    assert lines[["about", "queue"]].fillna("").values.tolist() == [
        ["queue", "team_icebox"], ["team", ""], ["queue", "backlog"],
    ]  # fmt: skip
    assert lines["evidence"].tolist() == [
        "team_icebox: 2 idle tasks older than 14.0 d and not edited for 7.0 d, oldest #111, most urgent #111 "
        "(priority 10)",
        "3 idle tasks older than 14.0 d and not edited for 7.0 d, oldest #122, most urgent #122 (priority 2)",
        "backlog: 103 idle tasks older than 14.0 d and not edited for 7.0 d, oldest #103",
    ]
    assert (lines["urgency"] == 1).all()


def test_what_holds_up_most_comes_first_then_the_priority_then_what_began_first() -> None:
    """What is only to be tidied up comes last, whatever its priority."""

    def silent(number: int, agent: str, updated: float, priority: int) -> dict[str, Any]:
        fields: dict[str, Any] = {"assigned_to": agent, "status": "working", "priority": priority}
        return task(number, created=99, updated=updated, **fields)

    tasks = [
        silent(1, "a", 30, 1),
        task(2, assigned_to=None, blocked_by_task_id=1),
        silent(3, "b", 30, 5),
        silent(4, "c", 40, 5),
        silent(5, "d", 30, 8),
        task(6, assigned_to="a", priority=10, created=15 * 24),
    ]
    assert read(tasks).attention["task_id"].tolist() == [1, 5, 4, 3, 6]


def test_a_filter_hides_rows_and_not_what_they_are_seen_by() -> None:
    """The archived blocker is not among the tasks, and what waits for it is found all the same."""
    data = report_of([*DEFECTS["archived_blocker"][1], *DEFECTS["silent"][1]], agent_filter="b")
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


# Snoozes


def snoozed(data: WorkloadData, **snooze: Any) -> WorkloadData:
    return replace(data, team=data.team.model_copy(update={"snoozes": (Snooze(**snooze),)}))


def test_a_snoozed_line_is_gone_and_counted_until_its_end() -> None:
    """A task, an agent's line or a queue's."""
    later, before = NOW + timedelta(hours=1), NOW - timedelta(hours=1)
    data = read(DEFECTS["silent"][1])
    asleep = snoozed(data, task=30, until=later)
    assert asleep.attention.empty and asleep.needs.empty and asleep.snoozed["task_id"].tolist() == [30]
    assert asleep.attention_head() == "1 snoozed"
    assert not snoozed(data, task=30, until=before).attention.empty
    assert not snoozed(data, task=31, until=later).attention.empty
    assert snoozed(read(DEFECTS["too_many_working"][1]), agent="f", until=later).attention.empty
    assert snoozed(read(DEFECTS["unserved_queue"][1]), queue="legal", until=later).attention.empty


def test_a_snoozed_line_returns_when_its_facts_change() -> None:
    """While it is the same silence it stays away; after a further sign, and silence again, it is another."""
    data = read(DEFECTS["silent"][1])
    [facts] = data.attention["facts"]
    assert snoozed(data, task=30, facts=facts).attention.empty
    again = read([task(30, assigned_to="d", status="working", created=90, updated=29)])
    assert not snoozed(again, task=30, facts=facts).attention.empty
    worse = read([task(1, archived=1), {**DEFECTS["silent"][1][0], "blocked_by_task_id": 1}])
    assert not snoozed(worse, task=30, facts=facts).attention.empty


def test_a_snooze_of_an_agent_holds_in_whatever_line_its_needs_would_be() -> None:
    """In one about its task, and in one about the team; the others are told as if it were not there."""
    later = NOW + timedelta(hours=1)
    silent = read(DEFECTS["silent"][1])
    assert snoozed(silent, agent="d", until=later).attention.empty
    tasks = [
        task(10 * number + n, assigned_to=agent, status="working")
        for number, agent in enumerate("abcd", 1)
        for n in (1, 2)
    ]
    data = read(tasks)
    assert data.attention["about"].tolist() == ["team"]
    rest = snoozed(data, agent="b", until=later)
    assert rest.attention["agent"].tolist() == ["a", "c", "d"] and rest.snoozed["agent"].tolist() == ["b"]


def test_a_snooze_of_the_team_is_of_its_reason() -> None:
    """For all, whoever joins; what else these agents have stays."""
    crowd = [
        task(10 * number + n, assigned_to=agent, status="working")
        for number, agent in enumerate("abcd", 1)
        for n in (1, 2)
    ]
    more = [task(90 + n, assigned_to="e", status="working", created=90, updated=30) for n in (1, 2)]
    asleep = snoozed(read([*crowd, *more]), team="too_many_working", until=NOW + timedelta(hours=1), by="ada")
    assert asleep.attention["reasons"].tolist() == [("silent",)]
    [row] = asleep.snoozed.to_dict("records")
    assert (row["about"], row["by"], row["evidence"][:8]) == ("team", "ada", "5 agents")


def test_a_snoozed_line_says_which_snooze_ends_last() -> None:
    """If several hide it; what has no end but another fact is the last."""
    data = read(DEFECTS["silent"][1])
    [facts] = data.attention["facts"]
    ends = [NOW + timedelta(hours=hours) for hours in (1, 3, 2)]
    several = [Snooze(task=30, until=end, why=str(number)) for number, end in enumerate(ends)]
    for more, last in ((), "1"), ((Snooze(agent="d", facts=facts, why="x"),), "x"):
        held = replace(data, snoozes=(*several, *more))
        assert held.snoozed["why"].tolist() == [last]


def test_other_thresholds_leave_the_supervisors_as_they_are() -> None:
    """Whoever asks for a stricter silence is answered by the same people; names that are given count."""
    team = Team(thresholds=Thresholds(supervisors=("ada",)))
    data = read([task(1)], [said(1, "DECISION: red", 1, "ada")], team)
    assert data.needing_attention(Thresholds(silent_hours=4)).empty
    assert not data.needing_attention(Thresholds(supervisors=("bob",))).empty


def test_another_circle_is_another_fact() -> None:
    """Also if its first task is the same."""

    def circle(*others: int) -> WorkloadData:
        around = (1, *others)
        waits = zip(around, (*others, 1), strict=True)
        return read([task(number, blocked_by_task_id=blocker) for number, blocker in waits])

    assert circle(2, 3).attention["facts"][0] != circle(2, 4).attention["facts"][0]
    assert circle(2, 3).attention["facts"][0] == circle(2, 3).attention["facts"][0]


def test_another_question_or_another_silence_is_another_fact() -> None:
    """A comment that was edited asks anew, and an agent that came back and stopped again is another one."""
    asked = [read([task(1)], [said(1, text, 5, "bob")]) for text in ("BLOCKED by a key", "BLOCKED by a form")]
    stopped = [read([task(1, created=99, updated=hours), task(2, assigned_to="b")]) for hours in (40, 30)]
    for data, reason in ((asked, "waiting_on_human"), (stopped, "nothing_working")):
        assert [found(one) for one in data] == [[(reason, 1)]] * 2
        assert data[0].attention["facts"][0] != data[1].attention["facts"][0]


def test_a_supervisor_may_be_called_anything() -> None:
    """A name that ends in a sign is found too."""
    team = Team(thresholds=Thresholds(supervisors=("c++",)))
    assert found(read([task(1)], [said(1, "see here, @C++ please", 1, "bob")], team)) == [
        ("waiting_on_human", 1)
    ]


# Any board


def test_what_a_v1_server_does_not_tell_is_no_reason() -> None:
    """Only reasons that need no queues, subtasks and blocking are left, and nothing fails."""
    data = read(EVERY, SAID)
    board = without_v2(data.all_tasks)
    v1 = replace(data, tasks=board[board["archived_at"].isna()], all_tasks=board)
    assert {*v1.needs["reason"]} == {
        *("urgent_unassigned", "waiting_on_human", "run_lost", "retries_used_up"),
        *("working_unassigned", "silent", "nothing_working", "too_many_working", "old_untouched"),
    }


def test_unknown_times_are_no_reason() -> None:
    """A task without times can be neither old nor silent."""
    board = board_of([*DEFECTS["silent"][1], *DEFECTS["old_untouched"][1]])
    unknown, never = float("nan"), board["archived_at"]
    blank = board.assign(created_at=never, updated_at=never, age_hours=unknown, hours_since_update=unknown)
    assert WorkloadData(blank, blank, NOW, "x").attention.empty


Tasks = Mapping[int, Any]


def hours_since(time: Any) -> float:
    return float((pd.Timestamp(NOW) - time).total_seconds() / 3600)


def circle(task: Any, tasks: Tasks) -> bool:
    """Whether going from a task to what blocks it leads back to it."""
    at = task
    for _ in tasks:
        if pd.isna(at["blocked_by_task_id"]) or at["is_currently_blocked"] is not True:
            return False
        at = tasks[at["blocked_by_task_id"]]
        if at["id"] == task["id"]:
            return True
    return False


def in_hand(agent: str, tasks: Tasks) -> list[Any]:
    """An agent's open tasks in progress, those with subtasks left out."""
    current = [one for one in tasks.values() if pd.isna(one["archived_at"])]
    parents = {one["parent_task_id"] for one in current if pd.notna(one["parent_task_id"])}
    return [
        one
        for one in current
        if one["assigned_to"] == agent and one["status"] == "working" and one["id"] not in parents
    ]


EVIDENT: dict[str, Callable[[Any, Tasks], bool]] = {
    "archived_blocker": lambda one, tasks: pd.notna(tasks[one["blocked_by_task_id"]]["archived_at"]),
    "blocking_cycle": circle,
    "urgent_unassigned": lambda one, _: (
        pd.isna(one["assigned_to"]) and one["priority"] >= 9 and hours_since(one["created_at"]) >= 1
    ),
    "working_unassigned": lambda one, _: pd.isna(one["assigned_to"]) and one["status"] == "working",
    "working_blocked": lambda one, tasks: (
        one["status"] == "working" and tasks[one["blocked_by_task_id"]]["status"] != "complete"
    ),
    "silent": lambda one, _: one["status"] == "working" and hours_since(one["updated_at"]) >= 24,
    "nothing_working": lambda one, tasks: one["status"] == "idle" and not in_hand(one["assigned_to"], tasks),
    "too_many_working": lambda one, tasks: len(in_hand(one["assigned_to"], tasks)) > 1,
    "complete_parent": lambda one, tasks: tasks[one["parent_task_id"]]["status"] == "complete",
    "archived_parent": lambda one, tasks: pd.notna(tasks[one["parent_task_id"]]["archived_at"]),
    "old_untouched": lambda one, _: (
        hours_since(one["created_at"]) >= 336 and hours_since(one["updated_at"]) >= 168
    ),
}


@given(rows())
def test_any_board_gives_lines_with_evidence_that_is_true_by_hand(rows: Rows) -> None:
    """Random boards, with circles of parents and blockers, name shown tasks only, each subject once."""
    data = report_of(rows, status_filter=["idle", "working"])
    needs, lines, shown = data.needs, data.attention, {*data.tasks["id"]}
    assert list(lines.columns) == list(ATTENTION_COLUMNS) and list(needs.columns) == list(NEED_COLUMNS)
    assert {*lines["task_id"]} | {task for tasks in lines["tasks"] for task in tasks} <= shown
    assert not (needs["since"] > NOW).any()
    subjects = lines[["about", "agent", "queue"]].assign(
        task=lines["task_id"].where(lines["about"] == "task")
    )
    assert not subjects[lines["about"] != "team"].duplicated().any()
    assert {*needs["reason"]} == {reason for reasons in lines["reasons"] for reason in reasons}
    tasks = {row["id"]: row for row in data.all_tasks.to_dict("records")}
    for need in needs.to_dict("records"):
        assert tasks[need["task_id"]]["is_open"] and need["evidence"]
        assert EVIDENT[need["reason"]](tasks[need["task_id"]], tasks), need


def test_the_head_says_whose_comments_nobody_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question at an idle task may be among them; it is no answer that there is none."""
    tasks = [
        task(1, created=5),
        task(2, status="working", created=5),
        task(3, status="working", assigned_to="b"),
    ]
    with TinytaskStore(now=lambda: NOW) as store:
        store.insert_many(tasks)
        store.insert_many([said(1, "@supervisor: which?", 1, "alice")], "comments")
        with TinytaskClient(create_server(store)) as client:
            reporter = WorkloadReporter(client)
            kinds: tuple[tuple[bool | Literal["needed"], int], ...] = (
                *((True, 0), ("needed", 3), ("needed", 2), (False, 3)),
            )
            heads = []
            for details, few in kinds:
                monkeypatch.setattr("calypso_nb.workload.reporter._FEW_TASKS", few)
                data = reporter.collect_workload_data(details=details, now=NOW, progress=False)
                heads.append(data.attention_head())
    assert heads == [
        *["1 waiting on human"] * 2,
        "comments of 1 open task not read",
        "comments of 3 open tasks not read",
    ]
