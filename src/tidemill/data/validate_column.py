"""Holding the statistics of one column against its schema: presence, lists, type, range, domain."""

from __future__ import annotations

import math

from tidemill.data.check import Check, quoted, share_text
from tidemill.data.schema import ColumnSchema
from tidemill.data.schema_fields import moment
from tidemill.data.seen import value_total
from tidemill.data.statistics import ColumnStatistics, NumericSummary, StringSummary

_SHOWN = 5


def check_column(check: Check, column: ColumnStatistics, expected: ColumnSchema) -> None:
    """Note every anomaly of a column that exists."""
    _check_presence(check, column, expected)
    if not column.count:
        return
    _check_lists(check, column, expected)
    if not fits(column, expected.type):
        kinds = " and ".join(f"{kind} ({rows} rows)" for kind, rows in column.types) or column.type
        long = f"the column is {kinds}, the schema says {expected.type}"
        check.found("UNEXPECTED_DATA_TYPE", column.name, "column has another type", long)
        return
    if column.numeric is not None:
        _check_numbers(check, column, column.numeric, expected)
    if column.timestamp is not None:
        _check_moments(check, column, expected)
    if column.string is not None:
        _check_texts(check, column, column.string, expected)
    _check_unique(check, column, expected)


def fits(column: ColumnStatistics, declared: str) -> bool:
    """Whether a column may be where that type was declared; with files of several types, if all may."""
    kinds = [kind for kind, _ in column.types] or [column.type]
    return declared == "any" or all(
        kind in (declared, "empty") or (kind == "int" and declared == "float") for kind in kinds
    )


def _check_presence(check: Check, column: ColumnStatistics, expected: ColumnSchema) -> None:
    rows = column.count + column.missing
    if not rows or not check.expects(expected):
        return
    if not column.count:
        if expected.min_fraction or expected.min_count:
            least = share_text(expected.min_fraction) if expected.min_fraction else str(expected.min_count)
            long = f"0 of {rows} rows have a value, at least {least} expected"
            check.found("FEATURE_TYPE_NOT_PRESENT", column.name, "no values at all", long)
        return
    if column.fraction_present < expected.min_fraction:
        long = (
            f"{column.count} of {rows} rows have a value ({share_text(column.fraction_present)}), "
            f"at least {share_text(expected.min_fraction)} expected"
        )
        check.found("FEATURE_TYPE_LOW_FRACTION_PRESENT", column.name, "values are missing", long)
    if column.count < expected.min_count:
        long = f"{column.count} of {rows} rows have a value, at least {expected.min_count} expected"
        check.found("FEATURE_TYPE_LOW_NUMBER_PRESENT", column.name, "values are missing", long)


def _check_lists(check: Check, column: ColumnStatistics, expected: ColumnSchema) -> None:
    depth = len(column.valency)
    if depth != expected.nesting:
        if expected.type == "any" and not expected.nesting:
            return
        if not expected.nesting:
            long = "rows hold lists, the schema expects one value; `nesting: 1` would allow lists"
            check.found("FEATURE_TYPE_UNEXPECTED_REPEATED", column.name, "values are lists", long)
            return
        long = f"lists are nested {depth} deep, the schema says {expected.nesting}"
        check.found("VALUE_NESTEDNESS_MISMATCH", column.name, "lists are nested otherwise", long)
        return
    if not depth:
        return
    outer = column.valency[0]
    least, most = expected.min_values, expected.max_values
    if least and not outer.total:
        long = f"all {column.count} lists are empty, at least {least} values expected"
        check.found("FEATURE_TYPE_NO_VALUES", column.name, "lists are empty", long)
    elif least is not None and outer.min is not None and outer.min < least:
        long = f"the shortest list has {outer.min} values, at least {least} expected"
        check.found("FEATURE_TYPE_LOW_NUMBER_VALUES", column.name, "lists too short", long)
    if most is not None and outer.max is not None and outer.max > most:
        long = f"the longest list has {outer.max} values, at most {most} expected"
        check.found("FEATURE_TYPE_HIGH_NUMBER_VALUES", column.name, "lists too long", long)
    _check_shape(check, column, expected)


