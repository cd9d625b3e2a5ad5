"""What the dashboard does to several tasks at once: asked before, task by task, and undone together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from calypso_nb import TinytaskClient, TinytaskConnectionError, WorkloadReporter
from calypso_nb.embedded import TinytaskStore, create_server
from calypso_nb.view.task_dialog import Done, respond
from tests.boards import family

pytestmark = pytest.mark.usefixtures("clean_environment")


class Acting:
    """A dashboard's answers."""

    def __init__(self, store: TinytaskStore, client: TinytaskClient) -> None:
        self.store, self.client = store, client
        self.done: Done = {}

    def seen(self, *tasks: int) -> list[dict[str, Any]]:
        """Tasks as they are shown now."""
        return [{"id": task, "seen": {**self.store.get_task(task)}} for task in tasks]

    def ask(self, **message: Any) -> dict[str, Any]:
        data = WorkloadReporter(self.client).collect_workload_data(details=False)
        return respond(self.client, message, data, "eve", self.done)

    def acts(self, action: str, *tasks: int, **values: Any) -> dict[str, Any]:
        return self.ask(ask="acts", action=action, **{"tasks": self.seen(*tasks), **values})


@pytest.fixture
def acting() -> Iterator[Acting]:
    with family() as store, TinytaskClient(create_server(store)) as client:
        yield Acting(store, client)


def open_titles(acting: Acting) -> dict[str, dict[str, Any]]:
    return {one["title"]: one for one in acting.store.list_tasks()}


def test_nothing_is_done_to_several_before_the_consequences_are_agreed_to(acting: Acting) -> None:
    """They are named per task, without those that are archived too."""
    answer = acting.acts("archive", 2, 3)
    assert answer["question"] == [
        "2 tasks would be archived. TinyTask has no way back from its archive: "
        "Restore would make copies with new numbers"
    ]
    answer = acting.acts("archive", 1, 2)
    assert answer["question"][:2] == [
        "#3 would stay open under an archived parent",
        "#3 would never end, waiting for #2, archived and unfinished",
    ]
    assert acting.acts("complete", 1, 4)["question"] == [
        "#2 and #3 would stay open under a parent that is complete"
    ]
    assert not any(one["archived_at"] for one in acting.store.list_tasks(include_archived=True))


def test_many_consequences_are_cut_and_counted(acting: Acting) -> None:
    """A question has to be read."""
    for number in range(30):
        acting.store.create_task(f"Blocks {number}", "lead")
        acting.store.create_task(f"Waits {number}", "lead", blocked_by_task_id=5 + 2 * number)
    question = acting.acts("archive", *range(5, 65, 2))["question"]
    assert len(question) == 10 and question[8] == "22 more like these"


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
def test_what_hung_together_hangs_together_after_undo(acting: Acting, order: tuple[int, ...]) -> None:
    """Whatever the order in which parent, blocker and the waiting task were archived."""
    told = acting.acts("archive", *order, sure=True)["told"]
    assert told["done"] == f"3 tasks archived: #{order[0]}, #{order[1]} and #{order[2]}"
    answer = acting.ask(ask="undo", undo=told["undo"], id=None)
    assert answer["refused"] == [] and answer["told"]["done"].startswith("3 tasks restored, as ")
    tasks = open_titles(acting)
    parent, first, second = tasks["Parent"], tasks["First"], tasks["Second"]
    assert second["blocked_by_task_id"] == first["id"]
    assert second["parent_task_id"] == first["parent_task_id"] == parent["id"]


def test_a_new_name_is_asked_about_once(acting: Acting) -> None:
    """And nobody has got anything."""
    answer = acting.acts("reassign", 2, 4, agent="bobb", comment="")
    assert answer["suggestion"] == "bob" and len(answer["question"]) == 1
    answer = acting.acts("reassign", 2, 4, agent="bob", comment="Both of you")
    assert answer["told"]["done"] == "2 tasks handed on: #2 and #4"
    comments = [one for task in (2, 4) for one in acting.store.list_comments(task)]
    assert {one["created_by"] for one in comments if one["content"] == "Both of you"} == {"eve"}


def test_what_one_task_refuses_stops_no_other(acting: Acting) -> None:
    """Each refusal is named, and the tasks are returned as they are."""
    tasks = acting.seen(2, 4, 1)
    acting.store.move_task(2, "alice", "carol", "yours")
    acting.store.update_task(4, status="complete")
    tasks[1:2] = acting.seen(4)
    answer = acting.acts("reassign", tasks=tasks, agent="bob", comment="")
    assert answer["told"]["done"] == "1 of 3 tasks handed on: #1"
    moved, complete = answer["refused"]
    assert moved.startswith("#2 has moved on: carol has it since") and complete.startswith("#4 is complete")
    assert {(one["id"], one["assigned_to"]) for one in answer["tasks"]} == {(2, "carol"), (1, "bob")}


def test_an_outage_ends_it_and_says_what_is_left(acting: Acting, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done can be undone."""
    change, calls = acting.client.change, iter(range(9))

    def failing(*given: Any, **fields: Any) -> Any:
        if next(calls):
            raise TinytaskConnectionError("no answer from tasks.example")
        return change(*given, **fields)

    monkeypatch.setattr(acting.client, "change", failing)
    answer = acting.acts("priority", 1, 2, 3, 4, value=7)
    assert answer["told"]["done"] == "1 of 4 tasks with another priority: #1"
    assert answer["refused"] == ["#2: no answer from tasks.example; nothing was done to #3 and #4"]
    monkeypatch.undo()
    assert acting.ask(ask="undo", undo=answer["told"]["undo"], id=1)["told"]["done"] == "#1: priority 7 → 0"


def test_what_could_not_be_undone_can_be_tried_again(acting: Acting) -> None:
    """The others are undone."""
    told = acting.acts("priority", 2, 3, 4, value=7)["told"]
    acting.store.update_task(3, priority=9)
    answer = acting.ask(ask="undo", undo=told["undo"], id=None)
    assert answer["told"]["done"] == "Undone for #2 and #4"
    assert len(answer["refused"]) == 1 and "#3 has moved on: priority 7 → 9" in answer["refused"][0]
    acting.store.update_task(3, priority=7)
    assert len(acting.done[told["undo"]]) == 1


def test_a_value_can_be_a_tasks_own(acting: Acting) -> None:
    """As where a tag is removed from each that has it."""
    acting.store.update_task(4, tags=["ui", "x"])
    tasks = [{**one, "value": value} for one, value in zip(acting.seen(2, 4), ([], ["x"]), strict=True)]
    acting.acts("tags", tasks=tasks)
    assert [acting.store.get_task(number)["tags"] for number in (2, 4)] == [[], ["x"]]


def test_a_comment_on_several_is_there_and_has_no_undo(acting: Acting) -> None:
    answer = acting.acts("comment", 2, 3, comment="Where are we?")
    assert answer["told"] == {"done": "The comment is there at 2 tasks"}
    assert [one["created_by"] for task in (2, 3) for one in acting.store.list_comments(task)] == [
        "eve",
        "eve",
    ]
