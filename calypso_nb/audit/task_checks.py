"""The rules of how a task is written and filed, as far as the listing shows them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cache

from calypso_nb.audit.seen import (
    CODE_REVIEW,
    DEVELOPMENT,
    HANDOFF_QUEUES,
    HOUR,
    QA,
    TESTING,
    Seen,
    Task,
    word_pattern,
)
from calypso_nb.audit.verdicts import (
    NO_ROLE,
    Verdict,
    held,
    numbers,
    skipped,
    written,
)
from calypso_nb.frames import STATUSES
from calypso_nb.workload.blocking import cycles
from calypso_nb.workload.phrases import brief, readable_hours

Verdicts = Iterator[Verdict]
Words = Sequence[str]

# Manual 00, section 7.1.
TITLE_LIMIT = 80
MOST_TAGS = 5
URGENT_SHARE, URGENT_LEAST = 0.2, 10

_VERBS = """
abort accept access acknowledge activate adapt add adjust administer adopt advise agree align allow
analyse analyze anonymise anonymize answer append apply approve archive arrange ask assess assign attach
attempt audit automate avoid back backport balance batch begin benchmark bind bisect block bootstrap bound
break bring broadcast build bump bundle buy bypass cache calculate call cancel capture catch categorise
categorize centralise centralize certify change chart chase check choose claim clarify classify clean
clear click clone close codify coerce collect combine commission commit communicate compare compile
complete compose compress compute concatenate condense conduct configure confirm conform connect consider
consolidate constrain consult consume contain continue contribute convert coordinate cope copy correct
correlate count cover crawl create crop customise customize cut deactivate debug decide decode
decommission decompose decouple decrease decrypt dedicate dedupe deduplicate defer define degrade delay
delegate delete deliver demonstrate denormalise denormalize denote deploy deprecate derive describe design
designate destroy detach detect determine develop diagnose diff dig disable discard discover discuss
dismiss dispatch distinguish distribute divide dockerize document dogfood double-check downgrade download
downsize draft drain drive drop dry-run dump duplicate edit educate elaborate elevate eliminate embed emit
empty emulate enable encapsulate encode encourage encrypt enforce engage enhance enlarge enqueue enrich
enrol enroll ensure enter enumerate erase escalate escape establish estimate evaluate evolve examine
exclude execute exercise expand experiment expire explain explode explore export expose express extend
externalise externalize extract facilitate fail fake fetch file fill filter finalise finalize find finish
fit fix flag flatten flip flush focus fold follow forbid fork format forward freeze fuzz gather generate
get give go govern grade group grow guard halt hand handle harden harmonise harmonize hash help hide
highlight hire hoist hold honor honour hook hunt identify ignore illustrate implement import impose
improve include incorporate increase index infer inform inherit initialise initialize initiate inject
inline inquire insert inspect install instruct instrument insure integrate interview introduce invalidate
invent invert investigate invite invoke isolate itemise itemize iterate join jump justify keep kick kill
label launch lay learn lease lend let leverage lift limit link lint list listen load localise localize
locate lock log look lower maintain make manage manipulate map mark match materialise materialize maximise
maximize measure meet memoise memoize mention mentor merge message migrate minify minimise minimize mirror
mitigate mix mock model modernise modernize modify monitor mount move multiplex multiply mute name narrow
navigate negotiate nest normalise normalize note notify obfuscate observe obtain offer omit onboard open
operate optimise optimize orchestrate order organise organize outsource overhaul override own package
paginate parallelise parallelize parameterise parameterize parse pass paste patch pause pay perform
persist pick pin ping plan play polish poll pop populate port post postpone practice practise precompute
predict preempt prefer prefix preload prepare present preserve press prevent preview print prioritise
prioritize probe proceed process procure produce productionise productionize profile prohibit promote
prompt proofread propose protect prototype prove provide provision proxy prune publish pull purchase purge
pursue push put qualify quantify quarantine query quit quote raise randomise randomize rank reach react
read readjust realign reassess reassign reauthorise rebase rebuild recheck recommend recompute reconcile
reconfigure reconsider record recover recreate recruit recycle redact redesign redirect redo redraw reduce
reevaluate refactor refer refine reflect reformat refresh refund regain regenerate register regulate
rehearse reimplement reindex reinforce reinstall reinstate reject relabel relax release reload relocate
remediate remember remind remove rename render reopen reorder repair repeat rephrase replace replay reply
repopulate report represent reprioritise reprioritize reproduce request require rerun rescue research
reserve reset reshape resize resolve respect respond restart restore restrict restructure resume resurrect
retain retest rethink retire retrain retrieve retrofit retry retune return reuse revamp revert review
revise revisit revoke reward rewire reword rework rewrite roll rotate round route run salvage sample
sanitise sanitize satisfy save scale scan schedule scope scrape screenshot script scroll scrub search
secure see seed seek segment select sell send separate serialise serialize serve set settle setup shape
shard share sharpen shelve shift ship shorten show shrink shut sign silence simplify simulate size sketch
skip slice slim slow smooth snapshot solve sort spawn specify speed spike spin split spot squash stabilise
stabilize stamp stand standardise standardize start stay steer step stop store straighten stream
streamline strengthen stress stretch strip structure stub study submit subscribe substitute subtract
suggest summarise summarize sunset supervise supply support suppress survey suspend swap switch symlink
sync synchronise synchronize tabulate tackle tag tail tailor take talk target teach tell terminate test
think throttle throw tidy tie tighten toggle tokenise tokenize touch trace track train transcribe transfer
transform transition translate transpile trap treat triage trial trigger trim triple try tune turn tweak
type-check typeset unblock uncover understand undo unfreeze unify uninstall unlink unlock unmount unpack
unpin unskip unsubscribe untangle update upgrade uphold upload use validate vary verify vet view
virtualise virtualize visit visualise visualize void vote wait wake walk warm warn watch watermark weigh
weight welcome whitelist widen wipe wire withdraw work workshop wrap write yank zip zoom
"""
VERBS = frozenset(_VERBS.split())

_WORD = re.compile(r"\A\W*([^\W\d_]+(?:-[^\W\d_]+)*)")
_IN_BRACKETS = re.compile(r"\[\s*([^\[\]]{1,20}?)\s*\]")
_NUMBER = re.compile(r"#(\d{1,18})")
_LIST = re.compile(r"^[ \t]*(?:[-*+\u2022]|\d+[.)])\s|\[[ xX]\]", re.MULTILINE)
_TAG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


# Titles and descriptions


def long_title(seen: Seen, _: Words) -> Verdicts:
    """T1."""
    for task in seen.open:
        length = len(task.title)
        yield written(task, f"its title has {length} characters" if length >= TITLE_LIMIT else None)


def no_verb(seen: Seen, prefixes: Words) -> Verdicts:
    """T2: a title in another script than the verbs' is not checked."""
    starts = tuple(prefix.casefold() for prefix in prefixes)
    verbs = VERBS | {verb.casefold() for verb in seen.team.audit.verbs}
    for task in seen.open:
        first = _WORD.match(task.title)
        word = "" if first is None else first[1].casefold()
        if (
            task.title.casefold().startswith(starts)
            or {word, word.partition("-")[0], word.removeprefix("re")} & verbs
        ):
            yield written(task)
        elif word and not word.isascii():
            yield Verdict(task.id, task.creator, None, "a title that is not in English")
        else:
            first_word = next(iter(task.title.split()), "")
            yield written(task, f"its title begins with {brief(first_word)!r}", likely=True)


