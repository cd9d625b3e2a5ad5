"""A report as console text, JSON, Markdown and CSV: complete, readable again, and never led by a title."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from wcwidth import wcswidth

from calypso_nb import TinytaskClient, WorkloadData, WorkloadReporter
from calypso_nb.cli.conditions import condition_that_holds, metrics, parse_condition
from calypso_nb.embedded import fill_sample
from calypso_nb.embedded.store import TinytaskStore
from calypso_nb.frames import (
    AGE_COLUMNS,
    AGENT_COLUMNS,
    PRIORITY_COLUMNS,
    QUEUE_COLUMNS,
    TAG_COLUMNS,
    TASK_COLUMNS,
    tasks_frame,
)
from calypso_nb.text.console import to_console
from calypso_nb.text.csv import to_csv
from calypso_nb.text.json import to_json
from calypso_nb.text.markdown import code, to_markdown
from calypso_nb.text.schema import report_schema
from calypso_nb.visible import visible
from calypso_nb.workload.attention import ATTENTION_COLUMNS
from calypso_nb.workload.blocking import BLOCKING_COLUMNS
from calypso_nb.workload.flow import FLOW_COLUMNS
from calypso_nb.workload.phrases import UNKNOWN, readable_hours
from calypso_nb.workload.tree import TREE_COLUMNS
from tests.boards import HOSTILE, NOW, report_of, rows, same_report, task, texts, without_v2

SNAPSHOTS = Path(__file__).parent / "data"
# Terminals don't agree on whether vowel signs beside a letter take a column; rich takes them as part of it.
SPACING_MARK = re.compile(
    f"[\U0001171e{''.join(c for c in map(chr, range(0x110000)) if unicodedata.category(c) == 'Mc')}]"
)
OBEYED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}

filters = st.fixed_dictionaries(
    {},
    optional={
        "status_filter": st.lists(st.sampled_from(["idle", "working", "complete"]), unique=True),
        "agent_filter": st.lists(st.none() | texts(), max_size=2),
    },
)


def sample() -> WorkloadData:
    """The sample project with some titles that try a console's patience, at a fixed moment."""
    with TinytaskStore(now=lambda: NOW) as store:
        fill_sample(store, now=NOW, tasks=120)
        for number, title in enumerate(HOSTILE, start=1):
            store.insert_many(
                [task(1000 + number, title, priority=20, assigned_to="設計者 🤖" if number % 2 else None)]
            )
        board = tasks_frame(store.list_tasks(include_archived=True), NOW)
    current = board[board["archived_at"].isna()].reset_index(drop=True)
    return WorkloadData(current, board, NOW, "http://localhost:3000")


# --- All formats


@given(rows())
def test_totals_are_the_sums_of_their_parts(rows: list[dict[str, Any]]) -> None:
    """Every task is counted once in the statuses, the priorities, the ages and the queues."""
    document = json.loads(to_json(report_of(rows)))
    summary = document["summary"]
    assert summary["total_open_tasks"] == summary["total_idle"] + summary["total_working"]
    assert summary["total_open_tasks"] + summary["total_complete"] == len(document["tasks"])
    assert len({task["id"] for task in document["tasks"] + document["context"]}) == len(rows)
    for part in ("priorities", "queues"):
        assert sum(row["open"] for row in document[part]) == summary["total_open_tasks"]
    assert sum(row["open"] for row in document["age_metrics"]["buckets"]) == summary["total_open_tasks"]
    breakdown, priorities = document["agent_breakdown"], document["priority_distribution"]["by_priority"]
    counted = [sum(one["total_tasks"] for one in breakdown.values()), sum(priorities.values())]
    assert counted == [len(document["tasks"])] * 2
    of_agents = sum(row["open"] for row in document["agents"])
    assert of_agents + summary["total_unassigned"] == summary["total_open_tasks"]


