"""The functions of a preprocessing_fn that look at one row: numbers, choices, times and text.

What they compute is defined in `ops`. Null in, null out, unless it says otherwise. Functions of one number or
one text take a list column too, and work on each value; they are marked "lists too".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tidemill.data.transform.column import Column, Scalar, apply, as_float, problem, promote, to_type
from tidemill.data.transform.regex import compiled
from tidemill.errors import DataError

Castable = Literal["int", "float", "string", "bool"]


def label(column: Column) -> Column:
    """`column`, and the note that serving does not have its raw columns.

    Every output that is computed from one of them belongs to training alone: it is not among
    `FittedGraph.features`, and no server asks for it.
    """
    names = [name for name in column._tracer.raw_of(column.id) if name not in column._tracer.labels]
    column._tracer.labels.extend(names)
    return column


def where(condition: Column, a: Column | Scalar, b: Column | Scalar) -> Column:
    """`a` in rows where `condition` is true, else `b`; a null condition chooses `b`."""
    return apply("where", condition, a, b)


def is_null(column: Column) -> Column:
    """True where there is no value. NaN is a value."""
    return apply("is_null", column)


def is_nan(column: Column) -> Column:
    """True where a float is NaN."""
    return apply("is_nan", promote(column, "float"))


def is_finite(column: Column) -> Column:
    """True where a float is neither NaN nor infinite."""
    return apply("is_finite", promote(column, "float"))


def is_in(column: Column, values: Sequence[Scalar]) -> Column:
    """True where the value is one of `values`, which are of the column's type. NaN is in nothing."""
    given = list(values)
    if column.type == "float":
        given = [float(value) if type(value) is int else value for value in given]
    kinds = {"int": int, "float": float, "string": str, "bool": bool}
    for value in given:
        if type(value) is not kinds.get(column.type):
            raise problem(f"is_in: {value!r} is not of the column's type {column.type}")
        if isinstance(value, float) and value - value != 0:
            raise problem(f"is_in: {value} cannot be a constant", hint="use is_nan or is_finite")
    return apply("is_in", column, values=given)


def fill_null(column: Column, value: Column | Scalar) -> Column:
    """`column`, with `value` where it is null. NaN stays."""
    return apply("fill_null", column, value)


def fill_nan(column: Column, value: float | None = None) -> Column:
    """`column`, with `value` (null by default) where it is NaN. Null stays."""
    column = promote(column, "float")
    return where(is_nan(column), null_like(column) if value is None else value, column)


def null_like(column: Column) -> Column:
    """A column of the same type that has no value in any row."""
    return column._tracer.add("constant", (), {"value": None}, column.type)


def cast(column: Column, to: Castable) -> Column:
    """`column` as int, float, string or bool; null where a value has no form in that type. Lists too.

    Float to int cuts towards zero; NaN, infinities and what exceeds 64 bits become null. Text must be
    a plain decimal number, without spaces. Numbers become text as Python writes them, bools become
    `true` and `false` (or 1 and 0), an int is a true bool when it is not 0.
    """
    return to_type(column, to)


def minimum(a: Column | Scalar, b: Column | Scalar) -> Column:
    """The smaller of two numbers of a row; NaN where either is."""
    return apply("minimum", a, b)


def maximum(a: Column | Scalar, b: Column | Scalar) -> Column:
    """The larger of two numbers of a row; NaN where either is."""
    return apply("maximum", a, b)


def clip(column: Column, lower: float | None = None, upper: float | None = None) -> Column:
    """`column` kept between `lower` and `upper`; None leaves a side open, NaN stays NaN. Lists too."""
    if lower is None and upper is None:
        raise problem("clip needs lower, upper or both")
    if lower is not None and upper is not None and lower > upper:
        raise problem(f"clip: lower {lower} is above upper {upper}")
    bounds = [bound for bound in (lower, upper) if bound is not None]
    if column.type not in ("int", "list[int]") or any(isinstance(bound, float) for bound in bounds):
        column = promote(column, "float")
        lower, upper = (None if bound is None else float(bound) for bound in (lower, upper))
    return apply("clip", column, lower=lower, upper=upper)


def sign(column: Column) -> Column:
    """-1, 0 or 1; NaN for NaN. Lists too."""
    return apply("sign", column)


def exp(column: Column) -> Column:
    """e to the power of x. Lists too."""
    return apply("exp", promote(column, "float"))


def log(column: Column) -> Column:
    """Natural logarithm: -inf at 0, NaN below. Lists too."""
    return apply("log", promote(column, "float"))


def log1p(column: Column) -> Column:
    """Natural logarithm of 1 + x: -inf at -1, NaN below. Lists too."""
    return apply("log1p", promote(column, "float"))


def sqrt(column: Column) -> Column:
    """Square root: NaN below 0. Lists too."""
    return apply("sqrt", promote(column, "float"))


def pow(base: Column | Scalar, exponent: Column | Scalar) -> Column:
    """`base` to the power of `exponent`, as floats; also `base ** exponent`. NaN where it is not real."""
    return apply("pow", as_float(base), as_float(exponent))


