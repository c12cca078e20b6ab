"""What the trainers take and give; their work is in `executor` and `ready`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tidemill.dsl.component import Input, Outputs, component
from tidemill.types.standard import Examples, HyperParameters, Model, ModelRun, Schema, TransformGraph


class TrainerOutputs(Outputs):
    """The model, and the traces of its training."""

    model: Model
    model_run: ModelRun


@component(executor="tidemill.components.trainer.executor:run")
def Trainer(
    examples: Input[Examples | list[Examples]],
    run_fn: Callable[..., Any],
    *,
    transform_graph: Input[TransformGraph] | None = None,
    schema: Input[Schema] | None = None,
    base_model: Input[Model] | None = None,
    best_hyperparameters: Input[HyperParameters] | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    custom_config: Mapping[str, Any] | None = None,
    train_splits: Sequence[str] = ("train",),
    eval_splits: Sequence[str] = ("eval",),
    allow_pickle: bool = False,
) -> TrainerOutputs:
    """Train a model with user code.

    run_fn: called with one `tidemill.components.trainer.fn_args.FnArgs`; writes the model's files to
        `args.model_dir` and returns nothing. `args.save_model(...)` writes them so that they can be served.
    transform_graph: copied into the model, so that it can be fed raw rows.
    base_model: a model to start from (warm start).
    best_hyperparameters: what a Tuner found; they take the place of `hyperparameters` of the same name.
    hyperparameters, custom_config: plain values handed on to run_fn.
    allow_pickle: accept pickled files (.pkl, .joblib, ...) in the model. Whoever loads one runs its code.

    Adds `model.json` to the model: framework, versions, signature, hashes, digest of the transform graph.
    Errors: DataError when run_fn writes no file, writes pickles, or names a split that is not there; what
    run_fn raises is shown as it is.
    """


@component(executor="tidemill.components.trainer.ready:run_lightgbm")
def LightGBMTrainer(
    examples: Input[Examples | list[Examples]],
    label: str,
    *,
    transform_graph: Input[TransformGraph] | None = None,
    schema: Input[Schema] | None = None,
    base_model: Input[Model] | None = None,
    best_hyperparameters: Input[HyperParameters] | None = None,
    features: Sequence[str] = (),
    weight: str = "",
    task: str = "",
    hyperparameters: Mapping[str, Any] | None = None,
    num_boost_round: int = 200,
    early_stopping_rounds: int = 20,
    categorical: Sequence[str] | None = None,
    seed: int = 0,
    num_threads: int = 0,
    onnx: bool = False,
    train_splits: Sequence[str] = ("train",),
    eval_splits: Sequence[str] = ("eval",),
) -> TrainerOutputs:
    """Train LightGBM without user code. Needs `tidemill[lightgbm]`.

    label: column to learn; rows without one are left out.
    features: columns to learn from; all outputs of the transform graph but label and weight by default.
    weight: column with the weight of each row.
    task: "binary", "multiclass" or "regression"; found from the label where it is clear.
    hyperparameters: LightGBM's own parameters, by any of its names. One with the name of a parameter here
        (`num_boost_round`) takes its place; so do those of `best_hyperparameters`.
    early_stopping_rounds: stop when the first metric of the eval splits has not improved for so many rounds,
        and keep the best; 0 never stops. Without eval rows it trains all rounds.
    categorical: features whose numbers are categories; by default those made by a vocabulary.
    base_model: a model of this trainer to go on from, with the same features and label.
    num_threads: 0 takes all cores.
    onnx: keep the model as ONNX as well, when it converts and gives the same on a sample.

    The model has a signature and can be opened by `load_model`. `model_run` has `history.json` and
    `curve.jsonl`; `details` of model.json has importances (total gain) and the best iteration.
    Errors: DataError for what columns or hyperparameters have wrong.
    """


@component(executor="tidemill.components.trainer.ready:run_xgboost")
def XGBoostTrainer(
    examples: Input[Examples | list[Examples]],
    label: str,
    *,
    transform_graph: Input[TransformGraph] | None = None,
    schema: Input[Schema] | None = None,
    base_model: Input[Model] | None = None,
    best_hyperparameters: Input[HyperParameters] | None = None,
    features: Sequence[str] = (),
    weight: str = "",
    task: str = "",
    hyperparameters: Mapping[str, Any] | None = None,
    num_boost_round: int = 200,
    early_stopping_rounds: int = 20,
    seed: int = 0,
    num_threads: int = 0,
    onnx: bool = False,
    train_splits: Sequence[str] = ("train",),
    eval_splits: Sequence[str] = ("eval",),
) -> TrainerOutputs:
    """Train XGBoost without user code. Needs `tidemill[xgboost]`, or the package `xgboost-cpu`.

    hyperparameters: XGBoost's own parameters. All others are as in `LightGBMTrainer`; numbers of categories
    are taken as numbers.
    """


@component(executor="tidemill.components.trainer.ready:run_sklearn")
def SklearnTrainer(
    examples: Input[Examples | list[Examples]],
    label: str,
    *,
    estimator: str = "",
    estimator_fn: Callable[..., Any] | None = None,
    transform_graph: Input[TransformGraph] | None = None,
    schema: Input[Schema] | None = None,
    base_model: Input[Model] | None = None,
    best_hyperparameters: Input[HyperParameters] | None = None,
    features: Sequence[str] = (),
    weight: str = "",
    task: str = "",
    hyperparameters: Mapping[str, Any] | None = None,
    early_stopping_rounds: int = 20,
    categorical: Sequence[str] | None = None,
    seed: int = 0,
    onnx: bool = False,
    train_splits: Sequence[str] = ("train",),
    eval_splits: Sequence[str] = ("eval",),
) -> TrainerOutputs:
    """Train an estimator of scikit-learn without user code. Needs `tidemill[sklearn]`.

    estimator: its class name, such as "LogisticRegression"; HistGradientBoosting by default.
    estimator_fn: instead, a function of yours that takes the hyperparameters and returns an estimator or a
        Pipeline, unfitted.
    hyperparameters: the estimator's own parameters.
    categorical: features whose numbers are categories; by default those made by a vocabulary. Linear models,
        neighbours and networks get a column per category; trees take the numbers.
    early_stopping_rounds: for HistGradientBoosting, on the eval splits; 0 never stops.
    base_model: a model of this trainer whose estimator knows `warm_start`.

    The model is saved with skops: loading it runs no code, and types outside tidemill's own list are refused
    when it is saved already. All others are as in `LightGBMTrainer`.
    """


@component(executor="tidemill.components.trainer.ready:run_torch")
def TorchTrainer(
    examples: Input[Examples | list[Examples]],
    label: str,
    *,
    model_fn: Callable[..., Any] | None = None,
    transform_graph: Input[TransformGraph] | None = None,
    schema: Input[Schema] | None = None,
    base_model: Input[Model] | None = None,
    best_hyperparameters: Input[HyperParameters] | None = None,
    features: Sequence[str] = (),
    weight: str = "",
    task: str = "",
    hyperparameters: Mapping[str, Any] | None = None,
    hidden_sizes: Sequence[int] = (64, 32),
    dropout: float = 0.0,
    epochs: int = 20,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.0,
    early_stopping_rounds: int = 5,
    categorical: Sequence[str] | None = None,
    device: str = "cpu",
    seed: int = 0,
    train_splits: Sequence[str] = ("train",),
    eval_splits: Sequence[str] = ("eval",),
) -> TrainerOutputs:
    """Train a PyTorch network on tables without a training loop of your own. Needs `tidemill[torch]`.

    model_fn: `model_fn(width=..., outputs=..., **hyperparameters)` returns a `torch.nn.Module` that takes a
        float32 matrix of `width` columns and gives `outputs` numbers per row: logits, or the value of a
        regression. Its source is kept, and whoever loads the model must allow it. Without it: embeddings
        of categories, then dense layers of `hidden_sizes`, which are loaded without any code.
    hyperparameters: values for the parameters here by their names; others go to model_fn.
    early_stopping_rounds: epochs without a better loss on the eval splits; the best weights are kept.
    device: "cpu", "cuda", "mps", or "auto" for what is there.

    Weights are saved as safetensors. All others are as in `LightGBMTrainer`.
    """


@component(executor="tidemill.components.trainer.ready:run_keras")
def KerasTrainer(
    examples: Input[Examples | list[Examples]],
    label: str,
    *,
    model_fn: Callable[..., Any] | None = None,
    transform_graph: Input[TransformGraph] | None = None,
    schema: Input[Schema] | None = None,
    base_model: Input[Model] | None = None,
    best_hyperparameters: Input[HyperParameters] | None = None,
    features: Sequence[str] = (),
    weight: str = "",
    task: str = "",
    hyperparameters: Mapping[str, Any] | None = None,
    hidden_sizes: Sequence[int] = (64, 32),
    dropout: float = 0.0,
    epochs: int = 20,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    early_stopping_rounds: int = 5,
    categorical: Sequence[str] | None = None,
    seed: int = 0,
    train_splits: Sequence[str] = ("train",),
    eval_splits: Sequence[str] = ("eval",),
) -> TrainerOutputs:
    """Train a Keras network on tables without a training loop of your own. Needs `tidemill[keras]` and one
    of its backends: JAX, PyTorch or TensorFlow.

    model_fn: `model_fn(width=..., outputs=..., **hyperparameters)` returns a `keras.Model` of Keras's own
        layers that takes a float32 matrix and gives probabilities (sigmoid or softmax at its end), or the
        value of a regression. It may be compiled; else Adam and the task's loss are used.

    Saved as `.keras`, loaded in safe mode. All others are as in `TorchTrainer`.
    """
