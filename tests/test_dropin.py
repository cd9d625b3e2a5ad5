"""What people have written for the earlier reporter works when only a name or an import changes."""

from __future__ import annotations

import gc
import inspect
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pandas as pd
import polars
import pytest

from calypso_nb import (
    Dashboard,
    TinytaskClient,
    TinytaskClientError,
    WorkloadData,
    WorkloadReporter,
    difference,
)
from calypso_nb.cli.commands import workload_reporter
from calypso_nb.embedded import TinytaskStore, create_server, running_server
from calypso_nb.frames import plain
from calypso_nb.settings import load_settings
from tests.boards import FRAMES, HOSTILE, NOW, same_report, task
from tests.conftest import SECONDS
from tests.earlier import BOARD, COMMAND_LINES, EXPRESSIONS, JQ_PATHS, MISTAKES

needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="no jq: apt-get install jq")


@pytest.fixture
def board(store: TinytaskStore) -> TinytaskStore:
    """The board whose numbers `tests/earlier.py` says."""
    store.insert_many(BOARD)
    return store


@pytest.fixture
def names(board: TinytaskStore) -> Iterator[dict[str, Any]]:
    """What people's scripts have at hand."""
    server = create_server(board)
    with TinytaskClient(server) as client:
        reporter = WorkloadReporter(client)
        yield {
            "EP": server,
            "client": client,
            "reporter": reporter,
            "data": reporter.collect_workload_data(now=NOW, progress=False),
            "TinytaskClient": TinytaskClient,
            "WorkloadReporter": WorkloadReporter,
            "pd": pd,
        }


# --- Python


@pytest.mark.parametrize(("expression", "value"), EXPRESSIONS)
def test_an_expression_of_an_earlier_script_has_its_value(
    expression: str, value: Any, names: dict[str, Any]
) -> None:
    """With only the import changed."""
    assert eval(expression, names) == value


@pytest.mark.parametrize(("call", "says"), MISTAKES)
def test_a_mistake_in_an_argument_is_said_in_our_words(call: str, says: str, names: dict[str, Any]) -> None:
    """As a ValueError of one line, before anything is sent, and not in the server's validation JSON."""
    with pytest.raises(ValueError) as caught:
        eval(call, names)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("given", ["client", "gone"])
def test_a_dashboard_that_cannot_be_made_leaves_one_error(given: str, names: dict[str, Any]) -> None:
    """From a client instead of a reporter, or from a server that is away: nothing is said beside it."""
    if given == "client":
        with pytest.raises(ValueError, match="takes a WorkloadReporter"):
            Dashboard(names["client"])
    else:
        names["client"].close()
        with pytest.raises(TinytaskClientError, match="closed"):
            Dashboard(names["reporter"])
    gc.collect()


def test_what_came_of_a_task_is_a_comment_in_the_name_of_who_wrote_it(
    board: TinytaskStore, clean_environment: Path
) -> None:
    """A result or a reason is kept, signed by the settings' agent and never by the task's."""
    with TinytaskClient(create_server(board)) as client:
        client.requeue_task("4", reason="too big")
    os.environ["TKO_AGENT"] = "zoe"
    with TinytaskClient(create_server(board)) as client:
        client.complete_task("4", success=False, result="tests fail")
        client.complete_task("4", result={"merged": True})
        comments = client.get_task("4").comments or ()
        assert client.create_task("more").created_by == "zoe"
    assert [(one.content, one.created_by) for one in comments] == [
        ("too big", "calypso_nb"),
        ("tests fail", "zoe"),
        ('{"merged": true}', "zoe"),
    ]


def test_a_closed_client_says_so(board: TinytaskStore) -> None:
    """Every call raises after `close`; a cell that closes and makes a new one can be run again."""
    for _ in range(2):
        with TinytaskClient(create_server(board)) as client:
            assert client.health_check()
        client.close()
        for call in (
            client.list_tasks,
            client.health_check,
            lambda: client.count_details([1]),
            client.__enter__,
        ):
            with pytest.raises(TinytaskClientError, match="closed: make a new one"):
                call()


def test_both_listings_name_their_filters() -> None:
    """So that `client.list_tasks?` and TAB say what can be given."""
    filters = set(inspect.signature(TinytaskClient.list_tasks).parameters)
    assert filters - {"now"} == set(inspect.signature(TinytaskClient.list_task_records).parameters)
    assert {"status", "assigned_to", "queue_name", "limit"} <= filters


