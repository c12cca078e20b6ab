"""Trainer: what run_fn is given, and what of its files becomes a model."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tidemill.data.transform as tft
from tidemill.components.trainer.executor import run
from tidemill.components.trainer.fn_args import FnArgs
from tidemill.data.parquet import split_folder
from tidemill.data.transform.fit import fit
from tidemill.errors import DataError
from tidemill.models.manifest import FILE, GRAPH_FOLDER, load_graph, read_manifest
from tidemill.types.standard import Examples, Model, ModelRun, TransformGraph


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    """Arguments of a usual call: two Examples with train and eval, a transform graph."""
    made = []
    for number in range(2):
        item = Examples(path=tmp_path / f"examples-{number}")
        item.splits = ["train", "eval"]
        for split, size in (("train", 3), ("eval", 1)):
            folder = split_folder(item.path, split)
            folder.mkdir(parents=True)
            ids = [10 * number + i for i in range(size)]
            pq.write_table(pa.table({"id": ids, "x": [float(i) for i in ids]}), folder / "part-00000.parquet")
        made.append(item)
    for name in ("model", "run", "graph"):
        (tmp_path / name).mkdir()
    traced = tft.trace(lambda inputs: {"z": tft.scale_to_0_1(inputs["x"])}, {"x": "float"})
    fit(traced, lambda columns: iter([pa.table({"x": [0.0, 4.0]})])).save(tmp_path / "graph")
    return {
        "examples": made,
        "model": Model(path=tmp_path / "model"),
        "model_run": ModelRun(path=tmp_path / "run"),
        "transform_graph": TransformGraph(path=tmp_path / "graph"),
    }


def save_nothing(args: FnArgs) -> None:
    args.describe_model(framework="none")


def save_numbers(args: FnArgs) -> None:
    np.savez(args.model_dir / "weights.npz", w=np.ones(2))


def test_run_fn_gets_rows_folders_and_settings(given: dict[str, Any], tmp_path: Path) -> None:
    seen: list[FnArgs] = []

    def run_fn(args: FnArgs) -> None:
        seen.append(args)
        (args.log_dir / "curve.csv").write_text("step,loss\n")
        save_numbers(args)
        args.describe_model(framework="numpy", inputs={"z": "float"}, outputs=["p"], details={"loss": 0.5})

    base = Model(path=tmp_path / "base")
    run(**given, run_fn=run_fn, base_model=base, hyperparameters={"rate": 0.1}, custom_config={"a": [1]})
    (args,) = seen
    assert args.train.num_rows == 6
    assert args.train.to_arrow(["id"]).to_pydict() == {"id": [0, 1, 2, 10, 11, 12]}
    assert [batch.num_rows for batch in args.train.iter_batches()] == [3, 3]
    assert args.eval.to_arrow().column_names == ["id", "x"]
    assert args.base_model_dir == base.path
    assert (args.hyperparameters, args.custom_config) == ({"rate": 0.1}, {"a": [1]})
    assert args.transform_graph is not None
    manifest = read_manifest(given["model"].path)
    assert manifest.framework == "numpy"
    assert manifest.framework_version == np.__version__ == manifest.libraries["numpy"]
    assert manifest.inputs == {"z": "float"}
    assert manifest.details == {"loss": 0.5}
    assert manifest.run_fn.endswith("run_fn")
    assert manifest.transform_graph == args.transform_graph.digest


def test_the_model_carries_its_transform_graph(given: dict[str, Any]) -> None:
    run(**given, run_fn=save_numbers)
    folder = given["model"].path
    graph = load_graph(folder)
    assert graph is not None
    assert graph.transform_rows([{"x": 1.0}]) == {"z": [0.25]}
    path = folder / GRAPH_FOLDER / "graph.json"
    path.write_text(path.read_text().replace('"width":4.0', '"width":5.0'))
    with pytest.raises(DataError, match="not the one it was trained with"):
        load_graph(folder)


def test_without_a_graph_the_model_takes_rows_as_they_are(given: dict[str, Any]) -> None:
    del given["transform_graph"]
    run(**given, run_fn=save_numbers)
    assert load_graph(given["model"].path) is None
    assert read_manifest(given["model"].path).transform_graph == ""


def test_a_known_file_format_tells_the_framework(given: dict[str, Any]) -> None:
    run(**given, run_fn=lambda args: (args.model_dir / "net.onnx").write_bytes(b"\x08\x07"))
    assert read_manifest(given["model"].path).framework == "onnx"


@pytest.mark.parametrize("run_fn", [save_nothing, lambda args: None])
def test_a_run_fn_that_writes_no_model_is_an_error(given: dict[str, Any], run_fn: Any) -> None:
    with pytest.raises(DataError, match="wrote no model"):
        run(**given, run_fn=run_fn)


@pytest.mark.parametrize("name", ["model.pkl", "deep/model.joblib", "weights.bin"])
def test_pickles_are_refused_by_name_and_by_content(given: dict[str, Any], name: str) -> None:
    def run_fn(args: FnArgs) -> None:
        path = args.model_dir / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps({"w": 1}))

    with pytest.raises(DataError, match="pickled files") as raised:
        run(**given, run_fn=run_fn)
    assert name in raised.value.message
    assert "allow_pickle=True" in raised.value.hint
    run(**given, run_fn=run_fn, allow_pickle=True)
    assert (given["model"].path / FILE).exists()


def test_what_run_fn_raises_is_not_replaced(given: dict[str, Any]) -> None:
    def run_fn(args: FnArgs) -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        run(**given, run_fn=run_fn)


def test_unknown_splits_and_columns_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="no examples have a split 'evl'") as raised:
        run(**given, run_fn=save_numbers, eval_splits=["evl"])
    assert "did you mean 'eval'" in raised.value.hint
    with pytest.raises(DataError, match="there is no column 'idd'"):
        run(**given, run_fn=lambda args: args.train.to_arrow(["idd"]))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "tidemill.model/1"}', '{"format": "tidemill.model/2"}']
)
def test_a_damaged_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(DataError):
        read_manifest(tmp_path)


def test_details_that_are_not_json_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="not plain JSON"):
        run(**given, run_fn=lambda args: args.describe_model(details={"loss": float("nan")}))


def test_the_manifest_is_plain_json(given: dict[str, Any]) -> None:
    run(**given, run_fn=save_numbers)
    value = json.loads((given["model"].path / FILE).read_text())
    assert value["format"] == "tidemill.model/2"
    assert value["environment"]["python"].count(".") == 2
