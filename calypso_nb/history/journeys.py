"""The way of each task over the board: in which state, with whom and in which queue, from when on.

Times are numbers of microseconds since 1970, as floats, which hold them exactly; NaN is none.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import orjson
import pandas as pd

from calypso_nb.history.changes import CREATED, DELETED, FIRST_SEEN, SECOND, micros
from calypso_nb.history.store import unpacked

# What a step tells of a task.
TOLD = ("status", "assigned_to", "queue_name", "parent_task_id", "tags", "blocked_by_task_id")
FIELDS = (*TOLD, CREATED, DELETED, FIRST_SEEN, "archived_at", "title")

_STEP = ("task_id", "known", "low", "high", "seen", "there", *TOLD)
# What a task was like when it was created is not known if it was edited before somebody saw it.
_UNKNOWN = {"status": "idle", "assigned_to": None, "queue_name": None}


class Journeys(NamedTuple):
    """What flow is measured from.

    - steps: a row per task and change, in order: `low` and `high` bound when it happened, `known` is when it
      came to be known, `seen` is False for a status that was passed through, and for all that a task may have
      gone through before somebody saw it, `there` for a task that is archived or deleted; the rest is how the
      task was from then on
    - titles: the last title of each task
    - begin, end: from when to when the tasks were recorded
    - gaps: between which times they were not, a row for each
    - recorded: False if all there is are a task's own times, of one moment
    """

    steps: pd.DataFrame
    titles: dict[int, str]
    begin: float
    end: float
    gaps: np.ndarray
    recorded: bool = True

    def known_at(self, time: float) -> Journeys:
        """Return what was known at a time, and nothing of what came to be known later."""
        steps = self.steps[self.steps["known"] <= time]
        gaps = self.gaps[self.gaps[:, 0] < time]
        return self._replace(steps=steps, end=min(self.end, time), gaps=gaps)


def journeys_of(
    rows: Iterable[Sequence[Any]], observations: Sequence[Sequence[Any]], gaps: Sequence[Sequence[Any]]
) -> Journeys:
    """Return the journeys that a history has written down.

    - rows: of each event of `FIELDS` its task, field, new value, bounds, whether it was seen and pushed, and
      the observation before it; sorted by task, and in the order in which it happened
    - observations: of each that went well its number, the begin and the end of its first look, and its end
    - gaps: the begin and the end of each time that was not recorded
    """
    numbers = [number for number, *_ in observations]
    ends = [until for _, _, until, _ in observations]
    titles: dict[int, str] = {}
    steps = _in_order(_steps(rows, numbers, ends, titles))
    begin = observations[0][1] if observations else np.nan
    # What is pushed may be newer than the last look.
    end = max([ended for *_, ended in observations] + steps["known"].tolist(), default=np.nan)
    return Journeys(steps, titles, float(begin), float(end), np.array(gaps, dtype="float64").reshape(-1, 2))


def _in_order(rows: Iterable[Sequence[Any]]) -> pd.DataFrame:
    """Return steps of which none of a task is earlier than the one before it, at least or at most.

    Of two fields that have changed, or by a clock that was set, nobody may know which was first: then the
    times of both are as wide as that is.
    """
    steps = pd.DataFrame(rows, columns=[*_STEP])
    for name in ("known", "low", "high", "parent_task_id", "blocked_by_task_id"):
        steps[name] = steps[name].astype("float64")
    for name in ("known", "high"):
        steps[name] = steps.groupby("task_id", sort=False)[name].cummax()
    steps["low"] = steps[::-1].groupby("task_id", sort=False)["low"].cummin()
    return steps


def journeys_in(tasks: pd.DataFrame, end: float) -> Journeys:
    """Return what the tasks themselves tell of their journeys, of which only `created_at` is exact.

    A working task was started between its creation and its last edit, a complete one finished too.

    - tasks: all tasks of a server, with `TASK_COLUMNS`
    - end: when they were listed
    """
    steps = []
    tasks = tasks.sort_values("id")
    plain = tasks[[*TOLD]].astype("object").where(tasks[[*TOLD]].notna(), None)
    told = zip(*(plain[name].tolist() for name in TOLD), strict=True)
    times = zip(*(_stamps(tasks[name]) for name in ("created_at", "updated_at", "archived_at")), strict=True)
    for task, (status, *rest), (created, updated, archived) in zip(
        tasks["id"].tolist(), told, times, strict=True
    ):
        if created != created:
            created = 0.0
        # All of it has happened by then, unless two clocks disagree.
        made, edited, gone = (
            max(min(time + SECOND, end), created) if time == time else max(end, created)
            for time in (created, updated, archived)
        )
        now = dict(zip(TOLD, (status, *rest), strict=True))
        if not updated <= created:
            steps.append((task, end, created, made, False, True, *(now | _UNKNOWN).values()))
            made = edited
        steps.append((task, end, created, made, True, True, "idle", *rest))
        for passed in {"working": ["working"], "complete": ["working", "complete"]}.get(status, []):
            steps.append((task, end, created, edited, passed == status, True, passed, *rest))
        if archived == archived:
            steps.append((task, end, max(archived, created), gone, True, False, status, *rest))
    titles = dict(zip(tasks["id"].tolist(), tasks["title"].tolist(), strict=True))
    return Journeys(_in_order(steps), titles, -np.inf, end, np.empty((0, 2)), recorded=False)


def _stamps(values: pd.Series) -> list[float]:
    return values.astype("int64").astype("float64").where(values.notna()).tolist()


def _steps(
    rows: Iterable[Sequence[Any]], numbers: list[int], ends: list[int], titles: dict[int, str]
) -> Iterator[tuple[Any, ...]]:
    """Yield the steps of all tasks, and put their titles beside them."""
    last = ends[-1] if ends else 0
    for task, events in groupby(rows, key=itemgetter(0)):
        now: dict[str, Any] = dict.fromkeys(("there", *TOLD))
        held: tuple[Any, ...] | None = None
        fresh: set[str] = set()  # What the step that is held back has changed.
        found = None  # After which look.
        for _, field, new, low, high, seen, pushed, observation in events:
            if field == "title":
                titles[task] = new
                continue
            known = high
            if not pushed:
                place = bisect_right(numbers, observation)
                known = max(ends[place] if place < len(ends) else last, high)
            record = orjson.loads(new) if field == CREATED else None
            changed = _changed(field, new) if record is None else _created(record)
            if record is not None:
                titles[task] = record.get("title")
                if not seen:  # A retention has kept it; when it came to be so is unknown.
                    now |= changed
                    low = micros(record.get("created_at")) or low
                    held = (task, known, low, min(low + SECOND, high), True)
            if field == FIRST_SEEN or (record is not None and not seen):
                if held is not None:
                    yield (*held[:4], False, *(now | _UNKNOWN | {"there": True}).values())
                    held, fresh = (task, known, low, high, True), {*now}
                continue
            # What one look has seen to change within the same bounds is one step.
            same = held is not None and seen and held[4] and (*held[2:4], found) == (low, high, observation)
            if held is not None and not (same and not fresh & changed.keys()):
                yield (*held, *now.values())
                fresh = set()
            found = observation
            held = (task, known, low, high, bool(seen))
            now |= changed
            fresh |= changed.keys()
        if held is not None:
            yield (*held, *now.values())


def _created(record: dict[str, Any]) -> dict[str, Any]:
    told = {name: record.get(name) for name in TOLD}
    return told | {"tags": tuple(told["tags"] or ()), "there": record.get("archived_at") is None}


def _changed(field: str, new: Any) -> dict[str, Any]:
    if field in (DELETED, "archived_at"):
        return {"there": field == "archived_at" and new is None}
    if field == "tags":
        return {"tags": tuple(unpacked(field, new) or ())}
    return {field: new}
