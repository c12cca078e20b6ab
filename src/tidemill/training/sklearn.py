"""The scikit-learn trainer: an estimator by its name, saved without a pickle."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tidemill.errors import DataError, did_you_mean
from tidemill.models.flavors import sklearn as flavor
from tidemill.models.flavors.base import library
from tidemill.training.conversion import OPSET
from tidemill.training.fn_args import FnArgs
from tidemill.training.ready import Library, Trained, base_model, check_names, chosen_categories, importance
from tidemill.training.rows import Rows, refuse_missing

_PLACES = {
    "ensemble": ("AdaBoost", "ExtraTrees", "GradientBoosting", "HistGradientBoosting", "RandomForest"),
    "tree": ("DecisionTree", "ExtraTree"),
    "neighbors": ("KNeighbors",),
    "neural_network": ("MLP",),
}
ESTIMATORS: dict[str, str] = {
    **{f"{start}{end}": f"sklearn.{place}" for place, starts in _PLACES.items() for start in starts
       for end in ("Classifier", "Regressor")},
    **dict.fromkeys(
        ("ElasticNet", "Lasso", "LinearRegression", "LogisticRegression", "PoissonRegressor", "Ridge",
         "RidgeClassifier", "SGDClassifier", "SGDRegressor"), "sklearn.linear_model"),
    **dict.fromkeys(("LinearSVC", "LinearSVR", "SVC", "SVR"), "sklearn.svm"),
    **dict.fromkeys(("BernoulliNB", "GaussianNB"), "sklearn.naive_bayes"),
    "LinearDiscriminantAnalysis": "sklearn.discriminant_analysis",
}  # fmt: skip
"""Estimators by name -> the module that has them."""
NUMBERED = ("ensemble", "tree", "naive_bayes")
"""Modules whose estimators take a category's number as it is; the others get a column per category.
HistGradientBoosting could be told, but then holds a function, which no safe format should load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """See `SklearnTrainer`."""

    estimator: str = ""
    estimator_fn: Callable[..., Any] | None = None
    early_stopping_rounds: int = 20
    categorical: Sequence[str] | None = None
    seed: int = 0


def fit(args: FnArgs, rows: Rows, settings: Settings, params: dict[str, Any]) -> Trained:
    """Fit the estimator and save it."""
    library("sklearn", "sklearn")
    base = base_model(args, rows, "sklearn")
    if base is not None:
        estimator = _continued(base.predictor.estimator, params)
    else:
        estimator = _make(args, rows, settings, params)
    inner = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    name = type(inner).__name__
    _check_task(inner, name, rows.task)
    if not _takes_missing(inner):
        refuse_missing(
            rows,
            name,
            "use fill_null in preprocessing_fn, or estimator='HistGradientBoosting...', which takes them",
        )
    more: dict[str, Any] = {}
    if name.startswith("HistGradientBoosting"):
        more = _early_stopping(inner, rows, settings)
    if rows.train.weight is not None:
        more["sample_weight" if estimator is inner else f"{estimator.steps[-1][0]}__sample_weight"] = (
            rows.train.weight
        )
    try:
        estimator.fit(rows.train.x, rows.train.y, **more)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{name} refused to train: {' '.join(str(error).split())}", hint="check hyperparameters"
        ) from None
    saved = flavor.save(args.model_dir, estimator)
    details = {"estimator": name, **_facts(inner, rows if estimator is inner else None)}
    history = {
        split: {"score": [float(v) for v in scores]}
        for split, attribute in (("train", "train_score_"), ("eval", "validation_score_"))
        if len(scores := np.atleast_1d(getattr(inner, attribute, ()))) > 1
    }
    return Trained(saved, details, history, lambda: _to_onnx(estimator, rows))


