"""One task in full, and what a supervisor does with it: the dashboard's dealings with the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import pandas as pd

from calypso_nb.client import TinytaskClient
from calypso_nb.errors import TinytaskAPIError, TinytaskClientError
from calypso_nb.history.difference import difference
from calypso_nb.workload.reporter import Workload

__all__ = ["act", "reason", "task_details", "told_changes", "with_counts_of"]

_TOLD = ("new", "started", "finished", "reassigned")


def task_details(client: TinytaskClient, task_id: int, data: Workload) -> dict[str, Any]:
    """One task as `assets/details.js` shows it, read now, as a dict that JSON can carry.

    Blockers, subtasks and what it holds up are named from `data`. Raises what `client.get_task` raises.

    Example: `task_details(client, 7, data)["comments"]`
    """
    task = client.get_task(task_id)
    all_tasks = data.all_tasks[data.all_tasks["archived_at"].isna()]
    return {
        "id": task.id,
        "title": task.title,
        "description": task.description,
        "status": task.status,
        "agent": task.assigned_to,
        "previous_agent": task.previous_assigned_to,
        "created_by": task.created_by,
        "priority": task.priority,
        "tags": list(task.tags),
        "queue": task.queue_name,
        "blocked": bool(task.is_currently_blocked),
        "blocked_by": _named(task.blocked_by_task_id, data),
        "parent": _named(task.parent_task_id, data),
        "blocks": _mentions(all_tasks[all_tasks["blocked_by_task_id"] == task.id]),
        "subtasks": _mentions(all_tasks[all_tasks["parent_task_id"] == task.id]),
        "created_at": _iso(task.created_at),
        "updated_at": _iso(task.updated_at),
        "archived_at": _iso(task.archived_at),
        "comments": [
            {"content": comment.content, "by": comment.created_by, "at": _iso(comment.created_at)}
            for comment in task.comments or ()
        ],
        "links": [{"url": link.url, "description": link.description} for link in task.links or ()],
    }


def act(client: TinytaskClient, task_id: int, action: str, values: Mapping[str, Any], author: str) -> None:
    """Do what a supervisor asked for: reassign, priority, comment, requeue, complete or archive.

    `values` holds `agent` and `comment`, `priority`, or `comment`; `author` is who comments. A task of
    nobody is given away without a handoff, which TinyTask only knows from one agent to another. Raises what
    the client raises, ValueError for an action that there is none of.

    Example: `act(client, 7, "reassign", {"agent": "bob", "comment": "your turn"}, "lead")`
    """
    match action:
        case "reassign":
            _reassign(client, task_id, str(values["agent"]), str(values["comment"]), author)
        case "priority":
            client.update_task(task_id, priority=int(values["priority"]))
        case "comment":
            client.add_comment(task_id, str(values["comment"]), created_by=author)
        case "requeue":
            client.requeue_task(task_id)
        case "complete":
            client.complete_task(task_id)
        case "archive":
            client.archive_task(task_id)
        case _:
            raise ValueError(f"unknown action {action!r}")


def reason(error: Exception, refused: bool = False) -> str:
    """What people are told of a failure; of one that was `refused`, what the server said, word for word.

    Example: `reason(KeyError("id"))`
    """
    if refused and isinstance(error, TinytaskAPIError):
        return error.reason
    return str(error) if isinstance(error, TinytaskClientError) else f"{type(error).__name__}: {error}"


def told_changes(before: Workload, data: Workload) -> list[dict[str, Any]]:
    """What `assets/refresh.js` tells of a new reading: `change`, `id`, `title` and `agent` of each task.

    Example: `told_changes(before, now)[0]["change"]`
    """
    changes = difference(before, data).changes
    columns = {"change": "change", "task_id": "id", "title": "title", "agent": "agent"}
    told = changes[changes["change"].isin(_TOLD)][list(columns)].rename(columns=columns).astype("object")
    return cast(list[dict[str, Any]], told.where(told.notna(), None).to_dict("records"))


def with_counts_of(
    data: Workload, before: Workload, fresh: Mapping[int, tuple[int | None, int | None]]
) -> Workload:
    """A report with the comment and link counts of an earlier one, and of `fresh` where it has a task.

    Counts cost a request a task, so a report that is read every few seconds takes those that are known.

    Example: `with_counts_of(now, before, {7: (3, 0)})`
    """
    counts = dict(
        zip(
            before.tasks["id"].tolist(),
            zip(before.tasks["comment_count"], before.tasks["link_count"], strict=True),
            strict=True,
        )
    )
    counts.update(fresh)

    def counted(tasks: pd.DataFrame) -> pd.DataFrame:
        pairs = [counts.get(task, (pd.NA, pd.NA)) for task in tasks["id"].tolist()]
        return tasks.assign(
            comment_count=pd.array([pair[0] for pair in pairs], dtype="Int64"),
            link_count=pd.array([pair[1] for pair in pairs], dtype="Int64"),
        )

    return replace(data, tasks=counted(data.tasks), all_tasks=counted(data.all_tasks), details=True)


def _reassign(client: TinytaskClient, task_id: int, agent: str, comment: str, author: str) -> None:
    holder = client.get_task(task_id).assigned_to
    if holder is not None:
        client.move_task(task_id, holder, agent, comment)
        return
    client.update_task(task_id, assigned_to=agent)
    if comment.strip():
        client.add_comment(task_id, comment, created_by=author)


def _named(task_id: int | None, data: Workload) -> dict[str, Any] | None:
    if task_id is None:
        return None
    known = _mentions(data.all_tasks[data.all_tasks["id"] == task_id])
    return known[0] if known else {"id": task_id, "title": None, "status": None}


def _mentions(tasks: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {"id": int(task["id"]), "title": task["title"], "status": task["status"]}
        for task in tasks.to_dict("records")
    ]


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
