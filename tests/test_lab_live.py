"""A dashboard with a history in a real JupyterLab: how soon a change shows, and what that costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, TimeoutError

from calypso_nb import TinytaskClient
from calypso_nb.embedded import TinytaskStore, web
from calypso_nb.embedded.push import Pusher
from calypso_nb.view.flow_charts import FLOW_CHARTS
from tests.gateway import gateway
from tests.lab import Lab, open_lab, running_lab, write_notebook
from tests.standin import running_standin
from tests.test_dashboard_live import TOKEN, counted_server, free_port, passed

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore:the SignalR hub")]

CELL = """from calypso_nb import Dashboard, TinytaskClient, WorkloadReporter
dashboard = Dashboard(WorkloadReporter(TinytaskClient({source!r})), history={history!r}, hub={hub!r}, every=5)
dashboard"""
SETTLED = "from tests.test_dashboard_live import settled\nprint('settled', settled(dashboard))"
Create = Callable[[str], object]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the notebooks and their histories are."""
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """A JupyterLab over that folder, whose kernels know the hub's token from a setting."""
    with running_lab(folder, TINYTASK_HUB_TOKEN=TOKEN) as address:
        yield address


@contextmanager
def live_lab(
    browser: Browser, address: str, folder: Path, name: str, source: str, hub: str | None
) -> Iterator[Lab]:
    """A notebook with a dashboard in its only cell, run."""
    code = CELL.format(source=source, history=f"{name}-history.db", hub=hub)
    write_notebook(folder / f"{name}.ipynb", code)
    with open_lab(browser, address, f"{name}.ipynb") as lab:
        lab.run_all()
        lab.page.locator(".jp-OutputArea .calypso-live").get_by_role("tab", name="Tasks").click()
        yield lab


def wait_for_line(lab: Lab, text: str) -> None:
    """Wait until the line of liveness has a text in it."""
    lab.page.locator(".jp-OutputArea .calypso-liveness", has_text=text).wait_for()


def show(lab: Lab, create: Create, title: str) -> float:
    """Have somebody else create a task, and return the seconds until it is in the table on the screen."""
    began = time.monotonic()
    create(title)
    lab.page.locator(".jp-OutputArea .calypso-table").get_by_text(title).first.wait_for()
    return time.monotonic() - began


def measured(lab: Lab, create: Create, what: str) -> None:
    """Show some tasks, and print how long each took."""
    seconds = [show(lab, create, f"Came as number {number}") for number in range(5)]
    print(f"\n{what}: on the screen after {', '.join(f'{each:.2f}' for each in seconds)} s")
    assert lab.errors == []


@contextmanager
def served(kind: str, folder: Path, hub: str) -> Iterator[tuple[str, list[str], str]]:
    """A server that pushes: its address with a counter before it, what it was asked, and its own address."""
    with ExitStack() as stack:
        if kind == "embedded":
            store = stack.enter_context(TinytaskStore())
            url, seen = stack.enter_context(counted_server(store, hub))
            yield url, seen, url
            return
        standin = stack.enter_context(
            running_standin("http", folder / "standin.db", hub=hub, push_retry=(0, 50))
        )
        before = stack.enter_context(gateway(standin.url))
        yield before.url, before.seen, standin.url


