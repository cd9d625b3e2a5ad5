"""What a team has agreed on: thresholds, roles, queues and snoozes, as `calypso_nb.toml` has them.

The environment comes before the file.
It is the same for the dashboard, a page, the console, `--fail-if` and a kernel.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Mapping
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from calypso_nb.agents import read_agents
from calypso_nb.errors import UsageError
from calypso_nb.settings import load_settings

FILE = "calypso_nb.toml"
_PREFIX = "CALYPSO_NB_"
Role = Literal["developer", "tester", "reviewer", "coordinator"]
# A century at most, which any moment can be moved by; it is never, for all that is to be done.
Hours = Annotated[float, Field(ge=0, le=1_000_000)]

Queues = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)
]

# How the fact of a line of the team begins, before its reason.
TEAM = "team:"
# What a snooze can be about.
_ABOUT = ("task", "agent", "queue", "team")
# What the type of an agent in agents.json begins with, by role.
_TYPES: Mapping[Role, tuple[str, ...]] = {
    "developer": ("dev", "ready-for-development", "backend", "frontend", "engineer"),
    "tester": ("qa", "test", "ready-for-qa", "ready-for-testing"),
    "reviewer": ("review", "ready-for-code-review"),
    "coordinator": ("lead", "coordinat", "product", "manager", "triage", "supervisor"),
}


class _Agreed(BaseModel):
    """A table of the file: a name that it doesn't have is an error, not silence."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Thresholds(_Agreed):
    """From where on something needs attention; each threshold belongs to the reason that it is named after.

    - …_hours: how long it must have lasted for certain, in hours; 0 means at once, 1000000 never.
    - urgent_priority: the lowest priority that is urgent.
    - most_working: the most tasks in progress (WIP) that are fine for an agent of which nothing else is said.
    - silent_hours: how long a task in progress may go without a sign of its agent, if the agent's own past
      doesn't say; silent_least_hours is the least that is taken from the past.
    - paused_hours: if nobody has given a sign for so long, the team is taken to be paused.
    - retry_limit: how many failed runs of a task are the last; `run-agent --retries` is the same number.
    - old_hours, untouched_hours: how old an idle task must be, and how long without an edit.
    - parked_queues, backlog_queues: the words that mark a queue as one for blocked work, or for work that is
      not scheduled, in any case.
    - asking_words: what a comment says that waits for a person, as whole words in capitals.
    - supervisors: the names that a comment asks something of, besides your own (`TINYTASK_AGENT`).

    Example: `Thresholds(silent_hours=4, most_working=2)`
    """

    archived_blocker_hours: Hours = 0
    blocking_cycle_hours: Hours = 0
    unserved_queue_hours: Hours = 0
    urgent_priority: int = 9
    urgent_unassigned_hours: Hours = 0
    working_unassigned_hours: Hours = 0
    working_blocked_hours: Hours = 0
    waiting_on_human_hours: Hours = 0
    retries_used_up_hours: Hours = 0
    retry_limit: int = Field(default=3, ge=1)
    run_lost_hours: Hours = 0
    silent_hours: Hours = 24
    silent_least_hours: Hours = 1
    paused_hours: Hours = 4
    most_working: int = Field(default=1, ge=1)
    nothing_working_hours: Hours = 24
    parked_hours: Hours = 0
    complete_parent_hours: Hours = 0
    archived_parent_hours: Hours = 0
    old_hours: Hours = 14 * 24
    untouched_hours: Hours = 7 * 24
    parked_queues: tuple[str, ...] = ("blocked", "waiting", "hold", "parked")
    backlog_queues: tuple[str, ...] = ("backlog", "triage", "icebox")
    asking_words: tuple[str, ...] = ("BLOCKED", "ESCALATION", "DECISION")
    supervisors: tuple[str, ...] = ("supervisor",)


class Snooze(_Agreed):
    """What needs no attention for a while: a task, all of an agent, the line of a queue, or one of the team.

    - task, agent, queue: one of them; of an agent, its tasks too
    - team: instead, the reason that many have
    - until: when it ends, with a time zone; without, only its facts end it
    - facts: as `data.attention` has them; what has another one is back
    - why, by: why, and who says so, for whoever reads it
    """

    task: int | None = None
    agent: str | None = None
    queue: str | None = None
    team: Literal["old_untouched", "too_many_working"] | None = None
    until: AwareDatetime | None = None
    facts: str | None = None
    why: str = ""
    by: str = ""

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if sum(getattr(self, about) is not None for about in _ABOUT) != 1:
            raise ValueError("a snooze is for one task, agent, queue or reason of the team")
        if self.until is None and self.facts is None:
            raise ValueError("a snooze needs an end: until, facts, or both")
        return self

    @property
    def subject(self) -> tuple[str, int | str]:
        """What it is about, and its name: `("task", 7)`."""
        return next((about, name) for about in _ABOUT if (name := getattr(self, about)) is not None)

    def holds(self, now: datetime, facts: str) -> bool:
        """Return whether it is still on at a moment, for a line with such facts."""
        same = self.facts is None or {*facts.split()} <= {*self.facts.split()}
        return same and (self.until is None or now < self.until)


class AuditSettings(_Agreed):
    """How the rules of the process are checked.

    - off: ids of rules that are not checked, such as `T2`
    - queues: what the team calls a queue of the rules, such as `ready-for-qa`
    - verbs: further words that a title may begin with
    - words: other words for a rule's own, by its id
    """

    off: tuple[str, ...] = ()
    queues: dict[str, str] = {}
    verbs: tuple[str, ...] = ()
    words: dict[str, tuple[str, ...]] = {}


