"""The command `run-agent`: run agents' tasks by their recipes, once or until it is stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from calypso_nb.cli.log import Format, Level, log, logging_to
from calypso_nb.cli.terminal import console_width, say, write
from calypso_nb.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from calypso_nb.client import TinytaskClient
    from calypso_nb.scheduler import Scheduler
    from calypso_nb.scheduler.check import Wanted
    from calypso_nb.scheduler.run import Run
    from calypso_nb.scheduler.workers import Workers

EXIT_RUN_FAILED = 6
EXIT_NOTHING_COULD_RUN = 7

_MOST_REASONS = 20
_LIMITS = "Limits"
_SERVICE = "As a service"
# What people have set for the scheduler that they used before, and what is left of it.
_WITHOUT_MEANING = {
    "TINYSCHEDULER_RUNNING_DIR": "a lease on the server says what runs",
    "TINYSCHEDULER_LOCK_FILE": "several schedulers may run at once",
    "TINYSCHEDULER_TASK_CACHE_DIR": "nothing is cached",
    "TINYSCHEDULER_BIN_DIR": "name goose with TINYSCHEDULER_GOOSE_BIN",
    "TINYSCHEDULER_BASE_PATH": "name each folder by itself",
    "TINYSCHEDULER_DISABLE_BLOCKING": "a blocked task never runs",
}


def _read_env_file(file: Path | None) -> Path | None:
    """Put the variables of a file into the environment, which wins: the runs and other options see them."""
    if file is not None:
        from dotenv import dotenv_values

        for name, value in dotenv_values(file).items():
            if value is not None:
                os.environ.setdefault(name, value)
    return file


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
            envvar="TINYSCHEDULER_AGENT_CONTROL_FILE",
            help='JSON: [{"agentName": "alice", "agentType": "dev", "maxConcurrency": 2}, …]; read again '
            "when it changes.",
        ),
    ] = None,
    recipes: Annotated[
        Path, typer.Option(envvar="TINYSCHEDULER_RECIPES_DIR", help="The folder with the recipes.")
    ] = Path("recipes"),
    runs: Annotated[Path, typer.Option(help="The folder that each run gets a folder in.")] = Path("runs"),
    keep: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Delete the folders of runs that are older: 30d, 12h. Else none."),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Give this variable to the runs: ANTHROPIC_API_KEY; may be repeated."
        ),
    ] = None,
    goose: Annotated[
        str | None,
        typer.Option(envvar="TINYSCHEDULER_GOOSE_BIN", help="The path of goose, if it is not on the PATH."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Run what can be run now, then exit.")] = False,
    interval: Annotated[
        float,
        typer.Option(
            min=0.1,
            envvar="TINYSCHEDULER_LOOP_INTERVAL_SEC",
            help="Look for new tasks every so many seconds.",
        ),
    ] = 30.0,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", envvar="TINYSCHEDULER_DRY_RUN", help="Show the plan and change nothing."),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Say all that is wrong with the settings, and run nothing.")
    ] = False,
    task_id: Annotated[int | None, typer.Option(help="Run only this task, once.")] = None,
    mcp_endpoint: Annotated[
        str | None, typer.Option(help="http://host:port, instead of TINYTASK_ENDPOINT.")
    ] = None,
    dask: Annotated[
        str | None, typer.Option(help="Run on the workers of this Dask scheduler: tcp://host:port.")
    ] = None,
    max_parallel: Annotated[
        int | None, typer.Option(min=1, help="At most so many runs at a time.", rich_help_panel=_LIMITS)
    ] = None,
    agent_limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=N", help="At most so many tasks of an agent at a time.", rich_help_panel=_LIMITS
        ),
    ] = None,
    recipe_limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=N", help="At most so many runs of a recipe at a time.", rich_help_panel=_LIMITS
        ),
    ] = None,
    queue_limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=N",
            help="At most so many tasks of a queue in progress at a time.",
            rich_help_panel=_LIMITS,
        ),
    ] = None,
    max_runtime: Annotated[
        float,
        typer.Option(
            min=0,
            envvar="TINYSCHEDULER_MAX_RUNTIME_SEC",
            help="End a run after so many seconds; it has failed. 0 is never.",
            rich_help_panel=_LIMITS,
        ),
    ] = 3600.0,
    retries: Annotated[
        int, typer.Option(min=1, help="Stop trying a task that has failed so often.", rich_help_panel=_LIMITS)
    ] = 3,
    retry_delay: Annotated[
        float,
        typer.Option(
            min=0,
            help="Seconds until a failed task is tried again; twice as long each further time.",
            rich_help_panel=_LIMITS,
        ),
    ] = 60.0,
    retry_delay_max: Annotated[
        float, typer.Option(min=0, help="The longest such delay, in seconds.", rich_help_panel=_LIMITS)
    ] = 3600.0,
    lease: Annotated[
        int | None,
        typer.Option(
            help="Seconds without a sign of life after which others take a task over; by default 120.",
            rich_help_panel=_LIMITS,
        ),
    ] = None,
    grace: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Once told to stop, give the runs so many seconds to finish; by default what they need.",
            rich_help_panel=_SERVICE,
        ),
    ] = None,
    env_file: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            is_eager=True,
            callback=_read_env_file,
            help="A file of variables; the environment wins.",
            rich_help_panel=_SERVICE,
        ),
    ] = None,
    log_file: Annotated[
        Path | None, typer.Option(help="Write the log to this file too.", rich_help_panel=_SERVICE)
    ] = None,
    log_level: Annotated[
        Level,
        typer.Option(
            case_sensitive=False,
            envvar="TINYSCHEDULER_LOG_LEVEL",
            help="The least that is logged.",
            rich_help_panel=_SERVICE,
        ),
    ] = "info",
    log_format: Annotated[
        Format, typer.Option(help="'json' writes one object per line.", rich_help_panel=_SERVICE)
    ] = "text",
) -> None:
    """Run agents' tasks by their recipes, each once at a time, whoever else runs them too.

    Ctrl-C lets what runs finish and takes nothing new; the second ends it, and the third leaves at once.
    """
    from calypso_nb.client import TinytaskClient
    from calypso_nb.history.moments import length_of
    from calypso_nb.scheduler import Retry, Scheduler
    from calypso_nb.scheduler.check import Wanted
    from calypso_nb.text.console import plan_to_console
    from calypso_nb.workload.phrases import did_you_mean

    if not _enabled():
        say("TINYSCHEDULER_ENABLED says that nothing is to be run")
        return
    if agents is None and not agent:
        raise typer.BadParameter("whose tasks should be run? Give --agent NAME or --agents FILE")
    if mcp_endpoint is None and "TINYTASK_ENDPOINT" not in os.environ:
        mcp_endpoint = os.environ.get("TINYSCHEDULER_MCP_ENDPOINT")
    if mcp_endpoint is not None:  # In the environment, the only way by which its password reaches the runs.
        os.environ["TINYTASK_ENDPOINT"] = mcp_endpoint
    limits = agent_limit or _limits_of_environment()
    with (
        logging_to(_log_file(log_file), log_level, log_format),
        TinytaskClient() as client,
        _workers(dask, recipes, runs, goose) as workers,
    ):
        named = agents or agent or ()
        given: dict[str, Any] = {
            "runs": runs,
            "only": agent or () if agents else (),
            "env": env or (),
            "lease_seconds": _lease(lease),
            "agent_limits": _named(limits, "--agent-limit"),
            "recipe_limits": _named(recipe_limit, "--recipe-limit"),
            "queue_limits": _named(queue_limit, "--queue-limit"),
            "goose": goose,
        }
        if check:
            _check(client, Wanted(named, recipes, **given), workers.get("executor"))
            return
        scheduler = Scheduler(
            client,
            named,
            recipes,
            max_parallel=max_parallel,
            max_runtime=max_runtime or None,
            retry_limit=retries,
            retry=Retry(retry_delay, retry_delay_max),
            keep=None if keep is None else length_of(keep).total_seconds(),
            **given,
            **workers,
        )
        for name in sorted({name for one in scheduler.agents for name in one.env} - os.environ.keys()):
            like = did_you_mean(name, os.environ)
            log.warning("the environment has no %s to give to the runs%s", name, like)
        for name in sorted(_WITHOUT_MEANING.keys() & os.environ.keys()):
            log.warning("%s means nothing here: %s", name, _WITHOUT_MEANING[name])
        if dry_run:
            plan, _ = _planned(scheduler, task_id)
            write(f"{_summary(plan)}\n{plan_to_console(plan, console_width(None))}", None)
        elif once or task_id is not None:
            _run_once(scheduler, task_id, grace)
        else:
            _serve(scheduler, interval, grace)


def _check(client: TinytaskClient, wanted: Wanted, workers: Workers | None) -> None:
    """Say all faults, and exit with 2 if there are any."""
    from calypso_nb.scheduler.check import faults

    found = [*faults(client, wanted, workers)]
    for fault in found:
        say(fault)
    if found:
        raise typer.Exit(2)
    typer.echo("all is well: agents, recipes, limits, runs and the server")


def _enabled() -> bool:
    return os.environ.get("TINYSCHEDULER_ENABLED", "true").strip().lower() not in ("false", "0", "no", "off")


def _log_file(given: Path | None) -> Path | None:
    folder = os.environ.get("TINYSCHEDULER_LOG_DIR")
    return Path(folder) / "run-agent.log" if given is None and folder else given


def _lease(given: int | None) -> int:
    """Return the length of a lease, which is signed four times."""
    if given is not None:
        return given
    beat = os.environ.get("TINYSCHEDULER_HEARTBEAT_SEC")
    return 4 * int(_number(beat, "TINYSCHEDULER_HEARTBEAT_SEC")) if beat else 120


def _limits_of_environment() -> list[str]:
    """Return the limits of TINYSCHEDULER_AGENT_LIMITS, `{"alice": 2}` or `alice=2,bob=1`, as options."""
    text = os.environ.get("TINYSCHEDULER_AGENT_LIMITS", "").strip()
    if not text.startswith("{"):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return [f"{name}={number}" for name, number in orjson.loads(text).items()]
    except orjson.JSONDecodeError as error:
        raise UsageError(f"TINYSCHEDULER_AGENT_LIMITS is not valid JSON: {error}") from None


def _named(pairs: Iterable[str] | None, option: str) -> dict[str, int]:
    limits = {}
    for pair in pairs or ():
        name, _, number = pair.rpartition("=")
        if not name or not number.isdecimal():
            raise UsageError(f"{option}: {pair!r} is not NAME=N")
        limits[name] = int(number)
    return limits


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{name}: {text!r} is not a number") from None


def _planned(scheduler: Scheduler, task_id: int | None) -> tuple[pd.DataFrame, list[str]]:
    """Return the plan, and what is said of agents and queues that the server doesn't know."""
    plan = scheduler.plan(task_id)
    strangers = scheduler.strangers(plan) if task_id is None else []
    for sentence in strangers:
        log.warning(sentence)
    return plan, strangers


