"""A store's listeners get every change that it makes, exactly: what no tool and no event tells, too."""

from __future__ import annotations

import sqlite3
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calypso_nb import TinytaskClient
from calypso_nb.embedded import StoreError, TinytaskStore, fill_sample
from calypso_nb.embedded.database import Change

MOMENT = datetime(2026, 11, 24, 14, 10, 27, 406_123, tzinfo=UTC)


@pytest.fixture
def changes(store: TinytaskStore) -> list[Change]:
    """All that a listener of `store` has got."""
    seen: list[Change] = []
    store.listeners.append(seen.extend)
    return seen


def fields(change: Change) -> dict[str, tuple[Any, Any]]:
    """The fields that differ between before and after."""
    assert change.before is not None and change.after is not None
    return {
        name: (value, change.after[name])
        for name, value in change.before.items()
        if value != change.after[name]
    }


def ids(changes: list[Change]) -> list[tuple[str, int]]:
    return [(change.table, change.id) for change in changes]


def test_a_new_task_comes_as_the_wire_has_it_with_the_microsecond_and_the_agent(store: TinytaskStore) -> None:
    """A record keeps whole seconds and not who acted; a listener gets both."""
    seen: list[Change] = []
    store.listeners.append(seen.extend)
    store.now = lambda: MOMENT
    task = store.create_task("Write the changelog", "lead", tags=["docs"])
    assert seen == [Change("tasks", 1, None, task, MOMENT, "lead")]
    assert seen[0].after is not None and seen[0].after["created_at"] == "2026-11-24T14:10:27Z"


def test_an_agent_is_told_if_the_call_named_one(store: TinytaskStore, changes: list[Change]) -> None:
    """Who claimed, handed over or wrote is known to no other source of history."""
    store.create_task("Plan", "lead", assigned_to="alice")
    store.signup_for_task("alice")
    store.move_task(1, "alice", "bob", "please")
    store.add_comment(1, "note", "carol")
    store.update_task(1, priority=3)
    store.add_link(1, "https://example.com")
    assert [(change.table, change.by) for change in changes] == [
        ("tasks", "lead"),
        ("tasks", "alice"),
        ("tasks", "alice"),
        ("comments", "alice"),
        ("comments", "carol"),
        ("tasks", None),
    ]
    assert fields(changes[2]) == {
        "status": ("working", "idle"),
        "assigned_to": ("alice", "bob"),
        "previous_assigned_to": (None, "alice"),
    }


def test_a_roll_up_is_told_up_to_the_grandparent(store: TinytaskStore, changes: list[Change]) -> None:
    """A real server changes parents in silence."""
    store.create_task("Epic", "lead")
    store.create_task("Part", "lead", parent_task_id=1)
    store.create_task("Piece", "lead", parent_task_id=2)
    changes.clear()
    store.update_task(3, status="working")
    assert ids(changes) == [("tasks", 3), ("tasks", 2), ("tasks", 1)]
    assert all(fields(change) == {"status": ("idle", "working")} for change in changes)


def test_a_deletion_takes_along_what_hung_on_the_task(store: TinytaskStore, changes: list[Change]) -> None:
    """Subtasks and comments go, and tasks that were blocked are free: with the state that they really had."""
    store.create_task("Epic", "lead")
    part = store.create_task("Part", "lead", parent_task_id=1, blocked_by_task_id=1)
    blocked = store.create_task("Elsewhere", "lead", blocked_by_task_id=1)
    note = store.add_comment(2, "note", "bob")
    changes.clear()
    store.delete_task(1)
    gone = {(change.table, change.id): change.before for change in changes if change.after is None}
    assert gone.keys() == {("tasks", 1), ("tasks", 2), ("comments", 1)}
    assert gone["comments", 1] == note
    freed = {change.id: change for change in changes if change.after is not None}
    assert freed[2].before == part and freed[3].before == blocked
    assert fields(freed[3]) == {"blocked_by_task_id": (1, None), "is_currently_blocked": (True, False)}


def test_a_task_that_only_becomes_free_is_told(store: TinytaskStore, changes: list[Change]) -> None:
    """Its row stays as it is when its blocker completes, and the wire shows another record."""
    store.create_task("Blocker", "lead")
    store.create_task("Blocked", "lead", blocked_by_task_id=1)
    changes.clear()
    store.update_task(1, status="complete")
    assert ids(changes) == [("tasks", 1), ("tasks", 2)]
    assert fields(changes[1]) == {"is_currently_blocked": (True, False)}


