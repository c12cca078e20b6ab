"""The page of an evaluation says what was measured, and why the verdict is what it is."""

from __future__ import annotations

from typing import Any

import pytest

from tidemill.data.evaluation import (
    CalibrationBin,
    Challenger,
    Change,
    Check,
    Confusion,
    ConfusionMatrix,
    Curve,
    Evaluation,
    Gap,
    Interval,
    LiftPoint,
    Measure,
    Plots,
    SliceEvaluation,
)
from tidemill.data.evaluation_file import to_json
from tidemill.errors import DataError
from tidemill.pages.evaluation import evaluation_page


def measure(value: float, width: float = 0.01) -> Measure:
    return Measure(value=value, interval=Interval(low=value - width, high=value + width))


PLOTS = Plots(
    roc=Curve(x=(0.0, 0.2, 1.0), y=(0.0, 0.8, 1.0), thresholds=(None, 0.5, 0.0)),
    pr=Curve(x=(0.0, 1.0), y=(1.0, 0.4), thresholds=(0.9, 0.0)),
    calibration=(CalibrationBin(lower=0.0, upper=0.5, weight=3.0, mean_prediction=0.25, mean_label=0.3),),
    confusions=(Confusion(threshold=0.5, tp=8.0, fp=2.0, tn=7.0, fn=3.0),),
    lift=(LiftPoint(share=0.5, lift=1.5, captured=0.75),),
    scores=((9.0, 1.0), (1.0, 9.0)),
    matrix=ConfusionMatrix(classes=("cat", "dog"), counts=((5.0, 1.0), (2.0, 4.0))),
    residuals=((0.5, -1.0), (1.0, 2.0)),
)
FULL = Evaluation(
    rows=103,
    rows_without_label=3,
    task="classification",
    label="tipped",
    splits=("eval",),
    model_id=7,
    overall=SliceEvaluation(
        key={},
        rows=100,
        weight=100.0,
        model={"auc": measure(0.9)},
        baseline={"auc": measure(0.85)},
        changes={"auc": Change(value=0.05, interval=Interval(low=0.02, high=0.08))},
    ),
    slices=(
        SliceEvaluation(key={"city": "a"}, rows=60, weight=60.0, model={"auc": measure(0.91, 0.05)}),
        SliceEvaluation(key={"city": None}, rows=40, weight=40.0, model={"auc": measure(0.6)}),
        SliceEvaluation(
            key={"city": "b"}, rows=4, weight=4.0, model={"auc": Measure(value=None, reason="one class only")}
        ),
    ),
    slices_left_out={"hour": 9},
    slices_too_small={"city": 2},
    plots=PLOTS,
    baseline_plots=PLOTS,
    gaps=(
        Gap(
            columns=("city",), metric="auc", reference="", groups={"a": 0.91, "b": None}, gap=0.31, ratio=0.66
        ),
    ),
    challengers=(Challenger(model_id=11, model={"auc": measure(0.88)}),),
    checks=(
        Check(metric="auc", key={"city": None}, kind="value", text="auc is 0.6, at least 0.7", passed=False),
        Check(metric="auc", key={}, kind="change", text="no baseline", passed=None),
    ),
    verdict="NOT_BLESSED",
    reasons=("auc in city=null is 0.6",),
    notes=("scores were put into bins",),
)


def test_all_of_an_evaluation_is_on_its_page(made) -> None:
    page = evaluation_page(to_json(FULL), title="Evaluation", facts=[("artifact", "9")])
    text = made.parse(page).text
    for words in (
        "Not blessed",
        "auc in city=null is 0.6",
        "3rows without a label",
        "more than chance",
        "not judged",
        "auc is 0.6, at least 0.7",
        "ROC",
        "Precision and recall",
        "Calibration",
        "Gain",
        "Residuals",
        "Scores",
        "Confusion by threshold",
        "cat",
        "city=null",
        "Gaps between groups",
        "model 11",
        "scores were put into bins",
        "9 more slices by hour",
        "2 slices by city are too small",
    ):
        assert words in text, words
    row = page[page.index("<bdi>city=null</bdi></td><td data-sort") :]
    assert "•" in row[: row.index("</tr>")], "a slice whose interval does not hold the whole is marked"
    other = page[page.index("<bdi>city=a</bdi></td><td data-sort") :]
    assert "•" not in other[: other.index("</tr>")]
    assert 'title="one class only"' in page


def test_pages_of_format_1_take_the_verdict_from_the_blessing(made) -> None:
    old: dict[str, Any] = {
        "format": "tidemill.evaluation/1",
        "splits": ["eval"],
        "rows": 8,
        "model": {"rmse": 2.0},
        "baseline": {"rmse": 3.0},
        "slices": [{"slice": {"city": "a"}, "rows": 3, "model": {"rmse": 1.0}, "baseline": {"rmse": 0.5}}],
    }
    blessing = {"verdict": "BLESSED", "reasons": ["every threshold is met"]}
    text = made.parse(evaluation_page(old, blessing=blessing)).text
    assert "Blessed" in text
    assert "every threshold is met" in text
    assert "−1" in text, "the change follows from the two values"
    assert "Blessed" not in made.parse(evaluation_page(old)).text


def test_what_is_no_evaluation_is_refused() -> None:
    for document in (None, [], {}, {"format": "tidemill.evaluation/2"}, {"format": "tidemill.statistics/1"}):
        with pytest.raises(DataError):
            evaluation_page(document)
