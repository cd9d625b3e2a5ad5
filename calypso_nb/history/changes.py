"""From what was seen of a task to what happened to it: exact where a server pushed it, else within bounds.

Times are whole microseconds since 1970 by the server's clock, so that they compare and add exactly.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, TypeAlias, TypeGuard

from calypso_nb.frames import TASK_COLUMNS

Record: TypeAlias = dict[str, Any]
# A task as a look found it, None if it was not there.
Found: TypeAlias = Record | Literal["unknown"] | None

SECOND = 1_000_000
# How far the times of two events about the same change are apart at most; 2 ms were seen.
SAME_CHANGE = 50_000
NEVER = 2**62
# Times beyond the years 1730 and 2209 are no times.
_FAR = 240 * 366 * 24 * 3600 * SECOND

# What a listing says of a task and the others don't decide: whether it is blocked follows from its blocker.
FIELDS = tuple(TASK_COLUMNS)[1 : tuple(TASK_COLUMNS).index("archived_at") + 1]
FIELDS = tuple(name for name in FIELDS if name != "is_currently_blocked")

TIMES = ("created_at", "updated_at", "archived_at")

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
    - numbers: of what a history has been told, which this was
    """

    at: int
    task_id: int | None
    before: Record
    after: Record
    kind: Literal["created", "changed", "deleted"] = "changed"
    by: str | None = None
    numbers: tuple[int, ...] = ()


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


def micros(time: Any) -> int | None:
    """Return a time of the wire, which is UTC if it has no zone; None if it is not a time."""
    try:
        moment = datetime.fromisoformat(time)
    except (TypeError, ValueError):
        return None
    found = micros_of(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment)
    return found if abs(found) < _FAR else None


def micros_of(moment: datetime) -> int:
    """Return an aware datetime as a time."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def wire_time(time: int) -> str:
    """Return a time as TinyTask v2 writes it into a task, to the second."""
    return f"{moment_of(time):%Y-%m-%dT%H:%M:%SZ}"


def moment_of(time: int) -> datetime:
    """Return a time as an aware datetime in UTC."""
    return _EPOCH + timedelta(microseconds=time)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def record_of(task: Mapping[str, Any]) -> Record:
    """Return the fields of a task as a history keeps them."""
    return {name: kept(name, task.get(name)) for name in FIELDS}


def is_number(value: Any) -> TypeGuard[int]:
    """Return whether it can be the number of a task or of a comment, which SQLite keeps in 64 bits."""
    return type(value) is int and abs(value) < 2**63


def kept(field: str, value: Any) -> Any:
    """Return a value as a history keeps it, None if it is not of the field's kind."""
    if value is None:  # As most are, of most tasks.
        return None
    if field == "tags":
        return [kept("title", tag) for tag in value] if isinstance(value, list | tuple) else None
    if field in TIMES:
        return value if micros(value) is not None else None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if field in ("priority", "parent_task_id", "blocked_by_task_id"):
        if isinstance(value, int) and abs(value) >= 2**63:
            value = float(value) if field == "priority" and abs(value) < 2**1000 else None
        return None if isinstance(value, str) or value != value else value
    return str(value).encode("utf-8", "replace").decode()


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
    new: Found,
    after: int,
    until: int,
    complete: bool = False,
) -> list[Event]:
    """Return what happened to a task between two listings, in order.

    - old, new: the task in the one and in the other, None if it was not there; `new` may still be unknown
    - pushes: what the server said of it meanwhile, in the order of their times
    - after, until: the time before the first listing was asked for, and that when the second had come
    - complete: whether all that the server has to say of that time has been told
    """
    since = max(after, _latest(old, NEVER if new == "unknown" else until))
    story = _Story(task_id, old, since, complete)
    for push in pushes:
        story.hear(push)
    if new != "unknown":
        story.see(new, until)
    return story.events


def _latest(record: Record | None, until: int) -> int:
    """Return the latest time that a task tells of itself: whoever saw it so did so later.

    - until: what is later than that was before the clock was set back
    """
    times = [micros((record or {}).get(name)) or 0 for name in TIMES]
    return max(time if time <= until else 0 for time in times)


class Look(NamedTuple):
    """A task as a look at all tasks found it, or several looks that found the same.

    - number: counts the looks
    - last: the time before the last one was asked for
    - until: the time when the first one had come
    - record: the task, None if it was not there
    - pushed: whether the server could push all the time since the look before
    - began, ended: the time before the first one was asked for, and when the last one had come
    """

    number: int
    last: int
    until: int
    record: Record | None
    pushed: bool
    began: int
    ended: int


