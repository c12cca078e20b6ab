"""ExampleGen measured: from CSV to split Parquet, beside duckdb and pyarrow, and how much memory it takes.

Every reading is a process of its own, in turns with its peers, because the machine is never quite still; the
best of three counts. Peers get two threads, as ExampleGen has two cores.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from goals import Goal
from taxi_rows import write_taxi_csv

_ROWS = 1_000_000
_TURNS = 3


def ingest_speed(rows: int | None = None) -> Goal:
    """P9: CSV to zstd Parquet in two splits by hash, in MiB of CSV a second."""
    rows = rows or _ROWS
    with tempfile.TemporaryDirectory() as place:
        csv = Path(place, "trips.csv")
        write_taxi_csv(csv, rows)
        size = csv.stat().st_size / 2**20
        best: dict[str, dict[str, float]] = {}
        for _ in range(_TURNS):
            for name in ("tidemill", "duckdb", "pyarrow"):
                found = _apart(name, csv)
                if found and (name not in best or found["wall"] < best[name]["wall"]):
                    best[name] = found
    figures = ", ".join(
        f"{name} {size / f['wall']:.0f} MiB/s with {f['cpu']:.2f} CPU-s and {f['rss']:.0f} MiB"
        for name, f in best.items()
    )
    return Goal(
        number="P9",
        what=f"CSV of {size:.0f} MiB, {rows:,} rows, to Parquet with a hash split (pyarrow: without)",
        measured=size / best["tidemill"]["wall"],
        bound=70,
        unit="MiB/s",
        at_most=False,
        note=figures,
    )


def ingest_memory(rows: int | None = None) -> Goal:
    """P5, its first part: memory of ExampleGen for three times as many rows."""
    rows = rows or _ROWS
    peaks = []
    with tempfile.TemporaryDirectory() as place:
        for count in (rows, 3 * rows):
            csv = Path(place, f"trips{count}.csv")
            write_taxi_csv(csv, count)
            peaks.append(_apart("tidemill", csv)["rss"])
    return Goal(
        number="P5",
        what=f"peak memory of ExampleGen for {3 * rows:,} rows of CSV against {rows:,}",
        measured=peaks[1] / peaks[0],
        bound=1.2,
        note=f"{peaks[0]:.0f} and {peaks[1]:.0f} MiB, imports and all",
    )


def _apart(name: str, csv: Path) -> dict[str, float]:
    """Run one reader in a process of its own; empty where its library is missing."""
    command = [sys.executable, __file__, name, str(csv)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode == 3:
        return {}
    if ended.returncode:
        raise RuntimeError(ended.stderr)
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


def _tidemill(csv: Path, out: Path) -> Callable[[], object]:
    from tidemill.data.ingest import ingest
    from tidemill.data.opening import open_source
    from tidemill.storage.pattern import resolve_files

    files = resolve_files(str(csv))
    return lambda: ingest(open_source(files, "csv", {}, ("",)), out, {"train": 2, "eval": 1})


def _duckdb(csv: Path, out: Path) -> Callable[[], object]:
    import duckdb

    connection: Any = duckdb.connect(config={"threads": 2})
    split = "case when hash(trip_id) % 3 < 2 then 'train' else 'eval' end as split"
    to = f"'{out}' (format parquet, compression zstd, partition_by (split))"
    return lambda: connection.execute(f"copy (select *, {split} from read_csv('{csv}')) to {to}")


def _pyarrow(csv: Path, out: Path) -> Callable[[], object]:
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    def convert() -> None:
        reader = pa_csv.open_csv(csv, read_options=pa_csv.ReadOptions(block_size=8 << 20))
        out.mkdir()
        with pq.ParquetWriter(out / "all.parquet", reader.schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch)

    return convert


def _read_once(name: str, csv: Path) -> None:
    """What a process of its own does: print wall seconds, CPU seconds and peak MiB as JSON."""
    out = csv.parent / f"out-{name}"
    shutil.rmtree(out, ignore_errors=True)
    try:
        work = {"tidemill": _tidemill, "duckdb": _duckdb, "pyarrow": _pyarrow}[name](csv, out)
    except ImportError:
        sys.exit(3)
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    sys.stdout.write(json.dumps({"wall": wall, "cpu": cpu, "rss": after.ru_maxrss / 1024}) + "\n")
    shutil.rmtree(out)


GOALS: dict[str, Callable[[int | None], Goal]] = {"P5": ingest_memory, "P9": ingest_speed}

if __name__ == "__main__":
    _read_once(sys.argv[1], Path(sys.argv[2]))
