"""What a run_fn is given. It knows data handles and folders, nothing of artifacts or the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from tidemill.data.dataset import Dataset
from tidemill.data.transform import FittedGraph
from tidemill.errors import DataError
from tidemill.models.features import Array
from tidemill.models.manifest import ModelManifest, write_manifest
from tidemill.models.signature import Field, Signature, scalars
from tidemill.training import batches
from tidemill.training.reports import Reports
from tidemill.training.saving import Described, save_code, save_model

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
    reports: Reports = field(default_factory=Reports)
    """What `report` has kept."""

    def report(self, step: int, value: float) -> None:
        """Report an intermediate value, such as the loss after an epoch; steps must grow.

        It becomes the training curve in `log_dir`. In a trial of Tuner it may end the trial: a trial that
        does worse than others did at this step is pruned, by an exception that run_fn must let pass.
        """
        self.reports.add(step, value)

    def numpy_batches(
        self,
        split: str,
        columns: Sequence[str],
        *,
        batch_rows: int = 1024,
        epochs: int = 1,
        shuffle_seed: int | None = None,
    ) -> Iterator[dict[str, Array]]:
        """Batches of a split ("train" or "eval") as numpy arrays by column; a null is NaN.

        shuffle_seed: mixes the rows of each row group (about 100,000 rows), in another way each epoch; one
        row group is in memory at a time. Without, rows come in the order of the files.
        """
        return batches.numpy_batches(self._rows(split), columns, batch_rows, epochs, shuffle_seed)

    def torch_dataset(
        self,
        split: str,
        features: Sequence[str],
        label: str,
        *,
        batch_rows: int = 1024,
        shuffle_seed: int | None = None,
    ) -> Any:
        """A `torch.utils.data.IterableDataset` of (features, label) batches as tensors, one epoch each turn.

        Features are one float32 matrix, shape (rows, columns). Give it to
        `torch.utils.data.DataLoader(..., batch_size=None)`; several workers share the batches among them.
        """
        return batches.torch_dataset(self._rows(split), features, label, batch_rows, shuffle_seed)

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
            features=scalars(inputs or {}),
            signature=Signature(outputs=tuple(Field(name, "float") for name in outputs)),
            details=dict(details or {}),
        )
        write_manifest(self.model_dir, manifest)

    def save_model(
        self,
        model: Any,
        *,
        features: Sequence[str],
        task: str,
        label: str = "",
        classes: Sequence[int | float | str | bool] = (0, 1),
        details: Mapping[str, Any] | None = None,
        model_fn: Callable[..., Any] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        """Save a model of LightGBM, XGBoost, scikit-learn, Keras, PyTorch or ONNX, so that it can be served.

        features: the columns it was fed, in order. task: "binary", "multiclass" or "regression".
        classes: values of the label, in the order of probabilities; none for a regression.
        model_fn, arguments: for PyTorch, the function of yours that builds the module, kept as source.
        """
        described = Described(
            features=tuple(features),
            task=task,
            label=label,
            classes=() if task == "regression" else tuple(classes),
            details=dict(details or {}),
        )
        save_model(self.model_dir, self.train, model, described, model_fn, arguments)

    def save_code(
        self,
        predict_fn: Callable[..., Any],
        *,
        takes: str = "raw",
        outputs: Sequence[str] = ("prediction",),
        inputs: Mapping[str, str] | None = None,
        framework: str = "",
        task: str = "",
        label: str = "",
        details: Mapping[str, Any] | None = None,
        modules: Sequence[ModuleType] = (),
    ) -> None:
        """Keep `predict_fn(model_dir, rows)` as the model's own code, beside the numbers that it reads.

        The source of its module, and of `modules` that it imports, goes into the model. Whoever loads the
        model must allow its code to run. takes: whether `rows` are "raw" or "features".
        """
        manifest = ModelManifest(
            framework=framework,
            task=task,
            label=label,
            features=scalars(inputs or {}),
            signature=Signature(outputs=tuple(Field(name, "float") for name in outputs)),
            details=dict(details or {}),
        )
        save_code(self.model_dir, manifest, predict_fn, takes, modules)

    def _rows(self, split: str) -> Dataset:
        if split not in ("train", "eval"):
            raise DataError(f"there is no split {split!r} here", hint='say "train" or "eval"')
        return self.train if split == "train" else self.eval
