"""The command line: `calypso-nb` and `python -m calypso_nb`."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from calypso_nb.cli.run_agent import EXIT_RUN_FAILED, run_agent
from calypso_nb.cli.terminal import say, use_color
from calypso_nb.errors import TinytaskAPIError, TinytaskClientError, UsageError
from calypso_nb.visible import visible

if TYPE_CHECKING:
    from calypso_nb.report import WorkloadReporter

# 1 is also Python's own code for an uncaught exception, 2 is for wrong usage, 6 and 7 are run_agent's.
EXIT_CONDITION_HOLDS = 3
EXIT_UNREACHABLE = 4
EXPECTED_FAILURES: dict[type[Exception], int] = {
    TinytaskAPIError: 5,
    TinytaskClientError: EXIT_UNREACHABLE,
    UsageError: 2,
    OSError: 1,
}

EXIT_CODES = (
    "Exit codes: 0 success, 1 unexpected error, 2 wrong usage, 3 the --fail-if condition holds or "
    "something is new, "
    "4 no TinyTask responds, or it needs credentials, 5 TinyTask refuses, 6 a task was not run, or failed, "
    "7 there are tasks, and none of them could be run."
)

# The extra that installs a package without which some commands don't work.
EXTRAS = {
    "nbconvert": "page",
    "nbformat": "page",
    "papermill": "page",
    "starlette": "serve",
    "uvicorn": "serve",
    "dotenv": "run",
    "psutil": "run",
    "yaml": "run",
    "distributed": "dask",
    "dask": "dask",
    "duckdb": "lake",
    "pyarrow": "lake",
}

HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    help="Watch a team of LLM agents at work, on the server that TINYTASK_ENDPOINT names.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=HELP,
)


Format = Literal["json", "console", "both", "markdown", "csv", "html"]
DigestFormat = Literal["console", "markdown", "html", "json"]
RunsFormat = Literal["console", "json", "csv"]
DiffFormat = Literal["json", "console", "markdown"]
Transport = Literal["http", "sse"]
Endpoint = Annotated[
    str | None, typer.Option(help="http://host:port, stdio:COMMAND, a database file, or demo.")
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="The file to write, instead of standard output.")
]
NoColor = Annotated[
    bool, typer.Option("--no-color", help="No colours on a terminal; NO_COLOR does the same.")
]
EnvFile = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="A file of TINYTASK_… settings; the environment wins."),
]
HistoryFile = Annotated[
    str | None,
    typer.Option(
        "--history", metavar="FILE", help="A recorder's file; by default TINYTASK_HISTORY, then history.db."
    ),
]
Bucket = Literal["1 h", "6 h", "1 d", "1 w"]
OfAgent = Annotated[str | None, typer.Option("--agent", help="Only tasks that this agent has, or had last.")]
OfQueue = Annotated[
    str | None, typer.Option("--queue", help="Only tasks that are in this queue, or were last.")
]
OfTag = Annotated[str | None, typer.Option("--tag", help="Only tasks with this tag.")]
OfParent = Annotated[int | None, typer.Option("--parent", help="Only what is below this task.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Report progress on standard error.")]


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"calypso-nb {version('calypso_nb')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Take the options that come before a command."""


class StatusWords(TyperCommand):
    """Takes `--status idle working` like `--status idle,working`: a report has no other words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Join the words that follow `--status` by commas."""
        joined: list[str] = []
        taking = False
        for word in args:
            if word.startswith("-"):
                taking = word.partition("=")[0] == "--status"
                joined.append(word)
            elif taking and joined[-1] != "--status":
                joined[-1] += f",{word}"
            else:
                joined.append(word)
        return super().parse_args(ctx, joined)


