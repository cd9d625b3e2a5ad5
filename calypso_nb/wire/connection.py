"""One kept MCP session per client: opened on first use, forgotten when it breaks, owned by one task."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Set
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio
import tenacity
from mcp import Client, MCPError
from mcp_types import TextContent

from calypso_nb.errors import TinytaskAPIError, TinytaskClientError, TinytaskConnectionError, closed
from calypso_nb.settings import Settings
from calypso_nb.wire import bridge
from calypso_nb.wire.clock import ServerClock
from calypso_nb.wire.faults import Fault, fault_of
from calypso_nb.wire.transport import Target, Tools, open_session, tools_of

T = TypeVar("T")

CLOSING_SECONDS = 2.0
# At the end of the process, for all sessions together; the SDK ends a command within 5 s, by force at last.
ENDING_SECONDS = 1.0
COMMAND_ENDING_SECONDS = 6.0


class Connection:
    """Calls tools on one TinyTask; every method runs on the background loop, none in the caller's thread."""

    def __init__(self, target: Target, name: str, settings: Settings, clock: ServerClock) -> None:
        self.name = name  # It is shown, so it holds no credentials.
        self.settings = settings
        self._clock = clock
        self._target = target
        self._link: _Link | None = None
        self._opening = anyio.Lock()
        self._closed = False
        _connections.add(self)

    def forget(self) -> None:
        """Begin anew in a forked process, where the session's loop does not run."""
        self._link, self._opening = None, anyio.Lock()

    async def call(
        self, tool: str, arguments: dict[str, Any], *, write: bool = False, seconds: float | None = None
    ) -> str:
        """Call one tool and return the text of its response, within the timeout, retries included.

        - seconds: what is left of the timeout, if the call is not all that it is for

        Raise TinytaskAPIError if the server refuses and TinytaskConnectionError if no response comes. A read
        is repeated with exponential backoff; a write only if it certainly was not sent.
        """
        return await self._asked(tool, lambda link: link.call(tool, arguments), write, seconds)

    async def tools(self) -> Set[str]:
        """Return the names of the tools that the server has now."""
        return await self._asked("list_tools", _Link.list_tools, write=False)

    async def accepts(self, tool: str, argument: str, *, seconds: float) -> bool:
        """Return whether a tool takes an argument, as far as the server publishes that."""
        return await self._asked(tool, lambda link: link.accepts(tool, argument), False, seconds)

    async def close(self) -> None:
        """Leave the session, if there is one, for good: no call that is under way opens another."""
        self._closed = True
        link, self._link = self._link, None
        if link is not None:
            link.retire(at_once=True)
            with anyio.move_on_after(CLOSING_SECONDS):
                await link.gone.wait()

    def abandon(self) -> None:
        """Leave the session without waiting for that."""
        if self._link is not None:
            self._link.retire(at_once=True)

    async def _asked(
        self,
        tool: str,
        question: Callable[[_Link], Awaitable[T]],
        write: bool,
        seconds: float | None = None,
    ) -> T:
        def may_repeat(error: BaseException) -> bool:
            return isinstance(error, Fault) and error.transient and not (write and error.sent)

        seconds = self.settings.timeout if seconds is None else seconds
        deadline = anyio.current_time() + seconds
        try:
            return await tenacity.AsyncRetrying(
                retry=tenacity.retry_if_exception(may_repeat),
                # The last fault says more than a timeout during the wait for another attempt would.
                stop=tenacity.stop_after_attempt(self.settings.max_retries + 1)
                | tenacity.stop_before_delay(seconds),
                wait=self._wait,
                reraise=True,
            )(self._asked_once, question, deadline)
        except Fault as fault:
            raise self._public(fault, tool, write) from fault.__cause__

    def _wait(self, state: tenacity.RetryCallState) -> float:
        fault = state.outcome.exception() if state.outcome is not None else None
        asked = fault.wait if isinstance(fault, Fault) else None
        first, factor = self.settings.retry_delay, self.settings.backoff_factor
        backoff = tenacity.wait_exponential(multiplier=first, exp_base=factor) + tenacity.wait_random(
            0, first
        )
        return max(backoff(state), asked or 0.0)

    async def _asked_once(self, question: Callable[[_Link], Awaitable[T]], deadline: float) -> T:
        timeout = self.settings.timeout
        with _until(deadline - anyio.current_time(), timeout, sent=False):
            link = await self._opened()
        try:
            with _until(deadline - anyio.current_time(), timeout, sent=True):
                return await question(link)
        except TinytaskClientError:
            raise
        except BaseException as error:
            # Whatever ended the call, the session behind it is not to be trusted with the next one.
            if self._link is link:
                self._link = None
            link.retire()
            if isinstance(error, Fault) or not isinstance(error, Exception):
                raise
            raise fault_of(error) from error

    async def _opened(self) -> _Link:
        async with self._opening:
            if self._link is None or self._link.ended:
                self._link = None
                link = _Link(self._target, self.name, self.settings, self._clock)
                await link.open()
                self._link = link
            if self._closed:
                self.abandon()
                raise closed(self.name)
            return self._link

    def _public(self, fault: Fault, tool: str, write: bool) -> TinytaskClientError:
        if fault.refused:
            return TinytaskAPIError(tool, str(fault))
        where = f"TinyTask at {self.name}"
        if write and fault.sent:
            return TinytaskConnectionError(
                f"{tool}: no result from {where}: {fault}. Whether it was carried out is unknown: "
                "read the task before you repeat it.",
                outcome_unknown=True,
            )
        if fault.answered:
            return TinytaskConnectionError(f"{tool}: no result from {where}: {fault}.")
        return TinytaskConnectionError(
            f"no {where}: {fault}. Start a server there, set TINYTASK_ENDPOINT to another one, "
            "or use sample data: TinytaskClient('demo'), in a terminal --mcp-endpoint demo."
        )


