"""What Evaluator takes and gives; the work is in `executor`.

**Slices.** A slice is a column, a list of columns (crossed), or TFMA's mapping: `{"feature_keys": ["city"],
"feature_values": {"paid": "cash"}, "bins": {"fare": [5, 20]}}`; bins are edges, or a number of bins with
equally many rows. Of each, the 100 largest with at least `min_slice_size` rows are measured; what is left
out is said.

**Thresholds.** Per metric a mapping, or a list of them:

    thresholds={
        "auc": [
            {"lower": 0.75, "min_change": -0.01},
            {"lower": 0.7, "on": "bound", "slices": "all"},
            {"min_relative_change": -0.02, "slices": ["city", {"paid": "cash"}]},
        ],
        "log_loss": {"upper": 0.5},
    }

`lower` and `upper` limit the value. `min_change` is the least improvement over the baseline (negative: how
much worse is allowed), `min_relative_change` the same as a share of the baseline's value; `direction`
("higher" or "lower") says which way is better where the metric does not. With `"on": "bound"` the bound of
the confidence interval must reach the limit. `slices` is "overall", "all" (all rows and every slice), or a
list of columns and of single slices. TFMA's `value_threshold` and `change_threshold` are understood. A
metric without a value on a slice (one class only) is not judged there, unless the slice is named by its
values.

**Fairness.** `{"slices": "sex", "metric": "recall", "max_gap": 0.1, "min_ratio": 0.8}`: the largest gap and
the smallest ratio of a metric between the groups, or to a `reference` ("overall", or the value of one
group).
"""

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
    challengers: Input[list[Model]] | None = None,
    predict_fn: Callable[..., Any] | None = None,
    evaluate_fn: Callable[..., Any] | None = None,
    label: str | None = None,
    task: Literal["classification", "multiclass", "regression", "ranking"] | None = None,
    metrics: Sequence[str] = (),
    own_metrics: Sequence[Callable[..., Any]] = (),
    classes: Sequence[Any] = (),
    weight: str | None = None,
    query: str | None = None,
    slices: Sequence[Any] = (),
    min_slice_size: int = 1,
    thresholds: Mapping[str, Any] | None = None,
    fairness: Sequence[Mapping[str, Any]] = (),
    intervals: Literal["analytic", "bootstrap"] = "analytic",
    replicates: int = 200,
    confidence: float = 0.95,
    when_no_baseline: Literal["skip_changes", "refuse"] = "skip_changes",
    when_no_thresholds: Literal["bless", "refuse"] = "bless",
    allow_pickle: bool = False,
    allow_code: bool = False,
    splits: Sequence[str] = ("eval",),
) -> EvaluatorOutputs:
    """Measure a model, compare it with a baseline on the same rows, and bless it or not.

    baseline_model: usually the latest blessed model. `challengers` are measured beside it, not judged.
    predict_fn: `predict_fn(model_dir: Path, rows: pyarrow.Table)`: the probability of label 1, the value, the
        score, or probabilities (rows, classes). Without one the model itself gets the raw rows.
    evaluate_fn: `evaluate_fn(model_dir: Path, examples: Dataset) -> {"name": number}`.
    label, weight, query, slices: columns of the examples, or outputs of the model's transform graph. Rows
        without a label are left out, and counted; rows of one `query` are ranked together.
    metrics: see tidemill.data.metrics.catalog; by default those usual for `task`, and those with a threshold.
    own_metrics: classes with add, merge and finish; see tidemill.data.metrics.custom.
    classes: values of the label, in the order of the model's probabilities; its manifest may say them.
    intervals: `bootstrap` draws `replicates` for all metrics; else formulas, where there is one.
    slices, thresholds, fairness: see this module.

    Always writes `evaluation.json` and `blessing.json`. A model that is not blessed does not fail the node:
    `blessing.blessed` is 0, `blessing.reason` says why. A metric without a value is never blessed.
    Errors: DataError for unknown metrics, columns, splits and slices, labels or predictions that do not fit.
    """
