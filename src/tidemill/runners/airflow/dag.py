"""The DAG of a pipeline: its tasks, what waits for what, when it runs. Built from the IR alone.

Nothing is read and nobody is asked, so that a DAG file is parsed in milliseconds and twice the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Param, TaskGroup, TriggerRule

from tidemill.errors import DefinitionError
from tidemill.ir import codec
from tidemill.ir.model import NodeIR, ParameterIR, PipelineIR
from tidemill.runners.airflow import assets as asset_events
from tidemill.runners.airflow import names, pods
from tidemill.runners.airflow.alerting import Alerts
from tidemill.runners.airflow.defaults import RESULTS
from tidemill.runners.airflow.operator import IterationsOperator, NodeOperator, RunEndOperator
from tidemill.runners.airflow.options import AirflowOptions, in_pod, plain_of
from tidemill.runners.airflow.timing import schedule_options
from tidemill.runners.base import task
from tidemill.runners.base.task import Settings
from tidemill.runtime.retry import policy_of

_JSON_TYPES = {"int": "integer", "float": "number", "str": "string", "bool": "boolean"}
_PART: dict[str, Any] = {
    "type": ["object", "null"],
    "properties": {name: {"type": "array", "items": {"type": "string"}} for name in ("only", "from", "to")},
    "additionalProperties": False,
}
"""What the param SELECT may hold: an unknown word in it would otherwise run the whole pipeline."""
LOST_TRIES = 2
"""Tries of a task beyond its node's own attempts, for those that Airflow loses with a worker: of every other
failure the launcher says whether there is to be a further one."""
_FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
"""Start of a schedule that says none: fixed, for a DAG must be the same whenever it is parsed."""


def build_dag(
    settings: Settings, *, assets: str | Sequence[str] = RESULTS, alerts: Alerts | None = None,
    of_nodes: Mapping[str, AirflowOptions] | None = None, **dag_options: Any,
) -> DAG:  # fmt: skip
    """The DAG; `dag_options` are Airflow's, such as tags, deadline or callbacks, and win over ours; no
    `dagrun_timeout` (DefinitionError), which would leave the run RUNNING in the record for ever.
    `assets`: which outputs are assets; see `outputs.chosen`. `alerts`: who is told how a run ended.
    `of_nodes`: options of nodes, by id."""
    ir = settings.ir
    if dag_options.get("dagrun_timeout") is not None:
        raise DefinitionError(
            "with dagrun_timeout, Airflow skips all that is left of a late run, exit nodes and the task that "
            "records the end among it",
            where=ir.name,
            hint="give nodes a timeout or total_timeout, and the schedule a deadline that tells somebody",
        )
    ours = _dag_options(ir) | schedule_options(settings)
    if alerts or (ir.schedule and ir.schedule.deadline):
        from tidemill.runners.airflow.telling import alert_options  # only DAGs that tell somebody load it

        ours |= alert_options(settings, alerts or Alerts(), watched="deadline" not in dag_options)
    dag = DAG(names.dag_id(ir.name), **(ours | dag_options))
    # Airflow copies the DAG's params into each task, twice, which was the most of what parsing a DAG of ours
    # cost, and keeps the copies in the DAG's every version. A task is given those of its DAG anyway.
    params = dict(dag.params.items())
    for name in params:
        del dag.params[name]
    _Builder(settings, dag, asset_events.outlets(ir, assets), of_nodes or {}).build()
    dag.params.update(params)
    return dag


class _Builder:
    def __init__(
        self, settings: Settings, dag: DAG, outlets: dict[str, list[Any]],
        of_nodes: Mapping[str, AirflowOptions],
    ) -> None:  # fmt: skip
        self.outlets = outlets
        self.of_nodes = of_nodes
        self.settings = settings
        self.ir = settings.ir
        self.dag = dag
        self.alike: dict[str, Any] = {"settings": settings, "pipeline_version": codec.version(settings.ir)}
        self.tasks: dict[str, Any] = {}
        self.lists: dict[str, Any] = {}
        """Loop -> the task whose answer lists its iterations."""
        self.groups: dict[str, TaskGroup] = {}

    def build(self) -> None:
        """Tasks in the pipeline's order, then the last one."""
        ordinary = [node for node in self.ir.nodes if not node.on_exit]
        exits = [node for node in self.ir.nodes if node.on_exit]
        for node in (*ordinary, *exits):
            self.tasks[node.id] = self._task(node)
        for node in ordinary:
            if before := [self.tasks[other] for other in node.upstream()]:
                before >> self.tasks[node.id]
        followed = {before for node in ordinary for before in node.upstream()}
        leaves = [self.tasks[node.id] for node in ordinary if node.id not in followed]
        for node in exits:
            mine = [self.tasks[b] for b in node.upstream() if self.ir.node(b).on_exit] or leaves
            mine >> self.tasks[node.id].as_teardown()
        end = RunEndOperator(
            task_id=names.RUN_END, dag=self.dag, trigger_rule=TriggerRule.ALL_DONE, retries=2,
            retry_delay=timedelta(seconds=5), **self.alike,
        )  # fmt: skip
        [*leaves, *(self.tasks[node.id] for node in exits)] >> end
        end.as_teardown(on_failure_fail_dagrun=True)

    def _task(self, node: NodeIR) -> Any:
        options = self._options(node)
        mine = self.of_nodes.get(node.id)
        if mine is not None:
            options |= _of_airflow(node, mine)
        operator = _operator(node, mine)
        if not node.loops:
            made: Any = operator(pipeline_node=node.id, **options, **self.alike)
        else:
            around = self.lists[node.loops[-1]]
            partial = operator.partial(pipeline_node=node.id, **options, **self.alike)
            made = partial.expand(iteration=around.output)
        if node.loop is not None:
            self.lists[node.id] = made if not node.loops else self._list(node, made)
        return made

    def _list(self, node: NodeIR, head: Any) -> Any:
        found = IterationsOperator(
            task_id=names.task_id(node.id) + names.ITEMS_SUFFIX, loop_node=node.id, dag=self.dag,
            trigger_rule=TriggerRule.ALL_DONE, **self.alike,
        )  # fmt: skip
        head >> found
        return found

    def _options(self, node: NodeIR) -> dict[str, Any]:
        """Airflow's options of a node's task."""
        options = node.options
        policy = policy_of(options)
        retries = policy.user + policy.transient + policy.timeout + policy.memory + policy.infrastructure
        if options.retry is None:
            retries = options.retries
        exact = node.trigger == "all_success" and not node.loops and not node.on_exit
        found: dict[str, Any] = {
            "task_id": names.task_id(node.id),
            "dag": self.dag,
            # SKIPPED is a success here, so NONE_FAILED is "all succeeded"; a loop without items is skipped.
            "trigger_rule": TriggerRule.NONE_FAILED if exact else TriggerRule.ALL_DONE,
            "retries": retries + LOST_TRIES,
            "retry_delay": timedelta(0),
            "priority_weight": max(1, options.priority + 1),
            "weight_rule": "absolute",
            "owner": options.owner or "airflow",
            "task_group": self._group(node.id),
            "task_display_name": node.id,
        }
        if node.id in self.outlets:
            found["outlets"] = self.outlets[node.id]
        parallelism = self._parallelism(node)
        if parallelism:
            found["max_active_tis_per_dagrun"] = parallelism
        return found

    def _parallelism(self, node: NodeIR) -> int:
        head = self.ir.node(node.loops[-1]).loop if node.loops else None
        return head.parallelism if head else 0

    def _group(self, node_id: str) -> TaskGroup | None:
        """The group of a sub-pipeline: the part of the node's id before its last dot."""
        path, _, _ = node_id.rpartition(".")
        if not path:
            return None
        if path not in self.groups:
            outer = self._group(path)
            self.groups[path] = TaskGroup(
                names.group_id(path, self.ir), prefix_group_id=False, parent_group=outer, dag=self.dag
            )
        return self.groups[path]


