"""How long agents are silent now and then, and when the whole team was, by a history's edits and comments."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

import pandas as pd

from calypso_nb.history.changes import SECOND, moment_of
from calypso_nb.history.journeys import Journeys

# Fewer gaps than these say nothing about an agent.
_FEWEST = 20
_USUAL = 0.95
# Habits don't change from one refresh to the next.
HABITS_SECONDS = 600
# A shorter silence of everybody is no pause, in hours.
_SHORTEST = 1.0


class Habits(NamedTuple):
    """What is usual in a team.

    - silent_after: how long an agent is silent now and then while it works, in hours, by its name
    - pauses: from when to when nobody gave a sign, of an hour or longer
    """

    silent_after: Mapping[str, float] = {}
    pauses: tuple[tuple[datetime, datetime], ...] = ()


def pauses(signs: Iterable[int]) -> tuple[tuple[datetime, datetime], ...]:
    """Return from when to when nobody gave a sign, of which the times are given, of an hour or longer."""
    times = sorted(signs)
    shortest = _SHORTEST * 3600 * SECOND
    spans = [(one, other) for one, other in pairwise(times) if other - one >= shortest]
    return tuple((moment_of(one), moment_of(other)) for one, other in spans)


def usual_gaps(
    journeys: Journeys, edits: Sequence[Sequence[Any]], comments: Sequence[Sequence[Any]]
) -> Mapping[str, float]:
    """Return the length in hours within which 95 % of an agent's gaps between two signs are, by its name.

    A gap is between two signs of one stretch of work: its begin, edits of the task, comments of the agent on
    it, and its end. An agent with fewer than 20 gaps is left out.

    - edits: of each edit of a task its number, and when it was known to have happened
    - comments: of each comment the number of its task, its author, and when it was written
    """
    work = _stretches(journeys)
    if work.empty:
        return {}
    edited = pd.DataFrame(edits, columns=["task_id", "at"]).assign(by=None)
    said = pd.DataFrame(comments, columns=["task_id", "by", "at"])
    placed = pd.merge_asof(
        pd.concat([edited, said]).astype({"task_id": "int64", "at": "float64"}).sort_values("at"),
        work.sort_values("from"),
        left_on="at",
        right_on="from",
        by="task_id",
    )
    inside = (placed["at"] <= placed["to"]) & (placed["by"].isna() | (placed["by"] == placed["agent"]))
    ends = [work.assign(at=work[time]) for time in ("from", "to")]
    # An end of a stretch is mostly an edit too, and is one sign.
    signs = pd.concat([placed[inside], *ends]).drop_duplicates(["task_id", "from", "at"])
    signs = signs.sort_values("at", ignore_index=True)
    gaps = (signs.groupby(["task_id", "from"])["at"].diff() / SECOND / 3600).groupby(signs["agent"])
    usual = gaps.quantile(_USUAL)[gaps.count() >= _FEWEST]
    return {str(agent): float(hours) for agent, hours in usual.items()}


def _stretches(journeys: Journeys) -> pd.DataFrame:
    """Return when which agent worked on which task, as far as it was seen."""
    steps = journeys.steps
    until = steps.groupby("task_id", sort=False)["high"].shift(-1)
    at_work = (steps["status"] == "working") & steps["there"].astype("bool") & steps["assigned_to"].notna()
    stretches = steps.assign(to=until)[at_work & until.notna()]
    return stretches[["task_id", "high", "to", "assigned_to"]].set_axis(
        ["task_id", "from", "to", "agent"], axis="columns"
    )
