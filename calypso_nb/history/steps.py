"""From changes and comments to what a person is told of them: questions first, and no step twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from calypso_nb.history.changes import CREATED, DELETED, SECOND
from calypso_nb.history.difference import name_of
from calypso_nb.run_marks import AUTHOR, FAILED_RUN, LEASE, failures, others_of
from calypso_nb.workload.phrases import UNASSIGNED
from calypso_nb.workload.questions import Questions

# What can be told, in the order in which it is.
KINDS = (
    "asked",
    "failed",
    "bounced",
    "blocked",
    "handed over",
    "finished",
    "started",
    "new",
    "reopened",
    "put back",
    "unblocked",
    "commented",
    "reprioritised",
    "edited",
    "archived",
    "restored",
    "gone",
)
# The field of a change that another task has made: the one that it waits for was reopened.
BLOCKER = "blocker"
# What of one task is told in one line, however often it happened; of comments those of one author.
_JOINED = ("failed", "handed over", "commented", "reprioritised", "edited")
# What a change is by itself, whatever else has changed.
_PLAIN = ("started", "new", "reopened", "put back", "unblocked", "archived", "restored", "gone")
# How long before other hands take a task it may be put back for that, in microseconds.
_TOGETHER = 600 * SECOND
_LONGEST = 80
_MOVES = ("assigned_to", "queue_name")
_STATES = ("failed", "bounced", "blocked", "finished", "started", "new", "reopened")
_NOBODY = {"assigned_to": UNASSIGNED, "queue_name": "(no queue)"}
_NAMES = {"assigned_to": "", "queue_name": "queue ", "priority": "priority "}


class Change(NamedTuple):
    """One change of one field of a task, as `history.changes.Event` has it.

    - step: what has changed together has the same
    - agent: who has the task from then on
    - means: `bounced` or `blocked` if that is what it means for the task
    - late: it came to be known after what was told before, and had happened by then
    """

    task_id: int
    field: str
    old: Any
    new: Any
    low: int
    high: int
    by: str | None
    seen: bool = True
    step: tuple[Any, ...] = ()
    agent: str | None = None
    means: str = ""
    late: bool = False


class Comment(NamedTuple):
    """A comment as it is now; `edited` if it was told before, and said something else."""

    task_id: int
    number: int
    at: int | None
    by: str | None
    text: str | None
    edited: bool = False
    late: bool = False


class Item(NamedTuple):
    """One thing to tell, as `DIGEST_COLUMNS` describes it; the title is added last."""

    what: str
    task_id: int
    agent: str | None
    by: str | None
    not_before: int | None
    not_after: int | None
    late: bool
    changes: int
    text: str | None
    title: str | None = None


@dataclass(frozen=True)
class Reader:
    """Who is told.

    - person: whose read mark it is
    - own: under which names this person writes
    - questions: what a question to this person is known by
    """

    person: str
    own: frozenset[str]
    questions: Questions

    def kind(self, comment: Comment) -> str | None:
        """Return how a comment is told, None if it need not be."""
        text = comment.text or ""
        if comment.by == AUTHOR:
            if LEASE.fullmatch(text):
                return None
            return "failed" if FAILED_RUN.match(text) else "commented"
        if comment.by in self.own:
            return None
        return "asked" if self.questions.said(text) or self.questions.calls(text) else "commented"


@dataclass
class _Row:
    what: str
    changes: list[Change] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    more: list[str] = field(default_factory=list)

    def key(self, number: int) -> tuple[Any, ...]:
        """Return what rows that are told in one have in common."""
        if self.what not in _JOINED:
            return self.what, number
        task = (self.changes or self.comments)[0].task_id
        return self.what, task, self.comments[0].by if self.what == "commented" else None

    def item(self) -> Item:
        changes, comments = self.changes, self.comments
        said = [comment for comment in comments if comment.at is not None]
        lows = [change.low for change in changes] + [comment.at or 0 for comment in said]
        highs = [change.high for change in changes] + [_latest(comment) for comment in said]
        both: list[Change | Comment] = [*changes, *comments]
        bys = [one.by for one in both if one.by is not None]
        agent = comments[-1].by if comments else None
        if changes:
            agent = next((one.agent for one in changes[::-1] if one.field in _MOVES), changes[-1].agent)
        return Item(
            self.what,
            both[0].task_id,
            agent,
            bys[-1] if bys else None,
            min(lows, default=None),
            max(highs, default=None),
            any(one.late for one in both),
            len(both),
            self._text(),
        )

    def _text(self) -> str | None:
        told = [*_legs(self.changes), *dict.fromkeys(text for text in self.more if text)]
        parts = ["; ".join(told)] if told else []
        parts += [_said(comment) for comment in self.comments]
        return "\n".join(parts) or None


def items_of(changes: Iterable[Change], comments: Iterable[tuple[str, Comment]] = ()) -> list[Item]:
    """Return what is told of changes, in the order in which they happened, and of comments by their kind."""
    steps: dict[tuple[Any, ...], list[Change]] = {}
    for change in changes:
        steps.setdefault((change.task_id, change.step), []).append(change)
    rows = _together(row for step in steps.values() for row in _Step(step).rows)
    rows += [_Row(kind, comments=[comment]) for kind, comment in comments]
    joined: dict[tuple[Any, ...], _Row] = {}
    for number, row in enumerate(rows):
        first = joined.setdefault(row.key(number), row)
        if first is not row:
            first.changes += row.changes
            first.comments += row.comments
            first.more += row.more
    items = [row.item() for row in joined.values()]
    return sorted(items, key=_place)


def _together(rows: Iterable[_Row]) -> list[_Row]:
    """Return rows with a task's being put back as part of the handover that it was for."""
    kept: dict[int, _Row] = {}
    waiting: dict[int, int] = {}
    for number, row in enumerate(rows):
        kept[number] = row
        task = row.changes[0].task_id
        if row.what == "handed over":
            back = waiting.pop(task, None)
            if back is not None and _belong(kept[back].changes[0], row.changes[0]):
                row.changes[:0] = kept.pop(back).changes
        elif row.what == "put back":
            waiting[task] = number
        elif row.what in _STATES:  # By then it is no more as it was when it was put back.
            waiting.pop(task, None)
    return [*kept.values()]


