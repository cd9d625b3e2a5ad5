"""A history of what a server pushes: late, twice, out of order or not at all, and what it never pushes."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random

import pandas as pd
import pytest

from calypso_nb import History, Recorder, TinytaskClient
from calypso_nb.history.pushes import Pushed, served
from tests.conftest import eventually
from tests.standin import Standin, running_standin
from tests.watched import Board

pytestmark = pytest.mark.usefixtures("clean_environment")

# No test waits for a hub as long as a real server does, or for a minute to end.
hurried = partial(running_standin, push_retry=(0, 20, 50), push_limit=((100_000, 1),))


# Late


def shuffled(events: list[Pushed]) -> list[Pushed]:
    """Return events in another order, each twice."""
    return Random(1).sample(events * 2, 2 * len(events))


DELIVERIES: dict[str, Callable[[list[Pushed]], list[Pushed]]] = {
    "in order": lambda events: events,
    "the newest first": lambda events: events[::-1],
    "each twice, in any order": shuffled,
}


@pytest.mark.parametrize("delivered", DELIVERIES.values(), ids=DELIVERIES)
def test_what_is_told_eight_minutes_late_is_as_exact_as_what_is_told_at_once(
    delivered: Callable[[list[Pushed]], list[Pushed]], tmp_path: Path
) -> None:
    """The events, the spells and the tasks are the same, however the messages have come."""
    late: list[Pushed] = []
    with (
        Board() as board,
        Recorder(board, tmp_path / "once.db", every=60, name="team") as at_once,
        Recorder(board, tmp_path / "late.db", every=60, name="team") as recorder,
    ):
        board.store.listeners.append(lambda changes: at_once.hear(served(changes)))
        board.store.listeners.append(lambda changes: late.extend(served(changes)))
        for number, do in enumerate(
            [
                lambda: board.create_task("Design", created_by="lead", assigned_to="alice"),
                lambda: board.create_task("Tests", created_by="lead", assigned_to="bob", queue_name="dev"),
                lambda: board.signup_for_task("alice"),
                lambda: board.update_task(2, priority=3),
                lambda: board.update_task(2, priority=5, title="More tests"),
                lambda: board.update_task(1, status="complete"),
                lambda: board.move_task(2, "bob", "carol", "yours"),
                lambda: board.update_task(1, status="idle"),
                lambda: board.archive_task(1),
            ]
        ):
            board.wait(seconds=25)
            do()
            board.wait(seconds=5)
            if number % 2:
                at_once.look()
                recorder.look()
        for _ in range(8):
            board.wait(minutes=1)
            at_once.look()
            recorder.look()
        recorder.hear(delivered(late))
        wanted, found = History(at_once.path), History(recorder.path)
        assert wanted.events["exact"].all()
        columns = ["not_before", "not_after", "task_id", "change", "before", "after"]
        by_time = partial(pd.DataFrame.sort_values, by=columns, ignore_index=True)
        pd.testing.assert_frame_equal(by_time(found.events[columns]), by_time(wanted.events[columns]))
        pd.testing.assert_frame_equal(found.spells, wanted.spells)
        pd.testing.assert_frame_equal(found.now().all_tasks, wanted.now().all_tasks)
        assert recorder._store.state(1) == at_once._store.state(1)


# A server that is not ours


@pytest.fixture
def address() -> str:
    """Where a hub may listen again and again."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def start(path: Path, address: str) -> Callable[[TinytaskClient], Recorder]:
    """Begin to record a server that pushes to that place."""
    return lambda client: Recorder(client, path, hub=address, every=60)


@pytest.fixture
def hub_url(path: Path, address: str) -> str:
    """What the server is told: it is the same each time."""
    with Board() as board, Recorder(board, path, hub=address) as recorder:
        assert recorder.hub_url is not None
        url = recorder.hub_url
    path.unlink()
    return url


@pytest.fixture
def standin(hub_url: str, tmp_path: Path) -> Iterator[Standin]:
    """A TinyTask v2 in Node.js that pushes there."""
    with hurried("http", tmp_path / "tinytask.db", hub=hub_url) as standin:
        yield standin


