"""How long it takes to find what needs attention, what happened, and which rules are broken."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calypso_nb.frames import tasks_frame
from calypso_nb.history.changes import SECOND, micros_of
from calypso_nb.history.store import HistoryStore
from calypso_nb.report import History, WorkloadData
from tests.bench_history import Line, ms, side_by_side, times, written
from tests.boards import NOW

if TYPE_CHECKING:
    from calypso_nb.frames import Records

TASKS, COMMENTS = 20_000, 20_000
SAID = ("done with a part", "BLOCKED by the key", "@supervisor what now?", "see the log")


def board(count: int) -> Records:
    """Tasks of 40 agents, every tenth of which waits for another."""
    drawn = random.Random(1)
    return [
        {
            "id": number,
            "title": f"Add part {number}",
            "description": "Done when it works",
            "status": drawn.choice(("idle", "idle", "working", "complete")),
            "assigned_to": drawn.choice((None, *(f"agent-{n}" for n in range(40)))),
            "priority": drawn.randint(0, 10),
            "queue_name": drawn.choice(("dev", "qa", "backlog")),
            "tags": ["api"],
            "blocked_by_task_id": drawn.randint(1, number) if number % 10 == 0 else None,
            "is_currently_blocked": number % 10 == 0,
            "created_at": (NOW - timedelta(hours=drawn.uniform(100, 900))).isoformat(),
            "updated_at": (NOW - timedelta(hours=drawn.uniform(0, 100))).isoformat(),
        }
        for number in range(1, count + 1)
    ]


def measure(folder: Path, runs: int) -> Iterator[Line]:
    """Of 20,000 tasks, and of 20,000 comments of a history."""
    tasks = tasks_frame(board(TASKS), NOW)
    data = WorkloadData(tasks, tasks, NOW, "in memory")
    of = f"{TASKS:,} tasks"
    attention, rows = side_by_side(runs, lambda: replace(data).attention, lambda: tasks.to_dict("records"))
    what = f"what needs attention, {of}, {len(data.attention):,} lines"
    yield Line("in memory", what, ms(attention), f"to_dict of the tasks: {ms(rows)}", times(attention / rows))
    [audit] = side_by_side(runs, lambda: replace(data).audit)
    yield Line("in memory", f"the audit, {of}", ms(audit))
    path = folder / "alarms.db"
    written(path, 0, 10_000, 9).close()
    history = commented(path)
    [gaps] = side_by_side(runs, lambda: History(path).habits())
    yield Line("history's file", "the agents' own gaps, 10,000 tasks, 80,000 changes", ms(gaps))
    since = history.now().generated_at - timedelta(days=1)
    [digest] = side_by_side(runs, lambda: history.digest(since))
    yield Line("history's file", f"a digest of {COMMENTS:,} comments", ms(digest), aim="≤ 1 s")
    history.close()


def commented(path: Path) -> History:
    """The history with comments of its last day."""
    history, drawn = History(path), random.Random(2)
    end = micros_of(history.now().generated_at)
    with HistoryStore(path, write=True) as store, store.transaction():
        for number in range(COMMENTS):
            comment: dict[str, Any] = {
                "id": number + 1,
                "task_id": drawn.randint(1, 10_000),
                "created_by": f"agent-{drawn.randint(1, 20)}",
                "content": f"{drawn.choice(SAID)} {number} " + "and so on " * drawn.randint(5, 60),
            }
            store.note(1, comment, end - drawn.randint(0, 80_000) * SECOND)
    return history
