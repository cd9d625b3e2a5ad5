"""What the command `record` does and says, and how `serve` records itself."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from calypso_nb.cli.terminal import say
from calypso_nb.client import TinytaskClient
from calypso_nb.history.hub import LOOPBACK
from calypso_nb.history.pushes import served
from calypso_nb.history.recorder import Recorder
from calypso_nb.report import History
from calypso_nb.workload.phrases import moment, readable_hours

if TYPE_CHECKING:
    from calypso_nb.embedded import TinytaskStore

# How often it says what it has seen, and how often it looks whether something goes wrong.
_SAY_SECONDS = 600.0
_LOOK_SECONDS = 1.0
# What is shorter would be "0 min".
_SHORT_HOURS = 1 / 60


def run(client: TinytaskClient, path: str | None, every: float, hub: str | None, keep: str | None) -> None:
    """Record until Ctrl-C or SIGTERM, saying what is seen, and at the end how well it was recorded."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Recorder(client, path, every=every, hub=hub, keep=keep) as recorder:
        since, how = client.now(), recorder.how
        typer.echo(f"recording {client.endpoint} in {recorder.path}, {how}; Ctrl-C ends it")
        if recorder.hub_url is not None:
            typer.echo("TinyTask pushes each change if it is started with this line; keep it to yourself:")
            typer.echo(f"TINYTASK_SIGNALR_HUB_URL={recorder.hub_url}")
            if str(hub).rpartition(":")[0].strip("[]") not in LOOPBACK:
                say("the hub is open to the network: whoever knows its URL can write into the history")
        _follow(recorder, since, how, stop)
        typer.echo(f"\n{_summary(recorder, since)}")
        if not recorder.recording:
            raise OSError(recorder.failure or "the recorder has stopped")


def _follow(recorder: Recorder, since: datetime, how: str, stop: threading.Event) -> None:
    """Say on standard error how recording goes whenever that changes, and now and then what was seen."""
    failure, unkept, rounds = None, 0, 0
    while recorder.recording and not stop.wait(_LOOK_SECONDS):
        if recorder.failure != failure:
            failure = recorder.failure
            say(f"{_clock()} {failure if failure is not None else 'back again'}")
        if recorder.how != how:
            how = recorder.how
            say(f"{_clock()} {how}")
        if recorder.unkept != unkept:
            unkept = recorder.unkept
            say(f"{_clock()} {unkept} pushed so far that can't be kept; a look shows what that changed")
        rounds += 1
        if rounds * _LOOK_SECONDS % _SAY_SECONDS == 0:
            typer.echo(f"{_clock()} {_summary(recorder, since)}")


def _summary(recorder: Recorder, since: datetime) -> str:
    history = History(recorder.path, recorder.name)
    try:
        span = history.recorded(since)
    finally:
        history.close()
    changes = f"{span.changes:,} change{'' if span.changes == 1 else 's'}, {span.exact:,} exact to the second"
    if not span.hours:
        return f"nothing recorded yet; {changes}"
    share = f"{span.recorded_hours / span.hours:.0%}"
    if span.hours < _SHORT_HOURS:
        return f"recorded {share} of less than a minute; {changes}"
    gap = f"; longest gap {readable_hours(span.longest_gap_hours)}" if span.longest_gap_hours else "; no gap"
    recorded = f"recorded {readable_hours(span.recorded_hours)} of {readable_hours(span.hours)}"
    return f"{recorded} ({share}){gap}; {changes}"


def _clock() -> str:
    return moment(datetime.now(UTC))


@contextmanager
def recording_of(store: TinytaskStore, url: str, path: Path) -> Iterator[Recorder]:
    """Write down all that happens in a store that this process serves, exactly and with who did it."""
    from calypso_nb.embedded import create_server

    with (
        TinytaskClient(create_server(store)) as client,
        Recorder(client, path, name=url) as recorder,
    ):
        store.listeners.append(lambda changes: recorder.hear(served(changes)))
        yield recorder
