"""Schemas of every kind come back from every form: our file, TensorFlow Metadata, a changed file."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from google.protobuf import text_format
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from tensorflow_metadata.proto.v0 import schema_pb2

from tidemill.data.schema import (
    STAGES,
    BoolDomain,
    ColumnSchema,
    Comparator,
    DatasetSchema,
    FalseAlarm,
    Rule,
    Schema,
)
from tidemill.data.schema_diff import diff_schemas
from tidemill.data.schema_fields import check_schema
from tidemill.data.schema_file import schema_text
from tidemill.data.schema_patch import patched_text
from tidemill.data.schema_reader import read_schema_text
from tidemill.data.tfmd.schema import from_tfmd, to_tfmd
from tidemill.data.yaml_text import dump, scalar

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
shares = st.floats(0, 1)
numbers = st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 10**20)
environments = st.sampled_from(["TRAINING", "SERVING", "no"])
QUICK = [Phase.explicit, Phase.generate]
"""A schema has so many parts that making one smaller takes minutes."""
MOMENTS = ["2023-12-31", "2024-01-01T00:00:00", "2024-06-01T12:00:00+02:00"]


def thresholds(most: float = 1.0) -> st.SearchStrategy[Any]:
    """None, a distance, or a rate."""
    rates = st.floats(1e-6, 0.5).map(lambda rate: FalseAlarm(rate=rate))
    return st.none() | st.floats(0, most) | rates


def comparators(column: ColumnSchema) -> st.SearchStrategy[Comparator | None]:
    """Comparators that a column of that type may have."""
    kinds = {m: thresholds() for m in column.measures if m != "nad"}
    if "nad" in column.measures:
        kinds["nad"] = st.none() | shares
    return st.none() | st.builds(Comparator, **kinds)


@st.composite
def columns(draw: st.DrawFn) -> ColumnSchema:
    """One column, with fields that go together."""
    kind = draw(st.sampled_from(["int", "float", "string", "bool", "timestamp", "any"]))
    place = draw(st.sampled_from(["in_environment", "not_in_environment"]))
    fields: dict[str, Any] = {
        "required": draw(st.booleans()), "min_fraction": draw(shares), "min_count": draw(counts),
        "stage": draw(st.sampled_from(STAGES)), "nesting": draw(st.integers(0, 3)),
        place: draw(st.lists(environments, unique=True).map(tuple)),
        "severity": draw(st.dictionaries(st.just("SCHEMA_MISSING_COLUMN"), st.just("warning"))),
    }  # fmt: skip
    if kind in ("int", "float"):
        fields |= dict(zip(("min", "max"), sorted([draw(numbers), draw(numbers)]), strict=True))
        fields["bool_domain"] = draw(st.none() | st.just(BoolDomain()))
    if kind == "float":
        fields |= {"allow_nan": draw(st.booleans()), "allow_infinite": draw(st.booleans())}
    if kind == "timestamp":
        fields |= dict(
            zip(("min", "max"), sorted([draw(st.sampled_from(MOMENTS)) for _ in "ab"]), strict=True)
        )
    if kind == "string":
        fields |= {
            "min_domain_mass": draw(shares), "text_of": draw(st.sampled_from([None, "int", "float"])),
        }  # fmt: skip
        fields |= draw(
            st.builds(lambda values: {"domain": tuple(values)}, st.lists(texts, min_size=1, unique=True))
            | st.just({"bool_domain": BoolDomain(true_value="no", false_value="")})
            | st.just({})
        )
    if kind in ("string", "int", "bool", "any"):
        fields |= dict(zip(("min_unique", "max_unique"), sorted([draw(counts), draw(counts)]), strict=True))
    if fields["nesting"]:
        fields |= dict(zip(("min_values", "max_values"), sorted([draw(counts), draw(counts)]), strict=True))
        sizes = st.lists(st.integers(1, 9), min_size=fields["nesting"], max_size=fields["nesting"]).map(tuple)
        fields["shape"] = draw(st.none() | sizes)
    column = ColumnSchema(type=kind, **fields)
    if kind != "any":
        both = {name: draw(comparators(column)) for name in ("drift", "skew")}
        column = ColumnSchema(type=kind, **fields, **both)
    return column


schemas = st.builds(
    Schema,
    columns=st.dictionaries(texts.filter(bool), columns(), max_size=3),
    version=st.integers(1, 9),
    default_environments=st.lists(environments, unique=True).map(tuple),
    dataset=st.builds(
        DatasetSchema,
        min_examples=st.integers(0, 9),
        max_examples=st.none() | counts,
        min_examples_ratio=st.none() | st.floats(0, 9),
        max_examples_ratio=st.none() | st.just(2.5),
    ),
    severity=st.dictionaries(
        st.sampled_from(["SCHEMA_NEW_COLUMN", "FLOAT_TYPE_HAS_NAN"]), st.just("warning")
    ),
    rules=st.dictionaries(
        texts,
        st.builds(
            Rule,
            expect=st.just("rows > 3"),
            description=texts,
            severity=st.just("warning"),
            environments=st.lists(environments, unique=True).map(tuple),
        ),
        max_size=2,
    ),
)


@settings(max_examples=30, deadline=None, phases=QUICK)
@given(schemas)
def test_any_schema_comes_back_from_its_file(schema: Schema) -> None:
    check_schema(schema)
    text = schema_text(schema)
    assert read_schema_text(text, "schema.yaml") == schema
    assert diff_schemas(schema, read_schema_text(text, "schema.yaml")) == []


@settings(max_examples=30, deadline=None, phases=QUICK)
@given(schemas)
def test_any_schema_comes_back_from_tensorflow_metadata(schema: Schema) -> None:
    message, _ = to_tfmd(schema)
    as_text = text_format.MessageToString(message, as_utf8=True)
    again = text_format.Parse(as_text, schema_pb2.Schema())
    back, notes = from_tfmd(again)
    assert back == schema
    assert notes == []


@settings(max_examples=25, deadline=None, phases=QUICK)
@given(schemas, schemas)
def test_a_changed_file_says_what_it_must(old: Schema, new: Schema) -> None:
    text = schema_text(old)
    assert read_schema_text(patched_text(text, new, "schema.yaml"), "schema.yaml") == new
    assert (diff_schemas(old, new) == []) == (old == new)


@settings(max_examples=100)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
        st.text(st.characters(exclude_categories=["Cs"]))
        | st.booleans()
        | st.none()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.lists(texts, min_size=1),
        min_size=1,
    )
)
@example(
    {"a": ["~", "null", "1e5", "0x1F", "1:30", "=", "<<", "-", "? ", "a: b", "a #b", "'", '"', "\u2028", "é"]}
)
@example({"a": 1e22, "b": 5e-324, "c": -0.0, "d": 1e16})
def test_what_is_written_is_yaml(value: dict[str, Any]) -> None:
    assert yaml.safe_load(dump(value)) == value


def test_only_plain_values_are_written() -> None:
    with pytest.raises(TypeError, match="bytes"):
        scalar(b"x")


# -- schemas of TFX's users


FEATURE = schema_pb2.Feature


@st.composite
def features(draw: st.DrawFn, name: str) -> Any:
    """A feature as `infer_schema` of TFDV and people write them."""
    kind = draw(st.sampled_from(["INT", "FLOAT", "BYTES"]))
    feature = FEATURE(name=name, type=schema_pb2.FeatureType.Value(kind))
    feature.presence.min_count = draw(st.integers(1, 100))
    if draw(st.booleans()):
        feature.presence.min_fraction = draw(st.floats(0.01, 1))
    least = draw(st.integers(0, 3))
    feature.value_count.min, feature.value_count.max = least, least + draw(st.integers(0, 3))
    if kind == "INT" and draw(st.booleans()):
        feature.int_domain.min = draw(st.integers(-(2**40), 0))
        feature.int_domain.max = draw(st.integers(0, 2**40))
    if kind == "FLOAT":
        feature.float_domain.min = draw(st.floats(-100, 0, width=32))
        feature.float_domain.disallow_nan = draw(st.booleans())
        feature.float_domain.disallow_inf = draw(st.booleans())
    if kind == "BYTES" and draw(st.booleans()):
        feature.string_domain.value.extend(draw(st.lists(texts, min_size=1, unique=True)))
        feature.distribution_constraints.min_domain_mass = draw(st.floats(0.5, 0.99))
        feature.drift_comparator.infinity_norm.threshold = draw(shares)
    feature.skew_comparator.jensen_shannon_divergence.threshold = draw(shares)
    if draw(st.booleans()):
        feature.not_in_environment.append("SERVING")
    return feature


@settings(max_examples=25, deadline=None, phases=QUICK)
@given(st.tuples(features("a"), features("b")))
def test_what_both_can_say_survives_the_way_through_ours(pair: tuple[Any, Any]) -> None:
    given_schema = schema_pb2.Schema(feature=pair, default_environment=["TRAINING", "SERVING"])
    ours, notes = from_tfmd(given_schema)
    assert notes == []
    back, _ = to_tfmd(ours)
    for theirs, again in zip(given_schema.feature, back.feature, strict=True):
        again.ClearField("annotation")
        again.string_domain.ClearField("name") if again.HasField("string_domain") else None
        if theirs.type == schema_pb2.FLOAT and not theirs.float_domain.disallow_nan:
            assert not again.float_domain.disallow_nan
        for message in (theirs, again):
            if message.HasField("float_domain"):
                for flag in ("disallow_nan", "disallow_inf"):
                    setattr(message.float_domain, flag, getattr(message.float_domain, flag))
        assert again == theirs


def test_what_ours_cannot_say_is_noted() -> None:
    message = schema_pb2.Schema()
    text_format.Parse(
        """
        feature { name: "image" type: BYTES image_domain {} presence { min_count: 1 } }
        feature { name: "nested" type: STRUCT struct_domain {} }
        feature { name: "kind" type: BYTES domain: "kinds" }
        feature { name: "gone" type: INT deprecated: true int_domain { is_categorical: true } }
        feature { name: "far" type: FLOAT drift_comparator { infinity_norm { threshold: 0.1 } } }
        feature { name: "far" type: INT }
        feature { name: "lost" type: BYTES domain: "nowhere" }
        feature { name: "text" type: BYTES int_domain { min: 3 } }
        sparse_feature { name: "s" }
        string_domain { name: "kinds" value: "a" value: "b" }
        dataset_constraints { num_examples_version_comparator { min_fraction_threshold: 0.5 } }
        tensor_representation_group { key: "" value {} }
        """,
        message,
    )
    schema, notes = from_tfmd(message)
    assert schema.columns["kind"] == ColumnSchema(type="string", required=False, domain=("a", "b"))
    assert schema.columns["gone"].stage == "deprecated"
    assert schema.columns["nested"].type == "any"
    assert schema.columns["text"].text_of == "int"
    assert not schema.columns["far"].required
    told = "\n".join(notes)
    for word in (
        "image_domain", "struct_domain", "is_categorical", "infinity_norm", "one that is taken", "'nowhere'",
        "bounds of numbers in texts", "sparse_feature", "num_examples_version_comparator",
        "tensor_representation_group",
    ):  # fmt: skip
        assert word in told, word
    assert len(notes) == 10


def test_what_tensorflow_metadata_cannot_say_is_noted_and_kept() -> None:
    drift = Comparator(linf=0.1, psi=FalseAlarm(rate=0.01))
    schema = Schema(
        columns={"x": ColumnSchema(type="string", drift=drift)}, rules={"r": Rule(expect="rows > 3")}
    )
    message, notes = to_tfmd(schema)
    assert notes == [
        "columns.x: drift, min_count in an annotation only",
        "the schema: rules in an annotation only",
    ]
    assert message.feature[0].drift_comparator.infinity_norm.threshold == 0.1
    own = json.loads(message.feature[0].annotation.comment[0].removeprefix("tidemill "))
    assert own["drift"] == {"linf": 0.1, "psi": {"false_alarm": 0.01}}
    message.feature[0].annotation.comment[0] = "tidemill is what we use"  # somebody's own words
    back, _ = from_tfmd(message)
    assert back.columns["x"].drift == Comparator(linf=0.1)
