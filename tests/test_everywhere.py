"""Charts and dashboard in each front end that a notebook can have, with the network cut: NOTEBOOKS.md."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Browser, Page

from calypso_nb.embedded import TinytaskStore, fill_sample, running_server
from calypso_nb.view.notebook_page import CalypsoHTMLExporter
from tests.browser import Opened, cut_off
from tests.conftest import SECONDS, eventually
from tests.lab import IDLE, ROOT, Lab, listening, running_lab

pytestmark = pytest.mark.browser

OpenPage = Callable[[str], Opened]
TITLE = "Customers see another team's invoice"  # of a task of the sample data that needs attention
CELLS = [
    """%load_ext calypso_nb
import altair as alt
import ipywidgets as widgets
from IPython.display import display
from calypso_nb import Dashboard, TinytaskClient, WorkloadReporter, charts
reporter = WorkloadReporter(TinytaskClient("demo"))""",
    "charts.load_per_agent(reporter.collect_workload_data(details=False).tasks)",
    """def squares(n):
    rows = alt.InlineData(values=[{"a": i, "b": i * i} for i in range(n)])
    return alt.Chart(rows, title="Squares", width="container").mark_bar().encode(x="a:O", y="b:Q")
squares(4)""",
    """number = widgets.IntSlider(5, 1, 9)
widgets.VBox([number, widgets.interactive_output(lambda n: display(squares(n)), {"n": number})])""",
    "Dashboard(reporter, details=False, every=60)",
]
# Each of these starts programs that take a busy machine a minute; it bounds a hang, and nothing else.
MILLISECONDS = 3 * SECONDS * 1000
CHART = ".calypso-output svg"
LIVE = ".calypso-live"


def notebook() -> NotebookNode:
    """A notebook with three charts, one of them bound to a slider, and the dashboard."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=[*map(new_code_cell, CELLS)], metadata={"kernelspec": kernel})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the notebooks of this module lie."""
    folder = tmp_path_factory.mktemp("everywhere")
    for name in ("lab", "notebook", "voila", "bare"):
        nbformat.write(notebook(), folder / f"{name}.ipynb")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    """A Jupyter server over that folder, which serves JupyterLab, Notebook and Voila alike."""
    pytest.importorskip("notebook")
    pytest.importorskip("voila")
    with running_lab(folder) as url:
        yield url.removesuffix("/lab")


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab that reaches this machine alone."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    cut_off(context)
    yield context.new_page()
    context.close()


def assert_all_is_drawn(page: Page) -> None:
    """Three charts, as wide as their cells, and the live dashboard with its charts."""
    assert_charts_are_drawn(page)
    page.locator(f"{LIVE} svg.marks").first.wait_for(timeout=MILLISECONDS)
    assert page.locator(LIVE).get_by_text(TITLE).count()


def assert_charts_are_drawn(page: Page) -> None:
    page.locator(CHART).nth(2).wait_for(timeout=MILLISECONDS)
    widths = page.eval_on_selector_all(CHART, "all => all.map((svg) => svg.clientWidth)")
    assert len(widths) == 3 and min(widths) > 500


def bars(page: Page) -> int:
    """How many bars the last chart has."""
    return page.locator(CHART).last.locator("[aria-roledescription=bar]").count()


def saved_size(lab: Lab, path: Path) -> int:
    """Save the notebook that is open, and return the size of its file."""
    lab.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    return path.stat().st_size


def test_jupyterlab_draws_all_and_once_more_from_the_saved_file(
    server: str, folder: Path, page: Page, browser: Browser
) -> None:
    """A slider draws its chart anew; the file stays small; opened again, its charts need no kernel."""
    lab = Lab(page, f"{server}/lab", "lab.ipynb", "test")
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    assert_all_is_drawn(page)
    page.locator(".jupyter-widgets .noUi-handle").focus()
    page.keyboard.press("ArrowRight")
    assert eventually(lambda: bars(page) == 6)
    assert page.locator(CHART).count() == 3
    page.locator(".calypso-saved").wait_for(state="attached")
    kept = nbformat.read(folder / "lab.ipynb", as_version=4)
    assert eventually(lambda: saved_size(lab, folder / "lab.ipynb") > 500_000)
    kept = nbformat.read(folder / "lab.ipynb", as_version=4)
    sizes = [sum(len(json.dumps(output)) for output in cell.outputs) for cell in kept.cells]
    assert sizes[1] < 550_000 and max(sizes[2:4]) < 10_000
    shutil.copy(folder / "lab.ipynb", folder / "again.ipynb")
    page.goto(f"{server}/lab/workspaces/again/tree/again.ipynb?reset")
    page.locator(CHART).nth(1).wait_for(timeout=MILLISECONDS)
    page.locator(".calypso-saved").get_by_text("pip install anywidget").wait_for()
    assert lab.errors == []


def test_notebook_7_draws_all(server: str, page: Page) -> None:
    """By its menu, as anybody would run it."""
    page.goto(f"{server}/notebooks/notebook.ipynb")
    page.wait_for_function(IDLE, timeout=MILLISECONDS)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    assert_all_is_drawn(page)


