"""The rules of the process, each on a board that breaks it and on one that keeps it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calypso_nb import TinytaskClient, WorkloadData
from calypso_nb.audit import audit as auditing
from calypso_nb.audit.audit import Audit, audit_of
from calypso_nb.audit.rules import RULES
from calypso_nb.audit.seen import Link, Note, Notes
from calypso_nb.errors import UsageError
from calypso_nb.frames import schema
from calypso_nb.history.changes import micros_of
from calypso_nb.team import AuditSettings as Settings
from calypso_nb.team import Team
from calypso_nb.text.console import audit_to_console
from calypso_nb.text.json import audit_to_json
from calypso_nb.text.markdown import audit_to_markdown
from tests.boards import HOSTILE, ago, report_of, rows, task, without_v2

ROLES: dict[str, Any] = {
    "dev": "developer",
    "dan": "developer",
    "tess": "tester",
    "rita": "reviewer",
    "lead": "coordinator",
}
TEAM = Team(roles=ROLES)
EIGHTY = "Add " + "a" * 76


def good(number: int, **fields: Any) -> dict[str, Any]:
    """A task that breaks no rule, unless its fields say else."""
    usual: dict[str, Any] = {
        "title": f"Add page {number}",
        "description": "Accepted once it works",
        "assigned_to": "dev",
        "created_by": "lead",
        "priority": 5,
        "tags": ["web"],
        "queue_name": "ready-for-development",
    }
    return task(number, **usual | fields)


def bug(number: int, **fields: Any) -> dict[str, Any]:
    """A defect that is told and filed as it should be."""
    told = "Steps: log in. Expected: a page. Actual: none. Environment: Firefox. Done when it shows."
    usual = {"title": f"BUG: page {number} is empty", "tags": ["bug", "web"], "description": told}
    return good(number, **usual | fields)


class Case(NamedTuple):
    """A board, with comments (task, agent, hours ago, text) and links (task, url, description)."""

    tasks: Sequence[dict[str, Any]]
    notes: Sequence[tuple[int, str, float, str]] = ()
    links: Sequence[tuple[int, str, str]] = ()


SAID = "This is done as agreed, see above"
# What breaks each rule, and what keeps it.
CASES: dict[str, tuple[Case, Case]] = {
    "T1": (Case([good(1, title=EIGHTY)]), Case([good(1, title=EIGHTY[:-1])])),
    "T2": (Case([good(1, title="The page is slow")]), Case([good(1, title="decision: which page")])),
    "T3": (Case([good(1, title="Add page [wip]")]), Case([good(1, title="Add page #99 for wipers")])),
    "T4": (
        Case([good(1, title="Add page: A"), good(2, title="add  page a!")]),
        Case([good(1, title="Add page: A"), good(2, title="add page a", status="complete")]),
    ),
    "T5": (Case([good(1, description=" ")]), Case([good(1, description="- it works")])),
    "G1": (Case([good(1, tags=["Web UI"])]), Case([good(1, tags=["web-ui", "recipe:Fast One"])])),
    "G2": (Case([good(1, tags=list("abcdef"))]), Case([good(1, tags=[*"abcde", "failed:2"])])),
    "P1": (Case([good(1, priority=11)]), Case([good(1, priority=10), good(2, priority=0)])),
    "Q1": (Case([good(1, queue_name=None, assigned_to=None)]), Case([good(1, assigned_to=None)])),
    "Q2": (Case([good(1, queue_name="ready-for-qa")]), Case([good(1)])),
    "Q3": (
        Case([good(1, queue_name="ready-for-qa", status="working", assigned_to="lead")]),
        Case([good(1, queue_name="ready-for-qa", status="working", assigned_to="tess")]),
    ),
    "Q7": (
        Case([good(1, blocked_by_task_id=2), good(2)]),
        Case([good(1, blocked_by_task_id=2, queue_name="on hold"), good(2)]),
    ),
    "Q8": (
        Case([good(1, blocked_by_task_id=2, queue_name="blocked"), good(2, status="complete")]),
        Case([good(1, blocked_by_task_id=2, queue_name="blocked"), good(2)]),
    ),
    "Q9": (
        Case([bug(1, queue_name="ready-for-qa", assigned_to="tess")]),
        Case([good(1, queue_name="ready-for-qa", assigned_to="tess")]),
    ),
    "S7": (
        Case([good(1, status="working"), good(2, status="working")]),
        Case([good(1, status="working"), good(2, status="working", assigned_to="dan")]),
    ),
    "S8": (
        Case([good(1)], [(1, "dan", 1, "Started on the second half")]),
        # Who had it before its last edit is not known without a history.
        Case(
            [good(1), good(2, created=3, updated=1, title="Add a lint rule")],
            [(1, "dev", 1, "Started on the second half"), (2, "dan", 2, "Started on the first half")],
        ),
    ),
    "H2": (
        Case([good(1, queue_name="ready-for-qa", assigned_to="tess")], [(1, "dev", 1, SAID)]),
        Case([good(1, queue_name="ready-for-qa", assigned_to="tess")], [(1, "dev", 1, "It is in 3f2a91c")]),
    ),
    "H3": (
        Case([bug(1, queue_name="ready-for-testing", assigned_to="tess")], links=[(1, "pull/2", "the fix")]),
        Case(
            [bug(1, queue_name="ready-for-testing", assigned_to="tess", created_by="tess")],
            links=[(1, "pull/2", "the fix")],
        ),
    ),
    "K2": (
        Case([good(1, assigned_to="rita", previous_assigned_to="tess")]),
        Case([good(1, previous_assigned_to="tess")]),
    ),
    "B1": (Case([bug(1, tags=["bug"])]), Case([bug(1)])),
    "B2": (Case([bug(1, description="Done when the steps show no error")]), Case([bug(1)])),
    "B3": (
        Case([good(1, tags=["regression"])]),
        Case([good(1, tags=["regression"])], links=[(1, "commit/3", "broke it")]),
    ),
    "D1": (
        Case([good(1, blocked_by_task_id=2), good(2)], [(1, "dev", 1, "This waits for #2, for its API")]),
        Case(
            [good(1, blocked_by_task_id=2), good(2)],
            [(1, "dev", 1, "This waits for #2, for its API"), (2, "dev", 1, "Task 1 waits for this one")],
        ),
    ),
    "D3": (
        Case(
            [good(1, blocked_by_task_id=2), good(2, blocked_by_task_id=3), good(3, blocked_by_task_id=1)],
            [(one, "dev", 1, "It is between #1, #2 and #3") for one in (1, 2, 3)],
        ),
        Case(
            [good(1, blocked_by_task_id=2), good(2)],
            [(one, "dev", 1, "It is between #1, #2 and #3") for one in (1, 2)],
        ),
    ),
    "D4": (
        Case([good(1), good(2)], links=[(1, "http://x/tasks/2", "[related] the other half")]),
        Case(
            [good(1), good(2)],
            links=[(1, "http://x/tasks/2", "[related] a half"), (2, "/tasks/1", "[related] a half")],
        ),
    ),
    "U1": (
        Case([good(1), good(2, parent_task_id=1, queue_name=None)]),
        Case([good(1), good(2, parent_task_id=1)]),
    ),
    "U2": (
        Case([good(1), good(2, parent_task_id=1), good(3, parent_task_id=1)]),
        Case([good(1), good(2, parent_task_id=1), good(3, parent_task_id=1)], [(1, "lead", 1, SAID)]),
    ),
    "U3": (
        Case([good(1, status="complete"), good(2, parent_task_id=1, status="complete")]),
        Case([good(1), good(2, parent_task_id=1), good(3, status="complete", queue_name="ready-for-qa"),
              good(4, parent_task_id=3, status="complete")]),
    ),
    "A1": (
        Case([good(1, archived=1)], [(1, "lead", 1.5, SAID)]),
        Case([good(1, archived=1)], [(1, "lead", 1.5, "Cancelled, as nobody wants it")]),
    ),
    "A2": (
        Case([good(1, archived=1, status="complete"), good(2, parent_task_id=1)]),
        Case([good(1), good(2, parent_task_id=1)]),
    ),
    "A3": (
        Case([good(1, archived=1, status="complete")], [(1, "dev", 26, SAID)]),
        Case([good(1, archived=1, status="complete")], [(1, "dev", 24, SAID)]),
    ),
    "C1": (
        Case([good(1), good(2, parent_task_id=1, status="working"),
              good(3, parent_task_id=1, status="working", assigned_to="dan")]),
        Case([good(1), good(2, parent_task_id=1, status="working"),
              good(3, parent_task_id=1, status="working", assigned_to="dan")], [(1, "dan", 1, SAID)]),
    ),
    "C2": (
        Case([good(1, created=60)], [(1, "dev", 48, "ESCALATION: nobody knows the key")]),
        Case(
            [good(1, created=60), good(2, created=40, title="DECISION: whose key")],
            [(1, "dev", 48, "ESCALATION: nobody knows the key")],
            [(1, "tasks/2", "[related] decision"), (2, "tasks/1", "[related] reason")],
        ),
    ),
    "C3": (
        Case([good(1)], [(1, "dev", 1, "Looks good!")]),
        Case([good(1)], [(1, "dev", 1, "Looks good, all 12 pass")]),
    ),
}  # fmt: skip


def audited(case: Case, team: Team = TEAM, read: Sequence[int] | None = None) -> Audit:
    """Audit a case of which all comments and links were read, or those of some tasks."""
    data = report_of(case.tasks)
    ids = data.all_tasks["id"].tolist() if read is None else read
    notes = [
        Note(number, agent, micros_of(ago(hours)), text)
        for number, agent, hours, text in case.notes
        if number in ids
    ]
    links: dict[int, list[Link]] = {number: [] for number in ids}
    for number, url, description in case.links:
        if number in ids:
            links[number].append(Link(number, "dev", url, description))
    return audit_of(data, team, Notes(notes, ids), links)


def rule(audit: Audit, name: str) -> dict[str, Any]:
    """What an audit says of one rule."""
    [row] = audit.rules[audit.rules["rule"] == name].to_dict("records")
    return {str(key): value for key, value in row.items()}


@pytest.mark.parametrize("name", [*CASES])
def test_each_rule_is_broken_by_its_own_board_alone(name: str) -> None:
    """A rule of the same letter isn't, and what is broken is said with what mends it."""
    audit = audited(CASES[name][0])
    letter = re.sub(r"\d", "", name)
    broken = {found for found in audit.findings["rule"] if re.sub(r"\d", "", found) == letter}
    assert broken == {name}
    found = audit.findings[audit.findings["rule"] == name].iloc[0]
    assert found["evidence"] and found["to_do"] == RULES[name].to_do
    assert found["certainty"] == RULES[name].certainty or RULES[name].certainty == "both"
    assert rule(audit, name)["state"] == "broken"


