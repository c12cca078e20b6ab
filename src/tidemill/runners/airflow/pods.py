"""The pod that the KubernetesExecutor runs a task in: what the node asks for, and what an installation adds.

Kubernetes' client makes it, so that a pod which it does not know is refused when the DAG is built; it is
installed with Airflow's cncf.kubernetes provider, without which that executor does not run either.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tidemill.errors import DefinitionError, Problem, did_you_mean
from tidemill.ir.model import NodeIR, ResourcesIR
from tidemill.runners.airflow.options import AirflowOptions

BASE = "base"
"""The executor's name for the container of the task."""
OVERHEAD = 512 * 2**20
"""Bytes that Airflow's task process and the launcher take beside the executor, whose memory is the node's."""
_CONTAINER = re.compile(r"list\[(\w+)\]|dict\(str, (\w+)\)|dict\[str, (\w+)\]")


def pod_of(node: NodeIR, options: AirflowOptions) -> dict[str, Any]:
    """The pod as JSON: the node's resources in the container `base`, and over them what was given.

    Memory is requested with OVERHEAD added, and limited at `memory_max` where the node may grow so far.
    """
    pod: dict[str, Any] = copy.deepcopy(dict(options.pod_override or {}))
    asked = requests(node.options.resources, options.gpu_resource)
    if asked or pod.get("spec", {}).get("containers"):
        base = _base(pod)
        given = base.get("resources", {})
        if asked:
            base["resources"] = given | {kind: asked[kind] | given.get(kind, {}) for kind in asked}
    return pod


def _base(pod: dict[str, Any]) -> dict[str, Any]:
    """The container of the task, put first: Airflow goes by places, and runs it in the first."""
    containers: list[dict[str, Any]] = pod.setdefault("spec", {}).setdefault("containers", [])
    found = next((c for c in containers if c.get("name") == BASE), {"name": BASE})
    containers[:] = [found, *(c for c in containers if c is not found)]
    return found


def requests(resources: ResourcesIR, gpu: str = "nvidia.com/gpu") -> dict[str, dict[str, str]]:
    """`resources` of a container: requests and limits in Kubernetes' units, empty when nothing is asked."""
    low: dict[str, str] = {}
    high: dict[str, str] = {}
    if resources.cpu:
        low["cpu"] = high["cpu"] = f"{round(resources.cpu * 1000)}m"
    if resources.memory:
        low["memory"] = str(resources.memory + OVERHEAD)
        high["memory"] = str(max(resources.memory, resources.memory_max) + OVERHEAD)
    if resources.gpu:  # requests of these are their limits
        high[gpu] = str(resources.gpu)
    return {kind: found for kind, found in (("requests", low), ("limits", high)) if found}


def v1_pod(pod: Mapping[str, Any], where: str) -> Any:
    """The pod as Kubernetes' client has it. DefinitionError without the client, and for what no pod has."""
    try:
        from kubernetes import client
    except ImportError:
        raise DefinitionError(
            "pod_override needs Kubernetes' client, which is not installed where the DAG is read",
            where=where,
            hint="install apache-airflow-providers-cncf-kubernetes, as the KubernetesExecutor needs it too",
        ) from None
    if problems := [*_problems(client, pod, "V1Pod", "pod_override", where)]:
        raise DefinitionError.of(f"the pod of node {where!r}", problems)
    made: Any = client.ApiClient(client.Configuration()).deserialize(_Answer(json.dumps(pod)), "V1Pod")
    return made


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the client reads models from: the body of an answer."""

    data: str


def _problems(client: Any, value: Any, kind: str, path: str, where: str) -> Iterator[Problem]:
    """Fields that the client's model `kind` does not have: reading would leave them out without a word."""
    if inner := _CONTAINER.fullmatch(kind):
        of_list, *of_dict = inner.groups()
        kind_of_items = of_list or next(filter(None, of_dict))
        if not isinstance(value, list if of_list else Mapping):
            yield Problem(f"{path} is {value!r}", where, f"write a {'list' if of_list else 'table'}")
            return
        items: Any = enumerate(value) if isinstance(value, list) else value.items()
        for key, item in items:
            yield from _problems(client, item, kind_of_items, f"{path}[{key}]", where)
        return
    model = getattr(client, kind, None)
    if model is None:  # a plain value
        return
    if not isinstance(value, Mapping):
        yield Problem(f"{path} is {value!r}", where, "write a table")
        return
    fields = {spelled: attribute for attribute, spelled in model.attribute_map.items()}
    for name, item in value.items():
        if name not in fields:
            yield Problem(f"{path} has no {name!r}", where, did_you_mean(str(name), fields))
        else:
            yield from _problems(client, item, model.openapi_types[fields[name]], f"{path}.{name}", where)
