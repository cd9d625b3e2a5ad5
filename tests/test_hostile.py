"""Hostile text in every text field of a task, through the live view, its details, page and notebook."""

from __future__ import annotations

import base64
import copy
import gzip
import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import vl_convert

from calypso_nb import TinytaskClient, WorkloadData, WorkloadReporter, charts
from calypso_nb.embedded import TinytaskStore, create_server
from calypso_nb.view.page import report_page, view_bundle
from calypso_nb.view.payload import view_payload
from calypso_nb.view.task_dialog import task_details
from tests.browser import Opened, json_for_html, live_view
from tests.conftest import eventually
from tests.test_page import exported, shown

pytestmark = pytest.mark.browser

OpenPage = Callable[[str], Opened]

CORPUS = {
    "html": "<h1 style='position:fixed;inset:0'>BIG</h1><b>bold",
    "script": "</script><script>window.pwned=1</script><!--<script>",
    "handler": "<img src=x onerror=window.pwned=1>\"' onmouseover='window.pwned=1' x='",
    "svg": "<svg><animate onbegin=window.pwned=1 attributeName=x dur=1s></svg></style></title></textarea>",
    "link": "javascript:window.pwned=1//https://example.org",
    "data": "data:text/html,<script>opener.pwned=1</script>",
    "vega": "datum.x || window.pwned=1 {{constructor.constructor('window.pwned=1')()}} ${window.pwned=1}",
    "css": "</style><style>*{display:none!important}</style>;}body{display:none}/*",
    "null": "before\x00after\x07\x1b[31mred\x1b[0m",
    "bidi": "user\u202e\u2066 gnp.exe\u2069 \u2066admin\u2067",
    "formula": "=cmd|' /C calc'!A0",
    "quoted": "a\\'b\\\"c`d&lt;e&amp;f\u2028g\u2029h",
    "emoji": "\U0001f468\u200d\U0001f467 \u05e9\u05dc\u05d5\u05dd \u0645 Z\u0351\u036b\u0343\u036a",
    "wide": "X" * 200,
    "long": "long " + "Lorem " * 17_000 + "end",
}
# What JavaScript's objects have a property of, and what charts and tables might take for something else.
NAMES = [
    "constructor",
    "toString",
    "__proto__",
    "hasOwnProperty",
    "valueOf",
    "isPrototypeOf",
    "__defineGetter__",
    "prototype",
    "length",
    "then",
    "null",
    "undefined",
    "NaN",
    "true",
    "0",
    "@constructor",
    "a|idle",
    "datum.x",
]
AWAY = '<meta http-equiv="refresh" content="0;url=https://example.org/?stolen">'
# As they are shown: what has no look of its own has a picture, and an isolate ends with its text.
PICTURES = str.maketrans({"\x00": "\u2400", "\x07": "\u2407", "\x1b": "\u241b"})
SEEN = [text.translate(PICTURES) + "\u2069" * (2 * ("\u2067" in text)) for text in CORPUS.values()]
SHORTENED = [text if len(text) <= 4000 else f"{text[:4000]}\N{HORIZONTAL ELLIPSIS}" for text in SEEN]
KERNEL = """
const details = read("details");
const live = {
  news: () => ({}),
  every: () => 0, setEvery: () => {}, refresh: () => {},
  ask: async (_, { id }) => details[id],
};
mount(document.querySelector(".calypso-view"), read("payload"), { live });
"""


@pytest.fixture
def client(store: TinytaskStore) -> Iterator[TinytaskClient]:
    """A board where a task's every text is one of the corpus."""
    for text in CORPUS.values():
        name = text[:5000]
        task = store.create_task(
            text,
            name,
            description=text,
            assigned_to=name,
            queue_name=name,
            tags=[name],
            priority=3,
            blocked_by_task_id=1 if text is not CORPUS["html"] else None,
        )
        store.add_comment(task["id"], text, name)
        store.add_link(task["id"], text, created_by=name, description=text)
    with TinytaskClient(create_server(store)) as client:
        yield client


@pytest.fixture
def data(client: TinytaskClient) -> WorkloadData:
    return WorkloadReporter(client).collect_workload_data(progress=False)


def fits(opened: Opened) -> bool:
    """Nothing sticks out of the window, and the page can still be seen."""
    return opened.page.evaluate(
        "document.documentElement.scrollWidth <= innerWidth && document.body.offsetHeight > 300"
    )


def assert_inert(opened: Opened) -> None:
    assert opened.page.evaluate("window.pwned") is None
    assert opened.requests == [] and opened.errors == []
    assert fits(opened)


