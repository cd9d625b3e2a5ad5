"""A scheduler at work in the background of a kernel, with a small view of what it does."""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets
import pandas as pd

from calypso_nb.frames import records_to_frame
from calypso_nb.scheduler.run import NOT_RUN, Run
from calypso_nb.visible import visible
from calypso_nb.workload.runs import RUN_COLUMNS

if TYPE_CHECKING:
    from calypso_nb.scheduler.scheduler import Scheduler

_LINES = 8
_LONGEST = 80
_NUMBERS = 10
_EXIT_SECONDS = 15.0


class Background:
    """A scheduler that runs in a thread of its own until it is stopped; in a cell it shows what it does.

    `Scheduler.start` makes it.

    - interval: as `Scheduler.serve` takes it
    """

    def __init__(self, scheduler: Scheduler, interval: float) -> None:
        self._scheduler = scheduler
        self._interval = interval
        self._runs: list[Run] = []
        self._said: deque[str] = deque(maxlen=_LINES)
        self._error: BaseException | None = None
        self._asked = 0
        self._button = ipywidgets.Button(description="Stop", tooltip="Take nothing new; what runs may finish")
        self._button.on_click(lambda _: self._press())
        self._status, *self._tables = (ipywidgets.HTML() for _ in range(5))
        self.view = ipywidgets.VBox([ipywidgets.HBox([self._button, self._status]), *self._tables])
        scheduler.planned = self._show
        self._thread = threading.Thread(target=self._serve, name="calypso-nb-scheduler", daemon=True)
        atexit.register(self._leave)
        scheduler.begun.clear()
        self._thread.start()
        scheduler.begun.wait()  # From now on it can be stopped.

    @property
    def running(self) -> bool:
        """Whether it is still at work.

        Example: `scheduler.start().running`
        """
        return self._thread.is_alive()

    @property
    def runs(self) -> pd.DataFrame:
        """The runs that have ended so far, with the columns of `RUN_COLUMNS`."""
        return records_to_frame([run._asdict() for run in self._runs], RUN_COLUMNS)

    def stop(self, grace: float | None = None) -> None:
        """Take nothing new, and end what runs if it has not finished in time; return at once.

        - grace: seconds that the runs have to finish; by default as long as they take
        """
        self._asked += 1
        self._scheduler.stop(grace)
        self._show()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, and return whether it has; raise what has ended it, if that was an error.

        - timeout: seconds to wait at most
        """
        self._thread.join(timeout)
        if self._error is not None:
            raise self._error
        return not self.running

    def _serve(self) -> None:
        try:
            for event in self._scheduler.serve(self._interval):
                if isinstance(event, str):
                    self._said.append(event)
                elif event.outcome not in NOT_RUN:
                    self._runs.append(event)
                self._show()
        except BaseException as error:
            self._error = error
            self._said.append(f"ended by {type(error).__name__}: {error}")
        finally:
            self._scheduler.begun.set()
            atexit.unregister(self._leave)
            self._show(ended=True)

    def _press(self) -> None:
        self.stop(None if self._asked == 0 else 0)

    def _leave(self) -> None:
        """Let the process end: the runs are ended first, and told of."""
        self._scheduler.stop(0)
        self._thread.join(_EXIT_SECONDS)

    def _show(self, ended: bool = False) -> None:
        plan, here = self._scheduler.last_plan, self._scheduler.here
        words = "ended" if ended else "finishing what runs" if self._asked else "at work"
        done = f"{len(self._runs):,} run{'' if len(self._runs) == 1 else 's'} ended"
        self._status.value = f"<b>{words}</b>: {len(here):,} running, {done}"
        self._button.disabled = ended
        self._button.description = "End the runs" if self._asked else "Stop"
        running, waiting = [], []
        if plan is not None:
            titles = dict(zip(plan["id"], plan["title"], strict=True))
            running = [(f"#{task}", *who, titles.get(task, "")) for task, who in here.items()]
            others = plan[~plan["id"].isin(here) & (plan["decision"] == "wait")]
            waiting = [(_numbers(rows["id"]), str(why)) for why, rows in others.groupby("why", sort=False)]
        rows: dict[str, Sequence[Sequence[str]]] = {
            "Running": running,
            "Waiting": waiting,
            "Ended": [_line(run) for run in reversed(self._runs)],
            "Said": [(line,) for line in reversed(self._said)],
        }
        for table, (title, lines) in zip(self._tables, rows.items(), strict=True):
            table.value = _table(title, lines)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.view._repr_mimebundle_(**options)

    def __repr__(self) -> str:
        state = "at work" if self.running else "ended"
        return f"<Background {state}: {len(self._scheduler.here)} running, {len(self._runs)} ended>"


def _line(run: Run) -> tuple[str, ...]:
    took = "" if run.seconds is None else f"{run.seconds:.1f} s"
    return f"#{run.id}", run.agent, run.recipe, run.outcome, took, run.why


def _numbers(tasks: Iterable[int]) -> str:
    numbers = [f"#{task}" for task in tasks]
    more = len(numbers) - _NUMBERS
    return ", ".join(numbers[:_NUMBERS]) + (f" and {more:,} more" if more > 0 else "")


def _table(title: str, rows: Sequence[Sequence[str]]) -> str:
    """Return rows of text as HTML, inert whatever they say."""
    if not rows:
        return ""
    lines = "".join(
        f"<tr>{''.join(f'<td>{_inert(cell)}</td>' for cell in row)}</tr>" for row in rows[:_LINES]
    )
    more = f"<tr><td>… and {len(rows) - _LINES:,} more</td></tr>" if len(rows) > _LINES else ""
    style = "border-spacing: 1.5em 0; margin-left: -1.5em; line-height: 1.6"
    return f"<b>{title}</b><table style='{style}'>{lines}{more}</table>"


def _inert(text: str) -> str:
    return escape(visible(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"))
