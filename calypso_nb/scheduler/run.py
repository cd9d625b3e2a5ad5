"""One run, from taking the task's lease to its record: a job for any process that has the recipes."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from uuid import uuid4

from calypso_nb.agents import Agent
from calypso_nb.errors import TinytaskAPIError, TinytaskClientError
from calypso_nb.frames import Column
from calypso_nb.records import Task
from calypso_nb.run_marks import AUTHOR, HANDED_OVER, RUNNING, failures, with_tags
from calypso_nb.scheduler.leases import Hold, LeaseLost, LeaseRefused, take
from calypso_nb.scheduler.outcome import Outcome, Result, last_lines, outcome_of
from calypso_nb.scheduler.process import LOG, STDIN, Ended, WatchedProcess
from calypso_nb.scheduler.recipes import Command, RecipeError, command_for, endpoint_here, read_recipes
from calypso_nb.scheduler.watchdog import clock

if TYPE_CHECKING:
    from calypso_nb.client import TinytaskClient

RUN_COLUMNS: dict[str, Column] = {
    "id": Column("int64", "", "the task's number; one row per run, in the order in which they ended"),
    "agent": Column("str", "", "who ran it"),
    "recipe": Column("str", "", "the recipe's name"),
    "outcome": Column("str", "", "succeeded, failed, over time, stopped, lost or not started"),
    "why": Column("str", "", "the reason for the outcome, in words"),
    "seconds": Column("float64", "s", "how long it ran; NA if it was not started"),
    "run": Column("str", "", "the run's own number, which its record on the task names"),
    "folder": Column("str", "", "where its files are; NA if it was not started"),
}

_POLL_SECONDS = 0.25


class StopSignal(Protocol):
    """What `threading.Event` and `distributed.Event` have in common."""

    def is_set(self) -> bool: ...
    def set(self) -> None: ...
    def clear(self) -> None: ...


class Run(NamedTuple):
    """The result of one run, with the fields of `RUN_COLUMNS`."""

    id: int
    agent: str
    recipe: str
    outcome: Outcome
    why: str
    seconds: float | None = None
    run: str | None = None
    folder: str | None = None

    def __str__(self) -> str:
        outcome: str = self.outcome
        if self.seconds is not None:
            outcome += f" after {self.seconds:.1f} s"
        return f"#{self.id} of {self.agent}: {outcome}, {self.why}"


@dataclass(frozen=True)
class Job:
    """All that a process needs to run one task; it can be pickled and holds no credentials.

    `now` is the server's clock at the time of the plan, None if unknown. Lengths are in seconds.
    """

    task_id: int
    agent: Agent
    recipe: str
    recipes: Path
    runs: Path
    endpoint: str
    lease_seconds: int
    max_runtime: float | None
    retry_limit: int
    now: datetime | None = None


def carry_out(job: Job, client: TinytaskClient | None, stop: StopSignal) -> Run:
    """Take a task's lease, run its recipe while the lease is held, and report the result on the task.

    Once `stop` is set, the run is ended with all its processes, and the task is idle again. In a process that
    has no client, it makes its own, with the credentials of its environment.
    """
    if client is None:
        from calypso_nb.client import TinytaskClient

        with TinytaskClient(endpoint_here(job.endpoint)) as own:
            return carry_out(job, own, stop)
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
    folder = job.runs.resolve() / f"{job.task_id}-{run}"
    try:
        outcome, why = _HeldTask(job, client, stop, hold, started, folder).carry_out(task)
    except (LeaseLost, TinytaskAPIError) as reason:
        outcome, why = "lost", str(reason)
    if outcome == "not started":
        return Run(*known, outcome, why)
    return Run(*known, outcome, why, clock() - started, run, str(folder))


def _host() -> str:
    return "".join(socket.gethostname().split()) or "somewhere"


@dataclass(frozen=True)
class _HeldTask:
    """A job's task while its lease is held; `folder` is where the run's files go."""

    job: Job
    client: TinytaskClient
    stop: StopSignal
    hold: Hold
    started: float
    folder: Path

    def carry_out(self, task: Task) -> tuple[Outcome, str]:
        taken_over = task.status == "working" and RUNNING in task.tags
        failed = failures(task.tags)
        if obstacle := self._obstacle(task, taken_over):
            return self._give_back(task, taken_over, obstacle)
        if taken_over and self.hold.lost and failed + 1 >= self.job.retry_limit:
            return self._finish(Result("failed", "the run before it gave no more signs"), failed)
        if taken_over and not self.hold.lost:
            self._wait_out_an_unknown_holder()
        try:
            command = self._prepared(task)
        except (RecipeError, OSError) as error:  # Not a failure of the task: it would use up its tries.
            return self._give_back(task, taken_over, str(error))
        # Of several dead leases at most one had a run: taking it began with deleting those before it.
        failed += bool(taken_over and self.hold.lost)
        tags = with_tags(task.tags, failed=failed, running=True)
        self._update({"status": "working", "assigned_to": self.job.agent.name, "tags": tags})
        ended = self._execute(command)
        if ended.reason == "lease over":
            raise LeaseLost("the server did not respond for so long that the run had to be ended")
        self._link(command.notebook)
        outcome, why = outcome_of(ended, self.job.max_runtime)
        return self._finish(Result(outcome, why), failed)

    def _obstacle(self, task: Task, taken_over: bool) -> str | None:
        """Return why the task can't be run after all: it may have changed since the plan."""
        failed = failures(task.tags)
        if task.archived_at is not None:
            return "it is archived by now"
        if task.status != "idle" and not taken_over:
            return f"it is {task.status} by now"
        if task.is_currently_blocked:
            return f"it is blocked by #{task.blocked_by_task_id} by now"
        if not self._is_for_our_agent(task):
            if task.assigned_to is None:
                return "it is unassigned by now"
            return f"it is assigned to {task.assigned_to} by now"
        if failed >= self.job.retry_limit:
            return f"it has failed {failed} times by now"
        return "stopped before it began" if self.stop.is_set() else None

    def _is_for_our_agent(self, task: Task) -> bool:
        agent = self.job.agent
        if task.assigned_to is None or HANDED_OVER in task.tags:
            return agent.queue is not None and task.queue_name == agent.queue
        return task.assigned_to == agent.name

    def _give_back(self, task: Task, taken_over: bool, why: str) -> tuple[Outcome, str]:
        if taken_over and task.archived_at is None:
            # The lease that it was run under is deleted: left as it is, it would never be run again.
            self._update({"status": "idle", "tags": with_tags(task.tags, failed=failures(task.tags))})
        self.hold.delete(self.hold.comment_id)
        return "not started", why

    def _wait_out_an_unknown_holder(self) -> None:
        """Hold the lease for its length: a holder whose lease is gone has noticed by then, and given up."""
        end = clock() + self.hold.seconds + 1
        while clock() < end and not self.stop.is_set():
            self._beat_if_due()
            time.sleep(_POLL_SECONDS)

    def _prepared(self, task: Task) -> Command:
        """Return what to execute, with all files that it needs in its folder."""
        job = self.job
        recipe = read_recipes(job.recipes).get(job.recipe)
        if recipe is None:
            raise RecipeError(f"recipe {job.recipe} is gone")
        agent = job.agent
        command = command_for(recipe, task, job.endpoint, agent.name, self.folder, agent.env)
        # The task's text is for its team, and what a run prints may be a credential.
        self.folder.mkdir(parents=True, mode=0o700)
        stdin = self.folder / STDIN
        stdin.touch(mode=0o600)
        stdin.write_bytes(command.stdin)
        return command

    def _execute(self, command: Command) -> Ended:
        latest = None
        if self.job.max_runtime is not None:
            latest = clock() + self.job.max_runtime
        until, grace = self.hold.until, min(5.0, self.hold.seconds / 12)
        try:
            process = WatchedProcess(self.hold.run, command, self.folder, until, latest, grace)
        except (OSError, ValueError) as error:
            return Ended("not started", error=str(error))
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
                process.extend(self.hold.until)
            if ending := lost is not None or self.stop.is_set():
                process.stop()
        if lost is not None:
            raise lost
        return ended

    def _beat_if_due(self) -> None:
        if clock() < self.hold.due:
            return
        self.hold.beat()
        # Put back the tag by which others find the lease, in case the run has set other tags.
        with suppress(TinytaskClientError):
            task = self.client.get_task(self.job.task_id)
            if task.status == "working" and RUNNING not in task.tags:
                tags = with_tags(task.tags, failed=failures(task.tags), running=True)
                self.client.update_task(self.job.task_id, tags=tags)

    def _finish(self, result: Result, failed: int) -> tuple[Outcome, str]:
        """Report a result on the task, then turn the lease into its record: a crash between loses nothing."""
        task = self.hold.task()
        failed += result.counts
        if result.outcome == "succeeded":
            failed = 0
        tags = with_tags(task.tags, failed=failed)
        changed_to = None
        if task.archived_at is not None:
            changed_to = "set archived"
        elif task.status != "working":
            changed_to = f"set {task.status}"
        elif task.assigned_to not in (None, self.job.agent.name):
            changed_to = f"given to {task.assigned_to}"
        if changed_to is not None:
            remark = f"The task was {changed_to} meanwhile, and stays so."
            self._update({"tags": tags})
        elif result.outcome == "succeeded":
            remark = self._succeed(task)
        else:
            self._update({"status": "idle", "tags": tags})
            remark = result.prospects(failed, self.job.retry_limit)
        self.hold.end(self._record(result, remark))
        return result.outcome, result.why

    def _link(self, notebook: Path | None) -> None:
        """Link the executed notebook, which is the run's log, however far it came."""
        if notebook is None or not notebook.is_file():
            return
        url, text = notebook.as_uri(), f"run {self.hold.run} of {self.job.recipe} on {_host()}"
        with suppress(TinytaskAPIError):  # The link is not worth losing the result of the run.
            self.hold.write(
                lambda: self.client.add_link(self.job.task_id, url, text, AUTHOR),
                lambda now: any(link.url == url for link in now.links or ()),
            )

    def _succeed(self, task: Task) -> str:
        """Complete the task, or hand it to the agent's success queue: return what the record says of that."""
        queue, remark = self.job.agent.success_queue, ""
        if queue is not None:
            tags = with_tags(task.tags, failed=0, handed_over=True)
            try:
                self._update({"status": "idle", "queue_name": queue, "tags": tags})
                return f"The task is in queue {queue} now."
            except TinytaskAPIError as error:  # A TinyTask v1 has no queues.
                remark = f"The task could not go to queue {queue}: {error.reason}"
        self._update({"status": "complete", "tags": with_tags(task.tags, failed=0)})
        return remark

    def _update(self, changes: dict[str, Any]) -> None:
        def landed(task: Task) -> bool:
            now = {name: getattr(task, name) for name in changes} | {"tags": list(task.tags)}
            return now == changes  # Every change sets the tags.

        self.hold.write(lambda: self.client.update_task(self.job.task_id, **changes), landed)

    def _record(self, result: Result, remark: str) -> str:
        """Return the comment that reports the run to people, with its last lines if it failed."""
        host, job = _host(), self.job
        lines = [
            f"Run {self.hold.run} of {job.recipe} for {job.agent.name} on {host}: "
            f"{result.outcome} after {clock() - self.started:.1f} s, {result.why}."
        ]
        if self.folder.is_dir():
            lines.append(f"Its files: {self.folder} on {host}.")
        if remark:
            lines.append(remark)
        for lease in self.hold.lost:
            lines.append(f"Before, {lease.what} (run {lease.run}): given up, no sign of it.")
        if result.counts and (last := last_lines(self.folder / LOG)):
            lines.append(f"Its last lines:\n\n```\n{last}\n```")
        return "\n".join(lines)
