"""Evaluator's work: measure both models on the same rows, judge, and always write the outcome."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from tidemill.components.evaluator.scoring import measure, measure_slices, plain, score
from tidemill.components.evaluator.thresholds import Verdict, judge, read_thresholds
from tidemill.data.dataset import Dataset
from tidemill.data.metrics import METRICS, Task, check_names
from tidemill.errors import DataError, did_you_mean
from tidemill.types.standard import Examples, Model, ModelBlessing, ModelEvaluation

EVALUATION, BLESSING = "evaluation.json", "blessing.json"

USUAL: dict[str, tuple[str, ...]] = {
    "classification": ("auc", "log_loss", "accuracy"),
    "regression": ("rmse", "mae", "r2"),
}
"""Metrics of a task when none are named."""


def run(
    *,
    examples: Examples,
    model: Model,
    evaluation: ModelEvaluation,
    blessing: ModelBlessing,
    baseline_model: Model | None = None,
    predict_fn: Callable[..., Any] | None = None,
    evaluate_fn: Callable[..., Any] | None = None,
    label: str | None = None,
    task: str | None = None,
    metrics: Sequence[str] = (),
    slices: Sequence[str | Sequence[str]] = (),
    thresholds: Mapping[str, Mapping[str, Any]] | None = None,
    splits: Sequence[str] = ("eval",),
) -> None:
    """Write the evaluation and the blessing; see the component."""
    limits = read_thresholds(thresholds or {}, {name: metric.direction for name, metric in METRICS.items()})
    if predict_fn is None and evaluate_fn is None:
        raise DataError("Evaluator has nothing to call", hint="give predict_fn, evaluate_fn or both")
    rows = Dataset.of([examples], splits)
    if not rows.num_rows:
        raise DataError(f"splits {list(splits)} have no rows to evaluate on")
    found: dict[str, Any] = {"model": {}, "baseline": {} if baseline_model else None}
    baseline = baseline_model.path if baseline_model else None
    if predict_fn is not None:
        used = _task(task, metrics)
        chosen = _check_metrics(metrics, used, limits if evaluate_fn is None else ())
        specs = [[item] if isinstance(item, str) else list(item) for item in slices]
        found = _predictions(rows, predict_fn, model.path, baseline, label, chosen, used, specs)
    if evaluate_fn is not None:
        _own_metrics(found, evaluate_fn, rows, model.path, baseline)
    verdict = judge(limits, found["model"], found["baseline"], same_model=_same(model, baseline_model))
    record = {"format": "tidemill.evaluation/1", "splits": list(splits), "rows": rows.num_rows, **found}
    record["model_id"], record["baseline_id"] = model.id, baseline_model.id if baseline_model else 0
    _write(evaluation.path / EVALUATION, record)
    # In the record as well, so that runs can be compared without opening files.
    finite = {name: value for name, value in found["model"].items() if math.isfinite(value)}
    evaluation.custom_properties.update(finite)
    _bless(blessing, verdict, model, baseline_model)


def _task(task: str | None, metrics: Sequence[str]) -> Task:
    """The task, which the first known metric tells if nobody else does."""
    if task is None:
        task = next((METRICS[name].task for name in metrics if name in METRICS), None)
    if task is None and metrics:
        raise DataError(f"there is no metric {metrics[0]!r}", hint=did_you_mean(metrics[0], METRICS))
    if task not in USUAL:
        raise DataError(
            "Evaluator needs to know its task" if task is None else f"unknown task {task!r}",
            hint='set task="classification" or task="regression", or name metrics',
        )
    return cast(Task, task)


def _check_metrics(metrics: Sequence[str], task: Task, limits: Any) -> list[str]:
    """The metrics to compute: those named, else the usual ones and those with a threshold."""
    chosen = list(dict.fromkeys(metrics or (*USUAL[task], *limits)))
    check_names(chosen, task)
    return chosen


def _predictions(
    rows: Dataset,
    predict_fn: Callable[..., Any],
    model: Path,
    baseline: Path | None,
    label: str | None,
    metrics: list[str],
    task: Task,
    slices: list[list[str]],
) -> dict[str, Any]:
    """Everything that follows from predictions, as it goes into the record."""
    if label is None:
        raise DataError(
            "predict_fn needs a label to compare with", hint="set label= to the column with the truth"
        )
    keys = list(dict.fromkeys(name for spec in slices for name in spec))
    scored = score(rows, predict_fn, model, baseline, label, keys)
    found = {"task": task, "label": label, **measure(metrics, task, scored)}
    found["rows_without_label"] = scored.rows_without_label
    found["slices"], found["slices_left_out"] = [], {}
    for spec in slices:
        entries, left_out = measure_slices(metrics, spec, scored)
        found["slices"] += entries
        if left_out:
            found["slices_left_out"]["/".join(spec)] = left_out
    print(f"{len(scored.labels)} rows, {scored.rows_without_label} without a label")
    return found


def _own_metrics(
    found: dict[str, Any], evaluate_fn: Callable[..., Any], rows: Dataset, model: Path, baseline: Path | None
) -> None:
    """Add the metrics of `evaluate_fn` for both models to `found`."""
    found["model"].update(_call(evaluate_fn, model, rows))
    if baseline is not None:
        found["baseline"].update(_call(evaluate_fn, baseline, rows))
        changes = found.setdefault("changes", {})
        for name in sorted(found["model"].keys() & found["baseline"].keys() - changes.keys()):
            changes[name] = {"change": found["model"][name] - found["baseline"][name]}


def _call(evaluate_fn: Callable[..., Any], model: Path, rows: Dataset) -> dict[str, float]:
    result = evaluate_fn(model, rows)
    if not isinstance(result, Mapping) or not result:
        raise DataError(
            f"evaluate_fn returned {type(result).__name__}, not metrics by name",
            hint='return {"name": number, ...} with at least one metric',
        )
    try:
        return {str(name): float(value) for name, value in result.items()}
    except (TypeError, ValueError) as error:
        raise DataError(f"evaluate_fn returned a metric that is not a number: {error}") from None


def _same(model: Model, baseline: Model | None) -> bool:
    """Whether both are one model: one artifact, or equal bytes."""
    if baseline is None:
        return False
    return (bool(model.digest) and model.digest == baseline.digest) or model.path == baseline.path


def _bless(blessing: ModelBlessing, verdict: Verdict, model: Model, baseline: Model | None) -> None:
    """Write the verdict, also where no program looks: in the node's log."""
    blessing.blessed = int(verdict.blessed)
    blessing.reason = "; ".join(verdict.reasons)
    blessing.current_model_id = model.id
    blessing.baseline_model_id = baseline.id if baseline else 0
    word = "BLESSED" if verdict.blessed else "NOT_BLESSED"
    record = {"verdict": word, "reasons": list(verdict.reasons), "model_id": model.id}
    record |= {"baseline_id": blessing.baseline_model_id, "model_digest": model.digest}
    _write(blessing.path / BLESSING, record)
    print(f"{word}: {blessing.reason}")


def _write(path: Path, record: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(plain(record), indent=1) + "\n", encoding="utf-8")
