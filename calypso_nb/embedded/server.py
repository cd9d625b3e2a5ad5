"""TinyTask v2 as an MCP server: its 30 tools over a store, word for word as TinyTask words them."""

import sqlite3
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from typing import Any

import mcp_types as types
import orjson
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server

from calypso_nb.embedded.database import Record, StoreError
from calypso_nb.embedded.store import TinytaskStore
from calypso_nb.embedded.validation import check_arguments

Context = ServerRequestContext[Any]

_STATUS = {"type": "string", "enum": ["idle", "working", "complete"]}
_STATUSES = {"type": "array", "items": _STATUS}
_FILTERS = {"status": {"anyOf": [_STATUS, _STATUSES]}, "exclude_status": _STATUSES}
# What TinyTask accepts although the schemas that it publishes don't say so.
_UNPUBLISHED: dict[str, dict[str, Any]] = {
    "list_tasks": _FILTERS,
    "get_queue_tasks": _FILTERS,
    "move_subtask": {"new_parent_id": {"type": ["number", "null"]}},
}
_PUBLISHED = orjson.loads(files(__package__).joinpath("tools.json").read_bytes())

# What each tool accepts.
SCHEMAS: dict[str, dict[str, Any]] = {
    name: schema | {"properties": schema["properties"] | _UNPUBLISHED.get(name, {})}
    for name, schema in ((tool["name"], tool["inputSchema"]) for tool in _PUBLISHED)
}


def _deleted(
    what: str, delete: Callable[[TinytaskStore, float], None], store: TinytaskStore, id: float
) -> str:
    delete(store, id)
    return orjson.dumps({"success": True, "message": f"{what} {id} deleted successfully", "id": id}).decode()


def _counted(name: str, records: list[Any], **about: Any) -> Record:
    return {**about, "count": len(records), name: records}


def _signup(store: TinytaskStore, agent_name: str) -> str:
    task = store.signup_for_task(agent_name)
    if task is None:
        return f"No idle tasks available in queue for agent: {agent_name}"
    return f"Task #{task['id']} claimed and set to working status\n\n{pretty(task)}"


def _get_subtasks(
    store: TinytaskStore, parent_task_id: float, recursive: bool = False, include_archived: bool = False
) -> Record:
    subtasks = store.get_subtasks(parent_task_id, recursive, include_archived)
    return _counted("subtasks", subtasks, parent_task_id=parent_task_id, recursive=recursive)


def _move_subtask(store: TinytaskStore, subtask_id: float, new_parent_id: float | None = None) -> str:
    task = store.move_subtask(subtask_id, new_parent_id)
    place = "top-level (no parent)" if new_parent_id is None else f"parent #{new_parent_id}"
    return f"Task #{subtask_id} moved to {place}\n\n{pretty(task)}"


def _put_in_queue(store: TinytaskStore, task_id: float, queue_name: str | None = None) -> Record:
    return store.update_task(task_id, queue_name=queue_name)


def _get_queue_tasks(store: TinytaskStore, queue_name: str, **filters: Any) -> Record:
    tasks = store.get_queue_tasks(queue_name, **filters)
    shown = {"include_archived": False} | filters
    return {"queue_name": queue_name, "count": len(tasks), "filters": shown, "tasks": tasks}


