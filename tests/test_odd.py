"""Odd data and odd settings: the report goes on, nothing is made up, and no secret is shown."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from calypso_nb import TinytaskClient, WorkloadData, WorkloadReporter
from calypso_nb.cli.conditions import condition_that_holds, parse_condition
from calypso_nb.embedded import TinytaskStore, create_server
from calypso_nb.frames import tasks_frame
from calypso_nb.history.difference import difference
from calypso_nb.settings import load_settings
from tests.conftest import NOW, SECONDS


def report(store: TinytaskStore, *statuses: str, details: bool = True) -> WorkloadData:
    """What is on the store's board now."""
    with TinytaskClient(create_server(store)) as client:
        return WorkloadReporter(client).collect_workload_data(statuses or None, details=details, now=NOW)


def test_an_odd_priority_does_not_end_the_report(store: TinytaskStore) -> None:
    """What no whole number holds, a fraction too, is NA, and a warning names it."""
    rows = [
        {"id": n, "title": "t", "status": "idle", "priority": p} for n, p in enumerate([2.5, 1e25, 7, None])
    ]
    with pytest.warns(UserWarning, match=r"priority: #0 has 2\.5, #1 has 1e\+25: not a whole number, so NA"):
        priorities = tasks_frame(rows, NOW)["priority"]
    assert priorities.isna().tolist() == [True, True, False, True]
    assert priorities[2] == 7


def test_a_task_of_an_agent_without_a_name_is_unassigned() -> None:
    """Some servers keep an empty text for nobody, and for no queue: neither is in a table of its own."""
    rows = [{"id": 1, "title": "t", "status": "idle", "assigned_to": "", "queue_name": ""}]
    data = WorkloadData(tasks_frame(rows, NOW), tasks_frame(rows, NOW), NOW, "http://host:3000")
    assert data.summary.total_unassigned == 1 and data.agents.empty
    assert data.queues["queue"].isna().all()


def test_markdown_without_rows_says_how_many_there_are(sample_store: TinytaskStore) -> None:
    """`most=0` leaves the numbers, and of each table what it leaves out."""
    data = report(sample_store)
    told = data.to_markdown(most=0)
    assert f"### Open tasks\n\n… and {len(data.tasks):,} more." in told and "| --- |" not in told


def test_one_task_has_the_priority_that_its_server_has(store: TinytaskStore) -> None:
    """A fraction is no whole number, and is not made one."""
    store.insert_many([{"title": "t", "priority": 4.99}, {"title": "t", "priority": 4.0}])
    with TinytaskClient(create_server(store)) as client:
        assert client.get_task(1).priority == 4.99
        assert repr(client.get_task(2).priority) == "4"


@pytest.mark.parametrize("token", ["sekret\nx", "sekret ", "sékret"])
def test_a_token_that_cannot_be_sent_is_a_settings_error_that_hides_it(
    token: str, clean_environment: Path
) -> None:
    """HTTP would refuse it, and print it."""
    with pytest.raises(ValueError, match="header Authorization") as caught:
        load_settings(token=token)
    assert "kret" not in str(caught.value)


def test_a_password_with_a_slash_is_refused_and_hidden(clean_environment: Path) -> None:
    """The URL cannot be taken apart rightly, so nothing of it is shown."""
    with pytest.raises(ValueError) as caught:
        TinytaskClient("http://me:12/secret@host:3")
    assert "secret" not in str(caught.value)


def test_counts_that_were_not_read_are_no_edits(sample_store: TinytaskStore) -> None:
    """With details and without, the same board does not differ in what a reader is told."""
    assert difference(report(sample_store), report(sample_store, details=False)).changes.empty


def test_a_task_that_becomes_known_as_free_is_not_told_as_unblocked() -> None:
    """From unknown to "not blocked" nothing has happened."""
    row = {"id": 1, "title": "t", "status": "idle", "priority": 0}
    before, after = (
        WorkloadData(tasks, tasks, NOW, "http://host:3000")
        for tasks in (tasks_frame([row | more], NOW) for more in ({}, {"is_currently_blocked": False}))
    )
    assert difference(before, after).changes.empty


def test_a_condition_is_decided_by_what_is_known() -> None:
    """An unknown number is an error only where the answer hangs on it."""
    rows = [{"id": n, "title": "t", "status": "idle", "priority": 0} for n in range(12)]
    tasks = tasks_frame(rows, NOW)
    old = WorkloadData(tasks, tasks, NOW, "http://host:3000")
    assert condition_that_holds(parse_condition("blocked > 0 or idle > 10"), old) == (
        "blocked > 0 or idle > 10 (idle is 12, blocked is unknown)"
    )
    assert condition_that_holds(parse_condition("blocked > 0 and idle > 1000"), old) is None
    with pytest.raises(ValueError, match="'blocked' is unavailable"):
        condition_that_holds(parse_condition("blocked > 0"), old)


@pytest.mark.parametrize("transport", ["http", "sse"])
@pytest.mark.slow
def test_serve_is_a_tinytask_for_other_clients(transport: str, tmp_path: Path) -> None:
    """`calypso-nb serve --demo` says where it is, answers, keeps its file, and ends with an interrupt."""
    command = [sys.executable, "-m", "calypso_nb", "serve", "--port", "0", "--demo"]
    command += ["--db", str(tmp_path / "tasks.db"), "--transport", transport]
    root = Path(__file__).parent.parent
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=root, env=dict(os.environ)
    ) as serving:
        assert serving.stdout is not None
        said = re.fullmatch(r"TinyTask at (http://127\.0\.0\.1:\d+)\n", serving.stdout.readline())
        assert said
        with TinytaskClient(said[1]) as client:
            assert client.health_check()
            created = client.create_task("Kept")
        serving.send_signal(signal.SIGINT)
        serving.wait(SECONDS)
    with TinytaskClient(tmp_path / "tasks.db") as client:
        assert client.get_task(created.id).title == "Kept"
