"""Watch a team of LLM agents at work: a Jupyter-first toolkit for TinyTask servers.

Start with a client, read a report, and put a dashboard into a cell:

    from calypso_nb import Dashboard, TinytaskClient, WorkloadReporter

    client = TinytaskClient("demo")  # or "http://host:3000"; without an endpoint, TINYTASK_ENDPOINT
    reporter = WorkloadReporter(client)
    data = reporter.collect_workload_data()
    Dashboard(reporter, every=60)

More is in calypso_nb.charts, calypso_nb.frames (the columns of every DataFrame, with dtypes and units),
calypso_nb.scheduler and calypso_nb.embedded (a TinyTask in this process). `%load_ext calypso_nb` draws any
Altair chart without a network, and lets your own `asyncio.run(...)` work in a cell. Every name loads its
module on first use:
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
    from calypso_nb.history.digest import digest_between as digest_between
    from calypso_nb.history.recorder import Recorder as Recorder
    from calypso_nb.report import History as History
    from calypso_nb.report import WorkloadData as WorkloadData
    from calypso_nb.report import WorkloadReporter as WorkloadReporter
    from calypso_nb.scheduler import Scheduler as Scheduler
    from calypso_nb.team import Thresholds as Thresholds
    from calypso_nb.view.dashboard import Dashboard as Dashboard
    from calypso_nb.view.page import write_report as write_report

    __version__: str

# Without `__all__`, which would make help() print every method of every class instead of a page.
_PUBLIC = {
    "TinytaskClient": ("client", "read and change the tasks of a server, a command, a file or a demo"),
    "WorkloadReporter": ("report", "read the workload of a team from a server"),
    "WorkloadData": ("report", "one moment of it: numbers and DataFrames, to_html, to_json, to_csv, ..."),
    "Thresholds": ("team", "from where on something needs attention"),
    "difference": ("history.difference", "what changed from one report to another"),
    "digest_between": ("history.digest", "the same as a person is told of it, questions first"),
    "Recorder": ("history.recorder", "write down what happens, in the background"),
    "History": ("report", "what happened: events, spells, a report of how it was at any moment"),
    "write_report": ("view.page", "write a report as one interactive HTML page"),
    "Dashboard": ("view.dashboard", "the live view: numbers, filters, charts, tasks and actions"),
    "charts": ("charts", "the same charts one by one, in Altair"),
    "Scheduler": ("scheduler", "plan and run the agents' tasks"),
    "TinytaskClientError": ("errors", "any of the two below"),
    "TinytaskConnectionError": ("errors", "the server can't be reached, or is not a TinyTask"),
    "TinytaskAPIError": ("errors", "the server refuses"),
}
__doc__ = "\n".join([__doc__ or "", *(f"    {name:26}{says}" for name, (_, says) in _PUBLIC.items())])


def __getattr__(name: str) -> _typing.Any:
    if name == "__version__":
        return _import_module("importlib.metadata").version(__name__)
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _import_module(f"{__name__}.{_PUBLIC[name][0]}")
    return home if name == "charts" else getattr(home, name)


def __dir__() -> list[str]:
    return [*_PUBLIC, "__version__"]


def load_ipython_extension(shell: "_Shell") -> None:
    """Draw Altair's charts offline, and let cells run `asyncio.run(...)`: `%load_ext calypso_nb`."""
    from calypso_nb.view.chart_renderer import draw_charts_offline
    from calypso_nb.wire.bridge import let_cells_run_coroutines

    let_cells_run_coroutines()
    draw_charts_offline(shell)


def unload_ipython_extension(_: "_Shell") -> None:
    """Give Altair's own renderer and Python's own `asyncio.run` back: `%unload_ext calypso_nb`."""
    from calypso_nb.view.chart_renderer import stop_drawing_charts_offline
    from calypso_nb.wire.bridge import stop_cells_from_running_coroutines

    stop_cells_from_running_coroutines()
    stop_drawing_charts_offline()
