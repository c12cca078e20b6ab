"""XGBoost: universal binary JSON, which holds numbers and no code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tidemill.models.features import Features, matrix
from tidemill.models.flavors.base import Opened, Outputs, Saved, library, name_outputs

FILE = "model.ubj"


def save(folder: Path, booster: Any) -> Saved:
    """Write an `xgboost.Booster`."""
    (folder / FILE).write_bytes(bytes(booster.save_raw("ubj")))
    return Saved("xgboost", "xgboost", {"file": FILE})


def load(opened: Opened) -> XGBoostPredictor:
    """The predictor of a saved booster."""
    xgboost = library("xgboost", "xgboost")
    booster = xgboost.Booster()
    booster.load_model(bytearray(opened.read("file")))
    return XGBoostPredictor(booster, opened)


class XGBoostPredictor:
    """A booster and the names of its features. XGBoost computes in 32 bits."""

    takes = "features"

    def __init__(self, booster: Any, opened: Opened) -> None:
        self.booster = booster
        self._manifest = opened.manifest

    def predict(self, given: Features) -> Outputs:
        """Probabilities or numbers by name."""
        rows = matrix(given, self._manifest.features, np.float32)
        found = self.booster.inplace_predict(rows, validate_features=False)
        return name_outputs(found, self._manifest.task, self._manifest.classes)
