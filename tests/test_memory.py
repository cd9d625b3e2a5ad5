"""What a history shows: frames of what happened, reports of how it was, the same from a folder of Parquet."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from calypso_nb import History, Recorder, WorkloadReporter
from calypso_nb.errors import UsageError
from calypso_nb.flow.items import HOUR
from calypso_nb.frames import TASK_COLUMNS
from calypso_nb.history import lake
from calypso_nb.history.journeys import Journeys
from calypso_nb.history.memory import (
    COVERAGE_COLUMNS,
    EVENT_COLUMNS,
    FEED_COLUMNS,
    SERVER_COLUMNS,
    SPELL_COLUMNS,
)
from calypso_nb.history.moments import moment_in
from calypso_nb.history.pushes import served
from calypso_nb.history.signs import usual_gaps
from calypso_nb.history.store import HistoryStore
from tests.pasts import recorded
from tests.test_surface import dtypes, dtypes_of
from tests.watched import BY_HAND, MORNING, Board

pytestmark = pytest.mark.usefixtures("clean_environment")

FRAMES = {
    "events": EVENT_COLUMNS,
    "spells": SPELL_COLUMNS,
    "coverage": COVERAGE_COLUMNS,
    "feed": FEED_COLUMNS,
    "servers": SERVER_COLUMNS,
}


def minutes(*numbers: float) -> list[datetime]:
    """Return moments so many minutes after the morning's begin."""
    return [MORNING + timedelta(minutes=number) for number in numbers]


def work(board: Board, look: Callable[[], object]) -> None:
    """A day's work: looked at every ten minutes from nine on, with something done halfway between."""

    def then(do: Callable[[], object]) -> None:
        board.wait(minutes=5)
        do()
        board.wait(minutes=5)
        look()

    board.create_task("Design", created_by="lead", assigned_to="alice", queue_name="dev")
    look()
    then(lambda: board.signup_for_task("alice"))  # 9:05
    then(lambda: board.update_task(1, status="complete"))  # 9:15
    then(lambda: board.update_task(1, status="idle", assigned_to="bob"))  # 9:25
    then(lambda: board.archive_task(1))  # 9:35


@pytest.fixture
def history(board: Board, path: Path) -> Iterator[History]:
    """The history of a day's work, of which only looks tell."""
    with Recorder(board, path, every=600, name="team") as recorder:
        work(board, recorder.look)
        with closing(History(path)) as history:
            yield history


@pytest.fixture
def exact(board: Board, path: Path) -> Iterator[History]:
    """The history of the same work, of which the server tells each change."""
    with Recorder(board, path, every=600, name="team") as recorder:
        board.store.listeners.append(lambda changes: recorder.hear(served(changes)))
        work(board, recorder.look)
        with closing(History(path)) as history:
            yield history


# Frames


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_has_the_documented_columns(name: str, history: History, path: Path, board: Board) -> None:
    """With rows and without any, the names and dtypes of its table."""
    frame = getattr(history, name)
    assert len(frame)
    assert dtypes_of(frame) == dtypes(FRAMES[name])
    with Recorder(board, path.with_name("empty.db")) as recorder:
        recorder._store.write("DELETE FROM event")
        empty = getattr(History(recorder.path), name)
        assert dtypes_of(empty) == dtypes(FRAMES[name])
    assert dtypes_of(history.tasks_at(MORNING + timedelta(minutes=1))) == dtypes(TASK_COLUMNS)


def test_events_say_what_became_what_and_who_did_it(exact: History) -> None:
    """In order of time, exact, with the agent that the server names."""
    assert exact.events["exact"].all()
    assert (exact.events["not_before"] == exact.events["not_after"]).all()
    rows = exact.events[["not_before", "change", "before", "after", "by", "source"]]
    assert rows.astype("object").where(rows.notna(), None).values.tolist() == [
        [minutes(0)[0], "new", None, None, "lead", "pushed"],
        [minutes(5)[0], "started", "idle", "working", "alice", "pushed"],
        [minutes(15)[0], "finished", "working", "complete", None, "pushed"],
        [minutes(25)[0], "reopened", "complete", "idle", None, "pushed"],
        [minutes(25)[0], "reassigned", "alice", "bob", None, "pushed"],
        [minutes(25)[0], "edited", None, "alice", None, "pushed"],  # Who had it before.
        [minutes(35)[0], "archived", None, "2026-11-23T09:35:00Z", None, "pushed"],
    ]


