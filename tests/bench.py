"""How fast the client is against what it stands on: `make bench`.

Each pair is measured side by side in one run, alternating, and told as medians. The servers run in processes
of their own: a foreign TinyTask in Node (`tests/standin`), which is what counts, and the embedded one; every
line names its server. Nothing here is a test: a figure depends on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import httpx2
import pandas as pd
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from rich.console import Console
from rich.table import Table

from calypso_nb import TinytaskClient, WorkloadReporter
from calypso_nb.embedded import TinytaskStore
from calypso_nb.scheduler import Scheduler
from tests.standin import FOLDER, Kind, running_standin

ROOT = Path(__file__).parent.parent
SIZES = (1_000, 5_000, 20_000)
OPEN_TASKS = 850
FILE_SIZES = (1_000, 5_000, 20_000, 50_000)
NAMES: dict[Kind, str] = {"http": "v2 HTTP", "sse": "v2 SSE", "v1": "v1 SSE"}
EMBEDDED = """
import sys
from calypso_nb.embedded import TinytaskStore, running_server
from tests.v1_server import running_v1_server
path, kind = sys.argv[1:]
store = TinytaskStore(path)
with running_v1_server(store) if kind == "v1" else running_server(store, kind) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


class Line(NamedTuple):
    """One line of the table: the server, the figure, what it is held against, and what is aimed at."""

    server: str
    what: str
    ours: str
    against: str = ""
    ratio: str = ""
    aim: str = ""


def fill(path: Path, count: int) -> None:
    """A database file with `count` tasks, a comment on every second and a link on every third of them."""
    with TinytaskStore(path) as store:
        store.insert_many(some_tasks(count))
        store.insert_many(
            ({"task_id": n, "content": "a note", "created_by": "lead"} for n in range(2, count + 1, 2)),
            "comments",
        )
        store.insert_many(({"task_id": n, "url": "docs/x.md"} for n in range(3, count + 1, 3)), "links")


def some_tasks(count: int) -> Iterator[dict[str, Any]]:
    """So many tasks that somebody might have."""
    start = datetime.now(UTC) - timedelta(days=40)
    statuses = ("idle", "working", "complete", "complete")
    for number in range(count):
        yield {
            "title": f"Task {number}: make the thing do what the other thing does",
            "description": "What is wanted, why, and how to see that it is done. " * 3,
            "status": statuses[number % 4],
            "assigned_to": f"agent-{number % 12}" if number % 13 else None,
            "created_by": "lead",
            "priority": number % 11,
            "tags": ["bench", f"t{number % 7}"],
            "queue_name": ("dev", "qa", "docs")[number % 3],
            "created_at": start + timedelta(seconds=number),
        }


def servers() -> list[str]:
    """The servers that this machine has: the foreign one first, if its packages are installed."""
    foreign = shutil.which("node") and (FOLDER / "node_modules").exists()
    return ["Node", "embedded"] if foreign else ["embedded"]


@contextmanager
def serving(path: Path, kind: Kind, server: str) -> Iterator[str]:
    """The file behind a server in a process of its own; yields its address."""
    if server == "Node":
        with running_standin(kind, path) as standin:
            yield standin.url
        return
    command = [sys.executable, "-c", EMBEDDED, str(path), kind]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def bare_post(http: httpx2.Client, url: str) -> list[dict[str, Any]]:
    """`list_tasks` as one POST with nothing around it, decoded by the standard library."""
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "list_tasks", "arguments": {}},
    }
    headers = {"Accept": "application/json, text/event-stream"}
    answer = http.post(f"{url}/mcp", json=call, headers=headers).text
    data = next(line[6:] for line in answer.splitlines() if line.startswith("data: "))
    tasks: list[dict[str, Any]] = json.loads(json.loads(data)["result"]["content"][0]["text"])["tasks"]
    return tasks


