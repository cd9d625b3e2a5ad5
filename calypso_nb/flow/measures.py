"""Flow metrics of a board, each number exact or between two bounds: the Kanban Guide's measures and names."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from calypso_nb.errors import UsageError
from calypso_nb.flow.columns import (
    AGEING_COLUMNS,
    CUMULATIVE_COLUMNS,
    GROUP_COLUMNS,
    HANDOFF_COLUMNS,
    ITEM_COLUMNS,
    NET_COLUMNS,
    PERCENTILE_COLUMNS,
    PERCENTS,
    STAGE_COLUMNS,
    STATE_COLUMNS,
    THROUGHPUT_COLUMNS,
    TIME_COLUMNS,
)
from calypso_nb.flow.items import DAY, HOUR, Bounds, Items, Selection, between, percentile
from calypso_nb.frames import conformed
from calypso_nb.history.changes import micros_of, moment_of
from calypso_nb.history.journeys import Journeys, journeys_in
from calypso_nb.workload.phrases import moment
from calypso_nb.workload.reporter import Workload

# A service level expectation speaks for the last 30 finished tasks, or for those of 30 days if they are more.
EXPECTED_PERCENT, EXPECTED_TASKS, EXPECTED_DAYS, EXPECTED_LEAST = 85, 30, 30, 20
POINTS = 120  # How many moments the lines over time are made of at most.
BUCKETS = {"1 h": HOUR, "6 h": 6 * HOUR, "1 d": DAY, "1 w": 7 * DAY}


# The frames of a flow that need no argument.
FRAMES = (
    "percentiles", "ageing", "throughput", "states", "cumulative", "net", "stages", "handoffs", "tasks",
)  # fmt: skip


class Expectation(NamedTuple):
    """A service level expectation: so many per cent of finished tasks took no longer than so many hours.

    `older_least` and `older_most` are how many of the `open` tasks in progress are older. If fewer than 20
    were finished, the hours are NaN and these None.
    """

    percent: int
    hours_least: float
    hours_most: float
    tasks: int
    older_least: int | None
    older_most: int | None
    open: int


class Health(NamedTuple):
    """Whether Little's law holds over the time shown: mean WIP = throughput x mean cycle time.

    `apart` is how far they are from each other at least, as a share of the mean WIP; NaN if unknown.
    """

    wip_least: float
    wip_most: float
    expected_least: float
    expected_most: float
    apart: float

    @property
    def stable(self) -> bool | None:
        """Whether they are at most 20 % apart, so that averages mean something; None if unknown."""
        return None if np.isnan(self.apart) else self.apart <= 0.2


class Flow:
    """How work flows over a board, measured from its history.

    All figures are of tasks without subtasks, as a parent's status is made of theirs, and of the ones that
    were chosen. What is not exact has two columns, `…_least` and `…_most`.

    - journeys: what is known of the tasks
    - since: from when on throughput and the lines over time are shown; by default from the recording's begin
    - bucket: the span of a row of `throughput`, one of `1 h`, `6 h`, `1 d` and `1 w`; by default the smallest
      that makes at most 90 rows
    - selection: which tasks, by default all

    Raise UsageError for what matches no task, for a bucket that is none, for a moment after all that is
    known, and if nothing is.
    Example: `history.flow(queue="dev").throughput`
    """

    def __init__(
        self,
        journeys: Journeys,
        since: datetime | None = None,
        bucket: str | None = None,
        selection: Selection | None = None,
    ) -> None:
        self.journeys, self.selection = journeys, selection or Selection()
        self.items = self.selection.of(Items(journeys), strict=True)
        self.end = journeys.end
        if np.isnan(self.end):
            raise UsageError("nothing is recorded yet")
        first = np.nanmin(self.items.created.low) if len(self.items) else self.end
        self.begin = min(max(journeys.begin, first), self.end) if since is None else micros_of(since)
        if self.begin > self.end:
            raise UsageError(f"nothing is known after {moment(self.until)}")
        if bucket is not None and bucket not in BUCKETS:
            raise UsageError(f"{bucket!r} is not a valid bucket: write {', '.join(BUCKETS)}")
        fitting = [name for name, size in BUCKETS.items() if (self.end - self.begin) / size <= 90]
        self.bucket = bucket or (fitting or [*BUCKETS])[0 if fitting else -1]

    def __repr__(self) -> str:
        return f"<Flow of {len(self.items)} tasks>"

    @property
    def since(self) -> datetime:
        """From when on it is shown."""
        return moment_of(int(self.begin))

    @property
    def recorded_since(self) -> datetime | None:
        """When the recording began; None without one."""
        return moment_of(int(self.journeys.begin)) if self.journeys.recorded else None

    @property
    def until(self) -> datetime:
        """Until when it is known."""
        return moment_of(int(self.end))

    # Tasks

    @cached_property
    def tasks(self) -> pd.DataFrame:
        """Every task with the bounds of its times, with `ITEM_COLUMNS`."""
        items = self.items
        last = items.last
        columns: dict[str, Any] = {
            "task_id": items.tasks,
            "title": last["task_id"].map(self.journeys.titles),
            "status": last["status"],
            "agent": last["assigned_to"],
            "queue": last["queue_name"],
            "parent": last["parent_task_id"],
            "began_before": items.began_before,
            "reopened": items.reopened if self.journeys.recorded else pd.NA,
            "returned": items.returned if self.journeys.recorded else pd.NA,
        }
        for name in ("created", "started", "finished", "withdrawn"):
            bounds = getattr(items, name)
            columns |= {f"{name}_not_before": _times(bounds.low), f"{name}_not_after": _times(bounds.high)}
        for name, spans in (
            ("cycle_time", items.cycle),
            ("lead_time", items.lead),
            ("work_item_age", items.age),
        ):
            columns |= _in_hours(name, spans)
        return conformed(pd.DataFrame(columns), ITEM_COLUMNS)

    @cached_property
    def ageing(self) -> pd.DataFrame:
        """The tasks in progress, the oldest first, against finished ones' cycle times: `AGEING_COLUMNS`."""
        age = self.items.age
        marks = [percentile(self.items.cycle, percent) for percent in PERCENTS]
        older = perhaps = np.zeros(len(self.items))
        for percent, (low, high) in zip(PERCENTS, marks, strict=True):
            older = np.where(age.low > high, percent, older)
            perhaps = np.where(age.high > low, percent, perhaps)
        known = 1.0 if marks[0][1] >= 0 else np.nan
        rows = self.tasks.assign(older_than=known * older, perhaps_older_than=known * perhaps)
        rows = rows[~np.isnan(age.high)].sort_values("work_item_age_most", ascending=False, kind="stable")
        return conformed(rows, AGEING_COLUMNS)

    @cached_property
    def percentiles(self) -> pd.DataFrame:
        """What 50, 85 and 95 % of the tasks don't exceed, with `PERCENTILE_COLUMNS`."""
        items = self.items
        unmeasured = ~np.isnan(items.finished.high) & items.began_before
        rows = [
            {
                "measure": name,
                "tasks": int((~np.isnan(spans.high)).sum()),
                "left_out": int(unmeasured.sum()) if spans is items.cycle else 0,
                **_percentiles(spans),
            }
            for name, spans in (
                ("cycle time", items.cycle), ("lead time", items.lead), ("work item age", items.age),
            )
        ]  # fmt: skip
        return conformed(pd.DataFrame(rows), PERCENTILE_COLUMNS)

    @cached_property
    def expectation(self) -> Expectation:
        """The service level expectation: how long 85 % of the last tasks took."""
        items = self.items
        known = ~np.isnan(items.cycle.high)
        recent = np.flatnonzero(known)[np.argsort(items.finished.high[known], kind="stable")][::-1]
        within = int((items.finished.high[known] > self.end - EXPECTED_DAYS * DAY).sum())
        chosen = recent[: max(EXPECTED_TASKS, within)]
        low, high = percentile(items.cycle.of(chosen), EXPECTED_PERCENT)
        in_progress = int((~np.isnan(items.age.high)).sum())
        if len(chosen) < EXPECTED_LEAST:
            return Expectation(EXPECTED_PERCENT, np.nan, np.nan, len(chosen), None, None, in_progress)
        older = int((items.age.low > high).sum()), int((items.age.high > low).sum())
        return Expectation(EXPECTED_PERCENT, low / HOUR, high / HOUR, len(chosen), *older, in_progress)

    # Over time

    @cached_property
    def throughput(self) -> pd.DataFrame:
        """What came, was started and was finished per bucket, with `THROUGHPUT_COLUMNS`."""
        items, size = self.items, BUCKETS[self.bucket]
        number = max(int(np.ceil((self.end - self.begin) / size)), 1)
        edges = self.end - size * np.arange(number, -1, -1)
        told = {"arrived": items.created, "started": items.started}
        told |= {"finished": items.finished, "withdrawn": items.withdrawn}
        counted = {name: bounds.counted_between(_closed(edges)) for name, bounds in told.items()}
        counted["wip"] = _in_progress(items, edges[1:])
        columns = {
            "from": _times(edges[:-1]),
            "to": _times(edges[1:]),
            "recorded": recorded_share(self.journeys, edges),
        }
        return conformed(pd.DataFrame(columns | _counts(counted)), THROUGHPUT_COLUMNS)

    @cached_property
    def states(self) -> pd.DataFrame:
        """How many tasks were in which state at each of some moments, with `STATE_COLUMNS`."""
        steps, moments = self.items.steps, self._moments
        there = steps["there"].to_numpy(dtype="bool")
        counted = {"wip": _in_progress(self.items, moments)}
        for status in ("idle", "working"):
            # Steps in the same state are one stay, which no doubt about their order interrupts.
            counted[status] = _stays(self.items, there & (steps["status"] == status).to_numpy()).during(
                moments
            )
        return conformed(pd.DataFrame(self._at(moments) | _counts(counted)), STATE_COLUMNS)

    @cached_property
    def cumulative(self) -> pd.DataFrame:
        """How many tasks had come, been started and been done by each of some moments: `CUMULATIVE_COLUMNS`.

        No line ever falls: a reopened task is not finished, and was not before.
        """
        items, moments = self.items, self._moments
        counted = {"arrived": items.created}
        counted |= {name: getattr(items, name) for name in ("entered", "done", "finished")}
        lines = {name: bounds.counted(moments) for name, bounds in counted.items()}
        return conformed(pd.DataFrame(self._at(moments) | _counts(lines)), CUMULATIVE_COLUMNS)

    @cached_property
    def net(self) -> pd.DataFrame:
        """What came into each queue and left it, per week, the last week first, with `NET_COLUMNS`."""
        frames = []
        weeks = max(int(np.ceil((self.end - self.begin) / (7 * DAY))), 1)
        edges = np.maximum(self.end - 7 * DAY * np.arange(weeks, -1, -1), self.begin)
        for queue, (came, left) in self._passages.items():
            arrived, departed = came.counted_between(_closed(edges)), left.counted_between(_closed(edges))
            net = Bounds(arrived.low - departed.high, arrived.high - departed.low)
            columns = {"queue": queue, "from": _times(edges[:-1]), "to": _times(edges[1:])}
            counts = _counts({"arrived": arrived, "departed": departed, "net": net})
            frames.append(pd.DataFrame(columns | counts)[::-1])
        rows = pd.concat(frames) if frames else pd.DataFrame(columns=[*NET_COLUMNS])
        return conformed(rows, NET_COLUMNS)

    def time_in(self, group: str = "queue") -> pd.DataFrame:
        """Return how long tasks were in each queue or with each agent, idle and working: `TIME_COLUMNS`.

        - group: `queue` or `agent`

        All that is known counts, up to now for what goes on; the upper bounds have what nobody saw.
        Example: `history.flow().time_in("agent")`
        """
        if group not in ("queue", "agent"):
            raise UsageError(f"{group!r} is not a valid group: write queue or agent")
        steps = self.items.steps
        column = {"queue": "queue_name", "agent": "assigned_to"}[group]
        live = steps["there"].to_numpy(dtype="bool") & (steps["status"] != "complete").to_numpy()
        spans = between(self.items.bounds, self._ends)
        frame = pd.DataFrame(
            {
                "item": steps["task_id"], "group": steps[column].fillna(""), "status": steps["status"],
                "least": spans.low, "most": spans.high,
            }
        )[live]  # fmt: skip
        per_task = frame.groupby(["group", "status", "item"], sort=True)[["least", "most"]].sum()
        rows = [
            {
                "group": name or None, "status": status, "tasks": len(some),
                "total_least": some["least"].sum() / HOUR, "total_most": some["most"].sum() / HOUR,
                **_percentiles(Bounds(some["least"].to_numpy(), some["most"].to_numpy())),
            }
            for (name, status), some in per_task.groupby(level=[0, 1])
        ]  # fmt: skip
        return conformed(pd.DataFrame(rows, columns=[*TIME_COLUMNS]), TIME_COLUMNS)

    # Who and where

    def by(self, group: str) -> pd.DataFrame:
        """Return the main figures per agent, queue, tag or parent, most in progress first: `GROUP_COLUMNS`.

        - group: `agent`, `queue`, `tag` or `parent`; a task counts for whom it has, or had last

        Example: `history.flow().by("agent")`
        """
        last = self.items.last
        columns = {"agent": "assigned_to", "queue": "queue_name", "tag": "tags", "parent": "parent_task_id"}
        if group not in columns:
            raise UsageError(f"{group!r} is not a valid group: write {', '.join(columns)}")
        values = last[columns[group]].explode().astype("object").fillna("")
        if group == "parent":
            values = values.map(lambda number: f"#{number:.0f}" if number != "" else "")
        edges = np.array([self.begin, self.end + 1])
        rows = [
            _figures(self.items, places.unique(), edges) | {"group": name or None}
            for name, places in pd.Series(values.index, values.to_numpy()).groupby(level=0)
        ]
        found = pd.DataFrame(rows, columns=[*GROUP_COLUMNS])
        return conformed(found.sort_values("wip_most", ascending=False, kind="stable"), GROUP_COLUMNS)

    @cached_property
    def handed(self) -> pd.DataFrame:
        """Each handoff: `from_agent`, `to_agent`, `task` (its number) and `returns`, whether it came back."""
        steps = self.items.steps
        agent, task = steps["assigned_to"].fillna(""), steps["task_id"]
        before = agent.shift().where(task.eq(task.shift()), "")
        handed = (agent != before) & (agent != "") & (before != "") & steps["there"].astype("bool")
        visits = self.items.visits
        returned = np.isin(np.arange(len(steps)), visits.loc[visits["returned"], "first"])
        told = {"from_agent": before, "to_agent": agent, "task": task, "returns": returned}
        return pd.DataFrame(told)[handed]

    @cached_property
    def handoffs(self) -> pd.DataFrame:
        """Who handed how many tasks to whom, the most first, with `HANDOFF_COLUMNS`."""
        rows = self.handed.groupby(["from_agent", "to_agent"]).agg(
            handoffs=("task", "size"), tasks=("task", "nunique"), returns=("returns", "sum")
        )
        rows = rows.reset_index().sort_values("handoffs", ascending=False, kind="stable")
        return conformed(rows, HANDOFF_COLUMNS)

    @cached_property
    def stages(self) -> pd.DataFrame:
        """What each queue does to the work, where it waits longest in all first, with `STAGE_COLUMNS`."""
        items = self.items
        visits = items.visits
        spans = between(items.bounds, self._ends)
        statuses = items.steps["status"].to_numpy(dtype="object")
        after = visits.groupby("item")["returned"].shift(-1).eq(True)
        over = ~np.isnan(items.ends.low[visits["last"]])
        waits = _sums(spans, statuses == "idle", visits)
        works = _sums(spans, statuses == "working", visits)
        edges = np.array([max(self.end - 14 * DAY, self.begin), self.end + 1])
        rows = []
        for queue, some in visits.groupby("queue"):
            places = some.index.to_numpy()
            came, left = (bounds.counted_between(edges) for bounds in self._passages[str(queue)])
            waited, worked = waits.of(places), works.of(places)
            ended = percentile(waited.of(over[places]), EXPECTED_PERCENT)
            rows.append(
                {
                    "queue": queue, "visits": len(some), "now": int((~over[places]).sum()),
                    "waited_least": waited.low.sum() / HOUR, "waited_most": waited.high.sum() / HOUR,
                    "worked_least": worked.low.sum() / HOUR, "worked_most": worked.high.sum() / HOUR,
                    "p85_wait_least": ended[0] / HOUR, "p85_wait_most": ended[1] / HOUR,
                    "arrived_least": came.low[0], "arrived_most": came.high[0],
                    "departed_least": left.low[0], "departed_most": left.high[0],
                    "passed_on": int(visits["passed_on"][places].sum()),
                    "sent_back": int(after[places].sum()),
                }
            )  # fmt: skip
        found = pd.DataFrame(rows, columns=[*STAGE_COLUMNS])
        return conformed(found.sort_values("waited_least", ascending=False, kind="stable"), STAGE_COLUMNS)

    @cached_property
    def health(self) -> Health:
        """Whether mean WIP, throughput and mean cycle time fit together, by Little's law."""
        items, edges = self.items, np.array([self.begin, self.end])
        days = (self.end - self.begin) / DAY
        finished = items.finished
        inside = (finished.low >= self.begin) & ~np.isnan(items.cycle.high)
        if not days or not inside.any():
            return Health(*[np.nan] * 5)
        sure, possible = (
            _overlap(items.started.high, items.done.low, edges),
            _overlap(items.started.low, items.done.high, edges),
        )
        rate = finished.counted_between(_closed(edges))
        times = items.cycle.of(inside)
        expected = (
            rate.low[0] / days * times.low.mean() / DAY,
            rate.high[0] / days * times.high.mean() / DAY,
        )
        wip = sure / DAY / days, possible / DAY / days
        apart = max(wip[0] - expected[1], expected[0] - wip[1], 0) / wip[1] if wip[1] else np.nan
        return Health(*map(float, (*wip, *expected, apart)))

    @cached_property
    def first_pass(self) -> tuple[int, int] | None:
        """How many tasks were finished without being sent back or reopened, and of how many.

        These are finished tasks that were seen from their start on; None without a history.
        """
        if not self.journeys.recorded:
            return None
        seen = ~np.isnan(self.items.finished.high) & ~self.items.began_before
        return int((self.items.clean & seen).sum()), int(seen.sum())

    @cached_property
    def _ends(self) -> Bounds:
        """When each step was over, which is now for what goes on."""
        return Bounds(*(np.where(np.isnan(ends), self.end, ends) for ends in self.items.ends))

    @cached_property
    def _passages(self) -> dict[str, tuple[Bounds, Bounds]]:
        """When tasks came into each queue, and when they left it."""
        visits, bounds, ends = self.items.visits, self.items.bounds, self.items.ends
        return {
            str(queue): (bounds.of(some["first"].to_numpy()), ends.of(some["last"].to_numpy()))
            for queue, some in visits.groupby("queue")
        }

    @cached_property
    def _moments(self) -> np.ndarray:
        return np.linspace(self.begin, self.end, POINTS + 1)

    def _at(self, moments: np.ndarray) -> dict[str, Any]:
        gaps = self.journeys.gaps
        away = ((moments[:, None] > gaps[:, 0]) & (moments[:, None] < gaps[:, 1])).any(axis=1)
        return {"at": _times(moments), "recorded": ~away & (moments >= self.journeys.begin)}


