"""A schema as a YAML file that people read, edit and compare: `schema.yaml`.

Written in one order, columns by name, and only what differs from the default, so that a difference
between two files is a difference between two schemas. Read strictly: a word that is not known is an
error with its line. Nothing here judges data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tidemill.data.schema import (
    BoolDomain,
    ColumnSchema,
    Comparator,
    DatasetSchema,
    FalseAlarm,
    Rule,
    Schema,
)
from tidemill.data.schema_reader import FORMAT, read_schema_text
from tidemill.data.yaml_text import dump
from tidemill.errors import DataError

FILE = "schema.yaml"

_HEAD = """\
# What the examples must look like. Edit it, keep it with your code, and load it with ImportSchemaGen.
"""


def write_schema(folder: Path, schema: Schema) -> None:
    """Write the file of an artifact; equal schemas give equal bytes."""
    (folder / FILE).write_text(schema_text(schema), encoding="utf-8")


def schema_text(schema: Schema) -> str:
    """What `write_schema` writes."""
    return _HEAD + dump(plain_schema(schema))


def plain_schema(schema: Schema) -> dict[str, Any]:
    """The file's content as plain values, in the file's order."""
    value: dict[str, Any] = {"format": FORMAT}
    if schema.version != 1:
        value["version"] = schema.version
    if schema.default_environments:
        value["default_environments"] = list(schema.default_environments)
    value["dataset"] = plain_fields(schema.dataset, always=("min_examples",))
    if schema.severity:
        value["severity"] = dict(sorted(schema.severity.items()))
    if schema.rules:
        value["rules"] = {name: plain_fields(schema.rules[name]) for name in sorted(schema.rules)}
    value["columns"] = {name: plain_fields(schema.columns[name]) for name in sorted(schema.columns)}
    return value


def read_schema(folder: Path) -> Schema:
    """Read the file of an artifact; errors as `load_schema`."""
    return load_schema(folder / FILE)


def load_schema(path: Path) -> Schema:
    """Read the file. DataError with file, line and key for anything that is not a schema."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError("the schema file does not exist", where=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the schema file: {error}", where=str(path)) from error
    return read_schema_text(text, str(path))


def plain_fields(
    value: ColumnSchema | DatasetSchema | Comparator | Rule | BoolDomain, always: Sequence[str] = ("type",)
) -> dict[str, Any]:
    """Fields that differ from their default, in order of declaration, as plain values."""
    found: dict[str, Any] = {}
    for f in dataclasses.fields(value):
        content = getattr(value, f.name)
        default = {} if f.default is dataclasses.MISSING else f.default
        if f.name in always or content != default:
            found[f.name] = plain_value(content)
    return found


def plain_value(value: Any) -> Any:
    """A value of a field as it stands in the file."""
    if isinstance(value, FalseAlarm):
        return {"false_alarm": value.rate}
    if isinstance(value, (Comparator, BoolDomain, ColumnSchema, Rule)):
        return plain_fields(value)
    if isinstance(value, Mapping):
        return dict(sorted(value.items()))
    return list(value) if isinstance(value, tuple) else value
