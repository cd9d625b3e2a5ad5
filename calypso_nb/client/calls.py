"""Ask a source, decode its response, and check that it is one that a TinyTask gives."""

import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from difflib import get_close_matches
from numbers import Real
from operator import itemgetter
from typing import Any, NamedTuple, Protocol, Self, TypeAlias, TypeVar

import orjson
import pandas as pd
from pydantic import ValidationError

from calypso_nb.errors import TinytaskConnectionError, UsageError, closed
from calypso_nb.frames import STATUSES
from calypso_nb.records import Comment, Handoff, Link, QueueStats, Task
from calypso_nb.run_marks import AUTHOR, LEASE, MAX_SECONDS
from calypso_nb.wire.clock import ServerClock

# So many characters of a comment are kept beside its task.
BEGINS = 1000


_Notes: TypeAlias = tuple[Mapping[str, Any], ...]


class Details(NamedTuple):
    """What a listing leaves out of a task; None is unknown, or that there is none; times are ISO 8601 in UTC.

    - comment_count, link_count: how many it has
    - last_comment_at, last_comment_by, last_comment: when its newest comment was written, by whom, and how it
      begins; the lease of a run is no comment
    - last_sign_at, last_sign_by: the newest comment by its agent, or sign of a run
    - run_until: until when the lease of its newest run holds
    - run_notes: the comments in which schedulers tell of its runs, as a server sends them
    """

    comment_count: int | None = None
    link_count: int | None = None
    last_comment_at: str | None = None
    last_comment_by: str | None = None
    last_comment: str | None = None
    last_sign_at: str | None = None
    last_sign_by: str | None = None
    run_until: str | None = None
    run_notes: _Notes = ()

    @classmethod
    def of(cls, task: Any) -> Self | None:
        """Count what `get_task` gives; return None if that is not a task with comments and links."""
        if not is_whole(task):
            return None
        comments = task["comments"]
        return cls(len(comments), len(task["links"]), *said_in(comments, task.get("assigned_to")))


def is_whole(task: Any) -> bool:
    """Return whether something is a task with its comments and links, as `get_task` gives it.

    Example: `is_whole({"comments": [], "links": []})`
    """
    if not isinstance(task, dict):
        return False
    comments, links = task.get("comments"), task.get("links")
    if not isinstance(comments, list) or not isinstance(links, list):
        return False
    return all(isinstance(one, dict) and isinstance(one.get("id"), int) for one in comments)


def said_in(
    comments: Iterable[Mapping[str, Any]], agent: str | None
) -> tuple[str | None, str | None, str | None, str | None, str | None, str | None, _Notes]:
    """Return what `Details` tells of a task's comments, after their number, if an agent has the task.

    Example: `said_in([], "alice")`
    """
    nothing: _Said = ("", 0, None, None)
    newest = sign = lease = nothing
    runs = []
    for one in comments:
        by, text = one.get("created_by"), str(one.get("content"))[:BEGINS]
        if by == AUTHOR:
            runs.append({**one, "content": text})
        if by == AUTHOR and LEASE.fullmatch(text):
            lease = max(lease, (utc(one.get("updated_at")) or "", one["id"], by, text), key=_FIRST_TWO)
            continue
        said = (utc(one.get("created_at")) or "", one["id"], by, text)
        newest = max(newest, said, key=_FIRST_TWO)
        if by is not None and by == agent:
            sign = max(sign, said, key=_FIRST_TWO)
    sign = max(sign, lease, key=_FIRST_TWO)
    until = _held_until(lease[0], lease[3])
    return newest[0] or None, newest[2], newest[3], sign[0] or None, sign[2], until, tuple(runs)


def utc(time: Any) -> str | None:
    """Return a time in the form of v2; v1 leaves out the marks: `2026-11-23 09:13:56`.

    Example: `utc("2026-11-23 09:13:56")`
    """
    if not isinstance(time, str):
        return None
    return f"{time.replace(' ', 'T')}Z" if re.fullmatch(r"\S{10} \S{8}", time) else time


def _held_until(signed: str, text: str | None) -> str | None:
    lease = LEASE.fullmatch(text or "")
    if lease is None or lease["does"] != "runs" or int(lease["seconds"]) > MAX_SECONDS:
        return None
    with suppress(ValueError, OverflowError):
        return (datetime.fromisoformat(signed) + timedelta(seconds=int(lease["seconds"]))).isoformat()
    return None


