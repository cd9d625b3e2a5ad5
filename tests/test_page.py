"""The exported page, the notebook exporter and the charts, in Python and in a browser without a network."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import altair as alt
import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from calypso_nb import WorkloadData, charts
from calypso_nb.frames import AGE_BUCKETS, tasks_frame
from calypso_nb.view.bundle import packed_bundle, unpacked_text
from calypso_nb.view.notebook_page import CalypsoHTMLExporter
from calypso_nb.view.page import report_page, view_bundle, view_style, write_report
from calypso_nb.view.payload import view_payload
from calypso_nb.view.rows import task_rows
from calypso_nb.workload.phrases import readable_hours
from tests.browser import Opened
from tests.conftest import SECONDS
from tests.lab import ROOT

NOW = datetime(2026, 3, 14, 9, 30, tzinfo=UTC)
HOSTILE = ("</script><script>window.pwned=1</script>", "<img src=x onerror=window.pwned=1>&amp;")
OpenPage = Callable[[str], Opened]


def record(number: int, **fields: Any) -> dict[str, Any]:
    age = timedelta(hours=(number * 37) % 1000 + 0.5)
    return {
        "id": number,
        "title": f"Task {number}",
        "status": ("idle", "working", "complete")[number % 3],
        "assigned_to": (None, "alice", "bob", "carol", "dmitri")[number % 5],
        "priority": number % 12 - 1,
        "tags": ["ui"],
        "queue_name": "dev",
        "is_currently_blocked": number % 7 == 0,
        "blocked_by_task_id": 1 if number % 7 == 0 else None,
        "created_at": (NOW - age).isoformat(),
        "updated_at": (NOW - age / 2).isoformat(),
        "comment_count": 2,
        "link_count": 0,
        **fields,
    }


def data_of(records: list[dict[str, Any]]) -> WorkloadData:
    tasks = tasks_frame(records, NOW)
    return WorkloadData(tasks, tasks, NOW, "http://localhost:3000", details=True)


@pytest.fixture(scope="module")
def data() -> WorkloadData:
    return data_of([record(number) for number in range(1, 121)])


@pytest.fixture
def hostile() -> WorkloadData:
    texts = [HOSTILE[number % 2] for number in range(10)]
    return data_of(
        [
            record(n, title=text, assigned_to=text, queue_name=text, tags=[text])
            for n, text in enumerate(texts)
        ]
    )


def counted(bars: list[dict[str, str]], *names: str) -> Counter[tuple[str, ...]]:
    return Counter({tuple(bar[name] for name in names): int(bar["tasks"]) for bar in bars})


def expected(tasks: pd.DataFrame, column: str, missing: str = "") -> Counter[tuple[str, ...]]:
    keys = zip(tasks[column].astype("object").fillna(missing).astype(str), tasks["status"], strict=True)
    return Counter(keys)


def assert_shows(opened: Opened, data: WorkloadData) -> None:
    """The page shows exactly the tasks of `data`, in numbers and in the table."""
    tasks, summary = data.tasks, data.summary
    assert opened.listed() == len(tasks)
    opened.tab("now")
    numbers = opened.numbers()
    assert {name: numbers[name] for name in ("open", "working", "unassigned", "blocked")} == {
        "open": f"{summary.total_open_tasks:,}",
        "working": f"{summary.total_working:,}",
        "unassigned": f"{summary.total_unassigned:,}",
        "blocked": f"{summary.total_blocked:,}",
    }


def assert_load(opened: Opened, data: WorkloadData) -> None:
    """The chart of the load shows the tasks of `data`; it leaves the filter of agents out, which it sets."""
    opened.tab("agents")
    bars = counted(opened.bars("load"), "agent", "status")
    assert bars == expected(data.tasks, "assigned_to", "(unassigned)")


# --- In Python ------------------------------------------------------------------------------------------


def test_a_payload_is_json_and_unknown_values_in_it_are_null() -> None:
    """A task of an old server, which knows no queues and no blockers."""
    payload = view_payload(data_of([{"id": 1, "title": "Old", "status": "idle"}]))
    fields = {"charts": json.loads(json.dumps(payload["charts"]))}
    assert json.loads(json.dumps(payload, allow_nan=False)) == payload | fields
    rows = payload["rows"]
    assert [rows[name] for name in ("blocked", "queue", "created_at", "comments")] == [[None]] * 4


def test_what_a_page_draws_cannot_end_its_script_element(hostile: WorkloadData) -> None:
    """Whatever agents wrote, it is packed in letters and digits, and the same when it is unpacked."""
    [drawn] = re.findall('<script type="text/plain" id="calypso-[0-9a-f]+-data">(.*?)<', report_page(hostile))
    kind, packed = drawn.split(" ")
    assert kind == "view" and re.fullmatch("[A-Za-z0-9+/=]+", packed)
    assert unpacked_text(packed)["rows"]["title"] == hostile.tasks["title"].tolist()


def test_a_page_stays_small() -> None:
    """0.9 MB at most, and 0.15 kB for each task that came in."""
    for count in (120, 5_000):
        tasks = [record(number, title=f"{number} {token_hex(20)}") for number in range(1, count + 1)]
        assert len(report_page(data_of(tasks))) < 900_000 + 150 * count


def test_a_page_says_where_its_data_are_from(data: WorkloadData) -> None:
    """Server, filters, UTC time and number of tasks, also for a reader without script."""
    page = report_page(data.select(["idle"], "alice"), title="Team <A>")
    assert "http://localhost:3000" in page and "2026-03-14 09:30:00 UTC" in page
    assert "status: idle; agent: alice" in page and "<title>Team &lt;A&gt;</title>" in page


def test_a_report_is_written_whole_into_folders_that_it_makes(data: WorkloadData, tmp_path: Path) -> None:
    """Nothing but the report is left in the folder."""
    written = write_report(data, tmp_path / "new" / "folder" / "report.html")
    assert written.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [path.name for path in written.parent.iterdir()] == ["report.html"]


def test_a_report_opens_on_open_tasks_unless_its_own_filter_asked_for_others(data: WorkloadData) -> None:
    """Complete tasks are a click away, and shown at once to who asked for them."""
    assert view_payload(data)["filter"]["statuses"] == ["idle", "working"]
    assert view_payload(data.select(["idle", "complete"]))["filter"]["statuses"] == []


def test_fragments_escape_what_agents_wrote(hostile: WorkloadData) -> None:
    """The static content that viewers without our script show."""
    fragment = view_bundle(hostile)["text/html"]
    assert "<img" not in fragment and "<script>window" not in fragment


@pytest.mark.slow
@pytest.mark.parametrize(
    "chart", ["load_per_agent", "backlog", "priority_distribution", "age_distribution", "oldest_tasks"]
)
def test_a_chart_stands_alone_with_any_number_of_tasks(chart: str) -> None:
    """None, one, and more than the 5,000 that Altair allows a frame."""
    for records in ([], [record(1)], [record(number) for number in range(6000)]):
        spec = getattr(charts, chart)(data_of(records).tasks).to_dict()
        assert spec["title"]["text"] and spec["description"]
        assert ("No task matches" in json.dumps(spec)) == (not records)


def test_a_span_of_hours_reads_in_its_largest_useful_unit() -> None:
    """Minutes, hours and days; unknown stays unknown."""
    spans = [readable_hours(hours) for hours in (0.25, 3, 47.9, 295.2, None, float("nan"), -1)]
    assert spans == ["15 min", "3.0 h", "47.9 h", "12.3 d", None, None, "0 min"]


def test_rows_have_the_buckets_of_the_reporter(data: WorkloadData) -> None:
    """Each open task is in the bucket in which the reporter counts it."""
    rows = task_rows(data.tasks)
    counts = rows[rows["is_open"]]["age_bucket"].value_counts().reindex(list(AGE_BUCKETS), fill_value=0)
    assert counts.tolist() == data.ages["open"].tolist()


def test_the_colours_of_statuses_differ_in_brightness_and_stand_out_in_both_themes() -> None:
    """So that who sees no colours tells them apart as well; page and charts have the same ones."""
    colours = dict(re.findall(r'\[data-status="(\w+)"\] \{ --status: (#\w+)', view_style()))
    chart = json.dumps(charts.load_per_agent(data_of([record(1)]).tasks).to_dict())
    assert len(colours) == 3 and all(colour in chart for colour in colours.values())

    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        weights = zip((0.2126, 0.7152, 0.0722), parts, strict=True)
        return 0.05 + sum(weight * part**2.2 for weight, part in weights)

    brightness = sorted(map(light, colours.values()))
    assert all(brighter / darker > 1.25 for darker, brighter in itertools.pairwise(brightness))
    assert light("#ffffff") / brightness[-1] > 3 and brightness[0] / light("#1c2127") > 2.9


def test_a_page_and_the_script_of_a_dashboard_bring_the_licences_of_what_is_in_them(
    data: WorkloadData,
) -> None:
    """Vega's asks for that wherever it goes; the page's can be read."""
    script = gzip.decompress(base64.b64decode(packed_bundle())).decode()
    for text in (report_page(data), script):
        assert re.search(r"^vega \d[\d.]* \(BSD-3-Clause\)$", text, re.MULTILINE)
        assert "University of Washington Interactive Data Lab" in text


@pytest.mark.node("calypso_nb/view/browser")
def test_the_linter_lets_no_text_become_html(tmp_path: Path) -> None:
    """Elements are built, so that no text can be one."""
    browser = ROOT / "calypso_nb" / "view" / "browser"
    ways = [
        "node.innerHTML = text;",
        "node.outerHTML += text;",
        "Object.assign(node, { innerHTML: text });",
        'node.insertAdjacentHTML("beforeend", text);',
        'node.setAttribute("srcdoc", text);',
        "document.write(text);",
    ]
    for name in ("biome.jsonc", "no_html.grit"):
        shutil.copy(browser / name, tmp_path)
    (tmp_path / "src").mkdir()
    code = ["export function show(node, text) {", "  node.append(text);", *ways, "}", ""]
    (tmp_path / "src" / "new.js").write_text("\n".join(code))
    biome = browser / "node_modules" / ".bin" / "biome"
    linted = subprocess.run([biome, "lint"], cwd=tmp_path, text=True, capture_output=True, timeout=SECONDS)
    found = re.findall(
        r"new\.js:(\d+):\d+ plugin.*?No HTML from strings", linted.stdout + linted.stderr, re.DOTALL
    )
    assert [int(line) for line in found] == list(range(3, 3 + len(ways)))


@pytest.mark.node("calypso_nb/view/browser")
def test_the_bundle_is_what_the_build_makes_of_its_sources(tmp_path: Path) -> None:
    """`make bundle` was run after the last change in `calypso_nb/view/browser`."""
    browser = ROOT / "calypso_nb" / "view" / "browser"
    subprocess.run(["node", "build.mjs", tmp_path], cwd=browser, check=True, timeout=SECONDS)
    built = sorted(path.name for path in tmp_path.iterdir())
    assert built == ["LICENSES.txt", "bundle.js", "chart_loader.js", "page_loader.js", "widget_loader.js"]
    assets = browser.parent / "assets"
    assert [(tmp_path / name).read_text() == (assets / name).read_text() for name in built] == [True] * 5


# --- In a browser ---------------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize(
    ("statuses", "agents"),
    [
        ([], []),
        (["idle"], []),
        (["complete"], []),
        (["idle", "complete"], []),
        ([], ["alice"]),
        ([], [None]),
        (["working"], ["bob", None]),
    ],
)
def test_numbers_charts_and_table_follow_a_filter(
    open_page: OpenPage, data: WorkloadData, statuses: list[str], agents: list[str | None]
) -> None:
    """They all show what pandas counts for the same filter, and nothing is asked of the network."""
    opened = open_page(report_page(data))
    opened.filter(statuses=statuses, agents=agents)
    assert_shows(opened, data.select(statuses or None, agents or None))
    assert_load(opened, data.select(statuses or None))
    assert opened.requests == [] and opened.errors == []


@pytest.mark.browser
def test_the_controls_filter_and_say_what_is_active(open_page: OpenPage, data: WorkloadData) -> None:
    """Toggles, agents, search and the way back, by hand and with the keyboard."""
    opened = open_page(report_page(data))
    page = opened.page
    assert_shows(opened, data.select(["idle", "working"]))
    page.locator(".calypso-toggle[data-status=working]").click()
    page.locator(".calypso-controls .calypso-agents summary").press("Enter")
    page.get_by_role("checkbox", name="alice").check()
    page.get_by_role("checkbox", name="(unassigned)").check()
    page.keyboard.press("Escape")
    opened.settle()
    assert_shows(opened, data.select(["idle"], ["alice", None]))
    page.locator('[data-filter="agents"]').click()
    opened.settle()
    assert_shows(opened, data.select(["idle"]))
    page.get_by_role("button", name="Reset to default").click()
    opened.settle()
    assert_shows(opened, data.select(["idle", "working"]))
    opened.filter()
    page.get_by_label("Search tasks").fill("task 11")
    opened.settle()
    assert opened.listed() == data.tasks["title"].str.contains("Task 11").sum()
    assert opened.errors == []


@pytest.mark.browser
def test_a_click_on_an_agents_bar_filters_and_a_second_one_clears(
    open_page: OpenPage, data: WorkloadData
) -> None:
    """The load chart is a filter for all else, and itself shows the others all the same."""
    opened = open_page(report_page(data.select(["idle"])))
    for shown in (data.select(["idle"], "bob"), data.select(["idle"])):
        assert_load(opened, data.select(["idle"]))
        opened.page.locator('[data-chart="load"] [aria-label*="agent: bob; status: idle"]').click()
        opened.settle()
        assert_shows(opened, shown)


@pytest.mark.browser
def test_text_from_agents_is_inert_on_a_page(open_page: OpenPage, hostile: WorkloadData) -> None:
    """In charts, labels, tooltips and tables, also after a search."""
    opened = open_page(report_page(hostile, title=HOSTILE[0]))
    opened.filter()
    opened.tab("agents")
    opened.page.locator('[data-chart="load"] [aria-roledescription="bar"]').first.hover()
    opened.page.locator("#calypso-tooltip.visible").wait_for()
    opened.page.get_by_label("Search tasks").fill("img")
    opened.settle()
    assert opened.listed() == 5
    assert opened.page.evaluate("window.pwned") is None
    assert opened.requests == [] and opened.errors == []


@pytest.mark.browser
@pytest.mark.parametrize("records", [[], [record(1)]], ids=["no task", "one task"])
def test_a_page_of_almost_nothing_is_still_a_page(open_page: OpenPage, records: list[dict[str, Any]]) -> None:
    """Charts without a task say so in words."""
    data = data_of(records)
    opened = open_page(report_page(data))
    assert_shows(opened, data)
    for name, search in (("", ""), ("No task matches", "nothing is called this")):
        opened.filter(search=search)
        for tab in ("now", "agents"):
            opened.tab(tab)
            said = opened.page.locator(".calypso-nothing:visible").all_inner_texts()
            assert said == [name if records else "There are no tasks"] * (bool(name) or not records)
    assert opened.errors == []


@pytest.mark.browser
def test_what_an_old_server_does_not_say_is_not_shown_as_zero(open_page: OpenPage) -> None:
    """Blocked is unknown, comments and links are dashes."""
    unknown = dict.fromkeys(
        ("is_currently_blocked", "blocked_by_task_id", "queue_name", "comment_count", "link_count")
    )
    opened = open_page(report_page(data_of([record(1, **unknown), record(3, **unknown)])))
    assert opened.numbers()["blocked"] == "\N{EN DASH}"
    opened.tab("tasks")
    assert opened.page.locator("td.calypso-comments").first.inner_text() == "\N{EN DASH}"
    assert "NaN" not in opened.page.inner_text("body") and "null" not in opened.page.inner_text("body")


@pytest.mark.browser
@pytest.mark.parametrize("width", [1400, 800, 700])
def test_a_page_fits_the_window(open_page: OpenPage, width: int) -> None:
    """With 40 agents and titles of 200 characters nothing sticks out, and charts follow the window."""
    many = [record(n, title="X" * 200, assigned_to=f"agent-with-a-long-name-{n % 40}") for n in range(200)]
    opened = open_page(report_page(data_of(many)))
    opened.page.set_viewport_size({"width": width, "height": 900})
    wide = "charts => charts.every(chart => chart.querySelector('svg').clientWidth <= chart.clientWidth)"
    for tab in ("now", "agents"):
        opened.tab(tab)
        opened.page.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert opened.page.eval_on_selector_all(f'[data-panel="{tab}"] .calypso-chart', wide)


@pytest.mark.browser
def test_print_lists_all_that_the_filter_lets_through_and_then_the_page_is_as_before(
    open_page: OpenPage,
) -> None:
    """Up to a bound, and what is beyond it is said; nothing scrolls, and charts are as wide as the paper."""
    opened = open_page(report_page(data_of([record(number) for number in range(1, 601)])))
    page, shown = opened.page, "() => document.querySelectorAll('.calypso-rows [aria-selected]').length"
    opened.tab("tasks")
    page.locator(".calypso-scroll").evaluate("node => { node.scrollTop = 3000; }")
    left_out = page.locator(".calypso-table .calypso-unprinted")
    for statuses, listed, said in [
        (["idle"], 200, ""),
        ([], 500, "\N{HORIZONTAL ELLIPSIS} and 100 more tasks, which are not printed"),
    ]:
        opened.filter(statuses=statuses)
        page.emulate_media(media="print")
        page.evaluate("() => { dispatchEvent(new Event('beforeprint')); }")
        opened.settle()
        assert page.evaluate(shown) == listed and left_out.inner_text() == said
        heights = page.locator(".calypso-table").evaluate("all => [all.offsetHeight, all.scrollHeight]")
        assert heights[0] >= heights[1] - 2 > listed * 10
        widths = page.eval_on_selector_all(
            ".calypso-chart svg", "all => all.map((svg) => svg.viewBox.baseVal.width)"
        )
        assert widths and max(widths) <= 703  # What A4 leaves within its margins.
        page.emulate_media(media="screen")
        page.evaluate("() => { dispatchEvent(new Event('afterprint')); }")
        opened.settle()
        assert page.evaluate(shown) < 60
    assert opened.errors == []


@pytest.mark.browser
def test_every_chart_and_table_has_a_name_for_screen_readers(open_page: OpenPage, data: WorkloadData) -> None:
    """Chromium's own accessibility tree says so, as it would to a screen reader."""
    opened = open_page(report_page(data))
    tree = opened.page.context.new_cdp_session(opened.page)
    for tab, charts_there, tables in [
        ("now", ["Backlog, 14 days"], ["Agents"]),
        ("agents", ["Load per agent"], ["Agents", "Queues", "Tags"]),
    ]:
        opened.tab(tab)
        folded = opened.page.locator(f'[data-panel="{tab}"] details:not([open]) > summary')
        while folded.count():
            folded.first.click()
        for chart in charts_there:
            opened.page.locator(f'table[aria-label^="{chart}"]').wait_for()
        nodes = tree.send("Accessibility.getFullAXTree")["nodes"]
        names: dict[str, list[str]] = {"graphics-document": [], "table": []}
        for node in nodes:
            if not node["ignored"] and node["role"]["value"] in names:
                names[node["role"]["value"]].append(node["name"]["value"])
        assert [name.split(":")[0] for name in names["graphics-document"]] == charts_there
        assert all(len(name.split(": ", 1)[1]) > 10 for name in names["graphics-document"])
        assert [name.split(":")[0] for name in names["table"]] == [*tables, *charts_there]


