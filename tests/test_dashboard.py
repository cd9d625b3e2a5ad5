"""The dashboard's Python side: what its messages do, with no browser."""

from __future__ import annotations

import gc
import re
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import pytest

from calypso_nb import Dashboard, TinytaskClient, TinytaskConnectionError, WorkloadData, WorkloadReporter
from calypso_nb.embedded import TinytaskStore, create_server, running_server
from calypso_nb.run_marks import AUTHOR
from calypso_nb.view import dashboard as dashboards
from calypso_nb.view.bundle import unpacked_text
from calypso_nb.view.page import VIEW
from calypso_nb.view.task_dialog import CURES
from calypso_nb.workload.attention import REASONS
from tests.conftest import SECONDS, eventually


class Asked:
    """A dashboard and what its view was sent."""

    def __init__(self, store: TinytaskStore, client: TinytaskClient, **options: Any) -> None:
        self.store = store
        self.dashboard = Dashboard(WorkloadReporter(client), **options)
        self.sent: list[dict[str, Any]] = []
        self.dashboard.view.send = self.sent.append  # type: ignore[method-assign, assignment]

    @property
    def news(self) -> dict[str, Any]:
        return self.dashboard.view.news

    @property
    def happened(self) -> dict[str, Any]:
        return self.dashboard.view.happened

    def ask(self, **message: Any) -> dict[str, Any]:
        """Send what the view sends, and wait for the answer and for what follows it."""
        before = len(self.sent)
        self.dashboard.view._handle_custom_msg({"request": "1", **message}, [])
        assert eventually(lambda: len(self.sent) > before)
        self.settle()
        return self.sent[before]

    def ask_refresh(self, **message: Any) -> None:
        """Refresh as the view's button does."""
        self.dashboard.view._handle_custom_msg({"ask": "refresh", "timed": False, **message}, [])
        self.settle()

    def settle(self) -> None:
        """Wait for the threads that a message has started."""
        for thread in threading.enumerate():
            if thread.name == "calypso-nb-ask":
                thread.join(SECONDS)
                assert not thread.is_alive()

    def seen(self, task: int) -> dict[str, Any]:
        """What the dialog shows of a task, and sends back with an action."""
        shown = self.ask(ask="task", id=task)["task"]
        return {name: shown[name] for name in ("id", "assigned_to", "status", "updated_at", "archived_at")}

    def act(self, task: int, action: str, **values: Any) -> dict[str, Any]:
        return self.ask(ask="act", id=task, action=action, **{"seen": self.seen(task), **values})

    def shown(self, task: int) -> dict[str, Any]:
        """The row of a task that the view shows."""
        rows = self.dashboard.view.payload["rows"]
        at = rows["id"].index(task)
        return {name: values[at] for name, values in rows.items()}


@pytest.fixture
def asked(store: TinytaskStore) -> Iterator[Asked]:
    """A parent with two subtasks, of which the second waits for the first, and a task of nobody."""
    store.create_task("Parent", "lead", description="What it is about")
    store.create_task("First", "lead", parent_task_id=1, assigned_to="alice", tags=["ui"], priority=3)
    store.create_task("Second", "lead", parent_task_id=1, blocked_by_task_id=2, assigned_to="bob")
    store.create_task("Nobody's", "lead")
    store.add_comment(2, "Begin here", "lead")
    store.add_link(2, "javascript:alert(1)", "lead")
    with TinytaskClient(create_server(store)) as client:
        yield Asked(store, client)


def test_what_no_dashboard_can_be_made_of_is_an_error_in_words_and_nothing_more(
    store: TinytaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client in the reporter's place, or a server that is not there; ipywidgets adds no error to it."""
    ignored: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)
    with TinytaskClient(create_server(store)) as client:
        with pytest.raises(ValueError, match=r"not a TinytaskClient: Dashboard\(WorkloadReporter\(…\)\)"):
            Dashboard(client)  # type: ignore[arg-type]
        reporter = WorkloadReporter(client)
        error = TinytaskConnectionError("nothing answers")
        monkeypatch.setattr(reporter, "collect_workload_data", Mock(side_effect=error))
        with pytest.raises(TinytaskConnectionError):
            Dashboard(reporter)
    gc.collect()
    assert ignored == []


