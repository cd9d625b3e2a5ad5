"""A browser without a network, for tests of what pages show; the fixtures come in through conftest.py."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright

from calypso_nb.view.bundle import asset
from calypso_nb.view.page import view_style

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Not wait_for_function: it evaluates a string in the page, which the page's own policy forbids.
READY = """() => new Promise((done, fail) => {
  const end = performance.now() + 20000;
  const mark = document.documentElement.dataset.calypso;
  const drawn = (host) => host.__calypso?.ready;
  const look = () => {
    const hosts = [...document.querySelectorAll(mark ? `[id^="${mark}-"]:not(script)` : ".calypso-view")];
    if (hosts.every(drawn)) Promise.all(hosts.map(drawn)).then(() => done(hosts.length), fail);
    else if (performance.now() > end) fail(new Error("not drawn in 20 s"));
    else requestAnimationFrame(look);
  };
  look();
})"""


def json_for_html(value: Any) -> str:
    """JSON that may stand in a script element, whatever the text in it says."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")


def live_view(payload: Any, kernel: str, **data: Any) -> str:
    """A page with a live view whose kernel is a script that has `mount` and `read(name)` of `data`."""
    parts = {"bundle": asset("bundle.js"), "payload": payload, **data}
    stored = (
        f'<script type="application/json" id="{name}">{json_for_html(value)}</script>'
        for name, value in parts.items()
    )
    return f"""<!DOCTYPE html><meta charset=utf-8><style>{view_style()}</style>
      <div class='calypso-view'></div>{"".join(stored)}<script>window.mounted = (async () => {{
      const read = (name) => JSON.parse(document.getElementById(name).textContent);
      const code = new Blob([read("bundle")], {{ type: "text/javascript" }});
      const {{ mount }} = await import(URL.createObjectURL(code));
      {kernel}
      await document.querySelector(".calypso-view").__calypso.ready;
      }})();</script>"""


def chromium_path() -> str:
    """The path in CHROMIUM, or the system's."""
    return os.environ.get("CHROMIUM", "/usr/bin/chromium")


def cut_off(context: BrowserContext) -> list[str]:
    """Let a browser reach this machine alone; return the list that will hold whatever else it asks for."""
    asked: list[str] = []

    def handle(route: Route) -> None:
        if route.request.url.startswith(("http://127.0.0.1:", "http://localhost:", "blob:", "data:")):
            route.continue_()
        else:
            asked.append(route.request.url)
            route.abort()

    context.route("**/*", handle)
    return asked


@dataclass
class Opened:
    """A page that was opened, with what it asked of the network and what went wrong in it."""

    page: Page
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def filter(self, **filter: Any) -> None:
        """Set the view's filter and wait until all is drawn."""
        self.page.evaluate(
            "filter => document.querySelector('.calypso-view').__calypso.handle.setFilter(filter)", filter
        )

    def tab(self, name: str) -> None:
        """Show a tab, and wait until it is drawn."""
        self.page.evaluate("name => document.querySelector('.calypso-view').__calypso.handle.go(name)", name)

    def settle(self) -> None:
        """Wait until every view and chart is drawn."""
        self.page.evaluate(READY)

    def numbers(self) -> dict[str, str]:
        """The numbers that the view shows, by name."""
        return self.page.evaluate(
            """() => Object.fromEntries([...document.querySelectorAll("[data-number]")].map((tile) =>
                [tile.dataset.number, tile.querySelector("dd").firstChild.textContent]))"""
        )

    def bars(self, chart: str) -> list[dict[str, str]]:
        """What each bar of a chart says to a screen reader, as a dict of its fields."""
        labels = self.page.eval_on_selector_all(
            f'[data-chart="{chart}"] [aria-roledescription="bar"]',
            "bars => bars.filter(bar => bar.getBBox().width).map(bar => bar.getAttribute('aria-label'))",
        )
        return [dict(part.split(": ", 1) for part in label.split("; ") if ": " in part) for label in labels]

    def listed(self) -> int:
        """How many tasks the filter lets through, which is how many the table lists."""
        return self.page.evaluate("() => document.querySelector('.calypso-view').__calypso.shown.length")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, from the path in CHROMIUM or the system's.

    For one module: while Playwright runs, its thread has a running loop, and no test could start another.
    """
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Callable[[str], Opened]]:
    """Open HTML from a file, as a reader would, in a browser whose network is cut."""
    context = browser.new_context(offline=True, viewport={"width": 1400, "height": 900})

    def open_(html: str) -> Opened:
        opened = Opened(context.new_page())

        def handle(route: Route) -> None:
            if route.request.url == file.as_uri():
                route.continue_()
            else:
                opened.requests.append(route.request.url)
                route.abort()

        file = tmp_path / "page.html"
        file.write_text(html, encoding="utf-8")
        opened.page.route("**/*", handle)
        opened.page.on(
            "console", lambda said: opened.errors.append(said.text) if said.type == "error" else None
        )
        opened.page.on("pageerror", lambda error: opened.errors.append(str(error)))
        opened.page.goto(file.as_uri())
        opened.settle()
        return opened

    yield open_
    context.close()
