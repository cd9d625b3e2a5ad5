"""Recording: what is written down, by whom, and what becomes of it when something goes wrong."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pandas as pd
import pytest

from calypso_nb import History, Recorder, TinytaskClient, TinytaskConnectionError
from calypso_nb.embedded import TinytaskStore
from calypso_nb.errors import UsageError
from calypso_nb.history import recorder as recorders
from calypso_nb.settings import own_secrets
from tests.conftest import eventually
from tests.faulty_proxy import FaultyProxy
from tests.standin import NEEDS_STANDIN, Kind, Standin
from tests.watched import BY_HAND, Board

pytestmark = pytest.mark.usefixtures("clean_environment")


@pytest.fixture
def recorder(board: Board, path: Path) -> Iterator[Recorder]:
    """Whoever records the board, and looks when a test asks for it."""
    with Recorder(board, path, every=BY_HAND, name="team") as recorder:
        yield recorder


@pytest.fixture
def history(recorder: Recorder) -> Iterator[History]:
    """What has been recorded of the board."""
    with closing(History(recorder.path)) as history:
        yield history


def told(history: History) -> list[tuple[int, str]]:
    """Return each change of a history with its task, in order."""
    return [*history.events[["task_id", "change"]].itertuples(index=False, name=None)]


# Looks


def test_the_same_board_looked_at_twice_adds_nothing(
    board: Board, recorder: Recorder, history: History
) -> None:
    """No change, and no row per look: a quiet night costs no room."""
    board.create_task("Design", created_by="lead", assigned_to="alice")
    board.wait(minutes=1)
    assert recorder.look() == 1
    events, rows = history.events, len(history.coverage)
    began = board.wait(minutes=1)
    for _ in range(100):
        board.wait(minutes=1)
        assert recorder.look() == 0
    pd.testing.assert_frame_equal(history.events, events)
    assert len(history.coverage) == rows == 1
    assert history.coverage["looks"].item() == 102
    assert history.coverage["to"].item() >= began + timedelta(minutes=100)
    assert recorder._store.scalar("SELECT count(*) FROM observation") == 2


def test_what_is_seen_is_told_at_once(board: Board, path: Path) -> None:
    """`on_change` is called once it is in the file, and not when nothing has changed."""
    seen: list[int] = []
    with Recorder(
        board, path, every=BY_HAND, on_change=lambda: seen.append(len(History(path).events))
    ) as recorder:
        recorder.look()
        assert seen == []
        board.create_task("Design", created_by="lead")
        recorder.look()
        assert seen == [1]


def test_changes_happened_between_two_looks(board: Board, recorder: Recorder, history: History) -> None:
    """The bounds hold the truth, and are no wider than the time in which nobody looked."""
    board.wait(minutes=2)
    board.create_task("Design", created_by="lead", assigned_to="alice")
    created = board.time
    looked = board.wait(minutes=1)
    recorder.look()
    edited = board.wait(minutes=3)
    board.update_task(1, priority=5)
    again = board.wait(minutes=1)
    board.update_task(1, title="Design it")
    board.wait(minutes=1)
    recorder.look()
    events = history.events.set_index("change")
    assert sorted(events.index) == ["edited", "new", "reprioritised"]
    assert events.loc["new", "not_before"] <= created <= events.loc["new", "not_after"]
    assert events.loc["new", "exact"]
    assert events.loc["new", "by"] == "lead"
    for change, time in (("reprioritised", edited), ("edited", again)):
        low, high = events.loc[change, ["not_before", "not_after"]]
        # The server says to the second when a task was last edited.
        assert looked <= low <= time <= high <= again + timedelta(seconds=1)
        assert not events.loc[change, "exact"]


# Gaps


def test_a_recorder_that_was_away_leaves_a_gap(board: Board, path: Path) -> None:
    """Coverage says from when to when, and what happened meanwhile is known to have done so within it."""
    board.create_task("Design", created_by="lead", assigned_to="alice")
    with Recorder(board, path):
        stopped = board.time
    board.wait(minutes=40)
    board.move_task(1, "alice", "bob", "yours")
    moved = board.wait(minutes=80)
    with Recorder(board, path):
        pass
    history = History(path)
    assert history.coverage["recorded"].tolist() == [True, False, True]
    gap = history.coverage.iloc[1]
    assert (gap["from"].round("s"), gap["to"], gap["why"]) == (stopped, moved, "nothing recorded")
    assert gap["hours"] == pytest.approx(2)
    reassigned = history.events.query("change == 'reassigned'").iloc[0]
    assert stopped <= reassigned["not_before"] <= moved - timedelta(minutes=80)
    assert moved - timedelta(minutes=80) <= reassigned["not_after"] <= gap["to"]
    assert not reassigned["exact"]


def test_a_clock_that_is_set_is_a_gap(board: Board, recorder: Recorder, history: History) -> None:
    """Times before and after don't compare, and coverage says so."""
    board.create_task("Design", created_by="lead")
    before = board.wait(minutes=1)
    recorder.look()
    board.set_clock(hours=2)
    recorder.look()
    after = board.wait(minutes=1)
    recorder.look()
    coverage = history.coverage
    assert coverage["recorded"].tolist() == [True, False, True]
    assert "times before and after don't compare" in coverage["why"].iloc[1]
    assert coverage["hours"].tolist() == pytest.approx([1 / 60, 2, 1 / 60])
    assert (coverage["to"].iloc[0].round("s"), coverage["to"].iloc[2].round("s")) == (before, after)
    assert told(history) == [(1, "new")]


