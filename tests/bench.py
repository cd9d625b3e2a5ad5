"""How fast the client is against what it stands on: `make bench`.

Each pair is measured side by side in one run, alternating, and told as medians. The server runs in a process
of its own. Nothing here is a test: a figure depends on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
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
from typing import Any

import httpx2
import pandas as pd
from rich.console import Console
from rich.table import Table

from calypso_nb import TinytaskClient, WorkloadReporter
from calypso_nb.embedded import TinytaskStore

ROOT = Path(__file__).parent.parent
SIZES = (100, 1_000, 5_000, 20_000)
SERVER = """
import sys
from calypso_nb.embedded import TinytaskStore, running_server
from tests.v1_server import running_v1_server
path, kind = sys.argv[1:]
store = TinytaskStore(path)
with running_v1_server(store) if kind == "v1" else running_server(store, kind) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


def fill(path: Path, count: int) -> None:
    """A database file with `count` tasks, a comment on every second and a link on every third of them."""
    start = datetime.now(UTC) - timedelta(days=40)
    statuses = ("idle", "working", "complete", "complete")
    with TinytaskStore(path) as store:
        store.insert_many(
            {
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
            for number in range(count)
        )
        store.insert_many(
            ({"task_id": n, "content": "a note", "created_by": "lead"} for n in range(2, count + 1, 2)),
            "comments",
        )
        store.insert_many(({"task_id": n, "url": "docs/x.md"} for n in range(3, count + 1, 3)), "links")


@contextmanager
def serving(path: Path, kind: str) -> Iterator[str]:
    """The file behind a server in a process of its own: `http`, `sse` or `v1`; yields its address."""
    command = [sys.executable, "-c", SERVER, str(path), kind]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()


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


def listings(path: Path, size: int, runs: int) -> list[tuple[str, str, str, str, str]]:
    """A listing over HTTP and SSE against the bare POST."""
    rows = []
    with (
        serving(path, "http") as url,
        serving(path, "sse") as sse_url,
        httpx2.Client(timeout=60) as http,
        TinytaskClient(url) as client,
        TinytaskClient(sse_url) as sse,
    ):
        assert len(client.list_tasks()) == len(sse.list_tasks()) == len(bare_post(http, url)) == size
        bare, frame, sse_frame = side_by_side(
            runs, lambda: bare_post(http, url), client.list_tasks, sse.list_tasks
        )
    rows.append(row(f"{size:,} tasks, HTTP", "list_tasks, a frame", frame, "bare POST, json.loads", bare))
    rows.append(row(f"{size:,} tasks, SSE", "list_tasks, a frame", sse_frame, "bare POST, json.loads", bare))
    return rows


def details(path: Path, size: int) -> list[tuple[str, str, str, str, str]]:
    """A report with details against one get_task after another."""
    rows = []
    for kind in ("http", "sse", "v1"):
        with serving(path, kind) as url, TinytaskClient(url, timeout=120) as client:
            reporter = WorkloadReporter(client)
            ids = client.list_tasks()["id"].tolist()

            def one_by_one(client: TinytaskClient = client, ids: list[int] = ids) -> None:
                client.list_tasks()
                for task_id in ids:
                    client.get_task(task_id)

            report, slow = side_by_side(
                3 if size <= 1000 else 1,
                lambda reporter=reporter: reporter.collect_workload_data("all", progress=False),  # type: ignore[misc]
                one_by_one,
            )
        name = f"{size:,} tasks, {'v1 over SSE' if kind == 'v1' else 'v2 over ' + kind.upper()}"
        rows.append(row(name, "report with details", report, "get_task one by one", slow, faster=True))
    return rows


def from_file(path: Path, size: int, runs: int) -> list[tuple[str, str, str, str, str]]:
    """A report from the database file against a reading by hand."""
    with TinytaskClient(str(path)) as client:
        reporter = WorkloadReporter(client)
        report, hand = side_by_side(
            runs, lambda: reporter.collect_workload_data("all", progress=False), lambda: read_by_hand(path)
        )
    return [row(f"{size:,} tasks, file", "report with details", report, "read_sql by hand", hand)]


def first_times() -> list[tuple[str, str, str, str, str]]:
    """What a fresh interpreter pays: importing, `--help`, and the first answer."""

    def seconds(code: list[str]) -> float:
        [median] = side_by_side(
            5,
            lambda: subprocess.run([sys.executable, *code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL),
        )
        return median

    nothing = seconds(["-c", "pass"])
    rows = []
    for name, code in {
        "import calypso_nb": ["-c", "import calypso_nb"],
        "calypso-nb --help": ["-m", "calypso_nb", "--help"],
        "first answer (demo, list_tasks)": [
            "-c",
            "from calypso_nb import TinytaskClient; TinytaskClient('demo').list_tasks()",
        ],
    }.items():
        rows.append(
            (name, "", f"{(seconds(code) - nothing) * 1000:,.0f} ms", "", "beyond a bare interpreter")
        )
    return rows


def peak_memory(path: Path, size: int) -> tuple[str, str, str, str, str]:
    """The most memory that a fresh process has taken after one listing."""
    code = (
        "import re, sys\nfrom pathlib import Path\nfrom calypso_nb import TinytaskClient\n"
        # Not ru_maxrss, which a process inherits from the one that started it.
        "peak = lambda: re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]\n"
        "c = TinytaskClient(sys.argv[1])\nc.health_check()\n"
        "before = peak()\nc.list_tasks()\nprint(before, peak())"
    )
    with serving(path, "http") as url:
        command = [sys.executable, "-c", code, url]
        said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    before, after = (int(kib) / 1024 for kib in said.stdout.split())
    return (
        f"{size:,} tasks, peak memory",
        "list_tasks",
        f"{after:,.0f} MiB",
        f"{before:,.0f} MiB connected",
        "",
    )


def row(
    what: str, ours: str, our_seconds: float, other: str, other_seconds: float, *, faster: bool = False
) -> tuple[str, str, str, str, str]:
    """One line of the table; the ratio is ours to the other, or how many times faster."""
    ratio = other_seconds / our_seconds if faster else our_seconds / other_seconds
    return (
        what,
        ours,
        f"{our_seconds * 1000:,.0f} ms",
        f"{other}: {other_seconds * 1000:,.0f} ms",
        f"{ratio:.1f} x faster" if faster else f"{ratio:.2f} x",
    )


def main() -> None:
    """Print the table; `--sizes 100 1000` measures fewer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--runs", type=int, default=5)
    sizes, runs = (arguments := parser.parse_args()).sizes, arguments.runs
    table = Table("what", "ours", "median", "against", "ratio", title="calypso_nb, measured")
    with TemporaryDirectory() as folder:
        for size in sizes:
            path = Path(folder) / f"{size}.db"
            fill(path, size)
            for line in [*listings(path, size, runs), *details(path, size), *from_file(path, size, runs)]:
                table.add_row(*line)
        table.add_row(*peak_memory(path, size))
    for line in first_times():
        table.add_row(*line)
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.python_implementation()} {platform.python_version()}, "
        f"{os.cpu_count()} cores, {platform.machine()}"
    )


if __name__ == "__main__":
    main()
