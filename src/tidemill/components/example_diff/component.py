"""What ExampleDiff takes and gives; the work is in `executor`."""

from __future__ import annotations

from collections.abc import Sequence

from tidemill.dsl.component import Input, Outputs, component
from tidemill.types.standard import Examples, ExamplesDiff


class ExampleDiffOutputs(Outputs):
    """What differs, by row and by column."""

    diff: ExamplesDiff


@component(executor="tidemill.components.example_diff.executor:run")
def ExampleDiff(
    examples: Input[Examples],
    baseline_examples: Input[Examples],
    *,
    keys: Sequence[str],
    columns: Sequence[str] = (),
    exclude_columns: Sequence[str] = (),
    exclude_splits: Sequence[str] = (),
    tolerance: float = 0.0,
    samples: int = 20,
    fail: bool = False,
) -> ExampleDiffOutputs:
    """Pair the rows of two Examples by their keys, and say which are new, gone or changed, and where.

    keys: columns that name a row, on both sides. Rows with equal keys are paired in their order.
    columns: what to compare; all that both sides have unless given.
    exclude_columns: columns to leave out, such as the time of loading.
    exclude_splits: splits to leave out; the others must be on both sides.
    tolerance: numbers that are at most so far apart are the same. NaN is the same as NaN.
    samples: rows of each sort to show, those with the smallest keys.
    fail: whether any difference fails the node.

    Writes `examples_diff.json` with the numbers of rows on each side, paired, changed, per column, and the
    samples. The diff gets `num_left_only`, `num_right_only` and `num_changed`; left is `examples`. Memory is
    bounded: rows are first spread over files by a hash of their keys.
    Errors: DataError for an unknown split or column, and keys of different types; ValidationFailed with
    `fail`, after the file is written.
    """
