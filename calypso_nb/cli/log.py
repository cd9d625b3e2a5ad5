"""Where `run-agent` writes what it does: lines with their time on standard error, and in a file."""

from __future__ import annotations

import logging
import logging.handlers
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import orjson

from calypso_nb.visible import visible

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["text", "json"]

log = logging.getLogger("calypso_nb.run_agent")


class _Text(logging.Formatter):
    """A line with nothing in it that a terminal would obey."""

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno <= logging.INFO else f"{record.levelname} "
        return f"{_time(record)} {level}{visible(record.getMessage())}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(record), "level": record.levelname.lower(), "message": record.getMessage()}
        return orjson.dumps(line | getattr(record, "run", {})).decode()


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def logging_to(file: Path | None, level: Level, format: Format) -> Iterator[None]:
    """Have `log` write to standard error, and to a file too, which may be moved away meanwhile.

    Raise OSError if the file can't be written to.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if file is not None:
        handlers.append(logging.handlers.WatchedFileHandler(file, encoding="utf-8"))
    log.setLevel(level.upper())
    log.propagate = False
    for handler in handlers:
        handler.setFormatter(_Json() if format == "json" else _Text())
        log.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            log.removeHandler(handler)
            handler.close()
