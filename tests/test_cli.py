"""The command line as people and cron jobs run it: real processes against a real server."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from subprocess import PIPE
from typing import Any

import jsonschema
import nbformat
import pytest
from wcwidth import wcswidth

from calypso_nb import TinytaskClient, WorkloadData
from calypso_nb.embedded import TinytaskStore, fill_sample, running_server
from calypso_nb.history.changes import SECOND
from calypso_nb.history.journal import Journal
from calypso_nb.history.store import HistoryStore
from calypso_nb.text.schema import report_schema
from tests.boards import NOW
from tests.conftest import SECONDS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A TinyTask with the sample project, for all tests that only read."""
    with TinytaskStore() as store:
        fill_sample(store, now=NOW, tasks=80)
        with running_server(store) as url:
            yield url


@pytest.fixture
def environment(clean_environment: Path) -> dict[str, str]:
    """No settings from outside, an empty working directory, and no terminal's habits."""
    left_out = ("NO_COLOR", "COLUMNS", "FORCE_COLOR", "TERM")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    # Only the package's own place is needed on the path; the working directory is another one.
    return kept | {"PYTHONPATH": str(Path(__file__).parent.parent), "TERM": "xterm-256color"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "calypso_nb", *arguments]


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
    )


@contextmanager
def running(
    environment: dict[str, str], *arguments: str, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command(*arguments), env=environment, stdin=subprocess.DEVNULL, bufsize=0, **options
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(SECONDS)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def read_until(descriptor: int, wanted: bytes, times: int = 1) -> bytes:
    """What comes from a descriptor until something has come so often; AssertionError where it does not."""
    seen = b""
    while seen.count(wanted) < times:
        ready, _, _ = select.select([descriptor], [], [], SECONDS)
        assert ready, seen
        try:
            more = os.read(descriptor, 65536)
        except OSError:  # how Linux says that a terminal was closed
            more = b""
        assert more, seen
        seen += more
    return seen


# --- Formats


def test_json_goes_to_standard_output_alone(server: str, environment: dict[str, str]) -> None:
    """What is said along the way goes to standard error, so that a pipe gets nothing but the format."""
    done = run(environment, "report", "--format", "json", "--mcp-endpoint", server, "--verbose")
    assert done.returncode == 0
    document = json.loads(done.stdout)
    jsonschema.validate(document, report_schema())
    assert document["summary"]["total_idle"] > 0
    assert document["endpoint"] == server
    assert "tasks read" in done.stderr


def test_a_quiet_run_says_nothing_on_standard_error(server: str, environment: dict[str, str]) -> None:
    """Cron mails whatever is written there."""
    done = run(environment, "report", "--mcp-endpoint", server)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Workload\n")


def test_the_environment_and_a_file_name_the_server(
    server: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """The environment wins over --env-file, and --mcp-endpoint over both."""
    settings = tmp_path / "settings.env"
    settings.write_text(f"TINYTASK_ENDPOINT={server}\n")
    nowhere = "http://127.0.0.1:9"
    by_file = ("report", "--env-file", str(settings), "--format", "markdown")
    assert run(environment, *by_file).returncode == 0
    assert run(environment | {"TINYTASK_ENDPOINT": nowhere}, *by_file).returncode == 4
    named = (*by_file, "--mcp-endpoint", server)
    assert run(environment | {"TINYTASK_ENDPOINT": nowhere}, *named).returncode == 0


def test_csv_and_markdown_and_html_go_to_standard_output(server: str, environment: dict[str, str]) -> None:
    """Each format is whole and the only thing there."""
    as_csv = run(environment, "report", "--format", "csv", "--mcp-endpoint", server)
    tasks = list(csv.DictReader(io.StringIO(as_csv.stdout, newline="")))
    assert tasks and all(task["comment_count"] for task in tasks)
    markdown = run(environment, "report", "--format", "markdown", "--mcp-endpoint", server).stdout
    assert markdown.startswith("## Workload\n")
    page = run(environment, "report", "--format", "html", "--mcp-endpoint", server).stdout
    assert page.lstrip().lower().startswith("<!doctype html>")


def test_filters_narrow_the_report(server: str, environment: dict[str, str]) -> None:
    """--status takes several with a comma or repeated, --agent may be repeated."""
    for status in (["--status", "idle,working"], ["--status", "idle", "--status", "working"]):
        done = run(
            environment, "report", "-f", "json", "--mcp-endpoint", server, *status, "--agent", "api-dev"
        )
        document = json.loads(done.stdout)
        assert document["filters"] == {"status": ["idle", "working"], "agent": ["api-dev"]}
        assert {task["assigned_to"] for task in document["tasks"]} == {"api-dev"}
        assert {task["status"] for task in document["tasks"]} <= {"idle", "working"}


def test_output_writes_files_with_their_folders(
    server: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """`both` writes .json and .txt, a .csv starts with the mark by which spreadsheets know UTF-8."""
    base = tmp_path / "reports" / "workload"
    done = run(environment, "report", "--format", "both", "--output", str(base), "--mcp-endpoint", server)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Workload\n")
    assert sorted(path.name for path in base.parent.iterdir()) == ["workload.json", "workload.txt"]
    assert WorkloadData.from_json(base.with_suffix(".json").read_text()).summary.total_open_tasks > 0
    text = base.with_suffix(".txt").read_text()
    assert text.startswith("Workload\n") and "\x1b" not in text
    sheet = tmp_path / "tasks.csv"
    run(environment, "report", "--format", "csv", "--output", str(sheet), "--mcp-endpoint", server)
    assert sheet.read_bytes().startswith(b"\xef\xbb\xbfid,title")
    assert len(sheet.read_text("utf-8-sig").splitlines()) > 1


def test_a_pipe_that_is_closed_early_is_no_failure(server: str, environment: dict[str, str]) -> None:
    """`| head -1` ends in silence, also while it repeats."""
    for more in ([], ["--watch", "0.1"]):
        arguments = command("report", "--format", "csv", "--mcp-endpoint", server, *more)
        line = f'{" ".join(arguments)} | head -1; echo "${{PIPESTATUS[0]}}"'
        done = subprocess.run(
            ["bash", "-c", line], env=environment, capture_output=True, encoding="utf-8", timeout=SECONDS
        )
        header, code = done.stdout.splitlines()
        assert header.startswith("id,title")
        assert (code, done.stderr) == ("0", "")


# --- Exit codes


def test_a_condition_that_holds_has_its_own_exit_code(server: str, environment: dict[str, str]) -> None:
    """The report is written all the same, and what held is said on standard error."""
    done = run(environment, "report", "--mcp-endpoint", server, "--fail-if", "idle > 1 and attention > 0")
    assert done.returncode == 3
    assert re.search(
        r"condition holds: idle > 1 and attention > 0 \(idle is \d+, attention is \d+\)", done.stderr
    )
    assert done.stdout.startswith("Workload\n")
    assert run(environment, "report", "--mcp-endpoint", server, "--fail-if", "idle > 10000").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--fail-if", "idel > 3"], "oldest_hours"),
        (["--status", "done"], "idle, working, complete"),
        (["--format", "yaml"], "yaml"),
        (["--watch", "0"], "--watch"),
        (["--env-file", "nowhere.env"], "nowhere.env"),
        (["--mcp-endpoint", "localhost"], "http://host:port"),
    ],
)
def test_wrong_use_is_2_and_says_what_is_right(
    server: str, environment: dict[str, str], arguments: list[str], says: str
) -> None:
    """Nothing is written to standard output."""
    done = run(environment, "report", "--mcp-endpoint", server, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr


def test_a_server_that_is_not_there_is_4(environment: dict[str, str]) -> None:
    """An outage is never an empty report."""
    short = {"TINYTASK_CONNECT_TIMEOUT": "1", "TINYTASK_TIMEOUT": "2"}
    done = run(environment | short, "report", "--mcp-endpoint", "http://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (4, "")
    assert "http://127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_refuses_is_5(environment: dict[str, str]) -> None:
    """A TinyTask whose table is gone answers with an error in its own words."""
    with TinytaskStore() as store, running_server(store) as url:
        store.connection.execute("ALTER TABLE tasks RENAME TO lost")
        done = run(environment, "report", "--mcp-endpoint", url)
    assert (done.returncode, done.stdout) == (5, "")
    assert "list_tasks" in done.stderr


def test_a_file_that_cannot_be_written_is_1(server: str, environment: dict[str, str], tmp_path: Path) -> None:
    """Said in one line."""
    (tmp_path / "file").write_text("")
    done = run(environment, "report", "--mcp-endpoint", server, "--output", str(tmp_path / "file" / "below"))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


# --- Again and again


def test_watch_writes_report_after_report_until_it_is_stopped(
    server: str, environment: dict[str, str]
) -> None:
    """Ctrl-C is the way to end it, and no failure."""
    arguments = ("report", "--format", "markdown", "--mcp-endpoint", server, "--watch", "0.1")
    with running(environment, *arguments, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        read_until(process.stdout.fileno(), b"## Workload", times=2)
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0


def test_watch_ends_when_its_condition_holds(environment: dict[str, str]) -> None:
    """With --fail-if it waits for something to happen."""
    with TinytaskStore() as store, running_server(store) as url:
        arguments = ("report", "--mcp-endpoint", url, "--watch", "0.1", "--fail-if", "open > 0")
        with running(environment, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stderr is not None
            read_until(process.stdout.fileno(), b"Workload")
            store.create_task("at last", "lead")
            read_until(process.stderr.fileno(), b"condition holds: open > 0 (open is 1)")
            assert process.wait(SECONDS) == 3


def test_watch_waits_for_a_server_that_went_away(environment: dict[str, str]) -> None:
    """The outage is said on standard error, and when the server is back the next report comes."""
    short = {"TINYTASK_CONNECT_TIMEOUT": "0.5", "TINYTASK_TIMEOUT": "1"}
    with TinytaskStore() as store, ExitStack() as life:
        url = life.enter_context(running_server(store))
        arguments = ("report", "--format", "markdown", "--mcp-endpoint", url, "--watch", "0.1")
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with running(environment | short, *arguments, **pipes) as process:
            assert process.stdout is not None and process.stderr is not None
            read_until(process.stdout.fileno(), b"## Workload")
            life.close()
            read_until(process.stderr.fileno(), b"calypso-nb: ")
            assert process.poll() is None
            while select.select([process.stdout], [], [], 0)[0]:
                os.read(process.stdout.fileno(), 65536)
            with running_server(store, port=int(url.rpartition(":")[2])):
                read_until(process.stdout.fileno(), b"## Workload")


@contextmanager
def terminal(environment: dict[str, str], *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process whose standard output is a terminal of 100 columns and 30 lines."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    try:
        with running(environment, *arguments, stdout=theirs, stderr=subprocess.DEVNULL) as process:
            os.close(theirs)
            yield process, ours
    finally:
        os.close(ours)


def test_watch_redraws_in_place_on_a_terminal(server: str, environment: dict[str, str]) -> None:
    """It has the screen for itself, draws from the top again, and gives it back."""
    with terminal(environment, "report", "--mcp-endpoint", server, "--watch", "0.1") as (process, screen):
        seen = read_until(screen, b"Workload", times=3)
        assert b"\x1b[?1049h" in seen
        assert seen.count(b"\x1b[H") >= 2
        process.send_signal(signal.SIGINT)
        assert b"\x1b[?1049l" in read_until(screen, b"\x1b[?1049l")
        assert process.wait(SECONDS) == 0


@pytest.mark.parametrize(
    ("arguments", "variables", "coloured"),
    [
        ([], {}, True),
        (["--no-color"], {}, False),
        ([], {"NO_COLOR": "1"}, False),
        ([], {"TERM": "dumb"}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    server: str, environment: dict[str, str], arguments: list[str], variables: dict[str, str], coloured: bool
) -> None:
    """And the width is the terminal's own."""
    arguments = ["--status", "all", *arguments]
    with terminal(environment | variables, "report", "--mcp-endpoint", server, *arguments) as (
        process,
        screen,
    ):
        seen = read_until(screen, b"\xa6 and 25 more")  # the last line of a report on 75 tasks
        assert process.wait(SECONDS) == 0
    assert (b"\x1b[" in seen) is coloured
    plain = re.sub(r"\x1b\[[\d;]*m", "", seen.decode())
    assert 80 < max(map(wcswidth, plain.splitlines())) <= 100


# --- The notebook as a page


@pytest.mark.parametrize("options", [["-p", "endpoint"], ["-p", "endpoint", "--code"], ["-p", "a b=1"]])
def test_a_parameter_needs_a_name_and_a_value(
    options: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    """The option behind it is not taken for one, and the notebook is not run."""
    notebook = Path(__file__).parent.parent / "notebooks" / "workload.ipynb"
    done = run(environment, "export", str(notebook), "-o", str(tmp_path / "page.html"), *options)
    assert done.returncode == 2
    assert "-p NAME=VALUE" in done.stderr
    assert not (tmp_path / "page.html").exists()


def test_parameters_reach_the_notebook_as_what_they_look_like(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Numbers, true and lists are JSON, everything else is text; an equals sign may be part of it."""
    cells = ["x = y = z = None", "assert (x, y, z) == (3, [1, True], 'a=b c'), (x, y, z)"]
    notebook: Any = nbformat.v4.new_notebook(  # type: ignore[no-untyped-call]
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells]  # type: ignore[no-untyped-call]
    )
    notebook.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(notebook, tmp_path / "x.ipynb")  # type: ignore[no-untyped-call]
    parameters = ("-p", "x=3", "-p", "y=[1, true]", "--parameter", "z=a=b c")
    done = run(environment, "export", "x.ipynb", "-o", "x.html", *parameters)
    assert done.returncode == 0, done.stderr


# --- What is not installed

WITHOUT = """
import sys
for name in sys.argv.pop(1).split(","):
    sys.modules[name] = None
from calypso_nb.cli.commands import main
main()
"""
EXTRAS = "psutil,yaml,uvicorn,papermill,nbconvert,nbformat,distributed"


def run_without(
    packages: str, environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", WITHOUT, packages, *arguments]
    return subprocess.run(program, env=environment, capture_output=True, encoding="utf-8", timeout=SECONDS)


@pytest.mark.parametrize(
    ("package", "extra", "arguments"),
    [
        ("papermill", "page", ["export", "x.ipynb", "-o", "x.html"]),
        ("nbconvert", "page", ["export", "x.ipynb", "-o", "x.html"]),
        ("uvicorn", "serve", ["serve", "--port", "0"]),
        ("psutil", "run", ["run-agent", "--agent", "alice", "--dry-run"]),
        ("yaml", "run", ["run-agent", "--agent", "alice", "--dry-run"]),
        ("distributed", "dask", ["run-agent", "--agent", "alice", "--dask", "tcp://127.0.0.1:9"]),
    ],
)
def test_a_command_without_its_extra_says_what_to_install(
    package: str, extra: str, arguments: list[str], environment: dict[str, str]
) -> None:
    """In one line, not in a traceback."""
    Path("x.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    done = run_without(package, environment, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"calypso-nb: this command needs {package}: pip install 'calypso_nb[{extra}]'\n"


def test_reports_need_no_extra(server: str, environment: dict[str, str]) -> None:
    """Nor do differences, the help and the version."""
    saved = ("report", "--mcp-endpoint", server, "--format", "json", "-o", "saved.json")
    page = ("report", "--mcp-endpoint", server, "--format", "html", "-o", "page.html")
    difference = ("diff", "saved.json", "--mcp-endpoint", server)
    for arguments in (saved, page, difference, ("run-agent", "--help"), ("--version",)):
        done = run_without(EXTRAS, environment, *arguments)
        assert (done.returncode, done.stderr) == (0, ""), arguments


def test_the_scheduler_without_its_extra_names_it(environment: dict[str, str]) -> None:
    """Where it is imported, and as an ImportError."""
    program = "import sys; sys.modules['psutil'] = None; from calypso_nb import Scheduler"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert "ImportError: calypso_nb.scheduler needs psutil and PyYAML: pip install" in done.stderr
    assert "'calypso_nb[run]'" in done.stderr


# --- What changed


def test_diff_says_what_changed_since_a_saved_report(environment: dict[str, str], tmp_path: Path) -> None:
    """Against another saved one, and against the server now."""
    with TinytaskStore() as store, running_server(store) as url:
        for title in ("first", "second"):
            store.create_task(title, "lead", assigned_to="alice")
        before, after = str(tmp_path / "before.json"), str(tmp_path / "after.json")
        save = ("report", "--format", "json", "--mcp-endpoint", url, "--output")
        assert run(environment, *save, before).returncode == 0
        store.update_task(1, status="working")
        store.create_task("third", "lead")
        assert run(environment, *save, after).returncode == 0
        for arguments in ([before, after], [before, "--mcp-endpoint", url]):
            done = run(environment, "diff", *arguments, "--format", "json")
            changes = [(row["change"], row["task_id"]) for row in json.loads(done.stdout)["changes"]]
            assert changes == [("new", 3), ("started", 1)]
        assert "started" in run(environment, "diff", before, after).stdout
        assert "| started | 1 |" in run(environment, "diff", before, after, "--format", "markdown").stdout


def test_diff_refuses_what_is_no_report(environment: dict[str, str], tmp_path: Path) -> None:
    """The error names the file."""
    (tmp_path / "other.json").write_text('{"a": 1}')
    done = run(environment, "diff", "other.json", "other.json")
    assert done.returncode == 2
    assert "other.json" in done.stderr


# --- Help, and the documentation


def test_help_pays_for_no_heavy_import(environment: dict[str, str]) -> None:
    """Neither pandas nor the MCP SDK nor Altair is imported for it."""
    program = (
        "import sys, calypso_nb.cli.commands as cli, contextlib\n"
        "with contextlib.suppress(SystemExit): cli.app(['report', '-h'])\n"
        "heavy = {'pandas', 'mcp', 'altair', 'jinja2', 'IPython', 'psutil', 'yaml'}\n"
        "print(*(heavy & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
    )
    assert done.stderr.strip() == ""
    assert "--fail-if" in done.stdout
    assert "3 the --fail-if condition" in " ".join(done.stdout.split())


def test_the_version_is_the_packages(environment: dict[str, str]) -> None:
    """As its metadata has it."""
    done = run(environment, "--version")
    assert (done.returncode, done.stdout) == (0, f"calypso-nb {version('calypso_nb')}\n")


def test_a_shell_can_complete_commands_and_options(environment: dict[str, str]) -> None:
    """With what Typer brings, and with no heavy import."""
    line = f"{' '.join(command('--show-completion'))}; exit $?"  # The shell that asks is its parent.
    shown = subprocess.run(
        ["bash", "-c", line], env=environment, capture_output=True, encoding="utf-8", timeout=SECONDS
    )
    assert "complete -o default -F" in shown.stdout
    asking = {"_CALYPSO_NB_COMPLETE": "complete_bash", "COMP_WORDS": "calypso-nb re", "COMP_CWORD": "1"}
    program = "from calypso_nb.cli.commands import app; app(prog_name='calypso-nb')"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment | asking, capture_output=True, encoding="utf-8"
    )
    assert sorted(done.stdout.split()) == ["record", "report", "resume"]


@pytest.mark.parametrize("page", ["README.md", "REPORTS.md", "FLOW.md", "AUDIT.md", "DIGEST.md"])
def test_the_documentations_commands_work(
    page: str, server: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """Each command of the documentation runs as it stands and ends with the code that its comment names."""
    root = Path(__file__).parent.parent
    shutil.copytree(root / "notebooks", tmp_path / "notebooks")
    text = (root / page).read_text("utf-8")
    for agents in re.findall(r"```json\n(.*?)```", text, re.S):
        (tmp_path / "agents.json").write_text(agents)
    commands = re.findall(r"^calypso-nb .*", "\n".join(re.findall(r"```sh\n(.*?)```", text, re.S)), re.M)
    assert len(commands) >= 4
    with_server = environment | {"TINYTASK_ENDPOINT": server}
    recorded_since_long_ago(tmp_path / "history.db", server)
    for line in commands:
        if "| jq" in line and shutil.which("jq") is None:
            pytest.skip("no jq: apt-get install jq")
        wanted, _, comment = line.partition("  # ")
        codes = re.search(r"exits? with (\d)", comment)
        shell = wanted.replace("calypso-nb ", f"{sys.executable} -m calypso_nb ")
        shell = shell.replace(":3390", ":0")  # Somebody else may have that port.
        endless = comment.startswith("until Ctrl-C")
        with subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", f"exec {shell}" if endless else shell],
            env=with_server, cwd=tmp_path, stdout=PIPE, stderr=PIPE, encoding="utf-8",
        ) as done:  # fmt: skip
            if endless:
                assert done.stdout is not None
                done.stdout.readline()
                done.send_signal(signal.SIGINT)
            _, said = done.communicate(timeout=SECONDS)
        assert done.returncode == (int(codes[1]) if codes else 0), (line, said)


def recorded_since_long_ago(path: Path, server: str) -> None:
    """Make a history in which somebody looked at a server three days ago."""
    then = datetime.now(UTC) - timedelta(days=3)
    with TinytaskClient(server) as client, HistoryStore(path, write=True) as store:
        old = [task for task in client.look().tasks if task["updated_at"] < f"{then:%Y-%m-%d %H:%M:%S}"]
        at = int(then.timestamp()) * SECOND
        Journal(store, client.endpoint, "listing", SECOND).see(old, at, at)


@pytest.mark.parametrize(
    ("page", "made"),
    [("REPORTS.md", "change"), ("FLOW.md", "forecast"), ("AUDIT.md", "audit"), ("DIGEST.md", "digest")],
)
def test_the_documentations_python_runs_as_it_stands(page: str, made: str, clean_environment: Path) -> None:
    """Its blocks, one after the other, are one program that works."""
    text = (Path(__file__).parent.parent / page).read_text("utf-8")
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S):
        exec(compile(block, page, "exec"), names)
    assert names[made]
