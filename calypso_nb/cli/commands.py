"""The command line: `calypso-nb` and `python -m calypso_nb`."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from calypso_nb.cli.run_agent import run_agent

if TYPE_CHECKING:
    from calypso_nb.report import WorkloadReporter

__all__ = ["app", "main"]

# 1 is Python's own for what nobody foresaw, 2 is typer's for a wrong use.
EXIT_CONDITION_HOLDS = 3
EXIT_UNREACHABLE = 4
EXIT_REFUSED = 5
# 6 is run_agent.EXIT_RUN_FAILED.

EXIT_CODES = (
    "Exit codes: 0 fine, 1 unforeseen, 2 wrong use, 3 the --fail-if condition holds, "
    "4 no TinyTask answers, or not without credentials, 5 TinyTask refuses, 6 a task was not run, or failed."
)

app = typer.Typer(
    help="Watch a team of LLM agents at work, on the server that TINYTASK_ENDPOINT names.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Format(StrEnum):
    """What `report` can write."""

    json = "json"
    console = "console"
    both = "both"
    markdown = "markdown"
    csv = "csv"
    html = "html"


class DiffFormat(StrEnum):
    """What `diff` can write."""

    json = "json"
    console = "console"
    markdown = "markdown"


Endpoint = Annotated[str | None, typer.Option(help="http://host:port, stdio:COMMAND, a file or demo.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="The file to write, instead of standard output.")
]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colour on a terminal; NO_COLOR does the same.")]
EnvFile = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="A file of TINYTASK_… settings; the environment wins."),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say on standard error what is done.")]


@app.command(epilog=EXIT_CODES)
def report(
    format: Annotated[
        Format, typer.Option("--format", "-f", help="both writes OUTPUT.json and OUTPUT.txt.")
    ] = Format.console,
    output: Output = None,
    status: Annotated[
        list[str] | None, typer.Option(help="Only tasks of this status; several: idle,working.")
    ] = None,
    agent: Annotated[list[str] | None, typer.Option(help="Only this agent's tasks; may be repeated.")] = None,
    watch: Annotated[
        float | None,
        typer.Option(min=0.1, max=86_400, help="Read again every so many seconds, until Ctrl-C."),
    ] = None,
    fail_if: Annotated[
        str | None, typer.Option(help="Exit with 3 if this holds: 'idle > 10 or oldest_hours > 48'.")
    ] = None,
    details: Annotated[
        bool, typer.Option(help="Count comments and links, a request a task; console and markdown never do.")
    ] = True,
    mcp_endpoint: Endpoint = None,
    no_color: NoColor = False,
    env_file: EnvFile = None,
    verbose: Verbose = False,
) -> None:
    """Report a team's workload: in the console, as JSON, Markdown, CSV or one HTML page."""
    from calypso_nb.cli import report as reporting
    from calypso_nb.cli.conditions import parse_condition

    if format is Format.both and output is None:
        raise typer.BadParameter("both writes two files: name them, for example --output reports/workload")
    with _translated():
        options = reporting.Options(
            format=format.value,
            output=output,
            statuses=None if not status else ",".join(status).replace(" ", "").split(","),
            agents=agent or None,
            details=details,
            color=not no_color,
            verbose=verbose,
            condition=None if fail_if is None else parse_condition(fail_if),
            seconds=watch,
        )
        held = reporting.run(_reporter(mcp_endpoint, env_file, verbose), options)
    if held is not None:
        _complain(f"condition holds: {held}")
        raise typer.Exit(EXIT_CONDITION_HOLDS)


@app.command(epilog=EXIT_CODES)
def diff(
    first: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A report saved as JSON.")],
    second: Annotated[
        Path | None,
        typer.Argument(exists=True, dir_okay=False, help="A later one; without it the server."),
    ] = None,
    format: Annotated[DiffFormat, typer.Option("--format", "-f")] = DiffFormat.console,
    output: Output = None,
    mcp_endpoint: Endpoint = None,
    no_color: NoColor = False,
    env_file: EnvFile = None,
    verbose: Verbose = False,
) -> None:
    """Say what changed between two reports saved as JSON, or since a saved one."""
    from calypso_nb.cli import report as reporting

    with _translated():
        before = reporting.saved(first)
        if second is not None:
            after = reporting.saved(second)
        else:
            after = reporting.again(_reporter(mcp_endpoint, env_file, verbose), before)
        with suppress(BrokenPipeError):
            reporting.write_difference(before, after, format.value, output, color=not no_color)


