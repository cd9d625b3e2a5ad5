"""Comments and links: what agents write beside their tasks. Neither moves a task's `updated_at`."""

from __future__ import annotations

import pandas as pd

from calypso_nb.client.calls import Base, given
from calypso_nb.frames import COMMENT_COLUMNS, LINK_COLUMNS
from calypso_nb.records import Comment, Link


class NoteMethods(Base):
    """The tools of TinyTask that are about comments and links."""

    def add_comment(self, task_id: int, content: str, created_by: str | None = None) -> Comment:
        """Add a comment to a task and return it.

        Example: `client.add_comment(7, "waiting for review", created_by="lead")`
        """
        arguments = given(created_by=created_by)
        return self._write_one(Comment, "add_comment", task_id=task_id, content=content, **arguments)

    def update_comment(self, comment_id: int, content: str) -> Comment:
        """Replace a comment's text and return the comment.

        Example: `client.update_comment(3, "reviewed")`
        """
        return self._write_one(Comment, "update_comment", id=comment_id, content=content)

    def delete_comment(self, comment_id: int) -> None:
        """Delete a comment for good.

        Example: `client.delete_comment(3)`
        """
        self._delete("delete_comment", comment_id)

    def list_comments(self, task_id: int) -> pd.DataFrame:
        """A task's comments, the oldest first: a frame with the columns of `frames.COMMENT_COLUMNS`.

        Empty also where there is no such task: TinyTask does not say.
        Example: `client.list_comments(7)["content"]`
        """
        return self._notes(COMMENT_COLUMNS, "comments", "list_comments", task_id)

    def get_comment(self, comment_id: int) -> Comment:
        """One comment; a TinyTask v1 has no tool for that.

        Example: `client.get_comment(3).content`
        """
        return self._read_one(Comment, "get_comment", id=comment_id)

    def move_comment(self, comment_id: int, to_task_id: int) -> Comment:
        """Copy a comment to another task and return the copy; the original becomes a record of the move.

        A TinyTask v1 has no tool for that.
        Example: `client.move_comment(3, 8).task_id` is 8
        """
        return self._write_one(Comment, "move_comment", comment_id=comment_id, to_task_id=to_task_id)

    def add_link(
        self, task_id: int, url: str, description: str | None = None, created_by: str | None = None
    ) -> Link:
        """Add a link to a task and return it; any text will do as its `url`.

        Example: `client.add_link(7, "docs/design.md", "the page")`
        """
        arguments = given(description=description, created_by=created_by)
        return self._write_one(Link, "add_link", task_id=task_id, url=url, **arguments)

    def update_link(self, link_id: int, url: str | None = None, description: str | None = None) -> Link:
        """Replace a link's url, its description, or both, and return the link; None leaves what it is.

        Example: `client.update_link(1, description="merged")`
        """
        return self._write_one(Link, "update_link", id=link_id, **given(url=url, description=description))

    def delete_link(self, link_id: int) -> None:
        """Delete a link for good.

        Example: `client.delete_link(1)`
        """
        self._delete("delete_link", link_id)

    def list_links(self, task_id: int) -> pd.DataFrame:
        """A task's links, the oldest first: a frame with the columns of `frames.LINK_COLUMNS`.

        Empty also where there is no such task: TinyTask does not say.
        Example: `client.list_links(7)["url"]`
        """
        return self._notes(LINK_COLUMNS, "links", "list_links", task_id)
