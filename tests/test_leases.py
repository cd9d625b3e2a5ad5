"""One run at a time for a task: leases, and what becomes of tasks whose holders die, sleep or are cut off."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from threading import Thread, Timer
from typing import Any

import psutil
import pytest

from calypso_nb import TinytaskClient
from calypso_nb.client.runs import leases_of
from calypso_nb.embedded import TinytaskStore, running_server
from calypso_nb.run_marks import AUTHOR
from calypso_nb.scheduler import Scheduler
from calypso_nb.scheduler.leases import LeaseLost, LeaseRefused, take
from calypso_nb.scheduler.run import Run
from tests.agents_at_work import LEASE, Log, add, at_work, is_done, records, soon, status
from tests.conftest import SECONDS
from tests.faulty_proxy import faulty_proxy
from tests.v1_server import running_v1_server

pytest_plugins = ("tests.scheduler_fixtures",)
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("clean_environment", "nothing_left")]

RUNS = ("aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc")


class Clock:
    """The server's clock, which can be set on; it stands still."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def go_on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    """Of the server behind `client`."""
    return Clock()


@pytest.fixture(params=["v2", "v1"])
def client(clock: Clock, request: pytest.FixtureRequest) -> Iterator[TinytaskClient]:
    """A client of a server of each generation, with one task."""
    with (
        TinytaskStore(now=clock) as store,
        (running_server if request.param == "v2" else running_v1_server)(store) as url,
        TinytaskClient(url, timeout=5) as client,
    ):
        add(store)
        yield client


def taken(client: TinytaskClient, run: str, seconds: int = 60) -> Any:
    return take(client, 1, run, seconds, f"host-{run[0]} runs default for alice")[0]


# The rule


def test_the_lowest_numbered_live_lease_owns_the_task(client: TinytaskClient) -> None:
    """Who comes second is told who was first, and leaves no trace."""
    hold = taken(client, RUNS[0])
    with pytest.raises(LeaseRefused, match="claimed by host-a 0 s ago"):
        taken(client, RUNS[1])
    assert [lease.run for lease in leases_of(client.get_task(1))] == [RUNS[0]]
    assert hold.task().id == 1


def test_a_sign_of_life_keeps_a_lease(client: TinytaskClient, clock: Clock) -> None:
    """Heartbeats count by the server's clock, however long the run."""
    hold = taken(client, RUNS[0])
    for _ in range(3):
        clock.go_on(59)
        hold.beat()
        with pytest.raises(LeaseRefused):
            taken(client, RUNS[1])


def test_a_lease_is_dead_only_when_its_last_second_is_certainly_over(
    client: TinytaskClient, clock: Clock
) -> None:
    """The server tells whole seconds, so at its exact length a lease may still have a fraction to live."""
    taken(client, RUNS[0], 2)
    clock.go_on(2)
    with pytest.raises(LeaseRefused, match="2 s ago"):
        taken(client, RUNS[1])
    clock.go_on(1)
    assert taken(client, RUNS[1]).lost[0].run == RUNS[0]


def test_a_dead_lease_cannot_come_to_life_again(client: TinytaskClient, clock: Clock) -> None:
    """It is deleted by who takes over, so the late sign of its holder fails and tells it."""
    late = taken(client, RUNS[0], 2)
    late.until += 60
    clock.go_on(3)
    hold = taken(client, RUNS[1])
    with pytest.raises(LeaseLost, match="its lease is gone"):
        late.beat()
    with pytest.raises(LeaseLost, match="taken over"):
        late.task()
    assert hold.task().id == 1


def test_of_two_that_would_take_over_one_does(client: TinytaskClient, clock: Clock) -> None:
    """The second of them sees the first, whose number is lower than its own."""
    taken(client, RUNS[0], 2)
    clock.go_on(3)
    hold = taken(client, RUNS[1])
    with pytest.raises(LeaseRefused, match="host-b"):
        taken(client, RUNS[2])
    assert hold.task().id == 1


def test_a_servers_clock_that_is_set_forward_takes_no_task_from_a_holder_that_lives(
    client: TinytaskClient, clock: Clock
) -> None:
    """Its lease looks dead until its next sign, which whoever would take over waits for."""
    hold = taken(client, RUNS[0], 4)
    clock.go_on(3600)
    beating = Timer(0.5, hold.beat)
    beating.start()
    with pytest.raises(LeaseRefused, match="claimed by host-a 0 s ago"):
        taken(client, RUNS[1])
    beating.join()
    assert [lease.run for lease in leases_of(client.get_task(1))] == [RUNS[0]]


def test_a_holder_that_wakes_up_late_knows_it_by_its_own_clock(client: TinytaskClient) -> None:
    """It does nothing more, even where nobody has taken over yet."""
    hold = taken(client, RUNS[0])
    hold.until = 0.0
    for act in (hold.beat, hold.task, hold.check, hold.begin):
        with pytest.raises(LeaseLost, match="over before"):
            act()
    assert leases_of(client.get_task(1))