@given(rows(), filters)
def test_no_text_breaks_a_format(rows: list[dict[str, Any]], filters: dict[str, Any]) -> None:
    """Whatever stands in a field, all formats are written, and JSON and CSV say the same."""
    data = report_of(rows, **filters)
    titles = [task["title"] for task in json.loads(to_json(data))["tasks"]]
    assert titles == data.tasks["title"].tolist()
    assert [row["title"] for row in cells_of_csv(to_csv(data.tasks))] == titles
    assert to_console(data, 80) and to_markdown(data)


# --- JSON


@given(rows(), filters)
def test_json_reads_back_as_the_same_report(rows: list[dict[str, Any]], filters: dict[str, Any]) -> None:
    """Every field is the same again, filters and what they left out included, and so is its JSON."""
    data = report_of(rows, **filters)
    text = to_json(data, context=True)
    again = WorkloadData.from_json(text)
    assert same_report(data, again)
    assert to_json(again, context=True) == text


@pytest.mark.slow
@given(rows(), filters)
def test_json_without_the_whole_context_reads_back_as_the_same_numbers(
    rows: list[dict[str, Any]], filters: dict[str, Any]
) -> None:
    """Of the tasks that the filters leave out it holds what attention, blocking and tree are made from."""
    data = report_of(rows, **filters)
    text = to_json(data)
    again = WorkloadData.from_json(text)
    assert again.all_tasks["id"].tolist() == data.all_tasks["id"].tolist()
    assert same_report(replace(data, all_tasks=again.all_tasks), again)
    assert to_json(again) == text
    assert not any("description" in task for task in json.loads(text)["context"])


@given(rows(), filters, st.booleans())
def test_json_validates_against_its_schema(
    rows: list[dict[str, Any]], filters: dict[str, Any], context: bool
) -> None:
    """The schema in the package holds for any board."""
    document = json.loads(to_json(report_of(rows, **filters), context=context))
    jsonschema.Draft202012Validator(report_schema()).validate(document)


def test_the_schema_knows_every_column_and_allows_no_other() -> None:
    """A column that is added or renamed without the schema is found here."""
    jsonschema.Draft202012Validator.check_schema(report_schema())
    for name, columns in {
        "attention": ATTENTION_COLUMNS,
        "agents": AGENT_COLUMNS,
        "priorities": PRIORITY_COLUMNS,
        "blocking": BLOCKING_COLUMNS,
        "queues": QUEUE_COLUMNS,
        "tags": TAG_COLUMNS,
        "tree": TREE_COLUMNS,
        "tasks": TASK_COLUMNS | FLOW_COLUMNS,
    }.items():
        rows = report_schema()["properties"][name]["items"]
        assert set(rows["properties"]) == set(columns) == set(rows["required"]), name
        assert rows["additionalProperties"] is False
    buckets = report_schema()["properties"]["age_metrics"]["properties"]["buckets"]["items"]
    assert set(buckets["properties"]) == set(AGE_COLUMNS)


def test_json_is_ascii_and_says_unknown_as_null() -> None:
    """A `cat` of it obeys nothing, and what a v1 server does not tell is null, not 0."""
    data = sample()
    v1 = WorkloadData(without_v2(data.tasks), without_v2(data.all_tasks), NOW, data.endpoint)
    text = to_json(v1, context=True)
    assert text.isascii()
    document = json.loads(text)
    assert document["summary"]["total_blocked"] is None
    assert document["tasks"][0]["is_currently_blocked"] is None
    assert same_report(WorkloadData.from_json(text), v1)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"tasks": [], "context": []}', '{"tasks": [{}], "context": []}']
)
def test_what_is_no_report_is_refused(text: str) -> None:
    """With a ValueError, whatever it is instead."""
    with pytest.raises(ValueError):
        WorkloadData.from_json(text)


# --- CSV


def cells_of_csv(text: str) -> list[dict[str, str]]:
    """A dict per line, each text as it was before it got apostrophes."""
    rows = csv.DictReader(io.StringIO(text, newline=""))
    before = re.compile(r"(?:\A|(?<=[,;|\"\t\r\n]))'")
    return [{name: before.sub("", cell) for name, cell in row.items()} for row in rows]


