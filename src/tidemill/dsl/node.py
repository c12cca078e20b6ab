"""Nodes: uses of a component in a pipeline, with what was passed to them.

A node never raises for a mistake in the definition. It notes the problem with its place in the
user's file, so that `compile` can report all of them together.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from tidemill.dsl.channel import Channel, channel_parts
from tidemill.dsl.fit import mismatch
from tidemill.dsl.location import caller
from tidemill.dsl.options import NodeOptions
from tidemill.dsl.placeholder import Placeholder
from tidemill.dsl.resolver import Collected, Earlier, FirstOf, LatestBlessed, RollingWindow
from tidemill.dsl.signature import InputSpec, ParameterSpec
from tidemill.errors import Problem, did_you_mean
from tidemill.types.artifact import Artifact
from tidemill.types.result import NodeView

if TYPE_CHECKING:
    from tidemill.dsl.component import Component
    from tidemill.dsl.control import ForEach
    from tidemill.dsl.pipeline import Pipeline

R = TypeVar("R")

collecting: ContextVar[list[Node[Any]] | None] = ContextVar("collecting", default=None)
"""The nodes of the pipeline function that is being called right now."""
enclosing: ContextVar[tuple[Any, ...]] = ContextVar("enclosing", default=())
"""The `When` and `ForEach` blocks around what is being defined right now, outermost first."""


class Node(Generic[R]):
    """One use of a component. Made by calling the component; `R` is the type of its outputs."""

    def __init__(
        self, component: Component[..., R], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        self.component = component
        self.name = component.name
        self.made_in: tuple[Pipeline, ...] = ()
        """Sub-pipelines whose functions were being called when the node was made, outermost first."""
        self.within: tuple[Pipeline, ...] = ()
        """All sub-pipelines around the node; set anew each time a pipeline collects its nodes."""
        self.where = caller()
        self.problems: list[Problem] = []
        """Without the node's id, which may yet change."""
        self.node_options: NodeOptions | None = None
        self.blocks = enclosing.get()
        """The blocks it stands in, outermost first."""
        self.loop: ForEach[Any] | None = None
        """The loop whose items this node finds."""
        self.on_exit = False
        """Whether it runs when all others have ended."""
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
        return ".".join((*(p.name for p in self.within), self.name))

    @property
    def outputs(self) -> R:
        """The outputs, by attribute or key, to pass to other components."""
        return cast("R", self.component.signature.outputs_class(self))

    def with_id(self, name: str) -> Self:
        """Name the node. Needed when a component is used twice in one pipeline."""
        self.name = name
        return self

    def with_options(self, options: NodeOptions | None = None, **fields: Any) -> Self:
        """Set how the node is run: a `NodeOptions`, or its fields as keywords."""
        known = [f.name for f in dataclasses.fields(NodeOptions)]
        for name in [f for f in fields if f not in known]:
            self.note(f"unknown option {name!r}", did_you_mean(name, known), where=caller())
            del fields[name]
        self.node_options = dataclasses.replace(options or self.node_options or NodeOptions(), **fields)
        return self

    def with_inputs(self, **inputs: Any) -> Self:
        """Give inputs that were left out, such as what this very node made in an earlier run.

        `transform.with_inputs(previous_cache=latest(transform.outputs.analyzer_cache))`
        """
        known = self.component.signature.inputs
        for name, value in inputs.items():
            if name not in known:
                self.note(f"unknown input {name!r}", did_you_mean(name, list(known)), where=caller())
            elif name in self.bound:
                self.note(f"input {name!r} has been given already", "give it once", where=caller())
            else:
                self._bind_input(name, known[name], value)
        return self

    def run(self, **settings: Any) -> NodeView:
        """Run this node, and those it takes from, now and here; see `Pipeline.run` for the settings."""
        runs = importlib.import_module("tidemill.interactive")
        return cast("NodeView", runs.run_node(self, settings))

    def __rshift__(self, other: Any) -> Any:
        """`a >> b`: b runs after a succeeded. `a >> [b, c]` and `[a, b] >> c` work too."""
        for node in self._nodes_in(other):
            node.order_after.append(self)
        return other

    def __rrshift__(self, others: Any) -> Self:
        self.order_after.extend(self._nodes_in(others))
        return self

    def _nodes_in(self, other: Any) -> list[Node[Any]]:
        items = list(other) if isinstance(other, (list, tuple)) else [other]
        for item in [item for item in items if not isinstance(item, Node)]:
            self.note(f">> takes nodes, got {_shown(item)}", "write a >> b, or a >> [b, c]", where=caller())
        return [item for item in items if isinstance(item, Node)]

    def __repr__(self) -> str:
        return f"<node {self.id}>"

    def note(self, what: str, hint: str = "", *, where: str = "") -> None:
        """Remember a mistake; it is at the node's own place unless `where` names another."""
        self.problems.append(Problem(what, where or self.where, hint))

    # --- binding ----------------------------------------------------------------------------------

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        signature = self.component.signature
        order = signature.order
        if signature.problems:  # reported in their place; what follows from them would only hide them
            self.bound = {**{str(i): value for i, value in enumerate(args)}, **kwargs}
            return
        if len(args) > len(order):
            self.note(f"{len(args)} positional arguments, but it takes {len(order)}: {', '.join(order)}")
        given = dict(zip(order, args, strict=False))
        for name, value in kwargs.items():
            if name in given:
                self.note(f"{name!r} is passed twice")
            elif name in signature.outputs:
                self.note(f"{name!r} is an output; the launcher passes it", "leave it out of the call")
            elif name not in order:
                kind = "input" if isinstance(value, Channel) else "input or parameter"
                self.note(f"unknown {kind} {name!r}", did_you_mean(name, order))
            else:
                given[name] = value
        for name, inp in signature.inputs.items():
            self._bind_input(name, inp, given.get(name))
        for name, parameter in signature.parameters.items():
            if name in given:
                self._bind_parameter(name, parameter, given[name])
            elif parameter.required:
                self.note(f"missing parameter {name!r}", f"pass {name}=...")
            else:
                self.bound[name] = parameter.default

    def _bind_input(self, name: str, spec: InputSpec, value: Any) -> None:
        items = [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]
        if not items and not spec.optional:
            self.note(f"missing input {name!r} ({spec.type.TYPE_NAME})", f"pass {name}=...")
        if len(items) > 1 and not spec.many:
            self.note(f"input {name!r} takes one {spec.type.TYPE_NAME}, got {len(items)}")
        for item in items:
            self._check_item(name, spec, item, alone=len(items) == 1)
        if items:
            self.bound[name] = items

    def _check_item(self, name: str, spec: InputSpec, item: Any, *, alone: bool) -> None:
        wanted = spec.type.TYPE_NAME
        match item:
            case FirstOf(members=members):
                for member in members:
                    self._check_item(name, spec, member, alone=False)
                return
            case RollingWindow():
                self._check_many(name, spec, "a window holds")
                self._check_window(name, item)
            case Collected():
                self._check_many(name, spec, "a collection holds")
            case Earlier(many=True):
                self._check_many(name, spec, "there may be")
            case LatestBlessed() | Earlier() if not spec.optional and alone:
                kind = "blessed " if isinstance(item, LatestBlessed) else "earlier "
                self.note(
                    f"input {name!r} is required, but there is no {kind}{wanted} in a first run",
                    f"declare it as Input[{wanted}] | None = None",
                )
        resolved = isinstance(item, LatestBlessed | RollingWindow | Collected | Earlier)
        self._check_channel(name, spec, item.channel if resolved else item)

    def _check_many(self, name: str, spec: InputSpec, holds: str) -> None:
        if not spec.many:
            self.note(
                f"input {name!r} takes one {spec.type.TYPE_NAME}, {holds} several",
                f"declare it as Input[list[{spec.type.TYPE_NAME}]]",
            )

    def _check_window(self, name: str, window: RollingWindow) -> None:
        spans: object = window.spans
        if type(spans) is not int or spans < 1:
            self.note(f"input {name!r}: a window of {spans!r} spans", "write spans=1 or more")
        passed: object = window.passed
        if passed is not None and not isinstance(passed, Node):
            self.note(f"input {name!r}: passed takes a node, got {_shown(passed)}")

    def _check_channel(self, name: str, spec: InputSpec, channel: Any) -> None:
        wanted = spec.type.TYPE_NAME
        if isinstance(channel, Artifact):
            self._check_artifact(name, spec, channel)
        elif isinstance(channel, Node):
            self.note(
                f"input {name!r} takes an output, got the node {channel.id}",
                f"write {channel.name}.outputs.{_only_output(channel)}",
            )
        elif not isinstance(channel, Channel):
            self.note(f"input {name!r} takes an output of type {wanted}, got {_shown(channel)}")
        else:
            _, _, found = channel_parts(channel)
            if found is not Artifact and not issubclass(found, spec.type):
                self.note(
                    f"input {name!r} takes {wanted}, but {channel.describe()} is {found.TYPE_NAME}",
                    _suggest_output(channel, spec),
                )

    def _check_artifact(self, name: str, spec: InputSpec, artifact: Artifact) -> None:
        """An artifact of an earlier run, as results of runs hand it out."""
        if not isinstance(artifact, spec.type):
            self.note(
                f"input {name!r} takes {spec.type.TYPE_NAME}, got the {artifact.TYPE_NAME} {artifact.id}"
            )
        if not artifact.id:
            self.note(f"input {name!r} takes an artifact of a run, got one that no record has")

    def _bind_parameter(self, name: str, spec: ParameterSpec, value: Any) -> None:
        self.bound[name] = value
        if isinstance(value, Node):
            hint = f"write {value.name}.outputs.{_only_output(value)}"
            self.note(f"parameter {name!r} takes a value, got the node {value.id}", hint)
        elif why := mismatch(value, spec.annotation):
            self.note(f"parameter {name!r}: {why}")


def _only_output(node: Node[Any]) -> str:
    outputs = list(node.component.signature.outputs)
    return outputs[0] if len(outputs) == 1 else "<output>"


def _suggest_output(channel: Channel, spec: InputSpec) -> str:
    node, _, _ = channel_parts(channel)
    fitting = [n for n, o in node.component.signature.outputs.items() if issubclass(o.type, spec.type)]
    return f"did you mean {node.name}.outputs.{fitting[0]}?" if fitting else ""


def _shown(value: Any) -> str:
    if isinstance(value, Placeholder):
        return value.describe()
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
