"""Values that are known only when a node runs.

To a type checker a placeholder has the type of the value it stands for: `run.date` is a str. At
definition time it is a `Placeholder`. It may be passed as a parameter, put inside a list or dict,
or written into text with an f-string. It can be compared, which gives a condition for `When`, but not
computed with.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, cast

from tidemill.dsl.location import caller
from tidemill.errors import DefinitionError
from tidemill.types.source import FileSet

if TYPE_CHECKING:
    from tidemill.dsl.channel import Channel

_MARK = re.compile("\x00tidemill:(\\d+)\x00")
_marked: list[Placeholder] = []


class Placeholder:
    """Base of all placeholders."""

    def describe(self) -> str:
        """How the placeholder is called in messages."""
        raise NotImplementedError

    def kind(self) -> type | None:
        """Python type of the value it stands for; None when that is not known."""
        return str

    def __format__(self, spec: str) -> str:
        """A mark that `split_text` finds again: this is how f-strings keep placeholders."""
        if spec:
            self._refuse(f"format it as :{spec}")
        _marked.append(self)
        return f"\x00tidemill:{len(_marked) - 1}\x00"

    __str__ = lambda self: format(self)  # noqa: E731 - one behaviour, two names

    def __repr__(self) -> str:
        return f"<{self.describe()}>"

    def __bool__(self) -> NoReturn:
        self._refuse(
            "test it with if, and, or, not", "write `with When(...):`; join conditions with &, | and not_()"
        )

    def __and__(self, other: object) -> Condition:
        return Combination("all", (self, other))

    def __rand__(self, other: object) -> Condition:
        return Combination("all", (other, self))

    def __or__(self, other: object) -> Condition:
        return Combination("any", (self, other))

    def __ror__(self, other: object) -> Condition:
        return Combination("any", (other, self))

    def __invert__(self) -> Condition:
        return Combination("not", (self,))

    def __iter__(self) -> NoReturn:
        self._refuse("loop over it")

    def __getitem__(self, key: object) -> NoReturn:
        self._refuse("look inside it")

    def __len__(self) -> NoReturn:
        self._refuse("measure it")

    def _refuse(self, what: str, hint: str = "pass it to a component and do the work there") -> NoReturn:
        raise DefinitionError(
            f"{self.describe()} is known only at run time; a pipeline definition cannot {what}",
            where=caller(),
            hint=hint,
        )


def _refusal(what: str) -> Callable[..., NoReturn]:
    def method(self: Placeholder, *_: object) -> NoReturn:
        self._refuse(what)

    return method


def _comparison(op: str) -> Callable[..., Comparison]:
    return lambda self, other: Comparison(op, self, other)


# Set here, not in the class body: a class with an `__eq__` of its own would lose its `__hash__`.
for _name, _op in {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}.items():
    setattr(Placeholder, f"__{_name}__", _comparison(_op))
# Without these `rate * 2` would be an error that names no remedy.
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    setattr(Placeholder, f"__{_name}__", _refusal("compute with it"))
    setattr(Placeholder, f"__r{_name}__", _refusal("compute with it"))
for _name in ("int", "float", "index", "neg"):
    setattr(Placeholder, f"__{_name}__", _refusal("compute with it"))


class Condition(Placeholder):
    """True or false, known at run time: what `When` takes."""

    def kind(self) -> type | None:
        """A condition stands for a bool."""
        return bool


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Condition):
    """`left op right`, with a placeholder on one side at least."""

    op: str
    left: Any
    right: Any
    __str__ = Placeholder.__str__

    def describe(self) -> str:
        """`left op right`."""
        return f"{_described(self.left)} {self.op} {_described(self.right)}"


@dataclass(frozen=True, eq=False, repr=False)
class Combination(Condition):
    """All or any of some conditions, or not the only one."""

    how: str
    """all, any or not."""
    parts: tuple[Any, ...]
    __str__ = Placeholder.__str__

    def describe(self) -> str:
        """The parts with & or | between, or ~ before."""
        if self.how == "not":
            return f"~({_described(self.parts[0])})"
        return f" {'&' if self.how == 'all' else '|'} ".join(f"({_described(p)})" for p in self.parts)


def not_(condition: bool) -> bool:
    """The opposite of a condition; `not` itself cannot wait until run time."""
    return cast("bool", Combination("not", (condition,)))


def _described(value: object) -> str:
    return value.describe() if isinstance(value, Placeholder) else repr(value)


def split_text(text: str) -> list[str | Placeholder]:
    """The parts of a text that an f-string may have put placeholders into."""
    parts: list[str | Placeholder] = []
    for index, piece in enumerate(_MARK.split(text)):
        if index % 2:
            parts.append(_marked[int(piece)])
        elif piece:
            parts.append(piece)
    return parts


@dataclass(frozen=True, eq=False, repr=False)
class RuntimeParameter(Placeholder):
    """A parameter of the pipeline, given when a run starts."""

    name: str
    type: str
    required: bool
    default: Any = None
    schema: Mapping[str, Any] = field(default_factory=dict)
    __str__ = Placeholder.__str__

    def describe(self) -> str:
        """`runtime parameter 'name'`."""
        return f"runtime parameter {self.name!r}"

    def kind(self) -> builtins.type | None:
        """As declared; not known for JSON, nor for one of some values, which are not just any of a type."""
        known = {"int": int, "float": float, "str": str, "bool": bool}
        return None if "enum" in self.schema else known.get(self.type)


@dataclass(frozen=True, eq=False, repr=False)
class RunFact(Placeholder):
    """A fact about the run."""

    name: str
    __str__ = Placeholder.__str__

    def describe(self) -> str:
        """`run.name`."""
        return f"run.{self.name}"


@dataclass(frozen=True, eq=False, repr=False)
class EnvironmentVariable(Placeholder):
    """An environment variable where the node runs."""

    name: str
    default: str | None
    __str__ = Placeholder.__str__

    def describe(self) -> str:
        """`env('NAME')`."""
        return f"env({self.name!r})"


@dataclass(frozen=True, eq=False, repr=False)
class ArtifactProperty(Placeholder):
    """A property, or the uri, of an output."""

    channel: Channel
    name: str
    __str__ = Placeholder.__str__

    def describe(self) -> str:
        """`Node.outputs.output.property`."""
        return f"{self.channel.describe()}.{self.name}"

    def kind(self) -> type | None:
        """As declared by the artifact type."""
        return self.channel.property_kind(self.name)


@dataclass(frozen=True, eq=False, repr=False)
class SourceFiles(Placeholder):
    """External files, looked up when the node is resolved."""

    pattern: Any
    date: Any
    span: Any
    window: int | None
    skip: int = 0
    since: Any = None
    __str__ = Placeholder.__str__

    def describe(self) -> str:
        """`files('pattern')`."""
        return f"files({self.pattern!r})"

    def kind(self) -> type | None:
        """A set of files."""
        return FileSet


class _RunFacts:
    """Facts about the run, for use in a pipeline definition."""

    @property
    def id(self) -> str:
        """The run's id."""
        return cast("str", RunFact("id"))

    @property
    def date(self) -> str:
        """The run's logical date, ISO 8601. Resolving it fails for a run without one."""
        return cast("str", RunFact("date"))

    @property
    def root(self) -> str:
        """The pipeline root."""
        return cast("str", RunFact("root"))

    @property
    def pipeline(self) -> str:
        """The pipeline's name."""
        return cast("str", RunFact("pipeline"))

    @property
    def version(self) -> str:
        """The pipeline version."""
        return cast("str", RunFact("version"))

    @property
    def state(self) -> str:
        """How the run ends: COMPLETE, FAILED or CANCELED. For exit nodes alone."""
        return cast("str", RunFact("state"))

    @property
    def failures(self) -> str:
        """What failed, as JSON: a list of objects with node, iteration and message. For exit nodes alone."""
        return cast("str", RunFact("failures"))


