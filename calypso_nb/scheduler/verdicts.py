"""What a run's end means, and how it is told on the task."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calypso_nb.scheduler.guarded import LOG, Ended

__all__ = ["Outcome", "Verdict", "verdict_on"]

Outcome = Literal["succeeded", "failed", "over time", "stopped", "lost", "not started"]

_LAST_LINES = 20
_LAST_CHARACTERS = 2000
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Verdict:
    """What came of a run and why; `last_lines` are the last that it wrote.

    Example: `verdict_on(Ended("ended", 0), None, folder).outcome` is `"succeeded"`
    """

    outcome: Outcome
    why: str
    last_lines: str = ""

    @property
    def counts(self) -> bool:
        """Whether the retry limit counts it."""
        return self.outcome in ("failed", "over time")

    def prospects(self, failed: int, limit: int) -> str:
        """Whether the task will be tried again, after so many runs that failed.

        Example: `verdict.prospects(1, 3)`
        """
        if not self.counts:
            return "The task will be run again."
        if failed < limit:
            return f"Failed {failed} of {limit} times: it will be tried again."
        return f"Failed {failed} of {limit} times: not tried again until its tag failed:{failed} is removed."

    def record(self, subject: str, seconds: float, *sentences: str) -> str:
        """The comment that tells people about it; what failed with its last lines.

        Example: `verdict.record("Run 3f2a of build for alice on host-3", 12.5, "Its files: runs/7-3f2a.")`
        """
        head = f"{subject}: {self.outcome} after {seconds:.1f} s, {self.why}."
        parts = [head, *(sentence for sentence in sentences if sentence)]
        if self.counts and self.last_lines:
            parts.append(f"Its last lines:\n\n```\n{self.last_lines}\n```")
        return "\n".join(parts)


def verdict_on(ended: Ended, max_runtime: float | None, folder: Path) -> Verdict:
    """Judge how a run ended that had its files in `folder`; `max_runtime` is in seconds.

    Example: `verdict_on(Ended("time over"), 60, folder).why` is `"it took longer than 60 s"`
    """
    outcome, why = _judged(ended, max_runtime)
    return Verdict(outcome, why, _tail(folder / LOG))


def _judged(ended: Ended, max_runtime: float | None) -> tuple[Outcome, str]:
    if ended.reason == "stopped":
        return "stopped", "because its scheduler was told to stop"
    if ended.reason == "time over":
        return "over time", f"it took longer than {max_runtime:g} s"
    if ended.reason == "not started":
        return "failed", f"it could not be started: {ended.error}"
    if ended.reason == "guard lost" or ended.code is None:
        return "failed", "the process that watched over it was killed"
    if ended.code < 0:
        return "failed", f"ended by {_signal(-ended.code)}"
    return ("failed" if ended.code else "succeeded"), f"exit code {ended.code}"


def _signal(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def _tail(log: Path) -> str:
    """The last lines of a log, without what a terminal would obey."""
    try:
        with log.open("rb") as file:
            file.seek(max(log.stat().st_size - 4 * _LAST_CHARACTERS, 0))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    # A fence in the text would end the one around it.
    return "\n".join(_lines(text))[-_LAST_CHARACTERS:].replace("```", "'''")


def _lines(text: str) -> Iterator[str]:
    lines = [_ESCAPES.sub("", line).rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    yield from [line for line in lines if line][-_LAST_LINES:]