def told(
    task_id: int, looks: Sequence[Look], pushes: Sequence[Push]
) -> Iterator[tuple[Look, Sequence[Push], list[Event]]]:
    """Yield what happened to a task after each look: the pushes from then on, and the events.

    - looks: in order; the pushes are later than the first one
    - pushes: in the order of their times; one that no listing leaves room for is left out
    """
    kept_open = [look for look in looks if look.until < look.last]
    pushes = [
        push for push in _joined(pushes) if not any(look.until < push.at < look.last for look in kept_open)
    ]
    cuts = [*_cuts(looks, pushes), range(len(pushes), len(pushes) + 1)]
    for place, look in enumerate(looks):
        begin, end, latest = cuts[place][0], cuts[place + 1][0], cuts[place + 1][-1]
        # A push that a listing shows is earlier than it, one that it doesn't show is later.
        since = max(look.last, pushes[begin - 1].at) if begin else look.last
        mine, until, complete = pushes[begin:end], since, False
        found: Found = "unknown"
        heard = [_but_for(push, look.record) for push in pushes[begin : cuts[place][-1]]]
        heard += pushes[begin + len(heard) : end]
        if place + 1 < len(looks):
            _, _, until, found, complete, began, ended = looks[place + 1]
            # Of a task that is not known a push says nothing, unless it tells all of it. Otherwise the first
            # one may have been earlier than the push, and the last one not.
            says = look.record is not None or any(map(_is_whole, mine))
            if mine and says and mine[-1].at > began:
                until = max(until, ended)
            until = min(until, pushes[latest].at) if latest < len(pushes) else until
        events = changes(task_id, look.record, heard[: len(mine)], found, since, until, complete)
        yield look, mine, _in_order([_before_next(event, pushes[end:latest]) for event in events])


def _before_next(event: Event, pushes: Sequence[Push]) -> Event:
    """Return an event that is no later than the first of the pushes that leans on it."""
    for push in pushes:
        stated = push.before.get(event.field, event.old) == event.new or event.field == CREATED
        if not event.pushed and (stated or event.field in push.after) and push.at < event.not_after:
            return event._replace(not_after=max(push.at, event.not_before))
    return event


def _in_order(events: Sequence[Event]) -> list[Event]:
    """Return events of which none is later than the next of its field."""
    latest: dict[str, int] = {}
    ordered = []
    for event in reversed(events):
        latest[event.field] = min(event.not_after, latest.get(event.field, event.not_after))
        ordered.append(event._replace(not_after=max(event.not_before, latest[event.field])))
    return ordered[::-1]


def _joined(pushes: Sequence[Push]) -> list[Push]:
    """Return pushes, with those as one that tell of the same change, such as its new status once more."""
    joined: list[Push] = []
    for push in pushes:
        for place in range(len(joined) - 1, -1, -1):
            if push.at - joined[place].at > SAME_CHANGE:
                joined.append(push)
                break
            if _is_part(push, joined[place]):
                joined[place] = _together(push, joined[place])
                break
            if _is_part(joined[place], push):
                joined[place] = _together(joined[place], push)
                break
            if any(joined[place].after.get(name, value) != value for name, value in push.after.items()):
                joined.append(push)  # It has changed in between, so that this is no second telling.
                break
        else:
            joined.append(push)
    return joined


def _is_whole(push: Push) -> bool:
    return push.after.keys() >= {*FIELDS}


def _is_part(push: Push, whole: Push) -> bool:
    """Return whether a push tells of a change in the other, and nothing against it."""
    if push.kind == whole.kind == CREATED:
        return True
    shared = push.after.keys() & whole.after.keys()
    if not push.after:  # It says how the task is; of events with the same time the order is not known.
        stated = push.before.keys() & whole.after.keys()
        same = all(push.before[name] == whole.after[name] for name in stated)
        return push.at == whole.at and bool(stated) and same and push.kind == "changed"
    return (
        not _is_whole(push)
        and push.kind == "changed"
        and any(whole.before.get(name) != whole.after[name] for name in shared)
        and all(push.after[name] == whole.after[name] for name in shared)
        and all(
            push.before[name] == whole.before[name]
            for name in shared & push.before.keys() & whole.before.keys()
        )
    )


def _together(part: Push, whole: Push) -> Push:
    known = {
        name: value for name, value in part.before.items() if name in part.after or name not in whole.after
    }
    return whole._replace(
        before=known | whole.before, after=part.after | whole.after, numbers=whole.numbers + part.numbers
    )


