"""What one server showed and said, written down as what happened there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from typing import Any

from calypso_nb.history.changes import (
    NEVER,
    SECOND,
    Event,
    Look,
    Record,
    changes,
    micros,
    record_of,
    replayed,
    told,
)
from calypso_nb.history.pushes import Pushed, comment_of, push_of
from calypso_nb.history.store import HistoryStore, unpacked

# How far two statements of the same clock may be from each other.
TOLERANCE = 2 * SECOND
# For how long after a listing what is told late of the time before it still narrows that time.
LATE = 3600 * SECOND
_DUPLICATES = 24 * 3600 * SECOND


class Journal:
    """Writes down one server in one file; whoever calls it holds that server's place as the recorder.

    - store: the file
    - name: the server, without credentials
    - source: what shows the tasks: `listing` or `file`
    - every: in how many microseconds after a look the next is due
    """

    def __init__(self, store: HistoryStore, name: str, source: str, every: int) -> None:
        self.store, self.name = store, name
        self._about = {"source": source, "every": every}
        self.server: int | None = None
        self.state: dict[int, Record] = {}
        self._observation = 0  # The last one that went well, of an earlier run too.
        self._own = False  # Whether that one is of this run, so that another look can widen it.
        self._last = self._ended = 0  # The time before its last look, and after it.
        self._highest = self._newest = 0  # Of all tasks ever: the number, and when the last one was created.
        self._settled = 0  # The look from which on what is told late can still change what is written down.
        self._unplaced: dict[int, int] = {}  # Tasks that were pushed and not told of yet, and from when on.

    # Listings

    def see(
        self,
        tasks: Iterable[Mapping[str, Any]],
        began: int,
        ended: int,
        *,
        jumped: bool = False,
        pushed: bool = False,
    ) -> int:
        """Write down what a listing shows, and return how many tasks it shows to have changed.

        - tasks: all tasks, archived ones included
        - began, ended: the server's time before it was asked, and after it had answered
        - jumped: whether the server's clock has been set since the last listing
        - pushed: whether the server could push all the time since then
        """
        tasks = list(tasks)
        found = {task["id"]: record_of(task) for task in tasks}
        with self._writing():
            self._open(found, began, ended, jumped)
            assert self.server is not None
            if any(task.get("is_currently_blocked") is not None for task in tasks):
                self.store.write(
                    "UPDATE server SET says_blocked = 1 WHERE id = ? AND NOT says_blocked", self.server
                )
            different = {
                task for task in found.keys() | self.state.keys() if found.get(task) != self.state.get(task)
            }
            # Each look is later than the one before, however well its own times are known.
            since, until = self._last, max(ended, self._ended)
            stamps = [micros(found[task]["updated_at"]) for task in different & found.keys()]
            edits = [stamp for stamp in stamps if stamp is not None]
            newest = max(edits, default=0)
            turned = jumped or ended < self._last or newest > ended + TOLERANCE
            if turned:
                why = "edits of the future" if newest > ended + TOLERANCE else "the server's clock was set"
                self._fail(ended, f"{why}: times before and after don't compare")
                since, until, self._own = min([since, began, *edits]), max(until, newest), False
            else:
                began, ended = max(began, since), until
            recent = {} if turned else self._recent() | self._unplaced
            if self._own and not different and not recent:
                self._last, self._ended = began, ended
                self.store.look_again(self._observation, began, ended)
                return 0
            before = self._observation
            observation = self.store.observe(
                self.server, began, ended, until=until, tasks=len(found), pushed=pushed, **self._about
            )
            if turned:
                self._settled = observation
            fresh: list[Event] = []
            known = {task: found.get(task) for task in different}
            for task in sorted(different - recent.keys()):
                fresh += changes(task, self.state.get(task), (), found.get(task), since, until)
            if turned and before:  # Nobody knows by which of the two clocks it was.
                fresh = [event._replace(not_before=since, not_after=until) for event in fresh]
            self.store.add_events(self.server, before, fresh)
            for task, time in recent.items():
                look = Look(observation, began, until, found.get(task), pushed, began, ended)
                known[task] = self._tell_again(task, time, look)
            self._know(known)
            self._observation, self._last, self._ended, self._own = observation, began, ended, True
            self._forget()
            self._unplaced = {}
        return len(different)

    def still(self, now: int, *, write: bool) -> None:
        """Take in that nothing had changed by now.

        - write: whether to write that down too; it narrows what comes next in any case
        """
        if self._own and now > self._last:
            self._last = self._ended = now
            if write:
                self.store.look_again(self._observation, now, now)

    def alive(self, now: int) -> None:
        """Take in that the server could still tell; what it doesn't tell may have happened all the same."""
        if self._own and now > self._ended:
            self._ended = now
            self.store.write("UPDATE observation SET ended = ? WHERE id = ?", now, self._observation)

    def fail(self, at: int, error: str) -> None:
        """Write down that the tasks could not be read."""
        if self.server is not None:
            self._fail(at, error)
            self._own = False

    def _fail(self, at: int, error: str) -> None:
        assert self.server is not None
        self.store.fail(self.server, at, error, **self._about)

    def _open(self, found: Mapping[int, Record], now: int, ended: int, jumped: bool) -> None:
        """Go on where the file ends, or begin an epoch if these are the tasks of another database."""
        if self.server is None:
            self.server = self.store.server(self.name, now)
            self._load()
        if self._another_database(found, jumped or ended < self._last):
            self._highest = self._newest = 0
            self._settled = 0
            self._unplaced = {}
            self.server = self.store.server(self.name, now, anew=True)
            self.state, self._observation = {}, 0
            self._last, self._ended, self._own = 0, 0, False

        self._highest = max(self._highest, max(found, default=0))
        made = (micros(task["created_at"]) or 0 for task in found.values())
        self._newest = max(self._newest, max(made, default=0))

    def _load(self) -> None:
        """Take what is known from the file."""
        assert self.server is not None
        self.state = self.store.state(self.server)
        rows = self.store.rows(
            "SELECT id, last, ended FROM observation WHERE server = ? AND ok ORDER BY id DESC LIMIT 1",
            self.server,
        )
        self._observation, self._last, self._ended = rows[0] if rows else (0, 0, 0)
        self._highest, self._newest = self.store.rows(
            "SELECT coalesce(max(task_id), 0), coalesce(max(not_before), 0) FROM event"
            " WHERE server = ? AND field = 'created'",
            self.server,
        )[0]
        self._settle()
        self._unplaced = dict(
            self.store.rows(
                "SELECT task_id, min(at) FROM inbox WHERE server = ? AND observation IS NULL"
                " AND payload IS NOT NULL AND task_id IS NOT NULL GROUP BY task_id",
                self.server,
            )
        )
        self._own = False

    def _another_database(self, found: Mapping[int, Record], jumped: bool) -> bool:
        """Return whether these tasks are not the known ones later on, but of a new database or a backup."""
        for number, task in found.items():
            created, edited = (micros(task[name]) or 0 for name in ("created_at", "updated_at"))
            before = self.state.get(number)
            if before is None:
                # TinyTask gives no number twice.
                other = number <= self._highest and created > self._newest + TOLERANCE
            else:
                # Or an edit from before the last look, which showed a later one.
                latest = min(micros(before["updated_at"]) or 0, self._last) - TOLERANCE
                other = before["created_at"] != task["created_at"] or (edited < latest and not jumped)
            if other:
                return True
        return False

    # Pushes

    def _recent(self) -> dict[int, int]:
        """Return the tasks that were pushed since the last look was asked for, and when each was first."""
        return dict(
            self.store.rows(
                "SELECT task_id, min(at) FROM inbox WHERE server = ? AND at >= ? AND payload IS NOT NULL"
                " AND task_id IS NOT NULL GROUP BY task_id",
                self.server, self._last,
            )
        )  # fmt: skip

    def hear(self, events: Iterable[Pushed]) -> int:
        """Write down what a server pushed, and return how many events were new.

        Once this returns they are in the file, whatever happens next; `tell` makes changes of them.
        """
        new = 0
        with self._writing():
            assert self.server is not None
            for event in events:
                written = self.store.write(
                    "INSERT OR IGNORE INTO inbox (server, key, task_id, type, at, payload)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    self.server, event.key, event.task_id, event.type, event.at, event.model_dump_json(),
                )  # fmt: skip
                new += written
                comment = comment_of(event)
                if written and comment is not None:
                    self.store.note(self.server, comment, event.at)
                if written and event.task_id is not None:
                    self._unplaced[event.task_id] = min(self._unplaced.get(event.task_id, event.at), event.at)
        return new

    def tell(self) -> bool:
        """Make changes of what has been pushed, and return whether there was anything."""
        if not self._unplaced:
            return False
        with self._writing():
            self._know({task: self._tell_again(task, since) for task, since in self._unplaced.items()})
            self._unplaced = {}
        return True

    def comments(self, comments: Iterable[Record]) -> int:
        """Keep comments that were read anyway, and return how many of them were new or have changed."""
        assert self.server is not None
        with self.store.transaction():
            return sum(
                self.store.note(self.server, comment, micros(comment.get("created_at")))
                for comment in comments
            )

    def _tell_again(self, task: int, since: int, now: Look | None = None) -> Record | None:
        """Write down again what happened to a task, by all that is known now, and return the task after that.

        - since: the time from which on there is news
        - now: a look that is not yet in the file
        """
        assert self.server is not None
        end = NEVER if now is None else now.number
        # From the last look that is surely earlier than all of that, and than each push that is told again.
        first = self.store.scalar(
            "SELECT id FROM observation WHERE server = ? AND ok AND until < ? AND id >= ? AND id < ?"
            " AND NOT EXISTS (SELECT 1 FROM inbox WHERE inbox.server = observation.server AND task_id = ?"
            " AND inbox.observation >= observation.id AND at <= until) ORDER BY id DESC LIMIT 1",
            self.server, since - TOLERANCE, self._settled, end, task,
        ) or self._settled  # fmt: skip
        looks = [*self._looks(task, first, end)]
        if now is not None:
            looks.append(now)
        if not first:  # What was said before the first look of all may be about another database.
            begun = looks[1].last
        else:
            begun = looks[0].until + 1
            earlier = self.store.scalar(
                "SELECT max(at) FROM inbox WHERE server = ? AND task_id = ? AND observation < ?",
                self.server, task, first,
            )  # fmt: skip
            looks = [look._replace(last=max(look.last, earlier or 0)) for look in looks]
        rows = self.store.rows(
            "SELECT id, payload FROM inbox WHERE server = ? AND task_id = ? AND payload IS NOT NULL"
            " AND (observation >= ? OR (observation IS NULL AND at >= ?)) ORDER BY at, id",
            self.server, task, first, begun,
        )  # fmt: skip
        pushes = [
            push_of(Pushed.model_validate_json(payload))._replace(numbers=(number,))
            for number, payload in rows
        ]
        self.store.forget_events(self.server, task, first)
        self.store.write(
            "UPDATE inbox SET observation = NULL WHERE server = ? AND task_id = ? AND observation >= ?",
            self.server, task, first,
        )  # fmt: skip
        record = looks[-1].record
        for look, following, events in told(task, looks, pushes):
            self.store.add_events(self.server, look.number, events)
            for number in (number for push in following for number in push.numbers):
                self.store.write("UPDATE inbox SET observation = ? WHERE id = ?", look.number, number)
            if look is looks[-1]:
                record = replayed([(event.field, event.new) for event in events], record)
        return record

    def _looks(self, task: int, first: int, end: int) -> Iterator[Look]:
        """Yield a task as each look found it, by what has been written down, from one of the looks on.

        - first: the number of that look, 0 for the time before any
        - end: the number of the look before which to stop
        """
        assert self.server is not None
        record = self.store.record_before(self.server, task, first)
        events = {
            number: [*group]
            for number, group in groupby(
                self.store.rows(
                    "SELECT observation, field, new FROM event"
                    " WHERE server = ? AND task_id = ? AND observation >= ? ORDER BY observation, id",
                    self.server, task, first,
                ),
                key=itemgetter(0),
            )
        }  # fmt: skip
        looks = self.store.rows(
            "SELECT id, last, until, pushed, began, ended FROM observation"
            " WHERE server = ? AND ok AND id >= ? AND id < ? ORDER BY id",
            self.server, first, end,
        )  # fmt: skip
        for number, last, until, *about in looks if first else [(0, 0, 0, False, 0, 0), *looks]:
            yield Look(number, last, until, record, *about)
            changed = events.get(number, ())
            record = replayed([(field, unpacked(field, new)) for _, field, new in changed], record)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Do all of the block or none of it; after a failure what is known is what the file says."""
        try:
            with self.store.transaction():
                self.store.check(self.name)
                yield
        except BaseException:
            known = self.store.scalar("SELECT max(id) FROM server WHERE name = ?", self.name)
            self.server, self._settled, self.state = known, 0, {}
            if known is not None:
                self._load()
            raise

    def _know(self, records: Mapping[int, Record | None]) -> None:
        assert self.server is not None
        self.store.set_state(self.server, records.items())
        for task, record in records.items():
            if record is None:
                self.state.pop(task, None)
            else:
                self.state[task] = record

    def prune(self, before: int) -> int:
        """Forget what happened before a time, and return how many events that were."""
        if self.server is None:
            return 0
        with self.store.transaction():
            number = self.store.prune_epochs(self.name, before) + self.store.prune(self.server, before)
            self._settle()
        return number

    def _settle(self) -> None:
        assert self.server is not None
        looks = "SELECT {}(id) FROM observation WHERE server = ? AND ok"
        settled = self.store.scalar(f"{looks.format('max')} AND ended < ?", self.server, self._ended - LATE)
        begun = self.store.scalar(looks.format("min"), self.server) or 0
        # What was there when the rest was forgotten is as it is.
        folded = "SELECT 1 FROM event WHERE server = ? AND observation = ? AND 0 < observation LIMIT 1"
        forgotten = self.store.scalar(folded, self.server, begun - 1)
        self._settled = max(self._settled, settled or 0, begun if forgotten else 0)

    def _forget(self) -> None:
        """Let go of what no late event can need any more: whole tasks would fill the file."""
        self._settle()
        self.store.write(
            "UPDATE inbox SET payload = NULL WHERE server = ? AND payload IS NOT NULL"
            " AND (observation < ? OR (observation IS NULL AND at < ?))",
            self.server, self._settled, self._ended - LATE,
        )  # fmt: skip
        self.store.write(
            "DELETE FROM inbox WHERE server = ? AND payload IS NULL AND at < ?",
            self.server, self._ended - _DUPLICATES,
        )  # fmt: skip
