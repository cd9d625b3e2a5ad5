"""`calypso-nb audit` as people run it, and what it reads from servers, files and histories."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from wcwidth import wcswidth

from calypso_nb import History, TinytaskClient, WorkloadReporter
from calypso_nb.audit.audit import Audit
from calypso_nb.audit.rules import NOT_CHECKABLE, RULES
from calypso_nb.cli.conditions import (
    AUDIT_NAMES,
    audit_condition_that_holds,
    audit_metrics,
    parse_condition,
)
from calypso_nb.embedded import TinytaskStore, create_server, running_server
from calypso_nb.errors import UsageError
from calypso_nb.text.console import audit_to_console
from calypso_nb.text.json import audit_to_json
from calypso_nb.text.markdown import audit_to_markdown
from tests.test_audit import CASES, Case, audited, good, rule
from tests.test_cli import environment, run  # noqa: F401
from tests.v1_server import create_v1_server

SETTINGS = """
[roles]
dev = "developer"
tess = "tester"
"""


def fill(store: TinytaskStore) -> None:
    """A task whose title is no good, with an empty comment; one that nobody talks about; one archived."""
    store.create_task("The page", "lead", assigned_to="dev", queue_name="ready-for-qa", tags=["web"],
                      description="- it works", priority=5)  # fmt: skip
    store.add_comment(1, "done", "dev")
    store.create_task("Add a regression test", "lead", assigned_to="tess", queue_name="ready-for-qa",
                      tags=["regression"], description="- it works", priority=5)  # fmt: skip
    store.add_link(2, "commit/1", "what broke it", "tess")
    store.create_task("Drop it", "lead", assigned_to="dev", queue_name="backlog")
    store.archive_task(3)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Path]:
    """The file of a small board."""
    path = tmp_path / "board.db"
    with TinytaskStore(path) as store:
        fill(store)
        yield path


EXPECTED = {"T2": "broken", "C3": "broken", "H2": "broken", "B3": "kept", "A1": "broken", "A3": "broken"}


@pytest.mark.parametrize("kind", ["file", "in-process", "http", "sse"])
def test_a_reporter_reads_all_comments_and_links(kind: str, board: Path, clean_environment: Path) -> None:
    """From a file, a server in this process, and one over the network, with the same findings."""
    found: list[Audit] = []
    if kind == "file":
        found.append(WorkloadReporter(TinytaskClient(board)).audit())
    else:
        with TinytaskStore() as store:
            fill(store)
            if kind == "in-process":
                found.append(WorkloadReporter(TinytaskClient(create_server(store))).audit())
            else:
                with running_server(store, kind) as url, TinytaskClient(url) as client:
                    found.append(WorkloadReporter(client).audit())
    [audit] = found
    assert {name: rule(audit, name)["state"] for name in EXPECTED} == EXPECTED
    assert audit.findings.query("rule == 'H2'")["task"].tolist() == [1]


def test_without_notes_nothing_is_asked_for_but_tasks(
    board: Path, clean_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What needs them is not checked, and says so."""
    monkeypatch.setattr(TinytaskClient, "read_notes", lambda *_: 1 / 0)
    audit = WorkloadReporter(TinytaskClient(board)).audit(notes=False)
    assert rule(audit, "C3")["why"] == "comments were not read"
    assert rule(audit, "H2")["why"].startswith("comments were not read; links were not read")
    assert rule(audit, "T2")["state"] == "broken"


def test_a_server_without_queues_says_so(clean_environment: Path) -> None:
    """A TinyTask 1: the rules of queues are not checked, and those of titles are."""
    with TinytaskStore() as store:
        fill(store)
        with TinytaskClient(create_v1_server(store)) as client:
            audit = WorkloadReporter(client).audit()
    assert rule(audit, "Q1")["why"] == "the server has no queues"
    assert (rule(audit, "T2")["state"], rule(audit, "C3")["state"]) == ("broken", "broken")


def test_a_task_that_is_gone_before_its_comments_are_read_counts_as_not_checked(
    clean_environment: Path,
) -> None:
    """It is deleted after the listing."""
    with TinytaskStore() as store:
        fill(store)
        with TinytaskClient(create_server(store)) as client:
            reporter = WorkloadReporter(client)
            data = reporter.collect_workload_data("all", details=False)
            store.delete_task(2)
            comments, links, read = client.read_notes([1, 2, 3], progress=False)
            audit = reporter.audit(data)
    assert read == {1, 3} and comments["task_id"].tolist() == [1] and links.empty
    assert (rule(audit, "B3")["state"], rule(audit, "B3")["not_checked"]) == ("not checked", 1)


