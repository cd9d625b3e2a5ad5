"""Wire records to typed frames: the one table of columns, dtypes and units.

Every frame of tasks in this package has the columns of `TASK_COLUMNS`, in that order and with those
dtypes, whether it holds no task or 50,000. Anything the server doesn't report is NA.
"""

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

import pandas as pd

STATUSES = ("idle", "working", "complete")
OPEN_STATUSES = ("idle", "working")

TIME = "datetime64[us, UTC]"


Records: TypeAlias = Sequence[Mapping[str, Any]] | pd.DataFrame


class InvalidRecord(ValueError):
    """A record has no number, or one that is not a number."""


class Column(NamedTuple):
    """What one column of a frame holds: its pandas dtype, its unit and its meaning."""

    dtype: str
    unit: str
    meaning: str


TASK_COLUMNS: dict[str, Column] = {
    "id": Column("int64", "", "the task's number on its server"),
    "title": Column("str", "", "free text, written by an agent"),
    "description": Column("str", "", "free text, NA if there is none"),
    "status": Column("str", "", "idle, working or complete"),
    "assigned_to": Column("str", "", "agent, NA if unassigned"),
    "previous_assigned_to": Column("str", "", "agent before the last handoff"),
    "created_by": Column("str", "", "agent that created the task"),
    "priority": Column("Int64", "", "any integer, higher is more urgent"),
    "tags": Column(
        "object", "", "tuple of strings, empty if none; `explode('tags').query(\"tags == 'bug'\")` finds one"
    ),
    "parent_task_id": Column("Int64", "", "the task that this is a part of"),
    "queue_name": Column("str", "", "queue, NA if in none"),
    "blocked_by_task_id": Column("Int64", "", "the task that this one waits for"),
    "is_currently_blocked": Column("boolean", "", "the blocking task exists and is not complete"),
    "created_at": Column(TIME, "UTC", "when the task was created"),
    "updated_at": Column(TIME, "UTC", "the last edit of any kind"),
    "archived_at": Column(TIME, "UTC", "when it was archived, NA if it was not"),
    "is_open": Column("bool", "", "idle or working, and not archived"),
    "age_hours": Column("float64", "hours", "since created_at, exact; for a complete task too"),
    "hours_since_update": Column("float64", "hours", "since updated_at"),
    "comment_count": Column("Int64", "", "comments, NA if they were not counted"),
    "link_count": Column("Int64", "", "links, NA if they were not counted"),
    "last_comment_at": Column(TIME, "UTC", "when the newest comment was written, NA if not counted or none"),
    "last_comment_by": Column("str", "", "who wrote the newest comment, NA if not counted or none"),
    "last_comment": Column(
        "str", "", "how the newest comment begins: 1,000 characters; leases are no comments"
    ),
    "last_sign_at": Column(
        TIME, "UTC", "the newest of its last edit, a comment by its agent, and a run's sign; NA if not read"
    ),
    "last_sign_by": Column("str", "", "whose sign that was, NA for an edit, which says nobody's name"),
    "run_until": Column(TIME, "UTC", "until when the lease of its newest run holds, NA if not read or none"),
}

COMMENT_COLUMNS: dict[str, Column] = {
    "id": Column("int64", "", "the comment's number on its server"),
    "task_id": Column("int64", "", "the task that it is about"),
    "content": Column("str", "", "free text"),
    "created_by": Column("str", "", "agent, NA if it gave no name"),
    "created_at": Column(TIME, "UTC", "when it was written"),
    "updated_at": Column(TIME, "UTC", "when it was last edited"),
}

LINK_COLUMNS: dict[str, Column] = {
    "id": Column("int64", "", "the link's number on its server"),
    "task_id": Column("int64", "", "the task that it belongs to"),
    "url": Column("str", "", "URL, path or any reference: free text"),
    "description": Column("str", "", "free text, NA if there is none"),
    "created_by": Column("str", "", "agent, NA if it gave no name"),
    "created_at": Column(TIME, "UTC", "when it was added"),
}

# What can be counted per group of tasks. Status counts are those of tasks, parents included.
GROUP_COLUMNS: dict[str, Column] = {
    "open": Column("int64", "tasks", "idle or working, and not archived"),
    "idle": Column("int64", "tasks", "idle"),
    "working": Column("int64", "tasks", "working: WIP"),
    "complete": Column("int64", "tasks", "complete"),
    "blocked": Column("Int64", "tasks", "open and blocked; NA if the server doesn't report it"),
    "unassigned": Column("int64", "tasks", "open and unassigned"),
    "open_leaves": Column("Int64", "tasks", "open tasks without subtasks; NA if the server has no subtasks"),
    "mean_priority": Column("float64", "", "mean priority of the open tasks, NA without any"),
    "mean_age_hours": Column("float64", "hours", "mean time since creation of the open tasks"),
    "oldest_age_hours": Column("float64", "hours", "time since creation of the oldest open task"),
    "oldest_task_id": Column("Int64", "", "the oldest open task"),
}


