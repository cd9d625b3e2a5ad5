"""The rules of how work moves, by a history.

When something happened lies between two times. What would have to be then, such as a comment, is missing only
if it is at none of them. What a task may have gone through between two looks is held against nobody: such a
move is not checked.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import pandas as pd

from calypso_nb.audit.seen import (
    BACKLOG,
    BLOCKED,
    CODE_REVIEW,
    DAY,
    DEVELOPMENT,
    HANDOFF_QUEUES,
    HOUR,
    MINUTE,
    QA,
    TESTING,
    TRIAGE,
    Change,
    Move,
    Note,
    Seen,
    Step,
    Task,
)
from calypso_nb.audit.task_checks import Verdicts, Words
from calypso_nb.audit.verdicts import (
    NO_ROLE,
    NOT_DUE,
    NOT_EXACT,
    NOT_READ,
    Verdict,
    held,
    moved,
    numbers,
    skipped,
)
from calypso_nb.flow.items import Bounds, percentile
from calypso_nb.flow.measures import EXPECTED_LEAST, EXPECTED_PERCENT
from calypso_nb.history.changes import SECOND
from calypso_nb.workload.phrases import brief, readable_hours

# A comment belongs to a move if it is so near to it.
NEAR = 10 * MINUTE
LONGEST_TRIFLE = 15 * MINUTE
MOST_RETURNS = 3
# On a fast board nothing is stale, or left lying, in less than this.
STALE_LEAST, LEFT_LEAST = DAY, HOUR
SHORTEST_REASON = 40
BULK, BULK_TIME = 5, 10 * SECOND

# Manual 07, section 6.2: from where to where a task may go; None is a task that was in no queue.
RIGHT_MOVES: dict[str | None, tuple[str, ...]] = {
    None: (DEVELOPMENT, TRIAGE, BACKLOG),
    DEVELOPMENT: HANDOFF_QUEUES,
    CODE_REVIEW: (DEVELOPMENT, QA),
    QA: (DEVELOPMENT,),
    TESTING: (DEVELOPMENT,),
    BLOCKED: (DEVELOPMENT,),
    TRIAGE: (DEVELOPMENT,),
    BACKLOG: (DEVELOPMENT,),
}
# Who works on what is in a queue.
SERVED_BY = {
    DEVELOPMENT: ("developer",),
    CODE_REVIEW: ("developer", "reviewer"),
    QA: ("tester",),
    TESTING: ("tester",),
    TRIAGE: ("coordinator",),
}

TOO_FEW = f"fewer than {EXPECTED_LEAST} to go by"


# Comments at a move


def _said_at(seen: Seen, move: Move | Change, before: float = NEAR, after: float = NEAR) -> list[Note] | None:
    """Return the comments near a move; None if it has none and not all were read."""
    low, high = move.low - before, move.high + after
    found = seen.notes.between(move.task, low, high)
    known = seen.heard(move.task, low, high)
    return found if found or known else None


def _commented(
    seen: Seen, move: Move, evidence: str, *, likely: bool = False, agent: str | None = None
) -> Verdict:
    """Return that a move is broken if there is no comment near it."""
    notes = _said_at(seen, move)
    if notes is None:
        return moved(move, why_not=NOT_READ, agent=agent)
    return moved(move, None if notes else evidence, likely=likely, agent=agent)


def silent_lowering(seen: Seen, _: Words) -> Verdicts:
    """P2."""
    for change in seen.past.changes:
        lowered = change.field == "priority" and change.before and change.after
        if (
            not lowered
            or change.task not in seen.shown_ids
            or _number(change.after) >= _number(change.before)
        ):
            continue
        verdict = Verdict(change.task, change.by, since=change.high, at=change.high)
        notes = _said_at(seen, change)
        if notes is None:
            yield verdict._replace(why_not=NOT_READ)
        else:
            said = f"priority {change.before} → {change.after} without a comment"
            yield verdict if notes else verdict._replace(evidence=said)


def _number(text: str | None) -> float:
    return float(text or "nan")


def silent_queue_move(seen: Seen, _: Words) -> Verdicts:
    """Q6."""
    for move in seen.queue_moves:
        yield _commented(seen, move, f"{_way(move)} without a comment", likely=True)


def _way(move: Move) -> str:
    return f"{brief(move.before.queue or 'no queue')} → {brief(move.after.queue or 'no queue')}"


def silent_start(seen: Seen, _: Words) -> Verdicts:
    """S5: if it changed hands between the same two looks, another may have started it."""
    for move in seen.moves:
        agent = move.after.agent
        if move.after.status != "working" or move.before.status == "working" or agent is None:
            continue
        verdict = partial(moved, move, agent=agent)
        low, high = move.low - 5 * MINUTE, move.high + 30 * MINUTE
        if any(note.agent == agent for note in seen.notes.between(move.task, low, high)):
            yield verdict()
        elif not move.after.exact and move.before.agent != agent:
            yield verdict(why_not=NOT_EXACT)
        elif seen.now < high:
            yield verdict(why_not=NOT_DUE)
        elif not seen.heard(move.task, low, high):
            yield verdict(why_not=NOT_READ)
        else:
            yield verdict("started without a comment by its agent", likely=True)


def kickback_without_reason(seen: Seen, _: Words) -> Verdicts:
    """K1: by a tester, or by whoever reviewed it; without roles, by anybody but who gets it back.

    If it isn't exact, it may have been somewhere in between, and not have been sent back: it is not checked.
    """
    for move in seen.kickbacks:
        notes = _said_at(seen, move)
        if notes is None:
            yield moved(move, why_not=NOT_READ)
        elif any(_is_reason(seen, move, note) for note in notes):
            yield moved(move)
        elif not seen.heard(move.task, move.low - NEAR, move.high + NEAR):
            yield moved(move, why_not=NOT_READ)
        else:
            yield _if_exact(move, f"{_way(move)} without a comment that says why")


def _if_exact(move: Move, evidence: str | None) -> Verdict:
    """Return that a move is broken, or that it is not checked if two looks may hide what excuses it."""
    if evidence is not None and not move.after.exact:
        return moved(move, why_not=NOT_EXACT)
    return moved(move, evidence)


def _is_reason(seen: Seen, move: Move, note: Note) -> bool:
    if len(note.text.strip()) < SHORTEST_REASON or note.agent == move.after.agent:
        return False
    reviewed = seen.manual(move.before.queue) == CODE_REVIEW
    return reviewed or seen.role(note.agent) in ("tester", None)


def too_many_returns(seen: Seen, words: Words) -> Verdicts:
    """K3: since it was given to another developer than at the return before."""
    returns: dict[int, list[Move]] = defaultdict(list)
    for move in seen.kickbacks:
        returns[move.task].append(move)
    for number, moves in returns.items():
        task = seen.tasks[number]
        agents = [move.after.agent for move in moves]
        count = next((at for at, agent in enumerate(reversed(agents)) if agent != agents[-1]), len(agents))
        urgent = (task.priority or 0) >= seen.team.thresholds.urgent_priority
        notes = seen.notes.of(number)
        escalated = any(word in note.text for note in notes for word in words)
        if count < MOST_RETURNS or escalated or not task.is_open or urgent:
            yield held(task)
        elif not seen.heard(number, moves[-count].low, seen.now):
            yield skipped(task, NOT_READ)
        elif not all(move.after.exact for move in moves[-count:]):
            yield skipped(task, NOT_EXACT)
        else:
            said = f"sent back {count} times to {brief(agents[-1] or 'nobody')}"
            yield held(task, said, since=moves[-1].high)


def silent_release(seen: Seen, _: Words) -> Verdicts:
    """D5: a comment on each task that waited for one, within an hour after its finish."""
    waiting = _waiting(seen)
    for blocker, steps in seen.past.steps.items():
        for before, after in pairwise(steps) if blocker in waiting else ():
            finished = after.status == "complete" != before.status
            if not finished or not after.there or after.high < (seen.past.since or 0):
                continue
            for number in waiting[blocker]:
                waits = _waits_at(seen, number, blocker, after)
                if number in seen.shown_ids and waits is not False:
                    verdict = _released(seen, number, before, after)
                    unsure = waits is None and verdict.evidence is not None
                    yield verdict._replace(evidence=None, why_not=NOT_EXACT) if unsure else verdict


def _released(seen: Seen, number: int, before: Step, after: Step) -> Verdict:
    low, high = after.low, after.high + HOUR
    # A parent is finished by the last of its subtasks, and not by who has it; nor does anybody know by whom
    # a task was that changed hands between the same two looks.
    unknown = after.task in seen.parents or (not after.exact and before.agent != after.agent)
    agent = None if unknown else before.agent
    verdict = Verdict(number, agent, since=after.high, at=after.high, likely=True)
    if seen.notes.between(number, low, high):
        return verdict
    if seen.now < high:
        return verdict._replace(why_not=NOT_DUE)
    if not seen.heard(number, low, high):
        return verdict._replace(why_not=NOT_READ)
    return verdict._replace(evidence=f"#{after.task}, which it waited for, ended without a comment here")


def _waiting(seen: Seen) -> dict[int, set[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    for task, steps in seen.past.steps.items():
        for step in steps:
            if step.blocker is not None:
                found[step.blocker].add(task)
    return found


def _waits_at(seen: Seen, number: int, blocker: int, finish: Step) -> bool | None:
    """Return whether a task waited when its blocker was finished; None if it may have stopped before."""
    steps = seen.past.steps[number]
    before = [step for step in steps if step.high <= finish.low]
    if not before or not _waits(before[-1], blocker):
        return False
    around = [step for step in steps if step.high > finish.low and step.low < finish.high]
    return True if all(_waits(step, blocker) for step in around) else None


def _waits(step: Step, blocker: int) -> bool:
    return step.blocker == blocker and step.there and step.status != "complete"


# Queues


def working_while_moved(seen: Seen, _: Words) -> Verdicts:
    """Q4."""
    for move in seen.queue_moves:
        if move.before.queue is None:
            continue
        busy = move.before.status == move.after.status == "working"
        if busy and not move.after.exact:
            yield moved(move, why_not=NOT_EXACT)
        else:
            yield moved(move, f"{_way(move)} while working" if busy else None)


def wrong_move(seen: Seen, _: Words) -> Verdicts:
    """Q5: if it isn't exact, it may have been somewhere in between; no way leads back to the first queues."""
    for move in seen.queue_moves:
        begin, end = seen.manual(move.before.queue), seen.manual(move.after.queue)
        own = end is None or (begin is None and move.before.queue is not None)
        right = own or end == BLOCKED or end in RIGHT_MOVES[begin]
        if right or move.after.exact or end in (TRIAGE, BACKLOG):
            yield moved(move, None if right else _way(move), likely=not move.after.exact)
        else:
            yield moved(move, why_not=NOT_EXACT)


