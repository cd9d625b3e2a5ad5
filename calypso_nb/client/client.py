"""`TinytaskClient`: one method for each of TinyTask's tools."""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from calypso_nb.client import actions, claims, runs
from calypso_nb.client.actions import Action, Seen
from calypso_nb.client.calls import (
    Calls,
    Counts,
    Details,
    Look,
    WholeTasks,
    aware,
    flag,
    given,
    nested,
    progress_bar,
    whole,
)
from calypso_nb.client.runs import Lease
from calypso_nb.client.server import source_of
from calypso_nb.errors import TinytaskConnectionError
from calypso_nb.frames import (
    COMMENT_COLUMNS,
    LINK_COLUMNS,
    Column,
    InvalidRecord,
    Records,
    records_to_frame,
    tasks_frame,
)
from calypso_nb.records import Claim, Comment, Handoff, Link, QueueStats, Status, Task
from calypso_nb.settings import load_settings

if TYPE_CHECKING:
    from calypso_nb.client.server import AnyEndpoint

# How TinyTask v1 and v2 say that an agent has nothing to sign up for. It is not an error.
NOTHING_IDLE = "No idle tasks"


class _Unchanged:
    def __repr__(self) -> str:
        return "unchanged"


# None is a value: it unblocks a task.
_UNCHANGED: Any = _Unchanged()


