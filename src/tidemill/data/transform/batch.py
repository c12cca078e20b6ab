"""The polars backend: the graph over Arrow tables of many rows, for training and evaluation.

Native expressions where `ops` names one, the numpy kernel elsewhere: over the distinct values only
when the column is text or becomes it, because most text repeats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from tidemill.data.column_types import kind_of
from tidemill.data.transform.graph import Graph, Node
from tidemill.data.transform.op import Op
from tidemill.data.transform.ops import op_of
from tidemill.data.transform.rows import call, fixed_value
from tidemill.data.transform.values import STAND_INS, Lists, Values, element, objects
from tidemill.errors import DataError, did_you_mean

POLARS: dict[str, Any] = {
    "int": pl.Int64,
    "float": pl.Float64,
    "string": pl.String,
    "bool": pl.Boolean,
    "timestamp": pl.Datetime("us"),
    "empty": pl.Null,
    "list[int]": pl.List(pl.Int64),
    "list[float]": pl.List(pl.Float64),
    "list[string]": pl.List(pl.String),
}
"""Type of a column -> polars type."""


def run_frame(
    graph: Graph, prepared: Mapping[str, Mapping[str, Any]], frame: pl.DataFrame, ids: Iterable[str]
) -> pl.DataFrame:
    """A frame with one column per node of `ids`, named by id, from raw columns as `read_frame` gives them.

    `prepared` has the parameters of each node, learned values and lookup structures included.
    """
    wanted = list(ids)
    depth: dict[str, int] = {}
    levels: list[list[Any]] = []
    for node in graph.needed(wanted):
        depth[node.id] = max((depth[id] + 1 for id in node.inputs), default=0)
        while len(levels) <= depth[node.id]:
            levels.append([])
        levels[depth[node.id]].append(_expression(node, prepared).alias(node.id))
    work = frame.rename({name: f"raw:{name}" for name in frame.columns})
    for level in levels:
        work = work.with_columns(level)
    return work.select(wanted)


def read_frame(table: pa.Table, types: Mapping[str, str], names: Iterable[str]) -> pl.DataFrame:
    """Columns `names` of `table` in the types of the graph; DataError for a missing or another type."""
    columns, known = {}, set(table.column_names)
    for name in names:
        if name not in known:
            raise DataError(
                f"the transform graph needs column {name!r}, and the rows do not have it",
                hint=did_you_mean(name, table.column_names)
                + " or ask only for outputs that do not need it (outputs=[...])",
            )
        columns[name] = _as_type(table.column(name), types[name], name)
    return pl.DataFrame(columns)


def type_of(type: pa.DataType) -> str:
    """The graph's type for an Arrow type: a kind of `column_types` or a list; `other` where it has none."""
    if pa.types.is_dictionary(type):
        return type_of(type.value_type)
    if pa.types.is_list(type) or pa.types.is_large_list(type) or pa.types.is_fixed_size_list(type):
        inner = f"list[{kind_of(type.value_type)}]"
        return "empty" if inner == "list[empty]" else inner if inner in POLARS else "other"
    return kind_of(type)


def _as_type(column: Any, type: str, name: str) -> pl.Series:
    kind = type_of(column.type)
    series: pl.Series = pl.Series(name, pl.from_arrow(column))
    if series.null_count() == len(series):
        return pl.Series(name, [None] * len(series), dtype=POLARS[type])
    widens = (type, kind) in (("float", "int"), ("list[float]", "list[int]"))
    whole = type == "int" and kind == "float" and _all_whole(series)
    void = kind == "empty" and element(type)  # lists, all of them empty
    if kind != type and not widens and not whole and not void:
        seen = "had no value" if type == "empty" else f"was {type}"
        raise DataError(
            f"column {name!r} is {kind} ({column.type}), and it {seen} when the graph was fitted",
            hint="deliver it in the old form, or fit the graph on data of the new form",
        )
    if isinstance(series.dtype, pl.Datetime) and series.dtype.time_zone:
        series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if isinstance(series.dtype, pl.Array):
        series = series.arr.to_list()
    if element(type):
        series = series.list.drop_nulls()
    return series.cast(POLARS[type])


