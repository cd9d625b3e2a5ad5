"""Report what came of a run on its task: when it has ended, or once its server can be reached again."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from calypso_nb.client.claims import find_task
from calypso_nb.client.runs import lease_of
from calypso_nb.errors import TinytaskAPIError
from calypso_nb.records import Comment, Task
from calypso_nb.run_marks import AUTHOR, LATE, RECORD, with_tags, written
from calypso_nb.scheduler.leases import Hold, LeaseLost
from calypso_nb.scheduler.outbox import Begun, Untold
from calypso_nb.scheduler.outcome import Result, last_lines, usage_in
from calypso_nb.scheduler.process import LOG

if TYPE_CHECKING:
    from calypso_nb.client import TinytaskClient


def tell(client: TinytaskClient, untold: Untold, begun: Begun, result: Result) -> None:
    """Report a result on the task, then turn the run's lease into its record.

    It may be called again after any error: what has been told already is not told twice. While the lease is
    there, even over its time, nobody has taken the task over. If it is not, the task is left as it is, and
    only the record is added. Raise TinytaskConnectionError if the server does not respond.
    """
    task = find_task(client, untold.task_id)
    if task is None or _recorded(task, untold.run):
        return
    lease = lease_of(task, untold.run)
    if lease is not None:
        hold = Hold(client, task.id, lease.run, lease.seconds, lease.what, 0.0, lease.comment_id, lease.sign)
        try:
            hold.revive()
            task = hold.task()
        except LeaseLost:
            lease = None
    _link(client, untold, task)
    if lease is None:
        client.add_comment(task.id, _record(untold, begun, result, LATE), AUTHOR)
        return
    remark = _change(client, untold, begun, result, task)
    client.update_comment(lease.comment_id, _record(untold, begun, result, remark))


def _recorded(task: Task, run: str) -> bool:
    return any(_run_of(comment) == run for comment in task.comments or ())


def _run_of(comment: Comment) -> str | None:
    match = RECORD.match(comment.content) if comment.created_by == AUTHOR else None
    return match and match["run"]


def _change(client: TinytaskClient, untold: Untold, begun: Begun, result: Result, task: Task) -> str:
    """Set the task's status, tags, queue and agent by a result: return what the record says of that."""
    succeeded = result.outcome == "succeeded"
    failed = 0 if succeeded else begun.failed + result.counts
    tags = with_tags(task.tags, failed=failed, cancelled=result.outcome == "cancelled")
    done: dict[str, Any] = {"status": "complete" if succeeded else "idle", "tags": tags}
    remark = "" if succeeded else result.prospects(failed, untold.retry_limit)
    queue = untold.success_queue if succeeded else None
    handed_over: dict[str, Any] = {"status": "idle", "tags": tags, "queue_name": queue, "assigned_to": ""}
    in_queue = f"The task is in queue {queue} now, unassigned."
    # A call before this one may have come so far.
    if queue is not None and _is(task, handed_over):
        return in_queue
    if _is(task, done):
        return remark
    if changed_to := _changed_to(task, untold.agent):
        if tags != list(task.tags):
            client.update_task(task.id, tags=tags)
        return f"The task was {changed_to} meanwhile, and stays so."
    if queue is not None:
        try:
            client.update_task(task.id, **handed_over)
        except TinytaskAPIError as error:  # A TinyTask v1 has no queues.
            remark = f"The task could not go to queue {queue}: {error.reason}"
        else:
            return in_queue
    client.update_task(task.id, **done)
    return remark


def _is(task: Task, fields: dict[str, Any]) -> bool:
    now = {name: getattr(task, name) or "" for name in fields} | {"tags": list(task.tags)}
    return now == fields


def _changed_to(task: Task, agent: str) -> str | None:
    if task.archived_at is not None:
        return "archived"
    if task.status != "working":
        return f"set {task.status}"
    if task.assigned_to not in (None, agent):
        return f"given to {task.assigned_to}"
    return None


def _link(client: TinytaskClient, untold: Untold, task: Task) -> None:
    """Link the executed notebook, which is the run's log, however far it came."""
    notebook = untold.folder / f"{untold.recipe}.ipynb"
    if not notebook.is_file():
        return
    url = notebook.as_uri()
    if any(link.url == url for link in task.links or ()):
        return
    with suppress(TinytaskAPIError):  # The link is not worth losing the result of the run.
        client.add_link(task.id, url, f"run {untold.run} of {untold.recipe} on {untold.host}", AUTHOR)


def _record(untold: Untold, begun: Begun, result: Result, remark: str) -> str:
    """Return the comment that reports the run to people, with its last lines if it failed."""
    seconds = "?" if result.seconds is None else f"{result.seconds:.1f}"
    lines = [
        f"Run {untold.run} of {written(untold.recipe)} for {written(untold.agent)} on {untold.host}: "
        f"{result.outcome} after {seconds} s, {' '.join(result.why.split())}."
    ]
    if usage := usage_in(untold.folder / LOG):
        lines.append(f"Usage: {json.dumps(usage)}")
    if untold.folder.is_dir():
        lines.append(f"Its files: {untold.folder} on {untold.host}.")
    if remark:
        lines.append(remark)
    lines += begun.lost
    if result.counts and (last := last_lines(untold.folder / LOG)):
        lines.append(f"Its last lines:\n\n```\n{last}\n```")
    return "\n".join(lines)