def test_a_task_is_read_with_all_that_belongs_to_it(asked: Asked) -> None:
    """Comments and links from the server, its relatives by name from what was listed."""
    task = asked.ask(ask="task", id=2)["task"]
    assert [comment["content"] for comment in task["comments"]] == ["Begin here"]
    assert [link["url"] for link in task["links"]] == ["javascript:alert(1)"]
    assert task["parent"] == {"id": 1, "title": "Parent", "status": "idle"}
    assert task["holds_up"] == [{"id": 3, "title": "Second", "status": "idle"}]
    parent = asked.ask(ask="task", id=1)["task"]
    assert [subtask["id"] for subtask in parent["subtasks"]] == [2, 3]
    assert asked.ask(ask="task", id=3)["task"]["blocker"]["title"] == "First"


def test_the_servers_refusal_comes_word_for_word(asked: Asked) -> None:
    """For a task that is gone, and for an action that TinyTask does not allow."""
    assert asked.ask(ask="task", id=99)["error"] == "Task not found: 99"
    refused = asked.act(2, "wait_for", value=2, sure=True)
    assert refused["error"].endswith("Task cannot be blocked by itself")


def test_each_action_does_what_it_says_and_updates_the_view(asked: Asked) -> None:
    """On the server, in the answer, and in what the view shows."""
    moved = asked.act(2, "reassign", agent="bob", comment="your turn")["task"]
    assert (moved["assigned_to"], moved["previous_assigned_to"]) == ("bob", "alice")
    assert [(one["created_by"], one["content"]) for one in moved["comments"]][1:] == [
        ("alice", "handed on by supervisor"),
        ("supervisor", "your turn"),
    ]
    assert asked.shown(2)["agent"] == "bob"
    assert asked.shown(2)["comments"] == len(moved["comments"]) == 3
    assert asked.act(2, "priority", value=9)["task"]["priority"] == asked.shown(2)["priority"] == 9
    assert asked.act(2, "tags", value=[])["task"]["tags"] == asked.shown(2)["tags"] == []
    assert asked.act(2, "queue", value="dev")["task"]["queue_name"] == asked.shown(2)["queue"] == "dev"
    assert asked.act(2, "queue", value="")["task"]["queue_name"] is asked.shown(2)["queue"] is None
    said = asked.act(4, "comment", comment="Who takes it?")["task"]["comments"][0]
    assert (said["content"], said["created_by"]) == ("Who takes it?", "supervisor")
    given = asked.act(4, "reassign", agent="bob", comment="it is yours")["task"]
    assert (given["assigned_to"], given["comments"][-1]["content"]) == ("bob", "it is yours")
    asked.store.update_task(4, status="working")
    assert asked.act(4, "set_idle")["task"]["status"] == asked.shown(4)["status"] == "idle"
    assert asked.act(4, "release")["task"]["assigned_to"] is asked.shown(4)["agent"] is None
    assert asked.act(4, "wait_for", value=3)["task"]["blocker"]["title"] == "Second"
    assert asked.act(4, "unblock")["task"]["blocked_by_task_id"] is asked.shown(4)["blocked_by"] is None
    assert asked.act(4, "parent", value=1)["task"]["parent"]["title"] == "Parent"
    assert asked.act(4, "parent", value=None)["task"]["parent"] is None
    assert asked.shown(3)["blocked"] is True
    assert asked.act(2, "complete")["task"]["status"] == asked.shown(2)["status"] == "complete"
    assert asked.shown(3)["blocked"] is False
    assert asked.act(4, "archive", sure=True)["task"]["archived_at"] is not None
    assert 4 not in asked.dashboard.view.payload["rows"]["id"]
    assert "unknown action 'dance'" in asked.act(4, "dance")["error"]


def test_an_action_on_a_task_that_another_has_meanwhile_is_refused_and_shows_it(asked: Asked) -> None:
    """It says who has it, the dialog gets the task as it is, and the view is read again."""
    seen = asked.seen(2)
    with TinytaskClient(create_server(asked.store)) as other:
        other.move_task(2, "alice", "carol", "yours")
    answer = asked.act(2, "reassign", agent="bob", comment="mine", seen=seen)["task"]
    assert (
        answer["refused"]
        == "#2 has moved on: carol has it since 09:30 UTC at the latest (you saw alice); look again"
    )
    assert answer["assigned_to"] == asked.shown(2)["agent"] == "carol"
    assert "mine" not in [comment["content"] for comment in answer["comments"]]


