"""What ran on a server, by what its schedulers wrote on the tasks: as frames, and by `calypso-nb runs`."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from calypso_nb import TinytaskClient, WorkloadReporter
from calypso_nb.cli.commands import app
from calypso_nb.embedded import TinytaskStore
from calypso_nb.frames import COMMENT_COLUMNS, records_to_frame
from calypso_nb.run_marks import AUTHOR, LATE
from calypso_nb.scheduler import RUN_COLUMNS, RUN_TOTAL_COLUMNS, Agent, Retry, Scheduler, run_totals
from calypso_nb.text.console import runs_to_console
from calypso_nb.workload.runs import runs_in
from tests.agents_at_work import Log, add, at_work, run_all, soon
from tests.conftest import NOW

pytest_plugins = ("tests.scheduler_fixtures",)
RUN = "aaaaaaaaaaaa"
NOTHING = "no run has left a trace\n"


def comments(*texts: str, by: str = AUTHOR, ended: float = 0, began: float = 600) -> pd.DataFrame:
    """One task's comments: written so many seconds ago, and edited so many seconds ago."""
    times = {
        name: (NOW - timedelta(seconds=ago)) for name, ago in (("created_at", began), ("updated_at", ended))
    }
    records: list[dict[str, Any]] = [
        {"id": number, "task_id": 7, "content": text, "created_by": by, **times}
        for number, text in enumerate(texts, 1)
    ]
    return records_to_frame(records, COMMENT_COLUMNS)


def only(runs: pd.DataFrame) -> dict[str, Any]:
    [row] = runs.astype(object).where(runs.notna(), None).to_dict("records")
    return dict(row)


def record(outcome: str = "succeeded", more: str = "", why: str = "exit code 0") -> str:
    return f'Run {RUN} of default for "qa lead" on box: {outcome} after 12.5 s, {why}.{more}'


def test_a_record_tells_how_a_run_ended_and_what_it_used() -> None:
    """To the second of its own clock; from when to when, by the server's."""
    usage = '\nUsage: {"input_tokens": 1200, "cost_usd": 0.02}\nIts files: /runs/7-aaaaaaaaaaaa on box.'
    row = only(runs_in(comments(record(more=usage)), NOW))
    assert row | {"started_at": None, "last_sign_at": None} == {
        "id": 7,
        "run": RUN,
        "agent": "qa lead",
        "recipe": "default",
        "host": "box",
        "outcome": "succeeded",
        "why": "exit code 0",
        "attempt": 1,
        "started_at": None,
        "last_sign_at": None,
        "seconds": 12.5,
        "input_tokens": 1200,
        "output_tokens": None,
        "cost_usd": 0.02,
        "folder": "/runs/7-aaaaaaaaaaaa",
    }
    assert (row["started_at"], row["last_sign_at"]) == (NOW - timedelta(seconds=600), NOW)


def test_runs_of_one_second_are_told_in_their_order() -> None:
    """The newest first, and when each began; a record that was told late says only when it was told."""
    late = record("failed", more=f"\n{LATE}")
    runs = runs_in(comments(record(), record("failed"), late, began=0), NOW)
    assert runs["attempt"].tolist() == [3, 2, 1]
    assert runs["started_at"].isna().tolist() == [True, False, False]


@pytest.mark.parametrize(("ago", "outcome"), [(30, "running"), (90, "silent")])
def test_a_lease_is_a_run_that_goes_on_until_it_is_over(ago: float, outcome: str) -> None:
    """How long it has run is known either way, and where its output is, if it says so."""
    lease = f"Lease {RUN} of 60 s, sign 9: box runs default for alice"
    row = only(runs_in(comments(lease, ended=ago), NOW))
    assert (row["outcome"], row["agent"], row["seconds"], row["folder"]) == (outcome, "alice", 600, None)
    placed = only(runs_in(comments(f'{lease} in "/my runs/7-{RUN}"'), NOW))
    assert (placed["agent"], placed["folder"]) == ("alice", f"/my runs/7-{RUN}")
    assert runs_in(comments(lease.replace(" runs ", " takes ")), NOW).empty


