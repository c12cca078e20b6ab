"""A clean pipeline spec, seen as DAGs of tasks with their components and executors. Knows no rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tidemill.runners.kubeflow.lint.finding import Json, Path, dig

EXIT = "ALL_UPSTREAM_TASKS_COMPLETED"
STUBS = frozenset({"argostub/createpvc", "argostub/deletepvc"})
"""Images that stand for something the driver does by itself."""


@dataclass(frozen=True, slots=True)
class Component:
    """A component by name; the root has no name of its own."""

    name: str
    path: Path
    spec: Json

    @property
    def executor_label(self) -> str:
        """Of the executor that does its work; empty for a DAG."""
        return str(self.spec.get("executorLabel", ""))

    @property
    def is_dag(self) -> bool:
        """Whether it is made of tasks."""
        return "dag" in self.spec

    def inputs(self, kind: str) -> Json:
        """Declared inputs: `parameters` or `artifacts`."""
        return dig(self.spec, "inputDefinitions", kind)

    def outputs(self, kind: str) -> Json:
        """Declared outputs: `parameters` or `artifacts`."""
        return dig(self.spec, "outputDefinitions", kind)


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a DAG."""

    name: str
    path: Path
    spec: Json
    component: Component | None
    """None when there is none of that name."""
    executor: Json | None
    """None for a DAG, and when there is none of that name."""

    def inputs(self, kind: str) -> Json:
        """Inputs given: `parameters` or `artifacts`."""
        return dig(self.spec, "inputs", kind)

    @property
    def is_exit(self) -> bool:
        """Whether it runs whatever became of what it depends on."""
        return dig(self.spec, "triggerPolicy").get("strategy") == EXIT

    @property
    def iterator(self) -> Json:
        """Of a loop over parameters; empty outside of one."""
        return dig(self.spec, "parameterIterator")

    @property
    def is_importer(self) -> bool:
        """Whether an importer does its work."""
        return self.executor is not None and "importer" in self.executor

    @property
    def condition(self) -> str:
        """A CEL expression, or nothing."""
        return str(dig(self.spec, "triggerPolicy").get("condition", ""))

    def producers(self) -> Iterator[tuple[Path, str]]:
        """Tasks that inputs come from, with the place that says so."""
        for kind, key in (("parameters", "taskOutputParameter"), ("artifacts", "taskOutputArtifact")):
            for name, given in self.inputs(kind).items():
                if "producerTask" in (source := dig(given, key)):
                    yield (*self.path, "inputs", kind, name, key, "producerTask"), source["producerTask"]

    def dependencies(self) -> list[str]:
        """Names of all tasks that it waits for, as the compiler puts them together."""
        explicit: list[str] = self.spec.get("dependentTasks", [])
        return sorted({*explicit, *(producer for _, producer in self.producers())})


@dataclass(frozen=True, slots=True)
class Dag:
    """A component that is made of tasks."""

    component: Component
    tasks: dict[str, Task]
    outputs: Json

    @property
    def path(self) -> Path:
        """Of its `dag`."""
        return (*self.component.path, "dag")


@dataclass(frozen=True, slots=True)
class Spec:
    """A whole pipeline."""

    document: Json
    root: Component
    components: dict[str, Component]
    executors: Json
    """By label."""
    dags: tuple[Dag, ...] = ()
    used: dict[str, list[tuple[Dag, Task]]] = field(default_factory=dict)
    """By component, the tasks that use it."""

    @classmethod
    def of(cls, document: Json, executors: Json) -> Spec:
        """`document` is a clean PipelineSpec, `executors` those of its clean deployment."""
        root = Component("root", ("root",), dig(document, "root"))
        components = {
            name: Component(name, ("components", name), spec)
            for name, spec in dig(document, "components").items()
        }
        spec = cls(document, root, components, executors)
        dags = tuple(spec._dag(c) for c in (root, *components.values()) if c.is_dag)
        used: dict[str, list[tuple[Dag, Task]]] = {}
        for dag in dags:
            for task in dag.tasks.values():
                if task.component is not None:
                    used.setdefault(task.component.name, []).append((dag, task))
        return cls(document, root, components, executors, dags, used)

    def _dag(self, component: Component) -> Dag:
        body = dig(component.spec, "dag")
        tasks: dict[str, Task] = {}
        for name, spec in dig(body, "tasks").items():
            used = self.components.get(dig(spec, "componentRef").get("name", ""))
            executor: Any = self.executors.get(used.executor_label) if used and not used.is_dag else None
            tasks[name] = Task(name, (*component.path, "dag", "tasks", name), spec, used, executor)
        return Dag(component, tasks, dig(body, "outputs"))

    @property
    def name(self) -> str:
        """Of the pipeline."""
        return str(dig(self.document, "pipelineInfo").get("name", ""))

    def all_components(self) -> Iterator[Component]:
        """The root and all others."""
        yield self.root
        yield from self.components.values()

    def of_executor(self, label: str) -> Iterator[Component]:
        """Components whose work an executor does."""
        return (c for c in self.components.values() if c.executor_label == label and not c.is_dag)

    def reachable(self) -> set[str]:
        """Names of the components that the root leads to."""
        by_name = {dag.component.name: dag for dag in self.dags if dag.component is not self.root}
        tops = [dag for dag in self.dags if dag.component is self.root]
        found: set[str] = set()
        while tops:
            for task in tops.pop().tasks.values():
                if task.component is not None and task.component.name not in found:
                    found.add(task.component.name)
                    tops += [by_name[task.component.name]] if task.component.name in by_name else []
        return found