@app.command(epilog=EXIT_CODES, cls=StatusWords)
def report(
    format: Annotated[
        Format,
        typer.Option(
            "--format",
            "-f",
            help="'both' is JSON and console; with --output it writes OUTPUT.json and OUTPUT.txt too.",
        ),
    ] = "console",
    output: Output = None,
    status: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATUS...",
            help="Only tasks with this status, or these: idle,working or idle working; 'all' for all. "
            "Without it open ones, in a page all.",
        ),
    ] = None,
    agent: Annotated[list[str] | None, typer.Option(help="Only this agent's tasks; may be repeated.")] = None,
    watch: Annotated[
        float | None,
        typer.Option(min=0.1, max=86_400, help="Report again every so many seconds, until Ctrl-C."),
    ] = None,
    fail_if: Annotated[
        str | None, typer.Option(help="Exit with 3 if this holds: 'idle > 10 or oldest_hours > 48'.")
    ] = None,
    new_since: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Exit with 3 if something needs attention that didn't the last time with this NAME.",
        ),
    ] = None,
    details: Annotated[
        bool,
        typer.Option(
            help="Read comments and links, one request per task; console and markdown read those of tasks in "
            "progress only if more than 500 are open, unless a condition needs more."
        ),
    ] = True,
    context: Annotated[
        bool, typer.Option("--context", help="In JSON, tell all of the tasks that the filters leave out.")
    ] = False,
    as_of: Annotated[
        str | None,
        typer.Option(
            help="How it was then, from the history: '2026-11-23 18:00', 'yesterday 18:00', '3h ago'."
        ),
    ] = None,
    history: HistoryFile = None,
    mcp_endpoint: Endpoint = None,
    no_color: NoColor = False,
    env_file: EnvFile = None,
    verbose: Verbose = False,
) -> None:
    """Report a team's workload: in the console, as JSON, Markdown, CSV or one HTML page."""
    from calypso_nb.cli import report as reporting
    from calypso_nb.cli.conditions import parse_condition

    with _translated():
        options = reporting.Options(
            format=format,
            output=output,
            statuses=None if not status else ",".join(status).replace(" ", "").split(","),
            agents=agent or None,
            details=details,
            color=not no_color,
            verbose=verbose,
            condition=None if fail_if is None else parse_condition(fail_if),
            seconds=watch,
            context=context,
            as_of=as_of,
            new_since=new_since,
        )
        held = reporting.run(_reporter(mcp_endpoint, env_file, verbose, history), options)
    if held is not None:
        say(held)
        raise typer.Exit(EXIT_CONDITION_HOLDS)


@app.command(epilog=EXIT_CODES)
def diff(
    first: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, help="A report saved as JSON.")
    ] = None,
    second: Annotated[
        Path | None,
        typer.Argument(exists=True, dir_okay=False, help="A later one; without it the server."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Instead of a saved report, how it was then, from the history: 'yesterday 18:00'."),
    ] = None,
    format: Annotated[DiffFormat, typer.Option("--format", "-f")] = "console",
    output: Output = None,
    history: HistoryFile = None,
    mcp_endpoint: Endpoint = None,
    no_color: NoColor = False,
    env_file: EnvFile = None,
    verbose: Verbose = False,
) -> None:
    """Say what changed between two saved reports, since one, or since a moment of the history."""
    from calypso_nb.cli import report as reporting

    with _translated():
        if (first is None) == (since is None):
            raise UsageError("diff takes either a saved report or --since, such as --since 'yesterday 18:00'")
        reporter = _reporter(mcp_endpoint, env_file, verbose, history)
        before = reporting.saved(first) if first is not None else reporting.past(reporter, str(since))
        after = reporting.saved(second) if second is not None else reporting.again(reporter, before)
        reporting.write_difference(before, after, format, output, color=not no_color)


@app.command(epilog=EXIT_CODES)
def digest(
    since: Annotated[
        str,
        typer.Option(
            metavar="last|MOMENT", help="Since the last digest, which moves your mark, or 'yesterday 18:00'."
        ),
    ] = "last",
    keep: Annotated[bool, typer.Option("--keep", help="Leave your mark where it is.")] = False,
    person: Annotated[
        str | None,
        typer.Option("--as", help="Whose mark; by default TINYTASK_AGENT, then the name of your login."),
    ] = None,
    before: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Without a history: a report saved as JSON."),
    ] = None,
    after: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A later one; without it the server."),
    ] = None,
    webhook: Annotated[
        bool,
        typer.Option("--webhook", help="Post it to TINYTASK_DIGEST_WEBHOOK instead of printing it."),
    ] = False,
    format: Annotated[DigestFormat, typer.Option("--format", "-f")] = "console",
    output: Output = None,
    history: HistoryFile = None,
    mcp_endpoint: Endpoint = None,
    no_color: NoColor = False,
    env_file: EnvFile = None,
    verbose: Verbose = False,
) -> None:
    """Say what happened since you last looked: questions first, nothing twice."""
    with _translated():
        from calypso_nb.cli.digest import Options, run
        from calypso_nb.settings import load_settings

        settings = load_settings(env_file)
        person = person or settings.agent
        options = Options(since, keep, person, before, after, webhook, format, output, color=not no_color)
        run(_reporter(mcp_endpoint, env_file, verbose, history), settings, options)


