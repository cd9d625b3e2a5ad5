"""What the commands `report` and `diff` do, once or again and again."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calypso_nb.cli.baseline import new_since
from calypso_nb.cli.conditions import NEED_COMMENTS, Condition, condition_that_holds
from calypso_nb.cli.terminal import console_width, say, show, use_color, write
from calypso_nb.errors import TinytaskConnectionError, UsageError
from calypso_nb.history.difference import difference
from calypso_nb.report import WorkloadData, WorkloadReporter
from calypso_nb.text.console import difference_to_console
from calypso_nb.text.json import difference_to_json
from calypso_nb.text.markdown import difference_to_markdown

_BOTH = ((".json", "json"), (".txt", "console"))


@dataclass(frozen=True)
class Options:
    """What the user asked `report` for; `seconds` is the time between two readings, None for one.

    `as_of` is the moment to report, in words, None for the present; `new_since` names a baseline.
    """

    format: str
    output: Path | None
    statuses: list[str] | None
    agents: list[str] | None
    details: bool
    color: bool
    verbose: bool
    condition: Condition | None
    seconds: float | None
    context: bool = False
    new_since: str | None = None
    as_of: str | None = None


def run(reporter: WorkloadReporter, options: Options) -> str | None:
    """Report once, or again and again until Ctrl-C or until an exit code has to tell something; return that.

    While it repeats, a server that stops responding is waited for; at the start that is an error. It also
    ends, and that is no error, when nobody reads the pipe any more.
    """
    if options.as_of is not None and options.seconds is not None:
        raise UsageError("--as-of is one moment: leave out --watch")
    if options.as_of is not None and options.new_since is not None:
        raise UsageError("--new-since is about the present: leave out --as-of")
    if options.seconds is None:
        return _round(reporter, options, _written)[0]
    if options.format == "console" and options.output is None and sys.stdout.isatty():
        return _on_screen(reporter, options)
    return _repeated(lambda: _round(reporter, options, _written), say, options.seconds)


def saved(path: Path) -> WorkloadData:
    """Read a report that was saved as JSON; raise UsageError with the file's name if it is not a report."""
    try:
        return WorkloadData.from_json(path.read_text("utf-8"))
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error


def past(reporter: WorkloadReporter, moment: str) -> WorkloadData:
    """Return all tasks as they were at a moment, from the history."""
    return reporter.collect_workload_data("all", as_of=moment)


def again(reporter: WorkloadReporter, before: WorkloadData) -> WorkloadData:
    """Read the server with the filters of an earlier report, and warn if that is from another server."""
    statuses = "all" if before.status_filter is None else before.status_filter
    after = reporter.collect_workload_data(statuses, before.agent_filter, details=before.details)
    if after.endpoint == "demo":
        say("the sample data are made anew each time: to compare, keep a `calypso-nb serve --demo`")
    elif after.endpoint != before.endpoint:
        say(f"the saved report is from {before.endpoint}, this one from {after.endpoint}")
    return after


def write_difference(
    before: WorkloadData, after: WorkloadData, format: str, output: Path | None, *, color: bool
) -> None:
    """Write what changed from one report to the other as console text, Markdown or JSON."""
    change = difference(before, after)
    plain = {"json": difference_to_json, "markdown": difference_to_markdown}
    show(change, plain, difference_to_console, format, output, color)


def _round(
    reporter: WorkloadReporter, options: Options, show: Callable[[WorkloadData, Options], bool]
) -> tuple[str | None, bool]:
    """Read and show once; return what of the condition holds, and whether somebody still reads."""
    started = time.monotonic()
    # Only these formats show the counts, which take a request per task; alarms need those of some.
    names = [] if options.condition is None else options.condition.names
    asked = options.new_since is not None or not {*NEED_COMMENTS, "attention"}.isdisjoint(names)
    every = asked or options.format in ("json", "both", "csv", "html")
    details: bool | Literal["needed"] = options.details and (every or "needed")
    # A page has a filter of its own, which begins with the open tasks.
    statuses = options.statuses or ("all" if options.format == "html" else None)
    data = reporter.collect_workload_data(statuses, options.agents, details=details, as_of=options.as_of)
    if options.verbose:
        took = time.monotonic() - started
        say(f"{len(data.all_tasks):,} tasks read, {len(data.tasks):,} reported, {took:.1f} s")
    read_on = show(data, options)
    held = None
    if options.condition is not None:
        held = condition_that_holds(options.condition, data)
    fresh = None if options.new_since is None else new_since(options.new_since, data)
    return "; ".join(filter(None, [held and f"condition holds: {held}", fresh])) or None, read_on


def _written(data: WorkloadData, options: Options) -> bool:
    output, files = options.output, [(options.output, options.format)]
    if options.format == "both":
        files = [(None, "json"), (None, "console")]
        if output is not None:
            base = output.with_suffix("") if output.suffix in (".json", ".txt") else output
            files[:1] = [(base.with_name(base.name + end), format) for end, format in _BOTH]
    for target, format in files:
        text = _formatted(data, format, target, options)
        read_on = write(text, target, spreadsheet=format == "csv")
        if target is not None and options.verbose:
            say(f"wrote {target}")
    return read_on


def _formatted(data: WorkloadData, format: str, target: Path | None, options: Options) -> str:
    match format:
        case "json":
            return data.to_json(context=options.context)
        case "csv":
            return data.to_csv()
        case "markdown":
            return data.to_markdown()
        case "html":
            from calypso_nb.view.page import report_page

            return report_page(data, audit=data.audit)
        case _:
            return data.to_console(console_width(target), use_color(options.color, target))


def _repeated(
    once: Callable[[], tuple[str | None, bool]], tell: Callable[[str], None], seconds: float
) -> str | None:
    held, read_on = once()
    try:
        while held is None and read_on:
            time.sleep(seconds)
            try:
                held, read_on = once()
            except TinytaskConnectionError as error:
                tell(str(error))
    except KeyboardInterrupt:
        return None
    return held


def _on_screen(reporter: WorkloadReporter, options: Options) -> str | None:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    from calypso_nb.text.console import console_report
    from calypso_nb.visible import visible

    console = Console(markup=False, emoji=False, highlight=False, no_color=not use_color(options.color, None))
    last: list[WorkloadData] = []

    with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="ellipsis") as live:

        def show(data: WorkloadData, _: Options) -> bool:
            last[:] = [data]
            live.update(console_report(data, console.width), refresh=True)
            return True

        def tell(message: str) -> None:
            old = console_report(last[0], console.width)
            live.update(Group(Text(visible(message), "bold red"), Text(), old), refresh=True)

        return _repeated(lambda: _round(reporter, options, show), tell, options.seconds or 0)