def test_nobody_and_an_agent_called_unassigned_are_kept_apart(store: TinytaskStore) -> None:
    """Its key gets quotes, and one with quotes in its name gets more; the frame has the names as they are."""
    agents = ["unassigned", "'unassigned'", None, "constructor", "__proto__"]
    store.insert_many([task(number, assigned_to=agent) for number, agent in enumerate(agents, start=1)])
    with TinytaskClient(create_server(store)) as client:
        data = WorkloadReporter(client).collect_workload_data(details=False)
    document = json.loads(data.to_json())
    for breakdown in (
        {key: of.task_ids for key, of in data.agent_breakdown.items()},
        {key: of["task_ids"] for key, of in document["agent_breakdown"].items()},
    ):
        assert breakdown == {
            "'unassigned'": [1],
            "''unassigned''": [2],
            "unassigned": [3],
            "constructor": [4],
            "__proto__": [5],
        }
    assert data.agent_breakdown["''unassigned''"].agent_name == "'unassigned'"
    assert {row["agent"] for row in document["agents"]} == {*agents} - {None}


def test_an_empty_board_has_no_numbers_and_no_zeros_for_them(store: TinytaskStore) -> None:
    """What is unknown is null."""
    with TinytaskClient(create_server(store)) as client:
        document = json.loads(WorkloadReporter(client).collect_workload_data().to_json())
    assert document["agent_breakdown"] == document["priority_distribution"]["by_priority"] == {}
    assert document["priority_distribution"]["average_priority"] is None
    assert document["age_metrics"]["oldest_task_age_hours"] is None
    assert document["summary"]["agents_with_work"] == []


def test_complete_tasks_that_were_left_out_are_not_counted_as_none(names: dict[str, Any]) -> None:
    """Their number is unknown in a report of open tasks, and shown nowhere; with all it is known."""
    data = names["data"]
    assert data.summary.total_complete is None
    assert "complete" not in data.to_console() + repr(data) + data.to_markdown() + data._repr_html_().lower()
    assert names["reporter"].collect_workload_data("all").summary.total_complete == 2


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        ({"agent_filter": "alcie"}, "no task of an agent called 'alcie'; did you mean 'alice'?"),
        ({"agent_filter": ["alice", "zzz", None]}, "no task of an agent called 'zzz'"),
        ({"agent_filter": "ALICE"}, "did you mean 'alice'?"),
        ({"status_filter": "working", "agent_filter": "carol"}, "no task of an agent called 'carol'"),
    ],
)
def test_a_name_that_matches_nothing_is_a_warning(
    filters: dict[str, Any], says: str, names: dict[str, Any]
) -> None:
    """A misspelt agent gives an empty report, which looks like one who is done."""
    whole = names["reporter"].collect_workload_data(details=False)
    for narrowed in (partial(names["reporter"].collect_workload_data, details=False), whole.select):
        with pytest.warns(UserWarning) as caught:
            narrowed(**filters)
        [warning] = caught
        assert str(warning.message).endswith(says)
        assert warning.filename == __file__


def test_a_status_that_no_task_has_is_a_warning_and_the_default_is_none(store: TinytaskStore) -> None:
    """Who asks for something hears that it isn't there; who asks for nothing hears nothing."""
    store.insert_many([task(1, status="complete")])
    with TinytaskClient(create_server(store)) as client:
        reporter = WorkloadReporter(client)
        with pytest.warns(UserWarning, match="no task is idle or working"):
            reporter.collect_workload_data(["idle", "working"], details=False)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            reporter.collect_workload_data(details=False)
            reporter.collect_workload_data("all", ["alice"], details=False)


# --- Saved reports


def test_a_report_that_was_saved_in_the_first_format_is_still_read(names: dict[str, Any]) -> None:
    """`diff` compares it with one of today."""
    data = names["reporter"].collect_workload_data("all", now=NOW)
    document = json.loads(data.to_json())
    assert document["version"] == 2
    lists = {"agent_breakdown": document.pop("agents"), "priority_distribution": document.pop("priorities")}
    saved = WorkloadData.from_json(json.dumps({**document, **lists, "version": 1}))
    assert same_report(saved, data)
    assert difference(saved, data).changes.empty


# --- jq


@needs_jq
@pytest.mark.slow
@pytest.mark.parametrize(("path", "value"), JQ_PATHS)
def test_a_path_of_jq_gives_what_it_did(path: str, value: Any, names: dict[str, Any]) -> None:
    """And never another number or null in silence."""
    done = subprocess.run(
        ["jq", path], input=names["data"].to_json(), capture_output=True, text=True, timeout=SECONDS
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == value


# --- The command line


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The same board for all command lines."""
    with TinytaskStore(now=lambda: NOW) as store:
        store.insert_many(BOARD)
        with running_server(store) as url:
            yield url


Reported = Callable[..., tuple[int, str, str]]


@pytest.fixture
def reported(
    capfd: pytest.CaptureFixture[str], clean_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> Reported:
    """What `workload-reporter` does: its exit code, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["workload-reporter", *arguments])
        with pytest.raises(SystemExit) as end:
            workload_reporter()
        return (int(end.value.code or 0), *capfd.readouterr())

    return run


