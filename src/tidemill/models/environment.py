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
    "jax": ("jax",),
    "keras": ("keras",),
    "lightgbm": ("lightgbm",),
    "numpy": ("numpy",),
    "onnx": ("onnx",),
    "onnxruntime": ("onnxruntime",),
    "pyarrow": ("pyarrow",),
    "safetensors": ("safetensors",),
    "sklearn": ("scikit-learn",),
    "skops": ("skops",),
    "torch": ("torch",),
    "xgboost": ("xgboost", "xgboost-cpu"),
}
"""Import name -> distributions that have it, of libraries that matter to whoever loads the model."""

OF_FLAVOR = {
    "lightgbm": ("lightgbm",),
    "onnx": ("onnx",),
    "sklearn": ("sklearn", "skops"),
    "torch": ("torch", "safetensors"),
    "xgboost": ("xgboost",),
}
"""Flavor -> the libraries that its payload depends on, besides numpy and pyarrow."""


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


def of_this_process(flavor: str = "") -> ModelEnvironment:
    """What this process runs with. Libraries are those of the flavor, so that it does not matter what else
    the process has loaded; without a known one, all of LIBRARIES that it has imported."""
    if flavor in OF_FLAVOR:
        modules = [*OF_FLAVOR[flavor], "numpy", "pyarrow"]
    else:
        modules = [module for module in LIBRARIES if module in sys.modules]
    versions = dict(filter(None, map(_version, sorted(modules))))
    names = {name for place in dict.fromkeys(sys.path) for name in _installed_in(place or ".")}
    packages = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()
    return ModelEnvironment(libraries=versions, packages=packages)


def _version(module: str) -> tuple[str, str] | None:
    """Name and version under the first distribution's name; None when none of them is installed."""
    distributions = LIBRARIES[module]
    for name in distributions:
        try:
            return distributions[0], metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def _installed_in(place: str) -> list[str]:
    """`name-version` of each distribution in a folder. Reading their metadata would take a hundred times as
    long, at the end of every training."""
    try:
        return [found.stem for found in Path(place).iterdir() if found.suffix == ".dist-info"]
    except OSError:
        return []
