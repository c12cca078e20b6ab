"""P11 and P12: whole pipelines from the command line, in a cold process, with the metadata store.

TFX's own figure for P11 (LocalDagRunner, the same five components on the same file) was measured once, apart,
as it does not install here: 64.3 s of wall time, of which 28 s imports.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from goals import Goal

ROOT = Path(__file__).resolve().parent.parent
TAXI = ROOT / "examples" / "taxi"
REAL_TRIPS = ROOT.parent / "shared" / "data" / "chicago_taxi.csv"
"""15,002 trips as TFX ships them; where they are not beside the checkout, as many are made."""
ROWS = 15_002
TFX_SECONDS = 64.3
REPEATS = 3

FIVE = """
from model import preprocessing_fn
from tidemill import files, pipeline
from tidemill.components import ExampleGen, ExampleValidator, SchemaGen, StatisticsGen, Transform

@pipeline(name="five")
def five(data: str) -> None:
    made = ExampleGen(source=files(data))
    statistics = StatisticsGen(examples=made.outputs.examples)
    schema = SchemaGen(statistics=statistics.outputs.statistics)
    valid = ExampleValidator(statistics=statistics.outputs.statistics, schema=schema.outputs.schema)
    transform = Transform(examples=made.outputs.examples, preprocessing_fn=preprocessing_fn,
                          schema=schema.outputs.schema)
    valid >> transform
"""


def five_components(rows: int | None) -> Goal:
    """P11: ExampleGen, StatisticsGen, SchemaGen, ExampleValidator, Transform."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = _trips(folder, rows)
        shutil.copy(TAXI / "model.py", folder / "model.py")
        (folder / "five.py").write_text(FIVE, encoding="utf-8")
        wall, cpu = _best(lambda root: _run(folder / "five.py", root, data), folder)
    return Goal(
        number="P11",
        what=f"taxi, {rows or ROWS} rows, 5 components, cold process with the store",
        measured=wall,
        bound=3.0,
        unit="s",
        note=f"{cpu:.2f} CPU-s; TFX {TFX_SECONDS} s elsewhere, {TFX_SECONDS / wall:.0f}x; "
        f"the same with every library in one process: {_floor():.2f} CPU-s of imports",
    )


def quickstart(rows: int | None) -> Goal:
    """P12: the taxi example, all of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = _trips(folder, rows)
        wall, cpu = _best(
            lambda root: _run(TAXI / "pipeline.py", root, data, "-p", f"serving={root / 'serving'}"), folder
        )
    return Goal(
        number="P12",
        what=f"taxi example, {rows or ROWS} rows, all of its components, cold process",
        measured=wall,
        bound=12.0,
        unit="s",
        note=f"{cpu:.2f} CPU-s",
    )


def _trips(folder: Path, rows: int | None) -> Path:
    if rows is None and REAL_TRIPS.is_file():
        return REAL_TRIPS
    path = folder / "trips.csv"
    command = [sys.executable, str(TAXI / "generate.py"), str(path), "--rows", str(rows or ROWS)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return path


def _best(run: Callable[[Path], None], folder: Path) -> tuple[float, float]:
    """The quickest of some runs, each with a root of its own: wall and processor seconds."""
    found = []
    for number in range(REPEATS):
        before, began = _spent(), time.perf_counter()
        run(folder / f"root{number}")
        found.append((time.perf_counter() - began, _spent() - before))
    return min(found)


def _run(pipeline: Path, root: Path, data: Path, *words: str) -> None:
    command = [sys.executable, "-m", "tidemill.cli.main", "run", str(pipeline), "--root", str(root)]
    done = subprocess.run(
        [*command, "-p", f"data={data}", *words],
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _floor() -> float:
    before = _spent()
    code = "import tidemill.components.transform.executor, tidemill.components.example_gen.executor"
    subprocess.run([sys.executable, "-c", code], check=True)
    return _spent() - before


GOALS = {"P11": five_components, "P12": quickstart}
