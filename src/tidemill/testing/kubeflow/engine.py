"""A run: Argo's workflow made of the compiled file, from its start to its end.

Source: `backend/src/v2/compiler/argocompiler` for what becomes of the file, and Argo's `workflow/controller`
(dag.go, operator.go, exit_handler.go) for what becomes of that. A task starts when all before it Succeeded; a
failure leaves out what comes after it and nothing else; a DAG fails when anything in it did.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tidemill.testing.kubeflow import driver
from tidemill.testing.kubeflow.document import Json, Refused, Spec, dependencies
from tidemill.testing.kubeflow.driver import DriverFailed, RunFacts, Values
from tidemill.testing.kubeflow.tries import FAILED, OMITTED, SUCCEEDED, Cluster, Node, Order, Pods

_EXIT = "ALL_UPSTREAM_TASKS_COMPLETED"


class Workflow:
    """One run of a pipeline."""

    def __init__(self, spec: Spec, cluster: Cluster, *, run_id: str = "", due: str = "") -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.spec = spec
        self.facts = RunFacts(run_id=run_id or str(uuid4()), name=spec.name, created=now, due=due)
        self.pods = Pods(spec, cluster, self.facts)
        self.nodes: dict[str, Node] = {}
        """By place: `body.train`, `body.loop.2.train`."""

    def run(self, parameters: Mapping[str, Any] | None = None) -> str:
        """Run to the end; Succeeded or Failed. Refused for parameters that the pipeline does not take so."""
        declared = self.spec.root.get("inputDefinitions", {}).get("parameters", {})
        given = dict(parameters or {})
        if unknown := given.keys() - declared.keys():
            raise Refused(f"the pipeline has no parameters {sorted(unknown)}")
        for name, spec in declared.items():
            if name in given:
                continue
            if "defaultValue" not in spec and not spec.get("isOptional"):
                raise Refused(f"parameter {name!r} has neither default value nor user input")
            given[name] = spec.get("defaultValue")
        return self.dag(self.spec.root, Values(parameters=given), "", None, on_exit=False).phase

    def terminate(self) -> None:
        """What `Terminate` does: activeDeadlineSeconds becomes 0, so all pods but those of exit hooks end."""
        self.pods.terminate()

    def ignored(self) -> list[str]:
        """What containers told of their outputs, and KFP did not keep."""
        return [f"{place}: {what}" for place, node in self.nodes.items() for what in node.ignored]

    def dag(
        self, component: Mapping[str, Any], inputs: Values, place: str, retry: Json | None, *, on_exit: bool
    ) -> Node:  # fmt: skip
        """Run a DAG: its tasks as soon as what is before them succeeded."""
        scope = _Scope(self, component["dag"]["tasks"], inputs, place, retry, on_exit)
        left = [name for name in sorted(scope.tasks) if name not in scope.exits]
        if not left:
            raise Refused(f"DAG {place or 'root'} must contain one or more non-exit tasks")
        with ThreadPoolExecutor(max_workers=len(left)) as threads:
            running: dict[Future[Node], str] = {}
            while left or running:
                for name in scope.ready(left):
                    left.remove(name)
                    if scope.lost(name):
                        scope.note(name, Node(OMITTED, "a task before it failed"))
                    else:
                        running[threads.submit(scope.run, name)] = name
                for future in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                    scope.note(running.pop(future), future.result())
                if not running and left and not scope.ready(left):
                    raise Refused(f"tasks {left} wait for each other")
        failed = [name for name, node in scope.found.items() if node.phase != SUCCEEDED]
        outputs = _dag_outputs(component["dag"].get("outputs", {}), scope.found)
        return Node(FAILED if failed else SUCCEEDED, f"failed: {failed}" if failed else "", outputs=outputs)

    def one(
        self, component: Json, inputs: Values, name: str, place: str, retry: Json | None, on_exit: bool
    ) -> Node:  # fmt: skip
        """Run what a task is made of, a DAG or a container, once its inputs are known."""
        if "dag" in component:
            return self.dag(component, inputs, place, retry, on_exit=on_exit)
        return self.pods.run(
            Order(component=component, inputs=inputs, name=name, place=place, retry=retry, on_exit=on_exit)
        )


class _Scope:
    """A DAG while it runs: its tasks, and what they see of each other."""

    def __init__(
        self, workflow: Workflow, tasks: Mapping[str, Json], inputs: Values, place: str, retry: Json | None,
        on_exit: bool,
    ) -> None:  # fmt: skip
        self.workflow, self.tasks, self.inputs = workflow, tasks, inputs
        self.place, self.retry, self.on_exit = place, retry, on_exit
        self.found: dict[str, Node] = {}
        self.before = dependencies(tasks)
        self.hooks: dict[str, str] = {}
        """Task -> the exit task that is its hook: of several the last, as DAG() in dag.go has it."""
        self.exits = {n for n in tasks if tasks[n].get("triggerPolicy", {}).get("strategy") == _EXIT}
        for name in sorted(self.exits):
            self.hooks.update(dict.fromkeys(tasks[name].get("dependentTasks", []), name))

    def ready(self, left: list[str]) -> list[str]:
        """Those of the tasks before which everything has ended."""
        return [name for name in left if all(b in self.found for b in self.before[name])]

    def lost(self, name: str) -> bool:
        """Whether a task before this one did not succeed."""
        return any(self.found[b].phase != SUCCEEDED for b in self.before[name])

    def note(self, name: str, node: Node) -> None:
        """A task ended."""
        if name not in self.exits:
            self.found[name] = node
        self.workflow.nodes[self._at(name)] = node

    def run(self, name: str) -> Node:
        """A task, and the exit task that is a lifecycle hook of it: that runs once the task has ended, but
        not when it was left out, its driver failed or it is a loop; and its failure fails nothing."""
        try:
            node = self._task(name, on_exit=self.on_exit)
        except DriverFailed as error:
            return Node(FAILED, f"driver: {error}")
        hook = self.hooks.get(name)
        if hook is not None and "parameterIterator" not in self.tasks[name]:
            self.note(name, node)
            try:
                self.note(hook, self._task(hook, on_exit=True))
            except DriverFailed as error:
                self.note(hook, Node(FAILED, f"driver: {error}"))
        return node

    def _task(self, name: str, *, on_exit: bool) -> Node:
        task = self.tasks[name]
        if task.get("triggerPolicy", {}).get("condition") or "artifactIterator" in task:
            raise Refused(f"task {name!r}: conditions and artifact iterators are not emulated")
        if self.workflow.pods.ended and not on_exit:
            return Node(FAILED, "Step exceeded its deadline")
        component = self.workflow.spec.component(task)
        retry = task.get("retryPolicy") or self.retry
        inputs = driver.resolve(
            task, name, component, self.inputs, self._produced, self.workflow.facts,
            lambda: self._status_before(task),
        )  # fmt: skip
        if "parameterIterator" in task:
            return self._loop(name, component, inputs, retry, on_exit)
        return self.workflow.one(component, inputs, name, self._at(name), retry, on_exit)

    def _loop(
        self, name: str, component: Json, inputs: Values, retry: Json | None, on_exit: bool
    ) -> Node:  # fmt: skip
        """All iterations of a task, whatever becomes of each; no more at once than the policy says."""
        task = self.tasks[name]
        items = driver.items_of(task, inputs)
        limit = int(task.get("iteratorPolicy", {}).get("parallelismLimit", 0)) or max(1, len(items))

        def iteration(index: int) -> Node:
            place = f"{self._at(name)}.{index}"
            given = driver.of_iteration(task, inputs, items[index])
            try:
                items_input = task["parameterIterator"]["items"].get("inputParameter", "")
                driver.check_types(given, place, component, set(), without=items_input)
                node = self.workflow.one(component, given, name, place, retry, on_exit)
            except DriverFailed as error:
                node = Node(FAILED, f"driver: {error}")
            self.workflow.nodes[place] = node
            return node

        with ThreadPoolExecutor(max_workers=limit) as threads:
            made = list(threads.map(iteration, range(len(items))))
        outputs = Values()
        for node in made:
            for key, value in node.outputs.parameters.items():
                outputs.parameters.setdefault(key, []).append(value)
            for key, listed in node.outputs.artifacts.items():
                outputs.artifacts.setdefault(key, []).extend(listed)
        failed = [i for i, node in enumerate(made) if node.phase != SUCCEEDED]
        return Node(
            FAILED if failed else SUCCEEDED, f"iterations {failed}" if failed else "", outputs=outputs
        )

    def _at(self, name: str) -> str:
        return f"{self.place}.{name}" if self.place else name

    def _produced(self, task: str, output: str, artifact: bool) -> Any:
        """An output of a task beside (resolveUpstreamParameters, resolveUpstreamArtifacts)."""
        made = self.found[task].outputs
        among: Mapping[str, Any] = made.artifacts if artifact else made.parameters
        if output not in among:
            raise DriverFailed(f"cannot find output key {output!r} in producer task {task!r}")
        return among[output]

    def _status_before(self, task: Mapping[str, Any]) -> Json:
        """PipelineTaskFinalStatus of the first task that an exit task depends on."""
        name = task["dependentTasks"][0]
        state = "COMPLETE" if self.found[name].phase == SUCCEEDED else "FAILED"
        return {"state": state, "pipelineTaskName": name, "error": {},
                "pipelineJobResourceName": self.workflow.facts.name}  # fmt: skip


def _dag_outputs(wanted: Mapping[str, Any], found: Mapping[str, Node]) -> Values:
    """What a DAG hands on of its tasks' outputs; what was not made is not there."""
    outputs = Values()
    for key, spec in wanted.get("parameters", {}).items():
        source = spec["valueFromParameter"]
        made = found[source["producerSubtask"]].outputs.parameters
        if source["outputParameterKey"] in made:
            outputs.parameters[key] = made[source["outputParameterKey"]]
    for key, spec in wanted.get("artifacts", {}).items():
        for source in spec["artifactSelectors"]:
            node = found[source["producerSubtask"]]
            if node.phase == SUCCEEDED and source["outputArtifactKey"] in node.outputs.artifacts:
                outputs.artifacts[key] = node.outputs.artifacts[source["outputArtifactKey"]]
                break
    return outputs
