"""The plan: what runs now and in which order, and why the rest waits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from calypso_nb import TinytaskClient
from calypso_nb.client.runs import Lease
from calypso_nb.embedded import TinytaskStore, create_server, running_server
from calypso_nb.frames import tasks_frame
from calypso_nb.scheduler import PLAN_COLUMNS, Agent, Retry, Scheduler, read_agents
from calypso_nb.scheduler.plan import Situation, make_plan
from calypso_nb.scheduler.recipes import Recipe

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
ALICE = Agent(name="alice", queue="dev", max_concurrency=2)
BOB = Agent(name="bob", queue="dev")
RECIPES = {"default": Recipe("default", Path("/r/default.py"), "program")}


def task(number: int, **fields: Any) -> dict[str, Any]:
    """A wire record: alice's, idle, made a minute later than the one before."""
    created = NOW - timedelta(hours=100) + timedelta(minutes=number)
    record = {
        "id": number,
        "title": f"task {number}",
        "status": "idle",
        "assigned_to": "alice",
        "priority": 0,
    }
    stamps = {"created_at": created.isoformat(), "updated_at": created.isoformat()}
    return {**record, "tags": [], "is_currently_blocked": False, **stamps, **fields}


def blocked(number: int, by: int, **fields: Any) -> dict[str, Any]:
    return task(number, blocked_by_task_id=by, is_currently_blocked=True, **fields)


def plan_of(*records: Mapping[str, Any], agents: tuple[Agent, ...] = (ALICE,), **more: Any) -> pd.DataFrame:
    situation = Situation(agents, **{"recipes": RECIPES, "leases": {}, "now": NOW, **more})
    return make_plan(tasks_frame(records, NOW), situation)


def runs(plan: pd.DataFrame) -> list[int]:
    return [int(number) for number in plan.loc[plan["decision"] == "run", "id"]]


def why(plan: pd.DataFrame) -> dict[int, str]:
    return {int(row["id"]): row["why"] for row in plan.to_dict("records")}


def test_what_frees_most_comes_first_then_priority_then_age() -> None:
    """A chain behind a task counts in all."""
    plan = plan_of(
        task(1, priority=1),
        task(2, priority=9),
        task(3),
        blocked(4, by=3),
        blocked(5, by=4),
        task(6, priority=1),
        agents=(Agent(name="alice", max_concurrency=9),),
    )
    assert runs(plan) == [3, 2, 1, 6]
    assert plan["order"].tolist()[:4] == [1, 2, 3, 4]
    assert plan["frees"].tolist()[:2] == [2, 0]


def test_blocked_tasks_wait_and_keep_no_ready_one_waiting() -> None:
    """However urgent they are, they take no place."""
    plan = plan_of(*(blocked(number, by=99, priority=10) for number in range(1, 50)), task(50), task(51))
    assert runs(plan) == [50, 51]
    assert why(plan)[1] == "blocked by #99"


def test_an_agent_gets_no_more_than_it_can_do_at_a_time() -> None:
    """What it works on already counts, wherever that is."""
    plan = plan_of(task(1, status="working"), task(2), task(3))
    assert runs(plan) == [2]
    assert why(plan) == {
        1: "alice works on it, but not through run-agent",
        2: "ready",
        3: "alice is at 2 of 2",
    }
    assert runs(plan_of(task(1), task(2), task(3), here={1: ("alice", "default")})) == [2]


def test_unassigned_work_of_a_queue_goes_to_who_has_most_places_free() -> None:
    """Of the agents of that queue; work of other queues and other agents is no row at all."""
    nobodys = {"assigned_to": None, "queue_name": "dev"}
    others = [
        task(8, assigned_to="carol"),
        task(9, assigned_to=None, queue_name="qa"),
        task(7, assigned_to=None),
    ]
    plan = plan_of(*(task(number, **nobodys) for number in range(1, 6)), *others, agents=(BOB, ALICE))
    assert plan["agent"].tolist()[:3] == ["alice", "bob", "alice"]
    assert runs(plan) == [1, 2, 3]
    assert why(plan)[4] == "bob is at 1 of 1, alice is at 2 of 2"
    assert len(plan) == 5


