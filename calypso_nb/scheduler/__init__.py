"""Run agents' tasks by their recipes: one run at a time per task, with a plan that explains itself.

- The plan (`plan`, `recipes`) says what is run now, and why the rest waits. The `scheduler` makes one again
  and again and carries it out, here or on `workers`; `check` says beforehand what would be in its way.
- A lease (`leases`) is a comment by which one process has a task.
- A run (`run`) is what is done under a lease: a program below a `watchdog` (`process`, `environment`), whose
  `outcome` is kept here (`outbox`) until its task says it (`tell`).
"""

try:
    import psutil as _psutil
    import yaml as _yaml
except ModuleNotFoundError as error:
    raise ImportError(
        "calypso_nb.scheduler needs psutil and PyYAML: pip install 'calypso_nb[run]'", name=error.name
    ) from error

from calypso_nb.agents import Agent, read_agents
from calypso_nb.scheduler.plan import PLAN_COLUMNS, Retry
from calypso_nb.scheduler.scheduler import Scheduler
from calypso_nb.workload.runs import RUN_COLUMNS, RUN_TOTAL_COLUMNS, run_totals

__all__ = [
    "PLAN_COLUMNS",
    "RUN_COLUMNS",
    "RUN_TOTAL_COLUMNS",
    "Agent",
    "Retry",
    "Scheduler",
    "read_agents",
    "run_totals",
]

del _psutil, _yaml
