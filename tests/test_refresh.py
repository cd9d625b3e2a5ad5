"""The refreshing of a live view, in a page whose clock stands still and whose kernel is a few lines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from calypso_nb.view.payload import view_payload
from tests.browser import live_view
from tests.test_page import NOW, data_of, record

pytestmark = pytest.mark.browser

KERNEL = """
const state = { news: {}, every: 0 };
const live = {
  news: () => state.news, every: () => state.every, ask: async () => ({}),
  setEvery: (seconds) => { state.every = seconds; view.tell(); },
  refresh: (timed) => { asked.push(timed); tell({ busy: true }); },
};
const tell = (news) => { Object.assign(state.news, news); view.tell(); };
const asked = [];
const el = document.querySelector(".calypso-view");
const payload = read("payload");
const view = mount(el, payload, { live });
window.kernel = { state, tell, asked, view, payload };
"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A live view, 90 seconds after its data were read."""
    payload = view_payload(data_of([record(number) for number in range(1, 61)]))
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.clock.install(time=NOW + timedelta(seconds=90))
    page.set_content(live_view(payload, KERNEL))
    page.evaluate("() => mounted")
    yield page
    context.close()


def asked(page: Page) -> list[Any]:
    return page.evaluate("kernel.asked")  # type: ignore[no-any-return]


def test_the_age_of_the_data_is_told_and_grows(page: Page) -> None:
    """In words, with the time at which they were read."""
    source = page.locator(".calypso-source")
    assert "at 09:30:00 UTC, 2 min ago" in source.inner_text()
    page.clock.run_for(timedelta(minutes=3).seconds * 1000)
    assert "4 min ago" in source.inner_text() or "5 min ago" in source.inner_text()


def test_counts_that_are_older_than_the_rest_are_marked(page: Page) -> None:
    """A reading by the timer does not count comments and links again, and says so."""
    source = page.locator(".calypso-source")
    assert "counted" not in source.inner_text()
    page.evaluate(
        """async () => {
          const meta = { ...kernel.payload.meta, counted_at: "2026-03-14T09:10:00+00:00" };
          await kernel.view.update({ ...kernel.payload, meta });
        }"""
    )
    assert source.inner_text().endswith("ago; comments and links counted at 09:10:00 UTC")


def test_a_timer_asks_again_only_after_the_last_answer(page: Page) -> None:
    """Two readings never run at once, and the interval begins where the last one ended."""
    page.clock.run_for(1_000_000)
    assert asked(page) == []
    page.get_by_label("Auto-refresh interval").select_option("30")
    page.clock.run_for(29_000)
    assert asked(page) == []
    page.clock.run_for(1_100)
    assert asked(page) == [True]
    page.clock.run_for(600_000)
    assert asked(page) == [True]
    page.evaluate("kernel.tell({ busy: false })")
    page.clock.run_for(30_100)
    assert asked(page) == [True, True]
    page.evaluate("kernel.tell({ busy: false })")
    page.get_by_label("Auto-refresh interval").select_option("0")
    page.clock.run_for(600_000)
    assert asked(page) == [True, True]


def test_an_outage_is_told_with_the_age_of_the_numbers_and_tried_again(page: Page) -> None:
    """Until an answer comes, which takes the message away."""
    page.evaluate("kernel.state.every = 60; kernel.tell({ busy: false, error: 'no answer', about: 'data' })")
    alert = page.get_by_role("alert")
    assert alert.inner_text().splitlines() == [
        "no answer",
        "The numbers below are from 09:30:00 UTC, 2 min old.",
    ]
    page.clock.run_for(60_100)
    assert asked(page) == [True]
    page.evaluate("kernel.tell({ busy: false })")
    assert "3 min old" in alert.inner_text()
    page.evaluate("kernel.tell({ error: '' })")
    assert alert.count() == 0


def test_nothing_ticks_after_the_view_is_gone(page: Page) -> None:
    """A cell that runs again, or a dashboard that is closed, leaves no timer."""
    page.get_by_label("Auto-refresh interval").select_option("10")
    page.evaluate("kernel.view.destroy()")
    page.clock.run_for(600_000)
    assert asked(page) == []


def test_new_data_keep_the_filter_the_page_of_the_table_and_its_focus(page: Page) -> None:
    """Somebody reading on page 2 stays there."""
    page.evaluate(
        "async () => { await kernel.view.setFilter({ statuses: ['idle', 'working', 'complete'] }); }"
    )
    page.locator(".dt-paging-button", has_text="2").click()
    first = page.locator("td.calypso-id").first.inner_text()
    page.locator("td .calypso-open").first.focus()
    page.evaluate("() => kernel.view.update({ ...kernel.payload })")
    assert page.locator("td.calypso-id").first.inner_text() == first
    focused = page.evaluate("document.activeElement.dataset.task")
    assert focused == first
    assert page.locator('[data-filter="statuses"]').count() == 1


