"""`calypso-nb digest` as people and cron jobs run it: the mark moves only once the digest is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner, Result

from calypso_nb import Recorder, TinytaskClient, WorkloadReporter
from calypso_nb.cli.commands import app
from calypso_nb.embedded import TinytaskStore, create_server
from calypso_nb.history import digest as digests
from calypso_nb.history.changes import micros_of
from calypso_nb.history.pushes import served
from calypso_nb.text.schema import digest_schema
from tests.test_digest import two_reports
from tests.test_digest_webhook import SECRET, chat, status
from tests.watched import BY_HAND, Board

pytestmark = pytest.mark.usefixtures("clean_environment")

SERVER = "http://team.example:3000"


@pytest.fixture
def work(board: Board, path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """A recorded board on which a task was made and finished, after eve and joe had looked."""
    monkeypatch.setattr(digests, "_now", lambda: micros_of(board.time))
    with Recorder(board, path, every=BY_HAND, name=SERVER) as recorder:
        board.store.listeners.append(lambda changes: recorder.hear(served(changes)))
        for name in ("eve", "joe"):
            assert digest("--as", name).exit_code == 0
        board.create_task("Design", created_by="lead", assigned_to="alice")
        board.wait(minutes=5)
        board.update_task(1, status="complete")
        board.add_comment(1, "@supervisor done?", created_by="alice")
        yield board


def digest(*options: str) -> Result:
    """Run the command for the team's server."""
    return CliRunner().invoke(
        app, ["digest", "--mcp-endpoint", SERVER, *options], env={"COLUMNS": "100"}, catch_exceptions=False
    )


def told(*options: str) -> dict[str, int]:
    """Return the counts that the command tells, which must succeed."""
    done = digest("--format", "json", *options)
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    jsonschema.validate(document, digest_schema())
    return dict(document["counts"])


WORK = {"asked": 1, "finished": 1, "new": 1}


def test_since_last_tells_each_person_once(work: Board) -> None:
    """Without options, since the last digest."""
    assert told("--as", "eve", "--since", "last") == WORK
    assert told("--as", "eve") == {}
    assert told("--as", "joe") == WORK


def test_keep_and_a_moment_leave_the_mark_alone(work: Board) -> None:
    """They tell, and the next one tells it too."""
    assert told("--as", "eve", "--keep") == WORK
    assert told("--as", "eve", "--since", "2026-11-23T09:05:00Z") == {"asked": 1, "finished": 1}
    assert told("--as", "eve") == WORK


def test_the_settings_say_who_looks(work: Board, tmp_path: Path) -> None:
    """In a file, too."""
    (tmp_path / "mine").write_text("TINYTASK_AGENT=eve\n")
    assert told("--env-file", str(tmp_path / "mine")) == WORK
    assert told("--as", "eve") == {}


def test_each_form_is_written_to_a_file_too(work: Board, tmp_path: Path) -> None:
    """Whole, with the folders that it needs."""
    for form, begins in (
        ("console", "Digest"),
        ("markdown", "## Digest"),
        ("html", "<!DOCTYPE"),
        ("json", "{"),
    ):
        place = tmp_path / "new" / form
        assert digest("--as", "eve", "--keep", "-f", form, "-o", str(place)).stdout == ""
        printed = digest("--as", "eve", "--keep", "-f", form).stdout
        assert place.read_text().startswith(begins)
        assert "done?" in printed and printed.startswith(begins)


def test_a_digest_that_cannot_be_written_is_told_again(work: Board, tmp_path: Path) -> None:
    """The command fails, and the mark stays."""
    failed = digest("--as", "eve", "-o", str(tmp_path))
    assert failed.exit_code == 1
    assert "is a folder" in failed.stderr
    assert told("--as", "eve") == WORK