def _operator(node: NodeIR, options: AirflowOptions | None) -> Any:
    if node.kind == "approval":
        from tidemill.runners.airflow.approvals import ApprovalOperator  # few pipelines have one

        return ApprovalOperator
    if options is not None and in_pod(node, options):
        return _pod_operator(node.id)
    return NodeOperator


def _pod_operator(where: str) -> Any:
    try:  # nothing else needs Kubernetes' client
        from tidemill.runners.airflow.pod_operator import PodOperator
    except ModuleNotFoundError as error:
        if not str(error.name).startswith(("airflow.providers.cncf", "kubernetes")):
            raise
        raise DefinitionError(
            "a pod of the node's own needs Airflow's provider for Kubernetes, which is not installed where "
            "the DAG is read",
            where=where,
            hint="install apache-airflow-providers-cncf-kubernetes, or tidemill[airflow-pods]",
        ) from None
    return PodOperator


def _of_airflow(node: NodeIR, options: AirflowOptions) -> dict[str, Any]:
    """What Airflow is told of a task by the options of its node; what they leave out, Airflow decides."""
    found: dict[str, Any] = {}
    for name in ("pool", "queue", "executor", "priority_weight"):
        if value := getattr(options, name):
            found[name] = value
    if options.pool_slots != 1:
        found["pool_slots"] = options.pool_slots
    if options.wait != "defer":
        found["wait"] = options.wait
    if options.python and node.kind != "approval":
        found["python"] = options.python
    if options.executor_config:
        found["executor_config"] = dict(options.executor_config)
    if in_pod(node, options):
        found["pod_options"], found["gpu_resource"] = plain_of(options)["pod"], options.gpu_resource
    if options.pod_override is not None:
        found["executor_config"] = {"pod_override": pods.v1_pod(pods.pod_of(node, options), node.id)}
    return found


def _dag_options(ir: PipelineIR) -> dict[str, Any]:
    params: dict[str, Any] = {p.name: _param(p) for p in ir.parameters}
    params[task.DATE] = Param(
        None, type=["string", "null"], format="date", title="date", description="by default the interval's"
    )
    params[task.SELECT] = Param(
        None, **_PART, title="part of the pipeline to run",
        description='{"only": [...], "from": [...], "to": [...]}, names of nodes',
    )  # fmt: skip
    found: dict[str, Any] = {
        "start_date": _FIRST_DAY,
        "params": params,
        "description": ir.description.strip().partition("\n")[0] or None,
        "doc_md": ir.description or None,
        "tags": ["tidemill"],
    }
    if ir.max_active_runs:
        found["max_active_runs"] = ir.max_active_runs
    return found


def _param(parameter: ParameterIR) -> Param:
    """Airflow's form and API check by JSON Schema, and make fields of it: choices of an enum, say."""
    kind = _JSON_TYPES.get(parameter.type)
    schema: dict[str, Any] = {**({"type": kind} if kind else {}), **parameter.schema}
    return Param(**schema) if parameter.required else Param(parameter.default, **schema)
