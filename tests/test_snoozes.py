"""What is snoozed with a call: gone from what needs attention, until its end or until something happens."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from calypso_nb import History, Recorder, WorkloadData, WorkloadReporter
from calypso_nb import snoozes as kept
from calypso_nb.errors import UsageError
from calypso_nb.history.live import Live
from calypso_nb.snoozes import Snoozes
from calypso_nb.team import state_folder
from calypso_nb.text.csv import to_csv
from calypso_nb.visible import visible
from calypso_nb.workload.attention import SNOOZED_COLUMNS
from tests.boards import HOSTILE
from tests.conftest import SECONDS
from tests.watched import BY_HAND, MORNING, Board

DAY = timedelta(days=1)


@pytest.fixture
def team(board: Board, clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    """A board on which vaela is silent at #1 and #2 is urgent and unassigned; all clocks are the board's."""
    monkeypatch.setattr(kept, "_now", lambda: board.time)
    monkeypatch.setenv("TINYTASK_AGENT", "ada")
    board.store.create_task("Write the parser", "lead", assigned_to="vaela")
    board.store.update_task(1, status="working")
    board.store.create_task("Pay the bill", "lead", priority=10)
    board.wait(minutes=60 * 25)
    return board


@pytest.fixture
def reporter(team: Board) -> WorkloadReporter:
    return WorkloadReporter(team)


def read(reporter: WorkloadReporter, **asked: Any) -> WorkloadData:
    """What a reporter reports at the board's time."""
    board: Any = reporter.client
    return reporter.collect_workload_data(now=board.time, progress=False, **asked)


def shown(data: WorkloadData) -> list[int]:
    return sorted(data.attention["task_id"])


def hidden(data: WorkloadData) -> list[int]:
    return sorted(data.snoozed["task_id"])


def line(data: WorkloadData, task: int) -> dict[Any, Any]:
    """The line of a task, with only what a dashboard has of it."""
    [row] = data.attention[data.attention["task_id"] == task].to_dict("records")
    return {"id": row["task_id"], **{name: row[name] for name in ("about", "agent", "queue", "facts")}}


# Until when


def test_what_is_snoozed_is_out_of_the_way_until_its_end(team: Board, reporter: WorkloadReporter) -> None:
    """And says until when, why, and who says so; it doesn't count as needing attention."""
    before = read(reporter)
    assert shown(before) == [1, 2] and before.snoozed.empty
    until = team.time + DAY
    reporter.snooze(line(before, 2), until, "the vendor is on holiday", "joe")
    asleep = read(reporter)
    assert shown(asleep) == [1] and hidden(asleep) == [2] and asleep.needs["task_id"].tolist() == [1]
    [row] = asleep.snoozed.to_dict("records")
    assert (row["until"], row["why"], row["by"]) == (until, "the vendor is on holiday", "joe")
    assert asleep.attention_head() == "1 silent · 1 snoozed"
    team.wait(minutes=24 * 60 - 1)
    assert hidden(read(reporter)) == [2]
    team.wait(minutes=1)
    assert shown(read(reporter)) == [1, 2] and read(reporter).snoozed.empty


def test_a_row_of_the_frame_is_snoozed_for_a_day_by_whoever_i_am(
    team: Board, reporter: WorkloadReporter
) -> None:
    """Without anything else; nobody has to say why."""
    reporter.snooze(read(reporter).attention.iloc[0])
    asleep = read(reporter).snoozed
    assert list(asleep.columns) == [*SNOOZED_COLUMNS]
    assert asleep["until"].tolist() == [team.time + DAY]
    assert asleep["by"].tolist() == ["ada"] and asleep["why"].isna().all()


