"""What a browser is sent of a workload, as a dict that JSON can carry."""

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, cast

import pandas as pd

from calypso_nb.audit.audit import Audit
from calypso_nb.flow import sentences
from calypso_nb.flow.measures import Flow
from calypso_nb.frames import AGE_BUCKETS, OPEN_STATUSES
from calypso_nb.history.digest import Digest, Line
from calypso_nb.history.saved import plain_columns, plain_records
from calypso_nb.settings import Endpoint
from calypso_nb.view.charts import blocking_rows, chart_specs
from calypso_nb.view.flow_charts import FLOW_CHARTS
from calypso_nb.view.rows import NO_FILTER, task_rows
from calypso_nb.view.task_dialog import CURES
from calypso_nb.workload.phrases import held_since, subject
from calypso_nb.workload.reasons import REASONS
from calypso_nb.workload.reporter import Workload
from calypso_nb.workload.runs import GOING_ON, run_totals

# How many things of a digest a view shows, and how much of what was said.
MOST_LINES = 30
_LONGEST_TEXT = 300
_FINDINGS = 20
# So many runs of each agent.
_RUNS = 12
_OF_RUNS = ("id", "run", "agent", "recipe", "host", "outcome", "why", "attempt", "started_at", "seconds")
_OF_RULES = ("rule", "text", "state", "broken", "likely", "kept", "not_checked", "why")
_OF_FINDINGS = ("rule", "task", "agent", "since", "certainty", "evidence", "to_do")
# The columns of `task_rows` that a view can't count itself.
_SENT = (
    "id", "title", "status", "agent", "priority", "queue", "tags", "blocked", "blocked_by", "parent",
    "comments", "links", "created_at", "updated_at", "last_sign_at", "last_sign_by", "run_until",
)  # fmt: skip