def _make(args: FnArgs, rows: Rows, settings: Settings, params: dict[str, Any]) -> Any:
    """A fresh estimator, with columns per category before it where it needs them."""
    if settings.estimator_fn is not None:
        if settings.estimator:
            raise DataError("both estimator and estimator_fn are given", hint="give one of them")
        made = settings.estimator_fn(params)
        if not hasattr(made, "fit"):
            raise DataError(f"estimator_fn returned {type(made).__name__}, which has no fit")
        return made
    kind = "Regressor" if rows.task == "regression" else "Classifier"
    name = settings.estimator or f"HistGradientBoosting{kind}"
    if name not in ESTIMATORS:
        raise DataError(f"there is no estimator {name!r}", hint=did_you_mean(name, ESTIMATORS))
    estimator = getattr(importlib.import_module(ESTIMATORS[name]), name)()
    known = estimator.get_params()
    check_names(params, list(known), name)
    if "random_state" in known:
        params = {"random_state": settings.seed, **params}
    categories = chosen_categories(settings.categorical, args.transform_graph, rows)
    try:
        estimator.set_params(**params)
    except (ValueError, TypeError) as error:
        raise DataError(f"{name} refused its parameters: {error}") from None
    if not categories or ESTIMATORS[name].rpartition(".")[2] in NUMBERED:
        return estimator
    return _with_columns_per_category(estimator, sorted(categories))


def _with_columns_per_category(estimator: Any, positions: list[int]) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder

    columns = ColumnTransformer(
        [("categories", OneHotEncoder(handle_unknown="ignore"), positions)], remainder="passthrough"
    )
    return Pipeline([("columns", columns), ("model", estimator)])


def _continued(estimator: Any, params: dict[str, Any]) -> Any:
    """The base model's estimator, set to go on from where it is; DataError when it cannot."""
    inner = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    name = type(inner).__name__
    known = inner.get_params()
    if "warm_start" not in known:
        raise DataError(f"{name} cannot go on from a base model", hint="train it without base_model")
    check_names(params, list(known), name)
    inner.set_params(**params, warm_start=True)
    for counted in ("n_estimators", "max_iter"):  # of these, warm_start takes the total
        if counted in known and (counted == "n_estimators" or name.startswith("HistGradientBoosting")):
            have = len(inner.estimators_) if counted == "n_estimators" else inner.n_iter_
            inner.set_params(**{counted: have + inner.get_params()[counted]})
    return estimator


def _check_task(estimator: Any, name: str, task: str) -> None:
    from sklearn.base import is_classifier, is_regressor

    if (task == "regression" and is_classifier(estimator)) or (
        task != "regression" and is_regressor(estimator)
    ):
        kind = "Regressor" if task == "regression" else "Classifier"
        raise DataError(f"{name} is not for a {task} task", hint=f"take one whose name ends with {kind}")


def _takes_missing(estimator: Any) -> bool:
    from sklearn.utils import get_tags

    return bool(get_tags(estimator).input_tags.allow_nan)


def _early_stopping(estimator: Any, rows: Rows, settings: Settings) -> dict[str, Any]:
    """Stop early on the eval rows where there are some; never on a part of the rows to train."""
    wanted = rows.eval is not None and settings.early_stopping_rounds > 0
    if not wanted or rows.eval is None or estimator.get_params()["warm_start"]:
        estimator.set_params(early_stopping=False)
        return {}
    estimator.set_params(early_stopping=True, n_iter_no_change=settings.early_stopping_rounds)
    return {"X_val": rows.eval.x, "y_val": rows.eval.y, "sample_weight_val": rows.eval.weight}


def _facts(estimator: Any, rows: Rows | None) -> dict[str, Any]:
    """Iterations, and importances where the columns are the features themselves."""
    found: dict[str, Any] = {}
    iterations = getattr(estimator, "n_iter_", None)
    if iterations is not None:
        found["iterations"] = int(np.max(iterations))
    if rows is None:
        return found
    values = getattr(estimator, "feature_importances_", None)
    if values is None and (coefficients := getattr(estimator, "coef_", None)) is not None:
        values = np.abs(np.atleast_2d(np.asarray(coefficients))).mean(axis=0)
    if values is not None and len(values) == len(rows.columns):
        found["feature_importance"] = importance(rows, values)
    return found


def _to_onnx(estimator: Any, rows: Rows) -> Any:
    convert = library("skl2onnx", "onnx")
    options = None if rows.task == "regression" else {id(estimator): {"zipmap": False}}
    return convert.to_onnx(
        estimator, rows.train.x[:1].astype(np.float32), options=options, target_opset=OPSET
    )


LIBRARY = Library("scikit-learn", Settings, fit, np.float64)
