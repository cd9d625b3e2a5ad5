"""One run, from taking the task's lease to its record: a job for any process that has the recipes."""

from __future__ import annotations

import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from uuid import uuid4

from calypso_nb.agents import Agent
from calypso_nb.client.claims import find_task
from calypso_nb.client.runs import cancelled_by, lease_of
from calypso_nb.errors import TinytaskAPIError, TinytaskClientError, TinytaskConnectionError
from calypso_nb.records import Task
from calypso_nb.run_marks import CANCELLED, RUNNING, failures, with_tags, written
from calypso_nb.scheduler.leases import Hold, LeaseLost, LeaseRefused, take
from calypso_nb.scheduler.outbox import Begun, Entry, Untold, kept, left, untold_in
from calypso_nb.scheduler.outcome import Outcome, Result, result_of
from calypso_nb.scheduler.process import STDIN, Ended, WatchedProcess, ended_of, processes_of
from calypso_nb.scheduler.recipes import Command, RecipeError, command_for, endpoint_here, read_recipes
from calypso_nb.scheduler.tell import tell
from calypso_nb.scheduler.watchdog import clock
from calypso_nb.scheduler.workers import worker_here

if TYPE_CHECKING:
    from calypso_nb.client import TinytaskClient

# Outcomes of a job that has not begun a run.
NOT_RUN = ("claimed", "not started")

_FOLDER = re.compile(r"[0-9]+-(?P<run>[0-9a-f]{12})")
_POLL_SECONDS = 0.25
_LOOK_SECONDS = 5.0
_STOPPING_SECONDS = 5.0


class StopSignal(Protocol):
    """What `threading.Event` and `distributed.Event` have in common."""

    def is_set(self) -> bool: ...
    def set(self) -> None: ...
    def clear(self) -> None: ...


class Run(NamedTuple):
    """What came of one job, in columns of `RUN_COLUMNS`."""

    id: int
    agent: str
    recipe: str
    outcome: Outcome
    why: str
    host: str | None = None
    seconds: float | None = None
    run: str | None = None
    folder: str | None = None
    worker: str | None = None

    def __str__(self) -> str:
        outcome: str = self.outcome
        if self.seconds is not None:
            outcome += f" after {self.seconds:.1f} s"
        return f"#{self.id} of {self.agent}: {outcome}, {self.why}"


@dataclass(frozen=True)
class Job:
    """All that a process needs to run one task; it can be pickled and holds no credentials.

    `failed` is how many runs of the task had failed when it was planned, `now` the server's clock at that
    time, None if unknown; `goose` is the path of goose, if it is not on the PATH. Lengths are in seconds.
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
    failed: int = 0
    now: datetime | None = None
    goose: str | None = None

    def not_started(self, why: str, outcome: Outcome = "not started") -> Run:
        """Return the result of a job that has not begun a run."""
        return Run(self.task_id, self.agent.name, self.recipe, outcome, why)


def carry_out(job: Job, client: TinytaskClient | None, stop: StopSignal) -> Run:
    """Take a task's lease, run its recipe while the lease is held, and report the result on the task.

    Once `stop` is set, the run is ended with all its processes, and the task is idle again. In a process that
    has no client, it makes its own, with the credentials of its environment.
    """
    if client is None:
        from calypso_nb.client import TinytaskClient

        with TinytaskClient(endpoint_here(job.endpoint)) as own:
            for _ in tell_the_rest(own, job.runs):
                pass
            return carry_out(job, own, stop)._replace(worker=worker_here())
    if stop.is_set():
        return job.not_started("stopped before it began")
    run = uuid4().hex[:12]
    untold = Untold(
        run=run,
        task_id=job.task_id,
        endpoint=job.endpoint,
        host=this_host(),
        agent=job.agent.name,
        success_queue=job.agent.success_queue,
        recipe=job.recipe,
        lease_seconds=job.lease_seconds,
        max_runtime=job.max_runtime,
        retry_limit=job.retry_limit,
        folder=job.runs.resolve() / f"{job.task_id}-{run}",
    )
    try:
        with kept(untold) as entry:
            return _take_and_carry_out(job, client, stop, entry)
    except OSError as error:  # Not a failure of the task: it would use up its tries.
        return job.not_started(str(error))


def _take_and_carry_out(job: Job, client: TinytaskClient, stop: StopSignal, entry: Entry) -> Run:
    untold = entry.untold
    what = f"{untold.host} takes {written(job.recipe)} for {written(job.agent.name)}"
    what += f" in {written(str(untold.folder))}"
    task_id, seconds = job.task_id, job.lease_seconds
    try:
        hold, task = take(client, task_id, untold.run, seconds, what, now=job.now, stopped=stop.is_set)
    except LeaseRefused as reason:
        entry.delete()
        return job.not_started(str(reason), "not started" if stop.is_set() else "claimed")
    except (LeaseLost, TinytaskClientError) as reason:
        return job.not_started(str(reason))
    return _HeldTask(job, client, stop, entry, hold).carry_out(task)


def tell_the_rest(client: TinytaskClient, runs: Path) -> Iterator[str]:
    """Tell the server what came of the runs of this machine that it has not been told of: yield sentences.

    - runs: the folder that each run has a folder in
    """
    for entry in left(runs, client.endpoint):
        untold, begun = entry.untold, entry.untold.begun
        if begun is None:
            _clean_up(client, entry)
            continue
        if (result := _result_of(untold)) is None:
            continue
        try:
            tell(client, untold, begun, result)
        except TinytaskConnectionError:
            return  # The next one would not be heard either.
        except TinytaskAPIError as error:
            yield f"run {untold.run} of #{untold.task_id}: {error}"
            continue
        entry.delete()
        yield f"#{untold.task_id} of {untold.agent}: {result.outcome}, {result.why}; told only now"


def _result_of(untold: Untold) -> Result | None:
    """Return the result of a run whose scheduler has gone, None while its watchdog may still be ending it."""
    if untold.result is not None:
        return untold.result
    if ended := ended_of(untold.folder):
        return result_of(ended, untold.max_runtime)
    if untold.host != this_host() or any(processes_of(untold.run)):
        return None
    return Result("lost", "its scheduler was killed, and all that watched over it", True)


def _clean_up(client: TinytaskClient, entry: Entry) -> None:
    """Delete a lease that no run has begun under, also one that arrives late."""
    untold = entry.untold
    try:
        task = find_task(client, untold.task_id)
        if task is not None and (lease := lease_of(task, untold.run)) is not None:
            client.delete_comment(lease.comment_id)
            entry.delete()
            return
    except TinytaskClientError:
        return
    if entry.age > untold.lease_seconds:
        entry.delete()


def remove_older(runs: Path, seconds: float) -> None:
    """Delete the folders of runs that ended longer ago than that, except of those that are untold."""
    untold = {entry.stem for entry in untold_in(runs)}
    for folder in runs.iterdir() if runs.is_dir() else ():
        match = _FOLDER.fullmatch(folder.name)
        with suppress(FileNotFoundError):
            if match and match["run"] not in untold and folder.stat().st_mtime < time.time() - seconds:
                shutil.rmtree(folder, ignore_errors=True)


def this_host() -> str:
    """Return this machine's name, without blanks."""
    return "".join(socket.gethostname().split()) or "somewhere"


