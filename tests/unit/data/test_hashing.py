"""The hash is what its definition says, for ever and for every way Arrow stores a value."""

from __future__ import annotations

import datetime
import hashlib
import json
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.data.hashing import HASH_VERSION, hash_column, hash_rows

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(x: int) -> int:
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def word(tag: int, w: int) -> int:
    return mix(mix(tag * GOLDEN & MASK) ^ (w & MASK))


def of_bytes(data: bytes) -> int:
    if len(data) > 256:
        return word(7, int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little"))
    h = mix((6 * GOLDEN + len(data)) & MASK)
    for at in range(0, len(data), 8):
        h = mix(h ^ int.from_bytes(data[at : at + 8].ljust(8, b"\0"), "little"))
    return h


def reference(value: Any) -> int:
    """The definition once more, one value at a time, in plain Python."""
    if value is None:
        return word(1, 0)
    if isinstance(value, bool):
        return word(2, int(value))
    if isinstance(value, int):
        return word(3, value)
    if isinstance(value, float):
        if value == int(value) if abs(value) < 2**53 else False:
            return word(3, int(value))
        bits = 0x7FF8000000000000 if value != value else struct.unpack("<Q", struct.pack("<d", value))[0]
        return word(4, bits)
    if isinstance(value, datetime.datetime):
        return word(5, (value - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1))
    if isinstance(value, (str, bytes)):
        return of_bytes(value.encode() if isinstance(value, str) else value)
    return of_bytes(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def hashes(values: list[Any], type: pa.DataType | None = None) -> list[int]:
    return [int(h) for h in hash_column(pa.array(values, type))]


GOLDEN_VECTORS: list[tuple[Any, int]] = [
    (None, 0x48218226FF3CD4BF),
    (True, 0x0921B5C2E35C60D0),
    (0, 0x7B476C5A5333D0EC),
    (-1, 0x552A5016ABBA0DF5),
    (0.5, 0x1ABE14DDDD85C32D),
    ("", 0x53CB9F0C747EA2EA),
    ("train", 0x9B0BFFBAE42ABCC8),
    ("späte Gäste", 0xF7A25F4FA0879A58),
]


@pytest.mark.parametrize(("value", "expected"), GOLDEN_VECTORS)
def test_golden_vectors(value: Any, expected: int) -> None:
    assert HASH_VERSION == "tide64-1"
    assert hashes([value]) == [expected]


@pytest.mark.parametrize(
    ("values", "type"),
    [
        (st.booleans(), pa.bool_()),
        (st.integers(-(2**63), 2**63 - 1), pa.int64()),
        (st.integers(0, 2**64 - 1), pa.uint64()),
        (st.integers(-128, 127), pa.int8()),
        (st.floats(), pa.float64()),
        (st.floats(width=32), pa.float32()),
        (st.text(), pa.string()),
        (st.text(), pa.large_string()),
        (st.binary(max_size=600), pa.binary()),
        (st.datetimes(), pa.timestamp("us")),
        (st.lists(st.integers(-9, 9), max_size=3), pa.list_(pa.int64())),
    ],
    ids=str,
)
def test_agrees_with_the_definition(values: st.SearchStrategy[Any], type: pa.DataType) -> None:
    @settings(max_examples=40)
    @given(st.lists(st.none() | values, max_size=30))
    def check(column: list[Any]) -> None:
        assert hashes(column, type) == [reference(value) for value in column]

    check()


@given(st.lists(st.none() | st.text(), min_size=1), st.data())
def test_slices_chunks_and_dictionaries_hash_alike(column: list[str | None], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(column)))
    whole = pa.array(column, pa.string())
    expected = hash_column(whole).tolist()
    assert hash_column(whole.slice(cut)).tolist() == expected[cut:]
    assert hash_column(pa.chunked_array([whole[:cut], whole[cut:]])).tolist() == expected
    assert hash_column(whole.dictionary_encode()).tolist() == expected


def test_a_number_hashes_alike_as_int_and_as_float() -> None:
    numbers = [0, 1, -7, 2**52]
    assert (
        hashes(numbers, pa.int64())
        == hashes(numbers, pa.float64())
        == hashes(numbers[:3], pa.int8()) + hashes([2**52])
    )
    assert hashes([0.0]) == hashes([-0.0])


def test_a_row_does_not_depend_on_the_order_of_columns_but_on_their_names() -> None:
    table = pa.table({"a": [1, 2], "b": ["x", None]})
    assert hash_rows(table).tolist() == hash_rows(table.select(["b", "a"])).tolist()
    assert hash_rows(table).tolist() != hash_rows(table.rename_columns(["b", "a"])).tolist()
    expected = 0
    for name, value in (("a", 1), ("b", "x")):
        expected = mix(mix(expected ^ reference(name)) ^ reference(value))
    assert int(hash_rows(table)[0]) == expected


def test_spread_is_even_on_the_ids_that_people_use() -> None:
    for column in (pa.array(range(30_000)), pa.array([f"user-{i:06}" for i in range(30_000)])):
        counts = np.bincount((hash_column(column) % np.uint64(100)).astype(int), minlength=100)
        chi_squared = float(((counts - 300) ** 2 / 300).sum())
        assert 60 < chi_squared < 149  # 99 degrees of freedom: within 0.1 % on either side


def test_empty_columns_have_no_hashes() -> None:
    assert hash_column(pa.array([], pa.string())).tolist() == []
    assert hash_column(pa.chunked_array([], pa.int64())).tolist() == []
    assert hash_column(pa.array([None, None])).tolist() == [word(1, 0)] * 2
