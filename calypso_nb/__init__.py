"""Watch a team of LLM agents at work: a Jupyter-first toolkit for TinyTask.

    from calypso_nb import TinytaskClient, WorkloadReporter

    data = WorkloadReporter(TinytaskClient("demo")).collect_workload_data()

Every public name loads its module on first use, so importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from calypso_nb.client import TinytaskClient
    from calypso_nb.errors import TinytaskAPIError, TinytaskClientError, TinytaskConnectionError
    from calypso_nb.report import WorkloadData, WorkloadReporter
    from calypso_nb.scheduler import Scheduler
    from calypso_nb.view.dashboard import Dashboard
    from calypso_nb.view.page import write_report

__all__ = [
    "Dashboard",
    "Scheduler",
    "TinytaskAPIError",
    "TinytaskClient",
    "TinytaskClientError",
    "TinytaskConnectionError",
    "WorkloadData",
    "WorkloadReporter",
    "write_report",
]

_HOMES = {
    "Dashboard": "view.dashboard",
    "Scheduler": "scheduler",
    "TinytaskAPIError": "errors",
    "TinytaskClient": "client",
    "TinytaskClientError": "errors",
    "TinytaskConnectionError": "errors",
    "WorkloadData": "report",
    "WorkloadReporter": "report",
    "write_report": "view.page",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def load_ipython_extension(_: InteractiveShell) -> None:
    """Let a notebook's own `asyncio.run(...)` work in a cell: `%load_ext calypso_nb`."""
    from calypso_nb.wire.bridge import let_cells_run_coroutines

    let_cells_run_coroutines()


def unload_ipython_extension(_: InteractiveShell) -> None:
    """Give the notebook Python's own `asyncio.run` back: `%unload_ext calypso_nb`."""
    from calypso_nb.wire.bridge import stop_cells_from_running_coroutines

    stop_cells_from_running_coroutines()
