"""The refreshing of a live view, in a page whose clock stands still and whose kernel is a few lines."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from calypso_nb import WorkloadData
from calypso_nb.frames import tasks_frame
from calypso_nb.view.bundle import asset, packed_bundle
from calypso_nb.view.dashboard import WorkloadView
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


def source(page: Page) -> str:
    """What the head says of its numbers once somebody asks, and close that again."""
    summary = page.locator(".calypso-liveness summary")
    summary.click()
    said = page.locator(".calypso-source").inner_text()
    summary.click()
    return said


def test_the_age_of_the_data_is_told_and_grows(page: Page) -> None:
    """In one line, and with server and time if that is opened."""
    line = page.locator(".calypso-liveness summary")
    assert line.inner_text() == "read 2 min ago"
    assert (
        source(page).splitlines()[0]
        == "60 tasks from http://localhost:3000, read at 2026-03-14 09:30 UTC, 2 min ago"
    )
    page.clock.run_for(timedelta(minutes=3).seconds * 1000)
    assert line.inner_text() in ("read 4 min ago", "read 5 min ago")


def test_it_is_said_how_many_tasks_are_counted_and_when(page: Page) -> None:
    """A reading by the timer does not count comments and links again, and a large board has too many."""
    assert "Comments and links counted\n" in source(page) + "\n"
    page.evaluate(
        """async () => {
          const meta = { ...kernel.payload.meta, counted_at: "2026-03-14T09:10:00+00:00" };
          const comments = kernel.payload.rows.comments.map((number, i) => (i < 12 ? number : null));
          await kernel.view.update({ ...kernel.payload, meta, rows: { ...kernel.payload.rows, comments } });
        }"""
    )
    assert "Comments and links counted for 12 of 60 tasks, at 2026-03-14 09:10 UTC" in source(page)


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
    """In the head, which stays in sight, until an answer comes."""
    page.clock.pause_at(NOW + timedelta(minutes=2))
    away = "away: '2026-03-14T09:31:00+00:00'"
    page.evaluate(
        f"kernel.state.every = 60; kernel.tell({{ busy: false, error: 'no answer', about: 'data', {away} }})"
    )
    line, alert = page.locator(".calypso-liveness summary"), page.get_by_role("alert")
    assert alert.inner_text() == "no answer"
    assert line.inner_text() == "away since 09:31 UTC · numbers 2 min old · next try 1 min"
    page.clock.run_for(50_000)
    assert line.inner_text() == "away since 09:31 UTC · numbers 3 min old · next try 10 s"
    assert page.locator(".calypso-head [data-state=away]").count() == 1
    page.clock.run_for(10_100)
    assert asked(page) == [True]
    assert line.inner_text().endswith("trying again")
    page.evaluate("kernel.tell({ busy: false, error: '' })")
    assert alert.count() == 0 and line.inner_text() == "read 3 min ago"


def test_nothing_ticks_after_the_view_is_gone(page: Page) -> None:
    """A cell that runs again, or a dashboard that is closed, leaves no timer."""
    page.get_by_label("Auto-refresh interval").select_option("10")
    page.evaluate("kernel.view.destroy()")
    page.clock.run_for(600_000)
    assert asked(page) == []


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
    assert summary.inner_text() == "3 changes"
    summary.click()
    counted = "Since 2026-03-14 09:29 UTC: 1 new · 1 finished · 1 reassigned"
    assert counted in page.locator(".calypso-news").inner_text()
    assert page.locator(".calypso-news li").all_inner_texts() == [
        f"#7 {hostile} new",
        "#9 Done finished · bob",
        f"#10 Moved reassigned to {hostile}",
    ]
    page.evaluate("kernel.tell({ changes: [] })")
    assert not summary.is_visible()
    assert "Since 2026-03-14 09:29 UTC nothing was new" in source(page)
    assert page.evaluate("window.pwned") is None


def tell_liveness(page: Page, **about: Any) -> str:
    """Let the kernel say how live a history is, and return the line that says so then."""
    said = {"how": "live", "known": "2026-03-14T09:30:00+00:00", "away": None, "why": None, "stopped": None}
    page.evaluate("liveness => kernel.tell({ liveness })", said | about)
    return page.locator(".calypso-liveness summary").inner_text()


def test_a_line_says_how_live_the_numbers_are(page: Page) -> None:
    """What is live has no age, and with a history the timer is of no use."""
    page.clock.pause_at(NOW + timedelta(minutes=2))
    timer = page.get_by_label("Auto-refresh interval")
    assert timer.is_visible()
    assert tell_liveness(page) == "live"
    assert not timer.is_visible()
    assert (
        tell_liveness(page, how="every 30 s", known="2026-03-14T09:31:50+00:00")
        == "every 30 s · read 10 s ago"
    )
    assert "read at 2026-03-14 09:31 UTC, 10 s ago" in source(page)
    away = "2026-03-14T09:31:00+00:00"
    assert tell_liveness(page, away=away, why="no answer") == "away since 09:31 UTC · numbers 2 min old"
    assert page.get_by_role("alert").inner_text() == "no answer"
    assert tell_liveness(page, how=None, stopped=away) == "recorder stopped at 09:31 UTC · numbers 2 min old"
    assert page.get_by_role("alert").count() == 0


def test_the_age_of_numbers_grows_while_the_server_is_away(page: Page) -> None:
    """By the clock of the browser; a day later the line has the date."""
    page.clock.pause_at(NOW + timedelta(minutes=2))
    away, line = "2026-03-14T09:31:00+00:00", page.locator(".calypso-liveness summary")
    assert tell_liveness(page, away=away) == "away since 09:31 UTC · numbers 2 min old"
    page.clock.run_for(50_000)
    assert line.inner_text() == "away since 09:31 UTC · numbers 3 min old"
    page.clock.fast_forward("24:00:00")
    told = tell_liveness(page, away=away, beat=2)
    assert told == "away since 03-14 09:31 UTC · numbers 24.0 h old"


def test_a_kernel_that_says_nothing_any_more_is_not_live(page: Page) -> None:
    """It was stopped, or the network is gone: the line says since when."""
    page.clock.pause_at(NOW + timedelta(minutes=2))
    assert tell_liveness(page) == "live"
    line = page.locator(".calypso-liveness summary")
    page.clock.run_for(55_000)
    assert line.inner_text() == "live"
    page.clock.run_for(15_000)
    assert line.inner_text() == "kernel silent since 09:32 UTC · numbers 3 min old"
    assert tell_liveness(page, beat=2) == "live"


def test_what_a_file_says_of_its_recorder_is_text(page: Page) -> None:
    """Somebody else may have written it."""
    page.clock.pause_at(NOW + timedelta(minutes=2))
    hostile = "<img src=x onerror=window.pwned=1>"
    assert tell_liveness(page, how=hostile) == f"{hostile} · read 2 min ago"
    tell_liveness(page, away="2026-03-14T09:31:00+00:00", why=hostile)
    assert page.get_by_role("alert").inner_text() == hostile
    assert page.evaluate("window.pwned") is None


# What a kernel sends, and what its views make of it

MODEL = """
const code_ = new Blob([read("loader")], { type: "text/javascript" });
const { default: widget } = await import(URL.createObjectURL(code_));
const bytes = (text) => new DataView(Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer);
const state = { ...read("state"), packed: bytes(read("state").packed) };
const listeners = [];
const sent = [];
const model = {
  get: (name) => state[name], set: (name, value) => { state[name] = value; }, save_changes: () => {},
  send: (content) => { if (kernel.gone) throw new Error("Cannot send"); sent.push(content); },
  on: (name, listener) => listeners.push([name, listener]), off: () => {},
};
const deliver = async (name, text) => {
  state[name] = bytes(text);
  listeners.filter(([event]) => event === `change:${name}`).forEach(([, listener]) => listener());
};
const { initialize, render } = widget();
window.kernel = { sent, deliver, state, gone: false };
const second = document.body.appendChild(document.createElement("div"));
const els = [document.querySelector(".calypso-view"), second];
initialize({ model });
for (const el of els) await render({ model, el });
"""
VIEWS = "[...document.querySelectorAll('.calypso-view')].map((el) => el.__calypso)"


@dataclass
class Served:
    """A view in Python, and two of it in a page."""

    page: Page
    view: WorkloadView

    def deliver(self, name: str = "change") -> None:
        """Bring what Python sends to the page."""
        sent = self.view.get_state(name)[name]
        self.page.evaluate("([name, text]) => kernel.deliver(name, text)", [name, b64encode(sent).decode()])

    def show(self, tasks: list[dict[str, Any]], minutes: float = 1) -> dict[str, Any]:
        """Have Python show other tasks, and return what it sends for that."""
        self.view.show(payload_of(tasks, minutes))
        sent: dict[str, Any] = json.loads(gzip.decompress(self.view.change))
        return sent

    def both_show(self) -> bool:
        """Wait until both views have what Python has, in their payloads and in their rows."""
        wanted = json.loads(json.dumps(self.view.payload))
        moment = json.dumps(wanted["meta"]["generated_at"])
        self.page.wait_for_function(f"() => {VIEWS}.every((v) => v.payload.meta.generated_at === {moment})")
        payloads = self.page.evaluate(f"{VIEWS}.map((v) => v.payload)")
        rows = self.page.evaluate(f"{VIEWS}.map((v) => v.rows.map((row) => [row.id, row.title, row.status]))")
        columns = [wanted["rows"][name] for name in ("id", "title", "status")]
        expected = [list(row) for row in zip(*columns, strict=True)]
        return bool(payloads == [wanted] * 2 and rows == [expected] * 2)


def payload_of(tasks: list[dict[str, Any]], minutes: float = 0) -> dict[str, Any]:
    now = NOW + timedelta(minutes=minutes)
    frame = tasks_frame(tasks, now)
    return view_payload(WorkloadData(frame, frame, now, "http://localhost:3000", details=True))


@pytest.fixture
def served(browser: Browser) -> Iterator[Served]:
    """Two views of a board of 60 tasks, and the kernel's end of them."""
    view = WorkloadView(payload_of([record(number) for number in range(1, 61)]), live=True)
    state = {
        name: view.get_state(name)[name] for name in ("filter", "news", "happened", "every", "live", "counts")
    }
    state |= {"statuses": [], "agents": [], "offered": [], "bundle": packed_bundle()}
    state["packed"] = b64encode(view.get_state("packed")["packed"]).decode()
    page = browser.new_page()
    page.set_content(live_view({}, MODEL, loader=asset("widget_loader.js"), state=state))
    page.evaluate("() => mounted")
    yield Served(page, view)
    page.close()