def use(opened: Opened) -> None:
    """Hover over a bar, open each list, search, and filter by what is hostile."""
    page = opened.page
    opened.tab("agents")
    page.locator('[data-chart="load"] [aria-roledescription="bar"]').first.hover()
    page.locator("#calypso-tooltip.visible").wait_for()
    for key in ("agents", "queues", "tags"):
        menu = page.locator(f".calypso-controls .calypso-{key}")
        if key == "agents":
            menu.locator("summary").click()
        else:
            page.locator(".calypso-adding summary").click()
            page.get_by_role("button", name=key.title().removesuffix("s"), exact=True).click()
        for box in menu.locator("input[type=checkbox]").all()[:3]:
            box.check()
        page.keyboard.press("Escape")
    page.get_by_label("Search tasks").fill("<img")
    opened.settle()
    page.get_by_role("button", name="Reset to default").click()
    opened.settle()


def titles(opened: Opened, at_least: int = len(SHORTENED)) -> list[str]:
    """The titles that the table holds, which are shortened on the screen, once it has so many rows."""
    opened.tab("tasks")
    found: list[str] = []

    def all_are_there() -> bool:
        spans = opened.page.locator("td.calypso-title span")
        found[:] = spans.evaluate_all("spans => spans.map((span) => span.title)")
        return len(found) >= at_least

    eventually(all_are_there)
    return found


def test_nothing_runs_and_nothing_is_lost_on_a_page(open_page: OpenPage, data: WorkloadData) -> None:
    """At any width, and in what a reader without script sees."""
    opened = open_page(report_page(data, title=CORPUS["script"]))
    use(opened)
    assert sorted(titles(opened)) == sorted(SHORTENED)
    assert_inert(opened)
    opened.page.set_viewport_size({"width": 700, "height": 900})
    opened.settle()
    assert fits(opened)


def test_nothing_runs_and_nothing_is_lost_in_an_exported_notebook(
    open_page: OpenPage, data: WorkloadData
) -> None:
    """As a view, as a frame, and as the text of an error."""
    outputs = [view_bundle(data), {"text/html": data.tasks.to_html()}]
    text = [{"text/plain": "\n".join(CORPUS.values())}]
    opened = open_page(exported(*map(shown, [*outputs, *text])))
    opened.filter()
    assert sorted(titles(opened)) == sorted(SHORTENED)
    assert_inert(opened)


def test_nothing_runs_and_nothing_is_lost_in_the_live_view_and_its_drawer(
    open_page: OpenPage, client: TinytaskClient, data: WorkloadData
) -> None:
    """Each task is opened, and all of its texts stand there, with no link among them."""
    details: dict[int, Any] = {task: task_details(client, task, data) for task in data.tasks["id"].tolist()}
    opened = open_page(live_view(view_payload(data), KERNEL, details=details))
    drawer = opened.page.locator(".calypso-drawer")
    for task, text in zip(details, SEEN, strict=True):
        opened.page.evaluate("id => document.querySelector('.calypso-view').__calypso.handle.open(id)", task)
        opened.page.locator(".calypso-drawer[data-whole]").wait_for()
        said = drawer.evaluate("drawer => drawer.textContent")
        # Title, description, comment, link and its description; the agent, the queue and the tag.
        assert said.count(text) >= 5, json.dumps(text[:60])
        assert said.count(text[:5000]) >= 8
        assert drawer.locator("a").count() == 0
        assert drawer.evaluate("drawer => drawer.scrollWidth <= drawer.clientWidth + 1")
        opened.page.keyboard.press("Escape")
    assert_inert(opened)


def test_nothing_runs_and_nothing_sticks_out_where_hostile_tasks_are_acted_on(
    open_page: OpenPage, client: TinytaskClient, store: TinytaskStore
) -> None:
    """In the list Do now, unfolded and explained, and in the form of each action."""
    for number in range(1, len(CORPUS) + 1):
        store.update_task(number, status="working")
        store.create_task("Another", "lead", assigned_to=CORPUS["html"])
    later = datetime.fromisoformat(store.get_task(1)["updated_at"]) + timedelta(days=30)
    data = WorkloadReporter(client).collect_workload_data(progress=False, now=later)
    opened = open_page(live_view(view_payload(data), KERNEL, details={}))
    page = opened.page
    assert page.locator(".calypso-do").count() > 7
    page.get_by_role("button", name="by impact ?").click()
    for unfold in page.locator(".calypso-unfold").all():
        unfold.click()
    names = ["reassign", "comment", "priority", "queue", "tags", "wait_for", "parent"]
    for task in range(1, len(CORPUS) + 1):
        for name in names:
            page.evaluate(
                """([name, id]) => document.querySelector(".calypso-view").__calypso.handle.hands
                    .act(name, [id], document.querySelector(".calypso-refresh button"))""",
                [name, task],
            )
            box = page.locator(".calypso-pop")
            box.wait_for()
            assert box.evaluate("box => box.scrollWidth <= box.clientWidth + 1"), (task, name)
            page.keyboard.press("Escape")
    assert_inert(opened)


