"""Futures drawn from the past: what was finished in each bucket of time, put together again by chance."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import NamedTuple

import numpy as np

from calypso_nb.flow.items import Bounds

# In how many ways a past is read whose times are not exact.
READINGS = 50


class Past(NamedTuple):
    """What happened in the buckets of time before a moment: a row per reading, a column per bucket.

    - finished: how many tasks were finished, of the chosen ones or of the team
    - arrived: how many of the chosen ones were created, less those that were withdrawn
    - block: how many buckets that follow each other are drawn together
    """

    finished: np.ndarray
    arrived: np.ndarray
    block: int


class Futures(NamedTuple):
    """How many buckets each trial took, infinite if it was given up.

    - frozen: until the tasks that were asked about are finished
    - growing: until no task is left, if as many are added as there were
    """

    frozen: np.ndarray
    growing: np.ndarray


def readings(rng: np.random.Generator, times: Bounds, edges: np.ndarray) -> np.ndarray:
    """Return how many times lie between each two edges: one row if that is certain, else a row per reading.

    A reading puts each time somewhere between its bounds, so that each counts once in it.
    """
    touching = (times.low < edges[-1]) & (times.high >= edges[0])
    low, high = times.low[touching], times.high[touching]
    first, last = np.searchsorted(edges, low, "right"), np.searchsorted(edges, high, "right")
    if (first == last).all():
        return np.bincount(first, minlength=len(edges) + 1)[None, 1:-1]
    drawn = rng.uniform(low, high, (READINGS, len(low)))
    places = np.searchsorted(edges, drawn, "right")
    flat = places + np.arange(READINGS)[:, None] * (len(edges) + 1)
    return np.bincount(flat.ravel(), minlength=READINGS * (len(edges) + 1)).reshape(READINGS, -1)[:, 1:-1]


def block_of(finished: np.ndarray, cycle: int) -> int:
    """Return how many buckets to draw together: a whole cycle if each tells something of the next one.

    - finished: as in `Past`
    - cycle: how many buckets make a week, or a day of hours
    """
    counts = finished.mean(axis=0)
    spread = counts - counts.mean()
    total = (spread**2).sum()
    related = (spread[1:] * spread[:-1]).sum() / total if total else 0.0
    return cycle if related > 2 / sqrt(len(counts)) and len(counts) > 2 * cycle else 1


def simulate(
    rng: np.random.Generator, past: Past, tasks: int, shares: np.ndarray, longest: int, *, grows: bool
) -> Futures:
    """Draw futures until a number of tasks is finished in each.

    Each trial draws buckets of the past by weights that it has drawn too, from a flat Dirichlet distribution:
    the past is one sample, and another might have come. Drawing one bucket after the other from an urn, to
    which each drawn one is added again, comes to the same.

    - tasks: how many are to be finished
    - shares: which share of what was finished counts, for each trial
    - longest: after how many buckets a trial is given up
    - grows: whether to see also how long it takes if tasks are added; it never is shorter
    """
    trials = len(shares)
    reading = np.arange(trials)
    finished, left = np.zeros(trials), np.full(trials, float(tasks))
    frozen, growing = np.full((2, trials), np.inf)
    for step, places in enumerate(drawn(rng, past, trials, longest), start=1):
        done = past.finished[reading % len(past.finished), places] * shares
        finished += done
        frozen[np.isinf(frozen) & (finished >= tasks)] = step
        if grows:
            left = np.maximum(left + past.arrived[reading % len(past.arrived), places] - done, 0)
            growing[np.isinf(growing) & (left <= 0)] = step
        if step >= longest or not np.isinf(growing if grows else frozen).any():
            break
    return Futures(frozen, growing)


def counted(rng: np.random.Generator, past: Past, buckets: int, shares: np.ndarray) -> np.ndarray:
    """Draw how many tasks are finished within a number of buckets, in each trial."""
    trials = len(shares)
    finished = np.zeros(trials)
    taken = np.arange(trials) % len(past.finished)
    for _, places in zip(range(buckets), drawn(rng, past, trials, buckets), strict=False):
        finished += past.finished[taken, places] * shares
    return np.floor(finished + 1e-9)


def drawn(rng: np.random.Generator, past: Past, trials: int, longest: int) -> Iterator[np.ndarray]:
    """Yield for one bucket after the other which bucket of the past each trial has drawn."""
    number, rows = past.finished.shape[1], np.arange(trials)
    urn = np.empty((longest // past.block + 1, trials), dtype="int32")
    for turn, places in enumerate(urn):
        places[:] = rng.integers(0, number + turn, trials)
        again = np.flatnonzero(places >= number)
        places[again] = urn[places[again] - number, rows[again]]
        for offset in range(past.block):
            yield (places + offset) % number
