"""The first screen's numbers, agents and backlog, and the tab of agents: what they say and what they open."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Locator

from calypso_nb import TinytaskClient, WorkloadData, WorkloadReporter, charts
from calypso_nb.embedded import TinytaskStore, create_server
from calypso_nb.frames import tasks_frame
from calypso_nb.team import Team
from calypso_nb.view.page import report_page
from calypso_nb.view.payload import view_payload
from calypso_nb.view.still import still
from tests.browser import Opened, live_view
from tests.conftest import NOW as SAMPLE_NOW
from tests.test_page import NOW, data_of, record

pytestmark = pytest.mark.browser
OpenPage = Callable[[str], Opened]
VIEW = "document.querySelector('.calypso-view').__calypso"
WEEK, DAY = timedelta(days=7), timedelta(days=1)
UPDATE = """
const view = mount(document.querySelector(".calypso-view"), read("payload"));
window.refresh = () => view.update(read("next"));
"""


def ago(**span: float) -> str:
    return (NOW - timedelta(**span)).isoformat()


def task(number: int, agent: str | None = "alice", status: str = "idle", **fields: Any) -> dict[str, Any]:
    """A task that waits for none, made two days ago."""
    made = {"created_at": ago(days=2), "updated_at": ago(days=1), "priority": 0}
    free = {"is_currently_blocked": False, "blocked_by_task_id": None}
    return record(number, assigned_to=agent, status=status, **{**made, **free, **fields})


def blocked_by(number: int) -> dict[str, Any]:
    return {"is_currently_blocked": True, "blocked_by_task_id": number}


def drawn(seed: int, count: int = 150) -> WorkloadData:
    """A board drawn at random: unassigned, blocked, circled and archived tasks, with unknown times."""
    random_ = random.Random(seed)
    agents = [None, "alice", "bob", "constructor", "(unassigned)", "__proto__", ""]
    records = []
    for number in range(1, count + 1):
        hours = random_.expovariate(1 / 150)
        waits = random_.random() < 0.25
        times: dict[str, Any] = {
            "created_at": ago(hours=hours),
            "updated_at": ago(hours=hours * random_.random()),
        }
        records.append(
            task(
                number,
                random_.choice(agents),
                random_.choice(["idle", "working", "complete"]),
                priority=random_.choice([-1, 0, 5, 9, 10]),
                **(blocked_by(random_.randrange(1, count + 1)) if waits else {}),
                **(times if random_.random() < 0.95 else {"created_at": None}),
                archived_at=ago(hours=1) if random_.random() < 0.1 else None,
                parent_task_id=random_.randrange(1, count + 1) if random_.random() < 0.1 else None,
            )
        )
    open_ = {one["id"] for one in records if one["status"] != "complete"}
    for one in records:
        one["is_currently_blocked"] = one["blocked_by_task_id"] in open_ - {one["id"]}
    return data_of(records)


@pytest.fixture
def sample(sample_store: TinytaskStore) -> WorkloadData:
    with TinytaskClient(create_server(sample_store)) as client:
        reporter = WorkloadReporter(client)
        return reporter.collect_workload_data(status_filter="all", progress=False, now=SAMPLE_NOW)


def ids(opened: Opened) -> set[int]:
    """The tasks that the filter lets through."""
    return {*opened.page.evaluate(f"() => {VIEW}.shown.map((i) => {VIEW}.rows[i].id)")}


def at(opened: Opened) -> str:
    return opened.page.evaluate(f"() => {VIEW}.tab")


def go(opened: Opened, tab: str, **filter: Any) -> None:
    opened.page.evaluate(f"([tab, filter]) => {VIEW}.handle.go(tab, filter)", [tab, filter])


def back(opened: Opened, tab: str = "now") -> None:
    opened.page.evaluate(f"(tab) => {VIEW}.handle.go(tab, {VIEW}.payload.filter)", tab)


def never_ends(data: WorkloadData) -> set[int]:
    """The tasks behind an archived one, or in a circle, followed one by one."""
    rows = data.all_tasks.set_index("id").to_dict("index")
    found = set()
    for start, row in rows.items():
        if pd.notna(row["archived_at"]) or not row["is_open"] or row["is_currently_blocked"] is not True:
            continue
        seen, number = {start}, int(row["blocked_by_task_id"])
        while True:
            row = rows[number]
            if number in seen or pd.notna(row["archived_at"]):
                found.add(start)
                break
            if row["is_currently_blocked"] is not True or not row["is_open"]:
                break
            seen.add(number)
            number = int(row["blocked_by_task_id"])
    return found


def expected(data: WorkloadData) -> dict[str, set[int]]:
    """What each number counts, by what it says."""
    tasks = data.tasks[data.tasks["archived_at"].isna()]
    numbers = lambda rows: {*rows["id"].tolist()}  # noqa: E731
    open_, now = tasks[tasks["is_open"]], data.generated_at
    waiting = numbers(open_[open_["is_currently_blocked"].fillna(False)])
    never = never_ends(data) & waiting
    week = tasks[tasks["status"] == "complete"]
    flagged = data.attention[data.attention["reasons"].map(lambda why: "urgent_unassigned" in why)]
    return {
        "Open": numbers(open_),
        "new in 24 h": numbers(open_[now - open_["created_at"] <= DAY]),
        "Blocked": waiting,
        "wait": waiting - never if never else set(),
        "never end": never,
        "Unassigned": numbers(open_[open_["assigned_to"].isna()]),
        "urgent": {*flagged["task_id"].tolist()},
        "In progress": numbers(open_[open_["status"] == "working"]),
        "new": numbers(tasks[now - tasks["created_at"] <= WEEK]),
        "finished": numbers(week[now - week["updated_at"] <= WEEK]),
    }


def said(opened: Opened) -> dict[str, int]:
    """What the tiles say, by the words beside each number."""
    words = {}
    for tile in opened.page.locator("[data-number]").all():
        label = tile.locator("dt").inner_text()
        for button in tile.locator("button:visible").all():
            text = button.inner_text()
            if found := re.search(r"\d[\d,]*", text):
                name = re.sub(r"[^a-z0-9 ]", "", text.replace(found.group(), "", 1)).strip() or label
                words[name.removesuffix("s") if name.startswith("never") else name] = int(
                    found.group().replace(",", "")
                )
    return words


def boards(sample: WorkloadData) -> list[WorkloadData]:
    return [sample, *(drawn(seed) for seed in range(3))]


# --- The numbers ----------------------------------------------------------------------------------------


def test_each_number_is_what_a_count_by_hand_gives(open_page: OpenPage, sample: WorkloadData) -> None:
    """On the sample project and on boards drawn at random; one that is 0 says so or is not there."""
    for data in boards(sample):
        opened = open_page(report_page(data))
        words = said(opened)
        assert {name: words.get(name, 0) for name in expected(data)} == {
            name: len(some) for name, some in expected(data).items()
        }
        assert opened.errors == []


def test_each_number_opens_exactly_what_it_counts(open_page: OpenPage, sample: WorkloadData) -> None:
    """A click leads to these tasks and to no others."""
    for data in (sample, drawn(7)):
        opened = open_page(report_page(data))
        counted = expected(data)
        count = opened.page.locator("[data-number] button:visible").count()
        seen = []
        for number in range(count):
            button = opened.page.locator("[data-number] button:visible").nth(number)
            if button.is_disabled():
                continue
            label = button.locator("xpath=ancestor::div[@data-number]").locator("dt").inner_text()
            text = button.inner_text()
            button.click()
            opened.settle()
            if at(opened) == "agents":
                rows = opened.page.locator(".calypso-agents-body tbody tr").count()
                assert rows == int(re.findall(r"\d+", text)[0])
            else:
                name = re.sub(r"[\d,+≤]", "", text).strip().replace("never ends", "never end") or label
                name = "new in 24 h" if "24 h" in text else name
                assert at(opened) == "tasks" and ids(opened) == counted[name], text
                seen.append(name)
            back(opened)
            opened.settle()
        assert {*seen} == {name for name, some in counted.items() if some}


def test_the_numbers_follow_the_filter(open_page: OpenPage, sample: WorkloadData) -> None:
    """Those of the last week count whatever the status is, as the chart of the backlog does."""
    opened = open_page(report_page(sample))
    mine = sample.tasks[sample.tasks["queue_name"] == "dev"]
    opened.filter(queues=["dev"], statuses=["working"])
    words = said(opened)
    working = mine[(mine["status"] == "working") & mine["archived_at"].isna()]
    assert words["Open"] == words["In progress"] == len(working)
    made = mine[mine["archived_at"].isna() & (sample.generated_at - mine["created_at"] <= WEEK)]
    assert words["new"] == len(made)


def test_what_the_server_does_not_report_is_unknown_and_no_zero(open_page: OpenPage) -> None:
    """A server before TinyTask v2 says nothing of blocking."""
    unknown: dict[str, Any] = dict.fromkeys(("is_currently_blocked", "blocked_by_task_id", "queue_name"))
    opened = open_page(report_page(data_of([task(1, **unknown), task(2, **unknown)])))
    tile = opened.page.locator('[data-number="blocked"]')
    assert opened.numbers()["blocked"] == "\N{EN DASH}" and "unknown" in tile.inner_text()
    go(opened, "agents")
    ready = opened.page.locator("td.calypso-of-ready").inner_text()
    assert ready == opened.page.locator("td.calypso-of-blocked").inner_text() == "\N{EN DASH}"


@pytest.mark.parametrize(
    ("new", "finished", "archived", "word"),
    [(20, 3, 0, "⚠ grows"), (20, 3, 17, ""), (4, 10, 0, ""), (0, 0, 0, "")],
)
def test_that_the_backlog_grows_is_said_if_it_is_certain(
    open_page: OpenPage, new: int, finished: int, archived: int, word: str
) -> None:
    """Finished tasks are at most so many, and each archived one may have left the backlog."""
    week, long_ago = {"created_at": ago(days=3)}, {"created_at": ago(days=30)}
    records = [task(n, **week) for n in range(new)]
    records += [task(100 + n, status="complete", **long_ago) for n in range(finished)]
    records += [task(200 + n, archived_at=ago(days=1), **long_ago) for n in range(archived)]
    opened = open_page(report_page(data_of(records)))
    shown = opened.page.locator('[data-number="week"] small button:visible').all_inner_texts()
    assert shown[1:] == ([word] if word else [])


def test_the_tiles_are_of_one_height_that_leaves_room_for_the_list(
    open_page: OpenPage, sample: WorkloadData
) -> None:
    """At any width, with nothing cut off."""
    opened = open_page(report_page(sample))
    for width in (1400, 1000, 390):
        opened.page.set_viewport_size({"width": width, "height": 900})
        sizes = opened.page.locator("[data-number]").evaluate_all(
            "tiles => tiles.map((tile) => [tile.offsetHeight, tile.scrollHeight <= tile.offsetHeight])"
        )
        heights = {height for height, _ in sizes}
        assert max(heights) <= 90 and (width == 390 or len(heights) == 1)
        assert all(whole for _, whole in sizes), width


# --- The agents of the first screen ---------------------------------------------------------------------


def lines(opened: Opened) -> list[str]:
    return opened.page.locator(".calypso-team tbody th").all_inner_texts()


def team_of_five() -> WorkloadData:
    """One with too much in hand, one long silent, one at work, one done, and unassigned work."""
    records = [
        *(task(n, "busy", "working", updated_at=ago(minutes=10 * n)) for n in (1, 2, 3)),
        task(4, "silent", "working", created_at=ago(days=9), updated_at=ago(days=8)),
        task(5, "at-work", "working", updated_at=ago(hours=2)),
        task(6, "at-work", "idle", updated_at=ago(hours=9)),
        task(7, "done", "complete", updated_at=ago(hours=5)),
        task(8, None, "idle", priority=10, updated_at=ago(hours=1)),
    ]
    return data_of(records)


def test_who_has_a_problem_comes_first_and_then_who_is_silent(open_page: OpenPage) -> None:
    """The order can be chosen, and stays chosen when the data come again."""
    data = team_of_five()
    opened = open_page(live_view(view_payload(data), UPDATE, next=view_payload(data)))
    assert lines(opened) == ["silent", "busy", "(unassigned)", "done", "at-work"]
    opened.page.get_by_label("Sort agents by").select_option("in progress")
    assert lines(opened)[0] == "busy"
    opened.page.evaluate("refresh()")
    assert lines(opened)[0] == "busy"
    opened.page.get_by_label("Sort agents by").select_option("name")
    assert lines(opened) == ["at-work", "busy", "done", "silent", "(unassigned)"]


def test_a_line_says_what_an_agent_does_how_long_it_is_quiet_and_what_is_left(open_page: OpenPage) -> None:
    """The task that gave the newest sign stands for those in progress; a sign says what is wrong."""
    opened = open_page(report_page(team_of_five()))
    rows = opened.page.locator(".calypso-team tbody tr")
    said = {
        row.locator("th").inner_text(): [
            " ".join(cell.split()) for cell in row.locator("td").all_inner_texts()
        ]
        for row in rows.all()
    }
    assert said["busy"] == ["⚠ 3 at once #1 Task 1 +2", "10 min", "3"]
    assert said["silent"] == ["⚠ 1 silent #4 Task 4", "8.0 d", "1"]
    assert said["at-work"] == ["#5 Task 5", "2.0 h", "2"]
    assert said["done"] == ["idle, nothing left", "5.0 h", "0"]
    assert said["(unassigned)"] == ["⚠ urgent", "", "1"]


def test_a_click_on_a_line_filters_everything_and_a_second_one_clears(open_page: OpenPage) -> None:
    """The other lines stay, and are dimmed; Ctrl adds one."""
    opened = open_page(report_page(team_of_five()))
    row = opened.page.locator(".calypso-team tbody tr")
    row.filter(has_text="busy").locator("td").nth(1).click()
    opened.settle()
    assert ids(opened) == {1, 2, 3} and len(lines(opened)) == 5
    assert row.filter(has_text="at-work").get_attribute("data-dimmed") == ""
    assert opened.numbers()["open"] == "3"
    row.filter(has_text="(unassigned)").locator("td").nth(1).click(modifiers=["Control"])
    opened.settle()
    assert ids(opened) == {1, 2, 3, 8}
    left = opened.page.get_by_role("button", name="busy: 3 left. Show only these")
    assert left.get_attribute("aria-pressed") == "true"
    left.press("Enter")
    opened.settle()
    assert ids(opened) == {1, 2, 3}
    left.press("Enter")
    opened.settle()
    assert len(ids(opened)) == 7


def test_a_refresh_takes_neither_the_focus_nor_the_place(open_page: OpenPage) -> None:
    """Though the lines come in another order."""
    many = [task(n, f"agent-{n:02}", updated_at=ago(hours=n)) for n in range(1, 41)]
    later = [{**one, "updated_at": ago(hours=41 - one["id"])} for one in many]
    opened = open_page(live_view(view_payload(data_of(many)), UPDATE, next=view_payload(data_of(later))))
    page = opened.page
    button = page.get_by_role("button", name="agent-20", exact=True)
    button.focus()
    body = page.locator(".calypso-team .calypso-pane-body")
    before = body.evaluate("body => { body.scrollTop = 200; return body.scrollTop; }")
    assert before == 200 and lines(opened)[0] == "agent-40"
    page.evaluate("refresh()")
    assert lines(opened)[0] == "agent-01"
    assert page.evaluate("document.activeElement.textContent") == "agent-20"
    assert body.evaluate("body => body.scrollTop") == 200


def test_no_board_is_too_large_for_the_first_screen(open_page: OpenPage) -> None:
    """Of 450 agents 200 have a line, with a way to all of them."""
    opened = open_page(report_page(data_of([task(n, f"agent-{n}") for n in range(450)])))
    assert len(lines(opened)) == 200
    opened.page.get_by_role("button", name="… 250 more").click()
    opened.settle()
    rows = opened.page.locator(".calypso-agents-body tbody tr")
    assert rows.count() == 200
    opened.page.get_by_role("button", name="Show more of 450 agents").click()
    assert rows.count() == 400
    assert opened.page.locator('[data-chart="load"] .role-axis-label text').count() >= 60
    assert "390 more agents" in opened.page.locator(".calypso-load").inner_text()


# --- The backlog ----------------------------------------------------------------------------------------


def drawn_backlog(opened: Opened) -> Counter[tuple[str, str]]:
    bars = Counter[tuple[str, str]]()
    for bar in opened.bars("backlog"):
        [what] = bar.keys() - {"day"}
        bars[bar["day"], what] += int(bar[what])
    return +bars


def test_the_chart_of_the_backlog_is_the_one_of_a_cell(open_page: OpenPage, sample: WorkloadData) -> None:
    """It counts the same per day, as what is seen without a script; its days are always 14."""
    for data in (sample, drawn(1)):
        spec = charts.backlog(data.tasks).to_dict()
        rows = spec["datasets"][spec["data"]["name"]]
        came, ended = (
            sum(row["n"] for row in rows if (row["what"] == "new") is new) for new in (True, False)
        )
        assert f"Last 14 days: {came:,} new, at most {ended:,} finished" in still(data)
        opened = open_page(report_page(data))
        for filter in ({}, {"statuses": ["working"]}):
            opened.filter(**filter)
            opened.settle()
            shown = {(row["day"], row["what"]): row["n"] for row in rows if row["n"]}
            assert drawn_backlog(opened) == shown
        opened.filter(agents=["nobody is called this"])
        assert len({row["day"] for row in rows}) == 14 and drawn_backlog(opened) == {}


def test_a_click_on_a_day_opens_the_tasks_that_it_counts(open_page: OpenPage, sample: WorkloadData) -> None:
    """New ones and, if they are complete, those that were finished then at the latest."""
    opened = open_page(report_page(sample))
    tasks = sample.tasks[sample.tasks["archived_at"].isna()]
    day = f"{sample.generated_at - DAY:%Y-%m-%d}"
    for what, column in (("new", "created_at"), ("finished, at most", "updated_at")):
        opened.page.locator(
            f'[data-chart="backlog"] [aria-label^="{what}:"][aria-label$="day: {day}"]'
        ).click()
        opened.settle()
        of_day = tasks[tasks[column].dt.strftime("%Y-%m-%d") == day]
        if what != "new":
            of_day = of_day[of_day["status"] == "complete"]
        assert at(opened) == "tasks" and ids(opened) == {*of_day["id"].tolist()} != set()
        back(opened)
        opened.settle()


# --- The tab of agents ----------------------------------------------------------------------------------


def cells(opened: Opened, column: str) -> dict[str, str]:
    rows = opened.page.locator(".calypso-agents-body tbody tr")
    return {
        row.locator("th bdi").inner_text(): row.locator(f".calypso-of-{column}").inner_text()
        for row in rows.all()
    }


def test_the_table_of_agents_counts_what_each_has(open_page: OpenPage) -> None:
    """By hand, for a team with a limit of its own, a chain and a lease."""
    records = [
        task(1, "alice", "working", updated_at=ago(hours=3), priority=2),
        task(2, "alice", "working", updated_at=ago(hours=1)),
        task(3, "alice", priority=5, created_at=ago(days=20)),
        task(4, "alice", priority=9, **blocked_by(1)),
        task(5, "bob", **blocked_by(4)),
        task(6, "bob", "complete", created_at=ago(days=20), updated_at=ago(days=3)),
        task(7, "bob", "complete", created_at=ago(days=20), updated_at=ago(days=9)),
    ]
    data = data_of(records)
    limited = WorkloadData(
        data.tasks, data.all_tasks, NOW, data.endpoint, details=True, team=Team(limits={"alice": 3})
    )
    opened = open_page(report_page(limited))
    go(opened, "agents")
    assert cells(opened, "limit") == {"alice": "3", "bob": "1"}
    assert cells(opened, "in-progress") == {"alice": "2", "bob": "0"}
    assert cells(opened, "now") == {"alice": "#2 Task 2", "bob": "\N{EN DASH}"}
    assert cells(opened, "for") == {"alice": "1.0 h \N{EN DASH} 2.0 d", "bob": ""}
    assert cells(opened, "ready") == {"alice": "1", "bob": "0"}
    assert cells(opened, "blocked") == {"alice": "1", "bob": "1"}
    assert cells(opened, "next") == {"alice": "⊘ #4 Task 4", "bob": "⊘ #5 Task 5"}
    assert cells(opened, "holds-up") == {"alice": "1", "bob": "0"}
    assert cells(opened, "new-7-d") == {"alice": "3", "bob": "1"}
    assert cells(opened, "finished-7-d") == {"alice": "≤ 0", "bob": "≤ 1"}


def test_each_count_of_the_table_opens_its_tasks(open_page: OpenPage, sample: WorkloadData) -> None:
    """Also after another number was opened."""
    opened = open_page(report_page(sample))
    for column in ("in-progress", "ready", "blocked", "holds-up", "new-7-d", "finished-7-d"):
        back(opened, "agents")
        opened.settle()
        row = opened.page.locator(".calypso-agents-body tbody tr").filter(has_text="backend-dev")
        button = row.locator(f".calypso-of-{column} button")
        count = int(re.sub(r"\D", "", button.inner_text()))
        button.click()
        opened.settle()
        assert at(opened) == "tasks" and len(ids(opened)) == count > 0


def test_the_table_sorts_by_a_click_on_a_heading(open_page: OpenPage, sample: WorkloadData) -> None:
    """Numbers as numbers, the largest first, and by a second click the smallest."""
    opened = open_page(report_page(sample))
    go(opened, "agents")
    heading = opened.page.locator("th.calypso-of-ready button")
    for descending in (True, False):
        heading.click()
        counts = [int(text) for text in cells(opened, "ready").values()]
        assert counts == sorted(counts, reverse=descending)
        said = "descending" if descending else "ascending"
        assert opened.page.locator("th.calypso-of-ready").first.get_attribute("aria-sort") == said


def test_a_queue_and_a_tag_filter_by_a_click(open_page: OpenPage, sample: WorkloadData) -> None:
    """Folded at first; a refresh does not fold them again."""
    opened = open_page(live_view(view_payload(sample), UPDATE, next=view_payload(sample)))
    go(opened, "agents")
    page = opened.page
    page.locator(".calypso-groups summary", has_text="Queues").click()
    rows = page.locator('table[aria-label="Queues"] tbody tr')
    rows.first.wait_for()
    assert rows.count() == sample.tasks["queue_name"].nunique()
    page.evaluate("refresh()")
    opened.settle()
    rows.filter(has_text="dev").first.click()
    opened.settle()
    name = rows.locator('[aria-pressed="true"]').inner_text()
    chosen = sample.tasks[sample.tasks["is_open"] & (sample.tasks["queue_name"] == name)]
    assert ids(opened) == {*chosen[chosen["archived_at"].isna()]["id"].tolist()}
    assert rows.count() == sample.tasks["queue_name"].nunique()


def test_the_load_keeps_its_axis_and_dims_who_is_not_chosen(
    open_page: OpenPage, sample: WorkloadData
) -> None:
    """With Ctrl a second bar is added, which one chart that filtered itself would have taken away."""
    opened = open_page(report_page(sample))
    go(opened, "agents")
    page = opened.page
    axis = page.locator('[data-chart="load"] .role-axis-label text')
    before, bars = axis.all_text_contents(), opened.bars("load")

    def bar(name: str) -> Locator:
        return page.locator(f'[data-chart="load"] [aria-label*="agent: {name};"]').first

    for name in ("architect", "backend-dev"):
        bar(name).click(modifiers=["Control"])
        opened.settle()
    assert page.evaluate(f"() => {VIEW}.filter.agents") == ["architect", "backend-dev"]
    assert axis.all_text_contents() == before and opened.bars("load") == bars
    assert float(bar("qa-lead").get_attribute("fill-opacity") or 1) < 0.5
    assert float(bar("architect").get_attribute("fill-opacity") or 1) == 1
    opened.filter(statuses=["idle", "working"], queues=["dev"])
    assert axis.all_text_contents() == before


# --- An agent's page ------------------------------------------------------------------------------------


def test_what_an_agent_does_and_since_when_is_one_click_away(open_page: OpenPage) -> None:
    """Its tasks in progress with the bounds of how long, the newest sign first."""
    opened = open_page(report_page(team_of_five()))
    page = opened.page
    page.locator(".calypso-team").get_by_role("button", name="busy", exact=True).click()
    opened.settle()
    one = page.locator(".calypso-agent-page")
    assert (
        one.locator("h3").inner_text() == "busy" and page.evaluate("document.activeElement.tagName") == "H3"
    )
    assert one.locator(".calypso-agent-about").inner_text() == "● last sign 10 min ago · limit 1 ⚠ 3 at once"
    now = one.locator(".calypso-lines-now li")
    assert [text.split()[0] for text in now.locator("button.calypso-open").all_inner_texts()] == [
        "#1",
        "#2",
        "#3",
    ]
    spans = [bar.get_attribute("aria-label") for bar in now.locator("[role=img]").all()]
    assert spans == [f"in progress for at least {n}0 min, at most 2.0 d" for n in (1, 2, 3)]
    assert one.locator("dd").all_inner_texts()[0].split() == ["3", "⚠", "limit", "1"]
    page.get_by_role("button", name="all agents").click()
    assert page.locator(".calypso-agents-body").is_visible() and one.is_hidden()


def test_next_is_in_the_order_in_which_tinytask_gives_it(open_page: OpenPage) -> None:
    """As a server's own answers to `signup_for_task` say, blocked tasks included."""
    moments = iter(NOW + timedelta(minutes=minute) for minute in range(1000))
    with TinytaskStore(now=lambda: next(moments)) as store:
        random_ = random.Random(3)
        for number in range(30):
            waits = 1 if number % 5 == 4 else None
            store.create_task(
                f"T{number}",
                "lead",
                assigned_to="alice",
                priority=random_.randrange(4),
                blocked_by_task_id=waits,
            )
        with TinytaskClient(create_server(store)) as client:
            data = WorkloadReporter(client).collect_workload_data(status_filter="all", progress=False)
            taken = [client.signup_for_task("alice") for _ in range(30)]
    opened = open_page(report_page(data))
    opened.page.locator(".calypso-team").get_by_role("button", name="alice", exact=True).click()
    opened.settle()
    shown = opened.page.locator(".calypso-lines-next li > button").all_inner_texts()
    assert [text.split()[0] for text in shown] == [f"#{one.id}" for one in taken if one]


