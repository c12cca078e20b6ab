"""The parameters of an Evaluator, checked together before a row is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tidemill.components.evaluator.fairness import Comparison, read_comparisons
from tidemill.components.evaluator.judging import Policy
from tidemill.components.evaluator.measuring import Request
from tidemill.components.evaluator.reading import Columns
from tidemill.components.evaluator.thresholds import Threshold, read_thresholds
from tidemill.data.evaluation import Task
from tidemill.data.metrics import USUAL, ask, direction_of, tasks_of
from tidemill.data.metrics.catalog import METRICS, ask_all
from tidemill.data.metrics.custom import directions_of, name_of
from tidemill.data.slice_specs import SliceSpec, read_specs
from tidemill.errors import DataError, did_you_mean
from tidemill.models.manifest import FILE, ModelManifest, read_manifest

_TASK_OF_MODEL: dict[str, Task] = {
    "binary": "classification", "multiclass": "multiclass", "regression": "regression",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is to be measured and demanded. Without `task`, nothing but evaluate_fn measures."""

    task: Task | None
    columns: Columns | None
    metrics: Sequence[str]
    own_metrics: Sequence[Any]
    classes: Sequence[Any]
    specs: Sequence[SliceSpec]
    thresholds: Sequence[Threshold]
    comparisons: Sequence[Comparison]
    policy: Policy
    min_slice_size: int
    bootstrap: bool
    replicates: int
    confidence: float
    allow_pickle: bool
    allow_code: bool

    def request(self, *, baseline: bool) -> Request:
        """What follows from predictions."""
        assert self.task is not None
        bounds = [
            (t.metric, False)
            for t in self.thresholds
            if t.on == "bound" and (t.lower, t.upper) != (None, None)
        ]
        bounds += [
            (t.metric, True) for t in self.thresholds if t.on == "bound" and t.wants_change and baseline
        ]
        return Request(
            task=self.task,
            metrics=self.metrics,
            own_metrics=self.own_metrics,
            classes=self.classes,
            specs=self.specs,
            min_slice_size=self.min_slice_size,
            baseline=baseline,
            bounds_of=bounds,
            bootstrap=self.bootstrap,
            replicates=self.replicates,
            confidence=self.confidence,
        )


def read_settings(
    model: Path,
    predict_fn: Callable[..., Any] | None,
    evaluate_fn: Callable[..., Any] | None,
    *,
    label: str | None = None,
    task: str | None = None,
    metrics: Sequence[str] = (),
    own_metrics: Sequence[Any] = (),
    classes: Sequence[Any] = (),
    weight: str | None = None,
    query: str | None = None,
    slices: Sequence[Any] = (),
    min_slice_size: int = 1,
    thresholds: Mapping[str, Any] | None = None,
    fairness: Sequence[Mapping[str, Any]] = (),
    intervals: Literal["analytic", "bootstrap"] = "analytic",
    replicates: int = 200,
    confidence: float = 0.95,
    when_no_baseline: Literal["skip_changes", "refuse"] = "skip_changes",
    when_no_thresholds: Literal["bless", "refuse"] = "bless",
    allow_pickle: bool = False,
    allow_code: bool = False,
) -> Settings:
    """Settings from the parameters of the component. DataError for those that make no sense."""
    own_directions = directions_of(own_metrics)
    limits = read_thresholds(thresholds or {}, lambda name: own_directions.get(name) or direction_of(name))
    comparisons = read_comparisons(fairness)
    _check_numbers(min_slice_size, replicates, confidence)
    _check_choices(intervals, when_no_baseline, when_no_thresholds)
    specs = read_specs([*slices, *[list(item.columns) for item in comparisons]])
    keys = tuple(dict.fromkeys(name for spec in specs for name in spec.columns))
    asked = bool(metrics or own_metrics or keys or label or task)
    settings = Settings(
        task=None, columns=None, metrics=(), own_metrics=own_metrics, classes=classes, specs=specs,
        thresholds=limits, comparisons=comparisons,
        policy=Policy(when_no_baseline=when_no_baseline, when_no_thresholds=when_no_thresholds),
        min_slice_size=min_slice_size, bootstrap=intervals == "bootstrap", replicates=replicates,
        confidence=confidence, allow_pickle=allow_pickle, allow_code=allow_code,
    )  # fmt: skip
    if predict_fn is None and evaluate_fn is not None and not (asked and _opens_itself(model)):
        return settings
    manifest = ModelManifest() if predict_fn is not None else _manifest(model)
    columns = Columns(label or manifest.label, weight or "", query or "", keys)
    return _predicting(settings, columns, manifest, metrics, task, alone=evaluate_fn is None)


