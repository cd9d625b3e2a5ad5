"""What several views and formats say in the same words."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from calypso_nb.client.calls import closest
from calypso_nb.visible import visible

_BRIEF = 80
UNASSIGNED = "(unassigned)"
UNKNOWN = "\N{EN DASH}"


def or_unknown(value: Any, unknown: str = UNKNOWN) -> str:
    """Return any value as text, NA as the sign for unknown or another one."""
    return unknown if value is None or pd.isna(value) else str(value)


def brief(name: str) -> str:
    """Return a name by an agent as a sentence can hold it: cut, and nothing that a terminal would obey."""
    return visible(name if len(name) <= _BRIEF else f"{name[:_BRIEF]}…")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'vaela'?` for the known name that is most like one, or an empty text."""
    like = closest(name, known)
    return "" if like is None else f"; did you mean {like!r}?"


def readable_hours(hours: float | None) -> str | None:
    """Return a time span in the largest unit that keeps it readable, `12.3 d`; None if it is unknown."""
    if hours is None or pd.isna(hours):
        return None
    if hours < 1:
        return f"{max(hours, 0) * 60:.0f} min"
    if hours < 48:
        return f"{hours:.1f} h"
    return f"{hours / 24:.1f} d"


def readable_range(at_least: float | None, at_most: float | None) -> str | None:
    """Return a bound, given in hours, so that nobody takes it for a value: `3.0 h to 31.0 h`, `≤ 5.0 h`."""
    low, high = readable_hours(at_least), readable_hours(at_most)
    if low and high:
        return f"{low} to {high}"
    if high:
        return f"≤ {high}"
    return low and f"≥ {low}"


def subject(line: Mapping[str, Any]) -> str:
    """Return what a line of `data.attention` is about, if that is not a task: `agent vaela`, `the team`."""
    about = line["about"]
    if about in ("agent", "queue"):
        return f"{about} {brief(line[about])}"
    return "the team" if about == "team" else ""


def held_since(row: Mapping[str, Any], now: datetime) -> str:
    """Return for how long a row of `data.attention` has held, never showing a bound as a value: `≥ 3.2 h`."""
    if pd.isna(row["since"]):
        return UNKNOWN
    words = str(readable_hours((pd.Timestamp(now) - row["since"]).total_seconds() / 3600))
    return f"≥ {words}" if row["since_known"] == "bound" else words


def moment(time: datetime | str) -> str:
    """Return a time, or a text in ISO 8601, in UTC as people read it: `2026-11-23 09:30:00 UTC`."""
    at = datetime.fromisoformat(time) if isinstance(time, str) else time
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