def stale_in_queue(seen: Seen, _: Words) -> Verdicts:
    """Q10: an edit and a comment are signs."""
    for task, begun in _idle(seen, (DEVELOPMENT, *HANDOFF_QUEUES)):
        last = [begun, task.updated or 0, *(note.at or 0 for note in seen.notes.of(task.id))]
        verdict = _too_long(seen, task, max(last), STALE_LEAST, times=2)
        if verdict.evidence is None or _signs_known(seen, task, last):
            yield verdict._replace(likely=not seen.notes.sure(task.id))
        else:
            yield skipped(task, NOT_READ)


def _signs_known(seen: Seen, task: Task, signs: Sequence[float]) -> bool:
    return seen.heard(task.id, max(signs), seen.now)


def not_picked_up(seen: Seen, _: Words) -> Verdicts:
    """H4: since its last edit for certain; before that it may have been picked up and put back.

    If the server has told of all edits, it is likely that nobody did so; if not, it is not checked.
    """
    for task, begun in _idle(seen, HANDOFF_QUEUES):
        verdict = _too_long(seen, task, max(begun, task.updated or begun), LEFT_LEAST)
        if verdict.evidence is None:
            verdict = _too_long(seen, task, begun, LEFT_LEAST)._replace(likely=True)
            if verdict.evidence and not seen.past.watched(task.id, begun, task.updated or begun):
                verdict = skipped(task, NOT_EXACT)
        yield verdict


