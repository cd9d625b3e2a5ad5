"""The foreign TinyTask of the tests: `tests/standin/server.js`, on the packages that TinyTask stands on.

What holds against the embedded server alone is not known to hold. `make node` installs its packages.
"""

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

Kind = Literal["http", "sse", "v1"]
KINDS: tuple[Kind, ...] = ("http", "sse", "v1")

FOLDER = Path(__file__).parent / "standin"

# The marks of whatever talks to the stand-in.
NEEDS_STANDIN = (pytest.mark.node("tests/standin"), pytest.mark.slow)


class Standin(NamedTuple):
    """A stand-in that runs: its base URL, its database file, and its process."""

    url: str
    path: Path
    process: subprocess.Popen[str]

    def connect(self) -> sqlite3.Connection:
        """Open its database file, as somebody would who has the file and no TinyTask."""
        return sqlite3.connect(self.path, timeout=60)

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """Run one statement on its database file, and commit it."""
        with closing(self.connect()) as connection, connection:
            return connection.execute(query).fetchall()


@contextmanager
def running_standin(
    kind: Kind,
    database: Path,
    port: int = 0,
    hub: str | None = None,
    group: str | None = None,
    push_retry: Sequence[int] = (),
    push_limit: Sequence[tuple[int, int]] = (),
) -> Iterator[Standin]:
    """Serve a database file from a stand-in of v2 over `http` or `sse`, or of `v1`, which is SSE.

    Args:
        hub: the URL of the SignalR hub that v2 pushes its events to.
        group: the group of the hub's clients that gets the events; all get them without one.
        push_retry: the milliseconds before each new try to reach the hub, of which the last is repeated;
            a real server's without it.
        push_limit: how many events are sent in how many milliseconds, at most; a real server's without it.
    """
    command = ["node", str(FOLDER / "server.js"), "--kind", kind, "--db", str(database), "--port", str(port)]
    if push_retry:
        command += ["--push-retry-ms", ",".join(map(str, push_retry))]
    if push_limit:
        command += ["--push-limit", ",".join(f"{count}/{span}" for count, span in push_limit)]
    # As a real server gets them; a hub that the tester's environment names hears nothing.
    environment = os.environ | {"TINYTASK_SIGNALR_HUB_URL": hub or "", "TINYTASK_SIGNALR_GROUP": group or ""}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        assert url, f"the stand-in did not start: {' '.join(command)}"
        yield Standin(url, database, process)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.fixture(scope="session")
def standins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Kind], Standin]]:
    """Give the stand-in of a kind, without tasks; each kind is started once."""
    running: dict[Kind, Standin] = {}
    with ExitStack() as stack:

        def standin_of(kind: Kind) -> Standin:
            if kind not in running:
                path = tmp_path_factory.mktemp("standin") / f"{kind}.db"
                running[kind] = stack.enter_context(running_standin(kind, path))
            for table in ("comments", "links", "tasks", "sqlite_sequence"):
                running[kind].sql(f"DELETE FROM {table}")
            return running[kind]

        yield standin_of
