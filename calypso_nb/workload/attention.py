"""What needs the supervisor now: a line per task, agent or queue, what holds up most first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple

import pandas as pd

from calypso_nb.frames import TASK_COLUMNS, TIME, Column, records_to_frame
from calypso_nb.team import TEAM, Snooze, Team
from calypso_nb.workload.flow import NOT_KNOWN
from calypso_nb.workload.phrases import brief, readable_hours
from calypso_nb.workload.reasons import REASONS, Board, Finding

_WHY: dict[str, Column] = {
    "task_id": Column("int64", "", "the task to look at, the first of several"),
    "title": TASK_COLUMNS["title"],
    "agent": TASK_COLUMNS["assigned_to"],
    "queue": Column("str", "", "the queue that it is about, NA if it is about none"),
    "priority": Column("Int64", "", "of several tasks, the highest"),
    "holds_up": Column("int64", "tasks", "open tasks that wait for it, or behind it; of several, the most"),
    "since": Column(TIME, "UTC", "when the reason began to hold, NA if that is unknown"),
    "since_known": Column("str", "", "exact; bound: since then or longer; unknown"),
    "evidence": Column("str", "", "what was seen"),
    "to_do": Column("str", "", "what ends it"),
    "tasks": Column("object", "", "ids of all tasks that it is about"),
    "facts": Column("str", "", "a word per fact, for a snooze and `--new-since`"),
}
_URGENCY = Column("int64", "", "3: never ends by itself; 2: work has stopped; 1: worth tidying up")

NEED_COLUMNS: dict[str, Column] = {
    "urgency": _URGENCY,
    "reason": Column("str", "", "a name of `REASONS`"),
    "about": Column("str", "", "task, agent or queue: what it is about"),
    **_WHY,
}

ATTENTION_COLUMNS: dict[str, Column] = {
    "urgency": _URGENCY,
    "reason": Column("str", "", "a name of `REASONS`, of several the most urgent"),
    "reasons": Column("object", "", "all of its reasons"),
    "about": Column("str", "", "task, agent, queue or team: what the line is about"),
    **_WHY,
}

SNOOZED_COLUMNS: dict[str, Column] = {
    **ATTENTION_COLUMNS,
    "until": Column(TIME, "UTC", "when the snooze ends, NA if only another fact ends it"),
    "why": Column("str", "", "why it is snoozed, NA if nobody says so"),
    "by": Column("str", "", "who has snoozed it, NA if unknown"),
}

# From how many lines with the same reason on they are one.
_MANY = 4
# How many of several are named.
_NAMED = 3

Need = dict[str, Any]
# What a line is about, and its name.
Subject = tuple[str, Any]


class Attention(NamedTuple):
    """What needs attention.

    - needs: a row per reason of a task, an agent or a queue, with `NEED_COLUMNS`
    - lines: their reasons joined, with `ATTENTION_COLUMNS`
    - snoozed: what would be in `lines` but for a snooze, with `SNOOZED_COLUMNS`, a row for what is snoozed
    """

    needs: pd.DataFrame
    lines: pd.DataFrame
    snoozed: pd.DataFrame


def attention(board: Board) -> Attention:
    """Return what needs attention on a board.

    All tasks are looked at, and what is about shown ones is listed. What the server doesn't report is no
    reason for anything. What is only to be tidied up comes last; of the rest, what holds up most comes
    first, then by priority, then what began first.
    """
    found = [
        _need(name, finding, hours, board)
        for name, reason in REASONS.items()
        for finding in reason.find(board)
        if finding.task["id"] in board.shown
        and board.lasted(finding, hours := _threshold(name, finding, board.team))
    ]
    snoozes: dict[Subject, list[Snooze]] = {}
    for snooze in (*board.team.snoozes, *board.snoozes):
        snoozes.setdefault(snooze.subject, []).append(snooze)
    awake: list[Need] = []
    asleep: dict[Subject, list[tuple[Need, Snooze]]] = {}
    for need in found:
        meant = (snooze for subject in _snoozable(need) for snooze in snoozes.get(subject, ()))
        holding = [snooze for snooze in meant if snooze.holds(board.now, _facts_for(snooze, need))]
        if holding:
            last = max(holding, key=_end)
            asleep.setdefault(last.subject, []).append((need, last))
        else:
            awake.append(need)
    return Attention(
        _ordered(awake, NEED_COLUMNS),
        _ordered(_lines(awake, board), ATTENTION_COLUMNS),
        _ordered([_snoozed(*told, board) for told in asleep.items()], SNOOZED_COLUMNS),
    )


def line_about(needs: pd.DataFrame, subject: Subject) -> dict[str, Any] | None:
    """Return all that needs attention about something as a line to be snoozed, None if nothing does.

    - needs: as `Workload.needs` has them
    - subject: a task by its number, an agent, a queue, or `("team", reason)`
    """
    about, name = subject
    meant = [need for need in needs.to_dict("records") if subject in _snoozable(need)]
    if not meant:
        return None
    facts = _team_fact(name) if about == "team" else " ".join(sorted({need["facts"] for need in meant}))
    title = meant[0]["title"] if about == "task" else None
    return {"about": about, "task_id": meant[0]["task_id"], "title": title, "facts": facts, about: name}


def _lines(needs: list[Need], board: Board) -> list[Need]:
    by_subject: dict[Subject, list[Need]] = {}
    for need, subject in zip(needs, _subjects(needs), strict=True):
        by_subject.setdefault(subject, []).append(need)
    return [_line(subject, some, board) for subject, some in by_subject.items()]


def _ordered(rows: list[Need], columns: Mapping[str, Column]) -> pd.DataFrame:
    frame = records_to_frame(rows, columns)
    frame["tasks"] = pd.Series([row["tasks"] for row in rows], dtype="object")
    order = ["stopped", "holds_up", "priority", "since", "urgency", "task_id", "reason"]
    ascending = [False, False, False, True, False, True, True]
    ordered = frame.assign(stopped=frame["urgency"] > 1).sort_values(
        order, ascending=ascending, ignore_index=True
    )
    return ordered.drop(columns="stopped")


def _threshold(name: str, finding: Finding, team: Team) -> float:
    return finding.hours if finding.hours is not None else getattr(team.thresholds, f"{name}_hours", 0)


def _need(name: str, finding: Finding, hours: float, board: Board) -> Need:
    task, about = finding.task, _about(finding)
    tasks = [task_id for task_id in finding.tasks if task_id in board.shown] or [task["id"]]
    held = tasks if finding.root is None else [finding.root]
    priorities = [board.tasks[one]["priority"] for one in tasks]
    known = pd.notna(finding.since) and finding.since_known != NOT_KNOWN
    return {
        **finding._asdict(),
        "urgency": REASONS[name].urgency,
        "reason": name,
        "about": about,
        "task_id": task["id"],
        "title": task["title"],
        "agent": task["assigned_to"] if finding.agent is None else finding.agent,
        "priority": max((priority for priority in priorities if pd.notna(priority)), default=None),
        # That an agent has much in hand holds up nothing by itself.
        "holds_up": 0 if name == "too_many_working" else max(board.held_up[one] for one in held),
        "since": board.since(finding, hours) if known else pd.NaT,
        "since_known": finding.since_known if known else NOT_KNOWN,
        "last": finding.since,
        "tasks": tuple(tasks),
        # How much lies in a queue is no fact that changes its line.
        "facts": _hashed((name, *_identity(finding), *finding.facts))
        if finding.queue is None
        else _hashed(("queue", finding.queue)),
    }


def _identity(finding: Finding) -> tuple[Any, ...]:
    """Return whom or what a finding is about: another database behind a server has another #7."""
    return (finding.task["id"], finding.task["created_at"]) if finding.agent is None else (finding.agent,)


