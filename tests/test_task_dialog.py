"""The task dialog in a page whose clock stands still, with a real TinyTask behind it that others write to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page

from calypso_nb import TinytaskClient, WorkloadReporter
from calypso_nb.client.actions import Action
from calypso_nb.embedded import TinytaskStore, create_server
from calypso_nb.view.payload import view_payload
from calypso_nb.view.task_dialog import refusal, respond
from tests.boards import family
from tests.browser import live_view
from tests.conftest import NOW

pytestmark = pytest.mark.browser

KERNEL = """
const el = document.querySelector(".calypso-view");
const changes = [1, 2, 3, 4].map((id) => ({ change: "new", id, title: `Task ${id}`, agent: null }));
const live = {
  news: () => ({ since: "2026-11-23T09:29:00+00:00", changes }),
  every: () => 0, setEvery: () => {}, refresh: () => {},
  ask: async (what, content) => {
    const { error, ...answer } = await window.respond({ ask: what, ...content });
    if (error) throw new Error(error);
    return answer;
  },
};
window.view = mount(el, read("payload"), { live });
"""


@pytest.fixture
def store() -> Iterator[TinytaskStore]:
    """A family of tasks, whose clock goes on."""
    with family("vaela", urgency=9) as store:
        yield store


class Dialog:
    """The dialog of a task, and what is behind it."""

    def __init__(self, page: Page, store: TinytaskStore, client: TinytaskClient) -> None:
        self.page, self.store, self.client = page, store, client
        self.away = ""
        self.done: dict[int, Action] = {}
        self.data = WorkloadReporter(client).collect_workload_data(progress=False)
        page.expose_function("respond", self.respond)
        page.clock.install(time=NOW)
        page.set_content(live_view(view_payload(self.data), KERNEL))
        page.evaluate("() => mounted")
        page.locator(".calypso-news summary").click()

    def respond(self, message: dict[str, Any]) -> dict[str, Any]:
        if self.away:
            return {"error": self.away}
        self.data = WorkloadReporter(self.client).collect_workload_data(details=False, progress=False)
        try:
            return respond(self.client, message, self.data, "eve", self.done)
        except Exception as error:
            return {"error": refusal(error)}

    def open(self, task: int) -> Locator:
        self.page.locator(".calypso-news li button", has_text=f"#{task} ").click()
        dialog = self.page.locator("dialog")
        dialog.locator(".calypso-actions").wait_for()
        return dialog

    def wait(self, seconds: float) -> None:
        """Let the page's clock go on."""
        self.page.clock.run_for(int(seconds * 1000))


@pytest.fixture
def dialog(browser: Browser, store: TinytaskStore) -> Iterator[Dialog]:
    context = browser.new_context(offline=True, viewport={"width": 1200, "height": 900})
    with TinytaskClient(create_server(store)) as client:
        yield Dialog(context.new_page(), store, client)
    context.close()


def button(within: Locator, name: str) -> Locator:
    return within.get_by_role("button", name=name, exact=True)


def test_a_reassign_after_a_foreign_move_is_refused_and_says_who_has_it(dialog: Dialog) -> None:
    """The click carries the agent that was shown; what was typed stays for a second click."""
    shown = dialog.open(2)
    shown.get_by_label("New agent", exact=True).fill("vaela")
    shown.get_by_label("What the new agent should know").fill("mine")
    with TinytaskClient(create_server(dialog.store)) as other:
        other.move_task(2, "alice", "lead", "yours")
    button(shown, "Reassign").click()
    alert = shown.get_by_role("alert")
    alert.wait_for()
    assert "#2 has moved on: lead has it since" in alert.inner_text()
    assert "(you saw alice); look again" in alert.inner_text()
    assert dialog.store.get_task(2)["assigned_to"] == "lead"
    assert "lead" in shown.locator(".calypso-about").inner_text()
    button(shown, "Reassign").click()
    shown.locator(".calypso-told").get_by_text("agent lead → vaela").wait_for()
    assert not alert.is_visible()
    by = {one["content"]: one["created_by"] for one in dialog.store.list_comments(2)}
    assert by == {"yours": "alice", "handed on by eve": "lead", "mine": "eve"}
    assert shown.get_by_label("What the new agent should know").input_value() == ""


def test_the_dialog_follows_what_others_change_and_says_so(dialog: Dialog) -> None:
    """Every five seconds; what is typed, and where, stays; a click at that very moment does nothing."""
    shown = dialog.open(2)
    comment = shown.get_by_label("Comment", exact=True)
    comment.fill("Half a sen")
    dialog.store.move_task(2, "alice", "lead", "yours")
    dialog.store.update_task(2, status="working")
    dialog.wait(5)
    news = shown.locator(".calypso-followed")
    news.get_by_text("agent alice → lead; status idle → working; comments 0 → 1").wait_for()
    assert comment.input_value() == "Half a sen"
    assert comment.evaluate("field => field === document.activeElement")
    button(shown, "Release").click()
    assert dialog.store.get_task(2)["assigned_to"] == "lead"
    dialog.wait(1)
    button(shown, "Release").click()
    shown.locator(".calypso-told").get_by_text("agent lead → nobody").wait_for()
    assert dialog.store.get_task(2)["assigned_to"] is None
    assert not news.is_visible() and comment.input_value() == "Half a sen"


