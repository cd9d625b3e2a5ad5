"""What a supervisor does from the list Do now, with a real TinyTask behind it that others write to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator

from calypso_nb import Dashboard, TinytaskClient, WorkloadReporter
from calypso_nb.client.actions import offered
from calypso_nb.embedded import TinytaskStore, create_server
from calypso_nb.view.page import report_page
from tests.boards import NOW, report_of, task
from tests.browser import Opened
from tests.supervised import Supervised, button, supervised

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("clean_environment")]

ROWS = [
    *(task(number, f"Old {number}", created=1000, queue_name="dev") for number in range(1, 12)),
    task(12, "Leaky pipe", created=5, assigned_to=None, priority=10),
    task(13, "Silent", created=100, updated=90, assigned_to="bob", status="working", priority=5),
    task(14, "Waits", created=30, assigned_to="bob", blocked_by_task_id=15, priority=3, tags=["ui"]),
    task(15, "Blocker", created=40, archived=20, assigned_to="carol"),
    task(16, "Held up", created=3, assigned_to="carol", blocked_by_task_id=13),
    task(17, "Done", created=50, updated=40, assigned_to="carol", status="complete"),
    task(18, "At work", created=3, updated=1, status="working"),
]


@pytest.fixture
def store() -> Iterator[TinytaskStore]:
    """A board with something of each kind to do, whose clock goes on."""
    minutes = iter(range(10**6))
    with TinytaskStore(now=lambda: NOW + timedelta(minutes=next(minutes))) as store:
        store.insert_many(ROWS)
        yield store


@pytest.fixture
def view(browser: Browser, store: TinytaskStore) -> Iterator[Supervised]:
    with supervised(browser, store) as view:
        yield view


@pytest.fixture
def other(store: TinytaskStore) -> Iterator[TinytaskClient]:
    """Somebody else, who writes between a look and a click."""
    with TinytaskClient(create_server(store)) as client:
        yield client


def menu(view: Supervised, line: Locator, entry: str) -> None:
    """Choose an entry of a line's menu."""
    button(line, "More").click()
    view.box.get_by_role("menuitem", name=entry, exact=True).click()


def titles(view: Supervised) -> list[str]:
    return view.page.locator(".calypso-do-head > :first-child").all_inner_texts()


def archived(store: TinytaskStore) -> set[int]:
    return {one["id"] for one in store.list_tasks(include_archived=True) if one["archived_at"]}


# One task


def test_an_urgent_task_is_assigned_with_two_clicks(view: Supervised) -> None:
    """Who has how much in hand stands beside each name, and the line goes once the task has somebody."""
    line = view.line("Leaky pipe")
    button(line, "Assign …").click()
    options = view.box.get_by_role("option")
    assert options.all_inner_texts() == [
        "carol\nfree · 1 open",
        "bob\n1 in progress · 2 open",
        "alice\n1 in progress · 12 open",
    ]
    options.filter(has_text="carol").click()
    view.toast.get_by_text("#12: agent nobody → carol").wait_for()
    line.wait_for(state="detached")
    assert view.store.get_task(12)["assigned_to"] == "carol"
    button(view.toast, "Undo").click()
    view.toast.get_by_text("#12: agent carol → nobody").wait_for()
    assert view.store.get_task(12)["assigned_to"] is None


def test_a_reassign_in_the_list_after_a_foreign_move_is_refused(
    view: Supervised, other: TinytaskClient
) -> None:
    """It names who has the task now, and nothing is pretended."""
    line = view.line("Silent")
    button(line, "Reassign …").click()
    other.move_task(13, "bob", "dora", "yours")
    view.box.get_by_role("option", name="carol").click()
    view.box.get_by_text("#13 has moved on: dora has it since").wait_for()
    assert view.store.get_task(13)["assigned_to"] == "dora"
    by = {one["content"]: one["created_by"] for one in view.store.list_comments(13)}
    assert by == {"yours": "bob"}


