"""The commands `cancel`, `pause` and `resume`: steer the schedulers of a server from anywhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer

from calypso_nb.cli.terminal import say
from calypso_nb.client.runs import leases_of

if TYPE_CHECKING:
    from calypso_nb.client import TinytaskClient

_LOOK_SECONDS = 0.5
# A run is looked at every five seconds, and may take as long again to end.
_CANCEL_SECONDS = 30.0


def cancel(client: TinytaskClient, task_id: int) -> bool:
    """Ask for the end of a run, wait for it, and return whether it has come."""
    lease = client.cancel_run(task_id)
    say(f"asked {lease.host} to end run {lease.run} of #{task_id}")
    end = time.monotonic() + _CANCEL_SECONDS
    while time.monotonic() < end:
        task = client.get_task(task_id)
        if all(one.run != lease.run for one in leases_of(task)):
            typer.echo(f"#{task_id} is {task.status}; its tag cancelled keeps it from being run again")
            return True
        time.sleep(_LOOK_SECONDS)
    say(f"{lease.host} has not ended it yet; it ends as soon as that scheduler sees the server again")
    return False
