"""The rules of how work moves, each on a history that breaks it and on one that keeps it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from calypso_nb import History
from calypso_nb.audit.audit import Audit, audit_of, past_notes
from calypso_nb.audit.rules import RULES
from calypso_nb.audit.seen import MANUAL_QUEUES, Note, Notes, Past
from calypso_nb.embedded import StoreError, TinytaskStore
from calypso_nb.history.changes import SECOND, micros_of
from calypso_nb.history.journal import Journal
from calypso_nb.history.pushes import served
from calypso_nb.history.store import HistoryStore
from calypso_nb.team import Team
from tests.watched import MORNING

ROLES: dict[str, Any] = {"dev": "developer", "dan": "developer", "tess": "tester", "lead": "coordinator"}
TEAM = Team(roles=ROLES)
WHY = "It fails in Firefox: the page stays empty after the login, see the log"

Deed = tuple[float, str, dict[str, Any]]


def new(minute: float, number: int, **fields: Any) -> Deed:
    """A task is created in the queue of development, and is dev's."""
    usual = {"assigned_to": "dev", "queue_name": "ready-for-development", "priority": 5, "tags": ["web"]}
    told = {"title": f"Add page {number}", "description": "- it works", "created_by": "lead"}
    return minute, "create_task", usual | told | fields


def edit(minute: float, number: int, **changes: Any) -> Deed:
    """Fields of a task are changed."""
    return minute, "update_task", {"id": number, **changes}


def say(minute: float, number: int, by: str, text: str = WHY) -> Deed:
    """Somebody comments on a task."""
    return minute, "add_comment", {"task_id": number, "created_by": by, "content": text}


class Case(NamedTuple):
    """What happens, until which minute it is recorded, and which rules of the letter are broken with it."""

    deeds: Sequence[Deed]
    until: float = 600
    also: tuple[str, ...] = ()


def visits(queue: str, agent: str) -> list[Deed]:
    """Twenty tasks wait for ten minutes each, are worked on for five, and verified."""
    found = []
    for number in range(1, 21):
        at = 30.0 + number
        found += [
            new(at, number, queue_name=queue, assigned_to=agent),
            edit(at + 10, number, status="working"),
            say(at + 11, number, agent),
            edit(at + 15, number, status="idle", queue_name="ready-for-qa", assigned_to="tess"),
            edit(at + 16, number, status="working"),
            say(at + 17, number, "tess"),
            edit(at + 18, number, status="complete"),
        ]
    return sorted(found, key=lambda deed: deed[0])


def pauses() -> list[Deed]:
    """An agent that comments every five minutes sets a task idle, and starts the next."""
    first = [new(30, 1), new(30, 2), edit(31, 1, status="working")]
    signs = [say(31 + 5 * number, 1, "dev") for number in range(1, 25)]
    return [*first, *signs, edit(156, 1, status="idle"), edit(157, 2, status="working"), say(158, 2, "dev")]


def returned(*agents: str) -> list[Deed]:
    """A task is sent back to each of these."""
    deeds = [new(30, 1)]
    for number, agent in enumerate(agents):
        at = 40.0 + 20 * number
        deeds += [
            edit(at, 1, queue_name="ready-for-qa", assigned_to="tess"),
            say(at + 1, 1, "dev"),
            edit(at + 10, 1, queue_name="ready-for-development", assigned_to=agent),
            say(at + 11, 1, "tess"),
        ]
    return deeds


def subtasks(minutes: float) -> list[Deed]:
    """Two subtasks take so long each."""
    deeds = [new(30, 1, queue_name="ready-for-qa"), say(30, 1, "lead")]
    for number in (2, 3):
        deeds += [new(30 + number, number, parent_task_id=1), edit(40, number, status="working")]
    return [*deeds, *(edit(40 + minutes, number, status="complete") for number in (2, 3))]


VERIFIED = [new(30, 1, queue_name="ready-for-qa", assigned_to="tess"), edit(40, 1, status="working"),
            say(41, 1, "tess"), edit(50, 1, status="complete")]  # fmt: skip