def test_a_webhook_that_fails_loses_nothing(work: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code says so, no output has the secret, and the next digest has it all."""
    with chat(status(400)) as server:
        monkeypatch.setenv("TINYTASK_DIGEST_WEBHOOK", server.url)
        failed = digest("--as", "eve", "--webhook")
        assert failed.exit_code == 1
        assert "did not take the digest" in failed.stderr and failed.stdout == ""
        assert SECRET not in failed.output
    with chat(status(200)) as server:
        monkeypatch.setenv("TINYTASK_DIGEST_WEBHOOK", server.url)
        sent = digest("--as", "eve", "--webhook")
        assert sent.exit_code == 0
        assert "sent: 1 asked · 1 finished · 1 new" in sent.stderr
        again = digest("--as", "eve", "--webhook")
        assert "nothing happened, so nothing was sent" in again.stderr
    [(_, _, body)] = server.posts
    jsonschema.validate(body["digest"], digest_schema())
    assert body["text"].startswith("## Digest") and "done?" in body["text"] and "@" not in body["text"]


def test_a_dead_recorder_is_posted_and_told_on_stderr(
    board: Board, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though there is nothing else to tell: silence would be taken for a quiet team."""
    monkeypatch.setattr(digests, "_now", lambda: micros_of(board.time))
    board.create_task("Design", created_by="lead")
    with Recorder(board, path, every=BY_HAND, name=SERVER):
        told("--as", "eve")
    gap = "nothing is recorded since 2026-11-23 09:00:00 UTC"
    assert gap not in digest("--as", "eve").output
    board.wait(minutes=300)
    for form in ("console", "json"):
        shown = digest("--as", "eve", "--since", "1 min ago", "-f", form)
        assert gap in shown.stderr and gap in shown.stdout and shown.exit_code == 0
    with chat(status(200)) as server:
        monkeypatch.setenv("TINYTASK_DIGEST_WEBHOOK", server.url)
        for _ in range(2):  # Until somebody does something about it.
            assert gap in digest("--as", "eve", "--webhook").stderr
    assert len(server.posts) == 2
    for _, _, body in server.posts:
        assert f"{gap} (5.0 h): is `calypso-nb record` running?" in body["text"]
        assert body["digest"]["items"] == []


def test_a_post_is_never_too_long_to_be_taken(work: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much happened: a chat that refuses it would refuse each further one."""
    work.update_task(1, title="t" * 10_000)
    for number in range(205):
        board_text = f"BLOCKED {number} " + "x" * 5000
        work.add_comment(1, board_text, created_by=f"agent-{number}")
    with chat(status(200)) as server:
        monkeypatch.setenv("TINYTASK_DIGEST_WEBHOOK", server.url)
        assert digest("--as", "eve", "--webhook").exit_code == 0
    [(_, headers, body)] = server.posts
    assert int(headers["Content-Length"]) < 250_000
    assert len(body["text"]) <= 12_000
    assert {len(item["title"]) for item in body["digest"]["items"]} == {200}
    assert body["digest"]["counts"]["asked"] == 206 and len(body["digest"]["items"]) == 200
    jsonschema.validate(body["digest"], digest_schema())


def test_what_cannot_be_written_is_not_sent_either(
    work: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else it would be sent again with the next one."""
    with chat(status(200)) as server:
        monkeypatch.setenv("TINYTASK_DIGEST_WEBHOOK", server.url)
        assert digest("--as", "eve", "--webhook", "-o", str(tmp_path)).exit_code == 1
        assert server.posts == []
        assert digest("--as", "eve", "--webhook", "-o", str(tmp_path / "digest.txt")).exit_code == 0
    assert len(server.posts) == 1
    assert "done?" in (tmp_path / "digest.txt").read_text()


def test_a_webhook_that_is_not_set_is_found_out_first(work: Board) -> None:
    """As wrong usage, before the mark could move."""
    failed = digest("--as", "eve", "--webhook")
    assert failed.exit_code == 2
    assert "no webhook is set" in failed.stderr
    assert told("--as", "eve") == WORK


@pytest.mark.slow
def test_a_pipe_that_nobody_reads_moves_no_mark(work: Board, path: Path) -> None:
    """What was not read is told again."""
    program = [sys.executable, "-m", "calypso_nb", "digest", "--as", "eve", "--mcp-endpoint", SERVER]
    here = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    with subprocess.Popen(program, env=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.close()
        assert running.wait() == 0
    assert told("--as", "eve") == WORK


def test_without_a_history_it_says_how_to_get_one() -> None:
    """And what does without one."""
    failed = digest()
    assert failed.exit_code == 2
    assert "`calypso-nb record` makes one" in failed.stderr and "--before SAVED.json" in failed.stderr


def test_two_saved_reports_do_without_a_history(tmp_path: Path) -> None:
    """As they are saved by `report --format json --context`; it says what they can't know."""
    for name, data in zip(("before", "after"), two_reports(), strict=True):
        (tmp_path / name).write_text(data.to_json(context=True))
    both = ("--before", str(tmp_path / "before"), "--after", str(tmp_path / "after"))
    assert told(*both)["finished"] == 1
    shown = digest(*both).stdout
    assert "Between two reports" in shown and "who did it, when" in shown
    swapped = digest("--before", both[3], "--after", both[1])
    assert swapped.exit_code == 2
    assert "the second report, of" in swapped.stderr and "is older than the first" in swapped.stderr
    for wrong in ((*both, "--since", "1d ago"), both[2:]):
        assert digest(*wrong).exit_code == 2


def test_one_saved_report_is_compared_with_the_server(tmp_path: Path) -> None:
    """As it is now."""
    with TinytaskStore(tmp_path / "board.db") as store, TinytaskClient(create_server(store)) as client:
        client.create_task("Design", created_by="lead")
        saved = WorkloadReporter(client).collect_workload_data("all")
        (tmp_path / "before").write_text(saved.to_json(context=True))
        client.update_task(1, status="complete")
    before = ("--before", str(tmp_path / "before"), "--mcp-endpoint", str(tmp_path / "board.db"))
    assert told(*before) == {"finished": 1}
