"""What pictures of binary classifications are drawn from: points of curves, made small enough to ship."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tidemill.data.evaluation import CalibrationBin, Confusion, Curve, LiftPoint, Plots
from tidemill.data.metrics.tally import Floats

BINARY_BINS = 10
"""Bins of the calibration."""
POINTS = 200
"""The most points of a curve."""
CONFUSED = tuple(at / 20 for at in range(1, 20))
"""Thresholds whose confusions are listed, besides those that metrics ask for."""
SHARES = (0.01, 0.02, 0.05, *(at / 10 for at in range(1, 11)))
"""Shares of the rows whose lift is told."""
SHOWN = 20
"""Bins of the picture of scores."""


def binary_plots(
    thresholds: Floats, negatives: Floats, positives: Floats, binned: Floats, asked: Sequence[float]
) -> Plots:
    """Plots from weights per ascending score and label, and the sums of `BINARY_BINS` bins."""
    used = (negatives + positives) > 0
    thresholds, negatives, positives = thresholds[used], negatives[used], positives[used]
    down = slice(None, None, -1)
    hits, false = np.cumsum(positives[down]), np.cumsum(negatives[down])
    return Plots(
        roc=_roc(thresholds[down], hits, false),
        pr=_pr(thresholds[down], hits, false),
        calibration=_calibration(binned),
        confusions=_confusions(thresholds, negatives, positives, sorted({*CONFUSED, *asked})),
        lift=_lift(hits, false),
        scores=_shown(thresholds, negatives, positives),
    )


def _roc(thresholds: Floats, hits: Floats, false: Floats) -> Curve | None:
    if not len(hits) or not hits[-1] or not false[-1]:
        return None
    x, y = np.append(0.0, false / false[-1]), np.append(0.0, hits / hits[-1])
    return _curve(x, y, np.append(np.nan, thresholds))


def _pr(thresholds: Floats, hits: Floats, false: Floats) -> Curve | None:
    if not len(hits) or not hits[-1]:
        return None
    return _curve(hits / hits[-1], hits / (hits + false), thresholds)


def _curve(x: Floats, y: Floats, thresholds: Floats) -> Curve:
    """At most POINTS points, spread evenly over the length of the curve; both ends stay."""
    if len(x) > POINTS:
        length = np.append(0.0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
        wanted = np.linspace(0, length[-1], POINTS)
        kept = np.unique(np.append(np.searchsorted(length, wanted), [0, len(x) - 1]).clip(0, len(x) - 1))
        # an end may have been added to a full set
        kept = kept if len(kept) <= POINTS else np.delete(kept, 1)
        x, y, thresholds = x[kept], y[kept], thresholds[kept]
    shown = tuple(None if np.isnan(at) else float(at) for at in thresholds)
    return Curve(x=tuple(x.tolist()), y=tuple(y.tolist()), thresholds=shown)


def _calibration(binned: Floats) -> tuple[CalibrationBin, ...]:
    found = []
    for at, (weight, scores, ones) in enumerate(binned.reshape(BINARY_BINS, 3).tolist()):
        if weight > 0:
            found.append(
                CalibrationBin(
                    lower=at / BINARY_BINS,
                    upper=(at + 1) / BINARY_BINS,
                    weight=weight,
                    mean_prediction=scores / weight,
                    mean_label=ones / weight,
                )
            )
    return tuple(found)


def _confusions(
    thresholds: Floats, negatives: Floats, positives: Floats, asked: Sequence[float]
) -> tuple[Confusion, ...]:
    below = np.searchsorted(thresholds, asked, side="left")
    zeros, ones = np.append(0.0, np.cumsum(negatives)), np.append(0.0, np.cumsum(positives))
    return tuple(
        Confusion(
            threshold=float(at),
            tp=float(ones[-1] - ones[place]),
            fp=float(zeros[-1] - zeros[place]),
            tn=float(zeros[place]),
            fn=float(ones[place]),
        )
        for at, place in zip(asked, below, strict=True)
    )


def _lift(hits: Floats, false: Floats) -> tuple[LiftPoint, ...]:
    if not len(hits) or not hits[-1]:
        return ()
    called = np.append(0.0, hits + false)
    captured = np.interp(np.array(SHARES) * called[-1], called, np.append(0.0, hits)) / hits[-1]
    return tuple(
        LiftPoint(share=share, lift=float(part / share), captured=float(part))
        for share, part in zip(SHARES, captured, strict=True)
    )


def _shown(thresholds: Floats, negatives: Floats, positives: Floats) -> tuple[tuple[float, float], ...]:
    places = np.minimum((thresholds * SHOWN).astype(np.int64), SHOWN - 1)
    sides = [np.bincount(places, side, minlength=SHOWN).tolist() for side in (negatives, positives)]
    return tuple(zip(*sides, strict=True))
