"""The embedded TinyTask answers as the recorded ones do and keeps what it confirmed."""

import base64
import hashlib
import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from typer.testing import CliRunner

from calypso_nb.cli.commands import app
from calypso_nb.embedded import (
    StoreError,
    TinytaskStore,
    create_server,
    demo_store,
    fill_sample,
    running_server,
    web,
)
from calypso_nb.embedded.web import create_app, running_app
from tests.conftest import SECONDS
from tests.v1_server import create_v1_server, running_v1_server

DATA = Path(__file__).parent / "data"
NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
MCP_HEADERS = {"accept": "application/json, text/event-stream"}
GREETING = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


def recorded(version: str) -> list[dict[str, Any]]:
    lines = (DATA / f"tinytask-{version}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def timeless(text: str) -> str:
    """The text with its times blanked, their format still visible."""
    return TIME.sub(lambda found: re.sub(r"\d", "0", found.group()), text)


def differences(server: Any, version: str) -> list[Any]:
    """Play a recording against a server; what it answered otherwise."""
    tools, *calls = recorded(version)

    async def play() -> list[Any]:
        found: list[Any] = []
        with anyio.fail_after(SECONDS):
            async with Client(server) as client:
                listed = (await client.list_tools()).model_dump(by_alias=True, exclude_unset=True)
                if listed["tools"] != tools["tools"]:
                    found.append(("tools/list", listed["tools"], tools["tools"]))
                for number, call in enumerate(calls, start=1):
                    answer = await client.call_tool(call["call"], call["arguments"])
                    content = [
                        block.model_dump(by_alias=True, exclude_unset=True) for block in answer.content
                    ]
                    got = (answer.is_error, timeless(json.dumps(content)))
                    expected = (call["isError"], timeless(json.dumps(call["content"])))
                    if got != expected:
                        found.append((number, call["call"], got, expected))
        return found

    return anyio.run(play)


def post(url: str, method: str, **params: Any) -> Any:
    """A bare JSON-RPC request over Streamable HTTP, without a handshake; its result."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = httpx2.post(f"{url}/mcp", json=body, headers=MCP_HEADERS, timeout=SECONDS).raise_for_status()
    assert answer.headers["content-type"].startswith("text/event-stream")
    data = [line[5:] for line in answer.text.split("\n") if line.startswith("data:")]
    return json.loads("".join(data))["result"]


def call(url: str, tool: str, /, **arguments: Any) -> str:
    text: str = post(url, "tools/call", name=tool, arguments=arguments)["content"][0]["text"]
    return text


def ask(store: TinytaskStore, tool: str, **arguments: Any) -> Any:
    """What a tool answers in process: its JSON, or its text."""

    async def play() -> str:
        with anyio.fail_after(SECONDS):
            async with Client(create_server(store)) as client:
                (block,) = (await client.call_tool(tool, arguments)).content
                return block.text  # type: ignore[union-attr]

    text = anyio.run(play)
    return json.loads(text) if text.startswith("{") else text


@pytest.fixture
def store() -> Iterator[TinytaskStore]:
    with TinytaskStore(now=lambda: NOW) as fresh:
        yield fresh


@pytest.fixture
def sample() -> Iterator[list[dict[str, Any]]]:
    with demo_store(NOW) as filled:
        yield filled.list_tasks(include_archived=True)


# The recordings


def test_every_recorded_v2_answer_is_given_in_process() -> None:
    """All 109 recorded calls and the tool list come out word for word."""
    assert differences(create_server(TinytaskStore()), "v2") == []


def test_every_recorded_v2_answer_is_given_over_http() -> None:
    """The same over Streamable HTTP, with the protocol version that TinyTask speaks."""
    with running_server(TinytaskStore()) as url:
        transport = streamable_http_client(f"{url}/mcp", max_sse_event_size=None)
        assert differences(transport, "v2") == []


def test_every_recorded_v2_answer_is_given_over_sse() -> None:
    """The same over SSE."""
    with running_server(TinytaskStore(), "sse") as url:
        assert differences(sse_client(f"{url}/mcp"), "v2") == []


def test_every_recorded_v1_answer_is_given_by_the_narrowed_server() -> None:
    """The v1 that other tests use is one, in process and over its only transport."""
    assert differences(create_v1_server(TinytaskStore()), "v1") == []
    with running_v1_server(TinytaskStore()) as url:
        assert differences(sse_client(f"{url}/mcp"), "v1") == []


@pytest.mark.parametrize("transport", ["http", "sse"])
def test_clients_of_the_newest_protocol_fall_back_to_the_handshake(transport: Any) -> None:
    """As with a real TinyTask: its name and version come from initialize."""

    async def greet(url: str) -> tuple[str, str, str]:
        wire = streamable_http_client(url) if transport == "http" else sse_client(url)
        with anyio.fail_after(SECONDS):
            async with Client(wire) as client:
                assert client.server_info is not None
                return client.protocol_version, client.server_info.name, client.server_info.version

    with running_server(TinytaskStore(), transport) as url:
        protocol, name, version = anyio.run(greet, f"{url}/mcp")
    assert protocol <= "2025-11-25"
    assert (name, version) == ("tinytask", "1.0.0")


# What the recordings leave open


@pytest.mark.parametrize(
    ("value", "coerced"),
    [
        *[("2", 2), (" 2.0 ", 2), ("1e1", 10), ("", 0), (None, 0), (True, 1), (False, 0), ("-.5", -0.5)],
        *[("0x10", 16), ("0b11", 3), ("0O17", 15), ("+1.", 1), ("\ufeff\u20035\u2029", 5), (4.99, 4.99)],
        *[([], 0), (["7"], 7), ([[" 3 "]], 3), ([None], 0), ("Infinity", None), (10**400, None)],
    ],
)
def test_numbers_are_coerced_as_javascript_does(store: TinytaskStore, value: Any, coerced: float) -> None:
    """A priority of any of these is a number to TinyTask; JSON has no infinity."""
    assert ask(store, "create_task", title="t", created_by="me", priority=value)["priority"] == coerced


@pytest.mark.parametrize(
    "value",
    [
        *["1_000", "nan", "inf", "infinity", "Infinity!", "0x", "-0x10", "1,5", "\N{ARABIC-INDIC DIGIT ONE}"],
        *["\x1c5", "\x855", {}, [1, 2], [True], [{}], "."],
    ],
)
def test_what_javascript_calls_not_a_number_is_refused(store: TinytaskStore, value: Any) -> None:
    """Python would read some of these as numbers, and takes more for white space."""
    assert "received nan" in ask(store, "get_task", id=value)


def test_white_space_is_what_javascript_trims(store: TinytaskStore) -> None:
    """A byte order mark and a line separator go; a control character that Python would strip stays."""
    assert (
        ask(store, "create_task", title="\ufeff\u2028 t \x1c\x85", created_by="me")["title"] == "t \x1c\x85"
    )
    assert ask(store, "update_task", id=1, title="\u3000\ufeff") == (
        "Error updating task: Task title cannot be empty"
    )
    assert ask(store, "update_task", id=1, title="\x1f")["title"] == "\x1f"
    assert ask(store, "add_comment", task_id=1, content="\ufeff") == (
        "Error adding comment: Comment content is required"
    )


def test_an_empty_agent_sets_a_task_free(store: TinytaskStore) -> None:
    """No agent is called ''; whoever had the task before is remembered at each change of hands."""
    assert ask(store, "create_task", title="t", created_by="me", assigned_to="")["assigned_to"] is None
    for agent, held in (("a", None), ("a", None), ("b", "a"), ("", "b"), ("c", None)):
        task = ask(store, "update_task", id=1, assigned_to=agent)
        assert (task["assigned_to"], task["previous_assigned_to"]) == (agent or None, held)
    assert ask(store, "update_task", id=1, title="new")["previous_assigned_to"] is None
    moved = ask(store, "move_task", task_id=1, current_agent="c", new_agent="c", comment="")
    assert moved["task"]["previous_assigned_to"] == "c"
    assert moved["comment"]["content"] == ""


def test_an_empty_description_is_none(store: TinytaskStore) -> None:
    """At the creation of a task as well as later."""
    assert ask(store, "create_task", title="t", created_by="me", description="")["description"] is None
    assert ask(store, "update_task", id=1, description="d")["description"] == "d"
    assert ask(store, "update_task", id=1, description="")["description"] is None


@pytest.mark.parametrize("empty", ["", " ", "\ufeff\n"])
def test_blank_creators_and_queues_are_refused(store: TinytaskStore, empty: str) -> None:
    """Each tool refuses them in its own words, and nothing changes."""
    store.create_task("t", "me", queue_name="dev")
    assert ask(store, "create_task", title="t", created_by=empty).startswith("Error creating task: ")
    for tool, doing, arguments in (
        ("create_task", "creating task", {"title": "t", "created_by": "me", "queue_name": empty}),
        ("add_task_to_queue", "adding task to queue", {"task_id": 1, "queue_name": empty}),
        ("move_task_to_queue", "moving task to queue", {"task_id": 1, "new_queue_name": empty}),
        ("get_queue_tasks", "getting queue tasks", {"queue_name": empty}),
        ("get_queue_stats", "getting queue stats", {"queue_name": empty}),
        ("clear_queue", "clearing queue", {"queue_name": empty}),
    ):
        assert ask(store, tool, **arguments) == f"Error {doing}: Queue name cannot be empty"
    assert [task["queue_name"] for task in store.list_tasks()] == ["dev"]


def test_a_parent_that_is_null_is_task_0(store: TinytaskStore) -> None:
    """Only `move_subtask` takes a task out of its parent."""
    store.create_task("top", "me")
    store.create_task("low", "me", parent_task_id=1)
    assert ask(store, "update_task", id=2, parent_task_id=None) == (
        "Error updating task: Parent task not found: 0"
    )
    assert ask(store, "move_subtask", subtask_id=2, new_parent_id=None).startswith(
        "Task #2 moved to top-level"
    )


def test_no_statuses_are_all(store: TinytaskStore) -> None:
    """An empty list filters nothing."""
    store.create_task("t", "me")
    for tool, arguments in (("list_tasks", {}), ("get_queue_tasks", {"queue_name": "dev"})):
        store.update_task(1, queue_name="dev")
        assert ask(store, tool, status=[], exclude_status=[], **arguments)["count"] == 1


def test_all_descendants_come_in_one_list(store: TinytaskStore) -> None:
    """Each after its parent, with its `parent_task_id`; none of them has a list of its own."""
    for title, parent in (("top", None), ("left", 1), ("right", 1), ("low", 2)):
        store.create_task(title, "me", parent_task_id=parent)
    tree = ask(store, "get_task_with_subtasks", task_id=1, recursive=True)
    assert [(task["title"], task["parent_task_id"]) for task in tree["subtasks"]] == [
        ("left", 1),
        ("low", 2),
        ("right", 1),
    ]
    assert tree["subtask_count"] == 3
    assert not any("subtasks" in task for task in tree["subtasks"])
    assert ask(store, "get_task_with_subtasks", task_id=1)["subtask_count"] == 2


def test_tags_must_be_a_list_of_texts(store: TinytaskStore) -> None:
    """A refusal names the place of the wrong tag."""
    with running_server(store) as url:
        text = call(url, "create_task", title="t", created_by="me", tags=["fine", 3])
    (issue,) = json.loads(text.partition(": ")[2])
    assert issue["path"] == ["tags", 1]
    assert issue["message"] == "Expected string, received number"


def test_comment_tools_ignore_unknown_arguments(store: TinytaskStore) -> None:
    """Only the task and queue tools are strict."""
    store.create_task("t", "me")
    with running_server(store) as url:
        assert json.loads(call(url, "add_comment", task_id=1, content="hi", mood="good"))["content"] == "hi"
        assert "Unrecognized key(s) in object: 'mood'" in call(url, "get_task", id=1, mood="good")


def test_blockers_follow_tinytasks_rules(store: TinytaskStore) -> None:
    """A longer circle is allowed, an archived blocker still blocks, a complete or deleted one does not."""
    a, b, c = (store.create_task(title, "me")["id"] for title in "abc")
    store.update_task(a, blocked_by_task_id=b)
    store.update_task(b, blocked_by_task_id=c)
    assert store.update_task(c, blocked_by_task_id=a)["is_currently_blocked"]
    store.archive_task(c)
    assert store.get_task(b)["is_currently_blocked"]
    store.update_task(c, status="complete")
    assert not store.get_task(b)["is_currently_blocked"]
    store.delete_task(b)
    assert not store.get_task(a)["is_currently_blocked"]


def test_subtasks_go_three_levels_deep_and_take_their_parents_queue(store: TinytaskStore) -> None:
    """The fourth level is refused, whether it is created or moved there; so is a circle."""
    top = store.create_task("top", "me", queue_name="dev")["id"]
    middle = store.create_task("middle", "me", parent_task_id=top)
    low = store.create_task("low", "me", parent_task_id=middle["id"], queue_name="qa")
    assert (middle["queue_name"], low["queue_name"]) == ("dev", "qa")
    with pytest.raises(StoreError, match="3 levels"):
        store.create_task("too low", "me", parent_task_id=low["id"])
    other = store.create_task("other", "me")["id"]
    store.create_task("below other", "me", parent_task_id=other)
    with pytest.raises(StoreError, match="3 levels"):
        store.move_subtask(other, middle["id"])
    with pytest.raises(StoreError, match="circular parent-child"):
        store.update_task(top, parent_task_id=low["id"])
    assert [task["id"] for task in store.get_subtasks(top, recursive=True)] == [middle["id"], low["id"]]


def test_status_rolls_up_through_all_levels_and_moves_updated_at() -> None:
    """Working wins over idle, complete needs all children; a parent that does not change keeps its time."""
    clock = NOW
    store = TinytaskStore(now=lambda: clock)
    top = store.create_task("top", "me")["id"]
    middle = store.create_task("middle", "me", parent_task_id=top)["id"]
    low, last = (store.create_task(title, "me", parent_task_id=middle)["id"] for title in ("low", "last"))
    clock += timedelta(minutes=1)
    store.update_task(low, status="complete")
    assert (store.get_task(top)["status"], store.get_task(top)["updated_at"]) == (
        "idle",
        "2026-11-23T09:30:00Z",
    )
    store.update_task(last, status="working")
    assert (store.get_task(top)["status"], store.get_task(top)["updated_at"]) == (
        "working",
        "2026-11-23T09:31:00Z",
    )
    store.delete_task(last)
    assert store.get_task(top)["status"] == "complete"


def test_notes_and_archiving_leave_updated_at_and_an_empty_update_moves_it() -> None:
    """As recorded for v1's archive_task, and as the protocol page says for the rest."""
    clock = NOW
    store = TinytaskStore(now=lambda: clock)
    store.create_task("t", "me")
    clock += timedelta(hours=1)
    store.add_comment(1, "note")
    store.add_link(1, "docs/a.md")
    assert store.archive_task(1)["updated_at"] == "2026-11-23T09:30:00Z"
    assert store.update_task(1)["updated_at"] == "2026-11-23T10:30:00Z"


def test_a_refused_change_leaves_nothing_behind(store: TinytaskStore) -> None:
    """What was done before the refusal is undone."""
    store.create_task("t", "me", assigned_to="a")
    before = store.get_task(1)
    with pytest.raises(StoreError, match="Task not found: 9"), store.transaction():
        store.move_task(1, "a", "b", "your turn")
        store.add_comment(9, "note")
    assert store.get_task(1) == before


# The web


@pytest.fixture
def twin() -> Iterator[tuple[httpx2.Client, TinytaskStore]]:
    """A client of the sample's REST twin, and the sample."""
    with (
        demo_store(NOW) as store,
        running_server(store, "sse") as url,
        httpx2.Client(base_url=f"{url}/api/v1", timeout=SECONDS) as api,
    ):
        yield api, store


@pytest.mark.parametrize(
    ("query", "filters"),
    [
        ("", {}),
        ("status=&assigned_to=&limit=&unknown=1", {}),
        ("status=idle,working&exclude_status=idle", {"status": "working"}),
        ("assigned_to=backend-dev&queue_name=dev", {"assigned_to": "backend-dev", "queue_name": "dev"}),
        ("limit=3&offset=0x1", {"limit": 3, "offset": 1}),
        ("limit=0&include_archived=true", {"include_archived": True}),
        ("include_archived=0", {}),
        ("exclude_subtasks=1&include_archived=false", {"exclude_subtasks": True}),
        ("parent_task_id=1", {"parent_task_id": 1}),
    ],
)
def test_the_rest_twin_lists_what_the_tools_list(
    twin: tuple[httpx2.Client, TinytaskStore], query: str, filters: dict[str, Any]
) -> None:
    """A bare list, with the tools' filters as a query."""
    api, store = twin
    answer = api.get(f"/tasks?{query}")
    assert answer.json() == store.list_tasks(**filters)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/tasks/9999", 404, "Task 9999 not found"),
        ("/tasks/abc", 400, "id: Expected number, received nan"),
        ("/tasks?status=bogus", 400, "status: Invalid enum value. .*, received 'bogus'"),
        ("/tasks?status=idle,", 400, "status: Invalid enum value. .*, received ''"),
        ("/tasks?exclude_status=bogus", 400, "exclude_status: Invalid enum value"),
        ("/tasks?limit=many", 400, "limit: Expected number, received nan"),
        ("/tasks?limit=1.5", 500, "datatype mismatch"),
        ("/tasks?limit=1e300", 500, ""),
        ("/tasks?parent_task_id=top", 400, "parent_task_id: Expected number, received nan"),
        ("/tasks?include_archived=maybe", 400, "include_archived: Expected boolean, received string"),
    ],
)
def test_the_rest_twin_refuses_in_json(
    twin: tuple[httpx2.Client, TinytaskStore], path: str, status: int, error: str
) -> None:
    """What was asked for in a way that is not valid is no empty list."""
    answer = twin[0].get(path)
    assert answer.status_code == status
    assert re.match(error, answer.json()["error"])


