"""The embedded server pushes to a SignalR hub what a real one was recorded to push, and in the same way."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest
from aiohttp import WSMsgType, web
from anyio.from_thread import start_blocking_portal
from mcp import Client
from mcp.client.sse import sse_client

from calypso_nb.embedded import TinytaskStore, create_server, running_server
from calypso_nb.embedded import web as served
from calypso_nb.embedded.push import Pusher
from calypso_nb.errors import UsageError
from tests.conftest import SECONDS, SLACK, eventually

RECORDING = Path(__file__).parent / "data" / "tinytask-signalr.jsonl"
END = "\x1e"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d\d\d)?Z")
Record = dict[str, Any]


class Hub:
    """A SignalR hub: `log` is what came, and `answer` says what becomes of an invocation."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.answer: Callable[[Record], Record | None] = lambda invocation: {"result": None}
        self.url = ""
        self.socket: web.WebSocketResponse | None = None

    @property
    def invocations(self) -> list[Record]:
        return [entry for entry in self.log if isinstance(entry, dict) and entry.get("type") == 1]

    @property
    def events(self) -> list[Record]:
        return [call["arguments"][-1] for call in self.invocations if call["target"] != "JoinGroup"]

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]

    def titles(self) -> list[str]:
        return [event["payload"]["task"]["title"] for event in self.events]

    async def negotiate(self, request: web.Request) -> web.Response:
        self.log.append(f"POST {request.path_qs}")
        transports = [{"transport": "WebSockets", "transferFormats": ["Text"]}]
        token = {"connectionId": "connection-1", "connectionToken": "connection-1"}
        return web.json_response({"negotiateVersion": 1, **token, "availableTransports": transports})

    async def talk(self, request: web.Request) -> web.WebSocketResponse:
        self.log.append(request.path_qs)
        self.socket = ws = web.WebSocketResponse()
        await ws.prepare(request)
        self.log.append(await ws.receive_str())
        await ws.send_str(f"{{}}{END}")
        async for message in ws:
            if message.type is not WSMsgType.TEXT:
                break
            assert message.data.endswith(END)
            for text in message.data.split(END)[:-1]:
                self.log.append(json.loads(text))
                if self.log[-1]["type"] == 6:
                    await ws.send_str(f'{{"type":6}}{END}')
                elif (answer := self.answer(self.log[-1])) is None:
                    await ws.close()
                elif answer:
                    completion = {"type": 3, "invocationId": self.log[-1]["invocationId"], **answer}
                    await ws.send_str(json.dumps(completion) + END)
        return ws

    @asynccontextmanager
    async def serving(self, listener: socket.socket) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_post("/{hub:.*}/negotiate", self.negotiate)
        app.router.add_get("/{hub:.*}", self.talk)
        runner = web.AppRunner(app, shutdown_timeout=0)
        await runner.setup()
        await web.SockSite(runner, listener).start()
        try:
            yield
        finally:
            if self.socket is not None:
                await self.socket.close()
            await runner.cleanup()


@contextmanager
def reserved() -> Iterator[tuple[socket.socket, str]]:
    """A port at which nobody listens yet, and the URL of a hub there."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener, f"http://127.0.0.1:{listener.getsockname()[1]}/hub"


@contextmanager
def running_hub(listener: socket.socket | None = None) -> Iterator[Hub]:
    """A hub, in a thread of its own."""
    hub = Hub()
    with reserved() as (fresh, _), start_blocking_portal() as portal:
        listener = listener or fresh
        hub.url = f"http://127.0.0.1:{listener.getsockname()[1]}/hub"
        with portal.wrap_async_context_manager(hub.serving(listener)):
            yield hub


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


# That a hub is away is said, whatever else a test is about.
pytestmark = pytest.mark.filterwarnings("ignore:the SignalR hub")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server pushes without limits, and comes back at once."""
    adapt(monkeypatch)