# --- Names that mean something to a program --------------------------------------------------------------


def named(store: TinytaskStore) -> WorkloadData:
    """Each of the names as an agent, a tag, a queue and a title, with one idle and one working task."""
    for name in NAMES:
        for status in ("idle", "working"):
            task = store.create_task(name, name, assigned_to=name, queue_name=name, tags=[name], priority=3)
            store.update_task(task["id"], status=status)
    with TinytaskClient(create_server(store)) as client:
        return WorkloadReporter(client).collect_workload_data(progress=False)


def test_no_name_breaks_a_chart_a_table_or_a_filter(open_page: OpenPage, store: TinytaskStore) -> None:
    """Each agent has its bar of two tasks, by which it can be chosen."""
    opened = open_page(report_page(named(store)))
    page = opened.page
    opened.tab("agents")
    bars = sorted((bar["agent"], bar["status"], bar["tasks"]) for bar in opened.bars("load"))
    assert bars == sorted((name, status, "1") for name in NAMES for status in ("idle", "working"))
    labels = page.locator('[data-chart="load"] .role-axis-label text').all_text_contents()
    assert set(NAMES) <= set(labels)
    for name in ("__proto__", "constructor"):
        opened.filter()
        page.locator(f'[data-chart="load"] [aria-label*="agent: {name};"]').first.click()
        opened.settle()
        assert opened.listed() == 2
    for key in ("agents", "queues", "tags"):
        opened.filter(**{key: ["__proto__"]})
        assert opened.listed() == 2
        # The chart leaves out the filter that it sets.
        shown = NAMES if key == "agents" else ["__proto__"]
        assert {bar["agent"] for bar in opened.bars("load")} == {*shown}
    opened.filter()
    assert set(titles(opened, 1)) <= set(NAMES) and opened.listed() == 2 * len(NAMES)
    opened.tab("agents")
    for name in ("Queues", "Tags"):
        page.locator(".calypso-groups summary", has_text=name).click()
        table = page.get_by_role("table", name=name)
        table.locator("tbody th").first.wait_for()  # What a heading unfolds comes with its event.
        assert sorted(table.locator("tbody th").all_inner_texts()) == sorted(NAMES)
    assert opened.errors == []


def test_no_name_breaks_the_charts_of_a_cell(store: TinytaskStore) -> None:
    """Drawn without a browser, as an export of a notebook's chart to a file would be."""
    svg = vl_convert.vegalite_to_svg(charts.load_per_agent(named(store).tasks).to_dict())
    for name in NAMES:
        assert svg.count(f"agent: {name}; status:") == 2


# --- Charts that cannot be drawn -------------------------------------------------------------------------


def test_a_chart_that_cannot_be_drawn_says_so_in_its_place(open_page: OpenPage, data: WorkloadData) -> None:
    """Whether its spec is wrong or Vega stumbles when it draws; the others are drawn, and filters work."""
    payload = copy.deepcopy(view_payload(data))
    specs = {chart["id"]: chart["spec"] for chart in payload["charts"]}
    specs["backlog"]["mark"] = "nonsense"
    # As Vega's stack does with a group of that name.
    specs["load"]["transform"].append({"calculate": "'constructor'", "as": "key"})
    opened = open_page(live_view(payload, KERNEL, details={}))
    for tab, title in (("now", "Backlog, 14 days"), ("agents", "Load per agent")):
        opened.tab(tab)
        failed = opened.page.locator(f'[data-panel="{tab}"] figure:has([role=alert])')
        assert failed.locator("h3").inner_text() == title
        said = failed.locator("[role=alert]").inner_text()
        assert said.startswith("This chart could not be drawn: ") and len(said) > 40
        opened.filter(search="no task is called this")
        opened.filter()
        assert opened.listed() == len(data.tasks) and failed.count() == 1


