"""Pipelines on Apache Airflow 3: one DAG per pipeline, one task per node, and the launcher inside of it.

Airflow orders the tasks, gives them a place to run and repeats them; what a node means is decided by the
launcher, as everywhere. Importing this room needs no Airflow, which is loaded when a DAG is built.
"""

from __future__ import annotations

from tidemill.runners.airflow.alerting import Alert, Alerts
from tidemill.runners.airflow.runner import AirflowDagRunner, load_dag

__all__ = ["AirflowDagRunner", "Alert", "Alerts", "load_dag"]
