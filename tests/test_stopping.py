"""How runs end: told to stop once, twice, three times, by a closed terminal, with a stopped watchdog."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from calypso_nb import TinytaskClient
from calypso_nb.embedded import TinytaskStore
from calypso_nb.scheduler import Scheduler
from tests.agents_at_work import Log, add, is_done, records, run_agent_process, soon, status
from tests.conftest import SECONDS
from tests.faulty_proxy import faulty_proxy

pytest_plugins = ("tests.scheduler_fixtures",)
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("clean_environment", "nothing_left")]

# Says that it has begun, and hears no SIGTERM.
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open('begun', 'w').close()
time.sleep(60)
"""


@pytest.fixture
def options(server: str, recipes: Path) -> list[str]:
    """Of a command that serves alice, who does two tasks at a time."""
    agents = recipes.parent / "agents.json"
    agents.write_text('[{"agentName": "alice", "maxConcurrency": 2}]')
    return ["--agents", str(agents), "--recipes", str(recipes), "--mcp-endpoint", server]


def stop(process: subprocess.Popen[str], times: int) -> None:
    """Send SIGTERM so often, each time once the one before was heard: together they would be one."""
    assert process.stdout is not None
    for words in ("told to stop", "ending what runs", None)[:times]:
        process.terminate()
        while words is not None and words not in (line := process.stdout.readline()):
            assert line, "it has ended"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_lets_what_runs_finish_and_takes_nothing_new(
    live_board: TinytaskStore, options: list[str], log: Log, number: int
) -> None:
    """Ctrl-C, a service that is stopped, a terminal that is closed: the exit code is 0."""
    tasks = [add(live_board, 2, priority=9), add(live_board, 2, priority=9), add(live_board)]
    with run_agent_process(*options) as process:
        assert soon(lambda: len(log.of("start")) == 2)
        process.send_signal(number)
        output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    assert "nothing new is taken, and what runs may finish" in output
    assert output.endswith("stopped: nothing is left running\n")
    assert [status(live_board, task) for task in tasks] == ["complete", "complete", "idle"]
    assert len(log.of("stop")) == 2


@pytest.mark.parametrize("how", ["a second signal", "--grace"])
def test_a_second_signal_ends_what_runs_and_so_does_the_end_of_its_grace(
    live_board: TinytaskStore, options: list[str], log: Log, how: str
) -> None:
    """Its tasks are idle again, and say why."""
    tasks = [add(live_board, 30), add(live_board, 30)]
    grace = ["--grace", "1"] if how == "--grace" else []
    with run_agent_process(*options, *grace) as process:
        assert soon(lambda: len(log.of("start")) == 2)
        stop(process, 1 if grace else 2)
        output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    assert len(log.of("ended")) == 2
    assert [status(live_board, task) for task in tasks] == ["idle", "idle"]
    assert "stopped after" in records(live_board, tasks[0])[0]


def test_a_third_signal_leaves_at_once(live_board: TinytaskStore, options: list[str], recipes: Path) -> None:
    """The watchdogs end what runs; the next start of the command tells the server."""
    (recipes / "default.py").write_text(DEAF)
    task = add(live_board)
    with run_agent_process(*options) as process:
        assert soon(lambda: any(Path("runs").glob("*/begun")))
        stop(process, 3)
        assert process.wait(SECONDS) == 128 + signal.SIGTERM
    (recipes / "default.py").write_text("")
    with run_agent_process(*options, "--once", "--retry-delay", "0") as process:
        output, _ = process.communicate(timeout=SECONDS)
        if "told only now" not in output:  # Its watchdog was still ending it.
            assert soon(lambda: any(Path("runs").glob("*/ended.json")))
    with run_agent_process(*options, "--once", "--retry-delay", "0") as process:
        process.communicate(timeout=SECONDS)
    assert "its scheduler was killed" in records(live_board, task)[0]


def test_a_terminal_that_is_closed_leaves_no_task_working_and_no_traceback(
    live_board: TinytaskStore, options: list[str], log: Log
) -> None:
    """What it says then is said to nobody."""
    task = add(live_board, 1)
    child, terminal = pty.fork()
    if not child:
        command = [sys.executable, "-m", "calypso_nb", "run-agent", *options, "--log-file", "log.txt"]
        os.execv(sys.executable, command)
    assert soon(lambda: bool(log.of("start")))
    os.close(terminal)
    assert soon(lambda: os.waitpid(child, os.WNOHANG)[0] == child)
    assert is_done(live_board, task)
    said = Path("log.txt").read_text()
    assert "stopped: nothing is left running" in said
    assert "Traceback" not in said + "".join(path.read_text() for path in Path("runs").glob("*/output.txt"))


def test_who_stops_it_is_not_kept_by_a_server_that_does_not_answer(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """Neither when a run is to be told of nor when a lease is being taken: the lease will be over."""
    add(live_board)
    options = ("--agent", "alice", "--recipes", str(recipes))
    with faulty_proxy(server) as proxy:
        proxy.on(b"add_comment", proxy.refuse)
        with run_agent_process(*options, "--mcp-endpoint", proxy.url, "--interval", "1") as process:
            assert proxy.struck.wait(SECONDS)
            stop(process, 2)
            output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    assert log.events == []


@pytest.mark.parametrize("when", ["while it runs", "after its report"])
def test_a_watchdog_that_somebody_has_stopped_keeps_nothing_waiting(
    live_board: TinytaskStore, options: list[str], recipes: Path, log: Log, when: str
) -> None:
    """It is killed when it is late, and what it has reported counts."""
    task = add(live_board, 30 if when == "while it runs" else 1)
    with run_agent_process(*options, "--once", "--lease", "4", "--max-runtime", "20") as process:
        assert soon(lambda: bool(log.of("start")))
        watchdog = psutil.Process(log.of("start")[0].pid).parent()
        assert watchdog is not None
        if when == "while it runs":
            watchdog.suspend()
            stop(process, 2)
        else:
            [ended] = [next(Path("runs").glob("*-*")) / "ended.json"]
            while not ended.exists():
                pass
            watchdog.suspend()
        output, _ = process.communicate(timeout=SECONDS)
    assert status(live_board, task) == ("idle" if when == "while it runs" else "complete"), output


def test_a_scheduler_in_a_program_is_stopped_from_another_thread(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """`stop` lets what runs finish; without a run at work it does nothing."""
    task = add(live_board, 1)
    with TinytaskClient(server) as client:
        scheduler = Scheduler(client, ["alice"], recipes)
        scheduler.stop()
        news = []
        for event in scheduler.serve(0.1):
            news.append(event)
            scheduler.stop()
    assert is_done(live_board, task)
    assert len(news) == 2