@contextmanager
def _workers(address: str | None, recipes: Path, runs: Path, goose: str | None) -> Iterator[dict[str, Any]]:
    """Yield the scheduler's options that take the runs to a Dask cluster, none if they stay here."""
    if address is None:
        yield {}
        return
    from calypso_nb.scheduler.workers import Workers, cluster_at, stop_event

    with cluster_at(address) as cluster:
        workers = Workers(cluster, recipes, runs, goose)
        workers.look()
        for fault in workers.faults:
            log.warning(fault)
        yield {"executor": workers, "stop": stop_event(cluster)}


def _run_once(scheduler: Scheduler, task_id: int | None, grace: float | None) -> None:
    """Carry out a plan, and exit with a code that says what a cron job should know."""
    from calypso_nb.scheduler.run import NOT_RUN

    for told in scheduler.tidy():
        log.info(told)
    plan, strangers = _planned(scheduler, task_id)
    log.info(_summary(plan))
    _log_waiting(plan[plan["decision"] != "run"])
    runs: list[Run] = []
    with _stopping(scheduler, grace) as stopped, closing(scheduler.follow(plan)) as news:
        for event in news:
            _log(event)
            if not isinstance(event, str):
                runs.append(event)
    if stopped:
        return
    begun = [run for run in runs if run.outcome not in NOT_RUN]
    if any(run.outcome != "succeeded" for run in begun) or (task_id is not None and not begun):
        raise typer.Exit(EXIT_RUN_FAILED)
    waiting = plan["decision"].eq("wait").any() or any(run.outcome == "not started" for run in runs)
    if not begun and (waiting or strangers):
        log.warning("none of the tasks could be run")
        raise typer.Exit(EXIT_NOTHING_COULD_RUN)


