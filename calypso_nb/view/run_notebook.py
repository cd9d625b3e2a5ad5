"""Run a notebook from top to bottom and write it as one page."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
import papermill
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_client.manager import AsyncKernelManager
from nbformat import NotebookNode
from nbformat.reader import NotJSONError
from papermill.exceptions import PapermillExecutionError
from traitlets import Type

from calypso_nb.errors import TinytaskConnectionError, UsageError
from calypso_nb.files import write_whole
from calypso_nb.view.bundle import unpacked_text
from calypso_nb.view.notebook_page import CalypsoHTMLExporter
from calypso_nb.view.page import VIEW


class NotebookFailed(Exception):
    """A cell of the notebook raised the error with the name `error`."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error

    @property
    def unreachable(self) -> bool:
        """Whether a TinyTask did not respond."""
        return self.error == TinytaskConnectionError.__name__


@dataclass(frozen=True)
class ExportedNotebook:
    """The page of a notebook: its path, its size in bytes, and a line per workload on it."""

    path: Path
    size: int
    contents: list[str]


class _ShellChannel(AsyncZMQSocketChannel):
    """Looks for a reply every second too, besides waiting to be told of one.

    What nbclient sends for an Output widget goes past the socket's event loop, and may take the news of a
    reply with it: without a second look, some notebooks with such widgets would never end.
    """

    async def get_msg(self, timeout: float | None = None) -> dict[str, Any]:  # type: ignore[override]
        while timeout is None:
            with suppress(Empty):
                return await super().get_msg(1)
        return await super().get_msg(timeout)


class _KernelClient(AsyncKernelClient):
    shell_channel_class = Type(_ShellChannel)


class _KernelManager(AsyncKernelManager):
    client_factory = Type(_KernelClient)


def export_notebook(
    notebook: Path,
    output: Path,
    parameters: dict[str, Any] | None = None,
    *,
    code: bool = False,
) -> ExportedNotebook:
    """Run a notebook in its own folder and write it as one HTML page.

    - parameters: papermill's parameters
    - code: show the cells' code too

    Raise NotebookFailed if a cell raises, and writes nothing then.
    """
    with TemporaryDirectory() as folder:
        executed = Path(folder) / notebook.name
        try:
            papermill.execute_notebook(
                notebook,
                executed,
                parameters,
                cwd=notebook.parent,
                progress_bar=False,
                kernel_manager_class=_KernelManager,
                kernel_name="python3",
                language="python",  # A notebook made by a program often names none.
                # A report's reader need not know of a warning about TCP on this machine.
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
    outputs = (output for cell in node.cells for output in cell.get("outputs", []))
    return [
        _line(unpacked_text(output.data[VIEW]["packed"]))
        for output in outputs
        if VIEW in output.get("data", {})
    ]


def _line(view: dict[str, Any]) -> str:
    rows, meta = view["rows"], view["meta"]
    agents = {agent for agent in rows["agent"] if agent is not None}
    read_at = meta["generated_at"][:19].replace("T", " ")
    return f"{len(rows['id'])} tasks, {len(agents)} agents, read {read_at} UTC from {meta['endpoint']}"
