"""Why a task, an agent or a queue will not go on by itself, each reason with how it is found."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import pandas as pd

from calypso_nb.run_marks import AUTHOR, RUNNING, failures
from calypso_nb.team import Snooze, Team
from calypso_nb.workload.blocking import cycles, held_up
from calypso_nb.workload.flow import BOUND, EXACT, NOT_KNOWN
from calypso_nb.workload.phrases import brief, or_unknown, readable_hours
from calypso_nb.workload.questions import Questions
from calypso_nb.workload.tree import leaves

Task = dict[str, Any]

_TOLD = (
    *("id", "title", "status", "assigned_to", "priority", "tags", "queue_name", "is_currently_blocked"),
    *("blocked_by_task_id", "parent_task_id", "created_at", "updated_at", "archived_at", "comment_count"),
    *("last_comment_at", "last_comment_by", "last_comment", "last_sign_at", "run_until"),
)


class Reason(NamedTuple):
    """Why something needs attention: how urgent that is, what it means, and how it is found.

    What is found counts once it has lasted as long as the threshold NAME_hours says, if there is one.
    """

    urgency: int
    meaning: str
    find: Callable[[Board], Iterator[Finding]]


class Finding(NamedTuple):
    """What was seen, and what ends it.

    - task: the task to look at
    - since, since_known: since when it has lasted; NOT_KNOWN hides that time
    - agent, queue: what it is about, if that is not the task
    - tasks: all tasks that it is about, if there are several
    - root: the task that holds it up, if that is another one
    - hours: how long it must have lasted, if no threshold says so
    - awake: a pause of the whole team doesn't count
    - facts: what else makes it another one than before
    """

    task: Task
    evidence: str
    to_do: str
    since: Any
    since_known: str
    agent: str | None = None
    queue: str | None = None
    tasks: tuple[int, ...] = ()
    root: int | None = None
    hours: float | None = None
    awake: bool = False
    facts: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Board:
    """All tasks that were read, at one moment.

    - shown: the tasks of which findings are asked
    - silent_after: how long an agent is silent now and then, in hours, by its own past
    - pauses: from when to when nobody gave a sign, in order
    - snoozes: what somebody has snoozed, besides what the team has agreed on
    """

    all_tasks: pd.DataFrame
    shown: set[int]
    now: pd.Timestamp
    team: Team
    silent_after: Mapping[str, float] = field(default_factory=dict)
    pauses: tuple[tuple[datetime, datetime], ...] = ()
    snoozes: tuple[Snooze, ...] = ()

    @cached_property
    def tasks(self) -> dict[int, Task]:
        """All tasks by id, each with what findings tell of it."""
        rows = zip(*(self.all_tasks[name].tolist() for name in _TOLD), strict=True)
        return {row[0]: dict(zip(_TOLD, row, strict=True)) for row in rows}

    @cached_property
    def held_up(self) -> Mapping[int, int]:
        """How many open tasks wait for a task, or for one that waits for it, by its id."""
        return held_up(self.all_tasks)

    @cached_property
    def open(self) -> pd.DataFrame:
        """The open tasks."""
        return self.all_tasks[self.all_tasks["is_open"]]

    @cached_property
    def work(self) -> pd.DataFrame:
        """The open tasks that are work themselves: a parent's status and times are only rolled up."""
        return self.open[leaves(self.open, self.all_tasks).fillna(True)]

    @cached_property
    def working(self) -> pd.DataFrame:
        """The work in progress."""
        return self.work[self.work["status"] == "working"]

    @cached_property
    def startable(self) -> pd.DataFrame:
        """The idle work that is not blocked."""
        return self.work[(self.work["status"] == "idle") & ~self.work["is_currently_blocked"].fillna(False)]

    @cached_property
    def scheduled(self) -> pd.DataFrame:
        """The startable work outside queues for what is blocked or not scheduled."""
        limits = self.team.thresholds
        aside = words(limits.parked_queues + limits.backlog_queues)
        queues = self.startable["queue_name"]
        return self.startable[~queues.isin([name for name in queues.dropna().unique() if aside.search(name)])]

    @cached_property
    def last_signs(self) -> pd.Series:
        """The last sign of life at each task: its last edit, where comments were not read."""
        return self.all_tasks[["updated_at", "last_sign_at"]].max(axis="columns")

    @cached_property
    def paused_since(self) -> pd.Timestamp | None:
        """Since when nobody has given a sign, if the team is taken to be paused.

        If one agent alone has work in progress, that is not a pause of the team.
        """
        last = pd.concat([self.last_signs, self.all_tasks["last_comment_at"]]).max()
        quiet = pd.notna(last) and self.now - last >= timedelta(hours=self.team.thresholds.paused_hours)
        return last if quiet and self.working["assigned_to"].nunique() != 1 else None

    @cached_property
    def awake_until(self) -> pd.Timestamp:
        """Up to when silence counts: a pause of the whole team is not the silence of an agent."""
        return self.paused_since or self.now

    @cached_property
    def live_runs(self) -> pd.Series:
        """Which tasks are being run by a scheduler that has given its signs in time."""
        return (self.all_tasks["run_until"] > self.now).fillna(False)

    def each(self, rows: pd.DataFrame) -> Iterator[Task]:
        """Yield rows as records."""
        return map(self.tasks.__getitem__, rows["id"].tolist())

    def beside(self, column: str) -> Iterator[tuple[Task, Task]]:
        """Yield each open task with the task that its `column` names, if that was read."""
        for task in self.each(self.open[self.open[column].notna()]):
            if other := self.tasks.get(int(task[column])):
                yield task, other

    def first_shown(self, ids: Sequence[int]) -> Task:
        """Return the first task that is shown."""
        return self.tasks[next((task for task in ids if task in self.shown), ids[0])]

    def lasted(self, finding: Finding, hours: float) -> bool:
        """Whether something has lasted that long for certain, in spite of clocks that disagree at 0."""
        until = self.awake_until if finding.awake else self.now
        return hours <= 0 or bool(pd.notna(finding.since) and self.since(finding, hours) <= until)

    def since(self, finding: Finding, hours: float) -> Any:
        """Return from when on something has lasted so long, pauses left out where they don't count."""
        left, since = timedelta(hours=hours), finding.since
        for begin, end in self.pauses if finding.awake else ():
            if end <= since or end - begin < timedelta(hours=self.team.thresholds.paused_hours):
                continue
            if begin - since >= left:
                break
            left -= max(begin - since, timedelta(0))
            since = pd.Timestamp(end)
        return since + left


