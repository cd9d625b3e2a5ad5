"""What the command `audit` does."""

from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from calypso_nb.audit.audit import Audit
from calypso_nb.cli.conditions import Condition, audit_condition_that_holds
from calypso_nb.cli.terminal import show
from calypso_nb.report import History, WorkloadReporter
from calypso_nb.text.console import audit_to_console
from calypso_nb.text.json import audit_to_json
from calypso_nb.text.markdown import audit_to_markdown


class Options(NamedTuple):
    """What the user asked `audit` for.

    - condition, likely: the condition to exit by, and whether likely findings count for it
    - notes: whether comments and links are read
    """

    format: str
    output: Path | None
    agents: list[str] | None
    since: str | None
    condition: Condition | None
    likely: bool
    notes: bool
    color: bool


def show_audit(reporter: WorkloadReporter, options: Options) -> str | None:
    """Write what is broken, as text, Markdown or JSON, and return what of the condition holds."""
    audit = _audit(reporter, options)
    plain = {"json": audit_to_json, "markdown": audit_to_markdown}
    show(audit, plain, audit_to_console, options.format, options.output, options.color)
    if options.condition is None:
        return None
    return audit_condition_that_holds(options.condition, audit, options.likely)


def _audit(reporter: WorkloadReporter, options: Options) -> Audit:
    if reporter.history == "demo":  # It is of no server that could be asked for more.
        with closing(History("demo")) as history:
            return history.audit(options.since, options.agents)
    data = reporter.collect_workload_data("all", options.agents, details=False)
    return reporter.audit(data, options.since, notes=options.notes)
