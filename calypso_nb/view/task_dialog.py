"""One task in full, and a supervisor's actions on it: what the dashboard asks of the server."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import pandas as pd

from calypso_nb.client import TinytaskClient
from calypso_nb.client.calls import Details
from calypso_nb.errors import TinytaskAPIError, TinytaskClientError
from calypso_nb.history.difference import difference
from calypso_nb.history.saved import plain_records
from calypso_nb.workload.reporter import Workload, with_counts

_REPORTED = ("new", "started", "finished", "reassigned")


def task_details(client: TinytaskClient, task_id: int, data: Workload) -> dict[str, Any]:
    """Read one task, and return its fields and the tasks around it for `browser/src/task_dialog.js`.

    - data: names the task's blocker, its parent, its subtasks, and the tasks that it holds up

    Raise what `client.get_task` raises.
    """
    task = client.get_task(task_id)
    all_tasks = data.all_tasks[data.all_tasks["archived_at"].isna()]
    record: dict[str, Any] = orjson.loads(orjson.dumps(task))
    return record | {
        "blocker": _named(task.blocked_by_task_id, data),
        "parent": _named(task.parent_task_id, data),
        "holds_up": _mentions(all_tasks[all_tasks["blocked_by_task_id"] == task.id]),
        "subtasks": _mentions(all_tasks[all_tasks["parent_task_id"] == task.id]),
    }


def act(client: TinytaskClient, task_id: int, action: str, values: Mapping[str, Any], author: str) -> None:
    """Perform a supervisor's action on a task.

    - action: reassign, priority, comment, requeue, complete or archive
    - values: `agent` and `comment` to reassign, else `priority` or `comment`
    - author: who signs a comment

    An unassigned task is assigned without a handoff, which TinyTask only knows between agents. Raise what
    the client raises, and ValueError for an unknown action.
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


def reason(error: Exception) -> str:
    """Return what people see of a failure."""
    if isinstance(error, TinytaskClientError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def refusal(error: Exception) -> str:
    """Return what people see of a failed action: what the server said, word for word, if it refused."""
    return error.reason if isinstance(error, TinytaskAPIError) else reason(error)


def changes_between(before: Workload, data: Workload) -> list[dict[str, Any]]:
    """Return what `browser/src/refresh.js` lists: `change`, `id`, `title` and `agent` of each task."""
    changes = difference(before, data).changes
    columns = {"change": "change", "task_id": "id", "title": "title", "agent": "agent"}
    return plain_records(changes[changes["change"].isin(_REPORTED)][list(columns)].rename(columns=columns))


def with_counts_of(data: Workload, before: Workload, fresh: Mapping[int, Details]) -> Workload:
    """Return a report with the comment and link counts of an earlier one.

    Counts cost a request per task, so a report that is read every few seconds takes those that are known.

    - fresh: newer counts of some tasks, by their ids
    """
    columns = [before.tasks[name] for name in ("id", *Details._fields)]
    known = {task: Details(*counted) for task, *counted in zip(*columns, strict=True)} | dict(fresh)
    return replace(
        data,
        tasks=with_counts(data.tasks, known),
        all_tasks=with_counts(data.all_tasks, known),
        details=True,
    )


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
    return next(iter(known), {"id": task_id, "title": None, "status": None})


def _mentions(tasks: pd.DataFrame) -> list[dict[str, Any]]:
    return plain_records(tasks[["id", "title", "status"]])
