"""The reporter: its numbers against the same counted with SQL, its schema, and what it does not know."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import mcp_types as types
import pandas as pd
import pytest
from mcp.server.lowlevel import Server

from calypso_nb import TinytaskClient, WorkloadData, WorkloadReporter
from calypso_nb.embedded import TinytaskStore, create_server
from calypso_nb.errors import UsageError
from calypso_nb.frames import AGE_BUCKETS, AGE_COLUMNS, AGENT_COLUMNS, PRIORITY_COLUMNS, TASK_COLUMNS
from tests.boards import HOSTILE, report_of, task
from tests.conftest import NOW
from tests.v1_server import running_v1_server

pytestmark = pytest.mark.usefixtures("clean_environment")

DATA = Path(__file__).parent / "data"
OBEYED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
OPEN = "status IN ('idle', 'working') AND archived_at IS NULL"
AGE = f"({int(NOW.timestamp())} - CAST(strftime('%s', created_at) AS INTEGER)) / 3600.0"
COUNTS = """count(*) FILTER (WHERE status <> 'complete'), count(*) FILTER (WHERE status = 'idle'),
    count(*) FILTER (WHERE status = 'working'), count(*) FILTER (WHERE status = 'complete')"""
BLOCKED = """EXISTS (SELECT 1 FROM tasks AS other
    WHERE other.id = tasks.blocked_by_task_id AND other.status <> 'complete')"""


@pytest.fixture
def reporter(sample_store: TinytaskStore) -> Iterator[WorkloadReporter]:
    """A reporter over the sample project, with one archived task of each status added."""
    for status in ("idle", "working", "complete"):
        sample_store.insert_many(
            [{"title": "gone", "status": status, "assigned_to": "ghost", "archived_at": NOW}]
        )
    with TinytaskClient(create_server(sample_store)) as client:
        yield WorkloadReporter(client)


def rows(store: TinytaskStore, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    return store.connection.execute(sql, values).fetchall()


def lines(frame: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    """The frame's rows as plain tuples, with None for NA."""
    plain = frame[list(columns)].astype(object)
    return [tuple(row) for row in plain.where(plain.notna(), None).itertuples(index=False)]


def dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {name: str(dtype) for name, dtype in frame.dtypes.items()}


def collect(reporter: WorkloadReporter, **arguments: Any) -> WorkloadData:
    return reporter.collect_workload_data(
        **({"status_filter": "all", "now": NOW, "details": False} | arguments)
    )


SCHEMA = {"type": "object", "properties": {"include_archived": {}, "id": {}}}


def answering(tools: dict[str, Callable[[dict[str, Any]], str]]) -> Server[Any]:
    """An MCP server that has these tools, each a function from arguments to the text of the answer."""

    async def list_tools(_: Any, __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[types.Tool(name=n, input_schema=SCHEMA) for n in tools])

    async def call_tool(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            text, is_error = tools[params.name](params.arguments or {}), False
        except ValueError as refusal:
            text, is_error = str(refusal), True
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=is_error)

    return Server("tinytask", on_list_tools=list_tools, on_call_tool=call_tool)


# The numbers


def test_the_summary_counts_what_sql_counts(reporter: WorkloadReporter, sample_store: TinytaskStore) -> None:
    """Every number of the summary is that of a query on the tables."""
    s = collect(reporter).summary
    [counted] = rows(
        sample_store,
        f"""SELECT count(*) FILTER (WHERE status <> 'complete'), count(*) FILTER (WHERE status = 'idle'),
            count(*) FILTER (WHERE status = 'working'), count(*) FILTER (WHERE status = 'complete'),
            count(*) FILTER (WHERE status <> 'complete' AND assigned_to IS NULL),
            count(*) FILTER (WHERE status <> 'complete' AND {BLOCKED}),
            count(DISTINCT assigned_to),
            count(DISTINCT CASE WHEN status <> 'complete' THEN assigned_to END),
            max(CASE WHEN status <> 'complete' THEN {AGE} END)
            FROM tasks WHERE archived_at IS NULL""",
    )
    assert (
        s.total_open_tasks, s.total_idle, s.total_working, s.total_complete, s.total_unassigned,
        s.total_blocked, s.total_agents, len(s.agents_with_work), s.oldest_open_hours,
    ) == counted  # fmt: skip
    assert all(number > 0 for number in counted)
    oldest = rows(sample_store, f"SELECT id FROM tasks WHERE {OPEN} AND {AGE} = ?", s.oldest_open_hours)
    assert (s.oldest_open_task,) in oldest


