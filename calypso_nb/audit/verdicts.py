"""What a rule says of one thing that it was checked on: kept, broken, or not checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from calypso_nb.audit.seen import Move, Note, Task

NOT_READ = "its comments were not read"
NO_ROLE = "an agent without a role"
NOT_DUE = "it is not over yet"
NOT_EXACT = "when it happened is not known exactly"


class Verdict(NamedTuple):
    """What a rule says of a task, an agent or something that happened.

    - task, agent: what and whom it is about, None if nothing or nobody in particular
    - evidence: what breaks the rule; None if it is kept or was not checked
    - why_not: why it was not checked
    - likely: whether that it is broken is only likely
    - since: it has been so since then, or longer
    - at: when it had happened, if it is something that happened
    """

    task: int | None
    agent: str | None
    evidence: str | None = None
    why_not: str | None = None
    likely: bool = False
    since: float | None = None
    at: float | None = None


def held(
    task: Task, evidence: str | None = None, *, likely: bool = False, since: float | None = None
) -> Verdict:
    """Return a verdict on whoever has a task; its fields are as they are since its last edit at least."""
    return Verdict(task.id, task.agent, evidence, None, likely, task.updated if since is None else since)


def written(task: Task, evidence: str | None = None, *, likely: bool = False) -> Verdict:
    """Return a verdict on whoever created a task."""
    return Verdict(task.id, task.creator, evidence, None, likely, task.updated)


def skipped(task: Task, why_not: str) -> Verdict:
    """Return that a task was not checked."""
    return Verdict(task.id, task.agent, None, why_not)


def moved(
    move: Move,
    evidence: str | None = None,
    *,
    likely: bool = False,
    why_not: str | None = None,
    agent: str | None = None,
) -> Verdict:
    """Return a verdict on a move, by default on whoever had the task before."""
    whose = move.before.agent if agent is None else agent
    return Verdict(move.task, whose, evidence, why_not, likely, move.high, move.high)


def said(
    note: Note, evidence: str | None = None, *, likely: bool = False, why_not: str | None = None
) -> Verdict:
    """Return a verdict on a comment and whoever wrote it."""
    return Verdict(note.task, note.agent, evidence, why_not, likely, note.at, note.at)


def numbers(tasks: Sequence[int], most: int = 5) -> str:
    """Return the numbers of tasks, the first of them if they are many."""
    more = f" and {len(tasks) - most} more" if len(tasks) > most else ""
    return ", ".join(f"#{task}" for task in tasks[:most]) + more