def lease(seconds: int, number: int = 5, does: str = "runs") -> Lease:
    signed = NOW - timedelta(seconds=seconds)
    return Lease(number, "aaaaaaaaaaaa", 60, 3, "host-3", f"host-3 {does} default for alice", signed)


def test_a_task_that_is_run_elsewhere_waits_and_one_that_was_left_is_taken_over() -> None:
    """Which it is, its lease tells."""
    running = [task(number, status="working", tags=["run-agent"]) for number in (1, 2, 3)]
    plan = plan_of(
        *running,
        leases={1: lease(40), 2: lease(61)},
        agents=(Agent(name="alice", max_concurrency=3),),
    )
    assert runs(plan) == [2, 3]
    assert why(plan) == {
        1: "claimed by host-3 40 s ago",
        2: "taken over from host-3, which has given no sign for 61 s",
        3: "taken over: its tag says that it is being run, but it has no lease",
    }


def test_a_task_that_was_set_idle_while_it_is_run_waits_for_the_end_of_its_run() -> None:
    """Its live lease says so, whatever its status; and it takes a place of its agent."""
    plan = plan_of(task(1, tags=["run-agent"]), task(2), task(3), leases={1: lease(3)})
    assert why(plan) == {1: "claimed by host-3 3 s ago", 2: "ready", 3: "alice is at 2 of 2"}


def test_other_tags_do_not_hide_that_a_run_was_left() -> None:
    """Its lease says so; one under which no run had begun says nothing of who works on it."""
    plan = plan_of(
        task(1, status="working", tags=["mine"]),
        task(2, status="working"),
        leases={1: lease(61), 2: lease(61, does="takes")},
        agents=(Agent(name="alice", max_concurrency=3),),
    )
    assert why(plan) == {
        1: "taken over from host-3, which has given no sign for 61 s",
        2: "alice works on it, but not through run-agent",
    }
    assert plan["decision"].tolist() == ["run", "at work"]


def test_what_could_not_be_started_a_moment_ago_keeps_nothing_waiting() -> None:
    """It takes no place, and the row says what was in the way."""
    plan = plan_of(
        task(1, priority=9), task(2), agents=(Agent(name="alice"),), aside={1: "claimed by host-3"}
    )
    assert why(plan) == {2: "ready", 1: "not started just now: claimed by host-3"}


def test_what_failed_too_often_waits_until_somebody_removes_the_tag() -> None:
    """The number of failed runs is a tag, so that the plan needs no request a task."""
    plan = plan_of(task(1, tags=["failed:2"]), task(2, tags=["failed:3"]), task(3, tags=["cancelled"]))
    assert why(plan) == {
        1: "retry 3 of 3",
        2: "failed 3 of 3 times: remove its tag failed:3 to try again",
        3: "cancelled: remove its tag cancelled to run it again",
    }
    assert plan["failed"].tolist() == [2, 3, 0]


def test_what_failed_waits_longer_each_time() -> None:
    """A minute, two, four, and never longer than the most; a person who asks for it gets it at once."""
    just_now = (NOW - timedelta(seconds=10)).isoformat()
    failed = [task(number, tags=[f"failed:{number}"], updated_at=just_now) for number in (1, 2, 3, 4)]
    plan = plan_of(*failed, retry_limit=9, retry=Retry(60, 200))
    assert why(plan) == {
        1: "retry 2 of 9 at 09:30 UTC",
        2: "retry 3 of 9 at 09:31 UTC",
        3: "retry 4 of 9 at 09:33 UTC",
        4: "retry 5 of 9 at 09:33 UTC",
    }
    waits = (plan.set_index("id")["not_before"] - NOW).dt.total_seconds().to_dict()
    assert waits == {1: 50, 2: 110, 3: 190, 4: 190}
    assert why(plan_of(*failed, retry_limit=9, task_id=2)) == {2: "retry 3 of 9"}
    assert why(plan_of(*failed, retry=Retry(0))) == {
        1: "retry 2 of 3",
        2: "retry 3 of 3",
        3: "failed 3 of 3 times: remove its tag failed:3 to try again",
        4: "failed 4 of 3 times: remove its tag failed:4 to try again",
    }