def test_the_agents_are_those_of_sql_in_every_column(
    reporter: WorkloadReporter, sample_store: TinytaskStore
) -> None:
    """One row an agent with any task that is not archived, the busiest first."""
    agents = collect(reporter).agents
    counted = rows(
        sample_store,
        f"""SELECT assigned_to, {COUNTS},
            count(*) FILTER (WHERE status <> 'complete' AND {BLOCKED}),
            avg(CASE WHEN status <> 'complete' THEN priority END),
            avg(CASE WHEN status <> 'complete' THEN {AGE} END),
            max(CASE WHEN status <> 'complete' THEN {AGE} END)
            FROM tasks WHERE archived_at IS NULL AND assigned_to IS NOT NULL
            GROUP BY assigned_to ORDER BY 2 DESC, 1""",
    )
    exact = [*AGENT_COLUMNS][:6]
    assert lines(agents, *exact) == [row[:6] for row in counted]
    for position, name in enumerate([*AGENT_COLUMNS][6:], start=6):
        expected = [float("nan") if row[position] is None else row[position] for row in counted]
        assert agents[name].tolist() == pytest.approx(expected, nan_ok=True)
    assert "ghost" not in agents["agent"].tolist()


def test_the_priorities_are_those_of_sql(reporter: WorkloadReporter, sample_store: TinytaskStore) -> None:
    """One row a priority in use, the most urgent first."""
    counted = rows(
        sample_store,
        f"SELECT priority, {COUNTS} FROM tasks WHERE archived_at IS NULL GROUP BY 1 ORDER BY 1 DESC",
    )
    assert lines(collect(reporter).priorities, *PRIORITY_COLUMNS) == counted


def test_the_ages_are_those_of_sql(reporter: WorkloadReporter, sample_store: TinytaskStore) -> None:
    """Each bucket holds the open tasks from its lower edge up to but not including its upper one."""
    edges = [0.0, *AGE_BUCKETS.values()]
    # One task exactly on each edge, and one from a clock that is ahead.
    ages = [*edges[:-1], -2.0]
    sample_store.insert_many({"title": "edge", "created_at": NOW - timedelta(hours=hours)} for hours in ages)
    found = collect(reporter).ages
    for row, low, high in zip(lines(found, *AGE_COLUMNS), edges, edges[1:], strict=False):
        lowest = -1e9 if low == 0 else low
        [counted] = rows(
            sample_store,
            f"""SELECT count(*), count(*) FILTER (WHERE status = 'idle'),
                count(*) FILTER (WHERE status = 'working')
                FROM tasks WHERE {OPEN} AND {AGE} >= ? AND {AGE} < ?""",
            lowest,
            min(high, 1e12),
        )
        assert row[1:] == (low, high, *counted)
    assert found["age"].tolist() == [*AGE_BUCKETS]
    assert found["open"].sum() == collect(reporter).summary.total_open_tasks


def test_the_tasks_are_those_of_the_table_in_every_column(
    reporter: WorkloadReporter, sample_store: TinytaskStore
) -> None:
    """A task in the report says what its row in the database says, archived tasks are in none."""
    tasks = collect(reporter, details=True).tasks
    same = ["id", "title", "description", "status", "assigned_to", "previous_assigned_to", "created_by",
            "priority", "parent_task_id", "queue_name", "blocked_by_task_id"]  # fmt: skip
    counted = rows(
        sample_store,
        f"""SELECT {", ".join(same)}, coalesce(tags, '[]'), {BLOCKED},
            strftime('%Y-%m-%dT%H:%M:%SZ', created_at), strftime('%Y-%m-%dT%H:%M:%SZ', updated_at),
            status <> 'complete', {AGE},
            (SELECT count(*) FROM comments WHERE task_id = tasks.id),
            (SELECT count(*) FROM links WHERE task_id = tasks.id)
            FROM tasks WHERE archived_at IS NULL ORDER BY priority DESC, created_at, id""",
    )
    assert lines(tasks, *same) == [row[: len(same)] for row in counted]
    columns = list(zip(*counted, strict=True))[len(same) :]
    assert tasks["tags"].tolist() == [tuple(json.loads(tags)) for tags in columns[0]]
    assert tasks["is_currently_blocked"].tolist() == [bool(blocked) for blocked in columns[1]]
    for name, values in zip(("created_at", "updated_at"), columns[2:4], strict=True):
        assert tasks[name].dt.strftime("%Y-%m-%dT%H:%M:%SZ").tolist() == list(values)
    assert tasks["is_open"].tolist() == [bool(is_open) for is_open in columns[4]]
    assert tasks["age_hours"].tolist() == pytest.approx(columns[5])
    assert (tasks["hours_since_update"] <= tasks["age_hours"] + 1e-9).all()
    assert tasks["comment_count"].tolist() == list(columns[6])
    assert tasks["link_count"].tolist() == list(columns[7])
    assert tasks["comment_count"].sum() > 0
    assert tasks["link_count"].sum() > 0
    assert tasks["archived_at"].isna().all()
    assert "gone" not in tasks["title"].tolist()


