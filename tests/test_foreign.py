"""A server and clients that are not ours: a TinyTask in Node (tests.standin), agents on the SDK for Node."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any, cast

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from calypso_nb import TinytaskAPIError, TinytaskClient, WorkloadReporter
from calypso_nb.embedded import TinytaskStore, create_server
from tests.conftest import SECONDS
from tests.standin import FOLDER, KINDS, NEEDS_STANDIN, Kind, Standin
from tests.test_embedded import call, differences, recorded, timeless

pytestmark = [*NEEDS_STANDIN, pytest.mark.usefixtures("clean_environment")]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each generation, on each of its transports."""
    return cast(Kind, request.param)


@pytest.fixture
def standin(kind: Kind, standins: Callable[[Kind], Standin]) -> Standin:
    """A foreign server without tasks."""
    return standins(kind)


@pytest.fixture
def client(standin: Standin) -> Iterator[TinytaskClient]:
    """Our client of it."""
    with TinytaskClient(standin.url) as client:
        yield client


@contextmanager
def agent(standin: Standin, *what: str) -> Iterator[subprocess.Popen[str]]:
    """A client that is not ours at work, on the MCP SDK for Node: see tests/standin/agent.js."""
    command = ["node", str(FOLDER / "agent.js"), standin.url, *what]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def ids_of(process: subprocess.Popen[str]) -> list[int]:
    """Close an agent's input, and return the ids that it prints at its end."""
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    ids: list[int] = json.loads(output)
    return ids


def fill(standin: Standin, count: int = 200) -> None:
    """Write `count` tasks into its file, some with comments and links, in all statuses, some archived."""
    with closing(standin.connect()) as connection, connection:
        connection.executemany(
            "INSERT INTO tasks (title, status, assigned_to, priority, archived_at) VALUES (?, ?, ?, ?, ?)",
            (
                (
                    f"task {number}",
                    ("idle", "working", "complete")[number % 3],
                    f"agent-{number % 7}" if number % 7 else None,
                    number % 11,
                    "2026-11-20 10:00:00" if number % 19 == 0 else None,
                )
                for number in range(1, count + 1)
            ),
        )
        connection.execute(
            "INSERT INTO comments (task_id, content)"
            " SELECT t.id, 'a note' FROM tasks t, tasks n WHERE n.id <= t.id % 4"
        )
        connection.execute(
            "INSERT INTO links (task_id, url) SELECT id, 'docs/x.md' FROM tasks WHERE id % 3 = 0"
        )


# The recordings


def test_every_recorded_answer_is_given(kind: Kind, standin: Standin) -> None:
    """All 109 recorded calls and the tool list come out word for word, but for the times."""
    url = f"{standin.url}/mcp"
    transport = streamable_http_client(url) if kind == "http" else sse_client(url)
    assert differences(transport, "v1" if kind == "v1" else "v2") == []


@pytest.mark.parametrize("kind", ["http", "sse"])
def test_the_rest_twin_is_as_described(standin: Standin) -> None:
    """A bare list with filters, a task with its notes, an ETag that saves a second answer, errors as JSON."""
    fill(standin)
    with httpx2.Client(base_url=f"{standin.url}/api/v1", timeout=SECONDS) as api:
        listing = api.get("/tasks", params={"status": "idle,working", "limit": "5", "offset": "2"})
        assert [task["priority"] for task in listing.json()] == [10] * 5
        assert {task["status"] for task in listing.json()} <= {"idle", "working"}
        assert listing.headers["access-control-allow-origin"] == "*"
        etag = listing.headers["etag"]
        assert etag.startswith('W/"')
        same = api.get(str(listing.url), headers={"if-none-match": etag})
        assert (same.status_code, same.content) == (304, b"")
        task = api.get("/tasks/3").json()
        assert (len(task["comments"]), len(task["links"])) == (3, 1)
        missing = api.get("/tasks/9999")
        assert (missing.status_code, missing.json()) == (404, {"error": "Task 9999 not found"})
        assert api.get("/tasks", params={"status": "bogus"}).status_code == 400


@pytest.mark.parametrize("kind", ["http", "sse"])
def test_a_request_over_100_kb_is_refused(standin: Standin) -> None:
    """As express.json does it, and a TinyTask with it: HTTP 500."""
    assert httpx2.post(f"{standin.url}/mcp", json={"x": "x" * 110_000}, timeout=SECONDS).status_code == 500