@app.command()
def export(
    notebook: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The notebook to run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file to write.")],
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME VALUE", help="For papermill; may be repeated."),
    ] = None,
    code: Annotated[bool, typer.Option("--code", help="Show the code of the cells too.")] = False,
    mcp_endpoint: Endpoint = None,
) -> None:
    """Run a notebook from top to bottom and write it as one HTML file that needs no kernel and no network."""
    from calypso_nb.view.run_notebook import NotebookFailed, export_notebook

    if mcp_endpoint is not None:
        os.environ["TINYTASK_ENDPOINT"] = mcp_endpoint
    from calypso_nb.text.visible import visible

    with _translated():
        output.parent.mkdir(parents=True, exist_ok=True)  # Before the notebook takes its time.
        try:
            exported = export_notebook(notebook, output, dict(map(_parameter, parameter or [])), code=code)
        except NotebookFailed as error:
            _complain(f"{notebook} stopped: {error}")
            raise typer.Exit(EXIT_UNREACHABLE if error.unreachable else 1) from None
    typer.echo(f"{output} ({exported.size / 1e6:.1f} MB)")
    for line in exported.contents:
        typer.echo(f"  {visible(line)}")


class Transport(StrEnum):
    """What `serve` can speak."""

    http = "http"
    sse = "sse"


@app.command()
def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 3000,
    db: Annotated[
        Path | None, typer.Option(help="Keep the tasks in this file, instead of in memory.")
    ] = None,
    transport: Annotated[Transport, typer.Option(help="Streamable HTTP, or the older SSE.")] = Transport.http,
    demo: Annotated[bool, typer.Option("--demo", help="Fill an empty store with sample tasks.")] = False,
    host: Annotated[
        str, typer.Option(help="Any other than this machine's own is open to its network.")
    ] = "127.0.0.1",
) -> None:
    """Serve a local TinyTask to any MCP client at /mcp, with /health; it ends with Ctrl-C."""
    from calypso_nb.embedded import StoreError, TinytaskStore, fill_sample
    from calypso_nb.embedded import serve as serve_store

    try:
        if db is not None:
            db.parent.mkdir(parents=True, exist_ok=True)
        with TinytaskStore(db) as store:
            if demo and not store.list_tasks(include_archived=True, limit=1):
                fill_sample(store)
            serve_store(
                store, host, port, transport.value, on_ready=lambda url: typer.echo(f"TinyTask at {url}")
            )
    except (StoreError, sqlite3.Error) as error:
        _complain(f"{db}: {error}")
        raise typer.Exit(1) from None
    except OSError as error:
        _complain(f"{error}; --port 0 takes a free one" if error.errno == errno.EADDRINUSE else str(error))
        raise typer.Exit(1) from None


def main() -> None:
    """Run the command line.

    Example: `calypso-nb export notebooks/workload.ipynb --output build/workload.html`
    """
    sys.exit(app(_pairs_joined(sys.argv[1:])))


def _pairs_joined(arguments: list[str]) -> list[str]:
    """`-p NAME VALUE` as `-p NAME=VALUE`: typer knows no option that is repeated and takes two words."""
    joined, words = [], iter(arguments)
    for word in words:
        joined.append(word)
        if word in ("-p", "--parameter"):
            pair = next(words, "")
            if "=" not in pair and (value := next(words, None)) is not None:
                pair = f"{pair}={value}"
            joined.append(pair)
    return joined


def _parameter(pair: str) -> tuple[str, object]:
    name, given, text = pair.partition("=")
    if not given or text.startswith("--"):
        raise typer.BadParameter(f"{name!r} has no value: give -p NAME VALUE, or -p NAME=VALUE")
    if not name.isidentifier():
        raise typer.BadParameter(f"{name!r} is no name of a parameter: give -p NAME VALUE")
    try:
        return name, json.loads(text)  # 3, 2.5, true, null and lists are what they look like
    except ValueError:
        return name, text


def _reporter(endpoint: str | None, env_file: Path | None, verbose: bool) -> WorkloadReporter:
    from dotenv import dotenv_values

    from calypso_nb.client import TinytaskClient
    from calypso_nb.report import WorkloadReporter

    for name, value in (dotenv_values(env_file) if env_file is not None else {}).items():
        if name.startswith("TINYTASK_") and value and not os.environ.get(name):
            os.environ[name] = value
    client = TinytaskClient(endpoint)
    if verbose:
        _complain(f"the server is {client.endpoint}")
    return WorkloadReporter(client)


@contextmanager
def _translated() -> Iterator[None]:
    """Each foreseen failure as one line on standard error and its own exit code."""
    from calypso_nb.errors import TinytaskAPIError, TinytaskClientError

    try:
        yield
    except TinytaskAPIError as error:
        _complain(str(error))
        raise typer.Exit(EXIT_REFUSED) from None
    except TinytaskClientError as error:
        _complain(str(error))
        raise typer.Exit(EXIT_UNREACHABLE) from None
    except ValueError as error:
        _complain(str(error))
        raise typer.Exit(2) from None
    except OSError as error:
        _complain(str(error))
        raise typer.Exit(1) from None


def _complain(message: str) -> None:
    from calypso_nb.cli.terminal import say

    say(message)


app.command("run-agent", epilog=EXIT_CODES)(_translated()(run_agent))