STARTED = [new(30, 1), edit(40, 1, status="working")]
AT_ONCE = [*(new(30 + number, number) for number in range(1, 6)),
           *(edit(60, number, priority=6) for number in range(1, 6))]  # fmt: skip
WAITING = [new(30, 1), new(31, 2, blocked_by_task_id=1), say(32, 1, "dev", "This comes before #2, its API"),
           say(32, 2, "dev", "This waits for #1, for its API")]  # fmt: skip
IN_QA = [edit(40, 1, queue_name="ready-for-qa", assigned_to="tess"), say(41, 1, "dev")]
BACK = edit(60, 1, queue_name="ready-for-development", assigned_to="dev")

# What breaks each rule, and what keeps it.
MOVES: dict[str, tuple[Case, Case]] = {
    "P2": (
        Case([new(30, 1), edit(60, 1, priority=3)]),
        Case([new(30, 1), edit(60, 1, priority=3), say(70, 1, "lead"), edit(90, 1, priority=7)]),
    ),
    "Q4": (
        Case([*STARTED, edit(60, 1, queue_name="ready-for-qa", assigned_to="tess"), say(61, 1, "dev")]),
        Case([*STARTED, edit(60, 1, status="idle"),
              edit(61, 1, queue_name="ready-for-qa", assigned_to="tess"), say(61, 1, "dev")]),
    ),
    "Q5": (
        Case([new(30, 1), *IN_QA, edit(60, 1, queue_name="triage"), say(61, 1, "tess")]),
        Case([new(30, 1), *IN_QA, BACK, say(61, 1, "tess"), edit(70, 1, queue_name="blocked"),
              say(71, 1, "dev")]),
    ),
    "Q6": (Case([new(30, 1), *IN_QA[:1]]), Case([new(30, 1), *IN_QA])),
    "Q10": (
        Case([*visits("ready-for-development", "dev"), new(100, 21)], 100 + 1441),
        Case([*visits("ready-for-development", "dev"), new(100, 21)], 100 + 1439),
    ),
    "S1": (
        Case([new(30, 1, queue_name="ready-for-qa"), say(39, 1, "tess"), edit(40, 1, status="complete")],
             also=("S4",)),
        Case(VERIFIED),
    ),
    "S2": (
        Case([VERIFIED[0], edit(31, 1, queue_name="ready-for-development"), *VERIFIED[1:]]),
        Case(VERIFIED),
    ),
    "S3": (Case([*VERIFIED[:3], edit(41 + 1441, 1, status="complete")], 1600), Case(VERIFIED)),
    "S4": (Case([VERIFIED[0], *VERIFIED[2:]]), Case(VERIFIED)),
    "S5": (Case(STARTED), Case([*STARTED, say(70, 1, "dev")])),
    "S6": (Case(pauses(), 158 + 61), Case(pauses(), 158 + 59)),
    "H1": (
        Case([*STARTED, edit(60, 1, assigned_to="tess")]),
        Case([*STARTED, edit(60, 1, assigned_to="tess", queue_name="ready-for-qa", status="idle"),
              say(61, 1, "dev", "It is in PR 7, which passes")]),
    ),
    "H4": (
        Case([*visits("ready-for-qa", "tess"), new(100, 21, queue_name="ready-for-qa", assigned_to="tess"),
              say(101, 21, "dev", "It is in PR 7, which passes")], 100 + 61),
        Case([*visits("ready-for-qa", "tess"), new(100, 21, queue_name="ready-for-qa", assigned_to="tess"),
              say(101, 21, "dev", "It is in PR 7, which passes")], 100 + 59),
    ),
    "K1": (
        Case([new(30, 1), *IN_QA, BACK, say(61, 1, "tess", "It does not work, sorry")]),
        Case([new(30, 1), *IN_QA, BACK, say(61, 1, "tess")]),
    ),
    "K3": (Case(returned("dev", "dev", "dev")), Case(returned("dan", "dev", "dev"))),
    "D2": (
        Case([*VERIFIED, new(60, 2), edit(70, 2, blocked_by_task_id=1)]),
        Case([new(30, 1), new(60, 2), edit(70, 2, blocked_by_task_id=1),
              say(71, 1, "dev", "This comes before #2"), say(71, 2, "dev", "This waits for #1")]),
    ),
    "D5": (
        Case([*WAITING, edit(60, 1, status="complete")]),
        Case([*WAITING, edit(60, 1, status="complete"), say(120, 2, "lead")]),
    ),
    "U4": (Case(subtasks(14)), Case(subtasks(15))),
    "A4": (
        Case([new(30, 1), (60, "delete_task", {"id": 1})]),
        Case([new(30, 1), say(59, 1, "lead", "Cancelled, as nobody wants it"),
              (60, "archive_task", {"id": 1})]),
    ),
    "A5": (Case(AT_ONCE), Case([*AT_ONCE, say(61, 3, "lead")])),
}  # fmt: skip


