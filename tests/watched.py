"""A board whose clock a test sets, to be recorded without waiting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from calypso_nb import TinytaskClient
from calypso_nb.client.calls import Look
from calypso_nb.embedded import TinytaskStore, create_server

# A Monday.
MORNING = datetime(2026, 11, 23, 9, tzinfo=UTC)
# A recorder that looks when a test asks for it, and not by itself.
BY_HAND = 3600


class Board(TinytaskClient):
    """A client of a store of its own; both go by `time`, which passes only when a test says so.

    - seconds: how long a look takes by that clock
    """

    def __init__(self, seconds: float = 0) -> None:
        self.time, self.seconds, self.jumps, self.looks = MORNING, seconds, 0, 0
        self.store = TinytaskStore(now=lambda: self.time)
        super().__init__(create_server(self.store))

    def look(self, commented: str = "") -> Look:
        """Return all tasks, between two times by the board's clock."""
        self.looks += 1
        began = self.time.timestamp()
        return super().look(commented)._replace(began=began, ended=began + self.seconds, jumps=self.jumps)

    def now(self) -> datetime:
        """Return the board's time."""
        return self.time

    def wait(self, minutes: float = 0, seconds: float = 0) -> datetime:
        """Let time pass, and return what it is then."""
        self.time += timedelta(minutes=minutes, seconds=seconds)
        return self.time

    def set_clock(self, hours: float) -> None:
        """Set the board's clock, so many hours ahead or, if negative, back."""
        self.time += timedelta(hours=hours)
        self.jumps += 1

    def close(self) -> None:
        """Leave the store for good."""
        super().close()
        self.store.close()
