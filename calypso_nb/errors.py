"""What can go wrong between this package and a TinyTask server.

    TinytaskClientError              anything below
    ├── TinytaskConnectionError      no answer: refused, unknown host, timed out, cut off, not a TinyTask
    └── TinytaskAPIError             an answer that says no: unknown task, bad argument, missing tool

An outage is always one of these and never an empty result.
"""

from __future__ import annotations

__all__ = ["TinytaskAPIError", "TinytaskClientError", "TinytaskConnectionError"]


class TinytaskClientError(Exception):
    """Any failure of a TinyTask call; catch this to catch them all.

    Example: `isinstance(error, TinytaskClientError)`
    """


class TinytaskConnectionError(TinytaskClientError):
    """The server gave no answer, or none that TinyTask would give.

    `outcome_unknown` is True when a write may or may not have been carried out: look before repeating it.

    Example: `client.get_task(7) if error.outcome_unknown else None`
    """

    def __init__(self, message: str, *, outcome_unknown: bool = False) -> None:
        super().__init__(message)
        self.outcome_unknown = outcome_unknown


class TinytaskAPIError(TinytaskClientError):
    """The server answered, and the answer is no; the same call again would get the same answer.

    `tool` is the TinyTask tool that was called and `reason` the server's own words.

    Example: `TinytaskAPIError("get_task", "Task 7 not found").reason == "Task 7 not found"`
    """

    def __init__(self, tool: str, reason: str) -> None:
        super().__init__(f"{tool}: {reason}")
        self.tool = tool
        self.reason = reason
