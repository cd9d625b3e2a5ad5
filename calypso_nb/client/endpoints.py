"""What the word for an endpoint means: a server, a command, a database file, or sample data."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from calypso_nb.client.calls import Source
from calypso_nb.settings import Settings, is_url, public_endpoint

if TYPE_CHECKING:
    from mcp.server import MCPServer, Server

    Endpoint: TypeAlias = str | os.PathLike[str] | Server[Any] | MCPServer

DATABASE_SUFFIXES = (".db", ".sqlite", ".sqlite3")
STDIO = "stdio:"


def source_of(endpoint: Endpoint, settings: Settings) -> Source:
    """The source that an endpoint names; it is not opened. Raises ValueError where it names none.

    Example: `source_of("demo", load_settings())`
    """
    if isinstance(endpoint, os.PathLike) or (isinstance(endpoint, str) and _is_path(endpoint)):
        from calypso_nb.client.file import FileSource  # It needs no MCP, which takes 0.8 s to load.

        return FileSource(Path(endpoint))
    from calypso_nb.client.server import WireSource

    if not isinstance(endpoint, str):
        if not hasattr(endpoint, "create_initialization_options") and not hasattr(endpoint, "list_tools"):
            raise ValueError(f"endpoint is a {type(endpoint).__name__}: give an address, or a server object")
        return WireSource(endpoint, f"in-process {type(endpoint).__name__}", settings)
    if endpoint == "demo":
        from calypso_nb.embedded import create_server, demo_store

        return WireSource(create_server(demo_store()), "demo", settings)
    if endpoint.startswith(STDIO):
        return WireSource(_command(endpoint), _shown(_command(endpoint)), settings)
    if is_url(endpoint):
        return WireSource(endpoint, public_endpoint(endpoint), settings)
    shown = public_endpoint(endpoint)
    raise ValueError(
        f"endpoint {shown!r} is not one: give http://host:port, https://host:port or 'demo', stdio:COMMAND, "
        "or the path of a TinyTask database"
    )


def _is_path(endpoint: str) -> bool:
    if endpoint.startswith(STDIO) or "://" in endpoint or endpoint == "demo":
        return False
    return endpoint.lower().endswith(DATABASE_SUFFIXES) or Path(endpoint).expanduser().is_file()


def _command(endpoint: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(endpoint.removeprefix(STDIO)))
    except ValueError as error:
        raise ValueError(f"endpoint {STDIO} with a command that cannot be read: {error}") from None
    if not words or "=" in words[0]:
        raise ValueError(f"endpoint {STDIO} wants a command after it, its variables set in the environment")
    return words


def _shown(command: tuple[str, ...]) -> str:
    """A command without its arguments, any of which may be a password."""
    return STDIO + Path(command[0]).name + (" …" if len(command) > 1 else "")