def _all_whole(series: pl.Series) -> bool:
    present = series.drop_nulls()
    if not (present.is_finite().all() and (present == present.round(0)).all()):
        return False
    return bool(((present >= -(2.0**63)) & (present < 2.0**63)).all())


def _expression(node: Node, prepared: Mapping[str, Mapping[str, Any]]) -> pl.Expr:
    if node.op == "input":
        return pl.col(f"raw:{node.params['name']}")
    if node.op in ("constant", "value"):
        return pl.lit(fixed_value(node, prepared), dtype=POLARS[node.type])
    op, params = op_of(node.op), prepared[node.id]
    inputs = [pl.col(id) for id in node.inputs]
    types: tuple[str, ...] = params["types"]
    arguments, lifted = op.arguments(params), op.lifted(list(types))
    if op.polars is not None and not lifted:
        native: pl.Expr = op.polars(*inputs, **arguments)
        if op.nan_is_false and types[0] == "float":
            unordered = inputs[0].is_nan() | inputs[1].is_nan()
            native = pl.when(native.is_not_null() & unordered).then(False).otherwise(native)
        return native.cast(POLARS[node.type])

    def kernel(columns: Sequence[pl.Series]) -> pl.Series:
        with np.errstate(all="ignore"):
            return _by_kernel(op, arguments, columns, types, node.type, lifted)

    return pl.map_batches(inputs, kernel, return_dtype=POLARS[node.type])


def _by_kernel(
    op: Op,
    arguments: Mapping[str, Any],
    columns: Sequence[pl.Series],
    types: tuple[str, ...],
    type: str,
    lifted: bool,
) -> pl.Series:
    repeats = types == ("string",) or (types == ("int",) and type == "string")
    if repeats and len(columns[0]) and not element(type):
        distinct = columns[0].unique()
        results = to_series(call(op, arguments, [to_values(distinct, types[0])], type, lifted=False), type)
        found: pl.Series = columns[0].replace_strict(distinct, results, return_dtype=POLARS[type])
        return found
    values = [to_values(column, kind) for column, kind in zip(columns, types, strict=True)]
    return to_series(call(op, arguments, values, type, lifted=lifted), type)


def to_values(series: pl.Series, type: str) -> Values:
    """A polars column for a numpy kernel."""
    valid = series.is_not_null().to_numpy()
    if type == "empty":
        return Values(np.zeros(len(series)), valid)
    if item := element(type):
        lengths = series.list.len().fill_null(0).to_numpy()
        flat = series.drop_nulls().explode(empty_as_null=False)
        return Values(Lists.of(to_values(flat, item).data, lengths), valid)
    if type == "timestamp":
        series = series.cast(pl.Int64)
    filled = series.fill_null(STAND_INS[type]) if series.null_count() else series
    return Values(objects(filled.to_list()) if type == "string" else filled.to_numpy(), valid)


def to_series(values: Values, type: str) -> pl.Series:
    """Inverse of `to_values`."""
    if item := element(type):
        return _list_series(values, item)
    dtype = pl.Int64 if type == "timestamp" else POLARS[type]
    items = values.data.tolist() if type == "string" else values.data
    series = pl.Series(items, dtype=dtype)
    if not values.valid.all():
        series = series.zip_with(pl.Series(values.valid), pl.Series([None], dtype=dtype))
    return series.cast(POLARS[type])


def _list_series(values: Values, item: str) -> pl.Series:
    lists: Lists = values.data
    arrow: Any = {"string": pa.large_string(), "int": pa.int64(), "float": pa.float64()}[item]
    flat: Any = pa.array(lists.flat.tolist() if item == "string" else lists.flat, arrow)
    mask = None if values.valid.all() else pa.array(~values.valid)
    offsets: Any = pa.array(lists.offsets)
    array: Any = pa.LargeListArray.from_arrays(offsets, flat, mask=mask)
    return pl.Series(pl.from_arrow(array)).cast(POLARS[f"list[{item}]"])
