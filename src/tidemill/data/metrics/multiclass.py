"""Classification into more than two classes: labels are numbers of classes, from 0.

Predictions are probabilities, shape (rows, classes), or numbers of classes, shape (rows,). With probabilities
the class of the largest one counts as predicted, of equal ones the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from tidemill.data.evaluation import ConfusionMatrix, Plots, Task
from tidemill.data.metrics.binary import TINY
from tidemill.data.metrics.catalog import Asked
from tidemill.data.metrics.state import TaskState, indices
from tidemill.data.metrics.tally import Batch, Cells, Floats, Formula
from tidemill.errors import DataError

MOST_IN_MATRIX = 200
"""Classes up to which the confusion matrix is kept."""
_NEED_PROBABILITIES = ("log_loss", "top_k_accuracy")


class MulticlassState(TaskState):
    """Sums for accuracy and log loss, counts per class for the rest."""

    task: ClassVar[Task] = "multiclass"

    def __init__(
        self, names: Sequence[str], models: int, slices: int, *, classes: Sequence[str], replicates: int = 0,
        confidence: float = 0.95,
    ) -> None:  # fmt: skip
        self.classes = tuple(classes)
        super().__init__(names, models, slices, replicates=replicates, confidence=confidence)
        size = 3 * len(self.classes)
        self.per_class = [Cells(size, slices, replicates) for _ in range(models)]
        """Per class: weight with the label, weight predicted, weight predicted rightly."""
        square = len(self.classes) ** 2 if len(self.classes) <= MOST_IN_MATRIX else 0
        self.matrix = [Cells(square, 1) for _ in range(models)]
        self.probable = [True] * models

    @property
    def lengths(self) -> list[int]:
        """Every k of top_k_accuracy."""
        return sorted({int(a.at) for a in self.asked if a.at is not None})

    def columns_kept(self) -> tuple[list[str], list[str]]:
        """See TaskState."""
        return ["weight"], ["hits", "loss", *(f"top@{k}" for k in self.lengths)]

    def columns(self, labels: Floats, predictions: Floats | None) -> Floats:
        """See TaskState."""
        if predictions is None:
            return np.ones((len(labels), 1))
        truth = indices(labels)
        if predictions.ndim == 1:
            hits = (predictions == labels).astype(np.float64)
            return np.stack([hits, *[np.zeros(len(labels))] * (1 + len(self.lengths))], axis=1)
        of_truth = predictions[np.arange(len(truth)), truth][:, None]
        before = np.arange(predictions.shape[1])[None, :] < truth[:, None]
        place = ((predictions > of_truth) | ((predictions == of_truth) & before)).sum(axis=1)
        loss = -np.log(np.clip(of_truth[:, 0], TINY, 1.0))
        return np.stack([place == 0, loss, *(place < k for k in self.lengths)], axis=1).astype(np.float64)

    def add(self, batch: Batch) -> None:
        """See TaskState. DataError for a label or prediction that is no class."""
        self._check(batch.labels, "label")
        for predictions in batch.predictions:
            if predictions.ndim == 1:
                self._check(predictions[np.isfinite(predictions)], "prediction")
            elif predictions.shape[1] != len(self.classes):
                raise DataError(
                    f"a model gives {predictions.shape[1]} probabilities for {len(self.classes)} classes"
                )
        super().add(batch)

    def _check(self, numbers: Floats, what: str) -> None:
        count = len(self.classes)
        strange = numbers[(numbers < 0) | (numbers >= count) | (numbers != np.floor(numbers))]
        if strange.size:
            raise DataError(
                f"a {what} is {strange[0]:g}, and there are {count} classes",
                hint="classes are numbered from 0 in the order of classes=[...]",
            )

    def add_cells(self, batch: Batch, draws: Any) -> None:
        """See TaskState."""
        truth, count = indices(batch.labels), len(self.classes)
        for model, predictions in enumerate(batch.predictions):
            self.probable[model] &= predictions.ndim == 2
            called = predictions.argmax(axis=1) if predictions.ndim == 2 else indices(predictions)
            cells = self.per_class[model]
            for kind, places in enumerate((truth, called, np.where(truth == called, truth, -1))):
                cells.add(np.where(places < 0, -1, kind * count + places), batch, draws)
            if self.matrix[model].size:
                self.matrix[model].add(truth * count + called, batch, only_all=True)

    def merge_cells(self, other: Any) -> None:
        """See TaskState."""
        for mine, theirs in (
            *zip(self.per_class, other.per_class, strict=True),
            *zip(self.matrix, other.matrix, strict=True),
        ):
            mine.merge(theirs)
        self.probable = [a and b for a, b in zip(self.probable, other.probable, strict=True)]

    def formula(self, asked: Asked) -> Formula | None:
        """See TaskState."""
        column = {"accuracy": "hits", "micro_f1": "hits", "log_loss": "loss"}.get(asked.base)
        if asked.base == "top_k_accuracy":
            column = f"top@{int(asked.at or 1)}"
        return None if column is None else lambda sums: sums[column] / sums["weight"]

    def proportion(self, asked: Asked) -> dict[str, float] | None:
        """See TaskState."""
        return {"weight": 1.0} if asked.base in ("accuracy", "micro_f1", "top_k_accuracy") else None

    def _values(self, asked: Asked, model: int) -> Floats:
        found = super()._values(asked, model)
        if asked.base in _NEED_PROBABILITIES and not self.probable[model]:
            return np.full_like(found, np.nan)
        return found

    def cell_values(self, asked: Asked, model: int) -> Floats:
        """See TaskState."""
        return _of_classes(asked.base, self.per_class[model].counts)

    def cell_replicates(self, asked: Asked, model: int) -> Floats | None:
        """See TaskState."""
        return self.per_class[model].replicated(lambda counts: _of_classes(asked.base, counts))

    def why(self, asked: Asked, model: int, at: int) -> str:
        """See TaskState."""
        del at
        if asked.base in _NEED_PROBABILITIES and not self.probable[model]:
            return "predictions are classes, not probabilities"
        return "it has no value for these rows"

    def plots(self, model: int) -> Plots:
        """See TaskState."""
        cells = self.matrix[model]
        if not cells.size:
            return Plots()
        counts = cells.counts[0].reshape(len(self.classes), -1).tolist()
        return Plots(matrix=ConfusionMatrix(classes=self.classes, counts=tuple(map(tuple, counts))))

    def notes(self) -> list[str]:
        """See TaskState."""
        found = self.per_class[0].note()
        if len(self.classes) > MOST_IN_MATRIX:
            found.append(f"no confusion matrix: {len(self.classes)} classes are more than {MOST_IN_MATRIX}")
        return found


def _of_classes(base: str, counts: Floats) -> Floats:
    """A metric from the counts per class (last axis), as scikit-learn defines it: over the classes that are
    a label or predicted, a precision or recall without rows being 0."""
    labels, called, hits = np.split(counts, 3, axis=-1)
    seen = labels + called > 0
    with np.errstate(all="ignore"):
        f1 = np.where(seen, 2 * hits / (labels + called), 0.0)
        precision, recall = np.where(called > 0, hits / called, 0.0), np.where(labels > 0, hits / labels, 0.0)
        match base:
            case "macro_f1":
                found: Floats = f1.sum(axis=-1) / seen.sum(axis=-1)
            case "macro_precision":
                found = precision.sum(axis=-1) / seen.sum(axis=-1)
            case "macro_recall":
                found = recall.sum(axis=-1) / seen.sum(axis=-1)
            case "balanced_accuracy":
                found = recall.sum(axis=-1) / (labels > 0).sum(axis=-1)
            case _:
                found = (f1 * labels).sum(axis=-1) / labels.sum(axis=-1)
    return found
