"""Alerts as Airflow makes them: callbacks of the DAG, and the deadline of its runs.

Callbacks of a DAG run in the DAG processor, once for a run, however it ended; a deadline's in the triggerer.
Each reads the record, so that a notifier is given our facts in its context under `tidemill`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from importlib import import_module
from logging import getLogger
from typing import Any

from tidemill.errors import DefinitionError, TidemillError
from tidemill.metadata.model import RunState
from tidemill.runners.airflow import names
from tidemill.runners.airflow.alerting import Alert, Alerts, alerts_of
from tidemill.runners.airflow.connection import known_url
from tidemill.runners.airflow.links import run_link
from tidemill.runners.base import task
from tidemill.runners.base.again import latest
from tidemill.runners.base.facts import facts_of
from tidemill.runners.base.task import Settings

FACTS = "tidemill"
"""Key in a notifier's context."""


def alert_options(settings: Settings, alerts: Alerts, *, watched: bool = True) -> dict[str, Any]:
    """The options of a DAG that tell whom `alerts` names, and that watch the deadline of its schedule, unless
    it is not to be `watched`."""
    found: dict[str, Any] = {}
    if alerts.failure:
        found["on_failure_callback"] = [Tell(settings.metadata, alert) for alert in alerts.failure]
    if alerts.success:
        found["on_success_callback"] = [Tell(settings.metadata, alert) for alert in alerts.success]
    schedule = settings.ir.schedule
    if watched and schedule is not None and schedule.deadline:
        found["deadline"] = _deadline(settings, schedule.deadline, alerts)
    return found


def _deadline(settings: Settings, seconds: float, alerts: Alerts) -> Any:
    """Airflow's alert; DefinitionError before Airflow 3.3, whose deadlines cannot count from our end."""
    try:
        from airflow.sdk import AsyncCallback, DeadlineAlert

        from tidemill.runners.airflow.deadlines import IntervalEnd
    except ImportError:
        raise DefinitionError(
            "this Airflow has no deadlines that count from the end of an interval",
            where=settings.ir.name,
            hint="take Airflow 3.3 or newer, or pass deadline=None to load_dag or run",
        ) from None
    told = {
        "metadata": names.without_secret(settings.metadata),
        "alerts": [alert.to_json() for alert in alerts.deadline],
    }
    return DeadlineAlert(
        reference=IntervalEnd(), interval=timedelta(seconds=seconds),
        callback=AsyncCallback(late, kwargs=told), name="complete in time",
    )  # fmt: skip


class Tell:
    """A callback of a DAG: one notifier, given what the record says of the run."""

    def __init__(self, metadata: str, alert: Any) -> None:
        self.metadata, self.alert = metadata, alert
        self.__name__ = f"tell {alert.notifier if isinstance(alert, Alert) else type(alert).__name__}"

    def __call__(self, context: dict[str, Any]) -> None:
        """Tell it."""
        dag = context["dag"]
        facts = _facts(self.metadata, dag.dag_id, context["run_id"])
        # `dag.test()` hands over a DAG from the database, which notifiers cannot render their templates with.
        given = {**context, "dag": dag if hasattr(dag, "get_template_env") else None, FACTS: facts}
        _notifier(self.alert)(given)


async def late(*, context: dict[str, Any], metadata: str, alerts: list[dict[str, Any]]) -> None:
    """The callback of a deadline that passed, for Airflow's triggerer. A run that is complete is not told."""
    from asgiref.sync import sync_to_async  # the triggerer answers for connections in its own loop

    run = context["dag_run"]
    read = sync_to_async(_facts, thread_sensitive=False)
    facts = await read(metadata, run["dag_id"], run["dag_run_id"])
    if facts["state"] == RunState.COMPLETE.value:
        return
    facts = {**facts, "message": f"late: {facts['message']}"}
    for alert in alerts_of({"deadline": alerts}, "the deadline").deadline:
        try:
            notifier = _notifier(alert)
            await sync_to_async(notifier, thread_sensitive=False)({**context, "dag": None, FACTS: facts})
        except Exception:  # of whatever library; the others are to be told all the same
            getLogger(__name__).exception("%s could not be told", alert.notifier)


def _facts(metadata: str, dag_id: str, run_id: str) -> dict[str, Any]:
    """What the record says, and where to look. A store that does not answer must not keep an alert back."""
    record_id = names.run_id(dag_id, run_id)
    link: Mapping[str, Any] = {"link": run_link(record_id, dag_id)}
    try:
        with known_url(metadata).opened() as store:
            now, _ = latest(store, task.EngineRun(record_id=record_id, owner="", date=""))
            return {**facts_of(store, now.record_id), "link": run_link(now.record_id, dag_id)}
    except TidemillError as error:
        why = f"{dag_id}, run {run_id}: the record cannot be read: {error.message}"
        return {
            "run": record_id, "state": "UNKNOWN", "pipeline": dag_id, "failed": 0, "failures": [],
            "message": why, **link,
        }  # fmt: skip


def _notifier(alert: Any) -> Any:
    """The notifier itself: Airflow's own, or made now of its class and arguments."""
    if not isinstance(alert, Alert):
        return alert
    module, _, name = alert.notifier.rpartition(".")
    return getattr(import_module(module), name)(**alert.arguments)
