"""The scheduler: plan, run what the plan says, and go on until it is stopped."""

from __future__ import annotations

import http.client
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import pandas as pd

from calypso_nb.agents import Agent, read_agents
from calypso_nb.client.calls import progress_bar
from calypso_nb.client.runs import Lease, leases_on
from calypso_nb.errors import TinytaskClientError, UsageError
from calypso_nb.frames import records_to_frame
from calypso_nb.history.moments import moment_in
from calypso_nb.run_marks import MAX_SECONDS, RUNNING
from calypso_nb.scheduler.plan import Retry, Situation, make_plan
from calypso_nb.scheduler.recipes import RecipeError, read_recipes
from calypso_nb.scheduler.run import (
    NOT_RUN,
    Job,
    Run,
    StopSignal,
    carry_out,
    remove_older,
    tell_the_rest,
)
from calypso_nb.scheduler.watchdog import clock
from calypso_nb.scheduler.workers import Workers
from calypso_nb.settings import Endpoint
from calypso_nb.workload.phrases import did_you_mean
from calypso_nb.workload.runs import RUN_COLUMNS, read_runs

if TYPE_CHECKING:
    from calypso_nb.client import TinytaskClient
    from calypso_nb.scheduler.background import Background

MIN_LEASE_SECONDS = 2
_CLOCK_SECONDS = 5.0
_ASIDE_SECONDS = 5.0
_TITLE = 100
_SOON_SECONDS = 0.1
# A signal that comes just before a wait is heard only after it, so each wait is short.
_PIECE_SECONDS = 0.5
# How long the runs may take to end, once they are told to.
_END_SECONDS = 60.0
# How many tasks in progress a plan looks at, of those that nothing is known of yet.
_MOST_LOOKED_AT = 200
_MOST_THREADS = 1000


