"""A scheduler in the background of a kernel: the cell is free, and shows what goes on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from calypso_nb import TinytaskClient
from calypso_nb.embedded import TinytaskStore
from calypso_nb.scheduler import Scheduler
from tests.agents_at_work import Log, add, soon, status
from tests.conftest import SECONDS

pytest_plugins = ("tests.scheduler_fixtures",)
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("clean_environment", "nothing_left")]


def text_of(view: Any) -> str:
    """What a view shows, without its tags."""
    parts = [view.children[0].children[1], *view.children[1:]]
    return " ".join(re.sub("<[^>]*>", " ", part.value) for part in parts)


def test_the_cell_is_free_while_tasks_run_and_its_view_shows_them(
    live_board: TinytaskStore, server: str, recipes: Path, log: Log
) -> None:
    """The button lets what runs finish, and ends it when it is pressed again; titles are no markup."""
    title = "takes 0 s <img src=x onerror=alert(1)> \u202e"
    live_board.create_task(title, "lead", assigned_to="alice", priority=9)
    long, waiting = add(live_board, 60), add(live_board)
    with TinytaskClient(server) as client:
        work = Scheduler(client, ["alice"], recipes).start(0.2)
        assert soon(lambda: bool(log.of("start", long)))
        assert work.running and repr(work) == "<Background at work: 1 running, 1 ended>"
        assert soon(lambda: "alice is at 1 of 1" in text_of(work.view))
        html = "".join(part.value for part in work.view.children[1:])
        assert "<img" not in html and "\u202e" not in html and "&lt;img" in html
        button = work.view.children[0].children[0]
        button.click()
        assert button.description == "End the runs" and not work.wait(0.5)
        button.click()
        assert work.wait(SECONDS)
        assert button.disabled
        assert "ended : 0 running, 2 runs ended" in text_of(work.view)
        assert work.runs["outcome"].tolist() == ["succeeded", "stopped"]
    assert (status(live_board, long), status(live_board, waiting)) == ("idle", "idle")


def test_what_ends_it_is_raised_to_who_waits(server: str, recipes: Path) -> None:
    """And a server that runs can't reach is refused at once."""
    with TinytaskClient("demo") as client, pytest.raises(ValueError, match="runs are processes of their own"):
        Scheduler(client, ["api-dev"], recipes).start()
    with TinytaskClient(server) as client:
        scheduler = Scheduler(client, ["alice"], recipes)
        scheduler.plan = lambda task_id=None: 1 / 0  # type: ignore[method-assign,assignment,return-value]
        work = scheduler.start()
        with pytest.raises(ZeroDivisionError):
            work.wait(SECONDS)
        assert "ended by ZeroDivisionError" in text_of(work.view)


def test_one_that_is_at_work_cannot_be_started_again(server: str, recipes: Path) -> None:
    """Nor can it run a plan meanwhile; stopped at once, it ends."""
    with TinytaskClient(server) as client:
        scheduler = Scheduler(client, ["alice"], recipes)
        work = scheduler.start()
        for act in (scheduler.start, scheduler.run):
            with pytest.raises(ValueError, match="at work already"):
                act()
        work.stop()
        assert work.wait(SECONDS)
        assert scheduler.run().empty
