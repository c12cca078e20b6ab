"""From rows to measures: find the slices, ask every model, fill the states, and read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tidemill.components.evaluator.reading import Predictor, Rows, read_batches
from tidemill.data.evaluation import Change, Key, Measure, Plots, SliceEvaluation, Task
from tidemill.data.evaluation_file import change_of
from tidemill.data.metrics import Batch, TaskState, make_state
from tidemill.data.metrics.custom import OwnState
from tidemill.data.slice_specs import SliceSpec
from tidemill.errors import DataError

if TYPE_CHECKING:
    from tidemill.data.slices import Slices

MOST_CLASSES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to measure."""

    task: Task
    metrics: Sequence[str]
    own_metrics: Sequence[Any] = ()
    classes: Sequence[Any] = ()
    specs: Sequence[SliceSpec] = ()
    min_slice_size: int = 1
    baseline: bool = False
    """Whether the second model is the baseline; those after it are challengers."""
    bounds_of: Sequence[tuple[str, bool]] = ()
    """Metrics whose interval is needed, and whether that of the change is."""
    bootstrap: bool = False
    replicates: int = 200
    confidence: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured; slices begin with that of all rows."""

    slices: tuple[SliceEvaluation, ...]
    plots: Plots
    baseline_plots: Plots | None
    challengers: tuple[tuple[Mapping[str, Measure], Mapping[str, Change]], ...] = ()
    slices_left_out: Mapping[str, int] = field(default_factory=dict)
    slices_too_small: Mapping[str, int] = field(default_factory=dict)
    rows_without_label: int = 0
    notes: tuple[str, ...] = ()


def measure(rows: Rows, predictors: Sequence[Predictor], request: Request) -> Measured:
    """Everything that follows from predictions. DataError when no row has a label."""
    slices = _find_slices(rows, request)
    keys: Sequence[Key] = slices.keys if slices else [{}]
    own = OwnState(request.own_metrics, len(predictors), len(keys))
    state: TaskState | None = None
    for batch in read_batches(rows, predictors, request.task, request.classes, slices):
        if state is None:
            state = _make_state(request, len(predictors), len(keys), batch)
        state.add(batch)
        own.add(batch)
    if state is None:
        raise DataError(
            f"there are no rows with a value in {rows.columns.label!r}", hint="check label= and splits="
        )
    state.close()
    found = _finish(state, own, keys, request)
    if slices:
        found = replace(
            found,
            slices_left_out=slices.left_out,
            slices_too_small=slices.too_small,
            notes=(*slices.notes, *found.notes),
        )
    return replace(found, rows_without_label=rows.without_label)


def _find_slices(rows: Rows, request: Request) -> Slices | None:
    if not request.specs:
        return None
    from tidemill.data.slices import SliceFinder  # half of what an evaluation imports, for those who slice

    finder = SliceFinder(request.specs)
    if finder.needs_look:
        for table in rows.key_tables():
            finder.look(table)
    for table in rows.key_tables():
        finder.add(table)
    return finder.slices(min_size=request.min_slice_size)


def _make_state(request: Request, models: int, slices: int, first: Batch) -> TaskState:
    """An empty state; a bootstrap is made where intervals are needed that no formula gives."""
    classes = [str(item) for item in request.classes]
    if request.task == "multiclass" and not classes:
        wide = [p.shape[1] for p in first.predictions if p.ndim == 2]
        if not wide:
            raise DataError(
                "predictions are classes, and which ones there are is not known",
                hint="name them with classes=[...], or return probabilities of shape (rows, classes)",
            )
        classes = [str(number) for number in range(max(wide))]
    _check_widths(request, first, len(classes))
    settings: dict[str, Any] = {"models": models, "slices": slices, "classes": classes}
    settings["confidence"] = request.confidence
    state = make_state(request.task, request.metrics, **settings)
    needed = [(n, paired) for n, paired in request.bounds_of if n in request.metrics]
    if request.bootstrap or any(not state.has_error_formula(n, paired=paired) for n, paired in needed):
        return make_state(request.task, request.metrics, replicates=request.replicates, **settings)
    return state


def _check_widths(request: Request, first: Batch, classes: int) -> None:
    if request.task != "multiclass":
        return
    if not 2 <= classes <= MOST_CLASSES:
        raise DataError(f"{classes} classes cannot be told apart", hint=f"from 2 to {MOST_CLASSES} can")
    for predictions in first.predictions:
        if predictions.ndim == 2 and predictions.shape[1] != classes:
            raise DataError(
                f"a model gives probabilities of {predictions.shape[1]} classes, and there are {classes}",
                hint="name the classes in the order of the model's probabilities with classes=[...]",
            )


def _finish(state: TaskState, own: OwnState, keys: Sequence[Key], request: Request) -> Measured:
    models = state.models
    measures = [state.measures(model) for model in range(models)]
    for model in range(models):
        for at, found in enumerate(measures[model]):
            found.update(own.measures(model, at))
    changes = state.changes(0, 1) if request.baseline else [dict[str, Change]() for _ in keys]
    parts = []
    for at, key in enumerate(keys):
        old = measures[1][at] if request.baseline else None
        if old is not None:
            for name in own.names:
                changes[at][name] = change_of(measures[0][at][name].value, old[name].value)
        parts.append(
            SliceEvaluation(
                key=key, rows=state.rows(at), weight=state.weight(at), model=measures[0][at], baseline=old,
                changes=changes[at],
            )
        )  # fmt: skip
    others = range(2 if request.baseline else 1, models)
    notes = state.notes()
    if state.drawn and not request.bootstrap:
        notes.append(f"intervals are from {state.drawn} bootstrap replicates: a threshold needs them")
    return Measured(
        slices=tuple(parts),
        plots=state.plots(0),
        baseline_plots=state.plots(1) if request.baseline else None,
        challengers=tuple((measures[m][0], state.changes(m, 0)[0]) for m in others),
        notes=tuple(notes),
    )
