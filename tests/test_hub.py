"""The recorder's hub: the conversation as recorded from a real server, and whoever else comes to the port."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest

from calypso_nb import History, Recorder, TinytaskClient, TinytaskConnectionError
from calypso_nb.embedded import TinytaskStore, create_server
from calypso_nb.errors import UsageError
from calypso_nb.history import hub as hubs
from calypso_nb.history.hub import Hub
from tests.conftest import SECONDS, eventually

RECORDING = [
    json.loads(line)
    for line in (Path(__file__).parent / "data/tinytask-signalr.jsonl").read_text().splitlines()
]
END = "\x1e"
TOKEN = "s3cret-of-the-hub"

pytestmark = pytest.mark.slow


@pytest.fixture
def heard() -> list[Any]:
    """What a hub has been told, in order."""
    return []


@pytest.fixture
def hub(heard: list[Any]) -> Iterator[Hub]:
    """A hub on a free port."""
    hub = Hub("127.0.0.1:0", TOKEN, heard.append)
    hub.start()
    yield hub
    hub.stop()


class Caller:
    """A SignalR client that says exactly what a test wants."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http, self.url = http, url

    async def connect(self) -> Any:
        """Negotiate, open the WebSocket, and shake hands."""
        async with self._http.post(f"{self.url}/negotiate?negotiateVersion=1") as response:
            assert response.status == 200
            said = await response.json()
        assert said["availableTransports"] == [{"transport": "WebSockets", "transferFormats": ["Text"]}]
        self.socket = await self._http.ws_connect(f"{self.url}?id={said['connectionToken']}")
        await self.socket.send_str('{"protocol":"json","version":1}' + END)
        assert await self.next() == {}
        return self

    async def next(self) -> Any:
        """Return the next record that is not a ping."""
        while True:
            text = (await self.socket.receive(timeout=SECONDS)).data
            assert isinstance(text, str), text
            record = json.loads(text.removesuffix(END))
            if record != {"type": 6}:
                return record


def talk(url: str, conversation: Any) -> Any:
    """Have a conversation with a hub from beginning to end."""

    async def whole() -> Any:
        async with aiohttp.ClientSession() as http:
            return await conversation(Caller(http, url))

    return asyncio.run(whole())


def test_the_recorded_conversation_gets_the_recorded_answers(hub: Hub, heard: list[Any]) -> None:
    """Record by record, pings aside, which come by the clock."""

    async def conversation(caller: Caller) -> list[Any]:
        await caller.connect()
        answers = []
        for line in RECORDING:
            if isinstance(received := line.get("received"), dict):
                await caller.socket.send_str(json.dumps(received) + END)
                if received["type"] == 1:
                    answers.append(await caller.next())
        return answers

    sent = [line["sent"] for line in RECORDING if line.get("sent") not in (None, {}, {"type": 6})]
    assert talk(hub.url, conversation) == sent
    invoked = [line["received"] for line in RECORDING if "arguments" in str(line.get("received"))]
    assert heard == [one["arguments"][0] for one in invoked]


def test_records_may_be_cut_anyhow_and_a_group_may_be_joined(hub: Hub, heard: list[Any]) -> None:
    """Two in one message, one in two messages, and an event to a group."""

    async def conversation(caller: Caller) -> list[Any]:
        await caller.connect()
        join = json.dumps({"type": 1, "invocationId": "0", "target": "JoinGroup", "arguments": ["team"]})
        send = json.dumps(
            {"type": 1, "invocationId": "1", "target": "SendToGroup", "arguments": ["team", {"a": 1}]}
        )
        await caller.socket.send_str(join + END + send[:20])
        await caller.socket.send_str(send[20:] + END)
        return [await caller.next(), await caller.next()]

    done = talk(hub.url, conversation)
    assert done == [{"type": 3, "invocationId": number, "result": None} for number in "01"]
    assert heard == [{"a": 1}]


