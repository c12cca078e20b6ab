"""What a model was made with: Python, the libraries that matter, and a digest of all that was installed.

It describes; whoever loads a model may compare, and nothing is decided by it.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = {
    "jax": "jax",
    "keras": "keras",
    "lightgbm": "lightgbm",
    "numpy": "numpy",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "pyarrow": "pyarrow",
    "safetensors": "safetensors",
    "sklearn": "scikit-learn",
    "skops": "skops",
    "torch": "torch",
    "xgboost": "xgboost",
}
"""Import name -> distribution name of libraries whose version matters to whoever loads the model."""


@dataclass(frozen=True, slots=True)
class ModelEnvironment:
    """Versions by distribution name. `packages` is a sha256 over every installed distribution."""

    python: str = field(default_factory=platform.python_version)
    libraries: Mapping[str, str] = field(default_factory=dict)
    packages: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, inverse of `from_json`."""
        return {"python": self.python, "libraries": dict(self.libraries), "packages": self.packages}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ModelEnvironment:
        """Inverse of `to_json`."""
        return cls(str(value["python"]), dict(value["libraries"]), str(value["packages"]))


def of_this_process() -> ModelEnvironment:
    """What this process runs with. Libraries are those it has imported."""
    names = {name for place in dict.fromkeys(sys.path) for name in _installed_in(place or ".")}
    packages = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()
    return ModelEnvironment(libraries=loaded_libraries(), packages=packages)


def _installed_in(place: str) -> list[str]:
    """`name-version` of each distribution in a folder. Reading their metadata would take a hundred times as
    long, at the end of every training."""
    try:
        return [found.stem for found in Path(place).iterdir() if found.suffix == ".dist-info"]
    except OSError:
        return []


def loaded_libraries() -> dict[str, str]:
    """Versions, by distribution name, of those LIBRARIES that this process has imported."""
    found = {}
    for module, distribution in LIBRARIES.items():
        if module in sys.modules and (version := _version(module, distribution)):
            found[distribution] = version
    return found


def _version(module: str, distribution: str) -> str:
    """The distribution's version; the module's own where it comes from another one (xgboost-cpu)."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return str(getattr(sys.modules[module], "__version__", ""))
