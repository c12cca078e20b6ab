"""Each anomaly is found where it is, and only there; distances agree with their definitions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tidemill.data.analyze import analyze_tables
from tidemill.data.anomalies import ANOMALIES, FILE, Anomalies, read_anomalies, write_anomalies
from tidemill.data.distance import jensen_shannon, l_infinity
from tidemill.data.infer import infer_schema
from tidemill.data.schema import ColumnSchema, Comparator, DatasetSchema, Schema
from tidemill.data.statistics import ColumnStatistics, Statistics
from tidemill.data.validate import validate_statistics
from tidemill.errors import DataError


def column(values: list[Any], type: pa.DataType | None = None) -> ColumnStatistics:
    table = pa.table({"x": pa.array(values, type)})
    return analyze_tables([table], table.schema).columns[0]


def statistics(**splits: dict[str, list[Any]]) -> Statistics:
    tables = {name: pa.table(columns) for name, columns in splits.items()}
    return Statistics(splits={name: analyze_tables([t], t.schema) for name, t in tables.items()})


def check(values: list[Any], expected: ColumnSchema | None, **options: Any) -> Anomalies:
    """Hold one column `x` of a split `train` against the schema of `x`."""
    columns = {} if expected is None else {"x": expected}
    schema = Schema(columns=columns, severity=options.pop("severity", {}))
    return validate_statistics(statistics(train={"x": values}), schema, splits=["train"], **options)


def names(found: Anomalies) -> list[str]:
    return [anomaly.name for anomaly in found.anomalies]


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("values", "expected", "name", "says"),
    [
        ([1], ColumnSchema(type="int", min=2), "INT_TYPE_SMALL_INT", "smallest value is 1, at least 2"),
        ([3], ColumnSchema(type="int", max=2), "INT_TYPE_BIG_INT", "largest value is 3, at most 2"),
        ([1.5], ColumnSchema(type="float", min=2), "FLOAT_TYPE_SMALL_FLOAT", "1.5"),
        ([3], ColumnSchema(type="float", max=2.5), "FLOAT_TYPE_BIG_FLOAT", "largest value is 3, at most 2.5"),
        ([1.0, NAN], ColumnSchema(type="float"), "FLOAT_TYPE_HAS_NAN", "1 of 2"),
        ([1.0, -INF, INF], ColumnSchema(type="float"), "FLOAT_TYPE_HAS_INF", "2 of 3"),
        (["a"], ColumnSchema(type="int"), "UNEXPECTED_DATA_TYPE", "is string, the schema says int"),
        ([1.5], ColumnSchema(type="int"), "UNEXPECTED_DATA_TYPE", "is float, the schema says int"),
        ([1], ColumnSchema(type="string", domain=("a",)), "UNEXPECTED_DATA_TYPE", "is int"),
        ([1, None], ColumnSchema(type="int", min_fraction=1), "FEATURE_TYPE_LOW_FRACTION_PRESENT", "1 of 2"),
        ([None], ColumnSchema(type="int", min_fraction=1), "FEATURE_TYPE_NOT_PRESENT", "0 of 1"),
        (
            ["a", "ü", "b", "ü"],
            ColumnSchema(type="string", domain=("a", "b"), min_domain_mass=0.9),
            "ENUM_TYPE_UNEXPECTED_STRING_VALUES",
            "2 of 4 values (50 %) are not among the 2 of the domain, 10 % tolerated: 'ü' (2)",
        ),
        ([1], None, "SCHEMA_NEW_COLUMN", "its type is int"),
    ],
)  # fmt: skip
def test_an_anomaly_of_a_column(
    values: list[Any], expected: ColumnSchema | None, name: str, says: str
) -> None:
    (found,) = check(values, expected).anomalies
    assert (found.name, found.split, found.column) == (name, "train", "x")
    assert found.severity == ANOMALIES[name]
    assert says in found.long
    assert found.short
    assert not any(c.isdigit() for c in found.short)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2], ColumnSchema(type="int", min=1, max=2, min_fraction=1)),
        ([1, 2], ColumnSchema(type="float")),
        ([1.0, NAN, INF], ColumnSchema(type="float", allow_nan=True, allow_infinite=True, max=1)),
        ([NAN, "x"][1:], ColumnSchema(type="any")),
        ([None, None], ColumnSchema(type="timestamp")),
        (["a", "a", "b"], ColumnSchema(type="string", domain=("a",), min_domain_mass=0.5)),
        ([None, "a"], ColumnSchema(type="string", domain=("a",), min_fraction=0.5)),
    ],
)
def test_data_that_fits(values: list[Any], expected: ColumnSchema) -> None:
    assert names(check(values, expected)) == []


def test_missing_columns_get_a_hint_at_the_new_name() -> None:
    schema = Schema(
        columns={"fare": ColumnSchema(type="int"), "tip": ColumnSchema(type="int", required=False)}
    )
    found = validate_statistics(statistics(train={"Fare": [1]}), schema, splits=["train"])
    assert names(found) == ["SCHEMA_MISSING_COLUMN", "SCHEMA_NEW_COLUMN"]
    assert "did you mean 'Fare'" in found.anomalies[0].long
    assert [a.name for a in found.errors] == ["SCHEMA_MISSING_COLUMN"]


def test_severity_can_be_set() -> None:
    assert [a.severity for a in check([1], None, severity={"SCHEMA_NEW_COLUMN": "error"}).anomalies] == [
        "error"
    ]
    too_big = ColumnSchema(type="int", max=0)
    assert check([1], too_big, severity={"INT_TYPE_BIG_INT": "warning"}).errors == ()


@given(
    st.dictionaries(
        st.sampled_from("abcde"),
        st.lists(st.none() | st.integers(), min_size=4, max_size=4)
        | st.lists(st.none() | st.floats(), min_size=4, max_size=4)
        | st.lists(st.none() | st.text(max_size=3), min_size=4, max_size=4)
        | st.lists(st.none() | st.booleans(), min_size=4, max_size=4),
        min_size=1,
    )
)
def test_data_fits_the_schema_drawn_up_from_it(columns: dict[str, list[Any]]) -> None:
    integers = {v for values in columns.values() for v in values if type(v) is int}
    assume(all(-(2**63) <= v < 2**63 for v in integers))
    found = statistics(train=columns)
    schema = infer_schema([found.split("train")])
    result = validate_statistics(found, schema, splits=["train"], baseline=found)
    assert names(result) == []
    assert all(m.value == 0 for m in result.measures if m.column)


@pytest.mark.parametrize(
    ("rows", "dataset", "option", "expected"),
    [
        ((3, 2), DatasetSchema(min_examples=5), None, []),
        ((3, 2), DatasetSchema(min_examples=6), None, ["DATASET_LOW_NUM_EXAMPLES"]),
        ((3, 2), DatasetSchema(min_examples=6), 5, []),
        ((3, 2), DatasetSchema(), 6, ["DATASET_LOW_NUM_EXAMPLES"]),
        ((3, 0), DatasetSchema(), None, ["DATASET_LOW_NUM_EXAMPLES"]),
        ((3, 0), DatasetSchema(min_examples=0), None, []),
        ((0, 0), DatasetSchema(), None, ["DATASET_LOW_NUM_EXAMPLES"]),
        ((3, 2), DatasetSchema(max_examples=4), None, ["DATASET_HIGH_NUM_EXAMPLES"]),
    ],
)
def test_numbers_of_rows(
    rows: tuple[int, int], dataset: DatasetSchema, option: int | None, expected: list[str]
) -> None:
    data = statistics(train={"x": [1.0] * rows[0]}, eval={"x": [1.0] * rows[1]})
    schema = Schema(columns={"x": ColumnSchema(type="any", min_fraction=1)}, dataset=dataset)
    assert names(validate_statistics(data, schema, splits=["train", "eval"], min_examples=option)) == expected


# -- drift


def drift(now: list[Any], before: list[Any] | None, type: str, **thresholds: float) -> Anomalies:
    baseline = statistics(train={"y": [1]} if before is None else {"x": before})
    expected = ColumnSchema(type=type, drift=Comparator(**thresholds) if thresholds else None)
    return check(now, expected, baseline=baseline)


def test_drift_of_texts() -> None:
    now, before = ["a"] * 7 + ["b"] * 3, ["a"] * 5 + ["c"] * 5
    found = drift(now, before, "string", linf=0.4)
    (anomaly,) = found.anomalies
    assert anomaly.name == "COMPARATOR_L_INFTY_HIGH"
    assert "is 0.5, at most 0.4" in anomaly.long
    assert names(drift(now, before, "string", linf=0.5)) == []
    assert names(drift(now, before, "string", jsd=0.1)) == ["COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH"]


def test_drift_of_numbers() -> None:
    random = np.random.default_rng(5)
    before, same = random.normal(size=2000).tolist(), random.normal(size=2000).tolist()
    moved = random.normal(1.0, size=2000).tolist()
    assert names(drift(same, before, "float", jsd=0.02)) == []
    assert names(drift(moved, before, "float", jsd=0.02)) == ["COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH"]


@pytest.mark.parametrize(
    ("now", "before", "type", "name"),
    [
        ([1.5], None, "float", "COMPARATOR_CONTROL_DATA_MISSING"),
        ([1.5], ["a"], "float", "COMPARATOR_CONTROL_DATA_MISSING"),
        ([1.5], [None], "float", "COMPARATOR_CONTROL_DATA_MISSING"),
        ([None], [1.5], "float", "COMPARATOR_TREATMENT_DATA_MISSING"),
    ],
)
def test_what_cannot_be_compared_is_an_anomaly_not_a_zero(
    now: list[Any], before: Any, type: str, name: str
) -> None:
    assert names(drift(now, before, type, jsd=0.1)) == [name]
    assert names(drift(now, before, type)) == []


def test_a_column_of_the_wrong_type_is_reported_once() -> None:
    assert names(drift([1], ["a"], "string", linf=0.1)) == ["UNEXPECTED_DATA_TYPE"]


def test_every_distance_is_kept_with_its_threshold() -> None:
    found = drift(["a"], ["b"], "string", jsd=0.5)
    kept = {m.measure: (m.value, m.threshold) for m in found.measures}
    assert kept == {
        "examples_ratio": (1.0, None),
        "jsd": (1.0, 0.5),
        "linf": (1.0, None),
        "chi2": (1.0, None),
        "psi": (pytest.approx(np.log(3)), None),  # half a row more on every side: 3/4 and 1/4
    }


@pytest.mark.parametrize(
    ("rows", "name"),
    [(4, "COMPARATOR_LOW_NUM_EXAMPLES"), (5, ""), (20, ""), (21, "COMPARATOR_HIGH_NUM_EXAMPLES")],
)
def test_rows_against_the_baseline(rows: int, name: str) -> None:
    dataset = DatasetSchema(min_examples_ratio=0.5, max_examples_ratio=2)
    schema = Schema(columns={"x": ColumnSchema(type="int")}, dataset=dataset)
    data, baseline = statistics(train={"x": [1] * rows}), statistics(train={"x": [1] * 10})
    assert names(validate_statistics(data, schema, splits=["train"], baseline=baseline)) == (
        [name] if name else []
    )
    other = statistics(test={"x": [1]})
    found = validate_statistics(data, schema, splits=["train"], baseline=other)
    assert names(found) == ["COMPARATOR_CONTROL_DATA_MISSING"]


# -- distances


samples = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=50)


def counts(values: list[str]) -> np.ndarray[Any, Any]:
    return np.array([values.count(v) for v in "abcdef"]) / len(values)


def divergence(p: Any, q: Any) -> float:
    """Jensen-Shannon divergence as the entropy of the mixture less the mean entropy."""

    def entropy(x: Any) -> float:
        return float(-(x[x > 0] * np.log2(x[x > 0])).sum())

    return entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2


@given(samples, samples)
def test_distances_of_texts_are_exact(a: list[str], b: list[str]) -> None:
    p, q = counts(a), counts(b)
    assert l_infinity(column(a), column(b)) == pytest.approx(np.abs(p - q).max(), abs=1e-12)
    assert jensen_shannon(column(a), column(b)) == pytest.approx(divergence(p, q), abs=1e-9)


@given(st.lists(st.booleans(), min_size=1), st.lists(st.booleans(), min_size=1))
def test_distances_of_truth_values_are_exact(a: list[bool], b: list[bool]) -> None:
    assert l_infinity(column(a), column(b)) == pytest.approx(abs(np.mean(a) - np.mean(b)), abs=1e-12)


@given(st.floats(0, 3), st.integers(0, 99))
def test_divergence_of_numbers_is_near_that_of_the_rows(shift: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    a, b = random.normal(size=4000), random.normal(shift, size=4000)
    edges = np.unique(
        np.concatenate([np.quantile(v, np.arange(11) / 10, method="inverted_cdf") for v in (a, b)])
    )
    bins = np.concatenate([[-np.inf], edges])
    p, q = (np.diff(np.searchsorted(np.sort(v), bins, side="right")) / 4000 for v in (a, b))
    assert jensen_shannon(column(a.tolist()), column(b.tolist())) == pytest.approx(divergence(p, q), abs=0.02)


numbers = st.lists(st.sampled_from([0.0, 1.0, 2.5, NAN, INF]), min_size=1, max_size=30)


@given(numbers, numbers)
def test_divergence_of_numbers_is_symmetric_and_bounded(a: list[float], b: list[float]) -> None:
    there, back = jensen_shannon(column(a), column(b)), jensen_shannon(column(b), column(a))
    assert there == pytest.approx(back, abs=1e-12)
    assert 0 <= there <= 1
    assert jensen_shannon(column(a), column(a)) == 0


def test_a_shift_of_a_constant_is_total() -> None:
    for now in (0.0, 2.0, NAN):
        assert jensen_shannon(column([now] * 9), column([1.0] * 9)) == 1.0


def test_unlisted_values_are_not_counted_as_change() -> None:
    shared = ["often"] * 300 + [f"item-{at}" for at in range(2000)]
    now = column([*shared, *["often"] * 5])
    before = column(shared[::-1])
    assert l_infinity(now, before) == pytest.approx(305 / 2305 - 300 / 2300, abs=1e-3)
    assert jensen_shannon(now, before) < 0.001
    assert l_infinity(column(["new"] * 500 + shared), before) == pytest.approx(500 / 2800, abs=0.01)


def test_distances_of_incomplete_lists_are_symmetric() -> None:
    shared = ["often"] * 300 + [f"item-{at}" for at in range(2000)]
    now, before = column([*shared, "z"]), column([*shared, "z", "z"])
    assert "z" not in dict(now.string.frequencies if now.string else ())
    assert l_infinity(now, before) == l_infinity(before, now) < 1.5 / 2300
    assert jensen_shannon(now, before) == pytest.approx(jensen_shannon(before, now), abs=1e-12)


# -- the file


def test_the_file_gives_back_the_anomalies(tmp_path: Path) -> None:
    found = drift(["a", "ü"], ["b"], "string", linf=0.1)
    write_anomalies(tmp_path, found)
    assert read_anomalies(tmp_path) == found
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(DataError, match="not readable as anomalies"):
        read_anomalies(tmp_path)
    with pytest.raises(DataError, match="no anomalies here"):
        read_anomalies(tmp_path / "nowhere")
