"""The rules of what is said in comments and linked to."""

from __future__ import annotations

import re
from collections.abc import Iterator

from calypso_nb.audit.seen import DAY, Link, Note, Seen, Task, word_pattern
from calypso_nb.audit.task_checks import Verdicts, Words, busy_below, handed_over
from calypso_nb.audit.verdicts import NOT_DUE, NOT_READ, Verdict, held, said, skipped, written
from calypso_nb.workload.phrases import brief

SHORTEST_COMMENT = 15
LINKS_NOT_READ = "its links were not read"

_HASH = re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,40}\b")
_TO_TASK = re.compile(r"\btasks/(\d{1,18})(?!\d)")


def all_known(seen: Seen, task: Task) -> bool:
    """Return whether all comments of a task were read."""
    return seen.heard(task.id, 0, seen.now)


def _shown_notes(seen: Seen) -> Iterator[Note]:
    since = 0 if seen.recorded is None else seen.recorded.since or 0
    return (note for note in seen.notes if note.task in seen.shown_ids and (note.at or since) >= since)


def empty_comment(seen: Seen, words: Words) -> Verdicts:
    """C3."""
    empty = {_plain(word) for word in words}
    for note in _shown_notes(seen):
        bare = len(note.text.strip()) <= SHORTEST_COMMENT or _plain(note.text) in empty
        yield said(note, f"commented {brief(note.text.strip())!r}" if bare else None)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()


def works_on_anothers(seen: Seen, words: Words) -> Verdicts:
    """S8: nobody says who does what, but an agent that reports on work it never had has done so."""
    starts = tuple(word.casefold() for word in words)
    for note in _shown_notes(seen):
        if note.agent is None or not note.text.strip().casefold().startswith(starts):
            continue
        task = seen.tasks[note.task]
        had = _had(seen, task)
        # Without a history only the last two who had it are known, and that they had it since its last edit.
        if seen.recorded is None and not (note.at and task.updated and note.at > task.updated):
            if note.agent not in had:
                yield skipped(task, "who had it then is not recorded")
            continue
        other = f"{brief(note.agent)} reports on work that {brief(min(had, default='nobody'))} had"
        yield said(note, None if note.agent in had else other, likely=True)


def _had(seen: Seen, task: Task) -> set[str]:
    had = {name for name in (task.agent, task.previous) if name}
    if seen.recorded is not None:
        had |= {step.agent for step in seen.recorded.steps.get(task.id, []) if step.agent}
    return had


def no_pull_request(seen: Seen, words: Words) -> Verdicts:
    """H2: a link of any kind will do."""
    mentions = word_pattern((word.rstrip(":") for word in words), re.IGNORECASE)
    for task in handed_over(seen):
        notes = seen.notes.of(task.id)
        named = any(mentions.search(note.text) or _HASH.search(note.text) for note in notes)
        if named or seen.links.get(task.id):
            yield held(task)
        elif task.id not in seen.links:
            yield skipped(task, LINKS_NOT_READ)
        elif not all_known(seen, task):
            yield skipped(task, NOT_READ)
        else:
            yield held(
                task, f"in {brief(task.queue or '')} without a link, a branch or a commit", likely=True
            )


def regression_without_link(seen: Seen, _: Words) -> Verdicts:
    """B3."""
    for task in seen.open:
        if "regression" in task.tags:
            if task.id not in seen.links:
                yield skipped(task, LINKS_NOT_READ)
            else:
                yield written(task, None if seen.links[task.id] else "tagged regression, and has no link")


def silent_dependency(seen: Seen, _: Words) -> Verdicts:
    """D1."""
    for task in seen.open:
        blocker = seen.tasks.get(task.blocker or 0)
        if blocker is None or not task.blocked:
            continue
        silent = [one.id for one, other in ((task, blocker), (blocker, task)) if not _names(seen, one, other)]
        if not silent:
            yield held(task)
        elif not all(all_known(seen, one) for one in (task, blocker)):
            yield skipped(task, NOT_READ)
        else:
            where = " and ".join(f"#{number}" for number in silent)
            yield held(task, f"it waits for #{blocker.id}, and no comment on {where} names the other",
                       likely=True)  # fmt: skip


def _names(seen: Seen, task: Task, other: Task) -> bool:
    number = re.compile(rf"(?<!\d){other.id}(?!\d)")
    return any(number.search(note.text) for note in seen.notes.of(task.id))


def half_link(seen: Seen, words: Words) -> Verdicts:
    """D4: links to other tasks of the board."""
    for task in seen.shown:
        for link in seen.links.get(task.id, ()):
            other = _linked(seen, link)
            if other is not None and other.id != task.id:
                yield _of_link(seen, task, other, link, words)


