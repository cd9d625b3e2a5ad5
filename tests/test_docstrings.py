"""Every example in a docstring that users reach runs as it stands."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

import calypso_nb
from calypso_nb import (
    Dashboard,
    History,
    Recorder,
    Scheduler,
    TinytaskClient,
    TinytaskConnectionError,
    WorkloadReporter,
)
from calypso_nb.embedded import TinytaskStore, create_server, fill_sample, running_server

FACES = ("charts", "frames", "scheduler", "embedded", "errors", "records")

pytestmark = pytest.mark.slow  # Scheduler examples start servers and programs.


def public_names(module: ModuleType) -> dict[str, Any]:
    """The functions, classes and tables that a module offers."""
    values = {name: getattr(module, name) for name in getattr(module, "__all__", dir(module))}
    # A value without a module of its own is a table; what another package made is only imported there.
    home = {name: getattr(value, "__module__", None) or module.__name__ for name, value in values.items()}
    return {name: value for name, value in values.items() if home[name].startswith("calypso_nb")}


def members(owner: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties of a class, those that it inherits from us included."""
    ours = [one for one in owner.__mro__ if one.__module__.startswith("calypso_nb")]
    for name in sorted({name for one in ours for name in vars(one)}):
        if not name.startswith("_"):
            yield name, inspect.getattr_static(owner, name)


def documented() -> Iterator[tuple[str, str]]:
    """The name and the docstring of all that users reach."""
    for module in (calypso_nb, *(import_module(f"calypso_nb.{face}") for face in FACES)):
        for name, value in public_names(module).items():
            if isinstance(value, type):
                yield f"{module.__name__}.{name}", inspect.getdoc(value) or ""
                for method, member in members(value):
                    yield f"{module.__name__}.{name}.{method}", inspect.getdoc(member) or ""
            elif callable(value):
                yield f"{module.__name__}.{name}", inspect.getdoc(value) or ""


EXAMPLES = {name: doc for name, doc in documented() if "Example:" in doc}


@pytest.fixture
def namespace(clean_environment: Path, name: str) -> Iterator[dict[str, Any]]:
    """What an example may use: a server with sample tasks, all that reads it, and the public names."""
    (clean_environment / "recipes").mkdir()
    names: dict[str, Any] = {
        "pd": pd,
        "Path": Path,
        "datetime": datetime,
        "UTC": UTC,
        "tmp_path": clean_environment,
    }
    for module in (*(import_module(f"calypso_nb.{face}") for face in FACES), calypso_nb):
        names |= public_names(module)
    with TinytaskStore() as store, ExitStack() as serving:
        fill_sample(store)
        # A scheduler's runs are other programs, and reach a server by its address.
        server = serving.enter_context(running_server(store)) if "cheduler" in name else create_server(store)
        with TinytaskClient(server) as client:
            reporter = WorkloadReporter(client)
            if "dashboard" in EXAMPLES[name]:  # It takes longer than all the rest.
                names["dashboard"] = Dashboard(reporter, details=False)
            if re.search(r"\.(History|Recorder)\b", name) or "history." in EXAMPLES[name]:
                recorder = serving.enter_context(Recorder(client, clean_environment / "recorded.db"))
                # As if it had begun an hour ago.
                recorder._store.write("UPDATE observation SET began = began - 3600000000")
                history = History(recorder.path)
                history.export(clean_environment / "folder")
                names |= {"recorder": recorder, "history": history, "folder": clean_environment / "folder"}
            yield names | {
                "client": client,
                "reporter": reporter,
                "data": reporter.collect_workload_data(details=False),
                "scheduler": Scheduler(client, ["api-dev"], "recipes"),
                "error": TinytaskConnectionError("no response"),
            }


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.timeout(60)
def test_an_example_runs(name: str, namespace: dict[str, Any]) -> None:
    """As one expression or statement; an expression that compares must be true."""
    examples = re.findall(r"^Example: `(.+)`$", EXAMPLES[name], re.M)
    assert len(examples) == EXAMPLES[name].count("Example:") == 1
    try:
        code = compile(examples[0], name, "eval")
    except SyntaxError:
        exec(compile(examples[0], name, "exec"), namespace)
    else:
        assert eval(code, namespace) is not False


def test_every_public_function_and_class_of_the_package_has_an_example() -> None:
    """Whoever finds a name by TAB sees how to use it."""
    public = {f"calypso_nb.{name}" for name in dir(calypso_nb) if callable(getattr(calypso_nb, name))}
    assert public <= EXAMPLES.keys()
