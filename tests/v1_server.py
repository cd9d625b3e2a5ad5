"""A TinyTask v1 for tests: the embedded v2 with all that v1 lacks taken away. SSE only."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from calypso_nb.embedded.server import pretty
from calypso_nb.embedded.store import StoreError, TinytaskStore
from calypso_nb.embedded.validation import Issue, enum_issue, js_type, type_issue
from calypso_nb.embedded.web import SseEndpoint, running_app

RECORDING = Path(__file__).parent / "data" / "tinytask-v1.jsonl"
NEW_IN_V2 = {"parent_task_id", "queue_name", "blocked_by_task_id", "is_currently_blocked"}


def narrowed(value: Any) -> Any:
    """A v2 record, or records in lists and dicts, with v1's fields and timestamps."""
    if isinstance(value, list):
        return [narrowed(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: item[:-1].replace("T", " ") if name.endswith("_at") and item else narrowed(item)
        for name, item in value.items()
        if name not in NEW_IN_V2
    }


def counted(name: str, records: list[Any], **about: Any) -> dict[str, Any]:
    return {**about, "count": len(records), name: records}


def list_tasks(store: TinytaskStore, **filters: Any) -> dict[str, Any]:
    if filters.get("offset") and not filters.get("limit"):
        raise StoreError('Query failed: near "OFFSET": syntax error')
    return counted("tasks", store.list_tasks(**filters))


def signup_for_task(store: TinytaskStore, agent_name: str) -> str:
    task = store.signup_for_task(agent_name)
    if task is None:
        return f"No idle tasks available in queue for agent: {agent_name}"
    return f"Task #{task['id']} claimed and set to working status\n\n{pretty(narrowed(task))}"


def move_task(store: TinytaskStore, task_id: int, current_agent: str, new_agent: str, comment: str) -> str:
    store.move_task(task_id, current_agent, new_agent, comment)
    task = pretty(narrowed(store.get_task(task_id)))
    return f"Task #{task_id} transferred from {current_agent} to {new_agent}\n\n{task}"


def deletes(what: str, delete: Callable[[TinytaskStore, float], None]) -> Callable[..., str]:
    def tool(store: TinytaskStore, id: int) -> str:
        delete(store, id)
        return f"{what} {id} deleted successfully"

    return tool


def create_task(store: TinytaskStore, title: str, created_by: str | None = None, **fields: Any) -> Any:
    return store.create_task(title, created_by, **fields)


TOOLS: dict[str, tuple[str, Callable[..., Any]]] = {
    "create_task": ("Error creating task: ", create_task),
    "update_task": ("Error updating task: ", TinytaskStore.update_task),
    "get_task": ("", TinytaskStore.get_task),
    "delete_task": ("Error deleting task: ", deletes("Task", TinytaskStore.delete_task)),
    "archive_task": ("Error archiving task: ", TinytaskStore.archive_task),
    "list_tasks": ("Error listing tasks: ", list_tasks),
    "get_my_queue": (
        "",
        lambda store, agent_name: counted("tasks", store.get_my_queue(agent_name), agent=agent_name),
    ),
    "signup_for_task": ("Error signing up for task: ", signup_for_task),
    "move_task": ("Error moving task: ", move_task),
    "add_comment": ("Error adding comment: ", TinytaskStore.add_comment),
    "update_comment": ("Error updating comment: ", TinytaskStore.update_comment),
    "delete_comment": ("Error deleting comment: ", deletes("Comment", TinytaskStore.delete_comment)),
    "list_comments": (
        "",
        lambda store, task_id: counted("comments", store.list_comments(task_id), task_id=task_id),
    ),
    "add_link": ("Error adding link: ", TinytaskStore.add_link),
    "update_link": ("Error updating link: ", TinytaskStore.update_link),
    "delete_link": ("Error deleting link: ", deletes("Link", TinytaskStore.delete_link)),
    "list_links": ("", lambda store, task_id: counted("links", store.list_links(task_id), task_id=task_id)),
}


def issues_of(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> list[Issue]:
    """v1's checks: required ones present, types exact, one of an enum's words; the rest is ignored."""
    issues: list[Issue] = []
    for name, wanted in schema["properties"].items():
        if name not in arguments:
            if name in schema.get("required", ()):
                missing = {"code": "invalid_type", "expected": wanted["type"], "received": "undefined"}
                issues.append({**missing, "path": [name], "message": "Required"})
        elif js_type(arguments[name]) != wanted["type"]:
            issues.append(type_issue(wanted, arguments[name], [name]))
        elif arguments[name] not in wanted.get("enum", [arguments[name]]):
            issues.append(enum_issue(wanted["enum"], arguments[name], [name]))
    return issues


def answer(store: TinytaskStore, schema: Mapping[str, Any], name: str, arguments: Mapping[str, Any]) -> Any:
    issues = issues_of(schema, arguments)
    if issues:
        return f"Error calling tool {name}: {pretty(issues)}", True
    failure, tool = TOOLS[name]
    known = {key: value for key, value in arguments.items() if key in schema["properties"]}
    try:
        value = tool(store, **known)
    except StoreError as refusal:
        return f"{failure}{refusal}", True
    return value if isinstance(value, str) else pretty(narrowed(value)), False


def create_v1_server(store: TinytaskStore) -> Server[Any]:
    """An MCP server that answers as TinyTask v1 does."""
    published = json.loads(RECORDING.read_text("utf-8").splitlines()[0])["tools"]
    schemas = {tool["name"]: tool["inputSchema"] for tool in published}
    tools = types.ListToolsResult(tools=[types.Tool.model_validate(tool) for tool in published])

    async def on_list(_: ServerRequestContext[Any], __: Any) -> types.ListToolsResult:
        return tools

    async def on_call(
        _: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        text, is_error = f"Unknown tool: {params.name}", True
        if params.name in schemas:
            text, is_error = answer(store, schemas[params.name], params.name, params.arguments or {})
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=is_error)

    return Server("tinytask", version="1.0.0", on_list_tools=on_list, on_call_tool=on_call)


async def health(_: Request) -> JSONResponse:
    return JSONResponse({"status": "healthy"})


@contextmanager
def running_v1_server(store: TinytaskStore, port: int = 0) -> Iterator[str]:
    """Serve the store as a v1 would; gives the base URL."""
    routes = [Route("/mcp", SseEndpoint(create_v1_server(store))), Route("/health", health)]
    with running_app(Starlette(routes=routes), port) as url:
        yield url
