"""Every anomaly of a column: data that has it, and data like it that has not."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from tidemill.data.analyze import analyze_tables
from tidemill.data.anomalies import ANOMALIES, OWN, Anomalies
from tidemill.data.schema import BoolDomain, ColumnSchema, Comparator, Rule, Schema
from tidemill.data.statistics import SplitStatistics, Statistics
from tidemill.data.validate import validate_statistics
from tidemill.errors import DataError


def split(columns: dict[str, Any]) -> SplitStatistics:
    table = pa.table(columns)
    return analyze_tables([table], table.schema)


def names(found: Anomalies) -> list[str]:
    return [anomaly.name for anomaly in found.anomalies]


def check(values: Any, expected: ColumnSchema, **options: Any) -> list[str]:
    data = Statistics(splits={"train": split({"x": values})})
    schema = Schema(columns={"x": expected}, **options.pop("schema", {}))
    return names(validate_statistics(data, schema, splits=["train"], **options))


def moments(*texts: str) -> Any:
    return pa.array(texts).cast(pa.timestamp("us"))


YES_NO = BoolDomain(true_value="Y", false_value="N")

CASES: list[tuple[str, ColumnSchema, Any, Any]] = [
    ("FEATURE_TYPE_NOT_PRESENT", ColumnSchema(type="int", min_count=1), pa.nulls(2), [None, 1]),
    (
        "FEATURE_TYPE_LOW_FRACTION_PRESENT",
        ColumnSchema(type="int", min_fraction=0.5),
        [1, None, None],
        [1, None],
    ),
    ("FEATURE_TYPE_LOW_NUMBER_PRESENT", ColumnSchema(type="int", min_count=2), [1, None, None], [1, 2, None]),
    ("FEATURE_TYPE_UNEXPECTED_REPEATED", ColumnSchema(type="int"), [[1], [2]], [1, 2]),
    (
        "FEATURE_TYPE_NO_VALUES",
        ColumnSchema(type="int", nesting=1, min_values=1),
        pa.array([[], []], pa.list_(pa.int64())),
        [[1], [2]],
    ),
    (
        "FEATURE_TYPE_LOW_NUMBER_VALUES",
        ColumnSchema(type="int", nesting=1, min_values=2),
        [[1], [1, 2]],
        [[1, 2]],
    ),
    (
        "FEATURE_TYPE_HIGH_NUMBER_VALUES",
        ColumnSchema(type="int", nesting=1, max_values=1),
        [[1, 2]],
        [[1], []],
    ),
    ("VALUE_NESTEDNESS_MISMATCH", ColumnSchema(type="int", nesting=2), [[1, 2]], [[[1], [2]]]),
    ("INVALID_FEATURE_SHAPE", ColumnSchema(type="int", nesting=1, shape=(2,)), [[1], [2]], [[1, 2], [3, 4]]),
    ("INVALID_FEATURE_SHAPE", ColumnSchema(type="int", nesting=1, shape=(2,)), [[1, 2], None], [[1, 2]]),
    ("FEATURE_TYPE_LOW_UNIQUE", ColumnSchema(type="string", min_unique=2), ["a", "a"], ["a", "b"]),
    ("FEATURE_TYPE_HIGH_UNIQUE", ColumnSchema(type="int", max_unique=1), [1, 2], [1, 1]),
    ("FEATURE_TYPE_NO_UNIQUE", ColumnSchema(type="any", max_unique=2), [1.5, 2.5], ["a", "b"]),
    ("BOOL_TYPE_SMALL_INT", ColumnSchema(type="int", bool_domain=BoolDomain()), [-1, 1], [0, 1]),
    ("BOOL_TYPE_BIG_INT", ColumnSchema(type="int", bool_domain=BoolDomain()), [0, 2], [0, 1]),
    (
        "BOOL_TYPE_UNEXPECTED_FLOAT",
        ColumnSchema(type="float", bool_domain=BoolDomain()),
        [0.0, 0.5, 1.0],
        [0.0, 1.0],
    ),
    (
        "BOOL_TYPE_UNEXPECTED_FLOAT",
        ColumnSchema(type="float", bool_domain=BoolDomain()),
        [0.0, float("nan")],
        [1.0],
    ),
    ("BOOL_TYPE_UNEXPECTED_STRING", ColumnSchema(type="string", bool_domain=YES_NO), ["Y", "y"], ["Y", "N"]),
    ("INT_TYPE_NOT_INT_STRING", ColumnSchema(type="string", text_of="int"), ["1", "1.5"], ["1", "-2"]),
    (
        "FLOAT_TYPE_STRING_NOT_FLOAT",
        ColumnSchema(type="string", text_of="float"),
        ["1e3", "x"],
        ["1", "1e3", "nan"],
    ),
    (
        "TIMESTAMP_TYPE_SMALL_TIMESTAMP",
        ColumnSchema(type="timestamp", min="2024-01-01"),
        moments("2023-12-31T23:59:59"),
        moments("2024-01-01T00:00:00"),
    ),
    (
        "TIMESTAMP_TYPE_BIG_TIMESTAMP",
        ColumnSchema(type="timestamp", max="2024-01-01T02:00:00+02:00"),
        moments("2024-01-01T00:00:01"),
        moments("2024-01-01T00:00:00"),
    ),
    (
        "ENUM_TYPE_UNEXPECTED_STRING_VALUES",
        ColumnSchema(type="string", nesting=1, domain=("a",)),
        [["a", "b"]],
        [["a", "a"], []],
    ),
    ("UNEXPECTED_DATA_TYPE", ColumnSchema(type="string", nesting=1), [[1]], [["a"]]),
]


@pytest.mark.parametrize(("name", "expected", "bad", "good"), CASES, ids=[c[0] for c in CASES])
def test_an_anomaly_and_data_without_it(name: str, expected: ColumnSchema, bad: Any, good: Any) -> None:
    assert check(bad, expected) == [name]
    assert check(good, expected) == []


def test_severities_of_a_column_come_before_those_of_the_schema() -> None:
    expected = ColumnSchema(type="int", max=0, severity={"INT_TYPE_BIG_INT": "error"})
    schema = Schema(columns={"x": expected}, severity={"INT_TYPE_BIG_INT": "warning"})
    data = Statistics(splits={"train": split({"x": [1]})})
    assert [a.severity for a in validate_statistics(data, schema, splits=["train"]).anomalies] == ["error"]


@pytest.mark.parametrize("stage", ["planned", "alpha", "deprecated", "debug_only", "disabled"])
def test_columns_of_other_stages_are_known_and_not_looked_at(stage: Any) -> None:
    drift = Comparator(jsd=0.0)
    assert check(["a"], ColumnSchema(type="int", stage=stage, drift=drift)) == []
    assert check(["a"], ColumnSchema(type="int", stage="beta")) == ["UNEXPECTED_DATA_TYPE"]
    schema = Schema(columns={"gone": ColumnSchema(type="int", stage=stage)})
    data = Statistics(splits={"train": split({"x": [1]})})
    assert names(validate_statistics(data, schema, splits=["train"])) == ["SCHEMA_NEW_COLUMN"]


# -- environments


LABELLED = {
    "x": ColumnSchema(type="int"),
    "label": ColumnSchema(type="int", min_fraction=1, not_in_environment=("SERVING",)),
    "served": ColumnSchema(type="int", in_environment=("SERVING",), not_in_environment=("TRAINING",)),
}


def in_environment(columns: dict[str, Any], environment: str | None) -> list[tuple[str, str]]:
    schema = Schema(columns=LABELLED, default_environments=("TRAINING", "SERVING"))
    data = Statistics(splits={"train": split(columns)})
    found = validate_statistics(data, schema, splits=["train"], environment=environment)
    return [(a.name, a.column) for a in found.anomalies]


def test_a_column_is_expected_in_its_environments() -> None:
    train, serve = {"x": [1], "label": [1]}, {"x": [1], "served": [1]}
    assert in_environment(train, "TRAINING") == []
    assert in_environment(serve, "SERVING") == []
    assert in_environment(serve, "TRAINING") == [
        ("SCHEMA_MISSING_COLUMN", "label"),
        ("SCHEMA_NEW_COLUMN", "served"),
    ]
    assert in_environment(train, None) == [("SCHEMA_MISSING_COLUMN", "served")]
    assert in_environment({**serve, "label": pa.nulls(1, pa.int64())}, "SERVING") == []


def test_an_unknown_environment_is_a_mistake() -> None:
    with pytest.raises(DataError, match="does not name the environment 'SERVNG'") as caught:
        in_environment({"x": [1]}, "SERVNG")
    assert "did you mean 'SERVING'" in caught.value.hint
    with pytest.raises(DataError) as caught:
        check([1], ColumnSchema(type="int"), environment="SERVING")
    assert "default_environments" in caught.value.hint


# -- rows, spans, serving, rules


def test_a_span_without_rows() -> None:
    empty = pa.array([], pa.int64())
    assert check(empty, ColumnSchema(type="int"), span=20_000) == ["NO_DATA_IN_SPAN"]
    assert check([1], ColumnSchema(type="int"), span=20_000) == []
    assert check(empty, ColumnSchema(type="int"), span=20_000, min_examples=0) == []


def against_serving(training: dict[str, Any], serving: dict[str, Any], **columns: ColumnSchema) -> list[str]:
    data, served = (Statistics(splits={"train": split(side)}) for side in (training, serving))
    found = validate_statistics(data, Schema(columns=columns), splits=["train"], serving=served)
    return names(found)


def test_skew_of_training_and_serving() -> None:
    text = ColumnSchema(type="string", skew=Comparator(linf=0.1))
    assert against_serving({"x": ["a"] * 9}, {"x": ["b"] * 9}, x=text) == ["COMPARATOR_L_INFTY_HIGH"]
    assert against_serving({"x": ["a"] * 9}, {"x": ["a"] * 9}, x=text) == []
    number = ColumnSchema(type="int", required=True)
    assert against_serving({"x": [1], "y": [1]}, {"y": [1]}, x=number, y=number) == [
        "SCHEMA_TRAINING_SERVING_SKEW"
    ]
    assert against_serving({"x": [1]}, {"x": ["1"]}, x=number) == ["SCHEMA_TRAINING_SERVING_SKEW"]
    label = ColumnSchema(type="int", not_in_environment=("SERVING",))
    assert against_serving({"x": [1], "y": [1]}, {"y": [1]}, x=label, y=number) == []


def test_serving_statistics_have_one_split_or_the_same_ones() -> None:
    data = Statistics(splits={"train": split({"x": [1]})})
    other = Statistics(splits={"a": split({"x": [1]}), "b": split({"x": [1]})})
    with pytest.raises(DataError, match="2 splits and none called 'train'"):
        validate_statistics(
            data, Schema(columns={"x": ColumnSchema(type="int")}), splits=["train"], serving=other
        )


def test_rules() -> None:
    rules = {
        "small": Rule(expect="mean < 10", column="x", description="cheap trips", severity="warning"),
        "same": Rule(expect="rows <= 2 * baseline.rows"),
        "served": Rule(expect="rows > 100", environments=("SERVING",)),
    }
    data = Statistics(splits={"train": split({"x": [10, 30]})})
    columns = {"x": ColumnSchema(type="int")}
    schema = Schema(columns=columns, rules=rules, default_environments=("SERVING",))
    (found,) = validate_statistics(data, schema, splits=["train"]).anomalies
    assert (found.name, found.column, found.severity) == ("CUSTOM_VALIDATION", "x", "warning")
    assert found.long == "the rule small (cheap trips) does not hold: mean < 10: mean = 20"
    baseline = Statistics(splits={"train": split({"x": [1] * 2})})
    assert names(validate_statistics(data, schema, splits=["train"], baseline=baseline)) == [
        "CUSTOM_VALIDATION"
    ]
    smaller = Statistics(splits={"train": split({"x": pa.array([], pa.int64())})})
    found_names = names(validate_statistics(data, schema, splits=["train"], baseline=smaller))
    assert found_names == ["CUSTOM_VALIDATION", "CUSTOM_VALIDATION"]
    without = Statistics(splits={"train": split({"y": [1]})})
    assert names(validate_statistics(without, schema, splits=["train"])) == [
        "SCHEMA_MISSING_COLUMN",
        "SCHEMA_NEW_COLUMN",
    ]
    served = validate_statistics(data, schema, splits=["train"], environment="SERVING")
    assert [a.column for a in served.anomalies] == ["x", ""]


def test_names_are_those_of_tensorflow_metadata_but_for_our_own() -> None:
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    theirs = set(anomalies_pb2.AnomalyInfo.Type.keys())
    assert set(ANOMALIES) - theirs == OWN
