"""MLMD's system types: the base types that an artifact or execution type may have.

Each has `system_type`, the number to set as `base_type`, and `name`, which the store keeps for it.
"""

from __future__ import annotations

from typing import ClassVar

from tidemill.mlmd import metadata_store_pb2


class SystemType:
    """A base type; use one of its subclasses."""

    system_type: ClassVar[int]

    @property
    def name(self) -> str:
        """Name of the type in the store, `mlmd.Dataset` for example."""
        return f"mlmd.{type(self).__name__}"


class ArtifactType(SystemType):
    """A base type of artifact types."""


class ExecutionType(SystemType):
    """A base type of execution types."""


class Dataset(ArtifactType):
    """Data."""

    system_type = metadata_store_pb2.ArtifactType.DATASET


class Model(ArtifactType):
    """A trained model."""

    system_type = metadata_store_pb2.ArtifactType.MODEL


class Metrics(ArtifactType):
    """What an evaluation found."""

    system_type = metadata_store_pb2.ArtifactType.METRICS


class Statistics(ArtifactType):
    """What was computed about data."""

    system_type = metadata_store_pb2.ArtifactType.STATISTICS


class Train(ExecutionType):
    """Makes a model from data."""

    system_type = metadata_store_pb2.ExecutionType.TRAIN


class Transform(ExecutionType):
    """Makes data from data."""

    system_type = metadata_store_pb2.ExecutionType.TRANSFORM


class Process(ExecutionType):
    """Reads data and computes something else."""

    system_type = metadata_store_pb2.ExecutionType.PROCESS


class Evaluate(ExecutionType):
    """Judges a model."""

    system_type = metadata_store_pb2.ExecutionType.EVALUATE


class Deploy(ExecutionType):
    """Puts a model to use."""

    system_type = metadata_store_pb2.ExecutionType.DEPLOY
