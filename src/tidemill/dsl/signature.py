"""What a component's function says about its inputs, outputs and parameters.

examples: Input[Examples]            an artifact, required
examples: Input[list[Examples]]      any number of them
baseline: Input[Model] | None = None an artifact, optional
model: Output[Model]                 an artifact the executor fills
rate: float = 0.1                    a parameter
-> float                             an output named `result`
-> SomeTypedDict                     one output per key
-> SomeOutputs                       artifacts, for a component whose executor lives elsewhere
"""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from tidemill.dsl.channel import Outputs
from tidemill.dsl.placeholder import Placeholder
from tidemill.errors import Problem
from tidemill.types import standard
from tidemill.types.artifact import Artifact
from tidemill.types.json import not_json
from tidemill.types.source import FileSet

T = TypeVar("T")
Input = Annotated[T, "tidemill.input"]
"""Marks a function argument as an input artifact."""
Output = Annotated[T, "tidemill.output"]
"""Marks a function argument as an output artifact; the launcher passes it, callers do not."""

_VALUE_ARTIFACTS: dict[Any, type[Artifact]] = {
    int: standard.Integer,
    float: standard.Float,
    str: standard.String,
    bool: standard.Boolean,
    bytes: standard.Bytes,
}
RESULT = "result"
"""Name of the output of a component that returns one plain value."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """A declared input."""

    type: type[Artifact]
    many: bool
    optional: bool


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """A declared output. `returned`: the executor returns its value."""

    type: type[Artifact]
    returned: bool


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """A declared parameter; `annotation` is its Python type."""

    annotation: Any
    required: bool
    default: Any


@dataclass(frozen=True, slots=True)
class Signature:
    """Everything a component declares."""

    inputs: Mapping[str, InputSpec]
    outputs: Mapping[str, OutputSpec]
    parameters: Mapping[str, ParameterSpec]
    order: tuple[str, ...]
    """Names of inputs and parameters in the order in which they may be passed by position."""
    problems: tuple[Problem, ...]


def read(function: Callable[..., Any], where: str, local_names: Mapping[str, Any]) -> Signature:
    """The signature of a component's function; mistakes are collected, not raised."""
    name = function.__name__
    try:
        hints = typing.get_type_hints(function, localns=dict(local_names), include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        problem = Problem(
            f"the annotations of component {name} cannot be read: {error}",
            where,
            "import the names at module level, not under TYPE_CHECKING",
        )
        return Signature({}, {}, {}, (), (problem,))
    reader = _Reader(name, where)
    returned = hints.pop("return", None)
    for parameter in inspect.signature(function).parameters.values():
        reader.argument(parameter, hints.get(parameter.name))
    reader.result(returned)
    return Signature(
        reader.inputs, reader.outputs, reader.parameters, tuple(reader.order), tuple(reader.problems)
    )


class _Reader:
    """Collects the parts of one signature."""

    def __init__(self, component: str, where: str) -> None:
        self.component = component
        self.where = where
        self.inputs: dict[str, InputSpec] = {}
        self.outputs: dict[str, OutputSpec] = {}
        self.parameters: dict[str, ParameterSpec] = {}
        self.order: list[str] = []
        self.problems: list[Problem] = []

    def problem(self, what: str, hint: str = "") -> None:
        self.problems.append(Problem(f"component {self.component}: {what}", self.where, hint))

    def argument(self, parameter: inspect.Parameter, hint: Any) -> None:
        name = parameter.name
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            self.problem(f"argument *{name} is not allowed", "name every input and parameter")
            return
        if hint is None:
            self.problem(
                f"argument {name!r} has no type", f"write {name}: Input[...], Output[...] or {name}: int"
            )
            return
        hint, optional = _without_none(hint)
        marker = hint.__metadata__[0] if typing.get_origin(hint) is Annotated else None
        if marker in ("tidemill.input", "tidemill.output"):
            artifact, many = _artifact_type(hint.__origin__)
            if artifact is None:
                self.problem(
                    f"argument {name!r} is {_name(hint.__origin__)}, which is not an artifact type",
                    "use a type from tidemill.types, or a subclass of Artifact",
                )
            elif marker == "tidemill.output":
                self.outputs[name] = OutputSpec(artifact, returned=False)
                return
            else:
                self.inputs[name] = InputSpec(artifact, many, optional)
        elif _artifact_type(hint)[0] is not None:
            self.problem(
                f"argument {name!r} is an artifact",
                f"write {name}: Input[{_name(hint)}] or Output[{_name(hint)}]",
            )
        else:
            annotation = typing.Optional[hint] if optional else hint  # noqa: UP045 - built at run time
            required = parameter.default is parameter.empty
            self.parameters[name] = ParameterSpec(
                annotation, required, None if required else parameter.default
            )
        self.order.append(name)

    def result(self, hint: Any) -> None:
        if hint is None or hint is type(None):
            return
        if isinstance(hint, type) and issubclass(hint, Outputs):
            for name, artifact in typing.get_type_hints(hint).items():
                if not name.startswith("_"):
                    self.outputs[name] = OutputSpec(artifact, returned=False)
        elif typing.is_typeddict(hint):
            for name, value in typing.get_type_hints(hint).items():
                self.returned(name, value)
        else:
            self.returned(RESULT, hint)

    def returned(self, name: str, hint: Any) -> None:
        if name in self.outputs or name in self.inputs or name in self.parameters:
            self.problem(f"returns {name!r}, which is also an argument", "rename one of them")
        self.outputs[name] = OutputSpec(_VALUE_ARTIFACTS.get(hint, standard.JsonValue), returned=True)


def _without_none(hint: Any) -> tuple[Any, bool]:
    """The hint without `| None`, and whether it had it."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        rest = [a for a in typing.get_args(hint) if a is not type(None)]
        if len(rest) < len(typing.get_args(hint)):
            return (rest[0] if len(rest) == 1 else typing.Union[tuple(rest)]), True  # noqa: UP007
    return hint, False


def _artifact_type(hint: Any) -> tuple[type[Artifact] | None, bool]:
    """Artifact class of `T`, `list[T]` or `T | list[T]`, and whether it is a list."""
    if isinstance(hint, type) and not typing.get_args(hint):
        return (hint if issubclass(hint, Artifact) else None), False
    if typing.get_origin(hint) in (list, collections.abc.Sequence):
        return _artifact_type(typing.get_args(hint)[0])[0], True
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        found = [_artifact_type(arg) for arg in typing.get_args(hint)]
        classes = {artifact for artifact, _ in found}
        if len(classes) == 1:
            return classes.pop(), any(many for _, many in found)
    return None, False


def _name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)


def mismatch(value: Any, annotation: Any) -> str:
    """Why a literal `value` does not fit the parameter annotation; empty when it does."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any or annotation is object:
        return not_json(value)
    if origin is Annotated:
        return mismatch(value, args[0])
    if origin in (typing.Union, types.UnionType):
        fits = any(not mismatch(value, arg) for arg in args)
        return "" if fits else _expected(annotation, value)
    if origin is typing.Literal:
        return "" if value in args else _expected(annotation, value)
    if origin is collections.abc.Callable or annotation is collections.abc.Callable:
        return "" if callable(value) else _expected("a function", value)
    if (origin or annotation) in (list, tuple, collections.abc.Sequence):
        if not isinstance(value, (list, tuple)):
            return _expected(annotation, value)
        item = args[0] if args else Any
        return next((why for i, v in enumerate(value) if (why := _nested(v, item, i))), "")
    if (origin or annotation) in (dict, collections.abc.Mapping):
        if not isinstance(value, Mapping):
            return _expected(annotation, value)
        item = args[1] if args else Any
        return next((why for k, v in value.items() if (why := _nested(v, item, k))), "") or not_json(value)
    if annotation is FileSet:
        return _expected("files(...)", value)
    return _plain_mismatch(value, annotation)


def _plain_mismatch(value: Any, annotation: Any) -> str:
    if annotation is type(None):
        return "" if value is None else _expected("None", value)
    if annotation is float and isinstance(value, int) and not isinstance(value, bool):
        return ""
    if annotation in (int, float, str, bool):
        return "" if type(value) is annotation and not not_json(value) else _expected(annotation, value)
    return not_json(value)


def _nested(value: Any, annotation: Any, at: Any) -> str:
    if isinstance(value, Placeholder):
        return ""
    why = mismatch(value, annotation)
    return f"at [{at!r}]: {why}" if why else ""


def _expected(annotation: Any, value: Any) -> str:
    wanted = annotation if isinstance(annotation, str) else _name(annotation)
    shown = repr(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return f"expected {wanted.replace('typing.', '')}, got {type(value).__name__} {shown}"
