"""The functions of a preprocessing_fn that learn from all analyzed rows, and those that use what was learned.

Null, NaN and infinities take no part in any statistic of numbers. Analyses that can be made in one reading
of the rows are, however many columns they look at. The scheme and most names are TensorFlow Transform's.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from tidemill.data.transform.column import (
    Column,
    Learned,
    analyze,
    apply,
    learned_value,
    problem,
    promote,
    to_type,
)
from tidemill.data.transform.functions import as_text, maximum, minimum
from tidemill.data.transform.functions_list import stack
from tidemill.data.transform.values import element


def min(column: Column) -> Column:
    """The smallest value of all rows, in every row."""
    return learned_value(analyze("range", _number(column)), "min", _kind(column))


def max(column: Column) -> Column:
    """The largest value of all rows, in every row."""
    return learned_value(analyze("range", _number(column)), "max", _kind(column))


def sum(column: Column) -> Column:
    """The sum of all rows, in every row; exact for ints, and an error beyond 64 bits."""
    return learned_value(analyze("sum", _number(column)), "sum", _kind(column))


def mean(column: Column) -> Column:
    """The mean of all rows, in every row; null without any value."""
    return learned_value(analyze("moments", _floats(column)), "mean", "float")


def var(column: Column) -> Column:
    """The variance of all rows (divided by their count), in every row; null without any value."""
    return learned_value(analyze("moments", _floats(column)), "var", "float")


def std(column: Column) -> Column:
    """The square root of `var`."""
    return learned_value(analyze("moments", _floats(column)), "std", "float")


def size(column: Column) -> Column:
    """How many rows there are, in every row."""
    return learned_value(analyze("rows", column), "size", "int")


def count(column: Column) -> Column:
    """In how many rows the column has a value, in every row."""
    return learned_value(analyze("rows", column), "count", "int")


def scale_to_z_score(column: Column) -> Column:
    """(x - mean) / standard deviation, over all analyzed rows; 0 where there is no spread. Lists too."""
    column = promote(column, "float")
    return apply("scale", column, learned=analyze("moments", column), subtract="mean", divide="std")


def scale_to_0_1(column: Column) -> Column:
    """(x - min) / (max - min), over all analyzed rows; 0 where all values are equal. Lists too.

    New values outside the analyzed range give results outside 0 to 1; `clip` them if that matters.
    """
    column = promote(column, "float")
    return apply("scale", column, learned=analyze("range", column), subtract="min", divide="width")


def scale_by_min_max(column: Column, output_min: float = 0.0, output_max: float = 1.0) -> Column:
    """`scale_to_0_1`, stretched to `output_min` ... `output_max`."""
    if not output_min < output_max:
        raise problem(f"scale_by_min_max: {output_min} is not below {output_max}")
    return scale_to_0_1(column) * float(output_max - output_min) + float(output_min)


def scale_to_z_score_per_key(column: Column, key: Column) -> Column:
    """`scale_to_z_score` among the rows of the same key (text or int); null for a key not analyzed."""
    return _scaled_per_key("moments_by_key", column, key, "mean", "std")


def scale_to_0_1_per_key(column: Column, key: Column) -> Column:
    """`scale_to_0_1` among the rows of the same key (text or int); null for a key not analyzed."""
    return _scaled_per_key("range_by_key", column, key, "min", "width")


def scale_by_min_max_per_key(
    column: Column, key: Column, output_min: float = 0.0, output_max: float = 1.0
) -> Column:
    """`scale_by_min_max` among the rows of the same key; null for a key not analyzed."""
    if not output_min < output_max:
        raise problem(f"scale_by_min_max_per_key: {output_min} is not below {output_max}")
    return scale_to_0_1_per_key(column, key) * float(output_max - output_min) + float(output_min)


def quantiles(column: Column, buckets: int) -> Learned:
    """The boundaries between `buckets` equal shares of the rows; for `apply_buckets`."""
    return analyze("quantiles", _floats(column), buckets=_buckets(buckets))


def bucketize(column: Column, buckets: int) -> Column:
    """The quantile bucket of x, 0 to `buckets - 1`, with about as many analyzed rows in each. Lists too.

    A value on a boundary belongs to the upper bucket; equal boundaries are merged, so that there may
    be fewer buckets. NaN becomes null.
    """
    return apply_buckets(column, quantiles(column, buckets))


def bucketize_per_key(column: Column, key: Column, buckets: int) -> Column:
    """`bucketize` among the rows of the same key (text or int); null for a key not analyzed."""
    column, key = _scalar_float(column, "a statistic by key"), _key(key)
    learned = analyze("quantiles_by_key", column, key, buckets=_buckets(buckets))
    return apply("apply_buckets_by_key", column, key, learned=learned)


def apply_buckets(column: Column, boundaries: Sequence[float] | Learned) -> Column:
    """How many of the ascending `boundaries` are at or below x: 0 to `len(boundaries)`. NaN: null. Lists too.

    `boundaries`: numbers, or what `quantiles` learned, perhaps of another column.
    """
    column = promote(column, "float")
    if isinstance(boundaries, Learned):
        _of_kind(boundaries, "quantiles", "apply_buckets")
        return apply("apply_buckets", column, learned=boundaries)
    edges = [float(edge) for edge in boundaries]
    if (
        not edges
        or any(not a < b for a, b in itertools.pairwise(edges))
        or edges[-1] - edges[0] == float("inf")
    ):
        raise problem(f"apply_buckets needs ascending boundaries, not {list(boundaries)!r}")
    return apply("apply_buckets", column, boundaries=edges)


def vocabulary(
    *columns: Column, top_k: int | None = None, frequency_threshold: int = 1, store_frequency: bool = False
) -> Learned:
    """The terms (texts or ints) of one or several columns, most frequent first; for `apply_vocabulary`.

    `top_k` keeps the most frequent terms, `frequency_threshold` those seen at least that often; terms of
    equal frequency are in code point order. `store_frequency` keeps the counts for `FittedGraph.learned`.
    """
    if not columns or (top_k is not None and top_k < 1) or frequency_threshold < 1:
        raise problem("a vocabulary needs columns, top_k >= 1 (or None) and frequency_threshold >= 1")
    params = {"top_k": top_k, "frequency_threshold": frequency_threshold}
    texts = [as_text(column) for column in columns]
    for column in texts:
        if "string" not in (column.type, element(column.type)) and column.type != "empty":
            raise problem(
                f"a vocabulary takes texts or ints, and {column!r} is {column.type}",
                hint='bucketize numbers, or cast(column, "string")',
            )
    texts = [promote(column, "string") for column in texts]
    return analyze("vocabulary", *texts, **params, **({"frequency": True} if store_frequency else {}))


def apply_vocabulary(
    column: Column, vocabulary: Learned, *, num_oov_buckets: int = 0, default_value: int = -1
) -> Column:
    """The index of each text (or int) in a vocabulary. Lists too.

    Terms outside the vocabulary get one of `num_oov_buckets` stable numbers after its end, or
    `default_value` when there are no such buckets.
    """
    _of_kind(vocabulary, "vocabulary", "apply_vocabulary")
    if num_oov_buckets < 0:
        raise problem("num_oov_buckets is 0 or more")
    return apply(
        "apply_vocabulary",
        as_text(column),
        learned=vocabulary,
        oov_buckets=num_oov_buckets,
        default=default_value,
    )


def compute_and_apply_vocabulary(
    column: Column,
    *,
    top_k: int | None = None,
    frequency_threshold: int = 1,
    num_oov_buckets: int = 0,
    default_value: int = -1,
) -> Column:
    """`apply_vocabulary` of the column's own `vocabulary`: see both. Lists too."""
    learned = vocabulary(column, top_k=top_k, frequency_threshold=frequency_threshold)
    return apply_vocabulary(column, learned, num_oov_buckets=num_oov_buckets, default_value=default_value)


