"""A believable past for demos and tests: two months of a team of agents, as if a recorder had written it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from calypso_nb.embedded.team import DAY, HOUR, Team
from calypso_nb.history.changes import SECOND, micros_of
from calypso_nb.history.journal import Journal
from calypso_nb.history.pushes import served
from calypso_nb.history.store import HistoryStore

NAME = "demo"
_LOOK = HOUR // 6


class _Stretch(NamedTuple):
    """A time that was recorded, in days after recording began.

    - every: microseconds between two looks
    - pushed: whether each change is told as well
    - failure: why it ended; None if the recorder was stopped, or goes on
    """

    first: float
    last: float
    every: int
    pushed: bool = True
    failure: str | None = None


_STRETCHES = (
    _Stretch(0, 10, _LOOK, pushed=False),
    # Each change is told, so that looks may be rare: they cost more than all else here.
    _Stretch(10, 22.4, DAY, failure="demo: no connection within 30 s"),
    _Stretch(22.4 + 14 / 24, 45.6, DAY),
    _Stretch(45.6 + 3 / 24, 100_000, DAY),
)


def sample_past(store: HistoryStore, *, seed: int = 0, now: datetime | None = None, days: int = 60) -> None:
    """Fill an empty history with what happened to a sample project, as a recorder would have written it.

    The same seed and moment give the same history. A team of agents that began before anybody recorded works
    on the tasks. Ten days are known by looks alone, then each change was told, but for two outages.

    - seed: the seed of everything that is drawn at random
    - now: the last moment, to the second; by default the present
    - days: how long it was recorded
    """
    end = micros_of(now or datetime.now(UTC)) // SECOND * SECOND
    begin = end - days * DAY
    team = Team(seed, begin)
    with store.transaction():
        for stretch in _STRETCHES:
            if stretch.first < days:
                _record(store, team, stretch, begin, end)


def demo_past() -> HistoryStore:
    """Return a history in memory that is filled with the sample's past, up to the present."""
    store = HistoryStore(None)
    sample_past(store)
    return store


def _record(store: HistoryStore, team: Team, stretch: _Stretch, begin: int, end: int) -> None:
    """Let the team go on for a stretch of time, and write down what is seen and told of it."""
    first, last = (min(begin + round(days * 86_400) * SECOND, end) for days in stretch[:2])
    journal = Journal(store, NAME, "listing", _LOOK)
    team.run(first)
    journal.see(team.board.values(), first, first)
    for time in [*range(first + stretch.every, last, stretch.every), last]:
        team.changes.clear()
        team.run(time)
        if stretch.pushed:
            journal.hear(served(team.changes))
        if stretch.pushed or team.changes:
            journal.see(team.board.values(), time, time, pushed=stretch.pushed)
        else:
            journal.still(time, write=True)
    if stretch.failure is not None and last < end:
        journal.fail(last + _LOOK, stretch.failure)
