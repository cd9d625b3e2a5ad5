"""What a browser is sent of a workload, as a dict that JSON can carry."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

import pandas as pd

from calypso_nb.frames import AGE_BUCKETS, OPEN_STATUSES
from calypso_nb.history.saved import plain_columns
from calypso_nb.settings import Endpoint
from calypso_nb.view.charts import blocking_chart, chart_specs, work_item_age_chart
from calypso_nb.view.rows import NO_FILTER, task_rows
from calypso_nb.workload.phrases import UNASSIGNED, held_since, or_unknown, readable_hours
from calypso_nb.workload.reporter import Workload

_INDENT = "\N{NO-BREAK SPACE}" * 3
_GROUP_COUNTS = ("open", "idle", "working", "blocked", "unassigned")
_TREE_HEADS = ("parent", "title", "agent", "leaves", "complete", "progress")


def view_payload(
    data: Workload, title: str = "Workload", counted_at: datetime | None = None
) -> dict[str, Any]:
    """Return what `mount` of `browser/src/view.js` shows.

    - meta: where the data are from, and when comments and links were counted if not with all else
    - filter: what to show at first: open tasks, unless the report's own status filter asked for others
    - ages: the names of age buckets in their order
    - rows: the columns of `task_rows`
    - charts: specs without rows
    - attention: a row per task and reason, which the view's filter narrows
    - sections: charts and tables about all tasks of the report, whatever the filter
    """
    rows = task_rows(data.tasks)
    is_open = rows["is_open"]
    filter = dict(NO_FILTER)
    if data.status_filter is None and is_open.any() and not is_open.all():
        filter["statuses"] = list(OPEN_STATUSES)
    meta = {
        "title": title,
        "endpoint": _source(data),
        "generated_at": data.generated_at.isoformat(),
        "filters": data.filters_text(),
        "counted_at": None,
    }
    if counted_at not in (None, data.generated_at):
        meta["counted_at"] = counted_at.isoformat()
    working = data.tasks[data.tasks["status"] == "working"]
    unknown_age = bool((is_open & (rows["age_bucket"] == "unknown")).any())
    return {
        "meta": meta,
        "filter": filter,
        "ages": [*AGE_BUCKETS, "unknown"],
        "rows": plain_columns(rows),
        "charts": [chart._asdict() for chart in chart_specs(unknown_age)],
        "attention": _attention(data),
        "sections": {
            "charts": [
                _chart("blocking", "Who blocks whom", blocking_chart, data.blocking, "No task is blocked"),
                _chart("ages", "Work item age", work_item_age_chart, working, "No task is being worked on"),
            ],
            "tables": [_groups("Queues", data.queues), _groups("Tags", data.tags), _parents(data.tree)],
        },
    }


def _source(data: Workload) -> str:
    """Return where the data are from; a file is named without its folders."""
    if Endpoint(data.endpoint).is_url:
        return data.endpoint
    return re.split(r"[/\\]", data.endpoint)[-1]


def _chart(
    id: str, title: str, draw: Callable[[pd.DataFrame], Any], rows: pd.DataFrame, nothing: str
) -> dict[str, Any]:
    if rows.empty:
        return {"id": id, "title": title, "nothing": nothing}
    return {"id": id, "title": title, "spec": _untitled(draw(rows))}


def _attention(data: Workload) -> list[dict[str, Any]]:
    circles = dict(zip(data.blocking["id"], map(list, data.blocking["cycle"]), strict=True))
    return [
        {
            "urgency": int(row["urgency"]),
            "id": int(row["task_id"]),
            "concerns": circles.get(row["task_id"], []) if row["reason"] == "blocking_cycle" else [],
            "since": held_since(row, data.generated_at),
            "reason": row["reason"].replace("_", " "),
            "evidence": row["evidence"],
            "to_do": row["to_do"],
        }
        for row in cast(list[dict[str, Any]], data.attention.to_dict("records"))
    ]


def _groups(title: str, groups: pd.DataFrame) -> dict[str, Any]:
    name = str(groups.columns[0])
    rows = [
        [
            or_unknown(row[name], f"(no {name})"),
            *(or_unknown(row[count]) for count in _GROUP_COUNTS),
            or_unknown(readable_hours(row["oldest_age_hours"])),
        ]
        for row in groups.to_dict("records")
    ]
    return {"title": title, "heads": [name, *_GROUP_COUNTS, "oldest"], "rows": rows}


def _parents(tree: pd.DataFrame) -> dict[str, Any]:
    rows = [
        [
            _INDENT * row["level"] + f"#{row['id']}",
            str(row["title"]),
            or_unknown(row["assigned_to"], UNASSIGNED),
            str(row["leaves"]),
            str(row["leaves_complete"]),
            or_unknown(row["progress"] if pd.isna(row["progress"]) else f"{row['progress']:.0%}"),
        ]
        for row in tree.to_dict("records")
    ]
    return {"title": "Parent tasks", "heads": list(_TREE_HEADS), "rows": rows}


def _untitled(chart: Any) -> dict[str, Any]:
    """Return a chart's spec whose title the page shows as a heading, and its subtitle below that."""
    spec: dict[str, Any] = chart.to_dict()
    title = spec.pop("title", {})
    spec["usermeta"] = {"subtitle": title.get("subtitle", "")}
    spec["description"] = f"{title.get('text', '')}: {title.get('subtitle', '')}"
    return spec