class TinytaskClient:
    """A client of one TinyTask, used in the same way from anywhere in a process.

    Each tool of TinyTask is a method of the same name. Many records come back as a DataFrame, one as an
    object. Nothing connects before the first call. Every call may raise TinytaskConnectionError (no response)
    and TinytaskAPIError (the server refuses; also if a TinyTask v1 lacks a tool or an argument).

    - endpoint: which TinyTask, by default `TINYTASK_ENDPOINT`, then `http://localhost:3000`:
        - a server: `"http://localhost:3000"`, `"https://me:password@tasks.example/team"`, with `/mcp` or not
        - a command that speaks MCP on stdin and stdout, run while the client is open, in the environment of
          this process: `"stdio:npx tinytask --stdio"`
        - a TinyTask database file, opened read-only, also while a server writes to it: `"tinytask.db"` or any
          `Path("data/tasks")`
        - `"demo"`: an embedded TinyTask with sample data
        - an MCP server object of this process: `create_server(TinytaskStore())`
    - timeout: how long a call may take, retries and connecting included, in seconds (30)
    - connect_timeout: how long each connecting may take, in seconds (10)
    - max_retries: how often a read is repeated, and a write that was certainly not sent (3)
    - retry_delay: the wait before it is repeated for the first time, in seconds (0.1)
    - backoff_factor: how many times as long each further wait is (2)
    - token: sent to an HTTP server as a bearer token
    - headers: sent with every HTTP request
    - env_file: a file of `TINYTASK_…` settings, read before `.env`; the environment wins

    A task's number may be given as text too: `7` or `"7"`. Raise ValueError for an endpoint, a setting or an
    argument that is not valid, before anything is sent. A client may be shared by threads, and works
    in a forked process too.
    Example: `TinytaskClient("demo").list_tasks().head()`
    """

    def __init__(
        self,
        endpoint: AnyEndpoint | None = None,
        timeout: float | None = None,
        *,
        connect_timeout: float | None = None,
        max_retries: int | None = None,
        retry_delay: float | None = None,
        backoff_factor: float | None = None,
        token: str | None = None,
        headers: dict[str, str] | None = None,
        env_file: str | os.PathLike[str] | None = None,
    ) -> None:
        settings = load_settings(
            env_file,
            endpoint=endpoint if isinstance(endpoint, str) else None,
            timeout=timeout,
            connect_timeout=connect_timeout,
            max_retries=max_retries,
            retry_delay=retry_delay,
            backoff_factor=backoff_factor,
            token=token,
            headers=headers,
        )
        if endpoint is None or isinstance(endpoint, str):  # It may be the name of a profile.
            endpoint = settings.endpoint
        self._calls = Calls(source_of(endpoint, settings))
        self.endpoint = self._calls.source.name
        # Each is called with the comments that a server gives, as its JSON objects, in the reader's thread.
        self.comment_listeners = self._calls.source.listeners
        self._timeout = settings.timeout
        self.agent = settings.agent  # who the settings say that I am

    def __enter__(self) -> Self:
        _ = self._calls.source  # It says so if it is closed.
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"TinytaskClient({self.endpoint!r})"

    def close(self) -> None:
        """Leave the server for good: any later call raises TinytaskClientError. Twice is fine."""
        self._calls.close()

    def health_check(self) -> bool:
        """Return whether a TinyTask answers; any other call says why not, such as `list_tasks(limit=1)`."""
        source = self._calls.source
        try:
            return source.check()
        except TinytaskConnectionError:
            return False

    # Tasks

    def list_tasks(
        self,
        *,
        status: Status | Sequence[Status] | None = None,
        exclude_status: Sequence[Status] | None = None,
        assigned_to: str | None = None,
        queue_name: str | None = None,
        parent_task_id: int | str | None = None,
        exclude_subtasks: bool = False,
        include_archived: bool = False,
        limit: int | None = None,
        offset: int | None = None,
        now: datetime | None = None,
    ) -> pd.DataFrame:
        """Return the tasks that pass every filter given, most urgent first, with `frames.TASK_COLUMNS`.

        - status, exclude_status: `idle`, `working`, `complete`; several of them in a list
        - exclude_subtasks: leave out the parts of other tasks
        - include_archived: list archived tasks too
        - limit, offset: how many tasks, and how many to skip before them; all by default
        - now: the aware datetime at which ages are measured, by default the moment of the response

        Example: `client.list_tasks(status=["idle", "working"], assigned_to="architect")`
        """
        return self._tasks("tasks", "list_tasks", now, **given(locals()))

    def list_task_records(
        self,
        *,
        status: Status | Sequence[Status] | None = None,
        exclude_status: Sequence[Status] | None = None,
        assigned_to: str | None = None,
        queue_name: str | None = None,
        parent_task_id: int | str | None = None,
        exclude_subtasks: bool = False,
        include_archived: bool = False,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return what `list_tasks` makes its frame of: the server's own JSON objects, in its order.

        Example: `client.list_task_records(status="idle", limit=10)`
        """
        return self._calls.records("tasks", "list_tasks", **given(locals()))

    def get_my_queue(self, agent_name: str, *, now: datetime | None = None) -> pd.DataFrame:
        """Return an agent's open tasks, most urgent first, in the form of `list_tasks`."""
        return self._tasks("tasks", "get_my_queue", now, **given(locals()))

    def get_task(self, task_id: int | str) -> Task:
        """Return one task with its comments and links; TinytaskAPIError if there is no such task.

        Example: `client.get_task(7).comments`
        """
        return self._calls.read_one(Task, "get_task", id=task_id)

    def create_task(
        self,
        title: str,
        *,
        created_by: str | None = None,
        description: str | None = None,
        assigned_to: str | None = None,
        priority: float = 0,
        tags: Sequence[str] = (),
        parent_task_id: int | str | None = None,
        queue_name: str | None = None,
        blocked_by_task_id: int | str | None = None,
    ) -> Task:
        """Create a task, idle, and return it as the server made it.

        - created_by: by default the settings' agent, else `calypso_nb`
        - priority: any number, higher is more urgent; a frame holds whole numbers only
        - parent_task_id: the task that this one is a part of
        - blocked_by_task_id: the task that must be complete before this one

        Example: `client.create_task("Write the changelog", assigned_to="alice", priority=3)`
        """
        created_by = created_by or self.agent or "calypso_nb"
        return self._calls.write_one(Task, "create_task", **given(locals()))

    def update_task(
        self,
        task_id: int | str,
        *,
        title: str = _UNCHANGED,
        description: str = _UNCHANGED,
        status: Status = _UNCHANGED,
        assigned_to: str = _UNCHANGED,
        priority: float = _UNCHANGED,
        tags: Sequence[str] = _UNCHANGED,
        parent_task_id: int | str = _UNCHANGED,
        queue_name: str = _UNCHANGED,
        blocked_by_task_id: int | str | None = _UNCHANGED,
    ) -> Task:
        """Change the fields of a task that are given and return it; any edit moves its `updated_at`.

        - tags: replace all tags
        - blocked_by_task_id: None unblocks the task

        Example: `client.update_task(7, priority=9, tags=["urgent"], blocked_by_task_id=None)`
        """
        changes = given(locals(), absent=(_UNCHANGED,))
        changes["id"] = changes.pop("task_id")
        return self._calls.write_one(Task, "update_task", **changes)

    def complete_task(self, task_id: int | str, success: bool = True, result: Any = None) -> Task:
        """Set a task complete and return it.

        - success: False sets it idle again instead: TinyTask has no failed tasks, and a complete one lets
          those begin that wait for it
        - result: what came of it, added as a comment first; what is not text as JSON

        Example: `client.complete_task(7, result="merged")`
        """
        status: Status = "complete" if flag("complete_task: success", success) else "idle"
        return self._set_and_say(task_id, status, result)

    def requeue_task(self, task_id: int | str, reason: str | None = None) -> Task:
        """Set a task idle again, its agent unchanged, and return it.

        - reason: why, added as a comment first
        """
        return self._set_and_say(task_id, "idle", reason)

    def _set_and_say(self, task_id: int | str, status: Status, why: Any) -> Task:
        if why not in (None, ""):
            content = why if isinstance(why, str) else json.dumps(why, ensure_ascii=False, default=str)
            self.add_comment(task_id, content, created_by=self.agent or "calypso_nb")
        return self.update_task(task_id, status=status)

    def archive_task(self, task_id: int | str) -> Task:
        """Hide a task from every list that doesn't ask for archived ones; its `updated_at` stays."""
        return self._calls.write_one(Task, "archive_task", id=task_id)

    def delete_task(self, task_id: int | str) -> None:
        """Delete a task for good, with its subtasks, comments and links."""
        self._calls.delete("delete_task", task_id)

    def move_task(self, task_id: int | str, current_agent: str, new_agent: str, comment: str) -> Handoff:
        """Hand a task on, idle again, with a comment.

        TinytaskAPIError if the task is complete, or if `current_agent` doesn't have it.
        Example: `client.move_task(client.create_task("x", assigned_to="ann").id, "ann", "bob", "your turn")`
        """
        return self._calls.write_one(Handoff, "move_task", **given(locals()))

    # Claims

    def signup_for_task(self, agent_name: str) -> Task | None:
        """Claim the most urgent idle task that is assigned to an agent, in one step; None if there is none.

        No two callers get the same task. TinyTask hands out blocked tasks too: `claim_next` does not.
        Example: `client.signup_for_task("architect")`
        """
        response = self._calls.write("signup_for_task", agent_name=agent_name)
        if isinstance(response, str) and response.startswith(NOTHING_IDLE):
            return None
        task = self._calls.record(Task, "signup_for_task", response, write=True)
        if (task.assigned_to or "").strip() != agent_name.strip():
            raise self._calls.unexpected("signup_for_task", write=True)
        return task

    def claim_task(self, task_id: int | str, agent: str) -> Claim:
        """Set one task working for an agent, if it is idle, not blocked and not another's; return what came.

        TinyTask has no way to do this in one step: the task is looked at, set, and looked at again. If two
        callers do that at the same moment, the later one has the task; the earlier one gets `taken` if its
        second look comes after, and otherwise both get `claimed`. `claim_next` has no such gap. A task that
        the agent itself is working on already is `taken` too.
        Example: `client.claim_task(7, "architect").outcome`
        """
        return claims.claim_task(self, whole("claim_task: task_id", task_id), agent)

    def claim_next(self, agent: str) -> Task | None:
        """Claim an agent's most urgent idle task that is not blocked, in one step; None if there is none.

        A blocked task that TinyTask hands out is kept aside until the next ready one is found, and then put
        back, idle again; so each is handed out once at most. If the process dies in between, those kept aside
        stay `working` for the agent: `list_tasks(assigned_to=agent, status="working")` shows them blocked,
        and `requeue_task` puts them back. If the server goes away, the error names them.
        Example: `client.claim_next("architect")`
        """
        return claims.claim_next(self, agent)

    # Actions: what a supervisor does to a task that was looked at before. `seen` is that look: a Task, a row
    # of a frame, or a mapping with `id`, `assigned_to`, `status` and `updated_at`. An action that finds the
    # task no longer so does nothing and raises MovedOnError in words; one that is done returns an Action, for
    # `undo`. TinyTask compares and writes in one step only from one agent to another. All else is looked at
    # just before and just after: what somebody did in between is the Action's `warning`, as far as it shows.

    def reassign(
        self,
        task_id: int | str,
        to: str,
        *,
        seen: Seen,
        comment: str = "",
        author: str = "supervisor",
        sure: bool = False,
    ) -> Action:
        """Hand a task to another agent, idle, or assign an unassigned one; complete ones can't be handed on.

        - seen: the task as you saw it; nothing is done unless it still is so
        - comment: what the new agent should know, stored under `author`
        - sure: also an agent that has never had a task here, who is otherwise an UnconfirmedError

        From one agent to another TinyTask itself checks the agent that you saw. An unassigned task is looked
        at, assigned, and looked at again: whoever takes it in between loses it, which `warning` then says.
        Example: `client.reassign(133, "docs-writer", seen=client.get_task(133), sure=True)`
        """
        return actions.reassign(self, whole("task_id", task_id), to, seen, comment, author, sure)

    def release(self, task_id: int | str, *, seen: Seen) -> Action:
        """Make an open task unassigned, and idle if it is in progress: anybody can be given it.

        Example: `client.release(133, seen=client.get_task(133))`
        """
        return actions.release(self, whole("task_id", task_id), seen)

    def set_idle(self, task_id: int | str, *, seen: Seen, sure: bool = False) -> Action:
        """Set a task idle, also one that is complete; its agent keeps it.

        - sure: also if it would be open under what is done, which is otherwise an UnconfirmedError

        Example: `client.set_idle(133, seen=client.get_task(133))`
        """
        return actions.change(
            self, "set_idle", whole("task_id", task_id), seen, {"status": "idle"}, sure=sure
        )

    def unblock(self, task_id: int | str, *, seen: Seen) -> Action:
        """Let a task wait for no other.

        Example: `client.unblock(133, seen=client.get_task(133))`
        """
        return actions.change(self, "unblock", whole("task_id", task_id), seen, {"blocked_by_task_id": None})

    def complete(self, task_id: int | str, *, seen: Seen, sure: bool = False) -> Action:
        """Set a task complete.

        - sure: also if subtasks stay open under it, which is otherwise an UnconfirmedError

        Example: `client.complete(133, seen=client.get_task(133), sure=True)`
        """
        return actions.change(
            self, "complete", whole("task_id", task_id), seen, {"status": "complete"}, sure=sure
        )

    def archive(
        self, task_id: int | str, *, seen: Seen, author: str = "supervisor", sure: bool = False
    ) -> Action:
        """Archive a task; TinyTask has no way back but `restore`, which `undo` uses.

        - sure: also if others would wait for it for ever, or be left under it: otherwise an UnconfirmedError

        Example: `client.archive(133, seen=client.get_task(133), sure=True)`
        """
        return actions.archive(self, whole("task_id", task_id), seen, sure, author)

    def restore(
        self, task_id: int | str, *, seen: Seen, author: str = "supervisor", sure: bool = False
    ) -> Action:
        """Bring an archived task back as a copy with a new number: TinyTask can't un-archive.

        The copy is idle unless the task is complete. Open tasks that wait for the archived one, or are parts
        of it, wait for the copy or are parts of it. Comments and links stay with the archived one, to which a
        comment points, and so does one back. A second time is refused while there is such a copy.

        - sure: also if the copy would wait for ever, or be part of what is done: else an UnconfirmedError

        Example: `client.undo(client.archive(133, seen=client.get_task(133), sure=True)).after.id`
        """
        return actions.restore(self, whole("task_id", task_id), seen, author, sure)

    def change(
        self,
        task_id: int | str,
        *,
        seen: Seen,
        sure: bool = False,
        priority: float = _UNCHANGED,
        tags: Sequence[str] = _UNCHANGED,
        queue_name: str | None = _UNCHANGED,
        parent_task_id: int | str | None = _UNCHANGED,
        blocked_by_task_id: int | str | None = _UNCHANGED,
    ) -> Action:
        """Change the fields that are given; None takes a task out of its queue, from its parent, unblocks it.

        - sure: also if it would then wait for ever, or be part of what is done: otherwise an UnconfirmedError

        Example: `client.change(133, seen=client.get_task(133), priority=9, blocked_by_task_id=None)`
        """
        fields = given(locals(), absent=(_UNCHANGED,))
        number = whole("task_id", fields.pop("task_id"))
        del fields["seen"], fields["sure"]
        for name in ("parent_task_id", "blocked_by_task_id"):
            if fields.get(name) is not None:
                fields[name] = whole(name, fields[name])
        if isinstance(fields.get("tags"), Iterable) and not isinstance(tags, str):
            fields["tags"] = tuple(tags)
        return actions.change(self, "change", number, seen, fields, sure=sure)

    def undo(self, action: Action) -> Action:
        """Restore what was before an action, unless somebody has changed the task since: MovedOnError then.

        Comments stay, and so does `previous_assigned_to`. An archived task comes back as `restore` does it.
        Example: `client.undo(client.release(133, seen=client.get_task(133)))`
        """
        return actions.undo(self, action)

    # Subtasks: three levels at most. A TinyTask v1 has none.

    def create_subtask(
        self,
        parent_task_id: int | str,
        title: str,
        *,
        created_by: str | None = None,
        description: str | None = None,
        assigned_to: str | None = None,
        priority: float = 0,
        tags: Sequence[str] = (),
        queue_name: str | None = None,
    ) -> Task:
        """Create a task as a part of another, in its queue unless `queue_name` names one.

        Example: `client.create_subtask(7, "Write the tests", assigned_to="bob")`
        """
        created_by = created_by or self.agent or "calypso_nb"
        return self._calls.write_one(Task, "create_subtask", **given(locals()))

    def get_subtasks(
        self,
        parent_task_id: int | str,
        *,
        recursive: bool = False,
        include_archived: bool = False,
        now: datetime | None = None,
    ) -> pd.DataFrame:
        """Return a task's parts, each followed by its own if `recursive`, in the form of `list_tasks`.

        Empty also if there is no such task: TinyTask does not say.
        Example: `client.get_subtasks(7, recursive=True)`
        """
        return self._tasks("subtasks", "get_subtasks", now, **given(locals()))

    def get_task_with_subtasks(self, task_id: int | str, *, recursive: bool = False) -> Task:
        """Return a task with its parts in `subtasks`, and theirs in them if `recursive`; no archived ones."""
        tool = "get_task_with_subtasks"
        response = self._calls.read(tool, task_id=task_id, recursive=recursive)
        return self._calls.record(Task, tool, nested(response) if recursive else response)

    def move_subtask(self, subtask_id: int | str, new_parent_id: int | None = None) -> Task:
        """Make a task, with its own parts, a part of another task, or of none."""
        return self._calls.write_one(Task, "move_subtask", **given(locals()))

    # Queues: named sets of tasks. A TinyTask v1 has none.

    def list_queues(self) -> list[str]:
        """Return the names of the queues that hold tasks, not counting archived ones."""
        queues = self._calls.read("list_queues").get("queues")
        if not isinstance(queues, list) or not all(isinstance(name, str) for name in queues):
            raise self._calls.unexpected("list_queues")
        return queues

    def get_queue_stats(self, queue_name: str) -> QueueStats:
        """Count a queue's tasks by status, and name the agents that have them; zeros for an unknown queue."""
        return self._calls.read_one(QueueStats, "get_queue_stats", queue_name=queue_name)

    def get_queue_tasks(
        self,
        queue_name: str,
        assigned_to: str | None = None,
        status: Status | Sequence[Status] | None = None,
        limit: int | None = None,
        *,
        exclude_status: Sequence[Status] | None = None,
        parent_task_id: int | str | None = None,
        exclude_subtasks: bool = False,
        include_archived: bool = False,
        offset: int | None = None,
        now: datetime | None = None,
    ) -> pd.DataFrame:
        """Return a queue's tasks that pass every filter given; filters and form are those of `list_tasks`.

        Example: `client.get_queue_tasks("dev", status="idle")`
        """
        return self._tasks("tasks", "get_queue_tasks", now, **given(locals()))

    def add_task_to_queue(self, task_id: int | str, queue_name: str) -> Task:
        """Put a task into a queue, out of the one that it was in, and return it."""
        return self._calls.write_one(Task, "add_task_to_queue", **given(locals()))

    def remove_task_from_queue(self, task_id: int | str) -> Task:
        """Take a task out of its queue, if it is in one, and return it."""
        return self._calls.write_one(Task, "remove_task_from_queue", task_id=task_id)

    def move_task_to_queue(self, task_id: int | str, new_queue_name: str) -> Task:
        """Put a task into another queue and return it."""
        return self._calls.write_one(Task, "move_task_to_queue", **given(locals()))

    def clear_queue(self, queue_name: str) -> int:
        """Take every task out of a queue, archived ones too, and return how many; none is deleted."""
        response = self._calls.write("clear_queue", queue_name=queue_name)
        if isinstance(response, dict) and isinstance(cleared := response.get("tasks_cleared"), int):
            return cleared
        raise self._calls.unexpected("clear_queue", write=True)

    # Comments and links: neither moves a task's `updated_at`.

    def add_comment(self, task_id: int | str, content: str, created_by: str | None = None) -> Comment:
        """Add a comment to a task, by default in the name of the settings' agent, and return it."""
        created_by = created_by or self.agent
        return self._calls.write_one(Comment, "add_comment", **given(locals()))

    def update_comment(self, comment_id: int, content: str) -> Comment:
        """Replace a comment's text and return the comment."""
        return self._calls.write_one(Comment, "update_comment", id=comment_id, content=content)

    def delete_comment(self, comment_id: int) -> None:
        """Delete a comment for good."""
        self._calls.delete("delete_comment", comment_id)

    def list_comments(self, task_id: int | str) -> pd.DataFrame:
        """Return a task's comments, the oldest first, with the columns of `frames.COMMENT_COLUMNS`.

        Empty also if there is no such task: TinyTask does not say.
        """
        return self._frame(COMMENT_COLUMNS, "comments", "list_comments", task_id)

    def get_comment(self, comment_id: int) -> Comment:
        """Return one comment; a TinyTask v1 has no tool for that."""
        return self._calls.read_one(Comment, "get_comment", id=comment_id)

    def move_comment(self, comment_id: int, to_task_id: int | str) -> Comment:
        """Copy a comment to another task and return the copy; the original becomes a record of the move.

        A TinyTask v1 has no tool for that.
        """
        return self._calls.write_one(Comment, "move_comment", **given(locals()))

    def add_link(
        self, task_id: int | str, url: str, description: str | None = None, created_by: str | None = None
    ) -> Link:
        """Add a link to a task and return it; any text will do as its `url`.

        Example: `client.add_link(7, "docs/design.md", "the page")`
        """
        return self._calls.write_one(Link, "add_link", **given(locals()))

    def update_link(self, link_id: int, url: str | None = None, description: str | None = None) -> Link:
        """Replace a link's url, its description, or both, and return the link; None leaves what it is.

        Example: `client.update_link(1, description="merged")`
        """
        changes = given({"url": url, "description": description})
        return self._calls.write_one(Link, "update_link", id=link_id, **changes)

    def delete_link(self, link_id: int) -> None:
        """Delete a link for good."""
        self._calls.delete("delete_link", link_id)

    def list_links(self, task_id: int | str) -> pd.DataFrame:
        """Return a task's links, the oldest first, with the columns of `frames.LINK_COLUMNS`.

        Empty also if there is no such task: TinyTask does not say.
        """
        return self._frame(LINK_COLUMNS, "links", "list_links", task_id)

    def count_details(
        self,
        task_ids: Sequence[int] | None = None,
        progress: bool | Callable[[int, int], None] = True,
        *,
        seconds: float | None = None,
    ) -> Counts:
        """Count the comments and links of many tasks, and say when and by whom each was last commented on.

        Costs a request per task, several in flight; with a database file two queries in all. A task that has
        gone meanwhile, or was not reached in time, which a warning says, has None everywhere.

        - task_ids: the tasks, by default all that are not archived
        - progress: show a bar if that takes long; a function is called with the number done and the number in
          all instead, in the caller's thread
        - seconds: how long it may take, by default the timeout for each thousand tasks

        Example: `client.count_details([1, 2])`
        """
        ids, counts = self._numbers("count_details", task_ids), Counts()
        for some in self._whole(ids, progress, seconds):
            counts |= {task_id: Details.of(task) or Details() for task_id, task in some.items()}
        if late := [task_id for task_id in ids if task_id not in counts]:
            warnings.warn(
                f"comments and links of {len(late):,} of {len(ids):,} tasks were not read in time: NA",
                stacklevel=2,
            )
        return dict.fromkeys(ids, Details()) | counts

    def read_notes(
        self,
        task_ids: Sequence[int] | None = None,
        progress: bool | Callable[[int, int], None] = True,
        *,
        seconds: float | None = None,
    ) -> tuple[pd.DataFrame, pd.DataFrame, set[int]]:
        """Return the comments and the links of many tasks, and the numbers of those tasks that were read.

        Costs what `count_details` does, whose parameters these are. A task that has gone meanwhile, or was
        not reached in time, which a warning says, is not among the numbers.

        Example: `client.read_notes([1, 2])[0].content`
        """
        ids, tasks = self._numbers("read_notes", task_ids), WholeTasks()
        for some in self._whole(ids, progress, seconds):
            tasks |= some
        if late := len(ids) - len(tasks):
            warnings.warn(f"comments and links of {late:,} of {len(ids):,} tasks were not read", stacklevel=2)
        there = {number: task for number, task in tasks.items() if task is not None}
        try:
            comments, links = (
                records_to_frame([one for task in there.values() for one in task[name]], columns)
                for name, columns in (("comments", COMMENT_COLUMNS), ("links", LINK_COLUMNS))
            )
        except (InvalidRecord, AttributeError) as error:
            raise self._calls.unexpected("get_task") from error
        return comments, links, {*there}

    def _numbers(self, method: str, task_ids: Sequence[int] | None) -> list[int]:
        """Return the numbers of tasks, each once; by default of all that are not archived."""
        if task_ids is None:
            task_ids = [record["id"] for record in self.list_task_records()]
        return list(dict.fromkeys(whole(f"{method}: task_id", task_id) for task_id in task_ids))

    def _whole(
        self, ids: Sequence[int], progress: bool | Callable[[int, int], None], seconds: float | None
    ) -> Iterator[WholeTasks]:
        """Yield tasks with their comments and links, some at a time, and show how far that is."""
        seconds = self.seconds_for(len(ids)) if seconds is None else seconds
        done = 0
        with progress_bar(progress, len(ids)) as move:
            for some in self._calls.source.whole(ids, seconds):
                yield some
                done += len(some)
                move(done)

    def seconds_for(self, tasks: int) -> float:
        """Return how long reading so many tasks one by one may take: the timeout for each thousand of them.

        Example: `client.seconds_for(2500)`
        """
        return self._timeout * max(1, math.ceil(tasks / 1000))

    # Schedulers, wherever they are: `run-agent` looks for these on the server.

    def cancel_run(self, task_id: int | str) -> Lease:
        """Ask whoever runs a task to end its run, which takes some seconds, and return the run's lease.

        The task is idle then, and is not run again before its tag `cancelled` is removed. Raise UsageError if
        no run is at work on it.
        """
        return runs.cancel(self, task_id)

    def pause_agent(self, agent: str, why: str = "") -> None:
        """Have no scheduler of this server take another task of an agent; what runs goes on.

        It is kept as an archived task, with the reason as its description.

        Example: `client.pause_agent("alice", "the model is down")`
        """
        runs.pause(self, agent, why)

    def resume_agent(self, agent: str) -> None:
        """Let schedulers take an agent's tasks again; raise UsageError if it is not paused.

        Example: `client.pause_agent("bob"); client.resume_agent("bob")`
        """
        runs.resume(self, agent)

    def paused_agents(self) -> dict[str, datetime | None]:
        """Return since when each agent is paused, by the server's clock.

        Example: `client.paused_agents()`
        """
        return runs.paused(self)

    # By the names of earlier clients

    def list_idle_tasks(self, agent: str | None = None, limit: int | None = None) -> list[Task]:
        """Return an agent's idle tasks as objects, most urgent first; `list_tasks` gives a DataFrame."""
        records = self.list_task_records(status="idle", assigned_to=agent, limit=limit)
        return [self._calls.record(Task, "list_tasks", record) for record in records]

    def get_unassigned_in_queue(self, queue_name: str, limit: int | None = None) -> list[Task]:
        """Return the idle tasks of a queue that no agent has, as objects, most urgent first."""
        records = self._calls.records("tasks", "get_queue_tasks", queue_name=queue_name, status="idle")
        free = [record for record in records if not record.get("assigned_to")]
        most = whole("get_unassigned_in_queue: limit", limit or 0)
        # To TinyTask, too, 0 and less are no limit.
        return [
            self._calls.record(Task, "get_queue_tasks", record)
            for record in free[: most if most > 0 else None]
        ]

    def update_task_state(self, task_id: int | str, state: Status) -> Task:
        """Set a task's status and return the task; `claim_task` looks first whether it is free."""
        return self.update_task(task_id, status=state)

    def assign_task(self, task_id: int | str, agent: str) -> Task:
        """Give a task to an agent, its status unchanged, and return it; `move_task` hands it on."""
        return self.update_task(task_id, assigned_to=agent)

    # Frames

    def frame_of(self, records: Records, now: datetime, tool: str = "list_tasks") -> pd.DataFrame:
        """Return the frame of what a tool gave as tasks; TinytaskConnectionError if they are not tasks.

        Example: `client.frame_of(client.list_task_records(), datetime.now(UTC))`
        """
        try:
            return tasks_frame(records, now)
        except InvalidRecord as error:
            raise self._calls.unexpected(tool) from error

    def snapshot(self, now: datetime | None = None) -> tuple[pd.DataFrame, datetime]:
        """Return all tasks, archived ones included, in the form of `list_tasks`, and the moment of that.

        - now: the aware datetime at which ages are measured, by default the moment of the response, by the
          server's clock if that is a server elsewhere

        Example: `tasks, moment = client.snapshot()`
        """
        return self._listed("tasks", "list_tasks", now, include_archived=True)

    def look(self, commented: str = "") -> Look:
        """Return all tasks as the server has them, archived ones included, between two times by its clock.

        - commented: the time, as the server writes it, since when a database file is to give comments along

        Example: `client.look().tasks`
        """
        return self._calls.look(commented)

    def written(self) -> tuple[int, ...] | None:
        """Return numbers that change as soon as somebody writes to a database file; None for a server.

        Example: `client.written() is None`
        """
        return self._calls.source.written()

    def now(self) -> datetime:
        """Return the time by the server's clock, in UTC.

        Example: `client.now()`
        """
        return self._calls.source.now()

    def _tasks(self, key: str, tool: str, now: datetime | None, /, **arguments: Any) -> pd.DataFrame:
        return self._listed(key, tool, now, **arguments)[0]

    def _listed(
        self, key: str, tool: str, now: datetime | None, /, **arguments: Any
    ) -> tuple[pd.DataFrame, datetime]:
        given_moment = aware(now)
        if tool == "list_tasks":
            records = self._calls.tasks(**arguments)
        else:
            records = self._calls.records(key, tool, **arguments)
        moment = (given_moment or self._calls.source.now()).astimezone(UTC)
        return self.frame_of(records, moment, tool), moment

    def _frame(self, columns: Mapping[str, Column], key: str, tool: str, task_id: int | str) -> pd.DataFrame:
        records = self._calls.records(key, tool, task_id=task_id)
        try:
            return records_to_frame(records, columns)
        except InvalidRecord as error:
            raise self._calls.unexpected(tool) from error
