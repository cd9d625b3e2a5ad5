"""Alarms on the command line: `report --new-since`, and conditions on reasons."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from calypso_nb import History
from calypso_nb.cli.baseline import new_since
from calypso_nb.cli.conditions import metrics
from calypso_nb.embedded import TinytaskStore, running_server
from tests.boards import task
from tests.standin import Kind, running_standin
from tests.test_attention import read, said
from tests.test_cli import environment, run  # noqa: F401

AGO = datetime.now(UTC) - timedelta(days=2)
WORKING = {"status": "working", "created_at": AGO, "updated_at": AGO}


@contextmanager
def board() -> Iterator[tuple[TinytaskStore, str]]:
    """A board with one task that is silent."""
    with TinytaskStore() as store, running_server(store) as url:
        store.insert_many([{"title": "Silent", "assigned_to": "alice", **WORKING}])
        yield store, url


@pytest.fixture
def own(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:  # noqa: F811
    """An environment with a folder of its own for marks."""
    return environment | {"CALYPSO_NB_STATE": str(tmp_path / "state")}


@pytest.mark.slow
def test_a_cron_job_hears_of_what_is_new_and_of_nothing_twice(own: dict[str, str], tmp_path: Path) -> None:
    """The first time keeps what there is; a second name has a memory of its own."""
    with board() as (store, url):
        asked = ("report", "--mcp-endpoint", url, "--new-since", "cron")
        assert [run(own, *asked).returncode for _ in range(2)] == [0, 0]
        store.create_task("\x1b[31mUrgent", "lead", priority=9)
        store.insert_many([{"title": "Lost", **WORKING}])
        said = run(own, *asked)
        assert said.returncode == 3
        assert (
            "2 new since cron: #2 ␛[31mUrgent: urgent unassigned; #3 Lost: working unassigned" in said.stderr
        )
        assert run(own, *asked).returncode == 0
        store.add_comment(1, "going on", created_by="alice")
        assert run(own, *asked).returncode == 0  # What ends is no news.
        assert run(own, *asked[:-1], "other").returncode == 0
    assert sorted(place.name for place in (tmp_path / "state" / "baselines").iterdir()) == [
        "cron.json", "other.json",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ["../x", "", ".hidden", "a/b", "x" * 65])
def test_a_name_that_would_be_a_path_is_refused(own: dict[str, str], name: str, tmp_path: Path) -> None:
    """Nothing is written then."""
    said = run(own, "report", "--mcp-endpoint", "demo", "--new-since", name)
    assert said.returncode == 2 and "a name has up to 64 letters" in said.stderr
    assert not (tmp_path / "state").exists()


@pytest.mark.slow
def test_a_damaged_baseline_is_said_and_not_overwritten(own: dict[str, str], tmp_path: Path) -> None:
    """It may hold what somebody wants to keep."""
    place = tmp_path / "state" / "baselines" / "cron.json"
    place.parent.mkdir(parents=True)
    place.write_text("[1, 2")
    said = run(own, "report", "--mcp-endpoint", "demo", "--new-since", "cron")
    assert said.returncode == 2 and "cron.json is not a baseline" in said.stderr
    assert place.read_text() == "[1, 2"


@pytest.mark.slow
def test_a_condition_on_a_question_reads_all_comments(own: dict[str, str]) -> None:
    """Also in the console, which else reads those of tasks in progress; without any it says so."""
    with board() as (store, url):
        store.create_task("Choose", "lead", assigned_to="bob")
        store.add_comment(2, "@supervisor: which one?", created_by="bob")
        asked = ("report", "--mcp-endpoint", url, "--fail-if", "waiting_on_human > 0")
        said = run(own, *asked)
        assert said.returncode == 3 and "waiting_on_human is 1" in said.stderr
        said = run(own, *asked, "--no-details")
        assert said.returncode == 2 and "comments of some tasks were not read" in said.stderr


def test_only_what_is_new_is_told_whatever_was_read_or_narrowed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Comments that were not read in time, another filter, and agents that are a team no longer."""
    monkeypatch.setenv("CALYPSO_NB_STATE", str(tmp_path))
    asked = read([task(1), task(2)], [said(1, "@supervisor: which?", 1, "alice")])
    unread = [name for name in asked.tasks if name.startswith("last_") or name == "comment_count"]
    late = asked.all_tasks.assign(
        **{name: asked.all_tasks[name].mask(asked.all_tasks["id"] == 1) for name in unread}
    )
    for data in (asked, replace(asked, tasks=late, all_tasks=late), asked):
        assert new_since("late", data) is None
    for data in (asked, asked.select(agent_filter=[None]), asked, asked.select("idle"), asked):
        assert new_since("narrowed", data) is None
    crowd = [
        task(10 * i + n, assigned_to=agent, status="working")
        for i, agent in enumerate("abcd")
        for n in (1, 2)
    ]
    for tasks, said_new in ((crowd, False), (crowd[:6], False), (crowd, True)):
        assert bool(new_since("crowd", read(tasks))) == said_new


def test_a_past_without_all_comments_and_signs_decides_nothing_about_them() -> None:
    """A run that nobody read of is unknown, not 0."""
    with closing(History("demo")) as history:
        assert metrics(history.now())["run_lost"] is None


@pytest.mark.slow
@pytest.mark.node("tests/standin")
@pytest.mark.parametrize("kind", ["http", "sse", "v1"])
def test_a_sign_of_life_counts_on_a_foreign_server_too(
    own: dict[str, str], kind: Kind, tmp_path: Path
) -> None:
    """By what the console reads: on the Node stand-in, whoever has commented is not silent."""
    place = tmp_path / "tinytask.db"
    with TinytaskStore(place) as store:
        store.insert_many({"title": name, "assigned_to": name, **WORKING} for name in ("quiet", "busy"))
        store.add_comment(2, "half of it is done", created_by="busy")
    with running_standin(kind, place) as standin:
        said = run(own, "report", "--mcp-endpoint", standin.url, "--fail-if", "silent > 0")
    assert said.returncode == 3 and "silent is 1" in said.stderr
    assert "in progress, no sign for 2.0 d (limit 24.0 h)" in " ".join(said.stdout.split())
