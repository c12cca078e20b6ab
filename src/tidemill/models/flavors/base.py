"""What all flavors share: the opened folder, the predictor's protocol, and the names of outputs."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from tidemill.errors import DataError
from tidemill.models.features import Array
from tidemill.models.manifest import ModelManifest
from tidemill.models.signature import Field

Outputs = dict[str, Array]
"""One array per output: shape (rows,), or (rows, classes)."""
FEW_ROWS = 1000
"""Up to here one thread answers sooner than several."""


class Predictor(Protocol):
    """A loaded payload. `takes` says what `predict` is given: "features" as arrays, or "raw" rows."""

    takes: str

    def predict(self, given: Any) -> Outputs:
        """Named outputs for all rows given."""
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    """A model folder whose files have been checked, and what its loader permits."""

    folder: Path
    manifest: ModelManifest
    allow_pickle: bool = False
    allow_code: bool = False

    def path(self, key: str) -> Path:
        """Path of the payload's file under `key`; DataError for one that no hash covers."""
        name = self.manifest.payload.get(key)
        if not isinstance(name, str) or name not in self.manifest.files:
            raise DataError(
                f"the manifest's payload names no file of the model under {key!r}", where=str(self.folder)
            )
        return self.folder / name

    def read(self, key: str) -> bytes:
        """Bytes of that file."""
        return self.bytes_of(self.path(key).relative_to(self.folder).as_posix())

    def bytes_of(self, name: str) -> bytes:
        """Bytes of a file, checked once more: what is loaded is what was hashed, whoever writes meanwhile.

        A manifest without hashes (of a model that is just being made) is not checked.
        """
        data = (self.folder / name).read_bytes()
        expected = self.manifest.files[name]
        if expected and hashlib.sha256(data).hexdigest() != expected:
            raise DataError(f"the model's file {name!r} changed while it was loaded", where=str(self.folder))
        return data


@dataclass(frozen=True, slots=True)
class Saved:
    """What a flavor's `save` has written, for the manifest."""

    flavor: str
    framework: str
    payload: Mapping[str, Any] = field(default_factory=dict)


def library(name: str, extra: str) -> ModuleType:
    """Import a library; DataError that names the extra when it is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != name.partition(".")[0]:
            raise
        raise DataError(
            f"the library {name} is not installed", hint=f"pip install 'tidemill[{extra}]'"
        ) from None


def output_fields(task: str, classes: Sequence[Any]) -> tuple[Field, ...]:
    """Outputs of a task: binary has `probability` (of the second class), multiclass has `probabilities`
    (of all), and every task has `prediction`: a class, or a number."""
    if task == "regression" or not task:
        return (Field("prediction", "float"),)
    kind = _type_of_classes(classes)
    if task == "binary":
        return (Field("probability", "float"), Field("prediction", kind))
    return (Field("probabilities", "float", (len(classes),)), Field("prediction", kind))


def name_outputs(found: Array, task: str, classes: Sequence[Any]) -> Outputs:
    """What a library gives, under the names of `output_fields`.

    found: shape (rows,) of a regression or of probabilities of the second class; (rows, classes) else.
    """
    found = np.asarray(found)
    if task == "regression" or not task:
        return {"prediction": found.reshape(len(found), -1)[:, 0].astype(np.float64)}
    values = class_array(classes)
    if task == "binary":
        probability = found[:, 1] if found.ndim == 2 and found.shape[1] == 2 else found.reshape(len(found))
        probability = probability.astype(np.float64)
        return {"probability": probability, "prediction": values[(probability >= 0.5).astype(np.int64)]}
    probabilities = found.astype(np.float64)
    best = probabilities.argmax(axis=1) if len(probabilities) else np.zeros(0, np.int64)
    return {"probabilities": probabilities, "prediction": values[best]}


def class_array(classes: Sequence[Any]) -> Array:
    """The classes as an array; texts as objects, so that they come out as `str`."""
    if any(isinstance(item, str) for item in classes):
        texts = np.empty(len(classes), dtype=object)
        texts[:] = list(classes)
        return texts
    return np.array(list(classes))


def _type_of_classes(classes: Sequence[Any]) -> str:
    for kind, name in ((bool, "bool"), (int, "int"), (float, "float")):
        if all(isinstance(item, kind) for item in classes):
            return name
    return "string"
