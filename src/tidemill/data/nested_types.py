"""Types that are learned from values: what two parts of one column have in common.

For formats whose files do not say their types. Arrow types only; the words are those of
`column_types`, and nested types follow the same rules inside.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

MOMENT = pa.timestamp("us")


class MixedTypesError(Exception):
    """Two types that no column can have at once."""


def merge_types(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """The type that holds the values of both. MixedTypesError where there is none.

    null and any: any. int and float: float. Time stamp and text: text. string and bytes: bytes. Decimals: the
    larger scale. Lists, item by item; structs, field by field, with the fields of both.
    """
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    pair = {one, other}
    if pair == {pa.int64(), pa.float64()}:
        return pa.float64()
    if pair == {MOMENT, pa.string()}:
        return pa.string()
    if pair == {pa.string(), pa.binary()}:
        return pa.binary()
    if isinstance(one, pa.Decimal128Type) and isinstance(other, pa.Decimal128Type):
        return pa.decimal128(38, max(one.scale, other.scale))
    if isinstance(one, pa.ListType) and isinstance(other, pa.ListType):
        return pa.list_(merge_types(one.value_type, other.value_type))
    if isinstance(one, pa.StructType) and isinstance(other, pa.StructType):
        return pa.struct(list(merge_schemas(pa.schema(list(one)), pa.schema(list(other)))))
    raise MixedTypesError(f"{one} and {other}")


def merge_schemas(one: pa.Schema, other: pa.Schema) -> pa.Schema:
    """The columns of both, those of the first one first. MixedTypesError names the column."""
    types = dict(zip(one.names, one.types, strict=True))
    for name, type in zip(other.names, other.types, strict=True):
        try:
            types[name] = merge_types(types.get(name, pa.null()), type)
        except MixedTypesError as error:
            raise MixedTypesError(f"column {name!r} has both {error}") from None
    return pa.schema(list(types.items()))


def type_of(value: Any) -> pa.DataType:
    """The type of one Python value, as JSON or a database gives it. MixedTypesError for what has none."""
    match value:
        case None:
            return pa.null()
        case bool():
            return pa.bool_()
        case int():
            return pa.int64() if -(2**63) <= value < 2**63 else pa.float64()
        case float():
            return pa.float64()
        case str():
            return pa.string()
        case bytes() | bytearray() | memoryview():
            return pa.binary()
        case datetime.datetime():
            return MOMENT if value.tzinfo is None else pa.timestamp("us", "UTC")
        case datetime.date():
            return pa.date32()
        case datetime.time():
            return pa.time64("us")
        case datetime.timedelta():
            return pa.duration("us")
        case decimal.Decimal():
            exponent = value.as_tuple().exponent
            return pa.decimal128(38, max(0, -exponent) if isinstance(exponent, int) else 0)
        case list() | tuple():
            return pa.list_(common_type(value))
        case dict():
            return pa.struct([(str(key), type_of(item)) for key, item in value.items()])
    raise MixedTypesError(f"{type(value).__name__}, which is no type of a column")


def holds(type: pa.DataType, value: Any) -> bool:
    """Whether a column of that type keeps the value as it is. Arrow is no judge: it makes 1.5 an int."""
    try:
        return merge_types(type, type_of(value)) == type
    except MixedTypesError:
        return False


def exact_array(values: list[Any], type: pa.DataType) -> Any:
    """Python values as an Arrow array of that type. ArrowInvalid when one would have to change for it."""
    natural: Any = pa.array(values)
    return natural if natural.type == type else natural.cast(type)


def common_type(values: Iterable[Any]) -> pa.DataType:
    """The type that holds all of the values. MixedTypesError where there is none."""
    found: pa.DataType = pa.null()
    for value in values:
        found = merge_types(found, type_of(value))
    return found