def test_a_click_on_what_others_have_changed_is_refused_in_words(
    view: Supervised, other: TinytaskClient
) -> None:
    """Also an action that asks nothing; the line then shows who has it."""
    other.move_task(13, "bob", "dora", "yours")
    button(view.line("Silent"), "Set idle").click()
    view.toast.get_by_text("#13 has moved on: dora has it since").wait_for()
    assert button(view.toast, "Undo").count() == 0
    assert view.store.get_task(13)["assigned_to"] == "dora"


def test_a_comment_is_signed_by_who_wrote_it(view: Supervised) -> None:
    """And never by the agent that has the task."""
    button(view.line("Silent"), "Ask …").click()
    view.box.get_by_label("Comment", exact=True).fill("What holds you up?")
    button(view.box, "Add comment").click()
    view.toast.get_by_text("The comment is there").wait_for()
    assert [(one["content"], one["created_by"]) for one in view.store.list_comments(13)] == [
        ("What holds you up?", "eve")
    ]


def test_an_outage_is_said_and_nothing_pretends_to_be_done(view: Supervised) -> None:
    """What was typed stays until the server is back."""
    button(view.line("Silent"), "Ask …").click()
    comment = view.box.get_by_label("Comment", exact=True)
    comment.fill("What holds you up?")
    view.away = "no answer from tasks.example"
    button(view.box, "Add comment").click()
    view.box.get_by_text("no answer from tasks.example").wait_for()
    assert view.toast.count() == 0 and view.store.list_comments(13) == []
    view.away = ""
    button(view.box, "Add comment").click()
    view.toast.get_by_text("The comment is there").wait_for()


def test_escape_leads_back_to_the_button(view: Supervised) -> None:
    """Of a form, and of a menu."""
    for name in ("Assign …", "More"):
        at = button(view.line("Leaky pipe"), name)
        at.press("Enter")
        view.box.wait_for()
        view.page.keyboard.press("Escape")
        view.box.wait_for(state="hidden")
        assert at.evaluate("button => button === document.activeElement")


def test_an_agent_is_found_and_chosen_by_keyboard(view: Supervised) -> None:
    """Typing narrows the names, the arrows go through them."""
    button(view.line("Leaky pipe"), "Assign …").press("Enter")
    field = view.box.get_by_role("combobox", name="New agent")
    field.press_sequentially("o")
    assert view.box.get_by_role("option").count() == 2  # carol and bob
    field.press("ArrowDown")
    field.press("ArrowDown")
    field.press("Enter")
    view.toast.get_by_text("#12: agent nobody → bob").wait_for()


def test_the_blocker_is_restored_that_the_task_waits_for(view: Supervised) -> None:
    """Each reason has its own buttons, and this one is about the archived task."""
    line = view.line("Waits")
    assert line.locator(".calypso-hand").all_inner_texts() == ["Unblock", "Restore #15", "Wait for another …"]
    button(line, "Restore #15").click()
    view.toast.get_by_text("#19 is a copy of #15, which stays archived; #14 changed with it").wait_for()
    assert view.store.get_task(14)["blocked_by_task_id"] == 19


def test_a_tag_is_removed(view: Supervised) -> None:
    """From the task that has it."""
    menu(view, view.line("Waits"), "Tags …")
    button(view.box, "Remove the tag ui").click()
    view.toast.get_by_text("#14: tags ui → none").wait_for()
    assert view.store.get_task(14)["tags"] == []


# Several tasks


def test_a_bulk_archive_leaves_out_what_has_moved_and_comes_back(
    view: Supervised, other: TinytaskClient
) -> None:
    """Ten are done, one is refused in words, and one Undo brings the ten back."""
    line = view.line("11 idle tasks")
    button(line, "Archive 11 …").click()
    question = view.box.get_by_role("alertdialog")
    assert "11 tasks would be archived" in question.inner_text()
    other.move_task(5, "alice", "dora", "yours")
    button(question, "Archive 11").click()
    view.toast.get_by_text("10 of 11 tasks archived").wait_for()
    view.toast.get_by_text("1 refused: #5 has moved on: dora has it since").wait_for()
    assert archived(view.store) == {*range(1, 12), 15} - {5}
    button(view.toast, "Restore them as copies").click()
    view.toast.get_by_text("10 tasks restored, as #19, #20").wait_for()
    left = [one["title"] for one in view.store.list_tasks() if one["title"].startswith("Old")]
    assert sorted(left) == sorted(f"Old {number}" for number in range(1, 12))


