"""Histories of many servers as Parquet: written by one recorder each, read by DuckDB, one server at a time.

`FOLDER/events/server=…/month=…/`, `FOLDER/observations/server=…/` and `FOLDER/notes/server=…/` hold what the
tables of a history's file hold, each value as text. The extra `lake` brings DuckDB and PyArrow.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote

import orjson
import pandas as pd

from calypso_nb.errors import UsageError
from calypso_nb.history.changes import TIMES
from calypso_nb.history.store import HistoryStore
from calypso_nb.settings import Endpoint

_BATCH = 50_000
_MEMORY = Path(":memory:")
_EVENT = (
    "id", "task_id", "field", "old", "new", "not_before", "not_after", "seen", "pushed", "by", "observation",
)  # fmt: skip
_OBSERVATION = (
    "id", "source", "began", "until", "last", "ended", "looks", "ok", "tasks", "pushed", "error", "every",
)  # fmt: skip
_NOTE = ("comment_id", "task_id", "at", "by", "text", "gone")
_COLUMNS = {"event": _EVENT, "observation": _OBSERVATION, "note": _NOTE}
_WHOLE = {
    "id",
    "task_id",
    "not_before",
    "not_after",
    "seen",
    "pushed",
    "observation",
    "epoch",
    "says_blocked",
}
_WHOLE |= {"began", "until", "last", "ended", "looks", "ok", "tasks", "every", "comment_id", "at", "gone"}
# Fields whose values are numbers, which are text in a column that has both.
_NUMBERS = ("priority", "parent_task_id", "blocked_by_task_id")


def export_parquet(store: HistoryStore, folder: str | os.PathLike[str]) -> list[str]:
    """Write each server as Parquet, over what it has there, and return a line for each.

    All is of one moment, whatever a recorder writes meanwhile; if it fails, what was there before stays.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    with ExitStack() as leaving:
        if store.path != _MEMORY:  # A connection of its own holds up nobody.
            store = leaving.enter_context(HistoryStore(store.path))
        draft = Path(leaving.enter_context(TemporaryDirectory(prefix=".export-", dir=place)))
        with store.snapshot():
            servers = store.rows("SELECT id, name, epoch, says_blocked FROM server ORDER BY name, epoch")
            lines = [
                f"{name}{'' if epoch == 1 else f', epoch {epoch}'}:"
                f" {store.scalar('SELECT count(*) FROM event WHERE server = ?', server):,} events in {folder}"
                for server, name, epoch, _ in servers
            ]
            for table in _COLUMNS:
                _write(store, table, servers, draft / f"{table}s")
        for table in _COLUMNS:
            _replace(place / f"{table}s", draft / f"{table}s", {name for _, name, _, _ in servers}, draft)
    return lines


def _write(store: HistoryStore, table: str, servers: list[tuple[Any, ...]], place: Path) -> None:
    # Each part is read here and then written: PyArrow would read from a thread of its own.
    import pyarrow as pa
    import pyarrow.dataset as ds

    keys = ("server", "month") if table == "event" else ("server",)
    names = [*keys, "epoch", "says_blocked", *_COLUMNS[table]]
    schema = pa.schema([(name, pa.int64() if name in _WHOLE else pa.string()) for name in names])
    for server, name, epoch, says_blocked in servers:
        for number, rows in enumerate(_rows(store, table, server)):
            frame = pd.DataFrame(rows, columns=_COLUMNS[table], dtype="object")
            frame = frame.assign(server=name, epoch=epoch, says_blocked=says_blocked)
            if table == "event":
                stamps = pd.to_datetime(frame["not_after"].astype("int64"), unit="us")
                frame["month"] = stamps.dt.strftime("%Y-%m")
                for value in ("old", "new"):
                    frame[value] = frame[value].map(str, na_action="ignore")
            ds.write_dataset(
                pa.RecordBatch.from_pandas(frame[names], schema=schema, preserve_index=False),
                place,
                format="parquet",
                basename_template=f"part-{epoch}-{number}-{{i}}.parquet",
                partitioning=ds.partitioning(schema.empty_table().select(keys).schema, flavor="hive"),
                existing_data_behavior="overwrite_or_ignore",
            )


def _replace(place: Path, written: Path, servers: set[str], aside: Path) -> None:
    """Let a folder have of some servers what was written; a month that was forgotten since goes."""
    for number, old in enumerate([*place.glob("server=*")]):
        if unquote(old.name.removeprefix("server=")) in servers:
            old.rename(aside / f"{place.name} {number}")
    for new in written.glob("server=*"):
        place.mkdir(exist_ok=True)
        new.rename(place / new.name)
    with suppress(OSError):  # It has others, or is not there.
        place.rmdir()