def test_what_changed_is_told_in_words_and_by_name(page: Page) -> None:
    """Counts first; the tasks stand below, as text."""
    hostile = "<img src=x onerror=window.pwned=1>"
    changes = [
        {"change": "new", "id": 7, "title": hostile, "agent": None},
        {"change": "finished", "id": 9, "title": "Done", "agent": "bob"},
        {"change": "reassigned", "id": 10, "title": "Moved", "agent": hostile},
    ]
    news = {"since": "2026-03-14T09:29:00+00:00", "changes": changes}
    page.evaluate("news => kernel.tell(news)", news)
    summary = page.locator(".calypso-news summary")
    assert summary.inner_text() == "Since 09:29:00 UTC: 1 new, 1 finished, 1 reassigned"
    summary.click()
    assert page.locator(".calypso-news li").all_inner_texts() == [
        f"#7 {hostile} new",
        "#9 Done finished · bob",
        f"#10 Moved reassigned to {hostile}",
    ]
    page.evaluate("kernel.tell({ changes: [] })")
    assert "nothing was new" in page.locator(".calypso-news").inner_text()
    assert page.evaluate("window.pwned") is None


def tell_liveness(page: Page, **about: Any) -> str:
    """Let the kernel say how live a history is, and return the line that says so then."""
    said = {"how": "live", "known": "2026-03-14T09:30:00+00:00", "away": None, "why": None, "stopped": None}
    page.evaluate("liveness => kernel.tell({ liveness })", said | about)
    return page.locator(".calypso-liveness").inner_text()


def test_a_line_says_how_live_the_numbers_are(page: Page) -> None:
    """What is live has no age, and the timer is of no use; without a history there is no such line."""
    page.clock.pause_at(NOW + timedelta(minutes=2))
    line, source = page.locator(".calypso-liveness"), page.locator(".calypso-source")
    assert not line.is_visible() and page.get_by_label("Auto-refresh interval").is_visible()
    assert tell_liveness(page) == "live"
    assert not page.get_by_label("Auto-refresh interval").is_visible()
    assert "ago" not in source.inner_text()
    assert tell_liveness(page, how="every 30 s", known="2026-03-14T09:31:50+00:00") == "every 30 s"
    assert source.inner_text().endswith("at 09:31:50 UTC, 10 s ago")
    away = "2026-03-14T09:31:00+00:00"
    assert tell_liveness(page, away=away, why="no answer") == "away since 09:31 UTC, numbers 2 min old"
    assert page.get_by_role("alert").inner_text() == "no answer"
    assert tell_liveness(page, how=None, stopped=away) == "recorder stopped at 09:31 UTC, numbers 2 min old"
    assert page.get_by_role("alert").count() == 0


def test_the_age_of_numbers_grows_while_the_server_is_away(page: Page) -> None:
    """By the clock of the browser; a day later the line has the date."""
    page.clock.pause_at(NOW + timedelta(minutes=2))
    away, line = "2026-03-14T09:31:00+00:00", page.locator(".calypso-liveness")
    assert tell_liveness(page, away=away) == "away since 09:31 UTC, numbers 2 min old"
    page.clock.run_for(50_000)
    assert line.inner_text() == "away since 09:31 UTC, numbers 3 min old"
    page.clock.fast_forward("24:00:00")
    told = tell_liveness(page, away=away, beat=2)
    assert told == "away since 2026-03-14 09:31 UTC, numbers 24.0 h old"


def test_a_kernel_that_says_nothing_any_more_is_not_live(page: Page) -> None:
    """It was stopped, or the network is gone: the line says since when."""
    page.clock.pause_at(NOW + timedelta(minutes=2))
    assert tell_liveness(page) == "live"
    line = page.locator(".calypso-liveness")
    page.clock.run_for(55_000)
    assert line.inner_text() == "live"
    page.clock.run_for(15_000)
    assert line.inner_text() == "kernel silent since 09:32 UTC, numbers 3 min old"
    assert tell_liveness(page, beat=2) == "live"


def test_what_a_file_says_of_its_recorder_is_text(page: Page) -> None:
    """Somebody else may have written it."""
    hostile = "<img src=x onerror=window.pwned=1>"
    assert tell_liveness(page, how=hostile) == hostile
    tell_liveness(page, away="2026-03-14T09:31:00+00:00", why=hostile)
    assert page.get_by_role("alert").inner_text() == hostile
    assert page.evaluate("window.pwned") is None
