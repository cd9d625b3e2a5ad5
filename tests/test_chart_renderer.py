"""Any Altair chart in a notebook: drawn without a network, by a script that one output carries for all."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import altair as alt
import pytest

from calypso_nb.view.chart_renderer import ChartRenderer
from tests.browser import Opened
from tests.test_page import exported, shown

OpenPage = Callable[[str], Opened]
HOSTILE = "</script><script>window.pwned=1</script><img src=x onerror=window.pwned=1>\x1b[2J"
KIND = "application/vnd.vegalite.v6+json"


def chart(title: str = "A title", **more: Any) -> dict[str, Any]:
    """The spec of a chart with three bars, as wide as there is room for it."""
    rows = alt.InlineData(values=[{"who": f"{title} {number}", "n": number} for number in (1, 2, 3)])
    bars = alt.Chart(rows, title=title, width="container", **more).mark_bar()
    return bars.encode(x="n:Q", y="who:N", tooltip="who:N").to_dict()


def begin(renderer: ChartRenderer, cell: str | None) -> None:
    """Begin to run a cell."""
    renderer.cell_begins(SimpleNamespace(cell_id=cell))  # type: ignore[arg-type]


def carries(output: dict[str, Any]) -> bool:
    """Whether an output has the script that draws."""
    return len(output["text/html"]) > 400_000


def test_one_output_of_a_notebook_carries_what_draws_all() -> None:
    """However many charts there are, in one cell or in many."""
    renderer = ChartRenderer()
    outputs = []
    for cell in ("a", "b", "c"):
        begin(renderer, cell)
        outputs += [renderer(chart()), renderer(chart())]
    assert [carries(output) for output in outputs] == [True, False, False, False, False, False]
    assert len(outputs[1]["text/html"]) < 4_000


def test_a_cell_that_runs_again_takes_the_script_with_it() -> None:
    """Its output is replaced, so the next chart brings the script, in whichever cell that is."""
    renderer = ChartRenderer()
    begin(renderer, "a")
    assert carries(renderer(chart()))
    begin(renderer, "b")
    assert not carries(renderer(chart()))
    begin(renderer, "a")  # This time without a chart.
    begin(renderer, "b")
    assert carries(renderer(chart()))
    begin(renderer, "b")
    assert carries(renderer(chart()))


def test_a_chart_in_the_cell_that_loads_the_extension_is_not_relied_on() -> None:
    """Nobody has said which cell that is: the first chart of another cell brings the script again."""
    renderer = ChartRenderer()
    assert carries(renderer(chart()))
    begin(renderer, "b")
    assert carries(renderer(chart()))
    begin(renderer, "c")
    assert not carries(renderer(chart()))


def test_a_front_end_that_names_no_cells_gets_the_script_once() -> None:
    """Such as nbclient, papermill and Voila, which run each cell once."""
    renderer = ChartRenderer()
    begin(renderer, None)
    assert carries(renderer(chart()))
    begin(renderer, None)
    assert not carries(renderer(chart()))


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({"title": "A title"}, "A title"),
        ({"title": ["In two", "lines"]}, "In two lines"),
        ({"title": alt.Title("With more", subtitle="below")}, "With more"),
        ({"title": "A title", "description": "What it shows"}, "What it shows"),
        ({}, "Chart"),
    ],
)
def test_a_viewer_without_scripts_shows_what_a_chart_says_of_itself(
    properties: dict[str, Any], words: str
) -> None:
    """On a terminal, on GitHub, in a notebook that is not trusted."""
    spec = alt.Chart(alt.InlineData(values=[]), **properties).mark_bar().to_dict()
    output = ChartRenderer()(spec)
    assert output["text/plain"] == words
    assert f'<p dir="auto">{words}</p>' in output["text/html"]
    assert output[KIND] == spec


@pytest.mark.browser
def test_charts_are_drawn_wherever_the_script_is(open_page: OpenPage) -> None:
    """Above and below the output that has it, each as wide as there is room, and hostile titles stay text."""
    renderer = ChartRenderer()
    carrier, *others = [renderer(chart(title))["text/html"] for title in ("one", HOSTILE, "three")]
    opened = open_page("<!DOCTYPE html><meta charset=utf-8>" + "\n".join([others[0], carrier, others[1]]))
    page = opened.page
    page.locator(".calypso-output svg").nth(2).wait_for()
    widths = page.eval_on_selector_all(".calypso-output svg", "all => all.map((svg) => svg.clientWidth)")
    assert len(widths) == 3 and min(widths) > 1_000
    assert page.locator(".calypso-output p").count() == 0
    assert "<img src=x" in page.locator(".calypso-output svg").first.text_content()  # type: ignore[operator]
    page.locator("path[aria-roledescription=bar]").last.hover()
    page.locator("#calypso-tooltip", has_text="three 3").wait_for()
    page.set_viewport_size({"width": 700, "height": 900})
    page.wait_for_function(
        "() => [...document.querySelectorAll('.calypso-output svg')].every((svg) => svg.clientWidth < 700)"
    )
    assert page.evaluate("window.pwned") is None
    assert opened.requests == [] and opened.errors == []


@pytest.mark.browser
def test_a_chart_that_cannot_be_drawn_says_so_in_its_output(open_page: OpenPage) -> None:
    """And not that the notebook is to be trusted."""
    opened = open_page(ChartRenderer()({**chart(), "mark": "nonsense"})["text/html"])
    opened.page.locator(".calypso-output [role=alert]").wait_for()
    assert opened.page.locator(".calypso-output").inner_text().startswith("This chart could not be drawn: ")


@pytest.mark.browser
def test_a_page_draws_such_a_chart_as_any_other(open_page: OpenPage) -> None:
    """By the script that the page has anyway, and with secrets left out."""
    renderer = ChartRenderer()
    page = exported(shown(renderer(chart("password=chart-secret"))), shown(renderer(chart(HOSTILE))))
    assert len(page) < 700_000 and "chart-secret" not in page
    opened = open_page(page)
    assert opened.page.locator(".plain-chart svg").count() == 2
    assert opened.page.evaluate("window.pwned") is None
    assert opened.requests == [] and opened.errors == []