def floor(column: Column) -> Column:
    """The largest whole number that is not above x, as float. Lists too."""
    return apply("floor", promote(column, "float"))


def ceil(column: Column) -> Column:
    """The smallest whole number that is not below x, as float. Lists too."""
    return apply("ceil", promote(column, "float"))


def round(column: Column, decimals: int = 0) -> Column:
    """x with `decimals` (-15 to 15) digits after the point, as float; a half goes to the even digit.

    Lists too.
    """
    if not -15 <= decimals <= 15:
        raise problem(f"round: {decimals} decimals are more than a float has")
    return apply("round", promote(column, "float"), decimals=decimals)


def from_unix(column: Column) -> Column:
    """Int seconds since 1970-01-01 UTC as a timestamp; null outside the years 1 to 9999."""
    return apply("from_unix", column)


def to_unix(column: Column) -> Column:
    """A timestamp as whole seconds since 1970-01-01 UTC, rounded down."""
    return apply("to_unix", column)


def year(column: Column) -> Column:
    """Year of a timestamp in UTC."""
    return apply("year", column)


def month(column: Column) -> Column:
    """Month of a timestamp in UTC, 1 to 12."""
    return apply("month", column)


def day(column: Column) -> Column:
    """Day of the month of a timestamp in UTC, 1 to 31."""
    return apply("day", column)


def day_of_year(column: Column) -> Column:
    """Day of the year of a timestamp in UTC, 1 to 366."""
    return apply("day_of_year", column)


def weekday(column: Column) -> Column:
    """Day of the week of a timestamp in UTC: 1 for Monday to 7 for Sunday (ISO 8601)."""
    return apply("weekday", column)


def hour(column: Column) -> Column:
    """Hour of a timestamp in UTC, 0 to 23."""
    return apply("hour", column)


def minute(column: Column) -> Column:
    """Minute of a timestamp, 0 to 59."""
    return apply("minute", column)


def second(column: Column) -> Column:
    """Second of a timestamp, 0 to 59."""
    return apply("second", column)


def lower(column: Column) -> Column:
    """Text in lower case, by Python's `str.lower`. Lists too."""
    return apply("lower", column)


def upper(column: Column) -> Column:
    """Text in upper case, by Python's `str.upper`. Lists too."""
    return apply("upper", column)


def strip(column: Column) -> Column:
    """Text without ASCII white space at its ends. Lists too."""
    return apply("strip", column)


def text_length(column: Column) -> Column:
    """How many code points a text has. Lists too."""
    return apply("text_length", column)


def substring(column: Column, start: int, length: int) -> Column:
    """At most `length` code points of a text, from place `start` on, counted from 0. Lists too."""
    if start < 0 or length < 0:
        raise problem(f"substring counts from 0: start {start}, length {length}")
    return apply("substring", column, start=start, length=length)


def contains(column: Column, text: str) -> Column:
    """True where `text` occurs, letter by letter."""
    return apply("contains", column, text=text)


def concat(*columns: Column | str, separator: str = "") -> Column:
    """The texts of `columns` joined with `separator`."""
    return apply("concat", *columns, separator=separator)


def split(column: Column, separator: str = "") -> Column:
    """The parts of a text between `separator` (ASCII white space by default), as a list; no empty parts."""
    return apply("split", column, separator=separator)


def regex_full_match(column: Column, pattern: str) -> Column:
    """True where the whole text matches. Patterns are those that RE2 and Python read alike: see `regex`."""
    return apply("regex_full_match", column, pattern=_pattern(pattern))


def regex_extract(column: Column, pattern: str, group: int = 0) -> Column:
    """The first match (or `group` of it); null without one. Lists too."""
    groups = compiled(_pattern(pattern)).groups
    if not 0 <= group <= groups:
        raise problem(f"regex_extract: {pattern!r} has {groups} groups, and group {group} is asked for")
    return apply("regex_extract", column, pattern=pattern, group=group)


def regex_replace(column: Column, pattern: str, replacement: str) -> Column:
    """Text with `replacement`, taken as it is, for each match. Lists too."""
    return apply("regex_replace", column, pattern=_pattern(pattern), replacement=replacement)


def hash_bucket(column: Column, buckets: int) -> Column:
    """A number from 0 to `buckets - 1` for each text (or int): the frozen hash of `data.hashing`, modulo.

    Lists too.
    """
    if buckets < 1:
        raise problem(f"hash_bucket needs at least 1 bucket, not {buckets}")
    return apply("hash_bucket", as_text(column), buckets=buckets)


def cross(*columns: Column, buckets: int) -> Column:
    """A number from 0 to `buckets - 1` for each combination of texts (or ints) of a row."""
    if len(columns) < 2:
        raise problem("cross takes two columns or more")
    return hash_bucket(concat(*(as_text(column) for column in columns), separator="\x1f"), buckets)


def as_text(column: Column) -> Column:
    """An int column as text; anything else as it is."""
    return to_type(column, "string") if column.type in ("int", "list[int]") else column


def _pattern(pattern: str) -> str:
    try:
        compiled(pattern)
    except DataError as error:
        raise problem(error.message, hint=error.hint) from None
    return pattern
