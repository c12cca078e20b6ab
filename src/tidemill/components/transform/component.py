"""What Transform takes and gives; the work is in `executor`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tidemill.dsl.component import Input, Outputs, component
from tidemill.types.standard import Examples, Schema, TransformGraph


class TransformOutputs(Outputs):
    """The fitted graph, and the examples it was applied to."""

    transform_graph: TransformGraph
    transformed: Examples


@component(executor="tidemill.components.transform.executor:run")
def Transform(
    examples: Input[Examples | list[Examples]],
    preprocessing_fn: Callable[..., Any],
    *,
    schema: Input[Schema] | None = None,
    analyze_splits: Sequence[str] = ("train",),
    materialize: bool = True,
) -> TransformOutputs:
    """Fit a preprocessing function to the data, and apply it.

    preprocessing_fn: called once with symbolic columns by name; returns the output columns by name. It is
        written with the functions of `tidemill.data.transform`.
    schema: types of columns in which the examples have no value at all.
    analyze_splits: what means, quantiles and vocabularies are taken from, over all examples.
    materialize: whether to write the transformed examples; without, `transformed` has no splits.

    Writes `graph.json`: the function as data, with the fitted values and without code; load it with
    `tidemill.data.transform.FittedGraph.load`. The transformed examples have the splits of the input, all
    rows in order, and the newest `span`.
    Errors: DataError for an unknown column or a wrong type (with the line of preprocessing_fn), columns
    whose types contradict, an unknown split, and no rows to analyze.
    """
