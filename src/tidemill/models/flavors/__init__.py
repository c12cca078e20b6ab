"""Flavors: how the payload of each library is saved, loaded and asked. One small module each.

A flavor's `load(opened)` gives a `Predictor`; its `save(...)` writes files and gives what the manifest must
say of them. Each imports its library when it is used and not before. No flavor reads what the manifest's
hashes do not cover, and none runs code of a model unless whoever loads it said so.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import cast

from tidemill.errors import DataError, did_you_mean
from tidemill.models.flavors.base import Opened, Predictor

FLAVORS = ("code", "keras", "lightgbm", "onnx", "pickle", "sklearn", "torch", "xgboost")


def open_payload(opened: Opened) -> Predictor:
    """The predictor of an opened model; DataError for no flavor, or one that there is not."""
    name = opened.manifest.flavor
    if not name:
        raise DataError(
            "the model does not say how it is loaded: its run_fn named no flavor",
            where=str(opened.folder),
            hint="train it with a ready trainer, save it with args.save_model(...) or args.save_code(...), "
            "or give predict_fn",
        )
    if name not in FLAVORS:
        raise DataError(f"there is no flavor {name!r}", hint=did_you_mean(name, FLAVORS))
    module = importlib.import_module(f"tidemill.models.flavors.{name}")
    return cast(Callable[[Opened], Predictor], module.load)(opened)