def state_in_title(seen: Seen, words: Words) -> Verdicts:
    """T3."""
    marks = word_pattern(words)
    states = {*(word.casefold() for word in words), *STATUSES, "blocked", "in progress"}
    for task in seen.open:
        found = _state_in(task.title, marks, states, seen)
        yield written(task, None if found is None else f"its title has {found}", likely=True)


def _state_in(title: str, marks: re.Pattern[str], states: set[str], seen: Seen) -> str | None:
    if (mark := marks.search(title)) is not None:
        return repr(mark[0])
    for match in _IN_BRACKETS.finditer(title) if "[" in title else ():
        if match[1].casefold() in states:
            return repr(brief(match[0]))
    for before in title.split(":")[:-1]:
        name = before.rsplit(None, 1)[-1:]
        if name and name[0] in seen.agents and before.endswith(name[0]):
            return f"the agent {brief(name[0])}"
    for match in _NUMBER.finditer(title) if "#" in title else ():
        if int(match[1]) in seen.tasks:
            return f"the number of task {match[1]}"
    return None


def same_title(seen: Seen, _: Words) -> Verdicts:
    """T4."""
    alike: dict[str, list[int]] = defaultdict(list)
    for task in seen.tasks.values():
        if task.is_open and task.title:
            alike[_bare(task.title)].append(task.id)
    for task in seen.open:
        same = alike[_bare(task.title)]
        many = len(same) > 1
        yield written(task, f"{len(same)} open tasks have this title: {numbers(same)}" if many else None)