def task_columns(*names: str) -> dict[str, Column]:
    """Return some columns of `TASK_COLUMNS`, for a table that has them too."""
    return {name: TASK_COLUMNS[name] for name in names}


def _per(group: str, dtype: str, meaning: str, *counts: str) -> dict[str, Column]:
    return {group: Column(dtype, "", meaning)} | {name: GROUP_COLUMNS[name] for name in counts}


_STATUS = ("open", "idle", "working", "complete")
_AGES = ("mean_priority", "mean_age_hours", "oldest_age_hours")
_WAITING = ("blocked", "unassigned", "open_leaves", "oldest_age_hours", "oldest_task_id")

AGENT_COLUMNS = _per(
    "agent", "str", "the agent's name; one row per agent, most open tasks first", *_STATUS, "blocked", *_AGES
)
PRIORITY_COLUMNS = _per("priority", "Int64", "one row per priority in use, most urgent first", *_STATUS)
QUEUE_COLUMNS = _per(
    "queue", "str", "one row per queue, most open tasks first; NA for tasks in no queue", *_STATUS, *_WAITING
)
TAG_COLUMNS = _per(
    "tag", "str", "one row per tag, most open tasks first; NA for tasks without tags", *_STATUS, *_WAITING
)

AGE_COLUMNS: dict[str, Column] = {
    "age": Column("str", "", "bucket of time since creation; `unknown` only if there are such"),
    "from_hours": Column("float64", "hours", "lower edge, included"),
    "to_hours": Column("float64", "hours", "upper edge, not included; infinite for the last"),
    **{name: GROUP_COLUMNS[name] for name in ("open", "idle", "working")},
}

# Upper edges in hours, each bucket from the one before up to but not including its own.
AGE_BUCKETS: dict[str, float] = {
    "< 1 h": 1,
    "1-4 h": 4,
    "4-24 h": 24,
    "1-3 d": 72,
    "3-7 d": 168,
    "7-28 d": 672,
    "> 28 d": float("inf"),
}


def age_buckets(tasks: pd.DataFrame) -> pd.Series:
    """Return the name of the age bucket into which each task falls, `unknown` if its age is unknown.

    Example: `age_buckets(data.tasks).value_counts()`
    """
    edges = [0, *AGE_BUCKETS.values()]
    # A task "created in the future" (two clocks that disagree) is young, not unknown.
    names = pd.cut(tasks["age_hours"].clip(lower=0), edges, right=False, labels=[*AGE_BUCKETS])
    return names.astype(_DTYPES["str"]).fillna("unknown")


def schema(columns: Mapping[str, Column]) -> pd.DataFrame:
    """Describe the columns of a frame: one row per column, with `column`, `dtype`, `unit` and `meaning`.

    Example: `schema(TASK_COLUMNS)`
    """
    rows = [(name, *column) for name, column in columns.items()]
    return pd.DataFrame(rows, columns=["column", *Column._fields])


def records_to_frame(records: Records, columns: Mapping[str, Column]) -> pd.DataFrame:
    """Make the frame that `columns` describes; what a record lacks is NA, what `columns` lacks is dropped.

    A value that can't be what its column holds is NA, and a warning names the row, the column and the value.

    - records: dicts as a server sends them, or a frame of such values
    - columns: a table of columns, such as `COMMENT_COLUMNS`

    Raise InvalidRecord, a ValueError, if a number that each row must have is missing or is none.
    Example: `records_to_frame([{"id": 1, "task_id": 7, "content": "done"}], COMMENT_COLUMNS)`
    """
    raw = pd.DataFrame(records, columns=list(columns))
    return pd.DataFrame({name: _converted(raw, name, column.dtype) for name, column in columns.items()})


def conformed(rows: pd.DataFrame, columns: Mapping[str, Column]) -> pd.DataFrame:
    """Return the rows with the columns, order and dtypes of a table of columns, numbered from 0.

    Example: `conformed(data.agents, AGENT_COLUMNS)`
    """
    dtypes = {name: _DTYPES.get(column.dtype, column.dtype) for name, column in columns.items()}
    return rows.reset_index(drop=True)[list(columns)].astype(dtypes)


def plain(frame: pd.DataFrame, spreadsheet: bool = False) -> pd.DataFrame:
    """Return a frame as databases and spreadsheets take it: times in UTC without a zone, tuples as JSON.

    `to_parquet`, DuckDB and polars take every frame as it is.

    - spreadsheet: for `to_excel`; a text in which Excel would see a formula gets an apostrophe before it, and
      control characters, which Excel refuses, are written out

    Example: `plain(data.tasks, spreadsheet=True).to_excel(tmp_path / "tasks.xlsx")`
    """
    columns = {name: _plain_column(values, spreadsheet) for name, values in frame.items()}
    return pd.DataFrame(columns, index=frame.index)


