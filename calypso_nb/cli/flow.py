"""What the commands `flow` and `forecast` do."""

from pathlib import Path
from typing import Any

from calypso_nb.cli.terminal import show
from calypso_nb.report import History, WorkloadReporter
from calypso_nb.text.console import flow_to_console, forecast_to_console
from calypso_nb.text.json import flow_to_json, forecast_to_json
from calypso_nb.text.markdown import flow_to_markdown, forecast_to_markdown


def show_flow(
    reporter: WorkloadReporter, format: str, output: Path | None, *, color: bool, **asked: Any
) -> None:
    """Write how work flows, by the history or else by what the tasks tell, as text, Markdown or JSON."""
    flow = reporter.flow(**asked)
    plain = {"json": flow_to_json, "markdown": flow_to_markdown}
    show(flow, plain, flow_to_console, format, output, color)


def show_forecast(
    reporter: WorkloadReporter, format: str, output: Path | None, *, color: bool, **asked: Any
) -> None:
    """Write a forecast by the history, as text, Markdown or JSON."""
    history = reporter.recorded()
    if history is None:  # The usual file, which says what is missing.
        history = History(None, reporter.client.endpoint)
    try:
        forecast = history.forecast(**asked)
    finally:
        history.close()
    plain = {"json": forecast_to_json, "markdown": forecast_to_markdown}
    show(forecast, plain, forecast_to_console, format, output, color)
