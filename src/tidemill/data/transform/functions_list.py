"""The functions of a preprocessing_fn that make or take lists: ragged rows, vectors, n-grams.

What they compute is defined in `ops_list`. Null in, null out, unless it says otherwise.
"""

from __future__ import annotations

from tidemill.data.transform.column import Column, Scalar, apply, problem, promote
from tidemill.data.transform.values import STAND_INS, element

MOST = 65_536
"""Longest vector that `one_hot`, `multi_hot` and `to_dense` make for each row."""


def list_length(column: Column) -> Column:
    """How many values a row has."""
    return apply("list_length", column)


def list_sum(column: Column) -> Column:
    """The sum of a row's values, in their order; 0 for none."""
    return apply("list_sum", column)


def list_mean(column: Column) -> Column:
    """The mean of a row's values; null for none."""
    return apply("list_mean", column)


def list_min(column: Column) -> Column:
    """The smallest of a row's values; null for none, NaN where there is one."""
    return apply("list_min", column)


def list_max(column: Column) -> Column:
    """The largest of a row's values; null for none, NaN where there is one."""
    return apply("list_max", column)


def list_get(column: Column, index: int) -> Column:
    """The value in place `index`, from 0, or from the end with a negative one; null where there is none."""
    return apply("list_get", column, index=index)


def list_join(column: Column, separator: str = " ") -> Column:
    """The texts of a row joined with `separator`."""
    return apply("list_join", column, separator=separator)


def to_dense(column: Column, size: int, default: Scalar | None = None) -> Column:
    """Lists of exactly `size` values: longer ones are cut, shorter ones (and nulls) filled with `default`.

    `default` is 0 or "" unless given.
    """
    kind = element(column.type)
    if not kind:
        raise problem(f"to_dense takes lists, and {column!r} is {column.type}", hint="stack makes lists")
    value = STAND_INS[kind] if default is None else default
    value = float(value) if kind == "float" and type(value) is int else value
    if type(value) is not type(STAND_INS[kind]):
        raise problem(f"to_dense: {default!r} is not of the column's type {kind}")
    return apply("to_dense", column, size=_size(size), default=value)


def one_hot(column: Column, depth: int) -> Column:
    """A vector of `depth` floats: 1.0 in the place of the int, 0.0 elsewhere; all 0.0 outside 0 to depth - 1.

    Null gives all 0.0 as well. Each row takes 8 bytes times `depth`.
    """
    return apply("one_hot", column, depth=_size(depth))


def multi_hot(column: Column, depth: int) -> Column:
    """A vector of `depth` floats: 1.0 in the place of each int of the list, 0.0 elsewhere; null: all 0.0."""
    return apply("multi_hot", column, depth=_size(depth))


def stack(*columns: Column) -> Column:
    """The numbers of several columns as one vector of floats; null where one of them is."""
    return apply("stack", *(promote(column, "float") for column in columns))


def ngrams(column: Column, ngram_range: tuple[int, int] = (1, 1), separator: str = " ") -> Column:
    """All runs of `ngram_range` (least, most) tokens, joined with `separator`, by their first token."""
    return _ngrams(column, ngram_range, separator, distinct=False)


def bag_of_words(column: Column, ngram_range: tuple[int, int] = (1, 1), separator: str = " ") -> Column:
    """The `ngrams` of a list of tokens, each once, in the order in which they come first."""
    return _ngrams(column, ngram_range, separator, distinct=True)


def _ngrams(column: Column, ngram_range: tuple[int, int], separator: str, *, distinct: bool) -> Column:
    least, most = ngram_range
    if not 1 <= least <= most <= 100:
        raise problem(f"ngram_range {ngram_range} is not (least, most) with 1 <= least <= most <= 100")
    return apply("ngrams", column, least=least, most=most, separator=separator, distinct=distinct)


def _size(size: int) -> int:
    if not 1 <= size <= MOST:
        raise problem(f"a vector of {size} values in each row", hint=f"1 to {MOST} are possible")
    return size
