"""How well forecasts hold: `python -m tests.bench_forecast [RUNS]`, two tables of worlds and horizons.

Each run is a world of 120 recorded days, of which a forecast is made as a user gets it, and the days after,
which the forecast doesn't know. *As drawn* and *corrected* are the shares of runs in which the promise of
85 % held. *Printed* is the mean of the shares that the forecasts printed of themselves, and *contained* says
in how many runs the printed interval contained what held in all runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np

from calypso_nb.flow.forecast import LEAST_ORIGINS, Forecast
from calypso_nb.flow.items import DAY, Selection
from calypso_nb.history.changes import moment_of
from tests.pasts import DAYS, START, WORLDS, finishes, recorded, world

TASKS, AHEAD = (20, 50, 100), (7, 21)
AFTER = 300  # Days in which it must be over.
MANY = 400  # So many open tasks are not finished by any of the dates.


class Run(NamedTuple):
    """One forecast: whether its promises held, what it printed of itself, and what it promised."""

    drawn: bool
    corrected: bool
    share: float
    low: float
    high: float
    origins: int
    promised_as_drawn: float
    promised: float


def when(name: str, tasks: int, seed: int) -> Run:
    """Forecast in how many days some tasks are done in a world, and see."""
    counts = world(name, seed, DAYS + AFTER)
    past = recorded(counts[:DAYS], tasks, seed)
    found = Forecast(past, Selection(), seed=seed, trials=4_000, progress=False)
    later = finishes(counts, seed)[int(counts[:DAYS].sum()) :]
    came = (later[tasks - 1] - START) / DAY - DAYS
    raw = float(found.raw[int(np.ceil(0.85 * len(found.raw))) - 1])
    corrected = raw * found.stretch[85]
    return Run(came <= raw, came <= corrected, *found.held, len(found.record), raw, corrected)


def how_many(name: str, days: int, seed: int) -> Run:
    """Forecast how many tasks are done within some days in a world, and see."""
    counts = world(name, seed, DAYS + days)
    past = recorded(counts[:DAYS], MANY, seed)
    by = moment_of(int(past.end + days * DAY))
    found = Forecast(past, Selection(), by, seed=seed, trials=4_000, progress=False)
    came = counts[DAYS:].sum()
    raw, corrected = (int(found.counts[name][1]) for name in ("raw", "corrected"))
    return Run(came >= raw, came >= corrected, *found.held, len(found.record), raw, corrected)


def table(
    heads: tuple[str, str], one: Callable[[str, int, int], Run], of: tuple[int, ...], runs: int
) -> None:
    """Print the table of one kind of forecast."""
    asked, unit = heads
    of_runs = "as drawn | corrected | printed | contained"
    print(f"| world | {asked} | {of_runs} | {unit} as drawn | {unit} corrected |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with ProcessPoolExecutor(2) as pool:
        for name in WORLDS:
            for number in of:
                every = [*pool.map(partial(one, name, number), range(runs))]
                assert all(each.origins >= LEAST_ORIGINS for each in every)
                truth = np.mean([each.drawn for each in every])
                shares = [
                    truth,
                    *(np.mean([getattr(each, what) for each in every]) for what in ("corrected", "share")),
                ]
                shares.append(np.mean([each.low <= truth <= each.high for each in every]))
                promised = (np.median([getattr(each, what) for each in every]) for what in Run._fields[-2:])
                cells = [f"{100 * share:.0f} %" for share in shares] + [f"{value:.1f}" for value in promised]
                print(f"| {name} | {number} | {' | '.join(cells)} |", flush=True)
    print()


def main(runs: int) -> None:
    """Print both tables."""
    table(("tasks", "days"), when, TASKS, runs)
    table(("days", "tasks"), how_many, AHEAD, runs)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
