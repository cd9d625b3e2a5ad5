"""What a digest tells: each kind of thing, questions first, nothing twice and nothing missed, by arrival."""

from __future__ import annotations

import json
import random
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Barrier, Thread
from typing import Any, Literal

import jsonschema
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from calypso_nb import History, Recorder, TinytaskClient, WorkloadData, WorkloadReporter, digest_between
from calypso_nb.embedded import TinytaskStore
from calypso_nb.errors import UsageError
from calypso_nb.history import digest as digests
from calypso_nb.history.changes import CREATED, DELETED, micros_of
from calypso_nb.history.digest import AGENT_COLUMNS, DIGEST_COLUMNS, Digest
from calypso_nb.history.memory import _text
from calypso_nb.history.pushes import Pushed, served
from calypso_nb.history.steps import KINDS
from calypso_nb.text.console import digest_to_console
from calypso_nb.text.json import digest_to_json
from calypso_nb.text.markdown import digest_to_chat, digest_to_markdown
from calypso_nb.text.schema import digest_schema
from calypso_nb.view.digest_page import digest_page
from tests.boards import HOSTILE
from tests.test_surface import dtypes, dtypes_of
from tests.watched import BY_HAND, Board

pytestmark = pytest.mark.usefixtures("clean_environment")

LEASE = "Lease 0123456789ab of 60 s, sign 1: host runs default for alice"
RECORD = "Run 0123456789ab of fix for alice on host: failed after 2.5 s, exit code 1."


@contextmanager
def at_work(board: Board, path: Path, *, pushed: bool = True) -> Iterator[tuple[Recorder, History]]:
    """A board that is recorded, and its history; it tells of each change at once if `pushed`."""
    with Recorder(board, path, every=BY_HAND, name="team") as recorder:
        if pushed:
            board.store.listeners.append(lambda changes: recorder.hear(served(changes)))
        with closing(History(path)) as history:
            yield recorder, history