@pytest.mark.parametrize(("line", "ids"), COMMAND_LINES)
def test_an_earlier_command_line_works(
    line: str, ids: list[int] | None, server: str, reported: Reported
) -> None:
    """With the program's name `workload-reporter`, and the server in an argument or in a file."""
    Path("settings.env").write_text(f"TINYTASK_ENDPOINT={server}\n")
    code, output, errors = reported(
        *line.split(), *(() if "--env-file" in line else ("--mcp-endpoint", server))
    )
    assert code == 0, errors
    if ids is not None:
        assert sorted(task["id"] for task in json.loads(output)["tasks"]) == ids
    else:
        assert "Usage: workload-reporter [OPTIONS]" in output or output.startswith("Workload")


def test_both_formats_are_printed_or_written_and_the_console_report_with_them(
    server: str, reported: Reported
) -> None:
    """Without a file JSON comes first; with one the console report is on screen too."""
    _, printed, _ = reported("--format", "both", "--mcp-endpoint", server)
    document, end = json.JSONDecoder().raw_decode(printed)
    assert document["summary"]["total_idle"] == 6
    assert printed[end:].lstrip().startswith("Workload")
    _, printed, _ = reported("--format", "both", "-o", "reports/workload", "--mcp-endpoint", server)
    assert printed.startswith("Workload")
    written = json.loads(Path("reports/workload.json").read_text())
    assert written["agent_breakdown"] == document["agent_breakdown"]
    assert Path("reports/workload.txt").read_text().startswith("Workload")


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("--agent alcie", 0, "calypso-nb: no task of an agent called 'alcie'; did you mean 'alice'?\n"),
        ("--status idle wroking", 2, "unknown status 'wroking'"),
        ("--status", 2, "requires an argument"),
        ("idle", 2, "unexpected extra argument"),
        ("--agent alice bob", 2, "unexpected extra argument"),
        ("--fail-if complete>0", 2, "'complete' is unavailable: the report leaves complete tasks out"),
        ("--fail-if complete>0 --status all", 3, "condition holds"),
    ],
)
def test_what_is_wrong_in_a_command_line_is_said_on_standard_error(
    line: str, code: int, says: str, server: str, reported: Reported
) -> None:
    """So that an empty report isn't taken for an idle team."""
    ended, _, errors = reported("--mcp-endpoint", server, *line.split())
    assert (ended, says in errors) == (code, True), errors


