"""What Airflow 3.1 keeps elsewhere than later versions: the newer place first, which does not warn."""

from __future__ import annotations

try:
    from airflow.sdk import CronDataIntervalTimetable
except ImportError:
    from airflow.timetables.interval import CronDataIntervalTimetable
try:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
except ImportError:
    from airflow.exceptions import AirflowException, AirflowFailException, TaskDeferred
try:
    from airflow.sdk.exceptions import TaskAwaitingInput
except ImportError:  # before 3.3 the operators of its page defer themselves
    PARKED: tuple[type[BaseException], ...] = (TaskDeferred,)
else:
    PARKED = (TaskDeferred, TaskAwaitingInput)
"""What Airflow's own operator raises once its page shows a request."""

__all__ = ["PARKED", "AirflowException", "AirflowFailException", "CronDataIntervalTimetable"]
