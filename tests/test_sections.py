"""Attention and sections on a page: what needs attention, who waits for whom, queues, tags and parents."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

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


def needs(page: Opened) -> list[str]:
    """The lines of the attention list, all of them."""
    more = page.page.locator(".calypso-attention button")
    if more.is_visible():
        more.click()
    return page.page.locator(".calypso-needs li").all_inner_texts()


def test_the_attention_list_is_that_of_the_report(data: WorkloadData, open_page: Open) -> None:
    """Each row of `data.attention` in its order, with its evidence, and what to do."""
    page = open_page(report_page(data))
    page.filter(statuses=[], agents=[], search="")
    lines = needs(page)
    assert len(lines) == len(data.attention) > 10
    for line, row in zip(lines, data.attention.itertuples(), strict=True):
        assert f"#{row.task_id} " in line
        assert f"{row.evidence} → {row.to_do}" in line
    assert any(HOSTILE in line for line in lines)
    assert page.page.evaluate("window.pwned") is None
    assert page.errors == []


def test_the_filter_narrows_the_attention_list(data: WorkloadData, open_page: Open) -> None:
    """What is listed is about the tasks that are shown."""
    page = open_page(report_page(data))
    agent = data.attention["agent"].dropna().iloc[0]
    page.filter(statuses=["idle", "working"], agents=[agent], search="")
    shown = set(data.select(["idle", "working"], agent).tasks["id"])
    assert len(needs(page)) == data.attention["task_id"].isin(shown).sum() > 0


def test_blocking_queues_tags_and_parents_are_those_of_the_report(
    data: WorkloadData, open_page: Open
) -> None:
    """A mark for each task of a chain, and the tables' numbers as the frames have them."""
    page = open_page(report_page(data))
    labels = page.page.locator('[data-section="blocking"] text').all_text_contents()
    assert all(any(f"#{task} " in label for label in labels) for task in data.blocking["id"])
    tables = {
        table.locator("summary b").inner_text(): [
            row.locator("td").all_inner_texts() for row in table.locator("tbody tr").all()
        ]
        for table in page.page.locator(".calypso-sections details:has(table)").all()
    }
    assert [row[:4] for row in tables["Queues"]] == [
        [queue, str(opened), str(idle), str(working)]
        for queue, opened, idle, working in zip(
            data.queues["queue"].fillna("(no queue)"),
            data.queues["open"],
            data.queues["idle"],
            data.queues["working"],
            strict=True,
        )
    ]
    assert [int(row[1]) for row in tables["Tags"]] == data.tags["open"].tolist()
    assert [int(row[3]) for row in tables["Parent tasks"]] == data.tree["leaves"].tolist()


def test_a_board_without_trouble_says_so(store: TinytaskStore, open_page: Open) -> None:
    """Nothing to do is a sentence and not an empty space."""
    store.create_task("Only one", "lead", assigned_to="alice")
    store.update_task(1, status="working")
    page = open_page(report_page(report(store)))
    assert page.page.locator(".calypso-attention h3").inner_text() == "Nothing needs attention"
    assert "No task is blocked" in page.page.locator(".calypso-sections").inner_text()
