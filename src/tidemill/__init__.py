"""tidemill: ML pipelines with typed artifacts, lineage and caching.

Public names are imported when they are first used, so that `import tidemill` stays cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "tidemill.dsl.component": ("Component", "Input", "Output", "Outputs", "component"),
    "tidemill.dsl.control": (
        "Else", "ElseWhen", "ForEach", "When", "approval", "collect", "importer", "on_exit", "one_of",
    ),
    "tidemill.dsl.environment": ("Container", "VirtualEnv"),
    "tidemill.dsl.heartbeat": ("heartbeat",),
    "tidemill.dsl.node": ("Node",),
    "tidemill.dsl.options": ("NodeOptions", "Resources"),
    "tidemill.dsl.pipeline": ("Pipeline", "pipeline"),
    "tidemill.dsl.placeholder": ("env", "files", "not_", "run"),
    "tidemill.dsl.resolver": ("choose", "latest", "latest_blessed", "latest_many", "rolling_window", "spans"),
    "tidemill.dsl.retry": ("Retry", "Rule"),
    "tidemill.dsl.arrival": ("OnArtifact", "OnAsset", "OnFiles"),
    "tidemill.dsl.schedule": ("Schedule",),
    "tidemill.errors": (
        "DataError", "DefinitionError", "ExecutorError", "PermanentError", "ResolutionError", "RunFailed",
        "RunnerError", "StorageError", "StoreError", "TidemillError", "TransientError", "ValidationFailed",
    ),
    "tidemill.types.artifact": ("Artifact", "Property"),
    "tidemill.types.parameter_schema": ("Allowed",),
    "tidemill.types.source": ("FileSet",),
    "tidemill.types.standard": (
        "Boolean", "Bytes", "DataView", "ExampleAnomalies", "ExampleStatistics", "Examples", "Float",
        "HyperParameters", "InferenceResult", "InfraBlessing", "Integer", "JsonValue", "Model",
        "ModelBlessing", "ModelEvaluation", "ModelRun", "PushedModel", "Schema", "String",
        "TransformCache", "TransformGraph", "TunerResults",
    ),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME_OF, "__version__"])  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:
    from tidemill.dsl.arrival import OnArtifact as OnArtifact
    from tidemill.dsl.arrival import OnAsset as OnAsset
    from tidemill.dsl.arrival import OnFiles as OnFiles
    from tidemill.dsl.component import Component as Component
    from tidemill.dsl.component import Input as Input
    from tidemill.dsl.component import Output as Output
    from tidemill.dsl.component import Outputs as Outputs
    from tidemill.dsl.component import component as component
    from tidemill.dsl.control import Else as Else
    from tidemill.dsl.control import ElseWhen as ElseWhen
    from tidemill.dsl.control import ForEach as ForEach
    from tidemill.dsl.control import When as When
    from tidemill.dsl.control import approval as approval
    from tidemill.dsl.control import collect as collect
    from tidemill.dsl.control import importer as importer
    from tidemill.dsl.control import on_exit as on_exit
    from tidemill.dsl.control import one_of as one_of
    from tidemill.dsl.environment import Container as Container
    from tidemill.dsl.environment import VirtualEnv as VirtualEnv
    from tidemill.dsl.heartbeat import heartbeat as heartbeat
    from tidemill.dsl.node import Node as Node
    from tidemill.dsl.options import NodeOptions as NodeOptions
    from tidemill.dsl.options import Resources as Resources
    from tidemill.dsl.pipeline import Pipeline as Pipeline
    from tidemill.dsl.pipeline import pipeline as pipeline
    from tidemill.dsl.placeholder import env as env
    from tidemill.dsl.placeholder import files as files
    from tidemill.dsl.placeholder import not_ as not_
    from tidemill.dsl.placeholder import run as run
    from tidemill.dsl.resolver import choose as choose
    from tidemill.dsl.resolver import latest as latest
    from tidemill.dsl.resolver import latest_blessed as latest_blessed
    from tidemill.dsl.resolver import latest_many as latest_many
    from tidemill.dsl.resolver import rolling_window as rolling_window
    from tidemill.dsl.resolver import spans as spans
    from tidemill.dsl.retry import Retry as Retry
    from tidemill.dsl.retry import Rule as Rule
    from tidemill.dsl.schedule import Schedule as Schedule
    from tidemill.errors import DataError as DataError
    from tidemill.errors import DefinitionError as DefinitionError
    from tidemill.errors import ExecutorError as ExecutorError
    from tidemill.errors import PermanentError as PermanentError
    from tidemill.errors import ResolutionError as ResolutionError
    from tidemill.errors import RunFailed as RunFailed
    from tidemill.errors import RunnerError as RunnerError
    from tidemill.errors import StorageError as StorageError
    from tidemill.errors import StoreError as StoreError
    from tidemill.errors import TidemillError as TidemillError
    from tidemill.errors import TransientError as TransientError
    from tidemill.errors import ValidationFailed as ValidationFailed
    from tidemill.types.artifact import Artifact as Artifact
    from tidemill.types.artifact import Property as Property
    from tidemill.types.parameter_schema import Allowed as Allowed
    from tidemill.types.source import FileSet as FileSet
    from tidemill.types.standard import Boolean as Boolean
    from tidemill.types.standard import Bytes as Bytes
    from tidemill.types.standard import DataView as DataView
    from tidemill.types.standard import ExampleAnomalies as ExampleAnomalies
    from tidemill.types.standard import Examples as Examples
    from tidemill.types.standard import ExampleStatistics as ExampleStatistics
    from tidemill.types.standard import Float as Float
    from tidemill.types.standard import HyperParameters as HyperParameters
    from tidemill.types.standard import InferenceResult as InferenceResult
    from tidemill.types.standard import InfraBlessing as InfraBlessing
    from tidemill.types.standard import Integer as Integer
    from tidemill.types.standard import JsonValue as JsonValue
    from tidemill.types.standard import Model as Model
    from tidemill.types.standard import ModelBlessing as ModelBlessing
    from tidemill.types.standard import ModelEvaluation as ModelEvaluation
    from tidemill.types.standard import ModelRun as ModelRun
    from tidemill.types.standard import PushedModel as PushedModel
    from tidemill.types.standard import Schema as Schema
    from tidemill.types.standard import String as String
    from tidemill.types.standard import TransformCache as TransformCache
    from tidemill.types.standard import TransformGraph as TransformGraph
    from tidemill.types.standard import TunerResults as TunerResults


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        from tidemill.errors import did_you_mean

        raise AttributeError(f"module 'tidemill' has no attribute {name!r}: {did_you_mean(name, _HOME_OF)}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