def words(names: Iterable[str]) -> re.Pattern[str]:
    """Return what finds any of some words in the name of a queue, in any case.

    An underscore is no letter: "on_hold", but neither "threshold" nor "unblocked".
    """
    any_of = "|".join(map(re.escape, names)) or "(?!)"
    return re.compile(rf"(?<![^\W_])(?:{any_of})(?![^\W_])", re.IGNORECASE)


def _since(*edits: Any, event: Any = None) -> tuple[Any, str]:
    """Since when something holds that needs all of these times: exact only if the event came last.

    An edit that was seen last can have changed anything, so before it nothing is certain.
    """
    times = [*edits] if event is None else [*edits, event]
    if any(map(pd.isna, times)):
        return pd.NaT, NOT_KNOWN
    return max(times), EXACT if max(times) == event else BOUND


def _hours(board: Board, time: Any) -> str:
    return readable_hours((board.now - time).total_seconds() / 3600) or "an unknown time"


def _archived_blocker(board: Board) -> Iterator[Finding]:
    for task, blocker in board.beside("blocked_by_task_id"):
        if blocker["status"] != "complete" and pd.notna(blocker["archived_at"]):
            since = _since(task["updated_at"], blocker["updated_at"], event=blocker["archived_at"])
            evidence = f"waits for #{blocker['id']}, which is archived and still {blocker['status']}"
            to_do = "unblock it, or let it wait for another task"
            yield Finding(task, evidence, to_do, *since, root=blocker["id"], facts=(blocker["id"],))


