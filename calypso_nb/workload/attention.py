"""What needs the supervisor now: tasks and agents that will not go on by themselves, most urgent first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
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
    """Why something needs attention: how urgent that is, what it means, and how it is found.

    What is found counts once it has lasted as long as the threshold NAME_hours says, if there is one.
    """

    urgency: int
    meaning: str
    find: Callable[[_Seen, Thresholds], Iterator[_Finding]]


class _Finding(NamedTuple):
    """What was seen at a task, what ends it, and since when it has lasted; NOT_KNOWN hides that time."""

    task: dict[str, Any]
    evidence: str
    to_do: str
    since: Any
    since_known: str


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
        _row(name, finding)
        for name, reason in REASONS.items()
        for finding in reason.find(seen, limits)
        if finding.task["id"] in seen.shown
        and seen.lasted(finding.since, getattr(limits, f"{name}_hours", 0))
    ]
    frame = records_to_frame(rows, ATTENTION_COLUMNS)
    order = ["urgency", "priority", "since", "task_id", "reason"]
    return frame.sort_values(order, ascending=[False, False, True, True, True], ignore_index=True)


def _row(name: str, finding: _Finding) -> dict[str, Any]:
    task = finding.task
    named = {"reason": name, "urgency": REASONS[name].urgency, "agent": task["assigned_to"]}
    row = {**task, **finding._asdict(), **named, "task_id": task["id"]}
    if pd.isna(finding.since) or finding.since_known == NOT_KNOWN:
        row |= {"since": pd.NaT, "since_known": NOT_KNOWN}
    return row


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
    def working(self) -> pd.DataFrame:
        return self.work[self.work["status"] == "working"]

    @cached_property
    def startable(self) -> pd.DataFrame:
        return self.work[(self.work["status"] == "idle") & ~self.work["is_currently_blocked"].fillna(False)]

    def each(self, rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
        return map(self.tasks.__getitem__, rows["id"].tolist())

    def beside(self, column: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Each open task with the task that its `column` names, if that was read."""
        for task in self.each(self.open[self.open[column].notna()]):
            if other := self.tasks.get(int(task[column])):
                yield task, other

    def first_shown(self, ids: Sequence[int]) -> dict[str, Any]:
        return self.tasks[next((task for task in ids if task in self.shown), ids[0])]

    def lasted(self, since: Any, hours: float) -> bool:
        """Whether something has lasted that long for certain, in spite of clocks that disagree at 0."""
        return hours <= 0 or bool(pd.notna(since) and (self.now - since).total_seconds() >= hours * 3600)


def _since(*edits: Any, event: Any = None) -> tuple[Any, str]:
    """Since when something holds that needs all of these times: exact only if the event came last.

    An edit that was seen last can have changed anything, so before it nothing is certain.
    """
    times = [*edits] if event is None else [*edits, event]
    if any(map(pd.isna, times)):
        return pd.NaT, NOT_KNOWN
    return max(times), EXACT if max(times) == event else BOUND


def _archived_blocker(seen: _Seen, _: Thresholds) -> Iterator[_Finding]:
    for task, blocker in seen.beside("blocked_by_task_id"):
        if blocker["status"] != "complete" and pd.notna(blocker["archived_at"]):
            since = _since(task["updated_at"], blocker["updated_at"], event=blocker["archived_at"])
            evidence = f"waits for task {blocker['id']}, which is archived and still {blocker['status']}"
            yield _Finding(task, evidence, "unblock it, or let it wait for another task", *since)


def _blocking_cycle(seen: _Seen, _: Thresholds) -> Iterator[_Finding]:
    for cycle in cycles(seen.all_tasks):
        since = _since(*(seen.tasks[task]["updated_at"] for task in cycle))
        evidence = "waits for itself: task " + " waits for ".join(map(str, (*cycle, cycle[0])))
        yield _Finding(seen.first_shown(cycle), evidence, "unblock one task of the circle", *since)


def _urgent_unassigned(seen: _Seen, limits: Thresholds) -> Iterator[_Finding]:
    free = seen.startable[seen.startable["assigned_to"].isna()]
    for task in seen.each(free[(free["priority"] >= limits.urgent_priority).fillna(False)]):
        since = _since(task["updated_at"], event=task["created_at"])
        yield _Finding(task, f"unassigned, priority {task['priority']}", "assign it", *since)


