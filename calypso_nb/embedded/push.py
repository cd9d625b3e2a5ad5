"""What a TinyTask v2 pushes to a SignalR hub: the events of each tool, and the connection for them."""

import asyncio
import time
import warnings
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC
from itertools import count
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import aiohttp
import orjson

from calypso_nb.embedded.database import Record, Table
from calypso_nb.embedded.store import TinytaskStore
from calypso_nb.errors import UsageError

Pushed = Callable[[Record], object]

# --- Events -----------------------------------------------------------------------------------------------


class _Call(NamedTuple):
    """A call of a tool that succeeded.

    - before, after: the task, comment or link that it is about; empty if there was or is none
    - task: that task, or the one of the comment or link
    """

    arguments: Record
    before: Record
    after: Record
    task: Record
    value: Any


# The kind of an event, the task that it is about (empty: none), and what it says besides.
_Told = tuple[str, Record, Record]

_FIELDS = (
    "title", "description", "status", "assigned_to", "priority", "tags", "parent_task_id", "queue_name",
    "blocked_by_task_id",
)  # fmt: skip
_ALSO = {"status": "task-status-changed", "assigned_to": "task-assigned", "queue_name": "task-queue-changed"}


def _created(call: _Call) -> Iterable[_Told]:
    task = call.after
    yield "task-created", task, {"task": task}
    if task["parent_task_id"] is not None:
        yield "subtask-created", task, {"parentId": task["parent_task_id"], "task": task}


def _updated(call: _Call) -> Iterable[_Told]:
    before, after = call.before, call.after
    changed = [name for name in _FIELDS if before[name] != after[name]]
    yield "task-updated", after, {"before": before, "after": after, "changedFields": changed}
    for name in _ALSO:
        if name in changed:
            yield from _changed(call, name)


def _changed(call: _Call, name: str, kind: str = "") -> Iterable[_Told]:
    yield kind or _ALSO[name], call.task, {"before": call.before[name], "after": call.after[name]}


def _signed_up(call: _Call) -> Iterable[_Told]:
    if call.before:
        yield "task-signed-up", call.task, {"agent": call.arguments["agent_name"]}
        yield from _changed(call, "status")


def _transferred(call: _Call) -> Iterable[_Told]:
    said = {"from": "current_agent", "to": "new_agent", "comment": "comment"}
    yield "task-transferred", call.task, {key: call.arguments[name] for key, name in said.items()}
    yield "comment-added", call.task, {"comment": call.value["comment"]}


def _cleared(call: _Call) -> Iterable[_Told]:
    yield "queue-cleared", {}, {"queueName": call.value["queue_name"], "count": call.value["tasks_cleared"]}


# By tool: the argument that names what it is about (None: something new), and its events. A real server
# is silent about all else that the call changes: roll-ups, cascades, tasks that are free again.
_EVENTS: dict[str, tuple[str | None, Callable[[_Call], Iterable[_Told]]]] = {
    "create_task": (None, _created),
    "create_subtask": (None, _created),
    "update_task": ("id", _updated),
    "archive_task": ("id", lambda call: [("task-archived", call.task, {"task": call.task})]),
    "delete_task": ("id", lambda call: [("task-deleted", call.task, {})]),
    "signup_for_task": ("agent_name", _signed_up),
    "move_task": ("task_id", _transferred),
    "move_subtask": ("subtask_id", lambda call: _changed(call, "parent_task_id", "subtask-moved")),
    "add_task_to_queue": (
        "task_id",
        lambda call: [("task-added-to-queue", call.task, {"queueName": call.after["queue_name"]})],
    ),
    "remove_task_from_queue": (
        "task_id",
        lambda call: [("task-removed-from-queue", call.task, {"queueName": call.before["queue_name"]})],
    ),
    "move_task_to_queue": ("task_id", lambda call: _changed(call, "queue_name")),
    "clear_queue": (None, _cleared),
    "add_comment": (None, lambda call: [("comment-added", call.task, {"comment": call.after})]),
    "move_comment": (None, lambda call: [("comment-added", call.task, {"comment": call.after})]),
    "update_comment": ("id", lambda call: [("comment-updated", call.task, {"comment": call.after})]),
    "delete_comment": ("id", lambda call: [("comment-deleted", call.task, {"commentId": call.before["id"]})]),
    "add_link": (None, lambda call: [("link-added", call.task, {"link": call.after})]),
    "update_link": ("id", lambda call: [("link-updated", call.task, {"link": call.after})]),
    "delete_link": ("id", lambda call: [("link-deleted", call.task, {"linkId": call.before["id"]})]),
}