@pytest.mark.parametrize("name", [*CASES])
def test_each_rule_is_kept_by_a_board_that_is_nearly_the_same(name: str) -> None:
    """It was checked on something, and no rule of its letter is broken."""
    audit = audited(CASES[name][1])
    letter = re.sub(r"\d", "", name)
    assert not [found for found in audit.findings["rule"] if re.sub(r"\d", "", found) == letter]
    said = rule(audit, name)
    assert said["state"] == "kept" and said["kept"] >= 1, said


def test_every_rule_has_a_board_of_its_own() -> None:
    """Here, or among the moves: a rule that is added needs both a breaking and a keeping one."""
    from tests.test_audit_moves import MOVES

    assert {*CASES} | {*MOVES} == {*RULES}
    assert not {*CASES} & {*MOVES}


def test_a_good_board_has_no_findings() -> None:
    """Every rule that can be checked is kept, or has no case."""
    audit = audited(Case([good(1), good(2, assigned_to="tess", queue_name="ready-for-qa", status="working")],
                         links=[(2, "pull/3", "the page")]))  # fmt: skip
    assert audit.findings.empty
    assert {*audit.rules["state"]} == {"kept", "no case", "not checked"}
    assert audit.summary.startswith("0 certain and 0 likely findings; of 54 rules")


