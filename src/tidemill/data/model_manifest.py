"""`model.json`: what a model folder says about itself, so that it can be served without its pipeline.

The manifest describes the files beside it; it never says what code to run or what to trust. See
docs/decisions/0005-model-format.md.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from tidemill.data.transform import FittedGraph
from tidemill.data.transform.graph import FILE as GRAPH_FILE
from tidemill.errors import DataError

FILE = "model.json"
FORMAT = "tidemill.model/1"
GRAPH_FOLDER = "transform_graph"

LIBRARIES = {
    "lightgbm": "lightgbm",
    "numpy": "numpy",
    "onnx": "onnx",
    "pyarrow": "pyarrow",
    "safetensors": "safetensors",
    "sklearn": "scikit-learn",
    "skops": "skops",
    "torch": "torch",
    "xgboost": "xgboost",
}
"""Import name -> distribution name of libraries whose version matters to whoever loads the model."""

FRAMEWORK_OF_SUFFIX = {
    ".keras": "keras",
    ".onnx": "onnx",
    ".pt": "torch",
    ".pth": "torch",
    ".safetensors": "safetensors",
    ".skops": "scikit-learn",
    ".ubj": "xgboost",
}

PICKLE_SUFFIXES = {".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelManifest:
    """What `model.json` holds. Everything may be empty but the Python version."""

    framework: str = ""
    framework_version: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Columns the model is fed, in order, with their types; empty when unknown."""
    outputs: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    """Whatever run_fn wants kept: plain JSON."""
    transform_graph: str = ""
    """Digest of the graph copied to `transform_graph/`; empty when the model takes raw rows itself."""
    run_fn: str = ""
    python: str = field(default_factory=platform.python_version)
    libraries: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, inverse of `from_json`."""
        return {
            "format": FORMAT,
            "framework": self.framework,
            "framework_version": self.framework_version,
            "inputs": [[name, kind] for name, kind in self.inputs.items()],
            "outputs": list(self.outputs),
            "details": dict(self.details),
            "transform_graph": self.transform_graph,
            "run_fn": self.run_fn,
            "python": self.python,
            "libraries": dict(self.libraries),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ModelManifest:
        """Inverse of `to_json`; DataError for another format."""
        if value.get("format") != FORMAT:
            raise DataError(f"not a model manifest of this version: its format is {value.get('format')!r}")
        fields = {name: value[name] for name in value if name in cls.__dataclass_fields__}
        return cls(**{**fields, "inputs": dict(value["inputs"]), "outputs": tuple(value["outputs"])})


def read_manifest(folder: Path) -> ModelManifest:
    """The manifest of a model folder; DataError when missing or damaged."""
    path = folder / FILE
    try:
        return ModelManifest.from_json(json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise DataError(
            f"the model has no {FILE}", where=str(folder), hint="was it made by Trainer?"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{FILE} is damaged: {error!r}", where=str(path)) from None


def write_manifest(folder: Path, manifest: ModelManifest) -> None:
    """Write `model.json`; DataError for details that are not JSON."""
    try:
        text = json.dumps(manifest.to_json(), indent=1, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"the description of the model is not plain JSON: {error}") from None
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def complete(manifest: ModelManifest, folder: Path, graph: FittedGraph | None, run_fn: str) -> ModelManifest:
    """`manifest` with what can be seen from outside: framework by file name, versions, the graph."""
    if not manifest.framework:
        seen = {FRAMEWORK_OF_SUFFIX.get(path.suffix.lower(), "") for path in folder.rglob("*")} - {""}
        manifest = replace(manifest, framework=seen.pop() if len(seen) == 1 else "")
    libraries = loaded_libraries()
    return replace(
        manifest,
        framework_version=manifest.framework_version or libraries.get(manifest.framework, ""),
        transform_graph=graph.digest if graph else "",
        run_fn=run_fn,
        libraries=libraries,
    )


def loaded_libraries() -> dict[str, str]:
    """Versions, by distribution name, of those LIBRARIES that this process has imported."""
    found = {}
    for module, distribution in LIBRARIES.items():
        if module in sys.modules:
            try:
                found[distribution] = metadata.version(distribution)
            except metadata.PackageNotFoundError:
                continue
    return found


def load_graph(folder: Path) -> FittedGraph | None:
    """The transform graph that a model folder carries, checked against the manifest; None for none."""
    if not (folder / GRAPH_FOLDER / GRAPH_FILE).exists():
        return None
    graph = FittedGraph.load(folder / GRAPH_FOLDER)
    expected = read_manifest(folder).transform_graph
    if graph.digest != expected:
        raise DataError(
            "the model's transform graph is not the one it was trained with", where=str(folder / GRAPH_FOLDER)
        )
    return graph


def pickles_in(folder: Path) -> list[Path]:
    """Files that are pickles by name or by content (protocol 2 and up): loading them runs code."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and _is_pickle(path)]


def _is_pickle(path: Path) -> bool:
    if path.suffix.lower() in PICKLE_SUFFIXES:
        return True
    size = path.stat().st_size
    if size < 3:
        return False
    with path.open("rb") as file:
        start = file.read(2)
        file.seek(-1, 2)
        return start[:1] == b"\x80" and 2 <= start[1] <= 5 and file.read(1) == b"."
