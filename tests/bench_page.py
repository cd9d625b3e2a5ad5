"""How long people wait for the page and the dashboard: `python -m tests.bench_page` prints a table."""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from calypso_nb import WorkloadData
from calypso_nb.embedded import TinytaskStore, running_server
from calypso_nb.frames import tasks_frame
from calypso_nb.view.page import write_report
from tests.browser import ARGUMENTS, READY, chromium_path
from tests.lab import ROOT, open_lab, running_lab
from tests.test_page import record

SIZES = (500, 5_000, 20_000)
HEADS = (
    "tasks",
    "export",
    "size",
    "page loads",
    "filter on the page",
    "first paint in the lab",
    "filter in the lab",
)
# From the change of the filter to the picture: what people wait for.
FILTER = """async (host) => {
  const { handle, rows } = document.querySelector(host).__calypso;
  const names = [...new Set(rows.map((row) => row.agent))];
  const times = [];
  const changes = [
    { statuses: ["idle"] }, { agents: [names[0]] }, { agents: [names[1], names[2]] },
    { statuses: [], agents: [] }, { search: "1" }, { search: "12" }, { search: "" },
    { priority: [5, null] }, { priority: [null, null], statuses: ["idle", "working"] },
  ];
  for (const change of changes) {
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


def in_the_lab(browser: Browser, count: int, folder: Path) -> Iterator[str]:
    place = folder / f"lab-{count}"
    place.mkdir()
    shutil.copy(ROOT / "notebooks" / "workload.ipynb", place)
    notebook = place / "workload.ipynb"
    notebook.write_text(
        notebook.read_text().replace("Dashboard(reporter)", "Dashboard(reporter, details=False)")
    )
    with TinytaskStore() as store:
        store.insert_many(stored(task) for task in records(count))
        with (
            running_server(store) as url,
            running_lab(place, TINYTASK_ENDPOINT=url) as address,
            open_lab(browser, address, "workload.ipynb") as lab,
        ):
            start = time.perf_counter()
            lab.run_all()
            yield f"{time.perf_counter() - start:.1f} s"
            tab: Page = lab.page
            yield milliseconds(tab.evaluate(FILTER, ".calypso-live"))


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