@cache
def _bare(title: str) -> str:
    """Return a title without case, blanks and punctuation; one of nothing else stays as it is."""
    return re.sub(r"[\W_]+", "", title.casefold()) or title


def no_criteria(seen: Seen, words: Words) -> Verdicts:
    """T5: an empty description is certain; that it has no criteria is likely."""
    any_of = re.compile("|".join(map(re.escape, words)) or "(?!)", re.IGNORECASE)
    for task in seen.open:
        text = (task.description or "").strip()
        if not text:
            yield written(task, "it has no description")
        elif any_of.search(text) or _LIST.search(text):
            yield written(task)
        else:
            yield written(task, "its description names no acceptance criteria", likely=True)


# Tags and priorities


def odd_tag(seen: Seen, own: Words) -> Verdicts:
    """G1: `own` are the beginnings of tags that a tool sets."""
    for task in seen.open:
        if task.tags:
            odd = [tag for tag in task.tags if not _TAG.fullmatch(tag) and not tag.startswith(tuple(own))]
            yield written(task, f"tagged {', '.join(repr(brief(tag)) for tag in odd[:3])}" if odd else None)


def wrong_tags(seen: Seen, own: Words) -> Verdicts:
    """G2: how many tags, and none that says what another field does."""
    for task in seen.open:
        tags = [tag for tag in task.tags if not tag.startswith(tuple(own))]
        said = [tag for tag in tags if tag in STATUSES or tag in seen.agents or tag.startswith("sprint-")]
        if said:
            yield written(task, f"tagged {brief(said[0])!r}, which is a status, an agent or a sprint")
        else:
            number = "no tag" if not tags else f"{len(tags)} tags"
            yield written(task, None if 1 <= len(tags) <= MOST_TAGS else f"it has {number}")


def odd_priority(seen: Seen, _: Words) -> Verdicts:
    """P1: 0 is what a server gives a task that says none."""
    for task in seen.open:
        if task.priority is None:
            yield skipped(task, "a priority that is no whole number")
        else:
            right = 0 <= task.priority <= 10
            yield written(task, None if right else f"priority {task.priority}")
    least = seen.team.thresholds.urgent_priority
    urgent = sum(task.priority is not None and task.priority >= least for task in seen.work)
    if len(seen.work) >= URGENT_LEAST:
        many = urgent > URGENT_SHARE * len(seen.work)
        yield Verdict(None, None, f"{urgent} of {len(seen.work)} open tasks are urgent" if many else None)


# Queues and who has a task


def no_queue(seen: Seen, _: Words) -> Verdicts:
    """Q1."""
    for task in seen.work:
        if task.queue is not None:
            yield held(task)
        elif task.agent is None:
            yield held(task, "in no queue, and unassigned")
        else:
            yield held(task, "in no queue", likely=True)


