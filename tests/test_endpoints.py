"""What an endpoint can be: a command, a database file; and that no credential is shown anywhere."""

from __future__ import annotations

import json
import logging
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pandas as pd
import pytest
from starlette.types import Receive, Scope, Send

from calypso_nb import (
    TinytaskAPIError,
    TinytaskClient,
    TinytaskClientError,
    TinytaskConnectionError,
    WorkloadReporter,
    write_report,
)
from calypso_nb.embedded import TinytaskStore, fill_sample, running_server
from calypso_nb.embedded.web import create_app, running_app
from calypso_nb.history.saved import to_document
from calypso_nb.settings import load_settings
from tests.conftest import NOW, SECONDS, SLACK, eventually
from tests.test_faults import server_process
from tests.v1_server import running_v1_server

pytestmark = pytest.mark.usefixtures("clean_environment")


# A command

STDIO_SERVER = """
import os, sys, anyio
from pathlib import Path
from mcp.server.stdio import stdio_server
from calypso_nb.embedded import TinytaskStore, create_server

async def main():
    with TinytaskStore(sys.argv[1]) as store:
        print("noise", file=sys.stderr, flush=True)
        Path(sys.argv[2]).write_text(str(os.getpid()))
        server = create_server(store)
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())

anyio.run(main)
"""


@pytest.fixture
def command(tmp_path: Path) -> str:
    """The endpoint of a TinyTask that speaks on stdin and stdout, over a file."""
    script = tmp_path / "a server.py"
    script.write_text(STDIO_SERVER)
    database, pid = tmp_path / "tinytask.db", tmp_path / "pid"
    return f"stdio:{sys.executable} '{script}' {database} {pid} --token s3cret"


def alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_a_command_is_a_server_while_the_client_is_open(
    command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It starts with the first call, keeps what it is told, ends at close; a later call starts another."""
    client = TinytaskClient(command)
    assert not (tmp_path / "pid").exists()
    task = client.create_task("one")
    assert client.claim_task(task.id, "alice")
    client.create_task("big", description="\N{SNOWMAN}\n" * 300_000)
    assert len(client.get_task(2).description or "") == 600_000
    first = int((tmp_path / "pid").read_text())
    assert alive(first)
    start = time.monotonic()
    client.close()
    assert time.monotonic() - start < SLACK
    assert eventually(lambda: not alive(first))
    with pytest.raises(TinytaskClientError, match="is closed"):
        client.list_tasks()
    assert int((tmp_path / "pid").read_text()) == first
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_command_that_is_killed_is_started_again(command: str, tmp_path: Path) -> None:
    """Nothing that was confirmed is lost, and the next call has a new process."""
    with TinytaskClient(command) as client:
        client.create_task("one")
        os.kill(int((tmp_path / "pid").read_text()), 9)
        assert client.list_tasks()["title"].tolist() == ["one"]


@pytest.mark.slow
def test_a_client_that_is_forgotten_leaves_no_process(command: str, tmp_path: Path) -> None:
    """A cell that is run again and again does not pile up servers."""
    TinytaskClient(command).list_tasks()
    pid = int((tmp_path / "pid").read_text())
    assert eventually(lambda: not alive(pid))


@pytest.mark.parametrize(
    ("command", "words"),
    {
        "missing": ("no-such-command --token s3cret", "can't be started"),
        "no program": ("/ s3cret", "can't be started"),
        "ends at once": ("true s3cret", "ended at once: run it in a terminal"),
        "prints": ("sh -c 'echo s3cret; exec sleep 60'", "what the command prints is not MCP"),
        "prints and prints": ("yes s3cret", "what the command prints is not MCP"),
        "prints other json": ("""sh -c 'echo "{}"; exec sleep 60'""", "what the command prints is not MCP"),
    }.values(),
)
def test_a_command_that_is_no_server_is_told_at_once(
    command: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """No wait for a timeout, nothing printed, and no argument shown."""
    client = TinytaskClient(f"stdio:{command}")
    start = time.monotonic()
    with pytest.raises(TinytaskConnectionError, match=words) as caught:
        client.list_tasks()
    assert time.monotonic() - start < SLACK
    assert "s3cret" not in f"{caught.value}{client}{client.endpoint}"
    client.close()
    assert capfd.readouterr() == ("", "")


def test_a_command_that_says_nothing_ends_at_the_connect_timeout() -> None:
    """A program that waits for something else is no standstill."""
    client = TinytaskClient("stdio:sleep 60", timeout=0.5)
    start = time.monotonic()
    with pytest.raises(TinytaskConnectionError, match=r"no answer within 0\.5 s"):
        client.list_tasks()
    assert time.monotonic() - start < SLACK


@pytest.mark.parametrize("endpoint", ["stdio:", "stdio:   ", "stdio:'open", "stdio:TOKEN=s3cret tinytask"])
def test_a_command_that_cannot_be_read_is_a_value_error(endpoint: str) -> None:
    """What is wrong is told where the endpoint is given."""
    with pytest.raises(ValueError, match="endpoint stdio: w") as caught:
        TinytaskClient(endpoint)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("how", ["", "raise SystemExit(3)", "1 / 0"])
@pytest.mark.slow
def test_a_process_that_ends_takes_its_servers_with_it(how: str, command: str, tmp_path: Path) -> None:
    """Open clients of every kind do not hold up the end of the interpreter, nor does a server outlive it."""
    with TinytaskStore() as store, running_server(store, "http") as http, running_server(store, "sse") as sse:
        script = f"""
import time
from calypso_nb import TinytaskClient
clients = [TinytaskClient(endpoint) for endpoint in {[command, http, sse, "demo"]!r}]
for client in clients: client.list_tasks()
print(time.time(), flush=True)
{how}
"""
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=SECONDS, cwd=tmp_path
        )
        assert time.time() - float(done.stdout) < 5
    assert done.returncode == {"": 0, "raise SystemExit(3)": 3, "1 / 0": 1}[how]
    assert ("ZeroDivisionError" in done.stderr) if how == "1 / 0" else (done.stderr == "")
    assert not alive(int((tmp_path / "pid").read_text()))


# A database file

V1_SCHEMA = """
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, description TEXT,
    status TEXT NOT NULL DEFAULT 'idle', assigned_to TEXT, {more} created_by TEXT,
    priority INTEGER DEFAULT 0, tags TEXT, created_at TEXT, updated_at TEXT, archived_at TEXT
);
CREATE TABLE comments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, task_id INTEGER NOT NULL, content TEXT NOT NULL,
    created_by TEXT, created_at TEXT, updated_at TEXT
);
CREATE TABLE links (
    id INTEGER PRIMARY KEY AUTOINCREMENT, task_id INTEGER NOT NULL, url TEXT NOT NULL,
    description TEXT, created_by TEXT, created_at TEXT
);
INSERT INTO tasks (title, status, assigned_to, priority, tags, created_at, updated_at)
    VALUES ('old', 'idle', 'alice', 3, '["db"]', '2026-11-23 09:13:56', '2026-11-23 09:14:00'),
    ('done', 'complete', 'alice', 0, NULL, '2026-11-23 09:13:57', '2026-11-23 09:14:00');
INSERT INTO comments (task_id, content, created_at, updated_at)
    VALUES (1, 'x', '2026-11-23 09:13:56', '2026-11-23 09:13:56');
