"""What each operation of a transform graph means: one table, `OPS`.

An operation is defined by its numpy kernel. Where polars has the same operation natively, the entry
names it, and a property test holds the two equal; elsewhere the batch backend calls the kernel. To add an
operation, add an entry here, a function in `functions`, and its parameters to that test.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa

from tidemill.data.hashing import hash_column
from tidemill.data.transform.values import DTYPES, Array, Values, all_valid, each, objects
from tidemill.errors import DataError, did_you_mean

NUMBER = ("float", "int")
ANY = ("float", "int", "string", "bool", "timestamp")
ORDERED = ("float", "int", "string", "timestamp")
BOOL, FLOAT, TEXT, TIME = ("bool",), ("float",), ("string",), ("timestamp",)
EVERY = (*ANY, "empty")
DAY, HOUR = 86_400_000_000, 3_600_000_000
"""Microseconds."""
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
"""Years 1 to 9999, as seconds since 1970-01-01 UTC."""

CASTS = {
    ("int", "float"), ("int", "string"), ("int", "bool"), ("float", "int"), ("float", "string"),
    ("string", "int"), ("string", "float"), ("bool", "int"), ("bool", "float"), ("bool", "string"),
}  # fmt: skip

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

    `numpy(*data, **params)` gets one array per input and returns an array, or `Values` when it makes
    nulls of its own; a row is null where any input is. With `sees_nulls` it gets and returns `Values`
    and decides itself. `polars(*expressions, **params)` is the native form, which must agree.
    """

    takes: tuple[tuple[str, ...], ...]
    """Accepted types per input; the first of each is what a column without any value becomes."""
    gives: str
    """A type, `=0` for the type of input 0 (and so on), or `=to` for the parameter `to`."""
    numpy: Callable[..., Any]
    polars: Callable[..., Any] | None = None
    params: tuple[str, ...] = ()
    """Parameters, fitted values and lookup structures that both forms are given."""
    same: tuple[int, ...] = ()
    """Inputs that must have one type; int and float meet at float."""
    sees_nulls: bool = False
    nan_is_false: bool = False
    """False wherever an input is NaN, as IEEE 754 wants; polars puts NaN above all numbers instead."""
    many: bool = False
    """Any number of inputs, all as the first."""
    analyzer: str = ""
    """Name in `analyzers.ANALYZERS` of what is fitted to input 0 before the operation can run."""
    prepare: Callable[[Params], Params] | None = None
    """Adds lookup structures to params and fitted values, once per loaded graph."""

    def accepts(self, position: int) -> tuple[str, ...]:
        """Types accepted at this input."""
        return self.takes[0 if self.many else position]

    def arguments(self, params: Params) -> dict[str, Any]:
        """What the two forms are given besides their inputs."""
        return {name: params[name] for name in self.params}

    def result(self, params: Params, types: list[str]) -> str:
        """Type of the result."""
        if self.gives == "=to":
            return str(params["to"])
        return types[int(self.gives[1:])] if self.gives.startswith("=") else self.gives

    def unify(self, columns: tuple[T, ...], convert: Callable[[T, str], T]) -> tuple[T, ...]:
        """`columns` with those of `same` brought to one type, where int meets float or an empty column."""
        types = {columns[i].type for i in self.same} - {"empty"}
        meet = "float" if types == {"int", "float"} else min(types, default="empty")
        if len(types) > 1 and types != {"int", "float"}:
            meet = columns[self.same[0]].type
        return tuple(convert(c, meet) if i in self.same else c for i, c in enumerate(columns))


def cast_problem(source: str, to: str) -> str:
    """Why a column of type `source` cannot be cast to `to`; empty when it can."""
    if source in (to, "empty") or (source, to) in CASTS:
        return ""
    return f"there is no cast from {source} to {to}"


def buckets_of(texts: Array, buckets: int) -> Array:
    """The number of each text from 0 to `buckets - 1`: the frozen hash of `data.hashing`, modulo."""
    column: Any = pa.array(texts.tolist(), pa.large_string())
    return (hash_column(column) % np.uint64(buckets)).astype(np.int64)