def wrong_role(seen: Seen, _: Words) -> Verdicts:
    """Q2."""
    wrong = {DEVELOPMENT: "tester", QA: "developer", TESTING: "developer"}
    for task in seen.work:
        queue = seen.manual(task.queue)
        if task.agent is None or queue not in (*wrong, CODE_REVIEW):
            continue
        if queue == CODE_REVIEW:
            own = task.agent == task.previous
            yield held(task, "its own author is to review it" if own else None)
        elif (role := seen.role(task.agent)) is None:
            yield skipped(task, NO_ROLE)
        else:
            yield held(task, f"in {queue} with a {role}" if role == wrong[queue] else None)


def work_in_handoff(seen: Seen, _: Words) -> Verdicts:
    """Q3."""
    right = {QA: ("tester",), TESTING: ("tester",), CODE_REVIEW: ("developer", "reviewer")}
    for task in seen.work:
        queue = seen.manual(task.queue)
        if task.status != "working" or task.agent is None or queue not in right:
            continue
        role = seen.role(task.agent)
        if role is None:
            yield skipped(task, NO_ROLE)
        else:
            yield held(task, None if role in right[queue] else f"a {role} works on it in {queue}")


def blocked_elsewhere(seen: Seen, _: Words) -> Verdicts:
    """Q7: it has been blocked at least since the last edit of both tasks."""
    for task in seen.work:
        if not task.blocked:
            continue
        blocker = seen.tasks.get(task.blocker or 0)
        edits = [one.updated for one in (task, blocker) if one is not None and one.updated is not None]
        since = max(edits, default=seen.now)
        if seen.is_parked(task.queue):
            yield held(task, since=since)
        elif seen.now - since > HOUR:
            where = "in no queue" if task.queue is None else f"in {brief(task.queue)}"
            yield held(task, f"it waits for #{task.blocker} and is {where}", since=since)
        else:
            yield skipped(task, "how long it has been blocked is not known")


def unblocked_in_blocked(seen: Seen, _: Words) -> Verdicts:
    """Q8."""
    for task in seen.open:
        blocker = seen.tasks.get(task.blocker or 0)
        if blocker is not None and seen.is_parked(task.queue):
            done = blocker.status == "complete"
            since = max(task.updated or 0, blocker.updated or 0)
            evidence = f"#{blocker.id}, which it waited for, is complete" if done else None
            yield held(task, evidence, since=since)


def wrong_verification(seen: Seen, _: Words) -> Verdicts:
    """Q9: a defect in the features' queue is certain; one in the other that is not marked is likely."""
    for task in seen.work:
        queue = seen.manual(task.queue)
        if queue == QA:
            yield held(task, f"a defect in {QA}" if task.is_bug else None)
        elif queue == TESTING:
            yield held(task, None if task.is_bug else f"not marked as a defect in {TESTING}", likely=True)


def too_much_at_once(seen: Seen, _: Words) -> Verdicts:
    """S7: as many tasks as the team allows the agent, by default one."""
    working: dict[str, list[Task]] = defaultdict(list)
    for task in seen.tasks.values():
        if task.is_open and task.status == "working" and task.agent and task.id not in seen.above:
            working[task.agent].append(task)
    for agent, tasks in sorted(working.items()):
        shown = [task for task in tasks if task.id in seen.shown_ids]
        if shown:
            many = len(tasks) > seen.team.limit(agent)
            ids = numbers([task.id for task in tasks])
            yield held(shown[0], f"{len(tasks)} tasks in progress: {ids}" if many else None)


def not_to_reporter(seen: Seen, _: Words) -> Verdicts:
    """H3."""
    for task in seen.work:
        if seen.manual(task.queue) == TESTING and task.agent and task.creator:
            wrong = task.agent != task.creator
            said = f"{brief(task.creator)} reported it, and {brief(task.agent)} is to test it"
            yield held(task, said if wrong else None)