def recorded_share(journeys: Journeys, edges: np.ndarray) -> np.ndarray:
    """Return which share of the time between each two edges was recorded."""
    if not journeys.recorded:
        return np.ones(len(edges) - 1)
    unseen = [*journeys.gaps, (-np.inf, journeys.begin), (journeys.end, np.inf)]
    missing: Any = sum(
        np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], begin), 0, None) for begin, end in unseen
    )
    share: np.ndarray = np.clip(1 - missing / np.diff(edges), 0, 1)
    return share


def flow_now(data: Workload) -> Flow:
    """Return what the tasks of a report tell of their flow, without a history: bounds, but for creation.

    Example: `flow_now(data).expectation`
    """
    end = micros_of(data.generated_at)
    return Flow(journeys_in(data.all_tasks, float(end)))


class _Stays(NamedTuple):
    """Stays on the board: when each began and ended, without an end if it goes on."""

    begin: Bounds
    end: Bounds

    def during(self, moments: np.ndarray) -> Bounds:
        """Return how many were certainly and possibly there at each of some moments."""
        end = Bounds(*(np.where(np.isnan(end), np.inf, end) for end in self.end))
        certain = self.begin.high < end.low
        low = _count(self.begin.high[certain], moments) - _count(end.low[certain], moments)
        return Bounds(low, _count(self.begin.low, moments) - _count(end.high, moments))