def test_what_several_would_leave_behind_is_named_before(view: Supervised) -> None:
    """Per task, and not what is archived with them; cancelling does nothing."""
    view.store.update_task(16, blocked_by_task_id=3)
    view.store.update_task(2, blocked_by_task_id=1)
    view.read()
    menu(view, view.line("idle tasks"), "Select 10")
    view.page.get_by_text("10 selected:").locator("visible=true").wait_for()
    bar = view.page.get_by_role("toolbar", name="Selected tasks").locator("visible=true")
    button(bar, "Archive …").click()
    question = view.box.get_by_role("alertdialog")
    said = question.inner_text()
    assert "#2 would never end, waiting for #1" in said and "#16 would never end, waiting for #3" in said
    button(question, "Cancel").click()
    assert archived(view.store) == {15}
    button(bar, "Clear").click()
    bar.wait_for(state="hidden")


def test_several_get_another_priority_and_it_is_undone(view: Supervised) -> None:
    """What is selected in the list is acted on in the bar, with one way back for all."""
    menu(view, view.line("11 idle tasks"), "Select 11")
    bar = view.page.get_by_role("toolbar", name="Selected tasks").locator("visible=true")
    button(bar, "Priority …").click()
    view.box.get_by_label("Priority", exact=True).fill("7")
    view.page.keyboard.press("Enter")
    view.toast.get_by_text("11 tasks with another priority: #").wait_for()
    assert {view.store.get_task(number)["priority"] for number in range(1, 12)} == {7}
    button(view.toast, "Undo").click()
    view.toast.get_by_text("Undone for #").wait_for()
    assert {view.store.get_task(number)["priority"] for number in range(1, 12)} == {0}


def test_to_have_too_many_at_once_leads_to_a_choice(view: Supervised) -> None:
    """Of which all but the last edited are proposed."""
    view.store.update_task(14, status="working", blocked_by_task_id=None)
    view.read()
    view.wait(1)
    button(view.line("in progress (limit 1)"), "Choose 1 …").click()
    chosen = view.page.evaluate("() => document.querySelector('.calypso-view').__calypso.tab")
    assert chosen in ("agents", "tasks")
    view.page.evaluate("() => document.querySelector('.calypso-view').__calypso.handle.go('now')")
    view.page.get_by_text("1 selected:").locator("visible=true").wait_for()


# The list


def test_a_refresh_keeps_what_is_unfolded_and_focused(view: Supervised) -> None:
    """And what is typed, while lines come and go around it."""
    unfold = view.line("11 idle tasks").locator(".calypso-unfold")
    unfold.click()
    inside = view.page.locator(".calypso-do[data-inside]")
    assert inside.count() == 11
    inside.nth(4).locator(".calypso-open").first.focus()
    view.store.create_task("Another leak", "lead", priority=10)
    view.store.update_task(13, status="idle")
    view.now = NOW + timedelta(hours=9)
    view.read()
    view.line("Another leak").wait_for()
    assert inside.count() == 11
    focused = "() => document.activeElement.dataset.task"
    assert view.page.evaluate(focused) == str(view.data.attention.iloc[-1]["tasks"][4])
    assert unfold.get_attribute("aria-expanded") == "true"


def test_a_line_of_several_shows_exactly_these_in_the_table(view: Supervised) -> None:
    """Whatever else the filter had."""
    menu(view, view.line("11 idle tasks"), "Show 11 in Tasks")
    shown = view.page.evaluate("() => document.querySelector('.calypso-view').__calypso.shown.length")
    assert shown == 11
    assert view.page.evaluate("() => document.querySelector('.calypso-view').__calypso.tab") == "tasks"