def test_every_task_of_a_cleared_queue_is_told(store: TinytaskStore, changes: list[Change]) -> None:
    """A real server says how many there were; archived ones are among them."""
    for title in ("One", "Two"):
        store.create_task(title, "lead", queue_name="dev")
    store.archive_task(2)
    changes.clear()
    store.clear_queue("dev")
    assert [(change.id, fields(change)) for change in changes] == [
        (1, {"queue_name": ("dev", None)}),
        (2, {"queue_name": ("dev", None)}),
    ]


def test_a_transaction_is_told_as_a_whole_after_it_is_committed(store: TinytaskStore, tmp_path: Path) -> None:
    """What a listener sees is safe in the file, and it is called in the thread that wrote."""
    path = tmp_path / "tasks.db"
    seen: list[tuple[int, list[str], int]] = []

    def listen(changes: list[Change]) -> None:
        with sqlite3.connect(path) as other:
            [(committed,)] = other.execute("SELECT count(*) FROM tasks").fetchall()
        other.close()
        statuses = [change.after["status"] for change in changes if change.after]
        seen.append((threading.get_ident(), statuses, committed))

    with TinytaskStore(path) as written:
        written.listeners.append(listen)
        with written.transaction():
            written.create_task("Plan", "lead")
            written.update_task(1, status="working")
            written.update_task(1, status="complete")
            assert seen == []
    assert seen == [(threading.get_ident(), ["idle", "working", "complete"], 1)]


def test_what_is_rolled_back_or_changes_nothing_is_not_told(
    store: TinytaskStore, changes: list[Change]
) -> None:
    """A refused call leaves no trace, and neither does one that writes what was there."""
    store.create_task("Plan", "lead")
    changes.clear()
    with pytest.raises(StoreError), store.transaction():
        store.update_task(1, status="working")
        store.delete_task(99)
    store.update_task(1, title="Plan")
    assert changes == []


def test_rows_inserted_at_full_speed_are_told(store: TinytaskStore, changes: list[Change]) -> None:
    """The sample project comes in this way."""
    fill_sample(store, now=MOMENT)
    created = [change.after for change in changes if change.table == "tasks" and change.before is None]
    assert len(created) == len(store.list_tasks(include_archived=True))
    assert {change.table for change in changes} == {"tasks", "comments"}


@pytest.mark.parametrize(("status", "told"), [("idle", [1, 2, 1]), ("complete", [1, 2])])
def test_a_row_may_come_before_the_one_that_blocks_it(
    store: TinytaskStore, changes: list[Change], status: str, told: list[int]
) -> None:
    """It is blocked from the moment on that an unfinished blocker is there."""
    store.insert_many(
        [
            {"id": 1, "title": "Blocked", "blocked_by_task_id": 2},
            {"id": 2, "title": "Blocker", "status": status},
        ]
    )
    assert [change.id for change in changes] == told
    assert changes[-1].after in store.list_tasks()


def test_a_listener_that_fails_is_warned_about_once_and_undoes_nothing(store: TinytaskStore) -> None:
    """A fault of who listens is not one of who writes."""
    seen: list[Change] = []

    def fail(_: list[Change]) -> None:
        raise RuntimeError("no disk")

    store.listeners += [fail, seen.extend]
    with pytest.warns(UserWarning, match="no disk"):
        store.create_task("Plan", "lead")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.create_task("Build", "lead")
    assert len(store.list_tasks()) == 2
    assert ids(seen) == [("tasks", 1), ("tasks", 2)]


def test_a_listener_may_read_and_write(store: TinytaskStore) -> None:
    """Its own writes are told as any others, after those that it was called with."""
    seen: list[int] = []

    def listen(changes: list[Change]) -> None:
        seen.extend(change.id for change in changes)
        if len(store.list_tasks()) < 3:
            store.create_task("Another", "lead")

    store.listeners.append(listen)
    store.create_task("Plan", "lead")
    assert seen == [1, 2, 3]


