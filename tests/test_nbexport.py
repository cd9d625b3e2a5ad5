"""What an exported notebook tells its readers, and what it keeps to itself."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable
from html import escape
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from calypso_nb.embedded import TinytaskStore, running_server
from calypso_nb.view.bundle import unpacked_text
from calypso_nb.view.notebook_page import CalypsoHTMLExporter
from calypso_nb.view.page import BELOW, report_page, view_bundle
from calypso_nb.view.run_notebook import export_notebook
from tests.browser import Opened
from tests.conftest import SECONDS
from tests.lab import ROOT
from tests.test_page import data_of, exported, record, shown

OpenPage = Callable[[str], Opened]
HOME = str(Path.home())


SECRET = "own p&ss<w>o\"r'd\\\N{OWL}\xe9"


def test_nothing_secret_is_left_in_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """In streams, errors with their tracebacks, frames, code, charts, drawings, and in our own view too."""
    monkeypatch.setenv("TINYTASK_TOKEN", "very-own-secret")
    monkeypatch.setenv("TINYTASK_HEADERS", '{"X-Key": "header-secret-1"}')
    monkeypatch.setenv("OTHER_PASSWORD", SECRET)
    coloured = f"f(token\x1b[39m=\x1b[33m'abcd-1234'\x1b[0m, {SECRET!r})"
    error = new_output(
        "error",
        ename="OSError",
        evalue=f"{HOME}/work/data.db: no such file",
        traceback=[f"File \x1b[32m{HOME}/work/mod.py:3\x1b[39m, in {coloured}"],
    )
    stream = new_output("stream", name="stdout", text=f"header-\x1b[1msecret-1 from {Path.cwd()}/x.csv")
    frame = pd.DataFrame({"path": [f"{HOME}/a.csv"], "url": ["http://u:hunter22@h/"], "it": [SECRET]})
    svg = f"<svg><text>{escape(SECRET)}</text><text>token=svg-secret at {HOME}/b.csv</text></svg>"
    spec = {"mark": "bar", "data": {"values": [{"a": SECRET, "b": f"password=chart-secret in {HOME}/c.csv"}]}}
    view = view_bundle(
        data_of([record(1, title=f"It says very-own-secret and {SECRET}", assigned_to=SECRET)])
    )
    outputs = [{"text/html": frame.to_html()}, {"text/plain": repr(frame)}, {"image/svg+xml": svg}]
    outputs += [{"application/vnd.vegalite.v6+json": spec}, {"text/markdown": f"*{SECRET}*"}, view]
    page = exported(error, stream, *map(shown, outputs), show_code=True, text=f"Its key is {SECRET}")
    [drawing] = re.findall('data:image/svg\\+xml;base64,([^"]+)', page)
    page += base64.b64decode(drawing).decode()
    [drawn] = re.findall('<script type="text/plain" id="calypso-[0-9a-f]+-data">(.*?)<', page, re.DOTALL)
    data = [unpacked_text(line.split(" ")[1]) for line in drawn.splitlines()]
    page += json.dumps(data, ensure_ascii=False)
    secrets = (
        "very-own-secret",
        "header-",
        "secret-1",
        "hunter22",
        "abcd-1234",
        "svg-secret",
        "chart-secret",
    )
    for secret in (*secrets, "o&quot;r", "ss&lt;w", "ss\\u003c", "ss<w", f"{HOME}/", str(Path.cwd())):
        assert secret not in page, secret
    for kept in ("mod.py:3", "x.csv", "b.csv", "c.csv", "Its key is"):
        assert kept in page


def test_the_file_of_a_database_is_named_without_its_folders() -> None:
    """The source of the data stands on the page, and not where it lies on somebody's disk."""
    data = data_of([record(1)])
    object.__setattr__(data, "endpoint", "/elsewhere/project/tasks.db")
    page = report_page(data)
    assert "tasks.db" in page and "/elsewhere" not in page