# Each tool: what the text of its errors begins with, and a function that returns a text or a value.
_TOOLS: dict[str, tuple[str, Callable[..., Any]]] = {
    "create_task": ("Error creating task: ", TinytaskStore.create_task),
    "update_task": ("Error updating task: ", TinytaskStore.update_task),
    "get_task": ("", TinytaskStore.get_task),
    "delete_task": ("Error deleting task: ", partial(_deleted, "Task", TinytaskStore.delete_task)),
    "archive_task": ("Error archiving task: ", TinytaskStore.archive_task),
    "list_tasks": ("Error listing tasks: ", lambda store, **a: _counted("tasks", store.list_tasks(**a))),
    "get_my_queue": (
        "Error getting queue: ",
        lambda store, agent_name: _counted("tasks", store.get_my_queue(agent_name), agent=agent_name),
    ),
    "signup_for_task": ("Error signing up for task: ", _signup),
    "move_task": ("", TinytaskStore.move_task),
    "create_subtask": ("", TinytaskStore.create_task),
    "get_subtasks": ("", _get_subtasks),
    "get_task_with_subtasks": ("", TinytaskStore.get_task_with_subtasks),
    "move_subtask": ("Error moving subtask: ", _move_subtask),
    "list_queues": ("Error listing queues: ", lambda store: _counted("queues", store.list_queues())),
    "get_queue_stats": ("Error getting queue stats: ", TinytaskStore.get_queue_stats),
    "add_task_to_queue": ("Error adding task to queue: ", _put_in_queue),
    "remove_task_from_queue": ("Error removing task from queue: ", _put_in_queue),
    "move_task_to_queue": (
        "Error moving task to queue: ",
        lambda store, task_id, new_queue_name: _put_in_queue(store, task_id, new_queue_name),
    ),
    "get_queue_tasks": ("Error getting queue tasks: ", _get_queue_tasks),
    "clear_queue": (
        "Error clearing queue: ",
        lambda store, queue_name: {"queue_name": queue_name, "tasks_cleared": store.clear_queue(queue_name)},
    ),
    "add_comment": ("Error adding comment: ", TinytaskStore.add_comment),
    "update_comment": ("Error updating comment: ", TinytaskStore.update_comment),
    "delete_comment": (
        "Error deleting comment: ",
        partial(_deleted, "Comment", TinytaskStore.delete_comment),
    ),
    "list_comments": (
        "Error listing comments: ",
        lambda store, task_id: _counted("comments", store.list_comments(task_id), task_id=task_id),
    ),
    "get_comment": ("", TinytaskStore.get_comment),
    "move_comment": ("Error moving comment: ", TinytaskStore.move_comment),
    "add_link": ("Error adding link: ", TinytaskStore.add_link),
    "update_link": ("Error updating link: ", TinytaskStore.update_link),
    "delete_link": ("Error deleting link: ", partial(_deleted, "Link", TinytaskStore.delete_link)),
    "list_links": (
        "Error listing links: ",
        lambda store, task_id: _counted("links", store.list_links(task_id), task_id=task_id),
    ),
}


def pretty(value: Any) -> str:
    """Return the text of JavaScript's JSON.stringify(value, null, 2)."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def _response(store: TinytaskStore, name: str, arguments: dict[str, Any]) -> tuple[str, bool]:
    """Return the text of the response to a call, and whether it is an error."""
    lenient = name.endswith(("_comment", "_comments", "_link", "_links"))
    accepted, issues = check_arguments(SCHEMAS[name], arguments, strict=not lenient)
    if issues:
        return f"Error calling tool {name}: {pretty(issues)}", True
    failure, tool = _TOOLS[name]
    try:
        value = tool(store, **accepted)
    except StoreError as refusal:
        return f"{failure}{refusal}", True
    except sqlite3.Error as broken:
        return f"{failure}Query failed: {broken}", True
    return value if isinstance(value, str) else pretty(value), False


def create_server(store: TinytaskStore) -> Server[Any]:
    """Return an MCP server that responds as TinyTask v2 does.

    It serves an `mcp.Client` in this process, or the network through `create_app`.

    - store: the tasks to serve.

    Example: `create_server(TinytaskStore()).name == "tinytask"`
    """
    tools = types.ListToolsResult(tools=[types.Tool.model_validate(tool) for tool in _PUBLISHED])

    async def list_tools(_: Context, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return tools

    async def call_tool(_: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        text, is_error = f"Unknown tool: {params.name}", True
        if params.name in SCHEMAS:
            text, is_error = _response(store, params.name, params.arguments or {})
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=is_error)

    return Server("tinytask", version="1.0.0", on_list_tools=list_tools, on_call_tool=call_tool)
