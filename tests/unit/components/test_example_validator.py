"""ExampleValidator as a node sees it: the verdict, and what is left behind when it is no."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tidemill.components.example_validator.component import ExampleValidator
from tidemill.components.example_validator.executor import run
from tidemill.data.analyze import analyze_tables
from tidemill.data.anomalies import read_anomalies
from tidemill.data.schema import ColumnSchema, Comparator
from tidemill.data.schema import Schema as SchemaValue
from tidemill.data.schema_file import write_schema
from tidemill.data.statistics import Statistics, write_statistics
from tidemill.errors import DataError, ValidationFailed
from tidemill.types.standard import ExampleAnomalies, ExampleStatistics, Schema


def statistics_of(folder: Path, **splits: dict[str, list[Any]]) -> ExampleStatistics:
    folder.mkdir()
    tables = {name: pa.table(columns) for name, columns in splits.items()}
    analyzed = {name: analyze_tables([table], table.schema) for name, table in tables.items()}
    write_statistics(folder, Statistics(splits=analyzed))
    return ExampleStatistics(path=folder)


@pytest.fixture
def schema(tmp_path: Path) -> Schema:
    columns = {
        "fare": ColumnSchema(type="float", min=0, drift=Comparator(jsd=0.1)),
        "kind": ColumnSchema(type="string", domain=("a", "b")),
    }
    (tmp_path / "schema").mkdir()
    write_schema(tmp_path / "schema", SchemaValue(columns=columns))
    return Schema(path=tmp_path / "schema")


@pytest.fixture
def anomalies(tmp_path: Path) -> ExampleAnomalies:
    (tmp_path / "anomalies").mkdir()
    return ExampleAnomalies(path=tmp_path / "anomalies")


def verdict(anomalies: ExampleAnomalies) -> tuple[int | None, int | None]:
    return anomalies.blessed, anomalies.num_anomalies


def test_the_declaration_and_the_executor_agree() -> None:
    declared = ExampleValidator.signature
    assert not declared.problems
    assert ExampleValidator.executor == f"{run.__module__}:{run.__name__}"
    assert set(inspect.signature(run).parameters) == {
        *declared.inputs, *declared.outputs, *declared.parameters
    }  # fmt: skip
    assert declared.inputs["baseline_statistics"].optional


def test_good_data_is_blessed(tmp_path: Path, schema: Schema, anomalies: ExampleAnomalies) -> None:
    statistics = statistics_of(tmp_path / "s", train={"fare": [1.5], "kind": ["a"]})
    statistics.span = 9
    run(statistics=statistics, schema=schema, anomalies=anomalies)
    assert verdict(anomalies) == (1, 0)
    assert (anomalies.splits, anomalies.span) == (["train"], 9)


def test_bad_data_fails_the_node_and_leaves_the_report(
    tmp_path: Path, schema: Schema, anomalies: ExampleAnomalies
) -> None:
    statistics = statistics_of(tmp_path / "s", train={"fare": [-1.5], "kind": ["z"], "new": [1]})
    with pytest.raises(ValidationFailed) as caught:
        run(statistics=statistics, schema=schema, anomalies=anomalies)
    first, *lines = str(caught.value).splitlines()
    assert first == "the examples break the schema: 2 errors, 1 warning"
    assert lines[0] == (
        "  error: FLOAT_TYPE_SMALL_FLOAT in train/fare: the smallest value is -1.5, at least 0 expected"
    )
    assert lines[1].startswith("  error: ENUM_TYPE_UNEXPECTED_STRING_VALUES in train/kind: 1 of 1 values")
    assert lines[2].startswith("  warning: SCHEMA_NEW_COLUMN in train/new: ")
    assert "anomalies.json" in caught.value.where
    assert verdict(anomalies) == (0, 3)
    assert len(read_anomalies(anomalies.path).anomalies) == 3


def test_without_fail_the_verdict_is_a_property(
    tmp_path: Path, schema: Schema, anomalies: ExampleAnomalies
) -> None:
    statistics = statistics_of(tmp_path / "s", train={"fare": [-1.5], "kind": ["a"]})
    run(statistics=statistics, schema=schema, anomalies=anomalies, fail=False)
    assert verdict(anomalies) == (0, 1)


def test_a_warning_does_not_fail(tmp_path: Path, schema: Schema, anomalies: ExampleAnomalies) -> None:
    statistics = statistics_of(tmp_path / "s", train={"fare": [1.0], "kind": ["a"], "new": [1]})
    run(statistics=statistics, schema=schema, anomalies=anomalies)
    assert verdict(anomalies) == (1, 1)


def test_drift_needs_a_baseline(tmp_path: Path, schema: Schema, anomalies: ExampleAnomalies) -> None:
    now = statistics_of(tmp_path / "now", train={"fare": [9.0] * 20, "kind": ["a"] * 20})
    before = statistics_of(tmp_path / "before", train={"fare": [1.0] * 20, "kind": ["a"] * 20})
    run(statistics=now, schema=schema, anomalies=anomalies, baseline_statistics=None)
    assert verdict(anomalies) == (1, 0)
    with pytest.raises(ValidationFailed, match="COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH in train/fare"):
        run(statistics=now, schema=schema, anomalies=anomalies, baseline_statistics=before)


def test_serving_and_environments(tmp_path: Path, anomalies: ExampleAnomalies) -> None:
    columns = {
        "kind": ColumnSchema(type="string", skew=Comparator(linf=0.1)),
        "label": ColumnSchema(type="int", not_in_environment=("SERVING",)),
    }
    schema = Schema(path=tmp_path / "mine")
    schema.path.mkdir()
    write_schema(schema.path, SchemaValue(columns=columns, default_environments=("TRAINING", "SERVING")))
    trained = statistics_of(tmp_path / "trained", train={"kind": ["a"] * 9, "label": [1] * 9})
    served = statistics_of(tmp_path / "served", all={"kind": ["b"] * 9})
    run(statistics=served, schema=schema, anomalies=anomalies, environment="SERVING")
    with pytest.raises(ValidationFailed, match="SCHEMA_MISSING_COLUMN in all/label"):
        run(statistics=served, schema=schema, anomalies=anomalies, environment="TRAINING")
    with pytest.raises(ValidationFailed, match=r"from the serving data is 1, at most 0\.1 expected"):
        run(statistics=trained, schema=schema, anomalies=anomalies, serving_statistics=served)
    assert {m.against for m in read_anomalies(anomalies.path).measures} == {"serving"}
    with pytest.raises(DataError, match="does not name the environment 'TEST'"):
        run(statistics=trained, schema=schema, anomalies=anomalies, environment="TEST")


def test_nothing_heavy_is_loaded() -> None:
    module = "tidemill.components.example_validator.executor"
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"numpy", "polars", "pyarrow", "google"} & set(loaded.split())


def test_splits_and_rows(tmp_path: Path, schema: Schema, anomalies: ExampleAnomalies) -> None:
    good, bad = {"fare": [1.0], "kind": ["a"]}, {"fare": [1.0], "kind": ["z"]}
    statistics = statistics_of(tmp_path / "s", train=good, eval=bad)
    run(statistics=statistics, schema=schema, anomalies=anomalies, exclude_splits=["eval"])
    assert (verdict(anomalies), anomalies.splits) == ((1, 0), ["train"])
    with pytest.raises(ValidationFailed, match="1 rows in train, at least 2 expected"):
        run(
            statistics=statistics, schema=schema, anomalies=anomalies, exclude_splits=["eval"], min_examples=2
        )
    with pytest.raises(DataError, match="did you mean 'eval'"):
        run(statistics=statistics, schema=schema, anomalies=anomalies, exclude_splits=["evl"])


def test_a_long_list_is_cut(tmp_path: Path, schema: Schema, anomalies: ExampleAnomalies) -> None:
    data: dict[str, list[Any]] = {"fare": [-1.0], "kind": ["a"], **{f"new{at}": [1] for at in range(500)}}
    with pytest.raises(ValidationFailed) as caught:
        run(statistics=statistics_of(tmp_path / "s", train=data), schema=schema, anomalies=anomalies)
    lines = caught.value.message.splitlines()
    assert lines[1].startswith("  error: FLOAT_TYPE_SMALL_FLOAT")
    assert lines[-1] == "  and 481 more"
    assert len(lines) == 22
