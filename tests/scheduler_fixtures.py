"""Fixtures of the scheduler's tests: a board that servers share, recipes, and no process left behind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from calypso_nb.embedded import TinytaskStore, running_server
from tests.agents_at_work import LOGGING, MARK, Log, marked_processes
from tests.conftest import eventually
from tests.v1_server import running_v1_server


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    """The log that the recipe LOGGING writes."""
    path = tmp_path / "log"
    monkeypatch.setenv("GOOSE_RUN_LOG", str(path))
    monkeypatch.setenv(MARK, str(tmp_path))
    return Log(path)


@pytest.fixture
def recipes(tmp_path: Path, log: Log) -> Path:
    """A folder with the recipe LOGGING as the default."""
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "default.py").write_text(LOGGING)
    return folder


@pytest.fixture
def live_board() -> Iterator[TinytaskStore]:
    """An empty TinyTask whose clock goes on."""
    with TinytaskStore() as store:
        yield store


@pytest.fixture
def server(live_board: TinytaskStore) -> Iterator[str]:
    """The address of a TinyTask v2 over `live_board`."""
    with running_server(live_board) as url:
        yield url


@pytest.fixture(params=["v2", "v1"])
def any_server(live_board: TinytaskStore, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a TinyTask of each generation over `live_board`."""
    with (running_server if request.param == "v2" else running_v1_server)(live_board) as url:
        yield url


@pytest.fixture
def nothing_left(tmp_path: Path) -> Iterator[Callable[[], list[str]]]:
    """The processes of this test's runs that are alive; at its end there must be none."""

    def left() -> list[str]:
        return [
            f"{process.pid} {' '.join(process.cmdline())}"
            for process in marked_processes(tmp_path)
            # Python starts a tracker for Dask's workers, which stays until the tests end.
            if process.pid != os.getpid() and "resource_tracker" not in " ".join(process.cmdline())
        ]

    yield left
    assert eventually(lambda: not left()), left()