def one_by_one(url: str, kind: Kind) -> int:
    """What people's program does: one MCP session, the open tasks listed, then one `get_task` after another.

    On a plain client of the MCP SDK, with nothing of ours, and without making a frame of the answers.
    """

    async def read() -> int:
        http = kind == "http"
        wire = (
            streamable_http_client(f"{url}/mcp", max_sse_event_size=None)
            if http
            else sse_client(f"{url}/mcp")
        )
        async with Client(wire) as client:
            tasks: list[dict[str, Any]] = []
            for status in ("idle", "working"):
                answer = await client.call_tool("list_tasks", {"status": status})
                tasks += json.loads(answer.content[0].text)["tasks"]  # type: ignore[union-attr]
            for task in tasks:
                answer = await client.call_tool("get_task", {"id": task["id"]})
                details = json.loads(answer.content[0].text)  # type: ignore[union-attr]
                task["counts"] = len(details["comments"]), len(details["links"])
            return len(tasks)

    return asyncio.run(read())


def read_by_hand(path: Path) -> pd.DataFrame:
    """What somebody would write who knows the tables: the tasks with their counts."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        tasks = pd.read_sql("SELECT * FROM tasks WHERE archived_at IS NULL", connection)
        comments = pd.read_sql(
            "SELECT task_id AS id, count(*) AS comments FROM comments GROUP BY 1", connection
        )
        links = pd.read_sql("SELECT task_id AS id, count(*) AS links FROM links GROUP BY 1", connection)
    for column in ("created_at", "updated_at", "archived_at"):
        tasks[column] = pd.to_datetime(tasks[column], utc=True)
    tasks["tags"] = tasks["tags"].map(json.loads)
    return tasks.merge(comments, how="left").merge(links, how="left")


def side_by_side(runs: int, *actions: Callable[[], object]) -> list[float]:
    """The median seconds of each action, taken in turns."""
    taken: list[list[float]] = [[] for _ in actions]
    for _ in range(runs):
        for action, seconds in zip(actions, taken, strict=True):
            start = time.perf_counter()
            action()
            seconds.append(time.perf_counter() - start)
    return [statistics.median(seconds) for seconds in taken]


def listings(path: Path, size: int, runs: int, server: str) -> list[Line]:
    """A listing as a frame, over HTTP and SSE, against a bare POST of the same call over HTTP."""
    with (
        serving(path, "http", server) as url,
        serving(path, "sse", server) as sse_url,
        httpx2.Client(timeout=60) as http,
        TinytaskClient(url) as client,
        TinytaskClient(sse_url) as sse,
    ):
        assert len(client.list_tasks()) == len(sse.list_tasks()) == len(bare_post(http, url)) == size
        bare, *frames = side_by_side(runs, lambda: bare_post(http, url), client.list_tasks, sse.list_tasks)
    against = f"bare POST, json.loads: {ms(bare)}"
    return [
        Line(
            f"{server}, {NAMES[kind]}",
            f"list_tasks, {size:,} tasks",
            ms(seconds),
            against,
            times(seconds / bare),
            aim,
        )
        for kind, seconds, aim in zip(("http", "sse"), frames, ("≤ 1.1 x", "≤ 1.1 x"), strict=True)
    ]


def peak_memory(path: Path, size: int, kind: Kind, server: str) -> Line:
    """The most memory that a fresh process takes for a listing, beyond what it took once connected."""
    code = (
        "import re, sys\nfrom pathlib import Path\nfrom calypso_nb import TinytaskClient\n"
        # Not ru_maxrss, which a process inherits from the one that started it.
        "peak = lambda: re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]\n"
        "c = TinytaskClient(sys.argv[1])\nc.list_tasks(limit=1)\n"
        "before = peak()\nc.list_tasks()\nprint(before, peak())"
    )
    with serving(path, kind, server) as url:
        command = [sys.executable, "-c", code, url]
        said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    before, after = map(int, said.stdout.split())
    return Line(
        f"{server}, {NAMES[kind]}",
        f"list_tasks, {size:,} tasks, peak memory",
        f"{after / 1024:,.0f} MiB",
        f"{before / 1024:,.0f} MiB once connected",
        f"{(after - before) / size:.1f} kB a task",
        "≤ 4 kB a task",
    )


def details(path: Path, size: int, runs: int, server: str) -> list[Line]:
    """A report of the open tasks with counts against one `get_task` after another."""
    lines = []
    for kind, aim in (("http", "≥ 6 x"), ("sse", "≥ 6 x"), ("v1", "≥ 3 x")):
        with serving(path, kind, server) as url, TinytaskClient(url, timeout=120) as client:
            reporter = WorkloadReporter(client)

            def report(reporter: WorkloadReporter = reporter) -> int:
                return len(reporter.collect_workload_data(["idle", "working"], progress=False).tasks)

            def known(url: str = url, kind: Kind = kind) -> int:
                return one_by_one(url, kind)

            assert report() == known() == size
            ours, theirs = side_by_side(runs, report, known)
        lines.append(
            Line(
                f"{server}, {NAMES[kind]}",
                f"report with counts, {size:,} open tasks",
                ms(ours),
                f"list_tasks, get_task one by one: {ms(theirs)}",
                f"{times(theirs / ours)} as fast",
                aim,
            )
        )
    return lines


def from_file(path: Path, size: int, runs: int) -> Line:
    """A report of all tasks from the database file against a reading by hand."""
    statuses = ["idle", "working", "complete"]
    with TinytaskClient(str(path)) as client:
        reporter = WorkloadReporter(client)
        report, hand = side_by_side(
            runs, lambda: reporter.collect_workload_data(statuses, progress=False), lambda: read_by_hand(path)
        )
    aim = "≤ 1.5 x" if size >= 5_000 else ""
    against = f"read_sql by hand: {ms(hand)}"
    return Line(
        "database file", f"report with counts, {size:,} tasks", ms(report), against, times(report / hand), aim
    )


def as_json(path: Path, size: int, runs: int) -> Line:
    """The JSON of a report of all tasks; all else of it is counted before."""
    with TinytaskClient(str(path)) as client:
        data = WorkloadReporter(client).collect_workload_data(["idle", "working", "complete"], progress=False)
    data.to_json()
    [seconds] = side_by_side(runs, data.to_json)
    aim = "≤ 500 ms" if size == 20_000 else ""
    return Line(
        "none", f"to_json, {size:,} tasks", ms(seconds), f"{len(data.to_json()) / 1e6:.1f} MB", "", aim
    )


def plans(path: Path, size: int, runs: int, server: str) -> Line:
    """What the scheduler would do with all tasks, against the listing that it needs for that."""
    with TemporaryDirectory() as recipes, serving(path, "http", server) as url, TinytaskClient(url) as client:
        (Path(recipes) / "default.py").write_text("")
        agents = [f"agent-{number}" for number in range(12)]
        scheduler = Scheduler(client, agents, recipes)
        plan, listing = side_by_side(
            runs, scheduler.plan, lambda: client.list_tasks(status=["idle", "working"])
        )
    aim = "≤ 1,000 ms beyond it" if size == 20_000 else ""
    against = f"its listing: {ms(listing)}"
    return Line(
        f"{server}, {NAMES['http']}", f"plan, {size:,} tasks", ms(plan), against, times(plan / listing), aim
    )


def from_cold(path: Path, size: int, runs: int, server: str) -> Line:
    """A whole `calypso-nb report` with counts, from the start of its process to its end."""
    with serving(path, "http", server) as url:
        command = ["-m", "calypso_nb", "report", "--format", "json", "--mcp-endpoint", url]
        cold, nothing = seconds_of(runs, command), seconds_of(runs, ["-c", "pass"])
    return Line(
        f"{server}, {NAMES['http']}",
        f"calypso-nb report from cold, {size:,} open tasks",
        ms(cold),
        f"an interpreter: {ms(nothing)}",
        "",
        "≤ 1,500 ms",
    )


def first_times(runs: int) -> list[Line]:
    """What a fresh interpreter pays beyond its own start: importing, `--help`, and the first answer."""
    nothing = seconds_of(runs, ["-c", "pass"])
    first = "from calypso_nb import TinytaskClient; TinytaskClient('demo').list_tasks()"
    commands = {
        "import calypso_nb": ["-c", "import calypso_nb"],
        "calypso-nb --help": ["-m", "calypso_nb", "--help"],
        "first answer (list_tasks)": ["-c", first],
    }
    return [
        Line(
            "embedded, in process" if "answer" in name else "none",
            name,
            ms(seconds_of(runs, command) - nothing),
            "beyond a bare interpreter",
        )
        for name, command in commands.items()
    ]


def seconds_of(runs: int, command: list[str]) -> float:
    """The median seconds of a process of Python's."""

    def run() -> None:
        subprocess.run([sys.executable, *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    return side_by_side(runs, run)[0]


def ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"


def times(ratio: float) -> str:
    return f"{ratio:.2f} x" if ratio < 3 else f"{ratio:.1f} x"


def measure(sizes: list[int], file_sizes: list[int], runs: int) -> Iterator[Line]:
    """Measure everything, one line after another."""
    with TemporaryDirectory() as folder:

        def filled(count: int) -> Path:
            path = Path(folder) / f"{count}.db"
            if not path.exists():
                fill(path, count)
            return path

        half_open = filled(2 * OPEN_TASKS)
        for server in servers():
            yield from details(half_open, OPEN_TASKS, runs, server)
            yield from_cold(half_open, OPEN_TASKS, runs, server)
            for size in sizes:
                yield from listings(filled(size), size, runs, server)
                yield plans(filled(size), size, runs, server)
            for kind in ("http", "sse"):
                yield peak_memory(filled(sizes[-1]), sizes[-1], kind, server)
        for size in file_sizes:
            yield from_file(filled(size), size, runs)
        yield as_json(filled(sizes[-1]), sizes[-1], runs)
        yield from first_times(runs)


def chosen(arguments: argparse.Namespace) -> Iterator[Line]:
    """Measure what the command line asks for."""
    from tests import bench_alarms, bench_history

    with TemporaryDirectory() as folder:
        if arguments.lake:
            yield from bench_history.lake(Path(folder))
        elif arguments.flow:
            yield from bench_history.flow(Path(folder) / "flow.db", arguments.runs)
        elif arguments.alarms:
            yield from bench_alarms.measure(Path(folder), arguments.runs)
        elif arguments.history:
            yield from bench_history.measure(Path(folder), arguments.runs)
        else:
            yield from measure(arguments.sizes, arguments.file_sizes, arguments.runs)
            yield from bench_history.measure(Path(folder), arguments.runs)
            yield from bench_alarms.measure(Path(folder), arguments.runs)


def main() -> None:
    """Print the table; `--sizes 100 1000 --runs 1` is less, and an option for a part measures that alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--history", action="store_true", help="what a recorder takes, and reading a history")
    parser.add_argument("--flow", action="store_true", help="measuring flow, and forecasts")
    parser.add_argument("--alarms", action="store_true", help="attention, audit and digest")
    parser.add_argument("--lake", action="store_true", help="10 million events of 50 servers, as Parquet")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--file-sizes", type=int, nargs="+", default=FILE_SIZES)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    table = Table("server", "what", "ours", "against", "ratio", "aim", title="calypso_nb, measured")
    for line in chosen(arguments):
        table.add_row(*line)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    if servers() == ["embedded"]:
        print("No figure is of a foreign server: that needs Node.js and make node.")
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.python_implementation()} {platform.python_version()}, "
        f"{os.cpu_count()} cores, {platform.machine()}"
    )


if __name__ == "__main__":
    main()