def test_a_history_of_the_server_is_looked_at_as_well(board: Path, clean_environment: Path) -> None:
    """What happened is checked by it, and comments are read from the server."""
    from calypso_nb import Recorder

    with TinytaskStore(board) as store, TinytaskClient(board) as client:
        with Recorder(client, clean_environment / "history.db", every=3600) as recorder:
            recorder.look()
            store.update_task(2, queue_name="triage")
            recorder.look()
        reporter = WorkloadReporter(client, clean_environment / "history.db")
        audit = reporter.audit()
        assert audit.findings.query("rule == 'Q5'")["evidence"].tolist() == ["ready-for-qa → triage"]
        assert rule(audit, "Q6")["broken"] == 1
        assert rule(audit, "B3")["state"] == "kept"
        with closing(History(clean_environment / "history.db")) as history:
            own = history.audit()
        # A file's comments are recorded, its links are not.
        assert rule(own, "C3")["state"] == "broken" and rule(own, "A3")["state"] == "broken"
        assert rule(own, "B3")["why"] == "links were not read"


@pytest.mark.slow
def test_the_command_says_what_is_broken_and_exits_by_a_condition(
    board: Path,
    environment: dict[str, str],  # noqa: F811
    tmp_path: Path,
) -> None:
    """With the roles of the file beside it; likely findings count only if they are asked for."""
    (tmp_path / "calypso_nb.toml").write_text(SETTINGS)
    asked = ("audit", "--mcp-endpoint", str(board))
    said = run(environment, *asked)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("Audit\n") and "commented 'done'" in said.stdout
    assert "in ready-for-qa with a developer" in said.stdout
    told = json.loads(run(environment, *asked, "-f", "json").stdout)
    assert {row["rule"] for row in told["rules"]} == {*RULES}
    held = run(environment, *asked, "--fail-if", "C3 > 0 and T2 == 0")
    assert held.returncode == 3 and "condition holds: C3 > 0 and T2 == 0 (T2 is 0, C3 is 1)" in held.stderr
    assert run(environment, *asked, "--fail-if", "T2 > 0").returncode == 0
    assert run(environment, *asked, "--fail-if", "T2 > 0", "--likely").returncode == 3
    unknown = run(environment, *asked, "--fail-if", "Q5 > 0")
    assert unknown.returncode == 2 and "'Q5' is unavailable: not checked: no history" in unknown.stderr
    (tmp_path / "calypso_nb.toml").write_text('[audit]\noff = ["X1"]\n')
    wrong = run(environment, *asked)
    assert wrong.returncode == 2 and "audit.off: 'X1' is not one of T1, T2" in wrong.stderr


# Conditions


def test_a_condition_counts_certain_findings_unless_likely_ones_are_asked_for() -> None:
    audit = audited(CASES["T2"][0])
    assert audit_metrics(audit)["findings"] == 0
    assert audit_metrics(audit, likely=True) | {} == audit_metrics(audit) | {
        "findings": 1, "broken_rules": 1, "T2": 1,
    }  # fmt: skip
    condition = parse_condition("broken_rules > 0", AUDIT_NAMES)
    assert audit_condition_that_holds(condition, audit, False) is None
    assert audit_condition_that_holds(condition, audit, True) == "broken_rules > 0 (broken_rules is 1)"


def test_a_condition_on_what_was_not_checked_is_an_error_unless_the_rest_decides() -> None:
    """Rather than that the rule is kept."""
    audit = audited(CASES["T1"][0])
    with pytest.raises(UsageError, match="'A4' is unavailable: not checked: no history"):
        audit_condition_that_holds(parse_condition("A4 > 0", AUDIT_NAMES), audit, False)
    held = audit_condition_that_holds(parse_condition("A4 > 0 or T1 == 1", AUDIT_NAMES), audit, False)
    assert held == "A4 > 0 or T1 == 1 (T1 is 1, A4 is unknown)"


def test_a_condition_on_a_rule_of_which_no_case_was_checked_is_an_error() -> None:
    """Of both parents no comment was read; a third one that has a comment is checked."""
    family = [good(n) for n in (1, 2)]
    family += [good(10 * n + k, parent_task_id=n) for n in (1, 2) for k in (1, 2)]
    condition = parse_condition("U2 > 0", AUDIT_NAMES)
    audit = audited(Case(family), read=[11])
    assert rule(audit, "U2")["state"] == "not checked"
    assert audit_metrics(audit)["U2"] is None
    with pytest.raises(UsageError, match="'U2' is unavailable: not checked: 2 of 2: its comments"):
        audit_condition_that_holds(condition, audit, False)
    some = audited(Case(family, [(1, "lead", 1, "This is done as agreed")]), read=[1])
    assert (rule(some, "U2")["kept"], audit_metrics(some)["U2"]) == (1, 0)
    assert audit_condition_that_holds(condition, some, False) is None