@pytest.mark.browser
def test_an_agent_who_is_called_unassigned_is_not_nobody(open_page: OpenPage) -> None:
    """Two bars, each with a filter of its own."""
    names = [None, None, "(unassigned)"]
    opened = open_page(
        report_page(data_of([record(n, assigned_to=name, status="idle") for n, name in enumerate(names)]))
    )
    opened.tab("agents")
    bars = {bar["agent"]: int(bar["tasks"]) for bar in opened.bars("load")}
    assert bars == {"(unassigned)": 2, "\u201c(unassigned)\u201d": 1}
    for count, who in enumerate(["\u201c(unassigned)\u201d", "(unassigned)"], 1):
        opened.filter()
        opened.page.locator(f'[data-chart="load"] [aria-label*="agent: {who};"]').first.click()
        opened.settle()
        assert opened.listed() == count


# --- An exported notebook -------------------------------------------------------------------------------


def shown(bundle: dict[str, Any]) -> nbformat.NotebookNode:
    output = new_output("display_data")
    output.data = nbformat.from_dict(bundle)  # unchecked: nbformat refuses the mime type that Altair 6 uses
    return output


def exported(*outputs: Any, text: str = "", **traits: Any) -> str:
    cells = [new_code_cell("secret()") for _ in outputs]
    for cell, output in zip(cells, outputs, strict=True):
        cell.outputs = [output]
    notebook = new_notebook()
    notebook.cells = [new_markdown_cell(f"# Weekly *report*\n\n{text}"), *cells]
    page, _ = CalypsoHTMLExporter(**traits).from_notebook_node(notebook)
    return page