def _belong(back: Change, move: Change) -> bool:
    return back.late == move.late and 0 <= move.high - back.high <= _TOGETHER


def _place(item: Item) -> tuple[Any, ...]:
    return KINDS.index(item.what), item.agent is None, item.agent or "", item.task_id, item.not_after or 0


class _Step:
    """Changes of one task that were made at once, as what a person would say of them: `rows`."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self._left = list(changes)
        self.rows: list[_Row] = []
        tags = self._take(lambda change: change.field == "tags")
        failed = [change for change in tags if _failures(change.new) > _failures(change.old)]
        tags = [change for change in tags if change not in failed]
        own = [change for change in tags if _own(change.old) == _own(change.new)]
        self._left += [change for change in tags if change not in own]
        self._tell_moves()
        self._tell_failure(failed)
        finished = self._named("finished")
        if finished:  # That it must have been at work before, seen by nobody, is no more news.
            finished = self._take(lambda change: not change.seen) + finished
        self._tell("finished", finished)
        for what in _PLAIN:
            found = self._named(what)
            self._tell(what, found, _made(found[0].new) if found and what == "new" else "")
        self._tell("blocked", self._take(lambda change: change.means == "blocked"))
        self._tell("reprioritised", self._take(lambda change: change.field == "priority"))
        self._tell("edited", self._left)
        if own and not self.rows:
            self.rows.append(_Row("edited"))
        if own:  # What a scheduler notes for itself goes with what it did.
            self.rows[0].changes += own

    def _tell(self, what: str, changes: list[Change], more: str = "") -> None:
        if changes:
            self.rows.append(_Row(what, changes, more=[more]))

    def _take(self, holds: Callable[[Change], bool]) -> list[Change]:
        taken = [change for change in self._left if holds(change)]
        self._left = [change for change in self._left if not holds(change)]
        return taken

    def _named(self, what: str) -> list[Change]:
        return self._take(lambda change: _name(change) == what)

    def _tell_moves(self) -> None:
        """Tell of other hands and of another queue; whoever takes what nobody had has started it."""
        moves = self._take(lambda change: change.field in _MOVES)
        if not moves:
            return
        moves += self._take(lambda change: change.field == "previous_assigned_to")
        if [change.field for change in moves] == ["assigned_to"] and moves[0].old is None:
            started = self._take(lambda change: _name(change) == "started" and change.seen)
            if started:
                self._tell("started", started + moves)
                return
        means = {change.means for change in moves}
        what = next((what for what in ("bounced", "blocked") if what in means), "handed over")
        self._tell(what, moves + self._named("put back"))

    def _tell_failure(self, failed: list[Change]) -> None:
        if failed:
            number = _failures(failed[-1].new)
            runs = f"{number} run{'s' if number > 1 else ''} failed"
            self._tell("failed", failed + self._named("put back"), runs)


def _name(change: Change) -> str:
    """Return which of `KINDS` a change is by itself, an empty text if that depends on more."""
    if change.field in (CREATED, DELETED):
        return "new" if change.field == CREATED else "gone"
    if change.field == "blocked_by_task_id":
        return "unblocked" if change.new is None else ""
    if change.field in ("status", "archived_at"):
        return name_of(change.field, change.old, change.new)
    return ""


def _made(task: Any) -> str:
    """Return for whom a task was made, and what it waits for."""
    if not isinstance(task, dict):
        return ""
    agent, queue, waits = (task.get(name) for name in ("assigned_to", "queue_name", "blocked_by_task_id"))
    told = {"for ": agent, "in queue ": queue, "waits for #": waits}
    return ", ".join(f"{word}{_value('', value)}" for word, value in told.items() if value is not None)


def _legs(changes: Sequence[Change]) -> Iterator[str]:
    """Yield how fields went from one value to the next: `alice → bob → alice`, `queue dev → qa`."""
    paths: list[tuple[str, list[str]]] = []
    for change in filter(_says_more, changes):
        name = change.field
        if name in (BLOCKER, "blocked_by_task_id"):
            paths.append(("", [_waits(change)]))
            continue
        old, new = (_value(name, value) for value in (change.old, change.new))
        last = next((path for of, path in reversed(paths) if of == name), None)
        if last is not None and last[-1] == old:
            last.append(new)
        else:
            paths.append((name, [old, new]))
    for name, path in paths:
        yield _NAMES.get(name, f"{name.removesuffix('_task_id')} " if name else "") + " → ".join(path)


def _says_more(change: Change) -> bool:
    """Return whether from what to what it went is more than its kind says."""
    if change.field == "tags":
        return _own(change.old) != _own(change.new)
    return change.field not in ("status", "archived_at", "previous_assigned_to", CREATED, DELETED)


def _waits(change: Change) -> str:
    if change.field == BLOCKER:
        return f"#{change.new}, which it waits for, was reopened"
    if change.new is None:
        return f"no longer waits for #{change.old}"
    return f"waits for #{change.new}" + ("" if change.means == "blocked" else ", which is complete or gone")


def _value(name: str, value: Any) -> str:
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value))
    text = _NOBODY.get(name, "\N{EN DASH}") if value is None or value == "" else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _said(comment: Comment) -> str:
    text = "(its text is unknown)" if comment.text is None else comment.text
    return f"(edited) {text}" if comment.edited else text


def _latest(comment: Comment) -> int:
    """Return when a comment was written at the latest: a time in whole seconds is one to the second."""
    at = comment.at or 0
    return at + (at % SECOND == 0) * SECOND


def _failures(tags: Any) -> int:
    return failures(tags) if isinstance(tags, list | tuple) else 0


def _own(tags: Any) -> list[str]:
    """Return a task's tags without a scheduler's."""
    return others_of(tags) if isinstance(tags, list | tuple) else []
