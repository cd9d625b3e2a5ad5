"""The workload notebook in a real JupyterLab: what people see, click, and get."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, TimeoutError

from calypso_nb import TinytaskClient, WorkloadData, WorkloadReporter
from calypso_nb.embedded import TinytaskStore, create_server, fill_sample, running_server
from tests.browser import Opened
from tests.faulty_proxy import FaultyProxy, faulty_proxy
from tests.lab import IDLE, ROOT, VIEW, Lab, open_lab, running_lab

pytestmark = pytest.mark.browser

# Whether an element is where it can be seen, and nothing lies on it.
IN_SIGHT = """(node) => {
  const { left, top, width, height } = node.getBoundingClientRect();
  return node.contains(document.elementFromPoint(left + width / 2, top + height / 2));
}"""
HOSTILE = [
    "</script><script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=1>",
]


@pytest.fixture(scope="module")
def store() -> Iterator[TinytaskStore]:
    """The sample project with two hostile tasks in it."""
    with TinytaskStore() as store:
        fill_sample(store)
        for title in HOSTILE:
            store.create_task(title, "lead", assigned_to=title, priority=10)
        yield store


@pytest.fixture(scope="module")
def proxy(store: TinytaskStore) -> Iterator[FaultyProxy]:
    """A TinyTask over HTTP, behind a proxy that goes wrong on demand."""
    with running_server(store) as url, faulty_proxy(url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def lab(browser: Browser, tmp_path_factory: pytest.TempPathFactory, proxy: FaultyProxy) -> Iterator[Lab]:
    """The notebook, opened, with all its cells run."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(ROOT / "notebooks" / "workload.ipynb", folder)
    with (
        running_lab(folder, TINYTASK_ENDPOINT=proxy.url) as address,
        open_lab(browser, address, "workload.ipynb") as lab,
    ):
        lab.run_all()
        yield lab


@pytest.fixture(autouse=True)
def healed(proxy: FaultyProxy) -> Iterator[None]:
    """The server is there again after each test, however that ended."""
    yield
    proxy.heal()


@pytest.fixture
def data(store: TinytaskStore) -> WorkloadData:
    """What a report on the same tasks says now."""
    with TinytaskClient(create_server(store)) as client:
        return WorkloadReporter(client).collect_workload_data("all", details=False)


def assert_shows(lab: Lab, expected: WorkloadData) -> None:
    """Numbers, table and chart show what the report says."""
    summary = expected.summary
    numbers = lab.numbers()
    assert numbers["open"] == str(summary.total_open_tasks)
    assert numbers["working"] == str(summary.total_working)
    assert numbers["unassigned"] == str(summary.total_unassigned)
    assert numbers["blocked"] == str(summary.total_blocked)
    assert lab.view("v.shown.length") == len(expected.tasks)
    lab.go("agents")
    bars = lab.bars("load")
    for row in expected.agents.itertuples():
        assert [bars.get((row.agent, status), 0) for status in ("idle", "working", "complete")] == [
            row.idle,
            row.working,
            row.complete,
        ]
    lab.go("now")


def test_run_all_shows_what_is_open_on_one_screen(lab: Lab, data: WorkloadData) -> None:
    """Numbers first, then what needs somebody beside the agents, then the backlog, in a thousand pixels."""
    order = lab.page.evaluate(
        """() => ['head', 'numbers', 'attention', 'backlog'].map((part) =>
            document.querySelector(`.calypso-live .calypso-${part}`).getBoundingClientRect().top)"""
    )
    assert order == sorted(order)
    height = "document.querySelector('.calypso-live .calypso-parts').getBoundingClientRect().height"
    assert lab.page.evaluate(height) <= 1200
    assert_shows(lab, data.select(status_filter=["idle", "working"]))
    assert lab.errors == []


def test_each_chart_is_drawn_with_marks_once_its_tab_is_looked_at(lab: Lab) -> None:
    """The backlog on the first screen, and what each agent has among the agents."""
    marks = """() => [...document.querySelectorAll('.calypso-live [data-chart]')].map(chart =>
        [chart.dataset.chart, chart.querySelectorAll('.mark-rect path').length > 0])"""
    lab.go("agents")
    assert dict(lab.page.evaluate(marks)) == {"backlog": True, "load": True}
    lab.go("now")


