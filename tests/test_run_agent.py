"""Runs from end to end: real processes, real notebooks, a real Dask cluster, and the command."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from calypso_nb import TinytaskClient
from calypso_nb.embedded import TinytaskStore, running_server
from calypso_nb.scheduler import RUN_COLUMNS, Agent, Retry, Scheduler
from calypso_nb.scheduler.run import Run
from tests.agents_at_work import Log, add, is_done, records, run_agent_process, run_all, soon, status
from tests.conftest import SECONDS

pytest_plugins = ("tests.scheduler_fixtures",)
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("clean_environment", "nothing_left")]


def recipe(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


# What comes of a run


def test_success_completes_the_task_and_leaves_a_record_that_people_read(
    live_board: TinytaskStore, any_server: str, recipes: Path, log: Log
) -> None:
    """On both generations of TinyTask; of the lease and its mark nothing is left."""
    task = add(live_board, tags=["urgent"])
    with TinytaskClient(any_server) as client:
        runs = Scheduler(client, ["alice"], recipes, runs=recipes.parent / "runs").run()
    assert {name: str(dtype) for name, dtype in runs.dtypes.items()} == {
        name: column.dtype for name, column in RUN_COLUMNS.items()
    }
    [run] = runs.itertuples()
    assert (run.id, run.agent, run.recipe, run.outcome) == (task, "alice", "default", "succeeded")
    now = live_board.get_task(task)
    assert (now["status"], now["assigned_to"], now["tags"]) == ("complete", "alice", ["urgent"])
    [record] = records(live_board, task)
    assert f"Run {run.run} of default for alice on " in record
    assert ": succeeded after " in record
    assert run.folder in record
    assert [event.what for event in log.events] == ["start", "stop"]


def test_failure_makes_it_idle_again_with_the_last_lines_until_the_limit(
    live_board: TinytaskStore, any_server: str, recipes: Path
) -> None:
    """Each run has its record; the number of failures stands in the tags, where people can remove it."""
    recipe(recipes, "default.py", "print('\\x1b[31mred', '```'); raise ValueError('no such planet')")
    task = add(live_board)
    with TinytaskClient(any_server) as client:
        scheduler = Scheduler(client, ["alice"], recipes, retry_limit=2, retry=Retry(0))
        assert [run.outcome for run in run_all(scheduler)] == ["failed", "failed"]
        assert "failed 2 of 2 times" in scheduler.plan()["why"].iloc[0]
        now = live_board.get_task(task)
        assert (now["status"], now["tags"]) == ("idle", ["failed:2"])
        first, last = records(live_board, task)
        assert "exit code 1" in first
        assert "ValueError: no such planet\n```" in first
        assert "Failed 1 of 2 times: it will be tried again." in first
        assert "red '''" in first
        assert "\x1b" not in first
        assert "not tried again until its tag failed:2 is removed" in last
        recipe(recipes, "default.py", "pass")
        live_board.update_task(task, tags=[])
        assert [run.outcome for run in run_all(scheduler)] == ["succeeded"]


def test_a_run_that_takes_too_long_is_ended_with_all_it_has_started(
    live_board: TinytaskStore, server: str, recipes: Path, tmp_path: Path
) -> None:
    """Children in sessions of their own too, and those that hear no SIGTERM: only then it is released."""
    child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    recipe(
        recipes,
        "default.py",
        "import os, subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True)\n"
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork():\n        os._exit(0)\n    time.sleep(60)\n"
        "time.sleep(60)\n",
    )
    task = add(live_board)
    with TinytaskClient(server) as client:
        [run] = Scheduler(client, ["alice"], recipes, max_runtime=1, lease_seconds=10).run().itertuples()
    assert (run.outcome, run.why) == ("over time", "it took longer than 1 s")
    assert alive(tmp_path) == []
    assert live_board.get_task(task)["tags"] == ["failed:1"]


def alive(mark: Path) -> list[int]:
    from tests.agents_at_work import marked_processes

    return [process.pid for process in marked_processes(mark) if process.pid != os.getpid()]


def test_what_a_run_leaves_behind_is_ended_with_it(
    live_board: TinytaskStore, server: str, recipes: Path, tmp_path: Path
) -> None:
    """A success, with no process in the background."""
    recipe(
        recipes,
        "default.py",
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True)\n",
    )
    add(live_board)
    with TinytaskClient(server) as client:
        [run] = Scheduler(client, ["alice"], recipes, lease_seconds=10).run().itertuples()
    assert run.outcome == "succeeded"
    assert alive(tmp_path) == []


def test_success_moves_the_task_to_the_queue_that_the_agent_names(
    live_board: TinytaskStore, any_server: str, recipes: Path
) -> None:
    """Whose agents take it from there; a TinyTask v1 has no queues, so there it is complete."""
    has_queues = "queue_name" in json.dumps(live_board.get_task(add(live_board))) and is_v2(any_server)
    agents = [Agent(name="alice", success_queue="qa"), Agent(name="bob", queue="qa")]
    with TinytaskClient(any_server) as client:
        scheduler = Scheduler(client, agents, recipes)
        scheduler.run()
        first = live_board.get_task(1)
        if not has_queues:
            assert first["status"] == "complete"
            assert "could not go to queue qa" in records(live_board, 1)[0]
            return
        assert (first["status"], first["queue_name"], first["assigned_to"], first["tags"]) == (
            "idle",
            "qa",
            None,
            [],
        )
        assert [run.agent for run in run_all(scheduler)] == ["bob"]
    last = live_board.get_task(1)
    assert (last["status"], last["assigned_to"], last["tags"]) == ("complete", "bob", [])


def is_v2(url: str) -> bool:
    with TinytaskClient(url) as client:
        return client.get_task(1).is_currently_blocked is not None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"status": "complete"}, ("complete", "alice")),
        ({"status": "idle", "assigned_to": "carol"}, ("idle", "carol")),
        ({"tags": ["mine"]}, ("complete", "alice")),
    ],
    ids=["completed", "handed on", "tagged"],
)
def test_what_the_run_itself_sets_on_its_task_stays(
    live_board: TinytaskStore, server: str, recipes: Path, change: dict[str, Any], expected: tuple[str, str]
) -> None:
    """A recipe may work with TinyTask itself: the result does not overwrite that."""
    recipe(
        recipes,
        "default.py",
        "import os\nfrom calypso_nb import TinytaskClient\n"
        f"TinytaskClient().update_task(int(os.environ['TINYTASK_TASK_ID']), **{change!r})\n",
    )
    task = add(live_board)
    with TinytaskClient(server) as client:
        Scheduler(client, ["alice"], recipes).run()
    now = live_board.get_task(task)
    assert (now["status"], now["assigned_to"]) == expected
    assert now["tags"] == change.get("tags", [])
    assert is_done(live_board, task) or now["status"] == "idle"


def test_a_task_that_changed_since_the_plan_is_not_run(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """What the plan says is looked at again under the lease, which leaves no trace then."""
    blocker = add(live_board, agent="carol")
    tasks = [add(live_board) for _ in range(5)]
    with TinytaskClient(server) as client:
        scheduler = Scheduler(client, [{"name": "alice", "maxConcurrency": 9}], recipes)
        plan = scheduler.plan()
        live_board.update_task(tasks[0], status="working")
        live_board.update_task(tasks[1], blocked_by_task_id=blocker)
        live_board.update_task(tasks[2], assigned_to="carol")
        live_board.update_task(tasks[3], tags=["failed:1"])
        live_board.delete_task(tasks[4])
        runs = scheduler.run(plan).set_index("id")
    assert set(runs["outcome"]) == {"not started"}
    assert runs["why"].loc[tasks[:4]].tolist() == [
        "it is working by now",
        f"it is blocked by #{blocker} by now",
        "it is assigned to carol by now",
        "it has failed by now, and waits for its next try",
    ]
    assert all(records(live_board, task) == [] for task in tasks[:4])
    assert log.events == []


# The kinds of recipes


def test_a_notebook_is_executed_with_the_task_and_linked_from_it(
    live_board: TinytaskStore, server: str, recipes: Path, tmp_path: Path
) -> None:
    """The executed notebook is the run's log; it can talk to the server itself."""
    cells = [
        "task_id = title = endpoint = agent = None",
        "from calypso_nb import TinytaskClient\n"
        "TinytaskClient(endpoint).add_comment(task_id, f'{title} by {agent}', created_by=agent)",
    ]
    save_notebook(recipes / "report.ipynb", cells)
    title = "$(touch pwned) \\ ' \" {x}\n🪐"
    task = live_board.create_task(title, "lead", assigned_to="alice", tags=["recipe:report"])["id"]
    with TinytaskClient(server) as client:
        [run] = Scheduler(client, ["alice"], recipes, runs=tmp_path / "runs").run().itertuples()
    assert run.outcome == "succeeded", records(live_board, task)
    now = live_board.get_task(task)
    assert f"{title} by alice" in [note["content"] for note in now["comments"]]
    [link] = now["links"]
    executed = Path(unquote(urlsplit(link["url"]).path))
    assert executed == Path(run.folder) / "report.ipynb"
    notebook = nbformat.read(executed, as_version=4)  # type: ignore[no-untyped-call]
    assert all(cell.execution_count for cell in notebook.cells)
    assert not list(tmp_path.rglob("pwned"))


