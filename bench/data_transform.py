"""P5, P8 and P14: Transform beside a plan written by hand in polars, and its memory as rows grow.

The task: three z-scores, ten quantile buckets, and vocabularies of 7, 140 and 7,000 terms, learned from all
rows and applied to them, from Parquet to Parquet (zstd). Both sides get the same file and the same threads.
TensorFlow Transform 1.21 took 15.9 s for it on another machine (Beam's DirectRunner, its fastest way in,
TFRecord out), without 12.7 s of imports.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

import tidemill.data.transform as tft
from goals import Goal
from tidemill.data.dataset import Dataset
from tidemill.data.engine import open_backend
from tidemill.data.parquet import read_schema, split_folder, write_split
from tidemill.data.transform.apply import transform_split
from tidemill.data.transform.fit import fit, input_types

TFT_SECONDS = 15.9
SCALED = ["miles", "fare", "seconds"]
TEXTS = ["payment", "company", "taxi"]


def preprocessing(inputs: tft.Inputs) -> dict[str, tft.Column]:
    """The task."""
    found = {name: tft.scale_to_z_score(inputs[name]) for name in SCALED}
    found["bucket"] = tft.bucketize(inputs["latitude"], 10)
    return found | {name: tft.compute_and_apply_vocabulary(inputs[name]) for name in TEXTS}


def make_rows(folder: Path, rows: int) -> None:
    """Rows as a taxi's meter would give them: skewed numbers, texts of 7, 140 and 7,000 kinds, nulls."""
    rng = np.random.default_rng(8)
    kinds = {"payment": 7, "company": 140, "taxi": 7000}
    words = {
        name: np.array([f"{name} number {i:05d}" for i in range(n)], object) for name, n in kinds.items()
    }

    def tables() -> Iterator[pa.Table]:
        for start in range(0, rows, 100_000):
            many = min(100_000, rows - start)
            columns = {
                "miles": rng.lognormal(1, 1, many),
                "fare": np.round(rng.lognormal(2.5, 0.6, many), 2),
                "seconds": rng.gamma(2, 400, many),
                "latitude": rng.normal(41.9, 0.05, many),
            }
            made: dict[str, Any] = {
                name: pa.array(v, mask=rng.random(many) < 0.02) for name, v in columns.items()
            }
            for name, known in words.items():
                at = np.minimum(rng.zipf(1.3, many) - 1, len(known) - 1)
                made[name] = pa.array(known[at], pa.string(), mask=rng.random(many) < 0.05)
            yield pa.table(made)

    first = next(iter(tables()))
    rng = np.random.default_rng(8)
    write_split(folder, first.schema, tables())


def ours(raw: Path, out: Path, backend: str) -> None:
    """Fit and apply, as the Transform component does."""
    data = Dataset((raw,))
    graph = tft.trace(preprocessing, input_types([read_schema(raw)]))
    with open_backend(backend) as opened:
        fitted = tft.FittedGraph(fit(graph, data, backend=opened))
        transform_split(fitted, data, out)


def by_hand(raw: Path, out: Path) -> None:
    """The same in two polars queries; quantiles are exact here."""
    rows = pl.scan_parquet(raw / "*.parquet")
    asked = [pl.col(n).mean().alias(f"{n}:mean") for n in SCALED]
    asked += [pl.col(n).std(ddof=0).alias(f"{n}:std") for n in SCALED]
    asked += [pl.col("latitude").quantile(i / 10).alias(f"q{i}") for i in range(1, 10)]
    queries = [rows.select(asked)]
    queries += [rows.select(pl.col(n).drop_nulls().value_counts()).unnest(n) for n in TEXTS]
    found, *counted = pl.collect_all(queries)
    numbers = found.row(0, named=True)
    edges = pl.Series(sorted(numbers[f"q{i}"] for i in range(1, 10)))
    made = [((pl.col(n) - numbers[f"{n}:mean"]) / numbers[f"{n}:std"]).alias(n) for n in SCALED]
    made.append(pl.lit(edges).search_sorted(pl.col("latitude"), side="right").cast(pl.Int64).alias("bucket"))
    for name, terms in zip(TEXTS, counted, strict=True):
        ordered = terms.sort(["count", name], descending=[True, False])[name]
        places = pl.Series(np.arange(len(ordered)))
        made.append(pl.col(name).replace_strict(ordered, places, default=-1, return_dtype=pl.Int64))
    out.mkdir(parents=True, exist_ok=True)
    rows.select(made).sink_parquet(out / "part-00000.parquet", compression="zstd", row_group_size=100_000)


