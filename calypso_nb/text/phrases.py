"""What several formats say in the same words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd

from calypso_nb.workload.flow import BOUND, readable_hours
from calypso_nb.workload.reporter import Workload

__all__ = ["held_since", "moment", "numbers"]


def numbers(data: Workload) -> list[tuple[str, str]]:
    """The numbers of a report by name, as text; what the server does not tell is `unknown`.

    Example: `dict(numbers(data))["idle"]`
    """
    s = data.summary
    counts = {
        "open": s.total_open_tasks,
        "idle": s.total_idle,
        "working": s.total_working,
        "complete": s.total_complete,
        "unassigned": s.total_unassigned,
        "blocked": s.total_blocked,
        "agents with work": s.agents_with_work,
        "need attention": len(data.attention),
    }
    oldest = readable_hours(s.oldest_open_hours)
    return [
        *((name, "unknown" if count is None else f"{count:,}") for name, count in counts.items()),
        ("oldest", "—" if oldest is None else f"{oldest} (task {s.oldest_open_task})"),
    ]


def held_since(row: dict[str, Any], now: datetime) -> str:
    """For how long a reason for attention has held, in words that never show a bound as a value.

    Example: `held_since(data.attention.iloc[0].to_dict(), data.generated_at)` is `"≥ 3.2 h"`
    """
    if pd.isna(row["since"]):
        return "unknown"
    words = readable_hours((pd.Timestamp(now) - row["since"]).total_seconds() / 3600)
    return f"≥ {words}" if row["since_known"] == BOUND else str(words)


def moment(time: datetime | str) -> str:
    """A time in UTC as people read it; a text is taken for ISO 8601.

    Example: `moment("2026-11-23T09:30:00Z")` is `"2026-11-23 09:30:00 UTC"`
    """
    at = datetime.fromisoformat(time) if isinstance(time, str) else time
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
