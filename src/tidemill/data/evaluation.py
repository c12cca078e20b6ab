"""Evaluations of models as plain values: what was measured, compared and decided.

They hold no NaN and no infinity; where a metric has no value, a reason stands beside it. Their file is
`evaluation_file`'s affair; how they are computed is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Task = Literal["classification", "multiclass", "regression", "ranking"]
Key = Mapping[str, Any]
"""A slice by the values of its columns: text, number, truth value or None; binned numbers as `[10, 20)`.
Empty for all rows."""

BLESSED, NOT_BLESSED = "BLESSED", "NOT_BLESSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A confidence interval around an estimate."""

    low: float
    high: float
    method: str = "analytic"
    """`analytic` (a formula: see data.metrics) or `bootstrap` (Poisson bootstrap over rows)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A metric of one model on some rows."""

    value: float | None
    interval: Interval | None = None
    reason: str = ""
    """Why there is no value; empty when there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A metric of the model minus the baseline's, on the same rows."""

    value: float | None
    relative: float | None = None
    """The change as a share of the baseline's absolute value; None where that is 0 or unknown."""
    interval: Interval | None = None
    """Of `value`: paired by row, so much narrower than the difference of two intervals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Points of a curve, from the highest threshold to the lowest; at most 200.

    ROC: x is the false positive rate, y the true positive rate. PR: x is recall, y precision.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    thresholds: tuple[float | None, ...]
    """A point counts rows with score >= threshold as positive; None for the point that has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin:
    """Rows whose scores lie in [lower, upper), the last bin closed."""

    lower: float
    upper: float
    weight: float
    """Sum of the rows' weights; the number of rows without weights."""
    mean_prediction: float
    mean_label: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Weights of true and false positives and negatives where `score >= threshold` means positive."""

    threshold: float
    tp: float
    fp: float
    tn: float
    fn: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftPoint:
    """The rows with the highest scores: how many more positives they hold than as many random rows."""

    share: float
    """Share of all rows, 0 to 1."""
    lift: float
    captured: float
    """Share of all positives that lie among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusionMatrix:
    """`counts[i][j]`: weight of rows with label `classes[i]` that were predicted as `classes[j]`."""

    classes: tuple[str, ...]
    counts: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plots:
    """What pictures of one model on all rows are drawn from; only what its task has."""

    roc: Curve | None = None
    pr: Curve | None = None
    calibration: tuple[CalibrationBin, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    lift: tuple[LiftPoint, ...] = ()
    scores: tuple[tuple[float, float], ...] = ()
    """Twenty bins of equal width over scores 0 to 1: (weight of negatives, weight of positives)."""
    matrix: ConfusionMatrix | None = None
    residuals: tuple[tuple[float, float], ...] = ()
    """(share, prediction - label that this share of the rows does not exceed), for regressions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceEvaluation:
    """All metrics on some rows."""

    key: Key
    rows: int
    weight: float
    """Sum of the rows' weights; equal to `rows` without weights."""
    model: Mapping[str, Measure]
    baseline: Mapping[str, Measure] | None = None
    changes: Mapping[str, Change] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How people call it: `city=a, hour=3`, or `overall`."""
        return slice_name(self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """How far a metric of the model differs between the groups of some columns."""

    columns: tuple[str, ...]
    metric: str
    reference: str
    """The group that others are compared with, or `overall`; empty: all groups with each other."""
    groups: Mapping[str, float | None]
    """Group -> the metric there; None where it has no value."""
    gap: float | None
    """Largest difference; None with less than two groups that have a value."""
    ratio: float | None
    """Smallest quotient, 0 to 1: the smaller metric by the larger. None where it is not defined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One threshold on one slice, and what became of it."""

    metric: str
    key: Key
    kind: str
    """`value`, `change`, `gap`, or `defined` (the metric must be a number)."""
    text: str
    """In one line: what was demanded and what was found."""
    passed: bool | None
    """None: not judged; the text says why."""
    limit: float | None = None
    measured: float | None = None
    """What was held against the limit: the estimate, or the bound of its interval."""
    on: str = "estimate"
    """`estimate`, or `bound` of the confidence interval."""

    @property
    def slice_name(self) -> str:
        """The slice as people call it."""
        return slice_name(self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenger:
    """Another model, measured on the same rows for comparison; it is not judged."""

    model_id: int
    model: Mapping[str, Measure]
    changes: Mapping[str, Change] = field(default_factory=dict)
    """The challenger minus the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A model measured on some rows, beside its baseline, and the verdict."""

    rows: int
    """Rows of the splits, with and without a label."""
    overall: SliceEvaluation
    rows_without_label: int = 0
    task: str = ""
    """classification, multiclass, regression or ranking; empty when all metrics are the user's own."""
    label: str = ""
    weight: str = ""
    """Column of the weights; empty for none."""
    query: str = ""
    """Column by whose values rows are ranked; empty for none."""
    splits: tuple[str, ...] = ()
    model_id: int = 0
    baseline_id: int = 0
    """0: there was no baseline."""
    confidence: float = 0.95
    """Level of all intervals."""
    slices: tuple[SliceEvaluation, ...] = ()
    """In the order of the slicing, in each the largest first."""
    slices_left_out: Mapping[str, int] = field(default_factory=dict)
    """Columns, joined by `/` -> slices that were measured by nobody, since there were too many."""
    slices_too_small: Mapping[str, int] = field(default_factory=dict)
    """... -> slices with less rows than `min_slice_size`."""
    plots: Plots = Plots()
    baseline_plots: Plots | None = None
    gaps: tuple[Gap, ...] = ()
    challengers: tuple[Challenger, ...] = ()
    checks: tuple[Check, ...] = ()
    verdict: str = ""
    """BLESSED or NOT_BLESSED; empty in files of format 1, which kept it in blessing.json alone."""
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader should know: what was capped, approximated or left out."""

    def all_slices(self) -> tuple[SliceEvaluation, ...]:
        """The overall slice, and after it all others."""
        return (self.overall, *self.slices)


def slice_name(key: Key) -> str:
    """`city=a, hour=3, fare >= 20, age in [10, 20)`; `overall` for all rows."""
    return ", ".join(f"{name}{_is(value)}" for name, value in key.items()) or "overall"


def _is(value: Any) -> str:
    if isinstance(value, str) and value.startswith(("< ", ">= ")):
        return f" {value}"
    if isinstance(value, str) and value.startswith("[") and value.endswith(")"):
        return f" in {value}"
    return f"={'null' if value is None else value}"
