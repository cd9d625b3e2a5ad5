"""A history while it is written: recorded here, or by somebody else, and told as soon as something is new."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from calypso_nb.errors import TinytaskClientError, UsageError
from calypso_nb.history.changes import moment_of
from calypso_nb.history.memory import Memory
from calypso_nb.history.recorder import Recorder
from calypso_nb.history.store import AlreadyRecordedError
from calypso_nb.workload.reporter import W_co

if TYPE_CHECKING:
    from calypso_nb.client import TinytaskClient

# How often it is asked whether somebody has written to the file, which takes microseconds.
WATCH_SECONDS = 0.25
# A recorder that is killed writes nothing more, so that its end has to be looked for.
_ALIVE_SECONDS = 1.0
# Ages grow while nothing happens, and some of them need attention once they are long enough.
_AGE_SECONDS = 300.0
# A kernel that says nothing for longer is gone, and the view says so.
BEAT_SECONDS = 20.0


class Liveness(NamedTuple):
    """How live the tasks of a history are.

    - how: how soon a change is seen, `live` or like `every 30 s`; None if nobody records any more
    - known: until when it is known how it is
    - away: since when the server can't be read, None if it can
    - why: what the last look at it failed with
    - stopped: since when nobody records
    """

    how: str | None
    known: datetime
    away: datetime | None = None
    why: str | None = None
    stopped: datetime | None = None


class Live(Memory[W_co]):
    """The tasks of a server, recorded until `close()`, or followed for as long as somebody else records them.

    - client: the server or file
    - makes: the class of its reports
    - path: the history's file
    - every, hub: as `Recorder` takes them

    Raise what `Recorder` raises, except that somebody else records that server.
    """

    def __init__(
        self,
        client: TinytaskClient,
        makes: type[W_co],
        path: str | os.PathLike[str],
        *,
        every: float,
        hub: str | None,
    ) -> None:
        self.makes = makes
        self._own: Recorder | None = None
        self._record = partial(Recorder, client, path, every=every, hub=hub)
        with suppress(AlreadyRecordedError):  # Whoever it is, what they write is as good.
            self._own = self._record()
        try:
            super().__init__(path, client.endpoint)
        except BaseException:
            if self._own is not None:
                self._own.stop()
            raise
        self._ending = threading.Event()
        self._version = -1
        self._comments: dict[int, int] = {}
        self._read_version: int | None = None
        self._tasks: Any = None
        self._stopped: datetime | None = None
        self._told: Liveness | None = None
        self._checked = self._shown = self._beat = time.monotonic()
        self._every, self._tried = every, -math.inf
        self._has_news()

    @property
    def recorder(self) -> Recorder | None:
        """The recorder that this one runs, None if somebody else records."""
        return self._own if self._own is not None and self._own.recording else None

    def follow(self, tell: Callable[[bool], object]) -> None:
        """Watch the file in a thread, until it is closed.

        - tell: called with True if the tasks have changed or are older by some minutes, with False if no more
          than `liveness` has, or if nothing has for `BEAT_SECONDS`
        """
        threading.Thread(target=self._follow, args=(tell,), name="calypso-nb-live", daemon=True).start()

    def close(self) -> None:
        """Stop recording, and close the file; twice is fine."""
        if self._ending.is_set() or sys.is_finalizing():  # Python's end stops all threads, and closes files.
            return
        self._ending.set()  # Not joined: whom the thread calls may be who closes it, or waits for that.
        if self._own is not None:
            self._own.stop()
        super().close()

    def read(self) -> W_co:
        """Report how it is, as far as is known; whatever comes after that is news."""
        self._has_news()
        self._shown = time.monotonic()
        return self.now()

    def commented(self) -> set[int]:
        """Return the tasks of which comments have come or gone since this was asked last."""
        before, self._comments = self._comments, self._comments_by_task()
        tasks = before.keys() | self._comments.keys()
        return {task for task in tasks if before.get(task) != self._comments.get(task)}

    @property
    def liveness(self) -> Liveness:
        """How live it is."""
        holder, server = self._store.recorder(self._asked or ""), self._number
        known = moment_of(0 if server is None else self._store.known(server))
        if holder is None:
            self._stopped = self._stopped or datetime.now(UTC)
            return Liveness(None, known, stopped=self._stopped)
        self._stopped = None
        failed = self._store.rows(
            "SELECT began, error FROM observation WHERE server = ? AND ok = 0 AND id > coalesce("
            "(SELECT max(id) FROM observation WHERE server = ? AND ok = 1), 0) ORDER BY id",
            server, server,
        )  # fmt: skip
        if failed:
            # When it was known is a bound, which may be a second late.
            return Liveness(holder.how, known, max(moment_of(failed[0][0]), known), failed[-1][1])
        own = self.recorder
        if own is not None and own.failure is not None:  # It could not be written down: a full disk, say.
            return Liveness(holder.how, known, known, own.failure)
        return Liveness(holder.how, known)

    @property
    def _number(self) -> int | None:
        number: int | None = self._store.scalar("SELECT max(id) FROM server WHERE name = ?", self._asked)
        return number

    def _follow(self, tell: Callable[[bool], object]) -> None:
        pause = WATCH_SECONDS
        while not self._ending.wait(pause):
            began = time.monotonic()
            # If the file can't be read just now, the view hears nothing, and says so.
            with suppress(OSError, UsageError):
                self._look(began, tell)
            # However fast things change, others get half of the time.
            pause = max(WATCH_SECONDS, time.monotonic() - began)

    def _look(self, now: float, tell: Callable[[bool], object]) -> None:
        version = self._store.changed()
        if version == self._version and now - self._checked < _ALIVE_SECONDS:
            return
        self._version, self._checked = version, now
        if self._has_news() or now - self._shown > _AGE_SECONDS:
            self._shown = now
            tell(True)
        liveness = self.liveness
        if liveness != self._told or now - self._beat > BEAT_SECONDS:
            self._told, self._beat = liveness, now
            tell(False)
        if liveness.how is None and self.recorder is None and now - self._tried > self._every:
            self._tried = now
            self._take_over()

    def _take_over(self) -> None:
        """Record it, now that nobody does; if that can't be done yet, it is tried again."""
        with suppress(OSError, UsageError, TinytaskClientError):
            if self._own is not None:
                self._own.stop()
            own = self._own = self._record()
            if self._ending.is_set():  # Closed meanwhile, so that nobody else stops it.
                own.stop()

    def _comments_by_task(self) -> dict[int, int]:
        rows = self._store.rows(
            "SELECT task_id, count(*) FROM note WHERE server = ? AND NOT gone GROUP BY task_id", self._number
        )
        return dict(rows)

    def _has_news(self) -> bool:
        """Return whether a task, comment or snooze has changed, come or gone since this was asked last."""
        # Asked first: what is written while the tasks are read gives another number.
        version = self._store.changed()
        if version == self._read_version:
            return False
        server = self._number
        records = self._store.rows("SELECT record FROM state WHERE server = ?", server)
        snoozes = () if server is None else self.snoozes.holding(moment_of(self._store.known(server)))
        tasks = server, hash(tuple(records)), self._comments_by_task(), snoozes
        before, self._read_version, self._tasks = self._tasks, version, tasks
        return bool(tasks != before)