# What is not known


NEEDS = {
    "comments": {"S8", "C1", "C3", "D1", "H2", "U2", "A1", "A3", "C2"},
    "links": {"H2", "B3", "D4", "C2"},
    "roles": {"Q2", "Q3", "K2"},
    "queues": {"Q1", "Q2", "Q3", "Q7", "Q8", "Q9", "H2", "H3", "K2", "U1", "U2", "U3", "A2", "D1", "D3",
               "C1"},
}  # fmt: skip


@pytest.mark.parametrize("missing", [*NEEDS])
def test_what_is_missing_makes_a_rule_not_checked_and_never_kept(missing: str) -> None:
    """Its counts are unknown, and the row says why."""
    everything = [one for name in CASES for one in CASES[name][0].tasks]
    data = report_of({one["id"]: one for one in everything}.values())
    if missing == "queues":
        data = replace(data, tasks=without_v2(data.tasks), all_tasks=without_v2(data.all_tasks))
    audit = audit_of(
        data,
        Team() if missing == "roles" else TEAM,
        None if missing == "comments" else Notes((), None),
        None if missing == "links" else {},
    )
    assert {name for name, one in RULES.items() if missing in one.needs and "history" not in one.needs} == (
        NEEDS[missing]
    )
    for name in NEEDS[missing]:
        said = rule(audit, name)
        assert said["state"] == "not checked", name
        assert all(pd.isna(said[count]) for count in ("kept", "broken", "not_checked"))
        assert {"comments": "not read", "links": "not read", "roles": "role", "queues": "no queues"}[
            missing
        ] in said["why"]
    assert not audit.findings["rule"].isin(NEEDS[missing]).any()
    assert set(audit.agents["rule"]).isdisjoint(NEEDS[missing])


