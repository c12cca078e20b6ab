"""DistributionValidator as a node sees it: distances of every column, without a schema."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tidemill.components.distribution_validator.component import DistributionValidator
from tidemill.components.distribution_validator.executor import run
from tidemill.data.analyze import analyze_tables
from tidemill.data.anomalies import read_anomalies
from tidemill.data.statistics import Statistics, write_statistics
from tidemill.errors import DataError, ValidationFailed
from tidemill.types.standard import ExampleAnomalies, ExampleStatistics


def statistics_of(folder: Path, **columns: Any) -> ExampleStatistics:
    folder.mkdir()
    table = pa.table(columns)
    write_statistics(folder, Statistics(splits={"train": analyze_tables([table], table.schema)}))
    return ExampleStatistics(path=folder)


@pytest.fixture
def anomalies(tmp_path: Path) -> ExampleAnomalies:
    (tmp_path / "anomalies").mkdir()
    return ExampleAnomalies(path=tmp_path / "anomalies")


def test_the_declaration_and_the_executor_agree() -> None:
    declared = DistributionValidator.signature
    assert not declared.problems
    assert DistributionValidator.executor == f"{run.__module__}:{run.__name__}"
    assert set(inspect.signature(run).parameters) == {
        *declared.inputs, *declared.outputs, *declared.parameters
    }  # fmt: skip


def test_every_column_is_measured_and_judged(tmp_path: Path, anomalies: ExampleAnomalies) -> None:
    random = np.random.default_rng(1)
    before = statistics_of(tmp_path / "before", fare=random.normal(size=500), kind=["a", "b"] * 250)
    now = statistics_of(tmp_path / "now", fare=random.normal(1, size=500), kind=["a", "b"] * 250)
    bounds = {"*": {"linf": 0.1, "ks": 0.1}, "kind": {"chi2": 0.5}}
    inputs: dict[str, Any] = {"statistics": now, "baseline_statistics": before, "anomalies": anomalies}
    with pytest.raises(ValidationFailed, match="COMPARATOR_KOLMOGOROV_SMIRNOV_HIGH in train/fare") as caught:
        run(**inputs, comparators=bounds)
    assert str(caught.value).startswith("the examples differ from the baseline: 1 error")
    measured = {(m.column, m.measure): m.threshold for m in read_anomalies(anomalies.path).measures}
    assert measured["fare", "ks"] == 0.1
    assert measured["fare", "wasserstein"] is None
    assert measured["kind", "chi2"] == 0.5
    run(**inputs, comparators=bounds, exclude_columns=["fare"])
    assert (anomalies.blessed, anomalies.num_anomalies) == (1, 0)
    run(**inputs, comparators={"*": {"ks": 1.0}}, false_alarm=0.001, fail=False)
    assert anomalies.blessed == 0
    run(**{**inputs, "baseline_statistics": now}, comparators={"*": {"psi": 0.0}}, false_alarm=0.001)


def test_columns_of_one_side_and_of_another_type(tmp_path: Path, anomalies: ExampleAnomalies) -> None:
    before = statistics_of(tmp_path / "before", gone=[1, 2], fare=[1, 2], kind=["a", "b"], tags=[[1], [2]])
    now = statistics_of(tmp_path / "now", new=[1, 2], fare=[1.5, float("nan")], kind=[1, 2], tags=[[1], []])
    bounds = {"*": {"jsd": 1.0}}
    inputs: dict[str, Any] = {"statistics": now, "baseline_statistics": before, "anomalies": anomalies}
    run(**inputs, comparators=bounds, fail=False)
    found = {(a.column, a.name) for a in read_anomalies(anomalies.path).anomalies}
    assert found == {
        ("gone", "SCHEMA_MISSING_COLUMN"),
        ("gone", "COMPARATOR_TREATMENT_DATA_MISSING"),
        ("new", "COMPARATOR_CONTROL_DATA_MISSING"),
        ("kind", "COMPARATOR_CONTROL_DATA_MISSING"),
    }


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"comparators": {"fair": {"ks": 0.1}}}, "did you mean 'fare'"),
        ({"comparators": {"fare": {"kss": 0.1}}}, "did you mean 'ks'"),
        ({"comparators": {"fare": {"linf": 0.1}}}, "linf is not for float columns"),
        ({"comparators": {"fare": {"ks": 2.0}}}, "a number from 0 to 1"),
        ({"comparators": {}, "false_alarm": 1.0}, "above 0 and below 1"),
        ({"comparators": {}, "exclude_columns": ["kind"]}, "no column 'kind'"),
    ],
)
def test_mistakes(tmp_path: Path, anomalies: ExampleAnomalies, options: Any, says: str) -> None:
    data = statistics_of(tmp_path / "data", fare=[1.0])
    with pytest.raises(DataError) as caught:
        run(statistics=data, baseline_statistics=data, anomalies=anomalies, **options)
    assert says in str(caught.value)
