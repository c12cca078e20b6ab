"""Operations on list columns, and those that make them: ragged rows, vectors of one length, n-grams.

Sums go over the values of a row in their order, so that a row gives the same sum alone and in any batch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tidemill.data.transform.op import FLOAT, INT, NUMBER_LISTS, Op, Params
from tidemill.data.transform.values import Array, Lists, Values, all_valid, objects

ALL_LISTS = ("list[string]", *NUMBER_LISTS)
TEXTS, INTS = ("list[string]",), ("list[int]",)


def _sum(x: Lists) -> Array:
    total = np.zeros(len(x), dtype=x.flat.dtype)
    for active, at in _columns(x):
        total[active] += x.flat[at]
    return total


def _columns(x: Lists) -> Any:
    """For place 0, 1, ... in the lists: the rows that reach it, and where their values are in `flat`."""
    lengths = x.lengths
    active = np.flatnonzero(lengths > 0)
    for place in range(int(lengths.max(initial=0))):
        active = active[lengths[active] > place]
        yield active, x.offsets[active] + place


def _mean(x: Lists) -> Values:
    lengths = x.lengths
    return Values(_sum(Lists(x.flat.astype(np.float64), x.offsets)) / np.maximum(lengths, 1), lengths > 0)


def _extreme(choose: Any) -> Callable[[Lists], Values]:
    """NaN wins, as in np.minimum and np.maximum."""

    def kernel(x: Lists) -> Values:
        found = np.zeros(len(x), dtype=x.flat.dtype)
        for place, (active, at) in enumerate(_columns(x)):
            found[active] = choose(found[active], x.flat[at]) if place else x.flat[at]
        return Values(found, x.lengths > 0)

    return kernel


def _get(x: Lists, *, index: int) -> Values:
    lengths = x.lengths
    there = (lengths > index) if index >= 0 else (lengths >= -index)
    found = np.full(len(x), "" if x.flat.dtype == object else 0, dtype=x.flat.dtype)
    starts = x.offsets[:-1] if index >= 0 else x.offsets[1:]
    found[there] = x.flat[starts[there] + index]
    return Values(found, there)


def _to_dense(x: Values, *, size: int, default: Any) -> Values:
    lists: Lists = x.data
    dense = np.full((len(lists), size), default, dtype=lists.flat.dtype)
    for place, (active, at) in enumerate(_columns(lists)):
        if place == size:
            break
        dense[active, place] = lists.flat[at]
    return all_valid(_matrix(dense))


def _matrix(dense: Array) -> Lists:
    rows, width = dense.shape
    return Lists(dense.ravel(), np.arange(rows + 1, dtype=np.int64) * width)


def _one_hot(x: Values, *, depth: int) -> Values:
    dense = np.zeros((len(x), depth))
    inside = x.valid & (x.data >= 0) & (x.data < depth)
    dense[np.flatnonzero(inside), x.data[inside]] = 1.0
    return all_valid(_matrix(dense))


def _multi_hot(x: Values, *, depth: int) -> Values:
    lists: Lists = x.data
    dense = np.zeros((len(lists), depth))
    inside = (lists.flat >= 0) & (lists.flat < depth)
    dense[lists.rows()[inside], lists.flat[inside]] = 1.0
    return all_valid(_matrix(dense))


def _stack(*columns: Array) -> Lists:
    return _matrix(np.column_stack(columns))


def _distinct(x: Lists, *, size: int) -> Lists:
    rows, ids, _ = _counted(x, size)
    return Lists.of(ids, np.bincount(rows, minlength=len(x)))


def _counted(x: Lists, size: int) -> tuple[Array, Array, Array]:
    """Rows, ids and counts of the distinct ids in 0 to size - 1 of each row, ascending."""
    inside = (x.flat >= 0) & (x.flat < size)
    keys, counts = np.unique(x.rows()[inside] * size + x.flat[inside], return_counts=True)
    return keys // size, keys % size, counts


def _tfidf(x: Lists, *, size: int, weights: Array) -> Lists:
    rows, ids, counts = _counted(x, size)
    lengths = np.bincount(rows, counts, minlength=len(x))
    return Lists.of(counts / lengths[rows] * weights[ids], np.bincount(rows, minlength=len(x)))


def _with_weights(params: Params) -> Params:
    rows, seen = params["rows"], np.zeros(params["size"], dtype=np.int64)
    counts: Mapping[str, int] = params["documents"]
    for id, count in counts.items():
        seen[int(id)] = count
    smooth = 1 if params["smooth"] else 0
    weights = [math.log((rows + smooth) / (n + smooth)) + 1 if n + smooth else 0.0 for n in seen.tolist()]
    return {**params, "weights": np.array(weights)}


def _ngrams(x: Lists, *, least: int, most: int, separator: str, distinct: bool) -> Lists:
    flat, ends = x.flat.tolist(), x.offsets.tolist()
    found: list[str] = []
    lengths = []
    for start, end in itertools.pairwise(ends):
        row = [
            separator.join(flat[at : at + size])
            for at in range(start, end)
            for size in range(least, most + 1)
            if at + size <= end
        ]
        row = list(dict.fromkeys(row)) if distinct else row
        found += row
        lengths.append(len(row))
    return Lists.of(objects(found), np.array(lengths, dtype=np.int64))


def _join(x: Lists, *, separator: str) -> Array:
    flat, ends = x.flat.tolist(), x.offsets.tolist()
    return objects([separator.join(flat[a:b]) for a, b in itertools.pairwise(ends)])


OPS: dict[str, Op] = {
    "list_length": Op((ALL_LISTS,), "int", lambda x: x.lengths),
    "list_sum": Op((NUMBER_LISTS,), "item", _sum),
    "list_mean": Op((NUMBER_LISTS,), "float", _mean),
    "list_min": Op((NUMBER_LISTS,), "item", _extreme(np.minimum)),
    "list_max": Op((NUMBER_LISTS,), "item", _extreme(np.maximum)),
    "list_get": Op((ALL_LISTS,), "item", _get, params=("index",)),
    "list_join": Op((TEXTS,), "string", _join, params=("separator",)),
    "to_dense": Op((ALL_LISTS,), "=0", _to_dense, params=("size", "default"), sees_nulls=True),
    "one_hot": Op((INT,), "list[float]", _one_hot, params=("depth",), sees_nulls=True),
    "multi_hot": Op((INTS,), "list[float]", _multi_hot, params=("depth",), sees_nulls=True),
    "stack": Op((FLOAT,), "list[float]", _stack, many=True),
    "ngrams": Op((TEXTS,), "list[string]", _ngrams, params=("least", "most", "separator", "distinct")),
    "distinct_ids": Op((INTS,), "list[int]", _distinct, params=("size",)),
    "tfidf": Op(
        (INTS,), "list[float]", _tfidf, params=("size", "weights"), learns=True, prepare=_with_weights
    ),
}
