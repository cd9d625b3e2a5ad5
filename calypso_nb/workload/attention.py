"""What needs the supervisor now: tasks and agents that will not go on by themselves, most urgent first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple, cast

import pandas as pd

from calypso_nb.frames import TASK_COLUMNS, TIME, Column, records_to_frame
from calypso_nb.workload.blocking import cycles
from calypso_nb.workload.flow import BOUND, EXACT, NOT_KNOWN
from calypso_nb.workload.phrases import readable_hours
from calypso_nb.workload.tree import leaves

__all__ = ["ATTENTION_COLUMNS", "REASONS", "Reason", "Thresholds", "attention"]

ATTENTION_COLUMNS: dict[str, Column] = {
    "urgency": Column("int64", "", "3: never ends by itself; 2: work has stopped; 1: worth tidying up"),
    "task_id": Column("int64", "", "the task to look at"),
    "title": TASK_COLUMNS["title"],
    "agent": TASK_COLUMNS["assigned_to"],
    "priority": TASK_COLUMNS["priority"],
    "reason": Column("str", "", "a name of `REASONS`"),
    "since": Column(TIME, "UTC", "since when it holds, NA if that is unknown"),
    "since_known": Column("str", "", "exact; bound: since then or longer; unknown"),
    "evidence": Column("str", "", "what was seen"),
    "to_do": Column("str", "", "what ends it"),
}


@dataclass(frozen=True)
class Thresholds:
    """From where on something needs attention; each threshold belongs to the reason that it is named after.

    - …_hours: how long it must have lasted for certain, in hours; 0 means at once.
    - urgent_priority: the lowest priority that is urgent.
    - most_working: the most tasks in progress (WIP) that are fine for one agent.
    - parked_queues: the words that mark a queue as one for blocked work, in any case.

    Example: `Thresholds(working_unedited_hours=4, most_working=2)`
    """

    archived_blocker_hours: float = 0
    blocking_cycle_hours: float = 0
    urgent_priority: int = 5
    urgent_unassigned_hours: float = 1
    working_unedited_hours: float = 24
    most_working: int = 1
    nothing_working_hours: float = 1
    parked_hours: float = 0
    parked_queues: tuple[str, ...] = ("blocked", "waiting", "hold", "parked")
    complete_parent_hours: float = 0
    archived_parent_hours: float = 0
    old_hours: float = 14 * 24
    untouched_hours: float = 7 * 24


class Reason(NamedTuple):
    """Why something needs attention: how urgent that is, what it means, and how it is found."""

    urgency: int
    meaning: str
    find: Callable[[_Seen, Thresholds], Iterator[dict[str, Any]]]


def attention(
    tasks: pd.DataFrame, all_tasks: pd.DataFrame, now: datetime, thresholds: Thresholds | None = None
) -> pd.DataFrame:
    """List what needs attention among `tasks`, most urgent first, with the columns of `ATTENTION_COLUMNS`.

    `all_tasks` is all that was read, archived tasks included: everything in it is looked at, but only what is
    among `tasks` is listed. `now` is the moment of the listing. What the server doesn't report is no reason
    for anything.
    """
    limits = thresholds or Thresholds()
    seen = _Seen(all_tasks, set(tasks["id"].tolist()), pd.Timestamp(now))
    rows = [
        {"urgency": reason.urgency, "reason": name, **row}
        for name, reason in REASONS.items()
        for row in reason.find(seen, limits)
        if row["task_id"] in seen.shown
    ]
    frame = records_to_frame(rows, ATTENTION_COLUMNS)
    order = ["urgency", "priority", "since", "task_id", "reason"]
    return frame.sort_values(order, ascending=[False, False, True, True, True], ignore_index=True)


@dataclass(frozen=True)
class _Seen:
    all_tasks: pd.DataFrame
    shown: set[int]
    now: pd.Timestamp

    @cached_property
    def tasks(self) -> dict[int, dict[str, Any]]:
        return cast(dict[int, dict[str, Any]], self.all_tasks.set_index("id", drop=False).to_dict("index"))

    @cached_property
    def open(self) -> pd.DataFrame:
        return self.all_tasks[self.all_tasks["is_open"]]

    @cached_property
    def work(self) -> pd.DataFrame:
        """The open tasks that are work themselves: a parent's status and times are only rolled up."""
        return self.open[leaves(self.open, self.all_tasks).fillna(True)]

    @cached_property
    def startable(self) -> pd.DataFrame:
        return self.work[(self.work["status"] == "idle") & ~self.work["is_currently_blocked"].fillna(False)]

    def beside(self, column: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Each open task with the task that its `column` names, if that was read."""
        for task in self.open.loc[self.open[column].notna(), "id"].tolist():
            other = self.tasks.get(int(self.tasks[task][column]))
            if other is not None:
                yield self.tasks[task], other

    def lasted(self, since: Any, hours: float) -> bool:
        """Whether something has lasted that long for certain, in spite of clocks that disagree at 0."""
        return hours <= 0 or bool(pd.notna(since) and (self.now - since).total_seconds() >= hours * 3600)


def _row(task: dict[str, Any], evidence: str, to_do: str, since: Any, known: str) -> dict[str, Any]:
    return {
        "task_id": task["id"],
        "title": task["title"],
        "agent": task["assigned_to"],
        "priority": task["priority"],
        "since": since,
        "since_known": NOT_KNOWN if pd.isna(since) else known,
        "evidence": evidence,
        "to_do": to_do,
    }


def _after(event: Any, *edits: Any) -> tuple[Any, str]:
    """Since when something holds that needs all of these: exact only if the event came last.

    An edit that was seen last can have changed anything, so before it nothing is certain.
    """
    if any(pd.isna(time) for time in (event, *edits)):
        return pd.NaT, NOT_KNOWN
    latest = max(event, *edits)
    return latest, EXACT if latest == event else BOUND


def _since_edit(*tasks: dict[str, Any]) -> tuple[Any, str]:
    times = [task["updated_at"] for task in tasks]
    if any(pd.isna(time) for time in times):
        return pd.NaT, NOT_KNOWN
    return max(times), BOUND


def _archived_blocker(seen: _Seen, limits: Thresholds) -> Iterator[dict[str, Any]]:
    for task, blocker in seen.beside("blocked_by_task_id"):
        if blocker["status"] == "complete" or pd.isna(blocker["archived_at"]):
            continue
        since, known = _after(blocker["archived_at"], task["updated_at"], blocker["updated_at"])
        if seen.lasted(since, limits.archived_blocker_hours):
            evidence = f"waits for task {blocker['id']}, which is archived and still {blocker['status']}"
            yield _row(task, evidence, "unblock it, or let it wait for another task", since, known)


def _blocking_cycle(seen: _Seen, limits: Thresholds) -> Iterator[dict[str, Any]]:
    for cycle in cycles(seen.all_tasks):
        since, known = _since_edit(*(seen.tasks[task] for task in cycle))
        listed = [task for task in cycle if task in seen.shown]
        if listed and seen.lasted(since, limits.blocking_cycle_hours):
            evidence = "waits for itself: task " + " waits for ".join(map(str, (*cycle, cycle[0])))
            yield _row(seen.tasks[listed[0]], evidence, "unblock one task of the circle", since, known)


def _urgent_unassigned(seen: _Seen, limits: Thresholds) -> Iterator[dict[str, Any]]:
    free = seen.startable[seen.startable["assigned_to"].isna()]
    for number in free.loc[(free["priority"] >= limits.urgent_priority).fillna(False), "id"].tolist():
        task = seen.tasks[number]
        since, known = _after(task["created_at"], task["updated_at"])
        if seen.lasted(since, limits.urgent_unassigned_hours):
            yield _row(task, f"unassigned, priority {task['priority']}", "assign it", since, known)


def _working_unedited(seen: _Seen, limits: Thresholds) -> Iterator[dict[str, Any]]:
    for number in seen.work.loc[seen.work["status"] == "working", "id"].tolist():
        task = seen.tasks[number]
        if seen.lasted(task["updated_at"], limits.working_unedited_hours) and pd.notna(task["updated_at"]):
            silent = readable_hours(task["hours_since_update"])
            evidence = f"in progress, not edited for {silent} (comments don't count)"
            yield _row(task, evidence, "ask its agent, or set it idle again", task["updated_at"], EXACT)


def _too_many_working(seen: _Seen, limits: Thresholds) -> Iterator[dict[str, Any]]:
    working = seen.work[seen.work["status"] == "working"].sort_values(["updated_at", "id"])
    for agent, own in working.groupby("assigned_to"):
        if len(own) > limits.most_working:
            # Each has been working since its last edit or longer, so this many since the edit of the next.
            since = own["updated_at"].iloc[limits.most_working]
            ids = own["id"].tolist()
            longest = next((task for task in ids if task in seen.shown), ids[0])
            evidence = f"{agent} has {len(own)} tasks in progress: {', '.join(map(str, sorted(ids)))}"
            to_do = f"set all but {limits.most_working} idle"
            yield _row(seen.tasks[longest], evidence, to_do, since, BOUND)


def _nothing_working(seen: _Seen, limits: Thresholds) -> Iterator[dict[str, Any]]:
    busy = set(seen.work.loc[seen.work["status"] == "working", "assigned_to"].dropna())
    last_edits = seen.all_tasks.groupby("assigned_to")["updated_at"].max()
    for agent, waiting in seen.startable.groupby("assigned_to"):
        if agent in busy or not seen.lasted(last_edits[agent], limits.nothing_working_hours):
            continue
        first = waiting.sort_values(["priority", "created_at", "id"], ascending=[False, True, True])[
            "id"
        ].iloc[0]
        ago = readable_hours((seen.now - last_edits[agent]).total_seconds() / 3600) or "an unknown time"
        count = f"{len(waiting)} idle task{'s' * (len(waiting) != 1)}"
        evidence = f"{agent} has {count} to start and none in progress; none of its tasks edited for {ago}"
        # Work that was taken from the agent meanwhile is no longer seen as its own: since when is unknown.
        yield _row(
            seen.tasks[int(first)], evidence, "see that the agent runs, or reassign", pd.NaT, NOT_KNOWN
        )


def _parked(seen: _Seen, limits: Thresholds) -> Iterator[dict[str, Any]]:
    # Whole words, for which an underscore is no letter: "on_hold", but neither "threshold" nor "unblocked".
    any_of = "|".join(map(re.escape, limits.parked_queues)) or "(?!)"
    words = re.compile(rf"(?<![^\W_])(?:{any_of})(?![^\W_])", re.IGNORECASE)
    for task, blocker in seen.beside("blocked_by_task_id"):
        if (
            blocker["status"] != "complete"
            or pd.isna(task["queue_name"])
            or not words.search(task["queue_name"])
        ):
            continue
        since, known = _since_edit(task, blocker)
        if seen.lasted(since, limits.parked_hours):
            evidence = (
                f"task {blocker['id']}, which it waited for, is complete; still in queue {task['queue_name']}"
            )
            yield _row(task, evidence, "move it to a queue that is worked on", since, known)


def _complete_parent(seen: _Seen, limits: Thresholds) -> Iterator[dict[str, Any]]:
    for task, parent in seen.beside("parent_task_id"):
        since, known = _since_edit(task, parent)
        if parent["status"] != "complete" or pd.notna(parent["archived_at"]):
            continue
        if seen.lasted(since, limits.complete_parent_hours):
            evidence = f"{task['status']}, though its parent, task {parent['id']}, is complete"
            yield _row(task, evidence, "finish it, or archive it", since, known)


def _archived_parent(seen: _Seen, limits: Thresholds) -> Iterator[dict[str, Any]]:
    for task, parent in seen.beside("parent_task_id"):
        if pd.isna(parent["archived_at"]):
            continue
        since, known = _after(parent["archived_at"], task["updated_at"])
        if seen.lasted(since, limits.archived_parent_hours):
            evidence = f"{task['status']}, though its parent, task {parent['id']}, is archived"
            yield _row(task, evidence, "archive it too, or give it another parent", since, known)


def _old_untouched(seen: _Seen, limits: Thresholds) -> Iterator[dict[str, Any]]:
    for number in seen.startable["id"].tolist():
        task = seen.tasks[number]
        old = task["age_hours"] >= limits.old_hours and task["hours_since_update"] >= limits.untouched_hours
        if old:
            age, silent = readable_hours(task["age_hours"]), readable_hours(task["hours_since_update"])
            evidence = f"created {age} ago, not edited for {silent}"
            yield _row(task, evidence, "do it, lower its priority, or archive it", task["updated_at"], EXACT)


REASONS: dict[str, Reason] = {
    "archived_blocker": Reason(3, "blocked by a task that is archived and unfinished", _archived_blocker),
    "blocking_cycle": Reason(3, "tasks that wait for each other in a circle", _blocking_cycle),
    "urgent_unassigned": Reason(3, "urgent, ready to start, and unassigned", _urgent_unassigned),
    "working_unedited": Reason(2, "in progress, but not edited for long", _working_unedited),
    "nothing_working": Reason(2, "an agent with work to start and none in progress", _nothing_working),
    "too_many_working": Reason(2, "more tasks in progress than an agent's limit", _too_many_working),
    "parked": Reason(2, "no longer blocked, yet in a queue for blocked work", _parked),
    "complete_parent": Reason(2, "open under a parent that is complete", _complete_parent),
    "archived_parent": Reason(2, "open under a parent that is archived", _archived_parent),
    "old_untouched": Reason(1, "idle, old, and not edited for long", _old_untouched),
}
