"""Records what it does itself, and is killed again and again: `python -m tests.killed FOLDER KILLS`.

A process without threads, whose children import nothing. Each goes on where the last one was killed,
writes to a pipe what was confirmed to it, and is killed by its parent at a random moment.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import closing
from pathlib import Path
from random import Random

from calypso_nb.embedded import TinytaskStore
from calypso_nb.embedded.database import Change
from calypso_nb.history.changes import Record, record_of
from calypso_nb.history.journal import Journal
from calypso_nb.history.pushes import served
from calypso_nb.history.store import HistoryStore

NAME = "http://killed"
EVERY = 30_000_000


def now() -> int:
    return time.time_ns() // 1000


def look(journal: Journal, store: TinytaskStore) -> dict[int, Record]:
    """Write down all tasks of a store."""
    began = now()
    tasks = store.list_tasks(include_archived=True)
    journal.see(tasks, began, now() + 1)
    return {task["id"]: record_of(task) for task in tasks}


def live(folder: Path, confirmed: int) -> None:
    """Change tasks and write down each change, for ever; say which were confirmed, each in one line."""
    with HistoryStore(folder / "history.db", write=True) as file, TinytaskStore(folder / "tasks.db") as store:
        journal = Journal(file, NAME, "listing", EVERY)
        look(journal, store)

        def write_down(changes: list[Change]) -> None:
            events = list(served(changes))
            journal.hear(events)
            os.write(confirmed, "".join(f"{event.key.hex()}\n" for event in events).encode())
            journal.tell()

        store.listeners.append(write_down)
        number = store.create_task("Design", "lead", assigned_to="alice")["id"]
        for round in range(1_000_000):
            store.update_task(number, status=("working", "idle")[round % 2], priority=round)
            store.add_comment(number, f"round {round}", "alice")
            if round % 5 == 0:
                look(journal, store)


def kill(folder: Path, random: Random) -> set[str]:
    """Let a child live for a moment, kill it, and return what was confirmed to it."""
    out, confirmed = os.pipe()
    child = os.fork()
    if not child:
        os.close(out)
        live(folder, confirmed)
    os.close(confirmed)
    lines = b""
    with closing(os.fdopen(out, "rb", buffering=0)) as pipe:
        wanted = random.randint(0, 4)
        while lines.count(b"\n") < wanted:
            lines += pipe.read(4096) or b""
        end = time.perf_counter() + random.uniform(0, 0.008)
        while time.perf_counter() < end:
            pass
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while more := pipe.read(4096):
            lines += more
    # What it had begun to write to the pipe it had been told.
    return {line for line in lines.decode().split("\n") if line}


def check(folder: Path, confirmed: set[str]) -> None:
    """Open the file and find in it all that was confirmed, and the tasks as replay has them."""
    with HistoryStore(folder / "history.db", write=True) as file:
        assert file.scalar("PRAGMA quick_check") == "ok"
        assert confirmed <= {key.hex() for (key,) in file.rows("SELECT key FROM inbox")}
        servers = [server for (server,) in file.rows("SELECT id FROM server")]
        assert len(servers) <= 1
        for server in servers:
            tasks = file.rows("SELECT DISTINCT task_id FROM event WHERE server = ?", server)
            replay = {task: file.record_before(server, task, 2**62) for (task,) in tasks}
            assert {task: record for task, record in replay.items() if record} == file.state(server)


def main(folder: Path, kills: int) -> None:
    """Kill so many children, and look at the file after each."""
    random = Random(kills)
    confirmed: set[str] = set()
    for _ in range(kills):
        confirmed |= kill(folder, random)
        check(folder, confirmed)
    with HistoryStore(folder / "history.db", write=True) as file, TinytaskStore(folder / "tasks.db") as store:
        journal = Journal(file, NAME, "listing", EVERY)
        assert look(journal, store) == journal.state
    check(folder, confirmed)
    print(len(confirmed))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
