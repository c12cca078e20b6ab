"""The recommender's night: read the day that ended, check it, train on three good days, push if better.

    tidemill run examples/recommender/pipeline.py --date 2026-03-02

The day must exist as a CSV file; `simulate.py` writes such files, and `demo.py` does it all for five days.
"""

from __future__ import annotations

from model import CUT, evaluate_fn, preprocessing_fn, run_fn

from tidemill import Schedule, files, latest_blessed, pipeline, rolling_window, run
from tidemill.components import (
    Evaluator,
    ExampleGen,
    ExampleValidator,
    ImportSchemaGen,
    Pusher,
    StatisticsGen,
    Trainer,
    Transform,
)

THRESHOLDS: dict[str, dict[str, float | str]] = {
    "lift_over_popularity": {"lower": 1.2},
    "ndcg@10": {"min_change": 0.002, "direction": "higher"},
}
"""Clearly better than the list of best sellers, and better than the champion by more than dust."""


@pipeline(name="recommender", schedule=Schedule("@daily"))
def recommender(
    data: str = ".tidemill/recommender/data",
    schema_file: str = "examples/recommender/schema.yaml",
    serving: str = ".tidemill/recommender/serving",
    factors: int = 32,
) -> None:
    """Retrain on the last three good days; push when better than the champion.

    The arguments are runtime parameters; paths start where the run was started.
    """
    example_gen = ExampleGen(
        source=files(f"{data}/interactions-{{YYYY}}-{{MM}}-{{DD}}.csv", date=run.date),
        splits={"train": 2, "eval": 1},
        order_by="timestamp",
        cut_points=[CUT],
    )
    statistics_gen = StatisticsGen(examples=example_gen.outputs.examples)
    schema_gen = ImportSchemaGen(schema_file=files(schema_file))
    validator = ExampleValidator(
        statistics=statistics_gen.outputs.statistics, schema=schema_gen.outputs.schema
    )
    # A day that failed validation is never part of anybody's window; the window then reaches further back.
    transform = Transform(
        examples=rolling_window(example_gen.outputs.examples, spans=3, passed=validator),
        preprocessing_fn=preprocessing_fn,
    )
    trainer = Trainer(
        examples=transform.outputs.transformed,
        transform_graph=transform.outputs.transform_graph,
        run_fn=run_fn,
        hyperparameters={"factors": factors},
    )
    # Both models are judged on the raw rows of the same day: the evening counts, the hours before it
    # only tell which items a user has had already.
    evaluator = Evaluator(
        examples=example_gen.outputs.examples,
        model=trainer.outputs.model,
        baseline_model=latest_blessed(trainer.outputs.model),
        evaluate_fn=evaluate_fn,
        splits=["train", "eval"],
        thresholds=THRESHOLDS,
    )
    Pusher(
        model=trainer.outputs.model,
        blessing=evaluator.outputs.blessing,
        destination=serving,
        as_of=run.date,
    )