def _check_shape(check: Check, column: ColumnStatistics, expected: ColumnSchema) -> None:
    if expected.shape is None:
        return
    lengths = [(level.min, level.max) for level in column.valency]
    wrong = next(
        (at for at, (low, high) in enumerate(lengths) if not low == high == expected.shape[at]), None
    )
    if wrong is not None:
        low, high = lengths[wrong]
        long = f"lists of level {wrong + 1} have {low} to {high} values, {expected.shape[wrong]} expected"
    elif column.missing:
        long = f"{column.missing} rows have no list, every row needs one of shape {list(expected.shape)}"
    else:
        return
    check.found("INVALID_FEATURE_SHAPE", column.name, "lists have another shape", long)


def _check_numbers(
    check: Check, column: ColumnStatistics, numbers: NumericSummary, expected: ColumnSchema
) -> None:
    if expected.type == "any":
        return
    if expected.bool_domain is not None:
        _check_zero_or_one(check, column, numbers)
        return
    kind = expected.type.upper()
    least, most = expected.min, expected.max
    if isinstance(least, (int, float)) and numbers.min is not None and numbers.min < least:
        long = f"the smallest value is {numbers.min}, at least {least} expected"
        check.found(f"{kind}_TYPE_SMALL_{kind}", column.name, "value too small", long)
    if isinstance(most, (int, float)) and numbers.max is not None and numbers.max > most:
        long = f"the largest value is {numbers.max}, at most {most} expected"
        check.found(f"{kind}_TYPE_BIG_{kind}", column.name, "value too large", long)
    if numbers.nan and not expected.allow_nan:
        long = f"{numbers.nan} of {value_total(column)} values are NaN"
        check.found("FLOAT_TYPE_HAS_NAN", column.name, "values are NaN", long)
    if numbers.infinite and not expected.allow_infinite:
        long = f"{numbers.infinite} of {value_total(column)} values are infinite"
        check.found("FLOAT_TYPE_HAS_INF", column.name, "values are infinite", long)


def _check_zero_or_one(check: Check, column: ColumnStatistics, numbers: NumericSummary) -> None:
    if column.type == "float":
        inside = next((q for q in numbers.quantiles if q not in (0, 1)), None)
        odd = numbers.nan + numbers.infinite
        if inside is not None or odd:
            shown = f"such as {inside}" if inside is not None else f"{odd} NaN or infinite"
            long = f"values are neither 0 nor 1, {shown}"
            check.found("BOOL_TYPE_UNEXPECTED_FLOAT", column.name, "values are no truth values", long)
        return
    if numbers.min is not None and numbers.min < 0:
        long = f"the smallest value is {numbers.min}, 0 or 1 expected"
        check.found("BOOL_TYPE_SMALL_INT", column.name, "values are no truth values", long)
    if numbers.max is not None and numbers.max > 1:
        long = f"the largest value is {numbers.max}, 0 or 1 expected"
        check.found("BOOL_TYPE_BIG_INT", column.name, "values are no truth values", long)


def _check_moments(check: Check, column: ColumnStatistics, expected: ColumnSchema) -> None:
    assert column.timestamp is not None
    ends = (
        (column.timestamp.min, expected.min, "SMALL", "earliest", "earlier", -1),
        (column.timestamp.max, expected.max, "BIG", "latest", "later", 1),
    )
    for found, bound, size, end, word, sign in ends:
        if found is None or not isinstance(bound, str):
            continue
        seen, limit = moment(found), moment(bound)
        if limit is None:
            continue
        # a moment that Python's calendar does not have lies before the year 1 or after 9999
        beyond = (seen is None and sign == (-1 if found.startswith("-") else 1)) or (
            seen is not None and (seen > limit if sign > 0 else seen < limit)
        )
        if beyond:
            long = f"the {end} moment is {found}, nothing {word} than {bound} expected"
            check.found(f"TIMESTAMP_TYPE_{size}_TIMESTAMP", column.name, f"moments too {word}", long)