@pytest.mark.browser
def test_an_exported_notebook_draws_views_and_plain_charts_offline(
    open_page: OpenPage, hostile: WorkloadData, data: WorkloadData
) -> None:
    """A dashboard's static form, and charts in both forms in which Altair displays them."""
    chart = (
        alt.Chart(alt.Data(values=[{"a": 1, "b": text} for text in HOSTILE]))
        .mark_bar()
        .encode(x="a:Q", y="b:N")
    )
    with alt.renderers.enable("mimetype"):
        mimetype = chart._repr_mimebundle_()
    with alt.renderers.enable("default"):
        stock = {**chart._repr_mimebundle_(), "text/plain": repr(chart)}
    lab = {"application/vnd.vegalite.v6+json": chart.to_dict()}
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "text/plain": "Dashboard()"}
    bundles = [
        {**widget, **view_bundle(hostile)},
        mimetype,
        stock,
        lab,
        view_bundle(data),
    ]
    bundles = [bundle[0] if isinstance(bundle, tuple) else bundle for bundle in bundles]
    opened = open_page(exported(*map(shown, bundles)))
    assert opened.page.locator(".calypso-view [data-chart] svg").count() == 2
    bars = opened.page.locator('.plain-chart [aria-roledescription="bar"]')
    assert bars.count() == 6
    assert opened.page.evaluate("window.pwned") is None
    assert opened.requests == [] and opened.errors == []


