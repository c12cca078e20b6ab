"""The compiled file: one or two YAML documents, looked at as the backend does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

Json = dict[str, Any]


class Refused(Exception):
    """The backend would not take it, or the emulator does not know how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A pipeline as the backend has it."""

    name: str
    root: Json
    components: Mapping[str, Json]
    executors: Mapping[str, Json]
    kubernetes: Mapping[str, Json] = field(default_factory=dict)
    """Executor label -> its Kubernetes options."""

    def component(self, task: Mapping[str, Any]) -> Json:
        """The component of a task. Refused when there is none."""
        name = str(task.get("componentRef", {}).get("name", ""))
        if name not in self.components:
            raise Refused(f"component spec for {name!r} not found")
        return self.components[name]

    def container(self, component: Mapping[str, Any]) -> Json:
        """The container of a component that has one."""
        label = str(component.get("executorLabel", ""))
        if label not in self.executors:
            raise Refused(f"executor with label {label!r} not found")
        if "container" not in self.executors[label]:
            raise Refused(f"executor {label!r} is no container, and nothing else is emulated")
        found: Json = self.executors[label]["container"]
        return found

    def platform(self, component: Mapping[str, Any]) -> Json:
        """The Kubernetes options of a component's container."""
        return self.kubernetes.get(str(component.get("executorLabel", "")), {})


def parse_spec(text: str) -> Spec:
    """The pipeline of the text of a file. Refused for what template/v2_template.go refuses."""
    documents = [found for found in yaml.load_all(text, Loader=_LOADER) if found is not None]
    specs = [found for found in documents if "pipelineInfo" in found]
    platforms = [found for found in documents if "platforms" in found]
    if len(specs) != 1 or len(platforms) > 1 or len(specs) + len(platforms) != len(documents):
        raise Refused("the file should hold one pipeline spec, and one platform spec at most")
    spec = specs[0]
    if spec.get("schemaVersion") != "2.1.0":
        raise Refused(f"unsupported schema version {spec.get('schemaVersion')!r}")
    if not spec["pipelineInfo"].get("name"):
        raise Refused("pipelineInfo.name is empty")
    kubernetes: Json = {}
    for platform in platforms:
        deployment = platform["platforms"].get("kubernetes", {}).get("deploymentSpec", {})
        kubernetes = deployment.get("executors", {})
    return Spec(
        name=spec["pipelineInfo"]["name"],
        root=spec["root"],
        components=spec.get("components", {}),
        executors=spec.get("deploymentSpec", {}).get("executors", {}),
        kubernetes=kubernetes,
    )


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def dependencies(tasks: Mapping[str, Json]) -> dict[str, list[str]]:
    """Task -> what it waits for: said, or implied by its inputs (addImplicitDependencies in dag.go)."""
    found: dict[str, list[str]] = {}
    for name, task in tasks.items():
        before = set(task.get("dependentTasks", []))
        inputs = task.get("inputs", {})
        for kind, key in (("parameters", "taskOutputParameter"), ("artifacts", "taskOutputArtifact")):
            for given in inputs.get(kind, {}).values():
                if key in given:
                    before.add(given[key]["producerTask"])
        for other in before:
            if other not in tasks:
                raise Refused(f"task {name!r} waits for {other!r}, which is not beside it")
        found[name] = sorted(before)
    return found
