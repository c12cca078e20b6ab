"""The pod that a node of its own runs in, as an installation describes it: image, namespace, secrets by name.

Fields that the KubernetesPodOperator has too are called as there. No value of a secret is ever here. Nothing
needs Airflow or Kubernetes' client: what is wrong is said when a DAG is compiled.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tidemill.errors import Problem, did_you_mean
from tidemill.ir.model import NodeIR
from tidemill.runners.airflow import names
from tidemill.runners.airflow.alerting import looks_secret
from tidemill.runners.base.container import METADATA

ON_FINISH = ("delete_pod", "delete_succeeded_pod", "keep_pod")
_POD_PARTS = ("apiVersion", "kind", "metadata", "spec")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""A DNS label, RFC 1123: what namespaces are called."""
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_KEY = re.compile(r"[a-z0-9][-a-z0-9.]{0,252}/[-._A-Za-z0-9]{1,253}\??")


@dataclass(frozen=True, slots=True, kw_only=True)
class PodOptions:
    """A pod for one node, started by Airflow's task through the KubernetesPodOperator."""

    image: str = ""
    """Has tidemill, the node's code and what that imports; no Airflow. `tidemill image` makes it. Left out
    for a node with `Container(IMAGE)`, whose image it then is."""
    namespace: str = ""
    """By default the one of the Kubernetes connection, or Airflow's own."""
    service_account_name: str = ""
    kubernetes_conn_id: str = ""
    """Airflow's connection to the cluster; by default `kubernetes_default`."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Environment variable -> value: nothing secret, everybody who sees the DAG or the pod reads it."""
    secret_env: Mapping[str, str] = field(default_factory=dict)
    """Environment variable -> SECRET/KEY of Kubernetes; with a ? behind, it need not be there."""
    template: Mapping[str, Any] = field(default_factory=dict)
    """Anything else of the pod as JSON, as Kubernetes has it; the node's container is called `base`."""
    startup_timeout_seconds: int = 600
    """How long the pod may take until it runs: machines that are fetched first, and images, take minutes."""
    on_finish_action: str = "delete_pod"
    """What becomes of the pod at its end: delete_pod, delete_succeeded_pod or keep_pod."""
    deferrable: bool = False
    """Whether Airflow's triggerer watches the pod and the worker's slot is free meanwhile. The task's log
    then shows the pod's at its end."""


NAMES = tuple(f.name for f in dataclasses.fields(PodOptions))


def plain_of(options: PodOptions) -> dict[str, Any]:
    """What differs from the defaults, as plain values."""
    default = PodOptions()
    return {name: value for name in NAMES if (value := getattr(options, name)) != getattr(default, name)}


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Both: fields of `new` count, and variables are added to variables."""
    both = {**old, **new}
    for name in ("env", "secret_env"):
        if name in old and name in new:
            both[name] = {**old[name], **new[name]}
    return both


def problems(options: Any, where: str) -> Iterator[Problem]:
    """What is wrong with the options of one pattern, as plain values."""
    if not isinstance(options, Mapping):
        yield Problem(f"pod is {options!r}", where, "write a table (a dict), or PodOptions(...)")
        return
    for name, value in options.items():
        if name not in NAMES:
            yield Problem(f"pod has no {name!r}", where, did_you_mean(str(name), NAMES))
        elif name in ("env", "secret_env"):
            yield from _variables(name, value, where)
        elif why := _wrong(name, value):
            yield Problem(f"pod.{name} is {value!r}", where, why)
    env, secret = options.get("env", {}), options.get("secret_env", {})
    if isinstance(env, Mapping) and isinstance(secret, Mapping):
        for name in sorted(env.keys() & secret.keys()):
            yield Problem(f"{name} stands in pod.env and in pod.secret_env", where, "leave one of them out")


def of_node(node: NodeIR, options: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong for this node, all patterns put together."""
    wanted = node.options.environment.image if node.options.environment else ""
    image = options.get("image", "")
    if node.kind != "component":
        return
    if not image and not wanted:
        yield Problem(
            "the pod has no image", node.id,
            "write pod.image: one with tidemill and the node's code; `tidemill image` makes it",
        )  # fmt: skip
    if image and wanted and image != wanted:
        yield Problem(
            f"the node has Container({wanted!r}), and its pod the image {image!r}", node.id,
            "leave pod.image out, or the node's environment",
        )  # fmt: skip


def places(options: PodOptions, node_id: str, metadata: str, root: str) -> Iterator[Problem]:
    """What the pod could not find: the record, or the pipeline root. Empty texts are not known yet."""
    named = named_in(options)
    how = f'name a Kubernetes secret: pod.secret_env = {{ {METADATA} = "SECRET/KEY" }}'
    if not named and metadata.startswith(names.CONNECTION):
        yield Problem("the metadata store is an Airflow connection, which no pod can ask for", node_id, how)
    elif not named and names.has_password(metadata):
        yield Problem("the metadata URL holds a password, which the pod would show", node_id, how)
    elif metadata.startswith("sqlite:") and not named:
        yield Problem(
            "the metadata store is a SQLite file, which other machines must not open", node_id,
            "use PostgreSQL, MySQL, or `tidemill metadata serve` and its URL",
        )  # fmt: skip
    if root.startswith("/") and not any(_within(root, path) for path in _mounts(options.template)):
        yield Problem(
            f"the pipeline root {root} is a folder, and no volume of the pod is mounted there", node_id,
            "use a root behind a URI, such as s3://bucket/folder, or mount a shared volume: pod.template",
        )  # fmt: skip


