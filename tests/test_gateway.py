"""Behind gateways and proxies: no write is made twice, no wait has no end, and words say what is known."""

from __future__ import annotations

import os
import ssl
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import orjson
import pytest
import trustme

from calypso_nb import TinytaskAPIError, TinytaskClient, TinytaskConnectionError, WorkloadReporter
from calypso_nb.embedded import TinytaskStore, create_server, running_server
from tests.conftest import SLACK, eventually
from tests.faulty_proxy import FaultyProxy, http_answer
from tests.gateway import Gateway, Rule, gateway, tunnel
from tests.v1_server import running_v1_server

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("clean_environment")]

CALL = '"tools/call"'
JSON = {"Content-Type": "application/json"}
# Answers by HTTP without a result, and what is said of each.
ANSWERS = {
    302: "redirects to",
    400: "HTTP 400",
    401: "credentials missing or refused",
    403: "credentials missing or refused",
    404: "HTTP 404",
    407: "the proxy asks for credentials",
    408: "HTTP 408",
    413: "too large for the gateway",
    425: "HTTP 425",
    429: "HTTP 429",
    500: "HTTP 500",
    502: "the gateway before it can't reach it",
    503: "HTTP 503",
    504: "the gateway before it can't reach it",
}
WRITES: dict[str, Callable[[TinytaskClient], object]] = {
    "create_task": lambda client: client.create_task("once"),
    "signup_for_task": lambda client: client.signup_for_task("alice"),
    "add_comment": lambda client: client.add_comment(1, "once"),
}


@pytest.fixture
def before(url: str, store: TinytaskStore) -> Iterator[Gateway]:
    """A gateway before a server with five idle tasks of alice."""
    store.insert_many({"title": f"task {number}", "assigned_to": "alice"} for number in range(5))
    with gateway(url) as one:
        yield one


def done(store: TinytaskStore) -> tuple[int, int, int]:
    """Tasks, tasks in progress and comments: what a write can add to."""
    counted = store.connection.execute(
        "SELECT (SELECT count(*) FROM tasks), (SELECT count(*) FROM tasks WHERE status = 'working'),"
        " (SELECT count(*) FROM comments)"
    ).fetchone()
    return tuple(counted)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_that_a_gateway_let_through_is_made_once_and_called_unknown(
    write: Callable[[TinytaskClient], object], before: Gateway, store: TinytaskStore, transport: str
) -> None:
    """Whatever it answers, the call is not repeated, and the error says that it may have been carried out."""
    store.insert_many([{"title": "more", "assigned_to": "alice"}] * len(ANSWERS))
    with TinytaskClient(before.url, timeout=20) as client:
        for status, words in ANSWERS.items():
            before.rules[:] = [Rule(CALL, status, {"Location": "/login"})]
            rows = sum(done(store))
            try:
                write(client)
            except TinytaskConnectionError as error:
                assert error.outcome_unknown
                assert words in str(error)
                assert "read the task before you repeat it" in str(error)
            else:
                assert transport == "sse"  # The result came all the same, over the stream.
            # Over SSE the server takes a message before it acts on it.
            assert eventually(lambda rows=rows: sum(done(store)) > rows)  # type: ignore[misc]
            assert sum(done(store)) == rows + 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_read_goes_on_when_the_gateway_answers_again(status: int, before: Gateway) -> None:
    """A passing failure costs a read some time and nothing else."""
    with TinytaskClient(before.url, timeout=20) as client:
        client.health_check()
        before.rules.append(Rule(CALL, status, times=1))
        assert client.get_task(1).title == "task 0"


def test_a_read_waits_as_long_as_it_is_asked_to(before: Gateway) -> None:
    """`Retry-After` is honoured: the second request comes no sooner."""
    with TinytaskClient(before.url, timeout=20) as client:
        client.health_check()
        before.rules.append(Rule(CALL, 429, {"Retry-After": "2"}, through=False, times=1))
        start = time.monotonic()
        client.get_task(1)
    assert time.monotonic() - start >= 2


