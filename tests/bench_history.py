"""How much a recorder takes, and how fast a history is read: part of `python -m tests.bench`.

A day is 1,000 tasks, 3,000 changes by TinyTask's tools, and a look each 30 s. What looks and pushes take is
measured on a real server in a process of its own, what a day of them takes and adds to the file on a
simulated clock: with pushes on the second day, as some of the first is kept for a day only. Its seconds
are the processor's.
"""

from __future__ import annotations

import re
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from math import exp
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import orjson
import pandas as pd
from pandas.testing import assert_frame_equal

from calypso_nb import History, Recorder, TinytaskClient
from calypso_nb.embedded import TinytaskStore
from calypso_nb.embedded.database import Change
from calypso_nb.embedded.server import respond_to
from calypso_nb.flow.forecast import Forecast, Question, basis_of
from calypso_nb.flow.items import Items, Selection
from calypso_nb.flow.measures import FRAMES, Flow
from calypso_nb.flow.sampling import simulate
from calypso_nb.history.changes import SECOND, Record, moment_of, record_of
from calypso_nb.history.journal import Journal
from calypso_nb.history.pushes import Pushed, pushed
from calypso_nb.history.recorder import PUSHED_SECONDS
from calypso_nb.history.store import LEASE_SECONDS, HistoryStore
from tests.bench import NAMES, ROOT, Line, fill, ms, servers, serving, side_by_side, some_tasks, times
from tests.pasts import DAYS as PAST_DAYS
from tests.pasts import recorded, world
from tests.standin import running_standin

TASKS, CHANGES, EVERY = 1_000, 3_000, 30
DAY = 86_400
AGENTS = tuple(f"agent-{number}" for number in range(12))
QUEUES = ("dev", "review", "qa")
WORK = """
import sys, time
from calypso_nb import TinytaskClient
with TinytaskClient(sys.argv[1]) as client:
    for number in range(1, int(sys.argv[2]) + 1):
        client.update_task(number, status="idle" if number % 4 else "working")
        time.sleep(0.7)
"""


def measure(folder: Path, runs: int) -> Iterator[Line]:
    """Measure recording and reading."""
    listed, listed_bytes = simulated_day(folder / "listed.db", pushes=False)
    told, told_bytes = simulated_day(folder / "told.db", pushes=True)
    size = f"+ {listed_bytes / 1e6:.2f} MB, {told_bytes / 1e6:.2f} MB with pushes"
    yield Line("simulated", f"a day's journal, {CHANGES:,} changes", size, aim="≤ 1 MB")
    board = folder / "recorded.db"
    fill(board, TASKS)
    for server in servers():
        idle, changed, staying = look_seconds(board, folder / f"{server}.db", server)
        news = 1 - exp(-CHANGES * EVERY / DAY)  # The share of looks that find a change.
        day = DAY / EVERY * (news * changed + (1 - news) * idle) + staying * DAY / LEASE_SECONDS * 4
        where = f"{server}, {NAMES['http']}"
        each = f"a look: {ms(idle)}, with news {ms(changed)}"
        yield share(where, f"a recorder, {TASKS:,} tasks", day + listed, each)
        if server == "Node":
            change = push_seconds(board, folder / "pushed.db")
            day = CHANGES * change + DAY / PUSHED_SECONDS * idle + staying * DAY / LEASE_SECONDS * 4
            yield share(where, "the same, with pushes", day + told, f"a change: {ms(change)}")
    yield past(folder / "past.db", runs)
    yield from flow(folder / "flow.db", runs)


def share(server: str, what: str, day: float, each: str) -> Line:
    """A recorder's share of a core."""
    return Line(server, what, f"{day / DAY:.2%} of a core", each, f"{day:.0f} s a day", "≤ 1 %")


