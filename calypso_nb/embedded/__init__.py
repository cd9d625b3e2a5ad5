"""A TinyTask v2 in the same process: for demos, tests and small teams that have no server.

`TinytaskStore` holds the tasks and TinyTask's rules, `create_server` and `serve` put it behind MCP, and
`demo_store` fills one with a sample project. Each name loads its module on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calypso_nb.embedded.database import Change as Change
    from calypso_nb.embedded.database import StoreError as StoreError
    from calypso_nb.embedded.sample import demo_store as demo_store
    from calypso_nb.embedded.sample import fill_sample as fill_sample
    from calypso_nb.embedded.server import create_server as create_server
    from calypso_nb.embedded.store import TinytaskStore as TinytaskStore
    from calypso_nb.embedded.web import create_app as create_app
    from calypso_nb.embedded.web import running_server as running_server
    from calypso_nb.embedded.web import serve as serve

_HOMES = {
    "Change": "database",
    "StoreError": "database",
    "TinytaskStore": "store",
    "create_app": "web",
    "create_server": "server",
    "demo_store": "sample",
    "fill_sample": "sample",
    "running_server": "web",
    "serve": "web",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*_HOMES]
