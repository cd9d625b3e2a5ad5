"""A recorder that is killed at any moment loses nothing that it has confirmed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SECONDS

KILLS = 200


@pytest.mark.slow
def test_what_was_confirmed_survives_being_killed_at_any_moment(tmp_path: Path) -> None:
    """Each event whose sender was told that it is safe is there, and the tasks are as events have them."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.killed", str(tmp_path), str(KILLS)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=SECONDS * 5,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > KILLS
