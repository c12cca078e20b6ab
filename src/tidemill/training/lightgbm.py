"""The LightGBM trainer. `deterministic` is always on, so that equal rows give equal bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tidemill.errors import DataError
from tidemill.models.flavors import lightgbm as flavor
from tidemill.models.flavors.bare import import_bare
from tidemill.models.flavors.base import library
from tidemill.training.conversion import OPSET
from tidemill.training.fn_args import FnArgs
from tidemill.training.ready import Library, Trained, base_model, check_names, chosen_categories, importance
from tidemill.training.rows import Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """See `LightGBMTrainer`."""

    num_boost_round: int = 200
    early_stopping_rounds: int = 20
    categorical: Sequence[str] | None = None
    seed: int = 0
    num_threads: int = 0


def fit(args: FnArgs, rows: Rows, settings: Settings, params: dict[str, Any]) -> Trained:
    """Train a booster and save it up to its best iteration."""
    lightgbm = import_bare("lightgbm", "lightgbm", alone=True)
    aliases: Any = lightgbm.basic._ConfigAliases._get_all_param_aliases()
    check_names(params, [name for names in aliases.values() for name in names], "LightGBM")
    used = {**_objective(rows, params), "seed": settings.seed, "num_threads": settings.num_threads,
            "deterministic": True, "force_row_wise": True, "verbosity": -1, **params}  # fmt: skip
    categories = chosen_categories(settings.categorical, args.transform_graph, rows)
    base = base_model(args, rows, "lightgbm")

    def dataset(part: Any, reference: Any = None) -> Any:
        return lightgbm.Dataset(
            part.x, part.y, weight=part.weight, feature_name=_safe_names(rows), reference=reference,
            categorical_feature=sorted(categories), free_raw_data=False, params={"verbosity": -1},
        )  # fmt: skip

    train = dataset(rows.train)
    sets, names = [train], ["train"]
    if rows.eval is not None:
        sets, names = [train, dataset(rows.eval, train)], ["train", "eval"]
    history: dict[str, dict[str, list[float]]] = {}
    callbacks = [lightgbm.record_evaluation(history), _reporter(args, names[-1])]
    if rows.eval is not None and settings.early_stopping_rounds > 0:
        callbacks.append(
            lightgbm.early_stopping(settings.early_stopping_rounds, verbose=False, first_metric_only=True)
        )
    try:
        booster = lightgbm.train(
            used, train, settings.num_boost_round, valid_sets=sets, valid_names=names, callbacks=callbacks,
            init_model=base.predictor.booster if base else None,
        )  # fmt: skip
    except lightgbm.basic.LightGBMError as error:
        raise DataError(f"LightGBM refused to train: {error}", hint="check hyperparameters") from None
    best = booster.best_iteration if booster.best_iteration > 0 else booster.current_iteration()
    before = base.predictor.booster.current_iteration() if base else 0  # best counts the base model's as well
    saved = flavor.save(args.model_dir, booster, best_iteration=best)
    gain = booster.feature_importance("gain", iteration=best)
    details: dict[str, Any] = {"best_iteration": int(best), "feature_importance": importance(rows, gain)}
    for name, values in history.get("eval", {}).items():
        details[f"eval_{name}"] = float(values[best - before - 1])
    return Trained(saved, details, history, lambda: _to_onnx(lightgbm, args, len(rows.columns)))


def _objective(rows: Rows, params: dict[str, Any]) -> dict[str, Any]:
    """Objective and metric of the task, as far as the user says nothing else."""
    if "application" in params or "objective" in params:
        return {}
    match rows.task:
        case "binary":
            return {"objective": "binary"}
        case "multiclass":
            return {"objective": "multiclass", "num_class": len(rows.classes)}
    return {"objective": "regression"}


def _reporter(args: FnArgs, split: str) -> Any:
    """A callback that reports the first metric of `split` after each iteration."""

    def report(env: Any) -> None:
        for name, _, value, higher in env.evaluation_result_list or ():
            if name in (split, "training" if split == "train" else split):
                args.reports.lower_is_better = not higher
                args.report(env.iteration, float(value))
                return

    report.order = 20  # type: ignore[attr-defined]  # LightGBM sorts its callbacks by it
    return report


def _safe_names(rows: Rows) -> list[str]:
    """Names LightGBM takes: none of JSON's special characters, which its text format cannot hold."""
    return [f"f{position}" for position in range(len(rows.columns))]


def _to_onnx(lightgbm: Any, args: FnArgs, width: int) -> Any:
    tools = library("onnxmltools", "onnx")
    types = library("onnxmltools.convert.common.data_types", "onnx")
    booster = lightgbm.Booster(model_file=str(args.model_dir / flavor.FILE))
    first = [("features", types.FloatTensorType([None, width]))]
    return tools.convert_lightgbm(booster, initial_types=first, zipmap=False, target_opset=OPSET)


LIBRARY = Library("LightGBM", Settings, fit, np.float64)
