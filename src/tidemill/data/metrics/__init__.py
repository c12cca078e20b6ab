"""How good predictions are: mergeable states of metrics, per slice, with intervals.

A state takes in batches of rows, merges with the state of other rows, and answers for all of them; its memory
does not grow with the rows. A metric that has no value for the rows it is given (an AUC of one class only) is
None with a reason, never a made-up number. This room knows arrays; where rows come from, what is demanded of
a metric and what follows from it is the Evaluator's affair.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tidemill.data.evaluation import Measure, Task
from tidemill.data.metrics.binary import BinaryState
from tidemill.data.metrics.catalog import METRICS, USUAL, Direction, ask, direction_of, names_of, tasks_of
from tidemill.data.metrics.custom import OwnMetric
from tidemill.data.metrics.multiclass import MulticlassState
from tidemill.data.metrics.ranking import RankingState
from tidemill.data.metrics.regression import RegressionState
from tidemill.data.metrics.state import TaskState
from tidemill.data.metrics.tally import Batch, Floats, Slicing, whole

__all__ = [
    "METRICS", "USUAL", "Batch", "BinaryState", "Direction", "MulticlassState", "OwnMetric", "RankingState",
    "RegressionState", "Slicing", "TaskState", "ask", "compute", "direction_of", "make_state", "names_of",
    "tasks_of", "whole",
]  # fmt: skip


def make_state(
    task: Task, names: Sequence[str], *, models: int = 1, slices: int = 1, classes: Sequence[str] = (),
    replicates: int = 0, confidence: float = 0.95,
) -> TaskState:  # fmt: skip
    """An empty state for the metrics `names` of a task. DataError for names that the task does not know."""
    if task == "multiclass":
        return MulticlassState(
            names, models, slices, classes=classes, replicates=replicates, confidence=confidence
        )
    kinds: dict[str, type[TaskState]] = {
        "classification": BinaryState, "regression": RegressionState, "ranking": RankingState,
    }  # fmt: skip
    return kinds[task](names, models, slices, replicates=replicates, confidence=confidence)


def compute(
    names: Sequence[str], labels: Floats, predictions: Floats, *, task: Task, weights: Floats | None = None,
    classes: Sequence[str] = (), replicates: int = 0,
) -> dict[str, Measure]:  # fmt: skip
    """The metrics of arrays that are at hand. For rankings use RankingState, which needs queries."""
    state = make_state(task, names, classes=classes, replicates=replicates)
    rows = np.arange(len(labels), dtype=np.uint64)
    state.add(Batch(labels, (predictions,), (whole(len(labels)),), weights, rows))
    state.close()
    return state.measures(0)[0]
