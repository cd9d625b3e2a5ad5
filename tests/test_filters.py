"""The filter of the view: the same in Python and in the browser, and what people do to set it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from calypso_nb import WorkloadData
from calypso_nb.frames import AGE_BUCKETS, OPEN_STATUSES, STATUSES, age_buckets, tasks_frame
from calypso_nb.view.page import report_page
from calypso_nb.view.rows import NO_FILTER, matching
from tests.browser import Opened
from tests.test_page import NOW, data_of, record

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
NUMBERS = ["#7", " #7 ", "#07", "#0", "# 7", "#7x", "#", "#\u0667", f"#{10**14}", f"#{10**16}"]
PARTS = ["ß", "ss", "\u03c3", "i", "e", "é", "  ", " b", "\u202e", "\U0001f680", "\x00", "x", "zzz"]


OPEN = {"statuses": [*OPEN_STATUSES]}


def tasks_of(count: int) -> pd.DataFrame:
    return data_of([record(number) for number in range(1, count + 1)]).tasks


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
            is_currently_blocked=pick([True, False, None]),
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
            "blocked": some([True, False, None]),
            "ids": random_.choice([[], [], [], [0], [*range(0, 200, 3)], [5, 7, 10**12]]),
            "priority": [random_.choice(bounds), random_.choice(bounds)],
            "search": random_.choice(["", "", *PARTS, *NUMBERS]),
        }
        for _ in range(count)
    ]


@pytest.mark.browser
def test_python_and_the_browser_let_the_same_tasks_through(open_page: OpenPage) -> None:
    """Whatever is chosen, `selected` is the frame of exactly what the view shows."""
    data = drawn_at_random(300)
    opened = open_page(report_page(data))
    filters = [dict(NO_FILTER), {}, *filters_at_random(400), *({"search": text} for text in NUMBERS)]
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
def test_a_task_is_in_the_same_age_bucket_in_python_and_in_the_browser(open_page: OpenPage) -> None:
    """Also at the very edge of one, to the microsecond, and if it was created in the future."""
    edges = [timedelta(hours=hours) for hours in (0, *AGE_BUCKETS.values()) if hours < math.inf]
    steps = [timedelta(microseconds=step) for step in (-1_000_000, -1000, -999, -1, 0, 1, 999, 1000)]
    ages = [edge + step for edge in edges for step in steps]
    for now in (NOW, NOW + timedelta(microseconds=123_456)):
        records = [
            record(number, created_at=(now - age).isoformat(), updated_at=now.isoformat())
            for number, age in enumerate(ages, 1)
        ]
        tasks = tasks_frame(records, now)
        opened = open_page(
            report_page(WorkloadData(tasks, tasks, now, "http://localhost:3000", details=True))
        )
        view = "document.querySelector('.calypso-view').__calypso"
        assert (
            opened.page.evaluate(f"() => {view}.rows.map((row) => row.age_bucket)")
            == age_buckets(tasks).tolist()
        )


@pytest.mark.browser
def test_values_are_chosen_from_menus_and_taken_away_again(open_page: OpenPage) -> None:
    """What is chosen stands in the line, with what takes it away; what is not chosen does not."""
    opened = open_page(report_page(data_of([record(number) for number in range(1, 121)])))
    page = opened.page
    for key, name, choose, chosen in [
        ("agents", "Agent: alice", "alice", {"agents": ["alice"]}),
        ("ages", "Age: 3-7 d", "3-7 d", {"ages": ["3-7 d"]}),
        ("blocked", "Blocked: yes", "yes", {"blocked": [True]}),
    ]:
        menu = page.locator(f".calypso-controls .calypso-{key}")
        if key == "agents":
            menu.locator("summary").click()
        else:
            page.locator(".calypso-adding summary").click()
            page.get_by_role("button", name=name.split(":")[0], exact=True).click()
        menu.get_by_label(choose, exact=True).check()
        page.keyboard.press("Escape")
        opened.settle()
        assert menu.locator("summary").inner_text() == name
        assert opened.listed() == len(matching(tasks_of(120), {**OPEN, **chosen}))
        page.locator(f'[data-filter="{key}"]').click()
        opened.settle()
        assert menu.is_visible() == (key == "agents")
        assert opened.listed() == len(matching(tasks_of(120), OPEN))
        assert page.locator(f'[data-filter="{key}"]').count() == 0


@pytest.mark.browser
def test_a_long_list_of_agents_is_searched(open_page: OpenPage) -> None:
    """By the keyboard alone: open, search, choose two, close."""
    many = [record(number, assigned_to=f"agent-{number % 40}", status="idle") for number in range(400)]
    opened = open_page(report_page(data_of(many)))
    page = opened.page
    page.locator(".calypso-agents summary").press("Enter")
    page.get_by_label("Search agents").fill("agent-3")
    assert page.locator(".calypso-agents label > span").all_inner_texts() == [
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
    page = opened.page
    page.locator(".calypso-adding summary").click()
    page.locator(".calypso-adding").get_by_role("button", name="Priority", exact=True).click()
    page.get_by_label("Lowest priority").fill("5")
    opened.settle()
    assert opened.listed() == (data.select(["idle"]).tasks["priority"] >= 5).sum()
    page.get_by_label("Highest priority").fill("8")
    opened.settle()
    assert opened.listed() == data.select(["idle"]).tasks["priority"].between(5, 8).sum()
    assert page.locator(".calypso-priorities summary").inner_text() == "Priority: 5 to 8"
    page.get_by_role("button", name="Priority 8 and above").click()
    opened.settle()
    assert opened.listed() == (data.select(["idle"]).tasks["priority"] >= 8).sum()
    page.get_by_role("button", name="Priority 8", exact=True).click()
    opened.settle()
    assert opened.listed() == (data.select(["idle"]).tasks["priority"] == 8).sum()
    page.locator('[data-filter="priority"]').click()
    opened.settle()
    assert opened.listed() == len(data.select(["idle"]).tasks)
    assert page.get_by_label("Lowest priority").input_value() == ""
