"""How good predictions are: each metric is one function of labels and predictions.

Classification is binary: labels are 0 and 1, predictions are probabilities of 1. A metric that has no
value for the rows it is given (an AUC of one class only) is NaN, never a made-up number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tidemill.errors import DataError, did_you_mean

Floats = NDArray[np.float64]
Task = Literal["classification", "regression"]
Direction = Literal["higher", "lower"]

TINY = 1e-15
"""Probabilities are kept this far from 0 and 1 in log_loss, so that one sure mistake is not infinite."""
Z95 = 1.959963984540054
"""97.5 % quantile of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: `of_rows` gives a value per row whose mean is the metric, where there is such a form."""

    task: Task
    direction: Direction
    """Which way is better."""
    compute: Callable[[Floats, Floats], float]
    of_rows: Callable[[Floats, Floats], Floats] | None = None


def auc(labels: Floats, scores: Floats) -> float:
    """Area under the ROC curve: chance that a 1 scores above a 0, ties counting half (Mann-Whitney U)."""
    positives = float(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return math.nan
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    above = float(ranks[place][labels == 1].sum()) - positives * (positives + 1) / 2
    return above / (positives * negatives)


def log_loss_of_rows(labels: Floats, scores: Floats) -> Floats:
    """Negative log likelihood of each label."""
    clipped = np.clip(scores, TINY, 1 - TINY)
    losses: Floats = -np.where(labels == 1, np.log(clipped), np.log1p(-clipped))
    return losses


def hits(labels: Floats, scores: Floats) -> Floats:
    """1 where the label and `score >= 0.5` agree."""
    right: NDArray[np.bool_] = (scores >= 0.5) == (labels == 1)
    return right.astype(np.float64)


def squared_errors(labels: Floats, predictions: Floats) -> Floats:
    """(prediction - label)^2 of each row."""
    errors: Floats = predictions - labels
    return errors * errors


def absolute_errors(labels: Floats, predictions: Floats) -> Floats:
    """|prediction - label| of each row."""
    errors: Floats = np.abs(predictions - labels)
    return errors


def precision(labels: Floats, scores: Floats) -> float:
    """Share of ones among the rows called one (`score >= 0.5`)."""
    called = scores >= 0.5
    return _ratio(float(labels[called].sum()), float(called.sum()))


def recall(labels: Floats, scores: Floats) -> float:
    """Share of the ones that are called one."""
    return _ratio(float(labels[scores >= 0.5].sum()), float(labels.sum()))


def f1(labels: Floats, scores: Floats) -> float:
    """Harmonic mean of precision and recall: 2 true positives / (ones + rows called one)."""
    called = scores >= 0.5
    return _ratio(2 * float(labels[called].sum()), float(labels.sum()) + float(called.sum()))


def rmse(labels: Floats, predictions: Floats) -> float:
    """Root of the mean squared error."""
    return math.sqrt(_mean(squared_errors(labels, predictions)))


def r2(labels: Floats, predictions: Floats) -> float:
    """1 - squared errors / squared deviations of the labels; NaN when all labels are equal."""
    spread = float(np.square(labels - labels.mean()).sum()) if len(labels) else 0.0
    return 1 - float(squared_errors(labels, predictions).sum()) / spread if spread else math.nan


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else math.nan


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _mean_of(of_rows: Callable[[Floats, Floats], Floats], task: Task, direction: Direction) -> Metric:
    return Metric(task, direction, lambda labels, found: _mean(of_rows(labels, found)), of_rows)


METRICS: dict[str, Metric] = {
    "accuracy": _mean_of(hits, "classification", "higher"),
    "auc": Metric("classification", "higher", auc),
    "brier": _mean_of(squared_errors, "classification", "lower"),
    "f1": Metric("classification", "higher", f1),
    "log_loss": _mean_of(log_loss_of_rows, "classification", "lower"),
    "precision": Metric("classification", "higher", precision),
    "recall": Metric("classification", "higher", recall),
    "mae": _mean_of(absolute_errors, "regression", "lower"),
    "r2": Metric("regression", "higher", r2),
    "rmse": Metric("regression", "lower", rmse),
}
"""Every built-in metric by name."""


def check_names(names: Iterable[str], task: Task) -> None:
    """DataError, with a suggestion, for a metric that is unknown or belongs to the other task."""
    for name in names:
        if name not in METRICS:
            raise DataError(f"there is no metric {name!r}", hint=did_you_mean(name, METRICS))
        if METRICS[name].task != task:
            fitting = [other for other, metric in METRICS.items() if metric.task == task]
            raise DataError(f"{name} is no metric for {task}", hint=f"known: {', '.join(fitting)}")


def check_values(labels: Any, predictions: Any, task: Task) -> None:
    """DataError unless `labels` and `predictions` are what the task's metrics are defined for."""
    if not np.isfinite(labels).all():
        raise DataError("a label is NaN or infinite")
    if task == "classification":
        if strange := np.setdiff1d(labels, [0.0, 1.0]).tolist():
            raise DataError(
                f"labels of a classification must be 0 and 1, found {strange[0]}",
                hint='for numbers use task="regression"',
            )
        outside = predictions[(predictions < 0) | (predictions > 1)]
        if len(outside):
            raise DataError(
                f"predictions of a classification must be probabilities, found {outside[0]}",
                hint="predict_fn must return the probability of label 1 for each row",
            )


def compute(names: Iterable[str], labels: Floats, predictions: Floats) -> dict[str, float]:
    """Each metric; NaN where a prediction is NaN, or where the metric is not defined."""
    if np.isnan(predictions).any():
        return dict.fromkeys(names, math.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        return {name: METRICS[name].compute(labels, predictions) for name in names}


def interval(name: str, labels: Floats, predictions: Floats) -> tuple[float, float] | None:
    """95 % confidence interval (normal approximation) of a metric that is a mean over rows; else None."""
    of_rows = METRICS[name].of_rows
    return None if of_rows is None else _interval(of_rows(labels, predictions))


def change_interval(
    name: str, labels: Floats, predictions: Floats, baseline: Floats
) -> tuple[float, float] | None:
    """The same for the metric minus the baseline's, paired by row: much narrower than two intervals."""
    of_rows = METRICS[name].of_rows
    return None if of_rows is None else _interval(of_rows(labels, predictions) - of_rows(labels, baseline))


def _interval(values: Floats) -> tuple[float, float] | None:
    if len(values) < 2 or not np.isfinite(values).all():
        return None
    middle, half = float(values.mean()), Z95 * float(values.std(ddof=1)) / math.sqrt(len(values))
    return middle - half, middle + half
