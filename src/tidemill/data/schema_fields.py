"""What may stand in each field of a schema, and which fields go together.

Used on what people wrote in a file and on schemas that were made by converters or code; the words of
an error are the same, only the file's reader adds a line.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from tidemill.data.schema import (
    SCHEMA_KINDS,
    STAGES,
    ColumnSchema,
    Comparator,
    FalseAlarm,
    Schema,
)
from tidemill.errors import DataError


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with a field of a column."""

    key: tuple[str, ...]
    what: str
    hint: str = ""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value - value == 0


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _is_from_zero(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


Check = tuple[Callable[[Any], bool], str]
_SHARE: Check = (_is_share, "a number from 0 to 1")
_COUNT: Check = (_is_count, "a whole number from 0")
_POSITIVE: Check = (_is_from_zero, "a number from 0")
_BOOL: Check = (_is_bool, "true or false")
_TEXT: Check = (_is_text, "a text")
_BOUND: Check = (
    lambda value: _is_number(value) or (_is_text(value) and moment(value) is not None),
    "a finite number",
)

CHECKS: Mapping[str, Check] = {
    "type": (lambda value: value in SCHEMA_KINDS, f"one of {', '.join(SCHEMA_KINDS)}"),
    "stage": (lambda value: value in STAGES, f"one of {', '.join(STAGES)}"),
    "severity": (lambda value: value in ("error", "warning"), "error or warning"),
    "text_of": (lambda value: value in ("int", "float"), "int or float"),
    "version": (lambda value: type(value) is int and value >= 1, "a whole number from 1"),
    "false_alarm": (lambda value: _is_number(value) and 0 < value < 1, "a number above 0 and below 1"),
    "required": _BOOL,
    "allow_nan": _BOOL,
    "allow_infinite": _BOOL,
    "min_fraction": _SHARE,
    "min_domain_mass": _SHARE,
    "min_count": _COUNT,
    "nesting": _COUNT,
    "min_values": _COUNT,
    "max_values": _COUNT,
    "min_unique": _COUNT,
    "max_unique": _COUNT,
    "min_examples": _COUNT,
    "max_examples": _COUNT,
    "min_examples_ratio": _POSITIVE,
    "max_examples_ratio": _POSITIVE,
    "linf": _SHARE,
    "jsd": _SHARE,
    "ks": _SHARE,
    "chi2": _SHARE,
    "nad": _SHARE,
    "missing": _SHARE,
    "psi": _POSITIVE,
    "wasserstein": _POSITIVE,
    "min": _BOUND,
    "max": _BOUND,
    "true_value": _TEXT,
    "false_value": _TEXT,
    "expect": _TEXT,
    "column": _TEXT,
    "description": _TEXT,
}
"""Field -> whether a value may stand in it, and the words for what may."""

LISTS = ("in_environment", "not_in_environment", "environments", "domain", "shape")
TEXT_FIELDS = ("in_environment", "not_in_environment", "environments", "domain", "true_value", "false_value",
               "expect", "column", "description", "severity", "text_of")  # fmt: skip

_ONLY_FOR: Mapping[str, tuple[str, ...]] = {
    "min": ("int", "float", "timestamp"),
    "max": ("int", "float", "timestamp"),
    "allow_nan": ("float",),
    "allow_infinite": ("float",),
    "domain": ("string",),
    "min_domain_mass": ("string",),
    "bool_domain": ("int", "float", "string"),
    "text_of": ("string",),
    "min_unique": ("string", "int", "bool", "any"),
    "max_unique": ("string", "int", "bool", "any"),
    "drift": ("int", "float", "string", "bool", "timestamp"),
    "skew": ("int", "float", "string", "bool", "timestamp"),
}
_LIST_FIELDS = ("min_values", "max_values", "shape")
_PAIRS = (("min", "max"), ("min_values", "max_values"), ("min_unique", "max_unique"))


def wrong_field(column: ColumnSchema, name: str) -> Mistake | None:
    """Why a given field is not for a column of this type; None when it is."""
    kinds = _ONLY_FOR.get(name)
    if kinds and column.type not in kinds:
        return Mistake((name,), f"is not for {column.type} columns", f"it is for {', '.join(kinds)}")
    if name in _LIST_FIELDS and not column.nesting:
        return Mistake((name,), "is for columns of lists", "add nesting: 1 if each row holds a list")
    if name in ("min", "max"):
        return _wrong_bound(column, name)
    if name in ("drift", "skew"):
        comparator = getattr(column, name)
        given = [f.name for f in fields(Comparator) if getattr(comparator, f.name, None) is not None]
        for measure in given:
            if measure not in column.measures:
                return Mistake(
                    (name, measure), f"is not for {column.type} columns", f"use {_use(column, measure)}"
                )
    return None


def _wrong_bound(column: ColumnSchema, name: str) -> Mistake | None:
    value = getattr(column, name)
    if column.type == "timestamp" and not isinstance(value, str):
        return Mistake((name,), f"is {value!r}, expected a moment", "write it as '2024-01-31T12:00:00'")
    if column.type != "timestamp" and isinstance(value, str):
        hint = "YAML reads this as text; write the number plainly, as in 0.00001"
        return Mistake((name,), f"is {value!r}, expected a finite number", hint)
    return None


def _use(column: ColumnSchema, measure: str) -> str:
    return "jsd" if measure == "linf" and "jsd" in column.measures else " or ".join(column.measures)


def wrong_together(column: ColumnSchema) -> Mistake | None:
    """What two fields of a column contradict each other in; None when none do."""
    for low, high in _PAIRS:
        least, most = getattr(column, low), getattr(column, high)
        if least is not None and most is not None and _above(least, most):
            return Mistake((high,), f"is {most}, below {low}, which is {least}")
    if both := set(column.in_environment) & set(column.not_in_environment):
        return Mistake(("not_in_environment",), f"names {min(both)!r}, and so does in_environment")
    if column.bool_domain is not None:
        texts = (column.bool_domain.true_value, column.bool_domain.false_value)
        if column.type != "string" and texts != (None, None):
            return Mistake(("bool_domain",), f"has texts, but the column is {column.type}", "write {}")
        if column.type == "string" and (texts[0] == texts[1]):
            return Mistake(("bool_domain",), "needs two different texts", "name true_value and false_value")
        if column.domain is not None:
            return Mistake(("bool_domain",), "cannot stand beside a domain")
    if column.shape is not None and len(column.shape) != column.nesting:
        what = f"has {len(column.shape)} lengths, but nesting is {column.nesting}"
        return Mistake(("shape",), what, "give one length for each level")
    return None


def _above(least: Any, most: Any) -> bool:
    if isinstance(least, str) and isinstance(most, str):
        first, last = moment(least), moment(most)
        return first is not None and last is not None and first > last
    return bool(least > most)


def moment(text: str) -> datetime.datetime | None:
    """An ISO 8601 date or moment in UTC, without a zone; None when it is none.

    Statistics write moments to the microsecond, or finer; what is finer is dropped.
    """
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.astimezone(datetime.UTC).replace(tzinfo=None) if found.tzinfo else found


def check_schema(schema: Schema) -> None:
    """DataError when a schema that no file's reader saw contradicts itself."""
    for name, column in schema.columns.items():
        given = [
            f.name
            for f in fields(ColumnSchema)
            if getattr(column, f.name) != (f.default if f.name != "severity" else {}) and f.name != "type"
        ]
        found = next((m for g in given if (m := wrong_field(column, g))), None) or wrong_together(column)
        if found is not None:
            key = ".".join(("columns", name, *found.key))
            raise DataError(f"{key} {found.what}", hint=found.hint)
        for comparator in (column.drift, column.skew):
            if comparator is not None and isinstance(comparator.nad, FalseAlarm):
                raise DataError(f"columns.{name}: nad has no false-alarm rate", hint="use linf or chi2")
