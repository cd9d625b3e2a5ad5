"""The JSON Schema of a report, made from the same tables of columns as its frames."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from calypso_nb import frames
from calypso_nb.history.digest import AGENT_COLUMNS, DIGEST_COLUMNS
from calypso_nb.history.saved import ALWAYS, HELD_FIELDS
from calypso_nb.history.steps import KINDS
from calypso_nb.workload.attention import ATTENTION_COLUMNS, SNOOZED_COLUMNS
from calypso_nb.workload.blocking import BLOCKING_COLUMNS
from calypso_nb.workload.flow import FLOW_COLUMNS
from calypso_nb.workload.reasons import REASONS
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
    "reasons": {"type": "array", "items": {"enum": list(REASONS)}},
    "tasks": {"type": "array", "items": {"type": "integer"}},
    "about": {"enum": ["task", "agent", "queue", "team"]},
    "what": {"enum": list(KINDS)},
    "since_known": {"enum": ["exact", "bound", "unknown"]},
}
_SUMMARY: Schema = {
    "total_open_tasks": _COUNT | {"description": "idle or working tasks"},
    "total_idle": _COUNT | {"description": "idle tasks"},
    "total_working": _COUNT | {"description": "working tasks"},
    "total_complete": _COUNT_OR_NULL | {"description": "complete tasks; null if the filter leaves them out"},
    "total_unassigned": _COUNT | {"description": "open tasks without an agent"},
    "total_blocked": _COUNT_OR_NULL
    | {"description": "open tasks that wait for another; null if the server doesn't report it"},
    "total_agents": _COUNT | {"description": "agents with any task"},
    "agents_with_work": {
        "type": "array",
        "items": {"type": "string"},
        "description": "names of the agents with an open task, sorted",
    },
    "oldest_open_hours": _TYPES["float64"]
    | {"description": "hours since the oldest open task was created, exact"},
    "oldest_open_task": _TYPES["Int64"] | {"description": "that task"},
}
_AGENT: Schema = {
    "agent_name": {"type": "string", "description": "the agent, `unassigned` for tasks without one"},
    "total_tasks": _COUNT | {"description": "its tasks in this report"},
    "idle_tasks": _COUNT | {"description": "those that are idle"},
    "working_tasks": _COUNT | {"description": "those that are working"},
    "task_ids": {"type": "array", "items": {"type": "integer"}, "description": "all of them"},
}
_PRIORITY: Schema = {
    "by_priority": {
        "type": "object",
        "propertyNames": {"pattern": "^(-?[0-9]+|unknown)$"},
        "additionalProperties": _COUNT,
        "description": "tasks per priority, most urgent first; `unknown` only if there are such",
    },
    "highest_priority": _TYPES["Int64"] | {"description": "that of the most urgent task"},
    "lowest_priority": _TYPES["Int64"] | {"description": "that of the least urgent task"},
    "average_priority": _TYPES["float64"] | {"description": "their mean, with 2 decimals"},
}
_HOURS = {
    "oldest": "the oldest task",
    "newest": "the newest task",
    "average": "the mean",
    "median": "the median",
}
_AGES: Schema = {
    **{
        f"{name}_task_age_hours": _TYPES["float64"]
        | {"description": f"{of} (hours since creation), with 2 decimals"}
        for name, of in _HOURS.items()
    },
    "oldest_task_id": _TYPES["Int64"] | {"description": "the oldest task"},
    "newest_task_id": _TYPES["Int64"] | {"description": "the newest task"},
}


# The lists of rows in the JSON, each with the report's attribute, its columns, and what it is about.
SECTIONS: Mapping[str, tuple[str, Mapping[str, frames.Column], str]] = {
    "attention": (
        "attention",
        ATTENTION_COLUMNS,
        "what needs attention, a line per task, agent or queue, what holds up most first",
    ),
    "snoozed": (
        "snoozed",
        SNOOZED_COLUMNS,
        "what would be in `attention` but for a snooze, a line for what is snoozed",
    ),
    "agents": ("agents", frames.AGENT_COLUMNS, "one row per agent, most open tasks first"),
    "priorities": (
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
        "version": {"const": 2},
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
        "agent_breakdown": {
            "type": "object",
            "additionalProperties": _object(_AGENT),
            "description": "by agent's name, most tasks first, `unassigned` for tasks without one; an agent "
            "really called that is `'unassigned'`, with the quotes",
        },
        "priority_distribution": _object(_PRIORITY) | {"description": "null without any task"},
        "age_metrics": _object(
            _AGES | {"buckets": _rows(frames.AGE_COLUMNS, "open tasks by hours since creation")}
        )
        | {"description": "of all tasks of the report; null without any"},
        **{name: _rows(columns, meaning) for name, (_, columns, meaning) in SECTIONS.items()},
        "team": {"type": "object", "description": "what the team has agreed on, where it isn't the usual"},
        "silent_after": {
            "type": "object",
            "additionalProperties": {"type": "number"},
            "description": "how long an agent is silent now and then, in hours, if its past is recorded",
        },
        "pauses": {
            "type": "array",
            "items": {"type": "array", "items": _TYPES[frames.TIME]},
            "description": "from when to when nobody gave a sign, of an hour or longer, if that is recorded",
        },
        "snoozes": {
            "type": "array",
            "items": {"type": "object"},
            "description": "what somebody has snoozed, besides what `team` has; `snoozed` is what that hides",
        },
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


@cache
def digest_schema() -> Schema:
    """Return the JSON Schema (2020-12) of what `digest_to_json` writes."""
    time: Schema = {"type": "string", "format": "date-time"}
    counts: Schema = {
        "type": "object",
        "propertyNames": {"enum": list(KINDS)},
        "additionalProperties": _COUNT,
        "description": "how many items there are of each kind that there is, in the order of the items",
    }
    properties: Schema = {
        "version": {"const": 1},
        "server": {"type": "string", "description": "the server, without credentials"},
        "person": {"type": ["string", "null"], "description": "whose digest it is; null between reports"},
        "basis": {
            "enum": ["mark", "first", "moment", "reports"],
            "description": "what is told: all since the person's mark, a day as there is none, all since a "
            "moment, or what differs between two reports",
        },
        "since": time | {"description": "from when on; what was known late may be older"},
        "until": time | {"description": "until when it is, or until now if nothing is recorded since"},
        "counts": counts,
        "items": _rows(DIGEST_COLUMNS, "what is told, questions first"),
        "agents": _rows(AGENT_COLUMNS, "how many items of each kind each agent has"),
        "unknown": {
            "type": "array",
            "items": {"type": "string"},
            "description": "what nobody can know of that time",
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "calypso_nb digest",
        "description": "What `calypso-nb digest --format json` writes. null is unknown or none, never 0.",
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
    if name in ("age_hours", "hours_since_update"):
        meaning += ", with 2 decimals"
    if column.unit:
        meaning += f" ({column.unit})"
    return kind | {"description": meaning}