def _working_unedited(seen: _Seen, _: Thresholds) -> Iterator[_Finding]:
    for task in seen.each(seen.working[seen.working["updated_at"].notna()]):
        silent = readable_hours(task["hours_since_update"])
        evidence = f"in progress, not edited for {silent} (comments don't count)"
        yield _Finding(task, evidence, "ask its agent, or set it idle again", task["updated_at"], EXACT)


def _too_many_working(seen: _Seen, limits: Thresholds) -> Iterator[_Finding]:
    for agent, own in seen.working.sort_values(["updated_at", "id"]).groupby("assigned_to"):
        if len(own) > limits.most_working:
            # Each has been working since its last edit or longer, so this many since the edit of the next.
            since = own["updated_at"].iloc[limits.most_working]
            ids = own["id"].tolist()
            evidence = f"{agent} has {len(own)} tasks in progress: {', '.join(map(str, sorted(ids)))}"
            to_do = f"set all but {limits.most_working} idle"
            yield _Finding(seen.first_shown(ids), evidence, to_do, since, BOUND)


def _nothing_working(seen: _Seen, _: Thresholds) -> Iterator[_Finding]:
    last_edits = seen.all_tasks.groupby("assigned_to")["updated_at"].max()
    idle = seen.startable[~seen.startable["assigned_to"].isin(seen.working["assigned_to"])]
    first = idle.sort_values(["priority", "created_at", "id"], ascending=[False, True, True])
    for agent, waiting in first.groupby("assigned_to"):
        ago = readable_hours((seen.now - last_edits[agent]).total_seconds() / 3600) or "an unknown time"
        count = f"{len(waiting)} idle task{'s' * (len(waiting) != 1)}"
        evidence = f"{agent} has {count} to start and none in progress; none of its tasks edited for {ago}"
        task = seen.tasks[int(waiting["id"].iloc[0])]
        # Work that was taken from the agent meanwhile is no longer seen as its own: since when is unknown.
        yield _Finding(task, evidence, "see that the agent runs, or reassign", last_edits[agent], NOT_KNOWN)


def _parked(seen: _Seen, limits: Thresholds) -> Iterator[_Finding]:
    # Whole words, for which an underscore is no letter: "on_hold", but neither "threshold" nor "unblocked".
    any_of = "|".join(map(re.escape, limits.parked_queues)) or "(?!)"
    words = re.compile(rf"(?<![^\W_])(?:{any_of})(?![^\W_])", re.IGNORECASE)
    for task, blocker in seen.beside("blocked_by_task_id"):
        queue = task["queue_name"]
        if blocker["status"] == "complete" and pd.notna(queue) and words.search(queue):
            since = _since(task["updated_at"], blocker["updated_at"])
            evidence = f"task {blocker['id']}, which it waited for, is complete; still in queue {queue}"
            yield _Finding(task, evidence, "move it to a queue that is worked on", *since)


def _complete_parent(seen: _Seen, _: Thresholds) -> Iterator[_Finding]:
    for task, parent in seen.beside("parent_task_id"):
        if parent["status"] == "complete" and pd.isna(parent["archived_at"]):
            since = _since(task["updated_at"], parent["updated_at"])
            evidence = f"{task['status']}, though its parent, task {parent['id']}, is complete"
            yield _Finding(task, evidence, "finish it, or archive it", *since)


def _archived_parent(seen: _Seen, _: Thresholds) -> Iterator[_Finding]:
    for task, parent in seen.beside("parent_task_id"):
        if pd.notna(parent["archived_at"]):
            since = _since(task["updated_at"], event=parent["archived_at"])
            evidence = f"{task['status']}, though its parent, task {parent['id']}, is archived"
            yield _Finding(task, evidence, "archive it too, or give it another parent", *since)


def _old_untouched(seen: _Seen, limits: Thresholds) -> Iterator[_Finding]:
    old, silent = (seen.startable[name] for name in ("age_hours", "hours_since_update"))
    for task in seen.each(seen.startable[(old >= limits.old_hours) & (silent >= limits.untouched_hours)]):
        age, unedited = readable_hours(task["age_hours"]), readable_hours(task["hours_since_update"])
        evidence = f"created {age} ago, not edited for {unedited}"
        yield _Finding(task, evidence, "do it, lower its priority, or archive it", task["updated_at"], EXACT)


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
