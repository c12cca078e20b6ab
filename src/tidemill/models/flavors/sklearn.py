"""scikit-learn: skops' archive, read with a list of types that stands here and never in the model.

What skops itself trusts by default are types of numpy, scipy and scikit-learn that run no code of the
file. `TRUSTED` adds what trees, neighbours and networks need; each was looked at: they hold numbers.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

from tidemill.errors import DataError
from tidemill.models.features import Features, matrix
from tidemill.models.flavors.base import Opened, Outputs, Saved, library, name_outputs

FILE = "model.skops"

TRUSTED = frozenset(
    {
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.metrics._dist_metrics.ManhattanDistance64",
        "sklearn.metrics._dist_metrics.MinkowskiDistance64",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
    }
)
"""Types beyond skops' own list that a model may be made of."""

_STORED = re.compile(r"^\d+(\.\w+)$")


def save(folder: Path, estimator: Any) -> Saved:
    """Write a fitted estimator; DataError when it holds types that would not be loaded again."""
    skops = library("skops.io", "sklearn")
    data = canonical(skops.dumps(estimator))
    _check(skops, data, "the estimator")
    (folder / FILE).write_bytes(data)
    return Saved("sklearn", "scikit-learn", {"file": FILE})


def load(opened: Opened) -> SklearnPredictor:
    """The predictor of a saved estimator; DataError when it holds a type that is not on our list."""
    skops = library("skops.io", "sklearn")
    data = opened.read("file")
    found = _check(skops, data, "the model")
    return SklearnPredictor(skops.loads(data, trusted=found), opened)


class SklearnPredictor:
    """An estimator and the names of its features."""

    takes = "features"

    def __init__(self, estimator: Any, opened: Opened) -> None:
        self.estimator = estimator
        self._manifest = opened.manifest

    def predict(self, given: Features) -> Outputs:
        """Probabilities or numbers by name. An estimator without probabilities gives 0 and 1."""
        manifest = self._manifest
        rows = matrix(given, manifest.features)
        return name_outputs(ask(self.estimator, rows, manifest.task), manifest.task, manifest.classes)


def ask(estimator: Any, rows: Any, task: str) -> Any:
    """What the estimator says of a matrix: numbers, or a column of probabilities per class.

    An estimator that knows no probabilities puts 1 on the class it chooses.
    """
    if task == "regression" or not task:
        return estimator.predict(rows)
    if hasattr(estimator, "predict_proba"):
        return estimator.predict_proba(rows)
    chosen = estimator.predict(rows)
    return (chosen[:, None] == estimator.classes_[None, :]).astype(float)


def canonical(data: bytes) -> bytes:
    """The same archive, the same for the same estimator.

    skops names objects by their addresses in memory and stamps its files with the time. Here objects are
    numbered in the order in which the schema mentions them, and the time is the oldest that ZIP knows.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read("schema.json"))
        numbers: dict[int, int] = {}
        names: dict[str, str] = {}
        _renumber(schema, numbers, names)
        files = {names.get(name, name): archive.read(name) for name in archive.namelist()}
    files["schema.json"] = json.dumps(schema, indent=1).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(_entry(name), files[name])
    return out.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _renumber(value: Any, numbers: dict[int, int], names: dict[str, str]) -> None:
    """Replace `__id__` and names of stored arrays in place, in document order."""
    if isinstance(value, list):
        for item in value:
            _renumber(item, numbers, names)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "__id__":
                value[key] = numbers.setdefault(item, len(numbers) + 1)
            elif key == "file" and isinstance(item, str) and (match := _STORED.match(item)):
                value[key] = names.setdefault(item, f"{len(names) + 1}{match[1]}")
            else:
                _renumber(item, numbers, names)


def _check(skops: Any, data: bytes, what: str) -> list[str]:
    """The types to trust in this archive; DataError when one is not on the list, or it is damaged."""
    try:
        found = sorted(skops.get_untrusted_types(data=data))
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{what} is no archive of skops: {error!r}") from None
    strange = [name for name in found if name not in TRUSTED]
    if strange:
        raise DataError(
            f"{what} holds types that are not trusted: {', '.join(strange)}",
            hint="use estimators of scikit-learn, or save numbers and predict with code (args.save_code)",
        )
    return found