def test_what_agents_write_is_no_lease(client: TinytaskClient) -> None:
    """Neither a quoted lease, nor one that would last for ever, keeps a task from being run."""
    text = taken(client, RUNS[0]).text
    client.delete_comment(leases_of(client.get_task(1))[0].comment_id)
    client.add_comment(1, text, "mallory")
    client.add_comment(1, f"They wrote:\n{text}", AUTHOR)
    client.add_comment(1, text.replace("60 s", "9999 s"), AUTHOR)
    assert leases_of(client.get_task(1)) == []
    taken(client, RUNS[1])


@pytest.mark.parametrize("forward", [True, False], ids=["answer lost", "request lost"])
def test_a_lease_of_which_the_answer_was_lost_is_looked_for(
    live_board: TinytaskStore, server: str, forward: bool
) -> None:
    """It is taken once if it arrived, and not at all if it did not; never twice."""
    add(live_board)
    with faulty_proxy(server) as proxy, TinytaskClient(proxy.url, timeout=2) as client:
        client.get_task(1)
        proxy.on(b"add_comment", proxy.cut, forward=forward)
        try:
            hold = taken(client, RUNS[0])
            assert hold.task().id == 1
            assert len(records(live_board, 1)) == 1
        except Exception as error:
            assert "unknown" in str(error)
            assert records(live_board, 1) == []