@contextmanager
def played(
    path: Path, deeds: Sequence[Deed], until: float, *, pushed: bool = True, looks: Sequence[float] = ()
) -> Iterator[History]:
    """Let deeds be done and recorded from minute 0 on, and yield the history.

    - pushed: whether the board tells of each change; else it is looked at, at some minutes and at the end
    """
    with TinytaskStore(now=lambda: clock[0]) as board, HistoryStore(path, write=True) as store:
        clock = [MORNING]
        journal = Journal(store, "team", "listing", 3600 * SECOND)
        if pushed:
            board.listeners.append(lambda changes: journal.hear(served(changes)))
        left = sorted(deeds, key=lambda deed: deed[0])
        for look in [0, *looks, until]:
            while left and left[0][0] <= look:
                minute, what, arguments = left.pop(0)
                clock[0] = MORNING + timedelta(minutes=minute)
                with suppress(StoreError):  # What a server refuses has not happened.
                    getattr(board, what)(**arguments)
            clock[0] = MORNING + timedelta(minutes=look)
            at = micros_of(clock[0])
            journal.see(board.list_tasks(include_archived=True), at, at, pushed=pushed and look > 0)
    with closing(History(path)) as history:
        yield history


def audited(history: History, since: float | None = None, team: Team = TEAM) -> Audit:
    """Audit a history by a team of the test's own, as if all its comments were read."""
    past = Past(history.journeys(), history.events, since)
    told = past_notes(history.feed, history.coverage)
    return audit_of(history.now(), team, told and Notes(told, None), None, past)


def rule(audit: Audit, name: str) -> dict[str, Any]:
    """What an audit says of one rule."""
    [row] = audit.rules[audit.rules["rule"] == name].to_dict("records")
    return {str(key): value for key, value in row.items()}


def of_letter(audit: Audit, name: str) -> set[str]:
    """Which rules of a rule's letter are broken."""
    letter = re.sub(r"\d", "", name)
    return {found for found in audit.findings["rule"] if re.sub(r"\d", "", found) == letter}


@pytest.mark.parametrize("name", [*MOVES])
def test_each_rule_is_broken_by_what_happened(name: str, tmp_path: Path) -> None:
    """As exactly as it was told; the finding has its time, and a rule of the same letter is not broken."""
    case = MOVES[name][0]
    with played(tmp_path / "h.db", case.deeds, case.until) as history:
        audit = audited(history)
    assert of_letter(audit, name) == {name, *case.also}
    found = audit.findings[audit.findings["rule"] == name].iloc[0]
    assert found["certainty"] == RULES[name].certainty or RULES[name].certainty == "both"
    assert MORNING <= found["since"] <= MORNING + timedelta(minutes=case.until)


@pytest.mark.parametrize("name", [*MOVES])
def test_each_rule_is_kept_by_nearly_the_same(name: str, tmp_path: Path) -> None:
    """It was checked on something."""
    case = MOVES[name][1]
    with played(tmp_path / "h.db", case.deeds, case.until) as history:
        audit = audited(history)
    assert of_letter(audit, name) <= {*case.also}, audit.findings[["rule", "evidence"]]
    assert rule(audit, name)["kept"] >= 1, rule(audit, name)


