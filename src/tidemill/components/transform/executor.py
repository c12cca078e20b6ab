"""Transform's work: trace, fit, apply split by split, one row group in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from tidemill.data.dataset import Dataset
from tidemill.data.parquet import read_schema, split_folder, write_split
from tidemill.data.schema_file import read_schema as read_data_schema
from tidemill.data.transform import FittedGraph, trace
from tidemill.data.transform.fit import fit, input_types
from tidemill.errors import DataError
from tidemill.types.standard import Examples, Schema, TransformGraph


def run(
    *,
    examples: Sequence[Examples],
    preprocessing_fn: Callable[..., Any],
    transform_graph: TransformGraph,
    transformed: Examples,
    schema: Schema | None = None,
    analyze_splits: Sequence[str] = ("train",),
    materialize: bool = True,
) -> None:
    """Write the fitted graph and the transformed examples; see the component."""
    splits = list(dict.fromkeys(name for item in examples for name in item.splits))
    if not splits:
        raise DataError("the examples record no splits", hint="were they published by ExampleGen?")
    analyzed = Dataset.of(examples, analyze_splits)
    graph = trace(preprocessing_fn, _types(examples, schema))
    graph = fit(graph, analyzed.iter_batches)
    graph.save(transform_graph.path)
    print(f"{graph.source}: {len(graph.outputs)} outputs of {len(graph.inputs)} columns")
    _copy_span(examples, transformed)
    transformed.splits = splits if materialize else []
    transformed.num_rows = 0
    if materialize:
        rows = _apply(FittedGraph(graph), examples, splits, transformed)
        transformed.num_rows = sum(rows.values())


def _apply(
    fitted: FittedGraph, examples: Sequence[Examples], splits: Sequence[str], transformed: Examples
) -> dict[str, int]:
    """Write every split; rows by split. A row lost or made up on the way would be an error."""
    counts = {}
    columns = fitted.graph.columns_for()
    for name in splits:
        rows = Dataset.of(examples, [name])
        tables = (fitted.transform(table) for table in rows.iter_batches(columns))
        folder = split_folder(transformed.path, name)
        counts[name] = write_split(folder, fitted.arrow_schema, _one_ahead(tables))
        if counts[name] != rows.num_rows:
            raise DataError(f"split {name}: {rows.num_rows} rows went in and {counts[name]} came out")
        print(f"{name}: {counts[name]} rows")
    return counts


def _one_ahead(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same tables; the next one is made while the caller writes this one."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = pool.submit(next, tables, None)
        while (table := waiting.result()) is not None:
            waiting = pool.submit(next, tables, None)
            yield table


def _types(examples: Sequence[Examples], schema: Schema | None) -> Mapping[str, str]:
    """Type of each column, from all files; the schema decides where they leave it open."""
    files = [read_schema(split_folder(item.path, name)) for item in examples for name in item.splits]
    types = input_types(files)
    if schema is None:
        return types
    for name, column in read_data_schema(schema.path).columns.items():
        if types.get(name) == "empty" and column.type != "any":
            types[name] = column.type
        elif (types.get(name), column.type) == ("int", "float"):
            types[name] = "float"
    return types


def _copy_span(examples: Sequence[Examples], transformed: Examples) -> None:
    newest = max(examples, key=lambda item: (item.span or 0, item.version or 0))
    if newest.span is not None:
        transformed.span = newest.span
    if newest.version is not None:
        transformed.version = newest.version
