"""The clock of a server, as far as its responses tell it."""

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# How far two clocks that are being adjusted drift from each other at most.
_DRIFT = 5e-4
# From where on a clock that says something else has been set.
_SET_SECONDS = 1.0
_TICK_SECONDS = 0.005
_KEPT_SECONDS = 1.5


class ServerClock:
    """The server's clock, as the `Date` of its responses shows it; without any, this computer's.

    - offset: seconds to add to this computer's time; 0 while the two may agree
    - jumps: how often it has been set, or this computer has slept
    """

    def __init__(self) -> None:
        self.offset = 0.0
        self.jumps = 0
        self._told = False
        # Its time minus that of this computer's clock that is never set: least, most, and when it was known.
        self._ahead: tuple[float, float, float] | None = None

    def now(self) -> datetime:
        """Return the server's time in UTC."""
        return datetime.fromtimestamp(time.time() + self.offset, UTC)

    def heard(self, date: str | None, seconds: float) -> None:
        """Take in the `Date` of a response.

        - seconds: how long the request took, whatever this computer's clock did meanwhile
        """
        said = header_time(date)
        if said is None:
            return
        # The header leaves out the fraction of a second, and was written between question and response, or
        # somewhat before: servers keep it, uvicorn for a second.
        least = said - time.time()
        most = least + 1 + _KEPT_SECONDS + seconds
        self.offset = 0.0 if least <= 0 <= most else (least + most) / 2
        now = time.monotonic()
        if not self._told:
            self._told, self._ahead = True, None
        self._narrow(said - now, said - now + 1 + _KEPT_SECONDS + seconds, now)

    def between(self, began: float) -> tuple[float, float]:
        """Return the server's time before something began, and its time after now: bounds, in seconds.

        - began: when that was, by `time.monotonic()`
        """
        now = time.monotonic()
        if not self._told:
            here = time.time() - now
            self._narrow(here - _TICK_SECONDS, here + _TICK_SECONDS, now)
        assert self._ahead is not None
        least, most, known = self._ahead
        return began + least - _DRIFT * abs(began - known), now + most + _DRIFT * (now - known)

    def _narrow(self, least: float, most: float, now: float) -> None:
        if self._ahead is not None:
            before_least, before_most, known = self._ahead
            drift = _DRIFT * (now - known)
            before_least, before_most = before_least - drift, before_most + drift
            if most < before_least - _SET_SECONDS or least > before_most + _SET_SECONDS:
                self.jumps += 1
            elif most < before_least or least > before_most:  # Several servers behind one address, say.
                least, most = min(least, before_least), max(most, before_most)
            else:
                least, most = max(least, before_least), min(most, before_most)
        self._ahead = (least, most, now)


def header_time(date: str | None) -> float | None:
    """Return the time in a header of HTTP, in seconds since 1970; None if it is none, or centuries away."""
    try:
        said = None if date is None else parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    if said is None or not 2000 <= said.year <= 2200:
        return None
    # A zone of -0000 says that it is UTC, and nothing of where; Python leaves it out.
    return (said.replace(tzinfo=UTC) if said.tzinfo is None else said).timestamp()
