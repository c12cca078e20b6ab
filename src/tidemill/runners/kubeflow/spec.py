"""The pipeline in KFP's own form: `PipelineSpec` of pipeline_spec.proto, schema 2.1.0, as plain dicts.

The pipeline itself has two tasks: `body`, a DAG of everything, and `exit`, which runs when the body has
ended, whatever became of it. KFP makes an exit task a hook of each that it depends on: so one, on one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tidemill.errors import DefinitionError
from tidemill.ir import codec
from tidemill.ir.model import NodeIR, PipelineIR
from tidemill.runners.kubeflow import component_spec as parts
from tidemill.runners.kubeflow import names, task_spec
from tidemill.runners.kubeflow.layout import Dag, Layout, Task, lay_out
from tidemill.runners.kubeflow.packing import MOST, pack_encoded
from tidemill.runners.kubeflow.platform import pipeline_config
from tidemill.runners.kubeflow.target import Target
from tidemill.types.json import digest


@dataclass(frozen=True, slots=True)
class Compiled:
    """A pipeline as KFP has it."""

    pipeline: dict[str, Any]
    """`PipelineSpec`."""
    kubernetes: dict[str, Any]
    """`PlatformSpec`, or empty when nothing in it would say anything."""
    layout: Layout
    carries_ir: bool
    """Whether it carries the IR; else the store must have the pipeline version before a run starts."""

    @property
    def name(self) -> str:
        """The pipeline's name in KFP."""
        return str(self.pipeline["pipelineInfo"]["name"])


def compile_spec(ir: PipelineIR, target: Target) -> Compiled:
    """The pipeline and platform documents. Only what KFP has no form for is refused here: see check.py."""
    encoded = codec.encode(ir)
    packed = pack_encoded(encoded)
    return _Compiler(ir, target, digest(encoded), packed if len(packed) <= MOST else "").compile()


@dataclass(slots=True)
class _Edges:
    """What a DAG takes from around it and hands on to it."""

    parameters: set[str] = field(default_factory=set)
    inputs: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    """Artifact input -> its type, and where its task gets it from."""
    outputs: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    """Artifact output -> its type, and which task makes it."""


