"""Act on a task as it was seen: refuse if it has moved on, name what the action would do, and undo it.

TinyTask compares before it writes in `move_task` alone. Everything else is a look, a write and a second
look: what somebody else writes between the first look and the write is overwritten if it is the same field.
The second look finds other fields that changed, and whom the task was taken from: the action's `warning`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd

from calypso_nb.client.calls import closest, text
from calypso_nb.client.claims import find_task
from calypso_nb.client.file import FileSource
from calypso_nb.errors import (
    MovedOnError,
    TinytaskAPIError,
    TinytaskClientError,
    TinytaskConnectionError,
    UnconfirmedError,
    UsageError,
)
from calypso_nb.records import Task

if TYPE_CHECKING:
    from calypso_nb.client.client import TinytaskClient

Seen: TypeAlias = "Task | Mapping[str, Any] | pd.Series"

# What every `seen` tells, and what a whole task tells besides.
_SEEN = ("assigned_to", "status", "updated_at")
EDITABLE = {
    "status": "status",
    "assigned_to": "agent",
    "priority": "priority",
    "tags": "tags",
    "queue_name": "queue",
    "parent_task_id": "parent",
    "blocked_by_task_id": "task that it waits for",
}

_MOST_NAMED = 8
_LONGEST_NAME = 60


@dataclass(frozen=True, repr=False)
class Action:
    """What an action did to a task; `client.undo(action)` restores what was before.

    - before, after: the task as it was found just before and just after
    - author: who acted
    - wrote: the fields that it wrote, which are those that undo restores
    - warning: what somebody else changed at the same moment, empty if nothing is known of that
    - also: what was done to other tasks with it
    """

    name: str
    before: Task
    after: Task
    author: str
    wrote: tuple[str, ...] = ()
    warning: str = ""
    also: tuple[Action, ...] = ()

    @property
    def told(self) -> str:
        """What was done, in words."""
        if self.before.id != self.after.id:
            words = [f"#{self.after.id} is a copy of #{self.before.id}, which stays archived"]
        else:
            changed = ", ".join(_changes(_fields(self.before), _fields(self.after)))
            words = [
                f"#{self.after.id}: {changed}" if changed else f"#{self.after.id} is {_state(self.after)}"
            ]
        if self.also:
            words.append(f"{numbers(one.after.id for one in self.also)} changed with it")
        return "; ".join(words)

    def __repr__(self) -> str:
        return f"<Action {self.name}: {self.told}{f'; but {self.warning}' if self.warning else ''}>"


def can_act(client: TinytaskClient) -> bool:
    """Return whether anything can be done to tasks at all: a database file is only read."""
    return not isinstance(client._calls.source, FileSource)


def offered(client: TinytaskClient, task: Task) -> list[str]:
    """Return the names of the actions on a task that its server does not refuse in any case.

    `browser/src/actions.js` says the same of a row; a test compares.
    """
    if not can_act(client):
        return []
    if task.archived_at is not None:
        return ["restore", "comment"]
    is_open = task.status != "complete"
    has_blocking = task.is_currently_blocked is not None  # A TinyTask v1 has no queues and no parents either.
    possible = {
        "reassign": is_open,
        "release": is_open and bool(task.assigned_to),
        "set_idle": task.status != "idle",
        "unblock": is_open and has_blocking and task.blocked_by_task_id is not None,
        "complete": is_open,
        "archive": True,
        "priority": True,
        "wait_for": is_open and has_blocking,
        "queue": has_blocking,
        "parent": has_blocking,
        "tags": bool(task.tags),
        "comment": True,
    }
    return [name for name, can in possible.items() if can]


def reassign(
    client: TinytaskClient, task_id: int, to: str, seen: Seen, comment: str, author: str, sure: bool
) -> Action:
    """Hand a task on, or assign one that is unassigned: see `TinytaskClient.reassign`."""
    if not isinstance(to, str) or not to.strip():
        raise UsageError("name an agent to assign the task to; release() makes it unassigned")
    text("reassign: comment", comment)
    before = look(client, task_id, seen, "reassign")
    if before.archived_at is not None or before.status == "complete":
        raise UsageError(f"#{task_id} is {_state(before)}, and TinyTask hands on open tasks only")
    if before.assigned_to == to:
        raise UsageError(f"{named(to)} has #{task_id} already")
    if not sure:
        check_agent(client, to)
    _hand_on(client, before, to, seen, f"handed on by {author}", "reassign")
    if comment.strip():
        try:
            client.add_comment(task_id, comment, created_by=author)
        except TinytaskClientError as error:
            message = f"#{task_id} is {named(to)}'s now, but the comment is not there for certain: {error}"
            raise TinytaskConnectionError(message, outcome_unknown=True) from error
    idle = {"status": "idle"} if before.assigned_to else {}
    return _finished(client, "reassign", before, {"assigned_to": to, **idle}, author)


def change(
    client: TinytaskClient,
    name: str,
    task_id: int,
    seen: Seen,
    fields: Mapping[str, Any],
    *,
    author: str = "supervisor",
    sure: bool = False,
) -> Action:
    """Change fields of a task that is as it was seen, after what that would do is agreed to."""
    before = look(client, task_id, seen, name)
    _check_agreed(sure, _consequences(_Others(client), before, fields))
    _write(client, before, fields)
    return _finished(client, name, before, fields, author)


def release(client: TinytaskClient, task_id: int, seen: Seen) -> Action:
    """Make a task unassigned, and idle if somebody works on it."""
    status = _facts(seen)["status"]
    if status == "complete":
        raise UsageError(f"#{task_id} is complete: there is nothing left to release")
    idle = {"status": "idle"} if status == "working" else {}
    return change(client, "release", task_id, seen, {"assigned_to": None, **idle})


def archive(client: TinytaskClient, task_id: int, seen: Seen, sure: bool, author: str) -> Action:
    """Archive a task that is as it was seen: see `TinytaskClient.archive`."""
    before = look(client, task_id, seen, "archive")
    if before.archived_at is not None:
        raise UsageError(f"#{task_id} is archived already")
    _check_agreed(sure, left_behind(client, [before]))
    client.archive_task(task_id)
    return _finished(client, "archive", before, {}, author)


def restore(client: TinytaskClient, task_id: int, seen: Seen, author: str, sure: bool) -> Action:
    """Make a copy of an archived task, and let what hangs on the old one hang on it.

    See `TinytaskClient.restore`.
    """
    before = look(client, task_id, seen, "restore")
    if before.archived_at is None:
        raise UsageError(f"#{task_id} is not archived")
    if (number := _restored_as(client, before)) is not None:
        raise UsageError(f"#{task_id} is restored already, as #{number}")
    links = {"parent_task_id": before.parent_task_id, "blocked_by_task_id": before.blocked_by_task_id}
    _check_agreed(sure or before.status == "complete", _consequences(_Others(client), before, links))
    hanging: dict[int, list[str]] = {}
    records = {record["id"]: record for record in client.list_task_records()}
    for name in ("blocked_by_task_id", "parent_task_id"):
        for record in _open(records.values(), **{name: task_id}):
            hanging.setdefault(record["id"], []).append(name)
    given = ("description", "assigned_to", "parent_task_id", "queue_name", "blocked_by_task_id")
    copy = client.create_task(
        before.title,
        created_by=author,
        priority=before.priority or 0,
        tags=before.tags,
        **{name: value for name in given if (value := getattr(before, name))},
    )
    also: list[Action] = []
    try:
        if before.status == "complete":
            client.complete_task(copy.id)
        remark = f"restored from #{task_id}, which stays archived with its comments and links"
        client.add_comment(copy.id, remark, created_by=author)
        client.add_comment(task_id, f"restored as #{copy.id}", created_by=author)
        for one, names in hanging.items():
            fields = dict.fromkeys(names, copy.id)
            also.append(change(client, "restore", one, records[one], fields, author=author, sure=True))
        after = client.get_task(copy.id)
    except TinytaskClientError as error:
        message = f"#{task_id} is restored as #{copy.id}, but not all that hung on it has followed: {error}"
        raise TinytaskConnectionError(message, outcome_unknown=True) from error
    return Action("restore", before, after, author, also=tuple(also))


def _restored_as(client: TinytaskClient, task: Task) -> int | None:
    """Return the number of the copy that an archived task has, unless that is gone or archived too."""
    for comment in task.comments or ():
        if told := _RESTORED_AS.fullmatch(comment.content):
            copy = find_task(client, int(told[1]))
            if copy is not None and copy.archived_at is None and copy.title == task.title:
                return copy.id
    return None


_RESTORED_AS = re.compile("restored as #([0-9]{1,18})")


def undo(client: TinytaskClient, action: Action) -> Action:
    """Restore what was before an action, if nobody has changed it since: see `TinytaskClient.undo`."""
    if not isinstance(action, Action):
        raise UsageError(f"undo takes what an action returned, client.release(…) for one, not {action!r:.60}")
    for done in (action, *action.also):
        look(client, done.after.id, done.after, "undo")
    before, now, author = action.before, action.after, action.author
    if before.archived_at is None and now.archived_at is not None:
        return restore(client, now.id, now, author, sure=True)
    if before.id != now.id:
        for done in reversed(action.also):
            undo(client, done)
        return archive(client, now.id, client.get_task(now.id), True, author)
    was, is_now = _fields(before), _fields(now)
    wanted = {name: was[name] for name in action.wrote if was[name] != is_now[name]}
    left = dict(wanted)
    if now.assigned_to and before.assigned_to and "assigned_to" in left and now.status != "complete":
        _hand_on(client, now, left.pop("assigned_to"), now, f"taken back by {author}", "undo")
        left |= {"status": before.status}
        if before.status == "idle":  # As TinyTask leaves a task that was handed on.
            del left["status"]
    _write(client, now, left)
    return _finished(client, "undo", now, wanted, author)


# Looking


def look(client: TinytaskClient, task_id: int, seen: Seen, action: str) -> Task:
    """Return the task as it is now; raise MovedOnError unless it is as it was seen."""
    then = _facts(seen)
    if then.pop("id") != task_id:
        raise UsageError(f"seen is another task than #{task_id}")
    task = find_task(client, task_id)
    if words := _moved(then, task):
        raise MovedOnError(action, f"#{task_id} has moved on: {words}; look again", task)
    assert task is not None
    return task


def _facts(seen: Seen) -> dict[str, Any]:
    """Return what was seen of a task: times as Timestamps, what is unknown and nobody as None."""

    def value(name: str) -> Any:
        found = seen[name] if isinstance(seen, Mapping) else getattr(seen, name)
        if found is None or found == "" or pd.isna(found):
            return None
        return _timestamp(found) if name.endswith("_at") else found

    try:
        facts = {name: value(name) for name in ("id", *_SEEN)}
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        what = str(error) if isinstance(seen, Mapping | pd.Series) else f"not {type(seen).__name__}"
        if isinstance(error, KeyError):
            what = f"{error} is missing"
        message = f"seen is a Task, or a row of a frame with id, {', '.join(_SEEN)}: {what}"
        raise UsageError(message) from error
    if isinstance(seen, Task):
        facts |= _fields(seen)
    known = "archived_at" in seen if isinstance(seen, Mapping) else hasattr(seen, "archived_at")
    return facts | {"archived_at": value("archived_at") if known else None}


def _timestamp(time: Any) -> pd.Timestamp:
    moment = pd.Timestamp(time)
    return moment.tz_localize("UTC") if moment.tz is None else moment.tz_convert("UTC")


def _fields(task: Task) -> dict[str, Any]:
    # Some servers keep '' for a task that is unassigned.
    return {name: getattr(task, name) for name in EDITABLE} | {"assigned_to": task.assigned_to or None}


def _moved(then: Mapping[str, Any], task: Task | None) -> str:
    """Return in words what has become of a task since it was seen, nothing if it is the same."""
    if task is None:
        return "it is no longer there"
    now = _facts(task)
    clock = _clock(now["updated_at"], then["updated_at"])
    words = []
    if then["archived_at"] != now["archived_at"]:
        at = _clock(now["archived_at"], then["updated_at"])
        words.append(f"it was archived at {at}" if at else "it is no longer archived")
    if then["assigned_to"] != now["assigned_to"]:
        holder = f"{named(now['assigned_to'])} has it" if now["assigned_to"] else "it is unassigned"
        words.append(f"{holder} since {clock} at the latest (you saw {named(then['assigned_to'])})")
    if then["status"] != now["status"]:
        words.append(f"it is {now['status']} since {clock} at the latest (you saw {then['status']})")
    if not words and (others := _changes(then, now)):
        words.append(f"{', '.join(others)} since {clock} at the latest")
    if not words and then["updated_at"] not in (None, now["updated_at"]):
        at = _clock(now["updated_at"], then["updated_at"], "%H:%M:%S")
        saw = _clock(then["updated_at"], now["updated_at"], "%H:%M:%S")
        words.append(f"it was edited at {at} (you saw it as of {saw})")
    return " and ".join(words)


def _clock(time: pd.Timestamp | None, other: pd.Timestamp | None, form: str = "%H:%M") -> str:
    """Return a time of day in UTC, with the day if the other time is not of the same day."""
    if time is None:
        return ""
    day = "" if other is not None and time.date() == other.date() else f"{time:%Y-%m-%d} "
    return f"{day}{time:{form}} UTC"


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return what changed in the fields that both have: `priority 3 → 9`."""
    return [
        _waits(before[name], after[name])
        if name == "blocked_by_task_id"
        else f"{word} {_shown(name, before[name])} → {_shown(name, after[name])}"
        for name, word in EDITABLE.items()
        if name in before and name in after and before[name] != after[name]
    ]


