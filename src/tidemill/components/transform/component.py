"""What Transform takes and gives; the work is in `executor`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from tidemill.dsl.component import Input, Outputs, component
from tidemill.types.standard import Examples, ExampleStatistics, Schema, TransformCache, TransformGraph


class TransformOutputs(Outputs):
    """The fitted graph, the examples it was applied to, and what was seen on the way."""

    transform_graph: TransformGraph
    transformed: Examples
    analyzer_cache: TransformCache
    pre_transform_statistics: ExampleStatistics
    post_transform_statistics: ExampleStatistics


@component(executor="tidemill.components.transform.executor:run")
def Transform(
    examples: Input[Examples | list[Examples]],
    preprocessing_fn: Callable[..., Any],
    *,
    schema: Input[Schema] | None = None,
    previous_cache: Input[TransformCache | list[TransformCache]] | None = None,
    analyze_splits: Sequence[str] = ("train",),
    transform_splits: Sequence[str] = (),
    materialize: bool = True,
    statistics: bool = True,
    backend: Literal["auto", "inline", "pool", "beam", "ray"] = "auto",
    backend_options: Sequence[str] = (),
) -> TransformOutputs:
    """Fit a preprocessing function to the data, and apply it.

    preprocessing_fn: called once with symbolic columns by name; returns the output columns by name. It is
        written with the functions of `tidemill.data.transform`.
    schema: types of columns in which the examples have no value at all.
    previous_cache: analyzer caches of earlier Transforms: files that they analyzed in the same way are not
        read again, as in a rolling window of spans.
    analyze_splits: what means, quantiles and vocabularies are taken from, over all examples.
    transform_splits: the splits to apply it to; all by default.
    materialize: whether to write the transformed examples; without, `transformed` has no splits.
    statistics: whether to write statistics of the columns before (of the analyzed splits) and after (of the
        transformed splits); without, these artifacts have no splits.
    backend, backend_options: where rows are analyzed, as for StatisticsGen. It changes no byte of the result.

    Writes `graph.json`: the function as data, with the fitted values and without code; load it with
    `tidemill.data.transform.FittedGraph.load`. The transformed examples have the splits of the input, all
    rows in order, and the newest `span`.
    Errors: DataError for an unknown column or a wrong type (with the line of preprocessing_fn), columns
    whose types contradict, an unknown split or backend, and no rows to analyze.
    """
