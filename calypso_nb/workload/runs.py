"""The runs of tasks, by what schedulers write on them: what runs, and what came of what ran."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from calypso_nb.client.runs import run_notes
from calypso_nb.frames import TIME, Column, records_to_frame
from calypso_nb.run_marks import LATE, LEASE, MAX_SECONDS, RECORD, USAGE, WHAT, read, usage_of

if TYPE_CHECKING:
    from calypso_nb.client import TinytaskClient

RUN_COLUMNS: dict[str, Column] = {
    "id": Column("int64", "", "the task's number; one row per run, the one that began last first"),
    "run": Column("str", "", "the run's own number, which names its folder"),
    "agent": Column("str", "", "who it is for; NA if unknown"),
    "recipe": Column("str", "", "the recipe's name; NA if unknown"),
    "host": Column("str", "", "the machine that has it"),
    "outcome": Column(
        "str",
        "",
        "running, silent (its lease is over), succeeded, failed, over time, stopped, cancelled or lost; of a "
        "run that was not begun, claimed (somebody else has the task) or not started",
    ),
    "why": Column("str", "", "the reason for the outcome, in words"),
    "attempt": Column("Int64", "", "which run of its task it is, of those that the task tells of"),
    "started_at": Column(TIME, "UTC", "when it took the task; NA if unknown"),
    "last_sign_at": Column(TIME, "UTC", "its last sign of life, or when its result was told"),
    "seconds": Column("float64", "s", "how long it ran, or has run so far; NA if unknown"),
    "input_tokens": Column("Int64", "", "what the recipe said that it used; NA if it did not say so"),
    "output_tokens": Column("Int64", "", "as input_tokens"),
    "cost_usd": Column("float64", "USD", "as input_tokens"),
    "folder": Column("str", "", "where its files are, on its host; NA if unknown"),
}

RUN_TOTAL_COLUMNS: dict[str, Column] = {
    "agent": Column("str", "", "who the runs are for; one row per agent and recipe, most runs first"),
    "recipe": Column("str", "", "the recipe's name"),
    "runs": Column("int64", "runs", "how many there are in all"),
    "going_on": Column("int64", "runs", "of these, how many go on"),
    "succeeded": Column("int64", "runs", "of these, how many succeeded"),
    "failed": Column("int64", "runs", "of these, how many failed, took too long or were lost"),
    "success_rate": Column("float64", "", "succeeded of those that succeeded or failed; NA if none has"),
    "median_minutes": Column("float64", "min", "of the runs that succeeded; NA if none has"),
    "tasks": Column("int64", "tasks", "how many tasks they are of"),
    "tries": Column("float64", "", "runs per task"),
    "input_tokens": Column("Int64", "", "the sum of those that said it; NA if none did"),
    "output_tokens": Column("Int64", "", "as input_tokens"),
    "cost_usd": Column("float64", "USD", "as input_tokens"),
    "told_input_tokens": Column("int64", "runs", "how many said it"),
    "told_output_tokens": Column("int64", "runs", "as told_input_tokens"),
    "told_cost_usd": Column("int64", "runs", "as told_input_tokens"),
}

GOING_ON = ("running", "silent")
FAILED = ("failed", "over time", "lost")
_FILES = "Its files: "


def runs_in(comments: pd.DataFrame, now: datetime) -> pd.DataFrame:
    """Return the runs that comments tell of, a frame with the columns of `RUN_COLUMNS`.

    - comments: a frame of comments, such as the first that `client.read_notes` returns
    - now: the time by the server's clock

    Example: `runs_in(client.read_notes()[0], datetime.now(UTC))`
    """
    rows = []
    attempts: dict[int, int] = {}
    for comment in run_notes(comments):
        row = _running(comment, now) or _ended(comment)
        if row is not None:
            attempts[row["id"]] = row["attempt"] = attempts.get(row["id"], 0) + 1
            rows.append(row)
    frame = records_to_frame(rows[::-1], RUN_COLUMNS)
    began = frame["started_at"].fillna(frame["last_sign_at"])
    return frame.loc[began.sort_values(ascending=False, kind="stable").index].reset_index(drop=True)


def read_runs(
    client: TinytaskClient,
    since: Callable[[datetime], datetime],
    progress: bool | Callable[[int, int], None] = True,
) -> pd.DataFrame:
    """Read the runs of a server's tasks, as `runs_in` returns them, a request per task that was edited since.

    - since: returns from when on, by the server's clock now
    - progress: as `client.read_notes` takes it

    Example: `read_runs(client, lambda now: now - timedelta(days=7))`
    """
    tasks, now = client.snapshot(None)
    begin = pd.Timestamp(since(now))
    edited = tasks[(tasks["updated_at"] >= begin) | (tasks["status"] == "working")]
    comments, _, _ = client.read_notes(edited["id"].tolist(), progress)
    runs = runs_in(comments, now)
    return runs[~(runs["last_sign_at"] < begin)].reset_index(drop=True)


def run_totals(runs: pd.DataFrame) -> pd.DataFrame:
    """Return how runs went per agent and recipe, a frame with the columns of `RUN_TOTAL_COLUMNS`.

    - runs: a frame with the columns of `RUN_COLUMNS`

    Example: `run_totals(reporter.runs())[["agent", "success_rate"]]`
    """
    rows = []
    for (agent, recipe), group in runs.groupby(["agent", "recipe"], dropna=False):
        outcome = group["outcome"]
        succeeded, failed = int(outcome.eq("succeeded").sum()), int(outcome.isin(FAILED).sum())
        ended = succeeded + failed
        rows.append(
            {
                "agent": agent,
                "recipe": recipe,
                "runs": len(group),
                "going_on": outcome.isin(GOING_ON).sum(),
                "succeeded": succeeded,
                "failed": failed,
                "success_rate": succeeded / ended if ended else None,
                "median_minutes": group.loc[outcome == "succeeded", "seconds"].median() / 60,
                "tasks": group["id"].nunique(),
                "tries": len(group) / group["id"].nunique(),
                **{name: group[name].sum(min_count=1) for name in USAGE},
                **{f"told_{name}": group[name].notna().sum() for name in USAGE},
            }
        )
    totals = records_to_frame(rows, RUN_TOTAL_COLUMNS)
    return totals.sort_values(["runs", "agent", "recipe"], ascending=[False, True, True], ignore_index=True)


def _running(comment: dict[Any, Any], now: datetime) -> dict[str, Any] | None:
    lease = LEASE.fullmatch(comment["content"])
    if lease is None or lease["does"] != "runs" or int(lease["seconds"]) > MAX_SECONDS:
        return None
    signed = comment["updated_at"] or comment["created_at"]
    over = signed is None or now > signed + timedelta(seconds=int(lease["seconds"]))
    what = WHAT.fullmatch(lease["what"])
    return {
        "id": comment["task_id"],
        "run": lease["run"],
        "agent": what and read(what["agent"]),
        "recipe": what and read(what["recipe"]),
        "host": lease["host"],
        "outcome": "silent" if over else "running",
        "why": "it has given no sign for longer than its lease" if over else f"sign {lease['sign']}",
        "started_at": comment["created_at"],
        "last_sign_at": signed,
        "seconds": comment["created_at"] and max((now - comment["created_at"]).total_seconds(), 0.0),
        "folder": what and what["folder"] and read(what["folder"]),
    }


def _ended(comment: dict[Any, Any]) -> dict[str, Any] | None:
    record = RECORD.match(comment["content"])
    if record is None:
        return None
    usage: dict[str, float] = {}
    with suppress(ValueError, RecursionError):
        usage = usage_of(json.loads(record["usage"] or "{}"))
    end = f" on {record['host']}."
    lines = comment["content"].split("\n")
    files = [line for line in lines if line.startswith(_FILES) and line.endswith(end)]
    return {
        "id": comment["task_id"],
        "run": record["run"],
        "agent": read(record["agent"]),
        "recipe": read(record["recipe"]),
        "host": record["host"],
        "outcome": record["outcome"],
        "why": record["why"],
        "started_at": None if LATE in lines else comment["created_at"],
        "last_sign_at": comment["updated_at"] or comment["created_at"],
        "seconds": None if record["seconds"] == "?" else float(record["seconds"]),
        "folder": files[0].removeprefix(_FILES).removesuffix(end) if files else None,
        **{name: usage.get(name) for name in USAGE},
    }
