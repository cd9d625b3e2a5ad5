"""What a supervisor must be able to do, in a real JupyterLab: nine checks, while others work on the board.

The server is a TinyTask in Node behind a gateway, and another client writes to it all the time.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from playwright.sync_api import Browser, Locator

from calypso_nb import TinytaskClient
from calypso_nb.embedded import TinytaskStore, fill_sample
from calypso_nb.records import Task
from tests.bench import fill
from tests.browser import cut_off
from tests.gateway import Gateway, Rule, gateway
from tests.lab import IDLE, ROOT, Lab, open_lab, running_lab, write_notebook
from tests.standin import running_standin

pytestmark = [pytest.mark.browser, pytest.mark.node("tests/standin")]

URGENT = "Customers see another team's invoice"
# Where the middle of an element is on the screen, and none if it is not there or something lies on it.
MIDDLE = """(node) => {
  const { left, top, width, height } = node.getBoundingClientRect();
  const [x, y] = [left + width / 2, top + height / 2];
  return node.contains(document.elementFromPoint(x, y)) ? { x, y } : null;
}"""
ATTENTION = ".calypso-live .calypso-attention"


class Colleague:
    """Somebody else who changes a task of their own, three times a second."""

    def __init__(self, client: TinytaskClient) -> None:
        self.client = client
        self.busy, self._ended = Event(), Event()
        self.task = client.create_task(
            "What the colleague is at", created_by="colleague", assigned_to="colleague"
        ).id
        self._thread = Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        number = 0
        self.busy.set()
        while not self._ended.wait(0.3):
            if self.busy.is_set():
                number += 1
                self.client.update_task(self.task, priority=number % 3)
                self.client.add_comment(self.task, f"Round {number}", created_by="colleague")

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the notebooks and the servers' databases are."""
    return tmp_path_factory.mktemp("nine")


@pytest.fixture(scope="module")
def other(folder: Path) -> Iterator[TinytaskClient]:
    """Another client of the server, with the sample project on it."""
    path = folder / "sample.db"
    with TinytaskStore(path) as store:
        fill_sample(store)
    with running_standin("http", path) as standin, TinytaskClient(standin.url) as client:
        yield client


@pytest.fixture(scope="module")
def before(other: TinytaskClient) -> Iterator[Gateway]:
    """A gateway before the server, which can go away."""
    with gateway(other.endpoint) as before:
        yield before


@pytest.fixture(scope="module")
def colleague(other: TinytaskClient) -> Iterator[Colleague]:
    """Somebody else at work."""
    with TinytaskClient(other.endpoint) as client:
        colleague = Colleague(client)
        yield colleague
        colleague.end()


@pytest.fixture(scope="module")
def address(folder: Path, before: Gateway) -> Iterator[str]:
    """A JupyterLab whose notebooks find the server."""
    for name in ("workload", "ad_hoc_queries"):
        shutil.copy(ROOT / "notebooks" / f"{name}.ipynb", folder)
    with running_lab(folder, TINYTASK_ENDPOINT=before.url, TINYTASK_AGENT="supervisor") as address:
        yield address


@pytest.fixture(scope="module")
def lab(browser: Browser, address: str, colleague: Colleague) -> Iterator[Lab]:
    """The notebook after *Run All Cells*; nobody has scrolled."""
    with open_lab(browser, address, "workload.ipynb") as lab:
        lab.run_all()
        yield lab


def click(lab: Lab, what: Locator) -> None:
    """Click where something is on the screen, without scrolling to it."""
    what.wait_for()
    middle = what.evaluate(MIDDLE)
    assert middle, f"not in sight: {what}"
    lab.page.mouse.click(middle["x"], middle["y"])


def called(client: TinytaskClient, title: str) -> Task:
    """The task whose title begins like that, as it is now."""
    tasks = client.list_tasks()
    return client.get_task(int(tasks.loc[tasks["title"].str.startswith(title), "id"].item()))


def line(lab: Lab, title: str) -> Locator:
    """The line of a task in *Do now*."""
    return lab.page.locator(f"{ATTENTION} .calypso-do", has_text=title)


