"""The agents that a scheduler serves, as `agents.json` lists them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from calypso_nb.errors import UsageError

Name = Annotated[str, Field(min_length=1)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]


class Agent(BaseModel):
    """One agent that a scheduler serves.

    - name: the name that tasks are assigned to.
    - queue: the queue whose unassigned work it takes, if any.
    - max_concurrency: how many tasks it works on at a time.
    - recipe: its recipe, if that is not called as the agent is.
    - success_queue: where a run that succeeds moves its task, instead of completing it.
    - env: names of environment variables that its runs get, besides those that all runs get.

    Example: `Agent(name="alice", queue="dev", max_concurrency=2)`
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name = Field(validation_alias=AliasChoices("agentName", "name"))
    queue: Name | None = Field(None, validation_alias=AliasChoices("agentType", "queue"))
    max_concurrency: int = Field(1, ge=1, validation_alias=AliasChoices("maxConcurrency", "max_concurrency"))
    recipe: Name | None = None
    success_queue: Name | None = Field(None, validation_alias=AliasChoices("successQueue", "success_queue"))
    env: tuple[Variable, ...] = ()


def read_agents(source: Path | str | Iterable[Agent | str | Mapping[str, Any]]) -> tuple[Agent, ...]:
    """Return the agents of a JSON file, or of a list of names, mappings and agents.

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
        agents = TypeAdapter(list[Agent]).validate_python(entries)
    except ValidationError as error:
        problems = []
        for problem in error.errors():
            number, *path = problem["loc"]
            problems.append(": ".join([f"entry {int(number) + 1}", *map(str, path), problem["msg"]]))
        raise UsageError(f"{name}: {'; '.join(problems)}") from None
    if not agents:
        raise UsageError(f"{name}: contains no agent")
    counts = Counter(agent.name for agent in agents)
    if duplicates := sorted(agent for agent, count in counts.items() if count > 1):
        raise UsageError(f"{name}: more than once: {', '.join(duplicates)}")
    return tuple(agents)


def _entries(path: Path) -> list[Any]:
    try:
        entries = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(entries, list):
        raise UsageError(f'{path} is not a list of agents: it should be [{{"agentName": …}}, …]')
    return entries
