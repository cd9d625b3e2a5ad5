"""The command `run-agent`: run agents' tasks by their recipes, once or until it is stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from calypso_nb.cli.terminal import console_width, say, write

if TYPE_CHECKING:
    import pandas as pd
    from rich.text import Text

    from calypso_nb.scheduler import Agent, Scheduler

__all__ = ["EXIT_RUN_FAILED", "run_agent"]

EXIT_RUN_FAILED = 6

_ENDPOINT = "TINYTASK_ENDPOINT"
_WIDE = 120
_MOST_WAITING = 50
_MOST_REASONS = 20
_LONGEST_WHY = 300


def run_agent(
    agent: Annotated[
        list[str] | None,
        typer.Option(help="Run this agent's tasks; may be repeated. With --agents: only these."),
    ] = None,
    agents: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help='JSON: [{"agentName": "alice", "agentType": "dev", "maxConcurrency": 2}, …].',
        ),
    ] = None,
    recipes: Annotated[Path, typer.Option(help="The folder with the recipes.")] = Path("recipes"),
    runs: Annotated[Path, typer.Option(help="The folder that each run gets a folder in.")] = Path("runs"),
    once: Annotated[bool, typer.Option("--once", help="Run what can be run now, and end.")] = False,
    interval: Annotated[
        float, typer.Option(min=0.1, help="Look for new tasks every so many seconds.")
    ] = 30.0,
    max_parallel: Annotated[
        int | None, typer.Option(min=1, help="Not more runs than this at a time.")
    ] = None,
    max_runtime: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds after which a run is ended, and has failed.")
    ] = None,
    retries: Annotated[int, typer.Option(min=1, help="Leave a task alone once it has failed so often.")] = 3,
    lease: Annotated[
        int, typer.Option(help="Seconds without a sign of life after which others take a run's task over.")
    ] = 120,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, and change nothing.")] = False,
    task_id: Annotated[int | None, typer.Option(help="Run only this task, once.")] = None,
    mcp_endpoint: Annotated[
        str | None, typer.Option(help="http://host:port, instead of TINYTASK_ENDPOINT.")
    ] = None,
    dask: Annotated[
        str | None, typer.Option(help="Run on the workers of this Dask scheduler: tcp://host:port.")
    ] = None,
) -> None:
    """Run agents' tasks by their recipes, each once at a time, whoever else runs them too.

    Ctrl-C ends the runs with all their processes, and their tasks are idle again.
    """
    from calypso_nb.client import TinytaskClient
    from calypso_nb.scheduler import Scheduler

    wanted = _wanted(agent, agents)
    with _endpoint(mcp_endpoint), TinytaskClient() as client, _workers(dask) as workers:
        scheduler = Scheduler(
            client,
            wanted,
            recipes,
            runs=runs,
            lease_seconds=lease,
            max_parallel=max_parallel,
            max_runtime=max_runtime,
            retry_limit=retries,
            **workers,
        )
        if dry_run:
            with suppress(BrokenPipeError):
                write(_table(scheduler.plan(task_id)), None)
        elif once or task_id is not None:
            plan = scheduler.plan(task_id)
            if not _followed(scheduler, plan) or (task_id is not None and plan["order"].isna().all()):
                raise typer.Exit(EXIT_RUN_FAILED)
        else:
            _serve(scheduler, interval)


def _wanted(names: list[str] | None, file: Path | None) -> tuple[Agent, ...]:
    from calypso_nb.scheduler import read_agents

    if file is None and not names:
        raise typer.BadParameter("say whose tasks to run: --agent NAME or --agents FILE")
    if file is None:
        return read_agents(names or [])
    known = {agent.name: agent for agent in read_agents(file)}
    if unknown := [name for name in names or [] if name not in known]:
        raise typer.BadParameter(f"{file} has no agent {', '.join(unknown)}; it has {', '.join(known)}")
    return tuple(known[name] for name in names) if names else tuple(known.values())


@contextmanager
def _endpoint(given: str | None) -> Iterator[None]:
    """Have the endpoint in the environment: its password reaches the runs by no other way."""
    before = os.environ.get(_ENDPOINT)
    if given is not None:
        os.environ[_ENDPOINT] = given
    try:
        yield
    finally:
        if given is not None:
            os.environ.pop(_ENDPOINT)
            os.environ |= {} if before is None else {_ENDPOINT: before}


@contextmanager
def _workers(address: str | None) -> Iterator[dict[str, Any]]:
    """What hands the runs to a Dask cluster, nothing where they stay here."""
    if address is None:
        yield {}
        return
    try:
        from distributed import Client, Event
    except ImportError:
        raise ValueError("--dask needs Dask's distributed: pip install 'calypso_nb[dask]'") from None
    with Client(address) as cluster:  # type: ignore[no-untyped-call]
        stop = Event(f"calypso-nb-{uuid4().hex}", client=cluster)  # type: ignore[no-untyped-call]
        yield {"executor": cluster.get_executor(pure=False, retries=0), "stop": stop}


def _followed(scheduler: Scheduler, plan: pd.DataFrame) -> bool:
    """Run a plan and tell of it; whether every run succeeded."""
    say(_summary(plan))
    reasons = [*plan[plan["decision"] == "wait"].groupby("why", sort=False)]
    for why, rows in reasons[:_MOST_REASONS]:
        say(f"{_numbers(rows)}: {why}")
    if len(reasons) > _MOST_REASONS:
        say("and more, for other reasons: --dry-run shows them")
    fine = True
    with _stopped_by_signals(), closing(scheduler.follow(plan)) as news:
        for event in news:
            say(str(event))
            fine = fine and (isinstance(event, str) or event.outcome in ("succeeded", "not started"))
    return fine


def _serve(scheduler: Scheduler, interval: float) -> None:
    names = ", ".join(agent.name for agent in scheduler.agents)
    say(f"looks every {interval:g} s for tasks of {names}; Ctrl-C ends it")
    with _stopped_by_signals(), closing(scheduler.serve(interval)) as news:
        for event in news:
            say(str(event))


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does; being stopped is how this command ends, and no error."""

    def stop(*_: object) -> None:
        for number in before:  # Another one would cut off the ending of the runs.
            signal.signal(number, signal.SIG_IGN)
        # No print: it may have come in the middle of another.
        os.write(2, b"calypso-nb: told to stop, the runs are ended first\n")
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        say("stopped: nothing is left running")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _numbers(rows: pd.DataFrame) -> str:
    numbers = [f"#{number}" for number in rows["id"]]
    return ", ".join(numbers[:10]) + (f" and {len(numbers) - 10} more" if len(numbers) > 10 else "")