def test_what_waits_for_too_long_says_for_how_long_others_do(tmp_path: Path) -> None:
    """Those before waited for some ten minutes each; on so fast a board a day is too long, or an hour."""
    said = {}
    for name in ("Q10", "H4"):
        case = MOVES[name][0]
        with played(tmp_path / f"{name}.db", case.deeds, case.until) as history:
            [said[name]] = audited(history).findings.query("rule == @name")["evidence"]
    assert said["Q10"] == (
        "idle in ready-for-development for 24.0 h or longer; 85 % wait 10 min or less, "
        "and less than 24.0 h is fine"
    )
    assert said["H4"] == (
        "idle in ready-for-qa for 1.0 h or longer; 85 % wait 11 min or less, and less than 1.0 h is fine"
    )


# What is not known exactly


@pytest.mark.parametrize("name", [*MOVES])
def test_what_looks_alone_show_is_certain_only_if_it_is_so(name: str, tmp_path: Path) -> None:
    """Of a board that is only looked at, no finding is certain that an exact history doesn't have."""
    for number, case in enumerate(MOVES[name]):
        with played(tmp_path / f"{number}.db", case.deeds, case.until) as history:
            told = past_notes(history.feed, history.coverage)
            exact = audited(history).findings
        looks = [float(look) for look in range(7, int(min(case.until, 210)), 7)]
        with played(
            tmp_path / f"{number} seen.db", case.deeds, case.until, pushed=False, looks=looks
        ) as history:
            past = Past(history.journeys(), history.events)
            audit = audit_of(history.now(), TEAM, told and Notes(told, None), None, past)
        known = {*zip(exact["rule"], exact["task"], strict=True)}
        for found in audit.certain.to_dict("records"):
            assert (found["rule"], found["task"]) in known, found


def anything(seed: int) -> list[Deed]:
    """What a team without any rules does in ten hours."""
    random = Random(seed)
    agents = [*ROLES, "newcomer", None]
    queues = [*MANUAL_QUEUES, "custom", None]
    deeds = [new(number, number, queue_name=random.choice(queues)) for number in range(1, 7)]
    deeds += [new(number, number, parent_task_id=random.randint(1, 6)) for number in (7, 8)]
    for _ in range(150):
        minute, number = random.uniform(10, 590), random.randint(1, 8)
        changes = {
            "status": random.choice(["idle", "working", "complete"]),
            "queue_name": random.choice(queues),
            "assigned_to": random.choice(agents),
            "priority": random.randint(-1, 10),
            "blocked_by_task_id": random.choice([None, random.randint(1, 8)]),
        }
        some = random.sample([*changes], random.choice([1, 1, 2, 3]))
        deeds.append(edit(minute, number, **{name: changes[name] for name in some}))
        if random.random() < 0.4:
            text = random.choice([WHY, "done", "Started, see #3", "ESCALATION: help"])
            deeds.append(say(minute + random.uniform(0, 20), number, str(random.choice(agents)), text))
    ends = [(random.uniform(300, 590), what, {"id": number}) for number, what in ENDS]
    return [*deeds, *ends]


ENDS = ((1, "archive_task"), (2, "delete_task"), (3, "archive_task"))


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_looks_alone_show_no_more_for_certain(seed: int, tmp_path: Path) -> None:
    """A team without any rules: what is certain by a look every 40 minutes, exact times show as well."""
    with played(tmp_path / "exact.db", anything(seed), 600) as history:
        told, data = past_notes(history.feed, history.coverage), history.now()
        exact = audited(history).findings
    with played(
        tmp_path / "seen.db",
        anything(seed),
        600,
        pushed=False,
        looks=[float(at) for at in range(40, 600, 40)],
    ) as history:
        looked = history.now().all_tasks
        of_comments = [name for name in looked if name.startswith("last_")]
        pd.testing.assert_frame_equal(
            looked.drop(columns=of_comments), data.all_tasks.drop(columns=of_comments)
        )
        past = Past(history.journeys(), history.events)
        seen = audit_of(history.now(), TEAM, told and Notes(told, None), None, past)
    known = {*zip(exact["rule"], exact["task"], strict=True)}
    assert {*zip(seen.certain["rule"], seen.certain["task"], strict=True)} <= known
    assert len(exact) > 30 and len(seen.certain) > 5