def test_no_tab_is_wider_than_its_cell(lab: Lab) -> None:
    """Wide tables scroll inside; the tab *Agents* shows all of them, whose page was looked at before."""
    wide = """() => {
      const right = (node) => node.getBoundingClientRect().right;
      const view = document.querySelector('.calypso-live');
      return right(view) - right(view.closest('.jp-OutputArea'));
    }"""
    for tab in ("now", "agents", "tasks", "flow", "blocking"):
        lab.go(tab)
        assert lab.page.evaluate(wide) <= 0, tab
    lab.go("agents")
    table = lab.page.locator(".calypso-live .calypso-agents-body")
    table.get_by_role("button", name="architect", exact=True).click()
    table.wait_for(state="hidden")
    lab.go("agents")
    table.wait_for()
    lab.go("now")


def test_the_head_stays_in_sight_at_any_scroll_position(lab: Lab, proxy: FaultyProxy) -> None:
    """Filters, and that the server is away, also while the notebook's end is looked at."""
    proxy.refuse()
    lab.click("button.calypso-refresh")
    lab.page.locator(".calypso-live .calypso-head [role=alert]").wait_for()
    lab.page.evaluate(
        """() => {
          const panel = document.querySelector('.calypso-live [data-panel=now]');
          const scroller = document.querySelector('.jp-WindowedPanel-outer');
          const bottom = (node) => node.getBoundingClientRect().bottom;
          scroller.scrollTop += bottom(panel) - bottom(scroller);
        }"""
    )
    for part in (".calypso-liveness summary", ".calypso-toggles button >> nth=0", "[role=alert]"):
        lab.page.locator(f".jp-OutputArea .calypso-live {part}").first.wait_for()
        assert lab.page.locator(f".jp-OutputArea .calypso-live {part}").first.evaluate(IN_SIGHT), part
    proxy.heal()
    lab.click("button.calypso-refresh")
    lab.page.locator(".calypso-live .calypso-head [role=alert]").wait_for(state="detached")


def test_what_an_export_shows_is_saved_and_hidden_while_the_dashboard_lives(lab: Lab) -> None:
    """It is in the notebook, beside the widget, and follows each refresh."""
    saved = lab.page.locator(".calypso-saved")
    saved.wait_for(state="attached")  # After the widget, as its flow is measured first.
    assert saved.count() == 1 and not saved.is_visible()
    assert lab.page.locator(".jp-OutputArea .calypso-view:visible").count() == 1


def test_status_filters_take_several_at_once(lab: Lab, data: WorkloadData) -> None:
    """Each combination of statuses shows in numbers, charts and table, with no call to the server."""
    toggle = lambda status: lab.click(f".calypso-toggles [data-status={status}]")  # noqa: E731
    toggle("complete")
    lab.wait_until("v.filter.statuses.length === 3")
    assert_shows(lab, data)
    toggle("idle")
    toggle("complete")
    lab.wait_until("v.filter.statuses.join() === 'working'")
    assert_shows(lab, data.select(status_filter="working"))
    toggle("idle")
    lab.wait_until("v.filter.statuses.join() === 'working,idle'")


def test_the_agent_filter_takes_agents_and_the_unassigned(lab: Lab, data: WorkloadData) -> None:
    """One agent, then nobody's tasks as well, then all again with one click."""
    open_tasks = data.select(status_filter=["idle", "working"])
    agent = open_tasks.agents["agent"][0]
    lab.click(".calypso-agents summary")
    lab.page.get_by_role("option", name=agent, exact=True).click()
    lab.wait_until(f"v.filter.agents[0] === {json.dumps(agent)}")
    assert_shows(lab, open_tasks.select(agent_filter=agent))
    lab.click(".calypso-agents summary")
    lab.page.get_by_role("option", name="(unassigned)", exact=True).click()
    lab.wait_until("v.filter.agents[1] === null")
    assert_shows(lab, open_tasks.select(agent_filter=[agent, None]))
    lab.page.keyboard.press("Escape")
    lab.click("[data-filter=agents]")
    lab.wait_until("v.filter.agents.length === 0")


def test_a_click_on_an_agents_bar_filters_by_that_agent(lab: Lab, data: WorkloadData) -> None:
    """A second click takes the filter back."""
    agent = data.select(status_filter=["idle", "working"]).agents["agent"][0]
    bar = f'.calypso-live [data-chart="load"] [aria-roledescription="bar"][aria-label*="agent: {agent}"]'
    lab.go("agents")
    lab.page.locator(bar).first.click()
    lab.wait_until("v.filter.agents.length === 1")
    assert lab.view("v.filter.agents") == [agent]
    lab.page.locator(bar).first.click()
    lab.wait_until("v.filter.agents.length === 0")
    lab.go("now")