def view_payload(
    data: Workload,
    title: str = "Workload",
    counted_at: datetime | None = None,
    flow: Mapping[str, Any] | None = None,
    audit: Audit | None = None,
) -> dict[str, Any]:
    """Return what `mount` of `browser/src/view.js` shows.

    - meta: where the data are from, and when comments and links were counted if not with all else
    - filter: what to show at first: open tasks, unless the report's own status filter asked for others
    - ages: the names of age buckets in their order, with their upper edges in hours, None for no edge
    - rows: columns of `task_rows`; the view counts ages itself
    - others: what else is mentioned, by its number: what an action has to find unchanged, and the title
    - limits: how many tasks each agent may have in progress; `limit` is that of an agent that is not named
    - charts: specs without rows
    - attention, snoozed: a line per task, agent or queue, which the view's filter narrows, with the tasks of
      each of its reasons as `causes`; attention_head: in words
    - cures, meanings: the actions that end each reason for attention, and the reason in words
    - blocking: who waits for whom, as columns, each task below the one that it waits for
    - parents: tasks with subtasks, as columns, each below its own parent
    - archived_in_week: how many tasks were archived in the last 7 days, none of which is a row
    - audit: its rules and some findings of each; None if there is none
    - runs, run_totals: the newest runs by `run-agent`, and how runs went per agent and recipe; None if no
      comments were read
    - flow: what `flow_payload` returns; empty if it is asked for once somebody looks
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
    agents = rows["agent"].dropna().unique().tolist()
    edges = [None if edge == math.inf else edge for edge in AGE_BUCKETS.values()]
    tree = data.tree[["id", "level", "leaves", "leaves_complete", "progress"]]
    blocking = blocking_rows(data.blocking)
    return {
        "meta": meta,
        "filter": filter,
        "ages": [*map(list, zip(AGE_BUCKETS, edges, strict=True)), ["unknown", None]],
        "rows": plain_columns(rows[[*_SENT]]),
        "others": _others(data, {*rows["id"].tolist()}),
        "limit": data.team.thresholds.most_working,
        "limits": {agent: data.team.limit(agent) for agent in agents if agent in data.team.limits},
        "charts": [chart._asdict() for chart in chart_specs()],
        "attention": _attention(data, data.attention),
        "attention_head": data.attention_head(),
        "snoozed": _snoozed(data),
        "cures": {reason: list(cures) for reason, cures in CURES.items()},
        "meanings": {name: reason.meaning for name, reason in REASONS.items()},
        "blocking": plain_columns(blocking),
        "parents": plain_columns(tree),
        "archived_in_week": _archived_in_week(data),
        "audit": None if audit is None else _audited(audit),
        "flow": dict(flow or {}),
        **_run_payload(data),
    }


def _run_payload(data: Workload) -> dict[str, Any]:
    if data.run_notes is None:
        return {"runs": None, "run_totals": None}
    runs = data.runs.copy()
    going_on = runs["outcome"].isin(GOING_ON)
    # Each sign of life would be news to whoever compares, and each second.
    runs.loc[going_on, "seconds"] = None
    runs.loc[runs["outcome"] == "running", "why"] = "it goes on"
    shown = runs.groupby("agent", dropna=False, sort=False).head(_RUNS)[list(_OF_RUNS)]
    return {"runs": plain_records(shown), "run_totals": plain_records(run_totals(data.runs))}


def digest_payload(digest: Digest, number: int) -> dict[str, Any]:
    """Return what *Since you looked* shows: the first things of each kind, and how many there are.

    - number: which digest it is, for whoever has seen it
    """
    ranks = digest.items.groupby("what", sort=False).cumcount().sort_values(kind="stable")
    lines, times = digest.lines, plain_records(digest.items[["not_after"]])
    return {
        "number": number,
        "heading": digest.heading,
        "summary": digest.summary,
        "since": digest.since.isoformat(),
        "first": digest.basis == "first",
        "counts": [*digest.counts.items()],
        "doubts": list(digest.doubts),
        "total": len(digest.items),
        "lines": [
            _happened(lines[place], times[place]["not_after"]) for place in sorted(ranks.index[:MOST_LINES])
        ],
        "unknown": list(digest.unknown),
    }


def _happened(line: Line, at: str | None) -> dict[str, Any]:
    return {
        "what": line.what,
        "task_id": line.task_id,
        "title": _short(line.title),
        "agent": line.agent,
        "at": at,
        "exact": not line.when.startswith("≤"),
        "text": _short(line.text),
    }


def _short(text: str | None) -> str | None:
    return text and text[:_LONGEST_TEXT]


def feed_payload(feed: pd.DataFrame) -> list[dict[str, Any]]:
    """Return lines with `FEED_COLUMNS` as `digest_payload` has its lines."""
    exact = feed["not_after"] - feed["not_before"] <= timedelta(seconds=1)
    return [
        {
            **line,
            "title": _short(line["title"]),
            "text": _short(line["text"]),
            "at": line["not_after"],
            "exact": is_exact,
        }
        for line, is_exact in zip(plain_records(feed), exact.tolist(), strict=True)
    ]


def flow_payload(flow: Flow) -> dict[str, Any]:
    """Return what the tab *Flow* shows.

    - about: from what and when it is measured
    - charts: as in `view_payload`
    """
    charts = []
    for name, draw in FLOW_CHARTS.items():
        chart = draw(flow)
        charts.append({"id": name, "title": chart.title.text, "spec": _untitled(chart)})
    return {"about": sentences.about(flow), "charts": charts}


def _source(data: Workload) -> str:
    """Return where the data are from; a file is named without its folders."""
    if Endpoint(data.endpoint).is_url:
        return data.endpoint
    return re.split(r"[/\\]", data.endpoint)[-1]


def _attention(data: Workload, lines: pd.DataFrame) -> list[dict[str, Any]]:
    needs = _by_facts(data.needs)
    return [
        {
            "urgency": int(row["urgency"]),
            "id": int(row["task_id"]),
            "about": row["about"],
            "of": subject(row),
            "agent": None if pd.isna(row["agent"]) else row["agent"],
            "queue": None if pd.isna(row["queue"]) else row["queue"],
            "priority": None if pd.isna(row["priority"]) else int(row["priority"]),
            "holds_up": int(row["holds_up"]),
            "tasks": list(row["tasks"]),
            "since": held_since(row, data.generated_at),
            "reasons": list(row["reasons"]),
            "causes": _causes(row, needs),
            "evidence": row["evidence"],
            "to_do": row["to_do"],
            "facts": row["facts"],
        }
        for row in cast(list[dict[str, Any]], lines.to_dict("records"))
    ]


def _by_facts(needs: pd.DataFrame) -> dict[str, list[tuple[str, tuple[int, ...]]]]:
    found: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for facts, reason, tasks in zip(needs["facts"], needs["reason"], needs["tasks"], strict=True):
        found.setdefault(facts, []).append((reason, tasks))
    return found


def _causes(
    line: Mapping[str, Any], needs: Mapping[str, list[tuple[str, tuple[int, ...]]]]
) -> list[tuple[str, list[int]]]:
    """Return the tasks that each reason of a line is about: not every task of an agent is silent."""
    if len(line["reasons"]) == 1:
        return [(line["reasons"][0], list(line["tasks"]))]
    own = [need for facts in line["facts"].split() for need in needs.get(facts, ())]
    return [
        (reason, [task for name, tasks in own if name == reason for task in tasks] or list(line["tasks"]))
        for reason in line["reasons"]
    ]


def _snoozed(data: Workload) -> list[dict[str, Any]]:
    """Return the lines that are put aside, each with until when, why and by whom."""
    ends = plain_records(data.snoozed[["until", "why", "by"]])
    return [line | end for line, end in zip(_attention(data, data.snoozed), ends, strict=True)]


def _others(data: Workload, shown: set[int]) -> dict[str, dict[str, Any]]:
    """Return what is said of tasks that shown ones wait for or are part of, and that are not shown."""
    tasks = data.all_tasks
    named = pd.concat([tasks["blocked_by_task_id"], tasks["parent_task_id"]]).dropna()
    mentioned = tasks[tasks["id"].isin({*named.tolist()} - shown)]
    rows = mentioned[["id", "title", "status", "assigned_to", "updated_at", "archived_at"]]
    return {str(row["id"]): row for row in plain_records(rows)}


def _archived_in_week(data: Workload) -> int:
    return int((data.all_tasks["archived_at"] > data.generated_at - timedelta(days=7)).sum())


def _audited(audit: Audit) -> dict[str, Any]:
    """Return every rule, broken ones first, and some findings of each: the others would be hidden by one."""
    others = audit.rules[~audit.rules["rule"].isin(audit.broken["rule"])]
    rules = pd.concat([audit.broken, others])[list(_OF_RULES)]
    found = audit.findings[audit.findings.groupby("rule").cumcount() < _FINDINGS]
    return {
        "summary": audit.summary,
        "rules": plain_records(rules),
        "findings": plain_records(found[list(_OF_FINDINGS)]),
    }


def _untitled(chart: Any) -> dict[str, Any]:
    """Return a chart's spec whose title the page shows as a heading, and its subtitle below that."""
    spec: dict[str, Any] = chart.to_dict(validate=False)  # Which takes half of the time, and is tested.
    title = spec.pop("title", {})
    lines = title.get("subtitle", "")
    subtitle = lines if isinstance(lines, str) else " ".join(lines)
    spec["usermeta"] = {"subtitle": subtitle}
    spec["description"] = f"{title.get('text', '')}: {subtitle}"
    return spec | {"datasets": _slim(spec)} if "datasets" in spec else spec


def _slim(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a spec's rows with the fields that it names or a click needs, and numbers as exact as needed."""
    named = {
        "task_id",
        "ids",
        *re.findall(r"\w+", json.dumps({name: spec[name] for name in spec if name != "datasets"})),
    }
    return {
        name: [
            {
                field: round(value, 4) if isinstance(value, float) else value
                for field, value in row.items()
                if field in named
            }
            for row in rows
        ]
        for name, rows in spec["datasets"].items()
    }
