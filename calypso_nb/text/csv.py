"""Tasks as CSV that a spreadsheet opens without running anything, and that reads back as it was.

A text gets an apostrophe before each place where a spreadsheet might see a formula: a `=`, `+`, `-`, `@` or
the like at its start, or after what some spreadsheets split cells at. An apostrophe that was there already
gets one as well, so that taking one away from each such place gives the text back. An empty text is a lone
apostrophe, and an empty cell is NA.
"""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pandas as pd

from calypso_nb.frames import TASK_COLUMNS, TIME, records_to_frame
from calypso_nb.workload.saved import plain_records

__all__ = ["from_csv", "to_csv"]

# A cell's start: that of the text, and whatever follows a character that can end a cell.
_START = r"(?:\A|(?<=[,;|\"\t\r\n]))"
_FORMULA = re.compile(_START + r"(?=['=+\-@\t\r\n\0\uff1d\uff0b\uff0d\uff20])")
_ESCAPED = re.compile(_START + "'")


def to_csv(tasks: pd.DataFrame) -> str:
    """A frame of tasks as CSV (RFC 4180): a header, then a line a task, tags as a JSON list, times in UTC.

    `tasks` has the columns of `TASK_COLUMNS`. `from_csv` reads it back.
    Example: `Path("tasks.csv").write_text(to_csv(data.tasks), "utf-8-sig")`
    """
    target = io.StringIO(newline="")
    writer = csv.writer(target)
    writer.writerow(tasks.columns)
    writer.writerows([_cell(value) for value in record.values()] for record in plain_records(tasks))
    return target.getvalue()


def from_csv(text: str) -> pd.DataFrame:
    """The frame that `to_csv` was given, with the columns and dtypes of `TASK_COLUMNS`.

    Raises ValueError where a column is missing or a value cannot be what its column says.
    Example: `from_csv(Path("tasks.csv").read_text("utf-8-sig"))`
    """
    limit = csv.field_size_limit(max(len(text), 1))  # A description has no limit, a cell of csv's has.
    try:
        rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    except csv.Error as error:
        raise ValueError(f"not a CSV of tasks: {error}") from error
    finally:
        csv.field_size_limit(limit)
    return records_to_frame(
        [{name: _value(row, name) for name in TASK_COLUMNS} for row in rows], TASK_COLUMNS
    )


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        value = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, str):
        return value
    return _FORMULA.sub("'", value) or "'"


def _value(row: dict[str, Any], name: str) -> Any:
    dtype, cell = TASK_COLUMNS[name].dtype, row.get(name)
    if cell is None:
        raise ValueError(f"not a CSV of tasks: a line has no {name}")
    if cell == "":
        return None
    if dtype == "str":
        return _ESCAPED.sub("", cell)
    if dtype == "object":
        return json.loads(_ESCAPED.sub("", cell))
    if dtype in ("bool", "boolean"):
        if cell.lower() not in ("true", "false"):  # A spreadsheet writes TRUE.
            raise ValueError(f"not a CSV of tasks: {name} is {cell!r}, not True or False")
        return cell.lower() == "true"
    if dtype == TIME:
        return cell
    return float(cell) if dtype == "float64" else int(cell)
