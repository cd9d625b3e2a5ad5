"""A live view in a page whose clock stands still, with a real TinyTask behind it that others write to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from playwright.sync_api import Browser, Locator, Page

from calypso_nb import TinytaskClient, WorkloadReporter
from calypso_nb.embedded import TinytaskStore, create_server
from calypso_nb.team import Snooze, Team
from calypso_nb.view.payload import view_payload
from calypso_nb.view.task_dialog import Done, refusal, respond
from tests.browser import live_view
from tests.conftest import NOW

KERNEL = """
const el = document.querySelector(".calypso-view");
window.sent = [];
const live = {
  news: () => ({}), every: () => 0, setEvery: () => {}, refresh: () => {},
  ask: async (what, content = {}) => {
    window.sent.push({ ask: what, ...content });
    const { error, ...answer } = await window.respond({ ask: what, ...content });
    if (error) throw new Error(error);
    if (answer.told || answer.refused || ["snooze", "wake"].includes(what)) window.read();
    return answer;
  },
};
window.read = async () => window.view.update(await window.payload());
window.view = mount(el, read("payload"), { live });
"""


class Supervised:
    """A live view, and what is behind it."""

    def __init__(self, page: Page, store: TinytaskStore, client: TinytaskClient, now: datetime) -> None:
        self.page, self.store, self.client, self.now = page, store, client, now
        self.team = Team()
        self.away = ""
        self.done: Done = {}
        page.expose_function("respond", self.respond)
        page.expose_function("payload", self.payload)
        page.clock.install(time=now)
        page.set_content(live_view(self.payload(), KERNEL))
        page.evaluate("() => mounted")

    def payload(self) -> dict[str, Any]:
        """What is on the board now."""
        read = WorkloadReporter(self.client).collect_workload_data(
            status_filter="all", details=False, progress=False, now=self.now
        )
        self.data = replace(read, team=self.team)
        return view_payload(self.data)

    def respond(self, message: dict[str, Any]) -> dict[str, Any]:
        """What the dashboard would, and what the server says while it is away."""
        if self.away:
            return {"error": self.away}
        if message["ask"] in ("snooze", "wake"):
            return self.put_aside(message)
        self.payload()
        try:
            return respond(self.client, message, self.data, "eve", self.done)
        except Exception as error:
            return {"error": refusal(error)}

    def put_aside(self, message: dict[str, Any]) -> dict[str, Any]:
        """Snooze the task of a line, or wake it, as a reporter does that keeps snoozes."""
        snooze = {"until": message.get("until"), "why": message.get("why"), "task": message["line"]["id"]}
        facts = None if snooze["until"] else message["line"]["facts"]
        snoozes = () if message["ask"] == "wake" else (Snooze(facts=facts, **snooze),)
        self.team = Team(snoozes=snoozes)
        return {}

    def read(self) -> None:
        """Let the view show what is on the board now."""
        self.page.evaluate("() => window.read()")

    def open(self, task: int) -> Locator:
        """Open the drawer of a task, and wait until it is read."""
        self.page.evaluate(
            "id => document.querySelector('.calypso-view').__calypso.handle.open(id)",
            task,
        )
        drawer = self.page.get_by_role("dialog", name=str(self.store.get_task(task)["title"]), exact=True)
        self.page.locator(".calypso-drawer[data-whole]").wait_for()
        return drawer

    def wait(self, seconds: float) -> None:
        """Let the page's clock go on."""
        self.page.clock.run_for(int(seconds * 1000))

    @property
    def toast(self) -> Locator:
        """What was done, or refused."""
        return self.page.locator(".calypso-toast")

    @property
    def box(self) -> Locator:
        """What is open at a button."""
        return self.page.locator(".calypso-pop")

    def line(self, text: str) -> Locator:
        """A line of the list Do now."""
        return self.page.locator(".calypso-do", has_text=text)


@contextmanager
def supervised(
    browser: Browser, store: TinytaskStore, now: datetime = NOW, width: int = 1400
) -> Iterator[Supervised]:
    """Open a live view of a store's board."""
    context = browser.new_context(offline=True, viewport={"width": width, "height": 1000})
    try:
        with TinytaskClient(create_server(store)) as client:
            context.set_default_timeout(15_000)
            yield Supervised(context.new_page(), store, client, now)
    finally:
        context.close()


def button(within: Locator, name: str) -> Locator:
    """The button with exactly that name."""
    return within.get_by_role("button", name=name, exact=True)
