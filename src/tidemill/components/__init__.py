"""The standard components, by name. Each is loaded when it is first used, and only its declaration."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidemill.components.distribution_validator.component import DistributionValidator
    from tidemill.components.evaluator.component import Evaluator
    from tidemill.components.example_diff.component import ExampleDiff
    from tidemill.components.example_gen.component import ExampleGen
    from tidemill.components.example_validator.component import ExampleValidator
    from tidemill.components.pusher.component import Pusher
    from tidemill.components.schema_gen.component import ImportSchemaGen, SchemaGen
    from tidemill.components.statistics_gen.component import StatisticsGen
    from tidemill.components.trainer.component import Trainer
    from tidemill.components.transform.component import Transform

__all__ = [
    "DistributionValidator",
    "Evaluator",
    "ExampleDiff",
    "ExampleGen",
    "ExampleValidator",
    "ImportSchemaGen",
    "Pusher",
    "SchemaGen",
    "StatisticsGen",
    "Trainer",
    "Transform",
]

_FOLDERS = {
    "DistributionValidator": "distribution_validator",
    "Evaluator": "evaluator",
    "ExampleDiff": "example_diff",
    "ExampleGen": "example_gen",
    "ExampleValidator": "example_validator",
    "ImportSchemaGen": "schema_gen",
    "Pusher": "pusher",
    "SchemaGen": "schema_gen",
    "StatisticsGen": "statistics_gen",
    "Trainer": "trainer",
    "Transform": "transform",
}


def __getattr__(name: str) -> Any:
    if name in _FOLDERS:
        return getattr(importlib.import_module(f"tidemill.components.{_FOLDERS[name]}.component"), name)
    if name.startswith("_"):
        raise AttributeError(name)
    from tidemill.errors import did_you_mean

    raise AttributeError(f"there is no standard component {name!r}: {did_you_mean(name, _FOLDERS)}")


def __dir__() -> list[str]:
    return sorted(__all__)
