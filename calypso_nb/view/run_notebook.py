"""Run a notebook from top to bottom and write it as one page."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
import papermill
from nbformat import NotebookNode
from nbformat.reader import NotJSONError
from papermill.exceptions import PapermillExecutionError

from calypso_nb.errors import TinytaskConnectionError, UsageError
from calypso_nb.files import write_whole
from calypso_nb.view.notebook_page import CalypsoHTMLExporter

__all__ = ["ExportedNotebook", "NotebookFailed", "export_notebook"]


class NotebookFailed(Exception):
    """A cell of the notebook raised; `error` is the name of what it raised."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error

    @property
    def unreachable(self) -> bool:
        """Whether it was a TinyTask that did not answer."""
        return self.error == TinytaskConnectionError.__name__


@dataclass(frozen=True)
class ExportedNotebook:
    """Where the page of a notebook is, its size in bytes, and a line for each workload that it shows."""

    path: Path
    size: int
    contents: list[str]


def export_notebook(
    notebook: Path,
    output: Path,
    parameters: dict[str, Any] | None = None,
    *,
    code: bool = False,
    progress: bool = False,
) -> ExportedNotebook:
    """Run a notebook in its own folder, with papermill's `parameters`, and write it as one HTML page.

    The page shows the cells' code where `code` asks for it. Raises NotebookFailed where a cell raises, and
    then writes nothing.
    Example: `export_notebook(Path("notebooks/workload.ipynb"), Path("build/workload.html"))`
    """
    with TemporaryDirectory() as folder:
        executed = Path(folder) / notebook.name
        try:
            papermill.execute_notebook(
                notebook,
                executed,
                parameters,
                cwd=notebook.parent,
                progress_bar=progress,
                kernel_name="python3",
                language="python",  # A notebook made by a program often names none.
                # A warning about TCP on this machine is no news to who asked for a report.
                extra_arguments=["--IPKernelApp.log_level=ERROR"],
            )
        except PapermillExecutionError as error:
            raise NotebookFailed(error.ename, error.evalue) from error
        except (NotJSONError, UnicodeDecodeError) as error:
            raise UsageError(str(error)) from None
        node = nbformat.read(executed, as_version=4)
    resources = {"metadata": {"name": notebook.stem, "path": str(notebook.absolute().parent)}}
    page, _ = CalypsoHTMLExporter(show_code=code).from_notebook_node(node, resources)
    path = write_whole(page, output)
    return ExportedNotebook(path, path.stat().st_size, _contents(node))


def _contents(node: NotebookNode) -> list[str]:
    lines = []
    for cell in node.cells:
        for output in cell.get("outputs", []):
            html = output.get("data", {}).get("text/html", "")
            for payload in re.findall(
                r'class="calypso-view"><script type="application/json">(.*?)</script>', html, re.S
            ):
                view = json.loads(payload)
                agents = {agent for agent in view["rows"]["agent"] if agent is not None}
                meta = view["meta"]
                lines.append(
                    f"{len(view['rows']['id'])} tasks, {len(agents)} agents, "
                    f"read {meta['generated_at'][:19].replace('T', ' ')} UTC from {meta['endpoint']}"
                )
    return lines
