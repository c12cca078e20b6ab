"""The standard components, by name. Each is loaded when it is first used, and only its declaration."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidemill.components.bulk_inferrer.component import BulkInferrer
    from tidemill.components.distribution_validator.component import DistributionValidator
    from tidemill.components.evaluator.component import Evaluator
    from tidemill.components.example_diff.component import ExampleDiff
    from tidemill.components.example_gen.component import ExampleGen
    from tidemill.components.example_validator.component import ExampleValidator
    from tidemill.components.infra_validator.component import InfraValidator
    from tidemill.components.pusher.component import Pusher
    from tidemill.components.schema_gen.component import ImportSchemaGen, SchemaGen
    from tidemill.components.statistics_gen.component import StatisticsGen
    from tidemill.components.trainer.component import (
        KerasTrainer,
        LightGBMTrainer,
        SklearnTrainer,
        TorchTrainer,
        Trainer,
        XGBoostTrainer,
    )
    from tidemill.components.transform.component import Transform
    from tidemill.components.tuner.component import Tuner
    from tidemill.types.search import Choice, FloatRange, IntRange

__all__ = [
    "BulkInferrer",
    "Choice",
    "DistributionValidator",
    "Evaluator",
    "ExampleDiff",
    "ExampleGen",
    "ExampleValidator",
    "FloatRange",
    "ImportSchemaGen",
    "InfraValidator",
    "IntRange",
    "KerasTrainer",
    "LightGBMTrainer",
    "Pusher",
    "SchemaGen",
    "SklearnTrainer",
    "StatisticsGen",
    "TorchTrainer",
    "Trainer",
    "Transform",
    "Tuner",
    "XGBoostTrainer",
]

_FOLDERS = {
    "BulkInferrer": "bulk_inferrer",
    "DistributionValidator": "distribution_validator",
    "Evaluator": "evaluator",
    "ExampleDiff": "example_diff",
    "ExampleGen": "example_gen",
    "ExampleValidator": "example_validator",
    "ImportSchemaGen": "schema_gen",
    "InfraValidator": "infra_validator",
    "KerasTrainer": "trainer",
    "LightGBMTrainer": "trainer",
    "Pusher": "pusher",
    "SchemaGen": "schema_gen",
    "SklearnTrainer": "trainer",
    "StatisticsGen": "statistics_gen",
    "TorchTrainer": "trainer",
    "Trainer": "trainer",
    "Transform": "transform",
    "Tuner": "tuner",
    "XGBoostTrainer": "trainer",
}


_SEARCHED = ("Choice", "FloatRange", "IntRange")
"""What Tuner's search space is made of."""


def __getattr__(name: str) -> Any:
    if name in _SEARCHED:
        return getattr(importlib.import_module("tidemill.types.search"), name)
    if name in _FOLDERS:
        return getattr(importlib.import_module(f"tidemill.components.{_FOLDERS[name]}.component"), name)
    if name.startswith("_"):
        raise AttributeError(name)
    from tidemill.errors import did_you_mean

    raise AttributeError(f"there is no standard component {name!r}: {did_you_mean(name, _FOLDERS)}")


def __dir__() -> list[str]:
    return sorted(__all__)
