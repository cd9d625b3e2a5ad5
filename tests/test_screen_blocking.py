"""The tab *Blocking*: what holds up what is read, folded, opened and freed, with the mouse and by keys."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator

from calypso_nb import WorkloadData
from calypso_nb.view.page import report_page
from calypso_nb.view.payload import view_payload
from tests.boards import HOSTILE, report_of, task
from tests.browser import Opened, live_view

pytestmark = pytest.mark.browser

Open = Callable[[str], Opened]

# A live view whose actions are noted, as are the tasks and agents that are opened.
KERNEL = """
  window.noted = [];
  const live = { news: () => ({}), every: () => 0, setEvery() {}, refresh() {},
    ask: () => new Promise(() => {}) };
  window.view = mount(document.querySelector(".calypso-view"), read("payload"), { live });
  const { task, agents } = view.parts();
  task.open = (id) => noted.push(["task", id]);
  agents.open = (name) => noted.push(["agent", name]);
"""


def chain() -> WorkloadData:
    """#1 holds up #2, that #3 and #4; #6 waits for #5, which is archived; #7 and #8 wait for each other."""
    return report_of(
        [
            task(1, "Root", status="working", assigned_to="alice", priority=5),
            task(2, "Middle", blocked_by_task_id=1, assigned_to="bob"),
            task(3, "End", blocked_by_task_id=2, priority=9),
            task(4, "Other end", blocked_by_task_id=2, assigned_to="carol"),
            task(5, "Gone", archived=3),
            task(6, "Left behind", blocked_by_task_id=5, assigned_to="dave"),
            task(7, "Hen", blocked_by_task_id=8),
            task(8, "Egg", blocked_by_task_id=7),
            task(9, "Free", assigned_to="bob"),
        ]
    )


def blocking(page: Opened) -> Locator:
    """The tree, after its tab was chosen."""
    page.page.get_by_role("tab", name="Blocking").click()
    return page.page.get_by_role("list", name="Who waits for whom")


def numbers(tree: Locator) -> list[int]:
    """The tasks in their lines."""
    return [
        int(line) for line in tree.locator("li").evaluate_all("all => all.map((one) => one.dataset.line)")
    ]


@pytest.fixture
def page(open_page: Open) -> Opened:
    """A live view of the chain."""
    return open_page(live_view(view_payload(chain()), KERNEL))


def test_each_task_is_below_the_one_that_it_waits_for(page: Opened) -> None:
    """What holds up most first, each with its level for a screen reader."""
    tree = blocking(page)
    assert numbers(tree) == [1, 2, 3, 4, 5, 6, 7, 8]
    levels = tree.locator("li").evaluate_all("all => all.map((one) => one.getAttribute('aria-level'))")
    assert levels == ["1", "2", "3", "3", "1", "2", "1", "2"]
    first = tree.locator("li").first.inner_text()
    assert all(said in first for said in ("#1", "Root", "holds up 3", "working", "alice", "P5"))


def test_the_longest_chain_stands_out(page: Opened) -> None:
    """It is in bold, and how long it is stands above."""
    tree = blocking(page)
    bold = tree.locator("li").evaluate_all(
        """all => all.filter((line) => getComputedStyle(line.querySelector("[data-task]")).fontWeight > 600)
            .map((line) => Number(line.dataset.line))"""
    )
    assert bold == [1, 2, 3]
    assert "6 wait · 3 for what never ends · the longest chain, in bold, has 3 tasks" in (
        page.page.locator(".calypso-blocking").inner_text()
    )


def test_what_never_ends_says_why(page: Opened) -> None:
    tree = blocking(page)
    endless = {
        int(line.get_attribute("data-line") or ""): line.locator("strong").inner_text()
        for line in tree.locator("li:has(strong)").all()
    }
    assert endless == {5: "archived: never ends", 7: "in a circle: never ends", 8: "in a circle: never ends"}


def test_a_click_opens_the_task_or_its_agent(page: Opened) -> None:
    tree = blocking(page)
    tree.get_by_role("button", name="#2 Middle").click()
    tree.get_by_role("button", name="bob").click()
    assert page.page.evaluate("noted") == [["task", 2], ["agent", "bob"]]
    assert page.page.get_by_role("tab", name="Agents").get_attribute("aria-selected") == "true"