def call_and_push(
    store: TinytaskStore, tool: str, arguments: Record, call: Callable[[], Any], pushed: Pushed
) -> Any:
    """Do what a tool does and return its value; push what a real server pushes of it."""
    if tool not in _EVENTS:
        return call()
    key, events = _EVENTS[tool]
    table: Table = "links" if tool.endswith("_link") else "comments" if tool.endswith("_comment") else "tasks"
    with store.transaction():
        before: Record = {}
        if tool == "signup_for_task":
            idle = store.list_tasks(assigned_to=arguments["agent_name"], status="idle", limit=1)
            before = idle[0] if idle else {}
        elif key is not None:
            before = store.one(table, arguments[key], table[:-1].capitalize())
        value = call()
        after: Record = value if key is None else {}
        if before and not tool.startswith("delete_"):
            after = store.one(table, before["id"], table)
        task = after or before
        if table != "tasks":
            task = store.one("tasks", task["task_id"], "Task")
        told = list(events(_Call(arguments, before, after, task, value)))
    at = store.now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    for kind, about, said in told:
        pushed(_event(kind, at, about, said))
    return value


def _event(kind: str, at: str, task: Record, said: Record) -> Record:
    if task:
        names = {"assignee": "assigned_to", "owner": "created_by", "status": "status", "cue": "queue_name"}
        said = {"taskId": task["id"], **said, **{key: task[name] for key, name in names.items()}}
    metadata = {"source": "tinytask", "priority": "normal"}
    return {"type": kind, "timestamp": at, "payload": said, "metadata": metadata}


# --- The connection ---------------------------------------------------------------------------------------

_END = "\x1e"
_FAILURES = (aiohttp.ClientError, OSError, ValueError)


