"""Nodes: uses of a component in a pipeline, with what was passed to them.

A node never raises for a mistake in the definition. It notes the problem with its place in the
user's file, so that `compile` can report all of them together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from tidemill.dsl.channel import Channel, Outputs, channel_parts
from tidemill.dsl.location import caller
from tidemill.dsl.options import NodeOptions
from tidemill.dsl.placeholder import Placeholder, RuntimeParameter, SourceFiles, split_text
from tidemill.dsl.resolver import LatestBlessed, RollingWindow
from tidemill.dsl.signature import InputSpec, ParameterSpec, mismatch
from tidemill.errors import Problem, did_you_mean
from tidemill.types.artifact import Artifact, ValueArtifact
from tidemill.types.source import FileSet

if TYPE_CHECKING:
    from tidemill.dsl.component import Component

R = TypeVar("R")

collecting: ContextVar[list[Node[Any]] | None] = ContextVar("collecting", default=None)
"""The nodes of the pipeline function that is being called right now."""


class Node(Generic[R]):
    """One use of a component. Made by calling the component; `R` is the type of its outputs."""

    def __init__(
        self, component: Component[..., R], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        self.component = component
        self.name = component.name
        self.path: tuple[str, ...] = ()
        """Names of the sub-pipelines around the node, outermost first."""
        self.where = caller()
        self.problems: list[Problem] = []
        self.node_options: NodeOptions | None = None
        self.order_after: list[Node[Any]] = []
        self.bound: dict[str, Any] = {}
        """What was passed, by input or parameter name, with parameter defaults filled in."""
        self._bind(args, kwargs)
        nodes = collecting.get()
        if nodes is not None:
            nodes.append(self)

    @property
    def id(self) -> str:
        """Unique in the pipeline: sub-pipeline names and the node's own, with dots between."""
        return ".".join((*self.path, self.name))

    @property
    def outputs(self) -> R:
        """The outputs, by attribute or key, to pass to other components."""
        return cast("R", (self.component.outputs_class or Outputs).of(self))

    def with_id(self, name: str) -> Self:
        """Name the node. Needed when a component is used twice in one pipeline."""
        self.name = name
        return self

    def with_options(self, options: NodeOptions | None = None, **fields: Any) -> Self:
        """Set how the node is run: a `NodeOptions`, or its fields as keywords."""
        known = [f.name for f in dataclasses.fields(NodeOptions)]
        for name in [f for f in fields if f not in known]:
            self._problem(f"unknown option {name!r}", did_you_mean(name, known), where=caller())
            del fields[name]
        self.node_options = dataclasses.replace(options or self.node_options or NodeOptions(), **fields)
        return self

    def __rshift__(self, other: Any) -> Any:
        """`a >> b`: b runs after a succeeded. `a >> [b, c]` and `[a, b] >> c` work too."""
        for node in other if isinstance(other, (list, tuple)) else [other]:
            node.order_after.append(self)
        return other

    def __rrshift__(self, others: Iterable[Node[Any]]) -> Self:
        self.order_after.extend(others)
        return self

    def __repr__(self) -> str:
        return f"<node {self.id}>"

    # --- binding ----------------------------------------------------------------------------------

    def _problem(self, what: str, hint: str = "", *, where: str = "") -> None:
        self.problems.append(Problem(f"{self.id}: {what}", where or self.where, hint))

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        signature = self.component.signature
        order = signature.order
        if len(args) > len(order):
            self._problem(f"{len(args)} positional arguments, but it takes {len(order)}: {', '.join(order)}")
        given = dict(zip(order, args, strict=False))
        for name, value in kwargs.items():
            if name in given:
                self._problem(f"{name!r} is passed twice")
            elif name in signature.outputs:
                self._problem(f"{name!r} is an output; the launcher passes it", "leave it out of the call")
            elif name not in order:
                kind = "input" if isinstance(value, Channel) else "input or parameter"
                self._problem(f"unknown {kind} {name!r}", did_you_mean(name, order))
            else:
                given[name] = value
        for name, inp in signature.inputs.items():
            self._bind_input(name, inp, given.get(name))
        for name, parameter in signature.parameters.items():
            if name in given:
                self._bind_parameter(name, parameter, given[name])
            elif parameter.required:
                self._problem(f"missing parameter {name!r}", f"pass {name}=...")
            else:
                self.bound[name] = parameter.default

    def _bind_input(self, name: str, spec: InputSpec, value: Any) -> None:
        if value is None:
            if not spec.optional:
                self._problem(f"missing input {name!r} ({spec.type.TYPE_NAME})", f"pass {name}=...")
            return
        items = list(value) if isinstance(value, (list, tuple)) else [value]
        if len(items) > 1 and not spec.many:
            self._problem(f"input {name!r} takes one {spec.type.TYPE_NAME}, got {len(items)}")
        for item in items:
            if isinstance(item, RollingWindow) and not spec.many:
                self._problem(
                    f"input {name!r} takes one {spec.type.TYPE_NAME}, a window holds several",
                    f"declare it as Input[list[{spec.type.TYPE_NAME}]]",
                )
            channel = item.channel if isinstance(item, LatestBlessed | RollingWindow) else item
            self._check_channel(name, spec, channel)
        self.bound[name] = items

    def _check_channel(self, name: str, spec: InputSpec, channel: Any) -> None:
        wanted = spec.type.TYPE_NAME
        if isinstance(channel, Node):
            outputs = list(channel.component.signature.outputs)
            self._problem(
                f"input {name!r} takes an output, got the node {channel.id}",
                f"write {channel.name}.outputs.{outputs[0] if len(outputs) == 1 else '<output>'}",
            )
        elif not isinstance(channel, Channel):
            self._problem(f"input {name!r} takes an output of type {wanted}, got {_shown(channel)}")
        else:
            _, _, found = channel_parts(channel)
            if found is not Artifact and not issubclass(found, spec.type):
                self._problem(
                    f"input {name!r} takes {wanted}, but {channel.describe()} is {found.TYPE_NAME}",
                    _suggest_output(channel, spec),
                )

    def _bind_parameter(self, name: str, spec: ParameterSpec, value: Any) -> None:
        self.bound[name] = value
        why = _placeholder_mismatch(value, spec.annotation)
        if why is None:
            why = mismatch(value, spec.annotation)
        if why:
            self._problem(f"parameter {name!r}: {why}")


