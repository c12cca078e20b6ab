"""Tasks: what each of them is given, what it waits for, and how often KFP comes back to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tidemill.ir.model import FirstOf, InputIR, NodeIR, OutputRef, PipelineIR, Source, Window
from tidemill.runners.kubeflow import names
from tidemill.runners.kubeflow.layout import Task
from tidemill.runtime.retry import policy_of

_LONGEST = "2592000s"
"""30 days: after the first try's start Argo makes no other. Left out it would be none at all."""


def constant(value: Any) -> dict[str, Any]:
    """An input that is the same in every run."""
    return {"runtimeValue": {"constant": value}}


def inherited(name: str) -> dict[str, Any]:
    """An input of the DAG around."""
    return {"componentInputParameter": name}


def task(key: str, component: str, after: list[str], inputs: dict[str, Any]) -> dict[str, Any]:
    """A task. KFP's cache is off for each: ours knows more, and is asked by the launcher."""
    found: dict[str, Any] = {
        "cachingOptions": {},
        "componentRef": {"name": component},
        "taskInfo": {"name": key},
    }
    if after:
        found["dependentTasks"] = sorted(after)
    if kept := {kind: given for kind, given in inputs.items() if given}:
        found["inputs"] = kept
    return found


def retry_of(node: NodeIR | None) -> dict[str, Any]:
    """As many tries as all failure classes allow together; the launcher says which follow, and waits."""
    if node is None:
        return {"maxRetryCount": 2, "backoffDuration": "5s", "backoffMaxDuration": _LONGEST}
    policy = policy_of(node.options)
    tries = policy.user + policy.transient + policy.timeout + policy.memory + policy.infrastructure
    if node.options.retry is None:
        tries = node.options.retries
    return {"maxRetryCount": tries, "backoffDuration": "0s", "backoffMaxDuration": _LONGEST} if tries else {}


def own_parameters(item: Task, ir: PipelineIR, *, workspace: bool) -> dict[str, Any]:
    """Parameters of a task that are known now."""
    found = {names.NODE: constant(item.name)}
    found[names.RUN] = constant("{{$.pipeline_job_uuid}}")
    if item.soft:
        found[names.SOFT] = constant(True)
    if item.first and ir.schedule is not None:
        found[names.SCHEDULE] = constant("{{$.pipeline_job_schedule_time_utc}}")
    if workspace:
        found[names.WORKSPACE] = constant("{{$.workspace_path}}")
    return found


def needs(item: Task, ir: PipelineIR, *, carries_ir: bool) -> list[str]:
    """Parameters of a task that come from around it."""
    found = [names.ITERATION] if item.node is not None and item.node.loops else []
    if item.first:
        found += [p.name for p in ir.parameters]
        found += [names.DATE, names.SELECT]
        if item.node is not None and carries_ir:
            found.append(names.IR)
    return found


def producers(inp: InputIR) -> Iterator[tuple[str, str]]:
    """(node, output) of each output of this run that an input may take, where KFP can hand it on."""
    for source in inp.sources:
        yield from _of_source(source)


def _of_source(source: Source) -> Iterator[tuple[str, str]]:
    match source:
        case OutputRef(node=node, output=output) | Window(node=node, output=output):
            yield node, output
        case FirstOf(sources=sources):
            for part in sources:
                yield from _of_source(part)
