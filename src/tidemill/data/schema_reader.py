"""Turning the text of a schema file into a schema, with the line of every mistake.

Works on YAML nodes, not values, because nodes know their lines. What fields there are, and what may
stand in them, is in `schema_fields`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, cast

import yaml

from tidemill.data.anomalies import ANOMALIES
from tidemill.data.rules import check_rule
from tidemill.data.schema import (
    SCHEMA_KINDS,
    STAGES,
    BoolDomain,
    ColumnSchema,
    Comparator,
    DatasetSchema,
    FalseAlarm,
    Rule,
    Schema,
    Severity,
    Threshold,
)
from tidemill.data.schema_fields import CHECKS, LISTS, TEXT_FIELDS, wrong_field, wrong_together
from tidemill.errors import DataError, did_you_mean

FORMAT = "tidemill.schema/2"
READABLE = ("tidemill.schema/1", FORMAT)
"""What a file of the first format says means the same in the second."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TOP = ("format", "version", "default_environments", "dataset", "severity", "rules", "columns")
Key = tuple[str, ...]


def read_schema_text(text: str, name: str) -> Schema:
    """The schema in `text`; `name` is said in errors. DataError for anything that is not one."""
    return SchemaReader(name).schema(compose(text, name, "the schema file"))


def compose(text: str, name: str, what: str) -> yaml.Node:
    """YAML nodes of a text. DataError with the line when it is not YAML, or empty."""
    try:
        node = yaml.compose(text, Loader=_LOADER)
    except (yaml.YAMLError, ValueError) as error:
        found = _slow_error(text) or error  # the C library names other lines
        mark = getattr(found, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        why = getattr(found, "problem", None) or str(found)
        raise DataError(f"not readable as YAML: {why}", where=f"{name}{line}") from error
    except RecursionError as error:
        raise DataError("not readable as YAML: nested too deeply", where=name) from error
    if node is None:
        raise DataError(f"{what} is empty", where=name)
    assert isinstance(node, yaml.Node)
    return node


def _slow_error(text: str) -> Exception | None:
    try:
        yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError) as error:
        return error
    except RecursionError:
        pass
    return None


