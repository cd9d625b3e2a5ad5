"""The whole surface: each of TinyTask's 30 tools by its method, on both generations, against the store."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from calypso_nb import TinytaskAPIError, TinytaskClient, TinytaskConnectionError
from calypso_nb.embedded import StoreError, TinytaskStore, create_server, running_server, server
from calypso_nb.frames import COMMENT_COLUMNS, LINK_COLUMNS, TASK_COLUMNS, Column
from calypso_nb.records import Comment, Link, Task
from tests.conftest import NOW
from tests.v1_server import create_v1_server, running_v1_server

pytestmark = pytest.mark.usefixtures("clean_environment")

DATA = Path(__file__).parent / "data"
V1_TOOLS, V2_TOOLS = (
    [tool["name"] for tool in json.loads((DATA / name).read_text("utf-8").splitlines()[0])["tools"]]
    for name in ("tinytask-v1.jsonl", "tinytask-v2.jsonl")
)
Call = Callable[[TinytaskClient], Any]


@pytest.fixture
def v1(store: TinytaskStore) -> Iterator[TinytaskClient]:
    """A client of a v1 over `store`, by SSE as real ones are."""
    with running_v1_server(store) as url, TinytaskClient(url) as client:
        yield client


@pytest.fixture(params=["v2 in-process", "v2 http", "v2 sse", "v1 sse"])
def either(store: TinytaskStore, request: pytest.FixtureRequest) -> Iterator[TinytaskClient]:
    """A client of either generation, for the tools that both have."""
    generation, kind = request.param.split()
    if kind == "in-process":
        with TinytaskClient(create_server(store)) as client:
            yield client
        return
    running = running_v1_server(store) if generation == "v1" else running_server(store, kind)
    with running as url, TinytaskClient(url) as client:
        yield client


def same(found: Task | Comment | Link, record: dict[str, Any], client: TinytaskClient) -> bool:
    """Whether an object says what the store's record says, but for what a v1 does not send."""
    expected = type(found).from_record(record)
    new = {"parent_task_id", "queue_name", "blocked_by_task_id", "is_currently_blocked"}
    skipped = {"comments", "links", "subtasks"} | (new if is_v1(client) else set())
    return all(
        getattr(found, name) == getattr(expected, name)
        for name in type(found).__dataclass_fields__
        if name not in skipped
    )


def is_v1(client: TinytaskClient) -> bool:
    try:
        client.list_queues()
    except TinytaskAPIError:
        return True
    return False


def dtypes(columns: dict[str, Column]) -> dict[str, str]:
    return {name: column.dtype for name, column in columns.items()}


def dtypes_of(frame: Any) -> dict[str, str]:
    return {name: str(dtype) for name, dtype in frame.dtypes.items()}


def test_every_tool_has_a_method_of_its_name_with_types_and_a_docstring() -> None:
    """The 30 tools of the recordings are 30 documented methods."""
    assert len(V2_TOOLS) == 30
    assert set(V1_TOOLS) < set(V2_TOOLS)
    for tool in V2_TOOLS:
        method = getattr(TinytaskClient, tool)
        assert inspect.getdoc(method)
        signature = inspect.signature(method)
        assert signature.return_annotation is not inspect.Signature.empty
        for name, parameter in list(signature.parameters.items())[1:]:
            assert parameter.annotation is not inspect.Parameter.empty, (tool, name)


# Tasks


def test_a_task_is_made_read_changed_archived_and_deleted(
    either: TinytaskClient, store: TinytaskStore
) -> None:
    """The life of a task, each answer as the store has it."""
    task = either.create_task("one", description="d", assigned_to="alice", priority=3, tags=["x"])
    assert same(task, store.get_task(task.id), either)
    assert (task.title, task.tags, task.created_by) == ("one", ("x",), "calypso_nb")
    changed = either.update_task(task.id, title="two", status="working", tags=["y", "z"], priority=-1)
    assert same(changed, store.get_task(task.id), either)
    assert (changed.title, changed.status, changed.tags, changed.priority) == (
        "two",
        "working",
        ("y", "z"),
        -1,
    )
    assert same(either.get_task(task.id), store.get_task(task.id), either)
    archived = either.archive_task(task.id)
    assert archived.archived_at == NOW
    assert "archived" in repr(archived)
    assert either.list_tasks().empty
    assert either.list_tasks(include_archived=True)["id"].tolist() == [task.id]
    assert either.delete_task(task.id) is None  # type: ignore[func-returns-value]
    assert store.list_tasks(include_archived=True) == []
    for call in (either.get_task, either.delete_task, either.archive_task):
        with pytest.raises(TinytaskAPIError, match="Task not found: 1"):
            call(task.id)


