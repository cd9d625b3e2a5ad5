"""The head of the view and its tab of tasks: filters, search, keys, named views, addresses and the table."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from calypso_nb.frames import OPEN_STATUSES, STATUSES, age_buckets
from calypso_nb.text.csv import to_csv
from calypso_nb.view.page import report_page
from calypso_nb.view.payload import view_payload
from calypso_nb.view.rows import matching
from tests.browser import READY, Opened, live_view
from tests.test_filters import AGENTS, TAGS, TITLES, drawn_at_random, filters_at_random
from tests.test_page import data_of, record

pytestmark = pytest.mark.browser

OpenPage = Callable[[str], Opened]
VIEW = "document.querySelector('.calypso-view').__calypso"
SHOWN = f"{VIEW}.shown.map((at) => {VIEW}.rows[at].id)"
KNOWN = f"{VIEW}.filter.statuses.every((one) => ['idle', 'working', 'complete'].includes(one))"
OPEN = {"statuses": [*OPEN_STATUSES]}
DATA = data_of([record(number, parent_task_id=number // 40 or None) for number in range(1, 121)])
ROWS = ".calypso-rows tr[aria-selected]"

DASH = "\N{EN DASH}"
KERNEL = """
const state = { news: {}, every: 0 };
window.asked = [];
const live = {
  news: () => state.news, every: () => state.every, setEvery: () => {},
  ask: () => new Promise(() => {}), refresh: (timed) => asked.push(timed),
};
window.payload = read("payload");
window.view = mount(document.querySelector(".calypso-view"), payload, { live });
"""


def tasks_page(open_page: OpenPage, data: Any = DATA) -> Opened:
    opened = open_page(report_page(data))
    opened.page.get_by_role("tab", name="Tasks").click()
    opened.settle()
    return opened


def live_tasks(open_page: OpenPage, data: Any = DATA) -> Opened:
    opened = open_page(live_view(view_payload(data), KERNEL))
    opened.page.get_by_role("tab", name="Tasks").click()
    opened.settle()
    return opened


def listed_ids(page: Page) -> list[int]:
    """The numbers in the rows that are drawn."""
    return [int(text) for text in page.locator("td.calypso-id").all_inner_texts()]


def search(page: Page) -> Any:
    return page.get_by_label("Search tasks")


def by_urgency(tasks: pd.DataFrame) -> list[int]:
    return tasks.sort_values(["priority", "age_hours", "id"], ascending=[False, False, True])["id"].tolist()


# --- The head -------------------------------------------------------------------------------------------


def test_the_head_stays_small_on_every_screen(open_page: OpenPage) -> None:
    """A filter line on a desktop, two in a narrow window; on a phone less than a quarter, folded."""
    opened = tasks_page(open_page)
    page = opened.page
    opened.filter(**OPEN, agents=["alice"], queues=["dev"], tags=["ui"], priority=[5, None])
    for width, height, most in [(1400, 900, 40), (1000, 800, 80)]:
        page.set_viewport_size({"width": width, "height": height})
        assert page.locator(".calypso-controls").bounding_box()["height"] <= most
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.locator(".calypso-head").bounding_box()["height"] < 844 / 4
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    fold = page.get_by_role("button", name="Filters: 5")
    assert not page.locator(".calypso-adding").is_visible()
    fold.click()
    assert fold.get_attribute("aria-expanded") == "true"
    page.locator(".calypso-agents > summary").click()
    assert page.get_by_role("checkbox", name="alice").is_checked()
    page.mouse.wheel(0, 3000)
    assert page.locator(".calypso-shown").is_visible()


def test_a_menu_counts_what_each_of_its_values_would_show(open_page: OpenPage) -> None:
    """With its own field left out, so that a second value can be added; it follows while it is open."""
    opened = tasks_page(open_page)
    page, tasks = opened.page, DATA.tasks
    chosen = {**OPEN, "priority": [3, None], "queues": ["dev"], "tags": ["ui"], "agents": ["alice"]}
    chosen |= {"ages": ["7-28 d", "3-7 d"], "blocked": [False]}
    opened.filter(**chosen)

    def expected(key: str, values: Callable[[pd.DataFrame], pd.Series]) -> dict[str, int]:
        return dict(Counter(values(matching(tasks, {**chosen, key: []})).tolist()))

    def shown(key: str) -> dict[str, int]:
        menu = page.locator(f".calypso-controls .calypso-{key}")
        menu.locator("summary").click()
        lines = menu.locator("label").all_inner_texts()
        counts = dict(re.split(r"\s+(?=[\d,]+$)", line) for line in lines)
        return {name: int(number) for name, number in counts.items() if number != "0"}

    assert shown("agents") == expected("agents", lambda kept: kept["assigned_to"].fillna("(unassigned)"))
    assert shown("queues") == expected("queues", lambda kept: kept["queue_name"])
    assert shown("tags") == expected("tags", lambda kept: kept["tags"].explode())
    assert shown("ages") == expected("ages", age_buckets)
    blocked = lambda kept: kept["is_currently_blocked"].map({True: "yes", False: "no"})  # noqa: E731
    assert shown("blocked") == expected("blocked", blocked)
    toggles = page.locator(".calypso-toggles button").evaluate_all(
        "all => Object.fromEntries(all.map((one) => [one.dataset.status, Number(one.dataset.count)]))"
    )
    statuses = matching(tasks, {**chosen, "statuses": []})["status"].value_counts()
    assert toggles == {status: int(statuses.get(status, 0)) for status in STATUSES}

    before = page.locator(".calypso-blocked label").first.inner_text()
    opened.filter(**chosen | {"agents": []})
    assert page.locator(".calypso-blocked").get_attribute("open") is not None
    assert page.locator(".calypso-blocked label").first.inner_text() != before
    assert opened.errors == []


def test_a_priority_is_chosen_with_a_count_beside_it(open_page: OpenPage) -> None:
    """Exactly that, or that and above; a second click takes it back."""
    opened = tasks_page(open_page)
    page = opened.page
    page.locator(".calypso-adding summary").click()
    page.locator(".calypso-adding").get_by_role("button", name="Priority", exact=True).click()
    line = page.locator(".calypso-priorities .calypso-choice").filter(has=page.get_by_text("≥ 8", exact=True))
    open_tasks = matching(DATA.tasks, OPEN)
    assert line.locator("small").inner_text() == str((open_tasks["priority"] == 8).sum())
    for name, low, high in [("Priority 8", 8, 8), ("Priority 8 and above", 8, 99)]:
        button = page.get_by_role("button", name=name, exact=True)
        for pressed in ("true", "false"):
            button.click()
            opened.settle()
            assert button.get_attribute("aria-pressed") == pressed
            kept = open_tasks["priority"].between(low, high) if pressed == "true" else open_tasks["id"] > 0
            assert opened.listed() == kept.sum()


def test_a_menu_of_thousands_of_values_is_searched_and_bounded(open_page: OpenPage) -> None:
    """It says how many more there are; hostile names are text, whatever they are called."""
    names = ["constructor", "__proto__", "<img src=x onerror=window.pwned=1>", "\u202eevil", "x" * 50_000]
    many = [record(n, assigned_to=names[n] if n < len(names) else f"agent-{n}") for n in range(1000)]
    opened = tasks_page(open_page, data_of(many))
    page = opened.page
    page.locator(".calypso-controls .calypso-agents summary").click()
    assert page.locator(".calypso-agents label").count() == 200
    assert page.locator(".calypso-choices p").inner_text() == "… and 800 more; search to find them"
    for name in names[:3]:
        page.get_by_label("Search agents").fill(name)
        expect(page.locator(".calypso-agents label")).to_have_count(1)
        page.get_by_role("checkbox", name=name).check()
    opened.settle()
    assert page.locator(".calypso-agents > summary").inner_text() == "Agents: 3"
    assert page.evaluate("window.pwned") is None and opened.errors == []


def test_reset_leads_back_to_what_the_view_began_with(open_page: OpenPage) -> None:
    """Open tasks, and no other filter; there is nothing to reset at first."""
    opened = tasks_page(open_page)
    reset = opened.page.get_by_role("button", name="Reset to default")
    assert reset.is_disabled()
    opened.filter(agents=["alice"], ids=[1, 2], search="x")
    assert opened.page.locator(".calypso-chip").inner_text() == "2 chosen tasks"
    reset.click()
    opened.settle()
    assert opened.page.locator(".calypso-shown").inner_text() == "80 of 120 tasks"
    assert reset.is_disabled() and opened.page.locator(".calypso-chip").is_hidden()


# --- The search -----------------------------------------------------------------------------------------


def test_one_search_finds_titles_agents_queues_tags_and_numbers(open_page: OpenPage) -> None:
    """In every tab the same tasks, and what it hides is said."""
    fields = [
        {"title": "Needle"},
        {"assigned_to": "needle"},
        {"queue_name": "a needle"},
        {"tags": ["x", "NEEDLE"]},
        {},
    ]
    opened = tasks_page(
        open_page, data_of([record(n, status="idle", **one) for n, one in enumerate(fields, 1)])
    )
    search(opened.page).fill("needle")
    opened.settle()
    assert sorted(listed_ids(opened.page)) == [1, 2, 3, 4]
    search(opened.page).fill("#5")
    opened.settle()
    assert listed_ids(opened.page) == [5]
    assert opened.page.locator(".calypso-table input[type=search]").count() == 0


def test_a_number_opens_its_task_whatever_the_filters_hide(open_page: OpenPage) -> None:
    """And a number that nothing is shown for is explained."""
    opened = live_tasks(open_page)
    page = opened.page
    note = page.locator(".calypso-quick-note")
    page.keyboard.press("/")
    expect(search(page)).to_be_focused()
    page.keyboard.type("#2")
    expect(note).to_have_text("#2 is hidden by the filters: Enter opens it")
    page.keyboard.press("Enter")
    expect(page.locator(".calypso-drawer:popover-open")).to_contain_text("#2")
    page.keyboard.press("Escape")
    search(page).fill("#4711")
    expect(note).to_contain_text("There is no #4711 among these tasks")
    search(page).fill("#1")
    expect(note).to_be_hidden()


# --- The table ------------------------------------------------------------------------------------------


def test_the_table_draws_what_is_in_sight_of_20_000_tasks(open_page: OpenPage) -> None:
    """In order from the first to the last, each row 30 pixels high, whatever its title is."""
    titles = ["short", "long " * 200, "two\nlines", "x" * 100_000]
    data = data_of([record(number, title=titles[number % 4]) for number in range(1, 20_001)])
    opened = tasks_page(open_page, data)
    opened.filter()
    page, order = opened.page, by_urgency(data.tasks)
    assert page.locator(".calypso-rows").get_attribute("aria-rowcount") == "20001"
    assert page.locator(ROWS).count() < 60
    ids = listed_ids(page)
    assert ids == order[: len(ids)]
    heights = page.locator(ROWS).evaluate_all("rows => rows.map((row) => row.getBoundingClientRect().height)")
    assert {*heights} == {30}
    page.locator(".calypso-scroll").evaluate("node => { node.scrollTop = node.scrollHeight; }")
    expect(page.locator("td.calypso-id").last).to_have_text(str(order[-1]))
    last = page.locator(ROWS).last
    assert last.get_attribute("aria-rowindex") == "20001" and page.locator(ROWS).count() < 60
    assert page.locator("td.calypso-title span").first.get_attribute("title")
    assert page.evaluate("document.documentElement.scrollHeight") <= 1200


@pytest.mark.parametrize(
    ("head", "column"),
    [("Age", "age_hours"), ("Agent", "assigned_to"), ("#", "id"), ("Blocked by", "blocked_by_task_id")],
)
def test_a_head_sorts_up_and_down_and_unknown_comes_last(open_page: OpenPage, head: str, column: str) -> None:
    """By the value and not by its words; the head says so to a screen reader."""
    opened = tasks_page(open_page)
    opened.filter()
    page = opened.page
    button = page.locator("thead").get_by_role("button", name=head, exact=True)
    values = DATA.tasks.set_index("id", drop=False)[column]
    for _ in range(2):
        button.click()
        down = page.locator("th[aria-sort=descending]").count() == 1
        assert page.locator("th[aria-sort=ascending]").count() == (not down)
        shown = [values[number] for number in listed_ids(page)]
        known = values.dropna().sort_values(ascending=not down).tolist()
        assert shown == [*known, *[pd.NA] * 120][: len(shown)] or shown == known[: len(shown)]
        button = page.locator(f"th[aria-sort={'descending' if down else 'ascending'}] button")


def test_groups_have_counts_and_fold(open_page: OpenPage) -> None:
    """A task with two tags stands in both groups; what is folded stays so when the data are read again."""
    opened = live_tasks(open_page)
    opened.filter()
    page, tasks = opened.page, DATA.tasks
    page.get_by_label("Group by").select_option("agent")
    alice = tasks[tasks["assigned_to"] == "alice"]
    at_work = alice[alice["status"] != "complete"]
    assert page.locator(".calypso-group").first.inner_text().split("\n")[0].strip().startswith("▾ alice")
    counts = at_work["status"].value_counts()
    assert page.locator(".calypso-group small").first.inner_text() == (
        f"{len(at_work)} open: {counts['idle']} idle, {counts['working']} working, "
        f"{at_work['is_currently_blocked'].sum()} blocked · {len(alice) - len(at_work)} complete"
    )
    page.get_by_role("button", name="Fold all").click()
    names = page.locator(".calypso-group .calypso-open").all_inner_texts()
    assert names == ["▸ alice", "▸ bob", "▸ carol", "▸ dmitri", "▸ (unassigned)"]
    assert page.locator(ROWS).count() == 0
    page.get_by_role("button", name="bob").click()
    assert page.locator(ROWS).count() == (tasks["assigned_to"] == "bob").sum()
    page.evaluate("view.update({ ...payload })")
    opened.settle()
    bob = page.locator(".calypso-group").get_by_role("button", name="bob")
    assert bob.get_attribute("aria-expanded") == "true"
    assert page.locator(ROWS).count() == (tasks["assigned_to"] == "bob").sum()
    for grouping, first in [
        ("queue", "▾ dev"), ("tag", "▾ ui"), ("status", "▾ idle"), ("priority", "▾ Priority 10"),
        ("parent", "▾ #1"),
    ]:  # fmt: skip
        page.get_by_label("Group by").select_option(grouping)
        assert page.locator(".calypso-group .calypso-open").first.inner_text() == first


def test_columns_are_chosen_from_a_menu(open_page: OpenPage) -> None:
    """One that is hidden comes, one that is shown goes."""
    opened = tasks_page(open_page)
    page = opened.page
    assert page.locator("th.calypso-parent").count() == 0
    page.locator(".calypso-columns summary").click()
    page.get_by_role("checkbox", name="Parent").check()
    page.get_by_role("checkbox", name="Links").uncheck()
    assert page.locator("th.calypso-parent").count() == 1 and page.locator("td.calypso-links").count() == 0


def test_what_is_not_counted_yet_is_a_dash_until_it_is(open_page: OpenPage) -> None:
    """A refresh fills the cells in sight, and only asks about these."""
    uncounted = data_of(
        [record(n, status="idle", comment_count=None, link_count=None) for n in range(1, 200)]
    )
    opened = live_tasks(open_page, uncounted)
    page = opened.page
    assert {*page.locator("td.calypso-comments").all_inner_texts()} == {DASH}
    in_sight = page.evaluate(f"{VIEW}.handle && document.querySelectorAll('{ROWS}').length")
    assert in_sight < 60
    page.evaluate(
        "view.update({ ...payload, rows: { ...payload.rows, comments: payload.rows.id.map(() => 3) } })"
    )
    opened.settle()
    assert {*page.locator("td.calypso-comments").all_inner_texts()} == {"3"}


def test_cells_filter_or_open_what_they_name(open_page: OpenPage) -> None:
    """A queue and a tag filter, until a second click; an agent has its page, a blocker the drawer."""
    records = [record(n, status="idle", tags=[f"t{n % 3}"], queue_name=f"q{n % 2}") for n in range(1, 61)]
    opened = live_tasks(open_page, data_of(records))
    page = opened.page
    for cell, key, value in [("queue", "queues", "q1"), ("tags", "tags", "t1")]:
        for chosen in ([value], []):
            page.locator(f"td.calypso-{cell} button", has_text=value).first.click()
            opened.settle()
            assert page.evaluate(f"() => {VIEW}.filter.{key}") == chosen
    page.locator("td.calypso-blocked_by button").first.click()
    expect(page.locator(".calypso-drawer:popover-open")).to_contain_text("#1")
    page.keyboard.press("Escape")
    page.locator("td.calypso-agent button").first.click()
    assert page.evaluate(f"() => {VIEW}.tab") == "agents"


def test_a_refresh_moves_and_closes_nothing(open_page: OpenPage) -> None:
    """Not the scroll, the selection, the focus, an open menu, nor what is typed in it."""
    opened = live_tasks(open_page)
    opened.filter()
    page = opened.page
    page.locator(".calypso-scroll").evaluate("node => { node.scrollTop = 900; }")
    expect(page.locator(ROWS).first).to_have_attribute("aria-rowindex", "26")
    task = page.locator("td.calypso-title button").nth(12).get_attribute("data-task")
    page.get_by_label(f"Select #{task}", exact=True).check()
    page.locator(f"td [data-task='{task}']").focus()
    page.evaluate("view.update({ ...payload })")
    opened.settle()
    assert page.evaluate("document.activeElement.dataset.task") == task
    assert page.locator(".calypso-scroll").evaluate("node => node.scrollTop") == 900
    assert page.get_by_label(f"Select #{task}", exact=True).is_checked()
    page.locator(".calypso-saved-views summary").click()
    page.get_by_label("Name of the view").fill("half a na")
    page.evaluate("view.update({ ...payload })")
    opened.settle()
    assert page.get_by_label("Name of the view").input_value() == "half a na"
    expect(page.get_by_label("Name of the view")).to_be_focused()


def test_a_new_task_above_does_not_move_what_is_read(open_page: OpenPage) -> None:
    """What stood uppermost still does."""
    opened = live_tasks(open_page)
    opened.filter()
    page = opened.page
    page.locator(".calypso-scroll").evaluate("node => { node.scrollTop = 900; }")
    at = "() => document.querySelector('.calypso-scroll').getBoundingClientRect().top + 45"
    uppermost = f"() => document.elementFromPoint(120, ({at})()).closest('tr').cells[1].textContent"
    expect(page.locator(ROWS).first).to_have_attribute("aria-rowindex", "26")
    before = page.evaluate(uppermost)
    page.evaluate(
        """() => {
          const longer = ([name, all]) => [name, [...all, all[0]]];
          const rows = Object.fromEntries(Object.entries(payload.rows).map(longer));
          Object.assign(rows, { id: [...payload.rows.id, 9999], priority: [...payload.rows.priority, 99] });
          return view.update({ ...payload, rows });
        }"""
    )
    opened.settle()
    assert page.evaluate(uppermost) == before
    assert page.locator(".calypso-rows").get_attribute("aria-rowcount") == "122"


# --- The selection --------------------------------------------------------------------------------------


def test_tasks_are_selected_one_by_one_in_ranges_and_all_at_once(open_page: OpenPage) -> None:
    """The bar says how many, and how many of them a filter hides."""
    opened = tasks_page(open_page)
    page = opened.page
    bar = page.get_by_role("toolbar", name="Selected tasks")
    boxes = page.locator("tbody .calypso-check input")
    assert not bar.is_visible()
    boxes.nth(2).click()
    boxes.nth(6).click(modifiers=["Shift"])
    expect(bar).to_contain_text("5 selected")
    assert page.locator(f"{ROWS}[aria-selected=true]").count() == 5
    boxes.nth(4).click()
    expect(bar).to_contain_text("4 selected")
    everything = page.get_by_label("Select all tasks that the filter lets through")
    assert everything.evaluate("box => box.indeterminate")
    everything.check()
    expect(bar).to_contain_text("80 selected")
    opened.filter(**OPEN, agents=["alice"])
    expect(bar).to_contain_text("80 selected, 64 of them hidden by the filter")
    bar.get_by_role("button", name="Clear").click()
    expect(bar).to_be_hidden()


# --- The keys -------------------------------------------------------------------------------------------


def test_the_keys_walk_select_and_open(open_page: OpenPage) -> None:
    """From nowhere on a page; the current row is marked for eyes and for a screen reader."""
    opened = tasks_page(open_page)
    page = opened.page
    order = by_urgency(matching(DATA.tasks, OPEN))
    page.locator("body").press("j")
    for key in "jjjk":
        page.keyboard.press(key)
    current = page.locator(".calypso-current td.calypso-id")
    assert current.inner_text() == str(order[2])
    table = page.locator(".calypso-rows")
    assert table.get_attribute("aria-activedescendant") == page.locator(".calypso-current").get_attribute(
        "id"
    )
    page.keyboard.press("x")
    expect(page.get_by_role("toolbar", name="Selected tasks")).to_contain_text("1 selected")
    for _ in range(40):
        page.keyboard.press("ArrowDown")
    assert current.inner_text() == str(order[42])
    assert page.locator(".calypso-current").evaluate(
        """row => { const own = row.getBoundingClientRect();
                    const scroll = row.closest(".calypso-scroll").getBoundingClientRect();
                    return own.top >= scroll.top + 30 && own.bottom <= scroll.bottom; }"""
    )
    page.keyboard.press("?")
    help_ = page.get_by_role("dialog", name="Keys and signs")
    expect(help_).to_contain_text("unknown")
    page.keyboard.press("Escape")
    expect(help_).to_be_hidden()
    assert opened.errors == []


def test_enter_opens_the_current_task_and_j_goes_on_to_the_next(open_page: OpenPage) -> None:
    """The drawer follows the list that stays beside it; r asks for new data."""
    opened = live_tasks(open_page)
    page = opened.page
    order = by_urgency(matching(DATA.tasks, OPEN))
    page.get_by_role("tab", name="Tasks").focus()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    drawer = page.locator(".calypso-drawer:popover-open > header")
    expect(drawer).to_contain_text(f"#{order[0]}")
    page.keyboard.press("j")
    expect(drawer).to_contain_text(f"#{order[1]}")
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    assert page.evaluate("asked") == [False]


def test_keys_are_nobodys_in_a_field_and_outside_of_a_view_in_the_lab(open_page: OpenPage) -> None:
    """What is typed is typed; the lab has keys of its own."""
    opened = live_tasks(open_page)
    page = opened.page
    search(page).fill("")
    search(page).press_sequentially("jxr?")
    opened.settle()
    assert page.evaluate("asked") == [] and search(page).input_value() == "jxr?"
    assert page.locator(".calypso-current").count() == 0
    search(page).evaluate("field => field.blur()")
    page.keyboard.press("r")
    assert page.evaluate("asked") == []


def test_escape_closes_a_menu_and_leaves_the_focus_on_its_button(open_page: OpenPage) -> None:
    """So does a click beside it, and a focus that goes elsewhere."""
    opened = tasks_page(open_page)
    page = opened.page
    for close in (
        lambda: page.keyboard.press("Escape"),
        lambda: page.get_by_text("Group by").click(),
        lambda: search(page).focus(),
    ):
        page.locator(".calypso-saved-views > summary").click()
        assert page.locator(".calypso-drop[open]").count() == 1
        close()
        expect(page.locator(".calypso-drop[open]")).to_have_count(0)
    page.locator(".calypso-saved-views > summary").press("Enter")
    page.keyboard.press("Escape")
    expect(page.locator(".calypso-saved-views > summary")).to_be_focused()


# --- The address and named views ------------------------------------------------------------------------


def test_an_address_says_what_is_shown_and_back_leads_back(open_page: OpenPage) -> None:
    """Tab, filter, order and groups; a search is one step, however many letters it has."""
    opened = tasks_page(open_page)
    page = opened.page
    page.locator(".calypso-toggles [data-status=working]").click()
    page.locator("thead").get_by_role("button", name="Age", exact=True).click()
    page.get_by_label("Group by").select_option("queue")
    search(page).press_sequentially("task")
    opened.settle()
    address = page.url
    assert address.split("#")[1] == "tab=tasks&status=idle&search=task&sort=-age_hours&group=queue"
    ids = listed_ids(page)
    page.go_back()
    expect(search(page)).to_have_value("")
    for _ in range(4):
        page.go_back()
    expect(page.get_by_role("tab", name="Now")).to_have_attribute("aria-selected", "true")
    assert page.evaluate(f"{VIEW}.filter.statuses") == [*OPEN_STATUSES]
    page.goto("about:blank")
    page.goto(address)
    page.evaluate(READY)
    assert listed_ids(page) == ids and page.get_by_label("Group by").input_value() == "queue"
    assert search(page).input_value() == "task" and opened.errors == []


def test_any_filter_can_be_sent_as_an_address(open_page: OpenPage) -> None:
    """Whatever agents, queues and tags are called, and with tasks of nobody."""
    opened = open_page(report_page(drawn_at_random(200)))
    same = opened.page.evaluate(
        """async (filters) => {
          const view = document.querySelector(".calypso-view").__calypso;
          const differ = [];
          for (const filter of filters) {
            await view.handle.choose(filter);
            const [hash, shown] = [location.hash, JSON.stringify(view.shown)];
            await view.handle.choose({ ...filter, ids: [1], search: "other" });
            const moved = new Promise((done) => addEventListener("hashchange", done, { once: true }));
            location.hash = hash;
            await moved;
            await view.ready;
            const same = JSON.stringify(view.shown) === shown && location.hash === hash;
            if (!same) differ.push([filter, hash, location.hash]);
          }
          return differ;
        }""",
        filters_at_random(60),
    )
    assert same == [] and opened.errors == []


ODD = [
    "", "Weekly-report", "tab=nowhere", "tab=__proto__&status=constructor", "status=idle,%E0%A4%A",
    "ids=1-999999999999999", "ids=x,,-3,5-2", "priority=NaN..Infinity", "priority=..", "sort=__proto__",
    "sort=-", "group=toString", "agent=" + "x" * 100_000, "&&&=&=x&tab", "search=%", "blocked=maybe", "page=",
    "tab=tasks&agent=<img src=x onerror=window.pwned=1>", "age=:none,:yes",
]  # fmt: skip


def test_an_odd_address_does_no_harm(open_page: OpenPage) -> None:
    """What it doesn't say as it should is left out; nothing of it runs."""
    opened = tasks_page(open_page)
    page = opened.page
    for odd in ODD:
        page.evaluate("hash => { location.hash = hash; }", odd)
        opened.settle()
        assert page.evaluate(f"{VIEW}.shown.every(Number.isInteger)")
        assert page.evaluate(KNOWN)
    file = page.url.split("#")[0]
    for odd in ODD[:8]:
        page.goto("about:blank")
        page.goto(f"{file}#{odd}")
        page.evaluate(READY)
        assert page.locator(".calypso-shown").inner_text().endswith("of 120 tasks")
    assert page.evaluate("window.pwned") is None and opened.errors == []


