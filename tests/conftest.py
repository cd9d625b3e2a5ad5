"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast

import pytest

from calypso_nb import TinytaskClient
from calypso_nb.embedded import TinytaskStore, create_server, fill_sample, running_server
from tests.browser import browser, open_page  # noqa: F401
from tests.faulty_proxy import FaultyProxy, faulty_proxy

# --- A TinyTask to talk to, with its clock and the settings' environment under control ------------------

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether something comes true within some seconds, looking again and again."""
    end = time.monotonic() + 10
    pause = threading.Event()
    while not (true := holds()) and time.monotonic() < end:
        pause.wait(0.02)
    return true


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working directory, and no TINYTASK_ variable from outside."""
    for name in [name for name in os.environ if name.startswith("TINYTASK_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def store() -> Iterator[TinytaskStore]:
    """An empty TinyTask whose clock stands still."""
    with TinytaskStore(now=lambda: NOW) as store:
        yield store


@pytest.fixture
def sample_store(store: TinytaskStore) -> TinytaskStore:
    """The same with the sample project in it."""
    fill_sample(store, now=NOW)
    return store


@pytest.fixture(params=["http", "sse"])
def transport(request: pytest.FixtureRequest) -> Literal["http", "sse"]:
    """Both ways that real TinyTask servers speak."""
    return cast(Literal["http", "sse"], request.param)


@pytest.fixture
def url(store: TinytaskStore, transport: Literal["http", "sse"]) -> Iterator[str]:
    """The address of a TinyTask over `store`, on a port of this machine."""
    with running_server(store, transport) as url:
        yield url


@pytest.fixture(params=["in-process", "http", "sse"])
def client(store: TinytaskStore, request: pytest.FixtureRequest) -> Iterator[TinytaskClient]:
    """A client of `store`, in the same process and over both wires."""
    if request.param == "in-process":
        with TinytaskClient(create_server(store)) as client:
            yield client
        return
    with running_server(store, request.param) as url, TinytaskClient(url) as client:
        yield client


@pytest.fixture
def proxy(url: str) -> Iterator[FaultyProxy]:
    """A proxy before that server which goes wrong on demand."""
    with faulty_proxy(url) as proxy:
        yield proxy


# --- What is skipped has not been run -------------------------------------------------------------------


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without Chromium the browser's tests are skipped, and say what is missing."""
    chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    if not Path(chromium).exists():
        missing = pytest.mark.skip(reason=f"no {chromium}: install Chromium or set CHROMIUM")
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(missing)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With NO_SKIPS set, as in `.ci/run`, a skipped test has failed."""
    report = yield
    if report.skipped and os.environ.get("NO_SKIPS"):
        report.outcome, report.longrepr = "failed", f"skipped, which NO_SKIPS forbids: {report.longrepr}"
    return report
