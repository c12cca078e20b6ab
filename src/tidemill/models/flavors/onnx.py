"""ONNX: a graph of operators for onnxruntime; no code in it.

The graph takes one float matrix of features, or one input per feature name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tidemill.errors import DataError
from tidemill.models.features import Features, matrix
from tidemill.models.flavors.base import Opened, Outputs, Saved, library, name_outputs

FILE = "model.onnx"
_DTYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}


def save(folder: Path, model: Any, *, file: str = FILE) -> Saved:
    """Write an `onnx.ModelProto`, or its bytes."""
    data = model if isinstance(model, bytes) else model.SerializeToString(deterministic=True)
    (folder / file).write_bytes(data)
    return Saved("onnx", "onnx", {"file": file})


def load(opened: Opened) -> OnnxPredictor:
    """The predictor of a saved graph."""
    return OnnxPredictor(session(opened.read("file")), opened)


def session(data: bytes) -> Any:
    """An onnxruntime session on the processor; DataError when the bytes are no ONNX graph."""
    runtime = library("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    try:
        return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's classes have no common base of their own
        raise DataError(f"the file is no ONNX graph that onnxruntime takes: {error}") from None


class OnnxPredictor:
    """A session, fed with a matrix where it has one input for several features, else by name."""

    takes = "features"

    def __init__(self, session: Any, opened: Opened) -> None:
        self.session = session
        self._manifest = opened.manifest

    def predict(self, given: Features) -> Outputs:
        """Probabilities or numbers by name; outputs under the graph's names when the task is not known."""
        inputs = self.session.get_inputs()
        fields = self._manifest.features
        if len(inputs) == 1 and (len(fields) != 1 or inputs[0].name != fields[0].name):
            dtype = _DTYPES.get(inputs[0].type, np.float32)
            feed = {inputs[0].name: matrix(given, fields, dtype)}
        else:
            feed = {item.name: _column(given, item) for item in inputs}
        names = [item.name for item in self.session.get_outputs()]
        found = dict(zip(names, self.session.run(None, feed), strict=True))
        if not self._manifest.task:
            return {name: np.asarray(value) for name, value in found.items()}
        return name_outputs(
            best_output(list(found.values()), self._manifest.task), self._manifest.task,
            self._manifest.classes,
        )  # fmt: skip


def best_output(found: list[Any], task: str) -> Any:
    """Of what converters give, a label and its probabilities, the part that `name_outputs` takes."""
    return np.asarray(found[0] if task == "regression" or len(found) == 1 else found[1])


def _column(given: Features, item: Any) -> Any:
    if item.name not in given:
        raise DataError(f"the ONNX graph takes {item.name!r}, which is no feature of the model")
    values = np.asarray(given[item.name])
    if item.type in _DTYPES:
        values = values.astype(_DTYPES[item.type], copy=False)
    return values.reshape(len(values), -1) if len(item.shape) == 2 else values
