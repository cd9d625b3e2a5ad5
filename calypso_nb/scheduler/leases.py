"""A lease: one comment on a task that says who runs it now. TinyTask numbers comments in one order.

The rule: **the lowest-numbered live lease owns the task**. A lease is alive while the server's clock is less
than the lease's length past the comment's last edit, so its holder edits it again and again. No process's
clock is compared with another's: `now` is the time in the server's response to one's own comment. A holder
counts from the moment *before* it sent the edit, on its own clock, and gives up at three quarters of the
length.

The server's clock may be set forward, and the server may have been away, so that nobody could sign. Therefore
whoever takes over watches a dead lease for half its length first, by its own clock: a holder that lives signs
meanwhile, and one that has ended its run reports it. Taking over begins with deleting the dead lease: an edit
that comes too late then fails, and its holder knows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from calypso_nb.client.runs import Lease, leases_of
from calypso_nb.errors import TinytaskAPIError, TinytaskConnectionError
from calypso_nb.records import Task
from calypso_nb.run_marks import AUTHOR
from calypso_nb.scheduler.watchdog import clock

if TYPE_CHECKING:
    from calypso_nb.client import TinytaskClient

GIVE_UP = 0.75
_BEAT = 0.25
_WATCH = 0.5
_LOOK_SECONDS = 1.0
_PAUSE_SECONDS = 0.2
_STOPPING_SECONDS = 5.0

T = TypeVar("T")


class LeaseRefused(Exception):
    """Somebody else holds the task; the message says who."""


class LeaseLost(Exception):
    """This process may no longer act on the task: its lease is over, or has been taken over."""


@dataclass
class Hold:
    """A lease that this process holds.

    - what: one line of text that begins with a host.
    - until: when this process must have ended everything it does for the task, by `clock()`.
    - lost: the dead leases that it has taken over.
    - stopped: returns whether to give up soon if the server doesn't respond.
    """

    client: TinytaskClient
    task_id: int
    run: str
    seconds: int
    what: str
    until: float
    comment_id: int = 0
    signs: int = 1
    lost: list[Lease] = field(default_factory=list)
    stopped: Callable[[], bool] = lambda: False

    @property
    def text(self) -> str:
        """Its comment as it is now."""
        return f"Lease {self.run} of {self.seconds} s, sign {self.signs}: {self.what}"

    @property
    def due(self) -> float:
        """When the next sign is due, by `clock()`."""
        return self.until - (GIVE_UP - _BEAT) * self.seconds

    def check(self) -> None:
        """Raise LeaseLost if the lease is over by this process's own clock."""
        if clock() >= self.until:
            raise LeaseLost("its lease was over before the server could be told that it goes on")

    def begin(self) -> None:
        """Say that the run begins."""
        self.what = self.what.replace(" takes ", " runs ", 1)
        self.signs += 1
        self.insist(lambda: self.client.update_comment(self.comment_id, self.text))

    def beat(self) -> None:
        """Give a sign of life, or raise LeaseLost if the lease is over or gone.

        A server that doesn't respond is not an error yet: `until` stays as it was.
        """
        self.check()
        sent = clock()
        self.signs += 1
        try:
            self.client.update_comment(self.comment_id, self.text)
        except TinytaskConnectionError:
            return
        except TinytaskAPIError as error:
            raise LeaseLost(f"its lease is gone: {error.reason}") from error
        # A late response may be about a lease that had died before, and may be taken over by now.
        self.check()
        self.until = sent + GIVE_UP * self.seconds

    def revive(self) -> None:
        """Give a sign although the lease may be over: while its comment is there, nobody has taken it over.

        Raise LeaseLost if it is gone, TinytaskConnectionError if the server doesn't respond.
        """
        self.until = clock() + GIVE_UP * self.seconds
        self.signs += 1
        try:
            self.client.update_comment(self.comment_id, self.text)
        except TinytaskAPIError as error:
            raise LeaseLost(f"its lease is gone: {error.reason}") from error

    def task(self) -> Task:
        """Return the task as it is now; raise LeaseLost if the lease is not among its comments."""
        task = self.insist(lambda: self.client.get_task(self.task_id))
        if all(lease.comment_id != self.comment_id for lease in leases_of(task)):
            raise LeaseLost("its lease is gone: it was taken over, or somebody deleted the comment")
        self.check()
        return task

    def insist(self, call: Callable[[], T]) -> T:
        """Repeat an idempotent call until the server responds; raise LeaseLost once the lease is over."""
        began = clock()
        while True:
            self.check()
            try:
                return call()
            except TinytaskConnectionError:
                if self.stopped():
                    self.until = min(self.until, began + _STOPPING_SECONDS)
                time.sleep(_PAUSE_SECONDS)

    def write(self, call: Callable[[], object], landed: Callable[[Task], bool]) -> None:
        """Write to the task as `insist` does; if the outcome is unknown, check whether it has `landed`."""
        unknown = False

        def once() -> None:
            nonlocal unknown
            if unknown and landed(self.client.get_task(self.task_id)):
                return
            try:
                call()
            except TinytaskConnectionError as error:
                unknown = unknown or error.outcome_unknown
                raise

        self.insist(once)

    def delete(self, comment_id: int) -> None:
        """Delete this lease or a dead one without a trace, unless somebody else has done it."""
        with suppress(TinytaskAPIError):
            self.insist(lambda: self.client.delete_comment(comment_id))