def test_spells_are_how_long_who_had_what(exact: History) -> None:
    """Derived by hand: idle for 5 minutes, at work for 10, complete for 10, then bob's for 10."""
    spells = exact.spells
    assert spells[["status", "agent", "queue"]].values.tolist() == [
        ["idle", "alice", "dev"],
        ["working", "alice", "dev"],
        ["complete", "alice", "dev"],
        ["idle", "bob", "dev"],
    ]
    assert spells["from_not_before"].tolist() == minutes(0, 5, 15, 25)
    assert spells["to_not_after"].tolist() == minutes(5, 15, 25, 35)
    hours = [number / 60 for number in (5, 10, 10, 10)]
    assert spells["hours_least"].tolist() == pytest.approx(hours)
    assert spells["hours_most"].tolist() == pytest.approx(hours)
    assert spells["seen"].all()


def test_spells_by_looks_alone_have_bounds(history: History) -> None:
    """Derived by hand: the server says to the second when a task was last edited, and no more."""
    spells = history.spells
    assert spells[["status", "agent"]].values.tolist() == [
        ["idle", "alice"],
        ["working", "alice"],
        ["complete", "alice"],
        ["idle", "bob"],
    ]
    # Each change happened after the look before it, and up to the task's last edit, known to the second.
    low, high = minutes(0, 0, 10, 20), [time + timedelta(seconds=1) for time in minutes(0, 5, 15, 25)]
    assert [time.round("s") for time in spells["from_not_before"]] == low
    assert (spells["from_not_after"] <= high).all()
    assert (spells["from_not_after"] >= minutes(0, 5, 15, 25)).all()
    # Idle from nine until sometime between nine and five past.
    assert spells["hours_least"].iloc[0] == pytest.approx(0, abs=1e-3)
    assert spells["hours_most"].iloc[0] == pytest.approx(5 / 60, abs=1e-3)
    # At work from 9:00 to 9:05 on, until 9:10 to 9:15.
    assert spells["hours_least"].iloc[1] == pytest.approx(5 / 60, abs=1e-3)
    assert spells["hours_most"].iloc[1] == pytest.approx(15 / 60, abs=1e-3)
    # The truth lies between.
    assert (spells["hours_least"] <= [5 / 60, 10 / 60, 10 / 60, 10 / 60]).all()
    assert (spells["hours_most"] >= [5 / 60, 10 / 60, 10 / 60, 10 / 60]).all()


def test_a_spell_that_goes_on_has_no_end(board: Board, path: Path) -> None:
    """Its length is that up to the last look."""
    with Recorder(board, path, every=BY_HAND) as recorder:
        board.create_task("Design", created_by="lead", assigned_to="alice")
        recorder.look()
        board.wait(minutes=90)
        recorder.look()
    [spell] = History(path).spells.itertuples()
    assert pd.isna(spell.to_not_before)
    assert pd.isna(spell.to_not_after)
    assert spell.hours_least == pytest.approx(1.5, abs=1e-3)


def test_work_that_nobody_saw_is_told_to_be_unseen(board: Board, path: Path) -> None:
    """From idle to complete between two looks it was at work, for how long nobody knows."""
    with Recorder(board, path, every=BY_HAND) as recorder:
        board.create_task("Design", created_by="lead", assigned_to="alice")
        recorder.look()
        board.wait(minutes=5)
        board.update_task(1, status="working")
        board.update_task(1, status="complete")
        board.wait(minutes=5)
        recorder.look()
    history = History(path)
    assert history.events[["change", "source"]].values.tolist() == [
        ["new", "listed"],
        ["started", "unseen"],
        ["finished", "listed"],
    ]
    working = history.spells.query("status == 'working'").iloc[0]
    assert not working["seen"]
    assert (working["hours_least"], working["hours_most"]) == pytest.approx((0, 5 / 60), abs=1e-3)