def test_a_recipe_and_a_queue_have_limits_too() -> None:
    """What runs elsewhere counts by its lease, and what waits for a place keeps nothing else waiting."""
    wide = (Agent(name="alice", queue="dev", max_concurrency=9),)
    recipes = RECIPES | {"slow": Recipe("slow", Path("/r/slow.py"), "program")}
    running = Lease(5, "aaaaaaaaaaaa", 60, 3, "host-3", "host-3 runs slow for alice", NOW)
    slow = {"tags": ["recipe:slow"]}
    plan = plan_of(
        task(1, status="working", **slow),
        task(2, **slow),
        task(3, **slow),
        task(4),
        agents=wide,
        recipes=recipes,
        leases={1: running},
        recipe_limits={"slow": 2},
    )
    assert runs(plan) == [2, 4]
    assert why(plan)[3] == "recipe slow is at 2 of 2"
    docs = {"queue_name": "docs"}
    plan = plan_of(task(1, **docs), task(2, **docs), task(3), agents=wide, queue_limits={"docs": 1})
    assert runs(plan) == [1, 3]
    assert why(plan)[2] == "queue docs is at 1 of 1"


def test_a_paused_agent_and_one_that_is_not_enabled_take_nothing() -> None:
    """The row says since when; in a queue others take the work."""
    nobodys = {"assigned_to": None, "queue_name": "dev"}
    off = Agent(name="bob", queue="dev", enabled=False)
    plan = plan_of(task(1), task(2, assigned_to="bob"), agents=(ALICE, off), paused={"alice": NOW})
    assert why(plan) == {1: "alice is paused since 23 Nov 09:30 UTC", 2: "bob is not enabled"}
    assert plan_of(task(1, **nobodys), agents=(ALICE, off))["agent"].tolist() == ["alice"]


def test_a_parent_waits_for_its_subtasks() -> None:
    """Its status is theirs: it would be idle again after its run."""
    plan = plan_of(task(1), task(2, parent_task_id=1), task(3, status="working", parent_task_id=1))
    assert why(plan)[1] == "open subtasks: 2"


def test_a_parent_takes_no_place_of_its_agent_while_its_subtasks_are_worked_on() -> None:
    """It is working because they are: nobody works on itself."""
    parent = task(1, status="working")
    subtasks = [task(2, status="working", assigned_to="bob", parent_task_id=1), task(3, parent_task_id=1)]
    plan = plan_of(parent, *subtasks, agents=(Agent(name="alice"),))
    assert why(plan) == {3: "ready", 1: "open subtasks: 2"}


def test_a_task_without_a_date_comes_last() -> None:
    """A server may leave it out: its age is unknown."""
    assert runs(plan_of(task(1, created_at=None), task(2))) == [2, 1]


def test_no_recipe_is_a_reason_to_wait() -> None:
    """The row says which recipe is missing or what is wrong with it."""
    broken = {"x": Recipe("x", Path("/r/x.ipynb"), "notebook", "recipe x.ipynb does not parse: oh")}
    plan = plan_of(
        task(1, assigned_to="bob"), task(2, tags=["recipe:x"]), recipes=broken, agents=(ALICE, BOB)
    )
    assert why(plan) == {1: "no recipe for agent bob", 2: "recipe x.ipynb does not parse: oh"}


