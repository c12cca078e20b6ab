"""Thresholds that fire with a chosen rate when nothing has changed.

With n and m values on both sides and nothing changed, every measure still comes out above zero: the
smaller the sides, the larger. A fixed threshold therefore fires all the time on small data and never on
large. The sampling distributions used here:

- chi-squared with k - 1 degrees of freedom, for k bins: X = sum (p - q)^2 / pooled is distributed as
  (1/n + 1/m) times it; PSI equals X to second order (Yurdakul, 2018), JSD is X / (8 ln 2) and never more
  than X / 4 (Topsoe, 2000), and Cramer's V is the root of X nm / (n + m)^2;
- Kolmogorov (1933) and Smirnov (1939): 2 exp(-2 d^2 / (1/n + 1/m)) for a distance d, an upper bound;
- the normal distribution for one share, at rate / k for the largest of k (Bonferroni);
- for Wasserstein the area under a Brownian bridge, by its first two moments, as a gamma distribution.

What the summaries cannot resolve is added, so that they never fire by themselves.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from tidemill.data.distance import Binned, binned, pooled
from tidemill.data.seen import RESOLUTION, distribution, value_counts, value_total
from tidemill.data.statistics import ColumnStatistics

STEPS = 50
"""Points of the Brownian bridge."""


def threshold(measure: str, rate: float, now: ColumnStatistics, before: ColumnStatistics) -> float:
    """The distance that `measure` exceeds with probability `rate`, at most, if nothing changed.

    Both columns have values. ValueError for a measure without such a distribution (`nad`).
    """
    if measure in _BY_MEASURE:
        return _BY_MEASURE[measure](rate, now, before)
    raise ValueError(f"{measure} has no false-alarm rate")


def _spread(now: ColumnStatistics, before: ColumnStatistics) -> float:
    return 1 / value_total(now) + 1 / value_total(before)


def _excess(bins: Binned, rate: float, now: ColumnStatistics, before: ColumnStatistics) -> float:
    """The value of X that is exceeded at the rate, what the summaries blur included."""
    noise = chi_squared_quantile(rate, max(1, len(bins.now) - 1)) * _spread(now, before)
    n, m = value_total(now), value_total(before)
    blur = sum(
        min(bins.resolution**2 / share, share)
        for p, q in zip(bins.now, bins.before, strict=True)
        if (share := (n * p + m * q) / (n + m))
    )
    return (math.sqrt(noise) + math.sqrt(blur)) ** 2


def _psi(rate: float, now: ColumnStatistics, before: ColumnStatistics) -> float:
    return _excess(pooled(binned(now, before), value_total(now), value_total(before)), rate, now, before)


def _chi2(rate: float, now: ColumnStatistics, before: ColumnStatistics) -> float:
    n, m = value_total(now), value_total(before)
    return math.sqrt(_psi(rate, now, before) * (n / (n + m)) * (m / (n + m)))


def _jsd(rate: float, now: ColumnStatistics, before: ColumnStatistics) -> float:
    bins = binned(now, before, both=True)
    kept = pooled(bins, value_total(now), value_total(before))
    if not bins.resolution:  # rare texts stay apart in the distance, so they do here
        some = [(p, q) for p, q in zip(bins.now, bins.before, strict=True) if p or q]
        rare = len(kept.now) < len(some)
        kept = Binned(now=tuple(p for p, _ in some), before=tuple(q for _, q in some), resolution=0.0)
    else:
        rare = False
    return _excess(kept, rate, now, before) / (4 if rare else 8 * math.log(2))


def _ks(rate: float, now: ColumnStatistics, before: ColumnStatistics) -> float:
    return math.sqrt(math.log(2 / rate) / 2 * _spread(now, before)) + RESOLUTION


def _linf(rate: float, now: ColumnStatistics, before: ColumnStatistics) -> float:
    left, right = value_counts(now).shares, value_counts(before).shares
    n, m = value_total(now), value_total(before)
    values = left.keys() | right.keys()
    shares = [(n * left.get(v, 0.0) + m * right.get(v, 0.0)) / (n + m) for v in values]
    widest = max((p * (1 - p) for p in shares), default=0.0)
    return normal_quantile(rate / 2 / max(1, len(shares))) * math.sqrt(widest * _spread(now, before))


def _missing(rate: float, now: ColumnStatistics, before: ColumnStatistics) -> float:
    n, m = now.count + now.missing, before.count + before.missing
    share = (now.count + before.count) / (n + m)
    return normal_quantile(rate / 2) * math.sqrt(share * (1 - share) * (1 / n + 1 / m))


def _wasserstein(rate: float, now: ColumnStatistics, before: ColumnStatistics) -> float:
    known = distribution(before)
    if not known.points or not known.unit:
        return 0.0
    last = len(known.quantiles) - 1
    # in units, kept so small that their squares are numbers
    scaled = [min(max(q / known.unit, -1e100), 1e100) for q in known.quantiles]
    places = [scaled[round(i * last / STEPS)] for i in range(STEPS + 1)]
    widths = [b - a for a, b in itertools.pairwise(places)]
    shares = [(i + 0.5) / STEPS for i in range(STEPS)]
    deviations = [math.sqrt(u * (1 - u)) for u in shares]
    mean = math.sqrt(2 / math.pi) * sum(w * d for w, d in zip(widths, deviations, strict=True))
    second = 0.0
    for i, u in enumerate(shares):
        for j in range(i + 1):
            v = shares[j]
            related = min(1.0, v * (1 - u) / (deviations[i] * deviations[j]))
            # E|XY| of two normal variables with correlation r is (2 / pi) (sqrt(1 - r^2) + r asin r)
            both = math.sqrt(max(0.0, 1 - related**2)) + related * math.asin(related)
            weight = 1 if i == j else 2
            second += weight * widths[i] * widths[j] * deviations[i] * deviations[j] * both * 2 / math.pi
    if not mean:
        return 0.0
    variance = max(second - mean**2, 1e-12 * mean**2)
    bound = gamma_quantile(rate, mean**2 / variance) * variance / mean
    blur = RESOLUTION * (scaled[last - 1] - scaled[1])
    return bound * math.sqrt(_spread(now, before)) + blur


_BY_MEASURE: dict[str, Callable[[float, ColumnStatistics, ColumnStatistics], float]] = {
    "linf": _linf, "jsd": _jsd, "psi": _psi, "ks": _ks, "wasserstein": _wasserstein, "chi2": _chi2,
    "missing": _missing,
}  # fmt: skip


# -- the three distributions


def normal_quantile(above: float) -> float:
    """The value that a standard normal variable exceeds with probability `above`, at most a half."""
    return _bisected(lambda x: math.erfc(x / math.sqrt(2)) / 2, above, 40.0)


def chi_squared_quantile(above: float, degrees: int) -> float:
    """The value that chi-squared with so many degrees of freedom exceeds with probability `above`."""
    return 2 * gamma_quantile(above, degrees / 2)


def gamma_quantile(above: float, shape: float) -> float:
    """The value that a gamma variable of that shape, and scale 1, exceeds with probability `above`."""
    most = shape + 1
    while upper_gamma(shape, most) > above:
        most *= 2
    return _bisected(lambda x: upper_gamma(shape, x), above, most)


def _bisected(falling: Callable[[float], float], wanted: float, most: float) -> float:
    low, high = 0.0, most
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > wanted else (low, middle)
    return high


def upper_gamma(a: float, x: float) -> float:
    """Regularized upper incomplete gamma function Q(a, x), for a > 0 and x >= 0.

    The series of the lower function below a + 1, Legendre's continued fraction above, which converge
    quickly there (Abramowitz and Stegun, 6.5.29 and 6.5.31).
    """
    if x <= 0:
        return 1.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        n = a
        while abs(term) > abs(total) * 1e-16:
            n += 1
            term *= x / n
            total += term
        return max(0.0, 1 - front * total)
    return front * _continued_fraction(a, x)


def _continued_fraction(a: float, x: float) -> float:
    """1/(x+1-a- 1(1-a)/(x+3-a- 2(2-a)/(x+5-a- ...))), from the front (Lentz, 1976)."""
    tiny = 1e-300
    b = x + 1 - a
    c, d = 1 / tiny, 1 / b
    value = d
    for i in range(1, 100_000):
        step = -i * (i - a)
        b += 2
        d = 1 / (step * d + b or tiny)
        c = b + step / c or tiny
        change = c * d
        value *= change
        if abs(change - 1) < 1e-15:
            break
    return value
