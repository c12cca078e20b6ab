"""Slices: which there are, which row belongs to which, and what is left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.data import slices as room
from tidemill.data.slice_specs import read_specs
from tidemill.data.slices import SliceFinder, Slices
from tidemill.errors import DataError

TABLE = pa.table(
    {
        "city": ["a", "b", "a", None, "a", "b", "a", "b"],
        "hour": [1, 1, 2, 2, 1, 1, 2, 2],
        "fare": [1.0, 7.5, 20.0, None, 5.0, float("nan"), 19.9, 100.0],
        "paid": [True, False, True, True, False, False, True, None],
    }
)


def found(specs: list[Any], table: pa.Table = TABLE, batches: int = 3, **options: Any) -> Slices:
    finder = SliceFinder(read_specs(specs))
    parts = [
        table.slice(i * table.num_rows // batches, -(-table.num_rows // batches)) for i in range(batches)
    ]
    parts = [table.slice(at, 3) for at in range(0, table.num_rows, 3)] if batches == 3 else parts
    if finder.needs_look:
        for part in parts:
            finder.look(part)
    for part in parts:
        finder.add(part)
    return finder.slices(**options)


def members(slices: Slices, table: pa.Table = TABLE) -> list[tuple[dict[str, Any], list[int]]]:
    """Each slice with the numbers of its rows."""
    rows: dict[int, list[int]] = {}
    for slicing in slices.slicings(table):
        for row, number in enumerate(slicing.codes.tolist()):
            assert number == -1 or slicing.start <= number < slicing.stop
            if number >= 0:
                rows.setdefault(number, []).append(row)
    return [(dict(key), rows.get(number, [])) for number, key in enumerate(slices.keys)]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("city", [({"city": "a"}, [0, 2, 4, 6]), ({"city": "b"}, [1, 5, 7]), ({"city": None}, [3])]),
        ("paid", [({"paid": True}, [0, 2, 3, 6]), ({"paid": False}, [1, 4, 5]), ({"paid": None}, [7])]),
        (
            ["city", "hour"],
            [
                ({"city": "a", "hour": 1}, [0, 4]),
                ({"city": "a", "hour": 2}, [2, 6]),
                ({"city": "b", "hour": 1}, [1, 5]),
                ({"city": "b", "hour": 2}, [7]),
                ({"city": None, "hour": 2}, [3]),
            ],
        ),
        ({"feature_values": {"city": "b"}}, [({"city": "b"}, [1, 5, 7])]),
        ({"feature_values": {"city": None}}, [({"city": None}, [3])]),
        ({"feature_values": {"hour": "2"}}, [({"hour": 2}, [2, 3, 6, 7])]),
        ({"feature_values": {"hour": 2.0}}, [({"hour": 2}, [2, 3, 6, 7])]),
        ({"feature_values": {"paid": "True"}}, [({"paid": True}, [0, 2, 3, 6])]),
        ({"feature_values": {"paid": False}}, [({"paid": False}, [1, 4, 5])]),
        (
            {"feature_keys": ["city"], "feature_values": {"hour": 2}},
            [
                ({"city": "a", "hour": 2}, [2, 6]),
                ({"city": "b", "hour": 2}, [7]),
                ({"city": None, "hour": 2}, [3]),
            ],
        ),
        (
            {"feature_keys": "fare", "bins": {"fare": [5, 20]}},
            [
                ({"fare": ">= 20"}, [2, 7]),
                ({"fare": "[5, 20)"}, [1, 4, 6]),
                ({"fare": None}, [3, 5]),
                ({"fare": "< 5"}, [0]),
            ],
        ),
    ],
)
def test_slices_of_a_table(spec: Any, expected: list[Any]) -> None:
    slices = members(found([spec]))
    assert slices[0] == ({}, list(range(8)))
    key = lambda item: str(item)  # noqa: E731 - the order is another test's affair
    assert sorted(slices[1:], key=key) == sorted(expected, key=key)


def test_largest_first_and_equally_large_ones_by_value() -> None:
    assert [key for key, _ in members(found(["city", ["hour"]]))] == [
        {}, {"city": "a"}, {"city": "b"}, {"city": None}, {"hour": 1}, {"hour": 2},
    ]  # fmt: skip


def test_bins_with_equally_many_rows() -> None:
    table = pa.table({"x": np.arange(1000) % 500})
    slices = members(found([{"feature_keys": ["x"], "bins": {"x": 4}}], table), table)
    assert [key["x"] for key, _ in slices[1:]] == ["< 125", ">= 375", "[125, 250)", "[250, 375)"]
    assert {len(rows) for _, rows in slices[1:]} == {250}
    same = pa.table({"x": pa.array([None, 3, 3], pa.int64())})
    assert sorted(
        str(key) for key, _ in members(found([{"feature_keys": "x", "bins": {"x": 3}}], same), same)
    )


def test_what_is_small_or_one_too_many_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_SLICES", 2)
    slices = found(["city", ["city", "hour"]], min_size=2)
    assert [key for key, _ in members(slices)][1:] == [
        {"city": "a"}, {"city": "b"}, {"city": "a", "hour": 1}, {"city": "a", "hour": 2},
    ]  # fmt: skip
    assert slices.too_small == {"city": 1, "city/hour": 2}
    assert slices.left_out == {"city/hour": 1}
    assert slices.notes == ("slices of city/hour: 1 more, with less rows, are left out",)
    rows = {str(key): rows for key, rows in members(slices)}
    assert rows["{'city': 'a', 'hour': 2}"] == [2, 6]


def test_the_slices_of_all_specifications_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_ALTOGETHER", 4)
    slices = found(["city", "hour", "paid"])
    assert [key for key, _ in members(slices)][1:] == [
        {"city": "a"}, {"city": "b"}, {"city": None}, {"hour": 1},
    ]  # fmt: skip
    assert slices.left_out == {"hour": 1, "paid": 3}


def test_many_values_are_counted_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "TRACKED", 50)
    monkeypatch.setattr(room, "MOST_SLICES", 3)
    rng = np.random.default_rng(0)
    names = [f"rare-{n}" for n in range(5000)] + ["often"] * 500 + ["sometimes"] * 300
    table = pa.table({"name": [names[at] for at in rng.permutation(len(names))]})
    finder = SliceFinder(read_specs(["name"]))
    for start in range(0, table.num_rows, 500):
        finder.add(table.slice(start, 500))
    slices = finder.slices()
    assert [key["name"] for key in slices.keys[1:3]] == ["often", "sometimes"]
    assert "more than 50 values; the largest are found approximately" in slices.notes[0]
    # Which slices there are is approximate; what belongs to them is not.
    assert len(members(slices, table)[1][1]) == 500


def test_columns_that_differ_in_type_between_files() -> None:
    whole_numbers, floats = pa.table({"x": [1, 2]}), pa.table({"x": [2.0, None]})
    finder = SliceFinder(read_specs(["x"]))
    finder.add(whole_numbers)
    finder.add(floats)
    slices = finder.slices()
    assert [rows for _, rows in members(slices, whole_numbers)] == [[0, 1], [1], [0], []]
    assert [rows for _, rows in members(slices, floats)] == [[0, 1], [0], [], [1]]


def test_dates_dictionaries_and_hostile_names() -> None:
    table = pa.table(
        {
            "day": pa.array([1, 1, 2], pa.date32()),
            "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
            "<b>": ["\u0000", "ä", None],
        }
    )
    slices = found(["day", "kind", "<b>"], table)
    keys = [key for key, _ in members(slices, table)]
    assert {"day": "1970-01-02"} in keys
    assert {"kind": "x"} in keys
    assert {"<b>": "\u0000"} in keys
    assert [rows for key, rows in members(slices, table) if key == {"kind": "x"}] == [[0, 2]]


def test_no_rows() -> None:
    slices = found(["city"], TABLE.slice(0, 0))
    assert slices.keys == [{}]
    assert found([]).keys == [{}]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "ä", None]), st.integers(0, 2) | st.none()), max_size=30),
    st.integers(1, 7),
)
def test_each_row_lies_in_the_slice_of_its_values(rows: list[Any], size: int) -> None:
    table = pa.table(
        {"s": pa.array([s for s, _ in rows], pa.string()), "n": pa.array([n for _, n in rows], pa.int64())}
    )
    finder = SliceFinder(read_specs([["s", "n"]]))
    for start in range(0, len(rows), size):
        finder.add(table.slice(start, size))
    slices = finder.slices()
    seen = [0] * len(rows)
    for key, numbers in members(slices, table)[1:]:
        for number in numbers:
            assert rows[number] == (key["s"], key["n"])
            seen[number] += 1
    assert seen == [1] * len(rows)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (3, "slices has 3"),
        ([1], r"slices has \[1\]"),
        ({"features": ["a"]}, "the key 'features'"),
        ({"feature_keys": ["a"], "bins": {"b": 3}}, "bins for 'b'"),
        ({"feature_keys": ["a"], "bins": {"a": 1}}, "the bins of 'a' are 1"),
        ({"feature_keys": ["a"], "bins": {"a": [3, 1]}}, "the bins of 'a'"),
        ({"feature_keys": ["a"], "bins": {"a": []}}, "the bins of 'a'"),
    ],
)
def test_specifications_that_make_no_sense(spec: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_specs([spec])


@pytest.mark.parametrize(
    ("spec", "table", "message"),
    [
        ("x", pa.table({"x": [[1], [2]]}), "slices need single values"),
        ({"feature_keys": "x", "bins": {"x": 3}}, pa.table({"x": ["a"]}), "bins need numbers"),
        ({"feature_keys": "x", "bins": {"x": [3]}}, pa.table({"x": ["a"]}), "bins need numbers"),
    ],
)
def test_columns_that_cannot_be_sliced_by(spec: Any, table: pa.Table, message: str) -> None:
    with pytest.raises(DataError, match=message):
        found([spec], table)
