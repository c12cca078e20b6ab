"""Pipelines on Apache Airflow 3: one DAG per pipeline, one task per node, and the launcher inside of it.

Airflow orders the tasks, gives them a place to run and repeats them; what a node means is decided by the
launcher, as everywhere. Importing this room needs no Airflow, which is loaded when a DAG is built, and loads
nothing of tidemill's: each process of Airflow imports it to find the provider and the plugin.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidemill.runners.airflow.alerting import Alert, Alerts
    from tidemill.runners.airflow.options import AirflowOptions
    from tidemill.runners.airflow.pod_options import PodOptions
    from tidemill.runners.airflow.runner import AirflowDagRunner, load_dag

__all__ = ["AirflowDagRunner", "AirflowOptions", "Alert", "Alerts", "PodOptions", "load_dag"]
_HOMES = {
    "AirflowDagRunner": "runner",
    "AirflowOptions": "options",
    "Alert": "alerting",
    "Alerts": "alerting",
    "PodOptions": "pod_options",
    "load_dag": "runner",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
