"""The PyTorch trainer: Adam over shuffled batches, the best weights on the eval rows kept."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tidemill.errors import DataError
from tidemill.models.flavors import torch as flavor
from tidemill.models.flavors import torch_network
from tidemill.models.flavors.base import library
from tidemill.training.fn_args import FnArgs
from tidemill.training.networks import check_settings, diverged, show
from tidemill.training.ready import Library, Trained, base_model, check_names, chosen_categories
from tidemill.training.rows import Part, Rows, refuse_missing

CHUNK = flavor.CHUNK


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """See `TorchTrainer`."""

    model_fn: Callable[..., Any] | None = None
    hidden_sizes: Sequence[int] = (64, 32)
    dropout: float = 0.0
    epochs: int = 20
    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    early_stopping_rounds: int = 5
    categorical: Sequence[str] | None = None
    device: str = "cpu"
    seed: int = 0


def fit(args: FnArgs, rows: Rows, settings: Settings, params: dict[str, Any]) -> Trained:
    """Train the network and save its best weights."""
    torch = library("torch", "torch")
    check_settings(settings)
    torch.manual_seed(settings.seed)
    network, kept = _network(args, rows, settings, params)
    module = getattr(network, "module", network)
    base = base_model(args, rows, "torch")
    if base is not None:
        try:
            theirs = base.predictor.module
            module.load_state_dict(getattr(theirs, "module", theirs).state_dict())
        except RuntimeError as error:
            raise DataError(f"the base model's network is another one: {error}") from None
    device = _device(torch, settings.device)
    module.to(device)
    run = _Run(torch, network, module, rows.task, device)
    history = _epochs(args, run, rows, settings)
    saved = flavor.save(args.model_dir, module, **kept)
    details = {"epochs": len(history["train"]["loss"]), "best_epoch": run.best_epoch, "loss": run.best}
    return Trained(saved, details, history)


class _Run:
    """A network being trained: its loss, its best weights so far."""

    def __init__(self, torch: Any, network: Any, module: Any, task: str, device: str) -> None:
        self.torch, self.network, self.module, self.task, self.device = torch, network, module, task, device
        self.best, self.best_epoch, self.best_weights = math.inf, -1, None

    def loss(self, x: Any, y: Any, weight: Any) -> Any:
        """Mean loss of some rows: cross entropy, or the squared error of a regression."""
        functional = self.torch.nn.functional
        found = self.network(x.to(self.device))
        if self.task == "multiclass":
            losses = functional.cross_entropy(found, y.to(self.device).long(), reduction="none")
        else:
            found, y = found.reshape(-1), y.to(self.device).float()
            of = (
                functional.mse_loss
                if self.task == "regression"
                else functional.binary_cross_entropy_with_logits
            )
            losses = of(found, y, reduction="none")
        return losses.mean() if weight is None else (losses * weight.to(self.device)).sum() / weight.sum()

    def measure(self, part: Part) -> float:
        """Mean loss over all rows of a part, without training."""
        self.module.eval()
        total, weights = 0.0, 0.0
        with self.torch.inference_mode():
            for at in range(0, len(part), CHUNK):
                x, y, weight = _tensors(self.torch, part, slice(at, at + CHUNK))
                size = float(weight.sum()) if weight is not None else len(y)
                total += float(self.loss(x, y, weight)) * size
                weights += size
        self.module.train()
        return total / weights if weights else math.nan

    def remember(self, epoch: int, value: float) -> None:
        """Keep the weights when `value` is the best so far."""
        if value < self.best:
            self.best, self.best_epoch = value, epoch
            self.best_weights = copy.deepcopy(self.module.state_dict())


def _epochs(args: FnArgs, run: _Run, rows: Rows, settings: Settings) -> dict[str, dict[str, list[float]]]:
    """Train; the loss of each epoch by split. Ends with the best weights in the network."""
    torch = run.torch
    optimizer = torch.optim.AdamW(
        run.module.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    random = np.random.default_rng(settings.seed)
    history: dict[str, dict[str, list[float]]] = {"train": {"loss": []}}
    args.reports.lower_is_better = True
    for epoch in range(settings.epochs):
        run.module.train()
        order = random.permutation(len(rows.train))
        total = 0.0
        for at in range(0, len(order), settings.batch_size):
            picked = order[at : at + settings.batch_size]
            optimizer.zero_grad()
            loss = run.loss(*_tensors(torch, rows.train, picked))
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(picked)
        losses = {"train": total / len(order)}
        if rows.eval is not None:
            losses["eval"] = run.measure(rows.eval)
        for split, value in losses.items():
            history.setdefault(split, {"loss": []})["loss"].append(value)
        value = losses.get("eval", losses["train"])
        diverged(value, epoch)
        show(epoch, losses)
        run.remember(epoch, value)
        args.report(epoch, value)
        if rows.eval is not None and 0 < settings.early_stopping_rounds <= epoch - run.best_epoch:
            break
    run.module.load_state_dict(run.best_weights)
    return history


def _network(
    args: FnArgs, rows: Rows, settings: Settings, params: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """The network, and what `flavor.save` needs to build it again."""
    if settings.model_fn is not None:
        refuse_missing(rows, "the network of model_fn", "use fill_null in preprocessing_fn")
        arguments = {"width": len(rows.columns), "outputs": rows.outputs, **params}
        network = settings.model_fn(**arguments)
        if not hasattr(network, "state_dict"):
            raise DataError(f"model_fn returned {type(network).__name__}", hint="return a torch.nn.Module")
        return network, {"model_fn": settings.model_fn, "arguments": arguments}
    check_names(params, [f for f in Settings.__slots__ if f != "model_fn"], "TorchTrainer")
    categories = chosen_categories(settings.categorical, args.transform_graph, rows)
    described = torch_network.describe(
        len(rows.columns), categories, settings.hidden_sizes, rows.outputs, settings.dropout
    )
    return torch_network.build(described), {"architecture": described}


def _tensors(torch: Any, part: Part, rows: Any) -> tuple[Any, Any, Any]:
    weight = None if part.weight is None else torch.from_numpy(part.weight[rows].astype(np.float32))
    return torch.from_numpy(part.x[rows]), torch.from_numpy(part.y[rows]), weight


def _device(torch: Any, wanted: str) -> str:
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return next((name for name in ("cuda", "mps") if there[name]), "cpu")
    if not there.get(wanted.partition(":")[0], False):
        known = ", ".join(name for name, ok in there.items() if ok)
        raise DataError(f"there is no device {wanted!r} here", hint=f"known: {known}, auto")
    return wanted


LIBRARY = Library("PyTorch", Settings, fit, np.float32)
