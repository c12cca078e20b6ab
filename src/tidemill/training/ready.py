"""The ready trainers, one call: columns and settings in, a finished model folder out.

What is particular to a library is in the module of its name; here is what they share.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from tidemill.data.transform import FittedGraph
from tidemill.errors import DataError, did_you_mean
from tidemill.models import LoadedModel, load_model
from tidemill.models.flavors.base import Saved
from tidemill.training.conversion import keep_onnx
from tidemill.training.fn_args import FnArgs
from tidemill.training.rows import Rows, Wanted, prepare
from tidemill.training.saving import Described, write

S = TypeVar("S")

HISTORY = "history.json"


@dataclass(frozen=True, slots=True)
class Trained:
    """What a library's `fit` gives back: the saved payload, and what is worth knowing."""

    saved: Saved
    details: Mapping[str, Any] = field(default_factory=dict)
    history: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    """Measured values by split and metric, one per step."""
    convert: Callable[[], Any] | None = None
    """Gives the same model as ONNX; None when there is no way."""


@dataclass(frozen=True, slots=True)
class Library(Generic[S]):
    """A ready trainer: its settings' class, its element type, and `fit(args, rows, settings, params)`."""

    name: str
    settings: type[S]
    fit: Callable[[FnArgs, Rows, S, dict[str, Any]], Trained]
    dtype: Any = np.float64


def train(
    library: Library[Any], args: FnArgs, wanted: Wanted, given: Mapping[str, Any], *, onnx: bool
) -> None:
    """Train and save; the folder is finished by the caller.

    given: values of the settings. A hyperparameter with the name of a setting takes its place; the others
    go to the library as they are.
    """
    names = [f.name for f in dataclasses.fields(library.settings)]
    params = dict(args.hyperparameters)
    own = {name: params.pop(name) for name in names if name in params}
    for name, value in own.items():
        _check_kind(library, name, value)
    settings = library.settings(**{**given, **own})
    rows = prepare(args.train, args.eval, args.transform_graph, wanted, library.dtype)
    print(
        f"{library.name}: {rows.task} of {rows.label!r} by {len(rows.columns)} columns; "
        f"{len(rows.train)} rows to train, {len(rows.eval) if rows.eval else 0} to evaluate"
    )
    trained = library.fit(args, rows, settings, params)
    details = {"rows": len(rows.train), **trained.details}
    if onnx:
        kept = keep_onnx(args.model_dir, rows, trained.saved, trained.convert)
        details["onnx"] = kept.details
        trained = dataclasses.replace(trained, saved=kept.saved)
    _write_history(args, trained)
    described = Described(
        features=tuple(f.name for f in rows.fields),
        task=rows.task,
        label=rows.label,
        classes=rows.classes,
        details=details,
    )
    write(args.model_dir, trained.saved, rows.fields, described)


def check_names(given: Mapping[str, Any], known: Sequence[str], what: str) -> None:
    """DataError, with a suggestion, for a hyperparameter that `what` does not have."""
    for name in given:
        if name not in known:
            raise DataError(f"{what} has no parameter {name!r}", hint=did_you_mean(name, known))


def base_model(args: FnArgs, rows: Rows, flavor: str) -> LoadedModel | None:
    """The model to start from; DataError when it is of another kind than what is trained."""
    if args.base_model_dir is None:
        return None
    base = load_model(args.base_model_dir)
    manifest = base.manifest
    for what, theirs, ours in (
        ("flavor", manifest.flavor, flavor),
        ("task", manifest.task, rows.task),
        ("classes", manifest.classes, rows.classes),
        ("features", [f.name for f in manifest.features], [f.name for f in rows.fields]),
    ):
        if theirs != ours:
            raise DataError(
                f"training cannot start from the base model: its {what} are {theirs}, not {ours}",
                hint="train without base_model, or with the features and label of that model",
            )
    print(f"starting from {args.base_model_dir.name or 'the base model'}")
    return base


def vocabularies(graph: FittedGraph | None, rows: Rows) -> dict[int, int]:
    """Columns of the matrix that are places in a vocabulary -> how many places there are."""
    found: dict[int, int] = {}
    if graph is None:
        return found
    for position, name in enumerate(rows.columns):
        if name not in graph.graph.outputs:
            continue
        try:
            terms = graph.vocabulary(name)
        except DataError:
            continue  # it is made in another way
        node = graph.graph.node(graph.graph.outputs[name])
        # The second name is that of graphs of version 1.
        buckets = node.params.get("oov_buckets", node.params.get("num_oov_buckets", 0))
        size = len(terms) + int(buckets)
        # Whatever numbers it gives to what is in no vocabulary, there is a place for each that was seen.
        seen = [p.x[:, position][np.isfinite(p.x[:, position])] for p in (rows.train, rows.eval) if p]
        found[position] = max([size, 1, *(int(part.max()) + 1 for part in seen if len(part))])
    return found


def chosen_categories(
    categorical: Sequence[str] | None, graph: FittedGraph | None, rows: Rows
) -> dict[int, int]:
    """Categorical columns -> how many categories: those named, else those made by a vocabulary."""
    known = vocabularies(graph, rows)
    if categorical is None:
        return known
    found = {}
    for name in categorical:
        if name not in rows.columns:
            raise DataError(f"categorical= names {name!r}, no feature", hint=did_you_mean(name, rows.columns))
        position = rows.columns.index(name)
        values = rows.train.x[:, position]
        if np.nanmin(values) < 0 or (values[~np.isnan(values)] % 1).any():
            raise DataError(
                f"the categorical feature {name!r} must be numbers of categories: 0, 1, 2, ...",
                hint="make them with compute_and_apply_vocabulary in preprocessing_fn",
            )
        found[position] = known.get(position, int(np.nanmax(values)) + 1)
    return found


def importance(rows: Rows, values: Sequence[float]) -> dict[str, float]:
    """Values by column name, the largest first, equal ones by name."""
    pairs = [(name, float(value)) for name, value in zip(rows.columns, values, strict=True)]
    return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))


def _check_kind(library: Library[Any], name: str, value: Any) -> None:
    """DataError when a hyperparameter has another type than the setting it takes the place of."""
    default = getattr(library.settings(), name)
    kinds: dict[type, tuple[type, ...]] = {bool: (bool,), int: (int,), float: (int, float), str: (str,)}
    if type(value) not in kinds.get(type(default), (type(value),)):
        raise DataError(
            f"hyperparameter {name!r} of {library.name} takes {type(default).__name__}, got {value!r}"
        )


def _write_history(args: FnArgs, trained: Trained) -> None:
    if trained.history:
        plain = {
            split: {name: [_plain(value) for value in values] for name, values in metrics.items()}
            for split, metrics in trained.history.items()
        }
        (args.log_dir / HISTORY).write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    args.reports.write(args.log_dir)


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
