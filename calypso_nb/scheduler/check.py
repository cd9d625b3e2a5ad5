"""All that is wrong with what a scheduler is to work with, found out before it does."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calypso_nb.agents import Agent, read_agents
from calypso_nb.errors import TinytaskClientError, UsageError
from calypso_nb.run_marks import MAX_SECONDS
from calypso_nb.scheduler.recipes import Recipe, RecipeError, choose_recipe, read_recipes
from calypso_nb.scheduler.scheduler import MIN_LEASE_SECONDS
from calypso_nb.settings import Endpoint
from calypso_nb.workload.phrases import did_you_mean

if TYPE_CHECKING:
    from calypso_nb.client import TinytaskClient
    from calypso_nb.scheduler.workers import Workers


@dataclass(frozen=True)
class Wanted:
    """What `Scheduler` gets, as it was given."""

    agents: Path | Sequence[str]
    recipes: Path
    runs: Path
    only: Collection[str] = ()
    env: Sequence[str] = ()
    lease_seconds: int = 120
    agent_limits: Mapping[str, int] = field(default_factory=dict)
    recipe_limits: Mapping[str, int] = field(default_factory=dict)
    queue_limits: Mapping[str, int] = field(default_factory=dict)
    goose: str | None = None


def faults(client: TinytaskClient, wanted: Wanted, workers: Workers | None = None) -> Iterator[str]:
    """Yield a sentence for each thing that is wrong; nothing is run, and nothing is written anywhere.

    - workers: those of the Dask cluster that is to run the tasks
    """
    agents: tuple[Agent, ...] = ()
    with warnings.catch_warnings(record=True) as unknown:
        warnings.simplefilter("always")
        try:
            agents = read_agents(wanted.agents)
        except (OSError, UsageError) as error:
            yield str(error)
    yield from (str(warning.message) for warning in unknown)
    recipes: dict[str, Recipe] = {}
    try:
        recipes = read_recipes(wanted.recipes, wanted.goose, elsewhere=workers is not None)
    except RecipeError as error:
        yield str(error)
    yield from (recipe.fault for recipe in recipes.values() if recipe.fault is not None)
    served = [agent for agent in agents if not wanted.only or agent.name in wanted.only]
    if recipes:
        yield from _without_recipe(served, recipes)
    names = [agent.name for agent in agents]
    queues = {queue for agent in agents for queue in agent.queues}
    if agents:
        yield from _unknown(wanted.only, names, "agent")
        yield from _unknown(wanted.agent_limits, names, "agent")
        yield from _unknown(wanted.queue_limits, queues, "queue")
    if recipes:
        yield from _unknown(wanted.recipe_limits, recipes, "recipe")
    variables = {name for agent in served for name in agent.env} | {*wanted.env}
    yield from (f"the environment has no {name}" for name in sorted(variables - os.environ.keys()))
    if not MIN_LEASE_SECONDS <= wanted.lease_seconds <= MAX_SECONDS:
        yield f"a lease of {wanted.lease_seconds} s is not valid: {MIN_LEASE_SECONDS} to {MAX_SECONDS} s are"
    runs = wanted.runs.resolve()
    place = next(one for one in (runs, *runs.parents) if one.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        yield f"{runs} can't be written to"
    yield from _server(client, [agent.name for agent in served])
    if workers is not None:
        workers.look()
        yield from workers.faults


def _without_recipe(agents: Sequence[Agent], recipes: Mapping[str, Recipe]) -> Iterator[str]:
    for agent in agents:
        try:
            choose_recipe(recipes, (), agent.name, agent.queues, agent.recipe)
        except RecipeError as error:
            if str(error) not in {recipe.fault for recipe in recipes.values()}:
                yield str(error)


def _unknown(named: Collection[str], known: Collection[str], what: str) -> Iterator[str]:
    for name in named:
        if name not in known:
            yield f"there is no {what} {name!r}{did_you_mean(name, known)}"


def _server(client: TinytaskClient, agents: Sequence[str]) -> Iterator[str]:
    if not Endpoint(client.endpoint).is_url:
        yield f"runs can't reach {client.endpoint}: give the URL of a server"
        return
    try:
        records: list[dict[str, Any]] = client.list_task_records(include_archived=True)
    except TinytaskClientError as error:
        yield str(error)
        return
    known = {record["assigned_to"] for record in records if record.get("assigned_to")}
    for name in agents:
        if name not in known:
            yield f"the server has no task of an agent called {name!r}{did_you_mean(name, known)}"
