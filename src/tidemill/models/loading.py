"""A model folder opened: its files checked, its graph and payload loaded, ready to be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tidemill.data.transform import FittedGraph
from tidemill.errors import DataError
from tidemill.models.features import Array, Features, arrays_of_lists, arrays_of_table, rows_of
from tidemill.models.files import verify_files
from tidemill.models.flavors import open_payload
from tidemill.models.flavors.base import Opened, Outputs, Predictor
from tidemill.models.manifest import ModelManifest, load_graph, read_manifest
from tidemill.models.signature import Signature


def load_model(
    folder: Path | str, *, allow_pickle: bool = False, allow_code: bool = False, use_onnx: bool = False
) -> LoadedModel:
    """Open a model folder.

    The sha256 of every file is checked before any is read. allow_pickle: load a pickle, if the model is
    one. allow_code: run the prediction code that the model carries. Both run code of whoever could write
    the folder, so neither is ever taken from the model itself. use_onnx: ask the ONNX form that a trainer
    kept beside the library's own, with onnxruntime alone.
    Errors: DataError for a damaged or changed folder, a missing library, a model without a flavor.
    """
    path = Path(folder)
    manifest = read_manifest(path)
    verify_files(path, manifest.files)
    graph = load_graph(path) if manifest.transform_graph else None
    opened = Opened(path, manifest, allow_pickle, allow_code)
    predictor = open_payload(_onnx_form(opened) if use_onnx else opened)
    return LoadedModel(path, manifest, graph, predictor)


class LoadedModel:
    """A model ready to be asked. Get one from `load_model`."""

    def __init__(
        self, folder: Path, manifest: ModelManifest, graph: FittedGraph | None, predictor: Predictor
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.graph = graph
        """Its own transform graph; None when it takes rows as they are."""
        self.predictor: Any = predictor
        """The library's own model is an attribute of it: `booster`, `estimator`, `session`, `module`."""
        made = graph.graph.outputs if graph else {}
        self._made = [field.name for field in manifest.features if field.name in made]

    @property
    def signature(self) -> Signature:
        """What `predict` wants of a row, and the outputs it gives."""
        return self.manifest.signature

    def predict(self, table: pa.Table) -> Outputs:
        """Named outputs for raw rows, in row order: arrays of shape (rows,) or (rows, classes).

        Only columns of `signature.inputs` are looked at; DataError for a missing one or a wrong type.
        """
        if self.predictor.takes == "raw":
            return self._asked(table)
        return self._ask_table(self.features(table))

    def predict_rows(self, rows: Sequence[Mapping[str, Any]]) -> Outputs:
        """The same for a few rows as plain values, None for null: the short way, without polars."""
        if self.predictor.takes == "raw":
            return self._asked(pa.Table.from_pylist([dict(row) for row in rows]))
        columns: dict[str, Sequence[Any]] = {}
        if self.graph is not None and self._made:
            columns.update(self.graph.transform_rows(rows, self._made))
        for field in self.manifest.features:
            if field.name not in columns and (not rows or any(field.name in row for row in rows)):
                columns[field.name] = [row.get(field.name) for row in rows]
        return self._ask(arrays_of_lists(columns, self.manifest.features))

    def predict_features(self, features: pa.Table | Features) -> Outputs:
        """The same for features that are made already: a table, or numpy arrays by name."""
        if self.predictor.takes == "raw":
            raise DataError(
                "the model's code takes raw rows, not features", hint="use predict, or save it so"
            )
        return self._ask_table(features) if isinstance(features, pa.Table) else self._ask(features)

    def features(self, table: pa.Table) -> pa.Table:
        """The features of raw rows, as the model is fed them."""
        if self.graph is None or not self._made:
            return table
        made = self.graph.transform(table, self._made)
        for field in self.manifest.features:
            if field.name not in self._made and field.name in table.column_names:
                made = made.append_column(field.name, table.column(field.name))
        return made

    def _ask_table(self, table: pa.Table) -> Outputs:
        if self.predictor.takes != "raw" and not self.manifest.features:
            return self._ask({name: _plain(table.column(name)) for name in table.column_names})
        return self._ask(arrays_of_table(table, self.manifest.features))

    def _ask(self, features: Features) -> Outputs:
        outputs = self.manifest.signature.outputs
        if outputs and features and not rows_of(features):  # most libraries refuse zero rows
            return {field.name: np.zeros((0, *field.shape), _EMPTY.get(field.type)) for field in outputs}
        return self._asked(features)

    def _asked(self, given: Any) -> Outputs:
        found: Outputs = self.predictor.predict(given)
        return found


def _onnx_form(opened: Opened) -> Opened:
    """The same folder, with the ONNX form as its payload; DataError when there is none."""
    manifest = opened.manifest
    if manifest.flavor == "onnx":
        return opened
    if "onnx" not in manifest.payload:
        raise DataError(
            "the model has no ONNX form",
            where=str(opened.folder),
            hint="train it with onnx=True; details.onnx of model.json says why when that was not enough",
        )
    return replace(
        opened, manifest=replace(manifest, flavor="onnx", payload={"file": manifest.payload["onnx"]})
    )


_EMPTY: dict[str, Any] = {"int": np.int64, "bool": np.bool_, "string": object}


def _plain(column: Any) -> Array:
    """A column of a model that never said what it is fed, as numpy has it."""
    found: Array = column.to_numpy()
    return found
