"""The command `run-agent`: run agents' tasks by their recipes, once or until it is stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from calypso_nb.cli.terminal import console_width, say, write
from calypso_nb.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from calypso_nb.scheduler import Agent, Scheduler

EXIT_RUN_FAILED = 6

_MOST_REASONS = 20


def run_agent(
    agent: Annotated[
        list[str] | None,
        typer.Option(help="Run this agent's tasks; may be repeated. With --agents, only these agents'."),
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
    env: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Give this variable to the runs: ANTHROPIC_API_KEY; may be repeated."
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Run what can be run now, then exit.")] = False,
    interval: Annotated[
        float, typer.Option(min=0.1, help="Look for new tasks every so many seconds.")
    ] = 30.0,
    max_parallel: Annotated[int | None, typer.Option(min=1, help="At most so many runs at a time.")] = None,
    max_runtime: Annotated[
        float | None, typer.Option(min=0.1, help="End a run after so many seconds; it has failed.")
    ] = None,
    retries: Annotated[int, typer.Option(min=1, help="Stop trying a task that has failed so often.")] = 3,
    lease: Annotated[
        int, typer.Option(help="Seconds without a sign of life after which others take a task over.")
    ] = 120,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and change nothing.")] = False,
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
    from calypso_nb.text.console import plan_to_console
    from calypso_nb.workload.phrases import did_you_mean

    served = _agents(agent, agents, env or ())
    if mcp_endpoint is not None:  # In the environment, the only way by which its password reaches the runs.
        os.environ["TINYTASK_ENDPOINT"] = mcp_endpoint
    for name in sorted({name for one in served for name in one.env} - os.environ.keys()):
        say(f"the environment has no {name} to give to the runs{did_you_mean(name, os.environ)}")
    with TinytaskClient() as client, _workers(dask) as workers:
        scheduler = Scheduler(
            client,
            served,
            recipes,
            runs=runs,
            lease_seconds=lease,
            max_parallel=max_parallel,
            max_runtime=max_runtime,
            retry_limit=retries,
            **workers,
        )
        if dry_run:
            plan = _planned(scheduler, task_id)
            write(f"{_summary(plan)}\n{plan_to_console(plan, console_width(None))}", None)
        elif once or task_id is not None:
            plan = _planned(scheduler, task_id)
            if not _followed(scheduler, plan) or (task_id is not None and plan["order"].isna().all()):
                raise typer.Exit(EXIT_RUN_FAILED)
        else:
            _serve(scheduler, interval)


def _agents(names: list[str] | None, file: Path | None, env: Sequence[str]) -> tuple[Agent, ...]:
    from calypso_nb.scheduler import read_agents

    if file is None:
        if not names:
            raise typer.BadParameter("whose tasks should be run? Give --agent NAME or --agents FILE")
        return read_agents({"name": name, "env": env} for name in names)
    agents = {agent.name: agent for agent in read_agents(file)}
    if unknown := [name for name in names or [] if name not in agents]:
        raise typer.BadParameter(f"{file} has no agent {', '.join(unknown)}; it has {', '.join(agents)}")
    served = [agents[name] for name in names or agents]
    return read_agents(agent.model_dump() | {"env": (*agent.env, *env)} for agent in served)


def _planned(scheduler: Scheduler, task_id: int | None) -> pd.DataFrame:
    plan = scheduler.plan(task_id)
    if task_id is None:
        for sentence in scheduler.strangers(plan):
            say(sentence)
    return plan


@contextmanager
def _workers(address: str | None) -> Iterator[dict[str, Any]]:
    """Yield the scheduler's options that take the runs to a Dask cluster, none if they stay here."""
    if address is None:
        yield {}
        return
    from distributed import Client, Event

    try:
        cluster: Any = Client(address)  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise UsageError(str(error)) from None
    with cluster:
        stop = Event(f"calypso-nb-{uuid4().hex}", client=cluster)  # type: ignore[no-untyped-call]
        yield {"executor": cluster.get_executor(pure=False, retries=0), "stop": stop}


def _followed(scheduler: Scheduler, plan: pd.DataFrame) -> bool:
    """Carry out a plan and report it line by line; return whether every run succeeded."""
    say(_summary(plan))
    reasons = [*plan[plan["decision"] == "wait"].groupby("why", sort=False)]
    for why, rows in reasons[:_MOST_REASONS]:
        numbers = ", ".join(f"#{number}" for number in rows["id"].head(10))
        if len(rows) > 10:
            numbers += f" and {len(rows) - 10} more"
        say(f"{numbers}: {why}")
    if len(reasons) > _MOST_REASONS:
        say("more wait for other reasons: --dry-run shows them")
    failures = 0
    with _stopped_by_signals(), closing(scheduler.follow(plan)) as news:
        for event in news:
            say(str(event))
            failures += not (isinstance(event, str) or event.outcome in ("succeeded", "not started"))
    return failures == 0


def _serve(scheduler: Scheduler, interval: float) -> None:
    names = ", ".join(agent.name for agent in scheduler.agents)
    say(f"looking for tasks of {names} every {interval:g} s; Ctrl-C ends it")
    with _stopped_by_signals(), closing(scheduler.serve(interval)) as news:
        for event in news:
            say(str(event))


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does. Being stopped is how this command ends, not an error."""

    def stop(*_: object) -> None:
        for number in before:  # A second one would interrupt the ending of the runs.
            signal.signal(number, signal.SIG_IGN)
        # Not print(): the signal may have come in the middle of another one.
        os.write(2, b"calypso-nb: told to stop, ending the runs first\n")
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        say("stopped: nothing is left running")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _summary(plan: pd.DataFrame) -> str:
    if plan.empty:
        return "no task is waiting for these agents"
    return f"{plan['decision'].eq('run').sum():,} of {len(plan):,} tasks can be run now"
