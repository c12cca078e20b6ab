"""Two deliveries of the same rows, compared by key: what is new, gone, changed, and in which columns.

Rows of both sides are spread over the same number of files by a hash of their keys, so that each pair of
files can be joined by itself: memory is one row group, or one pair, whatever the number of rows. The same
rows give the same report. TFX's counterpart is ExampleDiff over TFDV's feature skew detection.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from tidemill.data.column_types import kind_of
from tidemill.data.hashing import hash_rows
from tidemill.data.parquet import SplitWriter, count_rows, read_schema, read_tables
from tidemill.errors import DataError, did_you_mean

FILE = "examples_diff.json"
FORMAT = "tidemill.examples_diff/1"

PART_ROWS = 200_000
"""Rows of one side that a part should have."""
MOST_PARTS = 256
WAITING_ROWS = 400_000
"""Rows of a side that wait in memory to be written, over all parts."""
_TURN, _SIDE = "\x00turn", "\x00right"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffChoices:
    """What is compared, and how much is shown."""

    keys: tuple[str, ...]
    columns: tuple[str, ...] = ()
    """All that both sides have, if empty."""
    exclude: tuple[str, ...] = ()
    tolerance: float = 0.0
    samples: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitDiff:
    """What differs in one split. Samples are the rows with the smallest keys."""

    left: int
    right: int
    """Rows of the sides."""
    paired: int
    left_only: int
    right_only: int
    changed: int
    """Paired rows with any difference."""
    columns: Mapping[str, int]
    """Paired rows that differ in a column; every compared column is listed."""
    not_compared: Mapping[str, str]
    """Columns that could not be compared, and why."""
    samples_left_only: tuple[Mapping[str, Any], ...] = ()
    samples_right_only: tuple[Mapping[str, Any], ...] = ()
    samples_changed: tuple[Mapping[str, Any], ...] = ()
    """`{"key": {column: value}, "changes": {column: [left, right]}}`."""

    @property
    def differs(self) -> bool:
        """Whether there is any difference, in rows or in columns."""
        return bool(self.left_only or self.right_only or self.changed or self.not_compared)


def write_diff(folder: Path, splits: Mapping[str, SplitDiff]) -> None:
    """Write the file."""
    value = {"format": FORMAT, "splits": {name: asdict(split) for name, split in splits.items()}}
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def summary(splits: Mapping[str, SplitDiff]) -> str:
    """A line for each split, and one for each column that differs."""
    lines = []
    for name, split in splits.items():
        lines.append(
            f"{name}: {split.paired} rows paired, {split.changed} of them changed; "
            f"{split.left_only} only left, {split.right_only} only right"
        )
        lines += [f"  {column}: {rows} rows differ" for column, rows in split.columns.items() if rows]
        lines += [f"  {column}: not compared, {why}" for column, why in split.not_compared.items()]
    return "\n".join(lines)


def diff_splits(left: Path, right: Path, choices: DiffChoices) -> SplitDiff:
    """Compare two split folders. DataError for columns that are not there, and keys of different types."""
    sides = left, right
    schemas = [read_schema(side) for side in sides]
    compared, not_compared = _columns(schemas, choices)
    parts = min(MOST_PARTS, 1 + max(count_rows(side) for side in sides) // PART_ROWS)
    total = _Total(choices, compared)
    with tempfile.TemporaryDirectory(prefix="example_diff") as folder:
        targets = Path(folder, "left"), Path(folder, "right")
        spread = [_spread(s, t, choices, compared, parts) for s, t in zip(sides, targets, strict=True)]
        for part in range(parts):
            total.add(*(_read(side[part]) for side in spread))
    return total.result(not_compared)


def _columns(schemas: Sequence[pa.Schema], choices: DiffChoices) -> tuple[list[str], dict[str, str]]:
    if not choices.keys:
        raise DataError("no keys are given", hint="name the columns that identify a row")
    left, right = schemas
    for name in (*choices.keys, *choices.columns):
        for side, schema in (("examples", left), ("baseline examples", right)):
            if name not in schema.names:
                raise DataError(f"the {side} have no column {name!r}", hint=did_you_mean(name, schema.names))
    for name in choices.keys:
        kinds = [kind_of(schema.field(name).type) for schema in schemas]
        if len({*kinds} - {"empty"}) > 1:
            raise DataError(f"the key {name!r} is {kinds[0]} in the examples and {kinds[1]} in the baseline")
    wanted = choices.columns or dict.fromkeys([*left.names, *right.names])
    compared, rest = [], {}
    for name in wanted:
        if name in choices.keys or name in choices.exclude:
            continue
        if name not in left.names or name not in right.names:
            rest[name] = "only the examples have it" if name in left.names else "only the baseline has it"
        elif why := _incomparable(left.field(name).type, right.field(name).type):
            rest[name] = why
        else:
            compared.append(name)
    return compared, rest


def _incomparable(left: pa.DataType, right: pa.DataType) -> str:
    kinds = {kind_of(left), kind_of(right)} - {"empty"}
    if kinds <= {"int", "float"} or (len(kinds) < 2 and (left == right or kinds != {"other"})):
        return ""
    return f"it is {left} in the examples and {right} in the baseline"


def _spread(
    folder: Path, target: Path, choices: DiffChoices, compared: Sequence[str], parts: int
) -> list[Path]:
    """The rows of a side in as many folders as there are parts."""
    names = [*choices.keys, *compared]
    schema = pa.schema([read_schema(folder).field(name) for name in names])
    folders = [target / str(part) for part in range(parts)]
    with contextlib.ExitStack() as stack:
        rows = max(1000, WAITING_ROWS // parts)
        writers = [stack.enter_context(SplitWriter(f, schema, group_rows=rows)) for f in folders]
        for table in read_tables(folder, names):
            if parts == 1:
                writers[0].write(table)
                continue
            place = hash_rows(_keys(table, choices.keys)) % np.uint64(parts)
            ordered = table.take(np.argsort(place, kind="stable"))
            start = 0
            for part, count in enumerate(np.bincount(place.astype(np.int64), minlength=parts).tolist()):
                if count:
                    writers[part].write(ordered.slice(start, count))
                start += count
    return folders


def _keys(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Key columns in one type per kind, so that both sides hash alike."""
    wide: dict[str, Any] = {
        "int": pa.int64(),
        "float": pa.float64(),
        "string": pa.string(),
        "timestamp": pa.timestamp("us"),
    }
    found = {}
    for name in keys:
        column = table.column(name)
        kind = kind_of(column.type)
        fits = kind in wide and not pa.types.is_uint64(column.type)
        found[name] = column.cast(wide[kind]) if fits else column
    return pa.table(found)