def _rows(store: HistoryStore, table: str, server: int) -> Iterator[list[tuple[Any, ...]]]:
    columns = _COLUMNS[table]
    last = -(2**63)
    while rows := store.rows(
        f"SELECT {', '.join(columns)} FROM {table} WHERE server = ? AND {columns[0]} > ?"
        f" ORDER BY {columns[0]} LIMIT {_BATCH}",
        server, last,
    ):  # fmt: skip
        yield rows
        last = rows[-1][0]


def named(server: str, known: Iterable[str]) -> list[str]:
    """Return the known names that mean a server: its own, or else the same address written otherwise."""
    names = [*known]
    address = Endpoint(server)
    if server in names or not address.is_url:
        return [server] if server in names else []
    return [name for name in names if Endpoint(name).is_url and Endpoint(name).mcp == address.mcp]


def servers_of(folder: Path) -> list[str]:
    """Return the servers that have a history in a folder."""
    rows = _asked(folder, "SELECT DISTINCT server FROM observations ORDER BY server")
    return [name for (name,) in rows]


def store_of(folder: Path, server: str | None) -> HistoryStore:
    """Return what a folder has of one server, by default of its only one, as a history in memory."""
    known = servers_of(folder)
    meant = known if server is None else named(server, known)
    chosen = meant[0] if len(meant) == 1 else None
    store = HistoryStore(None)
    epochs: dict[int, int] = {}
    others = []
    for name, epoch, says_blocked, began, ended in _asked(
        folder,
        "SELECT server, epoch, max(says_blocked), min(began), max(ended) FROM observations WHERE ok = 1"
        " GROUP BY ALL ORDER BY server, epoch",
    ):
        number = store.server(name, began, anew=True)
        store.write("UPDATE server SET epoch = ?, says_blocked = ? WHERE id = ?", epoch, says_blocked, number)
        if name == chosen:
            epochs[epoch] = number
        else:
            others.append((number, began, ended))
    if chosen in known:
        for table, columns in _COLUMNS.items():
            if not (folder / f"{table}s").is_dir():  # Of a board without tasks, say.
                continue
            rows = _asked(
                folder,
                f"SELECT epoch, COLUMNS({list(columns)}) FROM {table}s WHERE server = ?"
                f" ORDER BY epoch, {columns[0]}",
                chosen,
            )
            store.fill(table, columns, ((epochs[epoch], *_typed(table, row)) for epoch, *row in rows))
        store.fill_state(epochs[max(epochs)])
    for number, began, ended in others:  # Only when they were recorded.
        store.observe(number, began, ended, source="listing", every=0)
    return store


def _typed(table: str, row: list[Any]) -> list[Any]:
    if table == "event" and row[2] in _NUMBERS:
        row[3:5] = [value if value is None else orjson.loads(value) for value in row[3:5]]
    if table == "event" and row[2] in TIMES:
        row[3:5] = [int(value) if str(value).removeprefix("-").isdecimal() else value for value in row[3:5]]
    return row


def _asked(folder: Path, sql: str, *values: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a query over `events`, `observations` and `notes`, some at a time."""
    import duckdb

    if not (folder / "observations").is_dir():
        raise UsageError(f"{folder} has no history: `calypso-nb history export` writes one")
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")  # It would go to standard output.
        for table in _COLUMNS:
            if not (folder / f"{table}s").is_dir():
                continue
            files = str(folder / f"{table}s" / "**" / "*.parquet").replace("'", "''")
            connection.execute(
                f"CREATE VIEW {table}s AS SELECT * FROM read_parquet('{files}', hive_partitioning = true,"
                " hive_types_autocast = false)"
            )
        found = connection.execute(sql, values)
        while rows := found.fetchmany(_BATCH):
            yield from rows


def each_of(
    open_history: Callable[[str], Any],
    servers: Sequence[str],
    function: Callable[[Any], pd.DataFrame],
    dask: str | None = None,
) -> pd.DataFrame:
    """Return what a function makes of each server's history, one under the other, with a column `server`.

    - open_history: returns the history of a server
    - dask: the address of a cluster that does it, whose workers have the folder; by default this process
    """

    def of(server: str) -> pd.DataFrame:
        history = open_history(server)
        try:
            frame = function(history)
        finally:
            history.close()
        return frame.assign(server=server)

    if dask is None:
        frames = [of(server) for server in servers]
    else:
        from distributed import Client

        with Client(dask) as cluster:
            frames = cluster.gather(cluster.map(of, servers, pure=False))
    both = pd.concat(frames, ignore_index=True)
    return both[["server", *both.columns.drop("server")]]