@given(rows())
def test_csv_holds_every_field_of_every_task(rows: list[dict[str, Any]]) -> None:
    """Numbers and times as they are, each character of a text, tags as JSON."""
    tasks = report_of(rows).tasks
    cells = cells_of_csv(to_csv(tasks))
    assert [int(row["id"]) for row in cells] == tasks["id"].tolist()
    assert [tuple(json.loads(row["tags"])) for row in cells] == tasks["tags"].tolist()
    assert [row["description"] for row in cells] == tasks["description"].fillna("").tolist()
    assert [pd.Timestamp(row["created_at"]) for row in cells] == tasks["created_at"].tolist()
    assert [float(row["age_hours"]) for row in cells] == tasks["age_hours"].tolist()


@given(texts())
@example(";\t=1")
@example("''=1")
@example('"=1')
def test_no_cell_of_the_csv_starts_a_formula(text: str) -> None:
    """Not at the start of a cell, nor where a spreadsheet that splits at another character would see one."""
    csv_text = to_csv(report_of([task(1, text, description=text, tags=[text], queue_name=text)]).tasks)
    [_, cells] = list(csv.reader(io.StringIO(csv_text, newline="")))
    of_text = [
        cell
        for cell, column in zip(cells, TASK_COLUMNS.values(), strict=True)
        if column.dtype in ("str", "object")
    ]
    for cell in of_text:
        for part in re.split(r"[,;|\"\t\r\n]", cell):
            assert not part or part[0] not in "=+-@\uff1d\uff0b\uff0d\uff20"
        assert cell[:1] not in ("\t", "\r", "\n")


# --- Markdown


