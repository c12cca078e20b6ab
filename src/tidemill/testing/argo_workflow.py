"""A Workflow that KFP's compiler made, read as Argo would run it: which pods, with what, after what."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_ARGUMENT = re.compile(r"\{\{workflow\.parameters\.([^}]+)\}\}")
DRIVERS = ("system-container-driver", "system-dag-driver")


@dataclass(frozen=True)
class Pod:
    """A pod of Argo's: a driver, or with `executor` the container of a task."""

    path: tuple[str, ...]
    """Argo tasks on the way to it; the last is its own."""
    executor: bool
    depends: str
    when: str
    repeated: bool
    """Whether it is in a loop."""
    task: Mapping[str, Any]
    """KFP's task spec; {} for the driver of the pipeline itself."""
    component: Mapping[str, Any]
    container: Mapping[str, Any]
    kubernetes: Mapping[str, Any]
    retries: Mapping[str, str]
    """What its template's retry strategy is given."""

    @property
    def node(self) -> str:
        """What the entrypoint in it is told to run."""
        given = self.task.get("inputs", {}).get("parameters", {}).get("tidemill_node", {})
        return str(given.get("runtimeValue", {}).get("constant", ""))


class Workflow:
    """Reads one."""

    def __init__(self, workflow: Mapping[str, Any]) -> None:
        self.spec = workflow["spec"]
        self.templates = {t["name"]: t for t in self.spec["templates"]}
        found = self.spec.get("arguments", {}).get("parameters", ())
        self.arguments = {p["name"]: p["value"] for p in found}

    def pods(self) -> list[Pod]:
        """Every pod that is started when nothing fails and every loop has one iteration."""
        return list(self._pods(self.spec["entrypoint"], (), repeated=False))

    def hooks(self) -> dict[tuple[str, ...], str]:
        """Path of a task -> template of what runs when it has ended."""
        return dict(self._hooks(self.spec["entrypoint"], ()))

    def _hooks(self, name: str, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
        for task in self.templates[name].get("dag", {}).get("tasks", ()):
            here = (*path, task["name"])
            for hook in task.get("hooks", {}).values():
                yield here, hook["template"]
            yield from self._hooks(task["template"], here)

    def _pods(self, name: str, path: tuple[str, ...], *, repeated: bool) -> Iterator[Pod]:
        tasks = {t["name"]: t for t in self.templates[name]["dag"]["tasks"]}
        for task in tasks.values():
            template = task["template"]
            again = repeated or "withSequence" in task
            if template in DRIVERS:
                yield self._pod(task, task, path, executor=False, repeated=again)
            elif template.endswith("system-container-executor"):
                driver = tasks[f"{task['name']}-driver"]
                yield self._pod(task, driver, path, executor=True, repeated=again)
            else:
                yield from self._pods(template, (*path, task["name"]), repeated=again)
            for hook in task.get("hooks", {}).values():
                yield from self._pods(hook["template"], (*path, task["name"], "hook"), repeated=again)

    def _pod(
        self, task: Mapping[str, Any], driver: Mapping[str, Any], path: tuple[str, ...], *, executor: bool,
        repeated: bool,
    ) -> Pod:  # fmt: skip
        given = {p["name"]: p.get("value", "") for p in driver["arguments"]["parameters"]}
        own = {p["name"]: p.get("value", "") for p in task["arguments"]["parameters"]}
        return Pod(
            path=(*path, task["name"]), executor=executor, depends=task.get("depends", ""),
            when=task.get("when", ""), repeated=repeated, task=self._json(given.get("task", "")),
            component=self._json(given["component"]), container=self._json(given.get("container", "")),
            kubernetes=self._json(given.get("kubernetes-config", "")),
            retries={n: v for n, v in own.items() if n.startswith("retry")} if self._retried(task) else {},
        )  # fmt: skip

    def _retried(self, task: Mapping[str, Any]) -> bool:
        """Whether the template behind a task has a retry strategy at all: KFP shares templates."""
        template = self.templates[task["template"]]
        inner = [self.templates[t["template"]] for t in template.get("dag", {}).get("tasks", ())]
        return any("retryStrategy" in t for t in (template, *inner))

    def _json(self, text: str) -> Any:
        match = _ARGUMENT.fullmatch(text)
        if match:
            text = self.arguments[match[1]]
        return json.loads(text) if text else {}