def test_the_feed_has_what_was_said_and_done(board: Board, path: Path) -> None:
    """In one order, comments with their authors, one that was deleted left out."""
    with Recorder(board, path, every=BY_HAND) as recorder:
        board.store.listeners.append(lambda changes: recorder.hear(served(changes)))
        board.create_task("Design", created_by="lead", assigned_to="alice")
        board.wait(minutes=1, seconds=0.25)
        board.add_comment(1, "so far so good", created_by="alice")
        board.wait(minutes=1)
        board.add_comment(1, "a slip", created_by="alice")
        board.wait(minutes=1)
        board.update_task(1, priority=4)
        board.delete_comment(2)
        board.wait(minutes=1)
        recorder.look()
    feed = History(path).feed
    rows = feed[["what", "agent", "text"]]
    assert rows.astype("object").where(rows.notna(), None).values.tolist() == [
        ["new", "lead", None],
        ["said", "alice", "so far so good"],
        ["reprioritised", None, "0 → 4"],
    ]
    quarter = timedelta(seconds=0.25)
    assert feed["not_after"].tolist() == [MORNING, *(time + quarter for time in minutes(1, 3))]
    latest = History(path).latest
    assert latest("alice", [])["text"].tolist() == ["so far so good"]
    assert latest("alice", [1], most=2)["what"].tolist() == ["reprioritised", "said"]
    assert latest("bob", [2]).empty
    assert (feed["not_before"] == feed["not_after"]).all()


def test_a_comment_is_no_more_exact_than_its_time_is_known(board: Board, path: Path) -> None:
    """TinyTask keeps whole seconds; one without a time is the last, and not of 1970."""
    with Recorder(board, path, every=BY_HAND) as recorder:
        board.create_task("Design", created_by="lead")
        board.wait(minutes=1, seconds=0.5)
        board.add_comment(1, "so far so good", created_by="alice")
        board.list_comments(1)
        recorder._journal.comments([{"id": 9, "task_id": 1, "content": "when?", "created_by": "bob"}])
        board.wait(minutes=1)
        recorder.look()
    feed = History(path).feed
    assert feed["what"].tolist() == ["new", "said", "said"]
    assert feed["text"].tolist()[1:] == ["so far so good", "when?"]
    [said] = feed[feed["agent"] == "alice"].itertuples()
    assert [said.not_before, said.not_after] == [minutes(1)[0], minutes(1)[0] + timedelta(seconds=1)]
    assert feed.iloc[2][["not_before", "not_after"]].isna().all()


# How it was


def test_how_it_was_at_any_moment(exact: History) -> None:
    """The whole report, as if the server had been asked then."""
    past = exact.at(MORNING + timedelta(minutes=10))
    assert (past.summary.total_working, past.summary.total_idle) == (1, 0)
    assert past.generated_at == MORNING + timedelta(minutes=10)
    assert past.tasks["age_hours"].tolist() == pytest.approx([1 / 6])
    assert past.tasks["comment_count"].isna().all()
    assert past.endpoint == "team"
    assert exact.at(MORNING + timedelta(minutes=20), "complete").tasks["id"].tolist() == [1]
    assert exact.at(MORNING + timedelta(minutes=30), agent_filter="bob").tasks["id"].tolist() == [1]
    assert "alice" in past.to_markdown()


def test_an_exact_moment_is_on_the_side_of_the_change(exact: History) -> None:
    """At the microsecond of a change it has happened, one before it has not."""
    at = minutes(5)[0]
    for when, status in ((at - timedelta(microseconds=1), "idle"), (at, "working")):
        assert exact.at(when).tasks["status"].item() == status


def test_what_is_not_certain_is_warned_of(history: History) -> None:
    """A task that somebody changed before the next look may have been different already."""
    doubt = r"#1 may have been different: somebody changed it up to .*, and nobody looked in between"
    with pytest.warns(UserWarning, match=doubt):
        assert history.at(MORNING + timedelta(minutes=3)).tasks["status"].item() == "idle"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert history.at(MORNING + timedelta(minutes=7)).tasks["status"].item() == "working"
    with pytest.warns(UserWarning, match="nothing is known after 2026-11-23 09:40:00 UTC"):
        history.at(MORNING + timedelta(days=1))


def test_a_moment_that_is_not_known_is_refused(history: History) -> None:
    """With when recording began."""
    with pytest.raises(
        UsageError, match="2026-11-23 08:59:59 UTC is not known: recording began at 2026-11-23 09"
    ):
        history.at(MORNING - timedelta(seconds=1))


