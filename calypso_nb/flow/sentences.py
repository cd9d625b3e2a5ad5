"""What each chart of flow shows, in one sentence with its numbers; a bound is never written as a value."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from calypso_nb.flow.items import ASIDE, DAY, HOUR, Bounds
from calypso_nb.flow.measures import EXPECTED_LEAST, EXPECTED_PERCENT, Flow, recorded_share
from calypso_nb.workload.phrases import UNKNOWN, brief, moment, readable_hours, readable_range

NO_TASKS = "No task is known"
NONE_IN_PROGRESS = "No task is in progress"
NONE_FINISHED = "Nothing was finished in this time: record longer"
NONE_MEASURED = "No task was both started and finished while it was recorded: record longer"
NO_QUEUES = "No task was in a queue"
NONE_WAITED = "No task has waited in a queue"
NO_HANDOFFS = "No task went from one agent to another"
NO_HANDOFFS_KNOWN = "Who handed what to whom is not known without a history"
NO_SPELLS = "Nothing is known of these tasks"
EMPTY = (NO_TASKS, NONE_IN_PROGRESS, NO_QUEUES, NONE_WAITED, NO_HANDOFFS, NO_HANDOFFS_KNOWN, NO_SPELLS)
# Of a time that is shorter than so many of its long cycle times, most of the long ones are not known.
_LONG_ENOUGH = 3
_WEEK = 7 * 24


def count_range(least: float, most: float) -> str:
    """Return a count, or the two numbers that it lies between: `27`, `22 to 27`, `at most 27`.

    - least, most: the bounds
    """
    if least == most:
        return f"{most:,.0f}"
    return f"{least:,.0f} to {most:,.0f}" if least else f"at most {most:,.0f}"


def hours_range(least: float, most: float) -> str:
    """Return a span of time, or the two that it lies between, one if they read the same; a dash if unknown.

    - least, most: the bounds, in hours; NaN is none
    """
    low, high = readable_hours(least), readable_hours(most)
    if low == high:
        return low or UNKNOWN
    if high and low in (None, readable_hours(0)):
        return f"at most {high}"
    return f"at least {low}" if high is None else str(readable_range(least, most))


def about(flow: Flow) -> str:
    """Say of which tasks and of what time a flow is, and what it is measured from.

    - flow: the flow

    Example: `about(history.flow())`
    """
    of = str(flow.selection)[0].upper() + str(flow.selection)[1:]
    if not flow.journeys.recorded:
        return (
            f"{of}, by their own times of {moment(flow.until)}, without a history: only creation is exact. "
            "`calypso-nb record` would write down when each is started, handed over, finished and reopened"
        )
    gaps = flow.journeys.gaps
    missing = "" if not len(gaps) else f", but for {len(gaps)} gap{'' if len(gaps) == 1 else 's'}"
    since = moment(flow.recorded_since) if flow.recorded_since else ""
    return f"{of}, recorded from {since} to {moment(flow.until)}{missing}"


def about_ageing(flow: Flow) -> str:
    """Say how many tasks are in progress, which is the oldest, and how many are older than most that ended.

    - flow: the flow

    Example: `about_ageing(history.flow())`
    """
    if flow.ageing.empty:
        return NONE_IN_PROGRESS
    ageing = flow.ageing
    oldest, marks = ageing.iloc[0], flow.percentiles.iloc[0]
    where = "" if pd.isna(oldest["queue"]) else f" in {brief(oldest['queue'])}"
    told = f"{_tasks(len(ageing))} {_are(len(ageing))} in progress, #{oldest['task_id']}{where} "
    told += f"{_likely(ageing, 'work_item_age')}the longest: "
    told += _span(oldest, "work_item_age")
    if not marks["tasks"]:
        return f"{told}; no finished task's cycle time is known yet to compare that with"
    if marks["tasks"] < EXPECTED_LEAST:
        few = f"the cycle {'time' if marks['tasks'] == 1 else 'times'} of {_tasks(int(marks['tasks']))}"
        return f"{told}; {few} that finished, fewer than {EXPECTED_LEAST}, give nothing to compare that with"
    older, perhaps = (
        int((ageing[name] >= EXPECTED_PERCENT).sum()) for name in ("older_than", "perhaps_older_than")
    )
    mark = f"{EXPECTED_PERCENT} % of {marks['tasks']:,} finished ones took ({_span(marks, 'p85')})"
    return f"{told}; {count_range(older, perhaps)} {_are(perhaps)} older than what {mark}"


def about_cycle_times(flow: Flow) -> str:
    """Say how long finished tasks took, what is left out, and whether long ones must be missing.

    - flow: the flow

    Example: `about_cycle_times(history.flow())`
    """
    if not len(flow.items):
        return NO_TASKS
    marks = flow.percentiles.iloc[0]
    left_out = int(marks["left_out"])
    parts = [_expected(flow, marks) if marks["tasks"] else NONE_MEASURED if left_out else NONE_FINISHED]
    if left_out:
        are = _are(left_out)
        parts.append(f"{left_out:,} that may have been started before the recording {are} left out")
    since = max(flow.journeys.begin, float(np.min(flow.items.created.low)))
    known = (flow.end - since) / HOUR
    if known < _LONG_ENOUGH * marks[f"p{EXPECTED_PERCENT}_most"]:
        parts.append(f"long ones are missing: {readable_hours(known)} is too short a time to see them end")
    return "; ".join(parts)


def about_lead_times(flow: Flow) -> str:
    """Say how long it was from creation to finish.

    - flow: the flow

    Example: `about_lead_times(history.flow())`
    """
    if not len(flow.items):
        return NO_TASKS
    marks = flow.percentiles.iloc[1]
    if not marks["tasks"]:
        return NONE_FINISHED
    told = f"{EXPECTED_PERCENT} % of {_tasks(int(marks['tasks']))} were finished within {_span(marks, 'p85')}"
    return f"{told} of being created, half of them within {_span(marks, 'p50')}"


def about_groups(flow: Flow, group: str) -> str:
    """Say who has most in progress, by agent, queue, tag or parent.

    - flow: the flow
    - group: as `Flow.by` takes it

    Example: `about_groups(history.flow(), "agent")`
    """
    groups = flow.by(group)
    if groups.empty:
        return NO_TASKS
    first = groups.iloc[0]
    if not first["wip_most"]:
        return NONE_IN_PROGRESS
    who = f"without {group}" if pd.isna(first["group"]) else f"with {brief(first['group'])}"
    told = f"Most is {_likely(groups, 'wip')}in progress {who}: WIP {_of(first, 'wip')}"
    took = _span(first, "cycle_time_p85")
    return told if took == UNKNOWN else f"{told}, and {EXPECTED_PERCENT} % of finished ones took {took}"


def about_throughput(flow: Flow) -> str:
    """Say how many tasks came, were finished and withdrawn, and what that does to the backlog.

    - flow: the flow

    Example: `about_throughput(history.flow())`
    """
    if not len(flow.items):
        return NO_TASKS
    items, days = flow.items, (flow.end - flow.begin) / DAY
    edges = np.array([flow.begin, flow.end + 1])
    came, done, finished, withdrawn = (
        bounds.counted_between(edges)
        for bounds in (items.created, items.done, items.finished, items.withdrawn)
    )
    parts = [
        f"{_tasks(*_pair(came))} came",
        f"{count_range(*_pair(finished))} {_were(finished.high[0])} finished",
    ]
    if withdrawn.high[0]:
        parts.append(f"{count_range(*_pair(withdrawn))} withdrawn")
    told = f"In {readable_hours(24 * days)} {_listed(parts)}"
    least, most = _pair(Bounds(came.low - done.high, came.high - done.low))
    return f"{told}: the backlog {_growth(least, most, days)}{_unrecorded(flow)}"


def about_states(flow: Flow) -> str:
    """Say how many tasks are working and idle, and how many were so at the begin.

    - flow: the flow

    Example: `about_states(history.flow())`
    """
    known = flow.states[flow.states["recorded"]]
    if not len(flow.items) or known.empty:
        return NO_TASKS
    first, last = known.iloc[0], known.iloc[-1]
    now, then = (
        f"{_of(row, 'wip')} in progress, {_of(row, 'working')} working, {_of(row, 'idle')} idle"
        for row in (last, first)
    )
    earlier = readable_hours((last["at"] - first["at"]).total_seconds() / 3600)
    return f"Tasks at the end: {now}; {earlier} earlier: {then}{_unrecorded(flow)}"


def about_cumulative(flow: Flow) -> str:
    """Say how many tasks have come in all, and how far they are.

    - flow: the flow

    Example: `about_cumulative(history.flow())`
    """
    if not len(flow.items):
        return NO_TASKS
    started, finished, withdrawn = (
        ~np.isnan(bounds.low) for bounds in (flow.items.started, flow.items.finished, flow.items.withdrawn)
    )
    parts = [
        f"{finished.sum():,} finished",
        f"{(started & ~finished & ~withdrawn).sum():,} in progress",
        f"{(~started & ~withdrawn).sum():,} not started",
    ]
    if withdrawn.any():
        parts.append(f"{withdrawn.sum():,} withdrawn")
    return f"{_tasks(len(started))} came in all: {_listed(parts)}{_unrecorded(flow)}"


def about_net_flow(flow: Flow) -> str:
    """Say which queue grew most in the last week, and by how much.

    - flow: the flow

    Example: `about_net_flow(history.flow())`
    """
    if flow.net.empty:
        return NO_QUEUES
    net = flow.net
    week = net[net["to"] == net["to"].max()].sort_values("net_least", ascending=False, kind="stable")
    grown = week.iloc[0]
    last = f"in the last {readable_hours(min((flow.end - flow.begin) / HOUR, _WEEK))}"
    if grown["net_least"] > 0:
        came, left = _of(grown, "arrived"), _of(grown, "departed")
        most = f"{_likely(week, 'net')}grew most {last}"
        return f"The queue that {most} is {brief(grown['queue'])}: {came} came and {left} left"
    grew = "certainly grew, and some may have" if (week["net_most"] > 0).any() else "grew"
    return f"No queue {grew} {last}"


def waiting_first(flow: Flow) -> pd.DataFrame:
    """Return the stages of a flow, the longest waiting first; queues to put tasks aside in come last.

    - flow: the flow
    """
    stages = flow.stages.assign(aside=flow.stages["queue"].isin(ASIDE))
    order = ["aside", "waited_least", "waited_most"]
    return stages.sort_values(order, ascending=[True, False, False], kind="stable").drop(columns="aside")


def about_queues(flow: Flow) -> str:
    """Say in which queue work waits longest, and whether that is certain.

    - flow: the flow

    Example: `about_queues(history.flow())`
    """
    stages = waiting_first(flow)
    stages = stages[~stages["queue"].isin(ASIDE)]
    if stages.empty:
        return NO_QUEUES
    if not stages["waited_most"].any():
        return NONE_WAITED
    first = stages.iloc[0]
    visits = "1 visit" if first["visits"] == 1 else f"{first['visits']:,} visits"
    return (
        f"The bottleneck is {_likely(stages, 'waited')}{brief(first['queue'])}: there tasks waited longest, "
        f"{_span(first, 'waited')} in {visits}, and {first['now']:,} {_are(first['now'])} in it now"
    )


def about_handoffs(flow: Flow) -> str:
    """Say how often tasks went from one agent to another, between whom most often, and how often back.

    - flow: the flow

    Example: `about_handoffs(history.flow())`
    """
    if not flow.journeys.recorded:
        return NO_HANDOFFS_KNOWN
    if flow.handoffs.empty:
        return NO_HANDOFFS
    handoffs = flow.handoffs
    count, returns, first = handoffs["handoffs"].sum(), handoffs["returns"].sum(), handoffs.iloc[0]
    seen = "1 handoff was seen" if count == 1 else f"{count:,} handoffs were seen"
    most = f"most from {brief(first['from_agent'])} to {brief(first['to_agent'])} ({first['handoffs']:,})"
    back = (
        f"{returns:,} {_were(returns)} back into a queue that the task had left"
        if returns
        else "none was a return"
    )
    return f"{seen}, {most}; {back}"


def about_first_pass(flow: Flow) -> str:
    """Say how many finished tasks went through without coming back, and how many were reopened.

    - flow: the flow

    Example: `about_first_pass(history.flow())`
    """
    if flow.first_pass is None:
        return "First-pass yield is not known without a history"
    clean, finished = flow.first_pass
    if not finished:
        return NONE_MEASURED
    reopened = int((flow.items.reopened > 0).sum())
    again = f"; {_tasks(reopened)} {_were(reopened)} reopened, and count as finished only if they are again"
    told = f"First-pass yield {100 * clean / finished:.0f} %: {clean:,} of {finished:,} finished tasks"
    return f"{told} never came back{again if reopened else ''}"


def about_health(flow: Flow) -> str:
    """Say whether mean WIP, throughput and cycle time fit together, by Little's law.

    - flow: the flow

    Example: `about_health(history.flow())`
    """
    health = flow.health
    if np.isnan(health.apart):
        return "Little's law can't be checked: nothing was finished whose start is known"
    wip, expected = (
        low if (low := f"{least:.1f}") == (high := f"{most:.1f}") else f"{low} to {high}"
        for least, most in (
            (health.wip_least, health.wip_most),
            (health.expected_least, health.expected_most),
        )
    )
    fit = f"{100 * health.apart:.0f} % apart" if health.apart else "they fit"
    stable = "" if health.stable else ": not stable in this time, so its averages say little of the next"
    return f"Little's law: mean WIP {wip}, throughput times mean cycle time {expected}, {fit}{stable}"


def about_spells(spells: pd.DataFrame) -> str:
    """Say of how many tasks and agents spells are, and how long they worked in all.

    - spells: rows of `history.spells`

    Example: `about_spells(history.spells.query("task_id == 7"))`
    """
    if spells.empty:
        return NO_SPELLS
    working = spells[spells["status"] == "working"]
    most = working["hours_most"].sum(skipna=False) if len(working) else 0.0
    agents = spells["agent"].nunique()
    who = f" with {agents:,} agent{'' if agents == 1 else 's'}" if agents else ""
    worked = hours_range(working["hours_least"].sum(), most)
    return f"{_tasks(spells['task_id'].nunique())}{who}, working for {worked} in all"


def _listed(parts: list[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _expected(flow: Flow, marks: pd.Series) -> str:
    expected = flow.expectation
    if not np.isnan(expected.hours_most):
        within = hours_range(expected.hours_least, expected.hours_most)
        return f"{expected.percent} % of the last {expected.tasks:,} finished tasks were done within {within}"
    tasks = int(marks["tasks"])
    half = "half of them " if tasks > 1 else ""
    told = f"{_tasks(tasks)} {_were(tasks)} finished, {half}in {_span(marks, 'p50')}"
    return f"{told}; fewer than {EXPECTED_LEAST} give no expectation"


def _growth(least: float, most: float, days: float) -> str:
    if least <= 0 <= most:
        if least == most:
            return "stays as it is"
        return "may have grown" if not least else f"may have {'grown or ' * (most > 0)}shrunk"
    word, bounds = ("grows", (least, most)) if least > 0 else ("shrinks", (-most, -least))
    # Per day only what has been seen for days.
    shown, per = ([bound / days for bound in bounds], " a day") if days >= 2 else (bounds, "")
    low, high = (f"{bound:.0f}" if bound >= 10 or not per else f"{bound:.1f}" for bound in shown)
    if high == "0.0":
        return f"{word} by less than 0.1{per}"
    return f"{word} by {low if low == high else f'{low} to {high}'}{per}"


def _likely(rows: pd.DataFrame, name: str) -> str:
    """Return `likely ` if the bounds don't decide that the first row has the most."""
    sure = (rows[f"{name}_least"].iloc[0] >= rows[f"{name}_most"].iloc[1:]).all()
    return "" if sure else "likely "


