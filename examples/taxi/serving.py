"""From trips to a served model: LightGBM, a server asked with real rows, a push, predictions in bulk.

python examples/taxi/generate.py .tidemill/taxi/trips.csv
tidemill run examples/taxi/serving.py
tidemill serve .tidemill/taxi/served --name taxi
"""

from __future__ import annotations

from model import LABEL, preprocessing_fn

from tidemill import files, pipeline
from tidemill.components import (
    BulkInferrer,
    ExampleGen,
    InfraValidator,
    LightGBMTrainer,
    Pusher,
    SchemaGen,
    StatisticsGen,
    Transform,
)


@pipeline(name="taxi_served")
def taxi_served(data: str = ".tidemill/taxi/trips.csv", serving: str = ".tidemill/taxi/served") -> None:
    """The arguments are runtime parameters; paths start where the run was started."""
    examples = ExampleGen(source=files(data)).outputs.examples
    schema = SchemaGen(statistics=StatisticsGen(examples=examples).outputs.statistics).outputs.schema
    transform = Transform(examples=examples, preprocessing_fn=preprocessing_fn, schema=schema)
    trainer = LightGBMTrainer(
        examples=transform.outputs.transformed,
        label=LABEL,
        transform_graph=transform.outputs.transform_graph,
        num_boost_round=50,
        num_threads=1,
    )
    infra = InfraValidator(model=trainer.outputs.model, examples=examples, splits=["eval"])
    Pusher(
        model=infra.outputs.model_with_warmup,
        infra_blessing=infra.outputs.blessing,
        destination=serving,
    )
    BulkInferrer(
        examples=examples,
        model=trainer.outputs.model,
        splits=["eval"],
        outputs={"probability": "tip_probability"},
        carry=["trip_start_timestamp", "company"],
    )