def _about(finding: Finding) -> str:
    if finding.agent is not None:
        return "agent"
    return "queue" if finding.tasks and finding.queue is not None else "task"


def _team_fact(reason: str) -> str:
    return f"{TEAM}{reason}"


def _hashed(facts: Iterable[Any]) -> str:
    return sha256("\0".join(map(str, facts)).encode("utf-8", "backslashreplace")).hexdigest()[:8]


def _subjects(needs: list[Need]) -> list[Subject]:
    """Return what each need is told of: its task, agent or queue, or the team if many have it."""
    quiet = Counter(need["agent"] for need in needs if need["reason"] == "silent")
    silent = {
        need["task_id"]: need["agent"]
        for need in needs
        if need["reason"] == "silent" and quiet[need["agent"]] > 1
    }
    subjects = [_subject(need, silent) for need in needs]
    others = {
        subject for need, subject in zip(needs, subjects, strict=True) if need["reason"] != "too_many_working"
    }
    alone = [
        number
        for number, need in enumerate(needs)
        if need["reason"] == "too_many_working" and subjects[number] not in others
    ]
    if len(alone) >= _MANY:
        for number in alone:
            subjects[number] = ("team", "too_many_working")
    old = [subject for subject in subjects if subject == ("team", "old_untouched")]
    if len(old) == 1:
        number = subjects.index(old[0])
        subjects[number] = ("task", needs[number]["task_id"])
    return subjects


def _subject(need: Need, silent: Mapping[int, str]) -> Subject:
    """Return what a need is told of; what concerns one of an agent's silent tasks is told of the agent."""
    if need["reason"] == "old_untouched":
        return ("team", need["reason"]) if need["queue"] is None else ("queue", need["queue"])
    if need["about"] == "task":
        task = need["task_id"]
        return ("agent", silent[task]) if task in silent else ("task", task)
    return need["about"], need[need["about"]]


