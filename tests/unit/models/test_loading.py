"""Opening a model folder: hashes first, code and pickles only by permission, clear words for bad rows."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tidemill.errors import DataError
from tidemill.models import Field, Signature, load_model, read_manifest
from tidemill.models.files import hash_files
from tidemill.models.flavors.base import Opened
from tidemill.models.manifest import FILE, ModelManifest, write_manifest
from tidemill.training.finish import finish


def regression(x: Any, y: Any) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(x, y)


def predict_doubled(model_dir: Path, rows: pa.Table) -> Any:
    """Kept as code: twice the column, times a number of the model's own."""
    factor = json.loads((model_dir / "factor.json").read_text())
    return np.asarray(rows.column("size").to_numpy(), dtype=float) * factor


def test_the_manifest_says_what_goes_in_and_out(ground: Any) -> None:
    manifest = read_manifest(ground.save(regression, "binary", details={"loss": 0.5}))
    assert manifest.signature.inputs == (Field("size", "float"), Field("kind", "string"))
    assert manifest.features == (Field("size", "float"), Field("kind", "int"))
    assert manifest.signature.outputs == (Field("probability", "float"), Field("prediction", "int"))
    assert (manifest.task, manifest.label, manifest.classes) == ("binary", "binary", (0, 1))
    assert manifest.transform_graph == ground.graph.digest
    assert sorted(manifest.files) == ["model.skops", "transform_graph/graph.json"]
    assert manifest.libraries["scikit-learn"] == manifest.framework_version
    assert len(manifest.environment.packages) == 64
    assert ModelManifest.from_json(manifest.to_json()) == manifest


@pytest.mark.parametrize("name", ["model.skops", "transform_graph/graph.json"])
def test_a_changed_or_missing_file_is_refused_before_it_is_read(ground: Any, name: str) -> None:
    folder = ground.save(regression, "binary")
    path = folder / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DataError, match="sha256 differs"):
        load_model(folder)
    path.unlink()
    with pytest.raises(DataError, match="lacks its file"):
        load_model(folder)


def test_files_outside_of_the_folder_are_refused(ground: Any) -> None:
    folder = ground.save(regression, "binary")
    manifest = read_manifest(folder)
    write_manifest(folder, replace(manifest, files={**manifest.files, "../other": "0"}))
    with pytest.raises(DataError, match="outside of its folder"):
        load_model(folder)
    write_manifest(folder, replace(manifest, payload={"file": "../model.skops"}))
    with pytest.raises(DataError, match="names no file of the model"):
        load_model(folder)


def test_version_1_is_read_and_needs_its_own_code(tmp_path: Path) -> None:
    old = {
        "format": "tidemill.model/1",
        "framework": "scikit-learn",
        "framework_version": "1.6",
        "inputs": [["z", "float"]],
        "outputs": ["p"],
        "details": {"loss": 0.5},
        "transform_graph": "",
        "run_fn": "m:f",
        "python": "3.11.1",
        "libraries": {"numpy": "2.0"},
    }
    (tmp_path / FILE).write_text(json.dumps(old))
    manifest = read_manifest(tmp_path)
    assert manifest.inputs == {"z": "float"}
    assert manifest.outputs == ("p",)
    assert (manifest.python, manifest.libraries) == ("3.11.1", {"numpy": "2.0"})
    with pytest.raises(DataError, match="named no flavor"):
        load_model(tmp_path)
    (tmp_path / FILE).write_text(json.dumps({**old, "format": "tidemill.model/9"}))
    with pytest.raises(DataError, match="of this version"):
        read_manifest(tmp_path)


def test_an_unknown_flavor_suggests(ground: Any) -> None:
    folder = ground.save(regression, "binary")
    write_manifest(folder, replace(read_manifest(folder), flavor="sklern"))
    with pytest.raises(DataError, match="no flavor 'sklern'") as raised:
        load_model(folder)
    assert "did you mean 'sklearn'" in raised.value.hint