Counts: TypeAlias = dict[int, Details]
# What of them are columns of a task.
COUNTED = Details._fields[:-1]
# Of a comment when it was written, its number, by whom, and what it says.
_Said: TypeAlias = tuple[str, int, str | None, str | None]
_FIRST_TWO = itemgetter(0, 1)
# Tasks with their comments and links, as a source has them; None for one that is gone.
WholeTasks: TypeAlias = dict[int, dict[str, Any] | None]

# What is over within a second needs no bar.
DELAY_SECONDS = 1.0

# Only such a sentence has JSON after it; in another one it is an agent's name.
_ABOUT_A_TASK = re.compile(r"Task #[0-9]+ (?:claimed|moved|transferred) ")

R = TypeVar("R", Task, Comment, Link, QueueStats, Handoff)


class Look(NamedTuple):
    """All tasks of a source, archived ones included, as they were at one moment between two.

    - tasks: the source's own JSON objects
    - began, ended: seconds since 1970 by the clock of the source, before it was asked and after its answer
    - jumps: how often that clock has been set so far
    - comments: the newer ones, if they can be read along
    - comment_ids: all comments that are there, None if they are not read along
    """

    tasks: list[dict[str, Any]]
    began: float
    ended: float
    jumps: int
    comments: list[dict[str, Any]]
    comment_ids: set[int] | None = None


CommentListener: TypeAlias = Callable[[list[dict[str, Any]]], object]


class Source(Protocol):
    """What a client asks: a server, or a database file. Any thread may call it."""

    name: str  # It is shown, so it holds no credentials.
    clock: ServerClock
    # Called with comments whenever a server gives some, in the thread of whoever asked for them.
    listeners: list[CommentListener]

    def ask(self, tool: str, arguments: dict[str, Any], *, write: bool = False) -> dict[str, Any] | str:
        """Return a tool's response: a JSON object, or a sentence without one."""

    def listing(self, arguments: dict[str, Any]) -> pd.DataFrame | None:
        """Return the columns of `list_tasks`, from a source that has columns."""

    def now(self) -> datetime:
        """Return the time by the clock of the source, in UTC."""

    def written(self) -> tuple[int, ...] | None:
        """Return numbers that are others once something has changed; None if only a listing shows that."""

    def comments(self, since: str) -> tuple[list[dict[str, Any]], set[int] | None]:
        """Return comments since a time of the wire and the numbers of all, if it gives them at once."""

    def whole(self, task_ids: Sequence[int], seconds: float) -> Iterator[WholeTasks]:
        """Read tasks with their comments and links, some at a time; stop when the time is over."""

    def check(self) -> bool:
        """Return True if a TinyTask answers."""

    def close(self) -> None:
        """Leave the source for good."""


