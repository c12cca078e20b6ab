"""One node of the definition -> its NodeIR: types, code, options, and where its values come from.

With compile.py the only file of the definition language that knows the IR.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tidemill.dsl import live_code
from tidemill.dsl import options as node_options
from tidemill.dsl.channel import Channel, Outputs, channel_parts
from tidemill.dsl.code import digest_of, module_of
from tidemill.dsl.component import Component
from tidemill.dsl.control import Item, LoopChannel, item_parts
from tidemill.dsl.environment import Container, Environment, VirtualEnv
from tidemill.dsl.node import Node
from tidemill.dsl.pipeline import Pipeline, conditions_of, loops_of, options_of
from tidemill.dsl.placeholder import (
    ArtifactProperty,
    Combination,
    Comparison,
    Condition,
    EnvironmentVariable,
    Placeholder,
    RunFact,
    RuntimeParameter,
    SourceFiles,
    split_text,
)
from tidemill.dsl.resolver import Collected, Earlier, FirstOf, LatestBlessed, RollingWindow
from tidemill.dsl.retry import Retry, name_of
from tidemill.errors import Problem
from tidemill.ir import model
from tidemill.types.artifact import PROPERTY_TYPES, Artifact
from tidemill.types.size import bytes_of


class NodeCompiler:
    """Compiles the nodes of one pipeline, collecting problems, artifact types and code digests."""

    def __init__(self, pipeline: Pipeline, problems: list[Problem], *, live: bool = False) -> None:
        self.pipeline = pipeline
        self.live = live
        """Whether the run takes place in this very process, so that code in no file is welcome."""
        self.problems = problems
        self.types: dict[str, type[Artifact]] = {}
        self.code: dict[str, str] = {}

    def compile(self, node: Node[Any]) -> model.NodeIR:
        """The IR of a node."""
        signature = node.component.signature
        inputs = tuple(
            model.InputIR(
                name=name,
                type=self._type(spec.type, node),
                sources=tuple(self._source(item, node) for item in node.bound.get(name, [])),
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
        made = node.component.kind != "component"
        options = self._options(node)
        ir = model.NodeIR(
            id=node.id,
            component=node.component.name,
            executor="" if made else self._executor(node),
            kind=node.component.kind,
            inputs=inputs,
            outputs=outputs,
            parameters=parameters,
            when=self._when(node),
            trigger=options_of(node, self.pipeline).trigger,
            loops=tuple(loop.head.id for loop in loops_of(node) if loop.head is not None),
            loop=model.LoopIR(parallelism=node.loop.parallelism, limit=node.loop.limit)
            if node.loop
            else None,
            on_exit=node.on_exit,
            effects=node.component.effects,
            options=options,
        )
        after = sorted({u.id for u in node.order_after} - set(ir.upstream()))
        return dataclasses.replace(ir, after=tuple(after))

    def _type(self, artifact: type[Artifact], node: Node[Any]) -> str:
        known = self.types.setdefault(artifact.TYPE_NAME, artifact)
        if known is not artifact and artifact_type(known) != artifact_type(artifact):
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
        elif module_of(function) == "__main__" and self.live:
            self.code[f"__main__:{name}"] = live_code.digest_of(function)
            if not live_code.is_current(function):
                why, hint = "was defined anew since this node was made", "make the node again, too"
        elif module_of(function) == "__main__":
            why, hint = "is not defined in a file", "put it into a module: workers import it by name"
        ref = f"{'' if why else module_of(function)}:{name}"
        try:
            if not why and ref not in self.code:
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
        options = options_of(node, self.pipeline)
        if node_options.problems_of(options):
            return model.OptionsIR()  # already reported
        resources, seconds = options.resources, node_options.seconds
        return model.OptionsIR(
            retries=options.retries,
            backoff=seconds(options.backoff),
            retry=_retry(options.retry),
            timeout=seconds(options.timeout),
            queue_timeout=seconds(options.queue_timeout),
            start_timeout=seconds(options.start_timeout),
            total_timeout=seconds(options.total_timeout),
            heartbeat=seconds(options.heartbeat),
            log_limit=bytes_of(options.log_limit),
            resources=model.ResourcesIR(
                cpu=float(resources.cpu),
                memory=bytes_of(resources.memory),
                gpu=resources.gpu,
                memory_max=bytes_of(resources.memory_max),
            ),
            cache=options.cache,
            cache_max_age=seconds(options.cache_max_age),
            owner=options.owner,
            labels=dict(options.labels),
            pool=options.pool,
            slots=options.slots,
            priority=options.priority,
            environment=_environment(options.environment),
            isolation=options.isolation,
        )

    # --- values -----------------------------------------------------------------------------------

    def _when(self, node: Node[Any]) -> model.Value | None:
        """All that must hold of the conditions around a node."""
        parts = [part for block in conditions_of(node) for part in block.parts]
        found = tuple(self._condition(part, node) for part in parts)
        return None if not found else found[0] if len(found) == 1 else model.AllOf(found)

    def _condition(self, value: Any, node: Node[Any]) -> model.Value:
        match value:
            case Combination(how="not", parts=(part,)):
                return model.Not(self._condition(part, node))
            case Combination(how=how, parts=parts):
                found = tuple(self._condition(part, node) for part in parts)
                return model.AllOf(found) if how == "all" else model.AnyOf(found)
            case Comparison():
                self._check_comparable(value, node)
                return model.Compare(value.op, self._value(value.left, node), self._value(value.right, node))
            case Placeholder() if value.kind() in (bool, None):
                return model.Compare("==", self._value(value, node), model.Literal(True))
        what = value.describe() if isinstance(value, Placeholder) else repr(value)
        hint = "compare an output's property or value, a parameter or a fact of the run with something"
        self.problems.append(Problem(f"{node.id}: {what} is not a condition", node.where, hint))
        return model.Literal(False)

    def _check_comparable(self, value: Comparison, node: Node[Any]) -> None:
        kinds: list[type | None] = []
        for side in (value.left, value.right):
            kind = side.kind() if isinstance(side, Placeholder) else type(side)
            if kind is not None and not issubclass(kind, (int, float, str, bool, type(None))):
                name = kind.TYPE_NAME if issubclass(kind, Artifact) else kind.__name__
                shown = side.describe() if isinstance(side, Placeholder) else repr(side)
                hint = "compare one of its properties" if issubclass(kind, Artifact) else ""
                what = f"{node.id}: condition: {shown} is {name}, which cannot be compared"
                self.problems.append(Problem(what, node.where, hint))
                return
            kinds.append(float if kind in (int, float, bool) else kind)
        left, right = kinds
        if None not in kinds and type(None) not in kinds and left is not right:
            what = f"{node.id}: condition {value.describe()} compares a text with a number"
            self.problems.append(Problem(what, node.where))

    def _source(self, item: Any, node: Node[Any]) -> model.Source:
        match item:
            case LatestBlessed():
                return model.LatestBlessed(*_output(item.channel))
            case RollingWindow():
                passed = item.passed.id if isinstance(item.passed, Node) else ""
                return model.Window(*_output(item.channel), item.spans, passed)
            case Collected():
                return model.Collected(*_output(item.channel))
            case FirstOf(members=members):
                return model.FirstOf(tuple(self._source(member, node) for member in members))
            case Earlier():
                return self._earlier(item, node)
            case Artifact():
                return model.Stored(item.id, item.uri)
            case LoopChannel():
                return model.LoopArtifact(_output(item)[0])
        return model.OutputRef(*_output(item))

    def _earlier(self, item: Earlier, node: Node[Any]) -> model.Earlier:
        at, output = _output(item.channel)
        return model.Earlier(
            node=at,
            output=output,
            pipeline=item.pipeline,
            limit=item.limit,
            properties={name: self._value(value, node) for name, value in item.properties.items()},
            spans=tuple(self._value(value, node) for value in item.spans),
            complete=item.complete,
            choose="" if item.choose is None else self._function(item.choose, node),
        )

    def _value(self, value: Any, node: Node[Any]) -> model.Value:
        match value:
            case LoopChannel():
                what = f"{node.id}: an artifact of a loop is an input, not a parameter's value"
                if not node.problems:  # the node may have said it in its own words
                    self.problems.append(Problem(what, node.where))
                return model.Literal(None)
            case Channel():
                return model.OutputValue(*_output(value))
            case Item():
                head, path = item_parts(value)
                return model.LoopItem(head.id, path)
            case Collected():
                return model.CollectedValues(*_output(value.channel))
            case FirstOf(members=members):
                return model.FirstValue(tuple(self._value(member, node) for member in members))
            case Condition():
                return self._condition(value, node)
            case ArtifactProperty():
                return model.OutputProperty(*_output(value.channel), value.name)
            case RuntimeParameter():
                return self._parameter_ref(value, node)
            case RunFact():
                if value.name in ("state", "failures") and not node.on_exit:
                    what = f"{node.id}: {value.describe()} is known when all other nodes have ended"
                    self.problems.append(Problem(what, node.where, "make it an exit node: on_exit(node)"))
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

        everything = value.window is None and value.since is not None
        window = 0 if everything else 1 if value.window is None else value.window
        return model.Files(
            self._value(value.pattern, node), optional(value.date), optional(value.span), window,
            value.skip, optional(value.since),
        )  # fmt: skip


def _environment(wanted: Environment | None) -> model.EnvironmentIR | None:
    match wanted:
        case VirtualEnv():
            requirements = tuple(sorted({" ".join(text.split()) for text in wanted.requirements}))
            return model.EnvironmentIR(requirements=requirements, python=wanted.python)
        case Container():
            return model.EnvironmentIR(
                image=wanted.image,
                python=wanted.python,
                env=tuple(sorted(set(wanted.env))),
                mounts=tuple(sorted(set(wanted.mounts))),
            )
    return None


def _retry(retry: Retry | None) -> model.RetryIR | None:
    if retry is None:
        return None
    return model.RetryIR(
        user=retry.user,
        transient=retry.transient,
        timeout=retry.timeout,
        memory=retry.memory,
        infrastructure=retry.infrastructure,
        backoff=node_options.seconds(retry.backoff),
        factor=float(retry.factor),
        cap=node_options.seconds(retry.cap),
        rules=tuple(
            model.RuleIR(
                exception=rule.exception,
                match=rule.match,
                treat=rule.treat,
                backoff=-1.0 if rule.backoff is None else node_options.seconds(rule.backoff),
            )
            for rule in retry.rules
        ),
        no_retry_on=tuple(name_of(exception) for exception in retry.no_retry_on),
    )


def _output(channel: Any) -> tuple[str, str]:
    if not isinstance(channel, Channel):
        return "", ""  # a wrong argument, already reported by the node
    node, output, _ = channel_parts(channel)
    return node.id, output


def artifact_type(artifact: type[Artifact]) -> model.ArtifactTypeIR:
    """The IR of an artifact type."""
    declared = artifact.declared_properties()
    return model.ArtifactTypeIR(
        name=artifact.TYPE_NAME,
        python=f"{module_of(artifact)}:{artifact.__qualname__}",
        base_type=artifact.BASE_TYPE,
        properties={n: PROPERTY_TYPES[p.python_type] for n, p in sorted(declared.items()) if not p.custom},
    )
