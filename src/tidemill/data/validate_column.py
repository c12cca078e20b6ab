"""Holding the statistics of one column against its schema: presence, lists, type, range, domain."""

from __future__ import annotations

import math

from tidemill.data.check import Check, quoted, share_text
from tidemill.data.schema import ColumnSchema
from tidemill.data.schema_fields import moment
from tidemill.data.statistics import BooleanSummary, ColumnStatistics, NumericSummary, StringSummary

_SHOWN = 5


def check_column(check: Check, column: ColumnStatistics, expected: ColumnSchema) -> None:
    """Note every anomaly of a column that exists."""
    _check_presence(check, column, expected)
    if not column.count:
        return
    if not fits(column.type, expected.type):
        long = f"the column is {column.type}, the schema says {expected.type}"
        check.found("UNEXPECTED_DATA_TYPE", column.name, "column has another type", long)
        return
    if column.numeric is not None:
        _check_numbers(check, column, column.numeric, expected)
    if column.timestamp is not None:
        _check_moments(check, column, expected)
    if column.string is not None:
        _check_texts(check, column, column.string, expected)
    _check_unique(check, column, expected)


def fits(found: str, declared: str) -> bool:
    """Whether a column of that type may be where another was declared."""
    return declared == "any" or found in (declared, "empty") or (found == "int" and declared == "float")


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
        long = f"{numbers.nan} of {column.count} values are NaN"
        check.found("FLOAT_TYPE_HAS_NAN", column.name, "values are NaN", long)
    if numbers.infinite and not expected.allow_infinite:
        long = f"{numbers.infinite} of {column.count} values are infinite"
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


def _check_texts(check: Check, column: ColumnStatistics, texts: StringSummary, expected: ColumnSchema) -> None:
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
    allowed = set(domain)
    inside = sum(rows for value, rows in texts.frequencies if value in allowed)
    if inside >= column.count * expected.min_domain_mass:
        return
    outside = [(value, rows) for value, rows in texts.frequencies if value not in allowed]
    shown = ", ".join(f"{quoted(value)} ({rows})" for value, rows in outside[:_SHOWN])
    more = ", ..." if len(outside) > _SHOWN or not texts.complete else ""
    odd = column.count - inside
    long = (
        f"{odd} of {column.count} values ({share_text(odd / column.count)}) are not among the {len(domain)} "
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
    summary: StringSummary | BooleanSummary | None = column.string or column.boolean
    if isinstance(summary, StringSummary):
        return summary.distinct
    return None if summary is None else (summary.true > 0) + (summary.false > 0)
