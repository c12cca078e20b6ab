"""P10: judging predictions in many slices, against TensorFlow Model Analysis.

What TFMA took is kept as data, measured once on such a machine with its `analyze_raw_data` (TFMA 0.52, one
process, imports left out) for the same work: 100,000 predictions, six metrics, all rows and 47 slices (two
columns and their cross). The memory of our evaluation is measured at two sizes as well: it must not grow.
"""

from __future__ import annotations

import importlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from goals import Goal
from tidemill.components.evaluator.executor import run
from tidemill.data.evaluation_file import read_evaluation
from tidemill.data.parquet import split_folder, write_split
from tidemill.types.standard import Examples, Model, ModelBlessing, ModelEvaluation

TFMA_SECONDS, TFMA_ROWS = 75.3, 100_000
ROWS = 100_000
METRICS = ("auc", "accuracy", "precision", "recall", "log_loss", "mean_prediction")
SLICES = ("payment", "day", ["payment", "day"])
PART = 100_000


def predictions(rows: int, seed: int = 7) -> pa.Table:
    """Scores and labels, with a payment of five kinds and a day of seven: 5 + 7 + 35 slices."""
    rng = np.random.default_rng(seed)
    score = rng.beta(2, 4, rows)
    return pa.table(
        {
            "score": score,
            "label": (rng.random(rows) < score).astype(np.int64),
            "payment": np.array(["Cash", "Card", "Mobile", "Free", "Unknown"])[rng.integers(0, 5, rows)],
            "day": rng.integers(0, 7, rows),
        }
    )


def predict_fn(model_dir: Path, rows: pa.Table) -> Any:
    """The score that is there already: judging is measured, not predicting."""
    del model_dir
    return rows.column("score").to_numpy()


def evaluate(folder: Path, **more: Any) -> float:
    """Judge the examples in `folder`, as the component does; CPU seconds."""
    places = [folder / name for name in ("model", "evaluation", "blessing")]
    for place in places:
        place.mkdir(exist_ok=True)
    examples = Examples(path=folder / "examples")
    examples.splits = ["eval"]
    before = time.process_time()
    run(
        examples=examples,
        model=Model(path=places[0]),
        evaluation=ModelEvaluation(path=places[1]),
        blessing=ModelBlessing(path=places[2]),
        predict_fn=predict_fn,
        label="label",
        metrics=METRICS,
        slices=SLICES,
        **more,
    )
    return time.process_time() - before


def write(folder: Path, rows: int) -> None:
    """Examples of so many rows, in groups of 100,000."""
    parts = (predictions(min(PART, rows - at), seed=at) for at in range(0, rows, PART))
    write_split(split_folder(folder / "examples", "eval"), predictions(1).schema, parts)


def in_a_process(folder: Path) -> Mapping[str, float]:
    """The same in a process of its own: CPU seconds, slices, and MiB above its imports."""
    words = [sys.executable, str(Path(__file__)), str(folder)]
    ended = subprocess.run(words, check=True, capture_output=True, text=True)
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def p10(rows: int | None) -> Goal:
    """CPU seconds of one evaluation, as a ratio to TFMA's seconds per row."""
    count = rows or ROWS
    with tempfile.TemporaryDirectory() as name:
        small, large = Path(name) / "small", Path(name) / "large"
        for folder, size in ((small, count), (large, count * 10)):
            folder.mkdir()
            write(folder, size)
        runs = [in_a_process(small) for _ in range(3)]
        ten = in_a_process(large)
    seconds = sorted(each["seconds"] for each in runs)[1]
    memory = sorted(each["mib"] for each in runs)[1]
    note = (
        f"{seconds:.2f} CPU-s for {runs[0]['slices']:.0f} slices, {ten['seconds']:.2f} for 10x the rows; "
        f"{memory:.0f} and {ten['mib']:.0f} MiB above the imports; TFMA {TFMA_SECONDS} s for {TFMA_ROWS} rows"
    )
    ratio = TFMA_SECONDS * count / TFMA_ROWS / seconds
    return Goal(
        number="P10",
        what=f"evaluate {count} predictions, six metrics, overall and slices, against TFMA per row",
        measured=ratio,
        bound=100.0,
        at_most=False,
        note=note,
    )


GOALS: dict[str, Callable[[int | None], Goal]] = {"P10": p10}


def main(folder: Path) -> None:
    """What `in_a_process` starts."""
    importlib.import_module("tidemill.data.slices")  # imports are left out, as they are for TFMA
    floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = evaluate(folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    slices = len(read_evaluation(folder / "evaluation").all_slices())
    sys.stdout.write(json.dumps({"seconds": seconds, "slices": slices, "mib": (peak - floor) / 1024}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
