"""When each task was started and finished, as far as is known: the bounds that all figures are made from.

A time is between a low and a high number of microseconds, NaN if it has not come.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from calypso_nb.errors import UsageError
from calypso_nb.history.changes import SECOND
from calypso_nb.history.journeys import Journeys
from calypso_nb.workload.phrases import brief, did_you_mean

HOUR = 3600.0 * SECOND
DAY = 24 * HOUR
# Queues in which a task is put aside: coming back from there is no rework.
ASIDE = ("blocked", "backlog", "triage")


class Bounds(NamedTuple):
    """Times or spans that are known to lie between two numbers each; NaN is none."""

    low: np.ndarray
    high: np.ndarray

    def where(self, mask: np.ndarray) -> Bounds:
        """Return them with none where `mask` is False."""
        return Bounds(np.where(mask, self.low, np.nan), np.where(mask, self.high, np.nan))

    def of(self, chosen: Any) -> Bounds:
        """Return some of them."""
        return Bounds(self.low[chosen], self.high[chosen])

    def counted(self, edges: np.ndarray) -> Bounds:
        """Return how many have certainly and possibly come by each of some times."""
        return Bounds(_come(self.high, edges), _come(self.low, edges))

    def counted_between(self, edges: np.ndarray) -> Bounds:
        """Return how many lie certainly and possibly between each two times that follow each other."""
        low, high = self.low[~np.isnan(self.low)], self.high[~np.isnan(self.low)]
        first, last = np.searchsorted(edges, low, "right") - 1, np.searchsorted(edges, high, "right") - 1
        inside = first[(first == last) & (first >= 0)]
        most = _come(low, edges[1:], "left") - _come(high, edges[:-1], "left")
        return Bounds(np.bincount(inside, minlength=len(edges))[: len(edges) - 1], most)


def _come(times: np.ndarray, edges: np.ndarray, side: Any = "right") -> np.ndarray:
    return np.searchsorted(np.sort(times[~np.isnan(times)]), edges, side)


def between(first: Bounds, second: Bounds) -> Bounds:
    """Return how long it is from one time to another, at least and at most, and never less than nothing."""
    return Bounds(np.maximum(second.low - first.high, 0), np.maximum(second.high - first.low, 0))


def percentile(spans: Bounds, percent: float) -> tuple[float, float]:
    """Return the smallest span that so many per cent don't exceed, at least and at most: no model.

    As no low bound exceeds its high one, neither does the k-th smallest of them; NaN if there are none.
    """
    return _smallest(spans.low, percent), _smallest(spans.high, percent)


def _smallest(values: np.ndarray, percent: float) -> float:
    known = np.sort(values[~np.isnan(values)])
    # Not 28.999999 for 29: percentages are whole.
    place = -(-round(percent * 100) * len(known) // 10_000)
    return float(known[max(place, 1) - 1]) if len(known) else np.nan


class Items:
    """The leaves of a board, a place for each in every array: a parent's status is only its subtasks'.

    - journeys: what is known of them
    """

    def __init__(self, journeys: Journeys) -> None:
        steps = journeys.steps
        parents = set(steps["parent_task_id"].dropna().astype("int64"))
        self.steps = steps[~steps["task_id"].isin(parents)].reset_index(drop=True)
        self.journeys = journeys
        self.tasks, self._first, self._place = np.unique(
            self.steps["task_id"].to_numpy(dtype="int64"), return_index=True, return_inverse=True
        )

    def __len__(self) -> int:
        return len(self.tasks)

    def chosen(self, tasks: Iterable[int]) -> Items:
        """Return the items of some tasks."""
        steps = self.steps[self.steps["task_id"].isin([*tasks])]
        return Items(self.journeys._replace(steps=steps)) if len(steps) < len(self.steps) else self

    # Of each step

    @cached_property
    def bounds(self) -> Bounds:
        """When each step was taken."""
        return Bounds(self.steps["low"].to_numpy(), self.steps["high"].to_numpy())

    @cached_property
    def ends(self) -> Bounds:
        """When each step was followed by the next; NaN for the last ones."""
        last = self.is_last
        low, high = (np.append(values[1:], np.nan) for values in self.bounds)
        return Bounds(np.where(last, np.nan, low), np.where(last, np.nan, high))

    @cached_property
    def is_last(self) -> np.ndarray:
        """Whether each step is the last one of its task."""
        return np.append(self._place[1:] != self._place[:-1], len(self._place) > 0)[: len(self._place)]

    @cached_property
    def _there(self) -> np.ndarray:
        return self.steps["there"].to_numpy(dtype="bool")

    @cached_property
    def _status(self) -> np.ndarray:
        return self.steps["status"].to_numpy(dtype="object")

    def _tail(self, holds: np.ndarray) -> np.ndarray:
        """Return of each item from which step on a condition holds to the end; -1 if it doesn't."""
        number = np.arange(len(holds))
        last_not = np.full(len(self), -1)
        np.maximum.at(last_not, self._place[~holds], number[~holds])
        begin = np.maximum(last_not + 1, self._first)
        return np.where(begin < np.append(self._first[1:], len(holds)), begin, -1)

    def _at(self, step: np.ndarray) -> Bounds:
        return self.bounds.of(step).where(step >= 0) if len(self) else Bounds(*np.empty((2, 0)))

    # Of each item

    @cached_property
    def last(self) -> pd.DataFrame:
        """How each item is now, or was last."""
        return self.steps[self.is_last].reset_index(drop=True)

    @cached_property
    def created(self) -> Bounds:
        """When each was created."""
        return self.bounds.of(self._first)

    @cached_property
    def finish(self) -> np.ndarray:
        """By which step each was completed, and not reopened since; -1 if by none."""
        return self._tail(self._status == "complete")

    @cached_property
    def finished(self) -> Bounds:
        """When each was completed, and not reopened since."""
        return self._at(self.finish)

    @cached_property
    def _withdrawal(self) -> np.ndarray:
        return np.where(self.finish < 0, self._tail(~self._there), -1)

    @cached_property
    def withdrawn(self) -> Bounds:
        """When each was archived or deleted without being complete."""
        return self._at(self._withdrawal)

    @cached_property
    def done(self) -> Bounds:
        """When each was finished or withdrawn."""
        finished = ~np.isnan(self.finished.low)
        return Bounds(*map(np.where, (finished, finished), self.finished, self.withdrawn))

    @cached_property
    def started(self) -> Bounds:
        """When each was first working; before it was complete, if nobody has seen it at work until then.

        What was withdrawn before, and edited later, was not started.
        """
        number = np.arange(len(self._status))
        first = np.full(len(self), len(number))
        begun = np.isin(self._status, ("working", "complete"))
        np.minimum.at(first, self._place[begun], number[begun])
        over = np.where(self._withdrawal < 0, len(number), self._withdrawal)
        first = np.where(first < over, first, -1)
        started = self._at(first)
        unseen = (first >= 0) & (np.append(self._status, "")[first] == "complete")
        unseen |= self._edited_before & (first >= 0)
        return started._replace(low=np.where(unseen, self.created.low, started.low))

    @cached_property
    def _edited_before(self) -> np.ndarray:
        """Whether each was edited before somebody saw it, and may have been anything until then."""
        unseen: np.ndarray = np.logical_not(self.steps["seen"].to_numpy(dtype="bool"))
        return unseen[self._first]

    @cached_property
    def clean(self) -> np.ndarray:
        """Whether each went from its start to its finish without being sent back or reopened."""
        clean: np.ndarray = (self.finish >= 0) & (self.returned == 0) & (self.reopened == 0)
        return clean

    @cached_property
    def entered(self) -> Bounds:
        """When each was started, or withdrawn without that."""
        started = ~np.isnan(self.started.low)
        return Bounds(*map(np.where, (started, started), self.started, self.withdrawn))

    @cached_property
    def began_before(self) -> np.ndarray:
        """Whether each may have been started before the recording began."""
        return self.started.low < self.journeys.begin

    @cached_property
    def cycle(self) -> Bounds:
        """How long each took from its start to its finish; none if it may have started before recording."""
        return between(self.started, self.finished).where(~self.began_before)

    @cached_property
    def lead(self) -> Bounds:
        """How long each took from its creation to its finish."""
        return between(self.created, self.finished)

    @cached_property
    def age(self) -> Bounds:
        """How long each that is started and neither finished nor withdrawn has been so at the end."""
        open_ = np.isnan(self.done.low) & ~np.isnan(self.started.low)
        end = np.full(len(self), self.journeys.end)
        return between(self.started, Bounds(end, end)).where(open_)

    @cached_property
    def reopened(self) -> np.ndarray:
        """How often each was complete and then no longer."""
        complete = self._status == "complete"
        left = complete[:-1] & ~complete[1:] & ~self.is_last[:-1]
        return np.bincount(self._place[:-1][left], minlength=len(self))

    @cached_property
    def visits(self) -> pd.DataFrame:
        """Each stay of an item in a queue until it was finished: its first step, its last, and from where.

        Columns: `item`, `queue`, `first`, `last` (steps),
        `returned` (whether it had been there before it first was in the queue that it came from, and neither
        is one to put it aside), `passed_on` (whether it ended by another queue or the finish).
        """
        place, number = self._place, np.arange(len(self.steps))
        over = np.where(self.finish < 0, len(number), self.finish)
        # One that is reopened was not finished, and has not left its queue.
        live = self._there & (number < over[place]) & self.steps["queue_name"].notna().to_numpy()
        queue = self.steps["queue_name"].where(live)
        code = pd.factorize(queue)[0]
        new = np.append(True, (code[1:] != code[:-1]) | (place[1:] != place[:-1]))[: len(code)]
        begin = np.flatnonzero(new)
        end = np.append(begin[1:], len(code))[: len(begin)] - 1
        stays = pd.DataFrame(
            {"item": place[begin], "queue": queue.to_numpy()[begin], "first": begin, "last": end}
        )
        stays = stays[stays["queue"].notna()].reset_index(drop=True)
        before, after = (stays.groupby("item")["queue"].shift(offset) for offset in (1, -1))
        since = stays.groupby(["item", "queue"])["first"].transform("min")
        returned = since < since.shift().where(before.notna(), -1)
        returned &= ~before.isin(ASIDE) & ~stays["queue"].isin(ASIDE)
        finished = stays["last"].to_numpy() + 1 == self.finish[stays["item"]]
        moved = after.notna() & (after != stays["queue"])
        return stays.assign(returned=returned, passed_on=moved | finished)

    @cached_property
    def returned(self) -> np.ndarray:
        """How often each was sent back into a queue where it had been before."""
        visits = self.visits
        return np.bincount(visits.loc[visits["returned"], "item"], minlength=len(self))