def cells_of(markdown: str) -> list[list[str]]:
    """The text of each cell of each table, as a renderer of GitHub's Markdown sees it."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown)
    found: list[list[str]] = []
    for before, token in pairwise(tokens):
        if before.type == "tr_open":
            found.append([])
        if before.type in ("td_open", "th_open"):
            children = token.children or []
            assert all(child.type in ("code_inline", "text") for child in children), token.content
            found[-1].append("".join(child.content for child in children))
    return found


@given(texts())
def test_a_text_is_one_cell_of_code_in_a_markdown_table(text: str) -> None:
    """No character ends the span, the cell or the row, and what is shown is the text itself."""
    rows = cells_of(f"| a | b |\n| --- | --- |\n| {code(text)} | x |\n")
    assert [len(row) for row in rows] == [2, 2]
    assert rows[1][1] == "x"
    if "\\|" not in text and "\\" not in text:
        assert rows[1][0] == (visible(text).strip() if text.strip() else UNKNOWN)


@given(rows())
def test_markdown_tables_have_a_row_a_task(rows: list[dict[str, Any]]) -> None:
    """Every row has the cells of its header, and no text of an agent is anything but code."""
    data = report_of(rows)
    markdown = to_markdown(data, most=100)
    ids = [row[0] for row in cells_of(markdown) if len(row) == 6 and row[2] in ("idle", "working")]
    assert ids == [str(number) for number in data.tasks.loc[data.tasks["is_open"], "id"]]


# --- Console


@example([task(1, assigned_to="\x80\x80\U00016f51", title="\x1b[31mred\x1b[0m\x07")], 60)
@example([task(1, assigned_to="\U0001f1e9" * 3, title="\U0001f1e9 \U0001f3fb" * 40)], 60)
@given(rows(), st.sampled_from([60, 80, 120, 160]))
def test_no_line_is_wider_than_the_console(rows: list[dict[str, Any]], width: int) -> None:
    """Wide characters and emoji are measured as a terminal does, and nothing in a text is obeyed."""
    for line in to_console(report_of(rows), width).split("\n"):
        assert all(unicodedata.category(c) not in OBEYED or c in "\u200c\u200d" for c in line), repr(line)
        assert wcswidth(SPACING_MARK.sub("", line)) <= width


LONG = {"23": "reconciliation-agent-07", "500": "n" * 500, "wide": "設計者" * 8}


@pytest.mark.parametrize("name", LONG.values(), ids=LONG)
@pytest.mark.parametrize("width", [40, 60, 80, 160])
def test_names_shrink_and_numbers_never(width: int, name: str) -> None:
    """However narrow the terminal and however long a name, each number of each table stands there whole."""
    rows = [
        task(
            1000 + number,
            created=900 - number / 7,
            assigned_to=name if number % 2 else "bob",
            queue_name=name,
            status="working" if number % 3 == 0 else "idle",
            priority=12 + number % 2,
            parent_task_id=1000 if number else None,
            blocked_by_task_id=1001 if number > 1001 else None,
        )
        for number in range(1204)
    ]
    data = report_of(rows)
    text = to_console(data, width)
    lines = text.split("\n")
    assert max(wcswidth(line) for line in lines) <= width
    assert not re.search(r"\d[\d.,]*…", text)

    def line_of(section: str, start: str) -> str:
        return next(line for line in lines[lines.index(section) :] if line.startswith(start))

    of_agent = line_of("Agents", name[:2])
    agent = data.agents[data.agents["agent"] == name].iloc[0]
    for number in (f"{agent['open']:,}", f"{agent['working']:,}", readable_hours(agent["oldest_age_hours"])):
        assert number in of_agent
    assert "1,204" in line_of("Queues", name[:2])
    assert "1001  " in text and f"{data.summary.total_open_tasks:,} open" in text
    for row in data.blocking[data.blocking["holds_up_directly"] > 0].to_dict("records"):
        line = line_of("Blocking", str(row["id"]))
        assert f"{row['holds_up_in_all']:,}" in line and f"{row['holds_up_directly']:,}" in line


def test_no_column_of_numbers_is_left_out_where_a_name_can_be_cut() -> None:
    """At 60 columns the agents have all of them, at 40 too if the numbers are small."""
    rows = [task(number, created=900, assigned_to="n" * 60) for number in range(1, 30)]
    for width in (60, 40):
        lines = to_console(report_of(rows), width).split("\n")
        assert lines[lines.index("Agents") + 2].split()[1:] == ["29", "29", "0", "0", "0", *["37.5", "d"] * 2]


def test_a_terminal_of_twenty_columns_shows_whole_numbers() -> None:
    """What has no room there is left out."""
    lines = to_console(report_of([task(1234, created=200, assigned_to="n" * 30)]), 20).split("\n")
    assert lines[-2].split()[:3] == ["1234", "8.3", "d"]


def test_a_board_too_big_for_the_width_loses_columns_and_no_digits() -> None:
    """What is left is whole, and the title of the column says what it is."""
    data = report_of([task(1, created=24_000, assigned_to="n" * 60)])
    counts = ["open", "idle", "working", "complete", "blocked"]
    data.agents[counts] = 1_234_567
    lines = to_console(data, 40).split("\n")
    at = lines.index("Agents")
    assert lines[at + 1].split() == ["agent", "open", "blocked", "oldest"]
    assert lines[at + 2].split()[1:] == ["1,234,567", "1,234,567", "1000.0", "d"]


def test_a_skin_tone_without_an_emoji_is_written_out() -> None:
    """Terminals don't agree on its width; on an emoji it stays."""
    assert visible("a\U0001f3fb \U0001f44d\U0001f3fb\U0001f3ff") == "a<U+1F3FB> \U0001f44d\U0001f3fb<U+1F3FF>"


@pytest.mark.parametrize("width", [80, 160])
def test_a_hostile_board_fits_the_columns(width: int) -> None:
    """The sample with wide characters, emoji, escapes and markup stays within the width, and shows them."""
    text = to_console(sample(), width)
    assert max(wcswidth(line) for line in text.split("\n")) <= width
    assert "␛[31mred" in text
    assert "[bold red]markup[/]" in text
    assert "<U+202E>" in text
    assert "日本語のタスク 🚀" in text


@pytest.mark.parametrize("width", [80, 160])
def test_the_console_looks_as_it_was_looked_at(width: int) -> None:
    """The snapshot in tests/data is what a person has seen and found good; write it again after looking."""
    snapshot = SNAPSHOTS / f"console-{width}.txt"
    assert to_console(sample(), width) == snapshot.read_text("utf-8")