def test_a_moment_to_come_is_refused(history: History, board: Board) -> None:
    """And not reported as if it were known; a clock that is a little ahead is no matter."""
    with pytest.raises(UsageError, match=r"2031-01-01 .* is in the future; the last that is known is 2026"):
        history.at("2031-01-01")
    board.endpoint = "team"
    with pytest.raises(UsageError, match="is in the future"):
        WorkloadReporter(board, history.path).collect_workload_data(as_of="2031-01-01")
    with pytest.raises(UsageError, match="is in the future"):
        history.at(datetime.now(UTC) + timedelta(minutes=3))
    for moment in ("now", datetime.now(UTC) + timedelta(minutes=1)):
        with pytest.warns(UserWarning, match="nothing is known after"):
            history.at(moment)


def test_how_well_it_was_recorded_since_a_moment_in_words(history: History) -> None:
    """The same moments as those of `at`."""
    assert history.recorded("2026-11-23T09:30Z").hours == pytest.approx(1 / 6, abs=1e-3)
    assert history.recorded("1 min ago").hours == 0
    with pytest.raises(UsageError, match="is not a valid moment"):
        history.recorded("soon")


def test_what_a_retention_keeps_is_not_new(board: Board, path: Path) -> None:
    """How the tasks were stays; that they came when the older things were forgotten is not said."""
    with Recorder(board, path, every=BY_HAND, keep="30d") as recorder:
        board.create_task("Design", created_by="lead", assigned_to="alice")
        for days, priority in ((10, 1), (30, 2), (5, 2)):
            board.wait(minutes=60 * 24 * days)
            board.update_task(1, priority=priority)
            recorder.look()
        assert recorder.prune() > 0
        history = History(path)
        assert set(history.events["change"]) == set(history.feed["what"]) == {"reprioritised"}
        assert history.now().tasks["id"].tolist() == [1]
        [spell] = history.spells.itertuples()
        assert spell.seen
        assert spell.from_not_before == MORNING  # When TinyTask says that the task was created.
        assert spell.from_not_after >= MORNING + timedelta(days=10)
        assert spell.hours_least < spell.hours_most == pytest.approx(45 * 24, abs=0.01)


def test_a_reporter_reports_how_it_was(exact: History, board: Board) -> None:
    """`collect_workload_data(as_of=…)` reads the history of its client's server, and asks no server."""
    board.endpoint = "team"
    reporter = WorkloadReporter(board, exact.path)
    board.store.close()
    data = reporter.collect_workload_data(as_of=MORNING + timedelta(minutes=10))
    assert data.tasks["status"].tolist() == ["working"]
    assert data.tasks.equals(exact.at(MORNING + timedelta(minutes=10)).tasks)
    assert "2026-11-23 09:10" in data.to_console()
    elsewhere = WorkloadReporter(board, exact.path.with_name("no.db"))
    with pytest.raises(UsageError, match="no history at"):
        elsewhere.collect_workload_data(as_of=MORNING)
    board.endpoint = "another team"
    with pytest.raises(UsageError, match="has nothing of another team, but of team"):
        reporter.collect_workload_data(as_of=MORNING)


def test_now_is_how_it_is_without_asking(history: History) -> None:
    """As of the last look; a complete task counts too."""
    now = history.now()
    assert now.generated_at.replace(microsecond=0) == MORNING + timedelta(minutes=40)
    assert now.all_tasks["archived_at"].notna().all()
    assert len(now.tasks) == 0