def tfidf(column: Column, vocab_size: int, *, smooth: bool = True) -> tuple[Column, Column]:
    """The distinct ids of each list of ids, ascending, and their weights: two list columns.

    weight = (count of the id in the list / ids in the list) * (log((rows + 1) / (rows with the id + 1)) + 1);
    without `smooth` the two inner + 1 are left out. Ids outside 0 to `vocab_size - 1` are as if not there.
    """
    if vocab_size < 1:
        raise problem(f"tfidf: a vocabulary of {vocab_size} terms")
    if column.type != "list[int]":
        raise problem(f"tfidf takes lists of ids, and {column!r} is {column.type}", hint="apply a vocabulary")
    learned = analyze("documents", column, size=vocab_size)
    weights = apply("tfidf", column, learned=learned, size=vocab_size, smooth=smooth)
    return apply("distinct_ids", column, size=vocab_size), weights


def histogram(column: Column, boundaries: int | Sequence[float] = 10) -> Learned:
    """How many rows are in each bucket: `counts`, to be read with `FittedGraph.learned`.

    `boundaries`: ascending numbers, for one bucket more than there are of them; or the number of buckets of
    equal width from the smallest to the largest value, which is a second reading of the rows.
    """
    if not isinstance(boundaries, int):
        return analyze("buckets", apply_buckets(column, boundaries), size=len(boundaries) + 1)
    last = _buckets(boundaries) - 1
    place = to_type(scale_to_0_1(column) * float(boundaries), "int")
    return analyze("buckets", maximum(minimum(place, last), 0), size=boundaries)


