"""The operators of a compiled DAG: one for every node, one that ends the run, one that lists iterations.

Their arguments are JSON, and the pipeline version is among them, so that Airflow makes a new DAG version
exactly when the pipeline has one. Everything happens in `execute`; nothing is read when a DAG file is parsed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from airflow.configuration import conf
from airflow.sdk import BaseOperator

from tidemill.errors import RunnerError, TidemillError
from tidemill.ir.model import PipelineIR
from tidemill.metadata.model import RunState
from tidemill.metadata.store import MetadataStore
from tidemill.runners.airflow import ahead, asking, assets, names
from tidemill.runners.airflow.asking import driven_by
from tidemill.runners.airflow.connection import metadata_url
from tidemill.runners.airflow.defaults import MOST_MAPPED
from tidemill.runners.airflow.killing import Doubt
from tidemill.runners.airflow.links import RunLink
from tidemill.runners.airflow.versions import AirflowException, AirflowFailException
from tidemill.runners.base import task
from tidemill.runners.base.again import begun_again, latest
from tidemill.runners.base.arrivals import date_of, parameters_of
from tidemill.runners.base.starting import part_of
from tidemill.runners.base.task import Begin, EngineRun, Settings
from tidemill.runners.base.waiting import Wait
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.launch import Outcome
from tidemill.runtime.plan import bind_parameters, run_date
from tidemill.runtime.spawner import Spawner

SHORT = 5.0
"""Seconds up to which a task keeps its worker while it waits: leaving and coming back takes about as long."""

T = TypeVar("T")


class _TidemillOperator(BaseOperator):  # type: ignore[misc]  # Airflow is not there where types are checked
    template_fields: Sequence[str] = ("pipeline_version",)

    operator_extra_links = (RunLink(),)

    # Each operator has an __init__ of its own and this class has none: Airflow copies the DAG's params anew
    # for every __init__ on the way, which is the most of what parsing a DAG of ours costs.
    settings: Settings
    pipeline_version: str
    begins_again = True
    """Whether a task of a run that ended starts its work anew: somebody cleared it."""

    def _with_store(
        self, context: Mapping[str, Any], work: Callable[[MetadataStore, Settings, EngineRun], T]
    ) -> T:
        """The answer of `work`; what is wrong outside of the node ends the try, and Airflow repeats it.

        The settings that `work` gets have the store's real URL, which no attribute of the task ever holds.
        """
        try:
            known = metadata_url(self.settings.metadata)
            settings = replace(self.settings, metadata=known.url)
            with known.opened() as store:
                run = _run_of(context, settings)
                if self.begins_again:
                    turn = asking.turn_of(context)
                    run = begun_again(
                        store, settings, run, turn, lambda: asking.cleared(context, settings.ir)
                    )
                else:
                    run, _ = latest(store, run)
                return work(store, settings, run)
        except task.Again as error:
            raise AirflowException(str(error)) from None
        except (task.Failed, task.Blocked, task.Equal) as error:
            raise AirflowFailException(str(error)) from None
        except TidemillError as error:
            raise AirflowException(str(error)) from error


class NodeTask(_TidemillOperator):
    """What the task of any node does: launch it, and leave the worker to others while it waits."""

    pipeline_node: str
    iteration: int
    wait: str
    python: str
    _cancel: CancelToken
    _doubt: Doubt | None

    def set_task(
        self, settings: Settings, version: str, node: str, iteration: int, wait: str, python: str = ""
    ) -> None:
        """Keep the arguments: no __init__ here, see _TidemillOperator."""
        self.settings, self.pipeline_version = settings, version
        self.pipeline_node, self.iteration = node, iteration
        self.wait, self.python = wait, python
        self._cancel, self._doubt = CancelToken(), None

    def launch(self, context: Any, event: Mapping[str, Any] | None = None) -> list[int] | None:
        """Launch the node; the numbers of the iterations, for the node of an outermost loop."""
        spawner = ahead.taken()
        try:
            with self.heeding(context):
                return self._launch(context, event or {}, spawner)
        finally:
            spawner.close()

    @contextlib.contextmanager
    def heeding(self, context: Any) -> Iterator[None]:
        """A block in which Airflow is asked why, when the task is killed."""
        with Doubt(lambda: asking.still_runs(context), self.killed) as self._doubt:
            try:
                if self._cancel.canceled:  # before there was anybody to ask
                    self._doubt.ask()
                yield
            finally:
                self._doubt = None

    def _launch(self, context: Any, told: Mapping[str, Any], spawner: Spawner) -> list[int] | None:
        def on_wait(_: MetadataStore, wait: Wait) -> None:
            self._wait(context, wait)

        def work(store: MetadataStore, settings: Settings, run: EngineRun) -> list[int] | None:
            self.before_launch(store, run, told)
            outcome = task.launch_node(
                settings, run, self.pipeline_node, store=store, iteration=self.iteration,
                attempt=context["ti"].try_number, cancel=self._cancel, ready=int(told.get("ready") or 0),
                python=self.python, on_wait=on_wait, spawner=spawner,
                begin=self.elsewhere(context, settings.ir),
            )  # fmt: skip
            return self.told(context, store, settings, run, outcome)

        return self._with_store(context, work)

    def elsewhere(self, context: Any, ir: PipelineIR) -> Begin | None:  # noqa: ARG002 - for what is below
        """What launches the node in place of this process; None for this process."""
        return None

    def told(
        self, context: Any, store: MetadataStore, settings: Settings, run: EngineRun, outcome: Outcome | None
    ) -> list[int] | None:
        """Tell Airflow how a node ended that succeeded, or is not part of the run; the task's answer."""
        self._is_wanted()  # one question must be over before the next: Airflow 3.1 takes one at a time
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
        return _mappable([*range(outcome.iterations or 0)]) if outcome is not None else []

    def resume(
        self, context: Any, event: Mapping[str, Any] | None = None, ready: int = 0
    ) -> list[int] | None:
        """Go on after a wait: launching is asked again, which may find something else to wait for."""
        return self.launch(context, {"ready": ready, **(event or {})})

    def before_launch(self, store: MetadataStore, run: EngineRun, event: Mapping[str, Any]) -> None:
        """For operators that must record what they were told while they waited."""

    def leave(self, context: Any, wait: Wait) -> None:  # noqa: ARG002 - as operators that must ask first
        """Leave the worker to others; `resume` is called when the wait is over."""
        self.wait_elsewhere(wait)

    def wait_elsewhere(self, wait: Wait, answer: Mapping[str, Any] | None = None) -> None:
        """Have the triggerer wait; this never returns. `answer`: see WaitTrigger."""
        from tidemill.runners.airflow.trigger import WaitTrigger

        trigger = WaitTrigger(metadata=self.settings.metadata, wait=wait.to_json(), answer=answer)
        self.defer(trigger=trigger, method_name="resume", kwargs={"ready": wait.ready})

    def _wait(self, context: Any, wait: Wait) -> None:
        left = wait.until / 1000 - time.time() if wait.until else SHORT
        short = wait.kind == "retry" and left <= SHORT
        if short or self.wait == "hold" or names.has_password(self.settings.metadata):
            time.sleep(max(0.0, min(left, task.POLL_SECONDS)))
            return
        self.log.info("%s", wait)
        self.leave(context, wait)

    def on_kill(self) -> None:
        """End what the node started: at once, whoever is behind it. Airflow calls it in a signal handler."""
        doubt = self._doubt
        self._cancel.cancel(self._is_wanted)
        if doubt is not None:
            doubt.ask()

    def killed(self, is_wanted: bool) -> None:
        """Called on a thread once it is known whether somebody wants that, for operators that must know."""

    def _is_wanted(self) -> bool:
        doubt = self._doubt
        return doubt is not None and doubt.is_wanted()