def test_all_views_of_a_dashboard_show_what_its_kernel_sent_last(served: Served) -> None:
    """Tasks that come, go and change, their places, and what needs attention."""
    tasks = [record(number) for number in range(1, 61)]
    edited = [
        record(61, title="New"),
        *tasks[5:30],
        record(31, title="Edited", status="complete"),
        *tasks[31:],
    ]
    for shown in (edited, edited[::-1], [], tasks):
        assert not served.show(shown)["aged"]
        served.deliver()
        assert served.both_show()


def test_who_missed_a_change_asks_for_everything(served: Served) -> None:
    """Such as a page that was loaded while the kernel was at work."""
    tasks = [record(number) for number in range(1, 61)]
    served.show(tasks[10:])
    served.show(tasks[20:])
    served.deliver()
    served.page.wait_for_function("() => kernel.sent.length === 2")
    assert served.page.evaluate("kernel.sent") == [{"ask": "payload", "version": 0}] * 2
    served.deliver("packed")
    assert served.both_show()
    served.show(tasks[30:])
    served.deliver()
    assert served.both_show()


def test_a_refresh_in_which_nothing_changed_is_small_and_keeps_all_that_stands(served: Served) -> None:
    """Ages go on, and the rows are the same objects; some hundred bytes come."""
    page, tasks = served.page, [record(number) for number in range(1, 61)]
    page.evaluate(f"window.before = {VIEWS}.map((v) => [v.rows, v.rows[0].age_hours])")
    sent = served.show(tasks, minutes=1)
    assert sent["aged"] and "rows" not in sent["tables"] and len(served.view.change) < 10_000
    served.deliver()
    assert served.both_show()
    assert page.evaluate(f"{VIEWS}.every((v, i) => v.rows === before[i][0])")
    later = page.evaluate(f"{VIEWS}.map((v, i) => v.rows[0].age_hours - before[i][1])")
    assert later == [pytest.approx(1 / 60)] * 2


def test_a_view_without_a_kernel_says_so_and_waits_for_nothing(served: Served) -> None:
    """Whatever is asked of it, it says what to do."""
    served.page.evaluate("kernel.gone = true")
    view = served.page.locator(".calypso-view").first
    view.get_by_role("button", name="Refresh").click()
    assert view.get_by_role("alert").inner_text() == "No kernel runs behind this view. Run the cell again."
    assert "no kernel · numbers" in view.locator(".calypso-liveness summary").inner_text()
    view.get_by_role("tab", name="Flow").click()
    view.get_by_text("No kernel runs behind this view.").nth(1).wait_for()