class Scheduler:
    """Run agents' tasks by the recipes of a folder, each task once at a time, wherever it runs.

    Each run is a process on this machine, unless an `executor` takes it elsewhere. A password in the client's
    endpoint reaches the runs through TINYTASK_ENDPOINT alone. Raise ValueError if a parameter is not valid.

    - client: the client of the server with the tasks.
    - agents: a JSON file, which is read again when it changes, or a list of names, mappings and `Agent`s.
    - recipes: the folder with the recipes.
    - runs: the folder that each run gets a folder in.
    - only: the names of those agents that are served; by default all.
    - env: names of environment variables that all runs get.
    - lease_seconds: seconds without a sign of life after which others take a run's task over.
    - max_parallel: how many runs this scheduler has at a time; by default as many as its agents allow.
    - max_runtime: seconds after which a run is ended, and has failed; None is never.
    - retry_limit: how many failed runs of a task are the last.
    - retry: how long a failed task waits before it is tried again.
    - agent_limits, recipe_limits, queue_limits: by name, how many tasks at a time an agent has, a recipe
      runs, and a queue has in progress.
    - goose: the path of goose, if it is not on the PATH.
    - keep: delete the folders of runs that are older than so many seconds; by default none.
    - executor: runs the jobs in other processes, in which the folders must exist too.
    - stop: an event that those processes can see; an `executor` needs one.

    Example: `Scheduler(client, ["alice"], "recipes").plan()`
    """

    def __init__(
        self,
        client: TinytaskClient,
        agents: Path | str | Iterable[Agent | str | Mapping[str, Any]],
        recipes: Path | str,
        *,
        runs: Path | str = "runs",
        only: Collection[str] = (),
        env: Sequence[str] = (),
        lease_seconds: int = 120,
        max_parallel: int | None = None,
        max_runtime: float | None = 3600.0,
        retry_limit: int = 3,
        retry: Retry = Retry(),  # noqa: B008
        agent_limits: Mapping[str, int] | None = None,
        recipe_limits: Mapping[str, int] | None = None,
        queue_limits: Mapping[str, int] | None = None,
        goose: str | None = None,
        keep: float | None = None,
        executor: Executor | None = None,
        stop: StopSignal | None = None,
    ) -> None:
        if not MIN_LEASE_SECONDS <= lease_seconds <= MAX_SECONDS:
            raise UsageError(
                f"{lease_seconds} s is not a valid lease: it must be {MIN_LEASE_SECONDS} to {MAX_SECONDS} s"
            )
        if executor is not None and stop is None:
            raise ValueError("an executor needs a stop event that its processes can see")
        self._file = Path(agents) if isinstance(agents, Path | str) else None
        self._file_was = self._file and self._file.read_bytes()
        self._only, self._env, self._agent_limits = only, env, agent_limits or {}
        self.agents = self._served(read_agents(agents))
        self.recipes = Path(recipes).resolve()
        read_recipes(self.recipes, goose)
        self._client = client
        self._runs = Path(runs).resolve()
        self._lease_seconds = lease_seconds
        self._max_parallel = max_parallel
        self._max_runtime = max_runtime
        self._retry_limit = retry_limit
        self._retry = retry
        self._recipe_limits = recipe_limits or {}
        self._queue_limits = queue_limits or {}
        self._goose = goose
        self._keep = keep
        self._executor = executor
        self._end: StopSignal = stop or threading.Event()
        self._end_at: float | None = None
        self._at_work = False
        self._here: dict[Future[Run], Job] = {}
        self._news: SimpleQueue[Future[Run] | None] = SimpleQueue()
        self._refused: dict[int, tuple[str, float]] = {}
        self._without_lease: dict[int, Any] = {}
        self._now: datetime | None = None
        self.last_plan: pd.DataFrame | None = None
        self.planned: Callable[[], None] = lambda: None
        self.begun = threading.Event()

    def _served(self, agents: Iterable[Agent]) -> tuple[Agent, ...]:
        """Return those agents that are served, with what this scheduler's own settings say of them."""
        named = {agent.name: agent for agent in agents}
        if unknown := [name for name in (*self._only, *self._agent_limits) if name not in named]:
            where = self._file or "the list"
            raise UsageError(f"{where} has no agent {', '.join(unknown)}; it has {', '.join(named)}")
        return read_agents(
            agent.model_dump()
            | {
                "env": [*dict.fromkeys((*agent.env, *self._env))],
                "max_concurrency": self._agent_limits.get(agent.name, agent.max_concurrency),
            }
            for agent in named.values()
            if not self._only or agent.name in self._only
        )

    def plan(self, task_id: int | None = None) -> pd.DataFrame:
        """Decide what would be run now, by whom, with which recipe, in which order, and why the rest waits.

        Return a frame with the columns of `PLAN_COLUMNS`. Nothing is written anywhere.

        - task_id: plan this task only; raise ValueError if it is not an open task of these agents.

        Example: `scheduler.plan().query("decision == 'wait'")[["id", "why"]]`
        """
        all_tasks = self._client.list_tasks(status=["idle", "working"])
        leases = self._leases(all_tasks)
        limit, no_place = self._max_parallel, ""
        if isinstance(self._executor, Workers):
            self._executor.look()
            places, no_place = self._executor.places, "; ".join(self._executor.faults)
            limit = places if limit is None else min(limit, places)
        self._now = _server_time(self._client.endpoint)
        earliest = clock() - _ASIDE_SECONDS
        situation = Situation(
            agents=self.agents,
            recipes=read_recipes(self.recipes, self._goose, elsewhere=self._executor is not None),
            leases=leases,
            # A plan made by a wrong clock does no harm: the lease is refused.
            now=self._now or datetime.now(UTC),
            here=self.here,
            aside={refused: why for refused, (why, when) in self._refused.items() if when > earliest},
            paused=self._client.paused_agents(),
            max_parallel=limit,
            no_place=no_place,
            retry_limit=self._retry_limit,
            retry=self._retry,
            recipe_limits=self._recipe_limits,
            queue_limits=self._queue_limits,
            task_id=task_id,
        )
        self.last_plan = plan = make_plan(all_tasks, situation)
        if task_id is not None and plan.empty:
            names = ", ".join(agent.name for agent in self.agents)
            raise UsageError(f"task {task_id} is not an open task of {names} on {self._client.endpoint}")
        return plan

    def strangers(self, plan: pd.DataFrame) -> list[str]:
        """Return a sentence for each agent and queue that the server has no task of, not even a complete one.

        - plan: what `plan` returned; only if it has no row for an agent are all tasks read.

        Example: `scheduler.strangers(scheduler.plan())`
        """
        absent = [agent for agent in self.agents if agent.name not in set(plan["agent"])]
        if not absent:
            return []
        board = self._client.list_tasks(include_archived=True)
        names, queues = (set(board[name].dropna()) for name in ("assigned_to", "queue_name"))
        said = []
        for agent in absent:
            if not agent.queues and agent.name not in names:
                said.append(f"no task of an agent called {agent.name!r}{did_you_mean(agent.name, names)}")
            for queue in agent.queues:
                if queue not in queues:
                    said.append(f"no task in a queue called {queue!r}{did_you_mean(queue, queues)}")
        return said

    def run(self, plan: pd.DataFrame | None = None, progress: bool = True) -> pd.DataFrame:
        """Carry out a plan, wait for its runs, and return a frame with the columns of `RUN_COLUMNS`.

        A KeyboardInterrupt (the kernel's Stop button) ends the runs with all their processes; their tasks are
        idle again. Raise ValueError if the server is one that runs cannot reach.

        - plan: what `plan` returned; by default a fresh plan.
        - progress: show a progress bar if that takes long.

        Example: `scheduler.run(scheduler.plan()).query("outcome != 'succeeded'")`
        """
        plan = self.plan() if plan is None else plan
        runs: list[Run] = []
        with (
            progress_bar(progress, int(plan["decision"].eq("run").sum())) as move,
            closing(self.follow(plan)) as news,
        ):
            for event in news:
                if isinstance(event, Run):
                    runs.append(event)
                    move(len(runs))
        return records_to_frame([run._asdict() for run in runs], RUN_COLUMNS)

    def follow(self, plan: pd.DataFrame) -> Generator[str | Run, None, None]:
        """Do what `run` does, and yield a sentence for each start and each `Run` as it ends.

        Example: `list(scheduler.follow(scheduler.plan()))`
        """
        with self._working() as executor:
            yield from self.tidy()
            yield from self._start(executor, plan)
            while self._here:
                yield from self._ended(None)

    def serve(self, interval: float = 30.0) -> Generator[str | Run, None, None]:
        """Plan and run until stopped, and yield what `follow` does, and sentences of outages and strangers.

        A server that doesn't respond, or a recipes folder or a file of agents that cannot be read, is waited
        for. `stop` lets runs finish; closing the generator, or a KeyboardInterrupt, ends them as in `run`.

        - interval: plan again after so many seconds, and whenever a run has ended or a retry is due.
        """
        with self._working() as executor:
            known: tuple[Agent, ...] = ()
            trouble = ""
            while self._end_at is None:
                plan = None
                try:
                    yield from self._read_agents_again()
                    yield from self.tidy()
                    plan = self.plan()
                    self.planned()
                    if known != self.agents:
                        yield from self.strangers(plan)
                        known = self.agents
                    yield from self._start(executor, plan)
                    if trouble:
                        yield "it works again"
                    trouble = ""
                except (TinytaskClientError, RecipeError) as error:
                    if str(error) != trouble:  # A night of it is one line.
                        trouble = str(error)
                        yield trouble
                yield from self._ended(self._pause(plan, interval))
            while self._here:
                yield from self._ended(None)

    def start(self, interval: float = 30.0) -> Background:
        """Do what `serve` does in the background, and return what shows it in a cell, with a button to stop.

        The end of the process ends the runs. Raise ValueError if the server is one that runs cannot reach.

        - interval: plan again after so many seconds, and whenever a run has ended or a retry is due.

        Example: `scheduler.start().stop()`
        """
        from calypso_nb.scheduler.background import Background  # ipywidgets take their time.

        self._check()
        return Background(self, interval)

    @property
    def here(self) -> dict[int, tuple[str, str]]:
        """The tasks that this scheduler runs now, each with its agent and its recipe.

        Example: `scheduler.here`
        """
        return {job.task_id: (job.agent.name, job.recipe) for job in list(self._here.values())}

    def runs(self, since: datetime | str = "7 days ago", progress: bool = True) -> pd.DataFrame:
        """Return what runs and what ran on the server, by whichever scheduler, as `reporter.runs` does.

        - since: leave out what gave its last sign before that: an aware datetime, or words like `"1 day ago"`
        - progress: show a progress bar if that takes long

        Example: `scheduler.runs()[["id", "outcome", "seconds"]]`
        """
        return read_runs(self._client, lambda now: moment_in(since, now), progress)

    def stop(self, grace: float | None = None) -> None:
        """Take nothing new, and end what runs if it has not finished in time. Any thread may call this.

        - grace: seconds that the runs have to finish; by default as long as they take. A later call can only
          shorten that.

        Example: `scheduler.stop(grace=0)`
        """
        if self._at_work:
            end_at = float("inf") if grace is None else clock() + grace
            self._end_at = end_at if self._end_at is None else min(self._end_at, end_at)
            self._news.put(None)

    def _read_agents_again(self) -> Iterator[str]:
        if self._file is None:
            return
        try:
            text = self._file.read_bytes()
            if text == self._file_was:
                return
            self._file_was = text
            self.agents = self._served(read_agents(self._file))
        except (OSError, UsageError) as error:
            yield f"{error}; its agents stay as they were"
        else:
            yield f"{self._file} has changed: it has {', '.join(agent.name for agent in self.agents)} now"

    def tidy(self) -> Iterator[str]:
        """Tell the server what came of earlier runs, if it does not know, and yield a sentence for each.

        The folders of runs that are older than `keep` are deleted. `run`, `follow` and `serve` do it too.

        Example: `list(scheduler.tidy())`
        """
        yield from tell_the_rest(self._client, self._runs)
        if self._keep is not None:
            remove_older(self._runs, self._keep)

    def _pause(self, plan: pd.DataFrame | None, interval: float) -> float:
        """Return how long to wait for news before the next plan."""
        if plan is None:
            return interval
        due = plan["not_before"].min()
        if pd.isna(due):
            return interval
        seconds = float((due - (self._now or datetime.now(UTC))).total_seconds())
        return min(max(seconds, _SOON_SECONDS), interval)

    def _leases(self, all_tasks: pd.DataFrame) -> dict[int, Lease]:
        """Return the lowest lease of each task that may be being run for one of the agents.

        Somebody may have set other tags than a scheduler's, so tasks in progress are looked at too: each once
        as long as it is not edited, and those first that have not been edited for longest.
        """
        served = {agent.name for agent in self.agents}
        running = all_tasks["tags"].map(lambda tags: RUNNING in tags).astype("bool")
        ours = all_tasks["is_open"] & (
            all_tasks["assigned_to"].isin(served) | all_tasks["assigned_to"].isna()
        )
        working = all_tasks[ours & ~running & (all_tasks["status"] == "working")].sort_values("updated_at")
        stamps = dict(zip(working["id"].tolist(), working["updated_at"].tolist(), strict=True))
        self._without_lease = {
            number: stamp for number, stamp in self._without_lease.items() if stamps.get(number) == stamp
        }
        unknown = [number for number in stamps if number not in self._without_lease][:_MOST_LOOKED_AT]
        # A task that could not be read is read again under its lease, before anything is done.
        found = leases_on(self._client, [*all_tasks.loc[ours & running, "id"].tolist(), *unknown])
        self._without_lease |= {number: stamps[number] for number in unknown if found.get(number) == []}
        return {number: leases[0] for number, leases in found.items() if leases}

    def _check(self) -> None:
        if not Endpoint(self._client.endpoint).is_url:
            raise UsageError(
                f"runs are processes of their own and cannot reach {self._client.endpoint}: "
                "give the URL of a server, for example of `calypso-nb serve --demo`"
            )
        if self._at_work:
            raise UsageError("this scheduler is at work already: stop it first")

    @contextmanager
    def _working(self) -> Iterator[Executor]:
        self._check()
        self._end.clear()
        self._end_at, self._at_work, self._news = None, True, SimpleQueue()
        self.begun.set()
        own = None
        if self._executor is None:
            own = ThreadPoolExecutor(_MOST_THREADS, "calypso-nb-run")
        try:
            yield own or self._executor  # type: ignore[misc]
        finally:
            self._end.set()
            try:
                # A cluster that has lost its workers keeps their jobs for ever.
                end = clock() + _END_SECONDS
                while (silent := wait(self._here, _PIECE_SECONDS).not_done) and clock() < end:
                    pass
            finally:
                self._here.clear()
                self._at_work = False
                if own is not None:
                    own.shutdown(wait=False)
            if silent:
                raise TimeoutError(f"{len(silent)} runs do not report their end; each ends with its lease")

    def _start(self, executor: Executor, plan: pd.DataFrame) -> Iterator[str]:
        agents = {agent.name: agent for agent in self.agents}
        client = self._client if self._executor is None else None
        for row in plan[plan["decision"] == "run"].sort_values("order").itertuples():
            job = Job(
                task_id=int(row.id),  # type: ignore[arg-type]
                agent=agents[str(row.agent)],
                recipe=str(row.recipe),
                recipes=self.recipes,
                runs=self._runs,
                endpoint=self._client.endpoint,
                lease_seconds=self._lease_seconds,
                max_runtime=self._max_runtime,
                retry_limit=self._retry_limit,
                failed=int(row.failed),  # type: ignore[arg-type]
                now=self._now,
                goose=self._goose,
            )
            future = executor.submit(carry_out, job, client, self._end)
            self._here[future] = job
            future.add_done_callback(self._news.put)
            does = "takes" if self._executor is None else "is to take"  # When it does, its lease says.
            yield f"{job.agent.name} {does} #{job.task_id} with {job.recipe}: {str(row.title)[:_TITLE]}"

    def _next_news(self, seconds: float) -> Future[Run] | None:
        """Return what comes next; raise Empty if nothing does in time."""
        end = clock() + seconds
        while True:
            try:
                return self._news.get(timeout=max(min(end - clock(), _PIECE_SECONDS), 0))
            except Empty:
                if clock() >= end:
                    raise

    def _ended(self, seconds: float | None) -> list[Run]:
        """Return the runs that have ended, once there is one, the time is over, or it is told to stop."""
        wait_for = float("inf") if seconds is None else seconds
        end_at = self._end_at  # A signal may change it meanwhile, and is news.
        if end_at is not None and not self._end.is_set():
            if (left := end_at - clock()) > 0:
                wait_for = min(wait_for, left)
            else:
                self._end.set()
        runs = []
        with suppress(Empty):
            news = self._next_news(wait_for)
            while True:
                if news is not None:
                    runs.append(_result(news, self._here.pop(news)))
                news = self._news.get_nowait()
        if isinstance(self._executor, Workers):
            for run in runs:
                self._executor.fetch(run, self._runs)
        # Others may hold these tasks: tried again at once, they would keep ready ones waiting.
        self._refused |= {run.id: (run.why, clock()) for run in runs if run.outcome in NOT_RUN}
        return runs


def _result(future: Future[Run], job: Job) -> Run:
    known = (job.task_id, job.agent.name, job.recipe)
    if future.cancelled():
        return Run(*known, "lost", "its executor gave it up")
    error = future.exception()
    if error is None:
        return future.result()
    # The lease is left to die, and then another run takes the task over.
    return Run(*known, "lost", f"{type(error).__name__}: {error}")


def _server_time(endpoint: str) -> datetime | None:
    """Return the server's clock by its HTTP responses, for the plan only: leases are judged by comments."""
    if not Endpoint(endpoint).is_url:
        return None
    # Not by HTTPX: it reads all certificates for a client, 40 ms each time, for http too.
    request = urllib.request.Request(Endpoint(endpoint).health, headers={"Cache-Control": "no-cache"})
    try:
        with urllib.request.urlopen(request, timeout=_CLOCK_SECONDS) as response:
            date = response.headers.get("date", "")
    except urllib.error.HTTPError as refusal:
        date = refusal.headers.get("date", "")
    except (OSError, http.client.HTTPException):
        return None
    try:
        return parsedate_to_datetime(date).astimezone(UTC)
    except ValueError:
        return None
