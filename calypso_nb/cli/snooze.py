"""What the commands `snooze` and `wake` do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import typer

from calypso_nb.cli.terminal import show
from calypso_nb.errors import UsageError
from calypso_nb.history.moments import length_of, moment_in
from calypso_nb.report import WorkloadReporter
from calypso_nb.snoozes import DAY, named
from calypso_nb.team import TEAM
from calypso_nb.text.console import snoozes_to_console
from calypso_nb.text.json import snoozes_to_json
from calypso_nb.visible import visible
from calypso_nb.workload.attention import line_about
from calypso_nb.workload.phrases import did_you_mean, moment

CHANGE = "change"


@dataclass(frozen=True)
class Options:
    """What the user asked `snooze` for.

    - length, until: for how long, or until when, in words; `change` is until something new
    - person: who says so, None for the login
    """

    length: str | None
    until: str | None
    why: str
    person: str | None
    format: str
    color: bool


def subject_of(**names: int | str | None) -> tuple[str, int | str] | None:
    """Return the one thing that is named, None for none; raise UsageError for several."""
    found = [(about, name) for about, name in names.items() if name is not None]
    if len(found) > 1:
        raise UsageError("name one of TASK, --agent, --queue and --team")
    return found[0] if found else None


def run(reporter: WorkloadReporter, subject: tuple[str, int | str] | None, options: Options) -> None:
    """Snooze something, or list what is snoozed if nothing is named."""
    if subject is not None:
        _snooze(reporter, subject, options)
    elif options.length or options.until or options.why:
        raise UsageError("what is to be snoozed? Name a TASK, --agent, --queue or --team")
    else:
        kept = reporter.snoozes.current()
        show(kept, {"json": snoozes_to_json}, snoozes_to_console, options.format, None, options.color)


def wake(reporter: WorkloadReporter, subject: tuple[str, int | str] | None) -> None:
    """End a snooze."""
    if subject is None:
        raise UsageError("whose snooze is to end? Name a TASK, --agent, --queue or --team")
    about, name = subject
    reporter.wake({"about": about, "id": name, about: name, "facts": f"{TEAM}{name}"})
    typer.echo(visible(f"{named(*subject)} is no longer snoozed"))


def _snooze(reporter: WorkloadReporter, subject: tuple[str, int | str], options: Options) -> None:
    until = _end(options)
    line = _line(reporter, subject)
    reporter.snooze(line, until, options.why, options.person or "")
    about, name = subject
    kept = reporter.snoozes.current()
    end = kept[(kept["about"] == about) & (kept["name"] == str(name))]["until"].iloc[0]
    when = "something new happens" if pd.isna(end) else f"{moment(end)}, or until something new happens"
    typer.echo(visible(f"{named(*subject)} is snoozed until {when}"))


def _end(options: Options) -> datetime | timedelta | None:
    if options.length is not None and options.until is not None:
        raise UsageError("a snooze has one end: --for or --until")
    if options.length is not None:
        return length_of(options.length)
    if options.until is not None:
        return None if options.until == CHANGE else moment_in(options.until)
    return DAY


def _line(reporter: WorkloadReporter, subject: tuple[str, int | str]) -> dict[str, Any]:
    """Return all that needs attention about something, whatever is snoozed of it already."""
    data = reporter.collect_workload_data()
    team = data.team.model_copy(update={"snoozes": ()})
    needs = replace(data, team=team, snoozes=()).needs
    line = line_about(needs, subject)
    if line is None:
        about, name = subject
        known = needs[about].dropna().unique() if about in ("agent", "queue") else ()
        hint = did_you_mean(str(name), known)
        raise UsageError(f"nothing about {named(*subject)} needs attention, so nothing is snoozed{hint}")
    return line
