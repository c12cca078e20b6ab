"""How large the workflow will be that KFP makes of a pipeline, and whether it has the workspace it uses."""

from __future__ import annotations

from collections.abc import Iterator

from tidemill.runners.kubeflow.lint.documents import Parts, json_size
from tidemill.runners.kubeflow.lint.finding import Finding, broken, dig
from tidemill.runners.kubeflow.lint.model import Spec
from tidemill.runners.kubeflow.lint.shape import texts

WORKFLOW = 1_572_864
"""Bytes of a request to etcd: `--max-request-bytes`, 1.5 MiB."""
_FIXED, _PER_TASK, _PER_LOOP, _PER_PODS = 8_800, 710, 800, 6_300
_ESCAPED = 1.09
"""Fitted to the workflows that KFP keeps of its samples: half of them within 3%, all within 30%."""


def estimate(spec: Spec, parts: Parts) -> int:
    """Bytes of the workflow as JSON: each component and container once, each task, and what stands around.

    What is embedded is JSON in JSON, whose quotes are escaped. Pods with labels have templates of their own,
    one for each count of labels and annotations.
    """
    size = json_size(spec.root.spec)
    seen: set[str] = set()
    pods: set[tuple[int, int]] = set()
    for name in spec.reachable():
        component = spec.components[name]
        size += json_size(component.spec)
        if component.executor_label not in seen:
            seen.add(component.executor_label)
            config = parts.platform_executors.get(component.executor_label, {})
            size += json_size(dig(spec.executors, component.executor_label)) + json_size(config)
            if metadata := dig(config, "podMetadata"):
                pods.add((len(dig(metadata, "labels")), len(dig(metadata, "annotations"))))
    around = _FIXED + _PER_PODS * len(pods)
    for dag in spec.dags:
        for task in dag.tasks.values():
            size += json_size(task.spec)
            around += _PER_TASK + _PER_LOOP * bool(task.iterator)
    return int(size * _ESCAPED) + around


def check(parts: Parts, spec: Spec) -> Iterator[Finding]:
    """The size of the workflow, and the workspace."""
    size = estimate(spec, parts)
    if size > WORKFLOW:
        yield broken(
            "workflow-too-large",
            (),
            f"the workflow will have about {size / 2**20:.1f} MiB",
            "share components between tasks, shorten arguments, or cut the pipeline in two",
        )
    config = dig(parts.platform or {}, "platforms", "kubernetes", "pipelineConfig")
    if "kubernetes" in dig(config, "workspace"):
        return
    for dag in spec.dags:
        for task in dag.tasks.values():
            path = (*task.path, "inputs", "parameters")
            for where, text in texts(task.inputs("parameters"), path):
                if "{{$.workspace_path}}" in text:
                    yield broken(
                        "no-workspace",
                        where,
                        "the workspace is used, and there is none",
                        "write pipelineConfig.workspace with size and kubernetes in the platform document",
                    )
                    return
    for label, executor in spec.executors.items():
        if dig(executor, "importer").get("downloadToWorkspace"):
            yield broken(
                "no-workspace",
                ("deploymentSpec", "executors", label, "importer", "downloadToWorkspace"),
                "the workspace is used, and there is none",
                "write pipelineConfig.workspace with size and kubernetes in the platform document",
            )
