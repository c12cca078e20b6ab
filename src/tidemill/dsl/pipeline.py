"""Pipelines: named nodes in an order, with runtime parameters and perhaps a schedule."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Sequence
from typing import Any

from tidemill.dsl.channel import Channel, channel_parts
from tidemill.dsl.location import caller
from tidemill.dsl.node import Node, collecting
from tidemill.dsl.options import NodeOptions
from tidemill.dsl.placeholder import ArtifactProperty, RuntimeParameter, SourceFiles, split_text
from tidemill.dsl.resolver import LatestBlessed, RollingWindow
from tidemill.dsl.schedule import Schedule
from tidemill.errors import DefinitionError, Problem
from tidemill.types.parameter import mismatch

_TYPES = {int: "int", float: "float", str: "str", bool: "bool"}


class Pipeline:
    """`Pipeline("name", nodes=[...])`, or a function decorated with `@pipeline`.

    Nodes that the given ones take inputs from belong to the pipeline without being listed. A
    pipeline in `nodes`, or called inside a pipeline function, is a sub-pipeline: its nodes get ids
    that start with its name.
    """

    def __init__(
        self,
        name: str,
        nodes: Sequence[Node[Any] | Pipeline] = (),
        *,
        schedule: Schedule | None = None,
        options: NodeOptions | None = None,
        description: str = "",
    ) -> None:
        self.name = name
        self.schedule = schedule
        self.options = options or NodeOptions()
        """Options of every node that has none of its own."""
        self.description = description
        self.where = caller()
        self.problems: list[Problem] = []
        self.parameters: list[RuntimeParameter] = []
        for item in nodes:
            if not isinstance(item, (Node, Pipeline)):
                raise DefinitionError(
                    f"pipeline {name!r}: nodes holds {item!r}, which is not a node", where=self.where
                )
        self._given = list(nodes)
        self._function: Callable[..., Any] | None = None

    @classmethod
    def of_function(cls, function: Callable[..., Any], name: str, **settings: Any) -> Pipeline:
        """The pipeline whose nodes `function` makes when called."""
        doc = inspect.getdoc(function) or ""
        made = cls(name or function.__name__, description=doc.split("\n\n", 1)[0], **settings)
        made._function = function
        made.where = f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}"
        return made

    def collect(self) -> list[Node[Any]]:
        """Every node, in the order of definition. A pipeline function is called anew each time."""
        return _with_upstream(self._members())

    def _members(self) -> list[Node[Any]]:
        """The pipeline's own nodes and those of its sub-pipelines, with their paths set."""
        self.problems.clear()
        if self._function is not None:
            self.parameters = _runtime_parameters(self._function, self.where, self.problems)
            return _call(self._function, {p.name: p for p in self.parameters})[1]
        nodes: list[Node[Any]] = []
        for item in self._given:
            if isinstance(item, Pipeline):
                nodes.extend(_nest(item.name, item._members()))
                self.problems.extend(item.problems)
            else:
                item.path = ()
                nodes.append(item)
        return nodes

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Use a pipeline function as a sub-pipeline; gives what the function returns."""
        if self._function is None:
            raise TypeError(f"pipeline {self.name!r} is not a function; put it into nodes=[...]")
        bound = inspect.signature(self._function).bind(*args, **kwargs)
        bound.apply_defaults()
        result, nodes = _call(self._function, bound.arguments)
        outer = collecting.get()
        if outer is not None:
            outer.extend(_nest(self.name, nodes))
        return result

    def __repr__(self) -> str:
        return f"<pipeline {self.name}>"


def pipeline(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str = "",
    schedule: Schedule | None = None,
    options: NodeOptions | None = None,
) -> Any:
    """Make a pipeline of a function: its arguments are runtime parameters, the nodes it makes are its nodes.

    @pipeline(schedule=Schedule("@daily"))
    def daily(rate: float = 0.1):
        numbers = make_numbers(count=20)
        fit(numbers=numbers.outputs["result"], rate=rate)
    """

    def decorate(f: Callable[..., Any]) -> Pipeline:
        return Pipeline.of_function(f, name, schedule=schedule, options=options)

    return decorate if function is None else decorate(function)


def _call(function: Callable[..., Any], arguments: dict[str, Any]) -> tuple[Any, list[Node[Any]]]:
    nodes: list[Node[Any]] = []
    token = collecting.set(nodes)
    try:
        return function(**arguments), nodes
    finally:
        collecting.reset(token)


def _nest(name: str, nodes: list[Node[Any]]) -> list[Node[Any]]:
    for node in nodes:
        node.path = (name, *node.path)
    return nodes


def _runtime_parameters(
    function: Callable[..., Any], where: str, problems: list[Problem]
) -> list[RuntimeParameter]:
    hints = typing.get_type_hints(function)
    found = []
    for p in inspect.signature(function).parameters.values():
        required = p.default is p.empty
        default = None if required else p.default
        type_name = _TYPES.get(hints.get(p.name, type(default)), "json")
        why = "" if required else mismatch(default, type_name)
        if why:
            problems.append(Problem(f"runtime parameter {p.name!r}: its default is wrong: {why}", where))
        found.append(RuntimeParameter(p.name, type_name, required, default))
    return found


def _with_upstream(nodes: list[Node[Any]]) -> list[Node[Any]]:
    """The nodes and all they take from, each once."""
    seen: dict[int, Node[Any]] = {}
    pending = list(reversed(nodes))
    while pending:
        node = pending.pop()
        if id(node) not in seen:
            seen[id(node)] = node
            pending.extend(reversed(upstream_of(node)))
    return list(seen.values())


def upstream_of(node: Node[Any]) -> list[Node[Any]]:
    """The nodes that `node` mentions, in its inputs, parameters or order."""
    found: list[Node[Any]] = []
    for value in node.bound.values():
        found.extend(_nodes_of(value))
    return [*found, *node.order_after]


def _nodes_of(value: Any) -> list[Node[Any]]:
    match value:
        case Channel():
            return [channel_parts(value)[0]]
        case LatestBlessed():
            return [channel_parts(value.channel)[0]]
        case RollingWindow():
            return [channel_parts(value.channel)[0], *([value.passed] if value.passed else [])]
        case ArtifactProperty():
            return [channel_parts(value.channel)[0]]
        case SourceFiles():
            return _nodes_of([value.pattern, value.date, value.span])
        case str() if "\x00" in value:
            return _nodes_of([part for part in split_text(value) if not isinstance(part, str)])
        case list() | tuple():
            return [node for item in value for node in _nodes_of(item)]
        case dict():
            return _nodes_of(list(value.values()))
    return []
