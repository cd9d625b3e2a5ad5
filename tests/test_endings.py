"""A process ends soon and quietly, whatever its threads and coroutines wait for."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from calypso_nb import TinytaskClient, TinytaskClientError
from calypso_nb.embedded import TinytaskStore
from tests.conftest import SECONDS, SLACK, eventually
from tests.faulty_proxy import FaultyProxy

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("clean_environment")]

CALLS = {
    "a listing": "client.list_tasks()",
    "a task": "client.get_task(1)",
    "a write": "client.create_task('x')",
    "a count": "client.count_details(range(1, 2000), False)",
}
THREADS = """
import sys, threading, time
from calypso_nb import TinytaskClient
client = TinytaskClient(sys.argv[1], timeout=120)
def work():
    while True:
        try:
            {call}
        except Exception as error:
            print(repr(error), file=sys.stderr)
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
sys.stdin.readline()
"""
SLOW_NAMES = """
import os, socket, time
def look(*_, **__):
    os.write(1, b"looking\\n")  # Whole, though several threads look.
    time.sleep(60)
socket.getaddrinfo = look
"""
COROUTINE = """
import asyncio, sys
from calypso_nb import TinytaskClient
client = TinytaskClient(sys.argv[1], timeout=120)
async def ask():
    client.get_task(1)
async def main():
    await {main}
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("stopped")
"""


FORK = """
import os, sys
from calypso_nb import TinytaskClient
client = TinytaskClient(sys.argv[1], timeout=20)
client.get_task(1)
child = os.fork()
client.create_task("once")
print(client.get_task(1).id, flush=True)
if child:
    os.waitpid(child, 0)
"""


def started(code: str, url: str) -> subprocess.Popen[str]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [sys.executable, "-c", code, url], text=True, cwd=Path(__file__).parent.parent, **pipes
    )


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("transport", ["http", "sse"])
@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "working"])
def test_a_process_ends_while_its_threads_are_in_calls(
    call: str, frozen: bool, store: TinytaskStore, proxy: FaultyProxy
) -> None:
    """No wait for a timeout, no traceback, no message, whether the server responds or not."""
    store.insert_many([{"title": "x"}] * 500)  # Enough for the frame to be under way.
    if frozen:
        proxy.freeze()
    with started(THREADS.format(call=call), proxy.url) as process:
        assert eventually(lambda: proxy.connections > 0)
        start = time.monotonic()
        out, err = process.communicate("\n", timeout=SECONDS)
    assert time.monotonic() - start < SLACK
    assert (process.returncode, out, err) == (0, "", "")


def test_a_process_ends_while_names_are_looked_up() -> None:
    """A resolver that does not answer does not hold up the end."""
    with started(
        SLOW_NAMES + THREADS.format(call="client.list_tasks()"), "http://tinytask.invalid"
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "looking\n"
        start = time.monotonic()
        out, err = process.communicate("\n", timeout=SECONDS)
    assert time.monotonic() - start < SLACK
    assert (process.returncode, out.replace("looking\n", ""), err) == (0, "", "")


@pytest.mark.parametrize("main", ["ask()", "asyncio.gather(ask(), ask())"])
def test_an_interrupt_under_asyncio_run_is_a_keyboard_interrupt(
    main: str, store: TinytaskStore, proxy: FaultyProxy
) -> None:
    """The call ends at once, and so does what runs it."""
    proxy.freeze()
    with started(COROUTINE.format(main=main), proxy.url) as process:
        assert eventually(lambda: proxy.connections > 0)
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        out, err = process.communicate(timeout=SECONDS)
    assert time.monotonic() - start < SLACK
    assert (out, err) == ("stopped\n", "")


def test_a_forked_process_goes_on_with_a_link_of_its_own(store: TinytaskStore, url: str) -> None:
    """Parent and child both work on, and both end."""
    store.create_task("x", "alice")
    with started(FORK, url) as process:
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out, err) == (0, "1\n1\n", "")
    assert len(store.list_tasks()) == 3


def test_a_client_that_is_closed_during_a_call_opens_no_other_link(
    store: TinytaskStore, proxy: FaultyProxy
) -> None:
    """The call says that the client was closed."""
    store.create_task("x", "alice")
    proxy.freeze()
    client = TinytaskClient(proxy.url, timeout=SECONDS)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.get_task, 1)
        assert eventually(lambda: proxy.connections > 0)
        client.close()
        proxy.heal()
        with pytest.raises(TinytaskClientError, match="is closed: make a new one"):
            call.result(SECONDS)
