"""The Keras trainer: `fit` with early stopping on the eval rows, on whatever backend there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tidemill.errors import DataError
from tidemill.models.flavors import keras as flavor
from tidemill.models.flavors.torch_network import embedding_width
from tidemill.training.fn_args import FnArgs
from tidemill.training.networks import check_settings, diverged, show
from tidemill.training.ready import Library, Trained, base_model, check_names, chosen_categories
from tidemill.training.rows import Rows, refuse_missing

LOSSES = {
    "binary": "binary_crossentropy",
    "multiclass": "sparse_categorical_crossentropy",
    "regression": "mean_squared_error",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """See `KerasTrainer`."""

    model_fn: Callable[..., Any] | None = None
    hidden_sizes: Sequence[int] = (64, 32)
    dropout: float = 0.0
    epochs: int = 20
    batch_size: int = 256
    learning_rate: float = 1e-3
    early_stopping_rounds: int = 5
    categorical: Sequence[str] | None = None
    seed: int = 0


def fit(args: FnArgs, rows: Rows, settings: Settings, params: dict[str, Any]) -> Trained:
    """Train the network and save it with its best weights."""
    check_settings(settings)
    base = base_model(args, rows, "keras")
    keras = flavor.import_keras()
    keras.utils.clear_session()  # layers are numbered from here on: equal networks get equal names
    keras.utils.set_random_seed(settings.seed)
    model = base.predictor.model if base else _network(keras, args, rows, settings, params)
    if not getattr(model, "compiled", False):
        adam = keras.optimizers.Adam(settings.learning_rate)
        model.compile(optimizer=adam, loss=LOSSES[rows.task])
    history = _epochs(keras, args, model, rows, settings)
    losses = history.get("eval", history["train"])["loss"]
    best = int(np.argmin(losses))
    saved = flavor.save(args.model_dir, _bare(model))
    details = {
        "epochs": len(losses),
        "best_epoch": best,
        "loss": losses[best],
        "backend": keras.backend.backend(),
    }
    return Trained(saved, details, history)


def _epochs(
    keras: Any, args: FnArgs, model: Any, rows: Rows, settings: Settings
) -> dict[str, dict[str, list[float]]]:
    history: dict[str, dict[str, list[float]]] = {}
    args.reports.lower_is_better = True

    def end(epoch: int, logs: dict[str, float]) -> None:
        losses = {"train": float(logs["loss"])}
        if "val_loss" in logs:
            losses["eval"] = float(logs["val_loss"])
        for split, value in losses.items():
            history.setdefault(split, {"loss": []})["loss"].append(value)
        value = losses.get("eval", losses["train"])
        diverged(value, epoch)
        show(epoch, losses)
        args.report(epoch, value)

    callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=end)]
    held = None
    if rows.eval is not None:
        held = (rows.eval.x, rows.eval.y, *([] if rows.eval.weight is None else [rows.eval.weight]))
        if settings.early_stopping_rounds > 0:
            callbacks.append(
                keras.callbacks.EarlyStopping(
                    patience=settings.early_stopping_rounds, restore_best_weights=True, monitor="val_loss"
                )
            )
    model.fit(
        rows.train.x, rows.train.y, sample_weight=rows.train.weight, validation_data=held,
        epochs=settings.epochs, batch_size=settings.batch_size, shuffle=True, verbose=0, callbacks=callbacks,
    )  # fmt: skip
    return history


def _network(keras: Any, args: FnArgs, rows: Rows, settings: Settings, params: dict[str, Any]) -> Any:
    if settings.model_fn is not None:
        refuse_missing(rows, "the network of model_fn", "use fill_null in preprocessing_fn")
        model = settings.model_fn(width=len(rows.columns), outputs=rows.outputs, **params)
        if not hasattr(model, "fit"):
            raise DataError(f"model_fn returned {type(model).__name__}", hint="return a keras.Model")
        return model
    check_names(params, [f for f in Settings.__slots__ if f != "model_fn"], "KerasTrainer")
    layers, ops = keras.layers, keras.ops
    categories = chosen_categories(settings.categorical, args.transform_graph, rows)
    numbers = [position for position in range(len(rows.columns)) if position not in categories]
    inputs = keras.Input((len(rows.columns),), dtype="float32", name="features")
    parts = [ops.nan_to_num(ops.take(inputs, numbers, axis=1))] if numbers else []
    for position, size in categories.items():
        codes = ops.clip(ops.nan_to_num(ops.take(inputs, position, axis=1), nan=size - 1), 0, size - 1)
        parts.append(layers.Embedding(size, embedding_width(size))(ops.cast(codes, "int32")))
    found = layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    for size in settings.hidden_sizes:
        found = layers.Dense(size, activation="relu")(found)
        if settings.dropout:
            found = layers.Dropout(settings.dropout, seed=settings.seed)(found)
    end = {"binary": "sigmoid", "multiclass": "softmax"}.get(rows.task)
    return keras.Model(inputs, layers.Dense(rows.outputs, activation=end)(found))


def _bare(model: Any) -> Any:
    """The same network without optimizer and loss, which serving does not need."""
    bare = type(model).from_config(model.get_config())
    if not bare.built:
        bare.build(model.input_shape)
    bare.set_weights(model.get_weights())
    return bare


LIBRARY = Library("Keras", Settings, fit, np.float32)