def _log_waiting(waiting: pd.DataFrame) -> None:
    reasons = [*waiting.groupby("why", sort=False)]
    for why, rows in reasons[:_MOST_REASONS]:
        numbers = ", ".join(f"#{number}" for number in rows["id"].head(10))
        if len(rows) > 10:
            numbers += f" and {len(rows) - 10} more"
        log.info("%s: %s", numbers, why)
    if len(reasons) > _MOST_REASONS:
        log.info("more wait for other reasons: --dry-run shows them")


def _serve(scheduler: Scheduler, interval: float, grace: float | None) -> None:
    names = ", ".join(agent.name for agent in scheduler.agents)
    log.info("looking for tasks of %s every %g s; Ctrl-C ends it", names, interval)
    with _stopping(scheduler, grace), closing(scheduler.serve(interval)) as news:
        for event in news:
            _log(event)


def _log(event: str | Run) -> None:
    if isinstance(event, str):
        log.info(event)
        return
    level = "info" if event.outcome in ("succeeded", "stopped", "claimed") else "warning"
    getattr(log, level)(str(event), extra={"run": {"run": event._asdict()}})


@contextmanager
def _stopping(scheduler: Scheduler, grace: float | None) -> Iterator[list[int]]:
    """Let the first signal finish what runs, the second end it, and the third end this process at once.

    Yield the signals that have come so far. Being stopped is how this command ends, not an error.
    """
    stopped: list[int] = []

    def stop(number: int, _: object) -> None:
        stopped.append(number)
        if len(stopped) == 1:
            words = "told to stop: nothing new is taken, and what runs may finish; again ends it"
            scheduler.stop(grace)
        elif len(stopped) == 2:
            words = "ending what runs; once more leaves at once"
            scheduler.stop(0)
        else:  # Not by SIG_DFL, which the first process of a container never gets.
            os._exit(128 + number)
        with suppress(OSError):  # The terminal may have gone. Not logging: it may have been interrupted.
            os.write(2, f"calypso-nb: {words}\n".encode())

    before: Mapping[int, Any] = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN  # As nohup has it.
    }
    for number in before:
        signal.signal(number, stop)
    try:
        yield stopped
        if stopped:
            log.info("stopped: nothing is left running")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _summary(plan: pd.DataFrame) -> str:
    if plan.empty:
        return "no task is waiting for these agents"
    return f"{plan['decision'].eq('run').sum():,} of {len(plan):,} tasks can be run now"
