"""A node in a pod of its own, whatever Airflow's executor is: the task looks first, then starts a pod.

The task waits, skips and finds what is there already, so a pod is only held for a node that executes. In the
pod runs the launcher (`entry.py`); what became of the node, the task asks the record, for a pod can be lost
after it published, and end well without having begun. Starting, finding again, following and removing pods is
the business of Airflow's own KubernetesPodOperator.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator

from tidemill.ir.model import PipelineIR
from tidemill.metadata.model import NodeState
from tidemill.metadata.store import MetadataStore
from tidemill.runners.airflow import names, pods
from tidemill.runners.airflow.entry import COMMAND
from tidemill.runners.airflow.operator import NodeTask
from tidemill.runners.airflow.pod_options import PodOptions
from tidemill.runners.base import task
from tidemill.runners.base.container import ENDED
from tidemill.runners.base.elsewhere import outcome_of
from tidemill.runners.base.task import Begin, EngineRun, Settings
from tidemill.runtime.call import NodeCall
from tidemill.runtime.failure import Failure, FailureKind
from tidemill.runtime.foresee import foresee
from tidemill.runtime.inside import INSIDE
from tidemill.runtime.launch import Outcome, launch
from tidemill.runtime.order import Answer, Order

ATTEMPT = "tidemill.attempt"
"""Annotation of a pod: the attempt that its launcher was told to make."""


class PodOperator(NodeTask, KubernetesPodOperator):  # type: ignore[misc]  # Airflow is not there where types are checked
    """Launches one node in a pod. What it means is decided by tidemill's launcher, there or here."""

    template_fields: Sequence[str] = ("pipeline_version", "iteration", "namespace")
    ui_color = "#dbeafe"

    # What the KubernetesPodOperator keeps: the pod that is asked for, as it was made, as it was last seen.
    pod_request_obj: Any
    pod: Any
    remote_pod: Any
    annotations: dict[str, str]

    def __init__(
        self, *, settings: Settings, pipeline_version: str, pipeline_node: str, iteration: int = 0,
        wait: str = "defer", python: str = "", pod_options: Mapping[str, Any], gpu_resource: str,
        **options: Any,
    ) -> None:  # fmt: skip
        node, mine = settings.ir.node(pipeline_node), PodOptions(**pod_options)
        made = pods.pod_of_node(node, mine, settings.metadata, gpu_resource)
        if mine.kubernetes_conn_id:
            options["kubernetes_conn_id"] = mine.kubernetes_conn_id
        super().__init__(
            name=names.pod_name(settings.ir.name, pipeline_node),
            full_pod_spec=pods.v1_pod(made, pipeline_node, "pod.template"),
            namespace=mine.namespace or None, cmds=[*COMMAND], get_logs=True,
            startup_timeout_seconds=mine.startup_timeout_seconds, startup_check_interval_seconds=1,
            on_finish_action=mine.on_finish_action,
            deferrable=mine.deferrable, log_events_on_failure=True, log_pod_spec_on_failure=False,
            do_xcom_push=False, **options,
        )  # fmt: skip
        self.set_task(settings, pipeline_version, pipeline_node, iteration, wait, python)

    def execute(self, context: Any) -> list[int] | None:
        """Look, and start the pod if the node is to execute."""
        return self.launch(context)

    def elsewhere(self, context: Any, ir: PipelineIR) -> Begin | None:
        """See NodeTask: in a pod, unless the record says that nothing is to be executed."""

        def begin(call: NodeCall, store: MetadataStore) -> Outcome:
            with _inside(ir.node(call.node_id).options.environment):
                seen = foresee(call, store, ir)
                if seen == "full":
                    return Outcome(
                        state=NodeState.RUNNING, node_id=call.node_id, iteration=call.iteration,
                        waiting="pool",
                    )  # fmt: skip
                if seen != "unknown":
                    return launch(replace(call, python=""), store, pipeline=ir, perform=_not_here)
            said = self._in_pod(context, call)
            return self._ended(store, call.run_id, said)

        return begin

    def trigger_reentry(self, context: Any, event: dict[str, Any]) -> list[int] | None:
        """The triggerer saw the pod end: as after watching it here."""
        with self.heeding(context):
            full, answer = self._reentered(context, event)
        return self.launch(context) if full else answer

    def _reentered(self, context: Any, event: dict[str, Any]) -> tuple[bool, list[int] | None]:
        """Whether the pool was full after all, and the task's answer."""
        said = ""
        try:
            KubernetesPodOperator.trigger_reentry(self, context, event)
        except Exception as error:  # whatever it is, the record knows better
            said = str(error)
        full = False

        def work(store: MetadataStore, settings: Settings, run: EngineRun) -> list[int] | None:
            nonlocal full
            outcome = self._ended(store, run.record_id, said)
            full = bool(outcome.waiting)
            if full:
                return None
            return self.told(context, store, settings, run, task.judged(settings.ir, outcome, self._cancel))

        answer = self._with_store(context, work)
        return full, answer

    def on_kill(self) -> None:
        """See `killed`. After `execute`, which a time limit of Airflow's has ended, remove the pod."""
        under_way = self._doubt is not None
        super().on_kill()
        if not under_way:
            KubernetesPodOperator.on_kill(self)

    def killed(self, is_wanted: bool) -> None:
        """Remove the pod, whose launcher is given time to end the node and to record that; if nobody wants
        that, leave it to the next try, which finds it."""
        if is_wanted:
            KubernetesPodOperator.on_kill(self)
            return
        self.log.info("the worker is to end, and this task; the pod goes on, and the next try finds it")
        # Any other way out of Airflow's operator removes the pod first. To Airflow it is a failed try.
        os._exit(ENDED)

    def _in_pod(self, context: Any, call: NodeCall) -> str:
        """Start the pod, or find it again, and watch it to its end; what Airflow says of one that failed.

        With the option `deferrable` this leaves the worker, and `trigger_reentry` goes on.
        """
        self.pod = self.remote_pod = self.pod_request_obj = None  # of a pod before, which had to wait
        words = replace(call, metadata="", code_root="", workdir="", isolation="process", run_state="").argv()
        self.arguments = [word for word in words[3:] if not word.startswith("--metadata=")]
        self.annotations = {**self.annotations, ATTEMPT: str(call.attempt)}
        try:
            KubernetesPodOperator.execute(self, context)
        except Exception as error:  # the pod failed, was never made, or was lost: the record knows which
            return str(error) or type(error).__name__
        return ""

    def _ended(self, store: MetadataStore, run_id: str, said: str) -> Outcome:
        """What became of the node in the pod that ended."""
        run = store.get_run(run_id)
        assert run is not None
        seen = self.remote_pod or self.pod
        annotations: Mapping[str, str] = (seen.metadata.annotations if seen is not None else None) or {}
        return outcome_of(
            store, run, self.pipeline_node, self.iteration, attempt=int(annotations.get(ATTEMPT, 0)),
            exit_code=_exit_code(seen), said=said, cancel=self._cancel,
        )  # fmt: skip


def _exit_code(pod: Any) -> int:
    """Of the pod's container, as its status says; 0 where it does not."""
    statuses = (pod.status.container_statuses if pod is not None and pod.status is not None else None) or []
    for status in statuses:
        ended = status.state.terminated if status.name == names.BASE and status.state is not None else None
        if ended is not None:
            return int(ended.exit_code)
    return 0


def _not_here(order: Order, log: Path) -> Answer | Failure:  # noqa: ARG001 - as what performs orders
    """In place of executing: what made it unnecessary was taken away a moment ago. The next try has a pod."""
    return Failure(kind=FailureKind.LOST, message="the result that was to be reused is not there any more")


@contextlib.contextmanager
def _inside(environment: Any) -> Iterator[None]:
    """A block in which the node's image is the one around, as it is in the pod: for its cache key."""
    before = os.environ.get(INSIDE)
    if environment is not None and environment.image:
        os.environ[INSIDE] = environment.image
    try:
        yield
    finally:
        os.environ.pop(INSIDE, None)
        if before is not None:
            os.environ[INSIDE] = before
