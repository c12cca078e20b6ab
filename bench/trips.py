"""Tables like Chicago's taxi trips, made by a seed and kept in a temporary folder between measurements.

Eighteen columns: a unique text, texts with 7 000, 140 and 7 values, a time stamp, whole numbers, skewed
floats, a truth value, and up to 35 % nulls. Written one row group at a time, so any size fits into memory.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.random import Generator

from tidemill.data.parquet import ROW_GROUP_ROWS, write_split
from tidemill.storage.manifest import seal

MILLION = 1_000_000


def trips(rows: int, *, seed: int = 0) -> Path:
    """A split folder with one file of `rows` rows; made when it is not there yet."""
    return _made(f"{rows}-{seed}", rows, seed)


def parts(count: int, *, rows: int = MILLION) -> Path:
    """A split folder with `count` files of `rows` rows each, all hard links to the same one."""
    source = trips(rows) / "part-00000.parquet"
    folder = _home() / f"parts-{count}-{rows}"
    folder.mkdir(exist_ok=True)
    for at in range(count):
        target = folder / f"part-{at:05}.parquet"
        if not target.exists():
            os.link(source, target)
    return folder


def days(count: int, *, rows: int = MILLION) -> list[Path]:
    """`count` split folders of different days, sealed as artifacts are."""
    folders = [trips(rows, seed=1 + day) for day in range(count)]
    for folder in folders:
        seal(folder)
    return folders


def table(random: Generator, first: int, rows: int) -> pa.Table:
    """Rows `first` to `first + rows`."""
    miles = random.lognormal(0.8, 1.0, rows).round(1)
    fare = (3.25 + 2.25 * miles + random.exponential(1.5, rows)).round(2)
    tips = np.where(random.random(rows) < 0.4, (fare * random.uniform(0.1, 0.35, rows)).round(2), 0.0)
    extras = random.choice([0.0, 0.5, 1.0, 1.5, 2.0], rows, p=[0.6, 0.1, 0.2, 0.05, 0.05])
    start = 1_356_998_400_000_000 + random.integers(0, 4 * 365 * 96, rows) * 900_000_000
    area, other = random.integers(1, 78, rows), random.integers(1, 78, rows)
    serial = np.arange(first, first + rows).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return pa.table(
        {
            "trip_id": pa.array([f"{value:016x}{value >> 3:016x}" for value in serial.tolist()]),
            "taxi_id": _texts(random, "taxi", 7000, rows, 0.0),
            "company": _texts(random, "Company of Chicago", 140, rows, 0.31),
            "payment_type": _texts(random, "pay", 7, rows, 0.0),
            "trip_start": pa.array(start, pa.timestamp("us")),
            "trip_seconds": _some(random, (miles * 180 + random.exponential(120, rows)).astype(int), 0.01),
            "trip_miles": _some(random, miles, 0.0),
            "fare": _some(random, fare, 0.0),
            "tips": _some(random, tips, 0.0),
            "tolls": _some(random, np.where(random.random(rows) < 0.02, 5.0, 0.0), 0.1),
            "extras": _some(random, extras, 0.0),
            "trip_total": _some(random, fare + tips + extras, 0.0),
            "pickup_area": _some(random, area, 0.08),
            "dropoff_area": _some(random, other, 0.12),
            "pickup_latitude": _some(random, 41.6 + area * 0.005 + random.integers(0, 9, rows) / 1e4, 0.15),
            "pickup_longitude": _some(random, -87.9 + area * 0.004 + random.integers(0, 9, rows) / 1e4, 0.15),
            "dropoff_latitude": _some(random, 41.6 + other * 0.005 + random.normal(0, 1e-3, rows), 0.35),
            "shared": pa.array(random.random(rows) < 0.1),
        }
    )


def _some(random: Generator, values: Any, nulls: float) -> Any:
    return pa.array(values, mask=random.random(len(values)) < nulls if nulls else None)


def _texts(random: Generator, stem: str, size: int, rows: int, nulls: float) -> Any:
    words = np.array([f"{stem} {at:04}" for at in range(size)])
    at = np.minimum(random.exponential(size / 5, rows).astype(int), size - 1)
    return _some(random, words[at].astype(object), nulls)


def _made(name: str, rows: int, seed: int) -> Path:
    folder = _home() / name
    if folder.is_dir():
        return folder
    random = np.random.default_rng(seed)
    starts = range(0, rows, ROW_GROUP_ROWS)
    first = seed * rows
    tables = (table(random, first + at, min(ROW_GROUP_ROWS, rows - at)) for at in starts)
    unfinished = Path(tempfile.mkdtemp(dir=_home()))
    write_split(unfinished, table(np.random.default_rng(0), 0, 1).schema, tables)
    return unfinished.rename(folder)


def _home() -> Path:
    folder = Path(tempfile.gettempdir()) / "tidemill-bench"
    folder.mkdir(exist_ok=True)
    return folder