def test_the_address_of_the_lab_is_left_alone(open_page: OpenPage) -> None:
    """It belongs to the application that shows the view."""
    opened = live_tasks(open_page)
    before = opened.page.url
    opened.page.locator(".calypso-toggles [data-status=working]").click()
    opened.settle()
    assert opened.page.url == before


def test_views_are_saved_by_name_shown_again_and_deleted(open_page: OpenPage) -> None:
    """By this browser, for this server: also after the page was opened anew. Each is a link on a page."""
    opened = tasks_page(open_page)
    page = opened.page
    menu = page.locator(".calypso-saved-views")
    opened.filter(statuses=["working"], agents=[None, "bob"])
    shown = opened.listed()
    menu.locator("summary").click()
    page.get_by_label("Name of the view").fill("<b>Bob</b> & nobody")
    page.get_by_role("button", name="Save", exact=True).click()
    link = menu.get_by_role("link", name="<b>Bob</b> & nobody")
    assert link.get_attribute("href") == "#tab=tasks&status=working&agent=:none,bob"
    menu.get_by_role("link", name="Default").click()
    opened.settle()
    page.reload()
    opened.settle()
    assert opened.listed() == 80
    menu.locator("summary").click()
    link.click()
    opened.settle()
    assert opened.listed() == shown and page.evaluate(f"{VIEW}.tab") == "tasks"
    menu.locator("summary").click()
    page.get_by_role("button", name="Delete the view <b>Bob</b> & nobody").click()
    expect(link).to_have_count(0)
    assert page.evaluate("localStorage.length") == 1 and opened.errors == []


