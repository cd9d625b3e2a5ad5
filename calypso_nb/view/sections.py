"""What a view says beyond its charts of tasks: what needs attention, who waits for whom, what is where."""

from __future__ import annotations

from typing import Any

import pandas as pd

from calypso_nb.view.work_charts import blocking_chart, work_item_age_chart
from calypso_nb.workload.phrases import readable_hours
from calypso_nb.workload.reporter import Workload

__all__ = ["report_sections"]

_UNKNOWN = "\N{EN DASH}"
_INDENT = "\N{NO-BREAK SPACE}" * 3
_QUEUE_HEADS = ("queue", "open", "idle", "working", "blocked", "unassigned", "oldest")
_TREE_HEADS = ("parent", "title", "agent", "leaves", "complete", "progress")


def report_sections(data: Workload) -> dict[str, Any]:
    """Return `attention` and `sections` of the payload, as a dict that JSON can carry.

    `attention` has a row a task and reason, which the view's filter narrows. `charts` are specs with their
    own data, `tables` hold `title`, `heads` and `rows` of text: both are about all tasks of the report.
    """
    return {
        "attention": _attention(data),
        "sections": {
            "charts": [_blocking(data), _ages(data)],
            "tables": [_groups("Queues", data.queues), _groups("Tags", data.tags), _parents(data.tree)],
        },
    }


def _blocking(data: Workload) -> dict[str, Any]:
    section = {"id": "blocking", "title": "Who blocks whom"}
    if data.blocking.empty:
        return {**section, "nothing": "No task is blocked"}
    return {**section, "spec": _untitled(blocking_chart(data.blocking))}


def _ages(data: Workload) -> dict[str, Any]:
    section = {"id": "ages", "title": "Work item age"}
    if not (data.tasks["status"] == "working").any():
        return {**section, "nothing": "No task is being worked on"}
    return {**section, "spec": _untitled(work_item_age_chart(data.tasks))}


def _attention(data: Workload) -> list[dict[str, Any]]:
    rows = []
    circles = dict(zip(data.blocking["id"], map(list, data.blocking["cycle"]), strict=True))
    for row in data.attention.to_dict("records"):
        hours = (pd.Timestamp(data.generated_at) - row["since"]).total_seconds() / 3600
        since = readable_hours(hours) if pd.notna(hours) else None
        at_least = "\N{GREATER-THAN OR EQUAL TO} " if row["since_known"] == "bound" else ""
        rows.append(
            {
                "urgency": int(row["urgency"]),
                "id": int(row["task_id"]),
                "concerns": circles.get(row["task_id"], []) if row["reason"] == "blocking_cycle" else [],
                "since": f"{at_least}{since}" if since else _UNKNOWN,
                "reason": row["reason"].replace("_", " "),
                "evidence": row["evidence"],
                "to_do": row["to_do"],
            }
        )
    return rows


def _groups(title: str, groups: pd.DataFrame) -> dict[str, Any]:
    name = str(groups.columns[0])
    rows = [
        [
            f"(no {name})" if pd.isna(row[name]) else str(row[name]),
            *(_text(row[count]) for count in ("open", "idle", "working", "blocked", "unassigned")),
            _text(readable_hours(row["oldest_age_hours"])),
        ]
        for row in groups.to_dict("records")
    ]
    return {"title": title, "heads": [name, *_QUEUE_HEADS[1:]], "rows": rows}


def _parents(tree: pd.DataFrame) -> dict[str, Any]:
    rows = [
        [
            _INDENT * row["level"] + f"#{row['id']}",
            str(row["title"]),
            "(unassigned)" if pd.isna(row["assigned_to"]) else str(row["assigned_to"]),
            str(row["leaves"]),
            str(row["leaves_complete"]),
            _UNKNOWN if pd.isna(row["progress"]) else f"{row['progress']:.0%}",
        ]
        for row in tree.to_dict("records")
    ]
    return {"title": "Parent tasks", "heads": list(_TREE_HEADS), "rows": rows}


def _text(value: Any) -> str:
    return _UNKNOWN if value is None or pd.isna(value) else str(value)


def _untitled(chart: Any) -> dict[str, Any]:
    """The chart's spec; its title stands in the page as a heading, its subtitle below that."""
    spec: dict[str, Any] = chart.to_dict()
    title = spec.pop("title", {})
    spec["usermeta"] = {"subtitle": title.get("subtitle", "")}
    spec["description"] = f"{title.get('text', '')}: {title.get('subtitle', '')}"
    return spec
