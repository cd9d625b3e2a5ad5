"""Sections of a page: who waits for whom, parents, and the audit, as the report has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator

from calypso_nb import TinytaskClient, WorkloadData, WorkloadReporter
from calypso_nb.embedded import TinytaskStore, create_server
from calypso_nb.view.page import report_page
from tests.browser import Opened
from tests.conftest import NOW

pytestmark = pytest.mark.browser

Open = Callable[[str], Opened]
HOSTILE = "<img src=x onerror=window.pwned=1>"


def report(store: TinytaskStore) -> WorkloadData:
    """What is on the store's board now."""
    with TinytaskClient(create_server(store)) as client:
        return WorkloadReporter(client).collect_workload_data(details=False, now=NOW)


@pytest.fixture
def data(sample_store: TinytaskStore) -> Iterator[WorkloadData]:
    """A report on the sample project, with a hostile task that needs attention."""
    long_ago = "2026-11-01 00:00:00"
    sample_store.insert_many(
        [{"title": HOSTILE, "priority": 10, "created_at": long_ago, "updated_at": long_ago}]
    )
    yield report(sample_store)


def tab(page: Opened, name: str) -> Locator:
    """A tab, after it was chosen."""
    page.page.get_by_role("tab", name=name).click()
    return page.page.get_by_role("tabpanel", name=name)


def test_who_waits_for_whom_is_that_of_the_report(data: WorkloadData, open_page: Open) -> None:
    """A line for each task of a chain, with what it holds up."""
    page = open_page(report_page(data))
    page.filter(statuses=[])
    lines = tab(page, "Blocking").get_by_role("list", name="Who waits for whom").locator("li")
    found = data.blocking.set_index("id")
    assert {int(line) for line in lines.evaluate_all("all => all.map((one) => one.dataset.line)")} == {
        *found.index
    }
    for line in lines.all():
        task = found.loc[int(line.get_attribute("data-line") or "")]
        said = line.inner_text()
        assert task["title"] in said
        assert (f"holds up {task['holds_up_in_all']}" in said) == (task["holds_up_in_all"] > 0)
    assert page.errors == []


def test_parents_are_those_of_the_report(data: WorkloadData, open_page: Open) -> None:
    """How many of the tasks below each are complete."""
    page = open_page(report_page(data))
    page.filter(statuses=[])
    lines = tab(page, "Blocking").get_by_role("list", name="Parent tasks").locator("li")
    assert lines.count() == len(data.tree) > 3
    for line, row in zip(lines.all(), data.tree.itertuples(), strict=True):
        assert f"#{row.id} {row.title}" in line.inner_text()
        assert f"{row.leaves_complete} of {row.leaves}" in line.inner_text()


def lines(page: Opened) -> list[str]:
    """The lines of the list Do now, those by reason unfolded, as they are printed and read."""
    page.page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    texts: list[str] = page.page.locator(".calypso-do").evaluate_all(
        "lines => lines.map((line) => line.textContent)"
    )
    page.page.evaluate("() => dispatchEvent(new Event('afterprint'))")
    return texts


def test_the_list_do_now_is_that_of_the_report(data: WorkloadData, open_page: Open) -> None:
    """Each row of `data.attention` in its order, with its evidence, how urgent it is and since when."""
    page = open_page(report_page(data))
    page.filter(statuses=[], agents=[], search="")
    shown = lines(page)
    assert len(shown) == len(data.attention) > 7
    for line, row in zip(shown, data.attention.itertuples(), strict=True):
        name = {"agent": row.agent, "team": ""}.get(row.about, f"#{row.task_id} ")
        assert name in line and row.evidence[:200] in line
        assert {3: "stuck", 2: "slow", 1: "to tidy up"}[row.urgency] in line
    assert any(HOSTILE in line for line in shown)
    heading = page.page.locator(".calypso-attention h3").inner_text()
    assert heading == f"Do now: 7 of {len(shown)}"
    assert page.page.evaluate("window.pwned") is None
    assert page.errors == []


def test_the_filter_narrows_the_list_do_now(data: WorkloadData, open_page: Open) -> None:
    """What is listed is about the tasks that are shown."""
    page = open_page(report_page(data))
    agent = data.attention["agent"].dropna().iloc[0]
    page.filter(statuses=["idle", "working"], agents=[agent], search="")
    shown = set(data.select(["idle", "working"], agent).tasks["id"])
    about = [row.task_id in shown if row.about == "task" else not shown.isdisjoint(row.tasks)
             for row in data.attention.itertuples()]  # fmt: skip
    assert len(lines(page)) == sum(about) > 0


def test_a_board_on_which_nobody_waits_says_so(store: TinytaskStore, open_page: Open) -> None:
    """Nothing to do is a sentence and not an empty space."""
    store.create_task("Only one", "lead", assigned_to="alice")
    store.update_task(1, status="working")
    panel = tab(open_page(report_page(report(store))), "Blocking")
    assert "No task is blocked" in panel.inner_text()
    assert "No task has subtasks" in panel.inner_text()


def test_an_audit_shows_each_rule_and_opens_its_findings(
    data: WorkloadData, clean_environment: Path, open_page: Open
) -> None:
    """Broken rules first, each with its counts; what agents wrote is only text."""
    page = open_page(report_page(data, audit=data.audit))
    panel = tab(page, "Audit")
    assert data.audit.summary in panel.inner_text()
    rules = panel.locator("details[data-rule]")
    names = rules.evaluate_all("all => all.map((one) => one.dataset.rule)")
    broken = data.audit.broken
    assert names[: len(broken)] == broken["rule"].tolist()
    for rule, row in zip(rules.all(), broken.itertuples(), strict=False):
        assert str(row.text) in rule.inner_text() and f"broken {row.broken:,}" in rule.inner_text()
    first = data.audit.findings[data.audit.findings["rule"] == broken["rule"][0]].iloc[0]
    rules.first.locator("summary").click()
    said = rules.first.locator("li").first.inner_text()
    assert f"#{first['task']}" in said and first["evidence"] in said
    assert page.page.evaluate("window.pwned") is None
    assert page.errors == []


def test_what_is_open_of_an_audit_stays_open(
    data: WorkloadData, clean_environment: Path, open_page: Open
) -> None:
    """Whatever else is chosen, and however often the data are read again."""
    page = open_page(report_page(data, audit=data.audit))
    rule = tab(page, "Audit").locator("details[data-rule]").nth(1)
    rule.locator("summary").click()
    page.filter(search="ledger")
    page.page.evaluate("""() => { const view = document.querySelector(".calypso-view").__calypso;
      const audit = { ...view.payload.audit, summary: "another" };
      return view.handle.update({ ...view.payload, audit }); }""")
    assert "another" in page.page.get_by_role("tabpanel", name="Audit").inner_text()
    assert rule.get_attribute("open") is not None


def test_a_page_without_an_audit_has_no_tab_of_it(data: WorkloadData, open_page: Open) -> None:
    """As there is nothing in it."""
    assert open_page(report_page(data)).page.get_by_role("tab", name="Audit").count() == 0
