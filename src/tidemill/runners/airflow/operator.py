"""The operators of a compiled DAG: one for every node, one that ends the run, one that lists iterations.

Their arguments are JSON, and the pipeline version is among them, so that Airflow makes a new DAG version
exactly when the pipeline has one. Everything happens in `execute`; nothing is read when a DAG file is parsed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from tidemill.errors import TidemillError
from tidemill.metadata.model import RunState
from tidemill.metadata.store import MetadataStore
from tidemill.runners.airflow import assets, names
from tidemill.runners.airflow.connection import metadata_url
from tidemill.runners.airflow.links import RunLink
from tidemill.runners.base import task
from tidemill.runners.base.arrivals import date_of, parameters_of
from tidemill.runners.base.task import EngineRun, Settings
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.plan import run_date

T = TypeVar("T")


class _TidemillOperator(BaseOperator):  # type: ignore[misc]  # Airflow is not there where types are checked
    template_fields: Sequence[str] = ("pipeline_version",)

    operator_extra_links = (RunLink(),)

    # Each operator has an __init__ of its own and this class has none: Airflow copies the DAG's params anew
    # for every __init__ on the way, which is the most of what parsing a DAG of ours costs.
    settings: Settings
    pipeline_version: str

    def _with_store(
        self, context: Mapping[str, Any], work: Callable[[MetadataStore, Settings, EngineRun], T]
    ) -> T:
        """The answer of `work`; what is wrong outside of the node ends the try, and Airflow repeats it.

        The settings that `work` gets have the store's real URL, which no attribute of the task ever holds.
        """
        try:
            settings = replace(self.settings, metadata=metadata_url(self.settings.metadata))
            with task.opened(settings.metadata) as store:
                return work(store, settings, _run_of(context, settings))
        except task.Again as error:
            raise AirflowException(str(error)) from None
        except (task.Failed, task.Blocked) as error:
            raise AirflowFailException(str(error)) from None
        except TidemillError as error:
            raise AirflowException(str(error)) from error


class NodeOperator(_TidemillOperator):
    """Launches one node of the pipeline. What it means is decided by tidemill's launcher."""

    template_fields: Sequence[str] = ("pipeline_version", "iteration")
    ui_color = "#dbeafe"

    def __init__(
        self, *, settings: Settings, pipeline_version: str, pipeline_node: str, iteration: int = 0,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.settings, self.pipeline_version = settings, pipeline_version
        self.pipeline_node = pipeline_node
        self.iteration = iteration
        self._cancel = CancelToken()

    def execute(self, context: Any) -> list[int] | None:
        """Launch; the numbers of the iterations, for the node of an outermost loop."""

        def work(store: MetadataStore, settings: Settings, run: EngineRun) -> list[int] | None:
            outcome = task.launch_node(
                settings, run, self.pipeline_node, store=store, iteration=self.iteration,
                attempt=context["ti"].try_number, cancel=self._cancel,
            )  # fmt: skip
            assets.tell(self, context, store, settings.ir.name, run, outcome)
            if outcome is None:
                self.log.info("%s is not part of this run", self.pipeline_node)
            else:
                self.log.info("%s: %s %s", self.pipeline_node, outcome.state, outcome.message)
                record = (run.record_id, outcome.execution_id, outcome.log)
                self.log.info("record: run %s, execution %s, log %s", *record)
            if settings.ir.node(self.pipeline_node).loop is None:
                return None
            # Airflow fails a task that others are mapped over and that answers nothing: a loop that was
            # skipped, or is not part of the run, has no iterations.
            return list(range(outcome.iterations or 0)) if outcome is not None else []

        return self._with_store(context, work)

    def on_kill(self) -> None:
        """End what the node started."""
        self._cancel.cancel()


class IterationsOperator(_TidemillOperator):
    """Lists the iterations of a loop inside of loops, for the tasks in it."""

    template_fields: Sequence[str] = ("pipeline_version",)

    def __init__(self, *, settings: Settings, pipeline_version: str, loop_node: str, **options: Any) -> None:
        super().__init__(**options)
        self.settings, self.pipeline_version = settings, pipeline_version
        self.loop_node = loop_node

    def execute(self, context: Any) -> list[int]:
        """The numbers."""
        return self._with_store(
            context, lambda store, settings, run: task.iterations(store, settings, run, self.loop_node)
        )


class RunEndOperator(_TidemillOperator):
    """Records how the run ended. It fails when the run did, so that both are red."""

    def __init__(self, *, settings: Settings, pipeline_version: str, **options: Any) -> None:
        super().__init__(**options)
        self.settings, self.pipeline_version = settings, pipeline_version

    def execute(self, context: Any) -> str:
        """The state."""
        state = self._with_store(context, task.end_run)
        if state is not RunState.COMPLETE:
            raise AirflowFailException(f"the run is {state}")
        return state.value


def _run_of(context: Mapping[str, Any], settings: Settings) -> EngineRun:
    dag_run, params = context["dag_run"], dict(context["params"])
    date = str(params.pop(task.DATE, "") or "")
    selection = params.pop(task.SELECT, None) or {}
    start = context.get("data_interval_start") or context.get("logical_date")
    schedule = settings.ir.schedule
    arrived = assets.arrived(context) if schedule is not None and schedule.on is not None else ()
    date = date or date_of(arrived)
    params |= parameters_of(settings.ir, arrived)
    if not date and start is not None and schedule is not None:
        date = start.astimezone(ZoneInfo(schedule.timezone)).date().isoformat()
    return EngineRun(
        record_id=names.run_id(dag_run.dag_id, dag_run.run_id),
        owner=names.owner(dag_run.dag_id, dag_run.run_id),
        date=run_date(settings.ir, date),
        parameters={p.name: params[p.name] for p in settings.ir.parameters if p.name in params},
        selection=selection,
        arrived=arrived,
    )
