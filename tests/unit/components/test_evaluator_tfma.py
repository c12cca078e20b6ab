"""Evaluator beside TensorFlow Model Analysis: every metric of every slice, as TFMA measured it once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tidemill.components.evaluator.executor import run
from tidemill.data.evaluation_file import read_evaluation
from tidemill.data.parquet import split_folder, write_split
from tidemill.types.standard import Examples, Model, ModelBlessing, ModelEvaluation

FIGURES = json.loads((Path(__file__).parent / "tfma_0_52.json").read_text())["slices"]
METRICS = ["auc", "accuracy", "precision", "recall", "log_loss", "mean_prediction"]


def predictions() -> pa.Table:
    """The rows that TFMA was given."""
    rng = np.random.default_rng(31)
    score = np.round(rng.beta(2, 4, 2000), 4)
    return pa.table(
        {
            "score": score,
            "label": (rng.random(2000) < score).astype(np.int64),
            "payment": np.array(["Cash", "Card", "Mobile"])[rng.integers(0, 3, 2000)],
            "day": rng.integers(0, 4, 2000),
        }
    )


def named(key: dict[str, Any]) -> frozenset[tuple[str, str]]:
    return frozenset((name, str(value)) for name, value in key.items())


def test_every_metric_of_every_slice_is_that_of_tfma(tmp_path: Path) -> None:
    for name in ("evaluation", "blessing", "model"):
        (tmp_path / name).mkdir()
    examples = Examples(path=tmp_path / "examples")
    examples.splits = ["eval"]
    table = predictions()
    write_split(split_folder(examples.path, "eval"), table.schema, [table])
    run(
        examples=examples,
        model=Model(path=tmp_path / "model"),
        evaluation=ModelEvaluation(path=tmp_path / "evaluation"),
        blessing=ModelBlessing(path=tmp_path / "blessing"),
        predict_fn=lambda model_dir, rows: rows.column("score").to_numpy(),
        label="label",
        metrics=METRICS,
        slices=["payment", "day", ["payment", "day"]],
    )
    found = {named(dict(part.key)): part for part in read_evaluation(tmp_path / "evaluation").all_slices()}
    assert len(found) == len(FIGURES) == 20
    for figures in FIGURES:
        part = found[named(figures["slice"])]
        for name in METRICS:
            # TFMA's AUC is that of scores in bins of 1/10000, ours is exact where they are so few.
            off = {"abs": 1e-4} if name == "auc" else {"rel": 1e-12}
            assert part.model[name].value == pytest.approx(figures[name], **off), (part.name, name)
