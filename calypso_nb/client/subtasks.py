"""Subtasks: the parts that a task is made of, three levels deep at most. A TinyTask v1 has none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd

from calypso_nb.client.calls import Base, given, names
from calypso_nb.records import Task


class SubtaskMethods(Base):
    """The tools of TinyTask that are about a task's parts."""

    def create_subtask(
        self,
        parent_task_id: int,
        title: str,
        *,
        created_by: str = "calypso_nb",
        description: str | None = None,
        assigned_to: str | None = None,
        priority: int = 0,
        tags: Sequence[str] = (),
        queue_name: str | None = None,
    ) -> Task:
        """Create a task as a part of another, in its queue unless `queue_name` names one.

        Example: `client.create_subtask(7, "Write the tests", assigned_to="bob")`
        """
        arguments = given(
            parent_task_id=parent_task_id,
            title=title,
            created_by=created_by,
            description=description,
            assigned_to=assigned_to,
            priority=priority,
            tags=names(tags),
            queue_name=queue_name,
        )
        return self._write_one(Task, "create_subtask", **arguments)

    def get_subtasks(
        self,
        parent_task_id: int,
        *,
        recursive: bool = False,
        include_archived: bool = False,
        now: datetime | None = None,
    ) -> pd.DataFrame:
        """A task's parts, each followed by its own if `recursive`, as `list_tasks` gives tasks.

        Empty also where there is no such task: TinyTask does not say.
        Example: `client.get_subtasks(7, recursive=True)`
        """
        return self._tasks(
            "subtasks",
            now,
            "get_subtasks",
            parent_task_id=parent_task_id,
            recursive=recursive,
            include_archived=include_archived,
        )

    def get_task_with_subtasks(self, task_id: int, *, recursive: bool = False) -> Task:
        """One task with its parts in `subtasks`, and theirs in them if `recursive`; archived ones left out.

        Example: `client.get_task_with_subtasks(7).subtasks`
        """
        return self._read_one(Task, "get_task_with_subtasks", task_id=task_id, recursive=recursive)

    def move_subtask(self, subtask_id: int, new_parent_id: int | None = None) -> Task:
        """Make a task, with its own parts, a part of another task, or of none.

        Example: `client.move_subtask(8, 7)`
        """
        arguments = given(new_parent_id=new_parent_id)
        return self._write_one(Task, "move_subtask", subtask_id=subtask_id, **arguments)