def test_the_page_says_what_waits_for_whom(open_page: OpenPage) -> None:
    """Whom its tasks wait for, who waits for them and behind them, and what never ends."""
    records = [
        task(1, "alice", "working"),
        task(2, "bob", **blocked_by(1)),
        task(3, "carol", **blocked_by(2)),
        task(4, "alice", **blocked_by(5)),
        task(5, "bob"),
        task(6, "alice", **blocked_by(7)),
        task(7, "carol", archived_at=ago(hours=3)),
    ]
    opened = open_page(report_page(data_of(records)))
    opened.page.locator(".calypso-team").get_by_role("button", name="alice", exact=True).click()
    opened.settle()
    tree = opened.page.locator(".calypso-agent-page .calypso-tree")
    told = [" ".join(text.split()) for text in tree.nth(0).locator("li").all_inner_texts()]
    assert told == ["#1 Task 1", "└ #2 Task 2 bob", "└ #3 Task 3 carol"]
    waits = [" ".join(text.split()) for text in tree.nth(1).locator("li").all_inner_texts()]
    assert waits == ["#5 Task 5 bob", "#7 Task 7 archived"]
    lines = opened.page.locator(".calypso-waits").all_inner_texts()
    assert [" ".join(line.split()) for line in lines] == ["⊘ #5 bob", "⊘ #7 never ends"]
    tiles = opened.page.locator(".calypso-agent-tiles dd button").all_inner_texts()
    assert tiles == ["1", "0", "2", "2", "3", "≤ 0"]


