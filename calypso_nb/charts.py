"""Altair charts of a workload: one function per question, each usable by itself in a notebook cell."""

from calypso_nb.view.charts import (
    age_distribution,
    blocking_chart,
    load_per_agent,
    oldest_tasks,
    priority_distribution,
    work_item_age_chart,
)

__all__ = [
    "age_distribution",
    "blocking_chart",
    "load_per_agent",
    "oldest_tasks",
    "priority_distribution",
    "work_item_age_chart",
]
