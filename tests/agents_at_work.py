"""What the scheduler's tests share: recipes that log what they do, schedulers as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from calypso_nb.embedded import TinytaskStore
from calypso_nb.run_marks import AUTHOR
from calypso_nb.scheduler import Scheduler
from tests.conftest import SECONDS
from tests.conftest import eventually as soon  # noqa: F401

# What every process of a test's schedulers has in its environment; runs get every GOOSE_… variable.
MARK = "GOOSE_TEST_OF_AGENTS"

# Its title says how long a task takes. A lock tells whether two are at one task at once, however they end.
LOGGING = """
import fcntl, json, os, signal, sys, time
task = json.load(sys.stdin)
def log(what):
    line = json.dumps([what, task["id"], os.environ.get("GOOSE_SCHEDULER", ""), os.getpid()]) + "\\n"
    os.write(os.open(os.environ["GOOSE_RUN_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT), line.encode())
def ended(*_):
    log("ended")
    os._exit(1)
signal.signal(signal.SIGTERM, ended)
lock = os.open(os.environ["GOOSE_RUN_LOG"] + "." + str(task["id"]), os.O_RDWR | os.O_CREAT)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    log("overlap")
log("start")
# The watchdog is the parent, the process that holds the lease is the watchdog's.
print(open(f"/proc/{os.getppid()}/stat").read().split()[3], flush=True)
time.sleep(float(task["title"].split()[1]))
log("stop")
"""


class Event(NamedTuple):
    """A line of the log: start, stop, ended (by SIGTERM) or overlap; which task, whose, which process."""

    what: str
    task: int
    scheduler: str
    pid: int


class Log:
    """What the runs of a test have written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def events(self) -> list[Event]:
        text = self.path.read_text() if self.path.exists() else ""
        return [Event(*json.loads(line)) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def of(self, what: str, task: int | None = None, scheduler: str | None = None) -> list[Event]:
        return [
            event
            for event in self.events
            if event.what == what and task in (None, event.task) and scheduler in (None, event.scheduler)
        ]

    def under_way(self, scheduler: str | None = None) -> list[Event]:
        """The runs that have started and not said that they ended."""
        gone = {event.pid for event in self.events if event.what != "start"}
        return [event for event in self.of("start", scheduler=scheduler) if event.pid not in gone]


def marked_processes(mark: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(mark) and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except psutil.Error:
            continue


def add(board: TinytaskStore, seconds: float = 0, agent: str | None = "alice", **fields: Any) -> int:
    """A task that the recipe LOGGING takes so many seconds for."""
    task = board.create_task(f"takes {seconds} s", "lead", assigned_to=agent, **fields)
    return int(task["id"])


def records(board: TinytaskStore, task: int) -> list[str]:
    """What the schedulers have written on a task, leases included."""
    return [note["content"] for note in board.list_comments(task) if note["created_by"] == AUTHOR]


def status(board: TinytaskStore, task: int) -> str:
    return str(board.get_task(task)["status"])


def is_done(board: TinytaskStore, task: int) -> bool:
    """Whether a task is complete, and its lease has become a record."""
    return status(board, task) == "complete" and not any(
        text.startswith("Lease") for text in records(board, task)
    )


def run_all(scheduler: Scheduler) -> list[Any]:
    """Run until the plan says that nothing is to be run: what came of each run."""
    runs: list[Any] = []
    while (plan := scheduler.plan())["decision"].eq("run").any():
        runs += scheduler.run(plan).itertuples()
    return runs


@contextmanager
def run_agent_process(
    *arguments: str, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """The command as a process of its own, which is killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "calypso_nb", "run-agent", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.communicate(timeout=SECONDS)


# Seconds of a lease that tests wait for.
LEASE = 3


@contextmanager
def at_work(
    url: str, recipes: Path, name: str, *more: str, lease: int = LEASE
) -> Iterator[subprocess.Popen[str]]:
    """A scheduler of alice as a process, whose name stands in the log and in the names of its folders."""
    options = [] if "--agents" in more else ["--agent", "alice"]
    options += ["--recipes", str(recipes), "--runs", str(recipes.parent / name), "--retry-delay", "0"]
    options += ["--lease", str(lease), "--interval", "0.2", "--mcp-endpoint", url, *more]
    environment = {"GOOSE_SCHEDULER": name, "TINYTASK_TIMEOUT": "1"}
    with run_agent_process(*options, environment=environment) as process:
        yield process


def worker_process(address: str, name: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """A worker of a Dask cluster, of one thread and without a nanny."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--name", name]
    command += ["--nthreads", "1", "--no-nanny", "--no-dashboard"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
