"""A schema as a YAML file that people read, edit and compare: `schema.yaml`.

Written in one order, columns by name, and only what differs from the default, so that a difference
between two files is a difference between two schemas. Read strictly: a word that is not known is an
error with its line. Nothing here judges data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

import yaml

from tidemill.data.anomalies import ANOMALIES
from tidemill.data.schema import SCHEMA_KINDS, ColumnSchema, DatasetSchema, Drift, Schema, Severity
from tidemill.errors import DataError, did_you_mean

FILE = "schema.yaml"
FORMAT = "tidemill.schema/1"

_HEAD = """\
# What the examples must look like. Edit it, keep it with your code, and load it with ImportSchemaGen.
"""

Key = tuple[str, ...]


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML would fold: line and paragraph separators in names and values."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None if value.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def write_schema(folder: Path, schema: Schema) -> None:
    """Write the file of an artifact; equal schemas give equal bytes."""
    value: dict[str, Any] = {"format": FORMAT, "dataset": _fields(schema.dataset, always=("min_examples",))}
    if schema.severity:
        value["severity"] = dict(sorted(schema.severity.items()))
    value["columns"] = {name: _fields(schema.columns[name]) for name in sorted(schema.columns)}
    text = yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=100,
    )
    (folder / FILE).write_text(_HEAD + text, encoding="utf-8")


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
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        what = getattr(error, "problem", None) or str(error)
        raise DataError(f"not readable as YAML: {what}", where=f"{path}{line}") from error
    return _Reader(path).schema(node)


def _fields(value: ColumnSchema | DatasetSchema | Drift, always: Sequence[str] = ("type",)) -> dict[str, Any]:
    """Fields that differ from their default, in order of declaration."""
    found: dict[str, Any] = {}
    for f in dataclasses.fields(value):
        content = getattr(value, f.name)
        if f.name in always or content != f.default:
            if isinstance(content, Drift):
                content = _fields(content)
            found[f.name] = list(content) if isinstance(content, tuple) else content
    return found


class _Reader:
    """Turns YAML nodes into a schema; nodes, not values, because they know their lines."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def schema(self, node: yaml.Node | None) -> Schema:
        if node is None:
            raise DataError("the schema file is empty", where=str(self.path))
        top = self.mapping(node, (), ("format", "dataset", "severity", "columns"))
        if "format" not in top or self.scalar(top["format"], ("format",)) != FORMAT:
            at = top.get("format", node)
            self.fail(at, ("format",), "not a schema this version can read", f"write format: {FORMAT}")
        if "columns" not in top:
            self.fail(node, ("columns",), "is missing", "list the columns under `columns:`")
        columns = self.mapping(top["columns"], ("columns",))
        dataset = self.record(DatasetSchema, top["dataset"], ("dataset",)) if "dataset" in top else {}
        return Schema(
            columns={name: self.column(n, ("columns", name)) for name, n in columns.items()},
            dataset=DatasetSchema(**dataset),
            severity=self.severity(top["severity"]) if "severity" in top else {},
        )

    def column(self, node: yaml.Node, key: Key) -> ColumnSchema:
        fields = self.record(ColumnSchema, node, key)
        if "type" not in fields:
            self.fail(node, key, "has no type", f"add type: one of {', '.join(SCHEMA_KINDS)}")
        column = ColumnSchema(**fields)
        for name, kinds in _ONLY_FOR.items():
            if name in fields and column.type not in kinds:
                self.fail(
                    node, (*key, name), f"is not for {column.type} columns", f"it is for {', '.join(kinds)}"
                )
        if column.drift and column.drift.linf is not None and column.type not in ("string", "bool"):
            self.fail(node, (*key, "drift", "linf"), f"is not for {column.type} columns", "use jsd")
        if column.min is not None and column.max is not None and column.min > column.max:
            self.fail(node, (*key, "max"), f"is {column.max}, below min, which is {column.min}")
        return column

    def record(self, cls: type, node: yaml.Node, key: Key) -> dict[str, Any]:
        """The given fields of a dataclass, checked by name and value."""
        known = [f.name for f in dataclasses.fields(cls)]
        found = {}
        for name, child in self.mapping(node, key, known).items():
            found[name] = self.field(name, child, (*key, name))
        return found

    def field(self, name: str, node: yaml.Node, key: Key) -> Any:
        if name == "drift":
            return Drift(**self.record(Drift, node, key))
        if name == "domain":
            return self.domain(node, key)
        value = self.scalar(node, key)
        check, expected = _CHECKS[name]
        if not check(value):
            hint = "YAML reads this as text; write the number plainly, as in 0.00001"
            if name == "type" or not isinstance(value, str):
                hint = did_you_mean(str(value), SCHEMA_KINDS) if name == "type" else ""
            self.fail(node, key, f"is {value!r}, expected {expected}", hint)
        return value

    def domain(self, node: yaml.Node, key: Key) -> tuple[str, ...]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self.fail(node, key, "must be a list of texts")
        values = []
        for item in node.value:
            value = self.scalar(item, key)
            if not isinstance(value, str):
                self.fail(
                    item,
                    key,
                    f"has {item.value}, which YAML reads as {_yaml_type(value)}",
                    "put it in quotes",
                )
            if value in values:
                self.fail(item, key, f"lists {value!r} twice")
            values.append(value)
        return tuple(values)

    def severity(self, node: yaml.Node) -> dict[str, Severity]:
        found: dict[str, Severity] = {}
        for name, child in self.mapping(node, ("severity",), sorted(ANOMALIES), whole_names=True).items():
            value = self.scalar(child, ("severity", name))
            if value not in ("error", "warning"):
                self.fail(child, ("severity", name), f"is {value!r}, expected error or warning")
            found[name] = cast("Severity", value)
        return found

    def mapping(
        self, node: yaml.Node, key: Key, known: Sequence[str] | None = None, whole_names: bool = False
    ) -> dict[str, yaml.Node]:
        """Children by name; each name once, and known."""
        if not isinstance(node, yaml.MappingNode):
            self.fail(node, key, "must be a mapping (name: value)")
        found: dict[str, yaml.Node] = {}
        for name_node, child in node.value:
            name = name_node.value if isinstance(name_node, yaml.ScalarNode) else ""
            if name in found:
                self.fail(name_node, (*key, name), "is given twice")
            if known is not None and name not in known:
                kind = "is no anomaly" if whole_names else "is not known here"
                self.fail(name_node, (*key, name), kind, did_you_mean(name, known))
            found[name] = child
        return found

    def scalar(self, node: yaml.Node, key: Key) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            self.fail(node, key, "must be one value")
        try:
            return yaml.SafeLoader("").construct_object(node, deep=True)
        except (ValueError, yaml.YAMLError) as error:
            self.fail(node, key, f"is {node.value!r}: {error}")

    def fail(self, node: yaml.Node, key: Key, what: str, hint: str = "") -> NoReturn:
        line = node.start_mark.line + 1
        subject = ".".join(key) or "the schema"
        raise DataError(f"{subject} {what}", where=f"{self.path}:{line}", hint=hint)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value - value == 0


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


_SHARE = (_is_share, "a number from 0 to 1")
_CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "type": (lambda value: value in SCHEMA_KINDS, f"one of {', '.join(SCHEMA_KINDS)}"),
    "required": (_is_bool, "true or false"),
    "allow_nan": (_is_bool, "true or false"),
    "allow_infinite": (_is_bool, "true or false"),
    "min_fraction": _SHARE,
    "min_domain_mass": _SHARE,
    "linf": _SHARE,
    "jsd": _SHARE,
    "min": (_is_number, "a finite number"),
    "max": (_is_number, "a finite number"),
    "min_examples": (_is_count, "a whole number from 0"),
    "max_examples": (_is_count, "a whole number from 0"),
    "min_examples_ratio": (lambda value: _is_number(value) and value >= 0, "a number from 0"),
    "max_examples_ratio": (lambda value: _is_number(value) and value >= 0, "a number from 0"),
}
_ONLY_FOR: Mapping[str, tuple[str, ...]] = {
    "min": ("int", "float"),
    "max": ("int", "float"),
    "allow_nan": ("float",),
    "allow_infinite": ("float",),
    "domain": ("string",),
    "min_domain_mass": ("string",),
    "drift": ("int", "float", "string", "bool"),
}


def _yaml_type(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__