def options(lab: Lab) -> Locator:
    """The agents that are offered at a button."""
    return lab.page.locator(".calypso-pop").get_by_role("option")


def opened(lab: Lab, task: int) -> Locator:
    """The drawer of a task, found by its number."""
    search = lab.page.locator(".calypso-live .calypso-quick input")
    search.fill(f"#{task}")
    search.press("Enter")
    drawer = lab.page.locator(".calypso-drawer:popover-open[data-whole]", has_text=f"#{task}")
    drawer.wait_for()
    search.fill("")
    return drawer


def test_a_who_should_take_an_urgent_task_is_answered_with_two_clicks(
    lab: Lab, other: TinytaskClient
) -> None:
    """From *Run All Cells*, without scrolling; whom it names has little to do."""
    task = called(other, URGENT)
    click(lab, line(lab, URGENT).get_by_role("button", name="Assign …"))
    first = options(lab).first
    name, load = first.inner_text().split("\n")
    click(lab, first)
    line(lab, URGENT).wait_for(state="detached")
    assert other.get_task(task.id).assigned_to == name
    assert load.startswith("free")


def test_b_what_an_agent_does_and_since_when_is_one_click_away(lab: Lab, other: TinytaskClient) -> None:
    """Each of its tasks in progress, with the bounds of how long."""
    click(
        lab,
        lab.page.locator(".calypso-live .calypso-team").get_by_role("button", name="architect", exact=True),
    )
    now = lab.page.locator(".calypso-live .calypso-lines-now li")
    now.first.wait_for()
    tasks = other.list_tasks(status="working", assigned_to="architect")
    assert {int(text) for text in now.evaluate_all("all => all.map(({ dataset }) => dataset.id)")} == {
        *tasks["id"]
    }
    for bar in now.locator("[role=img]").all():
        assert (bar.get_attribute("aria-label") or "").startswith("in progress for at least ")
    lab.go("now")


def test_c_filters_and_an_outage_are_in_sight_wherever_one_has_scrolled(lab: Lab, before: Gateway) -> None:
    """At the notebook's end too; then it is there again, and what is shown has changed."""
    head = lab.page.locator(".jp-OutputArea .calypso-live .calypso-head")
    before.rules.append(Rule("", 503, through=False))
    lab.click("button.calypso-refresh")
    head.locator("summary", has_text="away since").wait_for()
    for share in (0, 0.5, 1):
        lab.page.evaluate(
            """(share) => {
              const panel = document.querySelector('.calypso-live [data-panel=now]').getBoundingClientRect();
              const scroller = document.querySelector('.jp-WindowedPanel-outer');
              scroller.scrollTop += share * (panel.bottom - scroller.getBoundingClientRect().bottom);
            }""",
            share,
        )
        for part in ("summary >> text=away since", ".calypso-toggles button >> nth=0"):
            assert head.locator(part).first.evaluate(MIDDLE), (share, part)
    before.rules.clear()
    lab.click("button.calypso-refresh")
    head.locator("summary", has_text="away since").wait_for(state="detached")


def test_d_a_reassign_after_a_foreign_move_is_refused_and_says_who_has_it(
    lab: Lab, other: TinytaskClient
) -> None:
    """The move comes between the look and the click."""
    task = called(other, "Agree on the ledger schema")
    opened(lab, task.id).get_by_role("button", name="Reassign …").last.click()
    other.move_task(task.id, task.assigned_to, "qa-lead", "It is mine now")
    options(lab).filter(has_text="backend-dev").click()
    lab.page.get_by_text(f"#{task.id} has moved on: qa-lead has it since").first.wait_for()
    assert other.get_task(task.id).assigned_to == "qa-lead"
    # Its answer makes the dashboard read the board again.
    lab.wait_until(f"v.rows.some(row => row.id === {task.id} && row.agent === 'qa-lead')")


