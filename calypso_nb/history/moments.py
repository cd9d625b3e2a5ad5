"""Moments as people write them: `yesterday 18:00`, `3 h ago`, `2026-11-23 18:00`."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from calypso_nb.errors import UsageError

# Bounded, so that no text keeps them busy.
_NUMBER = r"\d{1,9}(?:\.\d{1,9})?"
_LENGTH = re.compile(
    rf"(?:(?P<weeks>{_NUMBER}) ?w(?:eeks?)? ?)?(?:(?P<days>{_NUMBER}) ?d(?:ays?)? ?)?"
    rf"(?:(?P<hours>{_NUMBER}) ?h(?:(?:ou)?rs?)? ?)?(?:(?P<minutes>{_NUMBER}) ?m(?:in(?:ute)?s?)? ?)?"
    rf"(?:(?P<seconds>{_NUMBER}) ?s(?:ec(?:ond)?s?)?)?"
)
_DAY = re.compile(r"(today|yesterday)(?:\s+(?:at\s+)?(\d{1,2}:\d\d(?::\d\d)?))?")


def moment_in(text: datetime | str, now: datetime | None = None) -> datetime:
    """Return a moment from words, in UTC; words without a zone mean local time.

    - text: an aware datetime, a date with or without a time, `today` or `yesterday` with or without one, a
      length of time with `ago` after it or `in` before it, or `now`
    - now: what the words count from, by default the present

    Raise UsageError if it is none of these.
    Example: `moment_in("yesterday 18:00")`
    """
    here = (now or datetime.now(UTC)).astimezone()
    if isinstance(text, datetime):
        if text.tzinfo is None:
            raise UsageError("a moment needs a time zone: datetime(..., tzinfo=UTC)")
        try:
            return text.astimezone(UTC)
        except (ValueError, OverflowError):
            raise UsageError(f"{text} is not a valid moment: in UTC its year is not 1 to 9999") from None
    words = " ".join(str(text).lower().split())
    try:
        if words == "now":
            found = here
        elif match := _DAY.fullmatch(words):
            day = here - timedelta(days=match[1] == "yesterday")
            hour, minute, second, *_ = map(int, f"{match[2] or '0:00'}:0".split(":"))
            # Without its zone first: on the day of a change of clocks it is another.
            found = datetime(day.year, day.month, day.day, hour, minute, second).astimezone()
        elif words.endswith(" ago"):
            found = here - length_of(words.removesuffix(" ago"))
        elif words.startswith("in "):
            found = here + length_of(words.removeprefix("in "))
        else:
            found = datetime.fromisoformat(words.upper())
            found = found.astimezone() if found.tzinfo is None else found
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is not a valid moment: write 2026-11-23 18:00, yesterday 18:00, today 9:30:05, "
            "2026-11-23T18:00:00+01:00, 2026-11-23, yesterday, 3h ago, 1d 2h 30min ago, in 2 weeks or now"
        ) from None


def length_of(length: timedelta | str) -> timedelta:
    """Return a length of time from words like `180d`, `1h 30min` or `2 weeks`; UsageError if it is none.

    Example: `length_of("2 weeks")`
    """
    found = length
    if isinstance(length, str) and (match := _LENGTH.fullmatch(" ".join(length.lower().split()))):
        with suppress(ValueError, OverflowError):
            found = timedelta(**{unit: float(number) for unit, number in match.groupdict("0").items()})
    if not isinstance(found, timedelta) or found <= timedelta(0):
        raise UsageError(f"{length!r} is not a valid length of time: write 180d, 36h or 90min")
    return found
