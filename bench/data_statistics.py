"""P1 to P7, P13, P15, P16: statistics, against a plain decode, against TFDV, and against themselves.

TFDV is measured where TIDEMILL_TFDV_PYTHON names an interpreter that has it; see `tfdv_peer.py`.
Decoding and statistics take turns, and the best of three counts, because other work on a machine only adds.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import trips
from goals import Goal
from tidemill.data.analyze import analyze_split
from tidemill.data.engine import open_backend
from tidemill.data.engine.states_file import StatesFiles
from tidemill.data.parquet import read_tables
from tidemill.data.statistics import SplitStatistics, Statistics, write_statistics

MILLION = trips.MILLION
REPEATS = 3
LIMITED = """
import resource, sys
from pathlib import Path
from tidemill.data.analyze import analyze_split
floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
if int(sys.argv[2]):
    resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[2]), int(sys.argv[2])))
rows = analyze_split(Path(sys.argv[1]), backend=sys.argv[3]).num_rows
print(floor, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, rows)
"""


def p1(rows: int | None) -> Goal:
    """Statistics against TFDV on Beam, wall seconds per row."""
    rows = rows or 10 * MILLION
    sample = min(rows, MILLION)
    folder = trips.trips(rows)
    peer = _tfdv("beam", trips.trips(sample))
    what = f"statistics of {rows} rows by 2 processes, per row, against TFDV 1.16.1 on Beam's DirectRunner"
    if peer is None:
        return Goal(number="P1", what=what, measured=None, bound=25, at_most=False, note=_NO_TFDV)
    with open_backend("pool", ["--workers=2"]) as pool:
        ours = _wall(lambda: analyze_split(folder, backend=pool))
    theirs = peer[1] / sample * rows
    note = f"{ours:.2f} s; TFDV {peer[1]:.1f} s for {sample} rows, imports apart"
    return Goal(number="P1", what=what, measured=theirs / ours, bound=25, at_most=False, note=note)


def p2(rows: int | None) -> Goal:
    """Statistics against TFDV's in-memory path, CPU seconds."""
    rows = rows or MILLION
    folder = trips.trips(rows)
    what = f"statistics of {rows} rows in one process, CPU, against TFDV 1.16.1 from a dataframe in memory"
    peer = _tfdv("dataframe", folder)
    if peer is None:
        return Goal(number="P2", what=what, measured=None, bound=2.5, at_most=False, note=_NO_TFDV)
    ours = _cpu(lambda: analyze_split(folder))
    note = f"{ours:.2f} CPU-s, decoding included; TFDV {peer[0]:.2f} CPU-s"
    return Goal(number="P2", what=what, measured=peer[0] / ours, bound=2.5, at_most=False, note=note)


def p3(rows: int | None) -> Goal:
    """Statistics against decoding."""
    rows = rows or 10 * MILLION
    folder = trips.trips(rows)
    ours, decode = [], []
    with open_backend("pool", ["--workers=2"]) as pool:
        for _ in range(REPEATS):
            decode.append(_once(lambda: _decode(folder)))
            ours.append(_once(lambda: analyze_split(folder, backend=pool)))
    what = (
        f"statistics of {rows} rows by 2 processes, against pyarrow's decode of the same on 2 threads, wall"
    )
    note = f"{min(ours):.2f} s; decode {min(decode):.2f} s"
    return Goal(number="P3", what=what, measured=min(ours) / min(decode), bound=4, note=note)


