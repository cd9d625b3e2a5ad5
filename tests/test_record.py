"""The commands of a history as people run them: record, report --as-of, diff --since, serve --history."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from calypso_nb import History, Recorder, TinytaskClient, WorkloadData
from calypso_nb.cli.record import _summary
from calypso_nb.embedded import TinytaskStore, running_server
from calypso_nb.history.changes import micros
from calypso_nb.history.journal import Journal
from calypso_nb.history.store import HistoryStore
from tests.conftest import SECONDS, eventually
from tests.test_cli import environment, read_until, run, running  # noqa: F401
from tests.test_hub import END, Caller, called, talk

pytestmark = pytest.mark.slow

MONDAY = datetime(2026, 11, 23, 9, tzinfo=UTC)


@pytest.fixture
def board() -> Iterator[TinytaskStore]:
    """A board with one task that alice works on."""
    with TinytaskStore() as board:
        made = datetime.now(UTC) - timedelta(days=3)
        board.insert_many([{"title": "Design", "assigned_to": "alice", "created_at": made}])
        yield board


@pytest.fixture
def server(board: TinytaskStore) -> Iterator[str]:
    """Its address."""
    with running_server(board) as url:
        yield url


@pytest.fixture
def past(server: str, tmp_path: Path) -> Path:
    """A history of the server on Monday: a task of alice's, at work from ten on, and done by half past."""
    path = tmp_path / "history.db"
    time = [MONDAY]
    with TinytaskStore(now=lambda: time[0]) as board, HistoryStore(path, write=True) as store:
        journal = Journal(store, server, "listing", 3600 * 1_000_000)

        def look(minutes: int) -> None:
            now = micros((MONDAY + timedelta(minutes=minutes)).isoformat()) or 0
            journal.see(board.list_tasks(include_archived=True), now, now)

        board.create_task("Plan the week", "lead", assigned_to="alice")
        look(1)
        time[0] += timedelta(minutes=60)
        board.update_task(1, status="working")
        look(61)
        look(80)
        time[0] += timedelta(minutes=30)
        board.update_task(1, status="complete")
        look(120)
    return path


# record