@pytest.mark.parametrize("path", ["/tasks", "/tasks/1"])
def test_what_has_not_changed_is_not_sent_again(twin: tuple[httpx2.Client, TinytaskStore], path: str) -> None:
    """A weak ETag as Express makes it; a change makes another."""
    api, store = twin
    first = api.get(path)
    tag = first.headers["etag"]
    assert first.json() == (store.get_task(1) if path == "/tasks/1" else store.list_tasks())
    digest = base64.b64encode(hashlib.sha1(first.content).digest()).decode()[:27]
    assert tag == f'W/"{len(first.content):x}-{digest}"'
    for known in (tag, f'W/"0-x", {tag}', "*"):
        again = api.get(path, headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert api.get(path, headers={"if-none-match": 'W/"0-x"'}).status_code == 200
    store.update_task(1, title="new")
    changed = api.get(path, headers={"if-none-match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


def test_a_page_of_this_machine_may_read_the_twin(twin: tuple[httpx2.Client, TinytaskStore]) -> None:
    """A notebook on another port, say: CORS allows it, before a request with a header of its own too."""
    page = {"origin": "http://localhost:8888"}
    assert twin[0].get("/tasks/1", headers=page).headers["access-control-allow-origin"] == "*"
    ask = page | {"access-control-request-method": "GET", "access-control-request-headers": "if-none-match"}
    allowed = twin[0].options("/tasks", headers=ask)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "*")
    assert "if-none-match" in allowed.headers["access-control-allow-headers"]


def test_health_and_transport_can_be_told_from_outside(store: TinytaskStore) -> None:
    """What a client finds out before its first session."""
    with running_server(store) as url:
        health = httpx2.get(f"{url}/health", timeout=SECONDS).json()
        assert health == {"status": "healthy", "transport": "streamable-http"}
        assert post(url, "initialize", **GREETING)["serverInfo"] == {"name": "tinytask", "version": "1.0.0"}
    with running_server(store, "sse") as url:
        assert httpx2.get(f"{url}/health", timeout=SECONDS).json() == {"status": "healthy"}
        refused = httpx2.post(f"{url}/mcp", json={}, headers=MCP_HEADERS, timeout=SECONDS)
        assert refused.status_code == 400
        assert "Missing session ID" in refused.text


@pytest.mark.parametrize("transport", ["http", "sse"])
@pytest.mark.parametrize("path", ["/mcp", "/health", "/api/v1/tasks", "/api/v1/tasks/1", "/nowhere"])
def test_foreign_pages_and_hosts_are_refused_on_every_route(transport: Any, path: str) -> None:
    """A page of the web cannot read or write tasks, by a rebound name neither."""
    with TinytaskStore() as store, running_server(store, transport) as url:
        for method in ("GET", "POST"):
            for header in ({"origin": "https://evil.example"}, {"host": "evil.example"}, {"origin": "null"}):
                answer = httpx2.request(method, url + path, headers=MCP_HEADERS | header, timeout=SECONDS)
                assert answer.status_code in (403, 421)
        own = httpx2.get(f"{url}/health", headers={"origin": url}, timeout=SECONDS)
        assert own.status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "192.168.1.5:3000"}, 200),
        ({"host": "[fe80::1]:3000", "origin": "http://[fe80::1]:3000"}, 200),
        ({"host": f"{socket.gethostname().upper()}:3000"}, 200),
        ({"host": "Tasks.example", "origin": "https://tasks.example"}, 200),
        ({"host": "evil.example"}, 421),
        ({"host": "1.2.3.evil.example"}, 421),
        ({"host": "[evil"}, 421),
        ({"host": ""}, 421),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://6.6.6.6", "host": "192.168.1.5"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_a_server_that_is_open_to_the_network_answers_to_its_own_names(
    store: TinytaskStore, headers: dict[str, str], status: int
) -> None:
    """Any address, this machine's name and those that are allowed; a page of another site gets nothing."""
    named = create_app(store, host="0.0.0.0", allowed_hosts=["tasks.EXAMPLE"])
    with running_app(named) as url:
        assert httpx2.get(f"{url}/health", headers=headers, timeout=SECONDS).status_code == status
    with running_app(create_app(store, host="0.0.0.0", allowed_hosts=["*"])) as url:
        if headers.get("host") != "":
            assert httpx2.get(f"{url}/health", headers=headers, timeout=SECONDS).status_code == 200


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], []),
        (["--host", "0.0.0.0"], ["open to the network", "any IP address and this machine's names"]),
        (["--host", "0.0.0.0", "--allow-host", "*"], ["open to the network", "any Host and Origin"]),
        (["--allow-host", "tasks.example"], []),
    ],
)
def test_serve_says_what_it_means_to_be_open_to_the_network(
    options: list[str], said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard error says who can read and change the tasks, and nothing else does."""

    def serve(*arguments: Any, **_: Any) -> None:
        _, host, _, transport, on_ready, allowed_hosts = arguments
        create_app(arguments[0], transport, host, allowed_hosts)
        on_ready("http://somewhere")

    monkeypatch.setattr("calypso_nb.embedded.web.serve", serve)
    done = CliRunner().invoke(app, ["serve", *options])
    assert (done.exit_code, done.stdout) == (0, "TinyTask at http://somewhere\n")
    lines = done.stderr.splitlines()
    assert len(lines) == len(said)
    assert all(words in line for words, line in zip(said, lines, strict=True))


def test_a_port_in_use_is_named(store: TinytaskStore) -> None:
    """The error says which port, before anything is served."""
    with running_server(store) as url:
        port = int(url.rpartition(":")[2])
        with (
            pytest.raises(OSError, match=f"port {port} on 127.0.0.1 is already in use"),
            running_server(store, port=port),
        ):
            pass


@pytest.mark.parametrize("transport", ["http", "sse"])
def test_leaving_a_server_with_an_open_stream_is_quick_and_leaves_no_thread(transport: Any) -> None:
    """A stream that never ends by itself does not hold the server up."""
    with httpx2.Client(timeout=SECONDS) as client:
        with TinytaskStore() as store, running_server(store, transport) as url:
            request = client.build_request("GET", f"{url}/mcp", headers={"accept": "text/event-stream"})
            stream = client.send(request, stream=True)
            assert stream.status_code == 200
            leaving = datetime.now(UTC)
        assert datetime.now(UTC) - leaving < timedelta(seconds=5)
        stream.close()
    assert "tinytask-server" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["http", "sse"])
def test_twenty_thousand_tasks_come_in_one_answer(store: TinytaskStore, transport: Any) -> None:
    """Far above the SDK client's own limit of 1 MiB for one event, so with a bare client."""
    store.insert_many(
        {"title": f"Import tenant {number}", "description": "d" * 80} for number in range(20_000)
    )
    with running_server(store, transport) as url:
        text = call(url, "list_tasks") if transport == "http" else call_over_sse(url, "list_tasks")
    assert json.loads(text)["count"] == 20_000


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["http", "sse"])
def test_a_task_of_two_megabytes_can_be_read(store: TinytaskStore, transport: Any) -> None:
    """Even one whose every character is escaped on the wire."""
    text = "\u0001" * 2_000_000
    store.create_task("big", "me", description=text)
    read = call if transport == "http" else call_over_sse
    with running_server(store, transport) as url:
        assert json.loads(read(url, "get_task", id=1))["description"] == text
        assert httpx2.get(f"{url}/api/v1/tasks/1", timeout=SECONDS).json()["description"] == text