def _cast(x: Values, *, to: str) -> Values:
    data, dtype = x.data, DTYPES[to]
    if data.dtype == object and to != "string":
        parsed = each(_whole_number if to == "int" else _number, data)
        good = np.array([item is not None for item in parsed], dtype=np.bool_)
        return Values(np.array([0 if i is None else i for i in parsed], dtype=dtype), x.valid & good)
    if to == "string":
        return Values(objects([_text(item) for item in data.tolist()]), x.valid)
    if to == "int" and data.dtype == np.float64:
        fits = (data >= -(2.0**63)) & (data < 2.0**63)
        return Values(np.where(fits, data, 0).astype(np.int64), x.valid & fits)
    return Values(data.astype(dtype), x.valid)


_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,30}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def _whole_number(text: str) -> int | None:
    number = int(text) if _WHOLE_NUMBER.fullmatch(text) else None
    return number if number is not None and -(2**63) <= number < 2**63 else None


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _text(item: Any) -> str:
    return str(item).lower() if isinstance(item, bool) else str(item)


def _and(a: Values, b: Values) -> Values:
    false = (a.valid & ~a.data) | (b.valid & ~b.data)
    return Values(a.data & b.data & a.valid & b.valid, (a.valid & b.valid) | false)


def _or(a: Values, b: Values) -> Values:
    true = (a.valid & a.data) | (b.valid & b.data)
    return Values(true, (a.valid & b.valid) | true)


def _where(condition: Values, a: Values, b: Values) -> Values:
    chosen = condition.data & condition.valid
    return Values(np.where(chosen, a.data, b.data), np.where(chosen, a.valid, b.valid))


def _where_native(condition: Any, a: Any, b: Any) -> Any:
    import polars as pl

    return pl.when(condition).then(a).otherwise(b)


def _fill_null(x: Values, value: Values) -> Values:
    return Values(np.where(x.valid, x.data, value.data), x.valid | value.valid)


def _from_unix(seconds: Array) -> Values:
    fits = (seconds >= FIRST_SECOND) & (seconds <= LAST_SECOND)
    return Values(np.where(fits, seconds, 0) * 1_000_000, fits)


def _day(x: Array) -> Array:
    stamps = x.view("M8[us]")
    since_first: Array = stamps.astype("M8[D]") - stamps.astype("M8[M]").astype("M8[D]")
    return since_first.astype(np.int64) + 1


def _month(x: Array) -> Array:
    months: Array = x.view("M8[us]").astype("M8[M]").astype(np.int64)
    return months % 12 + 1


def _concat(*texts: Array, separator: str) -> Array:
    return objects([separator.join(parts) for parts in zip(*texts, strict=True)])


def _concat_native(*texts: Any, separator: str) -> Any:
    import polars as pl

    return pl.concat_str(*texts, separator=separator)


def _scaled(x: Array, *, center: float, width: float) -> Array:
    """A column without spread becomes 0."""
    return (x - center) / (width or 1.0)


def _bucket(x: Array, *, edges: Array) -> Values:
    return Values(np.searchsorted(edges, x, side="right").astype(np.int64), ~np.isnan(x))


def _vocabulary(x: Array, *, index: Mapping[str, int], oov_buckets: int, default: int) -> Array:
    places = np.array([index.get(text, -1) for text in x.tolist()], dtype=np.int64)
    unknown = places < 0
    if not oov_buckets:
        return np.where(unknown, default, places)
    places[unknown] = len(index) + buckets_of(x[unknown], oov_buckets)
    return places


def _with_edges(params: Params) -> Params:
    return {**params, "edges": np.array(params["boundaries"], dtype=np.float64)}


def _with_index(params: Params) -> Params:
    return {**params, "index": {text: i for i, text in enumerate(params["values"])}}


