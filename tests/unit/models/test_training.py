"""What a run_fn is given: batches, a curve, ways to save; and features that are vectors or missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tidemill.components.trainer import executor
from tidemill.data.dataset import Dataset
from tidemill.data.parquet import write_split
from tidemill.errors import DataError
from tidemill.models import Field, load_model, read_manifest
from tidemill.models.features import arrays_of_lists, arrays_of_table, field_of
from tidemill.training.finish import finish
from tidemill.training.fn_args import FnArgs
from tidemill.training.hyperparameters import FILE, read_hyperparameters, write_hyperparameters
from tidemill.training.rows import Wanted, prepare
from tidemill.types.standard import Examples, HyperParameters, Model, ModelRun


def test_batches_hold_every_row_once_and_are_mixed_by_a_seed(ground: Any) -> None:
    args = ground.args()
    size = ground.rows.to_arrow().column("size").to_numpy()

    def rows(**settings: Any) -> Any:
        return [batch["size"] for batch in args.numpy_batches("train", ["size"], batch_rows=64, **settings)]

    assert [len(part) for part in rows()] == [64] * 6 + [16]
    np.testing.assert_array_equal(np.concatenate(rows()), size)
    mixed = np.concatenate(rows(shuffle_seed=1))
    np.testing.assert_array_equal(np.sort(mixed), np.sort(size))
    np.testing.assert_array_equal(mixed, np.concatenate(rows(shuffle_seed=1)))
    twice = np.concatenate(rows(shuffle_seed=1, epochs=2))
    assert not np.array_equal(twice[:400], twice[400:])
    assert not np.array_equal(twice[:400], size)


def test_bad_batches_are_refused_before_the_first(ground: Any) -> None:
    args = ground.args()
    with pytest.raises(DataError, match="no column 'sise'"):
        args.numpy_batches("train", ["sise"])
    with pytest.raises(DataError, match="batch_rows is 0"):
        args.numpy_batches("train", ["size"], batch_rows=0)
    with pytest.raises(DataError, match="no split 'test' here"):
        args.numpy_batches("test", ["size"])
    args.report(3, 1.0)
    with pytest.raises(DataError, match="step 3 was reported after step 3"):
        args.report(3, 1.0)


def fit_regression(args: FnArgs) -> None:
    """A run_fn that reports, and saves for load_model."""
    from sklearn.linear_model import LogisticRegression

    table = args.train.to_arrow()
    x = np.column_stack([table.column("size"), table.column("kind")])
    for step in range(2):
        args.report(step, 1.0 / (step + 1))
    model = LogisticRegression(C=args.hyperparameters["C"]).fit(x, table.column("binary").to_numpy())
    args.save_model(model, features=["size", "kind"], task="binary", label="binary")


def test_trainer_hands_on_what_the_tuner_found(ground: Any, tmp_path: Path) -> None:
    for name in ("trained", "run", "best"):
        (tmp_path / name).mkdir()
    write_hyperparameters(tmp_path / "best", {"C": 0.25}, {"metric": "auc", "value": 0.9})
    examples = Examples(path=tmp_path / "examples")
    examples.splits = ["train"]
    executor.run(
        examples=[examples],
        run_fn=fit_regression,
        model=Model(path=tmp_path / "trained"),
        model_run=ModelRun(path=tmp_path / "run"),
        best_hyperparameters=HyperParameters(path=tmp_path / "best"),
        hyperparameters={"C": 4.0},
        eval_splits=["train"],
    )
    model = load_model(tmp_path / "trained")
    assert model.predictor.estimator.C == 0.25
    assert model.manifest.run_fn.endswith(":fit_regression")
    curve = [json.loads(line) for line in (tmp_path / "run" / "curve.jsonl").read_text().splitlines()]
    assert curve == [{"step": 0, "value": 1.0}, {"step": 1, "value": 0.5}]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"task": "binery"}, "unknown task 'binery'"),
        ({"features": ["sise"]}, "no column 'sise'"),
        ({"classes": (1,)}, "at least two classes"),
        ({"model": object()}, r"no safe way to save a builtins\.object"),
    ],
)
def test_models_that_cannot_be_saved_say_why(ground: Any, changes: dict[str, Any], match: str) -> None:
    with pytest.raises(DataError, match=match):
        ground.args().save_model(**{"model": None, "features": ["size"], "task": "binary", **changes})


def test_damaged_hyperparameters_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no hyperparameters"):
        read_hyperparameters(tmp_path)
    for text in ("[]", "{", '{"format": "other"}'):
        (tmp_path / FILE).write_text(text)
        with pytest.raises(DataError):
            read_hyperparameters(tmp_path)


def test_vectors_are_features(ground: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = rng.normal(size=(120, 3))
    labels = (words[:, 1] > 0).astype(np.int64)
    kind = pa.list_(pa.float64(), 3)
    table = pa.table({"words": pa.array(words.tolist(), kind), "y": labels})
    write_split(tmp_path / "Split-vectors", table.schema, [table])
    args = ground.args()
    args = FnArgs(
        train=Dataset((tmp_path / "Split-vectors",)),
        eval=args.eval,
        model_dir=args.model_dir,
        log_dir=args.log_dir,
    )
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(words, labels)
    args.save_model(model, features=["words"], task="binary")
    finish(args.model_dir, None, "test", allow_pickle=False)
    assert read_manifest(args.model_dir).features == (Field("words", "float", (3,)),)
    loaded = load_model(args.model_dir)
    expected = model.predict_proba(words)[:, 1]
    np.testing.assert_array_equal(loaded.predict(table)["probability"], expected)
    few = loaded.predict_rows([{"words": row} for row in words[:4].tolist()])
    np.testing.assert_array_equal(few["probability"], expected[:4])
    with pytest.raises(DataError, match="lists of other lengths than 3"):
        loaded.predict_rows([{"words": [1.0, 2.0]}])
    with pytest.raises(DataError, match="lists of other lengths than 3"):
        loaded.predict_rows([{"words": [1.0, 2.0]}, {"words": [1.0, 2.0, 3.0, 4.0]}])
    with pytest.raises(DataError, match="was trained with 3 values per row"):
        loaded.predict_features({"words": np.zeros((4, 2))})


def test_lists_of_one_length_are_vectors_and_others_are_named(ground: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = [None, *rng.normal(size=(99, 3)).tolist()]
    labels = [int(row is not None and row[1] > 0) for row in words]
    for name, rows in (("even", words), ("odd", [*words[:50], [1.0], *words[51:]]), ("none", [None] * 100)):
        table = pa.table({"words": pa.array(rows, pa.list_(pa.float64())), "y": labels})
        write_split(tmp_path / name, table.schema, [table])

    def prepared(name: str) -> Any:
        rows = Dataset((tmp_path / name,))
        return prepare(rows, rows, None, Wanted(label="y"), np.float64)

    assert prepared("even").columns == ("words[0]", "words[1]", "words[2]")
    assert np.isnan(prepared("even").train.x[0]).all()
    with pytest.raises(DataError, match="'words' has lists of other lengths than 3"):
        prepared("odd")
    with pytest.raises(DataError, match="'words' is lists, and there is no value in them"):
        prepared("none")


def test_missing_values_become_nan_and_types_are_kept_apart() -> None:
    table = pa.table(
        {
            "i": pa.array([1, None]),
            "f": pa.array([None, 0.5]),
            "b": pa.array([True, None]),
            "s": pa.array(["x", None]),
            "n": pa.nulls(2),
            "v": pa.array([[1.0, 2.0], None], pa.list_(pa.float64(), 2)),
        }
    )
    fields = [field_of(name, table.schema.field(name).type) for name in table.column_names]
    assert [field.type for field in fields] == ["int", "float", "bool", "string", "empty", "float"]
    for found in (arrays_of_table(table, fields), arrays_of_lists(table.to_pydict(), fields)):
        for name, first in (("i", 1.0), ("b", 1.0)):
            assert found[name][0] == first
            assert np.isnan(found[name][1])
        assert np.isnan(found["f"][0])
        assert found["s"].tolist() == ["x", None]
        assert np.isnan(found["n"]).all()
        assert found["v"][0].tolist() == [1.0, 2.0]
        assert np.isnan(found["v"][1]).all()
    with pytest.raises(DataError, match="'i' is float, and the model was trained with int"):
        arrays_of_table(pa.table({"i": [0.5]}), [Field("i", "int")])
    with pytest.raises(DataError, match="which no model takes"):
        field_of("d", pa.decimal128(5, 2))