class Team(_Agreed):
    """All that a team has agreed on; in `load_team` each value is also a variable, `CALYPSO_NB_AGENTS`.

    - agents: the scheduler's file of agents, which `load_team` takes their roles, limits and queues from; a
      path counts from the file's folder
    - roles: the role of an agent, over what its type in agents.json says
    - limits: how many tasks an agent may have in progress, over its maxConcurrency in agents.json
    - serves: the queue or queues that an agent takes work from, over its types in agents.json

    Example: `Team(limits={"alice": 2}).limit("alice")`
    """

    agents: Path | None = None
    roles: dict[str, Role] = {}
    limits: dict[str, Annotated[int, Field(ge=0)]] = {}
    serves: dict[str, Queues] = {}
    thresholds: Thresholds = Thresholds()
    snoozes: tuple[Snooze, ...] = ()
    audit: AuditSettings = AuditSettings()

    def limit(self, agent: str) -> int:
        """Return how many tasks an agent may have in progress.

        Example: `Team().limit("alice")`
        """
        return self.limits.get(agent, self.thresholds.most_working)

    def role(self, agent: str) -> Role | None:
        """Return an agent's role; None if nothing says it.

        Example: `Team(roles={"alice": "tester"}).role("alice")`
        """
        return self.roles.get(agent)


class _TeamSettings(Team, BaseSettings):
    """What a team has agreed on in the environment, and in a file whose values are given as arguments."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_nested_delimiter="__", env_ignore_empty=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment come first."""
        return env_settings, init_settings


def load_team(file: str | os.PathLike[str] | None = None) -> Team:
    """Read what the team has agreed on.

    - file: by default `CALYPSO_NB_CONFIG`, then the first `calypso_nb.toml` from the working directory up

    Raise UsageError that names what is wrong.
    Example: `load_team().thresholds.urgent_priority`
    """
    named = file or os.environ.get("CALYPSO_NB_CONFIG")
    here = Path.cwd()
    _check_names()
    places = [Path(named).expanduser()] if named else [folder / FILE for folder in (here, *here.parents)]
    place = next((place for place in places if named or place.is_file()), None)
    try:
        settings = _TeamSettings(**({} if place is None else _values_in(place)))
    except (ValidationError, SettingsError) as error:
        source = "the environment (CALYPSO_NB_…)" if place is None else f"{place} or the environment"
        raise UsageError(f"invalid settings in {source}: {_problems(error)}") from None
    return _with_agents(_with_me(Team.model_validate(settings.model_dump())))


def state_folder() -> Path:
    """Return where what is this user's own is kept: `CALYPSO_NB_STATE`, or the usual folder of the system."""
    named = os.environ.get("CALYPSO_NB_STATE")
    return Path(named).expanduser() if named else _usual_folder() / "calypso_nb"


def _usual_folder() -> Path:
    """Return where programs keep such, as `typer.get_app_dir` does, which takes long to import."""
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home())
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def _check_names() -> None:
    """Raise UsageError for a variable of ours that means nothing."""
    known = {f"{_PREFIX}{name}".upper() for name in (*Team.model_fields, "config", "state")}
    for name in os.environ:
        if name.upper().startswith(_PREFIX) and name.upper().partition("__")[0] not in known:
            like = get_close_matches(name.upper(), known, 1)
            hint = f"; did you mean {like[0]}?" if like else ""
            raise UsageError(f"there is no setting {name}{hint}")


def _values_in(file: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{file} is not valid TOML: {error}") from None
    if isinstance(values.get("agents"), str):
        values["agents"] = file.parent / Path(values["agents"]).expanduser()
    return values


def _with_me(team: Team) -> Team:
    me = load_settings().agent
    if not me or me in team.thresholds.supervisors:
        return team
    supervisors = (*team.thresholds.supervisors, me)
    return team.model_copy(
        update={"thresholds": team.thresholds.model_copy(update={"supervisors": supervisors})}
    )


def _with_agents(team: Team) -> Team:
    if team.agents is None:
        return team
    try:
        listed = read_agents(team.agents)
    except OSError as error:
        raise UsageError(
            f"{team.agents}, which the team's settings name as its agents, can't be read: {error.strerror}"
        ) from None
    serves = {agent.name: agent.queues for agent in listed if agent.queues}
    roles = {
        name: role
        for name, queues in serves.items()
        if (role := next(filter(None, map(_role, queues)), None))
    }
    limits = {agent.name: agent.max_concurrency for agent in listed}
    return team.model_copy(
        update={
            "roles": roles | team.roles,
            "limits": limits | team.limits,
            "serves": serves | team.serves,
        }
    )


def _role(kind: str) -> Role | None:
    return next((role for role, starts in _TYPES.items() if kind.lower().startswith(starts)), None)


def _problems(error: ValidationError | SettingsError) -> str:
    if isinstance(error, SettingsError):
        return str(error)
    return "; ".join(
        f"{'.'.join(map(str, problem['loc']))}: {_problem(problem)}"
        for problem in error.errors(include_input=False)
    )


def _problem(problem: Mapping[str, Any]) -> str:
    if problem["type"] != "extra_forbidden":
        return str(problem["msg"])
    known = [name for model in (Team, Thresholds, Snooze, AuditSettings) for name in model.model_fields]
    like = get_close_matches(str(problem["loc"][-1]), known, 1)
    return f"there is no such setting{f'; did you mean {like[0]!r}?' if like else ''}"
