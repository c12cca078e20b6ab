"""In which order tasks run: names, dependencies, circles, exit tasks and loops."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from tidemill.errors import did_you_mean
from tidemill.runners.kubeflow.lint import cel
from tidemill.runners.kubeflow.lint.finding import Finding, broken, dig
from tidemill.runners.kubeflow.lint.model import Dag, Spec, Task
from tidemill.runners.kubeflow.rules import RULES

_TASK = re.compile(r"[A-Za-z][-A-Za-z0-9]*")
_NAME = re.compile(r"[A-Za-z0-9][-A-Za-z0-9]*")
_LONGEST = 128
"""Of names in a workflow (argo-workflows, workflow/validate)."""
_OWN = {"root", "entrypoint", "iteration", "system-dag-driver", "system-container-driver",
        "system-container-executor", "system-container-impl", "system-importer", "system-importer-workspace",
        "retry-system-container-executor", "retry-system-container-impl"}  # fmt: skip
"""Templates that KFP adds to every workflow."""


def check(spec: Spec) -> Iterator[Finding]:
    """All rules about the order of tasks."""
    yield from _templates(spec)
    yield from _loops_of_components(spec)
    for dag in spec.dags:
        if not any(not task.is_exit for task in dag.tasks.values()):
            yield broken(
                "no-tasks",
                (*dag.path, "tasks"),
                f"{dag.component.name!r} has no task that is no exit task",
                "give it one, or take it out",
            )
        for task in dag.tasks.values():
            yield from _names(dag, task)
            yield from _dependencies(dag, task)
            yield from _loop(task)
            yield from _counts(task)
            if task.condition:
                yield from cel.check(task.condition, (*task.path, "triggerPolicy", "condition"), task)
        yield from _cycle(dag)
        yield from _exits(dag)


def _names(dag: Dag, task: Task) -> Iterator[Finding]:
    if not _TASK.fullmatch(task.name) or len(task.name) > _LONGEST - len("-driver"):
        better = re.sub(r"[^a-zA-Z0-9]+", "-", task.name).strip("-")[:100]
        better = better if better[:1].isalpha() else f"task-{better}"
        yield broken(
            "task-name",
            task.path,
            f"{task.name[:140]!r} is no name for a task of Argo",
            f"call it {better!r}",
        )
    if f"{task.name}-driver" in dag.tasks:
        yield broken(
            "name-collision",
            (*dag.path, "tasks", f"{task.name}-driver"),
            f"KFP makes a task {task.name + '-driver'!r} for {task.name!r} itself",
            "call it otherwise",
        )
    if not dig(task.spec, "taskInfo").get("name"):
        yield broken(
            "no-display-name",
            (*task.path, "taskInfo"),
            f"{task.name!r} has no taskInfo.name",
            f"write taskInfo: {{name: {task.name}}}",
        )


def _templates(spec: Spec) -> Iterator[Finding]:
    for name in ("root", "entrypoint"):
        if name in spec.components:
            yield broken(
                "name-collision",
                ("components", name),
                f"KFP has a template {name!r} of its own",
                f"call it 'comp-{name}'",
            )
    for dag in spec.dags:
        name = dag.component.name
        if not _NAME.fullmatch(name) or len(name) > _LONGEST:
            better = re.sub(r"[^a-zA-Z0-9]+", "-", name).strip("-")[:100] or "dag"
            yield broken(
                "dag-name",
                dag.component.path,
                f"{name[:140]!r} is no name for a template of Argo",
                f"call it {better!r}",
            )
        elif name in _OWN - {"root", "entrypoint"}:
            yield broken(
                "name-collision",
                dag.component.path,
                f"KFP has a template {name!r} of its own",
                f"call it 'comp-{name}'",
            )
        for task in dag.tasks.values():
            made = f"exit-hook-{name}-{task.name}" if task.is_exit else ""
            if task.iterator and task.component is not None:
                made = f"{task.component.name}-{task.name}-iterator"
            if len(made) > _LONGEST:
                yield broken(
                    "dag-name",
                    task.path,
                    f"the template {made[:60]}... has {len(made)} characters",
                    "shorten the names of the task and its component",
                )


def _loops_of_components(spec: Spec) -> Iterator[Finding]:
    for name, users in spec.used.items():
        loops = [task for _, task in users if task.iterator]
        for task in loops[1:]:
            yield broken(
                "iterator-component",
                (*task.path, "componentRef"),
                f"{name!r} is in the loop {loops[0].name!r} already",
                "give each loop a component of its own",
            )


def _dependencies(dag: Dag, task: Task) -> Iterator[Finding]:
    for i, name in enumerate(task.spec.get("dependentTasks", [])):
        if name not in dag.tasks:
            yield broken(
                "unknown-task",
                (*task.path, "dependentTasks", i),
                f"there is no task {name!r} in this DAG",
                did_you_mean(name, dag.tasks),
            )
    for name in task.dependencies():
        if name in dag.tasks and dag.tasks[name].is_exit:
            yield broken(
                "after-exit-task",
                (*task.path, "dependentTasks"),
                f"{task.name!r} depends on the exit task {name!r}",
                "put both into one DAG, and make that the exit task",
            )


def _cycle(dag: Dag) -> Iterator[Finding]:
    """A circle among the tasks that are left when all that can run has run."""
    waiting = {name: {d for d in task.dependencies() if d in dag.tasks} for name, task in dag.tasks.items()}
    behind: dict[str, list[str]] = {}
    for name, needs in waiting.items():
        for need in needs:
            behind.setdefault(need, []).append(name)
    ready = [name for name, needs in waiting.items() if not needs]
    while ready:
        done = ready.pop()
        del waiting[done]
        for name in behind.get(done, ()):
            waiting[name].discard(done)
            if not waiting[name]:
                ready.append(name)
    if not waiting:
        return
    seen: list[str] = []
    name = min(waiting)
    while name not in seen:
        seen.append(name)
        name = min(waiting[name])
    circle = [*seen[seen.index(name) :], name]
    yield broken("task-cycle", dag.tasks[name].path, " waits for ".join(circle), "take one of them out")


def _exits(dag: Dag) -> Iterator[Finding]:
    claimed: dict[str, str] = {}
    for name in sorted(dag.tasks):
        task = dag.tasks[name]
        if not task.is_exit:
            continue
        path = (*task.path, "dependentTasks")
        needs = [dependency for dependency in task.dependencies() if dependency in dag.tasks]
        if not task.dependencies():
            yield broken(
                "exit-no-dependency",
                path,
                f"the exit task {name!r} depends on nothing",
                "put the rest into one DAG and depend on that",
            )
        if len(needs) > 1:
            yield broken(
                "exit-several-dependencies",
                path,
                f"the exit task {name!r} depends on {' and '.join(needs)}",
                "put those into one DAG and depend on that",
            )
        for dependency in needs:
            before = dag.tasks[dependency]
            if before.iterator or before.is_importer:
                kind = "a loop" if before.iterator else "an importer"
                yield broken(
                    "exit-dependency",
                    path,
                    f"{dependency!r} is {kind}",
                    "put it into a DAG and depend on that",
                )
            if dependency in claimed:
                yield broken(
                    "two-exit-tasks",
                    path,
                    f"{claimed[dependency]!r} is an exit task of {dependency!r} too, and is never run",
                    "put both into one DAG, and make that the exit task",
                )
            claimed[dependency] = name


def _loop(task: Task) -> Iterator[Finding]:
    if "artifactIterator" in task.spec:
        yield broken(
            "artifact-iterator",
            (*task.path, "artifactIterator"),
            f"{task.name!r} goes over artifacts",
            "go over their URIs or names, as a list parameter",
        )
    if "parameterIterator" not in task.spec:
        return
    path = (*task.path, "parameterIterator")
    items = dig(task.iterator, "items")
    if "raw" in items:
        try:
            found = json.loads(items["raw"])
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, list):
            yield broken(
                "iterator-items",
                (*path, "items", "raw"),
                f"{items['raw'][:60]!r} is no JSON list",
                'write a list such as "[1, 2]"',
            )
    elif "inputParameter" in items:
        given = task.inputs("parameters")
        if items["inputParameter"] not in given:
            yield broken(
                "iterator-items",
                (*path, "items", "inputParameter"),
                f"{task.name!r} is given no input {items['inputParameter']!r}",
                did_you_mean(items["inputParameter"], given),
            )
    else:
        yield broken(
            "iterator-items",
            (*path, "items"),
            f"{task.name!r} has no items",
            "write items: {raw: ...} or items: {inputParameter: ...}",
        )
    item = task.iterator.get("itemInput", "")
    if task.component is not None and item not in task.component.inputs("parameters"):
        known = task.component.inputs("parameters")
        yield broken(
            "iterator-items",
            (*path, "itemInput"),
            f"{task.component.name!r} has no input {item!r} for the item",
            did_you_mean(item, known),
        )


def _counts(task: Task) -> Iterator[Finding]:
    for group, key in (("retryPolicy", "maxRetryCount"), ("retryPolicy", "backoffFactor"),
                       ("iteratorPolicy", "parallelismLimit")):  # fmt: skip
        value = dig(task.spec, group).get(key, 0)
        if value < 0:
            yield Finding(
                RULES["bad-count"], (*task.path, group, key), f"{key} is {value}", "write 0 or more"
            )
    for key in ("backoffDuration", "backoffMaxDuration"):
        if str(dig(task.spec, "retryPolicy").get(key, "")).startswith("-"):
            yield Finding(
                RULES["bad-count"], (*task.path, "retryPolicy", key), f"{key} is negative", "write 0s or more"
            )