def _unrecorded(flow: Flow) -> str:
    if flow.begin >= flow.end:
        return ""
    missing = 1 - recorded_share(flow.journeys, np.array([flow.begin, flow.end]))[0]
    return f"; {100 * missing:.0f} % of that time was not recorded" if missing >= 0.005 else ""


def _tasks(least: float, most: float | None = None) -> str:
    most = least if most is None else most
    return f"{count_range(least, most)} task{'' if most == 1 else 's'}"


def _were(count: float) -> str:
    return "was" if count == 1 else "were"


def _are(count: float) -> str:
    return "is" if count == 1 else "are"


def _ends(row: pd.Series, name: str) -> tuple[float, float]:
    return float(row[f"{name}_least"]), float(row[f"{name}_most"])


def _of(row: pd.Series, name: str) -> str:
    return count_range(*_ends(row, name))


def _span(row: pd.Series, name: str) -> str:
    return hours_range(*_ends(row, name))


def _pair(counted: Bounds) -> tuple[float, float]:
    return float(counted.low[0]), float(counted.high[0])


# What there is to say of a flow, the most urgent first.
ALL: tuple[Callable[[Flow], str], ...] = (
    about_ageing,
    about_throughput,
    about_cycle_times,
    about_queues,
    about_net_flow,
    about_handoffs,
    about_first_pass,
    about_health,
)
