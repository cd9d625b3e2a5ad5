"""Recipes: which one a task gets, what is refused, and what is executed."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

from calypso_nb.records import Task
from calypso_nb.scheduler.recipes import RecipeError, choose_recipe, command_for, read_recipes

TASK = Task.from_record(
    {
        "id": 7,
        "title": "$(touch pwned); rm -rf ~ `id` && echo 'x\"\n--params",
        "description": None,
        "status": "idle",
        "tags": ["ünï"],
        "priority": 2,
        "created_at": "2026-11-23T09:20:08Z",
        "comments": [{"id": 1, "task_id": 7, "content": "look"}],
    }
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a recipe of every kind, and things that are none."""
    folder = tmp_path / "recipes"
    folder.mkdir()
    for name in ("default.py", "alice.py", "dev.py", "build.py", "README.md", ".hidden.py"):
        (folder / name).write_text("print('hello')")
    (folder / "tool.sh").write_text("#!/bin/sh\n")
    (folder / "tool.sh").chmod(0o755)
    (folder / "review.yaml").write_text("title: review\nparameters:\n- key: title\n- key: unknown\n")
    notebook = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    nbformat.write(notebook, folder / "report.ipynb")  # type: ignore[no-untyped-call]
    (folder / "below").mkdir()
    return folder


