"""Boards for tests: rows of a real store as reports, and Hypothesis strategies for random ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
from hypothesis import strategies as st

from calypso_nb import WorkloadData
from calypso_nb.embedded import TinytaskStore
from calypso_nb.frames import tasks_frame

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)

FRAMES = (
    "tasks",
    "all_tasks",
    "agents",
    "priorities",
    "ages",
    "attention",
    "blocking",
    "queues",
    "tags",
    "tree",
    "flow",
)

HOSTILE = (
    "\x1b[31mred\x1b[0m\x07",
    "[bold red]markup[/] [link=file:///etc/passwd]x[/link]",
    "a | b `code` ``two`` \\| \\",
    "=1+1",
    "x;=HYPERLINK(1)",
    "@everyone #3 https://example.org",
    "</code><img src=x onerror=alert(1)>",
    "\u202egnirts\u2066 \u200b",
    "line\nbreak\r\ttab",
    "日本語のタスク 🚀👩‍💻",
    "'quoted",
    "nul\x00byte",
    '"; DROP',
)


def ago(hours: float) -> datetime:
    """The moment that many hours before `NOW`."""
    return NOW - timedelta(hours=hours)


def task(
    number: int, title: str = "", created: float = 2, updated: float | None = None, **fields: Any
) -> dict[str, Any]:
    """A row of the table of tasks, idle and alice's unless it says else; times are hours before `NOW`."""
    times = {"created_at": ago(created), "updated_at": ago(created if updated is None else updated)}
    if "archived" in fields:
        times["archived_at"] = ago(fields.pop("archived"))
    return {"id": number, "title": title or f"task {number}", "assigned_to": "alice", **times, **fields}


def board_of(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """What a listing of a TinyTask with these rows gives, archived tasks included."""
    with TinytaskStore(now=lambda: NOW) as store:
        store.insert_many(rows)
        return tasks_frame(store.list_tasks(include_archived=True), NOW)


def report_of(rows: Iterable[Mapping[str, Any]], now: datetime = NOW, **filters: Any) -> WorkloadData:
    """A report of these rows, narrowed by `status_filter` and `agent_filter`."""
    with TinytaskStore(now=lambda: NOW) as store:
        store.insert_many(rows)
        board = tasks_frame(store.list_tasks(include_archived=True), now)
    current = board[board["archived_at"].isna()].reset_index(drop=True)
    return WorkloadData(current, board, now, "http://localhost:3000").select(**filters)


def without_v2(board: pd.DataFrame) -> pd.DataFrame:
    """The same board from a v1 server, which knows no queues, subtasks and blocking."""
    lacking = ("parent_task_id", "queue_name", "blocked_by_task_id", "is_currently_blocked")
    return board.assign(
        **{name: pd.Series(pd.NA, index=board.index, dtype=board[name].dtype) for name in lacking}
    )


def texts() -> st.SearchStrategy[str]:
    """Any text that UTF-8 can carry, often one that means harm."""
    anything = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
    return st.sampled_from(HOSTILE) | anything


@st.composite
def rows(draw: st.DrawFn, most: int = 12) -> list[dict[str, Any]]:
    """The rows of a random board: any status, times, blocking and parents, in circles too, any text."""
    ids = draw(st.lists(st.integers(1, 40), unique=True, max_size=most))
    other = st.none() | st.sampled_from(ids) if ids else st.none()
    names = draw(st.lists(texts(), min_size=1, max_size=3))
    name = st.none() | st.sampled_from(names)
    return [_row(draw, number, other, name) for number in ids]


def _row(draw: st.DrawFn, number: int, other: Any, name: Any) -> dict[str, Any]:
    created = draw(st.integers(0, 2000))
    return {
        "id": number,
        "title": draw(texts()),
        "description": draw(st.none() | st.just("") | texts()),
        "status": draw(st.sampled_from(["idle", "working", "complete"])),
        "assigned_to": draw(name),
        "created_by": "lead",
        "priority": draw(st.integers(-1, 10)),
        "tags": draw(st.lists(texts(), max_size=3)),
        "queue_name": draw(name),
        "parent_task_id": draw(other),
        "blocked_by_task_id": draw(other),
        "created_at": ago(created),
        "updated_at": ago(draw(st.integers(0, created))),
        "archived_at": ago(draw(st.integers(0, 10))) if draw(st.integers(0, 4)) == 0 else None,
    }


def same_report(one: WorkloadData, two: WorkloadData) -> bool:
    """Whether two reports are the same in every field."""
    for name in (
        "tasks",
        "all_tasks",
        "agents",
        "priorities",
        "ages",
        "attention",
        "blocking",
        "queues",
        "tags",
        "tree",
    ):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name))
    fields: Sequence[str] = (
        "summary",
        "generated_at",
        "endpoint",
        "status_filter",
        "agent_filter",
        "details",
    )
    return all(getattr(one, name) == getattr(two, name) for name in fields)


@contextmanager
def family(second: str = "bob", urgency: int = 0) -> Iterator[TinytaskStore]:
    """A parent with two subtasks, of which the second waits for the first, and a task of nobody.

    Its clock goes on by a minute whenever it is looked at.
    """
    minutes = iter(range(10**6))
    with TinytaskStore(now=lambda: NOW + timedelta(minutes=next(minutes))) as store:
        store.create_task("Parent", "lead", assigned_to="lead")
        store.create_task("First", "lead", parent_task_id=1, assigned_to="alice", tags=["ui"], priority=3)
        store.create_task("Second", "lead", parent_task_id=1, blocked_by_task_id=2, assigned_to=second)
        store.create_task("Nobody's", "lead", priority=urgency)
        yield store