TaskNumber = Annotated[int | None, typer.Argument(metavar="TASK", help="A task by its number.")]
OneAgent = Annotated[str | None, typer.Option("--agent", help="Instead, an agent, with its tasks.")]
OneQueue = Annotated[str | None, typer.Option("--queue", help="Instead, the line of a queue.")]
OneReason = Annotated[
    Literal["old_untouched", "too_many_working"] | None,
    typer.Option("--team", help="Instead, the reason of a line of the team, for all."),
]


@app.command(epilog=EXIT_CODES)
def snooze(
    task: TaskNumber = None,
    agent: OneAgent = None,
    queue: OneQueue = None,
    team: OneReason = None,
    length: Annotated[
        str | None, typer.Option("--for", metavar="LENGTH", help="For so long: 3d; by default 24h.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="MOMENT|change", help="Until then: 2026-12-01; 'change': until something new."),
    ] = None,
    why: Annotated[str, typer.Option(help="Why, for whoever reads it.")] = "",
    person: Annotated[
        str | None,
        typer.Option("--as", help="Who says so; by default TINYTASK_AGENT, then the name of your login."),
    ] = None,
    format: Annotated[
        Literal["console", "json"], typer.Option("--format", "-f", help="Of the list.")
    ] = "console",
    history: HistoryFile = None,
    mcp_endpoint: Endpoint = None,
    no_color: NoColor = False,
    env_file: EnvFile = None,
    verbose: Verbose = False,
) -> None:
    """Leave out of what needs attention, for a while or until something new; without a name, list it."""
    with _translated():
        from calypso_nb.cli.snooze import Options, run, subject_of
        from calypso_nb.settings import load_settings

        person = person or load_settings(env_file).agent
        subject = subject_of(task=task, agent=agent, queue=queue, team=team)
        options = Options(length, until, why, person, format, color=not no_color)
        run(_reporter(mcp_endpoint, env_file, verbose, history), subject, options)


@app.command(epilog=EXIT_CODES)
def wake(
    task: TaskNumber = None,
    agent: OneAgent = None,
    queue: OneQueue = None,
    team: OneReason = None,
    history: HistoryFile = None,
    mcp_endpoint: Endpoint = None,
    env_file: EnvFile = None,
    verbose: Verbose = False,
) -> None:
    """End a snooze."""
    with _translated():
        from calypso_nb.cli import snooze as snoozing

        subject = snoozing.subject_of(task=task, agent=agent, queue=queue, team=team)
        snoozing.wake(_reporter(mcp_endpoint, env_file, verbose, history), subject)


@app.command(epilog=EXIT_CODES)
def runs(
    since: Annotated[
        str, typer.Option(help="From when on: '3h ago', '2026-11-23 18:00', yesterday.")
    ] = "7 days ago",
    agent: Annotated[str | None, typer.Option(help="Only runs for this agent.")] = None,
    follow: Annotated[
        int | None,
        typer.Option(metavar="TASK", help="Show the output of this task's run as it comes, on its machine."),
    ] = None,
    folder: Annotated[Path, typer.Option("--runs", help="With --follow: the folder of the runs.")] = Path(
        "runs"
    ),
    dask: Annotated[
        str | None, typer.Option(help="With --follow: the Dask scheduler whose worker has the run.")
    ] = None,
    format: Annotated[RunsFormat, typer.Option("--format", "-f")] = "console",
    output: Output = None,
    mcp_endpoint: Endpoint = None,
    no_color: NoColor = False,
    env_file: EnvFile = None,
    verbose: Verbose = False,
) -> None:
    """Tell what `run-agent` runs on a server, wherever, and what came of what it ran."""
    with _translated():
        from calypso_nb.cli import runs as telling

        reporter = _reporter(mcp_endpoint, env_file, verbose)
        if follow is not None:
            telling.follow(reporter.client, follow, folder, dask)
        else:
            telling.tell(
                reporter, telling.Options(since, agent, format, output, use_color(not no_color, output))
            )


@app.command(epilog=EXIT_CODES)
def cancel(
    task: Annotated[int, typer.Argument(help="The task's number.")],
    mcp_endpoint: Endpoint = None,
    env_file: EnvFile = None,
    verbose: Verbose = False,
) -> None:
    """End the run of a task, wherever it is; its tag `cancelled` keeps it from being run again."""
    with _translated():
        from calypso_nb.cli import runs as steering

        if not steering.cancel(_reporter(mcp_endpoint, env_file, verbose).client, task):
            raise typer.Exit(EXIT_RUN_FAILED)


@app.command(epilog=EXIT_CODES)
def pause(
    agent: Annotated[str, typer.Argument(help="The agent's name.")],
    why: Annotated[str, typer.Option(help="The reason, for others to read.")] = "",
    mcp_endpoint: Endpoint = None,
    env_file: EnvFile = None,
    verbose: Verbose = False,
) -> None:
    """Have no `run-agent` of the server take another task of an agent; what runs goes on."""
    with _translated():
        _reporter(mcp_endpoint, env_file, verbose).client.pause_agent(agent, why)
        typer.echo(visible(f"{agent} is paused: calypso-nb resume {quote(agent)} ends that"))


@app.command(epilog=EXIT_CODES)
def resume(
    agent: Annotated[str, typer.Argument(help="The agent's name.")],
    mcp_endpoint: Endpoint = None,
    env_file: EnvFile = None,
    verbose: Verbose = False,
) -> None:
    """End the pause of an agent."""
    with _translated():
        _reporter(mcp_endpoint, env_file, verbose).client.resume_agent(agent)
        typer.echo(visible(f"{agent} is no longer paused"))


@app.command(epilog=EXIT_CODES)
def flow(
    since: Annotated[
        str | None, typer.Option(help="From when on: '30d ago', 2026-11-01; by default all that is recorded.")
    ] = None,
    bucket: Annotated[Bucket | None, typer.Option(help="What is counted together.")] = None,
    agent: OfAgent = None,
    queue: OfQueue = None,
    tag: OfTag = None,
    parent: OfParent = None,
    format: Annotated[DiffFormat, typer.Option("--format", "-f")] = "console",
    output: Output = None,
    history: HistoryFile = None,
    mcp_endpoint: Endpoint = None,
    no_color: NoColor = False,
    env_file: EnvFile = None,
    verbose: Verbose = False,
) -> None:
    """Say how work flows: WIP, throughput, cycle time, work item age, and where it waits."""
    with _translated():
        from calypso_nb.cli.flow import show_flow

        reporter = _reporter(mcp_endpoint, env_file, verbose, history)
        asked = {"agent": agent, "queue": queue, "tag": tag, "parent": parent, "since": since}
        show_flow(reporter, format, output, color=not no_color, bucket=bucket, **asked)


@app.command(epilog=EXIT_CODES)
def forecast(
    by: Annotated[
        str | None, typer.Option(help="How many by then, 2026-12-01; by default when all will be done.")
    ] = None,
    tag: OfTag = None,
    parent: OfParent = None,
    trials: Annotated[int, typer.Option(min=100, max=1_000_000, help="How many futures to draw.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same answer.")] = 0,
    processes: Annotated[
        int | None, typer.Option(min=1, max=64, help="Check forecasts of the past in so many processes.")
    ] = None,
    dask: Annotated[
        str | None, typer.Option(help="Check them on this Dask cluster: tcp://host:port.")
    ] = None,
    format: Annotated[DiffFormat, typer.Option("--format", "-f")] = "console",
    output: Output = None,
    history: HistoryFile = None,
    mcp_endpoint: Endpoint = None,
    no_color: NoColor = False,
    env_file: EnvFile = None,
    verbose: Verbose = False,
) -> None:
    """Say when the open tasks will be done, and how often such forecasts have been right."""
    with _translated():
        from calypso_nb.cli.flow import show_forecast

        reporter = _reporter(mcp_endpoint, env_file, verbose, history)
        asked: dict[str, Any] = {"tag": tag, "parent": parent, "by": by}
        asked |= {"trials": trials, "seed": seed, "workers": dask or processes}
        show_forecast(reporter, format, output, color=not no_color, **asked)


@app.command(epilog=EXIT_CODES)
def audit(
    agent: Annotated[list[str] | None, typer.Option(help="Only this agent's tasks; may be repeated.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Check what has happened since then: '2 weeks ago', 2026-11-01.")
    ] = None,
    fail_if: Annotated[
        str | None,
        typer.Option(help="Exit with 3 if this holds: 'findings > 0', 'Q1 > 3 or broken_rules > 5'."),
    ] = None,
    likely: Annotated[
        bool, typer.Option("--likely", help="Count findings that are only likely in --fail-if, too.")
    ] = False,
    notes: Annotated[
        bool, typer.Option("--notes/--no-notes", help="Read comments and links, one request per task.")
    ] = True,
    format: Annotated[DiffFormat, typer.Option("--format", "-f")] = "console",
    output: Output = None,
    history: HistoryFile = None,
    mcp_endpoint: Endpoint = None,
    no_color: NoColor = False,
    env_file: EnvFile = None,
    verbose: Verbose = False,
) -> None:
    """Say which rules of the process are broken, kept, or can't be checked."""
    with _translated():
        from calypso_nb.cli.audit import Options, show_audit
        from calypso_nb.cli.conditions import AUDIT_NAMES, parse_condition

        condition = None if fail_if is None else parse_condition(fail_if, AUDIT_NAMES)
        options = Options(format, output, agent or None, since, condition, likely, notes, not no_color)
        held = show_audit(_reporter(mcp_endpoint, env_file, verbose, history), options)
    if held is not None:
        say(f"condition holds: {held}")
        raise typer.Exit(EXIT_CONDITION_HOLDS)


@app.command()
def export(
    notebook: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The notebook to run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file to write.")],
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="For papermill; may be repeated."),
    ] = None,
    code: Annotated[bool, typer.Option("--code", help="Show the code of the cells too.")] = False,
    mcp_endpoint: Endpoint = None,
) -> None:
    """Run a notebook from top to bottom and write it as one HTML file that needs no kernel and no network."""
    parameters = dict(map(_parameter, parameter or []))
    if mcp_endpoint is not None:
        os.environ["TINYTASK_ENDPOINT"] = mcp_endpoint
    with _translated():
        from calypso_nb.view.run_notebook import NotebookFailed, export_notebook

        output.parent.mkdir(parents=True, exist_ok=True)  # Before the notebook takes its time.
        try:
            exported = export_notebook(notebook, output, parameters, code=code)
        except NotebookFailed as error:
            say(f"{notebook} stopped: {error}")
            raise typer.Exit(EXIT_UNREACHABLE if error.unreachable else 1) from None
        typer.echo(f"{output} ({exported.size / 1e6:.1f} MB)")
        for line in exported.contents:
            typer.echo(f"  {visible(line)}")


