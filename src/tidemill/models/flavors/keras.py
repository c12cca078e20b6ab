"""Keras: the `.keras` archive, loaded in safe mode and only when all its layers are Keras's own.

A layer of another module would be imported to be built, so such an archive is refused before Keras sees it.
The network gives probabilities (sigmoid or softmax at its end), or numbers.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tidemill.errors import DataError
from tidemill.models.features import Features, matrix
from tidemill.models.flavors.base import Opened, Outputs, Saved, library, name_outputs

FILE = "model.keras"
CHUNK = 65_536
OURS = ("keras", "builtins")
"""Top-level modules that the layers and functions of an archive may come from."""


def import_keras() -> ModuleType:
    """Keras, on the backend that KERAS_BACKEND names, else on one that is installed."""
    if "KERAS_BACKEND" not in os.environ:
        known = ("tensorflow", "jax", "torch")
        installed = [name for name in known if importlib.util.find_spec(name) is not None]
        if installed:
            os.environ["KERAS_BACKEND"] = installed[0]
    return library("keras", "keras")


def save(folder: Path, model: Any) -> Saved:
    """Write a `keras.Model`; DataError when it has layers that would not be loaded again."""
    path = folder / FILE
    model.save(path)
    path.write_bytes(canonical(path.read_bytes()))
    _check(path.read_bytes(), "the network")
    return Saved("keras", "keras", {"file": FILE})


def load(opened: Opened) -> KerasPredictor:
    """The predictor of a saved network."""
    path = opened.path("file")
    _check(path.read_bytes(), "the model")
    keras = import_keras()
    return KerasPredictor(keras.saving.load_model(path, compile=False, safe_mode=True), opened)


class KerasPredictor:
    """A network that gives probabilities or numbers for a float32 matrix."""

    takes = "features"

    def __init__(self, model: Any, opened: Opened) -> None:
        self.model = model
        self._manifest = opened.manifest

    def predict(self, given: Features) -> Outputs:
        """Probabilities or numbers by name."""
        manifest = self._manifest
        rows = matrix(given, manifest.features, np.float32)
        keras = import_keras()
        parts = [
            np.asarray(keras.ops.convert_to_numpy(self.model(rows[at : at + CHUNK], training=False)))
            for at in range(0, len(rows), CHUNK)
        ]
        return name_outputs(np.concatenate(parts), manifest.task, manifest.classes)


def canonical(data: bytes) -> bytes:
    """The same archive without the time it was saved at."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(files.get("metadata.json", b"{}"))
    metadata.pop("date_saved", None)
    files["metadata.json"] = json.dumps(metadata, sort_keys=True).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), files[name])
    return out.getvalue()


def _check(data: bytes, what: str) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            config = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise DataError(f"{what} is no archive of Keras: {error!r}") from None
    strange = sorted({name for name in _modules(config) if name.partition(".")[0] not in OURS})
    if strange:
        raise DataError(
            f"{what} has layers that are not Keras's own, of: {', '.join(strange)}",
            hint="build it of keras.layers, or keep the numbers and predict with code (args.save_code)",
        )


def _modules(value: Any) -> Iterator[str]:
    """Every module that the configuration would import something from."""
    if isinstance(value, list):
        for item in value:
            yield from _modules(item)
    elif isinstance(value, dict):
        module = value.get("module")
        if isinstance(module, str):
            yield module
        elif "class_name" in value and value.get("registered_name"):
            yield str(value["registered_name"]).partition(">")[0]
        for item in value.values():
            yield from _modules(item)