class Selection(NamedTuple):
    """Which tasks: those that an agent, a queue and a parent have, or had last, and that have a tag.

    What is below a parent's subtasks is the parent's too.
    """

    agent: str | None = None
    queue: str | None = None
    tag: str | None = None
    parent: int | None = None

    def __str__(self) -> str:
        named = {"agent": self.agent, "queue": self.queue, "tag": self.tag}
        words = [f"{name} {brief(value)}" for name, value in named.items() if value is not None]
        words += [] if self.parent is None else [f"#{self.parent}"]
        return ", ".join(words) or "all tasks"

    def of(self, items: Items, strict: bool = False) -> Items:
        """Return the chosen ones of some items; if `strict`, raise UsageError for a name that nothing has."""
        last = items.last
        mask = np.ones(len(last), dtype="bool")
        for what, asked, values in (
            ("agent", self.agent, last["assigned_to"]),
            ("queue", self.queue, last["queue_name"]),
            ("tag", self.tag, last["tags"].explode()),
        ):
            if asked is None:
                continue
            if strict and not (values == asked).any():
                like = did_you_mean(asked, sorted(set(map(str, values.dropna()))))
                raise UsageError(f"no task of the {what} {asked!r}{like}")
            mask &= np.isin(np.arange(len(last)), values.index[values == asked])
        if self.parent is not None:
            mask &= np.isin(items.tasks, [*_below(self.parent, items.journeys.steps, strict)])
        return items if mask.all() else items.chosen(items.tasks[mask])


def _below(parent: int, steps: pd.DataFrame, strict: bool) -> set[int]:
    """Return the tasks that are a part of a task, of its parts, and so on."""
    above = steps.drop_duplicates("task_id", keep="last").set_index("task_id")["parent_task_id"]
    if strict and not (above == parent).any():
        known = "it has no subtasks" if parent in above.index else "it is not known"
        raise UsageError(f"#{parent}: {known}")
    below, fresh = set[int](), {parent}
    while fresh:
        below |= fresh
        fresh = set(above.index[above.isin(fresh)]) - below
    return below
