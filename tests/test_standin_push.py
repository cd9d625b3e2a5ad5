"""The pushes of the foreign server (tests.standin) to a SignalR hub, against those of a real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import WSMsgType, web

from calypso_nb import TinytaskClient
from tests.conftest import eventually
from tests.standin import NEEDS_STANDIN, running_standin
from tests.test_embedded import call, call_over_sse, recorded

pytestmark = [*NEEDS_STANDIN, pytest.mark.usefixtures("clean_environment")]

END = "\x1e"
PING = {"type": 6}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")

# No test waits for a hub as long as a real server does, or for a minute to end.
hurried = partial(running_standin, push_retry=(0, 20, 50), push_limit=((100_000, 1),))


class Hub:
    """A SignalR hub that can go and come back: what it heard and said, as the recording has it."""

    def __init__(self) -> None:
        self.conversation: list[dict[str, Any]] = []
        self.connections = 0
        self.lost = 0  # So many of the next completions are lost, and the connection with them.
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None
        self._transports: set[asyncio.Transport] = set()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/hub"

    @property
    def invocations(self) -> list[dict[str, Any]]:
        """The invocations that it heard, in order."""
        heard = (entry.get("received") for entry in self.conversation)
        return [record for record in heard if isinstance(record, dict) and record["type"] == 1]

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events that it heard, in order."""
        return [one["arguments"][-1] for one in self.invocations if one["target"] != "JoinGroup"]

    def heard(self, count: int) -> bool:
        """Return whether so many events come in time."""
        return eventually(lambda: len(self.events) >= count)

    def start(self) -> None:
        """Listen."""
        self._run(self._start())

    def stop(self) -> None:
        """Cut all connections, and listen no more."""
        if self._runner:
            self._run(self._stop(self._runner))
        self._runner = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have a thread for the hub, which doesn't listen yet."""
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.stop()
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def _run(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _start(self) -> None:
        app = web.Application()
        app.add_routes([web.post("/hub/negotiate", self._negotiate), web.get("/hub", self._connect)])
        self._runner = web.AppRunner(app, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def _stop(self, runner: web.AppRunner) -> None:
        for site in list(runner.sites):
            await site.stop()
        # Without an end of its own, a WebSocket would hold up the cleanup for a minute.
        for transport in list(self._transports):
            transport.abort()
        await runner.cleanup()

    async def _negotiate(self, request: web.Request) -> web.Response:
        self.connections += 1
        name = f"connection-{self.connections}"
        transports = [{"transport": "WebSockets", "transferFormats": ["Text"]}]
        answer = {
            "negotiateVersion": 1,
            "connectionId": name,
            "connectionToken": name,
            "availableTransports": transports,
        }
        headers = {key: request.headers[key] for key in ("x-requested-with", "user-agent")}
        line = f"{request.method} {request.path_qs}"
        about = {"http": line, "headers": headers, "body": await request.text(), "answer": answer}
        self.conversation.append(about)
        return web.json_response(answer)

    async def _connect(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        transport = cast(asyncio.Transport, request.transport)
        self._transports.add(transport)
        self.conversation.append({"websocket": request.path_qs})
        pings = asyncio.create_task(self._ping(socket))
        try:
            with contextlib.suppress(ConnectionError):
                await self._listen(socket)
        finally:
            pings.cancel()
            self._transports.discard(transport)
        return socket

    async def _listen(self, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            assert message.type == WSMsgType.TEXT
            for text in message.data.split(END)[:-1]:
                record = json.loads(text)
                greets = "protocol" in record
                self.conversation.append({"received": text + END if greets else record})
                if greets:
                    await self._send(socket, {})
                elif record["type"] == 1 and self.lost:
                    self.lost -= 1
                    return
                elif record["type"] == 1:
                    done = {"type": 3, "invocationId": record["invocationId"], "result": None}
                    await self._send(socket, done)

    async def _ping(self, socket: web.WebSocketResponse) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await asyncio.sleep(10)
                await self._send(socket, PING)

    async def _send(self, socket: web.WebSocketResponse, record: dict[str, Any]) -> None:
        self.conversation.append({"sent": record})
        await socket.send_str(json.dumps(record) + END)


@pytest.fixture
def absent_hub() -> Iterator[Hub]:
    """A hub that doesn't listen yet."""
    hub = Hub()
    with hub.running():
        yield hub


@pytest.fixture
def hub(absent_hub: Hub) -> Hub:
    """A hub that listens."""
    absent_hub.start()
    return absent_hub


def play_the_recording(do: Callable[..., str]) -> None:
    """Change tasks as it was done when the real server's pushes were recorded."""
    do("create_task", title="Epic", created_by="lead", queue_name="dev")
    do("create_task", title="Part A", created_by="lead", assigned_to="alice", parent_task_id=1)
    do("create_subtask", title="Part B", created_by="lead", assigned_to="bob", parent_task_id=1)
    do("update_task", id=2, status="working")
    do("update_task", id=2, status="complete")
    do("update_task", id=3, status="complete")
    do("create_task", title="Blocker", created_by="lead", assigned_to="alice")
    do("create_task", title="Blocked", created_by="lead", assigned_to="bob", blocked_by_task_id=4)
    do("update_task", id=4, status="complete")
    do("update_task", id=5, blocked_by_task_id=None)
    do("update_task", id=5, title="Renamed", priority=9, tags=["api"])
    do("update_task", id=5, priority=9)
    do("add_link", task_id=5, url="https://example.com/pr/1", created_by="bob")
    do("add_comment", task_id=5, content="note", created_by="bob")
    do("add_task_to_queue", task_id=5, queue_name="review")
    do("move_task_to_queue", task_id=5, new_queue_name="qa")
    do("remove_task_from_queue", task_id=5)
    do("move_task", task_id=5, current_agent="bob", new_agent="carol", comment="please")
    do("signup_for_task", agent_name="carol")
    do("archive_task", id=4)
    do("delete_task", id=5)


def comparable(conversation: list[dict[str, Any]]) -> list[str]:
    """Return a conversation as text, its times blanked: without pings, and what each Node.js calls itself."""
    kept = [entry for entry in conversation if PING not in (entry.get("received"), entry.get("sent"))]
    lines = [json.dumps({key: value for key, value in entry.items() if key != "t"}) for entry in kept]
    lines = [TIME.sub(lambda time: re.sub(r"\d", "0", time[0]), line) for line in lines]
    return [re.sub(r"(Microsoft SignalR/10.0 \(10.0.0; )[^)]*", r"\1", line) for line in lines]


def now() -> str:
    """Return the time, as an event has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def told(hub: Hub) -> list[tuple[str, dict[str, Any]]]:
    """Return the type of each event, and what its payload has besides the state of its task."""
    state = ("assignee", "owner", "status", "cue")
    return [
        (event["type"], {key: value for key, value in event["payload"].items() if key not in state})
        for event in hub.events
    ]


# The recording


@pytest.mark.parametrize("kind", ["http", "sse"])
def test_the_recorded_conversation_is_repeated(kind: Any, hub: Hub, tmp_path: Path) -> None:
    """The hub hears the real server's records word for word, in their order, but for the times."""
    conversation = recorded("signalr")
    with hurried(kind, tmp_path / "tinytask.db", hub=hub.url) as standin:
        play_the_recording(partial(call if kind == "http" else call_over_sse, standin.url))
        last = [entry["received"] for entry in conversation if "received" in entry][-1]
        assert hub.heard(int(last["invocationId"]) + 1)
        assert eventually(lambda: "sent" in hub.conversation[-1])
    assert comparable(hub.conversation) == comparable(conversation)


def test_a_ping_follows_the_handshake(hub: Hub, tmp_path: Path) -> None:
    """A hub learns at once that its client lives, as it was recorded."""
    ping = recorded("signalr")[4]["received"]
    with hurried("http", tmp_path / "tinytask.db", hub=hub.url):
        assert eventually(lambda: len(hub.conversation) >= 5)
    assert hub.conversation[3:5] == [{"sent": {}}, {"received": ping}]


def test_every_event_has_the_time_of_its_change(hub: Hub, tmp_path: Path) -> None:
    """Times are in milliseconds, in the order of the changes, and between before and after by the clock."""
    started = now()
    with hurried("http", tmp_path / "tinytask.db", hub=hub.url) as standin:
        play_the_recording(partial(call, standin.url))
        ended = now()
        assert hub.heard(29)
    times = [event["timestamp"] for event in hub.events]
    assert times == sorted(times)
    assert all(re.fullmatch(TIME, time)[1] for time in times)  # type: ignore[index]
    assert started <= times[0] <= times[-1] <= ended


# What the recording does not show


def test_an_update_tells_each_of_its_changes(hub: Hub, tmp_path: Path) -> None:
    """A new status, agent and queue have events of their own, after the one with the whole task."""
    with hurried("http", tmp_path / "tinytask.db", hub=hub.url) as standin:
        call(standin.url, "create_task", title="Design", created_by="lead", assigned_to="alice")
        call(standin.url, "update_task", id=1, status="working", assigned_to="bob", queue_name="dev")
        assert hub.heard(5)
    updated = hub.events[1]["payload"]
    assert updated["changedFields"] == ["status", "assigned_to", "queue_name"]
    assert (updated["before"]["assigned_to"], updated["after"]["assigned_to"]) == ("alice", "bob")
    assert told(hub)[2:] == [
        ("task-status-changed", {"taskId": 1, "before": "idle", "after": "working"}),
        ("task-assigned", {"taskId": 1, "before": "alice", "after": "bob"}),
        ("task-queue-changed", {"taskId": 1, "before": None, "after": "dev"}),
    ]
    state = {"assignee": "bob", "owner": "lead", "status": "working", "cue": "dev"}
    assert all(event["payload"].items() >= state.items() for event in hub.events[1:])


def test_notes_and_subtasks_that_change_are_told(hub: Hub, tmp_path: Path) -> None:
    """What comes with an edited, deleted or moved note, and with a moved subtask."""
    with hurried("http", tmp_path / "tinytask.db", hub=hub.url) as standin:
        do = partial(call, standin.url)
        do("create_task", title="Epic", created_by="lead")
        do("create_task", title="Part", created_by="lead", parent_task_id=1)
        do("add_comment", task_id=1, content="first")
        do("add_link", task_id=1, url="docs/a.md")
        assert hub.heard(5)
        do("update_comment", id=1, content="second")
        do("move_comment", comment_id=1, to_task_id=2)
        do("delete_comment", id=1)
        do("update_link", id=1, description="the design")
        do("delete_link", id=1)
        do("move_subtask", subtask_id=2)
        assert hub.heard(12)
    events = told(hub)[5:]
    notes = [(about.pop("comment", {}) or about.pop("link", {})) for _, about in events]
    assert events == [
        ("comment-updated", {"taskId": 1}),
        ("comment-added", {"taskId": 2}),
        ("comment-updated", {"taskId": 1}),
        ("comment-deleted", {"taskId": 1, "commentId": 1}),
        ("link-updated", {"taskId": 1}),
        ("link-deleted", {"taskId": 1, "linkId": 1}),
        ("subtask-moved", {"taskId": 2, "before": 1, "after": None}),
    ]
    assert [note.get("content") or note.get("description") for note in notes] == [
        "second",
        "second",
        "Comment moved to task 2 comment 2",
        None,
        "the design",
        None,
        None,
    ]


def test_what_follows_from_a_change_is_not_told(hub: Hub, tmp_path: Path) -> None:
    """Tasks of a cleared queue, subtasks of a deleted parent, a task that is unblocked, a refused change."""
    with hurried("http", tmp_path / "tinytask.db", hub=hub.url) as standin:
        do = partial(call, standin.url)
        do("create_task", title="Epic", created_by="lead", queue_name="dev")
        do("create_subtask", title="Part", created_by="lead", parent_task_id=1)
        do("create_task", title="Next", created_by="lead", blocked_by_task_id=2)
        assert hub.heard(4)
        do("clear_queue", queue_name="dev")
        do("update_task", id=2, status="complete")
        assert json.loads(do("get_task", id=1))["status"] == "complete"
        assert not json.loads(do("get_task", id=3))["is_currently_blocked"]
        do("delete_task", id=1)
        do("update_task", id=2, status="working")
        do("signup_for_task", agent_name="nobody")
        do("add_comment", task_id=3, content="the last")
        assert hub.heard(9)
    assert hub.events[4]["payload"] == {"queueName": "dev", "count": 2}
    assert [(kind, about.get("taskId")) for kind, about in told(hub)[4:]] == [
        ("queue-cleared", None),
        ("task-updated", 2),
        ("task-status-changed", 2),
        ("task-deleted", 1),
        ("comment-added", 3),
    ]


def test_v1_never_pushes(hub: Hub, tmp_path: Path) -> None:
    """A hub that hears from a v2 server, which started later, has heard nothing from v1."""
    with (
        hurried("v1", tmp_path / "v1.db", hub=hub.url) as old,
        hurried("http", tmp_path / "v2.db", hub=hub.url) as new,
    ):
        call_over_sse(old.url, "create_task", title="old")
        call(new.url, "create_task", title="new", created_by="lead")
        assert hub.heard(1)
    assert (hub.connections, [event["payload"]["task"]["title"] for event in hub.events]) == (1, ["new"])


# Late and lossy


def test_a_group_is_joined_on_every_connection_before_it_is_sent_to(hub: Hub, tmp_path: Path) -> None:
    """A hub that was away forgot who is in which group; what happened meanwhile arrives after that."""
    with hurried("http", tmp_path / "tinytask.db", hub=hub.url, group="team") as standin:
        create = partial(call, standin.url, "create_task", created_by="lead")
        create(title="before")
        assert hub.heard(1)
        hub.stop()
        create(title="meanwhile")
        create(title="and again")
        hub.start()
        assert eventually(lambda: hub.events[-1]["payload"]["task"]["title"] == "and again")
    asked = [(one["target"], *one["arguments"][:-1]) for one in hub.invocations]
    assert set(asked) == {("JoinGroup",), ("SendToGroup", "team")}
    assert [one["invocationId"] for one in hub.invocations] == [str(number) for number in range(len(asked))]
    assert asked.count(("JoinGroup",)) == hub.connections == 2
    heard = [entry["received"] for entry in hub.conversation if entry.get("received", PING) != PING]
    greetings = [number for number, record in enumerate(heard) if isinstance(record, str)]
    assert [heard[number + 1]["arguments"] for number in greetings] == [["team"], ["team"]]
    # The first completion may have gone with the hub, and then its event came again.
    titles = [event["payload"]["task"]["title"] for event in hub.events]
    assert [*dict.fromkeys(titles)] == ["before", "meanwhile", "and again"]


def test_the_oldest_of_more_than_500_events_are_dropped(absent_hub: Hub, tmp_path: Path) -> None:
    """A hub that comes late gets the newest 500 events, with the times of their changes."""
    with (
        hurried("http", tmp_path / "tinytask.db", hub=absent_hub.url) as standin,
        TinytaskClient(standin.url) as client,
    ):
        client.create_task("edit 0", created_by="lead")
        for number in range(1, 621):
            client.update_task(1, title=f"edit {number}")
        ended = now()
        absent_hub.start()
        assert absent_hub.heard(500)
        client.update_task(1, title="the end")
        assert absent_hub.heard(501)
    titles = [event["payload"]["after"]["title"] for event in absent_hub.events]
    assert titles == [f"edit {number}" for number in range(121, 621)] + ["the end"]
    times = [event["timestamp"] for event in absent_hub.events]
    assert times == sorted(times)
    assert times[499] <= ended < times[500]


def test_an_event_whose_completion_is_lost_is_sent_again(hub: Hub, tmp_path: Path) -> None:
    """The hub gets it twice, the same in all, and what came after it once."""
    hub.lost = 2
    with hurried("http", tmp_path / "tinytask.db", hub=hub.url) as standin:
        call(standin.url, "create_task", title="first", created_by="lead")
        call(standin.url, "create_task", title="second", created_by="lead")
        assert hub.heard(4)
    first, again, once_more, second = hub.events
    assert first == again == once_more
    assert [first["payload"]["task"]["title"], second["payload"]["task"]["title"]] == ["first", "second"]
    assert hub.connections == 3


def test_no_more_events_are_sent_than_the_limits_allow(hub: Hub, tmp_path: Path) -> None:
    """Of 7 events, with 3 a second, the last is sent after two seconds, and none is lost."""
    limit = ((3, 1_000), (100, 60_000))
    started = time.monotonic()
    with hurried("http", tmp_path / "tinytask.db", hub=hub.url, push_limit=limit) as standin:
        for number in range(7):
            call(standin.url, "create_task", title=f"task {number}", created_by="lead")
        assert hub.heard(7)
    assert time.monotonic() - started >= 2
    assert [event["payload"]["taskId"] for event in hub.events] == [*range(1, 8)]
