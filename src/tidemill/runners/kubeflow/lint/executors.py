"""Containers and importers: what the compiler takes, what can be started, and what resources may be."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tidemill.runners.kubeflow.lint.components import artifact_schema
from tidemill.runners.kubeflow.lint.documents import json_size
from tidemill.runners.kubeflow.lint.finding import Finding, Json, Path, broken, dig
from tidemill.runners.kubeflow.lint.model import STUBS, Spec, Task
from tidemill.runners.kubeflow.lint.quantity import quantity
from tidemill.runners.kubeflow.rules import RULES

ARGUMENT = 128 * 1024
"""Bytes of one word of a command line, its end included: MAX_ARG_STRLEN of Linux."""
_ENV = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_SCHEME = re.compile(r"[a-zA-Z][\w+.-]*://.+")
_RESOURCES = ("resourceCpuRequest", "resourceCpuLimit", "resourceMemoryRequest", "resourceMemoryLimit")


def check(spec: Spec) -> Iterator[Finding]:
    """All rules about executors, and about what a task hands to one."""
    for label, executor in spec.executors.items():
        path = ("deploymentSpec", "executors", label)
        kind = next(iter(executor), "")
        if "container" in executor:
            yield from _container(executor["container"], (*path, "container"))
        elif "importer" in executor:
            yield from _importer(spec, label, executor["importer"], (*path, "importer"))
        else:
            what = f"a {kind} is not implemented" if kind else "the executor is empty"
            yield broken("unsupported-executor", path, what, "do the work in a container")
    yield from _sizes(spec)
    for dag in spec.dags:
        for task in dag.tasks.values():
            if task.is_importer:
                yield from _importer_task(task)
    for component in spec.components.values():
        if not component.is_dag and "importer" not in dig(spec.executors, component.executor_label):
            for name, declared in component.outputs("artifacts").items():
                if declared.get("isArtifactList"):
                    yield broken(
                        "artifact-list-output",
                        (*component.path, "outputDefinitions", "artifacts", name),
                        f"{name!r} is a list of artifacts",
                        "write one artifact that is a folder",
                    )


def _container(container: Json, path: Path) -> Iterator[Finding]:
    image = container.get("image", "")
    if image in STUBS:
        return
    if not image:
        yield broken("no-image", path, "the container has no image", "name one")
    elif "@sha256:" not in image and "{{$" not in image:
        yield Finding(
            RULES["image-digest"], (*path, "image"), f"{image!r} has no digest", "write NAME@sha256:..."
        )
    if not container.get("command"):
        first = next(iter(container.get("args", [])), "")
        what = f"{first[:40]!r} would be run as the program" if first else "there is nothing to run"
        yield broken("no-command", path, what, "write the image's entrypoint into command")
    for key in ("command", "args"):
        for i, word in enumerate(container.get(key, [])):
            if (size := len(word.encode("utf-8", "replace"))) >= ARGUMENT:
                yield broken(
                    "argument-too-large",
                    (*path, key, i),
                    f"the word has {size:,} bytes",
                    "put it into a file, an artifact or the image",
                )
    if "lifecycle" in container:
        yield Finding(
            RULES["lifecycle"], (*path, "lifecycle"), "the hook is never run", "do its work in the container"
        )
    yield from _resources(dig(container, "resources"), (*path, "resources"))
    yield from environment(container.get("env", []), (*path, "env"))


def environment(variables: list[Json], path: Path) -> Iterator[Finding]:
    """Names of environment variables."""
    seen: set[str] = set()
    for i, variable in enumerate(variables):
        name = variable.get("name", "")
        if not _ENV.fullmatch(name):
            yield broken(
                "env-name",
                (*path, i, "name"),
                f"{name!r} is no name of a variable",
                "write letters, digits and _",
            )
        elif name in seen:
            yield broken("duplicate-env", (*path, i, "name"), f"{name!r} is set twice", "keep one")
        seen.add(name)


def _resources(resources: Json, path: Path) -> Iterator[Finding]:
    amounts = {}
    for key in _RESOURCES:
        text = resources.get(key, "")
        if not text or "{{$" in text:
            continue
        if (amount := quantity(text)) is None:
            yield broken(
                "bad-quantity",
                (*path, key),
                f"{text!r} is no quantity",
                'write "500m" or "2" for CPUs, "4Gi" or "512Mi" for memory',
            )
        else:
            amounts[key] = amount
    for what in ("Cpu", "Memory"):
        request, limit = f"resource{what}Request", f"resource{what}Limit"
        if request in amounts and limit in amounts and amounts[request] > amounts[limit]:
            yield broken(
                "request-over-limit",
                (*path, request),
                f"{resources[request]} is asked for, and {resources[limit]} allowed",
                "raise the limit",
            )
    if "accelerator" not in resources:
        return
    accelerator = resources["accelerator"]
    count = accelerator.get("resourceCount") or ("1" if accelerator.get("count", 0) > 0 else "")
    if not (accelerator.get("resourceType") or accelerator.get("type")) or not count:
        yield broken(
            "accelerator",
            (*path, "accelerator"),
            "the accelerator has no type or no count",
            'write resourceType: nvidia.com/gpu and resourceCount: "1"',
        )
    elif "{{$" not in count and quantity(count) is None:
        yield broken(
            "bad-quantity",
            (*path, "accelerator", "resourceCount"),
            f"{count!r} is no quantity",
            'write a number such as "1"',
        )


def _importer(spec: Spec, label: str, importer: Json, path: Path) -> Iterator[Finding]:
    yield from artifact_schema(importer.get("typeSchema"), path)
    uri = dig(importer, "artifactUri")
    constant = uri.get("constant")
    if "constant" in uri:
        if not isinstance(constant, str) or not ("{{$" in constant or _SCHEME.fullmatch(constant)):
            yield broken(
                "importer-uri",
                (*path, "artifactUri", "constant"),
                f"{str(constant)[:80]!r} is no URI",
                "write one with a scheme, such as s3://bucket/key",
            )
    elif not uri.get("runtimeParameter"):
        yield broken(
            "importer-uri",
            (*path, "artifactUri"),
            "the importer has no URI",
            "write artifactUri: {constant: ...} or {runtimeParameter: ...}",
        )
    for component in spec.of_executor(label):
        if (count := len(component.outputs("artifacts"))) != 1:
            yield broken(
                "importer-output",
                (*component.path, "outputDefinitions"),
                f"{component.name!r} has {count} output artifacts",
                "declare one",
            )


def _importer_task(task: Task) -> Iterator[Finding]:
    if task.condition:
        yield broken(
            "importer-condition",
            (*task.path, "triggerPolicy", "condition"),
            f"the importer {task.name!r} has a condition",
            "put it into a DAG, which may have one",
        )
    uri = dig(task.executor or {}, "importer", "artifactUri")
    name = uri.get("runtimeParameter", "")
    if name and name not in task.inputs("parameters"):
        yield broken(
            "importer-uri",
            (*task.path, "inputs", "parameters"),
            f"{task.name!r} gives no parameter {name!r}, which is the URI",
            "give it",
        )
    elif name and "componentInputParameter" not in task.inputs("parameters")[name]:
        yield broken(
            "importer-uri",
            (*task.path, "inputs", "parameters", name),
            "the launcher reads the URI of an importer from inputs of the DAG only",
            "hand it through an input of a DAG around the importer",
        )


def _sizes(spec: Spec) -> Iterator[Finding]:
    for component in spec.components.values():
        if not component.is_dag and (size := json_size(component.spec)) >= ARGUMENT:
            yield broken(
                "component-too-large",
                component.path,
                f"{component.name!r} has {size:,} bytes",
                "shorten descriptions, defaults and metadata",
            )
    for dag in spec.dags:
        for task in dag.tasks.values():
            constants = {
                n: dig(p, "runtimeValue").get("constant") for n, p in task.inputs("parameters").items()
            }
            if (size := json_size(constants)) >= ARGUMENT:
                yield broken(
                    "component-too-large",
                    (*task.path, "inputs", "parameters"),
                    f"the values have {size:,} bytes together",
                    "hand them over in a file or an artifact",
                )
