"""What the end of a run means, and what its record says."""

import json
import re
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calypso_nb.run_marks import CANCELLED, usage_of
from calypso_nb.scheduler.environment import without_secrets
from calypso_nb.scheduler.process import Ended

Outcome = Literal[
    "succeeded", "failed", "over time", "stopped", "cancelled", "lost", "claimed", "not started"
]

_LAST_LINES = 20
_LAST_CHARACTERS = 2000
_READ_BYTES = 32_768
_LONGEST_LINE = 65_536
_ESCAPES = re.compile(
    r"\x1b\[[0-9:;<=>?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


@dataclass(frozen=True)
class Result:
    """The outcome of a run, why, and how long it took.

    - counts: whether it counts towards the retry limit
    - seconds: None if unknown
    """

    outcome: Outcome
    why: str
    counts: bool = False
    seconds: float | None = None

    def prospects(self, failed: int, limit: int) -> str:
        """Say whether the task will be tried again, after so many runs that failed."""
        if self.outcome == "cancelled":
            return f"The task is not run again until its tag {CANCELLED} is removed."
        if not self.counts:
            return "The task will be run again."
        if failed < limit:
            return f"Failed {failed} of {limit} times: it will be tried again."
        return f"Failed {failed} of {limit} times: not tried again until its tag failed:{failed} is removed."


def result_of(ended: Ended, max_runtime: float | None) -> Result:
    """Return the result of a run whose process ended so."""
    seconds = ended.seconds
    match ended.reason:
        case "stopped":
            return Result("stopped", "because its scheduler was told to stop", False, seconds)
        case "lease over":
            why = "the server did not respond for so long that the run had to be ended"
            return Result("lost", why, False, seconds)
        case "scheduler lost":
            return Result("lost", "its scheduler was killed", True, seconds)
        case "time over":
            return Result("over time", f"it took longer than {max_runtime:g} s", True, seconds)
        case "not started":
            return Result("failed", f"it could not be started: {ended.error}", True, seconds)
    if ended.code == 0:
        return Result("succeeded", "exit code 0", False, seconds)
    return Result("failed", _why(ended.code), True, seconds)


def _why(code: int | None) -> str:
    if code is None:
        return "the process that watched over it was killed"
    if code > 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"ended by {signal.Signals(-code).name}"
    return f"ended by signal {-code}"


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


def usage_in(log: Path) -> dict[str, float]:
    """Return what a run used by the last line `{"usage": {…}}` of its log, empty if there is none."""
    usage: dict[str, float] = {}
    with suppress(OSError), log.open("rb") as lines:
        while line := lines.readline(_LONGEST_LINE):
            if b'"usage"' in line:
                with suppress(ValueError, RecursionError):
                    said = json.loads(line)
                    if isinstance(said, dict):
                        usage = usage_of(said.get("usage")) or usage
    return usage
