"""Rows of Examples as numbers: labels, predictions of every model, weights, queries, and keys of slices.

Batches are read one at a time, and twice where there are slices: first the key columns alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidemill.data.dataset import Dataset
from tidemill.data.evaluation import Task
from tidemill.data.hashing import hash_column
from tidemill.data.metrics import Batch, whole
from tidemill.errors import DataError, did_you_mean
from tidemill.models.loading import load_model
from tidemill.models.manifest import load_graph

if TYPE_CHECKING:
    from tidemill.data.slices import Slices

Floats = NDArray[np.float64]
PredictFn = Callable[[Path, pa.Table], Any]


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns that rows are judged by."""

    label: str
    weight: str = ""
    query: str = ""
    keys: tuple[str, ...] = ()

    @property
    def all(self) -> list[str]:
        """Each once."""
        return list(dict.fromkeys(name for name in (self.label, self.weight, self.query, *self.keys) if name))


class Rows:
    """The rows of a dataset with a label. Columns that the model's transform graph makes count as well."""

    def __init__(self, dataset: Dataset, model: Path, columns: Columns) -> None:
        self.dataset, self.columns = dataset, columns
        self.graph = load_graph(model)
        self.without_label = 0
        known = dataset.columns
        self.derived = [name for name in columns.all if name not in known]
        made = list(self.graph.graph.outputs) if self.graph else []
        for name in self.derived:
            if name not in made:
                raise DataError(
                    f"neither the examples nor the model's transform graph has a column {name!r}",
                    hint=did_you_mean(name, [*known, *made]),
                )

    def key_tables(self) -> Iterator[pa.Table]:
        """The key columns of the rows with a label."""
        wanted = list(dict.fromkeys([self.columns.label, *self.columns.keys]))
        # Without derived columns nothing else needs to be read.
        for batch in self.dataset.iter_batches(None if self.derived else wanted):
            known = self._with_derived(batch, wanted).select(wanted)
            present = known.column(self.columns.label).is_valid()
            yield known.filter(present).select(list(self.columns.keys))

    def batches(self, asked: Sequence[str] = ()) -> Iterator[tuple[pa.Table, pa.Table]]:
        """Raw rows with a label, and the columns that they are judged by.

        `asked`: all that models look at, where that is known; other columns are not read then.
        """
        self.without_label = 0
        wanted = list(dict.fromkeys([*asked, *self.columns.all]))
        whole = not asked or self.derived or not set(wanted) <= set(self.dataset.columns)
        for batch in self.dataset.iter_batches(None if whole else wanted):
            known = self._with_derived(batch, self.columns.all).select(self.columns.all)
            present = known.column(self.columns.label).is_valid()
            valid = batch.num_rows - known.column(self.columns.label).null_count
            if valid < batch.num_rows:
                self.without_label += batch.num_rows - valid
                batch, known = batch.filter(present), known.filter(present)
            if batch.num_rows:
                yield batch, known

    def _with_derived(self, batch: pa.Table, wanted: Sequence[str]) -> pa.Table:
        derived = [name for name in self.derived if name in wanted]
        if derived and self.graph is not None:
            made = self.graph.transform(batch, derived)
            for name in derived:
                batch = batch.append_column(name, made.column(name))
        return batch


# --- labels and the like --------------------------------------------------------------------------


def labels_of(column: Any, name: str, classes: Sequence[Any]) -> Floats:
    """Labels as numbers; with `classes`, each one's place among them. DataError for what is neither."""
    if classes:
        return _places(column, name, classes)
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise DataError(
            f"the label {name!r} is {kind}, not a number",
            hint="name its values with classes=[...], or compute a numeric label in preprocessing_fn",
        )
    found = np.asarray(column.cast(pa.float64()), dtype=np.float64)
    if not np.isfinite(found).all():
        raise DataError(f"a label in {name!r} is NaN or infinite")
    return found


def _places(column: Any, name: str, classes: Sequence[Any]) -> Floats:
    numeric = all(isinstance(item, (int, float)) for item in classes)
    places = {float(c) if numeric else str(c): at for at, c in enumerate(classes)}
    encoded: Any = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    known = []
    for value in encoded.dictionary.to_pylist():
        key = float(value) if numeric and isinstance(value, (int, float)) else str(value)
        if key not in places:
            shown = [str(item) for item in classes]
            raise DataError(
                f"a label in {name!r} is {value!r}, which is none of the classes {', '.join(shown[:20])}",
                hint=did_you_mean(str(value), shown),
            )
        known.append(places[key])
    found: Floats = np.array(known, dtype=np.float64)[np.asarray(encoded.indices)]
    return found


def _weights_of(column: Any, name: str) -> Floats:
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise DataError(f"the weight {name!r} is {kind}, not a number")
    if column.null_count:
        raise DataError(f"{column.null_count} rows have no weight in {name!r}")
    found = np.asarray(column.cast(pa.float64()), dtype=np.float64)
    if not np.isfinite(found).all() or (found < 0).any():
        raise DataError(
            f"a weight in {name!r} is negative, NaN or infinite", hint="weights are numbers from 0"
        )
    return found


# --- predictions ----------------------------------------------------------------------------------