def covariance(*columns: Column) -> Learned:
    """How the columns vary together: `mean`, `covariance` (divided by the count) and `count`.

    Rows in which one of the columns has no finite value do not count. Read it with `FittedGraph.learned`.
    """
    given = tuple(_scalar_float(column, "covariance") for column in columns)
    if not given:
        raise problem("covariance needs columns")
    return analyze("covariance", *given, axes=0, width=len(given))


def pca(*columns: Column, output_dim: int) -> Column:
    """The row's place on the first `output_dim` principal axes of the columns, as a vector of floats.

    Columns are centered, not scaled: `scale_to_z_score` them first where their units differ.
    """
    given = tuple(_scalar_float(column, "pca") for column in columns)
    if not 1 <= output_dim <= len(given):
        raise problem(f"pca: {len(given)} columns have no {output_dim} axes")
    learned = analyze("covariance", *given, axes=output_dim, width=len(given))
    return apply("project", stack(*given), learned=learned)


def _scaled_per_key(analyzer: str, column: Column, key: Column, center: str, width: str) -> Column:
    column, key = _scalar_float(column, "a statistic by key"), _key(key)
    learned = analyze(analyzer, column, key)
    return apply("scale_by_key", column, key, learned=learned, subtract=center, divide=width)


def _number(column: Column) -> Column:
    if _kind(column) not in ("int", "float"):
        raise problem(
            f"an analysis of numbers, and {column!r} is {column.type}",
            hint='cast(column, "float") takes text',
        )
    return promote(column, "float") if column.type == "empty" else column


def _floats(column: Column) -> Column:
    return promote(_number(column), "float")


def _key(column: Column) -> Column:
    key = promote(as_text(column), "string")
    if key.type != "string":
        raise problem(f"a key is text or int, and {column!r} is {column.type}", hint="bucketize or cast it")
    return key


def _kind(column: Column) -> str:
    kind = element(column.type) or column.type
    return "float" if kind == "empty" else kind


def _scalar_float(column: Column, name: str) -> Column:
    column = promote(column, "float")
    if column.type != "float":
        raise problem(f"{name} takes numbers, and {column!r} is {column.type}")
    return column


def _buckets(buckets: int) -> int:
    if buckets < 2:
        raise problem(f"bucketize needs at least 2 buckets, not {buckets}")
    return buckets


def _of_kind(learned: Learned, analyzer: str, name: str) -> None:
    if getattr(learned, "analyzer", None) != analyzer:
        raise problem(f"{name} takes what {analyzer} learned, not {learned!r}")
