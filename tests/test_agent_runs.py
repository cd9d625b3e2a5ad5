"""The runs on an agent's page: what goes on, what came of what ran, and how it goes per recipe."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from calypso_nb import TinytaskClient, WorkloadReporter
from calypso_nb.embedded import TinytaskStore, create_server
from calypso_nb.run_marks import AUTHOR
from calypso_nb.view.page import report_page
from calypso_nb.view.payload import view_payload
from tests.browser import Opened
from tests.conftest import NOW

pytestmark = pytest.mark.browser
OpenPage = Callable[[str], Opened]


class Board:
    """A TinyTask whose clock is set."""

    def __init__(self) -> None:
        self.now = NOW
        self.store = TinytaskStore(now=lambda: self.now)

    def run(self, task: int, number: int, text: str, ago: float, minutes: float | None = None) -> None:
        """A lease taken so many minutes ago, which became this text after some; without, it is still one."""
        self.now = NOW - timedelta(minutes=ago)
        run = f"{number:012x}"
        comment = self.store.add_comment(task, f"Lease {run} of 60 s, sign 1: box takes x for alice", AUTHOR)
        self.now = NOW if minutes is None else self.now + timedelta(minutes=minutes)
        self.store.update_comment(comment["id"], text.format(run=run))
        self.now = NOW


def ended(
    outcome: str, minutes: float, why: str = "exit code 0", recipe: str = "build", more: str = ""
) -> str:
    head = f"Run {{run}} of {recipe} for alice on box: {outcome} after {minutes * 60:.1f} s, {why}."
    return head + more.replace("{", "{{").replace("}", "}}")


@pytest.fixture
def board() -> Any:
    board = Board()
    titles = ("Build it", "Test <img src=x onerror=alert(1)>", "Ship it")
    first, second, third = (
        board.store.create_task(title, "lead", assigned_to="alice")["id"] for title in titles
    )
    usage = '\nUsage: {"input_tokens": 1200, "output_tokens": 300, "cost_usd": 0.25}'
    board.run(first, 1, ended("failed", 2, "exit code 3"), 90, 2)
    board.run(first, 2, ended("succeeded", 4, more=usage), 60, 4)
    board.run(second, 3, ended("over time", 10, "it took longer than 600 s", "test"), 40, 10)
    board.run(third, 4, "Lease {run} of 60 s, sign 9: box runs build for alice", 12)
    yield board
    board.store.close()


def read(board: Board, when: datetime = NOW) -> Any:
    with TinytaskClient(create_server(board.store)) as client:
        return WorkloadReporter(client).collect_workload_data("all", now=when)


def test_an_agents_page_tells_its_runs(board: Board, open_page: OpenPage) -> None:
    """The newest first, each opens its task; per recipe, with what the runs said that they used."""
    opened = open_page(report_page(read(board)))
    page = opened.page
    page.get_by_role("tab", name="Agents").click()
    page.locator(".calypso-agents-body").get_by_text("alice", exact=True).first.click()
    runs = page.locator(".calypso-agent-runs")
    assert runs.locator("h4").inner_text() == "Runs: 4"
    lines = [line.inner_text().split("\n") for line in runs.locator("li").all()]
    assert [line[2] for line in lines] == ["running", "over time", "succeeded", "failed"]
    assert lines[0][1:] == ["#3", "running", "Ship it", "build on box: it goes on"]
    assert lines[1][-1] == "test on box, 10 min: it took longer than 600 s"
    assert lines[2][-1] == "build on box, 4 min, try 2: exit code 0"
    rows = [row.inner_text().split("\t") for row in runs.locator("tbody tr").all()]
    assert rows == [
        ["build", "3", "1", "1", "50%", "4 min", "1.5"],
        ["test", "1", "0", "1", "0%", "\N{EN DASH}", "1.0"],
    ]
    used = ["1,200 tokens in", "300 tokens out", "0.25 USD"]
    assert f"Used, as they said: {', '.join(f'{one} by 1 of 3 runs' for one in used)}" in runs.inner_text()
    runs.get_by_role("button", name="#2").click()
    assert page.locator(".calypso-drawer").get_by_text("Test <img").count()
    assert opened.errors == [] and opened.requests == []


def test_signs_of_life_are_no_news_to_a_view(board: Board) -> None:
    """Or each refresh would send all runs again."""
    before = view_payload(read(board))
    board.now = NOW + timedelta(seconds=20)
    board.store.update_comment(4, f"Lease {4:012x} of 60 s, sign 10: box runs build for alice")
    after = view_payload(read(board, board.now))
    assert (before["runs"], before["run_totals"]) == (after["runs"], after["run_totals"])
    assert view_payload(read(board, NOW + timedelta(hours=1)))["runs"][0]["outcome"] == "silent"
