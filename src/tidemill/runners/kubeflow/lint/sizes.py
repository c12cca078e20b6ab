"""How large the workflow will be that KFP makes of a pipeline, and whether it has the workspace it uses."""

from __future__ import annotations

from collections.abc import Iterator

from tidemill.runners.kubeflow.lint.documents import Parts, json_size
from tidemill.runners.kubeflow.lint.finding import Finding, broken, dig
from tidemill.runners.kubeflow.lint.model import Spec
from tidemill.runners.kubeflow.lint.shape import texts

WORKFLOW = 1_572_864
"""Bytes of a request to etcd: `--max-request-bytes`, 1.5 MiB."""
_FIXED = 16_000
_PER_TASK = 1_450
_PER_LOOP = 2_600
"""Measured on the workflows that KFP keeps of its own samples: tests/unit/kubeflow/test_lint_corpus.py."""


def estimate(spec: Spec, parts: Parts) -> int:
    """Bytes of the workflow: components and containers once, each task's spec, and what stands around it."""
    size = _FIXED + json_size(spec.root.spec)
    seen: set[str] = set()
    for name in spec.reachable():
        component = spec.components[name]
        size += json_size(component.spec)
        if component.executor_label not in seen:
            seen.add(component.executor_label)
            size += json_size(dig(spec.executors, component.executor_label))
            size += json_size(parts.platform_executors.get(component.executor_label, {}))
    for dag in spec.dags:
        for task in dag.tasks.values():
            size += (
                json_size(task.spec) * (2 if task.iterator else 1)
                + _PER_TASK
                + _PER_LOOP * bool(task.iterator)
            )
    return size


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