def test_the_scheduler_runs_no_more_than_it_may_in_all() -> None:
    """What it runs already counts."""
    plan = plan_of(
        task(1),
        task(2),
        task(3, assigned_to="bob"),
        agents=(ALICE, BOB),
        max_parallel=2,
        here={3: ("bob", "default")},
    )
    assert runs(plan) == [1]
    assert why(plan)[2] == "2 of 2 runs are under way here"
    assert why(plan)[3] == "bob runs it here"


def test_one_task_may_be_asked_for() -> None:
    """The others still count, but have no row."""
    plan = plan_of(task(1, status="working"), task(2), task(3), task_id=3)
    assert plan["id"].tolist() == [3]
    assert runs(plan) == [3]


def test_a_first_generation_server_says_nothing_of_queues_and_blocking() -> None:
    """What it does not send is unknown, and no reason to wait."""
    record = {name: value for name, value in task(1).items() if name != "is_currently_blocked"}
    assert runs(plan_of(record)) == [1]


@pytest.mark.parametrize("records", [[], [task(1)]], ids=["empty", "one"])
def test_a_plan_always_has_the_documented_columns(records: list[dict[str, Any]]) -> None:
    """In that order and with those dtypes, with no row too."""
    plan = plan_of(*records)
    assert {name: str(dtype) for name, dtype in plan.dtypes.items()} == {
        name: column.dtype for name, column in PLAN_COLUMNS.items()
    }


# From a server


@pytest.mark.slow
def test_the_plan_for_10000_tasks_asks_for_few_of_them_alone(tmp_path: Path) -> None:
    """It takes the listing, however many tasks are ready; `make bench` shows what it takes beyond that.

    Of tasks in progress it reads 200 at a time, in case a scheduler has left them, and each only once.
    """
    (tmp_path / "default.py").write_text("")
    calls: list[Any] = []
    asked: list[int] = []
    with TinytaskStore() as store:
        store.insert_many(
            {
                "title": f"task {number}",
                "created_by": "lead",
                "assigned_to": f"agent-{number % 5}",
                "status": "working" if number % 9 == 0 else "idle",
                "priority": number % 7,
                "blocked_by_task_id": number - 1 if number % 4 == 3 else None,
            }
            for number in range(1, 10_001)
        )
        with running_server(store) as url, TinytaskClient(url) as client:
            agents = [{"agentName": f"agent-{number}", "maxConcurrency": 400} for number in range(5)]
            scheduler = Scheduler(client, agents, tmp_path)
            read = client.read_notes

            def counted(task_ids: list[int], progress: bool) -> Any:
                calls.extend(task_ids)
                return read(task_ids, progress)

            client.read_notes = counted  # type: ignore[method-assign,assignment]
            for _ in range(7):
                plan = scheduler.plan()
                asked.append(len(calls))
    assert asked == [200, 400, 600, 800, 1000, 1111, 1111]
    assert len(plan) == 10_000
    assert 800 < len(runs(plan)) < 1_000


def test_planning_changes_nothing(tmp_path: Path) -> None:
    """Twice the same, and the board is as before."""
    (tmp_path / "default.py").write_text("")
    with TinytaskStore() as store, running_server(store) as url, TinytaskClient(url) as client:
        store.create_task("one", "lead", assigned_to="alice")
        before = store.get_task(1)
        scheduler = Scheduler(client, ["alice"], tmp_path)
        first, second = (scheduler.plan().drop(columns="age_hours") for _ in range(2))
        pd.testing.assert_frame_equal(first, second)
        assert store.get_task(1) == before
        with pytest.raises(ValueError, match="task 9 is not an open task of alice"):
            scheduler.plan(task_id=9)


