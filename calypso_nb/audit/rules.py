"""The rules of the team's process as data: what each says, what it needs, and how it is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple, TypeAlias

from calypso_nb.audit import move_checks as moves
from calypso_nb.audit import note_checks as notes
from calypso_nb.audit import task_checks as tasks
from calypso_nb.audit.seen import Seen
from calypso_nb.audit.verdicts import Verdict

Need: TypeAlias = Literal["listing", "queues", "queue names", "comments", "links", "history", "roles"]
Certainty: TypeAlias = Literal["certain", "likely", "both"]


class Rule(NamedTuple):
    """One rule of the process.

    - id: as the manual's list of checks has it
    - text: what is asked for
    - source: the sections of the manual, empty if its list of checks names none
    - needs: what it can't be checked without
    - certainty: of what breaks it; both if that depends
    - to_do: what mends it
    - check: yields a verdict for each thing that it is checked on
    - words: its own words, which a team can replace
    """

    id: str
    text: str
    source: str
    needs: tuple[Need, ...]
    certainty: Certainty
    to_do: str
    check: Callable[[Seen, tuple[str, ...]], Iterator[Verdict]]
    words: tuple[str, ...] = ()


_S: tuple[Need, ...] = ("listing",)
_Q: tuple[Need, ...] = ("listing", "queues")
_M: tuple[Need, ...] = ("listing", "queues", "queue names")
_MR: tuple[Need, ...] = (*_M, "roles")
_N: tuple[Need, ...] = ("comments",)
_QN: tuple[Need, ...] = ("queues", "comments")
_NL: tuple[Need, ...] = ("comments", "links")
_MNL: tuple[Need, ...] = (*_M[1:], *_NL)
_L: tuple[Need, ...] = ("links",)
_H: tuple[Need, ...] = ("history",)
_HQ: tuple[Need, ...] = ("history", "queues")
_HN: tuple[Need, ...] = ("history", "comments")
_HQN: tuple[Need, ...] = ("history", "queues", "comments")
_HM: tuple[Need, ...] = ("history", "queues", "queue names")
_HMN: tuple[Need, ...] = (*_HM, "comments")
_HR: tuple[Need, ...] = ("history", "roles")
_HNR: tuple[Need, ...] = ("history", "comments", "roles")

# Tags that the scheduler sets; see its recipes.
_OWN_TAGS = ("recipe:", "failed:", "run-agent", "handed-over")

_RULES: tuple[Rule, ...] = (
    Rule("T1", "A title has fewer than 80 characters", "00 §7.1, 07 §2.1", _S, "certain",
         "shorten it", tasks.long_title),
    Rule("T2", "A title starts with a verb, or with BUG:, DECISION: or Follow-up:", "", _S, "likely",
         "start it with what is to be done", tasks.no_verb, ("BUG:", "DECISION:", "Follow-up:")),
    Rule("T3", "A title has no status, agent or task number", "07 §2.2", _S, "likely",
         "move that into its field, or a comment", tasks.state_in_title, ("WIP", "DONE", "TODO")),
    Rule("T4", "No two open tasks have the same title", "", _S, "certain",
         "say what differs, or archive one", tasks.same_title),
    Rule("T5", "A task has a description with acceptance criteria", "07 §2.3", _S, "both",
         "say what must be so for it to be complete", tasks.no_criteria,
         ("accept", "criteria", "done when", "definition of done")),
    Rule("G1", "Tags are lowercase words with hyphens", "07 §3.1", _S, "certain",
         "write the tag in lowercase, with hyphens", tasks.odd_tag, _OWN_TAGS),
    Rule("G2", "A task has 1 to 5 tags, none a status, an agent or a sprint", "07 §3.3", _S, "certain",
         "give it 1 to 5 tags that say what it is about", tasks.wrong_tags, _OWN_TAGS),
    Rule("P1", "Priorities are 1 to 10, or 0 for none, and few tasks are urgent", "07 §4.1, 4.3", _S,
         "certain", "set it anew", tasks.odd_priority),
    Rule("P2", "Whoever lowers a priority says why", "", _HN, "certain",
         "say why in a comment", moves.silent_lowering),
    Rule("Q1", "Every open task is in a queue", "02 B1", _Q, "both",
         "put it in a queue", tasks.no_queue),
    Rule("Q2", "An assignee has a role that its queue is for", "00 §6, 07 §6.3", _MR, "certain",
         "reassign it, or move it", tasks.wrong_role),
    Rule("Q3", "In a handoff queue, only its own role works", "", _MR, "certain",
         "set it idle, and reassign it", tasks.work_in_handoff),
    Rule("Q4", "A task is idle before it changes its queue", "", _HQ, "certain",
         "set it idle first", moves.working_while_moved),
    Rule("Q5", "A task goes from queue to queue as the manual says", "07 §6.2", _HM, "both",
         "move it back, or say why", moves.wrong_move),
    Rule("Q6", "Whoever changes a queue says why", "07 §6.3.1", _HQN, "likely",
         "say why in a comment", moves.silent_queue_move),
    Rule("Q7", "Blocked work is in the queue for it", "07 §9.2.3", _Q, "certain",
         "move it to the queue for blocked work", tasks.blocked_elsewhere),
    Rule("Q8", "Unblocked work leaves the queue for blocked work", "07 §9.2.4", _Q, "certain",
         "move it to a queue that is worked on", tasks.unblocked_in_blocked),
    Rule("Q9", "Defects go to ready-for-testing, features to ready-for-qa", "07 §6.3.4", _M, "both",
         "move it to the other queue, or mark it", tasks.wrong_verification),
    Rule("Q10", "What waits for long in a queue is reviewed", "", _HM, "both",
         "do it, lower its priority, or move it", moves.stale_in_queue),
    Rule("S1", "Developers and reviewers don't complete tasks", "07 §5.2.1", _HR, "likely",
         "hand it to a tester", moves.completed_by_developer),
    Rule("S2", "A task is completed from a queue for verification", "00 §6", _HM, "certain",
         "have it verified", moves.completed_unverified),
    Rule("S3", "A tester comments before a task is complete", "07 §13.2", _HNR, "certain",
         "have a tester say what was verified", moves.no_closure_comment),
    Rule("S4", "A tester has worked on a task before it is complete", "07 §13.2", _HR, "certain",
         "have it verified", moves.not_verified),
    Rule("S5", "Whoever starts a task says so", "07 §5.3", _HN, "likely",
         "comment on the start", moves.silent_start),
    Rule("S6", "A task is set idle when its agent pauses", "", _HN, "likely",
         "ask its agent, or set it idle", moves.silent_work),
    Rule("S7", "An agent works on as many tasks as it may", "", _S, "certain",
         "set the others idle", tasks.too_much_at_once),
    Rule("S8", "Nobody works on a task that another has", "00 §3.3", _N, "likely",
         "assign it to who does it", notes.works_on_anothers, ("Started", "Implementation complete")),
    Rule("H1", "A handoff has a comment, status idle, the right queue and a new assignee", "07 §12.2", _HNR,
         "both", "add what is missing", moves.half_handoff),
    Rule("H2", "What is handed over names its pull request or branch", "07 §12.2", _MNL, "likely",
         "add the link", notes.no_pull_request, ("PR", "pull request", "Branch:", "commit")),
    Rule("H3", "A fixed defect goes back to its reporter", "00 §3.1", _M, "certain",
         "assign it to who reported it", tasks.not_to_reporter),
    Rule("H4", "What is handed over is picked up in the usual time", "", _HM, "both",
         "ask its assignee, or reassign it", moves.not_picked_up),
    Rule("K1", "Whoever sends work back says why", "07 §13.3", _HMN, "certain",
         "say what is wrong in a comment", moves.kickback_without_reason),
    Rule("K2", "What is sent back is given to a developer", "", _MR, "certain",
         "assign it to its developer", tasks.kicked_back_to),
    Rule("K3", "What comes back three times is escalated", "07 §13.3, E5", _HMN, "certain",
         "escalate it", moves.too_many_returns, ("ESCALATION",)),
    Rule("B1", "BUG: and the tag bug go together, with a component", "07 §11.1", _S, "certain",
         "complete its marks", tasks.half_marked_bug),
    Rule("B2", "A defect tells steps, expected, actual and environment", "", _S, "likely",
         "describe them", tasks.bare_bug, ("steps", "expected", "actual", "environment")),
    Rule("B3", "A regression links to what broke it", "07 §11.4", _L, "certain",
         "add the link", notes.regression_without_link),
    Rule("D1", "A dependency has a comment on both tasks", "07 §9.2", _QN, "likely",
         "comment on both", notes.silent_dependency),
    Rule("D2", "A task is not set to wait for what is complete", "", _HQ, "certain",
         "unblock it", moves.waits_for_the_done),
    Rule("D3", "Tasks don't wait for each other in a circle", "", _Q, "certain",
         "unblock one of them", tasks.waits_for_itself),
    Rule("D4", "Tasks link to each other, with a description and a kind", "07 §10.2", _L, "certain",
         "complete both links", notes.half_link, ("[blocks]", "[related]", "[duplicate]")),
    Rule("D5", "Who waited for a task is told when it ends", "", _HQN, "likely",
         "comment on what waited", moves.silent_release),
    Rule("U1", "A subtask is in a queue", "", _Q, "certain",
         "put it in a queue", tasks.subtask_without_queue),
    Rule("U2", "A comment says how a task was broken down", "", _QN, "likely",
         "say it on the parent", notes.silent_breakdown),
    Rule("U3", "A parent is handed over once its subtasks are complete", "", _M, "certain",
         "hand it over", tasks.parent_left_behind),
    Rule("U4", "A subtask is work for a quarter of an hour or more", "07 §8.2.3", _HQ, "certain",
         "break it down less", moves.trifles),
    Rule("A1", "Only complete and cancelled tasks are archived", "07 §15.2", _N, "both",
         "say why, or take it back", notes.archived_unfinished,
         ("cancel", "duplicate", "obsolete", "superseded", "not needed", "won't")),
    Rule("A2", "Subtasks are archived before their parent", "", _Q, "certain",
         "archive it too, or give it another parent", tasks.parent_archived),
    Rule("A3", "A task is archived with a final comment", "07 §15.2", _N, "certain",
         "say why in a comment", notes.no_last_comment),
    Rule("A4", "Tasks are archived, not deleted", "", _H, "certain",
         "archive what is no longer needed", moves.deleted),
    Rule("A5", "Who changes many tasks at once says why", "", _HN, "certain",
         "say why on one of them, or on their parent", moves.silent_bulk),
    Rule("C1", "Who works below the same parent talks there", "", _QN, "likely",
         "comment on the parent", notes.no_hub),
    Rule("C2", "An escalation has a task for the decision", "E5", _NL, "likely",
         "create a DECISION: task, and link it", notes.escalation_without_decision,
         ("ESCALATION", "CONFLICT")),
    Rule("C3", "A comment says something", "07 §7.3", _N, "certain",
         "say what was done, and how it is known", notes.empty_comment,
         ("done", "fixed", "looks good", "working on it")),
)  # fmt: skip

RULES: dict[str, Rule] = {rule.id: rule for rule in _RULES}

# These are about a comment that was read, and the others about one that is missing.
ABOUT_COMMENTS = ("S8", "C2", "C3")

# What the manual asks for and TinyTask knows nothing of.
NOT_CHECKABLE: tuple[str, ...] = (
    "work was reviewed by its own author first",
    "tests and lint have passed",
    "a defect was really reproduced",
    "no two agents change the same files",
    "comments were read and acknowledged",
    "the root cause was fixed",
    "decisions of architecture were kept",
)
