"""Components and their executors: what tasks have in common is written down once.

KFP's compiler keeps one component for each container, so two components must never have equal containers:
each container has its component's name among its arguments.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tidemill.ir.model import NodeIR, OptionsIR, ParameterIR, PipelineIR
from tidemill.runners.kubeflow import names, quantity
from tidemill.runners.kubeflow.platform import KubernetesOptions, executor_config, for_node
from tidemill.runners.kubeflow.target import Target

LAUNCHER_MEMORY = 256 * 2**20
"""Bytes that a pod gets beyond what the executor may use: for the launcher beside it."""
SLACK = 900
"""Seconds that a pod may take beyond its node's own limits: to be stopped, to check and publish outputs."""
GPU = "nvidia.com/gpu"

KFP_TYPES = {
    "int": "NUMBER_INTEGER",
    "float": "NUMBER_DOUBLE",
    "str": "STRING",
    "bool": "BOOLEAN",
    "json": "STRING",
}
"""Types of runtime parameters; a json one is its JSON text, since KFP has no type that takes any value."""

_MEASURED = frozenset({"ModelEvaluation", "TunerResults"})
"""Artifact types whose numbers KFP's pages show."""
_PAGES = frozenset({"ExampleStatistics", "ExampleAnomalies", "ModelEvaluation"})
"""Artifact types that there are pages of: see cli/page.py."""
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(slots=True)
class Components:
    """All components and executors of one pipeline, by name."""

    components: dict[str, Any] = field(default_factory=dict)
    executors: dict[str, Any] = field(default_factory=dict)
    kubernetes: dict[str, Any] = field(default_factory=dict)
    _known: dict[str, str] = field(default_factory=dict)
    _names: names.Names = field(default_factory=names.Names)

    def container(
        self, wanted: str, definition: dict[str, Any], container: dict[str, Any], kubernetes: dict[str, Any]
    ) -> str:
        """The name of the component that is just so; made when there is none yet."""
        key = json.dumps([wanted, definition, container, kubernetes], sort_keys=True)
        if key not in self._known:
            name = self._known[key] = self._names.take(f"comp-{_CAMEL.sub('-', wanted)}")
            label = f"exec-{name.removeprefix('comp-')}"
            self.components[name] = {"executorLabel": label, **definition}
            self.executors[label] = {"container": {**container, "args": [*names.ARGUMENTS, name]}}
            if kubernetes:
                self.kubernetes[label] = kubernetes
        return self._known[key]

    def dag_name(self, path: str, task: str) -> str:
        """A free name for a DAG's component; what KFP makes of it and its task in a loop is free, too."""
        return self._names.take(f"dag-{path}", f"-{task}", f"-{task}-iterator", most=names.MOST_DAG)

    def dag(self, name: str, definition: dict[str, Any]) -> None:
        """Keep a DAG under a name that `dag_name` gave."""
        self.components[name] = definition


def parameters_of(ir: PipelineIR) -> dict[str, Any]:
    """Inputs of the pipeline: its runtime parameters, and those that every pipeline has."""
    found = {p.name: _runtime(p) for p in ir.parameters}
    found[names.DATE] = {
        "parameterType": "STRING", "defaultValue": "", "isOptional": True,
        "description": "YYYY-MM-DD; by default that of the schedule",
    }  # fmt: skip
    found[names.SELECT] = {
        "parameterType": "STRUCT", "defaultValue": {}, "isOptional": True,
        "description": 'part of the pipeline to run: {"only": [...], "from": [...], "to": [...]}',
    }  # fmt: skip
    return found


def _runtime(parameter: ParameterIR) -> dict[str, Any]:
    found: dict[str, Any] = {"parameterType": KFP_TYPES[parameter.type]}
    if parameter.type == "json":
        found["description"] = "as JSON"
    if not parameter.required:
        value = parameter.default
        found["defaultValue"] = json.dumps(value, sort_keys=True) if parameter.type == "json" else value
        found["isOptional"] = True
    return found


def start_inputs(ir: PipelineIR, *, carries_ir: bool) -> dict[str, Any]:
    """Further inputs of tasks that may have to make the run in the record."""
    kinds = {p.name: KFP_TYPES[p.type] for p in ir.parameters}
    kinds |= {names.DATE: "STRING", names.SELECT: "STRUCT"}
    if ir.schedule is not None:
        kinds[names.SCHEDULE] = "STRING"
    if carries_ir:
        kinds[names.IR] = "STRING"
    return {name: {"parameterType": kind, "isOptional": True} for name, kind in kinds.items()}


def inputs_of(version: str, *, workspace: bool = False) -> dict[str, Any]:
    """Inputs that every task of ours may have."""
    return {
        names.NODE: {"parameterType": "STRING"},
        names.RUN: {"parameterType": "STRING"},
        names.VERSION: {"parameterType": "STRING", "defaultValue": version, "isOptional": True},
        names.SOFT: {"parameterType": "BOOLEAN", "defaultValue": False, "isOptional": True},
        # With a default: kfp.local fails for an optional whole number without one.
        names.ITERATION: {"parameterType": "NUMBER_INTEGER", "defaultValue": 0, "isOptional": True},
    } | ({names.WORKSPACE: {"parameterType": "STRING"}} if workspace else {})


