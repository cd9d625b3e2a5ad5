"""The tab *Flow* of a page and of a dashboard: each chart drawn, nothing fetched, measured when asked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from calypso_nb import Dashboard, History, TinytaskClient, WorkloadReporter
from calypso_nb.embedded import TinytaskStore, create_server
from calypso_nb.view.bundle import unpacked_text
from calypso_nb.view.flow_charts import FLOW_CHARTS
from calypso_nb.view.page import report_page
from calypso_nb.view.payload import flow_payload, view_payload
from calypso_nb.view.run_notebook import export_notebook
from tests.browser import Opened, live_view

pytestmark = pytest.mark.browser

Open = Callable[[str], Opened]
ROOT = Path(__file__).parent.parent
HOSTILE = "<img src=x onerror=window.pwned=1>"


def flow_tab(page: Opened) -> None:
    """Choose the tab, and wait until all is drawn."""
    page.page.get_by_role("tab", name="Flow").click()
    page.page.evaluate("document.querySelector('.calypso-view').__calypso.ready")


def drawn(page: Opened) -> dict[str, int]:
    """How many marks each chart of the tab has."""
    charts = page.page.locator(".calypso-flow [data-section]").all()
    return {
        str(chart.get_attribute("data-section")): chart.locator("svg path, svg text").count()
        for chart in charts
    }


def test_a_page_has_every_chart_of_flow_with_its_sentence(past: History, open_page: Open) -> None:
    flow = past.flow()
    page = open_page(report_page(past.now(), flow=flow))
    assert page.page.locator(".calypso-flow").is_hidden()
    flow_tab(page)
    assert page.page.locator(".calypso-numbers").is_hidden()
    assert [*drawn(page)] == [*FLOW_CHARTS]
    assert min(drawn(page).values()) > 20
    said = page.page.locator(".calypso-flow").inner_text()
    assert "recorded from" in said
    for chart in flow_payload(flow)["charts"]:
        assert chart["spec"]["usermeta"]["subtitle"] in " ".join(said.split())
    page.page.get_by_role("tab", name="Now").click()
    assert page.page.locator(".calypso-numbers").is_visible()
    assert page.requests == [] and page.errors == []


def test_without_a_history_the_tab_says_what_it_is_made_of(
    sample_store: TinytaskStore, open_page: Open
) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=9)
    sample_store.insert_many(
        [{"title": HOSTILE, "status": "working", "assigned_to": HOSTILE, "queue_name": HOSTILE,
          "created_at": long_ago, "updated_at": long_ago}]
    )  # fmt: skip
    with TinytaskClient(create_server(sample_store)) as client:
        data = WorkloadReporter(client).collect_workload_data("all", details=False)
    page = open_page(report_page(data))
    flow_tab(page)
    assert "without a history: only creation is exact" in page.page.locator(".calypso-flow").inner_text()
    assert len(drawn(page)) == len(FLOW_CHARTS)
    assert page.page.evaluate("window.pwned") is None
    assert page.errors == []


def test_a_board_without_tasks_says_so_in_each_chart(store: TinytaskStore, open_page: Open) -> None:
    with TinytaskClient(create_server(store)) as client:
        data = WorkloadReporter(client).collect_workload_data("all", details=False)
    page = open_page(report_page(data))
    flow_tab(page)
    assert page.page.locator(".calypso-flow").inner_text().count("No task") >= 6
    assert page.errors == []


def test_a_mark_of_one_task_opens_it(past: History, open_page: Open) -> None:
    page = open_page(report_page(past.now(), flow=past.flow()))
    page.page.evaluate("""() => { window.opened = [];
      const { handle } = document.querySelector(".calypso-view").__calypso;
      handle.parts().task.open = (id) => window.opened.push(id); }""")
    flow_tab(page)
    ageing = page.page.locator('[data-section="ageing"]')
    ageing.locator('[aria-roledescription="bar"]').first.click()
    ageing.get_by_text("Show as table").click()
    ageing.get_by_role("button").first.focus()
    page.page.keyboard.press("Enter")
    oldest = past.flow().ageing["task_id"].iloc[0]
    assert page.page.evaluate("window.opened") == [oldest, oldest]


def test_a_mark_that_counts_tasks_shows_these(past: History, open_page: Open) -> None:
    """By a click and by its line in the table alike, whatever the filter was."""
    flow = past.flow()
    page = open_page(report_page(past.now(), flow=flow))
    flow_tab(page)
    queues = page.page.locator('[data-section="time-in-queues"]')
    queues.get_by_text("Show as table").click()
    line = queues.locator("tbody tr").first
    queue, now = line.locator("td").first.inner_text(), int(line.locator("td").nth(4).inner_text())
    line.get_by_role("button").click()
    assert page.page.get_by_role("tab", name="Tasks").get_attribute("aria-selected") == "true"
    page.settle()
    chosen = page.page.evaluate("document.querySelector('.calypso-view').__calypso.shown.length")
    assert (
        chosen == now > 0
        and queue == flow.stages.sort_values("waited_least", ascending=False)["queue"].iloc[0]
    )


def test_a_page_that_has_no_flow_has_no_tab_of_it(past: History, open_page: Open) -> None:
    """As there is nobody to measure it."""
    page = open_page(
        live_view(
            view_payload(past.now()), 'mount(document.querySelector(".calypso-view"), read("payload"));'
        )
    )
    assert page.page.get_by_role("tab", name="Flow").count() == 0


ASKED = """
      window.asked = [];
      const live = { news: () => ({}), every: () => 0, setEvery() {}, refresh() {},
        ask: async (what) => { window.asked.push(what); return read("measured"); } };
      window.view = mount(document.querySelector(".calypso-view"), read("payload"), { live });
