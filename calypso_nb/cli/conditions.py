"""Conditions on a report, for cron jobs and CI: `idle > 10 and oldest_hours > 48`."""

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from calypso_nb.audit.audit import Audit
from calypso_nb.audit.rules import RULES
from calypso_nb.errors import UsageError
from calypso_nb.workload.reasons import REASONS
from calypso_nb.workload.reporter import Workload

# Reasons that a server without subtasks and blocking (v1) cannot give.
_NEED_V2 = {
    *("archived_blocker", "blocking_cycle", "unserved_queue", "working_blocked"),
    *("parked", "complete_parent", "archived_parent"),
}
# Reasons that nobody knows of without the comments.
NEED_COMMENTS = ("waiting_on_human", "run_lost")

NAMES = (
    *("open", "idle", "working", "complete", "unassigned", "blocked", "agents", "agents_with_work"),
    *("oldest_hours", "attention", "paused_hours"),
    *REASONS,
)

# What can be asked of an audit: how many findings, how many rules are broken, and how often each is.
AUDIT_NAMES = ("findings", "broken_rules", *RULES)

# What can stand in what, of all that Python can say.
_PARTS: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Expression: (ast.BoolOp, ast.Compare),
    ast.BoolOp: (ast.BoolOp, ast.Compare, ast.boolop),
    ast.Compare: (
        *(ast.Name, ast.Constant, ast.UnaryOp),
        *(ast.Gt, ast.GtE, ast.Lt, ast.LtE, ast.Eq, ast.NotEq),
    ),
    ast.UnaryOp: (ast.Constant, ast.USub),
    ast.Name: (ast.Load,),
}


class Condition(NamedTuple):
    """An expression that pandas can evaluate on a row of `metrics`, and the names in it."""

    text: str
    names: list[str]


def metrics(data: Workload) -> dict[str, float | None]:
    """Return what each of `NAMES` stands for in a report; None is unknown."""
    s, paused = data.summary, data.paused_since
    reasons = data.needs["reason"].value_counts()
    found: dict[str, float | None] = {name: int(reasons.get(name, 0)) for name in REASONS}
    if bool(data.all_tasks["is_currently_blocked"].isna().any()):
        found.update(dict.fromkeys(_NEED_V2))
    open_tasks = data.tasks[data.tasks["is_open"]]
    if bool(open_tasks["comment_count"].isna().any()):  # A history need not have all comments, or signs.
        found.update(dict.fromkeys(NEED_COMMENTS))
    return found | {
        "open": s.total_open_tasks,
        "idle": s.total_idle,
        "working": s.total_working,
        "complete": s.total_complete,
        "unassigned": s.total_unassigned,
        "blocked": s.total_blocked,
        "agents": s.total_agents,
        "agents_with_work": len(s.agents_with_work),
        # Without an open task nothing is old.
        "oldest_hours": s.oldest_open_hours if s.total_open_tasks else 0,
        "attention": len(data.attention),
        "paused_hours": 0 if paused is None else (data.generated_at - paused).total_seconds() / 3600,
    }


def audit_metrics(audit: Audit, likely: bool = False) -> dict[str, float | None]:
    """Return what each of `AUDIT_NAMES` stands for in an audit; a rule that was not checked is None.

    - likely: count findings that are only likely, too
    """
    findings = (audit.findings if likely else audit.certain)["rule"].value_counts()
    checked = audit.rules["rule"][audit.rules["broken"].notna()]
    found: dict[str, float | None] = dict.fromkeys(RULES)
    found |= {rule: int(findings.get(rule, 0)) for rule in checked}
    return found | {"findings": int(findings.sum()), "broken_rules": len(findings)}


def parse_condition(text: str, known: Sequence[str] = NAMES) -> Condition:
    """Read comparisons of names and numbers, joined by `and`, `or` and parentheses.

    - known: the names that can be written

    Raise UsageError that says what can be written.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError):  # A null byte is a ValueError before Python 3.12.
        raise _refused(f"{text!r} is not a condition", known) from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and type(node.value) not in (int, float):
            raise _refused(f"{node.value!r} is not a number", known)
        if not all(isinstance(part, _PARTS.get(type(node), ())) for part in ast.iter_child_nodes(node)):
            raise _refused(f"{text!r} is not a comparison of names and numbers", known)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for name in names - {*known}:
        raise _refused(f"{name!r} is not a valid name", known)
    if not names:
        raise _refused(f"{text!r} has no name in it", known)
    return Condition(ast.unparse(tree), [name for name in known if name in names])


def condition_that_holds(condition: Condition, data: Workload) -> str | None:
    """Return a condition with the numbers that were found, or None if it doesn't hold for a report.

    Raise UsageError if that depends on a number that the server doesn't report.
    """
    return _holding(condition, metrics(data), _why_unknown)


def audit_condition_that_holds(condition: Condition, audit: Audit, likely: bool) -> str | None:
    """Return a condition with the numbers that were found, or None if it doesn't hold for an audit.

    Raise UsageError if that depends on a rule that was not checked.
    """
    why = dict(zip(audit.rules["rule"], audit.rules["why"], strict=True))
    return _holding(condition, audit_metrics(audit, likely), lambda name: f"not checked: {why[name]}")


def _why_unknown(name: str) -> str:
    if name in NEED_COMMENTS:
        return "the comments of some tasks were not read"
    if name == "complete":
        return "the report leaves complete tasks out; add --status all"
    return "this server doesn't report it"


def _holding(
    condition: Condition, values: Mapping[str, float | None], why: Callable[[str], str]
) -> str | None:
    # One row of nullable numbers: pandas decides whatever can be decided without the unknown ones.
    row = pd.DataFrame({name: pd.array([values[name]], dtype="Float64") for name in condition.names})
    evaluated: Any = row.eval(condition.text, engine="python")
    [holds] = evaluated.tolist()
    if pd.isna(holds):
        unknown = next(name for name in condition.names if values[name] is None)
        raise UsageError(f"{unknown!r} is unavailable: {why(unknown)}")
    if not holds:
        return None
    found = []
    for name in condition.names:
        value = values[name]
        found.append(f"{name} is unknown" if value is None else f"{name} is {value:g}")
    return f"{condition.text} ({', '.join(found)})"


def _refused(what: str, known: Sequence[str]) -> UsageError:
    example = "idle > 10 and blocked > 0" if known == NAMES else "findings > 10 or Q1 > 0"
    return UsageError(f"{what}: write for example {example!r}; names are {', '.join(known)}")
