"""The taxi pipeline without code for training or prediction: ready trainers, models for load_model.

    python examples/taxi/generate.py .tidemill/taxi/trips.csv
    tidemill run examples/taxi/ready.py:taxi_lightgbm
    tidemill run examples/taxi/ready.py:taxi_sklearn
    tidemill run examples/taxi/ready.py:taxi_tuned

The features are those of `model.py`. The last one searches LightGBM's hyperparameters first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from model import LABEL, preprocessing_fn

from tidemill import files, latest_blessed, pipeline
from tidemill.components import (
    Evaluator,
    ExampleGen,
    FloatRange,
    IntRange,
    LightGBMTrainer,
    Pusher,
    SchemaGen,
    SklearnTrainer,
    StatisticsGen,
    Transform,
    Tuner,
)

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pyarrow as pa

    from tidemill import Examples, Model, TransformGraph

DATA, SERVING = ".tidemill/taxi/trips.csv", ".tidemill/taxi/serving-ready"


def probability(model_dir: Path, rows: pa.Table) -> np.ndarray:
    """What any ready model says of raw rows."""
    from tidemill.models import load_model

    return load_model(model_dir).predict(rows)["probability"]


def features(data: str) -> tuple[Examples, Examples, TransformGraph]:
    """Raw examples, transformed examples and the graph between them."""
    examples = ExampleGen(source=files(data)).outputs.examples
    statistics = StatisticsGen(examples=examples).outputs.statistics
    schema = SchemaGen(statistics=statistics).outputs.schema
    transform = Transform(examples=examples, preprocessing_fn=preprocessing_fn, schema=schema)
    return examples, transform.outputs.transformed, transform.outputs.transform_graph


def judge_and_push(model: Model, examples: Examples, serving: str) -> None:
    """Judge the model on raw rows against the champion, and push it if it is not worse."""
    evaluator = Evaluator(
        examples=examples,
        model=model,
        baseline_model=latest_blessed(model),
        predict_fn=probability,
        label=LABEL,
        metrics=["auc", "accuracy", "log_loss"],
        slices=["payment_type"],
        thresholds={"auc": {"lower": 0.75, "min_change": -0.01}},
    )
    Pusher(model=model, blessing=evaluator.outputs.blessing, destination=serving)


@pipeline
def taxi_lightgbm(data: str = DATA, serving: str = SERVING, rounds: int = 50) -> None:
    """Gradient boosted trees of LightGBM."""
    examples, transformed, graph = features(data)
    trainer = LightGBMTrainer(transformed, LABEL, transform_graph=graph, num_boost_round=rounds)
    judge_and_push(trainer.outputs.model, examples, serving)


@pipeline
def taxi_sklearn(data: str = DATA, serving: str = SERVING) -> None:
    """A logistic regression of scikit-learn, with a column per category."""
    examples, transformed, graph = features(data)
    trainer = SklearnTrainer(
        transformed, LABEL, estimator="LogisticRegression", transform_graph=graph,
        hyperparameters={"max_iter": 300},
    )  # fmt: skip
    judge_and_push(trainer.outputs.model, examples, serving)


@pipeline
def taxi_tuned(data: str = DATA, serving: str = SERVING) -> None:
    """LightGBM with the best of twelve hyperparameters."""
    examples, transformed, graph = features(data)
    tuner = Tuner(
        transformed,
        {"learning_rate": FloatRange(0.02, 0.3, log=True), "num_leaves": IntRange(4, 64, log=True)},
        metric="auc",
        trainer=LightGBMTrainer,
        arguments={"label": LABEL, "num_boost_round": 50},
        transform_graph=graph,
        num_trials=12,
        num_parallel_trials=2,
        pruner="median",
    )
    trainer = LightGBMTrainer(
        transformed, LABEL, transform_graph=graph, num_boost_round=50,
        best_hyperparameters=tuner.outputs.best_hyperparameters,
    )  # fmt: skip
    judge_and_push(trainer.outputs.model, examples, serving)