@pytest.mark.browser
def test_scripts_in_a_notebooks_outputs_do_not_run(open_page: OpenPage) -> None:
    """Such as a pandas Styler makes of a hostile title; who trusts the notebook may allow them."""
    html = {"text/html": "<script>window.pwned=1</script><p>A table</p>"}
    kept_out = open_page(exported(shown(html)))
    assert kept_out.page.evaluate("window.pwned") is None
    trusted = open_page(exported(shown(html), allow_scripts=True))
    assert trusted.page.evaluate("window.pwned") == 1


def test_an_exported_notebook_shows_results_and_hides_code() -> None:
    """Frames, text and errors stay, input does not, and the code is there for who asks for it."""
    frame = {"text/html": "<table><tr><td>42</td></tr></table>", "text/plain": "42"}
    error = new_output(
        "error", ename="ValueError", evalue="no such agent", traceback=["ValueError: no such agent"]
    )
    page = exported(new_output("execute_result", data=frame), error)
    assert "<td>42</td>" in page and "no such agent" in page and "secret()" not in page
    assert "<title>Weekly *report*</title>" in page
    assert "secret" in exported(error, show_code=True)


def test_a_widget_without_a_static_form_leaves_a_line_that_says_so() -> None:
    """Not a blank, and not the repr of the widget."""
    widget = {
        "application/vnd.jupyter.widget-view+json": {"model_id": "x"},
        "text/plain": "IntSlider(value=3)",
    }
    page = exported(shown(widget))
    assert "An interactive widget has no static form" in page and "IntSlider" not in page


def test_an_exported_notebook_refers_to_nothing_outside() -> None:
    """No require.js, MathJax or other content delivery network."""
    page = exported(new_output("stream", name="stdout", text="hello"))
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