class _NotStarted(Exception):
    """The task is not run after all; the message says why."""


class _HeldTask:
    """A job's task while its lease is held; `entry` is where this machine keeps what is untold of it."""

    def __init__(self, job: Job, client: TinytaskClient, stop: StopSignal, entry: Entry, hold: Hold) -> None:
        self._job = job
        self._client = client
        self._stop = stop
        self._entry = entry
        self._hold = hold
        self._folder = entry.untold.folder
        self._cancelled_by: str | None = None
        self._look_at = 0.0

    def carry_out(self, task: Task) -> Run:
        job = self._job
        try:
            begun, command = self._prepare(task)
        except (_NotStarted, LeaseLost, TinytaskClientError) as reason:
            return job.not_started(str(reason))
        self._entry.begin(begun)
        if command is None:
            result = Result("lost", "the run before it gave no more signs", True)
        else:
            try:
                self._begin(task, begun.failed)
                result = self._execute(command)
            except (LeaseLost, TinytaskAPIError) as reason:
                result = Result("lost", str(reason))
        with suppress(OSError):  # What the watchdog has written says nearly as much.
            self._entry.end(result)
        why = result.why if self._told(result) else f"{result.why}; its server is still to be told"
        known = (job.task_id, job.agent.name, job.recipe)
        host, run = self._entry.untold.host, self._hold.run
        return Run(*known, result.outcome, why, host, result.seconds, run, str(self._folder))

    def _prepare(self, task: Task) -> tuple[Begun, Command | None]:
        """Return what to execute, None if the task's last try is over already; raise _NotStarted."""
        died = any(lease.has_run for lease in self._hold.lost)
        taken_over = task.status == "working" and (died or RUNNING in task.tags)
        if obstacle := self._obstacle(task, taken_over):
            self._give_back(task, taken_over)
            raise _NotStarted(obstacle)
        if taken_over and not died:
            self._wait_out_an_unknown_holder()
        failed = failures(task.tags)
        lost = tuple(
            f"Before, {lease.what} (run {lease.run}): given up, no sign of it." for lease in self._hold.lost
        )
        if taken_over and died:
            if failed + 1 >= self._job.retry_limit:
                return Begun(failed=failed, lost=lost), None
            failed += 1
        try:
            command = self._prepared(task)
        except (RecipeError, OSError) as error:  # Not a failure of the task: it would use up its tries.
            self._give_back(task, taken_over)
            raise _NotStarted(str(error)) from error
        return Begun(failed=failed, lost=lost), command

    def _begin(self, task: Task, failed: int) -> None:
        self._hold.begin()
        tags = with_tags(task.tags, failed=failed, running=True)
        self._update({"status": "working", "assigned_to": self._job.agent.name, "tags": tags})

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
        if CANCELLED in task.tags:
            return "it is cancelled by now"
        if failed >= self._job.retry_limit:
            return f"it has failed {failed} times by now"
        if failed > self._job.failed:
            return "it has failed by now, and waits for its next try"
        return "stopped before it began" if self._stop.is_set() else None

    def _is_for_our_agent(self, task: Task) -> bool:
        agent = self._job.agent
        if task.assigned_to is None:
            return task.queue_name in agent.queues
        return task.assigned_to == agent.name

    def _give_back(self, task: Task, taken_over: bool) -> None:
        if taken_over and task.archived_at is None:
            # The lease that it was run under is deleted: left as it is, it would never be run again.
            self._update({"status": "idle", "tags": with_tags(task.tags, failed=failures(task.tags))})
        self._hold.delete(self._hold.comment_id)
        self._entry.delete()

    def _wait_out_an_unknown_holder(self) -> None:
        """Hold the lease for its length: a holder whose lease is gone has noticed by then, and given up."""
        end = clock() + self._hold.seconds + 1
        while clock() < end and not self._stop.is_set():
            if clock() >= self._hold.due:
                self._hold.beat()
            time.sleep(_POLL_SECONDS)

    def _prepared(self, task: Task) -> Command:
        """Return what to execute, with all files that it needs in its folder."""
        job, agent = self._job, self._job.agent
        recipe = read_recipes(job.recipes, job.goose).get(job.recipe)
        if recipe is None:
            raise RecipeError(f"recipe {job.recipe} is gone")
        command = command_for(recipe, task, job.endpoint, agent.name, self._folder, agent.env, job.goose)
        # The task's text is for its team, and what a run prints may be a credential.
        self._folder.mkdir(parents=True, mode=0o700)
        stdin = self._folder / STDIN
        stdin.touch(mode=0o600)
        stdin.write_bytes(command.stdin)
        return command

    def _execute(self, command: Command) -> Result:
        latest = None
        if self._job.max_runtime is not None:
            latest = clock() + self._job.max_runtime
        until, grace = self._hold.until, min(5.0, self._hold.seconds / 12)
        try:
            process = WatchedProcess(self._hold.run, command, self._folder, until, latest, grace)
        except (OSError, ValueError) as error:
            return result_of(Ended("not started", error=str(error)), None)
        lost: LeaseLost | None = None
        ending = False
        while (ended := process.wait(_POLL_SECONDS)) is None:
            if ending:
                continue
            try:
                self._sign_and_look()
            except LeaseLost as reason:
                lost = reason
            else:
                process.extend(self._hold.until)
            if ending := lost is not None or self._cancelled_by is not None or self._stop.is_set():
                process.stop()
        if lost is not None:
            return Result("lost", str(lost), False, ended.seconds)
        if self._cancelled_by is not None and ended.reason == "stopped":
            return Result("cancelled", f"asked by {written(self._cancelled_by)}", False, ended.seconds)
        return result_of(ended, self._job.max_runtime)

    def _sign_and_look(self) -> None:
        """Give a sign of life when it is due, and look now and then whether the run is cancelled."""
        if clock() >= self._hold.due:
            self._hold.beat()
        if clock() < self._look_at:
            return
        self._look_at = clock() + min(_LOOK_SECONDS, self._hold.seconds / 4)
        with suppress(TinytaskClientError):
            task = self._client.get_task(self._job.task_id)
            self._cancelled_by = cancelled_by(task, self._hold.run)
            # Put back the tag by which a listing shows the run, in case somebody has set other tags.
            if task.status == "working" and RUNNING not in task.tags:
                tags = with_tags(task.tags, failed=failures(task.tags), running=True)
                self._client.update_task(self._job.task_id, tags=tags)

    def _told(self, result: Result) -> bool:
        """Tell the server of a result, and return whether it could be told in time."""
        untold, begun = self._entry.untold, self._entry.untold.begun
        assert begun is not None
        end = clock() + untold.lease_seconds
        while True:
            try:
                tell(self._client, untold, begun, result)
            except TinytaskConnectionError:
                if self._stop.is_set():
                    end = min(end, clock() + _STOPPING_SECONDS)
                if clock() >= end:
                    return False
                time.sleep(_POLL_SECONDS)
            except TinytaskAPIError:
                return False
            else:
                self._entry.delete()
                return True

    def _update(self, changes: dict[str, Any]) -> None:
        def landed(task: Task) -> bool:
            now = {name: getattr(task, name) for name in changes} | {"tags": list(task.tags)}
            return now == changes  # Every change sets the tags.

        self._hold.write(lambda: self._client.update_task(self._job.task_id, **changes), landed)
