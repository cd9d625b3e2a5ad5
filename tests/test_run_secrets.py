"""What a run gets of its scheduler's environment, and what of its output others read."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path
from urllib.parse import quote

import pytest

from calypso_nb import TinytaskClient
from calypso_nb.embedded import TinytaskStore
from calypso_nb.scheduler import Agent, Scheduler
from calypso_nb.scheduler.outcome import last_lines
from tests.agents_at_work import add, records
from tests.test_run_agent import command

pytest_plugins = ("tests.scheduler_fixtures",)
pytestmark = pytest.mark.usefixtures("clean_environment")

PASSWORD = 'pass"word\\ü/&<7'
TOKEN = "tok'en\"9"
HEADER = 'head"er-\\value-42'
CLOUD_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
PEM = "-----BEGIN KEY-----\nMIIEowIBAAKCAQEA7bq3\nZm9vYmFyYmF6cXV4Cg5a\n-----END KEY-----"
ENDPOINT = f"http://robot-user:{quote(PASSWORD, safe='')}@127.0.0.1:9"
SECRETS = {"TINYTASK_ENDPOINT": ENDPOINT, "TINYTASK_TOKEN": TOKEN, "AWS_SECRET_ACCESS_KEY": CLOUD_KEY}
SECRETS |= {"TINYTASK_HEADERS": json.dumps({"X-Api-Key": HEADER, "Cookie": "session=b1scu1t-jar"})}
# Only its shape tells that this is one.
SECRETS |= {"SERVICE": "q7Zp2Lx9Vb4Nw8Rt6Yk3Md5H", "DEPLOY": PEM, "STORE_PASS": "swordfish"}


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment full of credentials."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def wrapped(text: str, width: int) -> str:
    """A text as a panel of a terminal shows it."""
    return "\n".join(f"│ {text[at : at + width]} │" for at in range(0, len(text), width))


BASIC = base64.b64encode(f"robot-user:{PASSWORD}".encode()).decode()


@pytest.mark.parametrize(
    ("printed", "secret"),
    [
        (ENDPOINT, "robot-user"),
        (f"user robot-user, {PASSWORD}", "pass"),
        (quote(PASSWORD), "pass"),
        (json.dumps(PASSWORD), "word"),
        (json.dumps(json.dumps({"it": PASSWORD})), "word"),
        (repr({"it": f"{PASSWORD}'"}), "word"),
        (repr(PASSWORD.encode()), "word"),
        (f"Authorization: Basic {BASIC}", BASIC),
        (BASIC.rstrip("="), BASIC.rstrip("=")),
        (TOKEN, "tok"),
        (f"\x1b[1m{TOKEN[:3]}\x1b[0m\x1b[31m{TOKEN[3:]}\x1b]0;x\x07", "tok"),
        (repr(TOKEN), "tok"),
        (base64.b64encode(TOKEN.encode()).decode(), base64.b64encode(TOKEN.encode()).decode()),
        (SECRETS["TINYTASK_HEADERS"], "value-42"),
        (repr({"TINYTASK_HEADERS": SECRETS["TINYTASK_HEADERS"]}), "value-42"),
        (repr([HEADER]), "value-42"),
        ("b1scu1t-jar", "b1scu1t-jar"),
        (f"boto: {CLOUD_KEY} is not valid", "wJalr"),
        (wrapped(CLOUD_KEY, 16), "MDENG"),
        (PEM, "MIIE"),
        (repr(PEM), "MIIE"),
        (SECRETS["SERVICE"], "q7Zp"),
        ("swordfish", "swordfish"),
    ],
)
def test_no_credential_of_the_environment_goes_out_in_any_form(
    printed: str, secret: str, secrets: None, tmp_path: Path
) -> None:
    """However a program prints it; what stands around it stays."""
    log = tmp_path / "output.txt"
    log.write_text(f"it begins\n{printed}\nit ends, exit code 7\n")
    text = last_lines(log)
    assert secret in printed.replace("\x1b[0m\x1b[31m", "")
    assert secret not in text
    assert text.startswith("it begins\n") and text.endswith("\nit ends, exit code 7")


def test_a_credential_that_the_first_line_cuts_does_not_go_out(secrets: None, tmp_path: Path) -> None:
    """However long the log is: half a secret is a secret."""
    log = tmp_path / "output.txt"
    for filling in range(0, 37, 3):
        log.write_text("\n" + CLOUD_KEY * 1000 + "\n" + "x " * filling)
        said = last_lines(log)
        assert not any(CLOUD_KEY[at : at + 6] in said for at in range(35))


def test_the_environment_as_python_prints_it_says_no_secret(
    secrets: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one line, as `print(os.environ)` does, and line by line as `env` does."""
    log = tmp_path / "output.txt"
    # Whatever else this machine has may look like the secrets: it has been called `ready-robot` by chance.
    for name in os.environ.keys() - SECRETS.keys():
        monkeypatch.delenv(name)
    for printed in (repr(os.environ), "\n".join(f"{name}={value}" for name, value in os.environ.items())):
        log.write_text(printed)
        said = last_lines(log)
        for secret in ("robot", "pass%22", "tok", "value-42", "b1scu1t", "wJalr", "q7Zp", "MIIE", "sword"):
            assert secret not in said


