"""A real Jupyter kernel, its loop running: cells, coroutines, callbacks, the Stop button, nest-asyncio."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from calypso_nb.embedded import TinytaskStore, fill_sample, running_server
from tests.conftest import NOW, SECONDS, SLACK
from tests.faulty_proxy import FaultyProxy, faulty_proxy

pytestmark = pytest.mark.slow


@dataclass
class Answer:
    """What a cell did: its streams, its displays by MIME type, its error."""

    text: str = ""
    displays: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None


class Kernel:
    """A kernel that runs cells like a notebook does."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager = manager
        self.client = client

    def run(self, code: str) -> str:
        """Run a cell that must not fail and return what it printed."""
        answer = self.finish(self.start(code))
        assert answer.error is None, answer
        return answer.text

    def start(self, code: str) -> str:
        """Begin to run a cell and give its request's number."""
        return str(self.client.execute(code))

    def finish(self, request: str) -> Answer:
        """Wait for the end of a cell."""
        answer = Answer()
        end = time.monotonic() + SECONDS
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=end - time.monotonic())
            except queue.Empty:
                raise AssertionError(f"the cell did not end: {answer}") from None
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            match message["msg_type"]:
                case "stream":
                    answer.text += content["text"]
                case "display_data" | "execute_result":
                    answer.displays.append(content["data"])
                case "error":
                    answer.error = f"{content['ename']}: {content['evalue']}"
                case "status" if content["execution_state"] == "idle":
                    return answer


@pytest.fixture(scope="module")
def store() -> Iterator[TinytaskStore]:
    """One sample project for all cells."""
    with TinytaskStore(now=lambda: NOW) as store:
        fill_sample(store, now=NOW)
        yield store


@pytest.fixture(scope="module")
def open_proxy(store: TinytaskStore) -> Iterator[FaultyProxy]:
    with running_server(store) as url, faulty_proxy(url) as proxy:
        yield proxy


@pytest.fixture
def proxy(open_proxy: FaultyProxy) -> Iterator[FaultyProxy]:
    """A faulty proxy before the server, in order before and after each test."""
    yield open_proxy
    open_proxy.heal()


@pytest.fixture(scope="module", params=["plain", "load_ext"])
def kernel(
    request: pytest.FixtureRequest, open_proxy: FaultyProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kernel]:
    """A kernel for the module with a client in it, without and with `%load_ext calypso_nb`."""
    names = [name for name in os.environ if not name.startswith("TINYTASK_")]
    environment = {name: os.environ[name] for name in names}
    environment |= {"TINYTASK_ENDPOINT": open_proxy.url, "PYTHONPATH": str(Path(__file__).parent.parent)}
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(tmp_path_factory.mktemp("notebooks")), env=environment)
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=SECONDS)
    kernel = Kernel(manager, client)
    try:
        if request.param == "load_ext":
            kernel.run("%load_ext calypso_nb")
        kernel.run("from calypso_nb import TinytaskClient, WorkloadReporter\nclient = TinytaskClient()")
        yield kernel
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.fixture
def nested(kernel: Kernel, request: pytest.FixtureRequest) -> bool:
    """Whether the kernel has loaded the extension."""
    return bool(request.node.callspec.params["kernel"] == "load_ext")


def test_the_readmes_cell_works(kernel: Kernel, store: TinytaskStore, proxy: FaultyProxy) -> None:
    """The snippet that people copy runs in a cell, by TINYTASK_ENDPOINT and by argument."""
    [(count,)] = store.connection.execute(
        "SELECT count(*) FROM tasks WHERE status <> 'complete' AND archived_at IS NULL"
    ).fetchall()
    for argument in ("", f"endpoint={proxy.url!r}"):
        text = kernel.run(f"""
from calypso_nb import TinytaskClient, WorkloadReporter
mine = TinytaskClient({argument})
reporter = WorkloadReporter(mine)
data = reporter.collect_workload_data(status_filter=["idle", "working"], agent_filter=None)
print(f"Total tasks: {{data.summary.total_open_tasks}}")
urgent = data.tasks.query("priority > 2").sort_values("age_hours")
print(len(urgent) > 0, urgent["age_hours"].is_monotonic_increasing)
mine.close()
""")
        assert text == f"Total tasks: {count}\nTrue True\n"


def test_a_report_in_a_cell_shows_itself(kernel: Kernel) -> None:
    """The last line of a cell is displayed, as text at least."""
    answer = kernel.finish(kernel.start("data"))
    [shown] = answer.displays
    assert shown["text/plain"].startswith("<WorkloadData ")