def _placeholder_mismatch(value: Any, annotation: Any) -> str | None:
    """Why a placeholder does not fit; empty when it does; None when `value` is no placeholder."""
    if isinstance(value, str) and any(isinstance(p, Placeholder) for p in split_text(value)):
        return mismatch("", annotation)
    if isinstance(value, Node):
        return f"expected a value, got the node {value.id}; write {value.name}.outputs.result"
    if not isinstance(value, Placeholder):
        return None
    if isinstance(value, Channel):
        _, _, found = channel_parts(value)
        if not issubclass(found, ValueArtifact):
            return f"{value.describe()} is {found.TYPE_NAME}, which holds no plain value"
        sample: Any = found.VALUE_TYPE
    elif isinstance(value, RuntimeParameter):
        sample = {"int": int, "float": float, "str": str, "bool": bool}.get(value.type, object)
    elif isinstance(value, SourceFiles):
        return "" if annotation is FileSet else f"files(...) is a FileSet, expected {annotation}"
    else:
        sample = str if not hasattr(value, "channel") else object
    if sample is object:
        return ""
    why = mismatch(sample(), annotation)
    return f"{value.describe()} is a {sample.__name__}: {why.split(', got')[0]}" if why else ""


def _suggest_output(channel: Channel, spec: InputSpec) -> str:
    node, _, _ = channel_parts(channel)
    fitting = [n for n, o in node.component.signature.outputs.items() if issubclass(o.type, spec.type)]
    return f"did you mean {node.name}.outputs.{fitting[0]}?" if fitting else ""


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