@pytest.mark.slow
def test_the_program_is_installed(server: str, clean_environment: Path) -> None:
    """Beside `calypso-nb`, with the same options as its `report`."""
    program = Path(sys.executable).with_name("workload-reporter")
    done = subprocess.run(
        [program, "--status", "idle", "working", "--mcp-endpoint", server],
        capture_output=True, encoding="utf-8", timeout=SECONDS,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Workload")


# --- Settings of TinyTask's own command line


@pytest.fixture
def rc_file(clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its file, in a home of the test's own."""
    del os.environ["TINYTASK_CONFIG_PATH"]
    monkeypatch.setenv("HOME", str(clean_environment))
    file = clean_environment / ".tinytaskrc.json"
    profiles = {"work": {"url": "http://work:2/mcp", "agent": "wes"}, "home": {"url": "http://home:3"}}
    file.write_text(json.dumps({"url": "http://top:1/mcp", "agent": "ann", "profiles": profiles, "theme": 1}))
    return file


def reached(**arguments: Any) -> tuple[str, str | None]:
    """Which server a client with these arguments and the settings asks, and who it says it is."""
    client = TinytaskClient(**arguments)
    return client.endpoint, client.agent


def test_the_file_of_its_command_line_is_read_below_our_own_settings(rc_file: Path) -> None:
    """From the bottom up: the file, its active profile, TINYTASK_URL, our own name, an argument."""
    assert reached() == ("http://top:1/mcp", "ann")
    rc_file.write_text(json.dumps(json.loads(rc_file.read_text()) | {"activeProfile": "work"}))
    assert reached() == ("http://work:2/mcp", "wes")
    os.environ["TINYTASK_URL"] = "http://url:4/mcp"
    assert reached() == ("http://url:4/mcp", "wes")
    Path(".env").write_text("TINYTASK_ENDPOINT=http://ours:5\n")
    assert reached() == ("http://ours:5", "wes")
    assert reached(endpoint="http://given:6") == ("http://given:6", "wes")


def test_a_profile_is_an_endpoint(rc_file: Path) -> None:
    """As an argument and in the settings, with its agent, or that of the whole file."""
    assert reached(endpoint="work") == ("http://work:2/mcp", "wes")
    os.environ["TINYTASK_ENDPOINT"] = "home"
    assert reached() == ("http://home:3", "ann")
    with pytest.raises(ValueError, match="'hoem' is not a valid endpoint"):
        TinytaskClient("hoem")


def test_who_i_am_comes_from_either_variable(rc_file: Path) -> None:
    """TKO_AGENT before TINYTASK_AGENT before the file."""
    os.environ["TINYTASK_AGENT"] = "tia"
    assert load_settings().agent == "tia"
    os.environ["TKO_AGENT"] = "tko"
    assert load_settings().agent == "tko"


def test_its_file_may_lie_elsewhere_and_may_be_missing(rc_file: Path) -> None:
    """TINYTASK_CONFIG_PATH names it."""
    other = rc_file.with_name("other.json")
    os.environ["TINYTASK_CONFIG_PATH"] = str(other)
    assert reached() == ("http://localhost:3000", None)
    other.write_text('{"url": "http://other:7"}')
    assert reached() == ("http://other:7", None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not a file of settings"),
        ('{"url": 7}', "url: Input should be a valid string"),
        ('{"activeProfile": "gone"}', "activeProfile 'gone' is not among its profiles"),
    ],
)
def test_a_broken_file_is_named(text: str, says: str, rc_file: Path) -> None:
    """And not passed over, which would ask another server than is meant."""
    rc_file.write_text(text)
    with pytest.raises(ValueError, match=r"tinytaskrc\.json") as caught:
        TinytaskClient()
    assert says in str(caught.value)


@pytest.mark.parametrize("text", ["{", '{"url": 7}', '{"profiles": 7}'])
def test_a_broken_file_stops_nobody_who_names_a_server(text: str, rc_file: Path) -> None:
    """It is left out, and that is said."""
    rc_file.write_text(text)
    with pytest.warns(UserWarning, match="it is left out"):
        assert TinytaskClient("demo").endpoint == "demo"
    rc_file.write_text('{"profiles": null}')
    assert TinytaskClient("demo").endpoint == "demo"


def test_a_timeout_of_thirty_thousand_is_milliseconds_and_that_is_said(clean_environment: Path) -> None:
    """Who uses both command lines doesn't wait eight hours for an error; an argument is what it says."""
    os.environ["TINYTASK_TIMEOUT"] = "30000"
    with pytest.warns(UserWarning, match="30000 is taken for milliseconds"):
        assert load_settings().timeout == 30
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_settings(timeout=2000).timeout == 2000
        os.environ["TINYTASK_TIMEOUT"] = "999"
        assert load_settings().timeout == 999


def test_retries_are_settings(clean_environment: Path) -> None:
    """How many, after how long, and how much longer each time; in the environment too."""
    os.environ["TINYTASK_MAX_RETRIES"] = "5"
    settings = load_settings(retry_delay=1.5)
    assert (settings.max_retries, settings.retry_delay, settings.backoff_factor) == (5, 1.5, 2.0)


# --- Frames travel


@pytest.fixture
def data(board: TinytaskStore) -> WorkloadData:
    """A report on the board, with texts that mean harm."""
    board.insert_many([task(100 + number, title, priority=20) for number, title in enumerate(HOSTILE)])
    board.insert_many([task(200, blocked_by_task_id=7, parent_task_id=5)])
    with TinytaskClient(create_server(board)) as client:
        return WorkloadReporter(client).collect_workload_data("all", now=NOW)


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_goes_into_a_spreadsheet(name: str, data: WorkloadData) -> None:
    """By one documented line; no text in it is a formula, and none stops the writing."""
    frame, target = getattr(data, name), io.BytesIO()
    plain(frame, spreadsheet=True).to_excel(target, index=False)
    sheet = openpyxl.load_workbook(target).active
    assert sheet is not None and sheet.max_row == len(frame) + 1
    assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_goes_into_a_database(name: str, data: WorkloadData) -> None:
    """By one documented line; times and tags are texts that SQLite itself understands."""
    frame = getattr(data, name)
    with sqlite3.connect(":memory:") as connection:
        assert plain(frame).to_sql("them", connection, index=False) == len(frame)
        if name == "tasks":
            tagged = "SELECT them.id FROM them, json_each(tags) WHERE value = 'backend' ORDER BY 1"
            assert connection.execute(tagged).fetchall() == [(2,), (6,)]
            newest = "SELECT id FROM them ORDER BY datetime(created_at) DESC LIMIT 1"
            assert connection.execute(newest).fetchall() == [(6,)]
    connection.close()


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_goes_into_parquet_and_comes_back(name: str, data: WorkloadData) -> None:
    """As it is, with its times and zones; a tuple comes back as an array."""
    frame, target = getattr(data, name), io.BytesIO()
    frame.to_parquet(target)
    again = pd.read_parquet(target)
    lists = [column for column in ("tags", "cycle") if column in frame and frame[column].dtype == "object"]
    for column in lists:
        assert again[column].map(tuple).tolist() == frame[column].tolist()
    kept = frame.drop(columns=lists)  # Before pandas 3, texts come back as objects.
    pd.testing.assert_frame_equal(again.drop(columns=lists).astype(kept.dtypes.to_dict()), kept)


@pytest.mark.parametrize("name", FRAMES)
def test_duckdb_and_polars_take_a_frame_as_it_is(name: str, data: WorkloadData) -> None:
    """With lists and zones of their own."""
    frame = getattr(data, name)
    assert duckdb.sql("SELECT count(*) FROM frame").fetchall() == [(len(frame),)]
    assert polars.from_pandas(frame).shape == frame.shape
    if name == "tasks":
        tagged = "SELECT id FROM frame WHERE list_contains(tags, 'backend') ORDER BY id"
        assert duckdb.sql(tagged).fetchall() == [(2,), (6,)]
        of_tag = polars.from_pandas(frame).filter(polars.col("tags").list.contains("backend"))
        assert sorted(of_tag["id"]) == [2, 6]


def test_a_tag_is_found_in_the_documented_ways(data: WorkloadData) -> None:
    """`query("'backend' in tags")` looks for the text among the cells and finds nothing."""
    assert sorted(data.tasks.explode("tags").query("tags == 'backend'")["id"]) == [2, 6]
    assert sorted(data.tasks[data.tasks["tags"].map(lambda tags: "backend" in tags)]["id"]) == [2, 6]


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.create_task(None),
        lambda client: client.add_comment(1, None),
        lambda client: client.signup_for_task(None),
        lambda client: client.move_task(1, None, "b", "x"),
        lambda client: client.get_task("7" * 5000),
    ],
)
def test_what_no_tool_can_do_without_is_missed_in_our_words(call: Callable[[TinytaskClient], object]) -> None:
    """Not in the server's JSON about its own validation, and before anything is sent."""
    with (
        TinytaskClient("demo") as client,
        pytest.raises(ValueError, match=r" is (text|a whole number)") as caught,
    ):
        call(client)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize("name", ["description", "status", "assigned_to", "priority", "tags", "queue_name"])
