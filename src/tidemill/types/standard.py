"""The standard artifact types, with TFX's names and TFX's declared properties.

Source: tfx/types/standard_artifacts.py (names, properties, system base types). What TFX writes as
custom properties (for example `blessed`) stays a custom property here, so that both projects
register identical types in one metadata store.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from tidemill.types.artifact import Artifact, Property, ValueArtifact


class _WithSplits(Artifact):
    """Artifacts made of named splits, each in a folder `Split-<name>` (TFX's layout)."""

    split_names = Property(str, "JSON list of split names")

    @property
    def splits(self) -> list[str]:
        """The split names, in order; empty when none is recorded."""
        return list(json.loads(self.split_names)) if self.split_names else []

    @splits.setter
    def splits(self, names: list[str]) -> None:
        self.split_names = json.dumps(names)


class Examples(_WithSplits):
    """Rows of training data: Parquet files per split."""

    BASE_TYPE = "Dataset"
    span = Property(int, "the period the rows belong to; for dates, days since 1970-01-01")
    version = Property(int, "which delivery of that span")
    num_rows = Property(int, "rows in all splits", custom=True)
    num_bad_rows = Property(int, "rows that could not be read and are in `Quarantine`", custom=True)
    fingerprint = Property(str, "digest of the content of the files that were read", custom=True)


class ExampleStatistics(_WithSplits):
    """Summaries of each column of Examples, per split."""

    BASE_TYPE = "Statistics"
    span = Property(int, "span of the examples")
    num_rows = Property(int, "rows in all splits", custom=True)


class Schema(Artifact):
    """What the columns of Examples must look like."""


class ExampleAnomalies(_WithSplits):
    """Where statistics break the schema."""

    BASE_TYPE = "Statistics"
    span = Property(int, "span of the examples")
    blessed = Property(int, "1 when no anomaly is an error", custom=True)
    num_anomalies = Property(int, "anomalies of every severity", custom=True)


class ExamplesDiff(_WithSplits):
    """What differs between two Examples, row by row."""

    BASE_TYPE = "Dataset"
    num_left_only = Property(int, "rows that only the examples have", custom=True)
    num_right_only = Property(int, "rows that only the baseline has", custom=True)
    num_changed = Property(int, "rows that both have, and that differ", custom=True)


class TransformGraph(Artifact):
    """The fitted preprocessing graph: the same operations for training and serving."""


class TransformCache(Artifact):
    """Analyzer results that a later Transform can reuse."""

    BASE_TYPE = "Dataset"


class Model(Artifact):
    """A trained model: a folder with a manifest and the framework's own files."""

    BASE_TYPE = "Model"


class ModelRun(Artifact):
    """Logs and checkpoints of a training run."""


class ModelEvaluation(Artifact):
    """Metrics of a model, overall and per slice."""

    BASE_TYPE = "Metrics"


class ModelBlessing(Artifact):
    """The Evaluator's verdict on a model."""

    blessed = Property(int, "1 when the model passed every threshold", custom=True)
    reason = Property(str, "why, in one line", custom=True)
    current_model_id = Property(int, "id of the model that was judged", custom=True)
    baseline_model_id = Property(int, "id of the model it was compared with; 0 for none", custom=True)
    rubber_stamped = Property(int, "1 when changes were demanded, and there was no baseline", custom=True)


class InfraBlessing(Artifact):
    """The InfraValidator's verdict on a model."""

    blessed = Property(int, "1 when the model could be served", custom=True)
    reason = Property(str, "why, in one line", custom=True)


class PushedModel(Artifact):
    """A model in its serving place."""

    BASE_TYPE = "Model"
    pushed = Property(int, "1 when a version was written, 0 when the push was refused", custom=True)
    pushed_version = Property(str, "name of the version folder", custom=True)
    pushed_destination = Property(str, "the version's own URI", custom=True)
    reason = Property(str, "why, in one line", custom=True)


class InferenceResult(_WithSplits):
    """Predictions of a model for Examples: Parquet files per split."""

    BASE_TYPE = "Dataset"
    num_rows = Property(int, "rows in all splits", custom=True)
    model_version = Property(str, "beginning of the model's digest", custom=True)
    reason = Property(str, "why there are no predictions, in one line", custom=True)


class HyperParameters(Artifact):
    """The best hyperparameters a Tuner found."""


class TunerResults(Artifact):
    """Every trial of a Tuner."""


class DataView(Artifact):
    """How to read a payload as a table."""


class String(ValueArtifact):
    """One str."""

    VALUE_TYPE: ClassVar[type] = str
    value: str


class Bytes(ValueArtifact):
    """One bytes value."""

    VALUE_TYPE: ClassVar[type] = bytes
    value: bytes


class Integer(ValueArtifact):
    """One int."""

    VALUE_TYPE: ClassVar[type] = int
    value: int


class Float(ValueArtifact):
    """One float."""

    VALUE_TYPE: ClassVar[type] = float
    value: float


class Boolean(ValueArtifact):
    """One bool."""

    VALUE_TYPE: ClassVar[type] = bool
    value: bool


class JsonValue(ValueArtifact):
    """One value made of dict, list, str, int, float, bool and None."""

    VALUE_TYPE: ClassVar[type] = object
    value: Any


STANDARD: dict[str, type[Artifact]] = {
    cls.TYPE_NAME: cls
    for cls in (
        Examples, ExampleStatistics, Schema, ExampleAnomalies, ExamplesDiff, TransformGraph, TransformCache,
        Model, ModelRun, ModelEvaluation, ModelBlessing, InfraBlessing, PushedModel, InferenceResult,
        HyperParameters, TunerResults, DataView, String, Bytes, Integer, Float, Boolean, JsonValue,
    )
}  # fmt: skip
"""Every standard type by its name in the store."""