def test_the_twin_too_is_asked_again_no_sooner_than_it_wants(before: Gateway) -> None:
    """Neither the same nor MCP in its place: that is the same server."""
    with TinytaskClient(before.url, timeout=20) as client:
        client.health_check()
        for words in ("GET /api/v1/tasks?", "GET /api/v1/tasks/"):
            before.seen.clear()
            before.rules.append(Rule(words, 429, {"Retry-After": "1"}, through=False, times=1))
            start = time.monotonic()
            assert (len(client.list_tasks(status="idle")), len(client.count_details([1], False))) == (5, 1)
            assert time.monotonic() - start >= 1
            assert not any(line.startswith("POST") for line in before.seen)


def test_a_response_out_of_a_cache_says_nothing_of_the_servers_clock(before: Gateway) -> None:
    """Its `Date` is of when it was kept: a new task is not younger than nothing."""
    with TinytaskClient(before.url) as client:
        client.health_check()
        kept = {"Date": "Sat, 28 Nov 2020 10:00:00 GMT", "Age": "600", **JSON}
        before.rules.append(
            Rule("GET /api/v1/tasks", 200, kept, '[{"id": 1, "status": "idle"}]', through=False)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            client.list_tasks()
        assert abs((client._calls.source.now() - datetime.now(UTC)).total_seconds()) < SLACK


def test_who_is_asked_to_wait_longer_than_the_timeout_is_told_at_once(before: Gateway) -> None:
    """The error says for how long, and does not send anybody to look for another server."""
    with TinytaskClient(before.url, timeout=20) as client:
        client.health_check()
        before.rules.append(Rule(CALL, 429, {"Retry-After": "120"}, through=False))
        with pytest.raises(TinytaskConnectionError, match=r"asks to wait 120 s \(HTTP 429\)") as caught:
            client.get_task(1)
    assert "Start a server" not in str(caught.value)
    assert len([line for line in before.seen if line.startswith("POST")]) < 10


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_told_as_such(status: int, before: Gateway) -> None:
    """Without a token they may be missing, and with one they are refused; neither is tried again."""
    before.rules.append(Rule("/mcp", status, through=False))
    for token, word in ((None, "missing or refused"), ("wrong", "refused")):
        before.seen.clear()
        with (
            TinytaskClient(before.url, token=token) as client,
            pytest.raises(TinytaskConnectionError, match=f"credentials {word}"),
        ):
            client.get_task(1)
        assert before.seen == ["POST /mcp"]


@pytest.mark.parametrize("status", [413, 500])
def test_a_request_that_is_too_large_is_told_as_such(status: int, before: Gateway) -> None:
    """TinyTask takes 100 kB: more is a refusal that names both sizes, and is not tried again."""
    with TinytaskClient(before.url) as client:
        client.health_check()
        before.rules.append(Rule(CALL, status, through=False))
        before.seen.clear()
        with pytest.raises(TinytaskAPIError, match=r"too large: 1[45]\d kB, and TinyTask takes 100 kB"):
            client.create_task("x", description="y" * 150_000)
    assert len([line for line in before.seen if line.startswith("POST")]) == 1


@pytest.mark.parametrize("status", [413, 500])
def test_a_large_request_to_a_v1_is_not_called_refused(status: int, store: TinytaskStore) -> None:
    """v1 takes more than 100 kB, so a gateway may have let it through."""
    with running_v1_server(store) as url, gateway(url) as one, TinytaskClient(one.url) as client:
        client.health_check()
        one.rules.append(Rule(CALL, status, through=False))
        with pytest.raises(TinytaskConnectionError, match="too large") as caught:
            client.create_task("x", description="y" * 150_000)
    assert caught.value.outcome_unknown


def test_a_login_page_instead_of_an_answer_is_told_at_once(before: Gateway) -> None:
    """Over SSE too, where answers come another way."""
    with TinytaskClient(before.url, timeout=20) as client:
        client.health_check()
        before.rules.append(Rule(CALL, 200, {"Content-Type": "text/html"}, "<h1>Log in</h1>", through=False))
        start = time.monotonic()
        with pytest.raises(TinytaskConnectionError, match="responded with text/html"):
            client.get_task(1)
    assert time.monotonic() - start < SLACK


# Everywhere alike


@pytest.mark.parametrize("kind", ["http", "sse", "v1"])
def test_everything_works_behind_a_path_prefix(kind: str, sample_store: TinytaskStore) -> None:
    """Behind `https://host/team` all transports and the twin give what they give without."""
    serve = running_v1_server(sample_store) if kind == "v1" else running_server(sample_store, kind)  # type: ignore[arg-type]
    with serve as url, gateway(url, "/team") as one, TinytaskClient(f"{one.url}/mcp", timeout=60) as client:
        there = WorkloadReporter(client).collect_workload_data(progress=False)
        task = client.create_task("behind a prefix")
        assert client.get_task(task.id).title == "behind a prefix"
        client.delete_task(task.id)
    with TinytaskClient(create_server(sample_store)) as client:
        here = WorkloadReporter(client).collect_workload_data(progress=False)
    assert there.tasks["comment_count"].equals(here.tasks["comment_count"])
    assert all(line.split()[1].startswith("/team/") for line in one.seen)


@pytest.fixture
def private() -> tuple[ssl.SSLContext, trustme.CA]:
    """A server's TLS by a certificate authority that nobody else knows."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1", "::1").configure_cert(context)
    return context, authority


def test_a_private_certificate_authority_is_taken_from_the_environment(
    url: str, store: TinytaskStore, private: tuple[ssl.SSLContext, trustme.CA], clean_environment: Path
) -> None:
    """`SSL_CERT_FILE` makes the server known, for MCP and for the twin."""
    store.create_task("known", "alice")
    context, authority = private
    with gateway(url, tls=context) as one:
        with (
            TinytaskClient(one.url) as client,
            pytest.raises(TinytaskConnectionError, match=r"TLS: .*certificate"),
        ):
            client.list_tasks()
        authority.cert_pem.write_to_path(str(clean_environment / "ca.pem"))
        os.environ["SSL_CERT_FILE"] = str(clean_environment / "ca.pem")
        with TinytaskClient(one.url) as client:
            data = WorkloadReporter(client).collect_workload_data(progress=False)
            assert client.get_task(1).title == "known"
    assert data.tasks["comment_count"].tolist() == [0]


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_are_missing_are_told_as_such(name: str) -> None:
    """The error names the variable and the place."""
    os.environ[name] = "/nowhere/ca"
    with (
        TinytaskClient("https://127.0.0.1:9", timeout=5) as client,
        pytest.raises(
            TinytaskConnectionError, match=f"{name}=/nowhere/ca can't be used: there is nothing there"
        ),
    ):
        client.list_tasks()


def test_a_proxy_of_the_environment_is_used_for_every_connection(url: str, store: TinytaskStore) -> None:
    """With `HTTP_PROXY` a server is reached that only the proxy can find; `NO_PROXY` goes past it."""
    store.create_task("seen", "alice")
    with gateway(url) as proxy:
        os.environ["HTTP_PROXY"] = os.environ["http_proxy"] = proxy.url
        with TinytaskClient("http://tinytask.invalid:3000", timeout=20) as client:
            data = WorkloadReporter(client).collect_workload_data(progress=False)
            assert client.get_task(1).title == "seen"
            client.create_task("written")
        assert len(data.tasks) == 1
        assert {line.split()[0] for line in proxy.seen} >= {"GET", "POST"}
        proxy.seen.clear()
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
        with TinytaskClient(url) as client:
            assert len(client.list_tasks()) == 2
        assert proxy.seen == []


def test_tls_goes_through_a_proxy_too(
    url: str, private: tuple[ssl.SSLContext, trustme.CA], clean_environment: Path
) -> None:
    """With `HTTPS_PROXY` every connection is one CONNECT to the server."""
    context, authority = private
    authority.cert_pem.write_to_path(str(clean_environment / "ca.pem"))
    os.environ["SSL_CERT_FILE"] = str(clean_environment / "ca.pem")
    with gateway(url, tls=context) as one, tunnel() as (proxy, asked):
        os.environ["HTTPS_PROXY"] = os.environ["https_proxy"] = proxy
        with TinytaskClient(one.url) as client:
            client.create_task("through")
            assert len(client.list_tasks()) == 1
    assert len(asked) >= 2 and set(asked) == {f"CONNECT {one.url.removeprefix('https://')}"}


@pytest.mark.parametrize("at", ["{host}", "127.0.0.1:notaport"])
def test_no_error_shows_the_password_of_a_proxy(at: str, proxy: FaultyProxy) -> None:
    """Whether the proxy refuses it or its address can't be used."""
    proxy.answer(http_answer("407 Proxy Authentication Required", ""))
    address = at.format(host=proxy.url.removeprefix("http://"))
    os.environ["HTTPS_PROXY"] = os.environ["https_proxy"] = f"http://user:hunter2@{address}"
    with (
        TinytaskClient("https://tinytask.invalid", timeout=5) as client,
        pytest.raises(TinytaskConnectionError, match="the proxy ") as caught,
    ):
        client.list_tasks()
    assert "hunter2" not in str(caught.value)


def test_a_proxy_whose_name_is_not_known_is_told_by_name() -> None:
    """And is not taken for the server."""
    os.environ["HTTP_PROXY"] = os.environ["http_proxy"] = "http://proxy.invalid:3128"
    with (
        TinytaskClient("http://tinytask.invalid:3000", timeout=5) as client,
        pytest.raises(TinytaskConnectionError, match=r"proxy\.invalid: "),
    ):
        client.list_tasks()


def test_several_directories_of_certificates_are_taken() -> None:
    """One that exists is enough, as everywhere."""
    os.environ["SSL_CERT_DIR"] = f"/nowhere{os.pathsep}/tmp"
    with (
        TinytaskClient("https://127.0.0.1:9", timeout=5) as client,
        pytest.raises(TinytaskConnectionError, match="connection refused"),
    ):
        client.list_tasks()


@pytest.mark.parametrize("no_proxy", ["::1", "[::1]", "*"])
def test_a_server_with_an_address_of_ipv6_is_past_the_proxy(no_proxy: str, url: str) -> None:
    """`NO_PROXY` names it with brackets or without."""
    os.environ["HTTP_PROXY"] = os.environ["http_proxy"] = "http://127.0.0.1:9"
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = no_proxy
    with gateway(url, host="::1") as one, TinytaskClient(one.url) as client:
        assert client.health_check()


def test_a_server_is_reached_by_ipv6(url: str) -> None:
    """An address in brackets works on every way to the server."""
    with gateway(url, host="::1") as one, TinytaskClient(one.url) as client:
        client.create_task("six")
        assert len(WorkloadReporter(client).collect_workload_data(progress=False).tasks) == 1


# No wait without an end


@pytest.mark.parametrize("what", ["GET /api/v1/tasks?", "GET /api/v1/tasks/"])
def test_a_twin_that_drips_costs_a_part_of_the_time_only(what: str, before: Gateway) -> None:
    """A report ends within its timeout, and MCP says what the twin doesn't."""
    before.rules.append(Rule(what, 200, JSON, through=False, drip=True))
    with TinytaskClient(before.url, timeout=8) as client:
        start = time.monotonic()
        data = WorkloadReporter(client).collect_workload_data(progress=False)
        assert time.monotonic() - start < 8 + SLACK
    assert data.tasks["comment_count"].tolist() == [0] * 5


def test_what_was_not_counted_in_time_is_na_and_said(before: Gateway) -> None:
    """If MCP drips as well, the report comes all the same, with NA and a warning that says for how many."""
    with TinytaskClient(before.url, timeout=2) as client:
        client.list_tasks()
        for what in ("GET /api/v1/tasks/", '"get_task"'):
            before.rules.append(Rule(what, 200, JSON, through=False, drip=True))
        start = time.monotonic()
        with pytest.warns(UserWarning, match="comments and links of 5 of 5 tasks were not read in time: NA"):
            data = WorkloadReporter(client).collect_workload_data(progress=False)
        assert time.monotonic() - start < 2 + SLACK
    assert data.tasks["comment_count"].isna().all()
    assert len(data.tasks) == 5


# The server's clock


@pytest.mark.parametrize("minutes", [-10, 10])
def test_ages_are_measured_by_the_servers_clock(minutes: int, before: Gateway, store: TinytaskStore) -> None:
    """A new task is new whatever this computer's clock says, and the difference is said once."""
    there = datetime.now(UTC) + timedelta(minutes=minutes)
    store.insert_many([{"title": "new", "created_at": there}])
    before.date = format_datetime(there, usegmt=True)
    with TinytaskClient(before.url, timeout=20) as client:
        direction = "behind" if minutes > 0 else "ahead of"
        with pytest.warns(UserWarning, match=rf"clock is \d\d\d s {direction} the server's"):
            tasks = client.list_tasks()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            client.list_tasks()
    new = tasks.loc[tasks["title"] == "new", "age_hours"].item()
    assert abs(new) * 3600 < 60


def test_a_clock_that_is_set_back_during_a_call_is_no_difference(
    before: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long a request took is measured by a clock that nobody sets."""
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + (0 if before.seen else 3600))
    with TinytaskClient(before.url, timeout=20) as client, warnings.catch_warnings():
        warnings.simplefilter("error")
        client.list_tasks()


@pytest.mark.parametrize(
    "date",
    ["²", "Mon, 99999999999999999999 Jan 2020 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"],
)
def test_a_time_that_is_none_is_no_time(date: str, before: Gateway) -> None:
    """Neither a `Date` nor a `Retry-After` that can't be read ends a call."""
    before.date = date
    with TinytaskClient(before.url, timeout=20) as client:
        assert len(client.list_tasks()) == 5
        before.rules.append(Rule(CALL, 429, {"Retry-After": date}, times=1))
        assert client.get_task(1).id == 1
        assert abs(client.now().timestamp() - time.time()) < 5


# The twin


@pytest.mark.parametrize(
    "body", ["[]", '["a"]', "[null]", '[{"uuid": 1}]', '[{"id": 1, "name": "another", "status": "open"}]']
)
def test_another_api_at_the_address_of_the_twin_lists_no_tasks(body: str, before: Gateway) -> None:
    """What it lists is never taken for the tasks, and never for none: MCP has the last word."""
    before.rules.append(Rule("GET /api/v1/tasks", 200, JSON, body))
    with TinytaskClient(before.url, timeout=20) as client:
        assert len(client.list_tasks()) == 5


@pytest.mark.parametrize("comment", ['"x"', "{}", '{"id": "a"}'])
def test_comments_of_another_api_are_not_counted(comment: str, before: Gateway) -> None:
    """What is not a comment is left to MCP."""
    before.rules.append(
        Rule("GET /api/v1/tasks/1", 200, JSON, f'{{"id": 1, "comments": [{comment}], "links": []}}')
    )
    with TinytaskClient(before.url, timeout=20) as client:
        assert client.count_details([1])[1].comment_count == 0


def test_a_listing_without_a_tag_is_not_remembered_by_the_tag_before(before: Gateway) -> None:
    """When the tasks are as they were at that tag, they are told as they are."""
    other = '[{"id": 1, "title": "other", "status": "idle"}]'
    with TinytaskClient(before.url, timeout=20) as client:
        client.list_tasks()
        before.rules.append(Rule("GET /api/v1/tasks", 200, JSON, other, times=1))
        assert len(client.list_tasks()) == 1
        assert len(client.list_tasks()) == 5


def test_a_listing_that_has_not_changed_is_not_sent_again(before: Gateway, store: TinytaskStore) -> None:
    """The twin's tag brings the same frame, and a change brings the new one."""
    with TinytaskClient(before.url, timeout=20) as client:
        first = client.list_tasks()
        again = client.list_tasks()
        store.create_task("new", "alice")
        assert len(client.list_tasks()) == len(first) + 1
    assert again.drop(columns=["age_hours", "hours_since_update"]).equals(
        first.drop(columns=["age_hours", "hours_since_update"])
    )


def test_a_twin_that_leaves_archived_tasks_out_is_found_out(before: Gateway, store: TinytaskStore) -> None:
    """It is compared with MCP before a report counts on it: no archived task is missed."""
    store.archive_task(1)
    listing = orjson.dumps(store.list_tasks()).decode()
    before.rules.append(Rule("GET /api/v1/tasks?", 200, JSON, listing))
    with TinytaskClient(before.url, timeout=20) as client:
        assert len(client.snapshot()[0]) == 5
        assert len(client.list_tasks(include_archived=True)) == 5
