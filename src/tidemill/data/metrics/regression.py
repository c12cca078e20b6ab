"""Regression: labels and predictions are numbers; an error is a prediction minus its label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from tidemill.data.evaluation import Plots, Task
from tidemill.data.metrics.catalog import Asked
from tidemill.data.metrics.state import TaskState
from tidemill.data.metrics.tally import Batch, Floats, Formula, groups
from tidemill.data.quantiles import QuantileSummary

_QUANTILES = {
    "error_p05": 0.05,
    "error_p50": 0.5,
    "error_p95": 0.95,
    "abs_error_p50": 0.5,
    "abs_error_p90": 0.9,
}
_RATIOS = {"mae": ("absolute", "weight"), "mean_error": ("error", "weight"), "mse": ("squared", "weight"),
           "mape": ("relative", "nonzero")}  # fmt: skip
_PLOTTED = tuple(at / 20 for at in range(21))


class RegressionState(TaskState):
    """Sums for means and R squared, quantile summaries for quantiles of errors."""

    task: ClassVar[Task] = "regression"

    def __init__(
        self, names: Sequence[str], models: int, slices: int, *, replicates: int = 0, confidence: float = 0.95
    ) -> None:
        super().__init__(names, models, slices, replicates=replicates, confidence=confidence)
        kept = slices if any(a.base in _QUANTILES for a in self.asked) else 1
        self.errors = [[QuantileSummary() for _ in range(kept)] for _ in range(models)]
        self.sizes = [[QuantileSummary() for _ in range(kept)] for _ in range(models)]
        self.shift: float | None = None
        """About where labels lie; they are squared from there, so that no digits are lost."""

    def columns_kept(self) -> tuple[list[str], list[str]]:
        """See TaskState. `label` and `label_squared` are measured from `shift`."""
        return ["weight", "label", "label_squared", "nonzero"], ["error", "absolute", "squared", "relative"]

    def columns(self, labels: Floats, predictions: Floats | None) -> Floats:
        """See TaskState."""
        nonzero = labels != 0
        if predictions is None:
            if self.shift is None:
                self.shift = float(np.median(labels))
            moved = labels - self.shift
            return np.stack([np.ones(len(labels)), moved, moved * moved, nonzero], axis=1)
        errors = predictions - labels
        relative = np.abs(errors) / np.where(nonzero, np.abs(labels), 1.0) * nonzero
        return np.stack([errors, np.abs(errors), errors * errors, relative], axis=1)

    def add_cells(self, batch: Batch, draws: Any) -> None:
        """See TaskState."""
        del draws
        kept = len(self.errors[0]) if self.errors else 0
        for slicing in batch.slicings:
            if slicing.stop > kept:
                continue
            for number, rows in groups(slicing):
                for model, predictions in enumerate(batch.predictions):
                    errors = (predictions - batch.labels)[rows]
                    self.errors[model][number].add(errors)
                    self.sizes[model][number].add(np.abs(errors))

    def merge(self, other: Any) -> None:
        """See TaskState; labels of both are measured from one place first."""
        if self.shift is None:
            self.shift = other.shift
        moved = 0.0 if self.shift is None or other.shift is None else other.shift - self.shift
        if moved:
            other.sums.move(_from(other.sums.sums.shape[1], moved))
            other.shift = self.shift
        super().merge(other)

    def merge_cells(self, other: Any) -> None:
        """See TaskState."""
        for mine, theirs in zip((*self.errors, *self.sizes), (*other.errors, *other.sizes), strict=True):
            for summary, more in zip(mine, theirs, strict=True):
                summary.merge(more)

    def formula(self, asked: Asked) -> Formula | None:
        """See TaskState."""
        if asked.base == "rmse":
            return lambda sums: np.sqrt(sums["squared"] / sums["weight"])
        if asked.base == "r2":
            return _r2
        if asked.base not in _RATIOS:
            return None
        part, whole = _RATIOS[asked.base]
        return lambda sums: sums[part] / sums[whole]

    def cell_values(self, asked: Asked, model: int) -> Floats:
        """See TaskState."""
        summaries = (self.sizes if asked.base.startswith("abs") else self.errors)[model]
        share = np.array([_QUANTILES[asked.base]])
        return np.array([s.quantiles(share)[0] if s.count else np.nan for s in summaries])

    def why(self, asked: Asked, model: int, at: int) -> str:
        """See TaskState."""
        if asked.base == "r2" and not np.isfinite(self._values(asked, model)[at]):
            row = self.sums.named(self.sums.sums, model)
            if np.isfinite(row["squared"][at]) and np.isfinite(row["label_squared"][at]):
                return "all labels are equal"
        if asked.base == "mape" and not self.sums.named(self.sums.sums, model)["nonzero"][at]:
            return "all labels are 0"
        return "the errors are too large for a float"

    def plots(self, model: int) -> Plots:
        """See TaskState."""
        summary = self.errors[model][0]
        if not summary.count:
            return Plots()
        found = summary.quantiles(np.array(_PLOTTED))
        return Plots(residuals=tuple(zip(_PLOTTED, found.tolist(), strict=True)))

    def notes(self) -> list[str]:
        """See TaskState."""
        if self.weighted and any(a.base in _QUANTILES for a in self.asked):
            return ["quantiles of errors count each row once, whatever its weight"]
        return []


def _r2(sums: Mapping[str, Any]) -> Any:
    """1 - squared errors / squared deviations of the labels."""
    spread = sums["label_squared"] - sums["label"] ** 2 / sums["weight"]
    # What is left of equal labels is rounding, which must not pass for a spread.
    tiny = np.abs(spread) <= 1e-12 * np.abs(sums["label_squared"])
    return 1 - sums["squared"] / np.where(tiny, np.nan, spread)


def _from(width: int, moved: float) -> Floats:
    """The matrix that turns columns of labels less s + `moved` into those of labels less s."""
    matrix = np.eye(width)
    matrix[1, 0] = moved
    matrix[2, 0], matrix[2, 1] = moved * moved, 2 * moved
    return matrix
