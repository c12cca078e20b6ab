"""What Evaluator takes and gives; the work is in `executor`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from tidemill.dsl.component import Input, Outputs, component
from tidemill.types.standard import Examples, Model, ModelBlessing, ModelEvaluation


class EvaluatorOutputs(Outputs):
    """The measurements, and the verdict."""

    evaluation: ModelEvaluation
    blessing: ModelBlessing


@component(executor="tidemill.components.evaluator.executor:run")
def Evaluator(
    examples: Input[Examples],
    model: Input[Model],
    *,
    baseline_model: Input[Model] | None = None,
    predict_fn: Callable[..., Any] | None = None,
    evaluate_fn: Callable[..., Any] | None = None,
    label: str | None = None,
    task: Literal["classification", "regression"] | None = None,
    metrics: Sequence[str] = (),
    slices: Sequence[str | Sequence[str]] = (),
    thresholds: Mapping[str, Mapping[str, Any]] | None = None,
    splits: Sequence[str] = ("eval",),
) -> EvaluatorOutputs:
    """Measure a model, compare it with a baseline on the same rows, and bless it or not.

    baseline_model: usually the latest blessed model. Without one, changes are not judged.
    predict_fn: `predict_fn(model_dir: Path, rows: pyarrow.Table)`, called with up to 100,000 rows at a
        time; returns one number per row: the probability of label 1, or the predicted value.
    evaluate_fn: `evaluate_fn(model_dir: Path, examples: Dataset) -> {"name": number}`, for metrics of
        your own, such as of rankings. Give one of the two, or both.
    label: a column of the examples, or an output of the model's transform graph. Rows without a label
        are left out, and counted.
    metrics: accuracy, auc, brier, f1, log_loss, precision, recall; or mae, r2, rmse. By default those
        usual for `task`, which follows from the metrics if it is not given.
    slices: columns, or lists of columns, by whose values the metrics are also shown (the 100 largest).
    thresholds: by metric: `lower` and `upper` limit its value, `min_change` is the least improvement
        over the baseline (negative: how much worse is allowed), `direction` says which way is better
        ("higher" or "lower") where evaluate_fn made the metric.

    Always writes `evaluation.json` and `blessing.json`. A model that is not blessed does not fail the
    node: `blessing.blessed` is 0, `blessing.reason` says why. A metric that is NaN is never blessed.
    Errors: DataError for unknown metrics, columns and splits, labels or predictions that do not fit the
    task, and no rows.
    """