def test_a_server_that_does_not_respond_is_a_gap_with_its_reason(
    board: Board, recorder: Recorder, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recorder goes on, and says what keeps failing until it is well again."""

    def fails(*_: object) -> None:
        raise TinytaskConnectionError("no TinyTask at team: connection refused")

    board.wait(minutes=1)
    recorder.look()
    with monkeypatch.context() as broken:
        broken.setattr(TinytaskClient, "look", fails)
        for _ in range(5):
            board.wait(minutes=1)
            with pytest.raises(TinytaskConnectionError):
                recorder.look()
    assert recorder.failure == "no TinyTask at team: connection refused"
    assert recorder.recording
    board.wait(minutes=1)
    recorder.look()
    assert recorder.failure is None
    coverage = history.coverage
    assert coverage["recorded"].tolist() == [True, False, True]
    assert coverage["why"].iloc[1] == "no TinyTask at team: connection refused"
    assert coverage["hours"].iloc[1] == pytest.approx(0.1)


# Who records

RECORDS = """
import sys
from calypso_nb import Recorder
from tests.watched import Board
recorder = Recorder(Board(), sys.argv[1], name="team")
print("recording", flush=True)
sys.stdin.read()
recorder.stop()
"""


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["stopped", "killed"])
def test_one_recorder_at_a_time(ends: str, board: Board, path: Path) -> None:
    """The second is told who records, and begins at once when that one is stopped or killed."""
    program = [sys.executable, "-c", RECORDS, str(path)]
    root = Path(__file__).parent.parent
    with subprocess.Popen(
        program, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "recording\n"
        who = f"by process {process.pid} on {re.escape(socket.gethostname())}: stop that one, or name another"
        with pytest.raises(UsageError, match=f"team is recorded in {re.escape(str(path))} already, {who}"):
            Recorder(board, path, name="team")
        with Recorder(board, path, name="another team"):
            pass
        if ends == "killed":
            process.kill()
        process.communicate()
    with Recorder(board, path, name="team") as recorder:
        assert recorder.recording


def test_a_recorder_of_another_computer_is_believed_until_its_time_is_over(board: Board, path: Path) -> None:
    """Whether it lives can't be seen from here: it has to say so each minute."""
    with Recorder(board, path, name="team") as first:
        first._store.write("UPDATE recorder SET host = 'elsewhere', pid = 4711")
        with pytest.raises(UsageError, match="by process 4711 on elsewhere"):
            Recorder(board, path, name="team")
        first._store.write("UPDATE recorder SET expires = 0")
        with Recorder(board, path, name="team") as second:
            assert second.recording


def test_a_recorder_that_was_taken_for_dead_ends_and_says_why(
    board: Board, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After this computer has slept, say: two would write down the same twice."""
    monkeypatch.setattr(recorders, "_STAY_SECONDS", 0.05)
    with Recorder(board, path, name="team") as first:
        first._store.write("UPDATE recorder SET who = 'another', host = 'elsewhere', pid = 4711")
        assert eventually(lambda: not first.recording)
        assert "by process 4711 on elsewhere" in str(first.failure)


# Another database


def test_a_clock_that_is_set_back_is_one_gap(board: Board, recorder: Recorder, history: History) -> None:
    """Until the clock has caught up, edits of before lie in its future, which is no further gap."""
    board.create_task("Design", created_by="lead")
    board.wait(minutes=1)
    recorder.look()
    board.set_clock(hours=-2)
    recorder.look()
    for _ in range(3):
        board.wait(minutes=1)
        recorder.look()
    assert history.coverage["recorded"].tolist() == [True, False, True]
    assert history.now().generated_at < board.time + timedelta(minutes=1)


def test_what_changed_while_the_clock_was_set_back_was_some_time_by_either_clock(
    board: Board, recorder: Recorder, history: History
) -> None:
    """The two are not compared: it was between the times of both looks, whichever is the earlier."""
    board.create_task("Design", created_by="lead")
    looked = board.wait(minutes=1)
    recorder.look()
    board.set_clock(hours=-2)
    edited = board.update_task(1, priority=3).updated_at
    board.wait(minutes=1)
    recorder.look()
    board.wait(minutes=1)
    again = board.update_task(1, priority=4).updated_at
    board.wait(minutes=1)
    recorder.look()
    second, first = history.events.query("field == 'priority'").to_dict("records")
    assert (first["after"], second["after"]) == ("3", "4")
    assert first["not_before"] <= edited < looked <= first["not_after"]
    assert second["not_before"] <= again <= second["not_after"]


def test_an_edit_after_the_clock_was_set_back_is_no_new_database(
    board: Board, recorder: Recorder, history: History
) -> None:
    """It is earlier than the edit before, and yet later than the last look."""
    board.create_task("Design", created_by="lead")
    board.wait(minutes=1)
    recorder.look()
    board.set_clock(hours=-2)
    recorder.look()
    board.wait(minutes=1)
    board.update_task(1, priority=3)
    board.wait(minutes=1)
    recorder.look()
    assert history.servers["epoch"].tolist() == [1]
    assert history.now().tasks["priority"].tolist() == [3]


def test_a_new_database_begins_an_epoch(board: Board, path: Path) -> None:
    """Numbers of tasks start anew with it: nothing of the old ones is joined to the new ones."""
    for title in ("Old design", "Old tests"):
        board.create_task(title, created_by="lead", assigned_to="alice")
    with Recorder(board, path, name="team") as recorder:
        old = board.wait(minutes=10)
        recorder.look()
    with Board() as new:
        began = new.time = board.wait(minutes=60)
        new.create_task("New design", created_by="lead", assigned_to="bob")
        new.wait(minutes=1)
        with Recorder(new, path, name="team"):
            new.wait(minutes=1)
    history = History(path)
    assert history.servers[["server", "epoch"]].values.tolist() == [["team", 1], ["team", 2]]
    assert history.servers["to"].iloc[0].round("s") == old < began < history.servers["from"].iloc[1]
    assert history.events["title"].tolist() == ["New design"]
    assert history.spells["agent"].tolist() == ["bob"]
    assert history.now().tasks["title"].tolist() == ["New design"]
    assert history.at(began + timedelta(minutes=1)).tasks["assigned_to"].tolist() == ["bob"]
    with pytest.raises(UsageError, match="is not known: recording began at"):
        history.at(old)


def test_a_restored_backup_begins_an_epoch(path: Path, tmp_path: Path) -> None:
    """Its tasks are as they were when it was made, which is no change that anybody made."""
    file, backup = tmp_path / "tinytask.db", tmp_path / "backup.db"
    times = iter(datetime.now(UTC) - timedelta(minutes=minutes) for minutes in range(50, 0, -10))
    with TinytaskStore(file, now=lambda: next(times)) as store:
        store.create_task("Design", "lead", assigned_to="alice")
        store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        shutil.copy(file, backup)
        store.update_task(1, status="working")
        with TinytaskClient(file) as client, Recorder(client, path):
            pass
    for old in tmp_path.glob("tinytask.db*"):
        old.unlink()
    shutil.copy(backup, file)
    with TinytaskClient(file) as client, Recorder(client, path):
        pass
    history = History(path)
    assert history.servers["epoch"].tolist() == [1, 2]
    assert told(history) == [(1, "new")]


# Database files


@pytest.fixture
def quick_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is looked at more often than is good for a laptop."""
    monkeypatch.setattr(recorders, "WATCH_SECONDS", 0.02)


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_file_that_somebody_else_writes_is_recorded(
    journal: str, path: Path, tmp_path: Path, quick_watch: None
) -> None:
    """Without asking any server: a commit by another connection is seen within a moment, and bounded."""
    file = tmp_path / "tinytask.db"
    with TinytaskStore(file) as store, TinytaskClient(file) as client:
        store.connection.execute(f"PRAGMA journal_mode = {journal}").fetchall()
        store.create_task("Design", "lead", assigned_to="alice")
        with Recorder(client, path, every=BY_HAND) as recorder:
            assert recorder.how == "live"
            history = History(path)
            before = datetime.now(UTC)
            with closing(sqlite3.connect(file, timeout=60)) as other, other:
                # As TinyTask writes: its own time of the edit is one of the bounds.
                other.execute(
                    "UPDATE tasks SET queue_name = 'dev', assigned_to = 'bob', updated_at = CURRENT_TIMESTAMP"
                )
            after = datetime.now(UTC)
            assert eventually(lambda: len(history.events) == 3)
            moved = history.events.query("change != 'new'")
            assert sorted(moved["change"]) == ["edited", "reassigned"]
            assert (moved["not_before"] <= after).all()
            assert (moved["not_after"] >= before).all()
            assert history.coverage["source"].unique().tolist() == ["file"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param(kind, marks=NEEDS_STANDIN) for kind in ("v1", "http")])
def test_a_file_of_a_real_server_is_recorded(
    kind: Kind, standins: Callable[[Kind], Standin], path: Path, quick_watch: None
) -> None:
    """Of TinyTask v1 and v2, while they serve it."""
    standin = standins(kind)
    with (
        TinytaskClient(standin.path) as file,
        TinytaskClient(standin.url) as client,
        Recorder(file, path, every=BY_HAND),
    ):
        history = History(path)
        client.create_task("Design", created_by="lead", assigned_to="alice")
        assert eventually(lambda: told(history) == [(1, "new")])
        client.update_task(1, status="working")
        assert eventually(lambda: told(history)[1:] == [(1, "started")])
        assert history.events["exact"].all()


def test_nothing_is_read_while_nothing_is_written(path: Path, tmp_path: Path, quick_watch: None) -> None:
    """Only the file's times are looked at, and the history is no longer for it."""
    file = tmp_path / "tinytask.db"
    asked = 0

    class Watched(TinytaskClient):
        looks = 0

        def look(self, commented: str = "") -> Any:
            self.looks += 1
            return super().look(commented)

        def written(self) -> tuple[int, ...] | None:
            nonlocal asked
            asked += 1
            return super().written()

    with TinytaskStore(file) as store, Watched(file) as client, Recorder(client, path, every=BY_HAND):
        assert eventually(lambda: asked > 20)
        assert client.looks == 1
        store.create_task("Design", "lead")
        assert eventually(lambda: client.looks == 2)
        seen = asked
        assert eventually(lambda: asked > seen + 20)
        assert client.looks == 2


# What a look costs


class _Overheard:
    """A socket that keeps what it receives."""

    def __init__(self, end: socket.socket, heard: bytearray) -> None:
        self._end, self._heard = end, heard

    def recv(self, most: int) -> bytes:
        data = self._end.recv(most)
        self._heard += data
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._end, name)