def test_an_unknown_method_is_an_error_of_that_call_alone(hub: Hub, heard: list[Any]) -> None:
    """SignalR's own words; what comes next is taken."""

    async def conversation(caller: Caller) -> list[Any]:
        await caller.connect()
        for number, target in enumerate(("DropTables", "BroadcastMessage")):
            call = {"type": 1, "invocationId": str(number), "target": target, "arguments": [1]}
            await caller.socket.send_str(json.dumps(call) + END)
        return [await caller.next(), await caller.next()]

    refused, taken = talk(hub.url, conversation)
    assert "error" in refused
    assert "result" in taken
    assert heard == [1]


@pytest.mark.parametrize("path", ["/hub/wrong/negotiate", "/hub/", f"/hub/{TOKEN}x/negotiate", "/"])
def test_a_wrong_token_gets_no_further_than_a_wrong_path(hub: Hub, path: str) -> None:
    """Nothing tells which of the two it was, and the token is compared in constant time."""

    async def conversation(caller: Caller) -> tuple[int, str]:
        async with caller._http.post(hub.url.partition("/hub/")[0] + path) as response:
            return response.status, await response.text()

    status, text = talk(hub.url, conversation)
    assert status in (404, 405)
    assert TOKEN not in text


def test_a_websocket_without_a_negotiated_id_is_refused(hub: Hub) -> None:
    """The id works once."""

    async def conversation(caller: Caller) -> None:
        for query in ("", "?id=", "?id=made-up"):
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await caller._http.ws_connect(hub.url + query)

    talk(hub.url, conversation)


@pytest.mark.parametrize(
    "text",
    [
        "not JSON" + END,
        "[1, 2" + END,
        '{"protocol":"messagepack","version":1}' + END,
        "null" + END,
        "x" * 9_000_000,
    ],
    ids=["text", "half", "another protocol", "null", "too long"],
)
def test_garbage_ends_its_own_connection_and_no_other(hub: Hub, heard: list[Any], text: str) -> None:
    """Whoever is connected beside it is served on."""

    async def conversation(caller: Caller) -> None:
        await caller.connect()
        other = Caller(caller._http, caller.url)
        async with caller._http.post(f"{hub.url}/negotiate") as response:
            token = (await response.json())["connectionToken"]
        other.socket = await caller._http.ws_connect(f"{hub.url}?id={token}")
        with suppress(ConnectionError):
            await other.socket.send_str(text)
        while (await other.socket.receive(timeout=SECONDS)).type is aiohttp.WSMsgType.TEXT:
            pass
        call = {"type": 1, "invocationId": "7", "target": "BroadcastMessage", "arguments": ["here"]}
        await caller.socket.send_str(json.dumps(call) + END)
        assert (await caller.next())["invocationId"] == "7"

    talk(hub.url, conversation)
    assert heard == ["here"]


def called(number: int, event: Any) -> str:
    """A record that invokes the hub with an event."""
    call = {"arguments": [event], "invocationId": str(number), "target": "BroadcastMessage", "type": 1}
    return json.dumps(call) + END


def confirmed(hub: Hub, *records: str) -> list[Any]:
    """Send records on one connection, and return what is confirmed until the last one is."""

    async def conversation(caller: Caller) -> list[Any]:
        await caller.connect()
        answers = list[Any]()
        for record in records:
            await caller.socket.send_str(record)
        while not answers or answers[-1]["invocationId"] != str(len(records) - 1):
            answers.append(await caller.next())
        return answers

    done: list[Any] = talk(hub.url, conversation)
    return done


@pytest.mark.parametrize(
    "error", [sqlite3.ProgrammingError("too many"), OverflowError("too large"), RecursionError("too deep")]
)
def test_an_event_that_can_not_be_kept_does_not_hold_up_the_next_ones(error: Exception) -> None:
    """It is confirmed too, since a server sends what is not confirmed again before all else."""
    heard = list[Any]()

    def receive(event: Any) -> None:
        if event == "odd":
            raise error
        heard.append(event)

    hub = Hub("127.0.0.1:0", TOKEN, receive)
    hub.start()
    try:
        answers = confirmed(hub, called(0, "odd"), called(1, "good"))
    finally:
        hub.stop()
    assert answers == [{"type": 3, "invocationId": number, "result": None} for number in "01"]
    assert heard == ["good"] and hub.unkept == 1


