"""What somebody has snoozed with a click or a call, for themselves or for all who use a history."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import ValidationError

from calypso_nb.errors import UsageError
from calypso_nb.frames import TIME, Column, records_to_frame
from calypso_nb.settings import Endpoint, load_settings, login
from calypso_nb.team import TEAM, Snooze, state_folder

if TYPE_CHECKING:
    # A row of `data.attention`, or one of its records.
    Line = Mapping[Any, Any] | pd.Series[Any]

FILE = "snoozes.db"
DAY = timedelta(hours=24)
# How long somebody else who writes the file is waited for, in seconds.
_PATIENCE = 10.0

# In a history it stands beside the tables of its recorder, who knows nothing of it.
_TABLE = """CREATE TABLE IF NOT EXISTS snooze (
    id INTEGER PRIMARY KEY, server TEXT NOT NULL, about TEXT NOT NULL, name TEXT NOT NULL, title TEXT,
    facts TEXT NOT NULL, since TEXT NOT NULL, until TEXT, ended TEXT, why TEXT NOT NULL, by TEXT NOT NULL
)"""

SNOOZE_COLUMNS: dict[str, Column] = {
    "about": Column("str", "", "task, agent, queue or team: what is snoozed"),
    "name": Column("str", "", "its number or its name; of the team, the reason"),
    "title": Column("str", "", "the title of a task when it was snoozed, NA if unknown"),
    "since": Column(TIME, "UTC", "when it was snoozed"),
    "until": Column(TIME, "UTC", "when that ends, NA if only another fact ends it"),
    "why": Column("str", "", "why, NA if nobody says so"),
    "by": Column("str", "", "who has snoozed it"),
    "file": Column("str", "", "the file that has it"),
}


class Snoozes:
    """The snoozes of one server: your own, and those in a history, which all who use that history share.

    Any number of processes may use them at once.

    - server: the server, however its address is written
    - history: the history's file, which gets new snoozes; without one, they go into a file of your own
    """

    def __init__(self, server: str, history: Path | None = None) -> None:
        address = Endpoint(server)
        self._server = address.mcp if address.is_url else server
        self._own = state_folder() / FILE
        self.path = self._own if history is None else history
        # The one that gets new ones is written last.
        self._files = [self._own] if history is None else [self._own, history]

    def snooze(
        self, line: Line, until: datetime | timedelta | None = DAY, why: str = "", by: str = ""
    ) -> None:
        """Snooze a line of `data.attention` until a moment or until it has another fact.

        - line: a row of `data.attention`, or a dict with its `about`, `facts`, and `task_id` (or `id`),
          `agent` or `queue`; what was snoozed of the same before stays so, until the same end
        - until: a moment with a time zone, a length of time from now, or None for another fact only
        - why, by: why, and who says so, by default `TINYTASK_AGENT`, then the name of your login

        Raise UsageError if one of these is not valid or a file is damaged, OSError if it can't be written.
        """
        now = _now()
        snooze = _checked(line, until, why, by or load_settings().agent or login(), now)
        (about, name), title = snooze.subject, line.get("title")
        facts = {*str(snooze.facts).split()}
        for file in self._files:
            if file != self.path and not file.exists():
                continue
            with self._writing(file) as connection:
                facts |= self._end(connection, snooze.subject, now)
                if file == self.path:
                    row = {
                        "server": self._server,
                        "about": about,
                        "name": str(name),
                        "title": _kept(title) if isinstance(title, str) else None,
                        "facts": " ".join(sorted(facts)),
                        "since": _text(now),
                        "until": None if snooze.until is None else _text(snooze.until),
                        "why": snooze.why,
                        "by": snooze.by,
                    }
                    names, places = ", ".join(row), ", ".join("?" * len(row))
                    connection.execute(f"INSERT INTO snooze ({names}) VALUES ({places})", [*row.values()])

    def wake(self, line: Line) -> None:
        """End the snooze of a row of `data.snoozed`, or of a dict as `snooze` takes it.

        Raise UsageError if there is none or a file is damaged, OSError if it can't be written.
        """
        subject, now, ended = _subject(line), _now(), set[str]()
        for file in self._files:
            if file.exists():
                with self._writing(file) as connection:
                    ended |= self._end(connection, subject, now)
        if not ended:
            raise UsageError(f"{named(*subject)} has no snooze to end, unless one stands in calypso_nb.toml")

    def current(self) -> pd.DataFrame:
        """Return the snoozes that are on, the newest first, with the columns of `SNOOZE_COLUMNS`.

        Raise UsageError if a file is damaged, OSError if it can't be read.
        """
        asked = "about, name, title, since, until, nullif(why, ''), nullif(by, '')"
        rows = [
            (*row, str(file))
            for file in self._files
            for row in self._rows(file, asked, _NOW, [_text(_now())])
        ]
        framed = pd.DataFrame(rows, columns=[*SNOOZE_COLUMNS], dtype="object")
        frame = records_to_frame(framed, SNOOZE_COLUMNS)
        return frame.sort_values("since", ascending=False, kind="stable", ignore_index=True)

    def holding(self, moment: datetime, *, past: bool = False) -> tuple[Snooze, ...]:
        """Return what a report of a moment is to leave out; warn of a file that can't be read.

        - past: as it was then, whatever has been snoozed or woken since
        """
        condition, values = (_THEN, [_text(moment)] * 3) if past else (_NOW, [_text(moment)])
        found = []
        for file in self._files:
            try:
                found += self._held(file, condition, values)
            except (UsageError, OSError) as error:  # Better to see too much than too little.
                warnings.warn(f"what is snoozed there is shown: {error}", stacklevel=4)
        return tuple(found)

    def _held(self, file: Path, condition: str, values: Iterable[str]) -> list[Snooze]:
        rows = self._rows(file, "about, name, facts, until, why, by", condition, values)
        try:
            return [_snooze(*row) for row in rows]
        except UsageError as error:
            raise self._damaged(file, error) from error

    def _rows(self, file: Path, columns: str, condition: str, values: Iterable[str]) -> list[Any]:
        if not file.exists():
            return []
        with self._reading(file) as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            if ("snooze",) not in tables:  # A history in which nobody has snoozed anything.
                return []
            asked = f"SELECT {columns} FROM snooze WHERE server = ? AND {condition} ORDER BY id"
            return connection.execute(asked, (self._server, *values)).fetchall()

    def _end(self, connection: sqlite3.Connection, subject: tuple[str, int | str], now: datetime) -> set[str]:
        """End the snooze of something, and return the facts that it was for, none if there was none."""
        about, name = subject
        found = connection.execute(
            f"UPDATE snooze SET ended = ? WHERE server = ? AND about = ? AND name = ? AND {_NOW}"
            " RETURNING facts",
            (_text(now), self._server, about, str(name), _text(now)),
        )
        return {fact for (facts,) in found.fetchall() for fact in facts.split()}

    @contextmanager
    def _reading(self, file: Path) -> Iterator[sqlite3.Connection]:
        try:
            with closing(_connected(file, "ro")) as connection:
                yield connection
        except sqlite3.OperationalError as error:
            raise OSError(f"{file} can't be read ({error})") from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(file, error) from error

    @contextmanager
    def _writing(self, file: Path) -> Iterator[sqlite3.Connection]:
        try:
            if file == self._own:
                file.parent.mkdir(parents=True, exist_ok=True)
            with closing(_connected(file, "rwc" if file == self._own else "rw")) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(_TABLE)
                yield connection
                connection.execute("COMMIT")
        except (OSError, sqlite3.OperationalError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            what = "let CALYPSO_NB_STATE name a folder that you can write to"
            if file != self._own:
                what = "whoever keeps that history can, and without it you have snoozes of your own"
            if "locked" in str(error):
                what = "somebody else is writing to it, so try again"
            raise OSError(f"{file} can't be written ({why}): {what}") from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(file, error) from error

    def _damaged(self, file: Path, error: Exception) -> UsageError:
        what = "move it away to begin anew" if file == self._own else "restore a copy of that history"
        return UsageError(f"{file} does not hold snoozes, or is damaged ({error}): {what}")


def named(about: str, name: int | str) -> str:
    """Return what a snooze is about, in words: `#7`, `agent vaela`, `the team: too many working`."""
    if about == "task":
        return f"#{name}"
    return f"the team: {str(name).replace('_', ' ')}" if about == "team" else f"{about} {name}"


# Which snoozes are on now, and which were on at a moment; each ? is that moment.
_NOW = "(until IS NULL OR until > ?) AND ended IS NULL"
_THEN = "(until IS NULL OR until > ?) AND since <= ? AND (ended IS NULL OR ended > ?)"


def _subject(line: Line) -> tuple[str, str]:
    """Return what a line is about, and its name."""
    about = line.get("about")
    name = {
        "task": line.get("task_id", line.get("id")),
        "agent": line.get("agent"),
        "queue": line.get("queue"),
        "team": str(line.get("facts") or "").removeprefix(TEAM),
    }.get(str(about))
    if name is None or pd.isna(name) or name == "":
        raise UsageError("what is snoozed is a row of data.attention, or a dict with its about, id and facts")
    return str(about), str(name)


def _checked(line: Line, until: datetime | timedelta | None, why: str, by: str, now: datetime) -> Snooze:
    facts = line.get("facts")
    if not isinstance(facts, str) or not facts:
        raise UsageError("what is snoozed has facts, by which it is known when something new happens to it")
    try:
        end = now + until if isinstance(until, timedelta) else until
        snooze = _snooze(*_subject(line), facts, end, _kept(why), _kept(by))
    except OverflowError:
        raise UsageError(f"{until} from now is no moment: a snooze ends before the year 10000") from None
    if snooze.until is not None and snooze.until <= now:
        raise UsageError(f"a snooze ends in the future, and {snooze.until:%Y-%m-%d %H:%M:%S %Z} is past")
    return snooze


def _snooze(about: str, name: Any, facts: str, until: Any, why: str, by: str) -> Snooze:
    try:
        return Snooze.model_validate({about: name, "facts": facts, "until": until, "why": why, "by": by})
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise UsageError(f"not a valid snooze: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _connected(file: Path, mode: str) -> sqlite3.Connection:
    address = f"{file.resolve().as_uri()}?mode={mode}"
    return sqlite3.connect(address, uri=True, timeout=_PATIENCE, isolation_level=None)


def _kept(text: str) -> str:
    """Return a text as a file can keep it: what a shell gives need not be UTF-8."""
    return text.encode("utf-8", "replace").decode()


def _text(moment: datetime) -> str:
    """Return a moment as text that sorts by time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _now() -> datetime:
    return datetime.now(UTC)
