"""Run coroutines on one background event loop for the whole process, from any thread.

A notebook's own thread already has a running loop, so a blocking call cannot start another one there. Every
client shares the one loop of this module; it starts on first use and ends with the process.
"""

import asyncio
import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any, ParamSpec, TypeVar
from weakref import WeakSet

import anyio
from anyio.from_thread import BlockingPortal

P = ParamSpec("P")
T = TypeVar("T")

# At the end of the process, after the sessions have been left: for the loop's thread, then for its callers.
_JOIN_SECONDS = 0.4
_CALLERS_SECONDS = 0.3


class _Loop:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._portal: BlockingPortal | None = None
        self._thread: threading.Thread | None = None
        self.events: asyncio.AbstractEventLoop | None = None
        self.ending = False

    def portal(self) -> BlockingPortal:
        with self._lock:
            if self._portal is None:
                ready: Future[BlockingPortal] = Future()
                self._thread = threading.Thread(
                    target=self._serve, args=(ready,), name="calypso-nb", daemon=True
                )
                self._thread.start()
                self._portal = ready.result()
                self.events = self._portal.call(asyncio.get_running_loop)
            return self._portal

    def _serve(self, ready: Future[BlockingPortal]) -> None:
        async def serve() -> None:
            asyncio.get_running_loop().set_default_executor(_DaemonThreads())
            async with BlockingPortal() as portal:
                ready.set_result(portal)
                await portal.sleep_until_stopped()

        anyio.run(serve)

    def forget(self) -> None:
        _of_parents.append((self._portal, self.events))
        self._lock, self._portal, self._thread, self.events = threading.Lock(), None, None, None

    def stop(self) -> None:
        self.ending = True
        self.events = None
        if self._portal is None or self._thread is None:
            return
        for function in _before_end:
            self._portal.call(function)
        with suppress(RuntimeError):  # It has ended already.
            self._portal.start_task_soon(self._portal.stop, True)
        self._thread.join(_JOIN_SECONDS)
        # A thread in pandas or Arrow, on its way to the next call, would abort the process that ends.
        end = time.monotonic() + _CALLERS_SECONDS
        while time.monotonic() < end and any(
            thread.daemon and thread.ident in _callers for thread in threading.enumerate()
        ):
            time.sleep(0.01)


class _DaemonThreads(ThreadPoolExecutor):
    """Looks up names in threads that the end of the process doesn't wait for, as it would for a pool's."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=work, name="calypso-nb-name", daemon=True).start()
        return future


_before_end: list[Callable[[], Awaitable[object]]] = []
_callers: set[int] = set()  # Threads that have called, and do not wait for the end of the process.
_of_parents: list[object] = []  # Collected, a loop would close what the parent's listens on.
_loop = _Loop()
atexit.register(_loop.stop)


def run(function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a coroutine function on the background loop and wait for what it returns or raises.

    A KeyboardInterrupt during the wait (the kernel's Stop button) cancels the coroutine and is raised on.
    Raise RuntimeError if the caller is the background loop itself, which would wait for itself.
    """
    if _loop.ending:
        _let_the_process_end()
    _callers.add(threading.get_ident())
    future: Future[T] | None = None
    try:
        with _interruptible():  # Before the start, for an interrupt may come as soon as something is sent.
            future = _loop.portal().start_task_soon(partial(function, *args, **kwargs))
            return future.result()
    except BaseException as error:
        if _loop.ending:
            _let_the_process_end()
        if future is not None and not isinstance(error, Exception):
            future.cancel()
        raise


def _let_the_process_end() -> None:
    """Wait in a daemon thread until the system ends it: an error would be printed while the process ends."""
    if threading.current_thread() is threading.main_thread():
        raise RuntimeError("the process is ending")
    _callers.discard(threading.get_ident())
    threading.Event().wait()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Hear an interrupt during a wait inside a coroutine too.

    A running loop, a kernel's or that of `asyncio.run`, handles an interrupt by cancelling a coroutine at its
    next turn, which does not come while the coroutine waits here.
    """
    loop = _loop_here()
    previous = signal.getsignal(signal.SIGINT)
    # Without a handler in Python, an interrupt is ignored, or ends the process at once.
    if loop is None or not callable(previous) or threading.current_thread() is not threading.main_thread():
        yield
        return
    if loop in _cancelling:  # Another coroutine of the cell, which is being cancelled.
        raise asyncio.CancelledError

    def interrupt(number: int, frame: FrameType | None) -> None:
        if _in_a_cell(frame):
            raise KeyboardInterrupt
        # Raised past the loop, it would end the loop, a kernel's too. So its owner cancels what it runs,
        # which `asyncio.run` reports as a KeyboardInterrupt, and this coroutine is cancelled here.
        previous(number, frame)
        _cancelling.add(loop)
        loop.call_later(_CANCELLING_SECONDS, _cancelling.discard, loop)
        raise asyncio.CancelledError

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


_CANCELLING_SECONDS = 0.1
_cancelling: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


def _loop_here() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _in_a_cell(frame: FrameType | None) -> bool:
    """Return whether a cell called, with no event loop between."""
    while frame is not None:
        match frame.f_globals.get("__name__"):
            case "IPython.core.interactiveshell":
                return True
            case "asyncio.runners":
                return False
        frame = frame.f_back
    return False


def run_soon(function: Callable[[], object]) -> None:
    """Have the background loop, if it runs, call a plain function soon, without waiting.

    Safe in a finalizer, which may run in any thread, the loop's own included.
    """
    events = _loop.events
    if events is not None and not events.is_closed():
        events.call_soon_threadsafe(function)


def before_end(function: Callable[[], Awaitable[object]]) -> None:
    """Have a coroutine function run on the background loop, if there is one, before the process ends.

    It must bound its own time and must not raise.
    """
    _before_end.append(function)


def after_fork(function: Callable[[], object]) -> None:
    """Call a function in each forked process: it has what the background loop knew, but not its thread."""
    if hasattr(os, "register_at_fork"):  # Not on Windows, which doesn't fork.
        os.register_at_fork(after_in_child=function)


after_fork(_loop.forget)


def let_cells_run_coroutines() -> bool:
    """Make `asyncio.run(...)` work in a cell, with nest-asyncio; return False on Python 3.14 and later.

    The coroutine runs on a loop of its own inside the kernel's. No client needs this, and it changes asyncio
    for the whole process, so it happens only on request (`%load_ext calypso_nb`).
    """
    if sys.version_info >= (3, 14):  # nest-asyncio breaks asyncio.current_task() there.
        return False
    import nest_asyncio

    nest_asyncio.apply()
    # nest-asyncio's own would re-enter the kernel's loop, and ipykernel 7 loses the cells queued meanwhile.
    asyncio.run = _run_inside
    return True


def stop_cells_from_running_coroutines() -> None:
    """Give back Python's own `asyncio.run`; nest-asyncio's other patches stay until the process ends."""
    asyncio.run = _asyncio_run


_asyncio_run = asyncio.run


def _run_inside(main: Coroutine[Any, Any, T], **options: Any) -> T:
    try:
        outer = asyncio.get_running_loop()
    except RuntimeError:
        return _asyncio_run(main, **options)
    # Private, as asyncio has no public way to run a loop inside a running one; nest-asyncio itself does this
    # around each turn of a loop: `_patch_loop` in https://github.com/erdewit/nest_asyncio.
    asyncio._set_running_loop(None)
    try:
        return _asyncio_run(main, **options)
    finally:
        asyncio.set_event_loop(outer)
        asyncio._set_running_loop(outer)
