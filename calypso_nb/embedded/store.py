"""TinyTask v2's rules: what its tools do to tasks, subtasks, queues, comments and links."""

from collections.abc import Collection, Mapping
from typing import Any

from calypso_nb.embedded.database import Database, Record, StoreError
from calypso_nb.embedded.validation import JS_SPACE

MAX_LEVELS = 3
# id only makes the order definite: TinyTask promises none between equal tasks.
_ORDER = "ORDER BY priority DESC, created_at, id"
_NO_QUEUE = "Queue name cannot be empty"


class TinytaskStore(Database):
    """A TinyTask v2 over SQLite: one method per tool, which returns the wire's JSON fields.

    Any thread may call any method. Anything that TinyTask refuses raises `StoreError` with TinyTask's words.

    - path: the database file; None keeps everything in memory.
    - now: a function that returns the present as an aware datetime; by default the system's clock.

    Example: `TinytaskStore().create_task("Write the changelog", "alice")["id"] == 1`
    """

    def create_task(self, title: str, created_by: str | None, **fields: Any) -> Record:
        """Create an idle task; a subtask takes over its parent's queue unless it names one.

        - fields: what `update_task` can set, without a status
        """
        title = _required(title, "Task title is required").strip(JS_SPACE)
        if created_by is not None:  # As v1 allows.
            _required(created_by, "created_by is required")
        with self.transaction(created_by):
            if (parent_id := fields.get("parent_task_id")) is not None:
                parent = self._task(parent_id, "Parent task")
                if len(self._lineage(parent_id)) >= MAX_LEVELS:
                    raise StoreError(f"Maximum nesting depth of {MAX_LEVELS} levels exceeded")
                if fields.get("queue_name") is None:
                    fields["queue_name"] = parent["queue_name"]
            if (blocker_id := fields.get("blocked_by_task_id")) is not None:
                self._task(blocker_id, "Blocking task")
            task_id = self._insert("tasks", {"title": title, "created_by": created_by, **_kept(fields)})
            self._roll_up(parent_id)
            return self._task(task_id)

    def update_task(self, id: float, **changes: Any) -> Record:
        """Set some fields; `updated_at` moves even if nothing changes, and parents' statuses follow.

        - changes: title, description, status, assigned_to, priority, tags, parent_task_id, queue_name,
          blocked_by_task_id; None or an empty text empties what may be empty
        """
        with self.transaction():
            before = self._task(id)
            if "title" in changes:
                changes["title"] = _required(changes["title"], "Task title cannot be empty").strip(JS_SPACE)
            if (blocker_id := changes.get("blocked_by_task_id")) is not None:
                if blocker_id == id:
                    raise StoreError("Task cannot be blocked by itself")
                if self._task(blocker_id, "Blocking task")["blocked_by_task_id"] == id:
                    raise StoreError("Cannot create circular blocking relationship")
            if (parent_id := changes.get("parent_task_id")) is not None:
                self._check_new_parent(id, parent_id)
            kept = _kept(changes) | {"updated_at": self.now()}
            holder = before["assigned_to"]
            if kept.get("assigned_to", holder) != holder:
                kept["previous_assigned_to"] = holder
            self._update("tasks", id, kept)
            self._roll_up(before["parent_task_id"])
            after = self._task(id)
            if after["parent_task_id"] != before["parent_task_id"]:
                self._roll_up(after["parent_task_id"])
            return after

    def get_task(self, id: float) -> Record:
        """Return a task, archived or not, with its comments and links."""
        with self._lock:
            return self._task(id) | {"comments": self.list_comments(id), "links": self.list_links(id)}

    def delete_task(self, id: float) -> None:
        """Delete a task with its subtasks, comments and links; what it blocked is free."""
        with self.transaction():
            parent_id = self._task(id)["parent_task_id"]
            self.connection.execute("DELETE FROM tasks WHERE id = ?", (id,))
            self._roll_up(parent_id)

    def archive_task(self, id: float) -> Record:
        """Hide a task from lists; its `updated_at` stays."""
        with self.transaction():
            parent_id = self._task(id)["parent_task_id"]
            self._update("tasks", id, {"archived_at": self.now()})
            self._roll_up(parent_id)
            return self._task(id)

    def list_tasks(
        self,
        *,
        status: str | Collection[str] = (),
        exclude_status: Collection[str] = (),
        assigned_to: str | None = None,
        queue_name: str | None = None,
        parent_task_id: float | None = None,
        exclude_subtasks: bool = False,
        include_archived: bool = False,
        limit: float = 0,
        offset: float = 0,
    ) -> list[Record]:
        """Return tasks by falling priority, the oldest first; no limit, 0 or a negative one returns all."""
        names = {"assigned_to": assigned_to, "queue_name": queue_name, "parent_task_id": parent_task_id}
        equal = {name: value for name, value in names.items() if value is not None}
        conditions = ["TRUE", *(f"{name} = ?" for name in equal)]
        if not include_archived:
            conditions.append("archived_at IS NULL")
        if exclude_subtasks:
            conditions.append("parent_task_id IS NULL")
        statuses = [status] if isinstance(status, str) else status
        for word, some in (("IN", statuses), ("NOT IN", exclude_status)):
            if some:
                conditions.append(f"status {word} ({', '.join('?' * len(some))})")
        values = [*equal.values(), *statuses, *exclude_status, limit or -1, offset]
        return self._select("tasks", f"WHERE {' AND '.join(conditions)} {_ORDER} LIMIT ? OFFSET ?", values)

    def get_my_queue(self, agent_name: str) -> list[Record]:
        """Return the agent's tasks that are neither complete nor archived."""
        return self.list_tasks(assigned_to=agent_name, exclude_status=["complete"])

    def signup_for_task(self, agent_name: str) -> Record | None:
        """Claim the agent's first idle task, blocked or not, and set it working; None if there is none."""
        with self.transaction(agent_name):
            first = self.list_tasks(assigned_to=agent_name, status="idle", limit=1)
            if not first:
                return None
            self.update_task(first[0]["id"], status="working")
            return self.get_task(first[0]["id"])

    def move_task(self, task_id: float, current_agent: str, new_agent: str, comment: str) -> Record:
        """Hand an unfinished task to another agent, idle again, with a comment by its previous agent."""
        with self.transaction(current_agent):
            task = self._task(task_id)
            if task["assigned_to"] != current_agent:
                holder = task["assigned_to"] or "unassigned"
                raise StoreError(
                    f"Task {task_id} is not assigned to {current_agent} (currently assigned to: {holder})"
                )
            if task["status"] == "complete":
                raise StoreError(
                    f"Task {task_id} with status 'complete' cannot be transferred"
                    " (only 'idle' or 'working' are allowed)"
                )
            hands = {"previous_assigned_to": current_agent, "assigned_to": new_agent}
            moved = self.update_task(task_id, **hands, status="idle")
            return {"task": moved, "comment": self._comment(task_id, comment, current_agent)}

    # Subtasks

    def get_subtasks(
        self, parent_task_id: float, recursive: bool = False, include_archived: bool = False
    ) -> list[Record]:
        """Return a task's children, each followed by its own children if `recursive`."""
        found: list[Record] = []
        for child in self.list_tasks(parent_task_id=parent_task_id, include_archived=include_archived):
            found.append(child)
            if recursive:
                found += self.get_subtasks(child["id"], True, include_archived)
        return found

    def get_task_with_subtasks(self, task_id: float, recursive: bool = False) -> Record:
        """Return a task with `subtasks`, all below it in one list if `recursive`, and `subtask_count`."""
        task, subtasks = self._task(task_id), self.get_subtasks(task_id, recursive)
        return task | {"subtasks": subtasks, "subtask_count": len(subtasks)}

    def move_subtask(self, subtask_id: float, new_parent_id: float | None = None) -> Record:
        """Put a task with its subtasks under another parent, or under none."""
        return self.update_task(subtask_id, parent_task_id=new_parent_id)

    # Queues

    def list_queues(self) -> list[str]:
        """Return the names of the queues that have tasks, in alphabetical order."""
        with self._lock:
            rows = self.connection.execute(
                "SELECT DISTINCT queue_name FROM tasks"
                " WHERE queue_name IS NOT NULL AND archived_at IS NULL ORDER BY queue_name"
            ).fetchall()
        return [name for (name,) in rows]

    def get_queue_stats(self, queue_name: str) -> Record:
        """Count a queue's tasks by status and by whether they are assigned, and name its agents."""
        tasks = self.get_queue_tasks(queue_name)
        statuses = [task["status"] for task in tasks]
        agents = [task["assigned_to"] for task in tasks if task["assigned_to"] is not None]
        return {
            "queue_name": queue_name,
            "total_tasks": len(tasks),
            "by_status": {status: statuses.count(status) for status in ("idle", "working", "complete")},
            "assigned": len(agents),
            "unassigned": len(tasks) - len(agents),
            "agents": sorted(set(agents)),
        }

    def get_queue_tasks(self, queue_name: str, **filters: Any) -> list[Record]:
        """Return what `list_tasks` does of one queue."""
        return self.list_tasks(queue_name=_required(queue_name, _NO_QUEUE), **filters)

    def clear_queue(self, queue_name: str) -> int:
        """Take every task out of a queue, and return how many there were."""
        with self.transaction():
            tasks = self.get_queue_tasks(queue_name, include_archived=True)
            for task in tasks:
                self.update_task(task["id"], queue_name=None)
            return len(tasks)

    # Comments and links; none of them moves the updated_at of its task

    def add_comment(self, task_id: float, content: str, created_by: str | None = None) -> Record:
        """Add a comment to a task."""
        with self.transaction(created_by):
            self._task(task_id)
            return self._comment(task_id, _required(content, "Comment content is required"), created_by)

    def update_comment(self, id: float, content: str) -> Record:
        """Replace a comment's text."""
        with self.transaction():
            self.get_comment(id)
            text = _required(content, "Comment content cannot be empty")
            self._update("comments", id, {"content": text, "updated_at": self.now()})
            return self.get_comment(id)

    def get_comment(self, id: float) -> Record:
        """Return one comment."""
        return self.one("comments", id, "Comment")

    def list_comments(self, task_id: float) -> list[Record]:
        """Return a task's comments, the oldest first; none if there is no such task."""
        return self._select("comments", "WHERE task_id = ? ORDER BY created_at, id", [task_id])

    def delete_comment(self, id: float) -> None:
        """Delete a comment."""
        with self.transaction():
            self.get_comment(id)
            self.connection.execute("DELETE FROM comments WHERE id = ?", (id,))

    def move_comment(self, comment_id: float, to_task_id: float) -> Record:
        """Copy a comment to another task; the original's text becomes a record of where it went."""
        with self.transaction():
            comment = self.get_comment(comment_id)
            moved = self.add_comment(to_task_id, comment["content"], comment["created_by"])
            self.update_comment(comment_id, f"Comment moved to task {to_task_id} comment {moved['id']}")
            return moved

    def add_link(
        self, task_id: float, url: str, description: str | None = None, created_by: str | None = None
    ) -> Record:
        """Add a link to a task; any text is accepted as its url."""
        with self.transaction():
            self._task(task_id)
            url = _required(url, "Link URL is required")
            about = {"description": description, "created_by": created_by}
            return self._link(self._insert("links", {"task_id": task_id, "url": url, **about}))

    def update_link(self, id: float, url: str | None = None, description: str | None = None) -> Record:
        """Replace a link's url, its description, or both; None leaves it as it is."""
        with self.transaction():
            self._link(id)
            if url is not None:
                self._update("links", id, {"url": _required(url, "Link URL cannot be empty")})
            if description is not None:
                self._update("links", id, {"description": description})
            return self._link(id)

    def list_links(self, task_id: float) -> list[Record]:
        """Return a task's links, the oldest first; none if there is no such task."""
        return self._select("links", "WHERE task_id = ? ORDER BY created_at, id", [task_id])

    def delete_link(self, id: float) -> None:
        """Delete a link."""
        with self.transaction():
            self._link(id)
            self.connection.execute("DELETE FROM links WHERE id = ?", (id,))

    # What the tools have in common

    def _task(self, id: float, what: str = "Task") -> Record:
        return self.one("tasks", id, what)

    def _comment(self, task_id: float, content: str, created_by: str | None) -> Record:
        fields = {"task_id": task_id, "content": content, "created_by": created_by}
        return self.get_comment(self._insert("comments", fields))

    def _link(self, id: float) -> Record:
        return self.one("links", id, "Link")

    def _lineage(self, id: float | None) -> list[float]:
        """Return the task, its parent, its parent's parent and so on."""
        line: list[float] = []
        while id is not None and id not in line:  # a hand-written loop must not hang us
            line.append(id)
            id = self._scalar("SELECT parent_task_id FROM tasks WHERE id = ?", id)
        return line

    def _check_new_parent(self, id: float, parent_id: float) -> None:
        self._task(parent_id, "Parent task")
        if id in self._lineage(parent_id):
            raise StoreError("Cannot create circular parent-child relationship")
        family = [{"id": id}, *self.get_subtasks(id, recursive=True, include_archived=True)]
        deepest = max(len(self._lineage(task["id"])) for task in family)
        if len(self._lineage(parent_id)) + 1 + deepest - len(self._lineage(id)) > MAX_LEVELS:
            raise StoreError(f"Maximum nesting depth of {MAX_LEVELS} levels exceeded")

    def _roll_up(self, parent_id: float | None) -> None:
        """Give a parent the status that its children add up to, and then its own parent."""
        for ancestor in self._lineage(parent_id):
            statuses = {child["status"] for child in self.list_tasks(parent_task_id=ancestor)}
            if not statuses:
                continue
            unfinished = "working" if "working" in statuses else "idle"
            status = "complete" if statuses == {"complete"} else unfinished
            if self._scalar("SELECT status FROM tasks WHERE id = ?", ancestor) != status:
                self._update("tasks", ancestor, {"status": status, "updated_at": self.now()})


def _required(text: str, refusal: str) -> str:
    """Return the text; raise StoreError if it is blank."""
    if not text.strip(JS_SPACE):
        raise StoreError(refusal)
    return text


def _kept(fields: Mapping[str, Any]) -> Record:
    """Return the fields of a task as they are kept: an empty text as none; a blank queue name is refused."""
    if fields.get("queue_name") is not None:
        _required(fields["queue_name"], _NO_QUEUE)
    return {name: None if value == "" else value for name, value in fields.items()}