class Overhearing(FaultyProxy):
    """A proxy that keeps what it passes on."""

    def __init__(self, target: str) -> None:
        self.asked, self.answered = bytearray(), bytearray()
        super().__init__(target)

    def _pump(self, source: socket.socket, sink: socket.socket, from_client: bool) -> None:
        heard = self.asked if from_client else self.answered
        super()._pump(_Overheard(source, heard), sink, from_client)  # type: ignore[arg-type]


def check_that_a_look_costs_one_small_answer(url: str, path: Path) -> None:
    """Look at a board that stays as it is, through a proxy that counts."""
    proxy = Overhearing(url)
    with closing(proxy), TinytaskClient(proxy.url) as client:
        for number in range(20):
            client.create_task(f"task {number}", description="long " * 1000, created_by="lead")
        with Recorder(client, path, every=BY_HAND) as recorder:
            recorder.look()
            proxy.asked.clear()
            proxy.answered.clear()
            for _ in range(5):
                assert recorder.look() == 0
            assert re.findall(rb"(GET|POST|PUT|DELETE) \S+ HTTP", proxy.asked) == [b"GET"] * 5
            assert re.findall(rb"HTTP/1.1 (\d+)", proxy.answered) == [b"304"] * 5
            assert len(proxy.answered) < 5 * 1000