def test_code_runs_only_by_permission(ground: Any) -> None:
    args = ground.args()
    (args.model_dir / "factor.json").write_text("3")
    args.save_code(predict_doubled, outputs=["doubled"])
    finish(args.model_dir, ground.graph, "test", allow_pickle=False)
    with pytest.raises(DataError, match="code that lies in") as raised:
        load_model(args.model_dir)
    assert "allow_code=True" in raised.value.hint
    model = load_model(args.model_dir, allow_code=True)
    rows = pa.table({"size": [1.0, 2.0]})
    assert model.predict(rows)["doubled"].tolist() == [3.0, 6.0]
    assert model.predict_rows([{"size": 5.0}])["doubled"].tolist() == [15.0]
    with pytest.raises(DataError, match="takes raw rows"):
        model.predict_features(rows)
    source = args.model_dir / "code" / "test_loading.py"
    source.write_text(source.read_text() + "\n")
    with pytest.raises(DataError, match="sha256 differs"):
        load_model(args.model_dir, allow_code=True)


def test_a_closure_is_not_kept_as_code(ground: Any) -> None:
    with pytest.raises(DataError, match="cannot be kept as code"):
        ground.args().save_code(lambda model_dir, rows: rows.column("size"))


def test_a_pickle_is_loaded_only_by_permission(ground: Any) -> None:
    from tidemill.models.flavors import pickle as flavor
    from tidemill.training.saving import Described, write

    args = ground.args()
    x, y = ground.arrays("binary")
    saved = flavor.save(args.model_dir, regression(x, y))
    fields = (Field("size", "float"), Field("kind", "int"))
    write(args.model_dir, saved, fields, Described(features=("size", "kind"), task="binary", classes=(0, 1)))
    with pytest.raises(DataError, match="pickled files"):
        finish(args.model_dir, ground.graph, "test", allow_pickle=False)
    finish(args.model_dir, ground.graph, "test", allow_pickle=True)
    with pytest.raises(DataError, match="is a pickle"):
        load_model(args.model_dir)
    assert len(load_model(args.model_dir, allow_pickle=True).predict(ground.raw)["probability"]) == 400


def test_a_pickle_under_another_name_is_no_model(ground: Any) -> None:
    folder = ground.save(regression, "binary")
    (folder / "model.skops").write_bytes(pickle.dumps({"a": 1}))
    write_manifest(folder, replace(read_manifest(folder), files=hash_files(folder)))
    with pytest.raises(DataError, match="no archive of skops"):
        load_model(folder)


def test_rows_that_do_not_fit_say_which_column(ground: Any) -> None:
    model = load_model(ground.save(regression, "binary"))
    with pytest.raises(DataError, match="'size'"):
        model.predict(ground.raw.drop_columns(["size"]))
    features = ground.rows.to_arrow()
    assert len(model.predict_features(features)["probability"]) == 400
    with pytest.raises(DataError, match="there is no column 'size'"):
        model.predict_features(features.rename_columns({"size": "sise"}))
    with pytest.raises(DataError, match="'size' is string, and the model was trained with float"):
        model.predict_features(features.set_column(0, "size", pa.array(["x"] * 400)))
    with pytest.raises(DataError, match="there is no feature 'kind'"):
        model.predict_features({"size": np.zeros(2)})


def test_without_a_graph_rows_are_features(ground: Any) -> None:
    args = ground.args()
    x, y = ground.arrays("binary")
    args.save_model(regression(x, y), features=["size", "kind"], task="binary")
    finish(args.model_dir, None, "test", allow_pickle=False)
    model = load_model(args.model_dir)
    assert model.signature == Signature(
        (Field("size", "float"), Field("kind", "int")),
        (Field("probability", "float"), Field("prediction", "int")),
    )
    assert model.predict_rows([{"size": 0.5, "kind": 1}])["probability"].shape == (1,)
    with pytest.raises(DataError, match="'kind' is str, and the model was trained with int"):
        model.predict_rows([{"size": 0.5, "kind": "red"}])


def test_a_file_that_changes_after_the_check_is_not_loaded(ground: Any) -> None:
    folder = ground.save(regression, "binary")
    opened = Opened(folder, read_manifest(folder))
    assert len(opened.read("file")) > 100
    (folder / "model.skops").write_bytes(b"other")
    with pytest.raises(DataError, match="changed while it was loaded"):
        opened.read("file")
