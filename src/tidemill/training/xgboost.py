"""The XGBoost trainer."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from tidemill.errors import DataError
from tidemill.models.flavors import xgboost as flavor
from tidemill.models.flavors.bare import import_bare
from tidemill.models.flavors.base import library
from tidemill.training.conversion import OPSET
from tidemill.training.fn_args import FnArgs
from tidemill.training.ready import Library, Trained, base_model, check_names, importance
from tidemill.training.rows import Rows

NATIVE = (
    "alpha", "base_score", "booster", "disable_default_eval_metric", "eta", "eval_metric", "lambda",
    "max_cached_hist_node", "multi_strategy", "normalize_type", "nthread", "num_class", "objective",
    "one_drop", "process_type", "quantile_alpha", "huber_slope", "rate_drop", "refresh_leaf", "sample_type",
    "seed", "seed_per_iteration", "skip_drop", "top_k", "tweedie_variance_power", "updater",
    "feature_selector", "max_delta_step", "colsample_bynode", "device", "verbosity", "validate_parameters",
)  # fmt: skip
"""Parameters of the library beyond those of its scikit-learn classes.
Source: XGBoost Parameters, the documentation of version 3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """See `XGBoostTrainer`."""

    num_boost_round: int = 200
    early_stopping_rounds: int = 20
    seed: int = 0
    num_threads: int = 0


def fit(args: FnArgs, rows: Rows, settings: Settings, params: dict[str, Any]) -> Trained:
    """Train a booster and save it up to its best iteration."""
    xgboost = import_bare("xgboost", "xgboost", alone=True)
    wrapper = set(inspect.signature(xgboost.XGBModel.__init__).parameters) - {"self", "kwargs", "callbacks"}
    wrapper -= {"n_estimators", "early_stopping_rounds", "random_state", "n_jobs", "feature_types"}
    check_names(params, [*wrapper, *NATIVE], "XGBoost")
    used = {**_objective(rows), "seed": settings.seed, "tree_method": "hist", "verbosity": 0, **params}
    if settings.num_threads:
        used["nthread"] = settings.num_threads
    base = base_model(args, rows, "xgboost")
    names = [f"f{position}" for position in range(len(rows.columns))]
    parts = {"train": rows.train, **({"eval": rows.eval} if rows.eval is not None else {})}
    try:
        sets = {
            split: xgboost.DMatrix(part.x, part.y, weight=part.weight, feature_names=names)
            for split, part in parts.items()
        }
        history: dict[str, dict[str, list[float]]] = {}
        early = (
            settings.early_stopping_rounds if "eval" in sets and settings.early_stopping_rounds > 0 else None
        )
        booster = xgboost.train(
            used, sets["train"], settings.num_boost_round, evals=[(m, split) for split, m in sets.items()],
            early_stopping_rounds=early, evals_result=history, verbose_eval=False,
            xgb_model=base.predictor.booster if base else None,
            callbacks=[_reporter(xgboost, args, list(sets)[-1])],
        )  # fmt: skip
    except xgboost.core.XGBoostError as error:
        raise DataError(
            f"XGBoost refused to train: {str(error).splitlines()[0]}", hint="check hyperparameters"
        ) from None
    best = booster.best_iteration + 1 if early else booster.num_boosted_rounds()
    booster = booster[:best]
    saved = flavor.save(args.model_dir, booster)
    gain = booster.get_score(importance_type="total_gain")
    details: dict[str, Any] = {
        "best_iteration": int(best),
        "feature_importance": importance(rows, [float(gain.get(name, 0.0)) for name in names]),
    }
    before = (
        base.predictor.booster.num_boosted_rounds() if base else 0
    )  # best counts the base model's as well
    for name, values in history.get("eval", {}).items():
        details[f"eval_{name}"] = float(values[best - before - 1])
    return Trained(saved, details, history, lambda: _to_onnx(booster, len(names)))


def _objective(rows: Rows) -> dict[str, Any]:
    match rows.task:
        case "binary":
            return {"objective": "binary:logistic"}
        case "multiclass":
            return {"objective": "multi:softprob", "num_class": len(rows.classes)}
    return {"objective": "reg:squarederror"}


def _reporter(xgboost: Any, args: FnArgs, split: str) -> Any:
    """A callback that reports the first metric of `split` after each iteration."""

    def after_iteration(_: Any, _model: Any, epoch: int, log: Any) -> bool:
        name, values = next(iter(log[split].items()))
        args.reports.lower_is_better = not name.startswith(("auc", "aucpr", "map", "ndcg", "pre"))
        args.report(epoch, float(values[-1]))
        return False

    made = type("Report", (xgboost.callback.TrainingCallback,), {"after_iteration": after_iteration})
    return made()


def _to_onnx(booster: Any, width: int) -> Any:
    tools = library("onnxmltools", "onnx")
    types = library("onnxmltools.convert.common.data_types", "onnx")
    first = [("features", types.FloatTensorType([None, width]))]
    return tools.convert_xgboost(booster, initial_types=first, target_opset=OPSET)


LIBRARY = Library("XGBoost", Settings, fit, np.float32)
