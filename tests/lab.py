"""A real JupyterLab with a notebook open in Chromium, for tests of what people see and click."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parent.parent
OPTIONS = [
    "--no-browser",
    "--allow-root",
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.port=0",
    "--IdentityProvider.token=",
    "--LabApp.expose_app_in_browser=True",
    "--JupyterNotebookApp.expose_app_in_browser=True",
]
IDLE = """() => window.jupyterapp?.shell.currentWidget?.context
    ?.sessionContext?.session?.kernel?.status === 'idle'"""
VIEW = "() => document.querySelector('.jp-OutputArea .calypso-live')?.__calypso"
NO_NEWS = "@jupyterlab/apputils-extension/notification.jupyterlab-settings"


@contextmanager
def running_lab(folder: Path, **environment: str) -> Iterator[str]:
    """JupyterLab over a folder, with this project importable; yields its address."""
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(("TINYTASK_", "JUPYTER_"))
    }
    settings = folder / ".settings"
    (settings / NO_NEWS).parent.mkdir(parents=True)
    (settings / NO_NEWS).write_text('{"fetchNews": "false", "checkForUpdates": false}')
    own |= {
        "PYTHONPATH": str(ROOT),
        "JUPYTER_CONFIG_DIR": str(folder / ".jupyter"),
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        **environment,
    }
    command = [sys.executable, "-m", "jupyterlab", *OPTIONS, str(folder)]
    log = folder / ".lab.log"
    with log.open("w") as said, subprocess.Popen(command, env=own, cwd=folder, stderr=said) as lab:
        try:
            yield _address(log, lab)
        finally:
            lab.terminate()
            lab.wait(timeout=20)


def _address(log: Path, lab: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + 60
    while time.monotonic() < end and lab.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/lab", log.read_text())
        # It says its address before it listens.
        if found and listening(int(found[1])):
            return found.group()
        time.sleep(0.05)
    raise AssertionError(f"JupyterLab did not start: {log.read_text()}")


def listening(port: int) -> bool:
    """Whether a program takes connections on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Lab:
    """One notebook in one browser tab."""

    def __init__(self, page: Page, url: str, notebook: str, workspace: str) -> None:
        self.page, self.url = page, url
        page.set_default_timeout(60_000)
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(f"{url}/workspaces/{workspace}/tree/{notebook}?reset")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=120_000)
        page.wait_for_function(IDLE, timeout=120_000)

    def run_all(self) -> None:
        """Choose *Run All Cells* and wait until the view is drawn."""
        self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
        self.page.wait_for_selector(".calypso-live [data-chart] svg", timeout=120_000)
        self.settle()

    def settle(self) -> None:
        """Wait until all of the view is drawn."""
        self.view("v.ready")

    def view(self, expression: str) -> Any:
        """What a JavaScript expression says of the view `v`."""
        return self.page.evaluate(f"() => {{ const v = ({VIEW})(); return {expression}; }}")

    def wait_until(self, expression: str) -> None:
        """Wait until a JavaScript expression is true of the view `v`, and all of it is drawn."""
        self.page.wait_for_function(
            f"() => {{ const v = ({VIEW})(); return v && ({expression}); }}", timeout=60_000
        )
        self.settle()

    def numbers(self) -> dict[str, str]:
        """The numbers above the filters, by name."""
        tiles: dict[str, str] = self.page.evaluate(
            """() => Object.fromEntries(
                [...document.querySelectorAll(".calypso-live [data-number]")].map((tile) =>
                    [tile.dataset.number, tile.querySelector("dd").firstChild.textContent.trim()]))"""
        )
        return tiles

    def bars(self, chart: str) -> dict[tuple[str, str], int]:
        """The tasks that each bar counts, by agent and status, as a screen reader is told."""
        labels: list[str] = self.page.eval_on_selector_all(
            f'.calypso-live [data-chart="{chart}"] [aria-roledescription="bar"]',
            "bars => bars.filter(bar => bar.getBBox().width).map(bar => bar.getAttribute('aria-label'))",
        )
        said = [dict(part.split(": ", 1) for part in label.split("; ") if ": " in part) for label in labels]
        return {(bar["agent"], bar["status"]): int(bar["tasks"]) for bar in said}

    def go(self, tab: str) -> None:
        """Choose a tab of the view, and wait until it is drawn."""
        self.click(f'[role=tab][data-tab="{tab}"]')
        self.settle()

    def click(self, selector: str) -> None:
        """Click on a part of the dashboard."""
        self.page.click(f".jp-OutputArea .calypso-live {selector}")

    def run(self, code: str) -> str:
        """Run code in a new cell at the notebook's end, and return the text of what it shows."""
        self.start(code)
        self.page.evaluate("() => window.ran")
        shown = self.page.locator(".jp-OutputArea").last
        return shown.inner_text() if shown.count() else ""

    def start(self, code: str) -> None:
        """Start code in a new cell at the notebook's end."""
        self.page.evaluate(
            """async (code) => {
              const notebook = window.jupyterapp.shell.currentWidget.content;
              notebook.activeCellIndex = notebook.widgets.length - 1;
              await window.jupyterapp.commands.execute('notebook:insert-cell-below');
              notebook.activeCell.model.sharedModel.setSource(code);
              window.ran = window.jupyterapp.commands.execute('notebook:run-cell');
            }""",
            code,
        )

    def run_again(self, text: str) -> None:
        """Run the first cell with a text in it, and wait until the view is drawn."""
        self.page.evaluate(
            """async (text) => {
              const notebook = window.jupyterapp.shell.currentWidget.content;
              const sources = notebook.widgets.map((cell) => cell.model.sharedModel.getSource());
              notebook.activeCellIndex = sources.findIndex((source) => source.includes(text));
              await window.jupyterapp.commands.execute('notebook:run-cell');
            }""",
            text,
        )
        self.wait_until("v.shown && v.rows.length")


def write_notebook(path: Path, code: str) -> None:
    """Write a notebook with a single cell."""
    cell = {
        "cell_type": "code",
        "source": code,
        "metadata": {},
        "outputs": [],
        "execution_count": None,
        "id": "a",
    }
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(notebook))


@contextmanager
def open_lab(
    browser: Browser, url: str, notebook: str, width: int = 1400, workspace: str = "test"
) -> Iterator[Lab]:
    """Open a notebook in a tab of its own."""
    page = browser.new_page(viewport={"width": width, "height": 1000})
    try:
        yield Lab(page, url, notebook, workspace)
    finally:
        page.close()