def test_a_notebook_that_raises_is_a_failure_with_the_error_in_its_record(
    live_board: TinytaskStore, server: str, recipes: Path
) -> None:
    """Its last lines are those of the cell's traceback; its notebook is linked, not one that it wrote."""
    cells = ["open('aaa.ipynb', 'w').close()", "raise LookupError('no such star')"]
    save_notebook(recipes / "alice.ipynb", cells)
    task = add(live_board)
    with TinytaskClient(server) as client:
        [run] = Scheduler(client, ["alice"], recipes).run().itertuples()
    assert run.outcome == "failed"
    assert "LookupError: no such star" in records(live_board, task)[0]
    [link] = live_board.get_task(task)["links"]
    assert "no such star" in Path(unquote(urlsplit(link["url"]).path)).read_text()


def save_notebook(path: Path, cells: list[str]) -> None:
    made: list[Any] = [nbformat.v4.new_code_cell(cell) for cell in cells]  # type: ignore[no-untyped-call]
    made[0].metadata["tags"] = ["parameters"]
    notebook = nbformat.v4.new_notebook(cells=made)  # type: ignore[no-untyped-call]
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call]


def test_goose_is_called_with_the_recipe_and_its_parameters(
    live_board: TinytaskStore,
    server: str,
    recipes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stand-in on the PATH records how it was called: a title is one argument, whatever it says."""
    monkeypatch.setenv("PATH", f"{Path(__file__).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("GOOSE_CALLS", str(tmp_path / "calls"))
    path = recipe(recipes, "alice.yaml", "parameters: [{key: title}, {key: task_id}]")
    task = live_board.create_task("; rm -rf ~ #", "lead", assigned_to="alice")["id"]
    with TinytaskClient(server) as client:
        [run] = Scheduler(client, ["alice"], recipes).run().itertuples()
    assert run.outcome == "succeeded", records(live_board, task)
    call = json.loads((tmp_path / "calls").read_text())
    assert call["arguments"] == [
        *("run", "--recipe", str(path), "--params", "title=; rm -rf ~ #", "--params", f"task_id={task}"),
    ]
    assert call["environment"]["TINYTASK_AGENT"] == "alice"


def test_an_executable_gets_the_task_whatever_its_title(
    live_board: TinytaskStore, server: str, recipes: Path, tmp_path: Path
) -> None:
    """No shell reads it but the recipe's own, which has it on standard input."""
    tool = recipe(recipes, "alice.sh", '#!/bin/sh\ncat > task.json\necho "$TINYTASK_TASK_ID" > number\n')
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    title = f"`touch {tmp_path}/pwned`; $(touch {tmp_path}/pwned)"
    task = live_board.create_task(title, "lead", assigned_to="alice")["id"]
    with TinytaskClient(server) as client:
        [run] = Scheduler(client, ["alice"], recipes).run().itertuples()
    folder = Path(run.folder)
    assert json.loads((folder / "task.json").read_text())["title"] == title
    assert (folder / "number").read_text() == f"{task}\n"
    assert not (tmp_path / "pwned").exists()


def test_a_recipe_that_cannot_be_started_is_a_failure(
    live_board: TinytaskStore, server: str, recipes: Path
) -> None:
    """The record says what the system says."""
    tool = recipe(recipes, "alice.sh", "#!/no/such/interpreter\n")
    tool.chmod(0o755)
    task = add(live_board)
    with TinytaskClient(server) as client:
        [run] = Scheduler(client, ["alice"], recipes).run().itertuples()
    assert run.outcome == "failed"
    assert "could not be started: [Errno 2] No such file or directory" in records(live_board, task)[0]


@pytest.mark.parametrize("fault", ["no folder", "no recipe"])
def test_what_is_wrong_with_this_machine_is_no_failure_of_the_task(
    live_board: TinytaskStore, server: str, recipes: Path, fault: str
) -> None:
    """A machine with a full disk must not use up the tries of every task: the task is left as it was."""
    task = add(live_board)
    (recipes.parent / "runs").write_text("")
    with TinytaskClient(server) as client:
        runs = recipes.parent / ("runs" if fault == "no folder" else "others")
        scheduler = Scheduler(client, ["alice"], recipes, runs=runs)
        plan = scheduler.plan()
        if fault == "no recipe":
            (recipes / "default.py").unlink()
        [run] = scheduler.run(plan).itertuples()
    why = "recipe default is gone" if fault == "no recipe" else f"[Errno 20] Not a directory: '{runs}/"
    assert run.outcome == "not started"
    assert run.why.startswith(why)
    now = live_board.get_task(task)
    assert (now["status"], now["tags"], now["comments"]) == ("idle", [], [])


def test_the_notebook_shows_plan_runs_and_what_came_of_them(tmp_path: Path) -> None:
    """`run_agents.ipynb` works as it stands, on the embedded server."""
    import papermill

    from calypso_nb.view import run_notebook

    notebook = Path(__file__).parent.parent / "notebooks" / "run_agents.ipynb"
    executed = papermill.execute_notebook(
        notebook,
        tmp_path / "executed.ipynb",
        {"runs": str(tmp_path / "runs")},
        cwd=notebook.parent,
        progress_bar=False,
        # As export does: of a notebook with widgets, a reply of the kernel may go unnoticed.
        kernel_manager_class=run_notebook._KernelManager,
    )
    shown = json.dumps(executed.cells)
    for words in ("alice is at 2 of 2", "no recipe 'oracle'", "blocked by #1", "5 tasks are open"):
        assert words in shown
    assert "#5 Fix the typo: complete" in shown
    assert "#4 Test the upload: idle flaky failed:3" in shown


# Stopping


def test_an_interrupt_ends_the_runs_and_gives_the_tasks_back(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """As the kernel's Stop button does: the task is idle again and has not failed."""
    task = add(live_board, 30)
    with TinytaskClient(server) as client:
        scheduler = Scheduler(client, ["alice"], recipes)
        news = scheduler.follow(scheduler.plan())
        next(news)
        assert soon(lambda: bool(log.of("start")))
        with pytest.raises(KeyboardInterrupt):
            news.throw(KeyboardInterrupt)
    assert [event.what for event in log.events] == ["start", "ended"]
    now = live_board.get_task(task)
    assert (now["status"], now["tags"]) == ("idle", [])
    assert "stopped after" in records(live_board, task)[0]
    assert "The task will be run again." in records(live_board, task)[0]


# The command


def command(*arguments: object, columns: int = 200) -> tuple[int, str]:
    import typer

    from calypso_nb.cli.run_agent import run_agent

    app = typer.Typer()
    app.command()(run_agent)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": str(columns)})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return 1, f"{type(result.exception).__name__}: {result.exception}"
    return result.exit_code, result.output


def test_the_dry_run_is_the_next_run(live_board: TinytaskStore, server: str, recipes: Path, log: Log) -> None:
    """It shows what is run and why the rest waits, and changes nothing."""
    first, second = add(live_board, priority=5), add(live_board)
    waiting = add(live_board, blocked_by_task_id=second)
    options = ("--agent", "alice", "--recipes", recipes, "--mcp-endpoint", server)
    code, shown = command(*options, "--dry-run")
    assert code == 0
    assert "1 of 3 tasks can be run now" in shown
    assert shown.splitlines()[3].split() == [
        "1",
        str(second),
        "0",
        "1",
        "0",
        "alice",
        "default",
        "takes",
        "0",
        "s",
        "ready",
    ]
    assert f"blocked by #{second}" in shown
    assert log.events == []
    assert command(*options, "--once")[0] == 0
    ran = [event.task for event in log.of("start")]
    assert ran == [second]
    assert [status(live_board, task) for task in (first, second, waiting)] == ["idle", "complete", "idle"]


@pytest.mark.parametrize("width", [60, 80, 160])
def test_the_dry_run_fits_the_terminal_and_obeys_no_title(
    live_board: TinytaskStore, server: str, recipes: Path, width: int
) -> None:
    """Whatever agents write; of what waits it shows the first, and says how many more there are."""
    recipe(recipes, "\u4eba.py", "")
    for number in range(60):
        tags = ["recipe:\u4eba" if number % 2 else "recipe:" + "\x1b[2J" * 999]
        live_board.create_task(
            f"\x1b]0;pwned\x07\n\u202e {'x' * 999}", "lead", assigned_to="alice", tags=tags
        )
    options = ("--agent", "alice", "--recipes", recipes, "--mcp-endpoint", server, "--dry-run")
    code, shown = command(*options, columns=width)
    assert code == 0
    assert shown.startswith("1 of 60 tasks can be run now\n\norder")
    assert shown.endswith("\n… and 9 more wait\n")
    assert max(cell_len(line) for line in shown.splitlines()) <= width
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)


def test_one_task_can_be_run_by_its_number(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """Once, and where it waits it says why, and ends with 6."""
    one, other = add(live_board), add(live_board)
    waiting = add(live_board, blocked_by_task_id=one)
    options = ("--agent", "alice", "--recipes", recipes, "--mcp-endpoint", server)
    code, output = command(*options, "--task-id", waiting)
    assert (code, f"#{waiting}: blocked by #{one}" in output) == (6, True)
    assert command(*options, "--task-id", other)[0] == 0
    assert [event.task for event in log.of("start")] == [other]
    assert (
        command(*options, "--task-id", 99)[1]
        == f"UsageError: task 99 is not an open task of alice on {server}"
    )


def test_the_endpoints_password_reaches_the_runs_by_their_environment_alone(
    live_board: TinytaskStore, server: str, recipes: Path
) -> None:
    """Neither the output nor the task nor an argument of a process has it."""
    text = "import os\nopen('endpoint', 'w').write(os.environ['TINYTASK_ENDPOINT'])\n"
    text += "from pathlib import Path\n"
    text += "print([Path(f'/proc/{p}/cmdline').read_text() for p in (os.getpid(), os.getppid())])\n"
    recipe(recipes, "default.py", text)
    task = add(live_board)
    secret = server.replace("http://", "http://me:secret@")
    code, output = command("--agent", "alice", "--recipes", recipes, "--mcp-endpoint", secret, "--once")
    assert code == 0, output
    [folder] = Path("runs").glob("[!.]*")
    assert (folder / "endpoint").read_text() == secret
    assert "secret" not in output + json.dumps(live_board.get_task(task))
    assert not any("secret" in (folder / name).read_text() for name in ("output.txt", "stdin.json"))


def test_an_agent_and_a_queue_without_any_task_are_said_with_a_suggestion(
    live_board: TinytaskStore, server: str, recipes: Path
) -> None:
    """On standard error, before anything runs; who has only complete tasks is no stranger."""
    live_board.create_task("x", "lead", assigned_to="vaela", queue_name="dev")
    live_board.update_task(add(live_board, agent="bob"), status="complete")
    agents = recipes.parent / "agents.json"
    agents.write_text(
        '[{"agentName": "velaa"}, {"agentName": "bob"}, {"agentName": "eve", "agentType": "dve"}]'
    )
    options = ("--agents", agents, "--recipes", recipes, "--mcp-endpoint", server)
    for mode, expected in (("--dry-run", 0), ("--once", 7)):
        code, output = command(*options, mode)
        assert code == expected
        assert "no task of an agent called 'velaa'; did you mean 'vaela'?" in output
        assert "no task in a queue called 'dve'; did you mean 'dev'?" in output
        assert "bob" not in output and "'eve'" not in output
    with run_agent_process(*map(str, options)) as process:
        assert soon(lambda: "did you mean 'vaela'?" in process.stdout.readline())  # type: ignore[union-attr]


def test_a_start_while_the_server_is_down_waits_for_it(recipes: Path, log: Log, tmp_path: Path) -> None:
    """As after a restart of the machine: it says so, once, and begins when the server is there."""
    with TinytaskStore(tmp_path / "tasks.db") as store:
        add(store)
        with running_server(store) as url:
            pass
        options = ("--agent", "alice", "--recipes", str(recipes), "--mcp-endpoint", url, "--interval", "0.2")
        with run_agent_process(*options) as process:
            assert soon(lambda: "no TinyTask at" in process.stdout.readline())  # type: ignore[union-attr]
            with running_server(store, port=int(url.rpartition(":")[2])):
                assert soon(lambda: status(store, 1) == "complete")
                process.terminate()
                said = process.communicate(timeout=SECONDS)[0]
    assert "it works again" in said and "no TinyTask at" not in said.partition("it works again")[0]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"status": "complete"}, "no task is waiting for these agents"),
        ({"tags": ["failed:3"]}, "failed 3 of 3 times: remove its tag failed:3 to try again"),
        ({"tags": ["recipe:gone"]}, "no recipe 'gone', which its tag asks for"),
        ({"status": "working"}, "alice works on it, but not through run-agent"),
        ({"tags": ["failed:1"]}, "retry 2 of 3 at "),
    ],
)
def test_once_exits_with_7_where_there_is_work_and_none_of_it_could_run(
    live_board: TinytaskStore, server: str, recipes: Path, setting: dict[str, Any], said: str
) -> None:
    """And says why; what is done, or being done by somebody, is no reason."""
    live_board.update_task(add(live_board), **setting)
    code, output = command("--agent", "alice", "--recipes", recipes, "--mcp-endpoint", server, "--once")
    assert (code, said in output) == (0 if "status" in setting else 7, True), output