INSERT INTO links (task_id, url, created_at) VALUES (2, 'u', '2026-11-23 09:13:56');
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A file of TinyTask v2 with the sample project in it, closed."""
    path = tmp_path / "data" / "tinytask"
    path.parent.mkdir()
    with TinytaskStore(path, now=lambda: NOW) as store:
        fill_sample(store, now=NOW)
        store.create_task("Child ?#%20 \N{SNOWMAN}", "x", parent_task_id=1, queue_name="files")
    return path


def v1_file(path: Path, more: str = "previous_assigned_to TEXT,", wal: bool = True) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        if wal:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(V1_SCHEMA.format(more=more))
        connection.commit()
    return path


def test_a_file_gives_what_its_server_gives(database: Path) -> None:
    """Every reading method answers the same from the file as over the wire."""
    comment, parent = 1, 1
    client = TinytaskClient(database)
    assert client.endpoint == str(database)
    with TinytaskStore(database) as store, running_server(store) as url, TinytaskClient(url) as wire:
        for read in (
            lambda one: one.list_task_records(include_archived=True),
            lambda one: one.list_task_records(status=["idle"], assigned_to="alice", limit=3, offset=1),
            lambda one: one.list_task_records(queue_name="files", exclude_subtasks=False),
            lambda one: one.get_task(parent),
            lambda one: one.get_comment(comment),
            lambda one: one.get_task_with_subtasks(parent, recursive=True),
            lambda one: one.list_queues(),
            lambda one: one.get_queue_stats("files"),
            lambda one: one.count_details([1, 2, 3, 999], progress=False),
            lambda one: one.list_tasks(now=NOW).to_dict("records"),
            lambda one: one.get_my_queue("alice", now=NOW).to_dict("records"),
            lambda one: one.get_subtasks(parent, now=NOW).to_dict("records"),
            lambda one: one.get_queue_tasks("files", status="idle", now=NOW).to_dict("records"),
            lambda one: one.list_comments(parent).to_dict("records"),
            lambda one: one.list_links(parent).to_dict("records"),
            lambda one: WorkloadReporter(one).collect_workload_data(now=NOW, progress=False).summary,
            lambda one: one.health_check(),
        ):
            assert str(read(client)) == str(read(wire))
        for refused in (lambda one: one.get_task(999), lambda one: one.get_comment(999)):
            for one in (client, wire):
                with pytest.raises(TinytaskAPIError, match="not found: 999"):
                    refused(one)
        with pytest.raises(ValueError, match="not 'paused'"):
            client.list_tasks(status="paused")  # type: ignore[arg-type]


def test_a_file_is_never_written_to(database: Path) -> None:
    """Each writing method is refused; not a byte changes, and no file appears beside it."""
    before = database.read_bytes()
    with TinytaskClient(str(database)) as client:
        for write in (
            lambda: client.create_task("x"),
            lambda: client.update_task(1, title="x"),
            lambda: client.delete_task(1),
            lambda: client.signup_for_task("alice"),
            lambda: client.claim_next("alice"),
            lambda: client.clear_queue("files"),
            lambda: client.add_comment(1, "x"),
            lambda: client.delete_link(1),
            lambda: client.move_task(1, "a", "b", "c"),
        ):
            with pytest.raises(TinytaskAPIError, match=f"{database} is a database file, opened read-only"):
                write()
        WorkloadReporter(client).collect_workload_data(progress=False)
    assert database.read_bytes() == before
    assert [path.name for path in database.parent.iterdir()] == [database.name]


@pytest.mark.parametrize("more", ["previous_assigned_to TEXT,", ""], ids=["v1", "oldest v1"])
@pytest.mark.parametrize("wal", [True, False], ids=["wal", "journal"])
def test_a_file_of_a_v1_gives_what_it_has(more: str, wal: bool, tmp_path: Path) -> None:
    """Its times are UTC, what it lacks is NA, and what needs that is refused by its name."""
    client = TinytaskClient(v1_file(tmp_path / "old.sqlite", more, wal))
    tasks = client.list_tasks(status=["idle", "working"])
    assert (tasks["title"].item(), tasks["tags"].item()) == ("old", ("db",))
    assert str(tasks["created_at"].item()) == "2026-11-23 09:13:56+00:00"
    for column in ("queue_name", "parent_task_id", "blocked_by_task_id", "is_currently_blocked"):
        assert tasks[column].isna().all()
    assert client.get_task(1).comments is not None
    counts = client.count_details([1, 2, 3], progress=False)
    assert {task: told[:2] for task, told in counts.items()} == {1: (1, 0), 2: (0, 1), 3: (None, None)}
    data = WorkloadReporter(client).collect_workload_data(progress=False)
    assert (data.summary.total_blocked, data.tasks["comment_count"].sum()) == (None, 1)
    assert client.get_my_queue("alice")["id"].tolist() == [1]
    assert client.list_tasks(offset=1)["id"].tolist() == [2]
    for refused, what in (
        (lambda: client.list_queues(), "such tool"),
        (lambda: client.get_subtasks(1), "such tool"),
        (lambda: client.list_tasks(queue_name="dev"), "queue_name"),
        (lambda: client.list_tasks(exclude_subtasks=True), "exclude_subtasks"),
    ):
        with pytest.raises(TinytaskAPIError, match=f"a file of TinyTask v1, which has no {what}"):
            refused()


@pytest.mark.slow
def test_a_file_is_read_while_a_server_writes_to_it(tmp_path: Path) -> None:
    """Every look finds whole tasks, no fewer than the last, and the server is not held up."""
    path = tmp_path / "tinytask.db"
    with server_process(path, "http") as (url, _), TinytaskClient(url) as writer:
        writer.create_task("first")
        reader = TinytaskClient(path)
        stop, errors = threading.Event(), []

        def write() -> None:
            try:
                for number in range(150):
                    writer.add_comment(writer.create_task(f"task {number}").id, "x")
            except Exception as error:
                errors.append(error)
            finally:
                stop.set()

        thread = threading.Thread(target=write)
        thread.start()
        counts = [0]
        while not stop.is_set():
            data = WorkloadReporter(reader).collect_workload_data(progress=False)
            counts.append(len(data.tasks))
        thread.join(SECONDS)
        assert not errors
        assert counts == sorted(counts)
        assert len(set(counts)) > 3
        assert len(reader.list_tasks()) == 151
        assert sum(comments or 0 for comments, *_ in reader.count_details(range(1, 152)).values()) == 150
    # The server was killed: its last writes are in the log beside the file.
    assert len(TinytaskClient(path).list_tasks()) == 151


@contextmanager
def cannot_write(directory: Path) -> Iterator[None]:
    """For the time of the block this process may read but not write in a directory."""
    for path in [directory, *directory.iterdir()]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    root = os.geteuid() == 0
    try:
        if root:  # Whom no permission stops.
            os.seteuid(65534)
        yield
    finally:
        if root:
            os.seteuid(0)
        directory.chmod(0o755)


def test_a_file_in_a_directory_that_cannot_be_written_to_is_read() -> None:
    """Closed; while a server has it open with writes in its log; and where that cannot be, it is told."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        path = directory / "tinytask.db"
        with TinytaskStore(path) as store:
            store.create_task("one", "x")
        client = TinytaskClient(path)
        with cannot_write(directory):
            assert len(client.list_tasks()) == 1
        with TinytaskStore(path) as store:
            store.create_task("two", "x")
            assert (directory / "tinytask.db-wal").stat().st_size > 0
            with cannot_write(directory):
                assert len(client.list_tasks()) == 2
            copy = directory / "copy"
            copy.mkdir()
            for suffix in ("", "-wal"):
                (copy / f"tinytask.db{suffix}").write_bytes((directory / f"tinytask.db{suffix}").read_bytes())
            client = TinytaskClient(copy / "tinytask.db")
            with cannot_write(copy), pytest.raises(TinytaskConnectionError, match=r"tinytask\.db-wal takes"):
                client.list_tasks()
            assert len(client.list_tasks()) == 2


