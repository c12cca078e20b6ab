"""A schema as TensorFlow Metadata's `schema.proto`, and back.

What `schema.proto` cannot say of ours (false-alarm rates, rules, severities ...) is put into the comment of
an annotation as JSON, read back from there, and named in the notes. What it can say and we cannot (sparse
features, images, tensor representations ...) is named in the notes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from tidemill.data.schema import BoolDomain, ColumnSchema, Schema
from tidemill.data.schema_file import plain_fields, plain_value
from tidemill.data.schema_reader import FORMAT, read_schema_text
from tidemill.data.tfmd.feature import feature_fields, handled
from tidemill.data.tfmd.files import proto_module
from tidemill.data.yaml_text import dump

MARK = "tidemill "
"""How a comment begins that is ours."""

INT64 = 2**63 - 1
FLOAT32 = 3.4e38
_TYPES = {"int": "INT", "float": "FLOAT", "string": "BYTES", "bool": "INT", "timestamp": "BYTES",
          "any": "TYPE_UNKNOWN"}  # fmt: skip
_RATIOS = {"min_examples_ratio": "min_fraction_threshold", "max_examples_ratio": "max_fraction_threshold"}
_ISO = "%Y-%m-%dT%H:%M:%S"
_TOP_FIELDS = ("feature", "default_environment", "annotation", "dataset_constraints", "string_domain")


def to_tfmd(schema: Schema) -> tuple[Any, list[str]]:
    """A `Schema` message, and a note on each thing that only its annotations say."""
    pb = proto_module("schema_pb2")
    message = pb.Schema(default_environment=list(schema.default_environments))
    notes: list[str] = []
    for name, column in schema.columns.items():
        feature = message.feature.add(name=name)
        _write_column(pb, feature, column)
        back = feature_fields(pb, feature, {}, [])
        want = plain_fields(column)
        rest = _differences(want, back)
        if rest:
            feature.annotation.comment.append(MARK + _json(rest))
            notes.append(f"columns.{name}: {', '.join(sorted(rest))} in an annotation only")
    _write_dataset(message, schema)
    own = _differences(_top_fields(schema), _read_dataset(message, []))
    if own:
        message.annotation.comment.append(MARK + _json(own))
        notes.append(f"the schema: {', '.join(sorted(own))} in an annotation only")
    return message, notes


def from_tfmd(message: Any, name: str = "schema.pbtxt") -> tuple[Schema, list[str]]:
    """Our schema, and a note on each thing that is lost.

    DataError, naming `name`, for a message that contradicts itself.
    """
    pb = proto_module("schema_pb2")
    notes: list[str] = []
    domains = {domain.name: domain for domain in message.string_domain}
    columns: dict[str, Any] = {}
    for feature in message.feature:
        if feature.name in columns or not feature.name:
            notes.append(f"feature {feature.name!r}: left out, as it has no name or one that is taken")
            continue
        lost: list[str] = []
        fields = feature_fields(pb, feature, domains, lost)
        lost += [
            f"feature {feature.name!r}: {field.name} has no counterpart"
            for field, _ in feature.ListFields()
            if field.name not in handled(feature)
        ]
        columns[feature.name] = _overlaid(fields, feature.annotation.comment)
        if columns[feature.name] == fields:  # what is ours comes back whole from its annotation
            notes += lost
    for field, _ in message.ListFields():
        if field.name not in _TOP_FIELDS:
            notes.append(f"the schema: {field.name} has no counterpart")
    top = _overlaid(_read_dataset(message, notes), message.annotation.comment)
    text = dump({"format": FORMAT, **top, "columns": columns})
    return read_schema_text(text, name), notes


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _differences(want: Mapping[str, Any], back: Mapping[str, Any]) -> dict[str, Any]:
    """What must be laid over `back` to get `want`; None takes a field away."""
    return {key: want.get(key) for key in (*want, *back) if want.get(key) != back.get(key)}


def _overlaid(fields: dict[str, Any], comments: Any) -> dict[str, Any]:
    for comment in comments:
        if not comment.startswith(MARK):
            continue
        try:
            own = json.loads(comment.removeprefix(MARK))
        except ValueError:
            continue  # somebody's own words that happen to begin as ours do
        if isinstance(own, dict):
            fields = {**fields, **own}
    return {key: value for key, value in fields.items() if value is not None}


def _top_fields(schema: Schema) -> dict[str, Any]:
    found: dict[str, Any] = {"dataset": plain_fields(schema.dataset, always=())}
    if schema.default_environments:
        found["default_environments"] = list(schema.default_environments)
    if schema.version != 1:
        found["version"] = schema.version
    if schema.severity:
        found["severity"] = plain_value(schema.severity)
    if schema.rules:
        found["rules"] = {name: plain_fields(rule) for name, rule in schema.rules.items()}
    return found


def _write_dataset(message: Any, schema: Schema) -> None:
    dataset = schema.dataset
    if dataset.min_examples:
        message.dataset_constraints.min_examples_count = min(dataset.min_examples, INT64)
    if dataset.max_examples is not None:
        message.dataset_constraints.max_examples_count = min(dataset.max_examples, INT64)
    for ours, theirs in _RATIOS.items():
        if (value := getattr(dataset, ours)) is not None:
            setattr(message.dataset_constraints.num_examples_drift_comparator, theirs, value)


def _read_dataset(message: Any, notes: list[str]) -> dict[str, Any]:
    constraints = message.dataset_constraints
    dataset: dict[str, Any] = {}
    least = constraints.min_examples_count if constraints.HasField("min_examples_count") else 0
    if least != 1:
        dataset["min_examples"] = least
    if constraints.HasField("max_examples_count"):
        dataset["max_examples"] = constraints.max_examples_count
    drift = constraints.num_examples_drift_comparator
    for ours, theirs in _RATIOS.items():
        if drift.HasField(theirs):
            dataset[ours] = getattr(drift, theirs)
    if constraints.HasField("num_examples_version_comparator"):
        notes.append("the schema: num_examples_version_comparator has no counterpart")
    found: dict[str, Any] = {"dataset": dataset}
    if message.default_environment:
        found["default_environments"] = list(dict.fromkeys(message.default_environment))
    return found


def _write_column(pb: Any, feature: Any, column: ColumnSchema) -> None:
    feature.type = pb.FeatureType.Value(_TYPES[column.type])
    feature.in_environment.extend(column.in_environment)
    feature.not_in_environment.extend(column.not_in_environment)
    if column.stage != "production":
        feature.lifecycle_stage = pb.LifecycleStage.Value(column.stage.upper())
    if column.required and (column.min_count or not column.min_fraction):  # either makes TFDV require it
        feature.presence.min_count = max(1, min(column.min_count, INT64))
    if column.min_fraction:
        feature.presence.min_fraction = column.min_fraction
    _write_shape(feature, column)
    _write_domain(feature, column)
    if column.min_domain_mass != 1.0:
        feature.distribution_constraints.min_domain_mass = column.min_domain_mass
    if column.min_unique is not None or column.max_unique is not None:
        feature.unique_constraints.min = min(column.min_unique or 0, INT64)
        # TFDV takes a maximum that is not given for 0
        feature.unique_constraints.max = INT64 if column.max_unique is None else min(column.max_unique, INT64)
    for comparator, target in ((column.drift, "drift_comparator"), (column.skew, "skew_comparator")):
        for measure, field in COMPARATOR_FIELDS.items():
            bound = getattr(comparator, measure, None)
            if isinstance(bound, (int, float)):
                getattr(getattr(feature, target), field).threshold = bound


COMPARATOR_FIELDS = {
    "linf": "infinity_norm", "jsd": "jensen_shannon_divergence", "nad": "normalized_abs_difference",
}  # fmt: skip


def _write_shape(feature: Any, column: ColumnSchema) -> None:
    if column.shape is not None:
        for size in column.shape:
            feature.shape.dim.add(size=min(size, INT64))
        return
    if not column.nesting:
        feature.value_count.min = feature.value_count.max = 1
        return
    if column.nesting == 1:
        feature.value_count.SetInParent()
        outer = feature.value_count
    else:
        levels = [feature.value_counts.value_count.add() for _ in range(min(column.nesting, 64))]
        outer = levels[0]
    if column.min_values is not None:
        outer.min = min(column.min_values, INT64)
    if column.max_values is not None:
        outer.max = min(column.max_values, INT64)


def _write_domain(feature: Any, column: ColumnSchema) -> None:
    if column.type == "bool":
        feature.bool_domain.SetInParent()
    elif column.bool_domain is not None:
        _write_bool(feature, column.bool_domain)
    elif column.type == "int":
        if isinstance(column.min, (int, float)) and abs(column.min) < INT64:
            feature.int_domain.min = math.ceil(column.min)
        if isinstance(column.max, (int, float)) and abs(column.max) < INT64:
            feature.int_domain.max = math.floor(column.max)
    elif column.type == "float":
        feature.float_domain.disallow_nan = not column.allow_nan
        feature.float_domain.disallow_inf = not column.allow_infinite
        for end in ("min", "max"):
            bound = getattr(column, end)
            if isinstance(bound, (int, float)) and abs(bound) <= FLOAT32:
                setattr(feature.float_domain, end, bound)
    elif column.domain is not None:
        feature.string_domain.name = feature.name
        feature.string_domain.value.extend(column.domain)
    elif column.text_of == "int":
        feature.int_domain.SetInParent()
    elif column.text_of == "float":
        feature.float_domain.SetInParent()
    elif column.type == "timestamp":
        feature.time_domain.string_format = _ISO


def _write_bool(feature: Any, domain: BoolDomain) -> None:
    feature.bool_domain.SetInParent()
    if domain.true_value is not None:
        feature.bool_domain.true_value = domain.true_value
    if domain.false_value is not None:
        feature.bool_domain.false_value = domain.false_value
