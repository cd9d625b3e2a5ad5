"""What one server showed and said, written down as what happened there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from calypso_nb.history.changes import (
    CREATED,
    DELETED,
    SAME_CHANGE,
    SECOND,
    Event,
    Push,
    Record,
    changes,
    merged,
    micros,
    record_of,
)
from calypso_nb.history.pushes import Pushed, comment_of, push_of
from calypso_nb.history.store import HistoryStore

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
        self._last = self._ended = 0  # The time before its last look, and after it.
        self._highest = self._newest = 0  # Of all tasks ever: the number, and when the last one was created.
        self._told: dict[int, int] = {}  # Of each task the time of its last push, which a listing may show.
        self._own = False  # Whether that one is of this run, so that another look can widen it.

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
        with self.store.transaction():
            self._open(found, began, jumped)
            assert self.server is not None
            if any(task.get("is_currently_blocked") is not None for task in tasks):
                self.store.write(
                    "UPDATE server SET says_blocked = 1 WHERE id = ? AND NOT says_blocked", self.server
                )
            newest = max((micros(task["updated_at"]) or 0 for task in found.values()), default=0)
            if jumped or ended < self._last or newest > ended + TOLERANCE:
                why = "edits of the future" if newest > ended + TOLERANCE else "the server's clock was set"
                self._fail(ended, f"{why}: times before and after don't compare")
                self._last, self._ended, self._own = min(self._last, began), max(ended, newest), False
            # Each look is later than the one before, however well its own times are known.
            began, ended = max(began, self._last), max(ended, self._ended)
            different = {
                task for task in found.keys() | self.state.keys() if found.get(task) != self.state.get(task)
            }
            waiting = self._waiting()
            if self._own and not different and not waiting:
                self._last, self._ended = began, ended
                self.store.look_again(self._observation, began, ended)
                return 0
            before, since = self._observation, self._last
            observation = self.store.observe(
                self.server, began, ended, tasks=len(found), pushed=pushed, **self._about
            )
            late = self._after(waiting, found, began, observation)
            known: dict[int, Record | None] = {}
            fresh: list[Event] = []
            for task in sorted(different | waiting.keys()):
                if task in waiting:
                    known[task] = self._work_out(task, before, found.get(task), since, ended)
                else:
                    certain = max(since, self._told.get(task, 0))
                    fresh += changes(task, self.state.get(task), (), found.get(task), certain, ended)
                    known[task] = found.get(task)
            self.store.add_events(self.server, before, fresh)
            for task in sorted(late):
                known[task] = self._work_out(task, observation, "unknown", began, ended)
            self._know(known)
            self._observation, self._last, self._ended, self._own = observation, began, ended, True
            self._forget(ended)
        return len(different)

    def still(self, now: int, *, write: bool) -> None:
        """Take in that nothing had changed by now.

        - write: whether to write that down too; it narrows what comes next in any case
        """
        if self._own and now > self._last:
            self._last = self._ended = now
            if write:
                self.store.look_again(self._observation, now, now)

    def fail(self, at: int, error: str) -> None:
        """Write down that the tasks could not be read."""
        if self.server is not None:
            self._fail(at, error)
            self._own = False

    def _fail(self, at: int, error: str) -> None:
        assert self.server is not None
        self.store.fail(self.server, at, error, **self._about)

    def _open(self, found: Mapping[int, Record], now: int, jumped: bool) -> None:
        """Go on where the file ends, or begin an epoch if these are the tasks of another database."""
        if self.server is None:
            self.server = self.store.server(self.name, now)
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
            self._told = dict(
                self.store.rows(
                    "SELECT task_id, max(not_before) FROM event WHERE server = ? AND pushed GROUP BY task_id",
                    self.server,
                )
            )
        if self._another_database(found, jumped):
            self._highest = self._newest = 0
            self._told = {}
            self.server = self.store.server(self.name, now, anew=True)
            self.state, self._observation = {}, 0
            self._last, self._ended, self._own = 0, 0, False

        self._highest = max(self._highest, max(found, default=0))
        made = (micros(task["created_at"]) or 0 for task in found.values())
        self._newest = max(self._newest, max(made, default=0))

    def _another_database(self, found: Mapping[int, Record], jumped: bool) -> bool:
        """Return whether these tasks can't be the known ones later on: a new database, or a restored backup."""
        for number, task in found.items():
            created, edited = (micros(task[name]) or 0 for name in ("created_at", "updated_at"))
            before = self.state.get(number)
            if before is None:
                # TinyTask gives no number twice.
                if number <= self._highest and created > self._newest + TOLERANCE:
                    return True
            elif before["created_at"] != task["created_at"] or (
                not jumped and edited < (micros(before["updated_at"]) or 0) - TOLERANCE
            ):
                return True
        return False

    # Pushes

    def hear(self, events: Iterable[Pushed]) -> int:
        """Write down what a server pushed, and return how many events were new.

        Once this returns they are in the file, whatever happens next.
        """
        new = 0
        with self.store.transaction():
            assert self.server is not None
            for event in events:
                comment = comment_of(event)
                written = self.store.write(
                    "INSERT OR IGNORE INTO inbox (server, key, task_id, type, at, payload) VALUES (?, ?, ?, ?, ?, ?)",
                    self.server, event.key, event.task_id, event.type, event.at, event.model_dump_json(),
                )  # fmt: skip
                new += written
                if not written:
                    continue
                if comment is not None:
                    self.store.note(self.server, comment, event.at)
                if event.task_id is not None:
                    self._place(event)
        return new

    def comments(self, comments: Iterable[Record]) -> int:
        """Keep comments that were read anyway, and return how many of them were new or have changed."""
        assert self.server is not None
        with self.store.transaction():
            return sum(
                self.store.note(self.server, comment, micros(comment.get("created_at")))
                for comment in comments
            )

    def _place(self, event: Pushed) -> None:
        """Find out between which two observations an event happened, and work that time out again."""
        assert self.server is not None
        task = event.task_id
        assert task is not None
        # What is told twice, in parts, is one change: each part alone may look as if a listing showed it.
        rows = self.store.rows(
            "SELECT id, payload, observation FROM inbox WHERE server = ? AND task_id = ? AND payload IS NOT NULL"
            " AND at BETWEEN ? AND ? ORDER BY at, id",
            self.server, task, event.at - SAME_CHANGE, event.at + SAME_CHANGE,
        )  # fmt: skip
        push = merged(push_of(Pushed.model_validate_json(payload)) for _, payload, _ in rows)
        before = self._interval(push)
        if before is None:
            return  # It stays in the inbox, without a place.
        self._told[task] = max(self._told.get(task, 0), push.at)
        moved = {observation for _, _, observation in rows} - {None, before}
        for number, _, _ in rows:
            self.store.write("UPDATE inbox SET observation = ? WHERE id = ?", before, number)
        for observation in sorted({before, *moved}):
            self._work_out_again(task, observation)
        # A push that a listing shows may be later than its beginning.
        following = self.store.rows(
            "SELECT id FROM observation WHERE server = ? AND ok AND id > ? AND last < ? ORDER BY id LIMIT 1",
            self.server, before, push.at,
        )  # fmt: skip
        if following:
            self._work_out_again(task, following[0][0])

    def _work_out_again(self, task: int, before: int) -> None:
        """Write down again what happened to a task after an observation, by what is known now."""
        assert self.server is not None
        [(last,)] = self.store.rows("SELECT last FROM observation WHERE id = ?", before)
        following = self.store.rows(
            "SELECT id, until FROM observation WHERE server = ? AND ok AND id > ? ORDER BY id LIMIT 1",
            self.server, before,
        )  # fmt: skip
        if following:
            after, until = following[0]
            self._work_out(task, before, self.store.record_before(self.server, task, after), last, until)
        else:
            self._know({task: self._work_out(task, before, "unknown", last, last)})

    def _interval(self, push: Push) -> int | None:
        """Return the observation before a push, None if it fits into no time between two."""
        assert self.server is not None
        assert push.task_id is not None
        looks = self.store.rows(
            "SELECT id, until FROM observation WHERE server = ? AND ok AND last <= ? ORDER BY id DESC LIMIT 2",
            self.server, push.at + TOLERANCE,
        )  # fmt: skip
        if not looks:
            return None
        before, until = looks[0]
        if len(looks) > 1 and push.at <= until + TOLERANCE:
            if _shows(self.store.record_before(self.server, push.task_id, before), push):
                before = looks[1][0]
        after = self.store.rows(
            "SELECT until FROM observation WHERE server = ? AND ok AND id > ? ORDER BY id LIMIT 1",
            self.server, before,
        )  # fmt: skip
        if after and (push.at > after[0][0] + TOLERANCE or after[0][0] < self._last - LATE):
            return None
        return int(before)

    def _work_out(
        self, task: int, before: int, found: Record | Literal["unknown"] | None, since: int, until: int
    ) -> Record | None:
        """Write down what happened to a task after an observation, and return the task after that."""
        assert self.server is not None
        old = self.store.record_before(self.server, task, before)
        rows = self.store.rows(
            "SELECT payload FROM inbox WHERE server = ? AND task_id = ? AND observation = ? AND payload IS NOT NULL"
            " ORDER BY at, id",
            self.server, task, before,
        )  # fmt: skip
        pushes = [push_of(Pushed.model_validate_json(payload)) for (payload,) in rows]
        # A push that the listing before already shows is later than its beginning.
        told = self.store.scalar(
            "SELECT max(not_before) FROM event WHERE server = ? AND task_id = ? AND observation < ? AND pushed",
            self.server, task, before,
        )  # fmt: skip
        events = changes(task, old, pushes, found, max(since, told or 0), until)
        self.store.replace_events(self.server, task, before, events)
        return self.store.record_before(self.server, task, before + 1) if found == "unknown" else found

    def _waiting(self) -> dict[int, list[tuple[int, Push]]]:
        """Return the tasks of which something was pushed since the last observation, with what that was."""
        rows = self.store.rows(
            "SELECT id, payload FROM inbox WHERE server = ? AND observation = ? AND task_id IS NOT NULL ORDER BY at, id",
            self.server, self._observation,
        )  # fmt: skip
        waiting: dict[int, list[tuple[int, Push]]] = {}
        for number, payload in rows:
            push = push_of(Pushed.model_validate_json(payload))
            assert push.task_id is not None
            waiting.setdefault(push.task_id, []).append((number, push))
        return waiting

    def _after(
        self,
        waiting: Mapping[int, list[tuple[int, Push]]],
        found: Mapping[int, Record],
        began: int,
        observation: int,
    ) -> set[int]:
        """Put the pushes that happened only after a listing behind it, and return their tasks."""
        late = set()
        for task, pushes in waiting.items():
            shown = [
                push.at <= began
                or _shows(
                    found.get(task), merged(one for _, one in pushes if abs(one.at - push.at) <= SAME_CHANGE)
                )
                for _, push in pushes
            ]
            # The last one that the listing shows takes all before it along.
            first = len(shown) - shown[::-1].index(True) if True in shown else 0
            for number, _ in pushes[first:]:
                self.store.write("UPDATE inbox SET observation = ? WHERE id = ?", observation, number)
                late.add(task)
        return late

    def _know(self, records: Mapping[int, Record | None]) -> None:
        assert self.server is not None
        self.store.set_state(self.server, records.items())
        for task, record in records.items():
            if record is None:
                self.state.pop(task, None)
            else:
                self.state[task] = record

    def _forget(self, now: int) -> None:
        """Let go of what no late event can need any more: whole tasks would fill the file."""
        self.store.write(
            "UPDATE inbox SET payload = NULL WHERE server = ? AND observation < ? AND payload IS NOT NULL"
            " AND observation IN (SELECT id FROM observation WHERE server = ? AND ended < ?)",
            self.server, self._observation, self.server, now - LATE,
        )  # fmt: skip
        self.store.write(
            "DELETE FROM inbox WHERE server = ? AND payload IS NULL AND at < ?",
            self.server,
            now - _DUPLICATES,
        )


def _shows(record: Record | None, push: Push) -> bool:
    """Return whether a task, as a listing shows it, has gone through what was pushed."""
    if push.kind == DELETED or record is None:
        return push.kind == DELETED and record is None
    if push.kind == CREATED:
        return True
    edited, second = micros(record["updated_at"]) or 0, push.at // SECOND * SECOND
    if edited > second:
        return True
    told = push.before | push.after
    # Neither a comment nor archiving is an edit.
    is_edit = push.after.keys() - {"archived_at"} and told.get("archived_at") is None
    return all(record[name] == value for name, value in told.items()) and (
        edited >= second - SECOND or not is_edit
    )
