"""What TFDV 1.16.1 finds in corrupted taxi trips, with the schema that it inferred itself, ours finds too.

TFDV's findings are data, with their source, in `tfdv_taxi_anomalies.json`; its schema, which our converter
reads, is `tfdv_taxi_schema.pbtxt`. Every difference is named below, with its reason.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pytest

from tidemill.data.analyze import analyze_tables
from tidemill.data.schema import Schema
from tidemill.data.statistics import Statistics
from tidemill.data.tfmd.convert import load_any_schema
from tidemill.data.validate import validate_statistics

HERE = Path(__file__).parent
CASES: dict[str, Any] = json.loads((HERE / "tfdv_taxi_anomalies.json").read_text(encoding="utf-8"))["cases"]
NAME = Path("shared", "data", "chicago_taxi.csv")
TRIPS = next((up / NAME for up in Path(__file__).parents if (up / NAME).is_file()), None)
pytestmark = pytest.mark.skipif(TRIPS is None, reason=f"no {NAME.name} beside the checkout")

ONLY_TFDV = {
    # pandas turns whole numbers with gaps into floats, and pandas' index becomes a column
    "some_nulls": {"trip_start_day": {"UNEXPECTED_DATA_TYPE", "INVALID_FEATURE_SHAPE"}},
    "drift": {"__index_level_0__": {"SCHEMA_NEW_COLUMN"}},
}
"""INVALID_FEATURE_SHAPE: a shape of one value says no more than that there are no lists, and what is
missing is said by LOW_FRACTION_PRESENT."""
ONLY_OURS = {
    # TFDV compares nothing, and says nothing, where one side of a comparison is missing
    "missing_column": {"fare": {"COMPARATOR_TREATMENT_DATA_MISSING"}},
    "nulls_everywhere": {"payment_type": {"COMPARATOR_TREATMENT_DATA_MISSING"}},
}


def every(table: pa.Table, column: str, step: int, value: Any) -> pa.Table:
    values = table[column].to_pylist()
    values[::step] = [value] * len(values[::step])
    return replaced(table, column, pa.array(values, table[column].type))


def replaced(table: pa.Table, column: str, values: Any) -> pa.Table:
    return table.set_column(table.schema.get_field_index(column), column, values)


def spelled(table: pa.Table) -> pa.Table:
    hours = [f"h{hour}" for hour in table["trip_start_hour"].to_pylist()]
    return replaced(table, "trip_start_hour", pa.array(hours))


CORRUPT: dict[str, Callable[[pa.Table], pa.Table]] = {
    "clean": lambda t: t,
    "missing_column": lambda t: t.drop_columns(["fare"]),
    "new_column": lambda t: t.append_column("surge", pa.array([1.5] * t.num_rows)),
    "type_flip": spelled,
    "float_column": lambda t: replaced(t, "trip_start_month", pc.add(t["trip_start_month"], 0.5)),
    "nulls_everywhere": lambda t: replaced(t, "payment_type", pa.nulls(t.num_rows)),
    "some_nulls": lambda t: every(t, "trip_start_day", 10, None),
    "new_categories": lambda t: replaced(t, "payment_type", pa.array(["Barter"] * t.num_rows)),
    "few_new_categories": lambda t: every(t, "payment_type", 100, "Barter"),
    "drift": lambda t: t.filter(pc.equal(t["payment_type"], "Cash")),
    "fare_shift": lambda t: replaced(t, "fare", pc.add(pc.multiply(t["fare"], 3.0), 20.0)),
    "no_rows_kept": lambda t: t.slice(0, 5),
}


def statistics(table: pa.Table) -> Statistics:
    return Statistics(splits={"train": analyze_tables([table], table.schema)})


@pytest.fixture(scope="module")
def trips() -> pa.Table:
    assert TRIPS is not None
    texts = pa_csv.ConvertOptions(strings_can_be_null=True, null_values=[""])
    return pa_csv.read_csv(TRIPS, convert_options=texts)


@pytest.fixture(scope="module")
def schema() -> Schema:
    found, notes = load_any_schema(HERE / "tfdv_taxi_schema.pbtxt")
    assert notes == []
    return found


@pytest.fixture(scope="module")
def baseline(trips: pa.Table) -> Statistics:
    return statistics(trips)


@pytest.mark.parametrize("case", CASES)
def test_the_same_anomalies(case: str, trips: pa.Table, schema: Schema, baseline: Statistics) -> None:
    data = statistics(CORRUPT[case](trips))
    found = validate_statistics(data, schema, splits=["train"], baseline=baseline)
    ours: dict[str, set[str]] = defaultdict(set)
    for anomaly in found.anomalies:
        ours[anomaly.column].add(anomaly.name)
    theirs: dict[str, set[str]] = defaultdict(set)
    for column, names in CASES[case]["anomalies"].items():
        theirs[column] = set(names) - ONLY_TFDV.get(case, {}).get(column, set())
    theirs[""] = set(CASES[case]["dataset"])
    for column, names in ONLY_OURS.get(case, {}).items():
        theirs[column] |= names
    assert dict(ours) == {column: names for column, names in theirs.items() if names}
    kept = {m.measure: m.value for m in found.measures if m.column == "payment_type"}
    for measure, value in CASES[case]["drift"].get("payment_type", {}).items():
        name = {"L_INFTY": "linf", "JENSEN_SHANNON_DIVERGENCE": "jsd"}[measure]
        assert kept[name] == pytest.approx(value, abs=1e-9)