def _count(times: np.ndarray, moments: np.ndarray) -> np.ndarray:
    return np.searchsorted(np.sort(times), moments, "right")


def _stays(items: Items, holds: np.ndarray) -> _Stays:
    """Return from when to when each item was in a state that some of its steps have."""
    place = items.steps["task_id"].to_numpy()
    joined = np.append(False, holds[1:] & holds[:-1] & (place[1:] == place[:-1]))[: len(holds)]
    first = np.flatnonzero(holds & ~joined)
    last = np.flatnonzero(holds & ~np.append(joined[1:], False)[: len(holds)])
    return _Stays(items.bounds.of(first), items.ends.of(last))


def _in_progress(items: Items, moments: np.ndarray) -> Bounds:
    started = ~np.isnan(items.started.low)
    return _Stays(items.started.of(started), items.done.of(started)).during(moments)


def _overlap(begin: np.ndarray, end: np.ndarray, edges: np.ndarray) -> float:
    """Return how long spans lie between two edges, all together; a span without an end goes on."""
    spans = np.fmin(end, edges[1]) - np.maximum(begin, edges[0])
    return float(np.nansum(np.clip(spans, 0, None)))


def _sums(spans: Bounds, mask: np.ndarray, visits: pd.DataFrame) -> Bounds:
    """Return how long each visit was in a state."""
    found = []
    for values in spans:
        total = np.append(0, np.cumsum(np.where(mask, values, 0)))
        found.append(total[visits["last"] + 1] - total[visits["first"]])
    return Bounds(*found)