@app.command(epilog=EXIT_CODES)
def record(
    history: HistoryFile = None,
    every: Annotated[
        float,
        typer.Option(
            min=0.1,
            max=86_400,
            help="Seconds between two looks; a database file is read when it has changed.",
        ),
    ] = 30,
    hub: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Also be told each change by a TinyTask 2, such as at 127.0.0.1:3390; prints what it needs.",
        ),
    ] = None,
    keep: Annotated[
        str | None, typer.Option(metavar="LENGTH", help="Forget what is older: 180d; by default nothing.")
    ] = None,
    mcp_endpoint: Endpoint = None,
    env_file: EnvFile = None,
    verbose: Verbose = False,
) -> None:
    """Write down what happens on a server or in a database file, until Ctrl-C."""
    with _translated():
        from calypso_nb.cli.record import run

        run(_reporter(mcp_endpoint, env_file, verbose).client, history, every, hub, keep)


history_app = typer.Typer(
    help="What a recorder has written down.", no_args_is_help=True, context_settings=HELP
)
app.add_typer(history_app, name="history")


@history_app.command("export", epilog=EXIT_CODES)
def export_history(
    parquet: Annotated[
        Path,
        typer.Option(
            file_okay=False,
            help="A folder, in which each server and month gets its own, over what was there.",
        ),
    ],
    history: HistoryFile = None,
) -> None:
    """Write all servers of a history as Parquet, for DuckDB, Dask and others."""
    with _translated():
        from calypso_nb.report import History

        for line in History(history).export(parquet):
            typer.echo(line)