def test_python_knows_what_is_selected_and_can_select(lab: Lab, data: WorkloadData) -> None:
    """`dashboard.selected` is the frame of what is shown, and `dashboard.filter` sets what is shown."""
    queue = data.queues["queue"].dropna().iloc[0]
    lab.click(".calypso-adding summary")
    lab.page.get_by_role("button", name="Queue", exact=True).click()
    lab.page.get_by_role("checkbox", name=queue).first.check()
    lab.page.keyboard.press("Escape")
    lab.wait_until("v.filter.queues.length === 1")
    lab.run("print('selected', len(dashboard.selected))")
    lab.page.get_by_text(f"selected {lab.view('v.shown.length')}", exact=True).wait_for()
    lab.run("dashboard.filter = {'queues': [], 'priority': [9, None]}")
    lab.wait_until("v.filter.priority[0] === 9")
    lab.click("[data-filter=priority]")
    lab.wait_until("v.filter.priority[0] === null")


def test_status_and_agent_are_ipywidgets_that_python_shares(lab: Lab) -> None:
    """What is clicked is in their values, and what Python gives them filters the view."""
    lab.click(".calypso-toggles [data-status=idle]")
    lab.wait_until("v.filter.statuses.join() === 'working'")
    lab.run("print('pressed', [button.description for button in dashboard.statuses if button.value])")
    lab.page.get_by_text("pressed ['working']", exact=True).wait_for()
    lab.run("dashboard.statuses[0].value = True; dashboard.agents.value = ['qa-lead', None]")
    lab.wait_until("v.filter.statuses.join() === 'working,idle'")
    lab.wait_until("v.filter.agents.length === 2")
    assert set(lab.view("v.filter.agents")) == {"qa-lead", None}
    lab.run("dashboard.filter = {'agents': ['api-dev']}")
    lab.wait_until("v.filter.agents.join() === 'api-dev'")
    lab.run("print('chosen', dashboard.agents.value)")
    lab.page.get_by_text("chosen ('api-dev',)", exact=True).wait_for()
    lab.click("[data-filter=agents]")
    lab.wait_until("v.filter.agents.length === 0")


def test_clicks_while_the_kernel_is_busy_filter_at_once_and_none_is_undone(lab: Lab, tmp_path: Path) -> None:
    """What Python says late of the first click does not take back the second."""
    go_on = tmp_path / "go on"
    lab.start(f"import time, pathlib\nwhile not pathlib.Path({str(go_on)!r}).exists(): time.sleep(0.01)")
    for status in ("idle", "working", "complete", "idle"):
        lab.click(f".calypso-toggles [data-status={status}]")
    lab.click(".calypso-agents summary")
    for agent in ("qa-lead", "(unassigned)"):
        lab.page.get_by_role("option", name=agent, exact=True).click()
    lab.page.keyboard.press("Escape")
    lab.wait_until("v.filter.statuses.join() === 'complete,idle' && v.filter.agents.length === 2")
    lab.page.evaluate(
        f"""() => {{ window.undone = 0; const v = ({VIEW})(); window.watch = setInterval(() => {{
            window.undone += v.filter.statuses.length !== 2 || v.filter.agents.length !== 2; }}, 5); }}"""
    )
    go_on.touch()
    lab.run(
        "print('then', dashboard.filter['statuses'], dashboard.filter['agents'], *dashboard.agents.value)"
    )
    lab.page.get_by_text("then ['complete', 'idle'] ['qa-lead', None] qa-lead None", exact=True).wait_for()
    assert lab.page.evaluate("() => { clearInterval(window.watch); return window.undone; }") == 0
    lab.run("dashboard.filter = {'statuses': ['working', 'idle'], 'agents': []}")
    lab.wait_until("v.filter.statuses.join() === 'working,idle'")


