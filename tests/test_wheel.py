"""The wheel, installed where the source is out of sight: it reports, exports, and has types."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.conftest import SECONDS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent


def run(*command: str | Path, folder: Path) -> str:
    """Return what a command prints, with nothing of this project in its environment."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=folder, env=kept, capture_output=True, encoding="utf-8", timeout=2 * SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this folder."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder, folder=ROOT)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment with the wheel in it, which borrows what the wheel needs from ours."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder)
    python = folder / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        wheel,
        folder=folder,
    )
    [packages] = folder.glob("lib/python*/site-packages")
    # Searched last; a .pth file in there, as the one that leads to this source, is not read.
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    where = run(python, "-c", "import calypso_nb; print(calypso_nb.__file__)", folder=folder)
    assert Path(where).is_relative_to(packages)
    return python


def test_the_wheel_holds_what_users_need_and_no_more(wheel: Path) -> None:
    """Types and the view's files are in it; tests and the tools that bundle are not."""
    names = ZipFile(wheel).namelist()
    assert "calypso_nb/py.typed" in names
    assert any(name.startswith("calypso_nb/view/assets/") for name in names)
    assert [name for name in names if "view/browser" in name or not name.startswith("calypso_nb")] == []


def test_an_installed_command_reports(python: Path, tmp_path: Path) -> None:
    """As a cron job calls it, from any folder."""
    command = python.with_name("calypso-nb")
    document = json.loads(
        run(command, "report", "--mcp-endpoint", "demo", "--format", "json", folder=tmp_path)
    )
    assert document["summary"]["total_open_tasks"] > 0
    assert len(document["tasks"]) >= document["summary"]["total_open_tasks"]


SCRIPT = """
from calypso_nb import TinytaskClient, WorkloadReporter
with TinytaskClient("demo") as client:
    data = WorkloadReporter(client).collect_workload_data()
print(data.to_html("report.html"))
"""


def test_an_installed_package_writes_a_page(python: Path, tmp_path: Path) -> None:
    """Scripts, styles and templates came along."""
    run(python, "-c", SCRIPT, folder=tmp_path)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert len(page) > 100_000


def test_a_users_type_checker_sees_our_types(python: Path, tmp_path: Path) -> None:
    """Through the lazy names of the package as well."""
    (tmp_path / "own.py").write_text(
        "from calypso_nb import TinytaskClient\n"
        'client = TinytaskClient("demo")\n'
        "reveal_type(client.get_task(7).title)\n"
        "reveal_type(client.get_task(7).priority)\n"
    )
    # What mypy knows of pandas and the others is kept from run to run.
    options = ("--python-executable", python, "--cache-dir", ROOT / ".mypy_cache" / "wheel")
    told = run(sys.executable, "-m", "mypy", *options, "own.py", folder=tmp_path)
    assert '"str"' in told and '"int' in told, told
