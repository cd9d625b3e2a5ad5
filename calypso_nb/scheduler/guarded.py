"""The scheduler's side of a guarded run: start it, let it go on while the lease lasts, learn how it ended."""

from __future__ import annotations

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

from calypso_nb.scheduler import guard
from calypso_nb.scheduler.guard import clock
from calypso_nb.scheduler.recipes import Command

__all__ = ["LOG", "STDIN", "Ended", "GuardedProcess"]

LOG = "output.txt"
STDIN = "stdin.json"

_MARK = "CALYPSO_NB_RUN"  # Every process of a run has it in its environment, and by it can be found.

Reason = Literal["ended", "not started", "stopped", "time over", "lease over", "guard lost"]


@dataclass(frozen=True)
class Ended:
    """How a run ended: why, and its exit code where it ended by itself; `error` where it could not start.

    Example: `Ended("ended", 0)`
    """

    reason: Reason
    code: int | None = None
    error: str | None = None


class GuardedProcess:
    """A command that runs in `folder`, its input and output in the files STDIN and LOG, under a guard.

    The guard outlives us. It ends the run with all its children at `until`, by force `lease_grace` seconds
    later, unless `keep` has moved that; and at `latest`, or when told to, by force after `grace` seconds.
    Times are those of `clock()`. Raises OSError or ValueError where no process can be started.
    Example: `GuardedProcess("3f2a", command, folder, until=clock() + 60, latest=None, lease_grace=5)`
    """

    def __init__(
        self,
        run: str,
        command: Command,
        folder: Path,
        *,
        until: float,
        latest: float | None,
        lease_grace: float,
        grace: float = 5.0,
    ) -> None:
        self._run = run
        self._until = until
        self._spare = 2 * lease_grace
        self._process = subprocess.Popen(
            # By its path and apart from any site: it imports nothing of this package and starts fast.
            [sys.executable, guard.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **command.environment, _MARK: run},
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
            "grace": grace,
        }
        self._say(json.dumps(request))

    def wait(self, seconds: float) -> Ended | None:
        """How the run ended, once it has within so many seconds; None while it goes on.

        Example: `process.wait(0.2)`
        """
        assert self._process.stdout is not None
        if not wait([self._process.stdout.fileno()], seconds):
            if clock() < self._until + self._spare:
                return None
            self._process.kill()  # It has not done what it is there for: somebody has stopped it.
        answer, _ = self._process.communicate()
        with suppress(ValueError):
            return Ended(**json.loads(answer))
        _end_marked(self._run)
        return Ended("guard lost")

    def keep(self, until: float) -> None:
        """Let the run go on until then.

        Example: `process.keep(clock() + 60)`
        """
        if until != self._until:
            self._until = until
            self._say(repr(until))

    def stop(self) -> None:
        """Have the run end now; `wait` tells when it has.

        Example: `process.stop()`
        """
        self._say("stop")

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # It has ended meanwhile, as `wait` will tell.
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()


def _end_marked(run: str) -> None:
    """End what a guard that was itself killed has left behind."""
    while left := list(_marked(run)):
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=0.1)


def _marked(run: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(_MARK) == run and process.status() != psutil.STATUS_ZOMBIE:
                yield process