def test_an_agents_queue_is_a_frame_of_its_open_tasks(either: TinytaskClient, store: TinytaskStore) -> None:
    """get_my_queue gives the columns of every frame of tasks, also when it is empty."""
    for number, status in enumerate(["idle", "working", "complete"]):
        store.insert_many([{"title": status, "status": status, "assigned_to": "alice", "priority": number}])
    store.create_task("bob's", "x", assigned_to="bob")
    queue = either.get_my_queue("alice", now=NOW + timedelta(hours=3))
    assert queue["id"].tolist() == [task["id"] for task in store.get_my_queue("alice")]
    assert queue["title"].tolist() == ["working", "idle"]
    assert queue["age_hours"].tolist() == [3.0, 3.0]
    nobodys = either.get_my_queue("nobody")
    assert nobodys.empty
    assert dtypes_of(queue) == dtypes_of(nobodys) == dtypes(TASK_COLUMNS)
    with pytest.raises(ValueError, match="no time zone"):
        either.get_my_queue("alice", now=NOW.replace(tzinfo=None))


@pytest.mark.parametrize("agent", ["alice", 'a\n\nb {"id": 9}', "No idle tasks", "}{\N{SNOWMAN}"])
def test_sentences_around_json_are_understood_whatever_the_agents_are_called(
    agent: str, either: TinytaskClient, store: TinytaskStore
) -> None:
    """Signup and move answer with sentences that hold agents' names, and JSON after them."""
    store.create_task("low", "x", assigned_to=agent)
    high = store.create_task("high", "x", assigned_to=agent, priority=5)
    task = either.signup_for_task(agent)
    assert task is not None
    assert same(task, store.get_task(high["id"]), either)
    assert (task.id, task.status) == (high["id"], "working")
    moved = either.move_task(task.id, agent, f"other {agent}", f"for {agent}\n\nnow")
    assert same(moved.task, store.get_task(task.id), either)
    assert (moved.task.assigned_to, moved.task.previous_assigned_to) == (f"other {agent}", agent)
    assert moved.task.status == "idle"
    comments = moved.task.comments if moved.comment is None else (moved.comment,)
    assert comments is not None
    assert [comment.content for comment in comments] == [f"for {agent}\n\nnow"]
    assert either.signup_for_task(agent) is not None
    assert either.signup_for_task(agent) is None


FORGED = '{"id": 999, "title": "forged", "status": "working", "assigned_to": "%s"}'


@pytest.mark.parametrize(
    "agent",
    [
        f"x\n\n{FORGED}",
        f"x\n\n{FORGED % 'x'}",
        FORGED % "",
        f"x\n\nTask #999 claimed and set to working status\n\n{FORGED % 'x'}",
    ],
)
def test_no_agents_name_makes_a_task_that_does_not_exist(agent: str, either: TinytaskClient) -> None:
    """A server that has nothing to claim says for whom, and a name can look like its response."""
    assert either.signup_for_task(agent) is None
    assert either.claim_next(agent) is None


def test_a_task_that_somebody_else_has_cannot_be_moved(either: TinytaskClient, store: TinytaskStore) -> None:
    """Moving checks who has the task, and whether it is complete."""
    store.create_task("one", "x", assigned_to="bob")
    with pytest.raises(TinytaskAPIError, match="not assigned to alice"):
        either.move_task(1, "alice", "carol", "c")
    store.update_task(1, status="complete")
    with pytest.raises(TinytaskAPIError, match="cannot be transferred"):
        either.move_task(1, "bob", "carol", "c")
    assert store.get_task(1)["assigned_to"] == "bob"


# Claims


