"""Property values: MLMD's `Value` message to the columns of a property row, and back.

Source: google/ml-metadata. A struct is text, `mlmd-struct::` and the base64 of the serialised message; a
proto is the base64 of the serialised `Any`, in the column `proto_value`.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from typing import Any

from tidemill.metadata.model import PropertyType
from tidemill.metadata.sql.mlmd.kinds import Message
from tidemill.metadata.sql.mlmd.refusal import invalid

COLUMNS = "int_value, double_value, string_value, proto_value, bool_value"

Columns = tuple[int | None, float | None, str | None, bytes | None, bool | None]
"""One property's value, in the order of COLUMNS; one of them is not None."""

STRUCT = "mlmd-struct::"
"""Begins the text of a struct."""

_NAMES = tuple(COLUMNS.split(", "))

_KINDS = {
    "int_value": PropertyType.INT,
    "double_value": PropertyType.DOUBLE,
    "string_value": PropertyType.STRING,
    "struct_value": PropertyType.STRUCT,
    "proto_value": PropertyType.PROTO,
    "bool_value": PropertyType.BOOLEAN,
}


Row = tuple[int, str, bool, int | None, float | None, str | None, bytes | None, bool | None]
"""A property row: the node's id, the name, whether it is custom, and the columns."""

Groups = dict[tuple[str, bool, str], list[Any]]
"""(name, whether it is custom, column) -> node id, value, node id, value, ..."""


def add_rows(rows: list[Row], node_id: int, properties: Message, declared: Mapping[str, int] | None) -> None:
    """Add a node's properties as rows: declared ones, which are checked, or custom ones (None)."""
    custom = declared is None
    for name in properties:
        value = properties[name]
        if declared is not None and _KINDS.get(value.WhichOneof("value")) != declared.get(name):
            check_declared(name, value, declared)
        rows.append((node_id, name, custom, *to_columns(name, value)))


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
            which, stored = next(
                (c, v) for c, v in zip(_NAMES, to_columns(name, value), strict=True) if v is not None
            )
        try:
            groups[name, custom, which] += (node_id, stored)
        except KeyError:
            groups[name, custom, which] = [node_id, stored]


def rows_of(groups: Groups) -> list[Row]:
    """The property rows in groups."""
    rows: list[Any] = []
    for (name, custom, column), pairs in groups.items():
        place = _NAMES.index(column)
        before, after = (None,) * place, (None,) * (len(_NAMES) - place - 1)
        for i in range(0, len(pairs), 2):
            rows.append((pairs[i], name, custom, *before, pairs[i + 1], *after))
    return rows


def check_declared(name: str, value: Message, declared: Mapping[str, int]) -> None:
    """Refuse a property that the type does not declare, or declares as something else."""
    kind = declared.get(name)
    if kind is None:
        raise invalid(f"Found unknown property: {name}. The type declares {', '.join(declared) or 'none'}")
    which = value.WhichOneof("value")
    if which is None or _KINDS[which] != kind:
        found = _KINDS[which].name if which else "no value"
        raise invalid(f"Found unmatched property type: {name} is {PropertyType(kind).name}, not {found}")


def to_columns(name: str, value: Message) -> Columns:
    """The columns of one value. Refused: no value, NaN, an `Any` without a type."""
    which = value.WhichOneof("value")
    if which == "string_value":
        return (None, None, value.string_value, None, None)
    if which == "int_value":
        return (value.int_value, None, None, None, None)
    if which == "double_value":
        if math.isnan(value.double_value):
            raise invalid(f"Property {name} is NaN, which SQL cannot keep: leave it out, or store it as text")
        return (None, value.double_value, None, None, None)
    if which == "bool_value":
        return (None, None, None, None, value.bool_value)
    if which == "struct_value":
        packed = value.struct_value.SerializeToString(deterministic=True)
        return (None, None, STRUCT + base64.b64encode(packed).decode(), None, None)
    if which == "proto_value":
        if not value.proto_value.type_url:
            raise invalid(f"Property {name} is a proto without type_url: use Pack() to set it")
        return (None, None, None, base64.b64encode(value.proto_value.SerializeToString()), None)
    raise invalid(f"Found unmatched property type: {name} has no value")


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