def _blocking_cycle(board: Board) -> Iterator[Finding]:
    for cycle in cycles(board.all_tasks):
        since = _since(*(board.tasks[task]["updated_at"] for task in cycle))
        evidence = "waits for itself: " + " waits for ".join(f"#{task}" for task in (*cycle, cycle[0]))
        task, to_do = board.first_shown(cycle), "unblock one task of the circle"
        yield Finding(task, evidence, to_do, *since, tasks=cycle, facts=cycle)


def _unserved_queue(board: Board) -> Iterator[Finding]:
    if not board.team.serves:
        return
    # A queue of which anybody ever had a task is served, whatever the agents' file calls it.
    had = board.all_tasks[["assigned_to", "previous_assigned_to"]].notna().any(axis="columns")
    served = {
        *chain.from_iterable(board.team.serves.values()),
        *board.all_tasks.loc[had, "queue_name"].dropna(),
    }
    free = board.scheduled[board.scheduled["assigned_to"].isna()]
    for queue, waiting in free[~free["queue_name"].isin(served)].groupby("queue_name"):
        ids = tuple(waiting["id"].tolist())
        evidence = f"{_tasks(len(ids))} in queue {brief(str(queue))}, which no agent serves"
        to_do = "move them to another queue, or add an agent for it"
        since = _since(waiting["updated_at"].min())
        yield Finding(board.first_shown(ids), evidence, to_do, *since, queue=str(queue), tasks=ids)


def _urgent_unassigned(board: Board) -> Iterator[Finding]:
    free = board.scheduled[board.scheduled["assigned_to"].isna()]
    urgent = (free["priority"] >= board.team.thresholds.urgent_priority).fillna(False)
    for task in board.each(free[urgent]):
        since = _since(task["updated_at"], event=task["created_at"])
        yield Finding(task, f"unassigned, priority {task['priority']}", "assign it", *since)


def _waiting_on_human(board: Board) -> Iterator[Finding]:
    limits = board.team.thresholds
    own = board.open["last_comment_by"].isin(limits.supervisors)
    said = board.open[board.open["last_comment"].notna() & ~own]
    questions = Questions.of(limits.supervisors, limits.asking_words)
    # Who waits for another task says BLOCKED by that one.
    of_blocked = Questions.of(limits.supervisors, {*limits.asking_words} - {"BLOCKED"})
    for task in board.each(said):
        by, text, at = (task[name] for name in ("last_comment_by", "last_comment", "last_comment_at"))
        asked = of_blocked if task["is_currently_blocked"] is True else questions
        word, calls = asked.said(text), asked.calls(text)
        if word or calls:
            who = brief(str(or_unknown(by, "somebody")))
            evidence = f"{who} {'asks' if calls else f'says {word}'}: {brief(' '.join(text.split()))}"
            yield Finding(task, evidence, "answer in a comment", *_since(event=at), facts=(at, text))


def _working_unassigned(board: Board) -> Iterator[Finding]:
    for task in board.each(board.working[board.working["assigned_to"].isna()]):
        to_do = "assign it, or set it idle"
        yield Finding(task, "in progress, but unassigned", to_do, *_since(task["updated_at"]))


def _working_blocked(board: Board) -> Iterator[Finding]:
    blocked = board.working[board.working["is_currently_blocked"].fillna(False)]
    for task in board.each(blocked):
        evidence = f"in progress, although it waits for #{task['blocked_by_task_id']}"
        to_do = "set it idle, or unblock it"
        yield Finding(task, evidence, to_do, *_since(task["updated_at"]), facts=(task["blocked_by_task_id"],))


def _retries_used_up(board: Board) -> Iterator[Finding]:
    idle = board.work[board.work["status"] == "idle"]
    failed = idle["tags"].map(failures)
    for task in board.each(idle[failed >= board.team.thresholds.retry_limit]):
        count = failures(task["tags"])
        evidence = f"{count} runs have failed, and no further one is tried"
        to_do = f"mend it and remove the tag failed:{count}, or reassign"
        yield Finding(task, evidence, to_do, *_since(task["updated_at"]), facts=(count,))