@pytest.mark.parametrize(
    "kind", ["embedded", pytest.param("standin", marks=pytest.mark.node("tests/standin"))]
)
def test_what_a_server_pushes_is_on_the_screen_and_silence_costs_nothing(
    kind: str, browser: Browser, address: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one request while nothing happens."""
    monkeypatch.setattr(web, "Pusher", partial(Pusher, delays=(0, 0.05)))
    place = f"127.0.0.1:{free_port()}"
    with (
        served(kind, folder, f"http://{place}/hub/{TOKEN}") as (url, seen, direct),
        TinytaskClient(direct) as other,
    ):
        create: Any = partial(other.create_task, created_by="lead", priority=5)
        create("Was there")
        with live_lab(browser, address, folder, kind, url, place) as lab:
            wait_for_line(lab, "live")
            measured(lab, create, f"hub of {kind}")
            lab.run(SETTLED)
            lab.page.get_by_text("settled True", exact=True).wait_for()
            before, history = len(seen), folder / f"{kind}-history.db"
            assert passed(history)
            assert seen[before:] == []
            assert TOKEN not in lab.page.content()
            assert TOKEN not in history.read_bytes().decode("latin-1")


def test_what_is_written_to_a_file_is_on_the_screen(browser: Browser, address: str, folder: Path) -> None:
    """Without a server."""
    path = folder / "tasks.db"
    with TinytaskStore(path) as store:
        create: Any = partial(store.create_task, created_by="lead", priority=5)
        create("Was there")
        with live_lab(browser, address, folder, "file", str(path), None) as lab:
            wait_for_line(lab, "live")
            measured(lab, create, "file")


def test_a_server_that_goes_is_away_on_the_screen(
    browser: Browser, address: str, folder: Path, tmp_path: Path
) -> None:
    """Since when, and how old the numbers are; they stay, and all goes on when it is back."""
    port = free_port()
    with TinytaskStore() as store:
        store.create_task("Was there", "lead")
        with counted_server(store, port=port) as (url, _):
            stack = ExitStack()
            lab = stack.enter_context(live_lab(browser, address, folder, "away", url, None))
            wait_for_line(lab, "every 5 s")
        with stack:
            wait_for_line(lab, "away since")
            assert "numbers" in lab.page.locator(".jp-OutputArea .calypso-liveness").inner_text()
            assert lab.numbers()["open"] == "1"
            with counted_server(store, port=port):
                wait_for_line(lab, "every 5 s")


@pytest.mark.node("tests/standin")
def test_the_flow_tab_measures_what_another_client_does_meanwhile(
    browser: Browser, address: str, folder: Path
) -> None:
    """With a TinyTask in Node behind a gateway: what was finished is in the tab once it is measured again."""
    with (
        running_standin("http", folder / "flow.db") as standin,
        gateway(standin.url) as before,
        TinytaskClient(standin.url) as other,
    ):
        task = other.create_task("Measure me", assigned_to="alice", queue_name="dev").id
        with live_lab(browser, address, folder, "flow", before.url, None) as lab:
            output = lab.page.locator(".jp-OutputArea .calypso-live")
            output.get_by_role("tab", name="Flow").click()
            flow = output.locator(".calypso-flow")
            flow.get_by_text("1 task came in all: 0 finished").wait_for()
            assert flow.locator("[data-section]").count() == len(FLOW_CHARTS)
            other.update_task(task, status="working")
            show_again(lab, "1 task is in progress")
            other.complete_task(task)
            show_again(lab, "1 task came in all: 1 finished")
            output.get_by_role("tab", name="Now").click()
            lab.wait_until("v.rows.length && v.rows.every(row => !row.is_open)")
            assert lab.numbers()["open"] == "0"
            assert lab.errors == []


@pytest.mark.node("tests/standin")
def test_an_agents_page_tells_what_happened_to_its_tasks(
    browser: Browser, address: str, folder: Path
) -> None:
    """With a TinyTask in Node behind a gateway, while another client works on them and comments."""
    with (
        running_standin("http", folder / "agent.db") as standin,
        gateway(standin.url) as before,
        TinytaskClient(standin.url) as other,
    ):
        task = other.create_task("Tell of me", assigned_to="alice").id
        other.create_task("Of somebody else", assigned_to="bob")
        with live_lab(browser, address, folder, "agent", before.url, None) as lab:
            lab.go("agents")
            output = lab.page.locator(".jp-OutputArea .calypso-live")
            output.get_by_role("button", name="alice", exact=True).first.click()
            history = output.get_by_role("list", name="History")
            history.get_by_text("Tell of me").first.wait_for()
            other.update_task(task, status="working")
            history.locator("li", has_text="started").wait_for()
            other.complete_task(task)
            history.locator("li", has_text="finished").wait_for()
            assert history.locator("li").first.inner_text().split("\n")[1:3] == [f"#{task}", "finished"]
            assert "Of somebody else" not in history.inner_text()
            assert lab.errors == []


def show_again(lab: Lab, text: str) -> None:
    """Measure again until what somebody else has done is known, and on the screen."""
    flow = lab.page.locator(".jp-OutputArea .calypso-flow")
    for _ in range(60):
        flow.get_by_role("button", name="Measure again").click()
        with suppress(TimeoutError):
            flow.get_by_text(text).first.wait_for(timeout=1_000)
            return
    raise AssertionError(flow.inner_text())