def test_the_filter_keeps_whole_chains_and_dims_the_rest_of_them(page: Opened) -> None:
    """What carol's task waits for is shown, what else waits there is not."""
    tree = blocking(page)
    page.filter(agents=["carol"])
    assert numbers(tree) == [1, 2, 4]
    assert tree.locator("li.calypso-dim").count() == 2
    page.filter(agents=["bob"])
    assert numbers(tree) == [1, 2, 3, 4]
    page.filter(search="free")
    assert numbers(tree) == []
    assert "No task that the filter lets through waits" in page.page.locator(".calypso-blocking").inner_text()


def test_what_is_folded_stays_so_when_the_tasks_are_read_again(page: Opened) -> None:
    """And the focus stays where it is."""
    tree = blocking(page)
    fold = tree.get_by_role("button", name="What waits for #2")
    fold.click()
    assert numbers(tree) == [1, 2, 5, 6, 7, 8]
    page.page.evaluate(
        """() => { const { payload } = document.querySelector(".calypso-view").__calypso;
          const rows = { ...payload.rows, title: payload.rows.title.map((title) => `${title}!`) };
          return view.update({ ...payload, rows }); }"""
    )
    assert numbers(tree) == [1, 2, 5, 6, 7, 8]
    assert "Root!" in tree.inner_text()
    assert fold.get_attribute("aria-expanded") == "false"
    assert fold.evaluate("button => button === document.activeElement")


def test_the_arrow_keys_go_through_the_lines(page: Opened) -> None:
    """Down and up from task to task, left and right fold what waits, and Enter opens."""
    tree = blocking(page)
    tree.get_by_role("button", name="#1 Root").focus()
    page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("ArrowLeft")
    assert numbers(tree) == [1, 2, 5, 6, 7, 8]
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("ArrowUp")
    page.page.keyboard.press("Enter")
    assert page.page.evaluate("noted") == [["task", 3]]


def test_a_long_tree_grows_by_what_somebody_asks_for(open_page: Open) -> None:
    """Eighty lines at a time, however many there are."""
    pairs = [
        row
        for number in range(1, 401, 2)
        for row in (task(number, "first"), task(number + 1, "second", blocked_by_task_id=number))
    ]
    page = open_page(report_page(report_of(pairs)))
    tree = blocking(page)
    assert tree.locator("li").count() == 80
    page.page.get_by_role("button", name="Show 80 more of 320").click()
    assert tree.locator("li").count() == 160


def test_what_agents_wrote_is_only_text(open_page: Open) -> None:
    """In titles, names and chains of any depth."""
    rows = [task(1, HOSTILE[0])]
    rows += [
        task(number, text, blocked_by_task_id=number - 1, parent_task_id=1, assigned_to=text)
        for number, text in enumerate((*HOSTILE, "x" * 100_000, "constructor"), 2)
    ]
    page = open_page(report_page(report_of(rows)))
    tree = blocking(page)
    assert tree.locator("li").count() == len(rows)
    assert tree.locator("img, script, a").count() == 0
    assert page.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.errors == []


def test_many_parents_are_turned_page_by_page(open_page: Open) -> None:
    """Twenty at a time; the page stays when the tasks are read again."""
    rows = [
        row
        for number in range(1, 101, 2)
        for row in (task(number, f"Parent {number}"), task(number + 1, "Leaf", parent_task_id=number))
    ]
    page = open_page(report_page(report_of(rows)))
    blocking(page)
    parents = page.page.get_by_role("list", name="Parent tasks")
    page.page.get_by_role("button", name="Next page of parents").click()
    page.page.evaluate("""() => { const view = document.querySelector(".calypso-view").__calypso;
      return view.handle.update(view.payload); }""")
    assert parents.locator("li").count() == 20
    assert "Parent 41" in parents.locator("li").first.inner_text()
    assert "21 to 40 of 50" in page.page.locator(".calypso-parents").inner_text()


def test_a_parent_is_shown_with_the_task_below_that_the_filter_lets_through(open_page: Open) -> None:
    """Dimmed if it does not pass itself."""
    rows = [
        task(1, "Top"),
        task(2, "Part", parent_task_id=1),
        task(3, "Leaf", parent_task_id=2),
        task(4, "Another"),
    ]
    rows += [task(5, "Leaf of another", parent_task_id=4)]
    page = open_page(report_page(report_of(rows)))
    blocking(page)
    page.filter(ids=[3])
    parents = page.page.get_by_role("list", name="Parent tasks").locator("li")
    assert [line.get_attribute("data-line") for line in parents.all()] == ["1", "2"]
    assert parents.first.get_attribute("class") == "calypso-dim"
    parents.nth(1).get_by_role("button").click()
