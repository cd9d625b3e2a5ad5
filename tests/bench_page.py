"""How long people wait for the page and the dashboard: `python -m tests.bench_page` prints a table."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from calypso_nb import WorkloadData
from calypso_nb.embedded import TinytaskStore, running_server
from calypso_nb.frames import tasks_frame
from calypso_nb.view.page import write_report
from tests.browser import ARGUMENTS, READY, chromium_path
from tests.lab import VIEW, Lab, running_lab, write_notebook
from tests.test_page import record

SIZES = (500, 5_000, 20_000)
HEADS = (
    "tasks",
    "export",
    "size",
    "page loads",
    "filter on the page",
    "listing",
    "first paint in the lab after that",
    "filter in the lab",
    "a refresh in which nothing changed: received",
    "the tab is blocked",
)
# From the change of the filter to the picture: what people wait for. Nine changes, three times.
FILTER = """async (host) => {
  const { handle, rows } = document.querySelector(host).__calypso;
  const names = [...new Set(rows.map((row) => row.agent))];
  const times = [];
  const changes = [
    { statuses: ["idle"] }, { agents: [names[0]] }, { agents: [names[1], names[2]] },
    { statuses: [], agents: [] }, { search: "1" }, { search: "12" }, { search: "" },
    { priority: [5, null] }, { priority: [null, null], statuses: ["idle", "working"] },
  ];
  for (const change of [...changes, ...changes, ...changes]) {
    const start = performance.now();
    await handle.choose(change);
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    times.push(performance.now() - start);
  }
  return times;
}"""


def records(count: int) -> list[dict[str, object]]:
    now = datetime.now(UTC)
    return [
        record(
            number,
            title=f"Task {number}: tidy up the invoices of the {number % 97}th customer",
            assigned_to=f"agent-{number % 40}" if number % 11 else None,
            is_currently_blocked=number % 20 == 0,
            blocked_by_task_id=number - 1 if number % 20 == 0 else None,
            created_at=now.replace(day=1 + number % 20).isoformat(),
        )
        for number in range(1, count + 1)
    ]


def stored(task: dict[str, object]) -> dict[str, object]:
    """The task as a row of the database, which counts what a listing says of it."""
    counted = ("comment_count", "link_count", "is_currently_blocked")
    times = {name: datetime.fromisoformat(str(task[name])) for name in ("created_at", "updated_at")}
    return {name: value for name, value in task.items() if name not in counted} | times


def milliseconds(times: list[float]) -> str:
    return f"{statistics.median(times):.0f} ms, at most {max(times):.0f}"


def on_a_page(browser: Browser, count: int, folder: Path) -> Iterator[str]:
    now = datetime.now(UTC)
    tasks = tasks_frame(records(count), now)
    data = WorkloadData(tasks, tasks, now, "http://localhost:3000", details=True)
    start = time.perf_counter()
    page = write_report(data, folder / "page.html")
    yield f"{time.perf_counter() - start:.2f} s"
    yield f"{page.stat().st_size / 1e6:.2f} MB"
    context = browser.new_context(offline=True, viewport={"width": 1400, "height": 900})
    try:
        tab = context.new_page()
        start = time.perf_counter()
        tab.goto(page.as_uri())
        tab.evaluate(READY)
        yield f"{time.perf_counter() - start:.2f} s"
        yield milliseconds(tab.evaluate(FILTER, ".calypso-view"))
    finally:
        context.close()


# How long the tab does nothing else at a time, and in all beyond what passes unnoticed.
WATCH = """() => {
  const channel = new MessageChannel();
  let last = performance.now();
  window.gaps = [];
  channel.port1.onmessage = () => {
    window.gaps.push(performance.now() - last);
    last = performance.now();
    if (window.gaps) channel.port2.postMessage(null);
  };
  channel.port2.postMessage(null);
}"""
LISTING = """import time
from calypso_nb import Dashboard, TinytaskClient, WorkloadReporter
reporter = WorkloadReporter(TinytaskClient())
reporter.collect_workload_data("all", details=False)
began = time.perf_counter()
reporter.collect_workload_data("all", details=False)
print("listed in", time.perf_counter() - began)"""


def refreshed(lab: Lab, received: list[int]) -> Iterator[str]:
    """Refresh as the timer does, once what comes after the first paint is over."""
    lab.run("dashboard._counting and dashboard._counting.join()")
    # The filter that was chosen is saved with the first refresh after it.
    lab.run("dashboard._refresh(False)")
    lab.page.wait_for_function(f"() => !({VIEW})().payload.rows.comments.every((one) => one === null)")
    moment = lab.view("v.payload.meta.generated_at")
    lab.settle()
    # Later, so that the cell that asks for it is no part of what is measured.
    lab.run("import threading; threading.Timer(3, dashboard._refresh, [False]).start()")
    received.clear()
    lab.page.evaluate(WATCH)
    lab.page.wait_for_function(f"(before) => ({VIEW})().payload.meta.generated_at !== before", arg=moment)
    lab.settle()
    lab.page.evaluate("() => new Promise((done) => setTimeout(done, 1000))")
    gaps: list[float] = lab.page.evaluate(
        "() => { const { gaps } = window; window.gaps = null; return gaps; }"
    )
    yield f"{sum(received) / 1000:.1f} kB"
    yield f"at most {max(gaps):.0f} ms, {sum(gap for gap in gaps if gap > 16):.0f} ms in all"


def in_the_lab(browser: Browser, count: int, folder: Path) -> Iterator[str]:
    place = folder / f"lab-{count}"
    place.mkdir()
    write_notebook(place / "bench.ipynb", "")
    received: list[int] = []
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.on("websocket", lambda one: one.on("framereceived", lambda frame: received.append(len(frame))))
    with TinytaskStore() as store:
        store.insert_many(stored(task) for task in records(count))
        with running_server(store) as url, running_lab(place, TINYTASK_ENDPOINT=url) as address:
            lab = Lab(page, address, "bench.ipynb", "bench")
            listing = float(lab.run(LISTING).split()[-1])
            yield f"{listing:.2f} s"
            start = time.perf_counter()
            lab.start("dashboard = Dashboard(reporter)\ndashboard")
            page.wait_for_selector(".calypso-live [data-chart] svg")
            lab.settle()
            yield f"{time.perf_counter() - start - listing:.1f} s"
            page.evaluate("() => window.ran")
            yield milliseconds(page.evaluate(FILTER, ".calypso-live"))
            yield from refreshed(lab, received)
    page.close()


def main() -> None:
    """Measure each size, and print its row as soon as it is known."""
    sizes = [int(size) for size in sys.argv[1:]] or SIZES
    print(" | ".join(HEADS), flush=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        for count in sizes:
            folder = Path(name)
            row = [f"{count:,}", *on_a_page(browser, count, folder), *in_the_lab(browser, count, folder)]
            print(" | ".join(row), flush=True)
        browser.close()


if __name__ == "__main__":
    main()
