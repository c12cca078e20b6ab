"""Two deliveries are paired by key; what differs is counted as a plain comparison of rows counts it."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.data import example_diff
from tidemill.data.example_diff import FILE, DiffChoices, SplitDiff, diff_splits, summary, write_diff
from tidemill.data.parquet import write_split
from tidemill.errors import DataError

NAN = float("nan")


def diff(
    folder: Path, left: pa.Table, right: pa.Table, keys: tuple[str, ...] = ("id",), **choices: Any
) -> SplitDiff:
    sides = []
    for name, table in (("left", left), ("right", right)):
        target = folder / f"{name}-{len(list(folder.iterdir()))}"
        write_split(target, table.schema, [table])
        sides.append(target)
    return diff_splits(sides[0], sides[1], DiffChoices(keys=keys, **choices))


def test_rows_that_are_new_gone_and_changed(tmp_path: Path) -> None:
    left = pa.table({"id": [1, 2, 3, 5], "fare": [1.0, NAN, 3.0, None], "kind": ["a", "b", "c", "e"]})
    right = pa.table(
        {"id": [4, 3, 2, 1], "fare": [4.0, 3.5, NAN, 1.0], "kind": ["d", "x", "b", "a"], "new": [1] * 4}
    )
    found = diff(tmp_path, left, right)
    assert (found.left, found.right, found.paired) == (4, 4, 3)
    assert (found.left_only, found.right_only, found.changed) == (1, 1, 1)
    assert found.columns == {"fare": 1, "kind": 1}
    assert found.not_compared == {"new": "only the baseline has it"}
    assert found.samples_left_only == ({"id": 5, "fare": None, "kind": "e"},)
    assert found.samples_right_only == ({"id": 4, "fare": 4.0, "kind": "d"},)
    changes = {"fare": [3.0, 3.5], "kind": ["c", "x"]}
    assert found.samples_changed == ({"key": {"id": 3}, "changes": changes},)
    assert found.differs
    assert "3 rows paired, 1 of them changed" in summary({"train": found})
    write_diff(tmp_path, {"train": found})
    assert json.loads((tmp_path / FILE).read_text())["splits"]["train"]["changed"] == 1


def test_the_same_rows_in_another_order_do_not_differ(tmp_path: Path) -> None:
    left = pa.table({"id": [1, 2, None], "x": [NAN, None, 1.0], "tags": [[1], [], None]})
    found = diff(tmp_path, left, left.take([2, 0, 1]))
    assert (found.paired, found.changed, found.left_only, found.right_only) == (3, 0, 0, 0)
    assert not found.differs


def test_tolerance_types_and_what_is_left_out(tmp_path: Path) -> None:
    left = pa.table({"id": pa.array([1, 2], pa.int32()), "x": [1, 2], "at": [1, 1], "s": ["a", "b"]})
    right = pa.table({"id": [1, 2], "x": [1.0, 2.05], "at": [2, 2], "s": [1, 2]})
    found = diff(tmp_path, left, right, exclude=("at",), tolerance=0.1)
    assert found.columns == {"x": 0}
    assert found.not_compared == {"s": "it is string in the examples and int64 in the baseline"}
    assert diff(tmp_path, left, right, columns=("at",)).columns == {"at": 2}
    assert diff(tmp_path, left, right, columns=("x",)).columns == {"x": 1}


@pytest.mark.parametrize(
    ("keys", "choices", "says"),
    [
        (("idd",), {}, "did you mean 'id'"),
        (("id",), {"columns": ("y",)}, "no column 'y'"),
        ((), {}, "no keys"),
        (("x",), {}, "the key 'x' is int in the examples and string in the baseline"),
    ],
)
def test_mistakes(tmp_path: Path, keys: tuple[str, ...], choices: Any, says: str) -> None:
    left, right = pa.table({"id": [1], "x": [1]}), pa.table({"id": [1], "x": ["1"]})
    with pytest.raises(DataError) as caught:
        diff(tmp_path, left, right, keys, **choices)
    assert says in str(caught.value)


rows = st.lists(
    st.tuples(
        st.none() | st.sampled_from("abcd"), st.integers(0, 3), st.none() | st.sampled_from([0.0, 1.0, NAN])
    ),
    max_size=25,
)
SCHEMA = pa.schema([("k", pa.string()), ("n", pa.int64()), ("x", pa.float64())])


def table(values: list[tuple[Any, ...]]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip("knx", row, strict=True)) for row in values], schema=SCHEMA)


def plainly(left: list[tuple[Any, ...]], right: list[tuple[Any, ...]]) -> tuple[int, int, int, int]:
    """paired, only left, only right, changed; rows of equal keys paired in their order."""
    sides: list[dict[Any, list[Any]]] = []
    for values in (left, right):
        found: dict[Any, list[Any]] = defaultdict(list)
        for key, n, x in values:
            found[key, n].append(str(x))
        sides.append(found)
    paired = only_left = only_right = changed = 0
    for key in {*sides[0], *sides[1]}:
        a, b = sides[0][key], sides[1][key]
        both = min(len(a), len(b))
        paired, only_left, only_right = paired + both, only_left + len(a) - both, only_right + len(b) - both
        changed += sum(x != y for x, y in zip(a, b, strict=False))
    return paired, only_left, only_right, changed


@settings(max_examples=30, deadline=None)
@given(rows, rows, st.sampled_from([1000, 3]))
def test_counts_agree_with_a_plain_comparison(
    tmp_path_factory: pytest.TempPathFactory, left: Any, right: Any, part_rows: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(example_diff, "PART_ROWS", part_rows)
        found = diff(tmp_path_factory.mktemp("diff"), table(left), table(right), ("k", "n"))
    assert (found.paired, found.left_only, found.right_only, found.changed) == plainly(left, right)


def test_parts_give_what_the_whole_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = pa.table({"id": list(range(3000)), "x": [at % 7 for at in range(3000)]})
    right = pa.table({"id": list(range(2999, 99, -1)), "x": [at % 5 for at in range(2900)]})
    whole = diff(tmp_path, left, right)
    monkeypatch.setattr(example_diff, "PART_ROWS", 500)
    assert diff(tmp_path, left, right) == whole
    assert [row["id"] for row in whole.samples_left_only] == list(range(20))
