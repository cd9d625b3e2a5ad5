"""A digest that is posted to a webhook: what a real server gets, and what happens if it doesn't take it."""

from __future__ import annotations

import json
import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from calypso_nb.errors import UsageError
from calypso_nb.redaction import redacted, secrets_of_environment
from calypso_nb.settings import load_settings, own_secrets
from calypso_nb.wire import webhook
from calypso_nb.wire.webhook import WebhookError, post

pytestmark = pytest.mark.usefixtures("clean_environment")

SECRET = "/services/T0PSECRET/Xk29vQpLw8/hidden-4711"
LOST = "nothing is lost: the next digest has it all$"
Answer = Callable[[BaseHTTPRequestHandler], None]


class Chat:
    """A server that takes posts, and answers as it is told to; what it got is in `posts`."""

    def __init__(self, answers: list[Answer]) -> None:
        self.answers, self.posts = answers, list[tuple[str, dict[str, str], Any]]()
        self.url = ""


@contextmanager
def chat(*answers: Answer) -> Iterator[Chat]:
    """A server at a port of this machine; the last answer is given again and again."""
    kept = Chat([*answers])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.posts.append((self.path, dict(self.headers), json.loads(body)))
            (kept.answers.pop(0) if len(kept.answers) > 1 else kept.answers[0])(self)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    kept.url = f"http://127.0.0.1:{server.server_port}{SECRET}"
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def status(code: int, **headers: str) -> Answer:
    """Answer with a status and headers."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def send(url: str, monkeypatch: pytest.MonkeyPatch, **how: Any) -> None:
    monkeypatch.setenv("TINYTASK_DIGEST_WEBHOOK", url)
    post(load_settings(), {"text": "hello", "digest": {"version": 1}}, first_wait=0.001, **how)


def test_a_chat_gets_one_post_with_a_text_and_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """As JSON, without what the settings send to TinyTask."""
    monkeypatch.setenv("TINYTASK_TOKEN", "for-tinytask-only")
    with chat(status(200)) as server:
        send(server.url, monkeypatch)
    [(path, headers, body)] = server.posts
    assert path == SECRET
    assert body == {"text": "hello", "digest": {"version": 1}}
    assert headers["Content-Type"] == "application/json"
    assert "for-tinytask-only" not in str(headers)


@pytest.mark.parametrize("first", [500, 502, 503, 429])
def test_what_fails_for_a_moment_is_tried_again(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """And told once it is taken."""
    with chat(status(first), status(first), status(204)) as server:
        send(server.url, monkeypatch)
    assert len(server.posts) == 3


@pytest.mark.parametrize(
    ("code", "says"), [(400, "takes JSON with a text"), (404, "taken back"), (403, "taken back")]
)
def test_what_is_refused_is_not_tried_again(code: int, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the error says what to do."""
    with chat(status(code)) as server, pytest.raises(WebhookError, match=rf"HTTP {code}.*{says}.*{LOST}"):
        send(server.url, monkeypatch)
    assert len(server.posts) == 1


def test_no_redirect_gets_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever it leads to hears nothing."""
    with chat(status(200)) as other, chat(status(307, Location=other.url)) as server:
        says = r"redirects elsewhere \(HTTP 307\), which is not followed"
        with pytest.raises(WebhookError, match=f"{says}.*{LOST}"):
            send(server.url, monkeypatch)
        assert (len(server.posts), len(other.posts)) == (1, 0)


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After as many tries as any other."""
    release = threading.Event()
    with chat(lambda handler: (release.wait(60), None)[1]) as server:
        with pytest.raises(WebhookError, match=rf"no answer in time.*{LOST}"):
            send(server.url, monkeypatch, seconds=0.05, attempts=2)
        release.set()
    assert len(server.posts) == 2


def test_a_server_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its host and port, and no more."""
    with chat(status(200)) as server:
        pass
    with pytest.raises(
        WebhookError, match=rf"http://127\.0\.0\.1:\d+ did not take the digest: connect.*{LOST}"
    ):
        send(server.url, monkeypatch, attempts=2)


def test_the_wait_that_a_chat_asks_for_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept to, but nobody waits for hours."""
    monkeypatch.setattr(webhook, "LONGEST_WAIT", 0.01)
    with chat(status(429, Retry_After="36000"), status(200)) as server:
        send(server.url, monkeypatch)
    assert len(server.posts) == 2


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/x",
        "file:///etc/passwd",
        "example.org/x",
        "https:///hook",
        "http://a b/c",
        "javascript:1",
    ],
)
def test_only_addresses_of_http_are_taken(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the setting, and not the address."""
    with pytest.raises(UsageError, match="TINYTASK_DIGEST_WEBHOOK is not a valid") as caught:
        send(url, monkeypatch)
    assert url not in str(caught.value)


def test_without_a_webhook_it_says_what_to_set() -> None:
    """An error of one line."""
    with pytest.raises(UsageError, match="set TINYTASK_DIGEST_WEBHOOK to the URL"):
        post(load_settings(), {})


@pytest.mark.parametrize("answer", [status(500), status(400), status(302, Location="http://127.0.0.1:1/")])
def test_the_secret_is_in_no_log_and_no_traceback(
    answer: Answer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong, with all logs on."""
    caplog.set_level(logging.DEBUG)
    with chat(answer) as server, pytest.raises(WebhookError) as caught:
        send(server.url, monkeypatch, attempts=2)
    seen = caplog.text + "".join(traceback.format_exception(caught.value)) + repr(load_settings())
    for part in SECRET.split("/")[2:]:
        assert part not in seen


def test_the_secret_is_cut_out_of_what_others_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an exported notebook, say: whole and in parts, but not the words in it."""
    url = f"https://hooks.example.org{SECRET}?key=abcdEFGH12"
    monkeypatch.setenv("TINYTASK_DIGEST_WEBHOOK", url)
    text = redacted(
        f"posted to {url}, or {SECRET[10:]}, or hidden-4711; key abcdEFGH12; services", own_secrets()
    )
    for part in (*SECRET.split("/")[2:], "abcdEFGH12"):
        assert part not in text
    assert "services" in text
    assert url in secrets_of_environment()