def test_runs_cannot_reach_a_server_inside_this_process(tmp_path: Path) -> None:
    """A plan can be made for it; running it is refused with what to do."""
    (tmp_path / "default.py").write_text("")
    with TinytaskStore() as store, TinytaskClient(create_server(store)) as client:
        store.create_task("one", "lead", assigned_to="alice")
        scheduler = Scheduler(client, ["alice"], tmp_path)
        assert runs(scheduler.plan()) == [1]
        with pytest.raises(ValueError, match=r"cannot reach in-process Server.*calypso-nb serve"):
            scheduler.run()
        assert store.get_task(1)["status"] == "idle"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"lease_seconds": 1}, "1 s is not a valid lease: it must be 2 to 3600 s"),
        ({"executor": object()}, "an executor needs a stop event"),
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path: Path, more: Any, message: str) -> None:
    """At once, not when the first task comes."""
    with pytest.raises(ValueError, match=message):
        Scheduler(TinytaskClient("http://localhost:1"), ["alice"], tmp_path, **more)


# Agents


def test_agents_are_read_as_the_file_tells_them(tmp_path: Path) -> None:
    """The names in the file are TinyTask's, those in Python Python's; a name alone will do."""
    path = tmp_path / "agents.json"
    path.write_text('[{"agentName": "alice", "agentType": "dev", "maxConcurrency": 2, "successQueue": "qa"}]')
    assert read_agents(path) == (Agent(name="alice", queue="dev", max_concurrency=2, success_queue="qa"),)
    assert read_agents(["bob", {"agentName": "carol"}]) == (Agent(name="bob"), Agent(name="carol"))


def test_an_agent_may_take_work_from_several_queues(tmp_path: Path) -> None:
    """One entry for each, with a comment if one likes."""
    path = tmp_path / "agents.json"
    path.write_text(
        '[{"agentName": "alice", "agentType": "dev", "maxConcurrency": 2, "comment": "Our first"},'
        ' {"agentName": "bob", "agentType": "qa", "enabled": false},'
        ' {"agentName": "alice", "agentType": "docs"}]'
    )
    alice, bob = read_agents(path)
    assert (alice.queues, alice.max_concurrency, bob.enabled) == (("dev", "docs"), 2, False)
    nobodys = {"assigned_to": None, "queue_name": "docs"}
    assert plan_of(task(1, **nobodys), agents=(alice,))["agent"].tolist() == ["alice"]


def test_a_key_that_means_nothing_is_told_and_does_no_harm() -> None:
    """With what was probably meant."""
    with pytest.warns(
        UserWarning, match="entry 1: 'maxConcurency' means nothing here; did you mean 'maxConcurrency'"
    ):
        assert read_agents([{"agentName": "a", "maxConcurency": 2}]) == (Agent(name="a"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[{", "agents.json is not valid JSON: "),
        ('{"agentName": "alice"}', "agents.json is not a list of agents"),
        ("[]", "agents.json: contains no agent"),
        ('[{"agentType": "dev"}]', "agents.json: entry 1: agentName: Field required"),
        ('[{"agentName": ""}]', "entry 1: agentName: String should have at least 1 character"),
        (json.dumps([{"agentName": "a"}, {"agentName": "a"}]), "agents.json: more than once, not each"),
        (
            '[{"agentName": "a"}, {"agentName": "b", "maxConcurrency": 0}]',
            "entry 2: maxConcurrency: Input should",
        ),
        (
            json.dumps(
                [
                    {"agentName": "a", "agentType": "dev", "maxConcurrency": 1},
                    {"agentName": "a", "agentType": "qa", "maxConcurrency": 2},
                ]
            ),
            "agents.json: a: its entries don't agree on max_concurrency",
        ),
        ('["alice"]', "agents.json: entry 1: Input should be"),
        ('[{"agentName": "a", "env": ["KEY=1"]}]', "entry 1: env: 0: String should match pattern"),
    ],
)
def test_a_file_of_agents_that_cannot_be_used_says_where(tmp_path: Path, text: str, message: str) -> None:
    """The file, the entry, the field, and what is wrong."""
    path = tmp_path / "agents.json"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        read_agents(path)
    assert message in str(error.value)
