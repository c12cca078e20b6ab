"""Seeded, made-up taxi trips for the benchmarks of data: 18 columns of every kind, with nulls and skew.

Like the Chicago sample in shape: a unique id, a column of 7,000 values, a category of 140 with a third
missing, one of 7, a time stamp, whole numbers, skewed amounts and a boolean. One seed gives one
table, however many rows of it are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

CHUNK_ROWS = 100_000
_PAYMENTS = ["Cash", "Credit Card", "Mobile", "Prcard", "No Charge", "Unknown", "Dispute"]


def taxi_tables(rows: int, *, seed: int = 1) -> Iterator[pa.Table]:
    """The first `rows` trips, in tables of at most CHUNK_ROWS."""
    for chunk, start in enumerate(range(0, rows, CHUNK_ROWS)):
        yield _chunk(np.random.default_rng([seed, chunk])).slice(0, rows - start)


def write_taxi_csv(path: Path, rows: int, *, seed: int = 1) -> None:
    """The same as CSV: about 160 bytes a row."""
    tables = taxi_tables(rows, seed=seed)
    first = next(tables)
    options = pa_csv.WriteOptions(quoting_style="needed")
    with pa_csv.CSVWriter(path, first.schema, write_options=options) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table)


def _chunk(random: np.random.Generator) -> pa.Table:
    n = CHUNK_ROWS
    miles = np.round(random.lognormal(0.7, 1.0, n), 2)
    seconds = np.round(miles * random.normal(240, 60, n).clip(60) / 60).astype(np.int64) * 60
    fare = np.round(3.25 + 2.25 * miles + seconds / 300, 2)
    payment = random.choice(7, n, p=[0.5, 0.4, 0.04, 0.03, 0.01, 0.01, 0.01])
    tips = np.where(payment == 1, np.round(fare * random.beta(2, 8, n), 2), 0.0)
    start = 1_356_998_400 + random.integers(0, 120_000_000, n)
    ids = random.integers(0, 2**63, (n, 2), dtype=np.int64)
    taxis = np.array([f"taxi-{at * 7919 % 99991:05}" for at in range(7_000)])
    companies = np.array([f"Company {at:03} Cab Association" for at in range(140)])
    areas = random.integers(1, 78, (2, n))
    columns = {
        "trip_id": pa.array([f"{a:016x}{b:016x}" for a, b in ids.tolist()]),
        "taxi_id": pa.array(taxis[(random.random(n) ** 2 * 7_000).astype(np.int64)]),
        "company": pa.array(companies[random.geometric(0.05, n) % 140], mask=random.random(n) < 0.31),
        "payment_type": pa.array(np.array(_PAYMENTS)[payment]),
        "trip_start": pa.array(start, pa.timestamp("s")),
        "trip_seconds": pa.array(seconds, mask=random.random(n) < 0.01),
        "trip_miles": pa.array(miles),
        "pickup_area": pa.array(areas[0], mask=random.random(n) < 0.1),
        "dropoff_area": pa.array(areas[1], mask=random.random(n) < 0.12),
        "census_tract": pa.array(17_031_000_000 + areas[1] * 100, mask=random.random(n) < 0.35),
        "fare": pa.array(fare),
        "tolls": pa.array(np.where(random.random(n) < 0.02, 1.9, 0.0)),
        "extras": pa.array(random.integers(0, 5, n)),
        "tips": pa.array(tips),
        "pickup_latitude": pa.array(np.round(41.88 + areas[0] / 1000, 6)),
        "pickup_longitude": pa.array(np.round(-87.63 - areas[0] / 1000, 6)),
        "passengers": pa.array(random.integers(1, 6, n)),
        "shared": pa.array(random.random(n) < 0.05),
    }
    return pa.table(columns)