class SchemaReader:
    """Turns nodes into a schema. `name` is the file, for errors."""

    def __init__(self, name: str) -> None:
        self.name = name

    def schema(self, node: yaml.Node) -> Schema:
        """The whole file."""
        top = self.mapping(node, (), _TOP)
        if "format" not in top or self.scalar(top["format"], ("format",)) not in READABLE:
            at = top.get("format", node)
            self.fail(at, ("format",), "not a schema this version can read", f"write format: {FORMAT}")
        if "columns" not in top:
            self.fail(node, ("columns",), "is missing", "list the columns under `columns:`")
        columns = self.mapping(top["columns"], ("columns",))
        dataset = self.record(DatasetSchema, top["dataset"], ("dataset",)) if "dataset" in top else {}
        environments = top.get("default_environments")
        rules = self.mapping(top["rules"], ("rules",)) if "rules" in top else {}
        read = {name: self.column(n, ("columns", name)) for name, n in columns.items()}
        return Schema(
            columns=read,
            version=self.field("version", top["version"], ("version",)) if "version" in top else 1,
            default_environments=self.texts(environments, ("default_environments",)) if environments else (),
            dataset=DatasetSchema(**dataset),
            severity=self.severity(top["severity"], ("severity",)) if "severity" in top else {},
            rules={name: self.rule(n, ("rules", name), read) for name, n in rules.items()},
        )

    def column(self, node: yaml.Node, key: Key) -> ColumnSchema:
        """One column; its fields must go together."""
        fields = self.record(ColumnSchema, node, key)
        if "type" not in fields:
            self.fail(node, key, "has no type", f"add type: one of {', '.join(SCHEMA_KINDS)}")
        column = ColumnSchema(**fields)
        for name in fields:
            if found := wrong_field(column, name):
                self.fail(node, (*key, *found.key), found.what, found.hint)
        if found := wrong_together(column):
            self.fail(node, (*key, *found.key), found.what, found.hint)
        return column

    def rule(self, node: yaml.Node, key: Key, columns: Mapping[str, ColumnSchema]) -> Rule:
        """One rule; it must be something that can be worked out."""
        fields = self.record(Rule, node, key)
        if "expect" not in fields:
            self.fail(node, key, "says nothing", "add expect: what must hold, as in `missing == 0`")
        rule = Rule(**fields)
        if rule.column is not None and rule.column not in columns:
            self.fail(node, (*key, "column"), "is not in the schema", did_you_mean(rule.column, columns))
        try:
            check_rule(rule)
        except DataError as error:
            self.fail(node, (*key, "expect"), error.message, error.hint)
        return rule

    def record(self, cls: type, node: yaml.Node, key: Key) -> dict[str, Any]:
        """The given fields of a dataclass, checked by name and value."""
        known = [f.name for f in dataclasses.fields(cls)]
        found = {}
        for name, child in self.mapping(node, key, known).items():
            found[name] = self.field(name, child, (*key, name))
        return found

    def field(self, name: str, node: yaml.Node, key: Key) -> Any:
        """One field by its name, which says what it may be."""
        if name in ("drift", "skew"):
            known = [f.name for f in dataclasses.fields(Comparator)]
            children = self.mapping(node, key, known)
            return Comparator(**{n: self.threshold(c, (*key, n)) for n, c in children.items()})
        if name == "bool_domain":
            return BoolDomain(**self.record(BoolDomain, node, key))
        if name == "severity" and isinstance(node, yaml.MappingNode):
            return self.severity(node, key)
        if name in LISTS:
            return self.texts(node, key) if name in TEXT_FIELDS else self.counts(node, key)
        value = self.scalar(node, key)
        check, expected = CHECKS[name]
        if not check(value):
            hint = "YAML reads this as text; write the number plainly, as in 0.00001"
            if name == "type":
                hint = did_you_mean(str(value), SCHEMA_KINDS)
            elif name == "stage":
                hint = did_you_mean(str(value), STAGES)
            elif not isinstance(value, str) or name in TEXT_FIELDS:
                hint = ""
            self.fail(node, key, f"is {value!r}, expected {expected}", hint)
        return value

    def threshold(self, node: yaml.Node, key: Key) -> Threshold:
        """A distance, or how often it may fire for nothing."""
        if not isinstance(node, yaml.MappingNode):
            return cast("float", self.field(key[-1], node, key))
        children = self.mapping(node, key, ("false_alarm",))
        if "false_alarm" not in children:
            self.fail(node, key, "says nothing", "write a number, or {false_alarm: 0.001}")
        if key[-1] == "nad":
            self.fail(
                node, key, "has no false-alarm rate: it compares counts, not shares", "use linf or chi2"
            )
        return FalseAlarm(rate=self.field("false_alarm", children["false_alarm"], (*key, "false_alarm")))

    def texts(self, node: yaml.Node, key: Key) -> tuple[str, ...]:
        """A list of texts, each once."""
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self.fail(node, key, "must be a list of texts")
        values: dict[str, None] = {}
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
            values[value] = None
        return tuple(values)

    def counts(self, node: yaml.Node, key: Key) -> tuple[int, ...]:
        """A list of whole numbers from 1."""
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self.fail(node, key, "must be a list of whole numbers from 1, as in [3]")
        values = [self.scalar(item, key) for item in node.value]
        for item, value in zip(node.value, values, strict=True):
            if type(value) is not int or value < 1:
                self.fail(item, key, f"has {item.value}, expected a whole number from 1")
        return tuple(values)

    def severity(self, node: yaml.Node, key: Key) -> dict[str, Severity]:
        """Severities by anomaly name."""
        found: dict[str, Severity] = {}
        for name, child in self.mapping(node, key, sorted(ANOMALIES), whole_names=True).items():
            found[name] = self.field("severity", child, (*key, name))
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
        """One plain value."""
        if not isinstance(node, yaml.ScalarNode):
            self.fail(node, key, "must be one value")
        if node.tag == "tag:yaml.org,2002:str":
            return node.value
        try:
            return _CONSTRUCTOR.construct_object(node, deep=True)
        except (ValueError, yaml.YAMLError) as error:
            self.fail(node, key, f"is {node.value!r}: {error}")

    def fail(self, node: yaml.Node, key: Key, what: str, hint: str = "") -> NoReturn:
        """DataError for a node."""
        line = node.start_mark.line + 1
        subject = ".".join(key) or "the schema"
        raise DataError(f"{subject} {what}", where=f"{self.name}:{line}", hint=hint)


_CONSTRUCTOR = yaml.constructor.SafeConstructor()


def _yaml_type(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__