def test_undo_is_offered_until_somebody_else_changes_the_task(dialog: Dialog) -> None:
    """After that it would be refused."""
    shown = dialog.open(2)
    button(shown, "Release").click()
    button(shown, "Undo").wait_for()
    dialog.store.add_comment(2, "I would take it", "lead")
    dialog.wait(5)
    shown.get_by_text("comments 0 → 1").wait_for()
    assert button(shown, "Undo").is_visible()
    dialog.wait(1)
    dialog.store.update_task(2, assigned_to="lead")
    dialog.wait(5)
    shown.get_by_text("agent nobody → lead").wait_for()
    assert button(shown, "Undo").count() == 0


def test_an_open_question_goes_when_others_change_the_task(dialog: Dialog) -> None:
    """Its answer would be about another state."""
    shown = dialog.open(2)
    button(shown, "Archive …").click()
    shown.get_by_role("alertdialog").wait_for()
    dialog.store.update_task(2, priority=4)
    dialog.wait(5)
    shown.get_by_text("priority 3 → 4").wait_for()
    assert shown.get_by_role("alertdialog").count() == 0


def test_an_outage_is_told_while_the_dialog_is_open_and_heals(dialog: Dialog) -> None:
    """What is shown stays, marked as maybe old."""
    shown = dialog.open(2)
    dialog.away = "no answer from tasks.example"
    dialog.wait(5)
    shown.get_by_text("What you see may be old: no answer from tasks.example").wait_for()
    assert "alice" in shown.locator(".calypso-about").inner_text()
    dialog.away = ""
    dialog.wait(5)
    shown.get_by_role("alert").wait_for(state="hidden")


def test_archiving_names_what_would_never_end_and_leads_back_by_a_copy(dialog: Dialog) -> None:
    """First the question, then the deed, then the way back; cancelling does nothing."""
    shown = dialog.open(2)
    button(shown, "Archive …").click()
    question = shown.get_by_role("alertdialog")
    question.wait_for()
    assert "#3 would never end, waiting for #2, archived and unfinished" in question.inner_text()
    assert "TinyTask has no way back from its archive" in question.inner_text()
    button(question, "Cancel").click()
    assert dialog.store.get_task(2)["archived_at"] is None
    button(shown, "Archive …").click()
    button(shown, "Archive it").click()
    button(shown, "Restore it as a copy").click()
    shown.get_by_role("heading", name="#5 First").wait_for()
    assert "#5 is a copy of #2, which stays archived; #3 changed with it" in shown.inner_text()
    assert dialog.store.get_task(3)["blocked_by_task_id"] == 5


def test_a_typo_does_not_make_a_new_agent(dialog: Dialog) -> None:
    """The known name that is like it is one click away."""
    shown = dialog.open(4)
    shown.get_by_label("New agent", exact=True).fill("velaa")
    shown.get_by_label("New agent", exact=True).press("Enter")
    question = shown.get_by_role("alertdialog")
    question.wait_for()
    said = "no agent called 'velaa' has ever had a task here; did you mean 'vaela'?"
    assert said in (question.text_content() or "")
    assert dialog.store.get_task(4)["assigned_to"] is None
    button(question, "Assign it to vaela").click()
    shown.locator(".calypso-told").get_by_text("agent nobody → vaela").wait_for()
    button(shown, "Undo").click()
    shown.locator(".calypso-told").get_by_text("agent vaela → nobody").wait_for()
    assert dialog.store.get_task(4)["assigned_to"] is None


def test_each_reason_has_the_buttons_that_cure_it(dialog: Dialog) -> None:
    """One that needs a value leads to its field, unfolded."""
    dialog.store.archive_task(2)
    shown = dialog.open(3)
    need = shown.locator(".calypso-needs li", has_text="archived and still idle")
    assert need.get_by_role("button").all_inner_texts() == [
        "Unblock",
        "Wait for another task …",
        "Look at #2",
    ]
    button(need, "Look at #2").click()
    button(shown, "Restore as a copy").wait_for()
    dialog.page.keyboard.press("Escape")
    shown = dialog.open(3)
    button(need, "Wait for another task …").click()
    field = shown.get_by_label("Number of a task")
    assert field.evaluate("field => field === document.activeElement")
    field.fill("4")
    field.press("Enter")
    shown.locator(".calypso-told").get_by_text("task that it waits for 2 → 4").wait_for()
    dialog.wait(5)
    need.wait_for(state="detached")
    button(shown, "Unblock").click()
    shown.locator(".calypso-told").get_by_text("task that it waits for 4 → none").wait_for()


def test_what_is_always_refused_is_not_offered(dialog: Dialog) -> None:
    """A complete task can't be handed on, and of an archived one there is only a copy."""
    dialog.store.update_task(2, status="complete")
    shown = dialog.open(2)
    assert shown.get_by_label("New agent", exact=True).count() == 0
    assert shown.locator(".calypso-simple button").all_inner_texts() == ["Reopen", "Archive …"]
    dialog.page.keyboard.press("Escape")
    dialog.store.archive_task(4)
    shown = dialog.open(4)
    assert shown.locator(".calypso-simple button").all_inner_texts() == ["Restore as a copy"]
    assert shown.locator("form").count() == 1 and shown.locator("details").count() == 0
    assert shown.inner_text().endswith("Add comment")


def test_a_closed_dialog_asks_nothing(dialog: Dialog) -> None:
    """Neither after Escape nor after the view has gone."""
    dialog.open(2)
    dialog.page.keyboard.press("Escape")
    dialog.page.evaluate("() => { window.asked = 0; window.respond = async () => { window.asked += 1; }; }")
    dialog.wait(60)
    dialog.page.evaluate("() => window.view.destroy()")
    dialog.wait(60)
    assert dialog.page.evaluate("() => window.asked") == 0
