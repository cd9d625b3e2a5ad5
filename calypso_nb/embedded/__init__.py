"""A TinyTask v2 in the same process: for demos, tests and small teams that have no server.

`TinytaskStore` holds the tasks and TinyTask's rules, `create_server` and `serve` put it behind MCP, and
`demo_store` fills one with a sample project. Each name loads its module on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calypso_nb.embedded.database import StoreError
    from calypso_nb.embedded.sample import demo_store, fill_sample
    from calypso_nb.embedded.server import create_server
    from calypso_nb.embedded.store import TinytaskStore
    from calypso_nb.embedded.web import create_app, running_server, serve

__all__ = [
    "StoreError",
    "TinytaskStore",
    "create_app",
    "create_server",
    "demo_store",
    "fill_sample",
    "running_server",
    "serve",
]

_HOMES = {
    "database": ("StoreError",),
    "sample": ("demo_store", "fill_sample"),
    "server": ("create_server",),
    "store": ("TinytaskStore",),
    "web": ("create_app", "running_server", "serve"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
