"""Changes are proposed, decided on by people, and then made: the data fits, and nothing else changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from tidemill.cli.schema import schema as command
from tidemill.data.analyze import analyze_tables
from tidemill.data.evolve import propose, propose_thresholds
from tidemill.data.schema import BoolDomain, ColumnSchema, Comparator, DatasetSchema, Schema
from tidemill.data.schema_diff import diff_schemas
from tidemill.data.schema_file import load_schema, schema_text, write_schema
from tidemill.data.schema_patch import patched_text
from tidemill.data.schema_reader import read_schema_text
from tidemill.data.schema_review import accept, read_review, review_text
from tidemill.data.statistics import Statistics, write_statistics
from tidemill.data.validate import validate_statistics
from tidemill.errors import DataError, TidemillError


def made(**splits: dict[str, Any]) -> Statistics:
    tables = {name: pa.table(columns) for name, columns in splits.items()}
    return Statistics(splits={name: analyze_tables([t], t.schema) for name, t in tables.items()})


NAN, INF = float("nan"), float("inf")
MOMENTS = pa.array([0, 10**15], pa.timestamp("us"))
CASES: list[tuple[ColumnSchema, Any]] = [
    (ColumnSchema(type="int", min=2, max=3), [1, 9]),
    (ColumnSchema(type="float", min=0, max=1), [-0.5, 1.5, NAN, INF]),
    (ColumnSchema(type="int"), ["a", "b"]),
    (ColumnSchema(type="int", min_fraction=1), [1, None, 3]),
    (ColumnSchema(type="int", min_fraction=1, min_count=9), pa.nulls(2)),
    (ColumnSchema(type="int", min_count=9), [1, None]),
    (ColumnSchema(type="string", domain=("a",)), ["a", "b", "ü"]),
    (ColumnSchema(type="string", domain=("a",)), [f"item {at}" for at in range(200)]),
    (ColumnSchema(type="string", bool_domain=BoolDomain(true_value="Y", false_value="N")), ["y"]),
    (ColumnSchema(type="int", bool_domain=BoolDomain()), [-1, 7]),
    (ColumnSchema(type="string", text_of="int"), ["1", "x"]),
    (ColumnSchema(type="int"), [[1], [2]]),
    (ColumnSchema(type="int", nesting=1, min_values=2, max_values=2), [[1], [1, 2, 3]]),
    (ColumnSchema(type="int", nesting=2, shape=(1, 2)), [[1], [2]]),
    (ColumnSchema(type="int", nesting=1, shape=(3,)), [[1], [2]]),
    (ColumnSchema(type="string", min_unique=2, max_unique=2), ["a", "b", "c"]),
    (ColumnSchema(type="string", min_unique=2), ["a"]),
    (ColumnSchema(type="any", max_unique=2), [1.5]),
    (ColumnSchema(type="timestamp", min="1980-01-01", max="1990-01-01T00:00:00"), MOMENTS),
]


@pytest.mark.parametrize(("column", "values"), CASES)
def test_with_every_proposal_accepted_the_data_fits(column: ColumnSchema, values: Any) -> None:
    schema = Schema(columns={"x": column, "gone": ColumnSchema(type="int")})
    data = made(train={"x": values, "new": [1.5] * len(values)})
    found = validate_statistics(data, schema, splits=["train"])
    assert {"SCHEMA_MISSING_COLUMN", "SCHEMA_NEW_COLUMN"} < {a.name for a in found.anomalies}
    review = review_text(schema, propose(schema, data, found))
    new = accept(schema, read_review(review, "review.yaml", schema), "review.yaml", rest=True)
    assert validate_statistics(data, new, splits=["train"]).anomalies == ()
    assert new.version == 2
    assert new.columns["gone"] == ColumnSchema(type="int", required=False)
    if new.columns["x"].type == column.type and column.domain is None:
        mine = [c for c in diff_schemas(schema, new) if c.path[:2] == ("columns", "x")]
        assert all(change.effect in ("looser", "other") for change in mine)


def test_numbers_of_rows_and_splits_together() -> None:
    dataset = DatasetSchema(min_examples=100, max_examples=2, min_examples_ratio=0.9)
    schema = Schema(columns={"x": ColumnSchema(type="int", max=3)}, dataset=dataset)
    data, baseline = made(train={"x": [5]}, eval={"x": [9, 1]}), made(train={"x": [1] * 99})
    found = validate_statistics(data, schema, splits=["train", "eval"], baseline=baseline)
    proposals = propose(schema, data, found)
    assert {(p.column, p.field, p.after) for p in proposals} == {
        ("", "min_examples", 3),
        ("", "max_examples", 3),
        ("", "min_examples_ratio", None),
        ("x", "max", 9),
    }
    (column,) = (p for p in proposals if p.column)
    assert "in train: the largest value is 5" in column.because
    assert "in eval: the largest value is 9" in column.because


def test_thresholds_that_would_have_let_it_pass() -> None:
    columns = {"x": ColumnSchema(type="string", drift=Comparator(linf=0.1), skew=Comparator(psi=0.1))}
    schema = Schema(columns=columns)
    now, before = made(train={"x": ["a"] * 9 + ["b"]}), made(train={"x": ["a"] * 5 + ["b"] * 5})
    found = validate_statistics(now, schema, splits=["train"], baseline=before, serving=before)
    linf, psi = propose_thresholds(schema, found)
    assert (linf.field, linf.before, linf.after) == ("drift.linf", 0.1, 0.4)
    assert psi.field == "skew.psi"
    new = accept(schema, read_review(review_text(schema, [linf, psi]), "r", schema), "r", rest=True)
    assert validate_statistics(now, new, splits=["train"], baseline=before, serving=before).errors == ()


def test_nothing_is_taken_over_in_silence() -> None:
    schema = Schema(columns={"x": ColumnSchema(type="int", max=3)})
    data = made(train={"x": [5]})
    text = review_text(schema, propose(schema, data, validate_statistics(data, schema, splits=["train"])))
    assert "because: 'INT_TYPE_BIG_INT in train: the largest value is 5, at most 3 expected'" in text
    decisions = read_review(text, "review.yaml", schema)
    with pytest.raises(DataError, match=r"nobody has decided about x\.max") as caught:
        accept(schema, decisions, "review.yaml")
    assert caught.value.where == "review.yaml:6"
    assert accept(schema, decisions, "review.yaml", rest=False) == schema
    edited = text.replace("accept: undecided", "accept: yes").replace("after: 5", "after: 50")
    assert accept(schema, read_review(edited, "r", schema), "r").columns["x"].max == 50
    broken = edited.replace("after: 50", "after: many")
    with pytest.raises(DataError, match=r"columns.x.max is 'many'"):
        accept(schema, read_review(broken, "r", schema), "r")
    with pytest.raises(DataError, match="another schema") as caught:
        read_review(text, "review.yaml", Schema(columns={}))
    assert "make the review again" in caught.value.hint
    for wrong, says in (
        ("format: x", "not a review"),
        (text.replace("accept: und", "accept: perh"), "yes or no"),
        (text.replace("  after: 5\n", ""), "is missing"),
        ("[1", "not readable as YAML"),
    ):
        with pytest.raises(DataError, match=says):
            read_review(wrong, "review.yaml", schema)


def test_a_diff_says_what_lets_more_pass() -> None:
    old = Schema(
        columns={
            "a": ColumnSchema(type="int", min=0, max=9),
            "b": ColumnSchema(type="string", domain=("x", "y")),
            "c": ColumnSchema(type="float", drift=Comparator(ks=0.1)),
            "gone": ColumnSchema(type="any"),
        }
    )
    new = Schema(
        columns={
            "a": ColumnSchema(type="int", min=1, max=99),
            "b": ColumnSchema(type="string", domain=("x", "y", "z")),
            "c": ColumnSchema(type="float", drift=Comparator(ks=0.2, jsd=0.1), allow_nan=True),
        },
        version=2,
    )
    found = {str(change): change.effect for change in diff_schemas(old, new)}
    assert found == {
        "~ version: 1 -> 2": "other",
        "~ columns.a.min: 0 -> 1": "stricter",
        "~ columns.a.max: 9 -> 99": "looser",
        "~ columns.b.domain: +['z']": "looser",
        "+ columns.c.allow_nan: True": "looser",
        "~ columns.c.drift.ks: 0.1 -> 0.2": "looser",
        "+ columns.c.drift.jsd: 0.1": "stricter",
        "- columns.gone: {type: 'any'}": "looser",
    }
    assert diff_schemas(old, old) == []


MINE = """\
# Ours.
format: tidemill.schema/1
columns:
  # dollars, tips not included
  fare:
    type: float
    max: 100  # nobody pays more
  # how it was paid
  kind: {type: string, domain: [a, b]}

