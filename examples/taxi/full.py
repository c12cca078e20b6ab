"""All eleven standard components, with a model of LightGBM or of scikit-learn: no training code of our own.

python examples/taxi/generate.py .tidemill/taxi/trips.csv
tidemill run examples/taxi/full.py:taxi_lightgbm
tidemill run examples/taxi/full.py:taxi_sklearn
tidemill serve .tidemill/taxi/serving-lightgbm
"""

from __future__ import annotations

from typing import Any

from model import LABEL, preprocessing_fn

from tidemill import files, latest_blessed, pipeline
from tidemill.components import (
    BulkInferrer,
    Evaluator,
    ExampleGen,
    ExampleValidator,
    InfraValidator,
    LightGBMTrainer,
    Pusher,
    SchemaGen,
    SklearnTrainer,
    StatisticsGen,
    Transform,
)

TRIPS = ".tidemill/taxi/trips.csv"
THRESHOLDS: dict[str, Any] = {"auc": {"lower": 0.75, "min_change": -0.01}}
SLICES: list[Any] = ["payment_type", ["trip_start_day", "trip_start_hour"]]


def full(data: str, destination: str, trainer: Any, settings: dict[str, Any]) -> None:
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
    trained = trainer(
        examples=transform.outputs.transformed,
        transform_graph=transform.outputs.transform_graph,
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
    full(data, serving, LightGBMTrainer, {"num_boost_round": 60, "num_threads": 1})


@pipeline
def taxi_sklearn(data: str = TRIPS, serving: str = ".tidemill/taxi/serving-sklearn") -> None:
    """A logistic regression."""
    settings = {"estimator": "LogisticRegression", "hyperparameters": {"max_iter": 300}}
    full(data, serving, SklearnTrainer, settings)