def _arithmetic(operation: Callable[[Any, Any], Any]) -> Op:
    return Op((NUMBER, NUMBER), "=0", operation, operation, same=(0, 1))


def _comparison(compare: Callable[[Any, Any], Any], takes: tuple[str, ...] = ORDERED) -> Op:
    return Op((takes, takes), "bool", compare, compare, same=(0, 1), nan_is_false=True)


def _scaling(analyzer: str) -> Op:
    return Op((FLOAT,), "float", _scaled, params=("center", "width"), analyzer=analyzer)


OPS: dict[str, Op] = {
    "add": _arithmetic(operator.add),
    "sub": _arithmetic(operator.sub),
    "mul": _arithmetic(operator.mul),
    # no native division: polars multiplies by the reciprocal of a constant, which rounds differently
    "div": Op((NUMBER, NUMBER), "float", operator.truediv, same=(0, 1)),
    "abs": Op((NUMBER,), "=0", np.abs, lambda x: x.abs()),
    "log1p": Op((FLOAT,), "float", np.log1p, lambda x: x.log1p()),
    "clip": Op(
        (NUMBER,),
        "=0",
        lambda x, lower, upper: np.clip(x, lower, upper),
        lambda x, lower, upper: x.clip(lower, upper),
        params=("lower", "upper"),
    ),
    "eq": _comparison(operator.eq, ANY),
    "lt": _comparison(operator.lt),
    "le": _comparison(operator.le),
    "gt": _comparison(operator.gt),
    "ge": _comparison(operator.ge),
    "and": Op((BOOL, BOOL), "bool", _and, operator.and_, sees_nulls=True),
    "or": Op((BOOL, BOOL), "bool", _or, operator.or_, sees_nulls=True),
    "not": Op((BOOL,), "bool", np.logical_not, operator.invert),
    "where": Op((BOOL, ANY, ANY), "=1", _where, _where_native, same=(1, 2), sees_nulls=True),
    "is_null": Op((EVERY,), "bool", lambda x: all_valid(~x.valid), lambda x: x.is_null(), sees_nulls=True),
    "fill_null": Op(
        (ANY, ANY), "=0", _fill_null, lambda x, value: x.fill_null(value), same=(0, 1), sees_nulls=True
    ),
    "cast": Op((EVERY,), "=to", _cast, params=("to",), sees_nulls=True),
    "lower": Op((TEXT,), "string", lambda x: objects(each(str.lower, x))),
    "concat": Op((TEXT,), "string", _concat, _concat_native, params=("separator",), many=True),
    "hash_bucket": Op((TEXT,), "int", buckets_of, params=("buckets",)),
    "from_unix": Op((("int",),), "timestamp", _from_unix),
    "hour": Op((TIME,), "int", lambda x: x // HOUR % 24, lambda x: x.dt.hour()),
    "weekday": Op((TIME,), "int", lambda x: (x // DAY + 3) % 7 + 1, lambda x: x.dt.weekday()),
    "day": Op((TIME,), "int", _day, lambda x: x.dt.day()),
    "month": Op((TIME,), "int", _month, lambda x: x.dt.month()),
    "scale_to_z_score": _scaling("moments"),
    "scale_to_0_1": _scaling("range"),
    "bucketize": Op((FLOAT,), "int", _bucket, params=("edges",), analyzer="quantiles", prepare=_with_edges),
    "apply_buckets": Op((FLOAT,), "int", _bucket, params=("edges",), prepare=_with_edges),
    "vocabulary": Op(
        (TEXT,),
        "int",
        _vocabulary,
        params=("index", "oov_buckets", "default"),
        analyzer="vocabulary",
        prepare=_with_index,
    ),
}
"""Every operation but `input` and `constant`, which only bring values in."""


def op_of(name: str) -> Op:
    """The entry called `name`; DataError with a suggestion when this tidemill has none."""
    if name not in OPS:
        raise DataError(f"the transform graph uses the operation {name!r}", hint=did_you_mean(name, OPS))
    return OPS[name]
