"""BulkInferrer: every row once, the same bytes each time, whatever the rows are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidemill.components.bulk_inferrer.executor import run
from tidemill.data.parquet import SplitWriter, split_folder, write_split
from tidemill.errors import DataError
from tidemill.models import LoadedModel
from tidemill.storage.manifest import seal
from tidemill.types.standard import Examples, InferenceResult, Model, ModelBlessing

Infer = Callable[..., InferenceResult]


@pytest.fixture
def infer(examples: Examples, model: Model, tmp_path: Path) -> Infer:
    made: list[Path] = []

    def work(**parameters: Any) -> InferenceResult:
        made.append(tmp_path / f"result-{len(made)}")
        result = InferenceResult(path=made[-1])
        run(**{"examples": examples, "model": model, "inference_result": result, **parameters})
        return result

    return work


def rows_of(result: InferenceResult, split: str) -> pa.Table:
    return pq.read_table(split_folder(result.path, split))


def test_every_row_of_every_split(infer: Infer, examples: Examples, loaded: LoadedModel) -> None:
    result = infer()
    assert (result.splits, result.num_rows) == (["train", "eval"], 1000)
    for split in result.splits:
        raw, found = pq.read_table(split_folder(examples.path, split)), rows_of(result, split)
        assert found.column_names == [*raw.column_names, "probability", "prediction", "model_version"]
        assert found.select(raw.column_names).equals(raw)
        expected = loaded.predict(raw)
        assert np.array_equal(found.column("probability").to_numpy(), expected["probability"])
        assert found.column("prediction").type == pa.int64()
    assert set(rows_of(result, "eval").column("model_version").to_pylist()) == {result.model_version}


def test_the_same_bytes_again(infer: Infer) -> None:
    assert seal(infer().path).digest == seal(infer().path).digest


def test_chosen_splits_columns_and_outputs(infer: Infer) -> None:
    result = infer(splits=["eval"], carry=["id"], outputs={"probability": "score"}, model_version_column="v")
    assert result.splits == ["eval"]
    assert rows_of(result, "eval").column_names == ["id", "score", "v"]
    bare = infer(splits=["eval"], carry=(), model_version_column="")
    assert rows_of(bare, "eval").column_names == ["probability", "prediction"]
    assert bare.num_rows == 300


def test_only_what_is_blessed(infer: Infer) -> None:
    refused = infer(blessing=ModelBlessing(custom_properties={"blessed": 0, "reason": "auc is low"}))
    assert (refused.splits, refused.num_rows) == ([], 0)
    assert "auc is low" in str(refused.reason)
    assert not refused.path.exists()
    assert infer(blessing=ModelBlessing(custom_properties={"blessed": 1})).num_rows == 1000


def two_of_each(model_dir: Path, rows: pa.Table) -> dict[str, Any]:
    assert (model_dir / "model.json").is_file()
    fare = rows.column("fare").to_numpy()
    return {"pair": np.column_stack([fare, 2 * fare]), "name": ["x"] * rows.num_rows}


def only_numbers(model_dir: Path, rows: pa.Table) -> Any:
    return rows.column("hour").to_numpy() * 0.5


def too_few(model_dir: Path, rows: pa.Table) -> Any:
    return [1.0]


def test_a_predict_fn_of_the_users(infer: Infer) -> None:
    both = rows_of(infer(predict_fn=two_of_each, carry=()), "eval")
    assert both.column("pair").type == pa.list_(pa.float64(), 2)
    assert both.column("name").to_pylist()[:2] == ["x", "x"]
    one = rows_of(infer(predict_fn=only_numbers, carry=["hour"]), "eval")
    assert one.column("prediction").to_pylist() == [h * 0.5 for h in one.column("hour").to_pylist()]
    with pytest.raises(DataError, match=r"1 values of 'prediction' for 700 rows"):
        infer(predict_fn=too_few)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"splits": ["evil"]}, "did you mean 'eval'"),
        ({"carry": ["fair"]}, "did you mean 'fare'"),
        ({"outputs": {"probabilty": "p"}}, "did you mean 'probability'"),
        ({"outputs": {"probability": "fare"}}, "there twice"),
        ({"outputs": {"probability": "a", "prediction": "a"}}, "the same column"),
        ({"outputs": {"probability": "v"}, "model_version_column": "v"}, "output's column too"),
    ],
)
def test_mistakes(infer: Infer, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        infer(**parameters)


def test_a_missing_column_and_a_changed_type(infer: Infer, tmp_path: Path, make_rows: Any) -> None:
    table = make_rows(5)
    for number, (changed, message) in enumerate(
        ((table.drop_columns(["company"]), "company"),
         (table.set_column(2, "miles", pa.array(["a", "b", "c", "d", "e"])), "miles")),
    ):  # fmt: skip
        folder = tmp_path / f"bad-{number}"
        write_split(split_folder(folder, "eval"), changed.schema, [changed])
        bad = Examples(path=folder)
        bad.splits = ["eval"]
        with pytest.raises(DataError, match=message):
            infer(examples=bad)


def test_no_rows_and_nulls_everywhere(infer: Infer, tmp_path: Path, make_rows: Any) -> None:
    schema = make_rows(1).schema
    folder = tmp_path / "edge"
    write_split(split_folder(folder, "none"), schema, [])
    nulls = pa.table({field.name: pa.nulls(4, field.type) for field in schema})
    write_split(split_folder(folder, "nulls"), schema, [nulls])
    edge = Examples(path=folder)
    edge.splits = ["none", "nulls"]
    result = infer(examples=edge, carry=["id"])
    assert result.num_rows == 4
    none = rows_of(result, "none")
    assert none.num_rows == 0
    assert none.schema.equals(rows_of(result, "nulls").schema)


def test_a_damaged_model_is_not_asked(infer: Infer, model: Model) -> None:
    (model.path / "model.txt").write_text("tree")
    with pytest.raises(DataError, match="sha256 differs"):
        infer()


def test_row_groups_are_written_as_they_come(infer: Infer, tmp_path: Path, make_rows: Any) -> None:
    table = make_rows(2500)
    folder = tmp_path / "groups"
    with SplitWriter(split_folder(folder, "eval"), table.schema, group_rows=1000) as writer:
        writer.write(table)
    several = Examples(path=folder)
    several.splits = ["eval"]
    result = infer(examples=several, carry=["id"])
    assert rows_of(result, "eval").column("id").to_pylist() == list(range(2500))
