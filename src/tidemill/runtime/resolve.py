"""Resolving: what a node's inputs and parameters are, now that it is about to run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.errors import ResolutionError, TidemillError
from tidemill.ir import model as ir
from tidemill.metadata.model import Artifact, NodeState, PropertyValue, Run
from tidemill.metadata.store import MetadataStore
from tidemill.runtime.values import read_value
from tidemill.storage.pattern import resolve_files
from tidemill.storage.uri import local_path
from tidemill.types.source import FileSet

DIGEST = "digest"
"""Custom property that holds an artifact's content digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Artifacts per input and a value per parameter. A FileSet stays one; a function is its reference."""

    inputs: Mapping[str, list[Artifact]]
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FunctionRef:
    """A function parameter; the child imports it."""

    ref: str


class Resolver:
    """Answers for one run. `outputs` may foretell outputs of nodes that did not run yet (explain)."""

    def __init__(
        self,
        store: MetadataStore,
        run: Run,
        workdir: Path,
        outputs: Mapping[str, Mapping[str, list[Artifact]]] | None = None,
    ) -> None:
        self.store = store
        self.run = run
        self.workdir = workdir
        self._outputs = outputs

    def resolve(self, node: ir.NodeIR) -> Resolved:
        """Inputs and parameters of `node`; ResolutionError says which one has no value and why."""
        outputs = self._outputs if self._outputs is not None else self._upstream(node)
        inputs = {}
        for inp in node.inputs:
            found = [a for source in inp.sources for a in self._source(source, outputs)]
            if not found and not inp.optional:
                raise ResolutionError(f"input {inp.name!r} has no artifact", where=node.id)
            if len(found) > 1 and not inp.many:
                raise ResolutionError(
                    f"input {inp.name!r} takes one artifact, found {len(found)}", where=node.id
                )
            inputs[inp.name] = found
        parameters = {}
        for name, value in node.parameters.items():
            try:
                parameters[name] = self._value(value, outputs)
            except ResolutionError as error:
                where = f"{node.id}, parameter {name!r}"
                raise ResolutionError(error.message, where=where, hint=error.hint) from error
        return Resolved(inputs=inputs, parameters=parameters)

    def _upstream(self, node: ir.NodeIR) -> dict[str, Mapping[str, list[Artifact]]]:
        """Outputs of this run's nodes that `node` waits for."""
        upstream = set(node.upstream())
        if not upstream:
            return {}
        records = {n.node_id: n for n in self.store.get_nodes(self.run.id) if n.node_id in upstream}
        for node_id in sorted(upstream):
            state = records[node_id].state if node_id in records else None
            if state is None or not state.succeeded:
                raise ResolutionError(
                    f"node {node_id!r} must succeed first; it is {state or 'not started'}", where=node.id
                )
        done = {n.execution_id: n.node_id for n in records.values() if n.state is not NodeState.SKIPPED}
        return {done[e]: outputs for e, outputs in self.store.get_outputs(list(done)).items()}

    def _source(
        self, source: ir.Source, outputs: Mapping[str, Mapping[str, list[Artifact]]]
    ) -> list[Artifact]:
        match source:
            case ir.OutputRef():
                return list(outputs.get(source.node, {}).get(source.output, []))
            case ir.LatestBlessed():
                found = self.store.latest_blessed(
                    self.run.pipeline, source.node, source.output, before=self.run.date
                )
                return [found] if found else []
            case ir.Window():
                return self._window(source, outputs)

    def _window(
        self, source: ir.Window, outputs: Mapping[str, Mapping[str, list[Artifact]]]
    ) -> list[Artifact]:
        present = list(outputs.get(source.node, {}).get(source.output, []))
        spans = [int(a.properties["span"]) for a in present if "span" in a.properties]
        if not spans:
            raise ResolutionError(
                f"{source.node}.outputs.{source.output} has no span, so it has no window",
                hint="read it with a {YYYY}-{MM}-{DD} or {SPAN} pattern",
            )
        if source.spans == 1:
            return present
        earlier = self.store.get_window(
            self.run.pipeline,
            source.node,
            source.output,
            spans=source.spans - 1,
            until=max(spans),
            passed=source.passed,
        )
        return [*earlier, *present]

    def _value(self, value: ir.Value, outputs: Mapping[str, Mapping[str, list[Artifact]]]) -> Any:
        match value:
            case ir.Literal():
                return value.value
            case ir.ParameterRef():
                return self.run.parameters[value.name]
            case ir.RunField():
                return self._run_field(value.name)
            case ir.Environment():
                return _environment(value)
            case ir.Function():
                return FunctionRef(value.ref)
            case ir.OutputValue():
                artifact = _one(outputs, value.node, value.output)
                return read_value(artifact.type, local_path(artifact.uri))
            case ir.OutputProperty():
                return _property(_one(outputs, value.node, value.output), value.property)
            case ir.Concat():
                return "".join(str(self._value(part, outputs)) for part in value.parts)
            case ir.Array():
                return [self._value(item, outputs) for item in value.items]
            case ir.Object():
                return {key: self._value(item, outputs) for key, item in value.items.items()}
            case ir.Files():
                return self._files(value, outputs)

    def _files(self, value: ir.Files, outputs: Mapping[str, Mapping[str, list[Artifact]]]) -> FileSet:
        date = None if value.date is None else self._value(value.date, outputs)
        span = None if value.span is None else self._value(value.span, outputs)
        pattern = self._value(value.pattern, outputs)
        return resolve_files(pattern, date=date, span=span, window=value.window, base=self.workdir)

    def _run_field(self, name: str) -> str:
        if name == "date" and not self.run.date:
            raise ResolutionError("the run has no date", hint="pass --date YYYY-MM-DD when you start it")
        return str(getattr(self.run, name))


def _environment(value: ir.Environment) -> str:
    found = os.environ.get(value.name, value.default)
    if found is None:
        raise ResolutionError(f"the environment variable {value.name} is not set")
    return found


def _one(outputs: Mapping[str, Mapping[str, list[Artifact]]], node: str, output: str) -> Artifact:
    found = outputs.get(node, {}).get(output, [])
    if len(found) != 1:
        raise ResolutionError(f"{node}.outputs.{output} holds {len(found)} artifacts, expected one")
    return found[0]


def _property(artifact: Artifact, name: str) -> Any:
    if name == "uri":
        return artifact.uri
    known = {**artifact.properties, **artifact.custom_properties}
    if name not in known:
        raise ResolutionError(f"the {artifact.type} at {artifact.uri} has no property {name!r}")
    return known[name]


def spelled(value: Any) -> Any:
    """A resolved parameter as the order spells it; see `Order.parameters`."""
    match value:
        case FunctionRef():
            return {"$function": value.ref}
        case FileSet():
            return {"$files": value.to_json()}
        case list():
            return [spelled(item) for item in value]
        case dict() if any(key.startswith("$") for key in value):
            return {"$plain": value}
        case dict():
            return {key: spelled(item) for key, item in value.items()}
        case bytes():
            raise TidemillError("bytes cannot be passed as a parameter; take the Bytes artifact as an input")
    return value


def noted(value: Any) -> PropertyValue:
    """A resolved parameter as the record of an execution keeps it."""
    return value if isinstance(value, (int, float, str)) else json.dumps(spelled(value))
