"""Run agents' tasks by their recipes: one run at a time for a task, with a plan that explains itself."""

from calypso_nb.scheduler.agents import Agent, read_agents
from calypso_nb.scheduler.jobs import RUN_COLUMNS
from calypso_nb.scheduler.plan import PLAN_COLUMNS
from calypso_nb.scheduler.schedule import Scheduler

__all__ = ["PLAN_COLUMNS", "RUN_COLUMNS", "Agent", "Scheduler", "read_agents"]