run = _RunFacts()


def env(name: str, default: str | None = None) -> str:
    """The environment variable `name` of the machine that runs the node.

    Its value is not part of the IR; it is part of the cache key. Not for secrets: parameters are
    recorded. Resolving it fails when it is unset and has no default.
    """
    return cast("str", EnvironmentVariable(name, default))


def files(
    pattern: str, *, date: str | None = None, span: int | None = None, window: int | None = None,
    skip: int = 0, since: int | str | None = None,
) -> FileSet:  # fmt: skip
    """External files matching `pattern` when the node runs, with their content digests.

    pattern: a path or URI. `{YYYY}`, `{MM}`, `{DD}` stand for `date` (usually `run.date`); `{SPAN}` and
        `{VERSION}` for numbers, the largest found by default, `{SPAN:3}` for one of three digits; `*` is a
        glob. Relative patterns start at the directory in which the run was started.
    window: how many days or spans, the newest last; 1 unless given, with `since` all of them.
    skip: leave out this many of the newest first: the days whose data may not be complete yet.
    since: a span, or a day as YYYY-MM-DD, before which nothing is read.

    TFX's StaticRange(start, end) is `since=start, span=end`, and its RollingRange(start_span_number,
    num_spans, skip_num_recent_spans) is `since=..., window=..., skip=...`.
    """
    return cast("FileSet", SourceFiles(pattern, date, span, window, skip, since))
