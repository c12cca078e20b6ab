"""Model from code: the pipeline's own prediction function, kept in the model as source.

For models that are plain numbers (JSON, npz) and a few lines that use them. The source lies in `code/`
under the manifest's hashes; it runs only where whoever loads the model says `allow_code=True`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import pyarrow as pa

from tidemill.errors import DataError, did_you_mean
from tidemill.models.flavors.base import Opened, Outputs, Saved

FOLDER = "code"


def save(
    folder: Path, predict_fn: Callable[..., Any], *, takes: str = "raw", modules: Sequence[ModuleType] = ()
) -> Saved:
    """Keep the module that defines `predict_fn(model_dir, rows)`, and `modules` that it imports.

    takes: "raw" when rows are raw (it applies the graph itself), "features" when they are transformed.
    """
    if takes not in ("raw", "features"):
        raise DataError(f"takes={takes!r}", hint='write takes="raw" or takes="features"')
    (folder / FOLDER).mkdir(exist_ok=True)
    payload: dict[str, Any] = {"function": predict_fn.__qualname__, "takes": takes, "modules": []}
    own = sys.modules.get(predict_fn.__module__)
    for module in (*modules, own):
        name = "" if module is None else module.__name__.rpartition(".")[2]
        try:
            source = inspect.getsource(module) if module is not None else ""
        except OSError:
            source = ""
        if not source or "." in predict_fn.__qualname__:
            raise DataError(
                f"{predict_fn.__qualname__} cannot be kept as code: it stands in no module",
                hint="define predict_fn at the top level of a file",
            )
        name = name if name.isidentifier() else "model"
        (folder / FOLDER / f"{name}.py").write_text(source, encoding="utf-8")
        payload["modules"].append([name, f"{FOLDER}/{name}.py"])
    return Saved("code", "", payload)


def load(opened: Opened) -> CodePredictor:
    """The predictor of a model from code; DataError unless the loader allows its code to run."""
    return CodePredictor(function_of(opened, opened.manifest.payload, "the model predicts with"), opened)


def function_of(opened: Opened, payload: Mapping[str, Any], what: str) -> Callable[..., Any]:
    """The function that `save` kept, whose payload this is; DataError unless its code may run."""
    if not opened.allow_code:
        raise DataError(
            f"{what} code that lies in the model's folder",
            where=str(opened.folder),
            hint="load_model(..., allow_code=True) if you trust everyone who could write that folder",
        )
    modules = [(str(name), str(file)) for name, file in payload["modules"]]
    for _, file in modules:
        if file not in opened.manifest.files:
            raise DataError(f"no hash covers the model's code {file!r}", where=str(opened.folder))
    module = _execute(opened, modules)
    function = getattr(module, str(payload["function"]), None)
    if not callable(function):
        raise DataError(
            f"the model's code has no function {payload['function']!r}",
            hint=did_you_mean(str(payload["function"]), vars(module)),
        )
    return cast("Callable[..., Any]", function)


class CodePredictor:
    """The function, and the folder that it is called with."""

    def __init__(self, function: Callable[..., Any], opened: Opened) -> None:
        self.function = function
        self.takes = str(opened.manifest.payload["takes"])
        self._folder = opened.folder
        self._outputs = opened.manifest.signature.output_names

    def predict(self, given: Any) -> Outputs:
        """What the function gives for a table of rows: one array, or several by name."""
        rows = given if isinstance(given, pa.Table) else pa.table(dict(given))
        found = self.function(self._folder, rows)
        if not isinstance(found, Mapping):
            found = {self._outputs[0] if self._outputs else "prediction": found}
        outputs = {str(name): np.asarray(values) for name, values in found.items()}
        for name, values in outputs.items():
            if values.ndim < 1 or len(values) != rows.num_rows:
                raise DataError(
                    f"the model's code gave {name!r} of shape {values.shape} for {rows.num_rows} rows"
                )
        return outputs


def _execute(opened: Opened, modules: Sequence[tuple[str, str]]) -> ModuleType:
    """Run the sources in order, each able to import the ones before it; the last is the model's own.

    The modules are visible to others under their names only while they are being run.
    """
    before = {name: sys.modules.get(name) for name, _ in modules}
    try:
        for name, file in modules:
            path = opened.folder / file
            module = ModuleType(name)
            module.__file__ = str(path)
            sys.modules[name] = module
            exec(compile(opened.bytes_of(file), str(path), "exec"), vars(module))
        return module
    finally:
        for name, earlier in before.items():
            sys.modules.pop(name, None)
            if earlier is not None:
                sys.modules[name] = earlier