# the end
"""


def test_comments_stay_where_nothing_changed() -> None:
    old = read_schema_text(MINE, "mine.yaml")
    fare = ColumnSchema(type="float", max=120)
    new = Schema(columns={**old.columns, "fare": fare, "new": ColumnSchema(type="int")}, version=2)
    text = patched_text(MINE, new, "mine.yaml")
    assert read_schema_text(text, "mine.yaml") == new
    for kept in ("# Ours.", "# dollars, tips not included", "# how it was paid", "# the end",
                 "  kind: {type: string, domain: [a, b]}"):  # fmt: skip
        assert kept in text
    assert "nobody pays more" not in text
    assert "format: tidemill.schema/2\nversion: 2\n" in text or "version: 2" in text
    braces = "{format: tidemill.schema/1, columns: {a: {type: int}}}\n"
    more = Schema(columns={"a": ColumnSchema(type="int", max=3)})
    assert read_schema_text(patched_text(braces, more, "b"), "b") == more


# -- the command


def call(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(command, [str(a) for a in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_statistics(tmp_path, made(train={"fare": [1.0, 200.0], "kind": ["a", "c"]}))
    return tmp_path


def test_from_statistics_to_an_accepted_schema(folder: Path) -> None:
    mine, review = folder / "mine.yaml", folder / "review.yaml"
    mine.write_text(MINE)
    code, out = call("validate", folder, mine, "--propose", review)
    assert code == 1
    assert "FLOAT_TYPE_BIG_FLOAT in train/fare" in out
    assert "wrote 2 changes" in out
    with pytest.raises(TidemillError, match="nobody has decided"):
        call("accept", mine, review)
    review.write_text(review.read_text().replace("accept: undecided", "accept: yes", 1))
    code, out = call("accept", mine, review, "--rest", "no", "--dry-run")
    assert "~ columns.fare.max: 100 -> 200.0  (looser)" in out
    assert load_schema(mine).version == 1
    code, out = call("accept", mine, review, "--rest", "no")
    assert (code, load_schema(mine).columns["fare"].max, load_schema(mine).version) == (0, 200, 2)
    assert load_schema(mine).columns["kind"].domain == ("a", "b")
    assert "# how it was paid" in mine.read_text()
    assert call("validate", folder, mine)[0] == 1
    call("convert", mine, folder / "mine.pbtxt")
    with pytest.raises(TidemillError, match="this is TFX's schema"):
        call("accept", folder / "mine.pbtxt", review)
    with pytest.raises(TidemillError, match="another schema"):
        call("accept", mine, review, "--rest", "yes")


def test_infer_diff_and_convert(folder: Path) -> None:
    code, out = call("infer", folder)
    assert (code, read_schema_text(out, "out").columns["kind"].domain) == (0, ("a", "c"))
    first, second = folder / "first.yaml", folder / "second.yaml"
    assert call("infer", folder / "statistics.json", "-o", first, "--max-domain", 0)[0] == 0
    second.write_text(out)
    assert call("validate", folder, second)[1] == "the examples fit the schema\n"
    code, out = call("diff", first, second)
    assert (code, out) == (0, "+ columns.kind.domain: ['a', 'c']  (stricter)\n")
    assert call("diff", first, second, "--exit-code")[0] == 1
    assert '"effect": "stricter"' in call("diff", first, second, "--json")[1]
    assert call("diff", first, first)[1] == "the two say the same\n"
    assert call("convert", first, folder / "first.pbtxt")[0] == 0
    assert "the two say the same" in call("diff", first, folder / "first.pbtxt")[1]
    assert '"anomalies"' in call("validate", folder, second, "--json")[1]
    write_schema(folder, Schema(columns={"x\x1b[31m": ColumnSchema(type="int")}))
    assert "x\x1b[31m" not in call("diff", folder, first)[1]
    assert schema_text(load_schema(first)) == first.read_text()
