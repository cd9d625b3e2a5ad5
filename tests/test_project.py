"""The project itself: what a fresh clone promises, and the levels of its modules."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "calypso_nb"


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    """Outputs are somebody's data and do not belong into the repository."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_conda_and_pip_make_the_same_environment() -> None:
    """environment.yml lists what pyproject.toml lists, with the same bounds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {*project["dependencies"], *extras["lab"], *extras["test"]}
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    [pip] = [entry["pip"] for entry in conda if isinstance(entry, dict)]
    assert set(pip) - {"-e ."} == wanted
    assert "-e ." in pip
    assert f"python{project['requires-python']}" in conda


def test_every_foreign_package_that_is_imported_is_a_dependency() -> None:
    """Nothing works only because another package happens to bring it along."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["lab"], *extras["dask"]]
    listed = {re.split(r"[<>=\[]", name)[0] for name in wanted}
    provides = {
        "dotenv": "python-dotenv",
        "vl_convert": "vl-convert-python",
        "mcp_types": "mcp",
        "yaml": "pyyaml",
    }
    # nbconvert brings these two, and they have no life without it; IPython is only there where a notebook is.
    listed |= {"nbformat", "nbclient", "sse_starlette", "IPython"}
    import sys

    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [name.name for name in node.names]
                if isinstance(node, ast.Import)
                else []
            )
            for name in names:
                top = name.split(".")[0]
                if top in sys.stdlib_module_names or top in ("calypso_nb", ""):
                    continue
                assert provides.get(top, top.replace("_", "-")) in listed or top in listed, (
                    f"{path.name}: {top}"
                )


def test_the_readmes_python_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its blocks, one after the other, are one program that works."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert (tmp_path / "build" / "report.html").stat().st_size > 100_000


def test_the_readmes_commands_exist() -> None:
    """Every `make` target that the README names is one of the Makefile's."""
    named = set(
        re.findall(
            r"\bmake ([a-z]+)",
            " ".join(re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.S)),
        )
    )
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert named
    assert named <= targets
