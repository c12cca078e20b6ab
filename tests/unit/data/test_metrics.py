"""Metrics against scikit-learn, and merged halves against the whole."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as oracle
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.data.evaluation import Task
from tidemill.data.metrics import Batch, Slicing, compute, make_state, names_of, whole
from tidemill.data.metrics.binary import BinaryState
from tidemill.data.metrics.scores import BINS, EDGES, bins_of
from tidemill.errors import DataError

Floats = Any


def confusion(labels: Floats, scores: Floats, weights: Floats) -> Any:
    return oracle.confusion_matrix(labels, scores >= 0.5, sample_weight=weights, labels=[0, 1]).ravel()


BINARY: dict[str, Callable[[Floats, Floats, Floats], float]] = {
    "accuracy": lambda y, p, w: oracle.accuracy_score(y, p >= 0.5, sample_weight=w),
    "auc": lambda y, p, w: oracle.roc_auc_score(y, p, sample_weight=w),
    "balanced_accuracy": lambda y, p, w: oracle.balanced_accuracy_score(y, p >= 0.5, sample_weight=w),
    "base_rate": lambda y, p, w: np.average(y, weights=w),
    "brier": lambda y, p, w: oracle.brier_score_loss(y, p, sample_weight=w),
    "calibration": lambda y, p, w: np.average(p, weights=w) / np.average(y, weights=w),
    "f1": lambda y, p, w: oracle.f1_score(y, p >= 0.5, sample_weight=w),
    "f1@0.25": lambda y, p, w: oracle.f1_score(y, p >= 0.25, sample_weight=w),
    "log_loss": lambda y, p, w: oracle.log_loss(
        y, np.clip(p, 1e-15, 1 - 1e-15), labels=[0, 1], sample_weight=w
    ),
    "mean_prediction": lambda y, p, w: np.average(p, weights=w),
    "pr_auc": lambda y, p, w: oracle.average_precision_score(y, p, sample_weight=w),
    "precision": lambda y, p, w: oracle.precision_score(y, p >= 0.5, zero_division=math.nan, sample_weight=w),
    "recall": lambda y, p, w: oracle.recall_score(y, p >= 0.5, sample_weight=w),
    "recall@0.25": lambda y, p, w: oracle.recall_score(y, p >= 0.25, sample_weight=w),
    "selection_rate": lambda y, p, w: np.average(p >= 0.5, weights=w),
    "specificity": lambda y, p, w: oracle.recall_score(y, p >= 0.5, pos_label=0, sample_weight=w),
    "false_positive_rate": lambda y, p, w: 1 - oracle.recall_score(y, p >= 0.5, pos_label=0, sample_weight=w),
    "false_negative_rate": lambda y, p, w: 1 - oracle.recall_score(y, p >= 0.5, sample_weight=w),
}
REGRESSION: dict[str, Callable[[Floats, Floats, Floats], float]] = {
    "mae": lambda y, p, w: oracle.mean_absolute_error(y, p, sample_weight=w),
    "mape": lambda y, p, w: oracle.mean_absolute_percentage_error(y, p, sample_weight=w),
    "mse": lambda y, p, w: oracle.mean_squared_error(y, p, sample_weight=w),
    "r2": lambda y, p, w: oracle.r2_score(y, p, sample_weight=w),
    "rmse": lambda y, p, w: oracle.root_mean_squared_error(y, p, sample_weight=w),
    "mean_error": lambda y, p, w: np.average(p - y, weights=w),
}

ROWS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.floats(0, 1) | st.sampled_from([0.0, 0.25, 0.5, 1.0]),
        st.floats(0.125, 4),
    ),
    min_size=2,
    max_size=40,
).filter(lambda rows: len({label for label, *_ in rows}) == 2)


def value(name: str, *arrays: Floats, task: Task, weights: Floats = None, **more: Any) -> float:
    found = compute([name], *arrays, task=task, weights=weights, **more)[name].value
    return math.nan if found is None else found


@settings(max_examples=25, deadline=None)
@given(ROWS, st.booleans())
def test_classification_metrics_equal_scikit_learn(rows: list[Any], weighted: bool) -> None:
    labels, scores, weights = np.array(rows, dtype=float).T
    weights = weights if weighted else None
    found = compute(list(BINARY), labels, scores, task="classification", weights=weights)
    for name, expected in BINARY.items():
        measured = found[name].value
        assert (math.nan if measured is None else measured) == pytest.approx(
            expected(labels, scores, weights), rel=1e-9, abs=1e-12, nan_ok=True
        ), name


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.floats(0.125, 4)), min_size=2, max_size=40
    ),
    st.booleans(),
)
def test_regression_metrics_equal_scikit_learn(rows: list[Any], weighted: bool) -> None:
    labels, values, weights = np.array(rows).T
    labels = labels + 1000.5  # none is 0, as mape wants it
    weights = weights if weighted else None
    found = compute(list(REGRESSION), labels, values, task="regression", weights=weights)
    for name, expected in REGRESSION.items():
        if name != "r2" or np.ptp(labels) > 1e-3:
            assert found[name].value == pytest.approx(
                expected(labels, values, weights), rel=1e-6, abs=1e-9
            ), name


MULTICLASS: dict[str, Callable[[Floats, Floats, Floats], float]] = {
    "accuracy": lambda y, p, w: oracle.accuracy_score(y, p.argmax(1), sample_weight=w),
    "balanced_accuracy": lambda y, p, w: oracle.balanced_accuracy_score(y, p.argmax(1), sample_weight=w),
    "log_loss": lambda y, p, w: oracle.log_loss(y, p, labels=range(4), sample_weight=w),
    "macro_f1": lambda y, p, w: oracle.f1_score(y, p.argmax(1), average="macro", sample_weight=w),
    "macro_precision": lambda y, p, w: oracle.precision_score(
        y, p.argmax(1), average="macro", zero_division=0, sample_weight=w
    ),
    "macro_recall": lambda y, p, w: oracle.recall_score(
        y, p.argmax(1), average="macro", zero_division=0, sample_weight=w
    ),
    "micro_f1": lambda y, p, w: oracle.f1_score(y, p.argmax(1), average="micro", sample_weight=w),
    "weighted_f1": lambda y, p, w: oracle.f1_score(y, p.argmax(1), average="weighted", sample_weight=w),
    "top_k_accuracy@2": lambda y, p, w: oracle.top_k_accuracy_score(
        y, p, k=2, labels=range(4), sample_weight=w
    ),
}


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 60), st.integers(0, 2**32 - 1), st.booleans())
def test_multiclass_metrics_equal_scikit_learn(count: int, seed: int, weighted: bool) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, count).astype(float)
    scores = rng.dirichlet(np.ones(4), count)
    weights = rng.random(count) + 0.1 if weighted else None
    found = compute(list(MULTICLASS), labels, scores, task="multiclass", weights=weights, classes="abcd")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of classes that are only predicted
        for name, expected in MULTICLASS.items():
            assert found[name].value == pytest.approx(expected(labels, scores, weights)), name


def ranked(names: list[str], queries: Floats, labels: Floats, scores: Floats, **more: Any) -> Any:
    state = make_state("ranking", names, **more)
    hashes = queries.astype(np.uint64)
    rows = np.arange(len(labels), dtype=np.uint64)
    cut = len(labels) // 3
    for part in (slice(0, cut), slice(cut, None)):
        count = len(labels[part])
        state.add(Batch(labels[part], (scores[part],), (whole(count),), None, rows[part], hashes[part]))
    return state


def by_hand(labels: Floats, scores: Floats, k: int) -> dict[str, float]:
    order = labels[np.argsort(-scores)]
    hits = np.flatnonzero(order > 0)
    top = hits[hits < k]
    return {
        f"ndcg@{k}": float(oracle.ndcg_score([labels], [scores], k=k)) if len(labels) > 1 else 1.0,
        f"recall@{k}": len(top) / len(hits),
        f"precision@{k}": len(top) / k,
        f"hit_rate@{k}": float(len(top) > 0),
        f"mrr@{k}": 1 / (top[0] + 1) if len(top) else 0.0,
        f"map@{k}": sum((i + 1) / (place + 1) for i, place in enumerate(top)) / min(len(hits), k),
    }


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 80), st.integers(1, 12), st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 10]))
def test_ranking_metrics_equal_a_calculation_query_by_query(
    count: int, queries: int, seed: int, k: int
) -> None:
    rng = np.random.default_rng(seed)
    query = rng.integers(0, queries, count)
    labels, scores = rng.integers(0, 3, count).astype(float), rng.permutation(count) / count
    groups = [np.flatnonzero(query == q) for q in range(queries)]
    useful = [rows for rows in groups if len(rows) and labels[rows].max() > 0]
    state = ranked([*by_hand(np.array([1.0]), np.array([1.0]), k), "map"], query, labels, scores)
    state.close()
    found = state.measures(0)[0]
    if not useful:
        assert found["map"].value is None
        assert "relevant" in found["map"].reason
        return
    expected = [by_hand(labels[rows], scores[rows], k) for rows in useful]
    for name in expected[0]:
        assert found[name].value == pytest.approx(np.mean([each[name] for each in expected])), name
    lrap = [oracle.label_ranking_average_precision_score([labels[r] > 0], [scores[r]]) for r in useful]
    assert found["map"].value == pytest.approx(np.mean(lrap))


def test_rows_of_a_ranking_wait_in_files_when_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    query, labels, scores = rng.integers(0, 50, 3000), rng.integers(0, 2, 3000) * 1.0, rng.random(3000)
    at_once = ranked(["ndcg@5", "mrr"], query, labels, scores)
    at_once.close()
    monkeypatch.setattr("tidemill.data.metrics.ranking.IN_MEMORY", 500)
    spilled = ranked(["ndcg@5", "mrr"], query, labels, scores)
    assert spilled.folder is not None
    assert not spilled.waiting
    spilled.close()
    assert spilled.folder is None
    for name, measure in at_once.measures(0)[0].items():
        assert spilled.measures(0)[0][name].value == pytest.approx(measure.value, rel=1e-12)


def test_equal_scores_favour_nobody() -> None:
    """Sorted data, the relevant row first, and a model that says the same of all: no better than chance."""
    query = np.repeat(np.arange(2000), 5)
    labels = np.tile([1.0, 0, 0, 0, 0], 2000)
    state = ranked(["mrr"], query, labels, np.zeros(10_000))
    state.close()
    assert state.measures(0)[0]["mrr"].value == pytest.approx(np.mean(1 / np.arange(1, 6)), abs=0.02)


# --- many scores ----------------------------------------------------------------------------------


def test_areas_of_many_scores_are_off_by_no_more_than_they_say() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random(60_000) < 0.3).astype(float)
    scores = np.clip(labels * 0.2 + rng.random(60_000) * 0.8, 0, 1) ** 3
    state = BinaryState(["auc", "pr_auc"], 1, 1)
    state.add(Batch(labels, (scores,), (whole(60_000),)))
    found = state.measures(0)[0]
    (note,) = state.notes()
    told = float(note.rpartition(" ")[2])
    assert 0 < abs(found["auc"].value - oracle.roc_auc_score(labels, scores)) <= told < 1e-3
    assert found["pr_auc"].value == pytest.approx(oracle.average_precision_score(labels, scores), abs=1e-3)
    few = BinaryState(["auc"], 1, 1)
    few.add(Batch(labels[:9000], (scores[:9000],), (whole(9000),)))
    assert few.notes() == []
    assert few.measures(0)[0]["auc"].value == pytest.approx(
        oracle.roc_auc_score(labels[:9000], scores[:9000]), rel=1e-12
    )


@given(st.floats(0, 1) | st.sampled_from([*EDGES[::977], 0.29, 0.57, 1.0, np.nextafter(1, 0)]))
def test_bins_hold_what_they_say(score: float) -> None:
    (at,) = bins_of(np.array([score])).tolist()
    assert EDGES[at] <= score
    assert at == BINS or score < EDGES[at + 1]


# --- plots ----------------------------------------------------------------------------------------


def test_plots_of_a_binary_model() -> None:
    rng = np.random.default_rng(5)
    labels = (rng.random(5000) < 0.4).astype(float)
    scores = np.clip(labels * 0.3 + rng.random(5000) * 0.7, 0, 1)
    state = BinaryState(["auc"], 1, 1)
    state.add(Batch(labels, (scores,), (whole(5000),)))
    plots = state.plots(0)
    assert plots.roc is not None
    assert plots.pr is not None
    assert (plots.roc.x[0], plots.roc.y[0], plots.roc.thresholds[0]) == (0.0, 0.0, None)
    assert (plots.roc.x[-1], plots.roc.y[-1]) == (1.0, 1.0)
    assert 100 < len(plots.roc.x) <= 200
    assert np.trapezoid(plots.roc.y, plots.roc.x) == pytest.approx(
        oracle.roc_auc_score(labels, scores), abs=2e-3
    )
    points = list(zip(plots.pr.x, plots.pr.y, plots.pr.thresholds, strict=True))
    for x, y, at in points[::9]:
        assert x == pytest.approx(oracle.recall_score(labels, scores >= at))
        assert y == pytest.approx(oracle.precision_score(labels, scores >= at))
    for confused in plots.confusions:
        expected = oracle.confusion_matrix(labels, scores >= confused.threshold).ravel().tolist()
        assert [confused.tn, confused.fp, confused.fn, confused.tp] == expected
    ones, means = [], []
    for part in plots.calibration:
        inside = (scores >= part.lower) & (scores < part.upper)
        ones.append(labels[inside].mean())
        means.append(scores[inside].mean())
        assert part.weight == inside.sum()
    assert [part.mean_label for part in plots.calibration] == pytest.approx(ones)
    assert [part.mean_prediction for part in plots.calibration] == pytest.approx(means)
    top = np.argsort(-scores, kind="stable")[:500]
    lift = next(point for point in plots.lift if point.share == 0.1)
    assert lift.captured == pytest.approx(labels[top].sum() / labels.sum())
    assert lift.lift == pytest.approx(labels[top].mean() / labels.mean())
    assert sum(a + b for a, b in plots.scores) == 5000


def test_plots_where_there_is_little_to_see() -> None:
    state = BinaryState(["auc"], 1, 1)
    assert state.plots(0).roc is None
    state.add(Batch(np.zeros(1), (np.array([0.5]),), (whole(1),)))
    plots = state.plots(0)
    assert (plots.roc, plots.pr, plots.lift) == (None, None, ())
    assert len(plots.calibration) == 1


# --- values that do not exist ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "labels", "scores", "reason"),
    [
        ("auc", [1, 1, 1], [0.2, 0.2, 0.3], "one label"),
        ("pr_auc", [0, 0], [0.2, 0.9], "no row has label 1"),
        ("precision", [1, 1], [0.2, 0.2], "no row is called one"),
        ("recall", [0, 0], [0.2, 0.9], "no row has label 1"),
        ("specificity", [1, 1], [0.2, 0.9], "no row has label 0"),
        ("f1", [0, 0], [0.2, 0.2], "none is called one"),
        ("accuracy", [1, 0], [0.2, math.nan], "1 predictions are NaN or infinite"),
        ("r2", [3.7, 3.7], [1.0, 2.0], "all labels are equal"),
        ("mape", [0, 0], [1.0, 2.0], "all labels are 0"),
        ("mse", [0, 0], [1e200, 2.0], "too large"),
        ("rmse", [0, 0], [math.inf, 2.0], "1 predictions are NaN or infinite"),
    ],
)
def test_metrics_without_a_value_say_why(
    name: str, labels: list[float], scores: list[float], reason: str
) -> None:
    task: Task = "regression" if name in REGRESSION else "classification"
    found = compute([name], np.array(labels, float), np.array(scores), task=task)[name]
    assert found.value is None
    assert reason in found.reason
    assert found.interval is None


def test_no_rows_at_all() -> None:
    for task in ("classification", "regression"):
        for name, measure in compute(names_of(task), np.empty(0), np.empty(0), task=task).items():
            assert (measure.value, measure.reason) == (None, "there are no rows"), name


def test_classes_without_probabilities_have_no_loss() -> None:
    labels, called = np.array([0.0, 1, 2]), np.array([0.0, 1, 1])
    found = compute(["accuracy", "log_loss"], labels, called, task="multiclass", classes="abc")
    assert found["accuracy"].value == pytest.approx(2 / 3)
    assert found["log_loss"].reason == "predictions are classes, not probabilities"


@pytest.mark.parametrize(
    ("labels", "called", "message"),
    [
        ([0, 3], [0, 1], "a label is 3, and there are 3 classes"),
        ([0, 1], [0, 7], "a prediction is 7"),
        ([0, 1], [-1, 1], "a prediction is -1"),
        ([0, 0.5], [0, 1], "a label is 0.5"),
    ],
)
def test_numbers_that_are_no_class(labels: list[float], called: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        compute(
            ["accuracy"], np.array(labels, float), np.array(called, float), task="multiclass", classes="abc"
        )
    with pytest.raises(DataError, match="2 probabilities for 3 classes"):
        compute(["accuracy"], np.zeros(2), np.full((2, 2), 0.5), task="multiclass", classes="abc")
    spoilt = np.array([math.nan, 1.0])
    found = compute(["accuracy"], np.array([0.0, 1.0]), spoilt, task="multiclass", classes="abc")
    assert found["accuracy"].reason == "1 predictions are NaN or infinite"


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("acu", "classification", "no metric 'acu'"),
        ("rmse", "classification", "no metric for classification"),
        ("recall@2", "classification", "a threshold from 0 to 1"),
        ("recall@x", "classification", "a threshold from 0 to 1"),
        ("auc@0.5", "classification", "has no @"),
        ("ndcg@0", "ranking", "a whole number from 1"),
        ("top_k_accuracy", "multiclass", "a whole number from 1"),
    ],
)
def test_names_that_make_no_sense(name: str, task: Task, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make_state(task, [name], classes="abc")


# --- states merge ---------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["classification", "regression", "multiclass", "ranking"])
@pytest.mark.parametrize("count", [400, 30_000])
def test_states_of_two_halves_give_what_the_whole_gives(task: Task, count: int) -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2 if task == "classification" else 4, count).astype(float)
    scores = rng.dirichlet(np.ones(4), count) if task == "multiclass" else rng.random(count)
    other = scores[::-1].copy()
    codes, weights = rng.integers(-1, 3, count), None if task == "ranking" else rng.random(count) + 0.5
    names = [n for n in names_of(task) if n not in ("top_k_accuracy", "error_p05", "error_p50", "error_p95",
                                                    "abs_error_p50", "abs_error_p90")]  # fmt: skip
    queries = rng.integers(0, 40, count).astype(np.uint64)

    def part(rows: slice) -> Batch:
        spread = Slicing(codes[rows] + np.where(codes[rows] < 0, 0, 1), 1, 4)
        rest = np.arange(count, dtype=np.uint64)[rows], queries[rows]
        picked = None if weights is None else weights[rows]
        return Batch(
            labels[rows], (scores[rows], other[rows]), (whole(len(labels[rows])), spread), picked, *rest
        )

    def empty() -> Any:
        return make_state(task, names, models=2, slices=4, classes="abcd", replicates=20)

    all_rows, first, second = empty(), empty(), empty()
    all_rows.add(part(slice(None)))
    first.add(part(slice(0, count // 3)))
    second.add(part(slice(count // 3, None)))
    first.merge(second)
    for state in (all_rows, first):
        state.close()
    for at, (expected, found) in enumerate(zip(all_rows.measures(1), first.measures(1), strict=True)):
        assert all_rows.rows(at) == first.rows(at)
        for name, measure in expected.items():
            assert found[name].value == pytest.approx(measure.value, rel=1e-9, nan_ok=True), (at, name)
            if measure.interval:
                assert found[name].interval.low == pytest.approx(measure.interval.low, rel=1e-6)
    for expected_change, change in zip(all_rows.changes(0, 1), first.changes(0, 1), strict=True):
        for name, wanted in expected_change.items():
            assert change[name].value == pytest.approx(wanted.value, rel=1e-6, abs=1e-12), name


def test_slices_are_what_the_same_rows_give_alone() -> None:
    rng = np.random.default_rng(4)
    labels, scores = (rng.random(600) < 0.4).astype(float), rng.random(600)
    codes = rng.integers(1, 4, 600)
    state = BinaryState(names_of("classification"), 1, 4)
    state.add(Batch(labels, (scores,), (whole(600), Slicing(codes, 1, 4))))
    for at in (1, 2, 3):
        alone = compute(
            names_of("classification"), labels[codes == at], scores[codes == at], task="classification"
        )
        for name, measure in state.measures(0)[at].items():
            assert measure.value == pytest.approx(alone[name].value), name
            assert (measure.interval is None) == (alone[name].interval is None)