class _Compiler:
    def __init__(self, ir: PipelineIR, target: Target, version: str, packed: str) -> None:
        self.ir, self.target, self.version, self.packed = ir, target, version, packed
        self.layout = lay_out(ir)
        self.made = parts.Components()
        self.workspace = target.run.workspace is not None
        self.edges: dict[Dag, _Edges] = {}
        self.bases = {t.name: t.base_type for t in ir.artifact_types}
        self.kinds = {(n.id, out.name): out.type for n in ir.nodes for out in n.outputs}
        self.wired: dict[Task, dict[str, tuple[str, dict[str, Any]]]] = {}
        """Task -> artifact input -> its type, and where it comes from."""

    def compile(self) -> Compiled:
        """Everything."""
        for item in self.layout.tasks.values():
            self.wired[item] = self._wire(item)
        body = self._dag(self.layout.body)
        exit_task = self._exit()
        inputs = parts.parameters_of(self.ir)
        root = {
            "inputDefinitions": {"parameters": inputs},
            "dag": {"tasks": {names.BODY: self._top(self.layout.body, body), names.EXIT: exit_task}},
        }
        info = {"name": self.target.name or names.pipeline_name(self.ir.name)}
        if self.ir.description:
            info["description"] = self.ir.description.strip().partition("\n")[0][:1024]
        pipeline = {
            "pipelineInfo": info,
            "schemaVersion": "2.1.0",
            "sdkVersion": "tidemill",
            "components": self.made.components,
            "deploymentSpec": {"executors": self.made.executors},
            "root": root,
        }
        return Compiled(pipeline, self._platform(), self.layout, bool(self.packed))

    def _platform(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.made.kubernetes:
            found["deploymentSpec"] = {"executors": self.made.kubernetes}
        if config := pipeline_config(self.target.run):
            found["pipelineConfig"] = config
        return {"platforms": {"kubernetes": found}} if found else {}

    def _top(self, dag: Dag, component: str) -> dict[str, Any]:
        """A task of the pipeline itself: runtime parameters are its inputs, the IR is its own."""
        given = {name: task_spec.inherited(name) for name in sorted(self._edges(dag).parameters)}
        if names.IR in given:
            given[names.IR] = task_spec.constant(self.packed)
        return task_spec.task(dag.key, component, dag.after, {"parameters": given})

    def _exit(self) -> dict[str, Any]:
        exits = self.layout.exit
        if len(exits.tasks) == 1:  # nothing but the end of the run
            (last,) = exits.tasks.values()
            assert isinstance(last, Task)
            made = self._task(last)
            made["taskInfo"] = {"name": names.EXIT}
        else:
            made = self._top(exits, self._dag(exits))
        made["dependentTasks"] = [names.BODY]
        made["triggerPolicy"] = {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
        return made

    def _edges(self, dag: Dag) -> _Edges:
        return self.edges.setdefault(dag, _Edges())

    # --- DAGs and tasks ----------------------------------------------------------------------------

    def _dag(self, dag: Dag) -> str:
        """The component of a DAG and of all that is in it."""
        name = self.made.dag_name(dag.path if dag.parent else dag.key, dag.key)
        tasks = {
            key: self._inner(item) if isinstance(item, Dag) else self._task(item)
            for key, item in dag.tasks.items()
        }
        edges = self._edges(dag)
        kinds = parts.start_inputs(self.ir, carries_ir=True) | parts.inputs_of("")
        parameters = {
            n: {"parameterType": kinds[n]["parameterType"]} for n in sorted(edges.parameters)
        }  # fmt: skip
        if dag.loop is not None:
            parameters[names.ITEMS] = {"parameterType": "LIST"}
            parameters[names.ITERATION] = {"parameterType": "NUMBER_INTEGER"}
        inputs: dict[str, Any] = {"parameters": parameters} if parameters else {}
        if edges.inputs:
            inputs["artifacts"] = {n: parts.artifact(kind) for n, (kind, _) in sorted(edges.inputs.items())}
        made: dict[str, Any] = {"dag": {"tasks": tasks}}
        if inputs:
            made["inputDefinitions"] = inputs
        if edges.outputs:
            selected = {n: {"artifactSelectors": [s]} for n, (_, s) in sorted(edges.outputs.items())}
            made["dag"]["outputs"] = {"artifacts": selected}
            declared = {n: parts.artifact(kind) for n, (kind, _) in sorted(edges.outputs.items())}
            made["outputDefinitions"] = {"artifacts": declared}
        self.made.dag(name, made)
        return name

    def _inner(self, dag: Dag) -> dict[str, Any]:
        """The task of a DAG in a DAG."""
        component = self._dag(dag)
        assert dag.parent is not None
        edges = self._edges(dag)
        mine = {names.ITERATION} if dag.parent.loop is not None else set()
        self._edges(dag.parent).parameters |= edges.parameters - mine
        given = {name: task_spec.inherited(name) for name in sorted(edges.parameters)}
        made = task_spec.task(
            dag.key, component, dag.after,
            {"parameters": given, "artifacts": {n: where for n, (_, where) in sorted(edges.inputs.items())}},
        )  # fmt: skip
        if dag.loop is not None:
            self._iterate(dag, dag.loop, made)
        return made

    def _iterate(self, dag: Dag, loop: NodeIR, made: dict[str, Any]) -> None:
        head = self.layout.tasks[loop.id]
        if head.dag is not dag.parent:
            raise DefinitionError(
                f"[task-cycle] the loop {loop.id!r} goes on after its items are out of KFP's reach",
                where=loop.id,
                hint="what reads results of the loop around it, and is read by a node in this one, must come"
                " after both",
            )
        items = {"taskOutputParameter": {"producerTask": head.key, "outputParameterKey": names.ITEMS}}
        made.setdefault("inputs", {}).setdefault("parameters", {})[names.ITEMS] = items
        made["parameterIterator"] = {
            "items": {"inputParameter": names.ITEMS},
            "itemInput": names.ITERATION,
        }
        if loop.loop is not None and loop.loop.parallelism:
            made["iteratorPolicy"] = {"parallelismLimit": loop.loop.parallelism}

    def _task(self, item: Task) -> dict[str, Any]:
        """The task of a node, or one of ours."""
        carries = bool(self.packed)
        wanted = task_spec.needs(item, self.ir, carries_ir=carries)
        inherited = {name: task_spec.inherited(name) for name in wanted}
        self._edges(item.dag).parameters |= {
            n for n in wanted if n != names.ITERATION or item.dag.loop is None
        }
        artifacts = {name: where for name, (_, where) in sorted(self.wired.get(item, {}).items())}
        parameters = {**task_spec.own_parameters(item, self.ir, workspace=self.workspace), **inherited}
        made = task_spec.task(
            item.key, self._component(item), item.after,
            {"parameters": parameters, "artifacts": artifacts},
        )  # fmt: skip
        if retry := task_spec.retry_of(item.node):
            made["retryPolicy"] = retry
        return made

    def _component(self, item: Task) -> str:
        node = item.node
        parameters = parts.inputs_of(self.version, workspace=self.workspace)
        if item.first:
            carries = bool(self.packed) and node is not None
            parameters |= parts.start_inputs(self.ir, carries_ir=carries)
        inputs: dict[str, Any] = {"parameters": parameters}
        if wired := self.wired.get(item):
            inputs["artifacts"] = {
                name: {**parts.artifact(kind), "isOptional": True}
                for name, (kind, _) in sorted(wired.items())
            }
        definition = {"inputDefinitions": inputs}
        if node is not None and (outputs := parts.outputs_of(node, self.bases)):
            definition["outputDefinitions"] = outputs
        options = parts.kubernetes_of(node, item.name, self.target)
        return self.made.container(
            node.component if node is not None else item.key,
            definition,
            parts.container_of(node, options, self.target),
            parts.config_of(options),
        )

    # --- artifacts ---------------------------------------------------------------------------------

    def _wire(self, item: Task) -> dict[str, tuple[str, dict[str, Any]]]:
        """Artifact inputs of a task, those of a list one by one. They are for KFP's own lineage: the launcher
        reads the record, so what KFP cannot hand on (out of loops, to exit nodes) is left out."""
        found: dict[str, tuple[str, dict[str, Any]]] = {}
        assert item.node is not None
        for inp in item.node.inputs:
            for number, (node_id, output) in enumerate(dict.fromkeys(task_spec.producers(inp))):
                kind = self.kinds[node_id, output]
                where = self._route(self.layout.tasks[node_id], output, kind, item)
                if where is not None:
                    found[f"{inp.name}-{number + 1}" if number else inp.name] = kind, where
        return found

    def _route(self, early: Task, output: str, kind: str, late: Task) -> dict[str, Any] | None:
        """Where `late` gets an output of `early` from; the DAGs between hand it on."""
        around = list(late.dag.above())
        outward: list[Dag] = []
        for dag in early.dag.above():
            if dag in around:
                break
            if dag.loop is not None:  # with no iteration there is no artifact, and KFP's driver fails
                return None
            outward.append(dag)
        else:
            return None
        assert early.node is not None
        name = f"{names.plain(early.node.id)}-{output}"
        producer, key = early.key, output
        for dag in outward:
            selector = {"producerSubtask": producer, "outputArtifactKey": key}
            self._edges(dag).outputs[name] = kind, selector
            producer, key = dag.key, name
        where: dict[str, Any] = {"taskOutputArtifact": {"producerTask": producer, "outputArtifactKey": key}}
        for dag in reversed(around[: around.index(_left(early, outward))]):
            self._edges(dag).inputs[name] = kind, where
            where = {"componentInputArtifact": name}
        return where


def _left(early: Task, outward: list[Dag]) -> Dag:
    """The DAG that an output is handed on in, having left those that are in it."""
    if not outward:
        return early.dag
    parent = outward[-1].parent
    assert parent is not None
    return parent