def test_no_comment_carries_a_name_that_did_not_write_it(asked: Asked) -> None:
    """Whatever the supervisor writes is stored under the supervisor's name, whoever has the task."""
    words = iter(["one", "two", "three", "four"])
    for task, agent in ((2, "bob"), (2, "alice"), (4, "alice"), (4, "bob")):
        asked.act(task, "reassign", agent=agent, comment=next(words))
    comments = [comment for task in (2, 4) for comment in asked.store.list_comments(task)]
    by = {comment["content"]: comment["created_by"] for comment in comments}
    assert by.keys() == {"Begin here", "handed on by supervisor", "one", "two", "three", "four"}
    assert {by[word] for word in ("one", "two", "three", "four")} == {"supervisor"}


def test_a_consequence_is_named_before_and_the_action_undone_after(asked: Asked) -> None:
    """Nothing is done until the consequence is agreed to; an archived task comes back as a copy."""
    question = asked.act(2, "archive")["task"]["question"]
    assert question[0] == "#3 would never end, waiting for #2, archived and unfinished"
    assert asked.store.get_task(2)["archived_at"] is None
    assert asked.act(1, "complete")["task"]["question"] == [
        "#2 and #3 would stay open under a parent that is complete"
    ]
    told = asked.act(2, "archive", sure=True)["task"]["told"]
    assert (told["done"], told["how"]) == ("#2 is archived", "Restore it as a copy")
    back = asked.ask(ask="undo", id=2, undo=told["undo"])["task"]
    assert back["id"] == 5
    assert asked.store.get_task(3)["blocked_by_task_id"] == 5
    told = asked.act(5, "reassign", agent="bob", comment="")["task"]["told"]
    assert (told["done"], told["how"]) == ("#5: agent alice → bob", "Undo")
    asked.store.update_task(5, status="working")
    refused = asked.ask(ask="undo", id=5, undo=told["undo"])["task"]["refused"]
    assert refused.startswith("#5 has moved on: it is working since") and asked.shown(5)["agent"] == "bob"
    asked.store.update_task(5, status="idle")
    undone = asked.ask(ask="undo", id=5, undo=told["undo"])["task"]
    assert undone["told"]["done"] == "#5: agent bob → alice" and asked.shown(5)["agent"] == "alice"


def test_an_unknown_agent_is_asked_about(asked: Asked) -> None:
    """With the name that was meant, if it is like a known one."""
    answer = asked.act(2, "reassign", agent="bobb", comment="")["task"]
    assert answer["question"] == ["no agent called 'bobb' has ever had a task here; did you mean 'bob'?"]
    assert answer["suggestion"] == "bob"
    assert asked.store.get_task(2)["assigned_to"] == "alice"


def test_the_dialog_offers_what_cures_each_reason_and_nothing_that_is_always_refused(asked: Asked) -> None:
    """Every reason of the attention list has its buttons."""
    assert CURES.keys() == REASONS.keys() and all(CURES.values())
    asked.store.archive_task(2)
    asked.store.create_task("Loop", "lead", blocked_by_task_id=4, priority=9)
    asked.store.create_task("Loops back", "lead", blocked_by_task_id=5, assigned_to="bob")
    asked.store.update_task(4, blocked_by_task_id=6)
    asked.dashboard.refresh()

    def cures(task: int) -> dict[str, list[str]]:
        return {need["reason"]: need["cures"] for need in asked.ask(ask="task", id=task)["task"]["needs"]}

    assert cures(3)["archived_blocker"] == ["unblock", "restore_blocker", "wait_for"]
    assert [cures(task)["blocking_cycle"] for task in (4, 5, 6)] == [
        ["unblock", "wait_for", "see_blocker"]
    ] * 3
    assert asked.ask(ask="task", id=2)["task"]["offered"] == ["restore", "comment"]
    asked.store.update_task(3, status="complete")
    complete = asked.ask(ask="task", id=3)["task"]["offered"]
    assert {"reassign", "release", "complete", "wait_for"}.isdisjoint(complete) and "set_idle" in complete


