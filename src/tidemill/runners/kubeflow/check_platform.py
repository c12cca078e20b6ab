"""Names and quantities of Kubernetes: what a platform file says wrong is said before a pod hangs on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from tidemill.errors import Problem, did_you_mean
from tidemill.ir.model import PipelineIR
from tidemill.runners.kubeflow import names, quantity
from tidemill.runners.kubeflow.platform import KubernetesOptions, RunOptions
from tidemill.runners.kubeflow.target import Target

_OBJECT = re.compile(r"[a-z0-9]([-a-z0-9]{0,251}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_VOLUME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_KEY = re.compile(r"[A-Za-z0-9_.-]{1,253}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUANTITY = re.compile(r"(\d+(\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")
_LABEL_NAME = re.compile(
    r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_ACCELERATOR = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")
_SCRATCH = ("/gcs", "/s3", "/minio", "/.local", "/.cache", "/.config", "/kfp-launcher", "/kfp-workspace")
"""Folders of a container that are KFP's own."""

Found = tuple[str, str, str]
"""Rule, what is wrong, how to mend it."""


def problems(ir: PipelineIR, target: Target) -> Iterator[Problem]:
    """Everything wrong in the platform options, and in labels of nodes."""
    known = [*(node.id for node in ir.nodes), names.RUN_END, names.BODY_END]
    for pattern, options in target.platform.items():
        where = f"platform {pattern!r}"
        if not any(fnmatchcase(name, pattern) for name in known):
            hint = did_you_mean(pattern, known) or 'name a node, or a pattern such as "*"'
            yield Problem("[unknown-platform-executor] no node has this name", where, hint)
        for rule, what, hint in _options(options):
            yield Problem(f"[{rule}] {what}", where, hint)
    for rule, what, hint in _run(target.run):
        yield Problem(f"[{rule}] {what}", "platform run", hint)
    for node in ir.nodes:
        for key in node.options.labels:
            if not _LABEL_NAME.fullmatch(key):
                yield Problem(
                    f"[label] {key!r} is no name of a label in Kubernetes",
                    node.id,
                    "63 letters, digits, _, . and -, beginning and ending with a letter or digit",
                )


def is_mounted(folder: str, options: KubernetesOptions) -> bool:
    """Whether a folder of the container is, or is in, a volume that outlives the pod."""
    paths = [volume.path.rstrip("/") for volume in options.volumes]
    return any(folder == path or folder.startswith(f"{path}/") for path in paths)


def _options(options: KubernetesOptions) -> Iterator[Found]:
    yield from _environment(options)
    yield from _mounts(options)
    yield from _labels({"labels": options.labels, "node_selector": options.node_selector})
    for key in options.annotations:
        if not _LABEL_NAME.fullmatch(key):
            yield "label", f"{key!r} is no name of an annotation", "see Kubernetes: PREFIX/NAME"
    if options.image_pull_policy not in ("", "Always", "Never", "IfNotPresent"):
        yield (
            "pull-policy", f"image_pull_policy is {options.image_pull_policy!r}",
            "it is Always, Never or IfNotPresent",
        )  # fmt: skip
    for name in options.image_pull_secrets:
        yield from _object(name, "image_pull_secrets")
    if options.accelerator and not _ACCELERATOR.fullmatch(options.accelerator):
        yield (
            "accelerator", f"{options.accelerator!r} is no resource of Kubernetes",
            "vendor and kind, such as nvidia.com/gpu, amd.com/gpu or google.com/tpu",
        )  # fmt: skip
    for taint in options.tolerations:
        if taint.operator not in ("Equal", "Exists"):
            yield "toleration", f"a toleration has the operator {taint.operator!r}", "it is Equal or Exists"
        elif taint.operator == "Exists" and taint.value:
            yield "toleration", "a toleration with Exists has a value", "leave the value out, or use Equal"
        elif taint.operator == "Equal" and not taint.key:
            yield "toleration", "a toleration with Equal has no key", "name the key, or use Exists"
        if taint.effect not in ("", "NoSchedule", "PreferNoSchedule", "NoExecute"):
            yield (
                "toleration", f"a toleration has the effect {taint.effect!r}",
                "it is NoSchedule, PreferNoSchedule, NoExecute, or left out for all of them",
            )  # fmt: skip
    if options.run_as_user == 0 and options.run_as_non_root:
        yield "run-as-root", "run_as_user is 0 and run_as_non_root true", "leave one of them out"
    if options.deadline < 0:
        yield "bad-count", "deadline is negative", "seconds, or 0 for none"