def test_a_page_leaves_out_what_is_secret_in_the_settings(clean_environment: Path) -> None:
    """From `.env` as from the environment; in the title, which is not an output, as well."""
    lines = ["TINYTASK_TOKEN=kept-in-a-file", "TINYTASK_ENDPOINT=http://supervisor:pass-in-url@host:3000"]
    (clean_environment / ".env").write_text("\n".join(lines))
    text = "kept-in-a-file of supervisor, pass-in-url"
    cell = new_code_cell("1", outputs=[new_output("stream", name="stdout", text=text)])
    notebook = new_notebook(cells=[cell], metadata={"title": f"A title with {text}"})
    page, _ = CalypsoHTMLExporter().from_notebook_node(notebook)
    assert "<title>A title with … of supervisor, …</title>" in page
    assert "kept-in" not in page and "pass-in" not in page


def test_a_page_leaves_out_the_secret_of_a_recorders_hub(clean_environment: Path) -> None:
    """It lies in a file beside the history, and whoever knows it can write into that."""
    (clean_environment / "history.db.hub-token").write_text("written-by-the-recorder\n")
    text = "TINYTASK_SIGNALR_HUB_URL=http://127.0.0.1:3390/hub/written-by-the-recorder"
    cell = new_code_cell("1", outputs=[new_output("stream", name="stdout", text=text)])
    page, _ = CalypsoHTMLExporter().from_notebook_node(new_notebook(cells=[cell]))
    assert "TINYTASK_SIGNALR_HUB_URL=http://127.0.0.1:3390/hub/…" in page
    assert "written-by" not in page


@pytest.mark.slow
def test_a_long_notebook_has_a_table_of_contents(open_page: OpenPage) -> None:
    """Its entries lead to the headings; a short notebook has none."""
    headings = ["One & <b>one</b>", "Two", "Three `code`", "Four"]
    notebook = new_notebook()
    notebook.cells = [
        new_markdown_cell("# Title"),
        *(new_markdown_cell(f"## {heading}") for heading in headings),
    ]
    page, _ = CalypsoHTMLExporter().from_notebook_node(notebook)
    opened = open_page(page)
    links = opened.page.locator("nav.contents a")
    assert links.all_inner_texts() == ["One & one", "Two", "Three code", "Four"]
    for link in links.all():
        anchor = (link.get_attribute("href") or "")[1:]
        assert opened.page.evaluate("id => !!document.getElementById(id)", anchor)
    for width in (1400, 700):
        opened.page.set_viewport_size({"width": width, "height": 900})
        title, contents = (opened.page.locator(part).bounding_box() for part in ("h1", "nav.contents"))
        assert title and contents
        beside = contents["x"] >= title["x"] + title["width"]
        assert beside if width == 1400 else contents["y"] >= title["y"] + title["height"]
    notebook.cells = notebook.cells[:3]
    assert "<nav" not in CalypsoHTMLExporter().from_notebook_node(notebook)[0]


def test_a_notebook_without_a_heading_is_headed_by_its_name() -> None:
    """A page has a title that can be seen."""
    notebook = new_notebook()
    notebook.cells = [new_markdown_cell("Only text")]
    page, _ = CalypsoHTMLExporter().from_notebook_node(notebook, {"metadata": {"name": "weekly"}})
    assert '<h1 dir="auto">weekly</h1>' in page


def test_nothing_in_an_output_leads_a_reader_away(open_page: OpenPage) -> None:
    """An element that sends a browser elsewhere needs no script, so it is shown as text."""
    away = '<meta http-equiv="refresh" content="0;url=https://example.org/?stolen">'
    frame = (
        '<iframe src="https://example.org"></iframe><link rel="stylesheet" href="https://example.org/x.css">'
    )
    notebook = new_notebook()
    cell = new_code_cell("x")
    cell.outputs = [shown({"text/html": away + frame + "<p>Still here</p>"})]
    notebook.cells = [new_markdown_cell("# Title\n\n" + away), cell]
    opened = open_page(CalypsoHTMLExporter().from_notebook_node(notebook)[0])
    assert opened.page.get_by_text("Still here").is_visible()
    assert opened.page.url.startswith("file:") and opened.requests == []


def test_a_live_dashboards_own_output_leaves_no_line_beside_its_saved_form() -> None:
    """The widget says nothing, the output after it shows everything, once."""
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "text/html": BELOW}
    view = view_bundle(data_of([record(1)]))
    saved = {**view, "text/html": f'<div class="calypso-saved">{view["text/html"]}</div>'}
    page = exported(shown(widget), shown(saved))
    assert "no static form" not in page and page.count('class="calypso-view" id=') == 1