@pytest.mark.parametrize("transport", ["http"], indirect=True)
def test_an_unchanged_board_costs_one_request_that_is_answered_in_a_line(url: str, path: Path) -> None:
    """A listing of thousands of tasks is sent once."""
    check_that_a_look_costs_one_small_answer(url, path)


@pytest.mark.parametrize("kind", [pytest.param("http", marks=NEEDS_STANDIN)])
def test_an_unchanged_board_of_a_real_server_costs_one_request(
    kind: Kind, standins: Callable[[Kind], Standin], path: Path
) -> None:
    """Express makes the tags that let it leave out the tasks."""
    check_that_a_look_costs_one_small_answer(standins(kind).url, path)


# Comments


def test_comments_that_somebody_reads_are_kept(url: str, store: TinytaskStore, path: Path) -> None:
    """One request per task is too much for a recorder; what a report or a cell reads anyway costs nothing."""
    for title in ("Design", "Tests"):
        store.create_task(title, "lead")
    store.add_comment(1, "so far so good", "alice")
    store.add_comment(2, "not yet", "bob")
    with TinytaskClient(url) as client, Recorder(client, path, every=BY_HAND):
        history = History(path)
        assert not (history.feed["what"] == "said").any()
        client.get_task(1)
        said = history.feed.query("what == 'said'")
        assert said[["task_id", "title", "agent", "text"]].values.tolist() == [
            [1, "Design", "alice", "so far so good"]
        ]
        client.count_details()
        client.add_comment(2, "now", created_by="bob")
        said = history.feed.query("what == 'said'")
        assert said["text"].tolist() == ["so far so good", "not yet", "now"]
    client_after = TinytaskClient(url)
    with client_after:
        client_after.add_comment(1, "too late")
    assert len(history.feed.query("what == 'said'")) == 3


