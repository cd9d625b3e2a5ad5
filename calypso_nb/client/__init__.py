"""A synchronous TinyTask client for notebooks, scripts, coroutines, widget callbacks and threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from calypso_nb.client.claims import ClaimMethods
from calypso_nb.client.details import DetailMethods
from calypso_nb.client.endpoints import source_of
from calypso_nb.client.notes import NoteMethods
from calypso_nb.client.queues import QueueMethods
from calypso_nb.client.subtasks import SubtaskMethods
from calypso_nb.records import Claim, QueueFilters, Status, TaskChanges, TaskFilters
from calypso_nb.settings import load_settings

if TYPE_CHECKING:
    from calypso_nb.client.endpoints import Endpoint

__all__ = ["Claim", "QueueFilters", "Status", "TaskChanges", "TaskFilters", "TinytaskClient"]


class TinytaskClient(ClaimMethods, SubtaskMethods, QueueMethods, NoteMethods, DetailMethods):
    """A client of one TinyTask, used in the same way from anywhere in a process.

    Each tool of TinyTask is a method of the same name. Many records come back as a DataFrame, one as an
    object. Nothing connects before the first call. Every call may raise TinytaskConnectionError (no answer)
    and TinytaskAPIError (the answer is no; also where a TinyTask v1 lacks a tool or an argument).
    Example: `TinytaskClient("demo").list_tasks().head()`
    """

    def __init__(
        self,
        endpoint: Endpoint | None = None,
        *,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Say which TinyTask to talk to; without `endpoint` it is `TINYTASK_ENDPOINT`, then localhost:3000.

        - a server: `"http://localhost:3000"`, `"https://me:password@tasks.example/team"`, with `/mcp` or not
        - a command that speaks MCP on stdin and stdout, run while the client is open, in the environment of
          this process: `"stdio:npx tinytask --stdio"`
        - a TinyTask database file, opened read-only, also while a server writes to it: `"tinytask.db"` or any
          `Path("data/tasks")`
        - `"demo"`: an embedded TinyTask with sample data
        - an MCP server object of this process: `create_server(TinytaskStore())`

        `timeout` bounds each call and `connect_timeout` each connecting, in seconds; `token` is sent as a
        bearer token, `headers` with every HTTP request. Raises ValueError for what is none of these.
        Example: `TinytaskClient("http://localhost:3000", token="...", timeout=5)`
        """
        settings = load_settings(
            endpoint=endpoint if isinstance(endpoint, str) else None,
            timeout=timeout,
            connect_timeout=connect_timeout,
            token=token,
            headers=headers,
        )
        self._source = source_of(settings.endpoint if endpoint is None else endpoint, settings)
        self.endpoint = self._source.name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"TinytaskClient({self.endpoint!r})"

    def close(self) -> None:
        """Leave the server; twice is fine, and a later call connects again.

        Example: `client.close()`
        """
        self._source.close()

    def health_check(self) -> bool:
        """True where a TinyTask answers; where none does, TinytaskConnectionError says what does instead.

        Example: `client.health_check()`
        """
        return self._source.check()
