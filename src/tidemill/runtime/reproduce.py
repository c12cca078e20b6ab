"""Reproducing a run: what its nodes got then, instead of what they would get now.

A reproduction is a run that says in its parameters which run it repeats. Its pipeline has a name that no
definition can have, so no resolver, window, champion or cache of other runs ever looks at it. Each node gets
the very artifacts and files that the original's node got, so a difference in one node does not hide or
cause one in the next. What has effects outside of its outputs is skipped unless asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tidemill.errors import ResolutionError, RunnerError
from tidemill.ir import model as ir
from tidemill.metadata.model import (
    REPRODUCED,
    Artifact,
    ArtifactState,
    EventType,
    NodeRecord,
    NodeState,
    PropertyValue,
    Run,
)
from tidemill.metadata.store import MetadataStore
from tidemill.runtime import importing, watermark
from tidemill.runtime.decide import Skip
from tidemill.runtime.plan import Plan, make_plan
from tidemill.runtime.resolve import Resolved, Resolver, noted
from tidemill.runtime.upstream import Upstream, items_of
from tidemill.storage.uri import is_local, local_path
from tidemill.types.source import FileSet

REPRODUCES = "tidemill.reproduces"
"""Parameter of a run: the id of the original. No runtime parameter can be called so."""
WITH_EFFECTS = "tidemill.with_effects"
"""Parameter of a run: whether nodes with effects run too."""

_EFFECTS_BEFORE_THE_FLAG = {"tidemill.components.pusher.executor:run"}
"""Executors with effects that an IR written by an earlier version does not mark."""


class NotReproduced(Skip):
    """A node is not run again; the message says why."""


def is_reproduction(run: Run) -> bool:
    """Whether the run repeats another one."""
    return REPRODUCES in run.parameters


def reproduction_parameters(original: Run, *, with_effects: bool) -> dict[str, Any]:
    """Parameters of a run that repeats `original`; RunnerError when that is a reproduction itself."""
    if is_reproduction(original):
        raise RunnerError(
            f"run {original.id} is a reproduction itself",
            hint=f"reproduce its original: {original.parameters[REPRODUCES]}",
        )
    return {**original.parameters, REPRODUCES: original.id, WITH_EFFECTS: with_effects}


def reproduction_plan(pipeline: ir.PipelineIR, run: Run) -> Plan:
    """The plan of a run that repeats another one: every node by itself."""
    given = {name: v for name, v in run.parameters.items() if name not in (REPRODUCES, WITH_EFFECTS)}
    plan = make_plan(pipeline, given, run.date)
    return replace(
        plan,
        pipeline=f"{plan.pipeline}{REPRODUCED}",
        parameters=run.parameters,
        steps=tuple(replace(step, upstream=()) for step in plan.steps),
    )


def recorded_resolver(
    store: MetadataStore, pipeline: ir.PipelineIR, run: Run, node: ir.NodeIR, iteration: int, workdir: Path
) -> Resolver:
    """What answers for a node of a reproduction: the past."""
    original = store.get_run(str(run.parameters[REPRODUCES]))
    if original is None:
        raise RunnerError(
            f"run {run.parameters[REPRODUCES]}, which is to be reproduced, is not in this store"
        )
    before = Upstream(store, pipeline, original, node, iteration)
    found = store.get_nodes(original.id, [(node.id, iteration)])
    with_effects = bool(run.parameters.get(WITH_EFFECTS))
    return _RecordedResolver(
        store, original, workdir, before, found[0] if found else None, with_effects=with_effects
    )


def has_effects(node: ir.NodeIR) -> bool:
    """Whether a node changes the world outside of its outputs."""
    return node.effects or node.executor in _EFFECTS_BEFORE_THE_FLAG


class _RecordedResolver(Resolver):
    """Answers what was answered in a run that ended; NotReproduced where that cannot be had any more."""

    def __init__(
        self, store: MetadataStore, run: Run, workdir: Path, before: Upstream, record: NodeRecord | None, *,
        with_effects: bool,
    ) -> None:  # fmt: skip
        super().__init__(store, run, workdir, before)
        self.record = record
        self.with_effects = with_effects
        self._read_then: tuple[str, list[FileSet]] = ("", [])

    def check_condition(self, node: ir.NodeIR) -> None:
        """What the condition was then stands in the record: a node that was skipped has no result."""

    def resolve(self, node: ir.NodeIR) -> Resolved:
        """What the node got then; NotReproduced says what is missing."""
        record = self._record(node)
        inputs = self._inputs(node, record)
        if node.kind == "loop":
            items = items_of(self.store, [record.execution_id])[record.execution_id]
            return Resolved(inputs=inputs, parameters={"items": items})
        (execution,) = self.store.get_executions_by_id([record.execution_id])
        parameters = {
            name: self._parameter(name, value, execution.custom_properties)
            for name, value in node.parameters.items()
        }
        return Resolved(inputs=inputs, parameters=parameters)

    def _record(self, node: ir.NodeIR) -> NodeRecord:
        record = self.record
        if record is None or record.state not in (NodeState.COMPLETE, NodeState.CACHED):
            state = f"was {record.state}" if record else "never started"
            raise NotReproduced(f"it {state} in the original run")
        if has_effects(node) and not self.with_effects:
            raise NotReproduced("it has effects outside of its outputs; --with-effects runs it")
        if node.kind == "approval":
            raise NotReproduced("it was somebody's decision")
        return record

    def _inputs(self, node: ir.NodeIR, record: NodeRecord) -> Mapping[str, list[Artifact]]:
        events = [
            e for e in self.store.get_events(execution_ids=[record.execution_id]) if e.type is EventType.INPUT
        ]
        artifacts = {a.id: a for a in self.store.get_artifacts_by_id([e.artifact_id for e in events])}
        places = [
            (str(name), int(index), e.artifact_id)
            for e in events
            for name, index in zip(e.path[::2], e.path[1::2], strict=False)
        ]
        found: dict[str, list[Artifact]] = {i.name: [] for i in node.inputs}
        for name, _, artifact_id in sorted(places):
            artifact = artifacts[artifact_id]
            if wrong := _gone(artifact):
                raise NotReproduced(f"its input {name!r}, artifact {artifact_id}, {wrong}")
            found.setdefault(name, []).append(artifact)
        return found

    def _parameter(self, name: str, value: ir.Value, recorded: Mapping[str, PropertyValue]) -> Any:
        before = recorded.get(name)
        self._read_then = (name, watermark.file_sets(before))
        try:
            now = self.value(value)
        except ResolutionError as error:
            raise NotReproduced(f"its parameter {name!r} has no value: {error.message}") from error
        if noted(now) != before:
            raise NotReproduced(
                f"its parameter {name!r} was {_short(before)} and is {_short(noted(now))} now"
            )
        return now

    def _files(self, value: ir.Files) -> FileSet:
        """The files of then, if they still are what they were."""
        name, recorded = self._read_then
        pattern = self.value(value.pattern)
        files = next((found for found in recorded if found.pattern == pattern), None)
        if files is None:
            raise NotReproduced(f"the files of its parameter {name!r} are not in the record")
        recorded.remove(files)
        for file in files.files:
            if not is_local(file.uri):
                raise NotReproduced(f"its parameter {name!r} names a remote file, {file.uri}")
            try:
                with local_path(file.uri).open("rb") as stream:
                    digest = hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as error:
                why = error.strerror or error
                raise NotReproduced(
                    f"{file.uri}, of its parameter {name!r}, cannot be read: {why}"
                ) from error
            if digest != file.digest:
                raise NotReproduced(f"{file.uri}, of its parameter {name!r}, has other bytes than then")
        return files


def _gone(artifact: Artifact) -> str:
    """Why an artifact's files cannot be used; empty when they can."""
    if artifact.state is not ArtifactState.LIVE:
        return f"is {artifact.state.name}"
    return importing.wrong_with(artifact)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
