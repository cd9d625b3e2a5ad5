"""Record what happens on a server while it happens, in the background, until stopped."""

from __future__ import annotations

import math
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from calypso_nb.client.calls import unexpected
from calypso_nb.errors import TinytaskClientError, UsageError
from calypso_nb.history.changes import SECOND, is_number, micros_of, moment_of
from calypso_nb.history.hub import Hub
from calypso_nb.history.journal import Journal
from calypso_nb.history.moments import length_of
from calypso_nb.history.pushes import Pushed, pushed
from calypso_nb.history.store import LEASE_SECONDS, HistoryStore
from calypso_nb.settings import HUB_TOKEN, load_settings

if TYPE_CHECKING:
    from calypso_nb.client import TinytaskClient

# How often the times of a file are looked at, and how soon after a push all tasks are listed: a push says
# nothing of parents, of blocked tasks and of what a cleared queue held.
WATCH_SECONDS = 0.5
SETTLE_SECONDS = 0.5
# While a server pushes, it is listed all the same now and then: of what it pushes some can be lost.
PUSHED_SECONDS = 600.0
_PRUNE_SECONDS = 3600.0
_STAY_SECONDS = LEASE_SECONDS / 4
# Within so many microseconds a file system may give two writes the same time.
_TICK = 20_000