def _waits(before: int | None, after: int | None) -> str:
    return f"no longer waits for #{before}" if after is None else f"waits for #{after}"


def _shown(name: str, value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(named, value)) or "none"
    if isinstance(value, str) or name == "assigned_to":
        return named(value)
    return "none" if value is None else str(value)


def named(name: str | None) -> str:
    """Return an agent's name as it stands in a sentence: short, and with nothing in it that is invisible."""
    if name is None:
        return "nobody"
    text = _short(name)
    return text if text.isprintable() and text.strip() == text else repr(text)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def numbers(task_ids: Iterable[int]) -> str:
    """Return tasks as they stand in a sentence: `#4, #7 and #9`."""
    ids = [f"#{task_id}" for task_id in task_ids]
    if len(ids) > _MOST_NAMED:
        ids[_MOST_NAMED - 1 :] = [f"{len(ids) - _MOST_NAMED + 1} more"]
    return " and ".join([part for part in (", ".join(ids[:-1]), ids[-1]) if part])


def _state(task: Task) -> str:
    return "archived" if task.archived_at is not None else task.status


# Writing


def _hand_on(client: TinytaskClient, task: Task, to: str, seen: Seen, remark: str, action: str) -> None:
    """Give a task to another agent, with TinyTask's comparison if it is another's now."""
    if not task.assigned_to:
        client.update_task(task.id, assigned_to=to)
        return
    try:
        # TinyTask signs this comment with the agent that had the task: so it says who wrote it, and no more.
        client.move_task(task.id, task.assigned_to, to, remark)
    except TinytaskAPIError:
        look(client, task.id, seen, action)  # Only if it has moved on since the first look.
        raise


