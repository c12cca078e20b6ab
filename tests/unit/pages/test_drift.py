"""Distances of a page are those of the ExampleValidator, and chance does not count as change."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.data import distance as validator
from tidemill.data.analyze import analyze_split
from tidemill.data.parquet import write_split
from tidemill.data.statistics import ColumnStatistics, Statistics
from tidemill.pages.columns import Column, read_splits
from tidemill.pages.drift import distance
from tidemill.pages.shapes import from_percentiles, full_range, middle_range, share_below


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Columns as the validator has them and as a page has them, by set and name."""

    def make(seed: int, shift: float) -> tuple[dict[str, ColumnStatistics], dict[str, Column]]:
        rng = np.random.default_rng(seed)
        folder = tmp_path_factory.mktemp("rows")
        table = pa.table(
            {
                "normal": rng.normal(shift, 1, 4000),
                "skewed": rng.lognormal(shift, 1, 4000),
                "whole": rng.integers(0, 6 + int(4 * shift), 4000),
                "text": rng.choice(["a", "b", "c"], 4000, p=[0.5 - shift / 4, 0.3, 0.2 + shift / 4]),
                "many": [f"v{int(i)}" for i in rng.zipf(1.6, 4000)],
                "odd": np.where(rng.random(4000) < 0.1 + shift / 4, np.nan, rng.random(4000)),
            }
        )
        write_split(folder, table.schema, [table])
        found = analyze_split(folder)
        document = Statistics(splits={"train": found}).to_json()
        return {c.name: c for c in found.columns}, dict(read_splits(document)["train"].columns)

    return make


@pytest.mark.parametrize("shift", [0.0, 0.1, 1.0])
def test_the_divergence_is_the_validators(both, shift: float) -> None:
    (theirs, ours), (their_other, our_other) = both(1, 0.0), both(2, shift)
    for name in theirs:
        found = distance(ours[name], our_other[name])
        assert found is not None
        assert found.jsd == pytest.approx(validator.jensen_shannon(theirs[name], their_other[name]), abs=1e-9)
        if found.linf is not None:
            assert found.linf == pytest.approx(
                validator.l_infinity(theirs[name], their_other[name]), abs=1e-9
            )
        assert bool(found.level) == (shift == 1.0 and name != "many"), (name, found)


def test_few_rows_differ_by_chance(made) -> None:
    def small(*counts: int) -> Column:
        column = made.texts("x", dict(zip("abcdefgh", counts, strict=False)))
        return read_splits(made.statistics(train=[column]))["train"].columns["x"]

    few = distance(small(2, 1, 1, 2, 0, 1), small(1, 2, 0, 1, 2, 1))
    assert few is not None
    assert few.jsd > 0.02
    assert few.level == ""
    many = distance(
        small(*(1000 * n for n in (2, 1, 1, 2, 0, 1))), small(*(1000 * n for n in (1, 2, 0, 1, 2, 1)))
    )
    assert many is not None
    assert many.level
    assert many.jsd == pytest.approx(few.jsd)


def test_columns_that_cannot_be_compared_have_no_distance(made) -> None:
    columns = read_splits(made.statistics(train=[made.numbers("n"), made.texts("t", {"a": 1})]))[
        "train"
    ].columns
    assert distance(columns["n"], columns["t"]) is None
    assert distance(dataclasses.replace(columns["n"], count=0), columns["n"]) is None


@settings(max_examples=100)
@given(st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=101).map(sorted), st.booleans())
def test_shapes_hold_all_values(percentiles: list[float], narrow: bool) -> None:
    shown = middle_range([percentiles]) if narrow else full_range([percentiles])
    bars = from_percentiles(percentiles, shown, whole=False)
    widths = np.diff(bars.edges)
    assert len(bars.heights) == len(widths)
    total = float(np.dot(widths, bars.heights))
    assert total <= 1 + 1e-6
    if not narrow:
        assert total == pytest.approx(1, abs=1e-6)
    assert 0 <= share_below(percentiles, percentiles[0]) <= 1
    assert share_below(percentiles, percentiles[-1]) == 1
