"""`calypso-nb flow` and `calypso-nb forecast` as people run them, and what they are in Python."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from calypso_nb import History, Recorder, TinytaskClient, WorkloadReporter
from calypso_nb.embedded import TinytaskStore, create_server, running_server
from calypso_nb.flow.measures import FRAMES, flow_now
from calypso_nb.history.sample import sample_past
from calypso_nb.history.store import HistoryStore
from calypso_nb.text.console import flow_to_console, forecast_to_console
from calypso_nb.text.json import flow_to_json, forecast_to_json
from calypso_nb.text.markdown import flow_to_markdown, forecast_to_markdown
from calypso_nb.view.flow_charts import FLOW_CHARTS
from calypso_nb.view.payload import flow_payload
from tests.boards import report_of, rows, without_v2
from tests.standin import running_standin
from tests.test_cli import environment, run  # noqa: F401

HOSTILE = "\x1b[31mred\x1b[0m <script>alert(1)</script> | `x`"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A board with three tasks: one done, one at work, one that waits."""
    long_ago = datetime.now(UTC) - timedelta(days=3)
    with TinytaskStore() as board, running_server(board) as url:
        for status in ("complete", "working", "idle"):
            board.insert_many(
                [{"title": status, "status": status, "assigned_to": "alice", "queue_name": "dev",
                  "created_at": long_ago, "updated_at": long_ago + timedelta(days=1)}]
            )  # fmt: skip
        yield url


@pytest.mark.slow
def test_without_a_history_flow_says_what_the_tasks_tell_and_what_recording_adds(
    server: str,
    environment: dict[str, str],  # noqa: F811
) -> None:
    said = run(environment, "flow", "--mcp-endpoint", server)
    assert said.returncode == 0, said.stderr
    about = " ".join(said.stdout.split())
    assert "without a history: only creation is exact" in about
    assert "`calypso-nb record` would write down when each is started" in about
    assert "1 task is in progress" in said.stdout
    told = json.loads(run(environment, "flow", "--mcp-endpoint", server, "--format", "json").stdout)
    assert told["recorded"] is False
    [finished] = [task for task in told["tasks"] if task["status"] == "complete"]
    assert finished["cycle_time_least"] == 0
    assert finished["cycle_time_most"] == pytest.approx(24, abs=0.01)
    assert finished["lead_time_most"] == pytest.approx(24, abs=0.01)


@pytest.mark.slow
def test_a_forecast_without_a_history_says_how_to_get_one(
    server: str,
    environment: dict[str, str],  # noqa: F811
) -> None:
    said = run(environment, "forecast", "--mcp-endpoint", server)
    assert said.returncode == 2
    assert said.stdout == ""
    assert "no history at history.db: `calypso-nb record` makes one" in said.stderr


@pytest.mark.slow
def test_with_a_history_both_are_measured_from_it(
    server: str,
    environment: dict[str, str],  # noqa: F811
    tmp_path: Path,
) -> None:
    path = tmp_path / "history.db"
    with TinytaskClient(server) as client, Recorder(client, path) as recorder:
        client.update_task(3, status="working")
        recorder.look()
    said = run(environment, "flow", "--mcp-endpoint", server, "--history", str(path))
    assert "recorded from" in said.stdout
    assert "2 tasks are in progress" in said.stdout
    answer = run(environment, "forecast", "--mcp-endpoint", server, "--history", str(path))
    assert answer.returncode == 0, answer.stderr
    assert "all 2 open tasks: not enough history: 0 of 14 recorded buckets" in answer.stdout
    assert not re.search(r"\d{4}-\d\d-\d\d", answer.stdout)


@pytest.mark.slow
@pytest.mark.node("tests/standin")
def test_a_foreign_server_that_is_written_to_meanwhile_is_measured(tmp_path: Path) -> None:
    """A TinyTask in Node: started and finished by another client, and known within a look."""
    with (
        running_standin("http", tmp_path / "board.db") as standin,
        TinytaskClient(standin.url) as other,
        TinytaskClient(standin.url) as client,
        Recorder(client, tmp_path / "history.db", every=3600) as recorder,
    ):
        recorder.look()
        task = other.create_task("Measure me", assigned_to="alice", queue_name="dev").id
        recorder.look()
        other.update_task(task, status="working")
        recorder.look()
        other.complete_task(task)
        recorder.look()
        with closing(History(tmp_path / "history.db")) as history:
            flow = history.flow()
            [row] = flow.tasks.to_dict("records")
            now = datetime.now(UTC)
    assert row["status"] == "complete"
    assert row["started_not_before"] <= row["started_not_after"] <= row["finished_not_after"]
    assert row["finished_not_after"] <= now + timedelta(seconds=5)
    assert row["cycle_time_least"] <= row["cycle_time_most"] < 0.02
    assert flow.throughput["finished_least"].sum() == 1