def _summary(plan: pd.DataFrame) -> str:
    if plan.empty:
        return "no task is waiting for these agents"
    return f"{plan['decision'].eq('run').sum():,} of {len(plan):,} tasks can be run now"


def _table(plan: pd.DataFrame) -> str:
    """The plan as a table: all that is run, and the first of what waits."""
    from rich.console import Console, Group
    from rich.table import Table

    width = console_width(None)
    wide = width >= _WIDE
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=True)
    counts = ("prio", "frees", "failed") if wide else ()
    for name in ("order", "task", *counts):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("agent", "recipe"):
        table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=24 if wide else 12)
    for name in ("title", "why") if wide else ("title and why",):
        table.add_column(name, ratio=1)
    ready = int(plan["decision"].eq("run").sum())
    rows = plan.head(ready + _MOST_WAITING).astype(object)
    for row in rows.where(rows.notna(), None).itertuples():
        title, why = _plain(row.title), _plain(str(row.why)[:_LONGEST_WHY])
        title.no_wrap, title.overflow = True, "ellipsis"
        texts = (title, why) if wide else (Group(title, why),)
        order = "wait" if row.order is None else str(row.order)
        numbers = (row.priority, row.frees, row.failed) if wide else ()
        table.add_row(order, str(row.id), *map(_plain, (*numbers, row.agent, row.recipe)), *texts)
    console = Console(width=width, color_system=None, legacy_windows=False, markup=False, emoji=False)
    with console.capture() as shown:
        console.print(table)
    lines = [_summary(plan), *(["", *shown.get().splitlines()] if len(plan) else [])]
    if (more := len(plan) - ready - _MOST_WAITING) > 0:
        lines.append(f"… and {more:,} more wait")
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _plain(value: Any) -> Text:
    from rich.text import Text

    from calypso_nb.text.visible import visible

    return Text("—" if value is None else visible(str(value)))