def test_a_rule_of_the_past_needs_a_history() -> None:
    audit = audited(CASES["T1"][0])
    for name, one in RULES.items():
        if "history" in one.needs:
            assert rule(audit, name)["why"].startswith("no history")
    assert audit.trend.empty and [*audit.trend] == [*auditing.TREND_COLUMNS]


def test_tasks_whose_comments_were_not_read_count_as_not_checked() -> None:
    """Of three parents one has a comment, of one nothing was read, and of one all was: nothing."""
    family = [good(n) for n in (1, 2, 3)]
    family += [good(10 * n + k, parent_task_id=n) for n in (1, 2, 3) for k in (1, 2)]
    audit = audited(Case(family, [(1, "lead", 1, SAID)]), read=[1, 3])
    said = rule(audit, "U2")
    assert (said["kept"], said["broken"], said["not_checked"]) == (1, 1, 1)
    assert said["why"] == "1 of 3: its comments were not read"
    assert audit.findings.query("rule == 'U2'")["task"].tolist() == [3]
    own = audit.agents.query("rule == 'U2'").to_dict("records")
    assert own == [{"rule": "U2", "agent": "dev", "kept": 1, "broken": 1, "likely": 1, "not_checked": 1}]


def test_an_agent_without_a_role_is_not_blamed() -> None:
    """Others whose role is known are checked."""
    audit = audited(Case([good(1, assigned_to="newcomer"), good(2, assigned_to="tess"), good(3)]))
    said = rule(audit, "Q2")
    assert (said["kept"], said["broken"], said["not_checked"]) == (1, 1, 1)


def test_a_parent_is_not_blamed_for_a_status_that_is_rolled_up() -> None:
    """Its status is working because a subtask's is, and it is in no queue: neither is anybody's doing."""
    board = [good(1, status="working", queue_name=None), good(2, parent_task_id=1, status="working")]
    audit = audited(Case(board))
    assert audit.findings.empty, audit.findings


def test_a_priority_of_0_is_none_and_not_a_finding() -> None:
    """It is what a server gives a task without one; -1 is one that somebody chose."""
    assert audited(Case([good(1, priority=0)])).findings.empty
    assert audited(Case([good(1, priority=-1)])).findings["rule"].tolist() == ["P1"]


def test_many_urgent_tasks_are_one_finding_of_nobody() -> None:
    """Three of ten are more than a fifth; of nine tasks nothing is said."""
    board = [good(n, priority=9 if n <= 3 else 5) for n in range(1, 11)]
    [found] = audited(Case(board)).findings.to_dict("records")
    assert found["rule"] == "P1" and pd.isna(found["task"]) and pd.isna(found["agent"])
    assert found["evidence"] == "3 of 10 open tasks are urgent"
    assert audited(Case(board[:9])).findings.empty
    assert audited(Case([*board[1:], good(11)])).findings.empty