def test_the_views_that_everybody_has_show_what_they_say(open_page: OpenPage) -> None:
    """As pandas counts it."""
    opened = tasks_page(open_page)
    tasks = DATA.tasks
    still = tasks["is_open"]
    finished = ~still & (tasks["hours_since_update"] <= 168)
    for name, kept in [
        ("Unassigned", still & tasks["assigned_to"].isna()),
        ("Blocked", still & tasks["is_currently_blocked"]),
        ("Urgent: priority ≥ 9", still & (tasks["priority"] >= 9)),
        ("Finished in the last 7 days, at most", finished),
        ("Default", still),
    ]:
        opened.page.locator(".calypso-saved-views summary").click()
        opened.page.get_by_role("link", name=name).click()
        opened.settle()
        assert (
            opened.page.evaluate(f"{VIEW}.shown.map((at) => {VIEW}.rows[at].id)")
            == tasks[kept]["id"].tolist()
        )


def test_views_are_kept_while_the_page_is_open_if_the_browser_keeps_nothing(
    browser: Browser, tmp_path: Path
) -> None:
    """Storage can be refused, and what is in it can be anything."""
    context = browser.new_context(offline=True)
    file = tmp_path / "page.html"
    file.write_text(report_page(DATA), encoding="utf-8")
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.add_init_script(
        """Object.defineProperty(window, "localStorage", {
             get() { throw new DOMException("no", "SecurityError"); },
           });"""
    )
    page.goto(file.as_uri())
    page.evaluate(READY)
    menu = page.locator(".calypso-saved-views")
    menu.locator("summary").click()
    page.get_by_label("Name of the view").fill("mine")
    page.keyboard.press("Enter")
    expect(menu.get_by_role("link", name="mine")).to_be_visible()
    page.keyboard.press("Escape")
    menu.locator("summary").click()
    expect(menu.get_by_role("link", name="mine")).to_be_visible()
    other = context.new_page()
    other.goto(file.as_uri())
    for stored in ("{", '{"a": 1}', '[["x"], 5, ["a", {}], ["good", "tab=tasks"]]'):
        other.evaluate("text => localStorage.setItem('calypso-nb views http://localhost:3000', text)", stored)
        other.locator(".calypso-saved-views summary").click()
        expect(other.get_by_role("link", name="Default")).to_be_visible()
        other.keyboard.press("Escape")
    other.locator(".calypso-saved-views summary").click()
    expect(other.get_by_role("link", name="good")).to_be_visible()
    assert errors == []
    context.close()


