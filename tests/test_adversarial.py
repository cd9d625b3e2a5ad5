"""Texts made to keep a pattern busy: every pattern in the code takes time in proportion to them."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import calypso_nb
from calypso_nb.redaction import redacted, without_secrets
from calypso_nb.text.markdown import code
from calypso_nb.view.notebook_page import CalypsoHTMLExporter
from calypso_nb.visible import visible

# A pattern that is quadratic takes minutes for what these texts ask, and a cubic one years.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

UNITS = [
    *("token-", "token ", 'token="', "'token':", "api_key", "x=", "secret=&quot;", '\\"token\\": \\"'),
    *(
        "a",
        "a.",
        "a-",
        "/a",
        "0",
        "0e",
        "+",
        " ",
        "\t",
        "\n",
        ".",
        ",",
        "\\",
        "\\\\|",
        "`",
        "|",
        "'",
        '"',
        "…",
    ),
    *("://", "://u:", "http://u", "file:/", "file:///a", "~/", "/home/", "/home/a/", "C:\\Users\\a\\", "@"),
    *(
        "Bearer ",
        "Basic a",
        "sk-",
        "ghp_",
        "eyJ",
        "eyJ-",
        "eyJaaaaaaaa.",
        "AKIA0",
        "very-own-sec",
        "very-own-secret",
    ),
    *(
        "<",
        "<meta",
        "< ",
        "</",
        "<h1 ",
        '<h1 id="a">',
        ' id="a"',
        '<h1 id="',
        "&",
        "&quot;",
        "&#0",
        "#",
        "# ",
        "# a\n",
        "{",
    ),
    *(
        "\x1b[",
        "\x1b[m",
        "\x1b[0;",
        "\x1b",
        "\x00",
        "\u202e",
        "\U0001f3fb",
        "failed:1",
        "Lease 0123456789ab of 1 s, sign ",
    ),
]
FUNCTIONS = {"compile", "sub", "subn", "search", "match", "fullmatch", "findall", "finditer", "split"}


def modules() -> Iterator[Any]:
    for found in pkgutil.walk_packages(calypso_nb.__path__, "calypso_nb."):
        if found.name != "calypso_nb.__main__":
            yield importlib.import_module(found.name)


def compiled(value: Any) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from compiled(part)


def patterns() -> list[re.Pattern[str]]:
    """Return each pattern that a module keeps, and each that stands as a text in a call of `re`."""
    found: set[re.Pattern[str]] = set()
    for module in modules():
        for value in vars(module).values():
            found |= set(compiled(value))
        for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="re"), attr=name),
                    args=[ast.Constant(value=str(text)), *_],
                ) if name in FUNCTIONS:
                    flags = re.MULTILINE if text.startswith("^") else 0
                    found.add(re.compile(text, flags))
    return sorted(found, key=lambda pattern: pattern.pattern)


def long(unit: str, length: int) -> str:
    return unit * (length // len(unit))


def test_every_pattern_in_the_code_is_found_by_this_test() -> None:
    """Those that are kept, those in lists of pairs, and those that stand in a call."""
    found = {pattern.pattern for pattern in patterns()}
    assert len(found) > 25
    for part in ("eyJ", "anchor-link", "Lease ", "failed:", "<[^<>]+>"):
        assert any(part in pattern for pattern in found), part


@pytest.mark.parametrize("pattern", patterns(), ids=lambda pattern: pattern.pattern[:40])
def test_no_text_keeps_a_pattern_busy(pattern: re.Pattern[str]) -> None:
    """Whatever is repeated, and whatever stands before it or ends it."""
    for unit, (start, end) in product(UNITS, [("", "!"), ("token=", "\x07"), ("<h1 title='", "'>x</h1>")]):
        pattern.sub("", start + long(unit, 100_000) + end)


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS)
def test_a_megabyte_of_anything_is_redacted_in_seconds(unit: str) -> None:
    """With secrets and folders, which make patterns of their own."""
    text = long(unit, 1_000_000)
    redacted(text, ["very-own-secret", "p&s\\s\N{OWL}"], ["/home/a", "/elsewhere"])
    without_secrets(text, ["very-own-secret"])


@pytest.mark.parametrize("unit", UNITS)
def test_no_text_keeps_a_table_busy(unit: str) -> None:
    """As a title in Markdown, which escapes it."""
    code(long(unit, 100_000))
    visible(long(unit, 100_000))


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS)
def test_no_text_in_an_output_keeps_an_export_busy(unit: str) -> None:
    """As text, as HTML and as an error; Markdown is for nbconvert to read."""
    text = long(unit, 200_000)
    cell = new_code_cell("x")
    shown = new_output("display_data", data={"text/html": text})
    error = new_output("error", ename="E", evalue=text, traceback=[text])
    cell.outputs = [new_output("stream", name="stdout", text=text), shown, error]
    notebook = new_notebook()
    notebook.cells = [new_markdown_cell("# Title"), cell]
    page, _ = CalypsoHTMLExporter().from_notebook_node(nbformat.from_dict(notebook))
    assert "<title>Title</title>" in page
