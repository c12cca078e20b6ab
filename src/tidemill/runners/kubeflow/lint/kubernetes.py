"""The Kubernetes document: executors that do not exist, objects without name, values that make no pod."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tidemill.errors import did_you_mean
from tidemill.runners.kubeflow.lint.documents import Parts
from tidemill.runners.kubeflow.lint.executors import environment
from tidemill.runners.kubeflow.lint.finding import Finding, Json, Path, broken, dig
from tidemill.runners.kubeflow.lint.model import Spec
from tidemill.runners.kubeflow.lint.quantity import quantity
from tidemill.runners.kubeflow.rules import RULES

_PLACE: Path = ("platforms", "kubernetes", "deploymentSpec", "executors")
_DNS = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_ACCESS = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")
_POLICIES = ("Always", "Never", "IfNotPresent")
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
_NAMED = {
    "secretAsVolume": "secretName", "secretAsEnv": "secretName", "configMapAsVolume": "configMapName",
    "configMapAsEnv": "configMapName", "imagePullSecret": "secretName",
}  # fmt: skip
_MOUNTED = ("secretAsVolume", "configMapAsVolume", "pvcMount", "genericEphemeralVolume", "emptyDirMounts")


def check(parts: Parts, spec: Spec) -> Iterator[Finding]:
    """All rules about the platform document."""
    platforms = dig(parts.platform or {}, "platforms")
    if parts.platform is not None and "kubernetes" not in platforms:
        yield broken(
            "platform-name",
            ("platforms",),
            f"the platforms are {', '.join(platforms) or 'none'}",
            did_you_mean(next(iter(platforms), ""), ["kubernetes"]),
        )
    yield from _pipeline_config(dig(platforms, "kubernetes", "pipelineConfig"))
    for label, config in parts.platform_executors.items():
        path = (*_PLACE, label)
        if label not in spec.executors:
            yield broken(
                "unknown-platform-executor",
                path,
                f"the pipeline has no executor {label!r}",
                did_you_mean(label, spec.executors),
            )
        yield from _objects(config, path)
        yield from _mounts(config, path)
        yield from _pod(config, path)
        yield from _scheduling(config, path)
        yield from _init_containers(config.get("initContainers", []), (*path, "initContainers"))
        for where, parameter in _parameters(config):
            yield from _parameter(spec, label, parameter, (*path, *where))


def _pipeline_config(config: Json) -> Iterator[Finding]:
    path: Path = ("platforms", "kubernetes", "pipelineConfig")
    for key, value in config.items():
        if isinstance(value, int) and value < 0:
            yield broken("bad-count", (*path, key), f"{key} is {value}", "write 0 or more seconds")
    if "workspace" not in config:
        return
    workspace = config["workspace"]
    size = workspace.get("size", "")
    if not size or (amount := quantity(size)) is None or amount < 0:
        yield Finding(
            RULES["workspace"],
            (*path, "workspace", "size"),
            f"{size!r} is no size",
            'write "10Gi" or the like',
        )
    patch = dig(workspace, "kubernetes", "pvcSpecPatch")
    at: Path = (*path, "workspace", "kubernetes", "pvcSpecPatch")
    for key in patch.keys() - {"accessModes", "storageClassName"}:
        yield broken(
            "workspace",
            (*at, key),
            f"{key!r} cannot be patched",
            did_you_mean(key, ["accessModes", "storageClassName"]),
        )
    if patch.get("storageClassName") == "":
        yield Finding(
            RULES["workspace"],
            (*at, "storageClassName"),
            "the storage class is empty",
            "name one, or leave it out",
        )


def _objects(config: Json, path: Path) -> Iterator[Finding]:
    """Secrets, config maps and claims: named, and by names that Kubernetes takes."""
    for key, name_key in _NAMED.items():
        for i, entry in enumerate(config.get(key, [])):
            parameter = f"{name_key}Parameter"
            name = dig(entry, parameter, "runtimeValue").get("constant") or entry.get(name_key, "")
            if parameter not in entry and not name:
                yield broken(
                    "no-object-name",
                    (*path, key, i),
                    f"{key} says not which object",
                    f"write {parameter}: {{runtimeValue: {{constant: NAME}}}}",
                )
            elif isinstance(name, str) and name:
                longest, form = (63, _DNS) if key.endswith("Volume") else (253, _SUBDOMAIN)
                yield from _name(name, longest, form, (*path, key, i))
            yield from environment([{"name": pair.get("envVar", "")} for pair in entry.get("keyToEnv", [])],
                                   (*path, key, i, "keyToEnv"))  # fmt: skip
    for i, entry in enumerate(config.get("pvcMount", [])):
        old = ("constant", "taskOutputParameter", "componentInputParameter")
        name = dig(entry, "pvcNameParameter", "runtimeValue").get("constant") or entry.get("constant", "")
        if "pvcNameParameter" not in entry and not any(entry.get(key) for key in old):
            yield broken(
                "no-object-name",
                (*path, "pvcMount", i),
                "pvcMount says not which claim",
                "write pvcNameParameter: {runtimeValue: {constant: NAME}}",
            )
        elif isinstance(name, str) and name:
            yield from _name(name, 63, _DNS, (*path, "pvcMount", i))
    for key in ("genericEphemeralVolume", "emptyDirMounts"):
        for i, entry in enumerate(config.get(key, [])):
            yield from _name(entry.get("volumeName", ""), 63, _DNS, (*path, key, i, "volumeName"))


def _name(name: str, longest: int, form: re.Pattern[str], path: Path) -> Iterator[Finding]:
    if "{{$" not in name and (len(name) > longest or not form.fullmatch(name)):
        yield broken(
            "object-name",
            path,
            f"{name[:80]!r} is no name of Kubernetes",
            f"write lower case letters, digits and -, at most {longest}",
        )


def _mounts(config: Json, path: Path) -> Iterator[Finding]:
    seen: set[str] = set()
    for key in _MOUNTED:
        for i, entry in enumerate(config.get(key, [])):
            place = entry.get("mountPath", "")
            at = (*path, key, i, "mountPath")
            if not place.startswith("/"):
                yield broken("mount-path", at, f"{place!r} is no absolute path", "write /some/folder")
            elif place in seen:
                yield broken("mount-path", at, f"{place!r} is mounted twice", "choose another path")
            seen.add(place)
    for i, volume in enumerate(config.get("genericEphemeralVolume", [])):
        at = (*path, "genericEphemeralVolume", i)
        if quantity(volume.get("size", "")) is None:
            yield Finding(
                RULES["bad-quantity"], (*at, "size"), f"{volume.get('size', '')!r} is no size", 'write "10Gi"'
            )
        for j, mode in enumerate(volume.get("accessModes", [])):
            if mode not in _ACCESS:
                yield broken(
                    "access-mode",
                    (*at, "accessModes", j),
                    f"{mode!r} is no access mode",
                    did_you_mean(mode, _ACCESS),
                )
    for i, volume in enumerate(config.get("emptyDirMounts", [])):
        if volume.get("sizeLimit") and quantity(volume["sizeLimit"]) is None:
            yield broken(
                "bad-quantity",
                (*path, "emptyDirMounts", i, "sizeLimit"),
                f"{volume['sizeLimit']!r} is no size",
                'write "10Gi"',
            )


def _pod(config: Json, path: Path) -> Iterator[Finding]:
    policy = config.get("imagePullPolicy", "")
    if policy and policy not in _POLICIES:
        yield broken(
            "pull-policy",
            (*path, "imagePullPolicy"),
            f"{policy!r} is no pull policy",
            did_you_mean(policy, _POLICIES),
        )
    if config.get("activeDeadlineSeconds", 0) < 0:
        yield Finding(
            RULES["bad-count"],
            (*path, "activeDeadlineSeconds"),
            "the deadline is negative",
            "write 0 or more",
        )
    security = dig(config, "securityContext")
    if security.get("runAsUser") == 0 and security.get("runAsNonRoot"):
        yield Finding(
            RULES["run-as-root"],
            (*path, "securityContext", "runAsUser"),
            "user 0 is root",
            "take another user",
        )
    groups: list[tuple[Path, Json]] = [
        (("podMetadata", "labels"), dig(config, "podMetadata", "labels")),
        (("nodeSelector", "labels"), dig(config, "nodeSelector", "labels")),
    ]
    for where, labels in groups:
        for key, value in labels.items():
            name = key.rpartition("/")[2]
            if (
                not name
                or len(name) > 63
                or len(value) > 63
                or not _LABEL.fullmatch(name)
                or not _LABEL.fullmatch(value)
            ):
                yield broken(
                    "label",
                    (*path, *where, key),
                    f"{key}={value[:80]} is no label",
                    "write letters, digits, -, _ and ., beginning and ending with a letter or digit",
                )
    yield from environment(config.get("fieldPathAsEnv", []), (*path, "fieldPathAsEnv"))


def _scheduling(config: Json, path: Path) -> Iterator[Finding]:
    for i, toleration in enumerate(config.get("tolerations", [])):
        if "tolerationJson" in toleration:
            continue
        at = (*path, "tolerations", i)
        for key, known in (
            ("operator", ("Exists", "Equal")),
            ("effect", ("NoSchedule", "PreferNoSchedule", "NoExecute")),
        ):
            if (value := toleration.get(key, "")) and value not in known:
                yield Finding(
                    RULES["toleration"], (*at, key), f"{value!r} is no {key}", did_you_mean(value, known)
                )
        if toleration.get("operator") == "Exists" and toleration.get("value"):
            yield Finding(
                RULES["toleration"], (*at, "value"), "Exists takes no value", "take it out, or write Equal"
            )
    for key in ("nodeAffinity", "podAffinity"):
        for i, term in enumerate(config.get(key, [])):
            at = (*path, key, i)
            if "weight" in term and not 1 <= term["weight"] <= 100:
                yield Finding(
                    RULES["affinity"], (*at, "weight"), f"the weight is {term['weight']}", "write 1 to 100"
                )
            for group, requirements in term.items():
                if not group.startswith("match") or not isinstance(requirements, list):
                    continue
                for j, requirement in enumerate(requirements):
                    if (operator := requirement.get("operator", "")) not in _OPERATORS:
                        yield broken(
                            "affinity",
                            (*at, group, j, "operator"),
                            f"{operator!r} is no operator",
                            did_you_mean(operator, _OPERATORS),
                        )


def _init_containers(containers: list[Json], path: Path) -> Iterator[Finding]:
    seen = {"main", "wait", "init", "kfp-launcher"}
    for i, container in enumerate(containers):
        name, at = container.get("name", ""), (*path, i)
        if not _DNS.fullmatch(name) or name in seen:
            yield broken(
                "init-container",
                (*at, "name"),
                f"{name!r} is the name of another container" if name in seen else f"{name!r} is no name",
                "give it a name of its own",
            )
        seen.add(name)
        if not container.get("image"):
            yield broken("init-container", (*at, "image"), "there is no image", "name one")
        if container.get("restartPolicy") not in (None, "", "Always"):
            yield broken(
                "init-container",
                (*at, "restartPolicy"),
                f"{container['restartPolicy']!r} is no restart policy here",
                "write Always, or nothing",
            )
        for j, mount in enumerate(container.get("volumeMounts", [])):
            if not mount.get("volumeName") or not mount.get("mountPath", "").startswith("/"):
                yield broken(
                    "mount-path",
                    (*at, "volumeMounts", j),
                    "the volume or its absolute path is missing",
                    "write both",
                )
        for kind in ("requests", "limits"):
            for resource, amount in dig(container, "resources", kind).items():
                if quantity(amount) is None:
                    yield broken(
                        "bad-quantity",
                        (*at, "resources", kind, resource),
                        f"{amount!r} is no quantity",
                        'write "500m" or "4Gi"',
                    )
        yield from environment(container.get("env", []), (*at, "env"))


def _parameters(config: Json) -> Iterator[tuple[Path, Json]]:
    """Every place where the document reads a value of the run."""
    for key, value in config.items():
        entries = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
        for i, entry in entries:
            at: Path = (key,) if i is None else (key, i)
            for inner, given in entry.items() if isinstance(entry, dict) else ():
                if inner.endswith(("Parameter", "Json")) and isinstance(given, dict):
                    yield (*at, inner), {inner: given} if inner == "taskOutputParameter" else given
                elif inner == "componentInputParameter":
                    yield at, {inner: given}


def _parameter(spec: Spec, label: str, given: Json, path: Path) -> Iterator[Finding]:
    """Whether it is there in each DAG that has a task with this executor."""
    names = {component.name for component in spec.of_executor(label)}
    for dag in (dag for name in names for dag, _ in spec.used.get(name, ())):
        name = given.get("componentInputParameter", "")
        known = dag.component.inputs("parameters")
        if "componentInputParameter" in given and name not in known:
            yield broken(
                "platform-parameter",
                path,
                f"{dag.component.name!r} has no input {name!r}",
                did_you_mean(name, known),
            )
            return
        producer = dig(given, "taskOutputParameter").get("producerTask", "")
        if "taskOutputParameter" in given and producer not in dag.tasks:
            yield broken(
                "platform-parameter",
                path,
                f"{dag.component.name!r} has no task {producer!r}",
                did_you_mean(producer, dag.tasks),
            )
            return
