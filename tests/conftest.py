"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast
from unittest.mock import patch

import pytest
from hypothesis import settings

from calypso_nb import History, TinytaskClient
from calypso_nb.embedded import TinytaskStore, create_server, fill_sample, running_server
from calypso_nb.history.sample import sample_past
from calypso_nb.history.store import HistoryStore
from tests.browser import browser, open_page  # noqa: F401
from tests.faulty_proxy import FaultyProxy, faulty_proxy
from tests.standin import standins  # noqa: F401
from tests.watched import Board

# --- Time -----------------------------------------------------------------------------------------------

# Bounds a hang, and nothing else: no test needs it, on the busiest machine.
SECONDS = 60
# What a busy machine may add to a call that ends by its own timeout.
SLACK = 5

# Started in the background by a shell, a process ignores Ctrl-C, and so do all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# By nohup, the end of its terminal.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


# --- Random examples: few for every save, many where nobody waits ---------------------------------------

# A report is made and written many times over: what counts is the result, not how long one example takes.
settings.register_profile("quick", deadline=None, max_examples=5)
settings.register_profile("full", deadline=None, max_examples=100)


def pytest_configure(config: pytest.Config) -> None:
    """Take the profile that HYPOTHESIS_PROFILE names, unless --hypothesis-profile does."""
    if not config.getoption("--hypothesis-profile"):
        settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


# --- A TinyTask to talk to, with its clock and the settings' environment under control ------------------

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def eventually(holds: Callable[[], bool], seconds: float = SECONDS) -> bool:
    """Return whether something comes true in time, looking again and again."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not (true := holds()) and time.monotonic() < end:
        pause.wait(0.02)
    return true


# The settings of TinyTask's own command line lie in the home of whoever runs the tests: nothing reads them.
NO_FILE = "/nonexistent/tinytaskrc.json"
os.environ["TINYTASK_CONFIG_PATH"] = NO_FILE
# Nor what their own team has agreed on, or they have snoozed.
os.environ["CALYPSO_NB_CONFIG"] = os.devnull
os.environ["CALYPSO_NB_STATE"] = f"{os.devnull}/state"


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An empty working directory, and an environment of its own without a setting from outside."""
    ours = ("TINYTASK_", "TKO_", "CALYPSO_NB_")
    outside = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    outside |= {"TINYTASK_CONFIG_PATH": NO_FILE, "CALYPSO_NB_STATE": str(tmp_path / "state")}
    monkeypatch.chdir(tmp_path)
    with patch.dict(os.environ, outside, clear=True):
        yield tmp_path


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


@pytest.fixture(scope="session")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Sixty days of the sample project up to `NOW`, for all tests that only read."""
    path = tmp_path_factory.mktemp("past") / "history.db"
    with HistoryStore(path, write=True) as store:
        sample_past(store, now=NOW)
    history = History(path)
    yield history
    history.close()


@pytest.fixture
def board() -> Iterator[Board]:
    """A board without tasks, on a Monday at nine."""
    with Board() as board:
        yield board


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a history is to be."""
    return tmp_path / "history.db"


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


# --- Several workers ------------------------------------------------------------------------------------


@cache
def scope_of(nodeid: str) -> str:
    """Return what of a test stays on one worker: its module, if a browser or a kernel is started for it."""
    module = nodeid.partition("::")[0]
    text = (Path(__file__).parent.parent / module).read_text("utf-8")
    if "pytest.mark.browser" in text or "KernelManager" in text:
        return module
    return nodeid


# Not xdist's own `--dist loadgroup`, which does nothing with pytest 9.2: it counts on a private attribute.
@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give a worker the next test that is ready, or a whole module of those that start something slow."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope_of(nodeid)

    return Scheduling(config, log)


# --- What is skipped has not been run -------------------------------------------------------------------

ROOT = Path(__file__).parent.parent


def lacking(item: pytest.Item) -> str | None:
    """Return what this machine lacks for a test, by its markers."""
    chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    if item.get_closest_marker("browser") and not Path(chromium).exists():
        return f"no {chromium}: install Chromium or set CHROMIUM"
    if node := item.get_closest_marker("node"):
        if shutil.which("node") is None:
            return "no node: install Node.js"
        [folder] = node.args
        if not (ROOT / folder / "node_modules").exists():
            return f"no packages of {folder}: run make node"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run."""
    for item in items:
        if reason := lacking(item):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With NO_SKIPS set, as in `.ci/run`, a skipped test has failed."""
    report = yield
    if report.skipped and os.environ.get("NO_SKIPS"):
        report.outcome, report.longrepr = "failed", f"skipped, which NO_SKIPS forbids: {report.longrepr}"
    return report
