"""The agents that a scheduler serves, as `agents.json` lists them."""

import warnings
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import orjson
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from calypso_nb.errors import UsageError

Name = Annotated[str, Field(min_length=1)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else () if value is None else value


class Agent(BaseModel):
    """One agent that a scheduler serves.

    - name: the name that tasks are assigned to.
    - queues: the queues whose unassigned work it takes, if any.
    - max_concurrency: how many tasks it works on at a time.
    - recipe: its recipe, if that is not called as the agent is.
    - success_queue: where a run that succeeds moves its task, instead of completing it.
    - env: names of environment variables that its runs get, besides those that all runs get.
    - enabled: whether its tasks are run.
    - comment: for whoever reads the file.

    Example: `Agent(name="alice", queue="dev", max_concurrency=2).queues`
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name = Field(validation_alias=AliasChoices("agentName", "name"))
    queues: Annotated[tuple[Name, ...], BeforeValidator(_listed)] = Field(
        (), validation_alias=AliasChoices("agentType", "queue", "queues")
    )
    max_concurrency: int = Field(1, ge=1, validation_alias=AliasChoices("maxConcurrency", "max_concurrency"))
    recipe: Name | None = None
    success_queue: Name | None = Field(None, validation_alias=AliasChoices("successQueue", "success_queue"))
    env: tuple[Variable, ...] = ()
    enabled: bool = True
    comment: str = ""


def read_agents(source: Path | str | Iterable[Agent | str | Mapping[str, Any]]) -> tuple[Agent, ...]:
    """Return the agents of a JSON file, or of a list of names, mappings and agents.

    An agent that takes work from several queues may have an entry for each. Warn of a key that means nothing.
    Raise ValueError if an agent is not valid, OSError if the file cannot be read.

    - source: the path of a file like `[{"agentName": "alice", "maxConcurrency": 2}]`, or the list itself.

    Example: `read_agents(["alice", {"agentName": "bob", "maxConcurrency": 2}])`
    """
    if isinstance(source, Path | str):
        name, entries = str(source), _entries(Path(source))
    else:
        name = "the agents"
        entries = [{"name": entry} if isinstance(entry, str) else entry for entry in source]
    try:
        agents = TypeAdapter(list[Agent]).validate_python(
            [_known(entry, f"{name}: entry {number}") for number, entry in enumerate(entries, 1)]
        )
    except ValidationError as error:
        problems = []
        for problem in error.errors():
            number, *path = problem["loc"]
            problems.append(": ".join([f"entry {int(number) + 1}", *map(str, path), problem["msg"]]))
        raise UsageError(f"{name}: {'; '.join(problems)}") from None
    if not agents:
        raise UsageError(f"{name}: contains no agent")
    together: dict[str, Agent] = {}
    for agent in agents:
        first = together.get(agent.name)
        together[agent.name] = agent if first is None else _joined(first, agent, name)
    return tuple(together.values())


def _known(entry: Any, where: str) -> Any:
    """Return an entry without the keys that mean nothing, and warn of them."""
    if not isinstance(entry, Mapping):
        return entry
    unknown = [key for key in entry if key not in _KEYS]
    for key in unknown:
        like = get_close_matches(str(key), _KEYS, 1)
        hint = f"; did you mean {like[0]!r}?" if like else ""
        warnings.warn(f"{where}: {key!r} means nothing here{hint}", stacklevel=4)
    return {key: value for key, value in entry.items() if key not in unknown}


def _joined(one: Agent, other: Agent, source: str) -> Agent:
    """Return the agent of two entries, each for a queue of its own."""
    if not other.queues or not one.queues or set(one.queues) & set(other.queues):
        raise UsageError(f"{source}: more than once, not each time for another queue: {one.name}")
    merged = {name: getattr(one, name) for name in one.model_fields_set}
    for name in other.model_fields_set - {"queues", "comment"}:
        if merged.setdefault(name, getattr(other, name)) != getattr(other, name):
            raise UsageError(f"{source}: {one.name}: its entries don't agree on {name}")
    return Agent(**merged | {"queues": one.queues + other.queues})


def _names(name: str) -> tuple[str, ...]:
    alias = Agent.model_fields[name].validation_alias
    return (name, *map(str, alias.choices)) if isinstance(alias, AliasChoices) else (name,)


_KEYS = {key for name in Agent.model_fields for key in _names(name)}


def _entries(path: Path) -> list[Any]:
    try:
        entries = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(entries, list):
        raise UsageError(f'{path} is not a list of agents: it should be [{{"agentName": …}}, …]')
    return entries
