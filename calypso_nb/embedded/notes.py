"""TinyTask's comments and links; neither moves the updated_at of its task."""

from calypso_nb.embedded.database import Database, Record, StoreError


class Notes(Database):
    """The part of a TinyTask that agents write beside their tasks."""

    def add_comment(self, task_id: float, content: str, created_by: str | None = None) -> Record:
        """Add a comment to a task."""
        with self.transaction():
            self._task(task_id)
            now = self.now()
            fields = {
                "task_id": task_id,
                "content": required(content, "Comment content is required"),
                "created_by": created_by,
            }
            return self.get_comment(self._insert("comments", fields | {"created_at": now, "updated_at": now}))

    def update_comment(self, id: float, content: str) -> Record:
        """Replace a comment's text."""
        with self.transaction():
            self.get_comment(id)
            text = required(content, "Comment content cannot be empty")
            self._update("comments", id, {"content": text, "updated_at": self.now()})
            return self.get_comment(id)

    def get_comment(self, id: float) -> Record:
        """One comment."""
        return self._one("comments", id, "Comment")

    def list_comments(self, task_id: float) -> list[Record]:
        """A task's comments, the oldest first; none if there is no such task."""
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
        """Add a link to a task; any text will do as its url."""
        with self.transaction():
            self._task(task_id)
            fields = {
                "task_id": task_id,
                "url": required(url, "Link URL is required"),
                "description": description,
                "created_by": created_by,
                "created_at": self.now(),
            }
            return self._link(self._insert("links", fields))

    def update_link(self, id: float, url: str | None = None, description: str | None = None) -> Record:
        """Replace a link's url, its description, or both; None leaves it."""
        with self.transaction():
            self._link(id)
            if url is not None:
                self._update("links", id, {"url": required(url, "Link URL cannot be empty")})
            if description is not None:
                self._update("links", id, {"description": description})
            return self._link(id)

    def list_links(self, task_id: float) -> list[Record]:
        """A task's links, the oldest first; none if there is no such task."""
        return self._select("links", "WHERE task_id = ? ORDER BY created_at, id", [task_id])

    def delete_link(self, id: float) -> None:
        """Delete a link."""
        with self.transaction():
            self._link(id)
            self.connection.execute("DELETE FROM links WHERE id = ?", (id,))

    def _task(self, id: float) -> Record:
        return self._one("tasks", id, "Task")

    def _link(self, id: float) -> Record:
        return self._one("links", id, "Link")


def required(text: str, refusal: str) -> str:
    """The text, refused if it is blank."""
    if not text.strip():
        raise StoreError(refusal)
    return text
