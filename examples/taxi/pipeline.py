"""TFX's taxi pipeline: from a CSV file to a pushed model, with all eight standard components.

python examples/taxi/generate.py .tidemill/taxi/trips.csv
tidemill run examples/taxi/pipeline.py
"""

from __future__ import annotations

from model import LABEL, predict_fn, preprocessing_fn, run_fn

from tidemill import files, latest_blessed, pipeline
from tidemill.components import (
    Evaluator,
    ExampleGen,
    ExampleValidator,
    Pusher,
    SchemaGen,
    StatisticsGen,
    Trainer,
    Transform,
)


@pipeline(name="taxi")
def taxi(
    data: str = ".tidemill/taxi/trips.csv", serving: str = ".tidemill/taxi/serving", max_iter: int = 300
) -> None:
    """The arguments are runtime parameters; paths start where the run was started."""
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
    trainer = Trainer(
        examples=transform.outputs.transformed,
        run_fn=run_fn,
        transform_graph=transform.outputs.transform_graph,
        hyperparameters={"max_iter": max_iter},
    )
    evaluator = Evaluator(
        examples=example_gen.outputs.examples,
        model=trainer.outputs.model,
        baseline_model=latest_blessed(trainer.outputs.model),
        predict_fn=predict_fn,
        label=LABEL,
        metrics=["auc", "accuracy", "log_loss"],
        slices=["payment_type", ["trip_start_day", "trip_start_hour"]],
        thresholds={"auc": {"lower": 0.75, "min_change": -0.01}},
    )
    Pusher(model=trainer.outputs.model, blessing=evaluator.outputs.blessing, destination=serving)
    validator >> transform  # nothing is learned from data that is not what the schema says