def take(
    client: TinytaskClient,
    task_id: int,
    run: str,
    seconds: int,
    what: str,
    *,
    now: datetime | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> tuple[Hold, Task]:
    """Take the lease of a task, also over dead ones, and return it with the task as read under it.

    `now` is a recent time of the server's clock, if known: if a lease is alive by it, nothing is written.
    Raise LeaseRefused if somebody else holds the task, LeaseLost if taking it took too long.
    """
    if now is not None:
        _refuse_if_alive(leases_of(client.get_task(task_id)), now)
    hold = Hold(client, task_id, run, seconds, what, clock() + GIVE_UP * seconds, stopped=stopped)
    now = _written(hold)
    task = hold.task()
    before = [lease for lease in leases_of(task) if lease.comment_id < hold.comment_id]
    try:
        _refuse_if_alive(before, now)
        _watch(hold, before)
    except LeaseRefused:
        hold.delete(hold.comment_id)
        raise
    for lease in before:
        hold.delete(lease.comment_id)
        hold.lost.append(lease)
    return hold, hold.task() if before else task


def _watch(hold: Hold, dead: list[Lease]) -> None:
    """Raise LeaseRefused if one of the dead leases gets a sign of life, or becomes a record, meanwhile."""
    seconds = _WATCH * max((lease.seconds for lease in dead), default=0)
    pause = min(_LOOK_SECONDS, seconds / 4)
    seen = looked = clock()
    signs = {lease.comment_id: lease.sign for lease in dead}
    while clock() < seen + seconds:
        if hold.stopped():
            raise LeaseRefused("stopped before it began")
        time.sleep(pause)
        if clock() >= hold.due:
            hold.beat()
        task = hold.task()
        if clock() > looked + 2 * pause + 1:  # The server was away: its holder could not sign either.
            seen = clock()
        looked = clock()
        now = {lease.comment_id: lease for lease in leases_of(task)}
        for number, sign in signs.items():
            if number not in now:
                raise LeaseRefused("its run has just been told of")
            if now[number].sign != sign:
                raise LeaseRefused(f"claimed by {now[number].host} 0 s ago")


def _written(hold: Hold) -> datetime:
    """Add the lease's comment, once, and return the server's time of it."""
    try:
        comment = hold.client.add_comment(hold.task_id, hold.text, AUTHOR)
    except TinytaskConnectionError as error:
        if not error.outcome_unknown:
            raise
        # It may be there. If it arrives later, it gets no more signs and dies.
        task = hold.insist(lambda: hold.client.get_task(hold.task_id))
        mine = [lease for lease in leases_of(task) if lease.run == hold.run]
        if not mine:
            raise
        hold.comment_id = mine[0].comment_id
        return mine[0].signed_at
    hold.comment_id = comment.id
    return comment.updated_at or comment.created_at or datetime.min.replace(tzinfo=UTC)


def _refuse_if_alive(leases: list[Lease], now: datetime) -> None:
    for lease in leases:
        if not lease.is_dead(now):
            raise LeaseRefused(f"claimed by {lease.host} {lease.silent(now):.0f} s ago")