def test_without_a_listener_there_is_no_trigger(store: TinytaskStore) -> None:
    """Whoever doesn't listen pays nothing, and no trigger is ever in the file."""
    triggers = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger'"
    temporary = triggers.replace("sqlite_master", "sqlite_temp_master")
    store.create_task("Plan", "lead")
    assert store.connection.execute(temporary).fetchone() == (0,)
    store.listeners.append(lambda changes: None)
    store.create_task("Build", "lead")
    assert store.connection.execute(temporary).fetchone() != (0,)
    assert store.connection.execute(triggers).fetchone() == (0,)


def test_a_database_file_is_read_as_before_while_somebody_listens(tmp_path: Path) -> None:
    """The client's reader of a file is a store as well."""
    with TinytaskStore(tmp_path / "tasks.db") as store:
        store.listeners.append(lambda changes: None)
        store.create_task("Plan", "lead")
        with TinytaskClient(tmp_path / "tasks.db") as client:
            assert client.list_tasks()["title"].tolist() == ["Plan"]


# --- Any calls whatever -----------------------------------------------------------------------------------

ID = st.integers(1, 8)
AGENT = st.sampled_from(["alice", "bob"])
QUEUE = st.sampled_from(["dev", "qa"])
STATUS = st.sampled_from(["idle", "working", "complete"])
NONE = st.none()
FIELDS = {
    "assigned_to": AGENT,
    "queue_name": QUEUE,
    "parent_task_id": ID | NONE,
    "blocked_by_task_id": ID | NONE,
}
# Rows may name a blocker that comes after them, as sample data may.
ROW = st.fixed_dictionaries(
    {"id": st.integers(6, 9), "title": st.just("Row")},
    optional={"blocked_by_task_id": st.integers(6, 9), "status": STATUS},
)
CALL = st.one_of(
    st.tuples(
        st.just("create_task"),
        st.fixed_dictionaries({"title": st.just("Task"), "created_by": AGENT}, optional=FIELDS),
    ),
    st.tuples(
        st.just("update_task"),
        st.fixed_dictionaries({"id": ID}, optional={"status": STATUS, **FIELDS}),
    ),
    st.tuples(st.sampled_from(["archive_task", "delete_task"]), st.fixed_dictionaries({"id": ID})),
    st.tuples(st.just("signup_for_task"), st.fixed_dictionaries({"agent_name": AGENT})),
    st.tuples(st.just("clear_queue"), st.fixed_dictionaries({"queue_name": QUEUE})),
    st.tuples(
        st.just("add_comment"),
        st.fixed_dictionaries({"task_id": ID, "content": st.just("note"), "created_by": AGENT}),
    ),
    st.tuples(
        st.just("move_comment"),
        st.fixed_dictionaries({"comment_id": ID, "to_task_id": ID}),
    ),
    st.tuples(st.just("insert_many"), st.fixed_dictionaries({"rows": st.lists(ROW, max_size=3)})),
)


def records(store: TinytaskStore) -> dict[tuple[str, int], dict[str, Any]]:
    """All tasks and comments as the wire has them."""
    tasks = store.list_tasks(include_archived=True)
    comments = [comment for task in tasks for comment in store.list_comments(task["id"])]
    return {("tasks", task["id"]): task for task in tasks} | {
        ("comments", one["id"]): one for one in comments
    }


def ticking() -> Iterator[datetime]:
    moment = MOMENT
    while True:
        yield moment
        moment += timedelta(milliseconds=700)


@given(st.lists(st.tuples(CALL, st.booleans()), min_size=10, max_size=40))
def test_the_changes_lead_from_each_state_to_the_next(
    calls: list[tuple[tuple[str, dict[str, Any]], bool]],
) -> None:
    """Whatever is called, in one transaction or two: each change begins where the last one ended."""
    clock = ticking()
    with TinytaskStore(now=lambda: next(clock)) as store:
        for number in range(6):
            store.create_task(f"Task {number}", "lead", blocked_by_task_id=number or None)
        state = records(store)

        def replay(changes: list[Change]) -> None:
            for change in changes:
                assert state.pop((change.table, change.id), None) == change.before != change.after
                if change.after is not None:
                    state[change.table, change.id] = change.after

        store.listeners.append(replay)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for (tool, arguments), twice in calls:
                with suppress(StoreError, sqlite3.Error), store.transaction():
                    for _ in range(2 if twice else 1):
                        getattr(store, tool)(**arguments)
                assert state == records(store)