def test_another_fact_brings_it_back_at_once(team: Board, reporter: WorkloadReporter) -> None:
    """Another silence is another one, and so is what is asked meanwhile, whenever the snooze would end."""
    reporter.snooze(line(read(reporter), 1), timedelta(days=30))
    assert shown(read(reporter)) == [2]
    team.store.add_comment(1, "@ada: which grammar?", created_by="vaela")
    assert read(reporter).attention["reason"].tolist() == ["urgent_unassigned", "waiting_on_human"]
    team.store.add_comment(1, "never mind", created_by="vaela")
    team.wait(minutes=60 * 25)
    assert read(reporter).attention["reason"].tolist() == ["urgent_unassigned", "silent"]


def test_a_snooze_without_a_time_holds_until_something_changes(
    team: Board, reporter: WorkloadReporter
) -> None:
    """However long that takes."""
    reporter.snooze(line(read(reporter), 1), None)
    team.wait(minutes=60 * 24 * 400)
    asleep = read(reporter)
    assert shown(asleep) == [2] and asleep.snoozed["until"].isna().all()
    team.store.update_task(1, description="begun")
    team.wait(minutes=60 * 25)
    assert shown(read(reporter)) == [1, 2]


def test_a_woken_line_is_back_at_once(team: Board, reporter: WorkloadReporter) -> None:
    """By its row in what is snoozed, or by what it is about."""
    reporter.snooze(line(read(reporter), 1))
    reporter.snooze(line(read(reporter), 2))
    reporter.wake(read(reporter).snoozed.iloc[0])
    assert len(read(reporter).attention) == 1
    [left] = hidden(read(reporter))
    reporter.wake({"about": "task", "id": left})
    assert shown(read(reporter)) == [1, 2]
    with pytest.raises(UsageError, match=rf"#{left} has no snooze to end, unless one stands in calypso_nb"):
        reporter.wake({"about": "task", "id": left})


def test_who_snoozes_again_says_the_new_end_of_all_of_it(team: Board, reporter: WorkloadReporter) -> None:
    """What was snoozed of it before is not back because something new was snoozed, too."""
    reporter.snooze(line(read(reporter), 1), timedelta(days=9))
    team.store.add_comment(1, "@ada: which grammar?", created_by="vaela")
    reporter.snooze(line(read(reporter), 1), timedelta(hours=2), "later")
    asleep = read(reporter)
    assert shown(asleep) == [2] and asleep.snoozed["why"].tolist() == ["later"]
    team.wait(minutes=121)
    assert shown(read(reporter)) == [1, 2]