def test_a_file_that_is_replaced_is_read_anew(database: Path, tmp_path: Path) -> None:
    """A client holds no file open: a restored backup is what the next call finds."""
    client = TinytaskClient(database)
    assert len(client.list_tasks()) > 100
    v1_file(tmp_path / "other").rename(database)
    assert len(client.list_tasks()) == 2
    assert not [fd for fd in Path("/proc/self/fd").iterdir() if fd.exists() and fd.resolve() == database]


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("created_at", "garbage", "created_at: #5 has 'garbage': not a time, so NA"),
        ("created_at", "", "created_at: #5 has '': not a time, so NA"),
        ("tags", '[["x"]]', "tags: #5 has '[[\"x\"]]': not a list of texts, so left out"),
        ("tags", "not json", "tags: #5 has 'not json': not a list of texts, so left out"),
        ("priority", 4.99, "priority: #5 has 4.99: not a whole number, so NA"),
    ],
)
def test_an_odd_value_in_a_file_is_na_and_named(
    column: str, value: object, words: str, database: Path
) -> None:
    """The report goes on with all other values, and a warning says which row and field it could not read."""
    with closing(sqlite3.connect(database)) as connection:
        whole = len(WorkloadReporter(TinytaskClient(database)).collect_workload_data().tasks)
        connection.execute(f"UPDATE tasks SET {column} = ? WHERE id = 5", (value,))
        connection.commit()
    with pytest.warns(UserWarning, match=re.escape(words)):
        data = WorkloadReporter(TinytaskClient(database)).collect_workload_data()
    odd = data.tasks.set_index("id").loc[5, column]
    assert odd == () if column == "tags" else pd.isna(odd)
    assert len(data.tasks) == whole
    assert data.to_json() and data.to_console() and data.to_markdown()