def _idle(seen: Seen, queues: Sequence[str]) -> Iterator[tuple[Task, float]]:
    """Yield the idle tasks of some queues, and since when each has been idle in it at the latest."""
    for task in seen.work:
        if task.status != "idle" or task.blocked or seen.manual(task.queue) not in queues:
            continue
        steps = seen.past.steps.get(task.id, [])
        same = 0
        while same < len(steps) and steps[-1 - same][5:8:2] == ("idle", task.queue):
            same += 1
        if same:
            yield task, _unbroken(seen, task, steps[-same].high)


def _unbroken(seen: Seen, task: Task, begun: float) -> float:
    """Return since when a task is as it is: in a gap of the recording it may have been anything."""
    journeys, edited = seen.past.journeys, float(task.updated or begun)
    unseen = (journeys.gaps[:, 1] > begun).any() or journeys.end < edited
    return max(begun, edited) if unseen else begun


def _too_long(seen: Seen, task: Task, since: float, least: float, times: int = 1) -> Verdict:
    """Return whether a task waits so many times longer than is usual in its queue, and than at least."""
    usual = seen.past.usual_waits.get(task.queue or "")
    if usual is None:
        return skipped(task, TOO_FEW)
    idle, most, floor = (readable_hours(time / HOUR) for time in (seen.now - since, usual, least))
    said = f"idle in {brief(task.queue or '')} for {idle} or longer; {EXPECTED_PERCENT} % wait {most} or less"
    too_long = seen.now - since > max(times * usual, least)
    return held(task, f"{said}, and less than {floor} is fine" if too_long else None, since=since)