@pytest.fixture
def clock(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader whose clock is the board's."""
    monkeypatch.setattr(digests, "_now", lambda: micros_of(board.time))


@pytest.fixture
def team(board: Board, path: Path, clock: None) -> Iterator[tuple[Recorder, History]]:
    """Two tasks that eve has seen, and a board that tells of each change."""
    board.create_task("Design", created_by="lead", assigned_to="alice", queue_name="dev")
    board.create_task("Tests", created_by="lead", assigned_to="bob", queue_name="dev")
    with at_work(board, path) as (recorder, history):
        history.digest(person="eve").seen()
        board.wait(minutes=5)
        yield recorder, history


def told(history: History, person: str = "eve") -> list[tuple[Any, ...]]:
    """What a person is told, and that they have seen it."""
    digest = history.digest(person=person)
    digest.seen()
    rows = digest.items[["what", "task_id", "agent", "text"]].astype("object")
    return [tuple(row) for row in rows.where(rows.notna(), None).values.tolist()]


# Each kind of thing

Do = Callable[[Board], object]
THINGS: dict[str, tuple[list[Do], list[tuple[Any, ...]]]] = {
    "a claim": ([lambda b: b.signup_for_task("alice")], [("started", 1, "alice", None)]),
    "an end": ([lambda b: b.update_task(1, status="complete")], [("finished", 1, "alice", None)]),
    "a new task": (
        [lambda b: b.create_task("More", created_by="lead", assigned_to="bob", queue_name="qa")],
        [("new", 3, "bob", "for bob, in queue qa")],
    ),
    "other hands": (
        [lambda b: b.update_task(1, assigned_to="carol", queue_name="qa")],
        [("handed over", 1, "carol", "alice → carol; queue dev → qa")],
    ),
    "a step back": (
        [
            lambda b: b.update_task(1, queue_name="ready-for-qa"),
            lambda b: b.update_task(1, queue_name="development"),
        ],
        [
            ("bounced", 1, "alice", "queue ready-for-qa → development"),
            ("handed over", 1, "alice", "queue dev → ready-for-qa"),
        ],
    ),
    "back to where it was": (
        [lambda b: b.update_task(1, queue_name="legal"), lambda b: b.update_task(1, queue_name="dev")],
        [
            ("bounced", 1, "alice", "queue legal → dev"),
            ("handed over", 1, "alice", "queue dev → legal"),
        ],
    ),
    "back to those who test": (
        [
            lambda b: b.update_task(1, queue_name="qa"),
            lambda b: b.update_task(1, queue_name="dev"),
            lambda b: b.update_task(1, queue_name="qa"),
        ],
        [
            ("bounced", 1, "alice", "queue qa → dev"),
            ("handed over", 1, "alice", "queue dev → qa; queue dev → qa"),
        ],
    ),
    "set aside and taken up again": (
        [lambda b: b.update_task(1, queue_name="blocked"), lambda b: b.update_task(1, queue_name="dev")],
        [
            ("blocked", 1, "alice", "queue dev → blocked"),
            ("handed over", 1, "alice", "queue blocked → dev"),
        ],
    ),
    "a block": (
        [lambda b: b.update_task(2, blocked_by_task_id=1)],
        [("blocked", 2, "bob", "waits for #1")],
    ),
    "the end of a block": (
        [
            lambda b: b.update_task(2, blocked_by_task_id=1),
            lambda b: b.update_task(2, blocked_by_task_id=None),
        ],
        [("blocked", 2, "bob", "waits for #1"), ("unblocked", 2, "bob", "no longer waits for #1")],
    ),
    "a block by what is complete, and is taken up again": (
        [
            lambda b: b.update_task(1, status="complete"),
            lambda b: b.update_task(2, blocked_by_task_id=1),
            lambda b: b.update_task(1, status="idle"),
        ],
        [
            ("blocked", 2, "bob", "#1, which it waits for, was reopened"),
            ("finished", 1, "alice", None),
            ("reopened", 1, "alice", None),
            ("edited", 2, "bob", "waits for #1, which is complete or gone"),
        ],
    ),
    "a run that failed": (
        [
            lambda b: b.update_task(1, status="working", tags=["run-agent"]),
            lambda b: b.add_comment(1, LEASE, created_by="calypso-nb run-agent"),
            lambda b: b.update_task(1, status="idle", tags=["failed:1"]),
            lambda b: b.update_comment(1, RECORD),
        ],
        [("failed", 1, "alice", f"1 run failed\n{RECORD}"), ("started", 1, "alice", None)],
    ),
    "a run that went well": (
        [
            lambda b: b.update_task(1, status="working", tags=["run-agent", "ui"]),
            lambda b: b.update_task(1, status="complete", tags=["ui"]),
        ],
        [
            ("finished", 1, "alice", None),
            ("started", 1, "alice", None),
            ("edited", 1, "alice", "tags \N{EN DASH} → run-agent, ui"),
        ],
    ),
    "put back": (
        [lambda b: b.update_task(1, status="working"), lambda b: b.update_task(1, status="idle")],
        [("started", 1, "alice", None), ("put back", 1, "alice", None)],
    ),
    "weighed anew": (
        [lambda b: b.update_task(1, priority=3), lambda b: b.update_task(1, priority=9)],
        [("reprioritised", 1, "alice", "priority 0 → 3 → 9")],
    ),
    "edited": (
        [lambda b: b.update_task(1, title="Better", description="x" * 99)],
        [("edited", 1, "alice", f"title Design → Better; description \N{EN DASH} → {'x' * 80}…")],
    ),
    "archived": ([lambda b: b.archive_task(1)], [("archived", 1, "alice", None)]),
    "deleted": ([lambda b: b.delete_task(1)], [("gone", 1, "alice", None)]),
    "remarks": (
        [
            lambda b: b.add_comment(1, "so far", created_by="alice"),
            lambda b: b.add_comment(1, "so good", created_by="alice"),
        ],
        [("commented", 1, "alice", "so far\nso good")],
    ),
}


@pytest.mark.parametrize(("do", "wanted"), THINGS.values(), ids=THINGS)
def test_each_kind_of_thing_is_told_as_a_person_would(
    do: list[Do], wanted: list[tuple[Any, ...]], team: tuple[Recorder, History], board: Board
) -> None:
    """Once, in words, with who has the task then; and after that, nothing."""
    for step in do:
        step(board)
        board.wait(minutes=5)
    team[0].look()
    assert told(team[1]) == wanted
    assert told(team[1]) == []


def test_from_hand_to_hand_and_back_is_told_as_it_happened(
    team: tuple[Recorder, History], board: Board
) -> None:
    """In one line, with all that had it, though in the end nothing has changed."""
    for giver, taker in (("alice", "bob"), ("bob", "alice")):
        board.move_task(1, giver, taker, "please")
        board.wait(minutes=1)
    [row] = team[1].digest(person="eve").items.query("what == 'handed over'").to_dict("records")
    assert row["text"] == "alice → bob → alice"
    assert row["agent"] == "alice"
    assert row["changes"] == 4  # Who had it, and who had it before, twice.
    assert row["not_after"] - row["not_before"] == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("minutes", "again", "whats"),
    [
        (10, False, ["handed over", "started"]),
        (11, False, ["handed over", "started", "put back"]),
        (1, True, ["handed over", "started", "started", "put back"]),
    ],
)
def test_to_put_a_task_back_for_other_hands_is_part_of_that(
    minutes: float, again: bool, whats: list[str], team: tuple[Recorder, History], board: Board
) -> None:
    """Unless that took longer, or somebody worked on it in between; nothing is lost of it."""
    steps: list[Literal["working", "idle"]] = ["working", "idle", "working"]
    for status in steps[: 3 if again else 2]:
        board.update_task(1, status=status)
        board.wait(minutes=minutes)
    board.update_task(1, assigned_to="carol")
    digest = team[1].digest(person="eve")
    assert digest.items["what"].tolist() == whats
    row = digest.items.iloc[0]
    assert (row["text"], row["agent"]) == ("alice → carol", "carol")
    assert row["changes"] == 2 + ("put back" not in whats)  # Who had it, and who had it before.
    assert digest.items["changes"].sum() == len(digest.told)
    assert [one.field for one in digest.told].count("status") == 2 + again
    digest.seen()
    assert told(team[1]) == []


QUESTIONS = {
    "@supervisor which of the two?": True,
    "Supervisor: please look": True,
    "shall I go on, supervisor?": True,
    "supervisor, is that so?": True,
    "ready? supervisor": True,
    "@eve see here": True,
    "This is BLOCKED by the network": True,
    "ESCALATION: no access": True,
    "needs a DECISION.": True,
    "it is blocked, and that is a decision": False,
    "UNBLOCKED at last": False,
    "the supervisor agreed. What next?": False,
    "supervisors: none": False,
    "see supervisor://host": False,
    "never mind the evening?": False,
    "done": False,
}


