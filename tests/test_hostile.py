"""Hostile text in every text field of a task, through the live view, its details, page and notebook."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from calypso_nb import TinytaskClient, WorkloadData, WorkloadReporter
from calypso_nb.embedded import TinytaskStore, create_server
from calypso_nb.view.page import report_page, view_bundle
from calypso_nb.view.payload import view_payload
from calypso_nb.view.task_dialog import task_details
from tests.browser import Opened, live_view
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
# As they are shown: what has no look of its own has a picture, and an isolate ends with its text.
PICTURES = str.maketrans({"\x00": "\u2400", "\x07": "\u2407", "\x1b": "\u241b"})
SEEN = [text.translate(PICTURES) + "\u2069" * (2 * ("\u2067" in text)) for text in CORPUS.values()]
KERNEL = """
const details = read("details");
const changes = Object.values(details).map((task) => ({ ...task, change: "new" }));
const live = {
  news: () => ({ since: "2026-03-14T09:29:00+00:00", changes }),
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
    page.locator('[data-chart="load"] [aria-roledescription="bar"]').first.hover()
    page.locator("#calypso-tooltip.visible").wait_for()
    for key in ("agents", "queues", "tags"):
        page.locator(f".calypso-{key} > summary").click()
        for box in page.locator(f".calypso-{key} input[type=checkbox]").all()[:3]:
            box.check()
        page.keyboard.press("Escape")
    page.get_by_label("Search task titles").fill("<img")
    opened.settle()
    page.get_by_role("button", name="Clear filters").click()
    page.get_by_label("Search table").fill("pwned")
    opened.settle()
    page.get_by_label("Search table").fill("")


def titles(opened: Opened) -> list[str]:
    """The whole titles that the table holds, shortened on the screen or not."""
    found: list[str] = opened.page.locator("td.calypso-title span").evaluate_all(
        "spans => spans.map((span) => span.textContent)"
    )
    return found


def test_nothing_runs_and_nothing_is_lost_on_a_page(open_page: OpenPage, data: WorkloadData) -> None:
    """At any width, and in what a reader without script sees."""
    opened = open_page(report_page(data, title=CORPUS["script"]))
    use(opened)
    assert sorted(titles(opened)) == sorted(SEEN)
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
    assert sorted(titles(opened)) == sorted(SEEN)
    assert_inert(opened)


def test_nothing_runs_and_nothing_is_lost_in_the_live_view_and_its_details(
    open_page: OpenPage, client: TinytaskClient, data: WorkloadData
) -> None:
    """Each task is opened, and all of its texts stand there, with no link among them."""
    details: dict[int, Any] = {task: task_details(client, task, data) for task in data.tasks["id"].tolist()}
    opened = open_page(live_view(view_payload(data), KERNEL, details=details))
    use(opened)
    opened.page.locator(".calypso-news summary").click()
    opened.filter()
    assert sorted(titles(opened)) == sorted(SEEN)
    dialog = opened.page.locator("dialog")
    for task, text in zip(details, SEEN, strict=True):
        opened.page.locator(f"td [data-task='{task}']").click()
        dialog.locator(".calypso-actions").wait_for()
        said = dialog.evaluate("dialog => dialog.textContent")
        # Title, description, comment, link and its description; the agent, the queue and the tag.
        assert said.count(text) >= 5, json.dumps(text[:60])
        assert said.count(text[:5000]) >= 8
        assert dialog.locator("a").count() == 0
        assert dialog.evaluate("dialog => dialog.scrollWidth <= dialog.clientWidth + 1")
        opened.page.keyboard.press("Escape")
    assert_inert(opened)
