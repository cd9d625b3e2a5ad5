"""*Since you looked*: a dashboard with a history tells what is new, and a click marks it as seen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from calypso_nb import Dashboard, History, WorkloadReporter
from calypso_nb.history import digest as digests
from calypso_nb.history.changes import micros_of
from calypso_nb.view.payload import MOST_LINES, digest_payload, view_payload
from tests.boards import HOSTILE, report_of, task
from tests.browser import live_view
from tests.conftest import SECONDS
from tests.watched import BY_HAND, Board

pytestmark = pytest.mark.usefixtures("clean_environment")


@pytest.fixture
def dashboard(board: Board, path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dashboard]:
    """A dashboard of one task, recorded by itself, whose reader is called eve and has seen all of it."""
    monkeypatch.setenv("TINYTASK_AGENT", "eve")
    monkeypatch.setattr(digests, "_now", lambda: micros_of(board.time))
    board.create_task("Design", created_by="lead", assigned_to="alice")
    with closing(Dashboard(WorkloadReporter(board), history=path, every=BY_HAND)) as dashboard:
        press(dashboard)
        yield dashboard


def looked(dashboard: Dashboard) -> dict[str, Any]:
    """What the view is told."""
    return dict(dashboard.view.happened["looked"])


def press(dashboard: Dashboard, number: int | None = None) -> dict[str, Any]:
    """Press *Seen*, and return what comes back."""
    sent: list[dict[str, Any]] = []
    dashboard.view.send = lambda content, buffers=None: sent.append(content)
    number = looked(dashboard)["number"] if number is None else number
    dashboard._asked(None, {"ask": "seen", "request": "one", "number": number}, None)
    for thread in threading.enumerate():
        if thread.name == "calypso-nb-ask":
            thread.join(SECONDS)
    return sent[0]


def test_a_dashboard_with_a_history_tells_what_is_new(dashboard: Dashboard, board: Board) -> None:
    """At each refresh, until it is marked as seen; the command line goes by the same mark."""
    assert looked(dashboard)["total"] == 0
    board.wait(minutes=5)
    board.update_task(1, status="complete")
    board.add_comment(1, "@eve done?", created_by="alice")
    dashboard.refresh()
    told = looked(dashboard)
    assert told["summary"] == "1 asked · 1 finished · other questions not known"
    assert [line["text"] for line in told["lines"]] == ["@eve done?", ""]
    assert "Since eve looked at" in told["heading"]
    assert press(dashboard) == {"request": "one", "task": {}}
    assert looked(dashboard)["total"] == 0
    assert dashboard._live is not None
    with closing(History(dashboard._live.path)) as history:
        assert history.digest().items.empty


def test_what_came_after_it_was_shown_is_not_seen(dashboard: Dashboard, board: Board) -> None:
    """Though the click came later."""
    board.wait(minutes=5)
    board.update_task(1, priority=3)
    dashboard.refresh()
    shown = looked(dashboard)["number"]
    board.wait(minutes=5)
    board.update_task(1, priority=5)
    dashboard.refresh()
    press(dashboard, shown)
    assert [line["text"] for line in looked(dashboard)["lines"]] == ["priority 3 → 5"]


def test_a_mark_that_cannot_be_written_is_said(dashboard: Dashboard, clean_environment: Path) -> None:
    """In words, and the tasks are shown all the same."""
    (clean_environment / "state" / "marks.db").write_bytes(b"something else, and longer than a header" * 9)
    assert "does not hold read marks" in press(dashboard)["error"]
    dashboard.refresh()
    assert "does not hold read marks" in looked(dashboard)["error"]
    assert dashboard.view.payload["rows"]["title"] == ["Design"]


def test_no_reader_of_an_export_sees_whose_mark_it_was(dashboard: Dashboard, board: Board) -> None:
    """What is saved with a notebook has no digest, and a dashboard without a history has none either."""
    board.update_task(1, status="complete")
    dashboard.refresh()
    assert "eve looked" not in str(dashboard._static())
    with closing(Dashboard(WorkloadReporter(board))) as plain:
        assert "looked" not in plain.view.happened


# In a browser

KERNEL = """
  window.kernel = { asked: [], news: read("news") };
  const live = {
    news: () => kernel.news, every: () => 0, setEvery: () => {}, refresh: () => {},
    ask: async (what, content) => {
      kernel.asked.push([what, content]);
      throw new Error("no such <b>mark</b>");
    },
  };
  kernel.view = mount(document.querySelector(".calypso-view"), read("payload"), { live });
