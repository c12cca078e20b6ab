"""Distances agree with SciPy's and with their definitions; thresholds fire as often as they were asked to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats
from hypothesis import Phase, assume, example, given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from tidemill.data.analyze import analyze_tables
from tidemill.data.distance import (
    DISTANCES,
    chi_squared,
    jensen_shannon,
    kolmogorov_smirnov,
    missing_change,
    normalized_absolute,
    stability_index,
    wasserstein,
)
from tidemill.data.false_alarm import (
    chi_squared_quantile,
    gamma_quantile,
    normal_quantile,
    threshold,
    upper_gamma,
)
from tidemill.data.seen import distribution
from tidemill.data.statistics import ColumnStatistics, NumericSummary, StringSummary

NAN, INF = float("nan"), float("inf")
SHARES = np.arange(101) / 100


def column(values: Any, type: pa.DataType | None = None) -> ColumnStatistics:
    table = pa.table({"x": pa.array(values, type)})
    return analyze_tables([table], table.schema).columns[0]


def numbers(values: Any) -> ColumnStatistics:
    """Statistics of finite numbers, from exact percentiles."""
    data = np.asarray(values, np.float64)
    quantiles = np.quantile(data, SHARES, method="inverted_cdf").tolist()
    summary = NumericSummary(
        mean=None,
        std=None,
        min=quantiles[0],
        max=quantiles[-1],
        zeros=0,
        nan=0,
        infinite=0,
        quantiles=tuple(quantiles),
        histogram=None,
    )
    return ColumnStatistics(name="x", type="float", count=len(data), missing=0, numeric=summary)


def texts(counts: dict[str, int]) -> ColumnStatistics:
    counts = {value: n for value, n in counts.items() if n}
    pairs = tuple(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
    summary = StringSummary(distinct=len(counts), exact=True, avg_length=1.0, frequencies=pairs)
    return ColumnStatistics(name="x", type="string", count=sum(counts.values()), missing=0, string=summary)


samples = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=80)


@given(samples, samples)
def test_measures_of_texts_agree_with_scipy(a: list[str], b: list[str]) -> None:
    left, right = Counter(a), Counter(b)
    values = sorted({*a, *b})
    p, q = (np.array([side[v] for v in values]) / side.total() for side in (left, right))
    now, before = texts(left), texts(right)
    assert jensen_shannon(now, before) == pytest.approx(jensenshannon(p, q, base=2) ** 2, abs=1e-9)
    gaps = [abs(left[v] - right[v]) for v in values]
    assert normalized_absolute(now, before) == pytest.approx(max(gaps) / (len(a) + len(b)), abs=1e-12)


@given(
    st.lists(st.integers(40, 400), min_size=2, max_size=6),
    st.lists(st.integers(40, 400), min_size=6, max_size=6),
)
def test_chi_squared_agrees_with_scipy(a: list[int], b: list[int]) -> None:
    b = b[: len(a)]
    names = "abcdef"[: len(a)]
    now, before = texts(dict(zip(names, a, strict=True))), texts(dict(zip(names, b, strict=True)))
    statistic = scipy.stats.chi2_contingency([a, b], correction=False).statistic
    assert chi_squared(now, before) == pytest.approx((statistic / (sum(a) + sum(b))) ** 0.5, abs=1e-9)
    p, q = (np.array(side) + 0.5 for side in (a, b))
    p, q = p / p.sum(), q / q.sum()
    assert stability_index(now, before) == pytest.approx(float(((p - q) * np.log(p / q)).sum()), abs=1e-9)


@settings(max_examples=25)
@given(st.floats(-3, 3), st.floats(0.2, 3), st.integers(0, 999))
def test_measures_of_numbers_agree_with_scipy(shift: float, scale: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    a, b = random.normal(shift, scale, 3000), random.normal(size=3000)
    now, before = column(a.tolist()), column(b.tolist())
    assert kolmogorov_smirnov(now, before) == pytest.approx(scipy.stats.ks_2samp(a, b).statistic, abs=0.015)
    moved = scipy.stats.wasserstein_distance(a, b) / scipy.stats.iqr(b)
    assert wasserstein(now, before) == pytest.approx(moved, rel=0.03, abs=0.02)
    edges = np.quantile(b, np.arange(1, 10) / 10)
    p, q = (np.bincount(np.searchsorted(edges, side), minlength=10) for side in (a, b))
    if min(p.min(), q.min()) > 10:
        p, q = p / p.sum(), q / q.sum()
        index = float(((p - q) * np.log(p / q)).sum())
        assert stability_index(now, before) == pytest.approx(index, rel=0.12, abs=0.01)


@settings(max_examples=50)
@given(
    st.lists(st.sampled_from([-2.0, 0.0, 1.0, 1.0, 3.5]), min_size=1, max_size=60),
    st.lists(st.sampled_from([-2.0, 0.0, 1.0, 1.0, 3.5]), min_size=1, max_size=60),
)
def test_numbers_that_repeat_keep_the_bound(a: list[float], b: list[float]) -> None:
    now, before = column(a), column(b)
    points = np.array([-2.0, 0.0, 1.0, 3.5])
    left, right = (np.searchsorted(np.sort(side), points, side="right") / len(side) for side in (a, b))
    assert kolmogorov_smirnov(now, before) == pytest.approx(np.abs(left - right).max(), abs=0.0201)


anything = st.lists(
    st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([NAN, INF, 0.0, 1e308, -1e308]),
    min_size=1,
    max_size=30,
)


@settings(max_examples=60, phases=[Phase.explicit, Phase.generate])
@given(anything, anything, st.sampled_from(sorted(set(DISTANCES) - {"linf", "nad"})))
def test_every_measure_of_numbers_is_a_number(a: list[float], b: list[float], measure: str) -> None:
    now, before = column(a), column(b)
    value = DISTANCES[measure](now, before)
    assert 0 <= value <= 1e308
    assert DISTANCES[measure](now, now) == pytest.approx(0, abs=1e-12)
    if measure not in ("wasserstein", "psi"):
        assert value <= 1
    assert 0 <= threshold(measure, 0.01, now, before) < INF


def test_constants_and_infinities() -> None:
    one, two, many = column([1.0] * 50), column([2.0] * 50), column([1.0, 2.0] * 25)
    assert wasserstein(one, one) == 0
    assert wasserstein(two, one) == 1e308
    assert wasserstein(one, many) == pytest.approx(0.5, abs=0.02)
    odd = column([NAN] * 50)
    assert wasserstein(odd, one) == 1e308
    assert wasserstein(odd, odd) == 0
    for measure in (kolmogorov_smirnov, chi_squared, jensen_shannon):
        assert measure(two, one) == measure(one, two) == 1
        assert measure(odd, one) == pytest.approx(1)
    assert stability_index(two, one) > 5


def test_the_missing_rate() -> None:
    now, before = column([1, None, None, None]), column([1, 2, None, None])
    assert missing_change(now, before) == 0.25


def test_lists_are_compared_by_their_values() -> None:
    now, before = column([["a", "b"], ["a"], [], None]), column([["a"], ["b"], ["a"]])
    assert DISTANCES["linf"](now, before) == 0
    assert DISTANCES["missing"](now, before) == 0.25
    wide, narrow = column([[1.0, 2.0], [3.0]]), column([[1.0], [2.0], [3.0]])
    assert kolmogorov_smirnov(wide, narrow) == 0


# -- thresholds


@given(st.floats(0.05, 400), st.floats(0, 600))
def test_the_incomplete_gamma_function_agrees_with_scipy(a: float, x: float) -> None:
    assert upper_gamma(a, x) == pytest.approx(float(scipy.special.gammaincc(a, x)), abs=1e-10)


@settings(max_examples=30)
@given(st.floats(1e-6, 0.5), st.integers(1, 1000))
def test_quantiles_agree_with_scipy(rate: float, degrees: int) -> None:
    assert chi_squared_quantile(rate, degrees) == pytest.approx(scipy.stats.chi2.isf(rate, degrees), rel=1e-6)
    assert normal_quantile(rate) == pytest.approx(scipy.stats.norm.isf(rate), abs=1e-8)
    assert gamma_quantile(rate, degrees / 7) == pytest.approx(
        scipy.stats.gamma.isf(rate, degrees / 7), rel=1e-6
    )


Draw = Callable[[np.random.Generator, int], ColumnStatistics]


def draw_texts(random: np.random.Generator, rows: int) -> ColumnStatistics:
    shares = np.array([0.4, 0.3, 0.15, 0.1, 0.04, 0.01])
    return texts(dict(zip("abcdef", random.multinomial(rows, shares).tolist(), strict=True)))


def draw_many_texts(random: np.random.Generator, rows: int) -> ColumnStatistics:
    shares = 1 / np.arange(1, 301)
    counts = random.multinomial(rows, shares / shares.sum()).tolist()
    return texts({str(at): n for at, n in enumerate(counts)})


def draw_skewed(random: np.random.Generator, rows: int) -> ColumnStatistics:
    return numbers(random.lognormal(size=rows))


def draw_whole(random: np.random.Generator, rows: int) -> ColumnStatistics:
    return numbers(random.poisson(2.0, size=rows))


ALARMS: list[tuple[str, Draw]] = [
    *(
        (measure, draw)
        for measure in ("linf", "jsd", "psi", "chi2")
        for draw in (draw_texts, draw_many_texts)
    ),
    *(
        (measure, draw)
        for measure in ("jsd", "psi", "chi2", "ks", "wasserstein")
        for draw in (draw_skewed, draw_whole)
    ),
]


@pytest.mark.parametrize(("measure", "draw"), ALARMS, ids=[f"{m}-{d.__name__[5:]}" for m, d in ALARMS])
@pytest.mark.parametrize("rows", [(150, 400), (5000, 2000)], ids=["few", "many"])
def test_a_false_alarm_rate_is_not_exceeded(measure: str, draw: Draw, rows: tuple[int, int]) -> None:
    rate, tries = 0.05, 120
    random = np.random.default_rng(7)
    fired = 0
    for _ in range(tries):
        now, before = draw(random, rows[0]), draw(random, rows[1])
        fired += DISTANCES[measure](now, before) > threshold(measure, rate, now, before)
    assert fired <= scipy.stats.binom.isf(0.001, tries, rate)


@pytest.mark.parametrize("measure", ["jsd", "psi", "chi2", "ks", "wasserstein"])
def test_a_false_alarm_rate_finds_a_shift(measure: str) -> None:
    random = np.random.default_rng(3)
    now, before = numbers(random.normal(0.5, size=1000)), numbers(random.normal(size=1000))
    assert DISTANCES[measure](now, before) > threshold(measure, 0.001, now, before)


@pytest.mark.parametrize("measure", ["linf", "jsd", "psi", "chi2"])
def test_a_false_alarm_rate_finds_another_mix(measure: str) -> None:
    now, before = texts({"a": 500, "b": 500}), texts({"a": 600, "b": 400})
    assert DISTANCES[measure](now, before) > threshold(measure, 0.001, now, before)
    fewer, then = texts({"a": 25, "b": 25}), texts({"a": 30, "b": 20})
    assert DISTANCES[measure](fewer, then) < threshold(measure, 0.001, fewer, then)


@settings(max_examples=30)
@given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 500), st.integers(1, 500))
def test_a_false_alarm_rate_of_missing_values(a: int, b: int, n: int, m: int) -> None:
    assume(n + a and m + b)
    now, before = column([1] * n + [None] * a), column([1] * m + [None] * b)
    bound = threshold("missing", 0.05, now, before)
    assert 0 <= bound <= 2
    if not a and not b:
        assert bound == 0


def test_counts_have_no_false_alarm_rate() -> None:
    with pytest.raises(ValueError, match="nad"):
        threshold("nad", 0.1, texts({"a": 1}), texts({"a": 1}))


@settings(max_examples=60, phases=[Phase.explicit, Phase.generate])
@example([0.0, 5e-324, 1.0], [5e-324])
@given(anything, anything)
def test_ranks_in_one_pass_are_those_of_single_points(a: list[float], b: list[float]) -> None:
    one, other = distribution(column(a)), distribution(column(b))
    points = sorted({*one.points, *other.points})
    for side in (one, other):
        single = [(side.below(x, inclusive=False), side.below(x, inclusive=True)) for x in points]
        assert np.abs(np.array(side.ranks(points)) - np.array(single)).max(initial=0.0) < 1e-12
