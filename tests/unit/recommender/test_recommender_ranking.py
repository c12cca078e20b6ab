"""The ranking metrics against their definitions, written out one user and one rank at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from ranking import coverage, ndcg, recall, top_k


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Scores (with ties), exclusions, relevant items (at least one a user), k."""
    shape = (draw(st.integers(1, 5)), draw(st.integers(1, 9)))
    scores = draw(arrays(np.float64, shape, elements=st.integers(-3, 3).map(float)))
    exclude = draw(arrays(np.bool_, shape))
    relevant = draw(arrays(np.bool_, shape))
    relevant[:, draw(st.integers(0, shape[1] - 1))] = True
    return scores, exclude, relevant, draw(st.integers(1, 12))


def slow_list(scores: np.ndarray, exclude: np.ndarray, k: int) -> list[int]:
    allowed = [item for item in range(len(scores)) if not exclude[item]]
    best = sorted(allowed, key=lambda item: (-scores[item], item))[:k]
    return best + [-1] * (k - len(best))


def slow_ndcg(listed: list[int], relevant: set[int]) -> float:
    gain = sum(1 / math.log2(rank + 1) for rank, item in enumerate(listed, 1) if item in relevant)
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(listed), len(relevant)) + 1))
    return gain / ideal


@given(cases())
def test_lists_and_metrics_equal_their_definitions(
    case: tuple[np.ndarray, np.ndarray, np.ndarray, int],
) -> None:
    scores, exclude, relevant, k = case
    top = top_k(scores, exclude, k)
    lists = [slow_list(s, e, k) for s, e in zip(scores, exclude, strict=True)]
    assert top.tolist() == lists
    wanted = [set(np.flatnonzero(row).tolist()) for row in relevant]
    pairs = list(zip(lists, wanted, strict=True))
    assert recall(top, relevant, k) == pytest.approx(
        [len(w.intersection(listed)) / len(w) for listed, w in pairs]
    )
    assert ndcg(top, relevant, k) == pytest.approx([slow_ndcg(listed, w) for listed, w in pairs])
    shown = {item for listed in lists for item in listed if item >= 0}
    assert coverage(top, k, scores.shape[1]) == pytest.approx(len(shown) / scores.shape[1])


@given(cases())
def test_metrics_lie_between_0_and_1_and_the_ideal_list_reaches_1(
    case: tuple[np.ndarray, np.ndarray, np.ndarray, int],
) -> None:
    scores, exclude, relevant, k = case
    found = ndcg(top_k(scores, exclude, k), relevant, k)
    assert ((found >= 0) & (found <= 1 + 1e-12)).all()
    ideal = top_k(relevant.astype(np.float64), np.zeros_like(exclude), k)
    assert ndcg(ideal, relevant, k) == pytest.approx(np.ones(len(relevant)))


def test_an_example_by_hand() -> None:
    # Ranks 1 and 3 are right, one relevant item is missed: DCG = 1 + 1/2, ideal = 1 + 1/log2(3) + 1/2.
    top = np.array([[4, 0, 2]])
    relevant = np.array([[False, True, True, False, True]])
    assert recall(top, relevant, 3).tolist() == pytest.approx([2 / 3])
    assert ndcg(top, relevant, 3).tolist() == pytest.approx([1.5 / (1.5 + 1 / math.log2(3))])


def test_what_has_no_score_is_refused() -> None:
    with pytest.raises(ValueError, match="without relevant items"):
        recall(np.array([[0]]), np.array([[False]]), 1)
    with pytest.raises(ValueError, match="k=2"):
        ndcg(np.array([[0]]), np.array([[True]]), 2)