class Pusher:
    """Pushes events to a SignalR hub one by one, each until the hub confirms it.

    - hub: its URL, of which no more than host and port is ever shown: the rest may hold a credential
    - group: push to this group only
    - delays: seconds before each attempt to connect; the last one repeats
    - ping: seconds between two pings
    - patience: seconds without a word from the hub, or without a confirmation, after which to connect anew
    - limits: pairs of a number and seconds: in so long no more events than that are sent
    - waiting: how many events may wait; the oldest are dropped
    """

    def __init__(
        self,
        hub: str,
        group: str | None = None,
        *,
        delays: Sequence[float] = (0, 2, 10, 30, 5),
        ping: float = 15,
        patience: float = 30,
        limits: Sequence[tuple[int, float]] = ((10, 10), (60, 60)),
        waiting: int = 500,
    ) -> None:
        try:
            self._hub = urlsplit(hub)
            port = self._hub.port or (443 if self._hub.scheme == "https" else 80)
            self.name = f"{self._hub.hostname}:{port}"
        except ValueError:
            self._hub = urlsplit("")
        if self._hub.scheme not in ("http", "https") or not self._hub.hostname:
            raise UsageError("not a valid URL of a hub: it begins with http:// or https:// and a host")
        self._group, self._delays, self._ping, self._patience = group, delays, ping, patience
        self._limits, self._size = limits, waiting
        self._waiting: deque[Record] = deque(maxlen=waiting)
        self._filled = asyncio.Event()
        self._sent: deque[float] = deque(maxlen=max((number for number, _ in limits), default=0))
        self._numbers = count()
        self._confirmed: dict[str, asyncio.Future[bool]] = {}
        self._warned = False

    def push(self, event: Record) -> None:
        """Have an event pushed; call it in the event loop of `running`."""
        self._waiting.append(event)
        self._filled.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Push while the block runs; what waits at its end is lost, as a real server loses it."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        attempt = 0
        while True:
            await asyncio.sleep(self._delays[min(attempt, len(self._delays) - 1)])
            attempt += 1
            connected, problem = None, ""
            try:
                async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as http:
                    socket = await self._connect(http)
                    connected = time.monotonic()
                    await self._converse(socket)
            except _FAILURES as error:
                problem = type(error).__name__  # Its own words may hold the URL.
            if not self._warned:
                self._warned = True
                where = f"the SignalR hub at {self.name} is out of reach ({problem})"
                warnings.warn(f"{where}: the newest {self._size} events wait for it", stacklevel=1)
            # A hub that hangs up on each greeting is not asked again and again without a pause.
            if connected is not None and time.monotonic() - connected > self._delays[-1]:
                attempt = 0

    async def _connect(self, http: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
        async with asyncio.timeout(self._patience):
            async with http.post(self._address("/negotiate", negotiateVersion=1)) as response:
                response.raise_for_status()
                offer = orjson.loads(await response.read())
            match offer:
                case {"connectionToken": str(token)} | {"connectionId": str(token)}:
                    socket = await http.ws_connect(self._address("", id=token))
                case _:
                    raise ConnectionError("not a SignalR hub")
            await self._send(socket, {"protocol": "json", "version": 1})
            if {} not in await self._heard(socket):
                raise ConnectionError("the hub refuses the protocol")
        return socket

    def _address(self, path: str, **query: Any) -> str:
        whole = "&".join(filter(None, (self._hub.query, urlencode(query))))
        path = (self._hub.path.rstrip("/") + path) if path else self._hub.path
        return self._hub._replace(path=path, query=whole, fragment="").geturl()

    async def _converse(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        parts = (self._listen, self._keep_alive, self._push_all)
        tasks = [asyncio.create_task(part(socket)) for part in parts]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            for record in await self._heard(socket):
                match record:
                    case {"type": 3, "invocationId": str(number)} if number in self._confirmed:
                        confirmed = self._confirmed.pop(number)
                        if not confirmed.done():  # Its time may have just run out.
                            confirmed.set_result("error" not in record)
                    case {"type": 7}:
                        raise ConnectionError("the hub says goodbye")

    async def _keep_alive(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await self._send(socket, {"type": 6})
            await asyncio.sleep(self._ping)

    async def _push_all(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        target = ["BroadcastMessage"] if self._group is None else ["SendToGroup", self._group]
        if self._group is not None and not await self._invoke(socket, "JoinGroup", self._group):
            raise ConnectionError("the hub refuses the group")
        self._warned = False
        while True:
            while not self._waiting:
                self._filled.clear()
                await self._filled.wait()
            await self._turn()
            event = self._waiting.popleft()
            confirmed = False
            try:
                confirmed = await self._invoke(socket, *target, event)
            finally:
                if not confirmed and len(self._waiting) < self._size:
                    self._waiting.appendleft(event)

    async def _turn(self) -> None:
        """Wait until another event is within the limits."""
        for number, seconds in self._limits:
            if len(self._sent) >= number:
                await asyncio.sleep(self._sent[-number] + seconds - time.monotonic())
        self._sent.append(time.monotonic())

    async def _invoke(self, socket: aiohttp.ClientWebSocketResponse, target: str, *arguments: Any) -> bool:
        """Invoke a method of the hub, and return whether it confirms it without an error."""
        number = str(next(self._numbers))
        confirmed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._confirmed[number] = confirmed
        call = {"target": target, "arguments": arguments, "invocationId": number, "type": 1}
        try:
            await self._send(socket, call)
            # Not wait_for, which can swallow a cancellation on Python 3.11: the server would never stop.
            async with asyncio.timeout(self._patience):
                return await confirmed
        finally:
            self._confirmed.pop(number, None)

    async def _send(self, socket: aiohttp.ClientWebSocketResponse, record: Record) -> None:
        await socket.send_str(orjson.dumps(record).decode() + _END)

    async def _heard(self, socket: aiohttp.ClientWebSocketResponse) -> list[Any]:
        message = await socket.receive(self._patience)
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionError("the hub hung up")
        return [orjson.loads(record) for record in message.data.split(_END) if record]