def test_an_archived_task_leaves_the_report(reporter: WorkloadReporter, sample_store: TinytaskStore) -> None:
    """What is archived between two reports is in the first and not in the second."""
    before = collect(reporter)
    victim = int(before.tasks.loc[before.tasks["is_open"], "id"].iloc[0])
    sample_store.archive_task(victim)
    after = collect(reporter)
    assert victim in before.tasks["id"].tolist()
    assert victim not in after.tasks["id"].tolist()
    assert after.summary.total_open_tasks <= before.summary.total_open_tasks - 1


# Filters


FILTERS: list[tuple[Any, Any, str]] = [
    ("idle", None, "status = 'idle'"),
    (["idle", "working"], None, "status IN ('idle', 'working')"),
    ("complete", None, "status = 'complete'"),
    ("all", None, "TRUE"),
    ([], None, "FALSE"),
    (None, [None], "assigned_to IS NULL"),
    (None, "nobody", "FALSE"),
    (None, "{agent}", "assigned_to = '{agent}'"),
    (
        ["working"],
        ["{agent}", None],
        "status = 'working' AND (assigned_to = '{agent}' OR assigned_to IS NULL)",
    ),
]


@pytest.mark.parametrize(("status", "agent", "where"), FILTERS)
def test_a_filter_narrows_to_what_sql_selects(
    status: Any, agent: Any, where: str, reporter: WorkloadReporter, sample_store: TinytaskStore
) -> None:
    """Collecting with a filter, and selecting from the whole, both give the tasks of the query."""
    whole = collect(reporter)
    busiest = whole.agents["agent"].iloc[0]
    if isinstance(agent, str):
        agent = agent.format(agent=busiest)
    elif agent is not None:
        agent = [name and name.format(agent=busiest) for name in agent]
    wanted = rows(
        sample_store,
        f"""SELECT id FROM tasks WHERE archived_at IS NULL AND {where.format(agent=busiest)}
            ORDER BY priority DESC, created_at, id""",
    )
    collected = collect(reporter, status_filter="all" if status is None else status, agent_filter=agent)
    selected = whole.select(status_filter=status, agent_filter=agent)
    assert lines(collected.tasks, "id") == wanted
    for name in ("tasks", "agents", "priorities", "ages"):
        pd.testing.assert_frame_equal(getattr(selected, name), getattr(collected, name))
    assert selected.summary == collected.summary
    assert selected.status_filter == collected.status_filter
    assert selected.agent_filter == collected.agent_filter
    assert selected.filters_text() == collected.filters_text()
    assert (selected.endpoint, selected.generated_at, selected.details) == (whole.endpoint, NOW, False)
    assert collected.summary.total_open_tasks == len(collected.tasks[collected.tasks["is_open"]])


def test_selecting_twice_narrows_further(reporter: WorkloadReporter) -> None:
    """The second filter is joined to the first, and the words tell both."""
    whole = collect(reporter)
    agent = whole.agents["agent"].iloc[0]
    once = whole.select(status_filter=["idle", "working"])
    twice = once.select(status_filter=["working", "complete"]).select(agent_filter=agent)
    assert twice.status_filter == ("working",)
    assert set(twice.tasks["status"]) <= {"working"}
    assert twice.filters_text() == f"status: working; agent: {agent}"
    assert whole.filters_text() == "status: all; agent: all"
    assert whole.select(agent_filter=[None]).filters_text() == "status: all; agent: (unassigned)"


# Schema


def test_an_empty_board_has_the_documented_schema(store: TinytaskStore) -> None:
    """No task: the same columns and dtypes, counts of zero, and nothing that is oldest."""
    for details in (False, True):
        data = collect(WorkloadReporter(TinytaskClient(create_server(store))), details=details)
        for frame, columns in (
            (data.tasks, TASK_COLUMNS),
            (data.agents, AGENT_COLUMNS),
            (data.priorities, PRIORITY_COLUMNS),
            (data.ages, AGE_COLUMNS),
        ):
            assert dtypes(frame) == {name: column.dtype for name, column in columns.items()}
        s = data.summary
        assert (s.total_open_tasks, s.total_complete, s.total_agents, s.total_blocked) == (0, 0, 0, 0)
        assert (s.oldest_open_hours, s.oldest_open_task) == (None, None)
        assert data.ages["open"].tolist() == [0] * len(AGE_BUCKETS)


