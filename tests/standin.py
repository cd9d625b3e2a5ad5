"""The foreign TinyTask of the tests: `tests/standin/server.js`, on the packages that the real server stands on.

What holds against the embedded server alone is not known to hold. `make standin` installs its packages.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import pytest

Kind = Literal["http", "sse", "v1"]
KINDS: tuple[Kind, ...] = ("http", "sse", "v1")

FOLDER = Path(__file__).parent / "standin"
MODULES = FOLDER / "node_modules"

# The marks of whatever talks to the stand-in.
NEEDS_STANDIN = (
    pytest.mark.node,
    pytest.mark.slow,
    pytest.mark.skipif(not MODULES.exists(), reason=f"no {MODULES}: run make standin"),
)


class Standin(NamedTuple):
    """A stand-in that runs: its base URL, and its process."""

    url: str
    process: subprocess.Popen[str]


@contextmanager
def running_standin(kind: Kind, database: Path, port: int = 0) -> Iterator[Standin]:
    """Serve a database file from a stand-in of v2 over `http` or `sse`, or of `v1`, which is SSE."""
    command = ["node", str(FOLDER / "server.js"), "--kind", kind, "--db", str(database), "--port", str(port)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        assert url, f"the stand-in did not start: {' '.join(command)}"
        yield Standin(url, process)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