def named_in(options: PodOptions) -> bool:
    """Whether the options say where the pod finds the record."""
    of_template = {item.get("name") for item in _of_base(options.template, "env")}
    return METADATA in {*options.secret_env, *options.env, *of_template}


def _mounts(template: Mapping[str, Any]) -> Iterator[str]:
    return (str(mount.get("mountPath", "")) for mount in _of_base(template, "volumeMounts"))


def _of_base(template: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """A list of the node's container in a template."""
    containers = template.get("spec", {}).get("containers", [])
    return [item for c in containers if c.get("name") == names.BASE for item in c.get(name, [])]


def _within(path: str, folder: str) -> bool:
    folder = folder.rstrip("/")
    return bool(folder) and (path == folder or path.startswith(f"{folder}/"))


def _variables(name: str, value: Any, where: str) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        yield Problem(f"pod.{name} is {value!r}", where, "write a table: environment variable = text")
        return
    for variable, text in value.items():
        if not isinstance(variable, str) or not _VARIABLE.fullmatch(variable):
            yield Problem(f"pod.{name}: {variable!r} is no variable", where, "write letters, digits and _")
        elif not isinstance(text, str):
            yield Problem(f"pod.{name}.{variable} is {text!r}", where, "write a text, in quotes")
        elif name == "secret_env":
            if not _SECRET_KEY.fullmatch(text):
                hint = "write SECRET/KEY, with a ? behind if it need not be there"
                yield Problem(f"pod.secret_env.{variable} is {text!r}", where, hint)
        elif _is_secret(variable, text):
            hint = f'put it into a Kubernetes secret: pod.secret_env = {{ {variable} = "SECRET/KEY" }}'
            yield Problem(f"pod.env: {variable} is a secret, which everybody would read", where, hint)


def _is_secret(variable: str, text: str) -> bool:
    return looks_secret(variable) or "secret" in variable.lower() or _holds_password(text)


def _holds_password(text: str) -> bool:
    try:
        return "://" in text and urlsplit(text).password is not None
    except ValueError:
        return False


def _wrong(name: str, value: Any) -> str:
    """What to write instead of a value; empty when nothing is wrong."""
    if name == "template":
        if not isinstance(value, Mapping) or not is_json(value):
            return "write a table (a dict) of JSON, as Kubernetes has pods"
        return wrong_pod(value)
    if name == "deferrable":
        return "" if isinstance(value, bool) else "write true or false"
    if name == "startup_timeout_seconds":
        whole = isinstance(value, int) and not isinstance(value, bool)
        return "" if whole and value >= 1 else "write a whole number of seconds, 1 or more"
    if not isinstance(value, str) or not value or any(character.isspace() for character in value):
        return "write a name"
    match name:
        case "on_finish_action":
            return "" if value in ON_FINISH else did_you_mean(value, ON_FINISH)
        case "namespace":
            return "" if _LABEL.fullmatch(value) else "write small letters, digits and -, at most 63"
        case "service_account_name":
            return "" if _SUBDOMAIN.fullmatch(value) else "write small letters, digits, - and ."
    return ""


def wrong_pod(pod: Mapping[str, Any]) -> str:
    """What is wrong with the parts of a pod that ours are put into; empty when nothing is."""
    if strange := [part for part in pod if part not in _POD_PARTS]:
        return f"a pod has no {strange[0]!r}; {did_you_mean(str(strange[0]), _POD_PARTS)}"
    spec = pod.get("spec", {})
    if not isinstance(spec, Mapping):
        return "spec is a table"
    containers = spec.get("containers", [])
    if not isinstance(containers, list) or not all(isinstance(c, Mapping) for c in containers):
        return "spec.containers is a list of tables"
    for container in containers:
        resources, lists = container.get("resources", {}), ("env", "volumeMounts")
        if not isinstance(resources, Mapping) or not all(
            isinstance(resources.get(kind, {}), Mapping) for kind in ("requests", "limits")
        ):
            return "resources of a container are tables, requests and limits in them too"
        for name in lists:
            items = container.get(name, [])
            if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
                return f"{name} of a container is a list of tables"
        for item in container.get("env", []):
            if "value" in item and _is_secret(str(item.get("name", "")), str(item["value"])):
                return f"{item.get('name')} is a secret, which everybody would read: use valueFrom"
    return ""


def is_json(value: Any) -> bool:
    """Whether a value is JSON as it stands."""
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError):
        return False