class Calls:
    """The tools of one source; TinytaskConnectionError if a response is not one that a TinyTask gives."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._closed = False

    @property
    def source(self) -> Source:
        """What is asked; raise TinytaskClientError after `close`."""
        if self._closed:
            raise closed(self._source.name)
        return self._source

    def close(self) -> None:
        """Leave the source for good."""
        self._closed = True
        self._source.close()

    def read(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """Return the JSON object that a reading tool responds with."""
        response = self.source.ask(tool, _checked(tool, arguments))
        if isinstance(response, str):
            raise self.unexpected(tool)
        return response

    def read_one(self, kind: type[R], tool: str, /, **arguments: Any) -> R:
        """Return the record that a reading tool responds with."""
        return self.record(kind, tool, self.read(tool, **arguments))

    def write(self, tool: str, /, **arguments: Any) -> dict[str, Any] | str:
        """Return the JSON object or the sentence that a writing tool responds with."""
        return self.source.ask(tool, _checked(tool, arguments), write=True)

    def write_one(self, kind: type[R], tool: str, /, **arguments: Any) -> R:
        """Return the record that a writing tool responds with."""
        return self.record(kind, tool, self.write(tool, **arguments), write=True)

    def delete(self, tool: str, record_id: int | str) -> None:
        """Delete a record: v2 confirms that in JSON, v1 in a sentence."""
        response = self.write(tool, id=record_id)
        if isinstance(response, str):
            done = response.endswith("deleted successfully")
        else:
            done = response.get("success") is True
        if not done:
            raise self.unexpected(tool, write=True)

    def records(self, key: str, tool: str, /, **arguments: Any) -> list[dict[str, Any]]:
        """Return the JSON objects that a reading tool lists; their values are checked when used."""
        records = self.read(tool, **arguments).get(key)
        if type(records) is not list or any(type(one) is not dict or "id" not in one for one in records):
            raise self.unexpected(tool)
        return records

    def tasks(self, **arguments: Any) -> list[dict[str, Any]] | pd.DataFrame:
        """Return what a frame of `list_tasks` is made of."""
        columns = self.source.listing(_checked("list_tasks", arguments))
        return self.records("tasks", "list_tasks", **arguments) if columns is None else columns

    def look(self, commented: str) -> Look:
        """List all tasks between two times by the clock of the source."""
        began, clock = time.monotonic(), self.source.clock
        tasks = self.records("tasks", "list_tasks", include_archived=True)
        return Look(tasks, *clock.between(began), clock.jumps, *self.source.comments(commented))

    def record(self, kind: type[R], tool: str, response: dict[str, Any] | str, write: bool = False) -> R:
        """Return the record that a response describes."""
        if isinstance(response, str):
            raise self.unexpected(tool, write)
        try:
            return kind.from_record(response)
        except ValidationError as error:
            problems = error.errors()
            if any("missing" in problem["type"] for problem in problems):
                raise self.unexpected(tool, write) from error
            what = f"{'.'.join(map(str, problems[0]['loc']))} is {problems[0]['input']!r:.60}"
            raise unexpected(tool, self.source.name, write, what) from error

    def unexpected(self, tool: str, write: bool = False) -> TinytaskConnectionError:
        """Return the error for a response that a TinyTask doesn't give."""
        return unexpected(tool, self.source.name, write)


def unexpected(
    tool: str, name: str, write: bool = False, what: str = "is it a TinyTask server?"
) -> TinytaskConnectionError:
    """Return the error for a response of the source `name` that a TinyTask doesn't give."""
    message = f"{tool}: unexpected response from {name}; {what}"
    return TinytaskConnectionError(message, outcome_unknown=write)


def given(arguments: Mapping[str, Any], absent: Sequence[object] = (None, False)) -> dict[str, Any]:
    """Return those of a method's `locals()` that a tool is to get: not what stands for an absent argument."""
    return {
        name: value
        for name, value in arguments.items()
        if name not in ("self", "now")
        and ((value is None and name in _REQUIRED) or not any(value is one for one in absent))
    }


@contextmanager
def progress_bar(progress: bool | Callable[[int, int], None], total: int) -> Iterator[Callable[[int], None]]:
    """Give a function to call with the number done: it moves a bar, or calls `progress(done, total)`."""
    if callable(progress):
        yield lambda done: progress(done, total)
        return
    if not progress:
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    start = time.monotonic()
    console = Console(stderr=True)
    shown = console.is_terminal or console.is_jupyter
    bar = Progress(console=console, transient=True, auto_refresh=False, disable=not shown)
    task = bar.add_task("tasks", total=total)

    def move(done: int) -> None:
        if shown and time.monotonic() - start >= DELAY_SECONDS:
            bar.start()
            bar.update(task, completed=done, refresh=True)

    try:
        yield move
    finally:
        if bar.live.is_started:
            bar.stop()


def aware(now: datetime | None) -> datetime | None:
    """Return the moment at which a user wants ages measured; raise UsageError if it is none."""
    if now is None or (isinstance(now, datetime) and now.tzinfo is not None):
        return now
    raise UsageError(f"now has no time zone: use datetime.now(UTC) or a datetime with tzinfo, not {now!r}")


def whole(name: str, value: Any) -> int:
    """Return a whole number that came as a number or as text, `7` or `"7"`; raise UsageError for others."""
    if type(value) is int:
        return value
    is_text = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _MOST_DIGITS
    if is_text or (_is_number(value) and value == int(value)):
        return int(value)
    raise UsageError(f"{name} is a whole number such as 7 or '7', not {value!r:.60}")


def _is_number(value: Any) -> bool:
    # Python's True is a number too, and so is a NaN; NA is none.
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _priority(name: str, value: Any) -> float:
    if _is_number(value):
        return int(value) if value == int(value) else float(value)
    raise UsageError(f"{name} is a number, higher is more urgent, not {value!r}")