def artifact(type_name: str) -> dict[str, Any]:
    """An artifact of one of our types."""
    schema = {"schemaTitle": names.TYPE_PREFIX + type_name, "schemaVersion": names.TYPE_VERSION}
    return {"artifactType": schema}


def outputs_of(node: NodeIR, bases: Mapping[str, str]) -> dict[str, Any]:
    """Outputs of a node's component. `bases`: artifact type -> the type it is a kind of."""
    found = {out.name: artifact(out.type) for out in node.outputs}
    kinds = {kind for out in node.outputs for kind in (out.type, bases.get(out.type, ""))}
    if kinds & _MEASURED:
        found[names.METRICS] = _of_kfp("system.Metrics")
    if kinds & _PAGES:
        found[names.PAGE] = _of_kfp("system.HTML")
    definition: dict[str, Any] = {"artifacts": found} if found else {}
    if node.loop is not None:
        definition["parameters"] = {names.ITEMS: {"parameterType": "LIST"}}
    return definition


def _of_kfp(title: str) -> dict[str, Any]:
    return {"artifactType": {"schemaTitle": title, "schemaVersion": "0.0.1"}}


def container_of(node: NodeIR | None, options: KubernetesOptions, target: Target) -> dict[str, Any]:
    """The container of a node, or of a task of ours; without arguments, which need the component's name."""
    own = node.options.environment.image if node is not None and node.options.environment else ""
    image = own or target.image
    env = {**target.environment(), **options.env, names.INSIDE_IMAGE: image}
    found: dict[str, Any] = {
        "image": image,
        "command": [*names.ENTRY],
        "env": [{"name": name, "value": value} for name, value in sorted(env.items())],
    }
    if node is not None and (resources := _resources(node.options, options)):
        found["resources"] = resources
    return found


def _resources(options: OptionsIR, kubernetes: KubernetesOptions) -> dict[str, Any]:
    """As texts: KFP's numbers are deprecated, and cannot be read at run time."""
    asked = options.resources
    found: dict[str, Any] = {}
    if asked.cpu:
        found["resourceCpuRequest"] = found["resourceCpuLimit"] = quantity.of_cores(asked.cpu)
    if asked.memory:
        found["resourceMemoryRequest"] = quantity.of_size(asked.memory + LAUNCHER_MEMORY)
        # The launcher gives a retry more, up to memory_max; a pod's limit is the same for all attempts.
        found["resourceMemoryLimit"] = quantity.of_size(max(asked.memory, asked.memory_max) + LAUNCHER_MEMORY)
    # What was measured may be asked for instead; what the node may use stays its limit.
    if cores := quantity.cores(kubernetes.cpu_request):
        found["resourceCpuRequest"] = quantity.of_cores(min(cores, asked.cpu or cores))
    if size := quantity.size(kubernetes.memory_request):
        most = max(asked.memory, asked.memory_max) or size
        found["resourceMemoryRequest"] = quantity.of_size(min(size, most) + LAUNCHER_MEMORY)
    if asked.gpu:
        kind = kubernetes.accelerator or GPU
        found["accelerator"] = {"resourceType": kind, "resourceCount": str(asked.gpu)}
    return found


def kubernetes_of(node: NodeIR | None, name: str, target: Target) -> KubernetesOptions:
    """What Kubernetes gives the pods of a node: of the platform, and of the node's own options."""
    found = for_node(target.platform, node.id if node is not None else name)
    if node is None:
        return found
    labels, annotations = dict(found.labels), dict(found.annotations)
    for key, value in sorted(node.options.labels.items()):
        # What is no label of Kubernetes is kept all the same: annotations take any text.
        place = labels if _LABEL.fullmatch(value) else annotations
        place.setdefault(key, value)
    if node.options.owner:
        annotations.setdefault("tidemill/owner", node.options.owner)
    return replace(found, labels=labels, annotations=annotations, deadline=found.deadline or _deadline(node))


def _deadline(node: NodeIR) -> int:
    """Seconds after which a pod hangs, for all waiting in it is bounded; 0 where it is not."""
    options = node.options
    if options.total_timeout:
        return math.ceil(options.total_timeout) + SLACK
    waits = node.kind == "approval" or (options.pool and not options.queue_timeout)
    if not options.timeout or waits:
        return 0
    cap = options.retry.cap if options.retry is not None else max(600.0, options.backoff)
    seconds = cap + options.queue_timeout + options.start_timeout + options.timeout
    return math.ceil(seconds) + SLACK


def config_of(options: KubernetesOptions) -> dict[str, Any]:
    """The Kubernetes document's part for an executor."""
    return executor_config(options) if options != KubernetesOptions() else {}
