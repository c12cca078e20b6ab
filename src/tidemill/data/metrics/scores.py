"""Histograms of scores by label: what ROC and PR curves and the areas under them are computed from.

Up to 10,000 distinct scores are kept as they are, so areas are exact. Beyond that scores fall into 10,000
bins of width 1/10000 (and one for 1.0), and pairs within a bin count as ties: the area under the ROC curve is
off by at most half the share of such pairs, which `tie_error` tells. Thresholds with up to four decimals
are exact in either case.
"""

from __future__ import annotations

import numpy as np

from tidemill.data.metrics.tally import Batch, Floats, Ints, count_cells

BINS = 10_000
EDGES: Floats = np.arange(BINS + 1) / BINS
"""Lower ends of the bins; the last bin holds 1.0 alone."""
COARSE = 400
"""Bins of the bootstrap's replicates, of equal width in the logit of the score."""
_LOGIT_END = 12.0


class ScoreCells:
    """Weights by slice, score and label, of one model."""

    def __init__(self, slices: int) -> None:
        self.values: Floats | None = np.empty(0)
        """The distinct scores, ascending; None when there were too many, and EDGES stand for them."""
        self.counts = np.zeros((slices, 0))
        """Shape (slices, 2 * scores): label 0 and label 1 of each score alternate."""

    @property
    def thresholds(self) -> Floats:
        """The lowest score of each bin."""
        return EDGES if self.values is None else self.values

    def by_label(self) -> tuple[Floats, Floats]:
        """Weights of negatives and of positives, each of shape (slices, scores)."""
        return self.counts[:, 0::2], self.counts[:, 1::2]

    def add(self, scores: Floats, batch: Batch) -> None:
        """Take in scores from 0 to 1; only as many slicings are counted as this has slices for."""
        if self.values is not None:
            self._widen(np.unique(scores))
        places = bins_of(scores) if self.values is None else np.searchsorted(self.values, scores)
        cells = places * 2 + (batch.labels == 1)
        for slicing in batch.slicings:
            if slicing.stop <= len(self.counts):
                count_cells(self.counts, cells, slicing, batch.weights)

    def merge(self, other: ScoreCells) -> None:
        """Take in the state of other rows."""
        if self.values is not None and other.values is not None:
            self._widen(other.values)
        if self.values is None or other.values is None:
            self._to_bins()
        theirs = other.thresholds
        places = bins_of(theirs) if self.values is None else np.searchsorted(self.values, theirs)
        for label in (0, 1):
            # several of their scores may fall into one of our bins
            _scatter(self.counts, places * 2 + label, other.counts[:, label::2])

    def _widen(self, scores: Floats) -> None:
        """Make room for these scores."""
        assert self.values is not None
        known = np.union1d(self.values, scores)
        if len(known) > BINS:
            self._to_bins()
        elif len(known) > len(self.values):
            wider = np.zeros((len(self.counts), 2 * len(known)))
            places = np.searchsorted(known, self.values)
            for label in (0, 1):
                wider[:, places * 2 + label] = self.counts[:, label::2]
            self.values, self.counts = known, wider

    def _to_bins(self) -> None:
        if self.values is None:
            return
        places, old = bins_of(self.values), self.counts
        self.values, self.counts = None, np.zeros((len(old), 2 * len(EDGES)))
        for label in (0, 1):
            _scatter(self.counts, places * 2 + label, old[:, label::2])


def _scatter(out: Floats, places: Ints, values: Floats) -> None:
    """Add columns of `values` to the columns `places` of `out`, which may repeat."""
    np.add.at(out.T, places, values.T)


def bins_of(scores: Floats) -> Ints:
    """The bin of each score: EDGES[bin] <= score < EDGES[bin + 1], to the last bit."""
    found: Ints = np.minimum((scores * BINS).astype(np.int64), BINS)
    found -= EDGES[found] > scores
    found += (found < BINS) & (EDGES[np.minimum(found + 1, BINS)] <= scores)
    return found


def coarse_bins(scores: Floats) -> Ints:
    """Bins that are fine where scores near 0 and 1 crowd, for the spread of replicates."""
    with np.errstate(divide="ignore"):
        logits = np.clip(np.log(scores) - np.log1p(-scores), -_LOGIT_END, _LOGIT_END)
    found: Ints = np.minimum((logits + _LOGIT_END) * (COARSE / (2 * _LOGIT_END)), COARSE - 1).astype(np.int64)
    return found


def auc(negatives: Floats, positives: Floats) -> Floats:
    """Area under the ROC curve from weights by ascending score (last axis): the chance that a 1 scores above
    a 0, ties counting half (Mann and Whitney's U). NaN with one class only."""
    below = np.cumsum(negatives, axis=-1) - negatives / 2
    with np.errstate(all="ignore"):
        total = negatives.sum(axis=-1) * positives.sum(axis=-1)
        found: Floats = (positives * below).sum(axis=-1) / total
    return found


def tie_error(negatives: Floats, positives: Floats) -> Floats:
    """How far `auc` may be off since scores share bins; 0 where each bin is one score."""
    with np.errstate(all="ignore"):
        total = negatives.sum(axis=-1) * positives.sum(axis=-1)
        found: Floats = (positives * negatives).sum(axis=-1) / total / 2
    return found


def average_precision(negatives: Floats, positives: Floats) -> Floats:
    """Area under the PR curve by steps: precision at each score times the recall gained there (scikit-learn's
    average_precision_score). NaN without positives."""
    hits = np.cumsum(positives[..., ::-1], axis=-1)[..., ::-1]
    called = hits + np.cumsum(negatives[..., ::-1], axis=-1)[..., ::-1]
    with np.errstate(all="ignore"):
        precision = np.where(called > 0, hits / called, 0.0)
        found: Floats = (precision * positives).sum(axis=-1) / positives.sum(axis=-1)
    return found


def delong_error(negatives: Floats, positives: Floats) -> Floats:
    """Standard error of `auc` for rows of weight 1 (DeLong, DeLong and Clarke-Pearson 1988), from the shares
    of the other class that each row beats. NaN with less than two rows of a class."""
    ones, zeros = positives.sum(axis=-1, keepdims=True), negatives.sum(axis=-1, keepdims=True)
    with np.errstate(all="ignore"):
        beaten = (np.cumsum(negatives, axis=-1) - negatives / 2) / zeros
        lost = 1 - (np.cumsum(positives, axis=-1) - positives / 2) / ones
        area = (positives * beaten).sum(axis=-1, keepdims=True) / ones
        of_ones = (positives * (beaten - area) ** 2).sum(axis=-1) / (ones[..., 0] - 1)
        of_zeros = (negatives * (lost - area) ** 2).sum(axis=-1) / (zeros[..., 0] - 1)
        found: Floats = np.sqrt(of_ones / ones[..., 0] + of_zeros / zeros[..., 0])
    found[(ones[..., 0] < 2) | (zeros[..., 0] < 2)] = np.nan
    return found
