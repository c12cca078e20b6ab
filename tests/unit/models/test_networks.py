"""PyTorch and Keras: trained, saved without code, opened again. Run where the libraries are installed."""

from __future__ import annotations

import importlib.util
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tidemill.components.trainer import ready
from tidemill.errors import DataError, PermanentError
from tidemill.models import load_model, read_manifest
from tidemill.models.files import hash_files
from tidemill.models.flavors.keras import canonical, import_keras
from tidemill.models.manifest import write_manifest
from tidemill.training.finish import finish
from tidemill.types.standard import Examples, Model, ModelRun, TransformGraph

# Keras's own variables do not know yet how numpy 2 asks for an array.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TRAINERS = {"torch": ready.run_torch, "keras": ready.run_keras}


@pytest.fixture(params=["torch", "keras"])
def kind(request: pytest.FixtureRequest) -> str:
    return needs(request.param)


def needs(name: str) -> str:
    """Skip unless the library is there: PyTorch is several GB, Keras needs a backend."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not among the test tools")
    if name == "keras":
        import_keras()  # and not `import keras`, which wants TensorFlow unless told otherwise
    return name


class Room:
    def __init__(self, folder: Path, ground: Any) -> None:
        self.folder, self.ground = folder, ground
        self.examples = Examples(path=folder / "examples")
        self.examples.splits = ["train"]
        (folder / "graph").mkdir()
        ground.graph.graph.save(folder / "graph")

    def train(self, kind: str, name: str = "model", **changes: Any) -> Path:
        for part in (name, f"{name}-run"):
            (self.folder / part).mkdir()
        given: dict[str, Any] = {
            "examples": [self.examples], "model": Model(path=self.folder / name),
            "model_run": ModelRun(path=self.folder / f"{name}-run"),
            "transform_graph": TransformGraph(path=self.folder / "graph"),
            "label": "binary", "features": ["size", "kind"], "eval_splits": ("train",),
            "epochs": 15, "batch_size": 50, "learning_rate": 0.01, "hidden_sizes": (16,), **changes,
        }  # fmt: skip
        TRAINERS[kind](**given)
        return self.folder / name


@pytest.fixture
def room(tmp_path: Path, ground: Any) -> Room:
    return Room(tmp_path, ground)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_network_learns_and_can_be_asked_with_raw_rows(room: Room, kind: str, task: str) -> None:
    folder = room.train(kind, label=task)
    raw = room.ground.raw
    model = load_model(folder)
    found = model.predict(raw)
    truth = np.array(raw.column(task).to_pylist())
    if task == "regression":
        assert np.square(found["prediction"] - truth).mean() < 0.5 * truth.var()
    else:
        assert (found["prediction"] == truth).mean() > 0.75
    few = model.predict_rows(raw.select(["size", "kind"]).slice(0, 3).to_pylist())
    for name, values in found.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(few[name], values[:3], rtol=1e-5, atol=1e-6)
    assert model.predict(raw.slice(0, 0))["prediction"].shape == (0,)
    curve = (folder.with_name("model-run") / "curve.jsonl").read_text().splitlines()
    assert json.loads(curve[-1])["value"] < json.loads(curve[0])["value"]


def test_equal_rows_give_equal_bytes(room: Room, kind: str) -> None:
    one, two = room.train(kind, "one"), room.train(kind, "two")
    assert hash_files(one) == hash_files(two)
    assert hash_files(room.train(kind, "three", seed=1)) != hash_files(one)


def test_a_warm_start_begins_where_the_base_model_ended(room: Room, kind: str) -> None:
    base = room.train(kind, "base")
    warm = room.train(kind, "warm", base_model=Model(path=base), epochs=2)

    def first(name: str) -> float:
        lines = (room.folder / f"{name}-run" / "curve.jsonl").read_text().splitlines()
        return float(json.loads(lines[0])["value"])

    assert first("warm") < first("base")
    assert read_manifest(warm).details["epochs"] == 2


def test_settings_that_cannot_be_are_refused(room: Room, kind: str) -> None:
    with pytest.raises(DataError, match="epochs is 0"):
        room.train(kind, "a", epochs=0)
    with pytest.raises(DataError, match="no parameter 'lerning_rate'") as raised:
        room.train(kind, "b", hyperparameters={"lerning_rate": 0.1})
    assert "did you mean 'learning_rate'" in raised.value.hint
    with pytest.raises(PermanentError, match="diverged"):
        room.train(kind, "c", label="regression", learning_rate=1e30)


def small_network(width: int, outputs: int, size: int = 8) -> Any:
    """A user's own network for PyTorch."""
    import torch

    layers = torch.nn
    return layers.Sequential(layers.Linear(width, size), layers.Tanh(), layers.Linear(size, outputs))


def test_a_network_of_the_users_own_is_loaded_by_permission(room: Room) -> None:
    needs("torch")
    folder = room.train("torch", model_fn=small_network, hyperparameters={"size": 6})
    with pytest.raises(DataError, match="built by code that lies in the model's folder"):
        load_model(folder)
    found = load_model(folder, allow_code=True).predict(room.ground.raw)
    assert (found["prediction"] == np.array(room.ground.raw.column("binary"))).mean() > 0.7


def test_weights_of_another_network_are_refused(room: Room) -> None:
    needs("torch")
    folder = room.train("torch")
    manifest = read_manifest(folder)
    payload = {**manifest.payload, "architecture": {**manifest.payload["architecture"], "hidden": [17]}}
    write_manifest(folder, replace(manifest, payload=payload))
    with pytest.raises(DataError, match="do not fit the network"):
        load_model(folder)


def test_a_torch_dataset_gives_every_row_once_with_workers_too(room: Room) -> None:
    needs("torch")
    import torch

    made = room.ground.args("loader").torch_dataset(
        "train", ["size", "kind"], "binary", batch_rows=64, shuffle_seed=1
    )
    rows = [len(y) for x, y in torch.utils.data.DataLoader(made, batch_size=None)]
    assert sum(rows) == 400
    again = torch.cat([x for x, _ in torch.utils.data.DataLoader(made, batch_size=None)])
    assert again.shape == (400, 2)
    assert again.dtype == torch.float32
    assert sorted(again[:, 0].tolist()) == sorted(
        np.float32(room.ground.rows.to_arrow().column("size").to_numpy()).tolist()
    )


def test_an_archive_with_foreign_layers_is_refused_before_keras_sees_it(room: Room) -> None:
    needs("keras")
    folder = room.train("keras")
    path = folder / "model.keras"
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(files["config.json"])
    config["config"]["layers"][0]["module"] = "os"
    files["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    write_manifest(folder, replace(read_manifest(folder), files=hash_files(folder)))
    with pytest.raises(DataError, match="not Keras's own, of: os"):
        load_model(folder)
    assert canonical(path.read_bytes()) == canonical(canonical(path.read_bytes()))


def test_a_keras_model_saved_by_a_run_fn(room: Room) -> None:
    needs("keras")
    keras = import_keras()
    args = room.ground.args("own")
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(inputs))
    args.save_model(model, features=["size", "kind"], task="binary")
    finish(args.model_dir, room.ground.graph, "test", allow_pickle=False)
    assert load_model(args.model_dir).predict(room.ground.raw)["probability"].shape == (400,)
