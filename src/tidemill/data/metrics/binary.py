"""Binary classification: labels are 0 and 1, predictions are the probability of 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from tidemill.data.evaluation import Plots, Task
from tidemill.data.metrics import scores
from tidemill.data.metrics.catalog import DECISION, Asked
from tidemill.data.metrics.curves import BINARY_BINS, binary_plots
from tidemill.data.metrics.scores import ScoreCells
from tidemill.data.metrics.state import TaskState
from tidemill.data.metrics.tally import Batch, Cells, Floats, Formula

TINY = 1e-15
"""Probabilities are kept this far from 0 and 1 in log_loss, so that one sure mistake is not infinite."""

_AREAS = ("auc", "pr_auc")
_ROWS = {"weight": 1.0}
_CALLED = {"called": 1.0}
_ONES = {"ones": 1.0}
_ZEROS = {"weight": 1.0, "ones": -1.0}
_TRUE_ZEROS = {"weight": 1.0, "ones": -1.0, "called": -1.0, "hits": 1.0}

RATIOS: dict[str, tuple[Mapping[str, float], Mapping[str, float]]] = {
    "accuracy": ({"weight": 1.0, "ones": -1.0, "called": -1.0, "hits": 2.0}, _ROWS),
    "base_rate": (_ONES, _ROWS),
    "brier": ({"squared": 1.0}, _ROWS),
    "calibration": ({"score": 1.0}, _ONES),
    "f1": ({"hits": 2.0}, {"ones": 1.0, "called": 1.0}),
    "false_negative_rate": ({"ones": 1.0, "hits": -1.0}, _ONES),
    "false_positive_rate": ({"called": 1.0, "hits": -1.0}, _ZEROS),
    "log_loss": ({"loss": 1.0}, _ROWS),
    "mean_prediction": ({"score": 1.0}, _ROWS),
    "precision": ({"hits": 1.0}, _CALLED),
    "recall": ({"hits": 1.0}, _ONES),
    "selection_rate": (_CALLED, _ROWS),
    "specificity": (_TRUE_ZEROS, _ZEROS),
}
"""Metrics that are a quotient of two sums: numerator and denominator by column. `called` are rows with a
score of at least the threshold, `hits` those of them with label 1, `ones` all rows with label 1."""

_SHARES = ("accuracy", "base_rate", "false_negative_rate", "false_positive_rate", "precision", "recall",
           "selection_rate", "specificity")  # fmt: skip
_WHY = {
    "precision": "no row is called one",
    "recall": "no row has label 1",
    "calibration": "no row has label 1",
    "false_negative_rate": "no row has label 1",
    "pr_auc": "no row has label 1",
    "specificity": "no row has label 0",
    "false_positive_rate": "no row has label 0",
    "f1": "no row has label 1, and none is called one",
    "auc": "all rows have one label",
    "balanced_accuracy": "all rows have one label",
}


class BinaryState(TaskState):
    """Sums for what is a quotient of sums, histograms of scores for the areas under curves."""

    task: ClassVar[Task] = "classification"

    def __init__(
        self, names: Sequence[str], models: int, slices: int, *, replicates: int = 0, confidence: float = 0.95
    ) -> None:
        super().__init__(names, models, slices, replicates=replicates, confidence=confidence)
        areas = any(asked.base in _AREAS for asked in self.asked)
        self.scores = [ScoreCells(slices if areas else 1) for _ in range(models)]
        coarse = slices if areas and replicates else 0
        self.coarse = [Cells(2 * scores.COARSE, coarse, replicates if coarse else 0) for _ in range(models)]
        ece = any(asked.base == "ece" for asked in self.asked)
        self.binned = [Cells(3 * BINARY_BINS, slices if ece else 1) for _ in range(models)]
        """Ten bins of scores, in each the weight, and the weighted sums of scores and of labels."""

    @property
    def thresholds(self) -> list[float]:
        """Every decision threshold that a metric asks for."""
        return sorted({DECISION, *(a.at for a in self.asked if a.at is not None)})

    def columns_kept(self) -> tuple[list[str], list[str]]:
        """See TaskState."""
        own = ["score", "squared", "loss"]
        for threshold in self.thresholds:
            own += [f"called@{threshold}", f"hits@{threshold}"]
        return ["weight", "ones"], own

    def columns(self, labels: Floats, predictions: Floats | None) -> Floats:
        """See TaskState."""
        if predictions is None:
            return np.stack([np.ones(len(labels)), labels], axis=1)
        clipped = np.clip(predictions, TINY, 1 - TINY)
        loss = -np.where(labels == 1, np.log(clipped), np.log1p(-clipped))
        found = [predictions, (predictions - labels) ** 2, loss]
        for threshold in self.thresholds:
            called = (predictions >= threshold).astype(np.float64)
            found += [called, called * labels]
        return np.stack(found, axis=1)

    def add_cells(self, batch: Batch, draws: Any) -> None:
        """See TaskState."""
        for model, predictions in enumerate(batch.predictions):
            self.scores[model].add(predictions, batch)
            if len(self.coarse[model].counts):
                cells = scores.coarse_bins(predictions) * 2 + (batch.labels == 1)
                self.coarse[model].add(cells, batch, draws)
            _add_binned(self.binned[model], predictions, batch)

    def merge_cells(self, other: Any) -> None:
        """See TaskState."""
        for mine, theirs in zip(self.scores, other.scores, strict=True):
            mine.merge(theirs)
        for ours, more in zip((*self.coarse, *self.binned), (*other.coarse, *other.binned), strict=True):
            ours.merge(more)

    def formula(self, asked: Asked) -> Formula | None:
        """See TaskState."""
        at = DECISION if asked.at is None else asked.at
        if asked.base == "balanced_accuracy":
            sensitivity, specificity = _quotient("recall", at), _quotient("specificity", at)
            return lambda sums: (sensitivity(sums) + specificity(sums)) / 2
        return _quotient(asked.base, at) if asked.base in RATIOS else None

    def proportion(self, asked: Asked) -> Mapping[str, float] | None:
        """See TaskState."""
        at = DECISION if asked.at is None else asked.at
        return _named(RATIOS[asked.base][1], at) if asked.base in _SHARES else None

    def cell_values(self, asked: Asked, model: int) -> Floats:
        """See TaskState."""
        if asked.base == "ece":
            return _ece(self.binned[model].counts)
        area = scores.auc if asked.base == "auc" else scores.average_precision
        return area(*self.scores[model].by_label())

    def cell_replicates(self, asked: Asked, model: int) -> Floats | None:
        """See TaskState."""
        if asked.base not in _AREAS:
            return None
        area = scores.auc if asked.base == "auc" else scores.average_precision
        return self.coarse[model].replicated(lambda counts: area(counts[..., 0::2], counts[..., 1::2]))

    def cell_errors(self, asked: Asked, model: int) -> Floats | None:
        """See TaskState."""
        if asked.base != "auc" or self.weighted:
            return None
        return scores.delong_error(*self.scores[model].by_label())

    def why(self, asked: Asked, model: int, at: int) -> str:
        """See TaskState."""
        del model, at
        return _WHY.get(asked.base, "it has no value for these rows")

    def plots(self, model: int) -> Plots:
        """See TaskState."""
        negatives, positives = (side[0] for side in self.scores[model].by_label())
        return binary_plots(
            self.scores[model].thresholds, negatives, positives, self.binned[model].counts[0], self.thresholds
        )

    def notes(self) -> list[str]:
        """See TaskState."""
        found = self.coarse[0].note()
        for model, cells in enumerate(self.scores):
            if cells.values is None and any(asked.base == "auc" for asked in self.asked):
                worst = float(np.nanmax(scores.tie_error(*cells.by_label()), initial=0.0))
                whose = "auc" if model == 0 else f"auc of model {model + 1}"
                found.append(f"{whose} is that of scores in {scores.BINS} bins: off by at most {worst:.2g}")
        return found


def _named(columns: Mapping[str, float], at: float) -> dict[str, float]:
    return {
        f"{name}@{at}" if name in ("called", "hits") else name: factor for name, factor in columns.items()
    }


def _quotient(base: str, at: float) -> Formula:
    upper, lower = (_named(columns, at) for columns in RATIOS[base])

    def formula(sums: Mapping[str, Any]) -> Any:
        part = sum(factor * sums[name] for name, factor in upper.items())
        return part / sum(factor * sums[name] for name, factor in lower.items())

    return formula


def _add_binned(binned: Cells, predictions: Floats, batch: Batch) -> None:
    cells = np.minimum((predictions * BINARY_BINS).astype(np.int64), BINARY_BINS - 1) * 3
    only_all = len(binned.counts) == 1
    weights = np.ones(len(batch)) if batch.weights is None else batch.weights
    for place, values in enumerate((weights, weights * predictions, weights * batch.labels)):
        part = Batch(batch.labels, (), batch.slicings, values)
        binned.add(cells + place, part, only_all=only_all)


def _ece(counts: Floats) -> Floats:
    """Expected calibration error: |mean score - mean label| of ten bins, by their weight."""
    apart = np.abs(counts[:, 1::3] - counts[:, 2::3]).sum(axis=1)
    with np.errstate(all="ignore"):
        found: Floats = apart / counts[:, 0::3].sum(axis=1)
    return found