def test_once_exits_with_6_where_a_run_failed(live_board: TinytaskStore, server: str, recipes: Path) -> None:
    """A cron job can tell."""
    recipe(recipes, "default.py", "raise SystemExit(3)")
    add(live_board)
    code, output = command("--agent", "alice", "--recipes", recipes, "--mcp-endpoint", server, "--once")
    assert (code, "failed after" in output) == (6, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "whose tasks should be run? Give --agent NAME or --agents FILE"),
        (["--agents", "broken.json"], "UsageError: broken.json is not valid JSON"),
        (["--agents", "agents.json", "--agent", "eve"], "agents.json has no agent eve; it has alice, bob"),
        (["--agents", "nowhere.json"], "does not exist"),
        (["--agent", "alice", "--recipes", "nowhere"], "RecipeError: the recipes folder"),
        (["--agent", "alice", "--lease", "1"], "1 s is not a valid lease: it must be 2 to 3600 s"),
        (
            ["--agent", "alice", "--mcp-endpoint", "http://127.0.0.1:1", "--once"],
            "TinytaskConnectionError: no TinyTask at",
        ),
        (["--agent", "alice", "--mcp-endpoint", "demo", "--once"], "runs are processes of their own"),
    ],
)
def test_wrong_use_is_told_in_a_sentence(clean_environment: Path, options: list[str], message: str) -> None:
    """What is wrong, and what there is instead."""
    (clean_environment / "recipes").mkdir()
    (clean_environment / "recipes" / "default.py").write_text("")
    (clean_environment / "broken.json").write_text("[{")
    (clean_environment / "agents.json").write_text('[{"agentName": "alice"}, {"agentName": "bob"}]')
    code, output = command(*options)
    assert code != 0
    assert message in " ".join(output.replace("│", " ").split())


