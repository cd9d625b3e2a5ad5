"""The columns of all frames of flow; what is not exact has two, `…_least` and `…_most`."""

from calypso_nb.frames import TIME, Column

PERCENTS = (50, 85, 95)


def _least_most(name: str, dtype: str, unit: str, meaning: str) -> dict[str, Column]:
    return {
        f"{name}_least": Column(dtype, unit, f"{meaning}, at least"),
        f"{name}_most": Column(dtype, unit, f"{meaning}, at most"),
    }


def _bounds(name: str, meaning: str) -> dict[str, Column]:
    return {
        f"{name}_not_before": Column(TIME, "UTC", f"{meaning}, then or later"),
        f"{name}_not_after": Column(TIME, "UTC", f"{meaning}, then or earlier"),
    }


def _tasks(name: str, meaning: str) -> dict[str, Column]:
    return _least_most(name, "int64", "tasks", meaning)


def _hours(name: str, meaning: str) -> dict[str, Column]:
    return _least_most(name, "float64", "hours", meaning)


_PERCENTILES = {
    name: column
    for percent in PERCENTS
    for name, column in _hours(f"p{percent}", f"{percent} % of them took no longer").items()
}
_SPAN = {
    "from": Column(TIME, "UTC", "from when on"),
    "to": Column(TIME, "UTC", "until when, not included"),
}

ITEM_COLUMNS: dict[str, Column] = {
    "task_id": Column("int64", "", "the task; one row per task without subtasks"),
    "title": Column("str", "", "its title at the end of what is known"),
    "status": Column("str", "", "idle, working or complete, as it was last"),
    "agent": Column("str", "", "who has it, or had it last; NA if unassigned"),
    "queue": Column("str", "", "the queue that it is in, or was in last; NA if in none"),
    "parent": Column("Int64", "", "the task that it is a part of"),
    **_bounds("created", "created"),
    **_bounds("started", "working for the first time, NA if never"),
    **_bounds("finished", "complete and not reopened since, NA if not"),
    **_bounds("withdrawn", "archived or deleted unfinished, NA if not"),
    **_hours("cycle_time", "from start to finish, NA if not both were seen"),
    **_hours("lead_time", "from creation to finish, NA if not finished"),
    **_hours("work_item_age", "since its start, NA if not started or finished"),
    "began_before": Column("bool", "", "it may have been started before the recording began"),
    "reopened": Column(
        "Int64", "times", "how often it was complete and then no longer; NA without a history"
    ),
    "returned": Column(
        "Int64",
        "times",
        "how often it was sent back into a queue where it had been before; NA without a history",
    ),
}

THROUGHPUT_COLUMNS: dict[str, Column] = {
    **_SPAN,
    "recorded": Column("float64", "", "the share of that time that was recorded"),
    **_tasks("arrived", "created"),
    **_tasks("started", "started"),
    **_tasks("finished", "finished: throughput"),
    **_tasks("withdrawn", "archived or deleted unfinished"),
    **_tasks("wip", "started and neither finished nor withdrawn by its end"),
}

STATE_COLUMNS: dict[str, Column] = {
    "at": Column(TIME, "UTC", "the moment"),
    "recorded": Column("bool", "", "it was recorded then"),
    **_tasks("wip", "in progress: started and neither finished nor withdrawn"),
    **_tasks("idle", "idle and on the board"),
    **_tasks("working", "working and on the board"),
}

CUMULATIVE_COLUMNS: dict[str, Column] = {
    "at": Column(TIME, "UTC", "the moment"),
    "recorded": Column("bool", "", "it was recorded then"),
    **_tasks("arrived", "created by then"),
    **_tasks("entered", "started by then, or withdrawn without that"),
    **_tasks("done", "finished or withdrawn by then"),
    **_tasks("finished", "finished by then"),
}

NET_COLUMNS: dict[str, Column] = {
    "queue": Column("str", "", "the queue"),
    **_SPAN,
    **_tasks("arrived", "came into the queue"),
    **_tasks("departed", "left the queue, or the board, or were finished in it"),
    **_tasks("net", "arrived less departed"),
}

TIME_COLUMNS: dict[str, Column] = {
    "group": Column("str", "", "the queue or agent, NA for none"),
    "status": Column("str", "", "idle or working"),
    "tasks": Column("int64", "tasks", "how many were in it, or may have been"),
    **_hours("total", "how long all of them together"),
    **_PERCENTILES,
}

PERCENTILE_COLUMNS: dict[str, Column] = {
    "measure": Column("str", "", "cycle time, lead time or work item age"),
    "tasks": Column("int64", "tasks", "how many it is of"),
    "left_out": Column("int64", "tasks", "finished, but started before the recording: no cycle time"),
    **_PERCENTILES,
}

AGEING_COLUMNS: dict[str, Column] = {
    **{name: ITEM_COLUMNS[name] for name in ("task_id", "title", "status", "agent", "queue")},
    **_hours("work_item_age", "since its start"),
    "older_than": Column(
        "Int64", "%", "certainly older than so many per cent of cycle times, NA without any"
    ),
    "perhaps_older_than": Column("Int64", "%", "perhaps older than so many per cent of cycle times"),
}

HANDOFF_COLUMNS: dict[str, Column] = {
    "from_agent": Column("str", "", "who had it"),
    "to_agent": Column("str", "", "who got it"),
    "handoffs": Column("int64", "times", "how often"),
    "tasks": Column("int64", "tasks", "of how many tasks"),
    "returns": Column("int64", "times", "how often that sent it back into a queue where it had been before"),
}

STAGE_COLUMNS: dict[str, Column] = {
    "queue": Column("str", "", "the queue, the one whose tasks wait longest in all first"),
    "visits": Column("int64", "times", "how often a task came into it"),
    "now": Column("int64", "tasks", "open in it now"),
    **_hours("waited", "idle in it, all tasks together"),
    **_hours("worked", "working in it, all tasks together"),
    **_hours("p85_wait", "85 % of the visits that have ended waited no longer"),
    **_tasks("arrived", "came into it in the last 14 days"),
    **_tasks("departed", "left it in the last 14 days"),
    "passed_on": Column("int64", "times", "visits that ended by another queue or the finish"),
    "sent_back": Column(
        "int64", "times", "visits that ended in a queue where the task had been before it came here"
    ),
}

GROUP_COLUMNS: dict[str, Column] = {
    "group": Column("str", "", "the agent, queue, tag or parent; NA for none"),
    "tasks": Column("int64", "tasks", "how many are known"),
    **_tasks("arrived", "created in the time shown"),
    **_tasks("finished", "finished in the time shown"),
    **_tasks("wip", "started and neither finished nor withdrawn at its end"),
    "measured": Column("int64", "tasks", "with a cycle time"),
    **{f"cycle_time_{name}": column for name, column in _PERCENTILES.items() if not name.startswith("p95")},
    "first_pass": Column(
        "Int64", "tasks", "finished then, never sent back or reopened; NA without a history"
    ),
    "passed": Column("int64", "tasks", "finished then, at most, and seen from their start on"),
}
