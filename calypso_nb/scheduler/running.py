"""One run, from taking the task's lease to its record: a job that any process with the recipes can do."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from calypso_nb.errors import TinytaskAPIError, TinytaskClientError
from calypso_nb.records import Task
from calypso_nb.scheduler.guard import clock
from calypso_nb.scheduler.guarded import STDIN, Ended, GuardedProcess
from calypso_nb.scheduler.jobs import Job, Run, StopSignal
from calypso_nb.scheduler.leases import AUTHOR, Hold, LeaseLost, LeaseRefused, take
from calypso_nb.scheduler.marks import HANDED_OVER, RUNNING, failures, marked
from calypso_nb.scheduler.recipes import Command, RecipeError, command_for, endpoint_here, read_recipes
from calypso_nb.scheduler.verdicts import Outcome, Verdict, verdict_on

if TYPE_CHECKING:
    from calypso_nb.client import TinytaskClient

__all__ = ["carry_out", "carry_out_elsewhere"]

_POLL_SECONDS = 0.25


def carry_out_elsewhere(job: Job, stop: StopSignal) -> Run:
    """Do a job in a process that has no client yet: it makes its own, with credentials of its environment.

    Example: `executor.submit(carry_out_elsewhere, job, distributed.Event("stop"))`
    """
    from calypso_nb.client import TinytaskClient

    with TinytaskClient(endpoint_here(job.endpoint)) as client:
        return carry_out(job, client, stop)


def carry_out(job: Job, client: TinytaskClient, stop: StopSignal) -> Run:
    """Take a task's lease, run its recipe while the lease is kept, and bring the result back to the task.

    Once `stop` is set the run is ended with all its processes, and the task is idle again.
    Example: `carry_out(job, client, threading.Event()).outcome`
    """
    run = uuid4().hex[:12]
    known = (job.task_id, job.agent.name, job.recipe)
    if stop.is_set():
        return Run(*known, "not started", "stopped before it began")
    what = " ".join(f"{_host()} runs {job.recipe} for {job.agent.name}".split())  # One line, as leases are.
    try:
        hold, task = take(client, job.task_id, run, job.lease_seconds, what, now=job.now, stopped=stop.is_set)
    except (LeaseRefused, LeaseLost, TinytaskClientError) as reason:
        return Run(*known, "not started", str(reason))
    started = clock()
    try:
        outcome, why = _Running(job, client, stop, hold, started).carry_out(task)
    except (LeaseLost, TinytaskAPIError) as reason:
        outcome, why = "lost", str(reason)
    if outcome == "not started":
        return Run(*known, outcome, why)
    return Run(*known, outcome, why, clock() - started, run, str(_folder(job, run)))


def _host() -> str:
    return "".join(socket.gethostname().split()) or "somewhere"


def _folder(job: Job, run: str) -> Path:
    return job.runs.resolve() / f"{job.task_id}-{run}"


@dataclass(frozen=True)
class _Running:
    """A job whose lease is held."""

    job: Job
    client: TinytaskClient
    stop: StopSignal
    hold: Hold
    started: float

    def carry_out(self, task: Task) -> tuple[Outcome, str]:
        taken_over = task.status == "working" and RUNNING in task.tags
        failed = failures(task.tags)
        if reason := self._against(task, taken_over):
            return self._give_back(task, taken_over, reason)
        if taken_over and self.hold.lost and failed + 1 >= self.job.retry_limit:
            return self._finish(Verdict("failed", "the run before it has given no more signs"), failed)
        if taken_over and not self.hold.lost:
            self._outwait_an_unknown_holder()
        try:
            command = self._prepared(task)
        except (RecipeError, OSError) as error:  # It is no failure of the task: it would use up its tries.
            return self._give_back(task, taken_over, str(error))
        # Of several dead leases one had a run at most: it was to delete those before it first.
        failed += bool(taken_over and self.hold.lost)
        tags = marked(task.tags, failed=failed, running=True)
        self._update({"status": "working", "assigned_to": self.job.agent.name, "tags": tags})
        ended = self._execute(command)
        if ended.reason == "lease over":
            raise LeaseLost("the server did not answer for so long that the run had to be ended")
        self._link(command.notebook)
        folder = _folder(self.job, self.hold.run)
        return self._finish(verdict_on(ended, self.job.max_runtime, folder), failed)

    def _against(self, task: Task, taken_over: bool) -> str | None:
        """Why the task is not to be run after all: the board has gone on since the plan."""
        agent, failed = self.job.agent, failures(task.tags)
        nobodys = task.assigned_to is None or HANDED_OVER in task.tags
        ours = task.queue_name == agent.queue is not None if nobodys else task.assigned_to == agent.name
        if task.archived_at is not None or not (task.status == "idle" or taken_over):
            return f"it is {'archived' if task.archived_at else task.status} by now"
        if task.is_currently_blocked:
            return f"it is blocked by #{task.blocked_by_task_id} by now"
        if not ours:
            return f"it is {task.assigned_to or 'nobody'}'s by now"
        if failed >= self.job.retry_limit:
            return f"it has failed {failed} times by now"
        return "stopped before it began" if self.stop.is_set() else None

    def _give_back(self, task: Task, taken_over: bool, reason: str) -> tuple[Outcome, str]:
        if taken_over and task.archived_at is None:
            # The lease that it was run under is deleted: left as it is, nobody would come for it again.
            self._update({"status": "idle", "tags": marked(task.tags, failed=failures(task.tags))})
        self.hold.withdraw()
        return "not started", reason

    def _outwait_an_unknown_holder(self) -> None:
        """Hold the lease for its length: who had one that is gone has missed it by then, and given up."""
        end = clock() + self.hold.seconds + 1
        while clock() < end and not self.stop.is_set():
            self._beat_if_due()
            time.sleep(_POLL_SECONDS)

    def _prepared(self, task: Task) -> Command:
        """What to execute, with all files that it needs in its folder."""
        job, folder = self.job, _folder(self.job, self.hold.run)
        recipe = read_recipes(job.recipes).get(job.recipe)
        if recipe is None:
            raise RecipeError(f"recipe {job.recipe} is gone")
        command = command_for(recipe, task, job.endpoint, job.agent.name, folder)
        folder.mkdir(parents=True)
        (folder / STDIN).write_bytes(command.stdin)
        return command

    def _execute(self, command: Command) -> Ended:
        job = self.job
        try:
            process = GuardedProcess(
                self.hold.run,
                command,
                _folder(job, self.hold.run),
                until=self.hold.until,
                latest=None if job.max_runtime is None else clock() + job.max_runtime,
                lease_grace=min(5.0, self.hold.seconds / 12),
            )
        except (OSError, ValueError) as error:
            return Ended("not started", error=str(error))
        return self._watched(process)

    def _watched(self, process: GuardedProcess) -> Ended:
        lost: LeaseLost | None = None
        ending = False
        while (ended := process.wait(_POLL_SECONDS)) is None:
            if ending:
                continue
            try:
                self._beat_if_due()
            except LeaseLost as reason:
                lost = reason
            else:
                process.keep(self.hold.until)
            if ending := lost is not None or self.stop.is_set():
                process.stop()
        if lost is not None:
            raise lost
        return ended

    def _beat_if_due(self) -> None:
        if clock() >= self.hold.due:
            self.hold.beat()
            self._keep_marked()

    def _keep_marked(self) -> None:
        """Put back the mark by which others find the lease, where the run has set other tags."""
        with suppress(TinytaskClientError):
            task = self.client.get_task(self.job.task_id)
            if task.status == "working" and RUNNING not in task.tags:
                tags = marked(task.tags, failed=failures(task.tags), running=True)
                self.client.update_task(self.job.task_id, tags=tags)

    def _finish(self, verdict: Verdict, failed: int) -> tuple[Outcome, str]:
        """Bring a verdict to the task, then turn the lease into its record: a crash between loses nothing."""
        task = self.hold.task()
        failed = 0 if verdict.outcome == "succeeded" else failed + verdict.counts
        tags = marked(task.tags, failed=failed)
        if task.archived_at is not None or task.status != "working":
            note = (
                f"The task was set {'archived' if task.archived_at else task.status} meanwhile: so it stays."
            )
            self._update({"tags": tags})
        elif task.assigned_to not in (None, self.job.agent.name):
            note = f"The task was given to {task.assigned_to} meanwhile: so it stays."
            self._update({"tags": tags})
        elif verdict.outcome == "succeeded":
            note = self._succeed(task)
        else:
            self._update({"status": "idle", "tags": tags})
            note = verdict.prospects(failed, self.job.retry_limit)
        self.hold.end(self._record(verdict, note))
        return verdict.outcome, verdict.why

    def _link(self, notebook: Path | None) -> None:
        """Link the executed notebook, which is the run's log, however far it came."""
        if notebook is None or not notebook.is_file():
            return
        url, text = notebook.as_uri(), f"run {self.hold.run} of {self.job.recipe} on {_host()}"
        with suppress(TinytaskAPIError):  # What is lost with it is not worth the result of the run.
            self.hold.write(
                lambda: self.client.add_link(self.job.task_id, url, text, AUTHOR),
                lambda now: any(link.url == url for link in now.links or ()),
            )

    def _succeed(self, task: Task) -> str:
        queue = self.job.agent.success_queue
        if queue is not None:
            tags = marked(task.tags, failed=0, handed_over=True)
            try:
                self._update({"status": "idle", "queue_name": queue, "tags": tags})
                return f"The task is in queue {queue} now."
            except TinytaskAPIError as error:  # A TinyTask v1 has no queues.
                note = f"The task could not go to queue {queue}: {error.reason}"
        self._update({"status": "complete", "tags": marked(task.tags, failed=0)})
        return "" if queue is None else note

    def _update(self, changes: dict[str, Any]) -> None:
        wanted = {name: tuple(value) if name == "tags" else value for name, value in changes.items()}

        def landed(task: Task) -> bool:
            return all(getattr(task, name) == value for name, value in wanted.items())

        self.hold.write(lambda: self.client.update_task(self.job.task_id, **changes), landed)

    def _record(self, verdict: Verdict, note: str) -> str:
        job, run = self.job, self.hold.run
        folder = _folder(job, run)
        return verdict.record(
            f"Run {run} of {job.recipe} for {job.agent.name} on {_host()}",
            clock() - self.started,
            f"Its files: {folder} on {_host()}." if folder.is_dir() else "",
            note,
            *(
                f"Before, {lease.what} (run {lease.run}): given up, no sign of it."
                for lease in self.hold.lost
            ),
        )
