"""Altair charts of a workload and of its flow: one function per question, each usable in a notebook cell."""

from calypso_nb.view.charts import (
    age_distribution,
    backlog,
    blocking_chart,
    load_per_agent,
    oldest_tasks,
    priority_distribution,
    work_item_age_chart,
)
from calypso_nb.view.flow_charts import (
    ageing_work,
    cumulative_flow,
    cycle_times,
    cycle_times_by,
    handoffs,
    lead_times,
    net_flow,
    throughput,
    time_in_queues,
    work_by_state,
)
from calypso_nb.view.forecast_charts import forecast_dates, forecast_record
from calypso_nb.view.spells import spells_chart

__all__ = [
    "age_distribution",
    "ageing_work",
    "backlog",
    "blocking_chart",
    "cumulative_flow",
    "cycle_times",
    "cycle_times_by",
    "forecast_dates",
    "forecast_record",
    "handoffs",
    "lead_times",
    "load_per_agent",
    "net_flow",
    "oldest_tasks",
    "priority_distribution",
    "spells_chart",
    "throughput",
    "time_in_queues",
    "work_by_state",
    "work_item_age_chart",
]
