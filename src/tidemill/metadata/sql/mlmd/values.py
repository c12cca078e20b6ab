"""Property values: MLMD's `Value` message to the columns of a property row, and back.

Source: google/ml-metadata. A struct is text, `mlmd-struct::` and the base64 of the serialised message; a
proto is the base64 of the serialised `Any`, in the column `proto_value`.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tidemill.metadata.model import PropertyType
from tidemill.metadata.sql.mlmd.kinds import Message
from tidemill.metadata.sql.mlmd.refusal import invalid

COLUMNS = "int_value, double_value, string_value, proto_value, bool_value"

Stored = tuple[str, int | float | str | bytes | bool]
"""One property's value: the one of COLUMNS that it stands in, and what stands there."""

_NAMES = tuple(COLUMNS.split(", "))

STRUCT = "mlmd-struct::"
"""Begins the text of a struct."""

_KINDS = {
    "int_value": PropertyType.INT,
    "double_value": PropertyType.DOUBLE,
    "string_value": PropertyType.STRING,
    "struct_value": PropertyType.STRUCT,
    "proto_value": PropertyType.PROTO,
    "bool_value": PropertyType.BOOLEAN,
}


Groups = dict[tuple[str, bool, str], list[Any]]
"""(name, whether it is custom, column) -> node id, value, node id, value, ..."""


def group(groups: Groups, node_id: int, properties: Message, declared: Mapping[str, int] | None) -> None:
    """Add a node's properties: declared ones, which are checked, or custom ones (None)."""
    custom = declared is None
    for name in properties:
        value = properties[name]
        which = value.WhichOneof("value")
        if declared is not None and _KINDS.get(which) != declared.get(name):
            check_declared(name, value, declared)
        if which == "string_value":  # the usual kinds are not worth a call
            stored = value.string_value
        elif which == "int_value":
            stored = value.int_value
        else:
            which, stored = to_stored(name, value)
        key = (name, custom, which)
        if key in groups:
            groups[key] += (node_id, stored)
        else:
            groups[key] = [node_id, stored]


def rows_of(groups: Groups) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """The columns that the groups have values in, and their property rows, sorted by name: the node's id,
    the name, whether it is custom, those columns."""
    columns = tuple(sorted({column for _, _, column in groups}))
    rows: list[tuple[Any, ...]] = []
    for key in sorted(groups):
        name, custom, column = key
        pairs, place = groups[key], columns.index(column)
        before, after = (None,) * place, (None,) * (len(columns) - place - 1)
        for i in range(0, len(pairs), 2):
            rows.append((pairs[i], name, custom, *before, pairs[i + 1], *after))
    return columns, rows


def check_declared(name: str, value: Message, declared: Mapping[str, int]) -> None:
    """Refuse a property that the type does not declare, or declares as something else."""
    kind = declared.get(name)
    if kind is None:
        raise invalid(f"Found unknown property: {name}. The type declares {', '.join(declared) or 'none'}")
    which = value.WhichOneof("value")
    if which is None or _KINDS[which] != kind:
        found = _KINDS[which].name if which else "no value"
        raise invalid(f"Found unmatched property type: {name} is {PropertyType(kind).name}, not {found}")


def to_stored(name: str, value: Message) -> Stored:
    """The column of one value, and what stands there. Refused: no value, NaN, an `Any` without a type."""
    which = value.WhichOneof("value")
    if which in {"string_value", "int_value", "bool_value"}:
        return (which, getattr(value, which))
    if which == "double_value":
        if math.isnan(value.double_value):
            raise invalid(f"Property {name} is NaN, which SQL cannot keep: leave it out, or store it as text")
        return (which, value.double_value)
    if which == "struct_value":
        packed = value.struct_value.SerializeToString(deterministic=True)
        return ("string_value", STRUCT + base64.b64encode(packed).decode())
    if which == "proto_value":
        if not value.proto_value.type_url:
            raise invalid(f"Property {name} is a proto without type_url: use Pack() to set it")
        return (which, base64.b64encode(value.proto_value.SerializeToString()))
    raise invalid(f"Found unmatched property type: {name} has no value")


def stored_in(columns: Sequence[Any]) -> Stored:
    """One property's value, from what COLUMNS have in its row; of no column when it has none."""
    pairs = zip(_NAMES, columns, strict=True)
    column, value = next((pair for pair in pairs if pair[1] is not None), ("", ""))
    if column == "bool_value":
        return column, bool(value)
    return column, value.encode() if column == "proto_value" and isinstance(value, str) else value


def fill(value: Message, stored: int | float | str | bytes | None) -> None:
    """Set a `Value` to what a row has; see properties.StoredRow."""
    if isinstance(stored, str):
        if not (stored.startswith(STRUCT) and _fill_struct(value, stored.removeprefix(STRUCT))):
            value.string_value = stored
    elif isinstance(stored, float):
        value.double_value = stored
    elif isinstance(stored, int):
        value.int_value = stored
    elif stored is not None and len(stored) == 1:
        value.bool_value = stored == b"1"
    elif stored is not None:
        value.proto_value.ParseFromString(base64.b64decode(stored))


def _fill_struct(value: Message, encoded: str) -> bool:
    """Whether the text after the prefix is a struct; a user's own text may begin like one."""
    try:
        value.struct_value.ParseFromString(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError, _decode_error()):
        value.Clear()
        return False
    return True


def _decode_error() -> type[Exception]:
    from google.protobuf.message import DecodeError

    return DecodeError
