"""A race of four schedulers over one board, in which all that can fail does: `python -m tests.race`.

Two have their runs on this machine, one is behind a proxy, and one has Dask workers. The server is killed and
comes back, schedulers and workers are killed, paused and cut off; people drain, cancel, pause and retag
meanwhile. What was run is told by a ledger that the recipe itself writes, not by the schedulers.

`--tree FOLDER` has another version of the package run the tasks, with those faults that it knows.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from calypso_nb import TinytaskClient
from calypso_nb.errors import TinytaskClientError
from calypso_nb.records import Task
from calypso_nb.run_marks import AUTHOR, CANCELLED, RECORD
from tests.agents_at_work import LEASE, LOGGING, Event, Log, worker_process
from tests.conftest import SECONDS, eventually
from tests.faulty_proxy import faulty_proxy

NAMES = ("one", "two", "proxied", "dask")
LONG = 1.5
# Faults that every version knows; the others are what people do.
FAULTS = ("server killed", "killed", "paused", "cut off", "worker killed")
STEERED = ("drained", "cancelled", "agent paused", "retagged")
_PLACES = 3
_SETTLED = 300.0


@dataclass(frozen=True)
class Ledger:
    """What came of a race: each is derived from the recipe's own lines, or read on the board at the end.

    - happened: how often each fault was done while there was work
    - overlaps: runs that began while another one of the same task was at work
    - unfinished: tasks that are neither complete nor cancelled
    - unran: complete tasks of which no run came to its end
    - repeated: tasks of which more than one run came to its end
    - leases: tasks on which a lease is left
    - untold: tasks of which more runs came to their end than have a record
    - unrecorded: complete tasks without a record of a run that succeeded
    """

    tasks: int
    runs: int
    seconds: float
    happened: Counter[str]
    overlaps: list[Event]
    unfinished: list[int]
    unran: list[int]
    repeated: list[int]
    leases: list[int]
    untold: list[int]
    unrecorded: list[int]
    notes: dict[int, list[str]]

    def __str__(self) -> str:
        done = ", ".join(f"{what} {times}" for what, times in sorted(self.happened.items()))
        lines = [f"{self.tasks} tasks, {self.runs} runs begun in {self.seconds:.0f} s; {done}"]
        for name in ("overlaps", "unfinished", "unran", "repeated", "leases", "untold", "unrecorded"):
            found = getattr(self, name)
            lines.append(f"{name}: {len(found)} {str(found[:12]) if found else ''}".rstrip())
        return "\n".join(lines)


class Race:
    """The processes of a race, and what can be done to them."""

    def __init__(self, folder: Path, random: Random, tree: Path | None, dask: bool) -> None:
        self._folder = folder
        self._random = random
        self._new = tree is None
        self._environment = {**os.environ, "GOOSE_RUN_LOG": str(folder / "log"), "TINYTASK_TIMEOUT": "1"}
        if tree is not None:
            self._environment["PYTHONPATH"] = str(tree)
        self.log = Log(folder / "log")
        self.names = NAMES if dask else NAMES[:-1]
        self.happened: Counter[str] = Counter()
        self._later: list[tuple[float, int, str, Callable[[], None]]] = []
        self._numbers = count()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._workers: list[subprocess.Popen[bytes]] = []
        self._stack = ExitStack()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"

    @contextmanager
    def running(self, tasks: int) -> Iterator[None]:
        """Have the server, its tasks, and everybody at work, until the block ends."""
        recipes = self._folder / "recipes"
        recipes.mkdir()
        (recipes / "default.py").write_text(LOGGING)
        names = [{"agentName": name, "maxConcurrency": 4 * _PLACES} for name in ("alice", "bob")]
        (self._folder / "agents.json").write_text(json.dumps(names))
        with self._stack:
            self._stack.callback(self._end_all)
            self._serve()
            self.client = self._stack.enter_context(TinytaskClient(self.url))
            self.proxy = self._stack.enter_context(faulty_proxy(self.url))
            if "dask" in self.names:
                from distributed import LocalCluster

                cluster = LocalCluster(  # type: ignore[no-untyped-call]
                    n_workers=0, dashboard_address=None, host="127.0.0.1"
                )
                self._address = self._stack.enter_context(cluster).scheduler_address
                for _ in range(2):
                    self._add_worker()
                assert eventually(lambda: len(cluster.scheduler.workers) == 2)
            for name in self.names:
                self._begin(name)
            assert eventually(lambda: self._said().count("looking for tasks") == len(self.names)), (
                self._said()
            )
            for number in range(tasks):
                title = f"takes {LONG if number % 4 == 0 else 0.1} s"
                agent = "bob" if number % 5 == 0 else "alice"
                self.client.create_task(title, assigned_to=agent, priority=number % 3)
            yield

    def _said(self) -> str:
        return (self._folder / "said.txt").read_text()

    def _end_all(self) -> None:
        for process in (*self._processes.values(), *self._workers):
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(SECONDS)

    def _process(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self._folder / "said.txt").open("ab") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "calypso_nb", *arguments],
                stdout=said,
                stderr=said,
                cwd=self._folder,
                env={**self._environment, **environment},
            )

    def _serve(self) -> None:
        self._processes["server"] = self._process("serve", "--port", str(self._port), "--db", "tasks.db")

        def listens() -> bool:
            with closing(socket.socket()) as trial:
                return trial.connect_ex(("127.0.0.1", self._port)) == 0

        assert eventually(listens)

    def _begin(self, name: str) -> None:
        url = self.proxy.url if name == "proxied" else self.url
        options = ["--agents", "agents.json", "--recipes", "recipes", "--runs", f"runs-{name}"]
        options += ["--lease", str(LEASE), "--interval", "0.5", "--retries", "99", "--mcp-endpoint", url]
        options += ["--max-parallel", str(_PLACES)]
        if self._new:
            options += ["--retry-delay", "0"]
        if name == "dask":
            options += ["--dask", self._address]
        self._processes[name] = self._process("run-agent", *options, GOOSE_SCHEDULER=name)

    def _add_worker(self) -> None:
        environment = {**self._environment, "GOOSE_SCHEDULER": "dask"}
        self._workers.append(worker_process(self._address, f"worker-{next(self._numbers)}", environment))

    def go_on(self) -> None:
        """Do what is due by now, and start again who has ended without being told to."""
        while self._later and self._later[0][0] <= time.monotonic():
            heappop(self._later)[-1]()
        for name in {*self.names} - self._broken():
            if self._processes[name].poll() is not None:
                self.happened["ended by itself"] += 1
                self._begin(name)

    @property
    def is_whole(self) -> bool:
        """Whether all that was broken works again."""
        return not self._later

    def do(self, fault: str) -> bool:
        """Do it, and plan its mending; return whether it could be done."""
        if not getattr(self, f"_{fault.replace(' ', '_')}")():
            return False
        self.happened[fault] += 1
        return True

    def _busy(self, names: Iterable[str] | None = None) -> list[Event]:
        """The newest runs of some schedulers first, of those that seem to be at work."""
        wanted = self.names if names is None else names
        return [event for event in reversed(self.log.under_way()) if event.scheduler in wanted]

    def _someone(self) -> str | None:
        """A scheduler at work that nothing is wrong with."""
        names = [
            name
            for name in self.names
            if name != "dask" and name not in self._broken() and self._busy([name])
        ]
        return self._random.choice(names) if names else None

    def _broken(self) -> set[str]:
        return {name for _, _, name, _ in self._later}

    def _mend(self, seconds: float, name: str, act: Callable[[], None]) -> bool:
        """Have what is wrong with somebody mended in so many seconds."""
        heappush(self._later, (time.monotonic() + seconds, next(self._numbers), name, act))
        return True

    def _server_killed(self) -> bool:
        if "server" in self._broken():
            return False
        self._processes["server"].kill()
        self._processes["server"].wait(SECONDS)
        return self._mend(self._random.uniform(0, 1.5 * LEASE), "server", self._serve)

    def _killed(self) -> bool:
        if (name := self._someone()) is None:
            return False
        self._processes[name].kill()
        self._processes[name].wait(SECONDS)
        return self._mend(self._random.uniform(0, LEASE), name, lambda: self._begin(name))

    def _paused(self) -> bool:
        if (name := self._someone()) is None:
            return False
        process = self._processes[name]
        process.send_signal(signal.SIGSTOP)
        seconds = self._random.uniform(0.5, 2.5) * LEASE
        return self._mend(seconds, name, lambda: process.send_signal(signal.SIGCONT))

    def _cut_off(self) -> bool:
        if not self._busy(["proxied"]) or "proxy" in self._broken():
            return False
        self.proxy.freeze()
        return self._mend(self._random.uniform(0.5, 2) * LEASE, "proxy", self.proxy.heal)

    def _worker_killed(self) -> bool:
        if not self._busy(["dask"]):
            return False
        process = self._workers.pop(0)
        process.kill()
        process.wait(SECONDS)
        self._add_worker()
        return True

    def _drained(self) -> bool:
        if (name := self._someone()) is None:
            return False
        process = self._processes[name]
        process.terminate()

        def again() -> None:
            if process.poll() is None:
                self._mend(0.2, name, again)
            else:
                assert process.returncode == 0, f"{name} was drained, and exited with {process.returncode}"
                self._begin(name)

        return self._mend(0.2, name, again)

    def _cancelled(self) -> bool:
        long = [event for event in self._busy() if self._is_long(event.task)]
        try:
            return bool(long) and bool(self.client.cancel_run(long[0].task))
        except (TinytaskClientError, ValueError):  # The server is away, or it has ended.
            return False

    def _is_long(self, task: int) -> bool:
        return (task - 1) % 4 == 0

    def _agent_paused(self) -> bool:
        try:
            self.client.pause_agent("bob", "for a while")
        except TinytaskClientError:
            return False
        return self._mend(LEASE, "bob", self._resume)

    def _resume(self) -> None:
        try:
            self.client.resume_agent("bob")
        except TinytaskClientError:
            self._mend(0.5, "bob", self._resume)
        except ValueError:  # The server had not told that it had resumed him.
            pass

    def _retagged(self) -> bool:
        busy = self._busy()
        try:
            return bool(busy) and bool(self.client.update_task(busy[0].task, tags=["urgent"]))
        except TinytaskClientError:
            return False

    def open_tasks(self) -> int | None:
        """How many tasks are neither complete nor cancelled; None while the server is away."""
        try:
            tasks = self.client.list_task_records(status=["idle", "working"])
        except TinytaskClientError:
            return None
        return sum(CANCELLED not in task["tags"] or task["status"] == "working" for task in tasks)

    def tasks(self) -> list[Task]:
        numbers = [task["id"] for task in self.client.list_task_records()]
        return [self.client.get_task(number) for number in numbers]


def notes_of(task: Task) -> list[str]:
    return [note.content for note in task.comments or () if note.created_by == AUTHOR]


def records_in(notes: Iterable[str]) -> list[str]:
    return [note for note in notes if RECORD.match(note)]


def is_lease(note: str) -> bool:
    return note.startswith("Lease ")


def race(
    folder: Path, tasks: int, faults: Iterable[str], every: float, seed: int, tree: Path | None = None
) -> Ledger:
    """Run so many tasks while these faults happen, so many seconds apart, and tell what came of it."""
    todo = list(faults)
    run = Race(folder, Random(seed), tree, dask="worker killed" in todo)
    pause = Random(seed + 1)
    with run.running(tasks):
        began = time.monotonic()
        next_at = began
        left: int | None = tasks
        while left != 0 or not run.is_whole:
            run.go_on()
            if todo and time.monotonic() >= next_at:
                # What can't be done now is tried again after the others.
                fault = todo.pop(0)
                if not run.do(fault) and left != 0:
                    todo.append(fault)
                next_at = time.monotonic() + every * pause.uniform(0.5, 1.5)
            time.sleep(0.05)
            found = run.open_tasks()
            left = left if found is None else found
            assert time.monotonic() < began + _SETTLED + tasks, f"{left} tasks are left"
        seconds = time.monotonic() - began
        # The last are told of a moment after their task is complete, or once their scheduler is back.
        ledgers: list[Ledger] = []

        def is_told() -> bool:
            ledgers.append(_ledger(run, seconds))
            return not (ledgers[-1].leases or ledgers[-1].untold)

        eventually(is_told, 10 * LEASE)
        return ledgers[-1]


def _ledger(run: Race, seconds: float) -> Ledger:
    tasks = run.tasks()
    complete = [task for task in tasks if task.status == "complete"]
    ended = Counter(event.task for event in run.log.of("stop"))
    notes = {task.id: notes_of(task) for task in tasks}
    return Ledger(
        tasks=len(tasks),
        runs=len(run.log.of("start")),
        seconds=seconds,
        happened=run.happened,
        overlaps=run.log.of("overlap"),
        unfinished=[task.id for task in tasks if task.status != "complete" and CANCELLED not in task.tags],
        unran=[task.id for task in complete if not ended[task.id]],
        repeated=[number for number, times in ended.items() if times > 1],
        leases=[number for number, found in notes.items() if any(map(is_lease, found))],
        untold=[number for number, times in ended.items() if len(records_in(notes[number])) < times],
        unrecorded=[task.id for task in complete if " succeeded after " not in str(notes[task.id])],
        notes=notes,
    )


def main() -> None:
    """Race as the command line says, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=900)
    parser.add_argument("--times", type=int, default=10, help="how often each fault happens")
    parser.add_argument("--every", type=float, default=1.5, help="seconds between two faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tree", type=Path, help="the checkout of another version")
    parser.add_argument("--faults", default=",".join((*FAULTS, *STEERED)))
    given = parser.parse_args()
    faults = given.faults.split(",") * given.times
    with TemporaryDirectory() as folder:
        ledger: Any = race(Path(folder), given.tasks, faults, given.every, given.seed, given.tree)
    print(ledger)
    for number in ledger.repeated:
        print(f"#{number}", *ledger.notes[number], sep="\n  ")


if __name__ == "__main__":
    main()
