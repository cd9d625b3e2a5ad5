"""The scheduler's side of a run's process, below its watchdog: start it, extend its time, stop it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Literal

import psutil

from calypso_nb.scheduler import watchdog
from calypso_nb.scheduler.recipes import Command
from calypso_nb.scheduler.watchdog import clock

LOG = "output.txt"
STDIN = "stdin.json"
ENDED = "ended.json"

# Every process of a run has this variable in its environment, and can be found by it.
_RUN_VARIABLE = "CALYPSO_NB_RUN"
# How long a watchdog may take to end a run that it is told to stop, and to end itself once it has reported.
_STOP_SECONDS = 10.0
_EXIT_SECONDS = 2.0

Reason = Literal[
    "ended", "not started", "stopped", "time over", "lease over", "scheduler lost", "watchdog lost"
]


@dataclass(frozen=True)
class Ended:
    """How a process ended: why, its exit code if it ended by itself, and the error if it could not start.

    - seconds: how long it ran; None if that is unknown
    """

    reason: Reason
    code: int | None = None
    error: str | None = None
    seconds: float | None = None


def ended_of(folder: Path) -> Ended | None:
    """Return how the run of a folder ended, as its watchdog has written; None if it has not."""
    try:
        return Ended(**json.loads((folder / ENDED).read_bytes()))
    except FileNotFoundError:
        return None


class WatchedProcess:
    """A command that runs in a folder below a watchdog, its input and output in the files STDIN and LOG.

    The watchdog outlives the scheduler. It ends the process with all its children at `until`, unless `extend`
    has moved that time, and at `latest` in any case; `lease_grace` seconds after `until` it kills the rest.
    Then it writes the file ENDED. Times are those of `clock()`. Raise OSError or ValueError if no process can
    be started.
    """

    def __init__(
        self, run: str, command: Command, folder: Path, until: float, latest: float | None, lease_grace: float
    ) -> None:
        self._run = run
        self._folder = folder
        self._until = until
        self._latest = float("inf") if latest is None else latest
        self._spare = 2 * lease_grace
        # An error of the watchdog's own has no other place: the terminal may be gone.
        log = os.open(folder / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            self._process = subprocess.Popen(
                # By its path and apart from any site: it imports nothing of this package and starts fast.
                [sys.executable, "-P", watchdog.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**command.environment, _RUN_VARIABLE: run},
                start_new_session=True,
            )
        finally:
            os.close(log)
        request = {
            "arguments": command.arguments,
            "stdin": str(folder / STDIN),
            "log": str(folder / LOG),
            "ended": str(folder / ENDED),
            "folder": str(folder),
            "until": until,
            "latest": latest,
            "lease_grace": lease_grace,
        }
        self._send(json.dumps(request))

    def wait(self, seconds: float) -> Ended | None:
        """Return how the process ended, or None if it still runs after so many seconds."""
        assert self._process.stdout is not None
        closed = wait([self._process.stdout.fileno()], seconds)
        ended = ended_of(self._folder)
        # Late is a watchdog that somebody has stopped.
        late = clock() >= min(self._until + self._spare, self._latest + _STOP_SECONDS)
        if ended is None and not closed and not late:
            return None
        self._end_watchdog()
        if ended := ended_of(self._folder):
            return ended
        end_processes_of(self._run)
        return Ended("watchdog lost")

    def _end_watchdog(self) -> None:
        try:
            self._process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    def extend(self, until: float) -> None:
        """Let the process run until then."""
        if until != self._until:
            self._until = until
            self._send(repr(until))

    def stop(self) -> None:
        """Have the process ended now; `wait` reports when it has."""
        self._until = min(self._until, clock() + _STOP_SECONDS)
        self._send("stop")

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # It has ended meanwhile, as `wait` will report.
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()


def end_processes_of(run: str) -> None:
    """End what a watchdog that was itself killed has left behind."""
    end = clock() + _STOP_SECONDS
    while clock() < end and (left := list(processes_of(run))):
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=0.1)


def processes_of(run: str) -> Iterator[psutil.Process]:
    """Yield the processes of a run on this machine, its watchdog included, and no zombies."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(_RUN_VARIABLE) == run and process.status() != psutil.STATUS_ZOMBIE:
                yield process