def test_colour_is_there_when_asked_for_and_only_then() -> None:
    """Without it there is no escape sequence; with it the text is the same."""
    data = sample()
    plain, coloured = to_console(data, 80), to_console(data, 80, color=True)
    assert "\x1b" not in plain
    without = "\n".join(line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", coloured).split("\n"))
    assert coloured != plain and without == plain


def test_the_console_never_prints_a_bound_as_a_value() -> None:
    """Work item ages are ranges, and what has lasted for at least so long has a sign."""
    data = report_of(
        [
            task(1, status="working", created=50, updated=3),
            task(2, status="working", created=50, updated=4),
        ]
    )
    wide = to_console(data, 160)
    assert "3.0 h to 2.1 d" in wide
    assert "≥ 3.0 h" in wide


def test_an_empty_board_is_a_report_too() -> None:
    """No section fails for want of tasks."""
    data = report_of([])
    assert "0 open" in to_console(data, 80)
    assert "**0** open" in to_markdown(data)
    assert cells_of_csv(to_csv(data.tasks)) == []
    assert same_report(WorkloadData.from_json(to_json(data)), data)


# --- Conditions


@pytest.mark.parametrize(
    ("expression", "held"),
    [
        ("idle > 1", "idle > 1 (idle is 2)"),
        ("idle>2", None),
        ("idle >= 2 and working == 0", "idle >= 2 and working == 0 (idle is 2, working is 0)"),
        ("idle > 2 or oldest_hours > 48", "idle > 2 or oldest_hours > 48 (idle is 2, oldest_hours is 50)"),
        (
            "idle > 2 and open > 0 or working < 1",
            "idle > 2 and open > 0 or working < 1 (open is 2, idle is 2, working is 0)",
        ),
        ("idle > 2 and (open > 0 or working < 1)", None),
        ("unassigned != 0", None),
        ("oldest_hours <= -1.5", None),
        ("1 < idle < 3", "1 < idle < 3 (idle is 2)"),
        ("idle > working", "idle > working (idle is 2, working is 0)"),
    ],
)
def test_a_condition_says_what_holds(expression: str, held: str | None) -> None:
    """`and` binds closer than `or`, and the numbers found are told."""
    data = report_of([task(1, created=50), task(2)])
    assert condition_that_holds(parse_condition(expression), data) == held


@pytest.mark.parametrize(
    "expression",
    [
        *("", "idle", "idle > ", "idle > x", "foo > 1", "idle > 1 and", "2 > 1", "idle > True", "\0"),
        *("__import__('os')", "idle.max() > 1", "@pd", "idle > @pd", "idle in [1]", "idle + 1 > 2"),
        *("not idle > 1", "idle := 1", "idle > 1; open > 1", "idle > 1j", "idle > 'a'", "`idle` > 1"),
    ],
)
def test_what_is_no_condition_is_refused_with_the_names(expression: str) -> None:
    """The error lists what can be written."""
    with pytest.raises(ValueError, match="oldest_hours"):
        parse_condition(expression)


def test_every_metric_is_a_number_of_the_report() -> None:
    """Each name gives a number on a v2 board with comments, and what v1 does not tell decides nothing."""
    data = sample()
    unread = {"waiting_on_human", "run_lost"}
    assert {name for name, value in metrics(data).items() if value is None} == unread
    with TinytaskClient("demo") as client:
        read = WorkloadReporter(client).collect_workload_data("all")
    assert all(isinstance(value, int | float) for value in metrics(read).values())
    v1 = WorkloadData(without_v2(data.tasks), without_v2(data.all_tasks), NOW, data.endpoint)
    assert {name for name, value in metrics(v1).items() if value is None} == unread | {
        "blocked",
        "archived_blocker",
        "blocking_cycle",
        "unserved_queue",
        "working_blocked",
        "parked",
        "complete_parent",
        "archived_parent",
    }
    with pytest.raises(ValueError, match="'blocked' is unavailable: this server doesn't report it"):
        condition_that_holds(parse_condition("blocked > 0"), v1)