@pytest.mark.parametrize("time", ["2026-11-20T10:00:00Z", "2026-11-20 15:30:00+05:30"])
def test_a_time_with_a_zone_in_a_file_is_that_time(time: str, database: Path) -> None:
    """Written by hand as the wire writes it, it means the same."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE tasks SET created_at = ? WHERE id = 5", (time,))
        connection.commit()
    tasks = TinytaskClient(database).list_tasks().set_index("id")
    assert str(tasks.loc[5, "created_at"]) == "2026-11-20 10:00:00+00:00"
    assert str(TinytaskClient(database).get_task(5).created_at) == "2026-11-20 10:00:00+00:00"


@pytest.mark.parametrize(("column", "value"), [("tags", "not json"), ("created_at", "garbage")])
def test_one_task_with_an_odd_value_in_a_file_is_an_error_that_names_the_field(
    column: str, value: str, database: Path
) -> None:
    """It says which field and what is in it; lists go on, as the report does."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"UPDATE tasks SET {column} = ?, assigned_to = 'ann' WHERE id = 5", (value,))
        connection.execute("UPDATE tasks SET status = 'idle', archived_at = NULL WHERE id = 5")
        connection.commit()
    client = TinytaskClient(database)
    with pytest.raises(TinytaskConnectionError, match=f"get_task: .*; {column} is '{value}"):
        client.get_task(5)
    with pytest.warns(UserWarning, match=f"{column}: #5 has '{value}"):
        assert client.get_my_queue("ann")["id"].tolist() == [5]


def no_database(path: Path, kind: str) -> None:
    if kind == "text":
        path.write_text("title,status\n")
    elif kind == "empty":
        path.touch()
    elif kind == "directory":
        path.mkdir()
    elif kind == "cut off":
        v1_file(path, wal=False)
        path.write_bytes(path.read_bytes()[:5000])
    elif kind != "missing":
        tables = {"others": "CREATE TABLE x (y)", "tasks": "CREATE TABLE tasks (id, title)"}
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(tables[kind])
            connection.commit()


@pytest.mark.parametrize(
    ("kind", "words"),
    {
        "missing": "No such file or directory",
        "text": "it is not an SQLite database",
        "empty": "it is not an SQLite database",
        "directory": "Is a directory",
        "others": "an SQLite database without TinyTask's tasks",
        "tasks": "an SQLite database without TinyTask's tasks",
        "cut off": "malformed",
    }.items(),
)
def test_a_file_that_is_no_tinytask_is_told_as_what_it_is(kind: str, words: str, tmp_path: Path) -> None:
    """At the first call, with the path, and the same for each call; a missing file is not made."""
    path = tmp_path / "some.db"
    no_database(path, kind)
    client = TinytaskClient(str(path))
    assert client.health_check() is False
    for call in (client.list_tasks, lambda: client.count_details([1], progress=False)):
        with pytest.raises(TinytaskConnectionError, match=words) as caught:
            call()
        assert str(path) in str(caught.value)
    assert path.exists() is (kind != "missing")