def _write(client: TinytaskClient, before: Task, fields: Mapping[str, Any]) -> None:
    """Write fields with up to three tools; if a later one fails, say what is written already."""
    rest = dict(fields)
    written: list[str] = []
    try:
        if "parent_task_id" in rest:
            client.move_subtask(before.id, rest.pop("parent_task_id"))
            written.append("its parent")
        if "queue_name" in rest:
            queue = rest.pop("queue_name")
            if queue is None:
                client.remove_task_from_queue(before.id)
            else:
                client.add_task_to_queue(before.id, queue)
            written.append("its queue")
        if "assigned_to" in rest:
            # TinyTask's word for unassigned is an empty text; null is an error.
            rest["assigned_to"] = rest["assigned_to"] or ""
        if rest:
            client.update_task(before.id, **rest)
    except TinytaskClientError as error:
        if not written:
            raise
        message = f"#{before.id}: {' and '.join(written)} changed, and not the rest: {error}"
        raise TinytaskConnectionError(message, outcome_unknown=True) from error


def _finished(
    client: TinytaskClient, name: str, before: Task, fields: Mapping[str, Any], author: str
) -> Action:
    """Look again, and return what was done with what others did meanwhile."""
    try:
        after = find_task(client, before.id)
    except TinytaskClientError as error:
        message = f"{name} of #{before.id} was carried out, but how the task is now is unknown: {error}"
        raise TinytaskConnectionError(message, outcome_unknown=True) from error
    if after is None:
        raise MovedOnError(name, f"#{before.id} was deleted at the same moment", None)
    others = _changes({**_fields(before), **fields}, _fields(after))
    known = (None, before.assigned_to, before.previous_assigned_to, after.assigned_to)
    if "assigned_to" in fields and after.previous_assigned_to not in known:
        others.append(f"it was {named(after.previous_assigned_to)}'s in between")
    warning = f"somebody else changed it at the same moment: {', '.join(others)}" if others else ""
    return Action(name, before, after, author, tuple(fields), warning)


