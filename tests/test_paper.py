"""What comes out of the printer: a sheet that sums up, then the tasks and who waits for whom, whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from calypso_nb import TinytaskClient, WorkloadData, WorkloadReporter
from calypso_nb.embedded import TinytaskStore, create_server
from calypso_nb.view.page import report_page
from tests.boards import report_of, task
from tests.browser import Opened
from tests.conftest import NOW

pytestmark = pytest.mark.browser

Open = Callable[[str], Opened]


@pytest.fixture
def data(sample_store: TinytaskStore) -> WorkloadData:
    """The sample project, which has 158 open tasks."""
    with TinytaskClient(create_server(sample_store)) as client:
        data: WorkloadData = WorkloadReporter(client).collect_workload_data("all", now=NOW)
    return data


def on_paper(page: Opened) -> None:
    """Lay out what is printed, as the browser does before it prints."""
    page.page.emulate_media(media="print")
    page.page.set_viewport_size({"width": 718, "height": 1000})
    page.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.settle()


def tab(page: Opened, name: str) -> None:
    """Choose a tab, and wait until it is drawn."""
    page.page.get_by_role("tab", name=name).click()
    page.settle()


# What scrolls or is cut off below, but for the cells of tables and lines that end with an ellipsis.
CUT_OFF = """() => [...document.querySelectorAll(".calypso-panel, .calypso-panel *")].filter((node) =>
  node.checkVisibility() && !node.closest("svg, td, th, .calypso-unseen")
  && node.scrollHeight > node.clientHeight + 3
  && getComputedStyle(node).overflowY !== "visible").map((node) => node.className)"""


def test_the_sample_is_on_four_sheets(data: WorkloadData, open_page: Open, tmp_path: Path) -> None:
    """Of A4, whichever of the tabs that it has is looked at."""
    page = open_page(report_page(data))
    for name in ("Now", "Tasks"):
        tab(page, name)
        pdf = page.page.pdf(prefer_css_page_size=True)
        assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 4


def test_paper_has_all_tasks_and_says_which_they_are(data: WorkloadData, open_page: Open) -> None:
    """With the title, the server, the moment, the filter, the numbers, and what holds up what."""
    page = open_page(report_page(data, title="Monday"))
    page.filter(statuses=["idle", "working"], priority=[1, None])
    on_paper(page)
    said = page.page.locator("body").inner_text()
    shown = data.tasks[data.tasks["is_open"] & (data.tasks["priority"] >= 1)]
    assert "Monday" in said and "Read at" in said
    assert f"{len(shown)} of {len(data.tasks)} tasks: " in said and "priority" in said
    assert page.page.locator(".calypso-rows tbody tr[data-line]").count() == len(shown)
    assert page.page.get_by_role("list", name="Who waits for whom").locator("li").count() > 10
    assert page.page.locator(".calypso-backlog svg").is_visible()


def test_nothing_on_paper_is_cut_off_or_to_be_clicked(data: WorkloadData, open_page: Open) -> None:
    """No inner scrolling, no menus, no search."""
    page = open_page(report_page(data, audit=data.audit))
    tab(page, "Audit")
    on_paper(page)
    assert page.page.evaluate(CUT_OFF) == []
    assert page.page.locator(".calypso-audit").is_visible()
    assert page.page.locator(".calypso-flow").is_hidden()
    for hidden in ("input", "select", "[role=tab]"):
        assert page.page.locator(f"{hidden}:visible").count() == 0


def test_the_tab_that_is_looked_at_is_printed_too(data: WorkloadData, open_page: Open) -> None:
    """With every chart in it."""
    page = open_page(report_page(data))
    tab(page, "Flow")
    on_paper(page)
    assert page.page.locator(".calypso-flow svg").first.is_visible()
    assert page.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_long_lists_say_what_is_left_out(open_page: Open) -> None:
    """Of tasks, chains and parents."""
    rows = [
        row
        for number in range(1, 801, 2)
        for row in (task(number), task(number + 1, blocked_by_task_id=number, parent_task_id=number))
    ]
    page = open_page(report_page(report_of(rows)))
    on_paper(page)
    left = page.page.locator(".calypso-unprinted:visible").all_inner_texts()
    assert "… and 300 more tasks, which are not printed" in left
    assert "… and 720 more, which are not printed" in left
    assert "… and 380 more, which are not printed" in left


def test_the_screen_is_as_it_was_after_printing(data: WorkloadData, open_page: Open) -> None:
    """The tab and what it shows."""
    page = open_page(report_page(data))
    tab(page, "Blocking")
    before = page.page.get_by_role("tabpanel", name="Blocking").inner_text()
    page.page.pdf()
    page.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.page.get_by_role("tabpanel", name="Blocking").inner_text() == before
    assert page.page.get_by_role("tabpanel", name="Tasks").is_hidden()
