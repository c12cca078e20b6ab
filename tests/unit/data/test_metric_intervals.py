"""Intervals against repeated draws and each other, the bootstrap's weights, and metrics of the user's own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tidemill.data.evaluation import Task
from tidemill.data.metrics import Batch, Slicing, compute, make_state, whole
from tidemill.data.metrics.binary import BinaryState
from tidemill.data.metrics.custom import OwnState
from tidemill.data.metrics.resample import poisson_weights
from tidemill.errors import DataError

Floats = Any

DRAWS = {
    "classification": [
        "accuracy",
        "auc",
        "brier",
        "f1",
        "precision",
        "recall",
        "log_loss",
        "balanced_accuracy",
    ],
    "regression": ["mae", "rmse", "r2", "mape"],
}


def drawn(task: str, rng: np.random.Generator, count: int) -> tuple[Floats, Floats, Floats]:
    """Labels and the predictions of two models, the first of them better."""
    if task == "classification":
        labels = (rng.random(count) < 0.35).astype(float)
        common = labels * 0.3 + rng.random(count) * 0.7
        return labels, common, np.clip(common + rng.normal(0, 0.1, count), 0, 1)
    labels = rng.normal(50, 5, count)
    return labels, labels + rng.normal(0, 2, count), labels + rng.normal(0.5, 2.2, count)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_intervals_cover_the_truth_about_as_often_as_they_say(task: Task) -> None:
    rng = np.random.default_rng(3)
    names = DRAWS[task]
    labels, one, two = drawn(task, rng, 100_000)
    truth = compute(names, labels, one, task=task)
    gap = {n: truth[n].value - compute(names, labels, two, task=task)[n].value for n in names}
    covered, paired, tries = dict.fromkeys(names, 0), dict.fromkeys(names, 0), 150
    for _ in range(tries):
        labels, one, two = drawn(task, rng, 400)
        state = make_state(task, names, models=2)
        state.add(Batch(labels, (one, two), (whole(400),)))
        changes = state.changes(0, 1)[0]
        for name, measure in state.measures(0)[0].items():
            covered[name] += measure.interval.low <= truth[name].value <= measure.interval.high
            ends = changes[name].interval
            paired[name] += ends is not None and ends.low <= gap[name] <= ends.high
    for name in names:
        assert 0.89 <= covered[name] / tries <= 0.99, name
        if name != "auc":
            assert 0.89 <= paired[name] / tries <= 0.99, name


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_bootstrap_agrees_with_the_formulas(task: Task) -> None:
    names = DRAWS[task]
    labels, one, two = drawn(task, np.random.default_rng(8), 5000)
    batch = Batch(labels, (one, two), (whole(5000),))
    formula, bootstrap = (make_state(task, names, models=2, replicates=r) for r in (0, 400))
    formula.add(batch)
    bootstrap.add(batch)
    for expected, found in (
        (formula.measures(0)[0], bootstrap.measures(0)[0]),
        (formula.changes(0, 1)[0], bootstrap.changes(0, 1)[0]),
    ):
        for name, measure in expected.items():
            if measure.interval is not None:
                assert found[name].interval.method == "bootstrap"
                width = found[name].interval.high - found[name].interval.low
                assert width == pytest.approx(measure.interval.high - measure.interval.low, rel=0.2), name
    assert bootstrap.changes(0, 1)[0]["rmse" if task == "regression" else "auc"].interval is not None


def test_replicates_of_many_slices_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidemill.data.metrics.tally.MOST_DRAWN", 3 * 20 * 800)
    labels, one, two = drawn("classification", np.random.default_rng(1), 300)
    codes = np.arange(300) % 2
    slicings = (whole(300), Slicing(codes + 1, 1, 3), Slicing(codes + 3, 3, 5))
    state = make_state("classification", ["auc", "brier"], models=2, slices=5, replicates=20)
    state.add(Batch(labels, (one, two), slicings))
    found = state.changes(0, 1)
    assert [change["auc"].interval is not None for change in found] == [True, True, True, False, False]
    assert all(change["brier"].interval is not None for change in found)
    assert state.notes() == ["the bootstrap of areas and counts covers the first 3 of 5 slices"]


def test_a_share_of_1_has_an_interval_with_a_width_and_two_equal_models_have_none() -> None:
    labels = np.array([1.0, 0.0] * 10)
    found = compute(["accuracy"], labels, labels, task="classification")["accuracy"].interval
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(0.8389, abs=1e-4), pytest.approx(1.0))
    state = BinaryState(["brier"], 2, 1)
    state.add(Batch(labels, (labels * 0.8, labels * 0.8), (whole(20),)))
    change = state.changes(0, 1)[0]["brier"].interval
    assert change is not None
    assert (change.low, change.high) == (0.0, 0.0)
    one = compute(["accuracy"], labels[:1], labels[:1], task="classification")["accuracy"]
    assert (one.value, one.interval) == (1.0, None)


def test_bootstrap_weights_are_poisson_and_always_the_same() -> None:
    rows = np.arange(20_000, dtype=np.uint64)
    weights = poisson_weights(rows, 10)
    assert weights.shape == (20_000, 10)
    assert weights.mean() == pytest.approx(1, abs=0.01)
    assert weights.var() == pytest.approx(1, abs=0.02)
    assert abs(np.corrcoef(weights.T.astype(float)) - np.eye(10)).max() < 0.03
    assert (poisson_weights(rows[5:9], 10) == weights[5:9]).all()
    # golden: intervals in artifacts depend on these
    assert poisson_weights(rows[:3], 6).tolist() == GOLDEN


GOLDEN = [[1, 2, 0, 1, 0, 1], [2, 0, 2, 0, 0, 1], [1, 0, 1, 2, 1, 1]]


# --- own metrics ----------------------------------------------------------------------------------


class Cost:
    """Misses cost 40, false alarms 1."""

    direction = "lower"

    def __init__(self) -> None:
        self.cost = self.weight = 0.0

    def add(self, labels: Floats, predictions: Floats, weights: Floats) -> None:
        called = predictions >= 0.5
        self.cost += float((weights * (40 * labels * ~called + (1 - labels) * called)).sum())
        self.weight += float(weights.sum())

    def merge(self, other: Cost) -> None:
        self.cost += other.cost
        self.weight += other.weight

    def finish(self) -> float:
        return self.cost / self.weight


def test_own_metrics_are_classes_whose_states_merge() -> None:
    labels, scores = np.array([1.0, 0, 1, 0]), np.array([0.2, 0.6, 0.7, 0.1])
    slicings = (whole(4), Slicing(np.array([1, 1, -1, -1]), 1, 3))
    one, two = OwnState([Cost], 1, 3), OwnState([Cost], 1, 3)
    one.add(Batch(labels, (scores,), slicings))
    two.add(Batch(labels, (scores,), slicings, np.array([3.0, 1, 1, 1])))
    assert one.measures(0, 0)["cost"].value == 41 / 4
    assert one.measures(0, 1)["cost"].value == 41 / 2
    assert one.measures(0, 2)["cost"].reason == "there are no rows"
    one.merge(two)
    assert one.measures(0, 0)["cost"].value == (41 + 121) / 10


@pytest.mark.parametrize(
    ("metric", "message"), [(dict, "no metric: it has no add"), (type("Auc", (Cost,), {}), "'auc' is taken")]
)
def test_what_is_no_metric_is_refused(metric: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        OwnState([metric], 1, 1)


def test_an_own_metric_may_have_no_value() -> None:
    class Odd(Cost):
        def finish(self) -> Any:
            return math.nan if self.cost else "x"

    state = OwnState([Odd], 1, 1)
    state.rows[0] = 1
    with pytest.raises(DataError, match="did not return a number"):
        state.measures(0, 0)
    state.add(Batch(np.ones(1), (np.zeros(1),), (whole(1),)))
    assert state.measures(0, 0)["odd"].reason == "odd returned nan"
