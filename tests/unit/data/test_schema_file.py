"""The schema file of today and of yesterday, for people: mistakes have a line, much is quick."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.data.schema import BoolDomain, ColumnSchema, Comparator, FalseAlarm, Rule, Schema
from tidemill.data.schema_fields import check_schema
from tidemill.data.schema_file import schema_text
from tidemill.data.schema_reader import FORMAT, read_schema_text
from tidemill.errors import DataError

HEAD = f"format: {FORMAT}\n"

TODAY = """\
format: tidemill.schema/2
version: 3
default_environments: [TRAINING, SERVING]
dataset: {min_examples: 10}
severity: {SCHEMA_NEW_COLUMN: error}
rules:
  cheap:
    expect: mean < 100
    column: fare  # in dollars
    severity: warning
columns:
  fare:
    type: float
    drift: {ks: 0.1, psi: {false_alarm: 0.001}}
    skew: {wasserstein: 2}
    severity: {FLOAT_TYPE_HAS_NAN: warning}
  label: {type: string, not_in_environment: [SERVING], bool_domain: {true_value: "Y", false_value: "N"}}
  tags: {type: int, nesting: 1, min_values: 1, max_values: 9}
  at: {type: timestamp, min: '2024-01-01', stage: beta}
"""


def test_what_a_file_can_say() -> None:
    schema = read_schema_text(TODAY, "schema.yaml")
    assert (schema.version, schema.default_environments) == (3, ("TRAINING", "SERVING"))
    assert schema.rules == {"cheap": Rule(expect="mean < 100", column="fare", severity="warning")}
    assert schema.columns["fare"] == ColumnSchema(
        type="float",
        drift=Comparator(ks=0.1, psi=FalseAlarm(rate=0.001)),
        skew=Comparator(wasserstein=2),
        severity={"FLOAT_TYPE_HAS_NAN": "warning"},
    )
    assert schema.columns["label"].bool_domain == BoolDomain(true_value="Y", false_value="N")
    assert schema.environments == ("SERVING", "TRAINING")


def test_a_file_of_the_first_format_means_the_same() -> None:
    text = (
        "format: tidemill.schema/1\ndataset:\n  min_examples: 1\ncolumns:\n  payment:\n    type: string\n"
        "    min_fraction: 1.0\n    domain:\n    - Cash\n    - 'no'\n    drift:\n      linf: 0.01\n"
    )
    expected = ColumnSchema(
        type="string", min_fraction=1.0, domain=("Cash", "no"), drift=Comparator(linf=0.01)
    )
    assert read_schema_text(text, "schema.yaml") == Schema(columns={"payment": expected})


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("columns:\n  a: {type: int, nesting: 1, shape: [0]}\n", 3, "whole number from 1"),
        ("columns:\n  a: {type: int, shape: [2]}\n", 3, "add nesting: 1"),
        ("columns:\n  a: {type: int, nesting: 2, shape: [2]}\n", 3, "1 lengths, but nesting is 2"),
        ("columns:\n  a: {type: int, min_values: 2}\n", 3, "is for columns of lists"),
        ("columns:\n  a: {type: int, min_unique: 3, max_unique: 2}\n", 3, "below min_unique"),
        ("columns:\n  a: {type: float, min_unique: 3}\n", 3, "is not for float columns"),
        ("columns:\n  a: {type: int, stage: betta}\n", 3, "did you mean 'beta'"),
        ("columns:\n  a: {type: int, min: 'x'}\n", 3, "expected a finite number"),
        ("columns:\n  a: {type: int, min: '2024-01-01'}\n", 3, "expected a finite number"),
        ("columns:\n  a: {type: timestamp, min: 3}\n", 3, "expected a moment"),
        ("columns:\n  a: {type: timestamp, min: '2024-02-30'}\n", 3, "expected a finite number"),
        ("columns:\n  a: {type: timestamp, min: '2025-01-01', max: '2024-01-01'}\n", 3, "below min"),
        ("columns:\n  a: {type: float, drift: {linf: 0.1}}\n", 3, "columns.a.drift.linf is not for float"),
        ("columns:\n  a: {type: string, skew: {ks: 0.1}}\n", 3, "columns.a.skew.ks is not for string"),
        ("columns:\n  a: {type: string, skew: {kss: 0.1}}\n", 3, "did you mean 'ks'"),
        ("columns:\n  a: {type: string, drift: {psi: {}}}\n", 3, "{false_alarm: 0.001}"),
        ("columns:\n  a: {type: string, drift: {psi: {false_alarm: 1}}}\n", 3, "above 0 and below 1"),
        ("columns:\n  a: {type: string, drift: {nad: {false_alarm: 0.1}}}\n", 3, "compares counts"),
        ("columns:\n  a: {type: string, drift: {linf: 1.5}}\n", 3, "a number from 0 to 1"),
        ("columns:\n  a: {type: string, bool_domain: {}}\n", 3, "two different texts"),
        ("columns:\n  a: {type: int, bool_domain: {true_value: x}}\n", 3, "has texts"),
        ("columns:\n  a: {type: string, domain: [x], bool_domain: {true_value: x}}\n", 3, "beside a domain"),
        (
            "columns:\n  a: {type: int, in_environment: [S], not_in_environment: [S]}\n",
            3,
            "names 'S', and so",
        ),
        ("columns:\n  a: {type: int, in_environment: S}\n", 3, "a list of texts"),
        ("columns:\n  a: {type: string, text_of: bool}\n", 3, "int or float"),
        ("columns:\n  a: {type: int, severity: {SCHEMA_MISING_COLUMN: error}}\n", 3, "did you mean"),
        ("version: 0\ncolumns: {}\n", 2, "a whole number from 1"),
        ("columns: {}\nrules: {r: {column: x}}\n", 3, "add expect"),
        (
            "columns: {fare: {type: int}}\nrules: {r: {column: fair, expect: rows > 1}}\n",
            3,
            "did you mean 'fare'",
        ),
        ("columns: {}\nrules: {r: {expect: open(1) == 2}}\n", 3, "rules.r.expect calls open"),
        ("columns: {}\nrules: {r: {expect: rows > 1, severity: bad}}\n", 3, "error or warning"),
        ("columns: &a {b: *a}\n", 2, ""),
    ],
)
def test_mistakes_are_named_with_their_line(text: str, line: int, says: str) -> None:
    with pytest.raises(DataError) as caught:
        read_schema_text(HEAD + text, "mine.yaml")
    assert says in str(caught.value)
    assert caught.value.where == f"mine.yaml:{line}"


WORDS = st.sampled_from(
    ["format: tidemill.schema/2", "columns:", "  a:", "    type:", "int", "string", "[", "]", "{", "}", ",",
     ": ", "\n", " ", "- ", "domain", "drift", "psi", "false_alarm", "rules", "expect", "&x", "*x", "'",
     "!!python/none", "min", "1e5", "nan", "severity", "version"]
)  # fmt: skip


@settings(max_examples=200)
@given(st.lists(WORDS, max_size=30).map("".join) | st.text(max_size=60))
def test_any_text_is_a_schema_or_a_mistake(text: str) -> None:
    for start in ("", HEAD, HEAD + "columns:\n  a: "):
        with contextlib.suppress(DataError):
            assert isinstance(read_schema_text(start + text, "mine.yaml"), Schema)


def test_a_file_that_is_nested_too_deeply() -> None:
    with pytest.raises(DataError):
        read_schema_text(HEAD + "columns: " + "[" * 400, "mine.yaml")


def test_schemas_made_by_code_are_checked_too() -> None:
    wrong = Schema(columns={"a": ColumnSchema(type="float", drift=Comparator(linf=0.1))})
    with pytest.raises(DataError, match=r"columns.a.drift.linf is not for float columns"):
        check_schema(wrong)
    counts = Comparator(nad=FalseAlarm(rate=0.1))
    with pytest.raises(DataError, match="nad has no false-alarm rate"):
        check_schema(Schema(columns={"a": ColumnSchema(type="string", drift=counts)}))
    check_schema(read_schema_text(TODAY, "schema.yaml"))


def test_ten_thousand_columns_are_written_and_read_quickly() -> None:
    column = ColumnSchema(type="float", min_fraction=1.0, allow_nan=True)
    schema = Schema(columns={f"column_{at}": column for at in range(10_000)})
    start = time.process_time()
    text = schema_text(schema)
    written = time.process_time()
    assert len(read_schema_text(text, "schema.yaml").columns) == 10_000
    read = time.process_time()
    assert written - start < 2
    assert read - written < 5