def _read(folder: Path) -> pl.DataFrame:
    tables = [*read_tables(folder)]
    whole = pa.concat_tables(tables) if tables else read_schema(folder).empty_table()
    frame = pl.from_arrow(whole)
    assert isinstance(frame, pl.DataFrame)
    return frame


@dataclass
class _Total:
    """What all parts add up to."""

    choices: DiffChoices
    compared: Sequence[str]
    rows: list[int] = field(default_factory=lambda: [0, 0])
    only: list[int] = field(default_factory=lambda: [0, 0])
    paired: int = 0
    changed: int = 0
    columns: dict[str, int] = field(default_factory=dict)
    shown: list[list[dict[str, Any]]] = field(default_factory=lambda: [[], [], []])

    def add(self, left: pl.DataFrame, right: pl.DataFrame) -> None:
        """Compare one part."""
        keys = [*self.choices.keys]
        sides = [_comparable(frame, keys) for frame in (left, right)]
        for at, side in enumerate(sides):
            self.rows[at] += len(side)
            other = sides[1 - at].select(*keys, _TURN)
            alone = side.join(other, on=[*keys, _TURN], how="anti", nulls_equal=True)
            self.only[at] += len(alone)
            self._show(at, alone.drop(_TURN))
        both = sides[0].join(
            sides[1], on=[*keys, _TURN], how="inner", nulls_equal=True, suffix=_SIDE, maintain_order="left"
        )
        self.paired += len(both)
        differs = both.select(
            *(_differs(both.schema, name, self.choices.tolerance).alias(name) for name in self.compared)
        )
        for name in self.compared:
            self.columns[name] = self.columns.get(name, 0) + int(differs[name].sum())
        if not self.compared:
            return
        any_change = differs.select(pl.any_horizontal(pl.all())).to_series()
        self.changed += int(any_change.sum())
        some = both.filter(any_change)
        flags = differs.filter(any_change)
        order = some.select(pl.arg_sort_by([pl.col(k) for k in keys], nulls_last=True)).to_series()
        picked = order.head(self.choices.samples)
        for row, marks in zip(
            some[picked].iter_rows(named=True), flags[picked].iter_rows(named=True), strict=True
        ):
            changes = {n: [_plain(row[n]), _plain(row[n + _SIDE])] for n in self.compared if marks[n]}
            self.shown[2].append({"key": {k: _plain(row[k]) for k in keys}, "changes": changes})

    def _show(self, at: int, frame: pl.DataFrame) -> None:
        keys = [*self.choices.keys]
        first = frame.sort(keys, nulls_last=True, maintain_order=True).head(self.choices.samples)
        self.shown[at] += [{k: _plain(v) for k, v in row.items()} for row in first.iter_rows(named=True)]

    def result(self, not_compared: Mapping[str, str]) -> SplitDiff:
        """The sum."""
        keys, most = self.choices.keys, self.choices.samples

        def first(rows: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
            return tuple(sorted(rows, key=lambda r: [_order(r.get("key", r)[k]) for k in keys])[:most])

        return SplitDiff(
            left=self.rows[0], right=self.rows[1], paired=self.paired, left_only=self.only[0],
            right_only=self.only[1], changed=self.changed, columns=self.columns, not_compared=not_compared,
            samples_left_only=first(self.shown[0]), samples_right_only=first(self.shown[1]),
            samples_changed=first(self.shown[2]),
        )  # fmt: skip


def _comparable(frame: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """With the turn of each row among those of the same keys, and keys of one width."""
    wide: dict[Any, Any] = {}
    for name in keys:
        kind = frame.schema[name]
        if kind.is_signed_integer() or (kind.is_unsigned_integer() and kind != pl.UInt64):
            wide[name] = pl.Int64
        elif kind == pl.UInt64:
            wide[name] = pl.Int128
        elif kind.is_float():
            wide[name] = pl.Float64
        elif kind == pl.Null:
            wide[name] = pl.String
    frame = frame.cast(wide) if wide else frame
    return frame.with_columns(pl.int_range(pl.len()).over(keys).alias(_TURN))


def _differs(schema: pl.Schema, name: str, tolerance: float) -> pl.Expr:
    left, right = pl.col(name), pl.col(name + _SIDE)
    kinds = [schema[name], schema[name + _SIDE]]
    if any(kind == pl.Null for kind in kinds):
        return left.is_null() != right.is_null()
    same = left.eq_missing(right)
    if tolerance > 0 and all(kind.is_numeric() for kind in kinds):
        gap = (left.cast(pl.Float64) - right.cast(pl.Float64)).abs()
        same = same | (gap <= tolerance).fill_null(False)
    return ~same


def _plain(value: Any) -> Any:
    """A value as JSON has it; numbers that JSON lacks, moments and bytes as text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _order(value: Any) -> tuple[int, Any]:
    """Numbers before texts before nothing."""
    if value is None:
        return (2, "")
    return (1, value) if isinstance(value, str) else (0, value)