def transform_speed(rows: int | None) -> Goal:
    """P8."""
    rows = rows or 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        raw = split_folder(Path(folder), "train")
        make_rows(raw, rows)
        outs = [Path(folder) / name for name in ("ours", "hand")]
        sides: list[Callable[[], None]] = [
            lambda: ours(raw, outs[0], "auto"), lambda: by_hand(raw, outs[1]),
        ]  # fmt: skip
        taken: list[list[float]] = [[], []]
        cpu: list[list[float]] = [[], []]
        for _ in range(6):  # in turns, the first of each not counted
            for side, work in enumerate(sides):
                wall, used = time.perf_counter(), _cpu()
                work()
                taken[side].append(time.perf_counter() - wall)
                cpu[side].append(_cpu() - used)
    mine, hand = (statistics.median(figures[1:]) for figures in taken)
    mine_cpu, hand_cpu = (statistics.median(figures[1:]) for figures in cpu)
    note = f"{mine:.2f} s and {hand:.2f} s; {mine_cpu:.2f} and {hand_cpu:.2f} CPU-s; "
    note += f"TFT {TFT_SECONDS} s elsewhere"
    return Goal(
        number="P8",
        what=f"Transform of {rows:,} rows, wall, against a polars plan by hand",
        measured=mine / hand,
        bound=2.0,
        note=note,
    )


def transform_memory(rows: int | None) -> Goal:
    """P5: the peak of a process that transforms ten times the rows, against one that transforms them."""
    rows = rows or 500_000
    peaks = []
    for many in (rows, 10 * rows):
        with tempfile.TemporaryDirectory() as folder:
            make_rows(split_folder(Path(folder), "train"), many)
            command = [sys.executable, __file__, folder]
            peaks.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    return Goal(
        number="P5",
        what=f"peak memory of Transform, {10 * rows:,} rows against {rows:,}",
        measured=peaks[1] / peaks[0],
        bound=1.2,
        note=f"{peaks[1] / 1024:.0f} MiB and {peaks[0] / 1024:.0f} MiB, one process",
    )


def one_row(rows: int | None) -> Goal:
    """The transform's part of P14: one raw row to the arrays of a model."""
    table = pa.table(
        {
            "numbers": pa.array([float(n % 97) for n in range(1000)]),
            "texts": pa.array([f"term {n % 60}" for n in range(1000)]),
            "seconds": pa.array(list(range(1000))),
        }
    )
    names = [f"{kind}{n}" for kind in table.column_names for n in range(5)]
    wide = pa.table({name: table.column(name[:-1]) for name in names})

    def taxi_like(inputs: tft.Inputs) -> dict[str, tft.Column]:
        found = {}
        for n in range(5):
            number = tft.fill_null(inputs[f"numbers{n}"], 0.0)
            found[f"z{n}"] = tft.scale_to_z_score(tft.log1p(tft.clip(number, lower=0.0)))
            text = tft.lower(tft.fill_null(inputs[f"texts{n}"], "none"))
            found[f"v{n}"] = tft.compute_and_apply_vocabulary(text, top_k=50, num_oov_buckets=2)
            found[f"h{n}"] = tft.fill_null(tft.hour(tft.from_unix(inputs[f"seconds{n}"])), 24)
        return found

    traced = tft.trace(taxi_like, input_types([wide.schema]))
    graph = tft.FittedGraph(fit(traced, lambda columns: [wide.select(list(columns))]))
    taken = []
    for row in wide.to_pylist() * max(1, (rows or 5000) // 1000):
        start = time.perf_counter()
        graph.transform_row(row)
        taken.append((time.perf_counter() - start) * 1000)
    taken.sort()
    return Goal(
        number="P14",
        what=f"one row of 15 columns transformed ({len(graph.graph.nodes)} nodes), p50; predicting apart",
        measured=taken[len(taken) // 2],
        bound=1.0,
        unit="ms",
        note=f"p99 {taken[len(taken) * 99 // 100]:.2f} ms",
    )


def _cpu() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


GOALS = {"P5": transform_memory, "P8": transform_speed, "P14": one_row}

if __name__ == "__main__":
    place = Path(sys.argv[1])
    ours(split_folder(place, "train"), place / "out", "inline")
    sys.stdout.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