def test_whether_a_task_was_blocked_follows_from_its_blocker(board: Board, path: Path) -> None:
    """The server says it of the present only."""
    with Recorder(board, path, every=BY_HAND) as recorder:
        board.create_task("Design", created_by="lead")
        board.create_task("Tests", created_by="lead", blocked_by_task_id=1)
        recorder.look()
        board.wait(minutes=10)
        board.update_task(1, status="complete")
        board.wait(minutes=10)
        recorder.look()
    history = History(path)
    for minute, blocked in ((0.1, True), (15, False)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tasks = history.tasks_at(MORNING + timedelta(minutes=minute)).set_index("id")
        assert tasks.loc[2, "is_currently_blocked"] == blocked


# Moments


@pytest.mark.parametrize(
    ("words", "moment"),
    [
        ("2026-11-23 18:00", "2026-11-23 18:00"),
        ("2026-11-23", "2026-11-23 00:00"),
        ("2026-11-23T18:00Z", "2026-11-23 19:00"),
        ("2026-11-23 18:00+01:00", "2026-11-23 18:00"),
        ("today", "2026-11-25 00:00"),
        ("Today at 9:30", "2026-11-25 09:30"),
        ("yesterday  18:00", "2026-11-24 18:00"),
        ("3h ago", "2026-11-25 09:00"),
        ("90 min ago", "2026-11-25 10:30"),
        ("1 week ago", "2026-11-18 12:00"),
        ("2d ago", "2026-11-23 12:00"),
        ("today 9:30:05", "2026-11-25 09:30:05"),
        ("yesterday at 18:00:05", "2026-11-24 18:00:05"),
        ("Now", "2026-11-25 12:00"),
        ("1d 2h 3min 4s ago", "2026-11-24 09:56:56"),
    ],
)
def test_a_moment_in_words(words: str, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Local time unless they say else; the same in every form."""
    import time

    monkeypatch.setenv("TZ", "Europe/Zurich")
    time.tzset()
    now = datetime(2026, 11, 25, 11, tzinfo=UTC)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = moment_in(words, now)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert found == datetime.fromisoformat(moment).replace(tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    "words",
    [
        "",
        "soon",
        "yesterday 25:00",
        "3 parsecs ago",
        "ago",
        "2026-13-01",
        "NaT ago",
        "-3h ago",
        "1e9999d ago",
    ],
)
def test_what_is_no_moment_says_what_is_one(words: str, history: History) -> None:
    """One sentence with examples."""
    with pytest.raises(
        UsageError,
        match=r"is not a valid moment: write 2026-11-23 18:00, yesterday 18:00, .*ago, in 2 weeks or now",
    ):
        history.at(words)


def test_a_datetime_without_a_zone_is_refused(history: History) -> None:
    """It may mean anything."""
    with pytest.raises(UsageError, match="a moment needs a time zone"):
        history.at(datetime(2026, 11, 23, 9))


def test_a_datetime_that_no_calendar_has_in_utc_is_refused(history: History) -> None:
    """In words, and not by an error of Python's."""
    with pytest.raises(UsageError, match="is not a valid moment: in UTC its year is not 1 to 9999"):
        history.at(datetime.min.replace(tzinfo=timezone(timedelta(hours=14))))


# Several servers


@pytest.fixture
def several(board: Board, path: Path) -> Iterator[History]:
    """A file with two servers, of which one has had two databases; `team` is asked for."""
    with Recorder(board, path, every=600, name="team") as recorder:
        board.store.listeners.append(lambda changes: recorder.hear(served(changes)))
        board.create_task("Old", created_by="lead", tags=["a", "b"], priority=3)
        board.wait(minutes=1)
        recorder.look()
    for name in ("team", "others"):
        with Board() as another:
            another.time = board.time + timedelta(minutes=30)
            with Recorder(another, path, every=600, name=name) as recorder:
                work(another, recorder.look)
                another.create_task("Tests", created_by="lead", tags=["c"], priority=2)
                another.update_task(2, tags=["c", "d, e"], priority=7)
                another.add_comment(2, "so far so good", created_by="alice")
                another.wait(minutes=120)
                recorder.look()
    with closing(History(path, "team")) as history:
        yield history


def test_of_several_servers_one_is_named(several: History) -> None:
    """Or it is an error that names them."""
    assert several.server == "team"
    history = History(several.path)
    assert history.servers["server"].tolist() == ["others", "team", "team"]
    with pytest.raises(UsageError, match=r"several servers: name one, .*: others, team"):
        history.events  # noqa: B018
    with pytest.raises(UsageError, match="has nothing of nobody, but of others, team"):
        History(several.path, "nobody").now()


@pytest.mark.parametrize("called", ["", "/", "/mcp", "/mcp/"])
@pytest.mark.parametrize("kept", ["", "/mcp"])
def test_a_server_is_found_by_its_address_however_written(
    called: str, kept: str, board: Board, path: Path, tmp_path: Path
) -> None:
    """As endpoints are everywhere, with `/mcp` or without; another port is another server."""
    for port in (3391, 3392):
        with Recorder(board, path, every=BY_HAND, name=f"http://127.0.0.1:{port}{kept}"):
            pass
    asked = f"http://127.0.0.1:3391{called}"
    with closing(History(path, asked)) as history:
        assert history.server == f"http://127.0.0.1:3391{kept}"
        history.export(tmp_path / "lake")
    assert History(tmp_path / "lake", asked).server == f"http://127.0.0.1:3391{kept}"
    with pytest.raises(UsageError, match=r"has nothing of http://127\.0\.0\.1:3393"):
        History(path, "http://127.0.0.1:3393/mcp").now()


# The lake


@pytest.mark.parametrize("name", ["team", "others"])
def test_a_folder_of_parquet_says_the_same_as_the_file(name: str, several: History, tmp_path: Path) -> None:
    """Every frame and every report, of one of two servers."""
    lines = several.export(tmp_path / "lake")
    assert [line.partition(":")[0] for line in lines] == ["others", "team", "team, epoch 2"]
    file, folder = History(several.path, name), History(tmp_path / "lake", name)
    assert (file.feed["what"] == "said").sum() == 1
    for frame in FRAMES:
        pd.testing.assert_frame_equal(getattr(folder, frame), getattr(file, frame))
    for minute in (36, 50, 70, 100):
        when = MORNING + timedelta(minutes=minute)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pd.testing.assert_frame_equal(folder.at(when).tasks, file.at(when).tasks)
    assert folder.now().summary == file.now().summary
    assert folder.recorded() == file.recorded()


def test_an_export_replaces_what_it_exported_before(board: Board, path: Path, tmp_path: Path) -> None:
    """No row twice, nothing that was forgotten since, and of another file's servers nothing is lost."""
    with Board() as other, Recorder(other, path.with_name("other.db"), name="others") as recorder:
        History(recorder.path).export(tmp_path / "lake")
        assert len(History(tmp_path / "lake").events) == 0
    with Recorder(board, path, every=BY_HAND, name="team", keep="30d") as recorder:
        history = History(path)
        for number in range(4):
            board.create_task(f"task {number}", created_by="lead")
            recorder.look()
            board.wait(minutes=60 * 24 * 20)
            recorder.look()
            history.export(tmp_path / "lake")
            pd.testing.assert_frame_equal(History(tmp_path / "lake", "team").events, history.events)
        assert recorder.prune() > 0
        history.export(tmp_path / "lake")
        pd.testing.assert_frame_equal(History(tmp_path / "lake", "team").events, history.events)
    assert History(tmp_path / "lake").servers["server"].tolist() == ["others", "team"]


def test_an_export_is_of_one_moment(
    several: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a recorder writes between two parts of it is in none of them."""
    before = {name: History(several.path, name).events for name in ("others", "team")}
    read = lake._rows

    def read_meanwhile(store: HistoryStore, table: str, server: int) -> Iterator[list[tuple[Any, ...]]]:
        for rows in read(store, table, server):
            yield rows
            with HistoryStore(several.path, write=True) as recorder:
                recorder.write("DELETE FROM event WHERE server = ? AND id = ?", server, rows[0][0])
                recorder.write("UPDATE event SET id = id + 1000 WHERE server = ?", server)

    monkeypatch.setattr(lake, "_BATCH", 2)
    monkeypatch.setattr(lake, "_rows", read_meanwhile)
    several.export(tmp_path / "lake")
    for name, events in before.items():
        pd.testing.assert_frame_equal(History(tmp_path / "lake", name).events, events)


def test_an_export_that_fails_leaves_the_earlier_one(
    several: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole, and nothing of the new one beside it."""
    several.export(tmp_path / "lake")
    files = {place: place.read_bytes() for place in (tmp_path / "lake").rglob("*") if place.is_file()}

    def full(store: HistoryStore, table: str, server: int) -> Iterator[list[tuple[Any, ...]]]:
        if table == "note":
            raise OSError("no space left on device")
        yield from read(store, table, server)

    read = lake._rows
    monkeypatch.setattr(lake, "_rows", full)
    with pytest.raises(OSError, match="no space left"):
        several.export(tmp_path / "lake")
    assert files == {p: p.read_bytes() for p in (tmp_path / "lake").rglob("*") if p.is_file()}
    assert {place.name for place in (tmp_path / "lake").iterdir()} == {"events", "notes", "observations"}


def test_times_before_1970_come_back_as_times(board: Board, path: Path, tmp_path: Path) -> None:
    """From a folder as from the file."""
    with Recorder(board, path, every=BY_HAND, name="team") as recorder:
        board.create_task("Design", created_by="lead")
        recorder.look()
        board.archive_task(1)
        recorder.look()
        recorder._store.write("UPDATE event SET new = -315619200 WHERE field = 'archived_at'")
        history = History(path)
        history.export(tmp_path / "lake")
        assert "1960-01-01T00:00:00Z" in history.events["after"].tolist()
        pd.testing.assert_frame_equal(History(tmp_path / "lake").events, history.events)


def test_each_server_of_a_folder_in_turn(several: History, tmp_path: Path) -> None:
    """What a function makes of each, one under the other."""
    several.export(tmp_path / "lake")
    found = History.each(tmp_path / "lake", lambda history: history.spells)
    assert found["server"].unique().tolist() == ["others", "team"]
    assert found.groupby("server").size().tolist() == [5, 5]
    assert found.columns[0] == "server"


@pytest.mark.slow
def test_each_server_of_a_folder_on_a_cluster(several: History, tmp_path: Path) -> None:
    """The same, done by the workers of Dask."""
    from distributed import LocalCluster

    several.export(tmp_path / "lake")
    with LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        found = History.each(tmp_path / "lake", _changes, dask=cluster.scheduler_address)
    pd.testing.assert_frame_equal(found, History.each(tmp_path / "lake", _changes))


def _changes(history: Any) -> pd.DataFrame:
    return history.events[["task_id", "change"]]


def test_a_folder_that_is_no_lake_says_what_makes_one(tmp_path: Path) -> None:
    """Not an error of DuckDB's."""
    with pytest.raises(UsageError, match="has no history: `calypso-nb history export` writes one"):
        History(tmp_path)


def test_an_agents_own_gaps_are_those_between_its_signs_while_it_works(board: Board, path: Path) -> None:
    """Ten minutes between its comments and once an hour: 95 % are within ten. Too few say nothing."""
    with Recorder(board, path, every=BY_HAND) as recorder:
        board.store.listeners.append(lambda changes: recorder.hear(served(changes)))
        board.create_task("Design", created_by="lead", assigned_to="alice")
        board.create_task("Build", created_by="lead", assigned_to="bob")
        for task in (1, 2):
            board.update_task(task, status="working")
        for number in range(40):
            board.wait(minutes=60 if number == 20 else 10)
            board.add_comment(1, f"part {number}", created_by="alice")
            board.add_comment(2, "any news?", created_by="lead")
        board.wait(minutes=10)
        for task in (1, 2):
            board.update_task(task, status="idle")
        board.wait(minutes=500)
        board.add_comment(1, "resting", created_by="alice")
        recorder.look()
    with closing(History(path)) as history:
        assert history.habits().silent_after == {"alice": pytest.approx(1 / 6)}
        assert history.now().silent_after == history.habits().silent_after
        [(begin, end), (_, rested)] = history.now().pauses
        assert end - begin == timedelta(hours=1) and rested - end > timedelta(hours=11)


def test_a_sign_that_is_known_twice_is_no_gap_of_an_agent() -> None:
    """Each stretch of work begins and ends with an edit; of 20 stretches there are 20 gaps, not 60."""
    journeys = recorded(np.full(20, 1), 0, assigned_to="alice")
    edits = journeys.steps[["task_id", "high"]].values.tolist()
    at = journeys.steps.pivot(index="task_id", columns="status", values="high")
    hours = (at["complete"] - at["working"]) / HOUR
    assert usual_gaps(journeys, edits, []) == {"alice": pytest.approx(hours.quantile(0.95))}
    assert usual_gaps(journeys, edits[:-3], []) == usual_gaps(journeys, [], [])
    fewer = journeys._replace(steps=journeys.steps[journeys.steps["task_id"] < 20])
    assert usual_gaps(fewer, edits, []) == {}


def test_a_change_in_the_midst_of_work_ends_a_gap() -> None:
    """A tag that is changed at half-time makes two gaps of one."""
    steps = recorded(np.full(20, 1), 0, assigned_to="alice").steps
    times = steps[steps["status"] != "idle"].groupby("task_id")["high"]
    half, whole = times.mean(), times.max() - times.min()
    more = steps[steps["status"] == "working"].set_index("task_id", drop=False)
    more = more.assign(low=half, high=half, known=half)
    steps = pd.concat([steps, more]).sort_values(["task_id", "high"], ignore_index=True)
    journeys = Journeys(steps, {}, 0.0, float(steps["high"].max()), np.empty((0, 2)))
    expected = (whole / HOUR / 2).quantile(0.95)
    assert usual_gaps(journeys, [], []) == {"alice": pytest.approx(expected, rel=0.1)}
    assert usual_gaps(journeys._replace(steps=steps[steps["task_id"] <= 10]), [], []) != {}
