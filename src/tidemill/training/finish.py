"""What a training run left in its folder becomes a model that can be handed on."""

from __future__ import annotations

import shutil
from pathlib import Path

from tidemill.data.transform import FittedGraph
from tidemill.errors import DataError
from tidemill.models.files import pickles_in
from tidemill.models.flavors.code import FOLDER as CODE_FOLDER
from tidemill.models.manifest import (
    FILE,
    GRAPH_FOLDER,
    ModelManifest,
    complete,
    read_manifest,
    write_manifest,
)


def finish(folder: Path, graph: FittedGraph | None, reference: str, *, allow_pickle: bool) -> ModelManifest:
    """Check the files, copy the graph, complete `model.json`; reference: who trained.

    DataError when there is no model among the files, or a pickle that nobody allowed.
    """
    _check_files(folder, reference, allow_pickle)
    written = read_manifest(folder) if (folder / FILE).exists() else ModelManifest()
    if graph is not None:
        place = folder / GRAPH_FOLDER
        if place.exists():
            shutil.rmtree(place)
        place.mkdir()
        graph.graph.save(place)
    manifest = complete(written, folder, graph, reference)
    write_manifest(folder, manifest)
    return manifest


def _check_files(folder: Path, reference: str, allow_pickle: bool) -> None:
    """DataError unless there is a model among the files, and no pickle."""
    ours = {FILE, GRAPH_FOLDER, CODE_FOLDER}
    files = [p for p in folder.rglob("*") if p.is_file() and p.relative_to(folder).parts[0] not in ours]
    if not files and not (folder / CODE_FOLDER).is_dir():
        raise DataError(
            f"{reference} wrote no model: args.model_dir is empty",
            hint="save the model's files under args.model_dir",
        )
    if not allow_pickle and (pickles := pickles_in(folder)):
        names = ", ".join(path.relative_to(folder).as_posix() for path in pickles)
        raise DataError(
            f"{reference} wrote pickled files: {names}. Loading a pickle runs whatever code is in it",
            hint="save the framework's own format (ONNX, skops, .txt of lightgbm, .npz of numbers); "
            "or set allow_pickle=True",
        )
