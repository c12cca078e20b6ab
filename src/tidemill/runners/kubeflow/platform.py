"""What Kubernetes is to give the pods of tasks beyond a node's own options, as KFP's document says it.

Everything is by name: which secret, which claim. No value of a secret is ever here. What a name must look
like is judged in `check_platform.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """A secret or config map as a folder of files."""

    name: str
    path: str
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A persistent volume claim that is there already."""

    claim: str
    path: str
    sub_path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ephemeral:
    """A volume that is made for the pod and goes with it."""

    name: str
    path: str
    size: str
    access_modes: tuple[str, ...] = ("ReadWriteOnce",)
    storage_class: str = ""
    """Empty: the cluster's default."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyDir:
    """An empty folder of the pod's machine; with `medium` Memory, of its memory."""

    name: str
    path: str
    medium: str = ""
    size: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toleration:
    """A taint of machines that the pod may be put on all the same."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""
    seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesOptions:
    """What the pods of some nodes get. Of several that fit a node, texts and numbers of the later count,
    mappings are merged, and lists are put together."""

    env: Mapping[str, str] = field(default_factory=dict)
    """Environment variable -> value: nothing secret, everybody who sees the pipeline reads it."""
    secret_env: Mapping[str, str] = field(default_factory=dict)
    """Environment variable -> SECRET/KEY; with a ? behind, it need not be there."""
    config_env: Mapping[str, str] = field(default_factory=dict)
    """Environment variable -> CONFIG_MAP/KEY; with a ? behind, it need not be there."""
    field_env: Mapping[str, str] = field(default_factory=dict)
    """Environment variable -> field of the pod, such as metadata.name."""
    secrets: tuple[Mounted, ...] = ()
    config_maps: tuple[Mounted, ...] = ()
    volumes: tuple[Volume, ...] = ()
    ephemeral: tuple[Ephemeral, ...] = ()
    empty_dirs: tuple[EmptyDir, ...] = ()
    shared_memory: str = ""
    """Size of /dev/shm, such as 2Gi."""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    accelerator: str = ""
    """What one of a node's gpus is called in the cluster; by default nvidia.com/gpu."""
    image_pull_policy: str = ""
    """Always, Never or IfNotPresent."""
    image_pull_secrets: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    cpu_request: str = ""
    """Cores that a pod asks for, such as 250m, in place of all that its node may use; at most those."""
    memory_request: str = ""
    """Likewise of memory, such as 512Mi, without what the launcher beside it needs."""
    deadline: int = 0
    """Seconds that a pod may take; 0: what the node's own time limits add up to, if they do."""

    def names(self) -> set[str]:
        """Environment variables that it provides."""
        return {*self.env, *self.secret_env, *self.config_env, *self.field_env}


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A volume claim that is made for each run, and mounted where a task asks for it."""

    size: str
    access_modes: tuple[str, ...] = ()
    storage_class: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What holds for a whole run. Times are seconds; 0: no limit."""

    deadline: int = 0
    """After which the run is ended."""
    ttl: int = 0
    """After which the workflow of a run that ended is removed, and its pods with it."""
    ttl_success: int = 0
    ttl_failure: int = 0
    workspace: Workspace | None = None


Platform = Mapping[str, KubernetesOptions]
"""Node, or a pattern with *, ? or [...] -> what its pods get."""


def for_node(platform: Platform, node_id: str) -> KubernetesOptions:
    """All that fits the node, merged in the order given."""
    found = KubernetesOptions()
    for pattern, options in platform.items():
        if fnmatchcase(node_id, pattern):
            found = merged(found, options)
    return found


def merged(old: KubernetesOptions, new: KubernetesOptions) -> KubernetesOptions:
    """Both: texts and numbers of `new` count, mappings are merged, lists put together."""
    changed: dict[str, Any] = {}
    empty = KubernetesOptions()
    for f in dataclasses.fields(new):
        value = getattr(new, f.name)
        if value == getattr(empty, f.name):
            continue
        before = getattr(old, f.name)
        if isinstance(value, Mapping):
            value = {**before, **value}
        elif isinstance(value, tuple):
            value = (*before, *(item for item in value if item not in before))
        changed[f.name] = value
    return dataclasses.replace(old, **changed)