@pytest.mark.parametrize("details", [False, True])
def test_a_full_board_has_the_documented_schema(reporter: WorkloadReporter, details: bool) -> None:
    """The dtypes are those of the empty frame, details or not, and whatever the filter leaves."""
    whole = collect(reporter, details=details)
    for data in (whole, whole.select(agent_filter="nobody"), whole.select(agent_filter=[None])):
        for frame, columns in (
            (data.tasks, TASK_COLUMNS),
            (data.agents, AGENT_COLUMNS),
            (data.priorities, PRIORITY_COLUMNS),
            (data.ages, AGE_COLUMNS),
        ):
            assert dtypes(frame) == {name: column.dtype for name, column in columns.items()}
            assert frame.index.equals(pd.RangeIndex(len(frame)))


def test_a_report_is_frozen(reporter: WorkloadReporter) -> None:
    """Neither the report nor its summary can be changed in place."""
    data = collect(reporter)
    with pytest.raises(FrozenInstanceError):
        data.details = True  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        data.summary.total_idle = 0  # type: ignore[misc]


def test_a_report_tells_itself_in_one_line(reporter: WorkloadReporter) -> None:
    """The repr holds the counts, the moment, the server and the filters."""
    data = collect(reporter, status_filter="idle")
    assert repr(data) == (
        f"<WorkloadData {len(data.tasks)} tasks: {len(data.tasks)} open ({len(data.tasks)} idle, 0 working), "
        f"{data.summary.total_agents} agents; 2026-11-23 09:30:00 UTC "
        "from in-process Server; status: idle; agent: all>"
    )


# Details


def test_without_details_the_counts_are_not_known(reporter: WorkloadReporter) -> None:
    """What was not read is NA, not 0."""
    tasks = collect(reporter, details=False).tasks
    assert tasks["comment_count"].isna().all()
    assert tasks["link_count"].isna().all()


def test_a_task_deleted_after_the_listing_has_unknown_counts(sample_store: TinytaskStore) -> None:
    """A task that goes between the listing and its details stays in the report, its counts NA."""
    victim = sample_store.create_task("doomed", "test", priority=99)["id"]

    def list_tasks(arguments: dict[str, Any]) -> str:
        listing = json.dumps({"tasks": sample_store.list_tasks(**arguments)})
        sample_store.delete_task(victim)
        return listing

    server = answering(
        {
            "list_tasks": list_tasks,
            "get_task": lambda arguments: json.dumps(sample_store.get_task(**arguments)),
        }
    )
    tasks = collect(WorkloadReporter(TinytaskClient(server)), details=True).tasks.set_index("id")
    assert pd.isna(tasks.at[victim, "comment_count"])
    assert pd.isna(tasks.at[victim, "link_count"])
    assert tasks.drop(index=victim)["comment_count"].notna().all()


def test_progress_is_told_to_whom_asks(reporter: WorkloadReporter, capfd: pytest.CaptureFixture[str]) -> None:
    """A function gets done and total; where no terminal is, nothing is printed."""
    seen: list[tuple[int, int]] = []
    data = collect(reporter, details=True, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(data.tasks), len(data.tasks))
    collect(reporter, details=True)
    assert capfd.readouterr() == ("", "")


# What a server does not say


def test_records_of_v1_leave_unknown_what_v1_does_not_say() -> None:
    """A recorded v1 listing: no queue, no parent, no blocking, which is NA and neither 0 nor False."""
    recorded = [json.loads(line) for line in (DATA / "tinytask-v1.jsonl").read_text("utf-8").splitlines()]
    listings = [
        line["content"][0]["text"]
        for line in recorded
        if line["call"] == "list_tasks"
        and not line["isError"]
        and json.loads(line["content"][0]["text"])["tasks"]
    ]
    assert listings
    for text in listings:
        server = answering({"list_tasks": lambda _, text=text: text})  # type: ignore[misc]
        data = collect(WorkloadReporter(TinytaskClient(server)))
        assert len(data.all_tasks) == json.loads(text)["count"]
        for name in ("parent_task_id", "queue_name", "blocked_by_task_id", "is_currently_blocked"):
            assert data.tasks[name].isna().all()
        assert dtypes(data.tasks) == {name: column.dtype for name, column in TASK_COLUMNS.items()}
        if data.summary.total_open_tasks:
            assert data.summary.total_blocked is None
        busy = data.agents[data.agents["open"] > 0]
        assert busy["blocked"].isna().all()
        assert data.tasks["created_at"].notna().all()


