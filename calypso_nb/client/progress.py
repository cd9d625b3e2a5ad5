"""A progress bar in a notebook, or on standard error if that is a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

# What is over within a second needs no bar.
DELAY_SECONDS = 1.0


@contextmanager
def progress_bar(progress: bool | Callable[[int, int], None], total: int) -> Iterator[Callable[[int], None]]:
    """Give a function to call with the number done: it moves a bar, or calls `progress(done, total)`."""
    if callable(progress):
        yield lambda done: progress(done, total)
        return
    start = time.monotonic()
    show: Callable[[int], object] | None = None
    with ExitStack() as bars:

        def moved(done: int) -> None:
            nonlocal show
            if not progress or time.monotonic() - start < DELAY_SECONDS:
                return
            show = show or _open_bar(bars, total)
            show(done)

        yield moved


def _open_bar(bars: ExitStack, total: int) -> Callable[[int], object]:
    if _in_notebook():
        import ipywidgets
        from IPython.display import display

        bar = ipywidgets.IntProgress(max=total, description="tasks")
        bars.callback(bar.close)
        display(bar)  # type: ignore[no-untyped-call]
        return lambda done: bar.set_trait("value", done)
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    lines = bars.enter_context(Progress(console=console, transient=True, disable=not console.is_terminal))
    task = lines.add_task("tasks", total=total)
    return lambda done: lines.update(task, completed=done)


def _in_notebook() -> bool:
    # Who has not loaded IPython is not in a notebook, and need not load it.
    ipython: Any = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")
