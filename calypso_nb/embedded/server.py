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
from calypso_nb.embedded.push import Pushed, call_and_push
from calypso_nb.embedded.store import TinytaskStore
from calypso_nb.embedded.validation import check_arguments

Context = ServerRequestContext[Any]

_PUBLISHED = orjson.loads(files(__package__).joinpath("tools.json").read_bytes())
_UNPUBLISHED = orjson.loads(files(__package__).joinpath("unpublished.json").read_bytes())
# What each tool accepts, which TinyTask's published schemas don't say in full.
SCHEMAS: dict[str, dict[str, Any]] = {
    name: schema | {"properties": schema["properties"] | _UNPUBLISHED["arguments"].get(name, {})}
    for name, schema in ((tool["name"], tool["inputSchema"]) for tool in _PUBLISHED)
}


def _respond(name: str, store: TinytaskStore, **arguments: Any) -> Any:
    """Do what the store's method of a tool's name does; a list is counted, and a deletion is confirmed."""
    value = getattr(store, name)(**arguments)
    verb, _, what = name.partition("_")
    if isinstance(value, list):
        return _counted(what, value, **arguments)
    if verb != "delete":
        return value
    message = f"{what.capitalize()} {arguments['id']} deleted successfully"
    return orjson.dumps({"success": True, "message": message, "id": arguments["id"]}).decode()


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


def _get_queue_tasks(store: TinytaskStore, queue_name: str, **filters: Any) -> Record:
    tasks = store.get_queue_tasks(queue_name, **filters)
    shown = {"include_archived": False} | filters
    return {"queue_name": queue_name, "count": len(tasks), "filters": shown, "tasks": tasks}


# The tools that `_respond` does not do.
_TOOLS: dict[str, Callable[..., Any]] = {
    "create_subtask": TinytaskStore.create_task,
    "list_tasks": lambda store, **filters: _counted("tasks", store.list_tasks(**filters)),
    "get_my_queue": lambda store, agent_name: _counted(
        "tasks", store.get_my_queue(agent_name), agent=agent_name
    ),
    "get_queue_tasks": _get_queue_tasks,
    "get_subtasks": _get_subtasks,
    "signup_for_task": _signup,
    "move_subtask": _move_subtask,
    "add_task_to_queue": lambda store, task_id, queue_name: store.update_task(task_id, queue_name=queue_name),
    "remove_task_from_queue": lambda store, task_id: store.update_task(task_id, queue_name=None),
    "move_task_to_queue": lambda store, task_id, new_queue_name: store.update_task(
        task_id, queue_name=new_queue_name
    ),
    "clear_queue": lambda store, queue_name: {
        "queue_name": queue_name,
        "tasks_cleared": store.clear_queue(queue_name),
    },
}


def pretty(value: Any) -> str:
    """Return the text of JavaScript's JSON.stringify(value, null, 2)."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def respond_to(
    store: TinytaskStore, name: str, arguments: dict[str, Any], pushed: Pushed | None = None
) -> tuple[str, bool]:
    """Return the text of the response to a call, and whether it is an error."""
    lenient = name.endswith(("_comment", "_comments", "_link", "_links"))
    accepted, issues = check_arguments(SCHEMAS[name], arguments, strict=not lenient)
    if issues:
        return f"Error calling tool {name}: {pretty(issues)}", True
    failure = _UNPUBLISHED["errors"].get(name, "")
    call = partial(_TOOLS.get(name, partial(_respond, name)), store, **accepted)
    try:
        value = call() if pushed is None else call_and_push(store, name, accepted, call, pushed)
    except StoreError as refusal:
        return f"{failure}{refusal}", True
    except sqlite3.Error as broken:
        return f"{failure}Query failed: {broken}", True
    return value if isinstance(value, str) else pretty(value), False


def create_server(store: TinytaskStore, pushed: Pushed | None = None) -> Server[Any]:
    """Return an MCP server that responds as TinyTask v2 does.

    It serves an `mcp.Client` in this process, or the network through `create_app`.

    - store: the tasks to serve.
    - pushed: called with each event that TinyTask would push to a hub, in order.

    Example: `create_server(TinytaskStore()).name == "tinytask"`
    """
    tools = types.ListToolsResult(tools=[types.Tool.model_validate(tool) for tool in _PUBLISHED])

    async def list_tools(_: Context, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return tools

    async def call_tool(_: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        text, is_error = f"Unknown tool: {params.name}", True
        if params.name in SCHEMAS:
            text, is_error = respond_to(store, params.name, params.arguments or {}, pushed)
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=is_error)

    return Server("tinytask", version="1.0.0", on_list_tools=list_tools, on_call_tool=call_tool)
