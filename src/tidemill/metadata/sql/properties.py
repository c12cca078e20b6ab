"""Properties: Python values to the columns of MLMD's property tables, and back.

A row has one value, in the column of its kind. MLMD keeps STRUCT values as text with a prefix, which is
handed out as it is, and PROTO values as bytes, which have no plain form and are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from tidemill.errors import StoreError
from tidemill.metadata.model import Properties, PropertyType, PropertyValue
from tidemill.metadata.sql.database import Row, Transaction

Owner = Literal["Artifact", "Execution", "Context"]
PropertyRow = tuple[int, str, bool, int | None, float | None, str | None, bool | None]
StoredRow = tuple[int, str, bool, Any]
"""(owner id, name, whether it is custom, value): a number, a text or bytes. One byte, `0` or `1`, is a truth
value; more are an encoded proto."""

_INT64 = 2**63
_INFINITIES = {"tidemill-double::inf": math.inf, "tidemill-double::-inf": -math.inf}
"""How infinity is kept where a database has no such number."""


def custom_rows(owner_id: int, properties: Properties) -> list[PropertyRow]:
    """Rows of custom properties, which may have any value."""
    return [_row(owner_id, name, value, custom=True) for name, value in properties.items()]


def declared_rows(
    owner_id: int, properties: Properties, kind_of: Callable[[str], PropertyType]
) -> list[PropertyRow]:
    """Rows of declared properties; StoreError when a value is not of the declared kind."""
    rows = []
    for name, value in properties.items():
        kind = kind_of(name)
        if kind is PropertyType.DOUBLE and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if _kind(value) is not kind:
            raise StoreError(f"property {name!r} is declared {kind.name}, but got {value!r}")
        rows.append(_row(owner_id, name, value, custom=False))
    return rows


def insert_properties(tx: Transaction, owner: Owner, rows: list[PropertyRow]) -> None:
    """Store rows made by the functions above."""
    if not tx.dialect.keeps_infinity:
        rows = [_with_infinity_as_text(row) for row in rows]
    tx.insert_rows(
        f"{owner}Property",
        f"{owner.lower()}_id, name, is_custom_property, int_value, double_value, string_value, bool_value",
        rows,
    )


def read_properties(
    tx: Transaction, owner: Owner, ids: Iterable[int]
) -> dict[int, tuple[dict[str, PropertyValue], dict[str, PropertyValue]]]:
    """Declared and custom properties by owner id, with an entry for every id."""
    found: dict[int, tuple[dict[str, PropertyValue], dict[str, PropertyValue]]] = {i: ({}, {}) for i in ids}
    for owner_id, name, custom, value in property_rows(tx, owner, found):
        if type(value) is bytes:
            if len(value) > 1:
                continue
            value = value == b"1"
        elif type(value) is str:
            value = _INFINITIES.get(value, value)
        if value is not None:
            found[owner_id][1 if custom else 0][name] = value
    return found


def property_rows(tx: Transaction, owner: str, ids: Iterable[int]) -> Iterator[StoredRow]:
    """The property rows of owners, each owner's in order of names.

    The caller asks nothing else until it has them all.
    """
    column = f"{owner.lower()}_id"
    value = "int_value, double_value, string_value"
    others = "bool_value, proto_value"
    if tx.dialect.mixes_types:  # what is not fetched need not become an object
        other = "CASE WHEN bool_value IS NULL THEN proto_value ELSE bool_value END"
        value, others = f"COALESCE({value}, CAST({other} AS BLOB))", ""
    rows = tx.each_in(
        f"SELECT {column}, name, is_custom_property, {value}{', ' if others else ''}{others} "
        f"FROM {owner}Property WHERE {column} IN ({{ids}}) ORDER BY {column}, name, is_custom_property",
        ids,
    )
    return map(_folded, rows) if others else rows


def _folded(row: Row) -> StoredRow:
    owner_id, name, custom, *values, truth, proto = row
    value = next((v for v in values if v is not None), None)
    if truth is not None:
        value = b"1" if truth else b"0"
    elif proto is not None:
        value = proto.encode() if isinstance(proto, str) else bytes(proto)
    return owner_id, name, custom, value


def _kind(value: PropertyValue) -> PropertyType:
    if isinstance(value, bool):
        return PropertyType.BOOLEAN
    if isinstance(value, int):
        return PropertyType.INT
    return PropertyType.DOUBLE if isinstance(value, float) else PropertyType.STRING


def _with_infinity_as_text(row: PropertyRow) -> PropertyRow:
    double = row[4]
    if double is None or not math.isinf(double):
        return row
    return (*row[:4], None, f"tidemill-double::{double}", None)


def _row(owner_id: int, name: str, value: PropertyValue, *, custom: bool) -> PropertyRow:
    flag = custom
    if isinstance(value, bool):
        return (owner_id, name, flag, None, None, None, value)
    if isinstance(value, str):
        return (owner_id, name, flag, None, None, str(value), None)
    if isinstance(value, int):
        if not -_INT64 <= value < _INT64:
            raise StoreError(
                f"property {name!r} is too large: {value}", hint="64 bits are kept; store it as text"
            )
        return (owner_id, name, flag, int(value), None, None, None)
    if isinstance(value, float):
        if math.isnan(value):
            raise StoreError(
                f"property {name!r} is NaN, which cannot be stored", hint="leave it out, or store it as text"
            )
        return (owner_id, name, flag, None, float(value), None, None)
    raise StoreError(  # user code is not type-checked
        f"property {name!r} is a {type(value).__name__}", hint="properties are int, float, str or bool"
    )
