"""`model.json`: what a model folder says about itself, so that it can be served without its pipeline.

The manifest describes the files beside it; it never says what code to run or what to trust. See
docs/decisions/0005-model-format.md and docs/decisions/0029-models-and-ready-trainers.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tidemill.data.transform import FittedGraph
from tidemill.data.transform.graph import FILE as GRAPH_FILE
from tidemill.errors import DataError
from tidemill.models.environment import ModelEnvironment, of_this_process
from tidemill.models.files import MANIFEST, hash_files
from tidemill.models.signature import Field, Signature, fields_from_json, fields_to_json, scalars

FILE = MANIFEST
FORMAT = "tidemill.model/2"
FORMAT_1 = "tidemill.model/1"
GRAPH_FOLDER = "transform_graph"

FRAMEWORK_OF_SUFFIX = {
    ".keras": "keras",
    ".onnx": "onnx",
    ".pt": "torch",
    ".pth": "torch",
    ".safetensors": "safetensors",
    ".skops": "scikit-learn",
    ".ubj": "xgboost",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelManifest:
    """What `model.json` holds. Everything may be empty but the Python version."""

    framework: str = ""
    """Distribution that loads the model, such as `scikit-learn`."""
    framework_version: str = ""
    flavor: str = ""
    """How tidemill loads it; empty when only the pipeline's own code can."""
    payload: Mapping[str, Any] = field(default_factory=dict)
    """The flavor's own plain data: names of its files, the shape of a network."""
    task: str = ""
    """binary, multiclass, regression; empty when nobody said."""
    label: str = ""
    """Column that the model predicts."""
    classes: tuple[int | float | str | bool, ...] = ()
    """The label's values, in the order of probabilities; empty for a regression."""
    features: tuple[Field, ...] = ()
    """Columns the payload is fed, in order; empty when unknown."""
    signature: Signature = field(default_factory=Signature)
    """What the whole is asked with (raw rows where it has a transform graph), and what it answers."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Whatever the trainer wants kept: plain JSON."""
    transform_graph: str = ""
    """Digest of the graph copied to `transform_graph/`; empty when the model takes raw rows itself."""
    run_fn: str = ""
    """Who trained it: the user's run_fn, or the ready trainer."""
    environment: ModelEnvironment = field(default_factory=ModelEnvironment)
    files: Mapping[str, str] = field(default_factory=dict)
    """sha256 of every other file of the folder."""

    @property
    def inputs(self) -> dict[str, str]:
        """Types of `features` by name."""
        return {item.name: item.type for item in self.features}

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return tuple(self.signature.output_names)

    @property
    def python(self) -> str:
        """The Python version it was made with."""
        return self.environment.python

    @property
    def libraries(self) -> Mapping[str, str]:
        """Versions of the libraries it was made with, by distribution."""
        return self.environment.libraries

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, inverse of `from_json`."""
        return {
            "format": FORMAT,
            "framework": self.framework,
            "framework_version": self.framework_version,
            "flavor": self.flavor,
            "payload": dict(self.payload),
            "task": self.task,
            "label": self.label,
            "classes": list(self.classes),
            "features": fields_to_json(self.features),
            "signature": self.signature.to_json(),
            "details": dict(self.details),
            "transform_graph": self.transform_graph,
            "run_fn": self.run_fn,
            "environment": self.environment.to_json(),
            "files": dict(self.files),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ModelManifest:
        """Inverse of `to_json`, also of version 1; DataError for another format."""
        if value.get("format") == FORMAT_1:
            return _of_version_1(value)
        if value.get("format") != FORMAT:
            raise DataError(
                f"not a model manifest of this version: its format is {value.get('format')!r}",
                hint=f"this tidemill reads {FORMAT_1} and {FORMAT}",
            )
        plain = ("framework", "framework_version", "flavor", "task", "label", "transform_graph", "run_fn")
        return cls(
            **{name: str(value[name]) for name in plain},
            payload=dict(value["payload"]),
            details=dict(value["details"]),
            classes=tuple(value["classes"]),
            features=fields_from_json(value["features"]),
            signature=Signature.from_json(value["signature"]),
            environment=ModelEnvironment.from_json(value["environment"]),
            files={str(name): str(digest) for name, digest in value["files"].items()},
        )


def _of_version_1(value: Mapping[str, Any]) -> ModelManifest:
    """Version 1 knew no flavors, files or shapes: such a model is read, and served by its own code alone."""
    return ModelManifest(
        framework=str(value["framework"]),
        framework_version=str(value["framework_version"]),
        transform_graph=str(value["transform_graph"]),
        run_fn=str(value["run_fn"]),
        features=scalars(dict(value["inputs"])),
        signature=Signature(outputs=tuple(Field(name, "float") for name in value["outputs"])),
        details=dict(value["details"]),
        environment=ModelEnvironment(str(value["python"]), dict(value["libraries"])),
    )


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
    """`manifest` with what can be seen from outside: framework by file name, versions, graph, files."""
    if not manifest.framework:
        seen = {FRAMEWORK_OF_SUFFIX.get(path.suffix.lower(), "") for path in folder.rglob("*")} - {""}
        manifest = replace(manifest, framework=seen.pop() if len(seen) == 1 else "")
    environment = of_this_process(manifest.flavor)
    signature = manifest.signature
    if not signature.inputs:
        signature = replace(signature, inputs=raw_inputs(manifest.features, graph))
    return replace(
        manifest,
        framework_version=manifest.framework_version or environment.libraries.get(manifest.framework, ""),
        signature=signature,
        transform_graph=graph.digest if graph else "",
        run_fn=run_fn,
        environment=environment,
        files=hash_files(folder),
    )


def raw_inputs(features: tuple[Field, ...], graph: FittedGraph | None) -> tuple[Field, ...]:
    """What rows must have so that these features can be made: raw columns of the graph, or themselves."""
    if graph is None or not features:
        return features
    known = graph.graph.outputs
    made = [item.name for item in features if item.name in known]
    raw = [Field(name, graph.graph.inputs[name]) for name in graph.graph.columns_for(made)]
    return (*raw, *(item for item in features if item.name not in known))


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
