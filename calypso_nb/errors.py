"""What can go wrong between this package and a TinyTask server.

    TinytaskClientError              either of these, or a call to a client that was closed
    ├── TinytaskConnectionError      no answer: refused, unknown host, timed out, cut off, not a TinyTask
    └── TinytaskAPIError             the server refuses: unknown task, bad argument, missing tool

An outage is always one of these and never an empty result. A server's words can hold what agents wrote, so
the text of each shows what a terminal would obey, and never sends it. An action on a task, such as
`client.reassign`, can raise a MovedOnError, which is a TinytaskAPIError, and an UnconfirmedError, which is a
ValueError.
"""

from collections.abc import Sequence
from typing import Any

from calypso_nb.visible import visible


class UsageError(ValueError):
    """Something that the user gave is not valid: an option, a setting or a file; the message says why."""


class UnconfirmedError(UsageError):
    """An action has consequences that nobody has agreed to; nothing was done. `sure=True` agrees to them.

    - consequences: a sentence for each
    - suggestion: the known agent whose name is like the one that was given, if there is one

    Example: `UnconfirmedError(["#7 would never end"]).consequences`
    """

    def __init__(self, consequences: Sequence[str], suggestion: str | None = None) -> None:
        super().__init__(f"{'; '.join(consequences)}; sure=True does it all the same")
        self.consequences = tuple(consequences)
        self.suggestion = suggestion


class TinytaskClientError(Exception):
    """Any failure of a TinyTask call; catch this to catch them all.

    Example: `isinstance(error, TinytaskClientError)`
    """

    def __init__(self, message: str) -> None:
        super().__init__("\n".join(map(visible, message.split("\n"))))


def closed(name: str) -> TinytaskClientError:
    """Return the error for a call of a client of the server `name` that was closed."""
    return TinytaskClientError(f"this client of {name} is closed: make a new one")


class TinytaskConnectionError(TinytaskClientError):
    """The server gave no answer, or none that TinyTask would give.

    - outcome_unknown: True if a write may or may not have been carried out: look before you repeat it

    Example: `TinytaskConnectionError("cut off", outcome_unknown=True).outcome_unknown`
    """

    def __init__(self, message: str, *, outcome_unknown: bool = False) -> None:
        super().__init__(message)
        self.outcome_unknown = outcome_unknown


class TinytaskAPIError(TinytaskClientError):
    """The server refused; the same call would be refused again.

    - tool: the TinyTask tool that was called
    - reason: the server's own words

    Example: `TinytaskAPIError("get_task", "Task not found: 9").reason`
    """

    def __init__(self, tool: str, reason: str) -> None:
        super().__init__(f"{tool}: {reason}")
        self.tool = tool
        self.reason = reason


class MovedOnError(TinytaskAPIError):
    """A task is no longer as it was seen, so nothing was done to it: look again, and decide again.

    - task: the `records.Task` as it is now, None if it is no longer there

    Example: `MovedOnError("reassign", "#7 has moved on: bob has it; look again", None).task is None`
    """

    def __init__(self, tool: str, reason: str, task: Any) -> None:
        super().__init__(tool, reason)
        self.task = task