def _of_link(seen: Seen, task: Task, other: Task, link: Link, words: Words) -> Verdict:
    verdict = Verdict(task.id, link.agent)
    if not link.description.strip():
        return verdict._replace(evidence=f"its link to #{other.id} has no description")
    if not any(word.casefold() in link.description.casefold() for word in words):
        kinds = ", ".join(words)
        return verdict._replace(evidence=f"its link to #{other.id} says none of {kinds}")
    if other.id not in seen.links:
        return verdict._replace(why_not=LINKS_NOT_READ)
    back = any(_linked(seen, one) == task for one in seen.links[other.id])
    return verdict if back else verdict._replace(evidence=f"#{other.id} has no link back to it")


def _linked(seen: Seen, link: Link) -> Task | None:
    match = _TO_TASK.search(link.url)
    return None if match is None else seen.tasks.get(int(match[1]))


def silent_breakdown(seen: Seen, _: Words) -> Verdicts:
    """U2."""
    for task in seen.open:
        children = seen.children.get(task.id, [])
        if len(children) < 2:
            continue
        if seen.notes.of(task.id):
            yield held(task)
        elif not all_known(seen, task):
            yield skipped(task, NOT_READ)
        else:
            yield held(task, f"{len(children)} subtasks, and no comment", likely=True)


def archived_unfinished(seen: Seen, words: Words) -> Verdicts:
    """A1: without any comment it is certain; without one that says why it is likely."""
    reasons = re.compile("|".join(map(re.escape, words)) or "(?!)", re.IGNORECASE)
    for task in seen.archived:
        notes = seen.notes.of(task.id)
        if task.status == "complete" or any(reasons.search(note.text) for note in notes):
            yield held(task)
        elif not all_known(seen, task):
            yield skipped(task, NOT_READ)
        else:
            told = "no comment says that it was cancelled" if notes else "it has no comment"
            yield held(task, f"archived while {task.status}, and {told}", likely=bool(notes),
                       since=task.archived)  # fmt: skip


def no_last_comment(seen: Seen, _: Words) -> Verdicts:
    """A3."""
    for task in seen.archived:
        end = task.archived or 0
        if seen.notes.between(task.id, end - DAY, end):
            yield held(task)
        elif not seen.heard(task.id, end - DAY, end):
            yield skipped(task, NOT_READ)
        else:
            yield held(task, "no comment in the 24 h before it was archived", since=end)


def no_hub(seen: Seen, _: Words) -> Verdicts:
    """C1."""
    for task in seen.open:
        agents = busy_below(seen, task) if task.id in seen.children else {}
        if len(agents) < 2:
            continue
        if any(note.agent in agents for note in seen.notes.of(task.id)):
            yield held(task)
        elif not all_known(seen, task):
            yield skipped(task, NOT_READ)
        else:
            names = ", ".join(brief(name) for name in sorted(agents)[:5])
            yield held(task, f"{names} work below it, and none of them has commented on it", likely=True)


def escalation_without_decision(seen: Seen, words: Words) -> Verdicts:
    """C2."""
    marks = word_pattern(words)
    decisions = [task for task in seen.tasks.values() if task.title.upper().startswith("DECISION:")]
    for note in _shown_notes(seen):
        if (mark := marks.search(note.text)) is None or note.at is None:
            continue
        if note.task in {task.id for task in decisions} or _decided(seen, note, decisions):
            yield said(note, likely=True)
        elif seen.now < note.at + DAY:
            yield said(note, why_not=NOT_DUE)
        elif note.task not in seen.links:
            yield said(note, why_not=LINKS_NOT_READ)
        else:
            yield said(note, f"{mark[0]} in a comment, and no DECISION: task linked within 24 h", likely=True)


def _decided(seen: Seen, note: Note, decisions: list[Task]) -> bool:
    """Return whether a task for the decision was made in time, and is linked in any way."""
    number = re.compile(rf"(?<!\d){note.task}(?!\d)")
    own = {other.id for link in seen.links.get(note.task, ()) if (other := _linked(seen, link)) is not None}
    for task in decisions:
        if (task.created or 0) > (note.at or 0) + DAY:
            continue
        back = any(_linked(seen, link) == seen.tasks[note.task] for link in seen.links.get(task.id, ()))
        part = task.parent == note.task or seen.tasks[note.task].blocker == task.id
        if task.id in own or back or part or number.search(f"{task.title} {task.description or ''}"):
            return True
    return False
