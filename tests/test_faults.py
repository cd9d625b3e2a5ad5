"""Servers that fail: each fault is told by its right name, in time, and the client lives on.

The same holds for the embedded server and for a foreign one, a TinyTask in Node (tests.standin).
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from calypso_nb import TinytaskClient, TinytaskConnectionError, WorkloadReporter
from calypso_nb.embedded import TinytaskStore, running_server, server
from tests.conftest import NOW, SECONDS, SLACK, eventually
from tests.faulty_proxy import FaultyProxy, faulty_proxy, http_answer
from tests.standin import NEEDS_STANDIN, Kind, Standin, running_standin
from tests.v1_server import running_v1_server

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("clean_environment")]

# Long enough for a call that succeeds on a busy machine, as short as the waits for it allow.
TIMEOUT = 2.5
JSON = "application/json"

Call = Callable[[TinytaskClient], Any]
READS: dict[str, Call] = {
    "list_tasks": lambda client: client.list_tasks(),
    "report": lambda client: WorkloadReporter(client).collect_workload_data(progress=False),
}
WRITES: dict[str, Call] = {
    "create_task": lambda client: client.create_task("once"),
    "claim_task": lambda client: client.claim_task(1, "alice"),
    "add_comment": lambda client: client.add_comment(1, "once"),
}
EITHER = {name: (READS | WRITES)[name] for name in ("report", "create_task", "claim_task")}
# What a call sends: a listing may go over MCP or the REST twin.
WORDS = {name: [f'"{name}"'.encode()] for name in READS | WRITES}
WORDS["list_tasks"].append(b"GET /api/v1/tasks")
LATE = f"no answer within {TIMEOUT:g} s"


# Both ways that TinyTask servers speak, ours and a foreign one.
FOREIGN = "foreign "
OVER_HTTP = ["http", pytest.param("foreign http", marks=NEEDS_STANDIN)]
OVER_SSE = ["sse", pytest.param("foreign sse", marks=NEEDS_STANDIN)]


@pytest.fixture(params=[*OVER_HTTP, *OVER_SSE])
def transport(request: pytest.FixtureRequest) -> str:
    """The server and the transport of a test."""
    return cast(str, request.param)


@pytest.fixture
def store(transport: str, standins: Callable[[Kind], Standin]) -> Iterator[TinytaskStore]:
    """The tasks of the server: in memory, or in the file of a foreign one, which counts its changes."""
    if not transport.startswith(FOREIGN):
        with TinytaskStore(now=lambda: NOW) as store:
            yield store
        return
    with TinytaskStore(standins(kind_of(transport)).path) as store:
        store.connection.execute("CREATE TABLE IF NOT EXISTS changes AS SELECT 0 AS count")
        for table in ("tasks", "comments"):
            for change in ("INSERT", "UPDATE", "DELETE"):
                store.connection.execute(
                    f"CREATE TRIGGER IF NOT EXISTS {table}_{change} AFTER {change} ON {table}"
                    " BEGIN UPDATE changes SET count = count + 1; END"
                )
        yield store


@pytest.fixture
def url(transport: str, store: TinytaskStore, standins: Callable[[Kind], Standin]) -> Iterator[str]:
    """The address of the server."""
    if transport.startswith(FOREIGN):
        yield standins(kind_of(transport)).url
        return
    with running_server(store, kind_of(transport)) as url:
        yield url


def kind_of(transport: str) -> Any:
    return transport.removeprefix(FOREIGN)


def changes(store: TinytaskStore) -> int:
    """How many rows anybody has changed so far."""
    if store.connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'changes'").fetchone():
        return int(store.connection.execute("SELECT count FROM changes").fetchone()[0])
    return store.connection.total_changes


@pytest.fixture
def client(proxy: FaultyProxy, store: TinytaskStore) -> Iterator[TinytaskClient]:
    """An impatient client of a server with twenty tasks, with the faulty proxy between."""
    store.insert_many({"title": f"task {number}"} for number in range(20))
    with TinytaskClient(proxy.url, timeout=TIMEOUT) as client:
        yield client


def failure(
    call: Callable[[], Any], client: TinytaskClient, within: float = TIMEOUT, unknown: bool = False
) -> str:
    """The message of the connection error that a call must end with, in time and in the right words."""
    start = time.monotonic()
    with pytest.raises(TinytaskConnectionError) as caught:
        call()
    elapsed = time.monotonic() - start
    assert elapsed < within + SLACK
    message = str(caught.value)
    assert caught.value.outcome_unknown is unknown
    assert client.endpoint in message
    if message.startswith("no TinyTask"):
        for way_on in ("Start a server", "set TINYTASK_ENDPOINT", "TinytaskClient('demo')"):
            assert way_on in message
    return message


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


# Nobody there


@pytest.mark.parametrize("call", EITHER.values(), ids=EITHER)
def test_where_nothing_listens_the_error_says_so(call: Call) -> None:
    """A refused connection is an error with the address and the ways on, and no write has left."""
    with TinytaskClient(f"http://127.0.0.1:{closed_port()}", timeout=TIMEOUT) as client:
        assert "connection refused" in failure(lambda: call(client), client)


def test_with_time_enough_a_refused_call_is_tried_some_seconds_only() -> None:
    """The default timeout is no reason to keep somebody waiting where nothing listens."""
    with TinytaskClient(f"http://127.0.0.1:{closed_port()}") as client:
        failure(client.list_tasks, client, within=3)


def test_a_server_without_tls_is_told_as_such(url: str) -> None:
    """And not by the number of an error that means something else to the system."""
    with TinytaskClient(url.replace("http:", "https:"), timeout=TIMEOUT) as client:
        assert "TLS: wrong version number" in failure(client.list_tasks, client)


def test_an_unknown_host_is_named() -> None:
    """A name that does not resolve is an error like any other."""
    with TinytaskClient("http://no-such-host.invalid:3000", timeout=TIMEOUT) as client:
        assert "no-such-host.invalid" in failure(client.list_tasks, client)
        failure(lambda: client.create_task("x"), client)


@pytest.mark.parametrize("call", EITHER.values(), ids=EITHER)
def test_a_server_that_accepts_and_never_answers_ends_in_time(call: Call) -> None:
    """Connecting is bounded too, and what never got past it was certainly not carried out."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        TinytaskClient(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=TIMEOUT) as client,
    ):
        assert LATE in failure(lambda: call(client), client)


