"""Pods, of two kinds: the one that the KubernetesExecutor runs a task in, and that of a node alone.

Kubernetes' client makes them, so that a pod which it does not know is refused when the DAG is built; it is
installed with Airflow's cncf.kubernetes provider, without which neither kind is ever started.
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
from tidemill.runners.airflow import names
from tidemill.runners.airflow.options import AirflowOptions
from tidemill.runners.airflow.pod_options import PodOptions, named_in
from tidemill.runners.base.container import METADATA
from tidemill.runtime.inside import INSIDE

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
        _ask(_base(pod), asked)
    return pod


def pod_of_node(
    node: NodeIR, options: PodOptions, metadata: str, gpu: str = "nvidia.com/gpu"
) -> dict[str, Any]:
    """The pod that a node runs in alone, as JSON: its image, variables and resources in the container `base`,
    the first one, over what the template has. The variables name secrets, and hold none.

    `metadata` is the store's URL for a pod that no secret tells it, and is one that everybody may read.
    """
    pod: dict[str, Any] = copy.deepcopy(dict(options.template))
    base = _base(pod)
    environment = node.options.environment
    of_node = environment.image if environment else ""
    base["image"] = options.image or of_node
    plain = dict(options.env) if named_in(options) else {METADATA: metadata, **options.env}
    if of_node:
        plain[INSIDE] = of_node
    mine = [{"name": name, "value": plain[name]} for name in sorted(plain)]
    mine += [_from_secret(name, options.secret_env[name]) for name in sorted(options.secret_env)]
    names_of_mine = {item["name"] for item in mine}
    base["env"] = [item for item in base.get("env", []) if item.get("name") not in names_of_mine] + mine
    if options.service_account_name:
        pod["spec"]["serviceAccountName"] = options.service_account_name
    _ask(base, requests(node.options.resources, gpu))
    return pod


def _base(pod: dict[str, Any]) -> dict[str, Any]:
    """The container of the task or node, put first: Airflow goes by places, and takes the first for it."""
    containers: list[dict[str, Any]] = pod.setdefault("spec", {}).setdefault("containers", [])
    found = next((c for c in containers if c.get("name") == names.BASE), {"name": names.BASE})
    containers[:] = [found, *(c for c in containers if c is not found)]
    return found


def _ask(container: dict[str, Any], asked: Mapping[str, Mapping[str, str]]) -> None:
    """Request resources; what the container asks for itself wins."""
    if not asked:
        return
    given = container.get("resources", {})
    container["resources"] = given | {kind: {**asked[kind], **given.get(kind, {})} for kind in asked}


def _from_secret(variable: str, where: str) -> dict[str, Any]:
    secret, _, key = where.removesuffix("?").partition("/")
    source: dict[str, Any] = {"name": secret, "key": key}
    if where.endswith("?"):
        source["optional"] = True
    return {"name": variable, "valueFrom": {"secretKeyRef": source}}


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


def v1_pod(pod: Mapping[str, Any], where: str, option: str = "pod_override") -> Any:
    """The pod as Kubernetes' client has it. DefinitionError without the client, and for what no pod has."""
    try:
        from kubernetes import client
    except ImportError:
        raise DefinitionError(
            f"{option} needs Kubernetes' client, which is not installed where the DAG is read",
            where=where,
            hint="install apache-airflow-providers-cncf-kubernetes, or tidemill[airflow-pods]",
        ) from None
    if problems := [*_problems(client, pod, "V1Pod", option, where)]:
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
