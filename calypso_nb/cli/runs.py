"""The commands `runs` and `cancel`: what the schedulers of a server run, from any machine."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from calypso_nb.cli.terminal import say, show
from calypso_nb.client.runs import lease_of
from calypso_nb.errors import UsageError
from calypso_nb.report import WorkloadReporter
from calypso_nb.text.console import runs_to_console
from calypso_nb.text.csv import to_csv
from calypso_nb.text.json import runs_to_json
from calypso_nb.visible import visible
from calypso_nb.workload.runs import run_totals

if TYPE_CHECKING:
    from calypso_nb.client import TinytaskClient

_LOOK_SECONDS = 0.5
_PIECE_BYTES = 65_536
# A run is looked at every five seconds, and may take as long again to end.
_CANCEL_SECONDS = 30.0


@dataclass(frozen=True)
class Options:
    """What the user asked `runs` for."""

    since: str
    agent: str | None
    format: str
    output: Path | None
    color: bool


def tell(reporter: WorkloadReporter, options: Options) -> None:
    """Tell the runs of a server, and how they went per agent and recipe."""
    runs = reporter.runs(options.since)
    if options.agent is not None:
        runs = runs[runs["agent"] == options.agent].reset_index(drop=True)
    show(
        runs,
        {"json": lambda told: runs_to_json(told, run_totals(told)), "csv": to_csv},
        lambda told, width, color: runs_to_console(told, run_totals(told), width, color),
        options.format,
        options.output,
        options.color,
    )


def follow(client: TinytaskClient, task_id: int, runs: Path, dask: str | None) -> None:
    """Show the output of a task's run as it comes, until the run ends.

    - runs: the folder of runs
    - dask: the address of the cluster that has the run, None if this machine has it

    Raise UsageError if no run is at work on the task, or if its output is on another machine.
    """
    lease = lease_of(client.get_task(task_id))
    if lease is None:
        raise UsageError(f"no run is at work on #{task_id}; calypso-nb runs tells what ran")
    with _output(runs.resolve() / f"{task_id}-{lease.run}", dask) as read:
        decoder, line, offset, going_on = codecs.getincrementaldecoder("utf-8")("replace"), "", 0, True
        while True:
            if piece := read(offset):
                offset += len(piece)
                *lines, line = (line + decoder.decode(piece)).split("\n")
                for whole in lines:
                    typer.echo(visible(whole.removesuffix("\r")))
            elif going_on:
                time.sleep(_LOOK_SECONDS)
                # Once more after its end: what came last.
                going_on = lease_of(client.get_task(task_id), lease.run) is not None
            elif offset or dask is None:
                break
            else:
                raise UsageError(f"no worker of {dask} has output of run {lease.run} on {lease.host}")
    if line:
        typer.echo(visible(line))


@contextmanager
def _output(folder: Path, dask: str | None) -> Iterator[Callable[[int], bytes]]:
    """Yield what reads a piece of a run's output from an offset on."""
    if dask is not None:
        from calypso_nb.scheduler.workers import Workers, cluster_at

        with cluster_at(dask) as cluster:
            workers = Workers(cluster, folder, folder)
            yield lambda offset: workers.piece(str(folder), offset)
        return
    try:
        output = (folder / "output.txt").open("rb")
    except FileNotFoundError:
        raise UsageError(
            f"the output of run {folder.name} is not in {folder.parent}; is it on another machine?"
        ) from None
    with output:
        yield lambda offset: output.read(_PIECE_BYTES)


def cancel(client: TinytaskClient, task_id: int) -> bool:
    """Ask for the end of a run, wait for it, and return whether it has come."""
    lease = client.cancel_run(task_id)
    say(f"asked {lease.host} to end run {lease.run} of #{task_id}")
    end = time.monotonic() + _CANCEL_SECONDS
    while time.monotonic() < end:
        task = client.get_task(task_id)
        if lease_of(task, lease.run) is None:
            typer.echo(f"#{task_id} is {task.status}; its tag cancelled keeps it from being run again")
            return True
        time.sleep(_LOOK_SECONDS)
    say(f"{lease.host} has not ended it yet; it ends as soon as that scheduler sees the server again")
    return False