def test_a_claim_says_what_came_of_it(client: TinytaskClient, store: TinytaskStore) -> None:
    """Each outcome by its name, in a sentence, and false unless the task is the agent's now."""
    for number in range(1, 8):
        store.create_task(f"task {number}", "x")
    store.update_task(2, status="working", assigned_to="bob")
    store.update_task(3, assigned_to="bob")
    store.update_task(4, blocked_by_task_id=1)
    store.update_task(5, status="complete")
    store.archive_task(6)
    store.update_task(7, status="working", assigned_to="alice")
    before = {task["id"]: task for task in store.list_tasks(include_archived=True)}
    expected = {
        1: ("claimed", "task 1 is 'alice''s and working"),
        2: ("taken", "task 2 is working, assigned to 'bob'"),
        3: ("other_agent", "task 3 is assigned to 'bob', not to 'alice'"),
        4: ("blocked", "task 4 is blocked by task 1"),
        5: ("complete", "task 5 is complete"),
        6: ("archived", "task 6 is archived"),
        7: ("taken", "task 7 is working, assigned to 'alice'"),
        99: ("unknown", "there is no task 99"),
    }
    for task_id, (outcome, sentence) in expected.items():
        claim = client.claim_task(task_id, "alice")
        assert (claim.outcome, bool(claim)) == (outcome, task_id == 1)
        assert repr(claim) == f"<Claim {outcome}: {sentence}>"
        assert (claim.task is None) == (task_id == 99)
        assert outcome in claim._repr_html_()
    after = {task["id"]: task for task in store.list_tasks(include_archived=True)}
    assert [number for number in before if before[number] != after[number]] == [1]
    assert (after[1]["status"], after[1]["assigned_to"]) == ("working", "alice")


def test_a_claim_on_a_v1_knows_no_blocking(v1: TinytaskClient, store: TinytaskStore) -> None:
    """The outcomes that a v1 can have are the same."""
    store.create_task("mine", "x", assigned_to="alice")
    assert v1.claim_task(1, "alice")
    assert [v1.claim_task(number, "bob").outcome for number in (1, 2)] == ["taken", "unknown"]