def test_the_numbers_of_a_page_open_what_they_count(open_page: OpenPage, sample: WorkloadData) -> None:
    """As those of the first screen do, and the page is there again when one comes back."""
    opened = open_page(report_page(sample))
    opened.page.locator(".calypso-team").get_by_role("button", name="backend-dev", exact=True).click()
    opened.settle()
    tiles = opened.page.locator(".calypso-agent-tiles dd button")
    for number in range(tiles.count()):
        count = int(re.sub(r"\D", "", tiles.nth(number).inner_text()))
        if not count:
            continue
        tiles.nth(number).click()
        opened.settle()
        assert at(opened) == "tasks" and len(ids(opened)) == count
        back(opened, "agents")
        opened.settle()
        assert opened.page.locator(".calypso-agent-page h3").inner_text() == "backend-dev"


def test_an_agents_tasks_are_selected_on_its_page_and_stay_so_after_a_refresh(open_page: OpenPage) -> None:
    """By mouse and by key; without a kernel there is nothing to press."""
    data = team_of_five()
    opened = open_page(live_view(view_payload(data), UPDATE, next=view_payload(data)))
    page = opened.page
    page.locator(".calypso-team").get_by_role("button", name="busy", exact=True).click()
    opened.settle()
    page.get_by_label("Select #2").check()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.evaluate("refresh()")
    opened.settle()
    boxes = page.locator(".calypso-lines-now input")
    assert [box.is_checked() for box in boxes.all()] == [False, True, True]
    assert page.locator(".calypso-agent-actions button").count() == 0


