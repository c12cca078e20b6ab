"""The model that is served now, and how the next one takes its place.

A place is a model folder, which never changes, or a folder that Pusher pushes to, whose `current.json` is
looked at every second. The next version is checked, loaded and warmed up beside the current one; then one
assignment swaps them. A request keeps the version that it began with, so none is dropped.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tidemill.errors import DataError, StorageError, TidemillError
from tidemill.models import Field, LoadedModel, load_model
from tidemill.serving.columns import Batch, check_columns, to_rows, to_table
from tidemill.serving.instances import read_instances
from tidemill.storage import manifest
from tidemill.storage.versions import POINTER, VERSIONS, read_pointer

MODEL_FILE = "model.json"
WARMUP = "warmup_requests.jsonl"
"""Beside `model.json`: requests in the row form, one a line, that are answered before the first real one."""
FEW = 64
"""Rows up to which plain values are faster than tables."""
LOOK_SECONDS = 1.0
"""How often the pointer of a destination is read."""
_AGAIN_SECONDS = 30.0
"""How long a version that could not be loaded is left alone."""
_MOST_WARMUPS = 100

Log = Callable[..., None]
"""`log(event, name=value, ...)`: tells operators what happened."""


@dataclass(frozen=True, slots=True)
class Served:
    """One loaded version."""

    model: LoadedModel
    version: str
    digest: str
    seconds: float
    """What loading and warming up took."""

    @property
    def inputs(self) -> tuple[Field, ...]:
        """What a row must have."""
        return self.model.signature.inputs

    def predict(self, batch: Batch) -> Mapping[str, np.ndarray]:
        """Outputs for raw rows, in row order. DataError for columns that do not fit."""
        checked = check_columns(batch, self.inputs)
        if batch.rows == 0:
            raise DataError("the request has no rows")
        if batch.rows <= FEW:
            return self.model.predict_rows(to_rows(checked))
        return self.model.predict(to_table(checked, self.inputs))


class Host:
    """What is served from one place."""

    def __init__(self, place: Path, log: Log, *, version: str = "1") -> None:
        self.place = place
        self._log = log
        """Whether this process does nothing but serve."""
        self._version = version
        self.follows = not (place / MODEL_FILE).is_file()
        """Whether the place is one that versions are pushed to."""
        self.current: Served | None = None
        self.failures = 0
        """Versions that could not be loaded."""
        self.loads = 0
        self._refused: tuple[str, float] = ("", 0.0)
        if self.follows and not (place / POINTER).is_file() and not (place / VERSIONS).is_dir():
            what = "is empty" if place.is_dir() else "does not exist"
            raise StorageError(
                f"{place} is neither a model nor a folder of pushed models: it "
                + (what if not place.is_dir() or not any(place.iterdir()) else f"has no {MODEL_FILE}"),
                hint="name the folder with model.json, or the destination of Pusher",
            )

    def refresh(self) -> bool:
        """Load what the place says now, unless it is served already; whether anything changed.

        TidemillError when it cannot be loaded; what was served before is served on.
        """
        folder, version, digest = self._wanted()
        if folder is None or (
            self.current and (self.current.version, self.current.digest) == (version, digest)
        ):
            return False
        try:
            found = open_version(folder, version, digest)
        except TidemillError:
            self.failures += 1
            raise
        before, self.current = self.current, found
        self.loads += 1
        self._log("serving", version=version, digest=digest, seconds=round(found.seconds, 3),
                  before=before.version if before else "")  # fmt: skip
        return True

    def _wanted(self) -> tuple[Path | None, str, str]:
        if not self.follows:
            sealed = manifest.read(self.place)
            return self.place, self._version, sealed.digest if sealed else ""
        pointer = read_pointer(self.place)
        if pointer is None:
            return None, "", ""
        return self.place / VERSIONS / pointer.version, pointer.version, pointer.digest

    def follow(self, stop: threading.Event) -> None:
        """Look at the place until `stop` is set."""
        while not stop.wait(LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """Look once. A version that cannot be loaded is logged, and tried again after a while."""
        try:
            wanted = self._wanted()[2]
            name, since = self._refused
            if wanted == name and time.monotonic() - since < _AGAIN_SECONDS:
                return
            self.refresh()
        except (TidemillError, OSError) as error:
            self._refused = (wanted if "wanted" in locals() else "", time.monotonic())
            self._log("cannot load", error=str(error), serving=self.current.version if self.current else "")


def open_version(folder: Path, version: str, digest: str) -> Served:
    """Check, load and warm up a model folder.

    DataError or StorageError for one that is damaged, or has another digest than it was pushed with.
    """
    began = time.monotonic()
    sealed = manifest.read(folder)
    if sealed is not None and (wrong := manifest.damage(folder, deep=True)):
        raise DataError(f"the model is damaged: {wrong}", hint="push it again")
    if digest and sealed is not None and sealed.digest != digest:
        raise DataError("the model is not the one that was pushed: its digest differs", where=str(folder))
    if not (folder / MODEL_FILE).is_file():
        raise StorageError(f"there is no model in {folder}: it has no {MODEL_FILE}")
    served = Served(load_model(folder), version, digest, 0.0)
    for batch in _warmups(folder, served.inputs):
        served.predict(batch)
    return Served(served.model, version, digest, time.monotonic() - began)


def _warmups(folder: Path, inputs: Sequence[Field]) -> list[Batch]:
    path = folder / WARMUP
    if not path.is_file():
        return []
    lines = path.read_bytes().splitlines()[:_MOST_WARMUPS]
    try:
        return [read_instances(line, inputs, 100_000)[0] for line in lines if line.strip()]
    except DataError as error:
        raise DataError(f"{WARMUP} is damaged: {error.message}", where=str(folder)) from None


def warmup_line(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line of the warm-up file."""
    return json.dumps({"instances": [dict(row) for row in rows]}, sort_keys=True, allow_nan=False) + "\n"
