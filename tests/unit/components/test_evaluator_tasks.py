"""Evaluator on every kind of task, with the model itself instead of predict_fn, and on data that is bad."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sklearn.metrics as oracle
from sklearn.linear_model import LinearRegression, LogisticRegression

import tidemill.data.transform as tft
from tidemill.components.evaluator.executor import run
from tidemill.data.dataset import Dataset
from tidemill.data.evaluation import Evaluation
from tidemill.data.evaluation_file import read_evaluation
from tidemill.data.parquet import split_folder, write_split
from tidemill.data.transform.fit import fit
from tidemill.errors import DataError
from tidemill.models import load_model
from tidemill.training.finish import finish
from tidemill.training.fn_args import FnArgs
from tidemill.types.standard import Examples, Model, ModelBlessing, ModelEvaluation


def examples_of(folder: Path, table: pa.Table, group: int = 40) -> Examples:
    made = Examples(path=folder / "examples")
    place = split_folder(made.path, "eval")
    place.mkdir(parents=True)
    pq.write_table(table, place / "part-00000.parquet", row_group_size=group)
    made.splits = ["eval"]
    return made


def evaluate(folder: Path, table: pa.Table, **parameters: Any) -> tuple[Evaluation, ModelBlessing]:
    """Run the component on a table; what it measured, and its verdict."""
    number = len(list(folder.iterdir()))
    place = folder / f"call-{number}"
    for name in ("evaluation", "blessing", "model"):
        (place / name).mkdir(parents=True)
    blessing = ModelBlessing(path=place / "blessing")
    parameters = {"model": Model(path=place / "model", id=1, digest="one"), **parameters}
    run(
        examples=examples_of(place, table),
        evaluation=ModelEvaluation(path=place / "evaluation"),
        blessing=blessing,
        **parameters,
    )
    return read_evaluation(place / "evaluation"), blessing


def column(name: str) -> Any:
    """A predict_fn that finds its answer in the data."""

    def predict(model_dir: Path, rows: pa.Table) -> Any:
        found = rows.column(name)
        return np.array(found.to_pylist()) if pa.types.is_nested(found.type) else found.to_numpy()

    return predict


def values(found: Evaluation) -> dict[str, float | None]:
    return {name: measure.value for name, measure in found.overall.model.items()}


# --- the model itself -----------------------------------------------------------------------------


def raw_rows(rows: int = 200) -> pa.Table:
    rng = np.random.default_rng(1)
    size, kind = rng.normal(5.0, 2.0, rows), rng.choice(["red", "green"], rows)
    score = size - 5 + 2.0 * (kind == "red") + rng.normal(size=rows)
    return pa.table(
        {
            "size": pa.array(size, mask=rng.random(rows) < 0.1),
            "kind": kind,
            "good": np.where(score > 0, "yes", "no"),
            "class": np.array(["a", "b", "c"])[np.digitize(score, [-1.0, 1.5])],
            "score": score,
        }
    )


def preprocessing_fn(inputs: tft.Inputs) -> dict[str, tft.Column]:
    return {
        "size": tft.scale_to_z_score(tft.fill_null(inputs["size"], 5.0)),
        "kind": tft.compute_and_apply_vocabulary(inputs["kind"], num_oov_buckets=1),
        **{name: inputs[name] for name in ("good", "class", "score")},
    }


TASKS: dict[str, tuple[Any, str, tuple[str, ...]]] = {
    "binary": (LogisticRegression, "good", ("no", "yes")),
    "multiclass": (LogisticRegression, "class", ("a", "b", "c")),
    "regression": (LinearRegression, "score", ()),
}


def saved_model(folder: Path, task: str, raw: pa.Table) -> Model:
    """A model that was trained on the features of `raw`, with its graph."""
    types = {"size": "float", "kind": "string", "good": "string", "class": "string", "score": "float"}
    graph = tft.FittedGraph(fit(tft.trace(preprocessing_fn, types), lambda columns: iter([raw])))
    made = graph.transform(raw)
    place = split_folder(folder / f"transformed-{task}", "train")
    write_split(place, graph.arrow_schema, [made])
    model_dir, log_dir = folder / f"model-{task}", folder / f"log-{task}"
    model_dir.mkdir()
    log_dir.mkdir()
    rows = Dataset((place,))
    args = FnArgs(train=rows, eval=rows, model_dir=model_dir, log_dir=log_dir, transform_graph=graph)
    kind, label, classes = TASKS[task]
    matrix = np.column_stack([made.column(name).to_numpy() for name in ("size", "kind")]).astype(float)
    truth = made.column(label).to_pylist()
    labels = np.array([classes.index(item) for item in truth] if classes else truth)
    args.save_model(
        kind().fit(matrix, labels), features=["size", "kind"], task=task, label=label, classes=classes
    )
    finish(model_dir, graph, "test", allow_pickle=False)
    return Model(path=model_dir, id=3, digest="saved")


def test_a_model_is_asked_itself_with_raw_rows_and_knows_its_task(tmp_path: Path) -> None:
    raw = raw_rows()
    model = saved_model(tmp_path, "binary", raw)
    found, blessing = evaluate(
        tmp_path, raw, model=model, slices=["kind"], thresholds={"auc": {"lower": 0.7, "slices": "all"}}
    )
    scores = load_model(model.path).predict(raw)["probability"]
    labels = np.array(raw.column("good").to_pylist()) == "yes"
    assert (found.task, found.label, found.overall.rows) == ("classification", "good", 200)
    assert values(found)["auc"] == pytest.approx(oracle.roc_auc_score(labels, scores))
    assert values(found)["log_loss"] == pytest.approx(oracle.log_loss(labels, scores))
    assert [part.name for part in found.slices] == ["kind=red", "kind=green"] or len(found.slices) == 2
    assert blessing.blessed == 1, blessing.reason


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_models_of_other_tasks_are_asked_themselves(tmp_path: Path, task: str) -> None:
    raw = raw_rows()
    model = saved_model(tmp_path, task, raw)
    found, _ = evaluate(tmp_path, raw, model=model)
    outputs = load_model(model.path).predict(raw)
    if task == "regression":
        expected = oracle.root_mean_squared_error(raw.column("score").to_numpy(), outputs["prediction"])
        assert values(found)["rmse"] == pytest.approx(expected)
        assert len(found.plots.residuals) == 21
        return
    truth = raw.column("class").to_pylist()
    called = outputs["prediction"].tolist()
    assert values(found)["accuracy"] == pytest.approx(oracle.accuracy_score(truth, called))
    assert values(found)["macro_f1"] == pytest.approx(oracle.f1_score(truth, called, average="macro"))
    assert found.plots.matrix is not None
    assert found.plots.matrix.classes == ("a", "b", "c")
    assert [list(row) for row in found.plots.matrix.counts] == oracle.confusion_matrix(truth, called).tolist()


def test_a_model_that_is_damaged_or_says_nothing_is_a_clear_error(tmp_path: Path) -> None:
    raw = raw_rows()
    model = saved_model(tmp_path, "binary", raw)
    (bad,) = [path for path in model.path.iterdir() if path.suffix == ".skops"]
    bad.write_bytes(bad.read_bytes() + b"x")
    with pytest.raises(DataError, match=bad.name):
        evaluate(tmp_path, raw, model=model)


def test_labels_that_are_none_of_the_models_classes(tmp_path: Path) -> None:
    raw = raw_rows()
    model = saved_model(tmp_path, "binary", raw)
    strange = raw.set_column(2, "good", pa.array(["maybe"] * 200))
    with pytest.raises(DataError, match="'maybe', which is none of the classes no, yes"):
        evaluate(tmp_path, strange, model=model)


def test_a_baseline_with_classes_in_another_order_is_refused(tmp_path: Path) -> None:
    raw = raw_rows()
    model = saved_model(tmp_path, "binary", raw)
    with pytest.raises(DataError, match="has the classes no, yes, and others are to be judged: yes, no"):
        evaluate(tmp_path, raw, model=model, classes=["yes", "no"])


# --- tasks ----------------------------------------------------------------------------------------


def test_multiclass_with_predict_fn(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scores = rng.dirichlet(np.ones(3), 50)
    truth = rng.choice(["x", "y", "z"], 50)
    table = pa.table({"p": scores.tolist(), "truth": truth})
    found, _ = evaluate(
        tmp_path, table, predict_fn=column("p"), label="truth", classes=["x", "y", "z"],
        metrics=["accuracy", "top_k_accuracy@2"],
    )  # fmt: skip
    assert found.task == "multiclass"
    assert values(found)["accuracy"] == np.mean(np.array(["x", "y", "z"])[scores.argmax(1)] == truth)
    numbers = pa.table({"p": scores.tolist(), "truth": rng.integers(0, 3, 50)})
    found, _ = evaluate(tmp_path, numbers, predict_fn=column("p"), label="truth", task="multiclass")
    assert set(values(found)) == {"accuracy", "macro_f1", "log_loss"}
    called = pa.table({"p": rng.integers(0, 3, 50), "truth": truth})
    found, blessing = evaluate(
        tmp_path, called, predict_fn=column("p"), label="truth", task="multiclass", classes=["x", "y", "z"]
    )
    assert values(found)["log_loss"] is None
    assert "log_loss has no value: predictions are classes" in blessing.reason


def test_ranking_by_query(tmp_path: Path) -> None:
    table = pa.table(
        {
            "user": ["u", "v", "u", "v", "u", "w"],
            "clicked": [1, 0, 0, 1, 0, 0],
            "score": [0.9, 0.8, 0.5, 0.7, 0.1, 0.3],
            "device": ["phone", "phone", "phone", "desk", "desk", "desk"],
        }
    )
    found, _ = evaluate(
        tmp_path, table, predict_fn=column("score"), label="clicked", query="user",
        metrics=["mrr", "ndcg@1", "recall@2"], slices=["device"],
    )  # fmt: skip
    assert (found.task, found.query) == ("ranking", "user")
    assert values(found) == {"mrr": 0.75, "ndcg@1": 0.5, "recall@2": 1.0}
    assert found.notes == ("1 queries without a relevant row are left out",)
    assert found.slices[1].key == {"device": "phone"}
    assert found.slices[1].model["mrr"].value == 1.0  # v has no relevant row there
    assert found.slices[1].rows == 3


def test_regression_in_slices_with_weights_and_bins(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    label, weight = rng.normal(size=100), rng.integers(1, 4, 100)
    table = pa.table({"y": label, "p": label + 0.5, "w": weight, "x": np.arange(100)})
    found, _ = evaluate(
        tmp_path, table, predict_fn=column("p"), label="y", task="regression", weight="w",
        metrics=["mae", "r2", "error_p50"], slices=[{"feature_keys": ["x"], "bins": {"x": [50]}}],
    )  # fmt: skip
    assert values(found)["mae"] == pytest.approx(0.5)
    assert found.overall.weight == weight.sum()
    assert values(found)["r2"] == pytest.approx(oracle.r2_score(label, label + 0.5, sample_weight=weight))
    assert {part.name: part.weight for part in found.slices} == {
        "x < 50": weight[:50].sum(), "x >= 50": weight[50:].sum(),
    }  # fmt: skip
    assert "whatever its weight" in found.notes[0]


class Spread:
    """Largest less smallest prediction."""

    direction = "lower"

    def __init__(self) -> None:
        self.low, self.high = math.inf, -math.inf

    def add(self, labels: Any, predictions: Any, weights: Any) -> None:
        self.low, self.high = min(self.low, predictions.min()), max(self.high, predictions.max())

    def merge(self, other: Any) -> None:
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)

    def finish(self) -> float:
        return self.high - self.low


BINARY = pa.table(
    {
        "p": np.linspace(0.01, 0.99, 120),
        "better": np.repeat([0.1, 0.9], 60),
        "y": np.repeat([0, 1], 60),
        "sex": ["f"] * 30 + ["m"] * 60 + ["f", "m", "m"] * 10,
        "w": [1.0] * 120,
    }
)


def told(folder: Path, text: str, number: int) -> Model:
    place = folder / f"told-{number}"
    place.mkdir()
    (place / "column").write_text(text)
    return Model(path=place, id=number, digest=text)


def as_told(model_dir: Path, rows: pa.Table) -> Any:
    return rows.column((model_dir / "column").read_text()).to_numpy()


def test_own_metrics_in_slices_with_thresholds_and_baseline(tmp_path: Path) -> None:
    found, blessing = evaluate(
        tmp_path, BINARY, model=told(tmp_path, "p", 2), baseline_model=told(tmp_path, "better", 1),
        predict_fn=as_told, label="y", metrics=["auc"], own_metrics=[Spread], slices=["sex"],
        thresholds={"spread": [{"upper": 1.0, "slices": "all"}, {"min_change": 0}]},
    )  # fmt: skip
    assert values(found)["spread"] == pytest.approx(0.98)
    assert found.slices[0].model["spread"].value is not None
    assert found.overall.changes["spread"].value == pytest.approx(0.98 - 0.8)
    assert blessing.blessed == 0
    assert "spread is 0.98, 0.18 worse than the baseline's 0.8" in blessing.reason


def test_challengers_are_measured_beside_the_model_and_not_judged(tmp_path: Path) -> None:
    found, blessing = evaluate(
        tmp_path, BINARY, model=told(tmp_path, "p", 2), challengers=[told(tmp_path, "better", 8)],
        predict_fn=as_told, label="y", metrics=["brier"],
    )  # fmt: skip
    (other,) = found.challengers
    assert other.model_id == 8
    assert other.model["brier"].value == pytest.approx(0.01)
    change = other.changes["brier"]
    assert change.value == pytest.approx(0.01 - (values(found)["brier"] or 0))
    assert change.interval is not None
    assert blessing.blessed == 1
    assert found.baseline_plots is None


def test_a_threshold_on_a_bound_draws_a_bootstrap_where_no_formula_helps(tmp_path: Path) -> None:
    usual: dict[str, Any] = {
        "model": told(tmp_path, "p", 2), "baseline_model": told(tmp_path, "better", 1),
        "predict_fn": as_told, "label": "y",
    }  # fmt: skip
    found, _ = evaluate(tmp_path, BINARY, **usual, thresholds={"auc": {"min_change": -0.2, "on": "bound"}})
    (check,) = [check for check in found.checks if check.kind == "change"]
    assert (check.on, check.passed) == ("bound", True)
    assert found.overall.changes["auc"].interval is not None
    assert found.overall.changes["auc"].interval.method == "bootstrap"
    assert "200 bootstrap replicates" in found.notes[0]
    again, _ = evaluate(tmp_path, BINARY, **usual, thresholds={"auc": {"min_change": -0.2, "on": "bound"}})
    assert again.overall.changes == found.overall.changes
    plain, _ = evaluate(tmp_path, BINARY, **usual, thresholds={"brier": {"upper": 0.5, "on": "bound"}})
    assert plain.overall.model["brier"].interval is not None
    assert plain.overall.model["brier"].interval.method == "analytic"


def test_fairness_makes_its_own_slices_and_may_refuse_a_model(tmp_path: Path) -> None:
    usual: dict[str, Any] = {"predict_fn": column("p"), "label": "y", "metrics": ["auc"]}
    wanted = {"slices": "sex", "metric": ["selection_rate", "recall"], "max_gap": 0.5}
    found, blessing = evaluate(tmp_path, BINARY, **usual, fairness=[wanted])
    assert blessing.blessed == 1
    assert [gap.metric for gap in found.gaps] == ["selection_rate", "recall"]
    rates = found.gaps[0].groups
    assert set(rates) == {"sex=f", "sex=m"}
    assert found.gaps[0].gap == pytest.approx(abs((rates["sex=f"] or 0) - (rates["sex=m"] or 0)))
    _, refused = evaluate(tmp_path, BINARY, **usual, fairness=[{**wanted, "min_ratio": 1.0}])
    assert refused.blessed == 0
    assert "selection_rate by sex: the ratio between groups is" in refused.reason


FAIRLEARN = {
    None: {
        "selection_rate": (0.17601674641148324, 0.7009146341463415),
        "recall": (0.21442080378250583, 0.7281989811207672),
        "false_positive_rate": (0.20441665038108267, 0.5322003577817531),
    },
    "overall": {
        "selection_rate": (0.09750000000000003, 0.8088235294117646),
        "recall": (0.12093421374419167, 0.8260946017232285),
        "false_positive_rate": (0.1346984976332579, 0.6332305968058279),
    },
}
"""difference() and ratio() of fairlearn 0.15 for the rows below: between groups, and to_overall."""


@pytest.mark.parametrize("reference", FAIRLEARN)
def test_gaps_are_those_of_fairlearn(tmp_path: Path, reference: str | None) -> None:
    rng = np.random.default_rng(9)
    sex = rng.choice(["f", "m", "x"], 400, p=[0.3, 0.5, 0.2])
    label = (rng.random(400) < 0.4).astype(int)
    score = np.round(np.clip(label * 0.25 + rng.random(400) * 0.7 + (sex == "m") * 0.1, 0, 1), 3)
    wanted = {"slices": "sex", "metric": list(FAIRLEARN[reference]), "reference": reference}
    found, _ = evaluate(
        tmp_path, pa.table({"p": score, "y": label, "sex": sex}), predict_fn=column("p"), label="y",
        fairness=[wanted],
    )  # fmt: skip
    assert {gap.metric: (gap.gap, gap.ratio) for gap in found.gaps} == {
        name: pytest.approx(expected) for name, expected in FAIRLEARN[reference].items()
    }


def test_rubber_stamp_and_policies(tmp_path: Path) -> None:
    usual: dict[str, Any] = {"predict_fn": column("p"), "label": "y", "metrics": ["auc"]}
    _, stamped = evaluate(tmp_path, BINARY, **usual, thresholds={"auc": {"min_change": 0.1}})
    assert (stamped.blessed, stamped.rubber_stamped) == (1, 1)
    assert json.loads((stamped.path / "blessing.json").read_text())["rubber_stamped"] is True
    _, refused = evaluate(tmp_path, BINARY, **usual, when_no_baseline="refuse")
    assert refused.blessed == 0
    _, refused = evaluate(tmp_path, BINARY, **usual, when_no_thresholds="refuse")
    assert "no thresholds are set" in refused.reason
    _, plain = evaluate(tmp_path, BINARY, **usual)
    assert (plain.blessed, "rubber_stamped" in plain.custom_properties) == (1, False)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    usual: dict[str, Any] = {
        "predict_fn": column("p"), "label": "y", "slices": ["sex"], "metrics": ["auc", "f1"],
        "intervals": "bootstrap", "replicates": 20,
    }  # fmt: skip
    for _ in range(2):
        evaluate(tmp_path, BINARY, **usual)
    one, two = (path.read_bytes() for path in sorted(tmp_path.rglob("evaluation.json")))
    assert one == two
