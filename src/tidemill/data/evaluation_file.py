"""`evaluation.json`: the file of an evaluation, written as format 2 and read as 2 or 1.

What format 1 had stands where it stood (`model`, `baseline`, `intervals`, `changes`, `slices`, ...), so that
programs that read those few numbers read both.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidemill.data.evaluation import (
    CalibrationBin,
    Challenger,
    Change,
    Check,
    Confusion,
    ConfusionMatrix,
    Curve,
    Evaluation,
    Gap,
    Interval,
    LiftPoint,
    Measure,
    Plots,
    SliceEvaluation,
)
from tidemill.errors import DataError

FILE = "evaluation.json"
FORMAT = "tidemill.evaluation/2"
FORMAT_1 = "tidemill.evaluation/1"

Json = dict[str, Any]


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write the file; equal evaluations give equal bytes."""
    text = json.dumps(to_json(evaluation), indent=1, allow_nan=False)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def read_evaluation(folder: Path) -> Evaluation:
    """Read the file of an artifact, of format 2 or 1. DataError when it is absent, broken or another."""
    path = folder / FILE
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["format"] not in (FORMAT, FORMAT_1):
            raise DataError(f"format is {value['format']!r}, expected {FORMAT!r}", where=str(path))
        return from_json(value)
    except FileNotFoundError:
        raise DataError("there is no evaluation here", where=str(path)) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"not readable as an evaluation: {error!r}", where=str(path)) from error


def plain(value: Any) -> Any:
    """`value` as JSON: NaN and infinities become null, tuples lists, other scalars text."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case None | bool() | int() | str():
            return value
    return str(value)


def to_json(evaluation: Evaluation) -> Json:
    """Plain JSON, inverse of `from_json`."""
    record: Json = {"format": FORMAT}
    for name in ("splits", "rows", "rows_without_label", "task", "label", "weight", "query", "model_id",
                 "baseline_id", "confidence", "verdict", "reasons", "notes"):  # fmt: skip
        record[name] = getattr(evaluation, name)
    record |= _slice_to_json(evaluation.overall)
    record["labelled_rows"] = evaluation.overall.rows
    record["slices"] = [
        {"slice": part.key, "rows": part.rows, **_slice_to_json(part)} for part in evaluation.slices
    ]
    record["slices_left_out"] = evaluation.slices_left_out
    record["slices_too_small"] = evaluation.slices_too_small
    record["plots"] = {
        "model": _shrunk(evaluation.plots),
        "baseline": None if evaluation.baseline_plots is None else _shrunk(evaluation.baseline_plots),
    }
    record["gaps"] = [dataclasses.asdict(gap) for gap in evaluation.gaps]
    record["challengers"] = [_challenger_to_json(other) for other in evaluation.challengers]
    record["checks"] = [dataclasses.asdict(check) for check in evaluation.checks]
    found: Json = plain(record)
    return found


def from_json(value: Mapping[str, Any]) -> Evaluation:
    """Inverse of `to_json`; takes format 1 as well. KeyError or TypeError when `value` is something else."""
    overall = _slice_from_json({**value, "slice": {}, "rows": value.get("labelled_rows", _labelled(value))})
    plots = value.get("plots", {})
    baseline_plots = plots.get("baseline")
    return Evaluation(
        rows=value["rows"],
        overall=overall,
        rows_without_label=value.get("rows_without_label", 0),
        task=value.get("task", ""),
        label=value.get("label", ""),
        weight=value.get("weight", ""),
        query=value.get("query", ""),
        splits=tuple(value["splits"]),
        model_id=value.get("model_id", 0),
        baseline_id=value.get("baseline_id", 0),
        confidence=value.get("confidence", 0.95),
        slices=tuple(_slice_from_json(part) for part in value.get("slices", ())),
        slices_left_out=dict(value.get("slices_left_out", {})),
        slices_too_small=dict(value.get("slices_too_small", {})),
        plots=_plots_from_json(plots.get("model", {})),
        baseline_plots=None if baseline_plots is None else _plots_from_json(baseline_plots),
        gaps=tuple(Gap(**{**gap, "columns": tuple(gap["columns"])}) for gap in value.get("gaps", ())),
        challengers=tuple(_challenger_from_json(other) for other in value.get("challengers", ())),
        checks=tuple(Check(**check) for check in value.get("checks", ())),
        verdict=value.get("verdict", ""),
        reasons=tuple(value.get("reasons", ())),
        notes=tuple(value.get("notes", ())),
    )


def _labelled(value: Mapping[str, Any]) -> int:
    """Rows that were measured, which format 1 does not say directly."""
    return int(value["rows"] - value.get("rows_without_label", 0))


# --- parts ----------------------------------------------------------------------------------------


def _slice_to_json(part: SliceEvaluation) -> Json:
    record: Json = {"measured_weight": part.weight, **_measures_to_json("", part.model), "baseline": None}
    if part.baseline is not None:
        record |= _measures_to_json("baseline", part.baseline)
    record["changes"] = _changes_to_json(part.changes)
    return record


def _slice_from_json(value: Mapping[str, Any]) -> SliceEvaluation:
    model = _measures_from_json("", value)
    baseline = None if value.get("baseline") is None else _measures_from_json("baseline", value)
    changes = _changes_from_json(value.get("changes", {}), baseline)
    if not changes and baseline is not None:
        # format 1 gave the changes of slices by their two values only
        changes = {name: change_of(model[name].value, old.value) for name, old in baseline.items()}
    return SliceEvaluation(
        key=dict(value["slice"]),
        rows=value["rows"],
        weight=value.get("measured_weight", float(value["rows"])),
        model=model,
        baseline=baseline,
        changes=changes,
    )


def change_of(new: float | None, old: float | None, interval: Interval | None = None) -> Change:
    """The change from `old` to `new`, as far as there is one."""
    if new is None or old is None:
        return Change(value=None)
    relative = (new - old) / abs(old) if old else None
    return Change(
        value=new - old,
        relative=relative if relative is not None and math.isfinite(relative) else None,
        interval=interval,
    )


def _measures_to_json(whose: str, measures: Mapping[str, Measure]) -> Json:
    prefix = f"{whose}_" if whose else ""
    return {
        whose or "model": {name: measure.value for name, measure in measures.items()},
        f"{prefix}intervals": {n: _interval_to_json(m.interval) for n, m in measures.items() if m.interval},
        f"{prefix}undefined": {name: measure.reason for name, measure in measures.items() if measure.reason},
    }


def _measures_from_json(whose: str, value: Mapping[str, Any]) -> dict[str, Measure]:
    prefix = f"{whose}_" if whose else ""
    intervals, reasons = value.get(f"{prefix}intervals", {}), value.get(f"{prefix}undefined", {})
    return {
        name: Measure(
            value=found,
            interval=_interval_from_json(intervals.get(name)),
            reason=reasons.get(name, "" if found is not None else "it has no value for these rows"),
        )
        for name, found in value[whose or "model"].items()
    }


def _changes_to_json(changes: Mapping[str, Change]) -> Json:
    record: Json = {}
    for name, change in changes.items():
        record[name] = {"change": change.value}
        if change.interval:
            record[name]["interval"] = _interval_to_json(change.interval)
    return record


def _changes_from_json(value: Mapping[str, Any], baseline: Mapping[str, Measure] | None) -> dict[str, Change]:
    """Changes; the relative ones follow from the baseline's values."""
    found: dict[str, Change] = {}
    for name, change in value.items():
        old = baseline[name].value if baseline and name in baseline else None
        new = change["change"]
        relative = new / abs(old) if new is not None and old else None
        found[name] = Change(
            value=new,
            relative=relative if relative is not None and math.isfinite(relative) else None,
            interval=_interval_from_json(change.get("interval")),
        )
    return found


