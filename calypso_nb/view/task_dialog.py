"""One task in full, and a supervisor's actions on it: what the dashboard asks of the server."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import orjson
import pandas as pd

from calypso_nb.client import TinytaskClient
from calypso_nb.client.actions import Action, left_behind, look, offered
from calypso_nb.client.calls import Details
from calypso_nb.errors import (
    MovedOnError,
    TinytaskAPIError,
    TinytaskClientError,
    UnconfirmedError,
    UsageError,
)
from calypso_nb.history.difference import difference
from calypso_nb.history.saved import plain_records
from calypso_nb.records import Task
from calypso_nb.workload.reporter import Workload, with_counts

# The actions that end each reason for attention, and no others; `see_…` leads to another task's own actions.
CURES: Mapping[str, Sequence[str]] = {
    "archived_blocker": ("unblock", "wait_for", "see_blocker"),
    "blocking_cycle": ("unblock", "wait_for", "see_blocker"),
    "urgent_unassigned": ("reassign",),
    "working_unedited": ("comment", "set_idle", "reassign"),
    "nothing_working": ("comment", "reassign"),
    "too_many_working": ("set_idle", "reassign"),
    "parked": ("queue",),
    "complete_parent": ("complete", "archive", "parent", "see_parent"),
    "archived_parent": ("archive", "parent", "see_parent"),
    "old_untouched": ("priority", "archive"),
}
_NO_WAY_BACK = "TinyTask has no way back from its archive: Restore would make a copy with a new number"
_MOST_UNDOABLE = 50
_REPORTED = ("new", "started", "finished", "reassigned")


def task_details(client: TinytaskClient, task_id: int, data: Workload) -> dict[str, Any]:
    """Read one task, and return its fields and the tasks around it for `browser/src/task_dialog.js`.

    - data: names the task's blocker, its parent, its subtasks, the tasks that it holds up, and why it needs
      attention

    Raise what `client.get_task` raises.
    """
    return described(client, client.get_task(task_id), data)


def described(client: TinytaskClient, task: Task, data: Workload) -> dict[str, Any]:
    """Return what the dialog shows of a task: see `task_details`."""
    all_tasks = data.all_tasks[data.all_tasks["archived_at"].isna()]
    record: dict[str, Any] = orjson.loads(orjson.dumps(task))
    can = offered(client, task)
    return record | {
        "blocker": _named(task.blocked_by_task_id, data),
        "parent": _named(task.parent_task_id, data),
        "holds_up": _mentions(all_tasks[all_tasks["blocked_by_task_id"] == task.id]),
        "subtasks": _mentions(all_tasks[all_tasks["parent_task_id"] == task.id]),
        "offered": can,
        "needs": _needs(task.id, can, data),
    }


def respond(
    client: TinytaskClient, message: Mapping[str, Any], data: Workload, author: str, done: dict[int, Action]
) -> dict[str, Any]:
    """Do what the dialog asks, and return what it shows then: the task, with `told` if something was done.

    - message: `ask` is task, act or undo; `id` names the task; to act, `action` and its values, `seen` (what
      the dialog shows of the task) and `sure` (whether the consequences were agreed to)
    - author: who signs comments
    - done: the actions that can be undone, by the number that `told` has as `undo`; this one is added

    If the consequences have to be agreed to first, it is `question` and `suggestion` only, and nothing was
    done. If the task has moved on, `refused` says so. Raise what the client raises, and ValueError for an
    unknown action.
    """
    task_id = message["id"]
    try:
        if message["ask"] == "task":
            return task_details(client, task_id, data)
        if message["ask"] == "undo":
            undoing = done[message["undo"]]
            undone = client.undo(undoing)
            del done[message["undo"]]
            shown = undone.after if undone.name != "archive" else client.get_task(undoing.before.id)
            return described(client, shown, data) | {"told": {"done": undone.told, "warning": undone.warning}}
        action = act(client, task_id, message["action"], message, author)
    except UnconfirmedError as asked:
        return {"question": list(asked.consequences), "suggestion": asked.suggestion}
    except MovedOnError as moved:
        if moved.task is None:
            raise
        return described(client, moved.task, data) | {"refused": moved.reason}
    if action is None:
        return task_details(client, task_id, data) | {"told": {"done": "The comment is there"}}
    return described(client, action.after, data) | {"told": _told(action, done)}


def act(
    client: TinytaskClient, task_id: int, action: str, values: Mapping[str, Any], author: str
) -> Action | None:
    """Perform a supervisor's action on a task, and return it; a comment is none that could be undone.

    - action: a name that `offered` returns
    - values: `seen` and `sure`; `agent` and `comment` to reassign, `comment` to comment, `value` for the rest

    Raise what the client raises, and ValueError for an unknown action.
    """
    seen, sure, value = values["seen"], bool(values.get("sure")), values.get("value")
    change = partial(client.change, task_id, seen=seen, sure=sure)
    match action:
        case "reassign":
            agent, comment = str(values["agent"]), str(values["comment"])
            return client.reassign(task_id, agent, seen=seen, comment=comment, author=author, sure=sure)
        case "comment":
            client.add_comment(task_id, str(values["comment"]), created_by=author)
            return None
        case "archive" if not sure:
            task = look(client, task_id, seen, action)
            raise UnconfirmedError([*left_behind(client, task), _NO_WAY_BACK])
        case "archive":
            return client.archive(task_id, seen=seen, author=author, sure=True)
        case "complete":
            return client.complete(task_id, seen=seen, sure=sure)
        case "restore":
            return client.restore(task_id, seen=seen, author=author, sure=sure)
        case "set_idle":
            return client.set_idle(task_id, seen=seen, sure=sure)
        case "release" | "unblock":
            done: Action = getattr(client, action)(task_id, seen=seen)
            return done
        case "priority":
            return change(priority=int(values["value"]))
        case "wait_for":
            return change(blocked_by_task_id=int(values["value"]))
        case "parent":
            return change(parent_task_id=None if value is None else int(value))
        case "queue":
            return change(queue_name=str(value) if value else None)
        case "tags":
            return change(tags=list(values["value"]))
        case _:
            raise ValueError(f"unknown action {action!r}")


def reason(error: Exception) -> str:
    """Return what people see of a failure."""
    if isinstance(error, (TinytaskClientError, UsageError)):
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


def _told(action: Action, done: dict[int, Action]) -> dict[str, Any]:
    number = max(done, default=0) + 1
    done[number] = action
    if len(done) > _MOST_UNDOABLE:
        del done[min(done)]
    how = "Restore it as a copy" if action.name == "archive" else "Undo"
    return {"done": action.told, "warning": action.warning, "undo": number, "how": how}


def _needs(task_id: int, can: Sequence[str], data: Workload) -> list[dict[str, Any]]:
    concerns = data.attention["task_id"] == task_id
    circles = dict(zip(data.blocking["id"], data.blocking["cycle"], strict=True))
    if circle := circles.get(task_id):  # It is listed once, and concerns each of its tasks.
        concerns |= (data.attention["reason"] == "blocking_cycle") & data.attention["task_id"].isin(circle)
    needs = plain_records(data.attention[concerns][["urgency", "reason", "evidence", "to_do"]])
    for need in needs:
        need["cures"] = [name for name in CURES[need["reason"]] if name in can or name.startswith("see_")]
    return needs


def _named(task_id: int | None, data: Workload) -> dict[str, Any] | None:
    if task_id is None:
        return None
    known = _mentions(data.all_tasks[data.all_tasks["id"] == task_id])
    return next(iter(known), {"id": task_id, "title": None, "status": None})


def _mentions(tasks: pd.DataFrame) -> list[dict[str, Any]]:
    status = tasks["status"].where(tasks["archived_at"].isna(), tasks["status"] + ", archived")
    return plain_records(tasks[["id", "title"]].assign(status=status))