class Recorder:
    """Writes down what happens to the tasks of a server or a database file, from now on until `stop()`.

    It works in the background, so that the cell is free. It looks at all tasks every so often, which costs a
    server one request without a body while nothing changes; a database file is read only once it has been
    written to. With a hub, a TinyTask v2 tells it each change as it happens.

    - client: the server or file, as a client of its own or a shared one
    - path: the history's file, made if it is not there: by default `TINYTASK_HISTORY`, then `history.db`
    - every: seconds between two looks
    - hub: `HOST:PORT` at which to be told of changes; `hub_url` is what the server needs to be given
    - keep: forget what is older than that, as a timedelta or like `"180d"`; by default nothing is forgotten
    - on_change: called, in a thread of the recorder's, after changes have been written down
    - name: what the server is called in the history, by default its address

    Raise what `client.look()` raises if the first look fails; later failures are written down as gaps. Raise
    UsageError if somebody else records that server in that file, and if the file is not a history; OSError
    if it can't be written, or the hub's port is not available.
    Example: `with Recorder(client, tmp_path / "history.db") as recorder: recorder.look()`
    """

    def __init__(
        self,
        client: TinytaskClient,
        path: str | os.PathLike[str] | None = None,
        *,
        every: float = 30.0,
        hub: str | None = None,
        keep: timedelta | str | None = None,
        on_change: Callable[[], object] | None = None,
        name: str | None = None,
    ) -> None:
        self.client, self.every = client, _seconds(every)
        self.name = client.endpoint if name is None else name
        self.path = Path(load_settings().history if path is None else path).expanduser()
        self.failure: str | None = None  # What went wrong at the last look, if anything.
        self._keep = None if keep is None else length_of(keep)
        self._on_change = on_change
        self._who = secrets.token_hex(8)
        self._wake = threading.Condition()
        self._looking = threading.Lock()
        self._stopping = False
        self._hub: Hub | None = None
        self._written = client.written()
        self._asked = self._due = self._renewed = time.monotonic()
        self._pruned = -math.inf
        self._heard = time.monotonic()  # When it was written down last that the server could push.
        self._commented = ""  # The time of the wire from which on comments may be new.
        self._jumps = 0
        self._store = HistoryStore(self.path, write=True)
        source = "listing" if self._written is None else "file"
        self._journal = Journal(self._store, self.name, source, int(self.every * SECOND))
        self._thread: threading.Thread | None = None
        self._how = self.how  # As the file has it.
        self._unkept = 0
        try:
            self._store.take(self.name, self._who, self._how)
            self.look()
            if hub is not None:
                self._hub = Hub(hub, _token(self.path), self._receive)
                self._hub.start()
        except BaseException:
            self.stop()
            raise
        client.comment_listeners.append(self._keep_read)
        self._thread = threading.Thread(target=self._record, name="calypso-nb-recorder", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Recorder of {self.name} in {self.path}: {self.how}>"

    @property
    def how(self) -> str:
        """How soon it sees a change: `live`, or like `every 30 s`."""
        return "live" if self._written is not None or self._pushed else f"every {self.every:g} s"

    @property
    def hub_url(self) -> str | None:
        """What the server needs as `TINYTASK_SIGNALR_HUB_URL`, which holds a secret; None without a hub."""
        return None if self._hub is None else self._hub.url

    @property
    def recording(self) -> bool:
        """Whether it goes on; `failure` says why not, or what keeps failing."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def unkept(self) -> int:
        """How many of the pushed events could not be kept; a look shows what they changed."""
        return 0 if self._hub is None else self._hub.unkept

    @property
    def _pushed(self) -> bool:
        return self._hub is not None and self._hub.connected_since is not None

    def stop(self) -> None:
        """Stop recording, and let another recorder begin; stopping twice is fine.

        Example: `recorder.stop()`
        """
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        with suppress(ValueError):
            self.client.comment_listeners.remove(self._keep_read)
        try:
            if self._hub is not None:
                self._hub.stop()
            if self._thread is not None and self._thread is not threading.current_thread():
                self._thread.join()
            with suppress(OSError, UsageError):
                self._journal.tell()
        finally:
            with suppress(OSError, ValueError):
                self._store.leave(self.name, self._who)
            self._store.close()

    def look(self) -> int:
        """Look at all tasks now, and return how many have changed since the last look.

        Example: `recorder.look() == 0`
        """
        with self._looking:
            asked, written = time.monotonic(), self.client.written()
            self._due = math.inf  # What is pushed from now on has it look again.
            since = None if self._hub is None else self._hub.connected_since
            try:
                look = self.client.look(self._commented)
                if not all(is_number(task["id"]) for task in look.tasks):
                    raise unexpected("list_tasks", self.name)
            except TinytaskClientError as error:
                self.failure = str(error)
                self._journal.fail(self._now(), self.failure)
                raise
            finally:
                pause = max(self.every, PUSHED_SECONDS) if self._pushed else self.every
                with self._wake:
                    self._due = min(self._due, time.monotonic() + pause)
            changed = self._journal.see(
                look.tasks,
                int(look.began * SECOND),
                int(look.ended * SECOND) + 1,
                jumped=look.jumps != self._jumps,
                pushed=since is not None and since <= self._asked,
            )
            self._jumps = look.jumps
            noted = self._journal.comments([*look.comments, *self._deleted(look.comment_ids)])
            self._asked, self._written, self.failure = asked, written, None
            if written is not None:
                self._commented = f"{moment_of(int(look.began - 2) * SECOND):%Y-%m-%d %H:%M:%S}"
        if changed or noted:
            self._tell()
        return changed

    def hear(self, events: Iterable[Pushed]) -> None:
        """Write down what a server has said; once this returns it is in the file, whatever happens next."""
        if self._journal.hear(events):
            self._journal.tell()
            self._tell()

    def prune(self) -> int:
        """Forget what is older than is to be kept, and return how many changes those were.

        The recorder does that by itself each hour.
        Example: `recorder.prune() == 0`
        """
        if self._keep is None:
            return 0
        return self._journal.prune(self._now() - self._keep // timedelta(microseconds=1))

    def _record(self) -> None:
        while self._go_on():
            pass

    def _go_on(self) -> bool:
        """Wait, and do what is to be done then; return False if that was the last time."""
        going = True
        try:
            going = self._wait()
            if going:
                self._stay()
            due = going and time.monotonic() >= self._due
            if due and self._journal.tell():
                self._tell()  # Whether or not the server can be read.
            if due or (not going and self.failure is None):
                self.look()  # The last one, so that what is known ends with the recorder, and not before.
        except TinytaskClientError:
            pass  # It is written down, and the next look is due as ever.
        except UsageError as error:  # Another recorder has taken over while this computer slept, say.
            self.failure = str(error)
            return False
        except Exception as error:
            # A full disk, say, or what nobody thought of: it is tried again, but not at once.
            self.failure = str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            self._due = max(self._due, time.monotonic() + SETTLE_SECONDS)
            with self._wake:
                if not self._stopping:
                    self._wake.wait(SETTLE_SECONDS)
        return going

    def _wait(self) -> bool:
        """Wait until there may be something to do; return False once it is to stop."""
        most = _STAY_SECONDS if self._written is None and self._hub is None else WATCH_SECONDS
        with self._wake:
            if not self._stopping:
                self._wake.wait(min(max(self._due - time.monotonic(), 0), most))
            if self._stopping:
                return False
        if self._written is not None:
            now = self._now()
            if self.client.written() != self._written:
                self._due = 0.0
            else:  # What happens next happens after that.
                self._journal.still(now - _TICK, write=time.monotonic() - self._asked > self.every)
        elif self._pushed and self.failure is None and time.monotonic() - self._heard > self.every:
            self._journal.alive(self._now())
            self._heard = time.monotonic()
        return True

    def _stay(self) -> None:
        """Stay the recorder of this server, and forget what is too old, from time to time."""
        now, how = time.monotonic(), self.how
        if how != self._how and how != "live" and self._hub is not None and self.failure is None:
            self._journal.alive(self._now())
        # What happened before it could push, or while it can't, only a look shows.
        if how != self._how or self.unkept != self._unkept:
            self._due = min(self._due, now + SETTLE_SECONDS)
            self._unkept = self.unkept
        if how != self._how or now - self._renewed > _STAY_SECONDS:
            self._store.take(self.name, self._who, how)
            self._renewed, self._how = now, how
        if now - self._pruned > _PRUNE_SECONDS:
            self.prune()
            self._pruned = now

    def _receive(self, event: Any) -> None:
        known = pushed(event)
        if known is None:
            return
        self._journal.hear([known])
        with self._wake:
            self._due = min(self._due, time.monotonic() + SETTLE_SECONDS)
            self._wake.notify_all()

    def _keep_read(self, comments: list[dict[str, Any]]) -> None:
        """Keep the comments that somebody reads with this client, whom no failure of ours concerns."""
        with suppress(OSError, UsageError):
            self._journal.comments(comments)

    def _deleted(self, there: set[int] | None) -> list[dict[str, Any]]:
        """Return the comments of the history that are no longer there."""
        if there is None:
            return []
        known = self._store.rows(
            "SELECT comment_id, task_id FROM note WHERE server = ? AND NOT gone", self._journal.server
        )
        return [{"id": id, "task_id": task, "gone": True} for id, task in known if id not in there]

    def _now(self) -> int:
        return micros_of(self.client.now())

    def _tell(self) -> None:
        if self._on_change is not None:
            self._on_change()


def _seconds(every: float) -> float:
    if isinstance(every, bool) or not isinstance(every, int | float) or not 0.1 <= every <= 86_400:
        raise UsageError(f"every is a number of seconds from 0.1 to 86400, not {every!r}")
    return float(every)


def _token(path: Path) -> str:
    """Return the secret in the hub's URL, which stays the same, so that a server needs to be told once.

    It is the setting `TINYTASK_HUB_TOKEN`, or lies beside the history in a file that only its owner may read.
    """
    given = load_settings().hub_token
    if given is not None:
        return _usable(given.get_secret_value(), "choose another TINYTASK_HUB_TOKEN")
    place = path.with_name(path.name + HUB_TOKEN)
    if not place.exists():
        # Written beside it first, so that nobody reads half of it.
        fresh = place.with_name(f"{place.name}-{secrets.token_hex(8)}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(24))
            with suppress(FileExistsError):  # Somebody else was faster.
                os.link(fresh, place)
        finally:
            fresh.unlink()
    return _usable(place.read_text("utf-8", errors="replace").strip(), f"delete {place} for a new one")


def _usable(token: str, otherwise: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{16,}", token):
        raise UsageError(
            f"the hub's token has 16 letters, digits, - and _ or more, and this one has not: {otherwise}"
        )
    return token