@pytest.mark.parametrize("error", [OSError("full"), UsageError("damaged")])
def test_what_the_file_refuses_is_not_confirmed(error: Exception) -> None:
    """The server sends it again."""

    def receive(_: Any) -> None:
        raise error

    hub = Hub("127.0.0.1:0", TOKEN, receive)
    hub.start()

    async def conversation(caller: Caller) -> Any:
        await caller.connect()
        await caller.socket.send_str(called(0, "good"))
        return (await caller.socket.receive(timeout=SECONDS)).type

    try:
        assert talk(hub.url, conversation) in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
    finally:
        hub.stop()
    assert hub.unkept == 0


def test_half_a_character_is_heard_as_it_is(hub: Hub, heard: list[Any]) -> None:
    """Node writes it as an escape of its own, which not every reader of JSON takes."""
    assert len(confirmed(hub, called(0, "\ud800"), called(1, "next"))) == 2
    assert heard == ["\ud800", "next"]


def test_what_nobody_can_read_is_confirmed_and_skipped(hub: Hub, heard: list[Any]) -> None:
    """JSON that is nested deeply, or cut short, would come again for ever."""
    deep = called(0, 0).replace("[0]", "[" * 100_000 + "]" * 100_000)
    answers = confirmed(hub, deep, called(1, 0)[:-3] + END, "nothing" + END, called(3, "next"))
    assert [answer["invocationId"] for answer in answers] == ["0", "1", "3"]
    assert heard == ["next"] and hub.unkept == 2


def test_a_task_of_several_megabytes_is_heard(hub: Hub, heard: list[Any]) -> None:
    """Updates of 100 kB each fill it field by field."""
    task = {"description": "x" * 5_000_000}
    assert len(confirmed(hub, called(0, task))) == 1
    assert heard == [task]