def test_whether_it_was_working_when_it_moved_is_not_known_between_two_looks(tmp_path: Path) -> None:
    """It may have been idle for a moment; nor is it known from where it was completed."""
    with played(tmp_path / "h.db", MOVES["Q4"][0].deeds, 600, pushed=False, looks=[50, 70]) as history:
        said = rule(audited(history), "Q4")
    assert (said["state"], said["not_checked"]) == ("not checked", 1)
    assert said["why"] == "1 of 1: when it happened is not known exactly"
    with played(tmp_path / "s.db", MOVES["S2"][0].deeds, 600, pushed=False, looks=[45]) as history:
        assert rule(audited(history), "S2")["state"] == "not checked"


# What is broken by an exact history, and what two looks around it may hide.
HIDDEN = {
    "S1": [45.0],
    "S2": [45.0],
    "S4": [42.0],
    "K1": [35.0, 50.0, 65.0],
    "K3": [35.0, *(45.0 + 10 * number for number in range(7))],
    "D2": [65.0, 75.0],
    "H1": [50.0, 70.0],
}


@pytest.mark.parametrize("name", [*HIDDEN])
def test_what_two_looks_may_hide_is_held_against_nobody(name: str, tmp_path: Path) -> None:
    """A tester may have had it, or it was elsewhere: it is not checked, rather than likely broken."""
    case = MOVES[name][0]
    with played(tmp_path / "exact.db", case.deeds, case.until) as history:
        told = past_notes(history.feed, history.coverage)
        assert rule(audited(history), name)["state"] == "broken"
    deeds = [*case.deeds, say(61, 1, "dev", "It is in PR 7, which passes")] if name == "H1" else case.deeds
    with played(tmp_path / "seen.db", deeds, case.until, pushed=False, looks=HIDDEN[name]) as history:
        notes = Notes([*(told or ()), Note(1, "dev", micros_of(MORNING + timedelta(minutes=61)), WHY)], None)
        past = Past(history.journeys(), history.events)
        said = rule(audit_of(history.now(), TEAM, notes, None, past), name)
    assert said["state"] == "not checked", said
    assert "when it happened is not known exactly" in said["why"]


@pytest.mark.parametrize("gap", [False, True])
def test_no_work_by_a_tester_is_known_only_without_a_gap(gap: bool, tmp_path: Path) -> None:
    """An exact record shows that there was none; in a gap there may have been some."""
    case = MOVES["S4"][0]
    with played(tmp_path / "h.db", case.deeds, case.until) as history:
        journeys, minutes = history.journeys(), ((32, 35) if gap else (10, 20))
        hole = [[float(micros_of(MORNING + timedelta(minutes=minute))) for minute in minutes]]
        past = Past(journeys._replace(gaps=np.array(hole)), history.events)
        found = rule(audit_of(history.now(), TEAM, None, None, past), "S4")
    assert found["state"] == ("not checked" if gap else "broken")


def test_a_tester_that_was_at_work_between_two_looks_has_worked_on_it(tmp_path: Path) -> None:
    """Looks every minute, and a tester who takes twenty seconds; a status in between was seen by nobody."""
    deeds = [VERIFIED[0], edit(40.2, 1, status="working"), edit(40.5, 1, status="complete")]
    looks = [float(minute) for minute in range(29, 60)]
    with played(tmp_path / "h.db", deeds, 90, pushed=False, looks=looks) as history:
        said = rule(audited(history), "S4")
    assert (said["state"], said["not_checked"]) == ("not checked", 1)


def test_who_started_what_changed_hands_between_two_looks_is_not_known(tmp_path: Path) -> None:
    """Another may have started it, and have said so."""
    deeds = [*STARTED, say(41, 1, "dev"), edit(45, 1, assigned_to="dan")]
    with played(tmp_path / "h.db", deeds, 600, pushed=False, looks=[35, 50]) as history:
        past = Past(history.journeys(), history.events)
        notes = Notes([Note(1, "dev", micros_of(MORNING + timedelta(minutes=41)), WHY)], None)
        said = rule(audit_of(history.now(), TEAM, notes, None, past), "S5")
    assert (said["state"], said["not_checked"]) == ("not checked", 1)