def test_a_report_is_counted_again_without_asking_the_server(
    team: Board, reporter: WorkloadReporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a dashboard does after a click; the tasks are the same frames."""
    data = read(reporter)
    monkeypatch.setattr(team, "snapshot", None)
    reporter.snooze(line(data, 1))
    again = reporter.with_snoozes(data)
    assert shown(again) == [2] and again.tasks is data.tasks
    reporter.wake(line(data, 1))
    assert shown(reporter.with_snoozes(again)) == [1, 2]


# Whom


def test_a_snooze_of_an_agent_a_queue_or_the_team_is_one_line(
    team: Board, reporter: WorkloadReporter
) -> None:
    """As they stand in what needs attention; of the team it is the reason, also if fewer have it by then."""
    for agent in "abcd":
        team.store.insert_many(
            [{"title": "x", "status": "working", "assigned_to": agent, "created_at": team.time,
              "updated_at": team.time}] * 2
        )  # fmt: skip
    old = {"created_at": team.time - 30 * DAY, "updated_at": team.time - 30 * DAY}
    team.store.insert_many([{"title": "Someday", "queue_name": "backlog", **old}] * 2)
    data = read(reporter)
    assert {*data.attention["about"]} == {"task", "queue", "team"}
    for row in data.attention.to_dict("records"):
        reporter.snooze(row, why=row["about"])
    asleep = read(reporter)
    assert asleep.attention.empty
    assert dict(zip(asleep.snoozed["about"], asleep.snoozed["why"], strict=True)) == {
        about: about for about in ("task", "queue", "team")
    }
    team.store.update_task(4, status="complete")
    assert read(reporter).attention.empty
    [crowd] = [row for row in asleep.snoozed.to_dict("records") if row["about"] == "team"]
    reporter.wake(crowd)
    assert read(reporter).attention["about"].tolist() == ["agent"] * 3
    reporter.snooze(read(reporter).attention.iloc[0], why="off sick")
    asleep = read(reporter)
    assert len(asleep.attention) == 2
    assert asleep.snoozed.query("about == 'agent'")["why"].tolist() == ["off sick"]


@pytest.mark.parametrize(
    ("changed", "until", "said"),
    [
        ({}, MORNING, "a snooze ends in the future, and 2026-11-23 09:00:00 UTC is past"),
        ({}, timedelta(hours=-1), "a snooze ends in the future"),
        ({}, datetime(2030, 1, 1), "until: Input should have timezone info"),
        ({}, timedelta.max, "ends before the year 10000"),
        ({"facts": None}, DAY, "what is snoozed has facts"),
        ({"about": "world"}, DAY, r"a row of data\.attention"),
        ({"about": "queue", "queue": None}, DAY, r"a row of data\.attention"),
        ({"id": "one"}, DAY, "task: Input should be a valid integer"),
        ({"about": "team", "facts": "team:boredom"}, DAY, "team: Input should be 'old_untouched' or"),
    ],
)
def test_what_cannot_be_snoozed_is_said_and_nothing_is_kept(
    team: Board, reporter: WorkloadReporter, changed: dict[str, Any], until: Any, said: str
) -> None:
    """In one line."""
    with pytest.raises(UsageError, match=said) as caught:
        reporter.snooze(line(read(reporter), 2) | changed, until)
    assert "\n" not in str(caught.value)
    assert not (state_folder() / "snoozes.db").exists()


# Where it is kept


def test_a_snooze_survives_a_restart(team: Board, reporter: WorkloadReporter) -> None:
    """Whoever reads the same server afterwards, in another process too, has it."""
    reporter.snooze(line(read(reporter), 2), why="later")
    [row] = WorkloadReporter(team).snoozes.current().to_dict("records")
    assert (row["about"], row["name"], row["why"], row["by"]) == ("task", "2", "later", "ada")
    assert hidden(read(WorkloadReporter(team))) == [2]


def test_each_server_has_its_own(team: Board) -> None:
    """However its address is written."""
    line = {"about": "task", "id": 7, "facts": "abc"}
    Snoozes("http://one.example:3000").snooze(line)
    for server, count in (
        *(("http://one.example:3000/mcp", 1), ("http://one.example:3000/", 1)),
        *(("http://two.example:3000", 0), ("https://one.example:3000", 0), ("one.db", 0)),
    ):
        assert len(Snoozes(server).current()) == count, server


def test_a_task_of_another_database_with_the_same_number_is_another_one(
    team: Board, reporter: WorkloadReporter
) -> None:
    """A server whose database was replaced has another #2, which may need attention for the same reason."""
    reporter.snooze(line(read(reporter), 2), None)
    with closing(Board()) as other:
        other.wait(minutes=10)
        other.store.create_task("Other", "lead")
        other.store.create_task("Pay another bill", "lead", priority=10)
        other.wait(minutes=120)
        assert other.endpoint == team.endpoint
        assert shown(read(WorkloadReporter(other))) == [2]


def test_whoever_uses_a_history_shares_what_is_snoozed(
    team: Board, path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is kept in its file; your own from before it hold for you alone, and one call ends either."""
    own = WorkloadReporter(team)
    own.snooze(line(read(own), 1))
    with Recorder(team, path, every=BY_HAND):
        mine = WorkloadReporter(team, path)
        mine.snooze(line(read(mine), 2), why="for all")
        assert hidden(read(mine)) == [1, 2]
        monkeypatch.setenv("CALYPSO_NB_STATE", str(tmp_path / "joes"))
        joes = WorkloadReporter(team, path)
        assert hidden(read(joes)) == [2]
        with closing(History(path)) as history:
            assert history.now().snoozed["why"].tolist() == ["for all"]
            history.wake({"about": "task", "id": 2})
            assert shown(read(joes)) == [1, 2]
        assert not (tmp_path / "joes").exists()
        monkeypatch.undo()


def test_a_report_of_an_earlier_moment_has_what_was_snoozed_then(team: Board, path: Path) -> None:
    """Not what is snoozed now, and also what has been woken since."""
    with Recorder(team, path, every=BY_HAND) as recorder, closing(History(path)) as history:
        reporter, moments = WorkloadReporter(team, path), []
        for change in (lambda: reporter.snooze(line(read(reporter), 2), None), None, None):
            moments.append(team.time)
            team.wait(minutes=10)
            if change is not None:
                change()
            recorder.look()
        moments.append(team.time)
        team.wait(minutes=10)
        reporter.wake({"about": "task", "id": 2})
        recorder.look()
        assert [len(history.at(moment).snoozed) for moment in moments] == [0, 1, 1, 1]
        assert history.now().snoozed.empty and read(reporter).snoozed.empty
        assert len(read(reporter, details=False, as_of=moments[1]).snoozed) == 1


def test_a_view_that_follows_a_history_hears_of_a_snooze(team: Board, path: Path) -> None:
    """From whoever it comes, though no task has changed."""
    with closing(Live(team, WorkloadData, path, every=BY_HAND, hub=None)) as live:
        data, heard = live.read(), threading.Event()
        assert shown(data) == [1, 2]
        live.follow(lambda news: heard.set() if news else None)
        with closing(History(path)) as other:
            other.snooze(line(data, 2), why="later")
        assert heard.wait(SECONDS)
        assert hidden(live.read()) == [2]
        live.wake(line(data, 2))
        assert shown(live.with_snoozes(data)) == [1, 2]


@pytest.mark.slow
def test_processes_that_snooze_at_once_lose_nothing(team: Board) -> None:
    """The first one makes the file."""
    program = (
        "import sys\nfrom calypso_nb.snoozes import Snoozes\n"
        "for task in range(int(sys.argv[1]), int(sys.argv[1]) + 20):\n"
        "    Snoozes('http://one.example').snooze({'about': 'task', 'id': task, 'facts': 'abc'})\n"
    )
    root = str(Path(__file__).parent.parent)
    running = [subprocess.Popen([sys.executable, "-c", program, str(n)], cwd=root) for n in (100, 200, 300)]
    assert [process.wait(SECONDS) for process in running] == [0, 0, 0]
    with closing(sqlite3.connect(state_folder() / "snoozes.db")) as connection:
        assert connection.execute("SELECT count(DISTINCT name) FROM snooze").fetchone() == (60,)


# What goes wrong


def test_a_hostile_reason_is_inert_everywhere(team: Board, reporter: WorkloadReporter) -> None:
    """In a terminal, in JSON and in a spreadsheet, and so is a name."""
    rows = []
    for why in HOSTILE:
        reporter.snooze(line(read(reporter), 2) if not rows else rows[0], None, why, why)
        data = read(reporter)
        rows = rows or [{**data.snoozed.to_dict("records")[0]}]
        text = data.to_console(200)
        assert not {"\x1b", "\x07", "\r", "\u202e", "\0"} & {*text}
        assert visible(why) in text
        document = data.to_json()
        assert document.isascii() and json.loads(document)["snoozed"][0]["why"] == why
        [_, cells] = csv.reader(io.StringIO(to_csv(data.snoozed), newline=""))
        assert cells[-2].removeprefix("'")[:1] == why[:1] and cells[-2][:1] not in "=+-@\t\r\n\0"


def test_text_that_is_not_utf_8_is_kept_as_far_as_it_is(team: Board, reporter: WorkloadReporter) -> None:
    """As a shell gives it."""
    reporter.snooze(line(read(reporter), 2), why="caf\udce9", by="jos\udce9")
    assert read(reporter).snoozed[["why", "by"]].values.tolist() == [["caf?", "jos?"]]


def test_a_saved_report_has_its_snoozes(team: Board, reporter: WorkloadReporter) -> None:
    """It is read back the same; one from before them has none."""
    reporter.snooze(line(read(reporter), 2), why="later")
    data = read(reporter)
    again = WorkloadData.from_json(data.to_json())
    assert again.snoozes == data.snoozes and again.snoozed.equals(data.snoozed)
    document = json.loads(data.to_json())
    del document["snoozes"]
    assert WorkloadData.from_json(json.dumps(document)).snoozed.empty


@pytest.mark.parametrize("damage", ["text", "row"])
def test_a_damaged_file_shows_everything_and_says_what_to_do(
    team: Board, reporter: WorkloadReporter, damage: str
) -> None:
    """A report has all lines and a warning; to snooze is an error, and the file stays as it is."""
    data = read(reporter)
    reporter.snooze(line(data, 2))
    file = state_folder() / "snoozes.db"
    if damage == "text":
        file.write_text("something else entirely, and longer than a hundred bytes" * 5)
    else:
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("UPDATE snooze SET name = 'two'")
    with pytest.warns(UserWarning, match=r"what is snoozed there is shown: .*snoozes\.db .*move it away"):
        assert shown(read(reporter)) == [1, 2]
    if damage == "text":
        for ask in (lambda: reporter.snooze(line(data, 2)), reporter.snoozes.current):
            with pytest.raises(UsageError, match=r"snoozes\.db does not hold snoozes.*move it away"):
                ask()
        assert file.read_text().startswith("something else")


def test_a_folder_that_cannot_be_written_is_named(
    team: Board, reporter: WorkloadReporter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With what helps; a report goes on as if there were none."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CALYPSO_NB_STATE", str(tmp_path / "file" / "state"))
    data = read(reporter)
    with pytest.raises(
        OSError, match=r"snoozes\.db can't be written \(Not a directory\): let CALYPSO_NB_STA"
    ):
        reporter.snooze(line(data, 2))
    monkeypatch.setenv("CALYPSO_NB_STATE", str(tmp_path))
    (tmp_path / "snoozes.db").mkdir()
    with pytest.raises(OSError, match=r"snoozes\.db can't be written \(unable to open database file\)"):
        reporter.snooze(line(data, 2))


def test_a_file_that_somebody_locks_is_waited_for_and_then_named(
    team: Board, reporter: WorkloadReporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost by trying again."""
    data = read(reporter)
    reporter.snooze(line(data, 1))
    monkeypatch.setattr(kept, "_PATIENCE", 0.0)
    with closing(sqlite3.connect(state_folder() / "snoozes.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OSError, match=r"\(database is locked\): somebody else is writing .* try again"):
            reporter.snooze(line(data, 2))
        with pytest.warns(UserWarning, match="what is snoozed there is shown: .*database is locked"):
            assert shown(read(reporter)) == [1, 2]
    reporter.snooze(line(data, 2))
    assert hidden(read(reporter)) == [1, 2]


def test_a_history_that_is_none_is_said_and_your_own_still_hold(
    team: Board, reporter: WorkloadReporter, clean_environment: Path
) -> None:
    """The usual file is not asked for by anybody."""
    reporter.snooze(line(read(reporter), 2))
    (clean_environment / "history.db").write_text("no history at all" * 20)
    with pytest.warns(UserWarning, match="what is snoozed in the history is shown: .*is not a history"):
        assert hidden(read(reporter)) == [2]
    with pytest.raises(UsageError, match="is not a history"):
        reporter.snooze(line(read(reporter), 1))