def test_the_connect_timeout_bounds_each_connecting() -> None:
    """A short connect timeout is told as such, whatever the timeout of the whole call."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        TinytaskClient(f"http://127.0.0.1:{listener.getsockname()[1]}", connect_timeout=0.1) as client,
    ):
        assert "no answer within 0.1 s" in failure(client.list_tasks, client, within=3)


def test_a_server_that_comes_up_during_the_retries_is_not_missed(
    client: TinytaskClient, proxy: FaultyProxy, store: TinytaskStore
) -> None:
    """A refused call, a write too, is repeated after a short while and then succeeds, once."""
    patient = TinytaskClient(proxy.url)
    for call in (lambda: patient.list_tasks(), lambda: patient.create_task("once")):
        proxy.refuse()
        timer = threading.Timer(0.15, proxy.heal)
        timer.start()
        call()
        timer.join()
    patient.close()
    assert [task["title"] for task in store.list_tasks()].count("once") == 1


# Somebody else there

STRANGERS = {
    "login page": (http_answer("200 OK", "<html><form>password</form></html>"), "responded with text/html"),
    "not found": (
        http_answer("404 Not Found", "nothing here"),
        "not a TinyTask server: responded with HTTP 404",
    ),
    "broken": (http_answer("500 Internal Server Error", "oops"), "HTTP 500"),
    "wants a login": (http_answer("401 Unauthorized", ""), "give token= or headers="),
    "redirect": (http_answer("302 Found\r\nLocation: /login", ""), "HTTP 302"),
    "other json": (http_answer("200 OK", '{"hello": 1}', JSON), "not a TinyTask server"),
    "cut json": (
        http_answer("200 OK", '{"jsonrpc": "2', JSON),
        "not a TinyTask server: its response is not MCP",
    ),
    "no http": (b"SSH-2.0-OpenSSH_9.6\r\n", "no TinyTask"),
    "hangs up": (b"", "no TinyTask"),
}


@pytest.mark.parametrize(("raw", "words"), STRANGERS.values(), ids=STRANGERS)
def test_what_is_no_tinytask_is_told_as_such(
    raw: bytes, words: str, client: TinytaskClient, proxy: FaultyProxy
) -> None:
    """Whatever else answers at the address, on the first call or later, is an error and never empty."""
    for _ in ("before the first call", "on a session that stands"):
        proxy.answer(raw)
        assert re.search(words, failure(client.list_tasks, client))
        proxy.heal()
        assert len(client.list_tasks()) == 20


# A server that fails while it is used


@pytest.mark.parametrize("call", READS.values(), ids=READS)
def test_a_server_that_freezes_ends_a_read_in_time(
    call: Call, client: TinytaskClient, proxy: FaultyProxy
) -> None:
    """A call to a server that has stopped answering ends at the timeout; then the client works on."""
    call(client)
    proxy.freeze()
    assert LATE in failure(lambda: call(client), client)
    proxy.heal()
    call(client)


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("carried_out", [True, False], ids=["carried out", "lost"])
def test_a_write_without_an_answer_is_unknown_and_never_repeated(
    name: str, carried_out: bool, client: TinytaskClient, proxy: FaultyProxy, store: TinytaskStore
) -> None:
    """A link that breaks under a write tells that nobody knows, and the write happens at most once."""
    tool = b'"update_task"' if name == "claim_task" else f'"{name}"'.encode()
    for fault in (proxy.cut, proxy.freeze):
        client.health_check()
        before = changes(store)

        def strike(fault: Callable[[], None] = fault, before: int = before) -> None:
            if carried_out:
                assert eventually(lambda: changes(store) > before)
            fault()

        proxy.on(tool, strike, forward=carried_out, frozen=fault == proxy.freeze)
        message = failure(lambda: WRITES[name](client), client, unknown=True)
        assert "Whether it was carried out is unknown" in message
        assert proxy.struck.wait(SECONDS)
        proxy.cut()
        proxy.heal()
        assert len(client.list_tasks()) >= 20
        assert changes(store) - before == carried_out
        if name == "claim_task" and carried_out:
            client.requeue_task(1)


def test_a_read_goes_on_over_a_new_link_when_its_own_breaks(
    client: TinytaskClient, proxy: FaultyProxy
) -> None:
    """A link that breaks under a read is replaced without a word."""
    client.health_check()
    proxy.on(WORDS["list_tasks"], proxy.cut)
    assert len(client.list_tasks()) == 20
    assert proxy.struck.wait(SECONDS)


@pytest.mark.parametrize("count", [0, 1, 50, 400, 3000])
def test_an_answer_that_breaks_off_is_no_answer(
    count: int, client: TinytaskClient, proxy: FaultyProxy
) -> None:
    """Some bytes of a listing are never taken for all of it: it is read again, or is an error."""
    client.health_check()
    proxy.cut_after(count)
    threading.Thread(target=lambda: proxy.struck.wait(SECONDS) and proxy.heal(), daemon=True).start()
    assert len(client.list_tasks()) == 20


@pytest.mark.parametrize("count", [0, 200, 1500])
def test_answers_that_always_break_off_are_an_error(
    count: int, client: TinytaskClient, proxy: FaultyProxy
) -> None:
    """Where every answer breaks off there is no empty frame but an error."""
    client.health_check()
    proxy.cut_after(count)
    failure(client.list_tasks, client)
    proxy.heal()
    assert len(client.list_tasks()) == 20


def test_a_server_that_dies_between_listing_and_details_ends_the_report(
    client: TinytaskClient, proxy: FaultyProxy
) -> None:
    """A report is whole or an error, and the error is one of ours, not a group of eight."""
    client.health_check()
    proxy.on(b"GET /api/v1/tasks/", proxy.refuse)
    failure(lambda: WorkloadReporter(client).collect_workload_data(progress=False), client)
    assert proxy.struck.wait(SECONDS)
    proxy.heal()
    assert len(WorkloadReporter(client).collect_workload_data(progress=False).tasks) == 20


@pytest.mark.parametrize("transport", ["v1", pytest.param("foreign v1", marks=NEEDS_STANDIN)])
def test_a_v1_that_dies_between_listing_and_details_ends_the_report(transport: str, tmp_path: Path) -> None:
    """Where details come over MCP it is the same."""
    with (
        TinytaskStore(path := tmp_path / "tinytask.db") as store,
        ExitStack() as stack,
    ):
        if transport == "v1":
            url = stack.enter_context(running_v1_server(store))
        else:
            url = stack.enter_context(running_standin("v1", path)).url
        proxy = stack.enter_context(faulty_proxy(url))
        store.insert_many({"title": f"task {number}"} for number in range(20))
        client = TinytaskClient(proxy.url, timeout=TIMEOUT)
        client.health_check()
        proxy.on(b'"get_task"', proxy.refuse)
        failure(lambda: WorkloadReporter(client).collect_workload_data(progress=False), client)
        assert proxy.struck.wait(SECONDS)
        proxy.heal()
        assert len(WorkloadReporter(client).collect_workload_data(progress=False).tasks) == 20


def test_health_check_asks_the_server_each_time(client: TinytaskClient, proxy: FaultyProxy) -> None:
    """A server that was healthy a moment ago and is gone now is not healthy."""
    assert client.health_check()
    proxy.refuse()
    assert client.health_check() is False
    proxy.heal()
    assert client.health_check()


def test_a_restart_between_two_calls_goes_unnoticed(
    store: TinytaskStore, transport: str, tmp_path: Path
) -> None:
    """A server that comes back on its port serves the next call, a write too, which happens once."""

    def serving(port: int = 0) -> AbstractContextManager[Any]:
        if transport.startswith(FOREIGN):
            return running_standin(kind_of(transport), tmp_path / "tinytask.db", port)
        return running_server(store, kind_of(transport), port)

    with serving() as served:
        url = served.url if isinstance(served, Standin) else served
        port = int(url.rpartition(":")[2])
        client = TinytaskClient(url, timeout=TIMEOUT)
        client.create_task("before")
    failure(client.list_tasks, client)
    with serving(port):
        assert len(client.list_tasks()) == 1
    with serving(port):
        client.create_task("after")
        assert client.list_tasks()["title"].tolist() == ["before", "after"]
        client.close()


def test_one_call_that_times_out_does_not_end_the_others(
    store: TinytaskStore, client: TinytaskClient, proxy: FaultyProxy
) -> None:
    """Eight threads meet a frozen server, each gets its error in time, and each works again afterwards."""
    client.health_check()
    proxy.freeze()
    with ThreadPoolExecutor(8) as pool:
        start = time.monotonic()
        calls = [pool.submit(client.list_tasks) for _ in range(8)]
        errors = [call.exception(SECONDS) for call in calls]
        assert time.monotonic() - start < TIMEOUT + SLACK
        assert {type(error) for error in errors} == {TinytaskConnectionError}
        proxy.heal()
        assert [len(frame) for frame in pool.map(lambda _: client.list_tasks(), range(8))] == [20] * 8


def test_close_on_a_frozen_server_does_not_hang(client: TinytaskClient, proxy: FaultyProxy) -> None:
    """Leaving a server that no longer answers takes no longer than some seconds."""
    client.health_check()
    proxy.freeze()
    start = time.monotonic()
    client.close()
    assert time.monotonic() - start < SLACK


# A server that is slow, or says something else


@pytest.mark.parametrize("call", (READS | WRITES).values(), ids=READS | WRITES)
def test_an_answer_that_is_slow_but_in_time_is_an_answer(
    call: Call, client: TinytaskClient, proxy: FaultyProxy, store: TinytaskStore
) -> None:
    """A server that freezes during a call and thaws before the timeout has carried it out, once."""
    client.health_check()
    before = changes(store)
    proxy.on((b'"tools/', b"GET /api/v1/tasks"), proxy.freeze)
    thaw = threading.Thread(target=lambda: proxy.struck.wait(SECONDS) and proxy.heal())
    thaw.start()
    call(client)
    thaw.join(SECONDS)
    assert proxy.connections > 0
    assert changes(store) - before == (call in WRITES.values())


def test_a_write_that_arrives_after_its_timeout_happens_once(
    client: TinytaskClient, proxy: FaultyProxy, store: TinytaskStore
) -> None:
    """What a frozen network delivers when it thaws was told as unknown, and is not sent again."""
    client.health_check()
    proxy.on(b'"create_task"', proxy.freeze, forward=False)
    failure(lambda: client.create_task("once"), client, unknown=True)
    proxy.heal()
    assert len(client.list_tasks()) >= 20
    client.create_task("after")
    titles = [task["title"] for task in store.list_tasks()]
    assert titles.count("once") <= 1
    assert titles.count("after") == 1


@pytest.mark.parametrize("count", [0, 1, 100, 400])
def test_a_write_whose_answer_breaks_off_is_unknown_and_not_repeated(
    count: int, client: TinytaskClient, proxy: FaultyProxy, store: TinytaskStore
) -> None:
    """Half an answer to a write is none, and the write happens once at most."""
    client.health_check()
    proxy.cut_after(count)
    failure(lambda: client.create_task("once", description="d" * 3000), client, unknown=True)
    proxy.heal()
    client.create_task("after")
    titles = client.list_tasks()["title"].tolist()
    # Over SSE the cut can end the call inside the server as well.
    assert titles.count("once") <= 1
    assert titles.count("after") == 1
    assert len(titles) == 21 + titles.count("once")


TASK = {"id": 1, "title": "x", "status": "idle"}
STRANGE: dict[str, Any] = {
    "a sentence": "Service temporarily unavailable",
    "a sentence and json": "Please log in\n\n[]",
    "nothing": "",
    "another object": {"hello": 1},
    "a list": [TASK],
    "a number": 7,
    "null": None,
    "tasks that are none": {"tasks": 7},
    "tasks that are words": {"tasks": ["x"]},
    "tasks without ids": {"tasks": [{"title": "x"}]},
    "ids that are words": {"tasks": [TASK | {"id": "x"}]},
}


@pytest.mark.parametrize("transport", ["http", "sse"])
@pytest.mark.parametrize("answer", STRANGE.values(), ids=STRANGE)
def test_json_that_is_not_tinytasks_is_an_error_and_never_empty(
    answer: Any, client: TinytaskClient, store: TinytaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that answers each tool with something else is told as such, and the client lives on."""
    with monkeypatch.context() as patch:
        for tool in server.SCHEMAS:
            patch.setitem(server._TOOLS, tool, lambda store, **arguments: answer)
        reads: tuple[Call, ...] = (
            lambda client: client.list_tasks(limit=50),  # With a limit it goes over MCP.
            lambda client: client.get_my_queue("alice"),
            lambda client: client.get_task(1),
        )
        writes: tuple[Call, ...] = (
            lambda client: client.create_task("x"),
            lambda client: client.signup_for_task("alice"),
            lambda client: client.delete_task(1),
        )
        for call in (*reads, *writes):
            with pytest.raises(TinytaskConnectionError, match="is it a TinyTask server") as caught:
                call(client)
            assert caught.value.outcome_unknown is (call in writes)
            assert client.endpoint in str(caught.value)
    assert len(client.list_tasks()) == 20