def test_blocked_for_less_than_an_hour_is_not_known_to_be_wrong() -> None:
    """It may have been blocked for longer before the last edit, which nobody can tell."""
    case = Case([good(1, blocked_by_task_id=2, updated=0.5), good(2)])
    said = rule(audited(case), "Q7")
    assert (said["state"], said["not_checked"]) == ("not checked", 1)
    assert all(pd.isna(said[count]) for count in ("kept", "broken", "likely"))


def test_an_archived_blocker_still_blocks() -> None:
    """As the server has it, whatever the manual says."""
    audit = audited(Case([good(1, blocked_by_task_id=2), good(2, archived=1)]))
    assert "Q7" in audit.findings["rule"].tolist()


@pytest.mark.parametrize(("text", "broken"), [("0123456789abcde", True), ("0123456789abcdef", False)])
def test_a_comment_of_more_than_15_characters_says_something(text: str, broken: bool) -> None:
    """Blanks around it don't count."""
    found = audited(Case([good(1)], [(1, "dev", 1, f"  {text} ")])).findings
    assert found["rule"].tolist() == ["C3"] * broken


def test_a_finding_names_who_did_it_and_since_when() -> None:
    """Who created it for a title, who wrote it for a comment, and who has it for a queue."""
    board = [good(1, title=EIGHTY, queue_name=None, updated=1)]
    found = audited(Case(board, [(1, "dan", 0.5, "done")])).findings.set_index("rule")
    assert found["agent"].to_dict() == {"T1": "lead", "C3": "dan", "Q1": "dev"}
    assert found["since"].to_dict() == {
        "T1": pd.Timestamp(ago(1)), "C3": pd.Timestamp(ago(0.5)), "Q1": pd.Timestamp(ago(1)),
    }  # fmt: skip
    assert found["source"]["T1"] == "00 §7.1, 07 §2.1"


def test_a_filter_leaves_out_whom_it_is_not_about() -> None:
    """All is looked at, and only what is shown is checked; the archived tasks of others are not."""
    board = [good(1, title="Same page"), good(2, title="Same page", assigned_to="dan"),
             good(3, assigned_to="dan", archived=1)]  # fmt: skip
    data = report_of(board, agent_filter="dev")
    audit = audit_of(data, TEAM, Notes((), None), {})
    assert {1} == {*audit.findings["task"]}
    assert "T4" in audit.findings["rule"].tolist()


@pytest.mark.parametrize("tags", [[], list("abcdef"), ["web", "sprint-3"]])
def test_what_to_do_about_tags_fits_too_few_and_too_many(tags: list[str]) -> None:
    """And those that say what another field does."""
    found = audited(Case([good(1, tags=tags)])).findings.query("rule == 'G2'")
    assert found["to_do"].tolist() == ["give it 1 to 5 tags that say what it is about"]


IMPERATIVES = (
    "pick choose plan review agree interview size screenshot type-check speed kick track tune upgrade rotate "
    "redesign talk tell call bring bind enqueue escalate double-check dry-run hook hand teach"
)


@pytest.mark.parametrize("verb", IMPERATIVES.split())
def test_a_common_imperative_begins_a_title(verb: str) -> None:
    assert audited(Case([good(1, title=f"{verb.capitalize()} the page")])).findings.empty


# With these a title of the sample begins that says no action.
NOUNS = {
    *("API", "Checkout", "Customers", "Dashboards", "Dunning", "Finance", "Inventory", "Invoices", "One"),
    *("Production:", "Runbook:", "Runbooks", "Security", "Self-service", "Usage-based"),
}


def test_the_samples_titles_begin_with_verbs() -> None:
    """Those of the simulated team as well; nouns are none."""
    from tests.manual_words import OPENINGS

    sample = TinytaskClient("demo").list_tasks()["title"].tolist()
    told = [f"{opening} the page" for some in OPENINGS.values() for opening in some]
    titles = sorted({*sample, *told})
    board = [good(number, title=title) for number, title in enumerate(titles, 1)]
    found = audited(Case(board)).findings.query("rule == 'T2'")["evidence"]
    assert {evidence.split("'")[1] for evidence in found} <= NOUNS