def test_agents_are_listed_and_searched_as_they_read(lab: Lab, store: TinytaskStore) -> None:
    """Blanks are blanks, and what has no look of its own has a picture."""
    number = store.create_task("Odd", "lead", assigned_to="nul\x00agent")["id"]
    lab.click("button.calypso-refresh")
    lab.wait_until(f"v.rows.some(row => row.id === {number})")
    lab.click(".calypso-agents summary")
    visible = lab.page.locator(".calypso-agents option:not([hidden])")
    for search, name in [("img src=x", HOSTILE[1]), ("nul", "nul\u2400agent")]:
        lab.page.get_by_label("Search agents").fill(search)
        assert visible.all_text_contents() == [name]
        assert visible.first.get_attribute("title") == name
    visible.first.click()
    lab.wait_until("v.filter.agents[0] === 'nul\\u0000agent' && v.shown.length === 1")
    store.archive_task(number)
    lab.click("button.calypso-refresh")
    lab.wait_until(f"v.rows.every(row => row.id !== {number})")
    assert lab.view("v.filter.agents") == ["nul\x00agent"] and lab.view("v.shown.length") == 0
    lab.click(".calypso-agents summary")
    lab.page.get_by_label("Search agents").fill("")
    assert visible.evaluate_all("all => all.filter((one) => one.selected).length") == 1
    lab.page.keyboard.press("Escape")
    lab.click("[data-filter=agents]")
    lab.wait_until("v.filter.agents.length === 0")
    assert lab.page.locator(".calypso-toggles button").first.get_attribute("title") == "Show idle tasks"


def test_two_views_of_one_dashboard_show_the_same(lab: Lab) -> None:
    """A click in the second, a filter taken away there, and a filter from Python."""
    lab.run("display(dashboard)")
    both = "[...document.querySelectorAll('.jp-OutputArea .calypso-live')].map((el) => el.__calypso)"
    lab.page.wait_for_function(f"() => {both}.length === 2 && {both}.every((v) => v?.shown)")
    second = lab.page.locator(".jp-OutputArea .calypso-live").nth(1)
    for act, statuses in [
        (lambda: second.locator(".calypso-toggles [data-status=idle]").click(), ["working"]),
        (lambda: second.locator("[data-filter=statuses]").click(), []),
        (lambda: lab.run("dashboard.filter = {'statuses': ['idle', 'working']}"), ["idle", "working"]),
    ]:
        act()
        wanted = json.dumps(statuses, separators=(",", ":"))
        same = f"{both}.every((v) => JSON.stringify(v.filter.statuses) === {json.dumps(wanted)})"
        lab.page.wait_for_function(f"() => {same}")
        pressed = second.locator(".calypso-toggles [aria-pressed=true]").all_inner_texts()
        assert pressed == statuses
    lab.run("print('both', dashboard.filter['statuses'])")
    lab.page.get_by_text("both ['idle', 'working']", exact=True).wait_for()
    for _ in range(3):
        lab.page.evaluate("() => window.jupyterapp.commands.execute('notebook:delete-cell')")
    lab.page.wait_for_function(f"() => {both}.length === 1")
    assert lab.errors == []


def test_keys_typed_into_the_dashboard_are_not_the_notebooks(lab: Lab) -> None:
    """D D would delete the cell, and X cut it."""
    cells = lab.page.locator(".jp-Cell").count()
    lab.page.locator(".calypso-live .calypso-toggles button").first.focus()
    for key in "ddxb":
        lab.page.keyboard.press(key)
    assert lab.page.locator(".jp-Cell").count() == cells


def test_titles_and_agents_are_text(lab: Lab) -> None:
    """Markup that an agent wrote is shown and never run."""
    lab.go("tasks")
    lab.page.fill(".calypso-live .calypso-quick input", "pwned")
    for title in HOSTILE:
        lab.page.locator(".calypso-live .calypso-table td", has_text=title).first.wait_for()
    lab.page.fill(".calypso-live .calypso-quick input", "")
    lab.go("now")
    assert lab.page.evaluate("() => window.pwned") is None


def test_refresh_reads_the_server_again(lab: Lab, store: TinytaskStore) -> None:
    """A task that came meanwhile is in the numbers after a click, and not before."""
    before = lab.numbers()["unassigned"]
    store.create_task("Came meanwhile", "lead", priority=3)
    lab.click("button.calypso-refresh")
    lab.wait_until("v.rows.some(row => row.title === 'Came meanwhile')")
    assert int(lab.numbers()["unassigned"]) == int(before) + 1
    assert lab.page.locator(".calypso-news summary").inner_text() == "1 change"
    saved = "document.querySelector('.calypso-saved [data-number=unassigned] dd').textContent"
    lab.page.wait_for_function(f"() => {saved} === '{int(before) + 1}'")


