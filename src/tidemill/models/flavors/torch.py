"""PyTorch: weights as safetensors; the network is built from plain data, or by code that the loader allows.

Weights alone are numbers. What makes a network of them is either the tabular network of this project
(`torch_network`), described in the manifest by its sizes, or the pipeline's own `model_fn`, whose source is
kept in `code/` and runs only under `allow_code=True`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tidemill.errors import DataError
from tidemill.models.features import Features, matrix
from tidemill.models.flavors import code
from tidemill.models.flavors.base import Opened, Outputs, Saved, library, name_outputs

FILE = "model.safetensors"
CHUNK = 65_536
"""Rows given to the network at once."""


def save(
    folder: Path,
    module: Any,
    *,
    architecture: Mapping[str, Any] | None = None,
    model_fn: Callable[..., Any] | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Saved:
    """Write the weights of a `torch.nn.Module`, and what builds it again.

    architecture: of `torch_network.build`; or model_fn, called with `arguments` as keywords.
    """
    safetensors = library("safetensors.torch", "torch")
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    (folder / FILE).write_bytes(safetensors.save(weights))
    payload: dict[str, Any] = {"file": FILE}
    if model_fn is not None:
        kept = code.save(folder, model_fn)
        payload |= {"code": dict(kept.payload), "arguments": dict(arguments or {})}
    elif architecture is not None:
        payload["architecture"] = dict(architecture)
    else:
        raise DataError("nothing says how the network is built", hint="give architecture= or model_fn=")
    return Saved("torch", "torch", payload)


def load(opened: Opened) -> TorchPredictor:
    """The predictor of saved weights; DataError when they do not fit the network."""
    torch = library("torch", "torch")
    safetensors = library("safetensors.torch", "torch")
    network = _network(opened)
    module = getattr(network, "module", network)
    try:
        module.load_state_dict(safetensors.load(opened.read("file")))
    except RuntimeError as error:
        raise DataError(f"the weights do not fit the network: {error}", where=str(opened.folder)) from None
    module.eval()
    return TorchPredictor(torch, network, opened)


def _network(opened: Opened) -> Any:
    payload = opened.manifest.payload
    if "code" in payload:
        build = code.function_of(opened, payload["code"], "the network is built by")
        return build(**payload["arguments"])
    from tidemill.models.flavors.torch_network import build as build_tabular

    return build_tabular(payload["architecture"])


class TorchPredictor:
    """A network that gives logits (or numbers) for a float32 matrix."""

    takes = "features"

    def __init__(self, torch: Any, network: Any, opened: Opened) -> None:
        self.module = network
        self._torch = torch
        self._manifest = opened.manifest

    def predict(self, given: Features) -> Outputs:
        """Probabilities or numbers by name."""
        torch, manifest = self._torch, self._manifest
        rows = matrix(given, manifest.features, np.float32)
        with torch.inference_mode():
            parts = [
                self.module(torch.from_numpy(rows[at : at + CHUNK])) for at in range(0, len(rows), CHUNK)
            ]
            found = activate(torch, torch.cat(parts), manifest.task)
            return name_outputs(found, manifest.task, manifest.classes)


def activate(torch: Any, logits: Any, task: str) -> Any:
    """Logits as probabilities (binary: of the second class); numbers of a regression stay."""
    logits = logits.double()
    if task == "binary":
        found = logits.reshape(len(logits), -1)
        return (torch.sigmoid(found[:, 0]) if found.shape[1] == 1 else torch.softmax(found, 1)).cpu().numpy()
    return (torch.softmax(logits, 1) if task == "multiclass" else logits).cpu().numpy()
