"""Steer the schedulers of a server from anywhere, by what they read there: cancel a run, pause an agent."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from calypso_nb.client.actions import check_agent
from calypso_nb.errors import UnconfirmedError, UsageError
from calypso_nb.records import Comment, Task
from calypso_nb.run_marks import AUTHOR, CANCEL, LEASE, MAX_SECONDS, WHAT, read

if TYPE_CHECKING:
    import pandas as pd

    from calypso_nb.client.client import TinytaskClient

_PAUSED = "paused:"


@dataclass(frozen=True)
class Lease:
    """A lease as read from its comment.

    - seconds: its length
    - sign, signed_at: the number and the time of its last sign of life, by the server's clock
    - what: `host runs recipe for agent`, or `host takes recipe for agent` before the run has begun
    """

    comment_id: int
    run: str
    seconds: int
    sign: int
    host: str
    what: str
    signed_at: datetime

    @property
    def recipe(self) -> str | None:
        """Return the name of the recipe that it runs."""
        match = WHAT.fullmatch(self.what)
        return match and read(match["recipe"])

    @property
    def has_run(self) -> bool:
        """Return whether a run has begun under it."""
        return self.what.startswith(f"{self.host} runs ")

    def silent(self, now: datetime) -> float:
        """Return the seconds since its last sign at `now`, a time of the server's clock."""
        return max((now - self.signed_at).total_seconds(), 0.0)

    def is_dead(self, now: datetime) -> bool:
        """Return whether its holder must have given up by `now`, a time of the server's clock."""
        # Times are whole seconds, so one more is waited for.
        return self.silent(now) >= self.seconds + 1


def leases_of(task: Task) -> list[Lease]:
    """Return the leases among a task's comments, alive or dead, the lowest number first."""
    return _leases_in(task.comments or ())


def leases_on(client: TinytaskClient, task_ids: Sequence[int]) -> dict[int, list[Lease]]:
    """Return what `leases_of` does for many tasks, read together; without those that could not be read."""
    notes, _, were_read = client.read_notes(task_ids, progress=False)
    comments: dict[int, list[Comment]] = {number: [] for number in were_read}
    for record in run_notes(notes):
        comments[record["task_id"]].append(Comment.from_record(record))
    return {number: _leases_in(found) for number, found in comments.items()}


def run_notes(comments: pd.DataFrame) -> list[dict[str, Any]]:
    """Return those of some comments that schedulers wrote, the lowest number first; what is NA is None."""
    own = comments[comments["created_by"] == AUTHOR].sort_values("id")
    records: list[Any] = own.astype(object).where(own.notna(), None).to_dict("records")
    return records


def _leases_in(comments: Iterable[Comment]) -> list[Lease]:
    leases = []
    for comment in comments:
        signed_at = comment.updated_at or comment.created_at
        match = LEASE.fullmatch(comment.content)
        if match is None or signed_at is None or comment.created_by != AUTHOR:
            continue
        if 0 < (seconds := int(match["seconds"])) <= MAX_SECONDS:
            sign, host, what = int(match["sign"]), match["host"], match["what"]
            leases.append(Lease(comment.id, match["run"], seconds, sign, host, what, signed_at))
    return sorted(leases, key=lambda lease: lease.comment_id)


def lease_of(task: Task, run: str | None = None) -> Lease | None:
    """Return the lease of a run, or of whichever run has begun on the task; None if there is none."""
    leases = leases_of(task)
    return next((lease for lease in leases if (lease.has_run if run is None else lease.run == run)), None)


def cancel(client: TinytaskClient, task_id: int | str) -> Lease:
    """Ask whoever runs a task to end its run: see `TinytaskClient.cancel_run`."""
    task = client.get_task(task_id)
    lease = lease_of(task)
    if lease is None:
        raise UsageError(f"no run is at work on #{task.id}")
    if cancelled_by(task, lease.run) is None:
        client.add_comment(task.id, f"Cancel run {lease.run}.", client.agent or "supervisor")
    return lease


def cancelled_by(task: Task, run: str) -> str | None:
    """Return who has asked for the end of a run of a task, None if nobody has."""
    for comment in task.comments or ():
        match = CANCEL.fullmatch(comment.content)
        if match is not None and match["run"] == run:
            return comment.created_by or "somebody"
    return None


def pause(client: TinytaskClient, agent: str, why: str) -> None:
    """Have no scheduler take a task of an agent: see `TinytaskClient.pause_agent`."""
    if not agent.strip():
        raise UsageError("name the agent that is to be paused")
    if agent in paused(client):
        return
    try:
        check_agent(client, agent)
    except UnconfirmedError as error:
        said = error.consequences[0]
        warnings.warn(f"{said}{'' if said[-1] == '?' else '.'} It is paused all the same.", stacklevel=3)
    title = f"{agent} is paused: run-agent takes none of its tasks"
    task = client.create_task(title, description=why or None, assigned_to=AUTHOR, tags=[f"{_PAUSED}{agent}"])
    client.archive_task(task.id)


def resume(client: TinytaskClient, agent: str) -> None:
    """End the pause of an agent: see `TinytaskClient.resume_agent`."""
    marks = [task.id for task in _marks(client) if f"{_PAUSED}{agent}" in task.tags]
    if not marks:
        raise UsageError(f"{agent} is not paused")
    for number in marks:
        client.delete_task(number)


def paused(client: TinytaskClient) -> dict[str, datetime | None]:
    """Return since when each agent is paused: see `TinytaskClient.paused_agents`."""
    return {
        tag.removeprefix(_PAUSED): mark.created_at
        for mark in _marks(client)
        for tag in mark.tags
        if tag.startswith(_PAUSED)
    }


def _marks(client: TinytaskClient) -> list[Task]:
    """Return the archived tasks that say who is paused: reports leave them out."""
    records = client.list_task_records(assigned_to=AUTHOR, include_archived=True)
    return [Task.from_record(record) for record in records]
