"""dsl -> IR. The only file of the definition language that knows the IR.

Every mistake of a pipeline is found before anything is raised: one DefinitionError lists them all.
"""

from __future__ import annotations

import dataclasses
import heapq
import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any

from tidemill.dsl import options as node_options
from tidemill.dsl import schedule as schedules
from tidemill.dsl.channel import Channel, Outputs, channel_parts
from tidemill.dsl.code import digest_of, files_of, module_of
from tidemill.dsl.component import Component
from tidemill.dsl.node import Node
from tidemill.dsl.options import NodeOptions
from tidemill.dsl.pipeline import Pipeline, waits_for
from tidemill.dsl.placeholder import (
    ArtifactProperty,
    EnvironmentVariable,
    Placeholder,
    RunFact,
    RuntimeParameter,
    SourceFiles,
    split_text,
)
from tidemill.dsl.resolver import LatestBlessed, RollingWindow
from tidemill.errors import DefinitionError, Problem
from tidemill.ir import codec, model
from tidemill.types.artifact import PROPERTY_TYPES, Artifact
from tidemill.types.json import canonical

_NODE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
_PIPELINE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")


def compile_pipeline(pipeline: Pipeline) -> model.PipelineIR:
    """The IR of a pipeline; DefinitionError with every problem found."""
    return _Compiler(pipeline).compile()


def compile_to_json(pipeline: Pipeline) -> dict[str, Any]:
    """The IR of a pipeline as plain JSON data, to hand to another process."""
    return codec.encode(compile_pipeline(pipeline))


def code_digests(refs: Iterable[str]) -> dict[str, str]:
    """Digest of the code behind each `module:qualname` as it is now, without those that are not found."""
    found = {}
    for ref in refs:
        with suppress(LookupError, SyntaxError, ValueError):
            found[ref] = digest_of(ref)
    return found


def code_files(ref: str) -> dict[str, Path]:
    """The source files of that code, by module; none when it is not found."""
    try:
        return files_of(ref)
    except (LookupError, SyntaxError, ValueError):
        return {}