@contextmanager
def recording(
    environment: dict[str, str],  # noqa: F811
    *options: str,
    lines: int = 1,
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`record` with these options while it runs, and its first lines."""
    with running(environment, "record", *options, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process, read_until(process.stdout.fileno(), b"\n", times=lines).decode()


@pytest.mark.parametrize("ends", [signal.SIGINT, signal.SIGTERM])
def test_record_says_what_it_does_and_how_well_it_went(
    ends: signal.Signals,
    server: str,
    board: TinytaskStore,
    environment: dict[str, str],  # noqa: F811
    tmp_path: Path,
) -> None:
    """What it records and where; at the end what share was recorded, the longest gap, what was exact."""
    path = tmp_path / "history.db"
    options = ("--history", str(path), "--every", "0.2", "--mcp-endpoint", server)
    with recording(environment, *options) as (process, started):
        assert started == f"recording {server} in {path}, every 0.2 s; Ctrl-C ends it\n"
        board.update_task(1, status="working")
        assert eventually(lambda: "started" in History(path).events["change"].tolist())
        process.send_signal(ends)
        said, failed = process.communicate(timeout=SECONDS)
    assert (process.returncode, failed) == (0, b"")
    whole = r"\nrecorded \d+% of less than a minute; 1 change, [01] exact to the second\n"
    assert re.fullmatch(whole, said.decode()), said


def test_record_says_when_the_server_went_and_came_back(
    board: TinytaskStore,
    environment: dict[str, str],  # noqa: F811
    tmp_path: Path,
) -> None:
    """Each time with date and zone on standard error, so that a log can be read long after."""
    with running_server(board) as url:
        pass
    port = int(url.rpartition(":")[2])
    options = ("record", "--history", str(tmp_path / "history.db"), "--every", "0.2", "--mcp-endpoint", url)
    with ExitStack() as ended:
        with running_server(board, port=port):
            process = ended.enter_context(
                running(environment, *options, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            )
            assert process.stdout is not None
            assert process.stderr is not None
            read_until(process.stdout.fileno(), b"\n")
        said = read_until(process.stderr.fileno(), b"\n")
        with running_server(board, port=port):
            if b"back again" not in said:
                said += read_until(process.stderr.fileno(), b"back again\n")
            process.send_signal(signal.SIGINT)
            process.wait(SECONDS)
    first, *_, last = said.decode().splitlines()
    stamp = r"calypso-nb: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC "
    assert re.match(stamp + f".*{url}", first), first
    assert re.fullmatch(stamp + "back again", last), last


def test_a_summary_of_nothing_is_no_share(tmp_path: Path) -> None:
    """Before anything is known of the time that it is about."""
    with TinytaskClient("demo") as client, Recorder(client, tmp_path / "history.db", every=3600) as recorder:
        said = _summary(recorder, datetime.now(UTC) + timedelta(minutes=1))
    assert said == "nothing recorded yet; 0 changes, 0 exact to the second"


def test_record_with_a_hub_shows_its_url_once_and_keeps_it_secret(
    server: str,
    environment: dict[str, str],  # noqa: F811
    tmp_path: Path,
) -> None:
    """The URL that TinyTask needs is on standard output, and only its token's own file has the token."""
    path = tmp_path / "history.db"
    options = ("--history", str(path), "--hub", "127.0.0.1:0", "--mcp-endpoint", server, "--verbose")
    with recording(environment, *options, lines=3) as (process, said):
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    [token] = re.findall(r"^TINYTASK_SIGNALR_HUB_URL=http://127\.0\.0\.1:\d+/hub/([\w-]{32,})$", said, re.M)
    assert "keep it to yourself" in said
    assert token.encode() not in rest + errors
    place = tmp_path / "history.db.hub-token"
    assert place.read_text() == token
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert token.encode() not in path.read_bytes()


def test_record_says_what_was_pushed_and_can_not_be_kept(
    server: str,
    board: TinytaskStore,
    environment: dict[str, str],  # noqa: F811
    tmp_path: Path,
) -> None:
    """And looks soon at what it may have been about."""
    path = tmp_path / "history.db"
    options = ("--history", str(path), "--hub", "127.0.0.1:0", "--mcp-endpoint", server)
    with recording(environment, *options, lines=3) as (process, said):
        assert process.stderr is not None

        async def conversation(caller: Caller) -> None:
            await caller.connect()
            read_until(process.stderr.fileno(), b"live\n")
            board.update_task(1, status="working")
            await caller.socket.send_str(called(0, "")[:-3] + END)
            assert (await caller.next())["invocationId"] == "0"
            told = read_until(process.stderr.fileno(), b"changed\n").decode()
            assert re.search(
                r"UTC 1 pushed so far that can't be kept; a look shows what that changed\n", told
            )
            assert eventually(lambda: "started" in History(path).events["change"].tolist())

        talk(said.rpartition("TINYTASK_SIGNALR_HUB_URL=")[2].strip(), conversation)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=SECONDS)


