"""What a team has agreed on, in `calypso_nb.toml` and the environment, is the same for everything."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer

from calypso_nb import TinytaskClient, WorkloadData, WorkloadReporter
from calypso_nb.embedded import TinytaskStore, create_server
from calypso_nb.errors import UsageError
from calypso_nb.report import History
from calypso_nb.team import Thresholds, load_team, state_folder
from calypso_nb.workload.reasons import REASONS

FILE = """
agents = "team/agents.json"
roles = { zoe = "tester" }
limits = { bob = 3 }

[thresholds]
urgent_priority = 8
most_working = 4

[[snoozes]]
task = 12
until = 2026-12-01T09:00:00Z
why = "the vendor is on holiday"

[audit]
off = ["T2"]
"""
AGENTS = [
    {"agentName": "alice", "agentType": "dev", "maxConcurrency": 2},
    {"agentName": "bob", "agentType": "ready-for-qa"},
    {"agentName": "carol"},
]


@pytest.fixture
def folder(clean_environment: Path) -> Path:
    """A working directory with a team's file and its agents."""
    (clean_environment / "calypso_nb.toml").write_text(FILE)
    (clean_environment / "team").mkdir()
    (clean_environment / "team" / "agents.json").write_text(json.dumps(AGENTS))
    return clean_environment


def test_the_file_is_found_from_any_folder_below_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its agents' file lies beside it, wherever one works."""
    below = folder / "notebooks" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    team = load_team()
    assert (team.thresholds.urgent_priority, team.thresholds.old_hours) == (8, 336)
    assert [team.limit(name) for name in ("alice", "bob", "carol", "dora")] == [2, 3, 1, 4]
    assert [team.role(name) for name in ("alice", "bob", "zoe", "carol")] == [
        *("developer", "tester", "tester", None),
    ]
    assert team.serves == {"alice": ("dev",), "bob": ("ready-for-qa",)}
    [snooze] = team.snoozes
    assert (snooze.task, snooze.until) == (12, datetime(2026, 12, 1, 9, tzinfo=UTC))
    assert team.audit.off == ("T2",)


def test_the_environment_comes_before_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value at a time: what it doesn't name is as the file has it. Your own name is a supervisor's."""
    monkeypatch.setenv("CALYPSO_NB_THRESHOLDS__URGENT_PRIORITY", "10")
    monkeypatch.setenv("CALYPSO_NB_LIMITS", '{"alice": 5}')
    monkeypatch.setenv("TINYTASK_AGENT", "ada")
    team = load_team()
    assert (team.thresholds.urgent_priority, team.thresholds.most_working) == (10, 4)
    assert team.limit("alice") == 5
    assert team.thresholds.supervisors == ("supervisor", "ada")


def test_another_file_can_be_named(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As an argument, or in the environment; one that is named has to be there."""
    other = tmp_path / "other.toml"
    other.write_text("[thresholds]\nurgent_priority = 7\n")
    assert load_team(other).thresholds.urgent_priority == 7
    monkeypatch.setenv("CALYPSO_NB_CONFIG", str(other))
    assert load_team().thresholds.urgent_priority == 7
    monkeypatch.setenv("CALYPSO_NB_CONFIG", str(tmp_path / "gone.toml"))
    with pytest.raises(UsageError, match=r"gone\.toml can't be read: No such file"):
        load_team()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[thresholds]\nurgnt_priority = 3", "thresholds.urgnt_priority.*did you mean 'urgent_priority'"),
        ("[thresholds]\nsilent_hours = 'long'", "thresholds.silent_hours: Input should be a valid number"),
        ("[[snoozes]]\ntask = 3", "snoozes.0: .*a snooze needs an end: until, facts, or both"),
        (
            "[[snoozes]]\ntask = 3\nagent = 'a'\nfacts = 'x'",
            "a snooze is for one task, agent, queue or reason",
        ),
        ("[[snoozes]]\ntask = 3\nuntil = 2026-12-01T09:00:00", "snoozes.0.until: .*timezone"),
        ("roles = { a = 'king' }", "roles.a: Input should be 'developer', 'tester', 'reviewer'"),
        ("tresholds = 1", "tresholds.*did you mean 'thresholds'"),
        ("limits = { a = -1 }", "limits.a: Input should be greater than or equal to 0"),
        ("[thresholds]\nsilent_hours = inf", "thresholds.silent_hours: Input should be less than"),
        ("x = = 1", "calypso_nb.toml is not valid TOML"),
        ("agents = 'none.json'", "none.json, which the team's settings name as its agents, can't be read"),
    ],
)
def test_what_is_wrong_in_it_is_said(clean_environment: Path, text: str, said: str) -> None:
    """With the place, and what was perhaps meant."""
    (clean_environment / "calypso_nb.toml").write_text(text)
    with pytest.raises(UsageError, match=said):
        load_team()


