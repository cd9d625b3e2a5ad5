"""Runs on the workers of a Dask cluster: what each worker has is known before anything is handed to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from calypso_nb import TinytaskClient
from calypso_nb.cli.commands import app
from calypso_nb.embedded import TinytaskStore
from calypso_nb.scheduler import Scheduler
from calypso_nb.scheduler.run import Run
from calypso_nb.scheduler.workers import Workers, cluster_at, stop_event
from tests.agents_at_work import Log, add, is_done, run_agent_process, soon, worker_process
from tests.conftest import SECONDS

pytest_plugins = ("tests.scheduler_fixtures",)
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("clean_environment", "nothing_left")]

# In the way of the package, as on a machine that lacks it.
LACKS_IT = """
import sys
class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "calypso_nb":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Lacking())
"""


@pytest.fixture
def address() -> Iterator[str]:
    """A Dask scheduler without workers."""
    from distributed import LocalCluster

    with LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=0, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        yield cluster.scheduler_address


@contextmanager
def worker(address: str, name: str, **environment: str) -> Iterator[None]:
    with worker_process(address, name, {**os.environ, **environment}) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(SECONDS)


def until_there(cluster: Any, workers: int) -> None:
    assert soon(lambda: len(cluster.scheduler_info()["workers"]) == workers)


def test_a_worker_that_lacks_what_runs_need_gets_none_and_is_told(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log, address: str, tmp_path: Path
) -> None:
    """It stays alive; the others do the work, each with as many runs as it has threads."""
    (tmp_path / "lacks").mkdir()
    (tmp_path / "lacks" / "sitecustomize.py").write_text(LACKS_IT)
    tasks = [add(live_board) for _ in range(3)]
    runs = tmp_path / "runs"
    with (
        worker(address, "poor", PYTHONPATH=str(tmp_path / "lacks")),
        worker(address, "rich"),
        cluster_at(address) as cluster,
        TinytaskClient(server) as client,
    ):
        until_there(cluster, 2)
        workers = Workers(cluster, recipes, runs)
        agents = [{"agentName": "alice", "maxConcurrency": 3}]
        scheduler = Scheduler(client, agents, recipes, runs=runs, executor=workers, stop=stop_event(cluster))
        plan = scheduler.plan()
        assert workers.faults == ["worker poor has no calypso_nb: pip install 'calypso_nb[run]' there"]
        assert plan["decision"].tolist() == ["run", "wait", "wait"]
        assert plan["why"].iloc[1] == "1 of 1 runs are under way here"
        while scheduler.plan()["decision"].eq("run").any():
            assert scheduler.run()["outcome"].tolist() == ["succeeded"]
        until_there(cluster, 2)
    assert all(is_done(live_board, task) for task in tasks)


def test_a_cluster_without_workers_is_told_and_waited_for(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log, address: str
) -> None:
    """`--once` says that nothing could run; otherwise a worker that comes gets the work."""
    task = add(live_board)
    options = ("--agent", "alice", "--recipes", str(recipes), "--mcp-endpoint", server, "--dask", address)
    with run_agent_process(*options, "--once") as process:
        output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 7, output
    assert f"#{task}: there is no place for it: the Dask cluster has no worker" in output
    with run_agent_process(*options, "--interval", "0.3"), worker(address, "late"):
        assert soon(lambda: is_done(live_board, task))


def test_what_a_run_printed_on_a_worker_comes_back_in_pieces(
    live_board: TinytaskStore,
    server: str,
    recipes: Path,
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of it, however long."""
    monkeypatch.setattr("calypso_nb.scheduler.workers._PIECE_BYTES", 1000)
    (recipes / "default.py").write_text("print('x' * 2500)\n")
    add(live_board)
    with worker(address, "rich"), cluster_at(address) as cluster, TinytaskClient(server) as client:
        until_there(cluster, 1)
        workers = Workers(cluster, recipes, tmp_path / "runs")
        options: Any = {"executor": workers, "stop": stop_event(cluster)}
        scheduler = Scheduler(client, ["alice"], recipes, runs=tmp_path / "runs", **options)
        [run] = [event for event in scheduler.follow(scheduler.plan()) if isinstance(event, Run)]
        assert run.worker is not None
        workers.fetch(run, tmp_path / "elsewhere")
    [copy] = (tmp_path / "elsewhere").glob("*/output.txt")
    assert copy.read_text().splitlines()[-1] == "x" * 2500
    assert copy.stat().st_mode & 0o077 == 0


def test_the_output_of_a_run_on_a_worker_is_shown_as_it_comes(
    live_board: TinytaskStore, server: str, recipes: Path, address: str, tmp_path: Path
) -> None:
    """`runs --follow` asks the workers for it."""
    (recipes / "default.py").write_text(
        "import time\nprint('first', flush=True)\ntime.sleep(1.5)\nprint('last')\n"
    )
    task, runs = add(live_board), tmp_path / "runs"
    options = ["--agent", "alice", "--recipes", str(recipes), "--runs", str(runs), "--mcp-endpoint", server]
    with worker(address, "rich"), run_agent_process(*options, "--dask", address, "--interval", "0.3"):
        assert soon(lambda: any(runs.glob("*/output.txt")))
        arguments = ["runs", "--follow", str(task), "--runs", str(runs), "--dask", address]
        result = CliRunner().invoke(app, [*arguments, "--mcp-endpoint", server])
    assert (result.exit_code, result.output) == (0, "first\nlast\n")
