"""A supervisor's actions: done to the task that was seen, named before, undone after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from calypso_nb import TinytaskAPIError, TinytaskClient, TinytaskConnectionError
from calypso_nb.client.actions import EDITABLE, Action, offered
from calypso_nb.embedded import TinytaskStore, create_server
from calypso_nb.errors import MovedOnError, UnconfirmedError, UsageError
from calypso_nb.records import Task
from tests.boards import family
from tests.v1_server import create_v1_server

pytestmark = pytest.mark.usefixtures("clean_environment")

EDITED = "it was edited at {} (you saw it as of 09:31 UTC)"

Do = Callable[[TinytaskClient, Any], Action]


@pytest.fixture
def store() -> Iterator[TinytaskStore]:
    """A family of tasks, whose clock goes on."""
    with family() as store:
        yield store


@pytest.fixture
def client(store: TinytaskStore) -> Iterator[TinytaskClient]:
    with TinytaskClient(create_server(store)) as client:
        yield client


@pytest.fixture
def other(store: TinytaskStore) -> Iterator[TinytaskClient]:
    """Somebody else, who writes between a look and a click."""
    with TinytaskClient(create_server(store)) as client:
        yield client


def fields(task: Task) -> dict[str, Any]:
    return {name: getattr(task, name) for name in EDITABLE}


ACTIONS: dict[str, Do] = {
    "reassign": lambda client, seen: client.reassign(2, "bob", seen=seen),
    "release": lambda client, seen: client.release(2, seen=seen),
    "set_idle": lambda client, seen: client.set_idle(2, seen=seen),
    "unblock": lambda client, seen: client.unblock(2, seen=seen),
    "complete": lambda client, seen: client.complete(2, seen=seen),
    "archive": lambda client, seen: client.archive(2, seen=seen, sure=True),
    "change": lambda client, seen: client.change(2, seen=seen, priority=9),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_on_a_task_that_another_agent_has_meanwhile_is_refused_in_words(
    name: str, client: TinytaskClient, other: TinytaskClient, store: TinytaskStore
) -> None:
    """It says who has the task since when and who was seen, and nothing is written."""
    seen = client.get_task(2)
    other.move_task(2, "alice", "carol", "yours")
    now = store.get_task(2)
    with pytest.raises(MovedOnError) as refused:
        ACTIONS[name](client, seen)
    clock = now["updated_at"][11:16]
    assert refused.value.reason == (
        f"#2 has moved on: carol has it since {clock} UTC at the latest (you saw alice); look again"
    )
    assert refused.value.task == other.get_task(2)
    assert store.get_task(2) == now


@pytest.mark.parametrize(
    ("foreign", "words"),
    [
        (
            lambda store: store.update_task(2, status="working"),
            "it is working since {} at the latest (you saw idle)",
        ),
        (
            lambda store: store.update_task(2, assigned_to=""),
            "it is unassigned since {} at the latest (you saw alice)",
        ),
        (lambda store: store.update_task(2, priority=9), "priority 3 → 9 since {} at the latest"),
        (
            lambda store: store.update_task(2, description="New"),
            "it was edited at {second} (you saw it as of 09:31:00 UTC)",
        ),
        (lambda store: store.archive_task(2), "it was archived at {archived}"),
        (lambda store: store.delete_task(2), "it is no longer there"),
    ],
)
def test_whatever_else_has_changed_is_named(
    foreign: Callable[[TinytaskStore], Any], words: str, client: TinytaskClient, store: TinytaskStore
) -> None:
    """A status, an agent taken away, any other edit, the archive, and a task that has been deleted."""
    seen = client.get_task(2)
    foreign(store)
    with pytest.raises(MovedOnError) as refused:
        client.reassign(2, "bob", seen=seen)
    task = refused.value.task
    times = {"archived": None} if task is None else {"archived": task.archived_at, "now": task.updated_at}
    clocks = {name: f"{time:%H:%M} UTC" if time else "" for name, time in times.items()}
    clocks["second"] = f"{task.updated_at:%H:%M:%S} UTC" if task else ""
    expected = words.format(clocks.get("now", ""), **clocks)
    assert refused.value.reason == f"#2 has moved on: {expected}; look again"


def test_a_row_of_a_frame_is_a_look_too(client: TinytaskClient, other: TinytaskClient) -> None:
    """As a Series, a dict, a tuple of `itertuples`, or the server's own record."""
    looks: list[Callable[[], Any]] = [
        lambda: client.list_tasks().set_index("id", drop=False).loc[2],
        lambda: client.list_tasks().query("id == 2").to_dict("records")[0],
        lambda: next(row for row in client.list_tasks().itertuples() if row.id == 2),
        lambda: next(record for record in client.list_task_records() if record["id"] == 2),
    ]
    for number, look in enumerate(looks):
        assert client.change(2, seen=look(), priority=number).after.priority == number
        stale = look()
        other.update_task(2, title=f"Edited {number}")
        with pytest.raises(MovedOnError, match="it was edited at"):
            client.change(2, seen=stale, priority=7)


