"""Write a few made-up trips in every form that ExampleGen reads.

python examples/sources/make_files.py FOLDER
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import random
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import google_crc32c
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.ipc
import pyarrow.parquet as pq

ROWS = 200


def trips(seed: int = 1) -> pa.Table:
    """Id, taxi, fare and paid in cash or not, of 200 trips."""
    draw = random.Random(seed)
    rows = [
        {
            "trip_id": at,
            "taxi_id": f"taxi {draw.randrange(20)}",
            "fare": round(draw.lognormvariate(2.3, 0.6), 2),
            "cash": draw.choice(["yes", "no"]),
        }
        for at in range(ROWS)
    ]
    return pa.Table.from_pylist(rows)


def main() -> None:
    """Write all files."""
    parser = argparse.ArgumentParser(description="Write a few made-up trips in every form.")
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    (folder / "days").mkdir(parents=True, exist_ok=True)
    table = trips()
    write_csv(folder, table)
    pq.write_table(table, folder / "trips.parquet")
    with pa.ipc.new_file(str(folder / "trips.arrow"), table.schema) as writer:
        writer.write_table(table)
    lines = [json.dumps(row) for row in table.to_pylist()]
    (folder / "trips.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_avro(folder / "trips.avro", table)
    with gzip.open(folder / "trips.tfrecord.gz", "wb") as stream:
        for row in table.to_pylist():
            stream.write(framed(example(row)))
    write_database(folder / "trips.db", table)


def write_csv(folder: Path, table: pa.Table) -> None:
    """Whole and compressed, in two splits, in four days, and with two rows that are broken."""
    text = io.BytesIO()
    pa_csv.write_csv(table, text)
    (folder / "trips.csv.gz").write_bytes(gzip.compress(text.getvalue()))
    pa_csv.write_csv(table.slice(0, 150), folder / "train.csv")
    pa_csv.write_csv(table.slice(150), folder / "eval.csv")
    for day in range(4):
        pa_csv.write_csv(table.slice(day * 50, 50), folder / "days" / f"2024-03-0{day + 2}.csv")
    rows = [";".join(map(str, row.values())) for row in table.to_pylist()]
    broken = [";".join(table.column_names), *rows[:100], "1000;taxi 1", *rows[100:], "1001;taxi 2;much;yes"]
    (folder / "broken.csv").write_text("\n".join(broken) + "\n", encoding="utf-8")


def write_avro(path: Path, table: pa.Table) -> None:
    """An Avro object container file."""
    kinds = {"trip_id": "long", "taxi_id": "string", "fare": "double", "cash": "string"}
    columns = [{"name": name, "type": kind} for name, kind in kinds.items()]
    schema: dict[str, Any] = {"type": "record", "name": "Trip", "fields": columns}
    with path.open("wb") as stream:
        fastavro.writer(stream, fastavro.parse_schema(schema), table.to_pylist())


def write_database(path: Path, table: pa.Table) -> None:
    """A SQLite database with one table."""
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as database:
        database.execute("create table trips (trip_id integer, taxi_id text, fare real, cash text)")
        rows = [tuple(row.values()) for row in table.to_pylist()]
        database.executemany("insert into trips values (?, ?, ?, ?)", rows)
    database.close()


def example(row: dict[str, Any]) -> bytes:
    """A tf.train.Example, by protocol buffers' wire format."""
    features = b"".join(field(1, field(1, k.encode()) + field(2, feature(v))) for k, v in row.items())
    return field(1, features)


def feature(value: Any) -> bytes:
    """A tf.train.Feature with one value."""
    match value:
        case str():
            return field(1, field(1, value.encode()))
        case float():
            return field(2, field(1, struct.pack("<f", value)))
    return field(3, field(1, bytes(varint(value))))


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return bytes([number << 3 | 2, *varint(len(content))]) + content


def varint(value: int) -> Iterator[int]:
    """A number, seven bits a byte."""
    while value > 127:
        yield value & 127 | 128
        value >>= 7
    yield value


def framed(record: bytes) -> bytes:
    """A record as TFRecord files hold it."""
    length = struct.pack("<Q", len(record))
    return length + masked(length) + record + masked(record)


def masked(content: bytes) -> bytes:
    """TFRecord's checksum."""
    crc = google_crc32c.value(content)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


if __name__ == "__main__":
    main()
