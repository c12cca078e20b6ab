"""All eleven components on taxi trips, and one answer everywhere: evaluated, inferred in bulk, served."""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TAXI = ROOT / "examples" / "taxi"
REAL_TRIPS = ROOT.parent / "shared" / "data" / "chicago_taxi.csv"
TOLERANCE = 1e-9
"""Relative. Rows are transformed in float64 on every path, and a model gets the same float32 or float64 each
time; what differs is the order of sums when many rows are predicted at once."""
ASKED = 200
NODES = {"ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "Transform", "Tuner", "Trainer",
         "Evaluator", "InfraValidator", "Pusher", "BulkInferrer"}  # fmt: skip


def run_full(project, trainer: str, trips: Path, serving: Path) -> None:
    """In one process: each node would load scikit-learn again, and isolation has tests of its own."""
    process = project.start(
        "run", f"{TAXI / 'full.py'}:taxi_{trainer}", "--json", "--isolation", "none",
        "-p", f"data={trips}", "-p", f"serving={serving}",
    )  # fmt: skip
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0, out + err
    nodes = json.loads(out)["nodes"]
    assert {name.partition(".")[0] for name in nodes} == NODES
    assert {node["state"] for node in nodes.values()} == {"COMPLETE"}, nodes


def folder_of(project, trainer: str, pattern: str) -> Path:
    ((uri,),) = project.query("SELECT uri FROM Artifact WHERE uri LIKE ?", f"%/taxi_{trainer}/%/{pattern}")
    return Path(uri)


@contextlib.contextmanager
def served(project, folder: Path) -> Iterator[str]:
    """The address of a real server of what was pushed."""
    server = project.start("serve", str(folder), "--port", "0")
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line.startswith("serving http://"), line
        yield line.split()[1]
    finally:
        server.terminate()
        server.communicate(timeout=30)


def ask(address: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    request = urllib.request.Request(
        f"{address}/v1/models/model:predict",
        data=json.dumps({"instances": rows}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return list(json.loads(answer.read())["predictions"])


def check_answers(project, trainer: str, serving: Path) -> None:
    """Every path from a raw row to a prediction gives the same one."""
    import pyarrow.parquet as pq

    inferred = folder_of(project, trainer, "BulkInferrer/%/inference_result") / "Split-eval"
    rows = [row for path in sorted(inferred.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    made = ("probability", "prediction", "model_version")
    # The tips are what the model foretells: no client has them.
    raw = [{k: v for k, v in row.items() if k not in (*made, "tips")} for row in rows[:ASKED]]
    with served(project, serving) as address:
        together = ask(address, raw)
        alone = [ask(address, [row])[0] for row in raw[:10]]
    for answers in (together, alone):
        for answer, row in zip(answers, rows, strict=False):
            assert answer["probability"] == pytest.approx(row["probability"], rel=TOLERANCE)
            assert answer["prediction"] == row["prediction"]

    evaluation = folder_of(project, trainer, "Evaluator/%/evaluation")
    measured = json.loads((evaluation / "evaluation.json").read_text())
    tipped = [(row["tips"] or 0.0) > 0.2 * (row["fare"] or 0.0) for row in rows]
    loss = -math.fsum(
        math.log(row["probability"] if yes else 1 - row["probability"])
        for row, yes in zip(rows, tipped, strict=True)
    )
    assert measured["labelled_rows"] == len(rows)
    assert measured["model"]["log_loss"] == pytest.approx(loss / len(rows), rel=TOLERANCE)
    right = sum(row["prediction"] == yes for row, yes in zip(rows, tipped, strict=True))
    assert measured["model"]["accuracy"] == pytest.approx(right / len(rows), rel=TOLERANCE)


def check_full(project, trainer: str, trips: Path, sound) -> None:
    serving = project.folder / "serving"
    run_full(project, trainer, trips, serving)
    check_answers(project, trainer, serving)
    sound(project)


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["lightgbm", "sklearn"])
def test_eleven_components_on_generated_trips(project, sound, trainer: str) -> None:
    trips = project.folder / "trips.csv"
    subprocess.run([sys.executable, str(TAXI / "generate.py"), str(trips), "--rows", "3000"], check=True)
    check_full(project, trainer, trips, sound)


@pytest.mark.slow
@pytest.mark.skipif(not REAL_TRIPS.is_file(), reason=f"no {REAL_TRIPS.name} beside the checkout")
@pytest.mark.parametrize("trainer", ["lightgbm", "sklearn"])
def test_eleven_components_on_the_real_trips(project, sound, trainer: str) -> None:
    check_full(project, trainer, REAL_TRIPS, sound)