def test_the_order_is_explained_in_numbers(view: Supervised) -> None:
    """By what each line comes after the one above it."""
    button(view.page.locator(".calypso-attention"), "by impact ?").click()
    said = view.page.locator(".calypso-impact").all_inner_texts()
    assert len(said) == len(titles(view)) == 4
    assert said[0].startswith("work has stopped · holds up 1 · priority 5 · for 2.8 d: first")
    assert said[1].endswith("and comes after it by priority: 3, not 5")
    assert said[2].endswith("after the line above by what it holds up: 0, not 1")
    assert said[-1].endswith("only to tidy up, so after all work that has stopped")


def test_the_first_seven_stand_in_full_and_the_rest_by_reason(browser: Browser) -> None:
    """Counted, and unfolded by a click."""
    rows = [task(number, created=3 + number, assigned_to=None, priority=9) for number in range(1, 21)]
    with TinytaskStore(now=lambda: NOW) as store:
        store.insert_many(rows)
        with supervised(browser, store) as view:
            assert view.page.locator(".calypso-attention h3").inner_text() == "Do now: 7 of 20"
            rest = view.line("13 more: urgent, ready to start, and unassigned")
            assert button(rest, "Assign 13 …").is_visible()
            rest.locator(".calypso-unfold").click()
            assert view.page.locator(".calypso-do[data-inside]").count() == 13