@pytest.mark.parametrize(
    "text",
    [
        "Run 12 of default for alice on box: succeeded after 1.0 s, ok.",
        f"They wrote: {record()}",
        record("exploded"),
        f"Lease {RUN} of 9999 s, sign 1: box runs default for alice",
    ],
)
def test_what_is_no_record_is_no_run(text: str) -> None:
    """Nor what somebody else has written in the same words."""
    assert runs_in(comments(text), NOW).empty
    assert runs_in(comments(record(), by="mallory"), NOW).empty


@pytest.mark.parametrize(
    "usage",
    ["{", "[]", '{"input_tokens": -1}', '{"input_tokens": "9"}', '{"cost_usd": NaN}', '{"cost_usd": 1e999}'],
)
def test_what_cannot_have_been_used_is_unknown(usage: str) -> None:
    """A recipe may print anything."""
    row = only(runs_in(comments(record(more=f"\nUsage: {usage}")), NOW))
    assert [row[name] for name in ("input_tokens", "output_tokens", "cost_usd")] == [None] * 3


def test_totals_say_how_runs_went_and_how_many_said_what_they_used() -> None:
    """By hand: four runs, one of them going on; two of three succeeded, in 1 and 3 minutes; two tasks."""
    rows = [
        {"id": 1, "outcome": "failed", "seconds": 9.0},
        {"id": 1, "outcome": "succeeded", "seconds": 60.0, "input_tokens": 100, "cost_usd": 0.5},
        {"id": 2, "outcome": "succeeded", "seconds": 180.0, "input_tokens": 50},
        {"id": 2, "outcome": "running", "seconds": 5.0},
    ]
    known = {"run": RUN, "agent": "alice", "recipe": "default", "host": "box", "why": ""}
    runs = records_to_frame([known | row for row in rows], RUN_COLUMNS)
    assert only(run_totals(runs)) == {
        "agent": "alice",
        "recipe": "default",
        "runs": 4,
        "going_on": 1,
        "succeeded": 2,
        "failed": 1,
        "success_rate": 2 / 3,
        "median_minutes": 2.0,
        "tasks": 2,
        "tries": 2.0,
        "input_tokens": 150,
        "output_tokens": None,
        "cost_usd": 0.5,
        "told_input_tokens": 2,
        "told_output_tokens": 0,
        "told_cost_usd": 1,
    }
    used = "Used, as they said: 150 tokens in by 2 of 3 runs, 0.50 USD by 1 of 3 runs."
    shown = runs_to_console(runs, run_totals(runs))
    assert used in shown
    assert all(f"  {took}  " in shown for took in ("9 s", "60 s", "3 min"))
    for frame, columns in ((runs, RUN_COLUMNS), (run_totals(runs.iloc[:0]), RUN_TOTAL_COLUMNS)):
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {
            name: column.dtype for name, column in columns.items()
        }


# On a server


def command(*arguments: object, columns: int = 200) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": str(columns)})
    return result.exit_code, result.output