def test_a_notebooks_own_chart_that_cannot_be_drawn_says_so(open_page: OpenPage) -> None:
    """Such as one whose data lie elsewhere."""
    kind = "application/vnd.vegalite.v6+json"
    wrong = {"mark": "nonsense", "data": {"values": [{"a": 1}]}}
    elsewhere = {
        "mark": "bar",
        "data": {"url": "https://example.org/x.json"},
        "encoding": {"x": {"field": "a"}},
    }
    opened = open_page(exported(shown({kind: wrong}), shown({kind: elsewhere})))
    said = opened.page.locator(".plain-chart [role=alert]").all_inner_texts()
    assert len(said) == 2 and all(line.startswith("This chart could not be drawn: ") for line in said)
    assert "example.org" in said[1]


# --- Text that looks like ours ---------------------------------------------------------------------------


def crafted(data: WorkloadData) -> dict[str, str]:
    """Texts that would be drawn, or run, if a page took them for what its exporter put there."""
    payload = view_payload(data)
    for name in ("age", "last_edit", "created_at", "updated_at", "title", "id"):
        payload["rows"][name] = [f'">{AWAY}<img src=x onerror="window.pwned=1">'] * len(payload["rows"]["id"])
    spec = {
        "data": {"values": [{"a": 1, "to": "https://example.org"}]},
        "mark": "bar",
        "encoding": {"x": {"field": "a"}, "href": {"field": "to"}},
    }
    code = gzip.compress(b"window.pwned = 1; export const drawAll = () => {}, drawDocument = drawAll;")
    bundle = base64.b64encode(code).decode()
    fields = 'data-calypso="own" id="own-0" class="calypso-view"'
    return {
        "view": f'<div {fields}><script type="application/json">{json_for_html(payload)}</script></div>',
        "chart": '<figure class="plain-chart" id="own-1">'
        f'<script type="application/json">{json_for_html(spec)}</script></figure>',
        "altair": f"<script>(function(spec, vegaEmbed) {{}})({json.dumps(spec)}, vegaEmbed(</script>",
        "bundle": "".join(
            f'<script type="text/plain" id="{name}">{bundle}</script>'
            for name in ("calypso-bundle", "own-bundle")
        ),
        "data": '<script type="application/json" id="own-data">[{"kind": "view", "data": {}}]</script>',
        "root": '<html data-calypso="own"><body data-calypso="own">'
        '<form name="documentElement" data-calypso="own">',
        "clobber": "".join(
            f'<img name="{name}" id="{name}">'
            for name in ("getElementById", "querySelectorAll", "createElement")
        )
        + '</form><a id="__calypsoBundles"></a><a id="calypso-nb.bundles"></a>',
        "away": f"{AWAY}<base href='https://example.org/'><p>token=abcd-1234-efgh</p>",
    }


@pytest.mark.parametrize(
    "opening", ["<!--", "<plaintext>", "<style>", "<template>", "<textarea>", "<div hidden>"]
)
def test_an_element_that_a_text_leaves_open_does_not_stop_the_script(
    open_page: OpenPage, data: WorkloadData, opening: str
) -> None:
    """A view before it is drawn all the same."""
    opened = open_page(exported(shown(view_bundle(data)), shown({"text/html": opening})))
    assert opened.numbers()["open"] == str(len(data.tasks))


@pytest.mark.parametrize("kind", ["text/html", "text/markdown", "cell"])
def test_a_text_that_looks_like_our_view_is_shown_and_not_obeyed(
    open_page: OpenPage, data: WorkloadData, kind: str
) -> None:
    """Shown as HTML, as Markdown, and in the notebook's own text, before and behind a view of ours."""
    texts = crafted(data)
    everything = "\n\n".join([*texts.values(), "<p>token=wxyz-1234-efgh</p>"])
    outputs = [
        {kind: text, "text/plain": "alt.text"} for text in [*texts.values(), everything] if kind != "cell"
    ]
    middle = len(outputs) // 2
    views = [*outputs[:middle], view_bundle(data), *outputs[middle:]]
    opened = open_page(exported(*map(shown, views), text=everything if kind == "cell" else ""))
    assert opened.page.url.startswith("file:") and opened.requests == []
    # Its script was not run.
    assert all("violates the following Content Security Policy" in error for error in opened.errors)
    assert opened.page.evaluate("window.pwned") is None
    drawn = "[...document.querySelectorAll('*')].filter((node) => node.__calypso).length"
    assert opened.page.evaluate(drawn) == 1
    assert set(opened.page.locator("[role=alert]").all_inner_texts()) <= {""}
    assert opened.page.locator(".calypso-parts").count() == 1 and opened.page.locator("svg").count() == 1
    assert opened.numbers()["open"] == str(len(data.tasks))
    if kind != "cell":  # What a notebook's author writes is not an output.
        assert not {"abcd-1234", "wxyz-1234"} & set(re.findall(r"\w{4}-1234", opened.page.content()))