@contextmanager
def _until(left: float, timeout: float, *, sent: bool) -> Iterator[None]:
    try:
        with anyio.fail_after(left):
            yield
    except TimeoutError as error:
        raise Fault(f"no answer within {timeout:g} s", sent=sent) from error


class _Link:
    """An MCP session that one task enters and leaves, as the SDK demands."""

    def __init__(self, target: Target, name: str, settings: Settings, clock: ServerClock) -> None:
        self.tools: Tools = {}
        self.gone = anyio.Event()
        self.ending_seconds = COMMAND_ENDING_SECONDS if isinstance(target, tuple) else ENDING_SECONDS
        self._target = target
        self._name = name
        self._settings = settings
        self._clock = clock
        self._session: Client | None = None
        self._owner: asyncio.Task[None] | None = None
        self._ready = anyio.Event()
        self._leave = anyio.Event()
        self._failure: BaseException | None = None
        self._retired = False
        self._calls = 0
        self._sent = 0  # Messages, if the transport reports them: then at least one, the handshake.

    @property
    def ended(self) -> bool:
        return self._leave.is_set() or self.gone.is_set()

    async def open(self) -> None:
        """Enter the session; raise Fault if that fails or takes longer than the connect timeout."""
        owner = self._owner = asyncio.get_running_loop().create_task(self._own())
        try:
            with _until(self._settings.connect_timeout, self._settings.connect_timeout, sent=False):
                await self._ready.wait()
        except BaseException:
            owner.cancel()
            raise
        if self._session is None:
            failure = self._failure or RuntimeError("the session ended while it was opened")
            raise fault_of(failure, sent=False) from failure  # It was the handshake and not the call.

    async def call(self, tool: str, arguments: dict[str, Any]) -> str:
        """Call a tool and return the text of its response; raise TinytaskAPIError if it refuses."""
        if tool not in self.tools:
            raise TinytaskAPIError(tool, f"the TinyTask at {self._name} has no such tool")
        # v1 ignores what it doesn't know: a wrong answer that looks like a right one.
        accepted = self.tools[tool]
        if accepted is not None and (unknown := arguments.keys() - accepted):
            names = ", ".join(sorted(unknown))
            raise TinytaskAPIError(tool, f"the TinyTask at {self._name} takes no {names}")
        before = self._sent
        assert self._session is not None
        try:
            result = await self._during(self._session.call_tool(tool, arguments))
        except MCPError as error:
            fault = fault_of(error, sent=not before or self._sent > before)
            if fault is error.error.data and "create_subtask" not in self.tools:
                fault.refused = False  # v1 takes a request of 4 MB: the gateway's word says nothing of it.
            raise fault from error
        text = "".join(part.text for part in result.content if isinstance(part, TextContent))
        if result.is_error:
            raise TinytaskAPIError(tool, text)
        return text

    async def accepts(self, tool: str, argument: str) -> bool:
        """Return whether a tool takes an argument; one whose arguments are not published takes any."""
        accepted = self.tools.get(tool)
        return accepted is None or argument in accepted

    async def list_tools(self) -> Set[str]:
        """Return the names of the tools that the server has now."""
        assert self._session is not None
        return tools_of(await self._during(self._session.list_tools())).keys()

    async def _during(self, request: Coroutine[Any, Any, T]) -> T:
        """Wait for an answer; a wait that is cancelled ends at once, though the SDK takes its time."""
        self._calls += 1
        task = asyncio.get_running_loop().create_task(request)
        task.add_done_callback(self._ended_call)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            raise
        return task.result()

    def _ended_call(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled():
            task.exception()  # Seen, whether somebody still waits for it or not.
        self._calls -= 1
        if self._retired and not self._calls:
            self._leave.set()

    def retire(self, *, at_once: bool = False) -> None:
        """Take no more calls; leave the session when the last call in flight has ended."""
        self._retired = True
        if at_once or not self._calls:
            self._leave.set()
        if at_once and self._session is None and self._owner is not None:
            self._owner.cancel()  # It waits for a server, and would not hear otherwise.

    async def _own(self) -> None:
        _owned.add(self)
        try:
            async with open_session(
                self._target, self._settings, self._clock, self._lost, self._sending
            ) as session:
                self.tools = tools_of(await session.list_tools())
                if "list_tasks" not in self.tools:
                    reason = "not a TinyTask server: it has no tool list_tasks"
                    raise Fault(reason, sent=False, transient=False)
                self._session = session
                self._ready.set()
                await self._leave.wait()
        except Exception as error:
            self._failure = self._failure or error
        finally:
            self._ready.set()
            self.gone.set()
            _owned.discard(self)

    def _sending(self) -> None:
        self._sent += 1

    def _lost(self, why: Fault | None) -> None:
        self._leave.set()
        if why is not None:  # Who waits for the session need not wait any longer.
            self._failure = why
            self._ready.set()


_owned: set[_Link] = set()
_connections: weakref.WeakSet[Connection] = weakref.WeakSet()
_of_parents: list[_Link] = []  # Collected, they would close what the parent listens on.


def _forget_all() -> None:
    _of_parents.extend(_owned)
    _owned.clear()
    for connection in _connections:
        connection.forget()


async def _leave_all() -> None:
    links = list(_owned)
    for link in links:
        link.retire(at_once=True)
    with anyio.move_on_after(max((link.ending_seconds for link in links), default=0)):
        for link in links:
            await link.gone.wait()


bridge.before_end(_leave_all)
bridge.after_fork(_forget_all)