def test_a_failed_refresh_says_so_and_keeps_the_numbers(
    lab: Lab, proxy: FaultyProxy, data: WorkloadData
) -> None:
    """The head names the server and says how old its numbers are; filters go on without it."""
    page, before = lab.page, lab.numbers()
    proxy.refuse()
    lab.click("button.calypso-refresh")
    alert = page.locator(".calypso-live .calypso-head [role=alert]")
    alert.wait_for()
    assert proxy.url in alert.inner_text()
    line = page.locator(".calypso-live .calypso-liveness summary").inner_text()
    assert line.startswith("away since ") and "numbers " in line
    assert lab.numbers() == before
    lab.click(".calypso-toggles [data-status=complete]")
    lab.wait_until("v.filter.statuses.length === 3")
    assert_shows(lab, data)
    lab.click(".calypso-toggles [data-status=complete]")
    proxy.heal()
    lab.click("button.calypso-refresh")
    alert.wait_for(state="detached")
    assert lab.numbers()["open"] == before["open"]


def test_a_refresh_that_finds_nothing_new_leaves_the_notebook_as_it_was_saved(lab: Lab) -> None:
    """It is no edit: nobody is asked to save it, and what is open and scrolled stays."""
    page = lab.page
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    dirty = "() => window.jupyterapp.shell.currentWidget.context.model.dirty"
    page.wait_for_function(f"() => !({dirty})()")
    page.locator(".calypso-live .calypso-liveness summary").click()
    moment = lab.view("v.payload.meta.generated_at")
    lab.click("button.calypso-refresh")
    lab.wait_until(f"v.payload.meta.generated_at !== {json.dumps(moment)}")
    page.locator(".calypso-live button.calypso-refresh:enabled").wait_for()
    assert not page.evaluate(dirty)


def test_a_second_browser_and_a_reload_show_what_the_first_shows(
    lab: Lab, browser: Browser, store: TinytaskStore
) -> None:
    """Whatever was read before they came, and after."""
    early = store.create_task("Before the second came", "lead")["id"]
    lab.click("button.calypso-refresh")
    lab.wait_until(f"v.rows.some(row => row.id === {early})")
    lab.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    with open_lab(browser, lab.url, "workload.ipynb", workspace="second") as second:
        second.wait_until(f"v.rows?.some(row => row.id === {early})")
        late = store.create_task("After the second came", "lead")["id"]
        lab.click("button.calypso-refresh")
        for one in (lab, second):
            one.wait_until(f"v.rows.some(row => row.id === {late})")
        assert second.numbers() == lab.numbers()
        second.page.reload()
        second.wait_until(f"v.rows?.some(row => row.id === {late})")
        assert second.errors == []
    for number in (early, late):
        store.archive_task(number)
    lab.click("button.calypso-refresh")
    lab.wait_until(f"v.rows.every(row => row.id !== {late})")


def test_a_report_in_a_cell_shows_itself(lab: Lab, data: WorkloadData) -> None:
    """`data` as the last line of a cell shows numbers and tasks, without running what agents wrote."""
    lab.run("dashboard.data")
    shown = lab.page.locator(".jp-OutputArea").last
    shown.locator("table").wait_for()
    assert re.search(rf"Open\s+{data.summary.total_open_tasks}\b", shown.inner_text())
    assert shown.locator("td").evaluate_all("cells => cells.every((td) => td.scrollWidth <= td.clientWidth)")
    assert lab.page.evaluate("() => window.pwned") is None


def test_a_supervisor_opens_a_task_and_acts_on_it(lab: Lab, store: TinytaskStore) -> None:
    """By a search and the keyboard: comment, see what others do, archive after a question, see it gone."""
    number = store.create_task("To be supervised", "lead", assigned_to="qa-lead", priority=10)["id"]
    store.add_link(number, "javascript:window.pwned=1", "lead")
    store.add_link(number, "https://example.org/a?b=1", "lead")
    lab.click("button.calypso-refresh")
    lab.wait_until(f"v.rows.some(row => row.id === {number})")
    search = lab.page.locator(".calypso-live .calypso-quick input")
    search.fill(f"#{number}")
    search.press("Enter")
    drawer = lab.page.locator(".calypso-drawer:popover-open")
    drawer.locator("a").wait_for()
    assert drawer.locator("a").get_attribute("rel") == "noopener noreferrer"
    assert drawer.locator("a").count() == 1 and "javascript:window.pwned=1" in drawer.inner_text()
    drawer.get_by_role("button", name="Ask …").last.press("Enter")
    box = lab.page.locator(".calypso-live").get_by_role("dialog").last
    box.get_by_role("textbox").fill("<b>Is it done?</b>")
    box.get_by_role("button", name="Add comment").press("Enter")
    drawer.get_by_text("<b>Is it done?</b>").wait_for()
    assert store.list_comments(number)[0]["created_by"] == "supervisor"
    store.update_task(number, status="working")
    lab.run("dashboard.refresh()")
    drawer.get_by_text("status idle → working").wait_for()
    agreed = lab.page.get_by_role("button", name="Archive it")
    while not agreed.is_visible():  # What is pressed just after somebody else's change does nothing.
        drawer.get_by_role("button", name="Archive …").last.press("Enter")
        with suppress(TimeoutError):
            agreed.wait_for(timeout=1_000)
    agreed.press("Enter")
    lab.wait_until(f"!v.rows.some(row => row.id === {number})")
    assert store.get_task(number)["archived_at"] is not None
    lab.page.keyboard.press("Escape")
    search.fill("")
    assert lab.page.evaluate("() => window.pwned") is None and lab.errors == []


