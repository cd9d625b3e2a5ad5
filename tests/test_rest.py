"""Details by TinyTask's REST twin: the same as over MCP, and never needed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from starlette.types import Receive, Scope, Send

from calypso_nb import TinytaskClient, WorkloadReporter
from calypso_nb.client.calls import Details
from calypso_nb.embedded import TinytaskStore, create_server
from calypso_nb.embedded.web import create_app, running_app
from calypso_nb.run_marks import AUTHOR
from calypso_nb.settings import Endpoint, load_settings
from calypso_nb.wire.clock import ServerClock, header_time
from calypso_nb.wire.rest import RestTwin
from tests.faulty_proxy import FaultyProxy
from tests.v1_server import running_v1_server


def counted(store: TinytaskStore) -> dict[int, tuple[int, int, str | None, str | None]]:
    """Comments and links of each task, and when and by whom its newest comment was written, by SQL."""
    newest = "FROM comments WHERE task_id = tasks.id ORDER BY created_at DESC, id DESC LIMIT 1"
    rows = store.connection.execute(
        "SELECT id, (SELECT count(*) FROM comments WHERE task_id = tasks.id),"
        " (SELECT count(*) FROM links WHERE task_id = tasks.id),"
        f" (SELECT replace(created_at, ' ', 'T') || 'Z' {newest}), (SELECT created_by {newest}) FROM tasks"
    )
    return {task: tuple(numbers) for task, *numbers in rows}


@pytest.fixture
def client(sample_store: TinytaskStore, url: str) -> Iterator[TinytaskClient]:
    """A client of the sample project, over HTTP and over SSE."""
    with TinytaskClient(url, timeout=60) as client:
        yield client


def test_the_twin_gives_what_mcp_gives(client: TinytaskClient, sample_store: TinytaskStore, url: str) -> None:
    """The counts are those in the store, and a client without a twin gets the same, a run's sign too."""
    ids = list(counted(sample_store))
    sample_store.add_comment(1, "Lease 0123456789ab of 60 s, sign 3: box runs default", AUTHOR)
    found = client.count_details(ids)
    with TinytaskClient(create_server(sample_store)) as in_process:
        assert in_process.count_details(ids) == found
    assert found.pop(1).run_until
    expected = counted(sample_store)
    assert {task: details[:4] for task, details in found.items()} == {
        task: expected[task] for task in ids if task != 1
    }
    twin = RestTwin(Endpoint(f"{url}/mcp"), load_settings(), ServerClock())
    assert anyio.run(twin.read_tasks, ids, 60).keys() == set(ids)


def test_a_task_that_has_gone_has_unknown_counts(client: TinytaskClient, sample_store: TinytaskStore) -> None:
    """Neither the twin nor MCP knows it, and the others are counted all the same."""
    ids = list(counted(sample_store))
    counts = client.count_details([ids[0], 99_999, *ids[1:]])
    assert counts.pop(99_999) == Details()
    assert {task: details[:4] for task, details in counts.items()} == counted(sample_store)


def test_a_deleted_task_leaves_the_twin_in_use(sample_store: TinytaskStore) -> None:
    """The first few tasks are asked for before it is given up, and the next count asks it again."""
    paths: list[str] = []
    app = create_app(sample_store, "http")

    async def gateway(scope: Scope, receive: Receive, send: Send) -> None:
        paths.append(scope.get("path", ""))
        await app(scope, receive, send)

    sample_store.delete_task(1)
    with running_app(gateway) as url, TinytaskClient(url, timeout=60) as client:  # type: ignore[arg-type]
        assert client.count_details([1, 2, 3], progress=False)[1] == Details()
        paths.clear()
        client.count_details([2, 3], progress=False)
    assert paths[:2] == ["/api/v1/tasks/2", "/api/v1/tasks/3"] and "/mcp" not in paths[:2]


@pytest.mark.slow
def test_what_a_slow_twin_has_said_in_time_counts(store: TinytaskStore) -> None:
    """When the time is over, what was read is kept, and the rest is NA."""
    store.insert_many([{"title": "x"}] * 200)
    app = create_app(store, "http")

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep(0.1)
        await app(scope, receive, send)

    with (
        running_app(slow) as url,  # type: ignore[arg-type]
        TinytaskClient(url, timeout=60) as client,
        pytest.warns(UserWarning, match="of 200 tasks were not read in time"),
    ):
        counts = client.count_details(range(1, 201), seconds=1.5)
    assert any(details.comment_count == 0 for details in counts.values())


@pytest.mark.parametrize("kind", ["v1", "v2"])
def test_the_time_of_the_newest_comment_has_a_zone(kind: str, store: TinytaskStore) -> None:
    """v1 writes none, and means UTC too."""
    store.create_task("x", "alice")
    store.add_comment(1, "y")
    serve = running_v1_server(store) if kind == "v1" else running_app(create_app(store, "http"))
    with serve as url, TinytaskClient(url, timeout=30) as client:
        assert client.count_details([1])[1].last_comment_at == "2026-11-23T09:30:00Z"


def test_a_server_without_a_twin_is_asked_over_mcp(sample_store: TinytaskStore) -> None:
    """A v1 server has none: the report is the same."""
    with running_v1_server(sample_store) as url, TinytaskClient(url, timeout=30) as client:
        data = WorkloadReporter(client).collect_workload_data()
    expected = counted(sample_store)
    assert [*zip(data.tasks["comment_count"], data.tasks["link_count"], strict=True)] == [
        expected[task][:2] for task in data.tasks["id"]
    ]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 16\r\n\r\n<h1>Log in</h1>\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"id": 1}',
        b"HTTP/1.1 302 Found\r\nLocation: http://example.invalid/\r\nContent-Length: 0\r\n\r\n",
        b"",
    ],
    ids=["a login page", "404", "another API", "a redirect", "nothing"],
)
def test_what_is_no_twin_is_left_alone(answer: bytes, proxy: FaultyProxy) -> None:
    """Whatever else answers at that address, no task is read from it and nothing is raised."""
    proxy.answer(answer)
    twin = RestTwin(Endpoint(proxy.url), load_settings(), ServerClock())
    assert anyio.run(twin.read_tasks, [1, 2, 3], 2) == {}
    assert anyio.run(twin.list_tasks, {}, 2) is None


@pytest.mark.parametrize("zone", ["GMT", "-0000", "+0000"])
def test_a_date_is_read_as_utc_wherever_this_computer_is(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its zone may be left open, which is UTC too."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert header_time(f"Sat, 28 Nov 2026 10:00:00 {zone}") == 1795860000
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("year", [1999, 2201, 9999])
def test_a_date_of_another_century_is_none(year: int) -> None:
    """A clock that far off would be no time of Python's."""
    assert header_time(f"Fri, 31 Dec {year} 23:59:59 GMT") is None


def test_a_listener_that_fails_does_not_concern_who_reads(
    client: TinytaskClient, sample_store: TinytaskStore
) -> None:
    """Neither do the others miss anything."""
    heard = list[Any]()

    def failing(_: Any) -> None:
        raise OverflowError("too large")

    client.comment_listeners += [failing, heard.extend]
    comment = sample_store.add_comment(1, "Begin", "lead")
    assert client.get_task(1).id == 1
    assert comment["id"] in client.list_comments(1)["id"].tolist()
    assert comment["id"] in [one["id"] for one in heard]