@pytest.mark.parametrize("where", ["calypso_nb.wire.connection._Link.call", "calypso_nb.frames._typed"])
def test_a_bug_of_our_own_is_no_fault_of_the_server(
    where: str, client: TinytaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is raised as it is, and the client lives on."""

    def bug(*_: Any) -> None:
        raise AttributeError("bug")

    with monkeypatch.context() as patch:
        patch.setattr(where, bug)
        with pytest.raises(AttributeError, match="bug"):
            client.list_tasks(limit=50)
    assert len(client.list_tasks()) == 20


def test_an_answer_of_40_megabytes_arrives_whole(store: TinytaskStore, url: str) -> None:
    """No limit on an event's size cuts it off; afterwards the client is as quick as before."""
    text = '\N{SNOWMAN}\n\\"' * 7_000_000
    assert len(text.encode()) > 40_000_000
    store.insert_many([{"title": "big", "description": text}])
    with TinytaskClient(url, timeout=SECONDS) as client:
        assert client.list_task_records()[0]["description"] == text
        start = time.monotonic()
        assert client.create_task("small").id == 2
        assert time.monotonic() - start < SLACK


# Several at once


def test_a_hundred_calls_from_eight_threads_are_each_done_once(
    client: TinytaskClient, proxy: FaultyProxy, store: TinytaskStore
) -> None:
    """Reads and writes at once, the link cut in between: no write twice, and none lost that was confirmed."""
    patient = TinytaskClient(proxy.url)
    confirmed: list[str] = []
    unknown: list[str] = []

    def work(number: int) -> None:
        if number == 50:
            proxy.cut()
        try:
            patient.create_task(f"call {number}")
            confirmed.append(f"call {number}")
        except TinytaskConnectionError as error:
            assert error.outcome_unknown
            unknown.append(f"call {number}")
        assert len(patient.list_tasks()) >= 20

    with ThreadPoolExecutor(8) as pool:
        for call in [pool.submit(work, number) for number in range(100)]:
            call.result(SECONDS)
    patient.close()
    titles = [task["title"] for task in store.list_tasks() if task["title"].startswith("call")]
    assert len(titles) == len(set(titles))
    assert set(confirmed) <= set(titles) <= set(confirmed) | set(unknown)
    assert len(confirmed) + len(unknown) == 100
    assert len(confirmed) > 80


@pytest.mark.parametrize("name", ["list_tasks", "create_task"])
def test_close_during_a_call_of_another_thread_ends_both_in_time(
    name: str, client: TinytaskClient, proxy: FaultyProxy, store: TinytaskStore
) -> None:
    """The call ends with its answer or an error of ours, a write is done at most once, the client goes on."""
    client.health_check()
    proxy.on(WORDS[name], proxy.freeze)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit((READS | WRITES)[name], client)
        assert proxy.struck.wait(SECONDS)
        start = time.monotonic()
        client.close()
        assert time.monotonic() - start < SLACK
        error = call.exception(SECONDS)
        assert isinstance(error, TinytaskConnectionError)
        assert error.outcome_unknown is (name in WRITES)
        assert time.monotonic() - start < TIMEOUT + SLACK
    proxy.heal()
    with TinytaskClient(proxy.url) as another:
        assert len(another.list_tasks()) == len(store.list_tasks())
    assert [task["title"] for task in store.list_tasks()].count("once") <= 1


# A real process, killed


SERVER = """
import sys
from calypso_nb.embedded import TinytaskStore, running_server, server
with TinytaskStore(sys.argv[1]) as store, running_server(store, sys.argv[2], port=int(sys.argv[3])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@contextmanager
def server_process(path: Path, transport: str, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A TinyTask in a process of its own, over a file; gives its URL and the process."""
    if transport.startswith(FOREIGN):
        with running_standin(kind_of(transport), path, port) as standin:
            yield standin.url, standin.process
        return
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(path), transport, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.wait(SECONDS)
        process.stdin.close()
        process.stdout.close()


def test_a_server_killed_during_a_call(tmp_path: Path, transport: str) -> None:
    """A write under which the server is killed is unknown, a read fails, and after a restart all goes on."""
    path = tmp_path / "tinytask.db"

    def killed_during(call: Callable[[], Any], words: Any, process: subprocess.Popen[str]) -> Future[Any]:
        """Run a call and kill the server when the request is with it but cannot have been answered."""

        def stop() -> None:
            os.kill(process.pid, signal.SIGSTOP)
            threads = Path(f"/proc/{process.pid}/task")
            assert eventually(
                lambda: all(") T " in (thread / "stat").read_text() for thread in threads.iterdir())
            )

        proxy.on(words, stop, forward=False)
        call_ = pool.submit(call)
        assert proxy.struck.wait(SECONDS)
        process.kill()
        process.wait(SECONDS)
        return call_

    with ThreadPoolExecutor(1) as pool:
        with server_process(path, transport) as (url, process):
            proxy = FaultyProxy(url)
            client = TinytaskClient(proxy.url, timeout=TIMEOUT)
            client.create_task("before")
            write = killed_during(lambda: client.create_task("once"), b'"create_task"', process)
            failure(lambda: write.result(SECONDS), client, unknown=True)
            failure(client.list_tasks, client)
        port = int(url.rpartition(":")[2])
        with server_process(path, transport, port) as (_, process):
            titles = client.list_tasks()["title"].tolist()
            assert titles in (["before"], ["before", "once"])
            read = killed_during(client.list_tasks, WORDS["list_tasks"], process)
            failure(lambda: read.result(SECONDS), client)
            client.close()
            proxy.close()
    with closing(sqlite3.connect(path)) as database:
        (count,) = database.execute("SELECT count(*) FROM tasks WHERE title = 'once'").fetchone()
    assert count <= 1
