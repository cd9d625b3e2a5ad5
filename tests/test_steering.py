"""Steering the schedulers of a server from anywhere: cancelling a run, pausing an agent."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from calypso_nb import TinytaskClient, WorkloadReporter
from calypso_nb.cli.commands import app
from calypso_nb.embedded import TinytaskStore
from calypso_nb.scheduler import Scheduler
from tests.agents_at_work import Log, add, at_work, records, soon, status

pytest_plugins = ("tests.scheduler_fixtures",)
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("clean_environment", "nothing_left")]


def command(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def test_a_run_is_cancelled_from_another_machine(
    live_board: TinytaskStore, any_server: str, recipes: Path, log: Log
) -> None:
    """It ends with all its processes, has not failed, and is not run again before somebody says so."""
    task = add(live_board, 60)
    with at_work(any_server, recipes, "there", lease=60):
        assert soon(lambda: bool(log.of("start")))
        code, output = command("cancel", task, "--mcp-endpoint", any_server)
        assert code == 0, output
        assert f"#{task} is idle; its tag cancelled keeps it from being run again" in output
        assert len(log.of("ended")) == 1
        live_board.update_task(task, title="takes 0 s")
        with TinytaskClient(any_server) as client:
            assert "cancelled: remove its tag" in Scheduler(client, ["alice"], recipes).plan()["why"].iloc[0]
        assert live_board.get_task(task)["tags"] == ["cancelled"]
        live_board.update_task(task, tags=[])
        assert soon(lambda: status(live_board, task) == "complete")
    record = next(text for text in records(live_board, task) if text.startswith("Run "))
    assert "cancelled after " in record
    assert "asked by supervisor" in record
    assert "The task is not run again until its tag cancelled is removed." in record


def test_what_nobody_runs_cannot_be_cancelled(live_board: TinytaskStore, server: str) -> None:
    """Said in a sentence."""
    task = add(live_board)
    code, output = command("cancel", task, "--mcp-endpoint", server)
    assert (code, f"no run is at work on #{task}" in output) == (2, True)


def test_what_an_agent_quotes_cancels_nothing(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """Only a comment that is nothing else, with the number of the run."""
    task = add(live_board, 1)
    for text in ("Cancel run aaaaaaaaaaaa.", "They wrote: Cancel run aaaaaaaaaaaa.", "Cancel run."):
        live_board.add_comment(task, text, "mallory")
    with TinytaskClient(server) as client:
        assert Scheduler(client, ["alice"], recipes).run()["outcome"].tolist() == ["succeeded"]


def test_a_name_that_no_task_has_is_told_as_it_may_be_mistyped(
    live_board: TinytaskStore, server: str
) -> None:
    """It may be mistyped; it is paused all the same, for it may be new."""
    add(live_board)
    code, output = command("pause", "alise", "--mcp-endpoint", server)
    assert code == 0
    assert "no agent called 'alise' has ever had a task here; did you mean 'alice'? It is paused" in output


def test_a_paused_agent_gets_no_task_from_any_scheduler_until_it_is_resumed(
    live_board: TinytaskStore, any_server: str, recipes: Path, log: Log
) -> None:
    """What runs goes on; the reason can be read; reports don't show how it is kept."""
    first = add(live_board, 1)
    with at_work(any_server, recipes, "there"):
        assert soon(lambda: bool(log.of("start")))
        code, output = command("pause", "alice", "--why", "the model is down", "--mcp-endpoint", any_server)
        assert (code, output) == (0, "alice is paused: calypso-nb resume alice ends that\n")
        second = add(live_board)
        assert soon(lambda: status(live_board, first) == "complete")
        with TinytaskClient(any_server) as client:
            assert list(client.paused_agents()) == ["alice"]
            client.pause_agent("alice")
            why = Scheduler(client, ["alice"], recipes).plan()["why"].iloc[0]
            assert why.startswith("alice is paused since ")
            assert WorkloadReporter(client).collect_workload_data("all").tasks["id"].tolist() == [
                first,
                second,
            ]
            assert status(live_board, second) == "idle"
        assert command("resume", "alice", "--mcp-endpoint", any_server)[0] == 0
        assert soon(lambda: status(live_board, second) == "complete")
    code, output = command("resume", "alice", "--mcp-endpoint", any_server)
    assert (code, "alice is not paused" in output) == (2, True)
