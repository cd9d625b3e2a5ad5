"""The sample's past: what it holds, so that every figure of a history has something to show."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from calypso_nb import History
from calypso_nb.embedded.team import Team
from calypso_nb.errors import UsageError
from calypso_nb.frames import TASK_COLUMNS, tasks_frame
from calypso_nb.history.changes import micros_of
from calypso_nb.history.sample import sample_past
from calypso_nb.history.store import HistoryStore
from tests.conftest import NOW

pytestmark = pytest.mark.usefixtures("clean_environment")

BEGIN = NOW - timedelta(days=60)


def made(path: Path, seed: int) -> pd.DataFrame:
    """Return what happened in a short past of its own."""
    with HistoryStore(path, write=True) as store:
        sample_past(store, seed=seed, now=NOW, days=12)
    with closing(History(path)) as history:
        return history.events


def test_a_seed_and_a_moment_make_one_past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure of a demo is the same tomorrow; and nothing waits for a real clock while it is made."""
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"sleeps for {seconds} s"))
    first, second, other = (made(tmp_path / f"{number}.db", number // 2) for number in range(3))
    assert_frame_equal(first, second)
    assert not first.equals(other)


def test_what_happened_leads_to_what_the_server_lists(past: History) -> None:
    """All that was looked at and told adds up, outages included."""
    team = Team(0, micros_of(BEGIN))
    team.run(micros_of(NOW))
    listed = team._store.list_tasks(include_archived=True)
    assert {task["id"]: task for task in listed} == team.board
    told_by_comments = [name for name in TASK_COLUMNS if name.startswith("last_")]
    recorded, expected = (
        tasks.drop(columns=told_by_comments) for tasks in (past.tasks_at(NOW), tasks_frame(listed, NOW))
    )
    assert_frame_equal(recorded, expected)
    assert past.now().generated_at == NOW
    assert past.now().summary.total_open_tasks > 100


def test_it_was_looked_at_first_and_then_told_but_for_two_outages(past: History) -> None:
    """Bounds are as wide as the looks at first, exact later on, and the gaps say why."""
    coverage = past.coverage
    gaps = coverage[~coverage["recorded"]]
    assert gaps["hours"].round(6).tolist() == [14, 3]
    assert gaps["why"].tolist() == ["demo: no connection within 30 s", "nothing recorded"]
    assert (coverage["from"].iloc[0], coverage["to"].iloc[-1]) == (BEGIN, NOW)
    assert coverage["source"].iloc[0] == "listing"
    assert coverage["hours"].iloc[0] == 240
    told = past.events.query("source == 'pushed'")
    assert told["exact"].all()
    assert len(told) > 3 * (~past.events["exact"]).sum() > 0


def test_one_agent_was_silent_for_a_week(past: History) -> None:
    """It does nothing, and nothing of its tasks moves, though it has some."""
    week = BEGIN + timedelta(days=30), BEGIN + timedelta(days=37)
    mine = past.spells.query("agent == 'backend-dev'")
    assert not mine["from_not_after"].between(*week, inclusive="left").any()
    assert not mine["to_not_before"].between(*week, inclusive="left").any()
    assert len(mine[(mine["from_not_after"] < week[0]) & ~(mine["to_not_before"] < week[1])]) > 5
    by = past.events.query("by == 'backend-dev'")["not_after"]
    assert not by.between(*week, inclusive="left").any()
    assert (by < week[0]).any() and (by > week[1]).any()


def test_work_is_finished_nearly_every_day_and_waits_longest_for_qa(past: History) -> None:
    """So there is a throughput to forecast from, and a bottleneck to find."""
    finished = past.events.query("change == 'finished'").set_index("not_after")
    assert finished.resample("D").size().median() >= 5
    waits = past.spells.query("status == 'idle' and seen").groupby("queue")["hours_least"].mean()
    assert waits.idxmax() == "qa"
    moves = past.events.query("field == 'queue_name'")
    back = ((moves["before"] == "qa") & (moves["after"] == "dev")).sum()
    assert 0.1 < back / (moves["after"] == "qa").sum() < 0.25
    changes = set(past.events["change"])
    assert {"new", "started", "put back", "reassigned", "finished", "reopened", "archived", "gone"} <= changes
    assert (past.feed["what"] == "said").sum() > 50


def test_parents_blockers_tags_and_older_tasks_are_there(past: History) -> None:
    """Some parents are complete, one is large and half done; three open tasks wait in a chain."""
    tasks = past.tasks_at(NOW).set_index("id")
    leaves = tasks.groupby("parent_task_id")["status"].agg(
        finished=lambda status: (status == "complete").sum(), open=lambda status: (status != "complete").sum()
    )
    assert len(leaves) == 7
    assert (leaves["open"] == 0).sum() >= 3
    assert ((leaves["finished"] >= 25) & leaves["open"].between(8, 15)).any()
    waiting = tasks[(tasks["status"] != "complete") & tasks["archived_at"].isna()][
        "blocked_by_task_id"
    ].dropna()
    assert waiting.isin(waiting.index).any()
    assert 0.2 < tasks["tags"].map(lambda tags: "billing" in tags).mean() < 0.3
    assert (tasks["created_at"] < BEGIN).sum() > 30


def test_demo_is_the_samples_past_up_to_now() -> None:
    """Without a server and a file, which is asked for by ./demo."""
    with closing(History("demo")) as history:
        assert history.server == "demo"
        assert repr(history) == "<History of demo in demo>"
        assert len(history.at("3 days ago").tasks)
        assert len(history.spells) > len(history.now().tasks) > 400
    with pytest.raises(UsageError, match="no history at demo"):
        History("./demo")
