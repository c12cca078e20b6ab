"""Pipelines: named nodes in an order, with runtime parameters and perhaps a schedule."""

from __future__ import annotations

import copy
import importlib
import inspect
import os
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast, overload

from tidemill.dsl.channel import Channel, channel_parts
from tidemill.dsl.control import ForEach, Item, When, item_parts, just_left
from tidemill.dsl.location import caller
from tidemill.dsl.node import Node, collecting
from tidemill.dsl.options import NodeOptions
from tidemill.dsl.parameter_hints import of_hint
from tidemill.dsl.placeholder import (
    ArtifactProperty,
    Combination,
    Comparison,
    RuntimeParameter,
    SourceFiles,
    split_text,
)
from tidemill.dsl.resolver import Collected, Earlier, FirstOf, LatestBlessed, RollingWindow
from tidemill.dsl.schedule import Schedule
from tidemill.errors import DefinitionError, Problem
from tidemill.types.parameter import mismatch
from tidemill.types.result import RunView


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
        max_active_runs: int = 0,
    ) -> None:
        self.name = name
        self.schedule = schedule
        self.max_active_runs = max_active_runs
        """Runs of it that may be under way at once; 0 means no limit. Sub-pipelines have no say."""
        self.options = options
        """Options of every node that has none of its own, also in sub-pipelines that have none."""
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
        """Every node, in the order of definition. A pipeline function is called anew each time.

        What is wrong with the pipelines themselves is in `problems` afterwards.
        """
        self.problems.clear()
        members = self._members(self.problems)
        nodes = _with_upstream(list(members))
        for node in nodes:  # the node may have been part of another pipeline before
            node.within = (*members.get(node, ()), *node.made_in)
        for inner in dict.fromkeys(p for node in nodes for p in node.within):
            inner._runtime_parameters(self.problems)
        return nodes

    def _members(self, problems: list[Problem]) -> dict[Node[Any], tuple[Pipeline, ...]]:
        """The pipeline's own nodes and those of the pipelines in it, with the latter ones' order."""
        if self._function is not None:
            return dict.fromkeys(self._call_function(self._function, problems), ())
        found: dict[Node[Any], tuple[Pipeline, ...]] = {}
        for item in self._given:
            if isinstance(item, Pipeline):
                found |= {node: (item, *within) for node, within in item._members(problems).items()}
            else:
                found[item] = ()
        return found

    def _call_function(self, function: Callable[..., Any], problems: list[Problem]) -> list[Node[Any]]:
        """The nodes that the function makes; those before the place where it stops, if it does."""
        self.parameters = self._runtime_parameters(problems)
        arguments: dict[str, Any] = {p.name: p for p in self.parameters}
        nodes: list[Node[Any]] = []
        try:
            _call(function, inspect.BoundArguments(inspect.signature(function), arguments), nodes)
        except DefinitionError as error:
            problems.extend(error.problems)
        return nodes

    def _runtime_parameters(self, problems: list[Problem]) -> list[RuntimeParameter]:
        return [] if self._function is None else _runtime_parameters(self._function, self.where, problems)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Use a pipeline function as a sub-pipeline; gives what the function returns."""
        if self._function is None:
            raise DefinitionError(
                f"pipeline {self.name!r} is not a function, so it cannot be called",
                where=caller(),
                hint="put it into nodes=[...] of the other pipeline",
            )
        try:
            bound = inspect.signature(self._function).bind(*args, **kwargs)
        except TypeError as error:
            raise DefinitionError(f"pipeline {self.name!r}: {error}", where=caller()) from None
        bound.apply_defaults()
        nodes: list[Node[Any]] = []
        try:
            return _call(self._function, bound, nodes)
        finally:
            for node in nodes:
                node.made_in = (self, *node.made_in)
            if (outer := collecting.get()) is not None:
                outer.extend(nodes)

    def run(
        self,
        parameters: Mapping[str, Any] | None = None,
        /,
        *,
        date: str = "",
        root: str | os.PathLike[str] = "",
        metadata: str = "",
        jobs: int = 0,
        cache: bool = True,
        new: bool = False,
        verbose: bool | None = None,
        check: bool = True,
        **named: Any,
    ) -> RunView:
        """Run the pipeline now, on this machine: in a notebook, or in a plain script.

        Runtime parameters are given by name, or in `parameters` where a name is also one of a setting.
        The record is kept in `./.tidemill` unless `root` or TIDEMILL_ROOT say otherwise. `cache=False`
        runs every node; `new` never resumes an unfinished run; `verbose` prints the nodes' logs as they
        grow (usual in a notebook). RunFailed when a node failed, unless `check=False`.
        """
        settings = {"date": date, "root": root, "metadata": metadata, "jobs": jobs, "cache": cache,
                    "new": new, "verbose": verbose, "check": check}  # fmt: skip
        runs = importlib.import_module("tidemill.interactive")  # this room must not know those above it
        return cast("RunView", runs.run_pipeline(self, {**(parameters or {}), **named}, settings))

    def with_id(self, name: str) -> Pipeline:
        """The same pipeline under another name: needed to use one twice as a sub-pipeline."""
        other = copy.copy(self)
        other.name, other.where, other.problems = name, caller(), []
        return other

    def __repr__(self) -> str:
        return f"<pipeline {self.name}>"


@overload
def pipeline(function: Callable[..., Any], /) -> Pipeline: ...
@overload
def pipeline(
    *,
    name: str = "",
    schedule: Schedule | None = None,
    options: NodeOptions | None = None,
    max_active_runs: int = 0,
) -> Callable[[Callable[..., Any]], Pipeline]: ...
def pipeline(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str = "",
    schedule: Schedule | None = None,
    options: NodeOptions | None = None,
    max_active_runs: int = 0,
) -> Pipeline | Callable[[Callable[..., Any]], Pipeline]:
    """Make a pipeline of a function: its arguments are runtime parameters, the nodes it makes are its nodes.

    @pipeline(schedule=Schedule("@daily"))
    def daily(rate: float = 0.1):
        numbers = make_numbers(count=20)
        fit(numbers=numbers.outputs["result"], rate=rate)
    """

    def decorate(f: Callable[..., Any]) -> Pipeline:
        return Pipeline.of_function(
            f, name, schedule=schedule, options=options, max_active_runs=max_active_runs
        )

    return decorate if function is None else decorate(function)


def _call(function: Callable[..., Any], bound: inspect.BoundArguments, nodes: list[Node[Any]]) -> Any:
    """What the function returns; the nodes it makes are added to `nodes`, even if it stops with an error."""
    token, left = collecting.set(nodes), just_left.set(None)
    try:
        return function(*bound.args, **bound.kwargs)
    finally:
        collecting.reset(token)
        just_left.reset(left)


def _runtime_parameters(
    function: Callable[..., Any], where: str, problems: list[Problem]
) -> list[RuntimeParameter]:
    hints: dict[str, Any] = {}
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        problems.append(Problem(f"the types of the runtime parameters cannot be read: {error}", where))
    found = []
    for p in inspect.signature(function).parameters.values():
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            what = f"runtime parameter {str(p).partition(':')[0]} is not allowed"
            problems.append(Problem(what, where, "name every runtime parameter"))
            continue
        required = p.default is p.empty
        default = None if required else p.default
        optional = default is None and not required
        type_name, schema = of_hint(hints.get(p.name, type(default)), optional=optional)
        why = "" if required else mismatch(default, type_name, schema)
        if why:
            problems.append(Problem(f"runtime parameter {p.name!r}: its default is wrong: {why}", where))
        found.append(RuntimeParameter(p.name, type_name, required, default, schema))
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
    """The nodes that `node` mentions, in its inputs, parameters, order or the blocks around it."""
    return [found for found, _ in references(node, earlier_runs=True)]


def waits_for(node: Node[Any]) -> list[Node[Any]]:
    """As `upstream_of`, without those of which only outputs of earlier runs are taken."""
    return [found for found, _ in references(node, earlier_runs=False)]


def references(node: Node[Any], *, earlier_runs: bool) -> list[tuple[Node[Any], bool]]:
    """The nodes that `node` mentions, and whether all their iterations are collected."""
    conditions = [part for block in conditions_of(node) for part in block.parts]
    found = _nodes_of([*node.bound.values(), *conditions], earlier_runs=earlier_runs)
    heads = [(loop.head, False) for loop in loops_of(node)[-1:] if loop.head is not None]
    return [*found, *heads, *((before, False) for before in node.order_after)]


def loops_of(node: Node[Any]) -> list[ForEach[Any]]:
    """The loops around a node, outermost first."""
    return [block for block in node.blocks if isinstance(block, ForEach)]


def options_of(node: Node[Any], pipeline: Pipeline) -> NodeOptions:
    """The options of a node: its own, else those of the nearest pipeline around it that has some."""
    around = next((p for p in reversed(node.within) if p.options is not None), pipeline)
    return node.node_options or around.options or NodeOptions()


def conditions_of(node: Node[Any]) -> list[When]:
    """The conditions around a node, outermost first, within the innermost loop: those further out are
    the loop's own."""
    inner: list[When] = []
    for block in node.blocks:
        inner = [*inner, block] if isinstance(block, When) else []
    return inner