def executor_config(options: KubernetesOptions) -> dict[str, Any]:
    """`KubernetesExecutorConfig` of kubernetes_executor_config.proto, as JSON."""
    found: dict[str, Any] = {
        "secretAsEnv": [*_from_objects(options.secret_env, "secret")],
        "configMapAsEnv": [*_from_objects(options.config_env, "configMap")],
        "fieldPathAsEnv": [{"name": n, "fieldPath": p} for n, p in sorted(options.field_env.items())],
        "secretAsVolume": [_mount("secret", m) for m in options.secrets],
        "configMapAsVolume": [_mount("configMap", m) for m in options.config_maps],
        "pvcMount": [
            {"pvcNameParameter": _constant(v.claim), "mountPath": v.path, "subPath": v.sub_path}
            for v in options.volumes
        ],
        "genericEphemeralVolume": [_ephemeral(v) for v in options.ephemeral],
        "emptyDirMounts": [
            {"volumeName": e.name, "mountPath": e.path, "medium": e.medium, "sizeLimit": e.size}
            for e in options.empty_dirs
        ],
        "tolerations": [
            {
                "key": t.key, "operator": t.operator, "value": t.value, "effect": t.effect,
                "tolerationSeconds": t.seconds,
            }
            for t in options.tolerations
        ],
        "imagePullSecret": [{"secretNameParameter": _constant(s)} for s in options.image_pull_secrets],
        "imagePullPolicy": options.image_pull_policy,
        "nodeSelector": {"labels": dict(options.node_selector)},
        "podMetadata": {"labels": dict(options.labels), "annotations": dict(options.annotations)},
        "activeDeadlineSeconds": options.deadline,
        "securityContext": {
            "runAsUser": options.run_as_user, "runAsGroup": options.run_as_group,
            "runAsNonRoot": options.run_as_non_root,
        },
    }  # fmt: skip
    if options.shared_memory:
        found["enabledSharedMemory"] = {"volumeName": "shm", "size": options.shared_memory}
    return said(found)


def pipeline_config(options: RunOptions) -> dict[str, Any]:
    """`PipelineConfig` of pipeline_spec.proto, as JSON."""
    found: dict[str, Any] = {
        "activeDeadlineSeconds": options.deadline,
        "resourceTtlOnCompletion": options.ttl,
        "resourceTtlOnSuccess": options.ttl_success,
        "resourceTtlOnFailure": options.ttl_failure,
    }
    if (workspace := options.workspace) is not None:
        patch = {"accessModes": [*workspace.access_modes], "storageClassName": workspace.storage_class}
        found["workspace"] = {"size": workspace.size, "kubernetes": {"pvcSpecPatch": patch}}
    found = said(found)
    if options.workspace is not None:
        # Without `kubernetes` the backend makes no claim at all.
        found["workspace"].setdefault("kubernetes", {"pvcSpecPatch": {}})
    return found


def said(data: dict[str, Any]) -> dict[str, Any]:
    """Without what says nothing: None, empty texts, lists and objects, and the number 0."""
    found = {}
    for key, value in data.items():
        kept = value
        if isinstance(value, dict):
            kept = said(value)
        elif isinstance(value, list):
            kept = [said(item) if isinstance(item, dict) else item for item in value]
        if kept or isinstance(kept, bool) or (isinstance(kept, int) and key in _ZEROS):
            found[key] = kept
    return found


_ZEROS = frozenset({"runAsUser", "runAsGroup", "tolerationSeconds"})
"""Fields whose 0 says something."""


def _constant(name: str) -> dict[str, Any]:
    return {"runtimeValue": {"constant": name}}


def _mount(kind: str, mounted: Mounted) -> dict[str, Any]:
    return {
        f"{kind}NameParameter": _constant(mounted.name),
        "mountPath": mounted.path,
        "optional": mounted.optional,
    }


def _from_objects(env: Mapping[str, str], kind: str) -> Iterable[dict[str, Any]]:
    """One entry for each object that variables come from, and whether it must be there."""
    groups: dict[tuple[str, bool], list[dict[str, str]]] = {}
    for name, where in sorted(env.items()):
        source, optional = where.removesuffix("?"), where.endswith("?")
        found, _, key = source.partition("/")
        groups.setdefault((found, optional), []).append({f"{kind}Key": key, "envVar": name})
    for (found, optional), keys in sorted(groups.items()):
        yield {f"{kind}NameParameter": _constant(found), "keyToEnv": keys, "optional": optional}


def _ephemeral(volume: Ephemeral) -> dict[str, Any]:
    return {
        "volumeName": volume.name, "mountPath": volume.path, "size": volume.size,
        "accessModes": [*volume.access_modes], "storageClassName": volume.storage_class,
        "defaultStorageClass": True if not volume.storage_class else None,
        "metadata": {"labels": dict(volume.labels), "annotations": dict(volume.annotations)},
    }  # fmt: skip
