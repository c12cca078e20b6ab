"""Models: what a model folder holds, and how it is saved, checked and asked, whatever library made it.

    from tidemill.models import load_model

    model = load_model("model/")
    model.predict(rows)  # raw rows as a pyarrow.Table; named outputs as numpy arrays

A model folder is `model.json` (`manifest`), the payload of one flavor (`flavors`: LightGBM, XGBoost,
scikit-learn, PyTorch, Keras, ONNX, or the pipeline's own code) and a copy of the transform graph. The room
knows files and arrays; it must know neither pipelines and artifacts nor how models are trained, so that a
server loads nothing but this.
"""

from __future__ import annotations

from tidemill.models.loading import LoadedModel, load_model
from tidemill.models.manifest import ModelManifest, read_manifest
from tidemill.models.signature import Field, Signature

__all__ = ["Field", "LoadedModel", "ModelManifest", "Signature", "load_model", "read_manifest"]