def test_no_field_is_set_to_nothing_by_mistake(name: str) -> None:
    """TinyTask would take None for priority 0, and refuse the others in the words of its validation."""
    with TinytaskClient("demo") as client, pytest.raises(ValueError, match=f"update_task: {name} is .* None"):
        client.update_task(7, **{name: None})


@pytest.mark.parametrize("agent", [None, "", " "])
def test_nobody_claims_a_task(agent: Any) -> None:
    """It would be in progress with no agent."""
    with TinytaskClient(create_server(TinytaskStore())) as client:
        task = client.create_task("t")
        for claim in (lambda: client.claim_task(task.id, agent), lambda: client.claim_next(agent)):
            with pytest.raises(ValueError, match="name the agent"):
                claim()
        assert client.get_task(task.id).status == "idle"


@pytest.mark.parametrize(("limit", "found"), [(None, 3), (0, 3), (-1, 3), (1, 1), ("2", 2)])
def test_a_limit_of_free_tasks_counts_as_in_a_listing(limit: Any, found: int) -> None:
    """A number as text is a number, and less than one is no limit."""
    with TinytaskClient(create_server(TinytaskStore())) as client:
        for _ in range(3):
            client.create_task("t", queue_name="dev")
        assert len(client.get_unassigned_in_queue("dev", limit)) == found


@pytest.mark.parametrize("odd", [5, [5], {"status_filter": 5}])
def test_a_filter_that_is_no_name_is_refused_in_words(odd: Any) -> None:
    """Not with an error of the frame's, after all was read."""
    filters = odd if isinstance(odd, dict) else {"agent_filter": odd}
    with TinytaskClient("demo") as client, pytest.raises(ValueError, match="a name or a list of names"):
        WorkloadReporter(client).collect_workload_data(**filters)