def p4(rows: int | None) -> Goal:
    """Peak memory."""
    rows = rows or 10 * MILLION
    floor, small, _ = _limited(trips.trips(rows // 10))
    _, large, _ = _limited(trips.trips(rows))
    what = f"peak memory of statistics in one process, {rows} rows against {rows // 10}; at most 400 MB"
    note = f"{large / 1e3:.0f} MB against {small / 1e3:.0f} MB, of which {floor / 1e3:.0f} MB are imports"
    measured = large / small if large <= 400_000 else float("inf")
    return Goal(number="P4", what=what, measured=measured, bound=1.2, note=note)


def p5(rows: int | None) -> Goal:
    """Data larger than memory."""
    rows = rows or 100 * MILLION
    folder = trips.parts(rows // MILLION) if rows >= MILLION else trips.trips(rows)
    began = time.perf_counter()
    _, peak, done = _limited(folder, limit=1 << 30)
    what = f"statistics of {rows} rows in one process that may hold 1 GiB (RLIMIT_DATA); rows done"
    took = time.perf_counter() - began
    note = f"{took:.0f} s, peak {peak / 1e3:.0f} MB; the files are hard links to one of 1M rows"
    return Goal(number="P5", what=what, measured=done, bound=rows, unit="rows", at_most=False, note=note)


def p6(rows: int | None) -> Goal:
    """Two processes against one."""
    rows = rows or 10 * MILLION
    folder = trips.trips(rows)
    one, two = [], []
    with open_backend("pool", ["--workers=1"]) as single, open_backend("pool", ["--workers=2"]) as double:
        for _ in range(REPEATS):
            one.append(_once(lambda: analyze_split(folder, backend=single)))
            two.append(_once(lambda: analyze_split(folder, backend=double)))
        merging = _cpu(lambda: analyze_split(folder, backend=double), repeats=1)
    what = f"statistics of {rows} rows: one worker's wall seconds over those of two"
    note = f"{min(one):.2f} s and {min(two):.2f} s on {os.cpu_count()} CPUs; load {os.getloadavg()[0]:.0f}"
    note += f"; of it {merging:.2f} CPU-s are merges, in this process"
    return Goal(number="P6", what=what, measured=min(one) / min(two), bound=1.6, at_most=False, note=note)


def p7(rows: int | None) -> Goal:
    """Rank error of quantiles; and the same bytes again."""
    rows = rows or 10 * MILLION
    folder = trips.trips(rows)
    first, second = (analyze_split(folder, backend="pool") for _ in range(2))
    worst = 0.0
    for name in ("fare", "trip_total", "dropoff_latitude", "trip_miles", "trip_seconds"):
        column = first.column(name)
        assert column is not None
        assert column.numeric is not None
        worst = max(worst, _rank_error(folder, name, column.numeric.quantiles))
    what = f"largest rank error of 101 quantiles of 5 columns with {rows} rows; the same bytes twice"
    measured = worst if _content(first) == _content(second) else float("inf")
    return Goal(
        number="P7", what=what, measured=measured, bound=0.002, unit="", note="exact ranks from all values"
    )


def p13(rows: int | None) -> Goal:
    """Thirty days merged against thirty days computed."""
    rows = rows or MILLION
    folders = trips.days(30, rows=rows)
    with tempfile.TemporaryDirectory() as name:
        made = StatesFiles()
        computed = _cpu(lambda: analyze_split(folders, kept=made), repeats=1)
        made.write(Path(name))
        size = sum(file.stat().st_size for file in Path(name).iterdir())
        merged = _cpu(lambda: analyze_split(folders, kept=StatesFiles([Path(name)])))
    what = f"30 spans of {rows} rows merged from kept states, against computing them, CPU"
    note = f"{merged:.3f} CPU-s against {computed:.1f} CPU-s; the states have {size / 1e6:.1f} MB"
    return Goal(number="P13", what=what, measured=merged / computed * 100, bound=1, unit="%", note=note)


def p15(rows: int | None) -> Goal:
    """The same bytes on every backend."""
    folder = trips.trips(rows or MILLION)
    names = ["inline", "pool", "beam"]
    note = "inline, pool, Beam's DirectRunner"
    if importlib.util.find_spec("ray") is None:
        note += "; ray is not installed"
    else:
        names.append("ray")
    found = {_content(analyze_split(folder, backend=name)) for name in names}
    what = f"different statistics of {rows or MILLION} rows among {len(names)} backends"
    return Goal(number="P15", what=what, measured=len(found), bound=1, unit="", note=note)


def p16(rows: int | None) -> Goal:  # noqa: ARG001
    """What `import tidemill` loads."""
    code = "import sys, tidemill; print(sum(m in sys.modules for m in ('polars', 'pyarrow', 'numpy')))"
    loaded = int(
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    )
    what = "data libraries that `import tidemill` loads"
    return Goal(number="P16", what=what, measured=loaded, bound=0, unit="", note="polars, pyarrow, numpy")


GOALS: dict[str, Callable[[int | None], Goal]] = {
    "P1": p1, "P2": p2, "P3": p3, "P4": p4, "P5": p5, "P6": p6, "P7": p7, "P13": p13, "P15": p15, "P16": p16,
}  # fmt: skip
_NO_TFDV = "TIDEMILL_TFDV_PYTHON names no interpreter with TFDV"


def _decode(folder: Path) -> int:
    pa.set_cpu_count(2)
    rows = 0
    for path in sorted(folder.glob("*.parquet")):
        with pq.ParquetFile(path) as file:
            rows += sum(batch.num_rows for batch in file.iter_batches(100_000))
    return rows


def _limited(folder: Path, limit: int = 0) -> tuple[int, int, int]:
    """Kilobytes after the imports and at the peak, and rows, of statistics in a process of their own."""
    command = [sys.executable, "-c", LIMITED, str(folder), str(limit), "inline"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    floor, peak, rows = map(int, printed.split())
    return floor, peak, rows


def _tfdv(mode: str, folder: Path) -> Sequence[float] | None:
    python = os.environ.get("TIDEMILL_TFDV_PYTHON")
    if not python:
        return None
    script = Path(__file__).parent / "tfdv_peer.py"
    done = subprocess.run([python, script, mode, folder], check=True, capture_output=True, text=True)
    figures: list[float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _rank_error(folder: Path, name: str, quantiles: Sequence[float]) -> float:
    parts = [table[name].drop_null().to_numpy() for table in read_tables(folder, [name])]
    ordered = np.sort(np.concatenate(parts))
    low = np.searchsorted(ordered, quantiles, side="left") / len(ordered)
    high = np.searchsorted(ordered, quantiles, side="right") / len(ordered)
    shares = np.arange(101) / 100
    return float(np.maximum(np.maximum(low - shares, shares - high), 0).max())


def _content(statistics: SplitStatistics) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        write_statistics(Path(name), Statistics(splits={"all": statistics}))
        return b"".join(file.read_bytes() for file in Path(name).iterdir())


def _once(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _wall(call: Callable[[], object], repeats: int = REPEATS) -> float:
    return min(_once(call) for _ in range(repeats))


def _cpu(call: Callable[[], object], repeats: int = REPEATS) -> float:
    found = []
    for _ in range(repeats):
        began = time.process_time()
        call()
        found.append(time.process_time() - began)
    return min(found)