def _line(subject: Subject, needs: list[Need], board: Board) -> Need:
    about, name = subject
    first = max(needs, key=lambda need: (need["urgency"], need["holds_up"], need["priority"] or 0))
    reasons = [reason for reason in REASONS if any(need["reason"] == reason for need in needs)]
    by_reason = {reason: [need for need in needs if need["reason"] == reason] for reason in reasons}
    earliest = [need for need in by_reason[first["reason"]] if pd.notna(need["since"])]
    began = min(earliest, key=lambda need: need["since"], default=first)
    priorities = [need["priority"] for need in needs if need["priority"] is not None]
    return {
        **first,
        "about": about,
        "title": first["title"] if about == "task" else None,
        "agent": name if about == "agent" else first["agent"] if about == "task" else None,
        "queue": name if about == "queue" else None,
        "reasons": reasons,
        "priority": max(priorities, default=None),
        "holds_up": max(need["holds_up"] for need in needs),
        "since": began["since"],
        "since_known": began["since_known"],
        "evidence": "; ".join(_together(reason, some, board, about) for reason, some in by_reason.items()),
        "to_do": "; ".join(dict.fromkeys(need["to_do"] for some in by_reason.values() for need in some[:1])),
        "tasks": tuple(dict.fromkeys(task for need in needs for task in need["tasks"])),
        # Nor how many do the same.
        "facts": _team_fact(name) if about == "team" else " ".join(sorted({need["facts"] for need in needs})),
    }


def _snoozable(need: Mapping[Any, Any]) -> Iterator[Subject]:
    """Yield what can be snoozed for a need to be out of the way, in whatever line that would be told."""
    if need["about"] == "task":
        yield "task", need["task_id"]
    if need["about"] != "queue" and pd.notna(need["agent"]):
        yield "agent", need["agent"]
    yield ("team", need["reason"]) if pd.isna(need["queue"]) else ("queue", need["queue"])


def _facts_for(snooze: Snooze, need: Need) -> str:
    return str(need["facts"]) if snooze.team is None else _team_fact(snooze.team)


def _end(snooze: Snooze) -> datetime:
    return snooze.until or datetime.max.replace(tzinfo=UTC)


def _snoozed(subject: Subject, needs: list[tuple[Need, Snooze]], board: Board) -> Need:
    """Return what is snoozed as one line, with the snooze that ends last."""
    last = max((snooze for _, snooze in needs), key=_end)
    told = {"until": last.until, "why": last.why or None, "by": last.by or None}
    return _line(subject, [need for need, _ in needs], board) | told


# What several needs with the same reason say together


def _together(reason: str, needs: list[Need], board: Board, about: str) -> str:
    if len(needs) == 1:
        [need] = needs
        of_other = about == "agent" and need["about"] == "task"
        return f"#{need['task_id']} {need['evidence']}" if of_other else str(need["evidence"])
    return _SUMMED.get(reason, _listed)(needs, board)


def _listed(needs: list[Need], _: Board) -> str:
    first = sorted(needs, key=lambda need: -need["holds_up"])[:_NAMED]
    return _and_more([f"#{need['task_id']} {need['evidence']}" for need in first], len(needs), "; ")


def _quiet(needs: list[Need], board: Board) -> str:
    last = {need["task_id"]: need["last"] for need in needs}
    first = sorted(last, key=lambda task: (-board.held_up[task], last[task]))[:_NAMED]
    hours = [readable_hours((board.now - last[task]).total_seconds() / 3600) for task in first]
    named = [f"#{task} for {of}" for task, of in zip(first, hours, strict=True)]
    return f"{len(needs)} tasks in progress without a sign: {_and_more(named, len(needs))}"


def _old(needs: list[Need], board: Board) -> str:
    limits = board.team.thresholds
    oldest = min(needs, key=lambda need: (need["since"], need["task_id"]))
    urgent = max(needs, key=lambda need: need["priority"] or 0)
    queue = needs[0]["queue"]
    where = "" if queue is None else f"{brief(queue)}: "
    age, quiet = (readable_hours(hours) for hours in (limits.old_hours, limits.untouched_hours))
    told = f"{where}{len(needs)} idle tasks older than {age} and not edited for {quiet}"
    more = f", most urgent #{urgent['task_id']} (priority {urgent['priority']})" if urgent["priority"] else ""
    return f"{told}, oldest #{oldest['task_id']}{more}"


def _crowded(needs: list[Need], _: Board) -> str:
    most = sorted(needs, key=lambda need: (-len(need["tasks"]), need["agent"]))[:_NAMED]
    named = [f"{brief(need['agent'])} {len(need['tasks'])}" for need in most]
    return f"{len(needs)} agents have more in progress than their limit: {_and_more(named, len(needs))}"


def _and_more(named: list[str], count: int, between: str = ", ") -> str:
    more = f" and {count - len(named)} more" if count > len(named) else ""
    return between.join(named) + more


_SUMMED: Mapping[str, Callable[[list[Need], Board], str]] = {
    "old_untouched": _old,
    "silent": _quiet,
    "too_many_working": _crowded,
}