def _environment(options: KubernetesOptions) -> Iterator[Found]:
    seen: dict[str, str] = {}
    for table in ("env", "secret_env", "config_env", "field_env"):
        for name, value in getattr(options, table).items():
            if not _VARIABLE.fullmatch(name):
                yield (
                    "env-name", f"{name!r} in {table} is no name of an environment variable",
                    "letters, digits and _, not beginning with a digit",
                )  # fmt: skip
            if name in seen:
                yield "duplicate-env", f"{name} is in {seen[name]} and in {table}", "keep one of them"
            seen[name] = table
            if table in ("secret_env", "config_env"):
                yield from _object_key(name, value, table)
            elif table == "env" and name == names.METADATA_URL and "@" in value:
                yield (
                    "secret-value", f"{name} in env looks as if it held a password",
                    f'put it into a secret: secret_env = {{ {name} = "SECRET/KEY" }}',
                )  # fmt: skip
            elif not value and table == "field_env":
                yield "no-object-name", f"{name} in field_env names no field", "such as metadata.name"
    if taken := seen.keys() & {names.INSIDE_IMAGE}:
        yield "duplicate-env", f"{', '.join(sorted(taken))} is set by the compiler", "leave it out"


def _object_key(name: str, value: str, table: str) -> Iterator[Found]:
    source, slash, key = value.removesuffix("?").partition("/")
    if not slash or not _KEY.fullmatch(key):
        yield (
            "no-object-name", f"{name} in {table} is {value!r}",
            "write NAME/KEY, with a ? behind when it need not be there",
        )  # fmt: skip
    else:
        yield from _object(source, table)


def _object(name: str, table: str) -> Iterator[Found]:
    if not _OBJECT.fullmatch(name):
        yield (
            "object-name", f"{name!r} in {table} is no name of an object in Kubernetes",
            "lower case letters, digits, - and .",
        )  # fmt: skip


def _mounts(options: KubernetesOptions) -> Iterator[Found]:
    # The backend names a pod's volume after the secret, config map or claim: shorter than an object's name.
    found = [(v.claim, v.path, "volumes") for v in options.volumes]
    found += [(m.name, m.path, "secrets") for m in options.secrets]
    found += [(m.name, m.path, "config_maps") for m in options.config_maps]
    found += [(e.name, e.path, "ephemeral") for e in options.ephemeral]
    found += [(e.name, e.path, "empty_dirs") for e in options.empty_dirs]
    paths: set[str] = set()
    for name, path, table in found:
        if not _VOLUME.fullmatch(name):
            yield (
                "object-name", f"{name!r} in {table} is no name of a volume in Kubernetes",
                "lower case letters, digits and -, 63 at most",
            )  # fmt: skip
        if not path.startswith("/") or ":" in path or "/../" in f"{path}/":
            yield (
                "mount-path",
                f"{table} mounts {name!r} at {path!r}",
                "name an absolute folder, without : and ..",
            )
        elif any(path == own or path.startswith(f"{own}/") for own in _SCRATCH):
            yield (
                "mount-path",
                f"{table} mounts {name!r} at {path!r}, where KFP has folders of its own",
                "another path",
            )
        if path in paths:
            yield "mount-path", f"two things are mounted at {path}", "give each its own folder"
        paths.add(path)
    sizes = [("shared_memory", options.shared_memory)]
    sizes += [("empty_dirs", e.size) for e in options.empty_dirs]
    yield from _sizes([(where, size) for where, size in sizes if size])
    if options.cpu_request and not quantity.cores(options.cpu_request):
        yield "bad-quantity", f"cpu_request is {options.cpu_request!r}", "write it so: 250m, 1.5"
    if options.memory_request and not quantity.size(options.memory_request):
        yield "bad-quantity", f"memory_request is {options.memory_request!r}", "write it so: 512Mi, 2Gi"
    for volume in options.ephemeral:
        yield from _sizes([("ephemeral", volume.size)])
        yield from _modes(volume.access_modes)
        yield from _labels({"labels of ephemeral": volume.labels})
    for empty in options.empty_dirs:
        if empty.medium not in ("", "Memory"):
            yield "mount-path", f"empty_dirs has the medium {empty.medium!r}", "it is Memory, or left out"


def _sizes(given: list[tuple[str, str]]) -> Iterator[Found]:
    for where, size in given:
        if not _QUANTITY.fullmatch(size):
            yield "bad-quantity", f"{where} has the size {size!r}", "write it so: 2Gi, 500Mi"


def _modes(modes: tuple[str, ...]) -> Iterator[Found]:
    for mode in modes:
        if mode not in _MODES:
            yield (
                "access-mode",
                f"{mode!r} is no access mode",
                did_you_mean(mode, _MODES) or ", ".join(_MODES),
            )


def _labels(tables: dict[str, object]) -> Iterator[Found]:
    for table, labels in tables.items():
        assert isinstance(labels, dict)
        for key, value in labels.items():
            if not _LABEL_NAME.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
                yield (
                    "label", f"{key}={value} in {table} is no label of Kubernetes",
                    "63 letters, digits, _, . and -, beginning and ending with a letter or digit",
                )  # fmt: skip


def _run(options: RunOptions) -> Iterator[Found]:
    for name in ("deadline", "ttl", "ttl_success", "ttl_failure"):
        value = getattr(options, name)
        if not 0 <= value < 2**31:
            yield "bad-count", f"{name} is {value}", "seconds, less than 2**31, or 0 for none"
    if options.workspace is not None:
        yield from _sizes([("workspace", options.workspace.size)])
        yield from _modes(options.workspace.access_modes)
