"""What a run is given and what it gives back, as values that go to another process and return from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from calypso_nb.frames import Column
from calypso_nb.scheduler.agents import Agent
from calypso_nb.scheduler.verdicts import Outcome

__all__ = ["RUN_COLUMNS", "Job", "Run", "StopSignal"]

RUN_COLUMNS: dict[str, Column] = {
    "id": Column("int64", "", "the task's number; one row a run, in the order of their ends"),
    "agent": Column("str", "", "who ran it"),
    "recipe": Column("str", "", "the recipe's name"),
    "outcome": Column("str", "", "succeeded, failed, over time, stopped, lost or not started"),
    "why": Column("str", "", "what there is to say about it"),
    "seconds": Column("float64", "s", "how long it ran, NA where it was not started"),
    "run": Column("str", "", "the run's own number, which its record on the task names"),
    "folder": Column("str", "", "where its files are, NA where it was not started"),
}


class StopSignal(Protocol):
    """What `threading.Event` and `distributed.Event` have in common."""

    def is_set(self) -> bool: ...
    def set(self) -> None: ...
    def clear(self) -> None: ...


class Run(NamedTuple):
    """What came of one run, with the fields of `RUN_COLUMNS`."""

    id: int
    agent: str
    recipe: str
    outcome: Outcome
    why: str
    seconds: float | None = None
    run: str | None = None
    folder: str | None = None

    def __str__(self) -> str:
        after = "" if self.seconds is None else f" after {self.seconds:.1f} s"
        return f"#{self.id} of {self.agent}: {self.outcome}{after}, {self.why}"


@dataclass(frozen=True)
class Job:
    """All that a process needs to know to run one task; it can be pickled and holds no credentials.

    `now` is the server's clock at the time of the plan, None if that is unknown. Lengths are in seconds.
    Example: `carry_out(job, client, threading.Event())`
    """

    task_id: int
    agent: Agent
    recipe: str
    recipes: Path
    runs: Path
    endpoint: str
    lease_seconds: int
    max_runtime: float | None
    retry_limit: int
    now: datetime | None = None