def _interval_to_json(interval: Interval) -> list[Any]:
    ends: list[Any] = [interval.low, interval.high]
    return ends if interval.method == "analytic" else [*ends, interval.method]


def _interval_from_json(value: Any) -> Interval | None:
    if value is None or value[0] is None or value[1] is None:
        return None
    return Interval(low=value[0], high=value[1], method=value[2] if len(value) > 2 else "analytic")


def _challenger_to_json(other: Challenger) -> Json:
    return {
        "model_id": other.model_id,
        **_measures_to_json("", other.model),
        "changes": _changes_to_json(other.changes),
    }


def _challenger_from_json(value: Mapping[str, Any]) -> Challenger:
    return Challenger(
        model_id=value["model_id"],
        model=_measures_from_json("", value),
        changes=_changes_from_json(value["changes"], None),
    )


def _shrunk(plots: Plots) -> Json:
    """Plots without what is empty."""
    return {name: found for name, found in dataclasses.asdict(plots).items() if found}


def _plots_from_json(value: Mapping[str, Any]) -> Plots:
    matrix = value.get("matrix")
    return Plots(
        roc=_curve_from_json(value.get("roc")),
        pr=_curve_from_json(value.get("pr")),
        calibration=tuple(CalibrationBin(**part) for part in value.get("calibration", ())),
        confusions=tuple(Confusion(**part) for part in value.get("confusions", ())),
        lift=tuple(LiftPoint(**part) for part in value.get("lift", ())),
        scores=tuple((pair[0], pair[1]) for pair in value.get("scores", ())),
        matrix=None
        if matrix is None
        else ConfusionMatrix(classes=tuple(matrix["classes"]), counts=tuple(map(tuple, matrix["counts"]))),
        residuals=tuple((pair[0], pair[1]) for pair in value.get("residuals", ())),
    )


def _curve_from_json(value: Mapping[str, Any] | None) -> Curve | None:
    return None if value is None else Curve(**{name: tuple(points) for name, points in value.items()})