@pytest.mark.parametrize(
    ("meddle", "outcome"),
    [
        (lambda store: store.update_task(1, assigned_to="bob"), "taken"),
        (lambda store: store.update_task(1, status="complete"), "complete"),
        (lambda store: store.update_task(1, status="idle"), "taken"),
        (lambda store: store.archive_task(1), "archived"),
        (lambda store: store.delete_task(1), "unknown"),
    ],
)
def test_a_claim_that_another_overtakes_is_not_told_as_claimed(
    meddle: Callable[[TinytaskStore], Any],
    outcome: str,
    store: TinytaskStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The task is looked at again after it was set: who has it then, has it."""

    def overtaken(store: TinytaskStore, **changes: Any) -> Any:
        answer = store.update_task(**changes)
        meddle(store)
        return answer

    monkeypatch.setitem(server._TOOLS, "update_task", overtaken)
    store.create_task("one", "x")
    assert TinytaskClient(create_server(store)).claim_task(1, "alice").outcome == outcome


def blocked_before(store: TinytaskStore, blocked: int, ready: int) -> None:
    """A blocker of bob's, then alice's tasks: the blocked ones more urgent than the ready ones."""
    store.create_task("blocker", "x", assigned_to="bob", priority=99)
    for number in range(blocked):
        store.create_task("blocked", "x", assigned_to="alice", priority=50 - number, blocked_by_task_id=1)
    for number in range(ready):
        store.create_task("ready", "x", assigned_to="alice", priority=9 - number)


def test_claim_next_passes_over_blocked_tasks_and_puts_them_back(
    client: TinytaskClient, store: TinytaskStore
) -> None:
    """The next ready task is claimed, the blocked ones before it are idle again."""
    blocked_before(store, blocked=3, ready=2)
    for expected in (5, 6):
        task = client.claim_next("alice")
        assert task is not None
        assert (task.id, task.status) == (expected, "working")
        assert [store.get_task(number)["status"] for number in (2, 3, 4)] == ["idle"] * 3
    assert client.claim_next("alice") is None
    assert [store.get_task(number)["status"] for number in (2, 3, 4, 5, 6)] == ["idle"] * 3 + ["working"] * 2
    assert client.claim_next("nobody") is None
    store.update_task(1, status="complete")
    assert [task.id for _ in range(3) if (task := client.claim_next("alice"))] == [2, 3, 4]


@pytest.mark.slow
def test_many_callers_of_claim_next_get_each_ready_task_once(
    client: TinytaskClient, store: TinytaskStore
) -> None:
    """Signup is atomic: with blocked tasks before them, too, no ready task is handed out twice or lost."""
    blocked_before(store, blocked=2, ready=12)

    def claim_all() -> list[int]:
        return [task.id for _ in range(12) if (task := client.claim_next("alice"))]

    with ThreadPoolExecutor(4) as pool:
        found = [task for claims in [pool.submit(claim_all) for _ in range(4)] for task in claims.result(60)]
    assert len(found) == len(set(found))
    left = client.claim_next("alice")
    while left is not None:
        found.append(left.id)
        left = client.claim_next("alice")
    assert sorted(found) == list(range(4, 16))
    assert [store.get_task(number)["status"] for number in (2, 3)] == ["idle", "idle"]


def test_claim_next_on_a_v1_is_its_signup(v1: TinytaskClient, store: TinytaskStore) -> None:
    """Without blocking the first idle task is ready."""
    store.create_task("one", "x", assigned_to="alice")
    task = v1.claim_next("alice")
    assert task is not None
    assert task.id == 1
    assert v1.claim_next("alice") is None


def test_claim_next_names_the_tasks_that_it_could_not_put_back(
    store: TinytaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the server fails while blocked tasks are kept aside, the error says which, and what is claimed."""

    def failing(store: TinytaskStore, id: int, **changes: Any) -> Any:
        if id == 2:
            raise StoreError("disk full")
        return store.update_task(id, **changes)

    monkeypatch.setitem(server._TOOLS, "update_task", failing)
    blocked_before(store, blocked=2, ready=1)
    with pytest.raises(TinytaskConnectionError, match=r"could not put back 2,.*task 4 is claimed") as caught:
        TinytaskClient(create_server(store)).claim_next("alice")
    assert caught.value.outcome_unknown
    assert [store.get_task(number)["status"] for number in (2, 3, 4)] == ["working", "idle", "working"]


# Subtasks and queues


def test_subtasks_are_made_listed_shown_and_moved(client: TinytaskClient, store: TinytaskStore) -> None:
    """A tree of tasks, level by level, each answer as the store has it."""
    top = client.create_task("top", queue_name="dev")
    child = client.create_subtask(top.id, "child", assigned_to="bob", priority=2, tags=["t"], description="d")
    assert same(child, store.get_task(child.id), client)
    assert (child.parent_task_id, child.queue_name, child.created_by) == (top.id, "dev", "calypso_nb")
    grandchild = client.create_subtask(child.id, "grandchild", queue_name="qa")
    assert client.get_subtasks(top.id)["id"].tolist() == [child.id]
    everything = client.get_subtasks(top.id, recursive=True, now=NOW + timedelta(hours=1))
    assert everything["id"].tolist() == [child.id, grandchild.id]
    assert everything["age_hours"].tolist() == [1.0, 1.0]
    assert dtypes_of(client.get_subtasks(grandchild.id)) == dtypes(TASK_COLUMNS)
    store.archive_task(grandchild.id)
    assert client.get_subtasks(child.id).empty
    assert client.get_subtasks(child.id, include_archived=True)["id"].tolist() == [grandchild.id]
    tree = client.get_task_with_subtasks(top.id)
    assert tree.subtasks is not None
    assert [part.id for part in tree.subtasks] == [child.id]
    assert tree.subtasks[0].subtasks is None
    deep = client.get_task_with_subtasks(top.id, recursive=True)
    assert deep.subtasks is not None
    assert deep.subtasks[0].subtasks == ()
    assert "grandchild" not in deep._repr_html_()
    assert "child" in deep._repr_html_()
    assert "subtasks 1" in repr(deep)
    assert client.move_subtask(child.id).parent_task_id is None
    assert same(client.move_subtask(child.id, top.id), store.get_task(child.id), client)
    with pytest.raises(TinytaskAPIError, match="circular"):
        client.move_subtask(top.id, child.id)
    with pytest.raises(TinytaskAPIError, match="not found: 999"):
        client.get_task_with_subtasks(999)


def test_subtasks_of_all_levels_are_nested(client: TinytaskClient, store: TinytaskStore) -> None:
    """A server lists them all in one; each stands in the task that it is a part of, in the server's order."""
    for title, parent in (("top", None), ("left", 1), ("right", 1), ("low", 2), ("lower", 2)):
        store.create_task(title, "me", parent_task_id=parent)

    def outline(task: Task) -> Any:
        return task.title, [outline(part) for part in task.subtasks or ()]

    deep = client.get_task_with_subtasks(1, recursive=True)
    assert outline(deep) == ("top", [("left", [("low", []), ("lower", [])]), ("right", [])])
    flat = client.get_task_with_subtasks(1)
    assert outline(flat) == ("top", [("left", []), ("right", [])])
    assert [part.subtasks for part in flat.subtasks or ()] == [None, None]
    assert client.get_task_with_subtasks(5, recursive=True).subtasks == ()


def test_a_subtask_whose_parent_is_missing_is_not_lost(
    store: TinytaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands below the task that was asked for; a circle ends; what is no list is no TinyTask's answer."""
    for title, parent in (("top", None), ("middle", 1), ("low", 2)):
        store.create_task(title, "me", parent_task_id=parent)
    client = TinytaskClient(create_server(store))
    top, low = store.get_task(1), store.get_task(3)
    top_again = top | {"parent_task_id": 3}
    answers = iter([top | {"subtasks": [low]}, top | {"subtasks": [low | {"parent_task_id": 1}, top_again]}])
    monkeypatch.setitem(server._TOOLS, "get_task_with_subtasks", lambda *_, **__: next(answers))
    for _ in range(2):
        deep = client.get_task_with_subtasks(1, recursive=True)
        assert [part.id for part in deep.subtasks or ()] == [3]
    for odd in ("none", [1], [{}]):
        monkeypatch.setitem(
            server._TOOLS, "get_task_with_subtasks", lambda *_, odd=odd, **__: top | {"subtasks": odd}
        )
        with pytest.raises(TinytaskConnectionError, match="unexpected response"):
            client.get_task_with_subtasks(1, recursive=True)


def test_queues_are_filled_counted_and_cleared(client: TinytaskClient, store: TinytaskStore) -> None:
    """Every queue tool, each answer as the store has it."""
    assert client.list_queues() == []
    for number in range(3):
        client.create_task(f"task {number}", priority=number, assigned_to="alice" if number else None)
        assert client.add_task_to_queue(number + 1, "dev").queue_name == "dev"
    store.update_task(3, status="working")
    assert client.move_task_to_queue(1, "qa").queue_name == "qa"
    assert client.list_queues() == ["dev", "qa"] == store.list_queues()
    stats = client.get_queue_stats("dev")
    assert (stats.total_tasks, stats.idle, stats.working, stats.complete) == (2, 1, 1, 0)
    assert (stats.assigned, stats.unassigned, stats.agents) == (2, 0, ("alice",))
    assert "alice" in stats._repr_html_()
    assert client.get_queue_stats("none").total_tasks == 0
    assert client.get_queue_tasks("dev")["id"].tolist() == [3, 2]
    assert client.get_queue_tasks("dev", status=["idle"])["id"].tolist() == [2]
    assert client.get_queue_tasks("dev", exclude_status=["idle"], limit=1, offset=0)["id"].tolist() == [3]
    assert dtypes_of(client.get_queue_tasks("none")) == dtypes(TASK_COLUMNS)
    assert client.remove_task_from_queue(3).queue_name is None
    assert (client.clear_queue("dev"), client.clear_queue("none")) == (1, 0)
    assert store.list_queues() == ["qa"]


# Comments and links


def test_comments_are_written_read_changed_and_deleted(either: TinytaskClient, store: TinytaskStore) -> None:
    """The comment tools that both generations have."""
    store.create_task("one", "x")
    first = either.add_comment(1, "first\n\nline {", created_by="alice")
    second = either.add_comment(1, "\N{SNOWMAN}")
    assert [same(one, store.get_comment(one.id), either) for one in (first, second)] == [True, True]
    comments = either.list_comments(1)
    assert comments["content"].tolist() == ["first\n\nline {", "\N{SNOWMAN}"]
    assert comments["created_by"].isna().tolist() == [False, True]
    assert dtypes_of(comments) == dtypes_of(either.list_comments(99)) == dtypes(COMMENT_COLUMNS)
    assert either.update_comment(first.id, "edited").content == "edited" == store.get_comment(1)["content"]
    assert repr(first) == "<Comment 1 on task 1 by 'alice': 'first line {'>"
    assert either.delete_comment(first.id) is None  # type: ignore[func-returns-value]
    assert [comment["id"] for comment in store.list_comments(1)] == [second.id]
    with pytest.raises(TinytaskAPIError, match="Comment not found: 1"):
        either.delete_comment(first.id)
    with pytest.raises(TinytaskAPIError, match="Task not found: 99"):
        either.add_comment(99, "x")


def test_one_comment_is_read_and_moved(client: TinytaskClient, store: TinytaskStore) -> None:
    """The comment tools of v2 only."""
    store.create_task("one", "x")
    store.create_task("two", "x")
    comment = client.add_comment(1, "text", created_by="bob")
    assert client.get_comment(comment.id) == comment
    moved = client.move_comment(comment.id, 2)
    assert (moved.task_id, moved.content, moved.created_by) == (2, "text", "bob")
    assert same(moved, store.get_comment(moved.id), client)
    assert "moved to task 2" in client.get_comment(comment.id).content
    with pytest.raises(TinytaskAPIError, match="Comment not found: 99"):
        client.get_comment(99)


def test_links_are_added_listed_changed_and_deleted(either: TinytaskClient, store: TinytaskStore) -> None:
    """The link tools, which both generations have."""
    store.create_task("one", "x")
    link = either.add_link(1, "docs/a.md", "the page", created_by="alice")
    either.add_link(1, "b")
    assert same(link, store.list_links(1)[0], either)
    assert either.update_link(link.id, description="merged").description == "merged"
    assert either.update_link(link.id, url="c").url == "c"
    links = either.list_links(1)
    assert links["url"].tolist() == ["c", "b"]
    assert links["description"].isna().tolist() == [False, True]
    assert dtypes_of(links) == dtypes_of(either.list_links(99)) == dtypes(LINK_COLUMNS)
    assert either.delete_link(link.id) is None  # type: ignore[func-returns-value]
    assert [one["url"] for one in store.list_links(1)] == ["b"]
    with pytest.raises(TinytaskAPIError, match="Link not found: 1"):
        either.delete_link(link.id)


def test_an_object_shows_itself_and_obeys_nothing(store: TinytaskStore) -> None:
    """A repr is one short line without control characters, an HTML view is escaped."""
    client = TinytaskClient(create_server(store))
    task = client.create_task("<script>x</script>\x1b[31m" + "long " * 50, assigned_to="<b>", tags=["<i>"])
    client.add_comment(task.id, "<script>y</script>\x1b")
    client.add_link(task.id, "javascript:<u>")
    found = client.get_task(task.id)
    assert found.comments is not None
    assert found.links is not None
    for one in (found, found.comments[0], found.links[0], client.claim_task(task.id, "<b>")):
        assert repr(one).isprintable()
        assert len(repr(one)) < 250
        html = one._repr_html_()
        assert not [tag for tag in ("<script", "<b>", "<i>", "<u>") if tag in html]


# What a v1 lacks

LACKING: dict[str, Call] = {
    "create_subtask": lambda client: client.create_subtask(1, "x"),
    "get_subtasks": lambda client: client.get_subtasks(1),
    "get_task_with_subtasks": lambda client: client.get_task_with_subtasks(1),
    "move_subtask": lambda client: client.move_subtask(1),
    "list_queues": lambda client: client.list_queues(),
    "get_queue_stats": lambda client: client.get_queue_stats("dev"),
    "add_task_to_queue": lambda client: client.add_task_to_queue(1, "dev"),
    "remove_task_from_queue": lambda client: client.remove_task_from_queue(1),
    "move_task_to_queue": lambda client: client.move_task_to_queue(1, "dev"),
    "get_queue_tasks": lambda client: client.get_queue_tasks("dev"),
    "clear_queue": lambda client: client.clear_queue("dev"),
    "get_comment": lambda client: client.get_comment(1),
    "move_comment": lambda client: client.move_comment(1, 2),
}


def test_a_tool_that_a_v1_lacks_is_named_with_the_server(v1: TinytaskClient, store: TinytaskStore) -> None:
    """Neither a crash nor an empty result: an error that says which tool, and which server."""
    store.create_task("one", "x")
    before = store.connection.total_changes
    assert set(LACKING) == set(V2_TOOLS) - set(V1_TOOLS)
    for tool, call in LACKING.items():
        with pytest.raises(TinytaskAPIError) as caught:
            call(v1)
        assert str(caught.value) == f"{tool}: the TinyTask at {v1.endpoint} has no such tool"
        assert caught.value.tool == tool
    assert store.connection.total_changes == before


IGNORED: dict[str, tuple[Call, str]] = {
    "list by queue": (lambda client: client.list_tasks(queue_name="dev"), "queue_name"),
    "list by parent": (lambda client: client.list_tasks(parent_task_id=1), "parent_task_id"),
    "list without statuses": (lambda client: client.list_tasks(exclude_status=["idle"]), "exclude_status"),
    "list without subtasks": (lambda client: client.list_tasks(exclude_subtasks=True), "exclude_subtasks"),
    "list statuses by queue": (
        lambda client: client.list_tasks(status=["idle", "working"], queue_name="dev"),
        "queue_name",
    ),
    "create in a queue": (lambda client: client.create_task("x", queue_name="dev"), "queue_name"),
    "create blocked": (lambda client: client.create_task("x", blocked_by_task_id=1), "blocked_by_task_id"),
    "create below": (lambda client: client.create_task("x", parent_task_id=1), "parent_task_id"),
    "change the queue": (lambda client: client.update_task(1, title="y", queue_name="dev"), "queue_name"),
    "unblock": (lambda client: client.update_task(1, blocked_by_task_id=None), "blocked_by_task_id"),
}


@pytest.mark.parametrize(("call", "argument"), IGNORED.values(), ids=IGNORED)
def test_an_argument_that_a_v1_would_ignore_is_refused(
    call: Call, argument: str, v1: TinytaskClient, store: TinytaskStore
) -> None:
    """What the server would pass over in silence is told, and nothing is written."""
    store.create_task("one", "x")
    before = store.connection.total_changes
    with pytest.raises(TinytaskAPIError, match=f"the TinyTask at {v1.endpoint} takes no {argument}"):
        call(v1)
    assert store.connection.total_changes == before


def test_what_a_v1_does_not_send_is_unknown(v1: TinytaskClient, store: TinytaskStore) -> None:
    """Columns that it lacks are NA, not empty and not false; times without a zone are UTC."""
    store.create_task("one", "x", blocked_by_task_id=None)
    tasks = v1.list_tasks()
    for column in ("parent_task_id", "queue_name", "blocked_by_task_id", "is_currently_blocked"):
        assert tasks[column].isna().all()
    assert dtypes_of(tasks) == dtypes(TASK_COLUMNS)
    assert tasks["created_at"].item() == NOW
    task = v1.get_task(1)
    assert (task.is_currently_blocked, task.queue_name, task.created_at) == (None, None, NOW)


@pytest.mark.parametrize("filters", [
    {"status": ["idle", "working"]},
    {"status": ("complete",)},
    {"status": []},
    {"status": ["idle", "complete"], "limit": 2},
    {"status": ["idle", "complete"], "limit": 2, "offset": 1},
    {"status": ["idle", "complete"], "offset": 3},
    {"status": ["idle", "complete"], "limit": 0, "offset": 3},
    {"status": ["idle", "working", "complete"], "limit": -1},
    {"status": ["idle", "working"], "assigned_to": "alice"},
    {"status": ["idle", "working"], "include_archived": True},
    {"status": "idle", "limit": 2, "offset": 1},
    {"offset": 2},
    {"limit": 0, "offset": 2},
    {"limit": 3},
    {"assigned_to": "alice", "offset": 1},
])  # fmt: skip
def test_a_v1_lists_what_a_v2_lists(
    filters: dict[str, Any], v1: TinytaskClient, store: TinytaskStore
) -> None:
    """Several statuses, limits and offsets give the same on either generation."""
    store.insert_many(
        {"title": f"task {number}", "status": ("idle", "working", "complete")[number % 3],
         "priority": number % 4, "assigned_to": ("alice", None)[number % 2],
         "archived_at": NOW if number == 9 else None}
        for number in range(10)
    )  # fmt: skip
    wanted = TinytaskClient(create_server(store)).list_tasks(**filters)["id"].tolist()
    assert v1.list_tasks(**filters)["id"].tolist() == wanted
    assert [record["id"] for record in v1.list_task_records(**filters)] == wanted


def test_an_unknown_status_is_refused_by_either_generation(either: TinytaskClient) -> None:
    """A slip in a status is no empty list, alone or among others."""
    for status in ("paused", ["paused"], ["idle", "paused"]):
        with pytest.raises(ValueError, match="one of idle, working, complete, not 'paused'"):
            either.list_tasks(status=status)  # type: ignore[arg-type]


def test_a_v1_in_process_is_told_by_its_tools_too(store: TinytaskStore) -> None:
    """What decides is what the server has published, not how it is reached."""
    client = TinytaskClient(create_v1_server(store))
    with pytest.raises(TinytaskAPIError, match="the TinyTask at in-process Server has no such tool"):
        client.list_queues()
