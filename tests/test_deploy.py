"""docs/deploy.md: its files and commands, as printed, but for the folders that they name."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from calypso_nb.embedded import TinytaskStore
from tests.agents_at_work import Log, add, is_done, soon
from tests.conftest import SECONDS

pytest_plugins = ("tests.scheduler_fixtures",)
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("clean_environment", "nothing_left")]

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "deploy.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.M | re.S)

Printed = Callable[[str], str]


def block(beginning: str) -> str:
    """The one that begins so."""
    [found] = [text for _, text in BLOCKS if text.startswith(beginning)]
    return found


@pytest.fixture
def printed(live_board: TinytaskStore, server: str, recipes: Path, tmp_path: Path) -> Printed:
    """Gives a text of the page the folders of this machine, where everything is as the page has it."""
    etc, agents = tmp_path / "etc", tmp_path / "srv" / "agents"
    etc.mkdir()
    agents.mkdir(parents=True)
    shutil.copytree(recipes, agents / "recipes")
    (agents / "agents.json").write_text('[{"agentName": "alice"}]')
    (agents / ".venv" / "bin").mkdir(parents=True)
    program = agents / ".venv" / "bin" / "calypso-nb"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m calypso_nb "$@"\n')
    program.chmod(0o755)
    kept = {name: os.environ[name] for name in ("GOOSE_RUN_LOG", "GOOSE_TEST_OF_AGENTS")}
    variables = block("# /etc/calypso-nb.env").replace("http://tinytask.example:3000", server)
    variables = variables.replace("TINYTASK_TOKEN=…\n", "").replace("…", "secret")
    (etc / "calypso-nb.env").write_text(variables + "".join(f"{name}={kept[name]}\n" for name in kept))

    def here(text: str) -> str:
        return text.replace("/srv/agents", str(agents)).replace("/etc/", f"{etc}/")

    return here


def command_in(unit: str) -> str:
    [command] = re.findall(r"^ExecStart=((?:.*\\\n)*.*)", unit, re.M)
    return str(command).replace("\\\n", " ")


def of_a_service(command: str, folder: Path) -> subprocess.Popen[str]:
    """A command in the bare environment that cron and systemd give it."""
    return subprocess.Popen(
        ["/bin/sh", "-c", f"exec {command}" if command[0] == "/" else command],
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
    )


def test_the_service_works_until_it_is_told_to_stop(
    live_board: TinytaskStore, printed: Printed, log: Log, tmp_path: Path
) -> None:
    """As systemd stops it: by SIGTERM to itself alone; what runs finishes."""
    task = add(live_board, 2)
    command = printed(command_in(block("# /etc/systemd/system/calypso-nb.service")))
    with of_a_service(command, tmp_path / "srv" / "agents") as process:
        assert soon(lambda: bool(log.of("start")))
        process.terminate()
        said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said
    assert is_done(live_board, task)


def test_the_timers_command_ends_with_a_code_that_its_unit_expects(
    live_board: TinytaskStore, printed: Printed, tmp_path: Path
) -> None:
    """Work that is done, and work that is there and can't be done."""
    unit = block("# /etc/systemd/system/calypso-nb-once.service")
    codes = []
    for fields in ({}, {"blocked_by_task_id": add(live_board, agent="bob")}):
        add(live_board, **fields)
        with of_a_service(printed(command_in(unit)), tmp_path / "srv" / "agents") as process:
            process.communicate(timeout=SECONDS)
        codes.append(process.returncode)
    assert codes == [0, 7] and "SuccessExitStatus=7\n" in unit


def test_the_cron_line_has_nothing_to_mail_unless_something_is_wrong(
    live_board: TinytaskStore, printed: Printed, recipes: Path, tmp_path: Path
) -> None:
    """A run that fails is told."""
    line = printed(block("*/10 * * * * ").removeprefix("*/10 * * * * ")).strip()
    said = []
    for text in ("", "raise SystemExit(3)"):
        (tmp_path / "srv" / "agents" / "recipes" / "default.py").write_text(text)
        task = add(live_board)
        with of_a_service(line, tmp_path) as process:
            said.append((process.communicate(timeout=SECONDS)[0], process.returncode))
    assert said[0] == ("", 0)
    assert f"#{task} of alice: failed after" in said[1][0] and said[1][1] == 6


def test_the_check_says_that_all_is_well(live_board: TinytaskStore, printed: Printed, tmp_path: Path) -> None:
    """In the folder of the agents."""
    add(live_board)
    command = printed(block("calypso-nb run-agent --env-file"))
    with of_a_service(f".venv/bin/{command}", tmp_path / "srv" / "agents") as process:
        said, _ = process.communicate(timeout=SECONDS)
    assert (process.returncode, said) == (0, "all is well: agents, recipes, limits, runs and the server\n")


def test_the_container_starts_what_is_there(
    live_board: TinytaskStore, printed: Printed, log: Log, tmp_path: Path
) -> None:
    """Its entry point, in the folder that `docker run` mounts; that it has the package, a Dockerfile says."""
    [entry] = re.findall(r"^ENTRYPOINT (.*)", block("FROM python"), re.M)
    program, *arguments = json.loads(entry)
    add(live_board, 1)
    given = f"set -a; . ../../etc/calypso-nb.env; exec .venv/bin/{program} {shlex.join(arguments)}"
    with of_a_service(given, tmp_path / "srv" / "agents") as process:
        assert soon(lambda: bool(log.of("start")))
        process.terminate()
        said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said
    assert len(log.of("stop")) == 1


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze: apt-get install systemd"
)
def test_the_units_are_valid(printed: Printed, tmp_path: Path) -> None:
    """By systemd itself, which looks for the program too."""
    units = [text for kind, text in BLOCKS if kind == "ini"]
    assert len(units) == 3
    names = []
    for text in units:
        name = re.findall(r"^# /etc/systemd/system/(\S+)\n", text)[0]
        text = printed(text).replace("User=agents", "User=root")
        (tmp_path / name).write_text(text)
        names.append(name)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names], cwd=tmp_path, capture_output=True, text=True
    )
    said = [line for line in done.stderr.splitlines() if "calypso-nb" in line]
    assert (done.returncode, said) == (0, []), done.stderr


def test_the_page_names_each_variable_of_an_earlier_scheduler_that_is_read() -> None:
    """And no other."""
    source = (ROOT / "calypso_nb" / "cli" / "run_agent.py").read_text()
    rows = re.findall(r"^\| (`.*?) \|", PAGE, re.M)
    named = {
        f"TINYSCHEDULER{name}" for row in rows for name in re.findall(r"`(?:TINYSCHEDULER)?(_\w+)`", row)
    }
    assert named == {*re.findall(r"TINYSCHEDULER_\w*[A-Z]", source)}