"""


@pytest.fixture
def page(browser: Browser, dashboard: Dashboard, board: Board) -> Iterator[Page]:
    """A live view with more things than it shows, whose texts all mean harm."""
    board.wait(minutes=5)
    for number, text in enumerate(HOSTILE * 3, 2):
        board.create_task(text, created_by="lead", assigned_to=text)
        if number < 8:
            board.add_comment(number, f"BLOCKED {text}", created_by=text)
    dashboard.refresh()
    news = {"looked": looked(dashboard)}
    context = browser.new_context(offline=True, viewport={"width": 1200, "height": 900})
    page = context.new_page()
    page.errors = []  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: page.errors.append(str(error)))  # type: ignore[attr-defined]
    page.set_content(live_view(view_payload(report_of([task(1)])), KERNEL, news=news))
    page.evaluate("() => mounted")
    yield page
    context.close()


@pytest.mark.browser
def test_what_is_new_is_on_the_screen_and_inert(page: Page) -> None:
    """Problems first, some of it with how much more there is; a click opens the task, another marks it."""
    part = page.locator(".calypso-looked")
    assert part.get_by_role("group", name="Kinds").inner_text().split("\n") == [
        "6 asked", "39 new", "other questions not known",
    ]  # fmt: skip
    assert part.locator("li").first.inner_text().split("\n")[2] == "asked"
    assert part.locator(".calypso-looked-what").count() == MOST_LINES
    assert "… and 15 more" in part.inner_text()
    assert part.locator("img, script, b b, a").count() == 0
    part.get_by_role("button", name="Seen").click()
    part.locator(".calypso-open").first.click()
    seen, opened = page.evaluate("kernel.asked")
    assert seen[0] == "seen" and seen[1]["number"] >= 1
    assert opened[0] == "task"
    assert part.locator("span[role=status]").inner_text() == "no such <b>mark</b>"
    assert page.errors == []  # type: ignore[attr-defined]


@pytest.mark.browser
def test_a_count_leaves_only_its_own_lines(page: Page) -> None:
    """And a second click brings the others back."""
    part = page.locator(".calypso-looked")
    kinds = part.locator(".calypso-looked-what")
    asked = part.get_by_role("button", name="6 asked")
    asked.click()
    assert {*kinds.all_inner_texts()} == {"asked"} and kinds.count() == 6
    assert asked.get_attribute("aria-pressed") == "true"
    asked.click()
    assert kinds.count() == MOST_LINES


@pytest.mark.browser
def test_a_line_while_there_is_nothing(page: Page) -> None:
    """And no button to mark nothing as seen."""
    part = page.locator(".calypso-looked")
    nothing = (
        '{ number: 99, heading: "Since eve looked", summary: "nothing", total: 0, lines: [], unknown: [] }'
    )
    page.evaluate(f"() => {{ kernel.news = {{ looked: {nothing} }}; kernel.view.tell(); }}")
    assert part.inner_text().strip() == "Since you looked: nothing"
    page.evaluate("() => { kernel.news = {}; kernel.view.tell(); }")
    assert not part.is_visible()


def test_the_payload_is_small(dashboard: Dashboard, board: Board) -> None:
    """However much happened, and however much was written."""
    board.wait(minutes=1)
    for _ in range(200):
        board.create_task("x" * 500, created_by="lead")
    board.add_comment(1, "y" * 50_000, created_by="alice")
    assert dashboard._live is not None
    dashboard.refresh()
    told = digest_payload(dashboard._live.digest(), 1)
    assert told["total"] == 201
    assert len(told["lines"]) == MOST_LINES
    assert len(str(told)) < 40_000