# Who completes, and what comes before


def completed_by_developer(seen: Seen, _: Words) -> Verdicts:
    """S1: nobody is recorded as the actor, so that it is only likely.

    If it isn't exact, it may have been handed over just before: it is not checked.
    """
    for move in seen.completions:
        role = seen.role(move.before.agent)
        if move.before.agent is None:
            continue
        if role is None:
            yield moved(move, why_not=NO_ROLE)
        else:
            wrong = role in ("developer", "reviewer")
            verdict = _if_exact(move, f"complete while a {role} had it" if wrong else None)
            yield verdict._replace(likely=True)


def completed_unverified(seen: Seen, _: Words) -> Verdicts:
    """S2: if it isn't exact, it may have been verified in between: it is not checked."""
    unverified = (DEVELOPMENT, BACKLOG, TRIAGE)
    for move in seen.completions:
        wrong = all(seen.manual(step.queue) in unverified for step in move)
        yield _if_exact(move, f"complete from {brief(move.before.queue or '')}" if wrong else None)


def no_closure_comment(seen: Seen, _: Words) -> Verdicts:
    """S3."""
    for move in seen.completions:
        low, high = move.low - DAY, move.high
        notes = seen.notes.between(move.task, low, high)
        roles = {seen.role(note.agent) for note in notes}
        if "tester" in roles:
            yield moved(move)
        elif not seen.heard(move.task, low, high):
            yield moved(move, why_not=NOT_READ)
        elif None in roles:
            yield moved(move, why_not=NO_ROLE)
        else:
            yield moved(move, "complete without a comment by a tester in the 24 h before")


def not_verified(seen: Seen, _: Words) -> Verdicts:
    """S4: if the server hasn't told of all, a tester may have worked on it between two looks."""
    for move in seen.completions:
        steps = seen.past.steps[move.task]
        stay = _since_handoff(steps[: steps.index(move.after)])
        workers = {step.agent for step in stay if step.status == "working"}
        roles = {seen.role(agent) for agent in workers}
        if "tester" in roles:
            yield moved(move)
        elif None in roles:
            yield moved(move, why_not=NO_ROLE)
        elif not seen.past.watched(move.task, stay[0].low, move.high):
            yield moved(move, why_not=NOT_EXACT)
        else:
            yield moved(move, "complete, and no tester has worked on it since it was handed over")


