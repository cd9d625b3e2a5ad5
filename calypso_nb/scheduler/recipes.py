"""Recipes: files in one folder that say how a task is run, turned into commands without a shell."""

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
import yaml

from calypso_nb.errors import UsageError
from calypso_nb.records import Task
from calypso_nb.scheduler.environment import environment_of_run
from calypso_nb.settings import Endpoint, load_settings

Kind = Literal["notebook", "goose", "program", "executable"]

_KINDS: dict[str, Kind] = {".ipynb": "notebook", ".yaml": "goose", ".yml": "goose", ".py": "program"}
# A notebook need not take all of a task's fields as parameters: no warning about that in its log.
_RUN_NOTEBOOK = (
    "import json, logging, sys, papermill; logging.getLogger('papermill').setLevel('ERROR'); "
    "papermill.execute_notebook(**json.load(sys.stdin))"
)
_TAG = "recipe:"
_NOT_PARAMETERS = ("id", "comments", "links", "subtasks")


class RecipeError(UsageError):
    """No recipe for a task, or one that cannot be used; the message says why."""


@dataclass(frozen=True)
class Recipe:
    """One file of the recipes folder; `fault` says why it cannot be run, None if it can."""

    name: str
    path: Path
    kind: Kind
    fault: str | None = None


@dataclass(frozen=True)
class Command:
    """What to execute: arguments, standard input, and the whole environment.

    `notebook` is where the executed notebook will be, None for other kinds.
    """

    arguments: tuple[str, ...]
    stdin: bytes
    environment: Mapping[str, str]
    notebook: Path | None = None


def read_recipes(folder: Path, goose: str | None = None, elsewhere: bool = False) -> dict[str, Recipe]:
    """Return the recipes of a folder by name, which is the file's name without its suffix.

    Each is checked as far as possible without running it. Raise RecipeError if the folder cannot be read.

    - goose: the path of goose, if it is not on the PATH
    - elsewhere: whether they run on other machines, whose programs can't be looked for here
    """
    folder = folder.resolve()
    try:
        files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise RecipeError(f"the recipes folder {folder} cannot be read: {error.strerror}") from error
    recipes: dict[str, Recipe] = {}
    for path in files:
        if (kind := _kind(path)) is None:
            continue
        fault = _fault(kind, path, folder) or (None if elsewhere else _lacking(kind, path, goose))
        if path.stem in recipes:
            fault = f"two recipes are called {path.stem!r}: {recipes[path.stem].path.name} and {path.name}"
        recipes[path.stem] = Recipe(path.stem, path, kind, fault)
    return recipes


def choose_recipe(
    recipes: Mapping[str, Recipe],
    tags: Sequence[str],
    agent: str,
    queues: Sequence[str] = (),
    own: str | None = None,
) -> Recipe:
    """Return the recipe of a task: by its tag `recipe:NAME`, else the agent's, a queue's, or `default`.

    The agent's recipe is called `own`, or as the agent is. Names are only ever compared with those of the
    files, so none leads anywhere else. Raise RecipeError if there is none, or if the one chosen has a fault.
    """
    tagged = sorted({tag.removeprefix(_TAG).strip() for tag in tags if tag.startswith(_TAG)})
    if len(tagged) > 1:
        raise RecipeError(f"its tags ask for {len(tagged)} recipes: {', '.join(map(repr, tagged))}")
    if tagged and tagged[0] not in recipes:
        raise RecipeError(f"no recipe {tagged[0]!r}, which its tag asks for")
    if own is not None and own not in recipes:
        raise RecipeError(f"no recipe {own!r}, which agent {agent} should use")
    for name in (*tagged, own, agent, *queues, "default"):
        if name is not None and (recipe := recipes.get(name)) is not None:
            if recipe.fault is not None:
                raise RecipeError(recipe.fault)
            return recipe
    raise RecipeError(f"no recipe for agent {agent}")


