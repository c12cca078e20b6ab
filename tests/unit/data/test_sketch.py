"""Moments, distinct and frequent values against exact results."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.data.hashing import hash_column
from tidemill.data.sketch import DistinctValues, FrequentValues, Moments

numbers = st.floats(-1e9, 1e9, allow_nan=False)


@given(st.lists(st.lists(numbers, max_size=20), max_size=10))
def test_moments_of_parts_are_those_of_the_whole(batches: list[list[float]]) -> None:
    moments = Moments()
    for batch in batches:
        partial = Moments()
        partial.add(np.array(batch))
        moments.merge(partial)
    whole = np.array([value for batch in batches for value in batch])
    assert moments.count == len(whole)
    if len(whole):
        scale = float(np.abs(whole).max())
        assert moments.mean == pytest.approx(whole.mean(), rel=1e-12, abs=1e-12 * scale)
        assert moments.deviation == pytest.approx(whole.std(), rel=1e-6, abs=1e-9 * scale)


def test_moments_of_values_beyond_the_range_of_squares_do_not_warn() -> None:
    moments = Moments()
    moments.add(np.array([1e308, -1e308, 1e308]))
    moments.add(np.array([1e308]))
    assert not np.isfinite(moments.deviation)


def test_a_small_spread_far_from_zero_is_not_lost() -> None:
    values = 1e9 + np.arange(1000) / 1000
    moments = Moments()
    for batch in np.split(values, 10):
        moments.add(batch)
    assert moments.deviation == pytest.approx(values.std(), rel=1e-6)


@given(st.lists(st.integers(0, 300), max_size=400))
def test_distinct_values_are_exact_below_k(values: list[int]) -> None:
    distinct = DistinctValues(k=512)
    distinct.add(hash_column(pl.Series(values, dtype=pl.Int64).to_arrow()))
    assert distinct.count == len(set(values))


@pytest.mark.parametrize("size", [7_000, 200_000])
def test_distinct_values_above_k_are_close(size: int) -> None:
    distinct = DistinctValues()
    hashes = hash_column(pl.Series(range(size)).to_arrow())
    for part in np.array_split(np.concatenate([hashes, hashes[::2]]), 7):
        partial = DistinctValues()
        partial.add(part)
        distinct.merge(partial)
    assert distinct.count == pytest.approx(size, rel=0.05)


texts = st.lists(st.lists(st.sampled_from([*"abcdefgh", "", "ü", "日本"]), max_size=30), max_size=8)


@given(texts)
def test_frequencies_are_exact_up_to_the_capacity(batches: list[list[str]]) -> None:
    frequent = FrequentValues(capacity=11)
    for batch in batches:
        frequent.add(pa.array(batch, pa.string()))
    expected = Counter(value for batch in batches for value in batch)
    assert frequent.top(99) == sorted(expected.items(), key=lambda pair: (-pair[1], pair[0]))
    assert frequent.distinct_count == len(expected)
    assert frequent.lost == 0


@given(texts, st.integers(2, 6))
def test_above_the_capacity_counts_are_too_low_by_at_most_what_is_lost(
    batches: list[list[str]], capacity: int
) -> None:
    frequent = FrequentValues(capacity)
    for batch in batches:
        partial = FrequentValues(capacity)
        partial.add(pa.array(batch, pa.string()))
        frequent.merge(partial)
    expected = Counter(value for batch in batches for value in batch)
    found = dict(frequent.top(99))
    assert len(found) <= capacity
    assert all(n - frequent.lost <= found.get(value, 0) <= n for value, n in expected.items())
    assert frequent.lost <= sum(expected.values()) / capacity
    assert frequent.distinct_count == len(expected)
