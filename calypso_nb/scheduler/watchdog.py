"""A program between a scheduler and one run, which ends the run with everything that it has started.

Standard input is its leash: first a line of JSON with the request, then lines with a new time until which the
run may go on. It ends the run when that time has passed, when the run's own time is over, when it reads
`stop`, and when the leash breaks because the scheduler has died. So it works while the scheduler is dead,
paused or cut off. How the run ended it writes to a file, which is there whoever has died; then it closes its
standard output, and ends.
"""

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

_GRACE_SECONDS = 5.0
_ENDINGS = {"stop": "stopped", "broken": "scheduler lost"}
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_SET_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER


def clock() -> float:
    """Return the seconds of a clock that is never set and, if the system has one, goes on while it sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _control(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _start(request: dict[str, Any]) -> subprocess.Popen[bytes]:
    _control(_SET_SUBREAPER, 1)  # What loses its parent becomes a child of this process, not of init.
    Path(request["log"]).touch(mode=0o600)
    with Path(request["stdin"]).open("rb") as stdin, Path(request["log"]).open("ab") as log:
        return subprocess.Popen(
            request["arguments"],
            stdin=stdin,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=request["folder"],
            start_new_session=True,
            preexec_fn=lambda: _control(_SET_DEATH_SIGNAL, signal.SIGKILL),
        )


class _Leash:
    """The scheduler's orders and the system's signals, as lines to be waited for."""

    def __init__(self) -> None:
        self._heard = b""
        self._lines: list[str] = []
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)

    def wait(self, until: float | None) -> list[str]:
        """Return new lines, as soon as there are some, a child has ended, or the time has come."""
        if self._lines:
            lines, self._lines = self._lines, []
            return lines
        timeout = until and max(until - clock(), 0)
        ready, _, _ = select.select([0, self._woken.fileno()], [], [], timeout)
        lines = []
        if self._woken.fileno() in ready and set(self._woken.recv(4096)) & {signal.SIGTERM, signal.SIGINT}:
            lines.append("stop")
        if 0 in ready:
            piece = os.read(0, 1 << 20)
            *whole, self._heard = (self._heard + piece).split(b"\n")
            lines += [line.decode() for line in whole] if piece else ["broken"]
        return lines

    def request(self) -> dict[str, Any]:
        while not (lines := self.wait(None)):
            pass
        first, *self._lines = lines
        if first in ("stop", "broken"):
            sys.exit()
        parsed: dict[str, Any] = json.loads(first)
        return parsed


def _watch(child: subprocess.Popen[bytes], leash: _Leash, request: dict[str, Any]) -> tuple[str, float]:
    """Wait until the run has ended or must end: return why, and when whatever is left must be killed."""
    until, latest = request["until"], request["latest"] or float("inf")
    while child.poll() is None:
        if clock() >= until:
            return "lease over", clock() + request["lease_grace"]
        if clock() >= latest:
            return "time over", min(clock() + _GRACE_SECONDS, until + request["lease_grace"])
        for line in leash.wait(min(until, latest)):
            if line in _ENDINGS:
                return _ENDINGS[line], min(clock() + _GRACE_SECONDS, until + request["lease_grace"])
            until = float(line)
    return "ended", clock() + request["lease_grace"]


def _end_all(kill_at: float) -> None:
    """End every process below this one: ask until `kill_at`, kill from then on, and wait for the last."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return  # Most runs leave nothing behind and don't need psutil.
    import psutil

    own = psutil.Process()
    asked: set[int] = set()
    while left := own.children(recursive=True):
        for process in left:
            with suppress(psutil.Error):
                if clock() >= kill_at:
                    process.kill()
                elif process.pid not in asked:
                    asked.add(process.pid)
                    process.terminate()
        psutil.wait_procs(left, timeout=0.05)


def _report(request: dict[str, Any], **ended: Any) -> None:
    """Write how the run ended, whole or not at all."""
    file = Path(request["ended"])
    draft = file.with_suffix(".tmp")
    draft.write_text(json.dumps(ended))
    draft.replace(file)


def _main() -> None:
    leash = _Leash()
    request = leash.request()
    try:
        child = _start(request)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        _report(request, reason="not started", error=str(error))
        return
    began = clock()
    reason, kill_at = _watch(child, leash, request)
    code, seconds = child.returncode, clock() - began
    _end_all(kill_at)
    _report(request, reason=reason, code=code, seconds=seconds)


if __name__ == "__main__":
    _main()
