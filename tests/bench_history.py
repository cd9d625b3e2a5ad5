"""How much a recorder takes, and how fast a history is read: a part of `make bench`.

A day is 1,000 tasks, 3,000 changes by MCP's tools, and a look each 30 s. What a look and a push take is measured
on a real server in a process of its own; what a day adds to the file, on a simulated clock, over the second of
two days, as some of the first is only kept for a day. Seconds are those of the processor, of all threads.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import orjson
import pandas as pd

from calypso_nb import History, TinytaskClient
from calypso_nb.embedded import TinytaskStore
from calypso_nb.embedded.server import respond_to
from calypso_nb.history.changes import SECOND, Record, moment_of
from calypso_nb.history.journal import Journal
from calypso_nb.history.pushes import Pushed, pushed
from calypso_nb.history.recorder import Recorder
from calypso_nb.history.store import HistoryStore
from tests.bench import ROOT, Line, fill, ms, serving, side_by_side, times

TASKS, CHANGES, EVERY = 1_000, 3_000, 30
LOOKS = 86_400 // EVERY
START = int(time.time()) * SECOND
AGENTS = tuple(f"agent-{number}" for number in range(12))
QUEUES = ("dev", "review", "qa")


class Board:
    """A board of tasks on a simulated clock, on which agents work, and what its server pushes of that."""

    def __init__(self, path: Path, tasks: int) -> None:
        self.random, self.time = Random(1), START
        fill(path, tasks)
        self.store = TinytaskStore(path, now=lambda: moment_of(self.time))
        self.said: list[Pushed] = []
        self.tasks = self.store.list_tasks(include_archived=True)

    def act(self, time: int) -> None:
        """Let an agent call one tool at a time."""
        self.time = time
        tool, arguments = self._deed()
        respond_to(self.store, tool, arguments, self._say)

    def _say(self, event: Record) -> None:
        known = pushed(event)
        assert known is not None
        self.said.append(known)

    def _deed(self) -> tuple[str, dict[str, Any]]:
        deed, agent = self.random.random(), self.random.choice(AGENTS)
        task = self.random.choice([task for task in self.tasks if task["archived_at"] is None])["id"]
        if deed < 0.1:
            text = "What is wanted, why, and how to see that it is done. " * 3
            fields = {"title": f"Task {self.time // SECOND}", "description": text, "created_by": "lead"}
            return "create_task", fields | {"assigned_to": agent, "queue_name": self.random.choice(QUEUES)}
        if deed < 0.2:
            return "archive_task", {"id": task}
        if deed < 0.4:
            return "update_task", {"id": task, "assigned_to": agent, "priority": self.random.randint(0, 9)}
        if deed < 0.5:
            return "move_task_to_queue", {"task_id": task, "new_queue_name": self.random.choice(QUEUES)}
        return "update_task", {"id": task, "status": self.random.choice(("idle", "working", "complete"))}


def simulated_day(folder: Path, *, pushes: bool, looks: int = LOOKS, changes: int = CHANGES) -> tuple[int, float]:
    """The bytes that the second of two simulated days adds to the file, and the seconds that the journal takes for it."""
    board = Board(folder / f"board-{pushes}.db", TASKS)
    path = folder / f"history-{pushes}.db"
    with HistoryStore(path, write=True) as store:
        journal = Journal(store, "http://simulated", "listing", EVERY * SECOND)
        journal.see(board.tasks, START - SECOND, START)
        for day in range(2):
            before, seconds = size_of(store), 0.0
            begin = START + day * 86_400 * SECOND
            due = sorted(begin + board.random.randrange(86_400 * SECOND) for _ in range(changes))
            regular = range(begin, begin + 86_400 * SECOND, (600 if pushes else 86_400 // looks) * SECOND)
            settled = [at + SECOND // 2 for at in due] if pushes else []
            for at in sorted({*regular, *settled}):
                said = len(board.said)
                acted = False
                while due and due[0] <= at:
                    board.act(due.pop(0))
                    acted = True
                if acted:
                    board.tasks = board.store.list_tasks(include_archived=True)
                start = time.process_time()
                if pushes:
                    for event in board.said[said:]:
                        journal.hear([event])
                journal.see(board.tasks, at, at + SECOND // 100, pushed=pushes)
                seconds += time.process_time() - start
            grown = size_of(store) - before
    return grown, seconds


def size_of(store: HistoryStore) -> int:
    """The bytes of a history, once all of it is in its file."""
    store.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    return store.path.stat().st_size