def test_the_reporter_measures_what_its_server_tells_if_nothing_is_recorded(store: TinytaskStore) -> None:
    store.create_task("Only one", "lead", assigned_to="alice")
    with TinytaskClient(create_server(store)) as client:
        flow = WorkloadReporter(client).flow(agent="alice")
    assert not flow.journeys.recorded
    assert len(flow.tasks) == 1


def test_a_console_shows_each_sentence_and_fits(past: History) -> None:
    for width in (80, 160):
        text = flow_to_console(past.flow(), width)
        assert max(wcswidth(line) for line in text.splitlines()) <= width
        for heading in ("How long it takes", "In progress, the longest first", "Queues", "Agents"):
            assert heading in text
    assert "The bottleneck is" in " ".join(flow_to_console(past.flow()).split())


def test_json_has_every_frame_and_nothing_that_json_lacks(past: History) -> None:
    flow = past.flow(tag="billing")
    told = json.loads(flow_to_json(flow))
    for name in FRAMES:
        assert len(told[name]) == len(getattr(flow, name))
    assert told["expectation"]["tasks"] == flow.expectation.tasks
    assert told["by_agent"] and told["time_in_queue"]


def test_a_forecast_is_told_in_every_form(past: History) -> None:
    forecast = past.forecast(tag="billing", progress=False, trials=500)
    told = json.loads(forecast_to_json(forecast))
    assert told["answer"] == forecast.answer
    assert told["held"]["independent"] == forecast.independent
    assert [row["percent"] for row in told["forecast"]] == [50, 85, 95]
    assert len(told["record"]) == len(forecast.record)
    assert " ".join(forecast.answer.split()) in " ".join(forecast_to_console(forecast).split())
    assert f"`{forecast.answer}`" in forecast_to_markdown(forecast)
    number = past.forecast(by=datetime(2026, 12, 20, tzinfo=UTC), progress=False, trials=500)
    assert json.loads(forecast_to_json(number))["forecast"][1]["raw"] >= 0


def test_no_text_by_an_agent_is_obeyed(tmp_path: Path) -> None:
    with TinytaskStore() as board:
        made = datetime.now(UTC) - timedelta(days=2)
        board.insert_many(
            [{"title": HOSTILE, "status": "working", "assigned_to": HOSTILE, "queue_name": HOSTILE,
              "tags": [HOSTILE], "created_at": made, "updated_at": made}]
        )  # fmt: skip
        with TinytaskClient(create_server(board)) as client:
            flow = WorkloadReporter(client).flow()
    for text in (flow_to_console(flow), flow_to_markdown(flow), flow_to_json(flow)):
        assert "\x1b" not in text
    assert "<script>" not in re.sub(r"`+.*?`+", "", flow_to_markdown(flow))


def test_the_sample_has_a_past_of_its_own(tmp_path: Path) -> None:
    with HistoryStore(tmp_path / "h.db", write=True) as store:
        sample_past(store, days=20)
    with closing(History(tmp_path / "h.db")) as history:
        assert len(history.flow().throughput) in range(20, 91)


@pytest.mark.slow
@given(rows(), st.booleans())
def test_the_flow_of_any_board_is_told_in_every_form(board: list[dict[str, Any]], is_v1: bool) -> None:
    """Also of one in circles, of an older server, and whatever its agents wrote."""
    data = report_of(board)
    flow = flow_now(replace(data, all_tasks=without_v2(data.all_tasks)) if is_v1 else data)
    payload = json.loads(json.dumps(flow_payload(flow), allow_nan=False))
    assert [chart["id"] for chart in payload["charts"]] == [*FLOW_CHARTS]
    assert json.loads(flow_to_json(flow))["version"] == 1
    for text in (flow_to_console(flow), flow_to_markdown(flow)):
        assert "\x1b" not in text
