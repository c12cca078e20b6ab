"""TFDV over the same Parquet file, for an interpreter that has tensorflow-data-validation 1.16.1 (and dill).

    python bench/tfdv_peer.py {beam,dataframe} FOLDER

Prints the CPU seconds and the wall seconds of the statistics alone, imports apart, as JSON.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def as_lists(batch: pa.RecordBatch) -> pa.RecordBatch:
    """TFDV's form: each value is a list, and a missing one is null."""
    columns = []
    for column in batch.columns:
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64())
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.int8()).cast(pa.int64())
        columns.append(
            pa.array([None if v is None else [v] for v in column.to_pylist()], pa.list_(column.type))
        )
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def main() -> None:
    """Read, convert, then measure."""
    beam: Any = importlib.import_module("apache_beam")
    tfdv: Any = importlib.import_module("tensorflow_data_validation")
    mode, folder = sys.argv[1], Path(sys.argv[2])
    file = pq.ParquetFile(next(iter(sorted(folder.glob("*.parquet")))))
    options = tfdv.StatsOptions()
    if mode == "dataframe":
        frame = file.read().to_pandas(timestamp_as_object=False)
        began, cpu = time.perf_counter(), time.process_time()
        tfdv.generate_statistics_from_dataframe(frame, options, n_jobs=1)
    else:
        batches = [as_lists(batch) for batch in file.iter_batches(10_000)]
        began, cpu = time.perf_counter(), time.process_time()
        with beam.Pipeline() as pipeline:
            _ = pipeline | beam.Create(batches) | tfdv.GenerateStatistics(options)
    sys.stdout.write(json.dumps([time.process_time() - cpu, time.perf_counter() - began]) + "\n")


if __name__ == "__main__":
    main()