@pytest.fixture
def goose(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in for goose on the PATH."""
    monkeypatch.setenv("PATH", f"{Path(__file__).parent}:{os.environ['PATH']}")


@pytest.fixture
def no_goose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A PATH without goose."""
    monkeypatch.setenv("PATH", str(tmp_path))


def test_a_recipe_is_a_file_called_by_its_name(folder: Path, goose: None) -> None:
    """Its ending tells its kind; what is hidden, below or not executable is none."""
    recipes = read_recipes(folder)
    assert {name: recipe.kind for name, recipe in recipes.items()} == {
        "alice": "program",
        "build": "program",
        "default": "program",
        "dev": "program",
        "report": "notebook",
        "review": "goose",
        "tool": "executable",
    }
    assert all(recipe.fault is None for recipe in recipes.values())


@pytest.mark.parametrize(
    ("tags", "agent", "queues", "own", "chosen"),
    [
        (("urgent", "recipe:build"), "alice", ("dev",), None, "build"),
        ((), "alice", ("dev",), None, "alice"),
        ((), "alice", ("dev",), "tool", "tool"),
        ((), "bob", ("docs", "dev"), None, "dev"),
        ((), "bob", (), None, "default"),
    ],
    ids=["tag", "agent", "agent's entry", "queue", "default"],
)
def test_the_tag_comes_before_the_agent_the_queue_and_the_default(
    folder: Path, tags: tuple[str, ...], agent: str, queues: tuple[str, ...], own: str | None, chosen: str
) -> None:
    """The first of these that there is, is taken."""
    assert choose_recipe(read_recipes(folder), tags, agent, queues, own).name == chosen


@pytest.mark.parametrize(
    "name",
    ["../secret", "/etc/passwd", "below/x", "..", ".hidden", "nothing", "build.py", "", "a\0b", "$(id)"],
)
def test_a_tag_leads_to_no_file_but_a_recipe(folder: Path, name: str) -> None:
    """A name is only ever compared with the names of the recipes, and nothing else is tried instead."""
    with pytest.raises(RecipeError) as error:
        choose_recipe(read_recipes(folder), (f"recipe:{name}",), "alice", ("dev",))
    assert str(error.value) == f"no recipe {name!r}, which its tag asks for"


def test_what_cannot_be_decided_is_said(folder: Path) -> None:
    """Two tags, no recipe at all, and an agent's own that is missing."""
    recipes = read_recipes(folder)
    with pytest.raises(RecipeError, match="its tags ask for 2 recipes: 'a', 'b'"):
        choose_recipe(recipes, ("recipe:b", "recipe:a"), "alice", ("dev",))
    with pytest.raises(RecipeError, match="no recipe 'gone', which agent alice should use"):
        choose_recipe(recipes, (), "alice", ("dev",), "gone")
    with pytest.raises(RecipeError, match=r"^no recipe for agent bob$"):
        choose_recipe({}, (), "bob")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """There is no working without one."""
    with pytest.raises(RecipeError, match=r"the recipes folder \S+/none cannot be read: No such file"):
        read_recipes(tmp_path / "none")


def fault(folder: Path, name: str) -> str:
    with pytest.raises(RecipeError) as error:
        choose_recipe(read_recipes(folder), (f"recipe:{name}",), "alice")
    return str(error.value)


def test_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    """Wherever it is, and whether there is something; a link within the folder is fine."""
    (tmp_path / "secret.py").write_text("")
    (folder / "out.py").symlink_to(tmp_path / "secret.py")
    (folder / "none.py").symlink_to(folder / "missing.py")
    (folder / "within.py").symlink_to(folder / "build.py")
    assert fault(folder, "out") == "recipe out.py is a link out of the recipes folder"
    assert fault(folder, "none") == "recipe none.py is not a file"
    assert choose_recipe(read_recipes(folder), ("recipe:within",), "alice").name == "within"


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("x.ipynb", "{", "recipe x.ipynb does not parse: Expecting property name"),
        ("x.ipynb", "[" * 100_000, "recipe x.ipynb does not parse: maximum recursion depth"),
        ("x.ipynb", "[]", "recipe x.ipynb does not parse: it is not a mapping"),
        ("x.ipynb", '{"cells": 1, "nbformat": 4}', "it is not a notebook of format 4"),
        ("x.ipynb", '{"worksheets": [], "nbformat": 3}', "it is not a notebook of format 4"),
        ("x.yaml", "a: [", "recipe x.yaml does not parse: while parsing"),
        ("x.yaml", "just words", "recipe x.yaml does not parse: it is not a mapping"),
        ("x.yaml", b"\xff\xfe\x00", "recipe x.yaml does not parse"),
    ],
)
def test_a_file_that_does_not_parse_is_no_recipe(
    folder: Path, goose: None, file: str, text: str | bytes, message: str
) -> None:
    """It is told in the plan, before anything is run; mended, it is one."""
    (folder / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert message in fault(folder, "x")
    good = '{"cells": [], "nbformat": 4}' if file == "x.ipynb" else "title: good"
    (folder / file).write_text(good)
    assert read_recipes(folder)["x"].fault is None


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("x.ipynb", '{"cells": [], "nbformat": 4, "metadata": "none"}'),
        ("x.ipynb", '{"cells": [], "nbformat": 4, "metadata": {"kernelspec": [], "language_info": 1}}'),
        ("x.yaml", "parameters: 5"),
        ("x.yaml", "parameters: {title: text}"),
    ],
)
def test_what_a_recipe_tells_in_an_unknown_way_is_as_if_it_told_nothing(
    folder: Path, goose: None, tmp_path: Path, file: str, text: str
) -> None:
    """Papermill and goose have the last word on it: its run fails, and no scheduler does."""
    (folder / file).write_text(text)
    command = command_for(read_recipes(folder)["x"], TASK, "http://x", "alice", tmp_path)
    assert json.loads(command.stdin or '{"kernel_name": "python3"}')["kernel_name"] == "python3"
    assert "--params" not in command.arguments


def test_two_files_of_one_name_are_no_recipe(folder: Path) -> None:
    """Which one is meant cannot be known."""
    (folder / "build.ipynb").write_text("{}")
    assert fault(folder, "build") == "two recipes are called 'build': build.ipynb and build.py"


def test_where_goose_is_not_installed_its_recipes_say_so(folder: Path, no_goose: None) -> None:
    """A goose recipe without goose is a clear error, not a failed run."""
    assert fault(folder, "review") == (
        "recipe review.yaml needs goose, which is not installed here (no `goose` on the PATH)"
    )


