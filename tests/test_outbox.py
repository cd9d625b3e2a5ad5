"""What becomes of a result that could not be told at once: what is known to have ended is not run again."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from calypso_nb import TinytaskClient
from calypso_nb.client.runs import leases_of
from calypso_nb.embedded import TinytaskStore
from calypso_nb.records import Task
from calypso_nb.run_marks import AUTHOR
from calypso_nb.scheduler import Scheduler
from calypso_nb.scheduler.leases import LeaseRefused, take
from calypso_nb.scheduler.outbox import Begun, Untold, kept, untold_in
from calypso_nb.scheduler.outcome import Result
from calypso_nb.scheduler.run import this_host
from calypso_nb.scheduler.tell import tell
from tests.agents_at_work import Log, add, at_work, is_done, records, soon, status
from tests.conftest import SECONDS
from tests.faulty_proxy import faulty_proxy

pytest_plugins = ("tests.scheduler_fixtures",)
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("clean_environment", "nothing_left")]

RUN = "aaaaaaaaaaaa"


def is_over(board: TinytaskStore, task: int) -> bool:
    """Whether the lease of a task is dead."""
    [lease] = leases_of(Task.from_record(board.get_task(task)))
    return lease.is_dead(datetime.now(UTC))


def test_a_run_that_ended_while_its_server_was_away_is_told_when_it_is_back(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """Even if its lease is over by then: it is not run a second time."""
    task = add(live_board, 1)
    with faulty_proxy(server) as proxy, at_work(proxy.url, recipes, "only", lease=7):
        assert soon(lambda: bool(log.of("start")))
        proxy.freeze()
        assert soon(lambda: bool(log.of("stop")))
        assert soon(lambda: is_over(live_board, task))
        proxy.heal()
        assert soon(lambda: is_done(live_board, task))
        assert soon(lambda: untold_in(recipes.parent / "only") == [])
    assert len(log.of("start")) == 1
    assert "succeeded after 1." in records(live_board, task)[0]


def test_a_scheduler_that_is_killed_before_it_could_tell_a_result_tells_it_at_its_next_start(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """Its watchdog has written down how the run ended."""
    task = add(live_board)
    with faulty_proxy(server) as proxy, at_work(proxy.url, recipes, "same") as first:
        proxy.on(b'"complete"', proxy.freeze)
        assert soon(lambda: bool(log.of("stop")))
        assert proxy.struck.wait(SECONDS)
        first.kill()
        first.wait()
        proxy.heal()
        with at_work(proxy.url, recipes, "same"):
            assert soon(lambda: is_done(live_board, task))
    assert len(log.of("start")) == 1


def test_a_scheduler_that_is_killed_in_a_run_frees_the_task_at_its_next_start(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """Without waiting for the lease; it counts, for the run may have taken its scheduler along."""
    task = add(live_board, 30)
    with at_work(server, recipes, "same", lease=600) as first:
        assert soon(lambda: bool(log.of("start")))
        first.kill()
        assert soon(lambda: bool(log.of("ended")))
    live_board.update_task(task, title="takes 0 s")
    with at_work(server, recipes, "same", lease=600):
        assert soon(lambda: is_done(live_board, task))
    first_try, second_try = records(live_board, task)
    assert "lost after " in first_try and "its scheduler was killed" in first_try
    assert "Failed 1 of 3 times: it will be tried again." in first_try
    assert "succeeded after " in second_try


@pytest.fixture
def untold(server: str, tmp_path: Path) -> Untold:
    """A run of task 1 that has not been told of."""
    return Untold(
        run=RUN,
        task_id=1,
        endpoint=server,
        host=this_host(),
        agent="alice",
        success_queue=None,
        recipe="default",
        lease_seconds=2,
        max_runtime=None,
        retry_limit=3,
        folder=tmp_path / "runs" / f"1-{RUN}",
    )


def left_working(board: TinytaskStore, **fields: Any) -> int:
    task = add(board, tags=["run-agent"], **fields)
    board.update_task(task, status="working")
    board.add_comment(
        task, f"Lease {RUN} of 2 s, sign 7: host-a runs default for alice", "calypso-nb run-agent"
    )
    return task


def test_whoever_would_take_over_gives_way_to_a_result_that_is_told_meanwhile(
    live_board: TinytaskStore, server: str, untold: Untold
) -> None:
    """A dead lease is watched before it is taken over."""
    task = left_working(live_board)
    assert soon(lambda: is_over(live_board, task))
    with TinytaskClient(server) as one, TinytaskClient(server) as other:
        telling = Timer(0.3, lambda: tell(one, untold, Begun(failed=0), Result("succeeded", "exit code 0")))
        telling.start()
        with pytest.raises(LeaseRefused, match=r"its run has just been told of|claimed by host-a 0 s ago"):
            take(other, task, "bbbbbbbbbbbb", 2, "host-b takes default for alice")
        telling.join()
    assert is_done(live_board, task)
    assert len(records(live_board, task)) == 1


def test_a_result_that_comes_after_the_task_was_taken_over_changes_nothing_but_is_recorded(
    live_board: TinytaskStore, server: str, untold: Untold
) -> None:
    """Once, however often it is told."""
    task = add(live_board)
    with TinytaskClient(server) as client:
        for _ in range(2):
            tell(client, untold, Begun(failed=0), Result("succeeded", "exit code 0", seconds=3))
    [record] = records(live_board, task)
    assert "succeeded after 3.0 s, exit code 0." in record
    assert "Its lease was gone when it was told, so nothing was changed on the task." in record
    assert status(live_board, task) == "idle"


def test_telling_twice_is_telling_once(live_board: TinytaskStore, server: str, untold: Untold) -> None:
    """Also if the record of the first time was lost on its way."""
    task = left_working(live_board)
    result = Result("failed", "exit code 3", True)
    with (
        TinytaskClient(server) as client,
        faulty_proxy(server) as proxy,
        TinytaskClient(proxy.url, timeout=1) as cut,
    ):
        cut.get_task(task)
        proxy.on(b"Run aaaaaaaaaaaa", proxy.cut)
        with pytest.raises(Exception, match="unknown"):
            tell(cut, untold, Begun(failed=1), result)
        tell(client, untold, Begun(failed=1), result)
    now = live_board.get_task(task)
    assert (now["status"], now["tags"]) == ("idle", ["failed:2"])
    [record] = records(live_board, task)
    assert "Failed 2 of 3 times: it will be tried again." in record


def test_a_lease_that_arrives_late_is_cleaned_up(
    live_board: TinytaskStore, server: str, recipes: Path, untold: Untold
) -> None:
    """Nothing of it stays on a task that is complete by now."""
    task = add(live_board)
    with kept(untold):
        pass
    live_board.add_comment(task, f"Lease {RUN} of 2 s, sign 1: host-a takes default for alice", AUTHOR)
    live_board.update_task(task, status="complete")
    with TinytaskClient(server) as client:
        Scheduler(client, ["alice"], recipes, runs=untold.folder.parent).run()
    assert records(live_board, task) == []
    assert untold_in(untold.folder.parent) == []


def test_two_schedulers_with_one_folder_tell_each_run_once(
    live_board: TinytaskStore, server: str, recipes: Path, untold: Untold, log: Log
) -> None:
    """What a living process has at work is not told by another one."""
    task = left_working(live_board)
    with TinytaskClient(server) as client:
        scheduler = Scheduler(client, ["alice"], recipes, runs=untold.folder.parent)
        with kept(untold) as entry:
            entry.begin(Begun(failed=0))
            scheduler.run()
            assert len(records(live_board, task)) == 1 and status(live_board, task) == "working"
        told = list(scheduler.follow(scheduler.plan().iloc[:0]))
    assert told == [
        f"#{task} of alice: lost, its scheduler was killed, and all that watched over it; told only now"
    ]
    assert status(live_board, task) == "idle"


def test_folders_of_runs_are_kept_as_long_as_asked(
    live_board: TinytaskStore, server: str, recipes: Path, tmp_path: Path
) -> None:
    """And those of runs that are untold for longer."""
    runs = tmp_path / "runs"
    for name in (f"1-{RUN}", "2-bbbbbbbbbbbb", "notes"):
        (runs / name).mkdir(parents=True)
        os.utime(runs / name, (0, 0))
    (runs / ".untold").mkdir()
    (runs / ".untold" / f"{RUN}.jsonl").write_text("{}")
    with TinytaskClient(server) as client:
        Scheduler(client, ["alice"], recipes, runs=runs, keep=3600).run()
    assert sorted(path.name for path in runs.iterdir() if not path.name.startswith(".")) == [
        f"1-{RUN}",
        "notes",
    ]
