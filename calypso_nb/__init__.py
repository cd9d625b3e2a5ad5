"""Watch a team of LLM agents at work: a Jupyter-first toolkit for TinyTask servers.

Start with a client, read a report, and put a dashboard into a cell:

    from calypso_nb import Dashboard, TinytaskClient, WorkloadReporter

    client = TinytaskClient("demo")  # or "http://host:3000"; without an endpoint, TINYTASK_ENDPOINT
    reporter = WorkloadReporter(client)
    data = reporter.collect_workload_data()
    Dashboard(reporter, every=60)

Clients
    TinytaskClient            read and change the tasks of a server, a command, a database file or a demo

Reports
    WorkloadReporter          read the workload of a team from a server
    WorkloadData              one moment of it: numbers and DataFrames, to_html, to_json, to_csv, ...
    Thresholds                from where on something needs attention
    difference                what changed from one report to another
    write_report              write a report as one interactive HTML page

Notebooks
    Dashboard                 the live view: numbers, filters, charts, tasks and actions
    charts                    the same charts one by one, in Altair

Running agents
    Scheduler                 plan and run the agents' tasks

Errors
    TinytaskClientError       any of the two below
    TinytaskConnectionError   the server can't be reached, or is not a TinyTask
    TinytaskAPIError          the server refuses

More is in calypso_nb.charts, calypso_nb.frames (the columns of every DataFrame, with dtypes and units),
calypso_nb.scheduler and calypso_nb.embedded (a TinyTask in this process). `%load_ext calypso_nb` lets your
own `asyncio.run(...)` work in a cell. Every name loads its module on first use.
"""

import typing as _typing
from importlib import import_module as _import_module

if _typing.TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell as _Shell

    from calypso_nb import charts as charts
    from calypso_nb.client import TinytaskClient as TinytaskClient
    from calypso_nb.errors import TinytaskAPIError as TinytaskAPIError
    from calypso_nb.errors import TinytaskClientError as TinytaskClientError
    from calypso_nb.errors import TinytaskConnectionError as TinytaskConnectionError
    from calypso_nb.history.difference import difference as difference
    from calypso_nb.report import WorkloadData as WorkloadData
    from calypso_nb.report import WorkloadReporter as WorkloadReporter
    from calypso_nb.scheduler import Scheduler as Scheduler
    from calypso_nb.view.dashboard import Dashboard as Dashboard
    from calypso_nb.view.page import write_report as write_report
    from calypso_nb.workload.attention import Thresholds as Thresholds

    __version__: str

# Without `__all__`, which would make help() print every method of every class instead of the page above.
_HOMES = {
    "Dashboard": "view.dashboard",
    "Scheduler": "scheduler",
    "Thresholds": "workload.attention",
    "TinytaskAPIError": "errors",
    "TinytaskClient": "client",
    "TinytaskClientError": "errors",
    "TinytaskConnectionError": "errors",
    "WorkloadData": "report",
    "WorkloadReporter": "report",
    "difference": "history.difference",
    "write_report": "view.page",
}


def __getattr__(name: str) -> _typing.Any:
    if name in _HOMES:
        return getattr(_import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name == "charts":
        return _import_module(f"{__name__}.charts")
    if name == "__version__":
        return _import_module("importlib.metadata").version(__name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*_HOMES, "charts", "__version__"]


def load_ipython_extension(_: "_Shell") -> None:
    """Let a notebook's own `asyncio.run(...)` work in a cell: `%load_ext calypso_nb`."""
    from calypso_nb.wire.bridge import let_cells_run_coroutines

    let_cells_run_coroutines()


def unload_ipython_extension(_: "_Shell") -> None:
    """Give the notebook Python's own `asyncio.run` back: `%unload_ext calypso_nb`."""
    from calypso_nb.wire.bridge import stop_cells_from_running_coroutines

    stop_cells_from_running_coroutines()