def test_a_claimed_task_keeps_no_ready_one_waiting(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """Who is refused sets the task aside for a moment, and takes the next one."""
    claimed, ready = add(live_board, priority=9), add(live_board)
    with TinytaskClient(server) as client:
        take(client, claimed, RUNS[0], 60, "host-a runs default for alice")
        scheduler = Scheduler(client, ["alice"], recipes)
        [refused] = scheduler.run().itertuples()
        assert (refused.outcome, refused.why) == ("claimed", "claimed by host-a 0 s ago")
        plan = scheduler.plan().set_index("id")
        assert plan["decision"].to_dict() == {ready: "run", claimed: "wait"}
        assert plan["why"][claimed] == "not started just now: claimed by host-a 0 s ago"
        with closing(scheduler.serve(0.1)) as news:
            runs = [event for event in islice(news, 2) if isinstance(event, Run)]
    assert [(run.id, run.outcome) for run in runs] == [(ready, "succeeded")]


# Runs whose scheduler fails


def no_overlap(log: Log) -> None:
    assert log.of("overlap") == []


def test_a_killed_scheduler_takes_its_run_along_and_loses_no_task(
    live_board: TinytaskStore, any_server: str, recipes: Path, log: Log
) -> None:
    """The run ends at once; another scheduler takes the task over when the lease is dead, and says so."""
    task = add(live_board, 30)
    with at_work(any_server, recipes, "first") as first:
        assert soon(lambda: bool(log.of("start")))
        first.kill()
        assert soon(lambda: bool(log.of("ended")))
    live_board.update_task(task, title="takes 0 s")
    with at_work(any_server, recipes, "second"):
        assert soon(lambda: is_done(live_board, task))
    no_overlap(log)
    [record] = records(live_board, task)
    assert "succeeded" in record
    before = r"Before, \S+ runs default for alice in \S+ \(run \w{12}\): given up, no sign of it"
    assert re.search(before, record)


def test_a_task_whose_runs_take_their_schedulers_along_is_stopped_by_the_retry_limit(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """Each that gave no more signs counts once, whoever died over taking its lease; the last one is told."""
    task = add(live_board, agent="alice", tags=["run-agent", "failed:1"])
    live_board.update_task(task, status="working")
    for run in RUNS[:2]:
        live_board.add_comment(
            task, f"Lease {run} of 1 s, sign 1: host-{run[0]} runs default for alice", AUTHOR
        )
    with TinytaskClient(server) as client:
        scheduler = Scheduler(client, ["alice"], recipes)
        assert soon(lambda: runs_now(scheduler))
        # Two dead leases, one dead run: the second try of three.
        assert scheduler.run()["outcome"].tolist() == ["succeeded"]
        live_board.update_task(task, status="working", tags=["run-agent", "failed:2"])
        live_board.add_comment(task, f"Lease {RUNS[2]} of 1 s, sign 1: host-c runs default for alice", AUTHOR)
        assert soon(lambda: runs_now(scheduler))
        assert scheduler.run()["why"].tolist() == ["the run before it gave no more signs"]
    now = live_board.get_task(task)
    assert (now["status"], now["tags"], len(log.of("start"))) == ("idle", ["failed:3"], 1)
    assert "not tried again until its tag failed:3 is removed" in records(live_board, task)[-1]


def runs_now(scheduler: Scheduler) -> bool:
    return bool(scheduler.plan()["decision"].eq("run").all())


def test_a_paused_scheduler_has_no_run_left_when_its_lease_is_over(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """The watchdog ends the run while the scheduler sleeps; awake, it leaves the task to its new owner."""
    task = add(live_board, 30)
    with at_work(server, recipes, "first") as first:
        assert soon(lambda: bool(log.of("start")))
        first.send_signal(signal.SIGSTOP)
        live_board.update_task(task, title="takes 6 s")
        with TinytaskClient(server) as client:
            assert Scheduler(client, ["alice"], recipes).plan()["why"].str.contains("claimed by").all()
        with at_work(server, recipes, "second"):
            assert soon(lambda: bool(log.of("start", scheduler="second")))
            first.send_signal(signal.SIGCONT)
            assert soon(lambda: is_done(live_board, task))
    no_overlap(log)
    assert [event.what for event in log.events] == ["start", "ended", "start", "stop"]
    assert soon(lambda: len(records(live_board, task)) == 2)
    assert "lost after " in str(records(live_board, task)) and "nothing was changed" in str(
        records(live_board, task)
    )


def test_a_scheduler_that_is_cut_off_ends_its_run_before_others_may_begin(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """It cannot know whether it was taken over, so it gives up in time; later it goes on."""
    task = add(live_board, 30)
    with faulty_proxy(server) as proxy, at_work(proxy.url, recipes, "first"):
        assert soon(lambda: bool(log.of("start")))
        proxy.freeze()
        assert soon(lambda: bool(log.of("ended")))
        lease = leases_of_store(live_board, task)[0]
        assert (datetime.now(UTC) - lease.signed_at).total_seconds() < LEASE + 1
        live_board.update_task(task, title="takes 0 s")
        proxy.heal()
        assert soon(lambda: is_done(live_board, task))
    no_overlap(log)


def leases_of_store(live_board: TinytaskStore, task: int) -> Any:
    from calypso_nb.records import Task

    return leases_of(Task.from_record(live_board.get_task(task)))


def test_a_server_that_dies_in_the_middle_of_a_run_and_comes_back_is_told_the_result(
    tmp_path: Path, recipes: Path, log: Log
) -> None:
    """An outage shorter than the lease costs nothing: the run goes on."""
    with TinytaskStore(tmp_path / "tasks.db") as store:
        add(store, 1.5)
        with ExitStack() as first, ExitStack() as all_of_it:
            url = first.enter_context(running_server(store))
            all_of_it.enter_context(at_work(url, recipes, "only", lease=20))
            assert soon(lambda: bool(log.of("start")))
            first.close()
            assert soon(lambda: bool(log.of("stop")))
            all_of_it.enter_context(running_server(store, port=int(url.rpartition(":")[2])))
            assert soon(lambda: status(store, 1) == "complete")
            assert soon(lambda: "succeeded" in records(store, 1)[0])
    assert len(log.of("start")) == 1


@pytest.mark.parametrize(
    "words", [b'"working"', b'"complete"', b"update_comment"], ids=["claim", "result", "record"]
)
def test_a_write_of_unknown_outcome_is_looked_after_and_not_repeated(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log, words: bytes
) -> None:
    """The answer to each write of a run may be lost: the task ends as if it had come."""
    task = add(live_board)
    with faulty_proxy(server) as proxy, TinytaskClient(proxy.url, timeout=2) as client:
        scheduler = Scheduler(client, ["alice"], recipes, lease_seconds=20)
        plan = scheduler.plan()
        proxy.on(words, proxy.cut)
        assert scheduler.run(plan)["outcome"].tolist() == ["succeeded"]
        assert proxy.struck.is_set()
    assert status(live_board, task) == "complete"
    assert len(log.of("start")) == 1
    [record] = records(live_board, task)
    assert "succeeded" in record


def test_a_lease_that_somebody_deletes_ends_the_run_and_the_task_is_found_again(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """Who takes such a task waits for a lease's length first: the old holder may not have noticed yet."""
    task = add(live_board, 30)
    with at_work(server, recipes, "first"):
        assert soon(lambda: bool(log.of("start")))
        live_board.delete_comment(leases_of_store(live_board, task)[0].comment_id)
        with at_work(server, recipes, "second"):
            assert soon(lambda: bool(log.of("ended")))
            live_board.update_task(task, title="takes 0 s")
            assert soon(lambda: is_done(live_board, task))
    no_overlap(log)


def test_a_watchdog_that_is_killed_leaves_nothing_running(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """The run's processes are found and ended, the task has failed, and its record says why."""
    task = add(live_board, 30)
    with TinytaskClient(server) as client:
        scheduler = Scheduler(client, ["alice"], recipes, retry_limit=1, lease_seconds=20)
        results: list[Any] = []
        working = Thread(target=lambda: results.append(scheduler.run()))
        working.start()
        assert soon(lambda: bool(log.of("start")))
        child = psutil.Process(log.of("start")[0].pid)
        watchdog = child.parent()
        assert watchdog is not None
        watchdog.kill()
        working.join(SECONDS)
    assert results[0]["why"].tolist() == ["the process that watched over it was killed"]
    assert status(live_board, task) == "idle"
