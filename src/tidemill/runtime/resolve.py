"""Resolving: what a node's inputs and parameters are, now that it is about to run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.errors import ResolutionError, TidemillError
from tidemill.ir import model as ir
from tidemill.metadata.model import Artifact, PropertyValue, Run
from tidemill.metadata.store import MetadataStore
from tidemill.runtime import conditions, watermark
from tidemill.runtime.decide import Skip
from tidemill.runtime.upstream import Before
from tidemill.runtime.values import read_value
from tidemill.storage import mirror
from tidemill.storage.pattern import resolve_files
from tidemill.types.source import FileSet, SourceFile

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


Chooser = Callable[[str, list[Artifact]], list[int]]
"""Runs a user's function, `module:qualname`, on artifacts; the ids of those that it returns."""


class Resolver:
    """Answers for one node of one run, given what became of the nodes before it."""

    def __init__(
        self, store: MetadataStore, run: Run, workdir: Path, before: Before, *,
        facts: Mapping[str, str] | None = None, chooser: Chooser | None = None,
    ) -> None:  # fmt: skip
        self.store = store
        self.run = run
        self.workdir = workdir
        self.before = before
        self.facts = facts or {}
        """What exit nodes may ask beyond the run's own fields: `state`, `failures`."""
        self.chooser = chooser
        self.node_id = ""

    def resolve(self, node: ir.NodeIR) -> Resolved:
        """Inputs and parameters of `node`; ResolutionError says which one has no value and why.

        Skip when it needs one of several outputs and none of them exists.
        """
        self.node_id = node.id
        inputs = {inp.name: self._input(node, inp) for inp in node.inputs}
        parameters = {}
        for name, value in node.parameters.items():
            try:
                parameters[name] = self.value(value)
            except ResolutionError as error:
                where = f"{node.id}, parameter {name!r}"
                raise ResolutionError(error.message, where=where, hint=error.hint) from error
        return Resolved(inputs=inputs, parameters=parameters)

    def check_condition(self, node: ir.NodeIR) -> None:
        """Go on when the node's condition holds or it has none; else Skip, saying what did not hold."""
        if node.when is not None and not self.value(node.when):
            raise Skip(f"condition: {conditions.why_not(node.when, self.value)}")

    # --- inputs -------------------------------------------------------------------------------------

    def _input(self, node: ir.NodeIR, inp: ir.InputIR) -> list[Artifact]:
        found = [a for source in inp.sources for a in self._source(source)]
        if not found and not inp.optional:
            if any(isinstance(source, ir.FirstOf) for source in inp.sources):
                raise Skip(f"input {inp.name!r}: none of its outputs exists")
            open_ended = inp.many and any(isinstance(s, ir.Collected | ir.Earlier) for s in inp.sources)
            if not open_ended:  # a list of what loops or earlier runs made may be empty
                raise ResolutionError(f"input {inp.name!r} has no artifact", where=node.id)
        if len(found) > 1 and not inp.many:
            raise ResolutionError(f"input {inp.name!r} takes one artifact, found {len(found)}", where=node.id)
        return found

    def _source(self, source: ir.Source) -> list[Artifact]:
        match source:
            case ir.OutputRef():
                return list(self.before.outputs(source.node).get(source.output, []))
            case ir.Collected():
                return self.before.collected(source.node, source.output)
            case ir.LoopArtifact():
                return self.store.get_artifacts_by_id([int(self.before.item(source.loop))])
            case ir.FirstOf():
                return next((found for s in source.sources if (found := self._source(s))), [])
            case ir.LatestBlessed():
                blessed = self.store.latest_blessed(
                    self.run.pipeline, source.node, source.output, before=self.run.date
                )
                return [blessed] if blessed else []
            case ir.Window():
                return self._window(source)
            case ir.Earlier():
                return self._earlier(source)
            case ir.Stored():
                return [self._stored(source)]

    def _stored(self, source: ir.Stored) -> Artifact:
        found = self.store.get_artifacts_by_id([source.id])
        if not found or found[0].uri != source.uri:
            raise ResolutionError(
                f"artifact {source.id} at {source.uri} is not in this record",
                hint="use the metadata store of the run that it comes from",
            )
        return found[0]

    def _window(self, source: ir.Window) -> list[Artifact]:
        present = list(self.before.outputs(source.node).get(source.output, []))
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

    def _earlier(self, source: ir.Earlier) -> list[Artifact]:
        spans = tuple(int(self.value(value)) for value in source.spans)
        found = self.store.find_outputs(
            source.pipeline or self.run.pipeline,
            source.node,
            source.output,
            but=self.run.id,
            before=self.run.date,
            complete=source.complete,
            properties={name: self.value(value) for name, value in source.properties.items()},
            spans=spans,
            limit=source.limit,
        )
        if spans:
            newest: dict[Any, Artifact] = {}
            for artifact in found:
                newest.setdefault(artifact.properties.get("span"), artifact)
            return [newest[span] for span in sorted(newest)]
        if not source.choose:
            return found
        if self.chooser is None:
            raise ResolutionError(f"{source.choose} chooses when the node runs")
        by_id = {artifact.id: artifact for artifact in found}
        return [by_id[i] for i in self.chooser(source.choose, found)]

    # --- values -------------------------------------------------------------------------------------

    def value(self, value: ir.Value) -> Any:
        """What a value is now."""
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
                return _plain(self._one(value.node, value.output))
            case ir.OutputProperty():
                return _property(self._one(value.node, value.output), value.property)
            case ir.CollectedValues():
                return [_plain(a) for a in self.before.collected(value.node, value.output)]
            case ir.LoopItem():
                return _part(self.before.item(value.loop), value)
            case ir.FirstValue():
                return self._first(value)
            case ir.Concat():
                return "".join(str(self.value(part)) for part in value.parts)
            case ir.Array():
                return [self.value(item) for item in value.items]
            case ir.Object():
                return {key: self.value(item) for key, item in value.items.items()}
            case ir.Files():
                return self._files(value)
            case ir.Compare() | ir.AllOf() | ir.AnyOf() | ir.Not():
                return conditions.holds(value, self.value)

    def _one(self, node: str, output: str) -> Artifact:
        found = self.before.outputs(node).get(output, [])
        if len(found) != 1:
            raise ResolutionError(f"{node}.outputs.{output} holds {len(found)} artifacts, expected one")
        return found[0]

    def _first(self, value: ir.FirstValue) -> Any:
        for member in value.values:
            if all(self.before.exists(node_id) for node_id in ir.nodes_in(member)):
                return self.value(member)
        raise Skip("none of the outputs that it takes one of exists")

    def _files(self, value: ir.Files) -> FileSet:
        date = None if value.date is None else self.value(value.date)
        span = None if value.span is None else self.value(value.span)
        since = None if value.since is None else self.value(value.since)
        return resolve_files(
            self.value(value.pattern), date=date, span=span, window=value.window, skip=value.skip,
            since=since, base=self.workdir, known=self._known_files,
        )  # fmt: skip

    def _known_files(self) -> Mapping[str, SourceFile]:
        return watermark.known_files(self.store, self.run.pipeline, self.node_id)

    def _run_field(self, name: str) -> str:
        if name == "date" and not self.run.date:
            raise ResolutionError("the run has no date", hint="pass --date YYYY-MM-DD when you start it")
        if name in ("state", "failures"):
            return self.facts.get(name, "")
        return str(getattr(self.run, name))


def _environment(value: ir.Environment) -> str:
    found = os.environ.get(value.name, value.default)
    if found is None:
        raise ResolutionError(f"the environment variable {value.name} is not set")
    return found


def _plain(artifact: Artifact) -> Any:
    return read_value(
        artifact.type, mirror.fetched(artifact.uri, str(artifact.custom_properties.get(DIGEST, "")))
    )


def _part(item: Any, value: ir.LoopItem) -> Any:
    """The part of a loop's item that a path of keys and indexes leads to."""
    for step in value.path:
        try:
            item = item[step]
        except (KeyError, IndexError, TypeError):
            raise ResolutionError(
                f"an item of {value.loop} has no {step!r}: {json.dumps(item)[:200]}",
                hint="the items of the loop differ; give each of them that part",
            ) from None
    return item


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
