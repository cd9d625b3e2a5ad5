"""From what was seen of a task to what happened to it: exact where a server pushed it, else within bounds.

Times are whole microseconds since 1970 by the server's clock, so that they compare and add exactly.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, TypeAlias

from calypso_nb.frames import TASK_COLUMNS

Record: TypeAlias = dict[str, Any]

SECOND = 1_000_000
# How far the times of two events about the same change are apart at most; 2 ms were seen.
SAME_CHANGE = 50_000

# What a listing says of a task and the others don't decide: whether it is blocked follows from its blocker.
FIELDS = tuple(TASK_COLUMNS)[1 : tuple(TASK_COLUMNS).index("archived_at") + 1]
FIELDS = tuple(name for name in FIELDS if name != "is_currently_blocked")

# The field of an event of a whole task. Before it was first seen, what a listed task held is not known.
CREATED, DELETED, FIRST_SEEN = "created", "deleted", "first seen"

# What each edit moves `updated_at` for. A blocker that is deleted empties the field without that.
_EDITED = {*FIELDS} - {"created_at", "updated_at", "archived_at", "blocked_by_task_id"}


class Push(NamedTuple):
    """What a server said of one change, with its own clock.

    - at: when it happened
    - task_id: the task, None if it says of none
    - before: fields as they were just before, which may have changed earlier, in silence
    - after: fields as they were from then on, with all `FIELDS` or with some
    - kind: whether the task came, went, or was there
    - by: the agent who did it, if the server says so
    """

    at: int
    task_id: int | None
    before: Record
    after: Record
    kind: Literal["created", "changed", "deleted"] = "changed"
    by: str | None = None


class Event(NamedTuple):
    """One change of one field of a task; equal bounds are exact.

    - field: one of `FIELDS`, `created` (`new` is the task), `deleted` (`old` is the task), or `first seen`
    - not_before, not_after: between which times it happened, both included
    - seen: False for a status that must have been passed through and was seen by nobody
    - pushed: whether the server said it, rather than that a listing showed it
    - by: the agent who did it, if known
    """

    task_id: int
    field: str
    old: Any
    new: Any
    not_before: int
    not_after: int
    seen: bool = True
    pushed: bool = False
    by: str | None = None


def merged(pushes: Iterable[Push]) -> Push:
    """Return what several pushes about the same change say together."""
    first, *others = pushes
    for push in others:
        kind = push.kind if push.kind != "changed" else first.kind
        first = Push(
            push.at, push.task_id, push.before | first.before, first.after | push.after, kind, first.by
        )
    return first


def micros(time: Any) -> int | None:
    """Return a time of the wire, which is UTC if it has no zone; None if it is not a time."""
    try:
        moment = datetime.fromisoformat(time)
    except (TypeError, ValueError):
        return None
    zoned = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (zoned - _EPOCH) // timedelta(microseconds=1)


def moment_of(time: int) -> datetime:
    """Return a time as an aware datetime in UTC."""
    return _EPOCH + timedelta(microseconds=time)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def record_of(task: Mapping[str, Any]) -> Record:
    """Return the fields of a task as a history keeps them."""
    record = {name: task.get(name) for name in FIELDS}
    priority = record["priority"]
    if (
        isinstance(priority, int) and abs(priority) >= 2**63
    ):  # SQLite has no such whole number; it is as large.
        record["priority"] = float(priority)
    return record


def replayed(events: Sequence[tuple[str, Any]], record: Record | None = None) -> Record | None:
    """Return a task after events, each a field and its new value; None if it is not there."""
    for field, new in events:
        if field == CREATED:
            record = dict(new)
        elif field == DELETED:
            record = None
        elif record is not None and field != FIRST_SEEN:
            record = {**record, field: new}
    return record


def changes(
    task_id: int,
    old: Record | None,
    pushes: Sequence[Push],
    new: Record | Literal["unknown"] | None,
    after: int,
    until: int,
) -> list[Event]:
    """Return what happened to a task between two listings, in order.

    - old, new: the task in the one and in the other, None if it was not there; `new` may still be unknown
    - pushes: what the server said of it meanwhile, in the order of their times
    - after, until: the time before the first listing was asked for, and that when the second had come
    """
    story = _Story(task_id, old, after)
    for push in pushes:
        story.hear(push)
    if new != "unknown":
        story.see(new, until)
    return story.events


class _Story:
    """A task as it is known so far, and since when each field is certain."""

    def __init__(self, task_id: int, record: Record | None, since: int) -> None:
        self.task_id, self.record = task_id, record
        self.events: list[Event] = []
        self._since = dict.fromkeys(FIELDS, since)
        self._there_since = since
        self._guessed: int | None = None  # The event of an `updated_at` that no push has told.

    def hear(self, push: Push) -> None:
        """Take in a push: what was before it may have changed in silence, what it changed is exact."""
        if push.kind == DELETED:
            if self.record is not None:
                self._add(DELETED, self.record, None, push.at, push.at, pushed=True, by=push.by)
                self.record = None
            self._there_since = push.at
            return
        whole = push.after.keys() >= {*FIELDS}
        if self.record is None:
            if not whole:
                return  # What is not known can't be changed; the next listing shows the task.
            began = push.at if push.kind == CREATED else None
            self._appear(
                push.before or push.after, began, until=push.at, pushed=began is not None, by=push.by
            )
        # The same change is told twice, such as in `task-updated` and `task-status-changed`.
        again = {name for name, value in push.after.items() if self._record[name] == value}
        again = {name for name in again if push.at - self._since[name] <= SAME_CHANGE}
        before = {name: value for name, value in push.before.items() if name not in again}
        self._differ(before, push.at, pushed=False)
        updated = self._record["updated_at"]
        moved = self._differ(push.after, push.at, pushed=True, by=push.by)
        if whole:
            self._guessed = None
        elif moved:
            stamp = f"{moment_of(push.at):%Y-%m-%dT%H:%M:%SZ}"
            if (micros(stamp) or 0) > (micros(updated) or 0):
                self._set("updated_at", stamp, push.at, push.at, pushed=True)
                self._guessed = len(self.events) - 1
                self._since["updated_at"] = push.at
        for name in push.before | push.after:
            self._since[name] = max(self._since[name], push.at)
        self._there_since = push.at

    def see(self, new: Record | None, until: int) -> None:
        """Take in a listing: whatever still differs has changed since it was last certain."""
        if new is None:
            if self.record is not None:
                self._add(DELETED, self.record, None, self._there_since, max(self._there_since, until))
                self.record = None
            return
        if self.record is None:
            self._appear(new, None, until=until)
        self._correct_guess(new["updated_at"])
        self._differ(new, until, pushed=False)

    @property
    def _record(self) -> Record:
        assert self.record is not None
        return self.record

    def _appear(
        self, task: Record, at: int | None, *, until: int = 0, pushed: bool = False, by: str | None = None
    ) -> None:
        """Let the task begin as TinyTask makes one: idle, in the hands of whoever had it first."""
        created = micros(task["created_at"])
        begun = at if at is not None else created if created is not None else self._there_since
        first = {**task, "status": "idle", "archived_at": None, "updated_at": task["created_at"]}
        if task["previous_assigned_to"] is not None:
            first |= {"assigned_to": task["previous_assigned_to"], "previous_assigned_to": None}
        latest = begun if at is not None else min(begun + SECOND, max(until, begun))
        self.record = first
        self._add(CREATED, None, dict(first), begun, latest, pushed=pushed, by=by or task["created_by"])
        edited = micros(task["updated_at"])
        if not pushed and (edited is None or edited > begun):
            seen_by = until if edited is None else min(edited + SECOND, until)
            self._add(FIRST_SEEN, None, None, begun, max(seen_by, latest), seen=False)
        self._since = dict.fromkeys(FIELDS, begun)

    def _differ(self, told: Record, until: int, *, pushed: bool, by: str | None = None) -> bool:
        """Change whatever is not as told; return whether anything was."""
        changed = [name for name in told if told[name] != self._record[name]]
        stamp = micros(told.get("updated_at"))
        for name in changed:
            if pushed:
                self._set(name, told[name], until, until, pushed=True, by=by)
            else:
                self._set(name, told[name], *self._bounds(name, told[name], stamp, until))
        return bool(changed)

    def _bounds(self, name: str, value: Any, edited: int | None, until: int) -> tuple[int, int]:
        """Return between which times a field came to a value that nobody told."""
        since = self._since[name]
        # The server's own words, to the second; a field that an edit changes, at its last edit or before.
        said = edited if name == "updated_at" else micros(value) if name == "archived_at" else None
        if said is not None and since - SECOND < said <= until:
            return max(since, said), min(until, said + SECOND)
        by_edit = name in _EDITED or (name == "blocked_by_task_id" and value is not None)
        if by_edit and edited is not None and since <= edited + SECOND <= until:
            return since, edited + SECOND
        return since, max(since, until)

    def _set(
        self, name: str, value: Any, least: int, most: int, *, pushed: bool = False, by: str | None = None
    ) -> None:
        old = self._record[name]
        if not pushed and (old, value) == ("idle", "complete") and name == "status":
            # It may have been worked on in between, which nobody saw.
            self._add(name, old, "working", least, most, seen=False)
            old = "working"
        self._add(name, old, value, least, most, pushed=pushed, by=by)
        self.record = {**self._record, name: value}

    def _correct_guess(self, updated: Any) -> None:
        """Take the listing's `updated_at` for what a push without one left open."""
        if self._guessed is None:
            return
        event = self.events[self._guessed]
        if abs((micros(updated) or 0) - (micros(event.new) or 0)) <= 2 * SECOND:
            self.events[self._guessed] = event._replace(new=updated)
            self.record = {**self._record, "updated_at": updated}

    def _add(self, field: str, old: Any, new: Any, least: int, most: int, **about: Any) -> None:
        self.events.append(Event(self.task_id, field, old, new, least, most, **about))


def blocked(records: Mapping[int, Record]) -> Iterator[tuple[int, bool]]:
    """Yield of each task whether it waits for one that is there and not complete, as TinyTask has it."""
    for task_id, record in records.items():
        blocker = records.get(record["blocked_by_task_id"])
        yield task_id, blocker is not None and blocker["status"] != "complete"