# What an action would do besides


def _check_agreed(sure: bool, consequences: Iterable[str]) -> None:
    """Raise UnconfirmedError if there are consequences that nobody has agreed to."""
    if not sure and (unconfirmed := list(consequences)):
        raise UnconfirmedError(unconfirmed)


def check_agent(client: TinytaskClient, to: str) -> None:
    """Raise UnconfirmedError if no task has ever been an agent's."""
    if client.list_task_records(assigned_to=to, include_archived=True, limit=1):
        return
    records = client.list_task_records(include_archived=True)
    had = {record.get(name) for record in records for name in ("assigned_to", "previous_assigned_to")}
    agents = {agent for agent in had if isinstance(agent, str) and agent}
    if to in agents:
        return
    like = closest(to, agents)
    question = f"; did you mean {like!r}?" if like else ""
    raise UnconfirmedError([f"no agent called {_short(to)!r} has ever had a task here{question}"], like)


class _Others:
    """What a server lists beside a task, asked once however many consequences there are."""

    def __init__(self, client: TinytaskClient) -> None:
        self.client = client

    @cached_property
    def current(self) -> list[dict[str, Any]]:
        return self.client.list_task_records()

    @cached_property
    def all(self) -> dict[int, dict[str, Any]]:
        records = self.client.list_task_records(include_archived=True)
        return {record["id"]: record for record in records}