# Calls that were made to real v2 servers and are in no recording, and a part of what came back.
SEEN: list[tuple[str, dict[str, Any], str]] = [
    (
        "create_task",
        {"title": "a", "created_by": "me", "assigned_to": "ann", "description": ""},
        '"description": null',
    ),
    (
        "create_task",
        {"title": "b", "created_by": "me", "parent_task_id": 1, "priority": 4.99},
        '"priority": 4.99',
    ),
    ("create_task", {"title": "c", "created_by": "me", "parent_task_id": 2}, '"id": 3'),
    ("create_task", {"title": "d", "created_by": ""}, "Error creating task: "),
    ("create_task", {"title": "d", "created_by": "me", "parent_task_id": 3}, "3 levels"),
    ("get_task_with_subtasks", {"task_id": 1, "recursive": True}, '"subtask_count": 2'),
    ("update_task", {"id": 2, "parent_task_id": None}, "Error updating task: Parent task not found: 0"),
    ("update_task", {"id": 1, "assigned_to": "bob"}, '"previous_assigned_to": "ann"'),
    ("move_task", {"task_id": 1, "current_agent": "bob", "new_agent": "ann", "comment": ""}, '"content": ""'),
    ("update_task", {"id": 1, "assigned_to": ""}, '"assigned_to": null'),
    ("add_task_to_queue", {"task_id": 1, "queue_name": " "}, "Error adding task to queue: "),
    ("list_tasks", {"status": []}, '"count": 3'),
]


@pytest.mark.parametrize("kind", ["http"])
def test_what_real_servers_were_seen_to_do_besides_is_done(standin: Standin) -> None:
    """Unassigning by an empty name, a flat tree, refused queues: what no recording holds."""
    for tool, arguments, expected in SEEN:
        assert expected in call(standin.url, tool, **arguments), (tool, arguments)


# The embedded server beside it

ODD_NUMBERS = ["2", " 3 ", 1.5, None, True, "", [], "abc", 0, -1, 99]
ODD_TEXTS = ["", " ", "\u00a0\ufeff", "\u0085", "  t  ", "constructor", "\N{ROCKET}", None, 5]
VALUES: dict[str, tuple[list[Any], list[Any]]] = {
    "number": ([*range(1, 9)], ODD_NUMBERS),
    "string": (["ann", "bob", "dev", "qa"], ODD_TEXTS),
    "boolean": ([True, False], ["true", None]),
    "array": ([[], ["idle"], ["a", "b"], ["working", "complete"]], ["x", [1], None]),
    "status": (["idle", "working", "complete", ["idle"], []], ["paused", None]),
}


