"""Schemas: drawn up from statistics, written for people, read strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tidemill.data.analyze import analyze_tables
from tidemill.data.infer import infer_schema
from tidemill.data.schema import ColumnSchema, Comparator, DatasetSchema, Schema
from tidemill.data.schema_file import FILE, load_schema, read_schema, write_schema
from tidemill.data.statistics import SplitStatistics
from tidemill.errors import DataError


def split(**columns: pa.Array) -> SplitStatistics:
    table = pa.table(columns)
    return analyze_tables([table], table.schema)


def test_a_schema_says_what_the_data_shows_and_no_more() -> None:
    data = split(
        id=pa.array([3, 1, 2]),
        fare=pa.array([1.5, None, float("nan")]),
        kind=pa.array(["b", "a", "b"]),
        paid=pa.array([True, False, None]),
        at=pa.array([0, 1, 2], pa.timestamp("us")),
        tags=pa.array([[1], [2], []]),
        void=pa.nulls(3),
    )
    assert infer_schema([data]).columns == {
        "at": ColumnSchema(type="timestamp", min_fraction=1.0),
        "fare": ColumnSchema(type="float", allow_nan=True),
        "id": ColumnSchema(type="int", min_fraction=1.0),
        "kind": ColumnSchema(type="string", min_fraction=1.0, domain=("a", "b")),
        "paid": ColumnSchema(type="bool"),
        "tags": ColumnSchema(type="int", min_fraction=1.0, nesting=1),
        "void": ColumnSchema(type="any"),
    }


def test_a_domain_has_at_most_max_domain_values() -> None:
    data = split(kind=pa.array(["a", "b", "c"]))
    assert infer_schema([data], max_domain=3).columns["kind"].domain == ("a", "b", "c")
    assert infer_schema([data], max_domain=2).columns["kind"].domain is None
    assert infer_schema([data], max_domain=0).columns["kind"].domain is None
    with pytest.raises(DataError, match="negative"):
        infer_schema([data], max_domain=-1)


def test_splits_are_taken_together() -> None:
    train = split(a=pa.array([1]), k=pa.array(["x"]), t=pa.array(["only here"]), n=pa.nulls(1))
    test = split(a=pa.array([1.5]), k=pa.array(["y"]), n=pa.array([1]))
    empty = split(a=pa.array([], pa.int64()), k=pa.array([], pa.string()), n=pa.array([], pa.int64()))
    columns = infer_schema([train, test, empty]).columns
    assert columns["a"] == ColumnSchema(type="float", min_fraction=1.0)
    assert columns["k"].domain == ("x", "y")
    assert columns["n"] == ColumnSchema(type="int")
    assert not columns["t"].required
    with pytest.raises(DataError, match="column 'a' has different types in different splits: int, string"):
        infer_schema([split(a=pa.array([1])), split(a=pa.array(["x"]))])


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
shares = st.floats(0, 1)
numbers = st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def columns(draw: st.DrawFn) -> ColumnSchema:
    type = draw(st.sampled_from(["int", "float", "string", "bool", "timestamp", "any"]))
    fields: dict[str, Any] = {"required": draw(st.booleans()), "min_fraction": draw(shares)}
    if type in ("int", "float"):
        bounds = sorted([draw(numbers), draw(numbers)])
        fields |= {
            "min": bounds[0],
            "max": bounds[1],
            "drift": draw(st.none() | st.builds(Comparator, jsd=shares)),
        }
    if type == "float":
        fields |= {"allow_nan": draw(st.booleans()), "allow_infinite": draw(st.booleans())}
    if type == "string":
        fields |= {
            "domain": draw(st.none() | st.lists(texts, min_size=1, unique=True).map(tuple)),
            "min_domain_mass": draw(shares),
            "drift": draw(st.none() | st.builds(Comparator, linf=shares, jsd=st.none() | shares)),
        }
    return ColumnSchema(type=type, **fields)


schemas = st.builds(
    Schema,
    columns=st.dictionaries(texts, columns(), max_size=4),
    dataset=st.builds(
        DatasetSchema, min_examples=st.integers(0, 9), max_examples_ratio=st.none() | st.just(2.5)
    ),
    severity=st.dictionaries(
        st.sampled_from(["SCHEMA_NEW_COLUMN", "FLOAT_TYPE_HAS_NAN"]), st.just("warning")
    ),
)


@settings(max_examples=60)
@given(schemas)
@example(Schema(columns={"\x85": ColumnSchema(type="string", domain=("\u2028 x", "a\nb", " ", "", "~"))}))
def test_the_file_gives_back_the_schema(tmp_path_factory: pytest.TempPathFactory, schema: Schema) -> None:
    folder = tmp_path_factory.mktemp("schema")
    write_schema(folder, schema)
    assert read_schema(folder) == schema


def test_the_file_is_made_to_be_read(tmp_path: Path) -> None:
    schema = Schema(
        columns={
            "payment": ColumnSchema(
                type="string", domain=("Cash", "no", "2024-01-01"), drift=Comparator(linf=0.01)
            ),
            "fare": ColumnSchema(type="float", min_fraction=0.9, min=0),
        },
        severity={"SCHEMA_NEW_COLUMN": "error"},
    )
    write_schema(tmp_path, schema)
    lines = (tmp_path / FILE).read_text().splitlines()
    assert lines[0].startswith("# ")
    assert lines[1:] == [
        "format: tidemill.schema/2",
        "dataset:",
        "  min_examples: 1",
        "severity:",
        "  SCHEMA_NEW_COLUMN: error",
        "columns:",
        "  fare:",
        "    type: float",
        "    min_fraction: 0.9",
        "    min: 0",
        "  payment:",
        "    type: string",
        "    domain:",
        "    - Cash",
        "    - 'no'",
        "    - '2024-01-01'",
        "    drift:",
        "      linf: 0.01",
    ]


HEAD = "format: tidemill.schema/1\n"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 0, "is empty"),
        ("columns: [", 1, "not readable as YAML"),
        ("- a\n", 1, "must be a mapping"),
        ("columns: {}\n", 1, "write format: tidemill.schema/2"),
        ("format: tidemill.schema/9\ncolumns: {}\n", 1, "not a schema this version can read"),
        (HEAD, 1, "list the columns"),
        (HEAD + "colums: {}\n", 2, "did you mean 'columns'"),
        (HEAD + "columns:\n  a:\n    tpye: int\n", 4, "columns.a.tpye is not known here"),
        (HEAD + "columns:\n  a:\n    type: flaot\n", 4, "did you mean 'float'"),
        (HEAD + "columns:\n  a:\n    required: true\n", 4, "columns.a has no type"),
        (HEAD + "columns:\n  a: {type: int}\n  a: {type: int}\n", 4, "given twice"),
        (HEAD + "columns:\n  a: {type: int, min_fraction: 2}\n", 3, "a number from 0 to 1"),
        (HEAD + "columns:\n  a: {type: int, min_fraction: 1e-5}\n", 3, "YAML reads this as text"),
        (HEAD + "columns:\n  a: {type: int, min: .nan}\n", 3, "a finite number"),
        (HEAD + "columns:\n  a: {type: int, min: 3, max: 2}\n", 3, "below min"),
        (HEAD + "columns:\n  a: {type: string, min: 3}\n", 3, "columns.a.min is not for string columns"),
        (HEAD + "columns:\n  a: {type: int, required: maybe}\n", 3, "true or false"),
        (HEAD + "columns:\n  a: {type: string, domain: []}\n", 3, "a list of texts"),
        (HEAD + "columns:\n  a:\n    type: string\n    domain:\n    - x\n    - 7\n", 7, "put it in quotes"),
        (HEAD + "columns:\n  a:\n    type: string\n    domain:\n    - x\n    - x\n", 7, "lists 'x' twice"),
        (HEAD + "columns:\n  a: {type: float, drift: {linf: 0.1}}\n", 3, "use jsd"),
        (HEAD + "columns:\n  a: {type: float, drift: 0.1}\n", 3, "columns.a.drift must be a mapping"),
        (HEAD + "columns:\n  a: {type: timestamp, drift: {jsd: 0.1}}\n", 3, "is not for timestamp columns"),
        (HEAD + "dataset: {min_examples: -1}\ncolumns: {}\n", 2, "a whole number"),
        (HEAD + "severity: {SCHEMA_NEW_COLUM: error}\ncolumns: {}\n", 2, "did you mean 'SCHEMA_NEW_COLUMN'"),
        (HEAD + "severity: {SCHEMA_NEW_COLUMN: fatal}\ncolumns: {}\n", 2, "expected error or warning"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        load_schema(path)
    assert says in str(caught.value)
    assert caught.value.where == (f"{path}:{line}" if line else str(path))


def test_comments_and_unicode_are_welcome(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(HEAD + "columns:\n  größe:  # in cm\n    type: int\n    max: 250\n", encoding="utf-8")
    assert load_schema(path).columns == {"größe": ColumnSchema(type="int", max=250)}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load_schema(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_bytes(b"\xff")
    with pytest.raises(DataError, match="cannot read"):
        load_schema(tmp_path / "bad.yaml")