@pytest.fixture
def client(standin: Standin) -> Iterator[TinytaskClient]:
    """A client of it."""
    with TinytaskClient(standin.url) as client:
        yield client


def told(path: Path) -> list[tuple[int, str]]:
    """Return each change with its task, in order of time."""
    return [*History(path).events[["task_id", "change"]].itertuples(index=False, name=None)]


@pytest.mark.node("tests/standin")
def test_while_a_server_can_push_it_is_known_how_it_is(
    client: TinytaskClient, path: Path, address: str
) -> None:
    """A quiet hour is no gap, though the server is asked nothing; nor is the end of it unknown."""
    with Recorder(client, path, hub=address, every=0.2) as recorder, closing(History(path)) as history:
        assert eventually(lambda: recorder.how == "live")

        def passes() -> int:
            known = history.coverage["to"].iloc[-1] + timedelta(seconds=1)
            assert eventually(lambda: history.coverage["to"].iloc[-1] > known)
            return int(history.coverage["looks"].sum())

        passes()
        assert passes() == passes()
    with closing(History(path)) as history:
        assert history.recorded().longest_gap_hours == 0
        assert history.coverage["recorded"].all()


@pytest.mark.node("tests/standin")
@pytest.mark.slow
def test_of_what_is_dropped_the_time_is_bounded_and_all_else_is_exact(
    client: TinytaskClient, start: Callable[[TinytaskClient], Recorder], path: Path
) -> None:
    """A server keeps 500 messages: of 620 edits while nobody recorded, the first are known by the outcome."""
    with start(client):
        client.create_task("edit 0", created_by="lead")
        assert eventually(lambda: path.exists() and told(path) == [(1, "new")])
        assert eventually(lambda: History(path).events["source"].tolist() == ["pushed"])
    times = [datetime.now(UTC)]
    for number in range(1, 621):
        client.update_task(1, title=f"edit {number}")
        times.append(datetime.now(UTC))
    with start(client) as recorder:
        history = History(path)
        arrived = "SELECT count(*) FROM inbox WHERE observation IS NOT NULL"
        # Each is written down before it is answered, which takes its time where the disk is busy.
        assert eventually(lambda: recorder._store.scalar(arrived) == 501, seconds=300)
        recorder.look()
        events = history.events.query("change != 'new'")
        titles = [f"edit {number}" for number in range(120, 621)]
        assert events["after"].tolist() == titles
        assert events["before"].tolist() == ["edit 0", *titles[:-1]]
        dropped, pushed = events.iloc[0], events.iloc[1:]
        assert dropped["source"] == "listed"
        assert dropped["not_before"] <= times[120]
        assert dropped["not_after"] >= times[119]
        assert (pushed["source"] == "pushed").all()
        assert (pushed["not_before"] == pushed["not_after"]).all()
        around = pairwise(times[120:])
        for (low, high), time in zip(around, pushed["not_before"], strict=True):
            assert low - timedelta(milliseconds=2) <= time <= high
        assert history.now().tasks["title"].tolist() == client.list_tasks()["title"].tolist() == ["edit 620"]
        server = recorder._journal.server
        assert server is not None
        replay = {1: recorder._store.record_before(server, 1, 2**62)}
        assert replay == recorder._store.state(server)


