"""The state of one task: rows of any number of models go in, measures and changes come out.

States of different rows merge, and a batch can be any part of the rows. The tasks beside this file say which
columns and cells they keep, and which function of them each metric is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np

from tidemill.data.evaluation import Change, Interval, Measure, Plots, Task
from tidemill.data.evaluation_file import change_of
from tidemill.data.metrics.catalog import Asked, ask_all
from tidemill.data.metrics.tally import Batch, Floats, Formula, Ints, Slicing, Sums, count_cells, draws_of

_ENOUGH = 0.9
"""Share of the replicates in which a metric must have a value for its spread to be believed."""


class TaskState:
    """What all tasks have in common. Subclasses set `task` and fill in the methods below."""

    task: ClassVar[Task]

    def __init__(
        self, names: Sequence[str], models: int, slices: int, *, replicates: int = 0, confidence: float = 0.95
    ) -> None:
        """`names` are metrics of the task; `models` are told apart by their position; `slices` counts all
        slices, that of all rows included; `replicates` makes a bootstrap of so many."""
        self.asked = ask_all(names, self.task)
        self.models, self.slices = models, slices
        self.drawn = replicates
        self.confidence = confidence
        shared, own = self.columns_kept()
        self.sums = Sums(shared, own, models, slices, replicates)
        self.spoilt = np.zeros((models, slices))
        """Rows whose prediction is not a finite number."""
        self.weighted = False

    # --- what a task fills in ---------------------------------------------------------------------

    def columns_kept(self) -> tuple[list[str], list[str]]:
        """Names of the columns of a row, and of those of a row and a model. `weight` is the first."""
        raise NotImplementedError

    def columns(self, labels: Floats, predictions: Floats | None) -> Floats:
        """The columns: of the rows themselves, or of a model when `predictions` are given."""
        raise NotImplementedError

    def add_cells(self, batch: Batch, draws: Any) -> None:
        """Take in what is no sum."""

    def merge_cells(self, other: Any) -> None:
        """The same, of other rows."""

    def formula(self, asked: Asked) -> Formula | None:
        """The metric as a function of sums; None when it is none."""
        raise NotImplementedError

    def proportion(self, asked: Asked) -> Mapping[str, float] | None:
        """Which columns count the rows of which the metric is a share; None when it is no share of rows."""
        del asked
        return None

    def cell_values(self, asked: Asked, model: int) -> Floats:
        """A metric that is no function of sums, per slice."""
        raise NotImplementedError

    def cell_replicates(self, asked: Asked, model: int) -> Floats | None:
        """The same for each replicate."""
        del asked, model
        return None

    def cell_errors(self, asked: Asked, model: int) -> Floats | None:
        """Its standard error per slice, where there is a formula."""
        del asked, model
        return None

    def why(self, asked: Asked, model: int, at: int) -> str:
        """Why a metric has no value in slice number `at`."""
        raise NotImplementedError

    def plots(self, model: int) -> Plots:
        """What pictures of a model on all rows are drawn from."""
        del model
        return Plots()

    def notes(self) -> list[str]:
        """What a reader of the metrics should know."""
        return []

    # --- taking in --------------------------------------------------------------------------------

    def add(self, batch: Batch) -> None:
        """Take in rows."""
        if not len(batch):
            return
        self.weighted |= batch.weights is not None
        clean = []
        for model, predictions in enumerate(batch.predictions):
            good = np.isfinite(predictions)
            if not good.all():
                bad = ~(good if good.ndim == 1 else good.all(axis=1))
                for slicing in batch.slicings:
                    spoilt = Slicing(np.where(bad, slicing.codes, -1), slicing.start, slicing.stop)
                    count = np.zeros((self.slices, 1))
                    count_cells(count, np.zeros(len(batch), np.int64), spoilt, None)
                    self.spoilt[model] += count[:, 0]
                predictions = np.where(good, predictions, 0.0)
            clean.append(predictions)
        batch = replace(batch, predictions=tuple(clean))
        draws = draws_of(batch, self.drawn)
        with np.errstate(over="ignore", invalid="ignore"):
            parts = [self.columns(batch.labels, None)]
            parts += [self.columns(batch.labels, predictions) for predictions in clean]
            self.sums.add(np.concatenate(parts, axis=1), batch, draws)
        self.add_cells(batch, draws)

    def merge(self, other: Any) -> None:
        """Take in the state of other rows, of equal settings."""
        self.sums.merge(other.sums)
        self.spoilt += other.spoilt
        self.weighted |= other.weighted
        self.merge_cells(other)

    # --- answers ----------------------------------------------------------------------------------

    def rows(self, at: int) -> int:
        """Rows in a slice."""
        return int(self.sums.rows[at])

    def weight(self, at: int) -> float:
        """Sum of their weights."""
        return float(self.sums.sums[at, 0])

    def close(self) -> None:
        """To be called when all rows are in, before the questions below."""

    def measures(self, model: int) -> list[dict[str, Measure]]:
        """The metrics of a model in each slice."""
        found: list[dict[str, Measure]] = [{} for _ in range(self.slices)]
        for asked in self.asked:
            values = self._values(asked, model)
            lows, highs, method = self._ends(asked, model, values)
            for at in range(self.slices):
                if not np.isfinite(values[at]):
                    found[at][asked.name] = Measure(value=None, reason=self._reason(asked, model, at))
                    continue
                interval = None
                if np.isfinite(lows[at]) and np.isfinite(highs[at]):
                    interval = Interval(low=float(lows[at]), high=float(highs[at]), method=method)
                found[at][asked.name] = Measure(value=float(values[at]), interval=interval)
        return found

    def changes(self, model: int, baseline: int) -> list[dict[str, Change]]:
        """`model` minus `baseline` in each slice, with intervals of the paired difference."""
        found: list[dict[str, Change]] = [{} for _ in range(self.slices)]
        z = self._z()
        for asked in self.asked:
            new, old = self._values(asked, model), self._values(asked, baseline)
            errors, method = self._paired_errors(asked, model, baseline)
            for at in range(self.slices):
                both = bool(np.isfinite(new[at]) and np.isfinite(old[at]))
                interval = None
                if both and errors is not None and np.isfinite(errors[at]):
                    middle, half = float(new[at] - old[at]), z * float(errors[at])
                    interval = Interval(low=middle - half, high=middle + half, method=method)
                found[at][asked.name] = (
                    change_of(float(new[at]), float(old[at]), interval) if both else Change(value=None)
                )
        return found

    def has_error_formula(self, name: str, *, paired: bool) -> bool:
        """Whether intervals of a metric, or of its change, need no bootstrap."""
        asked = next(item for item in self.asked if item.name == name)
        return self.formula(asked) is not None or (asked.base == "auc" and not paired)

    def _z(self) -> float:
        return NormalDist().inv_cdf((1 + self.confidence) / 2)

    def _values(self, asked: Asked, model: int) -> Floats:
        formula = self.formula(asked)
        found = self.cell_values(asked, model) if formula is None else self.sums.values(formula, model)
        return np.where(self.spoilt[model] > 0, np.nan, found)

    def _reason(self, asked: Asked, model: int, at: int) -> str:
        if spoilt := int(self.spoilt[model, at]):
            return f"{spoilt} predictions are NaN or infinite"
        if not self.rows(at):
            return "there are no rows"
        return self.why(asked, model, at)

    def _ends(self, asked: Asked, model: int, values: Floats) -> tuple[Floats, Floats, str]:
        """Both ends of the intervals, NaN for none, and how they were found."""
        z = self._z()
        errors, method = self._errors(asked, model)
        if errors is None:
            return np.full(self.slices, np.nan), np.full(self.slices, np.nan), method
        share = self.proportion(asked)
        if share is not None and method == "analytic":
            return (*self._wilson(values, share, model, z), method)
        return values - z * errors, values + z * errors, method

    def _wilson(
        self, values: Floats, share: Mapping[str, float], model: int, z: float
    ) -> tuple[Floats, Floats]:
        """Wilson's score interval (1927) of a share of rows; weights count by the effective number of rows,
        (sum w)^2 / sum w^2. Unlike value +- z errors it has a width at 0 and 1."""
        direction = np.zeros(self.sums.sums.shape[1])
        names = (*self.sums.shared, *self.sums.own)
        for name, factor in share.items():
            direction[self.sums.at(model)[names.index(name)]] = factor
        with np.errstate(all="ignore"):
            squares = np.einsum("i,sij,j->s", direction, self.sums.moments, direction)
            count = (self.sums.sums @ direction) ** 2 / squares
            middle = (values + z * z / (2 * count)) / (1 + z * z / count)
            half = z * np.sqrt(values * (1 - values) / count + (z / (2 * count)) ** 2) / (1 + z * z / count)
        enough = self.sums.rows >= 2
        low, high = np.minimum(middle - half, values), np.maximum(middle + half, values)
        return np.where(enough, low, np.nan), np.where(enough, high, np.nan)

    def _errors(self, asked: Asked, model: int) -> tuple[Floats | None, str]:
        if self.drawn:
            drawn = self._drawn(asked, model)
            return (None if drawn is None else _spread(drawn)), "bootstrap"
        formula = self.formula(asked)
        if formula is None:
            return self.cell_errors(asked, model), "analytic"
        return self.sums.errors(self.sums.gradient(formula, model)), "analytic"

    def _paired_errors(self, asked: Asked, model: int, baseline: int) -> tuple[Floats | None, str]:
        if self.drawn:
            new, old = self._drawn(asked, model), self._drawn(asked, baseline)
            return (None if new is None or old is None else _spread(new - old)), "bootstrap"
        formula = self.formula(asked)
        if formula is None:
            return None, "analytic"
        gradient = self.sums.gradient(formula, model) - self.sums.gradient(formula, baseline)
        return self.sums.errors(gradient), "analytic"

    def _drawn(self, asked: Asked, model: int) -> Floats | None:
        formula = self.formula(asked)
        if formula is None:
            return self.cell_replicates(asked, model)
        return self.sums.replicated(formula, model)


def _spread(drawn: Floats) -> Floats:
    """Standard deviation over replicates (first axis); NaN where too many of them have no value."""
    known = np.isfinite(drawn)
    count = known.sum(axis=0)
    with np.errstate(all="ignore"):
        middle = np.where(known, drawn, 0.0).sum(axis=0) / count
        squares = np.where(known, (drawn - middle) ** 2, 0.0).sum(axis=0)
        found: Floats = np.sqrt(squares / (count - 1))
    found[count < max(2.0, _ENOUGH * len(drawn))] = np.nan
    return found


def indices(values: Floats) -> Ints:
    """Floats that are whole numbers, as such."""
    found: Ints = values.astype(np.int64)
    return found
