"""The simulated team keeps its manual: counted row by row, without the project's own audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from calypso_nb.agents import read_agents
from calypso_nb.embedded.database import Change
from tests.manual_team import (
    BACKLOG,
    BLOCKED,
    DEFECTS,
    DEVELOPMENT,
    END,
    QA,
    QUEUES,
    REVIEW,
    TESTERS,
    TESTING,
    TRIAGE,
    ManualTeam,
)

ALLOWED = {
    (DEVELOPMENT, QA), (DEVELOPMENT, TESTING), (DEVELOPMENT, REVIEW), (TESTING, DEVELOPMENT),
    (REVIEW, DEVELOPMENT), (REVIEW, QA), (QA, DEVELOPMENT), (BLOCKED, DEVELOPMENT), (TRIAGE, DEVELOPMENT),
    (BACKLOG, DEVELOPMENT),
    # The team's own queues.
    *((own, QA) for own in QUEUES.values()), *((QA, own) for own in QUEUES.values()),
}  # fmt: skip


@dataclass
class Past:
    """A team at its end, and all that its store told on the way."""

    team: ManualTeam
    changes: list[Change]

    @property
    def tasks(self) -> dict[int, dict[str, Any]]:
        return {task["id"]: task for task in self.team.store.list_tasks(include_archived=True)}

    @property
    def parents(self) -> set[int]:
        return {task["parent_task_id"] for task in self.tasks.values()}

    def edits(self, field: str) -> Iterator[tuple[Change, Any, Any]]:
        """Each change of a field of a task that was there before, and the values before and after."""
        for change in self.changes:
            before, after = change.before, change.after
            if change.table == "tasks" and before and after and before[field] != after[field]:
                yield change, before[field], after[field]

    def spells(self) -> Iterator[tuple[int, str, datetime, datetime]]:
        """Each time that a task without subtasks was worked on: task, agent, from when, until when."""
        parents, begun = self.parents, dict[int, tuple[str, datetime]]()
        for change, _, status in self.edits("status"):
            if change.id not in parents and change.after is not None:
                if status == "working":
                    begun[change.id] = change.after["assigned_to"], change.at
                elif change.id in begun:
                    yield change.id, *begun.pop(change.id), change.at
        for task, (agent, at) in begun.items():
            yield task, agent, at, self.team.time

    def comments(self, task: int, agent: str | None = None) -> list[tuple[datetime, str]]:
        """When a task got which comments, of an agent or of all."""
        return self._comments.get(task, {}).get(agent, []) if agent else self._all[task]

    def __post_init__(self) -> None:
        self._comments: dict[int, dict[str, list[tuple[datetime, str]]]] = {}
        self._all: dict[int, list[tuple[datetime, str]]] = {}
        for change in self.changes:
            if change.table == "comments" and change.before is None and change.after is not None:
                task, said = change.after["task_id"], (change.at, change.after["content"])
                by = self._comments.setdefault(task, {})
                by.setdefault(change.after["created_by"], []).append(said)
                self._all.setdefault(task, []).append(said)


def past_of(team: ManualTeam) -> Past:
    """Let a team work up to its end, and keep all that its store tells."""
    changes: list[Change] = []
    team.store.listeners.append(changes.extend)
    team.run()
    return Past(team, changes)


@pytest.fixture(scope="module")
def past() -> Past:
    """45 days of the team, without defects."""
    return past_of(ManualTeam())


def near(time: datetime, comments: list[tuple[datetime, str]], seconds: float) -> bool:
    """Whether there is a comment at most so many seconds before or after a time."""
    return any(abs((at - time).total_seconds()) <= seconds for at, _ in comments)


def test_the_clock_never_goes_back_and_ends_in_working_time(past: Past) -> None:
    """All changes are in the order of their times, and at the end most agents are at work."""
    times = [change.at for change in past.changes]
    assert times == sorted(times)
    assert past.team.time == END
    assert sum(until == END for *_, until in past.spells()) >= 5


def test_each_agent_has_one_task_in_hand(past: Past) -> None:
    """No two spells of work of the same agent overlap."""
    free = dict[str, datetime]()
    for _, agent, since, until in sorted(past.spells(), key=lambda spell: spell[2]):
        assert agent
        assert free.get(agent, since) <= since
        free[agent] = until


def test_who_works_says_so_every_half_hour(past: Past) -> None:
    """Each spell begins with a comment of its agent, and none of its silences is longer than 35 minutes."""
    for task, agent, since, until in past.spells():
        said = [at for at, _ in past.comments(task, agent) if since <= at <= until]
        assert (said and (said[0] - since) <= timedelta(minutes=2)) or until - since < timedelta(minutes=2)
        for one, other in zip([since, *said], [*said, until], strict=True):
            assert other - one <= timedelta(minutes=35), task


def test_a_task_is_idle_and_has_a_comment_when_its_queue_changes(past: Past) -> None:
    """No queue changes while a task is working; a comment of the minute before says why."""
    number = 0
    for change, _, _ in past.edits("queue_name"):
        assert change.before and change.before["status"] == "idle" == (change.after or {})["status"]
        assert near(change.at, past.comments(change.id), 60)
        number += 1
    assert number > 2000


def test_tasks_move_only_as_the_manual_allows(past: Past) -> None:
    """Each change of queue is one of the manual's, or to the queue of blocked work."""
    moves = Counter((old, new) for _, old, new in past.edits("queue_name"))
    assert {move for move in moves if move[1] != BLOCKED} <= ALLOWED
    assert moves[QA, DEVELOPMENT] and moves[REVIEW, DEVELOPMENT] and moves[DEVELOPMENT, BLOCKED]