@pytest.mark.node("tests/standin")
@pytest.mark.slow
def test_what_follows_from_a_change_comes_from_a_listing_with_bounds(
    client: TinytaskClient, start: Callable[[TinytaskClient], Recorder], path: Path
) -> None:
    """A parent that its parts complete, subtasks that go with it, and tasks of a cleared queue."""
    with start(client) as recorder:
        client.create_task("Epic", created_by="lead", queue_name="dev")
        client.create_subtask(1, "Part A", created_by="lead", assigned_to="alice")
        client.create_subtask(1, "Part B", created_by="lead", assigned_to="bob")
        client.create_task("Alone", created_by="lead", queue_name="review")
        assert eventually(lambda: len(told(path)) == 4)
        assert eventually(lambda: (History(path).events["source"] == "pushed").all())
        recorder.look()

        def listed(do: Callable[[], object], changes: set[tuple[int, str]]) -> pd.DataFrame:
            began, known = datetime.now(UTC), len(History(path).events)
            do()
            ended = datetime.now(UTC)
            assert eventually(lambda: changes <= set(told(path)[known:])), told(path)[known:]
            events = History(path).events
            keys = pd.Series([*events[["task_id", "change"]].itertuples(index=False, name=None)])
            found = events[keys.isin(changes) & (events.index >= known)]
            assert (found["source"] == "listed").all()
            assert (found["not_before"] <= ended).all()
            assert (found["not_after"] >= began).all()
            return found

        client.update_task(2, status="working")
        client.update_task(2, status="complete")
        listed(lambda: client.update_task(3, status="complete"), {(1, "finished")})
        listed(lambda: client.clear_queue("review"), {(4, "edited")})
        listed(lambda: client.delete_task(1), {(2, "gone"), (3, "gone")})
        gone = History(path).events.query("task_id == 1 and change == 'gone'")
        assert gone["source"].tolist() == ["pushed"]
        assert eventually(lambda: History(path).now().all_tasks["id"].tolist() == [4])


@pytest.mark.node("tests/standin")
@pytest.mark.slow
def test_comments_that_are_pushed_are_in_the_feed(
    client: TinytaskClient, start: Callable[[TinytaskClient], Recorder], path: Path
) -> None:
    """With their authors and times; an edited one as it is now, a deleted one no longer."""
    with start(client):
        client.create_task("Design", created_by="lead")
        client.comment_listeners.clear()  # Of what it writes itself, it says nothing here.
        client.add_comment(1, "so far so good", created_by="alice")
        client.add_comment(1, "a slip", created_by="bob")
        client.update_comment(1, "so far so bad")
        client.delete_comment(2)
        client.add_comment(1, "the end", created_by="bob")

        def said() -> list[tuple[str, str]]:
            feed = History(path).feed
            rows = feed[feed["what"] == "said"][["agent", "text"]]
            return [*rows.itertuples(index=False, name=None)]

        assert eventually(lambda: said() == [("alice", "so far so bad"), ("bob", "the end")]), said()


@pytest.mark.node("tests/standin")
@pytest.mark.slow
def test_a_recorder_is_live_while_the_server_pushes(
    client: TinytaskClient, start: Callable[[TinytaskClient], Recorder], standin: Standin
) -> None:
    """And says how soon it sees a change once the server is gone."""
    with start(client) as recorder:
        client.create_task("Design", created_by="lead")
        assert eventually(lambda: recorder.how == "live")
        standin.process.kill()
        assert eventually(lambda: recorder.how == "every 60 s")
        assert recorder.recording


@pytest.mark.node("tests/standin")
def test_digests_tell_once_what_a_foreign_server_pushes_while_others_work(
    client: TinytaskClient, start: Callable[[TinytaskClient], Recorder], path: Path
) -> None:
    """Taken again and again meanwhile, none tells a thing twice; comments are signs of life."""
    told: list[tuple[int, str, str]] = []
    asked = 0

    def look() -> bool:
        nonlocal asked
        digest = history.digest(person="ada")
        digest.seen()
        told.extend((one.task_id, one.field, str(one.after)) for one in digest.told)
        asked += digest.counts.get("asked", 0)
        return [field for _, field, _ in told].count("comment") == 12

    with start(client), closing(History(path)) as history:
        client.create_task("task 1", created_by="lead", assigned_to="alice")
        assert eventually(lambda: path.exists() and len(history.servers) == 1)
        for number in range(1, 13):
            client.update_task(number, status="working")
            question = "@supervisor: which?" if number % 4 == 0 else "begun"
            client.add_comment(number, question, created_by="alice")
            if number < 12:
                client.create_task(f"task {number + 1}", created_by="lead", assigned_to="alice")
            look()
        assert eventually(look)
        assert eventually(lambda: history.now().tasks["last_sign_by"].tolist() == ["alice"] * 12)
        look()
    assert len(told) == len({*told})
    for field in ("created", "status", "comment"):
        assert sorted(task for task, of, _ in told if of == field) == [*range(1, 13)]
    assert asked == 3
