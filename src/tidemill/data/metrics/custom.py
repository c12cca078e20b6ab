"""Metrics of the user's own, as classes whose states merge.

    class Cost:
        direction = "lower"

        def __init__(self) -> None:
            self.cost = self.weight = 0.0

        def add(self, labels, predictions, weights) -> None:
            self.cost += float((weights * (predictions < 0.5) * labels * 40).sum())
            self.weight += float(weights.sum())

        def merge(self, other) -> None:
            self.cost += other.cost
            self.weight += other.weight

        def finish(self) -> float:
            return self.cost / self.weight

One object is made for each slice and model, and each sees its own rows only, in any number of batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from tidemill.data.evaluation import Measure
from tidemill.data.metrics.catalog import tasks_of
from tidemill.data.metrics.tally import Batch, Floats, groups
from tidemill.errors import DataError


class OwnMetric(Protocol):
    """The state of a metric on some rows. `direction` ("higher" or "lower") is for thresholds on changes, and
    `name` what it is called if not as its class."""

    def add(self, labels: Floats, predictions: Floats, weights: Floats) -> None:
        """Take in rows; weights are 1 where there are none."""

    def merge(self, other: Any) -> None:
        """Take in a state of the same class."""

    def finish(self) -> float:
        """The metric of all rows taken in; NaN where it has no value."""


MakeMetric = Callable[[], OwnMetric]


def name_of(make: MakeMetric) -> str:
    """What a metric is called: its class in lower_case, or its attribute `name`."""
    given = getattr(make, "name", None) or getattr(make, "__name__", type(make).__name__)
    text = "".join(f"_{c.lower()}" if c.isupper() else c for c in str(given))
    return text.lstrip("_")


def directions_of(makes: Sequence[MakeMetric]) -> dict[str, Any]:
    """Which way is better, of those that say so."""
    found = {name_of(make): getattr(make, "direction", None) for make in makes}
    return {name: way for name, way in found.items() if way is not None}


class OwnState:
    """The user's metrics of all models and slices."""

    def __init__(self, makes: Sequence[MakeMetric], models: int, slices: int) -> None:
        self.names = [name_of(make) for make in makes]
        for name in self.names:
            if tasks_of(name) or self.names.count(name) > 1:
                raise DataError(
                    f"the name of the metric {name!r} is taken", hint="give its class an attribute `name`"
                )
        self.states = [[[_made(make) for make in makes] for _ in range(slices)] for _ in range(models)]
        self.rows = np.zeros(slices, np.int64)

    def add(self, batch: Batch) -> None:
        """Take in rows."""
        if not self.names:
            return
        weights = np.ones(len(batch)) if batch.weights is None else batch.weights
        for slicing in batch.slicings:
            for number, rows in groups(slicing):
                self.rows[number] += len(batch.labels[rows])
                for model, predictions in enumerate(batch.predictions):
                    for state in self.states[model][number]:
                        state.add(batch.labels[rows], predictions[rows], weights[rows])

    def merge(self, other: OwnState) -> None:
        """Take in the state of other rows."""
        self.rows += other.rows
        for mine, theirs in zip(self.states, other.states, strict=True):
            for ours, more in zip(mine, theirs, strict=True):
                for state, another in zip(ours, more, strict=True):
                    state.merge(another)

    def measures(self, model: int, at: int) -> dict[str, Measure]:
        """The metrics of a model in a slice."""
        found = {}
        for name, state in zip(self.names, self.states[model][at], strict=True):
            if not self.rows[at]:
                found[name] = Measure(value=None, reason="there are no rows")
                continue
            try:
                value = float(state.finish())
            except (TypeError, ValueError) as error:
                raise DataError(f"the metric {name!r} did not return a number: {error}") from None
            except ZeroDivisionError:
                value = math.nan
            found[name] = (
                Measure(value=value)
                if math.isfinite(value)
                else Measure(value=None, reason=f"{name} returned {value}")
            )
        return found


def _made(make: MakeMetric) -> OwnMetric:
    state = make()
    lacking = [part for part in ("add", "merge", "finish") if not callable(getattr(state, part, None))]
    if lacking:
        raise DataError(
            f"{name_of(make)!r} is no metric: it has no {lacking[0]}()",
            hint="a metric is a class with add(labels, predictions, weights), merge(other) and finish()",
        )
    return state