# --- CSV ------------------------------------------------------------------------------------------------


def saved(page: Page, click: Callable[[], None]) -> tuple[str, list[dict[str, str]]]:
    """The name of the file that a click saves, and its rows."""
    with page.expect_download() as download:
        click()
    content = Path(download.value.path()).read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    text = content.decode("utf-8-sig")
    assert text.replace("\r\n", "").count("\n") == text.count("two\n")
    return download.value.suggested_filename, list(csv.DictReader(io.StringIO(text, newline="")))


FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    'a","=cmd',
    "a;=b",
    "'quoted",
    "",
    "\uff1d1",
    'plain, "x"',
    "two\n=lines",
    "é 🚀",
]


def test_what_the_filter_lets_through_is_saved_as_csv_that_runs_nothing(open_page: OpenPage) -> None:
    """Offline, in the table's order, each text guarded as Python guards it."""
    records = [
        record(n, title=title, assigned_to=title or None, queue_name=None, tags=[title, "b"], status="idle")
        for n, title in enumerate(FORMULAS, 1)
    ]
    data = data_of([*records, record(99, status="complete", title="gone")])
    opened = tasks_page(open_page, data)
    page = opened.page
    name, rows = saved(page, lambda: page.get_by_title("Save what the filter lets through as CSV").click())
    assert name == "tasks-2026-03-14.csv"
    assert [int(row["id"]) for row in rows] == by_urgency(matching(data.tasks, OPEN))
    python = {row["id"]: row for row in csv.DictReader(io.StringIO(to_csv(data.tasks), newline=""))}
    same = {
        "title": "title",
        "agent": "assigned_to",
        "tags": "tags",
        "queue": "queue_name",
        "priority": "priority",
    }
    same |= {"status": "status", "blocked_by": "blocked_by_task_id", "comments": "comment_count"}
    for row in rows:
        assert {ours: row[ours] for ours in same} == {
            ours: python[row["id"]][his] for ours, his in same.items()
        }
        assert float(row["age_hours"]) == pytest.approx(float(python[row["id"]]["age_hours"]), abs=0.01)
    heads = page.locator(".calypso-rows thead th[scope=col]").count() - 1
    assert len(rows[0]) == heads and opened.requests == [] and opened.errors == []