def test_only_testers_complete_and_say_that_they_have_verified(past: Past) -> None:
    """A task becomes complete in a tester's hands, in a queue for that, after a comment of that tester."""
    for change, old, status in past.edits("status"):
        if status == "complete" and change.after:
            agent = change.after["assigned_to"]
            assert agent in TESTERS and change.after["queue_name"] in (QA, TESTING) and old == "working"
            assert any(text.startswith("Verified") for _, text in past.comments(change.id, agent)[-3:])


def test_who_returns_a_task_says_why(past: Past) -> None:
    """A task that goes back to its developer has a comment of 40 characters or more of the minute before."""
    for change, old, new in past.edits("queue_name"):
        if old in (QA, TESTING, REVIEW) and new != QA:
            said = [text for at, text in past.comments(change.id) if change.at - at < timedelta(minutes=1)]
            assert any(len(text) >= 40 for text in said)
            assert change.after and change.after["assigned_to"].startswith(("dev", "docs", "ops", "ux"))


def test_escalations_and_questions_are_answered_within_minutes(past: Past) -> None:
    """After each question and each escalation another comment follows within ten minutes."""
    asked = 0
    for task in past.tasks:
        said = past.comments(task) if task in past._all else []
        for place, (at, text) in enumerate(said):
            if text.startswith(("ESCALATION", "DECISION")):
                asked += 1
                assert said[place + 1][0] - at < timedelta(minutes=10)
    assert asked > 10


def test_blocked_work_waits_in_its_queue_and_leaves_it_at_once(past: Past) -> None:
    """Whatever waits for another is in the queue of the blocked, and nothing else is."""
    for task in past.tasks.values():
        assert (task["queue_name"] == BLOCKED) == bool(task["is_currently_blocked"])
    freed = {change.id: change.at for change, old, _ in past.edits("is_currently_blocked") if old}
    left = {change.id: change.at for change, old, _ in past.edits("queue_name") if old == BLOCKED}
    assert len(freed) > 50
    assert all(left[task] - at < timedelta(minutes=5) for task, at in freed.items())


def test_a_parent_is_handed_off_before_its_last_subtask_ends(past: Past) -> None:
    """A parent that is complete is in the testers' queue, and has two to five subtasks."""
    children = Counter(task["parent_task_id"] for task in past.tasks.values() if task["parent_task_id"])
    assert len(children) > 10 and set(children.values()) <= {2, 3, 4, 5}
    done = [past.tasks[parent] for parent in children if past.tasks[parent]["status"] == "complete"]
    assert done and all(parent["queue_name"] == QA for parent in done)


def test_titles_tags_and_priorities_are_as_the_manual_has_them(past: Past) -> None:
    """Titles are short and differ, tags are one to five in lower case, and few tasks are urgent."""
    tasks = past.tasks.values()
    titles = [task["title"] for task in tasks]
    assert max(map(len, titles)) < 80 and len({*map(str.lower, titles)}) == len(titles)
    assert all(1 <= len(task["tags"]) <= 5 for task in tasks)
    tags = {tag for task in tasks for tag in task["tags"]}
    assert all(tag.replace("-", "").isalnum() and tag == tag.lower() for tag in tags)
    assert all(1 <= task["priority"] <= 10 for task in tasks)
    assert sum(task["priority"] < 9 for task in tasks) >= 0.95 * len(titles)
    bugs = [task for task in tasks if task["title"].startswith("BUG: ")]
    assert len(bugs) > 100 and all("bug" in task["tags"] and len(task["tags"]) > 1 for task in bugs)
    assert all(task["created_by"] in TESTERS and "Environment" in task["description"] for task in bugs)