def test_a_program_gets_the_task_as_json_and_who_and_where_in_its_environment(
    folder: Path, tmp_path: Path, clean_environment: Path
) -> None:
    """The title is data, whatever it says: no argument and no shell ever sees it."""
    for name in ("build", "tool"):
        recipe = read_recipes(folder)[name]
        command = command_for(recipe, TASK, "http://localhost:3000", "alice", tmp_path)
        assert command.arguments[-1] == str(recipe.path)
        assert json.loads(command.stdin)["title"] == TASK.title
        assert json.loads(command.stdin)["comments"][0]["content"] == "look"
        told = {name: text for name, text in command.environment.items() if name.startswith("TINYTASK_")}
        told.pop("TINYTASK_CONFIG_PATH")  # The tests' own.
        assert told == {
            "TINYTASK_ENDPOINT": "http://localhost:3000",
            "TINYTASK_TASK_ID": "7",
            "TINYTASK_AGENT": "alice",
        }


def test_goose_gets_the_parameters_that_its_recipe_declares(
    folder: Path, tmp_path: Path, goose: None, clean_environment: Path
) -> None:
    """Each is one argument, however it looks."""
    task = replace(TASK, title=TASK.title + "\0")
    command = command_for(read_recipes(folder)["review"], task, "http://x", "alice", tmp_path)
    goose_path, *arguments = command.arguments
    assert goose_path == str(Path(__file__).parent / "goose")
    assert arguments == ["run", "--recipe", str(folder / "review.yaml"), "--params", f"title={TASK.title}"]


def test_a_notebook_gets_the_fields_of_the_task_the_endpoint_and_the_agent(
    folder: Path, tmp_path: Path
) -> None:
    """Papermill gets them as they are; the executed notebook lies in the run's folder."""
    command = command_for(read_recipes(folder)["report"], TASK, "http://x", "alice", tmp_path)
    call = json.loads(command.stdin)
    assert command.notebook == tmp_path / "report.ipynb"
    assert call["output_path"] == str(command.notebook)
    parameters = call["parameters"]
    assert (parameters["task_id"], parameters["title"], parameters["tags"]) == (7, TASK.title, ["ünï"])
    assert (parameters["endpoint"], parameters["agent"]) == ("http://x", "alice")
    assert call["kernel_name"] == "python3"


def test_the_password_of_the_environments_endpoint_reaches_the_run_and_nothing_else(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run works with the same server as its scheduler; what is saved holds no credentials."""
    monkeypatch.setenv("TINYTASK_ENDPOINT", "http://me:secret@host:3000")
    command = command_for(read_recipes(folder)["report"], TASK, "http://host:3000", "alice", tmp_path)
    assert command.environment["TINYTASK_ENDPOINT"] == "http://me:secret@host:3000"
    assert b"secret" not in command.stdin
    elsewhere = command_for(read_recipes(folder)["report"], TASK, "http://other:3000", "alice", tmp_path)
    assert elsewhere.environment["TINYTASK_ENDPOINT"] == "http://other:3000"


def test_the_password_of_a_dotenv_file_reaches_the_run_too(
    folder: Path, tmp_path: Path, clean_environment: Path
) -> None:
    """The client reads that file, so its runs must not be sent to the same server without it."""
    (clean_environment / ".env").write_text("TINYTASK_ENDPOINT=http://me:secret@host:3000\n")
    command = command_for(read_recipes(folder)["build"], TASK, "http://host:3000", "alice", tmp_path)
    assert command.environment["TINYTASK_ENDPOINT"] == "http://me:secret@host:3000"


def test_a_recipe_that_has_a_fault_is_not_executed_either(folder: Path, tmp_path: Path) -> None:
    """What changed between plan and run is seen."""
    recipe = replace(read_recipes(folder)["build"], fault="recipe build.py is a link out")
    with pytest.raises(RecipeError, match="a link out"):
        command_for(recipe, TASK, "http://x", "alice", tmp_path)
