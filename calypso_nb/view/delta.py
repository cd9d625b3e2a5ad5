"""What has changed between two payloads, for a browser that has the first: see `browser/src/delta.js`."""

from collections.abc import Mapping, Sequence
from typing import Any

Columns = Mapping[str, Sequence[Any]]
Payload = Mapping[str, Any]

# The parts that are tables, and what their rows are known by; of all else, what differs is sent whole.
_KEYS = {"rows": ("id",), "attention": ("about", "of", "id"), "snoozed": ("about", "of", "id")}
# What passing time alone changes in them.
_AGEING = {"meta": {"generated_at"}, "attention": {"since", "evidence"}, "snoozed": {"since", "evidence"}}


def payload_change(before: Payload, after: Payload) -> dict[str, Any]:
    """Return what has changed between two results of `view_payload`.

    - tables: of each table that differs, `kept`, which of the rows of before stand where, as runs of a first
      place and a number, with -1 for rows that are new; and `changed`, the columns with other values, as the
      places and the values
    - parts: what else differs, whole
    - aged: whether nothing has happened but that time has passed
    """
    tables = {
        name: _table_change(_columns(before[name]), _columns(after[name]), key) for name, key in _KEYS.items()
    }
    parts = {name: after[name] for name in after.keys() - _KEYS.keys() if after[name] != before.get(name)}
    changes = {name: change for name, change in tables.items() if change is not None}
    return {"tables": changes, "parts": parts, "aged": _only_aged(changes, parts, before)}


def _only_aged(tables: Mapping[str, Any], parts: Payload, before: Payload) -> bool:
    meta = {**parts.get("meta", {}), **dict.fromkeys(_AGEING["meta"])}
    return (
        parts.keys() <= {"meta", "attention_head"}
        and ("meta" not in parts or meta == {**before["meta"], **dict.fromkeys(_AGEING["meta"])})
        and all(
            change["changed"].keys() <= _AGEING.get(name, set()) and change["kept"] == _all(before[name])
            for name, change in tables.items()
        )
    )


def _columns(table: Columns | Sequence[Mapping[str, Any]]) -> Columns:
    """Return a table as columns, which may be a list of objects that have the same fields."""
    if isinstance(table, Mapping):
        return table
    return {name: [line[name] for line in table] for name in (table[0] if table else ())}


def _table_change(before: Columns, after: Columns, key: Sequence[str]) -> dict[str, Any] | None:
    if before == after:
        return None
    places = {row: place for place, row in enumerate(_rows(before, key))}
    kept = [places.get(row, -1) for row in _rows(after, key)]
    changed = {}
    for name, values in after.items():
        was = before.get(name, ())
        at = [
            here
            for here, (place, value) in enumerate(zip(kept, values, strict=True))
            if place < 0 or was[place] != value
        ]
        if at:
            changed[name] = [at, [values[here] for here in at]]
    return {"kept": _runs(kept), "changed": changed}


def _rows(columns: Columns, key: Sequence[str]) -> list[tuple[Any, ...]]:
    return [*zip(*(columns.get(name, ()) for name in key), strict=True)]


def _all(table: Any) -> list[list[int]]:
    return _runs([*range(len(_rows(_columns(table), ["id"])))])


def _runs(places: Sequence[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for place in places:
        if runs and place == (-1 if runs[-1][0] < 0 else sum(runs[-1])):
            runs[-1][1] += 1
        else:
            runs.append([place, 1])
    return runs
