"""An agent's words in an error: shown on a terminal, in a traceback and in a notebook, and obeyed nowhere."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import MCPError
from mcp_types import INVALID_PARAMS
from typer.testing import CliRunner

from calypso_nb import TinytaskAPIError, TinytaskClient, TinytaskConnectionError
from calypso_nb.cli.commands import app
from calypso_nb.embedded import TinytaskStore, create_server
from calypso_nb.wire.faults import fault_of

HOSTILE = "eve\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\r\nTask done"
OBEYED = {"\x1b", "\x07", "\x9b", "\u202e", "\r"}


@pytest.fixture
def refused(store: TinytaskStore) -> Iterator[TinytaskAPIError]:
    """A refusal in which the server names an agent that chose its name for our terminal."""
    store.create_task("one", "lead", assigned_to=HOSTILE)
    with TinytaskClient(create_server(store)) as client, pytest.raises(TinytaskAPIError) as caught:
        client.move_task(1, "alice", "bob", "your turn")
    yield caught.value


def test_no_terminal_obeys_a_servers_words(refused: TinytaskAPIError) -> None:
    """Neither as text nor in a traceback; the reason is the server's own, and its lines are lines."""
    assert "eve" in refused.reason and "\x1b" in refused.reason
    told = traceback.format_exception(refused)
    assert "eve␛]0;owned␇␛[2J<U+009B>31m<U+202E>␍\nTask done" in str(refused)
    assert not OBEYED & set("".join(told))


def test_no_terminal_obeys_what_an_error_stems_from() -> None:
    """A traceback shows the error of the SDK too, with the words that came over the wire."""
    stem = MCPError(INVALID_PARAMS, f"unknown agent {HOSTILE}")
    with pytest.raises(TinytaskConnectionError) as caught:
        try:
            raise stem
        except MCPError as error:
            raise TinytaskConnectionError(f"no TinyTask: {HOSTILE}") from fault_of(error)
    caught.value.__cause__.__cause__ = stem  # type: ignore[union-attr]
    told = "".join(traceback.format_exception(caught.value))
    assert told.count("eve") >= 3
    assert not OBEYED & set(told)


def test_no_notebook_obeys_them_either(refused: TinytaskAPIError) -> None:
    """A cell's output has the colours of IPython's own traceback and nothing else."""
    from IPython.core.ultratb import VerboseTB

    shown = "\n".join(VerboseTB(theme_name="nocolor").structured_traceback(type(refused), refused, None))
    assert "eve␛]0;owned␇" in shown
    assert not OBEYED & set(shown)


def test_the_command_says_it_in_one_line(clean_environment: Path) -> None:
    """A path that cannot be an endpoint is told back as harmlessly."""
    result = CliRunner().invoke(app, ["report", "--mcp-endpoint", f"http://{HOSTILE}"])
    assert result.exit_code == 2
    assert "eve" in result.output and not OBEYED & set(result.output)
    assert len(result.output.splitlines()) == 1, json.dumps(result.output)