def test_record_takes_the_token_of_the_settings(
    server: str,
    environment: dict[str, str],  # noqa: F811
    tmp_path: Path,
) -> None:
    """And the history of the settings; then no file with a token is made."""
    ours = {"TINYTASK_HUB_TOKEN": "our-own-hub-token", "TINYTASK_HISTORY": str(tmp_path / "ours.db")}
    options = ("--hub", "127.0.0.1:0", "--mcp-endpoint", server)
    with recording(environment | ours, *options, lines=3) as (process, said):
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=SECONDS)
    assert said.endswith("/hub/our-own-hub-token\n")
    assert f"in {tmp_path / 'ours.db'}, " in said
    assert not [*tmp_path.glob("*.hub-token")]


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (
            ("--hub", "3390"),
            2,
            "'3390' is not a valid address for a hub: give HOST:PORT, such as 127.0.0.1:3390",
        ),
        (("--hub", "192.0.2.1:3390"), 1, "can't listen on 192.0.2.1:3390 for the hub: "),
        (("--keep", "soon"), 2, "'soon' is not a valid length of time: write 180d, 36h or 90min"),
        (("--history", "no/such/folder/history.db"), 1, "unable to open database file"),
        (("--mcp-endpoint", "http://127.0.0.1:9"), 4, "http://127.0.0.1:9"),
        (("--every", "0"), 2, "--every"),
    ],
    ids=["address", "port", "keep", "folder", "server", "every"],
)
def test_record_that_can_not_begin_says_why(
    options: tuple[str, ...],
    code: int,
    says: str,
    server: str,
    environment: dict[str, str],  # noqa: F811
) -> None:
    """In one line, with the code of the other commands."""
    done = run(environment | {"TINYTASK_ENDPOINT": server}, "record", *options)
    assert done.returncode == code
    assert says in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_record_of_a_recorded_server_says_who_records_it(
    server: str,
    environment: dict[str, str],  # noqa: F811
) -> None:
    """With the process, so that it can be found."""
    with running(environment, "record", "--mcp-endpoint", server, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        read_until(process.stdout.fileno(), b"\n")
        done = run(environment, "record", "--mcp-endpoint", server)
        assert done.returncode == 2
        assert f"is recorded in history.db already, by process {process.pid} on" in done.stderr


# report --as-of


@pytest.mark.parametrize("format", ["json", "console", "both", "markdown", "csv", "html"])
def test_a_report_of_how_it_was_has_every_format(
    format: str,
    server: str,
    past: Path,
    environment: dict[str, str],  # noqa: F811
) -> None:
    """What the present has: the task of Monday, at work, and not the one that the server has now."""
    asked = ("--as-of", "2026-11-23 10:15+00:00", "--history", str(past), "--mcp-endpoint", server)
    done = run(environment, "report", "--format", format, *asked)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Plan the week" in done.stdout or format == "both"
    assert "Design" not in done.stdout.replace("Designer", "")
    if format == "json":
        data = WorkloadData.from_json(done.stdout)
        assert data.generated_at == MONDAY + timedelta(minutes=75)
        assert (data.summary.total_working, data.endpoint) == (1, server)
    if format == "csv":
        [row] = csv.DictReader(io.StringIO(done.stdout))
        assert (row["status"], row["assigned_to"], row["comment_count"]) == ("working", "alice", "")
    if format in ("console", "markdown"):
        assert "2026-11-23 10:15" in done.stdout


def test_a_report_of_how_it_was_asks_no_server(
    server: str,
    past: Path,
    board: TinytaskStore,
    environment: dict[str, str],  # noqa: F811
) -> None:
    """It may be long gone, or be asleep."""
    with HistoryStore(past, write=True) as store:
        store.write("UPDATE server SET name = 'http://127.0.0.1:9'")
    asked = ("--as-of", "2026-11-23T10:15Z", "--history", str(past), "--mcp-endpoint", "http://127.0.0.1:9")
    done = run(environment, "report", *asked, "--fail-if", "working == 1")
    assert done.returncode == 3
    assert "condition holds: working == 1" in done.stderr


def test_what_is_uncertain_is_said_on_standard_error(
    server: str,
    past: Path,
    environment: dict[str, str],  # noqa: F811
) -> None:
    """So that a pipe gets nothing but the report."""
    asked = ("--format", "json", "--history", str(past), "--mcp-endpoint", server)
    done = run(environment, "report", "--as-of", "2026-11-23T09:30Z", *asked)
    assert done.returncode == 0
    assert json.loads(done.stdout)["summary"]["total_idle"] == 1
    assert "calypso-nb: #1 may have been different: somebody changed it up to" in done.stderr
    late = run(environment, "report", "--as-of", "2026-11-23T18:00Z", *asked)
    assert late.returncode == 0
    assert (
        "calypso-nb: nothing is known after 2026-11-23 11:00:00 UTC: this is how it was then" in late.stderr
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--as-of", "soon"), "'soon' is not a valid moment: write 2026-11-23 18:00, yesterday 18:00, today"),
        (("--as-of", "2026-11-22"), "is not known: recording began at 2026-11-23 09:01:00 UTC"),
        (("--as-of", "2031-01-01"), "is in the future; the last that is known is 2026-11-23 11:00:00 UTC"),
        (("--as-of", "2026-11-23 10:00", "--watch", "5"), "--as-of is one moment: leave out --watch"),
        (("--as-of", "1h ago", "--history", "no.db"), "no history at no.db: `calypso-nb record` makes one"),
        (
            ("--as-of", "1h ago", "--mcp-endpoint", "http://127.0.0.1:9"),
            "has nothing of http://127.0.0.1:9, but of",
        ),
    ],
    ids=["words", "before", "future", "watch", "file", "server"],
)
def test_a_moment_that_can_not_be_reported_is_wrong_usage(
    options: tuple[str, ...],
    says: str,
    server: str,
    past: Path,
    environment: dict[str, str],  # noqa: F811
) -> None:
    """Exit code 2, one line, no report."""
    settings = {"TINYTASK_ENDPOINT": server, "TINYTASK_HISTORY": str(past)}
    done = run(environment | settings, "report", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


# diff --since


def test_what_has_changed_since_a_moment_needs_no_saved_report(
    server: str,
    board: TinytaskStore,
    environment: dict[str, str],  # noqa: F811
    tmp_path: Path,
) -> None:
    """From the history to the present."""
    path = tmp_path / "history.db"
    yesterday = datetime.now(UTC) - timedelta(days=1, hours=12)
    with HistoryStore(path, write=True) as store:
        began = micros(yesterday.isoformat()) or 0
        Journal(store, server, "listing", 1).see(board.list_tasks(include_archived=True), began, began)
    board.update_task(1, status="working", assigned_to="bob")
    asked = ("--history", str(path), "--mcp-endpoint", server, "--format", "json")
    done = run(environment, "diff", "--since", "1 day ago", *asked)
    assert done.returncode == 0, done.stderr
    changes = json.loads(done.stdout)["changes"]
    assert [change["change"] for change in changes] == ["started", "reassigned"]
    words = run(
        environment, "diff", "--since", "yesterday 18:00", "--history", str(path), "--mcp-endpoint", server
    )
    assert words.returncode == 0
    assert "started" in words.stdout
    assert "bob" in words.stdout


def test_what_has_changed_since_a_moment_to_come_is_wrong_usage(
    server: str,
    past: Path,
    environment: dict[str, str],  # noqa: F811
) -> None:
    """And not that nothing has."""
    asked = ("--since", "2031-01-01", "--history", str(past), "--mcp-endpoint", server)
    done = run(environment, "diff", *asked)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is in the future" in done.stderr


@pytest.mark.parametrize("options", [(), ("--since", "1h ago", "saved.json")], ids=["neither", "both"])
def test_a_difference_needs_one_beginning(
    options: tuple[str, ...],
    environment: dict[str, str],  # noqa: F811
    tmp_path: Path,
) -> None:
    """A saved report or a moment."""
    (tmp_path / "saved.json").write_text("{}")
    done = run(environment, "diff", *options)
    assert done.returncode == 2
    assert "diff takes either a saved report or --since, such as --since 'yesterday 18:00'" in done.stderr


# history export


def test_a_history_is_exported_as_parquet(
    past: Path,
    server: str,
    environment: dict[str, str],  # noqa: F811
    tmp_path: Path,
) -> None:
    """With a line for each server."""
    lake = tmp_path / "lake"
    done = run(environment, "history", "export", "--parquet", str(lake), "--history", str(past))
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(rf"{server}: \d events in {lake}\n", done.stdout)
    assert History(lake).events["change"].tolist() == ["new", "started", "finished"]
    missing = run(environment, "history", "export", "--parquet", str(lake), "--history", "no.db")
    assert missing.returncode == 2
    assert "no history at no.db" in missing.stderr


# serve --history


def test_a_server_writes_down_exactly_what_happens_and_who_did_it(
    environment: dict[str, str],  # noqa: F811
    tmp_path: Path,
) -> None:
    """Each change at its microsecond, with the agent of the call, roll-ups and cascades too."""
    path = tmp_path / "history.db"
    options = ("serve", "--port", "0", "--history", str(path))
    with running(environment, *options, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        url = read_until(process.stdout.fileno(), b"\n").decode().split()[-1]
        before = datetime.now(UTC)
        with TinytaskClient(url) as client:
            client.create_task("Design", created_by="lead", assigned_to="alice")
            client.create_subtask(1, "Sketch", created_by="lead", assigned_to="alice")
            client.signup_for_task("alice")
            client.move_task(1, "alice", "bob", "your turn")
            client.update_task(2, status="complete")
            client.delete_task(1)
        after = datetime.now(UTC)
        events = History(path).events
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=SECONDS)
        assert errors == b""
    with HistoryStore(path) as store:  # It has given up its place.
        assert store.rows("SELECT * FROM recorder") == []
    assert (events["not_before"] == events["not_after"]).all()
    assert events["not_before"].between(before, after).all()
    assert (events["source"] == "pushed").all()
    did = events[["task_id", "change", "by"]].astype("object").where(events.notna(), None).values.tolist()
    for row in ([1, "new", "lead"], [1, "started", "alice"], [1, "reassigned", "alice"]):
        assert row in did, did
    assert [row[:2] for row in did if row[1] == "gone"] in (
        [[1, "gone"], [2, "gone"]],
        [[2, "gone"], [1, "gone"]],
    )
    assert [2, "finished"] in [row[:2] for row in did]
    assert [1, "finished"] in [row[:2] for row in did]  # As all of its parts are.
    feed = History(path).feed
    assert feed.query("what == 'said'")["text"].tolist() in ([], ["your turn"])
    assert History(path).server == url
