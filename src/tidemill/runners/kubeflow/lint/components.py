"""Components and what names them: those that are missing, unused, without work, or taken for each other."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tidemill.errors import did_you_mean
from tidemill.runners.kubeflow.lint.finding import Finding, Json, Path, broken, dig
from tidemill.runners.kubeflow.lint.model import Component, Spec
from tidemill.runners.kubeflow.lint.values import fits
from tidemill.runners.kubeflow.rules import RULES

_NOT_GIVEN = {"TASK_FINAL_STATUS", "TASK_CONFIG"}


def check(spec: Spec) -> Iterator[Finding]:
    """All rules about components."""
    for component in spec.all_components():
        yield from _implementation(spec, component)
        yield from _declarations(component)
    yield from _unused(spec)
    yield from _cycles(spec)
    yield from _same_container(spec)
    yield from _root_inputs(spec.root)


def _implementation(spec: Spec, component: Component) -> Iterator[Finding]:
    label = component.executor_label
    if component.is_dag:
        return
    if not label:
        if component.spec:
            yield broken(
                "no-implementation",
                component.path,
                f"{component.name!r} has neither a dag nor an executorLabel",
                "give it one of them",
            )
    elif label not in spec.executors:
        yield broken(
            "unknown-executor",
            (*component.path, "executorLabel"),
            f"there is no executor {label!r}",
            did_you_mean(label, spec.executors),
        )


def _declarations(component: Component) -> Iterator[Finding]:
    for side in ("inputDefinitions", "outputDefinitions"):
        for name, declared in dig(component.spec, side, "parameters").items():
            path = (*component.path, side, "parameters", name)
            kind = declared.get("parameterType", "")
            if kind in ("", "PARAMETER_TYPE_ENUM_UNSPECIFIED"):
                old = declared.get("type")
                new = {"INT": "NUMBER_INTEGER", "DOUBLE": "NUMBER_DOUBLE"}.get(str(old), "STRING")
                what = "has only the old field type" if old else "has no type"
                yield Finding(
                    RULES["no-parameter-type"], path, f"{name!r} {what}", f"write parameterType: {new}"
                )
            yield from _default(declared, path)
        for name, declared in dig(component.spec, side, "artifacts").items():
            yield from artifact_schema(
                declared.get("artifactType"), (*component.path, side, "artifacts", name)
            )


def _default(declared: Json, path: Path) -> Iterator[Finding]:
    value = declared.get("defaultValue")
    if value is None:
        return
    if (wrong := fits(value, declared.get("parameterType", ""))) is not None:
        yield broken(
            "parameter-type",
            (*path, "defaultValue"),
            f"the default {wrong}",
            "change the default or the type",
        )
    if (literals := declared.get("literals")) and value not in literals:
        yield broken(
            "literal",
            (*path, "defaultValue"),
            f"the default is none of {json.dumps(literals)[:80]}",
            "take one of them",
        )


def artifact_schema(schema: Json | None, path: Path) -> Iterator[Finding]:
    """Whether the launcher can make a type of it."""
    schema = schema or {}
    if not schema.get("schemaTitle") and not schema.get("instanceSchema"):
        what = "schemaUri is not supported" if "schemaUri" in schema else "the artifact has no type"
        yield broken(
            "artifact-schema",
            (*path, "artifactType"),
            what,
            "write schemaTitle: system.Artifact and schemaVersion: 0.0.1, or a type of your own",
        )


def _unused(spec: Spec) -> Iterator[Finding]:
    used = spec.reachable()
    for name, component in spec.components.items():
        if name not in used:
            yield Finding(
                RULES["unused-component"], component.path, f"no task leads to {name!r}", "take it out"
            )
    labels = {component.executor_label for component in spec.components.values()}
    for label in spec.executors.keys() - labels:
        yield broken(
            "unused-executor",
            ("deploymentSpec", "executors", label),
            f"no component names {label!r}",
            "take it out",
        )


def _cycles(spec: Spec) -> Iterator[Finding]:
    """Each component that is inside itself, found without recursion."""
    inside = {
        dag.component.name: {t.component.name for t in dag.tasks.values() if t.component is not None}
        for dag in spec.dags if dag.component is not spec.root
    }  # fmt: skip
    for name in inside:
        seen: set[str] = set()
        todo = list(inside[name])
        while todo and name not in seen:
            if (inner := todo.pop()) not in seen:
                seen.add(inner)
                todo += inside.get(inner, ())
        if name in seen:
            yield broken(
                "component-cycle",
                ("components", name, "dag"),
                f"{name!r} contains itself",
                "break the circle: KFP has no recursion",
            )


def _same_container(spec: Spec) -> Iterator[Finding]:
    """The compiler names what it keeps of a component after a hash of its container."""
    first: dict[str, Component] = {}
    used = spec.reachable()
    for name in sorted(used):
        component = spec.components[name]
        container = dig(spec.executors, component.executor_label, "container")
        if component.is_dag or not container:
            continue
        other = first.setdefault(json.dumps(container, sort_keys=True), component)
        if other is not component and _interface(other) != _interface(component):
            yield broken(
                "same-container",
                component.path,
                f"{name!r} has the container of {other.name!r}, and other inputs or outputs",
                "make the containers differ, by an argument for instance",
            )


def _interface(component: Component) -> tuple[Json, Json]:
    return dig(component.spec, "inputDefinitions"), dig(component.spec, "outputDefinitions")


def _root_inputs(root: Component) -> Iterator[Finding]:
    for name, declared in root.inputs("parameters").items():
        if declared.get("parameterType") in _NOT_GIVEN and not declared.get("isOptional"):
            yield broken(
                "root-input",
                ("root", "inputDefinitions", "parameters", name),
                f"{name!r} has the type {declared['parameterType']}",
                "take another type",
            )
    for name, declared in root.inputs("artifacts").items():
        if not declared.get("isOptional"):
            yield broken(
                "root-input",
                ("root", "inputDefinitions", "artifacts", name),
                f"the artifact {name!r} is an input of the pipeline",
                "import it in the pipeline",
            )
