"""A dashboard with a history: it records while it is open, is live, and asks a server for next to nothing."""

from __future__ import annotations

import json
import logging
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from calypso_nb import Dashboard, History, Recorder, TinytaskClient, WorkloadReporter
from calypso_nb.embedded import TinytaskStore, create_app, create_server, web
from calypso_nb.embedded.push import Pusher
from calypso_nb.history import live
from calypso_nb.view import dashboard as dashboards
from tests.conftest import eventually
from tests.faulty_proxy import faulty_proxy
from tests.standin import running_standin

TOKEN = "s3cret-of-the-hub"
Opened = Callable[..., Dashboard]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("clean_environment"),
    # That the hub is not there yet, or no more, is said, whatever else a test is about.
    pytest.mark.filterwarnings("ignore:the SignalR hub"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a history will be."""
    return tmp_path / "history.db"


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Where a database file is."""
    return str(tmp_path / "tasks.db")


@pytest.fixture
def board(file: str) -> Iterator[TinytaskStore]:
    """Two tasks in that file, as somebody else writes it."""
    with TinytaskStore(file) as store:
        store.create_task("First", "lead", assigned_to="alice")
        store.create_task("Second", "lead", priority=9)
        yield store


@pytest.fixture
def opened(path: Path) -> Iterator[Opened]:
    """Open dashboards with a history, which are closed at the end."""
    with ExitStack() as stack:

        def open_(source: Any, **options: Any) -> Dashboard:
            client = stack.enter_context(TinytaskClient(source, max_retries=0, connect_timeout=5))
            dashboard = Dashboard(WorkloadReporter(client), **{"history": path, **options})
            stack.callback(dashboard.close)
            return dashboard

        yield open_


def liveness(dashboard: Dashboard) -> dict[str, Any]:
    """What the view is told of how live it is."""
    return dict(dashboard.view.news["liveness"])


def shows(dashboard: Dashboard, title: str) -> bool:
    """Return whether a task is in the data and on its way to the screen, in time."""
    return eventually(lambda: title in dashboard.view.payload["rows"]["title"])


def row_of(dashboard: Dashboard, task: int) -> dict[str, Any]:
    """The row of a task that the view shows."""
    rows = dashboard.view.payload["rows"]
    at = rows["id"].index(task)
    return {name: values[at] for name, values in rows.items()}


class Counting:
    """A web application in front of another that notes what is asked of it, and how it is answered."""

    def __init__(self, app: ASGIApp, seen: list[str]) -> None:
        self._app, self._seen = app, seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noting(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._seen.append(f"{scope['method']} {scope['path']} {message['status']}")
            await send(message)

        await self._app(scope, receive, noting if scope["type"] == "http" else send)


@contextmanager
def counted_server(
    store: TinytaskStore, hub: str | None = None, port: int = 0
) -> Iterator[tuple[str, list[str]]]:
    """A TinyTask over HTTP: its address, and what it has been asked."""
    seen: list[str] = []
    app = create_app(store, hub=hub)
    app.add_middleware(Counting, seen)
    with web.running_app(app, port) as url:
        yield url, seen


def passed(path: Path) -> bool:
    """Let time pass: until somebody who records another board in the same file has looked twenty times."""
    with (
        TinytaskStore() as store,
        TinytaskClient(create_server(store)) as client,
        Recorder(client, path, every=0.1, name="another board"),
        closing(sqlite3.connect(path)) as file,
    ):
        query = (
            "SELECT sum(looks) FROM observation JOIN server ON server.id = server WHERE name LIKE 'another%'"
        )
        return eventually(lambda: (file.execute(query).fetchone()[0] or 0) >= 20)


def settled(dashboard: Dashboard) -> bool:
    """Return whether its server pushes, and no look is due for a while, in time."""

    def quiet() -> bool:
        recorder = dashboard._live and dashboard._live.recorder
        assert recorder is not None
        return liveness(dashboard)["how"] == "live" and 60 < recorder._due - time.monotonic() < 1e6

    return eventually(quiet)


# --- A database file --------------------------------------------------------------------------------------


def test_what_others_write_to_a_file_shows_by_itself(
    board: TinytaskStore, file: str, opened: Opened, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New tasks and edits come without a refresh, in Python too, and all is in the history."""
    dashboard = opened(file)
    monkeypatch.setattr(dashboard.reporter, "collect_workload_data", None)  # Nobody reads the file again.
    lengths: list[int] = []
    dashboard.on_change(lambda tasks: lengths.append(len(tasks)))
    assert liveness(dashboard)["how"] == "live"
    board.create_task("Came meanwhile", "lead")
    assert shows(dashboard, "Came meanwhile")
    assert eventually(lambda: lengths[-1] == 3)
    board.update_task(1, status="working")
    assert eventually(lambda: row_of(dashboard, 1)["status"] == "working")
    assert not dashboard.view.news["error"]
    assert History(path).events["change"].tolist() == ["new", "new", "new", "started"]


def test_a_comment_is_counted_of_its_task_and_of_a_new_task_all(
    board: TinytaskStore, file: str, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other tasks keep the counts that are known, as with a refresh by the timer."""
    dashboard = opened(file)
    client, counted = dashboard.reporter.client, list[int]()
    count = client.count_details
    monkeypatch.setattr(
        client, "count_details", lambda ids, *how, **more: counted.extend(ids) or count(ids, *how, **more)
    )
    board.add_comment(2, "Who takes it?", "alice")
    assert eventually(lambda: row_of(dashboard, 2)["comments"] == 1)
    board.create_task("Came meanwhile", "lead")
    assert shows(dashboard, "Came meanwhile")
    assert counted == [2, 3]
    assert row_of(dashboard, 3)["comments"] == 0
    dashboard.refresh()
    assert sorted(counted[2:]) == [1, 2, 3]


def test_changes_are_told_together_until_somebody_refreshes(
    board: TinytaskStore, file: str, opened: Opened
) -> None:
    """One by one they would be gone before anybody has read them."""
    dashboard = opened(file)
    since = dashboard.data.generated_at.isoformat()
    for title in ("One", "Two"):
        board.create_task(title, "lead")
        assert shows(dashboard, title)
    told = lambda: {change["title"] for change in dashboard.view.happened["changes"]}  # noqa: E731
    assert eventually(lambda: told() == {"One", "Two"})
    assert dashboard.view.happened["since"] == since
    dashboard.refresh()
    dashboard.refresh()
    assert dashboard.view.happened["changes"] == []


def test_an_action_shows_at_once(opened: Opened) -> None:
    """Its own recorder looks, and nobody waits for the next look."""
    with TinytaskStore() as store, counted_server(store) as (url, _):
        store.create_task("Here", "lead")
        dashboard = opened(url, every=3600)
        sent: list[dict[str, Any]] = []
        dashboard.view.send = sent.append  # type: ignore[method-assign, assignment]
        seen = {name: store.get_task(1)[name] for name in ("id", "assigned_to", "status", "updated_at")}
        message = {"ask": "act", "id": 1, "action": "priority", "value": 7, "request": "1", "sure": True}
        dashboard.view._handle_custom_msg({**message, "seen": {**seen, "archived_at": None}}, [])
        assert eventually(lambda: row_of(dashboard, 1)["priority"] == 7)
        assert sent[0]["task"]["priority"] == 7
        store.create_task("By somebody else", "lead")
        dashboard.refresh()
        assert "By somebody else" in dashboard.data.tasks["title"].tolist()


def test_tasks_grow_old_while_nothing_happens(
    board: TinytaskStore, file: str, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that nobody edits needs attention some day."""
    monkeypatch.setattr(live, "_AGE_SECONDS", 0.0)
    dashboard = opened(file, every=0.1)
    first = dashboard.data
    assert eventually(lambda: dashboard.data.generated_at > first.generated_at)
    assert (dashboard.data.tasks["age_hours"] > first.tasks["age_hours"]).all()
    assert not dashboard.view.happened.get("changes")


def test_what_an_export_shows_follows(
    board: TinytaskStore, file: str, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with each change, since it is large, but soon; and at the end all is in it."""
    monkeypatch.setattr(dashboards, "_SAVE_SECONDS", 3600.0)
    dashboard, saved = opened(file), list[str]()
    dashboard._displayed, dashboard._saved_at = True, time.monotonic()
    dashboard._saved.update = lambda bundle, raw: saved.append(bundle["text/html"])
    board.create_task("Came meanwhile", "lead")
    assert shows(dashboard, "Came meanwhile")
    assert eventually(lambda: dashboard._unsaved) and saved == []
    dashboard.close()
    assert "Came meanwhile" in saved[0]


# --- Two of them ------------------------------------------------------------------------------------------


def test_a_second_dashboard_follows_what_the_first_records_and_then_records_itself(
    board: TinytaskStore, file: str, opened: Opened, path: Path
) -> None:
    """It looks at nothing itself until the first is closed, and misses nothing after that."""
    first, second = opened(file), opened(file)
    assert first._live is not None and first._live.recorder is not None
    assert second._live is not None and second._live.recorder is None
    board.create_task("Came meanwhile", "lead")
    assert shows(first, "Came meanwhile") and shows(second, "Came meanwhile")
    assert liveness(second)["how"] == "live"
    first.close()
    first.close()
    assert eventually(lambda: second._live is not None and second._live.recorder is not None)
    assert eventually(lambda: liveness(second)["stopped"] is None)
    board.create_task("And again", "lead")
    assert shows(second, "And again")


def test_a_dashboard_that_can_not_go_on_recording_says_so_and_still_reads(
    board: TinytaskStore, file: str, opened: Opened, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says since when nobody records; whoever does so later is followed."""
    first, second = opened(file), opened(file)

    def fails(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    assert second._live is not None
    monkeypatch.setattr(second._live, "_record", fails)
    first.close()
    assert eventually(lambda: liveness(second)["stopped"] is not None)
    board.create_task("Nobody records it", "lead")
    second.refresh()  # It reads the file itself.
    assert "Nobody records it" in second.data.tasks["title"].tolist()
    third = opened(file)
    assert third._live is not None and third._live.recorder is not None
    assert eventually(lambda: liveness(second)["stopped"] is None)
    board.create_task("And again", "lead")
    assert shows(second, "And again")


def test_a_dashboard_that_can_not_be_made_records_nothing(
    board: TinytaskStore, file: str, opened: Opened, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one can record at once."""
    with pytest.raises(ValueError, match="a hub is told goes into a history"):
        opened(file, history=None, hub="127.0.0.1:0")
    with pytest.raises(ValueError, match="give HOST:PORT"):
        opened(file, hub="3390")
    with pytest.raises(ValueError, match="every is a number of seconds"):
        opened(file, every=-1)
    monkeypatch.setattr(TinytaskClient, "count_details", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        opened(file)
    monkeypatch.undo()
    with TinytaskClient(file) as client, Recorder(client, path) as recorder:
        assert recorder.recording
    assert not [thread for thread in threading.enumerate() if thread.name == "calypso-nb-recorder"]


# --- A server ---------------------------------------------------------------------------------------------


def test_an_unchanged_board_costs_one_304_a_look(opened: Opened, path: Path) -> None:
    """Without a body, and nothing else is asked; a change comes with the next look."""
    with TinytaskStore() as store, counted_server(store) as (url, seen):
        store.create_task("First", "lead")
        dashboard = opened(url, every=0.1)
        assert liveness(dashboard)["how"] == "every 0.1 s"
        shown, begin = dashboard.data, len(seen)
        assert eventually(lambda: len(seen) >= begin + 10)
        assert {*seen[begin:]} == {"GET /api/v1/tasks 304"}
        assert dashboard.data is shown
        store.create_task("Came meanwhile", "lead")
        assert shows(dashboard, "Came meanwhile")
        whole = [line for line in seen[begin:] if line == "GET /api/v1/tasks 200"]
        assert len(whole) == 1


def test_a_server_that_is_away_is_told_with_the_time_and_so_is_its_return(opened: Opened) -> None:
    """The numbers stay, and the message goes with the next look that goes well."""
    with TinytaskStore() as store, counted_server(store) as (url, _), faulty_proxy(url) as proxy:
        store.create_task("First", "lead")
        dashboard = opened(proxy.url, every=0.1)
        known = liveness(dashboard)["known"]
        proxy.refuse()
        assert eventually(lambda: liveness(dashboard)["away"] is not None)
        told = liveness(dashboard)
        assert known <= told["known"] <= told["away"] and proxy.url in told["why"]
        dashboard.refresh()
        said = dashboard.view.news["error"]
        assert proxy.url in said and "sample data" not in said  # That is for who has no server yet.
        assert dashboard.view.payload["rows"]["title"] == ["First"]
        proxy.heal()
        assert eventually(lambda: liveness(dashboard)["away"] is None)
        assert eventually(lambda: not dashboard.view.news["error"])
        assert liveness(dashboard)["why"] is None
        assert eventually(lambda: liveness(dashboard)["known"] > told["away"])


def test_a_disk_that_takes_no_more_is_told(
    board: TinytaskStore, file: str, opened: Opened, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can't be written down is not shown as if it had been."""
    dashboard = opened(file)
    assert dashboard._live is not None and dashboard._live.recorder is not None

    def full(*_: object, **__: object) -> int:
        raise OSError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(dashboard._live.recorder._journal, "see", full)
        board.create_task("Came meanwhile", "lead")
        assert eventually(lambda: liveness(dashboard)["why"] == "database or disk is full")
    assert shows(dashboard, "Came meanwhile")
    assert eventually(lambda: liveness(dashboard)["away"] is None)


# --- A hub ------------------------------------------------------------------------------------------------


def free_port() -> int:
    """A port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Where a hub will be, and its URL, as somebody has given it to a server before."""
    monkeypatch.setenv("TINYTASK_HUB_TOKEN", TOKEN)
    monkeypatch.setattr(web, "Pusher", partial(Pusher, delays=(0, 0.05)))
    address = f"127.0.0.1:{free_port()}"
    return address, f"http://{address}/hub/{TOKEN}"


def test_what_a_server_pushes_shows_and_while_nothing_changes_it_is_asked_nothing(
    opened: Opened, path: Path, hub: tuple[str, str]
) -> None:
    """Though it would be asked ten times a second, and somebody else writes into the same file."""
    address, url = hub
    with TinytaskStore() as store, counted_server(store, url) as (server, seen):
        store.create_task("First", "lead")
        dashboard = opened(server, every=0.1, hub=address)
        assert dashboard.hub_url == url
        assert settled(dashboard)
        before = len(seen)
        assert passed(path)
        assert seen[before:] == []
        with TinytaskClient(server) as other:
            other.create_task("Pushed", created_by="lead")
            assert shows(dashboard, "Pushed")
            other.add_comment(1, "Begin", created_by="lead")
            assert eventually(lambda: row_of(dashboard, 1)["comments"] == 1)
        assert settled(dashboard)
        before = len(seen)
        assert passed(path)
        assert seen[before:] == []


def _has(dashboard: Dashboard, status: str) -> bool:
    return bool(row_of(dashboard, 1)["status"] == status)


def test_what_is_pushed_shows_while_the_server_can_not_be_listed(
    opened: Opened, hub: tuple[str, str]
) -> None:
    """Its pushes take another way than the listings."""
    address, url = hub
    with TinytaskStore() as store, counted_server(store, url) as (server, _), faulty_proxy(server) as proxy:
        store.create_task("First", "lead")
        dashboard = opened(proxy.url, every=0.1, hub=address)
        assert settled(dashboard)
        proxy.refuse()
        with TinytaskClient(server) as other:
            for status in ("working", "complete"):
                other.update_task(1, status=status)
                assert eventually(partial(_has, dashboard, status))
        assert liveness(dashboard)["away"] is not None


def test_credentials_are_in_no_file_no_log_and_no_page(
    opened: Opened, path: Path, hub: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither those of the server nor the token of the hub."""
    caplog.set_level(logging.DEBUG)
    address, url = hub
    with TinytaskStore() as store, counted_server(store, url) as (server, _), faulty_proxy(server) as proxy:
        store.create_task("First", "lead")
        dashboard = opened(proxy.url.replace("//", "//user:pa55word@"), every=0.1, hub=address)
        assert settled(dashboard)
        proxy.refuse()
        dashboard.refresh()
        assert eventually(lambda: liveness(dashboard)["away"] is not None)
        page = json.dumps(dashboard.view.get_state(), default=repr) + dashboard._static()["text/html"]
        files = [one.read_bytes().decode("latin-1") for one in path.parent.iterdir() if one.is_file()]
        said = [f"{record.getMessage()} {record.args}" for record in caplog.records]
        for text in (page, repr(dashboard), *files, *said):
            assert "pa55word" not in text and TOKEN not in text


@pytest.mark.node("tests/standin")
@pytest.mark.parametrize("kind", ["http", "sse"])
def test_a_foreign_server_that_pushes_goes_and_comes_back(
    opened: Opened, tmp_path: Path, hub: tuple[str, str], kind: Any
) -> None:
    """Live while it pushes, away while it is gone, and live again, with what happened in between."""
    (address, url), port = hub, free_port()
    start = partial(
        running_standin,
        kind,
        tmp_path / "standin.db",
        port,
        url,
        push_retry=(0, 50),
        push_limit=((100_000, 1),),
    )
    with start() as standin:
        dashboard = opened(standin.url, every=0.1, hub=address)
        assert settled(dashboard)
        with TinytaskClient(standin.url) as other:
            other.create_task("Pushed", created_by="lead")
            assert shows(dashboard, "Pushed")
    assert eventually(lambda: liveness(dashboard)["away"] is not None)
    assert liveness(dashboard)["how"] == "every 0.1 s"
    with start() as standin:
        with TinytaskClient(standin.url) as other:
            other.create_task("Pushed again", created_by="lead")
            assert shows(dashboard, "Pushed again")
        # A look that had begun while the server was gone may still report that.
        assert eventually(lambda: liveness(dashboard)["away"] is None)
        assert settled(dashboard)


def test_a_callback_may_close_the_dashboard(
    board: TinytaskStore, file: str, opened: Opened, path: Path
) -> None:
    """It runs in a thread of the dashboard's, which ends then."""
    dashboard = opened(file)
    dashboard.on_change(lambda tasks: dashboard.close() if len(tasks) > 2 else None)
    board.create_task("The last one", "lead")
    ours = ("calypso-nb-live", "calypso-nb-recorder")
    assert eventually(lambda: not [thread for thread in threading.enumerate() if thread.name in ours])
    with TinytaskClient(file) as client, Recorder(client, path) as recorder:
        assert recorder.recording