def adapt(monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    quick = {"delays": (0, 0.02), "limits": (), **options}
    monkeypatch.setattr(served, "Pusher", partial(Pusher, **quick))


def call(server: Any, *calls: tuple[str, Record]) -> None:
    """Call tools one after the other, of a server in this process or at a URL."""

    async def play() -> None:
        with anyio.fail_after(SECONDS):
            async with Client(f"{server}/mcp" if isinstance(server, str) else server) as client:
                for tool, arguments in calls:
                    await client.call_tool(tool, arguments)

    anyio.run(play)


def task(title: str, **fields: Any) -> tuple[str, Record]:
    return "create_task", {"title": title, "created_by": "lead", **fields}


def update(id: int, **fields: Any) -> tuple[str, Record]:
    return "update_task", {"id": id, **fields}


def pushed(store: TinytaskStore, *calls: tuple[str, Record]) -> list[Record]:
    """What is pushed of some calls."""
    events: list[Record] = []
    call(create_server(store, pushed=events.append), *calls)
    return events


# What was played when the recording was made.
SCENARIO = (
    task("Epic", queue_name="dev"),
    task("Part A", parent_task_id=1, assigned_to="alice"),
    ("create_subtask", {"parent_task_id": 1, "title": "Part B", "assigned_to": "bob", "created_by": "lead"}),
    update(2, status="working"),
    update(2, status="complete"),
    update(3, status="complete"),
    task("Blocker", assigned_to="alice"),
    task("Blocked", assigned_to="bob", blocked_by_task_id=4),
    update(4, status="complete"),
    update(5, blocked_by_task_id=None),
    update(5, title="Renamed", priority=9, tags=["api"]),
    update(5, title="Renamed"),
    ("add_link", {"task_id": 5, "url": "https://example.com/pr/1", "created_by": "bob"}),
    ("add_comment", {"task_id": 5, "content": "note", "created_by": "bob"}),
    ("add_task_to_queue", {"task_id": 5, "queue_name": "review"}),
    ("move_task_to_queue", {"task_id": 5, "new_queue_name": "qa"}),
    ("remove_task_from_queue", {"task_id": 5}),
    ("move_task", {"task_id": 5, "current_agent": "bob", "new_agent": "carol", "comment": "please"}),
    ("signup_for_task", {"agent_name": "carol"}),
    ("archive_task", {"id": 4}),
    ("delete_task", {"id": 5}),
)


def timeless(value: Any) -> str:
    """The JSON of a value, its keys in order and its times blanked."""
    return TIME.sub(lambda found: re.sub(r"\d", "0", found.group()), json.dumps(value))


def recorded() -> list[Any]:
    """What the real server sent to the hub."""
    lines = [json.loads(line) for line in RECORDING.read_text("utf-8").splitlines()]
    sent = [line.get("http") or line.get("websocket") or line.get("received") for line in lines]
    return [entry for entry in sent if entry]


@pytest.mark.parametrize("transport", ["http", "sse"])
def test_the_recorded_scenario_gives_the_recorded_conversation(
    store: TinytaskStore, hub: Hub, transport: Any
) -> None:
    """Negotiation, greeting, first ping and all events: word for word, apart from the times."""
    expected = recorded()
    with running_server(store, transport, hub=hub.url) as url:
        assert eventually(lambda: {"type": 6} in hub.log)
        call(url if transport == "http" else sse_client(f"{url}/mcp"), *SCENARIO)
        assert eventually(lambda: len(hub.log) >= len(expected))
    assert [timeless(entry) for entry in hub.log] == [timeless(entry) for entry in expected]


def test_an_event_has_the_time_of_the_change_in_milliseconds(store: TinytaskStore) -> None:
    """It may be sent minutes later."""
    store.now = lambda: datetime(2026, 11, 24, 16, 10, 27, 406_987, timezone(timedelta(hours=2)))
    assert [event["timestamp"] for event in pushed(store, task("Plan"))] == ["2026-11-24T14:10:27.406Z"]


def test_an_update_tells_each_of_its_changes(store: TinytaskStore) -> None:
    """One event with all of it, and one each for status, agent and queue."""
    store.create_task("Plan", "lead", assigned_to="alice")
    events = pushed(store, update(1, status="working", assigned_to="bob", queue_name="dev"))
    assert [event["type"] for event in events] == [
        "task-updated",
        "task-status-changed",
        "task-assigned",
        "task-queue-changed",
    ]
    assert events[0]["payload"]["changedFields"] == ["status", "assigned_to", "queue_name"]
    assert events[2]["payload"] == {
        "taskId": 1,
        "before": "alice",
        "after": "bob",
        "assignee": "bob",
        "owner": "lead",
        "status": "working",
        "cue": "dev",
    }
    assert {key: events[3]["payload"][key] for key in ("before", "after")} == {"before": None, "after": "dev"}


def test_comments_links_and_subtasks_are_told_with_their_task(store: TinytaskStore) -> None:
    """Whatever it is about, an event names a task and its agent."""
    store.create_task("Plan", "lead", assigned_to="alice")
    store.create_task("Part", "lead")
    store.add_comment(1, "note", "bob")
    store.add_link(1, "https://example.com")
    events = pushed(
        store,
        ("update_comment", {"id": 1, "content": "better"}),
        ("move_comment", {"comment_id": 1, "to_task_id": 2}),
        ("delete_comment", {"id": 1}),
        ("update_link", {"id": 1, "description": "a page"}),
        ("delete_link", {"id": 1}),
        ("move_subtask", {"subtask_id": 2, "new_parent_id": 1}),
    )
    told = [(event["type"], event["payload"]["taskId"], event["payload"]["assignee"]) for event in events]
    assert told == [
        ("comment-updated", 1, "alice"),
        ("comment-added", 2, None),
        ("comment-deleted", 1, "alice"),
        ("link-updated", 1, "alice"),
        ("link-deleted", 1, "alice"),
        ("subtask-moved", 2, None),
    ]
    assert events[0]["payload"]["comment"]["content"] == "better"
    assert (events[5]["payload"]["before"], events[5]["payload"]["after"]) == (None, 1)


def test_what_a_real_server_never_tells_is_silent(store: TinytaskStore) -> None:
    """Roll-ups, tasks that are free again, cascades, what a cleared queue held; refused calls as well."""
    for title in ("Epic", "Blocker", "Other"):
        store.create_task(title, "lead", queue_name="dev")
    store.create_task("Part", "lead", parent_task_id=1, blocked_by_task_id=2)
    events = pushed(
        store,
        update(4, status="working"),
        update(2, status="complete"),
        ("clear_queue", {"queue_name": "dev"}),
        ("delete_task", {"id": 1}),
        ("delete_task", {"id": 99}),
        ("signup_for_task", {"agent_name": "nobody"}),
        ("update_task", {"id": "x"}),
        ("list_tasks", {}),
    )
    assert [(event["type"], event["payload"].get("taskId")) for event in events] == [
        ("task-updated", 4),
        ("task-status-changed", 4),
        ("task-updated", 2),
        ("task-status-changed", 2),
        ("queue-cleared", None),
        ("task-deleted", 1),
    ]
    assert events[4]["payload"] == {"queueName": "dev", "count": 4}


def test_a_refused_call_is_answered_as_without_a_hub(store: TinytaskStore) -> None:
    """Nobody can see from an answer whether a hub is told."""
    store.create_task("Plan", "lead")
    refused = (
        ("delete_task", {"id": 99}),
        ("update_comment", {"id": 9, "content": "x"}),
        ("delete_link", {"id": 9}),
        ("move_comment", {"comment_id": 9, "to_task_id": 1}),
        ("move_subtask", {"subtask_id": 7.5}),
        update(1, title=" "),
        update(1e300, title="Plan"),
    )

    async def answers(server: Any) -> list[Any]:
        with anyio.fail_after(SECONDS):
            async with Client(server) as client:
                results = [await client.call_tool(tool, arguments) for tool, arguments in refused]
        return [(result.is_error, result.content) for result in results]

    told: list[Record] = []
    assert anyio.run(answers, create_server(store, pushed=told.append)) == anyio.run(
        answers, create_server(store)
    )
    assert told == []


def test_a_group_is_joined_first_and_on_each_connection(store: TinytaskStore, hub: Hub) -> None:
    """Its members alone get the events."""
    hub.answer = lambda call: None if [call] == hub.invocations[1:] else {"result": None}
    with running_server(store, hub=hub.url, group="team") as url:
        call(url, task("Plan"))
        assert eventually(lambda: len(hub.events) == 2)
    assert [(call["target"], call["arguments"][0]) for call in hub.invocations] == [
        ("JoinGroup", "team"),
        ("SendToGroup", "team"),
        ("JoinGroup", "team"),
        ("SendToGroup", "team"),
    ]
    assert hub.events[0] == hub.events[1]


def test_a_hub_that_was_away_gets_what_waits_and_the_oldest_are_dropped(
    store: TinytaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server works on without it."""
    adapt(monkeypatch, waiting=3)
    with (
        reserved() as (listener, address),
        pytest.warns(UserWarning, match="the newest 3 events wait"),
        running_server(store, hub=address) as url,
    ):
        call(url, *(task(f"Task {number}") for number in range(5)))
        with running_hub(listener) as hub:
            assert eventually(lambda: len(hub.events) == 3)
            call(url, task("Task 5"))
            assert eventually(lambda: len(hub.events) == 4)
    assert hub.titles() == [f"Task {number}" for number in range(2, 6)]


@pytest.mark.parametrize("answer", [None, {}, {"error": "no disk"}], ids=["hangs up", "nothing", "an error"])
def test_an_event_that_is_not_confirmed_is_sent_again(
    store: TinytaskStore, hub: Hub, monkeypatch: pytest.MonkeyPatch, answer: Record | None
) -> None:
    """It comes before those after it, at the price that the hub may get it twice."""
    adapt(monkeypatch, patience=0.5, ping=0.05)
    hub.answer = lambda invocation: {"result": None} if len(hub.events) > 1 else answer
    with running_server(store, hub=hub.url) as url:
        call(url, task("One"), task("Two"))
        assert eventually(lambda: hub.titles()[-1:] == ["Two"])
    assert hub.titles()[:2] == ["One", "One"]
    assert hub.events[0] == hub.events[1]


def test_no_more_events_are_sent_than_the_limits_allow(
    store: TinytaskStore, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection lives on meanwhile, and what waits is not lost to it."""
    adapt(monkeypatch, limits=((2, 3600), (9, 7200)), ping=0.01)
    with running_server(store, hub=hub.url) as url:
        call(url, *(task(f"Task {number}") for number in range(4)))
        assert eventually(lambda: len(hub.events) == 2)
        pings = hub.log.count({"type": 6})
        assert eventually(lambda: hub.log.count({"type": 6}) > pings + 5)
    assert hub.titles() == ["Task 0", "Task 1"]


def test_a_query_of_the_hub_reaches_both_requests(store: TinytaskStore, hub: Hub) -> None:
    """A credential may be in it."""
    with running_server(store, hub=f"{hub.url}/a%2Fb?code=s%2Bcret"):
        assert eventually(lambda: {"type": 6} in hub.log)
    assert hub.log[:2] == [
        "POST /hub/a%2Fb/negotiate?code=s%2Bcret&negotiateVersion=1",
        "/hub/a%2Fb?code=s%2Bcret&id=connection-1",
    ]


@pytest.mark.parametrize("what", ["nobody", "another server"])
def test_a_credential_in_the_address_is_never_shown(
    store: TinytaskStore, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], what: str
) -> None:
    """A warning names the host and the port, be nobody there or something that is not a hub."""
    with reserved() as (_, away), running_server(store) as other:
        place = urlsplit(away if what == "nobody" else other).netloc
        address = f"http://user:s3cret@{place}/s3cret?code=s3cret"
        with pytest.warns(UserWarning, match=place) as warned, running_server(store, hub=address) as url:
            call(url, task("Plan"))
            assert eventually(lambda: bool(warned.list))
    shown = [str(warning.message) for warning in warned] + [caplog.text, *capfd.readouterr()]
    assert not any("s3cret" in text for text in shown)


@pytest.mark.parametrize(
    "address", ["hub", "ftp://s3cret/hub", "http://", "http://[s3cret", "http://h:s3cret"]
)
def test_an_address_that_is_none_is_refused_without_being_shown(store: TinytaskStore, address: str) -> None:
    """The error comes at once, not from the first event."""
    with pytest.raises(UsageError, match="valid URL of a hub") as refused:
        served.create_app(store, hub=address)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("what", ["confirms nothing", "never answers", "is away"])
def test_the_server_stops_at_once(store: TinytaskStore, hub: Hub, what: str) -> None:
    """No hub keeps it, whatever the hub does."""
    hub.answer = lambda invocation: {}
    with reserved() as (listener, address):
        if what == "never answers":
            listener.listen()
        with running_server(store, hub=hub.url if what == "confirms nothing" else address) as url:
            call(url, task("Plan"), task("Build"))
            assert what != "confirms nothing" or eventually(lambda: bool(hub.events))
            before = time.monotonic()
        assert time.monotonic() - before < SLACK
