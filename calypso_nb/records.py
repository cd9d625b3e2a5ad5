"""What goes over the wire: a task, a comment, a link … as an object, and the words that calls take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from html import escape
from textwrap import shorten
from typing import Any, ClassVar, Literal, Self, TypedDict

__all__ = [
    "Claim",
    "Comment",
    "Handoff",
    "Link",
    "Outcome",
    "QueueFilters",
    "QueueStats",
    "Status",
    "Task",
    "TaskChanges",
    "TaskFilters",
]

Status = Literal["idle", "working", "complete"]


Outcome = Literal["claimed", "taken", "other_agent", "blocked", "complete", "archived", "unknown"]


class QueueFilters(TypedDict, total=False):
    """What `get_queue_tasks` can narrow by; all that is given must hold."""

    status: Status | Sequence[Status]
    exclude_status: Sequence[Status]
    assigned_to: str
    parent_task_id: int
    exclude_subtasks: bool
    include_archived: bool
    limit: int
    offset: int


class TaskFilters(QueueFilters, total=False):
    """What `list_tasks` can narrow by; all that is given must hold."""

    queue_name: str


class TaskChanges(TypedDict, total=False):
    """The fields of a task that `update_task` can change."""

    title: str
    description: str
    status: Status
    assigned_to: str
    priority: int
    tags: Sequence[str]
    parent_task_id: int
    queue_name: str
    blocked_by_task_id: int | None


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    # A time without a zone marker is UTC too: the first generation of TinyTask leaves the marker out.
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class _Record:
    needs: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Make it from a JSON object of the wire; what that lacks is None, what is unknown is left out.

        Raises ValueError or TypeError where it is no such object.
        """
        if missing := [name for name in cls.needs if record.get(name) is None]:
            raise ValueError(f"a {cls.__name__.lower()} without {', '.join(missing)}")
        values = {field.name: record.get(field.name) for field in fields(cls)}  # type: ignore[arg-type]
        for name in values.keys() & {"created_at", "updated_at", "archived_at"}:
            values[name] = _moment(values[name])
        return cls(**values)

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


@dataclass(frozen=True, repr=False)
class Comment(_Record):
    """A comment on a task; times are aware datetimes in UTC, None is unknown.

    Example: `client.get_task(7).comments[0].content`
    """

    needs: ClassVar[tuple[str, ...]] = ("id", "task_id", "content")

    id: int
    task_id: int
    content: str
    created_by: str | None
    created_at: datetime | None
    updated_at: datetime | None

    def __repr__(self) -> str:
        by = f" by {_quoted(self.created_by)}" if self.created_by else ""
        return f"<Comment {self.id} on task {self.task_id}{by}: {_quoted(self.content)}>"


@dataclass(frozen=True, repr=False)
class Link(_Record):
    """A link of a task to an artifact; `url` is free text, not always a URL.

    Example: `client.get_task(7).links[0].url`
    """

    needs: ClassVar[tuple[str, ...]] = ("id", "task_id", "url")

    id: int
    task_id: int
    url: str
    description: str | None
    created_by: str | None
    created_at: datetime | None

    def __repr__(self) -> str:
        return f"<Link {self.id} of task {self.task_id}: {_quoted(self.url)}>"


@dataclass(frozen=True, repr=False)
class Task(_Record):
    """One task as its server tells it; times are aware datetimes in UTC, None is unknown or absent.

    `comments`, `links` and `subtasks` are None where the call that gave the task does not tell them.
    Example: `client.get_task(7).title`
    """

    needs: ClassVar[tuple[str, ...]] = ("id", "title", "status")

    id: int
    title: str
    description: str | None
    status: str
    assigned_to: str | None
    previous_assigned_to: str | None
    created_by: str | None
    priority: int
    tags: tuple[str, ...]
    parent_task_id: int | None
    queue_name: str | None
    blocked_by_task_id: int | None
    is_currently_blocked: bool | None
    created_at: datetime | None
    updated_at: datetime | None
    archived_at: datetime | None
    comments: tuple[Comment, ...] | None = None
    links: tuple[Link, ...] | None = None
    subtasks: tuple[Task, ...] | None = None

    def __repr__(self) -> str:
        who = f"assigned to {_quoted(self.assigned_to)}" if self.assigned_to else "unassigned"
        parts = [self.status, who, f"priority {self.priority}"]
        if self.is_currently_blocked:
            parts.append(f"blocked by task {self.blocked_by_task_id}")
        for name in ("comments", "links", "subtasks"):
            if several := getattr(self, name):
                parts.append(f"{name} {len(several)}")
        if self.archived_at is not None:
            parts.append("archived")
        return f"<Task {self.id} {_quoted(self.title)}: {', '.join(parts)}>"

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Make the task, with its comments, links and subtasks where the record carries them."""
        record = dict(record, tags=tuple(record.get("tags") or ()))
        kinds: tuple[tuple[str, type[_Record]], ...] = (
            ("comments", Comment),
            ("links", Link),
            ("subtasks", Task),
        )
        for name, kind in kinds:
            if record.get(name) is not None:
                record[name] = tuple(kind.from_record(item) for item in record[name])
        return super().from_record(record)


@dataclass(frozen=True, repr=False)
class Handoff(_Record):
    """A task that has been moved to another agent, and the comment that went with it.

    `comment` is None where the server (a TinyTask v1) tells it among `task.comments` only.
    Example: `client.move_task(client.create_task("x", assigned_to="alice").id, "alice", "bob", "go").task`
    """

    task: Task
    comment: Comment | None

    def __repr__(self) -> str:
        return f"<Handoff {self.task!r}, {self.comment!r}>"


@dataclass(frozen=True)
class QueueStats(_Record):
    """How many tasks a queue holds, archived ones not counted; `agents` are those that have some of them.

    Example: `client.get_queue_stats("dev").idle`
    """

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
        """Make it of what `get_queue_stats` answers; raises KeyError where that lacks a number."""
        numbers = {name: record[name] for name in ("queue_name", "total_tasks", "assigned", "unassigned")}
        statuses = {name: record["by_status"][name] for name in ("idle", "working", "complete")}
        return cls(**numbers, **statuses, agents=tuple(record["agents"]))


@dataclass(frozen=True, repr=False)
class Claim(_Record):
    """What came of an attempt to claim a task; true where the agent has it now.

    `outcome` is `claimed`, or why not: `taken` (it is being worked on), `other_agent` (it is assigned to
    another), `blocked`, `complete`, `archived` or `unknown` (there is no such task). `task` is the task as it
    was last seen, None where it is unknown.
    Example: `if not (claim := client.claim_task(7, "alice")): print(claim)`
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
        holder = _quoted(self.task.assigned_to) if self.task.assigned_to else "nobody"
        rest = {
            "claimed": f"is {_quoted(self.agent)}'s and working",
            "taken": f"is {self.task.status}, assigned to {holder}",
            "other_agent": f"is assigned to {holder}, not to {_quoted(self.agent)}",
            "blocked": f"is blocked by task {self.task.blocked_by_task_id}",
        }
        return f"task {self.task_id} {rest.get(self.outcome, f'is {self.outcome}')}"
