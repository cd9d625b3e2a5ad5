"""One object per record of the wire: a task, a comment, a link …, validated where it comes in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from dataclasses import fields
from datetime import UTC, datetime
from html import escape
from textwrap import shorten
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BeforeValidator, ConfigDict, PlainValidator
from pydantic.dataclasses import dataclass

Status = Literal["idle", "working", "complete"]
Outcome = Literal["claimed", "taken", "other_agent", "blocked", "complete", "archived", "unknown"]


def _moment(text: Any) -> datetime | None:
    if text is None or isinstance(text, datetime):
        return text
    if not isinstance(text, str):
        raise ValueError("a time must be text")
    # A time without a zone is UTC too: TinyTask v1 leaves the zone out.
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


Moment: TypeAlias = Annotated[datetime | None, PlainValidator(_moment)]
# TinyTask takes any number for a priority.
Priority: TypeAlias = Annotated[
    int | float | None, BeforeValidator(lambda n: int(n) if isinstance(n, float) and n.is_integer() else n)
]
Tags: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(lambda tags: () if tags is None else tags)]


class _Record:
    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Make the object from a server's JSON object; what that lacks is None, other fields are ignored.

        Raise pydantic's ValidationError if the JSON object is not such a record.
        """
        return cls(**record)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left;vertical-align:top'>{escape(field.name)}</th>"
            "<td style='text-align:left;white-space:pre-wrap' dir='auto'>"
            f"{_html(getattr(self, field.name))}</td></tr>"
            for field in fields(self)  # type: ignore[arg-type]
        )
        return f"<table>{rows}</table>"


def _html(value: Any) -> str:
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, _Record):
        return value._repr_html_()
    if isinstance(value, tuple):
        return (", " if all(isinstance(part, str) for part in value) else "").join(map(_html, value))
    return escape(str(value))


def _quoted(text: str) -> str:
    # The repr of a text shows control characters and never obeys them.
    return repr(shorten(text, 60, placeholder="…"))


# TinyTask keeps text as it came, so that a name of digits alone may arrive as a number.
_LENIENT = ConfigDict(coerce_numbers_to_str=True)


@dataclass(frozen=True, repr=False, kw_only=True, config=_LENIENT)
class Comment(_Record):
    """A comment on a task; times are aware datetimes in UTC, None is unknown."""

    id: int
    task_id: int
    content: str
    created_by: str | None = None
    created_at: Moment = None
    updated_at: Moment = None

    def __repr__(self) -> str:
        by = f" by {_quoted(self.created_by)}" if self.created_by else ""
        return f"<Comment {self.id} on task {self.task_id}{by}: {_quoted(self.content)}>"


@dataclass(frozen=True, repr=False, kw_only=True, config=_LENIENT)
class Link(_Record):
    """A link from a task to an artifact; `url` is free text, not always a URL."""

    id: int
    task_id: int
    url: str
    description: str | None = None
    created_by: str | None = None
    created_at: Moment = None

    def __repr__(self) -> str:
        return f"<Link {self.id} of task {self.task_id}: {_quoted(self.url)}>"


@dataclass(frozen=True, repr=False, kw_only=True, config=_LENIENT)
class Task(_Record):
    """One task as its server reports it; times are aware datetimes in UTC, None is unknown or absent.

    `comments`, `links` and `subtasks` are None if the call that returned the task doesn't report them.
    """

    id: int
    title: str
    description: str | None = None
    status: str
    assigned_to: str | None = None
    previous_assigned_to: str | None = None
    created_by: str | None = None
    priority: Priority = None
    tags: Tags = ()
    parent_task_id: int | None = None
    queue_name: str | None = None
    blocked_by_task_id: int | None = None
    is_currently_blocked: bool | None = None
    created_at: Moment = None
    updated_at: Moment = None
    archived_at: Moment = None
    comments: tuple[Comment, ...] | None = None
    links: tuple[Link, ...] | None = None
    subtasks: tuple[Task, ...] | None = None

    @property
    def task_id(self) -> str:
        """The task's number as text, as earlier clients have it; every call takes either."""
        return str(self.id)

    @property
    def agent(self) -> str | None:
        """Who has the task: another name for `assigned_to`."""
        return self.assigned_to

    def __repr__(self) -> str:
        parts = [self.status, self._assignment(), f"priority {self.priority}"]
        if self.is_currently_blocked:
            parts.append(f"blocked by task {self.blocked_by_task_id}")
        for name in ("comments", "links", "subtasks"):
            if several := getattr(self, name):
                parts.append(f"{name} {len(several)}")
        if self.archived_at is not None:
            parts.append("archived")
        return f"<Task {self.id} {_quoted(self.title)}: {', '.join(parts)}>"

    def _assignment(self) -> str:
        return f"assigned to {_quoted(self.assigned_to)}" if self.assigned_to else "unassigned"


@dataclass(frozen=True, repr=False)
class Handoff(_Record):
    """A task that was moved to another agent, and the comment that went with it.

    `comment` is None if the server (a TinyTask v1) reports it among `task.comments` only.
    """

    task: Task
    comment: Comment | None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Make it from the response to `move_task`: a task and a comment, or the task alone."""
        return cls(**record) if "task" in record else cls(Task(**record), None)

    def __repr__(self) -> str:
        return f"<Handoff {self.task!r}, {self.comment!r}>"


@dataclass(frozen=True, kw_only=True)
class QueueStats(_Record):
    """How many tasks a queue holds, not counting archived ones; `agents` are those with at least one."""

    queue_name: str
    total_tasks: int
    idle: int
    working: int
    complete: int
    assigned: int
    unassigned: int
    agents: tuple[str, ...]

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Make it from the response to `get_queue_stats`, which nests the counts by status."""
        by_status = record.get("by_status")
        return cls(**(dict(record) | by_status)) if isinstance(by_status, dict) else cls(**record)


@plain_dataclass(frozen=True, repr=False)
class Claim(_Record):
    """The outcome of an attempt to claim a task; true if the agent has it now.

    - outcome: `claimed`, or why not: `taken` (it is being worked on), `other_agent` (it is assigned to
      another), `blocked`, `complete`, `archived` or `unknown` (there is no such task)
    - task: the task as it was last seen, None if it is unknown
    """

    outcome: Outcome
    task_id: int
    agent: str
    task: Task | None

    def __bool__(self) -> bool:
        return self.outcome == "claimed"

    def __repr__(self) -> str:
        return f"<Claim {self.outcome}: {self._sentence()}>"

    def _sentence(self) -> str:
        if self.task is None:
            return f"there is no task {self.task_id}"
        rest = {
            "claimed": f"is {_quoted(self.agent)}'s and working",
            "taken": f"is {self.task.status}, {self.task._assignment()}",
            "other_agent": f"is {self.task._assignment()}, not to {_quoted(self.agent)}",
            "blocked": f"is blocked by task {self.task.blocked_by_task_id}",
        }
        return f"task {self.task_id} {rest.get(self.outcome, f'is {self.outcome}')}"