def _check_texts(
    check: Check, column: ColumnStatistics, texts: StringSummary, expected: ColumnSchema
) -> None:
    if expected.domain is not None:
        _check_domain(check, column, texts, expected, expected.domain)
    if expected.bool_domain is not None:
        allowed = {expected.bool_domain.true_value, expected.bool_domain.false_value}
        odd = next((value for value, _ in texts.frequencies if value not in allowed), None)
        if odd is not None:
            words = ", ".join(quoted(value) for value in sorted(a for a in allowed if a is not None))
            long = f"values such as {quoted(odd)}, {words} expected"
            check.found("BOOL_TYPE_UNEXPECTED_STRING", column.name, "values are no truth values", long)
    if expected.text_of is not None:
        odd = next((value for value, _ in texts.frequencies if not _reads_as(value, expected.text_of)), None)
        if odd is not None:
            name = "INT_TYPE_NOT_INT_STRING" if expected.text_of == "int" else "FLOAT_TYPE_STRING_NOT_FLOAT"
            long = f"values such as {quoted(odd)} cannot be read as {expected.text_of}"
            check.found(name, column.name, f"texts are not {expected.text_of}", long)


def _reads_as(text: str, kind: str) -> bool:
    """Whether a text is a number of that kind, in ASCII, without spaces or underscores around or in it."""
    if not text.isascii() or "_" in text or text != text.strip():
        return False
    try:
        if kind == "int":
            return -(2**63) <= int(text) < 2**63
        return not math.isinf(float(text)) or "inf" in text.lower()
    except ValueError:
        return False


def _check_domain(
    check: Check,
    column: ColumnStatistics,
    texts: StringSummary,
    expected: ColumnSchema,
    domain: tuple[str, ...],
) -> None:
    allowed, total = set(domain), value_total(column)
    inside = sum(rows for value, rows in texts.frequencies if value in allowed)
    if inside >= total * expected.min_domain_mass:
        return
    outside = [(value, rows) for value, rows in texts.frequencies if value not in allowed]
    shown = ", ".join(f"{quoted(value)} ({rows})" for value, rows in outside[:_SHOWN])
    more = ", ..." if len(outside) > _SHOWN or not texts.complete else ""
    odd = total - inside
    long = (
        f"{odd} of {total} values ({share_text(odd / total)}) are not among the {len(domain)} "
        f"of the domain, {share_text(1 - expected.min_domain_mass)} tolerated: {shown}{more}"
    )
    check.found("ENUM_TYPE_UNEXPECTED_STRING_VALUES", column.name, "values outside the domain", long)


def _check_unique(check: Check, column: ColumnStatistics, expected: ColumnSchema) -> None:
    if expected.min_unique is None and expected.max_unique is None:
        return
    distinct = distinct_values(column)
    if distinct is None:
        long = "the schema bounds its distinct values, but the statistics do not count them"
        check.found("FEATURE_TYPE_NO_UNIQUE", column.name, "distinct values are not counted", long)
        return
    if expected.min_unique is not None and distinct < expected.min_unique:
        long = f"{distinct} distinct values, at least {expected.min_unique} expected"
        check.found("FEATURE_TYPE_LOW_UNIQUE", column.name, "too few distinct values", long)
    if expected.max_unique is not None and distinct > expected.max_unique:
        long = f"{distinct} distinct values, at most {expected.max_unique} expected"
        check.found("FEATURE_TYPE_HIGH_UNIQUE", column.name, "too many distinct values", long)


def distinct_values(column: ColumnStatistics) -> int | None:
    """Number of distinct values; None where the statistics do not count them."""
    if column.boolean is not None:
        return (column.boolean.true > 0) + (column.boolean.false > 0)
    summary = column.string or column.bytes or column.numeric
    return None if summary is None else summary.distinct
