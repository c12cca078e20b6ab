"""The quantile summary keeps its promised rank error, and never gives two answers."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.data.quantiles import QuantileSummary

Floats = npt.NDArray[np.float64]
SHARES = np.arange(101) / 100
finite = st.floats(allow_nan=False, allow_infinity=False)


def summarise(batches: list[Floats], points: int = 1024) -> QuantileSummary:
    summary = QuantileSummary(points)
    for batch in batches:
        partial = QuantileSummary(points)
        partial.add(batch)
        summary.merge(partial)
    return summary


def rank_errors(values: Floats, found: Floats) -> Floats:
    """How far each found value is, in ranks, from where its share lies; 0 inside a run of equal values."""
    ordered = np.sort(values)
    low = np.searchsorted(ordered, found, side="left") / len(values)
    high = np.searchsorted(ordered, found, side="right") / len(values)
    return np.maximum(np.maximum(low - SHARES, SHARES - high), 0)


@given(st.lists(finite, min_size=1, max_size=300), st.integers(1, 5))
def test_few_values_are_exact(values: list[float], parts: int) -> None:
    array = np.array(values)
    found = summarise(np.array_split(array, parts)).quantiles(SHARES.copy())
    ranks = [max(-(-k * len(values) // 100), 1) for k in range(101)]  # in whole numbers: 0.28 * 25 is not 7
    assert found.tolist() == [sorted(values)[rank - 1] for rank in ranks]


@given(st.lists(st.lists(st.integers(-50, 50), max_size=60), min_size=1, max_size=40), st.integers(8, 64))
def test_rank_error_is_within_the_promise(batches: list[list[int]], points: int) -> None:
    arrays = [np.array(batch, np.float64) for batch in batches]
    values = np.concatenate(arrays)
    summary = summarise(arrays, points)
    assert summary.count == len(values)
    if not len(values):
        with pytest.raises(ValueError, match="no values"):
            summary.quantiles(SHARES.copy())
        return
    levels = math.ceil(math.log2(len(batches))) if len(batches) > 1 else 0
    allowed = (levels + 1) / (2 * points) + 1 / (2 * points) + 1e-9
    assert rank_errors(values, summary.quantiles(SHARES.copy())).max() <= allowed
    edges = np.unique(values)
    exact = np.searchsorted(np.sort(values), edges, side="right") / len(values)
    assert np.abs(summary.rank(edges, inclusive=True) / len(values) - exact).max() <= allowed


@pytest.mark.parametrize("shape", ["normal", "skewed", "sorted", "mostly zero"])
def test_a_million_values_in_ten_batches(shape: str) -> None:
    random = np.random.default_rng(7)
    values = {
        "normal": random.normal(size=1_000_000),
        "skewed": random.lognormal(2, 3, 1_000_000),
        "sorted": np.arange(1e6),
        "mostly zero": random.exponential(1, 1_000_000) * (random.random(1_000_000) < 0.1),
    }[shape]
    found = summarise(np.split(values, 10)).quantiles(SHARES.copy())
    assert rank_errors(values, found).max() <= 0.002
    assert (found[0], found[-1]) == (values.min(), values.max())


def test_the_same_batches_give_the_same_bits() -> None:
    batches = np.split(np.random.default_rng(1).normal(size=50_000), 10)
    first, second = (summarise(batches).quantiles(SHARES.copy()) for _ in range(2))
    assert first.tobytes() == second.tobytes()


@given(st.lists(finite, min_size=1, max_size=200), st.floats(0.01, 0.99))
def test_a_cut_leaves_its_share_below(values: list[float], share: float) -> None:
    array = np.array(values)
    cut = summarise([array]).cut(share)
    below = (array < cut).mean()
    equal = (array == cut).mean()
    assert below <= share + 1e-9
    assert below + equal >= share - 1e-9
