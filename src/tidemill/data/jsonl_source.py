"""JSON Lines as Arrow tables: one object a line, keys as columns, lists and objects as they are.

Arrow reads a block at a time with the types known so far. What does not fit is looked at line by line: a
bad line is named or put aside, and a new key or a wider type makes the whole data be read anew, once, with
what all of it says. This room does not know splits.
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import polars as pl
import pyarrow as pa
import pyarrow.json as pa_json

from tidemill.data.column_types import DECLARABLE, check_column_types, parse_text
from tidemill.data.csv_records import BROKEN_STREAM, cut_off
from tidemill.data.external import open_stream
from tidemill.data.nested_types import (
    MOMENT,
    MixedTypesError,
    holds,
    merge_schemas,
    merge_types,
    type_of,
)
from tidemill.data.source import BadRows, Reread
from tidemill.errors import DataError
from tidemill.types.source import SourceFile

BLOCK_BYTES = 8 << 20


@dataclass(frozen=True)
class JsonlSource:
    """Files of objects, and the columns that their keys become."""

    files: tuple[SourceFile, ...]
    schema: pa.Schema
    declared: frozenset[str]
    complete: bool = False
    """Whether the columns come from all of the data; then they are not widened any more."""

    @property
    def names(self) -> list[str]:
        """URIs of the files."""
        return [file.uri for file in self.files]

    def tables(self, bad: BadRows, files: Sequence[SourceFile] | None = None) -> Iterator[pa.Table]:
        """All rows, block by block. DataError for a line that is no object or has a value of another type,
        unless `bad` takes it; Reread when the columns must be wider."""
        for file in self.files if files is None else files:
            for line, block in _blocks(file):
                try:
                    table = self._fast(block)
                    if table is None:
                        table = self._by_line(file, line, block, bad)
                except RecursionError:
                    raise _too_deep(file) from None
                if table.num_rows:
                    yield table

    def _fast(self, block: bytes) -> pa.Table | None:
        """The block as Arrow reads it; None when anything about it is unusual."""
        try:
            block.decode()  # Arrow does not look
            table = _arrow(block, explicit_schema=_as_parsed(self.schema), unexpected_field_behavior="error")
        except (pa.ArrowInvalid, UnicodeDecodeError):
            return None
        if table.num_rows != sum(1 for line in block.split(b"\n") if line.strip()):
            return None
        columns: list[Any] = []
        for field in self.schema:
            column: Any = table.column(field.name)
            if field.type == MOMENT:
                text = cast("pl.Series", pl.from_arrow(column))
                moments = parse_text(text, "timestamp")
                if moments.null_count() > text.null_count():
                    return None
                column = moments.to_arrow().cast(MOMENT)
            columns.append(column)
        return pa.Table.from_arrays(columns, schema=self.schema)

    def _by_line(self, file: SourceFile, first: int, block: bytes, bad: BadRows) -> pa.Table:
        columns_known = set(self.schema.names)
        rows: list[tuple[int, str, dict[str, Any]]] = []
        for line, text, value, wrong in _objects(first, block):
            if wrong or value is None:
                _put_aside(file, line, wrong, text, bad)
                continue
            if not self.complete and not value.keys() <= columns_known:
                raise Reread(self._with_all())
            rows.append((line, text, value))
        kept = [True] * len(rows)
        columns = []
        for field in self.schema:
            values = [self._plain(field, row.get(field.name)) for _, _, row in rows]
            columns.append(self._column(field, values, rows, kept, file, bad))
        return pa.Table.from_arrays(columns, schema=self.schema).filter(pa.array(kept, pa.bool_()))

    def _plain(self, field: Any, value: Any) -> Any:
        """A value of a column that was declared as text, as text."""
        if field.name in self.declared and field.type == pa.string() and not isinstance(value, str | None):
            return json.dumps(value, ensure_ascii=False)
        return value

    def _column(
        self, field: Any, values: list[Any], rows: Sequence[tuple[int, str, dict[str, Any]]],
        kept: list[bool], file: SourceFile, bad: BadRows,
    ) -> Any:  # fmt: skip
        refused = [at for at, value in enumerate(values) if not _is_kept(field.type, value)]
        wider = not self.complete and field.name not in self.declared
        if wider and any(_fits(field.type, values[at]) for at in refused):
            raise Reread(self._with_all())
        for at in refused:
            line, text, _ = rows[at]
            shown = json.dumps(values[at], ensure_ascii=False)
            shown = shown if len(shown) <= 60 else shown[:57] + "..."
            _put_aside(file, line, f"column {field.name!r} has {shown}, which is not {field.type}", text, bad)
            values[at], kept[at] = None, False
        return _array(values, field.type)

    def _with_all(self) -> JsonlSource:
        """The same files with the columns and types that all of the data asks for."""
        schema = _declare(_learned(self.files, self.schema, whole=True), self.schema, self.declared)
        return dataclasses.replace(self, schema=schema, complete=True)


def open_jsonl(files: Sequence[SourceFile], column_types: Mapping[str, str]) -> JsonlSource:
    """Learn the columns from the first block of each file. DataError when there is not one column."""
    schema = _learned(files, pa.schema([]), whole=False)
    if column_types and not set(column_types) <= set(schema.names):
        schema = _learned(files, pa.schema([]), whole=True)
    check_column_types(column_types, schema.names)
    if not schema.names:
        _refuse_first(files)
        raise DataError(
            "no line has a key: there are no columns",
            where=", ".join(file.uri for file in files),
            hint='JSON Lines have one object a line, such as {"id": 1}',
        )
    wanted = pa.schema([(name, DECLARABLE[type]) for name, type in column_types.items()])
    return JsonlSource(
        tuple(files), _declare(schema, wanted, frozenset(column_types)), frozenset(column_types)
    )


def _declare(schema: pa.Schema, declared: pa.Schema, names: frozenset[str]) -> pa.Schema:
    return pa.schema([(f.name, declared.field(f.name).type if f.name in names else f.type) for f in schema])


# -- reading


def _blocks(file: SourceFile) -> Iterator[tuple[int, bytes]]:
    """Whole lines, about BLOCK_BYTES of them at a time, with the number of the first one."""
    line, rest = 1, b""
    try:
        with open_stream(file) as stream:
            while chunk := stream.read(BLOCK_BYTES):
                whole, newline, tail = chunk.rpartition(b"\n")
                if not newline:
                    rest += chunk
                    continue
                block = rest + whole + b"\n"
                rest = tail
                yield line, block.removeprefix(b"\xef\xbb\xbf") if line == 1 else block
                line += block.count(b"\n")
    except BROKEN_STREAM as error:
        raise cut_off(file, error) from error
    if rest.strip():
        yield line, rest.removeprefix(b"\xef\xbb\xbf") if line == 1 else rest


def _arrow(block: bytes, **options: Any) -> pa.Table:
    return pa_json.read_json(
        io.BytesIO(block),
        read_options=pa_json.ReadOptions(block_size=max(len(block), 1)),
        parse_options=pa_json.ParseOptions(**options),
    )


def _objects(first: int, block: bytes) -> Iterator[tuple[int, str, dict[str, Any] | None, str]]:
    """Number, text, object and, where it is none, what is wrong, of every line that is not blank."""
    for line, content in enumerate(block.split(b"\n"), first):
        if not content.strip():
            continue
        text = content.decode(errors="replace").strip()
        try:
            value = json.loads(content, object_pairs_hook=_without_doubles)
        except UnicodeDecodeError as error:
            yield line, text, None, f"byte 0x{content[error.start]:02x} is not UTF-8"
        except (ValueError, RecursionError) as error:
            yield line, text, None, f"not JSON: {error}"
        else:
            wrong = "" if isinstance(value, dict) else f"a {type(value).__name__}, but not an object"
            yield line, text, None if wrong else value, wrong


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a key that comes twice would lose a value."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} comes twice")
    return found


def _array(values: list[Any], type: pa.DataType) -> Any:
    if type != MOMENT:
        return pa.array(values, type)
    return parse_text(pl.Series(values, dtype=pl.String), "timestamp").to_arrow().cast(MOMENT)


def _is_kept(type: pa.DataType, value: Any) -> bool:
    if type != MOMENT or value is None:
        return holds(type, value)
    return isinstance(value, str) and not parse_text(pl.Series([value]), "timestamp").has_nulls()


def _put_aside(file: SourceFile, line: int, reason: str, text: str, bad: BadRows) -> None:
    if bad.wanted:
        bad.add(file, line, reason, text)
        return
    raise DataError(
        reason,
        where=f"{file.uri}:{line}",
        hint="mend the line, declare the column in column_types, or allow some loss with max_bad_rows",
    )


# -- types


def _learned(files: Sequence[SourceFile], known: pa.Schema, *, whole: bool) -> pa.Schema:
    """Columns of the first block of every file, or of all blocks. Where types exclude each other, those that
    came first stay: what does not fit is found when it is read."""
    for file in files:
        for _, block in _blocks(file):
            try:
                known = _merged(known, _natural(block))
            except RecursionError:
                raise _too_deep(file) from None
            if not whole:
                break
    return known


def _refuse_first(files: Sequence[SourceFile]) -> None:
    """DataError for the first line that is no object, if there is one."""
    for file in files:
        for first, block in _blocks(file):
            for line, text, _, wrong in _objects(first, block):
                if wrong:
                    _put_aside(file, line, wrong, text, BadRows())


def _too_deep(file: SourceFile) -> DataError:
    return DataError(
        "lists and objects are nested too deep to be a column",
        where=file.uri,
        hint="flatten them, or keep text",
    )


def _merged(known: pa.Schema, found: pa.Schema) -> pa.Schema:
    for field in found:
        try:
            known = merge_schemas(known, pa.schema([field]))
        except MixedTypesError:
            continue
    return known


def _natural(block: bytes) -> pa.Schema:
    """Columns of one block by its own values."""
    try:
        table = _arrow(block)
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return _natural_by_line(block)
    fields: list[tuple[str, pa.DataType]] = []
    for field in table.schema:
        column: Any = table.column(field.name)
        if field.type == pa.string():
            text = cast("pl.Series", pl.from_arrow(column))
            moments = parse_text(text, "timestamp")
            is_moment = moments.null_count() == text.null_count() < len(text)
            fields.append((field.name, MOMENT if is_moment else pa.string()))
        else:
            fields.append((field.name, MOMENT if pa.types.is_timestamp(field.type) else _as_text(field.type)))
    return pa.schema(fields)


def _natural_by_line(block: bytes) -> pa.Schema:
    """The same where Arrow gave up: of each key the type that most lines have, widened where possible."""
    counts: dict[str, Counter[pa.DataType]] = defaultdict(Counter)
    for _, _, value, _ in _objects(1, block):
        for key, item in (value or {}).items():
            try:
                counts[key][type_of(item)] += 1
            except MixedTypesError:
                counts[key][pa.null()] += 1
    fields = []
    for key, types in counts.items():
        found: pa.DataType = pa.null()
        for type, _ in types.most_common():
            try:
                found = merge_types(found, type)
            except MixedTypesError:
                continue
        fields.append((key, found))
    return pa.schema(fields)


def _as_text(type: pa.DataType) -> pa.DataType:
    """A nested type without the time stamps that Arrow saw in its texts."""
    if pa.types.is_timestamp(type):
        return pa.string()
    if isinstance(type, pa.ListType):
        return pa.list_(_as_text(type.value_type))
    if isinstance(type, pa.StructType):
        return pa.struct([(part.name, _as_text(part.type)) for part in type])
    return type


def _as_parsed(schema: pa.Schema) -> pa.Schema:
    """The schema that Arrow is given: time stamps are read as text, and parsed by the rules of this house."""
    return pa.schema([(f.name, pa.string() if f.type == MOMENT else f.type) for f in schema])


def _fits(known: pa.DataType, value: Any) -> bool:
    """Whether a column could be widened to hold a value that it does not hold now."""
    try:
        return merge_types(known, type_of(value)) != known
    except MixedTypesError:
        return False
