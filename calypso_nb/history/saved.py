"""A report as plain JSON values and back: what it holds, from which everything else in it is counted."""

import math
from functools import cache
from typing import Annotated, Any, TypeVar

import pandas as pd
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, create_model

from calypso_nb.frames import TASK_COLUMNS, TIME, tasks_frame
from calypso_nb.team import Snooze, Team, load_team
from calypso_nb.workload.reporter import Workload

# What is measured at a report's own moment is counted again when it is read.
HELD_FIELDS = tuple(
    name for name in TASK_COLUMNS if name not in ("is_open", "age_hours", "hours_since_update")
)

# What its numbers need of a task that a report leaves out; what is not known of it is not written.
CONTEXT_FIELDS = (
    "id", "title", "status", "assigned_to", "priority", "parent_task_id", "blocked_by_task_id",
    "is_currently_blocked", "created_at", "updated_at", "archived_at",
)  # fmt: skip
ALWAYS = ("id", "title", "status")
# What earlier reports don't have.
_NEWER = ("last_comment", "last_sign_at", "last_sign_by", "run_until")

Record = dict[str, Any]
W = TypeVar("W", bound=Workload)

# What a value of each dtype is in JSON.
_JSON_TYPES: dict[str, Any] = {
    "int64": Annotated[int, Field(ge=-(2**63), lt=2**63)],
    "Int64": int | None,
    "boolean": bool | None,
    "str": str | None,
    "object": list[str],
    TIME: str | None,
}


class _Filters(BaseModel):
    status: tuple[str, ...] | None
    agent: tuple[str | None, ...] | None


class _About(BaseModel):
    generated_at: AwareDatetime
    endpoint: str
    details: bool
    filters: _Filters
    team: Team | None = None
    silent_after: dict[str, float] = {}
    pauses: tuple[tuple[AwareDatetime, AwareDatetime], ...] = ()
    snoozes: tuple[Snooze, ...] = ()


@cache
def _saved_report() -> type[Any]:
    fields: dict[str, Any] = {
        name: (_JSON_TYPES[TASK_COLUMNS[name].dtype], None if name in _NEWER else ...) for name in HELD_FIELDS
    }
    task: Any = create_model("Task", __config__=ConfigDict(strict=True), **fields)
    more: dict[str, Any] = {
        name: (kind | None, None) for name, (kind, _) in fields.items() if name not in ALWAYS
    }
    placed: Any = create_model("PlacedTask", position=(int, ...), **more, __base__=task)
    return create_model("SavedReport", tasks=(list[task], ...), context=(list[placed], ...), __base__=_About)


def to_document(data: Workload, whole_context: bool = False) -> Record:
    """Return what a report holds as values that JSON can carry; `from_document` reads it back.

    `tasks` are those of the report, `context` what else was read, each with its `position` in the listing
    and the `CONTEXT_FIELDS`, or all fields if the context is to be whole.
    """
    kept = HELD_FIELDS if whole_context else CONTEXT_FIELDS
    shown = set(data.tasks["id"].tolist())
    tasks, context = [], []
    for position, record in enumerate(all_records(data)):
        if record["id"] in shown:
            tasks.append(record)
        else:
            known = {name: record[name] for name in kept if whole_context or record[name] is not None}
            context.append({"position": position, **known})
    team = data.team.model_dump(mode="json", exclude_defaults=True, exclude={"agents"})
    pauses = [[moment.isoformat() for moment in pause] for pause in data.pauses]
    snoozes = [snooze.model_dump(mode="json", exclude_defaults=True) for snooze in data.snoozes]
    agreed = {"team": team, "silent_after": dict(data.silent_after), "pauses": pauses, "snoozes": snoozes}
    return {**about(data), **agreed, "tasks": tasks, "context": context}


def from_document(document: Any, kind: type[W]) -> W:
    """Return the report that `to_document` was given, as a `kind`; keys that it did not write are ignored.

    Every number is the same again; what was left out of the context is NA. Raise ValueError if the document
    is not a report.
    """
    try:
        saved = _saved_report().model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"not a saved report: {place}: {first['msg']}") from None
    records = list(document["tasks"])
    for record in sorted(document["context"], key=lambda record: record["position"]):
        records.insert(record["position"], record)
    held = [{name: record.get(name) for name in HELD_FIELDS} for record in records]
    all_tasks = tasks_frame(held, saved.generated_at)
    shown = {record["id"] for record in document["tasks"]}
    return kind(
        all_tasks[all_tasks["id"].isin(shown)].reset_index(drop=True),
        all_tasks,
        saved.generated_at,
        saved.endpoint,
        saved.filters.status,
        saved.filters.agent,
        saved.details,
        saved.team or load_team(),
        saved.silent_after,
        saved.pauses,
        saved.snoozes,
    )


def about(data: Workload) -> Record:
    """Return where, when and how a report was made, as values that JSON can carry."""
    return {
        "generated_at": _plain(pd.Timestamp(data.generated_at)),
        "endpoint": data.endpoint,
        "details": data.details,
        "filters": {"status": _plain(data.status_filter), "agent": _plain(data.agent_filter)},
    }


def all_records(data: Workload) -> list[Record]:
    """Return all that was read for a report, one dict per task with its `HELD_FIELDS`, in listing order."""
    return plain_records(data.all_tasks[list(HELD_FIELDS)])


def plain_records(frame: pd.DataFrame) -> list[Record]:
    """Return the rows of a frame as dicts that JSON can carry; NA and infinity are None, times ISO 8601."""
    columns = plain_columns(frame)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def plain_columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Return the columns of a frame as lists of what `plain_records` has in its dicts."""
    return {str(name): _plain_values(values) for name, values in frame.items()}


def _plain_values(values: pd.Series) -> list[Any]:
    if isinstance(values.dtype, pd.DatetimeTZDtype) and not (values.dt.microsecond > 0).any():
        stamps = values.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
        texts = stamps.astype("datetime64[s]").astype("str").tolist()  # A tenth of the time of one by one.
        return [None if text == "NaT" else f"{text}Z" for text in texts]
    if values.dtype.kind == "f":
        values = values.where(values.abs() < math.inf)
    plain = values.astype("object").where(values.notna(), None).tolist()
    if values.dtype == "object" or values.dtype.kind == "M":  # Numbers, texts and truths are plain.
        return [_plain(value) for value in plain]
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return list(value)
    if isinstance(value, pd.Timestamp):
        return value.isoformat().replace("+00:00", "Z")
    return value