def test_voila_draws_all(server: str, page: Page) -> None:
    """It runs the notebook itself."""
    page.goto(f"{server}/voila/render/voila.ipynb", wait_until="commit", timeout=MILLISECONDS)
    assert_all_is_drawn(page)


def test_a_lab_that_lacks_anywidget_draws_the_charts_and_says_what_the_dashboard_needs(
    folder: Path, page: Page
) -> None:
    """The kernel has everything, and JupyterLab lives in another environment."""
    off = {"disabledExtensions": {"anywidget": True, "@jupyter-widgets/jupyterlab-manager": True}}
    bare = folder / "elsewhere"
    (bare / ".jupyter" / "labconfig").mkdir(parents=True)
    (bare / ".jupyter" / "labconfig" / "page_config.json").write_text(json.dumps(off))
    shutil.copy(folder / "bare.ipynb", bare)
    with running_lab(bare) as url:
        Lab(page, url, "bare.ipynb", "test")
        page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
        page.locator(CHART).nth(1).wait_for(timeout=MILLISECONDS)
        page.locator(".calypso-saved").get_by_text("pip install anywidget").wait_for(timeout=MILLISECONDS)
        assert page.locator(".calypso-saved").get_by_text("Customers see another team's invoice").count()


def test_what_runs_without_a_browser_saves_what_a_page_shows(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under nbclient, as under papermill (test_nbexport), and without what only the lab needs to know."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    executed = NotebookClient(notebook(), kernel_name="python3").execute()
    html, _ = CalypsoHTMLExporter().from_notebook_node(executed)
    opened = open_page(html)
    assert opened.page.locator(".plain-chart svg").count() == 2
    assert opened.page.get_by_text(TITLE).count()
    assert not opened.page.get_by_text("pip install anywidget").is_visible() and "calypso-bundle" not in html
    assert opened.requests == [] and opened.errors == []


# --- Programs of their own -------------------------------------------------------------------------------


@contextmanager
def serving(command: list[str], port: int, folder: Path, **environment: str) -> Iterator[str]:
    """Run a program until it serves a page, and end it; yields its address."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TINYTASK_")}
    own |= {"PYTHONPATH": str(ROOT), **environment}
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, cwd=folder, env=own, stdout=log, stderr=log) as program,
    ):
        try:
            assert eventually(lambda: program.poll() is not None or listening(port)), "it did not start"
            assert program.poll() is None, (folder / "log").read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            program.terminate()
            program.wait(timeout=SECONDS)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def blocks(language: str) -> list[str]:
    """The blocks of a language in NOTEBOOKS.md."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "NOTEBOOKS.md").read_text(), re.M | re.S)


def test_marimo_shows_the_documents_app(page: Page, tmp_path: Path) -> None:
    """The view of the dashboard with filters of its own, as marimo has no widgets inside widgets."""
    pytest.importorskip("marimo")
    [app] = blocks("python")
    (tmp_path / "wall.py").write_text(app)
    port = free_port()
    options = ["--headless", "--no-token", "--host", "127.0.0.1", "--port", str(port)]
    with serving([sys.executable, "-m", "marimo", "run", "wall.py", *options], port, tmp_path) as url:
        page.goto(url)
        page.get_by_text(TITLE).first.wait_for(state="attached", timeout=MILLISECONDS)
        page.locator("svg.marks").first.wait_for(timeout=MILLISECONDS)


def test_the_documents_command_shows_the_dashboard_alone_and_it_refreshes_itself(
    page: Page, tmp_path: Path
) -> None:
    """Full screen, without a cell's code; `make wall` is the same command."""
    pytest.importorskip("voila")
    [target, command] = [block.strip() for block in blocks("sh")]
    program, path, *options = command.split()
    assert target == "make wall" and f"$(BIN)/{program} {path} " in (ROOT / "Makefile").read_text()
    text = (ROOT / path).read_text()
    assert "every = 30" in text
    (tmp_path / "wall.ipynb").write_text(text.replace("every = 30", "every = 1"))
    port = free_port()
    runs = [sys.executable, "-m", program, "wall.ipynb", *options, f"--port={port}"]
    with (
        TinytaskStore() as store,
        running_server(store) as endpoint,
        serving(runs, port, tmp_path, TINYTASK_ENDPOINT=endpoint) as url,
    ):
        fill_sample(store)
        page.goto(url, wait_until="commit", timeout=MILLISECONDS)
        live = page.locator(LIVE)
        live.locator("svg.marks").first.wait_for(timeout=MILLISECONDS)
        assert live.get_by_text(TITLE).count()
        box = live.bounding_box()
        assert box and box["width"] > 1300 and box["y"] < 50
        assert "TinytaskClient" not in page.inner_text("body")
        store.create_task("It comes by itself", "lead", priority=10)
        live.get_by_text("It comes by itself").first.wait_for(state="attached", timeout=MILLISECONDS)