class Board:
    """A board of tasks on a simulated clock, on which agents work, and what its server pushes of that."""

    def __init__(self) -> None:
        self.random = Random(1)
        self.store = TinytaskStore(now=lambda: moment_of(self.time))
        self.time = self.start = int(time.time()) * SECOND
        self.store.insert_many(some_tasks(TASKS))
        self.said: list[Pushed] = []
        self.tasks = {task["id"]: task for task in self.store.list_tasks(include_archived=True)}
        self.store.listeners.append(self._follow)

    def act(self, time: int) -> None:
        """Let an agent change something."""
        self.time = time
        respond_to(self.store, *self._deed(), self._say)

    def _follow(self, changes: Iterable[Change]) -> None:
        self.tasks |= {change.id: change.after for change in changes if change.table == "tasks"}

    def _say(self, event: Record) -> None:
        known = pushed(event)
        assert known is not None
        self.said.append(known)

    def _deed(self) -> tuple[str, dict[str, Any]]:
        deed, agent = self.random.random(), self.random.choice(AGENTS)
        task = self.random.choice(
            [number for number, task in self.tasks.items() if task["archived_at"] is None]
        )
        if deed < 0.1:
            text = "What is wanted, why, and how to see that it is done. " * 3
            fields = {"title": f"Task {self.time}", "description": text, "created_by": "lead"}
            return "create_task", fields | {"assigned_to": agent, "queue_name": self.random.choice(QUEUES)}
        if deed < 0.2:
            return "archive_task", {"id": task}
        if deed < 0.4:
            return "update_task", {"id": task, "assigned_to": agent, "priority": self.random.randint(0, 9)}
        if deed < 0.5:
            return "move_task_to_queue", {"task_id": task, "new_queue_name": self.random.choice(QUEUES)}
        return "update_task", {"id": task, "status": self.random.choice(("idle", "working", "complete"))}


def simulated_day(path: Path, *, pushes: bool) -> tuple[float, int]:
    """The seconds that a journal takes for the last day, and the bytes that it adds to the file."""
    board = Board()
    with HistoryStore(path, write=True) as store:
        journal = Journal(store, "http://simulated", "listing", EVERY * SECOND)
        journal.see(board.tasks.values(), board.start - SECOND, board.start)
        for day in range(2 if pushes else 1):
            before = size_of(store)
            seconds = record_day(board, journal, board.start + day * DAY * SECOND, pushes)
        return seconds, size_of(store) - before


