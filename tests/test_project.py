"""The project itself: what a fresh clone promises, and what it stands on."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

from tests.conftest import scope_of

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "calypso_nb"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    """Outputs are somebody's data and do not belong into the repository."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_conda_and_pip_make_the_same_environment() -> None:
    """environment.yml has nothing of its own but conda's Python: all else is said once, in pyproject.toml."""
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert conda == [f"python{PROJECT['requires-python']}", "pip", {"pip": ["-e .[lab,test]"]}]


def names_of(requirements: list[str]) -> set[str]:
    """Return the packages that some requirements name, those of our own extras included."""
    found = set()
    for requirement in requirements:
        name, extras, bounds = re.fullmatch(r"([\w-]+)(?:\[([\w,]+)\])?(.*)", requirement).groups()  # type: ignore[union-attr]
        if name == "calypso_nb":
            found |= names_of([more for extra in extras.split(",") for more in EXTRAS[extra]])
        else:
            assert bounds.startswith(">=")
            found.add(name)
    return found


def test_the_dependencies_are_few_and_the_extras_are_whole() -> None:
    """What one command needs is an extra; `all` is every extra that is not for tests."""
    assert len(PROJECT["dependencies"]) <= 17
    assert names_of(EXTRAS["all"]) == set().union(
        *(names_of(EXTRAS[extra]) for extra in EXTRAS if extra != "test")
    )
    assert names_of(EXTRAS["all"]) < names_of(EXTRAS["test"])


# What an extra brings may be imported by these alone.
ROOMS_OF = {
    "run": ["scheduler", "cli/run_agent.py"],
    "serve": ["embedded/web.py"],
    "page": ["view"],
    "dask": ["scheduler/workers.py", "flow/forecast.py", "history/lake.py"],
    "lake": ["history/lake.py"],
}
PACKAGE_OF = {"dotenv": "python-dotenv", "mcp_types": "mcp", "yaml": "pyyaml"}


def imports(path: Path) -> set[str]:
    """Return the foreign packages that a module imports, inside functions too."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            modules.add(node.module or "")
        elif isinstance(node, ast.Import):
            modules |= {name.name for name in node.names}
    return {module.split(".")[0] for module in modules} - sys.stdlib_module_names - {"", "calypso_nb"}


def test_every_foreign_package_that_is_imported_is_a_dependency() -> None:
    """Nothing works only because another package happens to bring it along, or an extra that is not there."""
    # IPython is only imported if a notebook is there, which has it.
    always = names_of(PROJECT["dependencies"]) | {"IPython"}
    for path in sorted(PACKAGE.rglob("*.py")):
        homes = {path, *path.parents}
        own = [extra for extra, places in ROOMS_OF.items() if homes & {PACKAGE / place for place in places}]
        listed = always.union(*(names_of(EXTRAS[extra]) for extra in own))
        found = {PACKAGE_OF.get(name, name) for name in imports(path)}
        unlisted = {name for name in found if not {name, name.replace("_", "-")} & listed}
        assert not unlisted, path


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


def test_a_module_that_starts_a_browser_or_a_kernel_stays_on_one_worker() -> None:
    """All others are shared out test by test."""
    kept = {
        path.name
        for path in (ROOT / "tests").glob("test_*.py")
        if scope_of(f"tests/{path.name}::x")[-1] == "y"
    }
    assert {"test_lab.py", "test_page.py", "test_kernel.py"} <= kept
    assert not {"test_client.py", "test_cli.py", "test_leases.py"} & kept