def _status(name: str, value: Any) -> str | list[str]:
    several = isinstance(value, Iterable) and not isinstance(value, str)
    for status in value if several else [value]:
        if status not in STATUSES:
            raise UsageError(f"{name} is one of {', '.join(STATUSES)}, not {status!r}")
    return list(value) if several else value


def _tags(name: str, value: Any) -> list[str]:
    if isinstance(value, str) or not isinstance(value, Iterable):  # A text is a sequence of its letters.
        raise UsageError(f"{name} is a list of texts, not {value!r} but [{value!r}]")
    return [text("a tag", tag) for tag in value]


def flag(name: str, value: Any) -> bool:
    """Return True or False; raise UsageError for what only counts as one of them."""
    if isinstance(value, bool):
        return value
    raise UsageError(f"{name} is True or False, not {value!r}")


def text(name: str, value: Any) -> str:
    """Return a text that can be sent; raise UsageError for anything else."""
    if not isinstance(value, str):
        raise UsageError(f"{name} is text, not {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{name} has half a character in it, which can't be sent: {value!r}") from None
    return value


# What no tool can do without. `None` for one of them is a mistake, and not an argument that is left out.
_REQUIRED = {"id", "task_id", "subtask_id", "comment_id", "to_task_id", "title", "content", "comment"}
_REQUIRED |= {"agent_name", "current_agent", "new_agent", "new_queue_name"}
# To set one of these fields to null is refused in JSON, or, of a priority, taken for 0.
_NEVER_NULL = {"description", "status", "assigned_to", "priority", "tags", "queue_name"}
_MOST_DIGITS = 19

# What the arguments of the tools are, by name; text if it isn't here.
_KINDS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(
        ("id", "task_id", "parent_task_id", "subtask_id", "new_parent_id", "to_task_id", "comment_id"), whole
    ),
    **dict.fromkeys(("blocked_by_task_id", "limit", "offset"), whole),
    **dict.fromkeys(("status", "exclude_status"), _status),
    **dict.fromkeys(("recursive", "include_archived", "exclude_subtasks"), flag),
    "priority": _priority,
    "tags": _tags,
}


def _checked(tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool's arguments as JSON has them; raise UsageError in our words for what it can't take."""
    checked = dict(arguments)
    for name, value in arguments.items():
        required = name in _REQUIRED or (tool == "update_task" and name in _NEVER_NULL)
        if value is not None or required:
            check: Callable[[str, Any], Any] = _KINDS.get(name, text)
            checked[name] = check(f"{tool}: {name}", value)
    return checked


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like one, if any is; names that nobody mistypes are left out."""
    folded = {one.strip().casefold(): one for one in sorted(known) if len(one) <= _LONGEST_NAME}
    close = get_close_matches(name[:_LONGEST_NAME].strip().casefold(), folded, n=1)
    return folded[close[0]] if close else None


_LONGEST_NAME = 100


def decoded(text: str) -> dict[str, Any] | str:
    """Return the JSON object that a response is, or that follows a sentence about a task, or the text."""
    # JSON has no blank line within, but the sentence can hold names, which can hold anything.
    told = text.rpartition("\n\n")[2] if _ABOUT_A_TASK.match(text) else text
    try:
        response = orjson.loads(told)
    except orjson.JSONDecodeError:
        return text
    return response if isinstance(response, dict) else text


def nested(task: dict[str, Any]) -> dict[str, Any]:
    """Return a task whose `subtasks` hold theirs: TinyTask lists those of all levels in one."""
    subtasks = task.get("subtasks")
    if not isinstance(subtasks, list) or not all(isinstance(one, dict) and "id" in one for one in subtasks):
        return task  # For the check of the record.
    parents = {task.get("id"), *(one["id"] for one in subtasks)}
    parts: dict[Any, list[dict[str, Any]]] = {}
    for one in subtasks:
        parent = one.get("parent_task_id")
        parts.setdefault(parent if parent in parents else task.get("id"), []).append(one)

    def with_parts(one: dict[str, Any]) -> dict[str, Any]:
        return one | {"subtasks": [with_parts(part) for part in parts.pop(one["id"], [])]}

    return with_parts(task)