def test_e_no_comment_carries_a_name_that_did_not_write_it(lab: Lab, other: TinytaskClient) -> None:
    """A supervisor's words are the supervisor's, and TinyTask's own note of a move says who moved it."""
    task = other.create_task("Say something to me", created_by="lead", assigned_to="test-bot")
    lab.page.locator(".jp-OutputArea button.calypso-refresh:enabled").click()
    lab.wait_until(f"v.rows.some(row => row.id === {task.id})")
    opened(lab, task.id).get_by_role("button", name="Reassign …").last.click()
    lab.page.get_by_label("What the new agent should know").fill("You know this best")
    options(lab).filter(has_text="researcher").click()
    lab.page.get_by_text("agent test-bot → researcher").first.wait_for()
    said = {comment.content: comment.created_by for comment in other.get_task(task.id).comments or ()}
    assert said.pop("You know this best") == "supervisor"
    assert [text for text, by in said.items() if by != "supervisor"] == ["handed on by supervisor"]


def test_f_20000_tasks_are_no_higher_than_a_screen(browser: Browser, address: str, folder: Path) -> None:
    """On every tab, while the colleague goes on."""
    path = folder / "many.db"
    fill(path, 20_000)
    code = """from calypso_nb import Dashboard, TinytaskClient, WorkloadReporter
Dashboard(WorkloadReporter(TinytaskClient({!r})))"""
    with ExitStack() as stack:
        url = stack.enter_context(running_standin("http", path)).url
        colleague = Colleague(stack.enter_context(TinytaskClient(url)))
        stack.callback(colleague.end)
        write_notebook(folder / "many.ipynb", code.format(url))
        lab = stack.enter_context(open_lab(browser, address, "many.ipynb", workspace="many"))
        lab.run_all()
        assert lab.view("v.rows.length") > 20_000
        for tab in ("now", "agents", "tasks", "flow", "blocking"):
            lab.go(tab)
            height = lab.page.locator(".jp-OutputArea .calypso-live").evaluate("node => node.offsetHeight")
            assert height <= 1200, tab
        assert lab.errors == []


@contextmanager
def heard(lab: Lab) -> Iterator[list[int]]:
    """How many bytes the page hears from the kernel meanwhile, message by message."""
    session, sizes = lab.page.context.new_cdp_session(lab.page), []
    session.on(
        "Network.webSocketFrameReceived", lambda one: sizes.append(len(one["response"]["payloadData"]))
    )
    session.send("Network.enable")
    yield sizes
    session.detach()


def test_g_a_refresh_in_which_nothing_changed_is_small(lab: Lab, colleague: Colleague) -> None:
    """The colleague rests; how long the tab is blocked is in BENCHMARKS.md."""
    colleague.busy.clear()
    for _ in range(2):  # What was new comes with the first.
        moment = lab.view("v.payload.meta.generated_at")
        with heard(lab) as sizes:
            lab.click("button.calypso-refresh")
            lab.wait_until(f"v.payload.meta.generated_at !== '{moment}'")
            lab.page.locator(".jp-OutputArea button.calypso-refresh:enabled").wait_for()
    colleague.busy.set()
    assert 0 < sum(sizes) < 10_000


def test_h_a_notebook_that_is_opened_again_shows_what_needs_attention_without_a_kernel(lab: Lab) -> None:
    """And no error by Jupyter."""
    page = lab.page
    page.locator(".calypso-saved").first.wait_for(state="attached")
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.reload()
    saved = page.locator(".calypso-saved").first
    saved.get_by_role("heading", name="Needs attention").wait_for()
    assert saved.get_by_text("never ends").count() or saved.locator("tr").count()
    page.wait_for_function(IDLE)
    assert not page.get_by_text("Error displaying widget").filter(visible=True).count()


def test_i_charts_of_cells_are_drawn_with_the_network_cut(
    browser: Browser, address: str, colleague: Colleague
) -> None:
    """All of `ad_hoc_queries.ipynb`, and nothing is asked for."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    asked = cut_off(context)
    lab = Lab(context.new_page(), address, "ad_hoc_queries.ipynb", "queries")
    lab.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
    charts = lab.page.locator(".calypso-output svg.marks")
    charts.nth(2).wait_for()
    widths = charts.evaluate_all("all => all.map((svg) => svg.clientWidth)")
    assert len(widths) == 3 and min(widths) > 300
    assert lab.page.get_by_text("Error loading script").count() == 0
    assert asked == [] and lab.errors == []
    context.close()
