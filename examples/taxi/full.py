"""All eleven standard components, with a model of LightGBM or of scikit-learn: no training code of our own.

python examples/taxi/generate.py .tidemill/taxi/trips.csv
tidemill run examples/taxi/full.py:taxi_lightgbm
tidemill run examples/taxi/full.py:taxi_sklearn
tidemill serve .tidemill/taxi/serving-lightgbm
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from model import LABEL, preprocessing_fn

from tidemill import files, latest_blessed, pipeline
from tidemill.components import (
    BulkInferrer,
    Evaluator,
    ExampleGen,
    ExampleValidator,
    FloatRange,
    InfraValidator,
    IntRange,
    LightGBMTrainer,
    Pusher,
    SchemaGen,
    SklearnTrainer,
    StatisticsGen,
    Transform,
    Tuner,
)

TRIALS = 2
"""A first look; a search that is meant takes twenty or more."""
TRIPS = ".tidemill/taxi/trips.csv"
THRESHOLDS: dict[str, Any] = {"auc": {"lower": 0.75, "min_change": -0.01}}
SLICES: list[Any] = ["payment_type", ["trip_start_day", "trip_start_hour"]]


def full(
    data: str, destination: str, trainer: Any, settings: dict[str, Any], space: Mapping[str, Any]
) -> None:
    """The nodes around a trainer; it is the same pipeline whatever learns."""
    example_gen = ExampleGen(source=files(data))
    statistics_gen = StatisticsGen(examples=example_gen.outputs.examples)
    schema_gen = SchemaGen(statistics=statistics_gen.outputs.statistics)
    validator = ExampleValidator(
        statistics=statistics_gen.outputs.statistics, schema=schema_gen.outputs.schema
    )
    transform = Transform(
        examples=example_gen.outputs.examples,
        preprocessing_fn=preprocessing_fn,
        schema=schema_gen.outputs.schema,
    )
    validator >> transform  # nothing is learned from data that is not what the schema says
    tuner = Tuner(
        examples=transform.outputs.transformed,
        transform_graph=transform.outputs.transform_graph,
        trainer=trainer,
        arguments={"label": LABEL, **settings},
        space=space,
        metric="auc",
        num_trials=TRIALS,
        num_parallel_trials=2,
    )
    trained = trainer(
        examples=transform.outputs.transformed,
        transform_graph=transform.outputs.transform_graph,
        best_hyperparameters=tuner.outputs.best_hyperparameters,
        label=LABEL,
        **settings,
    ).with_id("Trainer")
    # The model gets raw rows from here on, as its clients will: it brings its transform graph along.
    evaluator = Evaluator(
        examples=example_gen.outputs.examples,
        model=trained.outputs.model,
        baseline_model=latest_blessed(trained.outputs.model),
        label=LABEL,
        metrics=["auc", "accuracy", "log_loss"],
        slices=SLICES,
        thresholds=THRESHOLDS,
    )
    infra_validator = InfraValidator(
        model=trained.outputs.model, examples=example_gen.outputs.examples, splits=["eval"]
    )
    Pusher(
        model=infra_validator.outputs.model_with_warmup,
        blessing=evaluator.outputs.blessing,
        infra_blessing=infra_validator.outputs.blessing,
        destination=destination,
    )
    BulkInferrer(
        examples=example_gen.outputs.examples,
        model=trained.outputs.model,
        blessing=evaluator.outputs.blessing,
        splits=["eval"],
    )


@pipeline
def taxi_lightgbm(data: str = TRIPS, serving: str = ".tidemill/taxi/serving-lightgbm") -> None:
    """Boosted trees."""
    space = {"learning_rate": FloatRange(0.03, 0.3, log=True), "num_leaves": IntRange(7, 63)}
    full(data, serving, LightGBMTrainer, {"num_boost_round": 60, "num_threads": 1}, space)


@pipeline
def taxi_sklearn(data: str = TRIPS, serving: str = ".tidemill/taxi/serving-sklearn") -> None:
    """A logistic regression."""
    settings = {"estimator": "LogisticRegression", "hyperparameters": {"max_iter": 300}}
    full(data, serving, SklearnTrainer, settings, {"C": FloatRange(0.01, 10.0, log=True)})
