"""What a run_fn is given. It knows data handles and folders, nothing of artifacts or the pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidemill.data.dataset import Dataset
from tidemill.data.model_manifest import ModelManifest, write_manifest
from tidemill.data.transform import FittedGraph

__all__ = ["Dataset", "FnArgs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FnArgs:
    """The arguments of one training run.

    `train` and `eval` are rows as Trainer's `examples` have them: transformed already, when these are the
    transformed examples. Everything that belongs to the model goes into `model_dir`, an empty folder;
    logs, checkpoints and curves into `log_dir`.
    """

    train: Dataset
    eval: Dataset
    model_dir: Path
    log_dir: Path
    transform_graph: FittedGraph | None = None
    base_model_dir: Path | None = None
    """Folder of the model to start from, if Trainer was given one."""
    schema_dir: Path | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    custom_config: Mapping[str, Any] = field(default_factory=dict)

    def describe_model(
        self,
        *,
        framework: str = "",
        framework_version: str = "",
        inputs: Mapping[str, str] | None = None,
        outputs: Sequence[str] = (),
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Put into `model.json` what only run_fn knows; Trainer adds versions and the transform graph.

        framework: name of the distribution that loads the model, such as "scikit-learn".
        inputs: columns the model is fed, in order, with their types.
        details: plain JSON, such as the final loss.
        """
        manifest = ModelManifest(
            framework=framework,
            framework_version=framework_version,
            inputs=dict(inputs or {}),
            outputs=tuple(outputs),
            details=dict(details or {}),
        )
        write_manifest(self.model_dir, manifest)