def _figures(items: Items, places: np.ndarray, edges: np.ndarray) -> dict[str, Any]:
    finished = items.finished.of(places)
    arrived, done = items.created.of(places).counted_between(edges), finished.counted_between(edges)
    started = places[~np.isnan(items.started.low[places])]
    wip = _Stays(items.started.of(started), items.done.of(started)).during(edges[1:])
    cycle = items.cycle.of(places)
    now = (finished.high >= edges[0]) & (finished.low < edges[1]) & ~items.began_before[places]
    counts = {"arrived": arrived, "finished": done, "wip": wip}
    return {
        "tasks": len(places),
        "measured": int((~np.isnan(cycle.high)).sum()),
        "first_pass": int((now & items.clean[places]).sum()) if items.journeys.recorded else None,
        "passed": int(now.sum()),
        **{name: values[0] for name, values in _counts(counts).items()},
        **{f"cycle_time_{name}": value for name, value in _percentiles(cycle).items()},
    }


def _closed(edges: np.ndarray) -> np.ndarray:
    """Return edges whose last span includes its end."""
    return np.append(edges[:-1], edges[-1] + 1)


def _counts(counted: dict[str, Bounds]) -> dict[str, Any]:
    return {
        f"{name}_{end}": values
        for name, bounds in counted.items()
        for end, values in zip(("least", "most"), bounds, strict=True)
    }


def _percentiles(spans: Bounds) -> dict[str, float]:
    return {
        f"p{percent}_{end}": value / HOUR
        for percent in PERCENTS
        for end, value in zip(("least", "most"), percentile(spans, percent), strict=True)
    }


def _in_hours(name: str, spans: Bounds) -> dict[str, np.ndarray]:
    return {f"{name}_least": spans.low / HOUR, f"{name}_most": spans.high / HOUR}


def _times(values: np.ndarray) -> pd.Series:
    known = np.isfinite(values)
    stamps = pd.Series(np.where(known, values, 0).astype("int64")).astype("Int64").where(known)
    return pd.to_datetime(stamps, unit="us", utc=True).dt.as_unit("us")
