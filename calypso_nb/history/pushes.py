"""What a TinyTask v2 pushes to a hub, taken apart; TinyTask's own words for its events stand here only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from calypso_nb.history.changes import Push, Record, is_number, kept, micros, micros_of, record_of

if TYPE_CHECKING:
    from calypso_nb.embedded.database import Change


class Pushed(BaseModel):
    """One event as it comes: what happened, when by the server's clock in milliseconds, and to what."""

    model_config = ConfigDict(extra="ignore")

    type: str
    timestamp: AwareDatetime
    payload: dict[str, Any]

    @property
    def task_id(self) -> int | None:
        """The task that it is about, None if it says of none, or of something else."""
        task_id = self.payload.get("taskId")
        return task_id if is_number(task_id) else None

    @property
    def at(self) -> int:
        """When it happened, in microseconds."""
        return micros_of(self.timestamp)

    @property
    def key(self) -> bytes:
        """What two deliveries of the same event have in common, and no two events."""
        said = orjson.dumps([self.type, self.at, self.payload], option=orjson.OPT_SORT_KEYS)
        return blake2b(said, digest_size=16).digest()


def pushed(event: Any) -> Pushed | None:
    """Return an event that a server sent to a hub, None if it is none."""
    try:
        known = Pushed.model_validate(event)
        if micros(known.timestamp.isoformat()) is None:
            return None
        known.model_dump_json(), known.key, push_of(known)  # What can't be kept is nothing to wait for.
    except (ValidationError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return known


# What each event says of the task's fields from then on, beside whole tasks.
_AFTER: dict[str, Callable[[Mapping[str, Any]], Record]] = {
    "task-status-changed": lambda said: {"status": said["after"]},
    "task-assigned": lambda said: {"assigned_to": said["after"], "previous_assigned_to": said["before"]},
    "task-queue-changed": lambda said: {"queue_name": said["after"]},
    "task-added-to-queue": lambda said: {"queue_name": said["queueName"]},
    "task-removed-from-queue": lambda said: {"queue_name": None},
    "task-signed-up": lambda said: {"status": "working"},
    "task-transferred": lambda said: {
        "assigned_to": said["to"],
        "previous_assigned_to": said["from"],
        "status": "idle",
    },
}
_BEFORE: dict[str, Callable[[Mapping[str, Any]], Record]] = {
    "task-status-changed": lambda said: {"status": said["before"]},
    "task-assigned": lambda said: {"assigned_to": said["before"]},
    "task-queue-changed": lambda said: {"queue_name": said["before"]},
    "task-transferred": lambda said: {"assigned_to": said["from"]},
}
# Beside what it is about, every event says these of its task.
_STATED = {"status": "status", "assignee": "assigned_to", "cue": "queue_name"}


def push_of(event: Pushed) -> Push:
    """Return what an event says of its task."""
    if event.type == "change":
        return _change(event)
    said = event.payload
    whole = said.get("after") if event.type == "task-updated" else said.get("task")
    before, after = dict[str, Any](), dict[str, Any]()
    kind: Literal["created", "changed", "deleted"] = "changed"
    if _is_task(whole):
        after = record_of(whole)
        if event.type in ("task-created", "subtask-created"):
            kind = "created"
        elif _is_task(old := said.get("before")):
            before = record_of(old)
        else:  # As it is archived, say: all else was so before.
            before = {field: value for field, value in after.items() if field != "archived_at"}
    else:
        try:
            after = _AFTER[event.type](said) if event.type in _AFTER else {}
            before = _BEFORE[event.type](said) if event.type in _BEFORE else {}
        except KeyError:  # Of another version: what it says is left out, and a listing shows it.
            after, before = {}, {}
        stated = {field: said[name] for name, field in _STATED.items() if name in said}
        before = {field: value for field, value in stated.items() if field not in after} | before
        before, after = (
            {field: kept(field, value) for field, value in some.items()} for some in (before, after)
        )
    if event.type == "task-deleted":
        kind, after = "deleted", {}
    return _told(event, before, after, kind, said.get("agent") or said.get("from"))


def _is_task(value: Any) -> TypeGuard[dict[str, Any]]:
    """Return whether it is a whole task, rather than what some other version says of one."""
    return isinstance(value, dict) and micros(value.get("created_at")) is not None


def served(changes: Iterable[Change]) -> Iterator[Pushed]:
    """Return what our own server says of changes, which is all of it, as events."""
    for change in changes:
        verb = "deleted" if change.after is None else "added" if change.before is None else "updated"
        payload = {"taskId": change.id, "before": change.before, "after": change.after, "agent": change.by}
        kind = "change"
        if change.table == "comments":
            comment = change.after or change.before or {}
            payload, kind = {"taskId": comment["task_id"], "comment": comment}, f"comment-{verb}"
        yield Pushed(type=kind, timestamp=change.at, payload=payload)


def _change(event: Pushed) -> Push:
    before, after = event.payload["before"], event.payload["after"]
    was, now = ({} if task is None else record_of(task) for task in (before, after))
    kind: Literal["created", "changed", "deleted"] = "changed"
    if before is None or after is None:
        kind = "created" if before is None else "deleted"
    return _told(event, was, now, kind, event.payload.get("agent"))


def _told(
    event: Pushed, before: Record, after: Record, kind: Literal["created", "changed", "deleted"], by: Any
) -> Push:
    return Push(event.at, event.task_id, before, after, kind, by if isinstance(by, str) else None)


def comment_of(event: Pushed) -> Record | None:
    """Return the comment that an event is about, with `gone` if it was deleted; None if it is about none."""
    if not event.type.startswith("comment-"):
        return None
    comment = event.payload.get("comment")
    number = comment.get("id") if isinstance(comment, dict) else event.payload.get("commentId")
    if not is_number(number) or event.task_id is None:
        return None
    comment = comment if isinstance(comment, dict) else {}
    said = {name: kept("title", comment.get(name)) for name in ("content", "created_by")}
    return {
        **comment,
        **said,
        "id": number,
        "task_id": event.task_id,
        "gone": event.type == "comment-deleted",
    }