def _nodes_of(value: Any, *, earlier_runs: bool, collected: bool = False) -> list[tuple[Node[Any], bool]]:
    parts: list[Any] = []
    match value:
        case Node():  # passed instead of an output: a mistake, noted already
            return [(value, collected)]
        case Channel():
            return [(channel_parts(value)[0], collected)]
        case Item():
            return [(item_parts(value)[0], False)]
        case Collected():
            parts, collected = [value.channel], True
        case FirstOf():
            parts = list(value.members)
        case Comparison():
            parts = [value.left, value.right]
        case Combination():
            parts = list(value.parts)
        case LatestBlessed():
            parts = [value.channel] if earlier_runs else []
        case Earlier():
            own = earlier_runs and not value.pipeline
            parts = [*([value.channel] if own else []), *value.properties.values(), *value.spans]
        case RollingWindow():
            parts = [value.channel, value.passed]
        case ArtifactProperty():
            parts = [value.channel]
        case SourceFiles():
            parts = [value.pattern, value.date, value.span, value.since]
        case str() if "\x00" in value:
            parts = [part for part in split_text(value) if not isinstance(part, str)]
        case list() | tuple():
            parts = list(value)
        case Mapping():
            parts = list(value.values())
    return [
        node for part in parts for node in _nodes_of(part, earlier_runs=earlier_runs, collected=collected)
    ]
