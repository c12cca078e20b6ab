"""Evaluator: metrics against scikit-learn, slices, thresholds, verdicts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sklearn.metrics as oracle
from hypothesis import given, settings
from hypothesis import strategies as st

import tidemill.data.transform as tft
from tidemill.components.evaluator.executor import run
from tidemill.components.evaluator.thresholds import judge, read_thresholds
from tidemill.data.metrics import METRICS, change_interval, compute, interval
from tidemill.data.parquet import split_folder
from tidemill.data.transform.fit import fit
from tidemill.errors import DataError
from tidemill.models.manifest import GRAPH_FOLDER, ModelManifest, complete, write_manifest
from tidemill.types.standard import Examples, Model, ModelBlessing, ModelEvaluation

# --- metrics --------------------------------------------------------------------------------------

ORACLES = {
    "accuracy": lambda y, p: oracle.accuracy_score(y, p >= 0.5),
    "auc": oracle.roc_auc_score,
    "brier": oracle.brier_score_loss,
    "f1": lambda y, p: oracle.f1_score(y, p >= 0.5),
    "log_loss": lambda y, p: oracle.log_loss(y, np.clip(p, 1e-15, 1 - 1e-15), labels=[0, 1]),
    "precision": lambda y, p: oracle.precision_score(y, p >= 0.5, zero_division=math.nan),
    "recall": lambda y, p: oracle.recall_score(y, p >= 0.5),
    "mae": oracle.mean_absolute_error,
    "r2": oracle.r2_score,
    "rmse": oracle.root_mean_squared_error,
}
PAIRS = st.lists(
    st.tuples(st.integers(0, 1), st.floats(0, 1) | st.sampled_from([0.0, 0.25, 0.5, 1.0])),
    min_size=2,
    max_size=40,
).filter(lambda pairs: len({label for label, _ in pairs}) == 2)


@settings(max_examples=60, deadline=None)
@given(PAIRS)
def test_classification_metrics_equal_scikit_learn(pairs: list[tuple[int, float]]) -> None:
    labels, scores = np.array(pairs, dtype=float).T
    for name, metric in METRICS.items():
        if metric.task == "classification":
            expected = ORACLES[name](labels, scores)
            assert metric.compute(labels, scores) == pytest.approx(
                expected, rel=1e-9, abs=1e-12, nan_ok=True
            ), name


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2, max_size=40))
def test_regression_metrics_equal_scikit_learn(pairs: list[tuple[float, float]]) -> None:
    labels, values = np.array(pairs, dtype=float).T
    for name in ("mae", "rmse"):
        assert METRICS[name].compute(labels, values) == pytest.approx(ORACLES[name](labels, values))
    if np.ptp(labels) > 1e-3:
        assert METRICS["r2"].compute(labels, values) == pytest.approx(
            oracle.r2_score(labels, values), rel=1e-6
        )


def test_metrics_without_a_value_are_nan() -> None:
    ones, zeros, scores = np.ones(3), np.zeros(3), np.full(3, 0.2)
    assert math.isnan(METRICS["auc"].compute(ones, scores))
    assert math.isnan(METRICS["precision"].compute(ones, scores))
    assert math.isnan(METRICS["recall"].compute(zeros, scores))
    assert math.isnan(METRICS["r2"].compute(ones, scores))
    assert math.isnan(compute(["accuracy"], ones, np.array([0.1, math.nan, 0.2]))["accuracy"])


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(400):
        labels = (rng.random(200) < 0.3).astype(float)
        low, high = interval("accuracy", labels, np.zeros(200)) or (math.nan, math.nan)
        covered += low <= 0.7 <= high
    assert 0.90 < covered / 400 < 0.99
    labels = (rng.random(500) < 0.5).astype(float)
    scores = np.clip(labels * 0.4 + rng.random(500) * 0.6, 0, 1)
    paired = change_interval("brier", labels, scores, scores + 1e-3)
    assert paired is not None
    assert paired[1] - paired[0] < 1e-3
    assert interval("auc", labels, scores) is None


# --- verdicts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("threshold", "model", "baseline", "blessed", "words"),
    [
        ({"lower": 0.7}, 0.8, None, True, "first model"),
        ({"lower": 0.8}, 0.8, None, True, "every threshold is met"),
        ({"lower": 0.81}, 0.8, None, False, "auc is 0.8, below the limit 0.81"),
        ({"upper": 0.5}, 0.8, None, False, "above the limit 0.5"),
        ({"min_change": 0.1}, 0.8, None, True, "no baseline to compare with"),
        ({"min_change": 0.1}, 0.85, 0.8, False, "0.05 better than the baseline's 0.8; at least 0.1 better"),
        ({"min_change": 0.0}, 0.8, 0.8, True, "every threshold is met"),
        ({"min_change": 1e-9}, 0.8, 0.8, False, "no better than the baseline's 0.8"),
        ({"min_change": -0.1}, 0.75, 0.8, True, "baseline 0.8"),
        ({"min_change": -0.01}, 0.75, 0.8, False, "0.05 worse than the baseline's 0.8; at most 0.01 worse"),
        ({"min_change": 0, "direction": "lower"}, 0.7, 0.8, True, "every"),
        ({"min_change": 0, "direction": "lower"}, 0.9, 0.8, False, "0.1 worse"),
        ({"lower": 0.1}, math.nan, None, False, "auc is nan"),
        ({"min_change": 0}, 0.8, math.nan, False, "auc of the baseline is nan"),
    ],
)
def test_verdicts(
    threshold: dict[str, Any], model: float, baseline: float | None, blessed: bool, words: str
) -> None:
    limits = read_thresholds({"auc": threshold}, {"auc": "higher"})
    verdict = judge(limits, {"auc": model}, None if baseline is None else {"auc": baseline})
    assert verdict.blessed is blessed
    assert words in verdict.reasons[0]


def test_every_failure_is_a_reason_and_metrics_without_threshold_must_be_numbers() -> None:
    limits = read_thresholds({"a": {"lower": 1}, "b": {"upper": 0}}, {})
    verdict = judge(limits, {"a": 0.0, "b": 1.0, "c": math.nan}, None)
    assert [reason[:4] for reason in verdict.reasons] == ["a is", "b is", "c is"]


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ({"auc": {"lowr": 0.5}}, "the key 'lowr'"),
        ({"auc": {"lower": "0.5"}}, "must be a finite number"),
        ({"auc": {"lower": math.nan}}, "must be a finite number"),
        ({"mine": {"min_change": 0}}, "which way mine improves is not known"),
        ({"auc": {"direction": "up"}}, "higher or lower"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(thresholds: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_thresholds(thresholds, {"auc": "higher"})


# --- the component --------------------------------------------------------------------------------

ROWS = {
    "id": list(range(8)),
    "score": [0.9, 0.8, 0.4, 0.1, 0.7, 0.2, 0.6, 0.3],
    "label": [1, 1, 0, 0, 1, 0, None, 0],
    "city": ["a", "b", "a", None, "a", "b", "a", "b"],
}


def predict(model_dir: Path, rows: pa.Table) -> Any:
    """The score column, or what the model's file says instead."""
    told = (model_dir / "weights.txt").read_text()
    scores = rows.column("score").to_numpy()
    return {"good": scores, "bad": 1 - scores, "nan": scores * math.nan, "column": scores[:, None]}[told]


