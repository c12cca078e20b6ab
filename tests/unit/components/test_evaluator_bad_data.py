"""Evaluator on bad data and settings that make no sense: a clear error, or no value and the reason."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidemill.components.evaluator.executor import run
from tidemill.data.evaluation import Evaluation
from tidemill.data.evaluation_file import read_evaluation
from tidemill.data.parquet import split_folder
from tidemill.errors import DataError
from tidemill.types.standard import Examples, Model, ModelBlessing, ModelEvaluation

BINARY = pa.table(
    {
        "p": np.linspace(0.01, 0.99, 120),
        "z": [0] * 120,
        "y": np.repeat([0, 1], 60),
        "sex": ["f", "m", "m"] * 40,
        "w": [1.0] * 120,
    }
)


def evaluate(folder: Path, table: pa.Table, **parameters: Any) -> tuple[Evaluation, ModelBlessing]:
    """Run the component on a table in groups of 40 rows; what it measured, and its verdict."""
    place = folder / f"call-{len(list(folder.iterdir()))}"
    split = split_folder(place / "examples", "eval")
    for path in (split, place / "evaluation", place / "blessing", place / "model"):
        path.mkdir(parents=True)
    pq.write_table(table, split / "part-00000.parquet", row_group_size=40)
    examples, blessing = Examples(path=place / "examples"), ModelBlessing(path=place / "blessing")
    examples.splits = ["eval"]
    evaluation, model = ModelEvaluation(path=place / "evaluation"), Model(path=place / "model", id=1)
    run(examples=examples, model=model, evaluation=evaluation, blessing=blessing, **parameters)
    return read_evaluation(evaluation.path), blessing


def column(name: str) -> Any:
    """A predict_fn that finds its answer in the data."""
    return lambda model_dir, rows: rows.column(name).to_numpy()


def values(found: Evaluation) -> dict[str, float | None]:
    return {name: measure.value for name, measure in found.overall.model.items()}


@pytest.mark.parametrize(
    ("table", "parameters", "message"),
    [
        (BINARY.slice(0, 0), {}, r"splits \['eval'\] have no rows"),
        (BINARY.set_column(2, "y", pa.nulls(120, pa.int64())), {}, "no rows with a value in 'y'"),
        (BINARY.set_column(2, "y", pa.array([2] * 120)), {}, "must be 0 and 1, found 2"),
        (BINARY.set_column(2, "y", pa.array([math.nan] * 120)), {}, "NaN or infinite"),
        (BINARY, {"predict_fn": lambda model, rows: rows.column("p").to_numpy()[1:]}, r"shape \(39,\)"),
        (BINARY, {"predict_fn": lambda model, rows: None}, "returned object"),
        (BINARY, {"predict_fn": lambda model, rows: np.full(len(rows), math.inf)}, "found inf"),
        (BINARY, {"weight": "sex"}, "the weight 'sex' is string"),
        (BINARY.set_column(4, "w", pa.nulls(120, pa.float64())), {"weight": "w"}, "have no weight"),
        (BINARY.set_column(4, "w", pa.array([-1.0] * 120)), {"weight": "w"}, "is negative"),
        (BINARY, {"weight": "v"}, "a column 'v'"),
        (BINARY, {"task": "ranking"}, "which rows belong together"),
        (BINARY, {"slices": ["sexx"]}, "a column 'sexx'"),
        (BINARY, {"min_slice_size": 0}, "min_slice_size=0"),
        (BINARY, {"confidence": 95}, "confidence=95"),
        (BINARY, {"intervals": "bayes"}, "intervals='bayes'"),
        (BINARY, {"task": "multiclass"}, "classes=|which ones there are"),
        (BINARY, {"classes": ["a", "b", "c"], "task": "classification"}, "two classes, not 3"),
        (BINARY, {"thresholds": {"rmse": {"upper": 1}}}, "thresholds name 'rmse'"),
        (BINARY, {"fairness": [{"slices": "sex", "metric": "recal"}]}, "name 'recal'"),
    ],
)
def test_bad_data_and_bad_settings(
    tmp_path: Path, table: pa.Table, parameters: dict[str, Any], message: str
) -> None:
    usual: dict[str, Any] = {"predict_fn": column("p"), "label": "y", "metrics": ["accuracy"]}
    with pytest.raises(DataError, match=message):
        evaluate(tmp_path, table, **{**usual, **parameters})


def test_one_row_and_rows_of_weight_0(tmp_path: Path) -> None:
    usual: dict[str, Any] = {"predict_fn": column("p"), "label": "y", "metrics": ["auc", "accuracy"]}
    found, blessing = evaluate(tmp_path, BINARY.slice(0, 1), **usual, slices=["sex"])
    assert values(found) == {"auc": None, "accuracy": 1.0}
    assert found.overall.model["auc"].reason == "all rows have one label"
    assert blessing.blessed == 0
    weightless = BINARY.set_column(4, "w", pa.array([0.0] * 120))
    found, _ = evaluate(tmp_path, weightless, **usual, weight="w")
    assert values(found) == {"auc": None, "accuracy": None}


def test_nan_in_one_slice_spoils_that_slice_and_all_rows(tmp_path: Path) -> None:
    scores = BINARY.column("p").to_numpy().copy()
    scores[0] = math.nan
    spoilt = BINARY.set_column(0, "p", pa.array(scores, from_pandas=False))
    found, blessing = evaluate(
        tmp_path, spoilt, predict_fn=column("p"), label="y", metrics=["accuracy"], slices=["sex"],
        thresholds={"accuracy": {"lower": 0.1, "slices": "all"}},
    )  # fmt: skip
    by_name = {part.name: part.model["accuracy"] for part in found.all_slices()}
    assert by_name["sex=m"].value is not None
    assert by_name["sex=f"].reason == by_name["overall"].reason == "1 predictions are NaN or infinite"
    assert blessing.reason.count("predictions are NaN or infinite") == 2
