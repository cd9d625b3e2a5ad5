"""What the documents say of the code is so; test_cli and test_project run their commands and blocks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from calypso_nb.history import memory

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("frame", ["events", "spells", "coverage", "feed", "servers"])
def test_the_reports_page_names_the_columns_of_what_happened(frame: str) -> None:
    """All of them, in their order: it is the only place where people find them listed."""
    columns = getattr(memory, f"{frame.removesuffix('s').upper()}_COLUMNS")
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", (ROOT / "REPORTS.md").read_text(), re.M)
    assert re.findall(r"`(\w+)`", dict(rows)[frame]) == [*columns]


def test_the_readme_names_every_extra_but_that_of_the_tests() -> None:
    """What a command needs is found there, before it says so itself."""
    from tests.test_project import EXTRAS

    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "README.md").read_text(), re.M)
    assert {*table} == EXTRAS.keys() - {"test"}
