"""`calypso-nb snooze` and `wake` as people and cron jobs run them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner, Result

from calypso_nb import History, Recorder, TinytaskClient
from calypso_nb.cli.commands import app
from calypso_nb.embedded import TinytaskStore, running_server
from calypso_nb.text.schema import report_schema

AGO = datetime.now(UTC) - timedelta(days=2)
OLD = {"created_at": AGO, "updated_at": AGO}
WORKING = {"status": "working", "assigned_to": "vaela", **OLD}


@pytest.fixture
def team(clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TinytaskStore]:
    """A server with an urgent task that nobody has, and two that vaela has in progress and is silent at."""
    with TinytaskStore() as store, running_server(store) as url:
        store.insert_many([{"title": "Pay the bill", "priority": 10, **OLD}])
        store.insert_many([{"title": "Parser", **WORKING}, {"title": "Lexer", **WORKING}])
        monkeypatch.setenv("TINYTASK_ENDPOINT", url)
        yield store


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words, env={"COLUMNS": "100"}, catch_exceptions=False)


def said(*words: str) -> str:
    """What a command that must succeed prints."""
    done = run(*words)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_task_and_an_agent_are_snoozed_listed_and_woken(team: TinytaskStore) -> None:
    """An agent with its tasks; the report counts and lists them, and counts no alarm for them."""
    assert said("snooze") == "Snoozed: 0\nnone\n"
    done = said("snooze", "1", "--for", "3d", "--why", "the vendor is on holiday", "--as", "joe")
    assert re.fullmatch(r"#1 is snoozed until \d{4}-.* UTC, or until something new happens\n", done)
    assert said("snooze", "--agent", "vaela", "--until", "change") == (
        "agent vaela is snoozed until something new happens\n"
    )
    listed = said("snooze")
    assert re.search(r"\n +1  \d{4}-\d\d-\d\d \d\d:\d\d  joe +Pay the bill\n", listed)
    assert "the vendor is on holiday" in listed and "something new" in listed and "agent vaela" in listed
    report = said("report")
    assert "2 snoozed" in report and "Snoozed: 2\n" in report and "Needs attention: 0" in report
    assert report.index("Snoozed: 2") > report.index("Tasks: 3")
    assert run("report", "--fail-if", "attention > 0").exit_code == 0
    assert said("wake", "1") == "#1 is no longer snoozed\n"
    assert run("report", "--fail-if", "attention > 0").exit_code == 3
    team.add_comment(2, "@supervisor: which grammar?", created_by="vaela")
    assert "1 waiting on human" in said("report")
    assert said("wake", "--agent", "vaela") == "agent vaela is no longer snoozed\n"
    assert said("snooze") == "Snoozed: 0\nnone\n"


def test_json_has_what_is_snoozed(team: TinytaskStore) -> None:
    """In the list and in the report, which is as its schema says."""
    said("snooze", "1", "--until", "in 2 days", "--why", "\x1b[31mred")
    [one] = json.loads(said("snooze", "--format", "json"))["snoozes"]
    assert (one["about"], one["name"], one["title"]) == ("task", "1", "Pay the bill")
    document = json.loads(said("report", "--format", "json"))
    jsonschema.validate(document, report_schema())
    [row] = document["snoozed"]
    assert (row["until"], row["why"]) == (one["until"], "\x1b[31mred")
    assert "\x1b" not in said("snooze") + said("report") + said("report", "--format", "markdown")


def test_what_is_new_is_news_also_if_it_was_snoozed_before(team: TinytaskStore) -> None:
    """A cron job hears nothing of what is snoozed, and hears of it when that ends."""
    assert run("report", "--new-since", "cron").exit_code == 0
    said("snooze", "1")
    assert run("report", "--new-since", "cron").exit_code == 0
    said("wake", "1")
    again = run("report", "--new-since", "cron")
    assert again.exit_code == 3 and "1 new since cron: #1 Pay the bill" in again.stderr


def test_a_history_has_it_for_all(
    team: TinytaskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named, or lying where it usually does."""
    with TinytaskClient() as client, Recorder(client, tmp_path / "history.db"):
        said("snooze", "1", "--why", "for all")
        monkeypatch.setenv("CALYPSO_NB_STATE", str(tmp_path / "another"))
        assert "for all" in said("report", "--history", str(tmp_path / "history.db"))
        with closing(History(tmp_path / "history.db")) as history:
            assert history.now().snoozed["why"].tolist() == ["for all"]
        said("wake", "1")
        assert "Snoozed" not in said("report")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["snooze", "9"], "nothing about #9 needs attention, so nothing is snoozed"),
        (["snooze", "--agent", "vaella"], "did you mean 'vaela'?"),
        (["snooze", "--queue", "dev"], "nothing about queue dev needs attention"),
        (["snooze", "--team", "old_untouched"], "nothing about the team: old untouched needs attention"),
        (["snooze", "1", "--agent", "vaela"], "name one of TASK, --agent, --queue and --team"),
        (["snooze", "--for", "3d"], "what is to be snoozed?"),
        (["snooze", "1", "--for", "3d", "--until", "in 2 days"], "a snooze has one end: --for or --until"),
        (["snooze", "1", "--for", "soon"], "'soon' is not a valid length of time"),
        (["snooze", "1", "--until", "soon"], "'soon' is not a valid moment"),
        (["snooze", "1", "--until", "yesterday"], "a snooze ends in the future"),
        (["wake"], "whose snooze is to end?"),
        (["wake", "1"], "#1 has no snooze to end"),
    ],
)
def test_wrong_use_is_said_and_changes_nothing(team: TinytaskStore, words: list[str], why: str) -> None:
    """In one line, with exit code 2."""
    done = run(*words)
    assert done.exit_code == 2 and why in done.stderr and len(done.stderr.splitlines()) == 1
    assert said("snooze") == "Snoozed: 0\nnone\n"


def test_a_damaged_file_is_said_in_one_line(team: TinytaskStore, tmp_path: Path) -> None:
    """A report goes on, with a word on standard error."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "snoozes.db").write_text("no snoozes at all" * 20)
    done = run("snooze")
    assert done.exit_code == 2 and "move it away to begin anew" in done.stderr
    report = run("report")
    assert report.exit_code == 0 and "what is snoozed there is shown" in report.stderr
    assert "1 urgent unassigned" in report.stdout