@pytest.mark.slow
@pytest.mark.usefixtures("clean_environment", "nothing_left")
def test_runs_are_told_from_any_machine(
    live_board: TinytaskStore, any_server: str, recipes: Path, log: Log
) -> None:
    """What goes on and what ended, how often tried, for whom, with what it used."""
    usage = {"usage": {"input_tokens": 1200, "output_tokens": 300, "cost_usd": 0.02, "model": "x"}}
    (recipes / "thrifty.py").write_text(f"print('so far so good')\nprint('''{json.dumps(usage)}''')\n")
    (recipes / "broken.py").write_text("raise SystemExit(3)\n")
    first, second = add(live_board, tags=["recipe:thrifty"]), add(live_board, tags=["recipe:broken"])
    agents = [Agent(name="alice", max_concurrency=2)]
    with TinytaskClient(any_server) as client:
        scheduler = Scheduler(client, agents, recipes, retry=Retry(0))
        run_all(scheduler)
        third = add(live_board, 60)
        with at_work(any_server, recipes, "there", lease=60):
            assert soon(lambda: bool(log.of("start")))
            runs = scheduler.runs().set_index(["id", "attempt"])
            assert runs["outcome"].to_dict() == {
                (third, 1): "running",
                (second, 3): "failed",
                (second, 2): "failed",
                (second, 1): "failed",
                (first, 1): "succeeded",
            }
            assert runs.loc[(first, 1), ["input_tokens", "output_tokens", "cost_usd"]].tolist() == [
                1200,
                300,
                0.02,
            ]
            assert runs.loc[(second, 2), "why"] == "exit code 3"
            reported = WorkloadReporter(client).collect_workload_data("all")
            assert reported.runs["run"].tolist() == scheduler.runs()["run"].tolist()
            assert reported.select("idle").runs["id"].unique().tolist() == [second]
            totals = run_totals(WorkloadReporter(client).runs()).set_index("recipe")
            assert totals["success_rate"].dropna().to_dict() == {"broken": 0, "thrifty": 1}
            code, shown = command("runs", "--mcp-endpoint", any_server)
            assert code == 0
            assert "Going on: 1" in shown and "Ended: 4" in shown
            used = [f"{sum} by 1 of 4 runs" for sum in ("1,200 tokens in", "300 tokens out", "0.02 USD")]
            assert f"Used, as they said: {', '.join(used)}." in shown
            told = json.loads(command("runs", "--format", "json", "--mcp-endpoint", any_server)[1])
            assert told["runs"][0]["outcome"] == "running" and len(told["runs"]) == 5
            assert {total["recipe"]: total["cost_usd"] for total in told["totals"]} == {
                "broken": None,
                "default": None,
                "thrifty": 0.02,
            }
            assert command("runs", "--agent", "bob", "--mcp-endpoint", any_server) == (
                0,
                "no run has left a trace\n",
            )


@pytest.mark.parametrize("width", [60, 80, 160])
def test_the_runs_fit_the_terminal_and_obey_nothing(width: int) -> None:
    """Whatever an agent, a recipe or a machine is called."""
    odd = {"agent": "\x1b[2J" * 40, "recipe": "r\u202e", "host": "h" * 99, "why": "w\n" * 99}
    rows = [{"id": number, "run": RUN, "outcome": "failed", **odd} for number in range(60)]
    runs = records_to_frame(rows, RUN_COLUMNS)
    shown = runs_to_console(runs, run_totals(runs), width)
    assert max(cell_len(line) for line in shown.splitlines()) <= width
    assert not {"\x1b", "\u202e"} & set(shown)
    assert "… and 10 more" in shown


def test_runs_that_were_not_read_are_an_error(live_board: TinytaskStore, server: str) -> None:
    """Not an empty frame."""
    add(live_board)
    with TinytaskClient(server) as client:
        report = WorkloadReporter(client).collect_workload_data(details=False)
        with pytest.raises(ValueError, match="comments were not read"):
            _ = report.runs
        assert WorkloadReporter(client).collect_workload_data().runs.empty


@pytest.mark.slow
@pytest.mark.usefixtures("clean_environment", "nothing_left")
def test_the_output_of_a_run_is_shown_as_it_comes(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """Until it ends; nothing in it is obeyed by the terminal. What ran, or runs elsewhere, is said."""
    (recipes / "default.py").write_text(
        "import time\nprint('\\x1b[31mfirst', flush=True)\ntime.sleep(1)\nprint('last', end='', flush=True)\n"
    )
    task = add(live_board)
    options = ("--mcp-endpoint", server)
    with at_work(server, recipes, "there"):
        assert soon(lambda: any((recipes.parent / "there").glob("*/output.txt")))
        code, shown = command("runs", "--follow", task, "--runs", recipes.parent / "there", *options)
        assert code == 0
        assert shown.endswith("first\nlast\n") and "\x1b" not in shown
        assert command("runs", "--follow", task, *options)[1].endswith(
            f"no run is at work on #{task}; calypso-nb runs tells what ran\n"
        )
    (recipes / "default.py").write_text("import time\ntime.sleep(60)\n")
    other = add(live_board)
    with at_work(server, recipes, "there"):
        assert soon(lambda: any((recipes.parent / "there").glob(f"{other}-*/output.txt")))
        code, shown = command("runs", "--follow", other, *options)
        assert (code, "is it on another machine?" in shown) == (2, True)