def test_comments_of_a_file_are_kept_until_they_are_deleted(path: Path, tmp_path: Path) -> None:
    """A look has all of them: new ones, edited ones, and that one has gone."""
    file = tmp_path / "tinytask.db"
    with TinytaskStore(file) as store, TinytaskClient(file) as client:
        store.create_task("Design", "lead")
        store.add_comment(1, "so far so good", "alice")
        with Recorder(client, path, every=BY_HAND) as recorder:
            history = History(path)

            def said() -> list[str]:
                recorder.look()
                return history.feed.query("what == 'said'")["text"].tolist()

            assert said() == ["so far so good"]
            store.add_comment(1, "done", "bob")
            store.update_comment(1, "so far so bad")
            assert said() == ["so far so bad", "done"]
            store.delete_comment(1)
            assert said() == ["done"]


# Retention


def test_what_is_too_old_is_forgotten_and_the_tasks_stay(board: Board, path: Path) -> None:
    """Of each task only how it was then; of a moment before, nothing is known any more."""
    with Recorder(board, path, every=BY_HAND, keep="180d") as recorder:
        history = History(path)
        board.create_task("Design", created_by="lead", assigned_to="alice")
        board.create_task("Gone", created_by="lead")
        recorder.look()
        board.delete_task(2)
        board.wait(minutes=1)
        recorder.look()
        early = board.wait(minutes=1)
        for priority in range(5):
            board.update_task(1, priority=priority + 1)
            board.wait(minutes=1)
            recorder.look()
        assert recorder.prune() == 0
        board.time += timedelta(days=200)
        recorder.look()
        board.update_task(1, status="working")
        board.wait(minutes=1)
        recorder.look()
        assert len(history.at(early).all_tasks) == 1
        assert recorder.prune() > 0
        with pytest.raises(UsageError, match=r"2026-11-23 09:02:00 UTC is not known: recording began at"):
            history.at(early)
        task = history.now().tasks.iloc[0]
        assert (task["title"], task["priority"], task["status"]) == ("Design", 5, "working")
        assert history.at(board.time).tasks["status"].tolist() == ["working"]
        assert history.events["change"].tolist() == ["started"]  # The task is older than what is kept.
        assert recorder.look() == 0


@pytest.mark.parametrize("keep", ["", "soon", "-3d", "0h", 180, timedelta(0), "180 parsecs"])
def test_a_length_of_time_that_is_none_is_refused(keep: Any, board: Board, path: Path) -> None:
    """Before anything is written, and with what is right."""
    with pytest.raises(UsageError, match="is not a valid length of time: write 180d, 36h or 90min"):
        Recorder(board, path, keep=keep)
    assert not path.exists()


@pytest.mark.parametrize("keep", ["90min", "1.5 h", "1h 30m", "5400 seconds", timedelta(minutes=90)])
def test_a_length_of_time_may_be_written_in_several_ways(keep: Any, board: Board, path: Path) -> None:
    """With units short or long, and several of them."""
    with Recorder(board, path, every=BY_HAND, keep=keep) as recorder:
        for hours in (0, 1.45, 0.1):
            board.create_task("Design", created_by="lead")
            board.wait(minutes=60 * hours)
            recorder.look()
            assert recorder.prune() == (hours == 0.1)


@pytest.mark.parametrize("every", [0, 0.01, -1, 1e9, float("nan"), True, "30"])
def test_a_time_between_looks_that_is_none_is_refused(every: Any, board: Board, path: Path) -> None:
    """Before anything is written."""
    with pytest.raises(UsageError, match=r"every is a number of seconds from 0\.1 to 86400, not"):
        Recorder(board, path, every=every)
    assert not path.exists()