@app.command()
def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 3000,
    db: Annotated[Path | None, typer.Option(help="Keep the tasks in this file instead of in memory.")] = None,
    transport: Annotated[Transport, typer.Option(help="Streamable HTTP, or the older SSE.")] = "http",
    demo: Annotated[bool, typer.Option("--demo", help="Fill an empty store with sample tasks.")] = False,
    host: Annotated[
        str, typer.Option(help="The address to bind to; any but the default is open to the network.")
    ] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A further name that clients reach it by; may be repeated, '*' is any name."),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write down what happens, exactly, in this history."),
    ] = None,
    hub: Annotated[
        str | None,
        typer.Option(
            envvar="TINYTASK_SIGNALR_HUB_URL",
            help="Push each change to this SignalR hub, as a TinyTask 2 does.",
        ),
    ] = None,
    group: Annotated[
        str | None, typer.Option(envvar="TINYTASK_SIGNALR_GROUP", help="Push to this group of the hub.")
    ] = None,
) -> None:
    """Serve a local TinyTask to any MCP client at /mcp, with /health; Ctrl-C ends it."""
    with _translated():
        from calypso_nb.embedded import StoreError, TinytaskStore, fill_sample
        from calypso_nb.embedded import serve as serve_store
        from calypso_nb.embedded.web import LOOPBACK

        def announce(url: str) -> None:
            if history is not None:
                from calypso_nb.cli.record import recording_of

                recording.enter_context(recording_of(store, url, history))
            typer.echo(f"TinyTask at {url}")
            if host not in LOOPBACK:
                say("open to the network without a password: anyone who reaches it can change all tasks")
            if "*" in (allow_host or ()):
                say("any Host and Origin is accepted: a web page that is open in a browser can do that too")
            elif host not in LOOPBACK:
                say(
                    "any IP address and this machine's names are accepted as Host; --allow-host NAME adds one"
                )

        try:
            if db is not None:
                db.parent.mkdir(parents=True, exist_ok=True)
            with TinytaskStore(db) as store, ExitStack() as recording:
                if demo and not store.list_tasks(include_archived=True, limit=1):
                    fill_sample(store)
                serve_store(store, host, port, transport, announce, allow_host or (), hub=hub, group=group)
        except (StoreError, sqlite3.Error) as error:
            raise OSError(f"{db}: {error}") from error
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise OSError(f"{error}; --port 0 takes a free one") from error
            raise


