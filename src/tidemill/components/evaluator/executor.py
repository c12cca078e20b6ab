"""Evaluator's work: measure all models on the same rows, judge, and always write the outcome."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tidemill.components.evaluator.fairness import check_gap, measure_gap
from tidemill.components.evaluator.judging import Verdict, judge
from tidemill.components.evaluator.measuring import Measured, measure
from tidemill.components.evaluator.reading import Predictor, Rows
from tidemill.components.evaluator.settings import Settings, read_settings
from tidemill.data.dataset import Dataset
from tidemill.data.evaluation import (
    BLESSED,
    NOT_BLESSED,
    Challenger,
    Evaluation,
    Measure,
    Plots,
    SliceEvaluation,
)
from tidemill.data.evaluation_file import change_of, plain, write_evaluation
from tidemill.errors import DataError
from tidemill.types.standard import Examples, Model, ModelBlessing, ModelEvaluation

BLESSING = "blessing.json"


def run(
    *,
    examples: Examples,
    model: Model,
    evaluation: ModelEvaluation,
    blessing: ModelBlessing,
    baseline_model: Model | None = None,
    challengers: Sequence[Model] | None = None,
    predict_fn: Callable[..., Any] | None = None,
    evaluate_fn: Callable[..., Any] | None = None,
    splits: Sequence[str] = ("eval",),
    **parameters: Any,
) -> None:
    """Write the evaluation and the blessing; see the component."""
    wanted = read_settings(model.path, predict_fn, evaluate_fn, **parameters)
    rows = Dataset.of([examples], splits)
    if not rows.num_rows:
        raise DataError(f"splits {list(splits)} have no rows to evaluate on")
    models = [model, *([baseline_model] if baseline_model else []), *(challengers or [])]
    found = _measure(rows, models, predict_fn, wanted, baseline=baseline_model is not None)
    overall = found.slices[0]
    if evaluate_fn is not None:
        overall = _with_own(overall, evaluate_fn, rows, model.path, baseline_model)
    slices = (overall, *found.slices[1:])
    gaps = [measure_gap(comparison, slices) for comparison in wanted.comparisons]
    limits = [c for item, gap in zip(wanted.comparisons, gaps, strict=True) for c in check_gap(item, gap)]
    verdict = judge(
        wanted.thresholds,
        slices,
        same_model=_same(model, baseline_model),
        extra=limits,
        unseen={**found.slices_left_out, **found.slices_too_small},
        policy=wanted.policy,
    )
    record = replace(
        _record(wanted, found, verdict),
        rows=rows.num_rows,
        overall=overall,
        splits=tuple(splits),
        model_id=model.id,
        baseline_id=baseline_model.id if baseline_model else 0,
        gaps=tuple(gaps),
        challengers=tuple(
            Challenger(model_id=other.id, model=measures, changes=changes)
            for other, (measures, changes) in zip(challengers or [], found.challengers, strict=False)
        ),
    )
    write_evaluation(evaluation.path, record)
    # In the record as well, so that runs can be compared without opening files.
    finite = {name: m.value for name, m in overall.model.items() if m.value is not None}
    evaluation.custom_properties.update(finite)
    _bless(blessing, verdict, model, baseline_model)


def _record(wanted: Settings, found: Measured, verdict: Verdict) -> Evaluation:
    """What the settings and the measures say of an evaluation."""
    columns = wanted.columns
    return Evaluation(
        rows=0,
        overall=found.slices[0],
        rows_without_label=found.rows_without_label,
        task=wanted.task or "",
        label=columns.label if columns else "",
        weight=columns.weight if columns else "",
        query=columns.query if columns else "",
        confidence=wanted.confidence,
        slices=found.slices[1:],
        slices_left_out=found.slices_left_out,
        slices_too_small=found.slices_too_small,
        plots=found.plots,
        baseline_plots=found.baseline_plots,
        checks=verdict.checks,
        verdict=BLESSED if verdict.blessed else NOT_BLESSED,
        reasons=verdict.reasons,
        notes=found.notes,
    )


def _measure(
    rows: Dataset, models: Sequence[Model], predict_fn: Callable[..., Any] | None, wanted: Settings, *,
    baseline: bool,
) -> Measured:  # fmt: skip
    """What follows from predictions; nothing when there are none."""
    if wanted.task is None or wanted.columns is None:
        overall = SliceEvaluation(
            key={},
            rows=rows.num_rows,
            weight=float(rows.num_rows),
            model={},
            baseline={} if baseline else None,
        )
        return Measured(slices=(overall,), plots=Plots(), baseline_plots=None)
    predictors = [
        Predictor(m.path, predict_fn, allow_pickle=wanted.allow_pickle, allow_code=wanted.allow_code)
        for m in models
    ]
    for predictor in predictors:
        predictor.check_classes(wanted.classes)
    found = measure(Rows(rows, models[0].path, wanted.columns), predictors, wanted.request(baseline=baseline))
    print(f"{found.slices[0].rows} rows, {found.rows_without_label} without a label")
    for note in found.notes:
        print(note)
    return found


def _with_own(
    overall: SliceEvaluation,
    evaluate_fn: Callable[..., Any],
    rows: Dataset,
    model: Path,
    baseline: Model | None,
) -> SliceEvaluation:
    """Add the metrics of `evaluate_fn` for both models."""
    new = _call(evaluate_fn, model, rows)
    overall = replace(overall, model={**overall.model, **new})
    if baseline is None:
        return overall
    old = _call(evaluate_fn, baseline.path, rows)
    changes = {name: change_of(new[name].value, old[name].value) for name in sorted(new.keys() & old.keys())}
    return replace(
        overall, baseline={**(overall.baseline or {}), **old}, changes={**changes, **overall.changes}
    )


def _call(evaluate_fn: Callable[..., Any], model: Path, rows: Dataset) -> dict[str, Measure]:
    result = evaluate_fn(model, rows)
    if not isinstance(result, Mapping) or not result:
        raise DataError(
            f"evaluate_fn returned {type(result).__name__}, not metrics by name",
            hint='return {"name": number, ...} with at least one metric',
        )
    try:
        values = {str(name): float(value) for name, value in result.items()}
    except (TypeError, ValueError) as error:
        raise DataError(f"evaluate_fn returned a metric that is not a number: {error}") from None
    return {
        name: Measure(value=value)
        if math.isfinite(value)
        else Measure(value=None, reason=f"evaluate_fn returned {value}")
        for name, value in values.items()
    }


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
    word = BLESSED if verdict.blessed else NOT_BLESSED
    record: dict[str, Any] = {"verdict": word, "reasons": list(verdict.reasons), "model_id": model.id}
    record |= {"baseline_id": blessing.baseline_model_id, "model_digest": model.digest}
    if verdict.rubber_stamped:
        blessing.rubber_stamped = 1
        record["rubber_stamped"] = True
    (blessing.path / BLESSING).write_text(json.dumps(plain(record), indent=1) + "\n", encoding="utf-8")
    print(f"{word}: {blessing.reason}")
