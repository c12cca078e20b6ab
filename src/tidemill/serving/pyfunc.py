"""A model folder as a pyfunc of MLflow: what `loader_module` of the versions that Pusher registers names.

MLflow calls `_load_pyfunc`; nothing of the folder is imported or unpickled. It knows MLflow's convention
and not its client.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pyarrow as pa

from tidemill.models import LoadedModel, load_model


class PyfuncModel:
    """What MLflow wraps: raw rows as a pandas DataFrame in, outputs as a DataFrame."""

    def __init__(self, model: LoadedModel) -> None:
        self.model = model

    def predict(self, data: Any) -> Any:
        """One column per output, in row order; an output of k values per row is k columns, `name_0` on."""
        pandas = importlib.import_module("pandas")
        frame = data if hasattr(data, "columns") else pandas.DataFrame(data)
        outputs = self.model.predict(pa.Table.from_pandas(frame, preserve_index=False))
        columns = {}
        for name, values in outputs.items():
            if values.ndim == 1:
                columns[name] = values
            else:
                columns.update({f"{name}_{at}": values[:, at] for at in range(values.shape[1])})
        return pandas.DataFrame(columns, index=frame.index)


def _load_pyfunc(path: str) -> PyfuncModel:
    """MLflow's entry point; `path` is the copied model folder."""
    return PyfuncModel(load_model(Path(path)))
