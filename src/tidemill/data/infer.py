"""Guessing a schema from statistics: a first draft for people to edit, or a contract for later data.

The guess is cautious: what was never missing is required in every row, few distinct texts are a
domain, and nothing is said about ranges, which one day of data does not show.
"""

from __future__ import annotations

from collections.abc import Sequence

from tidemill.data.schema import ColumnSchema, Schema
from tidemill.data.statistics import ColumnStatistics, SplitStatistics
from tidemill.errors import DataError


def infer_schema(splits: Sequence[SplitStatistics], *, max_domain: int = 100) -> Schema:
    """The schema that the given splits fit, columns by name.

    A string column gets a domain when it has at most `max_domain` distinct values; `max_domain=0` for
    none. int and float in different splits make float. DataError when a column is of otherwise
    different types in two splits.
    """
    if max_domain < 0:
        raise DataError(f"max_domain is {max_domain}, but cannot be negative")
    by_name = [{column.name: column for column in split.columns} for split in splits]
    names = sorted({name for columns_of in by_name for name in columns_of})
    columns = {}
    for name in names:
        found = [columns_of[name] for columns_of in by_name if name in columns_of]
        columns[name] = _infer_column(found, everywhere=len(found) == len(splits), max_domain=max_domain)
    return Schema(columns=columns)


def _infer_column(found: Sequence[ColumnStatistics], *, everywhere: bool, max_domain: int) -> ColumnSchema:
    seen = any(column.count for column in found)
    kind = _common_type(found)
    numbers = [column.numeric for column in found if column.numeric is not None and kind == "float"]
    nesting, least, most = _lists(found)
    return ColumnSchema(
        type=kind,
        required=everywhere,
        min_fraction=1.0 if seen and not any(column.missing for column in found) else 0.0,
        nesting=nesting,
        min_values=least,
        max_values=most,
        allow_nan=any(n.nan for n in numbers),
        allow_infinite=any(n.infinite for n in numbers),
        domain=_domain(found, max_domain),
    )


def _lists(found: Sequence[ColumnStatistics]) -> tuple[int, int | None, int | None]:
    """Depth of lists, and fewest and most values: both where all lists are equally long, else whether there
    is always one (as TFDV's InitValueCount)."""
    depths = {len(column.valency) for column in found if column.count}
    if len(depths) > 1:
        raise DataError(f"column {found[0].name!r} holds lists in one split and values in another")
    if not depths or not (depth := depths.pop()):
        return 0, None, None
    ends = [(column.valency[0].min, column.valency[0].max) for column in found if column.valency]
    least = min((low for low, _ in ends if low is not None), default=0)
    most = max((high for _, high in ends if high is not None), default=0)
    if not least:
        return depth, None, None
    return depth, (least if least == most else 1), (most if least == most else None)


def _common_type(found: Sequence[ColumnStatistics]) -> str:
    types = {column.type for column in found if column.count}
    types |= {kind for column in found for kind, _ in column.types}
    if types == {"int", "float"}:
        return "float"
    if len(types) > 1:
        raise DataError(
            f"column {found[0].name!r} has different types in different splits: {', '.join(sorted(types))}",
            hint="mend the data, or give ExampleGen the type to read it as",
        )
    declared = types or {column.type for column in found}
    type = min(declared)
    return "any" if type in ("other", "empty") else type


def _domain(found: Sequence[ColumnStatistics], max_domain: int) -> tuple[str, ...] | None:
    values: set[str] = set()
    for column in found:
        if column.string is None or not column.string.complete:
            if column.type != "empty":
                return None
            continue
        values.update(value for value, _ in column.string.frequencies)
    return tuple(sorted(values)) if 0 < len(values) <= max_domain else None
