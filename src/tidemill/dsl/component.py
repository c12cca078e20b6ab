"""Components: `@component` on a typed function is the one way to make one."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from tidemill.dsl.channel import Outputs
from tidemill.dsl.node import Node
from tidemill.dsl.signature import Input, Output, Signature, read
from tidemill.types.result import NodeView

__all__ = ["Component", "Input", "Output", "Outputs", "component"]

P = ParamSpec("P")
R = TypeVar("R")
OutputsT = TypeVar("OutputsT", bound=Outputs | None)


class Component(Generic[P, R]):
    """A signature and an executor. Call it with outputs of other nodes and parameters: a `Node`."""

    def __init__(
        self, function: Callable[..., Any], executor: str, where: str, names: dict[str, Any],
        effects: bool = False,
    ) -> None:  # fmt: skip
        self.function = function
        """The decorated function. It is the executor too, unless `executor` names another."""
        self.name = function.__name__
        self.where = where
        self.executor = executor
        """`module:function` of another function that does the work, or empty."""
        self.effects = effects
        """Whether it changes the world outside of its outputs."""
        self.signature: Signature = read(function, where, names)
        self.kind = "component"
        """What the launcher does for its nodes; see NodeIR.kind."""
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__module__ = function.__module__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Node[R]:
        return Node(cast("Component[..., R]", self), args, kwargs)

    def run(self, **arguments: Any) -> NodeView:
        """Run the component alone, now and here, with parameters and inputs as arguments.

        An input is an artifact of an earlier result, a path to import, or a plain value where the input
        holds one. `component(...).run(root=...)` takes settings too.
        """
        return cast(
            "NodeView", importlib.import_module("tidemill.interactive").run_component(self, arguments)
        )

    def __repr__(self) -> str:
        return f"<component {self.name}>"


class _Declaration:
    """`@component(executor=...)`: the function is a signature, so calls are typed by its arguments.

    Not one more overload of `component`: a type checker gives up on overloads as soon as an argument
    of the function has `Any` in its type, as function parameters have.
    """

    def __init__(self, executor: str, names: dict[str, Any], effects: bool) -> None:
        self.executor = executor
        self.names = names
        self.effects = effects

    def __call__(self, function: Callable[P, OutputsT]) -> Component[P, OutputsT]:
        code = function.__code__
        where = f"{code.co_filename}:{code.co_firstlineno}"
        return Component(function, self.executor, where, self.names, self.effects)


@overload
def component(function: Callable[..., Any], /) -> Component[..., Any]: ...
@overload
def component(*, executor: str, effects: bool = False) -> _Declaration: ...
@overload
def component(*, effects: bool = False) -> Callable[[Callable[..., Any]], Component[..., Any]]: ...
def component(
    function: Callable[..., Any] | None = None, /, *, executor: str = "", effects: bool = False
) -> Any:
    """Make a component of a typed function.

    The function's arguments are its inputs (`Input[T]`), outputs (`Output[T]`) and parameters (plain
    types); what it returns becomes outputs too. With `executor="module:function"` the decorated
    function only declares the signature, and a worker loads nothing but that module. `effects=True` says
    that it changes the world outside of its outputs: `tidemill reproduce` then leaves it out.

        @component
        def train(examples: Input[Examples], model: Output[Model], *, rate: float = 0.1) -> float:
            (model.path / "weights.json").write_text(...)
            return loss
    """
    declaration = _Declaration(executor, sys._getframe(1).f_locals, effects)
    return declaration if function is None else declaration(function)
