"""The client: every method, on every way to a TinyTask, from every place in a process."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import math
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mcp.server import MCPServer

from calypso_nb import TinytaskAPIError, TinytaskClient, TinytaskClientError, TinytaskConnectionError
from calypso_nb.client.calls import Details
from calypso_nb.embedded import TinytaskStore, running_server
from calypso_nb.frames import TASK_COLUMNS
from calypso_nb.settings import Endpoint, load_settings
from calypso_nb.wire import bridge
from tests.conftest import NOW, SECONDS, eventually

pytestmark = pytest.mark.usefixtures("clean_environment")


# Each method


def test_create_task_returns_the_task_that_the_server_made(client: TinytaskClient) -> None:
    """All fields that are given arrive, and the times are aware and UTC."""
    blocker = client.create_task("first")
    task = client.create_task(
        "  second \N{SNOWMAN} <b>",
        created_by="lead",
        description="line\nline",
        assigned_to="alice",
        priority=-1,
        tags=("a", "b"),
        parent_task_id=blocker.id,
        queue_name="dev",
        blocked_by_task_id=blocker.id,
    )
    assert (task.title, task.description, task.status) == ("second \N{SNOWMAN} <b>", "line\nline", "idle")
    assert (task.created_by, task.assigned_to, task.priority) == ("lead", "alice", -1)
    assert (task.tags, task.queue_name, task.parent_task_id) == (("a", "b"), "dev", blocker.id)
    assert (task.blocked_by_task_id, task.is_currently_blocked) == (blocker.id, True)
    assert (task.created_at, task.updated_at, task.archived_at) == (NOW, NOW, None)
    assert blocker.created_by == "calypso_nb"


def test_get_task_tells_comments_and_links(client: TinytaskClient, store: TinytaskStore) -> None:
    """One task is an object with its comments and links in it."""
    task = client.create_task("with notes")
    comment = client.add_comment(task.id, "looks good", created_by="bob")
    store.add_link(task.id, "docs/x.md", description="the page")
    found = client.get_task(task.id)
    assert found.comments == (comment,)
    assert (comment.content, comment.created_by, comment.created_at) == ("looks good", "bob", NOW)
    assert found.links is not None
    assert (found.links[0].url, found.links[0].description) == ("docs/x.md", "the page")
    assert client.create_task("bare").comments is None


def test_list_tasks_is_a_frame_with_the_documented_columns(client: TinytaskClient) -> None:
    """Many tasks are a DataFrame, the most urgent first, whether there are tasks or none."""
    empty = client.list_tasks()
    assert {name: str(dtype) for name, dtype in empty.dtypes.items()} == {
        name: column.dtype for name, column in TASK_COLUMNS.items()
    }
    for priority in (1, 5, 3):
        client.create_task(f"task {priority}", priority=priority, tags=["x"])
    tasks = client.list_tasks(now=NOW + timedelta(hours=2))
    assert tasks["priority"].tolist() == [5, 3, 1]
    assert tasks["age_hours"].tolist() == [2.0, 2.0, 2.0]
    assert tasks["tags"].tolist() == [("x",)] * 3
    assert (tasks.dtypes == empty.dtypes).all()
    assert client.list_task_records()[0]["title"] == "task 5"


def test_list_tasks_narrows_by_every_filter(client: TinytaskClient, store: TinytaskStore) -> None:
    """The filters reach the server and hold together."""
    parent = client.create_task("parent", assigned_to="alice", queue_name="dev")
    client.create_task("child", assigned_to="bob", parent_task_id=parent.id)
    done = client.create_task("done", assigned_to="alice", priority=9)
    client.complete_task(done.id)
    gone = client.create_task("gone")
    store.archive_task(gone.id)

    def titles(**filters: Any) -> list[str]:
        return sorted(client.list_tasks(**filters)["title"])

    assert titles() == ["child", "done", "parent"]
    assert titles(status="complete") == ["done"]
    assert titles(status=("idle", "working")) == ["child", "parent"]
    assert titles(exclude_status=["idle"]) == ["done"]
    assert titles(assigned_to="alice", status="idle") == ["parent"]
    assert titles(queue_name="dev") == ["child", "parent"]
    assert titles(parent_task_id=parent.id) == ["child"]
    assert titles(exclude_subtasks=True) == ["done", "parent"]
    assert titles(include_archived=True) == ["child", "done", "gone", "parent"]
    assert titles(limit=1) == ["done"]
    assert titles(limit=2, offset=1) == ["child", "parent"]


@pytest.mark.parametrize("name", ["list_tasks", "get_queue_tasks", "update_task"])
def test_filters_and_changes_are_parameters_by_name(name: str) -> None:
    """`client.list_tasks?` in a notebook shows each of them."""
    parameters = inspect.signature(getattr(TinytaskClient, name)).parameters
    assert {"status", "assigned_to", "parent_task_id"} < set(parameters)
    assert not [one for one in parameters.values() if one.kind is inspect.Parameter.VAR_KEYWORD]


def test_update_task_changes_what_is_given(client: TinytaskClient) -> None:
    """Tags are replaced, None unblocks, the rest stays."""
    blocker = client.create_task("blocker")
    task = client.create_task("old", tags=["a"], assigned_to="alice", blocked_by_task_id=blocker.id)
    changed = client.update_task(
        task.id, title="new", priority=7, tags=("b", "c"), blocked_by_task_id=None, queue_name="q"
    )
    assert (changed.title, changed.priority, changed.tags) == ("new", 7, ("b", "c"))
    assert (changed.blocked_by_task_id, changed.is_currently_blocked) == (None, False)
    assert (changed.assigned_to, changed.queue_name) == ("alice", "q")


def test_a_task_is_claimed_completed_and_requeued(client: TinytaskClient) -> None:
    """A task goes from idle to working to complete and back to idle, its agent unchanged."""
    task = client.create_task("work")
    claim = client.claim_task(task.id, "alice")
    assert claim
    assert claim.task is not None
    assert (claim.task.status, claim.task.assigned_to) == ("working", "alice")
    assert client.complete_task(task.id).status == "complete"
    back = client.requeue_task(task.id)
    assert (back.status, back.assigned_to) == ("idle", "alice")


def test_count_details_counts_each_task_and_tells_how_far_it_is(
    client: TinytaskClient, store: TinytaskStore
) -> None:
    """Counts come per task, None for one that is gone, and progress ends at the total."""
    store.insert_many({"title": f"task {number}"} for number in range(600))
    store.insert_many([{"task_id": 3, "content": "x"}] * 2, "comments")
    store.insert_many([{"task_id": 4, "url": "x"}], "links")
    seen: list[tuple[int, int]] = []
    ids = [*range(1, 601), 999]
    counts = client.count_details(ids, progress=lambda done, total: seen.append((done, total)))
    assert list(counts) == ids or sorted(counts) == ids
    told = [counts[task][:2] for task in (3, 4, 5, 999)]
    assert told == [(2, 0), (0, 1), (0, 0), (None, None)]
    assert len(seen) > 1
    assert seen == sorted(seen)
    assert seen[-1] == (601, 601)
    assert client.count_details([]) == {}


def test_health_check_is_true_where_a_tinytask_answers(client: TinytaskClient) -> None:
    """A TinyTask that answers is healthy, twice too."""
    assert client.health_check() is True
    assert client.health_check() is True


def test_a_refusal_is_an_api_error_with_the_servers_words(client: TinytaskClient) -> None:
    """An answer of no is told by its tool and its reason."""
    with pytest.raises(TinytaskAPIError) as caught:
        client.get_task(999)
    assert (caught.value.tool, caught.value.reason) == ("get_task", "Task not found: 999")
    with pytest.raises(TinytaskAPIError, match="Error updating task: Task not found: 999"):
        client.complete_task(999)
    with pytest.raises(TinytaskAPIError, match="title"):
        client.create_task(" ")
    assert issubclass(TinytaskAPIError, TinytaskClientError)


def test_one_text_is_not_taken_for_a_list_of_tags(client: TinytaskClient) -> None:
    """Its letters would be the tags."""
    with pytest.raises(ValueError, match=r"\['urgent'\]"):
        client.create_task("x", tags="urgent")
    assert client.list_tasks().empty


def test_numbers_out_of_a_frame_are_good_arguments(client: TinytaskClient) -> None:
    """A task's id as a frame gives it, a numpy or pandas number, works like an int."""
    client.create_task("one", tags=["x"])
    tasks = client.list_tasks()
    task = client.get_task(tasks["id"].iloc[0])
    assert task.title == "one"
    assert client.update_task(np.int64(task.id), priority=tasks["id"].max()).priority == task.id  # type: ignore[arg-type]
    assert client.count_details(tasks["id"].to_numpy()) == {task.id: Details(0, 0)}  # type: ignore[arg-type]


