"""The scheduler: plan, run what the plan says, and go on until it is stopped."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from calypso_nb.agents import Agent, read_agents
from calypso_nb.errors import TinytaskAPIError, TinytaskClientError, UsageError
from calypso_nb.frames import records_to_frame
from calypso_nb.run_marks import MAX_SECONDS, RUNNING
from calypso_nb.scheduler.leases import Lease, leases_of
from calypso_nb.scheduler.plan import Situation, make_plan
from calypso_nb.scheduler.recipes import RecipeError, read_recipes
from calypso_nb.scheduler.run import RUN_COLUMNS, Job, Run, StopSignal, carry_out
from calypso_nb.scheduler.watchdog import clock
from calypso_nb.settings import Endpoint
from calypso_nb.workload.phrases import did_you_mean

if TYPE_CHECKING:
    from calypso_nb.client import TinytaskClient

MIN_LEASE_SECONDS = 2
_CLOCK_SECONDS = 5.0
_ASIDE_SECONDS = 5.0
_TITLE = 100
_CLUSTER_SECONDS = 20.0


class Scheduler:
    """Run agents' tasks by the recipes of a folder, each task once at a time, wherever it runs.

    Each run is a process on this machine, unless an `executor` takes it elsewhere. A password in the client's
    endpoint reaches the runs through TINYTASK_ENDPOINT alone. Raise ValueError if a parameter is not valid.

    - client: the client of the server with the tasks.
    - agents: a JSON file, or a list of names, mappings and `Agent`s.
    - recipes: the folder with the recipes.
    - runs: the folder that each run gets a folder in.
    - lease_seconds: seconds without a sign of life after which others take a run's task over.
    - max_parallel: how many runs this scheduler has at a time; by default as many as its agents allow.
    - max_runtime: seconds after which a run is ended, and has failed; by default never.
    - retry_limit: how many failed runs of a task are the last.
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
        lease_seconds: int = 120,
        max_parallel: int | None = None,
        max_runtime: float | None = None,
        retry_limit: int = 3,
        executor: Executor | None = None,
        stop: StopSignal | None = None,
    ) -> None:
        if not MIN_LEASE_SECONDS <= lease_seconds <= MAX_SECONDS:
            raise UsageError(
                f"{lease_seconds} s is not a valid lease: it must be {MIN_LEASE_SECONDS} to {MAX_SECONDS} s"
            )
        if executor is not None and stop is None:
            raise ValueError("an executor needs a stop event that its processes can see")
        self.agents = read_agents(agents)
        self.recipes = Path(recipes).resolve()
        read_recipes(self.recipes)
        self._client = client
        self._runs = Path(runs).resolve()
        self._lease_seconds = lease_seconds
        self._max_parallel = max_parallel
        self._max_runtime = max_runtime
        self._retry_limit = retry_limit
        self._executor = executor
        self._stop: StopSignal = stop or threading.Event()
        self._here: dict[Future[Run], Job] = {}
        self._refused: dict[int, tuple[str, float]] = {}
        self._now: datetime | None = None

    def plan(self, task_id: int | None = None) -> pd.DataFrame:
        """Decide what would be run now, by whom, with which recipe, in which order, and why the rest waits.

        Return a frame with the columns of `PLAN_COLUMNS`. Nothing is written anywhere.

        - task_id: plan this task only; raise ValueError if it is not an open task of these agents.

        Example: `scheduler.plan().query("decision == 'wait'")[["id", "why"]]`
        """
        all_tasks = self._client.list_tasks(status=["idle", "working"])
        leases = self._leases(all_tasks)
        self._now = _server_time(self._client.endpoint)
        earliest = clock() - _ASIDE_SECONDS
        situation = Situation(
            agents=self.agents,
            recipes=read_recipes(self.recipes),
            leases=leases,
            # A plan made by a wrong clock does no harm: the lease is refused.
            now=self._now or datetime.now(UTC),
            here={job.task_id: job.agent.name for job in self._here.values()},
            aside={refused: why for refused, (why, when) in self._refused.items() if when > earliest},
            max_parallel=self._max_parallel,
            retry_limit=self._retry_limit,
            task_id=task_id,
        )
        plan = make_plan(all_tasks, situation)
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
            if agent.queue is None and agent.name not in names:
                said.append(f"no task of an agent called {agent.name!r}{did_you_mean(agent.name, names)}")
            if agent.queue is not None and agent.queue not in queues:
                said.append(f"no task in a queue called {agent.queue!r}{did_you_mean(agent.queue, queues)}")
        return said

    def run(self, plan: pd.DataFrame | None = None) -> pd.DataFrame:
        """Carry out a plan, wait for its runs, and return a frame with the columns of `RUN_COLUMNS`.

        A KeyboardInterrupt (the kernel's Stop button) ends the runs with all their processes; their tasks are
        idle again. Raise ValueError if the server is one that runs cannot reach.

        - plan: what `plan` returned; by default a fresh plan.

        Example: `scheduler.run(scheduler.plan()).query("outcome != 'succeeded'")`
        """
        with closing(self.follow(self.plan() if plan is None else plan)) as news:
            runs = [event for event in news if isinstance(event, Run)]
        return records_to_frame([run._asdict() for run in runs], RUN_COLUMNS)

    def follow(self, plan: pd.DataFrame) -> Generator[str | Run, None, None]:
        """Do what `run` does, and yield a sentence for each start and each `Run` as it ends.

        Example: `list(scheduler.follow(scheduler.plan()))`
        """
        with self._working() as executor:
            yield from self._start(executor, plan)
            while self._here:
                yield from self._ended(None)

    def serve(self, interval: float = 30.0) -> Generator[str | Run, None, None]:
        """Plan and run until stopped, and yield what `follow` does, and sentences of outages and strangers.

        A server that doesn't respond, or a recipes folder that cannot be read, is waited for, except at the
        start. Closing the generator, or a KeyboardInterrupt, ends the runs as in `run`.

        - interval: plan again after so many seconds, and whenever a run has ended.
        """
        with self._working() as executor:
            plan = self.plan()
            yield from self.strangers(plan)
            while True:
                yield from self._start(executor, plan)
                yield from self._ended(interval)
                try:
                    plan = self.plan()
                except (TinytaskClientError, RecipeError) as error:
                    yield str(error)
                    plan = plan.iloc[:0]

    def _leases(self, all_tasks: pd.DataFrame) -> dict[int, Lease | None]:
        """Return the lowest lease of each task whose tag says that it is being run for one of the agents."""
        served = {agent.name for agent in self.agents}
        running = all_tasks["tags"].map(lambda tags: RUNNING in tags).astype("bool")
        ours = all_tasks["assigned_to"].isin(served) | all_tasks["assigned_to"].isna()
        leases: dict[int, Lease | None] = {}
        for task_id in all_tasks.loc[all_tasks["is_open"] & running & ours, "id"].tolist():
            try:
                found = leases_of(self._client.get_task(task_id))
            except TinytaskAPIError:
                continue  # It was deleted after the listing.
            leases[task_id] = found[0] if found else None
        return leases

    @contextmanager
    def _working(self) -> Iterator[Executor]:
        if not Endpoint(self._client.endpoint).is_url:
            raise UsageError(
                f"runs are processes of their own and cannot reach {self._client.endpoint}: "
                "give the URL of a server, for example of `calypso-nb serve --demo`"
            )
        self._stop.clear()
        places = self._max_parallel or sum(agent.max_concurrency for agent in self.agents)
        own = None
        if self._executor is None:
            own = ThreadPoolExecutor(places, "calypso-nb-run")
        try:
            yield own or self._executor  # type: ignore[misc]
        finally:
            self._stop.set()
            try:
                # A cluster that has lost its workers keeps their jobs for ever.
                silent = wait(self._here, _CLUSTER_SECONDS if own is None else None).not_done
            finally:
                self._here.clear()
                if own is not None:
                    own.shutdown(wait=False)
            if silent:
                raise TimeoutError(
                    f"{len(silent)} runs elsewhere do not report their end; each will end with its lease"
                )

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
                now=self._now,
            )
            self._here[executor.submit(carry_out, job, client, self._stop)] = job
            yield f"{job.agent.name} takes #{job.task_id} with {job.recipe}: {str(row.title)[:_TITLE]}"

    def _ended(self, seconds: float | None) -> list[Run]:
        """Return the runs that have ended, once there is one or the time is over."""
        if not self._here:
            time.sleep(seconds or 0)
            return []
        done, _ = wait(self._here, timeout=seconds, return_when=FIRST_COMPLETED)
        runs = [_result(future, self._here.pop(future)) for future in done]
        # Others may hold these tasks: tried again at once, they would keep ready ones waiting.
        self._refused |= {run.id: (run.why, clock()) for run in runs if run.outcome == "not started"}
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