def kicked_back_to(seen: Seen, _: Words) -> Verdicts:
    """K2: what a tester has sent back is a developer's."""
    for task in seen.work:
        if seen.manual(task.queue) != DEVELOPMENT or task.agent is None:
            continue
        if seen.role(task.previous) == "tester":
            role = seen.role(task.agent)
            if role is None:
                yield skipped(task, NO_ROLE)
            else:
                yield held(task, None if role == "developer" else f"sent back to a {role}")


# Defects


def half_marked_bug(seen: Seen, _: Words) -> Verdicts:
    """B1."""
    for task in seen.open:
        if task.is_bug:
            yield written(task, _half_marked(task))


def _half_marked(task: Task) -> str | None:
    if not task.title.upper().startswith("BUG:"):
        return "tagged bug, and its title doesn't begin with BUG:"
    if "bug" not in task.tags:
        return "BUG: in its title, and not tagged bug"
    return "no tag names the component" if len(set(task.tags)) == 1 else None


def bare_bug(seen: Seen, words: Words) -> Verdicts:
    """B2."""
    for task in seen.open:
        if task.is_bug:
            text = (task.description or "").casefold()
            missing = [word for word in words if word.casefold() not in text]
            yield written(task, f"it says nothing of {', '.join(missing)}" if missing else None, likely=True)


# Dependencies, subtasks, archive


def waits_for_itself(seen: Seen, _: Words) -> Verdicts:
    """D3."""
    found: dict[int, tuple[str, float]] = {}
    for circle in cycles(seen.data.all_tasks):
        evidence = f"it waits for itself: {numbers([*circle, circle[0]], 8)}"
        since = max(seen.tasks[task].updated or 0 for task in circle)
        found |= dict.fromkeys(circle, (evidence, float(since)))
    for task in seen.open:
        if task.blocked and task.blocker is not None:
            said, begun = found.get(task.id, (None, None))
            yield held(task, said, since=begun)


def subtask_without_queue(seen: Seen, _: Words) -> Verdicts:
    """U1."""
    for task in seen.open:
        if task.parent is not None:
            yield held(task, None if task.queue else f"a subtask of #{task.parent} in no queue")


def parent_left_behind(seen: Seen, _: Words) -> Verdicts:
    """U3: it has been so at least since the last edit of all of them."""
    for task in seen.shown:
        children = seen.children.get(task.id, [])
        if task.archived is not None or not children or any(one.status != "complete" for one in children):
            continue
        since = max(one.updated or 0 for one in (task, *children))
        if seen.manual(task.queue) != DEVELOPMENT:
            yield held(task)
        elif seen.now - since > HOUR:
            ago = readable_hours((seen.now - since) / HOUR)
            yield held(task, f"its subtasks are complete for {ago} or longer, and it is in {DEVELOPMENT}",
                       since=since)  # fmt: skip
        else:
            yield skipped(task, "since when its subtasks are complete is not known")


def parent_archived(seen: Seen, _: Words) -> Verdicts:
    """A2."""
    for task in seen.open:
        parent = seen.tasks.get(task.parent or 0)
        if parent is not None:
            gone = parent.archived is not None
            since = max(parent.archived or 0, task.updated or 0) if gone else None
            yield held(task, f"its parent #{parent.id} is archived" if gone else None, since=since)


def handed_over(seen: Seen) -> list[Task]:
    """Return the tasks that wait for somebody else to look at them."""
    return [task for task in seen.work if seen.manual(task.queue) in HANDOFF_QUEUES]


def busy_below(seen: Seen, parent: Task) -> Counter[str]:
    """Return how many tasks below a parent each agent has in progress."""
    found: Counter[str] = Counter()
    waiting, known = [parent.id], {parent.id}
    while waiting:
        for child in seen.children.get(waiting.pop(), []):
            if child.id not in known:
                known.add(child.id)
                waiting.append(child.id)
                if child.status == "working" and child.agent and child.id not in seen.above:
                    found[child.agent] += 1
    return found
