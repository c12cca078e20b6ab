"""Pickles: loaded only where the pipeline opted in and the loader says so as well, for they run code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tidemill.errors import DataError
from tidemill.models.features import Features
from tidemill.models.flavors.base import Opened, Outputs, Saved
from tidemill.models.flavors.sklearn import SklearnPredictor

FILE = "model.pkl"


def save(folder: Path, model: Any) -> Saved:
    """Write any object with scikit-learn's `predict`. Trainer refuses it unless `allow_pickle=True`."""
    import pickle

    (folder / FILE).write_bytes(pickle.dumps(model, protocol=5))
    return Saved("pickle", type(model).__module__.partition(".")[0], {"file": FILE})


def load(opened: Opened) -> PicklePredictor:
    """The predictor of a pickled model; DataError unless the loader allows pickles."""
    if not opened.allow_pickle:
        raise DataError(
            "the model is a pickle: loading it runs whatever code is in it",
            where=str(opened.folder),
            hint="load_model(..., allow_pickle=True) if you trust everyone who could write that folder",
        )
    import pickle

    return PicklePredictor(pickle.loads(opened.read("file")), opened)


class PicklePredictor:
    """An unpickled model, asked as scikit-learn's are."""

    takes = "features"

    def __init__(self, model: Any, opened: Opened) -> None:
        self._asked = SklearnPredictor(model, opened)

    def predict(self, given: Features) -> Outputs:
        """Probabilities or numbers by name."""
        return self._asked.predict(given)
