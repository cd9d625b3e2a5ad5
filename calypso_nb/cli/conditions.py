"""Conditions on a report, for cron jobs and CI: `idle > 10 and oldest_hours > 48`."""

import ast
from typing import Any, NamedTuple

import pandas as pd

from calypso_nb.errors import UsageError
from calypso_nb.workload.attention import REASONS
from calypso_nb.workload.reporter import Workload

# Reasons that a server without subtasks and blocking (v1) cannot give.
_NEED_V2 = {"archived_blocker", "blocking_cycle", "parked", "complete_parent", "archived_parent"}

NAMES = (
    *("open", "idle", "working", "complete", "unassigned", "blocked", "agents", "agents_with_work"),
    *("oldest_hours", "attention"),
    *REASONS,
)

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
    s = data.summary
    reasons = data.attention["reason"].value_counts()
    found: dict[str, float | None] = {name: int(reasons.get(name, 0)) for name in REASONS}
    if bool(data.all_tasks["is_currently_blocked"].isna().any()):
        found.update(dict.fromkeys(_NEED_V2))
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
    }


def parse_condition(text: str) -> Condition:
    """Read comparisons of `NAMES` and numbers, joined by `and`, `or` and parentheses.

    Raise UsageError that says what can be written.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError):  # A null byte is a ValueError before Python 3.12.
        raise _refused(f"{text!r} is not a condition") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and type(node.value) not in (int, float):
            raise _refused(f"{node.value!r} is not a number")
        if not all(isinstance(part, _PARTS.get(type(node), ())) for part in ast.iter_child_nodes(node)):
            raise _refused(f"{text!r} is not a comparison of names and numbers")
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for name in names - {*NAMES}:
        raise _refused(f"{name!r} is not a valid name")
    if not names:
        raise _refused(f"{text!r} has no name in it")
    return Condition(ast.unparse(tree), [name for name in NAMES if name in names])


def condition_that_holds(condition: Condition, data: Workload) -> str | None:
    """Return a condition with the numbers that were found, or None if it doesn't hold for a report.

    Raise UsageError if that depends on a number that the server doesn't report.
    """
    values = metrics(data)
    # One row of nullable numbers: pandas decides whatever can be decided without the unknown ones.
    row = pd.DataFrame({name: pd.array([values[name]], dtype="Float64") for name in condition.names})
    evaluated: Any = row.eval(condition.text, engine="python")
    [holds] = evaluated.tolist()
    if pd.isna(holds):
        unknown = next(name for name in condition.names if values[name] is None)
        why = "this server doesn't report it"
        if unknown == "complete":
            why = "the report leaves complete tasks out; add --status all"
        raise UsageError(f"{unknown!r} is unavailable: {why}")
    if not holds:
        return None
    found = []
    for name in condition.names:
        value = values[name]
        found.append(f"{name} is unknown" if value is None else f"{name} is {value:g}")
    return f"{condition.text} ({', '.join(found)})"


def _refused(what: str) -> UsageError:
    return UsageError(f"{what}: write for example 'idle > 10 and blocked > 0'; names are {', '.join(NAMES)}")