def test_comments_that_no_history_has_make_a_rule_not_checked(tmp_path: Path) -> None:
    """A board that is only looked at tells of no comment; a move of which one is known is checked."""
    with played(tmp_path / "h.db", MOVES["Q6"][1].deeds, 600, pushed=False, looks=[35, 50]) as history:
        audit = audited(history)
        assert rule(audit, "Q6")["why"] == "comments were not read"
        past = Past(history.journeys(), history.events)
        some = Notes([Note(1, "dev", micros_of(MORNING + timedelta(minutes=45)), WHY)])
        said = rule(audit_of(history.now(), TEAM, some, None, past), "Q6")
        assert (said["kept"], said["not_checked"]) == (1, 0)
        said = rule(audit_of(history.now(), TEAM, Notes(()), None, past), "Q6")
        assert (said["state"], said["not_checked"]) == ("not checked", 1)


def test_a_comment_that_a_server_may_not_have_pushed_is_only_likely_to_be_missing(tmp_path: Path) -> None:
    """Its queue of pushes can run over; a comment that was read is as certain as ever."""
    with played(tmp_path / "h.db", MOVES["P2"][0].deeds, 600) as history:
        past = Past(history.journeys(), history.events)
        told = past_notes(history.feed, history.coverage)
        found = audit_of(history.now(), TEAM, told, None, past).findings.query("rule == 'P2'")
        assert found["certainty"].tolist() == ["likely"]
        said = [*(told or ()), Note(1, "dev", micros_of(MORNING + timedelta(minutes=90)), "done")]
        some = Notes(said, (), [(0, 1e18)], lossy=True)
        found = audit_of(history.now(), TEAM, some, None, past).findings.set_index("rule")["certainty"]
        assert (found["P2"], found["C3"]) == ("likely", "certain")
        assert audited(history).findings.query("rule == 'P2'")["certainty"].tolist() == ["certain"]


@pytest.mark.parametrize(("minute", "known"), [(-10.0, True), (41.0, False)])
def test_the_comments_of_a_file_are_all_if_none_was_forgotten(
    minute: float, known: bool, tmp_path: Path
) -> None:
    """One from before the recording shows that; else they are known from the oldest on."""
    deeds = [new(30, 1), say(41, 1, "dev")]
    with played(tmp_path / "h.db", deeds, 600) as history:
        feed = history.feed
        said = feed["what"] == "said"
        moment = pd.Timestamp(MORNING + timedelta(minutes=minute)).as_unit("us")
        feed.loc[said, ["not_before", "not_after"]] = moment
        told = past_notes(feed, history.coverage.assign(source="file"))
    assert told is not None and told.sure(1)
    at = [float(micros_of(MORNING + timedelta(minutes=place))) for place in (20, 41, 600)]
    assert told.known(1, at[0], at[2]) is known
    assert told.known(1, at[1], at[2])


def test_nobody_is_blamed_for_the_status_of_a_parent(tmp_path: Path) -> None:
    """It is completed by the last of its subtasks, from development, while a developer has it."""
    deeds = [new(30, 1), new(31, 2, parent_task_id=1, queue_name="ready-for-qa", assigned_to="tess"),
             edit(40, 2, status="working"), say(41, 2, "tess"), edit(50, 2, status="complete")]  # fmt: skip
    with played(tmp_path / "h.db", deeds, 90) as history:
        assert history.now().all_tasks.set_index("id").loc[1, "status"] == "complete"
        audit = audited(history)
    assert of_letter(audit, "S1") == set()
    assert rule(audit, "S2")["kept"] == 1


def test_what_nobody_recorded_counts_from_the_last_edit_only(tmp_path: Path) -> None:
    """After a gap in which the task was edited, it may have been picked up and put back."""
    deeds = [*visits("ready-for-qa", "tess"), new(100, 21, queue_name="ready-for-qa", assigned_to="tess"),
             edit(120, 21, priority=6)]  # fmt: skip
    with played(tmp_path / "h.db", deeds, 165) as history:
        whole = Past(history.journeys(), history.events)
        missing = whole.journeys._replace(gaps=np.array([[whole.journeys.end - 10, whole.journeys.end]]))
        found = [
            audit_of(history.now(), TEAM, None, None, Past(journeys, history.events)).findings
            for journeys in (whole.journeys, missing)
        ]
    assert [("H4" in some["rule"].tolist()) for some in found] == [True, False]