def _cuts(looks: Sequence[Look], pushes: Sequence[Push]) -> Iterator[range]:
    """Yield how many of the pushes are earlier than each look: in one order, and at most in any as good.

    Where the times leave it open, the order counts that needs the fewest changes which nobody told.
    """
    windows = [*_windows(looks, [push.at for push in pushes]), range(len(pushes), len(pushes) + 1)]
    steps = []
    for place, look in enumerate(looks):
        following: Found = looks[place + 1].record if place + 1 < len(looks) else "unknown"
        window = windows[place + 1]
        steps.append({cut: _untold(look.record, pushes, cut, window, following) for cut in windows[place]})
    to_come = [{len(pushes): 0}]  # How many it takes from each cut to the end at least, the last cut first.
    for step in reversed(steps):
        least = {cut: min(ways[to] + to_come[-1][to] for to in ways) for cut, ways in step.items()}
        to_come.append(least)
    to_come.reverse()
    cut, as_good = 0, {0}
    for step, here, ahead in zip(steps, to_come, to_come[1:], strict=False):
        yield range(cut, max(as_good) + 1)
        ways = {at: [to for to in step[at] if step[at][to] + ahead[to] == here[at]] for at in as_good}
        cut, as_good = min(ways[cut]), {to for good in ways.values() for to in good}


def _windows(looks: Sequence[Look], times: Sequence[int]) -> Iterator[range]:
    """Yield how many pushes may be earlier than each look, by the times of both."""
    window = range(1)
    yield window
    for look in looks[1:]:
        least = max(window.start, bisect_left(times, max(look.last, _latest(look.record, look.until))))
        most = max(window.stop - 1, bisect_right(times, look.until), least)
        window = range(least, most + 1)
        yield window


def _untold(
    record: Record | None,
    pushes: Sequence[Push],
    begin: int,
    window: range,
    following: Found,
) -> dict[int, int]:
    """Return how many untold changes lie between a look and the next one, by how many pushes are before that.

    - record: the task as the look found it
    - begin: how many pushes are before the look
    - window: how many may be before the next one
    - following: the task as the next one found it
    """
    facts, number, numbers = _facts(record), 0, {}
    shown = None if following == "unknown" else _facts(following)
    for place in range(begin, window.stop):
        if place >= window.start:
            numbers[place] = number if shown is None else number + _apart(facts, shown)
        if place < len(pushes):
            before = _before(pushes[place])
            number += _apart(facts, before)
            facts |= before | _after(pushes[place])
    return numbers


def _but_for(push: Push, record: Record | None) -> Push:
    """Return a push without what it leaves as it is though a look found it otherwise, earlier or later."""
    if record is None or push.kind != "changed":
        return push
    same = {
        name
        for name, value in (push.before | push.after).items()
        if push.before.get(name, value) == value != record[name] and name != "updated_at"
    }
    return push._replace(
        before={name: value for name, value in push.before.items() if name not in same},
        after={name: value for name, value in push.after.items() if name not in same},
    )


# What a task is like when it is made.
_FRESH = {"status": "idle", "previous_assigned_to": None, "archived_at": None}
_THERE = "there"
# A time that the last edit was no earlier than, for want of one by the task itself.
_PUSHED_EDIT = "pushed edit"
# More than all untold changes of a task together.
_NO_ORDER = 1000


def _apart(one: Record, other: Record) -> int:
    """Return how many changes it takes from one moment to a later one, as far as they are known.

    A task that comes or goes untold counts as all its fields; an edit that is undone is out of order.
    """
    if one[_THERE] != other[_THERE]:
        return len(FIELDS) + _different(_FRESH if other[_THERE] else {}, other)
    later = micros(other.get("updated_at"))
    edited = one.get(_PUSHED_EDIT) or micros(one.get("updated_at")) or 0
    undone = later is not None and later + SECOND <= edited
    return _NO_ORDER * undone + _different(one, other)


def _different(one: Record, other: Record) -> int:
    return len([name for name in one.keys() & other.keys() if one[name] != other[name]])


def _facts(record: Record | None) -> Record:
    return {_THERE: False} if record is None else {_THERE: True, **record}


def _before(push: Push) -> Record:
    return {_THERE: push.kind != CREATED, **push.before}


def _after(push: Push) -> Record:
    edited: Record = {_PUSHED_EDIT: None} if "updated_at" in push.after else {}
    if not edited and push.after.keys() & _EDITED:
        edited = {"updated_at": wire_time(push.at), _PUSHED_EDIT: push.at - SAME_CHANGE}
    return {_THERE: push.kind != DELETED, **edited, **push.after}


