"""Tasks: make, read, change, hand on, archive and delete them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Unpack

import pandas as pd

from calypso_nb.client.calls import Base, given, names
from calypso_nb.records import Comment, Handoff, Task, TaskChanges, TaskFilters


class TaskMethods(Base):
    """The tools of TinyTask that are about whole tasks."""

    def list_tasks(self, *, now: datetime | None = None, **filters: Unpack[TaskFilters]) -> pd.DataFrame:
        """The tasks that pass every filter given, all unless `limit` says otherwise, most urgent first.

        A frame with the columns of `frames.TASK_COLUMNS`. Ages are in hours at `now`, an aware datetime, by
        default the moment of the answer.
        Example: `client.list_tasks(status=["idle", "working"], assigned_to="alice")`
        """
        return self._tasks("tasks", now, "list_tasks", **given(**filters))

    def list_task_records(self, **filters: Unpack[TaskFilters]) -> list[dict[str, Any]]:
        """What `list_tasks` makes its frame of: the server's own JSON objects, in its order.

        Example: `client.list_task_records(limit=10)`
        """
        return self._records("tasks", "list_tasks", **given(**filters))

    def get_my_queue(self, agent_name: str, *, now: datetime | None = None) -> pd.DataFrame:
        """An agent's open tasks, most urgent first, as `list_tasks` gives them.

        Example: `client.get_my_queue("alice")`
        """
        return self._tasks("tasks", now, "get_my_queue", agent_name=agent_name)

    def get_task(self, task_id: int) -> Task:
        """One task with its comments and links; TinytaskAPIError where there is no such task.

        Example: `client.get_task(7).comments`
        """
        return self._read_one(Task, "get_task", id=task_id)

    def create_task(
        self,
        title: str,
        *,
        created_by: str = "calypso_nb",
        description: str | None = None,
        assigned_to: str | None = None,
        priority: int = 0,
        tags: Sequence[str] = (),
        parent_task_id: int | None = None,
        queue_name: str | None = None,
        blocked_by_task_id: int | None = None,
    ) -> Task:
        """Create a task, idle, and return it as the server made it.

        Example: `client.create_task("Write the changelog", assigned_to="alice", priority=3)`
        """
        arguments = given(
            title=title,
            created_by=created_by,
            description=description,
            assigned_to=assigned_to,
            priority=priority,
            tags=names(tags),
            parent_task_id=parent_task_id,
            queue_name=queue_name,
            blocked_by_task_id=blocked_by_task_id,
        )
        return self._write_one(Task, "create_task", **arguments)

    def update_task(self, task_id: int, **changes: Unpack[TaskChanges]) -> Task:
        """Change the fields of a task that are given and return it; any edit moves its `updated_at`.

        `blocked_by_task_id=None` unblocks, `tags` replaces all tags.
        Example: `client.update_task(7, priority=9, tags=["urgent"])`
        """
        return self._write_one(Task, "update_task", id=task_id, **changes)

    def complete_task(self, task_id: int) -> Task:
        """Set a task complete and return it.

        Example: `client.complete_task(7)`
        """
        return self.update_task(task_id, status="complete")

    def requeue_task(self, task_id: int) -> Task:
        """Set a task idle again, its agent unchanged, and return it.

        Example: `client.requeue_task(7)`
        """
        return self.update_task(task_id, status="idle")

    def archive_task(self, task_id: int) -> Task:
        """Hide a task from every list that does not ask for archived ones; its `updated_at` stays.

        Example: `client.archive_task(7).archived_at`
        """
        return self._write_one(Task, "archive_task", id=task_id)

    def delete_task(self, task_id: int) -> None:
        """Delete a task for good, with its subtasks, comments and links.

        Example: `client.delete_task(7)`
        """
        self._delete("delete_task", task_id)

    def move_task(self, task_id: int, current_agent: str, new_agent: str, comment: str) -> Handoff:
        """Hand a task on, idle again, with a comment; an error where `current_agent` does not have it.

        A complete task cannot be moved.
        Example: `client.move_task(7, "alice", "bob", "your turn")`
        """
        answer = self._write(
            "move_task", task_id=task_id, current_agent=current_agent, new_agent=new_agent, comment=comment
        )
        with self._understood("move_task", write=True):
            if "task" not in answer:
                return Handoff(Task.from_record(answer), None)
            return Handoff(Task.from_record(answer["task"]), Comment.from_record(answer["comment"]))