def test_whoever_sends_no_records_is_hung_up_on_soon(hub: Hub) -> None:
    """A message of eight megabytes holds four million of them."""

    async def conversation(caller: Caller) -> None:
        await caller.connect()
        before = time.process_time()
        with suppress(ConnectionError):
            await caller.socket.send_str(("1" + END) * 4_000_000)
        while (await caller.socket.receive(timeout=SECONDS)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert time.process_time() - before < 2

    talk(hub.url, conversation)


def asked(token: str) -> bytes:
    """A request to negotiate."""
    return f"POST /hub/{token}/negotiate HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()


def test_who_shows_no_token_goes_sooner_than_who_does(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place is taken up only briefly by a connection that asks for nothing, or for something else."""
    monkeypatch.setattr(hubs, "_FIRST_SECONDS", 0.2)
    port = int(hub.url.split(":")[2].split("/")[0])
    with ExitStack() as stack:
        silent, wrong, known = (
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=SECONDS))
            for _ in range(3)
        )
        for connection, token in ((wrong, "wrong"), (known, TOKEN)):
            connection.sendall(asked(token))
        while silent.recv(4096) or wrong.recv(4096):
            pass
        known.recv(4096)
        known.sendall(asked(TOKEN))
        assert known.recv(4096).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("token", ["", "short", "a/b c%?#-and-more-letters"])
def test_a_token_that_fits_no_url_is_refused_with_what_to_do(
    token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is from the environment, or from a file that is empty or damaged."""
    path = tmp_path / "history.db"
    place = tmp_path / "history.db.hub-token"
    with TinytaskStore() as store, TinytaskClient(create_server(store)) as client:
        place.write_text(token)
        with pytest.raises(UsageError, match=f"delete {place} for a new one"):
            Recorder(client, path, hub="127.0.0.1:0")
        place.unlink()
        with Recorder(client, path, hub="127.0.0.1:0") as recorder:
            assert str(recorder.hub_url).endswith("/hub/" + place.read_text())
        assert place.stat().st_mode & 0o777 == 0o600
        assert [*tmp_path.glob("*token*")] == [place]
        monkeypatch.setenv("TINYTASK_HUB_TOKEN", token or "-")
        with pytest.raises(UsageError, match="choose another TINYTASK_HUB_TOKEN"):
            Recorder(client, path, hub="127.0.0.1:0")


def test_a_body_of_a_gigabyte_is_not_read(hub: Hub) -> None:
    """It is refused at its length, or cut off long before its end."""
    port = int(hub.url.split(":")[2].split("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        head = f"POST /hub/{TOKEN}/negotiate HTTP/1.1\r\nHost: x\r\nContent-Length: {2**30}\r\n\r\n"
        connection.sendall(head.encode())
        sent = 0
        with suppress(ConnectionError, TimeoutError):
            connection.settimeout(2)
            while sent < 64 * 2**20:
                sent += connection.send(bytes(2**16))
    assert sent < 64 * 2**20


def test_a_message_of_a_gigabyte_is_refused_at_its_length(hub: Hub) -> None:
    """The header of the WebSocket frame says how long it is; the connection ends there."""

    async def conversation(caller: Caller) -> int:
        await caller.connect()
        transport = caller.socket._response.connection.transport  # type: ignore[union-attr]
        transport.write(bytes([0x81, 0xFF, *(2**30).to_bytes(8, "big"), 0, 0, 0, 0]) + bytes(2**16))
        message = await caller.socket.receive(timeout=SECONDS)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        return int(message.data or 1009)

    assert talk(hub.url, conversation) in (1009, 1006)


def test_a_thousand_connections_do_not_keep_a_server_out(
    hub: Hub, heard: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is connected is served on; one that comes later gets in once the silent ones go."""
    monkeypatch.setattr(hubs, "_START_SECONDS", 0.5)
    port = int(hub.url.split(":")[2].split("/")[0])

    async def conversation(caller: Caller) -> None:
        await caller.connect()
        with ExitStack() as stack:
            for _ in range(1000):
                with suppress(ConnectionError):
                    stack.enter_context(
                        closing(socket.create_connection(("127.0.0.1", port), timeout=SECONDS))
                    )
            call = {"type": 1, "invocationId": "1", "target": "BroadcastMessage", "arguments": ["first"]}
            await caller.socket.send_str(json.dumps(call) + END)
            assert (await caller.next())["invocationId"] == "1"
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                with suppress(aiohttp.ClientError, ConnectionError):
                    await Caller(caller._http, caller.url).connect()
                    return
                await asyncio.sleep(0.05)
            raise AssertionError("no way in")

    talk(hub.url, conversation)
    assert heard == ["first"]


def test_a_client_that_never_reads_holds_nobody_up(hub: Hub, heard: list[Any]) -> None:
    """Its answers are a few bytes each; others are served meanwhile."""

    async def conversation(caller: Caller) -> None:
        await caller.connect()
        deaf = await Caller(caller._http, caller.url).connect()
        deaf.socket._response.connection.transport.pause_reading()
        for number in range(200):
            call = {"type": 1, "invocationId": f"d{number}", "target": "JoinGroup", "arguments": ["x"]}
            await deaf.socket.send_str(json.dumps(call) + END)
        call = {"type": 1, "invocationId": "1", "target": "BroadcastMessage", "arguments": ["heard"]}
        await caller.socket.send_str(json.dumps(call) + END)
        assert (await caller.next())["invocationId"] == "1"

    talk(hub.url, conversation)
    assert heard == ["heard"]


def test_half_a_handshake_ends_in_time(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A WebSocket that says nothing is closed."""
    monkeypatch.setattr(hubs, "_START_SECONDS", 0.2)

    async def conversation(caller: Caller) -> None:
        async with caller._http.post(f"{hub.url}/negotiate") as response:
            token = (await response.json())["connectionToken"]
        silent = await caller._http.ws_connect(f"{hub.url}?id={token}")
        message = await silent.receive(timeout=SECONDS)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)

    talk(hub.url, conversation)


def test_stopping_closes_every_connection_at_once(heard: list[Any]) -> None:
    """A server keeps its queue for as long as a hub lingers."""
    hub = Hub("127.0.0.1:0", TOKEN, heard.append)
    hub.start()

    async def conversation(caller: Caller) -> float:
        await caller.connect()
        began = time.monotonic()
        await asyncio.to_thread(hub.stop)
        await caller.socket.receive(timeout=SECONDS)
        return time.monotonic() - began

    assert talk(hub.url, conversation) < 5


def test_an_event_is_confirmed_only_once_it_is_in_the_file(tmp_path: Path) -> None:
    """While the file can't be written the event is not confirmed, so that the server sends it again."""
    path = tmp_path / "history.db"
    event = next(line["received"] for line in RECORDING if "task-created" in str(line))["arguments"][0]
    call = {"type": 1, "invocationId": "0", "target": "BroadcastMessage", "arguments": [event]}
    with (
        TinytaskStore() as store,
        TinytaskClient(create_server(store)) as client,
        Recorder(client, path, hub="127.0.0.1:0", every=3600) as recorder,
        closing(sqlite3.connect(path, isolation_level=None)) as blocker,
    ):
        recorder._store._connection.execute("PRAGMA busy_timeout = 100")

        async def refused(caller: Caller) -> Any:
            await caller.connect()
            blocker.execute("BEGIN IMMEDIATE")
            await caller.socket.send_str(json.dumps(call) + END)
            return (await caller.socket.receive(timeout=SECONDS)).type

        async def taken(caller: Caller) -> Any:
            await caller.connect()
            await caller.socket.send_str(json.dumps(call) + END)
            answer = await caller.next()
            return answer, blocker.execute("SELECT count(*) FROM inbox").fetchall()

        assert recorder.hub_url is not None
        assert talk(recorder.hub_url, refused) in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        blocker.execute("ROLLBACK")
        assert talk(recorder.hub_url, taken) == ({"type": 3, "invocationId": "0", "result": None}, [(1,)])
        # Nobody but the file of the token holds the token.
        assert recorder.hub_url.rpartition("/")[2] not in path.read_bytes().decode("latin-1")


def test_the_hub_says_which_port_it_can_not_have(heard: list[Any]) -> None:
    """Before anything is recorded."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"can't listen on 127.0.0.1:{port} for the hub"):
            Hub(f"127.0.0.1:{port}", TOKEN, heard.append).start()


@pytest.mark.parametrize("address", ["3390", "localhost", ":3390", "localhost:http", "localhost:99999"])
def test_a_wrong_address_is_a_clear_error(address: str, heard: list[Any]) -> None:
    """It says what one looks like."""
    with pytest.raises(ValueError, match=r"give HOST:PORT, such as 127\.0\.0\.1:3390"):
        Hub(address, TOKEN, heard.append)


def test_the_recorded_conversation_becomes_what_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told to a recorder that can't look just now, it makes the board's history, exact to the millisecond."""
    path = tmp_path / "history.db"
    with (
        TinytaskStore() as store,
        TinytaskClient(create_server(store)) as client,
        Recorder(client, path, hub="127.0.0.1:0", every=3600) as recorder,
    ):
        # As if it had begun before the conversation took place.
        recorder._store.write("UPDATE observation SET began = 0, until = 0, last = 0, ended = 0")
        monkeypatch.setattr(client, "look", Mock(side_effect=TinytaskConnectionError("away")))

        async def conversation(caller: Caller) -> None:
            await caller.connect()
            for line in RECORDING:
                if "arguments" in str(line.get("received")):
                    await caller.socket.send_str(json.dumps(line["received"]) + END)
                    await caller.next()

        assert recorder.hub_url is not None
        talk(recorder.hub_url, conversation)
        assert eventually(lambda: (History(path).events["change"] == "gone").any())
        events = History(path).events
        # Where an event leaves open what was before, only a later look tells that none is missing.
        assert events.loc[~events["exact"], "field"].isin(("queue_name", "previous_assigned_to")).all()
        told = list(zip(events["task_id"], events["change"], events["after"].fillna(""), strict=True))
        assert (2, "started", "working") in told
        assert (3, "finished", "complete") in told
        assert (5, "reassigned", "carol") in told
        assert (5, "gone", "") in told
        started = events.query("task_id == 2 and change == 'started'").iloc[0]
        assert started["not_before"].isoformat() == "2026-11-24T14:10:40.486000+00:00"
        feed = History(path).feed
        assert feed.query("what == 'said'")["text"].tolist() == ["note", "please"]


def test_a_thread_waits_for_nobody() -> None:
    """The hub leaves no thread of its own behind."""
    before = threading.active_count()
    hub = Hub("127.0.0.1:0", TOKEN, print)
    hub.start()
    hub.stop()
    assert eventually(lambda: threading.active_count() <= before + 1)
