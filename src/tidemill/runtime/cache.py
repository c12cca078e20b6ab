"""Reuse: whether an earlier execution already made what a node is about to make, and why not.

The key covers the executor's code, every parameter, and the content of every input. It does not
cover names of files or times, so the same work under another date is the same work.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidemill.ir import model as ir
from tidemill.metadata.model import Artifact, ArtifactState
from tidemill.metadata.store import MetadataStore
from tidemill.runtime import importing
from tidemill.runtime.resolve import DIGEST, FunctionRef, Resolved
from tidemill.types.json import digest
from tidemill.types.source import FileSet

PARTS = "tidemill.cache_parts"
"""Custom property of an execution: digest of each part of its cache key, as JSON."""
_SHOWN = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Reuse `outputs` of `execution_id`, or run (execution_id 0). `reason` says why, for people."""

    key: str
    parts: Mapping[str, str]
    reason: str
    execution_id: int = 0
    outputs: Mapping[str, list[Artifact]]


def decide(
    node: ir.NodeIR, pipeline: ir.PipelineIR, resolved: Resolved, store: MetadataStore, *,
    reuse: bool = True, environment: str = "",
) -> Decision:  # fmt: skip
    """Look for an execution to reuse; what cannot be reused is run.

    `environment` identifies the node's own environment, if it has one. ResolutionError when an importer
    has nothing to import.
    """
    parts = key_parts(node, pipeline, resolved)
    if environment:
        parts["environment"] = environment
    key = digest(parts)
    if node.on_exit:  # it tells somebody of this run, and they shall hear of each
        return Decision(key=key, parts=parts, reason="an exit node always runs", outputs={})
    if not (reuse and node.options.cache):
        where = "for this node" if reuse else "in this run"
        return Decision(key=key, parts=parts, reason=f"caching is off {where}", outputs={})
    unusable = ""
    for execution_id in store.find_cached(key):
        outputs = store.get_outputs([execution_id]).get(execution_id, {})
        wrong = _unusable(node, execution_id, outputs, store)
        if not wrong:
            reason = f"same code, parameters and inputs as execution {execution_id}"
            return Decision(key=key, parts=parts, reason=reason, execution_id=execution_id, outputs=outputs)
        unusable = unusable or wrong  # the newest one's reason is the one that people expect
    reason = unusable or _difference(node, pipeline.name, parts, store)
    return Decision(key=key, parts=parts, reason=reason, outputs={})


def key_parts(node: ir.NodeIR, pipeline: ir.PipelineIR, resolved: Resolved) -> dict[str, str]:
    """What the outputs depend on, by name: a short text that is equal when the part is equal."""
    parts = {"component": node.component, "code": pipeline.code.get(node.executor, "")}
    for name, value in resolved.parameters.items():
        parts[f"parameter {name}"] = _short(_plain(value, pipeline.code))
    for name, artifacts in resolved.inputs.items():
        parts[f"input {name}"] = _short([content(a) for a in artifacts])
    if node.kind == "importer":
        parts["content"] = importing.content_of(str(resolved.parameters["uri"])).digest
    parts["outputs"] = _short([[o.name, o.type] for o in node.outputs])
    return parts


def content(artifact: Artifact) -> str:
    """What identifies an artifact's content: its digest, or its id when none was recorded."""
    return str(artifact.custom_properties.get(DIGEST) or f"id:{artifact.id}")


def _plain(value: Any, code: Mapping[str, str]) -> Any:
    """A parameter as JSON for the key: a function by its code, files by their bytes."""
    match value:
        case FunctionRef():
            return {"function": value.ref, "code": code.get(value.ref, "")}
        case FileSet():
            return {"span": value.span, "version": value.version, "files": [f.digest for f in value.files]}
        case list():
            return [_plain(item, code) for item in value]
        case dict():
            return {key: _plain(item, code) for key, item in value.items()}
        case bytes():
            return {"bytes": value.hex()}
    return value


def _short(value: Any) -> str:
    """The JSON text itself while it is short, so that a difference can be shown; else its digest."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return text if len(text) <= _SHOWN else digest(value)[:32]


def _unusable(
    node: ir.NodeIR, execution_id: int, outputs: Mapping[str, list[Artifact]], store: MetadataStore
) -> str:
    """Why an execution with the right key cannot be reused; empty when it can."""
    if node.options.cache_max_age:
        (execution,) = store.get_executions_by_id([execution_id])
        age = time.time() - execution.update_time / 1000
        if age > node.options.cache_max_age:
            return (
                f"execution {execution_id} is {age:.0f} s old, more than {node.options.cache_max_age:.0f} s"
            )
    for output in node.outputs:
        if not outputs.get(output.name):
            return f"execution {execution_id} has no output {output.name!r}"
        for artifact in outputs[output.name]:
            if artifact.state is not ArtifactState.LIVE:
                return f"output {output.name!r} of execution {execution_id} is {artifact.state.name}"
            if wrong := importing.wrong_with(artifact):
                return f"output {output.name!r} of execution {execution_id}: {wrong}"
    return ""


def _difference(node: ir.NodeIR, pipeline: str, parts: Mapping[str, str], store: MetadataStore) -> str:
    """What changed since the node's last complete execution, for people."""
    last = store.last_cache_key(pipeline, node.id)
    if last is None:
        return "first execution of this node"
    (execution,) = store.get_executions_by_id([last[1]])
    before = json.loads(str(execution.custom_properties.get(PARTS, "{}")))
    changed = [_change(name, before.get(name), parts.get(name)) for name in sorted({*before, *parts})
               if before.get(name) != parts.get(name)]  # fmt: skip
    since = f"since execution {last[1]}"
    return f"{', '.join(changed)} {since}" if changed else f"the result of execution {last[1]} expired"


def _change(name: str, before: str | None, after: str | None) -> str:
    if name == "component" or before is None or after is None:
        verb = "is new" if before is None else "is gone" if after is None else "changed"
        return f"{name} {verb}"
    if name.startswith("parameter") and max(len(before), len(after)) < 32:
        return f"{name} changed from {before} to {after}"
    return f"{name} changed"