class _Story:
    """A task as it is known so far, and since when each field is certain."""

    def __init__(self, task_id: int, record: Record | None, since: int, complete: bool) -> None:
        self.task_id, self.record, self._complete = task_id, record, complete
        self.events: list[Event] = []
        self._since = dict.fromkeys(FIELDS, since)
        self._there_since = since
        self._guessed: int | None = None  # The event of an `updated_at` that no push has told.

    def hear(self, push: Push) -> None:
        """Take in a push: what was before it may have changed in silence, what it changed is exact."""
        if push.kind == DELETED:
            if self.record is not None:
                self._differ(push.before, push.at, pushed=False)
                self._add(DELETED, self.record, None, push.at, push.at, pushed=True, by=push.by)
                self.record, self._guessed = None, None
            self._there_since = push.at
            return
        whole = _is_whole(push)
        if self.record is None:
            if not whole:
                return  # What is not known can't be changed; the next listing shows the task.
            began = push.at if push.kind == CREATED else None
            task = push.after if began is not None else push.after | push.before
            self._appear(task, began, until=push.at, pushed=began is not None, by=push.by)
        self._differ(push.before, push.at, pushed=False)
        updated = self._record["updated_at"]
        # What it was just before is not always told: if anything is missing, it may have been so for longer.
        if not self._complete:
            sudden = {name: new for name, new in push.after.items() if name not in push.before}
            self._differ(sudden, push.at, pushed=False, by=push.by)
        self._differ(push.after, push.at, pushed=True, by=push.by)
        if whole:
            self._guessed = None
        elif push.after:
            second = push.at // SECOND * SECOND
            if second > (micros(updated) or 0):
                # Another edit in the same second may have moved it already.
                self._set("updated_at", wire_time(push.at), max(second, self._since["updated_at"]), push.at)
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
        self._correct_guess(new["updated_at"], until)
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
        first = {**task, **_FRESH, "updated_at": task["created_at"]}
        if task["previous_assigned_to"] is not None:
            first["assigned_to"] = task["previous_assigned_to"]
        latest = begun if at is not None else min(begun + SECOND, max(until, begun))
        self.record = first
        self._add(CREATED, None, dict(first), begun, latest, pushed=pushed, by=by or task["created_by"])
        edited = micros(task["updated_at"])
        if not pushed and (edited is None or edited > begun):
            seen_by = until if edited is None else min(edited + SECOND, until)
            self._add(FIRST_SEEN, None, None, begun, max(seen_by, latest), seen=False)
        self._since = dict.fromkeys(FIELDS, begun)

    def _differ(self, told: Record, until: int, *, pushed: bool, by: str | None = None) -> None:
        """Change whatever is not as told."""
        changed = [name for name in told if told[name] != self._record[name]]
        stamp = micros(told.get("updated_at"))
        self._cap(stamp)
        for name in changed:
            if pushed:
                self._set(name, told[name], until, until, pushed=True, by=by)
            else:
                self._set(name, told[name], *self._bounds(name, told[name], stamp, until), by=by)

    def _cap(self, edited: int | None) -> None:
        """Take in when the last edit was: whatever an edit had changed before, it had by then."""
        if edited is None:
            return
        for place, event in enumerate(self.events):
            if event.field in _EDITED and not event.pushed and event.not_after > edited + SECOND:
                latest = max(event.not_before, edited + SECOND)
                self.events[place] = event._replace(not_after=min(event.not_after, latest))

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

    def _correct_guess(self, updated: Any, until: int) -> None:
        """Take the listing's `updated_at` for what a push without one left open."""
        if self._guessed is None:
            return
        event, said = self.events[self._guessed], micros(updated) or 0
        if abs(said + SECOND / 2 - event.not_after) <= SECOND / 2 + SAME_CHANGE:
            if said > event.not_after:  # By the push's clock, or by another edit in that second.
                least = max(event.not_before, said - SAME_CHANGE)
                event = event._replace(not_before=least, not_after=max(least, min(said + SECOND, until)))
            self.events[self._guessed] = event._replace(new=updated)
            self.record = {**self._record, "updated_at": updated}
        elif updated == event.old:
            del self.events[self._guessed]
            self.record = {**self._record, "updated_at": updated}

    def _add(self, field: str, old: Any, new: Any, least: int, most: int, **about: Any) -> None:
        self.events.append(Event(self.task_id, field, old, new, least, most, **about))


def blocked(records: Mapping[int, Record]) -> Iterator[tuple[int, bool]]:
    """Yield of each task whether it waits for one that is there and not complete, as TinyTask has it."""
    for task_id, record in records.items():
        blocker = records.get(record["blocked_by_task_id"])
        yield task_id, blocker is not None and blocker["status"] != "complete"