# What to connect to


def test_demo_is_a_tinytask_with_sample_data() -> None:
    """The word demo needs no server, and each client of it has its own tasks."""
    with TinytaskClient("demo") as one, TinytaskClient("demo") as other:
        assert one.endpoint == "demo"
        assert len(one.list_tasks()) >= 250
        one.create_task("only here", priority=99)
        assert one.list_tasks(limit=1)["title"].item() == "only here"
        assert other.list_tasks(limit=1)["title"].item() != "only here"


def test_a_server_object_that_is_no_tinytask_is_told(client: TinytaskClient) -> None:
    """An MCP server without list_tasks is named as what it is."""
    with pytest.raises(TinytaskConnectionError, match="not a TinyTask server: it has no tool list_tasks"):
        TinytaskClient(MCPServer("something else")).list_tasks()


@pytest.mark.parametrize("suffix", ["", "/", "/mcp", "/mcp/"])
def test_an_endpoint_may_end_in_mcp_or_not(store: TinytaskStore, url: str, suffix: str) -> None:
    """The address of the server and that of its MCP endpoint are the same to the client."""
    store.create_task("one", "test")
    with TinytaskClient(endpoint=url + suffix) as client:
        assert client.list_tasks()["title"].tolist() == ["one"]
        assert client.health_check()


