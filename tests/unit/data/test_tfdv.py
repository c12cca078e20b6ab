"""Every measure that TFDV has too, on the real taxi trips, against the figures that TFDV 1.16.1 gave.

The figures are data, with their source and the command, in `tfdv_chicago_taxi.json`. TFDV holds floats as
float32, and its histograms are estimates; that is what the tolerances are for.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from tidemill.data.analyze import analyze_tables
from tidemill.data.statistics import ColumnStatistics, Histogram, NumericSummary, SplitStatistics

FIGURES = json.loads((Path(__file__).parent / "tfdv_chicago_taxi.json").read_text(encoding="utf-8"))
FEATURES: dict[str, dict[str, Any]] = FIGURES["features"]
NAME = Path("shared", "data", "chicago_taxi.csv")
TRIPS = next((up / NAME for up in Path(__file__).parents if (up / NAME).is_file()), None)
"""15,002 trips of Chicago's open data, as TFX ships them; lies beside the checkout, if at all."""

pytestmark = pytest.mark.skipif(TRIPS is None, reason=f"no {NAME.name} beside the checkout")


@pytest.fixture(scope="module")
def ours() -> SplitStatistics:
    assert TRIPS is not None
    texts = pa_csv.ConvertOptions(strings_can_be_null=True, null_values=[""])
    table: pa.Table = pa_csv.read_csv(TRIPS, convert_options=texts)
    return analyze_tables(
        [table.slice(start, 4000) for start in range(0, table.num_rows, 4000)], table.schema
    )


def column(ours: SplitStatistics, name: str) -> ColumnStatistics:
    found = ours.column(name)
    assert found is not None
    return found


def test_rows_and_columns(ours: SplitStatistics) -> None:
    assert ours.num_rows == FIGURES["num_examples"]
    assert [c.name for c in ours.columns] == list(FEATURES)


@pytest.mark.parametrize("name", FEATURES)
def test_type_presence_and_valency(ours: SplitStatistics, name: str) -> None:
    found, theirs = column(ours, name), FEATURES[name]
    assert found.type.upper() == theirs["type"]
    assert (found.count, found.missing) == (theirs["num_non_missing"], theirs["num_missing"])
    assert theirs["min_num_values"] == theirs["max_num_values"] == 1  # what no valency means
    assert found.valency == ()


@pytest.mark.parametrize("name", [n for n, f in FEATURES.items() if f["type"] != "STRING"])
def test_numbers(ours: SplitStatistics, name: str) -> None:
    found, theirs = column(ours, name).numeric, FEATURES[name]
    assert found is not None
    for ours_is, theirs_is in ((found.mean, "mean"), (found.min, "min"), (found.max, "max")):
        assert ours_is == pytest.approx(theirs[theirs_is], rel=1e-6)
    assert found.std == pytest.approx(theirs["std_dev"], rel=1e-5)
    assert_near_percentile(found, 50, theirs["median"])
    assert found.zeros == theirs["num_zeros"]
    assert (found.nan, found.infinite) == (0, 0)


@pytest.mark.parametrize("name", [n for n, f in FEATURES.items() if f["type"] != "STRING"])
def test_histograms(ours: SplitStatistics, name: str) -> None:
    stats, theirs = column(ours, name), FEATURES[name]
    assert stats.numeric is not None
    standard, deciles = stats.numeric.histogram, stats.numeric.quantile_histogram
    assert isinstance(standard, Histogram)
    assert isinstance(deciles, Histogram)
    edges = [theirs["standard"][0][0], *(high for _, high, _ in theirs["standard"])]
    assert list(standard.edges) == pytest.approx(edges, rel=1e-6, abs=1e-6)
    # both count within the rank error of a summary: theirs is 1 %, ours 0.1 % and none for few values. What
    # lies on an edge belongs to the bin that begins there, as numpy has it; TFDV counts it in the one before.
    slack = 0.011 * stats.count + 1
    below = zip(edges[1:], itertools.accumulate(standard.counts), theirs["standard"], strict=True)
    total = 0.0
    for edge, ours_is, (_, _, count) in below:
        total += count
        on_edge = sum(q == edge for q in stats.numeric.quantiles)
        assert ours_is - slack <= total <= ours_is + slack + on_edge * stats.count / 100
    assert sum(deciles.counts) == stats.count
    assert len(deciles.counts) == len(theirs["quantiles"]) - 1 == 10
    for at, theirs_is in enumerate(theirs["quantiles"]):
        assert_near_percentile(stats.numeric, at * 10, theirs_is)


def assert_near_percentile(found: NumericSummary, percent: int, value: float) -> None:
    """TFDV's quantiles may be off by a percent of the rows, and its floats by a rounding."""
    low, high = found.quantiles[max(percent - 1, 0)], found.quantiles[min(percent + 1, 100)]
    rounding = 1e-6 * max(abs(low), abs(high))
    assert low - rounding <= value <= high + rounding


@pytest.mark.parametrize("name", [n for n, f in FEATURES.items() if f["type"] == "STRING"])
def test_texts(ours: SplitStatistics, name: str) -> None:
    found, theirs = column(ours, name).string, FEATURES[name]
    assert found is not None
    assert (found.distinct, found.exact) == (theirs["unique"], True)
    assert found.avg_length == pytest.approx(theirs["avg_length"], rel=1e-6)
    counts = [n for _, n in theirs["top_values"]]
    assert [n for _, n in found.top_values] == counts
    # of the equally frequent ones at the end of twenty, theirs may be others
    certain = [pair for pair in theirs["top_values"] if pair[1] > counts[-1] or len(counts) < 20]
    assert {tuple(pair) for pair in certain} <= set(found.top_values)
    assert {tuple(pair) for pair in theirs["top_values"]} <= set(found.frequencies)
    assert len(found.frequencies) == theirs["ranks"]
