"""Run coroutines on one background event loop for the whole process, from any thread.

A notebook's own thread already has a running loop, so a blocking call cannot start another one there. Every
client shares the one loop of this module; it starts on first use and ends with the process.
"""

import asyncio
import atexit
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from typing import Any, ParamSpec, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

P = ParamSpec("P")
T = TypeVar("T")


class _Loop:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._exit = ExitStack()
        self._portal: BlockingPortal | None = None
        self.events: asyncio.AbstractEventLoop | None = None

    def portal(self) -> BlockingPortal:
        with self._lock:
            if self._portal is None:
                self._portal = self._exit.enter_context(start_blocking_portal(name="calypso-nb"))
                self.events = self._portal.call(asyncio.get_running_loop)
            return self._portal

    def stop(self) -> None:
        portal, self._portal, self.events = self._portal, None, None
        if portal is not None:
            for function in _before_end:
                portal.call(function)
        self._exit.close()


_before_end: list[Callable[[], Awaitable[object]]] = []
_loop = _Loop()
atexit.register(_loop.stop)


def run(function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a coroutine function on the background loop and wait for what it returns or raises.

    A KeyboardInterrupt during the wait (the kernel's Stop button) cancels the coroutine and is raised on.
    Raise RuntimeError if the caller is the background loop itself, which would wait for itself.
    """
    future: Future[T] = _loop.portal().start_task_soon(partial(function, *args, **kwargs))
    try:
        return future.result()
    except KeyboardInterrupt:
        future.cancel()
        raise


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