def test_what_is_no_secret_stays(secrets: None, tmp_path: Path) -> None:
    """A traceback is of use, with the names of its files."""
    log = tmp_path / "output.txt"
    log.write_text(
        'Traceback (most recent call last):\n  File "/srv/me/report.py", line 3, in <module>\n'
        "ValueError: no such planet: x86_64, 2026-11-23T09:30:00, 4f3a"
    )
    said = last_lines(log)
    assert 'report.py", line 3, in <module>' in said
    assert said.endswith("ValueError: no such planet: x86_64, 2026-11-23T09:30:00, 4f3a")


# From end to end

SAY_ALL = """
import os, sys
print(os.environ)
print({name: name in os.environ for name in sys.argv})
open("given", "w").write("\\n".join(sorted(os.environ)))
raise SystemExit(3)
"""


@pytest.mark.slow
def test_a_failed_run_publishes_no_credentials(
    live_board: TinytaskStore, any_server: str, recipes: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The record on the task has the last lines without them; the log, for its owner alone, has them all."""
    (recipes / "default.py").write_text(SAY_ALL)
    address = any_server.replace("http://", "http://robot-user:s3cr3t-word@")
    for name, value in (SECRETS | {"TINYTASK_ENDPOINT": address, "TINYTASK_TOKEN": "t0ken-of-mine"}).items():
        monkeypatch.setenv(name, value)
    task = add(live_board)
    with TinytaskClient() as client:
        agents = [Agent(name="alice", env=("AWS_SECRET_ACCESS_KEY",))]
        [run] = Scheduler(client, agents, recipes, runs=tmp_path / "runs").run().itertuples()
    [record] = records(live_board, task)
    assert "exit code 3" in record and "environ({" in record
    log = Path(run.folder) / "output.txt"
    for secret in ("robot-user", "s3cr3t-word", "t0ken-of-mine", "value-42", "b1scu1t", CLOUD_KEY):
        assert secret not in json.dumps(live_board.get_task(task))
        assert secret in log.read_text()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (log.parent, *log.parent.iterdir())}
    assert modes[log.parent.name] == 0o700
    assert modes["output.txt"] == modes["stdin.json"] == 0o600


@pytest.mark.slow
def test_a_run_gets_only_the_variables_that_are_named(
    live_board: TinytaskStore, server: str, recipes: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Those that every program needs, TinyTask's and goose's, and those that the agent's entry names."""
    (recipes / "default.py").write_text(SAY_ALL)
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "SSH_AUTH_SOCK", "GOOSE_PROVIDER", "LC_ALL"):
        monkeypatch.setenv(name, "C.UTF-8")
    for name in ("https_proxy", "NO_PROXY", "SSL_CERT_FILE", "TZ"):
        monkeypatch.setenv(name, "")
    add(live_board)
    with TinytaskClient(server) as client:
        agents = [{"agentName": "alice", "env": ["ANTHROPIC_API_KEY", "NOT_SET"]}]
        [run] = Scheduler(client, agents, recipes, runs=tmp_path / "runs").run().itertuples()
    given = set((Path(run.folder) / "given").read_text().split())
    assert given >= {"PATH", "ANTHROPIC_API_KEY", "GOOSE_PROVIDER", "LC_ALL", "https_proxy", "NO_PROXY"}
    assert given >= {"SSL_CERT_FILE", "TZ", "TINYTASK_ENDPOINT", "TINYTASK_TASK_ID", "TINYTASK_AGENT"}
    assert not given & {"OPENAI_API_KEY", "SSH_AUTH_SOCK", "NOT_SET", "PYTEST_CURRENT_TEST"}


@pytest.mark.slow
def test_a_variable_that_the_command_is_to_give_to_runs_is_there_or_asked_about(
    live_board: TinytaskStore, server: str, recipes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--env` adds to what the agents' file names; a name is no assignment."""
    (recipes / "default.py").write_text(SAY_ALL)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-x")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    (recipes.parent / "agents.json").write_text('[{"agentName": "alice", "env": ["ANTHROPIC_API_KEY"]}]')
    add(live_board)
    agents = recipes.parent / "agents.json"
    options = ("--agents", agents, "--recipes", recipes, "--mcp-endpoint", server, "--once")
    output = command(*options, "--env", "OPENAI_API_KEY", "--env", "OPENAI_API_KEI")[1]
    assert (
        "the environment has no OPENAI_API_KEI to give to the runs; did you mean 'OPENAI_API_KEY'?" in output
    )
    [given] = Path("runs").glob("*/given")
    assert {"ANTHROPIC_API_KEY", "OPENAI_API_KEY"} <= set(given.read_text().split())
    assert "env: 1: String should match pattern" in command(*options, "--env", "KEY=1")[1]
