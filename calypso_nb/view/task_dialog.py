"""A task in full, and a supervisor's actions on one or several: what the dashboard asks of the server."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import orjson
import pandas as pd

from calypso_nb.client import TinytaskClient
from calypso_nb.client.actions import (
    Action,
    check_agent,
    consequences,
    left_behind,
    look,
    numbers,
    offered,
)
from calypso_nb.client.calls import COUNTED, Details
from calypso_nb.errors import (
    MovedOnError,
    TinytaskAPIError,
    TinytaskClientError,
    TinytaskConnectionError,
    UnconfirmedError,
    UsageError,
)
from calypso_nb.history.difference import difference
from calypso_nb.history.saved import plain_records
from calypso_nb.records import Task
from calypso_nb.workload.reporter import Workload, with_counts

# The actions that end each reason for attention, and no others. `…_blocker` and `…_parent` are about the task
# that it waits for or is a part of; `see` opens that, and `choose` the agent's tasks.
CURES: Mapping[str, Sequence[str]] = {
    "archived_blocker": ("unblock", "restore_blocker", "wait_for"),
    "blocking_cycle": ("unblock", "wait_for", "see_blocker"),
    "unserved_queue": ("queue", "reassign"),
    "urgent_unassigned": ("reassign",),
    "waiting_on_human": ("comment",),
    "run_lost": ("set_idle",),
    "retries_used_up": ("tags", "reassign"),
    "working_unassigned": ("reassign", "set_idle"),
    "working_blocked": ("set_idle", "unblock", "wait_for", "see_blocker"),
    "silent": ("comment", "set_idle", "reassign"),
    "nothing_working": ("comment", "reassign"),
    "too_many_working": ("choose", "set_idle", "reassign"),
    "parked": ("queue",),
    "complete_parent": ("complete", "archive", "parent", "see_parent"),
    "archived_parent": ("archive", "restore_parent", "parent"),
    "old_untouched": ("priority", "archive"),
}
_ELSEWHERE = {"see_blocker", "restore_blocker", "see_parent", "restore_parent", "choose"}
_NO_WAY_BACK = "TinyTask has no way back from its archive: Restore would make a copy with a new number"
_NO_WAY_BACK_FOR_MANY = (
    "TinyTask has no way back from its archive: Restore would make copies with new numbers"
)
_MOST_UNDOABLE = 50
_MOST_SENTENCES = 8
# What can harm other tasks, and what was done, in words.
_CONSEQUENTIAL = {"archive", "complete", "set_idle", "wait_for", "parent"}
_WORDS: Mapping[str, str] = {
    "reassign": "handed on",
    "archive": "archived",
    "restore": "restored",
    "complete": "complete",
    "set_idle": "idle",
    "release": "released",
    "unblock": "unblocked",
    "priority": "with another priority",
    "wait_for": "waiting for another",
    "queue": "in another queue",
    "parent": "with another parent",
    "tags": "with other tags",
}
_REPORTED = ("new", "started", "finished", "reassigned")


def task_details(client: TinytaskClient, task_id: int, data: Workload) -> dict[str, Any]:
    """Read one task, and return its fields and the tasks around it for `browser/src/task.js`.

    - data: names the task's blocker, its parent, its subtasks, the tasks that it holds up, and why it needs
      attention

    Raise what `client.get_task` raises.
    """
    return described(client, client.get_task(task_id), data)


def described(client: TinytaskClient, task: Task, data: Workload) -> dict[str, Any]:
    """Return what the drawer shows of a task: see `task_details`."""
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


Done = dict[int, tuple[Action, ...]]


def respond(
    client: TinytaskClient, message: Mapping[str, Any], data: Workload, author: str, done: Done
) -> dict[str, Any]:
    """Do what a view asks, and return what it shows then.

    - message: `ask` says what is asked:
      task: `id`. Return the task, as `task_details` does.
      act: `id`, `action` and its values, `seen` (what the view shows of the task) and `sure` (whether the
      consequences were agreed to). Return the task, with `told` if something was done.
      acts: the same for `tasks`, each with its `id`, its `seen`, and values of its own if it has any. Return
      `tasks` as they are then, `told` if something was done, and `refused`: a sentence for each that wasn't.
      undo: `id` and `undo`, the number that `told` had. Return as act or acts does.
    - author: who signs comments
    - done: what can be undone, by the number that `told` has as `undo`; this is added

    If the consequences have to be agreed to first, it is `question` and `suggestion` only, and nothing was
    done. If a task has moved on, `refused` says so. Raise what the client raises, and ValueError for an
    unknown action.
    """
    try:
        match message["ask"]:
            case "task":
                return task_details(client, message["id"], data)
            case "acts":
                return _act_on_several(client, message, author, done)
            case "undo" if len(done.get(message["undo"], ())) > 1:
                return _undo_several(client, message["undo"], done)
            case "undo":
                return _undo(client, message["undo"], data, done)
        action = act(client, message["id"], message["action"], message, author)
    except UnconfirmedError as asked:
        return {"question": list(asked.consequences), "suggestion": asked.suggestion}
    except MovedOnError as moved:
        if moved.task is None:
            raise
        return described(client, moved.task, data) | {"refused": moved.reason}
    if action is None:
        return task_details(client, message["id"], data) | {"told": {"done": "The comment is there"}}
    # Why it needed somebody was read before: what is left of that comes with the next reading.
    return described(client, action.after, data) | {"needs": [], "told": _told([action], action.told, done)}


def act(
    client: TinytaskClient, task_id: int, action: str, values: Mapping[str, Any], author: str
) -> Action | None:
    """Perform a supervisor's action on a task, and return it; a comment is none that could be undone.

    - action: a name that `offered` returns
    - values: `seen` and `sure`; `agent` and `comment` to reassign, `comment` to comment, `value` for the rest

    Raise what the client raises, and ValueError for an unknown action.
    """
    seen, sure = values["seen"], bool(values.get("sure"))
    match action:
        case "reassign":
            agent, comment = str(values["agent"]), str(values["comment"])
            return client.reassign(task_id, agent, seen=seen, comment=comment, author=author, sure=sure)
        case "comment":
            client.add_comment(task_id, str(values["comment"]), created_by=author)
            return None
        case "archive" if not sure:
            task = look(client, task_id, seen, action)
            raise UnconfirmedError([*left_behind(client, [task]), _NO_WAY_BACK])
        case "archive":
            return client.archive(task_id, seen=seen, author=author, sure=True)
        case "restore":
            return client.restore(task_id, seen=seen, author=author, sure=sure)
        case "complete" | "set_idle":
            return cast(Action, getattr(client, action)(task_id, seen=seen, sure=sure))
        case "release" | "unblock":
            return cast(Action, getattr(client, action)(task_id, seen=seen))
        case _:
            return client.change(task_id, seen=seen, sure=sure, **_changed(action, values.get("value")))


def _changed(action: str, value: Any) -> dict[str, Any]:
    """Return the fields that an action writes, with what it writes."""
    match action:
        case "complete":
            return {"status": "complete"}
        case "set_idle":
            return {"status": "idle"}
        case "priority":
            return {"priority": int(value)}
        case "wait_for":
            return {"blocked_by_task_id": int(value)}
        case "parent":
            return {"parent_task_id": None if value is None else int(value)}
        case "queue":
            return {"queue_name": str(value) if value else None}
        case "tags":
            return {"tags": list(value)}
        case _:
            raise ValueError(f"unknown action {action!r}")


# Several tasks at once


def _act_on_several(
    client: TinytaskClient, message: Mapping[str, Any], author: str, done: Done
) -> dict[str, Any]:
    """Act task by task, once the consequences for all of them are agreed to.

    What one task refuses stops no other; where the server is away there is no use in going on.
    """
    action, tasks = message["action"], message["tasks"]
    if not message.get("sure"):
        _agreed(client, action, message)
    acted, now, refused = list[Action](), list[Task](), list[str]()
    commented = 0
    for number, one in enumerate(tasks):
        try:
            one_done = act(client, one["id"], action, {**message, **one, "sure": True}, author)
        except MovedOnError as moved:
            refused.append(moved.reason)
            now += [] if moved.task is None else [moved.task]
        except TinytaskConnectionError as away:
            refused.append(f"#{one['id']}: {away}; {_left(tasks[number + 1 :])}")
            break
        except (TinytaskAPIError, UsageError) as error:
            refused.append(_about(one["id"], refusal(error)))
        else:
            commented += one_done is None
            acted += [] if one_done is None else [one_done]
    answer = _results([*now, *(one.after for one in acted)], refused)
    if acted:
        words = f"{_count(len(acted), len(tasks))} {_WORDS.get(action, action)}"
        return answer | {"told": _told(acted, f"{words}: {numbers(one.before.id for one in acted)}", done)}
    return answer | ({"told": {"done": f"The comment is there at {commented} tasks"}} if commented else {})


def _agreed(client: TinytaskClient, action: str, message: Mapping[str, Any]) -> None:
    """Raise UnconfirmedError if doing this to all of the tasks has consequences."""
    if action == "reassign":
        check_agent(client, str(message["agent"]))
    if action not in _CONSEQUENTIAL:
        return
    tasks = [task for one in message["tasks"] if (task := _as_seen(client, one, action))]
    if action == "archive":
        said = [*left_behind(client, tasks)]
    else:
        said = consequences(client, tasks, _changed(action, message.get("value")))
    if len(said) > _MOST_SENTENCES:
        said[_MOST_SENTENCES:] = [f"{len(said) - _MOST_SENTENCES} more like these"]
    if action == "archive" and tasks:
        said.append(f"{len(tasks)} tasks would be archived. {_NO_WAY_BACK_FOR_MANY}")
    if said:
        raise UnconfirmedError(said)


def _as_seen(client: TinytaskClient, one: Mapping[str, Any], action: str) -> Task | None:
    try:
        return look(client, one["id"], one["seen"], action)
    except TinytaskAPIError:  # Which is said when it is acted on.
        return None


def _undo(client: TinytaskClient, number: int, data: Workload, done: Done) -> dict[str, Any]:
    [undoing] = done[number]
    undone = client.undo(undoing)
    del done[number]
    shown = undone.after if undone.name != "archive" else client.get_task(undoing.before.id)
    return described(client, shown, data) | {"told": {"done": undone.told, "warning": undone.warning}}


def _undo_several(client: TinytaskClient, number: int, done: Done) -> dict[str, Any]:
    """Undo what was done to several tasks; what could not be undone can be tried again."""
    left, undone, refused = list[Action](), list[Action](), list[str]()
    for action in sorted(done[number], key=partial(_above, done[number]), reverse=True):
        try:
            undone.append(client.undo(action))
        except (TinytaskClientError, UsageError) as error:
            left.append(action)
            refused.append(_about(action.after.id, refusal(error)))
    done[number] = tuple(left)
    if not left:
        del done[number]
    answer = _results([one.after for one in undone], refused)
    if not undone:
        return answer
    words = f"Undone for {numbers(one.before.id for one in undone)}"
    if copies := [one.after.id for one in undone if one.name == "restore"]:
        words = f"{_count(len(copies), len(undone) + len(left))} restored, as {numbers(copies)}"
    warnings = "; ".join(one.warning for one in undone if one.warning)
    return answer | {"told": {"done": words, "warning": warnings}}


def _above(actions: Sequence[Action], action: Action) -> int:
    """Return how many of the tasks a task waits for or is a part of, one after the other.

    Those come back last, as a restored task takes along what is open and hangs on it.
    """
    before = {one.before.id: one.before for one in actions}
    over, reached = [action.before.id], set[int]()
    while over:
        task = before.get(over.pop())
        if task is not None and task.id not in reached:
            reached.add(task.id)
            over += [one for one in (task.blocked_by_task_id, task.parent_task_id) if one is not None]
    return len(reached)


def _results(tasks: Sequence[Task], refused: list[str]) -> dict[str, Any]:
    shown: list[dict[str, Any]] = orjson.loads(orjson.dumps(tasks))
    return {"tasks": shown, "refused": refused}


def _about(task_id: int, words: str) -> str:
    return words if f"#{task_id}" in words else f"#{task_id}: {words}"


def _left(tasks: Sequence[Mapping[str, Any]]) -> str:
    return f"nothing was done to {numbers(one['id'] for one in tasks)}" if tasks else "that was the last one"


def _count(some: int, all_of_them: int) -> str:
    of = "" if some == all_of_them else f" of {all_of_them}"
    return f"{some}{of} task{'s' * (all_of_them != 1)}"


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
    columns = [before.tasks[name] for name in ("id", *COUNTED)]
    runs = {task: details.run_notes for task, details in fresh.items()}
    known = {task: Details(*counted) for task, *counted in zip(*columns, strict=True)} | dict(fresh)
    return replace(
        data,
        tasks=with_counts(data.tasks, known),
        all_tasks=with_counts(data.all_tasks, known),
        details=True,
        run_notes={**(before.run_notes or {}), **runs},
    )


def _told(actions: Sequence[Action], words: str, done: Done) -> dict[str, Any]:
    number = max(done, default=0) + 1
    done[number] = tuple(actions)
    if len(done) > _MOST_UNDOABLE:
        del done[min(done)]
    how = "Undo" if actions[0].name != "archive" else "Restore it as a copy"
    if len(actions) > 1 and actions[0].name == "archive":
        how = "Restore them as copies"
    warning = "; ".join(action.warning for action in actions if action.warning)
    return {"done": words, "warning": warning, "undo": number, "how": how}


def _needs(task_id: int, can: Sequence[str], data: Workload) -> list[dict[str, Any]]:
    concerns = data.needs["tasks"].map(lambda tasks: task_id in tasks).astype(bool)
    needs = plain_records(data.needs[concerns][["urgency", "reason", "evidence", "to_do"]])
    for need in needs:
        need["cures"] = [name for name in CURES[need["reason"]] if name in can or name in _ELSEWHERE]
    return needs


def _named(task_id: int | None, data: Workload) -> dict[str, Any] | None:
    if task_id is None:
        return None
    known = _mentions(data.all_tasks[data.all_tasks["id"] == task_id])
    return next(iter(known), {"id": task_id, "title": None, "status": None})


def _mentions(tasks: pd.DataFrame) -> list[dict[str, Any]]:
    status = tasks["status"].where(tasks["archived_at"].isna(), tasks["status"] + ", archived")
    return plain_records(tasks[["id", "title"]].assign(status=status))