def _since_handoff(steps: list[Step]) -> list[Step]:
    """Return the last steps for which somebody had a task."""
    begin = len(steps) - 1
    while begin > 0 and steps[begin - 1].agent == steps[-1].agent:
        begin -= 1
    return steps[begin:]


def half_handoff(seen: Seen, _: Words) -> Verdicts:
    """H1: a comment, idle, a queue that the new assignee serves; that there is one is what is looked for.

    If it isn't exact, it may have been idle, or in the right queue, between two looks.
    """
    for move in seen.moves:
        if None in (move.before.agent, move.after.agent) or move.before.agent == move.after.agent:
            continue
        if "complete" in (move.before.status, move.after.status):
            continue
        notes = _said_at(seen, move)
        missing = [] if notes is None or notes else ["a comment"]
        unfit = [] if _set_idle(seen, move) else ["status idle"]
        unfit += [] if _fits(seen, move.after) else ["the right queue"]
        missing += unfit if move.after.exact else []
        if unfit and not missing:
            yield moved(move, why_not=NOT_EXACT)
        elif missing:
            whom = f"{brief(move.before.agent or '')} → {brief(move.after.agent or '')}"
            yield moved(move, f"{whom} without {', '.join(missing)}", likely=not move.after.exact)
        else:
            yield moved(move, why_not=NOT_READ if notes is None else None)


def _set_idle(seen: Seen, move: Move) -> bool:
    near = [
        step for step in seen.past.steps[move.task] if move.low <= step.high and step.low <= move.high + NEAR
    ]
    return any(step.status == "idle" for step in near)


def _fits(seen: Seen, step: Step) -> bool:
    """Return whether a queue is one that its task's agent serves, as far as that is known."""
    right = SERVED_BY.get(seen.manual(step.queue) or "")
    role = seen.role(step.agent)
    return right is None or role is None or role in right


def silent_work(seen: Seen, _: Words) -> Verdicts:
    """S6: by the agent's own past; the team's threshold `silent_least_hours` is the least."""
    usual = {agent: _longest_usual(gaps) for agent, gaps in _gaps(seen).items()}
    least = seen.team.thresholds.silent_least_hours * HOUR
    for task in seen.work:
        if task.status != "working" or task.agent is None:
            continue
        signs: list[float] = [task.updated or 0, *(note.at or 0 for note in seen.notes.of(task.id))]
        signs += [step.high for step in seen.past.steps.get(task.id, [])]
        silent, most = seen.now - max(signs), usual.get(task.agent)
        if most is None:
            yield skipped(task, TOO_FEW)
        elif silent <= max(most, least):
            yield held(task)
        elif not _signs_known(seen, task, signs):
            yield skipped(task, NOT_READ)
        else:
            ago, rare = readable_hours(silent / HOUR), readable_hours(max(most, least) / HOUR)
            said = f"in progress without a sign for {ago}; 95 % of its agent's pauses are up to {rare}"
            yield held(task, said, likely=True, since=max(signs))


def _gaps(seen: Seen) -> dict[str, list[float]]:
    """Return the pauses between two signs of each agent at work: its moves, and comments of anybody."""
    found: dict[str, list[float]] = defaultdict(list)
    for task, steps in seen.past.steps.items():
        for step, following in pairwise(steps) if task not in seen.parents else ():
            if step.status == "working" and step.agent is not None:
                notes = seen.notes.between(task, step.high, following.low)
                signs = [step.low, *(note.at for note in notes if note.at is not None), following.high]
                found[step.agent] += [second - first for first, second in pairwise(signs)]
    return found