def test_a_call_works_in_an_awaited_coroutine(kernel: Kernel) -> None:
    """`await` in a cell, and a task started in one cell that ends in the next."""
    text = kernel.run("""
import asyncio
async def count():
    await asyncio.sleep(0)
    return len(client.list_tasks())
print(await count() == len(client.list_tasks()))
later = asyncio.create_task(count())
""")
    assert text == "True\n"
    assert kernel.run("print(await later == len(client.list_tasks()))") == "True\n"


def test_a_call_works_in_a_widgets_callback_and_in_a_thread(kernel: Kernel) -> None:
    """A button's callback and a thread of the user's call like a cell does."""
    text = kernel.run("""
import threading, ipywidgets
button, seen = ipywidgets.Button(), []
button.on_click(lambda _: seen.append(len(client.list_tasks())))
button.click()
thread = threading.Thread(target=button.click)
thread.start(); thread.join()
print(seen == [len(client.list_tasks())] * 2)
""")
    assert text == "True\n"


def test_asyncio_run_in_a_cell_works_once_the_extension_is_loaded(kernel: Kernel, nested: bool) -> None:
    """The user's own asyncio.run is what `%load_ext calypso_nb` is for."""
    answer = kernel.finish(
        kernel.start("""
import asyncio
async def main():
    await asyncio.sleep(0.01)
    return len(client.list_tasks())
print(asyncio.run(main()) == len(client.list_tasks()))
""")
    )
    if nested:
        assert (answer.text, answer.error) == ("True\n", None)
    else:
        assert "cannot be called from a running event loop" in (answer.error or "")


def test_cells_queued_during_a_slow_call_all_run_in_order(kernel: Kernel, proxy: FaultyProxy) -> None:
    """Run All: what waits behind a slow cell is neither lost nor run before it has ended."""
    kernel.run("ran = []\nclient.health_check()")
    proxy.on(b"GET /api/v1/tasks", proxy.freeze)
    first = kernel.start("client.list_tasks(); ran.append(0)")
    assert proxy.struck.wait(SECONDS)
    queued = [kernel.start(f"ran.append({number})") for number in range(1, 6)]
    proxy.heal()
    for request in (first, *queued):
        assert kernel.finish(request).error is None
    assert kernel.run("print(ran)") == "[0, 1, 2, 3, 4, 5]\n"


def test_cells_queued_during_the_users_own_asyncio_run_all_run(kernel: Kernel, nested: bool) -> None:
    """nest-asyncio's own asyncio.run loses them in ipykernel 7; the extension's does not."""
    if not nested:
        return
    kernel.run("import asyncio\nran = []")
    requests = [kernel.start("asyncio.run(asyncio.sleep(0.3)); ran.append(0)")]
    requests += [kernel.start(f"ran.append({number})") for number in range(1, 4)]
    for request in requests:
        assert kernel.finish(request).error is None
    assert kernel.run("print(ran)") == "[0, 1, 2, 3]\n"


def test_unloading_the_extension_gives_pythons_asyncio_run_back(kernel: Kernel, nested: bool) -> None:
    """`%unload_ext` is the opposite of `%load_ext`, and loading again works."""
    if not nested:
        return
    kernel.run("%unload_ext calypso_nb")
    # Closed, or the kernel says at any later time that nobody has awaited it.
    refused = "later = asyncio.sleep(0)\ntry:\n    asyncio.run(later)\nfinally:\n    later.close()"
    answer = kernel.finish(kernel.start(refused))
    assert "cannot be called from a running event loop" in (answer.error or "")
    assert kernel.run("%load_ext calypso_nb\nasyncio.run(asyncio.sleep(0)); print('ok')") == "ok\n"


def stopped(kernel: Kernel, proxy: FaultyProxy, code: str, asks: bytes) -> str:
    """The error with which a cell ends that is stopped during a call, soon."""
    proxy.on(asks, proxy.freeze)
    request = kernel.start(code)
    assert proxy.struck.wait(SECONDS)
    start = time.monotonic()
    kernel.manager.interrupt_kernel()
    answer = kernel.finish(request)
    assert time.monotonic() - start < SLACK
    proxy.heal()
    return answer.error or ""


