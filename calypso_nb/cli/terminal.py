"""Where the command line writes: reports to standard output or a file, messages to standard error."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from calypso_nb.files import write_whole
from calypso_nb.visible import visible


def say(message: str) -> None:
    """Write one line to standard error, with nothing in it that a terminal would obey."""
    from calypso_nb.visible import visible

    print(f"calypso-nb: {visible(message)}", file=sys.stderr, flush=True)


def write(text: str, target: Path | None, *, spreadsheet: bool = False) -> bool:
    """Write a text to a file, whole or not at all, or to standard output if `target` is None.

    `spreadsheet` begins the file with the mark by which spreadsheets recognize UTF-8, and writes out what a
    terminal would obey. Return False if nobody
    reads the pipe any more. Raise OSError if the file cannot be written.
    """
    try:
        if target is not None:
            write_whole(text, target, "utf-8-sig" if spreadsheet else "utf-8")
            return True
        if spreadsheet and sys.stdout.isatty():
            text = "\r\n".join(map(visible, text.split("\r\n")))
        # Through the bytes, so that line ends stay and a terminal of another encoding shows what it can.
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode(sys.stdout.encoding, errors="backslashreplace"))
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would try again at exit and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def show(
    told: Any,
    plain: Mapping[str, Callable[[Any], str]],
    console: Callable[[Any, int, bool], str],
    format: str,
    output: Path | None,
    color: bool,
) -> bool:
    """Write what is told in one of the `plain` formats, or else as text for a terminal; return as `write`."""
    if format in plain:
        text = plain[format](told)
    else:
        text = console(told, console_width(output), use_color(color, output))
    return write(text, output)


def use_color(wanted: bool, target: Path | None) -> bool:
    """Return whether to use colours: only if wanted, on a terminal, and without `NO_COLOR`."""
    dull = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return wanted and not dull and target is None and sys.stdout.isatty()


def console_width(target: Path | None) -> int:
    """Return the width to write for: the terminal's, that of `COLUMNS`, or 80 in a file or a pipe."""
    if target is None or os.environ.get("COLUMNS", "").isdecimal():
        return max(shutil.get_terminal_size((80, 24)).columns, 40)
    return 80
