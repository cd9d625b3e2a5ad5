"""The filter of the view: the same in Python and in the browser, and what people do to set it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from calypso_nb import WorkloadData
from calypso_nb.frames import AGE_BUCKETS, STATUSES
from calypso_nb.view.page import report_page
from calypso_nb.view.rows import NO_FILTER, matching
from tests.browser import Opened
from tests.test_page import data_of, record

OpenPage = Callable[[str], Opened]

TITLES = [
    "Straße",
    "ΣΑΣ",
    "İstanbul",
    "e\u0301t\u00e9",
    "a  b",
    "",
    "\u202eesrever",
    "\U0001f680 go",
    "x\x00y",
]
AGENTS = [None, "alice", "Bob", "(unassigned)", "null", "", "\u05d0\u05d1"]
QUEUES = [None, "dev", "ops, qa"]
TAGS = ["ui", "a, b", "a", "b", ""]
PARTS = ["ß", "ss", "\u03c3", "i", "e", "é", "  ", " b", "\u202e", "\U0001f680", "\x00", "x", "zzz"]


def drawn_at_random(count: int) -> WorkloadData:
    random_ = random.Random(4)
    pick = random_.choice
    records = [
        record(
            number,
            title=pick(TITLES),
            assigned_to=pick(AGENTS),
            queue_name=pick(QUEUES),
            tags=random_.sample(TAGS, random_.randrange(3)),
            status=pick(STATUSES),
            priority=pick([None, -1, 0, 3, 10]),
            **pick([{}, {}, {"created_at": None}]),
        )
        for number in range(1, count + 1)
    ]
    return data_of(records)


def filters_at_random(count: int) -> list[dict[str, Any]]:
    random_ = random.Random(44)

    def some(values: list[Any]) -> list[Any]:
        return random_.sample(values, random_.randrange(1, 3)) if random_.random() < 0.35 else []

    bounds = [None, None, None, -1, 0, 2.5, 10]
    return [
        {
            "statuses": some([*STATUSES]),
            "agents": some(AGENTS),
            "queues": some(QUEUES),
            "tags": some(TAGS),
            "ages": some([*AGE_BUCKETS, "unknown"]),
            "priority": [random_.choice(bounds), random_.choice(bounds)],
            "search": random_.choice(["", "", *PARTS]),
        }
        for _ in range(count)
    ]


@pytest.mark.browser
def test_python_and_the_browser_let_the_same_tasks_through(open_page: OpenPage) -> None:
    """Whatever is chosen, `selected` is the frame of exactly what the view shows."""
    data = drawn_at_random(300)
    opened = open_page(report_page(data))
    filters = [dict(NO_FILTER), {}, *filters_at_random(150)]
    shown = opened.page.evaluate(
        """async (filters) => {
          const view = document.querySelector(".calypso-view").__calypso;
          const all = [];
          for (const filter of filters) {
            await view.handle.setFilter(filter);
            all.push(view.shown.map((i) => view.rows[i].id));
          }
          return all;
        }""",
        filters,
    )
    selected = [matching(data.tasks, filter)["id"].tolist() for filter in filters]
    assert shown == selected
    assert len({len(ids) for ids in selected}) > 20
    assert opened.errors == []


def test_a_filter_that_lacks_fields_lets_all_of_them_through() -> None:
    """An archived task passes no filter."""
    data = data_of([record(1), record(2, archived_at="2026-03-01T00:00:00Z")])
    assert matching(data.tasks, {})["id"].tolist() == [1]
    assert matching(data.tasks.iloc[:0], {"tags": ["ui"], "ages": ["< 1 h"], "search": "x"}).empty


@pytest.mark.browser
def test_clicks_on_bars_filter_by_agent_priority_and_age(open_page: OpenPage) -> None:
    """Each is a filter that can be seen, and a second click takes it back."""
    opened = open_page(report_page(data_of([record(number) for number in range(1, 121)])))
    page = opened.page
    for chart, label, part in [
        ("load", "agent: alice;", {"agents": ["alice"]}),
        ("priority", "priority: 5;", {"priority": [5, 5]}),
        ("age", "age: 3-7 d;", {"ages": ["3-7 d"]}),
    ]:
        [(key, chosen)] = part.items()
        bar = page.locator(f'[data-chart="{chart}"] [aria-roledescription="bar"][aria-label*="{label}"]')
        for expected in (chosen, NO_FILTER[key]):
            bar.first.click()
            opened.settle()
            view = "document.querySelector('.calypso-view').__calypso"
            assert page.evaluate(f"() => {view}.filter.{key}") == expected
            assert page.locator(f'[data-filter="{key}"]').count() == (expected is chosen)
    bars = page.locator('[data-chart="load"] [aria-roledescription="bar"]')
    bars.and_(page.locator('[aria-label*="agent: alice;"]')).first.click()
    opened.settle()
    page.get_by_role("button", name="Clear filters").click()
    opened.settle()
    for name in ("bob", "carol"):
        opened.page.locator(f'[data-chart="load"] [aria-label*="agent: {name};"]').first.click(
            modifiers=["Control"] if name == "bob" else []
        )
        opened.settle()
        assert page.evaluate(f"() => {view}.filter.agents") == [name]
        page.get_by_role("button", name="Clear filters").click()
        opened.settle()


@pytest.mark.browser
def test_a_long_list_of_agents_is_searched(open_page: OpenPage) -> None:
    """By the keyboard alone: open, search, choose two, close."""
    many = [record(number, assigned_to=f"agent-{number % 40}", status="idle") for number in range(400)]
    opened = open_page(report_page(data_of(many)))
    page = opened.page
    page.locator(".calypso-agents summary").press("Enter")
    page.get_by_label("Search agents").fill("agent-3")
    assert page.locator(".calypso-agents label").all_inner_texts() == [
        "agent-3", *(f"agent-{number}" for number in range(30, 40))
    ]  # fmt: skip
    page.get_by_label("Search agents").press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    opened.settle()
    assert opened.listed() == 20
    assert page.locator(".calypso-agents summary").inner_text() == "Agents: 2"
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


@pytest.mark.browser
def test_a_range_of_priorities_filters_and_one_click_clears(open_page: OpenPage) -> None:
    """A bound that is empty is none."""
    data = data_of([record(number) for number in range(1, 121)])
    opened = open_page(report_page(data.select(["idle"])))
    opened.page.get_by_label("Lowest priority").fill("5")
    opened.settle()
    assert opened.listed() == (data.select(["idle"]).tasks["priority"] >= 5).sum()
    opened.page.get_by_label("Highest priority").fill("8")
    opened.settle()
    assert opened.listed() == data.select(["idle"]).tasks["priority"].between(5, 8).sum()
    opened.page.locator('[data-filter="priority"]').click()
    opened.settle()
    assert opened.listed() == len(data.select(["idle"]).tasks)
    assert opened.page.get_by_label("Lowest priority").input_value() == ""