def record_day(board: Board, journal: Journal, begin: int, pushes: bool) -> float:
    """Let a board live for a day and be recorded; return the seconds that this takes the journal."""
    changes = sorted(begin + board.random.randrange(DAY * SECOND) for _ in range(CHANGES))
    every = int(PUSHED_SECONDS) if pushes else EVERY
    looks = {*range(begin, begin + DAY * SECOND, every * SECOND)}
    if pushes:
        looks |= {change + SECOND // 2 for change in changes}
    seconds = 0.0
    for moment, look in sorted([(change, False) for change in changes] + [(look, True) for look in looks]):
        if not look:
            board.act(moment)
        start = time.process_time()
        if look:
            journal.see(board.tasks.values(), moment, moment + SECOND // 100, pushed=pushes)
        elif pushes:
            for event in board.said:
                journal.hear([event])
            journal.tell()
        seconds += time.process_time() - start
        board.said.clear()
    return seconds


def size_of(store: HistoryStore) -> int:
    """The bytes of a history, once all of it is in its one file."""
    store.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    return store.path.stat().st_size


def look_seconds(board: Path, path: Path, server: str) -> tuple[float, float, float]:
    """The seconds for a look without news, for one with a change, and for staying the recorder."""
    with (
        serving(board, "http", server) as url,
        TinytaskClient(url) as client,
        Recorder(client, path, every=DAY) as recorder,
        closing(sqlite3.connect(board, timeout=60)) as connection,
    ):

        def change() -> None:
            task = Random().randrange(TASKS) + 1
            sql = "UPDATE tasks SET priority = priority + 1, updated_at = datetime('now') WHERE id = ?"
            with connection:
                connection.execute(sql, (task,))

        idle = busy(recorder.look, 200)
        changed = busy(recorder.look, 100, change)
        with HistoryStore(path.with_suffix(".lease"), write=True) as store:
            return idle, changed, busy(lambda: store.take("it", "me", "so"), 100)


def busy(action: Callable[[], object], count: int, before: Callable[[], object] = lambda: None) -> float:
    """The mean seconds of the processor, in all threads of this process, that an action takes."""
    seconds = 0.0
    for _ in range(count):
        before()
        start = time.process_time()
        action()
        seconds += time.process_time() - start
    return seconds / count


def push_seconds(board: Path, path: Path, count: int = 40) -> float:
    """The seconds that a change takes which a server pushes, with the look that follows it."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    path.with_name(f"{path.name}.hub-token").write_text("bench")
    fast = {"push_retry": (0, 100), "push_limit": ((100_000, 1),)}
    with (
        running_standin("http", board, hub=f"http://{address}/hub/bench", **fast) as standin,
        TinytaskClient(standin.url) as client,
        Recorder(client, path, every=DAY, hub=address) as recorder,
    ):
        while recorder.how != "live":
            time.sleep(0.1)
        start = time.process_time()
        subprocess.run([sys.executable, "-c", WORK, standin.url, str(count)], cwd=ROOT, check=True)
        time.sleep(1)
        seconds = time.process_time() - start
    with HistoryStore(path) as store:
        assert store.scalar("SELECT count(DISTINCT task_id) FROM event WHERE pushed") == count
    return seconds / count


# A year of a server, made at once

YEAR_START, YEAR, LOOKS = 1_767_225_600 * SECOND, 365 * DAY * SECOND, 20_000
VALUES = {
    "status": ("idle", "working", "complete"),
    "assigned_to": AGENTS[:3],
    "queue_name": QUEUES,
    "priority": (1, 5, 9),
}


def events_of(seed: int, tasks: int, changes: int) -> pd.DataFrame:
    """The events of a server, half of them exact, with the file's columns: each task changes so often."""
    random = np.random.default_rng(seed)
    times = np.sort(random.integers(0, YEAR, (tasks, changes + 1)), axis=1)
    order = np.argsort(times, axis=None)
    task, change = np.divmod(order, changes + 1)
    at = times.ravel()[order]
    look = at * LOOKS // YEAR
    exact = random.random(len(at)) < 0.5
    count, kind = np.divmod(change - 1, len(VALUES))
    values = np.array([*VALUES.values()], dtype=object)
    old, new = (values[kind, (count + task + more) % 3] for more in (0, 1))
    made = change == 0
    old[made] = None
    new[made] = [
        orjson.dumps(
            BASE
            | {name: known[int(number) % 3] for name, known in VALUES.items()}
            | dict.fromkeys(("created_at", "updated_at"), f"{begun:%F %T}")
            | {"title": f"Task {number} of server {seed}"}
        ).decode()
        for number, begun in zip(task[made], map(moment_of, (at[made] + YEAR_START).tolist()), strict=True)
    ]  # fmt: skip
    columns = {
        "id": np.arange(1, len(at) + 1),
        "task_id": task + 1,
        "field": np.where(made, "created", np.array([*VALUES], dtype=object)[kind]),
        "old": old,
        "new": new,
        "not_before": np.where(exact, at, look * YEAR // LOOKS) + YEAR_START,
        "not_after": np.where(exact, at, (look + 1) * YEAR // LOOKS) + YEAR_START,
        "seen": 1,
        "pushed": exact.astype(int),
        "by": np.where(made, "lead", None),
        "observation": look + 1,
    }
    return pd.DataFrame(columns)


BASE = record_of(next(some_tasks(1))) | {"previous_assigned_to": None}


def observations_of(tasks: int) -> pd.DataFrame:
    """The looks of a year, with the file's columns: in each hundredth of it nobody looked for a while."""
    number = np.arange(LOOKS + 1)
    began = YEAR_START + number * YEAR // LOOKS
    last = began + np.where(number % 100, YEAR // LOOKS - EVERY * SECOND, YEAR // LOOKS // 2)
    columns = {
        "id": number + 1, "source": "listing", "began": began, "until": began + 50_000, "last": last,
        "ended": last + 50_000, "looks": 40, "ok": 1, "tasks": tasks, "pushed": 0, "error": None,
        "every": EVERY * SECOND,
    }  # fmt: skip
    return pd.DataFrame(columns)


def written(path: Path, seed: int, tasks: int, changes: int) -> History:
    """A history's file of a year of one server."""
    with HistoryStore(path, write=True) as store:
        server = store.server(f"http://server-{seed}:3000", YEAR_START)
        for table, frame in (
            ("event", events_of(seed, tasks, changes)),
            ("observation", observations_of(tasks)),
        ):
            store.fill(table, [*frame], ((server, *row) for row in frame.astype(object).values.tolist()))
    return History(path)


def past(path: Path, runs: int) -> Line:
    """A report of how it was, against reading the events with pandas."""
    history = written(path, 0, 10_000, 9)
    moment = moment_of(YEAR_START + YEAR * 9 // 10)
    with closing(sqlite3.connect(path)) as connection:
        ours, bare = side_by_side(
            runs, lambda: history.at(moment, "all"), lambda: pd.read_sql("SELECT * FROM event", connection)
        )
    history.close()
    what = "history.at, 10,000 tasks, 100,000 events"
    return Line("history's file", what, ms(ours), f"read_sql of the events: {ms(bare)}", times(ours / bare))


def flow(path: Path, runs: int) -> Iterator[Line]:
    """All frames of flow and a forecast, of what has been read; its record has up to 60 forecasts."""
    history = written(path, 0, 10_000, 9)
    reading, bare = side_by_side(
        runs, history.journeys, lambda: pd.read_sql("SELECT * FROM event", sqlite3.connect(path))
    )
    journeys = history.journeys()
    of = "10,000 tasks, 80,000 changes"
    yield Line(
        "history's file",
        f"reading for flow, {of}",
        ms(reading),
        f"read_sql: {ms(bare)}",
        times(reading / bare),
    )

    def frames() -> None:
        measured = Flow(journeys)
        for name in FRAMES:
            getattr(measured, name)

    [seconds] = side_by_side(runs, frames)
    yield Line("history's file", f"all frames of flow, {of}", ms(seconds), aim="≤ 500 ms")
    # A team that finishes what is asked about in some weeks, as the one above doesn't.
    past = recorded(world("stable", 1, 2 * PAST_DAYS), 100)

    def drawn() -> None:
        question = Question(Selection(), 100, None, "1 d", 0)
        rng = np.random.default_rng(0)
        basis = basis_of(rng, past, Items(past), question, 10_000)
        assert basis is not None
        simulate(rng, basis.past, 100, basis.shares, 500, grows=True)

    [alone] = side_by_side(runs, drawn)
    yield Line("simulated", "a forecast, 10,000 trials", ms(alone), aim="≤ 500 ms")
    [whole] = side_by_side(runs, lambda: Forecast(past, Selection(), progress=False))
    yield Line("simulated", "the same with its record of the past", ms(whole), aim="≤ 5 s")
    [whole] = side_by_side(runs, lambda: Forecast(journeys, Selection(), progress=False))
    yield Line("history's file", f"a forecast and its record, {of}", ms(whole), aim="≤ 5 s")
    history.close()


# Many servers as Parquet

SERVERS, LAKE_TASKS, LAKE_CHANGES = 50, 10_000, 19
READ = """
import sys
from tests.bench_history import read
if __name__ == "__main__":
    read(*sys.argv[1:])
"""


def lake(folder: Path) -> Iterator[Line]:
    """Ten million events of 50 servers: written, and read in this process and by Dask."""
    first = written(folder / "one.db", 0, LAKE_TASKS, LAKE_CHANGES)
    [seconds] = side_by_side(1, lambda: first.export(folder / "lake"))
    events = LAKE_TASKS * (LAKE_CHANGES + 1)
    yield Line("history's file", f"export, {events:,} events", ms(seconds))
    write_others(folder / "lake")
    size = sum(file.stat().st_size for file in (folder / "lake").rglob("*.parquet"))
    for cluster in ("", "dask"):
        command = [sys.executable, "-c", READ, str(folder / "lake"), str(folder / f"{cluster}.pkl"), cluster]
        said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
        seconds, before, after = map(float, said)
        where = "Dask, 2 workers" if cluster else "one process"
        begun = "before it" if cluster else "after one server"
        what = f"History.each, {SERVERS} servers, {events * SERVERS:,} events, {size / 1e6:.0f} MB"
        peaks = f"peak of a process {after:.0f} MiB, {before:.0f} {begun}"
        yield Line(where, what, f"{seconds:.0f} s", peaks, times(after / before))
    here, there = (pd.read_pickle(folder / f"{name}.pkl") for name in ("", "dask"))
    assert_frame_equal(here, there)
    assert len(here) == SERVERS
    assert here["events"].sum() == events * SERVERS
    assert_frame_equal(here.head(1).drop(columns="server"), figures(first))
    with closing(History(folder / "lake", first.server)) as second:
        for name in ("events", "spells", "coverage"):
            assert_frame_equal(getattr(first, name), getattr(second, name))
    first.close()


def write_others(folder: Path) -> None:
    """Write the servers but the first, as `export` has written that."""
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    for seed in range(1, SERVERS):
        for table, keys, frame in (
            ("events", ["server", "month"], events_of(seed, LAKE_TASKS, LAKE_CHANGES)),
            ("observations", ["server"], observations_of(LAKE_TASKS)),
        ):
            schema = pq.read_schema(next((folder / table).rglob("*.parquet")))
            frame = frame.assign(server=f"http://server-{seed}:3000", epoch=1, says_blocked=0)
            if table == "events":
                frame["month"] = pd.to_datetime(frame["not_after"], unit="us").dt.strftime("%Y-%m")
                frame["old"], frame["new"] = (
                    frame[name].map(str, na_action="ignore") for name in ("old", "new")
                )
            whole = pa.schema([*schema.remove_metadata(), *((key, pa.string()) for key in keys)])
            rows = pa.Table.from_pandas(frame, whole, preserve_index=False)
            parts = ds.partitioning(pa.schema([(key, pa.string()) for key in keys]), flavor="hive")
            ds.write_dataset(
                rows, folder / table, format="parquet", partitioning=parts,
                existing_data_behavior="overwrite_or_ignore", basename_template=f"{seed}-{{i}}.parquet",
            )  # fmt: skip


def figures(history: History) -> pd.DataFrame:
    """How much a history holds: a row of numbers that need all of its frames."""
    events, spells, coverage = history.events, history.spells, history.coverage
    row = {
        "events": len(events), "exact": events["exact"].sum(), "spells": len(spells),
        "hours": spells["hours_most"].sum(), "gaps": (~coverage["recorded"]).sum(),
    }  # fmt: skip
    return pd.DataFrame([row])


def read(folder: str, result: str, cluster: str = "") -> None:
    """Read all servers of a folder, keep their figures, and print the seconds and a process's peak memory."""
    from distributed import Client, LocalCluster

    if not cluster:
        with closing(
            History(folder, History.each(folder, lambda history: history.servers)["server"][0])
        ) as one:
            figures(one)
        before, start = peak(), time.perf_counter()
        History.each(folder, figures).to_pickle(result)
        print(time.perf_counter() - start, before, peak())
        return
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as workers,
        Client(workers) as client,
    ):
        before, start = max(client.run(peak).values()), time.perf_counter()
        History.each(folder, figures, dask=workers.scheduler_address).to_pickle(result)
        print(time.perf_counter() - start, before, max(client.run(peak).values()))


def peak() -> float:
    """The most memory that this process has had, in MiB."""
    # Not ru_maxrss, which a process inherits from the one that started it.
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024