def test_a_line_is_snoozed_with_a_reason_and_wakes(view: Supervised) -> None:
    """It is counted while it sleeps, and says until when and why."""
    line = view.line("Leaky pipe")
    menu(view, line, "Snooze …")
    view.box.get_by_label("for 3 days").check()
    view.box.get_by_label("Why").fill("the plumber is ill")
    button(view.box, "Snooze").click()
    view.toast.get_by_text("Snoozed for 3 days: #12 Leaky pipe").wait_for()
    line.wait_for(state="detached")
    button(view.page.locator(".calypso-attention"), "snoozed 1").click()
    asleep = view.page.get_by_role("list", name="Snoozed").get_by_role("listitem")
    assert "Leaky pipe" in asleep.inner_text() and "the plumber is ill" in asleep.inner_text()
    button(asleep, "Wake").click()
    line.wait_for()
    first = "() => window.sent.find(({ ask }) => ask === 'snooze')"
    sent = view.page.evaluate(first)
    assert sent["until"] == (NOW + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M") + sent["until"][16:]
    assert sent["line"].keys() == {"about", "id", "agent", "queue", "facts"}


def test_a_line_snoozed_until_something_changes_has_no_end(view: Supervised) -> None:
    menu(view, view.line("Leaky pipe"), "Snooze …")
    view.box.get_by_label("until something changes").check()
    button(view.box, "Snooze").click()
    view.line("Leaky pipe").wait_for(state="detached")
    assert view.page.evaluate("() => window.sent.at(-1).until") is None


def test_the_list_is_used_by_keyboard(view: Supervised) -> None:
    """The arrows go through it, and other keys call what a click would."""
    view.page.locator(".calypso-do button").first.focus()
    view.page.keyboard.press("ArrowDown")
    part = "document.querySelector('.calypso-view').__calypso.handle.parts().attention"
    at = view.page.evaluate(f"() => {part}.current().ids")
    assert at == [view.data.attention.iloc[1]["task_id"]]
    view.page.evaluate(f"() => {part}.act('priority')")
    view.box.get_by_label("Priority", exact=True).press("Escape")
    view.page.evaluate(f"() => {part}.toggleCurrent()")
    view.page.get_by_text("1 selected:").locator("visible=true").wait_for()
    view.page.evaluate(f"() => {part}.openCurrent()")
    view.page.locator(".calypso-drawer[data-whole]").wait_for()


# The drawer beside the list


def test_the_drawer_goes_on_to_the_next_line_and_leads_back(view: Supervised) -> None:
    """With j and k; the list stays usable, and Escape leads back to it."""
    first = view.page.locator(".calypso-do [data-task]").first
    first.click()
    drawer = view.page.locator(".calypso-drawer")
    drawer.get_by_text("1 of 3").wait_for()
    view.page.keyboard.press("j")
    drawer.get_by_text("2 of 3").wait_for()
    view.page.keyboard.press("k")
    drawer.get_by_text("1 of 3").wait_for()
    button(view.line("Leaky pipe"), "Assign …").click()
    view.page.keyboard.press("Escape")
    assert drawer.is_visible()
    drawer.get_by_role("heading").first.focus()
    view.page.keyboard.press("Escape")
    drawer.wait_for(state="hidden")
    assert first.evaluate("button => button === document.activeElement")


def test_the_drawer_goes_on_after_its_task_has_left_the_list(view: Supervised) -> None:
    """Once that is assigned, nothing says that it should be; those beside it are still there."""
    line = view.line("Leaky pipe")
    line.locator("[data-task]").first.click()
    drawer = view.page.locator(".calypso-drawer[data-whole]")
    view.page.keyboard.press("a")
    view.box.get_by_role("option").filter(has_text="carol").click()
    view.toast.get_by_text("#12: agent nobody → carol").wait_for()
    line.wait_for(state="detached")
    assert "assign it" not in drawer.inner_text()
    drawer.get_by_role("button", name="Previous task (k)").click()
    drawer.get_by_text("#12").first.wait_for(state="detached")
    assert drawer.is_visible() and " of " in drawer.inner_text()
    view.page.keyboard.press("p")
    view.box.get_by_label("Priority").wait_for()
    view.page.keyboard.press("Escape")
    view.page.keyboard.press("Escape")
    drawer.wait_for(state="hidden")


def test_escape_closes_the_drawer_after_an_action_in_it(view: Supervised) -> None:
    """Also if its button has gone with what it cured."""
    drawer = view.open(12)
    button(drawer, "Assign …").first.click()
    view.box.get_by_role("option").filter(has_text="carol").click()
    view.toast.get_by_text("#12: agent nobody → carol").wait_for()
    drawer.get_by_text("carol").first.wait_for()
    view.page.keyboard.press("Escape")
    drawer.wait_for(state="hidden")


@pytest.mark.parametrize("width", [390, 1400])
def test_the_drawer_is_at_the_right_and_fills_a_phone(
    browser: Browser, store: TinytaskStore, width: int
) -> None:
    with supervised(browser, store, width=width) as view:
        view.open(13)
        box = view.page.locator(".calypso-drawer").bounding_box()
        assert box and box["x"] + box["width"] == width and box["width"] == min(width, 500)


def test_a_page_without_a_kernel_shows_what_it_knows(open_page: Callable[[str], Opened]) -> None:
    """Facts, needs and relations; and that the rest is not in a page. Nothing can be done there."""
    opened = open_page(report_page(report_of(ROWS, status_filter=["idle", "working"])))
    opened.page.locator(".calypso-do [data-task='14']").click()
    drawer = opened.page.get_by_role("dialog", name="Waits", exact=True)
    said = drawer.inner_text()
    assert "waits for #15, which is archived and still idle" in said and "Blocker" in said
    assert "not in a page" in said and drawer.get_by_role("toolbar").get_by_role("button").count() == 0
    assert opened.page.locator(".calypso-hand").count() == 0
    opened.page.keyboard.press("j")
    opened.page.keyboard.press("Escape")
    assert opened.errors == []


# What is offered


def test_a_row_offers_what_the_server_does_not_refuse(view: Supervised) -> None:
    """The view decides by the row what Python decides by the task."""
    view.store.update_task(17, tags=["x"])
    names = ["reassign", "release", "set_idle", "unblock", "complete", "archive", "priority", "wait_for"]
    names += ["queue", "parent", "tags", "comment", "restore"]
    view.read()
    for number in (1, 12, 13, 14, 15, 17):
        shown = view.page.evaluate(
            """([names, id]) => document.querySelector(".calypso-view").__calypso.handle
                .hands.offered(names, [id])""",
            [names, number],
        )
        assert set(shown) == set(offered(view.client, view.client.get_task(number)))


def test_with_a_database_file_nothing_can_be_done(store: TinytaskStore, tmp_path: Path) -> None:
    """The view is told so, and offers nothing."""
    file = tmp_path / "tasks.db"
    with TinytaskStore(file) as kept:
        kept.create_task("One", "lead")
    with TinytaskClient(str(file)) as client:
        dashboard = Dashboard(WorkloadReporter(client))
        assert dashboard.view.acts is False
        dashboard.close()
