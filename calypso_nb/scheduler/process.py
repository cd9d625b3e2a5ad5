"""The scheduler's side of a run's process, below its watchdog: start it, extend its time, stop it."""

import json
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

# Every process of a run has this variable in its environment, and can be found by it.
_RUN_VARIABLE = "CALYPSO_NB_RUN"

Reason = Literal["ended", "not started", "stopped", "time over", "lease over", "watchdog lost"]


@dataclass(frozen=True)
class Ended:
    """How a process ended: why, its exit code if it ended by itself, and the error if it could not start."""

    reason: Reason
    code: int | None = None
    error: str | None = None


class WatchedProcess:
    """A command that runs in a folder below a watchdog, its input and output in the files STDIN and LOG.

    The watchdog outlives the scheduler. It ends the process with all its children at `until`, unless `extend`
    has moved that time, and at `latest` in any case; `lease_grace` seconds after `until` it kills the rest.
    Times are those of `clock()`. Raise OSError or ValueError if no process can be started.
    """

    def __init__(
        self, run: str, command: Command, folder: Path, until: float, latest: float | None, lease_grace: float
    ) -> None:
        self._run = run
        self._until = until
        self._spare = 2 * lease_grace
        self._process = subprocess.Popen(
            # By its path and apart from any site: it imports nothing of this package and starts fast.
            [sys.executable, "-P", watchdog.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**command.environment, _RUN_VARIABLE: run},
            start_new_session=True,
        )
        request = {
            "arguments": command.arguments,
            "stdin": str(folder / STDIN),
            "log": str(folder / LOG),
            "folder": str(folder),
            "until": until,
            "latest": latest,
            "lease_grace": lease_grace,
        }
        self._send(json.dumps(request))

    def wait(self, seconds: float) -> Ended | None:
        """Return how the process ended, or None if it still runs after so many seconds."""
        assert self._process.stdout is not None
        if not wait([self._process.stdout.fileno()], seconds):
            if clock() < self._until + self._spare:
                return None
            self._process.kill()  # The watchdog is late: somebody has stopped it.
        report, _ = self._process.communicate()
        with suppress(ValueError):
            return Ended(**json.loads(report))
        _end_processes_of(self._run)
        return Ended("watchdog lost")

    def extend(self, until: float) -> None:
        """Let the process run until then."""
        if until != self._until:
            self._until = until
            self._send(repr(until))

    def stop(self) -> None:
        """Have the process ended now; `wait` reports when it has."""
        self._send("stop")

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # It has ended meanwhile, as `wait` will report.
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()


def _end_processes_of(run: str) -> None:
    """End what a watchdog that was itself killed has left behind."""
    while left := list(_processes_of(run)):
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=0.1)


def _processes_of(run: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(_RUN_VARIABLE) == run and process.status() != psutil.STATUS_ZOMBIE:
                yield process