def command_for(
    recipe: Recipe,
    task: Task,
    endpoint: str,
    agent: str,
    folder: Path,
    env: Sequence[str] = (),
    goose: str | None = None,
) -> Command:
    """Return what to execute to run a task by its recipe; raise RecipeError if that is impossible here.

    `endpoint` holds no credentials, `folder` is the absolute path where the run's files go, `env` names
    variables that the run gets besides those that all get, and `goose` is the path of goose, if it is not on
    the PATH.
    """
    if recipe.fault is not None:
        raise RecipeError(recipe.fault)
    document: dict[str, Any] = orjson.loads(orjson.dumps(task))
    environment = environment_of_run(env) | {
        "TINYTASK_ENDPOINT": endpoint_here(endpoint),
        "TINYTASK_TASK_ID": str(task.id),
        "TINYTASK_AGENT": agent,
    }
    fields = {name: value for name, value in document.items() if name not in _NOT_PARAMETERS}
    parameters = {"task_id": task.id, **fields, "endpoint": endpoint, "agent": agent}
    match recipe.kind:
        case "notebook":
            notebook = folder / recipe.path.name
            stdin = json.dumps(_papermill_call(recipe.path, notebook, parameters)).encode()
            return Command((sys.executable, "-c", _RUN_NOTEBOOK), stdin, environment, notebook)
        case "goose":
            return Command(_goose_call(goose or "goose", recipe.path, parameters), b"", environment)
        case "program":
            return Command((sys.executable, str(recipe.path)), orjson.dumps(document), environment)
        case "executable":
            return Command((str(recipe.path),), orjson.dumps(document), environment)


def endpoint_here(endpoint: str) -> str:
    """Return a public endpoint with the password that this process's settings may have for it."""
    own = load_settings().endpoint
    return own if Endpoint(own).shown == endpoint else endpoint


def _papermill_call(path: Path, output: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    metadata = _mapping(_document(path).get("metadata"))
    kernel, language = _mapping(metadata.get("kernelspec")), _mapping(metadata.get("language_info"))
    return {
        "input_path": str(path),
        "output_path": str(output),
        "parameters": parameters,
        "cwd": str(output.parent),
        "progress_bar": False,
        # A notebook made by a program often names no kernel.
        "kernel_name": kernel.get("name") or "python3",
        "language": language.get("name") or kernel.get("language") or "python",
        # Who reads the log needs no warning about TCP on this machine.
        "extra_arguments": ["--IPKernelApp.log_level=ERROR"],
    }


def _goose_call(goose: str, path: Path, parameters: dict[str, Any]) -> tuple[str, ...]:
    """Return goose's command line, with those parameters that the recipe declares."""
    declared = _document(path).get("parameters")
    arguments = [shutil.which(goose) or goose, "run", "--recipe", str(path)]
    for entry in map(_mapping, declared if isinstance(declared, list) else []):
        if (name := str(entry.get("key"))) in parameters:
            arguments += ["--params", f"{name}={_text(parameters[name])}"]
    return tuple(arguments)


def _kind(path: Path) -> Kind | None:
    if path.suffix in _KINDS:
        return None if path.is_dir() else _KINDS[path.suffix]
    return "executable" if path.is_file() and os.access(path, os.X_OK) else None


def _fault(kind: Kind, path: Path, folder: Path) -> str | None:
    if not path.resolve().is_relative_to(folder):
        return f"recipe {path.name} is a link out of the recipes folder"
    if not path.is_file():
        return f"recipe {path.name} is not a file"
    if kind in ("notebook", "goose"):
        try:
            _document(path)
        except RecipeError as error:
            return str(error)
        except OSError as error:
            return f"recipe {path.name} cannot be read: {error.strerror}"
    return None


def _lacking(kind: Kind, path: Path, goose: str | None) -> str | None:
    if kind == "notebook" and find_spec("papermill") is None:
        return f"recipe {path.name} needs papermill: pip install 'calypso_nb[page]'"
    if kind == "goose" and shutil.which(goose or "goose") is None:
        where = f"no program {goose}" if goose else "no `goose` on the PATH"
        return f"recipe {path.name} needs goose, which is not installed here ({where})"
    return None


def _document(path: Path) -> dict[str, Any]:
    found = path.stat()
    parsed = _parsed(path, found.st_mtime_ns, found.st_size)
    if isinstance(parsed, str):
        raise RecipeError(f"recipe {path.name} does not parse: {parsed}")
    return parsed


@lru_cache(maxsize=1000)
def _parsed(path: Path, _changed: int, _size: int) -> dict[str, Any] | str:
    """Return the document in a file, or what is wrong with it."""
    notebook = path.suffix == ".ipynb"
    try:
        text = path.read_text("utf-8")
        document = json.loads(text) if notebook else yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        return " ".join(str(error).split())
    if not isinstance(document, dict):
        return "it is not a mapping"
    if notebook and not (isinstance(document.get("cells"), list) and document.get("nbformat") == 4):
        return "it is not a notebook of format 4"
    return document


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.replace("\0", "")  # No argument can hold it.
