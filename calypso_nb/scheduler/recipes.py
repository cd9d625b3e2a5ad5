"""Recipes: files that say how a task is run, found in one folder and turned into commands, with no shell."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import orjson

from calypso_nb.records import Task
from calypso_nb.settings import Endpoint, load_settings

__all__ = [
    "Command",
    "Recipe",
    "RecipeError",
    "choose_recipe",
    "command_for",
    "endpoint_here",
    "read_recipes",
]

Kind = Literal["notebook", "goose", "program", "executable"]

_KINDS: dict[str, Kind] = {".ipynb": "notebook", ".yaml": "goose", ".yml": "goose", ".py": "program"}
# That a notebook does not take all of a task's fields as parameters is no news in its log.
_RUN_NOTEBOOK = (
    "import json, logging, sys, papermill; logging.getLogger('papermill').setLevel('ERROR'); "
    "papermill.execute_notebook(**json.load(sys.stdin))"
)
_TAG = "recipe:"
_NOT_PARAMETERS = ("id", "comments", "links", "subtasks")


class RecipeError(ValueError):
    """There is no recipe for a task, or the one there is cannot be used; the message says why.

    Example: `except RecipeError as error: print(error)`
    """


@dataclass(frozen=True)
class Recipe:
    """One file of the recipes folder; `fault` says why it cannot be run, None where it can.

    Example: `read_recipes(Path("recipes"))["default"].kind`
    """

    name: str
    path: Path
    kind: Kind
    fault: str | None = None


@dataclass(frozen=True)
class Command:
    """What to execute: the arguments, what comes on standard input, and what the environment gets more.

    `notebook` is where the executed notebook will lie, None for other kinds.
    Example: `command_for(recipe, task, "http://localhost:3000", "alice", Path("runs/7"))`
    """

    arguments: tuple[str, ...]
    stdin: bytes
    environment: Mapping[str, str]
    notebook: Path | None = None


def read_recipes(folder: Path) -> dict[str, Recipe]:
    """The recipes of a folder by name: a file's name without its ending; folders below are not looked into.

    Each is checked as far as that goes without running it. Raises RecipeError where there is no such folder.
    Example: `read_recipes(Path("recipes")).keys()`
    """
    folder = folder.resolve()
    try:
        files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise RecipeError(f"the recipes folder {folder} cannot be read: {error.strerror}") from error
    recipes: dict[str, Recipe] = {}
    for path in files:
        kind = _kind(path)
        if kind is None:
            continue
        if (other := recipes.get(path.stem)) is None:
            fault = _link_fault(path, folder) or _fault(kind, path)
        else:
            fault = f"two recipes are called {path.stem!r}: {other.path.name} and {path.name}"
        recipes[path.stem] = Recipe(path.stem, path, kind, fault)
    return recipes


def choose_recipe(
    recipes: Mapping[str, Recipe], tags: Sequence[str], agent: str, queue: str | None, own: str | None = None
) -> Recipe:
    """The recipe of a task: by its tag `recipe:NAME`, else the agent's, else the queue's, else `default`.

    The agent's is called `own`, or as the agent is. Names are only ever compared with those of the files, so
    none leads anywhere else. Raises RecipeError where there is none, or where the one chosen has a fault.
    Example: `choose_recipe(read_recipes(folder), ("recipe:build",), "alice", "dev")`
    """
    wanted = sorted({tag.removeprefix(_TAG).strip() for tag in tags if tag.startswith(_TAG)})
    if len(wanted) > 1:
        raise RecipeError(f"its tags ask for {len(wanted)} recipes: {', '.join(map(repr, wanted))}")
    if wanted and wanted[0] not in recipes:
        raise RecipeError(f"no recipe {wanted[0]!r}, which its tag asks for")
    if own is not None and own not in recipes:
        raise RecipeError(f"no recipe {own!r}, which agent {agent} is to use")
    for name in (*wanted, own, agent, queue, "default"):
        if name is not None and (recipe := recipes.get(name)) is not None:
            if recipe.fault is not None:
                raise RecipeError(recipe.fault)
            return recipe
    raise RecipeError(f"no recipe for agent {agent}")


def command_for(recipe: Recipe, task: Task, endpoint: str, agent: str, folder: Path) -> Command:
    """What to execute to run a task by its recipe, in `folder`, an absolute path where the run's files go.

    Raises RecipeError where the recipe cannot be run here.
    Example: `command_for(recipe, client.get_task(7), client.endpoint, "alice", Path.cwd())`
    """
    if recipe.fault is not None:
        raise RecipeError(recipe.fault)
    document: dict[str, Any] = orjson.loads(orjson.dumps(task))
    environment = {
        "TINYTASK_ENDPOINT": endpoint_here(endpoint),
        "TINYTASK_TASK_ID": str(task.id),
        "TINYTASK_AGENT": agent,
    }
    fields = {name: value for name, value in document.items() if name not in _NOT_PARAMETERS}
    parameters = {"task_id": task.id, **fields, "endpoint": endpoint, "agent": agent}
    if recipe.kind == "notebook":
        notebook = folder / recipe.path.name
        call = {
            "input_path": str(recipe.path),
            "output_path": str(notebook),
            "parameters": parameters,
            "cwd": str(folder),
            "progress_bar": False,
            **_kernel(recipe.path),
            # A warning about TCP on this machine is no news to who reads the log.
            "extra_arguments": ["--IPKernelApp.log_level=ERROR"],
        }
        arguments = (sys.executable, "-c", _RUN_NOTEBOOK)
        return Command(arguments, json.dumps(call).encode(), environment, notebook)
    if recipe.kind == "goose":
        pairs = [f"{name}={_text(parameters[name])}" for name in _declared(recipe.path) if name in parameters]
        options = [option for pair in pairs for option in ("--params", pair)]
        goose = shutil.which("goose") or "goose"
        return Command((goose, "run", "--recipe", str(recipe.path), *options), b"", environment)
    program = (sys.executable, str(recipe.path)) if recipe.kind == "program" else (str(recipe.path),)
    return Command(program, orjson.dumps(document), environment)


def endpoint_here(endpoint: str) -> str:
    """A public endpoint with the password that this process's settings may have for it.

    Example: `TinytaskClient(endpoint_here(job.endpoint))`
    """
    own = load_settings().endpoint
    return own if Endpoint(own).shown == endpoint else endpoint


def _kind(path: Path) -> Kind | None:
    if path.suffix in _KINDS:
        return None if path.is_dir() else _KINDS[path.suffix]
    return "executable" if path.is_file() and os.access(path, os.X_OK) else None


def _link_fault(path: Path, folder: Path) -> str | None:
    if not path.resolve().is_relative_to(folder):
        return f"recipe {path.name} is a link out of the recipes folder"
    return None if path.is_file() else f"recipe {path.name} is not a file"


def _fault(kind: Kind, path: Path) -> str | None:
    if kind == "notebook" and find_spec("papermill") is None:
        return f"recipe {path.name} needs papermill: pip install 'calypso_nb[lab]'"
    if kind == "goose" and shutil.which("goose") is None:
        return f"recipe {path.name} needs goose, which is not installed here (no `goose` on the PATH)"
    if kind not in ("notebook", "goose"):
        return None
    try:
        found = path.stat()
        parsed = _parsed(path, found.st_mtime_ns, found.st_size)
    except OSError as error:
        return f"recipe {path.name} cannot be read: {error.strerror}"
    if isinstance(parsed, str):
        return f"recipe {path.name} does not parse: {parsed}"
    return None


@lru_cache(maxsize=1000)
def _parsed(path: Path, _changed: int, _size: int) -> dict[str, Any] | str:
    """The document in a notebook or a goose recipe, or what is wrong with it."""
    import yaml

    notebook = path.suffix == ".ipynb"
    try:
        text = path.read_text("utf-8")
        document = json.loads(text) if notebook else yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        return " ".join(str(error).split())
    if not isinstance(document, dict):
        return "it holds no mapping"
    if notebook and not (isinstance(document.get("cells"), list) and document.get("nbformat") == 4):
        return "it is no notebook of format 4"
    return document


def _document(path: Path) -> dict[str, Any]:
    found = path.stat()
    parsed = _parsed(path, found.st_mtime_ns, found.st_size)
    if isinstance(parsed, str):
        raise RecipeError(f"recipe {path.name} does not parse: {parsed}")
    return parsed


def _kernel(path: Path) -> dict[str, str]:
    """The kernel that a notebook names, or Python's: a notebook made by a program often names none."""
    metadata = _mapping(_document(path).get("metadata"))
    kernel, language_info = _mapping(metadata.get("kernelspec")), _mapping(metadata.get("language_info"))
    language = language_info.get("name") or kernel.get("language")
    return {"kernel_name": kernel.get("name") or "python3", "language": language or "python"}


def _declared(path: Path) -> list[str]:
    """The parameters that a goose recipe says it takes: goose is given those and no others."""
    declared = _document(path).get("parameters")
    entries = map(_mapping, declared if isinstance(declared, list) else [])
    return [str(entry["key"]) for entry in entries if "key" in entry]


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
    return text.replace("\0", "")  # No argument can hold it.