@pytest.fixture
def base(tmp_path: Path) -> dict[str, Any]:
    """Arguments of a usual call: one model, no baseline."""
    examples = Examples(path=tmp_path / "examples")
    folder = split_folder(examples.path, "eval")
    folder.mkdir(parents=True)
    pq.write_table(pa.table(ROWS), folder / "part-00000.parquet", row_group_size=3)
    examples.splits = ["eval"]
    for name in ("evaluation", "blessing"):
        (tmp_path / name).mkdir()
    return {
        "examples": examples,
        "model": model_of(tmp_path, "good", 5),
        "evaluation": ModelEvaluation(path=tmp_path / "evaluation"),
        "blessing": ModelBlessing(path=tmp_path / "blessing"),
    }


def model_of(tmp_path: Path, told: str, id: int) -> Model:
    folder = tmp_path / f"model-{id}"
    folder.mkdir()
    (folder / "weights.txt").write_text(told)
    return Model(path=folder, id=id, digest=f"sha-{told}")


def record(base: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((base["evaluation"].path / "evaluation.json").read_text())
    return found


def verdict_of(base: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((base["blessing"].path / "blessing.json").read_text())
    return found


def test_a_first_model(base: dict[str, Any]) -> None:
    run(
        **base,
        predict_fn=predict,
        label="label",
        metrics=["auc", "log_loss"],
        slices=["city", ["city", "label"]],
        thresholds={"auc": {"lower": 0.9, "min_change": 0.1}},
    )
    found = record(base)
    assert (found["rows"], found["rows_without_label"]) == (8, 1)
    assert found["model"]["auc"] == 1.0
    assert found["baseline"] is None
    by_city = [(entry["slice"], entry["rows"]) for entry in found["slices"][:3]]
    assert by_city == [({"city": "a"}, 3), ({"city": "b"}, 3), ({"city": None}, 1)]
    assert found["slices"][2]["model"]["auc"] is None  # one class only
    assert {"city": "b", "label": 0} in [entry["slice"] for entry in found["slices"]]
    blessing = base["blessing"]
    assert (blessing.blessed, blessing.current_model_id, blessing.baseline_model_id) == (1, 5, 0)
    assert "first model" in blessing.reason
    assert verdict_of(base)["verdict"] == "BLESSED"


def test_a_worse_model_is_not_blessed_and_that_is_no_failure(base: dict[str, Any], tmp_path: Path) -> None:
    base["baseline_model"] = base["model"]
    base["model"] = model_of(tmp_path, "bad", 6)
    run(
        **base,
        predict_fn=predict,
        label="label",
        metrics=["auc", "brier"],
        thresholds={"auc": {"min_change": 0}},
    )
    blessing = base["blessing"]
    assert (blessing.blessed, blessing.current_model_id, blessing.baseline_model_id) == (0, 6, 5)
    assert "auc is 0, 1 worse than the baseline's 1" in blessing.reason
    assert verdict_of(base) == {
        "verdict": "NOT_BLESSED", "reasons": [blessing.reason], "model_id": 6, "baseline_id": 5,
        "model_digest": "sha-bad",
    }  # fmt: skip
    changes = record(base)["changes"]
    assert changes["auc"] == {"change": -1.0}
    assert changes["brier"]["interval"][0] < changes["brier"]["change"] < changes["brier"]["interval"][1]


def test_the_same_model_as_baseline_is_said(base: dict[str, Any], tmp_path: Path) -> None:
    base["baseline_model"] = model_of(tmp_path, "good", 4)
    run(**base, predict_fn=predict, label="label", metrics=["auc"], thresholds={"auc": {"min_change": 0.5}})
    assert base["blessing"].blessed == 1
    assert "this very model" in base["blessing"].reason


def test_nan_is_never_blessed(base: dict[str, Any], tmp_path: Path) -> None:
    base["model"] = model_of(tmp_path, "nan", 6)
    run(**base, predict_fn=predict, label="label", task="classification")
    assert base["blessing"].blessed == 0
    assert base["blessing"].reason.startswith("auc is nan")
    assert record(base)["model"] == {"auc": None, "log_loss": None, "accuracy": None}


def test_own_metrics_stand_beside_built_in_ones(base: dict[str, Any], tmp_path: Path) -> None:
    def evaluate(model_dir: Path, examples: Any) -> Mapping[str, float]:
        return {"rows": examples.num_rows, "letters": len((model_dir / "weights.txt").read_text())}

    base["baseline_model"] = model_of(tmp_path, "bad", 4)
    thresholds = {"letters": {"min_change": 1, "direction": "higher"}, "auc": {"lower": 0.5}}
    run(
        **base,
        predict_fn=predict,
        evaluate_fn=evaluate,
        label="label",
        metrics=["auc"],
        thresholds=thresholds,
    )
    found = record(base)
    assert found["model"] == {"auc": 1.0, "rows": 8.0, "letters": 4.0}
    assert found["changes"]["letters"] == {"change": 1.0}
    assert base["blessing"].blessed == 1


def test_own_metrics_alone_need_no_label(base: dict[str, Any]) -> None:
    run(**base, evaluate_fn=lambda model, examples: {"ndcg": 0.4}, thresholds={"ndcg": {"lower": 0.3}})
    assert record(base)["model"] == {"ndcg": 0.4}


def test_the_label_may_come_from_the_models_transform_graph(base: dict[str, Any]) -> None:
    folder = base["model"].path
    traced = tft.trace(lambda inputs: {"high": tft.cast(inputs["score"] > 0.5, "int")}, {"score": "float"})
    graph = tft.FittedGraph(fit(traced, lambda columns: iter([])))
    (folder / GRAPH_FOLDER).mkdir()
    graph.graph.save(folder / GRAPH_FOLDER)
    write_manifest(folder, complete(ModelManifest(), folder, graph, "m:f"))
    run(**base, predict_fn=predict, label="high", metrics=["accuracy"], slices=["high"])
    assert record(base)["model"] == {"accuracy": 1.0}
    assert record(base)["rows_without_label"] == 0
    with pytest.raises(DataError, match="'hihg'") as raised:
        run(**base, predict_fn=predict, label="hihg", metrics=["accuracy"])
    assert "did you mean 'high'" in raised.value.hint


def test_a_column_of_predictions_is_accepted(base: dict[str, Any], tmp_path: Path) -> None:
    base["model"] = model_of(tmp_path, "column", 6)
    run(**base, predict_fn=predict, label="label", metrics=["auc"])
    assert record(base)["model"] == {"auc": 1.0}


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"metrics": ["acu"]}, "no metric 'acu'", "did you mean 'auc'"),
        ({"metrics": ["auc", "rmse"]}, "rmse is no metric for classification", "accuracy"),
        ({"metrics": []}, "needs to know its task", "task="),
        ({"metrics": [], "task": "clasification"}, "unknown task", ""),
        ({"predict_fn": None}, "nothing to call", "predict_fn"),
        ({"label": None}, "needs a label", "label="),
        ({"label": "lable"}, "a column 'lable'", "did you mean 'label'"),
        ({"label": "city"}, "'city' is string", "numeric label"),
        ({"label": "id"}, "labels of a classification must be 0 and 1, found 2", "regression"),
        ({"splits": ["test"]}, "split 'test'", ""),
        ({"slices": ["citi"]}, "a column 'citi'", "did you mean 'city'"),
        ({"thresholds": {"acu": {"lower": 1}}}, "thresholds name 'acu'", "did you mean 'auc'"),
        ({"predict_fn": lambda model, rows: [1.0]}, "shape (1,)", "one number per row"),
        ({"predict_fn": lambda model, rows: ["x"] * len(rows)}, "returned <U1", ""),
        ({"predict_fn": lambda model, rows: np.full(len(rows), 1.5)}, "must be probabilities", ""),
        ({"evaluate_fn": lambda model, examples: None}, "not metrics by name", ""),
        ({"evaluate_fn": lambda model, examples: {"a": "x"}}, "not a number", ""),
    ],
)
def test_mistakes(base: dict[str, Any], changes: dict[str, Any], message: str, hint: str) -> None:
    usual: dict[str, Any] = {"predict_fn": predict, "label": "label", "metrics": ["auc"]}
    with pytest.raises(DataError) as raised:
        run(**{**base, **usual, **changes})
    assert message in raised.value.message
    assert hint in raised.value.hint


def test_many_slices_are_capped_and_counted(base: dict[str, Any]) -> None:
    folder = split_folder(base["examples"].path, "eval")
    rows = {"score": [0.5] * 130, "label": [0, 1] * 65, "key": list(range(130))}
    pq.write_table(pa.table(rows), folder / "part-00000.parquet")
    run(**base, predict_fn=predict, label="label", metrics=["auc"], slices=["key"])
    assert len(record(base)["slices"]) == 100
    assert record(base)["slices_left_out"] == {"key": 30}