def test_both_kinds_of_timestamp_are_utc(store: TinytaskStore) -> None:
    """v1 writes no zone and v2 a Z: the same moment, and the same report."""
    store.insert_many([{"title": "one", "created_at": NOW - timedelta(hours=3), "assigned_to": "alice"}])
    with (
        running_v1_server(store) as url,
        TinytaskClient(url) as v1,
        TinytaskClient(create_server(store)) as v2,
    ):
        old, new = collect(WorkloadReporter(v1)), collect(WorkloadReporter(v2))
        assert " " in v1.list_task_records()[0]["created_at"]
        assert "T" in v2.list_task_records()[0]["created_at"]
        assert v1.get_task(1).created_at == v2.get_task(1).created_at == NOW - timedelta(hours=3)
    for data in (old, new):
        assert data.tasks["created_at"].item() == pd.Timestamp(NOW - timedelta(hours=3))
        assert data.tasks["age_hours"].item() == 3.0
    assert (old.summary.total_blocked, new.summary.total_blocked) == (None, 0)


def test_now_is_told_in_utc_whatever_its_zone(reporter: WorkloadReporter) -> None:
    """An aware moment of another zone is the same moment."""
    data = collect(reporter, now=NOW.astimezone(timezone(timedelta(hours=-7))))
    assert data.generated_at == NOW
    assert data.generated_at.tzinfo is UTC
    pd.testing.assert_frame_equal(data.tasks, collect(reporter).tasks)
    assert abs(datetime.now(UTC) - reporter.collect_workload_data(details=False).generated_at) < timedelta(
        minutes=1
    )


# Mistakes


def test_a_naive_now_is_a_value_error(reporter: WorkloadReporter) -> None:
    """A moment without a zone could be any hour."""
    with pytest.raises(ValueError, match="time zone"):
        reporter.collect_workload_data(now=datetime(2026, 11, 23))


@pytest.mark.parametrize("status", ["open", ["idle", "paused"], "Idle"])
def test_an_unknown_status_is_a_value_error(status: Any, reporter: WorkloadReporter) -> None:
    """A status that TinyTask lacks is told with those that it has, before the server is asked."""
    with pytest.raises(ValueError, match="TinyTask has idle, working, complete"):
        reporter.collect_workload_data(status_filter=status)
    with pytest.raises(ValueError, match="unknown status"):
        collect(reporter).select(status_filter=status)


# In a cell


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_report_in_a_cell_is_small_and_inert(hostile: str) -> None:
    """Numbers and ten rows, each text escaped and cut, so that a saved notebook stays small and safe."""
    titles = [f"{hostile} {'<b>' * 500}", *(f"task {n}" for n in range(2000))]
    data = report_of(task(n, title, assigned_to=hostile) for n, title in enumerate(titles, start=1))
    html = data._repr_html_()
    assert len(html) < 8000
    assert html.count("<tr>") == 11
    assert "Open <b>2,001</b>" in html and "1,991 more" in html
    tags = set(re.findall(r"<(\w+)", html))
    assert tags == {"div", "p", "b", "table", "thead", "tbody", "tr", "th", "td", "code"}
    joiners = "\u200c\u200d"
    assert not OBEYED & {unicodedata.category(c) for c in html if c not in joiners}


def test_a_narrowed_report_can_do_what_the_whole_one_can(reporter: WorkloadReporter) -> None:
    """Whatever makes another report of one keeps its class."""
    data = collect(reporter)
    for narrowed in (data.select(status_filter="idle"), replace(data, tasks=data.tasks.head(3))):
        assert type(narrowed) is WorkloadData
        assert narrowed.to_markdown() and narrowed.to_console() and narrowed.to_csv()
        assert WorkloadData.from_json(narrowed.to_json()).summary == narrowed.summary


def test_a_file_that_nobody_named_and_is_no_history_is_no_reason_to_report_nothing(
    clean_environment: Path,
) -> None:
    """`history.db` is a common name; one that was named has to be a history."""
    (clean_environment / "history.db").write_text("something else")
    with TinytaskClient("demo") as client:
        with pytest.warns(UserWarning, match=r"silent is not known: history\.db is not a history"):
            data = WorkloadReporter(client).collect_workload_data(details=False)
        assert len(data.tasks) and data.silent_after == {}
        with pytest.raises(UsageError, match="is not a history"):
            WorkloadReporter(client, "history.db").collect_workload_data(details=False)