def test_a_refresh_says_what_changed_since(asked: Asked) -> None:
    """New, started, finished and reassigned; nothing is told of what stayed."""
    asked.store.create_task("New one", "lead")
    asked.store.update_task(4, status="working")
    asked.store.update_task(2, status="complete")
    asked.store.update_task(3, assigned_to="dora")
    since = asked.dashboard.data.generated_at.isoformat()
    asked.dashboard.refresh()
    told = {(change["change"], change["id"]) for change in asked.happened["changes"]}
    assert {("new", 5), ("started", 4), ("finished", 2), ("reassigned", 3)} <= told
    assert asked.happened["since"] == since and asked.news["error"] == ""
    asked.dashboard.refresh()
    assert asked.happened["changes"] == []


def test_a_refresh_by_the_timer_counts_only_new_tasks_comments(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest keep the counts that are known, and it is said of when these are.

    A request a task every ten seconds would be too much.
    """
    client = asked.dashboard.reporter.client
    counted: list[int] = []
    count = client.count_details
    monkeypatch.setattr(
        client, "count_details", lambda ids, *how, **more: counted.extend(ids) or count(ids, *how, **more)
    )
    asked.store.create_task("New one", "lead")
    asked.dashboard.view._handle_custom_msg({"ask": "refresh", "timed": True}, [])
    asked.settle()
    assert counted == [5]
    assert (asked.shown(2)["comments"], asked.shown(5)["comments"]) == (1, 0)
    first = asked.dashboard.view.payload["meta"]["counted_at"]
    assert first is not None and first < asked.dashboard.data.generated_at.isoformat()
    asked.act(4, "priority", value=1)
    assert asked.dashboard.view.payload["meta"]["counted_at"] == first
    saved = re.sub(r"<[^>]+>", "", asked.dashboard._static()["text/html"])
    assert f"counted at{first[:10]} {first[11:19]} UTC" in saved
    asked.dashboard.refresh()
    assert sorted(counted) == [1, 2, 3, 4, 5, 5]
    assert asked.dashboard.view.payload["meta"]["counted_at"] is None


def test_a_refresh_by_the_timer_takes_no_run_for_lost_by_an_old_sign(asked: Asked) -> None:
    """One that began since the last reading, and one whose lease was renewed since; a dead one is told."""

    def reasons() -> list[str]:
        asked.dashboard.view._handle_custom_msg({"ask": "refresh", "timed": True}, [])
        asked.settle()
        return [row["reasons"] for row in asked.dashboard.view.payload["attention"]]

    asked.store.now = lambda: datetime.now(UTC)
    lease = "Lease 0123456789ab of {} s, sign {}: box runs default"
    asked.store.update_task(2, status="working", tags=["run-agent"])
    comment = asked.store.add_comment(2, lease.format(4, 1), AUTHOR)["id"]
    assert reasons() == []
    assert eventually(lambda: reasons() == [["run_lost"]])
    asked.store.update_comment(comment, lease.format(60, 2))
    assert reasons() == []


def test_a_large_board_is_shown_before_its_comments_are_counted(
    store: TinytaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First those of tasks in progress, then those that somebody looks at; what is not counted is unknown."""
    monkeypatch.setattr(dashboards, "_AT_ONCE", 2)
    for number in range(4):
        store.create_task(f"Task {number}", "lead", assigned_to="alice")
    store.update_task(2, status="working")
    store.add_comment(2, "On it", "alice")
    go_on = threading.Event()
    with running_server(store) as url, TinytaskClient(url) as client:
        count = client.count_details
        monkeypatch.setattr(
            client, "count_details", lambda *ids, **how: go_on.wait(SECONDS) and count(*ids, **how)
        )
        asked = Asked(store, client)
        comments = lambda: asked.dashboard.view.payload["rows"]["comments"]  # noqa: E731
        assert asked.dashboard.view.payload["rows"]["id"] == [1, 2, 3, 4] and comments() == [None] * 4
        go_on.set()
        assert eventually(lambda: comments() == [None, 1, None, None])
        assert asked.dashboard.data.tasks["comment_count"].isna().tolist() == [True, False, True, True]
        store.add_comment(3, "Look", "lead")
        assert asked.ask(ask="counts", ids=[3, 4])["task"] == {}
        assert comments() == [None, 1, 1, 0]
        store.add_comment(3, "Look again", "lead")
        asked.ask_refresh(ids=[3])
        assert comments() == [None, 1, 2, 0]
        asked.dashboard.close()


def test_what_is_only_older_is_not_saved_again(asked: Asked) -> None:
    """A notebook that was saved stays so until something has happened, or the filter is another."""
    saved: list[dict[str, Any]] = []
    dashboard = asked.dashboard
    dashboard._saved.update = lambda bundle, raw: saved.append(bundle)
    dashboard._displayed, dashboard._saved_filter = True, dashboard.filter
    dashboard.refresh()
    dashboard.refresh()
    assert saved == []
    asked.store.create_task("New one", "lead")
    dashboard.refresh()
    dashboard.filter = {"agents": ["alice"]}
    dashboard.refresh()
    views = [unpacked_text(bundle[VIEW]["packed"]) for bundle in saved]
    assert [view["rows"]["title"][-1] for view in views] == ["New one", "New one"]
    assert [view["filter"]["agents"] for view in views] == [[], ["alice"]]


def test_who_refreshes_while_it_is_read_gets_what_is_there_afterwards(
    asked: Asked, store: TinytaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is being read may have missed it; a timer starts nothing, and nobody waits for themselves."""
    reading, go_on = threading.Event(), threading.Event()
    read, calls = asked.dashboard.reporter.collect_workload_data, []

    def slow(**filters: Any) -> WorkloadData:
        data: WorkloadData = read(**filters)
        calls.append(len(data.tasks))
        reading.set()
        assert go_on.wait(SECONDS)
        return data

    monkeypatch.setattr(asked.dashboard.reporter, "collect_workload_data", slow)
    asked.dashboard.view._handle_custom_msg({"ask": "refresh"}, [])
    assert reading.wait(SECONDS)
    store.create_task("Comes meanwhile", "lead")
    asked.dashboard.view._handle_custom_msg({"ask": "refresh", "timed": True}, [])
    again = threading.Thread(target=asked.dashboard.refresh)
    again.start()
    go_on.set()
    again.join(SECONDS)
    asked.settle()
    assert calls == [calls[0], calls[0] + 1] and not asked.news["busy"]
    asked.dashboard.on_change(lambda _: asked.dashboard.refresh())


def test_an_outage_keeps_the_numbers_and_a_later_refresh_goes_on(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any failure ends up in the dashboard, whoever raised it."""
    shown = asked.dashboard.view.payload
    for error in (TinytaskConnectionError("nothing answers"), RuntimeError("unforeseen")):

        def fail(error: Exception = error, **_: object) -> WorkloadData:
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(asked.dashboard.reporter, "collect_workload_data", fail)
            asked.dashboard.refresh()
        assert str(error) in asked.news["error"] and asked.news["about"] == "data"
        assert asked.dashboard.view.payload is shown and not asked.news["busy"]
    asked.dashboard.refresh()
    assert asked.news["error"] == ""


def test_what_a_callback_raises_is_shown_in_the_dashboard(asked: Asked) -> None:
    """And the callbacks after it are called all the same."""
    counts: list[int] = []

    def broken(_: object) -> None:
        raise KeyError("no such column")

    asked.dashboard.on_change(broken)
    asked.dashboard.on_change(lambda tasks: counts.append(len(tasks)))
    assert "broken: KeyError" in asked.news["error"] and asked.news["about"] == "callback"
    asked.dashboard.filter = {"agents": ["alice"]}
    assert counts == [4, 1]


def test_selected_is_what_the_filter_lets_through(asked: Asked) -> None:
    """Set from Python or in the browser; `filtered` counts it."""
    dashboard = asked.dashboard
    dashboard.filter = {"statuses": [], "tags": ["ui"]}
    assert dashboard.selected["id"].tolist() == [2]
    assert dashboard.filtered.summary.total_open_tasks == 1
    dashboard.view.set_state({"filter": {"agents": [None]}})
    assert dashboard.selected["id"].tolist() == [1, 4]
    with pytest.raises(ValueError, match="unknown filter 'agent'"):
        dashboard.filter = {"agent": "alice"}
    for wrong in (
        {"agents": "alice"}, {"priority": 5}, {"statuses": ["idel"]}, {"search": None}, {"blocked": ["yes"]},
        {"ids": ["2"]}, {"ids": 2},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"the filter '{next(iter(wrong))}'"):
            dashboard.filter = wrong
    assert dashboard.selected["id"].tolist() == [1, 4]
    dashboard.filter = {"agents": [], "tags": [], "ids": [2, 4, 99]}
    assert dashboard.selected["id"].tolist() == [2, 4]
    dashboard.filter = {"blocked": [True, None]}
    assert dashboard.selected.empty


def test_the_dashboard_starts_with_the_filters_that_it_is_given(store: TinytaskStore) -> None:
    """One agent or several, any statuses, and an interval."""
    store.create_task("One", "lead", assigned_to="alice")
    with TinytaskClient(create_server(store)) as client:
        one = Asked(store, client, agent_filter="alice", status_filter=["idle"], every=30).dashboard
        assert one.filter["agents"] == ["alice"] and one.filter["statuses"] == ["idle"]
        assert one.view.every == 30
        several = Asked(store, client, agent_filter=["alice", None]).dashboard
        assert several.filter["agents"] == ["alice", None]
        one.close()
        assert one.view.comm is None


def test_a_dashboard_leaves_no_thread_behind(asked: Asked) -> None:
    """Neither a refresh nor an action, and the timer is the browser's."""
    before = {thread for thread in threading.enumerate() if thread.is_alive()}
    asked.act(2, "priority", value=1)
    asked.dashboard.view._handle_custom_msg({"ask": "refresh"}, [])
    asked.settle()
    assert {thread for thread in threading.enumerate() if thread.is_alive()} <= before


def test_the_widgets_and_the_filter_say_the_same_at_once(asked: Asked) -> None:
    """What Python sets in one of them is in the others in its next line, with no browser in between."""
    dashboard, shown = asked.dashboard, []
    dashboard.on_change(lambda tasks: shown.append(sorted(tasks["id"])))
    dashboard.agents.value = ["alice", None]
    assert dashboard.filter["agents"] == ["alice", None]
    assert sorted(dashboard.selected["id"]) == [1, 2, 4]
    dashboard.statuses[0].value = False
    assert dashboard.filter["statuses"] == ["working"]
    dashboard.filter = {"statuses": ["complete", "idle"], "agents": ["bob"]}
    assert [button.value for button in dashboard.statuses] == [True, False, True]
    assert dashboard.agents.value == ("bob",)
    assert shown == [[1, 2, 3, 4], [1, 2, 4], [], [3]]


def test_a_widget_filters_if_it_is_clicked_outside_the_view_too(asked: Asked) -> None:
    """Such as `display(dashboard.agents)` in another cell, and what the view sends sets the widgets."""
    dashboard = asked.dashboard
    dashboard.agents.set_state({"index": [1]})
    assert dashboard.agents.value == ("alice",) and dashboard.filter["agents"] == ["alice"]
    dashboard.view.set_state({"filter": {"statuses": ["complete"], "agents": ["bob", "not offered"]}})
    assert [button.value for button in dashboard.statuses] == [False, False, True]
    assert dashboard.agents.value == ("bob",)
    assert dashboard.filter["agents"] == ["bob", "not offered"]


def test_an_agent_that_is_chosen_stays_chosen_when_its_tasks_have_gone(asked: Asked) -> None:
    """And others may come: nothing else is chosen in its place."""
    dashboard = asked.dashboard
    dashboard.filter = {"agents": ["bob", None]}
    asked.store.update_task(3, assigned_to="aaron")
    dashboard.refresh()
    assert dashboard.filter["agents"] == ["bob", None]
    assert dashboard.agents.value == ("bob", None)
    # A place that a click names while the list changes still means the same agent.
    assert [agent for _, agent in dashboard.agents.options] == [None, "alice", "bob", "aaron"]
    dashboard.filter = {"agents": ["nobody of that name"]}
    assert dashboard.agents.value == ("nobody of that name",)