def _longest_usual(gaps: Sequence[float]) -> float | None:
    if len(gaps) < EXPECTED_LEAST:
        return None
    values = pd.Series(gaps, dtype="float64").to_numpy()
    return percentile(Bounds(values, values), 95)[1]


# Dependencies, subtasks, the archive


def waits_for_the_done(seen: Seen, _: Words) -> Verdicts:
    """D2: between two looks its blocker may have been reopened, and completed again: it is not checked."""
    for move in seen.moves:
        blocker = move.after.blocker
        if blocker is None or blocker == move.before.blocker:
            continue
        status = seen.past.status_between(blocker, move.low, move.high)
        if status is None:
            yield moved(move, why_not="how its blocker was then is not known")
        else:
            said = f"set to wait for #{blocker}, which was complete"
            yield _if_exact(move, said if status == "complete" else None)


def trifles(seen: Seen, _: Words) -> Verdicts:
    """U4: the share of a parent's finished subtasks that surely took less than 15 minutes."""
    items = seen.past.flow.items
    longest = dict(zip(items.tasks.tolist(), items.cycle.high.tolist(), strict=True))
    for parent, children in seen.children.items():
        if parent not in seen.shown_ids:
            continue
        took = [longest[child.id] for child in children if longest.get(child.id, -1) >= 0]
        short = sum(length < LONGEST_TRIFLE for length in took)
        if len(took) >= 2:
            many = short > len(took) / 2
            said = f"{short} of {len(took)} finished subtasks took less than 15 min"
            yield held(seen.tasks[parent], said if many else None)


def deleted(seen: Seen, _: Words) -> Verdicts:
    """A4: whoever had it last is not who deleted it."""
    for change in seen.past.changes:
        last = seen.past.steps.get(change.task, [None])[-1]
        if change.what == "gone" and seen.is_shown(None if last is None else last.agent):
            yield Verdict(change.task, change.by, "deleted", since=change.high, at=change.high)
        elif change.field == "archived_at" and change.after and change.task in seen.shown_ids:
            yield Verdict(change.task, change.by, since=change.high, at=change.high)


def silent_bulk(seen: Seen, _: Words) -> Verdicts:
    """A5: the same change of five tasks or more within ten seconds."""
    alike: dict[tuple[Any, ...], list[Change]] = defaultdict(list)
    for change in seen.past.changes:
        if change.field is not None and change.task in seen.shown_ids and change.task not in seen.parents:
            alike[change.field, change.after if change.field != "archived_at" else None].append(change)
    for (field, after), some in alike.items():
        for bulk in _bulks(some):
            yield _of_bulk(seen, field, after, bulk)


def _bulks(some: list[Change]) -> Iterator[list[Change]]:
    """Yield changes that certainly lie within ten seconds, if they are of enough tasks."""
    some = sorted((one for one in some if one.high - one.low <= BULK_TIME), key=lambda one: one.low)
    begin = 0
    while begin < len(some):
        latest = some[begin].low + BULK_TIME
        end = bisect_right(some, latest, begin, key=lambda one: one.low)
        bulk = [one for one in some[begin:end] if one.high <= latest]
        is_one = len({one.task for one in bulk}) >= BULK
        if is_one:
            yield bulk
        begin = end if is_one else begin + 1


def _of_bulk(seen: Seen, field: str, after: str | None, bulk: list[Change]) -> Verdict:
    tasks = sorted({one.task for one in bulk})
    high = max(one.high for one in bulk)
    verdict = Verdict(tasks[0], bulk[0].by, since=high, at=high)
    parents = {seen.tasks[task].parent for task in tasks} - {None}
    places = [
        one._replace(task=place) for one in bulk[:1] for place in (*tasks, *parents) if place is not None
    ]
    found = [_said_at(seen, place) for place in places]
    if any(found):
        return verdict
    if None in found:
        return verdict._replace(why_not=NOT_READ)
    to = "" if after is None else f" → {brief(after)}"
    return verdict._replace(
        evidence=f"{field}{to} of {len(tasks)} tasks at once without a comment: {numbers(tasks)}"
    )
