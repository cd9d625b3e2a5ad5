"""What all of a client's methods share: asking its source, and taking only TinyTask's answers for answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias, TypeVar, cast

import orjson
import pandas as pd

from calypso_nb.errors import TinytaskAPIError, TinytaskConnectionError
from calypso_nb.frames import STATUSES, Column, records_to_frame, tasks_frame
from calypso_nb.records import Claim, Comment, Handoff, Link, QueueStats, Task

Counts: TypeAlias = dict[int, tuple[int | None, int | None]]
R = TypeVar("R", Task, Comment, Link, QueueStats, Handoff, Claim)


class Source(Protocol):
    """Where a client's answers come from: a server, or a database file. Any thread may call it."""

    name: str  # It is shown, so it holds no credentials.

    def ask(self, tool: str, arguments: dict[str, Any], *, write: bool = False) -> dict[str, Any] | str:
        """What a tool answers: a JSON object, or a sentence where there is none in it."""

    def counts(self, task_ids: Sequence[int]) -> Iterator[Counts]:
        """How many comments and links each task has, some tasks at a time."""

    def check(self) -> bool:
        """True where a TinyTask answers."""

    def close(self) -> None:
        """Leave it; the next question opens it again."""


class Base:
    """The part of `TinytaskClient` that its groups of methods stand on."""

    endpoint: str
    _source: Source

    def _read(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        return self._object(tool, self._source.ask(tool, _plain(arguments)))

    def _write(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        return self._object(tool, self._source.ask(tool, _plain(arguments), write=True), write=True)

    def _read_one(self, kind: type[R], tool: str, /, **arguments: Any) -> R:
        answer = self._read(tool, **arguments)
        with self._understood(tool):
            return kind.from_record(answer)

    def _write_one(self, kind: type[R], tool: str, /, **arguments: Any) -> R:
        answer = self._write(tool, **arguments)
        with self._understood(tool, write=True):
            return kind.from_record(answer)

    def _delete(self, tool: str, record_id: int) -> None:
        """The second generation says so in JSON, the first in a sentence; a refusal is an error in both."""
        answer = self._source.ask(tool, _plain({"id": record_id}), write=True)
        done = answer.endswith("deleted successfully") if isinstance(answer, str) else answer.get("success")
        if done is not True:
            raise self._unexpected(tool, "that does not say whether it is deleted", write=True)

    def _records(self, key: str, tool: str, /, **arguments: Any) -> list[dict[str, Any]]:
        records = self._read(tool, **arguments).get(key)
        if type(records) is not list or any(type(one) is not dict or "id" not in one for one in records):
            raise self._unexpected(tool, f"without {key}")
        return records

    def frame_of(
        self, records: Sequence[Mapping[str, Any]], now: datetime, tool: str = "list_tasks"
    ) -> pd.DataFrame:
        """The frame of what a tool gave as tasks; TinytaskConnectionError where they are none.

        Example: `client.frame_of(client.list_task_records(), datetime.now(UTC))`
        """
        with self._understood(tool):
            return tasks_frame(records, now)

    def _tasks(self, key: str, now: datetime | None, tool: str, /, **arguments: Any) -> pd.DataFrame:
        if now is not None and now.tzinfo is None:
            raise ValueError("now has no time zone: use datetime.now(UTC) or a datetime with tzinfo")
        records = self._records(key, tool, **arguments)
        return self.frame_of(records, now or datetime.now(UTC), tool)

    def _notes(self, columns: Mapping[str, Column], key: str, tool: str, task_id: int) -> pd.DataFrame:
        records = self._records(key, tool, task_id=task_id)
        with self._understood(tool):
            return records_to_frame(records, columns)

    def _object(self, tool: str, answer: dict[str, Any] | str, write: bool = False) -> dict[str, Any]:
        if isinstance(answer, str):
            raise self._unexpected(tool, "that is no JSON object", write)
        return answer

    @contextmanager
    def _understood(self, tool: str, write: bool = False) -> Iterator[None]:
        try:
            yield
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._unexpected(tool, "that it does not give", write) from error

    def _unexpected(self, tool: str, what: str, write: bool = False) -> TinytaskConnectionError:
        message = f"{tool} got an answer {what} from {self.endpoint}: that is no TinyTask"
        return TinytaskConnectionError(message, outcome_unknown=write)


def given(**arguments: Any) -> dict[str, Any]:
    """The arguments that are given: None stands for one that is not.

    Example: `given(created_by=None)` is `{}`
    """
    return {name: value for name, value in arguments.items() if value is not None}


def names(values: Sequence[str]) -> list[str]:
    """Several names as a list; TypeError for a single text, which would be taken for a list of its letters.

    Example: `names(("urgent", "ui"))`
    """
    if isinstance(values, str):
        raise TypeError(f"a list of names is wanted, not one text: [{values!r}]")
    return list(values)


def _plain(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments as JSON has them: a tuple is a list, a number out of a frame an int; or a TypeError."""
    return cast(dict[str, Any], orjson.loads(orjson.dumps(arguments, option=orjson.OPT_SERIALIZE_NUMPY)))


def check_statuses(tool: str, arguments: Mapping[str, Any]) -> None:
    """Refuse a status that TinyTask lacks, where this package filters in a server's place."""
    for name in ("status", "exclude_status"):
        wanted = arguments.get(name, ())
        for status in [wanted] if isinstance(wanted, str) else wanted:
            if status not in STATUSES:
                raise TinytaskAPIError(tool, f"unknown status {status!r}: TinyTask has {', '.join(STATUSES)}")
