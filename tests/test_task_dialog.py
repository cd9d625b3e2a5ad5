"""The drawer of a task in a page whose clock stands still, with a TinyTask behind it that others write to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from calypso_nb import TinytaskClient
from calypso_nb.embedded import TinytaskStore, create_server
from tests.boards import family
from tests.supervised import Supervised, button, supervised

pytestmark = pytest.mark.browser

# Clicks a button of the drawer in the moment in which it says what others have changed.
CLICK_AT_ONCE = """() => new MutationObserver((_, observer) => {
  const drawer = document.querySelector(".calypso-drawer");
  if (!drawer.querySelector(".calypso-followed:not([hidden])")) return;
  observer.disconnect();
  drawer.querySelector('[role="toolbar"] [data-act="set_idle"]').click();
  window.clicked = true;
}).observe(document.querySelector(".calypso-drawer"), { subtree: true, childList: true, attributes: true })"""


@pytest.fixture
def store() -> Iterator[TinytaskStore]:
    """A family of tasks, whose clock goes on."""
    with family("vaela", urgency=9) as store:
        yield store


@pytest.fixture
def view(browser: Browser, store: TinytaskStore) -> Iterator[Supervised]:
    with supervised(browser, store) as view:
        yield view


def test_a_reassign_after_a_foreign_move_is_refused_and_says_who_has_it(view: Supervised) -> None:
    """The click carries the agent that was shown; what was typed stays for a second click."""
    drawer = view.open(2)
    button(drawer, "Reassign …").click()
    view.box.get_by_label("New agent", exact=True).fill("vaela")
    view.box.get_by_label("What the new agent should know").fill("mine")
    with TinytaskClient(create_server(view.store)) as other:
        other.move_task(2, "alice", "lead", "yours")
    button(view.box, "Reassign").click()
    alert = view.box.get_by_role("alert")
    alert.get_by_text("#2 has moved on: lead has it since").wait_for()
    assert "(you saw alice); look again" in alert.inner_text()
    assert view.store.get_task(2)["assigned_to"] == "lead"
    assert "lead" in drawer.locator(".calypso-about-agent").inner_text()
    button(view.box, "Reassign").click()
    view.toast.get_by_text("agent lead → vaela").wait_for()
    assert view.box.is_hidden() and "vaela" in drawer.locator(".calypso-about-agent").inner_text()
    by = {one["content"]: one["created_by"] for one in view.store.list_comments(2)}
    assert by == {"yours": "alice", "handed on by eve": "lead", "mine": "eve"}
    button(drawer, "Reassign …").click()
    assert view.box.get_by_label("What the new agent should know").input_value() == ""


def test_the_drawer_follows_what_others_change_and_says_so(view: Supervised) -> None:
    """Every five seconds; what is typed, and where, stays; a click at that very moment does nothing."""
    drawer = view.open(2)
    button(drawer, "Ask …").click()
    comment = view.box.get_by_label("Comment", exact=True)
    comment.fill("Half a sen")
    view.store.move_task(2, "alice", "lead", "yours")
    view.store.update_task(2, status="working")
    view.page.evaluate(CLICK_AT_ONCE)
    view.wait(5)
    news = drawer.locator(".calypso-followed")
    news.get_by_text("agent alice → lead; status idle → working; comments 0 → 1").wait_for()
    assert "agent alice → lead; #2: status idle → working" in view.box.get_by_role("alert").inner_text()
    assert comment.input_value() == "Half a sen"
    assert comment.evaluate("field => field === document.activeElement")
    comment.press("Escape")
    assert view.page.evaluate("window.clicked") and view.store.get_task(2)["status"] == "working"
    view.wait(1)
    button(drawer.get_by_role("toolbar"), "Set idle").click()
    view.toast.get_by_text("status working → idle").wait_for()
    assert news.is_hidden()


def test_what_somebody_else_has_changed_since_is_not_undone(view: Supervised) -> None:
    """It is refused, and says what is there now."""
    drawer = view.open(2)
    button(drawer, "More ▾").click()
    view.box.get_by_role("menuitem", name="Release").click()
    button(view.toast, "Undo").wait_for()
    view.store.update_task(2, assigned_to="lead")
    button(view.toast, "Undo").click()
    view.toast.get_by_text("#2 has moved on: lead has it since").wait_for()
    assert view.store.get_task(2)["assigned_to"] == "lead"


def test_an_open_question_goes_when_others_change_the_task(view: Supervised) -> None:
    """Its answer would be about another state."""
    drawer = view.open(2)
    button(drawer, "Archive …").click()
    question = view.box.get_by_role("alertdialog")
    question.wait_for()
    view.store.update_task(2, priority=4)
    view.wait(5)
    drawer.get_by_text("priority 3 → 4").wait_for()
    question.wait_for(state="hidden")
    view.toast.get_by_text("Not done: #2: priority 3 → 4").wait_for()


def test_an_outage_is_told_while_the_drawer_is_open_and_heals(view: Supervised) -> None:
    """What is shown stays, marked as maybe old."""
    drawer = view.open(2)
    view.away = "no answer from tasks.example"
    view.wait(5)
    drawer.get_by_text("What you see may be old: no answer from tasks.example").wait_for()
    assert "alice" in drawer.locator(".calypso-about-agent").inner_text()
    view.away = ""
    view.wait(5)
    drawer.get_by_role("alert").wait_for(state="hidden")


def test_archiving_names_what_would_never_end_and_leads_back_by_a_copy(view: Supervised) -> None:
    """First the question, then the deed, then the way back; cancelling does nothing."""
    drawer = view.open(2)
    button(drawer, "Archive …").click()
    question = view.box.get_by_role("alertdialog")
    question.wait_for()
    assert "#3 would never end, waiting for #2, archived and unfinished" in question.inner_text()
    assert "TinyTask has no way back from its archive" in question.inner_text()
    button(question, "Cancel").click()
    assert view.store.get_task(2)["archived_at"] is None
    button(drawer, "Archive …").click()
    button(view.box, "Archive it").click()
    button(view.toast, "Restore it as a copy").click()
    view.toast.get_by_text("#5 is a copy of #2, which stays archived; #3 changed with it").wait_for()
    drawer.get_by_text("#5", exact=True).wait_for()
    assert view.store.get_task(3)["blocked_by_task_id"] == 5


def test_a_typo_does_not_make_a_new_agent(view: Supervised) -> None:
    """The known name that is like it is one click away."""
    drawer = view.open(4)
    button(drawer.get_by_role("toolbar"), "Assign …").click()
    view.box.get_by_label("New agent", exact=True).fill("velaa")
    view.box.get_by_label("New agent", exact=True).press("Enter")
    question = view.box.get_by_role("alertdialog")
    question.wait_for()
    said = "no agent called 'velaa' has ever had a task here; did you mean 'vaela'?"
    assert said in (question.text_content() or "")
    assert view.store.get_task(4)["assigned_to"] is None
    button(question, "Assign it to vaela").click()
    view.toast.get_by_text("agent nobody → vaela").wait_for()
    button(view.toast, "Undo").click()
    view.toast.get_by_text("agent vaela → nobody").wait_for()
    assert view.store.get_task(4)["assigned_to"] is None


def test_each_reason_has_the_buttons_that_cure_it(view: Supervised) -> None:
    """One that needs a value asks for it at the button."""
    view.store.archive_task(2)
    view.read()
    drawer = view.open(3)
    need = drawer.locator(".calypso-needs li", has_text="archived and still idle")
    assert need.get_by_role("button").all_inner_texts() == ["Unblock", "Restore #2", "Wait for another …"]
    button(need, "Wait for another …").click()
    field = view.box.get_by_label("Number of a task")
    assert field.evaluate("field => field === document.activeElement")
    field.fill("4")
    view.box.get_by_text("Nobody's").wait_for()
    field.press("Enter")
    view.toast.get_by_text("waits for #4").wait_for()
    need.wait_for(state="detached")
    button(drawer, "More ▾").click()
    view.box.get_by_role("menuitem", name="Unblock").click()
    view.toast.get_by_text("no longer waits for #4").wait_for()


def test_what_is_restored_is_the_blocker_that_is_archived(view: Supervised) -> None:
    """As a copy, for which the task waits from then on."""
    view.store.archive_task(2)
    view.read()
    drawer = view.open(3)
    button(drawer, "Restore #2").click()
    view.toast.get_by_text("#5 is a copy of #2, which stays archived; #3 changed with it").wait_for()
    assert view.store.get_task(3)["blocked_by_task_id"] == 5
    drawer.get_by_role("button", name="#5 First").wait_for()


def test_what_is_always_refused_is_not_offered(view: Supervised) -> None:
    """A complete task can't be handed on, and of an archived one there is only a copy."""
    view.store.update_task(2, status="complete")
    actions = view.open(2).get_by_role("toolbar").get_by_role("button")
    assert actions.all_inner_texts() == ["Ask …", "Reopen", "Archive …", "More ▾"]
    view.page.keyboard.press("Escape")
    view.store.archive_task(4)
    actions = view.open(4).get_by_role("toolbar").get_by_role("button")
    assert actions.all_inner_texts() == ["Ask …", "Restore as a copy"]


def test_a_closed_drawer_asks_nothing(view: Supervised) -> None:
    """Neither after Escape nor after the view has gone."""
    view.open(2)
    view.page.keyboard.press("Escape")
    view.page.evaluate("() => { window.asked = 0; window.respond = async () => { window.asked += 1; }; }")
    view.wait(60)
    view.page.evaluate("() => window.view.destroy()")
    view.wait(60)
    assert view.page.evaluate("() => window.asked") == 0
