"""Queues: named sets of tasks. A TinyTask v1 has none."""

from __future__ import annotations

from datetime import datetime
from typing import Unpack

import pandas as pd

from calypso_nb.client.calls import Base, given
from calypso_nb.records import QueueFilters, QueueStats, Task


class QueueMethods(Base):
    """The tools of TinyTask that are about queues."""

    def list_queues(self) -> list[str]:
        """The names of the queues that hold tasks, archived ones not counted.

        Example: `client.list_queues()` is `["dev", "qa"]`
        """
        queues = self._read("list_queues").get("queues")
        if not isinstance(queues, list) or not all(isinstance(name, str) for name in queues):
            raise self._unexpected("list_queues", "without queues")
        return queues

    def get_queue_stats(self, queue_name: str) -> QueueStats:
        """How many tasks a queue holds, by status, and which agents have them; zeros for an unknown queue.

        Example: `client.get_queue_stats("dev").unassigned`
        """
        return self._read_one(QueueStats, "get_queue_stats", queue_name=queue_name)

    def get_queue_tasks(
        self, queue_name: str, *, now: datetime | None = None, **filters: Unpack[QueueFilters]
    ) -> pd.DataFrame:
        """A queue's tasks that pass every filter given, as `list_tasks` gives them.

        Example: `client.get_queue_tasks("dev", status="idle")`
        """
        return self._tasks("tasks", now, "get_queue_tasks", queue_name=queue_name, **given(**filters))

    def add_task_to_queue(self, task_id: int, queue_name: str) -> Task:
        """Put a task into a queue, out of the one that it was in, and return it.

        Example: `client.add_task_to_queue(7, "dev")`
        """
        return self._write_one(Task, "add_task_to_queue", task_id=task_id, queue_name=queue_name)

    def remove_task_from_queue(self, task_id: int) -> Task:
        """Take a task out of its queue, if it is in one, and return it.

        Example: `client.remove_task_from_queue(7)`
        """
        return self._write_one(Task, "remove_task_from_queue", task_id=task_id)

    def move_task_to_queue(self, task_id: int, new_queue_name: str) -> Task:
        """Put a task into another queue and return it.

        Example: `client.move_task_to_queue(7, "qa")`
        """
        return self._write_one(Task, "move_task_to_queue", task_id=task_id, new_queue_name=new_queue_name)

    def clear_queue(self, queue_name: str) -> int:
        """Take every task out of a queue, archived ones too, and say how many there were; none is deleted.

        Example: `client.clear_queue("dev")`
        """
        cleared = self._write("clear_queue", queue_name=queue_name).get("tasks_cleared")
        if not isinstance(cleared, int):
            raise self._unexpected("clear_queue", "without a number", write=True)
        return cleared
