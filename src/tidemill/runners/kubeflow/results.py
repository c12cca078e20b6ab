"""What a task tells KFP of its node: iterations, artifacts, numbers, a page.

Everything is read from the record, so a try that finds the node done writes the same as the one that did it.

An artifact keeps the URI that KFP gave it, and under that URI lies a small JSON file that says where ours is.
Our own URI would be refused: KFP's launcher opens a bucket for each input of the next task, and a URI of a
scheme that it has no bucket for fails that task (fetchNonDefaultBuckets in launcher_v2.go).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidemill.ir.model import PipelineIR
from tidemill.metadata.model import Artifact, EventType
from tidemill.metadata.store import MetadataStore
from tidemill.runners.kubeflow import names
from tidemill.runners.kubeflow.executor_io import ExecutorInput, ExecutorOutput, OutputSlot
from tidemill.runners.kubeflow.facts import Facts
from tidemill.runners.kubeflow.shown import Made, metrics, page
from tidemill.runtime import loops
from tidemill.runtime.launch import Outcome

POINTER = "tidemill.pointer/1"
"""Format of the files that stand for artifacts in KFP's storage."""


def write_results(
    store: MetadataStore, ir: PipelineIR, facts: Facts, outcome: Outcome | None, given: ExecutorInput
) -> None:
    """Write ExecutorOutput and the files it speaks of. `outcome` is None for a node that did not run."""
    output = ExecutorOutput()
    if names.ITEMS in given.parameter_files:
        count = outcome.iterations or 0 if outcome is not None else 0
        output.parameters[names.ITEMS] = iterations(ir, facts.node, facts.iteration, count)
    if given.slots:
        made = _made(store, outcome.execution_id) if outcome is not None and outcome.execution_id else Made()
        for name, slot in given.slots.items():
            # KFP takes every declared output to be there; one that is not says so, and has no file.
            found = made.outputs.get(name, [])
            output.add(slot, _metadata(found[0]) if found else {"tidemill_state": _state(outcome)})
            if found:
                _point(slot, found[0])
        _show(made, loops.place(ir, facts.node, facts.iteration), given.slots, output)
    output.write(given)


def iterations(ir: PipelineIR, loop_id: str, iteration: int, count: int) -> list[int]:
    """The numbers of a loop's first `count` iterations, in one iteration of the loops around it."""
    head = ir.node(loop_id)
    outer = loops.path(iteration, loops.limits(ir, head.loops))
    limits = loops.limits(ir, (*head.loops, loop_id))
    return [loops.number((*outer, position), limits) for position in range(count)]


def _show(made: Made, title: str, slots: Mapping[str, OutputSlot], output: ExecutorOutput) -> None:
    """Fill the outputs that are there only to be looked at."""
    slot = slots.get(names.METRICS)
    if slot is not None and (numbers := metrics(made)):
        output.add(slot, numbers)
    slot = slots.get(names.PAGE)
    if slot is not None and slot.path is not None and (text := page(made, title)):
        _write(slot.path, text)
        output.add(slot, {"display_name": title})


def _made(store: MetadataStore, execution_id: int) -> Made:
    events = store.get_events(execution_ids=[execution_id], types=[EventType.INPUT])
    records = {a.id: a for a in store.get_artifacts_by_id(sorted({e.artifact_id for e in events}))}
    inputs: dict[str, list[Artifact]] = {}
    for event in events:
        if event.path and event.artifact_id in records:
            inputs.setdefault(str(event.path[0]), []).append(records[event.artifact_id])
    return Made(inputs=inputs, outputs=store.get_outputs([execution_id]).get(execution_id, {}))


def _state(outcome: Outcome | None) -> str:
    """Why there is no artifact: what became of the node, if it was there at all."""
    return str(outcome.state) if outcome is not None else "no result"


def _point(slot: OutputSlot, artifact: Artifact) -> None:
    if slot.path is not None:
        pointer = {"format": POINTER, "id": artifact.id, "type": artifact.type, "uri": artifact.uri,
                   "properties": {**artifact.properties, **artifact.custom_properties}}  # fmt: skip
        _write(slot.path, json.dumps(pointer, sort_keys=True) + "\n")


def _metadata(artifact: Artifact) -> dict[str, Any]:
    """What KFP keeps of an artifact. Ours come last: a property of the same name must not hide them."""
    own = {**artifact.custom_properties, **artifact.properties}
    return {**own, "tidemill_id": artifact.id, "tidemill_type": artifact.type, "tidemill_uri": artifact.uri}


def _write(path: Path, text: str) -> None:
    """A file for KFP to keep. One that cannot be written is missing there, which is no failure to KFP."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