# Files that are no histories, or can't be written


def test_a_file_that_is_no_history_is_refused_and_left_alone(board: Board, path: Path) -> None:
    """A text, another database, and a history of another version: each says what it is."""

    def refused(match: str) -> None:
        before = path.read_bytes()
        for opened in (lambda: Recorder(board, path), lambda: History(path)):
            with pytest.raises(UsageError, match=match):
                opened()
        assert path.read_bytes() == before

    path.write_text("no database at all\n" * 1000)
    refused("is not a history, or is damaged .*: restore a copy, or name another file")
    path.unlink()
    with TinytaskStore(path):
        pass
    refused("is not a history: it is another SQLite database; name another file")
    path.unlink()
    with Recorder(board, path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 7")
    refused(
        "is a history of version 7, and this calypso_nb reads version 1: use the calypso_nb that wrote it"
    )


def test_a_damaged_history_is_a_clear_error(board: Board, path: Path) -> None:
    """As after a crash of a disk, wherever it is damaged."""
    with Recorder(board, path, every=BY_HAND) as recorder:
        for number in range(200):
            board.create_task(f"task {number}", created_by="lead")
        recorder.look()
    whole = path.read_bytes()
    for start in range(4096, len(whole), 4096 * 8):
        path.write_bytes(whole[:start] + b"\xff" * 4096 * 4 + whole[start + 4096 * 4 :])
        try:
            history = History(path)
            frames = [history.events, history.spells, history.coverage, history.now().tasks]
        except UsageError as error:
            assert "is not a history, or is damaged" in str(error)
        else:
            assert all(len(frame) for frame in frames)


def test_no_history_at_all_says_what_makes_one(path: Path) -> None:
    """Reading makes no file."""
    with pytest.raises(UsageError, match=r"no history at .*history\.db: `calypso-nb record` makes one"):
        History(path)
    assert not path.exists()


def test_a_history_that_is_closed_says_so(history: History) -> None:
    """Rather than that it is damaged."""
    history.close()
    with pytest.raises(UsageError, match=r"the history .*history\.db is closed: open it again"):
        history.events  # noqa: B018


def test_a_place_where_no_file_can_be_made_is_an_error_of_the_system(board: Board, tmp_path: Path) -> None:
    """The folder is not made: it may be a slip."""
    with pytest.raises(OSError, match="unable to open database file"):
        Recorder(board, tmp_path / "no such folder" / "history.db")


def test_a_file_that_may_only_be_read_is_an_error_of_the_system(board: Board, path: Path) -> None:
    """And it is left as it is; root, who may write to any file, writes to it."""
    with Recorder(board, path):
        pass
    path.chmod(0o400)
    if os.geteuid() == 0:
        with Recorder(board, path) as recorder:
            assert recorder.recording
        return
    with pytest.raises(OSError, match="readonly"):
        Recorder(board, path)
    assert len(History(path).coverage) == 1


def test_a_full_disk_loses_nothing_and_recording_goes_on_once_there_is_room(
    board: Board, recorder: Recorder, history: History
) -> None:
    """What was written stays, what could not be is an error, and the next look has it."""
    board.create_task("Design", created_by="lead")
    board.wait(minutes=1)
    recorder.look()
    pages = recorder._store.scalar("PRAGMA page_count")
    recorder._store.scalar(f"PRAGMA max_page_count = {pages}")
    for number in range(300):
        board.create_task(f"task {number}", created_by="lead", description="long " * 100)
    board.wait(minutes=1)
    with pytest.raises(OSError, match=r"history\.db: database or disk is full"):
        recorder.look()
    assert told(history) == [(1, "new")]
    assert history.now().tasks["title"].tolist() == ["Design"]
    recorder._store.scalar("PRAGMA max_page_count = 100000")
    board.wait(minutes=1)
    assert recorder.look() == 300
    assert recorder.recording
    assert len(history.events) == len(history.now().tasks) == 301


def test_a_full_disk_is_waited_for_in_the_background(
    board: Board, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recorder says what is wrong, and no more once it is well again."""
    with Recorder(board, path, every=0.1) as recorder:
        pages = recorder._store.scalar("PRAGMA page_count")
        recorder._store.scalar(f"PRAGMA max_page_count = {pages}")
        with board.store.transaction():
            for number in range(300):
                board.store.create_task(f"task {number}", "lead", description="long " * 100)
        board.wait(minutes=1)
        assert eventually(lambda: "disk is full" in str(recorder.failure))
        assert recorder.recording
        recorder._store.scalar("PRAGMA max_page_count = 100000")
        assert eventually(lambda: recorder.failure is None)
        assert eventually(lambda: len(History(path).events) == 300)


# Others who read


READS = """
import sys
from calypso_nb import History
history = History(sys.argv[1])
for line in sys.stdin:
    print(len(history.events), len(history.now().all_tasks), flush=True)
"""


@pytest.mark.slow
def test_another_process_reads_while_it_is_written(board: Board, recorder: Recorder) -> None:
    """It sees each change as soon as it is written, and holds nothing up."""
    program = [sys.executable, "-c", READS, str(recorder.path)]
    root = Path(__file__).parent.parent
    with subprocess.Popen(
        program, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(20):
            board.create_task(f"task {number}", created_by="lead")
            board.wait(seconds=10)
            recorder.look()
            process.stdin.write("read\n")
            assert process.stdout.readline() == f"{number + 1} {number + 1}\n"
        process.stdin.close()


# Secrets


@pytest.mark.parametrize("transport", ["http"], indirect=True)
def test_no_credential_is_written_or_shown(
    url: str,
    store: TinytaskStore,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Not in the history or the files beside it, nor in a repr, an error or a log; the token has its file."""
    store.create_task("Design", "lead")
    secrets = ["s3cret-of-the-user", "t0ken-of-the-bearer", "k3y-in-a-header"]
    address = url.replace("http://", f"http://me:{secrets[0]}@")
    with (
        TinytaskClient(address, token=secrets[1], headers={"X-Key": secrets[2]}) as client,
        Recorder(client, path, hub="127.0.0.1:0", every=BY_HAND) as recorder,
    ):
        recorder.look()
        history = History(path)
        assert recorder.hub_url is not None
        secrets.append(recorder.hub_url.rpartition("/")[2])
        server, shown = history.server, [repr(client), repr(recorder), repr(history), recorder.name]
        shown += [frame.to_string() for frame in (history.events, history.coverage, history.servers)]
        with pytest.raises(UsageError) as refusal:
            Recorder(client, path)
        shown.append(str(refusal.value))
        token_file = path.with_name("history.db.hub-token")
        for file in {*path.parent.glob("history.db*")} - {token_file}:
            shown.append(file.read_bytes().decode("latin-1"))
    shown += [path.read_bytes().decode("latin-1"), *capfd.readouterr()]
    assert server == url
    assert not [secret for secret in secrets for text in shown if secret in text]
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    assert token_file.read_text() == secrets[3]
    # An exported page or notebook may have printed it.
    monkeypatch.setenv("TINYTASK_HISTORY", str(path))
    assert secrets[3] in own_secrets()
    monkeypatch.setenv("TINYTASK_HISTORY", "elsewhere.db")
    monkeypatch.chdir("/")
    assert secrets[3] not in own_secrets()
    monkeypatch.setenv("TINYTASK_SIGNALR_HUB_URL", f"http://127.0.0.1:3390/hub/{secrets[3]}")
    assert secrets[3] in own_secrets()


def test_the_hubs_address_stays_the_same(board: Board, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server needs to be told its token once; `TINYTASK_HUB_TOKEN` is another way to fix it."""

    def token() -> str:
        with Recorder(board, path, hub="127.0.0.1:0") as recorder:
            return str(recorder.hub_url).rpartition("/")[2]

    first = token()
    assert len(first) >= 32
    assert token() == first
    monkeypatch.setenv("TINYTASK_HUB_TOKEN", "our-own-hub-token")
    assert token() == "our-own-hub-token"


# What goes wrong


def test_a_change_that_could_not_be_written_is_found_again(
    board: Board, recorder: Recorder, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full only when all is to be kept leaves the file as it was, and the recorder too."""
    number = board.create_task("Design", created_by="lead").id
    recorder.look()
    board.wait(minutes=1)
    board.update_task(number, title="Design it twice")
    with monkeypatch.context() as patch:
        patch.setattr(recorder._journal, "_forget", Mock(side_effect=OSError("disk is full")))
        with pytest.raises(OSError, match="disk is full"):
            recorder.look()
    board.wait(minutes=1)
    assert recorder.look() == 1
    assert told(history) == [(1, "new"), (1, "edited")]


def test_a_new_database_that_could_not_be_written_down_begins_its_epoch_later(
    board: Board, recorder: Recorder, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What failed leaves no trace, so nothing goes to a database that the file doesn't know."""
    board.create_task("Design", created_by="lead")
    recorder.look()
    board.wait(minutes=1)
    with Board() as other:
        other.time = board.time
        other.create_task("Of another team", created_by="lead")
        monkeypatch.setattr(board, "look", other.look)
        with monkeypatch.context() as patch:
            patch.setattr(recorder._journal, "_forget", Mock(side_effect=OSError("disk is full")))
            with pytest.raises(OSError, match="disk is full"):
                recorder.look()
        recorder.look()
        assert history.servers["epoch"].tolist() == [1, 2]
        assert history.now().tasks["title"].tolist() == ["Of another team"]


def test_a_recorder_whose_place_was_taken_writes_nothing_more(board: Board, path: Path) -> None:
    """After a computer has slept for an hour, say, another may record: one change is written down once."""
    with Recorder(board, path, every=BY_HAND, name="team") as first:
        first._store.write("UPDATE recorder SET expires = 0")
        with Recorder(board, path, every=BY_HAND, name="team") as second:
            board.create_task("Design", created_by="lead")
            board.wait(minutes=1)
            with pytest.raises(UsageError, match=r"recorded in .* by somebody else"):
                first.look()
            second.look()
            with closing(History(path)) as history:
                assert told(history) == [(1, "new")]


ODD_EVENTS: list[dict[str, Any]] = [
    {"type": "change", "payload": {"taskId": 1}},
    {"type": "change", "payload": {"taskId": 1, "before": "x", "after": ["y"], "agent": {}}},
    {"type": "task-status-changed", "payload": {"taskId": 1, "before": "idle", "after": 2**63}},
    {"type": "task-updated", "payload": {"taskId": 1, "before": {}, "after": {"parent_task_id": 2**70}}},
    {"type": "task-created", "payload": {"taskId": 1, "task": {"updated_at": "0001-01-01T00:00:00+14:00"}}},
    {"type": "task-created", "payload": {"taskId": 2**80, "task": {"id": True, "priority": "x"}}},
    {"type": "task-deleted", "payload": {"taskId": 1}, "timestamp": "9999-12-31T23:59:59-14:00"},
    {"type": "comment-added", "payload": {"taskId": 1, "comment": {"id": 2**63, "content": "x"}}},
    {
        "type": "comment-added",
        "payload": {"taskId": 1, "comment": {"id": 1, "content": {}, "created_by": []}},
    },
    {"type": "comment-added", "payload": {"taskId": 1, "comment": {"id": 2, "content": "\ud800"}}},
    {"type": "task-assigned", "payload": {"taskId": 1, "before": [], "after": {"a": float("nan")}}},
]


@pytest.mark.parametrize("event", ODD_EVENTS, ids=lambda event: event["type"])
def test_an_odd_event_ends_nothing(
    event: dict[str, Any], board: Board, recorder: Recorder, history: History
) -> None:
    """Whatever a server pushes, the next event is written down, and so is the next look."""
    board.create_task("Design", created_by="lead")
    recorder.look()
    board.wait(minutes=1)
    stamp = board.time.isoformat()
    recorder._receive({"timestamp": stamp, **event})
    said = {"taskId": 1, "before": "idle", "after": "working"}
    recorder._receive({"type": "task-status-changed", "timestamp": stamp, "payload": said})
    recorder._journal.tell()
    board.update_task(1, status="working")
    board.wait(minutes=1)
    recorder.look()
    assert history.now().tasks["status"].tolist() == ["working"]
    with recorder._store.transaction():  # The recorder's own thread is at work too.
        assert recorder._journal.state == recorder._store.state(1)
    for frame in (history.events, history.feed, history.spells, history.coverage):
        assert len(frame) > 0


@pytest.mark.parametrize("number", ["1", None, 2**63, True, 1.5])
def test_a_listing_of_no_tasks_is_a_gap(
    number: object, board: Board, recorder: Recorder, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever lists tasks without proper numbers is no TinyTask: that is said, and what is known stays."""
    board.create_task("Design", created_by="lead")
    recorder.look()
    shown = board.look()
    with monkeypatch.context() as patch:
        odd = shown._replace(tasks=[{**shown.tasks[0], "id": number}])
        patch.setattr(board, "look", Mock(return_value=odd))
        with pytest.raises(TinytaskConnectionError, match="is it a TinyTask server"):
            recorder.look()
    board.wait(minutes=1)
    recorder.look()
    assert told(history) == [(1, "new")]
    assert history.coverage["recorded"].tolist() == [True, False, True]


def test_what_is_known_ends_with_the_recorder(board: Board, path: Path) -> None:
    """It looks once more when it is stopped."""
    with Recorder(board, path, every=BY_HAND):
        ended = board.wait(minutes=10)
    with closing(History(path)) as history:
        assert history.coverage["to"].item() >= ended
        assert history.recorded().longest_gap_hours == 0
