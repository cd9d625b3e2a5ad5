"""What the documents say of the code is so; test_cli and test_project run their commands and blocks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from calypso_nb.audit import audit
from calypso_nb.audit.rules import NOT_CHECKABLE, RULES
from calypso_nb.flow import columns, forecast
from calypso_nb.history import memory
from calypso_nb.team import load_team

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("frame", ["events", "spells", "coverage", "feed", "servers"])
def test_the_reports_page_names_the_columns_of_what_happened(frame: str) -> None:
    """All of them, in their order: it is the only place where people find them listed."""
    listed = getattr(memory, f"{frame.removesuffix('s').upper()}_COLUMNS")
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", (ROOT / "REPORTS.md").read_text(), re.M)
    assert re.findall(r"`(\w+)`", dict(rows)[frame]) == [*listed]


FLOW_TABLES = {
    "tasks": columns.ITEM_COLUMNS,
    "percentiles": columns.PERCENTILE_COLUMNS,
    "ageing": columns.AGEING_COLUMNS,
    "throughput": columns.THROUGHPUT_COLUMNS,
    "states": columns.STATE_COLUMNS,
    "cumulative": columns.CUMULATIVE_COLUMNS,
    "net": columns.NET_COLUMNS,
    "stages": columns.STAGE_COLUMNS,
    "handoffs": columns.HANDOFF_COLUMNS,
    "by": columns.GROUP_COLUMNS,
    "time_in": columns.TIME_COLUMNS,
    "dates": forecast.DATE_COLUMNS,
    "counts": forecast.COUNT_COLUMNS,
    "record": forecast.RECORD_COLUMNS,
}


@pytest.mark.parametrize("frame", [*FLOW_TABLES])
def test_the_flow_page_names_the_columns_of_each_frame(frame: str) -> None:
    """All of them, in their order."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", (ROOT / "FLOW.md").read_text(), re.M)
    assert {*dict(rows)} == {*FLOW_TABLES}
    assert re.findall(r"`(\w+)`", dict(rows)[frame]) == [*FLOW_TABLES[frame]]


@pytest.mark.parametrize("frame", ["findings", "rules", "agents", "trend"])
def test_the_audit_page_names_the_columns_of_each_frame(frame: str) -> None:
    """All of them, in their order."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", (ROOT / "AUDIT.md").read_text(), re.M)
    columns = getattr(audit, f"{frame.removesuffix('s').upper()}_COLUMNS")
    assert re.findall(r"`(\w+)`", dict(rows)[frame]) == [*columns]


def test_the_audit_page_lists_each_rule_as_it_is() -> None:
    """In their order, with what each needs and how certain it is, and with its words."""
    text = (ROOT / "AUDIT.md").read_text()
    rows = re.findall(r"^\| ([A-Z]\d+) \| ([^|]+) \| [^|]+ \| ([^|]+) \| (\w+) \|$", text, re.M)
    assert rows == [(rule.id, rule.text, ", ".join(rule.needs), rule.certainty) for rule in RULES.values()]
    words = re.findall(r"^\| ([A-Z]\d+) \| (`[^|]+`) \|$", text, re.M)
    assert {name: tuple(re.findall("`([^`]+)`", listed)) for name, listed in words} == {
        rule.id: rule.words for rule in RULES.values() if rule.words
    }
    assert all(left in " ".join(text.split()) for left in NOT_CHECKABLE)


def test_the_audit_pages_settings_are_valid(tmp_path: Path, clean_environment: None) -> None:
    """A team that copies them has what the comments say."""
    [settings] = re.findall(r"```toml\n(.*?)```", (ROOT / "AUDIT.md").read_text(), re.S)
    (tmp_path / "agents.json").write_text('[{"agentName": "bob", "agentType": "qa"}]')
    (tmp_path / "calypso_nb.toml").write_text(settings)
    team = load_team(tmp_path / "calypso_nb.toml")
    audit.check_settings(team)
    assert (team.role("alice"), team.role("bob")) == ("developer", "tester")
    assert team.audit.queues["ready-for-qa"] == "qa" and "T2" in team.audit.off


def test_the_readme_names_every_extra_but_that_of_the_tests() -> None:
    """What a command needs is found there, before it says so itself."""
    from tests.test_project import EXTRAS

    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "README.md").read_text(), re.M)
    assert {*table} == EXTRAS.keys() - {"test"}
