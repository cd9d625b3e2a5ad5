"""Where the command line writes: formats to standard output or a file, all else to standard error."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from calypso_nb.files import write_whole

__all__ = ["console_width", "say", "use_color", "write"]


def say(message: str) -> None:
    """One line for the person at the terminal, on standard error, with nothing in it that a terminal obeys.

    Example: `say("reading http://localhost:3000")`
    """
    from calypso_nb.text.visible import visible

    print(f"calypso-nb: {visible(message)}", file=sys.stderr, flush=True)


def write(text: str, target: Path | None, *, spreadsheet: bool = False) -> None:
    """Write a text to a file, with the folders that it needs, or to standard output where `target` is None.

    The file appears whole or not at all; `spreadsheet` starts it with the mark by which those know UTF-8.
    Raises OSError where a file cannot be written, and BrokenPipeError where the reader has left a pipe.
    Example: `write(to_json(data), Path("reports/today.json"))`
    """
    if target is None:
        _write_out(text)
        return
    write_whole(text, target, "utf-8-sig" if spreadsheet else "utf-8")


def use_color(wanted: bool, target: Path | None) -> bool:
    """Whether to colour what is written: only where wanted, on a terminal, and without `NO_COLOR`.

    Example: `use_color(not no_color, output)`
    """
    dull = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return wanted and not dull and target is None and sys.stdout.isatty()


def console_width(target: Path | None) -> int:
    """How many columns to write for: the terminal's, those of `COLUMNS`, 80 in a file or a pipe.

    Example: `console_width(None)`
    """
    if target is None or os.environ.get("COLUMNS", "").isdecimal():
        return max(shutil.get_terminal_size((80, 24)).columns, 40)
    return 80


def _write_out(text: str) -> None:
    # Through the bytes, so that line ends stay and a terminal of another encoding shows what it can.
    sys.stdout.flush()
    try:
        sys.stdout.buffer.write(text.encode(sys.stdout.encoding, errors="backslashreplace"))
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would try again at exit and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise
