"""What the commands `report` and `diff` do, once or again and again."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from calypso_nb.cli.conditions import Comparison, condition_that_holds
from calypso_nb.cli.terminal import console_width, say, use_color, write
from calypso_nb.errors import TinytaskConnectionError
from calypso_nb.report import WorkloadData, WorkloadReporter
from calypso_nb.text import (
    difference_to_console,
    difference_to_json,
    difference_to_markdown,
    to_console,
    to_csv,
    to_json,
    to_markdown,
)
from calypso_nb.workload.difference import difference

__all__ = ["Wanted", "again", "run", "saved", "write_difference"]

_BOTH = ((".json", "json"), (".txt", "console"))

Condition = list[list[Comparison]]


@dataclass(frozen=True)
class Wanted:
    """What the user asked `report` for.

    Example: `Wanted("json", None, None, None, details=True, color=False, verbose=False)`
    """

    format: str
    output: Path | None
    statuses: list[str] | None
    agents: list[str] | None
    details: bool
    color: bool
    verbose: bool


def run(
    reporter: WorkloadReporter, wanted: Wanted, condition: Condition | None, seconds: float | None
) -> str | None:
    """Report once, or every so many seconds until Ctrl-C or until the condition holds: then say what held.

    While it repeats, a server that stops answering is waited for; at the start that is an error. Nobody
    reading a pipe any more ends it, and is no error.
    Example: `run(reporter, wanted, parse_condition("idle > 10"), None)`
    """
    if seconds is not None and wanted.format == "console" and wanted.output is None and sys.stdout.isatty():
        return _on_screen(reporter, wanted, condition, seconds)

    def once() -> tuple[str | None, bool]:
        return _round(reporter, wanted, condition, _written)

    return once()[0] if seconds is None else _repeated(once, say, seconds)


def saved(path: Path) -> WorkloadData:
    """Read a report that was saved as JSON; ValueError names the file where it is none.

    Example: `saved(Path("yesterday.json"))`
    """
    try:
        return WorkloadData.from_json(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def again(reporter: WorkloadReporter, before: WorkloadData) -> WorkloadData:
    """Read the server with the filters of an earlier report, and say where it was another server.

    Example: `again(reporter, saved(Path("yesterday.json")))`
    """
    after = reporter.collect_workload_data(before.status_filter, before.agent_filter, details=before.details)
    if after.endpoint == "demo":
        say("the sample data are made anew each time: to compare, keep a `calypso-nb serve --demo`")
    elif after.endpoint != before.endpoint:
        say(f"the saved report is from {before.endpoint}, this one from {after.endpoint}")
    return after


def write_difference(
    before: WorkloadData, after: WorkloadData, format: str, output: Path | None, *, color: bool
) -> None:
    """Write what changed from one report to the other as console text, Markdown or JSON.

    Example: `write_difference(before, after, "markdown", None, color=False)`
    """
    change = difference(before, after)
    if format == "json":
        write(difference_to_json(change), output)
    elif format == "markdown":
        write(difference_to_markdown(change), output)
    else:
        write(difference_to_console(change, console_width(output), use_color(color, output)), output)


def _round(
    reporter: WorkloadReporter,
    wanted: Wanted,
    condition: Condition | None,
    show: Callable[[WorkloadData, Wanted], None],
) -> tuple[str | None, bool]:
    """Read and show once: what of the condition holds, and whether somebody still reads."""
    started = time.monotonic()
    # Only these formats show the counts, which cost a request a task.
    details = wanted.details and wanted.format in ("json", "both", "csv", "html")
    data = reporter.collect_workload_data(wanted.statuses, wanted.agents, details=details)
    if wanted.verbose:
        took = time.monotonic() - started
        say(f"{len(data.all_tasks):,} tasks read, {len(data.tasks):,} reported, {took:.1f} s")
    read_on = True
    try:
        show(data, wanted)
    except BrokenPipeError:
        read_on = False
    return None if condition is None else condition_that_holds(condition, data), read_on


def _written(data: WorkloadData, wanted: Wanted) -> None:
    output, files = wanted.output, [(wanted.output, wanted.format)]
    if wanted.format == "both" and output is not None:
        base = output.with_suffix("") if output.suffix in (".json", ".txt") else output
        files = [(base.with_name(base.name + end), format) for end, format in _BOTH]
    for target, format in files:
        write(_formatted(data, format, wanted, target), target, spreadsheet=format == "csv")
        if target is not None and wanted.verbose:
            say(f"wrote {target}")


def _formatted(data: WorkloadData, format: str, wanted: Wanted, target: Path | None) -> str:
    match format:
        case "json":
            return to_json(data)
        case "csv":
            return to_csv(data.tasks)
        case "markdown":
            return to_markdown(data)
        case "html":
            from calypso_nb.view.page import report_page

            return report_page(data)
        case _:
            return to_console(data, console_width(target), use_color(wanted.color, target))


def _repeated(
    once: Callable[[], tuple[str | None, bool]], tell: Callable[[str], None], seconds: float
) -> str | None:
    held, wanted = once()
    try:
        while held is None and wanted:
            time.sleep(seconds)
            try:
                held, wanted = once()
            except TinytaskConnectionError as error:
                tell(str(error))
    except KeyboardInterrupt:
        return None
    return held


def _on_screen(
    reporter: WorkloadReporter, wanted: Wanted, condition: Condition | None, seconds: float
) -> str | None:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    from calypso_nb.text.console import console_report
    from calypso_nb.text.visible import visible

    console = Console(markup=False, emoji=False, highlight=False, no_color=not use_color(wanted.color, None))
    last: list[WorkloadData] = []

    with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="ellipsis") as live:

        def show(data: WorkloadData, _: Wanted) -> None:
            last[:] = [data]
            live.update(console_report(data, console.width), refresh=True)

        def tell(message: str) -> None:
            old = console_report(last[0], console.width)
            live.update(Group(Text(visible(message), "bold red"), Text(), old), refresh=True)

        return _repeated(lambda: _round(reporter, wanted, condition, show), tell, seconds)
