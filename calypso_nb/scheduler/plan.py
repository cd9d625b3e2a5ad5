"""The plan: which task is run now, by whom, with which recipe and in which order, and why the others wait."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd

from calypso_nb.agents import Agent
from calypso_nb.frames import Column, records_to_frame
from calypso_nb.run_marks import HANDED_OVER, RUNNING, failures
from calypso_nb.scheduler.leases import Lease
from calypso_nb.scheduler.recipes import Recipe, RecipeError, choose_recipe
from calypso_nb.workload.blocking import blocking, waits

PLAN_COLUMNS: dict[str, Column] = {
    "order": Column("Int64", "", "place in the order of running, from 1; NA if it waits"),
    "id": Column("int64", "", "the task's number; one row per candidate, those that run come first"),
    "title": Column("str", "", "free text, written by an agent"),
    "decision": Column("str", "", "run or wait"),
    "agent": Column("str", "", "who runs it, or its only candidate; NA if there are several"),
    "recipe": Column("str", "", "the recipe's name; NA if it waits"),
    "why": Column("str", "", "the reason for the decision, in words"),
    "frees": Column("int64", "tasks", "open tasks that wait for it, directly or behind each other"),
    "priority": Column("Int64", "", "any integer, higher is more urgent"),
    "age_hours": Column("float64", "hours", "since the task was created"),
    "failed": Column("int64", "runs", "runs of it that have failed so far"),
}

_NEEDED = [
    "id", "title", "status", "assigned_to", "priority", "tags", "parent_task_id", "queue_name",
    "blocked_by_task_id", "is_currently_blocked", "created_at", "age_hours",
]  # fmt: skip


@dataclass(frozen=True)
class Situation:
    """What a plan is made from besides the tasks.

    - leases: the lowest lease of each task whose comments were read, None if it has none.
    - now: the time by the server's clock.
    - here: the agent of each task that this process runs already.
    - aside: what was in the way of each task that could not be started a moment ago.
    - task_id: make rows for this task only.
    """

    agents: Sequence[Agent]
    recipes: Mapping[str, Recipe]
    leases: Mapping[int, Lease | None]
    now: datetime
    here: Mapping[int, str] = field(default_factory=dict)
    aside: Mapping[int, str] = field(default_factory=dict)
    max_parallel: int | None = None
    retry_limit: int = 3
    task_id: int | None = None


class _Wait(Exception):
    """The task waits; the message says why."""


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
    rows.sort(key=lambda row: row["decision"] == "wait")  # The order among each kind stays.
    return records_to_frame(rows, PLAN_COLUMNS)


class _Planner:
    """One pass over the tasks in their order, handing out the agents' free places."""

    def __init__(self, tasks: list[dict[str, Any]], situation: Situation) -> None:
        self._situation = situation
        self._agents = {agent.name: agent for agent in situation.agents}
        self._queues: dict[str, list[Agent]] = {}
        for agent in situation.agents:
            if agent.queue is not None:
                self._queues.setdefault(agent.queue, []).append(agent)
        self._subtasks = Counter(task["parent_task_id"] for task in tasks)
        self._started = 0
        self._busy: Counter[str] = Counter(situation.here.values())
        for task in tasks:
            mine = task["assigned_to"] in self._agents and task["id"] not in situation.here
            if mine and (self._live_lease(task) is not None or self._is_worked_on(task)):
                self._busy[task["assigned_to"]] += 1

    def rows(self, tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for task in tasks:
            candidates = self._candidates(task)
            if not candidates or self._situation.task_id not in (None, task["id"]):
                continue
            row = {name: task[name] for name in ("id", "title", "frees", "priority", "age_hours")}
            row |= {"order": None, "agent": None, "recipe": None, "failed": failures(task["tags"])}
            if len(candidates) == 1:
                row["agent"] = candidates[0].name
            try:
                why = self._ready(task)
                agent, recipe = self._place(task, candidates)
            except _Wait as reason:
                yield row | {"decision": "wait", "why": str(reason)}
                continue
            self._started += 1
            self._busy[agent.name] += 1
            row |= {"order": self._started, "agent": agent.name, "recipe": recipe.name}
            yield row | {"decision": "run", "why": why}

    def _candidates(self, task: dict[str, Any]) -> list[Agent]:
        """Return the agents that the task is for, the one with most free places first."""
        if task["assigned_to"] is None or HANDED_OVER in task["tags"]:
            return sorted(self._queues.get(task["queue_name"], []), key=lambda agent: -self._free(agent))
        if task["assigned_to"] not in self._agents:
            return []
        return [self._agents[task["assigned_to"]]]

    def _free(self, agent: Agent) -> int:
        return agent.max_concurrency - self._busy[agent.name]

    def _live_lease(self, task: dict[str, Any]) -> Lease | None:
        lease = self._situation.leases.get(task["id"])
        if lease is None or lease.is_dead(self._situation.now):
            return None
        return lease

    def _is_worked_on(self, task: dict[str, Any]) -> bool:
        """Return whether somebody works on it without a lease; a parent only shows its subtasks' status."""
        left = RUNNING in task["tags"] and task["id"] in self._situation.leases
        return task["status"] == "working" and not left and not self._subtasks[task["id"]]

    def _ready(self, task: dict[str, Any]) -> str:
        """Return why the task can be run, as far as it alone is concerned; raise _Wait if it can't."""
        failed, limit = failures(task["tags"]), self._situation.retry_limit
        if task["id"] in self._situation.here:
            raise _Wait(f"{self._situation.here[task['id']]} runs it here")
        if (lease := self._live_lease(task)) is not None:
            raise _Wait(f"claimed by {lease.host} {lease.silent(self._situation.now):.0f} s ago")
        if self._is_worked_on(task):
            raise _Wait(f"{task['assigned_to'] or 'somebody'} works on it, but not through run-agent")
        if task["id"] in self._situation.aside:
            raise _Wait(f"not started just now: {self._situation.aside[task['id']]}")
        if task["is_currently_blocked"]:
            raise _Wait(f"blocked by #{task['blocked_by_task_id']}")
        if subtasks := self._subtasks[task["id"]]:
            raise _Wait(f"open subtasks: {subtasks}")
        if failed >= limit:
            raise _Wait(f"failed {failed} of {limit} times: remove its tag failed:{failed} to try again")
        if (lease := self._situation.leases.get(task["id"])) is not None:
            silent = lease.silent(self._situation.now)
            return f"taken over from {lease.host}, which has given no sign for {silent:.0f} s"
        if task["status"] == "working":
            return "taken over: its tag says that it is being run, but it has no lease"
        if failed:
            return f"failed {failed} of {limit} times, tried again"
        return "ready"

    def _place(self, task: dict[str, Any], candidates: list[Agent]) -> tuple[Agent, Recipe]:
        """Return who runs it with which recipe; raise _Wait if there is no free place or no recipe."""
        recipes, limit = self._situation.recipes, self._situation.max_parallel
        chosen: list[tuple[Agent, Recipe]] = []
        reasons: list[str] = []
        for agent in candidates:
            try:
                queue = task["queue_name"] or agent.queue
                recipe = choose_recipe(recipes, task["tags"], agent.name, queue, agent.recipe)
                chosen.append((agent, recipe))
            except RecipeError as reason:
                reasons.append(str(reason))
        if not chosen:
            raise _Wait("; ".join(dict.fromkeys(reasons)))
        if self._free(chosen[0][0]) <= 0:
            full = [f"{who.name} is at {self._busy[who.name]} of {who.max_concurrency}" for who, _ in chosen]
            raise _Wait(", ".join(full))
        if limit is not None and self._started + len(self._situation.here) >= limit:
            raise _Wait(f"{limit} of {limit} runs are under way here")
        return chosen[0]