@pytest.mark.parametrize("deeds", [[], [new(30, 1)], [new(30, 1), (40, "delete_task", {"id": 1})]])
def test_a_history_of_nearly_nothing_has_an_audit(deeds: list[Deed], tmp_path: Path) -> None:
    """No task, one, and none any more."""
    with played(tmp_path / "h.db", deeds, 60) as history:
        audit = audited(history)
    assert {*audit.findings["rule"]} == ({"A4"} if len(deeds) == 2 else set())


# Over time


def test_the_trend_has_a_row_per_rule_and_week(tmp_path: Path) -> None:
    """Two moves in the first week, of which one is broken; one in the third; the second was not recorded."""
    week = 7 * 24 * 60.0
    deeds = [*(new(30, number) for number in (1, 2, 3)), edit(40, 1, queue_name="ready-for-qa"),
             edit(60, 2, queue_name="ready-for-qa"), say(61, 2, "dev"),
             edit(2 * week + 40, 3, queue_name="ready-for-qa")]  # fmt: skip
    with played(tmp_path / "h.db", deeds, 2 * week + 600) as history:
        journeys = history.journeys()
        monday = micros_of(MORNING.replace(hour=0))
        gap = [[monday + 7 * 24 * 3600 * SECOND, monday + 14 * 24 * 3600 * SECOND]]
        past = Past(journeys._replace(gaps=np.array(gap)), history.events)
        told = past_notes(history.feed, history.coverage)
        trend = audit_of(history.now(), TEAM, told, None, past).trend
    rows = trend[trend["rule"] == "Q6"]
    assert rows["week"].tolist() == ["2026-W48", "2026-W49", "2026-W50"]
    assert rows["checked"].tolist() == [2, pd.NA, 1]
    assert rows["broken"].tolist() == [1, pd.NA, 1]
    assert rows["recorded"].iloc[1] == 0
    assert rows["from"].iloc[0] == pd.Timestamp(MORNING.replace(hour=0))


def test_only_what_has_happened_since_a_moment_is_checked(tmp_path: Path) -> None:
    """How things are is checked all the same."""
    deeds = [new(30, 1), edit(60, 1, priority=3), edit(90, 1, priority=2),
             edit(61, 1, queue_name="ready-for-qa"), edit(91, 1, queue_name="blocked")]  # fmt: skip
    with played(tmp_path / "h.db", deeds, 600) as history:
        late = audited(history, float(micros_of(MORNING + timedelta(minutes=80))))
        assert [rule(audited(history), name)["broken"] for name in ("P2", "Q6")] == [2, 2]
        assert late.findings.query("rule == 'Q6'")["evidence"].tolist() == [
            "ready-for-qa → blocked without a comment"
        ]
        assert late.findings.query("rule == 'P2'")["evidence"].tolist() == [
            "priority 3 → 2 without a comment"
        ]
        assert rule(late, "T1")["kept"] == 1


def test_a_history_has_an_audit(tmp_path: Path, clean_environment: None) -> None:
    """By what was recorded alone, and since a moment."""
    with played(tmp_path / "h.db", MOVES["P2"][0].deeds, 600) as history:
        assert "P2" in history.audit().findings["rule"].tolist()
        assert "P2" not in history.audit(MORNING + timedelta(minutes=80)).findings["rule"].tolist()
        assert rule(history.audit(), "B3")["why"] == "links were not read"


def test_three_returns_are_counted_anew_for_another_developer(tmp_path: Path) -> None:
    """To whom it was given anew; an escalation ends the count."""
    with played(tmp_path / "h.db", returned("dan", "dev", "dev", "dev"), 600) as history:
        found = audited(history).findings.query("rule == 'K3'")
        assert found["evidence"].tolist() == ["sent back 3 times to dev"]
    escalated = [*returned("dev", "dev", "dev"), say(200, 1, "lead", "ESCALATION: it comes back again")]
    with played(tmp_path / "e.db", escalated, 600) as history:
        assert rule(audited(history), "K3")["kept"] == 1
