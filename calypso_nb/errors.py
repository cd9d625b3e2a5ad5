"""What can go wrong between this package and a TinyTask server.

    TinytaskClientError              either of these, or a call to a client that was closed
    ├── TinytaskConnectionError      no answer: refused, unknown host, timed out, cut off, not a TinyTask
    └── TinytaskAPIError             the server refuses: unknown task, bad argument, missing tool

An outage is always one of these and never an empty result.
"""


class UsageError(ValueError):
    """Something that the user gave is not valid: an option, a setting or a file; the message says why."""


class TinytaskClientError(Exception):
    """Any failure of a TinyTask call; catch this to catch them all.

    Example: `isinstance(error, TinytaskClientError)`
    """


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
