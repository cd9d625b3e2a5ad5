"""The difference of two reports: in words what changed."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calypso_nb import WorkloadData
from calypso_nb.history.difference import CHANGES, DIFFERENCE_COLUMNS, difference
from calypso_nb.history.saved import CONTEXT_FIELDS, HELD_FIELDS, all_records
from calypso_nb.text.console import difference_to_console
from calypso_nb.text.json import difference_to_json, to_json
from calypso_nb.text.markdown import difference_to_markdown
from tests.boards import NOW, report_of, rows, task, without_v2

LATER = NOW + timedelta(hours=1)
filters = st.sampled_from([{}, {"status_filter": ["idle"]}, {"agent_filter": [None]}])


def changes(
    before: list[dict[str, Any]], after: list[dict[str, Any]], **filters: Any
) -> list[tuple[str, int]]:
    found = difference(report_of(before, **filters), report_of(after, LATER, **filters)).changes
    return list(zip(found["change"], found["task_id"], strict=True))


@given(rows(), rows(), filters, filters)
def test_every_task_that_changed_has_its_rows(
    before: list[dict[str, Any]], after: list[dict[str, Any]], some: dict[str, Any], others: dict[str, Any]
) -> None:
    """New, gone, or a field that is another: whatever was read and filtered, no task is left out.

    Of a task that only one of the reports shows, the fields that a saved report has of it.
    """
    first, second = report_of(before, **some), report_of(after, LATER, **others)
    change = difference(first, second)
    words: dict[int, set[str]] = {}
    for row in change.changes.to_dict("records"):
        words.setdefault(row["task_id"], set()).add(row["change"])
    was, now = ({row["id"]: row for row in all_records(report)} for report in (first, second))
    shown = {*first.tasks["id"], *second.tasks["id"]}
    in_both = {*first.tasks["id"]} & {*second.tasks["id"]}

    def facts(records: dict[int, dict[str, Any]], task: int) -> list[Any] | None:
        fields = HELD_FIELDS if task in in_both else CONTEXT_FIELDS
        return [records[task][name] for name in fields] if task in records else None

    assert {task for task in shown if facts(was, task) != facts(now, task)} == words.keys()
    for word, tasks in (("new", now.keys() - was.keys()), ("gone", was.keys() - now.keys())):
        assert {task for task in words if words[task] == {word}} == tasks & shown
    assert set(change.changes["change"]) <= set(CHANGES)
    for text in (difference_to_console(change), difference_to_markdown(change), difference_to_json(change)):
        assert text


@given(rows(), filters)
def test_nothing_changed_is_an_empty_difference(before: list[dict[str, Any]], some: dict[str, Any]) -> None:
    """Only the moment differs, and it is no change of a task."""
    change = difference(report_of(before, **some), report_of(before, LATER, **some))
    assert change.changes.empty
    assert list(change.changes.columns) == list(DIFFERENCE_COLUMNS)


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ({"status": "idle"}, {"status": "working"}, "started"),
        ({"status": "working"}, {"status": "complete"}, "finished"),
        ({"status": "working"}, {"status": "idle"}, "put back"),
        ({"status": "complete"}, {"status": "idle"}, "reopened"),
        ({"assigned_to": "alice"}, {"assigned_to": "bob", "previous_assigned_to": "alice"}, "reassigned"),
        ({"priority": 1}, {"priority": 9}, "reprioritised"),
        ({}, {"blocked_by_task_id": 1}, "newly blocked"),
        ({"blocked_by_task_id": 1}, {}, "unblocked"),
        ({"title": "old"}, {"title": "new"}, "edited"),
        ({"tags": ["a"]}, {"tags": ["a", "b"]}, "edited"),
        ({}, {"updated": 1}, "touched"),
        ({}, {"archived": 0}, "archived"),
        ({"archived": 0}, {}, "restored"),
    ],
)
def test_each_change_has_its_word(before: dict[str, Any], after: dict[str, Any], change: str) -> None:
    """One change of a task is one row."""
    assert changes([task(1), task(2, **before)], [task(1), task(2, **after)]) == [(change, 2)]


def test_new_and_gone_tasks_have_one_row() -> None:
    """Whatever else is in them."""
    assert changes([task(1), task(2)], [task(2), task(3, blocked_by_task_id=2)]) == [("new", 3), ("gone", 1)]


def test_a_task_that_leaves_the_filter_is_not_gone() -> None:
    """It is looked up in all that was read: finished says more."""
    before, after = [task(1, status="working")], [task(1, status="complete", updated=1)]
    assert changes(before, after, status_filter=["working"]) == [("finished", 1)]


def test_a_block_names_the_task_that_is_waited_for() -> None:
    """Not yes and no."""
    change = difference(
        report_of([task(1), task(2)]), report_of([task(1), task(2, blocked_by_task_id=1)], LATER)
    )
    [row] = change.changes.to_dict("records")
    assert pd.isna(row["before"]) and row["after"] == "1"


def test_saved_reports_give_the_same_difference() -> None:
    """A report that was saved and read is as good as the one that was made."""
    first, second = report_of([task(1), task(3)]), report_of([task(1, status="working"), task(2)], LATER)
    saved = difference(WorkloadData.from_json(to_json(first)), WorkloadData.from_json(to_json(second)))
    fresh = difference(first, second)
    assert saved.changes.equals(fresh.changes)
    assert (saved.before, saved.after) == (fresh.before, fresh.after)
    assert [row["change"] for row in json.loads(difference_to_json(saved))["changes"]] == [
        "new",
        "started",
        "gone",
    ]


def test_the_formats_say_what_changed() -> None:
    """In words, with hostile text shown and not obeyed."""
    change = difference(
        report_of([task(1)]), report_of([task(1, "a | \x1b[31m `b`", status="working")], LATER)
    )
    console, markdown = difference_to_console(change), difference_to_markdown(change)
    assert "started" in console and "\x1b" not in console and "␛[31m" in console
    assert "| started | 1 | `` a \\| ␛[31m `b` `` |" in markdown
    nothing = difference(report_of([task(1)]), report_of([task(1)], LATER))
    assert "nothing changed" in difference_to_console(nothing)
    assert "Nothing." in difference_to_markdown(nothing)


def test_a_v1_server_that_became_v2_is_no_change_of_a_task() -> None:
    """Unknown and false are not the same, but nothing has happened."""
    second = report_of([task(1), task(2)], LATER)
    first = WorkloadData(without_v2(second.tasks), without_v2(second.all_tasks), NOW, second.endpoint)
    assert difference(first, second).changes.empty