def _predicting(
    settings: Settings,
    columns: Columns,
    manifest: ModelManifest,
    metrics: Sequence[str],
    task: str | None,
    *,
    alone: bool,
) -> Settings:
    """The settings with what predictions need."""
    classes = settings.classes
    judged = [t.metric for t in settings.thresholds] + [c.metric for c in settings.comparisons]
    used = _task(task, metrics, judged, manifest, classes, columns.query)
    if not columns.label:
        raise DataError(
            "Evaluator needs a label to compare with", hint="set label= to the column with the truth"
        )
    if used == "ranking" and not columns.query:
        raise DataError("a ranking needs to know which rows belong together", hint="set query= to a column")
    own = [name_of(item) for item in settings.own_metrics]
    if used in ("classification", "multiclass"):
        classes = classes or manifest.classes
    if used == "classification" and classes and len(classes) != 2:
        raise DataError(f"a classification has two classes, not {len(classes)}", hint='task="multiclass"')
    return replace(
        settings,
        task=used,
        columns=columns if used == "ranking" else replace(columns, query=""),
        metrics=_metrics(metrics, used, judged, own, alone=alone),
        classes=classes,
    )


def _opens_itself(model: Path) -> bool:
    """Whether the model folder says how it is loaded."""
    return (model / FILE).exists() and bool(read_manifest(model).flavor)


def _manifest(model: Path) -> ModelManifest:
    """The manifest of a model that is to be asked itself; DataError when it cannot be."""
    if not _opens_itself(model):
        raise DataError(
            "Evaluator has nothing to call: the model folder does not say how it is loaded",
            where=str(model),
            hint="give predict_fn, evaluate_fn or both, or save the model with a flavor",
        )
    return read_manifest(model)


def _task(
    task: str | None,
    metrics: Sequence[str],
    judged: Sequence[str],
    manifest: ModelManifest,
    classes: Sequence[Any],
    query: str,
) -> Task:
    """The task, which the model or the metrics tell if nobody else does."""
    task = task or ("ranking" if query else None) or _TASK_OF_MODEL.get(manifest.task)
    names = list(metrics) or [name for name in judged if tasks_of(name)]
    if task is None and names:
        known = [name for name in names if tasks_of(name)]
        if not known:
            base = names[0].partition("@")[0]
            raise DataError(f"there is no metric {names[0]!r}", hint=did_you_mean(base, METRICS))
        # Those that all metrics have in common; a stranger among them is told of later.
        fitting = set.intersection(*map(tasks_of, known)) or tasks_of(known[0])
        several = "multiclass" in fitting and len(classes) > 2
        task = "multiclass" if several else next(name for name in USUAL if name in fitting)
    if task not in USUAL:
        raise DataError(
            "Evaluator needs to know its task" if task is None else f"unknown task {task!r}",
            hint=f"set task= to one of {', '.join(USUAL)}, or name metrics",
        )
    return task


def _metrics(
    metrics: Sequence[str], task: Task, judged: Sequence[str], own: Sequence[str], *, alone: bool
) -> list[str]:
    """The metrics to compute: those named, else the usual ones; and those with a threshold.

    `alone`: no evaluate_fn could give the other metrics with thresholds, so they must be known.
    """
    chosen = list(dict.fromkeys(metrics or USUAL[task]))
    ask_all(chosen, task)
    for name in judged:
        if name in chosen or name in own:
            continue
        if task in tasks_of(name):
            ask(name, task)
            chosen.append(name)
        elif alone:
            raise DataError(
                f"thresholds name {name!r}, which is not computed",
                hint=did_you_mean(name, [*chosen, *own]),
            )
    return chosen


def _check_numbers(min_slice_size: int, replicates: int, confidence: float) -> None:
    if min_slice_size < 1:
        raise DataError(f"min_slice_size={min_slice_size} makes no sense", hint="give 1 or more rows")
    if not 20 <= replicates <= 10_000:
        raise DataError(f"replicates={replicates} makes no sense", hint="give from 20 to 10000")
    if not 0.5 <= confidence < 1:
        raise DataError(f"confidence={confidence} makes no sense", hint="give a level such as 0.95")


def _check_choices(intervals: str, when_no_baseline: str, when_no_thresholds: str) -> None:
    for name, value, known in (
        ("intervals", intervals, ("analytic", "bootstrap")),
        ("when_no_baseline", when_no_baseline, ("skip_changes", "refuse")),
        ("when_no_thresholds", when_no_thresholds, ("bless", "refuse")),
    ):
        if value not in known:
            raise DataError(f"{name}={value!r} is not known", hint=f"write one of {', '.join(known)}")
