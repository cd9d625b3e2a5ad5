"""Alarms that stay quiet on a team that keeps its rules, and name what is wrong first if something is."""

from __future__ import annotations

import random
import warnings
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from calypso_nb import TinytaskClient, WorkloadData, WorkloadReporter
from calypso_nb.embedded import create_server
from calypso_nb.team import Team, load_team
from tests.manual_team import ManualTeam

# What each defect of the simulated team is told as.
REASON_OF = {
    "silent_root": "silent",
    "circle": "blocking_cycle",
    "archived_blocker": "archived_blocker",
    "urgent_unassigned": "urgent_unassigned",
    "working_unassigned": "working_unassigned",
    "working_blocked": "working_blocked",
    "unanswered": "waiting_on_human",
    "retries_used_up": "retries_used_up",
    "run_lost": "run_lost",
}


def team_of(manual: ManualTeam, folder: Path) -> Team:
    """What `load_team` reads if the team's agents are all that is agreed on."""
    manual.write_agents(folder / "agents.json")
    (folder / "calypso_nb.toml").write_text('agents = "agents.json"\n')
    return load_team(folder / "calypso_nb.toml")


def read(manual: ManualTeam, folder: Path) -> WorkloadData:
    """The board at the end of 45 days, as a client reads it."""
    with TinytaskClient(create_server(manual.run().store)) as client:
        data = WorkloadReporter(client).collect_workload_data(now=manual.end, progress=False)
    return replace(data, team=team_of(manual, folder))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_team_that_keeps_its_manual_for_45_days_is_left_alone(seed: int, tmp_path: Path) -> None:
    """A line for the backlog, of some 270 open tasks, and nothing that is urgent."""
    data = read(ManualTeam(seed), tmp_path)
    assert 260 <= len(data.tasks) <= 301
    assert data.attention["reason"].tolist() == ["old_untouched"]
    assert data.attention["queue"].tolist() == ["backlog"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_nine_defects_put_into_it_are_the_first_nine(seed: int, tmp_path: Path) -> None:
    """Each once, by its own reason and task; the root that holds up four comes first."""
    manual = ManualTeam(seed).put_in()
    data = read(manual, tmp_path)
    told = data.attention.head(9)
    found = dict(zip(told["reason"], told["task_id"], strict=True))
    assert {
        name: found.get(REASON_OF[name]) in tasks for name, tasks in manual.defects.items()
    } == dict.fromkeys(REASON_OF, True)
    assert told["reasons"].map(len).tolist() == [1] * 9
    assert (told["reason"][0], told["holds_up"][0]) == ("silent", 4)
    assert data.attention["reason"].tolist()[9:] == ["old_untouched"]


@pytest.mark.slow
def test_by_their_own_past_agents_are_not_silent_at_any_moment(tmp_path: Path) -> None:
    """With limits of an hour instead of a day, at 20 moments of a month, only true questions are told."""
    manual = ManualTeam(5)
    drawn, lines, tasks = random.Random(5), [], 0
    with closing(manual.history(tmp_path / "history.db")) as history, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of moments within a minute's work.
        gaps = history.habits().silent_after
        assert len(gaps) >= 10 and max(gaps.values()) < 1
        for _ in range(20):
            data = replace(
                history.at(manual.end - timedelta(days=drawn.uniform(0, 30))), team=team_of(manual, tmp_path)
            )
            assert len(data.attention) <= 0.02 * len(data.tasks)
            assert data.attention["urgency"].max() < 3
            lines += data.attention["reason"].tolist()
            tasks += len(data.tasks)
    assert {*lines} <= {"old_untouched", "waiting_on_human"} and tasks > 3000


def test_the_sample_project_needs_a_screenful_of_attention() -> None:
    """At most 12 lines, the root of the longest chain among the first three."""
    with TinytaskClient("demo") as client:
        data = WorkloadReporter(client).collect_workload_data(progress=False)
    assert len(data.attention) <= 12
    assert 133 in data.attention["task_id"].tolist()[:3]


@pytest.mark.slow
def test_the_audit_of_a_team_that_keeps_its_manual_has_next_to_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of tens of thousands of checks, at most three findings; what links alone would tell is not checked."""
    manual = ManualTeam(0)
    team_of(manual, tmp_path)
    monkeypatch.setenv("CALYPSO_NB_CONFIG", str(tmp_path / "calypso_nb.toml"))
    with closing(manual.history(tmp_path / "history.db")) as history:
        audit = history.audit()
    assert len(audit.findings) <= 3
    assert audit.rules["kept"].sum() > 50_000
    assert {*audit.rules.loc[audit.rules["state"] == "not checked", "rule"]} == {"H2", "B3", "D4", "C2"}
