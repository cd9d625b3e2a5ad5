"""Recorded pasts that are made up: so many tasks finished on each day, in worlds that change or don't."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from calypso_nb.flow.items import DAY, HOUR
from calypso_nb.history.changes import micros
from calypso_nb.history.journeys import TOLD, Journeys

START = float(micros("2026-06-01T09:00:00Z") or 0)
DAYS = 120

Counts = np.ndarray
World = Callable[[np.random.Generator, np.ndarray], Counts]


def _bursty(rng: np.random.Generator, day: np.ndarray) -> Counts:
    quiet = rng.random(len(day)) < 0.7
    return np.where(quiet, rng.poisson(1.2, len(day)), rng.poisson(10.5, len(day)))


# How many tasks are finished on each day.
WORLDS: dict[str, World] = {
    "stable": lambda rng, day: rng.poisson(4, len(day)),
    "bursty": _bursty,
    "slow waves": lambda rng, day: rng.poisson(4 * (1 + 0.6 * np.sin(2 * np.pi * (day / 45 + rng.random())))),
    "weekends off": lambda rng, day: np.where(day % 7 < 5, rng.poisson(5.6, len(day)), 0),
    "drift": lambda rng, day: rng.poisson(5 * np.exp(-0.003 * day)),
}


def world(name: str, seed: int, days: int) -> Counts:
    """Return how many tasks are finished on each of some days."""
    return WORLDS[name](np.random.default_rng(seed), np.arange(days))


def finishes(counts: Counts, seed: int = 0) -> np.ndarray:
    """Return when tasks are finished, somewhere in their days."""
    rng = np.random.default_rng(seed)
    days = np.repeat(np.arange(len(counts)), counts)
    return np.sort(START + (days + rng.uniform(0, 0.999, len(days))) * DAY)


def recorded(counts: Counts, open_tasks: int, seed: int = 0, blur: float = 0.0, **told: Any) -> Journeys:
    """Return the journeys of a board on which tasks were finished day by day, and some are open at the end.

    - blur: how many microseconds at most each time is unknown by, before and after
    - told: what all tasks have, such as `queue_name="dev"`
    """
    rng = np.random.default_rng(seed)
    finished = finishes(counts, seed)
    started = np.maximum(finished - rng.exponential(DAY, len(finished)), START + 1)
    created = np.maximum(started - rng.exponential(DAY, len(finished)), START)
    end = START + len(counts) * DAY
    numbers = np.arange(1, len(finished) + 1)
    waiting = np.arange(len(finished) + 1, len(finished) + open_tasks + 1)
    steps = pd.concat(
        [
            pd.DataFrame({"task_id": numbers, "at": created, "status": "idle"}),
            pd.DataFrame({"task_id": waiting, "at": end - HOUR, "status": "idle"}),
            pd.DataFrame({"task_id": numbers, "at": started, "status": "working"}),
            pd.DataFrame({"task_id": numbers, "at": finished, "status": "complete"}),
        ]
    ).sort_values(["task_id", "at"], kind="stable")
    around = rng.uniform(0, blur, (2, len(steps))) * (steps["status"] != "idle").to_numpy()
    steps = steps.assign(low=steps["at"] - around[0], high=steps["at"] + around[1], seen=True, there=True)
    steps = steps.assign(known=steps["high"], **dict.fromkeys(TOLD[1:]))
    steps = steps.assign(tags=[()] * len(steps), **told).reset_index(drop=True)
    return Journeys(
        steps[["task_id", "known", "low", "high", "seen", "there", *TOLD]], {}, START, end, np.empty((0, 2))
    )
