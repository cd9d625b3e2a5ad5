"""The agents that a scheduler serves, as `agents.json` tells them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

__all__ = ["Agent", "read_agents"]

Name = Annotated[str, Field(min_length=1)]


class Agent(BaseModel):
    """One agent: its name, the queue whose unassigned work it takes, and how many tasks at a time.

    `recipe` names its recipe where that is not called as the agent is; a run that succeeds moves its task to
    `success_queue` instead of completing it, where that is given.
    Example: `Agent(name="alice", queue="dev", max_concurrency=2)`
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name = Field(validation_alias=AliasChoices("agentName", "name"))
    queue: Name | None = Field(None, validation_alias=AliasChoices("agentType", "queue"))
    max_concurrency: int = Field(1, ge=1, validation_alias=AliasChoices("maxConcurrency", "max_concurrency"))
    recipe: Name | None = None
    success_queue: Name | None = Field(None, validation_alias=AliasChoices("successQueue", "success_queue"))


def read_agents(given: Path | str | Iterable[Agent | str | Mapping[str, Any]]) -> tuple[Agent, ...]:
    """The agents of a JSON file, or of a list of names, mappings and agents.

    Raises ValueError that says where what is wrong, OSError where the file cannot be read.
    Example: `read_agents("agents.json")`, `read_agents(["alice", {"agentName": "bob", "maxConcurrency": 2}])`
    """
    if isinstance(given, Path | str):
        where = str(given)
        try:
            entries = orjson.loads(Path(given).read_bytes())
        except orjson.JSONDecodeError as error:
            raise ValueError(f"{where} is not JSON: {error}") from error
        if not isinstance(entries, list):
            raise ValueError(f'{where} holds no list of agents: it should be [{{"agentName": …}}, …]')
    else:
        where = "the agents"
        entries = [{"name": entry} if isinstance(entry, str) else entry for entry in given]
    try:
        agents = TypeAdapter(list[Agent]).validate_python(entries)
    except ValidationError as error:
        problems = [
            ": ".join([f"entry {int(at[0]) + 1}", *map(str, at[1:]), problem["msg"]])
            for problem in error.errors()
            if (at := problem["loc"])
        ]
        raise ValueError(f"{where}: {'; '.join(problems)}") from None
    names = [agent.name for agent in agents]
    if not names:
        raise ValueError(f"{where}: no agent in it")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{where}: twice in it: {', '.join(twice)}")
    return tuple(agents)