"""


def test_a_live_view_asks_for_flow_once_somebody_looks(past: History, open_page: Open) -> None:
    now = past.now()
    page = open_page(live_view(view_payload(now), ASKED, measured=flow_payload(past.flow())))
    assert page.page.evaluate("window.asked") == []
    flow_tab(page)
    assert page.page.evaluate("window.asked") == ["flow"]
    assert len(drawn(page)) == len(FLOW_CHARTS)
    page.page.get_by_role("tab", name="Now").click()
    flow_tab(page)
    assert page.page.evaluate("window.asked") == ["flow"]
    page.page.get_by_role("button", name="Measure again").click()
    page.page.evaluate("document.querySelector('.calypso-view').__calypso.ready")
    assert page.page.evaluate("window.asked") == ["flow", "flow"]


def test_it_is_measured_again_if_the_tasks_have_changed(past: History, open_page: Open) -> None:
    """Once somebody looks again; a reading that found the same measures nothing, and draws nothing anew."""
    page = open_page(live_view(view_payload(past.now()), ASKED, measured=flow_payload(past.flow())))
    flow_tab(page)
    page.page.evaluate("window.svg = document.querySelector('.calypso-flow svg')")
    update = """(change) => { const { payload } = document.querySelector(".calypso-view").__calypso;
      const rows = { ...payload.rows, updated_at: [...payload.rows.updated_at] };
      if (change) rows.updated_at[0] = payload.meta.generated_at;
      return window.view.update({ ...payload, rows }); }"""
    page.page.evaluate(update, False)
    assert page.page.evaluate("window.asked") == ["flow"]
    page.page.evaluate(update, True)
    assert page.page.evaluate("window.asked") == ["flow"]
    assert "Tasks have changed since" in page.page.locator(".calypso-flow").inner_text()
    page.page.get_by_role("tab", name="Now").click()
    flow_tab(page)
    assert page.page.evaluate("window.asked") == ["flow", "flow"]
    expect(page.page.locator(".calypso-flow")).not_to_contain_text("Tasks have changed since")
    assert page.page.evaluate("window.svg.isConnected")


def test_a_dashboard_measures_by_its_history_and_its_export_has_the_tab(
    store: TinytaskStore, tmp_path: Path, open_page: Open
) -> None:
    store.create_task("Only one", "lead", assigned_to="alice")
    sent: list[dict[str, Any]] = []
    with TinytaskClient(create_server(store)) as client:
        dashboard = Dashboard(WorkloadReporter(client), details=False, history=tmp_path / "history.db")
        try:
            dashboard.view.send = sent.append  # type: ignore[method-assign]
            dashboard._answer({"ask": "flow", "request": "1"})
            static = dashboard._static()
            assert dashboard.flow.journeys.recorded
        finally:
            dashboard.close()
    assert "recorded from" in sent[0]["task"]["about"]
    assert "calypso-saved" in static["text/html"]
    assert unpacked_text([*static.values()][1]["packed"])["flow"]["about"] == sent[0]["task"]["about"]


@pytest.mark.slow
def test_the_flow_notebook_runs_and_exports(open_page: Open, tmp_path: Path) -> None:
    """On the sample's past: every chart draws, the forecast is told, nothing is fetched."""
    page = tmp_path / "flow.html"
    export_notebook(ROOT / "notebooks" / "flow.ipynb", page)
    opened = open_page(page.read_text())
    assert opened.page.locator("figure.plain-chart svg.marks").count() == 12
    said = opened.page.locator("body").inner_text()
    assert "85 % was promised" in said
    assert "open tasks of tag billing: done by" in said
    assert opened.requests == [] and opened.errors == []
