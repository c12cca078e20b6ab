"""Changing a schema file and keeping the rest of it: comments, order and spelling of what did not change.

The changed parts are written anew by line. What comes out is read again; where it does not say what it
must (a file in braces, anchors ...), the whole file is written anew instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from tidemill.data.schema import Schema
from tidemill.data.schema_file import plain_schema, schema_text
from tidemill.data.schema_reader import compose, read_schema_text
from tidemill.data.yaml_text import dump
from tidemill.errors import DataError


def patched_text(text: str, new: Schema, name: str) -> str:
    """The text of a schema file made to say `new`. DataError when `text` is no schema."""
    old = read_schema_text(text, name)
    try:
        patched = _patched(text, plain_schema(old), plain_schema(new), name)
        if read_schema_text(patched, name) == new:
            return patched
    except DataError:
        pass
    return schema_text(new)


def _patched(text: str, old: Mapping[str, Any], new: Mapping[str, Any], name: str) -> str:
    lines = text.splitlines(keepends=True)
    root = compose(text, name, "the schema file")
    assert isinstance(root, yaml.MappingNode)
    edits = [*_edits(root, {**old, "columns": None}, {**new, "columns": None}, 0)]
    columns = next(value for key, value in root.value if key.value == "columns")
    indent = columns.value[0][0].start_mark.column if columns.value else 2
    edits += _edits(columns, old["columns"], new["columns"], indent)
    for first, last, fresh in sorted(edits, reverse=True):
        lines[first:last] = [fresh]
    return "".join(lines)


def _edits(
    node: yaml.MappingNode, old: Mapping[str, Any], new: Mapping[str, Any], indent: int
) -> list[tuple[int, int, str]]:
    """(first line, line after the last, text) for every entry of a mapping that differs."""
    edits = []
    after = node.start_mark.line
    places: dict[str, tuple[int, int]] = {}
    for key, value in node.value:
        places[key.value] = (key.start_mark.line, _last_line(value) + 1)
    for entry, content in new.items():
        if entry == "format" or (entry in old and old[entry] == content):
            continue
        fresh = dump({entry: content}, indent)
        if entry in places:
            edits.append((*places[entry], fresh))
        else:
            before = [end for known, (_, end) in places.items() if known < entry or not indent]
            at = min(before) if before and not indent else max(before, default=after)
            edits.append((at, at, fresh))
    for entry, (first, end) in places.items():
        if entry not in new:
            edits.append((first, end, ""))
    if not indent and "format" in places:
        edits.append((*places["format"], dump({"format": new["format"]}, indent)))
    return edits


def _last_line(node: yaml.Node) -> int:
    """The line a node's own text ends on; marks of collections point behind the comments that follow."""
    if isinstance(node, yaml.ScalarNode) or not node.value or getattr(node, "flow_style", False):
        return int(node.end_mark.line)
    last = node.value[-1]
    return _last_line(last[1] if isinstance(last, tuple) else last)
