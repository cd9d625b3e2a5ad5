"""The runs of this machine that their server has not been told of, as files that outlive their scheduler.

A file is written before the run's lease is taken, and locked by the process that has the run: the system
unlocks it when that process ends, however it ends. Once the server knows what came of the run, it is deleted.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from calypso_nb.scheduler.outcome import Result

_FOLDER = ".untold"


class Begun(BaseModel):
    """What is known once a run has the task.

    - failed: how many runs of the task have failed before
    - lost: what the runs were that it has taken the task over from
    """

    model_config = ConfigDict(frozen=True)

    failed: int
    lost: tuple[str, ...] = ()


class Untold(BaseModel):
    """A run, and all that it takes to report its result."""

    model_config = ConfigDict(frozen=True)

    run: str
    task_id: int
    endpoint: str
    host: str
    agent: str
    success_queue: str | None
    recipe: str
    lease_seconds: int
    max_runtime: float | None
    retry_limit: int
    folder: Path
    begun: Begun | None = None
    result: Result | None = None


@dataclass
class Entry:
    """A file of the outbox that this process has locked."""

    path: Path
    untold: Untold
    _file: int

    def begin(self, begun: Begun) -> None:
        """Note that the run has the task: from now on a result has to be reported."""
        self._add(begun=begun)

    def end(self, result: Result) -> None:
        """Note the result, as far as this process knows it: otherwise the watchdog's own file tells it."""
        self._add(result=result)

    def _add(self, **more: Any) -> None:
        self.untold = self.untold.model_copy(update=more)
        line = self.untold.model_dump_json(include={*more})
        os.write(self._file, f"{line}\n".encode())

    @property
    def age(self) -> float:
        """Return how many seconds ago it was written to, by this machine's clock."""
        return time.time() - self.path.stat().st_mtime

    def delete(self) -> None:
        """Delete it: nothing is left to be told."""
        self.path.unlink(missing_ok=True)


@contextmanager
def kept(untold: Untold) -> Iterator[Entry]:
    """Write down a run that is about to take its task, and lock the file for as long as the block lasts.

    Raise OSError if that is impossible.
    """
    folder = untold.folder.parent / _FOLDER
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    path = folder / f"{untold.run}.jsonl"
    draft = path.with_suffix(".tmp")
    file = os.open(draft, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    os.write(file, f"{untold.model_dump_json()}\n".encode())
    try:
        draft.rename(path)  # Locked and whole before anybody finds it.
        yield Entry(path, untold, file)
    finally:
        os.close(file)


def left(runs: Path, endpoint: str) -> Iterator[Entry]:
    """Yield the runs on a server that no process of this machine is at work on any more, locked.

    - runs: the folder that each run has a folder in
    """
    for path in untold_in(runs):
        try:
            file = os.open(path, os.O_WRONLY | os.O_APPEND)
        except FileNotFoundError:  # It was told meanwhile.
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            untold = _read(path)
            if untold.endpoint == endpoint:
                yield Entry(path, untold, file)
        except (BlockingIOError, FileNotFoundError, ValueError):
            continue  # At work, told meanwhile, or not a file of ours.
        finally:
            os.close(file)


def untold_in(runs: Path) -> list[Path]:
    """Return the files of the outbox, each called as its run is."""
    return sorted((runs / _FOLDER).glob("*.jsonl"))


def _read(path: Path) -> Untold:
    """Read a file whose last line may be torn, as the end of a process leaves it."""
    first, *rest = path.read_bytes().split(b"\n")
    untold: dict[str, Any] = json.loads(first)
    for line in rest:
        with suppress(ValueError):
            untold |= json.loads(line)
    return Untold.model_validate(untold)
