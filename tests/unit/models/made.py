"""Models of every flavor for the tests of this folder: trained on rows whose label can be learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import tidemill.data.transform as tft
from tidemill.data.dataset import Dataset
from tidemill.data.parquet import split_folder, write_split
from tidemill.data.transform.fit import fit
from tidemill.training.finish import finish
from tidemill.training.fn_args import FnArgs

FEATURES = ["size", "kind"]
CLASSES = {"binary": (0, 1), "multiclass": ("a", "b", "c"), "regression": ()}


def raw_rows(rows: int = 400, seed: int = 1) -> pa.Table:
    """Raw rows: a size with gaps, a kind as text, and labels for every task."""
    rng = np.random.default_rng(seed)
    size = rng.normal(5.0, 2.0, rows)
    kind = rng.choice(["red", "green", "blue"], rows)
    score = size - 5 + 2.0 * (kind == "red")
    return pa.table(
        {
            "size": pa.array(size, mask=rng.random(rows) < 0.1),
            "kind": kind,
            "binary": (score + rng.normal(size=rows) > 0).astype(np.int64),
            "multiclass": np.array(["a", "b", "c"])[np.digitize(score, [-1.0, 1.0])],
            "regression": score,
        }
    )


def preprocessing_fn(inputs: tft.Inputs) -> dict[str, tft.Column]:
    """Two features, and the labels as they are."""
    return {
        "size": tft.scale_to_z_score(tft.fill_null(inputs["size"], 0.0)),
        "kind": tft.compute_and_apply_vocabulary(inputs["kind"], num_oov_buckets=1),
        **{name: inputs[name] for name in CLASSES},
    }


@dataclass
class Ground:
    """Raw rows, their graph, and a folder in which models are made."""

    folder: Path
    raw: pa.Table
    graph: tft.FittedGraph
    rows: Dataset

    def args(self, name: str = "model") -> FnArgs:
        """What a run_fn would be given."""
        for part in (name, f"{name}-run"):
            (self.folder / part).mkdir()
        return FnArgs(
            train=self.rows,
            eval=self.rows,
            model_dir=self.folder / name,
            log_dir=self.folder / f"{name}-run",
            transform_graph=self.graph,
        )

    def arrays(self, task: str) -> tuple[Any, Any]:
        """The matrix of features and the labels, as libraries take them."""
        table = self.rows.to_arrow()
        labels = np.array(table.column(task).to_pylist())
        if task == "multiclass":
            labels = np.searchsorted(CLASSES[task], labels)
        return np.column_stack([table.column(name).to_numpy() for name in FEATURES]).astype(float), labels

    def save(self, train: Callable[[Any, Any], Any], task: str, name: str = "model", **more: Any) -> Path:
        """Train on the task and save as a run_fn would; the folder."""
        args = self.args(name)
        args.save_model(
            train(*self.arrays(task)), features=FEATURES, task=task, label=task, classes=CLASSES[task], **more
        )
        finish(args.model_dir, self.graph, "test", allow_pickle=False)
        return args.model_dir


def ground(folder: Path) -> Ground:
    """Rows, graph and transformed rows under `folder`."""
    raw = raw_rows()
    types = {
        "size": "float",
        "kind": "string",
        "binary": "int",
        "multiclass": "string",
        "regression": "float",
    }
    graph = tft.FittedGraph(fit(tft.trace(preprocessing_fn, types), lambda columns: iter([raw])))
    place = split_folder(folder / "examples", "train")
    write_split(place, graph.arrow_schema, [graph.transform(raw)])
    return Ground(folder, raw, graph, Dataset((place,)))