def main() -> None:
    """Run the command line."""
    app()


def workload_reporter() -> None:
    """Run the command `report` by its name in earlier command lines, with the same options."""
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=HELP)
    alone.command(epilog=EXIT_CODES, cls=StatusWords)(report)
    alone(prog_name="workload-reporter")


def _parameter(pair: str) -> tuple[str, object]:
    name, given, text = pair.partition("=")
    if not given:
        raise typer.BadParameter(f"{pair!r} has no value: write -p NAME=VALUE")
    if not name.isidentifier():
        raise typer.BadParameter(f"{name!r} is not a valid name of a parameter: write -p NAME=VALUE")
    try:
        return name, json.loads(text)  # 3, 2.5, true, null and lists are what they look like
    except ValueError:
        return name, text


def _reporter(
    endpoint: str | None, env_file: Path | None, verbose: bool, history: str | None = None
) -> WorkloadReporter:
    from calypso_nb.client import TinytaskClient
    from calypso_nb.report import WorkloadReporter

    client = TinytaskClient(endpoint, env_file=env_file)
    if verbose:
        say(f"the server is {client.endpoint}")
    return WorkloadReporter(client, history)


@contextmanager
def _translated() -> Iterator[None]:
    """Report each warning and expected failure in one line on standard error, a failure by its exit code."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: say(str(message))
            yield
    except ImportError as error:
        package = (error.name or "").split(".")[0]
        if package not in EXTRAS:
            raise
        say(f"this command needs {package}: pip install 'calypso_nb[{EXTRAS[package]}]'")
        raise typer.Exit(2) from None
    except tuple(EXPECTED_FAILURES) as error:
        say(str(error))
        codes = (code for kind, code in EXPECTED_FAILURES.items() if isinstance(error, kind))
        raise typer.Exit(next(codes)) from None


app.command("run-agent", epilog=EXIT_CODES)(_translated()(run_agent))
