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
from tidemill.dsl.fit import mismatch
from tidemill.errors import Problem
from tidemill.types import standard
from tidemill.types.artifact import Artifact

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
    outputs_class: type[Outputs] = Outputs
    """The subclass that the function declares to return."""


def read(function: Callable[..., Any], where: str, local_names: Mapping[str, Any]) -> Signature:
    """The signature of a component's function; mistakes are collected, not raised."""
    name = function.__name__
    reader = _Reader(name, where)
    try:
        hints = typing.get_type_hints(function, localns=dict(local_names), include_extras=True)
        returned = hints.pop("return", None)
        for parameter in inspect.signature(function).parameters.values():
            reader.argument(parameter, hints.get(parameter.name))
        reader.result(returned, local_names)
    except (NameError, TypeError, AttributeError) as error:
        problem = Problem(
            f"the annotations of component {name} cannot be read: {error}",
            where,
            "import the names at module level, not under TYPE_CHECKING",
        )
        return Signature({}, {}, {}, (), (problem,))
    return Signature(
        reader.inputs,
        reader.outputs,
        reader.parameters,
        tuple(reader.order),
        tuple(reader.problems),
        reader.outputs_class,
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
        self.outputs_class = Outputs

    def problem(self, what: str, hint: str = "") -> None:
        self.problems.append(Problem(f"component {self.component}: {what}", self.where, hint))

    def argument(self, parameter: inspect.Parameter, hint: Any) -> None:
        name = parameter.name
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            self.problem(
                f"argument {str(parameter).partition(':')[0]} is not allowed",
                "name every input and parameter",
            )
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
                if many or optional:
                    self.problem(f"output {name!r} must be one artifact", f"write Output[{_name(artifact)}]")
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
            if not required and (why := mismatch(parameter.default, annotation)):
                self.problem(f"the default of parameter {name!r}: {why}")
            self.parameters[name] = ParameterSpec(
                annotation, required, None if required else parameter.default
            )
        self.order.append(name)

    def result(self, hint: Any, local_names: Mapping[str, Any]) -> None:
        if hint is None or hint is type(None):
            return
        if isinstance(hint, type) and issubclass(hint, Outputs):
            self.outputs_class = hint
            for name, artifact in typing.get_type_hints(hint, localns=dict(local_names)).items():
                if not name.startswith("_"):
                    self.declared(name, artifact)
        elif typing.is_typeddict(hint):
            for name, value in typing.get_type_hints(hint, localns=dict(local_names)).items():
                self.returned(name, value)
        elif _artifact_type(hint)[0] is not None:
            self.problem(
                f"returns {_name(hint)}, an artifact", f"take it as an argument: model: Output[{_name(hint)}]"
            )
        else:
            self.returned(RESULT, hint)

    def declared(self, name: str, hint: Any) -> None:
        if not isinstance(hint, type) or not issubclass(hint, Artifact):
            self.problem(
                f"output {name!r} is {_name(hint)}, which is not an artifact type",
                "use a type from tidemill.types, or a subclass of Artifact",
            )
            return
        if name in self.inputs or name in self.parameters:
            self.problem(f"returns {name!r}, which is also an argument", "rename one of them")
        self.outputs[name] = OutputSpec(hint, returned=False)

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
