"""A morning's work on a board, minute by minute, whose figures were worked out by hand in `test_flow`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from calypso_nb import History, Recorder
from calypso_nb.history.pushes import served
from tests.watched import MORNING, Board

# The recording begins an hour after the board, and ends 142 minutes later.
BEGIN = MORNING + timedelta(hours=1)
END = 142

WORK: list[tuple[int, str, dict[str, Any]]] = [
    # Before the recording: one is at work when it begins, one is finished.
    (-60, "create", {"title": "Old", "created_by": "lead", "assigned_to": "alice", "queue_name": "dev"}),
    (-50, "update", {"id": 1, "status": "working"}),
    (-45, "create", {"title": "Older", "created_by": "lead", "assigned_to": "bob", "queue_name": "dev"}),
    (-40, "update", {"id": 2, "status": "working"}),
    (-30, "update", {"id": 2, "status": "complete"}),
    # A parent, whose status is that of its two subtasks.
    (5, "create", {"title": "Feature", "created_by": "lead", "queue_name": "dev"}),
    (5, "create", {"title": "Api", "created_by": "lead", "parent_task_id": 3, "assigned_to": "alice",
                   "tags": ["api"], "priority": 5}),
    (10, "create", {"title": "Docs", "created_by": "lead", "parent_task_id": 3, "assigned_to": "bob",
                    "tags": ["docs", "api"]}),
    (15, "update", {"id": 4, "status": "working"}),
    (20, "create", {"title": "Bug", "created_by": "carol", "assigned_to": "alice", "queue_name": "dev",
                    "tags": ["bug"]}),
    (25, "update", {"id": 1, "status": "complete"}),
    # From dev to qa, sent back, and to qa again.
    (30, "update", {"id": 4, "status": "idle", "assigned_to": "carol", "queue_name": "qa"}),
    (35, "update", {"id": 5, "status": "working"}),
    (40, "update", {"id": 4, "status": "working"}),
    (45, "update", {"id": 4, "status": "idle", "assigned_to": "alice", "queue_name": "dev"}),
    (50, "archive", {"id": 6}),
    (55, "create", {"title": "Spike", "created_by": "lead"}),
    (60, "update", {"id": 4, "status": "working"}),
    (65, "update", {"id": 5, "status": "complete"}),
    (70, "update", {"id": 4, "status": "idle", "assigned_to": "carol", "queue_name": "qa"}),
    (75, "update", {"id": 4, "status": "working"}),
    # Reopened, and finished once more.
    (80, "update", {"id": 5, "status": "idle"}),
    (85, "update", {"id": 4, "status": "complete"}),
    (90, "update", {"id": 5, "status": "working"}),
    (95, "update", {"id": 5, "status": "complete"}),
    # Complete, and nobody has seen anybody at work on it.
    (100, "create", {"title": "Chore", "created_by": "bob", "assigned_to": "bob", "queue_name": "dev"}),
    (105, "update", {"id": 8, "status": "complete"}),
    (110, "create", {"title": "Hot", "created_by": "carol", "assigned_to": "carol", "queue_name": "qa"}),
    (112, "update", {"id": 9, "status": "working"}),
    (115, "update", {"id": 9, "status": "complete"}),
    # Reopened, and at work.
    (118, "update", {"id": 9, "status": "working"}),
    (120, "create", {"title": "Junk", "created_by": "alice", "assigned_to": "alice", "queue_name": "dev"}),
    (125, "update", {"id": 10, "status": "working"}),
    (130, "delete", {"id": 10}),
    (135, "update", {"id": 7, "status": "working", "assigned_to": "bob"}),
]  # fmt: skip


def minute(number: float) -> datetime:
    """Return the moment so many minutes after the recording began."""
    return BEGIN + timedelta(minutes=number)


@contextmanager
def recorded(path: Path, looks: list[int], *, pushed: bool) -> Iterator[History]:
    """Let the work be done and recorded, and yield its history.

    - looks: at which minutes all tasks are looked at, after what is done then; it ends with one
    - pushed: whether the board tells of each change
    """
    with Board() as board:
        _work(board, [one for one in WORK if one[0] < 0])
        board.time = BEGIN
        with Recorder(board, path, every=600, name="team") as recorder:
            if pushed:
                board.store.listeners.append(lambda changes: recorder.hear(served(changes)))
            deeds = [one for one in WORK if one[0] > 0]
            for look in [*looks, END]:
                _work(board, [one for one in deeds if one[0] <= look])
                deeds = [one for one in deeds if one[0] > look]
                board.time = minute(look)
                recorder.look()
            with closing(History(path)) as history:
                yield history


def _work(board: Board, deeds: list[tuple[int, str, dict[str, Any]]]) -> None:
    for at, what, arguments in deeds:
        board.time = minute(at)
        do: Callable[..., object] = getattr(board.store, f"{what}_task")
        do(**arguments)