# What a team changes


def test_a_rule_that_is_off_is_not_checked_and_says_so() -> None:
    audit = audited(CASES["T1"][0], Team(roles=ROLES, audit=Settings(off=("T1",))))
    assert "T1" not in audit.findings["rule"].tolist()
    assert (rule(audit, "T1")["state"], rule(audit, "T1")["why"]) == ("off", "switched off")
    assert "1 off" in audit.summary


def test_a_team_has_its_own_queues() -> None:
    """Where the manual has ready-for-qa, this team says check; the manual's name is then one of their own."""
    team = Team(roles=ROLES, audit=Settings(queues={"ready-for-qa": "check"}))
    broken = audited(Case([good(1, queue_name="check")]), team)
    assert "Q2" in broken.findings["rule"].tolist()
    other = audited(Case([good(1, queue_name="ready-for-qa"), good(2)]), team)
    assert "Q2" not in other.findings["rule"].tolist()


def test_queues_of_which_the_manual_has_none_say_how_to_name_them() -> None:
    """Rather than that their rules are kept."""
    said = rule(audited(Case([good(1, queue_name="dev")])), "Q2")
    assert said["state"] == "not checked" and "[audit.queues]" in said["why"]


def test_a_team_has_its_own_words_and_verbs() -> None:
    """They replace a rule's words; verbs come on top."""
    team = Team(
        roles=ROLES,
        audit=Settings(verbs=("Frob",), words={"C3": ("ship it right now please", "looks good to me")}),
    )
    said = [(1, "dev", 1.0, "Ship it, right now, please!"), (1, "dev", 1.0, "Looks good to me")]
    case = Case([good(1, title="Frob the page")], said)
    evidence = audited(case, team).findings["evidence"].tolist()
    assert evidence == ["commented 'Ship it, right now, please!'", "commented 'Looks good to me'"]
    assert audited(case).findings["rule"].tolist() == ["T2"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"off": ("T1", "X9")}, "audit.off: 'X9' is not one of T1, T2"),
        ({"words": {"c3": ("x",)}}, "did you mean 'C3'"),
        ({"words": {"T1": ("x",)}}, "audit.words: 'T1' is not one of T2, T3"),
        ({"queues": {"ready-for-q": "qa"}}, "did you mean 'ready-for-qa'"),
    ],
)
def test_a_setting_that_names_no_rule_is_an_error_that_names_them(
    settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        audited(CASES["T1"][0], Team(audit=Settings(**settings)))


# Whatever agents write


def hostile_case() -> Case:
    """A board on which every text is one that means harm."""
    tasks = [
        good(n, title=text, assigned_to=text, created_by=text, tags=[text], queue_name=text, description=text)
        for n, text in enumerate(HOSTILE, 1)
    ]
    notes = [(n, text, 1.0, f"Started {text}") for n, text in enumerate(reversed(HOSTILE), 1)]
    return Case(tasks, notes, [(1, "tasks/2", "\x1b[31m")])


def test_no_text_by_an_agent_is_obeyed() -> None:
    """A terminal gets no control character, and Markdown no HTML outside of code."""
    audit = audited(hostile_case())
    assert {"T2", "G1", "S8"} <= {*audit.findings["rule"]}
    for text in (*everything(audit), audit_to_console(audit, 160)):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e\u2066]", text)
    assert "<img" not in re.sub(r"`+.*?`+", "", audit_to_markdown(audit))
    assert audit_to_json(audit).isascii()


def bare(titles: Iterable[str]) -> list[str]:
    """Titles without case, blanks and punctuation, unless nothing is left."""
    kept = ("".join(filter(str.isalnum, title.casefold())) or title for title in titles)
    return [*kept]


def everything(audit: Audit) -> Iterator[str]:
    """An audit in every form."""
    yield from (audit_to_console(audit), audit_to_markdown(audit), audit_to_json(audit))


