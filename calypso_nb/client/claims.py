"""Claim tasks on a server that can't claim a given task in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calypso_nb.errors import TinytaskAPIError, TinytaskClientError, TinytaskConnectionError, UsageError
from calypso_nb.records import Claim, Outcome, Task

if TYPE_CHECKING:
    from calypso_nb.client.client import TinytaskClient


def claim_task(client: TinytaskClient, task_id: int, agent: str) -> Claim:
    """Look at a task, set it working, and look again: see `TinytaskClient.claim_task`."""
    _check_name(agent)
    task = find_task(client, task_id)
    outcome = _refusal(task, agent)
    if outcome is not None:
        return Claim(outcome, task_id, agent, task)
    try:
        client.update_task(task_id, status="working", assigned_to=agent)
    except TinytaskAPIError:
        if (task := find_task(client, task_id)) is None:
            return Claim("unknown", task_id, agent, None)
        raise
    try:
        task = find_task(client, task_id)
    except TinytaskClientError as error:
        message = f"claim_task set task {task_id} working for {agent} and could not look again: {error}"
        raise TinytaskConnectionError(message, outcome_unknown=True) from error
    if task is not None and (task.status, task.assigned_to, task.archived_at) == ("working", agent, None):
        return Claim("claimed", task_id, agent, task)
    return Claim(_refusal(task, agent) or "taken", task_id, agent, task)


def claim_next(client: TinytaskClient, agent: str) -> Task | None:
    """Sign up until a task is not blocked, and put the others back: see `TinytaskClient.claim_next`."""
    _check_name(agent)
    aside: list[int] = []
    ready: Task | None = None
    try:
        while (task := client.signup_for_task(agent)) is not None:
            if not task.is_currently_blocked:
                ready = task
                break
            if task.id in aside:  # Somebody else has put it back meanwhile.
                break
            aside.append(task.id)
            if not _has_ready(client, agent):
                break
    finally:
        _put_back(client, aside, agent, ready)
    return ready


def find_task(client: TinytaskClient, task_id: int) -> Task | None:
    """Return the task, archived or not, or None if the server has none of that number."""
    try:
        return client.get_task(task_id)
    except TinytaskAPIError:
        # Only the words of the refusal say why; the list of all tasks says it for certain.
        if any(record["id"] == task_id for record in client.list_task_records(include_archived=True)):
            raise
        return None


def _check_name(agent: str) -> None:
    if not isinstance(agent, str) or not agent.strip():
        raise UsageError(f"name the agent that is to have the task, not {agent!r}")


def _has_ready(client: TinytaskClient, agent: str) -> bool:
    queue = client.get_my_queue(agent)
    return bool(((queue["status"] == "idle") & ~queue["is_currently_blocked"].fillna(False)).any())


def _put_back(client: TinytaskClient, task_ids: list[int], agent: str, ready: Task | None) -> None:
    stuck: dict[int, TinytaskClientError] = {}
    for task_id in task_ids:
        try:
            task = find_task(client, task_id)
            if task is not None and (task.status, task.assigned_to) == ("working", agent):
                client.requeue_task(task_id)
        except TinytaskClientError as error:
            stuck[task_id] = error
    if stuck:
        first = next(iter(stuck.values()))
        message = (
            f"claim_next was handed blocked tasks and could not put back {', '.join(map(str, stuck))}, "
            f"which may still be working for {agent}"
        )
        if ready is not None:
            message += f"; task {ready.id} is claimed"
        raise TinytaskConnectionError(f"{message}: {first}", outcome_unknown=True) from first


def _refusal(task: Task | None, agent: str) -> Outcome | None:
    """Return why an agent can't have a task; None if it can."""
    if task is None:
        return "unknown"
    if task.archived_at is not None:
        return "archived"
    if task.status == "complete":
        return "complete"
    if task.status != "idle":
        return "taken"
    if task.assigned_to not in (None, agent):
        return "other_agent"
    return "blocked" if task.is_currently_blocked else None