class Predictor:
    """One model, asked through `predict_fn` or as the model folder says itself."""

    def __init__(
        self,
        folder: Path,
        predict_fn: PredictFn | None,
        *,
        allow_pickle: bool = False,
        allow_code: bool = False,
    ) -> None:
        self.folder, self.predict_fn = folder, predict_fn
        self.model = (
            None
            if predict_fn is not None
            else load_model(folder, allow_pickle=allow_pickle, allow_code=allow_code)
        )

    @property
    def looks_at(self) -> list[str]:
        """The columns that the model says it needs of a row; empty when it does not say."""
        return [] if self.model is None else self.model.signature.input_names

    def check_classes(self, classes: Sequence[Any]) -> None:
        """DataError when the model puts its probabilities in another order than `classes`."""
        own = self.model.manifest.classes if self.model is not None else ()
        if own and classes and [str(item) for item in own] != [str(item) for item in classes]:
            raise DataError(
                f"the model has the classes {', '.join(map(str, own))}, and others are to be judged:"
                f" {', '.join(map(str, classes))}",
                where=str(self.folder),
                hint="models are compared on the same classes in the same order; a predict_fn can sort them",
            )

    def predict(self, rows: pa.Table, task: Task) -> Floats:
        """One float per row, or per row and class. DataError when the model gives anything else."""
        if self.predict_fn is not None:
            return checked(self.predict_fn(self.folder, rows), rows.num_rows, task, "predict_fn")
        assert self.model is not None
        outputs = self.model.predict(rows)
        wanted = {"classification": ["probability"], "multiclass": ["probabilities"]}.get(task, [])
        name = next((name for name in [*wanted, "score", "prediction"] if name in outputs), "")
        if not name:
            if len(outputs) != 1:
                raise DataError(
                    f"the model gives {', '.join(sorted(outputs))}: which of these is to be judged?",
                    where=str(self.folder),
                    hint="choose one in predict_fn",
                )
            name = next(iter(outputs))
        found = outputs[name]
        if task == "multiclass" and name == "prediction":
            places = {item: at for at, item in enumerate(self.model.manifest.classes)}
            found = np.array([places.get(item, -1) for item in found.tolist()], np.float64)
        return checked(found, rows.num_rows, task, f"the model's output {name!r}")


def checked(given: Any, count: int, task: Task, who: str) -> Floats:
    """Predictions as floats of the right shape and range; NaN passes, and is told where it is counted."""
    found = np.asarray(given)
    if found.shape == (count, 1):
        found = found[:, 0]
    fits = found.shape == (count,) or (task == "multiclass" and found.ndim == 2 and len(found) == count)
    if not fits or found.dtype.kind not in "fiub":
        wanted = "(rows,) or (rows, classes)" if task == "multiclass" else "(rows,)"
        raise DataError(
            f"{who} returned {found.dtype} of shape {found.shape} for {count} rows",
            hint=f"return one number per row: a numpy array of shape {wanted}",
        )
    found = found.astype(np.float64)
    if task == "classification" or found.ndim == 2:
        outside = found[(found < 0) | (found > 1)]
        if outside.size:
            raise DataError(
                f"predictions of a classification must be probabilities, found {outside[0]}",
                hint="predict_fn must return the probability of label 1 for each row",
            )
    return found


def read_batches(
    rows: Rows, predictors: Sequence[Predictor], task: Task, classes: Sequence[Any], slices: Slices | None
) -> Iterator[Batch]:
    """Every row with a label, predicted by every model, with its slices."""
    columns, first = rows.columns, 0
    each = [predictor.looks_at for predictor in predictors]
    asked = [name for names in each for name in names] if all(each) else []
    for raw, known in rows.batches(asked):
        labels = labels_of(known.column(columns.label), columns.label, classes)
        predictions = tuple(predictor.predict(raw, task) for predictor in predictors)
        _check_labels(labels, predictions, task, columns.label)
        yield Batch(
            labels=labels,
            predictions=predictions,
            slicings=slices.slicings(known.select(list(columns.keys))) if slices else (whole(len(labels)),),
            weights=_weights_of(known.column(columns.weight), columns.weight) if columns.weight else None,
            rows=np.arange(first, first + len(labels), dtype=np.uint64),
            queries=hash_column(known.column(columns.query)) if columns.query else None,
        )
        first += len(labels)


def _check_labels(labels: Floats, predictions: Sequence[Floats], task: Task, name: str) -> None:
    """DataError for labels that the task's metrics are not defined for."""
    if task == "classification" and (strange := np.setdiff1d(labels, [0.0, 1.0]).tolist()):
        raise DataError(
            f"labels of a classification must be 0 and 1, found {strange[0]:g} in {name!r}",
            hint='name its values with classes=[no, yes]; for numbers use task="regression"',
        )
    if task == "ranking" and (labels < 0).any():
        raise DataError(f"a relevance in {name!r} is negative", hint="0 means not relevant")
    if task != "multiclass":
        return
    most = min((p.shape[1] for p in predictions if p.ndim == 2), default=np.inf)
    strange = labels[(labels < 0) | (labels != np.floor(labels)) | (labels >= most)].tolist()
    if strange:
        raise DataError(
            f"a label in {name!r} is {strange[0]:g}, and the model knows classes 0 to {most - 1:g}",
            hint="name the classes in the order of the model's probabilities with classes=[...]",
        )