def test_a_condition_names_what_can_be_asked() -> None:
    with pytest.raises(UsageError, match=r"'idle' is not a valid name: .*findings, broken_rules, T1, T2"):
        parse_condition("idle > 1", AUDIT_NAMES)
    with pytest.raises(UsageError, match="names are open, idle"):
        parse_condition("T1 > 1")


# Forms


@pytest.fixture
def whole(past: History) -> Audit:
    """An audit of the sample's past, with everything in it."""
    return past.audit()


@pytest.mark.parametrize("width", [60, 80, 160])
def test_a_console_shows_each_broken_rule_and_fits(whole: Audit, width: int) -> None:
    """The rules, who breaks them, the weeks, some findings of each, and what can't be told."""
    text = audit_to_console(whole, width)
    assert max(wcswidth(line) for line in text.splitlines()) <= width
    for heading in (
        "Broken rules",
        "Agents, most findings first",
        "Broken of checked, per week",
        "Other rules",
    ):
        assert f"\n{heading}\n" in text
    flat = " ".join(text.split())
    for broken in whole.broken.to_dict("records"):
        if broken["rule"] not in whole.unkept:
            assert f"{broken['rule']} → {RULES[broken['rule']].to_do}" in flat
        assert broken["text"].split()[0] in flat
    assert all(left in flat for left in NOT_CHECKABLE)


def test_json_and_markdown_have_all_of_it(whole: Audit) -> None:
    """Each frame in JSON with None for what is unknown; in Markdown the first findings of each rule."""
    told: dict[str, Any] = json.loads(audit_to_json(whole))
    for name in ("findings", "rules", "agents", "trend"):
        assert len(told[name]) == len(getattr(whole, name))
    not_checked = [row for row in told["rules"] if row["state"] == "not checked"]
    assert not_checked and all(row["why"] for row in not_checked)
    assert None in [row["kept"] for row in not_checked]
    text = audit_to_markdown(whole, most=2)
    assert "### Broken rules" in text and "… and " in text
    assert text.count("| Task | Agent |") == len(whole.broken) - len(whole.unkept)
    assert "| Broken | Of them likely |" in text


@pytest.mark.parametrize(("broken", "kept", "told"), [(51, 5, True), (51, 6, False), (50, 0, False)])
def test_a_rule_that_nearly_everybody_breaks_is_told_in_a_sentence(
    broken: int, kept: int, told: bool
) -> None:
    """It has no table of findings, which would bury those of others; the frame has them all."""
    board = [good(n, tags=[] if n <= broken else ["web"]) for n in range(1, broken + kept + 1)]
    audit = audited(Case(board))
    said = f"nobody keeps G2: broken in {broken} of {broken + kept} cases; {RULES['G2'].to_do}"
    assert audit.unkept == ({"G2": said} if told else {})
    assert len(audit.findings) == broken
    texts = " ".join(audit_to_console(audit).split()), audit_to_markdown(audit)
    assert [said in text for text in texts] == [told, told]
    assert ("G2 →" in texts[0], "### G2:" in texts[1]) == (not told, not told)
    assert "Of them likely" in texts[1]
    assert "of them likely" in " ".join(audit_to_console(audit, 120).split())


def test_the_rules_that_are_broken_for_certain_come_first(whole: Audit) -> None:
    """Then those with the most findings."""
    sure = (whole.broken["broken"] - whole.broken["likely"]).tolist()
    assert sure == sorted(sure, reverse=True) and 0 in sure and sure[0] > 0


def test_an_agents_row_adds_up(whole: Audit) -> None:
    """Over all rules together, with the rules that it breaks."""
    row = whole.by_agent.iloc[0]
    own = whole.agents[whole.agents["agent"] == row["agent"]]
    assert (own["broken"].sum(), own["kept"].sum()) == (row["broken"], row["kept"])
    assert len(whole.findings[whole.findings["agent"] == row["agent"]]) == row["broken"]
    assert row["rules"].count("(") == (own["broken"] > 0).sum()


def test_a_late_moment_leaves_less_to_check(past: History, clean_environment: Path) -> None:
    """`since` narrows what happened; the filter narrows whose it is."""
    all_of_it, late = past.audit(), past.audit(past.flow().until - timedelta(days=7))
    one = past.audit(agent_filter="test-bot")
    assert 0 < rule(late, "S5")["broken"] < rule(all_of_it, "S5")["broken"]
    assert 0 < len(one.findings) < len(all_of_it.findings)