@pytest.mark.parametrize("transport", ["http", "sse"])
def test_a_request_over_100_kilobytes_is_refused(store: TinytaskStore, transport: Any) -> None:
    """With TinyTask's status, however it is sent, and nothing is written; the next request is served."""
    asks = call if transport == "http" else call_over_sse
    create: dict[str, Any] = {"title": "big", "created_by": "me"}
    with running_server(store, transport) as url:
        assert json.loads(asks(url, "create_task", **create, description="d" * 100_000))["id"] == 1
        with pytest.raises(httpx2.HTTPStatusError, match="500"):
            asks(url, "create_task", **create, description="d" * 102_400)
        path = "/mcp" if transport == "http" else f"/mcp?session_id={'0' * 32}"
        pieces = (b"x" * 60_000 for _ in range(2))
        answer = httpx2.post(url + path, content=pieces, headers=MCP_HEADERS, timeout=SECONDS)
        assert answer.status_code == 500
        assert json.loads(asks(url, "list_tasks"))["count"] == 1


READERS = 12


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/mcp", "/api/v1/tasks"])
def test_many_large_answers_at_once_do_not_fill_the_memory(tmp_path: Path, path: str) -> None:
    """Twelve readers of 16 MB take what a few do: some 290 and 110 MB, where all at once took 680 and 220."""
    database = tmp_path / "tinytask.db"
    with TinytaskStore(database) as store:
        store.insert_many({"title": "t", "description": "d" * 8_000} for _ in range(2_000))
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_tasks"}}
    everybody = threading.Barrier(READERS)

    def read(url: str) -> int:
        everybody.wait(SECONDS)
        if path == "/mcp":
            return len(httpx2.post(url + path, json=body, headers=MCP_HEADERS, timeout=SECONDS).content)
        return len(httpx2.get(url + path, timeout=SECONDS).content)

    def highest(pid: int) -> int:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        assert found is not None
        return int(found[1]) * 1024

    with server_over(database) as (url, process), ThreadPoolExecutor(READERS) as readers:
        before = highest(process.pid)
        sizes = list(readers.map(read, [url] * READERS))
        assert min(sizes) > 16_000_000
        assert highest(process.pid) - before < READERS * 16_000_000 * (2.5 if path == "/mcp" else 1)