@pytest.mark.browser
def test_a_matplotlib_picture_and_a_frame_are_shown(open_page: OpenPage) -> None:
    """Other people's outputs as they would expect them."""
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    picture = {"image/png": pixel, "text/plain": "<Figure size 640x480 with 1 Axes>"}
    opened = open_page(exported(shown(picture), shown({"text/html": pd.DataFrame({"a": [7]}).to_html()})))
    assert opened.page.evaluate("document.querySelector('img').naturalWidth") == 1
    assert "7" in opened.page.locator("table").inner_text() and "Figure size" not in opened.page.content()


@pytest.mark.slow
def test_nbconvert_knows_the_exporter(tmp_path: Path) -> None:
    """`jupyter nbconvert --to calypso_html`, as anybody would type it."""
    notebook = new_notebook()
    notebook.cells = [new_markdown_cell("# From the command line")]
    nbformat.write(notebook, tmp_path / "n.ipynb")
    command = [sys.executable, "-m", "nbconvert", "--to", "calypso_html", "n.ipynb"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=SECONDS)
    assert "<title>From the command line</title>" in (tmp_path / "n.html").read_text()


@pytest.mark.slow
def test_code_is_shown_to_who_asks_for_it(tmp_path: Path) -> None:
    """With the exporter's own option, and with `--code` of our own command."""
    notebook = new_notebook()
    notebook.cells = [new_markdown_cell("# Code"), new_code_cell("asked_for = 1")]
    nbformat.write(notebook, tmp_path / "n.ipynb")
    nbconvert = ["nbconvert", "--to", "calypso_html", "n.ipynb"]
    own = ["calypso_nb", "export", "n.ipynb", "-o", "n.html"]
    for command, option in ((nbconvert, "--CalypsoHTMLExporter.show_code=True"), (own, "--code")):
        for options in ([], [option]):
            arguments = [sys.executable, "-m", *command, *options]
            subprocess.run(arguments, cwd=tmp_path, check=True, capture_output=True, timeout=SECONDS)
            assert ("asked_for" in (tmp_path / "n.html").read_text()) is bool(options)


@pytest.mark.slow
def test_a_notebook_with_output_widgets_ends(tmp_path: Path) -> None:
    """A reply of the kernel is not lost, whatever nbclient sends at that moment: one in 500 cells was."""
    notebook = new_notebook()
    within = ["with out:\n    print('within')"] * 150
    cells = ["import ipywidgets\nout = ipywidgets.Output()\nout", *within, "print('All that was asked')"]
    notebook.cells = list(map(new_code_cell, cells))
    nbformat.write(notebook, tmp_path / "n.ipynb")
    export_notebook(tmp_path / "n.ipynb", tmp_path / "n.html")
    assert "All that was asked" in (tmp_path / "n.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["workload", "ad_hoc_queries"])
def test_our_notebooks_run_on_a_server_without_tasks(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: TinytaskStore
) -> None:
    """The one that the environment names, if no parameter does."""
    with running_server(store) as url:
        monkeypatch.setenv("TINYTASK_ENDPOINT", url)
        exported = export_notebook(ROOT / "notebooks" / f"{name}.ipynb", tmp_path / "out.html")
    assert "0 tasks, 0 agents" in exported.contents[0] and url in exported.contents[0]


@pytest.mark.browser
@pytest.mark.parametrize("name", ["workload", "ad_hoc_queries"])
def test_our_notebooks_run_and_export(open_page: OpenPage, tmp_path: Path, name: str) -> None:
    """On sample data, with papermill's parameters; every view and chart draws, nothing is fetched."""
    page = tmp_path / "out.html"
    notebook = ROOT / "notebooks" / f"{name}.ipynb"
    export_notebook(notebook, page, {"endpoint": "demo"})
    opened = open_page(page.read_text())
    assert int(opened.numbers()["open"]) > 10
    assert opened.listed() >= int(opened.numbers()["open"])
    assert opened.page.locator("nav.contents").count() == (name == "ad_hoc_queries")
    assert HOME + "/" not in page.read_text() and str(ROOT) not in page.read_text()
    assert opened.requests == [] and opened.errors == []
