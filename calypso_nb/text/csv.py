"""Tasks as CSV that a spreadsheet opens without running anything.

A text gets an apostrophe before each place where a spreadsheet might see a formula: a `=`, `+`, `-`, `@` or
the like at its start, or after what some spreadsheets split cells at. An apostrophe that was there already
gets one as well, so that taking one away from each such place gives the text back. An empty text is a lone
apostrophe, and an empty cell is NA.
"""

import csv
import io
import json
import re
from typing import Any

import pandas as pd

from calypso_nb.history.saved import plain_records

# A cell's start: that of the text, and whatever follows a character that can end a cell.
_START = r"(?:\A|(?<=[,;|\"\t\r\n]))"
_FORMULA = re.compile(_START + r"(?=['=+\-@\t\r\n\0\uff1d\uff0b\uff0d\uff20])")


def to_csv(tasks: pd.DataFrame) -> str:
    """Return a frame of tasks as CSV (RFC 4180): a header, a line per task, tags as JSON, times in UTC."""
    target = io.StringIO(newline="")
    writer = csv.writer(target)
    writer.writerow(tasks.columns)
    writer.writerows([_cell(value) for value in record.values()] for record in plain_records(tasks))
    return target.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        value = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, str):
        return value
    return _FORMULA.sub("'", value) or "'"