@pytest.mark.slow
def test_clients_that_stop_reading_do_not_keep_others_waiting(
    store: TinytaskStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A large answer that nobody takes gives its turn back, and is still there for a late reader.

    Nothing is logged about those that go away in the middle of one.
    """
    monkeypatch.setattr(web, "PATIENCE_SECONDS", 0.1)
    store.insert_many({"title": "t", "description": "d" * 8_000} for _ in range(1_000))
    with running_server(store) as url, ExitStack() as asleep:
        clients = [asleep.enter_context(httpx2.Client(base_url=url, timeout=SECONDS)) for _ in range(8)]
        streams = [asleep.enter_context(client.stream("GET", "/api/v1/tasks")) for client in clients]
        for _ in range(8):  # Nor do clients that don't end what they say.
            half = asleep.enter_context(socket.create_connection(url.removeprefix("http://").split(":")))
            half.sendall(b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
        assert json.loads(call(url, "list_tasks", limit=1))["count"] == 1
        assert len(json.loads(streams[-1].read())) == 1_000
        asleep.close()
        assert json.loads(call(url, "list_tasks", limit=1))["count"] == 1
    assert [record for record in caplog.records if record.name == "asyncio"] == []


def call_over_sse(url: str, tool: str, /, **arguments: Any) -> str:
    """A bare SSE session of one call."""
    messages: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": GREETING},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": tool, "arguments": arguments}},
    ]
    with httpx2.Client(base_url=url, timeout=SECONDS) as client, client.stream("GET", "/mcp") as stream:
        events = (line[5:].strip() for line in stream.iter_lines() if line.startswith("data:"))
        endpoint = next(events)
        for message in messages:
            client.post(endpoint, json={"jsonrpc": "2.0"} | message).raise_for_status()
            answer = json.loads(next(events)) if "id" in message else {}
    text: str = answer["result"]["content"][0]["text"]
    return text


# The database


def test_a_file_keeps_everything_for_the_next_server(tmp_path: Path) -> None:
    """Tasks, tags, notes and ids are there after a reopen."""
    path = tmp_path / "tinytask.db"
    with TinytaskStore(path) as store:
        store.create_task("Keep me", "me", tags=["a", "ünïcode 🚀"])
        store.add_comment(1, "kept")
        kept = store.get_task(1)
    with TinytaskStore(path) as store:
        assert store.get_task(1) == kept
        assert store.create_task("next", "me")["id"] == 2


def test_times_and_tags_are_stored_as_tinytask_stores_them(tmp_path: Path) -> None:
    """Whoever reads the file reads UTC without a marker, and NULL for no tags."""
    path = tmp_path / "tinytask.db"
    with TinytaskStore(path, now=lambda: NOW) as store:
        store.create_task("a", "me", tags=["x"])
        store.create_task("b", "me")
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT tags, created_at, updated_at, archived_at FROM tasks").fetchall()
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert rows == [('["x"]', "2026-11-23 09:30:00", "2026-11-23 09:30:00", None), (None, *rows[1][1:])]


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    """The write is refused in those words and leaves nothing behind; once there is room, work goes on."""
    with TinytaskStore(tmp_path / "tinytask.db") as store:
        store.create_task("first", "me")
        (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
        store.connection.execute(f"PRAGMA max_page_count = {pages}")
        big = {"title": "big", "created_by": "me", "description": "d" * 50_000}
        assert ask(store, "create_task", **big) == (
            "Error creating task: Query failed: database or disk is full"
        )
        store.connection.execute("PRAGMA max_page_count = 1000000")
        assert ask(store, "create_task", **big)["id"] == 2


def test_a_v1_file_is_refused_unharmed(tmp_path: Path) -> None:
    """The refusal names what the file lacks."""
    path = tmp_path / "v1.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE tasks (id INTEGER PRIMARY KEY, title TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"no description.*queue_name"):
        TinytaskStore(path)
    assert path.read_bytes() == before


SERVER_SCRIPT = """
import sys
from calypso_nb.embedded import TinytaskStore, running_server, web
web.PATIENCE_SECONDS = 60.0  # However busy the machine is, whoever reads here does so for good.
with running_server(TinytaskStore(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@contextmanager
def server_over(path: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server of its own process over a database file: its address and the process."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER_SCRIPT, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


@pytest.mark.slow
def test_a_server_killed_while_it_writes_loses_nothing_that_it_confirmed(tmp_path: Path) -> None:
    """kill -9 in the middle of a stream of writes; every confirmed id is in the file."""
    path = tmp_path / "tinytask.db"
    confirmed: list[int] = []
    enough = threading.Event()

    def write(url: str) -> None:
        try:
            while True:
                confirmed.append(json.loads(call(url, "create_task", title="w", created_by="me"))["id"])
                if len(confirmed) >= 40:
                    enough.set()
        except httpx2.HTTPError:
            return

    with server_over(path) as (url, process), ThreadPoolExecutor(3) as writers:
        futures = [writers.submit(write, url) for _ in range(3)]
        assert enough.wait(SECONDS)
        process.send_signal(signal.SIGKILL)
        for future in futures:
            future.result(SECONDS)
    with TinytaskStore(path) as store:
        kept = {task["id"] for task in store.list_tasks()}
    assert set(confirmed) <= kept


def test_two_stores_on_one_file_share_the_work(tmp_path: Path) -> None:
    """As two server processes would: neither claims what the other has."""
    path = tmp_path / "tinytask.db"
    with TinytaskStore(path) as one, TinytaskStore(path) as other:
        one.insert_many({"title": f"t{n}", "assigned_to": "a"} for n in range(20))
        claimed = claims([one.signup_for_task, other.signup_for_task])
    assert sorted(claimed) == list(range(1, 21))


def test_no_task_is_claimed_twice(store: TinytaskStore) -> None:
    """Eight threads sign up on one store until nothing is left."""
    store.insert_many({"title": f"t{n}", "assigned_to": "a", "priority": n % 5} for n in range(200))
    claimed = claims([store.signup_for_task] * 8)
    assert sorted(claimed) == list(range(1, 201))


def claims(sign_ups: list[Callable[[str], dict[str, Any] | None]]) -> list[int]:
    def claim_all(sign_up: Callable[[str], dict[str, Any] | None]) -> list[int]:
        return [task["id"] for task in iter(lambda: sign_up("a"), None) if task]

    with ThreadPoolExecutor(len(sign_ups)) as pool:
        return [id for ids in pool.map(claim_all, sign_ups, timeout=SECONDS) for id in ids]


def test_importing_the_store_loads_no_web_server() -> None:
    """Reading a database file must not cost the import of the MCP SDK."""
    check = "import sys, calypso_nb.embedded.store; print({'mcp', 'starlette', 'uvicorn'} & set(sys.modules))"
    root = Path(__file__).parent.parent
    output = subprocess.run(
        [sys.executable, "-c", check], cwd=root, capture_output=True, text=True, timeout=SECONDS, check=True
    )
    assert output.stdout.strip() == "set()"


# The sample


def test_the_sample_is_the_same_for_the_same_seed_and_moment() -> None:
    """Byte by byte; another seed gives another project."""
    first, again, other = TinytaskStore(), TinytaskStore(), TinytaskStore()
    fill_sample(first, now=NOW)
    fill_sample(again, now=NOW)
    fill_sample(other, seed=1, now=NOW)
    assert first.connection.serialize() == again.connection.serialize()
    assert first.connection.serialize() != other.connection.serialize()


@pytest.mark.parametrize("seed", range(5))
def test_the_sample_obeys_tinytasks_rules(seed: int) -> None:
    """Whatever the seed: roll-ups add up, references exist, times are in order, nothing is in the future."""
    with TinytaskStore() as store:
        fill_sample(store, seed=seed, now=NOW)
        assert store.connection.execute("PRAGMA foreign_key_check").fetchall() == []
        tasks = store.list_tasks(include_archived=True)
        for task in tasks:
            assert task["created_at"] <= task["updated_at"] <= "2026-11-23T09:30:00Z"
            children = {child["status"] for child in store.get_subtasks(task["id"])}
            if children:
                rolled = (
                    "complete" if children == {"complete"} else "working" if "working" in children else "idle"
                )
                assert task["status"] == rolled
    shares = {status: count / len(tasks) for status, count in Counter(t["status"] for t in tasks).items()}
    assert 0.38 <= shares["complete"] <= 0.52
    assert 0.28 <= shares["idle"] <= 0.44
    assert 0.11 <= shares["working"] <= 0.24


def test_the_sample_shows_teams_as_they_are(sample: list[dict[str, Any]]) -> None:
    """Many agents with unlike loads, several queues, all priorities, no title twice."""
    assert len(sample) == 300
    assert len({task["title"] for task in sample}) == 300
    assert {task["queue_name"] for task in sample} == {"product", "dev", "qa", "docs", "ops"}
    assert {min(t["priority"] for t in sample), max(t["priority"] for t in sample)} == {-1, 10}
    open_tasks = [t for t in sample if t["status"] != "complete" and not t["archived_at"]]
    loads = Counter(task["assigned_to"] for task in open_tasks if task["assigned_to"])
    agents = {task["assigned_to"] for task in sample} - {None}
    assert 8 <= len(agents) <= 10
    (_, most), (_, second) = loads.most_common(2)
    assert most > 1.5 * second
    assert len(agents - set(loads)) == 1
    working = Counter(task["assigned_to"] for task in open_tasks if task["status"] == "working")
    assert working["frontend-dev"] >= 4


def test_the_sample_holds_what_a_supervisor_looks_for(sample: list[dict[str, Any]]) -> None:
    """Stuck, forgotten, urgent and blocked work, deep subtasks, and some archived."""

    def days(task: dict[str, Any], name: str) -> float:
        return (NOW - datetime.fromisoformat(task[name])) / timedelta(days=1)

    by_id = {task["id"]: task for task in sample}
    shown = [task for task in sample if not task["archived_at"]]
    blockers = [(task, by_id[task["blocked_by_task_id"]]) for task in shown if task["blocked_by_task_id"]]
    assert [t for t in shown if t["status"] == "idle" and not t["assigned_to"] and t["priority"] >= 9]
    assert [t for t in shown if t["status"] == "working" and days(t, "updated_at") > 3]
    assert [t for t in shown if t["status"] == "idle" and days(t, "updated_at") > 30]
    assert any(blocker["status"] == "complete" for _, blocker in blockers)
    assert any(blocker["archived_at"] and blocker["status"] != "complete" for _, blocker in blockers)
    assert any(
        by_id.get(by_id.get(blocker["blocked_by_task_id"], {}).get("blocked_by_task_id"))
        for _, blocker in blockers
    )
    assert any(by_id.get(by_id.get(t["parent_task_id"], {}).get("parent_task_id")) for t in shown)
    assert 0 < len(sample) - len(shown) < 10
    assert min(days(task, "created_at") for task in sample) < 0.1
    assert 35 < max(days(task, "created_at") for task in sample) < 45
    assert any(task["previous_assigned_to"] for task in shown)


def test_the_sample_has_notes_and_links() -> None:
    """Agents' notes, handoffs, pull requests and paths."""
    with demo_store(NOW) as store:
        comments = [text for (text,) in store.connection.execute("SELECT content FROM comments")]
        urls = [url for (url,) in store.connection.execute("SELECT url FROM links")]
    assert len(comments) > 100
    assert any("handing over" in text for text in comments)
    assert any(url.startswith("https://github.com/") for url in urls)
    assert any(url.endswith(".md") and "://" not in url for url in urls)
