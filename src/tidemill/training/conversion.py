"""ONNX beside the native payload: kept when the conversion works and both give the same on a sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tidemill.errors import DataError
from tidemill.models.flavors import onnx, open_payload
from tidemill.models.flavors.base import Opened, Outputs, Saved, output_fields
from tidemill.models.manifest import ModelManifest
from tidemill.models.signature import Signature
from tidemill.training.rows import Rows

SAMPLE = 1000
"""Rows on which both are asked."""
TOLERANCE = 1e-4
"""Largest difference of a probability, or relative difference of a number, that is still the same model:
ONNX computes in 32 bits."""
OPSET = 15


@dataclass(frozen=True, slots=True)
class Kept:
    """The payload, with or without its ONNX form, and what the manifest says of it."""

    saved: Saved
    details: Mapping[str, Any]


def keep_onnx(folder: Path, rows: Rows, saved: Saved, convert: Callable[[], Any] | None) -> Kept:
    """Convert, compare, and keep the file when it passes; `details` gives the reason when it does not."""
    if convert is None:
        return _refused(saved, f"{saved.framework} models are not converted")
    try:
        model = convert()
    except DataError:
        raise
    except Exception as error:  # converters raise whatever they like
        return _refused(
            saved, f"the conversion failed: {type(error).__name__}: {' '.join(str(error).split())}"
        )
    written = onnx.save(folder, model)
    sample = rows.eval if rows.eval is not None and len(rows.eval) else rows.train
    x = sample.x[:SAMPLE]
    try:
        worst = _worst(_answers(folder, rows, saved, x), _answers(folder, rows, written, x))
    except Exception as error:  # nor is there a common base of what a runtime raises
        worst, why = np.inf, f"the converted model failed: {type(error).__name__}: {error}"
    else:
        why = f"predictions differ by up to {worst:.3g} on {len(x)} rows; {TOLERANCE} is the most"
    if not worst <= TOLERANCE:
        (folder / onnx.FILE).unlink()
        return _refused(saved, why)
    print(f"ONNX: kept, predictions differ by up to {worst:.3g} on {len(x)} rows")
    details = {"kept": True, "largest_difference": worst, "rows": len(x), "opset": OPSET}
    return Kept(dataclasses.replace(saved, payload={**saved.payload, "onnx": onnx.FILE}), details)


def _refused(saved: Saved, why: str) -> Kept:
    print(f"ONNX: not kept. {why}")
    return Kept(saved, {"kept": False, "reason": why})


def _answers(folder: Path, rows: Rows, saved: Saved, x: Any) -> Outputs:
    """Answers of one form of the model, opened as a server would."""
    names = [value for value in saved.payload.values() if isinstance(value, str)]
    manifest = ModelManifest(
        flavor=saved.flavor,
        payload=saved.payload,
        task=rows.task,
        classes=rows.classes,
        features=rows.fields,
        signature=Signature(outputs=output_fields(rows.task, rows.classes)),
        files=dict.fromkeys(names, ""),
    )
    features: dict[str, Any] = {}
    at = 0
    for field in rows.fields:
        part = x[:, at : at + field.width]
        features[field.name] = part if field.shape else part[:, 0]
        at += field.width
    return open_payload(Opened(folder, manifest)).predict(features)


def _worst(native: Outputs, converted: Outputs) -> float:
    name = next(iter(native))
    ours, theirs = native[name], converted[name]
    scale = 1.0 if name != "prediction" else max(1.0, float(np.abs(ours).max(initial=0.0)))
    return float(np.abs(ours - theirs).max(initial=0.0)) / scale