def test_an_argument_wins_over_the_environment_and_that_over_dotenv(
    clean_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint is the argument, else TINYTASK_ENDPOINT, else that in .env above, else localhost."""
    assert TinytaskClient().endpoint == "http://localhost:3000"
    (clean_environment / ".env").write_text("TINYTASK_ENDPOINT=http://from-file:1\nTINYTASK_TIMEOUT=7\n")
    below = clean_environment / "notebooks"
    below.mkdir()
    monkeypatch.chdir(below)
    assert TinytaskClient().endpoint == "http://from-file:1"
    assert load_settings().timeout == 7
    monkeypatch.setenv("TINYTASK_ENDPOINT", "http://from-environment:2/mcp")
    assert TinytaskClient().endpoint == "http://from-environment:2/mcp"
    assert TinytaskClient("http://from-argument:3").endpoint == "http://from-argument:3"
    assert load_settings(timeout=9).timeout == 9
    monkeypatch.setenv("TINYTASK_ENDPOINT", "demo")
    assert not TinytaskClient().list_tasks().empty
    monkeypatch.setenv("TINYTASK_ENDPOINT", "")
    assert TinytaskClient().endpoint == "http://from-file:1"


@pytest.mark.parametrize(
    "endpoint",
    ["", "localhost:3000", "ftp://host", "http://", "http://:3000", "http://host:port", "http://host:99999",
     "http://[::1", "Demo", "http://user:pw@"],
)  # fmt: skip
def test_an_endpoint_that_is_none_is_a_value_error_at_once(endpoint: str) -> None:
    """A wrong endpoint is told where it is given, with the forms that are right."""
    with pytest.raises(ValueError, match=r"http://host:port, https://host:port or 'demo'"):
        TinytaskClient(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    [
        "user:pass-word@host/x.db",
        "u:pass/word@host/x.sqlite3",
        "//user:pass-word@host/x.db",
        "user:/pass-word@host/x.db",
    ],
)
def test_a_password_in_what_ends_like_a_file_is_not_shown(endpoint: str) -> None:
    """It is an address that lacks its http://, and no path of a database."""
    with pytest.raises(ValueError, match=r"^'host/x\.(db|sqlite3)' is not a valid endpoint") as refused:
        TinytaskClient(endpoint)
    assert "word" not in str(refused.value)


def test_a_wrong_endpoint_in_the_environment_is_a_value_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint from the environment is checked like an argument."""
    monkeypatch.setenv("TINYTASK_ENDPOINT", "localhost:3000")
    with pytest.raises(ValueError, match="'localhost:3000'"):
        TinytaskClient()


@pytest.mark.parametrize("name", ["timeout", "connect_timeout"])
@pytest.mark.parametrize("seconds", [0, -1, math.nan, "soon"])
def test_a_timeout_that_is_none_is_a_value_error(
    name: str, seconds: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A timeout of nothing is told by the argument's name and by the variable's."""
    with pytest.raises(ValueError, match=rf"{name} \(or TINYTASK_{name.upper()}\)"):
        TinytaskClient("demo", **{name: seconds})
    monkeypatch.setenv(f"TINYTASK_{name.upper()}", str(seconds))
    with pytest.raises(ValueError, match=rf"{name} \(or TINYTASK_{name.upper()}\)"):
        TinytaskClient("demo")


@pytest.mark.parametrize(
    ("text", "shown", "mcp", "rest", "health"),
    [
        ("http://h:1", "http://h:1", "http://h:1/mcp", "http://h:1/api/v1", "http://h:1/health"),
        ("http://u:p@h/t/mcp/", "http://h/t/mcp", "http://h/t/mcp", "http://h/t/api/v1", "http://h/t/health"),
    ],
)
def test_an_address_is_taken_apart(text: str, shown: str, mcp: str, rest: str, health: str) -> None:
    """Each URL of a server, none with credentials in it."""
    endpoint = Endpoint(text)
    assert (endpoint.shown, endpoint.mcp, endpoint.rest, endpoint.health) == (shown, mcp, rest, health)
    assert text not in repr(endpoint)


def test_an_endpoint_with_a_query_is_a_value_error() -> None:
    """It may be a key, and a key belongs into a header."""
    with pytest.raises(
        ValueError, match=r"an endpoint has no query: give a key as a header, headers=\{"
    ) as caught:
        TinytaskClient("http://127.0.0.1:9/?key=k3y")
    assert "k3y" not in str(caught.value)


SECRETS = ("user", "s3cret", "k3y")


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://user:s3cret@127.0.0.1:9/?key=k3y#k3y",
        "http://user:s3cret@127.0.0.1:9/#k3y",
        "http://user:s3cret@127.0.0.1:99999/?key=k3y",
        "http://user:s3cret/s3cret@127.0.0.1:9",
        "ftp://user:s3cret@127.0.0.1?k3y",
        "user:s3cret@127.0.0.1:9",
    ],
)
def test_credentials_in_a_url_are_nowhere_to_be_read(
    endpoint: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No repr, no string, no error, its causes included, and no log shows a secret."""
    caplog.set_level(logging.INFO)
    texts: list[str] = []
    error: BaseException | None = None
    try:
        client = TinytaskClient(endpoint, token="s3cret", headers={"X-Key": "k3y"}, timeout=0.5)
        texts += [repr(client), str(client), client.endpoint]
        client.list_tasks()
    except (TinytaskConnectionError, ValueError) as caught:
        error = caught
    assert error is not None
    while error is not None:
        texts += [str(error), repr(error)]
        error = error.__cause__
    monkeypatch.setenv("TINYTASK_ENDPOINT", endpoint)
    settings = load_settings(token="s3cret", headers={"X-Key": "k3y"})
    texts += [repr(settings), str(settings), *(record.getMessage() for record in caplog.records)]
    assert not [text for text in texts for secret in SECRETS if secret in text]


def test_credentials_in_a_url_reach_the_server_but_no_log(
    store: TinytaskStore, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A URL with user and password works, and a user who logs HTTP requests reads neither."""
    caplog.set_level(logging.DEBUG)
    store.create_task("one", "test")
    with TinytaskClient(url.replace("//", "//user:s3cret@"), token=None) as client:
        assert len(client.list_tasks()) == 1
    assert not [record for record in caplog.records if "s3cret" in record.getMessage()]


# Size


@pytest.mark.slow
def test_a_listing_of_20000_tasks_is_complete(store: TinytaskStore, url: str) -> None:
    """Nothing is cut off at 100, at 1,000, or at the SDK's 1 MiB an event."""
    store.insert_many(
        {"title": f"task {number}", "description": "d" * 200, "priority": number % 7}
        for number in range(20_000)
    )
    with TinytaskClient(url) as client:
        tasks = client.list_tasks()
    assert len(tasks) == 20_000
    assert tasks["id"].is_unique
    assert tasks["priority"].is_monotonic_decreasing


def test_a_task_of_two_megabytes_is_readable(store: TinytaskStore, url: str) -> None:
    """A big task comes back whole, alone and in a listing."""
    text = "\N{SNOWMAN}x" * 500_000
    store.create_task("big", "x", description=text)
    with TinytaskClient(url) as client:
        assert client.get_task(1).description == text
        assert client.list_tasks()["description"].item() == text


# Life


def test_with_closes_and_a_closed_client_raises(client: TinytaskClient) -> None:
    """Closing twice is fine, and the next call says that the client is closed."""
    with client as same:
        assert same is client
        client.create_task("one")
    client.close()
    client.close()
    with pytest.raises(TinytaskClientError, match="is closed: make a new one"):
        client.list_tasks()


def test_nothing_connects_before_the_first_call() -> None:
    """Making and closing a client needs no server."""
    client = TinytaskClient("http://127.0.0.1:9")
    client.close()
    assert repr(client) == "TinytaskClient('http://127.0.0.1:9')"


@pytest.mark.slow
def test_two_hundred_clients_left_open_leave_nothing_behind(store: TinytaskStore) -> None:
    """A cell that is run again and again leaks no thread, no socket and no file, on either transport."""

    def files() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    with running_server(store, "http") as http, running_server(store, "sse") as sse:
        for url in (http, sse):
            TinytaskClient(url).list_tasks()
        gc.collect()
        threads, before = threading.active_count(), files()
        for _ in range(100):
            for url in (http, sse):
                TinytaskClient(url).list_tasks()
        gc.collect()
        assert eventually(lambda: files() <= before)
        assert threading.active_count() <= threads


@pytest.mark.slow
def test_a_script_with_an_open_client_ends_by_itself(store: TinytaskStore, url: str, tmp_path: Path) -> None:
    """An unclosed client neither holds up the end of a process nor prints anything there."""
    script = f"from calypso_nb import TinytaskClient\nclient = TinytaskClient({url!r})\nclient.list_tasks()\n"
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=SECONDS, cwd=tmp_path
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


# Everywhere


def test_a_call_works_in_a_coroutine(client: TinytaskClient) -> None:
    """Inside asyncio.run a call works like anywhere else."""

    async def main() -> pd.DataFrame:
        client.create_task("from a coroutine")
        await asyncio.sleep(0)
        return client.list_tasks()

    assert asyncio.run(main())["title"].tolist() == ["from a coroutine"]
    assert asyncio.run(main())["title"].tolist() == ["from a coroutine"] * 2


def test_a_call_works_in_a_callback_of_a_running_loop(client: TinytaskClient) -> None:
    """What a widget's callback does in a kernel: a plain function called while a loop runs."""

    async def main() -> int:
        loop = asyncio.get_running_loop()
        result = loop.create_future()
        loop.call_soon(lambda: result.set_result(client.create_task("from a callback").id))
        return await result

    assert asyncio.run(main()) == 1


def test_eight_threads_share_a_client(client: TinytaskClient) -> None:
    """Calls from many threads at once neither mix nor lose anything."""

    def work(thread: int) -> None:
        for number in range(5):
            task = client.create_task(f"{thread}/{number}", assigned_to=f"agent-{thread}")
            assert client.get_task(task.id).title == f"{thread}/{number}"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    tasks = client.list_tasks()
    assert len(tasks) == 40
    assert tasks["assigned_to"].value_counts().tolist() == [5] * 8


def test_a_coroutine_on_the_bridges_own_loop_cannot_wait_for_it(client: TinytaskClient) -> None:
    """A blocking call on the background loop is an error and not a standstill."""

    async def main() -> None:
        client.list_tasks()

    with pytest.raises(RuntimeError):
        bridge.run(main)


def test_importing_the_package_loads_nothing_heavy(tmp_path: Path) -> None:
    """`import calypso_nb` pays for neither mcp nor pandas nor altair."""
    script = (
        "import sys, calypso_nb; print({'mcp', 'pandas', 'altair', 'numpy', 'pydantic'} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert found.stdout == "set()\n"


def test_ages_are_measured_at_the_moment_of_the_answer(client: TinytaskClient) -> None:
    """Without `now` the ages are those at the present time."""
    client.create_task("one")
    age = client.list_tasks()["age_hours"].item()
    assert age == pytest.approx((datetime.now(UTC) - NOW).total_seconds() / 3600, abs=0.1)
