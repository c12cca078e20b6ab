"""The ready trainers: their models can be served as they are; equal rows give equal bytes; errors name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tidemill.components.trainer import ready
from tidemill.data.parquet import split_folder, write_split
from tidemill.errors import DataError
from tidemill.models import load_model, read_manifest
from tidemill.models.files import hash_files
from tidemill.training.hyperparameters import write_hyperparameters
from tidemill.types.standard import Examples, HyperParameters, Model, ModelRun, TransformGraph

TRAINERS: dict[str, Callable[..., None]] = {
    "lightgbm": ready.run_lightgbm,
    "sklearn": ready.run_sklearn,
    "xgboost": ready.run_xgboost,
}
SHORT: dict[str, dict[str, Any]] = {
    "lightgbm": {"num_boost_round": 10, "num_threads": 1},
    "sklearn": {"hyperparameters": {"max_iter": 10}},
    "xgboost": {"num_boost_round": 10, "num_threads": 1},
}
FEATURES = ["size", "kind"]


class Bench:
    """Examples with train and eval, a graph, and folders for what trainers make."""

    def __init__(self, folder: Path, ground: Any) -> None:
        self.folder, self.ground = folder, ground
        table = ground.rows.to_arrow()
        self.examples = self.examples_of(table, table.slice(0, 100))
        (folder / "graph").mkdir()
        ground.graph.graph.save(folder / "graph")
        self.graph = TransformGraph(path=folder / "graph")

    def examples_of(self, train: pa.Table, held: pa.Table | None = None, name: str = "made") -> Examples:
        made = Examples(path=self.folder / name)
        made.splits = ["train"] if held is None else ["train", "eval"]
        for split, table in zip(made.splits, (train, held), strict=False):
            assert table is not None
            write_split(split_folder(made.path, split), table.schema, [table])
        return made

    def train(self, trainer: str, name: str = "model", **changes: Any) -> Path:
        for part in (name, f"{name}-run"):
            (self.folder / part).mkdir()
        given: dict[str, Any] = {
            "examples": [self.examples],
            "model": Model(path=self.folder / name),
            "model_run": ModelRun(path=self.folder / f"{name}-run"),
            "transform_graph": self.graph,
            "label": "binary",
            "features": FEATURES,
            **SHORT[trainer],
            **changes,
        }
        TRAINERS[trainer](**given)
        return self.folder / name


@pytest.fixture
def bench(tmp_path: Path, ground: Any) -> Bench:
    return Bench(tmp_path, ground)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("trainer", TRAINERS)
def test_it_learns_and_can_be_asked_with_raw_rows(bench: Bench, trainer: str, task: str) -> None:
    folder = bench.train(trainer, label=task)
    model = load_model(folder)
    assert (model.manifest.task, model.manifest.label) == (task, task)
    found = model.predict(bench.ground.raw)["prediction"]
    truth = np.array(bench.ground.raw.column(task).to_pylist())
    if task == "regression":
        assert np.square(found - truth).mean() < 0.5 * truth.var()
    else:
        assert (found == truth).mean() > 0.75
    run = folder.with_name("model-run")
    if trainer != "sklearn":
        curve = [json.loads(line) for line in (run / "curve.jsonl").read_text().splitlines()]
        assert [line["step"] for line in curve] == list(range(10))
        assert curve[-1]["value"] < curve[0]["value"]
        gains = model.manifest.details["feature_importance"]
        assert set(gains) == set(FEATURES)
        assert min(gains.values()) > 0
    assert len(json.loads((run / "history.json").read_text())["eval"]) == 1


@pytest.mark.parametrize("trainer", TRAINERS)
def test_equal_rows_give_equal_bytes(bench: Bench, trainer: str) -> None:
    one, two = bench.train(trainer, "one"), bench.train(trainer, "two")
    assert hash_files(one) == hash_files(two)
    assert (one / "model.json").read_bytes() == (two / "model.json").read_bytes()
    assert hash_files(one.with_name("one-run")) == hash_files(two.with_name("two-run"))


def test_the_number_of_threads_changes_nothing(bench: Bench) -> None:
    one = bench.train("lightgbm", "one", num_threads=1, hyperparameters={"num_threads": 1})
    two = bench.train("lightgbm", "two", num_threads=2, hyperparameters={"num_threads": 1})
    assert hash_files(one) == hash_files(two)
    raw = bench.ground.raw
    three = bench.train("lightgbm", "three", num_threads=2)
    first, other = load_model(one).predict(raw), load_model(three).predict(raw)
    np.testing.assert_array_equal(first["probability"], other["probability"])


@pytest.mark.parametrize("trainer", ["lightgbm", "xgboost"])
def test_the_eval_split_stops_training_early_and_the_best_is_kept(bench: Bench, trainer: str) -> None:
    table = bench.ground.rows.to_arrow()
    noise = table.set_column(
        table.column_names.index("binary"), "binary", pa.array(np.random.default_rng(0).integers(0, 2, 400))
    )
    examples = bench.examples_of(noise, noise.slice(200), "noise")
    held = bench.examples_of(table, noise.slice(200).select(table.column_names), "held")
    given = {"num_boost_round": 60, "early_stopping_rounds": 3, "examples": [held]}
    folder = bench.train(trainer, "stopped", **given)
    best = read_manifest(folder).details["best_iteration"]
    steps = len((folder.with_name("stopped-run") / "curve.jsonl").read_text().splitlines())
    assert best < steps < 60
    assert steps == best + 3
    whole = bench.train(trainer, "whole", **{**given, "early_stopping_rounds": 0, "examples": [examples]})
    assert read_manifest(whole).details["best_iteration"] == 60


@pytest.mark.parametrize("trainer", TRAINERS)
def test_without_an_eval_split_it_trains_all_rounds(bench: Bench, trainer: str) -> None:
    alone = bench.examples_of(bench.ground.rows.to_arrow(), None, "alone")
    details = read_manifest(bench.train(trainer, examples=[alone])).details
    assert details.get("best_iteration", details.get("iterations")) == 10
    with pytest.raises(DataError, match="no examples have a split 'evl'"):
        bench.train(trainer, "named", examples=[alone], eval_splits=("evl",))


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_warm_start_goes_on_from_the_base_model(bench: Bench, trainer: str) -> None:
    base = bench.train(trainer, "base")
    warm = bench.train(trainer, "warm", base_model=Model(path=base), early_stopping_rounds=0)
    losses = []
    for folder in (base, warm):
        found = np.clip(load_model(folder).predict(bench.ground.raw)["probability"], 1e-9, 1 - 1e-9)
        truth = np.array(bench.ground.raw.column("binary"))
        losses.append(float(-np.where(truth == 1, np.log(found), np.log(1 - found)).mean()))
    assert losses[1] < losses[0]
    with pytest.raises(DataError, match="its features are") as raised:
        bench.train(trainer, "other", base_model=Model(path=base), features=["size"])
    assert "base_model" in raised.value.hint


@pytest.mark.parametrize("trainer", ["lightgbm", "xgboost"])
def test_a_warm_start_that_stops_early_keeps_the_base_and_the_best(bench: Bench, trainer: str) -> None:
    base = bench.train(trainer, "base", num_boost_round=5)
    table = bench.ground.rows.to_arrow()
    held = bench.examples_of(table.slice(0, 200), table.slice(200), "halves")
    given = {"num_boost_round": 60, "early_stopping_rounds": 3, "examples": [held]}
    warm = bench.train(trainer, "warm", base_model=Model(path=base), **given)
    details = read_manifest(warm).details
    history = json.loads((warm.with_name("warm-run") / "history.json").read_text())["eval"]
    ((name, values),) = history.items()
    assert details[f"eval_{name}"] == min(values)
    assert details["best_iteration"] == 5 + values.index(min(values)) + 1
    booster = load_model(warm).predictor.booster
    rounds = booster.current_iteration() if trainer == "lightgbm" else booster.num_boosted_rounds()
    assert rounds == details["best_iteration"]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([True, False], (False, True)),
        (["yes", "no"], ("no", "yes")),
        ([1.0, 0.0], (0.0, 1.0)),
        ([7, 3], (3, 7)),
    ],
)
def test_labels_of_every_type_are_classes(bench: Bench, labels: list[Any], classes: tuple[Any, ...]) -> None:
    binary = bench.ground.rows.to_arrow().column("binary").to_pylist()
    examples = changed(bench, binary=[labels[0] if value else labels[1] for value in binary])
    model = load_model(bench.train("lightgbm", examples=examples))
    assert model.manifest.classes == classes
    found = model.predict_features(bench.ground.rows.to_arrow())["prediction"].tolist()
    assert np.mean([a == (labels[0] if b else labels[1]) for a, b in zip(found, binary, strict=True)]) > 0.75
    assert type(found[0]) is type(classes[0])


def test_what_the_tuner_found_takes_the_place_of_settings(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "best").mkdir()
    write_hyperparameters(tmp_path / "best", {"num_boost_round": 4, "num_leaves": 3}, {})
    folder = bench.train(
        "lightgbm",
        best_hyperparameters=HyperParameters(path=tmp_path / "best"),
        hyperparameters={"num_leaves": 9},
    )
    assert read_manifest(folder).details["best_iteration"] == 4
    assert "[num_leaves: 3]" in (folder / "model.txt").read_text()


@pytest.mark.parametrize(
    ("trainer", "name", "hint"),
    [
        ("lightgbm", "num_leafs", "did you mean 'num_leaf'"),
        ("xgboost", "max_dept", "did you mean 'max_depth'"),
        ("sklearn", "lerning_rate", "did you mean 'learning_rate'"),
    ],
)
def test_an_unknown_parameter_suggests(bench: Bench, trainer: str, name: str, hint: str) -> None:
    with pytest.raises(DataError, match=f"no parameter '{name}'") as raised:
        bench.train(trainer, hyperparameters={name: 3})
    assert hint in raised.value.hint


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_parameter_of_the_wrong_kind_is_one_clear_error(bench: Bench, trainer: str) -> None:
    with pytest.raises(DataError, match="refused"):
        bench.train(trainer, hyperparameters={"learning_rate": "fast" if trainer != "lightgbm" else -1.0})
    if trainer != "sklearn":
        with pytest.raises(DataError, match="'num_boost_round'"):
            bench.train(trainer, "kind", hyperparameters={"num_boost_round": 1.5})


def changed(bench: Bench, **columns: Any) -> list[Examples]:
    table = bench.ground.rows.to_arrow()
    for name, values in columns.items():
        array = pa.array(values) if not isinstance(values, pa.Array) else values
        at = table.column_names.index(name)
        table = table.set_column(at, name, array)
    return [bench.examples_of(table, table.slice(0, 100), f"changed-{'-'.join(columns)}")]


BAD: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("no such label", {}, {"label": "binry"}, "no column 'binry' to learn"),
    ("no such feature", {}, {"features": ["sise"]}, "no column 'sise'"),
    ("label among features", {}, {"features": ["size", "binary"]}, "among the features"),
    ("no such task", {}, {"task": "binray"}, "unknown task 'binray'"),
    ("text feature", {}, {"features": ["size", "multiclass"]}, "'multiclass' is string"),
    ("all labels null", {"binary": pa.nulls(400, pa.int64())}, {}, "no value in any row"),
    ("one class", {"binary": np.ones(400, np.int64)}, {}, "one class only"),
    ("classes or amounts", {"binary": np.arange(400)}, {}, "are they classes or amounts"),
    ("three classes", {}, {"label": "multiclass", "task": "binary"}, "3 classes, and task is binary"),
    ("text in a regression", {}, {"label": "multiclass", "task": "regression"}, "no regression can learn"),
    ("infinite feature", {"size": np.r_[np.inf, np.zeros(399)]}, {}, "'size' has infinite values"),
    ("infinite label", {"regression": np.r_[np.inf, np.zeros(399)]},
     {"label": "regression", "task": "regression"}, "'regression' has infinite values"),
    ("no such weight", {}, {"weight": "wait"}, "no column 'wait' for weights"),
    ("negative weight", {"regression": np.full(400, -1.0)}, {"weight": "regression"}, "not negative"),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "changes", "match"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_columns_are_named(
    bench: Bench, columns: dict[str, Any], changes: dict[str, Any], match: str
) -> None:
    more = {"examples": changed(bench, **columns)} if columns else {}
    with pytest.raises(DataError, match=match):
        bench.train("lightgbm", **more, **changes)


def test_zero_rows_are_refused(bench: Bench) -> None:
    none = bench.ground.rows.to_arrow().slice(0, 0)
    with pytest.raises(DataError, match="no rows to train on"):
        bench.train("lightgbm", examples=[bench.examples_of(none, none, "none")])


@pytest.mark.parametrize("trainer", TRAINERS)
def test_missing_values_are_learned_from_or_named(bench: Bench, trainer: str) -> None:
    size = pa.array(np.where(np.arange(400) % 3 == 0, np.nan, 1.0), mask=np.arange(400) % 7 == 0)
    examples = changed(bench, size=size)
    model = load_model(bench.train(trainer, examples=examples))
    assert np.isfinite(
        model.predict_features({"size": np.array([np.nan]), "kind": np.array([0])})["probability"]
    )
    if trainer == "sklearn":
        with pytest.raises(DataError, match="'size' has missing values, and LogisticRegression takes none"):
            bench.train(
                trainer, "linear", examples=examples, estimator="LogisticRegression", hyperparameters={}
            )


def test_rows_without_a_label_are_left_out_and_counted(bench: Bench, capsys: Any) -> None:
    label = bench.ground.rows.to_arrow().column("binary").to_numpy()
    examples = changed(bench, binary=pa.array(label, mask=np.arange(400) < 50))
    folder = bench.train("lightgbm", examples=examples)
    assert read_manifest(folder).details["rows"] == 350
    assert "train: 50 of 400 rows have no usable label" in capsys.readouterr().out


def test_features_are_the_graphs_outputs_unless_named(bench: Bench) -> None:
    with pytest.raises(DataError, match="'multiclass' is string"):
        bench.train("lightgbm", "all", features=())
    table = bench.ground.rows.to_arrow().drop_columns(["multiclass"])
    folder = bench.train("lightgbm", features=(), weight="binary", label="regression",
                         examples=[bench.examples_of(table, None, "fewer")])  # fmt: skip
    assert list(read_manifest(folder).inputs) == ["size", "kind"]


def test_estimators_by_name_and_by_function(bench: Bench) -> None:
    folder = bench.train("sklearn", "linear", estimator="LogisticRegression", hyperparameters={"C": 0.5})
    model = load_model(folder)
    assert model.manifest.details["estimator"] == "LogisticRegression"
    assert model.predictor.estimator.steps[-1][1].C == 0.5
    assert len(model.predictor.estimator.steps[-1][1].coef_[0]) == 1 + 3  # a column per kind

    def forest(params: Any) -> Any:
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(n_estimators=3, random_state=0, **params)

    made = load_model(bench.train("sklearn", "own", estimator_fn=forest, hyperparameters={"max_depth": 2}))
    assert made.predictor.estimator.max_depth == 2
    with pytest.raises(DataError, match="no estimator 'LogisticRegresion'") as raised:
        bench.train("sklearn", "typo", estimator="LogisticRegresion")
    assert "did you mean 'LogisticRegression'" in raised.value.hint
    with pytest.raises(DataError, match="Ridge is not for a binary task"):
        bench.train("sklearn", "kind", estimator="Ridge", hyperparameters={})


@pytest.mark.parametrize("trainer", ["lightgbm", "xgboost", "sklearn"])
def test_onnx_is_kept_when_it_gives_the_same(bench: Bench, trainer: str) -> None:
    linear = {"estimator": "LogisticRegression", "categorical": (), "hyperparameters": {}}
    folder = bench.train(trainer, onnx=True, **(linear if trainer == "sklearn" else {}))
    kept = read_manifest(folder).details["onnx"]
    assert kept["kept"] is True
    assert kept["largest_difference"] < 1e-4
    raw = bench.ground.raw
    native, converted = load_model(folder), load_model(folder, use_onnx=True)
    assert type(converted.predictor).__name__ == "OnnxPredictor"
    expected = native.predict(raw)["probability"]
    np.testing.assert_allclose(converted.predict(raw)["probability"], expected, atol=1e-4)


def test_a_conversion_that_fails_is_recorded_and_the_model_stays(bench: Bench) -> None:
    folder = bench.train("sklearn", onnx=True)
    kept = read_manifest(folder).details["onnx"]
    assert kept["kept"] is False
    assert "conversion failed" in kept["reason"]
    assert not (folder / "model.onnx").exists()
    load_model(folder)
    with pytest.raises(DataError, match="no ONNX form"):
        load_model(folder, use_onnx=True)