def test_what_is_wrong_in_the_environment_is_said(
    clean_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a name of ours that there isn't."""
    monkeypatch.setenv("CALYPSO_NB_THRESHOLDS__URGENT", "3")
    with pytest.raises(UsageError, match=r"the environment \(CALYPSO_NB_…\): thresholds.urgent"):
        load_team()
    monkeypatch.delenv("CALYPSO_NB_THRESHOLDS__URGENT")
    monkeypatch.setenv("CALYPSO_NB_TRESHOLDS__URGENT_PRIORITY", "3")
    with pytest.raises(
        UsageError, match=r"no setting CALYPSO_NB_TRESHOLDS__.*did you mean CALYPSO_NB_THRESHOLDS"
    ):
        load_team()


def test_all_go_by_the_same_file(folder: Path) -> None:
    """A report from a server, one that was saved, and one from a history."""
    with TinytaskStore() as store:
        store.create_task("Urgent by the file", "lead", priority=8, queue_name="dev")
        store.insert_many([{"title": "x", "status": "working", "assigned_to": "alice"}] * 3)
        with TinytaskClient(create_server(store)) as client:
            data = WorkloadReporter(client).collect_workload_data(details=False)
            (folder / "calypso_nb.toml").write_text("")
            assert data.team.thresholds.urgent_priority == 8
            assert data.attention["reason"].tolist() == ["urgent_unassigned", "too_many_working"]
            saved = WorkloadData.from_json(data.to_json())
            assert saved.team.model_copy(update={"agents": data.team.agents}) == data.team
            assert saved.attention.equals(data.attention)
    assert History("demo").now().team.thresholds == Thresholds()


def test_the_users_own_marks_lie_where_they_are_told_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else in the system's usual folder for such."""
    monkeypatch.setenv("CALYPSO_NB_STATE", str(tmp_path))
    assert state_folder() == tmp_path
    monkeypatch.delenv("CALYPSO_NB_STATE")
    assert state_folder() == Path(typer.get_app_dir("calypso_nb"))


def test_a_file_from_an_editor_that_marks_utf_8_is_read(clean_environment: Path) -> None:
    """As the Notepad of Windows writes it."""
    (clean_environment / "calypso_nb.toml").write_text('limits = { "zoë" = 3 }', "utf-8-sig")
    assert load_team().limit("zoë") == 3


@pytest.mark.parametrize(
    "wrong",
    [
        *({"most_working": 0}, {"retry_limit": 0}, {"silent": 3}),
        *({"silent_hours": hours} for hours in (-1, 1e12, float("inf"), float("nan"))),
    ],
)
def test_a_threshold_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    """In a kernel as in a file."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Thresholds(**wrong)


def test_the_documented_file_is_one_and_all_of_it_is_documented(clean_environment: Path) -> None:
    """The block in REPORTS.md is read as it stands; each reason and threshold has its row there."""
    text = (Path(__file__).parent.parent / "REPORTS.md").read_text()
    block = text.split("```toml\n")[1].split("```")[0]
    (clean_environment / "calypso_nb.toml").write_text(block)
    (clean_environment / "agents.json").write_text(json.dumps(AGENTS))
    team = load_team()
    assert (team.limit("vaela"), team.role("oscar"), len(team.snoozes)) == (2, "tester", 2)
    assert all(f"| `{reason}` |" in text for reason in REASONS)
    assert all(f"`{name}`" in text for name in Thresholds.model_fields)
