"""Proposed changes as a file that a person decides on, and what becomes of the schema then.

Every change is accepted or refused by name; nothing is taken over in silence. The file knows which schema
it was made for, so that it is never applied to another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from tidemill.data.evolve import Proposal
from tidemill.data.schema import Schema
from tidemill.data.schema_file import plain_schema, schema_text
from tidemill.data.schema_reader import SchemaReader, compose, read_schema_text
from tidemill.data.yaml_text import dump
from tidemill.errors import DataError

FORMAT = "tidemill.schema_review/1"
UNDECIDED = "undecided"
_HEAD = """\
# Changes that would make the schema fit the data. Write `accept: yes` or `accept: no` for each of them;
# `after` can be edited. Then: tidemill schema accept SCHEMA THIS_FILE
"""
_FIELDS = ("accept", "column", "field", "before", "after", "because")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One proposed change, and what somebody said about it."""

    column: str
    field: str
    after: Any
    accepted: bool | None
    """None while nobody has said anything."""
    line: int


def review_text(schema: Schema, proposals: Sequence[Proposal]) -> str:
    """The file to decide on, with every change undecided."""
    changes = [
        {
            "accept": UNDECIDED, "column": p.column, "field": p.field, "before": p.before, "after": p.after,
            "because": p.because,
        }
        for p in proposals
    ]  # fmt: skip
    return _HEAD + dump({"format": FORMAT, "schema": fingerprint(schema), "changes": changes})


def fingerprint(schema: Schema) -> str:
    """Names what a schema says, whatever its comments and order."""
    return hashlib.sha256(schema_text(schema).encode()).hexdigest()[:16]


def read_review(text: str, name: str, schema: Schema) -> list[Decision]:
    """The decisions in a file. DataError with its line for what is none, or is about another schema."""
    reader = SchemaReader(name)
    node = compose(text, name, "the review")
    top = reader.mapping(node, (), ("format", "schema", "changes"))
    if "format" not in top or reader.scalar(top["format"], ("format",)) != FORMAT:
        reader.fail(top.get("format", node), ("format",), "not a review this version can read")
    made_for = reader.scalar(top["schema"], ("schema",)) if "schema" in top else None
    if str(made_for) != fingerprint(schema):
        hint = (
            "the schema was changed since: make the review again, with `tidemill schema validate --propose`"
        )
        reader.fail(top.get("schema", node), ("schema",), "is another schema than the one given", hint)
    changes = top.get("changes", node)
    if not isinstance(changes, yaml.SequenceNode):
        reader.fail(changes, ("changes",), "must be a list")
    return [_decision(reader, item) for item in changes.value]


def _decision(reader: SchemaReader, node: yaml.Node) -> Decision:
    fields = reader.mapping(node, ("changes",), _FIELDS)
    for name in ("accept", "column", "field", "after"):
        if name not in fields:
            reader.fail(node, ("changes", name), "is missing")
    said = reader.scalar(fields["accept"], ("changes", "accept"))
    if not isinstance(said, bool) and said != UNDECIDED:
        reader.fail(fields["accept"], ("changes", "accept"), f"is {said!r}, expected yes or no")
    return Decision(
        column=str(reader.scalar(fields["column"], ("changes", "column"))),
        field=str(reader.scalar(fields["field"], ("changes", "field"))),
        after=_plain(reader, fields["after"]),
        accepted=said if isinstance(said, bool) else None,
        line=node.start_mark.line + 1,
    )


def _plain(reader: SchemaReader, node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_plain(reader, item) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return {name: _plain(reader, child) for name, child in reader.mapping(node, ("after",)).items()}
    return reader.scalar(node, ("after",))


def accept(schema: Schema, decisions: Sequence[Decision], name: str, *, rest: bool | None = None) -> Schema:
    """The schema with every accepted change, its version one higher; the same one when none was accepted.

    `rest` decides what nobody has decided; without it that is a DataError, as is a change that would not
    give a schema.
    """
    accepted = []
    for decision in decisions:
        said = rest if decision.accepted is None else decision.accepted
        if said is None:
            place = ".".join(part for part in (decision.column or "dataset", decision.field) if part)
            raise DataError(
                f"nobody has decided about {place}",
                where=f"{name}:{decision.line}",
                hint="write `accept: yes` or `accept: no`, or give --rest yes or --rest no",
            )
        if said:
            accepted.append(decision)
    if not accepted:
        return schema
    plain = plain_schema(schema)
    plain["version"] = schema.version + 1
    for decision in accepted:
        _apply(plain, decision, name)
    return read_schema_text(dump(plain), f"{name} (the schema after these changes)")


def _apply(plain: dict[str, Any], decision: Decision, name: str) -> None:
    owner: dict[str, Any] = plain["columns"] if decision.column else plain
    key = decision.column or "dataset"
    if not decision.field:
        if not isinstance(decision.after, Mapping):
            where = f"{name}:{decision.line}"
            raise DataError(f"`after` of the whole column {key!r} is no mapping", where=where)
        owner[key] = dict(decision.after)
        return
    parts = decision.field.split(".")
    fields = owner.setdefault(key, {})
    for part in parts[:-1]:
        fields = fields.setdefault(part, {})
    if decision.after is None:
        fields.pop(parts[-1], None)
    else:
        fields[parts[-1]] = decision.after