class _Compiler:
    """Compiles one pipeline, collecting problems, artifact types and code digests on the way."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.problems: list[Problem] = []
        self.types: dict[str, type[Artifact]] = {}
        self.code: dict[str, str] = {}

    def compile(self) -> model.PipelineIR:
        nodes = self._collect()
        self._check_pipelines(nodes)
        self._check_nodes(nodes)
        ordered = self._order(nodes)
        compiled = tuple(self._node(node) for node in ordered)
        if self.problems:
            unique = dict.fromkeys(self.problems)
            raise DefinitionError.of(f"pipeline {self.pipeline.name!r}", unique)
        return model.PipelineIR(
            name=self.pipeline.name,
            description=self.pipeline.description,
            nodes=compiled,
            parameters=tuple(_parameter(p) for p in self.pipeline.parameters),
            artifact_types=tuple(_artifact_type(self.types[n]) for n in sorted(self.types)),
            code=dict(sorted(self.code.items())),
            schedule=_schedule(self.pipeline.schedule),
        )

    def _collect(self) -> list[Node[Any]]:
        nodes = self.pipeline.collect()
        self.problems.extend(self.pipeline.problems)
        if not nodes and not self.problems:
            hint = "call components inside the pipeline function, or pass nodes=[...]"
            self.problems.append(Problem("the pipeline has no nodes", self.pipeline.where, hint))
        return nodes

    # --- checks -----------------------------------------------------------------------------------

    def _check_pipelines(self, nodes: list[Node[Any]]) -> None:
        where = self.pipeline.where
        for pipeline in dict.fromkeys([self.pipeline, *(p for node in nodes for p in node.within)]):
            if not _PIPELINE_NAME.fullmatch(pipeline.name):
                hint = "use letters, digits, _ . and -, and start with a letter"
                self.problems.append(Problem(f"bad pipeline name {pipeline.name!r}", pipeline.where, hint))
            for what in node_options.problems_of(pipeline.options or NodeOptions()):
                self.problems.append(Problem(f"options: {what}", pipeline.where))
        if self.pipeline.schedule is not None:
            found = schedules.problems_of(self.pipeline.schedule)
            self.problems.extend(Problem(what, where) for what in found)

    def _check_nodes(self, nodes: list[Node[Any]]) -> None:
        first: dict[str, Node[Any]] = {}
        for node in nodes:
            self.problems.extend(node.component.signature.problems)
            for found in node.problems:
                self.problems.append(dataclasses.replace(found, what=f"{node.id}: {found.what}"))
            if not _NODE_NAME.fullmatch(node.name):
                hint = "use letters, digits, _ and -, and start with a letter"
                self.problems.append(Problem(f"bad node name {node.name!r}", node.where, hint))
            if node.id in first:
                what = f"duplicate node {node.id!r}; the other one is at {first[node.id].where}"
                hint = f'name one of them: {node.component.name}(...).with_id("{node.name}_2")'
                self.problems.append(Problem(what, node.where, hint))
            first.setdefault(node.id, node)
            for what in node_options.problems_of(node.node_options or NodeOptions()):
                self.problems.append(Problem(f"{node.id}: {what}", node.where))

    def _order(self, nodes: list[Node[Any]]) -> list[Node[Any]]:
        """Nodes so that each follows what it needs, otherwise in order of definition."""
        position = {id(node): i for i, node in enumerate(nodes)}
        needs = {i: {position[id(u)] for u in waits_for(node)} for i, node in enumerate(nodes)}
        ready = [i for i, upstream in needs.items() if not upstream]
        heapq.heapify(ready)
        users: dict[int, list[int]] = {}
        for i, upstream in needs.items():
            for u in upstream:
                users.setdefault(u, []).append(i)
        ordered = []
        while ready:
            done = heapq.heappop(ready)
            ordered.append(nodes[done])
            for i in users.get(done, ()):
                needs[i].discard(done)
                if not needs[i]:
                    heapq.heappush(ready, i)
        left = {i: upstream for i, upstream in needs.items() if upstream}
        if left:
            cycle = _cycle(left)
            names = " >> ".join(nodes[i].id for i in [*cycle, cycle[0]])
            hint = "remove one of these dependencies; a node cannot wait for itself"
            self.problems.append(Problem(f"cycle: {names}", nodes[cycle[0]].where, hint))
        return ordered if not left else nodes

    # --- nodes ------------------------------------------------------------------------------------

    def _node(self, node: Node[Any]) -> model.NodeIR:
        signature = node.component.signature
        inputs = tuple(
            model.InputIR(
                name=name,
                type=self._type(spec.type, node),
                sources=tuple(self._source(item) for item in node.bound.get(name, [])),
                many=spec.many,
                optional=spec.optional,
            )
            for name, spec in signature.inputs.items()
        )
        outputs = tuple(
            model.OutputIR(name=name, type=self._type(spec.type, node), returned=spec.returned)
            for name, spec in signature.outputs.items()
        )
        parameters = {n: self._value(node.bound.get(n), node) for n in signature.parameters}
        ir = model.NodeIR(
            id=node.id,
            component=node.component.name,
            executor=self._executor(node),
            inputs=inputs,
            outputs=outputs,
            parameters=parameters,
            options=self._options(node),
            effects=node.component.effects,
        )
        after = sorted({u.id for u in node.order_after} - set(ir.upstream()))
        return dataclasses.replace(ir, after=tuple(after))

    def _type(self, artifact: type[Artifact], node: Node[Any]) -> str:
        known = self.types.setdefault(artifact.TYPE_NAME, artifact)
        if known is not artifact and _artifact_type(known) != _artifact_type(artifact):
            what = f"two different artifact types are named {artifact.TYPE_NAME!r}: {known} and {artifact}"
            self.problems.append(Problem(what, node.where, "set TYPE_NAME on one of them"))
        return artifact.TYPE_NAME

    def _executor(self, node: Node[Any]) -> str:
        component = node.component
        declared = component.signature.outputs_class
        if not (component.executor or component.signature.problems or declared is Outputs):
            what = f"component {component.name}: returns {declared.__name__}, but names no executor"
            hint = "write @component(executor='module:function'), or take outputs as Output[...] arguments"
            self.problems.append(Problem(what, component.where, hint))
        if not component.executor:
            return self._function(component.function, node)
        try:
            self._add_code(component.executor)
        except LookupError as error:
            what = f"component {component.name}: the executor {component.executor!r} cannot be found: "
            hint = "write executor='package.module:function'"
            self.problems.append(Problem(what + error.args[0], component.where, hint))
        return component.executor

    def _function(self, function: Callable[..., Any], node: Node[Any]) -> str:
        """A reference to a function that workers can import."""
        name = getattr(function, "__qualname__", "")
        hint = "move it to the top level of its module: workers import it by name"
        why = ""
        if not name or inspect.ismethod(function):
            name, why = repr(function), "has no name that a worker can import"
        elif "<" in name:
            why = "is defined inside a function or is a lambda"
        elif module_of(function) == "__main__":
            why, hint = "is not defined in a file", "put it into a module: workers import it by name"
        ref = f"{'' if why else module_of(function)}:{name}"
        try:
            if not why:
                self._add_code(ref)
        except LookupError as error:
            why = f"cannot be imported from {module_of(function)}: {error.args[0]}"
        if why:
            self.problems.append(Problem(f"{node.id}: {name!r} {why}", node.where, hint))
        return ref

    def _add_code(self, ref: str) -> None:
        if ref not in self.code:
            self.code[ref] = digest_of(ref)

    def _options(self, node: Node[Any]) -> model.OptionsIR:
        around = next((p for p in reversed(node.within) if p.options is not None), self.pipeline)
        options = node.node_options or around.options or NodeOptions()
        if node_options.problems_of(options):
            return model.OptionsIR()  # already reported
        memory = node_options.bytes_of(options.resources.memory)
        return model.OptionsIR(
            retries=options.retries,
            backoff=node_options.seconds(options.backoff),
            timeout=node_options.seconds(options.timeout),
            resources=model.ResourcesIR(
                cpu=float(options.resources.cpu), memory=memory, gpu=options.resources.gpu
            ),
            cache=options.cache,
            cache_max_age=node_options.seconds(options.cache_max_age),
            owner=options.owner,
            labels=dict(options.labels),
        )

    # --- values -----------------------------------------------------------------------------------

    def _source(self, item: Any) -> model.Source:
        match item:
            case LatestBlessed():
                return model.LatestBlessed(*_output(item.channel))
            case RollingWindow():
                passed = item.passed.id if isinstance(item.passed, Node) else ""
                return model.Window(*_output(item.channel), item.spans, passed)
        return model.OutputRef(*_output(item))

    def _value(self, value: Any, node: Node[Any]) -> model.Value:
        match value:
            case Channel():
                return model.OutputValue(*_output(value))
            case ArtifactProperty():
                return model.OutputProperty(*_output(value.channel), value.name)
            case RuntimeParameter():
                return self._parameter_ref(value, node)
            case RunFact():
                return model.RunField(value.name)
            case EnvironmentVariable():
                return model.Environment(value.name, value.default)
            case SourceFiles():
                return self._files(value, node)
            case str():
                parts = [p if isinstance(p, str) else self._value(p, node) for p in split_text(value)]
                if any(not isinstance(p, str) for p in parts):
                    return model.Concat(tuple(model.Literal(p) if isinstance(p, str) else p for p in parts))
                return model.Literal(value)
            case list() | tuple():
                items = tuple(self._value(item, node) for item in value)
                plain = [item.value for item in items if isinstance(item, model.Literal)]
                return model.Literal(plain) if len(plain) == len(items) else model.Array(items)
            case Mapping():
                entries = {str(key): self._value(item, node) for key, item in value.items()}
                known = {key: item.value for key, item in entries.items() if isinstance(item, model.Literal)}
                return model.Literal(known) if len(known) == len(entries) else model.Object(entries)
        if callable(value) and not isinstance(value, Placeholder):
            return model.Function(
                self._function(value.function if isinstance(value, Component) else value, node)
            )
        return model.Literal(value)

    def _parameter_ref(self, value: RuntimeParameter, node: Node[Any]) -> model.ParameterRef:
        if all(p is not value for p in self.pipeline.parameters):
            what = f"{node.id}: runtime parameter {value.name!r} belongs to another pipeline"
            hint = "call that pipeline inside a pipeline function, with a value for the parameter"
            self.problems.append(Problem(what, node.where, hint))
        return model.ParameterRef(value.name)

    def _files(self, value: SourceFiles, node: Node[Any]) -> model.Files:
        def optional(part: Any) -> model.Value | None:
            return None if part is None else self._value(part, node)

        return model.Files(
            self._value(value.pattern, node), optional(value.date), optional(value.span), value.window
        )


def _cycle(needs: dict[int, set[int]]) -> list[int]:
    """One cycle among nodes that all wait for each other, in running order, smallest index first."""
    path: list[int] = []
    at = min(needs)
    while at not in path:
        path.append(at)
        at = min(needs[at] & needs.keys())
    cycle = path[path.index(at) :][::-1]
    start = cycle.index(min(cycle))
    return cycle[start:] + cycle[:start]


def _output(channel: Any) -> tuple[str, str]:
    if not isinstance(channel, Channel):
        return "", ""  # a wrong argument, already reported by the node
    node, output, _ = channel_parts(channel)
    return node.id, output


def _parameter(p: RuntimeParameter) -> model.ParameterIR:
    default = json.loads(canonical(p.default))  # tuples and the like as JSON has them
    return model.ParameterIR(name=p.name, type=p.type, required=p.required, default=default)


def _artifact_type(artifact: type[Artifact]) -> model.ArtifactTypeIR:
    declared = artifact.declared_properties()
    return model.ArtifactTypeIR(
        name=artifact.TYPE_NAME,
        python=f"{artifact.__module__}:{artifact.__qualname__}",
        base_type=artifact.BASE_TYPE,
        properties={n: PROPERTY_TYPES[p.python_type] for n, p in sorted(declared.items()) if not p.custom},
    )


def _schedule(schedule: schedules.Schedule | None) -> model.ScheduleIR | None:
    if schedule is None:
        return None
    start = schedule.start or ""
    if isinstance(start, str):
        start = date.fromisoformat(start) if start else ""
    elif isinstance(start, datetime):
        start = start.date()
    return model.ScheduleIR(
        cron=schedule.cron,
        start=str(start),
        timezone=schedule.timezone,
        catch_up=schedule.catch_up,
    )