@pytest.mark.parametrize("form", ["path", "string", "relative", "home", "link", "environment", "odd name"])
def test_a_path_can_be_given_in_every_way(
    form: str, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Path, a string with a suffix or of a file that is there, `~`, a link, TINYTASK_ENDPOINT."""
    monkeypatch.setenv("HOME", str(tmp_path))
    ways = {"path": database, "string": str(database), "relative": "data/tinytask"}
    endpoint: str | Path | None = ways.get(form)
    if form == "home":
        endpoint = "~/data/tinytask"
    elif form == "link":
        endpoint = tmp_path / "link.db"
        endpoint.symlink_to(database)
    elif form == "environment":
        monkeypatch.setenv("TINYTASK_ENDPOINT", str(database))
    elif form == "odd name":
        endpoint = str(database.rename(tmp_path / "50% of #1?mode=rw&x \N{SNOWMAN}.db"))
    assert len(TinytaskClient(endpoint).list_tasks(queue_name="files")) == 1


@pytest.mark.slow
def test_a_file_needs_no_mcp(database: Path) -> None:
    """Reading a file does not wait for what only a server needs to load."""
    script = (
        "import sys; from calypso_nb import TinytaskClient;"
        f"assert len(TinytaskClient({str(database)!r}).list_tasks()); print('mcp' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=SECONDS)
    assert (done.stdout, done.stderr) == ("False\n", "")


# Credentials

SECRETS = ("gate-user", "gate-password", "gate-key")


@pytest.mark.parametrize("kind", ["http", "sse", "v1"])
@pytest.mark.slow
def test_credentials_are_shown_nowhere(
    kind: str, store: TinytaskStore, caplog: pytest.LogCaptureFixture
) -> None:
    """No repr, error, log, report, page or JSON has a secret in it, whether the calls succeed or fail."""
    caplog.set_level(logging.DEBUG)
    fill_sample(store, now=NOW)
    texts: list[str] = []
    running = running_v1_server(store) if kind == "v1" else running_server(store, kind)  # type: ignore[arg-type]
    with running as url:
        secret = url.replace("//", "//gate-user:gate-password@") + "/#gate-key"
        client = TinytaskClient(secret, token="gate-password", headers={"X-Key": "gate-key"}, timeout=5)
        data = WorkloadReporter(client).collect_workload_data(progress=False)
        write_report(data, "page.html")
        texts += [repr(client), client.endpoint, data.endpoint, repr(data), Path("page.html").read_text()]
        texts += [json.dumps(to_document(data), default=str)]
        with pytest.raises(TinytaskAPIError) as refused:
            client.get_task(999)
        texts += [str(refused.value), repr(refused.value)]
        if kind == "v1":
            with pytest.raises(TinytaskAPIError) as refused:
                client.list_queues()
            texts += [str(refused.value)]
    with pytest.raises(TinytaskConnectionError) as caught:
        client.list_tasks()
    error: BaseException | None = caught.value
    while error is not None:
        texts += [str(error), repr(error)]
        error = error.__cause__ or error.__context__
    texts += [repr(load_settings(endpoint=secret, token="gate-password", headers={"X-Key": "gate-key"}))]
    texts += [record.getMessage() for record in caplog.records]
    assert len(texts) > 20
    assert not [text[:300] for text in texts for secret in SECRETS if secret in text]


@pytest.mark.parametrize("transport", ["http", "sse"])
def test_credentials_reach_the_server_with_each_request(transport: str, store: TinytaskStore) -> None:
    """The user and password, the token and the headers, on every request of a session."""
    seen: list[dict[bytes, bytes]] = []
    app = create_app(store, transport)  # type: ignore[arg-type]

    async def gateway(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != "/health":
            seen.append(dict(scope["headers"]))
        await app(scope, receive, send)

    with running_app(gateway) as url:  # type: ignore[arg-type]
        with TinytaskClient(url, token="gate-password", headers={"X-Key": "gate-key"}) as client:
            client.create_task("one")
        for token in (None, "before"):
            with TinytaskClient(url.replace("//", "//gate-user:s3%40@"), token=token) as client:
                client.list_tasks()
                client.health_check()
    third = [seen.pop() for _ in range(len(seen)) if seen[-1][b"authorization"] == b"Bearer before"]
    assert len(third) > 3
    first = [headers for headers in seen if b"x-key" in headers]
    second = [headers for headers in seen if b"x-key" not in headers]
    assert len(first) > 3
    assert {headers[b"x-key"] for headers in first} == {b"gate-key"}
    assert {headers[b"authorization"] for headers in first} == {b"Bearer gate-password"}
    assert len(second) > 3
    assert {headers[b"authorization"] for headers in second} == {b"Basic Z2F0ZS11c2VyOnMzQA=="}