def _lost(board: Board) -> pd.Series:
    running = board.working["tags"].map(lambda tags: RUNNING in tags).astype(bool)
    running |= board.working["run_until"].notna()  # Somebody may have set other tags.
    # A run that has just ended has turned its lease into a record.
    recorded = board.working["run_until"].isna() & (board.working["last_comment_by"] == AUTHOR).fillna(False)
    over = ~(board.working["run_until"] > board.now) & ~recorded
    return running & board.working["comment_count"].notna() & over


def _run_lost(board: Board) -> Iterator[Finding]:
    for task in board.each(board.working[_lost(board)]):
        ended = task["run_until"]
        since, evidence = _since(task["updated_at"]), "in progress by a run that has left no sign of life"
        if pd.notna(ended):
            since = _since(event=ended)
            evidence = f"in progress by a run that gave no sign in time, for {_hours(board, ended)}"
        to_do = "start the scheduler again, or set it idle"
        yield Finding(task, evidence, to_do, *since, facts=(ended,))


def _silent(board: Board) -> Iterator[Finding]:
    quiet = board.working[~_lost(board) & board.working["assigned_to"].notna()]
    quiet = quiet[~board.live_runs.loc[quiet.index] & board.last_signs.loc[quiet.index].notna()]
    # A run gives its signs in comments.
    unread = quiet["comment_count"].isna() & quiet["run_until"].isna()
    quiet = quiet[~(unread & quiet["tags"].map(lambda tags: RUNNING in tags).astype(bool))]
    usual, least = board.team.thresholds.silent_hours, board.team.thresholds.silent_least_hours
    limit = quiet["assigned_to"].map(board.silent_after).astype("float64").clip(lower=least)
    for task, last, own in zip(board.each(quiet), board.last_signs.loc[quiet.index], limit, strict=True):
        hours = usual if pd.isna(own) else own
        bound = "limit" if pd.isna(own) else f"95 % of the gaps of {brief(task['assigned_to'])} are within"
        evidence = f"in progress, no sign for {_hours(board, last)} ({bound} {readable_hours(hours)})"
        if pd.isna(task["last_sign_at"]):
            evidence += "; its comments were not read"
        to_do = "ask its agent, or set it idle again"
        yield Finding(task, evidence, to_do, last, EXACT, hours=hours, awake=True, facts=(last,))


def _nothing_working(board: Board) -> Iterator[Finding]:
    signs = board.last_signs.groupby(board.all_tasks["assigned_to"]).max()
    idle = board.scheduled[~board.scheduled["assigned_to"].isin(board.working["assigned_to"])]
    first = idle.sort_values(["priority", "created_at", "id"], ascending=[False, True, True])
    for agent, waiting in first.groupby("assigned_to"):
        name = brief(str(agent))
        evidence = f"{name} has {_tasks(len(waiting))} to start, none in progress, and has given no sign for "
        evidence += _hours(board, signs[agent])
        task, to_do = board.tasks[int(waiting["id"].iloc[0])], "see that the agent runs, or reassign"
        # Work that was taken from the agent meanwhile is no longer seen as its own: since when is unknown.
        since = (signs[agent], NOT_KNOWN)
        yield Finding(task, evidence, to_do, *since, agent=str(agent), awake=True, facts=(signs[agent],))


def _too_many_working(board: Board) -> Iterator[Finding]:
    # A scheduler keeps limits of its own.
    by_hand = board.working[~board.live_runs.loc[board.working.index]]
    for agent, own in by_hand.sort_values(["updated_at", "id"]).groupby("assigned_to"):
        limit = board.team.limit(str(agent))
        if len(own) > limit:
            # Each has been working since its last edit or longer, so this many since the edit of the next.
            since = own["updated_at"].iloc[limit]
            ids = tuple(own["id"].tolist())
            listed = ", ".join(f"#{task}" for task in sorted(ids))
            evidence = f"{brief(str(agent))} has {len(own)} tasks in progress (limit {limit}): {listed}"
            to_do = f"set all but {limit} idle"
            yield Finding(board.first_shown(ids), evidence, to_do, since, BOUND, agent=str(agent), tasks=ids)


