"""What the end of a run means, and what its record says."""

import re
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calypso_nb.scheduler.environment import without_secrets
from calypso_nb.scheduler.process import Ended

Outcome = Literal["succeeded", "failed", "over time", "stopped", "lost", "not started"]

_LAST_LINES = 20
_LAST_CHARACTERS = 2000
_READ_BYTES = 32_768
_ESCAPES = re.compile(
    r"\x1b\[[0-9:;<=>?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


@dataclass(frozen=True)
class Result:
    """The outcome of a run, and why."""

    outcome: Outcome
    why: str

    @property
    def counts(self) -> bool:
        """Whether the run counts towards the retry limit."""
        return self.outcome in ("failed", "over time")

    def prospects(self, failed: int, limit: int) -> str:
        """Say whether the task will be tried again, after so many runs that failed."""
        if not self.counts:
            return "The task will be run again."
        if failed < limit:
            return f"Failed {failed} of {limit} times: it will be tried again."
        return f"Failed {failed} of {limit} times: not tried again until its tag failed:{failed} is removed."


def outcome_of(ended: Ended, max_runtime: float | None) -> tuple[Outcome, str]:
    """Return the outcome of a run whose process ended so, and why."""
    if ended.reason == "stopped":
        return "stopped", "because its scheduler was told to stop"
    if ended.reason == "time over":
        return "over time", f"it took longer than {max_runtime:g} s"
    if ended.reason == "not started":
        return "failed", f"it could not be started: {ended.error}"
    if ended.reason == "watchdog lost" or ended.code is None:
        return "failed", "the process that watched over it was killed"
    if ended.code == 0:
        return "succeeded", "exit code 0"
    if ended.code > 0:
        return "failed", f"exit code {ended.code}"
    with suppress(ValueError):
        return "failed", f"ended by {signal.Signals(-ended.code).name}"
    return "failed", f"ended by signal {-ended.code}"


def last_lines(log: Path) -> str:
    """Return the last lines of a log, without credentials and without anything that a terminal would obey."""
    try:
        with log.open("rb") as file:
            start = file.seek(max(log.stat().st_size - _READ_BYTES, 0))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    text = without_secrets(_ESCAPES.sub("", text.replace("\r\n", "\n")))
    if start:
        # What is left of a credential that the reading has cut is not known as one.
        text = text.partition("\n")[2]
    lines = [line.rstrip() for line in text.split("\n")]
    last = "\n".join([line for line in lines if line][-_LAST_LINES:])
    # A fence in the text would end the one around it.
    return last[-_LAST_CHARACTERS:].replace("```", "'''")
