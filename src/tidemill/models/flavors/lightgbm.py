"""LightGBM: its own text format, which holds numbers and no code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tidemill.models.features import Features, matrix
from tidemill.models.flavors.bare import import_bare
from tidemill.models.flavors.base import FEW_ROWS, Opened, Outputs, Saved, name_outputs

FILE = "model.txt"


def save(folder: Path, booster: Any, *, best_iteration: int = 0) -> Saved:
    """Write a `lightgbm.Booster`, up to `best_iteration` (0: all of it)."""
    text = booster.model_to_string(num_iteration=best_iteration or -1)
    (folder / FILE).write_text(text, encoding="utf-8")
    return Saved("lightgbm", "lightgbm", {"file": FILE})


def load(opened: Opened) -> LightGBMPredictor:
    """The predictor of a saved booster."""
    lightgbm = import_bare("lightgbm", "lightgbm")
    text = opened.read("file").decode()
    return LightGBMPredictor(lightgbm.Booster(model_str=text), opened)


class LightGBMPredictor:
    """A booster and the names of its features."""

    takes = "features"

    def __init__(self, booster: Any, opened: Opened) -> None:
        self.booster = booster
        self._manifest = opened.manifest

    def predict(self, given: Features) -> Outputs:
        """Probabilities or numbers by name."""
        rows = matrix(given, self._manifest.features)
        threads = {"num_threads": 1} if len(rows) <= FEW_ROWS else {}
        found = self.booster.predict(rows, validate_features=False, **threads)
        return name_outputs(found, self._manifest.task, self._manifest.classes)