@pytest.mark.parametrize(
    ("call", "asks"),
    [
        ("client.list_tasks()", b"GET /api/v1/tasks"),
        ("client.get_task(1)", b'"tools/call"'),
        ("client.count_details(range(1, 301))", b"GET /api/v1/tasks"),
        ("client.create_task('stopped')", b'"tools/call"'),
        ("WorkloadReporter(client).collect_workload_data()", b"GET /api/v1/tasks"),
    ],
)
def test_the_stop_button_gives_the_prompt_back(
    call: str, asks: bytes, kernel: Kernel, proxy: FaultyProxy
) -> None:
    """An interrupt ends a slow call at once, a loop of calls too, and the next call works."""
    kernel.run("client.health_check()")
    assert stopped(kernel, proxy, call, asks).startswith("KeyboardInterrupt")
    assert kernel.run("print(len(client.list_tasks()) > 200)") == "True\n"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("await ask()", "KeyboardInterrupt"),
        ("%load_ext calypso_nb\nasyncio.run(ask())", "KeyboardInterrupt"),
        # Here an exception that is raised past the loop would end the kernel, so the cell is cancelled.
        ("await asyncio.gather(ask(), ask())", "CancelledError"),
        ("await asyncio.create_task(ask())", "CancelledError"),
    ],
)
def test_the_stop_button_is_heard_inside_a_coroutine(
    code: str, error: str, kernel: Kernel, proxy: FaultyProxy
) -> None:
    """In a cell with `await`, or under `asyncio.run`, the prompt is back as soon, and the kernel lives."""
    kernel.run("import asyncio\nasync def ask(): client.get_task(1)\nclient.health_check()")
    assert stopped(kernel, proxy, code, b'"tools/call"').startswith(error)
    assert kernel.run("print(client.get_task(1).id)") == "1\n"


def test_a_long_count_shows_a_progress_bar_in_the_notebook(kernel: Kernel, proxy: FaultyProxy) -> None:
    """Details that take more than a second show a bar, as a widget, although no terminal is there."""
    kernel.run("client.health_check()")
    proxy.on(b"GET /api/v1/tasks", proxy.freeze)
    request = kernel.start("counts = client.count_details(range(1, 301)); print(len(counts))")
    assert proxy.struck.wait(SECONDS)
    threading.Event().wait(1.2)  # The bar's own delay is a second of the kernel's clock.
    proxy.heal()
    answer = kernel.finish(request)
    assert answer.text.endswith("300\n")
    assert [shown for shown in answer.displays if "application/vnd.jupyter.widget-view+json" in shown]


def test_a_cell_run_again_and_again_leaks_nothing(kernel: Kernel) -> None:
    """Two dozen clients under one name leave neither threads nor sockets."""
    text = kernel.run("""
import gc, os
def sockets():
    count = 0
    for number in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
        except OSError:
            pass
    return count
again = TinytaskClient(); again.list_tasks(); gc.collect()
import threading
threads, before = threading.active_count(), sockets()
""")
    for _ in range(24):
        text += kernel.run("again = TinytaskClient(); again.list_tasks();")
    text += kernel.run("""
gc.collect()
for _ in range(100):
    if sockets() <= before: break
    await asyncio.sleep(0.05)
print(threading.active_count() <= threads, sockets() <= before)
""")
    assert text.endswith("True True\n")


def test_the_extension_draws_charts_without_a_network(kernel: Kernel, nested: bool) -> None:
    """By a renderer of its own; `%unload_ext` gives Altair's back, and loading again works."""
    if not nested:
        return
    chart = "import altair as alt\nalt.Chart(alt.InlineData(values=[]), title='A title').mark_bar()"
    for code in ("", "%reload_ext calypso_nb\n", "%unload_ext calypso_nb\n%load_ext calypso_nb\n"):
        [shown] = kernel.finish(kernel.start(code + chart)).displays
        assert "jsdelivr" not in shown["text/html"] and shown["text/plain"] == "A title"
    [shown] = kernel.finish(kernel.start("%unload_ext calypso_nb\n" + chart)).displays
    assert "jsdelivr" in shown["text/html"]


def test_a_renderer_that_the_user_chooses_wins(kernel: Kernel, nested: bool) -> None:
    """Before the extension is loaded, and after."""
    if not nested:
        return
    text = kernel.run("""
import altair as alt
%reload_ext calypso_nb
print(alt.renderers.active)
alt.renderers.enable("json")
%unload_ext calypso_nb
print(alt.renderers.active)
%load_ext calypso_nb
print(alt.renderers.active)
alt.renderers.enable("calypso_nb")
print(alt.renderers.active)
""")
    assert text.split() == ["calypso_nb", "json", "json", "calypso_nb"]
