"""The plan: which task is run now, by whom, with which recipe and in which order, and why the others wait."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from calypso_nb.agents import Agent
from calypso_nb.client.runs import Lease
from calypso_nb.frames import TIME, Column, records_to_frame
from calypso_nb.run_marks import CANCELLED, RUNNING, failures
from calypso_nb.scheduler.recipes import Recipe, RecipeError, choose_recipe
from calypso_nb.workload.blocking import blocking, waits

PLAN_COLUMNS: dict[str, Column] = {
    "order": Column("Int64", "", "place in the order of running, from 1; NA if it waits"),
    "id": Column("int64", "", "the task's number; one row per candidate, those that run come first"),
    "title": Column("str", "", "free text, written by an agent"),
    "decision": Column("str", "", "run, wait, or at work: somebody is at it already"),
    "agent": Column("str", "", "who runs it, or its only candidate; NA if there are several"),
    "recipe": Column("str", "", "the recipe's name; NA if it waits"),
    "why": Column("str", "", "the reason for the decision, in words"),
    "frees": Column("int64", "tasks", "open tasks that wait for it, directly or behind each other"),
    "priority": Column("Int64", "", "any integer, higher is more urgent"),
    "age_hours": Column("float64", "hours", "since the task was created"),
    "failed": Column("int64", "runs", "runs of it that have failed so far"),
    "not_before": Column(TIME, "", "when it may be tried again; NA if that is not what it waits for"),
}

_NO_LIMIT = float("inf")
_NEEDED = [
    "id", "title", "status", "assigned_to", "priority", "tags", "parent_task_id", "queue_name",
    "blocked_by_task_id", "is_currently_blocked", "created_at", "updated_at", "age_hours",
]  # fmt: skip


@dataclass(frozen=True)
class Retry:
    """How long a failed task waits: `seconds`, and twice as long each further time, up to `most_seconds`."""

    seconds: float = 60.0
    most_seconds: float = 3600.0

    def after(self, failed: int) -> timedelta:
        """Return how long after so many failures."""
        return timedelta(seconds=min(self.seconds * 2.0 ** min(failed - 1, 100), self.most_seconds))


@dataclass(frozen=True)
class Situation:
    """What a plan is made from besides the tasks.

    - leases: the lowest lease of each task that has one.
    - now: the time by the server's clock.
    - here: the agent and the recipe of each task that this process runs already.
    - aside: what was in the way of each task that could not be started a moment ago.
    - paused: since when each agent that is paused is so.
    - no_place: why there is none or not more of it, if runs go elsewhere.
    - retry: how long a task waits after its first, second … failed run.
    - recipe_limits, queue_limits: how many tasks at a time a recipe runs, and a queue has in progress.
    - task_id: make rows for this task only.
    """

    agents: Sequence[Agent]
    recipes: Mapping[str, Recipe]
    leases: Mapping[int, Lease]
    now: datetime
    here: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    aside: Mapping[int, str] = field(default_factory=dict)
    paused: Mapping[str, datetime | None] = field(default_factory=dict)
    max_parallel: int | None = None
    no_place: str = ""
    retry_limit: int = 3
    retry: Retry = Retry()
    recipe_limits: Mapping[str, int] = field(default_factory=dict)
    queue_limits: Mapping[str, int] = field(default_factory=dict)
    task_id: int | None = None


class _Wait(Exception):
    """The task waits; the message says why.

    - not_before: when it is tried again, if that is known
    - at_work: whether somebody is at it already
    """

    def __init__(self, why: str, not_before: datetime | None = None, at_work: bool = False) -> None:
        super().__init__(why)
        self.not_before = not_before
        self.decision = "at work" if at_work else "wait"


def make_plan(all_tasks: pd.DataFrame, situation: Situation) -> pd.DataFrame:
    """Decide about every candidate among all open tasks: return a frame with the columns of `PLAN_COLUMNS`.

    Candidates are the tasks of the agents, and unassigned tasks in the agents' queues. Tasks that free most
    others come first, then by priority, then by age. Tasks that wait never delay those that don't.
    """
    frees: dict[int, int] = {}
    if waits(all_tasks):
        chains = blocking(all_tasks, all_tasks)
        frees = dict(zip(chains["id"], chains["holds_up_in_all"], strict=True))
    table = all_tasks.loc[all_tasks["is_open"], _NEEDED].astype(object)
    tasks: list[Any] = table.where(table.notna(), None).to_dict("records")
    for task in tasks:
        task["frees"] = frees.get(task["id"], 0)
    tasks.sort(
        key=lambda task: (
            -task["frees"],
            -(task["priority"] or 0),
            task["created_at"] is None,
            task["created_at"],
            task["id"],
        )
    )
    rows = list(_Planner(tasks, situation).rows(tasks))
    rows.sort(key=lambda row: row["decision"] != "run")  # The order among each kind stays.
    return records_to_frame(rows, PLAN_COLUMNS)


class _Planner:
    """One pass over the tasks in their order, handing out the agents' free places."""

    def __init__(self, tasks: list[dict[str, Any]], situation: Situation) -> None:
        self._situation = situation
        self._agents = {agent.name: agent for agent in situation.agents}
        self._queues: dict[str, list[Agent]] = {}
        for agent in situation.agents:
            for queue in agent.queues:
                self._queues.setdefault(queue, []).append(agent)
        self._subtasks = Counter(task["parent_task_id"] for task in tasks)
        self._started = 0
        # How many tasks each agent, recipe and queue has in progress, here and elsewhere.
        self._busy: Counter[str] = Counter()
        self._recipes: Counter[str] = Counter()
        self._in_queue: Counter[str] = Counter()
        for task in tasks:
            lease = self._live_lease(task)
            if task["id"] in situation.here:
                self._count(*situation.here[task["id"]], task["queue_name"])
            elif lease is not None or self._is_worked_on(task):
                self._count(task["assigned_to"], lease.recipe if lease else None, task["queue_name"])

    def rows(self, tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for task in tasks:
            candidates = self._candidates(task)
            if not candidates or self._situation.task_id not in (None, task["id"]):
                continue
            row = {name: task[name] for name in ("id", "title", "frees", "priority", "age_hours")}
            row |= {"order": None, "agent": None, "recipe": None, "failed": failures(task["tags"])}
            row["not_before"] = None
            if len(candidates) == 1:
                row["agent"] = candidates[0].name
            try:
                why = self._ready(task)
                agent, recipe = self._place(task, candidates)
            except _Wait as reason:
                yield row | {
                    "decision": reason.decision,
                    "why": str(reason),
                    "not_before": reason.not_before,
                }
                continue
            self._started += 1
            self._count(agent.name, recipe.name, task["queue_name"])
            row |= {"order": self._started, "agent": agent.name, "recipe": recipe.name}
            yield row | {"decision": "run", "why": why}

    def _candidates(self, task: dict[str, Any]) -> list[Agent]:
        """Return the agents that the task is for, the one with most free places first."""
        if task["assigned_to"] is None:
            return sorted(self._queues.get(task["queue_name"], []), key=lambda agent: -self._free(agent))
        if task["assigned_to"] not in self._agents:
            return []
        return [self._agents[task["assigned_to"]]]

    def _count(self, agent: str | None, recipe: str | None, queue: str | None) -> None:
        for name, busy in ((agent, self._busy), (recipe, self._recipes), (queue, self._in_queue)):
            if name is not None:
                busy[name] += 1

    def _free(self, agent: Agent) -> int:
        return agent.max_concurrency - self._busy[agent.name]

    def _live_lease(self, task: dict[str, Any]) -> Lease | None:
        lease = self._situation.leases.get(task["id"])
        if lease is None or lease.is_dead(self._situation.now):
            return None
        return lease

    def _is_worked_on(self, task: dict[str, Any]) -> bool:
        """Return whether somebody works on it without a lease; a parent only shows its subtasks' status."""
        lease = self._situation.leases.get(task["id"])
        left = RUNNING in task["tags"] or (lease is not None and lease.has_run)
        return task["status"] == "working" and not left and not self._subtasks[task["id"]]

    def _ready(self, task: dict[str, Any]) -> str:
        """Return why the task can be run, as far as it alone is concerned; raise _Wait if it can't."""
        failed, limit = failures(task["tags"]), self._situation.retry_limit
        if task["id"] in self._situation.here:
            raise _Wait(f"{self._situation.here[task['id']][0]} runs it here", at_work=True)
        if (lease := self._live_lease(task)) is not None:
            raise _Wait(
                f"claimed by {lease.host} {lease.silent(self._situation.now):.0f} s ago", at_work=True
            )
        if self._is_worked_on(task):
            who = task["assigned_to"] or "somebody"
            raise _Wait(f"{who} works on it, but not through run-agent", at_work=True)
        if task["id"] in self._situation.aside:
            raise _Wait(f"not started just now: {self._situation.aside[task['id']]}")
        if task["is_currently_blocked"]:
            raise _Wait(f"blocked by #{task['blocked_by_task_id']}")
        if subtasks := self._subtasks[task["id"]]:
            raise _Wait(f"open subtasks: {subtasks}")
        if CANCELLED in task["tags"]:
            raise _Wait(f"cancelled: remove its tag {CANCELLED} to run it again")
        if failed >= limit:
            raise _Wait(f"failed {failed} of {limit} times: remove its tag failed:{failed} to try again")
        if (lease := self._situation.leases.get(task["id"])) is not None:
            silent = lease.silent(self._situation.now)
            return f"taken over from {lease.host}, which has given no sign for {silent:.0f} s"
        if task["status"] == "working":
            return "taken over: its tag says that it is being run, but it has no lease"
        if not failed:
            return "ready"
        # The run that failed was the last to edit it; whoever has edited it since delays the retry a little.
        delay = self._situation.retry.after(failed)
        again = task["updated_at"] and task["updated_at"] + delay
        if delay and again and again > self._situation.now and self._situation.task_id is None:
            raise _Wait(f"retry {failed + 1} of {limit} at {again:%H:%M} UTC", again)
        return f"retry {failed + 1} of {limit}"

    def _place(self, task: dict[str, Any], candidates: list[Agent]) -> tuple[Agent, Recipe]:
        """Return who runs it with which recipe; raise _Wait if there is no free place or no recipe."""
        situation = self._situation
        chosen: list[tuple[Agent, Recipe]] = []
        reasons: list[str] = []
        for agent in candidates:
            try:
                queues = [task["queue_name"]] if task["queue_name"] else agent.queues
                recipe = choose_recipe(situation.recipes, task["tags"], agent.name, queues, agent.recipe)
            except RecipeError as reason:
                reasons.append(str(reason))
                continue
            if not agent.enabled:
                reasons.append(f"{agent.name} is not enabled")
            elif agent.name in situation.paused:
                since = situation.paused[agent.name]
                reasons.append(
                    f"{agent.name} is paused" + (f" since {since:%d %b %H:%M} UTC" if since else "")
                )
            elif self._free(agent) <= 0:
                reasons.append(f"{agent.name} is at {self._busy[agent.name]} of {agent.max_concurrency}")
            elif self._recipes[recipe.name] >= (most := situation.recipe_limits.get(recipe.name, _NO_LIMIT)):
                reasons.append(f"recipe {recipe.name} is at {self._recipes[recipe.name]} of {most:g}")
            else:
                chosen.append((agent, recipe))
        if not chosen:
            raise _Wait(", ".join(dict.fromkeys(reasons)))
        if (queue := task["queue_name"]) is not None:
            most = situation.queue_limits.get(queue, _NO_LIMIT)
            if self._in_queue[queue] >= most:
                raise _Wait(f"queue {queue} is at {self._in_queue[queue]} of {most:g}")
        if (limit := situation.max_parallel) is not None and self._started + len(situation.here) >= limit:
            if limit == 0:
                raise _Wait(f"there is no place for it: {situation.no_place}")
            raise _Wait(f"{limit} of {limit} runs are under way here")
        return chosen[0]