def test_a_look_at_another_task_or_at_too_little_is_no_look(client: TinytaskClient) -> None:
    """That is a mistake of the caller, said in words."""
    with pytest.raises(UsageError, match="another task than #2"):
        client.release(2, seen=client.get_task(3))
    with pytest.raises(UsageError, match="'updated_at' is missing"):
        client.release(2, seen={"id": 2, "assigned_to": "alice", "status": "idle"})


def test_a_foreign_move_in_the_last_moment_is_found_by_the_server(
    client: TinytaskClient, other: TinytaskClient, store: TinytaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TinyTask compares the agent that was seen, after the last look."""
    move = client.move_task

    def late(*arguments: Any) -> Any:
        other.move_task(2, "alice", "carol", "yours")
        return move(*arguments)

    monkeypatch.setattr(client, "move_task", late)
    with pytest.raises(MovedOnError, match=r"carol has it since .* UTC at the latest \(you saw alice\)"):
        client.reassign(2, "bob", seen=client.get_task(2))
    assert store.get_task(2)["assigned_to"] == "carol"


def test_a_foreign_edit_in_the_last_moment_is_a_warning(
    client: TinytaskClient, other: TinytaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where TinyTask can't compare, the look just after tells what another has changed."""
    update = client.update_task

    def late(task_id: int, **changes: Any) -> Any:
        other.update_task(task_id, priority=9, status="working")
        return update(task_id, **changes)

    monkeypatch.setattr(client, "update_task", late)
    done = client.reassign(4, "bob", seen=client.get_task(4))
    assert done.after.assigned_to == "bob"
    assert done.warning == (
        "somebody else changed it at the same moment: status idle → working, priority 0 → 9"
    )
    monkeypatch.undo()
    undone = client.undo(done).after
    assert (undone.assigned_to, undone.status, undone.priority) == (None, "working", 9)


def test_whom_a_task_was_taken_from_in_the_last_moment_is_named(
    client: TinytaskClient, other: TinytaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unassigned task that another takes between the look and the assignment is taken from that one."""
    update = client.update_task

    def late(task_id: int, **changes: Any) -> Any:
        other.update_task(task_id, assigned_to="carol")
        return update(task_id, **changes)

    monkeypatch.setattr(client, "update_task", late)
    done = client.reassign(4, "bob", seen=client.get_task(4))
    assert done.warning == "somebody else changed it at the same moment: it was carol's in between"


def test_no_comment_carries_a_name_that_did_not_write_it(client: TinytaskClient) -> None:
    """The server signs the handoff with the old agent, so that says who wrote it, and no more."""
    done = client.reassign(2, "bob", seen=client.get_task(2), comment="Mind the <b>tests</b>", author="eve")
    assert [(one.created_by, one.content) for one in done.after.comments or ()] == [
        ("alice", "handed on by eve"),
        ("eve", "Mind the <b>tests</b>"),
    ]
    back = client.undo(done)
    assert (back.after.assigned_to, back.after.status) == ("alice", "idle")
    assert [(one.created_by, one.content) for one in back.after.comments or ()][2:] == [
        ("bob", "taken back by eve")
    ]
    given = client.reassign(4, "bob", seen=client.get_task(4), comment="yours", author="eve")
    assert [(one.created_by, one.content) for one in given.after.comments or ()] == [("eve", "yours")]


IDLE = {"status": "idle"}
CHANGES: dict[str, tuple[int, Do, dict[str, Any]]] = {
    "reassign": (
        2,
        lambda c, seen: c.reassign(2, "bob", seen=seen),
        IDLE | {"assigned_to": "bob"},
    ),
    "assign": (4, lambda c, seen: c.reassign(4, "bob", seen=seen), {"assigned_to": "bob"}),
    "release": (2, lambda c, seen: c.release(2, seen=seen), IDLE | {"assigned_to": None}),
    "set idle": (2, lambda c, seen: c.set_idle(2, seen=seen), IDLE),
    "unblock": (3, lambda c, seen: c.unblock(3, seen=seen), {"blocked_by_task_id": None}),
    "complete": (2, lambda c, seen: c.complete(2, seen=seen), {"status": "complete"}),
    "priority": (2, lambda c, seen: c.change(2, seen=seen, priority=9), {"priority": 9}),
    "untag": (2, lambda c, seen: c.change(2, seen=seen, tags=[]), {"tags": ()}),
    "queue": (2, lambda c, seen: c.change(2, seen=seen, queue_name="dev"), {"queue_name": "dev"}),
    "no parent": (2, lambda c, seen: c.change(2, seen=seen, parent_task_id=None), {"parent_task_id": None}),
    "parent": (4, lambda c, seen: c.change(4, seen=seen, parent_task_id=1), {"parent_task_id": 1}),
    "wait": (4, lambda c, seen: c.change(4, seen=seen, blocked_by_task_id=2), {"blocked_by_task_id": 2}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_action_changes_what_it_says_and_undo_restores_what_was_before(
    name: str, client: TinytaskClient, store: TinytaskStore
) -> None:
    """Each field, and a second undo is refused."""
    store.update_task(2, status="working")
    number, do, expected = CHANGES[name]
    before = client.get_task(number)
    done = do(client, before)
    assert done.before == before and done.warning == ""
    assert fields(done.after) == fields(before) | expected
    undone = client.undo(done)
    assert fields(undone.after) == fields(client.get_task(number)) == fields(before)
    assert undone.warning == ""
    with pytest.raises(MovedOnError):
        client.undo(done)


def test_what_somebody_has_changed_since_is_not_undone(
    client: TinytaskClient, other: TinytaskClient, store: TinytaskStore
) -> None:
    """Undo is guarded by what was there after the action."""
    done = client.reassign(4, "bob", seen=client.get_task(4))
    other.update_task(4, status="working")
    with pytest.raises(MovedOnError, match=r"it is working since .* \(you saw idle\)"):
        client.undo(done)
    assert store.get_task(4)["assigned_to"] == "bob"


def test_a_copy_or_a_reopened_task_that_would_never_end_is_asked_about(
    client: TinytaskClient, store: TinytaskStore
) -> None:
    """What the attention list calls a fault is named before, whichever action would make it."""
    store.archive_task(3)
    store.archive_task(2)
    with pytest.raises(UnconfirmedError) as asked:
        client.restore(3, seen=client.get_task(3))
    assert asked.value.consequences == ("#3 would never end: #2 is archived and unfinished",)
    assert client.restore(3, seen=client.get_task(3), sure=True).after.blocked_by_task_id == 2
    part = store.create_task("Part", "lead", parent_task_id=1)["id"]
    store.update_task(part, status="complete")
    store.archive_task(1)
    with pytest.raises(UnconfirmedError) as asked:
        client.set_idle(part, seen=client.get_task(part))
    assert asked.value.consequences == (f"#{part} would be under a parent that is archived",)


def test_open_parts_of_parts_are_named_too(client: TinytaskClient, store: TinytaskStore) -> None:
    """A complete task between does not hide them."""
    below = store.create_task("Below", "lead", parent_task_id=3)["id"]
    store.update_task(2, status="complete")
    store.update_task(3, status="complete")
    with pytest.raises(UnconfirmedError) as asked:
        client.complete(1, seen=client.get_task(1))
    assert asked.value.consequences == (f"#{below} would stay open under a parent that is complete",)


def test_nothing_is_archived_or_restored_twice(client: TinytaskClient, store: TinytaskStore) -> None:
    """Not by an undo either: there would be two copies. Without the copy it can be restored again."""
    done = client.archive(4, seen=client.get_task(4))
    with pytest.raises(ValueError, match="#4 is archived already"):
        client.archive(4, seen=client.get_task(4))
    copy = client.undo(done).after.id
    for again in (lambda: client.undo(done), lambda: client.restore(4, seen=client.get_task(4))):
        with pytest.raises(ValueError, match=f"#4 is restored already, as #{copy}"):
            again()
    store.delete_task(copy)
    assert client.restore(4, seen=client.get_task(4)).after.id > copy


def test_a_change_that_fails_half_way_says_what_is_written(
    client: TinytaskClient, store: TinytaskStore
) -> None:
    """TinyTask takes queue, parent and the rest by different tools."""
    with pytest.raises(
        TinytaskConnectionError, match=r"#4: its queue changed, and not the rest: .*999"
    ) as told:
        client.change(4, seen=client.get_task(4), queue_name="qa", blocked_by_task_id=999, sure=True)
    assert told.value.outcome_unknown and store.get_task(4)["queue_name"] == "qa"


def test_a_comment_that_is_no_text_is_refused_before_anything_is_done(
    client: TinytaskClient, store: TinytaskStore
) -> None:
    """The task stays whose it is."""
    before = store.get_task(2)
    with pytest.raises(ValueError, match="comment is text, not 3"):
        client.reassign(2, "bob", seen=client.get_task(2), comment=3)  # type: ignore[arg-type]
    assert store.get_task(2) == before


def test_what_is_no_action_can_not_be_undone(client: TinytaskClient) -> None:
    """A task, say: the error names what to give instead."""
    with pytest.raises(ValueError, match="undo takes what an action returned"):
        client.undo(client.get_task(4))  # type: ignore[arg-type]


def test_archiving_a_task_that_holds_up_others_names_them_first(
    client: TinytaskClient, store: TinytaskStore
) -> None:
    """They would never end, and open subtasks would be left behind; a finished one harms nobody."""
    with pytest.raises(UnconfirmedError) as asked:
        client.archive(2, seen=client.get_task(2))
    assert asked.value.consequences == ("#3 would never end, waiting for #2, archived and unfinished",)
    with pytest.raises(UnconfirmedError) as asked:
        client.archive(1, seen=client.get_task(1))
    assert asked.value.consequences == ("#2 and #3 would stay open under an archived parent",)
    for _ in range(20):
        store.create_task("Waits", "lead", blocked_by_task_id=2)
    with pytest.raises(UnconfirmedError, match="#3, #5, #6, #7, #8, #9, #10 and 14 more would never end"):
        client.archive(2, seen=client.get_task(2))
    assert store.get_task(1)["archived_at"] is store.get_task(2)["archived_at"] is None
    client.complete(2, seen=client.get_task(2))
    assert client.archive(2, seen=client.get_task(2)).after.archived_at is not None


def test_completing_a_parent_with_open_subtasks_names_them_first(client: TinytaskClient) -> None:
    """And goes on if that is meant."""
    with pytest.raises(UnconfirmedError, match="#2 and #3 would stay open under a parent that is complete"):
        client.complete(1, seen=client.get_task(1))
    assert client.complete(1, seen=client.get_task(1), sure=True).after.status == "complete"


def test_a_task_is_not_made_to_wait_for_ever_without_a_word(
    client: TinytaskClient, store: TinytaskStore
) -> None:
    """Not for itself in a circle of any length, not for what is archived or complete."""
    store.create_task("Third", "lead", blocked_by_task_id=3)
    with pytest.raises(UnconfirmedError, match="#2 would wait for itself: #2 → #5 → #3 → #2"):
        client.change(2, seen=client.get_task(2), blocked_by_task_id=5)
    store.archive_task(4)
    with pytest.raises(UnconfirmedError, match="#2 would never end: #4 is archived and unfinished"):
        client.change(2, seen=client.get_task(2), blocked_by_task_id=4)
    with pytest.raises(UnconfirmedError, match="#2 would be under a parent that is archived"):
        client.change(2, seen=client.get_task(2), parent_task_id=4)
    store.update_task(4, status="complete")
    with pytest.raises(UnconfirmedError, match="#4 is complete, so #2 would wait for nothing"):
        client.change(2, seen=client.get_task(2), blocked_by_task_id=4)


def test_a_new_name_is_asked_about(client: TinytaskClient, store: TinytaskStore) -> None:
    """A typo would make a new agent; agents of the past and of the archive are known."""
    store.create_task("Old", "lead", assigned_to="vaela")
    store.archive_task(5)
    with pytest.raises(UnconfirmedError) as asked:
        client.reassign(2, "velaa", seen=client.get_task(2))
    assert asked.value.consequences == (
        "no agent called 'velaa' has ever had a task here; did you mean 'vaela'?",
    )
    assert asked.value.suggestion == "vaela"
    with pytest.raises(UnconfirmedError, match="did you mean 'alice'"):
        client.reassign(3, "Alice ", seen=client.get_task(3))
    assert client.reassign(2, "vaela", seen=client.get_task(2)).after.assigned_to == "vaela"
    assert client.reassign(2, "alice", seen=client.get_task(2)).after.assigned_to == "alice"
    new = client.reassign(2, "zoe", seen=client.get_task(2), sure=True)
    assert new.after.assigned_to == "zoe"


def test_what_an_archived_task_held_up_goes_on_with_its_copy(
    client: TinytaskClient, store: TinytaskStore
) -> None:
    """TinyTask has no way back from the archive, so undo makes a copy, and undoing that archives it again."""
    store.update_task(1, description="All of it", queue_name="dev", tags=["a", "b"], priority=4)
    store.create_task("Waits", "lead", blocked_by_task_id=1)
    store.add_comment(1, "Begin here", "lead")
    gone = client.archive(1, seen=client.get_task(1), sure=True)
    back = client.undo(gone)
    copy = back.after
    assert copy.id == 6 and copy.archived_at is None and copy.created_by == "supervisor"
    assert (copy.title, copy.description) == ("Parent", "All of it")
    assert fields(copy) == fields(gone.before)
    assert [(one.created_by, one.content) for one in copy.comments or ()] == [
        ("supervisor", "restored from #1, which stays archived with its comments and links")
    ]
    assert store.list_comments(1)[-1]["content"] == "restored as #6"
    assert store.get_task(5)["blocked_by_task_id"] == 6
    assert [store.get_task(one)["parent_task_id"] for one in (2, 3)] == [6, 6]
    client.undo(back)
    assert store.get_task(5)["blocked_by_task_id"] == 1
    assert [store.get_task(one)["parent_task_id"] for one in (2, 3)] == [1, 1]
    assert store.get_task(6)["archived_at"] is not None
    with pytest.raises(UsageError, match="#2 is not archived"):
        client.restore(2, seen=client.get_task(2))


def test_what_tinytask_always_refuses_is_said_before_it_is_asked(
    client: TinytaskClient, store: TinytaskStore
) -> None:
    """A complete or archived task can't be handed on, and nobody gets what is theirs already."""
    with pytest.raises(UsageError, match="alice has #2 already"):
        client.reassign(2, "alice", seen=client.get_task(2))
    with pytest.raises(UsageError, match="name an agent"):
        client.reassign(2, " ", seen=client.get_task(2))
    store.update_task(2, status="complete")
    with pytest.raises(UsageError, match="#2 is complete, and TinyTask hands on open tasks only"):
        client.reassign(2, "bob", seen=client.get_task(2))
    with pytest.raises(UsageError, match="nothing left to release"):
        client.release(2, seen=client.get_task(2))
    assert {"reassign", "release", "complete", "wait_for"}.isdisjoint(offered(client, client.get_task(2)))
    assert client.set_idle(2, seen=client.get_task(2)).after.status == "idle"
    store.archive_task(2)
    assert offered(client, client.get_task(2)) == ["restore", "comment"]


def test_what_went_wrong_half_way_is_told(client: TinytaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task is the new agent's, and the error says so, with what may be missing."""

    def cut(*_: Any, **__: Any) -> Any:
        raise TinytaskConnectionError("cut off", outcome_unknown=True)

    monkeypatch.setattr(client, "add_comment", cut)
    with pytest.raises(TinytaskConnectionError, match="#2 is bob's now, but the comment is not") as half:
        client.reassign(2, "bob", seen=client.get_task(2), comment="yours")
    assert half.value.outcome_unknown


def test_a_hostile_name_is_inert_in_what_is_said(client: TinytaskClient, store: TinytaskStore) -> None:
    """Terminals and right-to-left marks do nothing, and a name of any length leaves the sentence readable."""
    seen = client.get_task(2)
    store.update_task(2, assigned_to="\x1b]0;pwned\x07\u202e" + "x" * 500)
    with pytest.raises(MovedOnError) as refused:
        client.release(2, seen=seen)
    assert refused.value.reason.isprintable() and len(refused.value.reason) < 250
    with pytest.raises(UnconfirmedError) as asked:
        client.reassign(3, "\x1b[2J" + "y" * 100_000, seen=client.get_task(3))
    assert str(asked.value).isprintable() and len(str(asked.value)) < 250


def test_of_a_file_nothing_is_offered(client: TinytaskClient, tmp_path: Path) -> None:
    """It is only read, so every action would be refused."""
    with TinytaskStore(tmp_path / "tasks.db") as store:
        store.create_task("In a file", "lead")
    with TinytaskClient(tmp_path / "tasks.db") as file:
        assert offered(file, file.get_task(1)) == []


def test_an_older_server_does_what_it_can(store: TinytaskStore) -> None:
    """A TinyTask v1 hands on and sets idle, and is offered no queues, parents and blocking."""
    with TinytaskClient(create_v1_server(store)) as v1:
        seen = v1.get_task(2)
        assert {"queue", "parent", "wait_for", "unblock"}.isdisjoint(offered(v1, seen))
        done = v1.reassign(2, "bob", seen=seen, comment="yours")
        assert fields(done.after)["assigned_to"] == "bob"
        assert v1.undo(done).after.assigned_to == "alice"
        assert v1.complete(1, seen=v1.get_task(1)).after.status == "complete"
        with pytest.raises(TinytaskAPIError):
            v1.change(2, seen=v1.get_task(2), queue_name="dev")


def test_a_number_that_comes_as_text_is_no_change_by_somebody_else(client: TinytaskClient) -> None:
    """`'3'` is task 3: nobody is suspected, and a circle is seen before it is made."""
    one, other = (client.create_task("t").id for _ in range(2))
    action = client.change(one, seen=client.get_task(one), blocked_by_task_id=str(other))
    assert (action.warning, action.after.blocked_by_task_id) == ("", other)
    with pytest.raises(UnconfirmedError, match="would wait for itself"):
        client.change(other, seen=client.get_task(other), blocked_by_task_id=str(one))


@pytest.mark.parametrize("to", [None, 5, " "])
def test_nobody_is_not_an_agent_to_assign_to(to: Any, client: TinytaskClient) -> None:
    """The words say what to call instead."""
    task = client.create_task("t")
    with pytest.raises(ValueError, match="name an agent"):
        client.reassign(task.id, to, seen=task)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (None, "not NoneType"),
        (7, "not int"),
        ({"id": 1}, "'assigned_to' is missing"),
        (pd.DataFrame({"id": [1, 1]}), "not DataFrame"),
        ({"id": 1, "assigned_to": "a", "status": "idle", "updated_at": "garbage"}, "garbage"),
    ],
)
def test_what_was_not_seen_is_refused_in_words(seen: Any, words: str, client: TinytaskClient) -> None:
    """What stands in for a look says what is wrong with it."""
    with pytest.raises(ValueError, match=f"seen is a Task.*{words}"):
        client.release(client.create_task("t").id, seen=seen)
