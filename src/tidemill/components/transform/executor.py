"""Transform's work: trace, fit, apply split by split, one row group in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tidemill.data.analyze import analyze_split, analyze_tables
from tidemill.data.dataset import Dataset
from tidemill.data.engine import Backend, open_backend
from tidemill.data.engine.states_file import StatesFiles
from tidemill.data.parquet import read_schema, split_folder
from tidemill.data.schema_file import read_schema as read_data_schema
from tidemill.data.statistics import SplitStatistics, Statistics, write_statistics
from tidemill.data.transform import FittedGraph, trace
from tidemill.data.transform.apply import transform_split, transformed_tables
from tidemill.data.transform.fit import fit, input_types
from tidemill.errors import DataError, did_you_mean
from tidemill.types.standard import Examples, ExampleStatistics, Schema, TransformCache, TransformGraph


def run(
    *,
    examples: Sequence[Examples],
    preprocessing_fn: Callable[..., Any],
    transform_graph: TransformGraph,
    transformed: Examples,
    analyzer_cache: TransformCache | None = None,
    pre_transform_statistics: ExampleStatistics | None = None,
    post_transform_statistics: ExampleStatistics | None = None,
    schema: Schema | None = None,
    previous_cache: TransformCache | Sequence[TransformCache] | None = None,
    analyze_splits: Sequence[str] = ("train",),
    transform_splits: Sequence[str] = (),
    materialize: bool = True,
    statistics: bool = True,
    backend: str = "auto",
    backend_options: Sequence[str] = (),
) -> None:
    """Write the fitted graph, the transformed examples and the rest; see the component."""
    splits = _splits(examples, transform_splits)
    analyzed = Dataset.of(examples, analyze_splits)
    graph = trace(preprocessing_fn, _types(examples, schema))
    earlier = [previous_cache] if isinstance(previous_cache, TransformCache) else list(previous_cache or ())
    kept = StatesFiles(cache.path for cache in earlier) if earlier or analyzer_cache is not None else None
    with open_backend(backend, backend_options) as opened:
        fitted = FittedGraph(fit(graph, analyzed, backend=opened, kept=kept))
        fitted.graph.save(transform_graph.path)
        print(f"{graph.source}: {len(graph.outputs)} outputs of {len(graph.inputs)} columns")
        if for_training := [name for name in graph.outputs if name not in fitted.features]:
            print(f"not for serving, as they need a label: {', '.join(for_training)}")
        if kept is not None and earlier:
            print(f"{kept.found} states of files were taken from earlier caches")
        if kept is not None and analyzer_cache is not None:
            kept.write(analyzer_cache.path)
        _copy_span(examples, transformed)
        transformed.splits = splits if materialize else []
        transformed.num_rows = 0
        if materialize:
            rows = _apply(fitted, examples, splits, transformed)
            transformed.num_rows = sum(rows.values())
        if pre_transform_statistics is not None:
            before = _before(examples, analyze_splits, opened) if statistics else {}
            _write(pre_transform_statistics, before, examples)
        if post_transform_statistics is not None:
            after = _after(fitted, examples, splits, transformed, opened) if statistics else {}
            _write(post_transform_statistics, after, examples)


def _splits(examples: Sequence[Examples], wanted: Sequence[str]) -> list[str]:
    known = list(dict.fromkeys(name for item in examples for name in item.splits))
    if not known:
        raise DataError("the examples record no splits", hint="were they published by ExampleGen?")
    for name in wanted:
        if name not in known:
            raise DataError(f"no examples have a split {name!r}", hint=did_you_mean(name, known))
    return list(dict.fromkeys(wanted)) or known


def _apply(
    fitted: FittedGraph, examples: Sequence[Examples], splits: Sequence[str], transformed: Examples
) -> dict[str, int]:
    """Write every split; rows by split."""
    counts = {}
    for name in splits:
        rows = Dataset.of(examples, [name])
        counts[name] = transform_split(fitted, rows, split_folder(transformed.path, name))
        print(f"{name}: {counts[name]} rows")
    return counts


def _before(
    examples: Sequence[Examples], splits: Sequence[str], backend: Backend
) -> dict[str, SplitStatistics]:
    names = dict.fromkeys(splits)
    return {name: analyze_split(Dataset.of(examples, [name]), backend=backend) for name in names}


def _after(
    fitted: FittedGraph,
    examples: Sequence[Examples],
    splits: Sequence[str],
    transformed: Examples,
    backend: Backend,
) -> dict[str, SplitStatistics]:
    if transformed.splits:
        return {name: analyze_split(split_folder(transformed.path, name), backend=backend) for name in splits}
    return {
        name: analyze_tables(transformed_tables(fitted, Dataset.of(examples, [name])), fitted.arrow_schema)
        for name in splits
    }


def _write(
    artifact: ExampleStatistics, found: Mapping[str, SplitStatistics], examples: Sequence[Examples]
) -> None:
    artifact.splits = list(found)
    artifact.num_rows = sum(split.num_rows for split in found.values())
    span = _newest(examples).span
    if span is not None:
        artifact.span = span
    if found:
        write_statistics(artifact.path, Statistics(splits=dict(found)))


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
    newest = _newest(examples)
    if newest.span is not None:
        transformed.span = newest.span
    if newest.version is not None:
        transformed.version = newest.version


def _newest(examples: Sequence[Examples]) -> Examples:
    return max(examples, key=lambda item: (item.span or 0, item.version or 0))
