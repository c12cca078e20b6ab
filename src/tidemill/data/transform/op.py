"""What an operation is: the types it takes and gives, and its forms in the backends.

The operations themselves stand in the tables that `ops` puts together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from tidemill.data.transform.graph import LISTS
from tidemill.data.transform.values import element

NUMBER = ("float", "int")
ANY = ("float", "int", "string", "bool", "timestamp")
ORDERED = ("float", "int", "string", "timestamp")
BOOL, FLOAT, INT, TEXT, TIME = ("bool",), ("float",), ("int",), ("string",), ("timestamp",)
EVERY = (*ANY, "empty", *LISTS)
NUMBER_LISTS = ("list[float]", "list[int]")

Params = Mapping[str, Any]


class Typed(Protocol):
    """Something with a column type: a symbolic column."""

    @property
    def type(self) -> str:
        """One of `graph.TYPES`."""


T = TypeVar("T", bound=Typed)


@dataclass(frozen=True, slots=True)
class Op:
    """One operation.

    `numpy(*data, **params)` gets one array (or `Lists`) per input and returns one, or `Values` when it
    makes nulls of its own; a row is null where any input is. With `sees_nulls` it gets and returns `Values`
    and decides itself. `polars(*expressions, **params)` is the native form, which must agree to the bit.
    """

    takes: tuple[tuple[str, ...], ...]
    """Accepted types per input; the first of each is what a column without any value becomes."""
    gives: str
    """A type, `=0` for the type of input 0 (and so on), `item` for that of its lists' values, or `=to`
    for the parameter `to`."""
    numpy: Callable[..., Any]
    polars: Callable[..., Any] | None = None
    params: tuple[str, ...] = ()
    """Parameters, learned values and lookup structures that both forms are given."""
    same: tuple[int, ...] = ()
    """Inputs that must have one type; int and float meet at float."""
    sees_nulls: bool = False
    nan_is_false: bool = False
    """False wherever an input is NaN, as IEEE 754 wants; polars puts NaN above all numbers instead."""
    many: bool = False
    """Any number of inputs, all as the first."""
    lifts: bool = False
    """Takes a list column too, and works on each of its values; what becomes null is left out."""
    learns: bool = False
    """Uses the result of an analysis."""
    prepare: Callable[[Params], Params] | None = None
    """Adds lookup structures to params and learned values, once per loaded graph."""

    def accepts(self, position: int) -> tuple[str, ...]:
        """Types accepted at this input, lists that are lifted not counted."""
        return self.takes[0 if self.many else position]

    def lifted(self, types: list[str]) -> bool:
        """Whether these input types mean the values of lists."""
        return self.lifts and element(types[0]) in self.takes[0] and types[0] not in self.takes[0]

    def arguments(self, params: Params) -> dict[str, Any]:
        """What the two forms are given besides their inputs."""
        return {name: params[name] for name in self.params}

    def result(self, params: Params, types: list[str]) -> str:
        """Type of the result. It may be a list type that does not exist, for an operation that is lifted."""
        if self.lifted(types):
            return f"list[{self.result(params, [element(types[0]), *types[1:]])}]"
        if self.gives == "=to":
            return str(params["to"])
        if self.gives == "item":
            return element(types[0])
        return types[int(self.gives[1:])] if self.gives.startswith("=") else self.gives

    def unify(self, columns: tuple[T, ...], convert: Callable[[T, str], T]) -> tuple[T, ...]:
        """`columns` with those of `same` brought to one type, where int meets float or an empty column."""
        types = {columns[i].type for i in self.same} - {"empty"}
        meet = "float" if types == {"int", "float"} else min(types, default="empty")
        if len(types) > 1 and types != {"int", "float"}:
            meet = columns[self.same[0]].type
        return tuple(convert(c, meet) if i in self.same else c for i, c in enumerate(columns))