def random_calls(seed: int, count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Calls of all tools with arguments of which most are sensible, after the making of some tasks."""
    chance = random.Random(seed)
    tools = recorded("v2")[0]["tools"]
    for number in range(6):
        yield "create_task", {"title": f"task {number}", "created_by": "me", "assigned_to": "ann"}
    for _ in range(count):
        tool = chance.choice(tools)
        if tool["name"] in ("archive_task", "delete_task") and chance.random() < 0.7:
            tool = tools[0]
        arguments: dict[str, Any] = {"mood": 1} if chance.random() < 0.03 else {}
        for name, schema in tool["inputSchema"]["properties"].items():
            if chance.random() < (0.97 if name in tool["inputSchema"].get("required", ()) else 0.35):
                kind = "number" if isinstance(schema["type"], list) else schema["type"]
                usual, odd = VALUES["status" if name == "status" else kind]
                arguments[name] = chance.choice(odd if chance.random() < 0.15 else usual)
        yield tool["name"], arguments


@pytest.mark.parametrize("kind", ["http"])
@pytest.mark.parametrize("seed", range(3))
def test_the_embedded_server_answers_as_the_foreign_one(seed: int, standin: Standin) -> None:
    """Calls that nobody recorded, sensible or not: the same answer, or both refuse."""

    async def play() -> list[Any]:
        found: list[Any] = []
        wire = streamable_http_client(f"{standin.url}/mcp")
        async with Client(wire) as foreign, Client(create_server(TinytaskStore())) as embedded:
            for tool, arguments in random_calls(seed, 200):
                theirs, ours = [await one.call_tool(tool, arguments) for one in (foreign, embedded)]
                texts = [timeless(answer.content[0].text) for answer in (theirs, ours)]  # type: ignore[union-attr]
                # TinyTask promises no order of equal tasks, and a call with two faults is refused for either.
                same = sorted(texts[0].split("\n")) == sorted(texts[1].split("\n"))
                if theirs.is_error != ours.is_error or not (same or ours.is_error):
                    found.append((tool, arguments, *texts))
        return found

    assert anyio.run(play) == []


# Our client with it

STEPS: list[tuple[str, Callable[[TinytaskClient], Any], Any]] = [
    (
        "create_task",
        lambda c: c.create_task("  Design  ", assigned_to="ann", tags=["db"], priority=3).title,
        "Design",
    ),
    ("create_task", lambda c: c.create_task("Build", assigned_to="ann").id, 2),
    ("update_task", lambda c: c.update_task(2, priority=7, tags=["x", "y"]).tags, ("x", "y")),
    ("list_tasks", lambda c: c.list_tasks(status="idle", assigned_to="ann")["id"].tolist(), [2, 1]),
    ("get_my_queue", lambda c: c.get_my_queue("ann")["priority"].tolist(), [7, 3]),
    ("signup_for_task", lambda c: c.signup_for_task("ann").id, 2),
    ("signup_for_task", lambda c: c.signup_for_task("nobody"), None),
    ("move_task", lambda c: c.move_task(2, "ann", "bob", "your turn").task.assigned_to, "bob"),
    (
        "add_comment",
        lambda c: c.add_comment(1, "first \N{SNOWMAN}", created_by="ann").content,
        "first \N{SNOWMAN}",
    ),
    ("update_comment", lambda c: c.update_comment(2, "second").content, "second"),
    ("list_comments", lambda c: c.list_comments(1)["content"].tolist(), ["second"]),
    ("delete_comment", lambda c: c.delete_comment(1), None),
    ("add_link", lambda c: c.add_link(1, "docs/x.md", "the page").url, "docs/x.md"),
    ("update_link", lambda c: c.update_link(1, url="docs/y.md").description, "the page"),
    ("list_links", lambda c: c.list_links(1)["url"].tolist(), ["docs/y.md"]),
    (
        "get_task",
        lambda c: [(len(t.comments), len(t.links)) for t in (c.get_task(1), c.get_task(2))],
        [(1, 1), (0, 0)],
    ),
    ("delete_link", lambda c: c.delete_link(1), None),
    ("archive_task", lambda c: c.archive_task(1).archived_at is None, False),
    ("create_subtask", lambda c: c.create_subtask(2, "Part", queue_name="dev").parent_task_id, 2),
    ("create_subtask", lambda c: c.create_subtask(3, "Smaller part").id, 4),
    ("get_subtasks", lambda c: c.get_subtasks(2, recursive=True)["id"].tolist(), [3, 4]),
    ("get_task_with_subtasks", lambda c: [task.id for task in c.get_task_with_subtasks(2).subtasks], [3]),
    ("move_subtask", lambda c: c.move_subtask(4).parent_task_id, None),
    ("list_queues", lambda c: c.list_queues(), ["dev"]),
    ("add_task_to_queue", lambda c: c.add_task_to_queue(2, "qa").queue_name, "qa"),
    ("move_task_to_queue", lambda c: c.move_task_to_queue(2, "dev").queue_name, "dev"),
    ("get_queue_stats", lambda c: c.get_queue_stats("dev").total_tasks, 3),
    ("get_queue_tasks", lambda c: c.get_queue_tasks("dev", exclude_subtasks=True)["id"].tolist(), [2, 4]),
    ("remove_task_from_queue", lambda c: c.remove_task_from_queue(4).queue_name, None),
    ("clear_queue", lambda c: c.clear_queue("dev"), 2),
    ("get_comment", lambda c: c.get_comment(2).content, "second"),
    ("move_comment", lambda c: c.move_comment(2, 2).task_id, 2),
    ("delete_task", lambda c: c.delete_task(2), None),
]


def test_our_client_does_every_tool(client: TinytaskClient, kind: Kind) -> None:
    """Each of the 30 tools, in one story; what a v1 lacks is refused and never made up."""
    assert {tool for tool, _, _ in STEPS} == {tool["name"] for tool in recorded("v2")[0]["tools"]}
    known = {tool["name"] for tool in recorded("v1" if kind == "v1" else "v2")[0]["tools"]}
    for tool, step, expected in STEPS:
        if tool in known:
            assert (tool, step(client)) == (tool, expected)
        else:
            with pytest.raises(TinytaskAPIError):
                step(client)


def test_what_the_server_refuses_is_an_error_in_its_own_words(client: TinytaskClient) -> None:
    """A refusal is told as such, and the client lives on."""
    with pytest.raises(TinytaskAPIError, match="Task not found: 999"):
        client.get_task(999)
    with pytest.raises(TinytaskAPIError, match="title is required"):
        client.create_task(" ")
    assert client.list_tasks().empty


def test_a_report_with_counts_equals_sql_on_the_file(client: TinytaskClient, standin: Standin) -> None:
    """Every task with its numbers of comments and links, and every status."""
    fill(standin)
    data = WorkloadReporter(client).collect_workload_data(["idle", "working"], progress=False)
    columns = ["id", "priority", "comment_count", "link_count"]
    assert sorted(data.tasks[columns].itertuples(index=False, name=None)) == standin.sql(
        "SELECT id, priority, (SELECT count(*) FROM comments WHERE task_id = tasks.id),"
        " (SELECT count(*) FROM links WHERE task_id = tasks.id)"
        " FROM tasks WHERE archived_at IS NULL AND status <> 'complete' ORDER BY id"
    )
    per_agent = {row.agent: row.open for row in data.agents.dropna(subset="agent").itertuples() if row.open}
    for name, count in standin.sql(
        "SELECT assigned_to, count(*) FROM tasks WHERE archived_at IS NULL AND status <> 'complete'"
        " AND assigned_to IS NOT NULL GROUP BY 1"
    ):
        assert per_agent.pop(name) == count
    assert not {name for name in per_agent if name.startswith("agent-")}


# Others who write meanwhile


def check_reports(client: TinytaskClient, standin: Standin) -> None:
    """Report while an agent writes, until five have seen more than the one before: each is one moment."""
    seen = [0]
    end = time.monotonic() + SECONDS
    with agent(standin, "write") as writer:
        while len(seen) < 6 and time.monotonic() < end:
            data = WorkloadReporter(client).collect_workload_data(["idle", "working"], progress=False)
            numbers = sorted(int(title.removeprefix("written ")) for title in data.tasks["title"])
            assert numbers == [*range(1, len(numbers) + 1)]
            assert data.tasks["id"].is_unique
            assert set(data.tasks["comment_count"]) <= {0, 1}
            # Each task is taken on before the next one is written.
            assert (data.tasks["status"] == "idle").sum() <= 1
            assert data.summary.total_idle + data.summary.total_working == len(numbers)
            assert data.agents["open"].sum() + data.summary.total_unassigned == len(numbers)
            assert len(numbers) >= seen[-1]
            if len(numbers) > seen[-1]:
                seen.append(len(numbers))
        assert len(seen) == 6
        written = ids_of(writer)
    assert sorted(client.list_tasks()["id"]) == written == [*range(1, len(written) + 1)]


def test_a_report_is_one_moment_while_others_write(client: TinytaskClient, standin: Standin) -> None:
    """An agent writes all the time: no report has a gap, a task twice, or a count that never was."""
    check_reports(client, standin)


def test_the_file_can_be_read_while_the_server_writes_it(standin: Standin) -> None:
    """A report from the database file of a server at work is one moment too, and disturbs nobody."""
    with TinytaskClient(standin.path) as client:
        check_reports(client, standin)


def test_no_task_is_claimed_twice(client: TinytaskClient, standin: Standin) -> None:
    """Three threads of ours and two clients that are not ours sign up as one agent until nothing is left."""
    standin.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)"
        " INSERT INTO tasks (title, assigned_to, priority) SELECT 'task ' || i, 'ann', i % 5 FROM n"
    )

    def claim_all(client: TinytaskClient) -> list[int]:
        return [task.id for task in iter(lambda: client.signup_for_task("ann"), None) if task]

    with (
        agent(standin, "claim", "ann") as one,
        agent(standin, "claim", "ann") as other,
        ThreadPoolExecutor(3) as pool,
    ):
        ours = [id for ids in pool.map(claim_all, [client] * 3, timeout=SECONDS) for id in ids]
        theirs = ids_of(one) + ids_of(other)
    assert sorted(ours + theirs) == [*range(1, 201)]
    assert set(client.list_tasks()["status"]) == {"working"}
