"""One run of a task at a time, whatever fails and whoever steers: tests/race.py says what happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.race import FAULTS, STEERED, race

pytest_plugins = ("tests.scheduler_fixtures",)
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("clean_environment", "log", "nothing_left")]


def test_four_schedulers_race_over_200_tasks_while_all_that_can_fail_does(tmp_path: Path) -> None:
    """No task runs twice at a time, none is lost, and what came of each run is told on its task."""
    faults = [*FAULTS, *STEERED]
    ledger = race(tmp_path, 200, faults, every=1.5, seed=3)
    assert ledger.happened.keys() == {*faults}, ledger
    assert ledger.overlaps == ledger.unfinished == ledger.leases == [], ledger
    assert ledger.unran == ledger.untold == ledger.unrecorded == [], ledger