@given(rows(), st.booleans(), st.booleans())
def test_any_board_gives_findings_that_are_true(board: list[dict[str, Any]], is_v1: bool, read: bool) -> None:
    """What each of some rules says is counted again, by other means; and every form can be written."""
    data = report_of(board)
    if is_v1:
        data = replace(data, tasks=without_v2(data.tasks), all_tasks=without_v2(data.all_tasks))
    audit = audit_of(data, TEAM, Notes((), None) if read else None, {} if read else None)
    by_id = data.all_tasks.set_index("id")
    open_ids = set(data.tasks[data.tasks["is_open"]]["id"])
    found = {name: set(some["task"].dropna()) for name, some in audit.findings.groupby("rule")}
    for name, breaks in {
        "T1": lambda one: len(one.title) >= 80,
        "P1": lambda one: not 0 <= one.priority <= 10,
        "G1": lambda one: any(re.search(r"[^a-z0-9-]|--|^-|-$|^$", tag) for tag in one.tags),
        "T4": lambda one: (
            bare(data.all_tasks[data.all_tasks["is_open"]]["title"]).count(bare([one.title])[0]) > 1
        ),
    }.items():
        expected = {number for number in open_ids if breaks(by_id.loc[number])}
        assert found.get(name, set()) == expected, name
    if is_v1:
        assert not {*found} & NEEDS["queues"]
    else:
        for number in found.get("A2", set()):
            assert pd.notna(by_id["archived_at"][by_id["parent_task_id"][number]])
        for number in found.get("Q7", set()):
            assert by_id["is_currently_blocked"][number]
    assert read or not {*found} & NEEDS["comments"]
    counted = audit.agents.groupby("rule")[["kept", "broken", "not_checked"]].sum()
    told = audit.rules.set_index("rule")[["kept", "broken", "not_checked"]].dropna()
    assert told[told.sum(axis=1) > 0].astype("int64").equals(counted.loc[told[told.sum(axis=1) > 0].index])
    assert audit.findings["rule"].value_counts().to_dict() == told["broken"][told["broken"] > 0].to_dict()
    for text in everything(audit):
        assert "\x1b" not in text


@given(rows(), st.sampled_from([None, "idle", "working"]))
def test_a_saved_report_is_audited_like_the_one_that_was_saved(
    board: list[dict[str, Any]], status: str | None
) -> None:
    """But for what it doesn't have of the tasks that it leaves out: their titles, and some agents' names."""
    data = report_of(board, status_filter=status)
    again = WorkloadData.from_json(data.to_json())
    found = [audit_of(one, TEAM).findings.query("rule not in ('T3', 'T4', 'G2')") for one in (data, again)]
    columns = ["rule", "task", "agent", "certainty", "evidence"]
    pd.testing.assert_frame_equal(found[0][columns], found[1][columns])


def test_a_title_of_blanks_and_one_that_is_unknown_are_looked_at() -> None:
    """Neither is an error; what is unknown is like no other title."""
    data = report_of([good(1, title="\u3000"), good(2), good(3)])
    unknown = data.all_tasks["id"] >= 2
    tasks = data.all_tasks.assign(title=data.all_tasks["title"].mask(unknown))
    audit = audit_of(replace(data, tasks=tasks, all_tasks=tasks), TEAM)
    assert not audit.findings["rule"].eq("T4").any()
    assert "its title begins with ''" in audit.findings["evidence"].tolist()


def test_frames_have_the_columns_that_are_told_of() -> None:
    """Full and empty, with the same types."""
    some, none = audited(CASES["T1"][0]), audit_of(report_of([]), TEAM)
    for name in ("findings", "rules", "agents", "trend"):
        columns = getattr(auditing, f"{name.removesuffix('s').upper()}_COLUMNS")
        for audit in (some, none):
            assert [*getattr(audit, name)] == schema(columns)["column"].tolist()
        assert getattr(some, name).dtypes.equals(getattr(none, name).dtypes)


def test_a_report_has_an_audit_of_what_its_tasks_show(clean_environment: Path) -> None:
    """Without comments it says so, and the report's JSON is what it was."""
    data: WorkloadData = report_of(CASES["T1"][0].tasks)
    before = data.to_json()
    assert data.audit.findings["rule"].tolist() == ["T1"]
    assert "comments were not read" in rule(data.audit, "C3")["why"]
    assert data.to_json() == before
    assert repr(data.audit) == f"<Audit: {data.audit.summary}>"