def test_what_is_urgent_is_taken_up_within_minutes(past: Past) -> None:
    """Between the creation of an urgent task and its first spell are at most fifteen minutes."""
    begun = dict[int, datetime]()
    for task, _, since, _ in past.spells():
        begun[task] = min(begun.get(task, since), since)
    urgent = [change for change in past.changes if change.table == "tasks" and change.before is None
              and change.after and change.after["priority"] >= 9]  # fmt: skip
    assert len(urgent) > 10
    assert all(begun[change.id] - change.at < timedelta(minutes=15) for change in urgent)


def test_what_is_archived_was_complete_or_cancelled(past: Past) -> None:
    """An archived task is complete or says that it was cancelled, and has a comment of the minute before."""
    archived = [change for change, _, _ in past.edits("archived_at")]
    assert len(archived) > 500
    for change in archived:
        at, text = past.comments(change.id)[-1]
        assert near(change.at, [(at, text)], 60)
        assert (change.after or {})["status"] == "complete" or "Cancelled" in text


@pytest.mark.parametrize("seed", range(5))
def test_the_board_has_the_size_of_the_issue(seed: int) -> None:
    """At the end 260 to 301 tasks are open, 100 to 150 of them in the backlog, which nobody has."""
    tasks = ManualTeam(seed).run().store.list_tasks(exclude_status=["complete"])
    queues = Counter(task["queue_name"] for task in tasks)
    assert 260 <= len(tasks) <= 301
    assert 100 <= queues[BACKLOG] <= 150
    assert all((task["assigned_to"] is None) == (task["queue_name"] == BACKLOG) for task in tasks)


def test_the_same_seed_is_the_same_past() -> None:
    """Two teams of one seed leave the same rows, and one of another seed does not."""
    rows = [[*ManualTeam(seed, days=10).run().store.connection.iterdump()] for seed in (3, 3, 4)]
    assert rows[0] == rows[1] != rows[2]


def test_defects_are_there_and_disturb_nobody() -> None:
    """With all nine defects the rest of the board is the same, but for the numbers of tasks."""
    team = ManualTeam(days=8).put_in()
    team.run()
    theirs = ("dev-7", "dev-8", "dev-9")
    facts = ("title", "status", "assigned_to", "queue_name", "priority", "created_at", "updated_at")
    [plain, rest] = (
        sorted(tuple(map(str, map(task.get, facts))) for task in board.store.list_tasks()
               if task["assigned_to"] not in theirs and task["id"] not in ours)
        for board, ours in (
            (ManualTeam(days=8).run(), set[int]()),
            (team, {task for tasks in team.defects.values() for task in tasks}),
        )
    )  # fmt: skip
    assert plain == rest
    assert team.defects.keys() == DEFECTS.keys() and len(DEFECTS) == 9
    assert all(len(tasks) == (3 if name == "circle" else 1) for name, tasks in team.defects.items())


def test_its_history_is_exact_and_has_all_comments(tmp_path: Path) -> None:
    """The history of some days tells each change at its time, and ends with the store's rows."""
    team = ManualTeam(days=8)
    with_all = team.history(tmp_path / "history.db")
    try:
        events = with_all.events
        assert events["exact"].all()
        assert {*events["task_id"]} == {task["id"] for task in team.store.list_tasks(include_archived=True)}
        [notes] = with_all._store.rows("SELECT count(*) FROM note")
        assert notes == team.store.connection.execute("SELECT count(*) FROM comments").fetchone()
    finally:
        with_all.close()


def test_its_agents_are_a_file_of_the_scheduler(tmp_path: Path) -> None:
    """The scheduler reads the team's agents, each for one task at a time."""
    agents = read_agents(ManualTeam().write_agents(tmp_path / "agents.json"))
    assert {"dev-1", "qa-1", "rev-1", "lead-1"} <= {agent.name for agent in agents}
    assert {agent.max_concurrency for agent in agents} == {1}