def test_the_labs_own_menu_exports_what_the_dashboard_shows(
    lab: Lab, open_page: Callable[[str], Opened]
) -> None:
    """*File, Save and Export Notebook As…* gives the page, with the numbers of the last refresh."""
    page = lab.page
    page.locator(".lm-MenuBar-item", has_text="File").click()
    page.locator(".lm-Menu-item", has_text="Save and Export Notebook As").hover()
    with page.context.expect_event(
        "request", lambda request: "/nbconvert/calypso_html/" in request.url
    ) as asked:
        page.locator(".lm-Menu-item", has_text=re.compile("calypso.html", re.IGNORECASE)).click()
    for popup in page.context.pages[1:]:
        popup.close()
    answer = page.request.get(asked.value.url, headers={"Referer": page.url})
    assert answer.ok, answer.text()
    exported = open_page(answer.text())
    exported.filter(statuses=["idle", "working"])
    assert exported.page.locator(".calypso-view").count() >= 1
    assert exported.numbers()["unassigned"] == lab.numbers()["unassigned"]
    assert exported.requests == [] and exported.errors == []


def test_a_cell_that_runs_again_leaves_no_timer_and_no_thread(lab: Lab, proxy: FaultyProxy) -> None:
    """The old dashboard asks the server no more, and the new one can ask by itself."""
    lab.run("dashboard.view.every = 0.2")
    lab.wait_until("v.payload.meta.generated_at")
    first = lab.view("v.payload.meta.generated_at")
    lab.wait_until(f"v.payload.meta.generated_at !== {json.dumps(first)}")
    lab.run("old = dashboard; dashboard.close(); read = old.data.generated_at")
    lab.page.wait_for_function("() => !document.querySelector('.calypso-live')")
    lab.run_again("dashboard = Dashboard(reporter)")
    lab.run(
        "import threading; names = [thread.name for thread in threading.enumerate()]\n"
        "print('asking', [name for name in names if 'calypso-nb-ask' in name])"
    )
    lab.page.get_by_text("asking []", exact=True).wait_for()


def test_a_dashboard_whose_kernel_has_gone_says_so(lab: Lab) -> None:
    """Its filters go on; what needs a kernel says what to do."""
    lab.run("dashboard = Dashboard(reporter); dashboard")
    lab.wait_until("v.shown && v.rows.length")
    lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    lab.page.wait_for_function(IDLE)
    lab.click("button.calypso-refresh")
    alert = lab.page.locator(".calypso-live .calypso-head [role=alert]").first
    alert.get_by_text("Run the cell again").wait_for()
    before = lab.view("v.shown.length")
    lab.click(".calypso-toggles [data-status=complete]")
    lab.wait_until(f"v.shown.length > {before}")


def test_a_notebook_that_is_opened_again_without_its_kernel_shows_what_was_saved(lab: Lab) -> None:
    """What needs attention, numbers and agents, and no error by Jupyter; run again, all is live."""
    page = lab.page
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.reload()
    saved = page.locator(".calypso-saved").first
    saved.get_by_text("Run the cell").wait_for()
    for text in ("Needs attention:", "Agents:", "Last 14 days:", "Most urgent open tasks"):
        assert saved.get_by_role("heading", name=text).is_visible()
    assert saved.locator("[data-number=open] dd").is_visible()
    page.wait_for_function(IDLE)
    for text in ("Error displaying widget", "Loading widget"):
        assert not page.get_by_text(text).filter(visible=True).count()
    lab.run_all()
    assert not saved.is_visible()
