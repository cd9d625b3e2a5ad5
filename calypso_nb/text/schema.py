"""The JSON Schema of a report, made from the same tables of columns as its frames."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from calypso_nb import frames
from calypso_nb.history.saved import ALWAYS, HELD_FIELDS
from calypso_nb.workload.attention import ATTENTION_COLUMNS, REASONS
from calypso_nb.workload.blocking import BLOCKING_COLUMNS
from calypso_nb.workload.flow import FLOW_COLUMNS
from calypso_nb.workload.tree import TREE_COLUMNS

Schema = dict[str, Any]

_COUNT: Schema = {"type": "integer", "minimum": 0}
_COUNT_OR_NULL: Schema = {"type": ["integer", "null"], "minimum": 0}
_TYPES: Mapping[str, Schema] = {
    "int64": {"type": "integer"},
    "Int64": {"type": ["integer", "null"]},
    "float64": {"type": ["number", "null"]},
    "str": {"type": ["string", "null"]},
    "bool": {"type": "boolean"},
    "boolean": {"type": ["boolean", "null"]},
    frames.TIME: {"type": ["string", "null"], "format": "date-time"},
}
# What a column's dtype does not tell.
_CELLS: Mapping[str, Schema] = {
    "tags": {"type": "array", "items": {"type": "string"}},
    "cycle": {"type": "array", "items": {"type": "integer"}},
    "reason": {"enum": list(REASONS)},
    "since_known": {"enum": ["exact", "bound", "unknown"]},
}
_SUMMARY: Schema = {
    "total_open_tasks": _COUNT | {"description": "idle or working tasks"},
    "total_idle": _COUNT | {"description": "idle tasks"},
    "total_working": _COUNT | {"description": "working tasks"},
    "total_complete": _COUNT | {"description": "complete tasks"},
    "total_unassigned": _COUNT | {"description": "open tasks without an agent"},
    "total_blocked": _COUNT_OR_NULL
    | {"description": "open tasks that wait for another; null if the server doesn't report it"},
    "total_agents": _COUNT | {"description": "agents with any task"},
    "agents_with_work": _COUNT | {"description": "agents with an open task"},
    "oldest_open_hours": _TYPES["float64"]
    | {"description": "hours since the oldest open task was created, exact"},
    "oldest_open_task": _TYPES["Int64"] | {"description": "that task"},
}


# The lists of rows in the JSON, each with the report's attribute, its columns, and what it is about.
SECTIONS: Mapping[str, tuple[str, Mapping[str, frames.Column], str]] = {
    "attention": ("attention", ATTENTION_COLUMNS, "what needs attention, most urgent first"),
    "agent_breakdown": ("agents", frames.AGENT_COLUMNS, "one row per agent, most open tasks first"),
    "priority_distribution": (
        "priorities",
        frames.PRIORITY_COLUMNS,
        "one row per priority in use, most urgent first",
    ),
    "blocking": ("blocking", BLOCKING_COLUMNS, "who blocks whom, what holds up most first"),
    "queues": ("queues", frames.QUEUE_COLUMNS, "one row per queue, most open tasks first"),
    "tags": (
        "tags",
        frames.TAG_COLUMNS,
        "one row per tag, most open tasks first; a task counts in each of its tags",
    ),
    "tree": ("tree", TREE_COLUMNS, "parent tasks with the progress of their leaves"),
}


@cache
def report_schema() -> Schema:
    """Return the JSON Schema (2020-12) of what `to_json` writes."""
    context = {name: frames.TASK_COLUMNS[name] for name in HELD_FIELDS}
    position = {"position": _COUNT | {"description": "place in the server's listing, from 0"}}
    properties: Schema = {
        "version": {"const": 1},
        "generated_at": {
            "type": "string",
            "format": "date-time",
            "description": "the moment of the listing and of every age",
        },
        "endpoint": {"type": "string", "description": "the server, without credentials"},
        "details": {"type": "boolean", "description": "whether comments and links were counted"},
        "filters": _object(
            {
                "status": _list_or_null({"enum": list(frames.STATUSES)}, "null: all"),
                "agent": _list_or_null(
                    {"type": ["string", "null"]}, "null: all; a null in it: unassigned tasks"
                ),
            }
        ),
        "summary": _object(_SUMMARY) | {"description": "counted over `tasks`"},
        "age_metrics": _object(
            {
                **{name: _SUMMARY[name] for name in ("oldest_open_hours", "oldest_open_task")},
                "mean_open_hours": _TYPES["float64"]
                | {"description": "mean hours since creation of the open tasks"},
                "median_open_hours": _TYPES["float64"] | {"description": "their median"},
                "buckets": _rows(frames.AGE_COLUMNS, "open tasks by hours since creation"),
            }
        ),
        **{name: _rows(columns, meaning) for name, (_, columns, meaning) in SECTIONS.items()},
        "tasks": _rows(
            frames.TASK_COLUMNS | FLOW_COLUMNS, "the tasks that pass the filters, in the server's order"
        ),
        "context": {
            "type": "array",
            "items": _object(_cells(context) | position) | {"required": ["position", *ALWAYS]},
            "description": "what else was read: archived tasks, and those that the filters leave out; "
            "what the numbers need of them, and all of it with --context",
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "calypso_nb report",
        "description": "What `calypso-nb report --format json` writes. null is unknown or none, never 0.",
        **_object(properties),
    }


def _object(properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list_or_null(items: Schema, meaning: str) -> Schema:
    return {"type": ["array", "null"], "items": items, "description": meaning}


def _rows(columns: Mapping[str, frames.Column], meaning: str) -> Schema:
    return {"type": "array", "items": _object(_cells(columns)), "description": meaning}


def _cells(columns: Mapping[str, frames.Column]) -> Schema:
    return {name: _cell(name, column) for name, column in columns.items()}


def _cell(name: str, column: frames.Column) -> Schema:
    kind = _CELLS.get(name) or _TYPES[column.dtype]
    meaning = column.meaning
    if column.unit:
        meaning += f" ({column.unit})"
    return kind | {"description": meaning}
