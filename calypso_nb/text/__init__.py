"""A report as text: for a terminal, for programs, for a chat message or an issue, for a spreadsheet."""
