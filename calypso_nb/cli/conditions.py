"""Conditions on a report, for cron jobs and CI: `idle > 10 and oldest_hours > 48`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import NamedTuple

from calypso_nb.workload.attention import REASONS
from calypso_nb.workload.reporter import Workload

__all__ = ["METRICS", "Comparison", "condition_that_holds", "parse_condition"]

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_COMPARISON = re.compile(r"\s*([a-z_]+)\s*(>=|<=|==|!=|>|<)\s*([+-]?\d+(?:\.\d+)?)\s*")

# Reasons that a server without subtasks and blocking (v1) cannot give.
_NEED_V2 = {"archived_blocker", "blocking_cycle", "parked", "complete_parent", "archived_parent"}

Metric = Callable[[Workload], float | None]

METRICS: dict[str, Metric] = {
    "open": lambda data: data.summary.total_open_tasks,
    "idle": lambda data: data.summary.total_idle,
    "working": lambda data: data.summary.total_working,
    "complete": lambda data: data.summary.total_complete,
    "unassigned": lambda data: data.summary.total_unassigned,
    "blocked": lambda data: data.summary.total_blocked,
    "agents": lambda data: data.summary.total_agents,
    "agents_with_work": lambda data: data.summary.agents_with_work,
    # Without an open task nothing is old.
    "oldest_hours": lambda data: data.summary.oldest_open_hours if data.summary.total_open_tasks else 0,
    "attention": lambda data: len(data.attention),
    **{name: (lambda data, name=name: _count(data, name)) for name in REASONS},  # type: ignore[misc]
}


class Comparison(NamedTuple):
    """One `NAME OP NUMBER` of a condition.

    Example: `Comparison("idle", ">", 10)`
    """

    name: str
    operator: str
    number: float

    def __str__(self) -> str:
        return f"{self.name} {self.operator} {self.number:g}"


def parse_condition(expression: str) -> list[list[Comparison]]:
    """Read comparisons joined by `and` and `or`, of which `and` binds closer: one list an `or` part.

    Raises ValueError that says what can be written.
    Example: `parse_condition("idle > 10 and blocked > 0 or attention > 5")`
    """
    return [
        [_comparison(text) for text in re.split(r"\band\b", part)] for part in re.split(r"\bor\b", expression)
    ]


def condition_that_holds(condition: list[list[Comparison]], data: Workload) -> str | None:
    """What of a condition holds for a report, with the numbers that were found; None where it does not.

    Raises ValueError where that hangs on a number that the server does not tell.
    Example: `condition_that_holds(parse_condition("idle > 10"), data)` is `"idle > 10 (it is 12)"`
    """
    unknown = None
    for part in condition:
        found = [(comparison, METRICS[comparison.name](data)) for comparison in part]
        known = [(comparison, value) for comparison, value in found if value is not None]
        if not all(_OPERATORS[comparison.operator](value, comparison.number) for comparison, value in known):
            continue
        if len(known) == len(found):
            return " and ".join(f"{comparison} (it is {value:g})" for comparison, value in known)
        unknown = next(comparison.name for comparison, value in found if value is None)
    if unknown is not None:
        raise ValueError(f"{unknown} is not known: this server does not tell")
    return None


def _comparison(text: str) -> Comparison:
    match = _COMPARISON.fullmatch(text)
    if match is None or match[1] not in METRICS:
        what = f"{text.strip()!r} is not NAME OP NUMBER" if match is None else f"{match[1]!r} is not a name"
        raise ValueError(
            f"{what}: write for example 'idle > 10 and blocked > 0'; names are {', '.join(METRICS)}"
        )
    return Comparison(match[1], match[2], float(match[3]))


def _count(data: Workload, reason: str) -> int | None:
    if reason in _NEED_V2 and bool(data.all_tasks["is_currently_blocked"].isna().any()):
        return None
    return int((data.attention["reason"] == reason).sum())