def consequences(client: TinytaskClient, tasks: Sequence[Task], fields: Mapping[str, Any]) -> list[str]:
    """Say what one change of several tasks would do that the attention list would then report."""
    others, changed = _Others(client), {task.id for task in tasks}
    return [said for task in tasks for said in _consequences(others, task, fields, changed)]


def left_behind(client: TinytaskClient, tasks: Sequence[Task]) -> Iterable[str]:
    """Say what would happen to others if some tasks were archived."""
    records, gone = client.list_task_records(), {task.id for task in tasks}
    for task in tasks:
        waiting = [one["id"] for one in _open(records, blocked_by_task_id=task.id)]
        if task.status != "complete" and (waiting := [one for one in waiting if one not in gone]):
            yield f"{numbers(waiting)} would never end, waiting for #{task.id}, archived and unfinished"
        if parts := [part for part in _open_below(records, task.id) if part not in gone]:
            yield f"{numbers(parts)} would stay open under an archived parent"


def _consequences(
    others: _Others, task: Task, fields: Mapping[str, Any], changed: Set[int] = frozenset()
) -> Iterable[str]:
    """Say what a change of fields would do that the attention list would then report.

    - changed: the tasks that are changed in the same way
    """
    completes = fields.get("status") == "complete" and task.is_currently_blocked is not None
    parts = _open_below(others.current, task.id) if completes else []
    if parts := [part for part in parts if part not in changed]:
        yield f"{numbers(parts)} would stay open under a parent that is complete"
    if (blocker := fields.get("blocked_by_task_id")) is not None:
        yield from _waiting(others, task, blocker)
    opened = task.status == "complete" and fields.get("status") not in (None, "complete")
    if (parent := fields.get("parent_task_id", task.parent_task_id if opened else None)) is not None:
        above = find_task(others.client, parent)
        if above is not None and _state(above) in ("complete", "archived"):
            yield f"#{task.id} would be under a parent that is {_state(above)}"


def _waiting(others: _Others, task: Task, blocker: int) -> Iterable[str]:
    task_id, records = task.id, others.all
    chain = [task_id]
    following: int | None = blocker
    while following is not None and following not in chain:
        chain.append(following)
        one = records.get(following, {})
        following = one.get("blocked_by_task_id") if one.get("is_currently_blocked") else None
    first = records.get(blocker, {})
    if following == task_id:
        yield f"#{task_id} would wait for itself: {' → '.join(f'#{one}' for one in [*chain, task_id])}"
    # The copy of an archived task only goes on waiting for nothing.
    if first.get("status") == "complete" and task.archived_at is None:
        yield f"#{blocker} is complete, so #{task_id} would wait for nothing"
    elif first.get("archived_at") is not None:
        yield f"#{task_id} would never end: #{blocker} is archived and unfinished"


def _open_below(records: Iterable[Mapping[str, Any]], task_id: int) -> list[int]:
    """Return the open parts of a task, and those of its parts, that are not archived."""
    parts: dict[int | None, list[Mapping[str, Any]]] = {}
    for record in records:
        parts.setdefault(record.get("parent_task_id"), []).append(record)
    found, above = list[int](), [task_id]
    while above:
        below = parts.pop(above.pop(0), [])
        above += [part["id"] for part in below]
        found += [part["id"] for part in below if part["status"] != "complete"]
    return found


def _open(records: Iterable[Mapping[str, Any]], **wanted: int) -> list[Mapping[str, Any]]:
    [(name, value)] = wanted.items()
    return [
        record
        for record in records
        if record.get(name) == value and record["status"] != "complete" and record.get("archived_at") is None
    ]
