"""The functions of a preprocessing_fn: what users call, documented; each makes one column.

What they compute is defined in `ops`, what they learn from the data in `analyzers`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

from tidemill.data.transform.column import Column, Scalar, apply, problem, promote, to_type

Castable = Literal["int", "float", "string", "bool"]


def where(condition: Column, a: Column | Scalar, b: Column | Scalar) -> Column:
    """`a` in rows where `condition` is true, else `b`; a null condition chooses `b`."""
    return apply("where", condition, a, b)


def is_null(column: Column) -> Column:
    """True where there is no value. NaN is a value."""
    return apply("is_null", column)


def fill_null(column: Column, value: Column | Scalar) -> Column:
    """`column`, with `value` where it is null. NaN stays."""
    return apply("fill_null", column, value)


def cast(column: Column, to: Castable) -> Column:
    """`column` as int, float, string or bool; null where a value has no form in that type.

    Float to int cuts towards zero; NaN, infinities and what exceeds 64 bits become null. Text must be
    a plain decimal number, without spaces. Numbers become text as Python writes them, bools become
    `true` and `false` (or 1 and 0), an int is a true bool when it is not 0.
    """
    return to_type(column, to)


def clip(column: Column, lower: float | None = None, upper: float | None = None) -> Column:
    """`column` kept between `lower` and `upper`; None leaves a side open, NaN stays NaN."""
    if lower is None and upper is None:
        raise problem("clip needs lower, upper or both")
    if lower is not None and upper is not None and lower > upper:
        raise problem(f"clip: lower {lower} is above upper {upper}")
    bounds = [bound for bound in (lower, upper) if bound is not None]
    if column.type != "int" or any(isinstance(bound, float) for bound in bounds):
        column = promote(column, "float")
        lower, upper = (None if bound is None else float(bound) for bound in (lower, upper))
    return apply("clip", column, lower=lower, upper=upper)


def log1p(column: Column) -> Column:
    """Natural logarithm of 1 + x: -inf at -1, NaN below."""
    return apply("log1p", promote(column, "float"))


def from_unix(column: Column) -> Column:
    """Int seconds since 1970-01-01 UTC as a timestamp; null outside the years 1 to 9999."""
    return apply("from_unix", column)


def hour(column: Column) -> Column:
    """Hour of a timestamp in UTC, 0 to 23."""
    return apply("hour", column)


def weekday(column: Column) -> Column:
    """Day of the week of a timestamp in UTC: 1 for Monday to 7 for Sunday (ISO 8601)."""
    return apply("weekday", column)


def day(column: Column) -> Column:
    """Day of the month of a timestamp in UTC, 1 to 31."""
    return apply("day", column)


def month(column: Column) -> Column:
    """Month of a timestamp in UTC, 1 to 12."""
    return apply("month", column)


def lower(column: Column) -> Column:
    """Text in lower case, by Python's `str.lower`."""
    return apply("lower", column)


def concat(*columns: Column | str, separator: str = "") -> Column:
    """The texts of `columns` joined with `separator`."""
    return apply("concat", *columns, separator=separator)


def hash_bucket(column: Column, buckets: int) -> Column:
    """A number from 0 to `buckets - 1` for each text (or int): the frozen hash of `data.hashing`, modulo."""
    if buckets < 1:
        raise problem(f"hash_bucket needs at least 1 bucket, not {buckets}")
    return apply("hash_bucket", _as_text(column), buckets=buckets)


def scale_to_z_score(column: Column) -> Column:
    """(x - mean) / standard deviation, over all analyzed rows; 0 where there is no spread.

    Null, NaN and infinities take no part in the mean and the (population) deviation.
    """
    return apply("scale_to_z_score", promote(column, "float"))


def scale_to_0_1(column: Column) -> Column:
    """(x - min) / (max - min), over all analyzed rows; 0 where all values are equal.

    New values outside the analyzed range give results outside 0 to 1; `clip` them if that matters.
    """
    return apply("scale_to_0_1", promote(column, "float"))


def bucketize(column: Column, buckets: int) -> Column:
    """The quantile bucket of x, 0 to `buckets - 1`, with about as many analyzed rows in each.

    A value on a boundary belongs to the upper bucket; equal boundaries are merged, so that there may
    be fewer buckets. NaN becomes null.
    """
    if buckets < 2:
        raise problem(f"bucketize needs at least 2 buckets, not {buckets}")
    return apply("bucketize", promote(column, "float"), buckets=buckets)


def apply_buckets(column: Column, boundaries: Sequence[float]) -> Column:
    """How many of the ascending `boundaries` are at or below x: 0 to `len(boundaries)`. NaN: null."""
    edges = [float(edge) for edge in boundaries]
    if not edges or any(not a < b for a, b in itertools.pairwise(edges)):
        raise problem(f"apply_buckets needs ascending boundaries, not {list(boundaries)!r}")
    return apply("apply_buckets", promote(column, "float"), boundaries=edges)


def compute_and_apply_vocabulary(
    column: Column,
    *,
    top_k: int | None = None,
    frequency_threshold: int = 1,
    num_oov_buckets: int = 0,
    default_value: int = -1,
) -> Column:
    """The index of each text (or int) in the vocabulary of the analyzed rows, most frequent first.

    `top_k` keeps the most frequent terms, `frequency_threshold` those seen at least that often; terms of
    equal frequency are in code point order. Terms outside the vocabulary get one of `num_oov_buckets`
    stable numbers after its end, or `default_value` when there are no such buckets.
    """
    if (top_k is not None and top_k < 1) or frequency_threshold < 1 or num_oov_buckets < 0:
        raise problem(
            "a vocabulary needs top_k >= 1 (or None), frequency_threshold >= 1 and num_oov_buckets >= 0"
        )
    return apply(
        "vocabulary",
        _as_text(column),
        top_k=top_k,
        frequency_threshold=frequency_threshold,
        oov_buckets=num_oov_buckets,
        default=default_value,
    )


def _as_text(column: Column) -> Column:
    return to_type(column, "string") if column.type == "int" else column
