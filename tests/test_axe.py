"""Everybody can use the page: axe finds nothing on any tab, light and dark, with and without the drawer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from calypso_nb import TinytaskClient, WorkloadReporter
from calypso_nb.embedded import TinytaskStore, create_server
from calypso_nb.view.page import report_page
from tests.browser import READY

BROWSER = "calypso_nb/view/browser"
AXE = Path(__file__).parent.parent / BROWSER / "node_modules" / "axe-core" / "axe.min.js"

pytestmark = [pytest.mark.browser, pytest.mark.node(BROWSER)]

Open = Callable[..., Page]


@pytest.fixture
def open_sample(browser: Browser, sample_store: TinytaskStore, tmp_path: Path) -> Iterator[Open]:
    """Open the sample's page with an audit, in a window of some kind."""
    contexts = []

    def open_(**window: Any) -> Page:
        with TinytaskClient(create_server(sample_store)) as client:
            data = WorkloadReporter(client).collect_workload_data("all")
        file = tmp_path / "page.html"
        file.write_text(report_page(data, audit=data.audit), encoding="utf-8")
        context = browser.new_context(offline=True, **window)
        contexts.append(context)
        page = context.new_page()
        page.goto(file.as_uri())
        page.evaluate(READY)
        page.evaluate(AXE.read_text(encoding="utf-8"))
        return page

    yield open_
    for context in contexts:
        context.close()


def findings(page: Page) -> list[str]:
    """What axe finds, with the first of the elements that have it."""
    found: list[str] = page.evaluate(
        """async () => (await axe.run()).violations.map(({ id, nodes: [node, ...more] }) =>
            `${id} (+ ${more.length}): ${node.target.join(" ")}: ${node.any[0]?.message ?? node.html}`)"""
    )
    return found


def tabs(page: Page) -> Iterator[str]:
    """Choose each tab, and return its name once it is drawn."""
    for name in page.get_by_role("tab").all_inner_texts():
        page.get_by_role("tab", name=name).click()
        page.evaluate(READY)
        yield name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_tab(scheme: str, open_sample: Open) -> None:
    """Names, roles and contrast, in both colour schemes."""
    page = open_sample(color_scheme=scheme, viewport={"width": 1400, "height": 1000})
    found = {name: findings(page) for name in tabs(page)}
    assert [*found] == ["Now", "Agents", "Tasks", "Flow", "Blocking", "Audit"]
    assert {name: some for name, some in found.items() if some} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_drawer(scheme: str, open_sample: Open) -> None:
    """Beside the list from which it was opened."""
    page = open_sample(color_scheme=scheme, viewport={"width": 1400, "height": 1000})
    page.get_by_role("tab", name="Blocking").click()
    page.get_by_role("list", name="Who waits for whom").locator("[data-task]").first.click()
    page.evaluate(READY)
    assert page.get_by_role("dialog").or_(page.locator(".calypso-drawer")).first.is_visible()
    assert findings(page) == []


def test_axe_finds_nothing_on_a_phone(open_sample: Open) -> None:
    """Where the tabs are laid out otherwise."""
    page = open_sample(viewport={"width": 390, "height": 844})
    assert {name: found for name in tabs(page) if (found := findings(page))} == {}


def test_charts_as_tables_have_names_too(open_sample: Open) -> None:
    """With every table of the tab open."""
    page = open_sample(viewport={"width": 1400, "height": 1000})
    page.get_by_role("tab", name="Flow").click()
    page.evaluate(READY)
    for summary in page.get_by_text("Show as table").all():
        if summary.is_visible():
            summary.click()
    assert findings(page) == []
