"""Operations on numbers, truth values and nulls. Integer overflow wraps around, floats follow IEEE 754.

Logarithms and powers have no native polars form: two libraries round them differently.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tidemill.data.transform.cast import cast_values
from tidemill.data.transform.op import ANY, BOOL, EVERY, FLOAT, NUMBER, ORDERED, Op
from tidemill.data.transform.values import Array, Values, all_valid


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


def _round(x: Array, *, decimals: int) -> Array:
    """To even at a half. Values so large that scaling them would overflow are whole already."""
    if decimals == 0:
        return np.rint(x)
    factor = 10.0**decimals
    scaled = x * factor
    return np.where(np.isfinite(scaled), np.rint(scaled) / factor, x)


def _mod(x: Array, divisor: Array) -> Values:
    """With the sign of the divisor, as in Python; null where an int is divided by 0."""
    if x.dtype == np.int64:
        zero = divisor == 0
        return Values(np.mod(x, np.where(zero, 1, divisor)), ~zero)
    return all_valid(np.mod(x, divisor))


def _is_in(x: Array, *, values: list[Any]) -> Array:
    if x.dtype == object:
        known = set(values)
        return np.array([item in known for item in x.tolist()], dtype=np.bool_)
    found = np.zeros(len(x), dtype=np.bool_)
    for value in values:
        found |= x == value
    return found


def _larger(x: Array, y: Array) -> Array:
    return np.where((x >= y) | np.isnan(x), x, y)


def _smaller(x: Array, y: Array) -> Array:
    return np.where((x <= y) | np.isnan(x), x, y)


def _math(function: Callable[[Array], Array], native: Callable[[Any], Any] | None = None) -> Op:
    return Op((FLOAT,), "float", function, native, lifts=True)


def _arithmetic(operation: Callable[[Any, Any], Any]) -> Op:
    return Op((NUMBER, NUMBER), "=0", operation, operation, same=(0, 1))


def _comparison(compare: Callable[[Any, Any], Any], takes: tuple[str, ...] = ORDERED) -> Op:
    return Op((takes, takes), "bool", compare, compare, same=(0, 1), nan_is_false=True)


OPS: dict[str, Op] = {
    "add": _arithmetic(operator.add),
    "sub": _arithmetic(operator.sub),
    "mul": _arithmetic(operator.mul),
    # no native division: polars multiplies by the reciprocal of a constant, which rounds differently
    "div": Op((NUMBER, NUMBER), "float", operator.truediv, same=(0, 1)),
    "mod": Op((NUMBER, NUMBER), "=0", _mod, same=(0, 1)),
    "minimum": Op((NUMBER, NUMBER), "=0", _smaller, same=(0, 1)),
    "maximum": Op((NUMBER, NUMBER), "=0", _larger, same=(0, 1)),
    "pow": Op((FLOAT, FLOAT), "float", np.power, same=(0, 1)),
    "abs": Op((NUMBER,), "=0", np.abs, lambda x: x.abs(), lifts=True),
    "sign": Op((NUMBER,), "=0", np.sign, lifts=True),
    "exp": _math(np.exp),
    "log": _math(np.log),
    "log1p": _math(np.log1p),
    "sqrt": _math(np.sqrt, lambda x: x.sqrt()),
    "floor": _math(np.floor, lambda x: x.floor()),
    "ceil": _math(np.ceil, lambda x: x.ceil()),
    "round": Op((FLOAT,), "float", _round, params=("decimals",), lifts=True),
    "clip": Op(
        (NUMBER,),
        "=0",
        lambda x, lower, upper: np.clip(x, lower, upper),
        lambda x, lower, upper: x.clip(lower, upper),
        params=("lower", "upper"),
        lifts=True,
    ),
    "is_nan": Op((FLOAT,), "bool", np.isnan, lambda x: x.is_nan()),
    "is_finite": Op((FLOAT,), "bool", np.isfinite, lambda x: x.is_finite()),
    "eq": _comparison(operator.eq, ANY),
    "lt": _comparison(operator.lt),
    "le": _comparison(operator.le),
    "gt": _comparison(operator.gt),
    "ge": _comparison(operator.ge),
    "is_in": Op((("float", "int", "string", "bool"),), "bool", _is_in, params=("values",)),
    "and": Op((BOOL, BOOL), "bool", _and, operator.and_, sees_nulls=True),
    "or": Op((BOOL, BOOL), "bool", _or, operator.or_, sees_nulls=True),
    "not": Op((BOOL,), "bool", np.logical_not, operator.invert),
    "where": Op((BOOL, ANY, ANY), "=1", _where, _where_native, same=(1, 2), sees_nulls=True),
    "is_null": Op((EVERY,), "bool", lambda x: all_valid(~x.valid), lambda x: x.is_null(), sees_nulls=True),
    "fill_null": Op(
        (ANY, ANY), "=0", _fill_null, lambda x, value: x.fill_null(value), same=(0, 1), sees_nulls=True
    ),
    "cast": Op(((*ANY, "empty"),), "=to", cast_values, params=("to",), sees_nulls=True, lifts=True),
}
