"""The few kinds of columns tidemill tells apart, and how text becomes one of them.

Statistics, schemas and `column_types` all use these names. Arrow has many more types; those that
are none of these pass through as `other`: counted, not looked into.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
import pyarrow as pa

from tidemill.data.kinds import KINDS as KINDS
from tidemill.data.kinds import Kind as Kind
from tidemill.errors import DataError, did_you_mean

DECLARABLE: dict[str, pa.DataType] = {
    "int": pa.int64(),
    "float": pa.float64(),
    "string": pa.string(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us"),
}
"""Kinds a user may ask for, and the Arrow type they are stored as."""

_BLANKS = " \t"
_DAY = "%Y-%m-%d"
_MOMENTS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M")
_ZONED = "%Y-%m-%dT%H:%M:%S%.f%#z"


def kind_of(type: pa.DataType) -> Kind:
    """The kind of an Arrow type."""
    if pa.types.is_boolean(type):
        return "bool"
    if pa.types.is_integer(type):
        return "int"
    if pa.types.is_floating(type):
        return "float"
    if pa.types.is_string(type) or pa.types.is_large_string(type):
        return "string"
    if pa.types.is_timestamp(type) or pa.types.is_date(type):
        return "timestamp"
    return "empty" if pa.types.is_null(type) else "other"


def arrow_type(kind: Kind) -> pa.DataType:
    """The Arrow type text of that kind is stored as."""
    return DECLARABLE.get(kind, pa.null())


def parse_text(text: pl.Series, kind: Kind) -> pl.Series:
    """Text as values of a kind; null where it is not one. Shape and order are kept.

    int: digits with an optional sign, within 64 bits. float: decimal or scientific, `nan`, `inf`.
    bool: `true`, `false` in any case. timestamp: ISO 8601 date or date and time; a zone offset is
    applied, so that the result is UTC. empty: every value is refused. Blanks around a value other than text
    do not count.
    """
    if kind in ("int", "float"):
        type = pl.Int64 if kind == "int" else pl.Float64
        values = text.cast(type, strict=False)
        if values.null_count() > text.null_count():
            values = text.str.strip_chars(_BLANKS).cast(type, strict=False)
        return values
    if kind not in ("string", "empty"):
        text = text.str.strip_chars(_BLANKS)
    if kind == "bool":
        lower = text.str.to_lowercase()
        return pl.select(
            pl.when(lower == "true").then(True).when(lower == "false").then(False).otherwise(None)
        ).to_series()
    if kind == "timestamp":
        return _parse_timestamps(text)
    return text if kind == "string" else pl.Series([None] * len(text), dtype=pl.Null)


def _parse_timestamps(text: pl.Series) -> pl.Series:
    if text.null_count() < len(text) and not text.drop_nulls().str.contains(r"^\d{4}-\d\d-\d\d").any():
        return pl.Series([None] * len(text), dtype=pl.Datetime("us"))
    iso = text.str.replace(" ", "T", literal=True)
    found = iso.str.to_datetime(_DAY, strict=False, time_unit="us")
    for form in (*_MOMENTS, _ZONED):
        missing = found.is_null() & iso.is_not_null()
        if not missing.any():
            break
        parsed = iso.str.to_datetime(form, strict=False, time_unit="us")
        if form is _ZONED:
            parsed = parsed.dt.replace_time_zone(None)
        found = found.zip_with(found.is_not_null(), parsed)
    return found


def check_column_types(column_types: Mapping[str, str], columns: Sequence[str]) -> None:
    """DataError when `column_types` names an unknown column or kind."""
    for name, kind in column_types.items():
        if name not in columns:
            raise DataError(
                f"column_types names {name!r}, which is no column", hint=did_you_mean(name, columns)
            )
        if kind not in DECLARABLE:
            raise DataError(
                f"column_types gives {name!r} the unknown type {kind!r}", hint=did_you_mean(kind, DECLARABLE)
            )


class TypeVote:
    """What the values of one text column look like, counted; votes of several files can be merged."""

    def __init__(self) -> None:
        self.values = 0
        self.accepted: dict[Kind, int] = {"int": 0, "float": 0, "bool": 0, "timestamp": 0}

    def add(self, text: pl.Series) -> None:
        """Count the values of one more block of the column."""
        present = text.drop_nulls()
        self.values += len(present)
        for kind in self.accepted:
            accepted = len(present) - parse_text(present, kind).null_count()
            self.accepted[kind] += accepted
            if kind == "int" and accepted == len(present):
                self.accepted["float"] += accepted
                break

    def kinds(self) -> tuple[Kind, Kind | None]:
        """The kind of the column, and None; or `string` and the kind at least half the values have.

        The second form is a column of mixed types: mostly numbers, say, with text between them.
        """
        if not self.values:
            return "empty", None
        for kind, accepted in self.accepted.items():
            if accepted == self.values:
                return kind, None
        likely: Sequence[Kind] = ("int", "float", "bool", "timestamp")
        best = max(likely, key=lambda kind: self.accepted[kind])
        return "string", best if self.accepted[best] * 2 >= self.values else None
