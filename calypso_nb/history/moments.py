"""Moments as people write them: `yesterday 18:00`, `3 h ago`, `2026-11-23 18:00`."""

import re
from datetime import UTC, datetime, timedelta

import pandas as pd

from calypso_nb.errors import UsageError

_AGO = re.compile(r"(.+)\s+ago")
_DAY = re.compile(r"(today|yesterday)(?:\s+(?:at\s+)?(\d{1,2}:\d\d))?")


def moment_in(text: datetime | str, now: datetime | None = None) -> datetime:
    """Return a moment from words, in UTC; words without a zone mean local time.

    - text: an aware datetime, a date with or without a time, `today` or `yesterday` with or without one, or
      a length of time with `ago`
    - now: what the words count from, by default the present

    Raise UsageError if it is none of these.
    Example: `moment_in("yesterday 18:00")`
    """
    here = (now or datetime.now(UTC)).astimezone()
    if isinstance(text, datetime):
        if text.tzinfo is None:
            raise UsageError("a moment needs a time zone: datetime(..., tzinfo=UTC)")
        return text.astimezone(UTC)
    words = " ".join(str(text).lower().split())
    try:
        if match := _DAY.fullmatch(words):
            day = here - timedelta(days=match[1] == "yesterday")
            hour, minute = map(int, (match[2] or "0:00").split(":"))
            # Without its zone first: on the day of a change of clocks it is another.
            found = datetime(day.year, day.month, day.day, hour, minute).astimezone()
        elif match := _AGO.fullmatch(words):
            found = here - pd.Timedelta(match[1]).to_pytimedelta()
        else:
            found = datetime.fromisoformat(words.upper())
            found = found.astimezone() if found.tzinfo is None else found
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is not a valid moment: write 2026-11-23 18:00, yesterday 18:00, today 9:30 or 3h ago"
        ) from None
