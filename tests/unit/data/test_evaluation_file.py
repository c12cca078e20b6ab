"""evaluation.json: what is written is read again, and so is what the version before wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tidemill.data.evaluation import (
    BLESSED,
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
    slice_name,
)
from tidemill.data.evaluation_file import FILE, from_json, read_evaluation, to_json, write_evaluation
from tidemill.errors import DataError

AUC = Measure(value=0.8, interval=Interval(low=0.7, high=0.9, method="bootstrap"))
FULL = Evaluation(
    rows=10, rows_without_label=1, task="classification", label="y", weight="w", query="q",
    splits=("eval",), model_id=5, baseline_id=4, confidence=0.9,
    overall=SliceEvaluation(
        key={}, rows=9, weight=9.5,
        model={"auc": AUC, "f1": Measure(value=None, reason="nothing is called one")},
        baseline={"auc": Measure(value=0.5), "f1": Measure(value=0.0)},
        changes={
            "auc": Change(value=0.25, relative=0.5, interval=Interval(low=0.2, high=0.3)),
            "f1": Change(value=None),
        },
    ),
    slices=(SliceEvaluation(key={"city": None, "hour": 3}, rows=2, weight=2.0, model={"auc": AUC}),),
    slices_left_out={"city/hour": 3}, slices_too_small={"city": 1},
    plots=Plots(
        roc=Curve(x=(0.0, 1.0), y=(0.0, 1.0), thresholds=(None, 0.5)),
        pr=Curve(x=(0.5,), y=(1.0,), thresholds=(0.5,)),
        calibration=(
            CalibrationBin(lower=0.0, upper=0.5, weight=3.0, mean_prediction=0.25, mean_label=0.5),
        ),
        confusions=(Confusion(threshold=0.5, tp=1.0, fp=2.0, tn=3.0, fn=4.0),),
        lift=(LiftPoint(share=0.1, lift=2.0, captured=0.2),),
        scores=((1.0, 2.0),),
        matrix=ConfusionMatrix(classes=("a", "b"), counts=((1.0, 0.0), (0.0, 1.0))),
        residuals=((0.5, -1.0),),
    ),
    baseline_plots=Plots(),
    gaps=(Gap(columns=("city",), metric="auc", reference="", groups={"a": 0.5, "b": None}, gap=None,
              ratio=None),),
    challengers=(Challenger(model_id=7, model={"auc": AUC}, changes={"auc": Change(value=0.0)}),),
    checks=(Check(metric="auc", key={"city": "a"}, kind="value", text="auc is fine", passed=True, limit=0.5,
                  measured=0.7, on="bound"),),
    verdict=BLESSED, reasons=("fine",), notes=("capped",),
)  # fmt: skip

FORMAT_1: dict[str, Any] = {
    "format": "tidemill.evaluation/1", "splits": ["eval"], "rows": 8, "model_id": 6, "baseline_id": 5,
    "task": "classification", "label": "y", "rows_without_label": 1,
    "model": {"auc": 0.75, "f1": None}, "baseline": {"auc": 0.5, "f1": None},
    "changes": {"auc": {"change": 0.25, "interval": [0.1, 0.4]}, "f1": {"change": None}},
    "intervals": {"auc": [0.5, 1.0]},
    "slices": [{"slice": {"city": "a"}, "rows": 3, "model": {"auc": 1.0}, "baseline": {"auc": 0.5}}],
    "slices_left_out": {"city": 2},
}  # fmt: skip
"""As tidemill 0.1 wrote it."""


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write_evaluation(tmp_path, FULL)
    assert read_evaluation(tmp_path) == FULL
    bare = Evaluation(rows=0, overall=SliceEvaluation(key={}, rows=0, weight=0.0, model={}))
    assert from_json(json.loads(json.dumps(to_json(bare)))) == bare


def test_names_are_for_people() -> None:
    assert FULL.overall.name == "overall"
    assert FULL.slices[0].name == "city=null, hour=3"
    assert FULL.checks[0].slice_name == "city=a"
    assert slice_name({"a": ">= 3", "b": "[1, 2)", "c": "<b>"}) == "a >= 3, b in [1, 2), c=<b>"
    assert [part.rows for part in FULL.all_slices()] == [9, 2]


def test_format_1_is_read(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps(FORMAT_1))
    found = read_evaluation(tmp_path)
    assert (found.rows, found.overall.rows, found.verdict) == (8, 7, "")
    assert found.overall.model["auc"] == Measure(value=0.75, interval=Interval(low=0.5, high=1.0))
    assert found.overall.model["f1"].reason
    assert found.overall.changes["auc"] == Change(
        value=0.25, relative=0.5, interval=Interval(low=0.1, high=0.4)
    )
    assert found.slices[0].key == {"city": "a"}
    assert found.slices[0].changes["auc"] == Change(value=0.5, relative=1.0)
    own = {"format": "tidemill.evaluation/1", "splits": ["eval"], "rows": 8, "model": {"ndcg": 0.4}}
    (tmp_path / FILE).write_text(json.dumps({**own, "baseline": None}))
    assert read_evaluation(tmp_path).overall.model == {"ndcg": Measure(value=0.4)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no evaluation here"),
        ("{", "not readable"),
        ("[]", "not readable"),
        ('{"format": "tidemill.evaluation/3"}', "expected 'tidemill.evaluation/2'"),
        ('{"format": "tidemill.evaluation/2"}', "not readable"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / FILE).write_text(text)
    with pytest.raises(DataError, match=message):
        read_evaluation(tmp_path)
