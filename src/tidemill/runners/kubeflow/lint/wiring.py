"""Where the inputs of tasks and the outputs of DAGs come from: that it exists, and is of the right type."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tidemill.errors import did_you_mean
from tidemill.runners.kubeflow.lint import cel
from tidemill.runners.kubeflow.lint.finding import Finding, Json, Path, broken, dig
from tidemill.runners.kubeflow.lint.model import Component, Dag, Spec, Task
from tidemill.runners.kubeflow.lint.values import compatible, fits, passes, title

_SOURCES = ("taskOutputParameter", "runtimeValue", "componentInputParameter", "taskFinalStatus")


def check(spec: Spec) -> Iterator[Finding]:
    """All rules about inputs and outputs."""
    for dag in spec.dags:
        for task in dag.tasks.values():
            yield from _component(spec, task)
            yield from _producers(dag, task)
            for name, given in task.inputs("parameters").items():
                yield from _parameter(dag, task, name, given)
            for name, given in task.inputs("artifacts").items():
                yield from _artifact(dag, task, name, given)
            yield from _missing(task)
        yield from _outputs(dag)


def _component(spec: Spec, task: Task) -> Iterator[Finding]:
    if task.component is None:
        name = dig(task.spec, "componentRef").get("name", "")
        what = f"there is no component {name!r}" if name else "the task names no component"
        yield broken(
            "unknown-component", (*task.path, "componentRef"), what, did_you_mean(name, spec.components)
        )
        return
    for kind in ("parameters", "artifacts"):
        known = task.component.inputs(kind)
        for name in task.inputs(kind):
            if name not in known and not name.startswith("pipelinechannel--"):
                yield broken(
                    "unknown-input",
                    (*task.path, "inputs", kind, name),
                    f"{task.component.name!r} has no input {name!r} among its {kind}",
                    did_you_mean(name, known),
                )


def _producers(dag: Dag, task: Task) -> Iterator[Finding]:
    for path, producer in task.producers():
        if producer not in dag.tasks:
            yield broken(
                "unknown-producer",
                path,
                f"there is no task {producer!r} in this DAG",
                did_you_mean(producer, dag.tasks),
            )


def _parameter(dag: Dag, task: Task, name: str, given: Json) -> Iterator[Finding]:
    path = (*task.path, "inputs", "parameters", name)
    declared = task.component.inputs("parameters").get(name, {}) if task.component else {}
    wanted = declared.get("parameterType", "")
    selector = given.get("parameterExpressionSelector", "")
    if selector:
        yield from cel.check(selector, (*path, "parameterExpressionSelector"), None)
        wanted = ""
    if not any(key in given for key in _SOURCES):
        yield broken(
            "empty-input", path, f"{name!r} says nothing of its value", f"give one of {', '.join(_SOURCES)}"
        )
    elif "runtimeValue" in given:
        yield from _constant(given["runtimeValue"], declared, wanted, (*path, "runtimeValue"))
    elif "taskOutputParameter" in given:
        yield from _output(dag, given["taskOutputParameter"], wanted, (*path, "taskOutputParameter"))
    elif "componentInputParameter" in given:
        source = given["componentInputParameter"]
        yield from parent_input(dag.component, "parameters", source, (*path, "componentInputParameter"))
        have = dag.component.inputs("parameters").get(source, {}).get("parameterType", "")
        if not passes(have, wanted):
            yield broken(
                "parameter-type",
                path,
                f"{source!r} is {have}, and {name!r} is {wanted}",
                "give both the same type",
            )
    elif not task.is_exit:
        yield broken(
            "final-status",
            (*path, "taskFinalStatus"),
            f"{task.name!r} is no exit task",
            "give it triggerPolicy.strategy: ALL_UPSTREAM_TASKS_COMPLETED",
        )
    elif given["taskFinalStatus"].get("producerTask") not in task.dependencies():
        yield broken(
            "final-status",
            (*path, "taskFinalStatus", "producerTask"),
            f"{task.name!r} does not depend on {given['taskFinalStatus'].get('producerTask', '')!r}",
            "name the task in dependentTasks",
        )


def _constant(value: Json, declared: Json, wanted: str, path: Path) -> Iterator[Finding]:
    if "constant" not in value:
        key = next(iter(value), "")
        what = f"{key} is not implemented" if key else "there is no value"
        yield broken(
            "runtime-value",
            (*path, key) if key else path,
            what,
            "write constant: with the value, or componentInputParameter beside runtimeValue",
        )
        return
    constant = value["constant"]
    placeholder = isinstance(constant, str) and "{{$" in constant
    if not placeholder and (wrong := fits(constant, wanted)) is not None:
        yield broken(
            "parameter-type",
            (*path, "constant"),
            f"the value {wrong}",
            f"write a {wanted} or change the parameter's type",
        )
    if (literals := declared.get("literals")) and constant not in literals:
        yield broken(
            "literal",
            (*path, "constant"),
            f"{json.dumps(constant)[:60]} is none of {json.dumps(literals)[:80]}",
            "take one of them",
        )


def _output(dag: Dag, source: Json, wanted: str, path: Path) -> Iterator[Finding]:
    producer = dag.tasks.get(source.get("producerTask", ""))
    if producer is None or producer.component is None:
        return
    key = source.get("outputParameterKey", "")
    outputs = producer.component.outputs("parameters")
    if key not in outputs:
        yield broken(
            "unknown-output",
            (*path, "outputParameterKey"),
            f"{producer.name!r} has no output parameter {key!r}",
            did_you_mean(key, outputs),
        )
        return
    have = outputs[key].get("parameterType", "")
    if producer.iterator:
        have = "LIST"
    if not passes(have, wanted):
        yield broken(
            "parameter-type",
            path,
            f"{producer.name}.{key} is {have}, where {wanted} is wanted",
            "give both the same type, or STRING, which takes anything as JSON",
        )


def parent_input(parent: Component, kind: str, name: str, path: Path) -> Iterator[Finding]:
    """Whether the surrounding DAG has an input."""
    known = parent.inputs(kind)
    if name not in known:
        yield broken(
            "unknown-parent-input",
            path,
            f"{parent.name!r} has no input {name!r} among its {kind}",
            did_you_mean(name, known),
        )


def _artifact(dag: Dag, task: Task, name: str, given: Json) -> Iterator[Finding]:
    path = (*task.path, "inputs", "artifacts", name)
    if "taskOutputArtifact" in given:
        source = given["taskOutputArtifact"]
        producer = dag.tasks.get(source.get("producerTask", ""))
        if producer is None or producer.component is None:
            return
        key = source.get("outputArtifactKey", "")
        outputs = producer.component.outputs("artifacts")
        if key not in outputs:
            yield broken(
                "unknown-output",
                (*path, "taskOutputArtifact", "outputArtifactKey"),
                f"{producer.name!r} has no output artifact {key!r}",
                did_you_mean(key, outputs),
            )
            return
        have, origin = outputs[key], f"{producer.name}.{key}"
    elif "componentInputArtifact" in given:
        source = given["componentInputArtifact"]
        yield from parent_input(dag.component, "artifacts", source, (*path, "componentInputArtifact"))
        have, origin = dag.component.inputs("artifacts").get(source, {}), source
    else:
        yield broken(
            "empty-input",
            path,
            f"{name!r} says nothing of its artifact",
            "give taskOutputArtifact or componentInputArtifact",
        )
        return
    want = task.component.inputs("artifacts").get(name, {}) if task.component else {}
    types = title(have.get("artifactType", {})), title(want.get("artifactType", {}))
    if not compatible(*types):
        yield broken(
            "artifact-type",
            path,
            f"{origin} is {types[0]}, where {types[1]} is wanted",
            "wire another output, or let the input take system.Artifact",
        )


def _missing(task: Task) -> Iterator[Finding]:
    if task.component is None:
        return
    from_loop = dig(task.spec, "artifactIterator").get("itemInput", task.iterator.get("itemInput"))
    for kind in ("parameters", "artifacts"):
        given = task.inputs(kind)
        for name, declared in task.component.inputs(kind).items():
            needless = declared.get("isOptional") or declared.get("defaultValue") is not None
            by_others = name == from_loop or declared.get("parameterType") == "TASK_CONFIG"
            if name not in given and not needless and not by_others:
                yield broken(
                    "missing-input",
                    (*task.path, "inputs", kind),
                    f"{name!r} of {task.component.name!r} is not given",
                    f"give it, or declare it with isOptional: true{' or a default' * (kind == 'parameters')}",
                )


def _outputs(dag: Dag) -> Iterator[Finding]:
    """What a DAG hands out: selected from tasks that exist, and declared by the component."""
    for kind, plural in (("parameters", "parameters"), ("artifacts", "artifacts")):
        selected = dig(dag.outputs, kind)
        declared = dag.component.outputs(plural)
        for name in declared.keys() - selected.keys():
            yield broken(
                "dag-output",
                (*dag.component.path, "outputDefinitions", kind, name),
                f"nothing in the DAG gives {name!r}",
                f"select it in dag.outputs.{kind}",
            )
        for name, given in selected.items():
            path = (*dag.path, "outputs", kind, name)
            if name not in declared:
                yield broken(
                    "dag-output",
                    path,
                    f"the output {name!r} is not declared",
                    "declare it in outputDefinitions",
                )
            for where, selector in _selectors(given):
                yield from _selector(dag, kind, selector, (*path, *where))


def _selectors(given: Json) -> Iterator[tuple[Path, Json]]:
    if "valueFromParameter" in given:
        yield ("valueFromParameter",), given["valueFromParameter"]
    for i, selector in enumerate(dig(given, "valueFromOneof").get("parameterSelectors", [])):
        yield ("valueFromOneof", "parameterSelectors", i), selector
    for i, selector in enumerate(given.get("artifactSelectors", [])):
        yield ("artifactSelectors", i), selector


def _selector(dag: Dag, kind: str, selector: Json, path: Path) -> Iterator[Finding]:
    key = selector.get("outputParameterKey" if kind == "parameters" else "outputArtifactKey", "")
    producer = selector.get("producerSubtask", "")
    task = dag.tasks.get(producer)
    if task is None:
        yield broken(
            "dag-output",
            path,
            f"there is no task {producer!r} in this DAG",
            did_you_mean(producer, dag.tasks),
        )
    elif task.component is not None and key not in task.component.outputs(kind):
        yield broken(
            "dag-output",
            path,
            f"{producer!r} has no output {key!r} among its {kind}",
            did_you_mean(key, task.component.outputs(kind)),
        )
