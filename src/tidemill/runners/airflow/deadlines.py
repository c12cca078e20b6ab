"""What a deadline counts from: the end of a run's interval. Airflow's own count from its start or queue."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.sdk import BaseDeadlineReference


class IntervalEnd(BaseDeadlineReference):  # type: ignore[misc]  # Airflow is not there where types are checked
    """When the interval of a scheduled run ended, however late its run was started. Runs without an interval,
    and those of a backfill, count from when they were asked for."""

    required_kwargs = {"dag_id", "run_id"}

    def _evaluate_with(self, *, session: Any, dag_id: str, run_id: str) -> datetime | None:
        from airflow.models import DagRun  # in the scheduler alone, which may read it

        wanted = DagRun.run_type, DagRun.data_interval_end, DagRun.queued_at, DagRun.run_after
        row = session.query(*wanted).filter_by(dag_id=dag_id, run_id=run_id).one_or_none()
        if row is None:
            return None
        kind, end, queued, after = row
        moment: datetime = end if kind == "scheduled" and end is not None else queued or after
        return moment