def test_names_that_mean_something_to_a_program_are_names(open_page: OpenPage) -> None:
    """Each has its line, its row and its page."""
    names = [
        "constructor",
        "__proto__",
        "",
        "toString",
        "(unassigned)",
        "<img src=x onerror=pwned=1>",
        "\u202eabc",
    ]
    records = [task(n, name, "working") for n, name in enumerate(names)] + [task(50, None)]
    opened = open_page(report_page(data_of(records)))
    assert len(lines(opened)) == len({*names} - {""}) + 1  # An empty name is none.
    for number, name in enumerate(names):
        if not name:
            continue
        opened.page.evaluate(f"(name) => {VIEW}.handle.parts().agents.open(name)", name)
        opened.settle()
        assert opened.page.locator(".calypso-lines-now li").inner_text().startswith(f"#{number} ")
    assert opened.page.evaluate("window.pwned") is None and opened.errors == []


@pytest.mark.parametrize("count", [0, 1])
def test_almost_nothing_is_said_in_words(open_page: OpenPage, count: int) -> None:
    """An empty board and one with a single task."""
    opened = open_page(report_page(data_of([task(n, "alice") for n in range(count)])))
    assert opened.numbers()["open"] == str(count)
    heading = opened.page.locator(".calypso-team h3").inner_text()
    assert heading == ("Agents: 1" if count else "No agents")
    go(opened, "agents")
    opened.settle()
    assert opened.errors == []


def test_the_backlog_of_a_cell_needs_times(sample: WorkloadData) -> None:
    """Without any it says that there is nothing to draw."""
    assert "No task matches" in str(charts.backlog(tasks_frame([], datetime.now(tz=NOW.tzinfo))).to_dict())
    assert charts.backlog(sample.tasks).to_dict()["description"]