class NodeOperator(NodeTask):
    """Launches one node of the pipeline. What it means is decided by tidemill's launcher."""

    template_fields: Sequence[str] = ("pipeline_version", "iteration")
    ui_color = "#dbeafe"

    def __init__(
        self, *, settings: Settings, pipeline_version: str, pipeline_node: str, iteration: int = 0,
        wait: str = "defer", python: str = "", **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.set_task(settings, pipeline_version, pipeline_node, iteration, wait, python)

    def execute(self, context: Any) -> list[int] | None:
        """Launch; the numbers of the iterations, for the node of an outermost loop."""
        return self.launch(context)


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
            context,
            lambda store, settings, run: _mappable(task.iterations(store, settings, run, self.loop_node)),
        )


class RunEndOperator(_TidemillOperator):
    """Records how the run ended. It fails when the run did, so that both are red."""

    begins_again = False

    def __init__(self, *, settings: Settings, pipeline_version: str, **options: Any) -> None:
        super().__init__(**options)
        self.settings, self.pipeline_version = settings, pipeline_version

    def execute(self, context: Any) -> str:
        """The state."""
        state = self._with_store(context, task.end_run)
        if state is not RunState.COMPLETE:
            raise AirflowFailException(f"the run is {state}")
        return state.value


def _mappable(numbers: list[int]) -> list[int]:
    """The numbers, if Airflow maps tasks over so many: it would fail the task with words of its own."""
    most = conf.getint("core", "max_map_length", fallback=MOST_MAPPED)
    if len(numbers) > most:
        raise task.Failed(
            f"there are {len(numbers)} iterations, and core.max_map_length of this Airflow is {most}: "
            "raise it, or let the loop find fewer items"
        )
    return numbers


def _run_of(context: Mapping[str, Any], settings: Settings) -> EngineRun:
    dag_run, params = context["dag_run"], dict(context["params"])
    date = str(params.pop(task.DATE, "") or "")
    selection = params.pop(task.SELECT, None) or {}
    start = context.get("data_interval_start") or context.get("logical_date")
    # What dag.test() left behind when somebody interrupted it is for ever under way in Airflow.
    tested = getattr(dag_run, "triggering_user_name", None) == "dag_test"
    by_hand = dag_run.run_type == "manual" and not tested
    schedule = settings.ir.schedule
    arrived = assets.arrived(context) if schedule is not None and schedule.on is not None else ()
    date = date or date_of(arrived)
    params |= parameters_of(settings.ir, arrived)
    if not date and start is not None and schedule is not None:
        date = start.astimezone(ZoneInfo(schedule.timezone)).date().isoformat()
    try:
        given = {p.name: params[p.name] for p in settings.ir.parameters if p.name in params}
        bind_parameters(settings.ir, given)
        part_of(settings.ir, selection)
        date = run_date(settings.ir, date)
    except RunnerError as error:  # no other try would be given anything else
        raise task.Failed(str(error)) from None
    return EngineRun(
        record_id=names.run_id(dag_run.dag_id, dag_run.run_id),
        owner=names.owner(dag_run.dag_id, dag_run.run_id),
        date=date,
        parameters=given,
        selection=selection,
        is_driven=driven_by(context) if by_hand else None,
        arrived=arrived,
    )