def _plain_column(values: pd.Series, spreadsheet: bool) -> Any:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return values.dt.tz_localize(None)
    if values.dtype == "object":
        values = values.map(lambda value: json.dumps(value, ensure_ascii=False), na_action="ignore")
    if spreadsheet and pd.api.types.is_string_dtype(values):
        return values.map(_inert, na_action="ignore")
    return values


def _inert(text: str) -> str:
    shown = re.sub(r"[\0-\x08\x0b\x0c\x0e-\x1f]", lambda match: chr(0x2400 + ord(match[0])), text)
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@")) else shown


def tasks_frame(records: Records, now: datetime) -> pd.DataFrame:
    """Return records of tasks as a frame with the columns of `TASK_COLUMNS`.

    - records: dicts as a server sends them.
    - now: the moment at which ages are measured, an aware datetime.

    Example: `tasks_frame(client.list_task_records(), datetime.now(UTC))`
    """
    tasks = records_to_frame(records, TASK_COLUMNS)
    for name in ("assigned_to", "queue_name"):  # Some servers keep '' for nobody, and for no queue.
        tasks[name] = tasks[name].mask(tasks[name] == "")
    moment = pd.Timestamp(now).tz_convert("UTC")
    tasks["is_open"] = tasks["status"].isin(OPEN_STATUSES) & tasks["archived_at"].isna()
    tasks["age_hours"] = (moment - tasks["created_at"]).dt.total_seconds() / 3600
    tasks["hours_since_update"] = (moment - tasks["updated_at"]).dt.total_seconds() / 3600
    return tasks


# Before pandas 3, "str" by itself means Python objects, None among them as the text "None".
_DTYPES: dict[str, Any] = {"str": pd.StringDtype(na_value=float("nan"))}


def _converted(raw: pd.DataFrame, name: str, dtype: str) -> pd.Series:
    values = raw[name]
    there = values.notna()
    typed: pd.Series
    if dtype not in _NEVER_NA and not there.any():  # As a listing leaves out a third of the columns.
        typed = pd.Series(None, values.index, dtype=_DTYPES.get(dtype, dtype))
        return typed
    try:
        typed = _typed(values, dtype)
    except (TypeError, ValueError, OverflowError) as error:  # pandas raises any of them for foreign values.
        if dtype == "int64":
            raise InvalidRecord(f"{name}: {error}") from error
        values = values.where(values.map(lambda value: _fits(value, dtype)))
        typed = _typed(values, dtype)
    # Times and numbers that are none have become NA by themselves.
    lost = there & (typed if dtype in (TIME, "Int64") else values).isna()
    if lost.any():
        _warn_of(raw[lost], name, dtype)
    return typed


_MUST_BE = {
    TIME: "not a time, so NA",
    "Int64": "not a whole number, so NA",
    "object": "not a list of texts, so left out",
}
_NEVER_NA = ("int64", "bool", "object")
# A list of tags, or what means none.
_TAGS = {list, tuple, type(None), float, type(pd.NA)}


def _fits(value: Any, dtype: str) -> bool:
    try:
        _typed(pd.Series([value], dtype="object"), dtype)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _warn_of(rows: pd.DataFrame, name: str, dtype: str) -> None:
    first = [
        f"#{row} has {value!r:.60}"
        for row, value in zip(rows.iloc[:3, 0].tolist(), rows[name].tolist(), strict=False)
    ]
    more = f" and {len(rows) - 3:,} more" if len(rows) > 3 else ""
    warnings.warn(
        f"{name}: {', '.join(first)}{more}: {_MUST_BE.get(dtype, 'not valid, so NA')}", stacklevel=2
    )


def _typed(values: pd.Series, dtype: str) -> pd.Series:
    if dtype == TIME:
        # Both generations of TinyTask mean UTC, whether they write a zone marker or not.
        return pd.to_datetime(values, utc=True, format="ISO8601", errors="coerce").dt.as_unit("us")
    if dtype == "bool":
        return values.astype("boolean").fillna(False).astype("bool")
    if dtype == "object":
        raw = values.tolist()
        lists = [tuple(tags) if isinstance(tags, list | tuple) else () for tags in raw]
        if {type(tags) for tags in raw} - _TAGS or {type(one) for some in lists for one in some} - {str, int}:
            raise TypeError("not a list of texts or numbers")
        return pd.Series(lists, index=values.index, dtype="object")
    if dtype == "Int64":
        # TinyTask takes any number for a priority: what no integer can hold is NA.
        numbers = pd.to_numeric(values, errors="coerce").astype("float64")
        whole = (numbers.abs() < 2**53) & (numbers == numbers.round())
        return numbers.where(whole, 0).astype("int64").astype("Int64").where(whole)
    return values.astype(_DTYPES.get(dtype, dtype))