@pytest.mark.parametrize(("text", "asks"), QUESTIONS.items())
def test_a_question_is_told_first(
    text: str, asks: bool, team: tuple[Recorder, History], board: Board
) -> None:
    """By a name that it calls or asks, or by one of the team's words in capitals."""
    board.update_task(2, status="complete")
    board.add_comment(1, text, created_by="alice")
    [first, second] = told(team[1])
    assert first == (("asked", 1, "alice", text) if asks else ("finished", 2, "bob", None))
    assert second[0] == ("finished" if asks else "commented")


def test_the_teams_own_names_and_words_count(
    team: tuple[Recorder, History], board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its file or the environment has them, and the name that the settings have for oneself."""
    monkeypatch.setenv("CALYPSO_NB_THRESHOLDS__SUPERVISORS", '["mona"]')
    monkeypatch.setenv("CALYPSO_NB_THRESHOLDS__ASKING_WORDS", '["HILFE"]')
    monkeypatch.setenv("TINYTASK_AGENT", "zoe")
    for text in ("@mona", "HILFE", "zoe: look", "@supervisor", "BLOCKED"):
        board.add_comment(1, text, created_by="alice")
    asked = team[1].digest(person="eve").items.query("what == 'asked'")
    assert asked["text"].tolist() == ["@mona", "HILFE", "zoe: look"]


def test_what_one_writes_oneself_is_no_news(team: tuple[Recorder, History], board: Board) -> None:
    """Nor is a scheduler's lease; others are told of what one writes."""
    board.add_comment(1, "BLOCKED, said eve", created_by="eve")
    board.add_comment(1, LEASE, created_by="calypso-nb run-agent")
    assert told(team[1]) == []
    board.update_comment(2, LEASE.replace("sign 1", "sign 2"))
    assert told(team[1]) == []
    assert [row[0] for row in told(team[1], "joe")] == ["asked", "new", "new"]


def test_without_a_name_the_supervisors_comments_are_ones_own(
    team: tuple[Recorder, History], board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dashboard signs them so; the name of the mark is that of the login, or that of the settings."""
    monkeypatch.setenv("LOGNAME", "someone")
    board.add_comment(1, "please", created_by="supervisor")
    board.add_comment(1, "yes", created_by="alice")
    digest = team[1].digest()
    assert digest.person == "someone"
    assert digest.items.query("what == 'commented'")["text"].tolist() == ["yes"]
    monkeypatch.setenv("TINYTASK_AGENT", "eve")
    assert team[1].digest().person == "eve"
    assert team[1].digest().items["text"].tolist() == ["yes", "please"]


# Frames


def test_frames_have_the_documented_columns(team: tuple[Recorder, History], board: Board) -> None:
    """With rows and without any."""
    empty = team[1].digest(person="eve")
    board.update_task(1, status="complete")
    board.add_comment(2, "well", created_by="bob")
    full = team[1].digest(person="eve")
    for digest in (empty, full):
        assert dtypes_of(digest.items) == dtypes(DIGEST_COLUMNS)
        assert dtypes_of(digest.agents) == dtypes(AGENT_COLUMNS)
    assert empty.counts == {} and empty.summary == "nothing · questions not known"
    assert full.counts == {"finished": 1, "commented": 1}
    assert full.agents[["agent", "finished", "commented"]].values.tolist() == [["alice", 1, 0], ["bob", 0, 1]]
    assert repr(full) == "<Digest of team: 1 finished · 1 commented · questions not known>"


# The mark


def test_whoever_has_not_looked_before_is_told_of_a_day(board: Board, path: Path, clock: None) -> None:
    """And it says so; what is older counts as seen."""
    board.create_task("Old", created_by="lead")
    with at_work(board, path) as (_, history):
        board.wait(minutes=25 * 60)
        board.create_task("Fresh", created_by="lead")
        digest = history.digest(person="eve")
        assert digest.basis == "first"
        assert digest.items["title"].tolist() == ["Fresh"]
        assert "The last 24 hours" in digest.heading and "eve has not looked before" in digest.heading
        digest.seen()
        assert told(history) == []


def test_each_person_has_a_mark(team: tuple[Recorder, History], board: Board) -> None:
    """Whoever looks takes nothing from others, whatever they are called."""
    names = ["joe", "../../etc/passwd", "Eve", "a/b", "nul\x00", "x' OR 1=1 --", "\udcff", "\uff45ve"]
    for name in names:
        told(team[1], name)
    board.update_task(1, priority=3)
    for name in (*names, "eve"):
        assert [row[0] for row in told(team[1], name)] == ["reprioritised"]
        assert told(team[1], name) == []


def test_a_mark_stays_until_the_digest_was_seen(team: tuple[Recorder, History], board: Board) -> None:
    """Reading it again tells the same; a moment asked for leaves the mark alone."""
    board.update_task(1, priority=3)
    first = team[1].digest(person="eve")
    pd.testing.assert_frame_equal(team[1].digest(person="eve").items, first.items)
    moment = team[1].digest("2026-11-23T09:01:00Z", person="eve")
    assert moment.items["what"].tolist() == ["reprioritised"]
    with pytest.raises(UsageError, match="only a digest since the last one"):
        moment.seen()
    assert len(told(team[1])) == 1


def test_what_comes_while_a_digest_is_read_is_in_the_next_one(
    team: tuple[Recorder, History], board: Board
) -> None:
    """Seen is what was told, and not what is there by then."""
    board.update_task(1, priority=3)
    digest = team[1].digest(person="eve")
    board.update_task(1, priority=5)
    board.add_comment(1, "meanwhile", created_by="alice")
    digest.seen()
    assert [row[3] for row in told(team[1])] == ["meanwhile", "priority 3 → 5"]


def test_two_digests_at_once_lose_nothing(team: tuple[Recorder, History], board: Board) -> None:
    """The one that is seen later doesn't take back what the other has told."""
    board.update_task(1, priority=3)
    early = team[1].digest(person="eve")
    board.update_task(1, priority=5)
    late = team[1].digest(person="eve")
    late.seen()
    early.seen()
    assert told(team[1]) == []
    board.update_task(2, priority=7)
    ready = [team[1].digest(person="eve") for _ in range(4)]
    start = Barrier(len(ready))
    threads = [Thread(target=lambda one=one: (start.wait(), one.seen())) for one in ready]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told(team[1]) == []


def test_what_is_pushed_late_is_told_when_it_comes(board: Board, path: Path, clock: None) -> None:
    """Though it had happened before the last digest; and what a look had shown of it is not told again."""
    held: list[Pushed] = []
    board.create_task("Design", created_by="lead", assigned_to="alice")
    with at_work(board, path, pushed=False) as (recorder, history):
        told(history)
        board.store.listeners.append(lambda changes: held.extend(served(changes)))
        for priority in (1, 2, 1, 2):
            board.wait(minutes=1)
            board.update_task(1, priority=priority)
        board.store.add_comment(1, "BLOCKED", "alice")
        board.wait(minutes=1)
        recorder.look()
        assert told(history) == [("reprioritised", 1, "alice", "priority 0 → 2")]
        board.wait(minutes=1)
        recorder.hear(held[::-1])
        digest = history.digest(person="eve")
        assert digest.items["late"].all()
        assert [row[0] for row in told(history)] == ["asked", "reprioritised"]
        assert "0 → 1 → 2 → 1 → 2" in digest.items["text"][1]
        assert told(history) == []


def test_a_time_that_is_known_better_is_no_news(board: Board, path: Path, clock: None) -> None:
    """A push after a digest says when exactly something was that a look had shown."""
    held: list[Pushed] = []
    board.create_task("Design", created_by="lead", assigned_to="alice")
    with at_work(board, path, pushed=False) as (recorder, history):
        told(history)
        board.store.listeners.append(lambda changes: held.extend(served(changes)))
        board.wait(minutes=1)
        board.update_task(1, status="working")
        board.wait(minutes=9)
        recorder.look()
        assert len(told(history)) == 1
        recorder.hear(held)
        assert history.events["exact"].all()
        assert told(history) == []


def test_comments_that_are_edited_and_deleted(team: tuple[Recorder, History], board: Board) -> None:
    """Other words are news, once each; what is deleted before anybody has looked is not told."""
    board.add_comment(1, "one", created_by="alice")
    board.add_comment(1, "a slip", created_by="alice")
    board.delete_comment(2)
    assert [row[3] for row in told(team[1])] == ["one"]
    board.update_comment(1, "BLOCKED")
    assert told(team[1]) == [("asked", 1, "alice", "(edited) BLOCKED")]
    board.update_comment(1, "one")
    assert told(team[1]) == []
    board.delete_comment(1)
    assert told(team[1]) == []


def test_what_a_retention_forgets_is_not_told_anew(team: tuple[Recorder, History], board: Board) -> None:
    """And a digest says so if it may have taken what nobody was told of."""
    recorder, history = team
    board.update_task(1, priority=3)
    board.add_comment(1, "old", created_by="alice")
    recorder.look()
    told(history)
    board.update_task(1, priority=4)
    for _ in range(3):
        board.wait(minutes=60)
        recorder.look()
        board.update_task(2, title=f"At {board.time:%H:%M}")
    recorder._journal.prune(micros_of(board.time - timedelta(minutes=70)))
    board.list_comments(1)  # So that the old comment is back.
    digest = history.digest(person="eve")
    assert digest.items["what"].tolist() == ["edited"]
    assert any("forgotten by its age" in text for text in digest.unknown)
    digest.seen()
    assert told(history) == []


def test_another_database_behind_the_server_is_told(
    team: tuple[Recorder, History], board: Board, path: Path
) -> None:
    """What happened in the old one up to its end, and in the new one since then."""
    recorder, history = team
    board.update_task(1, priority=3)
    recorder.look()
    board.wait(minutes=5)
    with Board() as other:
        other.time = board.time
        other.create_task("Begun anew", created_by="lead")
        other.create_task("Second", created_by="lead")
        recorder.client = other
        recorder.look()
    digest = history.digest(person="eve")
    assert any("another database" in text for text in digest.unknown)
    rows = digest.items[["what", "title"]].values.tolist()
    assert ["reprioritised", "Design"] in rows and ["new", "Begun anew"] in rows
    digest.seen()
    assert told(history) == []


def test_an_exported_folder_goes_by_the_same_mark(
    team: tuple[Recorder, History], board: Board, tmp_path: Path
) -> None:
    """What was told of the file is not told of the folder, and the other way round."""
    recorder, history = team
    board.update_task(1, priority=3)
    recorder.look()
    history.export(tmp_path / "lake")
    with closing(History(tmp_path / "lake")) as lake:
        assert [row[0] for row in told(lake)] == ["reprioritised"]
    assert told(history) == []
    board.update_task(1, priority=4)
    board.wait(minutes=1)
    recorder.look()
    assert [row[0] for row in told(history)] == ["reprioritised"]
    with closing(History(tmp_path / "lake")) as lake:
        old = lake.digest(person="eve")
        assert old.items.empty
        assert any("before the last digest" in text for text in old.unknown)
        old.seen()
    assert told(history) == []


def test_another_history_of_the_same_server_is_told_by_time(
    team: tuple[Recorder, History], board: Board, tmp_path: Path
) -> None:
    """Its numbers mean something else; it says so, and tells on from the last digest."""
    recorder, history = team
    board.update_task(1, priority=3)
    told(history)
    board.store.listeners.clear()
    recorder.stop()
    board.wait(minutes=1)
    with at_work(board, tmp_path / "second.db") as (_, second):
        board.wait(minutes=1)
        board.update_task(1, priority=5)
        digest = second.digest(person="eve")
        assert digest.items["text"].tolist() == ["priority 3 → 5"]
        assert any("another history" in text for text in digest.unknown)
        digest.seen()
        board.update_task(1, priority=7)
        assert [row[3] for row in told(second)] == ["priority 5 → 7"]


def test_a_file_of_marks_that_is_something_else_is_named(
    team: tuple[Recorder, History], clean_environment: Path
) -> None:
    """It is not written over, and says what to do."""
    (clean_environment / "state" / "marks.db").write_text(
        "something else entirely, and longer than a hundred bytes" * 5
    )
    with pytest.raises(UsageError, match=r"marks\.db does not hold read marks.*delete it"):
        team[1].digest(person="eve")


def test_the_sample_has_no_mark(clean_environment: Path) -> None:
    """It is made anew each time."""
    with closing(History("demo")) as history:
        history.digest(person="eve").seen()
        assert history.digest(person="eve").basis == "first"
    assert not (clean_environment / "state").exists()


# What is not known


def test_gaps_and_their_reasons_are_named(board: Board, path: Path, clock: None) -> None:
    """Within the time that is told of; and what looks alone can't show."""
    board.create_task("Design", created_by="lead", assigned_to="alice")
    with at_work(board, path, pushed=False) as (recorder, history):
        told(history)
        board.wait(minutes=1)
        recorder.look()
        assert history.digest(person="eve").unknown == (
            "comments are known only as far as somebody has read them: a hub or the database file has all",
        )
    board.wait(minutes=300)
    board.update_task(1, priority=3)
    with at_work(board, path, pushed=False) as (_, history):
        unknown = history.digest(person="eve").unknown
        assert unknown[0].startswith("not recorded from 2026-11-23 09:0")
        assert any("several changes of a field are one" in text for text in unknown)


def test_whoever_cannot_read_comments_knows_of_no_questions(
    team: tuple[Recorder, History], board: Board, tmp_path: Path, clock: None
) -> None:
    """The summary says so in every form, and doesn't where all comments are known."""
    board.update_task(1, status="complete")
    digest = team[1].digest(person="eve")
    assert digest.summary == "1 finished · questions not known"
    for show in (digest_to_console, digest_to_markdown, digest_to_chat, digest_page):
        assert "questions not known" in show(digest)
    board.add_comment(1, "BLOCKED", created_by="alice")
    assert team[1].digest(person="eve").summary == "1 asked · 1 finished · other questions not known"
    assert digest_between(*two_reports()).summary.endswith("1 commented · questions not known")
    with TinytaskStore(tmp_path / "board.db") as store:
        store.create_task("Design", created_by="lead")
        with (
            TinytaskClient(tmp_path / "board.db") as client,
            Recorder(client, tmp_path / "file.db", every=BY_HAND),
        ):
            store.update_task(1, status="complete")
        with closing(History(tmp_path / "file.db")) as history:
            assert "not known" not in history.digest("2020-01-01", person="eve").summary


def test_a_dead_recorder_is_no_quiet_team(board: Board, path: Path, clock: None) -> None:
    """Every form says since when nothing is recorded, and shows the time that was asked for."""
    board.create_task("Design", created_by="lead", assigned_to="alice")
    with at_work(board, path, pushed=False) as (recorder, history):
        told(history)
        board.wait(minutes=60)
        recorder.look()
        board.wait(minutes=170)  # Of looks that are due each hour not more than two are missing.
        assert history.digest(person="eve").silent is None
    board.wait(minutes=60)
    gap = "nothing is recorded since 2026-11-23 12:50:00 UTC (4.0 h): is `calypso-nb record` running?"
    board.wait(minutes=180)
    with closing(History(path)) as history:
        for since, begin in ((None, "09:00:00"), ("1 min ago", "16:49:00")):
            digest = history.digest(since, person="eve")
            assert digest.items.empty
            assert digest.silent == gap and digest.unknown[0] == gap
            assert f"2026-11-23 {begin} UTC, to 2026-11-23 16:50:00 UTC" in digest.heading
            for show in (partial(digest_to_console, width=300), digest_to_markdown, digest_to_chat):
                assert gap in show(digest)
            assert gap in digest_page(digest) and gap in json.loads(digest_to_json(digest))["unknown"]


def test_a_server_that_cannot_be_read_is_no_quiet_team(board: Board, path: Path, clock: None) -> None:
    """Somebody records, so that the digest says why that fails instead of asking."""
    board.create_task("Design", created_by="lead", assigned_to="alice")
    with at_work(board, path, pushed=False) as (recorder, history):
        told(history)
        board.wait(minutes=300)
        recorder._journal.fail(micros_of(board.time), "no connection")
        silent = history.digest(person="eve").silent
        assert silent == "nothing is recorded since 2026-11-23 09:00:00 UTC (5.0 h): no connection"


# Nothing twice, nothing missed


class Schedule:
    """A random life of a board, of which two persons take digests now and then.

    - calm: nothing is pushed late, and nothing is pushed that is not told
    """

    def __init__(self, seed: int, folder: Path) -> None:
        self.random, self.path = random.Random(seed), folder / "history.db"
        self.calm = seed % 3 == 0
        self.name = f"team-{folder.name}"
        self.held: list[Pushed] = []
        self.told: dict[str, Counter[Any]] = {name: Counter() for name in ("eve", "joe", "once")}
        self.there: dict[str, list[Any]] = {}
        self.lost: dict[str, Counter[Any]] = {name: Counter() for name in self.told}
        self.said: dict[str, set[Any]] = {name: set() for name in self.told}
        self.words = iter(range(10**6))

    def run(self) -> None:
        with Board() as self.board:
            self.board.create_task("First", created_by="lead", assigned_to="alice", queue_name="dev")
            with self.recording(), closing(History(self.path)) as self.history:
                for person in self.told:
                    self.history.digest(person=person).seen()
                    self.there[person] = self.events()
                self.board.store.listeners.append(self.heard)
                for _ in range(self.random.randint(5, 40)):
                    self.random.choices(self.steps, self.weights)[0](self)
                self.deliver(every=True)
                self.look()
                for person in self.told:
                    self.look_at(person)
                self.final = Counter(what for what, _, _ in self.events())

    @contextmanager
    def recording(self) -> Iterator[None]:
        self.recorder = Recorder(self.board, self.path, every=BY_HAND, name=self.name)
        try:
            yield
        finally:
            self.recorder.stop()

    def heard(self, changes: Any) -> None:
        self.held += served(changes)
        if self.calm:
            self.deliver(every=True)

    # What may happen

    def change(self) -> None:
        there = [task["id"] for task in self.board.store.list_tasks(include_archived=True)]
        if not there:
            return self.create()
        pick, task = self.random.choice, self.random.choice(there)
        field, value = pick(
            [
                ("status", pick(["idle", "working", "complete"])),
                ("status", pick(["idle", "working", "complete"])),
                ("priority", self.random.randint(0, 3)),
                ("assigned_to", pick(["alice", "bob", "carol"])),
                ("queue_name", pick(["dev", "qa", "blocked"])),
                ("tags", pick([["failed:1"], ["failed:2", "ui"], ["run-agent"], []])),
                ("title", f"Title {next(self.words)}"),
            ]
        )
        self.board.store.update_task(task, **{field: value})

    def create(self) -> None:
        self.board.create_task(f"Task {next(self.words)}", created_by="lead", assigned_to="bob")

    def end(self) -> None:
        there = [task["id"] for task in self.board.store.list_tasks()]
        if len(there) > 1:
            self.random.choice([self.board.delete_task, self.board.archive_task])(there[-1])

    def comment(self) -> None:
        there = [task["id"] for task in self.board.store.list_tasks()]
        if not there:
            return
        task = self.random.choice(there)
        text = f"{self.random.choice(['BLOCKED', 'fine', '@eve'])} {next(self.words)}"
        known = self.board.store.list_comments(task)
        if known and self.random.random() < 0.3:
            one = self.random.choice(known)["id"]
            if self.random.random() < 0.5:
                self.board.store.update_comment(one, text)
            else:
                self.board.store.delete_comment(one)
        else:
            self.board.store.add_comment(task, text, self.random.choice(["alice", "bob", "eve"]))

    def wait(self) -> None:
        self.board.wait(minutes=self.random.choice([0.01, 1, 20, 90]))

    def look(self) -> None:
        self.recorder.look()

    def read(self) -> None:
        there = [task["id"] for task in self.board.store.list_tasks()]
        if there:
            self.board.list_comments(self.random.choice(there))

    def deliver(self, every: bool = False) -> None:
        """Push some of what is held, in any order, some of it twice; some is lost."""
        if self.calm:
            some, self.held = self.held, []
        else:
            some = [one for one in self.held if every or self.random.random() < 0.5]
            self.held = [one for one in self.held if one not in some]
            some = [one for one in some if self.random.random() < 0.9]
            some += self.random.sample(some, len(some) // 3)
            self.random.shuffle(some)
        if some:
            self.recorder.hear(some)

    def start_again(self) -> None:
        self.recorder.stop()
        self.recorder = Recorder(self.board, self.path, every=BY_HAND, name=self.name)

    def digest(self) -> None:
        self.look_at(self.random.choice(["eve", "joe"]))

    steps = (change, create, end, comment, wait, look, read, deliver, start_again, digest)
    weights = (12, 2, 1, 5, 6, 4, 2, 4, 1, 5)

    def look_at(self, person: str) -> None:
        """Let a person take a digest, and keep what it tells beside what there is."""
        digest, events = self.history.digest(person=person), self.events()
        assert digest.items["changes"].sum() >= len(digest.told)
        digest.seen()
        self.told[person].update(map(key, digest.told))
        self.lost[person].update(gone(self.there[person], events))
        self.there[person] = events
        feed = self.history.feed.query("what == 'said' and agent != @person")
        self.said[person] |= {("comment", text) for text in feed["text"]}

    def events(self) -> list[Any]:
        """What there is, each with the time that it had happened by at the latest, and the earliest."""
        names = ["task_id", "field", "before", "after", "change", "not_before", "not_after"]
        rows = self.history.events[names].astype("object")
        return [
            ((task, change if field is None else field, before, after), low, high)
            for task, field, before, after, change, low, high in rows.where(
                rows.notna(), None
            ).values.tolist()
        ]


def gone(before: list[Any], after: list[Any]) -> Iterator[Any]:
    """Yield what was there and is no more: nothing like it can have happened by then."""
    left = sorted(after, key=lambda row: row[1], reverse=True)
    for what, _, high in sorted(before, key=lambda row: row[2]):
        same = next((row for row in left if row[0] == what and row[1] <= high), None)
        if same is None:
            yield what
        else:
            left.remove(same)


def key(one: Any) -> Any:
    """Return of what a digest has told what the history's own frames have, too."""
    if one.field == "comment":
        return "comment", one.after
    if one.field in (CREATED, DELETED):
        return one.task_id, "new" if one.field == CREATED else "gone", None, None
    return one.task_id, one.field, _text(one.field, one.before), _text(one.field, one.after)


@given(st.integers(0, 10**9))
def test_digests_tell_everything_and_nothing_twice(seed: int) -> None:
    """Whenever two persons look, and however late and out of order things come to be known.

    A late message can show that what a look had shown as one change were several: these are then told as
    such, so that more is told than there is in the end, but never more than there has been.
    """
    with tempfile.TemporaryDirectory() as folder:
        schedule = Schedule(seed, Path(folder))
        schedule.run()
    before = schedule.final - schedule.told["once"]
    for person, told in schedule.told.items():
        events = Counter({one: number for one, number in told.items() if one[0] != "comment"})
        comments = Counter({one: number for one, number in told.items() if one[0] == "comment"})
        assert comments == Counter(schedule.said[person])
        missed = schedule.final - events
        assert missed == before, (person, missed - before)
        assert events <= schedule.final + schedule.lost[person]
        if schedule.calm or person == "once":
            assert events == schedule.final - before
    # What everybody had seen before the first step, and nothing else.
    assert {one[1] for one in before} <= {"new"} and before.total() == 1


# In every form


@pytest.fixture
def hostile(board: Board, path: Path, clock: None) -> Iterator[Digest]:
    """A digest in which every text means harm: titles, agents, queues, tags, comments."""
    with at_work(board, path) as (recorder, history):
        history.digest(person="eve").seen()
        board.wait(minutes=5)
        for number, text in enumerate(HOSTILE, 1):
            board.create_task(text, created_by=text, assigned_to=text, queue_name=text)
            board.update_task(number, assigned_to=f"{text}2", queue_name=f"dev{text}", tags=[text])
            board.update_task(number, title=f"{text}!")
            board.add_comment(
                number, f"BLOCKED {text} @channel <!here> http://evil.example/x", created_by=text
            )
        recorder.look()
        yield history.digest(person="eve")


def test_no_text_by_agents_is_obeyed(hostile: Digest) -> None:
    """Not by a terminal, a browser, an issue or a chat."""
    assert set(hostile.counts) >= {"asked", "new", "handed over", "edited"}
    for width in (80, 160):
        console = digest_to_console(hostile, width)
        assert max(wcswidth(line) for line in console.splitlines()) <= width
        assert "\x1b" not in console and "\x07" not in console and "\u202e" not in console
    markdown = digest_to_markdown(hostile)
    bare = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", markdown)
    assert not re.search(r"[<@\x1b]|http|everyone|onerror", bare)
    page = digest_page(hostile)
    assert "<img" not in page and "<script" not in page and "\x1b" not in page
    assert "default-src 'none'" in page and "http" not in re.sub(r"(?s)<body>.*|http-equiv", "", page)
    document = json.loads(digest_to_json(hostile))
    jsonschema.validate(document, digest_schema())
    assert digest_to_json(hostile).isascii()
    assert len(document["items"]) == len(hostile.items)


def test_a_chat_calls_nobody_and_has_no_links(hostile: Digest) -> None:
    """Neither by an @ nor by the angle brackets of Slack, which it obeys in code, too."""
    text = digest_to_chat(hostile, most=100)
    assert not re.search(r"[@<>&]|://", text)
    assert "everyone" in text  # Shown, and not obeyed.


def test_in_a_chat_questions_and_failures_are_the_last_to_go(
    team: tuple[Recorder, History], board: Board
) -> None:
    """No title, name or text is so long that it pushes another's question out."""
    hostile = "\u202e|`" * 3500
    for number, title in enumerate([hostile, *(f"Task {number} {'x' * 300}" for number in range(99))], 3):
        board.create_task(title, created_by="lead", assigned_to=f"{number} {hostile}")
    for number in range(3, 17):
        board.add_comment(number, f"BLOCKED {number}! {hostile}", created_by=f"agent {number} {hostile}")
        board.update_task(number, queue_name=f"dev {hostile}")
    board.update_task(30, tags=["failed:1"])
    digest = team[1].digest(person="eve")
    text = digest_to_chat(digest)
    assert len(text) <= 12_000
    assert [f"BLOCKED {number}!" in text for number in range(3, 17)] == [True] * 14
    assert "1 run failed" in text and "New: 100" in text
    for number in range(17, 90):
        board.add_comment(number, f"BLOCKED {number}! {'y' * 400}", created_by="alice")
    text = digest_to_chat(team[1].digest(person="eve"))
    assert len(text) <= 12_000
    assert text.count("BLOCKED") >= 20 and "Asked: 87" in text and "1 run failed" in text


def test_titles_of_a_page_and_of_markdown_are_cut(team: tuple[Recorder, History], board: Board) -> None:
    """And show that they are."""
    board.update_task(1, priority=3)
    for length, more in ((200, ""), (201, "…")):
        board.update_task(1, title="t" * length)
        digest = team[1].digest(person="eve")
        shown = "t" * 200 + more
        assert f"- Task 1 `{shown}`," in digest_to_markdown(digest)
        assert f">{shown}</td>" in digest_page(digest)


def test_titles_of_a_chat_and_what_was_said_are_cut(team: tuple[Recorder, History], board: Board) -> None:
    """As documented."""
    board.update_task(1, title="t" * 10_000)
    board.add_comment(1, "BLOCKED " + "c" * 10_000, created_by="alice")
    text = digest_to_chat(team[1].digest(person="eve"))
    assert f"`{'t' * 80}…`" in text and f"`BLOCKED {'c' * 192}…`" in text


def test_a_long_digest_is_cut_and_says_so(team: tuple[Recorder, History], board: Board) -> None:
    """Numbers are never cut, and JSON has all."""
    for number in range(60):
        board.create_task(f"Task {number}", created_by="lead")
    board.add_comment(1, "\n".join(f"line {number} {'x' * 400}" for number in range(20)), created_by="alice")
    digest = team[1].digest(person="eve")
    console = digest_to_console(digest)
    assert "New: 60" in console and "… and 10 more" in console and "… and 14 more lines" in console
    assert "… and 40 more." in digest_to_markdown(digest)
    assert len(json.loads(digest_to_json(digest))["items"]) == 61
    assert max(map(len, digest_to_markdown(digest).splitlines())) < 500


def test_every_form_says_since_when_and_what_is_not_known(team: tuple[Recorder, History]) -> None:
    """And that nothing happened, if so."""
    digest = team[1].digest(person="eve")
    forms = (digest_to_console(digest, 160), digest_to_markdown(digest), digest_page(digest))
    for text in forms:
        assert "Since eve looked at 2026-11-23 09:00:00 UTC" in text
        assert "nothing" in text
    unknown = digest_between(*two_reports()).unknown
    assert unknown
    for show in (partial(digest_to_console, width=300), digest_to_markdown, digest_page):
        text = show(digest_between(*two_reports()))
        assert all(line in text for line in unknown)
        assert "Between two reports: " in text


# Without a history


def two_reports() -> tuple[WorkloadData, WorkloadData]:
    """A morning's work, of which only its begin and its end were saved."""
    with Board() as board:
        reporter = WorkloadReporter(board)
        for title, agent, queue in (
            ("Design", "alice", "dev"),
            ("Tests", "bob", "qa"),
            ("Old", "bob", "dev"),
        ):
            board.create_task(title, created_by="lead", assigned_to=agent, queue_name=queue)
        first = reporter.collect_workload_data("all", details=True)
        board.wait(minutes=60)
        board.update_task(1, status="complete")
        board.update_task(2, queue_name="dev", tags=["failed:2"])
        board.update_task(3, assigned_to="carol", blocked_by_task_id=2)
        board.create_task("More", created_by="lead")
        board.add_comment(2, "@supervisor?", created_by="bob")
        return first, reporter.collect_workload_data("all", details=True)


def test_two_reports_are_told_as_far_as_they_go() -> None:
    """What differs, within the time between them; who did it and what was said, they don't know."""
    digest = digest_between(*two_reports())
    rows = digest.items[["what", "task_id", "agent", "text"]].astype("object")
    assert rows.where(rows.notna(), None).values.tolist() == [
        ["failed", 2, "bob", "2 runs failed"],
        ["bounced", 2, "bob", "queue qa → dev"],
        ["blocked", 3, "carol", "waits for #2"],
        ["handed over", 3, "carol", "bob → carol"],
        ["finished", 1, "alice", None],
        ["new", 4, None, None],
        ["commented", 2, "bob", "1 comment more"],
    ]
    assert digest.items["by"].isna().all()
    assert digest.basis == "reports" and digest.person is None
    assert any("who did it" in text for text in digest.unknown)
    assert any("comments" in text for text in digest.unknown)
    assert dtypes_of(digest.items) == dtypes(DIGEST_COLUMNS)
    with pytest.raises(UsageError, match="only a digest since the last one"):
        digest.seen()


def test_the_kinds_are_those_of_the_columns() -> None:
    """Each has a column among the agents', and a place in the schema."""
    assert [name.replace("_", " ") for name in AGENT_COLUMNS][1:] == [*KINDS]
    assert digest_schema()["properties"]["items"]["items"]["properties"]["what"]["enum"] == [*KINDS]
    jsonschema.Draft202012Validator.check_schema(digest_schema())