def test_a_selection_is_saved_alone(open_page: OpenPage) -> None:
    """With the columns that are shown."""
    opened = tasks_page(open_page, data_of([record(n, title="", status="idle") for n in range(1, 30)]))
    page = opened.page
    for number in (7, 3):
        page.get_by_label(f"Select #{number}", exact=True).check()
    page.locator(".calypso-columns summary").click()
    page.get_by_role("checkbox", name="Queue").uncheck()
    with page.expect_download() as download:
        page.get_by_title("Save the selected tasks as CSV").click()
    lines = Path(download.value.path()).read_text(encoding="utf-8-sig").splitlines()
    assert [line.split(",")[0] for line in lines] == ["id", "7", "3"] and "queue" not in lines[0]


# --- Odd data -------------------------------------------------------------------------------------------


def test_odd_texts_leave_the_table_as_it_is(open_page: OpenPage) -> None:
    """Names that mean something to a program, empty ones, and those that turn the line around."""
    names = [*TITLES, *filter(None, AGENTS), "constructor", "__proto__", "<img src=x onerror=window.pwned=1>"]
    records = [
        record(n, title=name, assigned_to=name, queue_name=name, tags=[name, name, *TAGS], status="idle")
        for n, name in enumerate(names, 1)
    ]
    opened = tasks_page(open_page, data_of(records))
    page = opened.page
    for grouping in ("agent", "queue", "tag", "status", "priority", "parent", ""):
        page.get_by_label("Group by").select_option(grouping)
        assert page.locator(ROWS).count() > 0
    page.get_by_label("Group by").select_option("agent")
    page.get_by_role("button", name="Fold all").click()
    assert page.locator(".calypso-group").count() == len({*names})
    assert page.evaluate("window.pwned") is None and opened.errors == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(
    ("records", "said"), [([], "There are no tasks"), ([record(3)], "")], ids=["none", "one"]
)
def test_a_table_of_almost_nothing_says_so(
    open_page: OpenPage, records: list[dict[str, Any]], said: str
) -> None:
    """And a filter that lets nothing through is another thing than no task at all."""
    opened = tasks_page(open_page, data_of(records))
    assert opened.page.locator(".calypso-table .calypso-nothing").inner_text() == said
    opened.filter(search="nothing is called this")
    nothing = "No task matches" if records else "There are no tasks"
    assert opened.page.locator(".calypso-table .calypso-nothing").inner_text() == nothing
    assert opened.errors == []