def test_a_broken_recipe_keeps_only_its_own_tasks_waiting(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """The command says which one and goes on with the others."""
    recipe(recipes, "torn.ipynb", "{")
    recipe(recipes, "away.py", "").unlink()
    (recipes / "away.py").symlink_to("/etc/hostname")
    wanted = {
        name: add(live_board, tags=[f"recipe:{name}"]) for name in ("torn", "away", "none", "../x", "goes")
    }
    recipe(recipes, "goes.py", (recipes / "default.py").read_text())
    code, output = command("--agent", "alice", "--recipes", recipes, "--mcp-endpoint", server, "--once")
    assert code == 0
    assert f"#{wanted['torn']}: recipe torn.ipynb does not parse: Expecting property name" in output
    assert f"#{wanted['away']}: recipe away.py is a link out of the recipes folder" in output
    assert f"#{wanted['none']}: no recipe 'none', which its tag asks for" in output
    assert f"#{wanted['../x']}: no recipe '../x', which its tag asks for" in output
    assert [event.task for event in log.of("stop")] == [wanted["goes"]]


# As a service


def test_the_variables_of_the_earlier_scheduler_mean_what_they_meant(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options come before them, and what means nothing any more is told."""
    add(live_board), add(live_board), add(live_board)
    agents = recipes.parent / "control.json"
    agents.write_text('[{"agentName": "alice", "agentType": "dev", "maxConcurrency": 9, "comment": "x"}]')
    logs = recipes.parent / "logs"
    logs.mkdir()
    settings = {
        "AGENT_CONTROL_FILE": agents,
        "RECIPES_DIR": recipes,
        "MCP_ENDPOINT": f"{server}/mcp",
        "LOG_DIR": logs,
        "LOG_LEVEL": "INFO",
        "LOCK_FILE": "/tmp/lock",
        "HEARTBEAT_SEC": 15,
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"TINYSCHEDULER_{name}", str(value))
    for limits in ('{"alice": 2}', "alice=2"):
        monkeypatch.setenv("TINYSCHEDULER_AGENT_LIMITS", limits)
        assert "2 of 3 tasks can be run now" in command("--dry-run")[1]
    assert "1 of 3 tasks can be run now" in command("--dry-run", "--agent-limit", "alice=1")[1]
    monkeypatch.setenv("TINYSCHEDULER_DRY_RUN", "true")
    code, output = command("--once")
    assert (code, log.events) == (0, [])
    assert "TINYSCHEDULER_LOCK_FILE means nothing here: several schedulers may run at once" in output
    assert "several schedulers may run" in (logs / "run-agent.log").read_text()
    monkeypatch.setenv("TINYSCHEDULER_ENABLED", "false")
    assert command() == (0, "calypso-nb: TINYSCHEDULER_ENABLED says that nothing is to be run\n")


def test_check_says_all_faults_at_once_and_runs_nothing(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """Agents, recipes, limits, variables, folders and the server; without a fault it says so."""
    add(live_board)
    options = ("--recipes", recipes, "--check")
    code, output = command("--agent", "alice", *options, "--mcp-endpoint", server)
    assert (code, output) == (0, "all is well: agents, recipes, limits, runs and the server\n")
    agents = recipes.parent / "agents.json"
    agents.write_text(
        '[{"agentName": "alise", "maxConcurency": 2, "recipe": "none", "agentType": "dev"},'
        ' {"agentName": "bob", "env": ["NO_SUCH_KEY"]}]'
    )
    recipe(recipes, "torn.ipynb", "{")
    Path("runs").write_text("")
    limits = (
        "--agent-limit",
        "eve=1",
        "--recipe-limit",
        "defualt=1",
        "--queue-limit",
        "dve=1",
        "--lease",
        "1",
    )
    code, output = command("--agents", agents, *options, *limits, "--lease", 1, "--mcp-endpoint", server)
    assert code == 2
    lines = [line.removeprefix("calypso-nb: ") for line in output.splitlines()]
    assert "recipe torn.ipynb does not parse: Expecting property name" in lines.pop(1)
    assert lines == [
        f"{agents}: entry 1: 'maxConcurency' means nothing here; did you mean 'maxConcurrency'?",
        "no recipe 'none', which agent alise should use",
        "there is no agent 'eve'",
        "there is no queue 'dve'; did you mean 'dev'?",
        "there is no recipe 'defualt'; did you mean 'default'?",
        "the environment has no NO_SUCH_KEY",
        "a lease of 1 s is not valid: 2 to 3600 s are",
        f"{Path('runs').resolve()} can't be written to",
        "the server has no task of an agent called 'alise'; did you mean 'alice'?",
        "the server has no task of an agent called 'bob'",
    ]
    code, output = command("--agent", "alice", *options, "--mcp-endpoint", "http://127.0.0.1:1")
    assert (code, "no TinyTask at" in output) == (2, True)
    assert log.events == []


def test_the_log_has_the_time_of_each_line_and_can_be_read_by_programs(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """In a file too, with nothing in it that a terminal would obey; a level leaves out the rest."""
    number = live_board.create_task("takes 0 s \x1b[2J", "lead", assigned_to="alice")["id"]
    options = ("--agent", "alice", "--recipes", recipes, "--mcp-endpoint", server, "--once")
    output = command(*options, "--log-file", "log.jsonl", "--log-format", "json")[1]
    lines = [json.loads(line) for line in Path("log.jsonl").read_text().splitlines()]
    assert output == Path("log.jsonl").read_text()
    assert all(line["time"].endswith("Z") and line["level"] == "info" for line in lines)
    assert (lines[-1]["run"]["id"], lines[-1]["run"]["outcome"]) == (number, "succeeded")
    assert lines[0]["message"] == "1 of 1 tasks can be run now"
    live_board.create_task("takes 0 s \x1b[2J", "lead", assigned_to="alice")
    text = command(*options)[1]
    assert "alice takes #2 with default: takes 0 s" in text and "\x1b" not in text
    add(live_board)
    assert command(*options, "--log-level", "warning") == (0, "")


def test_a_file_of_variables_reaches_the_options_and_the_runs(
    live_board: TinytaskStore, server: str, recipes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment wins."""
    recipe(
        recipes,
        "default.py",
        "import os\nopen('given', 'w').write(os.environ['GOOSE_A'] + os.environ['GOOSE_B'])\n",
    )
    monkeypatch.setenv("GOOSE_B", "outside")
    add(live_board)
    Path("service.env").write_text(
        f"TINYTASK_ENDPOINT={server}\nTINYSCHEDULER_RECIPES_DIR='{recipes}'\nGOOSE_A=1\nGOOSE_B=2\n"
    )
    with run_agent_process("--agent", "alice", "--once", "--env-file", "service.env") as process:
        output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    assert next(Path("runs").glob("*/given")).read_text() == "1outside"


def test_the_file_of_agents_is_read_again_when_it_changes(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """One that can't be read is told, and the agents stay as they were."""
    theirs = add(live_board, agent="bob")
    agents = recipes.parent / "agents.json"
    agents.write_text('[{"agentName": "alice"}]')
    with TinytaskClient(server) as client:
        scheduler = Scheduler(client, agents, recipes)
        said: list[str] = []
        for event in scheduler.serve(0.1):
            said.append(str(event))
            if "no task of an agent called 'alice'" in said[-1]:
                agents.write_text("[{")
            elif "is not valid JSON" in said[-1]:
                agents.write_text('[{"agentName": "bob"}]')
            elif "succeeded" in said[-1]:
                scheduler.stop()
    assert "; its agents stay as they were" in said[1]
    assert said[2] == f"{agents} has changed: it has bob now"
    assert is_done(live_board, theirs)


# Executors


def test_processes_of_an_executor_run_the_tasks(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """Any executor will do whose processes see the stop event; each makes a client of its own."""
    tasks = [add(live_board) for _ in range(3)]
    spawning = get_context("spawn")
    with (
        TinytaskClient(server) as client,
        spawning.Manager() as manager,
        ProcessPoolExecutor(2, spawning) as executor,
    ):
        agents = [Agent(name="alice", max_concurrency=3)]
        scheduler = Scheduler(client, agents, recipes, executor=executor, stop=manager.Event())
        assert scheduler.run()["outcome"].tolist() == ["succeeded"] * 3
    assert all(is_done(live_board, task) for task in tasks)


class KeepsTheLast(ThreadPoolExecutor):
    """Threads, and the future that was given last."""

    last: Future[Any]

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:  # type: ignore[override]
        self.last = super().submit(*args, **kwargs)
        return self.last


def test_a_run_that_its_executor_cancels_is_lost_and_ends_nothing_else(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """As Dask does when its scheduler goes: the row says so, and the task is still to be run."""
    task, begin = add(live_board), Event()
    with TinytaskClient(server) as client, KeepsTheLast(1) as executor:
        executor.submit(begin.wait)
        scheduler = Scheduler(client, ["alice"], recipes, executor=executor, stop=Event())
        news = scheduler.follow(scheduler.plan())
        next(news)
        executor.last.cancel()
        begin.set()
        [run] = news
    assert isinstance(run, Run)
    assert (run.outcome, run.why) == ("lost", "its executor gave it up")
    assert (status(live_board, task), log.events) == ("idle", [])


def test_a_dask_cluster_runs_the_tasks_on_its_workers(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log, tmp_path: Path
) -> None:
    """Two worker processes share the work, and a stop reaches the runs there."""
    from distributed import LocalCluster

    tasks = [add(live_board, 0.5) for _ in range(6)]
    agents = tmp_path / "agents.json"
    agents.write_text('[{"agentName": "alice", "maxConcurrency": 4}]')
    with LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        options = ["--agents", str(agents), "--recipes", str(recipes), "--runs", str(tmp_path / "runs")]
        options += [
            "--mcp-endpoint",
            server,
            "--dask",
            cluster.scheduler_address,
            "--interval",
            "0.5",
            "--grace",
            "0",
        ]
        with run_agent_process(*options) as process:
            assert soon(lambda: all(is_done(live_board, task) for task in tasks))
            last = add(live_board, 60)
            assert soon(lambda: last in [event.task for event in log.under_way()])
            process.terminate()
            output, _ = process.communicate(timeout=SECONDS)
            assert process.returncode == 0, output
    assert log.of("overlap") == []
    assert status(live_board, last) == "idle"
    assert len({parent_of_watchdog(path) for path in (tmp_path / "runs").glob("*/output.txt")}) == 2


def parent_of_watchdog(output: Path) -> str:
    return output.read_text().split()[-1]
