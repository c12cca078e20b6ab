"""What BulkInferrer takes and gives; the work is in `executor`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tidemill.dsl.component import Input, Outputs, component
from tidemill.types.standard import Examples, InferenceResult, Model, ModelBlessing


class BulkInferrerOutputs(Outputs):
    """The predictions, by split."""

    inference_result: InferenceResult


@component(executor="tidemill.components.bulk_inferrer.executor:run")
def BulkInferrer(
    examples: Input[Examples],
    model: Input[Model],
    *,
    blessing: Input[ModelBlessing] | None = None,
    splits: Sequence[str] = (),
    outputs: Mapping[str, str] | None = None,
    carry: Sequence[str] | None = None,
    model_version_column: str = "model_version",
    predict_fn: Callable[..., Any] | None = None,
    allow_pickle: bool = False,
    allow_code: bool = False,
) -> BulkInferrerOutputs:
    """Predict every row of Examples, as Parquet files in the layout of Examples, in the same order.

    examples: raw rows; the model's own transform graph is applied to them.
    blessing: if it is given and not blessed, nothing is predicted: there are no splits; see `reason`.
    splits: which to predict; all unless given.
    outputs: which outputs of the model are written, and as which columns: `{"probability": "score"}`. By
        default all, under their own names. One of k values per row becomes a list of k.
    carry: columns of the examples that are written beside the predictions; all by default, `()` for none.
    model_version_column: column with the first 12 characters of the model's digest; "" for none.
    predict_fn: `predict_fn(model_dir: Path, rows: pyarrow.Table)`, called with up to 100,000 rows at a time,
        instead of the model's own flavor; returns one value per row, or a mapping of them by output.
    allow_pickle, allow_code: load a model that runs code when it is loaded. See Trainer.

    One row group is in memory at a time, whatever the number of rows, and the same input gives the same
    bytes. Sets `num_rows` and `model_version`.
    Errors: DataError for unknown splits, columns and outputs, for two columns of one name, and when there
    are not as many predictions as rows.
    """
