"""A report as text: for a terminal, for programs, for a chat message or an issue, for a spreadsheet."""

from calypso_nb.text.console import difference_to_console, plan_to_console, to_console
from calypso_nb.text.csv import to_csv
from calypso_nb.text.json import difference_to_json, to_json
from calypso_nb.text.markdown import difference_to_markdown, to_markdown
from calypso_nb.text.schema import report_schema

__all__ = [
    "difference_to_console",
    "difference_to_json",
    "difference_to_markdown",
    "plan_to_console",
    "report_schema",
    "to_console",
    "to_csv",
    "to_json",
    "to_markdown",
]