def _parked(board: Board) -> Iterator[Finding]:
    parked = words(board.team.thresholds.parked_queues)
    for task, blocker in board.beside("blocked_by_task_id"):
        queue = task["queue_name"]
        if blocker["status"] == "complete" and pd.notna(queue) and parked.search(queue):
            since = _since(task["updated_at"], blocker["updated_at"])
            evidence = f"#{blocker['id']}, which it waited for, is complete; still in queue {brief(queue)}"
            to_do = "move it to a queue that is worked on"
            yield Finding(task, evidence, to_do, *since, facts=(blocker["id"], queue))


def _complete_parent(board: Board) -> Iterator[Finding]:
    for task, parent in board.beside("parent_task_id"):
        if parent["status"] == "complete" and pd.isna(parent["archived_at"]):
            since = _since(task["updated_at"], parent["updated_at"])
            evidence = f"{task['status']}, though its parent, #{parent['id']}, is complete"
            yield Finding(task, evidence, "finish it, or archive it", *since, facts=(parent["id"],))


def _archived_parent(board: Board) -> Iterator[Finding]:
    for task, parent in board.beside("parent_task_id"):
        if pd.notna(parent["archived_at"]):
            since = _since(task["updated_at"], event=parent["archived_at"])
            evidence = f"{task['status']}, though its parent, #{parent['id']}, is archived"
            to_do = "archive it too, or give it another parent"
            yield Finding(task, evidence, to_do, *since, facts=(parent["id"],))


def _old_untouched(board: Board) -> Iterator[Finding]:
    limits, startable = board.team.thresholds, board.startable
    old, untouched = timedelta(hours=limits.old_hours), timedelta(hours=limits.untouched_hours)
    created, signs = startable["created_at"], board.last_signs.loc[startable.index]
    ripe = (created + old).where(created + old > signs + untouched, signs + untouched)
    ripe, backlog = ripe[ripe <= board.now], words(limits.backlog_queues)
    for task, since in zip(board.each(startable.loc[ripe.index]), ripe, strict=True):
        aged, quiet = (_hours(board, task[name]) for name in ("created_at", "updated_at"))
        queue = task["queue_name"]
        queue = queue if pd.notna(queue) and backlog.search(queue) else None
        evidence = f"created {aged} ago, not edited for {quiet}"
        to_do = "do it, lower its priority, or archive it"
        yield Finding(task, evidence, to_do, since, EXACT, queue=queue)


def _tasks(count: int) -> str:
    return f"{count} idle task{'s' * (count != 1)}"


REASONS: dict[str, Reason] = {
    "archived_blocker": Reason(3, "blocked by a task that is archived and unfinished", _archived_blocker),
    "blocking_cycle": Reason(3, "tasks that wait for each other in a circle", _blocking_cycle),
    "unserved_queue": Reason(3, "work in a queue that no agent serves", _unserved_queue),
    "urgent_unassigned": Reason(2, "urgent, ready to start, and unassigned", _urgent_unassigned),
    "waiting_on_human": Reason(2, "its last comment asks something of a person", _waiting_on_human),
    "run_lost": Reason(2, "in progress by a run that gives no sign any more", _run_lost),
    "retries_used_up": Reason(2, "its runs have failed too often for another one", _retries_used_up),
    "working_unassigned": Reason(2, "in progress, but unassigned", _working_unassigned),
    "working_blocked": Reason(2, "in progress, although it is blocked", _working_blocked),
    "silent": Reason(2, "in progress, without a sign of its agent for long", _silent),
    "nothing_working": Reason(2, "an agent with work to start, none in hand, and no sign", _nothing_working),
    "too_many_working": Reason(2, "more tasks in progress than an agent's limit", _too_many_working),
    "parked": Reason(2, "no longer blocked, yet in a queue for blocked work", _parked),
    "complete_parent": Reason(2, "open under a parent that is complete", _complete_parent),
    "archived_parent": Reason(2, "open under a parent that is archived", _archived_parent),
    "old_untouched": Reason(1, "idle, old, and not edited for long", _old_untouched),
}
